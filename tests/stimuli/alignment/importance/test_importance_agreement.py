"""Rank correlation of maps against SciPy's, and the human ceiling on people whose agreement was planted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from stimuli.alignment.importance.agreement import human_ceiling, spearman


def test_the_correlation_is_scipys_with_ties() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((4, 9, 11)), rng.integers(0, 5, (4, 9, 11)).astype(float)
    wanted = [spearmanr(one.ravel(), other.ravel()).statistic for one, other in zip(first, second, strict=True)]
    np.testing.assert_allclose(spearman(first, second), wanted, rtol=1e-12)


def test_it_sees_order_alone() -> None:
    rng = np.random.default_rng(1)
    maps = rng.random((2, 6, 6))
    np.testing.assert_allclose(spearman(maps, np.exp(5 * maps)), 1.0)
    np.testing.assert_allclose(spearman(maps, -maps), -1.0)


def test_a_map_without_differences_has_no_correlation() -> None:
    assert np.isnan(spearman(np.ones((1, 3, 3)), np.random.default_rng(0).random((1, 3, 3)))).all()


def test_maps_must_have_one_shape() -> None:
    with pytest.raises(ValueError, match="expected twice"):
        spearman(np.ones((1, 3, 3)), np.ones((1, 3, 4)))


@pytest.mark.parametrize(("n_people", "noise"), [(6, 1.0), (7, 2.0), (20, 2.0)])
def test_the_ceiling_is_what_was_planted(n_people: int, noise: float) -> None:
    """Normal maps and noise: the correlations follow from the variances, Spearman's by 6 / pi asin(r / 2)."""
    rng = np.random.default_rng(n_people)
    truth = rng.standard_normal((30, 1, 24, 24))
    people = truth + noise * rng.standard_normal((30, n_people, 24, 24))
    found = human_ceiling(list(people), rng=rng)
    halves = 1.0 / (1.0 + noise**2 / (n_people // 2))
    assert found is not None
    assert found.n_images == 30
    assert found.split_half == pytest.approx(6 / np.pi * np.arcsin(halves / 2), abs=4 * found.error)
    against_truth = spearman(people.mean(axis=1), truth[:, 0]).mean()
    assert found.highest == pytest.approx(against_truth, abs=0.04)


def test_people_who_agree_in_nothing_have_a_ceiling_of_zero() -> None:
    rng = np.random.default_rng(4)
    found = human_ceiling(list(rng.random((40, 4, 16, 16))), rng=rng)
    assert found is not None
    assert abs(found.split_half) < 4 * found.error


def test_without_two_people_there_is_none() -> None:
    rng = np.random.default_rng(5)
    assert human_ceiling([None, rng.random((1, 4, 4))], rng=rng) is None
    assert human_ceiling([np.ones((2, 4, 4))], rng=rng) is None
    one = human_ceiling([None, rng.random((2, 4, 4))], rng=rng)
    assert one is not None
    assert (one.n_images, np.isnan(one.error)) == (1, True)
