"""The table of shown images: one row an image, named by a digest of its pixels. Needs no torch."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from subjects.errors import ManifestError
from subjects.provenance import digest_json
from subjects.store import read_table, write_table

Pixels = NDArray[np.uint8]
TYPES = ("RE", "AN", "AI")
_OPTIONAL_TEXT = ("target_category",)
_OPTIONAL_NUMBERS = ("target_index",)
_RANGES = {"p_before": (0.0, 1.0, "a probability"), "p_after": (0.0, 1.0, "a probability"),
           "l2": (0.0, math.inf, "a distance, finite and not negative"),
           "linf": (0.0, 1.0, "a distance from 0 to 1"), "ssim": (-1.0, 1.0, "a similarity from -1 to 1"),
           "contrast_rms": (0.0, 127.5, "grey levels from 0 to 127.5"),
           "category_index": (0, math.inf, "the index of an output, not negative"),
           "iterations": (0, math.inf, "a count, not negative")}


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
        What the perturbation aims at: for AN the own category, for AI a wrong one.
    network, network_digest : str
        Judge of the image.
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
        where = f"manifest, {self.file}"
        if self.type not in TYPES:
            raise ManifestError(where, came=f"type {self.type!r}", expected=f"one of {', '.join(TYPES)}",
                                remedy="Correct the row or build the set again.")
        if not self.image_id.startswith("px-"):
            raise ManifestError(where, came=f"image_id {self.image_id!r}", expected="px- and a digest of the pixels",
                                remedy="Build the set again.")
        if Path(self.file).is_absolute() or ".." in Path(self.file).parts:
            raise ManifestError(where, came=f"file {self.file!r}", expected="a path inside stimuli/",
                                remedy="Correct the row or build the set again.")
        for name, (low, high, expected) in _RANGES.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ManifestError(where, came=f"{name} = {value}", expected=expected,
                                    remedy="Restore the row or build the set again.")


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
                                    remedy="Remove one row or build the set again.")

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


def image_id_of(pixels: Pixels) -> str:
    """Name an image by its pixels.

    Parameters
    ----------
    pixels : uint8 array, (height, width, 3)
        RGB.

    Returns
    -------
    str
        ``px-`` and the first 16 hexadecimal digits of SHA-256 over shape and bytes.

    Examples
    --------
    >>> image_id_of(np.zeros((2, 2, 3), dtype=np.uint8))
    'px-93d26e15f25c3432'
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ManifestError("image", came=f"{pixels.dtype} {pixels.shape}", expected="uint8 (height, width, 3)",
                            remedy="Convert the image to 8-bit RGB.")
    head = f"{pixels.shape}".encode()
    return "px-" + hashlib.sha256(head + np.ascontiguousarray(pixels).tobytes()).hexdigest()[:16]


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
        raise ManifestError(str(path), came="no such file", expected="a stimulus manifest",
                            remedy="Build the set with `python -m stimuli build`.")
    table = read_table(path, text_columns=COLUMNS)
    wrong = sorted(set(COLUMNS) ^ set(table.columns))
    if wrong:
        missing = wrong[0] in COLUMNS
        raise ManifestError(str(path), came=f"{'no' if missing else 'an unknown'} column {wrong[0]!r}",
                            expected=f"the columns {', '.join(COLUMNS)}",
                            remedy="Restore the file or build the set again.")
    if not len(table):
        raise ManifestError(str(path), came="a table without rows", expected="a row for every image",
                            remedy="Restore the file or build the set again with --overwrite.")
    rows = table.rename(columns={"class": "class_name"}).to_dict("records")
    return Manifest(tuple(_stimulus(row, where=f"{path}, row {k}") for k, row in enumerate(rows, start=2)))


def _stimulus(row: dict[Any, Any], *, where: str) -> Stimulus:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Stimulus):
        value = row[field.name]
        empty = value is None or (isinstance(value, float) and math.isnan(value))
        optional = field.name in _OPTIONAL_TEXT + _OPTIONAL_NUMBERS
        if empty and not optional:
            raise ManifestError(where, came=f"no {field.name}", expected="a value", remedy="Build the set again.")
        try:
            values[field.name] = None if empty else _cast(value, str(field.type))
        except (TypeError, ValueError) as error:
            raise ManifestError(where, came=f"{field.name} = {value!r}", expected=str(field.type),
                                remedy="Correct the row or build the set again.") from error
    try:
        return Stimulus(**values)
    except ManifestError as error:
        raise ManifestError(f"{where} ({values['file']})", came=error.came, expected=error.expected,
                            remedy=error.remedy) from error


def _cast(value: str, kind: str) -> int | float | str:
    """Read a cell; from text, so that a float comes back bit by bit."""
    if kind.startswith("int"):
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
    pixels = read_image(path)
    if pixels.shape[0] != pixels.shape[1]:
        raise ManifestError(str(path), came=f"{pixels.shape[1]} x {pixels.shape[0]} pixels", expected="a square image",
                            remedy="Build the set again.")
    found = image_id_of(pixels)
    if found != stimulus.image_id:
        raise ManifestError(str(path), came=f"pixels with digest {found}",
                            expected=f"{stimulus.image_id}, as in the manifest",
                            remedy="The image was changed after it was made; restore it or build the set again.")
    return pixels


def read_image(path: Path) -> Pixels:
    """Read an 8-bit RGB image file as uint8 (height, width, 3).

    Raises
    ------
    ManifestError
        If it is missing, no image, or not 8-bit RGB.
    """
    try:
        with Image.open(path) as image:
            if image.mode != "RGB":
                raise ManifestError(str(path), came=f"an image of mode {image.mode}", expected="8-bit RGB",
                                    remedy="Restore the image or build the set again.")
            return np.asarray(image, dtype=np.uint8).copy()
    except FileNotFoundError:
        raise ManifestError(str(path), came="no such file", expected="an image of the set",
                            remedy="Restore the image or build the set again.") from None
    except (UnidentifiedImageError, OSError) as error:
        raise ManifestError(str(path), came=f"a file that is no readable image ({error})", expected="a PNG",
                            remedy="Restore the image or build the set again.") from error
