"""Dissimilarities of images on many disks of the cortex at once, and how well those of two presentations agree."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.dissimilarity import FLAT, dissimilarities
from analysis.statistics.rank_correlation import row_spearman

Floats = NDArray[np.float64]
Disks = tuple[NDArray[np.integer], NDArray[np.integer]]
"""``indptr``, ``indices``: see :meth:`analysis.data.surface.Surface.disks`."""
BLOCK_VALUES = 120_000
"""Gathered values held at once: about what a processor's cache holds."""


def usable_vertices(*responses: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Say which vertices have a signal: finite responses, not all alike, in each array (n_images, n_vertices)."""
    usable = np.ones(responses[0].shape[1], dtype=np.bool_)
    for values in responses:
        with np.errstate(invalid="ignore"):
            usable &= np.isfinite(values).all(axis=0) & (values.max(axis=0) > values.min(axis=0))
    return usable


def restrict_disks(disks: Disks, *, usable: NDArray[np.bool_], regions: NDArray[np.integer] | None = None) -> Disks:
    """Leave vertices out of disks; a centre that is not usable has an empty one.

    Parameters
    ----------
    disks : Disks
    usable : bool array, (n_vertices,)
        Which vertices count.
    regions : int array, (n_vertices,), optional
        A disk then holds only vertices of its centre's region.
    """
    indptr, indices = np.asarray(disks[0], dtype=np.int64), np.asarray(disks[1])
    sizes = np.diff(indptr)
    kept = usable[indices] & np.repeat(usable, sizes)
    if regions is not None:
        kept &= regions[indices] == np.repeat(regions, sizes)
    return np.concatenate([[0], np.cumsum(kept)])[indptr], indices[kept]


def disk_blocks(disks: Disks, *, centres: NDArray[np.integer], n_images: int,
                block_values: int = BLOCK_VALUES) -> Iterator[tuple[NDArray[np.integer], NDArray[np.integer]]]:
    """Go through disks in blocks of one size; those of fewer than two vertices have no correlation and are left out.

    Yields
    ------
    centres : int array, (n_disks,)
    members : int array, (n_disks, size)
    """
    indptr = np.asarray(disks[0], dtype=np.int64)
    sizes = np.diff(indptr)[centres]
    for size in np.unique(sizes[sizes >= 2]):
        alike = centres[sizes == size]
        step = max(1, block_values // int(size * n_images))
        for start in range(0, len(alike), step):
            block = alike[start:start + step]
            yield block, np.asarray(disks[1])[indptr[block][:, None] + np.arange(size)]


def disk_dissimilarities(by_vertex: Floats, members: NDArray[np.integer], *, measure: str) -> Floats:
    """Compute the images' dissimilarities on disks of one size.

    Parameters
    ----------
    by_vertex : float64 array, (n_vertices, n_images)
    members : int array, (n_disks, size)
    measure : {"correlation", "euclidean"}

    Returns
    -------
    float64 array, (n_disks, n_images * (n_images - 1) / 2)
        NaN where a correlation is undefined.
    """
    gathered = by_vertex[members]
    if measure != "correlation":
        return dissimilarities(gathered.swapaxes(1, 2), measure=measure)
    n_disks, size, n = gathered.shape
    mean = gathered.sum(axis=1, keepdims=True) / size
    gathered -= mean
    products = (gathered.swapaxes(1, 2) @ gathered).reshape(n_disks, n * n)
    squares = products[:, ::n + 1]
    flat = squares <= FLAT**2 * (squares + size * mean[:, 0] ** 2)
    scale = 1 / np.sqrt(np.where(flat, np.nan, squares))
    rows, columns = np.triu_indices(n, 1)
    found: Floats = products.take(rows * n + columns, axis=1)
    for places in (rows, columns):
        found *= scale.take(places, axis=1)
    np.subtract(1.0, found, out=found)
    return np.clip(found, 0.0, 2.0, out=found)


def split_half_rho(first: NDArray[np.floating], second: NDArray[np.floating], *, disks: Disks,
                   centres: NDArray[np.integer], measure: str, block_values: int = BLOCK_VALUES) -> Floats:
    """Correlate the dissimilarities of two presentations on the disk around each centre, by Spearman.

    Parameters
    ----------
    first, second : float array, (n_images, n_vertices)
    disks : Disks
        Of usable vertices only.
    centres : int array
    measure : {"correlation", "euclidean"}
    block_values : int
        Memory bound: values gathered at once. It does not alter the result.

    Returns
    -------
    float64 array, (n_vertices,)
        NaN where it was not asked for, or is undefined.
    """
    halves = [np.ascontiguousarray(half.T, dtype=np.float64) for half in (first, second)]
    found = np.full(len(disks[0]) - 1, np.nan)
    for block, members in disk_blocks(disks, centres=centres, n_images=len(first), block_values=block_values):
        found[block] = row_spearman(*(disk_dissimilarities(half, members, measure=measure) for half in halves))
    return found


def condensed_rdms(responses: NDArray[np.floating], *, disks: Disks, centres: NDArray[np.integer],
                   measure: str) -> NDArray[np.float32]:
    """Give the images' dissimilarities on the disks around some centres, (n_centres, n_pairs); NaN for empty disks."""
    n_images = len(responses)
    by_vertex = np.ascontiguousarray(responses.T, dtype=np.float64)
    place = np.full(len(disks[0]) - 1, -1)
    place[centres] = np.arange(len(centres))
    found = np.full((len(centres), n_images * (n_images - 1) // 2), np.nan, dtype=np.float32)
    for block, members in disk_blocks(disks, centres=centres, n_images=n_images):
        found[place[block]] = disk_dissimilarities(by_vertex, members, measure=measure)
    return found
