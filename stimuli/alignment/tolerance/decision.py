"""A network's decision about an image: its margin and the margin's gradient, and perturbations by their size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from stimuli.networks.registry import Network
from stimuli.perturbation.ascent import lengths

Norm = Literal["l2", "linf"]
NORMS: tuple[Norm, ...] = ("l2", "linf")


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Give the logit of the right category minus the largest other one: positive where the decision is right.

    Parameters
    ----------
    logits : Tensor, (n, n_classes)
    labels : Tensor, (n,)
        Indices of the right categories.

    Examples
    --------
    >>> margin(torch.tensor([[2.0, 0.5, 1.0]]), torch.tensor([0]))
    tensor([1.])
    """
    own = logits.gather(1, labels[:, None])[:, 0]
    return own - logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)


def margins(network: Network, images: Tensor, *, labels: Tensor) -> Tensor:
    """Give the margins of images (n, 3, side, side), without their gradients, (n,)."""
    with torch.no_grad():
        return margin(network.logits(images), labels)


def slopes(network: Network, images: Tensor, *, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Give the margins of images (n,), and their gradients by the pixels (n, 3, side, side)."""
    at = images.detach().requires_grad_()
    found = margin(network.logits(at), labels)
    gradient, = torch.autograd.grad(found.sum(), at)
    return found.detach(), gradient


def size(perturbations: Tensor, norm: Norm) -> Tensor:
    """Give each perturbation's L2 or largest absolute value, RGB in [0, 1], (n,)."""
    return lengths(perturbations) if norm == "l2" else perturbations.flatten(1).abs().amax(dim=1)


def each(values: Tensor) -> Tensor:
    """Lay one value an image (n,) out to be multiplied with images (n, 1, 1, 1)."""
    return values[:, None, None, None]


def inside(images: Tensor, perturbations: Tensor) -> Tensor:
    """Shorten perturbations so that images stay RGB in [0, 1]."""
    return (images + perturbations).clamp(0.0, 1.0) - images


@dataclass(eq=False)
class Smallest:
    """The smallest perturbations found so far that change the decision.

    Parameters
    ----------
    images : Tensor, (n, 3, side, side)
        RGB in [0, 1].
    norm : {"l2", "linf"}
        What is small.
    """

    images: Tensor
    norm: Norm

    def __post_init__(self) -> None:
        self.perturbations = torch.zeros_like(self.images)
        self.sizes = torch.full((len(self.images),), torch.inf)

    @property
    def found(self) -> Tensor:
        """Say for which images there is one, bool (n,)."""
        return self.sizes < torch.inf

    def offer(self, perturbations: Tensor, *, changed: Tensor, rows: Tensor | None = None) -> None:
        """Take those that change the decision and are smaller than what was found before.

        Parameters
        ----------
        perturbations : Tensor, (m, 3, side, side)
            Of the images of `rows`.
        changed : Tensor, bool (m,)
            Whether each changes the decision.
        rows : Tensor, (m,), optional
            Which images; default: all.
        """
        rows = torch.arange(len(self.images)) if rows is None else rows
        sizes = size(perturbations, self.norm)
        better = changed & (sizes < self.sizes[rows])
        self.sizes[rows[better]] = sizes[better]
        self.perturbations[rows[better]] = perturbations[better]
