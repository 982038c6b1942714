"""Batched Levenberg-Marquardt against scipy, problem by problem."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares, lsq_linear

from analysis.regions.prf.solver import Local, minimise

TIMES = np.linspace(0, 3, 25)
ALL = np.array([True, True, True])
FAR = np.full(3, np.inf)


def decay(point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give a exp(-b t) + c and its derivatives."""
    a, b, c = point
    fall = np.exp(-b * TIMES)
    return a * fall + c, np.stack([fall, -a * TIMES * fall, np.ones_like(TIMES)])


class Decays:
    """Many noisy decays."""

    def __init__(self, n: int, *, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.truth = np.stack([rng.uniform(1, 3, n), rng.uniform(0.5, 2, n), rng.uniform(-1, 1, n)])
        self.data = np.stack([decay(point)[0] for point in self.truth.T]) + 0.05 * rng.standard_normal((n, 25))
        self.seen: list[int] = []

    def __call__(self, which: np.ndarray, points: np.ndarray) -> Local:
        self.seen.append(len(which))
        cost, gradient, normal = np.empty(len(which)), np.empty((3, len(which))), np.empty((3, 3, len(which)))
        for k, (place, point) in enumerate(zip(which, points.T, strict=True)):
            values, slopes = decay(point)
            residual = values - self.data[place]
            cost[k], gradient[:, k], normal[:, :, k] = residual @ residual, slopes @ residual, slopes @ slopes.T
        return Local(cost, gradient, normal)


def scipys(data: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, float]:
    found = least_squares(lambda point: decay(point)[0] - data, np.clip([1.0, 1.0, 0.0], lower + 1e-9, upper - 1e-9),
                          bounds=(lower, upper), xtol=1e-14, ftol=1e-14, gtol=1e-14)
    return found.x, 2 * found.cost


def start(n: int) -> np.ndarray:
    return np.tile([[1.0], [1.0], [0.0]], n)


def test_free_problems_end_where_scipys_do():
    problems = Decays(20)
    found = minimise(problems, start(20), lower=-FAR, upper=FAR, free=ALL, max_iterations=50, tolerance=1e-12)
    assert found.converged.all()
    for k in range(20):
        point, cost = scipys(problems.data[k], -FAR, FAR)
        np.testing.assert_allclose(found.point[:, k], point, atol=1e-4)
        assert found.cost[k] == pytest.approx(cost, rel=1e-8)


def test_bounds_hold_and_the_rest_still_finds_its_best():
    problems = Decays(20)
    lower, upper = np.array([1.5, 0.2, -0.2]), np.array([2.5, 1.2, 0.5])
    found = minimise(problems, start(20), lower=lower, upper=upper, free=ALL, max_iterations=200, tolerance=1e-13)
    assert (found.point >= lower[:, None]).all()
    assert (found.point <= upper[:, None]).all()
    on_bound = (found.point == lower[:, None]) | (found.point == upper[:, None])
    assert on_bound.any(axis=0).sum() >= 10
    for k in range(20):
        _, cost = scipys(problems.data[k], lower, upper)
        assert found.cost[k] == pytest.approx(cost, rel=1e-5)


def test_a_step_that_meets_a_bound_goes_on_along_it():
    """A narrow valley across the bound: its best on the bound is found in a few steps, not by creeping."""
    rng = np.random.default_rng(0)
    designs = rng.standard_normal((10, 12, 3)) @ np.array([[1.0, 0.99, 0.98], [0.0, 0.1, 0.1], [0.0, 0.0, 0.05]])
    targets = rng.standard_normal((10, 12))

    def line(which: np.ndarray, points: np.ndarray) -> Local:
        design = designs[which]
        residual = np.einsum("nti,in->nt", design, points) - targets[which]
        return Local(np.einsum("nt,nt->n", residual, residual), np.einsum("nti,nt->in", design, residual),
                     np.einsum("nti,ntj->ijn", design, design))

    lower, upper = np.full(3, -0.3), np.full(3, 0.3)
    found = minimise(line, np.zeros((3, 10)), lower=lower, upper=upper, free=ALL, max_iterations=12, tolerance=1e-10)
    for k in range(10):
        best = lsq_linear(designs[k], targets[k], bounds=(lower, upper), tol=1e-14)
        assert found.cost[k] == pytest.approx(2 * best.cost, rel=1e-4)


def test_what_is_not_free_does_not_move():
    problems = Decays(5)
    free = np.array([True, False, True])
    found = minimise(problems, start(5), lower=-FAR, upper=FAR, free=free, max_iterations=50, tolerance=1e-12)
    np.testing.assert_array_equal(found.point[1], 1.0)
    fall = np.exp(-TIMES)
    design = np.stack([fall, np.ones_like(fall)], axis=1)
    for k in range(5):
        np.testing.assert_allclose(found.point[[0, 2], k], np.linalg.lstsq(design, problems.data[k], rcond=None)[0],
                                   atol=1e-4)


def test_cost_never_rises_and_too_few_iterations_are_said():
    problems = Decays(8)
    costs = []
    for n in range(1, 8):
        found = minimise(problems, start(8), lower=-FAR, upper=FAR, free=ALL, max_iterations=n, tolerance=1e-10)
        costs.append(found.cost)
        assert (found.n_iterations <= n).all()
        assert n > 1 or not found.converged.any()
    assert (np.diff(costs, axis=0) <= 0).all()


def test_problems_that_are_done_are_not_evaluated_again():
    problems = Decays(30)
    found = minimise(problems, np.where(np.arange(30) < 15, problems.truth, start(30)), lower=-FAR, upper=FAR, free=ALL,
                     max_iterations=50, tolerance=1e-6)
    assert problems.seen[0] == 30
    assert sorted(problems.seen, reverse=True) == problems.seen
    assert sum(problems.seen[1:]) == found.n_iterations.sum()


def test_a_step_is_as_long_as_allowed():
    problems = Decays(4)
    largest = np.array([0.01, np.inf, np.inf])
    found = minimise(problems, start(4), lower=-FAR, upper=FAR, free=ALL, max_iterations=1, tolerance=1e-12,
                     largest_step=largest)
    assert np.abs(found.point[0] - 1.0).max() <= 0.01 + 1e-12


def test_a_point_without_a_value_is_left():
    """Where a step leads to no number, a shorter one is tried."""
    def root(which: np.ndarray, points: np.ndarray) -> Local:
        with np.errstate(invalid="ignore"):
            residual = np.log(points[0])
        slope = 1 / points[0]
        return Local(residual**2, (residual * slope)[None], (slope**2)[None, None])

    found = minimise(root, np.array([[20.0]]), lower=np.array([-np.inf]), upper=np.array([np.inf]),
                     free=np.array([True]), max_iterations=100, tolerance=1e-12)
    assert found.point[0, 0] == pytest.approx(1.0, abs=1e-4)
