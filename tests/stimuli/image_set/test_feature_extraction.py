"""Features are what the network says of each image, joined by its identity, and made once."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stimuli.feature_store import part_path
from stimuli.image_set import feature_extraction as extraction
from stimuli.image_set.build import build
from stimuli.image_set.feature_extraction import describe, extract
from stimuli.manifest import read_image, read_manifest, read_pixels
from stimuli.networks import registry as networks
from stimuli.networks.registry import TorchNetwork
from subjects.errors import ManifestError, NetworkError
from subjects.settings.loading import load_settings
from tests.stimuli.tiny import Study, make_study

ROOT = Path(__file__).resolve().parents[3]


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
    monkeypatch.setattr(extraction, "FeatureWriter", None)
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
    assert not built.layout.features("tiny").parent.exists()


def test_an_unknown_network_is_an_error(built: Study) -> None:
    with pytest.raises(NetworkError, match=r"'dmeo'; .*Did you mean 'demo'"):
        extract(built.layout, built.settings, network="dmeo")


def _cut_at(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process die after so many batches."""
    real, seen = TorchNetwork.features, []

    def dying(self: TorchNetwork, images: np.ndarray, **given: int) -> dict[str, np.ndarray]:
        seen.append(len(images))
        if len(seen) > n:
            raise KeyboardInterrupt
        return real(self, images, **given)

    monkeypatch.setattr(TorchNetwork, "features", dying)


@pytest.mark.parametrize("n", [0, 1, 3, 4])
def test_an_interrupted_extraction_is_gone_on_with(built: Study, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = extract(built.layout, built.settings).store.path
    content = whole.read_bytes()
    whole.unlink()
    with monkeypatch.context() as patch:
        _cut_at(n, patch)
        with pytest.raises(KeyboardInterrupt):
            extract(built.layout, built.settings)
    assert not whole.exists()
    made = extract(built.layout, built.settings)
    assert (made.n_resumed, made.reused) == (4 * n, False)
    assert whole.read_bytes() == content
    assert extract(built.layout, built.settings).reused


def test_features_that_stood_stay_until_the_new_ones_are_whole(built: Study, tiny: TorchNetwork,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    whole = extract(built.layout, built.settings).store.path
    content = whole.read_bytes()
    monkeypatch.setattr(networks, "NETWORKS", {"tiny": lambda: dataclasses.replace(tiny, digest="tiny-2")})
    with monkeypatch.context() as patch:
        _cut_at(2, patch)
        with pytest.raises(KeyboardInterrupt):
            extract(built.layout, built.settings)
    assert whole.read_bytes() == content


def test_the_line_says_what_was_done(built: Study) -> None:
    first = describe(extract(built.layout, built.settings))
    assert first.startswith("2 layers x 18 images taken: ")
    assert first.endswith(" MiB)")
    assert "already current, reused" in describe(extract(built.layout, built.settings))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_kill_9_at_random_moments_loses_a_batch_at_most(tmp_path: Path) -> None:
    layout = make_study(tmp_path / "study", network="demo", size_px=227, batch=3).layout
    build(layout, load_settings(layout.root))
    whole = extract(layout, load_settings(layout.root)).store.path
    content = whole.read_bytes()
    whole.unlink()
    command = [sys.executable, "-m", "stimuli", "features", "--study", str(layout.root)]
    rng = np.random.default_rng(0)
    for _ in range(6):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            part = part_path(whole)
            while child.poll() is None and not part.is_file():
                time.sleep(0.005)
            time.sleep(float(rng.uniform(0.0, 0.15)))
            child.kill()
        if whole.exists():
            whole.unlink()
    extract(layout, load_settings(layout.root))
    assert whole.read_bytes() == content
