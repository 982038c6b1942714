"""Region labels of a hemisphere, joined from files of other programs, polygons and localized areas."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.data.surface import Surface
from analysis.regions.drawing.outlines import (
    read_annotation,
    read_freesurfer_label,
    read_polygons,
    vertices_inside,
)
from analysis.regions.labels import Labels, read_named_labels
from subjects.errors import AnalysisError

log = logging.getLogger(__name__)

Vertices = NDArray[np.int64]
Mask = NDArray[np.bool_]
ENDINGS = (".label", ".annot", ".label.gii", ".json")
"""What is read: FreeSurfer's labels and annotations, GIFTI labels, files of polygons."""
_SIDES = {"lh": "L", "rh": "R"}
_NOTHING = ("???", "unknown", "Unknown", "Medial_wall", "corpuscallosum")


def side_of_name(path: Path) -> str:
    """Say of which hemisphere a file is by its name: ``lh.`` or ``rh.`` at its start, or ``hemi-L``, ``hemi-R`` in it.

    Raises
    ------
    AnalysisError
        If the name does not say.

    Examples
    --------
    >>> side_of_name(Path("rh.V1.label")), side_of_name(Path("sub-01_hemi-L_polygons.json"))
    ('R', 'L')
    """
    entity = re.search(r"(?:^|_)hemi-([LR])(?:_|\.)", path.name)
    side = entity[1] if entity else _SIDES.get(path.name[:2]) if path.name[2:3] in (".", "_") else None
    if side is None:
        raise AnalysisError(str(path), came="a name that does not say which hemisphere it is of",
                            expected="lh. or rh. at its start, or hemi-L or hemi-R in it", remedy="Rename the file.")
    return side


def read_file(path: Path, *, hemi: str, surface: Surface) -> dict[str, Vertices]:
    """Read the regions of a file, whatever its format; background is left out.

    Parameters
    ----------
    path : Path
        Its ending is one of :data:`ENDINGS`.
    hemi : {"L", "R"}
    surface : Surface
        The mesh that it must be of.

    Returns
    -------
    dict of str to int64 array
        Region to its vertices, ascending.

    Raises
    ------
    AnalysisError
        If the file is of another kind, mesh, subject or hemisphere.
    """
    n = surface.n_vertices
    if path.name.endswith(".label"):
        name = path.name.removesuffix(".label")
        entity = re.search(r"(?:^|_)label-([^_.]+)", name)
        region = entity[1] if entity else name[3:] if name[:3] in ("lh.", "rh.") else name
        return {region: read_freesurfer_label(path, n_vertices=n, hemi=hemi, points=surface.vertices)}
    if path.name.endswith(".annot"):
        found = read_annotation(path, n_vertices=n, hemi=hemi)
    elif path.name.endswith(".label.gii"):
        values, keys = read_named_labels(path, hemi=hemi)
        if len(values) != n:
            raise AnalysisError(str(path), came=f"{len(values)} vertices", expected=f"{n}, as the mesh",
                                remedy="Take labels and mesh of the same subject.")
        found = {name: np.flatnonzero(values == key) for name, key in keys.items()}
    elif path.name.endswith(".json"):
        drawn = read_polygons(path, hemi=hemi, flat=surface.flat)
        found = {name: _inside(surface, outlines, where=f"{path}, {name}") for name, outlines in drawn.items()}
    else:
        raise AnalysisError(str(path), came="a file of another kind", expected=", ".join(ENDINGS),
                            remedy="Export it as one of these.")
    return {name: vertices for name, vertices in found.items() if name not in _NOTHING and len(vertices)}


def _inside(surface: Surface, outlines: Sequence[NDArray[np.float64]], *, where: str) -> Vertices:
    on_map = np.unique(surface.faces)
    inside = np.intersect1d(vertices_inside(surface.flat, outlines), on_map)
    if not len(inside):
        raise AnalysisError(where, came="polygons that hold no vertex", expected="some",
                            remedy="See that they were drawn on this subject's and this hemisphere's flat map.")
    return inside


@dataclass(frozen=True, eq=False)
class Collected:
    """The regions of a hemisphere.

    Parameters
    ----------
    labels : int16 array, (n_vertices,)
        k + 1 for the k-th of `names`, 0 elsewhere.
    names : tuple of str
        Those that were found, in the study's order.
    passed_over : tuple of str
        Regions of the files that are none of the study's.
    """

    labels: Labels
    names: tuple[str, ...]
    passed_over: tuple[str, ...]


def collect_regions(files: Sequence[Path], *, hemi: str, surface: Surface, names: Sequence[str],
                    renamed: Mapping[str, str] | None = None,
                    localized: Mapping[str, Mask] | None = None) -> Collected:
    """Join the regions of some files into one label a vertex.

    Parameters
    ----------
    files : sequence of Path
    hemi : {"L", "R"}
    surface : Surface
    names : sequence of str
        The study's regions.
    renamed : mapping of str to str, optional
        A file's name of a region to the study's. Several may become one: ``V1v`` and ``V1d`` together are ``V1``.
    localized : mapping of str to bool array, (n_vertices,), optional
        Regions that are what a localizer found: within the outline that a file has of it, or else wherever no other
        region is.

    Returns
    -------
    Collected

    Raises
    ------
    AnalysisError
        If two regions share vertices, a file of one region names none of the study's, or nothing is left of one.
    """
    owners: dict[str, tuple[Vertices, Path]] = {}
    passed_over: list[str] = []
    for path in files:
        found = read_file(path, hemi=hemi, surface=surface)
        for given, vertices in found.items():
            name = (renamed or {}).get(given, given)
            if name not in names:
                passed_over.append(given)
                continue
            before = owners.get(name, (np.empty(0, dtype=np.int64), path))[0]
            owners[name] = (np.union1d(before, vertices), path)
        if len(found) == 1 and set(found) <= set(passed_over):
            raise AnalysisError(str(path), came=f"a region {next(iter(found))!r}", expected=", ".join(names),
                                remedy="Say which of the study's it is with --rename, or add it to roi.regions.")
    labels = _join(owners, n_vertices=surface.n_vertices, names=names)
    for name, mask in (localized or {}).items():
        _restrict(labels, mask, number=list(names).index(name) + 1, where=f"hemi-{hemi} {name}")
    there = tuple(name for k, name in enumerate(names, start=1) if (labels == k).any())
    numbers = np.array([0, *(there.index(name) + 1 if name in there else 0 for name in names)], dtype=np.int16)
    return Collected(numbers[labels], there, tuple(dict.fromkeys(passed_over)))


def _join(owners: Mapping[str, tuple[Vertices, Path]], *, n_vertices: int, names: Sequence[str]) -> Labels:
    labels = np.zeros(n_vertices, dtype=np.int16)
    for name, (vertices, path) in owners.items():
        other = labels[vertices][labels[vertices] > 0]
        if len(other):
            theirs = names[int(np.bincount(other).argmax()) - 1]
            raise AnalysisError(f"{path}, {name}", came=f"{len(other)} vertices of {theirs} too "
                                f"({owners[theirs][1].name})", expected="regions that do not overlap",
                                remedy="Draw one of the two borders again, or leave one of the files out.")
        labels[vertices] = list(names).index(name) + 1
    return labels


def _restrict(labels: Labels, mask: Mask, *, number: int, where: str) -> None:
    """Let a region be what a localizer found of it, in place."""
    if len(mask) != len(labels):
        raise AnalysisError(where, came=f"a localized area of {len(mask)} vertices on a mesh of {len(labels)}",
                            expected="one mesh", remedy="Run `python -m analysis localizers` again.")
    outline = labels == number
    kept = mask & (outline if outline.any() else labels == 0)
    if not kept.any():
        raise AnalysisError(where, came="an outline that holds nothing of what the localizer found", expected="some",
                            remedy="Look at the picture of `python -m analysis localizers`, and draw it there.")
    labels[outline] = 0
    labels[kept] = number
