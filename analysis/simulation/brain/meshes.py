"""The mesh of a virtual subject: the template's occipital patch, the whole of fsaverage5, or a FreeSurfer subject.

Areas and receptive fields are laid on the template, and taken from there by a FreeSurfer subject through the
registration of the two spheres (``sphere.reg``), as is its flat map, which FreeSurfer does not make by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from analysis.data.flattening import (
    FREESURFER_SIDES,
    read_freesurfer,
    read_template,
    to_flat,
    uncut,
    whole_template,
)
from analysis.data.surface import Surface
from analysis.data.template import load_fsaverage5, occipital_patch, subdivide
from analysis.regions.schematic import schematic_motion_area, schematic_regions
from analysis.simulation.brain.atlas import benson_map
from analysis.simulation.brain.fields import FieldMap, analytic_map
from analysis.simulation.noise import smoother
from subjects.errors import AnalysisError

TUNING_SD_MM = 2.5
NOISE_SD_MM = 1.0
PATCH, WHOLE = "occipital", "fsaverage5"
_FINE = 2  # subdivisions of the template from which other meshes take areas and fields
_NEAREST_MM = 3.0  # how far the template's nearest vertex may be
_SURFACES = ("white", "pial", "sphere.reg")


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What all virtual subjects on one mesh share.

    Parameters
    ----------
    surface : Surface
    place : FieldMap
    tuning_kernel, noise_kernel : csr_array
        See :func:`~analysis.simulation.noise.smoother`.
    silent : bool array, (n_vertices,)
        Vertices without cortex: the medial wall.
    """

    surface: Surface
    place: FieldMap
    tuning_kernel: csr_array
    noise_kernel: csr_array
    silent: NDArray[np.bool_]


def mesh_names(mesh: str, *, subdivisions: int) -> tuple[str, str | None]:
    """Give a mesh's space and density, as the names of its files have them.

    Examples
    --------
    >>> mesh_names("occipital", subdivisions=2), mesh_names("fsaverage5", subdivisions=2)
    (('fsaverage5', 'occipital2'), ('fsaverage5', None))
    """
    if mesh == WHOLE:
        return "fsaverage5", None
    return ("fsaverage5", f"occipital{subdivisions}") if mesh == PATCH else ("fsnative", "occipital")


@lru_cache(maxsize=2)
def anatomy(hemi: str, *, mesh: str, atlas: str, subdivisions: int) -> Anatomy:
    """Make a hemisphere's mesh with its areas and fields; kept, since subjects share it.

    Parameters
    ----------
    hemi : {"L", "R"}
    mesh : str
        ``"occipital"``, ``"fsaverage5"``, or the folder of a FreeSurfer subject.
    atlas : {"analytic", "benson"}
    subdivisions : int
        Of the occipital patch.

    Raises
    ------
    AnalysisError
        For a folder without the surfaces, or an atlas that is not installed.
    """
    fine = subdivisions if mesh == PATCH else _FINE if mesh != WHOLE else 0
    patch, place = template_map(hemi, atlas=atlas, subdivisions=fine)
    if mesh == PATCH:
        surface, silent = patch, np.zeros(patch.n_vertices, dtype=bool)
    else:
        surface, silent = whole_template(hemi) if mesh == WHOLE else freesurfer_patch(Path(mesh), hemi=hemi)
        place = _taken(place, patch=patch, surface=surface)
    return Anatomy(surface, place, smoother(surface, sd_mm=TUNING_SD_MM), smoother(surface, sd_mm=NOISE_SD_MM), silent)


def template_map(hemi: str, *, atlas: str, subdivisions: int) -> tuple[Surface, FieldMap]:
    """Lay areas and fields on the occipital patch of fsaverage5."""
    coarse = occipital_patch(load_fsaverage5()[hemi], subdivisions=0)
    patch = subdivide(coarse, times=subdivisions)
    if atlas == "benson":
        return patch, benson_map(patch, coarse=coarse, vertices=_numbers(hemi, coarse))
    labels, motion = schematic_regions(patch), schematic_motion_area(patch)
    return patch, analytic_map(patch, labels=labels, motion=motion)


def _numbers(hemi: str, surface: Surface) -> NDArray[np.int64]:
    """Find the numbers on fsaverage5 of a piece's vertices, by their place."""
    midway = (read_template(hemi, "white")[0] + read_template(hemi, "pial")[0]) / 2
    return np.asarray(cKDTree(midway).query(surface.vertices)[1], dtype=np.int64)


def freesurfer_patch(folder: Path, *, hemi: str) -> tuple[Surface, NDArray[np.bool_]]:
    """Read the occipital patch of a FreeSurfer subject, with the template's flat map.

    Parameters
    ----------
    folder : Path
        With ``surf/lh.white``, ``lh.pial``, ``lh.sphere.reg`` and those of the right hemisphere.
    hemi : {"L", "R"}

    Returns
    -------
    surface : Surface
        Vertices midway between white and pial that the spherical registration brings onto the template's patch; a
        triangle that lies across one of the flat map's cuts is left out.
    silent : bool array
        None of them.

    Raises
    ------
    AnalysisError
        If a surface is missing or cannot be read, or too little of it is on the patch.
    """
    (white, faces), (pial, _), (sphere, _) = (
        read_freesurfer(folder, hemi=hemi, name=name,
                        remedy="Name the subject's folder, which holds surf/, in simulate.mesh.")
        for name in _SURFACES)
    flat = to_flat(sphere, hemi=hemi)
    patch, _ = template_map(hemi, atlas="analytic", subdivisions=0)
    near = np.zeros(len(flat), dtype=bool)
    on_map = np.isfinite(flat[:, 0])
    near[on_map] = cKDTree(patch.flat).query(flat[on_map])[0] <= _NEAREST_MM
    whole = near[faces].all(axis=1) & uncut(flat, faces)
    if whole.sum() < len(patch.faces) / 2:
        raise AnalysisError(str(folder), came=f"{int(whole.sum())} triangles on the occipital patch",
                            expected=f"as many as on the template at least, {len(patch.faces)}",
                            remedy="See that sphere.reg is the registration to fsaverage.")
    everywhere = np.where(on_map[:, None], flat, 0).astype(np.float32)
    surface = Surface(hemi, ((white + pial) / 2).astype(np.float32), faces[whole].astype(np.int32), everywhere,
                      str(folder))
    piece = surface.restrict(np.ones(len(flat), dtype=bool))[0]
    return piece, np.zeros(piece.n_vertices, dtype=bool)


def surface_files(mesh: str) -> dict[str, Path]:
    """List the surfaces that a mesh is made from, by name; those that are there, and none of the template."""
    found = {f"{side}.{name}": Path(mesh) / "surf" / f"{side}.{name}"
             for side in FREESURFER_SIDES.values() for name in _SURFACES}
    return {name: path for name, path in found.items() if mesh not in (PATCH, WHOLE) and path.is_file()}


def _taken(place: FieldMap, *, patch: Surface, surface: Surface) -> FieldMap:
    """Take areas and fields from the nearest vertex of the template's patch; none where that is far."""
    away, nearest = cKDTree(patch.flat).query(surface.flat)
    there = away <= _NEAREST_MM
    return FieldMap(np.where(there, place.areas[nearest], 0).astype(np.int16), there & place.motion[nearest],
                    *(np.where(there, axis[nearest], np.nan) for axis in (place.x_deg, place.y_deg)))
