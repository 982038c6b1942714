"""What GLMdenoise's steps share: time series in blocks of vertices, nuisance columns, designs factored once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.glm.ols import MAX_CONDITION_NUMBER, project_out
from analysis.jobs import Each, one_by_one

Floats = NDArray[np.float64]
NEGLIGIBLE = 1e-8
"""Share of a column's length below which what is left of it after projection is rounding."""


class Series(Protocol):
    """Anything with a shape whose columns can be sliced: an array, a memory map, a dataset of an HDF5 file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_volumes, n_vertices)."""

    def __getitem__(self, key: Any, /) -> Any:
        """Give rows and columns."""


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Series of several meshes as those of one, without a copy: both hemispheres of a run.

    Parameters
    ----------
    parts : sequence of (n_volumes, n_vertices)
        One a mesh, of the same volumes; float32.

    Raises
    ------
    ValueError
        If the numbers of volumes differ.
    """

    parts: Sequence[Series]

    def __post_init__(self) -> None:
        lengths = [part.shape[0] for part in self.parts]
        if len(set(lengths)) != 1:
            raise ValueError(f"series of {' and '.join(map(str, lengths))} volumes side by side")

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_volumes, n_vertices of all parts)."""
        return (self.parts[0].shape[0], sum(part.shape[1] for part in self.parts))

    def __getitem__(self, key: tuple[slice, slice | NDArray[np.int64]], /) -> NDArray[np.float32]:
        """Give rows, and columns counted through all parts."""
        rows, columns = key
        edges = np.cumsum([0, *(part.shape[1] for part in self.parts)])
        if isinstance(columns, slice):
            start, stop, _ = columns.indices(int(edges[-1]))
            found = [part[rows, max(start - low, 0):stop - low] for part, low, high
                     in zip(self.parts, edges[:-1], edges[1:], strict=True) if start < high and stop > low]
            return found[0] if len(found) == 1 else np.concatenate(found, axis=1)
        of_part = np.searchsorted(edges, columns, side="right") - 1
        whole = np.empty((len(range(*rows.indices(self.shape[0]))), len(columns)), dtype=np.float32)
        for number in np.unique(of_part):
            mine = of_part == number
            whole[:, mine] = self.parts[number][rows, columns[mine] - edges[number]]
        return whole


@dataclass(frozen=True, eq=False)
class SurfaceRuns:
    """The time series of all runs, read in blocks of vertices so that no second copy is needed.

    Parameters
    ----------
    series : sequence of (n_volumes, n_vertices)
        One a run, in scanner units, never mean-subtracted; float32 arrays or whatever can be sliced alike.
    block_vertices : int
        Vertices that are widened to float64 at once. It alters results by rounding only.
    each : Each
        How blocks are gone through: one after another, or several at once (:func:`analysis.jobs.at_once`).

    Raises
    ------
    ValueError
        If there are fewer than two runs, or runs have different numbers of vertices.
    """

    series: Sequence[Series]
    block_vertices: int = 1024
    each: Each = one_by_one

    def __post_init__(self) -> None:
        if len(self.series) < 2:
            raise ValueError(f"{len(self.series)} runs; denoising is cross-validated over at least two")
        wrong = [run.shape for run in self.series if len(run.shape) != 2]
        if wrong:
            raise ValueError(f"a run of shape {wrong[0]}; expected (n_volumes, n_vertices)")
        sizes = sorted({run.shape[1] for run in self.series})
        if len(sizes) != 1 or sizes[0] == 0:
            raise ValueError(f"runs of {' and '.join(map(str, sizes))} vertices; expected one mesh for all")
        if self.block_vertices < 1:
            raise ValueError(f"blocks of {self.block_vertices} vertices; expected at least 1")

    @property
    def n_vertices(self) -> int:
        """Vertices of the mesh."""
        return self.series[0].shape[1]

    @property
    def n_volumes(self) -> tuple[int, ...]:
        """Volumes of each run."""
        return tuple(run.shape[0] for run in self.series)

    def slices(self) -> Iterator[slice]:
        """Cut the mesh into blocks of vertices."""
        for start in range(0, self.n_vertices, self.block_vertices):
            yield slice(start, min(start + self.block_vertices, self.n_vertices))


@dataclass(frozen=True, eq=False)
class Nuisance:
    """A run's slow drifts and extra regressors.

    Parameters
    ----------
    drifts : float64 array, (n_volumes, n_drifts)
        Orthonormal polynomials, the constant among them (:func:`~analysis.glm.design.polynomials`).
    extra : float64 array, (n_volumes, n_extra), optional
        Further regressors of no interest; columns that the drifts explain are left out.

    Raises
    ------
    ValueError
        If numbers of volumes differ, the drifts are not orthonormal or lack the constant.
    """

    drifts: Floats
    extra: Floats | None = None

    def __post_init__(self) -> None:
        drifts, n = self.drifts, len(self.drifts)
        if not np.allclose(drifts.T @ drifts, np.eye(drifts.shape[1]), atol=1e-6):
            raise ValueError("drifts that are not orthonormal")
        if not np.allclose(np.square(drifts.sum(axis=0)).sum(), n, rtol=1e-6):
            raise ValueError("drifts without a constant; polynomials start at degree 0")
        if self.extra is not None and len(self.extra) != n:
            raise ValueError(f"extra regressors of {len(self.extra)} rows beside drifts of {n}")

    @cached_property
    def beyond_drifts(self) -> Floats:
        """Orthonormal columns for what the extra regressors add to the drifts, (n_volumes, 0 to n_extra)."""
        if self.extra is None or not self.extra.size:
            return np.zeros((len(self.drifts), 0))
        left = project_out(self.extra, self.drifts)
        whole = np.linalg.norm(self.extra, axis=0)
        useful = np.linalg.norm(left, axis=0) > NEGLIGIBLE * whole
        left = left[:, useful] / np.linalg.norm(left[:, useful], axis=0)
        vectors, lengths, _ = np.linalg.svd(left, full_matrices=False)
        return vectors[:, lengths > NEGLIGIBLE]

    @cached_property
    def basis(self) -> Floats:
        """Drifts and extra regressors as orthonormal columns: one projection for both."""
        return np.concatenate([self.drifts, self.beyond_drifts], axis=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """What one pass over the data finds before any model.

    Parameters
    ----------
    run_means : float64 array, (n_runs, n_vertices)
    mean_signal : float64 array, (n_vertices,)
        Mean over the volumes of all runs, in scanner units.
    ss_total : float64 array, (n_vertices,)
        Sum of squares without drifts; exactly 0 where only rounding is left.
    ss_without_extra : float64 array, (n_vertices,)
        The same without the extra regressors as well.
    """

    run_means: Floats
    mean_signal: Floats
    ss_total: Floats
    ss_without_extra: Floats

    def part(self, vertices: slice) -> Scan:
        """Give the same of some vertices."""
        return Scan(run_means=self.run_means[:, vertices], mean_signal=self.mean_signal[vertices],
                    ss_total=self.ss_total[vertices], ss_without_extra=self.ss_without_extra[vertices])


def scan_runs(runs: SurfaceRuns, *, nuisance: Sequence[Nuisance]) -> Scan:
    """Find means and sums of squares, and see that all values are finite.

    Raises
    ------
    ValueError
        If a value is not finite, or a run's volumes do not fit its nuisance columns.
    """
    for run, (one, n_volumes) in enumerate(zip(nuisance, runs.n_volumes, strict=True), start=1):
        if len(one.drifts) != n_volumes:
            raise ValueError(f"run {run}: {n_volumes} volumes beside {len(one.drifts)} rows of drifts")
    means = np.zeros((len(nuisance), runs.n_vertices))
    found = np.zeros((3, runs.n_vertices))

    def visit(block: slice) -> None:
        for run, (series, one) in enumerate(zip(runs.series, nuisance, strict=True)):
            data = series[:, block]
            means[run, block] = np.mean(data, axis=0, dtype=np.float64)
            if not np.isfinite(means[run, block]).all():
                vertex = block.start + int(np.argmin(np.isfinite(means[run, block])))
                raise ValueError(f"run {run + 1}, vertex {vertex}: a value that is not finite")
            found[:, block] += _squares(data, one, means=means[run, block])

    deque(runs.each(visit, runs.slices()), maxlen=0)
    squares, slow, extra = found
    totals = [np.where(left > 1e-12 * squares, left, 0.0) for left in (squares - slow, squares - slow - extra)]
    mean = np.average(means, axis=0, weights=np.array(runs.n_volumes, dtype=np.float64))
    return Scan(run_means=means, mean_signal=mean, ss_total=totals[0], ss_without_extra=totals[1])


def _squares(data: NDArray[np.float32], nuisance: Nuisance, *, means: Floats) -> Floats:
    """Find sums of squares of some vertices in one run: all, of drifts, of extra regressors."""
    centred = np.subtract(data, means, dtype=np.float64)
    explained = np.square(nuisance.basis.T @ centred)
    n_drifts = nuisance.drifts.shape[1]
    return np.stack([np.einsum("tv,tv->v", centred, centred), explained[:n_drifts].sum(axis=0),
                     explained[n_drifts:].sum(axis=0)])


def map_loadings(runs: SurfaceRuns, work: Callable[[slice, list[Floats]], None], *, scan: Scan,
                 bases: Sequence[Floats]) -> None:
    """Project the data on a few columns a run, block by block, and hand each block's loadings on.

    Parameters
    ----------
    runs : SurfaceRuns
    work : callable
        Takes the vertices of a block, and ``B_r' y_r`` of each run as float64 arrays, (n_columns, n_block). Blocks may
        be worked on at once.
    scan : Scan
    bases : sequence of float64 array, (n_volumes, n_columns)
        Columns without a constant part, so that the means need not be known to the last digit.
    """
    turned = [np.ascontiguousarray(basis.T) for basis in bases]

    def project(block: slice) -> None:
        work(block, [basis @ np.subtract(series[:, block], mean[block], dtype=np.float64)
                     for basis, series, mean in zip(turned, runs.series, scan.run_means, strict=True)])

    deque(runs.each(project, runs.slices()), maxlen=0)


@dataclass(frozen=True, eq=False)
class FactoredDesign:
    """The designs of all runs, nuisance projected out, in orthonormal coordinates.

    The stacked designs of the conditions that occur are ``X = Q R``. A fit on some of the runs then needs only
    ``q_r = Q_r' y_r`` and small matrices, and is as well conditioned as those runs allow.

    Parameters
    ----------
    designs : sequence of float64 array, (n_volumes, n_conditions)
        Predicted time courses, one array a run.
    nuisance : sequence of Nuisance
    where : str
        For messages.

    Raises
    ------
    ValueError
        If shapes do not fit, no condition occurs, or conditions cannot be told apart (the weakest is named).
    """

    designs: Sequence[Floats]
    nuisance: Sequence[Nuisance]
    where: str = field(default="design", kw_only=True)

    def __post_init__(self) -> None:
        shapes = {design.shape[1] for design in self.designs}
        if len(shapes) != 1:
            raise ValueError(f"{self.where}: runs of {' and '.join(map(str, sorted(shapes)))} conditions")
        for run, (design, one) in enumerate(zip(self.designs, self.nuisance, strict=True), start=1):
            if len(design) != len(one.drifts):
                raise ValueError(f"{self.where} run {run}: {len(design)} rows beside {len(one.drifts)} of drifts")
        if not len(self.estimated):
            raise ValueError(f"{self.where}: no condition occurs in any run")
        if self.condition_number > MAX_CONDITION_NUMBER:
            raise ValueError(f"{self.where}: condition number {self.condition_number:.3g}, weakest at condition "
                             f"{self._weakest()}; expected at most {MAX_CONDITION_NUMBER:g}")

    @property
    def n_conditions(self) -> int:
        """Conditions, those that never occur included."""
        return int(self.designs[0].shape[1])

    @cached_property
    def _projected(self) -> list[Floats]:
        return [project_out(design, one.basis) for design, one in zip(self.designs, self.nuisance, strict=True)]

    @cached_property
    def _occurs(self) -> NDArray[np.bool_]:
        whole = np.sqrt(sum(np.square(design).sum(axis=0) for design in self.designs))
        left = np.array([np.linalg.norm(design, axis=0) for design in self._projected])
        return np.asarray(left > NEGLIGIBLE * whole)

    @cached_property
    def estimated(self) -> NDArray[np.int64]:
        """Conditions with a time course of their own in at least one run."""
        return np.flatnonzero(self._occurs.any(axis=0))

    @cached_property
    def occurs(self) -> NDArray[np.bool_]:
        """Whether a run holds a condition, (n_runs, n_estimated)."""
        return self._occurs[:, self.estimated]

    @cached_property
    def _factors(self) -> tuple[Floats, Floats]:
        stacked = np.concatenate(self._projected)[:, self.estimated]
        rotation, triangle = np.linalg.qr(stacked)
        return rotation, triangle

    @property
    def triangle(self) -> Floats:
        """R of X = Q R, (n_estimated, n_estimated)."""
        return self._factors[1]

    @cached_property
    def rotations(self) -> list[Floats]:
        """Each run's rows of Q, (n_volumes, n_estimated)."""
        return np.split(self._factors[0], np.cumsum([len(design) for design in self.designs])[:-1])

    @cached_property
    def grams(self) -> list[Floats]:
        """``Q_r' Q_r`` of each run; they sum to the identity."""
        return [rotation.T @ rotation for rotation in self.rotations]

    @cached_property
    def on_extra(self) -> list[Floats]:
        """What the extra regressors explain of each run's designs, ``E_r' X_r R^-1``, (n_extra, n_estimated)."""
        inverse = np.linalg.inv(self.triangle)
        return [one.beyond_drifts.T @ design[:, self.estimated] @ inverse
                for design, one in zip(self.designs, self.nuisance, strict=True)]

    @cached_property
    def condition_number(self) -> float:
        """Largest over smallest singular value, columns at unit length; infinite with fewer volumes than columns."""
        if self.triangle.shape[0] < self.triangle.shape[1]:
            return float("inf")
        spread = np.linalg.svd(self._unit_triangle, compute_uv=False)
        return float(spread[0] / spread[-1]) if spread[-1] > 0 else float("inf")

    @property
    def _unit_triangle(self) -> Floats:
        unit: Floats = self.triangle / np.linalg.norm(self.triangle, axis=0)
        return unit

    def _weakest(self) -> int:
        return int(self.estimated[np.argmax(np.abs(np.linalg.svd(self._unit_triangle)[2][-1]))])
