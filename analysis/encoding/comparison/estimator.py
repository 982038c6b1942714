"""The sparse model as an estimator of scikit-learn's kind, and other linear models beside it, inside RE images only.

Nothing here is part of a result: these are for comparison, and for use with scikit-learn's pipelines and searches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import orthogonal_mp
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict

from analysis.encoding.generalisation import vertex_accuracies
from analysis.encoding.sparse_model import measure_scaling, train

Floats = NDArray[np.float64]
LEVELS = (1, 2, 4, 8)
_SILENT = 1e-9  # deviation from the mean, as a share of the prediction, that counts as none
ALPHAS = tuple(10.0**k for k in range(-3, 5))
"""Penalties of ridge among which a search chooses, in units of a unit-norm column."""


class ScoredRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator whose score is the accuracy of encoding models."""

    def score(self, x: NDArray[Any], y: NDArray[Any]) -> float:
        """Give Pearson's r of prediction and response, the mean over targets."""
        return float(vertex_accuracies(self.predict(x), np.asarray(y, dtype=np.float32)).mean())


class RompRegressor(ScoredRegressor):
    """Sparse regression by ROMP on units as they are: scaling, constant and weights are fitted.

    Parameters
    ----------
    n : int
        Sparsity level.

    Attributes
    ----------
    model_ : SparseModel
        Its weights are kept sparsely.
    """

    def __init__(self, n: int = 4) -> None:
        self.n = n

    def fit(self, x: NDArray[Any], y: NDArray[Any]) -> RompRegressor:
        """Train on (n_images, n_units) and (n_images, n_targets)."""
        targets = np.asarray(y, dtype=np.float32)
        self.model_ = train(np.asarray(x, dtype=np.float32), targets, levels=(self.n,), where="RompRegressor")[self.n]
        self.n_features_in_ = np.shape(x)[1]
        return self

    def predict(self, x: NDArray[Any]) -> Floats:
        """Predict (n_images, n_targets)."""
        return self.model_.predict(np.asarray(x, dtype=np.float32))


class OmpRegressor(ScoredRegressor):
    """Orthogonal matching pursuit, scikit-learn's, on the scaled units that ROMP sees; one column a step.

    Parameters
    ----------
    n : int
        Columns a target.
    """

    def __init__(self, n: int = 4) -> None:
        self.n = n

    def fit(self, x: NDArray[Any], y: NDArray[Any]) -> OmpRegressor:
        """Train target by target, so that no array of units by targets is held."""
        units, targets = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float64)
        self.scaling_, self.constant_ = measure_scaling(units), targets.mean(axis=0)
        phi = self.scaling_.apply(units)
        self.weights_ = []
        for target in (targets - self.constant_).T:
            weights = orthogonal_mp(phi, target, n_nonzero_coefs=min(self.n, phi.shape[1]))
            self.weights_.append((np.flatnonzero(weights), weights[np.flatnonzero(weights)]))
        return self

    def predict(self, x: NDArray[Any]) -> Floats:
        """Predict (n_images, n_targets)."""
        units = np.asarray(x, dtype=np.float32)
        parts = [self.scaling_.apply(units, places=places) @ weights for places, weights in self.weights_]
        result: Floats = np.stack(parts, axis=1) + self.constant_
        return result


class RidgeRegressor(ScoredRegressor):
    """Ridge regression on the scaled units, in its dual form: one weight an image and target.

    Parameters
    ----------
    alpha : float
        The penalty.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def fit(self, x: NDArray[Any], y: NDArray[Any]) -> RidgeRegressor:
        """Train all targets."""
        units, targets = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float64)
        self.scaling_, self.constant_ = measure_scaling(units), targets.mean(axis=0)
        self.ridge_ = KernelRidge(alpha=self.alpha).fit(self.scaling_.apply(units), targets - self.constant_)
        return self

    def predict(self, x: NDArray[Any]) -> Floats:
        """Predict (n_images, n_targets)."""
        result: Floats = self.ridge_.predict(self.scaling_.apply(np.asarray(x, dtype=np.float32))) + self.constant_
        return result


def compare_models(units: NDArray[Any], responses: NDArray[Any], *, folds: int = 5, levels: Sequence[int] = LEVELS,
                   alphas: Sequence[float] = ALPHAS, random_state: int = 0,
                   models: Sequence[str] = ("ROMP", "OMP", "ridge")) -> dict[str, Floats]:
    """Hold ROMP against OMP and ridge on held-out RE images, each at its own best setting.

    Parameters
    ----------
    units : array, (n_images, n_units)
        One layer's, of the RE images.
    responses : array, (n_images, n_vertices)
        To the same images.
    folds : int
        Of images, drawn at random; the setting is chosen by as many folds of the images that are trained on.
    levels, alphas : sequence
        Sparsity levels of ROMP and OMP, penalties of ridge.
    random_state : int
    models : sequence of {"ROMP", "OMP", "ridge"}

    Returns
    -------
    dict of str to float64 array, (n_vertices,)
        By model: see :func:`score_held_out`.
    """
    split = image_folds(folds, random_state=random_state)
    searches = {"ROMP": GridSearchCV(RompRegressor(), {"n": list(levels)}, cv=split),
                "OMP": GridSearchCV(OmpRegressor(), {"n": list(levels)}, cv=split),
                "ridge": GridSearchCV(RidgeRegressor(), {"alpha": list(alphas)}, cv=split)}
    measured = np.asarray(responses, dtype=np.float32)
    return {name: score_held_out(cross_val_predict(search, units, measured, cv=split), measured, split=split)
            for name, search in searches.items() if name in models}


def score_held_out(predicted: NDArray[Any], measured: NDArray[Any], *, split: KFold) -> Floats:
    """Correlate what is predicted and measured of held-out images, both beyond the means of the images trained on.

    Centred on themselves instead, models that predict hardly more than that mean score below 0: the mean without an
    image is the lower the higher the image.

    Parameters
    ----------
    predicted, measured : array, (n_images, n_vertices)
    split : KFold

    Returns
    -------
    float64 array, (n_vertices,)
        0 where nothing is predicted.
    """
    means = np.empty(measured.shape)
    for train_on, test in split.split(measured):
        means[test] = measured[train_on].mean(axis=0, dtype=np.float64)
    x, y = predicted - means, measured - means
    lengths = np.linalg.norm(x, axis=0) * np.linalg.norm(y, axis=0)
    silent = np.linalg.norm(x, axis=0) <= _SILENT * np.linalg.norm(predicted, axis=0)
    result: Floats = (x * y).sum(axis=0) / np.where(silent | (lengths == 0), np.inf, lengths)
    return result


def image_folds(folds: int, *, random_state: int) -> KFold:
    """Deal images to folds at random."""
    return KFold(folds, shuffle=True, random_state=random_state)
