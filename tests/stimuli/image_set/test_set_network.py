"""A set remembers its network: later commands take it without its name, and no other one by accident."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from stimuli.categories import ImagenetCategory, imagenet_categories
from stimuli.feature_store import open_store
from stimuli.image_set.set_network import NetworkChoice, load_set_network
from stimuli.manifest import read_manifest, read_set_network
from stimuli.networks.torchvision_networks import load_torchvision, weights_path
from subjects.dataset import init_study
from subjects.errors import NetworkError
from subjects.layout import Layout
from subjects.machine import HOME
from subjects.settings.loading import load_settings
from tests.stimuli.tiny import CHANGES, Study, make_study
from tests.stimuli.weight_files import FULL, alexnet_blobs, torchvision_state, write_caffemodel

Command = Callable[..., tuple[int, str, str]]
LOW: dict[str, Any] = {"classes": ["dogs", "birds"], "animal_classes": ["dogs", "birds"], "per_class": 2, "min_px": 20,
                       "an_min_contrast": 2.0, "re_p": 1e-4, "an_p": 0.25, "ai_p": 0.3, "an_ceiling_p": 0.9999}
WEAK = np.float32(0.02)


def _categories() -> list[ImagenetCategory]:
    """The first two categories of each class."""
    of = {name: [one for one in imagenet_categories() if one.class_name == name][:2] for name in ("dogs", "birds")}
    return [*of["dogs"], *of["birds"]]


def _photographs(folder: Path) -> Path:
    """Three pictures of nothing a category, in folders named by wnid."""
    rng = np.random.default_rng(2)
    for category in _categories():
        (folder / category.wnid).mkdir(parents=True)
        for k in range(3):
            _picture(rng).save(folder / category.wnid / f"{k}.png")
    return folder


def _picture(rng: np.random.Generator) -> Image.Image:
    small = Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8))
    return small.resize((330, 270), Image.Resampling.BICUBIC)


def _standardised(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy((np.asarray(picture, np.float32) / 255.0 - 0.45) / 0.225).permute(2, 0, 1)[None]


LAST = {"alexnet": ("classifier.6", 300.0), "squeezenet1_0": ("classifier.1", 10.0),
        "squeezenet1_1": ("classifier.1", 10.0)}
"""Network -> its last layer, and by how much random weights of it are made stronger, so that images matter."""


def _undecided(name: str, *, seed: int = 0) -> dict[str, torch.Tensor]:
    """Give random weights with which a photograph is any of the four categories with about equal probabilities."""
    from torchvision import models

    state, (last, gain) = dict(torchvision_state(name, seed=seed)), LAST[name]
    state[f"{last}.weight"] = state[f"{last}.weight"] * gain
    module = models.get_model(name, weights=None).eval()
    module.load_state_dict(state)
    with torch.no_grad():
        state[f"{last}.bias"] -= module(_standardised(_picture(np.random.default_rng(1)).resize((224, 224))))[0]
    state[f"{last}.bias"][[one.index for one in _categories()]] += 6.0
    return state


OWN_MODULE = """
from stimuli.networks.torchvision_networks import load_torchvision


def load():
    return load_torchvision("squeezenet1_1", weights={path!r})
"""


def _demo(folder: Path, patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    return ("--network", "demo")


def _caffe(folder: Path, patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    blobs = alexnet_blobs(3, **FULL)
    weights, bias = blobs["fc8"]
    bias[[one.index for one in _categories()]] += 6.0
    path = write_caffemodel(folder / "w.caffemodel", {**blobs, "fc8": (weights * WEAK, bias)})
    return ("--network", "alexnet-caffe", "--weights", str(path))


def _cached(folder: Path, patch: pytest.MonkeyPatch, *, name: str) -> None:
    patch.setenv("TORCH_HOME", str(folder / "torch"))
    path = weights_path(name)
    path.parent.mkdir(parents=True)
    torch.save(_undecided(name), path)


def _alexnet_torchvision(folder: Path, patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    _cached(folder, patch, name="alexnet")
    return ("--network", "alexnet-torchvision")


def _underscore(folder: Path, patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    _cached(folder, patch, name="squeezenet1_0")
    return ("--network", "squeezenet1_0", "--preprocessing", "unit")


def _own(folder: Path, patch: pytest.MonkeyPatch) -> tuple[str, ...]:
    path = folder / "own.safetensors"
    save_file(_undecided("squeezenet1_1"), path)
    (folder / "own_nets.py").write_text(OWN_MODULE.format(path=str(path)), encoding="utf-8")
    patch.syspath_prepend(folder)
    patch.setenv(HOME, str(folder / "home"))
    return ("--network", "own_nets:load")


KINDS: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], tuple[str, ...]], int]] = {
    "demo": (_demo, 227), "alexnet-caffe": (_caffe, 227), "alexnet-torchvision": (_alexnet_torchvision, 224),
    "squeezenet1_0": (_underscore, 227), "own_nets:load": (_own, 224)}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_set_of_every_kind_of_network_is_checked_and_read_without_its_name(
        name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    prepare, side = KINDS[name]
    own = ":" in name
    called = "squeezenet1_1" if own else name
    options = prepare(tmp_path, monkeypatch)
    if name != "demo":
        options += ("--images", str(_photographs(tmp_path / "photographs")))
    start = {"mean_image": "channels"} if name == "demo" else {}  # the mean of its drawings has a contrast of 8.7
    layout = init_study(Layout(tmp_path / "study"), name="kinds", seed=4,
                        changes={"stimuli": {**LOW, "size_px": side, **start}})
    code, said, complaint = command("build", "--study", layout.root, *options)
    assert (code, f"12 images of network {called} made" in said) == (0, True), complaint
    record = read_set_network(layout.manifest)
    assert (record.name, {one.network_digest for one in read_manifest(layout.manifest).stimuli}) == \
        (called, {record.digest})
    assert record.function == (name if own else None)
    code, said, complaint = command("check", "--study", layout.root, "--json")
    assert (code, json.loads(said)["network"], json.loads(said)["n_failed"]) == (0, called, 0), complaint
    code, said, complaint = command("features", "--study", layout.root)
    assert (code, f"12 images of network {called} extracted" in said) == (0, True), complaint
    store = open_store(layout.features(called))
    assert (store.network, store.network_digest, len(store.image_ids)) == (called, record.digest, 12)
    code, said, _ = command("build", "--study", layout.root)
    assert (code, f"network {called} already up to date" in said) == (0, True)


NAME = "squeezenet1_1"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of photographs with a set of a torchvision network whose weights lie inside the study."""
    from stimuli.image_set.build import build

    folder = tmp_path_factory.mktemp("made")
    layout = init_study(Layout(folder / "study"), name="made", seed=4, changes={
        "stimuli": {**LOW, "size_px": 224, "images": str(_photographs(folder / "photographs"))}})
    save_file(_undecided(NAME), layout.root / "w.safetensors")
    settings = load_settings(layout.root)
    build(layout, settings, asked=NetworkChoice(NAME, weights=layout.root / "w.safetensors",
                                                preprocessing="torchvision"))
    return layout.root


@pytest.fixture
def squeezed(made: Path, tmp_path: Path) -> Layout:
    import shutil

    return Layout(shutil.copytree(made, tmp_path / "study"))


def _digest(layout: Layout, weights: str = "w.safetensors") -> str:
    return load_torchvision(NAME, weights=layout.root / weights).digest


def test_the_record_says_where_the_parts_are(squeezed: Layout) -> None:
    from subjects.provenance import digest_file

    record = read_set_network(squeezed.manifest)
    assert (record.name, record.weights, record.preprocessing) == (NAME, "w.safetensors", "torchvision")
    assert record.tap == "after norm and pool"
    assert record.weights_digest == digest_file(squeezed.root / "w.safetensors")
    assert record.digest == _digest(squeezed)


def test_exchanged_weights_are_refused_with_both_digests_until_they_are_back(squeezed: Layout,
                                                                             command: Command) -> None:
    known, kept = _digest(squeezed), (squeezed.root / "w.safetensors").read_bytes()
    save_file(_undecided(NAME, seed=9), squeezed.root / "w.safetensors")
    other = _digest(squeezed)
    for verb in ("check", "features", "candidates"):
        code, _, complaint = command(verb, "--study", squeezed.root)
        assert code == 2
        assert f"{NAME} {other} (weights file " in complaint
        assert f"expected {NAME} {known}, the network that the set was made with (weights w.safetensors" in complaint
    (squeezed.root / "w.safetensors").write_bytes(kept)
    assert command("check", "--study", squeezed.root)[0] == 0


def test_another_preprocessing_is_refused_with_both_digests(squeezed: Layout, command: Command) -> None:
    code, _, complaint = command("check", "--study", squeezed.root, "--preprocessing", "caffe-224")
    assert code == 2
    assert f"expected {NAME} {_digest(squeezed)}" in complaint
    assert "preprocessing torchvision" in complaint


def test_weights_that_were_moved_are_named_or_recorded_anew(squeezed: Layout, tmp_path: Path,
                                                            command: Command) -> None:
    place = (squeezed.root / "w.safetensors").rename(tmp_path / "elsewhere.safetensors")
    code, _, complaint = command("check", "--study", squeezed.root)
    assert (code, "w.safetensors: no such file" in complaint, "--weights FILE" in complaint) == (2, True, True)
    assert command("check", "--study", squeezed.root, "--weights", place)[0] == 0
    code, said, _ = command("build", "--study", squeezed.root, "--weights", place, "--json")
    assert (code, json.loads(said)["reused"]) == (0, True)
    assert read_set_network(squeezed.manifest).weights == place.as_posix()
    assert command("check", "--study", squeezed.root)[0] == 0


def test_a_check_by_another_network_is_refused_with_both_digests(squeezed: Layout, command: Command) -> None:
    code, _, complaint = command("check", "--study", squeezed.root, "--network", "demo")
    assert code == 2
    assert f"demo 5f8edfba6150c68b asked for; expected {NAME} {_digest(squeezed)}, the network" in complaint
    assert "--also demo" in complaint
    assert command("check", "--study", squeezed.root, "--network", NAME)[0] == 0
    assert command("check", "--study", squeezed.root, "--also", "demo")[0] == 0


def test_the_set_wins_over_the_settings_and_says_so(squeezed: Layout, caplog: pytest.LogCaptureFixture,
                                                    command: Command) -> None:
    path = squeezed.settings_file
    path.write_text(path.read_text(encoding="utf-8").replace("[stimuli]", '[stimuli]\nnetwork = "demo"', 1),
                    encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        network = load_set_network(squeezed, load_settings(squeezed.root).stimuli)
    assert (network.name, network.digest) == (NAME, _digest(squeezed))
    assert f"the settings name network demo; the set was made with {NAME}" in caplog.text
    code, _, complaint = command("build", "--study", squeezed.root)
    assert code == 2
    assert "size_px" in complaint or "another network" in complaint


def test_a_set_of_version_0_1_takes_the_rest_from_the_settings(squeezed: Layout) -> None:
    beside = squeezed.manifest.with_suffix(".json")
    content = json.loads(beside.read_text(encoding="utf-8"))
    beside.write_text(json.dumps({key: value for key, value in content.items() if key != "network"}))
    known = {"stimuli.network": NAME, "stimuli.weights": "w.safetensors"}
    assert load_set_network(squeezed, load_settings(squeezed.root, overrides=known).stimuli).digest == _digest(squeezed)
    wrong = {**known, "stimuli.preprocessing": "caffe-224"}
    with pytest.raises(NetworkError, match=f"expected {NAME} {_digest(squeezed)}"):
        load_set_network(squeezed, load_settings(squeezed.root, overrides=wrong).stimuli)


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that leaves a mark when it runs, and an empty record of trust."""
    monkeypatch.setenv(HOME, str(tmp_path / "home"))
    monkeypatch.syspath_prepend(tmp_path)
    mark = tmp_path / "mark"
    (tmp_path / "marking_nets.py").write_text(
        f"from pathlib import Path\nPath({str(mark)!r}).touch()\nfrom tests.stimuli.tiny import fit_tiny\n\n\n"
        "def load():\n    return fit_tiny()\n", encoding="utf-8")
    yield mark
    import sys

    sys.modules.pop("marking_nets", None)


@pytest.mark.parametrize("verb", ["build", "candidates"])
def test_code_that_a_study_names_runs_after_consent_only(trusting: Path, tmp_path: Path, command: Command,
                                                         verb: str) -> None:
    study = make_study(tmp_path / "study", network="marking_nets:load")
    code, _, complaint = command(verb, "--study", study.layout.root)
    assert code == 2
    assert "study.toml, stimuli.network: code of the study's own, 'marking_nets:load'" in complaint
    assert "--trust" in complaint
    assert not trusting.exists()
    if verb == "build":
        assert command("build", "--study", study.layout.root, "--trust")[0] == 0
        assert trusting.exists()
        for later in ("check", "features"):
            assert command(later, "--study", study.layout.root)[0] == 0


def test_code_that_a_manifest_names_needs_consent_too(trusting: Path, tmp_path: Path, command: Command,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    layout = init_study(Layout(tmp_path / "study"), name="tiny", seed=5, changes={
        "stimuli": {key: value for key, value in CHANGES["stimuli"].items() if key != "network"}})
    assert command("build", "--study", layout.root, "--network", "marking_nets:load")[0] == 0, "named here: consent"
    assert command("check", "--study", layout.root)[0] == 0
    monkeypatch.setenv(HOME, str(tmp_path / "another computer"))
    for verb in ("check", "features", "build"):
        code, _, complaint = command(verb, "--study", layout.root)
        assert (code, "'marking_nets:load'" in complaint, "--trust" in complaint) == (2, True, True)


def test_a_network_is_never_taken_from_a_default(built: Study, command: Command) -> None:
    """Without a word in study.toml the set's network is taken, not the settings' default."""
    path = built.layout.settings_file
    path.write_text(path.read_text(encoding="utf-8").replace('network = "tiny"\n', ""), encoding="utf-8")
    for verb in ("check", "features"):
        assert command(verb, "--study", built.layout.root)[0] == 0
    with h5py.File(built.layout.features("tiny")) as file:
        assert file.attrs["network"] == "tiny"
    assert not built.layout.features("demo").exists()
    code, said, _ = command("build", "--study", built.layout.root, "--overwrite", "--json")
    assert (code, json.loads(said)["network"]) == (0, "tiny")
