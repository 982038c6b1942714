"""The colour task: plans, and presses against them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradigms.detection import color_name, detect, mark_rows, shown_times
from paradigms.schedule import Mark
from paradigms.tasks.catalogue import task_of
from paradigms.tasks.fixation_task import color_at, plan_marks
from subjects.errors import ScheduleError
from subjects.settings.study import RetinotopySettings, Settings

RED, BLACK, WHITE = (255, 0, 0), (0, 0, 0), (255, 255, 255)


@given(st.integers(0, 2 ** 32))
def test_changes_come_every_one_to_five_seconds_and_never_to_the_same_colour(seed: int) -> None:
    marks = plan_marks(RetinotopySettings(), duration_s=300.0, grid_s=1 / 15, rng=np.random.default_rng(seed))
    assert marks[0].onset_s == 0.0
    assert marks[0].correct_key is None
    assert {mark.color for mark in marks} == {RED, BLACK, WHITE}
    for before, after in pairwise(marks):
        assert 1.0 - 1e-9 <= after.onset_s - before.onset_s <= 5.0 + 1e-9
        assert after.color != before.color
        assert after.correct_key == "1"
        assert after.onset_s * 15 == pytest.approx(round(after.onset_s * 15), abs=1e-6)
    assert 294.0 - 1e-6 < marks[-1].onset_s <= 299.0


def test_ten_seeds_give_ten_plans_and_the_same_seed_the_same() -> None:
    plans = [plan_marks(RetinotopySettings(), duration_s=300.0, grid_s=0.1, rng=np.random.default_rng(k))
             for k in range(10)]
    assert len(set(plans)) == 10
    assert plans[3] == plan_marks(RetinotopySettings(), duration_s=300.0, grid_s=0.1, rng=np.random.default_rng(3))


def test_times_between_changes_are_uniform() -> None:
    gaps = np.concatenate([np.diff([mark.onset_s for mark in plan_marks(
        RetinotopySettings(), duration_s=3000.0, grid_s=0.1, rng=np.random.default_rng(seed))]) for seed in range(5)])
    counts, _ = np.histogram(gaps, bins=np.arange(0.95, 5.1, 0.1))
    assert len(counts) == 41
    chi2 = np.sum((counts - counts.mean()) ** 2) / counts.mean()
    assert chi2 < 80  # 40 degrees of freedom, p = .0002


def test_a_grid_too_coarse_is_an_error() -> None:
    section = RetinotopySettings(change_min_s=1.1, change_max_s=1.2)
    with pytest.raises(ScheduleError, match=r"1.1 to 1.2 s; expected a multiple of 1 s in between"):
        plan_marks(section, duration_s=300.0, grid_s=1.0, rng=np.random.default_rng(0))


def test_the_colour_at_a_time() -> None:
    marks = (Mark(0, 0.0, RED), Mark(1, 2.0, BLACK), Mark(2, 4.5, WHITE))
    assert [color_at(marks, t) for t in (-1.0, 0.0, 1.999, 2.0, 4.49, 4.5, 99.0)] == \
        [RED, RED, RED, BLACK, BLACK, WHITE, WHITE]
    assert color_name(BLACK) == "black"


@pytest.mark.parametrize(("targets", "presses", "hits", "alarms"), [
    ([1.0], [], [None], []),
    ([1.0], [2.0], [1.0], []),                      # the window's end counts
    ([1.0], [2.1], [None], [2.1]),
    ([1.0], [1.0], [0.0], []),
    ([1.0], [0.9], [None], [0.9]),                  # before the change
    ([1.0], [1.3, 1.5], [0.3], [1.5]),              # a second press answers nothing
    ([1.0, 1.5], [1.6], [0.6, None], []),           # overlapping windows: the earlier is served first
    ([1.0, 1.5], [1.6, 1.7], [0.6, 0.2], []),
    ([1.5, 1.0], [1.6, 1.7], [0.2, 0.6], []),       # order of the list plays no part
    ([], [3.0], [], [3.0]),
])
def test_hits_misses_and_false_alarms(targets: list[float], presses: list[float], hits: list[float | None],
                                      alarms: list[float]) -> None:
    found = detect(targets, presses, window_s=1.0)
    assert list(found.reaction_s) == [None if hit is None else pytest.approx(hit) for hit in hits]
    assert list(found.false_alarms_s) == alarms


@given(st.lists(st.floats(0, 50), max_size=12), st.lists(st.floats(0, 50), max_size=12))
def test_every_press_counts_once(targets: list[float], presses: list[float]) -> None:
    found = detect(targets, presses, window_s=1.0)
    n_hits = sum(reaction is not None for reaction in found.reaction_s)
    assert n_hits + len(found.false_alarms_s) == len(presses)
    assert len(found.reaction_s) == len(targets)


def test_a_moment_is_seen_at_the_first_flip_planned_for_it_or_later() -> None:
    flips = [(1.0, 1.01), (2.0, 2.3), (2.5, 2.51)]
    assert shown_times([0.0, 1.0, 1.5, 2.5, 2.6], flips=flips) == [0.0, 1.01, 2.3, 2.51, None]


def test_rows_of_the_fixation_points_table() -> None:
    marks = (Mark(0, 0.0, RED), Mark(1, 2.0, BLACK, "1"), Mark(2, 4.0, WHITE, "1"), Mark(3, 8.0, RED, "1"),
             Mark(4, 11.0, WHITE, "1"))
    found = mark_rows(marks, flips=[(2.0, 2.01), (4.0, 4.02), (8.0, 8.0)], presses_s=[2.5, 5.5], last_s=8.4,
                      window_s=1.0)
    assert [(row["onset"], row["duration"], row["color"]) for row in found] == \
        [(0.0, 2.01, "red"), (2.01, 2.01, "black"), (4.02, 3.98, "white"), (8.0, 0.4, "red")]
    assert [row["response"] for row in found] == [None, "1", None, None]
    assert [row["response_time"] for row in found] == [None, 0.49, None, None]
    assert [row["correct"] for row in found] == [None, 1, 0, None]  # the last window was still open


def test_windows_by_task() -> None:
    settings = Settings(retinotopy=RetinotopySettings(hit_window_s=0.8))
    found = [task_of(task, settings).response_window_s for task in ("main", "retinotopy", "lo", "motion")]
    assert found == [4.0, 0.8, 1.0, 1.0]
