"""Resampling statistics of RDMs and of vertices, and the exact Mann-Kendall test.

Every function takes a ``numpy.random.Generator``; every result that leaves the analysis is a
:class:`Statistic`, which says what was tested, how, and from which seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.rsa.rdm import RDM, joined
from analysis.rsa.similarity import PairGroups, all_pairs
from analysis.statistics.dissimilarity import average_ranks, expand, unit_ranks
from analysis.statistics.draws import permutations
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]

_BLOCK_FEATURES, _BLOCK_DRAWS, _BLOCK_WEIGHTS = 4096, 128, 256
FLAT_DRAW = 1e-3
"""A draw of features leaves a pattern constant where it keeps less than this share of the pattern's spread."""


def label_permutations(fixed: RDM, relabelled: RDM, *, n: int, rng: np.random.Generator,
                       blocks: Sequence[str] | None = None, pairs: PairGroups | None = None) -> Floats:
    """Draw the null of Spearman's rho between two RDMs by shuffling the labels of one.

    Rows and columns of `relabelled` move together, so that its dependence between pairs stays.

    Parameters
    ----------
    fixed, relabelled : RDM
        Over the same conditions; joined by label.
    n : int
        Number of permutations.
    blocks : sequence of str, optional
        Block of each condition, in the order of `fixed`: labels are shuffled within blocks only. Conditions that
        were measured in different sessions are not exchangeable.
    pairs : PairGroups, optional
        Pairs that are compared; groups other than all pairs need `blocks` within which they stay.

    Returns
    -------
    float64 array, (n,)
    """
    size = len(fixed)
    chosen = pairs or all_pairs(size)
    rows, columns = np.triu_indices(size, 1)
    ranked = expand(chosen.standard(joined(fixed, relabelled).condensed), n=size).ravel()
    reference = chosen.standard(fixed.condensed)
    orders = permutations(size, n=n, rng=rng, blocks=blocks).astype(np.int32)
    found = np.empty(n)
    for start in range(0, n, _BLOCK_DRAWS):  # what is gathered stays in the cache
        part = orders[start:start + _BLOCK_DRAWS]
        found[start:start + _BLOCK_DRAWS] = ranked.take(part[:, rows] * size + part[:, columns]) @ reference
    return found


def image_bootstraps(fixed: RDM, others: Sequence[RDM], *, n: int, rng: np.random.Generator,
                     pairs: PairGroups | None = None) -> Floats:
    """Draw images with replacement and correlate the resampled RDMs, leaving out pairs of one image.

    A pair drawn several times counts several times, with ranks over the drawn pairs: this is
    Spearman's rho with the product of the two images' counts as weight, so nothing is sorted anew.
    Pairs of an image with itself have weight zero; kept, their zero dissimilarity in both RDMs
    would bias the correlation upward.

    Parameters
    ----------
    fixed : RDM
        The reference, such as that of the RE images.
    others : sequence of RDM
        What it is compared with, all under the same draws.
    pairs : PairGroups, optional
        Pairs that are compared; by default all.

    Returns
    -------
    float64 array, (n, len(others))
        NaN where a draw has fewer than two different pairs, which sets of a few images give.

    Raises
    ------
    AnalysisError
        For fewer than three images, of which no draw has two pairs.
    """
    n_images = len(fixed)
    if n_images < 3:
        raise AnalysisError("bootstrap over images", came=f"{n_images} images, with fewer than two different pairs",
                            expected="at least three", remedy="Use more images.")
    draws = rng.integers(0, n_images, size=(n, n_images))
    counts = np.apply_along_axis(np.bincount, 1, draws, minlength=n_images).astype(np.float64)
    return weighted_similarities(fixed.condensed, [joined(fixed, other).condensed for other in others], weights=counts,
                                 pairs=pairs or all_pairs(n_images))


def weighted_similarities(fixed: Floats, others: Sequence[Floats], *, weights: Floats, pairs: PairGroups) -> Floats:
    """Correlate condensed RDMs under weights of their images: a pair has the product of its two.

    Parameters
    ----------
    fixed : float64 array, (n_pairs,)
    others : sequence of float64 array, each (n_pairs,)
    weights : float64 array, (n, n_images)
        Whole numbers: how often each image was drawn, 0 where it is left out.
    pairs : PairGroups

    Returns
    -------
    float64 array, (n, len(others))
        Mean Spearman's rho of the groups; NaN where one has fewer than two different pairs.
    """
    rows, columns = np.triu_indices(weights.shape[1], 1)
    found = np.zeros((len(weights), len(others)))
    for group in pairs.groups:
        ranked = [_Ranking.of(values[group]) for values in (fixed, *others)]
        for start in range(0, len(weights), _BLOCK_WEIGHTS):  # what is summed stays in the cache
            by_image = np.ascontiguousarray(weights[start:start + _BLOCK_WEIGHTS].T)
            drawn = by_image[rows[group]]
            drawn *= by_image[columns[group]]
            found[start:start + _BLOCK_WEIGHTS] += _weighted_spearman(ranked, weights=drawn) / len(pairs.groups)
    return found


@dataclass(frozen=True, eq=False)
class _Ranking:
    """The order of some values: what sorting them once tells of every weighting of them."""

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    places: NDArray[np.intp]

    @classmethod
    def of(cls, values: Floats) -> _Ranking:
        order = np.argsort(values, kind="stable")
        first = np.diff(values[order], prepend=np.nan) != 0
        places = np.empty(len(order), dtype=np.intp)
        places[order] = np.cumsum(first) - 1
        return cls(order, np.flatnonzero(first), places)

    def ranks(self, weights: Floats, *, half: Floats) -> Floats:
        """Rank under repetition counts (n_pairs, n), less `half` of their sum: the mean is then 0 under the counts."""
        totals = weights[self.order]
        if len(self.starts) < len(self.order):  # tied values share the mean of their ranks
            totals = np.add.reduceat(totals, self.starts, axis=0)
        sums = np.cumsum(totals, axis=0)
        totals *= 0.5
        sums -= totals
        sums -= half
        return sums[self.places]


def _weighted_spearman(ranked: Sequence[_Ranking], *, weights: Floats) -> Floats:
    """Correlate the first's ranks with the others' under repetition counts (n_pairs, n); NaN for one pair or none."""
    half = weights.sum(axis=0) / 2
    ranks = [one.ranks(weights, half=half) for one in ranked]
    norms = [np.sqrt(np.einsum("pb,pb,pb->b", weights, one, one)) for one in ranks]
    weighted = weights * ranks[0]
    found = np.stack([np.einsum("pb,pb->b", weighted, one) for one in ranks[1:]], axis=1)
    sizes = norms[0][:, None] * np.stack(norms[1:], axis=1)
    found /= np.where(sizes == 0, np.inf, sizes)
    found[np.count_nonzero(weights, axis=0) < 2] = np.nan
    return found


def feature_counts(n_features: int, *, n: int, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Draw `n` bootstraps of features as counts, (n, n_features); each row sums to `n_features`."""
    counts = np.empty((n, n_features), dtype=np.uint16)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, n_features, size=n_features), minlength=n_features)
    return counts


def feature_bootstraps(patterns: ArrayLike, *, counts: NDArray[np.uint16], measure: str) -> Floats:
    """Compute the RDM of the same patterns under bootstraps of their features (vertices, units).

    Parameters
    ----------
    patterns : array, (n_conditions, n_features)
    counts : uint16 array, (n, n_features)
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
    pairs = np.triu_indices(len(values), 1)
    sums = _weighted_sums(values, counts=counts, pairs=pairs)
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


def _weighted_sums(values: Floats, *, counts: NDArray[np.uint16],
                   pairs: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Floats:
    """Sum products of pairs, squares and values over features under every row of counts."""
    found = np.zeros((len(counts), len(pairs[0]) + 2 * len(values)))
    kind: type[np.floating[Any]] = np.float64 if values.shape[1] <= _BLOCK_FEATURES else np.float32
    for start in range(0, values.shape[1], _BLOCK_FEATURES):
        part: NDArray[Any] = np.ascontiguousarray(values[:, start:start + _BLOCK_FEATURES], dtype=kind)
        stacked = np.concatenate([part[pairs[0]] * part[pairs[1]], part**2, part])
        found += counts[:, start:start + _BLOCK_FEATURES].astype(kind) @ stacked.T
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


def noise_ceiling(rdms: Sequence[RDM]) -> tuple[float, float]:
    """Bound the similarity that any model could reach with a group of subjects.

    Upper: mean Spearman of each subject's RDM with the mean of all rank-transformed RDMs. Lower: with
    the mean of the others' only (Nili et al. 2014, PLoS Comput Biol 10:e1003553).

    Parameters
    ----------
    rdms : sequence of RDM
        One a subject, at least two; joined by label.

    Returns
    -------
    lower, upper : float
    """
    if len(rdms) < 2:
        raise AnalysisError("noise ceiling", came=f"{len(rdms)} subject(s)", expected="at least two",
                            remedy="Use presentation_ceiling for a single subject.")
    ranks = average_ranks(np.stack([joined(rdms[0], rdm).condensed for rdm in rdms]))
    own, total = unit_ranks(ranks), ranks.sum(axis=0)
    upper = own @ unit_ranks(total)
    lower = np.einsum("sp,sp->s", own, unit_ranks(total - ranks))
    return float(lower.mean()), float(upper.mean())


def split_half_reliability(first: RDM, second: RDM) -> tuple[float, float]:
    """Give the reliability of the RE images' RDM within one subject; no ceiling, of which it falls short.

    Returns
    -------
    half, whole : float
        Spearman between the RDMs of presentation 1 and of presentation 2, each from half of the data; its
        Spearman-Brown correction ``2 r / (1 + r)`` to the whole of the data (`r` itself where it is negative). Where
        vertices were chosen by this reliability, both are optimistic.
    """
    half = float(unit_ranks(first.condensed) @ unit_ranks(joined(first, second).condensed))
    return half, (2 * half / (1 + half) if half > 0 else half)
