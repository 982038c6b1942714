"""Resampling statistics of RDMs and of vertices, and the exact Mann-Kendall test.

Every function takes a ``numpy.random.Generator``; every result that leaves the analysis is a
:class:`Statistic`, which says what was tested, how, and from which seed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.rsa.rdm import RDM, average_ranks, expand, joined, unit_ranks
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]

_BLOCK_FEATURES = 4096
_MOST_TIED = 9  # n! orders are enumerated when values are tied


@dataclass(frozen=True)
class Statistic:
    """One tested number.

    Parameters
    ----------
    effect : float
        The estimate, from the data as they are.
    low, high : float
        Bounds of its interval; NaN where none is given.
    p : float
        In (0, 1].
    n : int
        Number of things the effect was computed over (images, vertices, layers).
    n_resamples : int
        Draws behind `p`; 0 for an exact test.
    seed : int or None
        Seed of these draws; None for an exact test.
    test : str
        The test and the interval in words.
    correction : str
        Correction of `p` for multiple tests.
    ceiling : (float, float), optional
        The best that could be reached given the noise, lower and upper.
    """

    effect: float
    low: float
    high: float
    p: float
    n: int
    n_resamples: int
    seed: int | None
    test: str
    correction: str = "none"
    ceiling: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.p <= 1:
            raise AnalysisError(self.test, came=f"p = {self.p}", expected="0 < p <= 1",
                                remedy="Report this: a resampling test never gives p = 0.")
        if not math.isfinite(self.effect) or self.low > self.high:
            raise AnalysisError(self.test, came=f"effect {self.effect} in [{self.low}, {self.high}]",
                                expected="a finite effect and an interval in order",
                                remedy="Look for constant patterns or empty resamples.")


def upper_p(effect: float, null: ArrayLike) -> float:
    """Give the one-sided p of an effect above its null: ``(1 + #{null >= effect}) / (1 + N)``.

    References
    ----------
    Phipson & Smyth 2010, Stat Appl Genet Mol Biol 9:39.

    Examples
    --------
    >>> upper_p(0.5, [0.1, 0.6, 0.2])
    0.5
    """
    draws = np.asarray(null, dtype=np.float64)
    slack = 1e-12 * max(1.0, abs(effect))  # equal values computed in another order count as equal
    return float((1 + np.count_nonzero(draws >= effect - slack)) / (1 + draws.size))


def two_sided_p(samples: ArrayLike) -> float:
    """Give the two-sided p of a resampled difference against zero.

    Twice the smaller of ``(1 + #{d <= 0}) / (1 + N)`` and ``(1 + #{d >= 0}) / (1 + N)``, at most 1.
    """
    draws = np.asarray(samples, dtype=np.float64)
    tail = min(np.count_nonzero(draws <= 0), np.count_nonzero(draws >= 0))
    return float(min(1.0, 2 * (1 + tail) / (1 + draws.size)))


def interval(samples: ArrayLike, *, percent: float) -> tuple[float, float]:
    """Give the central percentile interval of resampled values.

    Examples
    --------
    >>> interval(range(101), percent=90)
    (5.0, 95.0)
    """
    tail = (100.0 - percent) / 2
    low, high = np.percentile(np.asarray(samples, dtype=np.float64), [tail, 100.0 - tail])
    return float(low), float(high)


def centred_interval(samples: ArrayLike, *, effect: float, percent: float) -> tuple[float, float]:
    """Give the percentile interval of resampled correlations, moved so that their median is the effect.

    A bootstrap over vertices repeats some and misses others, so that fewer distinct ones bear each RDM: its
    similarities are lower than that of all vertices (0.34 to 0.42 around an effect of 0.54 in one
    simulation), and the effect would lie outside its own interval. The spread is kept, the offset is not.

    Returns
    -------
    low, high : float
        Within [-1, 1].

    Examples
    --------
    >>> centred_interval([0.1, 0.2, 0.3], effect=0.5, percent=100)
    (0.4, 0.6)
    """
    draws = np.asarray(samples, dtype=np.float64)
    low, high = interval(draws - np.median(draws) + effect, percent=percent)
    return max(-1.0, min(low, effect)), min(1.0, max(high, effect))


def permutations(n_items: int, *, n: int, rng: np.random.Generator,
                 blocks: Sequence[str] | None = None) -> NDArray[np.intp]:
    """Draw `n` random orders of `n_items`, (n, n_items); with `blocks`, items only change places within theirs.

    Examples
    --------
    >>> permutations(4, n=50, rng=np.random.default_rng(0), blocks="aabb").max(axis=0)
    array([1, 1, 3, 3])
    """
    orders = np.tile(np.arange(n_items), (n, 1))
    names = np.zeros(n_items, dtype=np.int64) if blocks is None else np.unique(list(blocks), return_inverse=True)[1]
    for name in np.unique(names):
        places = np.flatnonzero(names == name)
        orders[:, places] = rng.permuted(orders[:, places], axis=1)
    return orders


def label_permutations(fixed: RDM, relabelled: RDM, *, n: int, rng: np.random.Generator,
                       blocks: Sequence[str] | None = None) -> Floats:
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

    Returns
    -------
    float64 array, (n,)
    """
    rows, columns = np.triu_indices(len(fixed), 1)
    ranked = expand(unit_ranks(joined(fixed, relabelled).condensed), n=len(fixed)).ravel()
    orders = permutations(len(fixed), n=n, rng=rng, blocks=blocks)
    shuffled = ranked[orders[:, rows] * len(fixed) + orders[:, columns]]
    return shuffled @ unit_ranks(fixed.condensed)


def image_bootstraps(fixed: RDM, others: Sequence[RDM], *, n: int, rng: np.random.Generator) -> Floats:
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

    Returns
    -------
    float64 array, (n, len(others))
    """
    n_images = len(fixed)
    draws = rng.integers(0, n_images, size=(n, n_images))
    counts = np.apply_along_axis(np.bincount, 1, draws, minlength=n_images)
    rows, columns = np.triu_indices(n_images, 1)
    weights = (counts[:, rows] * counts[:, columns]).astype(np.float64)
    _require_pairs(weights)
    reference = _weighted_unit_ranks(fixed.condensed, weights=weights)
    return np.stack([np.einsum("bp,bp,bp->b", weights, reference,
                               _weighted_unit_ranks(joined(fixed, other).condensed, weights=weights))
                     for other in others], axis=1)


def _require_pairs(weights: Floats) -> None:
    fewest = int(np.count_nonzero(weights, axis=1).min())
    if fewest < 2:
        raise AnalysisError("bootstrap over images", came="a draw with fewer than two different pairs",
                            expected="enough images for a correlation in every draw", remedy="Use more images.")


def _weighted_unit_ranks(values: Floats, *, weights: Floats) -> Floats:
    """Rank values (n_pairs,) under repetition counts (n, n_pairs); centre and scale under those counts."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    totals = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = (np.cumsum(totals, axis=1) - (totals - 1) / 2)[:, group]
    ranks -= (np.einsum("bp,bp->b", weights, ranks) / weights.sum(axis=1))[:, None]
    norms = np.sqrt(np.einsum("bp,bp,bp->b", weights, ranks, ranks))[:, None]
    return ranks / np.where(norms == 0, np.inf, norms)


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
    measure : {"correlation", "euclidean"}

    Returns
    -------
    float64 array, (n, n_pairs)
        Condensed dissimilarities. Sums are float64; beyond 4096 features the products within a block
        of 4096 are float32, on patterns standardised beforehand.
    """
    values = np.asarray(patterns, dtype=np.float64)
    scale = values.std(axis=1, keepdims=True) if measure == "correlation" else values.std()
    centre = values.mean(axis=1, keepdims=True) if measure == "correlation" else values.mean()
    rows, columns = np.triu_indices(len(values), 1)
    products, squares, sums = _weighted_sums((values - centre) / scale, counts=counts, pairs=(rows, columns))
    total = values.shape[1]
    if measure == "euclidean":
        return (squares[:, rows] + squares[:, columns] - 2 * products) * scale**2 / total
    spread = np.sqrt(np.maximum(squares - sums**2 / total, np.finfo(float).eps))
    covaried = products - sums[:, rows] * sums[:, columns] / total
    return np.clip(1 - covaried / (spread[:, rows] * spread[:, columns]), 0.0, 2.0)


def _weighted_sums(values: Floats, *, counts: NDArray[np.uint16],
                   pairs: tuple[NDArray[np.intp], NDArray[np.intp]]) -> tuple[Floats, Floats, Floats]:
    """Sum products of pairs, squares and values over features under every row of counts."""
    n_pairs, n = len(pairs[0]), len(values)
    found = np.zeros((len(counts), n_pairs + 2 * n))
    kind: type[np.floating[Any]] = np.float64 if values.shape[1] <= _BLOCK_FEATURES else np.float32
    for start in range(0, values.shape[1], _BLOCK_FEATURES):
        part: NDArray[Any] = np.ascontiguousarray(values[:, start:start + _BLOCK_FEATURES], dtype=kind)
        stacked = np.concatenate([part[pairs[0]] * part[pairs[1]], part**2, part])
        found += counts[:, start:start + _BLOCK_FEATURES].astype(kind) @ stacked.T
    return found[:, :n_pairs], found[:, n_pairs:n_pairs + n], found[:, n_pairs + n:]


def subsamples(n_items: int, *, share: float, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw `n` subsamples without replacement, (n, n_items), true where an item is in.

    Examples
    --------
    >>> subsamples(10, share=0.8, n=3, rng=np.random.default_rng(0)).sum(axis=1)
    array([8, 8, 8])
    """
    size = round(share * n_items)
    if size < 1:
        raise AnalysisError("encoding.subsample", came=f"{share} of {n_items} items", expected="at least one item",
                            remedy="Raise the share.")
    return permutations(n_items, n=n, rng=rng) < size


def mann_kendall(values: ArrayLike) -> tuple[float, float]:
    """Test for a monotonic trend over ordered places, with the exact null.

    ``S = sum over i < j of sign(x_j - x_i)``; tau = S / (n (n - 1) / 2); the two-sided p is the share of
    all n! orders of the values with at least this absolute S. Without ties the null comes from counting
    inversions; with ties the orders are enumerated (n up to 9).

    Parameters
    ----------
    values : array, (n,)
        One value a place, in order of the places; n >= 3.

    Returns
    -------
    tau, p : float

    References
    ----------
    Mann 1945, Econometrica 13:245; Kendall 1975, Rank Correlation Methods.

    Examples
    --------
    >>> mann_kendall([1, 2, 3, 4, 5, 6, 7, 8])
    (1.0, 4.96031746031746e-05)
    """
    series = np.asarray(values, dtype=np.float64)
    n = len(series)
    if n < 3 or not np.isfinite(series).all():
        n_bad = np.count_nonzero(~np.isfinite(series))
        raise AnalysisError("Mann-Kendall test", came=f"{n} values, {n_bad} not finite",
                            expected="at least three finite values", remedy="Give one finite value for each place.")
    score = abs(int(_scores(series[None])[0]))
    tied = len(np.unique(series)) < n
    p = _tied_tail(series, score=score) if tied else _inversion_tail(n, score=score)
    return float(_scores(series[None])[0] / (n * (n - 1) / 2)), p


def _scores(orders: Floats) -> Floats:
    first, second = np.triu_indices(orders.shape[1], 1)
    return np.sign(orders[:, second] - orders[:, first]).sum(axis=1)


def _inversion_tail(n: int, *, score: int) -> float:
    counts = [1]
    for k in range(2, n + 1):  # orders of k items by inversions: one more factor 1 + q + ... + q^(k-1)
        counts = [sum(counts[max(0, i - k + 1):i + 1]) for i in range(len(counts) + k - 1)]
    top = n * (n - 1) // 2
    return sum(count for i, count in enumerate(counts) if abs(top - 2 * i) >= score) / math.factorial(n)


def _tied_tail(series: Floats, *, score: int) -> float:
    if len(series) > _MOST_TIED:
        raise AnalysisError("Mann-Kendall test", came=f"tied values among {len(series)}",
                            expected=f"no ties, or at most {_MOST_TIED} values",
                            remedy="Ties are resolved by enumerating all orders; give fewer values.")
    ranks = np.searchsorted(np.unique(series), series)
    orders = np.array(list(itertools.permutations(ranks)), dtype=np.float64)
    return float(np.mean(np.abs(_scores(orders)) >= score))


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
                            remedy="Use the split-half ceiling for a single subject.")
    ranks = average_ranks(np.stack([joined(rdms[0], rdm).condensed for rdm in rdms]))
    own, total = unit_ranks(ranks), ranks.sum(axis=0)
    upper = own @ unit_ranks(total)
    lower = np.einsum("sp,sp->s", own, unit_ranks(total - ranks))
    return float(lower.mean()), float(upper.mean())


def split_half_ceiling(first: RDM, second: RDM) -> tuple[float, float]:
    """Bound the similarity within one subject by the reliability of the RE images' RDM.

    Lower: Spearman between the RDMs of presentation 1 and of presentation 2, each from half of the
    data. Upper: its Spearman-Brown correction ``2 r / (1 + r)`` to the whole of the data (`r` itself
    where it is negative). Where vertices were chosen by this reliability, both are optimistic.
    """
    half = float(unit_ranks(first.condensed) @ unit_ranks(joined(first, second).condensed))
    return half, (2 * half / (1 + half) if half > 0 else half)
