"""The final fit: responses from bootstraps over whole runs, their medians and standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.glm.denoising.model import FactoredDesign, Floats, Scan, SurfaceRuns, map_loadings

PERCENTILES = (16.0, 50.0, 84.0)
MAX_DRAW_CONDITION = 1e8
"""Largest condition number of a draw's normal matrix, relative to that of all runs."""
_VALUES = 1 << 21
"""Values of all distinct draws held at once."""
_SORTED = 1 << 13
"""Series of draws sorted at once; more would not stay in the cache."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Bootstrap draws over runs, equal ones counted instead of repeated.

    Parameters
    ----------
    weights : int64 array, (n_distinct, n_runs)
        How often each draw holds each run.
    counts : int64 array, (n_distinct,)
        How often each was drawn.
    is_resampled : bool
        False for the one fit on all runs as they are, which has no standard error.
    """

    weights: NDArray[np.int64]
    counts: NDArray[np.int64]
    is_resampled: bool = True


def draw_runs(n_runs: int, *, n_draws: int, rng: np.random.Generator | None,
              groups: Sequence[int] | None = None) -> Draws:
    """Draw runs with replacement, as many as there are.

    Parameters
    ----------
    n_runs : int
    n_draws : int
        0 for one fit on all runs.
    rng : Generator, optional
        Needed unless `n_draws` is 0.
    groups : sequence of int, optional
        Group of each run; each draw holds as many runs of a group as there are.

    Returns
    -------
    Draws

    Raises
    ------
    ValueError
        If the number of draws is negative, there is no generator, or the groups do not fit.
    """
    labels = np.zeros(n_runs, dtype=np.int64) if groups is None else np.asarray(groups)
    if n_draws < 0:
        raise ValueError(f"{n_draws} bootstraps; expected 0 or more")
    if labels.shape != (n_runs,):
        raise ValueError(f"{len(labels)} bootstrap groups for {n_runs} runs")
    if not n_draws:
        return Draws(np.ones((1, n_runs), dtype=np.int64), np.ones(1, dtype=np.int64), is_resampled=False)
    if rng is None:
        raise ValueError("bootstraps without a random generator")
    weights = np.zeros((n_draws, n_runs), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        picked = members[rng.integers(len(members), size=(n_draws, len(members)))]
        np.add.at(weights, (np.arange(n_draws)[:, None], picked), 1)
    distinct, counts = np.unique(weights, axis=0, return_counts=True)
    return Draws(distinct, counts)


@dataclass(frozen=True, kw_only=True, eq=False)
class FinalFit:
    """Responses of one model.

    Parameters
    ----------
    betas : float32 array, (n_conditions, n_vertices)
        Median over the draws in scanner units; NaN for a condition that no run holds.
    standard_errors : float32 array, (n_conditions, n_vertices)
        Half the range from the 16th to the 84th percentile of the draws; NaN without draws, and where `betas` are.
    ss_residual : float64 array, (n_vertices,)
        Sum of squares that the betas leave of the data, drifts removed from both.
    n_absent : int64 array, (n_conditions,)
        Draws without the condition; it counts as 0 in them, as in GLMdenoise.
    """

    betas: NDArray[np.float32]
    standard_errors: NDArray[np.float32]
    ss_residual: Floats
    n_absent: NDArray[np.int64]

    @property
    def signal(self) -> NDArray[np.float32]:
        """Largest absolute beta over the conditions, (n_vertices,)."""
        largest: NDArray[np.float32] = np.abs(self.betas[self._known]).max(axis=0)
        return largest

    @property
    def noise(self) -> NDArray[np.float32]:
        """Mean standard error over the conditions, (n_vertices,)."""
        mean: Floats = self.standard_errors[self._known].mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)

    @property
    def _known(self) -> NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.betas).all(axis=1))


def fit_draws(runs: SurfaceRuns, *, scan: Scan, factored: FactoredDesign, directions: Sequence[Floats],
              draws: Draws) -> FinalFit:
    """Fit one model to every draw.

    Parameters
    ----------
    runs : SurfaceRuns
    scan : Scan
    factored : FactoredDesign
    directions : sequence of float64 array, (n_volumes, n_components)
        The noise components in the model, orthonormal beyond the nuisance columns; none for the model without.
    draws : Draws

    Returns
    -------
    FinalFit

    Raises
    ------
    ValueError
        If a draw's conditions cannot be told apart.

    Notes
    -----
    A draw's normal equations are sums over runs of small matrices and of ``q_r - Q_r' G_r G_r' y_r``; only these sums
    and one product a distinct draw run over all vertices, in float32. Percentiles are midpoint (Hazen) ones, as
    MATLAB's.
    """
    crossed = [rotation.T @ columns for rotation, columns in zip(factored.rotations, directions, strict=True)]
    grams = [gram - one @ one.T for gram, one in zip(factored.grams, crossed, strict=True)]
    solvers, absent = _solvers(factored, grams=grams, draws=draws)
    cleaned = [rotation - columns @ one.T
               for rotation, columns, one in zip(factored.rotations, directions, crossed, strict=True)]
    bases = [np.concatenate([own, rotation, one.beyond_drifts], axis=1)
             for own, rotation, one in zip(cleaned, factored.rotations, factored.nuisance, strict=True)]
    n_all, n = factored.n_conditions, len(factored.estimated)
    betas, errors = (np.full((n_all, runs.n_vertices), np.nan, dtype=np.float32) for _ in range(2))
    residual = np.empty(runs.n_vertices)
    explained = _Explained.of(factored)

    def estimate(block: slice, found: list[Floats]) -> None:
        parts = np.stack([one[:n] for one in found]).astype(np.float32)
        median, error = _summarise(parts, solvers=solvers, draws=draws)
        betas[factored.estimated, block] = median
        if draws.is_resampled:
            errors[factored.estimated, block] = error
        aim = np.sum([one[n:2 * n] + extra.T @ one[2 * n:] for one, extra in zip(found, factored.on_extra,
                                                                                 strict=True)], axis=0)
        residual[block] = scan.ss_total[block] - explained.by(median, aim=aim)

    map_loadings(runs, estimate, scan=scan, bases=bases)
    n_absent = np.full(n_all, draws.counts.sum())
    n_absent[factored.estimated] = absent
    return FinalFit(betas=betas, standard_errors=errors, ss_residual=np.maximum(residual, 0.0), n_absent=n_absent)


@dataclass(frozen=True, eq=False)
class _Explained:
    """How much of the data a set of betas explains, drifts removed."""

    triangle: Floats
    gram: Floats

    @classmethod
    def of(cls, factored: FactoredDesign) -> _Explained:
        return cls(factored.triangle, np.sum([gram + extra.T @ extra for gram, extra
                                              in zip(factored.grams, factored.on_extra, strict=True)], axis=0))

    def by(self, betas: NDArray[np.float32], *, aim: Floats) -> Floats:
        rotated = self.triangle @ betas.astype(np.float64)
        explained: Floats = np.einsum("cv,cv->v", rotated, 2.0 * aim - self.gram @ rotated)
        return explained


def _solvers(factored: FactoredDesign, *, grams: Sequence[Floats], draws: Draws,
             ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Make the matrix from summed loadings to betas of each draw, and count the draws without each condition."""
    n = len(factored.estimated)
    solvers = np.zeros((len(draws.weights), n, n), dtype=np.float32)
    absent = np.zeros(n, dtype=np.int64)
    for solver, weights, count in zip(solvers, draws.weights, draws.counts, strict=True):
        present = factored.occurs[weights > 0].any(axis=0)
        absent += count * ~present
        gram = np.sum([weight * one for weight, one in zip(weights, grams, strict=True) if weight], axis=0)
        if present.all():
            _require_told_apart(gram, weights=weights)
            solver[:] = np.linalg.solve(factored.triangle, np.linalg.inv(gram))
        else:
            whole = factored.triangle[:, present]
            normal = whole.T @ gram @ whole
            scale = np.sqrt(np.diag(normal))
            _require_told_apart(normal / np.outer(scale, scale), weights=weights)
            solver[present] = np.linalg.solve(normal, whole.T)
    return solvers, absent


def _require_told_apart(normal: Floats, *, weights: NDArray[np.int64]) -> None:
    values = np.linalg.eigvalsh(normal)
    if not values[0] * MAX_DRAW_CONDITION > values[-1]:
        drawn = ", ".join(str(run) for run in np.repeat(np.arange(len(weights)) + 1, weights))
        raise ValueError(f"bootstrap draw of runs {drawn}: its conditions cannot be told apart; merge conditions or "
                         "fit without bootstraps")


def _summarise(parts: NDArray[np.float32], *, solvers: NDArray[np.float32], draws: Draws,
               ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Take median and half the 68 % range over the draws of (n_runs, n_conditions, n_block) loadings."""
    n, n_block = parts.shape[1:]
    median, error = np.empty((n, n_block), np.float32), np.empty((n, n_block), np.float32)
    weights = draws.weights.astype(np.float32)
    step = max(1, _VALUES // (n * len(solvers)))
    for start in range(0, n_block, step):
        chosen = slice(start, min(start + step, n_block))
        totals = (weights @ parts[:, :, chosen].reshape(len(parts), -1)).reshape(len(solvers), n, -1)
        low, median[:, chosen], high = weighted_percentiles(np.matmul(solvers, totals), counts=draws.counts)
        error[:, chosen] = (high - low) / 2
    return median, error


def weighted_percentiles(values: NDArray[np.float32], *, counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Take :data:`PERCENTILES` over the first axis, each row counted so many times.

    Parameters
    ----------
    values : float32 array, (n_distinct, ...)
    counts : int64 array, (n_distinct,)

    Returns
    -------
    float32 array, (3, ...)
        Midpoint (Hazen) percentiles: the k-th of n sorted values stands at 100 (k - 1/2) / n, and values between
        are interpolated.

    Examples
    --------
    >>> weighted_percentiles(np.array([[1.0], [3.0]], np.float32), counts=np.array([3, 1])).ravel().round(3)
    array([1.  , 1.  , 2.72], dtype=float32)
    """
    flat = values.reshape(len(values), -1)
    found = np.empty((len(PERCENTILES), flat.shape[1]), np.float32)
    for start in range(0, flat.shape[1], _SORTED):
        some = slice(start, start + _SORTED)
        found[:, some] = _percentiles(flat[:, some], rows=np.repeat(np.arange(len(counts)), counts))
    return found.reshape(len(PERCENTILES), *values.shape[1:])


def _percentiles(values: NDArray[np.float32], *, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Sort each series, its rows repeated as named, and interpolate between neighbours."""
    n = len(rows)
    series = np.empty((values.shape[1], n), np.float32)
    for place, row in enumerate(rows):
        series[:, place] = values[row]
    series.sort(axis=1)
    found = np.empty((len(PERCENTILES), values.shape[1]), np.float32)
    for row, percentile in enumerate(PERCENTILES):
        position = min(max(percentile / 100.0 * n - 0.5, 0.0), n - 1.0)
        below = int(position)
        above, share = min(below + 1, n - 1), np.float32(position - below)
        found[row] = (1 - share) * series[:, below] + share * series[:, above]
    return found
