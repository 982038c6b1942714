"""Similarities under permuted labels, and under draws or deletions of images.

Every function takes a ``numpy.random.Generator``; every result that leaves the analysis is a
:class:`~analysis.statistics.statistic.Statistic`, which says what was tested, how, and from which seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.rsa.rdm import RDM, joined
from analysis.rsa.similarity import PairGroups, all_pairs, correlate
from analysis.statistics.dissimilarity import expand
from analysis.statistics.draws import permutations
from analysis.statistics.kendall import weighted_tau_a
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]

_BLOCK_DRAWS, _BLOCK_WEIGHTS = 128, 256


def label_permutations(fixed: RDM, relabelled: RDM, *, n: int, rng: np.random.Generator,
                       blocks: Sequence[str] | None = None, pairs: PairGroups | None = None,
                       by: str = "spearman") -> Floats:
    """Draw the null of the similarity of two RDMs by shuffling the labels of one.

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
    by : str
        Coefficient, a name of :data:`~analysis.rsa.similarity.COEFFICIENTS`.

    Returns
    -------
    float64 array, (n,)
    """
    size = len(fixed)
    chosen = pairs or all_pairs(size)
    rows, columns = np.triu_indices(size, 1)
    orders = permutations(size, n=n, rng=rng, blocks=blocks).astype(np.int32)
    other, found = joined(fixed, relabelled).condensed, np.empty(n)
    moved = expand(other if by == "tau_a" else chosen.standard(other, by=by), n=size).ravel()
    reference = fixed.condensed if by == "tau_a" else chosen.standard(fixed.condensed, by=by)
    for start in range(0, n, _BLOCK_DRAWS):  # what is gathered stays in the cache
        part = orders[start:start + _BLOCK_DRAWS]
        drawn = moved.take(part[:, rows] * size + part[:, columns])
        found[start:start + _BLOCK_DRAWS] = drawn @ reference if by != "tau_a" else correlate(reference, drawn,
                                                                                             pairs=chosen, by=by)
    return found


def image_bootstraps(fixed: RDM, others: Sequence[RDM], *, n: int, rng: np.random.Generator,
                     pairs: PairGroups | None = None, by: str = "spearman") -> Floats:
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
    by : str
        Coefficient.

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
                                 pairs=pairs or all_pairs(n_images), by=by)


def weighted_similarities(fixed: Floats, others: Sequence[Floats], *, weights: Floats, pairs: PairGroups,
                          by: str = "spearman") -> Floats:
    """Correlate condensed RDMs under weights of their images: a pair has the product of its two.

    Parameters
    ----------
    fixed : float64 array, (n_pairs,)
    others : sequence of float64 array, each (n_pairs,)
    weights : float64 array, (n, n_images)
        Whole numbers: how often each image was drawn, 0 where it is left out.
    pairs : PairGroups
    by : str
        Coefficient.

    Returns
    -------
    float64 array, (n, len(others))
        Mean of the groups; NaN where one has fewer than two different pairs.
    """
    rows, columns = np.triu_indices(weights.shape[1], 1)
    found = np.zeros((len(weights), len(others)))
    for group in pairs.groups:
        values = [one[group] for one in (fixed, *others)]
        correlate_drawn = _CORRELATE[by](values)
        for start in range(0, len(weights), _BLOCK_WEIGHTS):  # what is summed stays in the cache
            by_image = np.ascontiguousarray(weights[start:start + _BLOCK_WEIGHTS].T)
            drawn = by_image[rows[group]]
            drawn *= by_image[columns[group]]
            similar = correlate_drawn(weights=drawn)
            similar[np.count_nonzero(drawn, axis=0) < 2] = np.nan
            found[start:start + _BLOCK_WEIGHTS] += similar / len(pairs.groups)
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


class _Drawn(Protocol):
    """Correlates the first series with the others under repetition counts (n_pairs, n); gives (n, n_others)."""

    def __call__(self, *, weights: Floats) -> Floats: ...


def _by_ranks(values: Sequence[Floats], *, as_if_untied: bool = False) -> _Drawn:
    """Spearman's rho under repetition counts, or rho-a: by the variance that ranks would have without ties."""
    ranked = [_Ranking.of(one) for one in values]

    def drawn(*, weights: Floats) -> Floats:
        total = weights.sum(axis=0)
        ranks = [one.ranks(weights, half=total / 2) for one in ranked]
        return _moments(ranks, weights=weights, squares=(total**3 - total) / 12 if as_if_untied else None)

    return drawn


def _by_values(values: Sequence[Floats]) -> _Drawn:
    """Pearson's r under repetition counts."""
    def drawn(*, weights: Floats) -> Floats:
        total = np.maximum(weights.sum(axis=0), 1)
        return _moments([one[:, None] - one @ weights / total for one in values], weights=weights)

    return drawn


def _by_order(values: Sequence[Floats]) -> _Drawn:
    """Kendall's tau-a under repetition counts."""
    def drawn(*, weights: Floats) -> Floats:
        return np.stack([weighted_tau_a(values[0], one, weights=weights) for one in values[1:]], axis=1)

    return drawn


def _moments(centred: Sequence[Floats], *, weights: Floats, squares: Floats | None = None) -> Floats:
    """Divide the products of the first with the others by their sizes, or by given sums of squares."""
    weighted = weights * centred[0]
    found = np.stack([np.einsum("pb,pb->b", weighted, one) for one in centred[1:]], axis=1)
    if squares is None:
        norms = [np.sqrt(np.einsum("pb,pb,pb->b", weights, one, one)) for one in centred]
        sizes = norms[0][:, None] * np.stack(norms[1:], axis=1)
    else:
        sizes = np.repeat(squares[:, None], found.shape[1], axis=1)
    found /= np.where(sizes == 0, np.inf, sizes)
    return found


_CORRELATE: dict[str, Callable[[Sequence[Floats]], _Drawn]] = {
    "spearman": _by_ranks, "rho_a": partial(_by_ranks, as_if_untied=True), "pearson": _by_values, "tau_a": _by_order}
