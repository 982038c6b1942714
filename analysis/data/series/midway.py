"""Volumes sampled at the surface midway between white and pial, by nilearn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from analysis.data.gifti import read_gifti, require_side
from subjects.errors import AnalysisError

CHUNK_VOLUMES = 16
"""Volumes that are held at a time."""
_EDGE = 1e-3  # of a voxel: on the edge itself rounding would decide
MIN_INSIDE = 0.5
"""Share of the vertices that must lie within the volumes."""


class Mesh(NamedTuple):
    """A hemisphere's white and pial surface, which share their triangles."""

    white: NDArray[np.float32]
    pial: NDArray[np.float32]
    faces: NDArray[np.int32]


def read_meshes(white: Path, pial: Path, *, hemi: str) -> Mesh:
    """Read a hemisphere's white and pial surface, vertices (n_vertices, 3) in mm of the scanner.

    Raises
    ------
    AnalysisError
        If they are not of one mesh, or of the other hemisphere.
    """
    points, faces = list[NDArray[np.float32]](), list[NDArray[np.int32]]()
    for path in (white, pial):
        image = read_gifti(path, expected="a surface mesh")
        require_side(image, hemi=hemi, path=path)
        points.append(np.asarray(image.agg_data("pointset"), dtype=np.float32))
        faces.append(np.asarray(image.agg_data("triangle"), dtype=np.int32))
    if points[0].shape != points[1].shape or not np.array_equal(faces[0], faces[1]):
        raise AnalysisError(str(pial), came=f"{len(points[1])} vertices, {len(faces[1])} triangles",
                            expected=f"the mesh of {white.name} ({len(points[0])} vertices, {len(faces[0])} triangles)",
                            remedy="Take both from one run of FreeSurfer.")
    return Mesh(points[0], points[1], faces[0])


def open_volumes(path: Path) -> Nifti1Image:
    """Open a series of volumes.

    Raises
    ------
    AnalysisError
        If it is none.
    """
    try:
        image = nib.load(path)
    except Exception as error:
        raise AnalysisError(str(path), came=f"a file that cannot be read ({error})", expected="a series of volumes",
                            remedy="Restore it, or preprocess the run again.") from error
    shape = tuple(getattr(image, "shape", ()))
    if not isinstance(image, Nifti1Image) or len(shape) != 4 or shape[3] < 2:
        raise AnalysisError(str(path), came=f"{type(image).__name__} of shape {shape}", expected="a series of volumes",
                            remedy="Restore it, or preprocess the run again.")
    return image


def repetition_time_s(image: Nifti1Image) -> float | None:
    """Read the repetition time of a series of volumes; None where its header does not say it."""
    step, unit = float(image.header.get_zooms()[3]), image.header.get_xyzt_units()[1]
    return step * {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}.get(unit, 1.0) or None


def sample_midway(image: Nifti1Image, mesh: Mesh, *, where: str) -> NDArray[np.float32]:
    """Sample volumes midway between white and pial surface, linearly between voxels.

    Parameters
    ----------
    image : Nifti1Image
        (x, y, z, n_volumes), in the space of the mesh.
    mesh : Mesh
    where : str
        The run, for the message.

    Returns
    -------
    float32 array, (n_volumes, n_vertices)
        NaN throughout at vertices outside the volumes: they have no signal.

    Raises
    ------
    AnalysisError
        If most vertices lie outside the volumes: both are not in one space.
    """
    inside = within(image, (mesh.white + mesh.pial) / 2)
    if inside.mean() < MIN_INSIDE:
        raise AnalysisError(where, came=f"{100 * inside.mean():.0f} % of the surface's vertices within the volumes",
                            expected="both in one space", remedy="Take volumes in the space of the subject's own "
                                                                 "surfaces (space-T1w).")
    found = np.full((image.shape[3], len(inside)), np.nan, dtype=np.float32)
    found[:, inside] = np.concatenate([chunk.T for chunk in _sample(image, mesh.white[inside], mesh.pial[inside])])
    return found


def within(image: Nifti1Image, points: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Say which points in mm lie among the centres of an image's voxels and not on the edge, (n_points,)."""
    voxels = nib.affines.apply_affine(np.linalg.inv(image.affine), points)
    return np.asarray(((voxels > _EDGE) & (voxels < np.array(image.shape[:3]) - 1 - _EDGE)).all(axis=1))


def _sample(image: Nifti1Image, white: NDArray[np.float32],
            pial: NDArray[np.float32]) -> Iterator[NDArray[np.floating]]:
    """Sample some volumes at a time, (n_vertices, n_volumes); triangles do not enter, so one stands for all."""
    from nilearn.surface import vol_to_surf  # slow to import

    faces = np.zeros((1, 3), dtype=np.int32)
    for start in range(0, image.shape[3], CHUNK_VOLUMES):
        values = np.asarray(image.dataobj[..., start:start + CHUNK_VOLUMES], dtype=np.float32)
        found = vol_to_surf(Nifti1Image(values, image.affine), [pial, faces], inner_mesh=[white, faces], depth=[0.5],
                            interpolation="linear")
        yield np.asarray(found).reshape(len(white), -1)
