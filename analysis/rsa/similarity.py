"""How two RDMs are compared: over which pairs of conditions, and by which coefficient.

Spearman's rho, rho-a and Pearson's r are inner products of two standardised vectors, so that a thousand permutations
are one matrix product; Kendall's tau-a counts pairs of pairs. rho-a is the mean of Spearman's rho over all orders of
tied values (Schuett et al. 2023, eLife 12:e82566): the same as rho without ties, lower where a model has many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.rsa.rdm import RDM, joined
from analysis.statistics.dissimilarity import average_ranks, unit_ranks, unit_values
from analysis.statistics.kendall import row_tau_a
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
Pairs = NDArray[np.intp]
COEFFICIENTS = {"spearman": "Spearman's rho", "tau_a": "Kendall's tau-a", "rho_a": "rho-a", "pearson": "Pearson's r"}
"""Names of ``rsa.comparison`` in words."""


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

    def standard(self, condensed: Floats, *, by: str = "spearman") -> Floats:
        """Standardise within each group, (..., n_pairs of the RDM): inner products are then mean coefficients.

        Parameters
        ----------
        condensed : float64 array, (..., n_pairs of the RDM)
        by : {"spearman", "rho_a", "pearson"}

        Returns
        -------
        float64 array
            Pairs in no group are 0; all are NaN where a group's dissimilarities are all alike.
        """
        result = np.zeros(condensed.shape)
        share = 1 / np.sqrt(len(self.groups))
        for group in self.groups:
            result[..., group] = _STANDARD[by](condensed[..., group]) * share
        return result


def _rho_a_ranks(values: Floats) -> Floats:
    """Rank and centre, scaled as if nothing were tied; NaN where all is."""
    n = values.shape[-1]
    centred = average_ranks(values) - (n + 1) / 2
    result: Floats = centred / np.where(centred.any(axis=-1, keepdims=True), np.sqrt((n**3 - n) / 12), np.nan)
    return result


_STANDARD = {"spearman": unit_ranks, "rho_a": _rho_a_ranks, "pearson": unit_values}


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


def correlate(fixed: Floats, others: Floats, *, pairs: PairGroups, by: str) -> Floats:
    """Compare condensed RDMs with one, or row by row.

    Parameters
    ----------
    fixed : float64 array, (n_pairs,) or (n, n_pairs)
    others : float64 array, (n, n_pairs)
    pairs : PairGroups
    by : str
        A name of :data:`COEFFICIENTS`.

    Returns
    -------
    float64 array, (n,)
        Mean of the groups; NaN where an RDM is constant.
    """
    if by != "tau_a":
        result: Floats = np.einsum("...p,...p->...", pairs.standard(fixed, by=by), pairs.standard(others, by=by))
        return result
    found = np.zeros(len(others))
    for group in pairs.groups:
        part = others[:, group]
        found += row_tau_a(fixed[group], part) if fixed.ndim == 1 else np.concatenate(
            [row_tau_a(one, row[None]) for one, row in zip(fixed[:, group], part, strict=True)])
    return found / len(pairs.groups)


def similarity(first: RDM, second: RDM, *, pairs: PairGroups | None = None, by: str = "spearman") -> float:
    """Correlate two RDMs, joined by label, over the pairs that are asked for.

    Parameters
    ----------
    first, second : RDM
    pairs : PairGroups, optional
    by : str
        A name of :data:`COEFFICIENTS`.

    Raises
    ------
    AnalysisError
        If the conditions differ, or one RDM is constant.
    """
    chosen = pairs or all_pairs(len(first))
    found = float(correlate(first.condensed, joined(first, second).condensed[None], pairs=chosen, by=by)[0])
    if not np.isfinite(found):
        raise AnalysisError("RDMs to compare", came="an RDM with one and the same value for all pairs",
                            expected="dissimilarities that differ", remedy="Look at the patterns it was made from.")
    return min(1.0, max(-1.0, found))


def null_mean(first: RDM, second: RDM, *, pairs: PairGroups | None = None,
              blocks: Sequence[str] | None = None, by: str = "spearman") -> float:
    """Give the mean similarity over all permutations of labels within blocks, exactly.

    A permutation carries a pair of blocks (g, h) to every other such pair equally often: the mean is the sum over
    pairs of blocks of (sum of x)(sum of y) / (number of pairs), with x and y the standardised RDMs. Without blocks it
    is 0. Within sessions it is what the sessions alone make alike in all RDMs, as the removal of
    session means by type does: each session's patterns then correlate by -1 / (n - 1) in the mean, and those of two
    sessions by 0. Tau-a is summed over pairs of pairs: see :func:`_tau_mean`.

    Examples
    --------
    >>> a, b = (RDM(tuple("abcd"), np.array(v, float), "euclidean") for v in ([1, 9, 8, 7, 6, 2], [2, 7, 9, 8, 6, 1]))
    >>> round(null_mean(a, b), 12) + 0, round(null_mean(a, b, blocks="aabb"), 6)
    (0.0, 0.857143)
    """
    n = len(first)
    chosen, second = pairs or all_pairs(n), joined(first, second)
    names = np.zeros(n, dtype=np.intp) if blocks is None else np.unique(list(blocks), return_inverse=True)[1]
    if by == "tau_a":
        return _tau_mean(first.condensed, second.condensed, pairs=chosen, names=names)
    x, y = chosen.standard(first.condensed, by=by), chosen.standard(second.condensed, by=by)
    rows, columns = np.triu_indices(n, 1)
    low, high = np.minimum(names[rows], names[columns]), np.maximum(names[rows], names[columns])
    _, kind = np.unique(low * n + high, return_inverse=True)
    counts = np.bincount(kind)
    return float((np.bincount(kind, weights=x) * np.bincount(kind, weights=y) / counts).sum())


def _tau_mean(first: Floats, second: Floats, *, pairs: PairGroups, names: NDArray[np.intp]) -> float:
    """Give the mean tau-a over all permutations within blocks.

    Which of two pairs is more dissimilar, {a, b} or {c, d}, goes to every two pairs of the same kind equally often:
    whether they share an image, of which block, and the blocks of the others.
    """
    found = 0.0
    rows, columns = np.triu_indices(len(names), 1)
    for group in pairs.groups:
        kinds = _kinds_of_two(rows[group], columns[group], names=names).ravel()
        x, y = (np.sign(values[group][:, None] - values[group]).ravel() for values in (first, second))
        counts = np.maximum(np.bincount(kinds), 1)
        total = (np.bincount(kinds, weights=x) * np.bincount(kinds, weights=y) / counts).sum()
        found += float(total) / (len(group) * (len(group) - 1)) / len(pairs.groups)
    return found


def _kinds_of_two(rows: Pairs, columns: Pairs, *, names: NDArray[np.intp]) -> NDArray[np.intp]:
    """Give a number to what permutations within blocks can make of two pairs, (m, m); of a pair and itself, 0."""
    n_blocks = int(names.max()) + 1
    i, j, k, m = rows[:, None], columns[:, None], rows[None], columns[None]
    low, high = np.minimum(names[rows], names[columns]), np.maximum(names[rows], names[columns])
    apart = ((low * n_blocks + high)[:, None] * n_blocks + low) * n_blocks + high
    result: NDArray[np.intp] = 1 + apart
    size = n_blocks**4
    for shared, one, other in ((i == k, j, m), (i == m, j, k), (j == k, i, m), (j == m, i, k)):
        middle = np.broadcast_to(i if one is j else j, shared.shape)
        by_blocks = (names[middle] * n_blocks + names[np.broadcast_to(one, shared.shape)]) * n_blocks
        result = np.where(shared, 1 + size + by_blocks + names[np.broadcast_to(other, shared.shape)], result)
    result[(i == k) & (j == m)] = 0
    return result
