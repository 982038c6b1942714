"""Least squares with autocorrelated noise: an AR(1) coefficient at every vertex, in blocks of vertices.

For a coefficient ``rho`` the data and the design are whitened by ``y_t - rho y_(t-1)`` within each run, the first
volume of a run as it is, as nilearn does it. All that a whitened fit needs is then a polynomial in ``rho`` of products
that are taken once: with Q orthonormal columns that span the design, and S the shift by one volume,

    normal matrix  I - rho Q'(S + S')Q + rho^2 (I - l l')        right side  Q'y - rho Q'(S + S')y + rho^2 (Q'y - l y_T)

where ``l`` is Q's last row in a run, and ``y_T`` the last volume. So no vertex is whitened itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz

from analysis.glm.ols import Floats, Model, SessionFit
from analysis.jobs import Each, one_by_one
from subjects.errors import AnalysisError

N_BINS = 100
"""Coefficients are taken to hundredths: vertices of one value share a normal matrix."""
_GRID = np.linspace(-0.9, 0.98, 95)


@dataclass(frozen=True, kw_only=True, eq=False)
class AutoregressiveFit:
    """Estimates under AR(1) noise.

    Parameters
    ----------
    betas : float64 array, (n_conditions, n_vertices)
        In the data's units; NaN where a vertex has no signal.
    rho : float64 array, (n_vertices,)
        AR(1) coefficient, in hundredths.
    variance : float64 array, (n_vertices,)
        Of the whitened noise.
    n_df : int
        Volumes minus columns, drifts included.
    covariances : mapping of float to float64 array, (n_conditions, n_conditions)
        Coefficient to the betas' covariance for noise of variance 1.
    mean_signal : float64 array, (n_vertices,)
        Mean over the kept volumes of all runs.
    ss_total, ss_residual : float64 array, (n_vertices,)
        Sums of squares without drifts, not whitened: of the data, and of what the betas leave.
    n_volumes : int
        Kept volumes of all runs.
    """

    betas: Floats
    rho: Floats
    variance: Floats
    n_df: int
    covariances: dict[float, Floats]
    mean_signal: Floats
    ss_total: Floats
    ss_residual: Floats
    n_volumes: int

    def select(self, rows: NDArray[np.int64]) -> AutoregressiveFit:
        """Keep some of the betas."""
        return replace(self, betas=self.betas[rows],
                       covariances={rho: one[np.ix_(rows, rows)] for rho, one in self.covariances.items()})

    @property
    def to_percent(self) -> Floats:
        """What turns the data's units into percent of the mean signal, (n_vertices,); NaN without signal."""
        return 100.0 / np.where((self.ss_total > 0) & (self.mean_signal != 0), np.abs(self.mean_signal), np.nan)

    @property
    def percent(self) -> NDArray[np.float32]:
        """Betas in percent of the mean signal, float32; NaN without signal."""
        return (self.betas * self.to_percent).astype(np.float32)

    @property
    def errors(self) -> NDArray[np.float32]:
        """Standard errors of :attr:`percent`, ``sqrt(variance * covariance's diagonal)``."""
        scale = np.full(self.betas.shape, np.nan)
        for rho, covariance in self.covariances.items():
            scale[:, self.rho == rho] = np.diag(covariance)[:, None]
        return (np.sqrt(scale * self.variance) * self.to_percent).astype(np.float32)


def as_white(fit: SessionFit, *, model: Model) -> AutoregressiveFit:
    """Give a fit by ordinary least squares the form of one under noise without autocorrelation.

    Parameters
    ----------
    fit : SessionFit
    model : Model
        The one that it was fitted with.
    """
    n_df = fit.n_volumes - len(fit.betas) - sum(drift.shape[1] for drift in model.drifts)
    inverse = model.solve(np.eye(len(fit.betas)))
    known = fit.ss_total > 0
    return AutoregressiveFit(
        betas=np.where(known, fit.betas, np.nan), rho=np.zeros(len(known)), n_df=n_df,
        variance=np.where(known, fit.ss_residual / n_df, np.nan), covariances={0.0: inverse @ inverse.T},
        mean_signal=fit.mean_signal, ss_total=fit.ss_total, ss_residual=fit.ss_residual, n_volumes=fit.n_volumes)


def fit_ar1(runs: Sequence[NDArray[np.float32]], *, model: Model, correct_bias: bool = True,
            block_vertices: int = 2048, each: Each = one_by_one) -> AutoregressiveFit:
    """Fit a session under AR(1) noise.

    Parameters
    ----------
    runs : sequence of float32 array, (n_volumes, n_vertices)
        Kept volumes, one array a run in the order of the model's.
    model : Model
    correct_bias : bool
        Correct the coefficient for what the design takes of the noise: residuals of many conditions are less correlated
        than the noise, and too many contrasts of none are then called significant. False for the residuals' own
        coefficient, cut towards 0, as nilearn takes it.
    block_vertices : int
        Vertices that are widened to float64 at once. It does not alter the result beyond rounding.
    each : Each
        How blocks are gone through (:func:`analysis.jobs.at_once`).

    Returns
    -------
    AutoregressiveFit

    Raises
    ------
    AnalysisError
        If runs and model do not fit one another.

    Notes
    -----
    The coefficient is the Yule-Walker estimate from the least squares residuals of all runs, none across their borders.
    Corrected, it is the one whose expected residuals have that estimate: with R the projection beyond the design and V
    the noise's correlations, the ratio of ``tr(R S R V)`` to ``tr(R V)`` (after Worsley et al. 2002, NeuroImage
    15:1-15, for all lags).
    """
    parts = [_RunPart(np.concatenate([rotation, drifts], axis=1)) for rotation, drifts in model.parts()]
    _require_fit(runs, model, parts=parts)
    whitened = _Whitened(parts, n_conditions=model.projected.shape[1])
    n_vertices = runs[0].shape[1]
    betas = np.full((whitened.n_conditions, n_vertices), np.nan)
    rho, variance = np.zeros(n_vertices), np.full(n_vertices, np.nan)
    mean_signal, ss_total, ss_residual = (np.zeros(n_vertices) for _ in range(3))

    def fit(block: slice) -> set[float]:
        sums = whitened.sums([run[:, block] for run in runs])
        mean_signal[block], ss_total[block] = sums.mean_signal, sums.left
        rho[block] = whitened.coefficients(sums, correct_bias=correct_bias)
        known = sums.squares > 0
        for value in np.unique(rho[block][known]):
            mine = np.flatnonzero(known & (rho[block] == value))
            found, variance[block.start + mine] = whitened.solve(sums, mine, rho=float(value))
            betas[:, block.start + mine] = model.solve(found)
            ss_residual[block.start + mine] = sums.residual(found, mine)
        return {float(value) for value in np.unique(rho[block][known])}

    blocks = [slice(start, min(start + block_vertices, n_vertices)) for start in range(0, n_vertices, block_vertices)]
    values = set[float]().union(*each(fit, blocks))
    return AutoregressiveFit(
        betas=betas, rho=rho, variance=variance, n_df=whitened.n_df, mean_signal=mean_signal, ss_total=ss_total,
        ss_residual=ss_residual, n_volumes=whitened.n_volumes,
        covariances={value: _rotated(whitened.inverse(value)[:whitened.n_conditions, :whitened.n_conditions], model)
                     for value in sorted(values)})


def _rotated(covariance: Floats, model: Model) -> Floats:
    """Turn the covariance of Q's loadings into that of betas, ``R^-1 C R^-T``."""
    return model.solve(model.solve(covariance).T)


def _require_fit(runs: Sequence[NDArray[np.float32]], model: Model, *, parts: Sequence[_RunPart]) -> None:
    found, wanted = [len(run) for run in runs], [len(part.basis) for part in parts]
    if found != wanted:
        raise AnalysisError(model.where, came=f"runs of {', '.join(map(str, found)) or 'no'} volumes",
                            expected=f"runs of {', '.join(map(str, wanted))}",
                            remedy="See that time series and events belong together.")
    sizes = sorted({run.shape[1] for run in runs})
    if len(sizes) != 1:
        raise AnalysisError(model.where, came=f"runs of {' and '.join(map(str, sizes))} vertices", expected="one mesh",
                            remedy="Preprocess all runs to one surface.")


@dataclass(frozen=True, eq=False)
class _RunPart:
    """A run's rows of the orthonormal columns: conditions, then its own drifts."""

    basis: Floats

    @cached_property
    def neighbours(self) -> Floats:
        """``(S + S')Q``: each volume's row is the sum of the rows before and after it."""
        both = np.zeros_like(self.basis)
        both[1:] += self.basis[:-1]
        both[:-1] += self.basis[1:]
        return both

    @cached_property
    def turned(self) -> Floats:
        """Columns and their neighbours for one product with the data."""
        return np.ascontiguousarray(np.concatenate([self.basis, self.neighbours], axis=1).T)


@dataclass(frozen=True, eq=False)
class _Sums:
    """What whitened fits of a block need: Q'y, Q'(S + S')y, l y_T, and sums of y y, y_t y_(t-1), y_T y_T.

    And what tells the data's size: their mean, and their sum of squares without drifts.
    """

    loadings: Floats
    neighbours: Floats
    last: Floats
    squares: Floats
    lagged: Floats
    last_squares: Floats
    mean_signal: Floats
    left: Floats

    def residual(self, found: Floats, vertices: NDArray[np.int64]) -> Floats:
        """Sum the squares that conditions' loadings leave of some vertices' data, drifts fitted to what they leave."""
        plain = self.loadings[:len(found), vertices]
        missed = np.square(found - plain).sum(axis=0) - np.square(plain).sum(axis=0)
        return np.asarray(np.maximum(self.left[vertices] + missed, 0.0))


class _Whitened:
    """The design of all runs, whitened by any coefficient."""

    def __init__(self, parts: Sequence[_RunPart], *, n_conditions: int) -> None:
        self.parts, self.n_conditions = parts, n_conditions
        self.n_columns = n_conditions + sum(part.basis.shape[1] - n_conditions for part in parts)
        self.n_volumes = sum(len(part.basis) for part in parts)
        self.n_df = self.n_volumes - self.n_columns
        self._places, start = [], n_conditions
        for part in parts:
            n_own = part.basis.shape[1] - n_conditions
            self._places.append(np.concatenate([np.arange(n_conditions), np.arange(start, start + n_own)]))
            start += n_own
        self._shifted, self._last = np.zeros((self.n_columns, self.n_columns)), np.zeros((self.n_columns, len(parts)))
        for run, (part, places) in enumerate(zip(parts, self._places, strict=True)):
            self._shifted[np.ix_(places, places)] += part.basis.T @ part.neighbours
            self._last[places, run] = part.basis[-1]
        self._inverses: dict[float, Floats] = {}

    def sums(self, data: Sequence[NDArray[np.float32]]) -> _Sums:
        """Go through the runs of a block once."""
        n = data[0].shape[1]
        loadings, neighbours = np.zeros((self.n_columns, n)), np.zeros((self.n_columns, n))
        squares, lagged, left = np.zeros(n), np.zeros(n), np.zeros(n)
        ends, signal = np.empty((len(data), n)), np.zeros(n)
        for run, (series, part, places) in enumerate(zip(data, self.parts, self._places, strict=True)):
            wide = series.astype(np.float64)
            mean = wide.mean(axis=0)
            wide -= mean  # a constant is among the drifts
            signal += len(wide) * mean
            found = part.turned @ wide
            n_own = len(places)
            loadings[places] += found[:n_own]
            neighbours[places] += found[n_own:]
            own = np.einsum("tv,tv->v", wide, wide)
            squares += own
            left += own - np.square(found[self.n_conditions:n_own]).sum(axis=0)
            lagged += np.einsum("tv,tv->v", wide[1:], wide[:-1])
            ends[run] = wide[-1]
        known = left > 1e-12 * squares
        return _Sums(loadings, neighbours, self._last @ ends, np.where(known, squares, 0.0), lagged,
                     np.square(ends).sum(axis=0), signal / self.n_volumes, np.where(known, left, 0.0))

    def coefficients(self, sums: _Sums, *, correct_bias: bool) -> Floats:
        """Estimate each vertex's coefficient from its least squares residuals, in hundredths; 0 without signal."""
        own = sums.squares - np.square(sums.loadings).sum(axis=0)
        moved = np.einsum("cv,cv->v", sums.loadings, self._shifted @ sums.loadings)
        lagged = sums.lagged - np.einsum("cv,cv->v", sums.loadings, sums.neighbours) + moved / 2
        pairs = self.n_volumes - len(self.parts)
        rho = np.divide(lagged * self.n_volumes, own * pairs, out=np.zeros_like(own), where=sums.squares > 0)
        if not correct_bias:
            return np.asarray(np.trunc(rho * N_BINS) / N_BINS)
        corrected = np.interp(rho, self._expected, _GRID)
        return np.where(sums.squares > 0, np.round(corrected * N_BINS) / N_BINS, 0.0)

    @cached_property
    def _expected(self) -> Floats:
        """Give the coefficient that residuals of noise of each of the grid's are expected to have."""
        return np.array([self._expected_of(rho) for rho in _GRID])

    def _expected_of(self, rho: float) -> float:
        own = lagged = 0.0
        within, moved = np.zeros_like(self._shifted), np.zeros_like(self._shifted)
        for part, places in zip(self.parts, self._places, strict=True):
            n = len(part.basis)
            correlated = toeplitz(rho ** np.arange(n)) @ part.basis
            own, lagged = own + n, lagged + (n - 1) * rho
            within[np.ix_(places, places)] += part.basis.T @ correlated
            moved[np.ix_(places, places)] += part.neighbours.T @ correlated
        own -= np.trace(within)
        lagged += np.sum(self._shifted * within) / 2 - np.trace(moved)
        return float(lagged / own * self.n_volumes / (self.n_volumes - len(self.parts)))

    def inverse(self, rho: float) -> Floats:
        """Invert the normal matrix of a coefficient; kept for the next block."""
        if rho not in self._inverses:
            eye = np.eye(self.n_columns)
            normal = eye - rho * self._shifted + rho**2 * (eye - self._last @ self._last.T)
            self._inverses[rho] = np.linalg.inv(normal)
        return self._inverses[rho]

    def solve(self, sums: _Sums, vertices: NDArray[np.int64], *, rho: float) -> tuple[Floats, Floats]:
        """Give the conditions' loadings, (n_conditions, n), and the variance of the whitened noise, (n,)."""
        plain, neighbours, last = (one[:, vertices] for one in (sums.loadings, sums.neighbours, sums.last))
        right = plain - rho * neighbours + rho**2 * (plain - last)
        found = self.inverse(rho) @ right
        squares, ends = sums.squares[vertices], sums.last_squares[vertices]
        total = squares - 2 * rho * sums.lagged[vertices] + rho**2 * (squares - ends)
        variance: Floats = (total - np.einsum("cv,cv->v", found, right)) / self.n_df
        return found[:self.n_conditions], variance
