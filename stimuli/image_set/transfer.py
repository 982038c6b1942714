"""What other networks answer to a set that was made with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stimuli.manifest import TYPES, Manifest, Pixels, Stimulus
from stimuli.networks.hardware import CLOSE, answer
from stimuli.networks.registry import Network


@dataclass(frozen=True)
class Answer:
    """Another network's answer to one image.

    Parameters
    ----------
    image_id, file, type : str
        Which image.
    intended, original : str
        The category that the image was made to be taken for, and that of its base image.
    top : str
        The other network's most probable category.
    p_top, p_intended, p_original : float
        Their probabilities.
    """

    image_id: str
    file: str
    type: str
    intended: str
    original: str
    top: str
    p_top: float
    p_intended: float
    p_original: float


@dataclass(frozen=True)
class TransferRow:
    """One type of image under another network; shares and medians are over `n`, NaN where that is 0.

    Parameters
    ----------
    type : {"RE", "AN", "AI"}
        Which images.
    n, n_incomparable : int
        How many were compared; how many are of a category, or have one as target, that the network does not know.
    top1_intended : float
        Share of images whose most probable category is the intended one.
    p_intended, p_original : float
        Median probability of the intended category, and of the base image's.
    """

    type: str
    n: int
    n_incomparable: int
    top1_intended: float
    p_intended: float
    p_original: float


@dataclass(frozen=True)
class Transfer:
    """A set under another network.

    Parameters
    ----------
    network, network_digest : str
        The other network.
    input_size : int
        Side of its images, px; the set's images are resampled (bicubic) where theirs is another.
    rows : tuple of TransferRow
        One for each type.
    unknown : tuple of str
        Categories of the set that the network does not know by the same name: not comparable.
    images : tuple of Answer
        Every image that was compared.
    """

    network: str
    network_digest: str
    input_size: int
    rows: tuple[TransferRow, ...]
    unknown: tuple[str, ...]
    images: tuple[Answer, ...]


def transfer(manifest: Manifest, pixels: Mapping[str, Pixels], *, network: Network, batch: int = 20) -> Transfer:
    """Ask another network about every image whose categories it knows.

    Parameters
    ----------
    manifest : Manifest
        The set.
    pixels : mapping of str to uint8 array, (side, side, 3)
        ``image_id`` -> image.
    network : Network
        The other network. Categories are compared by name, never by index.
    batch : int
        How many images at a time.
    """
    places = {name: index for index, name in enumerate(network.class_names)}
    known = [one for one in manifest.stimuli if {one.category, _intended(one)} <= set(places)]
    images = []
    for first in range(0, len(known), batch):
        part = known[first:first + batch]
        shown = np.stack([fit_side(pixels[one.image_id], side=network.input_size) for one in part])
        rows = answer(network, shown, batch=batch, doubtful=_is_close)
        images += [_answer(one, probabilities=row, places=places, names=network.class_names)
                   for one, row in zip(part, rows, strict=True)]
    named = dict.fromkeys(name for one in manifest.stimuli for name in (one.category, _intended(one)))
    rows_of_types = tuple(_row(kind, manifest=manifest, images=images) for kind in TYPES)
    return Transfer(network.name, network.digest, network.input_size, rows_of_types,
                    tuple(name for name in named if name not in places), tuple(images))


def _is_close(probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say where the two most probable categories are so close that a device might confuse them."""
    second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
    return np.asarray(first - second < CLOSE)


def _intended(one: Stimulus) -> str:
    return one.category if one.target_category is None else one.target_category


def fit_side(pixels: Pixels, *, side: int) -> Pixels:
    """Resample a square image to another side (bicubic); one of that side is handed on as it is."""
    if pixels.shape == (side, side, 3):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC), dtype=np.uint8)


def _answer(one: Stimulus, *, probabilities: NDArray[np.float64], places: Mapping[str, int],
           names: tuple[str, ...]) -> Answer:
    top = int(probabilities.argmax())
    return Answer(one.image_id, one.file, one.type, _intended(one), one.category, names[top], float(probabilities[top]),
                 float(probabilities[places[_intended(one)]]), float(probabilities[places[one.category]]))


def _row(kind: str, *, manifest: Manifest, images: list[Answer]) -> TransferRow:
    mine = [one for one in images if one.type == kind]
    n_all = sum(one.type == kind for one in manifest.stimuli)
    if not mine:
        return TransferRow(kind, 0, n_all, np.nan, np.nan, np.nan)
    return TransferRow(kind, len(mine), n_all - len(mine), float(np.mean([one.top == one.intended for one in mine])),
                       float(np.median([one.p_intended for one in mine])),
                       float(np.median([one.p_original for one in mine])))
