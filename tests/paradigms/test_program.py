"""Events, colour changes and steps as one list of changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from paradigms.devices.protocols import Frame
from paradigms.program import OFF, ON, STEP, Moment, changes, moments
from paradigms.schedule import Event, Mark, Schedule, excerpt, first_seconds
from subjects.errors import ScheduleError

EVENTS = (Event(0, 0.0, 2.0, "blank"), Event(1, 2.0, 2.0, "a"), Event(2, 4.0, 1.0, "b"), Event(3, 5.0, 5.0, "blank"))
MARKS = (Mark(0, 0.0, (1, 1, 1)), Mark(1, 1.0, (2, 2, 2), "1"), Mark(2, 4.0, (3, 3, 3), "1"),
         Mark(3, 6.5, (4, 4, 4), "1"))


def plan(**changes_: object) -> Schedule:
    return Schedule(**{"study": "s", "task": "t", "sub": "01", "ses": "01", "run": 1, "seed": 1, "tr_s": 2.0,
                       "n_volumes": 5, "duration_s": 10.0, "events": EVENTS, "manifest_digest": "m",
                       "settings_digest": "d", "marks": MARKS, **changes_})  # type: ignore[arg-type]


def test_what_falls_together_is_one_change() -> None:
    found = moments(plan(), steps=[Moment(2.0 + k, STEP, step=k, until_s=3.0 + k) for k in range(3)])
    assert [(one.at_s, one.what, one.event, one.step) for one in found] == [
        (1.0, STEP, None, None), (2.0, ON, 1, 0), (3.0, STEP, None, 1), (4.0, ON, 2, 2), (5.0, OFF, 2, None),
        (6.5, STEP, None, None)]
    assert [one.until_s for one in found] == [float("inf")] * 2 + [4.0] + [float("inf")] * 3


def test_a_mark_between_two_steps_waits_for_the_second() -> None:
    steps = [Moment(2.0 + 0.4 * k, STEP, step=k, until_s=2.4 + 0.4 * k) for k in range(5)]  # the last ends at 4.0
    marks = tuple(Mark(k, t, (k, k, k), "1") for k, t in enumerate((0.0, 1.0, 2.5, 2.8, 3.9, 4.4)))
    found = moments(plan(marks=marks), steps=steps)
    assert [round(one.at_s, 6) for one in found] == [1.0, 2.0, 2.4, 2.8, 3.2, 3.6, 4.0, 4.4, 5.0]
    alone = moments(plan(marks=marks), steps=steps[:2])
    assert [round(one.at_s, 6) for one in alone] == [1.0, 2.0, 2.4, 2.5, 2.8, 3.9, 4.0, 4.4, 5.0]


def test_a_frame_is_that_of_its_planned_time() -> None:
    def frame_at(t: float) -> Frame:
        return Frame(None, image_px=t, fixation_px=1.0, fixation_color=(0, 0, 0), background=0)

    made = list(changes(moments(plan()), frame_at=frame_at))
    assert [one.frame.image_px for one in made] == [one.at_s for one in made] == [1.0, 2.0, 4.0, 5.0, 6.5]


def test_the_first_seconds_of_a_run() -> None:
    cut = first_seconds(plan(textures=("x",), steps=(0, -1, 0, 0, 0), step_s=2.0), until_s=3.5)
    assert (cut.duration_s, cut.n_volumes) == (4.0, 2)
    assert [(event.onset_s, event.duration_s) for event in cut.events] == [(0.0, 2.0), (2.0, 2.0)]
    assert [mark.index for mark in cut.marks] == [0, 1]
    assert cut.steps == (0, -1)
    assert first_seconds(plan(), until_s=4.5).events[-1].duration_s == 1.0
    for until_s in (0.0, 10.1):
        with pytest.raises(ScheduleError, match="expected a part of the run"):
            first_seconds(plan(), until_s=until_s)


def test_runs_with_marks_have_no_excerpt_of_trials() -> None:
    with pytest.raises(ScheduleError, match="trials of a t run; expected a task of trials only"):
        excerpt(plan(), n_trials=1)


def test_unused_fields_leave_digests_alone() -> None:
    content = plan(marks=()).to_json()
    assert {"variant", "textures", "steps", "step_s", "marks"}.isdisjoint(content)
    assert Schedule.from_json(content) == plan(marks=())


@pytest.mark.parametrize(("change", "text"), [
    ({"marks": (Mark(1, 0.0, (0, 0, 0)),)}, "mark 1 at 0 s in place 0"),
    ({"marks": (*MARKS[:2], Mark(2, 1.0, (0, 0, 0)))}, "marks in order"),
    ({"marks": (Mark(0, 10.0, (0, 0, 0)),)}, "before the end of the run"),
    ({"steps": (0,), "step_s": 1.0}, "steps of 1.0 s into 0 textures"),
    ({"steps": (0,), "textures": ("x",)}, "steps of None s"),
    ({"steps": (-2,), "textures": ("x",), "step_s": 1.0}, "each of a texture that is named"),
])
def test_bad_plans_are_refused(change: dict[str, object], text: str, tmp_path: Path) -> None:
    with pytest.raises(ScheduleError, match=text):
        plan(**change)
