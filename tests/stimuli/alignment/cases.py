"""Linear networks whose smallest perturbations are known exactly, and labelled images for them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from stimuli.alignment.images import LabelledImages
from stimuli.networks.registry import TorchNetwork
from tests.stimuli.tiny import linear_network

WIDTH = 6
N = 3 * WIDTH * WIDTH


def two_categories(seed: int = 0, *, steep: float = 3.0) -> tuple[TorchNetwork, np.ndarray]:
    """A network with two outputs, and the weights of their difference, (3, side, side)."""
    rng = np.random.default_rng(seed)
    weights = steep * rng.standard_normal((N, 2)) / np.sqrt(N)
    centre = -(weights * 0.5).sum(axis=0)
    network = linear_network(weights, centre, side=WIDTH, names=("up", "down"))
    return network, (weights[:, 0] - weights[:, 1]).reshape(3, WIDTH, WIDTH)


def grey_images(n: int, *, seed: int = 1, network: TorchNetwork, low: int = 90, high: int = 165) -> LabelledImages:
    """Images away from black and white, labelled as the network takes them."""
    pixels = np.random.default_rng(seed).integers(low, high, (n, WIDTH, WIDTH, 3), dtype=np.uint8)
    labels = network.probabilities(pixels).argmax(axis=1)
    return LabelledImages(tuple(f"px-{k}" for k in range(n)), tuple(f"{k}.png" for k in range(n)), pixels, labels)


def exact_margins(network: TorchNetwork, images: LabelledImages) -> np.ndarray:
    """The margins, computed from the weights in float64."""
    x = images.pixels.transpose(0, 3, 1, 2).reshape(len(images), -1) / 255.0
    logits = x @ network.module.weights.double().numpy() + network.module.bias.double().numpy()
    own = logits[np.arange(len(x)), images.labels]
    logits[np.arange(len(x)), images.labels] = -np.inf
    return own - logits.max(axis=1)


def save_map(path: Path, **arrays: object) -> Path:
    """Write an npz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def end_at_once(_: object) -> None:
    """End the process as the system does where memory runs out."""
    os._exit(9)
