"""Examples from importance maps, photographs and a study's images, brought to a network's input."""

from __future__ import annotations

import numpy as np

from stimuli.alignment.images import LabelledImages, images_of_maps
from stimuli.alignment.importance.maps import ImportanceMaps
from stimuli.alignment.importance.processing import resampled, smoothed_as_clickme
from stimuli.alignment.training.examples import ArrayExamples
from stimuli.networks.protocol import Network
from subjects.errors import StimulusError


def gather_examples(network: Network, images: LabelledImages | None, *, maps: ImportanceMaps | None,
                    smooth: bool = False) -> ArrayExamples:
    """Join labelled images with importance maps by image_id, in memory.

    Parameters
    ----------
    network : Network
        Whose input size and classes count.
    images : LabelledImages, optional
        Of its input size; those without a map train by their category alone.
    maps : ImportanceMaps, optional
        Maps of those images, and of images of their own where they hold them with labels.
    smooth : bool
        Smooth maps as the published code smooths ClickMe's.

    Returns
    -------
    ArrayExamples
        The labelled images in their order, then the maps' own that are not among them.

    Raises
    ------
    StimulusError
        If there is neither.
    """
    if maps is None and images is None:
        raise StimulusError("examples", came="neither images nor importance maps", expected="images to be trained on",
                            remedy="Name maps that hold their images with --maps, or a folder with --images.")
    own = None if maps is None or not _holds_images(maps) else images_of_maps(maps, network=network)
    known = set() if images is None else set(images.image_ids)
    parts = [*([] if images is None else [(images, list(range(len(images))))]),
             *([] if own is None else [(own, [k for k, name in enumerate(own.image_ids) if name not in known])])]
    if not parts:
        raise StimulusError(maps.source if maps else "examples", came="importance maps without images and labels",
                            expected="`image` and `label` in each file, or the images they are of",
                            remedy="Add them, or name the images with --images or --study.")
    pixels = np.concatenate([part.pixels[rows] for part, rows in parts])
    labels = np.concatenate([part.labels[rows] for part, rows in parts])
    ids = [part.image_ids[k] for part, rows in parts for k in rows]
    return ArrayExamples(pixels, labels, _maps_of(ids, maps, side=network.input_size, smooth=smooth),
                         n_classes=len(network.class_names))


def _holds_images(maps: ImportanceMaps) -> bool:
    return any(image is not None and label is not None for image, label in zip(maps.images, maps.labels, strict=True))


def _maps_of(ids: list[str], maps: ImportanceMaps | None, *, side: int, smooth: bool) -> np.ndarray:
    """Give the map of each image, at the network's side; zeros where there is none."""
    found = np.zeros((len(ids), side, side), dtype=np.float32)
    places = {} if maps is None else {name: k for k, name in enumerate(maps.image_ids)}
    for row, name in enumerate(ids):
        if maps is not None and name in places:
            one = maps.maps[places[name]]
            found[row] = smoothed_as_clickme(one, side=side) if smooth else resampled(one, side=side)
    return found
