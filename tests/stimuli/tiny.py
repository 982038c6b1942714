"""A network small enough to be understood, linear on 24-pixel drawings, and studies that use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stimuli.categories import DEMO_CATEGORIES
from stimuli.networks.demo.drawings import draw
from stimuli.networks.registry import TorchNetwork
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings

SIDE = 24
CLASSES = ("dogs", "cars", "fruits")
NAMES = tuple(name for kind in CLASSES for name in DEMO_CATEGORIES[kind][:2])
CHANGES = {"stimuli": {"network": "tiny", "classes": list(CLASSES), "animal_classes": ["dogs"], "per_class": 2,
                       "size_px": SIDE, "batch": 4}}


class Linear(nn.Module):
    """Logits are a fixed matrix times the pixels; the only hidden layer is the image itself.

    The products are summed in float64: kernels for one image and for many sum in another order, and in float32 that
    would reach the fifth digit of a probability, so that tests of batches would see the processor and not our code.
    """

    def __init__(self, weights: np.ndarray, bias: np.ndarray) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(weights), requires_grad=False)
        self.bias = nn.Parameter(torch.from_numpy(bias), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1).double() @ self.weights.double() + self.bias.double()).to(x.dtype)

    def forward_layers(self, x: Tensor) -> dict[str, Tensor]:
        return {"layer1": x, "layer2": torch.softmax(self(x), dim=1)}


def linear_network(weights: np.ndarray, bias: np.ndarray, *, side: int, names: tuple[str, ...],
                   mean: float = 127.0) -> TorchNetwork:
    """weights (3 * side * side, n_classes) on channel-first pixels in [0, 1]."""
    return TorchNetwork(name="tiny", digest="tiny-1", class_names=names, layers=("layer1", "layer2"), tap="none",
                        mean_image=np.full((side, side, 3), mean, dtype=np.float32),
                        module=Linear(weights.astype(np.float32), bias.astype(np.float32)).eval(),
                        preprocess=lambda images: images)


def fit_tiny() -> TorchNetwork:
    """Ridge regression of the categories on drawings, made steep."""
    rng = np.random.default_rng(7)
    images = np.stack([draw(name, rng=rng, size_px=SIDE) for name in NAMES for _ in range(25)])
    x = images.transpose(0, 3, 1, 2).reshape(len(images), -1) / 255.0
    y = np.repeat(np.eye(len(NAMES)), 25, axis=0)
    centre = x.mean(axis=0)
    kernel = (x - centre) @ (x - centre).T
    dual = np.linalg.solve(kernel + 3.0 * np.eye(len(x)), y - y.mean(axis=0))
    weights = 25.0 * (x - centre).T @ dual
    return linear_network(weights, 25.0 * y.mean(axis=0) - centre @ weights, side=SIDE, names=NAMES)


@dataclass(frozen=True)
class Study:
    """A study's folder and its settings."""

    layout: Layout
    settings: Settings


def make_study(root: Path, **stimuli: object) -> Study:
    changes = {"stimuli": {**CHANGES["stimuli"], **stimuli}}
    layout = init_study(Layout(root), name="tiny", seed=5, changes=changes)
    return Study(layout, load_settings(root))
