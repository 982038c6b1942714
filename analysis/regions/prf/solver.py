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


_TINY, _ROUNDING = 1e-300, 1e-12
_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-2, 1e-7, 1e6


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
        Bounds. A parameter that is on one, and whose cost falls beyond it, is left out of that step.
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
                     largest_step=np.full(len(lower), np.inf) if largest_step is None else largest_step)
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
        step, promised, whole = self._steps(self.active)
        done = (promised <= tolerance) & whole
        self._converged[self.active[done]] = True
        tried, step, promised = self.active[~done], step[:, ~done], promised[~done]
        if tried.size:
            self._try(tried, step, promised)
        self._converged[tried] = self._damping[tried] > _MOST_DAMPING
        self.active = tried[~self._converged[tried]]

    def _steps(self, which: Indices) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Solve the damped normal equations within the bounds.

        Returns
        -------
        step : float64 array, (n_parameters, n)
            What would cross a bound stops there, and the others are solved for again.
        promised : float64 array, (n,)
            The fall in cost.
        whole : bool array, (n,)
            Whether no step was cut short.
        """
        point, gradient, normal = self.point[:, which], self._gradient[:, which], self._normal[:, :, which]
        moves = self._moves(point, gradient)
        step, cut = np.zeros_like(point), np.zeros(len(which), dtype=bool)
        todo = np.arange(len(which))
        for _ in range(len(point)):
            solved = _solve(gradient[:, todo], normal[:, :, todo], moves=moves[:, todo], stopped=step[:, todo],
                            damping=self._damping[which[todo]])
            within = np.clip(point[:, todo] + solved, self._lower, self._upper) - point[:, todo]
            hit = moves[:, todo] & (within != solved) & (np.abs(within - solved) > _ROUNDING * np.abs(solved))
            step[:, todo] = within
            moves[:, todo] &= ~hit
            todo = todo[hit.any(axis=0)]
            cut[todo] = True
            if not todo.size:
                break
        shares = np.min(np.minimum(1.0, self._largest_step / np.maximum(np.abs(step), _TINY)), axis=0)
        step *= shares
        promised = -2.0 * np.einsum("in,in->n", gradient, step) - np.einsum("in,ijn,jn->n", step, normal, step)
        return step, promised, ~cut & (shares == 1.0)

    def _moves(self, point: Floats, gradient: Floats) -> NDArray[np.bool_]:
        low, high = (point <= self._lower) & (gradient > 0), (point >= self._upper) & (gradient < 0)
        result: NDArray[np.bool_] = self._free[:, None] & ~low & ~high
        return result

    def _try(self, which: Indices, step: Floats, promised: Floats) -> None:
        """Take the steps that lower the cost; damp less where the promise was kept, more where it was not (Nielsen)."""
        self._n_iterations[which] += 1
        there = self._evaluate(which, self.point[:, which] + step)
        kept = (self._cost[which] - there.cost) / np.where(promised > 0, promised, np.inf)
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
            _, promised, whole = self._steps(self.active)
            self._converged[self.active] = (promised <= tolerance) & whole
        return Minimum(self.point, self._cost, self._converged, self._n_iterations)


def _solve(gradient: Floats, normal: Floats, *, moves: NDArray[np.bool_], stopped: Floats, damping: Floats) -> Floats:
    """Solve for the parameters that move, given the steps of those that do not; see :meth:`_Search._steps`."""
    stopped = np.where(moves, 0.0, stopped)
    right = np.where(moves, gradient + np.einsum("ijn,jn->in", normal, stopped), 0.0)
    curvature = np.where(moves[:, None] & moves[None, :], normal, 0.0)
    sizes = np.einsum("iin->in", curvature)
    sizes = np.maximum(sizes, 1e-12 * sizes.max(axis=0) + _TINY)
    damped = curvature + np.eye(len(gradient))[:, :, None] * np.where(moves, damping * sizes, sizes)[:, None]
    step = -np.linalg.solve(np.moveaxis(damped, 2, 0), right.T[:, :, None])[:, :, 0].T
    return np.where(moves, step, stopped)
