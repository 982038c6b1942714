"""HDF5 files of results: a format version in each, and one clear error for whatever cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from subjects.errors import AnalysisError
from subjects.provenance import FileFormat
from subjects.store import whole_file

_UNREADABLE = (OSError, KeyError, TypeError, ValueError, AttributeError, UnicodeDecodeError)


@contextmanager
def write_hdf5(path: Path, *, form: FileFormat, overwrite: bool = False) -> Iterator[h5py.File]:
    """Write an HDF5 file whole, with its format version.

    Parameters
    ----------
    path : Path
    form : FileFormat
        What the file holds, and the version of how: its attributes ``format`` and ``format_version``.
    overwrite : bool

    Yields
    ------
    h5py.File
    """
    with whole_file(path, overwrite=overwrite) as beside, h5py.File(beside, "w", track_order=True) as file:
        file.attrs.update(form.stamp())
        yield file


@contextmanager
def read_hdf5(path: Path, *, form: FileFormat, remedy: str, marked: bool = False) -> Iterator[h5py.File]:
    """Open an HDF5 file of results; whatever goes wrong while it is read is one error.

    Parameters
    ----------
    path : Path
    form : FileFormat
        What it should hold. Version 0.1.0 wrote no version, and no format but into betas.
    remedy : str
        How to make it again.
    marked : bool
        Refuse a file that does not say what it holds.

    Yields
    ------
    h5py.File

    Raises
    ------
    AnalysisError
        If the file is missing, is no HDF5, holds something else, lacks a part or has one of another kind, or refers
        to another file, which is never followed.
    StoreError
        If a newer version of the toolkit wrote it.
    """
    path = Path(path)
    if not path.is_file():
        raise AnalysisError(str(path), came="no such file", expected=form.kind, remedy=remedy)
    try:
        with h5py.File(path, "r") as file:
            _require_own(file, path=path, kind=form.kind, remedy=remedy)
            found, named = file.attrs.get("format"), str(form.stamp()["format"])
            if found not in (named, f"{named} 1", *(() if marked else (None,))):
                raise AnalysisError(str(path), came=f"format {found!r}", expected=f"{named!r}", remedy=remedy)
            form.require(file.attrs.get("format_version"), where=path)
            yield file
    except _UNREADABLE as error:
        raise AnalysisError(str(path), came=f"a file that cannot be read ({error})", expected=form.kind,
                            remedy=remedy) from error


def _require_own(group: h5py.Group, *, path: Path, kind: str, remedy: str) -> None:
    """See that everything in a group is in this file."""
    for name in group:
        link = group.get(name, getlink=True)
        item = None if isinstance(link, h5py.ExternalLink) else group[name]
        if item is None or (isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)):
            raise AnalysisError(str(path), came=f"{name!r} that refers to another file",
                                expected=f"{kind}, all in one file", remedy=remedy)
        if isinstance(item, h5py.Group) and isinstance(link, h5py.HardLink):
            _require_own(item, path=path, kind=kind, remedy=remedy)


def texts(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Read a dataset of text."""
    return tuple(str(name) for name in dataset.asstr()[:])


def text_array(names: tuple[str, ...]) -> NDArray[np.object_]:
    """Give text as HDF5 stores it."""
    return np.array(names, dtype=h5py.string_dtype())
