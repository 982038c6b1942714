"""The image files of a study: their pixels and digests, paths that stay inside, and nothing replaced is lost."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from subjects.errors import ManifestError, StimulusError
from subjects.layout import Layout
from subjects.store import write_text

Pixels = NDArray[np.uint8]
REPLACED = "replaced"
_IGNORED = f"stimuli/{REPLACED}/\n"


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


def read_image(path: Path, *, remedy: str = "Restore the image, or make it again.") -> Pixels:
    """Read an 8-bit RGB image file as uint8 (height, width, 3).

    Parameters
    ----------
    path : Path
        The file.
    remedy : str
        What an error advises.

    Raises
    ------
    ManifestError
        If it is missing, no image, or not 8-bit RGB.
    """
    try:
        with Image.open(path) as image:
            if image.mode != "RGB":
                raise ManifestError(str(path), came=f"an image of mode {image.mode}", expected="8-bit RGB",
                                    remedy=remedy)
            return np.asarray(image, dtype=np.uint8).copy()
    except FileNotFoundError:
        raise ManifestError(str(path), came="no such file", expected="an image of the set",
                            remedy=remedy) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ManifestError(str(path), came=f"a file that is no readable image ({error})", expected="a PNG",
                            remedy=remedy) from error


def build_again(stimuli_dir: Path) -> str:
    """Spell the command that makes a study's set anew; the old images are moved to ``stimuli/replaced``.

    Examples
    --------
    >>> build_again(Path("my-study/stimuli"))
    '`python -m stimuli build --study my-study --overwrite`'
    """
    return f"`python -m stimuli build --study {shlex.quote(str(Path(stimuli_dir).parent))} --overwrite`"


def require_inside(file: str, *, where: str, remedy: str) -> None:
    """Refuse a path in a table that is absolute, leads upward, or holds a character that no path has.

    Raises
    ------
    ManifestError
        Naming the path.
    """
    path = PurePosixPath(file)
    if not file.isprintable() or not path.parts or path.is_absolute() or ".." in path.parts or \
            PureWindowsPath(file).drive or "\\" in file:
        raise ManifestError(where, came=f"file {file!r}", expected="a path inside stimuli/, with forward slashes",
                            remedy=remedy)


def require_own_folder(layout: Layout) -> None:
    """Refuse to write where a link below ``stimuli/`` leads out of the study.

    Raises
    ------
    StimulusError
        Naming the link and where it leads.
    """
    root = layout.root.resolve()
    for link in _links(layout.stimuli):
        target = link.resolve()
        if root not in target.parents:
            raise StimulusError(str(link), came=f"a link to {target}, outside the study", expected="the study's own "
                                "files and folders, since images are written there",
                                remedy="Replace the link by a folder or file of its own; nothing was written.")


def _links(folder: Path) -> Iterator[Path]:
    if folder.is_symlink():
        yield folder
        return
    for where, folders, files in os.walk(folder):
        if Path(where) == folder and REPLACED in folders and not (folder / REPLACED).is_symlink():
            folders.remove(REPLACED)
        yield from (path for name in sorted([*folders, *files]) if (path := Path(where) / name).is_symlink())


def name_replaced(layout: Layout, *, digest: str) -> Path:
    """Name a new folder for what is replaced: ``stimuli/replaced/<date>-<digest>``.

    Parameters
    ----------
    layout : Layout
        The study.
    digest : str
        Tells what is replaced, usually the digest of its table.
    """
    below = layout.stimuli / REPLACED
    name = f"{datetime.now(timezone.utc):%Y-%m-%d}-{digest}"
    taken = {path.name for path in below.iterdir()} if below.is_dir() else set()
    free = (name if k == 1 else f"{name}-{k}" for k in range(1, len(taken) + 2))
    return below / next(one for one in free if one not in taken)


def move_aside(paths: Iterable[Path], folder: Path, *, layout: Layout) -> None:
    """Move files and folders into a folder of what was replaced; whatever was moved before stays moved.

    Parameters
    ----------
    paths : iterable of Path
        In ``stimuli/``; what does not exist is passed over. The first one is moved first: name the table that makes
        the others a whole set before them.
    folder : Path
        From :func:`name_replaced`. Nothing ever reads it, and ``.bidsignore`` names it.
    layout : Layout
        The study.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _ignore(layout)
    for path in paths:
        if path.is_symlink() and path.is_dir():  # of the study's own: it stays, and its content goes
            move_aside(sorted(path.iterdir()), folder / path.name, layout=layout)
        elif (path.exists() or path.is_symlink()) and not (folder / path.name).exists():
            path.rename(folder / path.name)


def _ignore(layout: Layout) -> None:
    """Name the folder of replaced files in ``.bidsignore``, once."""
    path = layout.root / ".bidsignore"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if _IGNORED not in text:
        write_text(path, text + ("" if text.endswith("\n") or not text else "\n") + _IGNORED, overwrite=True)
