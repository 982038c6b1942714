"""Kendall's tau-a of many pairs of rows at once, and under repetition counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def inversions(orders: NDArray[np.integer]) -> NDArray[np.int64]:
    """Count the pairs that are out of order in each row.

    The values are parted by one bit after the other, from the highest: of two values that part at a bit the larger one
    came first in so many pairs. Since every row holds the same values, all rows part at the same places.

    Parameters
    ----------
    orders : int array, (n, m)
        Each row the numbers 0 to m - 1 in some order.

    Returns
    -------
    int64 array, (n,)

    Examples
    --------
    >>> inversions(np.array([[0, 1, 2, 3], [3, 2, 1, 0], [0, 3, 1, 2]])).tolist()
    [0, 6, 2]
    """
    rows = np.array(orders, dtype=np.int32)
    n, m = rows.shape
    found, index = np.zeros(n, dtype=np.int64), np.arange(m, dtype=np.int32)
    for bit in reversed(range((m - 1).bit_length())):
        size = 2 << bit
        start = index // size * size
        upper = (rows >> bit) & 1
        ahead = np.cumsum(upper, axis=1, dtype=np.int32)
        ahead -= np.where(start > 0, ahead[:, start - 1], 0)
        lower = upper == 0
        found += np.einsum("nm,nm->n", ahead, lower, dtype=np.int64)
        place = np.where(lower, index - ahead, start + size // 2 + ahead - 1)
        parted = np.empty_like(rows)
        np.put_along_axis(parted, place, rows, axis=1)
        rows = parted
    return found


def row_tau_a(fixed: Floats, rows: Floats) -> Floats:
    """Correlate one series with each of many by Kendall's tau-a.

    Parameters
    ----------
    fixed : float64 array, (m,)
    rows : float64 array, (n, m)

    Returns
    -------
    float64 array, (n,)
        Concordant less discordant pairs, by the number of all pairs, tied ones among them; NaN where a series is
        constant.

    References
    ----------
    Nili et al. 2014, PLoS Comput Biol 10:e1003553, who ask for tau-a where models have ties.

    Examples
    --------
    >>> row_tau_a(np.array([1.0, 2, 3]), np.array([[1.0, 2, 3], [2, 1, 1], [5, 5, 5]])).round(4)
    array([ 1.    , -0.6667,     nan])
    """
    m = len(fixed)
    order = np.argsort(fixed, kind="stable")
    first, values = fixed[order], rows[:, order]
    alike = first[1:] == first[:-1]
    if alike.any():  # within a tie of the first series the second ascends: no pair of it is out of order
        group = np.cumsum(np.concatenate([[False], ~alike]))
        values = np.stack([row[np.lexsort((row, group))] for row in values])
    ascending = np.argsort(values, axis=1, kind="stable")
    ranks = np.empty(values.shape, dtype=np.int32)
    np.put_along_axis(ranks, ascending, np.arange(m, dtype=np.int32)[None], axis=1)
    ordered = np.take_along_axis(values, ascending, axis=1)
    n_pairs = m * (m - 1) // 2
    tied = _tied_pairs(ordered[:, 1:] == ordered[:, :-1]) + _tied_pairs(alike[None])
    tied -= _tied_pairs(alike & (values[:, 1:] == values[:, :-1]))
    constant = (ordered[:, 0] == ordered[:, -1]) | (first[0] == first[-1])
    result: Floats = np.where(constant, np.nan, (n_pairs - tied - 2 * inversions(ranks)) / n_pairs)
    return result


def _tied_pairs(alike: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the tied pairs of sorted rows, of which each value is like the one before or not, (n, m - 1)."""
    index = np.arange(1, alike.shape[1] + 1)
    starts = np.maximum.accumulate(np.where(alike, 0, index), axis=1)
    result: NDArray[np.int64] = (index - starts).sum(axis=1)
    return result


def agreement(first: Floats, second: Floats) -> Floats:
    """Say of each two pairs of values whether both series order them alike (1), in opposite ways (-1), or tie (0).

    Parameters
    ----------
    first, second : float64 array, (m,)

    Returns
    -------
    float64 array, (m, m)
        Half its sum by the number of pairs is tau-a.
    """
    result: Floats = np.sign(first[:, None] - first) * np.sign(second[:, None] - second)
    return result


def weighted_tau_a(first: Floats, second: Floats, *, weights: Floats) -> Floats:
    """Correlate two series by tau-a under repetition counts.

    A value that is there several times is tied with itself.

    Parameters
    ----------
    first, second : float64 array, (m,)
    weights : float64 array, (m, n)
        How often each value is there.

    Returns
    -------
    float64 array, (n,)
        NaN for fewer than two values in all.
    """
    total = weights.sum(axis=0)
    score = np.einsum("mn,mn->n", weights, agreement(first, second) @ weights)
    n_pairs = total * (total - 1)  # each of them twice, as in the score
    result: Floats = score / np.where(n_pairs > 0, n_pairs, np.nan)
    return result
