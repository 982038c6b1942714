"""Where the fits begin: the grid's places and sizes, and its best point against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.regions.prf.design import convolution
from analysis.regions.prf.model import Model, make_drive
from analysis.regions.prf.seeds import ECCENTRICITIES, best_on_grid, centre_seed, supergrid
from tests.analysis.regions.prf_cases import small_experiment


def test_the_grid_has_rings_around_the_middle_of_the_field():
    stimulus = small_experiment(width_deg=10.0, height_deg=8.0, x_deg=2.0, y_deg=-1.0).stimulus
    x, y, log_sigma, log_exponent = supergrid(stimulus, exponents=(0.5, 0.125))
    away = np.hypot(x - 2.0, y + 1.0)
    np.testing.assert_allclose(np.unique(away.round(6)), 10.0 * np.array(ECCENTRICITIES), atol=1e-5)
    turned = np.degrees(np.arctan2(y + 1.0, x - 2.0))[away > 0.01] % 360
    np.testing.assert_allclose(np.unique(turned.round(3)) % 22.5, 0, atol=1e-3)
    sizes = np.unique(np.exp(log_sigma - log_exponent / 2).round(6))
    np.testing.assert_allclose(sizes, 0.5 * 2.0 ** np.arange(5))  # from a pixel to at most the width
    assert np.unique(np.exp(log_exponent).round(6)).tolist() == [0.125, 0.5]
    assert len(x) == 2 * 5 * (1 + 12 * 16)


def test_more_sizes_an_octave():
    stimulus = small_experiment().stimulus
    sizes = [np.unique(supergrid(stimulus, exponents=(1.0,), sizes_an_octave=k)[2].round(6)) for k in (1, 3)]
    np.testing.assert_allclose(np.diff(sizes[1]), np.log(2) / 3, atol=1e-5)
    assert set(sizes[0]) <= set(sizes[1])


@pytest.mark.parametrize(("name", "exponent", "sigma"), [
    ("large", None, 10 / 4 * np.sqrt(0.5)), ("small", None, 10 / 40 * np.sqrt(0.5)), ("large", 1.0, 10 / 4)])
def test_the_seeds_at_the_centre_are_analyzeprfs(name, exponent, sigma):
    stimulus = small_experiment(width_deg=10.0, height_deg=8.0, x_deg=2.0, y_deg=-1.0).stimulus
    seed = centre_seed(stimulus, name, exponent=exponent)
    np.testing.assert_allclose(seed, [2.0, -1.0, np.log(sigma), np.log(exponent or 0.5)], atol=1e-9)


def test_another_seed_is_named():
    with pytest.raises(ValueError, match="expected the seed 'large' or 'small', got 'medium'"):
        centre_seed(small_experiment().stimulus, "medium")


@pytest.mark.parametrize("block", [7, 1024])
@pytest.mark.parametrize("lags_s", [(0.0,), (-2.0, 0.0, 4.0)])
def test_the_best_of_the_grid_is_that_of_brute_force(block, lags_s):
    experiment = small_experiment(degree=2)
    free = {"lag_s": (-2.0, 4.0)} if len(lags_s) > 1 else {}
    projection = convolution(experiment, **free)
    model = Model(make_drive(experiment.stimulus), projection)
    data = np.random.default_rng(0).standard_normal((experiment.runs[0].n_kept, 12)).cumsum(axis=0).astype(np.float32)
    series = projection.compress([data])
    grid = supergrid(experiment.stimulus, exponents=(0.5,))[:, ::20]
    found = best_on_grid(model, series, grid=grid, lags_s=lags_s, block=block)
    tried = [np.append(point, [lag, 1.0])[:model.n_parameters] for lag in lags_s for point in grid.T]
    for v in range(12):
        fits = [correlation(model, point, series.values[:, v]) for point in tried]
        best = correlation(model, found[:, v], series.values[:, v])
        assert best == pytest.approx(max(fits), abs=1e-5)


def correlation(model: Model, point: np.ndarray, values: np.ndarray) -> float:
    series = model.predict(point[:, None])[:, 0]
    return float(series @ values / max(np.linalg.norm(series), 1e-12))
