"""GIFTI files: surfaces and time series, read and written."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData
from numpy.typing import NDArray

from subjects.errors import AnalysisError
from subjects.store import whole_file

STRUCTURES = {"L": "CortexLeft", "R": "CortexRight"}
"""Hemisphere to what GIFTI calls it (``AnatomicalStructurePrimary``)."""

_ENCODING = "GIFTI_ENCODING_B64BIN"  # gzip saves a fifth of the space and takes six times as long to write


def read_gifti(path: Path, *, expected: str) -> GiftiImage:
    """Read a GIFTI file; a missing or foreign one is an :class:`AnalysisError`."""
    path = Path(path)
    if not path.is_file():
        raise AnalysisError(str(path), came="no such file", expected=expected,
                            remedy="Restore it, or export it from the preprocessing again.")
    try:
        image = nib.load(path)
    except Exception as error:
        raise AnalysisError(str(path), came=f"a file that cannot be read ({error})", expected=expected,
                            remedy="Export it again as GIFTI.") from error
    if not isinstance(image, GiftiImage):
        raise AnalysisError(str(path), came=f"a {type(image).__name__}", expected=expected,
                            remedy="Export it again as GIFTI.")
    return image


def read_timeseries(path: Path, *, hemi: str | None = None) -> NDArray[np.float32]:
    """Read a GIFTI time series, (n_volumes, n_vertices) float32.

    Parameters
    ----------
    path : Path
    hemi : {"L", "R"}, optional
        The hemisphere that the file must be of, where it says so (``AnatomicalStructurePrimary``).

    Raises
    ------
    AnalysisError
        If it has no volumes, volumes of different sizes, or is of the other hemisphere.
    """
    image = read_gifti(path, expected="a surface time series")
    side = image.meta.get("AnatomicalStructurePrimary", "")
    if hemi is not None and side in STRUCTURES.values() and side != STRUCTURES[hemi]:
        raise AnalysisError(str(path), came=side, expected=STRUCTURES[hemi],
                            remedy="Give the files of the two hemispheres their own names.")
    arrays = [one.data for one in image.darrays]
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) != 1 or len(shapes[0]) != 1:
        raise AnalysisError(str(path), came=f"arrays of shapes {', '.join(map(str, shapes)) or 'none'}",
                            expected="one value a vertex in every volume", remedy="Export the time series again.")
    return np.stack(arrays).astype(np.float32, copy=False)


def write_timeseries(path: Path, data: NDArray[np.float32], *, hemi: str, tr_s: float,
                     overwrite: bool = False) -> Path:
    """Write a GIFTI time series, one array a volume, as FreeSurfer and fMRIPrep do.

    Parameters
    ----------
    path : Path
    data : float32 array, (n_volumes, n_vertices)
    hemi : {"L", "R"}
    tr_s : float
        Repetition time, kept as ``TimeStep`` in ms.
    overwrite : bool
    """
    image = GiftiImage(meta=GiftiMetaData(AnatomicalStructurePrimary=STRUCTURES[hemi], TimeStep=f"{1000 * tr_s:g}"))
    for volume in data:
        image.add_gifti_data_array(GiftiDataArray(np.ascontiguousarray(volume, dtype=np.float32), datatype="float32",
                                                  intent="NIFTI_INTENT_TIME_SERIES", encoding=_ENCODING))
    with whole_file(path, overwrite=overwrite) as beside:
        nib.save(image, beside)
    return path
