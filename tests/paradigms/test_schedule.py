"""A schedule holds together, survives JSON, and can be cut down to an excerpt."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradigms.schedule import BLANK, Event, Schedule, excerpt
from subjects.errors import ScheduleError


def _schedule(*spans: tuple[float, float], duration_s: float = 100.0) -> Schedule:
    events = tuple(Event(k, onset_s=start, duration_s=length, trial_type=BLANK) for k, (start, length) in
                   enumerate(spans))
    return Schedule(study="s", task="main", sub="01", ses="01", run=1, seed=1, tr_s=2.0,
                    n_volumes=round(duration_s / 2), duration_s=duration_s, events=events, manifest_digest="m",
                    settings_digest="d")


def test_events_may_touch() -> None:
    assert _schedule((0.0, 2.0), (2.0, 2.0)).events[1].end_s == 4.0


@pytest.mark.parametrize(("spans", "text"), [
    (((0.0, 2.0), (1.9, 2.0)), "event 1 at 1.9 s before 2 s; expected events that do not overlap"),
    (((98.0, 2.5),), "an event that ends at 100.5 s; expected at most 100 s"),
])
def test_events_that_do_not_fit_are_refused(spans: tuple[tuple[float, float], ...], text: str) -> None:
    with pytest.raises(ScheduleError, match=re.escape(text)):
        _schedule(*spans)


def test_an_event_out_of_order_is_refused() -> None:
    plan = _schedule((0.0, 2.0), (4.0, 2.0))
    with pytest.raises(ScheduleError, match="event 0 with index 1"):
        dataclasses.replace(plan, events=plan.events[::-1])


def test_json_gives_the_same_plan_and_digest(schedule: Schedule) -> None:
    again = Schedule.from_json(json.loads(json.dumps(schedule.to_json())))
    assert again == schedule
    assert again.digest == schedule.digest


@given(st.floats(min_value=0.001, max_value=50.0))
def test_any_shift_of_one_onset_changes_the_digest(shift: float) -> None:
    assert _schedule((10.0, 2.0)).digest != _schedule((10.0 + shift, 2.0)).digest


@pytest.mark.parametrize("change", [{"surprise": 1}, {"events": [{"index": 0}]}])
def test_json_of_another_kind_is_refused(schedule: Schedule, change: dict[str, object]) -> None:
    with pytest.raises(ScheduleError, match="fields that do not fit"):
        Schedule.from_json({**schedule.to_json(), **change})


def test_json_without_events_is_refused(schedule: Schedule) -> None:
    content = schedule.to_json()
    del content["events"]
    with pytest.raises(ScheduleError, match="'events'"):
        Schedule.from_json(content)


def test_image_ids_come_once_in_order_of_first_showing(schedule: Schedule) -> None:
    seen: list[str] = []
    for event in schedule.events:
        if event.image_id and event.image_id not in seen:
            seen.append(event.image_id)
    assert list(schedule.image_ids) == seen
    assert len(seen) == 60


def test_an_excerpt_keeps_the_order_and_shifts_all_onsets_alike(schedule: Schedule) -> None:
    cut = excerpt(schedule, n_trials=10, lead_s=4.0)
    shifts = {round(a.onset_s - b.onset_s, 9) for a, b in zip(schedule.events, cut.events, strict=False)}
    assert len(cut.events) == 10
    assert cut.events[0].onset_s == 4.0
    assert len(shifts) == 1
    assert [event.image_id for event in cut.events] == [event.image_id for event in schedule.events[:10]]


def test_an_excerpt_lasts_whole_volumes_and_a_lead_out(schedule: Schedule) -> None:
    cut = excerpt(schedule, n_trials=3, lead_s=3.0)
    assert cut.duration_s == cut.n_volumes * 2.0
    assert 3.0 <= cut.duration_s - cut.events[-1].end_s < 5.0


def test_an_excerpt_longer_than_the_run_is_refused(schedule: Schedule) -> None:
    with pytest.raises(ScheduleError, match="130 trials of 129; expected no more than the run has"):
        excerpt(schedule, n_trials=130)
