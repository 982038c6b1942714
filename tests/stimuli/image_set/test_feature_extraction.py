"""Features are what the network says of each image, joined by its identity, and made once."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from stimuli.feature_store import open_store
from stimuli.image_set.build import build
from stimuli.image_set.exports import feature_extraction as extraction
from stimuli.image_set.exports.feature_extraction import describe, extract
from stimuli.image_set.exports.feature_writer import part_path
from stimuli.image_set.set_network import NetworkChoice
from stimuli.manifest import read_image, read_manifest, read_pixels
from stimuli.networks import registry as networks
from stimuli.networks.registry import TorchNetwork
from subjects.errors import ManifestError, NetworkError, StoreError
from subjects.provenance import digest_file, sidecar_path
from subjects.settings.loading import load_settings
from tests.stimuli.tiny import NAMES, Study, linear_network, make_study

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


def test_another_network_of_the_sets_name_is_refused_with_both_digests(built: Study, tiny: TorchNetwork,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    path = extract(built.layout, built.settings).store.path
    content = path.read_bytes()
    monkeypatch.setattr(networks, "NETWORKS", {"tiny": lambda **_: dataclasses.replace(tiny, digest="tiny-2")})
    with pytest.raises(NetworkError, match=r"tiny tiny-2; expected tiny tiny-1, the network that the set was made "
                                           r"with .*`python -m stimuli build --study .* --overwrite`"):
        extract(built.layout, built.settings)
    assert path.read_bytes() == content


def _other(tiny: TorchNetwork, monkeypatch: pytest.MonkeyPatch, *, name: str = "other", digest: str = "o-1") -> None:
    found = dataclasses.replace(tiny, name=name, digest=digest)
    monkeypatch.setattr(networks, "NETWORKS", {**networks.NETWORKS, name: lambda **_: found})


def test_another_network_on_purpose_has_its_own_file_and_says_so(built: Study, tiny: TorchNetwork,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    own = extract(built.layout, built.settings).store.path
    content = own.read_bytes()
    for digest in ("o-1", "o-2"):
        _other(tiny, monkeypatch, digest=digest)
        made = extract(built.layout, built.settings, asked=NetworkChoice("other"))
        assert (made.reused, made.store.network_digest, made.store.path.name) == (False, digest,
                                                                                  "network-other_features.h5")
        assert "of network other, not the set's (tiny) extracted" in describe(made)
    assert extract(built.layout, built.settings, asked=NetworkChoice("other")).reused
    assert own.read_bytes() == content


def test_images_are_resampled_for_a_network_of_another_size(built: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = linear_network(np.zeros((3 * 30 * 30, 6)), np.arange(6.0), side=30, names=NAMES)
    _other(wide, monkeypatch)
    store = extract(built.layout, built.settings, asked=NetworkChoice("other")).store
    one = read_manifest(built.layout.manifest).stimuli[4]
    pixels = Image.fromarray(read_pixels(built.layout.stimuli, one)).resize((30, 30), Image.Resampling.BICUBIC)
    wanted = np.asarray(pixels).transpose(2, 0, 1).reshape(-1) / 255.0
    np.testing.assert_allclose(store.read("layer1", image_ids=[one.image_id])[0], wanted, rtol=1e-6)
    assert json.loads(store.path.with_suffix(".json").read_text())["parameters"]["resampled_from_px"] == 24


def test_a_network_whose_name_gives_the_same_file_name_is_refused(built: Study, tiny: TorchNetwork,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    path = extract(built.layout, built.settings).store.path
    content = path.read_bytes()
    _other(tiny, monkeypatch, name="t_iny")
    with pytest.raises(StoreError, match="responses of network 'tiny'; expected a file of 't_iny' alone"):
        extract(built.layout, built.settings, asked=NetworkChoice("t_iny"))
    assert path.read_bytes() == content


def test_features_can_be_made_anew(built: Study) -> None:
    extract(built.layout, built.settings)
    assert not extract(built.layout, built.settings, overwrite=True).reused


def _spoil(path: Path, spoil: Callable[[h5py.File], None]) -> None:
    """Change a features file, and let its sidecar agree, as a tool that does not know the format might."""
    with h5py.File(path, "r+") as file:
        spoil(file)
    beside = path.with_suffix(".json")
    content = json.loads(beside.read_text(encoding="utf-8"))
    beside.write_text(json.dumps({**content, "digest": digest_file(path)}), encoding="utf-8")


def _set_nan(file: h5py.File) -> None:
    file["layers"]["layer1"][3, 5] = np.nan


def _replace_layer(file: h5py.File, **options: Any) -> None:
    del file["layers"]["layer2"]
    file["layers"].create_dataset("layer2", **options)


def _number_ids(file: h5py.File) -> None:
    del file["image_ids"]
    file["image_ids"] = np.arange(18)


def _drop_tap(file: h5py.File) -> None:
    del file.attrs["tap"]


SPOILT: dict[str, Callable[[h5py.File], None]] = {
    "no tap": _drop_tap, "NaN": _set_nan, "numbers for ids": _number_ids,
    "no units": lambda file: _replace_layer(file, shape=(18, 0), dtype="f4"),
    "a huge layer that was never filled": lambda file: _replace_layer(file, shape=(18, 10**9), dtype="f4",
                                                                      chunks=(1, 4096)),
    "texts in a layer": lambda file: _replace_layer(file, data=np.full((18, 6), b"x")),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_file_that_is_no_use_is_made_anew_without_a_word_too_many(built: Study, what: str) -> None:
    path = extract(built.layout, built.settings).store.path
    wanted = open_store(path).read("layer2")
    _spoil(path, SPOILT[what])
    assert not extract(built.layout, built.settings).reused
    assert np.array_equal(open_store(path).read("layer2"), wanted)
    assert extract(built.layout, built.settings).reused


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


def test_the_logits_are_a_reading_beside_the_layers(built: Study, tiny: TorchNetwork) -> None:
    store = extract(built.layout, built.settings).store
    assert (store.layers, store.readings) == (("layer1", "layer2"), ("logits",))
    logits = store.read("logits").astype(np.float64)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax, store.read("layer2"), atol=1e-5)
    assert "logits" not in extract(built.layout, built.settings).record()["layers"]


def test_features_of_a_release_without_logits_are_read_and_made_anew_when_asked(built: Study) -> None:
    made = extract(built.layout, built.settings).store
    with h5py.File(made.path, "r+") as file:
        del file.attrs["readings"], file["layers"]["logits"]
    beside = sidecar_path(made.path)
    content = json.loads(beside.read_text())
    del content["parameters"]["readings"]
    beside.write_text(json.dumps({**content, "digest": digest_file(made.path, verify=True)}))
    old = open_store(made.path)
    assert (old.layers, old.readings) == (made.layers, ())
    with pytest.raises(StoreError, match="no layer 'logits'; expected a layer of the file"):
        old.read("logits")
    again = extract(built.layout, built.settings)
    assert (again.reused, again.store.readings) == (False, ("logits",))


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
        extract(built.layout, built.settings, asked=NetworkChoice("dmeo"))


def _cut_at(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process die after so many batches."""
    real, seen = TorchNetwork.features, []

    def dying(self: TorchNetwork, images: np.ndarray, **given: int) -> dict[str, np.ndarray]:
        if given.get("batch") == 1:  # the one image by which units are counted
            return real(self, images, **given)
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


def test_old_features_stay_until_the_new_ones_are_whole(built: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = extract(built.layout, built.settings).store.path
    content = whole.read_bytes()
    with monkeypatch.context() as patch:
        _cut_at(2, patch)
        with pytest.raises(KeyboardInterrupt):
            extract(built.layout, built.settings, overwrite=True)
    assert whole.read_bytes() == content


def test_the_line_says_what_was_done(built: Study) -> None:
    first = describe(extract(built.layout, built.settings))
    assert first.startswith("2 layers x 18 images of network tiny extracted: ")
    assert first.endswith(" MiB)")
    assert "already up to date" in describe(extract(built.layout, built.settings))


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
