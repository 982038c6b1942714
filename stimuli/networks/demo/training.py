"""The pieces of training on drawings: a set that can be drawn again, augmentation, the fit, the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stimuli.networks.alexnet import INPUT_SIZE
from stimuli.networks.demo.drawings import draw
from subjects.cli import ProgressWrapper, silent
from subjects.provenance import rng

Drawings = NDArray[np.uint8]
Preprocess = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """How a network learns: AdamW, a rate that falls linearly to nothing, changed drawings."""

    epochs: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    batch: int = 32
    max_shift_px: int = 10
    brightness: float = 0.15


def draw_set(names: Sequence[str], *, per_category: int, seed: int, purpose: str,
             progress: ProgressWrapper = silent) -> tuple[Drawings, NDArray[np.int64]]:
    """Draw a balanced set; every drawing has its own seed, so order and number change none of them.

    Parameters
    ----------
    names : sequence of str
        The categories; a label is a place in here.
    per_category : int
        Drawings of each.
    seed : int
        The training's seed.
    purpose : str
        ``"training"``, ``"validation"``, ...; sets of different purposes share no drawing.

    Returns
    -------
    images : ndarray
        uint8 (n, 227, 227, 3), categories in order.
    labels : ndarray
        int64 (n,).
    """
    images = np.empty((len(names) * per_category, INPUT_SIZE, INPUT_SIZE, 3), dtype=np.uint8)
    labels = np.repeat(np.arange(len(names)), per_category)
    for place in progress(range(len(images)), label=f"drawing ({purpose})", total=len(images)):
        name, index = names[labels[place]], place % per_category
        images[place] = draw(name, rng=rng(seed, "demo network", purpose, name, index))
    return images, labels


def initialise(model: nn.Module) -> None:
    """Set first weights: He's normal ones, and a small last layer, so that all categories start alike.

    He, Zhang, Ren & Sun (2015), equation 10. Torch's own first weights are smaller; with them the
    first epoch learns nothing.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.normal_(layers[-1].weight, std=0.01)


def fit(model: nn.Module, images: Drawings, *, labels: NDArray[np.int64], recipe: Recipe, preprocess: Preprocess,
        generator: np.random.Generator, progress: ProgressWrapper = silent) -> list[float]:
    """Train a network where it stands.

    Returns
    -------
    list of float
        Mean cross-entropy in each epoch, nats.
    """
    steps = recipe.epochs * -(-len(images) // recipe.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1.0 - step / steps))
    losses = []
    model.train()
    for _ in progress(range(recipe.epochs), label="training", total=recipe.epochs):
        total = 0.0
        for rows in _batches(len(images), size=recipe.batch, generator=generator):
            batch = preprocess(augment(images[rows], recipe=recipe, generator=generator))
            loss = functional.cross_entropy(model(batch), torch.from_numpy(labels[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        losses.append(round(total / len(images), 4))
    return losses


def _batches(count: int, *, size: int, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    order = generator.permutation(count)
    yield from (order[start:start + size] for start in range(0, count, size))


def augment(images: Drawings, *, recipe: Recipe, generator: np.random.Generator) -> Tensor:
    """Mirror, shift and brighten drawings at random.

    Parameters
    ----------
    images : ndarray
        uint8 (n, height, width, 3).
    recipe : Recipe
        How far: `max_shift_px` either way, `brightness` as gain and half of it as offset.
    generator : numpy.random.Generator
        Decides for every image by itself.

    Returns
    -------
    Tensor
        float32 (n, 3, height, width), RGB in [0, 1]. A shifted edge repeats its last row or column.
    """
    changed = np.stack([_move(image, reach=recipe.max_shift_px, generator=generator) for image in images])
    tensor = torch.from_numpy(changed).permute(0, 3, 1, 2).float() / 255.0
    spread, shape = recipe.brightness, (len(images), 1, 1, 1)
    gain = torch.from_numpy(generator.uniform(1 - spread, 1 + spread, shape)).float()
    offset = torch.from_numpy(generator.uniform(-spread, spread, shape)).float() / 2
    return (tensor * gain + offset).clamp(0.0, 1.0)


def _move(image: Drawings, *, reach: int, generator: np.random.Generator) -> Drawings:
    down, across = generator.integers(-reach, reach + 1, 2)
    rows = np.clip(np.arange(image.shape[0]) + down, 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) + across, 0, image.shape[1] - 1)
    columns = columns[::-1] if generator.random() < 0.5 else columns
    result: NDArray[np.uint8] = image[rows][:, columns]
    return result


def classify(model: nn.Module, images: Drawings, *, preprocess: Preprocess, batch: int = 50) -> NDArray[np.float64]:
    """Give the probabilities of every category.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode.
    images : ndarray
        uint8 (n, 227, 227, 3).
    preprocess : callable
        From RGB in [0, 1] to what the network takes.

    Returns
    -------
    ndarray
        float64 (n, n_categories).
    """
    rows = []
    with torch.no_grad():
        for start in range(0, len(images), batch):
            pixels = torch.from_numpy(images[start:start + batch]).permute(0, 3, 1, 2).float() / 255.0
            rows.append(functional.softmax(model(preprocess(pixels)).double(), dim=1).numpy())
    return np.concatenate(rows)
