r"""Variances of similarities without the part that resampling counts twice.

A similarity T of two RDMs hangs on the things that are sampled (images, patches of cortex) singly and by pairs. In
Hoeffding's decomposition its variance is L + D: L from the things one by one, D from what pairs of them add. Noise of
pairs is all there is in a null subject. Leaving out one thing at a time, the jackknife's variance has the expectation
L + 2 D (Efron & Stein 1981); a bootstrap over images has L + 3 D, which is what makes it conservative (Schuett et al.
2023 correct the bootstrap over two factors for the same). D is estimated by second differences, from leaving out two at
a time:

.. math::
    Q_{ij} = n T - (n - 1) (T_{-i} + T_{-j}) + (n - 2) T_{-ij}, \qquad \hat D = \sum_{i<j} (Q_{ij} - \bar Q)^2 / n^2

and :math:`\hat V = \max(V_J - \hat D, \hat D)`, as L cannot be negative.

References
----------
Efron B, Stein C (1981) Ann Stat 9:586-596. Schuett HH et al. (2023) eLife 12:e82566.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.rsa.rdm import RDM, joined
from analysis.rsa.resampling.images import weighted_similarities
from analysis.rsa.similarity import PairGroups, all_pairs, correlate
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
LEAST = 7
"""Images, or patches, of which a variance can be estimated: with fewer, deletions leave too few pairs."""


@dataclass(frozen=True, eq=False)
class Deletions:
    """Similarities with nothing, one thing, and two things left out.

    Parameters
    ----------
    whole : float64 array, (k,)
        k similarities, or differences of them.
    one : float64 array, (n, k)
    two : float64 array, (n * (n - 1) / 2, k)
        Pairs in row order.
    """

    whole: Floats
    one: Floats
    two: Floats

    def contrast(self, weights: ArrayLike) -> Deletions:
        """Combine the k similarities linearly, as to their difference."""
        w = np.asarray(weights, dtype=np.float64)[:, None]
        return Deletions(self.whole @ w, self.one @ w, self.two @ w)

    @property
    def variances(self) -> Floats:
        """The corrected variance of each, (k,)."""
        return corrected_variance(self.one, second=self)


def corrected_variance(one: Floats, *, second: Deletions) -> Floats:
    """Take what pairs of things add off the jackknife's variance, once: see the head of this module.

    Parameters
    ----------
    one : float64 array, (n, k)
        Similarities with one thing left out.
    second : Deletions
        What the second differences are taken of: the same similarities, or smoother ones.
    """
    n = len(one)
    rows, columns = np.triu_indices(n, 1)
    jackknife = (n - 1) / n * ((one - one.mean(axis=0))**2).sum(axis=0)
    differences = n * second.whole - (n - 1) * (second.one[rows] + second.one[columns]) + (n - 2) * second.two
    by_pairs = ((differences - differences.mean(axis=0))**2).sum(axis=0) / n**2
    result: Floats = np.maximum(jackknife - by_pairs, by_pairs)
    return result


def deletion_weights(n: int) -> Floats:
    """Give what stays where one and where two of `n` are left out, (n + n * (n - 1) / 2, n), 0 or 1.

    Examples
    --------
    >>> deletion_weights(3)[3:]
    array([[0., 0., 1.],
           [0., 1., 0.],
           [1., 0., 0.]])
    """
    one = 1.0 - np.eye(n)
    rows, columns = np.triu_indices(n, 1)
    return np.concatenate([one, one[rows] * one[columns]])


def delete_images(fixed: RDM, others: Sequence[RDM], *, pairs: PairGroups | None = None,
                  by: str = "spearman") -> Deletions:
    """Compare RDMs with one and with two images left out.

    Parameters
    ----------
    fixed : RDM
    others : sequence of RDM
        The k that it is compared with, joined by label.
    pairs : PairGroups, optional
    by : str
        Coefficient, a name of :data:`~analysis.rsa.similarity.COEFFICIENTS`.

    Raises
    ------
    AnalysisError
        For fewer than :data:`LEAST` images.
    """
    n = require_enough(len(fixed), of="images")
    chosen = pairs or all_pairs(n)
    weights = np.concatenate([np.ones((1, n)), deletion_weights(n)])
    found = weighted_similarities(fixed.condensed, [joined(fixed, other).condensed for other in others],
                                  weights=weights, pairs=chosen, by=by)
    return Deletions(found[0], found[1:n + 1], found[n + 1:])


def patch_variances(rdms: Floats, *, pairs: PairGroups, by: str = "spearman") -> Floats:
    """Give the corrected variances of similarities over patches of vertices.

    Parameters
    ----------
    rdms : float64 array, (1 + k, 1 + n + n * (n - 1) / 2, n_pairs)
        The reference and the k that it is compared with, of all patches and under :func:`deletion_weights`.
    pairs : PairGroups
    by : str
        Coefficient.

    Returns
    -------
    float64 array, (k,)

    Notes
    -----
    The second differences are those of Pearson's correlation; for tau-a, of 2 / pi arcsin r, which it is of normal
    values. Left-out patches change all pairs at once, and the little that is curved in ranks, of a high order in the
    patches, would be counted in them many times over.
    """
    n = round((np.sqrt(8 * rdms.shape[1] - 7) - 1) / 2)
    one = np.stack([correlate(rdms[0, 1:n + 1], other[1:n + 1], pairs=pairs, by=by) for other in rdms[1:]], axis=1)
    found = np.stack([correlate(rdms[0], other, pairs=pairs, by="pearson") for other in rdms[1:]], axis=1)
    if by == "tau_a":
        found = 2 / np.pi * np.arcsin(np.clip(found, -1, 1))
    return corrected_variance(one, second=Deletions(found[0], found[1:n + 1], found[n + 1:]))


def require_enough(n: int, *, of: str) -> int:
    """See that there are enough to leave two out.

    Raises
    ------
    AnalysisError
    """
    if n < LEAST:
        raise AnalysisError(f"variance over {of}", came=f"{n} {of}", expected=f"{LEAST} or more",
                            remedy=f"Use more {of}, or rsa.difference = \"images\", the paper's bootstrap.")
    return n
