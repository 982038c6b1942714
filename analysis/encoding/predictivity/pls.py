r"""Partial least squares of several responses on many units, from cross-products alone.

Wold's regression mode (PLS2): weights :math:`w` are the leading left singular vector of :math:`X'Y`, with
:math:`t = Xw` removed from both before the next. Dayal & MacGregor (1997, Journal of Chemometrics 11, 73-85) showed
that X itself need not be deflated: :math:`X'X` and :math:`X'Y` are enough. Where there are more units than images,
units are first rotated into the space of the images, in which nothing is lost, so that a layer of 60,000 units costs no
more than its images squared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
_NOTHING = 1e-10
"""Share of the largest singular value, or of a squared response, below which nothing is left to explain."""


@dataclass(frozen=True, eq=False)
class PLS:
    """A fitted model.

    Parameters
    ----------
    n_components : int
        As many as were asked for, or as the training data have.
    unit_means : float64 array, (n_units,)
    response_means : float64 array, (n_responses,)
    coefficients : float64 array, (n_units, n_responses)
        Of centred units; where `rotation` is given, of rotated ones.
    rotation : float64 array, (n_units, n_rotated), optional
        From centred units to the space in which the coefficients are.
    """

    n_components: int
    unit_means: Floats
    response_means: Floats
    coefficients: Floats = field(repr=False)
    rotation: Floats | None = field(default=None, repr=False)

    def predict(self, units: NDArray[np.floating[Any]]) -> Floats:
        """Predict responses, (n, n_responses), to units (n, n_units)."""
        centred = np.asarray(units, dtype=np.float64) - self.unit_means
        rotated = centred if self.rotation is None else centred @ self.rotation
        result: Floats = rotated @ self.coefficients + self.response_means
        return result


def fit_pls(units: NDArray[np.floating[Any]], responses: NDArray[np.floating[Any]], *, n_components: int = 25) -> PLS:
    """Fit responses by the components of the units that covary most with them.

    Parameters
    ----------
    units : array, (n, n_units)
        Centred here, not scaled, as in the published code (``PLSRegression(n_components=25, scale=False)``).
    responses : array, (n, n_responses)
    n_components : int
        At most; components end where the units have no further direction, or nothing is left of the responses.

    Returns
    -------
    PLS

    Raises
    ------
    AnalysisError
        If shapes do not fit, a value is not finite, or units are the same for all images.

    Examples
    --------
    >>> units = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 1.0]])
    >>> fit_pls(units, units @ [[2.0], [-1.0]]).predict([[5.0, 4.0]]).round(6)
    array([[6.]])
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (units, responses))
    _require_fitting(x, y)
    unit_means, response_means = x.mean(axis=0), y.mean(axis=0)
    x, y = x - unit_means, y - response_means
    rotation = None
    if x.shape[1] > len(x):
        rotation = _into_images(x)
        x = x @ rotation
    coefficients, n_found = _components(x.T @ x, x.T @ y, squares=float((y ** 2).sum()), most=n_components)
    return PLS(n_found, unit_means, response_means, coefficients, rotation)


def _into_images(x: Floats) -> Floats:
    """Give an orthonormal basis of the directions that the images span, (n_units, rank)."""
    values, vectors = np.linalg.eigh(x @ x.T)
    kept = values > values[-1] * _NOTHING
    result: Floats = x.T @ (vectors[:, kept] / np.sqrt(values[kept]))
    return result


def _components(xx: Floats, xy: Floats, *, squares: float, most: int) -> tuple[Floats, int]:
    """Take components from cross-products; give the coefficients and how many there are."""
    xy = xy.copy()
    turned, loadings, shares = list[Floats](), list[Floats](), list[Floats]()
    scale = np.trace(xx)
    for _ in range(min(most, len(xx))):
        weights = _leading(xy)
        vector = weights.copy()
        for loading, earlier in zip(loadings, turned, strict=True):
            vector -= (loading @ weights) * earlier
        size = float(vector @ xx @ vector)
        if size <= _NOTHING * scale or float((xy ** 2).sum()) <= _NOTHING ** 2 * scale * squares:
            break
        loading, share = xx @ vector / size, vector @ xy / size
        xy -= np.outer(loading, share) * size
        turned.append(vector)
        loadings.append(loading)
        shares.append(share)
    if not turned:
        return np.zeros(xy.shape), 0
    return np.stack(turned, axis=1) @ np.stack(shares), len(turned)


def _leading(xy: Floats) -> Floats:
    """Give the leading left singular vector, from the smaller of the two squares."""
    if xy.shape[1] == 1:
        turned: Floats = xy[:, 0]
    elif xy.shape[0] <= xy.shape[1]:
        turned = np.linalg.eigh(xy @ xy.T)[1][:, -1]
    else:
        turned = xy @ np.linalg.eigh(xy.T @ xy)[1][:, -1]
    result: Floats = turned / max(float(np.linalg.norm(turned)), np.finfo(float).tiny)
    return result


def _require_fitting(x: Floats, y: Floats) -> None:
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < 2:
        raise AnalysisError("partial least squares", came=f"units {x.shape} and responses {y.shape}",
                            expected="(n, n_units) and (n, n_responses) of the same two or more images",
                            remedy="Give both the same images.")
    for name, values in (("units", x), ("responses", y)):
        if not np.isfinite(values).all():
            raise AnalysisError(f"partial least squares, {name}", came="values that are not finite",
                                expected="finite values", remedy="Leave vertices, sites or units without data out.")
    if not np.ptp(x, axis=0).any():
        raise AnalysisError("partial least squares, units", came="the same values for all images",
                            expected="units that tell images apart", remedy="Choose another layer.")
