"""The ascent against closed forms, finite differences, and itself one image at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stimuli.drawings import draw
from stimuli.image_set.measures import contrast_rms, noise_rms
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


@pytest.mark.parametrize("rule", [noise_rule(StimuliSettings(an_min_contrast=8.0)),
                                  interference_rule(StimuliSettings()),
                                  noise_rule(StimuliSettings(an_min_contrast=8.0, an_goal_p=0.9999))])
def test_a_batch_changes_nothing_beyond_rounding(tiny: TorchNetwork, rule: Rule) -> None:
    starts, targets = _drawings(7), np.array([3, 4, 5, 0, 1, 2, 5])
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


@pytest.mark.parametrize("contrast", [0.0, 6.0, 12.0, 30.0])
def test_noise_is_visible_and_certain(tiny: TorchNetwork, contrast: float) -> None:
    """On a start that has contrast of its own, the noise itself must still have it."""
    ramp = np.linspace(40, 215, SIDE)[None, :, None, None] * np.ones((1, 1, SIDE, 3))
    assert contrast_rms(ramp[0]) > 30.0
    rule = noise_rule(StimuliSettings(an_min_contrast=contrast))
    found = list(ascend(tiny, np.repeat(ramp, 3, axis=0), targets=np.arange(3), rule=rule))
    for one in found:
        assert tiny.probabilities(one.pixels[None])[0, one.index] >= 0.99
        assert noise_rms(one.pixels, ramp[0]) >= contrast
        assert contrast_rms(one.pixels) >= contrast
        assert noise_rms(one.pixels, ramp[0]) < contrast + 10.0


def test_a_change_of_colour_is_no_contrast() -> None:
    done = noise_rule(StimuliSettings()).done
    flat, grey = torch.full((1, 3, 4, 4), 0.9), torch.full((1, 3, 4, 4), 0.5)
    board = flat.clone()
    board[..., ::2] -= 0.2
    assert done(torch.tensor([1.0]), torch.cat([flat, board]), grey).tolist() == [False, True]
    assert not done(torch.tensor([0.98]), board, grey).any()


def test_noise_grows_only_where_p_is_there() -> None:
    start, image = torch.full((2, 3, 2, 2), 0.5), torch.full((2, 3, 2, 2), 0.6)
    grown = noise_rule(StimuliSettings()).project(Move(start, image, start, torch.tensor([0.5, 0.995]), 3))
    np.testing.assert_allclose(grown[:, 0, 0, 0].numpy(), [0.6, 0.5 + 0.1 * GROWTH], rtol=1e-6)


def test_above_its_ceiling_an_objective_turns_back() -> None:
    gradient = torch.ones((3, 3, 2, 2))
    odds = torch.tensor([math.log(0.5 / 0.5), math.log(0.994 / 0.006), math.log(0.996 / 0.004)], dtype=torch.float64)
    found = Objective(ceiling=0.995).direction(gradient, log_odds=odds, offset=torch.zeros_like(gradient))
    assert found[:, 0, 0, 0].tolist() == [1.0, 1.0, -1.0]
    assert torch.equal(Objective().direction(gradient, log_odds=odds, offset=torch.zeros_like(gradient)), gradient)


def test_noise_that_is_visible_is_no_more_certain_than_the_first_that_is_certain() -> None:
    """With the demo network: without a ceiling the contrast asked for costs a saturated softmax."""
    network = load_network("demo")
    starts = np.repeat(network.mean_image[None], 4, axis=0)
    rest = {}
    for ceiling in (0.995, 1.0):
        rule = noise_rule(StimuliSettings(an_ceiling_p=ceiling))
        found = list(ascend(network, starts, targets=np.array([0, 9, 18, 27]), rule=rule))
        assert all(one.reached and one.p_after >= 0.99 for one in found)
        assert all(contrast_rms(one.pixels) >= 12.0 for one in found)
        rest[ceiling] = float(np.median([1.0 - one.p_after for one in found]))
    assert rest[0.995] > 10 * rest[1.0]


@pytest.mark.parametrize("goal", [0.995, 0.9999])
def test_noise_goes_on_to_the_probability_asked_for(tiny: TorchNetwork, goal: float) -> None:
    starts, targets = np.full((3, SIDE, SIDE, 3), 127, np.uint8), np.arange(3)
    plain = _sorted(list(ascend(tiny, starts, targets=targets, rule=noise_rule(StimuliSettings(an_min_contrast=2.0)))))
    found = _sorted(list(ascend(tiny, starts, targets=targets,
                                rule=noise_rule(StimuliSettings(an_min_contrast=2.0, an_goal_p=goal)))))
    for one, other in zip(plain, found, strict=True):
        assert other.reached
        assert tiny.probabilities(other.pixels[None])[0, other.index] >= goal
        assert other.iterations >= one.iterations
    assert min(one.p_after for one in plain) < 0.9999
