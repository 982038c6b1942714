"""Variants of a set: the same RE, AN or AI made once more by another choice, and the network's responses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stimuli.feature_store import open_store
from stimuli.image_set import variants
from stimuli.image_set.build import build
from stimuli.image_set.variants import variant_image, vary
from stimuli.manifest import read_image, read_manifest, read_pixels
from stimuli.networks.registry import TorchNetwork
from stimuli.perturbation.start_image import WithMeanImage
from subjects.errors import StimulusError, StoreError
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from tests.stimuli.tiny import Study, make_study


def _changed(study: Study, **stimuli: object) -> Settings:
    return load_settings(study.layout.root, overrides={f"stimuli.{key}": value for key, value in stimuli.items()})


def _spread(image: np.ndarray) -> float:
    values = image.astype(np.float64)
    return float(np.sqrt(((values - values.mean(axis=(0, 1))) ** 2).mean()))


def _files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_noise_of_another_contrast_from_the_same_set(built: Study, tiny: TorchNetwork, tmp_path: Path) -> None:
    before = _files(built.layout.root)
    made = vary(built.layout, _changed(built, an_min_contrast=24.0), kind="AN", folder=tmp_path / "an24")
    manifest = read_manifest(built.layout.manifest)
    assert [one.base_image for one in made.images] == list(manifest.base_images)
    for one in made.images:
        pixels = read_image(variant_image(made.folder, one.base_image, kind="AN"))
        own = manifest.get(base_image=one.base_image, type="RE").category_index
        p = tiny.probabilities(pixels[None])[0, own]
        assert one.reached
        assert (one.target_index, one.p) == (own, pytest.approx(p))
        assert 0.99 <= p < 0.995
        assert 24.0 <= _spread(pixels) <= 26.4
    assert _files(built.layout.root) == before, "the set stays as it is"


def test_the_sets_own_choice_gives_the_sets_own_images(built: Study, tmp_path: Path) -> None:
    """The same rules, starts and targets: pixel by pixel what `build` made."""
    manifest = read_manifest(built.layout.manifest)
    for kind in ("AN", "AI"):
        made = vary(built.layout, built.settings, kind=kind, folder=tmp_path / kind)
        for one in made.images:
            row = manifest.get(base_image=one.base_image, type=kind)
            assert one.image_id == row.image_id
            assert one.iterations == row.iterations


def test_another_seed_of_targets_aims_elsewhere_and_each_category_once(built: Study, tmp_path: Path) -> None:
    manifest = read_manifest(built.layout.manifest)
    own = {one.base_image: one.target_index for one in manifest.stimuli if one.type == "AI"}
    made = vary(built.layout, built.settings, kind="AI", seed=99, folder=tmp_path / "draw")
    found = {one.base_image: one.target_index for one in made.images}
    assert found != own
    assert sorted(found.values()) == sorted(own.values())
    assert all(one.p > 0.99 for one in made.images)


def test_responses_are_the_networks_in_the_order_of_the_images(built: Study, tiny: TorchNetwork,
                                                              tmp_path: Path) -> None:
    manifest = read_manifest(built.layout.manifest)
    made = vary(built.layout, built.settings, kind="own", folder=tmp_path / "own")
    store = open_store(made.features[0])
    assert made.images == ()
    assert store.image_ids == tuple(one.image_id for one in manifest.stimuli)
    shown = np.stack([read_pixels(built.layout.stimuli, one) for one in manifest.stimuli])
    assert np.allclose(store.read("layer2"), tiny.features(shown)["layer2"], atol=1e-6)
    assert store.readings == ("logits",)


def test_a_variant_that_was_cut_short_goes_on_where_it_was(built: Study, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    whole = vary(built.layout, built.settings, kind="AI", seed=3, folder=tmp_path / "whole")
    batches: list[int] = []
    climb = variants.ascend

    def interrupted(*arguments: object, **options: object) -> object:
        if len(batches) == 1:
            raise KeyboardInterrupt
        batches.append(1)
        return climb(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(variants, "ascend", interrupted)
        with pytest.raises(KeyboardInterrupt):
            vary(built.layout, built.settings, kind="AI", seed=3, folder=tmp_path / "cut")
    kept = _files(tmp_path / "cut" / "images")
    assert len(kept) == built.settings.stimuli.batch
    calls: list[int] = []
    monkeypatch.setattr(variants, "ascend", lambda *some, **how: calls.append(1) or climb(*some, **how))
    again = vary(built.layout, built.settings, kind="AI", seed=3, folder=tmp_path / "cut")
    assert len(calls) == 1
    assert again.images == whole.images
    assert {name: data for name, data in _files(tmp_path / "cut" / "images").items() if name in kept} == kept


def test_a_folder_of_another_variant_is_refused(built: Study, tmp_path: Path) -> None:
    vary(built.layout, built.settings, kind="AI", seed=3, folder=tmp_path / "one")
    with pytest.raises(StoreError, match=r"variant.json: a variant made by other choices"):
        vary(built.layout, built.settings, kind="AI", seed=4, folder=tmp_path / "one")


def test_an_image_that_was_damaged_is_made_again(built: Study, tmp_path: Path) -> None:
    made = vary(built.layout, built.settings, kind="AN", folder=tmp_path / "an")
    path = variant_image(made.folder, made.images[0].base_image, kind="AN")
    before = path.read_bytes()
    path.write_bytes(b"no image")
    assert vary(built.layout, built.settings, kind="AN", folder=tmp_path / "an").images == made.images
    assert path.read_bytes() == before


def test_what_the_rules_cannot_reach_is_said_and_not_hidden(built: Study, tmp_path: Path) -> None:
    made = vary(built.layout, _changed(built, max_iterations=1), kind="AN", folder=tmp_path / "an")
    assert {one.reached for one in made.images} == {False}
    assert made.summary().startswith(f"{len(made.images)} AN, 0 of them as the rules ask")


def test_a_mean_image_with_the_contrast_of_noise_is_refused(built: Study, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    speckled = np.random.default_rng(0).uniform(0, 255, (24, 24, 3)).astype(np.float32)
    network = variants.load_set_network(built.layout, built.settings.stimuli)
    monkeypatch.setattr(variants, "with_kept_mean", lambda *_, **__: WithMeanImage(network, speckled))
    with pytest.raises(StimulusError, match="more contrast than AN start with"):
        vary(built.layout, built.settings, kind="AN", folder=tmp_path / "an")


def test_the_command_as_written(built: Study, command: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    words = ("vary", "--study", built.layout.root, "--type", "AI", "--target", "nearest", "--out", tmp_path / "near")
    code, said, _ = command(*words, "--json")
    assert code == 0
    record = json.loads(said)
    assert record["type"] == "AI"
    assert len(record["images"]) == 6
    code, said, _ = command(*words)
    assert (code, said.count("\n")) == (0, 1)
    assert said.startswith("6 AI, 6 of them as the rules ask; responses of network tiny at 1 tap: ")


def test_layers_are_read_where_they_are_named(tmp_path: Path) -> None:
    """With the network that ships: two taps that it offers, and two modules that stand for its layers."""
    study = make_study(tmp_path / "study", network="demo", size_px=227, per_class=1)
    build(study.layout, study.settings)
    taps = ("after norm and pool", "before norm and pool", "convolutions.0 convolutions.2")
    made = vary(study.layout, study.settings, kind="own", folder=tmp_path / "own", taps=taps)
    stores = [open_store(path) for path in made.features]
    assert [store.tap for store in stores] == list(taps)
    assert [len(store.layers) for store in stores] == [8, 8, 3]
    assert stores[0].n_units["layer1"] < stores[1].n_units["layer1"]
