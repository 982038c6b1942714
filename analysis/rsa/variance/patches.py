"""Patches of cortex: neighbouring vertices that are left out together, since their responses are not independent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.rsa.resampling.distances import Distances
from analysis.rsa.similarity import PairGroups
from analysis.rsa.variance.jackknife import deletion_weights, patch_variances

Floats = NDArray[np.float64]


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
