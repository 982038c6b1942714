"""The table of shown images on disk."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pandas as pd

from stimuli.files import Pixels, build_again, image_id_of, read_image
from stimuli.manifest.rows import COLUMNS, CORRECT, OPTIONAL_NUMBERS, OPTIONAL_TEXT, Manifest, Stimulus
from subjects.errors import ManifestError, StoreError
from subjects.provenance import FileFormat, sidecar_path
from subjects.store import read_json, read_table, write_table

MANIFEST = FileFormat("stimulus manifest", version=2)
"""Version 2 has the record of the set's network in the sidecar."""

_MOST_DIGITS = 19


def write_manifest(path: Path, manifest: Manifest, *, overwrite: bool = False) -> Path:
    """Write the table, whole."""
    rows = [dataclasses.asdict(one) for one in manifest.stimuli]
    table = pd.DataFrame(rows).rename(columns={"class_name": "class"})
    for name in OPTIONAL_NUMBERS:
        table[name] = table[name].astype("Int64")
    return write_table(path, table[list(COLUMNS)], overwrite=overwrite)


def read_manifest(path: Path) -> Manifest:
    """Read the table.

    Raises
    ------
    ManifestError
        If it is missing, a column is missing or unknown, or a value does not fit.
    """
    path = Path(path)
    if not path.is_file():
        left = any((path.parent / "images").rglob("*.png"))  # of a set whose table is lost
        command = build_again(path.parent) if left else build_again(path.parent).replace(" --overwrite", "")
        raise ManifestError(str(path), came="no such file", expected="a stimulus manifest",
                            remedy=f"Build the set with {command}.")
    _require_known_version(sidecar_path(path))
    try:
        return _read_manifest(path)
    except (ManifestError, StoreError) as error:
        where = error.where if error.where.startswith(str(path)) else f"{path}: {error.where}"
        raise ManifestError(where, came=error.came, expected=error.expected,
                            remedy=f"Restore the table, or build the set again with {build_again(path.parent)}."
                            ) from error


def _require_known_version(beside: Path) -> None:
    """Refuse a table whose sidecar says that a newer version wrote it; a sidecar that says nothing says version 1."""
    try:
        found = read_json(beside).get("FormatVersion") if beside.is_file() else None
    except StoreError:
        return
    MANIFEST.require(found, where=beside)


def _read_manifest(path: Path) -> Manifest:
    table = read_table(path, text_columns=COLUMNS)
    wrong = sorted(set(COLUMNS) ^ {str(name) for name in table.columns})
    if wrong:
        missing = wrong[0] in COLUMNS
        raise ManifestError(str(path), came=f"{'no' if missing else 'an unknown'} column {wrong[0]!r}",
                            expected=f"the columns {', '.join(COLUMNS)}", remedy=CORRECT)
    if not len(table):
        raise ManifestError(str(path), came="a table without rows", expected="a row for every image", remedy=CORRECT)
    rows = table.rename(columns={"class": "class_name"}).to_dict("records")
    return Manifest(tuple(_stimulus(row, where=f"{path}, row {k}") for k, row in enumerate(rows, start=2)))


def _stimulus(row: dict[Any, Any], *, where: str) -> Stimulus:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Stimulus):
        value = row[field.name]
        empty = value is None or (isinstance(value, float) and math.isnan(value))
        optional = field.name in OPTIONAL_TEXT + OPTIONAL_NUMBERS
        if empty and not optional:
            raise ManifestError(where, came=f"no {field.name}", expected="a value", remedy=CORRECT)
        try:
            values[field.name] = None if empty else _cast(value, str(field.type))
        except (TypeError, ValueError) as error:
            raise ManifestError(where, came=f"{field.name} = {value!r}", expected=str(field.type),
                                remedy=CORRECT) from error
    try:
        return Stimulus(**values)
    except ManifestError as error:
        raise ManifestError(f"{where} ({values['file']})", came=error.came, expected=error.expected,
                            remedy=error.remedy) from error


def _cast(value: str, kind: str) -> int | float | str:
    """Read a cell; from text, so that a float comes back bit by bit."""
    if kind.startswith("int"):
        if len(value) > _MOST_DIGITS:
            raise ValueError(value)
        return int(value)
    return float(value) if kind == "float" else value


def read_pixels(stimuli_dir: Path, stimulus: Stimulus) -> Pixels:
    """Read an image and check that it is the one that the manifest names.

    Parameters
    ----------
    stimuli_dir : Path
        The study's ``stimuli/``.
    stimulus : Stimulus
        The row.

    Returns
    -------
    uint8 array, (side, side, 3)
        RGB, row 0 at the top.

    Raises
    ------
    ManifestError
        If the file is missing, no image, not square, or changed by as much as one pixel.
    """
    path = Path(stimuli_dir) / stimulus.file
    again = f"Restore the image, or build the set again with {build_again(Path(stimuli_dir))}."
    pixels = read_image(path, remedy=again)
    if pixels.shape[0] != pixels.shape[1]:
        raise ManifestError(str(path), came=f"{pixels.shape[1]} x {pixels.shape[0]} pixels", expected="a square image",
                            remedy=again)
    found = image_id_of(pixels)
    if found != stimulus.image_id:
        raise ManifestError(str(path), came=f"pixels with digest {found}",
                            expected=f"{stimulus.image_id}, as in the manifest", remedy=again)
    return pixels
