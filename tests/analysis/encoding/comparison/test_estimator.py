"""The estimators: as scikit-learn expects them, and against its own models on scaled units."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.base import clone
from sklearn.linear_model import OrthogonalMatchingPursuit, Ridge
from sklearn.model_selection import GridSearchCV

from analysis.encoding.comparison.estimator import (
    OmpRegressor,
    RidgeRegressor,
    RompRegressor,
    compare_models,
    image_folds,
    score_held_out,
)
from analysis.encoding.sparse_model import measure_scaling, train


def units(n_images: int = 30, n_units: int = 50, *, seed: int = 0) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).normal(size=(n_images, n_units)), 0).astype(np.float32)


def responses(values: np.ndarray, *, noise: float = 0.5, n_vertices: int = 6) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (values[:, :n_vertices] + noise * rng.normal(size=(len(values), n_vertices)) + 3).astype(np.float32)


def test_romp_is_the_sparse_model():
    x, y, other = units(), responses(units()), units(5, seed=3)
    found = RompRegressor(n=2).fit(x, y).predict(other)
    np.testing.assert_array_equal(found, train(x, y, levels=(2,))[2].predict(other))


def test_omp_is_scikit_learns_on_scaled_units():
    x, y, other = units(), responses(units()), units(5, seed=3)
    scaling = measure_scaling(x)
    theirs = OrthogonalMatchingPursuit(n_nonzero_coefs=3).fit(scaling.apply(x), y.astype(float))
    found = OmpRegressor(n=3).fit(x, y).predict(other)
    np.testing.assert_allclose(found, theirs.predict(scaling.apply(other)), rtol=1e-6)


def test_ridge_in_its_dual_form_is_ridge():
    x, y, other = units(), responses(units()), units(5, seed=3)
    scaling = measure_scaling(x)
    theirs = Ridge(alpha=0.3).fit(scaling.apply(x), y.astype(float))
    found = RidgeRegressor(alpha=0.3).fit(x, y).predict(other)
    np.testing.assert_allclose(found, theirs.predict(scaling.apply(other)), rtol=1e-6)


@pytest.mark.parametrize("estimator", [RompRegressor(n=3), OmpRegressor(n=3), RidgeRegressor(alpha=2.0)])
def test_they_are_cloned_with_their_settings_and_scored_by_the_mean_correlation(estimator):
    x, y = units(), responses(units())
    copy = clone(estimator)
    assert copy.get_params() == estimator.get_params()
    fitted = copy.fit(x, y)
    theirs = [pearsonr(a, b).statistic for a, b in zip(fitted.predict(x).T, y.T.astype(float), strict=True)]
    assert fitted.score(x, y) == pytest.approx(np.mean(theirs), abs=1e-6)


def test_a_search_finds_the_planted_sparsity():
    x = units(40, 80)
    search = GridSearchCV(RompRegressor(), {"n": [1, 4]}, cv=5).fit(x, responses(x, noise=0.1))
    assert search.best_params_ == {"n": 1}


def test_sparse_truths_favour_sparse_models_and_dense_ones_ridge():
    x = units(40, 60)
    sparse = compare_models(x, responses(x, noise=0.3), levels=(1, 2), alphas=(0.01, 1.0))
    dense_truth = (x @ np.random.default_rng(2).normal(size=(60, 6))).astype(np.float32)
    dense = compare_models(x, dense_truth, levels=(1, 2), alphas=(0.01, 1.0))
    assert list(sparse) == ["ROMP", "OMP", "ridge"]
    assert min(sparse["ROMP"].mean(), sparse["OMP"].mean()) > sparse["ridge"].mean() + 0.1
    assert dense["ridge"].mean() > max(dense["ROMP"].mean(), dense["OMP"].mean())


def test_unrelated_responses_are_not_predicted_by_any():
    noise = np.random.default_rng(5).normal(size=(40, 60))
    found = compare_models(units(40, 40), noise, levels=(1, 2), alphas=(1.0, 100.0))
    for name, accuracies in found.items():
        assert abs(accuracies.mean()) < 0.12, name


def test_held_out_scores_are_of_deviations_from_the_means_that_were_trained_on():
    rng, split = np.random.default_rng(0), image_folds(5, random_state=3)
    predicted, measured = rng.normal(size=(2, 20, 4))
    x, y = predicted.copy(), measured.copy()
    for train_on, test in split.split(measured):
        for values in (x, y):
            values[test] -= measured[train_on].mean(axis=0)
    expected = [np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)) for a, b in zip(x.T, y.T, strict=True)]
    np.testing.assert_allclose(score_held_out(predicted, measured, split=split), expected, rtol=1e-12)


def test_a_model_that_predicts_the_mean_alone_scores_nothing():
    """Centred on itself it would score -1: an image's own mean of the others falls as the image rises."""
    measured, split = np.random.default_rng(0).normal(size=(40, 5)), image_folds(40, random_state=0)
    means = (measured.sum(axis=0) - measured) / 39
    assert pearsonr(means[:, 0], measured[:, 0]).statistic == pytest.approx(-1)
    np.testing.assert_array_equal(score_held_out(means, measured, split=split), 0)


def test_only_the_models_that_are_asked_for_are_trained():
    x = units(20, 30)
    found = compare_models(x, responses(x), levels=(1,), alphas=(1.0,), models=("ridge", "ROMP"))
    assert list(found) == ["ROMP", "ridge"]
