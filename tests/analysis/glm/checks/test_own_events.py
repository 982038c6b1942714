"""Whose events a run's data hold: a plain loop beside it, exchanged runs on planted data, nothing in noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis.glm.checks.own_events import (
    MAX_VERTICES,
    SHRINKAGE,
    Z_OTHER,
    Z_SURE,
    Judged,
    Scan,
    find_whitener,
    judge_runs,
    lay_trials,
    make_scan,
    not_found,
    score_events,
)
from analysis.glm.design import Sampling, design_matrix, drift_degree, list_conditions, polynomials
from subjects.run_key import RunKey

TR_S, N_TRIALS = 2.0, 60
SAMPLING = Sampling(n_volumes=140, tr_s=TR_S, n_discarded=6)
KINDS = ("AI", "AN", "RE", "blank")


def key(run: int, *, ses: str = "01", sub: str = "01") -> RunKey:
    return RunKey(sub, ses, "main", run)


def shuffled(rng: np.random.Generator) -> pd.DataFrame:
    """Show 18 images of each type and 6 blanks in a random order, one trial each 4 s."""
    kinds = rng.permutation(np.repeat(["RE", "AN", "AI", "blank"], [18, 18, 18, 6]))
    shown = kinds != "blank"
    return pd.DataFrame({"onset": 12.0 + 4.0 * np.arange(N_TRIALS) + 2.0 * shown,
                         "duration": np.where(shown, 2.0, 4.0), "trial_type": kinds,
                         "image_id": np.where(shown, "px", None), "base_image": np.where(shown, "dogs-01", None),
                         "presentation": np.where(shown, 1, 0)})


def record(events: pd.DataFrame, betas: np.ndarray, *, rng: np.random.Generator, noise: float = 8.0) -> np.ndarray:
    """Make time series of mean 1000 from events: the response to each type in order AI, AN, RE, blank."""
    conditions = list_conditions({1: events}, session="01")
    places = [KINDS.index(kind) for kind in conditions["type"]]
    design = design_matrix(events, conditions=conditions, sampling=Sampling(n_volumes=140, tr_s=TR_S))
    whole = 1000 + design @ betas[places] + noise * rng.standard_normal((140, betas.shape[1]))
    return whole.astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def tables(rng: np.random.Generator) -> dict[RunKey, pd.DataFrame]:
    return {key(run): shuffled(rng) for run in range(1, 6)}


def scans_of(tables: dict[RunKey, pd.DataFrame], *, rng: np.random.Generator, size: float = 6.0,
             truth: Callable[[RunKey], RunKey] = lambda one: one, n_vertices: int = 300) -> dict[RunKey, Scan]:
    """Record runs of which each holds the events of `truth`, under its own name."""
    betas = size * (1 + 0.5 * rng.standard_normal((4, n_vertices))) * np.array([[1.0], [1.0], [1.0], [0.0]])
    return {one: make_scan(record(tables[truth(one)], betas, rng=rng), tables[one], sampling=SAMPLING)
            for one in tables}


def swap(one: RunKey) -> RunKey:
    return {key(1): key(2), key(2): key(1)}.get(one, one)


def test_the_score_is_that_of_a_plain_loop(tables: dict[RunKey, pd.DataFrame], rng: np.random.Generator) -> None:
    scan = scans_of(tables, rng=rng)[key(1)]
    template = rng.standard_normal((4, 300))
    trials = scan.lay(tables[key(1)])

    def one_score(kinds: np.ndarray) -> float:
        design = np.stack([trials.courses[:, kinds == k].sum(axis=1) for k in range(4)], axis=1)
        betas = np.linalg.lstsq(design, scan.series.astype(np.float64), rcond=None)[0]
        return float(sum((betas[:, v] - betas[:, v].mean()) @ template[:, v] for v in range(300)))

    draws = np.random.default_rng(5)
    null = [one_score(draws.permutation(trials.kinds)) for _ in range(30)]
    wanted = (one_score(trials.kinds) - np.mean(null)) / np.std(null)
    found = score_events(scan, tables[key(1)], template=template, rng=np.random.default_rng(5), n_shuffles=30)
    assert found == pytest.approx(wanted, rel=1e-4)


def test_courses_of_trials_add_up_to_the_design_without_drifts(tables: dict[RunKey, pd.DataFrame]) -> None:
    events = tables[key(3)]
    conditions = list_conditions({1: events}, session="01")
    design = design_matrix(events, conditions=conditions, sampling=SAMPLING)
    drift = polynomials(len(design), degree=drift_degree(SAMPLING))
    trials = lay_trials(events, sampling=SAMPLING, kinds=KINDS)
    for place, kind in enumerate(conditions["type"]):
        wanted = design[:, place] - drift @ (drift.T @ design[:, place])
        assert np.allclose(trials.courses[:, trials.kinds == KINDS.index(kind)].sum(axis=1), wanted)


def test_whole_runs_hold_their_own_events(tables: dict[RunKey, pd.DataFrame], rng: np.random.Generator) -> None:
    def never() -> dict[RunKey, pd.DataFrame]:
        raise AssertionError("other tables were asked for")

    judged = judge_runs(scans_of(tables, rng=rng), further=never, rng=rng)
    assert all(one.other is None and one.z > Z_SURE for one in judged.values())
    assert not_found(judged) == ()


@pytest.mark.parametrize("n_runs", [2, 3, 5])
def test_exchanged_runs_are_told_with_their_names(tables: dict[RunKey, pd.DataFrame], rng: np.random.Generator,
                                                  n_runs: int) -> None:
    some = {one: tables[one] for one in list(tables)[:n_runs]}
    judged = judge_runs(scans_of(some, rng=rng, truth=swap), further=dict, rng=rng)
    for one, other in ((key(1), key(2)), (key(2), key(1))):
        assert judged[one].other == other
        assert judged[one].z_other > max(Z_OTHER, judged[one].z + 3)
    assert all(judged[key(run)].other is None for run in range(3, n_runs + 1))


def test_data_of_a_run_that_is_elsewhere_are_told(tables: dict[RunKey, pd.DataFrame],
                                                  rng: np.random.Generator) -> None:
    further = {key(1, sub="02"): shuffled(rng), key(4, ses="02"): shuffled(rng)}
    betas = 6 * np.abs(rng.standard_normal((4, 300))) * np.array([[1.0], [1.5], [1.0], [0.0]])
    scans = {one: make_scan(record(events, betas, rng=rng), events, sampling=SAMPLING)
             for one, events in tables.items()}
    foreign = record(further[key(4, ses="02")], betas, rng=rng)
    scans[key(5)] = make_scan(foreign, tables[key(5)], sampling=SAMPLING)
    judged = judge_runs(scans, further=lambda: further, rng=rng)
    assert judged[key(5)].other == key(4, ses="02")
    unknown = judge_runs(scans, further=dict, rng=rng)
    assert unknown[key(5)].other is None
    assert not_found(unknown) == (key(5),)


def test_noise_is_nobodys_run(tables: dict[RunKey, pd.DataFrame], rng: np.random.Generator) -> None:
    scores = []
    for _ in range(12):
        judged = judge_runs(scans_of(tables, rng=rng, size=0.0, n_vertices=40), further=dict, rng=rng)
        assert all(one.other is None for one in judged.values())
        assert not_found(judged) == ()
        scores += [one.z for one in judged.values()]
    assert abs(np.mean(scores)) < 0.5
    assert 0.7 < np.std(scores) < 1.4


def test_a_run_by_itself_tells_nothing(tables: dict[RunKey, pd.DataFrame], rng: np.random.Generator) -> None:
    assert judge_runs(scans_of({key(1): tables[key(1)]}, rng=rng), further=dict, rng=rng) == {}


def test_units_drifts_and_vertices_without_signal_change_nothing(tables: dict[RunKey, pd.DataFrame],
                                                                 rng: np.random.Generator) -> None:
    data = record(tables[key(1)], 6 * np.abs(rng.standard_normal((4, 50))), rng=rng)
    drift = 40 * polynomials(140, degree=1)[:, 1:]
    first = make_scan(data, tables[key(1)], sampling=SAMPLING)
    other = make_scan((7 * (data + drift)).astype(np.float32), tables[key(1)], sampling=SAMPLING)
    assert np.allclose(first.series, other.series, atol=1e-2)
    dark = np.concatenate([data, np.zeros((140, 3), np.float32)], axis=1)
    assert (make_scan(dark, tables[key(1)], sampling=SAMPLING).series[:, 50:] == 0).all()


def test_of_many_vertices_some_are_taken(tables: dict[RunKey, pd.DataFrame]) -> None:
    wide = np.ones((140, 2 * MAX_VERTICES + 5), np.float32)
    assert make_scan(wide, tables[key(1)], sampling=SAMPLING).series.shape[1] <= MAX_VERTICES


def test_events_beyond_the_data_have_no_response(tables: dict[RunKey, pd.DataFrame]) -> None:
    short = Sampling(n_volumes=70, tr_s=TR_S)
    trials = lay_trials(tables[key(1)], sampling=short, kinds=KINDS)
    assert trials.courses.shape == (70, int((tables[key(1)]["onset"] <= 140).sum()))


@pytest.mark.parametrize(("scores", "wanted"), [((9, 9, 9, 9, 1), (5,)), ((9, 9, 1, 1, 1), ()), ((1, 1, 1, 1, 1), ()),
                                                ((9, 9, 9, 9, 2.5), ())])
def test_missing_events_are_told_where_those_of_most_runs_are_found(scores: tuple[float, ...],
                                                                    wanted: tuple[int, ...]) -> None:
    judged = {key(run): Judged(z) for run, z in enumerate(scores, start=1)}
    assert not_found(judged) == tuple(key(run) for run in wanted)


def test_whitened_least_squares_are_those_weighted_by_the_covariance(tables: dict[RunKey, pd.DataFrame],
                                                                     rng: np.random.Generator) -> None:
    raw = rng.standard_normal((134, 134)) @ rng.standard_normal((134, 400))
    white = find_whitener(raw.astype(np.float32))
    covariance = raw @ raw.T / 400
    shrunk = (1 - SHRINKAGE) * covariance / (np.trace(covariance) / 134) + SHRINKAGE * np.eye(134)
    assert np.allclose(white @ shrunk @ white, np.eye(134), atol=1e-3)
    design = rng.standard_normal((134, 3))
    inverse = np.linalg.inv(shrunk)
    weighted = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse @ raw)
    assert np.allclose(np.linalg.lstsq(white @ design, white @ raw, rcond=None)[0], weighted, rtol=1e-2, atol=1e-2)
    assert np.array_equal(find_whitener(np.zeros((5, 3), np.float32)), np.eye(5))


def shared_noise(rng: np.random.Generator, *, n_vertices: int = 300) -> np.ndarray:
    """Waves that all vertices share, three times as large as the noise of each."""
    return 25 * rng.standard_normal((140, 4)) @ rng.standard_normal((4, n_vertices))


@pytest.mark.parametrize("exchanged", [False, True])
def test_two_runs_are_told_apart_beneath_noise_that_vertices_share(tables: dict[RunKey, pd.DataFrame],
                                                                   rng: np.random.Generator, exchanged: bool) -> None:
    """Beneath it neither order of two runs scored 4 while data were not whitened."""
    two = list(tables)[:2]
    betas = 4 * (1 + 0.5 * rng.standard_normal((4, 300))) * np.array([[1.0], [1.0], [1.0], [0.0]])
    held = dict(zip(two, reversed(two) if exchanged else two, strict=True))
    scans = {one: make_scan((record(tables[held[one]], betas, rng=rng) + shared_noise(rng)).astype(np.float32),
                            tables[one], sampling=SAMPLING) for one in two}
    judged = judge_runs(scans, further=dict, rng=rng)
    assert [one.other for one in judged.values()] == ([two[1], two[0]] if exchanged else [None, None])
    assert exchanged or min(one.z for one in judged.values()) > Z_SURE


@pytest.mark.parametrize("order", [(2, 3, 4, 5, 1), (2, 1, 4, 3, 5), (3, 1, 2, 4, 5), (5, 4, 3, 2, 1)])
def test_exchanges_of_several_runs_are_told(tables: dict[RunKey, pd.DataFrame], rng: np.random.Generator,
                                            order: tuple[int, ...]) -> None:
    truth = {key(run): key(other) for run, other in enumerate(order, start=1)}
    judged = judge_runs(scans_of(tables, rng=rng, truth=truth.__getitem__), further=dict, rng=rng)
    assert {one: found.other or one for one, found in judged.items()} == truth


def test_a_whole_session_of_elsewhere_is_told(tables: dict[RunKey, pd.DataFrame], rng: np.random.Generator) -> None:
    further = {key(run, ses=ses): shuffled(rng) for ses in ("02", "03") for run in range(1, 6)}
    betas = 6 * (1 + 0.5 * rng.standard_normal((4, 300))) * np.array([[1.0], [1.0], [1.0], [0.0]])
    scans = {one: make_scan(record(further[key(one.run, ses="03")], betas, rng=rng), events, sampling=SAMPLING)
             for one, events in tables.items()}
    judged = judge_runs(scans, further=lambda: further, rng=rng)
    assert {one: found.other for one, found in judged.items()} == {one: key(one.run, ses="03") for one in tables}


def test_a_run_that_lacks_a_type_is_judged_with_the_others(tables: dict[RunKey, pd.DataFrame],
                                                           rng: np.random.Generator) -> None:
    tables[key(2)] = tables[key(2)][tables[key(2)]["trial_type"] != "blank"].reset_index(drop=True)
    judged = judge_runs(scans_of(tables, rng=rng), further=dict, rng=rng)
    assert all(one.other is None and one.z > Z_SURE for one in judged.values())
