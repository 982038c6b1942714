"""Photographs read safely: size before pixels, upright, 8-bit RGB; what cannot be shown as it is, is refused.

Taken as they are: 8-bit RGB JPEG and PNG. Converted, with a note: grey, palette and CMYK images, fully opaque alpha,
and a camera's orientation (EXIF), which is applied. Refused: 16 bits a channel (an 8-bit display would show another
image), transparent pixels (the colour behind them is nobody's choice), more than :data:`MAX_PIXELS`, other formats, and
files that are empty or end early. Colour profiles are not applied, as ImageNet networks were trained without them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from stimuli.manifest import Pixels
from stimuli.networks.preprocessing import centre
from subjects.errors import StimulusError

MAX_PIXELS = 64_000_000
"""Largest photograph that is decoded: 192 MB as RGB."""

RESIZES = ("warp", "warp-crop", "crop")
_FORMATS = {b"\x89PNG\r\n\x1a\n": PngImageFile, b"\xff\xd8\xff": JpegImageFile}
_CONVERTED = {"L": "grey", "1": "black and white", "CMYK": "CMYK", "P": "palette"}
_ALPHA = ("RGBA", "LA", "PA")
_TURNED = (5, 6, 7, 8)
_ORIENTATION = 0x0112
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error,
           zlib.error)


@dataclass(frozen=True)
class Facts:
    """What the header of a photograph says.

    Parameters
    ----------
    width, height : int
        Pixels, as the upright photograph has them.
    mode : str
        How pixels are stored: ``"RGB"``, ``"L"``, ``"CMYK"``, ...
    notes : tuple of str
        What is done to make it upright RGB.
    """

    width: int
    height: int
    mode: str
    notes: tuple[str, ...] = ()

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height


@dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph that was read.

    Parameters
    ----------
    pixels : uint8 array, (height, width, 3)
        RGB, upright.
    facts : Facts
        Of its header.
    """

    pixels: Pixels = field(repr=False)
    facts: Facts


def read_facts(path: Path) -> Facts:
    """Read the header of a photograph and no pixel.

    Raises
    ------
    StimulusError
        If the file is missing, empty, no JPEG or PNG, or of a kind that is refused (see the module).
    """
    with _opened(Path(path)) as image:
        return _facts(image)


def read_photograph(path: Path) -> Photograph:
    """Read a photograph as upright 8-bit RGB.

    Raises
    ------
    StimulusError
        As :func:`read_facts`, and if pixels are missing or transparent.
    """
    path = Path(path)
    with _opened(path) as image:
        facts, turned = _facts(image), _orientation(image) != 1
        image.load()
        upright = ImageOps.exif_transpose(image) if turned else image
        if _has_alpha(image):
            upright = _opaque(path, upright)
        return Photograph(np.asarray(upright.convert("RGB"), dtype=np.uint8).copy(), facts)


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile]:
    """Open by the first bytes with the reader of that format alone, and name every fault in one way."""
    try:
        with path.open("rb") as file:
            yield _require_plain(path, file)
    except FileNotFoundError:
        _refuse(path, "no such file", "a photograph", "Restore it or take it out of the labels table.")
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.filename is not None:
            _refuse(path, f"a file that cannot be read ({error.strerror})", "a readable file",
                    "Check the file and its permissions.")
        _refuse(path, f"an image that ends early or is damaged ({error})", "a whole JPEG or PNG",
                "Fetch the file again or remove it.")


def _require_plain(path: Path, file: BinaryIO) -> ImageFile:
    head = file.read(32)
    if not head:
        _refuse(path, "an empty file (0 bytes)", "a JPEG or PNG", "Fetch the file again or remove it.")
    kind = next((kind for start, kind in _FORMATS.items() if head.startswith(start)), None)
    if kind is None:
        _refuse(path, "a file that is no JPEG or PNG by its first bytes", "a JPEG or PNG",
                "Save it as PNG, or remove it.")
    file.seek(0)
    image = kind(file)
    width, height = image.size
    if width * height > MAX_PIXELS:
        _refuse(path, f"a header that announces {width} x {height} pixels", f"at most {MAX_PIXELS:,} pixels",
                "Nothing was decoded; save the photograph smaller or remove it.")
    if kind is PngImageFile and head[24] > 8:
        _refuse(path, f"{head[24]} bits a channel", "8 bits a channel, as displays show",
                "Save it with 8 bits a channel.")
    if image.mode not in ("RGB", *_CONVERTED, *_ALPHA):
        _refuse(path, f"an image of mode {image.mode}", "RGB, grey, palette or CMYK", "Save it as RGB.")
    return image


def _facts(image: ImageFile) -> Facts:
    orientation = _orientation(image)
    width, height = image.size if orientation not in _TURNED else image.size[::-1]
    notes = [f"{_CONVERTED[image.mode]}, made RGB"] if image.mode in _CONVERTED else []
    notes += ["opaque alpha dropped"] if _has_alpha(image) else []
    notes += ["turned upright as its EXIF says"] if orientation != 1 else []
    return Facts(width, height, image.mode, tuple(notes))


def _orientation(image: ImageFile) -> int:
    """Read EXIF's orientation, 1 to 8; anything else, and what follows a PNG's pixels, counts as upright."""
    if isinstance(image, PngImageFile) and "exif" not in image.info:
        return 1  # Pillow would decode the pixels to look behind them
    found = image.getexif().get(_ORIENTATION, 1)
    return found if found in range(1, 9) else 1


def _has_alpha(image: ImageFile) -> bool:
    return image.mode in _ALPHA or "transparency" in image.info


def _opaque(path: Path, image: Image.Image) -> Image.Image:
    layered = image.convert("RGBA")
    if np.asarray(layered)[..., 3].min() < 255:
        _refuse(path, "transparent pixels", "an opaque image",
                "Flatten it on the background that shall be seen, or remove it.")
    return layered


def to_square(pixels: Pixels, *, side: int, resize: str) -> Pixels:
    """Bring a photograph to a network's input.

    Parameters
    ----------
    pixels : uint8 array, (height, width, 3)
        RGB.
    side : int
        Of the square, px.
    resize : {"warp", "warp-crop", "crop"}
        ``warp`` maps the whole photograph to the square, as the paper does; ``warp-crop`` maps it to a
        square of :func:`enlarged` and cuts the centre out, as Caffe does; ``crop`` keeps the aspect ratio,
        brings the short side to :func:`enlarged` and cuts the centre out, as torchvision does.

    Returns
    -------
    uint8 array, (side, side, 3)
        Resampled bilinearly, over the area that a pixel covers where it shrinks.
    """
    if resize == "warp":
        return _resample(pixels, (side, side))
    wide = enlarged(side)
    if resize == "warp-crop":
        return centre(_resample(pixels, (wide, wide)), side=side)
    short = min(pixels.shape[:2])
    height, width = (max(wide, round(extent * wide / short)) for extent in pixels.shape[:2])
    return centre(_resample(pixels, (width, height)), side=side)


def enlarged(side: int) -> int:
    """Give the side from which a centre of `side` is cut: 256 for 224 and 227, in proportion for others.

    Examples
    --------
    >>> enlarged(227), enlarged(224), enlarged(24)
    (256, 256, 27)
    """
    return 256 if side in (224, 227) else round(side * 256 / 227)


def _resample(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if pixels.shape[1::-1] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR), dtype=np.uint8)


def _refuse(path: Path, came: str, expected: str, remedy: str) -> NoReturn:
    raise StimulusError(str(path), came=came, expected=expected, remedy=remedy) from None
