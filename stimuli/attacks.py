"""Gradient ascent on pixels: one sealed, batched loop, and the small hooks that make AN and AI of it.

The network judges the image as it will be stored: in every step the gradient is taken at the image
rounded to 8 bits and applied to the unrounded one (straight-through), and an image is finished when
its rounded form satisfies the rule. What comes out is that very form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stimuli.manifest import Pixels
from stimuli.network import Network, to_pixels, to_tensor
from stimuli.regular import certain
from subjects.settings import Stimuli

Done = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(P of the target (n,), rounded images, starts (n, 3, side, side)) -> bool (n,): which are finished."""

Project = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(images after a step, starts, P of the target before it (n,)) -> images that are allowed."""

GROWTH = 1.1


@dataclass(frozen=True)
class Objective:
    """What is raised: ``f(P) - pull * ||I - start||**2`` on RGB in [0, 1], equation (1) of Zhang et al. (2021).

    Parameters
    ----------
    kind : {"log_prob", "prob"}
        f is the logarithm, or P itself as in the paper.
    pull : float
        The paper's lambda. With 0 both kinds have the same direction, since a step has a fixed length.
    ceiling : float
        P above which the ascent turns back, so that it stays near where it is to end; 1 for never.
    """

    kind: Literal["log_prob", "prob"] = "log_prob"
    pull: float = 0.0
    ceiling: float = 1.0

    def slope(self, log_odds: Tensor) -> Tensor:
        """Give the derivative of f by the log odds of P, exact also where P is 1 in float64.

        Examples
        --------
        >>> Objective("prob").slope(torch.zeros(1)), Objective("log_prob").slope(torch.zeros(1))
        (tensor([0.2500]), tensor([0.5000]))
        """
        rest = torch.sigmoid(-log_odds)
        return rest if self.kind == "log_prob" else rest * torch.sigmoid(log_odds)

    def direction(self, gradient: Tensor, *, log_odds: Tensor, offset: Tensor) -> Tensor:
        """Give the gradient of the objective up to a positive factor for each image.

        Parameters
        ----------
        gradient : Tensor, (n, 3, side, side)
            Of the log odds by the pixels.
        log_odds : Tensor, (n,)
            Of P.
        offset : Tensor, (n, 3, side, side)
            Image minus start.
        """
        if self.ceiling < 1.0:
            above = log_odds > math.log(self.ceiling / (1.0 - self.ceiling))
            gradient = torch.where(above[:, None, None, None], -gradient, gradient)
        if self.pull == 0.0:
            return gradient
        slope = self.slope(log_odds.double())
        share = (slope / (slope + 2.0 * self.pull)).to(gradient.dtype)[:, None, None, None]
        return share * gradient - (1.0 - share) * offset


def _clip(images: Tensor, starts: Tensor, chances: Tensor) -> Tensor:  # noqa: ARG001 - a projection's signature
    """Keep values in [0, 1]."""
    return images.clamp(0.0, 1.0)


@dataclass(frozen=True)
class Rule:
    """The hooks of one kind of perturbation.

    Parameters
    ----------
    objective : Objective
        What is raised.
    done : callable
        When an image is finished, judged on its rounded form.
    step : float
        Length of a step, L2 on RGB in [0, 1].
    max_iterations : int
        Steps after which an image is given up.
    project : callable
        Applied after every step.
    """

    objective: Objective
    done: Done
    step: float
    max_iterations: int
    project: Project = _clip


@dataclass(frozen=True)
class Ascended:
    """An image that left the loop.

    Parameters
    ----------
    index : int
        Its place in the batch.
    pixels : uint8 array, (side, side, 3)
        Its last rounded form.
    p_before, p_after : float
        Probability of the target on the rounded start and on `pixels`.
    iterations : int
        Steps taken.
    reached : bool
        Whether the rule is satisfied; if not, the steps ran out.
    """

    index: int
    pixels: Pixels
    p_before: float
    p_after: float
    iterations: int
    reached: bool


def log_odds(logits: Tensor, targets: Tensor) -> Tensor:
    """Give log(P / (1 - P)) of each row's target: its logit minus the log-sum-exp of all others.

    Parameters
    ----------
    logits : Tensor, (n, n_classes)
    targets : Tensor, (n,)
        Indices of the targets.

    Examples
    --------
    >>> log_odds(torch.tensor([[2.0, 0.5]]), torch.tensor([0]))
    tensor([1.5000])
    """
    own = logits.gather(1, targets[:, None])[:, 0]
    others = logits.scatter(1, targets[:, None], -torch.inf)
    return own - torch.logsumexp(others, dim=1)


def ascend(network: Network, starts: NDArray[np.generic], *, targets: NDArray[np.integer],
           rule: Rule) -> Iterator[Ascended]:
    """Raise the target's probability from each start until the rule is satisfied.

    Parameters
    ----------
    network : Network
        Gives logits that can be differentiated by the pixels.
    starts : array, (n, side, side, 3)
        RGB in 0..255; all go through the network together.
    targets : int array, (n,)
        Output to raise, for each image.
    rule : Rule
        What is raised, how far, how fast.

    Yields
    ------
    Ascended
        Each image as soon as it is finished or given up. An image's path does not depend on the
        others beyond rounding: gradient, step length and stop are its own.
    """
    origin = to_tensor(starts)
    images, goals = origin.clone(), torch.from_numpy(np.asarray(targets, dtype=np.int64))
    before = np.full(len(starts), np.nan)
    live = torch.arange(len(starts))
    for iteration in range(rule.max_iterations + 1):
        rounded = (torch.round(images * 255.0) / 255.0).requires_grad_()
        odds = log_odds(network.logits(rounded).double(), goals[live])
        chances = torch.sigmoid(odds.detach())
        if iteration == 0:
            before = chances.numpy()
        reached = rule.done(chances, rounded.detach(), origin[live])
        leaving = reached | (iteration == rule.max_iterations)
        for row in torch.nonzero(leaving)[:, 0].tolist():
            index = int(live[row])
            yield Ascended(index, to_pixels(rounded[row:row + 1])[0], float(before[index]), float(chances[row]),
                           iteration, bool(reached[row]))
        staying = ~leaving
        if not staying.any():
            return
        step = _step(rounded, odds, starts=origin[live], rule=rule)[staying]
        live, chances = live[staying], chances[staying]
        images = rule.project(images[staying] + step, origin[live], chances)


def _step(rounded: Tensor, odds: Tensor, *, starts: Tensor, rule: Rule) -> Tensor:
    gradient, = torch.autograd.grad(odds.sum(), rounded)
    uphill = rule.objective.direction(gradient, log_odds=odds.detach(), offset=rounded.detach() - starts)
    lengths = torch.linalg.vector_norm(uphill.flatten(1), dim=1).clamp(min=torch.finfo(uphill.dtype).tiny)
    return rule.step * uphill / lengths[:, None, None, None]


def noise_rule(settings: Stimuli) -> Rule:
    """Make the rule of adversarial noise (AN).

    The first image with P >= .99 is too faint to be seen, so the ascent goes on until the noise is visible:
    both the image's own contrast and the noise itself (image minus start) have at least
    `an_min_contrast` grey levels, root mean square, with P still at .99 or above. While P is there and
    the contrast is not, the noise grows by a tenth in every step; and where growing lifts P above
    `an_ceiling_p` the ascent turns back, so that the network is as certain of the image as it would be of the
    first one that reaches .99, and not ten thousand times more: its softmax would be one-hot to the last digit.
    """
    least, wanted = settings.an_min_contrast / 255.0, certain(settings.an_p)

    def done(chances: Tensor, images: Tensor, starts: Tensor) -> Tensor:
        own = images - images.mean(dim=(2, 3), keepdim=True)
        return (chances >= wanted) & (_rms(own) >= least) & (_rms(images - starts) >= least)

    def grow(images: Tensor, starts: Tensor, chances: Tensor) -> Tensor:
        factor = torch.where(chances >= wanted, GROWTH, 1.0).to(images.dtype)[:, None, None, None]
        return (starts + factor * (images - starts)).clamp(0.0, 1.0)

    objective = Objective(settings.an_objective, settings.an_lambda, settings.an_ceiling_p)
    return Rule(objective, done, step=settings.an_step, max_iterations=settings.max_iterations, project=grow)


def interference_rule(settings: Stimuli) -> Rule:
    """Make the rule of adversarial interference (AI): the first image with P above .99 is taken."""
    wanted = certain(settings.ai_p)

    def done(chances: Tensor, images: Tensor, starts: Tensor) -> Tensor:  # noqa: ARG001 - the hook's signature
        return chances > wanted

    return Rule(Objective("log_prob"), done, step=settings.ai_step, max_iterations=settings.max_iterations)


def _rms(values: Tensor) -> Tensor:
    flat = values.flatten(1)
    return torch.linalg.vector_norm(flat, dim=1, dtype=torch.float64) / flat.shape[1] ** 0.5
