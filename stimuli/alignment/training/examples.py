"""What a network is trained on: images, labels and importance maps, one example at a time or changed at random."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subjects.errors import StimulusError
from subjects.provenance import digest_array, digest_json


@dataclass(frozen=True, eq=False)
class Batch:
    """Some examples.

    Parameters
    ----------
    images : uint8 array, (n, side, side, 3)
        RGB.
    labels : int64 array, (n,)
        Places among the network's outputs.
    maps : float32 array, (n, side, side)
        Importance, in any unit; zeros where there is none.
    has_map : bool array, (n,)
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    maps: NDArray[np.float32]
    has_map: NDArray[np.bool_]


class Examples(Protocol):
    """A set of examples that can be read by place."""

    def __len__(self) -> int:
        """Count them."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Give every example's label, (n,)."""

    @property
    def has_map(self) -> NDArray[np.bool_]:
        """Say which examples have an importance map, (n,)."""

    @property
    def digest(self) -> str:
        """Digest all that training depends on."""

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Read some."""


@dataclass(frozen=True, eq=False)
class ArrayExamples:
    """Examples in memory, or in arrays mapped from files.

    Parameters
    ----------
    images : uint8 array, (n, side, side, 3)
    labels : int64 array, (n,)
    maps : float array, (n, side, side)
        A map that is not finite everywhere, or has one value everywhere, is none: it says nothing of where people look.
    n_classes : int
        Of the network, to refuse other labels.

    Raises
    ------
    StimulusError
        If shapes do not fit, or a label is no output of the network.
    """

    images: NDArray[np.uint8] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    maps: NDArray[np.float32] = field(repr=False)
    n_classes: int

    def __post_init__(self) -> None:
        n, side = len(self.images), self.images.shape[1] if self.images.ndim == 4 else 0
        for what, came, expected in (
                ("images", (str(self.images.dtype), self.images.shape), ("uint8", (n, side, side, 3))),
                ("labels", self.labels.shape, (n,)), ("maps", self.maps.shape, (n, side, side))):
            if came != expected:
                raise StimulusError(f"examples, {what}", came=str(came), expected=str(expected),
                                    remedy="Give one label and one map for every image, of its size.")
        if n and not 0 <= self.labels.min() <= self.labels.max() < self.n_classes:
            raise StimulusError("examples, labels", came=f"labels from {self.labels.min()} to {self.labels.max()}",
                                expected=f"places among the network's {self.n_classes} outputs, from 0",
                                remedy="Give the labels of the network's own classes.")

    def __len__(self) -> int:
        """Count them."""
        return len(self.images)

    @property
    def has_map(self) -> NDArray[np.bool_]:
        """Say which examples have an importance map, (n,)."""
        return np.array([says_something(one) for one in self.maps], dtype=bool)

    @property
    def digest(self) -> str:
        """Digest images, labels and maps."""
        return digest_json([digest_array(values) for values in (self.images, self.labels, self.maps)])

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Read some."""
        maps = np.asarray(self.maps[rows], dtype=np.float32)
        has_map = np.array([says_something(one) for one in maps], dtype=bool)
        maps[~has_map] = 0.0
        return Batch(self.images[rows], self.labels[rows], maps, has_map)


def says_something(importance: NDArray[np.floating]) -> bool:
    """Say whether a map has finite values that differ.

    Examples
    --------
    >>> says_something(np.zeros((2, 2))), says_something(np.eye(2)), says_something(np.full((2, 2), np.nan))
    (False, True, False)
    """
    return bool(np.isfinite(importance).all() and np.ptp(importance) > 0)


@dataclass(frozen=True)
class Changes:
    """How examples are changed at random, image and map alike.

    Parameters
    ----------
    mirror : bool
        Left and right, every second time.
    max_shift_px : int
        Either way, down and across; a shifted edge repeats its last row or column.
    brightness : float
        Gain between 1 - this and 1 + this, and half of it as offset, of the image alone.
    """

    mirror: bool = True
    max_shift_px: int = 10
    brightness: float = 0.15


def change(batch: Batch, *, changes: Changes, generators: list[np.random.Generator]) -> tuple[Tensor, Tensor]:
    """Mirror, shift and brighten examples at random.

    Parameters
    ----------
    batch : Batch
    changes : Changes
    generators : list of numpy.random.Generator
        One an example: what becomes of it does not hang on those beside it.

    Returns
    -------
    images : Tensor
        float32 (n, 3, side, side), RGB in [0, 1].
    maps : Tensor
        float32 (n, side, side), moved as their images are.
    """
    images = np.empty(batch.images.shape, dtype=np.float32)
    maps = np.empty_like(batch.maps)
    for k, generator in enumerate(generators):
        rows, columns = _places(batch.images.shape[1], changes=changes, generator=generator)
        gain = generator.uniform(1 - changes.brightness, 1 + changes.brightness)
        offset = generator.uniform(-changes.brightness, changes.brightness) / 2
        images[k] = np.clip(batch.images[k][rows][:, columns] / 255.0 * gain + offset, 0.0, 1.0)
        maps[k] = batch.maps[k][rows][:, columns]
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(maps)


def _places(side: int, *, changes: Changes, generator: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Choose which row and column stands at each place."""
    down, across = generator.integers(-changes.max_shift_px, changes.max_shift_px + 1, 2)
    rows, columns = (np.clip(np.arange(side) + by, 0, side - 1) for by in (down, across))
    return rows, columns[::-1] if changes.mirror and generator.random() < 0.5 else columns
