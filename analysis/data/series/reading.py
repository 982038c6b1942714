"""Surface time series from GIFTI, from FreeSurfer's .mgz, or from HDF5: told apart by their names' endings."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
from nibabel.freesurfer import MGHImage
from nibabel.freesurfer.mghformat import MGHHeader

from analysis.data import gifti
from analysis.data.gifti import Outline, Series
from analysis.data.hdf5 import read_hdf5
from subjects.errors import AnalysisError
from subjects.provenance import FileFormat

MGZ, HDF5 = (".mgz", ".mgh"), (".h5", ".hdf5")
BOLD = FileFormat("surface time series", version=1)
"""An HDF5 file with a dataset ``bold``, (n_volumes, n_vertices), and attributes ``RepetitionTime`` (s) and ``hemi``."""
_EXPORT = "Restore it, or export it from the preprocessing again."


def read_series(path: Path, *, hemi: str | None = None) -> Series:
    """Read a surface time series and the repetition time that its file names.

    Parameters
    ----------
    path : Path
        ``.func.gii`` (or ``.gz``); ``.mgz``, one frame a volume, as FreeSurfer's mri_vol2surf writes it; or ``.h5``:
        see :data:`BOLD`.
    hemi : {"L", "R"}, optional
        The hemisphere that it must be of, where the file says so; a .mgz file says none.

    Raises
    ------
    AnalysisError
        If it cannot be read, holds fewer than two volumes or no surface, or is of the other hemisphere.
    """
    path = Path(path)
    if path.suffix in MGZ:
        image = _open_mgz(path)
        data = np.asarray(image.dataobj, dtype=np.float32).reshape(-1, image.shape[-1], order="F").T
        return Series(np.ascontiguousarray(data), _mgz_tr_s(image, path=path))
    if path.suffix in HDF5:
        with read_hdf5(path, form=BOLD, remedy=_EXPORT) as file:
            _require_bold(file, path=path, hemi=hemi)
            return Series(file["bold"][:].astype(np.float32), _hdf5_tr_s(file.attrs, path=path))
    return gifti.read_series(path, hemi=hemi)


def require_end(path: Path) -> None:
    """See that a time series' file was written to its end, without keeping what is in it.

    Raises
    ------
    AnalysisError
        If it was cut off. HDF5 sees to that by itself when a file is opened.
    """
    if path.suffix in HDF5:
        return
    if path.suffix not in MGZ:
        gifti.require_end(path)
        return
    try:
        with (gzip.open if path.suffix == ".mgz" else open)(path, "rb") as file:
            head = MGHHeader.from_fileobj(file)
            needed = head.get_data_offset() + int(np.prod(head.get_data_shape())) * head.get_data_bytespervox()
            file.seek(0)
            there = sum(len(block) for block in iter(lambda: file.read(1 << 22), b""))
        came = "" if there >= needed else f"{there} of {needed} bytes"
    except (OSError, EOFError, zlib.error) as error:
        came = str(error)
    if came:
        raise AnalysisError(str(path), came=f"a file that was cut off ({came})", expected="a whole surface time series",
                            remedy=_EXPORT)


def read_outline(path: Path) -> Outline:
    """Read how many volumes and vertices a time series has, and its repetition time, without the series themselves."""
    path = Path(path)
    if path.suffix in MGZ:
        image = _open_mgz(path)
        return Outline(image.shape[-1], int(np.prod(image.shape[:-1])), _mgz_tr_s(image, path=path))
    if path.suffix in HDF5:
        with read_hdf5(path, form=BOLD, remedy=_EXPORT) as file:
            _require_bold(file, path=path)
            n_volumes, n_vertices = file["bold"].shape
            return Outline(int(n_volumes), int(n_vertices), _hdf5_tr_s(file.attrs, path=path))
    return gifti.read_outline(path)


def _open_mgz(path: Path) -> MGHImage:
    """Open FreeSurfer's file; volumes are told from surfaces by their three sides."""
    if not path.is_file():
        raise AnalysisError(str(path), came="no such file", expected="a surface time series", remedy=_EXPORT)
    try:
        image = nib.load(path)
    except Exception as error:
        raise AnalysisError(str(path), came=f"a file that cannot be read ({error})", expected="a surface time series",
                            remedy=_EXPORT) from error
    shape = tuple(getattr(image, "shape", ()))
    if not isinstance(image, MGHImage) or len(shape) != 4 or shape[1:3] != (1, 1) or shape[3] < 2:
        raise AnalysisError(str(path), came=f"{type(image).__name__} of shape {shape}",
                            expected="a surface time series, vertices x 1 x 1 x volumes",
                            remedy="Sample the volumes to the surface with mri_vol2surf, or with "
                                   "`python -m analysis sample`.")
    return image


def _mgz_tr_s(image: MGHImage, *, path: Path) -> float | None:
    """Read the repetition time: milliseconds by FreeSurfer's rule, 0 where it is unknown."""
    return gifti.as_seconds(str(float(image.header["tr"])), path=path)


def _require_bold(file: h5py.File, *, path: Path, hemi: str | None = None) -> None:
    there = {name: item.shape for name, item in file.items() if isinstance(item, h5py.Dataset)}
    if len(there.get("bold", ())) != 2 or there["bold"][0] < 2 or file["bold"].dtype.kind not in "fiu":
        came = ", ".join(f"{name} of shape {shape}" for name, shape in there.items()) or "no datasets"
        raise AnalysisError(str(path), came=came, expected="a dataset bold of numbers, volumes by vertices",
                            remedy="Write the series under that name.")
    said = file.attrs.get("hemi")
    if None not in (said, hemi) and said != hemi:
        raise AnalysisError(str(path), came=f"hemisphere {said}", expected=str(hemi),
                            remedy="Give the files of the two hemispheres their own names.")


def _hdf5_tr_s(attributes: Mapping[str, Any], *, path: Path) -> float | None:
    said = attributes.get("RepetitionTime")
    if said is None:
        return None
    value = float(said) if isinstance(said, int | float | np.number) else np.nan
    if not (np.isfinite(value) and value > 0):
        raise AnalysisError(str(path), came=f"RepetitionTime {said}", expected="seconds", remedy=_EXPORT)
    return value
