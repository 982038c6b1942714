"""The rules of adversarial noise and interference: what is raised, when an image is finished, what a step may do."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from stimuli.perturbation.ascent import Move, Objective, Rule, lengths, logit
from stimuli.regular_images.base_images import certain, uncertain
from subjects.settings.images import StimuliSettings

GROWTH = 1.25
"""Factor by which noise grows in a step while P is reached and the contrast is not."""

AMPLE = 0.025
"""Share by which the contrast that is held exceeds the least one, so that rounding to 8 bits does not fall below it."""

FIRST_RADIUS, FIRST_STEP, LAST_STEP, CHANGE = 1.0, 1.0, 0.01, 0.05
LARGEST_LEVELS = 32.0
"""Largest radius of a search, as a root mean square in grey levels."""


def noise_rule(settings: StimuliSettings) -> Rule:
    """Make the rule of adversarial noise (AN).

    The first image with P >= .99 is too faint to be seen, so the ascent goes on until the image's contrast (its
    standard deviation about each channel's mean) is `an_min_contrast` grey levels and at most `an_contrast_tolerance`
    more, with P between `an_p` and `an_ceiling_p`: the network is then as certain of the image as of the first one
    that reaches .99, and not ten thousand times more, where its softmax would be one-hot to the last digit.
    While P is reached and the contrast is not, the noise grows by a quarter in every step; once it is, every step stays
    at that contrast, and steps shorten to what leads P between its bounds.

    With `an_goal_p` the ascent climbs in whole steps until that P is reached, without a ceiling.
    """
    least, wanted, ceiling = settings.an_min_contrast / 255.0, certain(settings.an_p), _ceiling(settings)
    goal = wanted if settings.an_goal_p is None else max(wanted, certain(settings.an_goal_p))
    share = settings.an_contrast_tolerance
    most = math.inf if share is None or least == 0.0 else least * (1.0 + share)
    highest = 1.0 if share is None or ceiling is None else ceiling
    held = least * (1.0 + (AMPLE if share is None else min(AMPLE, share / 4.0)))

    def done(probabilities: Tensor, images: Tensor, starts: Tensor) -> Tensor:  # noqa: ARG001 - the hook's signature
        contrast = _contrast(images)
        certain_enough = (probabilities >= goal) & (probabilities <= highest)
        return certain_enough & (contrast >= least) & (contrast <= most)

    aim = None if ceiling is None else 1.0 / (1.0 + math.exp(-(logit(wanted) + logit(ceiling)) / 2.0))
    return Rule(Objective(settings.an_objective, settings.an_lambda, aim), done, step=settings.an_step,
                max_iterations=settings.max_iterations,
                project=partial(to_contrast, least=least, held=held, wanted=wanted, bounded=math.isfinite(most)))


def _ceiling(settings: StimuliSettings) -> float | None:
    """Give the P below which AN end; None where there is no such bound."""
    if settings.an_goal_p is not None or settings.an_ceiling_p >= 1.0:
        return None
    return uncertain(settings.an_ceiling_p, above=settings.an_p)


def to_contrast(move: Move, *, least: float, held: float, wanted: float, bounded: bool = True) -> Tensor:
    """Let noise grow towards a contrast where P was reached, and hold the contrast once it is there.

    Parameters
    ----------
    move : Move
        A step.
    least, held : float
        Contrast that is asked for and that is held, on the images' scale; 0 for none.
    wanted : float
        P from which on the noise may grow.
    bounded : bool
        Whether noise also shrinks where the contrast is above `held`, for which starts must have less.
    """
    if held == 0.0:
        return move.after.clamp(0.0, 1.0)
    noise = move.after - move.starts
    there = _contrast(move.before) >= least
    growth = torch.where(there | (move.probabilities >= wanted), GROWTH, 1.0)
    least_factor = 0.0 if bounded else 1.0
    factor = torch.minimum(growth, _factor(move.starts, noise, contrast=held).clamp(min=least_factor)).to(noise.dtype)
    return (move.starts + factor[:, None, None, None] * noise).clamp(0.0, 1.0)


def _factor(starts: Tensor, noise: Tensor, *, contrast: float) -> Tensor:
    """Give the factor of the noise at which start and noise together have a contrast: the root of a quadratic."""
    own, added = _centred(starts), _centred(noise)
    square, mixed, rest = (_mean(added * added), _mean(own * added), _mean(own * own) - contrast**2)
    root = torch.sqrt((mixed * mixed - square * rest).clamp(min=0.0))
    return (root - mixed) / square.clamp(min=torch.finfo(square.dtype).tiny)


def interference_rule(settings: StimuliSettings) -> Rule:
    """Make the rule of adversarial interference (AI).

    With `ai_method` ``"first-hit"`` the first image with P above .99 is taken. With ``"minimal"`` it is the smallest
    perturbation found in `ai_search` steps, by a decoupled-norm search (Rony et al., 2019, CVPR) in which every
    candidate is judged rounded to 8 bits: the image walks on a sphere about its start, whose radius shrinks by a
    twentieth after every step that ended above .99 and grows by one after every other, in steps that get shorter.
    A search that found nothing is followed by another one from where it ended, up to `max_iterations`; no sphere is
    larger than :data:`LARGEST_LEVELS`.
    """
    wanted = certain(settings.ai_p)

    def done(probabilities: Tensor, images: Tensor, starts: Tensor) -> Tensor:  # noqa: ARG001 - the hook's signature
        return probabilities > wanted

    rule = Rule(Objective("log_prob"), done, step=settings.ai_step, max_iterations=settings.max_iterations)
    if settings.ai_method == "first-hit":
        return rule
    return replace(rule, step=FIRST_STEP, search=settings.ai_search,
                   max_iterations=max(settings.max_iterations, settings.ai_search),
                   project=partial(to_sphere, wanted=wanted, search=settings.ai_search))


def to_sphere(move: Move, *, wanted: float, search: int) -> Tensor:
    """Shorten a step and bring the image to a sphere about its start, nearer than before where P was reached."""
    before, progress = move.before - move.starts, (move.iteration % search) / search
    share = LAST_STEP + (1.0 - LAST_STEP) * (1.0 + math.cos(math.pi * progress)) / 2.0
    aim = before + share * (move.after - move.before)
    radius = torch.where(move.probabilities > wanted, 1.0 - CHANGE, 1.0 + CHANGE).to(aim.dtype) * lengths(before)
    radius = torch.where(radius == 0.0, FIRST_RADIUS, radius)
    radius = radius.clamp(max=LARGEST_LEVELS / 255.0 * before[0].numel() ** 0.5)
    scale = radius / lengths(aim).clamp(min=torch.finfo(aim.dtype).tiny)
    return (move.starts + scale[:, None, None, None] * aim).clamp(0.0, 1.0)


def _contrast(images: Tensor) -> Tensor:
    """Give the standard deviation about each channel's mean of each image, (n,), float64."""
    own = _centred(images)
    return _mean(own * own).sqrt()


def _centred(images: Tensor) -> Tensor:
    return images - images.mean(dim=(2, 3), keepdim=True)


def _mean(values: Tensor) -> Tensor:
    return values.flatten(1).mean(dim=1, dtype=torch.float64)
