"""Where networks compute: the device asked for or an error, the CPU as the judge, and threads by the cores.

No test machine has a GPU. Two things stand in for one: ``cpu:0``, which torch tells from ``cpu`` and which holds a copy
of the network, so that every byte takes the way to a device and back; and torch's fake tensors, which have a device
``cuda`` and no values, and refuse every operation between two devices.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from stimuli.image_set.build import build
from stimuli.image_set.check import check
from stimuli.image_set.exports.feature_extraction import extract
from stimuli.image_set.transfer import transfer
from stimuli.manifest import read_manifest, read_pixels
from stimuli.networks import hardware
from stimuli.networks.hardware import Hardware, OnDevice, computing, default_threads, find_device, made_on, place
from stimuli.networks.preprocessing import PREPROCESSINGS
from stimuli.networks.protocol import read_logits, to_tensor
from stimuli.networks.registry import TorchNetwork, load_network
from stimuli.networks.torchvision_networks import build_module
from stimuli.perturbation.start_image import WithMeanImage
from stimuli.regular_images.candidate_report import photographs_of, report_path
from subjects import machine
from subjects.errors import NetworkError
from subjects.provenance import sidecar_path
from subjects.store import read_json
from tests.stimuli.folders import class_folders, photo_study
from tests.stimuli.tiny import Study, fit_tiny, make_study

STAND_IN = torch.device("cpu", 0)
CUDA = Hardware("cuda", threads=1)
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``cuda`` be a second CPU."""
    monkeypatch.setattr(hardware, "find_device", lambda asked: STAND_IN if asked in ("cuda", "auto") else hardware.CPU)


def _answers(network: Any, seed: int = 3) -> NDArray[np.uint8]:
    side = network.input_size
    return np.random.default_rng(seed).integers(0, 256, (3, side, side, 3)).astype(np.uint8)


@pytest.mark.parametrize("asked", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_an_error(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "has_device", lambda kind: kind == "cpu")
    with pytest.raises(NetworkError, match=f"'{asked}', which is not there .*expected a device of this computer: cpu"):
        find_device(asked)
    assert find_device("auto") == find_device("cpu") == torch.device("cpu")


def test_auto_takes_the_fastest_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "has_device", lambda kind: kind in ("mps", "cpu"))
    assert find_device("auto").type == "mps"
    monkeypatch.setattr(hardware, "has_device", lambda _: True)
    assert find_device("auto").type == find_device("cuda").type == "cuda"


def test_an_unknown_device_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(NetworkError, match=r"'cudaa'.*expected one of auto, cpu, cuda, mps.*'cuda'"):
        find_device("cudaa")


@pytest.mark.parametrize("arguments", [("build",), ("check",), ("features",), ("candidates", "--images", ".")])
def test_every_command_refuses_a_missing_device_and_makes_nothing(
        arguments: tuple[str, ...], built: Study, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "has_device", lambda kind: kind == "cpu")
    before = sorted(path for path in built.layout.root.rglob("*"))
    also = ("--also", "tiny") if arguments == ("check",) else ()
    status, _, said = command(*arguments, *also, "--study", built.layout.root, "--device", "cuda")
    assert (status, "cuda" in said, "--device auto" in said) == (2, True, True)
    assert sorted(path for path in built.layout.root.rglob("*")) == before


def test_logits_gradients_and_layers_are_those_of_the_cpu(gpu: None) -> None:
    network = fit_tiny()
    moved = place(network, hardware=CUDA)
    assert isinstance(moved, OnDevice)
    assert moved.moved.device == STAND_IN
    images = _answers(network)
    for one, other in zip(moved.features(images).values(), network.features(images).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(read_logits(moved, images), read_logits(network, images))
    gradients = []
    for which in (network, moved):
        x = to_tensor(images).requires_grad_()
        which.logits(x)[:, 1].sum().backward()
        gradients.append(x.grad)
    assert torch.equal(gradients[0], gradients[1])  # type: ignore[arg-type]
    assert (moved.name, moved.digest, moved.layers, moved.tap) == ("tiny", "tiny-1", network.layers, "none")


def test_the_same_set_from_any_device_and_the_sidecar_says_which(gpu: None, tiny: TorchNetwork, built: Study,
                                                                 tmp_path: Path) -> None:
    study = make_study(tmp_path / "other")
    build(study.layout, study.settings, hardware=CUDA)
    assert read_manifest(study.layout.manifest) == read_manifest(built.layout.manifest)
    for study_, device in ((study, "cpu:0"), (built, "cpu")):
        said = read_json(sidecar_path(study_.layout.manifest))["made_on"]
        assert said == [{"device": device, "threads": 1, "torch": torch.__version__}]
    assert check(study.layout, study.settings, hardware=CUDA).ok
    made = extract(study.layout, study.settings, hardware=CUDA)
    assert read_json(sidecar_path(made.store.path))["MadeOn"]["device"] == "cpu:0"
    same = extract(built.layout, built.settings)
    for layer in made.store.layers:
        np.testing.assert_array_equal(made.store.read(layer), same.store.read(layer))


def test_an_interrupted_set_names_every_device_that_took_part(gpu: None, tiny: TorchNetwork, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    from stimuli.image_set.making import Maker

    study, whole = make_study(tmp_path / "cut"), Maker.make

    def cut(self: Maker, kind: str) -> Any:
        if kind == "AN":
            raise KeyboardInterrupt
        return whole(self, kind)

    monkeypatch.setattr(Maker, "make", cut)
    with pytest.raises(KeyboardInterrupt):
        build(study.layout, study.settings)
    monkeypatch.setattr(Maker, "make", whole)
    build(study.layout, study.settings, hardware=CUDA)
    said = read_json(sidecar_path(study.layout.manifest))["made_on"]
    assert [one["device"] for one in said] == ["cpu", "cpu:0"]


class _Off(nn.Module):
    """The tiny network on a device that errs in its logits."""

    def __init__(self, inside: nn.Module, by: float, layer_by: float = 0.0) -> None:
        super().__init__()
        self.inside, self.by, self.layer_by = inside, by, layer_by

    def forward(self, x: Tensor) -> Tensor:
        return self.inside(x) + torch.linspace(0, self.by, 6)

    def forward_layers(self, x: Tensor) -> dict[str, Tensor]:
        return {name: units + self.layer_by for name, units in self.inside.forward_layers(x).items()}


def _erring(by: float, *, layer_by: float = 0.0) -> OnDevice:
    network = fit_tiny()
    moved = dataclasses.replace(network, module=_Off(network.module, by, layer_by).eval(), device=STAND_IN)  # type: ignore[arg-type]
    return OnDevice(network, moved)


def test_a_device_that_answers_otherwise_is_refused_before_anything_is_made(
        gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware.copy, "deepcopy", lambda module: _Off(module, by=3.0).eval())
    with pytest.raises(NetworkError, match=r"tiny on cpu:0: .*probabilities that differ from the CPU's"):
        place(fit_tiny(), hardware=CUDA)


def test_a_device_whose_layers_differ_is_refused() -> None:
    network = _erring(0.0, layer_by=0.01)
    with pytest.raises(NetworkError, match=r"layer1 that differs by .*expected the CPU's layer1"):
        network.features(_answers(network))
    _erring(0.0, layer_by=1e-5).features(_answers(network))


def test_probabilities_come_from_the_cpu(tiny: TorchNetwork) -> None:
    network = _erring(1.0)
    images = _answers(network)
    np.testing.assert_array_equal(network.probabilities(images), tiny.probabilities(images))
    assert np.abs(network.moved.probabilities(images) - tiny.probabilities(images)).max() > 1e-3


def test_the_photographs_chosen_are_those_of_the_cpu_though_the_device_errs(
        tiny: TorchNetwork, tmp_path: Path) -> None:
    """Candidates that may be chosen carry the CPU's P; the device's error is at most what devices differ by."""
    study = photo_study(tmp_path / "study", class_folders(tmp_path / "photographs"), re_p=0.4)
    chosen = {}
    for name, network in (("cpu", tiny), ("device", _erring(1e-5))):
        photographs = photographs_of(study.layout, study.settings.stimuli, seed=5, network=network)
        assert photographs is not None
        chosen[name] = photographs.selection
        assert read_json(sidecar_path(report_path(study.layout)))["MadeOn"]["device"] == \
            {"cpu": "cpu", "device": "cpu:0"}[name]
        report_path(study.layout).unlink()
    assert chosen["cpu"].chosen == chosen["device"].chosen
    best = {one.screened.candidate.category: one.screened for one in chosen["cpu"].verdicts if one.verdict == "chosen"}
    assert best


def test_close_answers_to_other_networks_are_judged_on_the_cpu(built: Study, tiny: TorchNetwork) -> None:
    manifest = read_manifest(built.layout.manifest)
    pixels = {one.image_id: read_pixels(built.layout.stimuli, one) for one in manifest.stimuli}
    device = transfer(manifest, pixels, network=_erring(1e-5))
    cpu = transfer(manifest, pixels, network=tiny)
    assert [one.top for one in device.images] == [one.top for one in cpu.images]
    assert made_on(WithMeanImage(_erring(0.0), tiny.mean_image))["device"] == "cpu:0"


def test_a_network_that_is_no_torch_module_stays_on_the_cpu(gpu: None, tiny: TorchNetwork) -> None:
    network = WithMeanImage(tiny, tiny.mean_image)
    assert place(network, hardware=Hardware("auto")) is network
    with pytest.raises(NetworkError, match=r"a WithMeanImage, which cannot be moved to cpu:0"):
        place(network, hardware=CUDA)


def _networks() -> list[TorchNetwork]:
    from stimuli.networks.taps import HookedModule

    process = PREPROCESSINGS["torchvision"]
    module, _ = build_module("squeezenet1_0", preprocessing=process)
    hooked = HookedModule(module, example=torch.empty((1, 3, 224, 224), device="meta"))
    hooked = hooked.to_empty(device="cpu").eval()
    squeeze = TorchNetwork(name="squeezenet1_0", digest="none", class_names=("a", "b"), layers=hooked.layers, tap="x",
                           mean_image=process.mean_image, module=hooked, preprocess=process)
    return [load_network("demo"), squeeze]  # type: ignore[list-item]


def test_nothing_is_left_on_the_cpu_when_a_network_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits and every layer on torch's fake device, where an operand on the CPU is an error."""
    monkeypatch.setattr(TorchNetwork, "__post_init__", lambda _: None)
    for network in _networks():
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            images = torch.empty((2, 3, network.input_size, network.input_size))
            module: Any = network.module
            moved = dataclasses.replace(network, module=module.to("cuda"), device=torch.device("cuda"))
            assert moved.logits(images).device.type == "cpu"
            layers = moved.module.forward_layers(moved._prepared(images))
            assert {units.device.type for units in layers.values()} == {"cuda"}
            broken = dataclasses.replace(moved, preprocess=lambda x: x - torch.zeros((3, 1, 1)))
            with pytest.raises(RuntimeError, match="cuda"):
                broken.logits(images)


def test_threads_are_the_physical_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(machine, "_siblings", lambda cpu: f"{cpu % 2},{cpu % 2 + 2}")
    monkeypatch.setattr(machine, "_quota", lambda: None)
    assert default_threads() == 2  # four logical processors, two to a core
    monkeypatch.setattr(machine, "_quota", lambda: 1)
    assert default_threads() == 1
    monkeypatch.setattr(machine, "_quota", lambda: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert default_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert default_threads() == 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says of its processors")
def test_cores_are_counted_as_lscpu_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    said = subprocess.run(["lscpu", "--json", "--parse=CPU,CORE,SOCKET"], check=False, capture_output=True, text=True)
    lines = [line.split(",") for line in said.stdout.splitlines() if line and not line.startswith("#")] or \
        [line.split(",") for line in subprocess.run(["lscpu", "--parse=CPU,CORE,SOCKET"], check=True,
                                                   capture_output=True, text=True).stdout.splitlines()
         if line and not line.startswith("#")]
    mine = os.sched_getaffinity(0)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "_quota", lambda: None)
    assert default_threads() == len({(core, socket) for cpu, core, socket in lines if int(cpu) in mine})


def test_threads_and_precision_are_put_back() -> None:
    before, tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    with computing(Hardware(threads=before + 1)):
        assert torch.get_num_threads() == before + 1
        assert not torch.backends.cudnn.allow_tf32
        assert made_on(fit_tiny())["threads"] == before + 1
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == (before, tf32)


def test_features_say_their_device_in_json(gpu: None, built: Study, command: Command) -> None:
    status, said, _ = command("features", "--study", built.layout.root, "--device", "cuda", "--json")
    assert status == 0
    assert json.loads(said)["reused"] is False
