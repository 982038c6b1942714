"""Ordinary least squares of one session: designs factored once, runs taken one by one, vertices in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from analysis.jobs import Each, one_by_one
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
MAX_CONDITION_NUMBER = 1e4
_ROUNDING = 1e-8


@dataclass(frozen=True, eq=False)
class Model:
    """A session's designs with each run's drifts projected out, factored once for all vertices.

    Parameters
    ----------
    designs : sequence of float64 array, (n_volumes, n_conditions)
        One a run.
    drifts : sequence of float64 array, (n_volumes, n_drifts)
        Orthonormal columns, one array a run.
    where : str
        The session, for messages.

    Raises
    ------
    AnalysisError
        If shapes do not fit, or the conditions cannot be told apart (condition number, named condition).
    """

    designs: Sequence[Floats]
    drifts: Sequence[Floats]
    where: str = "design"

    def __post_init__(self) -> None:
        for run, (design, drift) in enumerate(zip(self.designs, self.drifts, strict=True), start=1):
            if len(design) != len(drift):
                raise AnalysisError(f"{self.where} run {run}", came=f"{len(design)} rows beside {len(drift)} of drifts",
                                    expected="one row a volume", remedy="Make both from one sampling.")
        if self.condition_number > MAX_CONDITION_NUMBER:
            raise AnalysisError(self.where, expected=f"at most {MAX_CONDITION_NUMBER:g}",
                                came=f"a design of condition number {self.condition_number:.3g}, weakest at column "
                                     f"{self._weakest()}",
                                remedy="Leave out conditions that always come together, or add runs.")

    @cached_property
    def projected(self) -> Floats:
        """Designs without drifts, all runs below one another, (n_all_volumes, n_conditions)."""
        return np.concatenate([project_out(design, drift)
                               for design, drift in zip(self.designs, self.drifts, strict=True)])

    @cached_property
    def _factors(self) -> tuple[Floats, Floats]:
        return np.linalg.qr(self.projected)

    @cached_property
    def _lengths(self) -> Floats:
        """Lengths of the projected columns; 0 for one that the drifts explain to rounding."""
        whole = np.sqrt(np.sum([np.square(design).sum(axis=0) for design in self.designs], axis=0))
        left = np.linalg.norm(self.projected, axis=0)
        return np.where(left > _ROUNDING * whole, left, 0.0)

    @cached_property
    def condition_number(self) -> float:
        """Largest over smallest singular value of the projected design, its columns at unit length."""
        if not self._lengths.all():
            return float("inf")
        spread = np.linalg.svd(self._factors[1] / self._lengths, compute_uv=False)
        return float(spread[0] / spread[-1]) if spread[-1] > 0 else float("inf")

    def _weakest(self) -> int:
        """Find the column that is absent, or has the largest part in what cannot be estimated."""
        if not self._lengths.all():
            return int(np.argmin(self._lengths))
        return int(np.argmax(np.abs(np.linalg.svd(self._factors[1] / self._lengths)[2][-1])))

    def parts(self) -> Iterator[tuple[Floats, Floats]]:
        """Give each run's rows of Q (from projected = Q R) and its drifts."""
        stops = np.cumsum([len(design) for design in self.designs])[:-1]
        yield from zip(np.split(self._factors[0], stops), self.drifts, strict=True)

    def solve(self, loadings: Floats) -> Floats:
        """Turn the loadings Q'y into betas."""
        return solve_triangular(self._factors[1], loadings, check_finite=False)


def project_out(values: Floats, basis: Floats) -> Floats:
    """Remove what orthonormal columns explain."""
    return values - basis @ (basis.T @ values)


@dataclass(frozen=True, eq=False)
class SessionFit:
    """Estimates of one session.

    Parameters
    ----------
    betas : float64 array, (n_conditions, n_vertices)
        In scanner units.
    mean_signal : float64 array, (n_vertices,)
        Mean over the kept volumes of all runs.
    ss_total, ss_residual : float64 array, (n_vertices,)
        Sums of squares without drifts: of the data, and of what the model leaves.
    n_volumes : int
        Kept volumes of all runs.
    """

    betas: Floats
    mean_signal: Floats
    ss_total: Floats
    ss_residual: Floats
    n_volumes: int

    @property
    def r2(self) -> Floats:
        """Share of variance explained, drifts removed; NaN without signal."""
        return explained(self.ss_total, self.ss_residual)

    @property
    def percent(self) -> NDArray[np.float32]:
        """Betas in percent of the mean signal, float32; NaN without signal."""
        mean = np.where(self.ss_total > 0, self.mean_signal, np.nan)
        return (100.0 * self.betas / np.abs(mean)).astype(np.float32)


def explained(ss_total: Floats, ss_residual: Floats) -> Floats:
    """R2 = 1 - residual over total sum of squares; NaN where the total is 0."""
    return 1.0 - ss_residual / np.where(ss_total > 0, ss_total, np.nan)


def fit_session(runs: Iterable[NDArray[np.float32]], *, model: Model, block_vertices: int = 4096,
                each: Each = one_by_one) -> SessionFit:
    """Fit a session by ordinary least squares.

    Parameters
    ----------
    runs : iterable of float32 array, (n_volumes, n_vertices)
        Kept volumes, one array a run in the order of the model's; taken one at a time, so that no more
        than one need be in memory.
    model : Model
    block_vertices : int
        Vertices that are widened to float64 at once. It does not alter the result.
    each : Each
        How blocks are gone through (:func:`analysis.jobs.at_once`).

    Returns
    -------
    SessionFit

    Notes
    -----
    With the drifts P_r of each run projected out of its design, ``[M_r X_r] = Q R`` and the estimate
    is ``b = R^-1 sum_r Q_r' y_r``: Q_r is orthogonal to P_r, so that the data need no projection (Kay et al.
    2013, and the Frisch-Waugh-Lovell theorem). Sums are kept in float64.

    Raises
    ------
    AnalysisError
        If the number of runs or volumes does not fit the model.
    """
    parts = list(model.parts())
    sums: _Sums | None = None
    n_runs = 0
    for data in runs:
        n_runs += 1
        if n_runs > len(parts) or len(data) != len(parts[n_runs - 1][0]):
            raise AnalysisError(model.where, came=f"{len(data)} volumes as run {n_runs}",
                                expected=f"runs of {', '.join(str(len(part[0])) for part in parts)} volumes",
                                remedy="See that time series and events belong together.")
        sums = sums or _Sums.empty(n_conditions=parts[0][0].shape[1], n_vertices=data.shape[1])
        sums.add(data, *parts[n_runs - 1], block_vertices=block_vertices, where=model.where, each=each)
    if sums is None or n_runs != len(parts):
        raise AnalysisError(model.where, came=f"{n_runs} runs", expected=f"{len(parts)}, one a design",
                            remedy="See that time series and events belong together.")
    explained_squares = np.einsum("cv,cv->v", sums.loadings, sums.loadings)
    return SessionFit(model.solve(sums.loadings), sums.signal / sums.n_volumes, sums.squares,
                      np.maximum(sums.squares - explained_squares, 0.0), sums.n_volumes)


@dataclass(eq=False)
class _Sums:
    """What a pass over the runs adds up."""

    loadings: Floats
    signal: Floats
    squares: Floats
    n_volumes: int = 0

    @classmethod
    def empty(cls, *, n_conditions: int, n_vertices: int) -> _Sums:
        return cls(np.zeros((n_conditions, n_vertices)), np.zeros(n_vertices), np.zeros(n_vertices))

    def add(self, data: NDArray[np.float32], rotation: Floats, drift: Floats, *, block_vertices: int,
            where: str, each: Each) -> None:
        n_vertices = len(self.signal)
        if data.shape[1] != n_vertices:
            raise AnalysisError(where, came=f"{data.shape[1]} vertices after runs of {n_vertices}",
                                expected="one mesh", remedy="Preprocess all runs to one surface.")
        basis = np.concatenate([rotation, drift], axis=1)

        def add(start: int) -> None:
            block = slice(start, min(start + block_vertices, n_vertices))
            self._add_block(data[:, block].astype(np.float64), basis, block=block, n_drifts=drift.shape[1])

        for _ in each(add, range(0, n_vertices, block_vertices)):
            pass
        self.n_volumes += len(data)

    def _add_block(self, wide: Floats, basis: Floats, *, block: slice, n_drifts: int) -> None:
        mean = wide.mean(axis=0)
        wide -= mean  # a constant is among the drifts; without it the sums of squares keep their digits
        found = basis.T @ wide
        drifts = found[-n_drifts:]
        self.loadings[:, block] += found[:-n_drifts]
        self.signal[block] += mean * len(wide)
        squares = np.einsum("tv,tv->v", wide, wide)
        left = squares - np.einsum("dv,dv->v", drifts, drifts)
        self.squares[block] += np.where(left > 1e-12 * squares, left, 0.0)
