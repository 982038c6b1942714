"""Choice of vertices by split-half consistency on searchlight disks; only RE responses are used."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.regions.disk_rdms import BLOCK_VALUES, Disks, restrict_disks, split_half_rho, usable_vertices
from subjects.errors import AnalysisError

log = logging.getLogger(__name__)

_MOST = 0.9  # of a region: as long as this much of it can be chosen, its rim is no cause for alarm


@dataclass(frozen=True, eq=False)
class Consistency:
    """Consistency of the two presentations' RE dissimilarities around each vertex.

    Parameters
    ----------
    rho : float64 array, (n_vertices,)
        Spearman's rho between the RDMs of presentation 1 and 2 on the vertex's disk; NaN where it
        was not asked for or is undefined (a constant pattern, a centre without signal).
    disk_sizes : int64 array, (n_vertices,)
        Number of vertices that count in each disk, the centre included; 0 for one without signal.
    silent : bool array, (n_vertices,)
        Vertices without signal, which no disk holds.
    """

    rho: NDArray[np.float64]
    disk_sizes: NDArray[np.int64]
    silent: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not self.rho.shape == self.disk_sizes.shape == self.silent.shape:
            raise AnalysisError("split-half consistency", expected="one value and one disk size a vertex",
                                came=f"{self.rho.shape} values for {self.disk_sizes.shape} disks",
                                remedy="Compute it on the mesh that the betas are on.")


def split_half_consistency(first: NDArray[np.float32], second: NDArray[np.float32], *, disks: Disks,
                           centres: NDArray[np.integer] | None = None, regions: NDArray[np.integer] | None = None,
                           measure: str = "correlation", block_values: int = BLOCK_VALUES) -> Consistency:
    """Correlate the RE images' RDMs of the two presentations on the disk around each vertex.

    Vertices without signal are left out of the disks.

    Parameters
    ----------
    first, second : float array, (n_images, n_vertices)
        Betas of the RE images at presentation 1 and 2, images in the same order.
    disks : (indptr, indices)
        Vertices of the disk around vertex v: ``indices[indptr[v]:indptr[v + 1]]``.
    centres : int array, optional
        Vertices to compute it for; by default all.
    regions : int array, (n_vertices,), optional
        Each vertex's region; a disk then holds vertices of its centre's region only.
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
    n_disks = len(disks[0]) - 1
    _require_shapes(first, second, n_disks=n_disks)
    usable = usable_vertices(first, second)
    own = restrict_disks(disks, usable=usable, regions=regions)
    wanted = np.arange(n_disks) if centres is None else np.asarray(centres)
    rho = split_half_rho(first, second, disks=own, centres=wanted, measure=measure, block_values=block_values)
    return Consistency(rho, np.diff(own[0]), ~usable)


def select_vertices(consistency: Consistency, *, region: NDArray[np.bool_], n: int, min_disk: int,
                    where: str = "region", asked_by: str = "roi.vertices_per_hemisphere") -> NDArray[np.int64]:
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
    asked_by : str
        The setting that asks for `n`, for messages.

    Returns
    -------
    int64 array, (n,)
        Chosen vertices in ascending order. Equal consistencies go to the lower vertex.

    Raises
    ------
    AnalysisError
        If the region has fewer than `n` eligible vertices. Disk sizes and vertices without signal are reported.
    """
    inside = np.flatnonzero(region)
    sizes, silent = consistency.disk_sizes[inside], consistency.silent[inside]
    eligible = inside[(sizes >= min_disk) & np.isfinite(consistency.rho[inside])]
    found = (f"{len(eligible)} of {len(inside)} vertices with a usable disk of {min_disk} or more "
             f"({_describe(sizes[~silent], n_silent=int(silent.sum()))})")
    if len(eligible) < n:
        raise AnalysisError(where, came=found, expected=f"{n} of them, as {asked_by} asks",
                            remedy=_remedy(sizes, silent, n=n, asked_by=asked_by))
    if len(eligible) < len(inside):
        level = logging.INFO if len(eligible) >= _MOST * len(inside) else logging.WARNING
        log.log(level, "%s: %s; the others cannot be chosen", where, found)
    order = np.lexsort((eligible, -consistency.rho[eligible]))
    return np.sort(eligible[order[:n]])


def _remedy(sizes: NDArray[np.int64], silent: NDArray[np.bool_], *, n: int, asked_by: str) -> str:
    """Say what would give more vertices: it depends on why they are few."""
    if len(sizes) < n:
        return f"See that the region is drawn to its borders, or choose fewer {asked_by}."
    if (~silent).sum() < n:
        return ("Too much of the region has no signal: see that the time series cover it (signal dropout, the field "
                f"of view, a mask), or choose fewer {asked_by}.")
    return f"Use a denser mesh (simulate.subdivisions), a larger roi.radius_mm, or fewer {asked_by}."


def _describe(sizes: NDArray[np.int64], *, n_silent: int) -> str:
    without = f"{n_silent} vertices without signal" if n_silent else ""
    if not len(sizes):
        return without or "the region is empty"
    held = f"disks hold {sizes.min()} to {sizes.max()} vertices, median {np.median(sizes):g}"
    return f"{held}; {without}" if without else held


def require_dense(consistency: Consistency, *, region: NDArray[np.bool_], warn: int, refuse: int, where: str) -> None:
    """See that the disks of a region hold enough vertices for a dissimilarity matrix, in the median.

    Parameters
    ----------
    consistency : Consistency
    region : bool array, (n_vertices,)
    warn, refuse : int
        Medians below which it is warned, and refused.
    where : str

    Raises
    ------
    AnalysisError
        If half of the disks hold fewer vertices than `refuse`.
    """
    sizes = consistency.disk_sizes[region & ~consistency.silent]
    if not len(sizes):
        return
    median = float(np.median(sizes))
    if median < refuse:
        raise AnalysisError(where, came=f"disks of {median:g} vertices (median; {sizes.min()} to {sizes.max()})",
                            expected=f"{refuse} at least (roi.refuse_disk)",
                            remedy="Take a denser mesh than this (fsnative, or more simulate.subdivisions), or a "
                                   "larger roi.radius_mm.")
    if median < warn:
        log.warning("%s: disks hold %g vertices (median; %d to %d): their dissimilarities are noisy; a denser mesh or "
                    "a larger roi.radius_mm helps", where, median, sizes.min(), sizes.max())


def _require_shapes(first: NDArray[np.float32], second: NDArray[np.float32], *, n_disks: int) -> None:
    if first.shape != second.shape:
        raise AnalysisError("split-half consistency", came=f"presentations of shapes {first.shape} and {second.shape}",
                            expected="the same images and vertices in both", remedy="Select both from the same betas.")
    if first.shape[1] != n_disks:
        raise AnalysisError("split-half consistency", came=f"{first.shape[1]} vertices for {n_disks} disks",
                            expected="one disk a vertex", remedy="Use the surface that the betas are on.")
