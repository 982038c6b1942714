"""The rules of adversarial noise and interference: what is raised, when an image is finished, what a step may do."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from stimuli.attacks import Move, Objective, Rule, lengths
from stimuli.regular import certain
from subjects.settings import Stimuli

GROWTH = 1.1
FIRST_SHARE, LAST_SHARE = 2.0, 0.05
WIDEST, FINEST = 0.1, 0.01


def noise_rule(settings: Stimuli) -> Rule:
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

    def done(chances: Tensor, images: Tensor, starts: Tensor) -> Tensor:
        own = images - images.mean(dim=(2, 3), keepdim=True)
        return (chances >= goal) & (_rms(own) >= least) & (_rms(images - starts) >= least)

    def grow(move: Move) -> Tensor:
        factor = torch.where(move.chances >= wanted, GROWTH, 1.0).to(move.after.dtype)[:, None, None, None]
        return (move.starts + factor * (move.after - move.starts)).clamp(0.0, 1.0)

    ceiling = settings.an_ceiling_p if settings.an_goal_p is None else 1.0
    objective = Objective(settings.an_objective, settings.an_lambda, ceiling)
    return Rule(objective, done, step=settings.an_step, max_iterations=settings.max_iterations, project=grow)


def interference_rule(settings: Stimuli) -> Rule:
    """Make the rule of adversarial interference (AI).

    With `ai_method` ``"first-hit"`` the first image with P above .99 is taken. With ``"minimal"`` `ai_search` more
    steps look for the smallest perturbation, by a decoupled-norm search (Rony et al., 2019, CVPR) in which every
    candidate is judged rounded to 8 bits: the image walks on a sphere about its start, whose radius shrinks after every
    step that ended above .99 and grows after every other. Radius and steps are relative to the radius at
    which P was first reached, so that a steep network and a flat one are searched alike.
    """
    wanted = certain(settings.ai_p)

    def done(chances: Tensor, images: Tensor, starts: Tensor) -> Tensor:  # noqa: ARG001 - the hook's signature
        return chances > wanted

    rule = Rule(Objective("log_prob"), done, step=settings.ai_step, max_iterations=settings.max_iterations)
    if settings.ai_method == "first-hit":
        return rule
    return replace(rule, search=settings.ai_search,
                   project=partial(to_sphere, wanted=wanted, search=settings.ai_search))


def to_sphere(move: Move, *, wanted: float, search: int) -> Tensor:
    """Bring finished images to a sphere about their starts, nearer than before where P was reached, else farther."""
    step, was = move.after - move.before, lengths(move.before - move.starts)
    share, change = (_falling(move.since / search, first=first, last=last).to(was.dtype) for first, last in
                     ((FIRST_SHARE, LAST_SHARE), (WIDEST, FINEST)))
    aim = move.before - move.starts + _scaled(step, share * was)
    radius = torch.where(move.chances > wanted, 1.0 - change, 1.0 + change) * was
    walked = torch.where((move.since >= 0)[:, None, None, None], move.starts + _scaled(aim, radius), move.after)
    return walked.clamp(0.0, 1.0)


def _falling(progress: Tensor, *, first: float, last: float) -> Tensor:
    """Go from `first` at 0 to `last` at 1 by equal factors."""
    return first * (last / first) ** progress.clamp(0.0, 1.0)


def _scaled(values: Tensor, length: Tensor) -> Tensor:
    return values * (length / lengths(values).clamp(min=torch.finfo(values.dtype).tiny))[:, None, None, None]


def _rms(values: Tensor) -> Tensor:
    flat = values.flatten(1)
    return torch.linalg.vector_norm(flat, dim=1, dtype=torch.float64) / flat.shape[1] ** 0.5
