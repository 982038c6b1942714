"""The smallest perturbation by walking along the decision's border: a few gradients, then a bisection of the length.

At the smallest perturbation its direction is the border's normal. So the direction is a running mean of the normals
seen so far, which evens out the noise of single gradients, and its length is what the linearised margin predicts to
reach the border, a little beyond it (Moosavi-Dezfooli et al., 2016, CVPR, take such steps with the last normal alone;
Croce & Hein, 2020, ICML, average two; Pintor et al., 2021, NeurIPS, and Rony et al., 2019, CVPR, step along the sphere
with lengths that a schedule decides). Pixels at 0 or 1 do not count in directions that lead outside.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stimuli.alignment.tolerance.decision import Norm, Smallest, each, inside, margins, slopes
from stimuli.networks.registry import Network
from stimuli.perturbation.ascent import lengths

FIRST_SHARE, LAST_SHARE = 1.0, 0.1
BEYOND, MORE, LESS, LEAST, MOST = 0.01, 1.6, 0.6, 1e-4, 0.1
"""Share by which a step goes beyond the predicted border: at first, its growth after a step that stayed before the
border and its decay after one that did not, and its bounds."""

LONGEST = 2.0
"""Most that a length may grow or shrink by in a step, as a factor; the first two steps excepted."""

BRACKET, ROUNDS = 0.05, 6
"""Share of its length by which a found perturbation is tried shorter at once, and rounds of the bisection."""


def refine(network: Network, images: Tensor, *, labels: Tensor, norm: Norm = "l2", steps: int = 20) -> Smallest:
    """Find small perturbations that change the decision.

    Parameters
    ----------
    network : Network
        Gives logits that can be differentiated by the pixels.
    images : Tensor, (n, 3, side, side)
        RGB in [0, 1], correctly classified; all go through the network together.
    labels : Tensor, (n,)
        Indices of the right categories.
    norm : {"l2", "linf"}
        What shall be small.
    steps : int
        Forward and backward passes; the bisection of the length adds :data:`ROUNDS` forward passes.

    Returns
    -------
    Smallest
        An image's path does not depend on the others beyond rounding.
    """
    best, normal = Smallest(images, norm), torch.zeros_like(images)
    offset, beyond = torch.zeros_like(images), torch.full((len(images),), BEYOND)
    for step in range(steps):
        margin, gradient = slopes(network, images + offset, labels=labels)
        best.offer(offset, changed=margin < 0)
        gradient = _feasible(gradient, images)
        share = _share(step, steps)
        normal = (1.0 - share) * normal + share * _unit(gradient)
        way = -_steepest(_feasible(normal, images), norm)
        if step > 1:
            beyond = torch.where(margin < 0, LESS * beyond, MORE * beyond).clamp(LEAST, MOST)
        length = _to_border(margin, gradient, offset=offset, way=way, norm=norm, free=step < 2)
        offset = inside(images, each(length * (1.0 + beyond)) * way)
    best.offer(offset, changed=margins(network, images + offset, labels=labels) < 0)
    _shorten(network, best, labels=labels)
    return best


def _share(step: int, steps: int) -> float:
    """Give the weight of a step's normal in the running mean: falling along a cosine."""
    if step == 0:
        return FIRST_SHARE
    return LAST_SHARE + (0.6 - LAST_SHARE) * (1.0 + math.cos(math.pi * step / steps)) / 2.0


def _feasible(gradient: Tensor, images: Tensor) -> Tensor:
    """Leave out pixels that a step down the gradient would bring out of [0, 1]."""
    outside = ((images <= 0.0) & (gradient > 0.0)) | ((images >= 1.0) & (gradient < 0.0))
    return gradient.masked_fill(outside, 0.0)


def _unit(gradient: Tensor) -> Tensor:
    return gradient / each(lengths(gradient).clamp(min=torch.finfo(gradient.dtype).tiny))


def _steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """Give the direction of size 1 that climbs most."""
    return _unit(gradient) if norm == "l2" else gradient.sign()


def _to_border(margin: Tensor, gradient: Tensor, *, offset: Tensor, way: Tensor, norm: Norm, free: bool) -> Tensor:
    """Give the length along a way at which the margin, linearised at the offset, is zero."""
    along = (gradient * way).flatten(1).sum(dim=1)
    at_start = margin - (gradient * offset).flatten(1).sum(dim=1)
    length = torch.where(along < 0, -at_start / along, 0.0)
    now = (lengths(offset) if norm == "l2" else offset.flatten(1).abs().amax(dim=1))
    if free:
        return torch.where(length > 0, length, torch.where(now > 0, LONGEST * now, 1e-2))
    return torch.minimum(torch.maximum(length, now / LONGEST), LONGEST * now)


def _shorten(network: Network, best: Smallest, *, labels: Tensor) -> None:
    """Bisect the length of what was found, in each image's own bracket."""
    rows = torch.nonzero(best.found)[:, 0]
    if len(rows) == 0:
        return
    images, whole, aims = best.images[rows], best.perturbations[rows].clone(), labels[rows]
    low, high, tried = torch.zeros(len(rows)), torch.ones(len(rows)), torch.full((len(rows),), 1.0 - BRACKET)
    for _ in range(ROUNDS):
        shorter = each(tried) * whole
        changed = margins(network, images + shorter, labels=aims) < 0
        best.offer(shorter, changed=changed, rows=rows)
        low, high = torch.where(changed, low, tried), torch.where(changed, tried, high)
        tried = torch.maximum((low + high) / 2.0, high - BRACKET)
