"""Cortical surfaces: a folded mesh and its flat map, kept apart from the values on them.

Distances are along the flat map: the geodesic distance of two vertices is the length of the shortest path
on the flat mesh's edges; disks are found on the folded mesh as well. Millimetres throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
from nibabel.gifti import GiftiDataArray, GiftiImage
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from analysis.data.disks import Disks, find_disks, keep_disks
from analysis.data.gifti import STRUCTURES, read_gifti, require_side
from subjects.errors import AnalysisError
from subjects.store import whole_file

Along = Literal["flat", "folded"]
"""Where distances run: along the flat map, or along the surface midway between white and pial."""


@dataclass(frozen=True, eq=False)
class Surface:
    """One hemisphere, or a patch of it.

    Parameters
    ----------
    hemi : {"L", "R"}
    vertices : float32 array, (n_vertices, 3)
        Midway between white and pial, mm, x to the right, y to the front, z up.
    faces : int32 array, (n_faces, 3)
        Triangles of the flat map, counter-clockwise as seen on it.
    flat : float32 array, (n_vertices, 2)
        Place on the flat map, mm.

    Raises
    ------
    AnalysisError
        If the mesh does not hold together: see the message.
    """

    hemi: str
    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    flat: NDArray[np.float32]
    where: str = field(default="surface", repr=False)

    def __post_init__(self) -> None:
        n = len(self.vertices)
        _require(self.hemi in STRUCTURES, self.where, came=f"hemisphere {self.hemi!r}", expected="'L' or 'R'")
        _require(self.vertices.shape == (n, 3) and n > 0, self.where, expected="(n_vertices, 3)",
                 came=f"vertices of shape {self.vertices.shape}")
        _require(self.flat.shape == (n, 2), self.where, came=f"flat map of shape {self.flat.shape}",
                 expected=f"({n}, 2), one place a vertex")
        _require(self.faces.ndim == 2 and self.faces.shape[1] == 3, self.where, expected="(n_faces, 3)",
                 came=f"faces of shape {self.faces.shape}")
        for name in ("vertices", "flat"):
            missing = ~np.isfinite(getattr(self, name)).all(axis=1)
            _require(not missing.any(), self.where, came=f"{name} row {int(np.argmax(missing))} not finite",
                     expected="finite coordinates")
        outside = (self.faces < 0) | (self.faces >= n)
        _require(not outside.any(), self.where, expected=f"vertices 0 to {n - 1}",
                 came=f"face {int(np.argmax(outside.any(axis=1)))} naming vertex {_first(self.faces, outside)}")
        sides = self.faces[:, :, None] == self.faces[:, None, :]
        twice = sides.sum(axis=(1, 2)) > 3
        _require(not twice.any(), self.where, came=f"face {int(np.argmax(twice))} naming one vertex twice",
                 expected="three different vertices")

    @property
    def n_vertices(self) -> int:
        """Number of vertices."""
        return len(self.vertices)

    @cached_property
    def edges(self) -> NDArray[np.int32]:
        """Edges, each once with the lower vertex first, in ascending order, (n_edges, 2)."""
        return self._edges_of(np.unique(self._edge_numbers()))

    def _edge_numbers(self) -> NDArray[np.int64]:
        """Give each side of all triangles one number, which sorts faster than two do."""
        a, b = _sides(self.faces).astype(np.int64).T
        return np.asarray(a * self.n_vertices + b)

    def _edges_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        return np.column_stack(np.divmod(numbers, self.n_vertices)).astype(np.int32)

    @property
    def euler_characteristic(self) -> int:
        """Vertices on faces - edges + faces: 1 for a disk, one less for each hole or handle end."""
        return len(np.unique(self.faces)) - len(self.edges) + len(self.faces)

    @cached_property
    def adjacency(self) -> csr_array:
        """Edge lengths on the flat map, symmetric (n_vertices, n_vertices), mm."""
        return self.edge_lengths("flat")

    def edge_lengths(self, along: Along) -> csr_array:
        """Measure the edges, symmetric (n_vertices, n_vertices), mm."""
        a, b = self.edges.T
        points = self.points(along).astype(np.float64)
        lengths = np.linalg.norm(points[a] - points[b], axis=1)
        place = "of the flat map" if along == "flat" else "of the folded surface"
        _require(bool((lengths > 0).all()), self.where, came=f"two neighbours at one place {place}",
                 expected="edges longer than 0 mm")
        both = (np.concatenate([lengths, lengths]), (np.concatenate([a, b]), np.concatenate([b, a])))
        return csr_array(both, shape=(self.n_vertices, self.n_vertices))

    def points(self, along: Along) -> NDArray[np.float32]:
        """Give the places between which distances run, (n_vertices, 2 or 3)."""
        return self.flat if along == "flat" else self.vertices

    def disks(self, radius_mm: float, *, along: Along = "flat") -> Disks:
        """Find the disk around every vertex: all vertices at most `radius_mm` away along the mesh's edges.

        Parameters
        ----------
        radius_mm : float
        along : {"flat", "folded"}

        Returns
        -------
        indptr : int64 array, (n_vertices + 1,)
        indices : int32 array
            The disk around vertex v is ``indices[indptr[v]:indptr[v + 1]]``, ascending, v among them.
        """
        _require(radius_mm > 0, self.where, came=f"a radius of {radius_mm:g} mm", expected="more than 0 mm")
        return find_disks(self.edge_lengths(along), self.points(along), radius_mm=radius_mm)

    def kept_disks(self, radius_mm: float, *, along: Along = "flat") -> Disks:
        """Give :meth:`disks` from what this computer keeps of meshes it has seen; see :func:`.disks.keep_disks`."""
        return keep_disks(lambda: self.disks(radius_mm, along=along), points=self.points(along), faces=self.faces,
                          radius_mm=radius_mm)

    def distances(self, centres: NDArray[np.integer], *, limit_mm: float = np.inf) -> NDArray[np.float64]:
        """Measure along the flat map from some vertices to all, (n_centres, n_vertices); inf beyond the limit."""
        return dijkstra(self.adjacency, directed=False, indices=centres, limit=limit_mm)

    def distance_to(self, targets: NDArray[np.integer]) -> NDArray[np.float64]:
        """Measure along the flat map from every vertex to the nearest of `targets`, (n_vertices,)."""
        return dijkstra(self.adjacency, directed=False, indices=targets, min_only=True)

    def rim_edges(self) -> NDArray[np.int32]:
        """Find the edges on the rim of the flat map (sides of one triangle only), (n_edges, 2)."""
        numbers, counts = np.unique(self._edge_numbers(), return_counts=True)
        return self._edges_of(numbers[counts == 1])

    def components(self) -> NDArray[np.int32]:
        """Give the number of its connected piece to each vertex, (n_vertices,)."""
        return connected_components(self.adjacency, directed=False)[1]

    def restrict(self, keep: NDArray[np.bool_]) -> tuple[Surface, NDArray[np.int64]]:
        """Cut out the triangles all of whose vertices are kept.

        Returns
        -------
        surface : Surface
            Vertices on no remaining triangle are left out.
        places : int64 array
            For each of its vertices, the vertex here.
        """
        faces = self.faces[keep[self.faces].all(axis=1)]
        places = np.unique(faces).astype(np.int64)
        number = np.full(self.n_vertices, -1, dtype=np.int32)
        number[places] = np.arange(len(places))
        return Surface(self.hemi, self.vertices[places], number[faces], self.flat[places], self.where), places

    def vertex_areas(self) -> NDArray[np.float64]:
        """Share the folded surface out among its vertices: a third of each triangle to each corner, mm2."""
        thirds = np.repeat(triangle_areas(self.vertices, self.faces) / 3, 3)
        return np.bincount(self.faces.ravel(), weights=thirds, minlength=self.n_vertices).astype(np.float64)

    def distortion(self) -> Distortion:
        """Compare the flat map with the folded surface, by triangle; what has no size in either is left out."""
        flat, folded = triangle_areas(self.flat, self.faces), triangle_areas(self.vertices, self.faces)
        a, b = self.edges.T
        lengths = [np.linalg.norm(xyz[a].astype(np.float64) - xyz[b], axis=1) for xyz in (self.flat, self.vertices)]
        return Distortion(_log2_ratio(np.abs(flat), folded), int((flat <= 0).sum()), _log2_ratio(*lengths))


@dataclass(frozen=True, eq=False)
class Distortion:
    """How far a flat map leaves the surface's own measures.

    Parameters
    ----------
    area : float64 array, (n_measured_faces,)
        log2 of flat over folded area: 0 is true to size, 1 doubled.
    n_folded_over : int
        Triangles that lie the wrong way round on the flat map.
    length : float64 array, (n_measured_edges,)
        log2 of flat over folded edge length.
    """

    area: NDArray[np.float64]
    n_folded_over: int
    length: NDArray[np.float64]

    def summary(self) -> str:
        """Say it in one sentence."""
        if not (len(self.area) and len(self.length)):
            return "no triangle of any size"
        area, length = (np.exp2(np.percentile(values, [5, 50, 95])) for values in (self.area, self.length))
        return (f"flat over folded area {area[1]:.2f} (5-95 %: {area[0]:.2f}-{area[2]:.2f}), edge length "
                f"{length[1]:.2f} ({length[0]:.2f}-{length[2]:.2f}), {self.n_folded_over} triangles folded over")


def _log2_ratio(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    measured = (first > 0) & (second > 0)
    return np.log2(first[measured] / second[measured])


def triangle_areas(points: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """Measure triangles.

    Parameters
    ----------
    points : array, (n, 2) or (n, 3)
    faces : int array, (n_faces, 3)

    Returns
    -------
    float64 array, (n_faces,)
        In the plane signed (positive when counter-clockwise), in space positive.

    Examples
    --------
    >>> triangle_areas(np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]]), np.array([[0, 1, 2], [0, 2, 1]]))
    array([ 1., -1.])
    """
    a, b, c = (points[faces[:, k]].astype(np.float64) for k in range(3))
    if points.shape[1] == 2:
        (ux, uy), (vx, vy) = (b - a).T, (c - a).T
        result: NDArray[np.float64] = (ux * vy - uy * vx) / 2
        return result
    result = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return result


def _sides(faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sides of all triangles, lower vertex first, (3 n_faces, 2)."""
    return np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)


def _first(faces: NDArray[np.int32], wrong: NDArray[np.bool_]) -> int:
    return int(faces[wrong][0]) if wrong.any() else 0


def _require(holds: bool, where: str, *, came: str, expected: str,
             remedy: str = "Mend or export the mesh again.") -> None:
    if not holds:
        raise AnalysisError(where, came=came, expected=expected, remedy=remedy)


def save_surface(surface: Surface, path: Path, *, flat_path: Path, overwrite: bool = False) -> None:
    """Write a surface as two GIFTI meshes, the flat one with z = 0."""
    level = np.column_stack([surface.flat, np.zeros(surface.n_vertices, dtype=np.float32)])
    for target, points, kind in ((path, surface.vertices, "MidThickness"), (flat_path, level, "Flat")):
        image = GiftiImage(darrays=[
            GiftiDataArray(points.astype(np.float32), intent="NIFTI_INTENT_POINTSET", datatype="float32",
                           meta={"AnatomicalStructurePrimary": STRUCTURES[surface.hemi], "GeometricType": kind}),
            GiftiDataArray(surface.faces.astype(np.int32), intent="NIFTI_INTENT_TRIANGLE", datatype="int32")])
        with whole_file(target, overwrite=overwrite) as beside:
            nib.save(image, beside)


def load_surface(path: Path, *, flat_path: Path, hemi: str) -> Surface:
    """Read a surface from its midway and flat GIFTI meshes.

    Parameters
    ----------
    path : Path
        Midway mesh.
    flat_path : Path
        Flat mesh of the same vertices; its triangles are the ones used, and its third coordinate is dropped.
    hemi : {"L", "R"}

    Raises
    ------
    AnalysisError
        If a file is missing or no mesh, the two do not share their vertices, or they are of the other hemisphere: by
        what either says, or, where neither says anything, by the side on which the midway mesh lies.
    """
    vertices, _, side = _read_mesh(path, hemi=hemi)
    flat, faces, flat_side = _read_mesh(flat_path, hemi=hemi)
    if side is None and flat_side is None:
        _require_place(vertices, hemi=hemi, where=str(path))
    return Surface(hemi, vertices, faces, flat[:, :2].copy(), str(flat_path))


def require_mesh(path: Path, *, hemi: str) -> int:
    """See that a midway mesh is of its hemisphere, by what it says or else by its place; count its vertices.

    Raises
    ------
    AnalysisError
        As :func:`load_surface`.
    """
    vertices, _, side = _read_mesh(path, hemi=hemi)
    if side is None:
        _require_place(vertices, hemi=hemi, where=str(path))
    return len(vertices)


def _require_place(vertices: NDArray[np.float32], *, hemi: str, where: str) -> None:
    """See by its place that a mesh that names no hemisphere is of this one: the left has negative x."""
    x = float(vertices[:, 0].mean(dtype=np.float64))
    came = f"a mesh whose vertices lie at x = {x:.1f} mm on average"
    _require((x > 0) == (hemi == "R"), where, came=came, expected=f"the {'right' if hemi == 'R' else 'left'} "
             f"hemisphere, at {'positive' if hemi == 'R' else 'negative'} x",
             remedy="Give the files of the two hemispheres their own names, or their AnatomicalStructurePrimary.")


def _read_mesh(path: Path, *, hemi: str) -> tuple[NDArray[np.float32], NDArray[np.int32], str | None]:
    """Read points, triangles, and the hemisphere that the file names, which must be this one."""
    image = read_gifti(path, expected="a surface mesh")
    points, triangles = image.agg_data(("pointset", "triangle"))
    _require(isinstance(points, np.ndarray) and isinstance(triangles, np.ndarray), str(path),
             came="a GIFTI file without one set of points and one of triangles", expected="a surface mesh")
    side = require_side(image, hemi=hemi, path=path)
    return np.asarray(points, dtype=np.float32), np.asarray(triangles, dtype=np.int32), side
