"""Dissimilarities of the same patterns under draws of their features: vertices and units one by one, or in groups."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_BLOCK_FEATURES = 4096
FLAT_DRAW = 1e-3
"""A draw of features leaves a pattern constant where it keeps less than this share of the pattern's spread."""


def feature_counts(n_features: int, *, n: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw `n` bootstraps of features as counts, (n, n_features); each row sums to `n_features`.

    A byte holds a count: of more features than 255, one is drawn 256 times with a probability below 1e-500.
    """
    counts = np.empty((n, n_features), dtype=np.uint8)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, n_features, size=n_features), minlength=n_features)
    return counts


def feature_bootstraps(patterns: ArrayLike, *, counts: NDArray[Any], measure: str) -> Floats:
    """Compute the RDM of the same patterns under bootstraps of their features (vertices, units).

    Parameters
    ----------
    patterns : array, (n_conditions, n_features)
    counts : array of whole numbers, (n, n_features)
        How often each feature was drawn; pass the same to several sets to pair them.
    measure : {"correlation", "euclidean", "euclidean_root", "cosine"}

    Returns
    -------
    float64 array, (n, n_pairs)
        Condensed dissimilarities. Sums are float64; beyond 4096 features the products within a block
        of 4096 are float32, on patterns standardised beforehand. NaN where a draw leaves one of the two patterns
        constant (:data:`FLAT_DRAW`), as a draw without its winning unit does with a softmax: a correlation of what
        is left would be one of rounding errors.
    """
    values = np.array(patterns, dtype=np.float64)
    centre, scale = _standard(values, measure=measure)
    values -= centre
    values /= scale
    sums = _weighted_sums(values, counts=counts)
    return _from_sums(sums, n_conditions=len(values), total=values.shape[1], scale=scale, measure=measure)


def _standard(values: Floats, *, measure: str) -> tuple[Floats, Floats]:
    """Give what is taken off patterns and what they are divided by, so that float32 products lose little."""
    if measure == "correlation":
        return values.mean(axis=1, keepdims=True), values.std(axis=1, keepdims=True)
    centre = np.zeros((1, values.shape[1])) if measure == "cosine" else values.mean(axis=0, keepdims=True)
    return centre, np.sqrt(((values - centre)**2).mean(keepdims=True))


def _from_sums(sums: Floats, *, n_conditions: int, total: float | Floats, scale: Floats, measure: str) -> Floats:
    """Turn sums over drawn features (products of pairs, squares, values) into condensed dissimilarities.

    Parameters
    ----------
    sums : float64 array, (n, n_pairs + 2 * n_conditions)
    n_conditions : int
    total : float or array, (n, 1)
        How many features were drawn.
    scale : array
        Of :func:`_standard`.
    measure : {"correlation", "euclidean", "euclidean_root", "cosine"}
    """
    rows, columns = np.triu_indices(n_conditions, 1)
    products, squares, values = np.split(sums, [len(rows), len(rows) + n_conditions], axis=1)
    if measure.startswith("euclidean"):
        distances = (squares[:, rows] + squares[:, columns] - 2 * products) * scale**2
        result: Floats = np.sqrt(np.maximum(distances, 0.0)) if measure == "euclidean_root" else distances / total
        return result
    values = np.zeros_like(values) if measure == "cosine" else values
    variance = squares - values**2 / total
    spread = np.sqrt(np.where(variance > FLAT_DRAW**2 * total, variance, np.nan))
    covaried = products - values[:, rows] * values[:, columns] / total
    result = np.clip(1 - covaried / (spread[:, rows] * spread[:, columns]), 0.0, 2.0)
    return result


def _weighted_sums(values: Floats, *, counts: NDArray[Any]) -> Floats:
    """Sum products of pairs, squares and values over features under every row of counts."""
    n_conditions, n_features = values.shape
    n_pairs = n_conditions * (n_conditions - 1) // 2
    found = np.zeros((len(counts), n_pairs + 2 * n_conditions))
    kind: type[np.floating[Any]] = np.float64 if n_features <= _BLOCK_FEATURES else np.float32
    stacked = np.empty((found.shape[1], min(n_features, _BLOCK_FEATURES)), dtype=kind)
    for start in range(0, n_features, _BLOCK_FEATURES):
        part = values[:, start:start + _BLOCK_FEATURES].astype(kind)
        terms, place = stacked[:, :part.shape[1]], 0
        for k in range(n_conditions - 1):
            after = place + n_conditions - 1 - k
            np.multiply(part[k], part[k + 1:], out=terms[place:after])
            place = after
        np.multiply(part, part, out=terms[n_pairs:n_pairs + n_conditions])
        terms[n_pairs + n_conditions:] = part
        found += counts[:, start:start + _BLOCK_FEATURES].astype(kind) @ terms.T
    return found


def group_bootstraps(patterns: ArrayLike, *, groups: NDArray[np.intp], counts: NDArray[Any], measure: str) -> Floats:
    """Compute the RDM of the same patterns under bootstraps of random groups of their features.

    The sums over each group are taken once, and groups are drawn instead of single features: the mean of g features
    drawn together has a g-th of their variance, and a g-th as many are drawn, so the spread of the draws is that of
    :func:`feature_bootstraps` (within 1 to 3 % for 2000 groups), at the cost of 2000 features.

    Parameters
    ----------
    patterns : array, (n_conditions, n_features)
    groups : int array, (n_features,)
        An order of the features, random for units, by place for vertices; its consecutive pieces, as even as they can
        be, are the groups.
    counts : array of whole numbers, (n, n_groups)
        How often each group was drawn, or 0 where it is left out.
    measure : {"correlation", "euclidean", "euclidean_root", "cosine"}

    Returns
    -------
    float64 array, (n, n_pairs)
        Products within a group are float32 on patterns standardised beforehand; sums over groups float64. NaN as there.
    """
    values = np.asarray(patterns)
    n_groups, (n_conditions, n_features) = counts.shape[1], values.shape
    edges = np.linspace(0, n_features, n_groups + 1).astype(np.intp)
    standard, scale = _standard32(values, measure=measure)
    drawn = np.ascontiguousarray(standard.T)[groups]
    pairs = np.triu_indices(n_conditions, 1)
    sums = np.empty((n_groups, n_conditions * (n_conditions + 3) // 2))
    for k, (low, high) in enumerate(pairwise(edges)):
        gram = drawn[low:high].T @ drawn[low:high]
        sums[k] = np.concatenate([gram[pairs], gram.diagonal(), drawn[low:high].sum(axis=0)])
    weights = counts.astype(np.float64)
    return _from_sums(weights @ sums, n_conditions=n_conditions, total=weights @ np.diff(edges)[:, None], scale=scale,
                      measure=measure)


def _standard32(values: NDArray[Any], *, measure: str) -> tuple[NDArray[np.float32], Floats]:
    """Centre and scale patterns as :func:`_standard` does, in float32: the sums of what is left are exact enough."""
    centred = np.array(values, dtype=np.float32)
    if measure != "cosine":
        centre = values.mean(axis=1 if measure == "correlation" else 0, keepdims=True, dtype=np.float64)
        centred = (values - centre.astype(values.dtype)).astype(np.float32)
    squares = np.einsum("ij,ij->i", centred, centred)[:, None] / values.shape[1]
    scale = np.sqrt(squares if measure == "correlation" else squares.mean(keepdims=True))
    centred /= scale
    return centred, scale.astype(np.float64)
