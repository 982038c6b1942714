"""Whole fits: one vertex against scipy, planted fields, bad vertices, what must not change a fit, cross-validation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares

from analysis.regions.prf.design import Experiment
from analysis.regions.prf.fit import cross_validate, fit_prf, predict_prf
from analysis.regions.prf.records import Bounds, Options, PrfFit, default_bounds
from tests.analysis.regions.prf_cases import (
    made_fit,
    plain_series,
    random_fields,
    small_experiment,
    sweeping_bar,
    without_drifts,
)

PLACES = ("x_deg", "y_deg", "sigma_deg", "exponent", "gain", "r2", "lag_s", "width")


def simulate(truth: PrfFit, experiment: Experiment, *, snr: float | None = None, seed: int = 0) -> list[np.ndarray]:
    """Predict, add a baseline and a drift and, at some signal-to-noise ratio, white noise."""
    rng = np.random.default_rng(seed)
    data = []
    for series in predict_prf(truth, experiment=experiment):
        noise = 0.0 if snr is None else series.std(axis=0) / snr * rng.standard_normal(series.shape)
        drift = np.linspace(0, 2, len(series))[:, None]
        data.append((100.0 + series + noise + drift).astype(np.float32))
    return data


def distance(found: PrfFit, truth: PrfFit) -> np.ndarray:
    return np.hypot(found.x_deg - truth.x_deg, found.y_deg - truth.y_deg)


def assert_same(one: PrfFit, other: PrfFit, *, r2: float = 5e-3) -> None:
    """The same fit beyond rounding, where the data say where it is."""
    np.testing.assert_allclose(one.r2, other.r2, atol=r2)
    assert np.median(distance(one, other)) < 1e-3


@pytest.fixture(scope="module")
def noisy() -> tuple[Experiment, PrfFit, list[np.ndarray]]:
    experiment = small_experiment(sweeping_bar(), sweeping_bar(n_steps=9), degree=2)
    truth = random_fields(40, rng=np.random.default_rng(1))
    return experiment, truth, simulate(truth, experiment, snr=1.5)


@pytest.mark.parametrize(("exponent", "seed"), [(None, 0), (None, 1), (1.0, 2)])
def test_one_vertex_ends_where_scipy_does_on_a_plain_loop(exponent, seed):
    experiment = small_experiment(sweeping_bar(n_rows=10, n_cols=12, n_steps=8), degree=2)
    stimulus = experiment.stimulus
    movie = sweeping_bar(n_rows=10, n_cols=12, n_steps=8)
    truth = random_fields(1, rng=np.random.default_rng(seed))
    data, = simulate(truth, experiment, snr=2.0, seed=seed)
    target = without_drifts(data[:, 0].astype(np.float64), degree=2)

    def residual(point: np.ndarray) -> np.ndarray:
        x, y, log_sigma, gain = point[:4]
        n = np.exp(point[4]) if exponent is None else exponent
        series = plain_series(movie, x=stimulus.x_deg, y=stimulus.y_deg, point=(x, y, np.exp(log_sigma), n))
        return gain * without_drifts(series, degree=2) - target

    start = [truth.x_deg[0], truth.y_deg[0], np.log(truth.sigma_deg[0]), truth.gain[0], np.log(truth.exponent[0])]
    bounds = default_bounds(stimulus)
    limits = np.array([bounds.x_deg, bounds.y_deg, np.log(bounds.sigma_deg), (0.0, np.inf), np.log(bounds.exponent)]).T
    n = 5 if exponent is None else 4
    theirs = least_squares(residual, start[:n], bounds=limits[:, :n], xtol=1e-10, ftol=1e-10)
    found = fit_prf([data], experiment=experiment, options=Options(exponent=exponent))
    r2 = 100 * (1 - 2 * theirs.cost / (target @ target))
    assert found.r2[0] == pytest.approx(r2, abs=0.005)
    np.testing.assert_allclose([found.x_deg[0], found.y_deg[0]], theirs.x[:2], atol=0.02)
    assert found.sigma_deg[0] == pytest.approx(np.exp(theirs.x[2]), rel=0.05)
    assert found.gain[0] == pytest.approx(theirs.x[3], rel=0.05)


def test_noiseless_fields_come_back_whole():
    experiment = small_experiment(degree=2)
    truth = random_fields(50, rng=np.random.default_rng(0))
    found = fit_prf(simulate(truth, experiment), experiment=experiment)
    assert np.median(found.r2) > 99.999
    assert distance(found, truth).max() < 0.05
    np.testing.assert_allclose(np.median(found.size_deg / truth.size_deg), 1.0, atol=2e-3)
    np.testing.assert_allclose(np.median(found.gain / truth.gain), 1.0, atol=2e-3)
    np.testing.assert_allclose(found.size_deg, found.sigma_deg / np.sqrt(found.exponent))
    np.testing.assert_allclose(found.eccentricity_deg * np.cos(np.radians(found.angle_deg)), found.x_deg, atol=1e-9)
    np.testing.assert_allclose(found.eccentricity_deg * np.sin(np.radians(found.angle_deg)), found.y_deg, atol=1e-9)
    assert ((found.angle_deg >= 0) & (found.angle_deg < 360)).all()
    assert found.converged.all()
    assert not found.seed.any()


@pytest.mark.parametrize("field", [{"width_deg": 5.0, "height_deg": 12.0}, {"width_deg": 16.0, "height_deg": 6.0},
                                   {"width_deg": 8.0, "height_deg": 8.0, "x_deg": 3.0, "y_deg": -2.0}])
def test_a_field_that_is_not_square_or_centred_moves_no_centre(field):
    experiment = small_experiment(degree=2, **field)
    (left, right), (lower, upper) = experiment.stimulus.limits_deg
    rng = np.random.default_rng(0)
    truth = made_fit(x=rng.uniform(left + 1, right - 1, 20), y=rng.uniform(lower + 1, upper - 1, 20),
                     sigma=np.full(20, 0.9), exponent=np.full(20, 0.5))
    found = fit_prf(simulate(truth, experiment), experiment=experiment)
    assert distance(found, truth).max() < 0.05


def test_r2_is_what_the_prediction_explains(noisy):
    experiment, _, data = noisy
    found = fit_prf(data, experiment=experiment)
    clean = [without_drifts(run.astype(np.float64), degree=2) for run in data]
    predicted = predict_prf(found, experiment=experiment)
    left = sum(((a - b) ** 2).sum(axis=0) for a, b in zip(clean, predicted, strict=True))
    whole = sum((a**2).sum(axis=0) for a in clean)
    np.testing.assert_allclose(found.r2, 100 * (1 - left / whole), atol=1e-3)


@pytest.mark.parametrize(("block", "block_vertices"), [(1, 8192), (17, 8192), (256, 7), (1000, 1)])
def test_blocks_change_nothing_beyond_rounding(noisy, block, block_vertices):
    experiment, _, data = noisy
    data = [run[:, :20] for run in data]
    whole = fit_prf(data, experiment=experiment)
    parts = fit_prf(data, experiment=experiment, options=Options(block=block), block_vertices=block_vertices)
    assert_same(parts, whole)


def test_parts_join_and_tables_come_back(noisy):
    experiment, _, data = noisy
    whole = fit_prf(data, experiment=experiment)
    joined = PrfFit.join([fit_prf([run[:, part] for run in data], experiment=experiment)
                          for part in (slice(0, 13), slice(13, 40))])
    assert_same(joined, whole)
    back = PrfFit.from_table(whole.table)
    for name in PrfFit.TABLE:
        np.testing.assert_array_equal(getattr(back, name), getattr(whole, name))
        assert getattr(back, name).dtype == getattr(whole, name).dtype


def test_the_same_data_give_the_same_bits(noisy):
    experiment, _, data = noisy
    one, other = (fit_prf(data, experiment=experiment) for _ in range(2))
    for name in PrfFit.TABLE:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_scale_baseline_and_drift_of_a_vertex_do_not_matter(noisy):
    experiment, _, data = noisy
    found = fit_prf(data, experiment=experiment)
    changed = [5.0 * run + 1000.0 + 20.0 * np.linspace(-1, 1, len(run))[:, None] ** 2 for run in data]
    other = fit_prf([run.astype(np.float32) for run in changed], experiment=experiment)
    assert_same(other, found, r2=0.02)
    assert np.median(other.gain / found.gain) == pytest.approx(5.0, rel=1e-2)


def test_the_order_of_runs_does_not_matter(noisy):
    experiment, _, data = noisy
    assert_same(fit_prf(data[::-1], experiment=experiment.subset([1, 0])), fit_prf(data, experiment=experiment))


def test_missing_and_constant_vertices_are_counted_and_alter_no_other(noisy):
    experiment, _, data = noisy
    whole = fit_prf(data, experiment=experiment)
    broken = [run.copy() for run in data]
    broken[0][4, 3] = np.nan
    broken[1][:, 5] = 12.0
    broken[1][0, 8] = -np.inf
    found = fit_prf(broken, experiment=experiment)
    bad = np.isin(np.arange(40), [3, 5, 8])
    assert found.n_unfitted == 3
    for name in PLACES:
        assert np.isnan(getattr(found, name)).tolist() == bad.tolist()
    assert (found.seed == -1).tolist() == bad.tolist()
    assert not found.converged[bad].any()
    np.testing.assert_allclose(found.r2[~bad], whole.r2[~bad], atol=5e-3)
    for series in predict_prf(found, experiment=experiment):
        assert np.isnan(series).any(axis=0).tolist() == bad.tolist()


def test_no_vertex_at_all_that_can_be_fitted(noisy):
    experiment, _, data = noisy
    found = fit_prf([np.ones_like(run) for run in data], experiment=experiment)
    assert found.n_unfitted == 40
    assert all(np.isnan(series).all() for series in predict_prf(found, experiment=experiment))


def test_noise_is_explained_little_and_nothing_breaks():
    experiment = small_experiment(degree=2)
    rng = np.random.default_rng(0)
    data = rng.standard_normal((experiment.runs[0].n_kept, 60)).astype(np.float32)
    found = fit_prf([data], experiment=experiment)
    assert np.median(found.r2) < 30
    assert (found.r2 >= 0).all()
    assert (found.gain >= 0).all()


def test_results_lie_within_the_bounds(noisy):
    experiment, _, data = noisy
    tight = Bounds(x_deg=(-1.0, 2.0), y_deg=(-1.5, 0.5), sigma_deg=(0.7, 1.0), exponent=(0.4, 0.6))
    found = fit_prf(data, experiment=experiment, options=Options(bounds=tight))
    for name in ("x_deg", "y_deg", "sigma_deg", "exponent"):
        low, high = getattr(tight, name)
        values = getattr(found, name)
        assert (values >= low - 1e-9).all()
        assert (values <= high + 1e-9).all()
    assert (found.r2 <= fit_prf(data, experiment=experiment).r2 + 0.01).all()


def test_the_default_bounds_reach_one_width_outside():
    bounds = default_bounds(small_experiment().stimulus)
    assert bounds.x_deg == pytest.approx((-15.0, 15.0))
    assert bounds.y_deg == pytest.approx((-12.0, 12.0))
    assert bounds.sigma_deg == pytest.approx((0.25, 40.0))


@pytest.mark.parametrize("seeds", [("large",), ("small", "supergrid"), ("large", "small", "supergrid")])
def test_each_seed_finds_most_and_the_winner_is_named(noisy, seeds):
    experiment, truth, data = noisy
    found = fit_prf(data, experiment=experiment, options=Options(seeds=seeds))
    assert set(found.seed) <= set(range(len(seeds)))
    assert np.mean(distance(found, truth) < 1.0) > 0.6
    best = fit_prf(data, experiment=experiment, options=Options(seeds=("supergrid",)))
    if "supergrid" in seeds:
        assert (found.r2 >= best.r2 - 5e-3).all()


def test_the_gaussian_model_is_the_one_of_exponent_one():
    experiment = small_experiment(degree=2)
    rng = np.random.default_rng(0)
    truth = made_fit(x=rng.uniform(-3, 3, 30), y=rng.uniform(-3, 3, 30), sigma=rng.uniform(0.6, 1.5, 30),
                     exponent=np.ones(30))
    data = simulate(truth, experiment)
    found = fit_prf(data, experiment=experiment, options=Options(exponent=1.0))
    np.testing.assert_array_equal(found.exponent, 1.0)
    np.testing.assert_array_equal(found.size_deg, found.sigma_deg)
    assert distance(found, truth).max() < 0.02
    np.testing.assert_allclose(found.sigma_deg, truth.sigma_deg, rtol=0.02)


@pytest.mark.parametrize("lag_s", [4.0, -1.0])
def test_a_lag_is_recovered(lag_s):
    """Two volumes late, or half a one early; a fixed response fits worse, and a known lag places hardly better."""
    experiment = small_experiment(degree=2)
    truth = random_fields(30, rng=np.random.default_rng(0), lag_s=lag_s)
    data = simulate(truth, experiment, snr=2.0)
    fixed = fit_prf(data, experiment=experiment)
    found = fit_prf(data, experiment=experiment, options=Options(lag_s=(-2.0, 6.0)))
    assert np.median(np.abs(found.lag_s - lag_s)) < 0.25
    assert np.median(found.r2 - fixed.r2) > 1.0
    known = fit_prf(data, experiment=experiment, options=Options(lag_s=(lag_s, lag_s)))
    assert np.median(distance(found, truth)) < 1.3 * np.median(distance(known, truth))
    np.testing.assert_array_equal(found.width, 1.0)
    np.testing.assert_array_equal(fixed.lag_s, 0.0)


def test_every_lag_of_the_range_is_recovered_without_noise():
    experiment = small_experiment(degree=2)
    for lag_s in (-2.0, -0.5, 2.5, 6.0):
        truth = random_fields(20, rng=np.random.default_rng(0), lag_s=lag_s)
        found = fit_prf(simulate(truth, experiment), experiment=experiment, options=Options(lag_s=(-2.0, 6.0)))
        assert np.abs(found.lag_s - lag_s).max() < 0.1
        assert distance(found, truth).max() < 0.1


def test_lag_and_width_are_recovered_without_noise():
    experiment = small_experiment(degree=2)
    truth = random_fields(20, rng=np.random.default_rng(0), lag_s=1.5, width=1.2)
    found = fit_prf(simulate(truth, experiment), experiment=experiment,
                    options=Options(lag_s=(-2.0, 6.0), width=(0.7, 1.4)))
    assert np.median(np.abs(found.lag_s - 1.5)) < 0.05
    assert np.median(np.abs(found.width - 1.2)) < 0.02
    assert np.median(distance(found, truth)) < 0.01


def test_a_known_lag_is_taken_as_it_is():
    experiment = small_experiment(degree=2)
    truth = random_fields(10, rng=np.random.default_rng(0), lag_s=3.0)
    found = fit_prf(simulate(truth, experiment), experiment=experiment, options=Options(lag_s=(3.0, 3.0)))
    assert found.r2.min() > 99.9
    np.testing.assert_array_equal(found.lag_s, 3.0)


def test_cross_validation_is_train_then_test_by_hand(noisy):
    experiment, _, data = noisy
    result = cross_validate(data, experiment=experiment)
    assert result.test_runs == ((0,), (1,))
    left, whole = np.zeros(40), np.zeros(40)
    for test, fit in zip(result.test_runs, result.fits, strict=True):
        train = 1 - test[0]
        alone = fit_prf([data[train]], experiment=experiment.subset([train]))
        np.testing.assert_array_equal(fit.x_deg, alone.x_deg)
        series = without_drifts(data[test[0]].astype(np.float64), degree=2)
        predicted, = predict_prf(alone, experiment=experiment.subset(test))
        left += ((series - predicted) ** 2).sum(axis=0)
        whole += (series**2).sum(axis=0)
    np.testing.assert_allclose(result.r2, 100 * (1 - left / whole), atol=1e-3)
    assert 40 < np.median(result.r2) < np.median(fit_prf(data, experiment=experiment).r2)


def test_a_folds_fit_sees_nothing_of_its_test(noisy):
    experiment, _, data = noisy
    before = cross_validate(data, experiment=experiment)
    noise = np.random.default_rng(9).standard_normal(data[1].shape).astype(np.float32)
    after = cross_validate([data[0], noise], experiment=experiment)
    fold = before.test_runs.index((1,))
    for name in PrfFit.TABLE:
        np.testing.assert_array_equal(getattr(after.fits[fold], name), getattr(before.fits[fold], name))
    assert np.median(after.r2) < 5 < np.median(before.r2)


def test_noise_predicts_nothing():
    experiment = small_experiment(*[sweeping_bar(n_steps=8)] * 2, degree=2)
    rng = np.random.default_rng(0)
    data = [rng.standard_normal((run.n_kept, 50)).astype(np.float32) for run in experiment.runs]
    result = cross_validate(data, experiment=experiment)
    assert np.median(result.r2) < 0
    assert np.median(fit_prf(data, experiment=experiment).r2) > 0


def test_a_vertex_missing_in_one_run_has_no_cross_validation(noisy):
    experiment, _, data = noisy
    data = [data[0], data[1].copy()]
    data[1][:, 2] = 0.0
    result = cross_validate(data, experiment=experiment, folds=[[1]])
    assert np.flatnonzero(np.isnan(result.r2)).tolist() == [2]
    assert result.fits[0].n_unfitted == 0


@pytest.mark.parametrize("folds", [[], [[]], [[0, 1]], [[0], [0]], [[2]], [[-1]]])
def test_wrong_folds_are_named(noisy, folds):
    experiment, _, data = noisy
    with pytest.raises(ValueError, match="folds: expected some, but not all, of the runs 0 to 1 in each"):
        cross_validate(data, experiment=experiment, folds=folds)


@pytest.mark.parametrize(("options", "message"), [
    ({"seeds": ("large", "huge")}, r"seeds: expected some of large, small, supergrid, got \('large', 'huge'\)"),
    ({"seeds": ()}, "seeds: expected some of"), ({"exponent": 0.0}, "expected a positive exponent, got 0"),
    ({"max_iterations": 0}, "at least one iteration"), ({"block": 0}, "blocks of at least one vertex"),
    ({"tolerance": 0.0}, "a positive tolerance"),
])
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Options(**options)


@pytest.mark.parametrize(("name", "limits"), [("x_deg", (1.0, 1.0)), ("y_deg", (2.0, -2.0)), ("sigma_deg", (0.0, 1.0)),
                                              ("exponent", (-0.1, 1.0))])
def test_wrong_bounds_are_named(name, limits):
    with pytest.raises(ValueError, match=f"bounds of {name}: expected an ascending range"):
        replace(default_bounds(small_experiment().stimulus), **{name: limits})


def test_a_fit_of_arrays_that_disagree_is_named():
    with pytest.raises(ValueError, match=r"x_deg of shape \(3,\), expected one value for each of \(2,\)"):
        replace(made_fit(x=np.zeros(2), y=np.zeros(2), sigma=np.ones(2), exponent=np.ones(2)), x_deg=np.zeros(3))
