"""Fits of population receptive fields to many vertices, their predictions, and cross-validation over runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.regions.prf.design import Compressed, Convolution, Data, Experiment, convolution, require_data
from analysis.regions.prf.model import Misfit, Model, describe, make_drive
from analysis.regions.prf.records import CrossValidation, Options, PrfFit, default_bounds
from analysis.regions.prf.seeds import EXPONENTS, best_on_grid, centre_seed, supergrid
from analysis.regions.prf.solver import Minimum, minimise
from analysis.regions.prf.stimulus import Stimulus

Floats = NDArray[np.float64]

_LAG_STEP_S = 2.0
_LARGEST_STEP = np.array([np.inf, np.inf, 1.5, 1.5, 2.0, 0.5])
_BLOCK_VERTICES = 8192


def fit_prf(data: Data, *, experiment: Experiment, options: Options | None = None,
            block_vertices: int = _BLOCK_VERTICES) -> PrfFit:
    """Fit the compressive spatial summation model to every vertex.

    Each vertex starts from each seed; the best end counts. A seed at the centre of the field first moves with its
    exponent and the response held, and then with all free; the grid has already done as much.

    Parameters
    ----------
    data : sequence of float32 array, (n_kept_volumes, n_vertices)
        One a run.
    experiment : Experiment
        What was shown and how it was sampled.
    options : Options, optional
    block_vertices : int
        Memory bound: vertices fitted at once. It does not alter the result beyond rounding.

    Returns
    -------
    PrfFit

    Raises
    ------
    ValueError
        If the data do not fit the runs.
    """
    options = options or Options()
    require_data(data, experiment=experiment)
    projection = convolution(experiment, lag_s=options.lag_s, width=options.width)
    n_vertices = data[0].shape[1]
    table = np.full((len(PrfFit.TABLE), n_vertices), np.nan)
    for start in range(0, n_vertices, block_vertices):
        series = projection.compress([run[:, start:start + block_vertices] for run in data])
        fitted = np.flatnonzero(np.isfinite(series.length))
        if fitted.size:
            chosen = Compressed(series.values[:, fitted], series.length[fitted])
            table[:, start + fitted] = _fit_block(_Task(experiment.stimulus, projection, chosen, options))
    return PrfFit.from_table(table)


@dataclass(frozen=True, eq=False)
class _Task:
    """What a search is about: the model, the vertices' series, and how to fit."""

    stimulus: Stimulus
    projection: Convolution
    series: Compressed
    options: Options

    def model(self, dtype: type[np.floating[Any]]) -> Model:
        return Model(make_drive(self.stimulus, dtype=dtype), self.projection)

    def limits(self) -> tuple[Floats, Floats]:
        """Give lower and upper bounds of the model's parameters."""
        options, bounds = self.options, self.options.bounds or default_bounds(self.stimulus)
        exponent = bounds.exponent if options.exponent is None else (options.exponent, options.exponent)
        rows = [bounds.x_deg, bounds.y_deg, np.log(bounds.sigma_deg), np.log(exponent)]
        if not self.projection.family.is_fixed:
            rows += [options.lag_s, options.width]
        lower, upper = np.array(rows).T
        return lower, upper


def _fit_block(task: _Task) -> Floats:
    """Fit vertices that can be fitted; give the rows of :attr:`PrfFit.TABLE`."""
    found, seeds = _search(task)
    point, gain, r2 = _evaluate(task, found)
    lag, width = point[4:] if len(point) > 4 else (np.full_like(r2, limits[0])
                                                   for limits in (task.options.lag_s, task.options.width))
    return np.stack([point[0], point[1], np.exp(point[2]), np.exp(point[3]), gain, lag, width, r2, seeds,
                     found.converged])


def _search(task: _Task) -> tuple[Minimum, NDArray[np.intp]]:
    """Find each vertex' best end of all starts, and which seed led to it."""
    model, n_vertices = task.model(np.float32), len(task.series.length)
    starts, seeds = _starts(task, model)
    found = _minimise(task, model, np.concatenate(starts, axis=1), held=False)
    best = found.cost.reshape(len(starts), n_vertices).argmin(axis=0)
    place = best * n_vertices + np.arange(n_vertices)
    return Minimum(found.point[:, place], found.cost[place], found.converged[place], found.n_iterations[place]), \
        seeds[best]


def _starts(task: _Task, model: Model) -> tuple[list[Floats], NDArray[np.intp]]:
    """Give the starts, each (n_parameters, n_vertices), and the place of the seed of each."""
    options, starts, seeds = task.options, [], []
    grids = _grid_starts(task, model)
    for place, name in enumerate(options.seeds):
        if name == "supergrid":
            starts += grids
            seeds += [place] * len(grids)
        else:
            centre = grids[len(grids) // 2].copy()  # the lag and width of the grid's best
            centre[:4] = centre_seed(task.stimulus, name, exponent=options.exponent)[:, None]
            starts.append(_minimise(task, model, centre, held=True).point)
            seeds.append(place)
    return starts, np.array(seeds)


def _grid_starts(task: _Task, model: Model) -> list[Floats]:
    """Give the best of the grid for each of its exponents."""
    options = task.options
    lags = np.arange(options.lag_s[0], options.lag_s[1] + 1e-9, _LAG_STEP_S).tolist()
    return [best_on_grid(model, task.series, grid=supergrid(task.stimulus, exponents=(exponent,)), lags_s=lags)
            for exponent in (EXPONENTS if options.exponent is None else (options.exponent,))]


def _minimise(task: _Task, model: Model, points: Floats, *, held: bool) -> Minimum:
    """Move starts of all vertices, one after another; `held`: only place and size."""
    n_starts, n_vertices = points.shape[1] // len(task.series.length), len(task.series.length)
    lower, upper = task.limits()
    free = lower < upper
    if held:
        free[3:] = False
    misfit = Misfit(model, task.series, np.tile(np.arange(n_vertices), n_starts), block=task.options.block)
    return minimise(misfit, points, lower=lower, upper=upper, free=free, tolerance=task.options.tolerance,
                    max_iterations=task.options.max_iterations, largest_step=_LARGEST_STEP[:len(lower)])


def _evaluate(task: _Task, found: Minimum) -> tuple[Floats, Floats, Floats]:
    """Give the points, and to float64 the gain in units of the data and R2 in percent."""
    model, n = task.model(np.float64), found.point.shape[1]
    gain, r2 = np.empty(n), np.empty(n)
    for start in range(0, n, task.options.block):
        part = slice(start, start + task.options.block)
        correlation, gain[part] = describe(model.predict(found.point[:, part]), task.series.values[:, part])
        r2[part] = 100.0 * np.maximum(correlation, 0.0) ** 2
    return found.point, gain * task.series.length, r2


def predict_prf(fit: PrfFit, *, experiment: Experiment) -> list[Floats]:
    """Predict what a fit says about any runs, without drifts and regressors.

    Parameters
    ----------
    fit : PrfFit
    experiment : Experiment
        These runs or others.

    Returns
    -------
    list of float64 array, (n_kept_volumes, n_vertices)
        One a run, in the units of the data; NaN for vertices that were not fitted.
    """
    projection, small = _predict(fit, experiment)
    return [basis @ small for basis in projection.basis]


def _predict(fit: PrfFit, experiment: Experiment, *, block: int = 512) -> tuple[Convolution, Floats]:
    """Give a projection of the runs, and in its directions the predictions with their gain."""
    fitted = np.flatnonzero(np.isfinite(fit.r2))
    ranges = [(float(values[fitted].min(initial=np.inf)), float(values[fitted].max(initial=-np.inf)))
              if fitted.size else (fixed, fixed) for values, fixed in ((fit.lag_s, 0.0), (fit.width, 1.0))]
    projection = convolution(experiment, lag_s=ranges[0], width=ranges[1])
    model = Model(make_drive(experiment.stimulus, dtype=np.float64), projection)
    points = np.stack([fit.x_deg, fit.y_deg, np.log(fit.sigma_deg), np.log(fit.exponent), fit.lag_s, fit.width])
    small = np.full((len(projection.matrix), len(fit.r2)), np.nan)
    for start in range(0, len(fitted), block):
        part = fitted[start:start + block]
        small[:, part] = model.predict(points[:, part]) * fit.gain[part]
    return projection, small


def cross_validate(data: Data, *, experiment: Experiment, options: Options | None = None,
                   folds: Sequence[Sequence[int]] | None = None) -> CrossValidation:
    """Fit some runs and see how much of the others the fit predicts, gain and all.

    A fold's fit, its seeds included, sees nothing of the runs that test it.

    Parameters
    ----------
    data : sequence of float32 array, (n_kept_volumes, n_vertices)
        One a run.
    experiment : Experiment
    options : Options, optional
    folds : sequence of sequence of int, optional
        The places (from 0) of the runs that each fold leaves out; by default each run alone.

    Returns
    -------
    CrossValidation

    Raises
    ------
    ValueError
        If a fold leaves out no run or all, or a run twice.
    """
    require_data(data, experiment=experiment)
    everything = range(len(data))
    tests = [tuple(fold) for fold in ([[k] for k in everything] if folds is None else folds)]
    _require_folds(tests, n_runs=len(data))
    fits, left, whole = [], np.zeros(data[0].shape[1]), np.zeros(data[0].shape[1])
    for test in tests:
        train = [k for k in everything if k not in test]
        fits.append(fit_prf([data[k] for k in train], experiment=experiment.subset(train), options=options))
        residual, total = _residuals([data[k] for k in test], fits[-1], experiment=experiment.subset(test))
        left += residual
        whole += total
    return CrossValidation(r2=100.0 * (1.0 - left / whole), fits=tuple(fits), test_runs=tuple(tests))


def _require_folds(tests: list[tuple[int, ...]], *, n_runs: int) -> None:
    named = sorted(run for test in tests for run in test)
    if len(set(named)) != len(named) or not set(named) <= set(range(n_runs)) \
            or not tests or any(not 0 < len(test) < n_runs for test in tests):
        raise ValueError(f"folds: expected some, but not all, of the runs 0 to {n_runs - 1} in each, no run twice, got "
                         f"{tests}")


def _residuals(data: Data, fit: PrfFit, *, experiment: Experiment) -> tuple[Floats, Floats]:
    """Give the sums of squares without drifts that a fit leaves, and those of the data."""
    projection, small = _predict(fit, experiment)
    series = projection.compress(data)
    scaled = small / series.length
    explained = np.einsum("dn,dn->n", scaled, 2.0 * series.values - scaled)
    return series.length ** 2 * (1.0 - explained), series.length ** 2
