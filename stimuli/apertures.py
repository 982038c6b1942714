"""Wedge, ring and bar in degrees of visual angle, and how much of each point of a grid they uncover.

Both the console, which draws them, and the fit of population receptive fields read them here. Angles are
counter-clockwise from the right horizontal meridian, x to the right, y upward; row 0 of every array is at the top.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from subjects.errors import StimulusError
from subjects.provenance import FileFormat

Mask = NDArray[np.float32]
APERTURE_MASKS = FileFormat("aperture masks", version=1)


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the points of a mask are.

    Parameters
    ----------
    x_deg, y_deg : float64 array, (n, n)
        Right of and above fixation, in degrees; row 0 at the top.
    step_deg : float
        Distance of neighbours at fixation.
    """

    x_deg: NDArray[np.float64]
    y_deg: NDArray[np.float64]
    step_deg: float

    @property
    def r_deg(self) -> NDArray[np.float64]:
        """Eccentricity in degrees."""
        return np.hypot(self.x_deg, self.y_deg)


@dataclass(frozen=True)
class Wedge:
    """A sector around fixation.

    Parameters
    ----------
    centre_deg : float
        Polar angle of its middle.
    width_deg : float
        Polar angle that it spans, up to 360.
    """

    centre_deg: float
    width_deg: float


@dataclass(frozen=True)
class Ring:
    """The ring between two circles around fixation.

    Parameters
    ----------
    outer_deg : float
        Radius of its outer edge; past the rim of the field only its inner part is seen.
    width_deg : float
        Outer minus inner radius; within `width_deg` of fixation it is a disk.
    """

    outer_deg: float
    width_deg: float


@dataclass(frozen=True)
class Bar:
    """A straight band.

    Parameters
    ----------
    toward_deg : float
        Polar angle toward which it travels; it stands at right angles to that.
    front_deg : float
        Place of its leading edge along that direction, from fixation.
    width_deg : float
        Leading minus trailing edge.
    """

    toward_deg: float
    front_deg: float
    width_deg: float


Aperture = Wedge | Ring | Bar


def degree_grid(n: int, *, size_deg: float) -> Grid:
    """Lay out `n` x `n` points evenly in degrees: the middles of square cells that fill `size_deg`.

    Examples
    --------
    >>> degree_grid(2, size_deg=12.0).y_deg[:, 0]
    array([ 3., -3.])
    """
    _require(n, size_deg=size_deg)
    step = size_deg / n
    x = (np.arange(n) + 0.5) * step - size_deg / 2.0
    across, up = np.meshgrid(x, -x)
    return Grid(across, up, step_deg=step)


def screen_grid(n: int, *, size_deg: float) -> Grid:
    """Lay out `n` x `n` pixels of a flat screen that fill a centred square of `size_deg`.

    A pixel at distance ``a`` from the centre of a screen ``d`` away is seen at eccentricity ``atan(a / d)``;
    its polar angle is that on the screen. The distance cancels: the square's side is ``2 d tan(size / 2)``.

    Examples
    --------
    >>> screen_grid(2, size_deg=12.0).y_deg[:, 1].round(3)
    array([ 3.005, -3.005])
    """
    _require(n, size_deg=size_deg)
    half = math.tan(math.radians(size_deg) / 2.0)
    x = ((np.arange(n) + 0.5) * 2.0 / n - 1.0) * half
    across, up = np.meshgrid(x, -x)
    away = np.hypot(across, up)
    scale = np.degrees(np.arctan(away)) / np.maximum(away, 1e-12)
    return Grid(across * scale, up * scale, step_deg=math.degrees(2.0 * half / n))


def _require(n: int, *, size_deg: float) -> None:
    if n < 1 or not 0.0 < size_deg < 180.0:
        raise StimulusError("aperture grid", came=f"{n} points over {size_deg:g} deg",
                            expected="at least 1 point over more than 0 and less than 180 deg",
                            remedy="Correct the size.")


def mask(aperture: Aperture | None, grid: Grid, *, field_deg: float, edge_deg: float = 0.0) -> Mask:
    """Say how much of each grid point an aperture uncovers.

    Parameters
    ----------
    aperture : Wedge, Ring, Bar or None
        None uncovers nothing.
    grid : Grid
        Where to look.
    field_deg : float
        Diameter of the round field that bounds every aperture.
    edge_deg : float
        Width of the linear ramp across an edge, centred on it. 0 gives a binary mask; the grid's own step an
        anti-aliased one, which is the default of what is drawn and of what is exported.

    Returns
    -------
    float32 array, (n, n)
        0 (covered) to 1.

    Examples
    --------
    >>> mask(Wedge(centre_deg=45.0, width_deg=90.0), degree_grid(2, size_deg=2.0), field_deg=4.0)
    array([[0., 1.],
           [0., 0.]], dtype=float32)
    """
    if aperture is None:
        return np.zeros(grid.x_deg.shape, dtype=np.float32)
    inside = np.minimum(_inside(aperture, grid), field_deg / 2.0 - grid.r_deg)
    if edge_deg <= 0.0:
        return (inside > 0.0).astype(np.float32)
    return np.clip(0.5 + inside / edge_deg, 0.0, 1.0).astype(np.float32)


def _inside(aperture: Aperture, grid: Grid) -> NDArray[np.float64]:
    """Give the distance in degrees from the nearest edge, positive inside."""
    if isinstance(aperture, Ring):
        r = grid.r_deg
        inner = aperture.outer_deg - aperture.width_deg
        outside = aperture.outer_deg - r
        return np.minimum(r - inner, outside) if inner > 0.0 else outside
    if isinstance(aperture, Bar):
        ahead = _along(grid, aperture.toward_deg) - aperture.front_deg
        return np.minimum(-ahead, ahead + aperture.width_deg)
    if aperture.width_deg >= 360.0:
        return np.full(grid.x_deg.shape, np.inf)
    half = aperture.width_deg / 2.0
    first = _along(grid, aperture.centre_deg - half + 90.0)
    second = _along(grid, aperture.centre_deg + half - 90.0)
    return np.minimum(first, second) if half <= 90.0 else np.maximum(first, second)


def _along(grid: Grid, angle_deg: float) -> NDArray[np.float64]:
    """Project the grid on a direction."""
    angle = math.radians(angle_deg)
    return grid.x_deg * math.cos(angle) + grid.y_deg * math.sin(angle)


def fixation_grid(grid: Grid, *, field_deg: float, line_deg: float, n_spokes: int = 8, n_circles: int = 3) -> Mask:
    """Draw a thin polar grid that helps to hold fixation: spokes, and circles out to the rim of the field.

    Parameters
    ----------
    grid : Grid
        Where to draw.
    field_deg : float
        Diameter of the outermost circle.
    line_deg : float
        Width of the lines.
    n_spokes, n_circles : int
        Half lines from fixation, and circles; their radii double from one to the next.

    Returns
    -------
    float32 array, (n, n)
        How much of each point is line, 0 to 1.
    """
    r = grid.r_deg
    outer = (field_deg - line_deg) / 2.0  # the line is within the field
    gaps = [np.abs(r - outer / 2.0 ** k) for k in range(n_circles)]
    for k in range(n_spokes):
        angle = 360.0 * k / n_spokes
        ahead, aside = _along(grid, angle), np.abs(_along(grid, angle + 90.0))
        gaps.append(np.where((ahead > 0.0) & (r <= field_deg / 2.0), aside, np.inf))
    nearest = np.min(gaps, axis=0)
    result: Mask = np.clip(0.5 + (line_deg / 2.0 - nearest) / grid.step_deg, 0.0, 1.0).astype(np.float32)
    return result


@dataclass(frozen=True, eq=False)
class VolumeMasks:
    """What each volume of a run uncovered; the file on disk and the fit of population receptive fields read this.

    Parameters
    ----------
    masks : float32 array, (n_volumes, n, n)
        Share of the volume for which each point was uncovered, 0 to 1; row 0 at the top.
    x_deg, y_deg : float64 array, (n,)
        Columns' and rows' places in degrees, x to the right, y upward: `y_deg` falls.
    tr_s : float
        Length of a volume; volume ``v`` is the time from ``v * tr_s`` to ``(v + 1) * tr_s`` after the first counted
        pulse.
    """

    masks: Mask
    x_deg: NDArray[np.float64]
    y_deg: NDArray[np.float64]
    tr_s: float

    @property
    def step_deg(self) -> float:
        """Distance of neighbouring points in degrees."""
        return float(self.x_deg[-1] - self.x_deg[0]) / (len(self.x_deg) - 1)

    @property
    def field_deg(self) -> float:
        """Side of the square that the points fill, in degrees: the diameter of the field."""
        return self.step_deg * len(self.x_deg)


def read_volume_masks(path: Path) -> VolumeMasks:
    """Read exported apertures, the npz or the NIfTI; both give the same.

    Parameters
    ----------
    path : Path
        ``*_apertures.npz`` or ``*_apertures.nii.gz``, also of version 0.1.0.

    Raises
    ------
    StimulusError
        For a file that is none of the two, or whose axes are not those of a square grid.
    StoreError
        For a format of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise StimulusError(str(path), came="no file", expected="exported apertures, npz or NIfTI",
                            remedy="Play the run, or name its file below derivatives/apertures.")
    found = _read_npz(path) if path.suffix == ".npz" else _read_nifti(path)
    n, step = len(found.x_deg), np.diff(found.x_deg)
    square = n > 1 and found.masks.ndim == 3 and found.masks.shape[1:] == (n, n) and len(found.y_deg) == n
    even = square and np.allclose(step, step[0], rtol=1e-4) and np.allclose(np.diff(found.y_deg), -step, rtol=1e-4)
    if not even or step[0] <= 0.0:
        raise StimulusError(str(path), came=f"masks {found.masks.shape} over {n} columns and {len(found.y_deg)} rows",
                            expected="a square, even grid in degrees, x rising and y falling",
                            remedy="Export the apertures again.")
    return found


def _read_npz(path: Path) -> VolumeMasks:
    try:
        with np.load(path, allow_pickle=False) as file:
            APERTURE_MASKS.require(file["format_version"][()] if "format_version" in file else None, where=path)
            return VolumeMasks(file["masks"], file["x_deg"], file["y_deg"], tr_s=float(file["tr_s"]))
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StimulusError(str(path), came=f"a file that does not read: {error}",
                            expected="an npz with masks, x_deg, y_deg and tr_s",
                            remedy="Export the apertures again.") from error


def _read_nifti(path: Path) -> VolumeMasks:
    """Read a NIfTI whose affine leads to degrees; whichever way its axes run, rows come out from the top."""
    import nibabel

    try:
        image = nibabel.Nifti1Image.from_filename(path)
        data, affine = np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine)
        tr_s = float(image.header.get_zooms()[3])
    except (nibabel.filebasedimages.ImageFileError, IndexError, EOFError, OSError) as error:
        raise StimulusError(str(path), came=f"a file that does not read: {error}",
                            expected="a NIfTI of four dimensions", remedy="Export the apertures again.") from error
    tilted = affine[:2, :2][~np.eye(2, dtype=bool)]
    if data.shape[2] != 1 or np.any(tilted != 0.0):
        raise StimulusError(str(path), came=f"{data.shape} points with the affine {affine[:2].tolist()}",
                            expected="one slice whose axes are x and y in degrees",
                            remedy="Export the apertures again.")
    x, y = (affine[k, 3] + affine[k, k] * np.arange(data.shape[k]) for k in (0, 1))
    across, up = (1 if x[-1] >= x[0] else -1), (1 if y[-1] >= y[0] else -1)
    masks = np.transpose(data[::across, ::-up, 0, :], (2, 1, 0))
    return VolumeMasks(np.ascontiguousarray(masks), x[::across], y[::-up], tr_s=tr_s)
