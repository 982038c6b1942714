"""Choice of vertices by split-half consistency on searchlight disks; only RE responses are used."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.dissimilarity import dissimilarities, unit_ranks
from subjects.errors import AnalysisError

log = logging.getLogger(__name__)

Disks = tuple[NDArray[np.integer], NDArray[np.integer]]
_BLOCK_VALUES = 4_000_000  # gathered values held at once
_MOST = 0.9  # of a region: as long as this much of it can be chosen, its rim is no cause for alarm


@dataclass(frozen=True, eq=False)
class Consistency:
    """Consistency of the two presentations' RE dissimilarities around each vertex.

    Parameters
    ----------
    values : float64 array, (n_vertices,)
        Spearman's rho between the RDMs of presentation 1 and 2 on the vertex's disk; NaN where it
        was not asked for or is undefined (a constant or missing pattern).
    disk_sizes : int64 array, (n_vertices,)
        Number of vertices in each disk, the centre included.
    """

    values: NDArray[np.float64]
    disk_sizes: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.values.shape != self.disk_sizes.shape:
            raise AnalysisError("split-half consistency", expected="one value and one disk size a vertex",
                                came=f"{self.values.shape} values for {self.disk_sizes.shape} disks",
                                remedy="Compute it on the mesh that the betas are on.")


def split_half_consistency(first: NDArray[np.float32], second: NDArray[np.float32], *, disks: Disks,
                           centres: NDArray[np.integer] | None = None,
                           measure: str = "correlation", block_values: int = _BLOCK_VALUES) -> Consistency:
    """Correlate the RE images' RDMs of the two presentations on the disk around each vertex.

    Parameters
    ----------
    first, second : float array, (n_images, n_vertices)
        Betas of the RE images at presentation 1 and 2, images in the same order.
    disks : (indptr, indices)
        Vertices of the disk around vertex v: ``indices[indptr[v]:indptr[v + 1]]``.
    centres : int array, optional
        Vertices to compute it for; by default all.
    measure : {"correlation", "euclidean"}
    block_values : int
        Memory bound: values gathered at once. It does not alter the result.

    Returns
    -------
    Consistency

    Raises
    ------
    AnalysisError
        If the presentations' shapes differ, or the disks are not of this mesh.
    """
    indptr = np.asarray(disks[0], dtype=np.int64)
    sizes = np.diff(indptr)
    _require_shapes(first, second, n_disks=len(sizes))
    wanted = np.arange(len(sizes)) if centres is None else np.asarray(centres)
    halves = [np.ascontiguousarray(half.T, dtype=np.float64) for half in (first, second)]
    values = np.full(len(sizes), np.nan)
    for block in _blocks(wanted, sizes=sizes, n_images=len(first), block_values=block_values):
        members = np.asarray(disks[1])[indptr[block][:, None] + np.arange(sizes[block[0]])]
        pair = [dissimilarities(half[members].swapaxes(1, 2), measure=measure) for half in halves]
        values[block] = _paired_rho(*pair)
    return Consistency(values, sizes)


def _blocks(centres: NDArray[np.integer], *, sizes: NDArray[np.int64], n_images: int,
            block_values: int) -> Iterator[NDArray[np.integer]]:
    """Group centres by the size of their disk, in bounded blocks; a correlation needs two vertices."""
    for size in np.unique(sizes[centres]):
        alike = centres[sizes[centres] == size]
        step = max(1, block_values // int(max(1, size) * n_images))
        if size >= 2:
            yield from (alike[start:start + step] for start in range(0, len(alike), step))


def _paired_rho(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    rho = np.einsum("vp,vp->v", unit_ranks(first), unit_ranks(second))
    missing = ~(np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1))
    return np.where(missing, np.nan, rho)


def select_vertices(consistency: Consistency, *, region: NDArray[np.bool_], n: int, min_disk: int,
                    where: str = "region") -> NDArray[np.int64]:
    """Choose the `n` most consistent vertices of a region.

    Parameters
    ----------
    consistency : Consistency
    region : bool array, (n_vertices,)
        The region, in one hemisphere.
    n : int
        How many vertices to choose.
    min_disk : int
        Disks with fewer vertices give no trustworthy RDM: their centres are not eligible.
    where : str
        Region and hemisphere, for messages.

    Returns
    -------
    int64 array, (n,)
        Chosen vertices in ascending order. Equal consistencies go to the lower vertex.

    Raises
    ------
    AnalysisError
        If the region has fewer than `n` eligible vertices. The region's disk sizes are reported.
    """
    inside = np.flatnonzero(region)
    sizes = consistency.disk_sizes[inside]
    eligible = inside[(sizes >= min_disk) & np.isfinite(consistency.values[inside])]
    found = f"{len(eligible)} of {len(inside)} vertices with a usable disk of {min_disk} or more ({_describe(sizes)})"
    if len(eligible) < n:
        raise AnalysisError(where, came=found, expected=f"{n} of them",
                            remedy="Use a denser mesh (simulate.subdivisions), a larger roi.radius_mm, "
                                   "or fewer roi.vertices_per_hemisphere.")
    if len(eligible) < len(inside):
        level = logging.INFO if len(eligible) >= _MOST * len(inside) else logging.WARNING
        log.log(level, "%s: %s; the others cannot be chosen", where, found)
    order = np.lexsort((eligible, -consistency.values[eligible]))
    return np.sort(eligible[order[:n]])


def _describe(sizes: NDArray[np.int64]) -> str:
    if not len(sizes):
        return "the region is empty"
    return f"disks hold {sizes.min()} to {sizes.max()} vertices, median {np.median(sizes):g}"


def _require_shapes(first: NDArray[np.float32], second: NDArray[np.float32], *, n_disks: int) -> None:
    if first.shape != second.shape:
        raise AnalysisError("split-half consistency", came=f"presentations of shapes {first.shape} and {second.shape}",
                            expected="the same images and vertices in both", remedy="Select both from the same betas.")
    if first.shape[1] != n_disks:
        raise AnalysisError("split-half consistency", came=f"{first.shape[1]} vertices for {n_disks} disks",
                            expected="one disk a vertex", remedy="Use the surface that the betas are on.")
