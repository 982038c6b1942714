"""Regions drawn on the flat map, as polygons in a file, and FreeSurfer's own labels: .label and .annot.

A file of polygons is JSON, places in mm on the flat map: ``{"V1": [[[x, y], [x, y], ...], ...], ...}``. A region may
have several; a vertex on an edge counts as inside. Where it says so, under :data:`DRAWN_ON`, of which hemisphere and
flat map it is (``{"hemi": "L", "flat_map": digest}``), it is held against that.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from subjects.errors import AnalysisError
from subjects.provenance import digest_array
from subjects.store import read_json, write_json, write_text

Vertices = NDArray[np.int64]
_SIDES = {"L": "lh", "R": "rh"}
_ROUNDING_MM = 1e-6
DRAWN_ON = "drawn on"
_FOREIGN = (OSError, ValueError, IndexError, TypeError, OverflowError, MemoryError, Warning)
"""What nibabel raises, or warns of, where a file is none of FreeSurfer's."""
STRANGE_MM, STRANGE_SHIFT_MM = 8.0, 40.0
"""Places of a label lie no further from those of its vertices, in the median, once a common shift is taken off; and the
shift to the side is smaller: the hemispheres' centres are about 60 mm apart."""


Polygons = Mapping[str, Sequence[NDArray[np.float64]]]


def write_polygons(path: Path, polygons: Polygons, *, hemi: str, flat: NDArray[np.floating],
                   overwrite: bool = False) -> Path:
    """Write a file of polygons, with the hemisphere and the flat map that they were drawn on."""
    drawn_on = {"hemi": hemi, "flat_map": digest_array(flat)}
    return write_json(path, {DRAWN_ON: drawn_on, **{name: [corners.tolist() for corners in outlines]
                                                    for name, outlines in polygons.items()}}, overwrite=overwrite)


def read_polygons(path: Path, *, hemi: str | None = None,
                  flat: NDArray[np.floating] | None = None) -> dict[str, list[NDArray[np.float64]]]:
    """Read a file of polygons, by region.

    Parameters
    ----------
    path : Path
    hemi : {"L", "R"}, optional
        The hemisphere that it must be of, where it says so.
    flat : float array, (n_vertices, 2), optional
        The flat map that it must be of, where it says so.

    Raises
    ------
    AnalysisError
        Naming the region and polygon that is none: fewer than three corners, or something else than pairs of numbers;
        or if it was drawn on the other hemisphere or another flat map.
    """
    content = read_json(path)
    _require_drawn_on(content.pop(DRAWN_ON, {}), hemi=hemi, flat=flat, path=path)
    found: dict[str, list[NDArray[np.float64]]] = {}
    for name, polygons in content.items():
        for k, polygon in enumerate(polygons if isinstance(polygons, list) else [polygons], start=1):
            try:
                corners = np.array(polygon, dtype=np.float64)
            except (TypeError, ValueError):
                corners = np.empty(0)
            if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
                raise AnalysisError(f"{path}, {name}, polygon {k}", came=f"{str(polygon)[:60]}",
                                    expected="three or more pairs of numbers, mm on the flat map",
                                    remedy="Draw it again, or correct the file.")
            found.setdefault(name, []).append(corners)
    return found


def _require_drawn_on(said: object, *, hemi: str | None, flat: NDArray[np.floating] | None, path: Path) -> None:
    told = said if isinstance(said, Mapping) else {}
    if hemi is not None and told.get("hemi", hemi) != hemi:
        raise AnalysisError(str(path), came=f"polygons of hemisphere {told['hemi']}", expected=f"hemisphere {hemi}",
                            remedy="Give the files of the two hemispheres their own names.")
    if flat is not None and told.get("flat_map", digest_array(flat)) != digest_array(flat):
        raise AnalysisError(str(path), came="polygons that were drawn on another flat map",
                            expected="this subject's flat map as it is now",
                            remedy="Take this subject's file; if the flat map was made anew, draw on that one.")


def vertices_inside(flat: NDArray[np.floating], polygons: Sequence[NDArray[np.float64]]) -> Vertices:
    """List the vertices within any of some polygons, ascending.

    Parameters
    ----------
    flat : float array, (n_vertices, 2)
    polygons : sequence of float64 array, (n_corners, 2)
        In either direction; closed by themselves.

    Examples
    --------
    >>> sheet = np.array([[0.0, 0.0], [1.0, 1.0], [3.0, 1.0]])
    >>> vertices_inside(sheet, [np.array([[-1.0, -1.0], [2.0, -1.0], [2.0, 2.0], [-1.0, 2.0]])])
    array([0, 1])
    """
    points = np.asarray(flat, dtype=np.float64)
    inside = np.zeros(len(points), dtype=np.bool_)
    for corners in polygons:
        outline = Outline(np.concatenate([corners, corners[:1]]), closed=True)
        for margin in (_ROUNDING_MM, -_ROUNDING_MM):  # its sign depends on the polygon's direction
            inside |= outline.contains_points(points, radius=margin)
    return np.flatnonzero(inside)


def label_polygons(flat: NDArray[np.floating], polygons: Polygons, *, names: Sequence[str],
                   where: str) -> NDArray[np.int16]:
    """Label the vertices within the polygons of each region.

    Parameters
    ----------
    flat : float array, (n_vertices, 2)
    polygons : mapping of str to sequence of float64 array
    names : sequence of str
        The regions in the order of their numbers, from 1.
    where : str

    Returns
    -------
    int16 array, (n_vertices,)
        0 outside all polygons.

    Raises
    ------
    AnalysisError
        If a region is none of `names`, holds no vertex, or overlaps another one.
    """
    labels = np.zeros(len(flat), dtype=np.int16)
    for name, outlines in polygons.items():
        if name not in names:
            raise AnalysisError(where, came=f"a region {name!r}", expected=", ".join(names),
                                remedy="Correct its name in the file of polygons.")
        inside = vertices_inside(flat, outlines)
        if not len(inside):
            raise AnalysisError(f"{where}, {name}", came="polygons that hold no vertex", expected="some",
                                remedy="See that they were drawn on this subject's and this hemisphere's flat map.")
        other = labels[inside][labels[inside] > 0]
        if len(other):
            raise AnalysisError(f"{where}, {name}", came=f"{len(other)} vertices of {names[other[0] - 1]} too",
                                expected="regions that do not overlap", remedy="Draw one of the two borders again.")
        labels[inside] = names.index(name) + 1
    return labels


def write_freesurfer_label(path: Path, vertices: Vertices, *, points: NDArray[np.floating],
                           values: NDArray[np.floating] | None = None, overwrite: bool = False) -> Path:
    """Write a FreeSurfer label (ASCII): a line a vertex, its number, its place and a value (0 unless given)."""
    numbers = np.zeros(len(vertices)) if values is None else np.asarray(values)
    lines = [f"{vertex}  {x:.3f}  {y:.3f}  {z:.3f} {value:.10f}" for vertex, (x, y, z), value in
             zip(vertices.tolist(), np.asarray(points)[vertices].tolist(), numbers.tolist(), strict=True)]
    return write_text(path, "\n".join(["#!ascii label, vox2ras=TkReg", str(len(vertices)), *lines]) + "\n",
                      overwrite=overwrite)


def read_freesurfer_label(path: Path, *, n_vertices: int, hemi: str | None = None,
                          points: NDArray[np.floating] | None = None) -> Vertices:
    """Read the vertices of a FreeSurfer label, ascending.

    Parameters
    ----------
    path : Path
    n_vertices : int
        Of the mesh.
    hemi : {"L", "R"}, optional
        The hemisphere that it must be of, where its name says (``lh.`` or ``rh.``).
    points : float array, (n_vertices, 3), optional
        The folded mesh. The places that a label holds must be those of the same vertices there, but for a shift
        (coordinates about another origin) and a few mm (white, midway or pial): see :data:`STRANGE_MM`.

    Raises
    ------
    AnalysisError
        If the file is missing, no label, of the other hemisphere or another subject, or names a vertex twice or one
        outside the mesh.
    """
    _require_here(path, hemi=hemi, what="a FreeSurfer label")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = np.atleast_1d(nib.freesurfer.read_label(path)).astype(np.int64)
        said = int(path.read_text(encoding="utf-8", errors="replace").splitlines()[1])
    except _FOREIGN as error:
        raise _unreadable(path, error, what="a FreeSurfer label") from error
    if said != len(found):
        raise AnalysisError(str(path), came=f"{len(found)} lines of vertices",
                            expected=f"{said}, as its second line says", remedy="Copy it again: it was cut off.")
    outside = (found < 0) | (found >= n_vertices)
    if outside.any():
        raise AnalysisError(str(path), came=f"vertex {found[outside][0]} of a mesh of {n_vertices}",
                            expected="vertices of this mesh", remedy="Take label and mesh of the same subject.")
    if len(np.unique(found)) < len(found):
        raise AnalysisError(str(path), came="a vertex that is named twice", expected="each vertex once",
                            remedy="Write the label again.")
    if points is not None:
        _require_places(path, found, points=np.asarray(points, dtype=np.float64))
    return np.sort(found)


def _require_places(path: Path, vertices: Vertices, *, points: NDArray[np.float64]) -> None:
    places = np.atleast_2d(np.loadtxt(path, skiprows=2))[:, 1:4]
    if not places.any():  # some programs write none
        return
    away = places - points[vertices]
    spread = float(np.median(np.linalg.norm(away - np.median(away, axis=0), axis=1)))
    shift = float(np.median(away[:, 0]))
    if spread > STRANGE_MM or abs(shift) > STRANGE_SHIFT_MM:
        said = f"places {spread:.0f} mm apart from those of its vertices" if spread > STRANGE_MM else \
            f"places {abs(shift):.0f} mm further to the {'right' if shift > 0 else 'left'} than its vertices"
        raise AnalysisError(str(path), came=said, expected="a label of this mesh",
                            remedy="Take label and mesh of the same subject and hemisphere.")


def read_annotation(path: Path, *, n_vertices: int, hemi: str | None = None) -> dict[str, Vertices]:
    """Read the regions of a FreeSurfer annotation by name; see :func:`read_freesurfer_label`."""
    _require_here(path, hemi=hemi, what="a FreeSurfer annotation")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            numbers, _, names = nib.freesurfer.read_annot(path)
    except _FOREIGN as error:
        raise _unreadable(path, error, what="a FreeSurfer annotation") from error
    if len(numbers) != n_vertices:
        raise AnalysisError(str(path), came=f"{len(numbers)} vertices", expected=f"{n_vertices}, as the mesh",
                            remedy="Take annotation and mesh of the same subject.")
    return {name.decode("utf-8", "replace"): np.flatnonzero(numbers == k) for k, name in enumerate(names)}


def _require_here(path: Path, *, hemi: str | None, what: str) -> None:
    if not path.is_file():
        raise AnalysisError(str(path), came="no such file", expected=what, remedy="Restore it, or draw it again.")
    side = path.name[:2]
    if hemi is not None and path.name[2:3] == "." and side in _SIDES.values() and side != _SIDES[hemi]:
        raise AnalysisError(str(path), came=f"a file of {side}", expected=f"one of {_SIDES[hemi]}",
                            remedy="Give the files of the two hemispheres their own names.")


def _unreadable(path: Path, error: Exception, *, what: str) -> AnalysisError:
    return AnalysisError(str(path), came=f"a file that cannot be read ({error})", expected=what,
                         remedy="Write it again, or copy it from the subject's folder.")
