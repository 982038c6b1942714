"""A network's tolerance on images: the smallest perturbation of each that changes the decision, by one scheme."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stimuli.alignment.images import LabelledImages
from stimuli.alignment.tolerance.bisection import STEP, STEPS, bisect, bisect_as_published
from stimuli.alignment.tolerance.decision import Norm, Smallest, margins, size
from stimuli.alignment.tolerance.refinement import refine
from stimuli.networks.registry import Network, to_tensor
from subjects.cli import ProgressWrapper, silent
from subjects.errors import NetworkError, StimulusError

SCHEMES = ("refined", "corrected", "published")
REFINED_STEPS = 20
LONGER = (1.0, 1.0003, 1.001, 1.003, 1.01)
"""Factors by which a perturbation is lengthened until the CPU, image by image, confirms that it changes the decision:
sums in other orders may tip a margin that is zero to the sixth digit."""


@dataclass(frozen=True)
class Scheme:
    """How tolerance is measured.

    Parameters
    ----------
    name : {"refined", "corrected", "published"}
        See :mod:`stimuli.alignment.tolerance.refinement` and :mod:`stimuli.alignment.tolerance.bisection`.
    norm : {"l2", "linf"}
        What is small; the published scheme knows L2 alone.
    steps : int, optional
        Of an attack. Default: 20 of ``refined``, 3 of the others.
    step : float
        Length of a step of the others.
    """

    name: str = "refined"
    norm: Norm = "l2"
    steps: int | None = None
    step: float = STEP

    def __post_init__(self) -> None:
        if self.name not in SCHEMES:
            raise ValueError(f"scheme {self.name!r}; expected one of {', '.join(SCHEMES)}")
        if self.name == "published" and self.norm != "l2":
            raise StimulusError("--norm", came=f"{self.norm} with the published scheme", expected="l2, its own",
                                remedy="Choose --scheme corrected or refined, or leave --norm out.")

    @property
    def n_steps(self) -> int:
        """Count the steps of an attack."""
        return self.steps or (REFINED_STEPS if self.name == "refined" else STEPS)

    def record(self) -> dict[str, Any]:
        """Give what a sidecar says of it."""
        return {**asdict(self), "steps": self.n_steps, "step": None if self.name == "refined" else self.step}

    def search(self, network: Network, images: Tensor, *, labels: Tensor) -> Smallest:
        """Find the smallest perturbations of correctly classified images (n, 3, side, side)."""
        if self.name == "refined":
            return refine(network, images, labels=labels, norm=self.norm, steps=self.n_steps)
        if self.name == "corrected":
            return bisect(network, images, labels=labels, norm=self.norm, steps=self.n_steps, step=self.step)
        return bisect_as_published(network, images, labels=labels, steps=self.n_steps, step=self.step)[0]


@dataclass(frozen=True, eq=False)
class Tolerated:
    """One image that the network classifies correctly.

    Parameters
    ----------
    index : int
        Its place among the images.
    reached : bool
        Whether a perturbation was found that changes the decision.
    l2, linf : float
        Its size, RGB in [0, 1]; NaN where none was found.
    taken_for : int or None
        The category that the perturbed image is taken for.
    perturbation : float32 array, (side, side, 3), or None
        RGB in [0, 1], to be added to the image.
    """

    index: int
    reached: bool
    l2: float
    linf: float
    taken_for: int | None
    perturbation: NDArray[np.float32] | None = field(repr=False)


def tolerance(network: Network, images: LabelledImages, *, scheme: Scheme | None = None, batch: int = 20,
              progress: ProgressWrapper = silent) -> Iterator[Tolerated]:
    """Measure the images that a network classifies correctly.

    Parameters
    ----------
    network : Network
        Gives logits that can be differentiated by the pixels.
    images : LabelledImages
        Of its input size.
    scheme : Scheme
        How.
    batch : int
        How many images at a time; changes nothing beyond rounding.
    progress : ProgressWrapper
        Told of batches.

    Yields
    ------
    Tolerated
        In the order of the images; wrongly classified ones are left out, since they have no decision to change.
    """
    scheme = scheme or Scheme()
    right = correct(network, images, batch=batch)
    starts = range(0, len(right), batch)
    for first in progress(starts, label=f"tolerance of {network.name}", total=len(starts)):
        rows = right[first:first + batch]
        yield from _measure(network, images, rows=rows, scheme=scheme)


def correct(network: Network, images: LabelledImages, *, batch: int = 20) -> NDArray[np.int64]:
    """Give the places of the images whose largest logit is that of their category.

    Raises
    ------
    NetworkError
        If a logit is no finite number: such a network decides nothing.
    """
    labels, found = torch.from_numpy(images.labels), []
    for first in range(0, len(images), batch):
        part = slice(first, first + batch)
        found.append(margins(network, to_tensor(images.pixels[part]), labels=labels[part]))
    values = torch.cat(found).numpy()
    if not np.isfinite(values).all():
        odd = int(np.flatnonzero(~np.isfinite(values))[0])
        raise NetworkError(network.name, came=f"logits that are not finite for {images.files[odd]}",
                           expected="finite logits", remedy="Are weights and preprocessing those that belong together?")
    return np.flatnonzero(values > 0)


def _measure(network: Network, images: LabelledImages, *, rows: Sequence[int] | NDArray[np.int64],
             scheme: Scheme) -> Iterator[Tolerated]:
    starts, labels = to_tensor(images.pixels[rows]), torch.from_numpy(images.labels[rows])
    best = scheme.search(network, starts, labels=labels)
    judge: Network = getattr(network, "judge", network)  # of a network on a device: the same on the CPU
    for k, row in enumerate(rows):
        found = _confirmed(judge, starts[k:k + 1], best.perturbations[k:k + 1], label=labels[k:k + 1]) \
            if best.found[k] else None
        if found is None:
            yield Tolerated(int(row), False, float("nan"), float("nan"), None, None)
            continue
        with torch.no_grad():
            taken_for = int(judge.logits(starts[k:k + 1] + found).argmax())
        yield Tolerated(int(row), True, float(size(found.double(), "l2")), float(size(found.double(), "linf")),
                        taken_for, np.ascontiguousarray(found[0].permute(1, 2, 0).numpy()))


def _confirmed(judge: Network, start: Tensor, offset: Tensor, *, label: Tensor) -> Tensor | None:
    """Give the perturbation as the CPU confirms it, lengthened as little as is needed; None if it never does."""
    for factor in LONGER:
        longer = offset * factor
        if margins(judge, start + longer, labels=label) < 0:
            return longer
    return None


def require_unrounded(perturbed: NDArray[np.floating[Any]] | NDArray[np.uint8], *, where: str) -> None:
    """Refuse images that were rounded to 8 bits: rounding alone adds an L2 of about .44 at 224 px.

    Parameters
    ----------
    perturbed : array, (..., side, side, 3)
        Perturbed images, RGB in [0, 1].
    where : str
        Where they come from.

    Raises
    ------
    StimulusError
        If they are stored as whole numbers, or all values lie on 256 levels.
    """
    levels = np.asarray(perturbed)
    whole = levels.dtype.kind in "ui" or bool(np.abs(levels * 255.0 - np.rint(levels * 255.0)).max() < 1e-3)
    if whole:
        raise StimulusError(where, came="images that were rounded to 8 bits, as PNG files hold them",
                            expected="float perturbations: smallest perturbations are smaller than the rounding",
                            remedy="Export them with `python -m stimuli perturbations`, and measure those.")


