"""Virtual subjects as arrays: the reliability, smoothness, relations and offsets that were asked for come out."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import spearmanr

from analysis.simulation.draw import draw
from analysis.simulation.worlds import OWN_SHARE, see


def _rows_correlated(a: np.ndarray, b: np.ndarray) -> float:
    """Mean correlation of columns over rows; written out, not imported."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return float(((a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))).mean())


def _rdm(patterns: np.ndarray) -> np.ndarray:
    return (1 - np.corrcoef(patterns - patterns.mean(axis=0)))[np.triu_indices(len(patterns), 1)]


@pytest.mark.parametrize("reliability", [0.0, 0.1, 0.3, 0.8])
def test_split_half_reliability_is_the_one_asked_for(reliability: float) -> None:
    found = draw("paper", rng=np.random.default_rng(4), reliability=reliability, n_subjects=30, n_sessions=1)
    halves = [_rows_correlated(one[0, 0], one[1, 0]) for one in found.betas]
    assert np.mean(halves) == pytest.approx(reliability, abs=0.03)


def test_smoothness_is_that_of_the_gaussian_asked_for() -> None:
    """White noise under a Gaussian of SD s correlates exp(-d^2 / (4 s^2)) at distance d."""
    side, sd = 40, 2.0
    noise = draw("null", rng=np.random.default_rng(1), reliability=0.0, noise_smoothness_mm=sd, side=side,
                 offset_sd=0.0).betas.reshape(-1, side, side)
    assert noise.std() == pytest.approx(1.0, abs=0.02)
    for apart in (1, 2, 4):
        found = float((noise * np.roll(noise, apart, axis=2)).mean())
        assert found == pytest.approx(np.exp(-apart**2 / (4 * sd**2)), abs=0.02)


def test_sessions_share_an_offset_and_nothing_else_in_null_subjects() -> None:
    found = draw("null", rng=np.random.default_rng(2), reliability=0.9, n_subjects=40, offset_sd=3.0)
    means = np.stack([found.betas[:, 0, 0, found.sessions == k].mean(axis=1) for k in (0, 1)])
    others = np.stack([found.betas[:, 1, 2, found.sessions == k].mean(axis=1) for k in (0, 1)])
    assert np.corrcoef(means.ravel(), others.ravel())[0, 1] > 0.95
    assert abs(np.corrcoef(means[0].ravel(), means[1].ravel())[0, 1]) < 0.1
    assert not found.truth.any()


@pytest.mark.parametrize(("world", "an", "ai"), [("paper", False, True), ("cnn-like", True, False),
                                                 ("both", True, True)])
def test_each_world_relates_types_as_it_says(world: str, an: bool, ai: bool) -> None:
    found = draw(world, rng=np.random.default_rng(3), n_subjects=20)
    for kind, related in ((1, an), (2, ai)):
        rho = np.mean([spearmanr(_rdm(one[0]), _rdm(one[kind])).statistic for one in found.truth])
        assert rho > 0.5 if related else abs(rho) < 0.1


def test_a_near_copy_keeps_variance_and_relation() -> None:
    scores = np.random.default_rng(1).standard_normal((4000, 2)) * [3.0, 0.5]
    seen = see("both", scores, rng=np.random.default_rng(2))
    for kind in ("AN", "AI"):
        assert seen[kind].std(axis=0) == pytest.approx(scores.std(axis=0), rel=0.05)
        assert _rows_correlated(scores, seen[kind]) == pytest.approx(np.sqrt(1 - OWN_SHARE**2), abs=0.02)
    assert _rows_correlated(seen["AN"] - scores, seen["AI"] - scores) < 0.3, "each differs from RE in its own way"


def test_a_network_like_subject_sees_an_ai_as_its_target() -> None:
    scores = np.random.default_rng(1).standard_normal((5, 3))
    seen = see("cnn-like", scores, rng=np.random.default_rng(2), targets=(1, 0, None, 4, 3))
    assert np.array_equal(seen["AI"][[0, 1, 3, 4]], scores[[1, 0, 4, 3]])
    assert not np.isclose(seen["AI"][2], scores[2]).any()


def test_a_subject_of_pixels_sees_what_was_measured() -> None:
    scores = {kind: np.full((4, 2), float(k)) for k, kind in enumerate(("RE", "AN", "AI"))}
    assert see("pixels", scores["RE"], rng=np.random.default_rng(1), by_pixels=scores)["AI"][0, 0] == 2.0


@pytest.mark.parametrize(("call", "text"), [
    (lambda rng: draw("paper", rng=rng, reliability=1.2), "reliability 1.2, expected 0 to 1"),
    (lambda rng: draw("pixels", rng=rng), "world 'pixels' needs scores of the pixels"),
    (lambda rng: draw("papre", rng=rng), "world 'papre', expected one of paper, cnn-like"),
    (lambda rng: see("cnn-like", np.ones((3, 2)), rng=rng, targets=(1,)), "1 targets, expected 3"),
])
def test_what_cannot_be_drawn_is_refused(call, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=text):
        call(np.random.default_rng(1))


def test_the_same_seed_gives_the_same_subject_and_another_one_another() -> None:
    first, again, other = (draw("paper", rng=np.random.default_rng(seed)).betas for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.05


def test_a_subject_costs_milliseconds() -> None:
    began = time.process_time()
    draw("paper", rng=np.random.default_rng(1), n_subjects=20)
    assert (time.process_time() - began) / 20 < 0.1
