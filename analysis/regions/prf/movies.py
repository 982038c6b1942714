"""Aperture movies from files: the console's export, or one's own as npz, NIfTI or .mat, in degrees or in pixels."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stimuli.apertures import read_volume_masks
from subjects.errors import AnalysisError
from subjects.provenance import digest_file, sidecar_path
from subjects.settings.analysis import PrfSettings
from subjects.store import read_json

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]
_AGAIN = "See docs/prf.md, “Apertures of one's own”."
_ENOUGH = 0.999  # of the last volume


@dataclass(frozen=True, eq=False)
class Movie:
    """What a run showed.

    Parameters
    ----------
    masks : float32 array, (n_frames, n_rows, n_cols)
        How much of each point was uncovered, 0 to 1; row 0 at the top.
    x_deg, y_deg : float64 array, (n_cols,) and (n_rows,)
        Places of columns and rows, right of and above fixation.
    frame_s : float
        How long a frame stood.
    where : str
        The file, for messages.

    Raises
    ------
    AnalysisError
        If shapes do not agree, places are not even, or values are missing or beyond 0 to 1.
    """

    masks: NDArray[np.float32]
    x_deg: Floats
    y_deg: Floats
    frame_s: float
    where: str

    def __post_init__(self) -> None:
        shape = (len(self.y_deg), len(self.x_deg))
        if self.masks.ndim != 3 or self.masks.shape[1:] != shape or min(shape) < 2:
            raise AnalysisError(self.where, came=f"apertures of shape {self.masks.shape}", remedy=_AGAIN,
                                expected=f"frames of {shape[0]} rows by {shape[1]} columns, 2 of each at least")
        for name, places in (("x_deg", self.x_deg), ("y_deg", self.y_deg)):
            steps = np.diff(places)
            if not (np.isfinite(places).all() and steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-3)):
                raise AnalysisError(self.where, came=f"{name} that is not evenly spaced", remedy=_AGAIN,
                                    expected="places in degrees, one step apart")
        low, high = float(self.masks.min(initial=0.0)), float(self.masks.max(initial=0.0))
        if not (low >= 0.0 and high <= 1.0 + 1e-5):
            raise AnalysisError(self.where, came=f"values from {low:g} to {high:g}", remedy=_AGAIN,
                                expected="apertures from 0 (covered) to 1 (uncovered), none missing")
        if not self.masks.any():
            raise AnalysisError(self.where, came="a movie that uncovers nothing", expected="apertures", remedy=_AGAIN)
        if not (np.isfinite(self.frame_s) and self.frame_s > 0):
            raise AnalysisError(self.where, came=f"frames of {self.frame_s:g} s", expected="more than 0 s",
                                remedy="Set prf.aperture_tr_s.")

    @property
    def length_s(self) -> float:
        """How long it lasts."""
        return len(self.masks) * self.frame_s

    @property
    def size_deg(self) -> tuple[float, float]:
        """Width and height of the field that its points fill."""
        width, height = (abs(float(places[1] - places[0])) * len(places) for places in (self.x_deg, self.y_deg))
        return width, height


def lacking(movie: Movie, *, n_volumes: int, tr_s: float) -> str:
    """Say how much of a run a movie does not cover; nothing where it lasts as long or longer.

    Examples
    --------
    >>> made = Movie(np.ones((4, 2, 2), dtype=np.float32), np.arange(2.0), -np.arange(2.0), 2.0, "a.npz")
    >>> lacking(made, n_volumes=4, tr_s=2.0), lacking(made, n_volumes=5, tr_s=2.0)
    ('', 'a movie of 8 s for a run of 10 s')
    """
    run_s = n_volumes * tr_s
    if movie.length_s > run_s - (1.0 - _ENOUGH) * tr_s:
        return ""
    return f"a movie of {movie.length_s:g} s for a run of {run_s:g} s"


def require_covers(movie: Movie, *, n_volumes: int, tr_s: float, is_export: bool) -> Movie:
    """Return a movie that lasts as long as its run.

    Raises
    ------
    AnalysisError
        If it is shorter; or, for the console's export, if its volumes are of another TR.
    """
    if is_export and abs(movie.frame_s - tr_s) > 1e-6:
        raise AnalysisError(movie.where, came=f"apertures of a TR of {movie.frame_s:g} s", expected=f"{tr_s:g} s, the "
                            "TR of the time series", remedy="See that they are of one run, and scanner.tr_s is right.")
    if said := lacking(movie, n_volumes=n_volumes, tr_s=tr_s):
        raise AnalysisError(movie.where, came=said, expected="apertures until the last volume",
                            remedy="Add the frames that are missing (blank ones too); frames begin with the first "
                                   "counted pulse. If a frame is no TR long, set prf.aperture_tr_s.")
    return movie


def read_export(path: Path) -> Movie:
    """Read the apertures that the console exported.

    Raises
    ------
    AnalysisError
        If there are none, or the file is not the one that its sidecar tells of.
    StimulusError
        If the file cannot be read.
    """
    if not path.is_file():
        raise AnalysisError(str(path), came="no such file", expected="the apertures that this run showed",
                            remedy="Restore it, play the run again with --repeat, or set prf.apertures.")
    beside = sidecar_path(path)
    said = read_json(beside).get("digest") if beside.is_file() else None
    if said is not None and said != digest_file(path):
        raise AnalysisError(str(path), came="apertures that were changed after they were exported",
                            expected=f"the file with the digest {said}, as in its sidecar",
                            remedy="Restore it, or name apertures of your own in prf.apertures.")
    found = read_volume_masks(path)
    return Movie(found.masks, found.x_deg, found.y_deg, found.tr_s, str(path))


def read_movie(path: Path, *, settings: PrfSettings, tr_s: float) -> Movie:
    """Read an aperture movie of one's own.

    Parameters
    ----------
    path : Path
        - ``.npz``: ``masks`` (or the array that the settings name), frame by row by column with row 0 at the top; with
          ``x_deg`` and ``y_deg`` it is in degrees; ``tr_s`` is the length of a frame.
        - ``.nii``, ``.nii.gz``: x, y, one slice, frame, in degrees by its affine; with `aperture_width_deg` in
          pixels, the first axis from the left and the second upward, whatever the affine says.
        - ``.mat`` (version 5 to 7, or 7.3): row by column by frame with row 1 at the top, as for analyzePRF; with
          vectors ``x_deg`` and ``y_deg`` in degrees.
    settings : PrfSettings
        `aperture_width_deg` and its height say where pixels lie, and then override what a file says.
    tr_s : float
        What a frame lasts where neither file nor settings say it.

    Raises
    ------
    AnalysisError
        If the file cannot be read, holds no movie or several, or is in pixels and nobody says of how many degrees.
    """
    path = Path(path)
    if not path.is_file():
        raise AnalysisError(str(path), came="no such file", expected="apertures of one's own",
                            remedy="Correct prf.apertures, or leave it empty for the console's.")
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        movie = _read_nifti(path, settings=settings, tr_s=tr_s)
    elif name.endswith((".npz", ".mat")):
        movie = _read_arrays(path, settings=settings, tr_s=tr_s)
    else:
        raise AnalysisError(str(path), came=f"a file ending in {path.suffix!r}", expected=".npz, .nii, .nii.gz or .mat",
                            remedy="Convert it to one of these.")
    return replace(movie, frame_s=settings.aperture_tr_s) if settings.aperture_tr_s else movie


def _read_arrays(path: Path, *, settings: PrfSettings, tr_s: float) -> Movie:
    arrays = _load_npz(path) if path.suffix.lower() == ".npz" else _load_mat(path)
    masks = _choose(arrays, path=path, name=settings.aperture_array)
    if path.suffix.lower() == ".mat":
        masks = np.moveaxis(masks, 2, 0)
    shape, places = (masks.shape[1], masks.shape[2]), None
    if not settings.aperture_width_deg and {"x_deg", "y_deg"} <= arrays.keys():
        places = tuple(np.asarray(arrays[axis], dtype=np.float64).ravel() for axis in ("x_deg", "y_deg"))
    x, y = places or _pixels(shape, settings=settings, path=path)
    frame_s = float(np.ravel(arrays["tr_s"])[0]) if "tr_s" in arrays else tr_s
    return Movie(_as_float(masks, path=path), x, y, frame_s, str(path))


def _as_float(masks: NDArray[Any], *, path: Path) -> NDArray[np.float32]:
    if masks.dtype.kind not in "biuf":
        raise AnalysisError(str(path), came=f"an array of {masks.dtype}", expected="numbers", remedy=_AGAIN)
    return np.ascontiguousarray(masks, dtype=np.float32)


def _pixels(shape: tuple[int, int], *, settings: PrfSettings, path: Path) -> tuple[Floats, Floats]:
    """Place the middles of rows and columns of a field of so many degrees around fixation."""
    width = settings.aperture_width_deg
    if not width:
        raise AnalysisError(str(path), came="apertures in pixels", expected="how many degrees they fill",
                            remedy="Set prf.aperture_width_deg (and prf.aperture_height_deg where pixels are not "
                                   "square), or put x_deg and y_deg into the file.")
    n_rows, n_cols = shape
    height = settings.aperture_height_deg or width * n_rows / n_cols
    x = ((np.arange(n_cols) + 0.5) / n_cols - 0.5) * width
    y = (0.5 - (np.arange(n_rows) + 0.5) / n_rows) * height
    return x, y


def _choose(arrays: Arrays, *, path: Path, name: str) -> NDArray[Any]:
    """Pick the movie: the array that is named, ``masks``, or the only one of three dimensions."""
    solid = {key: array for key, array in arrays.items() if array.ndim == 3}
    wanted = name or ("masks" if "masks" in solid else next(iter(solid)) if len(solid) == 1 else "")
    if wanted not in solid:
        came = ", ".join(f"{key} {array.shape}" for key, array in arrays.items()) or "no array"
        raise AnalysisError(str(path), came=came, remedy="Name the array in prf.aperture_array.",
                            expected=f"an array {name!r} of three dimensions" if name else
                            "one array of three dimensions")
    return solid[wanted]


def _load_npz(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error


def _load_mat(path: Path) -> Arrays:
    """Read the numeric arrays of a MATLAB file, and those in the cells of a cell array that holds one movie."""
    import h5py
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        if h5py.is_hdf5(path):  # version 7.3; HDF5 gives MATLAB's axes in reverse
            with h5py.File(path, "r") as file:
                return {name: np.asarray(item).T for name, item in file.items()
                        if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf"}
        found = {name: item for name, item in loadmat(path).items() if isinstance(item, np.ndarray)}
        return {name: item.flat[0] if item.dtype == object and item.size == 1 else item for name, item in found.items()}
    except (MatReadError, ValueError, OSError, TypeError, NotImplementedError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> AnalysisError:
    return AnalysisError(str(path), came=f"a file that cannot be read ({error})", expected="aperture masks",
                         remedy="Save it again.")


def _read_nifti(path: Path, *, settings: PrfSettings, tr_s: float) -> Movie:
    import nibabel

    try:
        image = nibabel.Nifti1Image.from_filename(path)
        data = np.asarray(image.dataobj, dtype=np.float32)
    except (nibabel.filebasedimages.ImageFileError, nibabel.wrapstruct.WrapStructError,
            nibabel.spatialimages.HeaderDataError, OSError, EOFError, ValueError) as error:
        raise _unreadable(path, error) from error
    if data.ndim != 4 or data.shape[2] != 1:
        raise AnalysisError(str(path), came=f"an image of shape {data.shape}", expected="x, y, one slice, frame",
                            remedy=_AGAIN)
    masks = np.transpose(data[:, :, 0], (2, 1, 0))
    zoom = float(image.header.get_zooms()[3])
    if settings.aperture_width_deg:
        x, y = _pixels(masks.shape[1:], settings=settings, path=path)
        return Movie(np.ascontiguousarray(masks[:, ::-1]), x, y, zoom or tr_s, str(path))
    affine = np.asarray(image.affine)
    if affine[0, 1] or affine[1, 0] or not (affine[0, 0] and affine[1, 1]) or _is_default(affine):
        raise AnalysisError(str(path), came=f"an affine of {affine[:2].tolist()}", remedy="Set prf.aperture_width_deg, "
                            "or write degrees into the affine (docs/apertures.md).",
                            expected="x and y in degrees from fixation")
    x, y = (affine[k, 3] + affine[k, k] * np.arange(data.shape[k], dtype=np.float64) for k in (0, 1))
    upside_down = y[-1] > y[0]
    return Movie(np.ascontiguousarray(masks[:, ::-1] if upside_down else masks), x, y[::-1] if upside_down else y,
                 zoom or tr_s, str(path))


def _is_default(affine: NDArray[Any]) -> bool:
    """Say whether an affine is what programs write who know nothing of degrees: steps of 1, fixation at a corner."""
    return bool(np.allclose(np.abs(np.diag(affine)[:2]), 1.0) and np.allclose(affine[:2, 3], 0.0))
