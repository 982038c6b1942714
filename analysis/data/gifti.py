"""GIFTI files: surfaces and time series, read and written."""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiLabel, GiftiLabelTable, GiftiMetaData
from nibabel.nifti1 import intent_codes
from numpy.typing import NDArray

from subjects.errors import AnalysisError
from subjects.store import whole_file

log = logging.getLogger(__name__)

STRUCTURES = {"L": "CortexLeft", "R": "CortexRight"}
"""Hemisphere to what GIFTI calls it (``AnatomicalStructurePrimary``)."""

_SIDES = {name: side for side, word in (("L", "left"), ("R", "right"))
          for name in (f"cortex{word}", word, f"{word}hemisphere", f"{side.lower()}h", f"hemi{side.lower()}")}
_SERIES_INTENTS = ("NIFTI_INTENT_TIME_SERIES", "NIFTI_INTENT_NONE", "NIFTI_INTENT_NORMAL")
"""What arrays of a series are called: the standard's name, none, and Workbench's for any functional file."""
_LEAST_MS = 50.0
_HEAD_BYTES = 1 << 16
_TAIL_BYTES = 256
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


class Series(NamedTuple):
    """A time series as a file holds it.

    Parameters
    ----------
    data : float32 array, (n_volumes, n_vertices)
    tr_s : float, optional
        Repetition time that the file names; None where it names none (``TimeStep`` missing or 0).
    """

    data: NDArray[np.float32]
    tr_s: float | None


def read_timeseries(path: Path, *, hemi: str | None = None) -> NDArray[np.float32]:
    """Read a GIFTI time series, (n_volumes, n_vertices) float32; see :func:`read_series`."""
    return read_series(path, hemi=hemi).data


def read_series(path: Path, *, hemi: str | None = None) -> Series:
    """Read a GIFTI time series and the repetition time that it names.

    Parameters
    ----------
    path : Path
    hemi : {"L", "R"}, optional
        The hemisphere that the file must be of, where it says so: ``AnatomicalStructurePrimary`` of the file or of one
        of its arrays, however it is spelled.

    Raises
    ------
    AnalysisError
        If it holds something else than a series (by the intents of its arrays), fewer than two volumes, volumes of
        different sizes, or is of the other hemisphere.
    """
    image = read_gifti(path, expected="a surface time series")
    if hemi is not None:
        require_side(image, hemi=hemi, path=path)
    _require_series(image, path=path)
    arrays = [_one_value_a_vertex(one.data) for one in image.darrays]
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) != 1 or len(shapes[0]) != 1:
        raise AnalysisError(str(path), came=f"arrays of shapes {', '.join(map(str, shapes)) or 'none'}",
                            expected="one value a vertex in every volume", remedy="Export the time series again.")
    return Series(np.stack(arrays).astype(np.float32, copy=False), _time_step_s(image, path=path))


class Outline(NamedTuple):
    """What the head of a time series' file says."""

    n_volumes: int
    n_vertices: int
    tr_s: float | None


def read_outline(path: Path, *, expected: str = "a surface time series") -> Outline:
    """Read the head of a GIFTI file alone: how many arrays (volumes) and vertices, and its repetition time.

    Of a mesh, whose first array is its points, the number of vertices is told as well.

    Raises
    ------
    AnalysisError
        If it is missing or no GIFTI file.
    """
    path = Path(path)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, EOFError) as error:
        raise AnalysisError(str(path), came=f"a file that cannot be read ({error})", expected=expected,
                            remedy="Restore it, or export it from the preprocessing again.") from error
    found = [re.search(pattern, head) for pattern in (rb'NumberOfDataArrays="(\d+)"', rb'\bDim0="(\d+)"')]
    if not all(found):
        raise AnalysisError(str(path), came="a file without the head of a GIFTI file", expected=expected,
                            remedy="Export it again as GIFTI.")
    n_volumes, n_vertices = (int(match[1]) for match in found if match)
    step = re.search(rb"TimeStep(?:\]\]>)?</Name>\s*<Value>(?:<!\[CDATA\[)?([^\]<]*)", head)
    return Outline(n_volumes, n_vertices, as_seconds(step[1].decode(errors="replace"), path=path) if step else None)


def require_end(path: Path) -> None:
    """See that a GIFTI file was written to its end, without reading its arrays; a packed one is unpacked to the end.

    Raises
    ------
    AnalysisError
        If it was cut off: while it was copied, or on a full disk.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as file:
                tail = b""
                while block := file.read(1 << 22):
                    tail = (tail + block)[-_TAIL_BYTES:]
        else:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
                tail = file.read()
        came = "" if b"</GIFTI>" in tail else "no end"
    except (OSError, EOFError, zlib.error) as error:
        came = str(error)
    if came:
        raise AnalysisError(str(path), came=f"a file that was cut off ({came})", expected="a whole GIFTI file",
                            remedy="Copy or export it again; see that the disk is not full.")


def _one_value_a_vertex(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Drop the second dimension that old releases of FreeSurfer wrote: (n_vertices, 1)."""
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _require_series(image: GiftiImage, *, path: Path) -> None:
    names = sorted({str(intent_codes.niistring[one.intent]) for one in image.darrays} - set(_SERIES_INTENTS))
    if names or len(image.darrays) == 1:
        came = f"arrays of intent {', '.join(names)}" if names else "one map"
        raise AnalysisError(str(path), came=came, expected="a surface time series",
                            remedy="Give labels, meshes and single maps names of their own, and restore the series.")


def _time_step_s(image: GiftiImage, *, path: Path) -> float | None:
    """Read ``TimeStep``, which FreeSurfer gives in ms and some programs in s; no scan takes 50 s or less than 50 ms."""
    said = dict.fromkeys(meta["TimeStep"] for meta in _all_metadata(image) if meta.get("TimeStep"))
    steps = {one: step for one in said if (step := as_seconds(one, path=path)) is not None}
    if len({round(step, 6) for step in steps.values()}) > 1:
        raise AnalysisError(str(path), came=f"TimeStep {' and '.join(steps)}", expected="one time between volumes",
                            remedy="Export the time series again, or correct the file's metadata.")
    return next(iter(steps.values()), None)


def as_seconds(said: str, *, path: Path) -> float | None:
    """Read a repetition time in milliseconds, or in seconds where that is likelier (said then); None for 0, unknown."""
    try:
        step = float(said)
    except ValueError:
        step = np.nan
    if not (np.isfinite(step) and step >= 0):
        raise AnalysisError(str(path), came=f"TimeStep {said!r}", expected="milliseconds, or 0 where it is unknown",
                            remedy="Export the time series again.")
    if 0 < step < _LEAST_MS:
        log.warning("%s: TimeStep %s is taken as seconds; the field's unit is milliseconds (%g)", path.name, said,
                    1000 * step)
        return step
    return step / 1000 or None


def _all_metadata(image: GiftiImage) -> list[GiftiMetaData]:
    return [image.meta, *(one.meta for one in image.darrays)]


def side_of(image: GiftiImage) -> str | None:
    """Say of which hemisphere a file says that it is.

    Returns
    -------
    str or None
        ``"L"``, ``"R"``, ``"LR"`` where its parts disagree; None where nothing names a hemisphere.
    """
    said = (meta.get("AnatomicalStructurePrimary") or "" for meta in _all_metadata(image))
    letters = ("".join(filter(str.isalpha, name)).lower() for name in said)
    return "".join(sorted({_SIDES[name] for name in letters if name in _SIDES})) or None


def require_side(image: GiftiImage, *, hemi: str, path: Path) -> str | None:
    """Refuse a file that says that it is of the other hemisphere; give what it says.

    Raises
    ------
    AnalysisError
        Naming both.
    """
    found = side_of(image)
    if found not in (None, hemi):
        came = STRUCTURES.get(found, "parts of both hemispheres")
        raise AnalysisError(str(path), came=came, expected=STRUCTURES[hemi],
                            remedy="Give the files of the two hemispheres their own names.")
    return found


def write_maps(path: Path, maps: Mapping[str, NDArray[np.float32]], *, hemi: str,
               said: Mapping[str, Mapping[str, str]] | None = None, overwrite: bool = False) -> Path:
    """Write maps of one value a vertex as a GIFTI functional file, as Workbench and Freeview read it.

    All have intent NONE: Freeview reads no map of another intent but SHAPE, NORMAL and TIME_SERIES, and of these only
    the first one's.

    Parameters
    ----------
    path : Path
        Ends in ``.func.gii``.
    maps : mapping of str to float32 array, (n_vertices,)
        By their names; NaN where there is no value.
    hemi : {"L", "R"}
    said : mapping of str to mapping, optional
        What else the metadata of a map shall hold.
    overwrite : bool
    """
    image = GiftiImage(meta=GiftiMetaData(AnatomicalStructurePrimary=STRUCTURES[hemi]))
    for name, values in maps.items():
        image.add_gifti_data_array(GiftiDataArray(
            np.ascontiguousarray(values, dtype=np.float32), datatype="float32", intent="NIFTI_INTENT_NONE",
            encoding=_ENCODING, meta=GiftiMetaData(Name=name, AnatomicalStructurePrimary=STRUCTURES[hemi],
                                                **(said or {}).get(name, {}))))
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
