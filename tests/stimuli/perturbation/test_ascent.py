"""The ascent against closed forms, finite differences, and itself one image at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stimuli.image_set.measures import contrast_rms, noise_rms
from stimuli.networks.demo.drawings import draw
from stimuli.networks.registry import TorchNetwork, load_network
from stimuli.perturbation.ascent import Ascended, Move, Objective, Rule, ascend, log_odds
from stimuli.perturbation.rules import GROWTH, interference_rule, noise_rule
from stimuli.regular_images.base_images import certain
from subjects.settings.images import StimuliSettings
from tests.stimuli.tiny import NAMES, SIDE, linear_network

N = 3 * 4 * 4
SIGNS = np.where(np.random.default_rng(0).permutation(N) < N // 2, 1.0, -1.0)
GREY = np.full((1, 4, 4, 3), 127, np.uint8)


def _two_classes(slope: float, bias: float) -> TorchNetwork:
    """Log odds of class 0 are ``bias + slope * signs . pixels``; on flat grey that is the bias."""
    return linear_network(np.stack([slope * SIGNS, np.zeros(N)], axis=1), np.array([bias, 0.0]), side=4,
                          names=("up", "other"))


def _reach(p: float, *, step: float, max_iterations: int = 1000) -> Rule:
    return Rule(Objective(), lambda probabilities, images, starts: probabilities >= p, step=step,
                max_iterations=max_iterations)


def _by_hand(levels: float, *, slope: float, bias: float, p: float) -> tuple[int, np.ndarray]:
    """The path of a linear network: every value moves `levels` a step along its weight's sign."""
    signs = SIGNS.reshape(3, 4, 4).transpose(1, 2, 0)
    for steps in range(10_000):
        image = np.round(127.0 + levels * steps * signs)
        odds = bias + slope * float((signs * (image - 127.0)).sum()) / 255.0
        if 1.0 / (1.0 + math.exp(-odds)) >= p:
            return steps, image.astype(np.uint8)
    raise AssertionError("never")


@pytest.mark.parametrize(("levels", "slope", "bias", "p"), [
    (1.0, 0.5, -4.0, 0.99), (3.0, 0.5, -4.0, 0.99), (0.3, 1.0, -2.0, 0.9), (0.45, 0.7, 0.0, 0.8), (2.0, 0.2, -3.0, 0.5),
])
def test_a_linear_network_is_climbed_along_its_weights(levels: float, slope: float, bias: float, p: float) -> None:
    """Steps below half a grey level add up, although they cannot be seen in the rounded image at first."""
    step = levels * math.sqrt(N) / 255.0
    found, = ascend(_two_classes(slope, bias), GREY, targets=np.array([0]), rule=_reach(p, step=step))
    steps, image = _by_hand(levels, slope=slope, bias=bias, p=p)
    assert (found.iterations, found.reached) == (steps, True)
    np.testing.assert_array_equal(found.pixels, image)
    assert found.p_before == pytest.approx(1 / (1 + math.exp(-bias)), abs=1e-6)


def test_values_stop_at_black_and_white() -> None:
    found, = ascend(_two_classes(0.1, -100.0), GREY, targets=np.array([0]),
                    rule=_reach(0.99, step=40 * math.sqrt(N) / 255, max_iterations=10))
    assert not found.reached
    assert found.iterations == 10
    assert set(np.unique(found.pixels)) == {0, 255}


def test_a_start_that_holds_already_is_left_alone() -> None:
    found, = ascend(_two_classes(1.0, 9.0), GREY, targets=np.array([0]), rule=_reach(0.99, step=1.0))
    assert (found.iterations, found.reached, found.p_before) == (0, True, found.p_after)
    np.testing.assert_array_equal(found.pixels, GREY[0])


def test_a_network_without_a_slope_is_given_up_without_noise() -> None:
    found, = ascend(_two_classes(0.0, -5.0), GREY, targets=np.array([0]), rule=_reach(0.99, step=1.0, max_iterations=7))
    assert (found.iterations, found.reached) == (7, False)
    np.testing.assert_array_equal(found.pixels, GREY[0])


def _probabilities(network: TorchNetwork, image: torch.Tensor, target: int) -> torch.Tensor:
    return torch.softmax(network.logits(image), dim=1)[:, target]


@pytest.mark.parametrize("kind", ["log_prob", "prob"])
@pytest.mark.parametrize("penalty", [0.0, 0.02, 3.0])
def test_the_direction_is_the_gradient_of_equation_1(kind: str, penalty: float) -> None:
    """Central differences of P - lambda ||I - start||^2, or with log P, in float64."""
    rng = np.random.default_rng(4)
    network = linear_network(rng.normal(size=(N, 3)), rng.normal(size=3), side=4, names=("a", "b", "c"))
    start, image = (torch.from_numpy(rng.uniform(0.2, 0.8, (1, 3, 4, 4))) for _ in range(2))

    def objective(at: torch.Tensor) -> float:
        probability = _probabilities(network, at, 1)
        return float((probability if kind == "prob" else probability.log()) - penalty * ((at - start) ** 2).sum())

    wanted = np.empty(N)
    for k in range(N):
        shift = torch.zeros(N, dtype=torch.float64)
        shift[k] = 1e-5
        shift = shift.reshape(1, 3, 4, 4)
        wanted[k] = (objective(image + shift) - objective(image - shift)) / 2e-5
    leaf = image.clone().requires_grad_()
    odds = log_odds(network.logits(leaf), torch.tensor([1]))
    gradient, = torch.autograd.grad(odds.sum(), leaf)
    found = Objective(kind, penalty).direction(gradient, log_odds=odds.detach(), offset=image - start).numpy().ravel()  # type: ignore[arg-type]
    np.testing.assert_allclose(found / np.linalg.norm(found), wanted / np.linalg.norm(wanted), atol=1e-6)


@given(st.floats(-30, 30), st.sampled_from(["log_prob", "prob"]))
def test_slopes_are_derivatives_by_the_log_odds(odds: float, kind: str) -> None:
    p, rest = 1 / (1 + math.exp(-odds)), 1 / (1 + math.exp(odds))
    wanted = rest if kind == "log_prob" else p * rest
    found = Objective(kind).slope(torch.tensor([odds], dtype=torch.float64))  # type: ignore[arg-type]
    assert float(found) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("kind", ["log_prob", "prob"])
@pytest.mark.parametrize("penalty", [0.0, 1e-6])
def test_where_p_is_1_the_direction_still_points_somewhere(kind: str, penalty: float) -> None:
    gradient, offset = torch.ones(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.1)
    odds = torch.tensor([400.0], dtype=torch.float64)
    found = Objective(kind, penalty).direction(gradient, log_odds=odds, offset=offset)  # type: ignore[arg-type]
    assert torch.isfinite(found).all()
    assert (found > 0).all() if penalty == 0.0 else (found < 0).all()  # nothing is left to gain but the way back


@given(st.lists(st.floats(-40, 40), min_size=2, max_size=6), st.data())
def test_log_odds_are_the_logit_of_the_softmax(logits: list[float], data: st.DataObject) -> None:
    target = data.draw(st.integers(0, len(logits) - 1))
    others = [math.exp(value - max(logits)) for k, value in enumerate(logits) if k != target]
    wanted = logits[target] - max(logits) - math.log(sum(others)) if sum(others) > 0 else math.inf
    found = log_odds(torch.tensor([logits], dtype=torch.float64), torch.tensor([target]))
    assert float(found) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def _drawings(n: int) -> np.ndarray:
    rng = np.random.default_rng(11)
    return np.stack([draw(NAMES[k % len(NAMES)], rng=rng, size_px=SIDE) for k in range(n)])


def _sorted(found: list[Ascended]) -> list[Ascended]:
    return sorted(found, key=lambda one: one.index)


@pytest.mark.parametrize(("rule", "starts"), [
    (noise_rule(StimuliSettings()), "grey"), (interference_rule(StimuliSettings()), "drawings"),
    (noise_rule(StimuliSettings(an_goal_p=0.9999)), "grey")])
def test_a_batch_changes_nothing_beyond_rounding(tiny: TorchNetwork, rule: Rule, starts: Any) -> None:
    starts = _drawings(7) if starts == "drawings" else np.full((7, SIDE, SIDE, 3), 127, np.uint8)
    targets = np.array([3, 4, 5, 0, 1, 2, 5])
    together = _sorted(list(ascend(tiny, starts, targets=targets, rule=rule)))
    assert [one.index for one in together] == list(range(7))
    for k, one in enumerate(together):
        alone, = ascend(tiny, starts[k:k + 1], targets=targets[k:k + 1], rule=rule)
        assert (alone.iterations, alone.reached) == (one.iterations, True)
        assert alone.p_after == pytest.approx(one.p_after, abs=1e-4)
        differ = alone.pixels.astype(int) - one.pixels
        assert np.abs(differ).max() <= 1
        assert np.mean(differ != 0) < 0.01


def test_the_same_on_the_network_that_ships() -> None:
    network, rng = load_network("demo"), np.random.default_rng(5)
    starts = np.stack([draw(name, rng=rng) for name in ("owl", "taxi", "crab")])
    targets = np.array([24, 33, 17])
    rule = interference_rule(StimuliSettings(ai_step=1.0))
    together = _sorted(list(ascend(network, starts, targets=targets, rule=rule)))
    alone, = ascend(network, starts[1:2], targets=targets[1:2], rule=rule)
    assert abs(alone.iterations - together[1].iterations) <= 1
    assert alone.p_after > 0.99
    assert noise_rms(alone.pixels, together[1].pixels) < 0.1 * noise_rms(alone.pixels, starts[1])


def test_finished_images_leave_the_batch(tiny: TorchNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    logits = TorchNetwork.logits

    def counting(self: TorchNetwork, images: torch.Tensor) -> torch.Tensor:
        rows.append(len(images))
        return logits(self, images)

    monkeypatch.setattr(TorchNetwork, "logits", counting)
    found = list(ascend(tiny, _drawings(6), targets=np.array([3, 4, 5, 0, 1, 2]),
                        rule=interference_rule(StimuliSettings())))
    assert rows == [sum(one.iterations >= k for one in found) for k in range(len(rows))]
    assert [one.iterations for one in found] == sorted(one.iterations for one in found)


def test_interference_is_the_first_image_above_the_probability(tiny: TorchNetwork) -> None:
    starts, targets = _drawings(4), np.array([3, 4, 5, 0])
    for one in ascend(tiny, starts, targets=targets, rule=interference_rule(StimuliSettings())):
        probability = tiny.probabilities(one.pixels[None])[0, targets[one.index]]
        assert probability > certain(0.99)
        assert one.p_after == pytest.approx(probability, abs=1e-5)
        sooner = interference_rule(StimuliSettings(max_iterations=one.iterations - 1))
        last, = ascend(tiny, starts[one.index][None], targets=targets[one.index][None], rule=sooner)
        assert not last.reached
        assert last.p_after <= certain(0.99)


RAMP = np.linspace(110, 144, SIDE)[None, :, None, None] * np.ones((1, 1, SIDE, 3))


@pytest.mark.parametrize("contrast", [12.0, 30.0, 60.0])
@pytest.mark.parametrize("start", [np.full((1, SIDE, SIDE, 3), 127.0), RAMP])
def test_noise_ends_at_the_contrast_and_probability_asked_for(tiny: TorchNetwork, contrast: float,
                                                              start: np.ndarray) -> None:
    """Also on a start that has some contrast of its own: what counts is the contrast of the image."""
    assert contrast_rms(start[0]) < 12.0
    rule = noise_rule(StimuliSettings(an_min_contrast=contrast))
    for one in ascend(tiny, np.repeat(start, 3, axis=0), targets=np.arange(3), rule=rule):
        assert one.reached
        assert 0.99 <= tiny.probabilities(one.pixels[None])[0, one.index] < 0.995
        assert contrast <= contrast_rms(one.pixels) <= 1.1 * contrast


def test_noise_of_a_real_network_ends_between_its_bounds_in_few_steps() -> None:
    """Before, 11 of 40 AN of this network ended below .995, at contrasts of 14.7 to 15.9, in 48 steps (median)."""
    network = load_network("demo")
    starts = np.repeat(network.mean_image[None], 8, axis=0)
    targets = np.arange(0, 40, 5)
    found = list(ascend(network, starts, targets=targets, rule=noise_rule(StimuliSettings())))
    chances = network.probabilities(np.stack([one.pixels for one in found]))
    for one, chance in zip(found, chances, strict=True):
        assert 0.99 <= chance[targets[one.index]] < 0.995
        assert 12.0 <= contrast_rms(one.pixels) <= 13.2
    assert np.median([one.iterations for one in found]) <= 30


@pytest.mark.parametrize(("changes", "p", "level", "done"), [
    ({}, 0.992, 12.5, True), ({}, 0.9899, 12.5, False), ({}, 0.9951, 12.5, False), ({}, 0.992, 11.9, False),
    ({}, 0.992, 13.3, False),
    ({"an_contrast_tolerance": 0.5}, 0.992, 17.9, True),
    ({"an_contrast_tolerance": None}, 0.9999, 40.0, True),
    ({"an_ceiling_p": 1.0}, 0.9999, 12.5, True),
    ({"an_goal_p": 0.999}, 0.9999, 12.5, True), ({"an_goal_p": 0.999}, 0.9985, 12.5, False),
    ({"an_min_contrast": 0.0}, 0.992, 0.0, True),
])
def test_noise_is_finished_between_its_bounds(changes: dict[str, Any], p: float, level: float, done: bool) -> None:
    """A board of two levels: its contrast is half their distance."""
    board = torch.full((1, 3, 4, 4), 0.5)
    board[..., ::2] += 2 * level / 255.0
    rule = noise_rule(StimuliSettings(**changes))
    assert rule.done(torch.tensor([p]), board, torch.full((1, 3, 4, 4), 0.2)).tolist() == [done]


def _board(level: float) -> torch.Tensor:
    board = torch.full((1, 3, 4, 4), 0.5)
    board[..., ::2] += level / 255.0
    board[..., 1::2] -= level / 255.0
    return board


@pytest.mark.parametrize(("before", "after", "p", "wanted"), [
    (2.0, 2.0, 0.5, 2.0), (2.0, 2.0, 0.992, 2.0 * GROWTH), (11.0, 11.0, 0.992, 12.3), (12.3, 14.0, 0.5, 12.3),
    (12.3, 12.1, 0.5, 12.3), (2.0, 20.0, 0.5, 12.3)])
def test_noise_grows_where_p_is_there_and_then_keeps_its_contrast(before: float, after: float, p: float,
                                                                  wanted: float) -> None:
    move = Move(_board(before), _board(after), torch.full((1, 3, 4, 4), 0.5), torch.tensor([p]), 3)
    found = noise_rule(StimuliSettings()).project(move)
    np.testing.assert_allclose(found.numpy(), _board(wanted).numpy(), rtol=1e-5)


def test_without_an_upper_bound_noise_never_shrinks() -> None:
    move = Move(_board(2.0), _board(20.0), _board(15.0), torch.tensor([0.5]), 3)
    found = noise_rule(StimuliSettings(an_contrast_tolerance=None)).project(move)
    np.testing.assert_allclose(found.numpy(), _board(20.0).numpy(), rtol=1e-5)


def test_an_objective_with_an_aim_turns_back_above_it() -> None:
    gradient = torch.ones((3, 3, 2, 2))
    odds = torch.tensor([math.log(0.5 / 0.5), math.log(0.994 / 0.006), math.log(0.996 / 0.004)], dtype=torch.float64)
    found = Objective(aim=0.995).direction(gradient, log_odds=odds, offset=torch.zeros_like(gradient))
    assert found[:, 0, 0, 0].tolist() == [1.0, 1.0, -1.0]
    assert torch.equal(Objective().direction(gradient, log_odds=odds, offset=torch.zeros_like(gradient)), gradient)


@pytest.mark.parametrize(("slope", "odds", "length"), [
    (-4.0, 1.0, 0.25), (4.0, -0.1, 0.05), (4.0, -8.0, 0.5), (-4.0, -1.0, 0.5), (0.0, -1.0, 0.5), (0.0, 0.0, 0.5)])
def test_steps_are_as_long_as_the_slope_predicts(slope: float, odds: float, length: float) -> None:
    """Towards log odds of 0: down at once, up twice the prediction; never longer than a step, nor without a way."""
    found = Objective(aim=0.5).length(torch.tensor([slope]), log_odds=torch.tensor([odds]), longest=0.5)
    assert float(found) == pytest.approx(length)
    assert float(Objective().length(torch.tensor([slope]), log_odds=torch.tensor([odds]), longest=0.5)) == 0.5


def test_noise_that_is_visible_is_no_more_certain_than_the_first_that_is_certain() -> None:
    """With the demo network: without a ceiling the contrast asked for costs a saturated softmax."""
    network = load_network("demo")
    starts = np.repeat(network.mean_image[None], 4, axis=0)
    rest = {}
    for ceiling in (0.995, 1.0):
        rule = noise_rule(StimuliSettings(an_ceiling_p=ceiling))
        found = list(ascend(network, starts, targets=np.array([0, 9, 18, 27]), rule=rule))
        assert all(one.reached and one.p_after >= 0.99 for one in found)
        rest[ceiling] = float(np.median([1.0 - one.p_after for one in found]))
    assert rest[0.995] > 10 * rest[1.0]


@pytest.mark.parametrize("goal", [0.995, 0.9999])
def test_noise_goes_on_to_the_probability_asked_for(tiny: TorchNetwork, goal: float) -> None:
    starts, targets = np.full((3, SIDE, SIDE, 3), 127, np.uint8), np.arange(3)
    plain = _sorted(list(ascend(tiny, starts, targets=targets, rule=noise_rule(StimuliSettings()))))
    found = _sorted(list(ascend(tiny, starts, targets=targets, rule=noise_rule(StimuliSettings(an_goal_p=goal)))))
    for one, other in zip(plain, found, strict=True):
        assert other.reached
        assert tiny.probabilities(other.pixels[None])[0, other.index] >= goal
        assert 12.0 <= contrast_rms(other.pixels) <= 13.2
        assert one.p_after < 0.995
    assert min(one.p_after for one in plain) < 0.9999
