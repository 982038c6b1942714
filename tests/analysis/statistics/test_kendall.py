"""Kendall's tau-a, one row or many, tied or not, under repetition counts: against SciPy and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from analysis.statistics.kendall import inversions, row_tau_a, weighted_tau_a


def by_pairs(first: np.ndarray, second: np.ndarray) -> float:
    """Sum over all pairs, tied ones counting 0."""
    m = len(first)
    return sum(np.sign(first[j] - first[i]) * np.sign(second[j] - second[i])
               for i in range(m) for j in range(i + 1, m)) / (m * (m - 1) / 2)


@pytest.mark.parametrize("m", [2, 3, 4, 5, 8, 9, 16, 17, 33])
def test_inversions_are_those_of_a_loop(m: int) -> None:
    orders = np.random.default_rng(m).permuted(np.tile(np.arange(m), (12, 1)), axis=1)
    wanted = [sum(row[i] > row[j] for i in range(m) for j in range(i + 1, m)) for row in orders]
    np.testing.assert_array_equal(inversions(orders), wanted)


@pytest.mark.parametrize("steps", [None, 6, 2])
@pytest.mark.parametrize("m", [3, 8, 21])
def test_rows_are_those_of_a_loop_over_pairs(m: int, steps: int | None) -> None:
    """`steps`: rounded to so many values, in both series, or in one of them."""
    generator = np.random.default_rng(m)
    fixed, rows = generator.random(m), generator.random((10, m))
    if steps:
        rows = np.round(rows * steps)
        for one in (fixed, np.round(fixed * steps)):
            wanted = [by_pairs(one, row) if np.ptp(row) and np.ptp(one) else np.nan for row in rows]
            np.testing.assert_allclose(row_tau_a(one, rows), wanted, atol=1e-12)
    else:
        np.testing.assert_allclose(row_tau_a(fixed, rows), [kendalltau(fixed, row).statistic for row in rows],
                                   atol=1e-12)


def test_repetition_counts_are_repetitions() -> None:
    generator = np.random.default_rng(3)
    first, second = generator.random(15), np.round(4 * generator.random(15))
    weights = generator.integers(0, 3, size=(15, 6)).astype(float)
    weights[:, 5] = 0
    weights[2, 5] = 1
    wanted = [by_pairs(np.repeat(first, one.astype(int)), np.repeat(second, one.astype(int))) for one in weights.T[:5]]
    found = weighted_tau_a(first, second, weights=weights)
    np.testing.assert_allclose(found[:5], wanted, atol=1e-12)
    assert np.isnan(found[5]), "one value alone has no pair"
