"""The small AlexNet that ships with the project: its weights, its preprocessing, its training.

It knows the 40 drawn categories of :mod:`stimuli.categories` and nothing else. It serves rehearsals,
tests and demonstrations, and stands in for ImageNet's AlexNet in no claim about AlexNet.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from stimuli.categories import demo_categories
from stimuli.networks.alexnet import CaffeAlexNet
from stimuli.networks.demo.drawings import drawings_digest
from stimuli.networks.demo.training import Recipe, classify, draw_set, fit, initialise
from subjects.cli import ProgressWrapper, silent
from subjects.errors import NetworkError
from subjects.provenance import derive_seed, digest_file, rng, versions
from subjects.store import read_json, whole_file, write_json

WIDTHS = (24, 64, 96, 96, 64)
FC = (512, 512)
_CENTRE, _SPREAD = 0.5, 0.25
_SEED, _PER_CATEGORY, _EPOCHS = 20210, 160, 18
_VALIDATION_PER_CATEGORY = 10
_RESTORE = "Restore the file or train again (python -m stimuli train-demo)."

DATA = Path(str(files("stimuli") / "data"))
WEIGHTS_FILE, RECORD_FILE, MEAN_FILE = "demo_network.safetensors", "demo_network.json", "demo_mean.png"


def build() -> CaffeAlexNet:
    """Make the network with the weights of chance (for training and tests)."""
    return CaffeAlexNet(widths=WIDTHS, fc=FC, n_classes=len(demo_categories()))


def load_module(folder: Path = DATA) -> CaffeAlexNet:
    """Load the trained network; nothing in the file is executed.

    Parameters
    ----------
    folder : Path
        Folder of the weights. Default: those that ship with the project.

    Returns
    -------
    CaffeAlexNet
        In evaluation mode, float32, without gradients for the weights.

    Raises
    ------
    NetworkError
        If the file is missing, is no safetensors file, or holds other tensors than the network has.
    """
    path = folder / WEIGHTS_FILE
    with torch.device("meta"):  # shapes without memory, and without drawing on torch's random state
        model = build()
    stored = _read_weights(path)
    for name, wanted in model.state_dict().items():
        came = tuple(stored[name].shape) if name in stored else "no such tensor"
        if came != tuple(wanted.shape):
            raise NetworkError(f"{path}: {name}", came=str(came), expected=str(tuple(wanted.shape)),
                               remedy=_RESTORE)
    for name in stored.keys() - model.state_dict().keys():
        raise NetworkError(f"{path}: {name}", came="an unknown tensor", expected="only those of the network",
                           remedy=_RESTORE)
    model.load_state_dict({name: values.float() for name, values in stored.items()}, assign=True)
    return model.eval().requires_grad_(requires_grad=False)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise NetworkError(str(path), came="no such file", expected="the demo network's weights",
                           remedy=_RESTORE) from None
    except SafetensorError as error:
        raise NetworkError(str(path), came=f"a file that cannot be read ({error})",
                           expected="weights in safetensors format", remedy=_RESTORE) from error


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
    return digest_file(folder / WEIGHTS_FILE)


def training_record(folder: Path = DATA) -> dict[str, Any]:
    """Read how the weights were trained: seed, settings, versions, loss by epoch, accuracy."""
    return dict(read_json(folder / RECORD_FILE))


def mean_image(folder: Path = DATA) -> NDArray[np.float32]:
    """Read the mean of the training drawings: float32 (227, 227, 3), RGB in 0..255."""
    with Image.open(folder / MEAN_FILE) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float32)


def train_demo(out: Path | None = None, *, seed: int = _SEED, per_category: int = _PER_CATEGORY,
               epochs: int = _EPOCHS, progress: ProgressWrapper = silent) -> dict[str, Any]:
    """Train the demo network on fresh drawings; write weights, mean image and record.

    Parameters
    ----------
    out : Path, optional
        Folder to write to; what is there is replaced. Default: the files that ship with the project.
    seed : int
        Decides drawings, first weights, order and augmentation.
    per_category : int
        Training drawings of each category.
    epochs : int
        Passes over them.
    progress : ProgressWrapper
        Reports drawing and training.

    Returns
    -------
    dict
        The record that was written beside the weights. Its accuracy is that of the stored float16
        weights, on drawings that were not trained on.
    """
    folder, started = Path(out) if out is not None else DATA, time.process_time()
    recipe, drawn_by = Recipe(epochs=epochs), drawings_digest()
    images, labels = draw_set(class_names(), per_category=per_category, seed=seed, purpose="training",
                              progress=progress)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "demo network", "weights"))
        model = build()
        initialise(model)
        losses = fit(model, images, labels=labels, recipe=recipe, preprocess=preprocess,
                     generator=rng(seed, "demo network", "order"), progress=progress)
    _write(folder, model, mean=images.mean(axis=0, dtype=np.float64))
    verdict = _validate(folder, seed=seed, progress=progress)
    record = {"seed": seed, "per_category": per_category, **asdict(recipe), "widths": WIDTHS, "fc": FC,
              "n_parameters": sum(weight.numel() for weight in model.parameters()),
              "loss_by_epoch": losses, **verdict, "cpu_s": round(time.process_time() - started, 1),
              "threads": torch.get_num_threads(), "drawings_digest": drawn_by,
              "weights_digest": weights_digest(folder), "mean_digest": digest_file(folder / MEAN_FILE),
              "versions": versions("torch", "numpy", "pillow", "safetensors")}
    write_json(folder / RECORD_FILE, record, overwrite=True)
    return record


def _write(folder: Path, model: CaffeAlexNet, *, mean: NDArray[np.float64]) -> None:
    half = {name: values.detach().half().contiguous() for name, values in model.state_dict().items()}
    with whole_file(folder / WEIGHTS_FILE, overwrite=True) as path:
        save_file(half, path)
    with whole_file(folder / MEAN_FILE, overwrite=True) as path:
        Image.fromarray(np.round(mean).astype(np.uint8)).save(path)


def _validate(folder: Path, *, seed: int, progress: ProgressWrapper) -> dict[str, float]:
    images, labels = draw_set(class_names(), per_category=_VALIDATION_PER_CATEGORY, seed=seed,
                              purpose="validation", progress=progress)
    probabilities = classify(load_module(folder), images, preprocess=preprocess)
    own = probabilities[np.arange(len(labels)), labels]
    return {"validation_n": len(labels), "validation_accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
            "validation_share_above_99": float((own > 0.99).mean())}
