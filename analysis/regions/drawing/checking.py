"""What an analyst should know of a subject's labels before anything is chosen in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from analysis.data.surface import Surface
from analysis.regions.labels import Labels
from subjects.errors import AnalysisError

_STRAY = 0.02
"""Share of a region beyond which what lies apart of its two largest pieces is worth a look: V2 and V3 have two."""
_UNEVEN = 3.0


@dataclass(frozen=True)
class LabelledRegion:
    """One region in one hemisphere.

    Parameters
    ----------
    hemi, region : str
    n_vertices : int
    area_mm2 : float
        On the folded surface.
    n_pieces : int
        Connected on the flat map.
    stray_pct : float
        Share outside the two largest pieces.
    n_off_map : int
        Vertices on no triangle of the flat map: no disk has them.
    neighbours : tuple of str
        Regions that it touches.
    """

    hemi: str
    region: str
    n_vertices: int
    area_mm2: float
    n_pieces: int
    stray_pct: float
    n_off_map: int
    neighbours: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Give it for a table or ``--json``."""
        return {**asdict(self), "neighbours": " ".join(self.neighbours)}


def describe_regions(surface: Surface, labels: Labels, *, names: Sequence[str]) -> list[LabelledRegion]:
    """Describe each region of a hemisphere; see :class:`LabelledRegion`.

    Raises
    ------
    AnalysisError
        If labels and surface are not of one mesh.
    """
    if len(labels) != surface.n_vertices:
        raise AnalysisError(f"labels of hemi-{surface.hemi}", came=f"{len(labels)} labels for {surface.n_vertices} "
                            "vertices", expected="one label a vertex",
                            remedy="Take labels and meshes of the same subject and space.")
    on_map = np.zeros(surface.n_vertices, dtype=np.bool_)
    on_map[np.unique(surface.faces)] = True
    extents, sides = surface.vertex_areas(), labels[surface.edges]
    found = []
    for k, name in enumerate(names, start=1):
        inside = labels == k
        pieces = np.sort(_piece_sizes(surface.edges, inside & on_map))[::-1]
        touching = np.unique(sides[(sides == k).any(axis=1)])
        n = int(inside.sum())
        found.append(LabelledRegion(
            surface.hemi, name, n, float(extents[inside].sum()), len(pieces),
            100 * float(pieces[2:].sum()) / n if n else 0.0, int((inside & ~on_map).sum()),
            tuple(names[other - 1] for other in touching.tolist() if other not in (0, k))))
    return found


def _piece_sizes(edges: NDArray[np.int32], inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the vertices of each connected piece of a region."""
    a, b = edges[inside[edges].all(axis=1)].T
    n = len(inside)
    joined = csr_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(n, n))
    numbers = connected_components(joined, directed=False)[1][inside]
    return np.unique(numbers, return_counts=True)[1].astype(np.int64)


def find_faults(found: Mapping[str, Sequence[LabelledRegion]], *, wanted: Sequence[str], least: int) -> Iterator[str]:
    """Name what would stop or mislead the analysis.

    Parameters
    ----------
    found : mapping of str to sequence of LabelledRegion
        By hemisphere.
    wanted : sequence of str
        ``roi.regions``.
    least : int
        ``roi.vertices_per_hemisphere``.
    """
    sizes: dict[str, list[int]] = {name: [] for name in wanted}
    for hemi, regions in found.items():
        by_name = {one.region: one for one in regions}
        for name in wanted:
            one = by_name.get(name)
            if one is None or not one.n_vertices:
                yield f"hemi-{hemi}: no {name}"
                continue
            sizes[name].append(one.n_vertices)
            if one.n_vertices - one.n_off_map < least:
                yield (f"hemi-{hemi} {name}: {one.n_vertices - one.n_off_map} vertices on the flat map, fewer than the "
                       f"{least} of roi.vertices_per_hemisphere")
            if one.n_off_map:
                yield f"hemi-{hemi} {name}: {one.n_off_map} vertices are not on the flat map"
            if one.stray_pct > 100 * _STRAY:
                yield f"hemi-{hemi} {name}: {one.stray_pct:.0f} % lie outside its two largest pieces"
    for name, (*several,) in sizes.items():
        if len(several) == 2 and max(several) > _UNEVEN * min(several):
            yield f"{name}: {several[0]} vertices in one hemisphere and {several[1]} in the other"
