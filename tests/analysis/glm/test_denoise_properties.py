"""Pool, components, draws, experiment and files of GLMdenoise: what must not matter, and loops over small cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from analysis.glm.betas import COLUMNS
from analysis.glm.denoising.bootstraps import draw_runs, weighted_percentiles
from analysis.glm.denoising.components import (
    beyond_nuisance,
    choose_components,
    choose_pool,
    noise_components,
)
from analysis.glm.denoising.experiment import Experiment
from analysis.glm.denoising.files import (
    PortionNoise,
    PortionResponses,
    load_noise,
    load_responses,
    load_snr,
    require_noise,
    require_responses,
    save_noise,
    save_responses,
)
from analysis.glm.denoising.hrf_estimate import HrfEstimate
from analysis.glm.denoising.model import Nuisance, SurfaceRuns, scan_runs
from analysis.glm.design import polynomials
from subjects.errors import AnalysisError

Session = tuple[list[np.ndarray], list[Nuisance]]


@pytest.fixture
def session() -> Session:
    rng = np.random.default_rng(0)
    data = [(200 + rng.standard_normal((n, 3)) @ rng.standard_normal((3, 25)) + 0.3 * rng.standard_normal((n, 25))
             ).astype(np.float32) for n in (40, 33)]
    return data, [Nuisance(polynomials(len(one), degree=2)) for one in data]


def components_of(data: list[np.ndarray], nuisance: list[Nuisance], *, pool: np.ndarray, n: int = 4,
                  block: int = 7) -> list[np.ndarray]:
    runs = SurfaceRuns(data, block)
    return noise_components(runs, scan=scan_runs(runs, nuisance=nuisance), nuisance=nuisance, pool=pool,
                            n_components=n)


def test_components_know_neither_the_scale_of_a_vertex_nor_the_order_of_vertices_nor_the_blocks(
        session: Session) -> None:
    data, nuisance = session
    pool = np.arange(25) % 3 > 0
    found = components_of(data, nuisance, pool=pool)
    gains = np.random.default_rng(1).uniform(0.5, 2.0, 25)
    order = np.random.default_rng(2).permutation(25)
    others = [components_of([(one * gains).astype(np.float32) for one in data], nuisance, pool=pool),
              components_of([one[:, order] for one in data], nuisance, pool=pool[order]),
              components_of(data, nuisance, pool=pool, block=100)]
    for other in others:
        for one, two in zip(found, other, strict=True):
            np.testing.assert_allclose(two, one, atol=1e-3)


def test_components_are_uncorrelated_without_drifts_of_deviation_1_and_positive_at_their_peak(
        session: Session) -> None:
    data, nuisance = session
    for found, one in zip(components_of(data, nuisance, pool=np.ones(25, bool)), nuisance, strict=True):
        n = len(found)
        np.testing.assert_allclose(found.T @ found, (n - 1) * np.eye(4), atol=1e-8 * n)
        np.testing.assert_allclose(one.drifts.T @ found, 0, atol=1e-6)
        assert (found.max(axis=0) == np.abs(found).max(axis=0)).all()


def test_vertices_outside_the_pool_have_no_say(session: Session) -> None:
    data, nuisance = session
    pool = np.arange(25) < 15
    spoilt = [one.copy() for one in data]
    for one in spoilt:
        one[:, ~pool] = np.random.default_rng(3).normal(500, 90, one[:, ~pool].shape)
    for one, two in zip(*(components_of(some, nuisance, pool=pool) for some in (data, spoilt)), strict=True):
        np.testing.assert_allclose(two, one, atol=1e-9)


def test_a_constant_pool_and_no_pool_give_no_components(session: Session) -> None:
    data, nuisance = session
    flat = [np.full_like(one, 7.0) for one in data]
    for some, pool, n in ((flat, np.ones(25, bool), 4), (data, np.zeros(25, bool), 4), (data, np.ones(25, bool), 0)):
        assert [one.shape for one in components_of(some, nuisance, pool=pool, n=n)] == [(40, 0), (33, 0)]


def test_more_components_than_volumes_are_refused_by_the_run() -> None:
    nuisance = [Nuisance(polynomials(n, degree=1)) for n in (20, 6)]
    columns = [np.random.default_rng(n).standard_normal((n, 4)) for n in (20, 6)]
    with pytest.raises(ValueError, match="run 2: 4 components and 2 nuisance columns for 6 volumes"):
        beyond_nuisance(columns, nuisance=nuisance)


def test_the_pool_is_that_of_a_loop_over_vertices() -> None:
    rng = np.random.default_rng(4)
    mean, r2 = rng.uniform(10, 100, 80), rng.normal(0, 5, 80).astype(np.float32)
    r2[::9] = np.nan
    exclude = rng.random(80) < 0.2
    found = choose_pool(mean, r2=r2, percentile=90, fraction=0.6, r2_below=1.0, exclude=exclude)
    line = 0.6 * np.percentile(mean, 90, method="hazen")
    expected = [bool(mean[v] > line and r2[v] < 1.0 and not exclude[v]) for v in range(80)]
    assert found.mask.tolist() == expected
    assert found.n_bright == sum(value > line for value in mean)
    assert not found.is_empty
    assert choose_pool(mean, r2=np.full(80, np.nan, np.float32)).is_empty
    with pytest.raises(ValueError, match=r"exclusion of \(79,\) vertices beside \(80,\)"):
        choose_pool(mean, r2=r2, exclude=exclude[1:])


def test_the_choice_of_components_looks_at_good_vertices_only_and_not_at_their_order() -> None:
    rng = np.random.default_rng(5)
    good = np.linspace(0, 9, 6)[:, None] + rng.normal(10, 1, (6, 30))
    poor = -np.linspace(0, 50, 6)[:, None] - rng.uniform(1, 20, (6, 500))
    r2 = np.concatenate([good, poor, np.full((6, 3), np.nan)], axis=1).astype(np.float32)
    alone, among = choose_components(good.astype(np.float32)), choose_components(r2)
    assert among.n_components == alone.n_components == 5
    np.testing.assert_array_equal(among.curve, alone.curve)
    assert among.vertices.sum() == 30
    order = rng.permutation(533)
    np.testing.assert_array_equal(choose_components(r2[:, order]).vertices, among.vertices[order])


def test_a_falling_curve_takes_none_and_no_signal_is_refused() -> None:
    falling = np.array([[5.0, 6.0], [4.0, 5.0], [3.0, 4.0]], np.float32)
    found = choose_components(falling)
    assert (found.n_components, found.still_rises) == (0, False)
    assert not choose_components(falling[:1]).still_rises
    with pytest.raises(ValueError, match="no vertex with a cross-validated R2"):
        choose_components(np.full((3, 4), np.nan, np.float32))


def test_draws_are_those_of_a_loop_and_every_one_has_as_many_runs() -> None:
    found = draw_runs(4, n_draws=500, rng=np.random.default_rng(6))
    picks = np.random.default_rng(6).integers(4, size=(500, 4))
    counted: dict[tuple[int, ...], int] = {}
    for pick in picks:
        weights = tuple(int((pick == run).sum()) for run in range(4))
        counted[weights] = counted.get(weights, 0) + 1
    assert {tuple(row): count for row, count in zip(found.weights.tolist(), found.counts.tolist(), strict=True)} \
        == counted
    assert (found.weights.sum(axis=1) == 4).all()


def test_one_run_a_group_leaves_nothing_to_draw() -> None:
    for given in ({"n_runs": 1}, {"n_runs": 3, "groups": [7, 5, 9]}):
        found = draw_runs(n_draws=20, rng=np.random.default_rng(7), **given)
        assert found.weights.tolist() == [[1] * given["n_runs"]]
        assert found.counts.tolist() == [20]
        assert found.is_resampled


def test_percentiles_move_with_their_values_and_are_in_order() -> None:
    rng = np.random.default_rng(8)
    values, counts = rng.standard_normal((6, 3, 5), dtype=np.float32), np.array([1, 4, 2, 9, 1, 3])
    found = weighted_percentiles(values, counts=counts)
    assert found.shape == (3, 3, 5)
    assert (np.diff(found, axis=0) >= 0).all()
    np.testing.assert_allclose(weighted_percentiles(2 * values + 1, counts=counts), 2 * found + 1, atol=1e-6)
    np.testing.assert_allclose(weighted_percentiles(-values, counts=counts), -found[::-1], atol=1e-6)
    order = rng.permutation(6)
    np.testing.assert_array_equal(weighted_percentiles(values[order], counts=counts[order]), found)
    low, middle, high = weighted_percentiles(values[:1], counts=np.array([5]))
    np.testing.assert_array_equal(low, high)
    np.testing.assert_allclose(middle, values[0], rtol=1e-6)


def experiment(**changes: object) -> Experiment:
    rng = np.random.default_rng(9)
    given = {"onsets": [(rng.random((n, 4)) < 0.2).astype(float) for n in (30, 24)],
             "nuisance": [Nuisance(polynomials(n, degree=1)) for n in (28, 22)], "response": np.array([0.0, 1.0, 0.4]),
             "kept": [slice(2, None), np.arange(2, 24)], "merged": [5, 2, 5, 9]}
    return Experiment(**{**given, **changes})


def test_merged_designs_are_sums_of_columns_in_order_of_their_labels() -> None:
    made = experiment()
    assert made.groups.tolist() == [1, 0, 1, 2]
    assert made.is_merged
    assert not experiment(merged=[3, 1, 0, 2]).is_merged
    for one, onsets in zip(made.merge(made.onsets), made.onsets, strict=True):
        np.testing.assert_array_equal(one, np.stack([onsets[:, 1], onsets[:, 0] + onsets[:, 2], onsets[:, 3]], axis=1))


@pytest.mark.parametrize("outcome", ["assumed", "fir"])
def test_designs_are_plain_convolutions_cut_to_the_kept_volumes(outcome: str) -> None:
    made = experiment()
    response = made.response
    hrf = HrfEstimate(outcome=outcome, response=response, seed=response)
    for found, onsets, first in zip(made.designs(hrf), made.onsets, (2, 2), strict=True):
        lagged = np.zeros((len(onsets), 4, 3))
        for volume in range(len(onsets)):
            for lag in range(3):
                if volume >= lag:
                    lagged[volume, :, lag] = onsets[volume - lag]
        whole = lagged @ response if outcome == "assumed" else lagged.reshape(len(onsets), 12)
        np.testing.assert_allclose(found, whole[first:], atol=1e-12)


@pytest.mark.parametrize(("changes", "text"), [
    ({"nuisance": [Nuisance(polynomials(28, degree=1))]}, "onsets of 2 runs beside nuisance columns of 1"),
    ({"kept": None}, "run 1: 30 rows of onsets, 30 of them kept, beside 28 volumes"),
    ({"onsets": [np.zeros((30, 4)), np.zeros((24, 3))]}, "runs of 3 and 4 conditions"),
    ({"merged": [0, 1]}, "groups of 2 conditions beside 4"),
    ({"predicted": [np.zeros((28, 4)), np.zeros((22, 3))]}, "predicted time courses of another shape"),
])
def test_an_experiment_with_one_fault_is_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        experiment(**changes)


def noise_of(name: str, *, estimated: bool) -> PortionNoise:
    rng = np.random.default_rng(10)
    more = {"estimate": rng.random(3), "vertices": np.array([4, 1]), "r2_seed": 81.5, "rounds": 4} if estimated else {}
    hrf = HrfEstimate(outcome="estimated" if estimated else "assumed", response=rng.random(3), seed=rng.random(3),
                      **more)
    return PortionNoise(
        name=name, hrf=hrf, times_s=np.arange(3.0), n_components=1, curve=rng.random(3), is_fallback=estimated,
        components={run: rng.random((5, 2)) for run in (2, 10, 1)}, in_parts=(2, 10), missing="run 2 lacks 1 condition",
        not_cross_validated=("RE a-01 presentation 1",), n_conditions=7, is_merged=not estimated, threshold=12.5,
        pool={hemi: rng.random(4) < 0.5 for hemi in "LR"}, curve_vertices={hemi: rng.random(4) < 0.5 for hemi in "LR"},
        xval_r2={hemi: rng.random((3, 4), dtype=np.float32) for hemi in "LR"})


def test_what_was_learnt_comes_back_from_its_file_with_runs_in_number_order(tmp_path: Path) -> None:
    portions = [noise_of("odd runs", estimated=True), noise_of("even runs", estimated=False)]
    path = require_noise(save_noise(tmp_path / "noise.h5", portions))
    back = load_noise(path)
    assert [one.name for one in back] == ["odd runs", "even runs"]
    for one, other in zip(back, portions, strict=True):
        assert list(one.components) == [1, 2, 10]
        for name in ("n_components", "is_fallback", "in_parts", "missing", "not_cross_validated", "n_conditions",
                     "is_merged", "threshold", "n_pool"):
            assert getattr(one, name) == getattr(other, name), name
        for name in ("components", "pool", "curve_vertices", "xval_r2"):
            for place, values in getattr(other, name).items():
                np.testing.assert_array_equal(getattr(one, name)[place], values)
                assert getattr(one, name)[place].dtype == values.dtype
        for name in ("outcome", "response", "seed", "estimate", "r2_seed", "rounds", "vertices"):
            np.testing.assert_array_equal(getattr(one.hrf, name), getattr(other.hrf, name))
        assert one.remarks() == other.remarks()


def responses_of(name: str, *, courses: bool = False) -> PortionResponses:
    rng = np.random.default_rng(11)
    table = pd.DataFrame([("01", "RE", "px-a", "a-01", 1), ("01", "blank", "", "", 0)], columns=list(COLUMNS))
    values = {one: rng.random((2, 5), dtype=np.float32) for one in ("percent", "errors")}
    values |= {one: rng.random(5, dtype=np.float32) for one in ("snr_before", "snr_after")}
    values |= {one: rng.random(5) for one in ("mean_signal", "ss_total", "ss_residual")}
    values["errors"][0, 1] = np.nan
    return PortionResponses(name=name, conditions=table, n_volumes=40, condition_number=3.5, **values,
                            courses=rng.random((2, 3, 5), dtype=np.float32) if courses else None)


@pytest.mark.parametrize("courses", [False, True])
def test_responses_come_back_from_their_file(tmp_path: Path, courses: bool) -> None:
    one = responses_of("all runs", courses=courses)
    path = require_responses(save_responses(tmp_path / "responses.h5", [one], hemi="L"))
    back, = load_responses(path)
    for name in ("percent", "errors", "snr_before", "snr_after", "mean_signal", "ss_total", "ss_residual"):
        np.testing.assert_array_equal(getattr(back, name), getattr(one, name))
    pd.testing.assert_frame_equal(back.conditions, one.conditions, check_dtype=False)
    assert (back.name, back.n_volumes, back.condition_number) == ("all runs", 40, 3.5)
    assert (back.courses is None) != courses
    if courses:
        np.testing.assert_array_equal(back.courses, one.courses)
    before, after = load_snr(path)["all runs"]
    np.testing.assert_array_equal(before, one.snr_before)
    np.testing.assert_array_equal(after, one.snr_after)


def test_responses_of_another_shape_and_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    wrong = replace(responses_of("all runs"), percent=np.zeros((3, 5), np.float32))
    path = save_responses(tmp_path / "responses.h5", [wrong], hemi="L")
    with pytest.raises(AnalysisError, match="/all runs: betas of another shape than conditions and vertices"):
        require_responses(path)
    for load in (load_noise, require_noise):
        with pytest.raises(AnalysisError, match="format '.*session responses'; expected '.*noise model'"):
            load(path)
    with h5py.File(path, "a") as file:
        del file["all runs/snr_after"]
    for load in (load_snr, load_responses):
        with pytest.raises(AnalysisError, match="a file that cannot be read .*Fit again with `python -m analysis glm`"):
            load(path)
    with pytest.raises(AnalysisError, match="no such file; expected session responses"):
        load_snr(tmp_path / "none.h5")
