"""One sealed, batched ascent on pixels, judged at the rounded 8-bit image; AN and AI are small hooks.

Gradient and stop are taken at the image as it will be shown (rounded to 256 levels), so that what is
written to disk is what was judged. Images that are done leave the batch and others take their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stimuli.network import Network
from subjects.console import ProgressWrapper, silent
from subjects.errors import StimulusError

Pixels = NDArray[np.uint8]
Objective = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(logits, targets, images, starts) -> value of each image, (n,)."""


@dataclass(frozen=True)
class Goal:
    """When an image is done.

    Parameters
    ----------
    p : float
        Probability of the target that the rounded image must reach.
    strict : bool
        Whether it must be exceeded.
    min_contrast : float
        Least RMS distance from the start, and least RMS contrast of the image itself, in grey levels.
    """

    p: float
    strict: bool = False
    min_contrast: float = 0.0

    def met(self, p: Tensor, contrast: Tensor) -> Tensor:
        """Say for each image whether it is done."""
        likely = p > self.p if self.strict else p >= self.p
        return likely & (contrast >= self.min_contrast)


@dataclass(frozen=True)
class Ascent:
    """How to climb.

    Parameters
    ----------
    objective : {"log_prob", "prob"}
        What is climbed: log P, or P as equation (1) has it.
    penalty : float
        Lambda of equation (1), on the squared L2 distance from the start (RGB in [0, 1]).
    step : float
        L2 length of each image's step, RGB in [0, 1].
    goal : Goal
        When to stop.
    max_iterations, batch : int
        Limits.
    growth : float
        Factor on the perturbation of an image that is likely enough but too faint.
    """

    objective: str
    penalty: float
    step: float
    goal: Goal
    max_iterations: int = 1000
    batch: int = 20
    growth: float = 1.1

    def value(self, logits: Tensor, targets: Tensor, images: Tensor, starts: Tensor) -> Tensor:
        """Give equation (1), ``P_c(I) - lambda ||I - I_start||^2`` (or with log P), of each image."""
        log_p = logits.log_softmax(dim=1).gather(1, targets[:, None])[:, 0]
        gain = log_p.exp() if self.objective == "prob" else log_p
        return gain - self.penalty * (images - starts).flatten(1).square().sum(dim=1)


@dataclass(frozen=True, eq=False)
class Perturbed:
    """What an ascent arrived at.

    Parameters
    ----------
    images : uint8 array, (n, side, side, 3)
        As they will be shown.
    p_before, p_after : float64 array, (n,)
        Probability of the target at the start and at the end, judged on 8-bit images.
    iterations : int array, (n,)
        Steps taken.
    reached : bool array, (n,)
        Whether the goal was met within the limit.
    """

    images: Pixels
    p_before: NDArray[np.float64]
    p_after: NDArray[np.float64]
    iterations: NDArray[np.int64]
    reached: NDArray[np.bool_]


@dataclass(eq=False)
class _Climb:
    """The state of all images of one ascent."""

    network: Network
    ascent: Ascent
    starts: Tensor
    targets: Tensor
    current: Tensor = field(init=False)
    done_at: NDArray[np.int64] = field(init=False)
    reached: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.current = self.starts.clone()
        self.done_at = np.zeros(len(self.starts), dtype=np.int64)
        self.reached = np.zeros(len(self.starts), dtype=np.bool_)

    def advance(self, rows: list[int]) -> list[int]:
        """Judge images and move those that are not done by one step; return the rows still climbing."""
        index = torch.as_tensor(rows)
        starts, targets = self.starts[index], self.targets[index]
        shown = quantise(self.current[index]).requires_grad_(requires_grad=True)
        logits = self.network.logits(shown)
        value = self.ascent.value(logits, targets, shown, starts)
        p = logits.detach().double().softmax(dim=1).gather(1, targets[:, None])[:, 0]
        met = self.ascent.goal.met(p, contrast_from(shown.detach(), starts))
        (gradient,) = torch.autograd.grad(value.sum(), shown)
        moved = self._step(index, gradient, likely=p >= self.ascent.goal.p)
        self.current[index[~met]] = moved[~met]
        return self._sort_out(rows, met.tolist())

    def _step(self, index: Tensor, gradient: Tensor, *, likely: Tensor) -> Tensor:
        starts = self.starts[index]
        length = gradient.flatten(1).norm(dim=1).clamp_min(torch.finfo(gradient.dtype).tiny)
        moved = self.current[index] + self.ascent.step * gradient / length[:, None, None, None]
        factor = torch.where(likely, self.ascent.growth, 1.0) if self.ascent.goal.min_contrast else torch.ones(len(index))
        return (starts + (moved - starts) * factor[:, None, None, None]).clamp(0.0, 1.0)

    def _sort_out(self, rows: list[int], met: list[bool]) -> list[int]:
        going = []
        for row, is_met in zip(rows, met, strict=True):
            if is_met:
                self.reached[row] = True
                continue
            self.done_at[row] += 1
            if self.done_at[row] < self.ascent.max_iterations:
                going.append(row)
        return going


def ascend(network: Network, *, starts: Pixels | NDArray[np.float32], targets: NDArray[np.int64], ascent: Ascent,
           label: str = "ascent", progress: ProgressWrapper = silent) -> Perturbed:
    """Climb until every image meets its goal or the limit.

    Parameters
    ----------
    network : Network
        Its weights stay as they are.
    starts : array, (n, side, side, 3)
        RGB in 0..255, uint8 or float32.
    targets : int array, (n,)
        Class to be raised, for each image.
    ascent : Ascent
        How, and until when.
    label : str
        For the progress bar.
    progress : ProgressWrapper
        Told of each image that is done.

    Returns
    -------
    Perturbed
        Judged anew from the 8-bit images. Images are independent: a larger batch changes nothing but rounding.

    Notes
    -----
    grad P = P grad log P: with steps of one length and no penalty both objectives take the same path
    (Zhang et al. 2021, equation 1; Nguyen et al. 2015).
    """
    _require_fit(network, starts, targets)
    begin = torch.from_numpy(np.asarray(starts, dtype=np.float32).transpose(0, 3, 1, 2) / np.float32(255.0))
    climb = _Climb(network, ascent, begin.contiguous(), torch.as_tensor(targets))
    for _ in progress(_finished(climb), label=label, total=len(starts)):
        pass
    images = to_pixels(climb.current)
    first = to_pixels(climb.starts)
    rows = np.arange(len(images))
    return Perturbed(images, p_before=network.probabilities(first)[rows, targets],
                     p_after=network.probabilities(images)[rows, targets], iterations=climb.done_at,
                     reached=climb.reached)


def _finished(climb: _Climb) -> Iterator[int]:
    """Yield the rows as they are done, keeping the batch full while there are images waiting."""
    waiting = list(range(len(climb.starts)))
    active: list[int] = []
    while waiting or active:
        room = climb.ascent.batch - len(active)
        active, waiting = active + waiting[:room], waiting[room:]
        going = climb.advance(active)
        yield from (row for row in active if row not in set(going))
        active = going


def _require_fit(network: Network, starts: NDArray[np.generic], targets: NDArray[np.int64]) -> None:
    side = network.input_size
    if starts.ndim != 4 or starts.shape[1:] != (side, side, 3) or len(starts) != len(targets):
        raise StimulusError("ascent", came=f"images {starts.shape} and {len(targets)} targets",
                            expected=f"(n, {side}, {side}, 3) and n", remedy="Resize the images to the network's input.")
    if len(targets) and not 0 <= int(np.min(targets)) <= int(np.max(targets)) < len(network.class_names):
        raise StimulusError("ascent", came=f"targets {np.min(targets)} to {np.max(targets)}",
                            expected=f"0 to {len(network.class_names) - 1}", remedy="Name classes of this network.")


def quantise(images: Tensor) -> Tensor:
    """Round images in [0, 1] to the 256 levels that can be shown (half up, as :func:`to_pixels` does)."""
    return (images * 255.0 + 0.5).floor().clamp(0.0, 255.0) / 255.0


def to_pixels(images: Tensor) -> Pixels:
    """Turn images (n, 3, h, w) in [0, 1] into what is written and shown, uint8 (n, h, w, 3)."""
    levels = (images * 255.0 + 0.5).floor().clamp(0.0, 255.0)
    return np.ascontiguousarray(levels.to(torch.uint8).permute(0, 2, 3, 1).numpy())


def contrast_from(images: Tensor, starts: Tensor) -> Tensor:
    """Give the lesser of an image's RMS distance from its start and its own RMS contrast, in grey levels."""
    noise = (images - starts).flatten(1).square().mean(dim=1).sqrt()
    own = (images - images.mean(dim=(2, 3), keepdim=True)).flatten(1).square().mean(dim=1).sqrt()
    return 255.0 * torch.minimum(noise, own)


def rms_contrast(image: Pixels) -> float:
    """Give the standard deviation about each channel's mean, in grey levels, of one 8-bit image."""
    values = image.astype(np.float64)
    return float(np.sqrt(np.mean((values - values.mean(axis=(0, 1))) ** 2)))


