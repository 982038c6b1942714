"""Spearman's rho of rows against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from analysis.statistics.rank_correlation import row_spearman


@pytest.mark.parametrize("n", [2, 3, 45, 780])
@pytest.mark.parametrize("step", [0.0, 0.5], ids=["without ties", "with ties"])
def test_each_row_is_scipys(n, step):
    rng = np.random.default_rng(n)
    first, second = (rng.normal(size=(7, n)) for _ in range(2))
    second += 0.5 * first
    if step and n > 3:
        first[::2], second[1] = np.round(first[::2] / step), np.round(second[1] / step)
    found = row_spearman(first, second)
    for k in range(7):
        assert found[k] == pytest.approx(spearmanr(first[k], second[k]).statistic, abs=1e-12)


def test_what_cannot_be_ranked_is_missing_and_spoils_no_other_row():
    first, second = (np.random.default_rng(k).normal(size=(5, 20)) for k in (0, 1))
    wanted = row_spearman(first, second)
    first[0, 3], second[1, 2], first[2] = np.nan, np.inf, 4.0
    found = row_spearman(first, second)
    assert np.isnan(found[:3]).all()
    np.testing.assert_array_equal(found[3:], wanted[3:])


def test_rho_hangs_on_ranks_alone():
    first, second = (np.random.default_rng(k).random(size=(3, 30)) for k in (2, 3))
    np.testing.assert_allclose(row_spearman(np.exp(9 * first), -1 / second), row_spearman(first, second), atol=1e-14)
