"""Partial least squares against scikit-learn's, and where there is nothing left to find."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression

from analysis.encoding.predictivity.pls import fit_pls
from subjects.errors import AnalysisError


def data(n, p, q, *, seed=0, rank=None):
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(n, rank or min(n, p)))
    x = latent @ rng.normal(size=(latent.shape[1], p)) + (0.1 * rng.normal(size=(n, p)) if rank is None else 0) + 3
    y = latent[:, :3] @ rng.normal(size=(3, q)) + 0.5 * rng.normal(size=(n, q)) - 2
    return x, y, rng.normal(size=(7, latent.shape[1])) @ rng.normal(size=(latent.shape[1], p)) + 3


def scikit(x, y, new, *, n_components):
    model = PLSRegression(n_components=n_components, scale=False, tol=1e-15, max_iter=100_000).fit(x, y)
    return model.predict(new).reshape(len(new), -1)


@pytest.mark.parametrize(("n", "p", "q"), [(60, 12, 5), (60, 12, 1), (36, 200, 4), (36, 200, 90), (30, 30, 30),
                                           (120, 8, 40)])
@pytest.mark.parametrize("n_components", [1, 3, 8])
def test_predictions_are_scikit_learns(n, p, q, n_components):
    x, y, new = data(n, p, q)
    found = fit_pls(x, y, n_components=n_components)
    assert found.n_components == n_components
    wanted = scikit(x, y, new, n_components=n_components)
    assert np.abs(found.predict(new) - wanted).max() < 1e-6 * np.abs(wanted).max()


def test_twenty_five_components_of_a_wide_layer_are_scikit_learns():
    x, y, new = data(100, 3000, 20, seed=2)
    wanted = scikit(x, y, new, n_components=25)
    assert np.abs(fit_pls(x, y).predict(new) - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_all_components_of_few_units_are_least_squares():
    x, y, new = data(50, 6, 4)
    slope, *_ = np.linalg.lstsq(x - x.mean(axis=0), y - y.mean(axis=0), rcond=None)
    np.testing.assert_allclose(fit_pls(x, y).predict(new), (new - x.mean(axis=0)) @ slope + y.mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize(("shape", "rank"), [((40, 10), 4), ((20, 300), 4)])
def test_components_end_where_the_units_have_no_further_direction(shape, rank):
    x, y, new = data(*shape, 6, rank=rank)
    found = fit_pls(x, y)
    assert found.n_components == rank
    assert np.isfinite(found.predict(new)).all()


def test_components_end_where_the_responses_are_explained():
    x, *_ = data(40, 10, 3)
    y = x[:, :1] * 2.0 + 1.0
    found = fit_pls(x, y, n_components=10)
    np.testing.assert_allclose(found.predict(x), y, atol=1e-6)


def test_responses_without_variance_are_predicted_by_their_mean():
    x, *_ = data(20, 5, 3)
    found = fit_pls(x, np.full((20, 2), 4.0))
    assert found.n_components == 0
    np.testing.assert_allclose(found.predict(x), 4.0)


def test_units_of_float32_are_computed_in_float64():
    x, y, new = data(30, 100, 4)
    one, other = (fit_pls(x.astype(kind), y).predict(new.astype(kind)) for kind in (np.float32, np.float64))
    assert one.dtype == np.float64
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def spoiled(x, value):
    x = x.copy()
    x[1, 2] = value
    return x


@pytest.mark.parametrize(("change", "text"), [
    (lambda x, y: (x[1:], y), "units (29, 5) and responses (30, 3); expected (n, n_units) and (n, n_responses)"),
    (lambda x, y: (x, y[:, 0]), "units (30, 5) and responses (30,)"),
    (lambda x, y: (x[:1], y[:1]), "units (1, 5) and responses (1, 3)"),
    (lambda x, y: (spoiled(x, np.nan), y), "partial least squares, units: values that are not finite"),
    (lambda x, y: (x, spoiled(y, np.inf)), "partial least squares, responses: values that are not finite"),
    (lambda x, y: (np.ones_like(x), y), "the same values for all images; expected units that tell images apart"),
])
def test_what_cannot_be_fitted_is_refused(change, text):
    x, y, _ = data(30, 5, 3)
    with pytest.raises(AnalysisError, match=re.escape(text)):
        fit_pls(*change(x, y))
