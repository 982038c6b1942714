"""The table of shown images: one row an image, named by a digest of its pixels. Needs no torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from stimuli.files import Pixels, build_again, image_id_of, read_image, require_inside
from subjects.errors import ManifestError, StoreError
from subjects.provenance import FileFormat, digest_json, sidecar_path
from subjects.store import read_json, read_table, write_table

__all__ = ["COLUMNS", "MANIFEST", "TYPES", "Manifest", "Pixels", "SetNetwork", "Stimulus", "image_id_of", "read_image",
           "read_manifest", "read_pixels", "read_set_network", "recorded_network", "write_manifest"]

TYPES = ("RE", "AN", "AI")
MANIFEST = FileFormat("stimulus manifest", version=2)
"""Version 2 has the record of the set's network in the sidecar."""

_OPTIONAL_TEXT = ("target_category",)
_OPTIONAL_NUMBERS = ("target_index",)
_RANGES = {"p_before": (0.0, 1.0, "a probability"), "p_after": (0.0, 1.0, "a probability"),
           "l2": (0.0, math.inf, "a distance, finite and not negative"),
           "linf": (0.0, 1.0, "a distance from 0 to 1"), "ssim": (-1.0, 1.0, "a similarity from -1 to 1"),
           "contrast_rms": (0.0, 127.5, "grey levels from 0 to 127.5"),
           "category_index": (0, math.inf, "the index of an output, not negative"),
           "iterations": (0, math.inf, "a count, not negative")}
_CORRECT = "Restore the table, or build the set again with `python -m stimuli build --overwrite`."
_MOST_DIGITS = 19


@dataclass(frozen=True)
class Stimulus:
    """One shown image.

    Parameters
    ----------
    image_id : str
        ``px-`` and 16 hexadecimal digits; see :func:`image_id_of`.
    file : str
        Path relative to the study's ``stimuli/``, with forward slashes.
    type : {"RE", "AN", "AI"}
        Regular, adversarial noise, adversarial interference.
    base_image : str
        What an RE image and its AN and AI share, for example ``"dogs-01"``.
    category, category_index : str, int
        Category of the base image, and its index among the network's classes.
    class_name : str
        Class of the category (column ``class``).
    target_category, target_index : str or None, int or None
        The category whose probability the perturbation raises: for AN the own category, for AI a wrong one.
    network, network_digest : str
        The network that the image was made with; its answers are the image's probabilities.
    p_before, p_after : float
        Probability of the target (for RE of the own category) at the start and on the written image.
    l2, linf : float
        Distance from the start on RGB in [0, 1].
    ssim : float
        Structural similarity to the base image's RE.
    contrast_rms : float
        Standard deviation about each channel's mean, in grey levels 0..255.
    iterations, seed : int
        Steps taken (for RE: candidates seen), and the seed.
    """

    image_id: str
    file: str
    type: str
    base_image: str
    category: str
    category_index: int
    class_name: str
    target_category: str | None
    target_index: int | None
    network: str
    network_digest: str
    p_before: float
    p_after: float
    l2: float
    linf: float
    ssim: float
    contrast_rms: float
    iterations: int
    seed: int

    def __post_init__(self) -> None:
        require_inside(self.file, where="manifest", remedy=_CORRECT)
        where = f"manifest, {self.file}"
        if self.type not in TYPES:
            raise ManifestError(where, came=f"type {self.type!r}", expected=f"one of {', '.join(TYPES)}",
                                remedy=_CORRECT)
        if not self.image_id.startswith("px-"):
            raise ManifestError(where, came=f"image_id {self.image_id!r}", expected="px- and a digest of the pixels",
                                remedy=_CORRECT)
        for name, (low, high, expected) in _RANGES.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ManifestError(where, came=f"{name} = {value}", expected=expected, remedy=_CORRECT)


COLUMNS = tuple("class" if field.name == "class_name" else field.name for field in dataclasses.fields(Stimulus))


@dataclass(frozen=True)
class Manifest:
    """All images of a study.

    Parameters
    ----------
    stimuli : tuple of Stimulus
        In the order of the table. No image, file, or (base image, type) twice.
    """

    stimuli: tuple[Stimulus, ...]

    def __post_init__(self) -> None:
        for what, keys in (("image_id", [one.image_id for one in self.stimuli]),
                           ("file", [one.file for one in self.stimuli]),
                           ("base image and type", [f"{one.base_image} {one.type}" for one in self.stimuli])):
            twice = _first_repeated(keys)
            if twice is not None:
                files = " and ".join(one.file for one, key in zip(self.stimuli, keys, strict=True) if key == twice)
                raise ManifestError("manifest", came=f"{what} {twice!r} twice ({files})", expected="every image once",
                                    remedy=_CORRECT)

    def __len__(self) -> int:
        return len(self.stimuli)

    @cached_property
    def _by_id(self) -> dict[str, Stimulus]:
        return {one.image_id: one for one in self.stimuli}

    @cached_property
    def _by_place(self) -> dict[tuple[str, str], Stimulus]:
        return {(one.base_image, one.type): one for one in self.stimuli}

    @property
    def base_images(self) -> tuple[str, ...]:
        """List the base images in the order of the table."""
        return tuple(dict.fromkeys(one.base_image for one in self.stimuli))

    @cached_property
    def digest(self) -> str:
        """Digest of all rows."""
        return digest_json([dataclasses.asdict(one) for one in self.stimuli])

    def by_id(self, image_id: str) -> Stimulus:
        """Find an image by its digest."""
        if image_id not in self._by_id:
            raise ManifestError("manifest", came=f"image {image_id!r}", expected="an image of this study",
                                remedy="Check that schedule and manifest belong together.")
        return self._by_id[image_id]

    def get(self, *, base_image: str, type: str) -> Stimulus:  # noqa: A002 - the column's name
        """Find an image by base image and type."""
        if (base_image, type) not in self._by_place:
            raise ManifestError("manifest", came=f"no {type} of {base_image!r}",
                                expected="RE, AN and AI of every base image",
                                remedy="Build the set with `python -m stimuli build`.")
        return self._by_place[base_image, type]

    def image_ids(self, type: str) -> tuple[str, ...]:  # noqa: A002 - the column's name
        """List the images of one type in the order of :attr:`base_images`."""
        return tuple(self.get(base_image=name, type=type).image_id for name in self.base_images)


def _first_repeated(keys: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    return None


def write_manifest(path: Path, manifest: Manifest, *, overwrite: bool = False) -> Path:
    """Write the table, whole."""
    rows = [dataclasses.asdict(one) for one in manifest.stimuli]
    table = pd.DataFrame(rows).rename(columns={"class_name": "class"})
    for name in _OPTIONAL_NUMBERS:
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
                            expected=f"the columns {', '.join(COLUMNS)}", remedy=_CORRECT)
    if not len(table):
        raise ManifestError(str(path), came="a table without rows", expected="a row for every image", remedy=_CORRECT)
    rows = table.rename(columns={"class": "class_name"}).to_dict("records")
    return Manifest(tuple(_stimulus(row, where=f"{path}, row {k}") for k, row in enumerate(rows, start=2)))


def _stimulus(row: dict[Any, Any], *, where: str) -> Stimulus:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Stimulus):
        value = row[field.name]
        empty = value is None or (isinstance(value, float) and math.isnan(value))
        optional = field.name in _OPTIONAL_TEXT + _OPTIONAL_NUMBERS
        if empty and not optional:
            raise ManifestError(where, came=f"no {field.name}", expected="a value", remedy=_CORRECT)
        try:
            values[field.name] = None if empty else _cast(value, str(field.type))
        except (TypeError, ValueError) as error:
            raise ManifestError(where, came=f"{field.name} = {value!r}", expected=str(field.type),
                                remedy=_CORRECT) from error
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


@dataclass(frozen=True)
class SetNetwork:
    """The network that a set was made with.

    Parameters
    ----------
    name, digest : str
        As in the manifest's rows.
    weights : str or None
        Its weights file as it was named, relative to the study where it is inside it; None: the network's own file.
    weights_digest : str or None
        Digest of that file's content.
    preprocessing : str or None
        As it was named; None: the network's own.
    tap : str or None
        Where in a layer its responses are read. None for a set made by version 0.1.0, which wrote name and digest
        only; then nothing is known of the weights file and the preprocessing either.
    function : str or None
        ``"package.module:function"`` that gives it, for a network of the user's own; None: it is loaded by its name.
    """

    name: str
    digest: str
    weights: str | None = None
    weights_digest: str | None = None
    preprocessing: str | None = None
    tap: str | None = None
    function: str | None = None

    @property
    def loaded_as(self) -> str:
        """Give the name under which the network is loaded again."""
        return self.function or self.name


def read_set_network(manifest_path: Path) -> SetNetwork:
    """Read which network a study's set was made with.

    Parameters
    ----------
    manifest_path : Path
        The manifest; the record is in its sidecar under ``network``. For a set made by version 0.1.0, whose
        sidecar has no such key, name and digest come from the rows.

    Raises
    ------
    ManifestError
        If the manifest cannot be read, its rows name several networks, or the sidecar names another.
    """
    path = Path(manifest_path)
    beside = sidecar_path(path)
    named = {(one.network, one.network_digest): one.file for one in read_manifest(path).stimuli}
    again = f"Restore the files, or build the set again with {build_again(path.parent)}."
    if len(named) > 1:
        (first, _), (second, file) = list(named.items())[:2]
        raise ManifestError(f"{path}, {file}", came=f"network {second[0]} {second[1]}",
                            expected=f"{first[0]} {first[1]}, as in the rows before", remedy=again)
    (name, digest), = named
    record = recorded_network(path) or SetNetwork(name, digest)
    if (record.name, record.digest) != (name, digest):
        raise ManifestError(str(path), came=f"rows of network {name} {digest}",
                            expected=f"{record.name} {record.digest}, as in {beside.name}", remedy=again)
    return record


def recorded_network(manifest_path: Path) -> SetNetwork | None:
    """Read the record in a manifest's sidecar alone; None where there is none.

    Raises
    ------
    ManifestError
        If the sidecar cannot be read, or the record in it is not one.
    """
    beside = sidecar_path(manifest_path)
    again = f"Restore the file, or build the set again with {build_again(beside.parent)}."
    try:
        record = read_json(beside).get("network") if beside.is_file() else None
    except StoreError as error:
        raise ManifestError(str(beside), came=error.came, expected=error.expected, remedy=again) from error
    if record is None:
        return None
    names = [field.name for field in dataclasses.fields(SetNetwork)]
    texts: dict[str, Any] = {key: record.get(key) for key in names} if isinstance(record, dict) else {}
    whole = all(isinstance(value, str) or (value is None and key not in ("name", "digest"))
                for key, value in texts.items())
    if not texts or not whole:
        raise ManifestError(f"{beside}, network", came=repr(record), expected=f"texts under {', '.join(names)}",
                            remedy=again)
    return SetNetwork(**texts)


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
