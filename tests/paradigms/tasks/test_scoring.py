"""Scores against cases counted by hand, and runs of virtual subjects who always answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from paradigms.console.panels import verdict_rows
from paradigms.console.run_state import RunView, fold_all
from paradigms.runlog import events_table, fixation_table
from paradigms.schedule import Event, Mark, Schedule
from paradigms.tasks import lo_localizer as lo
from paradigms.tasks import motion_localizer as motion
from paradigms.tasks import retinotopy
from paradigms.tasks.catalogue import task_of
from paradigms.tasks.scoring import COLUMNS, Score, d_prime, score_table
from subjects.run_key import RunKey
from subjects.settings.study import LoSettings, Settings
from tests.paradigms.texture_rows import played, rows

SETTINGS = Settings()
ZERO = 100.0
RED, BLACK = (255, 0, 0), (0, 0, 0)


def plan(task: str, events: tuple[Event, ...] = (), marks: tuple[Mark, ...] = ()) -> Schedule:
    return Schedule(study="s", task=task, sub="01", ses="01", run=1, seed=1, tr_s=2.0, n_volumes=20, duration_s=40.0,
                    events=events, manifest_digest="m", settings_digest="d", marks=marks)


def record(kind: str, t: float, **others: Any) -> dict[str, Any]:
    return {"kind": kind, "t": ZERO + t, "wall": 0.0, **others}


def score_run(records: list[dict[str, Any]], made: Schedule, *, settings: Settings) -> Score:
    found, = task_of(made.task, settings).score(records, made)
    return found


def press(t: float, key: str = "1", *, task: bool = True) -> dict[str, Any]:
    return record("press", t, key=key, task=task)


def flip(t: float, *, event: int | None = None, what: str = "step", late: float = 0.0) -> dict[str, Any]:
    return record("flip", t + late, planned=ZERO + t, event=event, what=what, image_id=None)


@pytest.mark.parametrize("counts", [(18, 2, 5, 15), (20, 0, 0, 20), (0, 0, 3, 4), (7, 3, 1, 9)])
def test_d_prime_is_the_log_linear_formula(counts: tuple[int, int, int, int]) -> None:
    hits, misses, alarms, rejections = counts
    expected = stats.norm.ppf((hits + 0.5) / (hits + misses + 1)) - \
        stats.norm.ppf((alarms + 0.5) / (alarms + rejections + 1))
    assert d_prime(n_hits=hits, n_misses=misses, n_false_alarms=alarms, n_correct_rejections=rejections) == \
        pytest.approx(expected)


def _image(k: int, kind: str, *, key: str) -> Event:
    return Event(k, 2.0 + 4.0 * k, 2.0, "RE", image_id=f"px-{k}", class_name=kind, correct_key=key)


@pytest.mark.parametrize("swap", [False, True])
def test_the_animal_judgement_by_hand(swap: bool) -> None:
    """Dog right, dog wrong, car called animal, car right, bird unanswered; the keys' exchange changes nothing."""
    animal, other = ("2", "1") if swap else ("1", "2")
    kinds = ("dogs", "dogs", "cars", "cars", "birds")
    events = tuple(_image(k, kind, key=animal if kind in ("dogs", "birds") else other) for k, kind in enumerate(kinds))
    records = [record("zero", 0.0), *(flip(event.onset_s, event=event.index, what="on") for event in events),
               press(2.5, animal), press(6.7, other), press(10.4, animal), press(14.6, other), press(14.9, animal),
               record("end", 40.0, complete=True)]
    found = score_run(records, plan("main", events), settings=SETTINGS)
    assert (found.kind, found.n_targets, found.n_unanswered) == ("judgement", 5, 1)
    assert (found.n_hits, found.n_misses, found.n_false_alarms, found.n_correct_rejections) == (1, 1, 1, 1)
    assert found.accuracy == pytest.approx(2 / 5)
    assert found.d_prime == pytest.approx(0.0)
    assert found.rt_mean == pytest.approx((0.5 + 0.7 + 0.4 + 0.6) / 4)
    assert found.rt_median == pytest.approx(0.55)
    assert "judgement of RE: 40 % right of 5, 1 false alarms, d' 0.00, median RT 550 ms" in found.summary()


def test_each_type_of_image_is_scored_by_itself() -> None:
    """Two of each type, dogs and cars; whoever sees no animal in noise is right in all that can be seen."""
    kinds = [(kind, name) for kind in ("RE", "AN", "AI") for name in ("dogs", "cars")]
    events = tuple(replace(_image(k, name, key="1" if name == "dogs" else "2"), trial_type=kind)
                   for k, (kind, name) in enumerate(kinds))
    given = ("1", "2", "2", "2", "1", None)  # the last image, an AI of a car, is not answered
    records = [record("zero", 0.0), *(flip(event.onset_s, event=event.index, what="on") for event in events),
               *(press(event.onset_s + 0.5 + 0.1 * event.index, key) for event, key in zip(events, given, strict=True)
                 if key), record("end", 40.0, complete=True, reason="complete")]
    plan_of = plan("main", events)
    records.sort(key=lambda one: float(one["t"]))
    regular, noise, interference = task_of("main", SETTINGS).score(records, plan_of)
    assert (regular.trial_type, regular.accuracy, regular.share_answered) == ("RE", 1.0, 1.0)
    assert regular.rt_mean == pytest.approx(0.55)
    assert (noise.trial_type, noise.n_targets, noise.share_answered, noise.animal_rate) == ("AN", 2, 1.0, 0.0)
    assert (noise.accuracy, noise.n_misses, noise.d_prime, noise.hit_rate) == (None, None, None, None)
    assert noise.rt_mean == pytest.approx(0.75)
    assert "judgement of AN: 100 % answered of 2" in noise.summary()
    assert (interference.accuracy, interference.n_unanswered, interference.share_answered) == (0.5, 1, 0.5)
    view = fold_all(plan_of, records, window_s=4.0, attention=task_of("main", SETTINGS).judged.attention)
    assert (view.answers, view.share_answered) == ((2, 2), pytest.approx(5 / 6))
    table = events_table(records, plan_of, response_window_s=4.0, unknowable={"AN"})
    assert table["correct"].astype(object).where(table["correct"].notna(), None).tolist() == [1, 1, None, None, 1, 0]
    assert table["response"].notna().tolist() == [True] * 5 + [False]


def test_an_image_that_may_still_be_answered_counts_neither_way() -> None:
    events = (_image(0, "dogs", key="1"), _image(1, "cars", key="2"))
    shown = [record("zero", 0.0), flip(2.0, event=0, what="on"), press(2.5), flip(6.0, event=1, what="on")]
    view = fold_all(plan("main", events), shown, window_s=4.0)
    assert (view.answers, view.share_answered) == ((1, 1), 1.0)
    ended = fold_all(plan("main", events), [*shown, record("end", 40.0, complete=True, reason="complete")])
    assert (ended.answers, ended.share_answered) == ((1, 2), 0.5)


@pytest.mark.parametrize(("right", "answered", "bad"), [
    (60, 60, set()), (44, 60, {"right answers to RE"}), (45, 60, set()), (60, 40, {"answered"})])
def test_attention_is_judged_on_regular_images_and_on_what_was_answered(right: int, answered: int,
                                                                        bad: set[str]) -> None:
    events = tuple(_image(k, "dogs", key="1") if k < 60 else replace(_image(k, "cars", key="2"), trial_type="AN")
                   for k in range(120))
    made = replace(plan("main"), duration_s=1000.0, n_volumes=500, events=events)
    view = RunView(made, n_asked=120, n_answered=2 * answered, n_judged=60, n_right=right, attention=frozenset({"RE"}),
                   least_right=0.75)
    rows = {name: good for name, _, _, good in verdict_rows(view)}
    assert {name for name in ("right answers to RE", "answered") if not rows[name]} == bad


MARKS = (Mark(0, 0.0, RED), Mark(1, 3.0, BLACK, "1"), Mark(2, 6.0, RED, "1"), Mark(3, 9.0, BLACK, "1"))


def test_detection_by_hand() -> None:
    """Hit at 0.4 s, a miss, a hit by the late flip's time, presses that answer nothing, another key."""
    records = [record("zero", 0.0), press(-2.0), flip(3.0), flip(6.0), flip(9.0, late=0.5), press(3.4), press(3.6),
               press(7.2), press(8.0, "5", task=False), press(10.2), record("end", 40.0, complete=True)]
    found = score_run(records, plan("retinotopy", marks=MARKS), settings=SETTINGS)
    assert (found.n_targets, found.n_hits, found.n_misses, found.n_false_alarms) == (3, 2, 1, 2)
    assert (found.n_correct_rejections, found.d_prime, found.false_alarm_rate) == (None, None, None)
    assert found.rt_mean == pytest.approx((0.4 + 0.7) / 2)
    assert found.accuracy == found.hit_rate == pytest.approx(2 / 3)


def test_a_run_cut_off_leaves_the_open_window_out() -> None:
    records = [record("zero", 0.0), flip(3.0), flip(6.0), press(6.5), record("pulse", 6.6)]
    found = score_run(records, plan("motion", marks=MARKS), settings=SETTINGS)
    assert (found.n_targets, found.n_hits, found.n_misses) == (2, 1, 1)
    early = score_run(records[:2], plan("motion", marks=MARKS), settings=SETTINGS)
    assert (early.n_targets, early.accuracy, early.rt_median) == (0, None, None)
    assert "no target" in early.summary()
    assert score_run([press(0.0)], plan("lo", marks=MARKS), settings=SETTINGS).n_targets == 0


def test_one_back_by_hand() -> None:
    """Five images, two repeats: one seen, one missed; one press at a new image."""
    events = tuple(Event(k, 2.0 + 0.8 * k, 0.3, "intact", image_id=f"px-{k}", correct_key="1" if k in (1, 4) else None)
                   for k in range(5))
    records = [record("zero", 0.0), *(flip(event.onset_s, event=event.index, what="on") for event in events),
               press(3.7), press(4.0), record("end", 40.0, complete=True)]
    found = score_run(records, plan("lo", events, MARKS[:1]), settings=SETTINGS)
    assert (found.n_hits, found.n_misses, found.n_false_alarms, found.n_correct_rejections) == (1, 1, 1, 2)
    assert found.rt_mean == pytest.approx(0.9)  # past the next image's onset, within the window
    assert found.d_prime == pytest.approx(d_prime(n_hits=1, n_misses=1, n_false_alarms=1, n_correct_rejections=2))


def test_the_table_has_a_row_a_score() -> None:
    one = score_run([record("zero", 0.0), flip(3.0), press(3.4), record("end", 40.0)], plan("motion", marks=MARKS),
                    settings=SETTINGS)
    table = score_table([one, one])
    assert list(table.columns) == list(COLUMNS)
    assert table["n_hits"].tolist() == [1, 1]
    assert table["n_correct_rejections"].isna().all()


@pytest.mark.parametrize("task", ["retinotopy", "lo", pytest.param("motion", marks=pytest.mark.slow)])
def test_whoever_always_answers_misses_nothing(task: str, tmp_path: Path) -> None:
    """A whole run in virtual time: every change is answered after 0.4 s, in the score and in the events table."""
    module: Any = {"retinotopy": retinotopy, "lo": lo, "motion": motion}[task]
    textures = {} if task == "motion" else {"textures": rows()}
    made = module.make_schedule(SETTINGS, key=RunKey("01", "01", task, 1), **textures)
    records, _ = played(made, module.program(made, SETTINGS), settings=SETTINGS, folder=tmp_path, refresh_hz=120.0)
    found = score_run(records, made, settings=SETTINGS)
    assert found.n_hits == found.n_targets == len(made.marks) - 1
    assert (found.n_misses, found.n_false_alarms) == (0, 0)
    assert found.rt_median == pytest.approx(0.4, abs=1e-6)
    fixation = fixation_table(records, made, response_window_s=1.0)
    assert fixation["onset"].is_monotonic_increasing
    assert len(fixation) == len(made.marks)
    assert fixation["correct"].tolist()[1:] == [1] * (len(made.marks) - 1)
    assert fixation["response_time"].tolist()[1:] == pytest.approx([0.4] * (len(made.marks) - 1), abs=1e-6)
    others = events_table(records, made, response_window_s=1.0)
    assert others["onset"].is_monotonic_increasing
    assert len(others) == len(made.events)
    assert others["correct"].isna().all()
    assert others["response"].isna().all()
    assert (others["onset"] - others["onset_planned"]).abs().max() < 1 / 120
    assert others["trial_type"].tolist() == [event.trial_type for event in made.events]
    assert others["duration"].tolist() == pytest.approx([event.duration_s for event in made.events], abs=2 / 120)


def test_a_one_back_run_whose_images_nobody_answers(tmp_path: Path) -> None:
    settings = Settings(lo=LoSettings(task="one_back"))
    made = lo.make_schedule(settings, textures=rows(), key=RunKey("01", "01", "lo", 1))
    records, _ = played(made, lo.program(made, settings), settings=settings, folder=tmp_path)
    found = score_run(records, made, settings=settings)
    assert (found.n_hits, found.n_misses, found.n_false_alarms, found.n_correct_rejections) == (0, 32, 0, 288)
    table = events_table(records, made, response_window_s=1.0)
    assert table["correct"].value_counts().to_dict() == {0: 32}
