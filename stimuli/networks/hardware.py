"""Where a network computes: on the CPU with some threads, or on a graphics device, with the CPU as the judge.

The ascent keeps its images on the CPU, whatever the device: what is handed to a device and back are images, logits and
gradients. So the rules, the rounding to 8 bits and every bound are computed in the same arithmetic everywhere, and a
device without float64 (``mps``) needs no other code. Products on a device are full float32, never TF32.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stimuli.networks.protocol import CPU, Images, Network, TorchNetwork, cpu_threads
from subjects.errors import NetworkError, nearest
from subjects.machine import usable_cores

DEVICES = ("auto", "cpu", "cuda", "mps")
CLOSE = 1e-3
"""Probabilities that differ by less are told apart by the CPU alone: a hundred times what devices differ by."""

ALIKE = 1e-3
"""Share of a layer's root mean square by which a device's responses may differ from the CPU's."""


@dataclass(frozen=True)
class Hardware:
    """Where networks compute.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}
        ``auto`` takes cuda, else mps, else the CPU, whichever this computer has and the network can be moved to.
    threads : int, optional
        CPU threads. Default: :func:`default_threads`.
    """

    device: str = "cpu"
    threads: int | None = None

    @property
    def n_threads(self) -> int:
        """Count the CPU threads."""
        return default_threads() if self.threads is None else self.threads


ON_CPU = Hardware()
"""The CPU with its usual threads."""


def default_threads() -> int:
    """Count the physical cores that this process may use; ``OMP_NUM_THREADS``, where it is set, is an upper bound.

    Two threads of one core share its arithmetic units: more threads than cores make a convolution no faster.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(usable_cores(), int(asked))) if asked.isdigit() else usable_cores()


def has_device(kind: str) -> bool:
    """Say whether this computer has a device that this torch can use."""
    if kind == "cuda":
        return torch.cuda.is_available()
    return torch.backends.mps.is_available() if kind == "mps" else kind == "cpu"


def find_device(asked: str) -> torch.device:
    """Find the device that is asked for.

    Raises
    ------
    NetworkError
        If it is unknown, or is not there; what is there is named.
    """
    if asked not in DEVICES:
        raise NetworkError("--device", came=repr(asked), expected=f"one of {', '.join(DEVICES)}",
                           remedy=nearest(asked, DEVICES))
    there = [kind for kind in ("cuda", "mps", "cpu") if has_device(kind)]
    if asked == "auto":
        return torch.device(there[0])
    if asked not in there:
        raise NetworkError("--device", came=f"{asked!r}, which is not there ({_why_not(asked)})",
                           expected=f"a device of this computer: {', '.join(reversed(there))}",
                           remedy="Use --device auto, which takes the fastest that is there, or --device cpu.")
    return torch.device(asked)


def _why_not(kind: str) -> str:
    if kind == "mps":
        return "torch finds no Apple GPU"
    return f"torch {torch.__version__} was built without CUDA" if torch.version.cuda is None else \
        "torch finds no NVIDIA GPU, or no driver of it"


@dataclass(frozen=True)
class OnDevice:
    """A network whose logits and layers come from a device, and whose probabilities are judged on the CPU.

    Parameters
    ----------
    judge : TorchNetwork
        The network on the CPU.
    moved : TorchNetwork
        The same on the device.

    Notes
    -----
    The other attributes are those of :class:`~stimuli.networks.protocol.Network`.
    """

    judge: TorchNetwork
    moved: TorchNetwork = field(repr=False)

    @property
    def name(self) -> str:
        """By which it is found."""
        return self.judge.name

    @property
    def digest(self) -> str:
        """Of weights, preprocessing and class names."""
        return self.judge.digest

    @property
    def input_size(self) -> int:
        """Side of an image, px."""
        return self.judge.input_size

    @property
    def class_names(self) -> tuple[str, ...]:
        """One for each output."""
        return self.judge.class_names

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the taps."""
        return self.judge.layers

    @property
    def tap(self) -> str:
        """Where in a layer the taps sit."""
        return self.judge.tap

    @property
    def taps(self) -> tuple[str, ...]:
        """What is read beside the layers."""
        return self.judge.taps

    @property
    def places(self) -> Mapping[str, str]:
        """Layer to path of the module that it reads."""
        return self.judge.places

    @property
    def mean_image(self) -> NDArray[np.float32]:
        """Where adversarial noise starts."""
        return self.judge.mean_image

    def logits(self, images: Tensor) -> Tensor:
        """Give (n, n_classes) before the softmax from the device, on the images' own; differentiable."""
        return self.moved.logits(images)

    def probabilities(self, images: Images, *, batch: int = 20) -> NDArray[np.float64]:
        """Judge images on the CPU, (n, n_classes)."""
        return self.judge.probabilities(images, batch=batch)

    def features(self, images: Images, *, batch: int = 20) -> dict[str, NDArray[np.float32]]:
        """Read every layer on the device; the first image of every batch is read on the CPU as well.

        Raises
        ------
        NetworkError
            If the two differ by more than :data:`ALIKE` of the layer's root mean square.
        """
        found = self.moved.features(images, batch=batch)
        for first in range(0, len(images), batch):
            judged = self.judge.features(images[first:first + 1], batch=1)
            for layer, units in judged.items():
                self._require_alike(found[layer][first], units[0], what=layer)
        return found

    def _require_alike(self, found: NDArray[np.floating[Any]], judged: NDArray[np.floating[Any]], *,
                       what: str) -> None:
        spread = float(np.sqrt(np.mean(np.square(judged, dtype=np.float64))))
        apart = float(np.max(np.abs(found.astype(np.float64) - judged)))
        if not apart <= ALIKE * max(spread, float(np.finfo(np.float32).tiny)):
            raise NetworkError(f"{self.name} on {self.moved.device}", expected=f"the CPU's {what}, to {ALIKE:g} of its "
                               f"root mean square {spread:g}", came=f"{what} that differs by {apart:g}",
                               remedy="Use --device cpu, or another version of torch or of the driver.")


def place(network: Network, *, hardware: Hardware) -> Network:
    """Put a network where it shall compute, and see there that it answers as on the CPU.

    Parameters
    ----------
    network : Network
        On the CPU.
    hardware : Hardware
        Where it shall go.

    Raises
    ------
    NetworkError
        If the device is not there, the network cannot be moved to it, or answers otherwise there.
    """
    device = find_device(hardware.device)
    if device == CPU:
        return network
    if not isinstance(network, TorchNetwork) or not isinstance(network.module, nn.Module):
        if hardware.device == "auto":
            return network
        raise NetworkError(network.name, came=f"a {type(network).__name__}, which cannot be moved to {device}",
                           expected="a TorchNetwork around a torch module", remedy="Use --device cpu.")
    module: Any = copy.deepcopy(network.module).to(device)
    found = OnDevice(network, replace(network, module=module, device=device))
    _require_same_answers(found)
    return found


def _require_same_answers(network: OnDevice) -> None:
    """Ask both about one image, before anything is made."""
    image = np.clip(np.rint(network.mean_image[None]), 0, 255).astype(np.uint8)
    try:
        with full_precision():
            found = network.moved.probabilities(image)
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise NetworkError(f"{network.name} on {network.moved.device}", came=f"no answer ({error})",
                           expected="the answer that it gives on the CPU", remedy="Use --device cpu.") from error
    judged = network.probabilities(image)
    if not np.abs(found - judged).max() < CLOSE:
        raise NetworkError(f"{network.name} on {network.moved.device}",
                           came=f"probabilities that differ from the CPU's by {np.abs(found - judged).max():.3g}",
                           expected=f"the same to {CLOSE:g}", remedy="Use --device cpu, or another version of torch or "
                           "of the driver.")


def device_of(network: Network) -> torch.device:
    """Say where a network's gradients and layers are computed."""
    while hasattr(network, "network"):  # one with another mean image
        network = network.network
    return network.moved.device if isinstance(network, OnDevice) else CPU


def made_on(network: Network) -> dict[str, Any]:
    """Say for a sidecar on what a network computes now: device, its name, CPU threads, torch."""
    device = device_of(network)
    name = {"name": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    return {"device": str(device), **name, "threads": torch.get_num_threads(), "torch": torch.__version__}


def answer(network: Network, images: Images, *, batch: int,
           doubtful: Callable[[NDArray[np.float64]], NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Ask a network where it computes, and the CPU again wherever the answer leaves a decision open.

    Parameters
    ----------
    network : Network
        On a device or on the CPU, which is asked once.
    images : uint8 array, (n, side, side, 3)
    batch : int
        How many at a time.
    doubtful : callable
        Probabilities (n, n_classes) -> bool (n,): which the CPU shall judge.

    Returns
    -------
    float64 array, (n, n_classes)
    """
    if not isinstance(network, OnDevice):
        return network.probabilities(images, batch=batch)
    found = network.moved.probabilities(images, batch=batch)
    again = doubtful(found)
    if again.any():
        found[again] = network.probabilities(images[again], batch=batch)
    return found


@contextmanager
def computing(hardware: Hardware) -> Iterator[None]:
    """Let torch use so many threads, and full float32 on every device, inside the block."""
    with cpu_threads(hardware.n_threads), full_precision():
        yield


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply in full float32, with algorithms that repeat themselves, inside the block."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
