"""Spearman's correlation of many pairs of rows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.dissimilarity import unit_ranks

Floats = NDArray[np.float64]


def row_spearman(first: Floats, second: Floats) -> Floats:
    """Correlate each row of one array with the same row of another.

    Without ties only one of two rows has its ranks written out: they are read in the order of the other.

    Parameters
    ----------
    first, second : float64 array, (n_rows, n_columns)

    Returns
    -------
    float64 array, (n_rows,)
        Spearman's rho, tied values sharing the mean of their ranks; NaN where a row is constant or not finite.

    Examples
    --------
    >>> row_spearman(np.array([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]]), np.array([[0.1, 0.5, 0.3], [1.0, 2.0, 3.0]]))
    array([0.5, nan])
    """
    n_rows, n = first.shape
    known = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    if not known.all():
        rho = np.full(n_rows, np.nan)
        rho[known] = row_spearman(first[known], second[known])
        return rho
    (order, tied), (other, other_tied) = _sorted_places(first), _sorted_places(second)
    centred = np.arange(n) - (n - 1) / 2
    ranks = np.empty(first.size)
    ranks[order] = centred
    squares = n * (n**2 - 1) / 12  # of the centred ranks
    found: Floats = ranks[other] @ centred / (squares or np.nan)
    by_rank = tied | other_tied
    if by_rank.any():
        found[by_rank] = np.einsum("rc,rc->r", unit_ranks(first[by_rank]), unit_ranks(second[by_rank]))
    return found


def _sorted_places(values: Floats) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Sort each row; give places in the flattened array, in ascending order of the values, and which rows hold ties."""
    places = values.argsort(axis=1)
    places += values.shape[1] * np.arange(len(values))[:, None]
    ordered = values.ravel()[places]
    return places, (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
