"""Features are what the network says of each image, joined by its identity, and made once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from stimuli import features as extraction
from stimuli import network as networks
from stimuli.features import extract
from stimuli.manifest import read_image, read_manifest, read_pixels
from stimuli.network import TorchNetwork
from subjects.errors import ManifestError, NetworkError
from tests.stimuli.tiny import Study


def test_every_image_has_its_own_units(built: Study, tiny: TorchNetwork) -> None:
    made = extract(built.layout, built.settings)
    assert (made.reused, made.n_layers, made.n_images) == (False, 2, 18)
    assert made.store.path == built.layout.features("tiny")
    for one in read_manifest(built.layout.manifest).stimuli[::-5]:
        pixels = read_pixels(built.layout.stimuli, one)
        units = made.store.read("layer1", image_ids=[one.image_id])[0]
        np.testing.assert_allclose(units, pixels.transpose(2, 0, 1).reshape(-1) / 255.0, rtol=1e-6)
        softmax = made.store.read("layer2", image_ids=[one.image_id])[0]
        np.testing.assert_allclose(softmax, tiny.probabilities(pixels[None])[0], atol=1e-6)


def test_what_stands_is_reused(built: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    first = extract(built.layout, built.settings).store.path
    stamp = first.stat().st_mtime_ns
    monkeypatch.setattr(extraction, "create_store", None)
    assert extract(built.layout, built.settings).reused
    assert first.stat().st_mtime_ns == stamp


def test_another_network_of_the_same_name_is_taken_again(built: Study, tiny: TorchNetwork,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    extract(built.layout, built.settings)
    other = dataclasses.replace(tiny, digest="tiny-2")
    monkeypatch.setattr(networks, "NETWORKS", {"tiny": lambda: other})
    made = extract(built.layout, built.settings)
    assert not made.reused
    assert made.store.network_digest == "tiny-2"


def test_a_damaged_file_is_taken_again(built: Study) -> None:
    path = extract(built.layout, built.settings).store.path
    path.write_bytes(path.read_bytes()[:-100])
    assert not extract(built.layout, built.settings).reused
    assert extract(built.layout, built.settings).reused


@pytest.mark.parametrize("batch", [1, 5, 18, 50])
def test_batches_change_nothing_beyond_rounding(built: Study, batch: int) -> None:
    settings = built.settings.model_copy(update={
        "stimuli": built.settings.stimuli.model_copy(update={"batch": batch})})
    store = extract(built.layout, settings).store
    images = np.stack([read_pixels(built.layout.stimuli, one) for one in read_manifest(built.layout.manifest).stimuli])
    wanted = networks.load_network("tiny").features(images, batch=7)
    for name in store.layers:
        np.testing.assert_allclose(store.read(name), wanted[name], atol=1e-5)


def test_a_changed_image_leaves_nothing_behind(built: Study) -> None:
    path = built.layout.stimuli / "images/AI/fruits-02_AI.png"
    pixels = read_image(path)
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    with pytest.raises(ManifestError, match="fruits-02_AI.png: pixels with digest"):
        extract(built.layout, built.settings)
    assert not built.layout.features("tiny").exists()
    assert list(built.layout.features("tiny").parent.iterdir()) == []


def test_an_unknown_network_is_an_error(built: Study) -> None:
    with pytest.raises(NetworkError, match=r"'dmeo'; .*Did you mean 'demo'"):
        extract(built.layout, built.settings, network="dmeo")
