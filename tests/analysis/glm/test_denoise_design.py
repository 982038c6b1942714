"""From events to what GLMdenoise is given: against the design matrix of the GLM; runs in parts against whole ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.glm.denoising.given import choose_units, lay_onsets, make_experiment
from analysis.glm.denoising.hrf_estimate import convolve
from analysis.glm.design import Sampling, design_matrix
from analysis.glm.portions import say_missing, split_session
from subjects.run_key import RunKey

TR_S = 2.0
TAILS = 5e-4
"""Tails are cut 32 s after an event, here after each of its pieces."""


def events_of(run: int, *, n_images: int = 6, late_s: float = 0.0, start_s: float = 22.0, every_s: float = 4.0,
              shown: slice = slice(None)) -> pd.DataFrame:
    """Two showings of every image and three blanks that last as long as a trial, in another order in every run."""
    rng = np.random.default_rng(run)
    rows = [("RE", f"px-{k}", f"image-{k}", showing) for k in range(n_images) for showing in (1, 2)]
    rows += [("blank", None, None, None)] * 3
    seen: dict[str, int] = {}
    made = []
    for place, k in enumerate(rng.permutation(len(rows))):
        kind, image, name, _ = rows[k]
        seen[str(image)] = seen.get(str(image), 0) + 1
        made.append({"onset": start_s + every_s * place + late_s, "duration": 4.0 if kind == "blank" else 2.0,
                     "trial_type": kind, "image_id": image, "base_image": name,
                     "presentation": None if image is None else seen[str(image)]})
    table = pd.DataFrame(made)[shown].reset_index(drop=True)
    table["presentation"] = table["presentation"].astype("Float64")
    return table


def session(n_runs: int = 3, **given) -> dict[RunKey, pd.DataFrame]:
    return {RunKey("01", "01", "main", run): events_of(run, **given) for run in range(1, n_runs + 1)}


def sampling(**given) -> Sampling:
    return Sampling(**{"n_volumes": 60, "tr_s": TR_S, "n_discarded": 9, **given})


@pytest.mark.parametrize(("late_s", "start_s"), [(0.0, 0.0), (0.6, 0.0), (0.0, 1.0), (1.9, 1.0)])
def test_onsets_with_the_canonical_response_are_the_design_of_the_glm(late_s, start_s):
    """Locked to the volumes with any delay, images and longer blanks alike; sums of pieces that overlap are exact."""
    events = session(late_s=late_s)
    portion, = split_session(events, session="01", partition="presentation")
    taken = sampling(start_s=start_s)
    units = choose_units(list(events.values()), [taken] * 3)
    for table in events.values():
        laid = lay_onsets(table, conditions=portion.conditions, sampling=taken, units=units)
        assert laid.shape == (60, 13)
        found = convolve(laid, units.canonical)[taken.n_discarded:]
        wanted = design_matrix(table, conditions=portion.conditions, sampling=taken)
        np.testing.assert_allclose(found, wanted, atol=TAILS)


def test_onsets_between_volumes_are_interpolated():
    events = session(every_s=4.5)
    portion, = split_session(events, session="01", partition="presentation")
    units = choose_units(list(events.values()), [sampling(n_volumes=70)] * 3)
    table = events[RunKey("01", "01", "main", 1)]
    laid = lay_onsets(table, conditions=portion.conditions, sampling=sampling(n_volumes=70), units=units)
    found = convolve(laid, units.canonical)[9:]
    wanted = design_matrix(table, conditions=portion.conditions, sampling=sampling(n_volumes=70))
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.98


def test_an_image_that_was_left_up_counts_for_as_long_as_it_was():
    table = events_of(1)
    first = int(np.flatnonzero(table["trial_type"] == "RE")[0])
    table.loc[first, "duration"] = 4.0
    events = {RunKey("01", "01", "main", 1): table, RunKey("01", "01", "main", 2): events_of(2)}
    portion, = split_session(events, session="01", partition="presentation")
    units = choose_units(list(events.values()), [sampling()] * 2)
    assert units.duration_s == 2.0
    laid = lay_onsets(table, conditions=portion.conditions, sampling=sampling(), units=units)
    wanted = design_matrix(table, conditions=portion.conditions, sampling=sampling())
    np.testing.assert_allclose(convolve(laid, units.canonical)[9:], wanted, atol=TAILS)


def test_a_run_in_parts_is_one_run_whose_parts_do_not_touch():
    whole = session(2)
    first = RunKey("01", "01", "main", 1)
    cut = {first: events_of(1, shown=slice(None, 8)),
           RunKey("01", "01", "main", 1, part=2): events_of(1, shown=slice(8, None), start_s=22.0 - 32.0),
           RunKey("01", "01", "main", 2): whole[RunKey("01", "01", "main", 2)]}
    portion, = split_session(cut, session="01", partition="presentation")
    assert portion.in_parts == (1,)
    samplings = {key: sampling(n_volumes=30 if key.run == 1 else 60) for key in cut}
    made, units = make_experiment(portion, samplings=samplings, drift_minutes=2.0, hrf_fit="optimize")
    exact, _ = make_experiment(portion, samplings=samplings, drift_minutes=2.0, hrf_fit="assume")
    assert len(made.onsets) == 2
    assert [len(one.drifts) for one in made.nuisance] == [42, 51]
    assert made.predicted is None
    for onsets, rows, predicted in zip(made.onsets, made.rows, exact.predicted, strict=True):
        np.testing.assert_allclose(convolve(onsets, units.canonical)[rows], predicted, atol=TAILS)
    parts = [design_matrix(cut[key], conditions=portion.conditions, sampling=samplings[key]) for key in list(cut)[:2]]
    np.testing.assert_allclose(exact.predicted[0], np.concatenate(parts))
    drifts = made.nuisance[0].drifts
    assert not drifts[:21, drifts.shape[1] // 2:].any()
    assert not drifts[21:, :drifts.shape[1] // 2].any()


def test_presentations_are_merged_only_where_they_do_not_repeat():
    events = session(2)
    samplings = {key: sampling() for key in events}
    portion, = split_session(events, session="01", partition="presentation")
    apart, _ = make_experiment(portion, samplings=samplings, drift_minutes=2.0, hrf_fit="optimize")
    assert not apart.is_merged
    lone = {key: table.assign(presentation=table["presentation"].where(table["presentation"].isna(), key.run))
            for key, table in events.items()}
    portion, = split_session(lone, session="01", partition="presentation")
    merged, _ = make_experiment(portion, samplings=samplings, drift_minutes=2.0, hrf_fit="optimize")
    assert len(portion.conditions) == 13
    assert merged.groups.max() + 1 == 7
    kept_apart = portion.conditions.assign(group=merged.groups).groupby("group")["image_id"].nunique()
    assert (kept_apart == 1).all()
    assert {run: len(lacking) for run, lacking in portion.missing.items()} == {1: 6, 2: 6}
    assert say_missing(portion.missing).startswith("run 1 lacks 6 conditions (RE image-")


def test_a_condition_that_one_run_lacks_is_said_and_nothing_is_merged():
    events = session(3)
    first = next(iter(events))
    gone = events[first]["trial_type"] == "blank"
    events[first] = events[first][~gone].reset_index(drop=True)
    portion, = split_session(events, session="01", partition="presentation")
    assert portion.missing == {1: ("blank",)}
    made, _ = make_experiment(portion, samplings={key: sampling() for key in events}, drift_minutes=2.0,
                              hrf_fit="optimize")
    assert not made.is_merged


def test_halves_take_runs_in_turn_and_count_every_showing():
    odd, even = split_session(session(5), session="01", partition="runs")
    assert (list(odd.runs), list(even.runs)) == ([1, 3, 5], [2, 4])
    for half, number in ((odd, 1), (even, 2)):
        assert len(half.conditions) == 7
        assert set(half.conditions["presentation"]) == {number, 0}
        for table in half.events.values():
            assert (table.groupby("image_id").size() == 2).all()
    assert odd.where == "ses-01, odd runs"
