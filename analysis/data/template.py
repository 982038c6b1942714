"""The standard brain fsaverage5 and its occipital patch, refined until a 3 mm disk holds enough vertices."""

from __future__ import annotations

import gzip
from functools import cache
from importlib import resources

import numpy as np
from nibabel.gifti import GiftiImage
from numpy.typing import NDArray

from analysis.data.surface import Surface
from subjects.errors import AnalysisError

_SIDE = {"L": "left", "R": "right"}
RADIUS_MM = 75.0


def load_fsaverage5() -> dict[str, Surface]:
    """Load both hemispheres of fsaverage5 that nilearn ships (Fischl et al. 1999; 10,242 vertices each).

    Returns
    -------
    dict of str to Surface
        ``"L"``, ``"R"``. Vertices midway between white and pial. Only what is on the flat map: the medial
        wall and the triangles across the map's cuts (one runs along the calcarine sulcus) are left out.
    """
    return {hemi: _load_hemisphere(hemi) for hemi in _SIDE}


@cache
def _load_hemisphere(hemi: str) -> Surface:
    meshes = {kind: _read(f"{kind}_{_SIDE[hemi]}.gii.gz") for kind in ("white", "pial", "flat")}
    (white, folded), (pial, _), (flat, faces) = meshes["white"], meshes["pial"], meshes["flat"]
    where = f"nilearn's fsaverage5 hemi-{hemi}"
    if not np.isin(_face_keys(faces, n=len(white)), _face_keys(folded, n=len(white))).all():
        raise AnalysisError(where, came="flat triangles that the white surface lacks", expected="one triangulation",
                            remedy="Install the nilearn named in requirements.lock.")
    midway = ((white.astype(np.float64) + pial) / 2).astype(np.float32)
    whole = Surface(hemi, midway, faces, np.ascontiguousarray(flat[:, :2]), where)
    return whole.restrict(np.ones(len(midway), dtype=bool))[0]


def _face_keys(faces: NDArray[np.int32], *, n: int) -> NDArray[np.int64]:
    """One number a triangle, whichever of its corners comes first."""
    a, b, c = np.sort(faces, axis=1).astype(np.int64).T
    result: NDArray[np.int64] = (a * n + b) * n + c
    return result


def _read(name: str) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    file = resources.files("nilearn") / "datasets" / "data" / "fsaverage5" / name
    image = GiftiImage.from_bytes(gzip.decompress(file.read_bytes()))
    points, triangles = image.agg_data(("pointset", "triangle"))
    return points.astype(np.float32), triangles.astype(np.int32)


def subdivide(surface: Surface, *, times: int = 1) -> Surface:
    """Split each triangle into four at the midpoints of its sides, on the folded and on the flat mesh alike.

    Parameters
    ----------
    surface : Surface
    times : int
        0 leaves it as it is.

    Returns
    -------
    Surface
        The old vertices keep their numbers and places; areas and the Euler characteristic stay.
    """
    for _ in range(times):
        surface = _subdivide_once(surface)
    return surface


def _subdivide_once(surface: Surface) -> Surface:
    n, faces = surface.n_vertices, surface.faces
    a, b = surface.edges.T
    keys = a.astype(np.int64) * n + b
    ends = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]], axis=2).astype(np.int64)
    middle = (n + np.searchsorted(keys, ends[..., 0] * n + ends[..., 1])).astype(np.int32)
    (i, j, k), (ij, jk, ki) = faces.T, middle.T
    quarters = [(i, ij, ki), (ij, j, jk), (ki, jk, k), (ij, jk, ki)]
    split = np.stack([np.stack(corners, axis=1) for corners in quarters], axis=1).reshape(-1, 3)
    points = [np.concatenate([xyz, ((xyz[a].astype(np.float64) + xyz[b]) / 2).astype(np.float32)])
              for xyz in (surface.vertices, surface.flat)]
    return Surface(surface.hemi, points[0], split, points[1], surface.where)


def occipital_patch(surface: Surface, *, subdivisions: int = 1, radius_mm: float = RADIUS_MM) -> Surface:
    """Cut out the back of the brain and refine it.

    Parameters
    ----------
    surface : Surface
        A whole hemisphere, such as :func:`load_fsaverage5` gives.
    subdivisions : int
        How often each triangle is split into four. On fsaverage5 a 3 mm disk of this patch holds 4 vertices
        without, 14 with one and 52 with two subdivisions (means; distances run along edges).
    radius_mm : float
        Vertices this near to the occipital pole on the flat map, in a straight line, are kept.

    Returns
    -------
    Surface
        The largest connected piece, a disk without holes. Part of its rim is the calcarine sulcus, along which
        the flat map is cut; no cut runs through it.

    Raises
    ------
    AnalysisError
        If that piece has holes, or nothing is near enough.
    """
    pole = surface.flat[occipital_pole(surface)]
    near = np.linalg.norm(surface.flat - pole, axis=1) <= radius_mm
    if not near[surface.faces].all(axis=1).any():
        raise AnalysisError(surface.where, came=f"no triangle within {radius_mm:g} mm of the occipital pole",
                            expected="a patch", remedy="Widen the patch.")
    piece, _ = surface.restrict(_largest(surface, near))
    if piece.euler_characteristic != 1:
        raise AnalysisError(surface.where, came=f"a patch of Euler characteristic {piece.euler_characteristic}",
                            expected="1, a disk without holes", remedy="Choose another radius.")
    return subdivide(piece, times=subdivisions)


def occipital_pole(surface: Surface) -> int:
    """Find the vertex furthest back."""
    return int(np.argmin(surface.vertices[:, 1]))


def _largest(surface: Surface, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the vertices of the largest connected piece."""
    piece, places = surface.restrict(keep)
    number = piece.components()
    mask = np.zeros(surface.n_vertices, dtype=bool)
    mask[places[number == np.bincount(number).argmax()]] = True
    return mask
