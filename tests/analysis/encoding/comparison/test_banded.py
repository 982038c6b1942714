"""Banded ridge: against ridge in closed form, against scikit-learn on the weighted kernels, and planted bands."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from analysis.encoding.comparison.banded import (
    BandedRidgeRegressor,
    candidate_weights,
    compare_banded,
    require_himalaya,
)
from analysis.encoding.comparison.estimator import RidgeRegressor, compare_models
from analysis.encoding.sparse_model import measure_scaling
from subjects.errors import AnalysisError


def units(n_images: int, n_units: int, *, seed: int) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).normal(size=(n_images, n_units)), 0).astype(np.float32)


def follow(values: np.ndarray, *, noise: float = 0.3, n_vertices: int = 8, seed: int = 3) -> np.ndarray:
    """Vertices that each mix all units of a band, above a constant of their own."""
    rng = np.random.default_rng(seed)
    signal = (values - values.mean(axis=0)) @ rng.normal(size=(values.shape[1], n_vertices))
    signal /= signal.std(axis=0)
    return (signal + noise * rng.normal(size=signal.shape) + rng.normal(size=n_vertices)).astype(np.float32)


pytest.importorskip("himalaya", reason="banded ridge needs himalaya, an optional package")


@pytest.mark.parametrize("alpha", [0.01, 1.0, 30.0])
def test_one_band_is_ridge_in_closed_form(alpha):
    x, other = units(30, 50, seed=0), units(5, 50, seed=1)
    y = follow(x)
    found = BandedRidgeRegressor([50], alphas=[alpha], n_weights=3).fit(x, y).predict(other)
    scaling = measure_scaling(x)
    z, scale = scaling.apply(x), np.sqrt(30 / 50)
    centred = y.astype(float) - y.mean(axis=0, dtype=float)
    weights = scale * np.linalg.solve(scale**2 * z.T @ z + alpha * np.eye(50), scale * z.T @ centred)
    np.testing.assert_allclose(found, scaling.apply(other) @ weights + y.mean(axis=0, dtype=float), atol=1e-5)
    theirs = Ridge(alpha=alpha / scale**2).fit(z, y.astype(float)).predict(scaling.apply(other))
    np.testing.assert_allclose(found, theirs, atol=1e-5)
    ours = RidgeRegressor(alpha=alpha / scale**2).fit(x, y).predict(other)
    np.testing.assert_allclose(found, ours, atol=1e-5)


def test_two_bands_are_kernel_ridge_on_the_weighted_sum():
    first, second = units(30, 40, seed=0), units(30, 70, seed=1)
    x, y = np.concatenate([first, second], axis=1), follow(second)
    other = units(6, 110, seed=2)
    model = BandedRidgeRegressor([40, 70], n_weights=10, random_state=1).fit(x, y)
    found = model.predict(other)
    scaled = [measure_scaling(band) for band in (first, second)]
    kernels = [30 / band.shape[1] * s.apply(band) @ s.apply(band).T
               for s, band in zip(scaled, (first, second), strict=True)]
    across = [30 / band.shape[1] * s.apply(part) @ s.apply(band).T
              for s, part, band in zip(scaled, (other[:, :40], other[:, 40:]), (first, second), strict=True)]
    for t in range(y.shape[1]):
        weighted = [sum(w * k for w, k in zip(model.weights_[:, t], of, strict=True)) for of in (kernels, across)]
        theirs = KernelRidge(alpha=1.0, kernel="precomputed").fit(weighted[0], y[:, t].astype(float) - y[:, t].mean())
        expected = theirs.predict(weighted[1]) + y[:, t].mean()
        np.testing.assert_allclose(found[:, t], expected, atol=1e-4)


def test_each_vertex_chooses_the_band_that_drives_it():
    first, second = units(40, 30, seed=0), units(40, 30, seed=1)
    y = np.concatenate([follow(first, n_vertices=6), follow(second, n_vertices=6, seed=4)], axis=1)
    model = BandedRidgeRegressor([30, 30], n_weights=20).fit(np.concatenate([first, second], axis=1), y)
    share = model.weights_[0] / model.weights_.sum(axis=0)
    assert share[:6].min() > 0.6
    assert share[6:].max() < 0.4


def test_bands_help_where_one_of_them_is_much_larger_and_unrelated():
    small, large = units(40, 20, seed=0), units(40, 2000, seed=1)
    y = follow(small, n_vertices=10)
    banded = compare_banded({"layer1": small, "layer2": large}, y, n_weights=10)
    joint = compare_models(np.concatenate([small, large], axis=1), y, models=("ridge",))["ridge"]
    assert banded.mean() > joint.mean() + 0.2


def test_held_out_images_shape_neither_scaling_nor_choice():
    x, y = units(30, 60, seed=0), follow(units(30, 60, seed=0))
    changed = y.copy()
    changed[0] += 5
    found = {}
    for name, values in (("as it is", y), ("changed", changed)):
        model = BandedRidgeRegressor([20, 40], n_weights=5).fit(x[1:], values[1:])
        found[name] = model.predict(x[:1])
    np.testing.assert_array_equal(found["as it is"], found["changed"])


def test_unrelated_responses_are_not_predicted():
    noise = np.random.default_rng(5).normal(size=(40, 40))
    found = compare_banded({"a": units(40, 30, seed=0), "b": units(40, 30, seed=1)}, noise, n_weights=5)
    assert abs(found.mean()) < 0.12


def test_the_same_seed_gives_the_same_and_clones_keep_their_settings():
    x, y = units(20, 30, seed=0), follow(units(20, 30, seed=0))
    model = BandedRidgeRegressor([10, 20], n_weights=4, folds=3, random_state=7)
    assert clone(model).get_params() == model.get_params()
    np.testing.assert_array_equal(model.fit(x, y).predict(x), clone(model).fit(x, y).predict(x))


def test_units_that_do_not_fill_the_bands():
    with pytest.raises(AnalysisError, match="30 units; expected 29 in 2 bands"):
        BandedRidgeRegressor([10, 19]).fit(units(20, 30, seed=0), follow(units(20, 30, seed=0)))


def test_a_band_of_constant_units_is_named():
    x = units(20, 30, seed=0)
    x[:, 10:] = 2
    with pytest.raises(AnalysisError, match="band 2: no unit that varies"):
        BandedRidgeRegressor([10, 20]).fit(x, follow(units(20, 30, seed=0)))


def test_weightings_lie_on_the_simplex():
    found = candidate_weights(4, n=50, random_state=2)
    assert found.shape == (55, 4)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found >= 0).all()
    assert found[5::2].max(axis=1).mean() > found[6::2].max(axis=1).mean(), "every other one is nearly one band alone"


def test_without_himalaya_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "himalaya.kernel_ridge", None)
    with pytest.raises(AnalysisError, match=r"'banded' without the package himalaya.*pip install himalaya.*models"):
        require_himalaya()
