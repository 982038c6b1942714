r"""Banded ridge: all layers of a network together, each with a penalty of its own that is chosen for every vertex.

Units fall into bands (layers). With :math:`K_b` the products of the images' scaled units of band b, divided by their
number, a vertex is predicted by kernel ridge regression on :math:`\sum_b \gamma_b K_b`, its weights :math:`\gamma` on
the simplex and its penalty chosen by cross-validation inside the images that are trained on (Dupre la Tour et al. 2022,
NeuroImage 264:119728). The search is himalaya's, an optional package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from analysis.encoding.comparison.estimator import ALPHAS, Floats, ScoredRegressor, image_folds, score_held_out
from analysis.encoding.sparse_model import measure_scaling
from subjects.errors import AnalysisError

CONCENTRATIONS = (0.1, 1.0)
"""Of the Dirichlet distributions that weights are drawn from in turn: nearly one band alone, and anything."""


def require_himalaya() -> Any:
    """Import himalaya's search.

    Raises
    ------
    AnalysisError
        If it is not installed.
    """
    try:
        from himalaya.kernel_ridge import solve_multiple_kernel_ridge_random_search
    except ImportError as error:
        raise AnalysisError("comparison.models", came="'banded' without the package himalaya", expected="himalaya",
                            remedy="Install it (`pip install himalaya`, or this project with its extra `models`), or "
                            "take \"banded\" out of comparison.models.") from error
    return solve_multiple_kernel_ridge_random_search


def candidate_weights(n_bands: int, *, n: int, random_state: int) -> Floats:
    """Give weightings of the bands, (1 + n_bands + n, n_bands): equal ones, each band alone, and n random ones.

    Examples
    --------
    >>> candidate_weights(2, n=0, random_state=0).tolist()
    [[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]
    """
    rng = np.random.default_rng(random_state)
    drawn = [rng.dirichlet(np.full(n_bands, CONCENTRATIONS[k % 2])) for k in range(n)]
    return np.concatenate([np.full((1, n_bands), 1 / n_bands), np.eye(n_bands), np.reshape(drawn, (n, n_bands))])


class BandedRidgeRegressor(ScoredRegressor):
    """Banded ridge regression in its dual form.

    Parameters
    ----------
    sizes : sequence of int
        Units of each band, in their order among the columns.
    alphas : sequence of float
        Penalties among which each target chooses.
    n_weights : int
        Random weightings of the bands among which each target chooses, besides equal ones and each band alone.
    folds : int
        Of the images that are trained on, for that choice.
    random_state : int

    Attributes
    ----------
    weights_ : float64 array, (n_bands, n_targets)
        Of the bands' kernels, on the scale of the target's penalty.
    """

    def __init__(self, sizes: Sequence[int], alphas: Sequence[float] = ALPHAS, n_weights: int = 100, folds: int = 5,
                 random_state: int = 0) -> None:
        self.sizes, self.alphas, self.n_weights = sizes, alphas, n_weights
        self.folds, self.random_state = folds, random_state

    def fit(self, x: NDArray[Any], y: NDArray[Any]) -> BandedRidgeRegressor:
        """Train all targets."""
        solve = require_himalaya()
        bands, targets = self._bands(x), np.asarray(y, dtype=np.float64)
        self.scalings_ = [measure_scaling(band, where=f"band {k}") for k, band in enumerate(bands, start=1)]
        self.trained_ = [scaling.apply(band) for scaling, band in zip(self.scalings_, bands, strict=True)]
        kernels = np.stack([self._kernel(band, k) for k, band in enumerate(self.trained_)])
        weights = candidate_weights(len(bands), n=self.n_weights, random_state=self.random_state)
        with np.errstate(divide="ignore"):  # the logarithm of a band's weight of 0
            deltas, dual, *_, intercept = solve(
                kernels, targets, n_iter=weights, alphas=np.asarray(self.alphas, dtype=np.float64), fit_intercept=True,
                return_weights="dual", progress_bar=False,
                cv=KFold(self.folds, shuffle=True, random_state=self.random_state))
        self.weights_, self.dual_, self.intercept_ = np.exp(deltas), np.asarray(dual), np.asarray(intercept)
        return self

    def predict(self, x: NDArray[Any]) -> Floats:
        """Predict (n_images, n_targets)."""
        found = np.tile(self.intercept_, (len(x), 1)).astype(np.float64)
        for k, (scaling, band) in enumerate(zip(self.scalings_, self._bands(x), strict=True)):
            found += self._kernel(scaling.apply(band), k) @ (self.weights_[k] * self.dual_)
        return found

    def _bands(self, x: NDArray[Any]) -> list[NDArray[np.float32]]:
        if sum(self.sizes) != np.shape(x)[1]:
            raise AnalysisError("banded ridge", came=f"{np.shape(x)[1]} units", expected=f"{sum(self.sizes)} in "
                                f"{len(self.sizes)} bands", remedy="Give the units of all bands side by side.")
        return np.split(np.asarray(x, dtype=np.float32), np.cumsum(self.sizes)[:-1], axis=1)

    def _kernel(self, scaled: Floats, band: int) -> Floats:
        """Multiply scaled units with those of the training images, so that an image's own product is about 1."""
        trained = self.trained_[band]
        result: Floats = scaled @ trained.T * (len(trained) / trained.shape[1])
        return result


def compare_banded(units: Mapping[str, NDArray[np.float32]], responses: NDArray[Any], *, folds: int = 5,
                   n_weights: int = 100, random_state: int = 0) -> Floats:
    """Score banded ridge on held-out RE images, as :func:`~analysis.encoding.comparison.estimator.compare_models` does.

    Parameters
    ----------
    units : mapping of str to array, (n_images, n_units)
        By band.
    responses : array, (n_images, n_vertices)
    folds, n_weights, random_state : int

    Returns
    -------
    float64 array, (n_vertices,)
        See :func:`~analysis.encoding.comparison.estimator.score_held_out`.
    """
    x, y = np.concatenate(list(units.values()), axis=1), np.asarray(responses, dtype=np.float32)
    predicted, split = np.empty(y.shape), image_folds(folds, random_state=random_state)
    for train, test in split.split(x):
        model = BandedRidgeRegressor([band.shape[1] for band in units.values()], n_weights=n_weights, folds=folds,
                                     random_state=random_state)
        predicted[test] = model.fit(x[train], y[train]).predict(x[test])
    return score_held_out(predicted, y, split=split)
