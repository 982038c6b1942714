"""Weights and photographs for networks that know nothing: random weights that find no category impossible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from stimuli.categories import ImagenetCategory, imagenet_categories
from tests.stimuli.weight_files import FULL, Blobs, alexnet_blobs, torchvision_state

CLASSES = ("dogs", "birds", "cars", "fruits", "aquatic")
_WEAK, _PREFERRED = 0.02, 6.0


def chosen_categories() -> list[ImagenetCategory]:
    """Choose the first two ImageNet categories of each class."""
    return [one for name in CLASSES for one in [c for c in imagenet_categories() if c.class_name == name][:2]]


def undecided_blobs() -> Blobs:
    """Draw AlexNet's weights with a weak last layer that prefers the chosen categories."""
    blobs = alexnet_blobs(3, **FULL)
    weights, bias = blobs["fc8"]
    bias[[one.index for one in chosen_categories()]] += _PREFERRED
    return {**blobs, "fc8": (weights * np.float32(_WEAK), bias)}


def undecided_state(name: str, last: str) -> dict[str, torch.Tensor]:
    """Draw a torchvision network's weights likewise; `last` is the prefix of its last layer."""
    state = dict(torchvision_state(name, seed=3))
    bias = torch.zeros_like(state[f"{last}.bias"])
    bias[[one.index for one in chosen_categories()]] = _PREFERRED
    return {**state, f"{last}.weight": state[f"{last}.weight"] * _WEAK, f"{last}.bias": bias}


def write_photographs(folder: Path) -> None:
    """Write three pictures of nothing a category, in folders named by wnid."""
    rng = np.random.default_rng(2)
    for category in chosen_categories():
        (folder / category.wnid).mkdir(parents=True)
        for k in range(3):
            picture = Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8))
            picture.resize((330, 270), Image.Resampling.BICUBIC).save(folder / category.wnid / f"{k}.png")
