"""What ``python -m stimuli networks`` tells: the networks, where their weights are looked for, the preprocessings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stimuli.networks.alexnet import TAPS
from stimuli.networks.caffe_alexnet import NAME, usual_path
from stimuli.networks.preprocessing import PREPROCESSINGS
from stimuli.networks.registry import load_network
from stimuli.networks.torchvision_networks import default_weights, torchvision_names, weights_path


def list_networks() -> Iterator[str]:
    """Give the lines of the list. Of the networks only the demo network, which ships, is loaded."""
    demo = load_network("demo")
    yield (f"demo: {len(demo.class_names)} classes, input {demo.input_size} px, {len(demo.layers)} layers, "
           f"digest {demo.digest}")
    yield f"{NAME}: 1000 classes, input 227 px, 8 layers, weights {_state(usual_path(), otherwise='bring them')}"
    for name in torchvision_names():
        called = "alexnet-torchvision" if name == "alexnet" else name
        side, = set(default_weights(name).transforms().crop_size)
        yield (f"{called}: 1000 classes, input {side} px, weights "
               f"{_state(weights_path(name), otherwise='downloaded when first asked for')}")
    yield "package.module:function: a network of your own"
    yield f"preprocessings: {', '.join(PREPROCESSINGS)}; caffe-...:FILE subtracts a mean image"
    yield f"taps: {', '.join(TAPS)}"
    yield f"weights are looked for in {usual_path().parent}, or named with --weights"


def _state(path: Path, *, otherwise: str) -> str:
    return f"{path.name} {'found' if path.is_file() else f'not there ({otherwise})'}"
