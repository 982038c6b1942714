"""The smallest perturbation that survives rounding, against the exact optimum of a linear network."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stimuli.image_set.measures import l2
from stimuli.networks.demo.drawings import draw
from stimuli.networks.registry import TorchNetwork, load_network
from stimuli.perturbation.ascent import Ascended, Move, ascend
from stimuli.perturbation.rules import LARGEST_LEVELS, interference_rule
from stimuli.regular_images.base_images import certain
from subjects.settings.images import StimuliSettings
from tests.stimuli.tiny import NAMES, SIDE, linear_network

MINIMAL = interference_rule(StimuliSettings(ai_method="minimal"))
WIDTH = 8


def _by_index(found: list[Ascended]) -> list[Ascended]:
    return sorted(found, key=lambda one: one.index)


def _optimum(weights: np.ndarray, *, needed: float) -> float:
    """The least L2 of whole grey levels n with n . weights / 255 >= needed: n = round(s * |weights|), s as small as is
    enough (the minimum of |n|**2 - 2 s n . |weights|, value by value), the last ones taken back where they can be."""
    size = np.abs(weights)
    edges = np.unique(np.concatenate([(k + 0.5) / size for k in range(40)]))
    low, high = 0, len(edges) - 1
    while low < high:
        middle = (low + high) // 2
        enough = (np.floor(size * edges[middle] + 0.5 + 1e-9) @ size) / 255.0 >= needed
        low, high = (low, middle) if enough else (middle + 1, high)
    return float(np.linalg.norm(np.floor(size * edges[low] + 0.5 + 1e-9))) / 255.0


@given(seed=st.integers(0, 10**6), needed=st.floats(2.0, 12.0))
@hypothesis_settings(max_examples=25, deadline=None)
def test_a_linear_network_is_solved_to_a_few_percent(seed: int, needed: float) -> None:
    n = 3 * WIDTH * WIDTH
    weights = np.random.default_rng(seed).standard_normal(n)
    goal = math.log(certain(0.99) / (1.0 - certain(0.99)))
    grey = np.full((1, WIDTH, WIDTH, 3), 128, np.uint8)
    bias = goal - needed - float(weights.sum()) * 128.0 / 255.0
    network = linear_network(np.stack([weights, np.zeros(n)], axis=1), np.array([bias, 0.0]), side=WIDTH,
                             names=("up", "other"))
    found, = ascend(network, grey, targets=np.array([0]), rule=MINIMAL)
    best = _optimum(weights, needed=needed)
    assert found.reached
    assert needed / np.linalg.norm(weights) * 0.97 - 0.02 <= l2(found.pixels, grey[0]) <= 1.05 * best + 0.02


def test_it_is_never_larger_than_the_first_hit(tiny: TorchNetwork) -> None:
    rng = np.random.default_rng(11)
    starts = np.stack([draw(NAMES[k % len(NAMES)], rng=rng, size_px=SIDE) for k in range(6)])
    targets = np.array([3, 4, 5, 0, 1, 2])
    small_steps = interference_rule(StimuliSettings(ai_step=0.02))
    first = _by_index(list(ascend(tiny, starts, targets=targets, rule=small_steps)))
    least = _by_index(list(ascend(tiny, starts, targets=targets, rule=MINIMAL)))
    for one, other, start in zip(first, least, starts, strict=True):
        assert other.reached
        assert tiny.probabilities(other.pixels[None])[0, targets[other.index]] > certain(0.99)
        assert l2(other.pixels, start) <= 1.02 * l2(one.pixels, start)


def test_on_a_real_shape_it_is_clearly_smaller() -> None:
    network, rng = load_network("demo"), np.random.default_rng(5)
    starts = np.stack([draw(name, rng=rng) for name in ("owl", "taxi", "crab")])
    targets = np.array([24, 33, 17])
    first = _by_index(list(ascend(network, starts, targets=targets, rule=interference_rule(StimuliSettings()))))
    least = _by_index(list(ascend(network, starts, targets=targets,
                                  rule=interference_rule(StimuliSettings(ai_method="minimal", ai_search=80)))))
    for one, other, start in zip(first, least, starts, strict=True):
        assert other.reached
        assert other.p_after > 0.99
        assert l2(other.pixels, start) < 0.9 * l2(one.pixels, start)
        assert network.probabilities(other.pixels[None])[0, targets[other.index]] == pytest.approx(other.p_after,
                                                                                                  abs=1e-4)


def test_it_takes_the_steps_it_was_given(tiny: TorchNetwork) -> None:
    start = draw(NAMES[0], rng=np.random.default_rng(0), size_px=SIDE)[None]
    for search in (30, 60):
        found, = ascend(tiny, start, targets=np.array([3]),
                        rule=interference_rule(StimuliSettings(ai_method="minimal", ai_search=search)))
        assert (found.iterations, found.reached) == (search, True)


def test_a_target_out_of_reach_is_given_up_at_the_end() -> None:
    n = 3 * WIDTH * WIDTH
    network = linear_network(np.stack([np.zeros(n), np.zeros(n)], axis=1), np.array([-5.0, 0.0]), side=WIDTH,
                             names=("up", "other"))
    grey = np.full((1, WIDTH, WIDTH, 3), 128, np.uint8)
    found, = ascend(network, grey, targets=np.array([0]),
                    rule=interference_rule(StimuliSettings(ai_method="minimal", ai_search=10, max_iterations=15)))
    assert (found.reached, found.iterations) == (False, 15)


def test_a_search_that_is_too_short_is_followed_by_others_within_a_bounded_radius() -> None:
    """Before, its radius grew by a twentieth for every one of 1000 steps, up to black and white."""
    seen: list[float] = []
    n, side = 3 * 32 * 32, 32
    weights = np.random.default_rng(3).standard_normal(n)
    network = linear_network(np.stack([weights, np.zeros(n)], axis=1) * 1e-6, np.array([-9.0, 0.0]), side=side,
                             names=("up", "other"))
    rule = interference_rule(StimuliSettings(ai_method="minimal", ai_search=10, max_iterations=400))
    grey = np.full((1, side, side, 3), 128, np.uint8)

    def watching(move: Move) -> torch.Tensor:
        found = rule.project(move)
        seen.append(255.0 * float((found - move.starts).square().mean().sqrt()))
        return found

    found, = ascend(network, grey, targets=np.array([0]), rule=replace(rule, project=watching))
    assert not found.reached
    assert LARGEST_LEVELS - 1.0 < max(seen) < LARGEST_LEVELS + 0.01


def test_a_second_search_finds_what_the_first_did_not() -> None:
    network, rng = load_network("demo"), np.random.default_rng(5)
    starts = np.stack([draw(name, rng=rng) for name in ("owl", "taxi", "crab")])
    rule = interference_rule(StimuliSettings(ai_method="minimal", ai_search=12))
    found = _by_index(list(ascend(network, starts, targets=np.array([24, 33, 17]), rule=rule)))
    assert all(one.reached and one.iterations % 12 == 0 for one in found)
    assert max(one.iterations for one in found) > 12
    assert max(l2(one.pixels, start) for one, start in zip(found, starts, strict=True)) < 12.0
