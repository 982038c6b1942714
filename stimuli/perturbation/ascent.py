"""Gradient ascent on pixels: one sealed, batched loop; the small hooks that make AN and AI of it are its rules.

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
from stimuli.networks.registry import Network, to_pixels, to_tensor

Done = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(P of the target (n,), rounded images, starts (n, 3, side, side)) -> bool (n,): which are finished."""

@dataclass(frozen=True, eq=False)
class Move:
    """One step of some images, handed to the projection.

    Parameters
    ----------
    before, after : Tensor, (n, 3, side, side)
        The unrounded images before and after the step.
    starts : Tensor, (n, 3, side, side)
        What they were made from.
    probabilities : Tensor, (n,)
        P of the target on the rounded images before the step.
    iteration : int
        Steps taken before this one.
    """

    before: Tensor
    after: Tensor
    starts: Tensor
    probabilities: Tensor
    iteration: int


Project = Callable[[Move], Tensor]
"""A step -> the images that are allowed."""

HASTE = 2.0
"""How many times the predicted step an ascent takes that is still below its aim."""


@dataclass(frozen=True)
class Objective:
    """What is raised: ``f(P) - penalty * ||I - start||**2`` on RGB in [0, 1], equation (1) of Zhang et al. (2021).

    Parameters
    ----------
    kind : {"log_prob", "prob"}
        f is the logarithm, or P itself as in the paper.
    penalty : float
        The paper's lambda. With 0 both kinds have the same direction, since a step has a fixed length.
    aim : float or None
        P at which the ascent is to end: above it the ascent turns back, and steps are shortened to what leads there
        (:meth:`length`). None: it climbs in whole steps.
    """

    kind: Literal["log_prob", "prob"] = "log_prob"
    penalty: float = 0.0
    aim: float | None = None

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
        if self.aim is not None:
            above = log_odds > logit(self.aim)
            gradient = torch.where(above[:, None, None, None], -gradient, gradient)
        if self.penalty == 0.0:
            return gradient
        slope = self.slope(log_odds.double())
        share = (slope / (slope + 2.0 * self.penalty)).to(gradient.dtype)[:, None, None, None]
        return share * gradient - (1.0 - share) * offset

    def length(self, slope: Tensor, *, log_odds: Tensor, longest: float) -> Tensor:
        """Give the length of a step.

        Parameters
        ----------
        slope : Tensor, (n,)
            Change of the log odds a unit of length along the step, by the gradient.
        log_odds : Tensor, (n,)
            Of P.
        longest : float
            Of any step.

        Returns
        -------
        Tensor, (n,)
            What the slope predicts to lead to `aim` (Nguyen et al. 2015, CVPR, size their steps so too), from below
            :data:`HASTE` times as much, since the log odds gain less than predicted there. `longest` at most, and
            where the step leads away from `aim` or there is none.

        Examples
        --------
        >>> Objective(aim=0.5).length(torch.tensor([-4.0, 4.0]), log_odds=torch.tensor([1.0, -9.0]), longest=0.5)
        tensor([0.2500, 0.5000])
        """
        whole = torch.full_like(slope, longest)
        if self.aim is None:
            return whole
        left = logit(self.aim) - log_odds.to(slope.dtype)
        predicted = torch.where(left > 0, HASTE, 1.0).to(slope.dtype) * left / slope
        return torch.where(predicted > 0, predicted.clamp(max=longest), whole)


def logit(p: float) -> float:
    """Give the log odds of a probability.

    Examples
    --------
    >>> logit(0.5)
    0.0
    """
    return math.log(p / (1.0 - p))


def _clip(move: Move) -> Tensor:
    """Keep values in [0, 1]."""
    return move.after.clamp(0.0, 1.0)


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
    search : int
        Steps of a search: an image stays for so many even when it is finished, and looks for a finished form closer
        to its start; the closest one is its result. One that found none begins another search where it is. 0 takes
        the first finished form.
    """

    objective: Objective
    done: Done
    step: float
    max_iterations: int
    project: Project = _clip
    search: int = 0


@dataclass(frozen=True)
class Ascended:
    """An image that left the loop.

    Parameters
    ----------
    index : int
        Its place in the batch.
    pixels : uint8 array, (side, side, 3)
        Its last rounded form; after a search the finished one that is closest to its start.
    unrounded : float32 array, (side, side, 3)
        What was rounded to `pixels`, RGB in [0, 1].
    p_before, p_after : float
        Probability of the target on the rounded start and on `pixels`.
    iterations : int
        Steps taken.
    reached : bool
        Whether the rule is satisfied; if not, the steps ran out.
    """

    index: int
    pixels: Pixels
    unrounded: NDArray[np.float32]
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
    live, closest = torch.arange(len(starts)), _Closest(len(starts))
    for iteration in range(rule.max_iterations + 1):
        rounded = (torch.round(images * 255.0) / 255.0).requires_grad_()
        odds = log_odds(network.logits(rounded).double(), goals[live])
        probabilities = torch.sigmoid(odds.detach())
        if iteration == 0:
            before = probabilities.numpy()
        reached = rule.done(probabilities, rounded.detach(), origin[live])
        closest.see(live, images, starts=origin[live], probabilities=probabilities, reached=reached)
        ends = rule.search == 0 or (iteration > 0 and iteration % rule.search == 0)
        leaving = (closest.found[live] & ends) | (iteration == rule.max_iterations)
        for row in torch.nonzero(leaving)[:, 0].tolist():
            index = int(live[row])
            exact, p = closest.result(index, otherwise=(images[row], float(probabilities[row])))
            yield Ascended(index, to_pixels(exact[None])[0], np.ascontiguousarray(exact.permute(1, 2, 0).numpy()),
                           float(before[index]), p, iteration, bool(closest.found[index]))
        staying = ~leaving
        if not staying.any():
            return
        step = _step(rounded, odds, starts=origin[live], rule=rule)[staying]
        live, images = live[staying], images[staying]
        images = rule.project(Move(images, images + step, origin[live], probabilities[staying], iteration))


class _Closest:
    """The finished form of each image that, rounded, is closest to its start, of those seen so far."""

    def __init__(self, n: int) -> None:
        self._l2 = torch.full((n,), torch.inf)
        self._kept: dict[int, tuple[Tensor, float]] = {}

    @property
    def found(self) -> Tensor:
        """Say which images have one, bool (n,)."""
        return self._l2 < torch.inf

    def see(self, live: Tensor, images: Tensor, *, starts: Tensor, probabilities: Tensor, reached: Tensor) -> None:
        """Look at the unrounded images of an iteration."""
        if not reached.any():
            return
        l2 = lengths(torch.round(images * 255.0) / 255.0 - starts)
        for row in torch.nonzero(reached & (l2 < self._l2[live]))[:, 0].tolist():
            index = int(live[row])
            self._l2[index] = l2[row]
            self._kept[index] = images[row].clone(), float(probabilities[row])

    def result(self, index: int, *, otherwise: tuple[Tensor, float]) -> tuple[Tensor, float]:
        """Give an image's closest finished form, unrounded, and its P, or else this one."""
        return self._kept.get(index) or otherwise


def lengths(values: Tensor) -> Tensor:
    """Give the L2 norm of each image, (n,)."""
    result: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return result


def _step(rounded: Tensor, odds: Tensor, *, starts: Tensor, rule: Rule) -> Tensor:
    gradient, = torch.autograd.grad(odds.sum(), rounded)
    now = odds.detach()
    uphill = rule.objective.direction(gradient, log_odds=now, offset=rounded.detach() - starts)
    way = uphill / lengths(uphill).clamp(min=torch.finfo(uphill.dtype).tiny)[:, None, None, None]
    slope = (gradient * way).flatten(1).sum(dim=1)
    return rule.objective.length(slope, log_odds=now, longest=rule.step)[:, None, None, None] * way
