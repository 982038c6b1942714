"""The pixels of an image file, and their digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from subjects.errors import ManifestError

Pixels = NDArray[np.uint8]


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
