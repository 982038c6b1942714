"""The images that a network is measured on: photographs, a study's RE, those of importance maps, or drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from stimuli.alignment.importance.maps import ImportanceMaps
from stimuli.image_set.transfer import fit_side
from stimuli.manifest import Manifest, Pixels, image_id_of, read_pixels
from stimuli.networks.demo.drawings import draw
from stimuli.networks.registry import Network
from stimuli.regular_images.candidates import list_candidates
from stimuli.regular_images.photographs import read_photograph, to_square
from subjects.cli import ProgressWrapper, silent
from subjects.errors import StimulusError
from subjects.provenance import digest_array, digest_json, rng

NO_RULE = "crop"
"""How photographs are brought to the input of a network whose preprocessing names no rule."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images of a network's input size, and what they show.

    Parameters
    ----------
    image_ids : tuple of str
        By which importance maps are found: of the image as it was before it was brought to the input size.
    files : tuple of str
        Where each came from.
    pixels : uint8 array, (n, side, side, 3)
        RGB.
    labels : int64 array, (n,)
        Index of each image's category among the network's outputs.
    """

    image_ids: tuple[str, ...]
    files: tuple[str, ...]
    pixels: Pixels = field(repr=False)
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the images."""
        return len(self.image_ids)

    @property
    def digest(self) -> str:
        """Digest what is measured on: ids, labels and pixels."""
        return digest_json([list(self.image_ids), self.labels.tolist(), digest_array(self.pixels)])


def labelled_photographs(folder: Path, *, network: Network, labels: Path | None = None, resize: str | None = None,
                         most: int | None = None, seed: int = 0,
                         progress: ProgressWrapper = silent) -> LabelledImages:
    """Read labelled photographs, brought to a network's input.

    Parameters
    ----------
    folder, labels
        As :func:`stimuli.regular_images.candidates.list_candidates` takes them; of every category.
    network : Network
        Whose input size and outputs count.
    resize : {"warp", "warp-crop", "crop"}, optional
        Default: as the network's preprocessing does it.
    most : int, optional
        Take so many at random; the same ones for every network with the same categories.
    seed : int
        Of that choice.
    progress : ProgressWrapper
        Told of photographs.
    """
    listing = list_candidates(folder, class_names=network.class_names, classes=None, labels=labels)
    rows = list(listing.candidates)
    if most is not None and most < len(rows):
        chosen = sorted(rng(seed, "photographs to measure").permutation(len(rows))[:most].tolist())
        rows = [rows[k] for k in chosen]
    rule, ids, shown = resize or resize_rule(network), [], []
    for one in progress(rows, label="reading photographs", total=len(rows)):
        pixels = read_photograph(listing.path(one)).pixels
        ids.append(image_id_of(pixels))
        shown.append(to_square(pixels, side=network.input_size, resize=rule))
    return LabelledImages(tuple(ids), tuple(one.file for one in rows), np.stack(shown),
                          np.array([one.category_index for one in rows], dtype=np.int64))


def resize_rule(network: Network) -> str:
    """Say how a network's preprocessing brings a photograph to its input."""
    return str(getattr(getattr(network, "preprocess", None), "resize", NO_RULE))


def regular_images(stimuli_dir: Path, manifest: Manifest, *, network: Network) -> LabelledImages:
    """Take a set's RE images whose category the network knows by name, resampled where its input is of another size."""
    places = {name: index for index, name in enumerate(network.class_names)}
    rows = [one for one in manifest.stimuli if one.type == "RE" and one.category in places]
    if not rows:
        _refuse(str(stimuli_dir), f"a set of whose categories {network.name} knows none", "a network that knows some",
                "Choose a network with the set's categories, or other images (--images).")
    shown = [fit_side(read_pixels(stimuli_dir, one), side=network.input_size) for one in rows]
    return LabelledImages(tuple(one.image_id for one in rows), tuple(one.file for one in rows), np.stack(shown),
                          np.array([places[one.category] for one in rows], dtype=np.int64))


def images_of_maps(maps: ImportanceMaps, *, network: Network) -> LabelledImages:
    """Take the images that importance maps were made of, where the source holds them with their labels."""
    rows = [k for k in range(len(maps)) if maps.images[k] is not None and maps.labels[k] is not None]
    if not rows:
        _refuse(maps.source, "importance maps without images or without labels", "`image` and `label` in each file",
                "Add them, or name a study whose RE the maps are of (--study).")
    labels = np.array([maps.labels[k] for k in rows], dtype=np.int64)
    if labels.min() < 0 or labels.max() >= len(network.class_names):
        _refuse(maps.source, f"labels from {labels.min()} to {labels.max()}",
                f"0 to {len(network.class_names) - 1}, the outputs of {network.name}",
                "Choose a network with the categories of the maps.")
    shown = []
    for k in rows:
        pixels = maps.images[k]
        assert pixels is not None
        if pixels.shape[0] != pixels.shape[1]:
            _refuse(maps.source, f"image {maps.image_ids[k]} of shape {pixels.shape}", "a square image",
                    "Save the image as the network sees it.")
        shown.append(fit_side(pixels, side=network.input_size))
    ids = tuple(maps.image_ids[k] for k in rows)
    return LabelledImages(ids, ids, np.stack(shown), labels)


def drawings(categories: Sequence[str], *, network: Network, each: int, seed: int = 0) -> LabelledImages:
    """Draw pictures of categories that a network knows, for the network that ships with the project."""
    places = {name: index for index, name in enumerate(network.class_names)}
    known = [name for name in categories if name in places]
    if not known:
        _refuse("drawings", f"a network, {network.name}, that knows none of the drawn categories",
                "photographs, a study or importance maps", "Name them with --images, --study or --maps.")
    names = [(name, k) for name in known for k in range(each)]
    shown = np.stack([draw(name, rng=rng(seed, "drawings to measure", name, k), size_px=network.input_size)
                      for name, k in names])
    return LabelledImages(tuple(map(image_id_of, shown)), tuple(f"drawn/{name}-{k + 1}" for name, k in names), shown,
                          np.array([places[name] for name, _ in names], dtype=np.int64))


def _refuse(where: str, came: str, expected: str, remedy: str) -> NoReturn:
    raise StimulusError(where, came=came, expected=expected, remedy=remedy)
