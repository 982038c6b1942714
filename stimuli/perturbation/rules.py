"""The rules of adversarial noise and interference: what is raised, when an image is finished, what a step may do."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from stimuli.perturbation.ascent import Move, Objective, Rule, lengths
from stimuli.regular_images.base_images import certain
from subjects.settings.images import StimuliSettings

GROWTH = 1.1
FIRST_RADIUS, FIRST_STEP, LAST_STEP, CHANGE = 1.0, 1.0, 0.01, 0.05


def noise_rule(settings: StimuliSettings) -> Rule:
    """Make the rule of adversarial noise (AN).

    The first image with P >= .99 is too faint to be seen, so the ascent goes on until the noise is visible:
    both the image's own contrast and the noise itself (image minus start) have at least
    `an_min_contrast` grey levels, root mean square, with P still at .99 or above. While P is there and
    the contrast is not, the noise grows by a tenth in every step; and where growing lifts P above
    `an_ceiling_p` the ascent turns back, so that the network is as certain of the image as it would be of the
    first one that reaches .99, and not ten thousand times more: its softmax would be one-hot to the last digit.
    With `an_goal_p` the ascent does not turn back, and goes on until that P is reached too.
    """
    least, wanted = settings.an_min_contrast / 255.0, certain(settings.an_p)
    goal = wanted if settings.an_goal_p is None else max(wanted, certain(settings.an_goal_p))

    def done(probabilities: Tensor, images: Tensor, starts: Tensor) -> Tensor:
        own = images - images.mean(dim=(2, 3), keepdim=True)
        return (probabilities >= goal) & (_rms(own) >= least) & (_rms(images - starts) >= least)

    def grow(move: Move) -> Tensor:
        factor = torch.where(move.probabilities >= wanted, GROWTH, 1.0).to(move.after.dtype)[:, None, None, None]
        return (move.starts + factor * (move.after - move.starts)).clamp(0.0, 1.0)

    ceiling = settings.an_ceiling_p if settings.an_goal_p is None else 1.0
    objective = Objective(settings.an_objective, settings.an_lambda, ceiling)
    return Rule(objective, done, step=settings.an_step, max_iterations=settings.max_iterations, project=grow)


def interference_rule(settings: StimuliSettings) -> Rule:
    """Make the rule of adversarial interference (AI).

    With `ai_method` ``"first-hit"`` the first image with P above .99 is taken. With ``"minimal"`` it is the smallest
    perturbation found in `ai_search` steps, by a decoupled-norm search (Rony et al., 2019, CVPR) in which every
    candidate is judged rounded to 8 bits: the image walks on a sphere about its start, whose radius shrinks by a
    twentieth after every step that ended above .99 and grows by one after every other, in steps that get shorter.
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
    before, progress = move.before - move.starts, min(1.0, move.iteration / search)
    share = LAST_STEP + (1.0 - LAST_STEP) * (1.0 + math.cos(math.pi * progress)) / 2.0
    aim = before + share * (move.after - move.before)
    radius = torch.where(move.probabilities > wanted, 1.0 - CHANGE, 1.0 + CHANGE).to(aim.dtype) * lengths(before)
    radius = torch.where(radius == 0.0, FIRST_RADIUS, radius)
    scale = radius / lengths(aim).clamp(min=torch.finfo(aim.dtype).tiny)
    return (move.starts + scale[:, None, None, None] * aim).clamp(0.0, 1.0)


def _rms(values: Tensor) -> Tensor:
    flat = values.flatten(1)
    result: Tensor = torch.linalg.vector_norm(flat, dim=1, dtype=torch.float64) / flat.shape[1] ** 0.5
    return result
