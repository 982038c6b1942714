"""Proposed regions made whole: no islands, no holes, no spikes.

A region is opened by a small distance along the flat map (what no disk of that radius reaches from within is a spike),
vertices that were cut off beside another region go to it, holes are filled, small gaps between regions too, and the
largest connected piece is kept. V2 and V3 may come in two, since their dorsal and ventral halves are apart where the
fovea between them has no field.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from analysis.data.surface import Surface

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int16]
OPENING_MM = 1.0
"""Radius of the disks that a region is made of."""
_DEEP_MM = 4.0  # from a region: a gap between regions that is deeper than that is none of theirs
_HALF = 0.25  # of the largest piece that a second one has at least, to be the other half of V2 or V3


def make_whole(labels: Labels, surface: Surface, *, halved: Sequence[int] = (),
               radius_mm: float = OPENING_MM) -> Labels:
    """Make every region one connected piece without holes and spikes.

    Parameters
    ----------
    labels : int16 array, (n_vertices,)
        0 where there is no region.
    surface : Surface
    halved : sequence of int
        Regions that may have two pieces, the second a quarter of the first or larger.
    radius_mm : float
        Along the flat map's edges.

    Returns
    -------
    int16 array, (n_vertices,)
        A vertex keeps its region or loses it, or takes that of the region around or beside it. A region so narrow that
        no disk fits into it stays as it is.
    """
    mesh, numbers = surface.adjacency, [int(k) for k in np.unique(labels[labels > 0])]
    found = np.zeros_like(labels)
    for area in numbers:
        found[_opened(labels == area, mesh, radius_mm=radius_mm)] = area
    found = _largest(found, mesh, numbers=numbers, halved=halved)
    found = _filled(_given_to_neighbours(labels, found, mesh, numbers=numbers, radius_mm=radius_mm), surface)
    return _largest(found, mesh, numbers=numbers, halved=halved)


def _given_to_neighbours(labels: Labels, kept: Labels, mesh: csr_array, *, numbers: Sequence[int],
                         radius_mm: float) -> Labels:
    """Give what was cut off a region to another one that is as near as the disks are wide."""
    found, nearest = kept.copy(), np.full(len(labels), radius_mm)
    for area in numbers:
        away = _reach(kept == area, mesh, limit_mm=radius_mm)
        closer = (labels > 0) & (kept == 0) & (labels != area) & (away <= nearest)
        found[closer], nearest[closer] = area, away[closer]
    return found


def _reach(inside: Mask, mesh: csr_array, *, limit_mm: float) -> Floats:
    """Measure from every vertex to the nearest of some, inf beyond a limit."""
    if not inside.any():
        return np.full(len(inside), np.inf)
    return np.asarray(dijkstra(mesh, directed=False, indices=np.flatnonzero(inside), min_only=True, limit=limit_mm))


def _opened(inside: Mask, mesh: csr_array, *, radius_mm: float) -> Mask:
    """Keep what a disk within reaches; everything where none fits in."""
    core = inside & ~(_reach(~inside, mesh, limit_mm=radius_mm) <= radius_mm)
    kept: Mask = inside & (_reach(core, mesh, limit_mm=radius_mm) <= radius_mm)
    return kept if core.any() else inside


def _pieces(inside: Mask, mesh: csr_array) -> list[NDArray[np.int64]]:
    """Give the connected pieces of some vertices, largest first."""
    there = np.flatnonzero(inside)
    n, number = connected_components(mesh[there][:, there], directed=False)
    found = [there[number == k] for k in range(n)]
    return sorted(found, key=lambda one: (-len(one), one[0]))


def _largest(labels: Labels, mesh: csr_array, *, numbers: Sequence[int], halved: Sequence[int]) -> Labels:
    """Keep each region's largest piece, and of some the second, if it is another half."""
    found = np.zeros_like(labels)
    for area in numbers:
        pieces = _pieces(labels == area, mesh)
        for k, piece in enumerate(pieces[:1 + (area in halved)]):
            if k == 0 or len(piece) >= _HALF * len(pieces[0]):
                found[piece] = area
    return found


def _filled(labels: Labels, surface: Surface) -> Labels:
    """Give pieces without a region that regions surround to the nearest; the flat map's rim closes no hole.

    One region fills whatever it surrounds; several close a gap between them that is nowhere deep.
    """
    found, mesh = labels.copy(), surface.adjacency
    numbers = [int(k) for k in np.unique(labels[labels > 0])]
    away = np.stack([np.full(len(labels), np.inf), *(_reach(labels == k, mesh, limit_mm=_DEEP_MM) for k in numbers)])
    nearest = np.array([0, *numbers], dtype=labels.dtype)[away.argmin(axis=0)]
    rim = np.zeros(len(labels), dtype=bool)
    rim[np.unique(surface.rim_edges())] = True
    for piece in _pieces((labels == 0) & (np.diff(mesh.indptr) > 0), mesh):
        around = np.setdiff1d(labels[np.unique(mesh[piece].indices)], 0)
        if rim[piece].any() or not len(around):
            continue
        if len(around) == 1:
            found[piece] = around[0]
        elif np.isfinite(away[:, piece].min(axis=0)).all():
            found[piece] = nearest[piece]
    return found
