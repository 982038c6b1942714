r"""Patches of cortex: neighbouring vertices that are left out together, since their responses are not independent.

Patches that touch share something too, and leaving one out at a time then says too little of how another piece of
cortex would differ. To first order a similarity is a mean over vertices of products of two patterns, whose covariance
falls with distance as the square of that of the patterns, :math:`\rho(d)^2`. With :math:`C_{vw} = \rho(d_{vw})^2`, n
vertices and the means M of k patches,

.. math::
    F = \frac{1' C 1 / n^2}{(\mathrm{tr}\, M C M' - 1' M C M' 1 / k) / (k (k - 1))}

is the variance of the mean by what leaving out patches makes of it, and multiplies it. :math:`\rho(d)` is the mean over
pairs of vertices d apart of the correlation of their responses over images.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from analysis.rsa.resampling.distances import Distances
from analysis.rsa.similarity import PairGroups
from analysis.rsa.variance.jackknife import deletion_weights, patch_variances

Floats = NDArray[np.float64]
BIN_MM, FAR_MM = 1.0, 60.0
"""Width of the bins of distance; beyond the second, vertices share nothing."""


def order_by_place(places_mm: Floats, *, n_patches: int) -> NDArray[np.intp]:
    """Order vertices so that consecutive pieces of the order, as even as they can be, are compact patches.

    The vertices are halved across their longer extent, and each half again, until the patches are reached.

    Parameters
    ----------
    places_mm : float64 array, (n_vertices, 2)
        Places on the flat map; those of two hemispheres far apart.
    n_patches : int

    Returns
    -------
    int array, (n_vertices,)

    Examples
    --------
    >>> order_by_place(np.array([[0.0, 0], [9, 0], [1, 0], [8, 0]]), n_patches=2)
    array([0, 2, 3, 1])
    """
    edges = np.linspace(0, len(places_mm), n_patches + 1).astype(np.intp)
    order = np.arange(len(places_mm))
    parts = [(0, n_patches)]
    while parts:
        low, high = parts.pop()
        inside = order[edges[low]:edges[high]]
        if high - low < 2 or not len(inside):
            continue
        axis = int(np.argmax(np.ptp(places_mm[inside], axis=0)))
        order[edges[low]:edges[high]] = inside[np.argsort(places_mm[inside, axis], kind="stable")]
        middle = (low + high) // 2
        parts += [(low, middle), (middle, high)]
    return order


def similarity_variances(distances: Distances, *, places_mm: Floats, n_patches: int, pairs: PairGroups,
                         by: str = "spearman") -> Floats:
    """Give the variances of RE-AN and RE-AI over patches of cortex.

    Parameters
    ----------
    distances : Distances
    places_mm : float64 array, (n_vertices, 2)
        See :func:`order_by_place`.
    n_patches : int
    pairs : PairGroups
    by : str
        Coefficient, a name of :data:`~analysis.rsa.similarity.COEFFICIENTS`.

    Returns
    -------
    float64 array, (2,)
        NaN where a pattern is constant without a patch.
    """
    order = order_by_place(places_mm, n_patches=n_patches)
    kept = np.concatenate([np.ones((1, n_patches)), deletion_weights(n_patches)])
    rdms = np.stack([distances.grouped(kind, groups=order, counts=kept) for kind in ("RE", "AN", "AI")])
    if not np.isfinite(rdms).all():
        return np.full(2, np.nan)
    return patch_variances(rdms, pairs=pairs, by=by)


def shared_by_patches(responses: Mapping[str, NDArray[np.floating]], *, places_mm: Floats, n_patches: int) -> float:
    """Give the factor F by which patches understate a variance, for what they share: see the head of this module.

    Parameters
    ----------
    responses : mapping of str to array, (n_images, n_vertices)
        All images of all types count.
    places_mm : float64 array, (n_vertices, 2)
        See :func:`order_by_place`.
    n_patches : int

    Returns
    -------
    float
        1 for independent vertices; infinity where patches do not differ at all.
    """
    values = np.concatenate([one - one.mean(axis=0, dtype=np.float64) for one in responses.values()])
    lengths = np.linalg.norm(values, axis=0)
    values /= np.where(lengths > 0, lengths, 1.0)
    shared = covariance_by_distance(values.T @ values, places_mm=places_mm)
    n, means = len(places_mm), np.zeros((n_patches, len(places_mm)))
    for mean, patch in zip(means, np.array_split(order_by_place(places_mm, n_patches=n_patches), np.linspace(
            0, n, n_patches + 1).astype(np.intp)[1:-1]), strict=True):
        mean[patch] = 1 / len(patch)
    between = means @ shared @ means.T
    by_patches = (np.trace(between) - between.sum() / n_patches) / (n_patches * (n_patches - 1))
    whole = float(shared.sum()) / n**2
    return max(1.0, whole / by_patches) if by_patches > 1e-12 * whole else np.inf


def covariance_by_distance(correlations: Floats, *, places_mm: Floats) -> Floats:
    """Smooth correlations of vertices to a function of distance alone, and square it, (n_vertices, n_vertices)."""
    squares = (places_mm**2).sum(axis=1)
    apart = np.sqrt(np.maximum(squares[:, None] + squares - 2 * places_mm @ places_mm.T, 0.0))
    bins = np.minimum(np.round(apart / BIN_MM), FAR_MM / BIN_MM).astype(np.intp)
    np.fill_diagonal(bins, 0)
    counts = np.bincount(bins.ravel(), minlength=int(FAR_MM / BIN_MM) + 1)
    mean = np.bincount(bins.ravel(), weights=correlations.ravel(), minlength=len(counts)) / np.maximum(counts, 1)
    mean[-1] = 0.0
    result: Floats = np.maximum(mean, 0.0)[bins]**2
    np.fill_diagonal(result, 1.0)
    return result
