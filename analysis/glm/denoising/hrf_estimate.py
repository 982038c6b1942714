"""GLMdenoise's haemodynamic responses: from onsets to designs, and one response fitted to the best vertices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.glm.denoising.model import FactoredDesign, Floats, Nuisance, Scan, SurfaceRuns, map_loadings
from analysis.glm.ols import project_out

Outcome = Literal["assumed", "fir", "estimated", "seed kept: far from it", "seed kept: no convergence",
                  "seed kept: no response"]
Rows = slice | NDArray[np.int64]
MAX_ROUNDS = 50


def onset_matrix(onsets_s: Sequence[float] | Floats, columns: Sequence[int] | NDArray[np.int64], *,
                 n_conditions: int, first_s: float, n_volumes: int, tr_s: float, phase_s: float = 0.0,
                 weights: Sequence[float] | Floats | None = None) -> Floats:
    """Lay events on the grid of volumes, for responses sampled at ``phase_s + k tr_s`` after the event.

    Parameters
    ----------
    onsets_s : sequence of float
        Onsets of a run's events.
    columns : sequence of int
        Condition of each event.
    n_conditions : int
    first_s : float
        Time of the first volume, on the clock of the onsets.
    n_volumes : int
    tr_s : float
    phase_s : float
        Time from an event to the volume that its first response value is for; see :func:`common_phase`.
    weights : sequence of float, optional
        What each event counts; 1 by default.

    Returns
    -------
    float64 array, (n_volumes, n_conditions)
        1 at the volume ``onset + phase``; an event that falls between two volumes is shared by both in proportion,
        which interpolates the response linearly.

    Raises
    ------
    ValueError
        If an event is outside the volumes. An event before the first one needs volumes before it: give the run
        with its discarded volumes and cut afterwards.

    Examples
    --------
    >>> onset_matrix([4.0, 7.0], [0, 1], n_conditions=2, first_s=0.0, n_volumes=5, tr_s=2.0).T
    array([[0. , 0. , 1. , 0. , 0. ],
           [0. , 0. , 0. , 0.5, 0.5]])
    """
    places = (np.asarray(onsets_s, dtype=np.float64) + phase_s - first_s) / tr_s
    before = np.floor(np.round(places, 9)).astype(np.int64)
    share = np.clip(places - before, 0.0, 1.0)
    outside = (before < 0) | (before >= n_volumes)
    if outside.any():
        raise ValueError(f"event {int(np.argmax(outside))} at {np.asarray(onsets_s)[np.argmax(outside)]:g} s; expected "
                         f"events within {n_volumes} volumes from {first_s:g} s")
    matrix = np.zeros((n_volumes + 1, n_conditions))
    heights = np.ones(len(places)) if weights is None else np.asarray(weights, dtype=np.float64)
    np.add.at(matrix, (before, np.asarray(columns)), (1.0 - share) * heights)
    np.add.at(matrix, (before + 1, np.asarray(columns)), share * heights)
    return matrix[:n_volumes]


def common_phase(onsets_s: Sequence[float] | Floats, *, first_s: float, tr_s: float) -> float:
    """Find the time from an event to the next volume that most events share, 0 to less than `tr_s`.

    It is the circular mean, so that events locked to the volumes but for jitter fall on the grid exactly.

    Examples
    --------
    >>> round(common_phase([4.0, 8.0, 16.0], first_s=1.0, tr_s=2.0), 6)
    1.0
    """
    waits = (first_s - np.asarray(onsets_s, dtype=np.float64)) / tr_s
    angle = float(np.angle(np.exp(2j * np.pi * waits).mean()))
    return angle / (2 * np.pi) % 1.0 * tr_s if abs(angle) > 1e-9 else 0.0


def convolve(onsets: Floats, response: Floats) -> Floats:
    """Predict time courses: onsets convolved with one response, cut to the run, (n_volumes, n_conditions).

    Examples
    --------
    >>> convolve(np.array([[1.0], [0.0], [1.0]]), np.array([0.0, 1.0, 0.5])).T
    array([[0. , 1. , 0.5]])
    """
    predicted = np.zeros_like(onsets)
    for lag, height in enumerate(response[:len(onsets)]):
        predicted[lag:] += height * onsets[:len(onsets) - lag]
    return predicted


def fir_design(onsets: Floats, *, n_lags: int) -> Floats:
    """Give every condition a column a lag, (n_volumes, n_conditions * n_lags), lags of a condition together."""
    n_volumes, n_conditions = onsets.shape
    design = np.zeros((n_volumes, n_conditions, n_lags))
    for lag in range(min(n_lags, n_volumes)):
        design[lag:, :, lag] = onsets[:n_volumes - lag]
    return design.reshape(n_volumes, -1)


def peak_at_one(response: Floats) -> Floats:
    """Scale a response to a peak of 1.

    Raises
    ------
    ValueError
        If it is not one row of finite values with a positive peak.
    """
    response = np.asarray(response, dtype=np.float64)
    if response.ndim != 1 or not response.size or not np.isfinite(response).all() or response.max() <= 0:
        raise ValueError("a response without a positive peak; expected a row of finite values")
    scaled: Floats = response / response.max()
    return scaled


@dataclass(frozen=True, kw_only=True, eq=False)
class HrfEstimate:
    """The response that the designs were made with, and how it came about.

    Parameters
    ----------
    outcome : str
        ``"assumed"``, ``"fir"`` (no common response), ``"estimated"``, or that the seed was kept and why.
    response : float64 array, (n_lags,)
        Peak 1, one value a volume from the event on.
    seed : float64 array, (n_lags,)
        Where the estimate started.
    estimate : float64 array, (n_lags,), optional
        What the rounds ended with, peak 1, whether it was taken or not; None where nothing was estimated.
    r2_seed : float
        R2 in percent between seed and estimate, on which the guard decides; NaN where nothing was estimated.
    rounds : int
        Estimates of the response.
    vertices : int64 array
        Vertices that the last estimate was made from.
    """

    outcome: Outcome
    response: Floats
    seed: Floats
    estimate: Floats | None = None
    r2_seed: float = float("nan")
    rounds: int = 0
    vertices: NDArray[np.int64] | None = None

    @property
    def kept_seed(self) -> bool:
        """Whether an estimate was made and not taken."""
        return self.outcome.startswith("seed kept")


def agreement(model: Floats, data: Floats) -> float:
    """R2 in percent of one response as a model of another, without mean or gain: 100 (1 - SS(d - m) / SS(d))."""
    total = float(np.square(data).sum())
    return 100.0 * (1.0 - float(np.square(data - model).sum()) / total) if total > 0 else float("-inf")


def optimize_response(runs: SurfaceRuns, *, scan: Scan, onsets: Sequence[Floats], kept: Sequence[Rows],
                      nuisance: Sequence[Nuisance], seed: Floats, n_vertices: int = 50, stop_r2: float = 99.0,
                      guard_r2: float = 50.0, candidates: NDArray[np.bool_] | None = None) -> HrfEstimate:
    """Fit one response to the vertices that the conditions explain best (Kay et al. 2013).

    Amplitudes of all vertices and the response of the best ones are estimated in turn, each by least squares,
    until an estimate of the response explains `stop_r2` percent of the next one and at least two were made.

    Parameters
    ----------
    runs : SurfaceRuns
    scan : Scan
    onsets : sequence of float64 array, (n_rows, n_conditions)
    kept : sequence of slice or int64 array
        The rows of each run's `onsets` that are volumes of its series.
    nuisance : sequence of Nuisance
    seed : float64 array, (n_lags,)
        The response to start from; its length is that of the estimate.
    n_vertices : int
        Vertices of highest R2 that the response is fitted to.
    stop_r2, guard_r2 : float
        Percent. Below `guard_r2` between seed and estimate, the seed is kept.
    candidates : bool array, (n_vertices,), optional
        Vertices that may be among the best.

    Returns
    -------
    HrfEstimate
        The response is what the last amplitudes were estimated with. The seed is kept where the guard says so, where
        no vertex has signal, or where :data:`MAX_ROUNDS` do not suffice.
    """
    seed = peak_at_one(seed)
    current, n_made = seed, 0
    while True:
        factored = FactoredDesign([convolve(one, current)[rows] for one, rows in zip(onsets, kept, strict=True)],
                                  nuisance, where="HRF")
        best, amplitudes, series = _best_vertices(runs, scan=scan, factored=factored, n_vertices=n_vertices,
                                                  candidates=candidates)
        previous, drives = current, [one[:, factored.estimated] @ amplitudes for one in onsets]
        current = _fit_response(drives, series, kept=kept, nuisance=nuisance, n_lags=len(seed))
        n_made += 1
        if current.max() <= 0:
            return HrfEstimate(outcome="seed kept: no response", response=seed, seed=seed, rounds=n_made, vertices=best)
        if n_made > 1 and agreement(previous, current) >= stop_r2:
            break
        if n_made == MAX_ROUNDS:
            return HrfEstimate(outcome="seed kept: no convergence", response=seed, seed=seed, rounds=n_made,
                               vertices=best, estimate=current / current.max(), r2_seed=agreement(seed, current))
    near, found = agreement(seed, previous), previous / previous.max()
    outcome: Outcome = "estimated" if near >= guard_r2 else "seed kept: far from it"
    return HrfEstimate(outcome=outcome, response=found if near >= guard_r2 else seed, seed=seed, estimate=found,
                       r2_seed=near, rounds=n_made, vertices=best)


def _best_vertices(runs: SurfaceRuns, *, scan: Scan, factored: FactoredDesign, n_vertices: int,
                   candidates: NDArray[np.bool_] | None) -> tuple[NDArray[np.int64], Floats, list[Floats]]:
    """Find the vertices that a design explains best, their amplitudes and their series without nuisance."""
    squares = np.zeros(runs.n_vertices)

    def explain(block: slice, found: list[Floats]) -> None:
        squares[block] = np.square(sum(found)).sum(axis=0)

    map_loadings(runs, explain, scan=scan, bases=factored.rotations)
    usable = scan.ss_without_extra > 0
    if candidates is not None:
        usable = usable & candidates
    share = np.where(usable, squares / np.where(usable, scan.ss_without_extra, 1.0), -np.inf)
    order = np.argsort(share, kind="stable")[::-1][:n_vertices]
    best = np.sort(order[share[order] > -np.inf])
    series = [project_out(np.asarray(run[:, best], dtype=np.float64) - means[best], one.basis)
              for run, means, one in zip(runs.series, scan.run_means, factored.nuisance, strict=True)]
    rotated = np.sum([rotation.T @ data for rotation, data in zip(factored.rotations, series, strict=True)], axis=0)
    return best, np.linalg.solve(factored.triangle, rotated), series


def _fit_response(drives: Sequence[Floats], series: Sequence[Floats], *, kept: Sequence[Rows],
                  nuisance: Sequence[Nuisance], n_lags: int) -> Floats:
    """Fit the response common to some vertices, given what drives each of them, by least squares."""
    normal, target = np.zeros((n_lags, n_lags)), np.zeros(n_lags)
    for drive, data, rows, one in zip(drives, series, kept, nuisance, strict=True):
        shifted = np.stack([_shift(drive, lag)[rows] for lag in range(n_lags)])
        flat = shifted.transpose(1, 0, 2).reshape(len(data), -1)
        left = project_out(flat, one.basis).reshape(len(data), n_lags, -1).transpose(1, 0, 2).reshape(n_lags, -1)
        normal += left @ left.T
        target += left @ data.ravel()
    response: Floats = np.linalg.lstsq(normal, target, rcond=1e-12)[0].astype(np.float64)
    return response


def _shift(drive: Floats, lag: int) -> Floats:
    """Delay a drive by whole volumes."""
    delayed = np.zeros_like(drive)
    delayed[lag:] = drive[:len(drive) - lag] if lag else drive
    return delayed
