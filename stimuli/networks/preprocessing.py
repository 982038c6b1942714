"""From an RGB image in [0, 1] to what a network was trained on: named, frozen, differentiable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stimuli.networks.caffe_files import read_binaryproto
from subjects.errors import NetworkError, nearest
from subjects.provenance import digest_array

Triple = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """What is done to an image before the first convolution: ``(x * scale, in order - mean) / sd``.

    Parameters
    ----------
    name : str
        By which it is found.
    side : int
        Of the image, px.
    resize : str
        How a photograph is brought to that side: a rule of :func:`stimuli.regular_images.photographs.to_square`.
    order : {"RGB", "BGR"}
        Of the channels that the network takes.
    scale : float
        Largest value of a pixel: 1 or 255.
    mean, sd : tuple of 3 float
        Of each channel, in `order`, in units of `scale`.
    mean_pixels : float32 array, (side, side, 3), optional
        A mean image in place of `mean`: RGB in 0..255.
    """

    name: str
    side: int
    resize: str
    order: str = "RGB"
    scale: float = 1.0
    mean: Triple = (0.0, 0.0, 0.0)
    sd: Triple = (1.0, 1.0, 1.0)
    mean_pixels: NDArray[np.float32] | None = field(default=None, repr=False)

    def __call__(self, images: Tensor) -> Tensor:
        """Turn RGB (n, 3, side, side) in [0, 1] into the network's input, same shape; differentiable."""
        x = images.flip(1) if self.order == "BGR" else images
        x = x if self.scale == 1.0 else x * self.scale
        centred = x - self._subtracted().to(images)
        return centred if self.sd == (1.0, 1.0, 1.0) else centred / torch.tensor(self.sd)[:, None, None].to(images)

    def _subtracted(self) -> Tensor:
        if self.mean_pixels is None:
            return torch.tensor(self.mean)[:, None, None]
        ordered = self.mean_pixels[..., ::-1] if self.order == "BGR" else self.mean_pixels
        return torch.from_numpy(np.moveaxis(ordered, -1, 0).copy()) * (self.scale / 255.0)

    @property
    def mean_image(self) -> NDArray[np.float32]:
        """The image that becomes zero before division: float32 (side, side, 3), RGB in 0..255."""
        if self.mean_pixels is not None:
            return self.mean_pixels
        rgb = np.array(self.mean[::-1] if self.order == "BGR" else self.mean, dtype=np.float32)
        return np.tile(rgb * np.float32(255.0 / self.scale), (self.side, self.side, 1))

    def record(self) -> dict[str, Any]:
        """Give everything that decides what the network sees, for digests."""
        pixels = {} if self.mean_pixels is None else {"mean_pixels": digest_array(self.mean_pixels)}
        return {"side": self.side, "resize": self.resize, "order": self.order, "scale": self.scale,
                "mean": self.mean, "sd": self.sd, **pixels}


_CAFFE = Preprocessing("caffe-227", 227, "warp-crop", order="BGR", scale=255.0, mean=(104.0, 117.0, 123.0))

PREPROCESSINGS: Mapping[str, Preprocessing] = MappingProxyType({one.name: one for one in (
    _CAFFE,
    replace(_CAFFE, name="caffe-224", side=224),
    replace(_CAFFE, name="caffe-alexnet", mean=(104.007, 116.669, 122.679)),
    Preprocessing("torchvision", 224, "crop", mean=(0.485, 0.456, 0.406), sd=(0.229, 0.224, 0.225)),
    Preprocessing("unit", 227, "warp", mean=(0.5, 0.5, 0.5), sd=(0.25, 0.25, 0.25)),
)})
"""Name -> preprocessing. ``caffe-...`` subtract the channel means of Caffe's prototxts (``caffe-alexnet``: of its
ImageNet mean image), ``torchvision`` standardises with ImageNet's moments, ``unit`` is the demo network's."""


def find_preprocessing(name: str, *, side: int | None = None, root: Path | None = None) -> Preprocessing:
    """Find a preprocessing by name.

    Parameters
    ----------
    name : str
        A key of :data:`PREPROCESSINGS`; or, for Caffe's, ``"caffe-227:FILE"``, where FILE is a mean image
        (``.npy`` or ``.binaryproto``, (3, height, width), BGR in 0..255), of which the centre is cut.
    side : int, optional
        Another side than the usual, for a network that takes one.
    root : Path, optional
        From where a relative FILE is looked for. Default: the working directory.

    Raises
    ------
    NetworkError
        If no preprocessing has that name, or the mean image does not fit.
    """
    plain, _, file = name.partition(":")
    if plain not in PREPROCESSINGS:
        raise NetworkError("preprocessing", came=repr(plain), expected=f"one of {', '.join(PREPROCESSINGS)}",
                           remedy=nearest(plain, PREPROCESSINGS))
    found = PREPROCESSINGS[plain]
    found = found if side is None else replace(found, side=side)
    if not file:
        return found
    if found.order != "BGR":
        raise NetworkError("preprocessing", came=f"a mean image for {plain!r}", expected="one of Caffe's",
                           remedy="Leave the file out, or choose caffe-227 or caffe-224.")
    pixels = read_mean(Path(root or ".") / file, side=found.side)
    means = tuple(float(value) for value in pixels.mean(axis=(0, 1), dtype=np.float64)[::-1])
    return replace(found, mean_pixels=pixels, mean=(means[0], means[1], means[2]))


def resize_rule(name: str) -> tuple[str, int]:
    """Give the rule for :func:`stimuli.regular_images.photographs.to_square`, and the side of the input.

    Examples
    --------
    >>> resize_rule("caffe-227"), resize_rule("torchvision")
    (('warp-crop', 227), ('crop', 224))
    """
    plain = name.partition(":")[0]
    return PREPROCESSINGS[plain].resize, PREPROCESSINGS[plain].side


def read_mean(path: Path, *, side: int) -> NDArray[np.float32]:
    """Read a mean image of Caffe's and cut its centre.

    Parameters
    ----------
    path : Path
        ``.npy`` or ``.binaryproto``: (3, height, width), BGR in 0..255, at least `side` px.

    Returns
    -------
    float32 array, (side, side, 3)
        RGB in 0..255.

    Raises
    ------
    NetworkError
        If the file is missing, of another shape or size, or holds values that no mean image has.
    """
    values = _read_mean(Path(path))
    if values.ndim != 3 or values.shape[0] != 3 or min(values.shape[1:]) < side:
        raise NetworkError(str(path), came=f"an array of shape {values.shape}",
                           expected=f"(3, height, width) in the order BGR, at least {side} px",
                           remedy="Name Caffe's mean file.")
    if not np.isfinite(values).all() or values.min() < 0.0 or not 1.0 < values.max() <= 255.0:
        raise NetworkError(str(path), came=f"values from {values.min():g} to {values.max():g}",
                           expected="grey levels in 0..255", remedy="Name Caffe's mean file.")
    return centre(np.moveaxis(values[::-1], 0, -1).astype(np.float32), side=side)


def _read_mean(path: Path) -> NDArray[np.float64]:
    if path.suffix == ".binaryproto":
        return read_binaryproto(path)
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    except FileNotFoundError:
        raise NetworkError(str(path), came="no such file", expected="Caffe's mean image (.npy or .binaryproto)",
                           remedy="Correct the path behind the preprocessing's colon.") from None
    except (ValueError, EOFError, OSError, TypeError) as error:
        raise NetworkError(str(path), came=f"a file that is no array ({error})", expected="Caffe's mean image",
                           remedy="Correct the path behind the preprocessing's colon.") from error


def centre(pixels: np.ndarray, *, side: int) -> np.ndarray:
    """Cut the centre out of (height, width, 3); the odd pixel is left over at the right and below."""
    top, left = ((extent - side) // 2 for extent in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top:top + side, left:left + side])
