"""Dissimilarities between patterns, and ranks of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MEASURES = ("correlation", "euclidean", "euclidean_root", "cosine")
WHITENED = ("mahalanobis", "crossnobis")
FLAT = 1e-10  # a pattern whose spread is below this share of its length is constant
Floats = NDArray[np.float64]


def without_noise(measure: str) -> str:
    """Name the measure where there is no noise to whiten by, or but one measurement: squared Euclidean for whitened.

    Examples
    --------
    >>> without_noise("crossnobis"), without_noise("correlation")
    ('euclidean', 'correlation')
    """
    return "euclidean" if measure in WHITENED else measure


def dissimilarities(patterns: Floats, *, measure: str) -> Floats:
    """Compute condensed dissimilarities of stacked patterns, without guards.

    Parameters
    ----------
    patterns : float64 array, (..., n, n_features)
        Any number of stacked sets.

    Returns
    -------
    float64 array, (..., n * (n - 1) / 2)
        NaN where a correlation is undefined.
    """
    rows, columns = np.triu_indices(patterns.shape[-2], 1)
    if measure.startswith("euclidean"):  # less one pattern: no distance hangs on what all share, but rounding does
        products = _products(patterns - patterns[..., :1, :])  # of whole numbers exactly, so that ties stay ties
        squares = np.diagonal(products, axis1=-2, axis2=-1)
        sums = np.maximum(squares[..., rows] + squares[..., columns] - 2 * products[..., rows, columns], 0.0)
        result: Floats = np.sqrt(sums) if measure == "euclidean_root" else sums / patterns.shape[-1]
        return result
    centred = patterns if measure == "cosine" else patterns - patterns.mean(axis=-1, keepdims=True)
    norms = lengths(centred)[..., None]
    flat = norms <= FLAT * lengths(patterns)[..., None]
    centred = centred / np.where(flat, np.nan, norms)
    return np.clip(1.0 - _products(centred)[..., rows, columns], 0.0, 2.0)


def from_products(products: Floats, *, measure: str, n_features: int) -> Floats:
    """Turn products of patterns into condensed dissimilarities.

    Parameters
    ----------
    products : float64 array, (..., n, n)
        Of patterns less their own mean for ``"correlation"``; whitened for whitened measures.
    measure : str
    n_features : int

    Returns
    -------
    float64 array, (..., n * (n - 1) / 2)

    Examples
    --------
    >>> patterns = np.array([[1.0, 0.0], [1.0, 2.0], [0.0, 3.0]])
    >>> from_products(patterns @ patterns.T, measure="euclidean_root", n_features=2).round(4)
    array([2.    , 3.1623, 1.4142])
    """
    rows, columns = np.triu_indices(products.shape[-1], 1)
    squares = np.diagonal(products, axis1=-2, axis2=-1)
    between = products[..., rows, columns]
    if measure in ("correlation", "cosine"):
        result: Floats = 1.0 - between / np.sqrt(squares[..., rows] * squares[..., columns])
        return result
    sums = squares[..., rows] + squares[..., columns] - 2 * between
    return np.sqrt(np.maximum(sums, 0.0)) if measure == "euclidean_root" else sums / n_features


def lengths(patterns: Floats) -> Floats:
    """Give the Euclidean lengths of patterns (..., n_features), without a copy of their squares."""
    result: Floats = np.sqrt(np.einsum("...i,...i->...", patterns, patterns))
    return result


def _products(patterns: Floats) -> Floats:
    return patterns @ np.swapaxes(patterns, -1, -2)


def expand(condensed: Floats, *, n: int) -> Floats:
    """Unfold condensed dissimilarities (..., n * (n - 1) / 2) to symmetric matrices (..., n, n)."""
    rows, columns = np.triu_indices(n, 1)
    matrix = np.zeros((*condensed.shape[:-1], n, n))
    matrix[..., rows, columns] = condensed
    matrix[..., columns, rows] = condensed
    return matrix


def average_ranks(values: Floats) -> Floats:
    """Rank along the last axis from 1, tied values sharing the mean of their ranks.

    Examples
    --------
    >>> average_ranks(np.array([10.0, 30.0, 20.0, 20.0]))
    array([1. , 4. , 2.5, 2.5])
    """
    order = values.argsort(axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, np.arange(1.0, values.shape[-1] + 1), axis=-1)
    tied = (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1)
    if tied.any():
        from scipy.stats import rankdata

        ranks[tied] = rankdata(values[tied], axis=-1)
    return ranks


def unit_ranks(values: Floats) -> Floats:
    """Rank along the last axis, centre, and scale to unit length; the inner product is then Spearman's rho.

    Constant rows become NaN: nothing correlates with them.
    """
    return unit_values(average_ranks(values))


def unit_values(values: Floats) -> Floats:
    """Centre along the last axis and scale to unit length; the inner product is then Pearson's r (NaN if constant)."""
    centred = values - values.mean(axis=-1, keepdims=True)
    norms = np.linalg.norm(centred, axis=-1, keepdims=True)
    result: Floats = centred / np.where(norms == 0, np.nan, norms)
    return result
