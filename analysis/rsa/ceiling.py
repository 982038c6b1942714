r"""What the noise of one subject's own data leaves to be found: a ceiling from two presentations.

A half's dissimilarities are S + X + N: signal, signal by noise, noise by noise. Averaging two presentations halves the
variance of X and quarters that of N, where Spearman-Brown halves both, so that it understates what the whole of the
data reaches. S is the halves' covariance, N the dissimilarities of their difference, X what is left of a half's
variance:

.. math::
    r = \frac{S}{S + X / 2 + N / 4}

is the correlation of two whole data sets with the same patterns, and :math:`\sqrt{r}` that of one with the patterns
themselves; as Spearman's rho, :math:`6 / \pi \arcsin(r / 2)`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def presentation_ceiling(first: NDArray[np.floating], second: NDArray[np.floating], *, measure: str = "correlation",
                         blocks: Sequence[str] | None = None) -> tuple[float, float]:
    """Bound the similarity of RDMs by the noise of the patterns that they are made from.

    Parameters
    ----------
    first, second : array, (n_images, n_vertices)
        Presentations 1 and 2 of the same images.
    measure : str
        Each pattern is centred and scaled for ``"correlation"``; for others distances are squared Euclidean.
    blocks : sequence of str, optional
        Sessions: what two sessions alone make alike in all RDMs is not counted as signal.

    Returns
    -------
    low, high : float
        Expected Spearman's rho of the RDMs of two measurements of the same patterns: what RE-AI would be if AI evoked
        what RE does. And of one measurement with the patterns without noise: the most that any model can reach. 0 where
        the halves share nothing.

    Notes
    -----
    Where vertices were chosen by the similarity of these two presentations, both are optimistic. Over 24 simulated
    subjects a cell, 196 vertices, 40 images, low was .03, .11, .41, .75, .96 at a vertex reliability of .02, .04, .10,
    .23, .62 where .03, .12, .41, .76, .96 are true; on smooth cortex (2.5 mm) .03, .03, .08, .26, .72 where .01, .02,
    .10, .31, .77 are. A single subject's has a standard deviation of about .1 below a reliability of .1.
    """
    a, b = (np.asarray(half, dtype=np.float64) for half in (first, second))
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
    whole = shared / (shared + max(half - shared - by_noise, 0.0) / 2 + by_noise / 4)
    low, high = (6 / np.pi * np.arcsin(r / 2) for r in (whole, np.sqrt(whole)))
    return float(low), float(high)


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
