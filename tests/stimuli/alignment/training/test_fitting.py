"""The training: what it learns, that interruptions and processes change nothing, and what it refuses."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stimuli.alignment.importance.agreement import spearman
from stimuli.alignment.training.examples import Changes
from stimuli.alignment.training.fitting import Recipe, Training
from stimuli.alignment.training.loss import take_saliency
from stimuli.alignment.training.trainable import make_trainable
from stimuli.alignment.training.workers import ALONE, Workers, joined
from subjects.errors import NetworkError
from tests.stimuli.alignment.training.small import SIDE, small_examples, small_network

CPU = torch.device("cpu")
QUICK = Recipe(epochs=2, batch=12, learning_rate=1e-2, levels=3, changes=Changes(max_shift_px=1))


def training(recipe=QUICK, *, seed=1, examples=None, network=None):
    made = network or make_trainable(small_network())
    return Training(made, examples or small_examples(without=8), recipe=recipe, seed=seed, device=CPU)


def weights(one):
    return {name: values.clone() for name, values in one.network.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def alignment(network, examples):
    """Spearman of saliency and importance, mean over images."""
    network.eval()
    images = (torch.from_numpy(examples.images).permute(0, 3, 1, 2) / 255).requires_grad_()
    found = take_saliency(network(images), images, labels=torch.from_numpy(examples.labels), keep=False)
    return float(np.mean(spearman(found.abs().numpy(), examples.maps)))


@pytest.mark.slow
def test_it_learns_the_classes_and_to_look_where_people_do():
    examples = small_examples(80)
    found = {}
    for weight in (0.0, 3.0):
        one = training(dataclasses.replace(QUICK, epochs=25, harmonization=weight, changes=Changes(False, 0, 0.0)),
                       examples=examples)
        epochs = one.run()
        assert len(epochs) == 25
        assert epochs[-1]["accuracy"] > 0.95 > epochs[0]["accuracy"]
        found[weight] = epochs, alignment(one.network, examples)
    assert found[3.0][0][-1]["harmonization"] < 0.1 * found[3.0][0][0]["harmonization"]
    assert found[3.0][1] > found[0.0][1] + 0.03


@pytest.mark.slow
def test_saliency_through_the_statistics_of_a_batch_is_not_that_of_the_network():
    """Why the default is not the published mode: with batch norm in training the error falls, and nothing aligns."""
    examples, found = small_examples(80), []
    for in_evaluation in (True, False):
        one = training(dataclasses.replace(QUICK, epochs=25, harmonization=10.0, in_evaluation=in_evaluation,
                                           changes=Changes(False, 0, 0.0)), examples=examples)
        one.run()
        found.append(alignment(one.network, examples))
    assert found[0] > found[1] + 0.1


@pytest.mark.parametrize("chosen", [{}, {"optimizer": "sgd"}, {"in_evaluation": False}, {"precision": "bfloat16"}])
@pytest.mark.parametrize("stop", [1, 3, 4, 7])
def test_an_interruption_changes_no_bit(tmp_path, chosen, stop):
    recipe = dataclasses.replace(QUICK, **chosen)
    whole = training(recipe)
    epochs = whole.run()
    first = training(recipe)
    first.run(until=stop)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    torch.rand(17)  # whatever else was drawn in between
    second = training(recipe, network=make_trainable(small_network(seed=5)))
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert second.state.step == stop
    assert second.run() == epochs
    assert equal(weights(second), weights(whole))


def test_training_leaves_torchs_random_numbers_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    training().run(until=2)
    assert torch.equal(torch.get_rng_state(), before)


STILL = Changes(mirror=False, max_shift_px=0, brightness=0.0)


@pytest.mark.parametrize("change", [{"seed": 2}, {"recipe": dataclasses.replace(QUICK, changes=STILL)}])
def test_the_seed_and_the_changes_count(change):
    one, other = training(), training(**change)
    one.run(until=1)
    other.run(until=1)
    assert not equal(weights(one), weights(other))


def test_every_example_is_met_once_an_epoch():
    one = training(dataclasses.replace(QUICK, batch=7))
    rows = [np.concatenate([one._rows(epoch, place) for place in range(one.per_epoch)]) for epoch in range(2)]
    assert one.per_epoch == 6
    assert [sorted(found) for found in rows] == [list(range(40))] * 2
    assert list(rows[0]) != list(rows[1])


def test_processes_share_a_step_evenly():
    shares = []
    for rank in range(3):
        one = Training(make_trainable(small_network()), small_examples(), recipe=QUICK, seed=1, device=CPU,
                       workers=Workers(rank, 3))
        shares.append([list(one._rows(0, place)) for place in range(one.per_epoch)])
    alone = training(examples=small_examples())
    for place in range(4):
        assert [len(share[place]) for share in shares] == [4, 4, 4] if place < 3 else [1, 1, 1]
        joint = {row for share in shares for row in share[place]}
        assert joint <= set(alone._rows(0, place))
        assert len(joint) == sum(len(share[place]) for share in shares)


def test_the_rate_falls_along_half_a_cosine():
    one, rates = training(), []
    one.run(kept=lambda: rates.append(one.optimizer.param_groups[0]["lr"]))
    assert rates == pytest.approx([1e-2 * (1 + np.cos(np.pi * step / 8)) / 2 for step in range(8)])


def test_a_loss_that_is_no_number_is_told():
    network = make_trainable(small_network())
    with torch.no_grad():
        network.module.head.bias[0] = torch.nan
    with pytest.raises(NetworkError, match="training: a loss of nan in step 1; expected a finite loss. Lower"):
        training(network=network).run()


def test_float16_finds_its_scale_and_trains():
    one = training(dataclasses.replace(QUICK, precision="float16", epochs=12))
    epochs = one.run()
    assert 1.0 < one.scaler.get_scale() <= 2.0**16
    assert all(values.dtype is torch.float32 for values in one.network.parameters())
    assert all(torch.isfinite(values).all() for values in one.network.parameters())
    assert epochs[-1]["accuracy"] > epochs[0]["accuracy"]


def test_examples_without_any_map_train_by_cross_entropy_alone():
    examples = small_examples(without=40)
    epochs = training(examples=examples).run()
    assert all(epoch["harmonization"] == 0.0 for epoch in epochs)


# ---------------------------------------------------------------- several processes

PROGRAM = """
import torch
from stimuli.alignment.training.fitting import Recipe, Training
from stimuli.alignment.training.examples import Changes
from stimuli.alignment.training.trainable import make_trainable
from stimuli.alignment.training.workers import joined
from tests.stimuli.alignment.training.small import small_examples, small_network
network = small_network()
network.module.body[1], network.module.dropout = torch.nn.Identity(), torch.nn.Identity()
torch.set_num_threads(1)
with joined(torch.device("cpu")) as (workers, device):
    recipe = Recipe(epochs=2, batch=8, learning_rate=1e-3, optimizer="sgd", changes=Changes(max_shift_px=1))
    one = Training(make_trainable(network), small_examples(), recipe=recipe, seed=1, device=device, workers=workers)
    epochs = one.run()
    if workers.first:
        torch.save({"weights": one.network.state_dict(), "epochs": epochs}, PATH)
"""


def _port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def run_processes(count, path):
    """Start them as torchrun does."""
    port = str(_port())
    started = [subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("PATH", repr(str(path)))], cwd=Path(__file__).parents[4],
        env={**os.environ, "PYTHONPATH": ".", "WORLD_SIZE": str(count), "RANK": str(rank), "LOCAL_RANK": str(rank),
             "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}) for rank in range(count)]
    assert [one.wait(timeout=120) for one in started] == [0] * count
    return torch.load(path, weights_only=True)


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path):
    """Without batch norm and dropout, which each process has for itself: the same weights up to rounding."""
    one, two = (run_processes(count, tmp_path / f"{count}.pt") for count in (1, 2))
    for name, values in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], values, rtol=1e-4, atol=1e-6)
    for first, second in zip(one["epochs"], two["epochs"], strict=True):
        assert second == pytest.approx(first, rel=1e-4)


def test_alone_nothing_is_wrapped_or_waited_for(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    module, values = nn.Linear(2, 2), torch.ones(2)
    with joined(CPU) as (workers, device):
        assert (workers, device, workers.first) == (ALONE, CPU, True)
        assert workers.wrap(module, device=device) is module
        assert torch.equal(workers.add(values), torch.ones(2))
        workers.agree()


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(NetworkError, match="torchrun: process 2 on this computer; expected at most 1, one a GPU"), \
            joined(torch.device("cuda")):
        pass


def test_images_are_as_large_as_the_network_asks_for():
    assert small_examples().images.shape[1] == SIDE == small_network().input_size
