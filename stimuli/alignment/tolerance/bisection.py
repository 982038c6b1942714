"""L2 and Linf attacks of a given size, and the smallest size at which they succeed, by bisection.

Two schemes. ``published`` is the public script of Linsley et al. (2023; serre-lab/Adversarial-Alignment, ``main.py``
and ``attack.py``), to the letter: three steps of L2 .5 along the gradient of the cross entropy, after each of which eps
is added to the offset's length (the offset is not brought to a ball), and every round of the bisection attacks with the
first eps again, so that what it measures is the attack with eps 1. ``corrected`` is what the paper describes: projected
gradient descent (Madry et al., 2018, ICLR) in the ball of each round's own eps. The script also scales each batch of
images to its own range; here images are RGB in [0, 1], and networks have their own preprocessing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from stimuli.alignment.tolerance.decision import Norm, Smallest, each, inside, margins, size
from stimuli.networks.registry import Network
from stimuli.perturbation.ascent import lengths

STEPS, STEP = 3, 0.5
LOWEST, FIRST, HIGHEST = 0.001, 1.0, 10.0
"""The least eps, the first one, and the largest: an image that it does not change is not counted."""

NARROW = 0.01
"""Width at which the published bisection ends below an eps of 1; above it no image is counted."""

RELATIVE = 0.01
"""Width at which the corrected bisection ends, as a share of the size found."""

Attack = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(images (n, 3, side, side), labels (n,), eps (n,)) -> perturbations."""


def descend(network: Network, images: Tensor, *, labels: Tensor, eps: Tensor, norm: Norm = "l2", steps: int = STEPS,
            step: float = STEP) -> Tensor:
    """Attack by projected gradient descent in a ball about each image.

    Parameters
    ----------
    network : Network
        Gives logits that can be differentiated by the pixels.
    images : Tensor, (n, 3, side, side)
        RGB in [0, 1].
    labels : Tensor, (n,)
        Indices of the right categories, whose cross entropy is raised.
    eps : Tensor, (n,)
        Radius of each image's ball.
    norm : {"l2", "linf"}
        Of the ball and of the steps.
    steps : int
        Forward and backward passes.
    step : float
        Length of a step; no step is longer than the ball is wide.

    Returns
    -------
    Tensor, (n, 3, side, side)
        Perturbations of at most `eps`.
    """
    offset = torch.zeros_like(images)
    for _ in range(steps):
        way = _uphill(network, images + offset, labels=labels, norm=norm)
        moved = offset + each(torch.clamp(2.0 * eps, max=step)) * way
        factor = (eps / size(moved, norm).clamp(min=torch.finfo(moved.dtype).tiny)).clamp(max=1.0)
        limited = each(factor) * moved if norm == "l2" else torch.maximum(torch.minimum(moved, each(eps)), -each(eps))
        offset = inside(images, limited)
    return offset


def descend_as_published(network: Network, images: Tensor, *, labels: Tensor, eps: Tensor, steps: int = STEPS,
                         step: float = STEP) -> Tensor:
    """Attack as the public script does: eps lengthens the offset after every step. Parameters as :func:`descend`."""
    offset = torch.zeros_like(images)
    for _ in range(steps):
        moved = offset + step * _uphill(network, images + offset, labels=labels, norm="l2", exact=False)
        longer = 1.0 + eps / lengths(moved).clamp(min=torch.finfo(moved.dtype).tiny)
        offset = inside(images, each(longer) * moved)
    return offset


def _uphill(network: Network, images: Tensor, *, labels: Tensor, norm: Norm, exact: bool = True) -> Tensor:
    """Give the direction of size 1 in which the cross entropy of the right category rises most.

    `exact` takes the softmax in float64; the script does not, and loses the right category's part where P is near 1.
    """
    at = images.detach().requires_grad_()
    logits = network.logits(at)
    entropy = torch.nn.functional.cross_entropy(logits.double() if exact else logits, labels, reduction="sum")
    gradient, = torch.autograd.grad(entropy, at)
    if norm == "linf":
        return gradient.sign()
    return gradient / each(lengths(gradient).clamp(min=torch.finfo(gradient.dtype).tiny))


def bisect(network: Network, images: Tensor, *, labels: Tensor, norm: Norm = "l2", steps: int = STEPS,
           step: float = STEP) -> Smallest:
    """Find the smallest perturbations of :func:`descend` that change the decision, as the paper describes.

    Every image has its own bracket: it begins between :data:`LOWEST` and the first of 1, 2, 4 ... :data:`HIGHEST` that
    changes the decision, is bisected by the ratio, and leaves the batch when it is :data:`RELATIVE` narrow.
    Parameters as :func:`descend`.
    """
    def attack(part: Tensor, aims: Tensor, eps: Tensor) -> Tensor:
        return descend(network, part, labels=aims, eps=eps, norm=norm, steps=steps, step=step)

    best = Smallest(images, norm)
    scale = 1.0 if norm == "l2" else images[0].numel() ** -0.5
    low, high = torch.full((len(images),), LOWEST * scale), torch.full((len(images),), torch.inf)
    live, tried = torch.arange(len(images)), torch.full((len(images),), FIRST * scale)
    while len(live):
        eps = tried[live]
        offset = attack(images[live], labels[live], eps)
        changed = margins(network, images[live] + offset, labels=labels[live]) < 0
        best.offer(offset, changed=changed, rows=live)
        low[live], high[live] = torch.where(changed, low[live], eps), torch.where(changed, eps, high[live])
        tried = torch.where(high < torch.inf, (low * high).sqrt(), (2.0 * low).clamp(max=HIGHEST * scale))
        live = live[(high[live] > (1.0 + RELATIVE) * low[live]) & (low[live] < 0.999 * HIGHEST * scale)]
    return best


def bisect_as_published(network: Network, images: Tensor, *, labels: Tensor, steps: int = STEPS,
                        step: float = STEP) -> tuple[Smallest, Tensor]:
    """Measure what the public script measures, rounds that repeat the first eps left out.

    Parameters as :func:`descend`.

    Returns
    -------
    smallest : Smallest
        The perturbations with eps :data:`FIRST`, of images that both it and :data:`HIGHEST` change.
    eps : Tensor, (n,)
        The eps that the script reports; NaN where it counts no image. It is the bisection's end and no property of the
        network: every round has the same outcome.
    """
    def attack(eps: float) -> Tensor:
        return descend_as_published(network, images, labels=labels, eps=torch.full((len(images),), eps), steps=steps,
                                    step=step)

    best = Smallest(images, "l2")
    last, first = attack(HIGHEST), attack(FIRST)
    counted = (margins(network, images + last, labels=labels) < 0) & (margins(network, images + first, labels=labels)
                                                                      < 0)
    best.offer(first, changed=counted)
    return best, torch.where(counted, _end_of_rounds(), torch.nan)


def _end_of_rounds() -> float:
    """Give where a bisection ends in which every round succeeds."""
    low, high = LOWEST, FIRST
    while high - low >= NARROW:
        high = low + (high - low) / 2.0
    return high
