"""What every network must offer, and a torch module that offers it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from subjects.errors import NetworkError

Images = NDArray[np.uint8]
CPU = torch.device("cpu")


@runtime_checkable
class Network(Protocol):
    """A classifier of square RGB images whose layers can be read.

    Attributes
    ----------
    name : str
        By which :func:`stimuli.network.load_network` finds it.
    digest : str
        Of its weights, its preprocessing and its class names together.
    input_size : int
        Side of an image, px.
    class_names : tuple of str
        One for each output.
    layers : tuple of str
        Names of the taps, in order of depth; the last is the softmax.
    tap : str
        Where in a layer the taps sit.
    mean_image : float32 array, (input_size, input_size, 3)
        Mean of the images it was trained on, RGB in 0..255: where adversarial noise starts.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - described above
    @property
    def digest(self) -> str: ...  # noqa: D102
    @property
    def input_size(self) -> int: ...  # noqa: D102
    @property
    def class_names(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def layers(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def tap(self) -> str: ...  # noqa: D102
    @property
    def mean_image(self) -> NDArray[np.float32]: ...  # noqa: D102

    def logits(self, images: Tensor) -> Tensor:
        """Give (n, n_classes) before the softmax for RGB images (n, 3, side, side) in [0, 1]; differentiable."""

    def probabilities(self, images: Images, *, batch: int = 20) -> NDArray[np.float64]:
        """Give (n, n_classes) for images (n, side, side, 3)."""

    def features(self, images: Images, *, batch: int = 20) -> dict[str, NDArray[np.float32]]:
        """Give every layer's units (n, n_units) for images (n, side, side, 3)."""


class Tapped(Protocol):
    """A torch module that gives logits when called and every layer when asked."""

    def __call__(self, x: Tensor) -> Tensor:
        """Give the logits."""

    def forward_layers(self, x: Tensor) -> dict[str, Tensor]:
        """Give every layer's output, the softmax last."""


@dataclass(frozen=True)
class TorchNetwork:
    """A :class:`Network` around a torch module.

    Parameters
    ----------
    module : nn.Module
        In evaluation mode, with ``forward_layers``.
    preprocess : callable
        From RGB (n, 3, side, side) in [0, 1] to what the module takes; differentiable, on the images' device.
    device : torch.device
        Where the module is. Images come from the CPU, and what is given goes back to it.
    taps : tuple of str
        What is read beside the layers, and is none of them.
    places : mapping of str to str
        Layer -> path of the module that it reads, as far as that is known.

    Notes
    -----
    The other parameters are those of :class:`Network`.
    """

    name: str
    digest: str
    class_names: tuple[str, ...]
    layers: tuple[str, ...]
    tap: str
    mean_image: NDArray[np.float32] = field(repr=False)
    module: Tapped = field(repr=False)
    preprocess: Callable[[Tensor], Tensor] = field(repr=False)
    device: torch.device = CPU
    taps: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        shape = self.mean_image.shape
        if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3:
            raise NetworkError(self.name, came=f"a mean image of shape {shape}", expected="(side, side, 3)",
                               remedy="Restore the network's files.")
        if isinstance(self.module, nn.Module):
            self._require_ready(self.module)

    def _require_ready(self, module: nn.Module) -> None:
        if module.training:
            raise NetworkError(self.name, came="a module in training mode", expected="evaluation mode",
                               remedy="Call eval() on it: dropout would make its answers random.")
        for name, values in module.named_parameters():
            if not torch.isfinite(values).all():
                raise NetworkError(self.name, came=f"values that are not finite in {name}", expected="finite weights",
                                   remedy="Restore the weights file.")

    @property
    def input_size(self) -> int:
        """Side of an image, px."""
        return int(self.mean_image.shape[0])

    def logits(self, images: Tensor) -> Tensor:
        """Give (n, n_classes) before the softmax for RGB images (n, 3, side, side) in [0, 1]; differentiable."""
        return self.module(self._prepared(images)).to(images.device)

    def _prepared(self, images: Tensor) -> Tensor:
        """Preprocess, and lay pixels out channels last: on CPUs a fifth to a third faster, backward passes most."""
        return self.preprocess(images.to(self.device)).contiguous(memory_format=torch.channels_last)

    def probabilities(self, images: Images, *, batch: int = 20) -> NDArray[np.float64]:
        """Judge images as they are shown.

        Parameters
        ----------
        images : uint8 array, (n, side, side, 3)
            RGB.
        batch : int
            How many at a time; changes nothing beyond rounding.

        Returns
        -------
        float64 array, (n, n_classes)
            The softmax, computed in float64.
        """
        rows = [torch.softmax(self.logits(part).double(), dim=1).numpy() for part in self._batches(images, batch=batch)]
        return np.concatenate([np.empty((0, len(self.class_names))), *rows])

    def features(self, images: Images, *, batch: int = 20) -> dict[str, NDArray[np.float32]]:
        """Read every layer.

        Parameters
        ----------
        images : uint8 array, (n, side, side, 3)
            RGB; at least one.
        batch : int
            How many at a time; changes nothing beyond rounding.

        Returns
        -------
        dict of str to float32 array, (n, n_units)
            In order of depth, then the taps beside the layers; a layer's maps are flattened as (channel, row, column).
        """
        parts = [self.module.forward_layers(self._prepared(part)) for part in self._batches(images, batch=batch)]
        units = {name: [part.pop(name).flatten(1).float().cpu().numpy() for part in parts]
                 for name in (*self.layers, *self.taps)}
        return {name: those[0] if len(those) == 1 else np.concatenate(those) for name, those in units.items()}

    def _batches(self, images: Images, *, batch: int) -> Iterator[Tensor]:
        side = self.input_size
        if images.dtype != np.uint8 or images.shape[1:] != (side, side, 3):
            raise NetworkError(self.name, came=f"{images.dtype} images of shape {images.shape}",
                               expected=f"uint8 (n, {side}, {side}, 3)",
                               remedy="Set stimuli.size_px to the network's input size, or resize the images.")
        with torch.no_grad():
            for start in range(0, len(images), batch):
                yield to_tensor(images[start:start + batch])


LOGITS = "logits"
"""The reading of the last layer before its softmax."""


def read_logits(network: Network, images: Images) -> NDArray[np.float32]:
    """Give what a network's softmax is made from, (n, n_classes), for images (n, side, side, 3)."""
    with torch.no_grad():
        logits: NDArray[np.float32] = network.logits(to_tensor(images)).float().numpy()
    return logits


def to_tensor(images: NDArray[np.generic]) -> Tensor:
    """Turn (n, h, w, 3) in 0..255 into float32 (n, 3, h, w) in [0, 1].

    Examples
    --------
    >>> to_tensor(np.full((1, 2, 2, 3), 255, dtype=np.uint8)).max()
    tensor(1.)
    """
    levels = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32))
    return levels.permute(0, 3, 1, 2) / 255.0


def to_pixels(images: Tensor) -> Images:
    """Turn (n, 3, h, w) in [0, 1] into the nearest uint8 (n, h, w, 3)."""
    levels = torch.round(images.detach().clamp(0.0, 1.0) * 255.0)
    return np.ascontiguousarray(levels.to(torch.uint8).permute(0, 2, 3, 1).numpy())


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads inside the block, and as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
