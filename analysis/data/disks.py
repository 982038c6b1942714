"""Disks on a mesh: which vertices lie within a distance of each along its edges; built once a mesh and kept.

Shortest paths of at most a radius never leave the ball of that radius, so they are sought on small patches of the mesh,
each with a margin of the radius around it: the same paths as on the whole mesh, in a hundredth of the time.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from subjects.machine import cache_folder
from subjects.provenance import digest_array, digest_json
from subjects.store import whole_file

log = logging.getLogger(__name__)

Disks = tuple[NDArray[np.int64], NDArray[np.int32]]
"""``indptr``, ``indices``: the disk around vertex v is ``indices[indptr[v]:indptr[v + 1]]``, ascending, with v."""
PATCH_MM = 8.0
FORGOTTEN_S = 90 * 86400.0
"""Disks that were not asked for so long are removed."""
_ROUNDING_MM = 1e-6
_VERSION = 1  # of how disks are found and written; another one makes them anew


def find_disks(graph: csr_array, points: NDArray[np.floating], *, radius_mm: float,
               patch_mm: float = PATCH_MM) -> Disks:
    """Find the disk around every vertex.

    Parameters
    ----------
    graph : csr_array, (n_vertices, n_vertices)
        Lengths of the edges, mm, symmetric.
    points : float array, (n_vertices, 2 or 3)
        Where the vertices are; an edge is as long as its ends are apart, so no path is shorter than a straight line.
    radius_mm : float
    patch_mm : float
        Side of the patches. It does not alter the result.

    Returns
    -------
    indptr : int64 array, (n_vertices + 1,)
    indices : int32 array
        See :data:`Disks`.
    """
    where = points.astype(np.float64)
    patches = _Patches(where, side_mm=max(patch_mm, radius_mm))
    place = np.full(len(where), -1, dtype=np.int64)  # a vertex's number within the patch at hand
    centres, counts, members = list[NDArray[np.int64]](), list[NDArray[np.int64]](), list[NDArray[np.int32]]()
    for inside, around in patches:
        low, high = where[inside].min(axis=0), where[inside].max(axis=0)
        margin = radius_mm + _ROUNDING_MM
        near = around[((where[around] >= low - margin) & (where[around] <= high + margin)).all(axis=1)]
        place[near] = np.arange(len(near))
        reached = np.isfinite(dijkstra(_cut(graph, near, place=place), indices=place[inside], limit=radius_mm))
        place[near] = -1
        centres.append(inside)
        counts.append(reached.sum(axis=1))
        members.append(near[np.flatnonzero(reached) % len(near)].astype(np.int32))
    return _in_order(np.concatenate(centres), np.concatenate(counts), np.concatenate(members))


class _Patches:
    """Squares (cubes) of a side, each with the vertices in it and those in it and its neighbours, both ascending."""

    def __init__(self, points: NDArray[np.float64], *, side_mm: float) -> None:
        cells = np.floor((points - points.min(axis=0)) / side_mm).astype(np.int64) + 1
        shape = cells.max(axis=0) + 2
        strides = np.append(np.cumprod(shape[:0:-1])[::-1], 1)
        keys = cells @ strides
        self._order = np.argsort(keys, kind="stable")
        names, starts = np.unique(keys[self._order], return_index=True)
        ends = np.append(starts[1:], len(points))
        self._slices = dict(zip(names.tolist(), zip(starts.tolist(), ends.tolist(), strict=True), strict=True))
        steps = itertools.product((-1, 0, 1), repeat=points.shape[1])
        self._steps = [int(np.dot(step, strides)) for step in steps]

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        for key, (start, end) in self._slices.items():
            found = [self._slices[key + step] for step in self._steps if key + step in self._slices]
            yield self._order[start:end], np.sort(np.concatenate([self._order[a:b] for a, b in found]))


def _cut(graph: csr_array, near: NDArray[np.int64], *, place: NDArray[np.int64]) -> csr_array:
    """Cut the part of a graph out that lies among some vertices, which `place` numbers."""
    starts = graph.indptr[near]
    counts = graph.indptr[near + 1] - starts
    before = np.cumsum(counts) - counts
    entries = np.repeat(starts - before, counts) + np.arange(counts.sum())
    columns = place[graph.indices[entries]]
    kept = columns >= 0
    indptr = np.concatenate([[0], np.cumsum(kept)])[np.append(before, counts.sum())]
    return csr_array((graph.data[entries][kept], columns[kept].astype(np.int32), indptr.astype(np.int32)),
                     shape=(len(near), len(near)))


def _in_order(centres: NDArray[np.int64], counts: NDArray[np.int64], members: NDArray[np.int32]) -> Disks:
    """Put disks that were found in any order in the order of their centres."""
    sizes = np.empty(len(centres), dtype=np.int64)
    sizes[centres] = counts
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    target = np.repeat(indptr[centres] - (np.cumsum(counts) - counts), counts) + np.arange(len(members))
    indices = np.empty_like(members)
    indices[target] = members
    return indptr, indices


def keep_disks(make: Callable[[], Disks], *, points: NDArray[np.floating], faces: NDArray[np.integer],
               radius_mm: float) -> Disks:
    """Give the disks of a mesh from what this computer keeps, by content, or make and keep them.

    Parameters
    ----------
    make : callable
        Makes them.
    points, faces : array
        The mesh on which distances are measured.
    radius_mm : float

    Returns
    -------
    Disks
        The same whether they were kept or made. A file that cannot be read is made anew; where none can be written,
        disks are made each time, which is logged.
    """
    name = digest_json([_VERSION, digest_array(points), digest_array(faces), float(radius_mm)])
    path = cache_folder() / "disks" / f"{name}.npz"
    kept = _read(path, n_vertices=len(points))
    if kept is not None:
        return kept
    made = make()
    try:
        with whole_file(path, overwrite=True) as beside:
            np.savez(beside, indptr=made[0], indices=made[1])
        _forget(path.parent)
    except OSError as error:
        log.info("%s: %s; disks are not kept", path, error)
    return made


def _read(path: Path, *, n_vertices: int) -> Disks | None:
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            indptr, indices = file["indptr"], file["indices"]
        os.utime(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.info("%s: %s; the disks are found anew", path, error)
        return None
    whole = indptr.shape == (n_vertices + 1,) and indptr[-1] == len(indices)
    return (indptr, indices) if whole else None


def _forget(folder: Path) -> None:
    """Remove disks that nobody asked for in a long time."""
    for path in folder.glob("*.npz"):
        with contextlib.suppress(OSError):  # another process may have removed it
            if time.time() - path.stat().st_mtime > FORGOTTEN_S:
                path.unlink()
