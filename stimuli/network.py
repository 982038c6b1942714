"""What a network is here: probabilities and layers of 8-bit images, and logits that can be climbed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stimuli.alexnet import INPUT_SIZE, LAYERS, CaffeAlexNet, count_units
from subjects.errors import NetworkError, nearest
from subjects.provenance import digest_json

Pixels = NDArray[np.uint8]
FEATURE_BATCH = 20


@runtime_checkable
class Network(Protocol):
    """A classifier of RGB images.

    Attributes
    ----------
    name : str
        What it is called on the command line.
    digest : str
        Of architecture, weights and preprocessing together.
    input_size : int
        Side of the square input, pixels.
    class_names : tuple of str
        Its classes, in the order of the logits.
    layers : tuple of str
        Names of the taps, from first to last; the last is the softmax.
    """

    name: str
    digest: str
    input_size: int
    class_names: tuple[str, ...]
    layers: tuple[str, ...]

    @property
    def mean_image(self) -> NDArray[np.float32]:
        """Mean of the images it was trained on, float32 (side, side, 3), RGB in 0..255."""

    def logits(self, images: Tensor) -> Tensor:
        """Give logits (n, n_classes) of images (n, 3, side, side), RGB in [0, 1]; differentiable."""

    def probabilities(self, images: Pixels) -> NDArray[np.float64]:
        """Give softmax probabilities (n, n_classes) of 8-bit images (n, side, side, 3)."""

    def features(self, images: Pixels) -> dict[str, NDArray[np.float32]]:
        """Give every layer's units, float32 (n, n_units), of 8-bit images (n, side, side, 3)."""

    def n_units(self) -> dict[str, int]:
        """Count the units of every layer."""


@dataclass(frozen=True, eq=False)
class LayeredNetwork:
    """A Caffe-shaped AlexNet with its preprocessing, as a :class:`Network`.

    Parameters
    ----------
    name : str
        What it is called.
    module : CaffeAlexNet
        Weights fixed, in evaluation mode.
    preprocess : callable
        From RGB in [0, 1] to the module's input, differentiable.
    class_names : tuple of str
        One a logit.
    mean_image : float32 array, (side, side, 3)
        RGB in 0..255.
    weights_digest, preprocessing : str
        What the digest is made from, beside the architecture.
    """

    name: str
    module: CaffeAlexNet
    preprocess: Callable[[Tensor], Tensor]
    class_names: tuple[str, ...]
    mean_image: NDArray[np.float32]
    weights_digest: str
    preprocessing: str
    input_size: int = INPUT_SIZE
    layers: tuple[str, ...] = LAYERS

    def __post_init__(self) -> None:
        for name, values in self.module.named_parameters():
            if not torch.isfinite(values).all():
                raise NetworkError(f"network {self.name}", came=f"values that are not finite in {name}",
                                   expected="finite weights", remedy="Restore the weights file.")
        self.module.eval().requires_grad_(requires_grad=False)

    @property
    def digest(self) -> str:
        """Digest of architecture, weights and preprocessing."""
        shape = {"widths": self.module.widths, "fc": self.module.fc_widths, "classes": self.class_names}
        return digest_json({**shape, "weights": self.weights_digest, "preprocessing": self.preprocessing})

    def logits(self, images: Tensor) -> Tensor:
        """Give logits of images (n, 3, side, side) in [0, 1]; differentiable."""
        return self.module(self.preprocess(images))

    def probabilities(self, images: Pixels) -> NDArray[np.float64]:
        """Give float64 softmax probabilities of 8-bit images (n, side, side, 3)."""
        parts = [self.logits(part).double().softmax(dim=1) for part in _batches(images)]
        return torch.cat(parts).numpy()

    @torch.no_grad()
    def features(self, images: Pixels) -> dict[str, NDArray[np.float32]]:
        """Give every layer's units of 8-bit images (n, side, side, 3)."""
        parts = [self.module.forward_layers(self.preprocess(part)) for part in _batches(images)]
        return {name: torch.cat([part[name].flatten(1) for part in parts]).numpy() for name in self.layers}

    def n_units(self) -> dict[str, int]:
        """Count the units of every layer."""
        return count_units(self.module)


def _batches(images: Pixels) -> Iterator[Tensor]:
    if images.dtype != np.uint8 or images.ndim != 4:
        raise NetworkError("network", came=f"{images.dtype} {images.shape}", expected="uint8 (n, side, side, 3)",
                           remedy="Hand in 8-bit images.")
    for start in range(0, len(images), FEATURE_BATCH):
        yield to_tensor(images[start:start + FEATURE_BATCH])


def to_tensor(images: Pixels) -> Tensor:
    """Turn 8-bit images (n, h, w, 3) into float32 (n, 3, h, w) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 255.0


def _demo() -> Network:
    from stimuli import demo_network

    return LayeredNetwork("demo", module=demo_network.load_module(), preprocess=demo_network.preprocess,
                          class_names=demo_network.class_names(), mean_image=demo_network.mean_image(),
                          weights_digest=demo_network.weights_digest(), preprocessing="rgb, (x - 0.5) / 0.25")


NETWORKS: dict[str, Callable[[], Network]] = {"demo": _demo}


def load_network(name: str) -> Network:
    """Load a network by its name.

    Raises
    ------
    NetworkError
        For an unknown name; the nearest is named.
    """
    if name not in NETWORKS:
        raise NetworkError("network", came=repr(name), expected=f"one of {', '.join(NETWORKS)}",
                           remedy=nearest(name, NETWORKS))
    return NETWORKS[name]()


