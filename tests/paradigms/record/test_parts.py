"""Parts of a run against a plain set of trials; changes that are asked about; counts that can be added line by line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from paradigms.record.changes import Changes, changes_of
from paradigms.record.departures import require_accepted
from paradigms.record.parts import Part, count_shown, make_whole
from paradigms.runlog import Record
from paradigms.schedule import Event, Schedule, rest_of
from subjects.errors import RunLogError
from subjects.settings.display import DisplaySettings


def plan_of(n: int, *, seed: int = 0) -> Schedule:
    rng = np.random.default_rng(seed)
    events = tuple(Event(k, 4.0 + 4.0 * k, 2.0, str(rng.choice(["RE", "AN", "AI"])), image_id=f"px-{rng.integers(99)}",
                         correct_key="1") for k in range(n))
    return Schedule(study="s", task="main", sub="01", ses="01", run=1, seed=1, tr_s=2.0, n_volumes=4 + 2 * n,
                    duration_s=8.0 + 4.0 * n, events=events, manifest_digest="m", settings_digest="s")


def part(whole: Schedule, first: int, n_shown: int, *, complete: bool = False) -> Part:
    plan = whole if first == 1 else rest_of(whole, first_trial=first, lead_s=4.0)
    return Part(1, plan, n_shown, complete)


def journal(*kinds: tuple[str, float]) -> Sequence[Record]:
    return [{"kind": kind, "t": t, "wall": t} for kind, t in kinds]


@pytest.mark.parametrize("seed", range(30))
def test_parts_make_a_whole_if_every_trial_was_shown(seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = plan_of(8, seed=seed)
    parts = [part(whole, 1, int(rng.integers(0, 5)))]
    for k in range(3):
        last = k == 2
        first = int(rng.integers(2, 9))
        parts.append(part(whole, first, 9 - first if last else int(rng.integers(0, 10 - first)), complete=last))
    seen: set[int] = set()
    gaps = False
    for one in parts:
        gaps |= not set(range(1, one.first)) <= seen
        seen |= set(range(one.first, one.open_trial))
    assert make_whole(parts) == (not gaps and seen == set(range(1, 9)))


def test_wholes_and_what_is_none() -> None:
    whole = plan_of(5)
    head, tail = part(whole, 1, 2), part(whole, 3, 3, complete=True)
    assert make_whole([part(whole, 1, 5, complete=True)])
    assert make_whole([head, tail])
    assert make_whole([replace(head, n_shown=4), tail])  # trials 3 and 4 were shown twice
    assert not make_whole([replace(head, n_shown=1), tail])
    assert not make_whole([head, replace(tail, complete=False)])
    other = replace(tail.plan.events[0], image_id="px-of-another-order")
    assert not make_whole([head, replace(tail, plan=replace(tail.plan, events=(other, *tail.plan.events[1:])))])


def test_a_part_counts_its_trials_in_the_whole_run() -> None:
    whole = plan_of(6)
    assert (part(whole, 1, 0).first, part(whole, 1, 0).open_trial) == (1, 1)
    assert (part(whole, 4, 2).first, part(whole, 4, 2).open_trial) == (4, 6)


@pytest.mark.parametrize("n_pulses", [1, 2, 3, 4, 5, 6, 12])
@pytest.mark.parametrize("ended", [100.0, 105.9, 106.0, 110.0, 131.0])
def test_a_trial_counts_if_it_ended_while_volumes_were_taken(n_pulses: int, ended: float) -> None:
    plan = plan_of(5)
    records = journal(("pulse", 100.0), ("zero", 100.0), *(("pulse", 100.0 + 2 * k) for k in range(1, n_pulses)
                                                           if 100.0 + 2 * k <= ended), ("end", ended))
    measured_s = 2.0 * sum(one["kind"] == "pulse" for one in records)
    by_hand = 0
    for event in plan.events:
        by_hand += event.onset_s + event.duration_s <= min(measured_s, ended - 100.0)
    assert count_shown(plan, records) == by_hand


def test_nothing_was_shown_before_the_first_pulse() -> None:
    assert count_shown(plan_of(3), journal(("start", 1.0), ("end", 500.0))) == 0
    assert count_shown(plan_of(0), journal(("zero", 1.0), ("pulse", 1.0), ("end", 500.0))) == 0


def test_changed_settings_are_all_named_and_kept_once_they_are_accepted() -> None:
    changes = ("display.background: 127 then, 128 now", "main.n_blank: 9 then, 5 now")
    assert require_accepted("a run", changes, accept=True) == changes
    assert require_accepted("", (), accept=False) == ()
    with pytest.raises(RunLogError, match="127 then, 128 now; main.n_blank: 9 then, 5 now; expected the settings of a "
                                          "run.*--accept-changes"):
        require_accepted("a run", changes, accept=False)


def _lines(seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    lines: list[dict[str, Any]] = []
    for k in range(60):
        t, kind = 10.0 + k / 10, rng.choice(["skip", "flip", "flip", "pulse", "blind"])
        record: dict[str, Any] = {"kind": "flip" if kind == "blind" else str(kind), "t": t + float(rng.uniform(0, .03))}
        lines.append(record if kind in ("pulse", "blind") else {**record, "planned": t, "step": k})
    return lines


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_those_of_a_plain_count(seed: int) -> None:
    lines = _lines(seed)
    found = changes_of(lines, frame_s=1 / 60)
    lateness = [one["t"] - one["planned"] for one in lines if one["kind"] == "flip" and "planned" in one]
    n_skipped = sum(one["kind"] == "skip" for one in lines)
    assert found.share_late == pytest.approx(np.mean([late > 1 / 60 + 1e-5 for late in lateness]))
    assert found.share_shown == pytest.approx(len(lateness) / (len(lateness) + n_skipped))
    assert found.worst_s == pytest.approx(max(lateness))
    assert json.loads(json.dumps(found.to_json()))["n_skipped"] == n_skipped
    assert not {"last_s", "last_step"} & set(found.to_json())


def test_a_change_between_two_steps_is_not_the_movie_standing_still() -> None:
    steps = Changes(1 / 60).shown(1.0, planned=1.0, step=4).shown(1.05, planned=1.05, step=None)
    assert steps.shown(1.1, planned=1.1, step=5).longest_gap_s == pytest.approx(0.05)
    assert steps.shown(9.0, planned=9.0, step=7).longest_gap_s == 0.0  # another movie
    assert (steps.n_steps, steps.last_step, steps.n_changes) == (1, 4, 2)


@pytest.mark.parametrize(("n_late", "n_skipped", "gap_s", "movie", "times"), [
    (2, 3, 0.5, True, True), (3, 3, 0.5, True, False), (2, 4, 0.5, False, True), (2, 3, 0.51, False, True)])
def test_a_bound_that_is_just_kept_is_kept(n_late: int, n_skipped: int, gap_s: float, movie: bool, times: bool) -> None:
    bounds = DisplaySettings(most_late=0.125, most_skipped=0.1875, longest_gap_s=0.5)
    found = Changes(n_changes=16, n_late=n_late, n_steps=16, n_skipped=n_skipped, longest_gap_s=gap_s)
    assert (found.movie_fits(bounds), found.times_fit(bounds)) == (movie, times)
    assert len(found.faults(bounds)) == (not movie) + (not times)


def test_nothing_shown_passes_every_bound() -> None:
    strict = DisplaySettings(most_late=0.0, most_skipped=0.0)
    empty = changes_of([], frame_s=1 / 60)
    assert (empty.share_late, empty.share_shown, empty.faults(strict)) == (0.0, None, ())
