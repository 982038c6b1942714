"""Harmonizing from the call and from the command: judged, interrupted, reused, refused, and used afterwards."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file
from torchvision import models

from stimuli.__main__ import cli
from stimuli.alignment.importance.maps import read_importance_maps
from stimuli.alignment.importance.processing import smoothed_as_clickme
from stimuli.alignment.training import harmonize as module
from stimuli.alignment.training.examples import Changes
from stimuli.alignment.training.fitting import Recipe
from stimuli.alignment.training.gathering import gather_examples
from stimuli.alignment.training.harmonize import CHECKPOINT, Harmonized, harmonize, split
from stimuli.alignment.training.trainable import make_trainable, write_weights
from stimuli.alignment.training.verdict import Verdict, judge
from stimuli.networks.registry import load_network, to_tensor
from stimuli.networks.taps import plain_module
from subjects.errors import NetworkError, StimulusError, StoreError
from subjects.provenance import sidecar_path
from tests.stimuli.alignment.cases import grey_images
from tests.stimuli.alignment.training.small import SIDE, small_examples, small_network

QUICK = Recipe(epochs=3, batch=12, learning_rate=1e-2, levels=3, changes=Changes(max_shift_px=1))
CPU = torch.device("cpu")
NETWORK = "tests.stimuli.alignment.training.small:small_network"


def train(out, **changes):
    chosen = {"recipe": QUICK, "seed": 3, **changes}
    return harmonize(chosen.pop("network", small_network()), chosen.pop("examples", small_examples(without=6)), out=out,
                     **chosen)


# ---------------------------------------------------------------- the verdict

def test_accuracy_and_alignment_are_those_of_plain_loops():
    network, examples = make_trainable(small_network()), small_examples(12, without=3)
    found = judge(network, examples, device=CPU, levels=3, batch=5)
    network.eval()
    right, rhos = 0, []
    for image, label, human in zip(examples.images, examples.labels, examples.maps, strict=True):
        pixels = to_tensor(image[None]).requires_grad_()
        logits = network(pixels)
        right += int(logits.argmax()) == label
        gradient, = torch.autograd.grad(logits[0, label], pixels)
        if human.any():
            ranks = [np.argsort(np.argsort(one.ravel())) for one in (gradient[0].abs().amax(0).numpy(), human)]
            rhos.append(np.corrcoef(*ranks)[0, 1])
    assert found.accuracy == right / 12
    assert found.alignment == pytest.approx(np.mean(rhos), abs=0.02)  # ties of dead pixels apart
    assert (found.n_images, found.n_maps) == (12, 9)


def test_a_verdict_leaves_the_mode_and_survives_json():
    network = make_trainable(small_network())
    found = judge(network, small_examples(4, without=4), device=CPU)
    assert network.training
    assert np.isnan(found.alignment)
    again = Verdict.of(json.loads(json.dumps(found.record())))
    assert (again.accuracy, again.n_maps) == (found.accuracy, 0)
    assert np.isnan(again.map_error)


# ---------------------------------------------------------------- the call

def test_examples_are_split_once_and_for_all():
    trained, judged = split(40, held_out=0.25, seed=4)
    assert sorted([*trained, *judged]) == list(range(40))
    assert len(judged) == 10
    assert [list(rows) for rows in split(40, held_out=0.25, seed=4)] == [list(trained), list(judged)]
    assert list(split(40, held_out=0.25, seed=5)[1]) != list(judged)
    assert len(split(40, held_out=0.0, seed=4)[1]) == 0


def test_weights_and_their_record_are_written_and_reused(tmp_path):
    made = train(tmp_path)
    said = json.loads(sidecar_path(made.weights).read_text())
    assert said["Network"] == "small"
    assert said["inputs"] == {"network": "small-0", "examples": small_examples(without=6).digest}
    assert said["parameters"]["harmonization"] == 1.0
    assert len(made.epochs) == 3
    assert made.before.n_images == made.after.n_images == 4
    assert set(load_file(made.weights)) == set(small_network().module.state_dict())
    assert not (tmp_path / CHECKPOINT).exists()
    again = train(tmp_path)
    assert again.reused
    assert again.epochs == made.epochs
    assert again.after == made.after


class StopError(Exception):
    pass


def interrupted(out, monkeypatch, *, after):
    """Break off after so many checkpoints, as a crash would."""
    plain, count = module._Made.keep, []

    def keep(self, training):
        plain(self, training)
        count.append(1)
        if len(count) == after:
            raise StopError

    with monkeypatch.context() as patch, pytest.raises(StopError):
        patch.setattr(module._Made, "keep", keep)
        train(out, save_every=2)


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_training_ends_in_the_same_file(tmp_path, monkeypatch, after):
    whole = train(tmp_path / "whole")
    interrupted(tmp_path / "parts", monkeypatch, after=after)
    assert (tmp_path / "parts" / CHECKPOINT).exists()
    parts = train(tmp_path / "parts")
    assert parts.weights.read_bytes() == whole.weights.read_bytes()
    assert (parts.epochs, parts.before, parts.after) == (whole.epochs, whole.before, whole.after)


@pytest.mark.parametrize("change", [{"seed": 4}, {"recipe": replace(QUICK, harmonization=2.0)},
                                    {"network": small_network(1)}, {"examples": small_examples(seed=2)},
                                    {"held_out": 0.2}])
def test_other_weights_are_not_written_over(tmp_path, monkeypatch, change):
    interrupted(tmp_path, monkeypatch, after=1)
    with pytest.raises(StoreError, match="the checkpoint of another training; expected one of this network"):
        train(tmp_path, **change)
    train(tmp_path)
    with pytest.raises(StoreError, match="weights of another training; expected a free name, .* add --overwrite"):
        train(tmp_path, **change)
    assert not train(tmp_path, **change, overwrite=True).reused


def test_maps_are_asked_for_unless_they_count_nothing(tmp_path):
    bare = small_examples(without=40)
    with pytest.raises(StimulusError, match="none of 36 images with an importance map; expected maps of some"):
        train(tmp_path, examples=bare)
    assert train(tmp_path, examples=bare, recipe=replace(QUICK, harmonization=0.0)).after.n_maps == 0


# ---------------------------------------------------------------- files of maps

def save_maps(folder, examples, *, n=None, images=True):
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(n or len(examples)):
        extra = {"image": examples.images[k], "label": examples.labels[k]} if images else {}
        np.savez(folder / f"{k:03d}.npz", map=examples.maps[k], **extra)
    return folder


def test_examples_come_from_maps_with_their_images(tmp_path):
    examples = small_examples(8)
    found = gather_examples(small_network(), None, maps=read_importance_maps(save_maps(tmp_path / "maps", examples)))
    assert np.array_equal(found.images, examples.images)
    assert np.array_equal(found.labels, examples.labels)
    assert np.allclose(found.maps, examples.maps)


def test_maps_are_smoothed_as_clickmes_are_where_that_is_asked_for(tmp_path):
    examples = small_examples(4)
    maps = read_importance_maps(save_maps(tmp_path / "maps", examples))
    found = gather_examples(small_network(), None, maps=maps, smooth=True)
    assert np.array_equal(found.maps, smoothed_as_clickme(examples.maps, side=SIDE))
    assert not np.allclose(found.maps, examples.maps, atol=0.05)


def test_images_and_maps_are_joined_by_their_ids(tmp_path):
    network = small_network()
    pixels = small_examples(6).images
    images = replace(grey_images(6, network=_on_small(network)), image_ids=tuple("abcdef"), pixels=pixels)
    folder = tmp_path / "maps"
    folder.mkdir()
    for name, value in (("d", 3.0), ("b", 1.0), ("z", 9.0)):
        np.savez(folder / f"{name}.npz", map=np.pad([[value]], ((0, SIDE - 1), (0, SIDE - 1))), image_id=name)
    found = gather_examples(network, images, maps=read_importance_maps(folder))
    assert found.has_map.tolist() == [False, True, False, True, False, False]
    assert found.maps[:, 0, 0].tolist() == [0, 1, 0, 3, 0, 0]


def _on_small(network):
    """Let the cases' helper draw on a network of another size."""
    return type("Answers", (), {"probabilities": lambda self, pixels: np.eye(4)[np.arange(len(pixels)) % 4]})()


def test_maps_without_images_need_them_named(tmp_path):
    maps = read_importance_maps(save_maps(tmp_path / "maps", small_examples(3), images=False))
    with pytest.raises(StimulusError, match="importance maps without images and labels; expected `image` and `label`"):
        gather_examples(small_network(), None, maps=maps)
    with pytest.raises(StimulusError, match="neither images nor importance maps"):
        gather_examples(small_network(), None, maps=None)


# ---------------------------------------------------------------- the command

def run(*words):
    return CliRunner().invoke(cli, ["harmonize", *map(str, words)], catch_exceptions=True)


def test_the_command_trains_and_says_how_to_use_the_weights(tmp_path):
    maps, out = save_maps(tmp_path / "maps", small_examples(20)), tmp_path / "out"
    words = ("--network", NETWORK, "--maps", maps, "--out", out, "--epochs", 2, "--batch", 8, "--learning-rate", 0.01,
             "--levels", 2, "--shift", 1, "--no-mirror", "--held-out", 0.2)
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["network"] == f"{NETWORK}@harmonized"
    assert said["before"]["n_images"] == 4
    harmonized = load_network(said["network"], weights=out / "weights.safetensors")
    with torch.no_grad():
        images = to_tensor(small_examples(3).images)
        assert not torch.allclose(harmonized.logits(images), small_network().logits(images))
    again = run(*words)
    assert "weights already up to date" in again.output
    assert f"--network {NETWORK}@harmonized --weights {out / 'weights.safetensors'}" in again.output.replace("\n", " ")


def test_the_options_that_are_told_load_the_very_network_that_was_trained(tmp_path, monkeypatch):
    """With the preprocessing that was asked for: without it the same weights give other answers."""
    trained = []
    monkeypatch.setattr(module, "harmonize", lambda network, *_, **said: trained.append(network) or Harmonized(
        write_weights(tmp_path / "w.safetensors", plain_module(network.module).state_dict(), overwrite=False),
        *[Verdict(0, 0, 0.0, 0.0, 0.0)] * 2, (), reused=True))
    torch.manual_seed(3)
    net = models.squeezenet1_1(weights=None).eval()
    torch.save(net.state_dict(), tmp_path / "random.pt")
    maps = save_maps(tmp_path / "maps", small_examples(2))
    done = run("--network", "squeezenet1_1", "--weights", tmp_path / "random.pt", "--preprocessing", "caffe-227",
               "--maps", maps, "--out", tmp_path / "out")
    told = shlex.split(done.output.partition("to use them: ")[2])
    given = dict(zip(told[::2], told[1::2], strict=True))
    assert set(given) == {"--network", "--weights", "--preprocessing"}
    again = load_network(given["--network"], weights=Path(given["--weights"]), preprocessing=given["--preprocessing"])
    images = torch.rand(2, 3, 227, 227)
    with torch.no_grad():
        torch.testing.assert_close(again.logits(images), trained[0].logits(images))


@pytest.mark.slow
def test_a_training_that_was_killed_ends_in_the_same_bytes(tmp_path):
    """By the system, with no chance to tidy up: the same command goes on from the last checkpoint."""
    maps = save_maps(tmp_path / "maps", small_examples(24))
    words = ("harmonize", "--network", NETWORK, "--maps", maps, "--epochs", 25, "--batch", 4, "--levels", 2,
             "--save-every", 1, "--threads", 1, "--seed", 5)
    program = [sys.executable, "-m", "stimuli", *map(str, words)]
    started = subprocess.Popen([*program, "--out", str(tmp_path / "killed")], cwd=Path(__file__).parents[4],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while started.poll() is None and not (tmp_path / "killed" / CHECKPOINT).exists():
        time.sleep(0.02)
    started.kill()
    started.wait()
    assert (tmp_path / "killed" / CHECKPOINT).is_file()
    assert not (tmp_path / "killed" / "weights.safetensors").exists()
    for name in ("killed", "undisturbed"):
        subprocess.run([*program, "--out", str(tmp_path / name)], cwd=Path(__file__).parents[4], check=True,
                       capture_output=True)
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["weights.json", "weights.safetensors"]
    one, other = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("killed", "undisturbed"))
    assert one == other


def test_the_commands_recipe_is_what_was_asked_for(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(module, "harmonize", lambda *_, **said: given.update(said) or (_ for _ in ()).throw(StopError))
    maps = save_maps(tmp_path / "maps", small_examples(4))
    run("--network", NETWORK, "--maps", maps, "--out", tmp_path / "out", "--weight", 2, "--saliency", "training",
        "--precision", "bfloat16", "--smoothing", 0, "--optimizer", "sgd", "--decay", 0, "--seed", 9, "--brightness",
        0.1)
    assert given["recipe"] == Recipe(harmonization=2.0, in_evaluation=False, precision="bfloat16", smoothing=0.0,
                                     optimizer="sgd", decay=0.0, changes=Changes(brightness=0.1))
    assert (given["seed"], given["held_out"], given["device"]) == (9, 0.1, CPU)


def test_photographs_alone_train_by_their_categories(tmp_path):
    examples, folder = small_examples(12), tmp_path / "photographs"
    folder.mkdir()
    rows = ["file\tcategory\tclass"]
    for k, (image, label) in enumerate(zip(examples.images, examples.labels, strict=True)):
        Image.fromarray(image).save(folder / f"{k}.png")
        rows.append(f"{k}.png\t{small_network().class_names[label]}\tcorners")
    (folder / "labels.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    done = run("--network", NETWORK, "--images", folder, "--out", tmp_path / "out", "--weight", 0, "--epochs", 1,
               "--batch", 6, "--held-out", 0.25, "--json")
    assert done.exit_code == 0, done.exception
    said = json.loads(done.stdout)
    assert (said["before"]["n_images"], said["before"]["n_maps"]) == (3, 0)
    assert (tmp_path / "out" / "weights.safetensors").is_file()


@pytest.mark.parametrize(("words", "text"), [
    ((), "neither images nor importance maps"),
    (("--maps", "absent"), "no such file or folder"),
    (("--weights", "absent.safetensors"), "the network as it ships"),
])
def test_what_cannot_be_trained_is_refused(tmp_path, words, text):
    done = run("--out", tmp_path / "out", *words)
    assert isinstance(done.exception, (StimulusError, NetworkError))
    assert text in str(done.exception)
    assert not (tmp_path / "out").exists()
