"""Levenberg-Marquardt steps for many small problems at once, within bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Local:
    """The cost of each problem at a point, and what Gauss and Newton need there.

    Parameters
    ----------
    cost : float64 array, (n,)
        Half of it is the function whose derivatives follow.
    gradient : float64 array, (n_parameters, n)
    normal : float64 array, (n_parameters, n_parameters, n)
        Positive semidefinite approximation of the second derivatives.
    """

    cost: Floats
    gradient: Floats
    normal: Floats


Evaluate = Callable[[Indices, Floats], Local]
"""Evaluate some of the problems: their places (n,) and points (n_parameters, n)."""


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the search ended.

    Parameters
    ----------
    point : float64 array, (n_parameters, n)
    cost : float64 array, (n,)
    converged : bool array, (n,)
        Whether no step promised more than the tolerance, or no smaller step helped.
    n_iterations : int64 array, (n,)
        Points evaluated after the first.
    """

    point: Floats
    cost: Floats
    converged: NDArray[np.bool_]
    n_iterations: Indices


_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-2, 1e-7, 1e6
_LARGEST_STEP = 1e30


def minimise(evaluate: Evaluate, start: Floats, *, lower: Floats, upper: Floats, free: NDArray[np.bool_],
             max_iterations: int, tolerance: float, largest_step: Floats | None = None) -> Minimum:
    """Minimise many functions of the same few parameters.

    Parameters
    ----------
    evaluate : callable
        See :data:`Evaluate`.
    start : float64 array, (n_parameters, n)
        Starting points; moved into the bounds.
    lower, upper : float64 array, (n_parameters,)
        Bounds. A parameter that lies on one, and whose cost falls beyond it, is left out of that step.
    free : bool array, (n_parameters,)
        Which parameters move.
    max_iterations : int
        Points evaluated after the first, at most.
    tolerance : float
        A problem is done when its step promises to lower the cost by less.
    largest_step : float64 array, (n_parameters,), optional
        What a parameter may change in one step.

    Returns
    -------
    Minimum
    """
    search = _Search(evaluate, np.clip(start, lower[:, None], upper[:, None]), lower=lower, upper=upper, free=free,
                     largest_step=np.full(len(lower), _LARGEST_STEP) if largest_step is None else largest_step)
    for _ in range(max_iterations):
        if not search.active.size:
            break
        search.step(tolerance)
    return search.minimum(tolerance)


class _Search:
    """The state of all problems."""

    def __init__(self, evaluate: Evaluate, start: Floats, *, lower: Floats, upper: Floats, free: NDArray[np.bool_],
                 largest_step: Floats) -> None:
        n = start.shape[1]
        self._evaluate, self._lower, self._upper, self._free = evaluate, lower[:, None], upper[:, None], free
        self._largest_step = largest_step[:, None]
        self.point, self.active = start.copy(), np.arange(n)
        first = evaluate(self.active, start)
        self._cost, self._gradient, self._normal = first.cost, first.gradient, first.normal
        self._damping, self._growth = np.full(n, _FIRST_DAMPING), np.full(n, 2.0)
        self._n_iterations, self._converged = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)

    def step(self, tolerance: float) -> None:
        """Try one step in every problem that is not done."""
        step, promised = self._steps(self.active)
        done = promised <= tolerance
        self._converged[self.active[done]] = True
        tried, step, promised = self.active[~done], step[:, ~done], promised[~done]
        if tried.size:
            self._try(tried, step, promised)
        self._converged[tried] = self._damping[tried] > _MOST_DAMPING
        self.active = tried[~self._converged[tried]]

    def _steps(self, which: Indices) -> tuple[Floats, Floats]:
        """Solve the damped normal equations; give steps within bounds and the fall in cost that they promise."""
        gradient, normal = self._gradient[:, which], self._normal[:, :, which]
        moves = self._moves(self.point[:, which], gradient)
        gradient = np.where(moves, gradient, 0.0)
        curvature = np.where(moves[:, None] & moves[None, :], normal, 0.0)
        sizes = np.einsum("iin->in", curvature)
        sizes = np.maximum(sizes, 1e-12 * sizes.max(axis=0) + np.finfo(np.float64).tiny)
        unit = np.eye(len(gradient))[:, :, None]
        damped = curvature + unit * np.where(moves, self._damping[which] * sizes, sizes)[:, None]
        step = -np.linalg.solve(np.moveaxis(damped, 2, 0), gradient.T[:, :, None])[:, :, 0].T
        step *= np.min(np.minimum(1.0, self._largest_step / np.maximum(np.abs(step), 1e-300)), axis=0)
        step = np.clip(self.point[:, which] + step, self._lower, self._upper) - self.point[:, which]
        promised = -2.0 * np.einsum("in,in->n", gradient, step) - np.einsum("in,ijn,jn->n", step, curvature, step)
        return step, promised

    def _moves(self, point: Floats, gradient: Floats) -> NDArray[np.bool_]:
        low, high = (point <= self._lower) & (gradient > 0), (point >= self._upper) & (gradient < 0)
        result: NDArray[np.bool_] = self._free[:, None] & ~low & ~high
        return result

    def _try(self, which: Indices, step: Floats, promised: Floats) -> None:
        """Take the steps that lower the cost; damp less where the promise was kept, more where it was not (Nielsen)."""
        self._n_iterations[which] += 1
        there = self._evaluate(which, self.point[:, which] + step)
        kept = (self._cost[which] - there.cost) / promised
        better = kept > 0
        taken = which[better]
        self.point[:, taken] += step[:, better]
        self._cost[taken] = there.cost[better]
        self._gradient[:, taken], self._normal[:, :, taken] = there.gradient[:, better], there.normal[:, :, better]
        factor = np.clip(1.0 - (2.0 * kept[better] - 1.0) ** 3, 0.1, 2.0)
        self._damping[taken] = np.maximum(self._damping[taken] * factor, _LEAST_DAMPING)
        self._growth[taken] = 2.0
        worse = which[~better]
        self._damping[worse] = np.maximum(self._damping[worse], 1e-3) * self._growth[worse]
        self._growth[worse] *= 2.0

    def minimum(self, tolerance: float) -> Minimum:
        """Give the result; the last step may have been the one that was needed."""
        if self.active.size:
            self._converged[self.active] = self._steps(self.active)[1] <= tolerance
        return Minimum(self.point, self._cost, self._converged, self._n_iterations)
