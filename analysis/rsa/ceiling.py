r"""What the noise of one subject's own data leaves to be found: a ceiling from two presentations.

A half's dissimilarities are S + X + N: signal, signal by noise, noise by noise. Averaging two presentations halves the
variance of X and quarters that of N, where Spearman-Brown halves both, so that it understates what the whole of the
data reaches. S is the halves' covariance, N the dissimilarities of their difference, X what is left of a half's
variance:

.. math::
    r = \frac{S}{S + X / 2 + N / 4}

is the correlation of two whole data sets with the same patterns, and :math:`\sqrt{r}` that of one with the patterns
themselves; as Spearman's rho, :math:`6 / \pi \arcsin(r / 2)`, as Kendall's tau, :math:`2 / \pi \arcsin r`.
Cross-validated distances multiply the noise of two presentations, of which half the variance of N is left:
S / (S + X / 2 + N / 2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.rsa.rdm import RDM, joined
from analysis.rsa.similarity import PairGroups, null_mean, similarity
from analysis.statistics.dissimilarity import average_ranks, unit_ranks
from analysis.statistics.whitened import whiten
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]


def presentation_ceiling(first: NDArray[np.floating], second: NDArray[np.floating], *, measure: str = "correlation",
                         blocks: Sequence[str] | None = None, by: str = "spearman",
                         covariance: Floats | None = None) -> tuple[float, float]:
    """Bound the similarity of RDMs by the noise of the patterns that they are made from.

    Parameters
    ----------
    first, second : array, (n_images, n_vertices)
        Presentations 1 and 2 of the same images.
    measure : str
        Each pattern is centred and scaled for ``"correlation"``; for others distances are squared Euclidean.
    blocks : sequence of str, optional
        Sessions: what two sessions alone make alike in all RDMs is not counted as signal.
    by : str
        Coefficient, a name of :data:`~analysis.rsa.similarity.COEFFICIENTS`.
    covariance : float64 array, (n_vertices, n_vertices), optional
        Of the noise, for ``"mahalanobis"`` and ``"crossnobis"``.

    Returns
    -------
    low, high : float
        Expected similarity of the RDMs of two measurements of the same patterns: what RE-AI would be if AI evoked
        what RE does. And of one measurement with the patterns without noise: the most that any model can reach. 0 where
        the halves share nothing.

    Notes
    -----
    Where vertices were chosen by the similarity of these two presentations, both are optimistic. Over 24 simulated
    subjects a cell, 196 vertices, 40 images, low was .03, .11, .41, .75, .96 at a vertex reliability of .02, .04, .10,
    .23, .62 where .03, .12, .41, .76, .96 are true; on smooth cortex (2.5 mm) .03, .03, .08, .26, .72 where .01, .02,
    .10, .31, .77 are. A single subject's has a standard deviation of about .1 below a reliability of .1. Squared
    distances are skewed: as ranks their ceiling is .03 to .05 too high at a vertex reliability of .2 (100 vertices), as
    Pearson's r within .01.
    """
    a, b = (np.asarray(half, dtype=np.float64) for half in (first, second))
    if covariance is not None:
        a, b = (whiten(half, covariance=covariance) for half in (a, b))
    if measure == "correlation":
        a, b = (half - half.mean(axis=1, keepdims=True) for half in (a, b))
        scale = np.linalg.norm(a + b, axis=1, keepdims=True) / 2
        a, b = a / scale, b / scale
    products = [_pairs(values, squared=measure != "correlation") for values in (a, b, (a - b) / np.sqrt(2))]
    one, two, noise = (_less_block_means(values, n=len(a), blocks=blocks) for values in products)
    shared = float(one @ two)
    by_noise, half = float(noise @ noise), float(one @ one + two @ two) / 2
    if shared <= 0:
        return 0.0, 0.0
    left = by_noise / (2 if measure == "crossnobis" else 4)
    whole = shared / (shared + max(half - shared - by_noise, 0.0) / 2 + left)
    return _as(float(whole), by=by), _as(float(np.sqrt(whole)), by=by)


def _as(r: float, *, by: str) -> float:
    """Turn a correlation of normal values into what another coefficient expects of it."""
    if by == "pearson":
        return r
    return float(2 / np.pi * np.arcsin(r) if by == "tau_a" else 6 / np.pi * np.arcsin(r / 2))


def _pairs(values: Floats, *, squared: bool) -> Floats:
    rows, columns = np.triu_indices(len(values), 1)
    products = values @ values.T
    if squared:
        sizes = products.diagonal()
        products = sizes[:, None] + sizes - 2 * products
    result: Floats = products[rows, columns]
    return result


def _less_block_means(values: Floats, *, n: int, blocks: Sequence[str] | None) -> Floats:
    """Take the mean off the pairs of each two blocks."""
    names = np.zeros(n, dtype=np.intp) if blocks is None else np.unique(list(blocks), return_inverse=True)[1]
    rows, columns = np.triu_indices(n, 1)
    _, kind = np.unique(np.minimum(names[rows], names[columns]) * n + np.maximum(names[rows], names[columns]),
                        return_inverse=True)
    means = np.bincount(kind, weights=values) / np.bincount(kind)
    result: Floats = values - means[kind]
    return result


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


def split_half_reliability(first: RDM, second: RDM, *, by: str = "spearman", pairs: PairGroups | None = None,
                           blocks: Sequence[str] | None = None) -> tuple[float, float, float]:
    """Give the reliability of the RE images' RDM within one subject; no ceiling, of which it falls short.

    Parameters
    ----------
    first, second : RDM
    by : str
        Coefficient, a name of :data:`~analysis.rsa.similarity.COEFFICIENTS`.
    pairs : PairGroups, optional
        Pairs that are compared; by default all.
    blocks : sequence of str, optional
        Session of each image. What two sessions alone make alike in both RDMs, as session means that were taken off do,
        is no reliability: the mean of the null of labels permuted within sessions is taken off, as it is off
        similarities. Without sessions that mean is 0.

    Returns
    -------
    half, whole, chance : float
        Similarity of the RDMs of presentation 1 and of presentation 2, each from half of the data, less `chance`; its
        Spearman-Brown correction ``2 r / (1 + r)`` to the whole of the data (`r` itself where it is negative); and
        `chance`, the mean of its null. Where vertices were chosen by this reliability, both are optimistic.
    """
    chance = null_mean(first, second, pairs=pairs, blocks=blocks, by=by) if blocks is not None else 0.0
    half = similarity(first, second, pairs=pairs, by=by) - chance
    return half, (2 * half / (1 + half) if half > 0 else half), chance
