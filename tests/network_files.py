"""Weights and photographs for networks that know nothing: random weights that find no category impossible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import models

from stimuli.categories import ImagenetCategory, imagenet_categories
from tests.stimuli.weight_files import FULL, Blobs, alexnet_blobs

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
    """Draw a torchvision network's weights likewise; `last` is the prefix of its last layer.

    Weights of the size that He et al. (2015) give, and biases that are not 0: a channel-mean image, which is 0 once it
    is normalised, then has a gradient.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        state = getattr(models, name)(weights=None).state_dict()
        drawn = {key: 0.3 * torch.randn(one.shape) if key.endswith("bias")
                 else torch.randn(one.shape) * (2 / one[0].numel()) ** 0.5 for key, one in state.items()}
    bias = torch.zeros_like(drawn[f"{last}.bias"])
    bias[[one.index for one in chosen_categories()]] = _PREFERRED
    return {**drawn, f"{last}.weight": 0.3 * drawn[f"{last}.weight"], f"{last}.bias": bias}


def write_photographs(folder: Path) -> None:
    """Write three pictures of nothing a category, in folders named by wnid."""
    rng = np.random.default_rng(2)
    for category in chosen_categories():
        (folder / category.wnid).mkdir(parents=True)
        for k in range(3):
            picture = Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8))
            picture.resize((330, 270), Image.Resampling.BICUBIC).save(folder / category.wnid / f"{k}.png")
