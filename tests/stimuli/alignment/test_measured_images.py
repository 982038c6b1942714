"""Which images a network is measured on: photographs, a set, those of maps, drawings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stimuli.alignment.images import (
    drawings,
    images_of_maps,
    labelled_photographs,
    regular_images,
    resize_rule,
)
from stimuli.alignment.importance.maps import ImportanceMaps
from stimuli.files import image_id_of
from stimuli.manifest import read_manifest, read_pixels
from stimuli.networks.registry import TorchNetwork
from stimuli.regular_images.photographs import to_square
from subjects.errors import StimulusError
from tests.stimuli.alignment.cases import two_categories
from tests.stimuli.tiny import SIDE, Study


@pytest.fixture
def photographs(tmp_path: Path, tiny: TorchNetwork) -> Path:
    """Give a folder of five photographs in class folders."""
    rng = np.random.default_rng(0)
    for k in range(5):
        folder = tmp_path / "photographs" / tiny.class_names[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30 + k, 40, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    return tmp_path / "photographs"


def test_photographs_are_labelled_and_brought_to_the_input(photographs: Path, tiny: TorchNetwork) -> None:
    found = labelled_photographs(photographs, network=tiny, resize="warp")
    assert len(found) == 5
    assert found.pixels.shape == (5, SIDE, SIDE, 3)
    for image_id, file, pixels, label in zip(found.image_ids, found.files, found.pixels, found.labels, strict=True):
        whole = np.asarray(Image.open(photographs / file))
        assert image_id == image_id_of(whole)
        assert file.startswith(tiny.class_names[label])
        np.testing.assert_array_equal(pixels, to_square(whole, side=SIDE, resize="warp"))


def test_some_photographs_are_the_same_for_every_network(photographs: Path, tiny: TorchNetwork) -> None:
    one, other = (labelled_photographs(photographs, network=network, most=3)
                  for network in (tiny, replace(tiny, name="other")))
    assert one.files == other.files
    assert len(one) == 3
    assert one.digest == other.digest
    assert labelled_photographs(photographs, network=tiny, most=3, seed=1).files != one.files
    assert resize_rule(tiny) == "crop"


def test_a_set_s_re_are_taken_by_the_names_of_their_categories(built: Study, tiny: TorchNetwork) -> None:
    manifest = read_manifest(built.layout.manifest)
    renamed = replace(tiny, class_names=("other", *tiny.class_names[1:]))
    found = regular_images(built.layout.stimuli, manifest, network=renamed)
    wanted = [one for one in manifest.stimuli if one.type == "RE" and one.category != tiny.class_names[0]]
    assert found.image_ids == tuple(one.image_id for one in wanted)
    np.testing.assert_array_equal(found.pixels[0], read_pixels(built.layout.stimuli, wanted[0]))
    assert [tiny.class_names[k] for k in found.labels] == [one.category for one in wanted]
    with pytest.raises(StimulusError, match="a set of whose categories tiny knows none"):
        regular_images(built.layout.stimuli, manifest, network=two_categories()[0])


def _maps(labels: tuple, images: tuple) -> ImportanceMaps:
    return ImportanceMaps(("a", "b"), np.random.default_rng(0).random((2, 4, 4)).astype(np.float32), images, labels,
                          (None, None), "maps")


def test_maps_bring_their_images() -> None:
    network, _ = two_categories()
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    found = images_of_maps(_maps((1, None), (image, image)), network=network)
    assert (found.image_ids, found.labels.tolist(), found.pixels.shape) == (("a",), [1], (1, 6, 6, 3))
    with pytest.raises(StimulusError, match="without images or without labels"):
        images_of_maps(_maps((1, 1), (None, None)), network=network)
    with pytest.raises(StimulusError, match="labels from 1 to 2; expected 0 to 1, the outputs of tiny"):
        images_of_maps(_maps((1, 2), (image, image)), network=network)
    with pytest.raises(StimulusError, match=r"image a of shape \(6, 12, 3\); expected a square image"):
        images_of_maps(_maps((1, None), (image[:6], image)), network=network)


def test_drawings_are_for_networks_that_know_them(tiny: TorchNetwork) -> None:
    found = drawings((*tiny.class_names, "none of it"), network=tiny, each=2)
    assert len(found) == 2 * len(tiny.class_names)
    assert found.files[1] == f"drawn/{tiny.class_names[0]}-2"
    assert found.digest == drawings(tiny.class_names, network=tiny, each=2).digest
    assert len(set(found.image_ids)) == len(found)
    with pytest.raises(StimulusError, match="knows none of the drawn categories"):
        drawings(("none of it",), network=tiny, each=1)
