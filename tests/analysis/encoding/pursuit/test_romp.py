"""ROMP: the literal one against the published steps, the batched one against the literal one."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.encoding.pursuit import search
from analysis.encoding.pursuit.romp import SparseFit, romp, romp_levels
from subjects.errors import AnalysisError


def solve_at(phi: np.ndarray, y: np.ndarray, *, n: int) -> SparseFit:
    return romp_levels(phi, y, levels=(n,))[n]


def dense(fit: SparseFit, n_columns: int) -> np.ndarray:
    full = np.zeros((n_columns, len(fit.support)))
    for target, (columns, weights) in enumerate(zip(fit.support, fit.weights, strict=True)):
        full[columns[columns >= 0], target] = weights[columns >= 0]
    return full


def dictionary(n_samples: int, n_columns: int, *, seed: int = 0) -> np.ndarray:
    """Rectified noise, centred and of unit length, as network units are."""
    units = np.maximum(np.random.default_rng(seed).normal(size=(n_samples, n_columns)), 0)
    units -= units.mean(axis=0)
    return units / np.linalg.norm(units, axis=0)


def targets(n_samples: int, n_targets: int, *, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_samples, n_targets))


def as_published(phi: np.ndarray, y: np.ndarray, n: int) -> list[int]:
    """The published steps, over all subsets of J instead of contiguous runs."""
    from itertools import combinations

    chosen: list[int] = []
    residual = y
    while len(chosen) < 2 * n and np.linalg.norm(residual) > 1e-10 * np.linalg.norm(y):
        u = np.abs(phi.T @ residual)
        u[chosen] = 0
        largest = sorted(range(len(u)), key=lambda i: -u[i])[:n]
        subsets = [s for size in range(1, n + 1) for s in combinations(largest, size)
                   if all(u[i] <= 2 * u[j] for i in s for j in s)]
        chosen += max(subsets, key=lambda s: sum(u[i] ** 2 for i in s))
        weights = np.linalg.lstsq(phi[:, chosen], y, rcond=None)[0]
        residual = y - phi[:, chosen] @ weights
    return sorted(chosen)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_the_reference_takes_the_published_steps(n, seed):
    phi, y = dictionary(20, 30, seed=seed), targets(20, 1, seed=seed)[:, 0]
    support, weights = romp(phi, y, n=n)
    assert sorted(support) == as_published(phi, y, n)
    theirs = np.linalg.lstsq(phi[:, support], y, rcond=None)[0]
    np.testing.assert_allclose(weights, theirs, atol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 13])
@pytest.mark.parametrize("n_columns", [20, 33, 1500])
def test_batched_equals_the_reference_target_by_target(n, n_columns):
    phi, y = dictionary(40, n_columns), targets(40, 70)
    found = solve_at(phi, y, n=n)
    for row, weights, target in zip(found.support, found.weights, y.T, strict=True):
        support, expected = romp(phi, target, n=n)
        assert row[:len(support)].tolist() == support.tolist()
        assert (row[len(support):] == -1).all()
        np.testing.assert_allclose(weights[:len(support)], expected, atol=1e-8)


def test_several_levels_at_once_equal_each_alone():
    phi, y = dictionary(32, 400), targets(32, 20)
    together = romp_levels(phi, y, levels=(1, 3, 8))
    for n, fit in together.items():
        alone = solve_at(phi, y, n=n)
        np.testing.assert_array_equal(fit.support, alone.support)
        np.testing.assert_allclose(fit.weights, alone.weights, atol=1e-12)


@pytest.mark.parametrize(("block_targets", "block_columns"), [(1, 1), (7, 5), (500, 4096)])
def test_blocks_change_nothing(monkeypatch, block_targets, block_columns):
    phi, y = dictionary(40, 300), targets(40, 30)
    before = solve_at(phi, y, n=5)
    monkeypatch.setattr(search, "_BLOCK_TARGETS", block_targets)
    monkeypatch.setattr(search, "_BLOCK_COLUMNS", block_columns)
    after = solve_at(phi, y, n=5)
    np.testing.assert_array_equal(after.support, before.support)
    np.testing.assert_allclose(after.weights, before.weights, atol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_planted_sparse_signal_is_recovered_exactly(n):
    rng = np.random.default_rng(3)
    phi = rng.normal(size=(40, 200))
    phi /= np.linalg.norm(phi, axis=0)
    planted = np.zeros((200, 25))
    for t in range(25):
        planted[rng.choice(200, size=n, replace=False), t] = rng.choice([-1, 1], size=n) * rng.uniform(2, 3, size=n)
    found = solve_at(phi, phi @ planted, n=n)
    np.testing.assert_allclose(dense(found, 200), planted, atol=1e-9)
    np.testing.assert_allclose(found.predict(phi), phi @ planted, atol=1e-9)


@pytest.mark.parametrize(("n", "n_missed"), [(4, 0), (6, 0), (8, 0), (10, 0), (12, 1)])
def test_sparse_signals_in_a_gaussian_dictionary_are_recovered(n, n_missed):
    """All weights of one size: the hardest case. Of 2000 signals of 12 columns the algorithm itself misses one."""
    rng = np.random.default_rng([n, 0])
    phi = rng.normal(size=(128, 256))
    phi /= np.linalg.norm(phi, axis=0)
    planted = np.zeros((256, 100))
    for t in range(100):
        planted[rng.choice(256, size=n, replace=False), t] = rng.choice([-1, 1], size=n)
    found = dense(solve_at(phi, phi @ planted, n=n), 256)
    missed = np.flatnonzero(np.abs(found - planted).max(axis=0) > 1e-9)
    assert len(missed) == n_missed
    for t in missed:
        support, _ = romp(phi, phi @ planted[:, t], n=n)
        assert not set(np.flatnonzero(planted[:, t])) <= set(support.tolist()), "as published it misses it too"


def test_predictions_are_the_projection_on_the_support():
    phi, y = dictionary(40, 100), targets(40, 5)
    found = solve_at(phi, y, n=4)
    predicted = found.predict(phi)
    for t, support in enumerate(found.support):
        chosen = phi[:, support[support >= 0]]
        np.testing.assert_allclose(predicted[:, t], chosen @ np.linalg.pinv(chosen) @ y[:, t], atol=1e-9)


def test_the_support_does_not_depend_on_the_scale_of_the_target():
    phi, y = dictionary(40, 300), targets(40, 10)
    once, scaled = solve_at(phi, y, n=4), solve_at(phi, 1e-4 * y, n=4)
    np.testing.assert_array_equal(once.support, scaled.support)
    np.testing.assert_allclose(scaled.weights, 1e-4 * once.weights, atol=1e-12)


def test_between_n_and_three_n_columns_are_chosen():
    found = solve_at(dictionary(40, 500), targets(40, 50), n=6)
    sizes = (found.support >= 0).sum(axis=1)
    assert sizes.min() >= 12
    assert sizes.max() <= 17
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in found.support)


def test_ties_go_to_the_lower_column():
    phi = np.eye(8)
    y = np.array([[1.0, 1, 1, 1, 1, 1, 1, 1]]).T
    assert solve_at(phi, y, n=2).support[0].tolist() == [0, 1, 2, 3]
    assert romp(phi, y[:, 0], n=2)[0].tolist() == [0, 1, 2, 3]


def test_ties_across_blocks_go_to_the_lower_column(monkeypatch):
    monkeypatch.setattr(search, "_BLOCK_COLUMNS", 2)
    phi, y = np.eye(12), np.array([[0, 0, 0, 3.0, 0, 3, 3, 3, 4, 0, 3, 0]]).T
    assert solve_at(phi, y, n=3).support[0, :3].tolist() == [8, 3, 5]
    assert romp(phi, y[:, 0], n=3)[0][:3].tolist() == [8, 3, 5]


def test_a_repeated_column_counts_as_chosen_and_weighs_nothing():
    phi = dictionary(20, 10)
    phi[:, 6] = phi[:, 2]
    y = phi[:, [2]] * 3
    for support, weights in [romp(phi, y[:, 0], n=2), _single(solve_at(phi, y, n=2))]:
        assert support.tolist() == [2, 6]
        np.testing.assert_allclose(weights, [3, 0], atol=1e-10)


def _single(fit: SparseFit) -> tuple[np.ndarray, np.ndarray]:
    return fit.support[0], fit.weights[0]


def test_a_target_of_zeros_chooses_nothing():
    y = targets(20, 3)
    y[:, 1] = 0
    found = solve_at(dictionary(20, 50), y, n=2)
    assert (found.support[1] == -1).all()
    assert not found.predict(dictionary(20, 50))[:, 1].any()
    assert romp(dictionary(20, 50), y[:, 1], n=2)[0].size == 0


def test_a_target_orthogonal_to_all_columns_chooses_nothing():
    phi = np.eye(6)[:, :4]
    assert romp(phi, np.eye(6)[5], n=1)[0].size == 0
    assert solve_at(phi, np.eye(6)[:, [5]], n=1).support.size == 0


def test_no_targets_at_all():
    assert solve_at(dictionary(20, 50), np.empty((20, 0)), n=2).predict(dictionary(20, 50)).shape == (20, 0)


def test_one_column_of_wrong_length_is_named():
    phi = dictionary(20, 10)
    phi[:, 4] *= 1.01
    for solve in (solve_at, lambda phi, y, n: romp(phi, y[:, 0], n=n)):
        with pytest.raises(AnalysisError, match=r"column 4 of length 1.01 \(1 such\)"):
            solve(phi, targets(20, 2), n=2)


@pytest.mark.parametrize(("n", "fine"), [(13, True), (14, False), (0, False)])
def test_the_least_squares_stay_determined(n, fine):
    phi, y = dictionary(40, 60), targets(40, 2)
    if fine:
        solve_at(phi, y, n=n)
        return
    with pytest.raises(AnalysisError, match=f"sparsity level {n} with 40 samples; expected 1 to 13"):
        solve_at(phi, y, n=n)


def test_one_sample_too_few():
    with pytest.raises(AnalysisError, match=r"shape \(40, 60\) for 39 samples"):
        solve_at(dictionary(40, 60), targets(39, 2), n=2)


def test_weights_must_fit_the_support():
    with pytest.raises(AnalysisError, match="one weight a column"):
        SparseFit(np.zeros((2, 3), dtype=np.int64), np.zeros((2, 2)))


@pytest.mark.parametrize("seed", range(4))
def test_products_that_float32_cannot_tell_apart_are_ranked_in_float64(seed):
    """1,500 columns within 1e-8 of 40 directions: the order of the largest is beyond float32."""
    rng = np.random.default_rng(seed)
    phi = np.repeat(dictionary(30, 40, seed=seed), 38, axis=1)[:, :1500]
    phi = phi + 1e-8 * rng.normal(size=phi.shape)
    phi /= np.linalg.norm(phi, axis=0)
    y = targets(30, 6, seed=seed)
    found = search.Dictionary(phi).rank(y.T, n=5, taken=np.full((6, 1), -1))
    for columns, sizes, target in zip(*found, y.T, strict=True):
        theirs = np.abs(phi.T @ target)
        np.testing.assert_allclose(sizes, np.sort(theirs)[::-1][:5], rtol=1e-13)
        np.testing.assert_allclose(theirs[columns], sizes, rtol=1e-13)


def test_every_column_may_be_the_largest():
    """The last column of a tile that is not full, the first, and one in each block."""
    for n_columns in (1, 31, 33, 8191, 8193):
        dictionary_ = search.Dictionary(np.eye(3)[:, np.zeros(n_columns, dtype=int)] * 0.1)
        for largest in {0, n_columns // 2, n_columns - 1}:
            dictionary_.columns[:] = 0.1 * np.eye(3)[0]
            dictionary_.columns[largest, 0] = -1.0
            fresh = search.Dictionary(dictionary_.columns.T.copy())
            columns, sizes = fresh.rank(np.array([[2.0, 0, 0]]), n=1, taken=np.array([[-1]]))
            assert (columns.tolist(), sizes.tolist()) == ([[largest]], [[2.0]])


def test_taken_columns_are_not_ranked_again():
    phi, y = dictionary(20, 300), targets(20, 4)
    whole = np.argsort(-np.abs(phi.T @ y[:, 0]), kind="stable")
    taken = np.array([[whole[0], whole[2], -1]] * 4)
    columns, _ = search.Dictionary(phi).rank(y.T, n=3, taken=taken)
    assert columns[0].tolist() == whole[[1, 3, 4]].tolist()
