"""The small AlexNet that ships with the project: its weights, its preprocessing, its training.

It knows the 40 drawn categories of :mod:`stimuli.categories` and nothing else. It serves rehearsals,
tests and demonstrations, and stands in for ImageNet's AlexNet in no claim about AlexNet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from stimuli.alexnet import CaffeAlexNet
from stimuli.categories import demo_categories
from subjects.errors import NetworkError
from subjects.provenance import digest_file
from subjects.store import read_json

WIDTHS = (24, 64, 96, 96, 64)
FC = (512, 512)
_CENTRE, _SPREAD = 0.5, 0.25

DATA = Path(__file__).parent / "data"
_WEIGHTS, _RECORD, _MEAN = "demo_network.safetensors", "demo_network.json", "demo_mean.png"


def build() -> CaffeAlexNet:
    """Make the network with the weights of chance (for training and tests)."""
    return CaffeAlexNet(widths=WIDTHS, fc=FC, n_classes=len(demo_categories()))


def load_module(folder: Path = DATA) -> CaffeAlexNet:
    """Load the trained network; nothing in the file is executed.

    Parameters
    ----------
    folder : Path
        Where the weights lie. Default: those that ship with the project.

    Returns
    -------
    CaffeAlexNet
        In evaluation mode, float32, without gradients for the weights.

    Raises
    ------
    NetworkError
        If the file is missing, is no safetensors file, or holds other tensors than the network has.
    """
    path = folder / _WEIGHTS
    model = build()
    stored = _read_weights(path)
    for name, wanted in model.state_dict().items():
        came = tuple(stored[name].shape) if name in stored else "no such tensor"
        if came != tuple(wanted.shape):
            raise NetworkError(f"{path}: {name}", came=str(came), expected=str(tuple(wanted.shape)),
                               remedy="Restore the file or train again (python -m stimuli train-demo).")
    model.load_state_dict({name: values.float() for name, values in stored.items()})
    return model.eval().requires_grad_(requires_grad=False)


def _read_weights(path: Path) -> dict[str, Tensor]:
    remedy = "Restore the file or train again (python -m stimuli train-demo)."
    try:
        return load_file(path)
    except FileNotFoundError:
        raise NetworkError(str(path), came="no such file", expected="the demo network's weights",
                           remedy=remedy) from None
    except SafetensorError as error:
        raise NetworkError(str(path), came=f"a file that cannot be read ({error})",
                           expected="weights in safetensors format", remedy=remedy) from error


def class_names() -> tuple[str, ...]:
    """Name the 40 outputs in order."""
    return tuple(category for _, category in demo_categories())


def preprocess(images: Tensor) -> Tensor:
    """Turn images into what the network was trained on.

    Parameters
    ----------
    images : Tensor
        float (n, 3, 227, 227), RGB in [0, 1].

    Returns
    -------
    Tensor
        The same shape; grey .5 becomes 0, black -2, white 2. Differentiable.
    """
    return (images - _CENTRE) / _SPREAD


def weights_digest(folder: Path = DATA) -> str:
    """Digest the weights file (first 16 hexadecimal digits of SHA-256)."""
    return digest_file(folder / _WEIGHTS)


def training_record(folder: Path = DATA) -> dict[str, Any]:
    """Read how the weights were trained: seed, settings, versions, loss by epoch, accuracy."""
    return dict(read_json(folder / _RECORD))


def mean_image(folder: Path = DATA) -> NDArray[np.float32]:
    """Read the mean of the training drawings: float32 (227, 227, 3), RGB in 0..255."""
    with Image.open(folder / _MEAN) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float32)
