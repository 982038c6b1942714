"""One network of each kind, named once to ``build``, from the first image to the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision import models

from analysis.statistics.readings import named_layers
from stimuli.feature_store import open_store
from stimuli.manifest import read_manifest, read_set_network
from subjects.layout import Layout, network_label
from subjects.run_key import RunKey
from subjects.settings.loading import as_toml
from subjects.store import read_table
from tests.network_files import undecided_blobs, undecided_state, write_photographs
from tests.stimuli.weight_files import write_caffemodel

ROOT = Path(__file__).resolve().parents[1]
SMALL = {
    "study": {"name": "chain", "seed": 20210},
    "main": {"runs": 2, "lead_in_s": 20.0},
    "roi": {"vertices_per_hemisphere": 40},
    "simulate": {"subdivisions": 1},
    "rsa": {"n_permutations": 50, "n_bootstraps": 50},
    "encoding": {"candidates": [1, 2], "folds": 5, "n_permutations": 50, "n_subsamples": 50},
}
FEW = {"re_p": 1e-12, "shortfall": "best", "class_lists": "wide"}
EASY = {**FEW, "an_p": 0.9, "ai_p": 0.9, "an_ceiling_p": 0.9999, "an_min_contrast": 6.0, "an_contrast_tolerance": 50.0}
OWN = '''
from stimuli.networks.registry import TorchNetwork, load_network


def load():
    demo = load_network("demo")
    return TorchNetwork(name="our_own", digest="0123456789abcdef", class_names=demo.class_names, layers=demo.layers,
                        tap=demo.tap, mean_image=demo.mean_image, module=demo.module, preprocess=demo.preprocess)
'''


@dataclass(frozen=True)
class Kind:
    """A network as it is named once, and what of the settings its input asks for."""

    words: tuple[str, ...]
    name: str
    size_px: int = 227
    photographs: bool = True
    trained: bool = False


KINDS = {
    "demo": Kind(("demo",), "demo", photographs=False),
    "alexnet-caffe": Kind(("alexnet-caffe", "--weights", "alexnet.caffemodel"), "alexnet-caffe"),
    "alexnet-torchvision": Kind(("alexnet-torchvision",), "alexnet-torchvision", 224),
    "underscore": Kind(("squeezenet1_0", "--preprocessing", "caffe-227"), "squeezenet1_0", trained=True),
    "own": Kind(("own_network:load",), "our_own", photographs=False),
}


def _cached_file(name: str) -> str:
    """Give the name under which torchvision keeps a network's weights."""
    url: str = models.get_model_weights(name).DEFAULT.url
    return url.rpartition("/")[2]


def _provide(folder: Path, key: str, *, shared_data: Path) -> None:
    """Put there what the network needs: a caffemodel, torchvision's cache, or a module of one's own."""
    checkpoints = folder / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    if key == "alexnet-caffe":
        write_caffemodel(folder / "alexnet.caffemodel", undecided_blobs())
    if key == "alexnet-torchvision":
        torch.save(undecided_state("alexnet", "classifier.6"), checkpoints / _cached_file("alexnet"))
    if key == "underscore":
        torch.save(load_file(shared_data / "squeezenet1_0_imagenet.safetensors"),
                   checkpoints / _cached_file("squeezenet1_0"))
    if key == "own":
        (folder / "own_network.py").write_text(OWN, encoding="utf-8")
    if KINDS[key].photographs:
        write_photographs(folder / "photographs")


def _play(folder: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
                   "TORCH_HOME": str(folder / "torch"), "ADVERSARIAL_FMRI_HOME": str(folder / "home")}
    program = ["-m", *words] if words[0] != "run_session.py" else [str(ROOT / words[0]), *words[1:]]
    done = subprocess.run([sys.executable, *program], cwd=folder, env=environment, capture_output=True, text=True,
                          check=False, timeout=600)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("key", list(KINDS))
def test_a_network_is_named_once(key: str, tmp_path: Path, shared_data: Path) -> None:
    kind, study = KINDS[key], ("--study", "study")
    _provide(tmp_path, key, shared_data=shared_data)
    _play(tmp_path, "subjects", "init", *study)
    rules = (FEW if kind.trained else EASY) if kind.photographs else {}
    stimuli = {"per_class": 2, "size_px": kind.size_px, **rules}
    (tmp_path / "study" / "study.toml").write_text(as_toml({**SMALL, "stimuli": stimuli}), encoding="utf-8")
    photographs = ("--images", "photographs") if kind.photographs else ()
    _play(tmp_path, "stimuli", "build", *study, "--network", *kind.words, *photographs)
    verdict = json.loads(_play(tmp_path, "stimuli", "check", *study, "--json"))
    assert (verdict["ok"], verdict["n_images"]) == (True, 30)
    _play(tmp_path, "stimuli", "features", *study)
    _play(tmp_path, "subjects", "add", *study, "--sub", "01", "--virtual")
    for ses in ("01", "02"):
        for run in ("1", "2"):
            _play(tmp_path, "run_session.py", "run", *study, "--sub", "01", "--ses", ses, "--task", "main",
                  "--run", run, "--scanner", "emulated", "--display", "virtual")
    for step in ("simulate", "glm", "rsa", "encode"):
        _play(tmp_path, "analysis", step, *study, "--sub", "01")
    _play(tmp_path, "analysis", "report", *study)

    layout = Layout(tmp_path / "study")
    recorded = read_set_network(layout.manifest)
    assert recorded.name == kind.name
    assert {one.network for one in read_manifest(layout.manifest).stimuli} == {kind.name}
    store = open_store(layout.features(kind.name))
    assert (store.network, store.network_digest) == (kind.name, recorded.digest)
    table = read_table(layout.derivative("rsa", suffix="rsa.tsv", network=network_label(kind.name)))
    assert len(set(table["place"])) >= 8
    encoded = read_table(layout.derivative("encoding", sub="01", suffix="encoding.tsv"))
    assert set(encoded["layer"]) == set(named_layers(store))
    assert layout.report.stat().st_size > 100_000


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_two_networks_are_shown_to_one_subject(tmp_path: Path) -> None:
    """The network that ships, and the same with other weights: from both networks' set to similarities by network."""
    study, (first, second) = ("--study", "study"), ("demo", "demo@second")
    weights = load_file(ROOT / "stimuli" / "data" / "demo_network.safetensors")
    noise = torch.Generator().manual_seed(1)
    save_file({name: values + 0.03 * values.std(correction=0) * torch.randn(values.shape, generator=noise)
               if values.ndim > 1 else values for name, values in weights.items()}, tmp_path / "second.safetensors")
    _play(tmp_path, "subjects", "init", *study)
    stimuli = {"classes": ["dogs", "cars", "fruits"], "animal_classes": ["dogs"], "per_class": 4, "re_p": 0.9,
               "second_network": second, "second_weights": str(tmp_path / "second.safetensors")}
    (tmp_path / "study" / "study.toml").write_text(as_toml({**SMALL, "stimuli": stimuli}), encoding="utf-8")
    _play(tmp_path, "stimuli", "build", *study)
    verdict = json.loads(_play(tmp_path, "stimuli", "check", *study, "--json"))
    assert (verdict["ok"], verdict["n_images"], verdict["network"]) == (True, 60, f"{first} + {second}")
    _play(tmp_path, "stimuli", "features", *study)
    _play(tmp_path, "stimuli", "features", *study, "--network", second)
    layout = Layout(tmp_path / "study")
    manifest = read_manifest(layout.manifest)
    for sub in ("01", "02"):
        _play(tmp_path, "subjects", "add", *study, "--sub", sub, "--virtual")
        for ses, run in ((ses, run) for ses in ("01", "02") for run in ("1", "2")):
            _play(tmp_path, "run_session.py", "run", *study, "--sub", sub, "--ses", ses, "--task", "main", "--run", run,
                  "--scanner", "emulated", "--display", "virtual")
            events = read_table(layout.events(RunKey(sub, ses, "main", int(run))))
            shown = [manifest.by_id(str(one)) for one in events["image_id"].dropna().unique()]
            assert Counter((one.type, one.network) for one in shown) == {
                ("RE", f"{first} + {second}"): 6,
                **{(kind, name): 3 for kind in ("AN", "AI") for name in (first, second)}}
    for step in ("simulate", "glm", "rsa"):
        _play(tmp_path, "analysis", step, *study, "--sub", "01", "--sub", "02")
    for sub in ("01", "02"):
        table = read_table(layout.derivative("rsa", sub=sub, suffix="rsa.tsv", desc="networks"))
        assert dict(table.groupby("network")["n"].unique().map(list)) == {
            first: [6], second: [6], f"{first} minus {second}": [12]}
    for name in (first, second):
        assert set(read_table(layout.derivative("rsa", suffix="rsa.tsv", network=network_label(name)))["n"]) >= {12}
