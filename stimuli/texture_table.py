"""The table of textures that the mapping and localizer paradigms show: one row a picture. Needs no torch."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from stimuli.files import Pixels, image_id_of, read_image, require_inside
from subjects.errors import ManifestError, StoreError
from subjects.provenance import FileFormat, digest_json, sidecar_path
from subjects.store import read_json, read_table, write_table

KINDS = ("object", "face", "word", "intact", "scrambled")
TEXTURES = FileFormat("texture table", version=1)
_AGAIN = "Restore the table, or make the textures anew with `python -m stimuli textures --overwrite`."


def render_again(stimuli_dir: Path) -> str:
    """Spell the command that makes a study's textures anew; the old ones are moved to ``stimuli/replaced``."""
    return f"`python -m stimuli textures --study {shlex.quote(str(Path(stimuli_dir).parent))} --overwrite`"


@dataclass(frozen=True)
class Texture:
    """One picture.

    Parameters
    ----------
    texture_id : str
        ``px-`` and 16 hexadecimal digits of its pixels; see :func:`stimuli.manifest.image_id_of`.
    file : str
        Path relative to the study's ``stimuli/``, with forward slashes.
    kind : {"object", "face", "word", "intact", "scrambled"}
        What it shows. The k-th intact and the k-th scrambled one are the same picture.
    source : str
        What it was made from: drawn categories, words, or the user's file.
    """

    texture_id: str
    file: str
    kind: str
    source: str


COLUMNS = tuple(field.name for field in dataclasses.fields(Texture))


@dataclass(frozen=True)
class TextureTable:
    """All textures of a study, in order.

    Raises
    ------
    ManifestError
        For an unknown kind, a file named twice, or intact pictures without their scrambled ones.
    """

    rows: tuple[Texture, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            require_inside(row.file, where="textures", remedy=_AGAIN)
            if row.kind not in KINDS:
                raise ManifestError(row.file, came=f"kind {row.kind!r}", expected=f"one of {', '.join(KINDS)}",
                                    remedy=_AGAIN)
        files = Counter(row.file for row in self.rows)
        twice = next((file for file, n in files.items() if n > 1), None)
        if twice is not None:
            raise ManifestError(twice, came="a texture named twice", expected="one row a file", remedy=_AGAIN)
        counts = Counter(row.kind for row in self.rows)
        if counts["intact"] != counts["scrambled"]:
            raise ManifestError("textures", came=f"{counts['intact']} intact and {counts['scrambled']} scrambled",
                                expected="as many of both", remedy=_AGAIN)

    @cached_property
    def digest(self) -> str:
        """Digest of the table."""
        return digest_json([dataclasses.astuple(row) for row in self.rows])

    def counts(self) -> dict[str, int]:
        """Count the textures of each kind that there are."""
        return dict(Counter(row.kind for row in self.rows))

    def of_kind(self, kind: str) -> tuple[Texture, ...]:
        """List the textures of one kind."""
        return tuple(row for row in self.rows if row.kind == kind)


def write_textures(path: Path, table: TextureTable, *, overwrite: bool = False) -> Path:
    """Write the table, whole."""
    rows = [dataclasses.asdict(row) for row in table.rows]
    return write_table(path, pd.DataFrame(rows, columns=list(COLUMNS)), overwrite=overwrite)


def read_textures(path: Path) -> TextureTable:
    """Read the table.

    Raises
    ------
    ManifestError
        If it is missing, a column is missing or unknown, a value is missing or does not fit.
    """
    path = Path(path)
    again = render_again(path.parent)
    if not path.is_file():
        raise ManifestError(str(path), came="no such file", expected="the study's table of textures",
                            remedy=f"Make them with {again.replace(' --overwrite', '')}.")
    _require_known_version(sidecar_path(path))
    try:
        return _read(path)
    except (ManifestError, StoreError) as error:
        where = error.where if error.where.startswith(str(path)) else f"{path}: {error.where}"
        raise ManifestError(where, came=error.came, expected=error.expected,
                            remedy=f"Restore the table, or make the textures anew with {again}.") from error


def _require_known_version(beside: Path) -> None:
    try:
        found = read_json(beside).get("FormatVersion") if beside.is_file() else None
    except StoreError:
        return
    TEXTURES.require(found, where=beside)


def _read(path: Path) -> TextureTable:
    table = read_table(path, text_columns=COLUMNS)
    wrong = sorted(set(COLUMNS) ^ {str(name) for name in table.columns})
    if wrong:
        raise ManifestError(str(path), came=f"{'no' if wrong[0] in COLUMNS else 'an unknown'} column {wrong[0]!r}",
                            expected=f"the columns {', '.join(COLUMNS)}", remedy=_AGAIN)
    for name in COLUMNS:
        if table[name].isna().any():
            raise ManifestError(f"{path}, row {int(table[name].isna().to_numpy().argmax()) + 2}", came=f"no {name}",
                                expected="a value", remedy=_AGAIN)
    return TextureTable(tuple(Texture(**{str(key): str(value) for key, value in row.items()})
                              for row in table.to_dict("records")))


def read_texture_pixels(stimuli_dir: Path, texture: Texture) -> Pixels:
    """Read a texture and check that it is the one that the table names.

    Returns
    -------
    uint8 array, (height, width, 3)
        RGB, row 0 at the top.

    Raises
    ------
    ManifestError
        If the file is missing, no image, or changed by as much as one pixel.
    """
    path = Path(stimuli_dir) / texture.file
    again = f"Restore the picture, or make the textures anew with {render_again(Path(stimuli_dir))}."
    pixels = read_image(path, remedy=again)
    found = image_id_of(pixels)
    if found != texture.texture_id:
        raise ManifestError(str(path), came=f"pixels with digest {found}",
                            expected=f"{texture.texture_id}, as in the table of textures",
                            remedy=again)
    return pixels


def read_practice(stimuli_dir: Path) -> list[tuple[str, str, Pixels]]:
    """Read the pictures to practise with: folders named after classes, below ``stimuli/practice``.

    Returns
    -------
    list of (str, str, uint8 array)
        Class, digest of the pixels, pixels; in the order of their names.

    Raises
    ------
    ManifestError
        If there is none, or a file is no 8-bit RGB image.
    """
    folder = Path(stimuli_dir) / "practice"
    remedy = "Draw some with `python -m stimuli practice`, or put 8-bit RGB pictures into folders named after classes."
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if not paths:
        raise ManifestError(str(folder), came="no picture", expected="pictures to practise with", remedy=remedy)
    pixels = [(path.parent.name, read_image(path, remedy=remedy)) for path in paths]
    return [(name, image_id_of(one), one) for name, one in pixels]
