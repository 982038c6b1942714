"""How two RDMs are compared: over which pairs of conditions, and by which coefficient.

A comparison is an inner product of two standardised vectors wherever that is possible, so that a thousand permutations
are one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.rsa.rdm import RDM, joined
from analysis.statistics.dissimilarity import unit_ranks, unit_values
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
Pairs = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class PairGroups:
    """The pairs of conditions over which RDMs are compared, in groups that are ranked apart.

    Parameters
    ----------
    n : int
        Number of conditions.
    groups : tuple of int array
        Places in the condensed RDM. All pairs in one group by :func:`all_pairs`; the pairs of each session in a group
        of its own by :func:`pairs_within`. The similarity is the mean over groups.
    """

    n: int
    groups: tuple[Pairs, ...]

    def __post_init__(self) -> None:
        for group in self.groups:
            if len(group) < 3:
                raise AnalysisError("pairs of images", came=f"a group of {len(group)} pair(s)",
                                    expected="three pairs or more, of three images in a session",
                                    remedy="Compare over all pairs (rsa.pairs = \"all\").")

    @property
    def n_pairs(self) -> int:
        """Pairs in all groups."""
        return sum(len(group) for group in self.groups)

    def standard(self, condensed: Floats, *, ranks: bool = True) -> Floats:
        """Rank within each group and scale, (..., n_pairs of the RDM): inner products are then mean Spearman's rho.

        Pairs in no group are 0; all are NaN where a group's dissimilarities are all alike. Without ranks inner products
        are mean Pearson's r.
        """
        result = np.zeros(condensed.shape)
        share = 1 / np.sqrt(len(self.groups))
        for group in self.groups:
            part = condensed[..., group]
            result[..., group] = (unit_ranks(part) if ranks else unit_values(part)) * share
        return result


def all_pairs(n: int) -> PairGroups:
    """Compare over all pairs of `n` conditions."""
    return PairGroups(n, (np.arange(n * (n - 1) // 2),))


def pairs_within(blocks: Sequence[str]) -> PairGroups:
    """Compare over the pairs within each block (session) only.

    Examples
    --------
    >>> pairs_within("aaabbb").groups
    (array([0, 1, 5]), array([12, 13, 14]))
    """
    names = np.asarray(list(blocks))
    rows, columns = np.triu_indices(len(names), 1)
    within = names[rows] == names[columns]
    return PairGroups(len(names), tuple(np.flatnonzero(within & (names[rows] == name)) for name in np.unique(names)))


def similarity(first: RDM, second: RDM, *, pairs: PairGroups | None = None) -> float:
    """Correlate two RDMs, joined by label, by Spearman's rho over the pairs that are asked for.

    Raises
    ------
    AnalysisError
        If the conditions differ, or one RDM is constant.
    """
    chosen = pairs or all_pairs(len(first))
    rho = float(chosen.standard(first.condensed) @ chosen.standard(joined(first, second).condensed))
    if not np.isfinite(rho):
        raise AnalysisError("RDMs to compare", came="an RDM with one and the same value for all pairs",
                            expected="dissimilarities that differ", remedy="Look at the patterns it was made from.")
    return min(1.0, max(-1.0, rho))


def null_mean(first: RDM, second: RDM, *, pairs: PairGroups | None = None,
              blocks: Sequence[str] | None = None) -> float:
    """Give the mean similarity over all permutations of labels within blocks, exactly.

    A permutation carries a pair of blocks (g, h) to every other such pair equally often: the mean is the sum over
    pairs of blocks of (sum of x)(sum of y) / (number of pairs), with x and y the standardised RDMs. Without blocks it
    is 0 for Spearman's rho. Within sessions it is what the sessions alone make alike in all RDMs, as the removal of
    session means by type does: each session's patterns then correlate by -1 / (n - 1) in the mean, and those of two
    sessions by 0.

    Examples
    --------
    >>> a, b = (RDM(tuple("abcd"), np.array(v, float), "euclidean") for v in ([1, 9, 8, 7, 6, 2], [2, 7, 9, 8, 6, 1]))
    >>> round(null_mean(a, b), 12) + 0, round(null_mean(a, b, blocks="aabb"), 6)
    (0.0, 0.857143)
    """
    n = len(first)
    chosen = pairs or all_pairs(n)
    x, y = chosen.standard(first.condensed), chosen.standard(joined(first, second).condensed)
    names = np.zeros(n, dtype=np.intp) if blocks is None else np.unique(list(blocks), return_inverse=True)[1]
    rows, columns = np.triu_indices(n, 1)
    low, high = np.minimum(names[rows], names[columns]), np.maximum(names[rows], names[columns])
    _, kind = np.unique(low * n + high, return_inverse=True)
    counts = np.bincount(kind)
    return float((np.bincount(kind, weights=x) * np.bincount(kind, weights=y) / counts).sum())
