"""Measures of a scan minutes after it was taken: signal over noise, head movement, what answers to the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter

from analysis.glm.design import polynomials
from analysis.glm.ols import Floats, project_out
from subjects.errors import AnalysisError

HEAD_RADIUS_MM = 50.0
_MASK_SHARE = 0.25
_ROUNDS = 8
_COARSE_MM = 4.0
"""Voxels are pooled to about this size before movement is estimated."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Series:
    """A scan as it came.

    Parameters
    ----------
    data : float32 array, (x, y, z, n_volumes)
    voxel_mm : tuple of float
    tr_s : float
        As the header says; 0 where it says none.
    """

    data: NDArray[np.float32]
    voxel_mm: tuple[float, float, float]
    tr_s: float


def read_series(path: Path) -> Series:
    """Read a NIfTI series.

    Raises
    ------
    AnalysisError
        If it is none, or has fewer than ten volumes.
    """
    remedy = "Name the NIfTI file of the functional series that was just exported."
    if not path.is_file():
        raise AnalysisError(str(path), came="no such file", expected="a NIfTI series", remedy=remedy)
    try:
        image = nib.Nifti1Image.from_filename(path)
        data = np.asarray(image.dataobj, dtype=np.float32)
    except Exception as error:
        raise AnalysisError(str(path), came=f"a file that cannot be read ({error})", expected="a NIfTI series",
                            remedy=remedy) from error
    if data.ndim != 4 or data.shape[3] < 10:
        raise AnalysisError(str(path), came=f"an image of shape {' x '.join(map(str, data.shape))}",
                            expected="x, y, z and at least ten volumes", remedy=remedy)
    _require_signal(data, path=path)
    zooms = [float(one) for one in image.header.get_zooms()]
    unit = image.header.get_xyzt_units()[1]
    scale = {"msec": 1e-3, "usec": 1e-6}.get(unit, 1e-3 if zooms[3] > 100 else 1.0)  # some exporters say seconds
    return Series(data=data, voxel_mm=(zooms[0], zooms[1], zooms[2]), tr_s=zooms[3] * scale)


def _require_signal(data: NDArray[np.float32], *, path: Path) -> None:
    """Refuse what is no scan of a head: nothing but zeros, volumes that never change, values that are no numbers."""
    remedy = "Export the series again from the scanner: look at it there first."
    low, high = float(data.min()), float(data.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise AnalysisError(str(path), came="values that are not finite", expected="a scan's signal", remedy=remedy)
    if high <= low:
        raise AnalysisError(str(path), came=f"{low:g} in every voxel of every volume", expected="a scan's signal",
                            remedy=remedy)
    if high <= 0:
        raise AnalysisError(str(path), came=f"no value above 0 (the highest is {high:g})", expected="a scan's signal",
                            remedy=remedy)
    same = [k for k in range(1, data.shape[3]) if np.array_equal(data[..., k], data[..., k - 1])]
    if same:
        which = (f"in all {data.shape[3]} volumes" if len(same) == data.shape[3] - 1 else
                 f"in volumes {same[0]} and {same[0] + 1}; {len(same)} volumes are as the one before")
        raise AnalysisError(str(path), came=f"the same image {which}", expected="a series whose volumes differ",
                            remedy=remedy)


def find_head(mean: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell the head from air: voxels above a quarter of the 98th percentile."""
    return np.asarray(mean > _MASK_SHARE * np.percentile(mean, 98))


def temporal_snr(series: Floats | NDArray[np.float32]) -> NDArray[np.float32]:
    """Give mean over standard deviation of each voxel, (n_voxels,), slow drifts (a parabola) removed.

    Parameters
    ----------
    series : float array, (n_volumes, n_voxels)
    """
    drift = polynomials(len(series), degree=2)
    found = np.zeros(series.shape[1], dtype=np.float32)
    for start in range(0, series.shape[1], 16384):
        wide = series[:, start:start + 16384].astype(np.float64)
        spread = np.sqrt(np.square(project_out(wide, drift)).sum(axis=0) / (len(wide) - drift.shape[1]))
        mean = wide.mean(axis=0)
        found[start:start + 16384] = np.divide(mean, spread, out=np.zeros_like(mean),
                                               where=spread > 1e-6 * np.abs(mean))
    return found


def _pooled(volume: NDArray[np.floating], n: int) -> Floats:
    """Average blocks of n x n x n voxels, and smooth a little."""
    nx, ny, nz = (size // n for size in volume.shape)
    blocks = volume[:nx * n, :ny * n, :nz * n].reshape(nx, n, ny, n, nz, n)
    return np.asarray(gaussian_filter(blocks.mean(axis=(1, 3, 5), dtype=np.float64), 1.0))


def _moved(volume: Floats, parameters: Floats, *, voxel_mm: Floats) -> Floats:
    """Resample a volume at its voxels' places after a movement about its middle (mm, radians)."""
    a, b, c = parameters[3:]
    turn = np.array([[1, -c, b], [c, 1, -a], [-b, a, 1]])
    turn = np.linalg.qr(turn)[0] * np.sign(np.diag(np.linalg.qr(turn)[1]))
    matrix = turn * voxel_mm[None, :] / voxel_mm[:, None]
    middle = (np.array(volume.shape) - 1) / 2
    offset = middle - matrix @ middle + parameters[:3] / voxel_mm
    return np.asarray(affine_transform(volume, matrix, offset=offset, order=1, mode="nearest"))


def head_motion(series: Series) -> Iterator[Floats]:
    """Estimate the head's position in every volume against the first ones: a rigid body on voxels of about 4 mm.

    Least squares of intensities, linearised about the reference (Friston et al. 1995, Human Brain Mapping 3:165-189).

    Yields
    ------
    float64 array, (6,)
        Translations along the axes of the array in mm, rotations about them in degrees.
    """
    n_pooled = max(1, round(_COARSE_MM / float(np.mean(series.voxel_mm))))
    voxel_mm = n_pooled * np.array(series.voxel_mm, dtype=np.float64)
    reference = _pooled(series.data[..., :3].mean(axis=3), n_pooled)
    head = find_head(reference)
    slopes = [slope[head] / size for slope, size in zip(np.gradient(reference), voxel_mm, strict=True)]
    middle = (np.array(reference.shape) - 1) / 2
    x, y, z = ((np.indices(reference.shape)[k][head] - middle[k]) * voxel_mm[k] for k in range(3))
    gx, gy, gz = slopes
    steps = np.stack([gx, gy, gz, gz * y - gy * z, gx * z - gz * x, gy * x - gx * y, np.ones_like(gx)], axis=1)
    inverse = np.linalg.pinv(steps.T @ steps) @ steps.T
    position = np.zeros(6)
    for volume in range(series.data.shape[3]):
        now = _pooled(series.data[..., volume], n_pooled)
        for _ in range(_ROUNDS):
            left = _moved(now, position, voxel_mm=voxel_mm)[head] - reference[head]
            step = (inverse @ left)[:6]
            position = position - step
            if np.abs(step[:3]).max() < 0.005 and np.abs(step[3:]).max() < 1e-4:
                break
        yield np.concatenate([position[:3], np.degrees(position[3:])])


def framewise_displacement(motion: Floats) -> Floats:
    """Sum the absolute changes from volume to volume, rotations as arcs at 50 mm (Power et al. 2012), in mm."""
    arcs = np.concatenate([motion[:, :3], np.radians(motion[:, 3:]) * HEAD_RADIUS_MM], axis=1)
    return np.concatenate([[0.0], np.abs(np.diff(arcs, axis=0)).sum(axis=1)])


def explained_by(series: NDArray[np.float32], design: Floats) -> Floats:
    """Give the share of each voxel's variance beyond drifts that a design explains, (n_voxels,)."""
    drift = polynomials(len(series), degree=max(1, len(series) // 60))
    left = project_out(design, drift)
    basis = np.linalg.qr(left[:, np.linalg.norm(left, axis=0) > 1e-9])[0]
    found = np.zeros(series.shape[1])
    for start in range(0, series.shape[1], 16384):
        wide = project_out(series[:, start:start + 16384].astype(np.float64), drift)
        total = np.square(wide).sum(axis=0)
        found[start:start + 16384] = np.divide(np.square(basis.T @ wide).sum(axis=0), total, out=np.zeros_like(total),
                                               where=total > 0)
    return found
