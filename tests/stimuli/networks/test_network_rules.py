"""Small rules of networks: quotas and cores from files, where the CPU is asked again, patterns, published figures."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from stimuli.networks import hardware, published
from stimuli.networks.hardware import ALIKE, Hardware, OnDevice, answer, device_of, find_device, full_precision, made_on
from stimuli.networks.named_taps import find_modules, passed_modules, tap_name
from stimuli.networks.published import find_published
from subjects import machine
from subjects.errors import NetworkError


class Answering:
    """A double of a network that answers by a function of the images' first byte, and counts what it is asked."""

    name, device = "double", torch.device("cpu", 0)

    def __init__(self, off: float = 0.0, layer: NDArray[np.float32] | None = None) -> None:
        self.off, self.asked, self.layer = off, list[int](), layer

    def probabilities(self, images: NDArray[np.uint8], *, batch: int = 20) -> NDArray[np.float64]:
        assert batch == 3
        self.asked += images[:, 0, 0, 0].tolist()
        p = images[:, 0, 0, 0] / 255.0 + self.off
        return np.stack([p, 1.0 - p], axis=1)

    def features(self, images: NDArray[np.uint8], *, batch: int = 20) -> dict[str, NDArray[np.float32]]:
        self.asked.append(batch)
        shape = np.ones((len(images), 4), np.float32) * images[:, :1, 0, 0]
        return {"layer1": shape + np.float32(self.off)}


def images_of(values: list[int]) -> NDArray[np.uint8]:
    return np.tile(np.array(values, np.uint8)[:, None, None, None], (1, 2, 2, 3))


@settings(max_examples=30)
@given(values=st.lists(st.integers(0, 255), max_size=12), bound=st.floats(0, 1))
def test_the_cpu_judges_what_is_doubtful_and_that_alone(values: list[int], bound: float) -> None:
    judge, moved = Answering(), Answering(off=1e-6)
    network: Any = OnDevice(judge, moved)  # type: ignore[arg-type]
    found = answer(network, images_of(values), batch=3, doubtful=lambda p: p[:, 0] > bound)
    doubtful = [value for value in values if value / 255.0 + 1e-6 > bound]
    assert (judge.asked, moved.asked) == (doubtful, values)
    by_hand = [value / 255.0 + (0.0 if value in doubtful else 1e-6) for value in values]
    np.testing.assert_array_equal(found[:, 0], by_hand)


def test_the_cpu_alone_is_asked_once() -> None:
    network = Answering()
    answer(network, images_of([4, 9]), batch=3, doubtful=lambda p: np.full(len(p), True))  # type: ignore[arg-type]
    assert network.asked == [4, 9]


@pytest.mark.parametrize(("share", "alike"), [(0.5, True), (0.99, True), (1.5, False), (float("nan"), False)])
def test_a_layer_may_differ_by_a_share_of_its_root_mean_square(share: float, alike: bool) -> None:
    network = OnDevice(Answering(), Answering(off=100.0 * ALIKE * share))  # type: ignore[arg-type]
    images = images_of([100] * 7)
    if alike:
        assert network.features(images, batch=3)["layer1"].shape == (7, 4)
        assert network.judge.asked == [1, 1, 1]  # the first image of each batch
    else:
        with pytest.raises(NetworkError, match="double on cpu:0: layer1 that differs by .*; expected the CPU's layer1, "
                                               "to 0.001 of its root mean square 100"):
            network.features(images, batch=3)


def test_a_silent_layer_is_alike_only_if_it_is_silent_on_both() -> None:
    assert not OnDevice(Answering(), Answering()).features(images_of([0]))["layer1"].any()  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="root mean square 0"):
        OnDevice(Answering(), Answering(off=1e-20)).features(images_of([0]))  # type: ignore[arg-type]


def test_a_wrapped_network_computes_where_its_inside_does() -> None:
    inside: Any = OnDevice(Answering(), Answering())  # type: ignore[arg-type]
    for network in (inside, SimpleNamespace(network=inside), SimpleNamespace(network=SimpleNamespace(network=inside))):
        assert device_of(network) == torch.device("cpu", 0)
    plain: Any = Answering()
    assert device_of(plain) == torch.device("cpu")
    assert made_on(plain) == {"device": "cpu", "threads": torch.get_num_threads(), "torch": torch.__version__}


@pytest.mark.parametrize(("text", "bound"), [
    ("max 100000\n", None), ("200000 100000\n", 2), ("150000 100000\n", 2), ("1 100000\n", 1), ("100001 100000", 2),
    ("", None), ("200000", None), ("two 100000", None)])
def test_a_container_s_share_of_the_cpus_is_rounded_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str,
                                                       bound: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setattr(machine, "Path", lambda _: file)
    assert machine._quota() == bound
    file.unlink()
    assert machine._quota() is None


def test_two_processors_of_one_core_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 5}, raising=False)
    monkeypatch.setattr(machine, "_siblings", lambda cpu: f"{cpu % 4},{cpu % 4 + 4}")
    assert machine._physical_cores() == 3
    monkeypatch.setattr(machine, "_quota", lambda: None)
    for said, n in (("", 3), ("2", 2), ("64", 3), ("0", 1), ("many", 3), ("2,1", 3)):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        assert (Hardware().n_threads, Hardware(threads=7).n_threads) == (n, 7)


def test_a_device_that_is_missing_is_told_with_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "has_device", lambda kind: kind in ("cpu", "cuda"))
    assert (find_device("auto").type, find_device("cpu").type) == ("cuda", "cpu")
    with pytest.raises(NetworkError, match=r"--device: 'mps', which is not there \(torch finds no Apple GPU\); "
                                           "expected a device of this computer: cpu, cuda"):
        find_device("mps")


def test_the_precision_of_products_is_put_back_after_a_fault() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.deterministic
    torch.set_float32_matmul_precision("medium")
    try:
        with pytest.raises(ZeroDivisionError), full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
            assert torch.backends.cudnn.deterministic
            assert not torch.backends.cudnn.allow_tf32
            _ = 1 / 0
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cudnn.deterministic == before[1]
    finally:
        torch.set_float32_matmul_precision(before[0])


@settings(max_examples=50)
@given(pattern=st.text("ab?*[!]", min_size=1, max_size=6).filter(lambda one: "[" not in one and "]" not in one),
       names=st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=5, unique=True))
def test_within_one_part_patterns_are_fnmatchs(pattern: str, names: list[str]) -> None:
    expected = tuple(name for name in names if fnmatchcase(name, pattern))
    passed = dict.fromkeys(names, 1)
    if expected:
        assert find_modules([pattern], passed, where="n") == expected
    else:
        with pytest.raises(NetworkError, match="expected the path of a module that an image passes, or a pattern"):
            find_modules([pattern], passed, where="n")


@pytest.mark.parametrize("pattern", ["conv[9-1]", "[!]", "[\\]"])
def test_a_choice_of_characters_that_is_none_fits_nothing(pattern: str) -> None:
    with pytest.raises(NetworkError) as caught:
        find_modules([pattern], {"conv1": 1}, where="n")
    assert caught.value.came == repr(pattern)


@settings(max_examples=30)
@given(st.permutations(["b.*", "a?", "a[!1]", "**"]), st.integers(1, 4))
def test_modules_come_in_the_order_of_the_image_and_once(patterns: list[str], n: int) -> None:
    passed = {"b.x": 1, "a2": 1, "a1": 1, "c.relu": 3, "b.y.z": 1}
    found = find_modules(patterns[:n], passed, where="n")
    fits = {"b.*": {"b.x"}, "a?": {"a1", "a2"}, "a[!1]": {"a2"}, "**": {"b.x", "a2", "a1", "b.y.z"}}
    wanted = set().union(*(fits[one] for one in patterns[:n]))
    assert found == tuple(name for name in passed if name in wanted)
    assert [tap_name(name) for name in found] == [f"tap {name}" for name in found]


def test_a_dot_in_a_pattern_is_a_dot() -> None:
    assert find_modules(["a.b"], {"axb": 1, "a.b": 1}, where="n") == ("a.b",)
    assert find_modules([], {"a": 1}, where="n") == ()
    with pytest.raises(NetworkError, match="It passes no module that has a name"):
        find_modules(["a"], {}, where="n")
    with pytest.raises(NetworkError, match=r"'relu', which an image passes 2 times.*Name the block that holds it"):
        find_modules(["re*"], {"relu": 2, "conv": 1}, where="n")
    with pytest.raises(NetworkError, match=r"It passes m0, m1, m2, \.\.\., m8\."):
        find_modules(["conv"], {f"m{k}": 1 for k in range(9)}, where="n")


def test_modules_are_counted_as_often_as_they_are_passed_and_their_hooks_are_removed() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.relu, self.first, self.unused = nn.Linear(4, 2), nn.ReLU(), nn.Linear(4, 4), nn.Linear(1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.sum() < 0:
                raise RuntimeError("below zero")
            return self.last(self.relu(self.relu(self.first(x))))

    root = Twice()
    passed = passed_modules(root, torch.ones(3, 4))
    assert list(passed.items()) == [("first", 1), ("relu", 2), ("last", 1)]
    with pytest.raises(RuntimeError, match="below zero"):
        passed_modules(root, -torch.ones(3, 4))
    assert not any(module._forward_hooks for module in root.modules())


@pytest.mark.parametrize(("metrics", "top"), [
    ({"ImageNet-1K": {"acc@1": 57.1234, "acc@5": 80.0}}, (0.57123, 0.8)), ({"ImageNet-1K": {"acc@1": 57.0}}, None),
    ({"COCO": {"acc@1": 57.0, "acc@5": 80.0}}, None), (None, None)])
def test_a_figure_is_published_only_if_both_shares_are(monkeypatch: pytest.MonkeyPatch, metrics: Any,
                                                       top: tuple[float, float] | None) -> None:
    meta = {} if metrics is None else {"_metrics": metrics}
    monkeypatch.setattr(published, "torchvision_names", lambda: ("net", "alexnet"))
    monkeypatch.setattr(published, "default_weights", lambda name: SimpleNamespace(name=f"{name}_V1", meta=meta))
    for asked, name in (("net", "net"), ("alexnet-torchvision", "alexnet")):
        found = find_published(SimpleNamespace(name=asked))
        assert (found and (found.top1, found.top5)) == top
        if found:
            assert found.source == f"torchvision's {name}_V1 weights of {name}, ImageNet's validation images"
    assert find_published(SimpleNamespace(name="my.networks:load")) is None
