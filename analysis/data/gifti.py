"""GIFTI files: surfaces and time series, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiLabel, GiftiLabelTable, GiftiMetaData
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


def write_maps(path: Path, maps: Mapping[str, NDArray[np.float32]], *, hemi: str, overwrite: bool = False) -> Path:
    """Write maps of one value a vertex as a GIFTI functional file, as Workbench and Freeview read it.

    Parameters
    ----------
    path : Path
        Ends in ``.func.gii``.
    maps : mapping of str to float32 array, (n_vertices,)
        By their names; NaN where there is no value.
    hemi : {"L", "R"}
    overwrite : bool
    """
    image = GiftiImage(meta=GiftiMetaData(AnatomicalStructurePrimary=STRUCTURES[hemi]))
    for name, values in maps.items():
        image.add_gifti_data_array(GiftiDataArray(
            np.ascontiguousarray(values, dtype=np.float32), datatype="float32", intent="NIFTI_INTENT_NONE",
            encoding=_ENCODING, meta=GiftiMetaData(Name=name, AnatomicalStructurePrimary=STRUCTURES[hemi])))
    with whole_file(path, overwrite=overwrite) as beside:
        nib.save(image, beside)
    return path


def write_label_map(path: Path, maps: Mapping[str, NDArray[np.int32]], *, names: Mapping[int, str], hemi: str,
                    colors: Mapping[str, str] | None = None, overwrite: bool = False) -> Path:
    """Write maps of one label a vertex as a GIFTI label file.

    Parameters
    ----------
    path : Path
        Ends in ``.label.gii``.
    maps : mapping of str to int32 array, (n_vertices,)
        By their names; 0 where there is no label.
    names : mapping of int to str
        Label to its name.
    hemi : {"L", "R"}
    colors : mapping of str to str, optional
        Name to colour, as ``"#0072B2"``, which is the default.
    overwrite : bool
    """
    table = GiftiLabelTable()
    for key, name in {0: "???", **names}.items():
        color = "#000000" if key == 0 else (colors or {}).get(name, "#0072B2")
        red, green, blue = (int(color[k:k + 2], 16) / 255 for k in (1, 3, 5))
        table.labels.append(entry := GiftiLabel(key, red, green, blue, float(key > 0)))
        entry.label = name  # type: ignore[attr-defined]  # nibabel sets it on reading only
    arrays = [GiftiDataArray(np.ascontiguousarray(values, dtype=np.int32), intent="NIFTI_INTENT_LABEL",
                             datatype="int32", **({"meta": GiftiMetaData(Name=name)} if name else {}))
              for name, values in maps.items()]
    image = GiftiImage(meta=GiftiMetaData(AnatomicalStructurePrimary=STRUCTURES[hemi]), labeltable=table,
                       darrays=arrays)
    with whole_file(path, overwrite=overwrite) as beside:
        nib.save(image, beside)
    return Path(path)


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
