"""From frames to volumes: response, drifts and frame order of all runs as one small matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.glm.design import Sampling, drift_degree, polynomials
from analysis.regions.prf.response import Hrf, HrfFamily, Range, hrf_family
from analysis.regions.prf.stimulus import BLANK_FRAME, Stimulus

Floats = NDArray[np.float64]
Data = Sequence[NDArray[np.float32]]
_ROUNDING = 1e-10
_TIME_DECIMALS = 6


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """How one run was sampled, and what is projected out of it.

    Parameters
    ----------
    sampling : Sampling
        When its volumes were taken, in seconds from the first frame's onset.
    degree : int, optional
        Degree of the drift polynomials, 0 or more; by default ``round(L / 2)``, L the minutes kept.
    regressors : float array, (n_kept_volumes, n_regressors), optional
        Confounds to project out beside the drifts.

    Raises
    ------
    ValueError
        If the regressors do not have a finite value for each kept volume.
    """

    sampling: Sampling
    degree: int | None = None
    regressors: Floats | None = None

    def __post_init__(self) -> None:
        if self.regressors is not None and (self.regressors.ndim != 2 or len(self.regressors) != self.n_kept
                                            or not np.isfinite(self.regressors).all()):
            raise ValueError(f"regressors of shape {self.regressors.shape}, expected a finite row for each of the "
                             f"{self.n_kept} kept volumes")

    @property
    def n_kept(self) -> int:
        """Volumes in the data."""
        return self.sampling.n_volumes - self.sampling.n_discarded

    def nuisance(self) -> Floats:
        """Give orthonormal columns that span drifts and regressors, (n_kept, n_nuisance)."""
        degree = drift_degree(self.sampling) if self.degree is None else self.degree
        drifts = polynomials(self.n_kept, degree=degree)
        if self.regressors is None or not self.regressors.shape[1]:
            return drifts
        rest = self.regressors - drifts @ (drifts.T @ self.regressors)
        rest /= np.maximum(np.linalg.norm(self.regressors, axis=0), np.finfo(np.float64).tiny)
        left, sizes, _ = np.linalg.svd(rest, full_matrices=False)
        return np.concatenate([drifts, left[:, sizes > 1e-8]], axis=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Experiment:
    """The runs that are fitted together.

    Parameters
    ----------
    stimulus : Stimulus
        What was shown in each.
    runs : tuple of Run
        As many as there are movies.
    frame_s : float
        How long a frame stood: the TR for a movie of one frame a volume.
    hrf : Hrf
        The response to one frame.

    Raises
    ------
    ValueError
        If a movie is missing, or shorter than its run.
    """

    stimulus: Stimulus
    runs: tuple[Run, ...]
    frame_s: float
    hrf: Hrf = field(default_factory=Hrf)

    def __post_init__(self) -> None:
        if len(self.runs) != len(self.stimulus.order) or not self.runs:
            raise ValueError(f"{len(self.stimulus.order)} movies for {len(self.runs)} runs, expected one a run")
        if not self.frame_s > 0:
            raise ValueError(f"expected a positive frame_s, got {self.frame_s:g}")
        for number, (run, order) in enumerate(zip(self.runs, self.stimulus.order, strict=True), start=1):
            shown_s, taken_s = len(order) * self.frame_s, run.sampling.n_volumes * run.sampling.tr_s
            if shown_s < taken_s - 1e-3 * run.sampling.tr_s:
                raise ValueError(f"run {number}: a movie of {shown_s:g} s for volumes of {taken_s:g} s, expected at "
                                 "least as long a movie")

    def subset(self, places: Sequence[int]) -> Experiment:
        """Give some of the runs, by their places from 0."""
        return Experiment(stimulus=self.stimulus.subset(places), runs=tuple(self.runs[k] for k in places),
                          frame_s=self.frame_s, hrf=self.hrf)


@dataclass(frozen=True, eq=False)
class Compressed:
    """Series of many vertices in the few directions that a model can reach.

    Parameters
    ----------
    values : float32 array, (n_dims, n_vertices)
        The parts of the data that the model can explain, for data without drifts of unit length.
    length : float64 array, (n_vertices,)
        Length of the data without drifts, in their units; NaN for a vertex that cannot be fitted: one with a value
        that is missing, or constant throughout a run.
    """

    values: NDArray[np.float32]
    length: Floats


@dataclass(frozen=True, eq=False)
class Convolution:
    """Response, drifts and order of the frames as one matrix: exact, and of at most so many rows as frames differ.

    Without drifts a prediction is ``P C p`` with `p` a value for each different frame, ``C`` the convolution and
    ``P`` the projection on what drifts leave. With ``P C = Q M``, ``Q`` orthonormal, the distance of data `y` to it
    is ``|P y|^2 - |Q' y|^2 + |Q' y - M p|^2``: the fit needs no more of `y` than ``Q' y`` and ``|P y|``.

    Parameters
    ----------
    matrix : float64 array, (n_dims, n_basis * n_unique)
        ``M``, for each basis response one block of columns.
    basis : tuple of float64 array, (n_kept_volumes, n_dims)
        ``Q``, one array a run.
    nuisance : tuple of float64 array, (n_kept_volumes, n_nuisance)
        Orthonormal columns that are projected out, one array a run.
    family : HrfFamily
        The basis responses.
    """

    matrix: Floats
    basis: tuple[Floats, ...]
    nuisance: tuple[Floats, ...]
    family: HrfFamily

    def compress(self, data: Data, *, block_vertices: int = 4096) -> Compressed:
        """Reduce data to what the fit needs.

        Parameters
        ----------
        data : sequence of float32 array, (n_kept_volumes, n_vertices)
            One a run.
        block_vertices : int
            Memory bound: vertices taken to float64 at once.

        Returns
        -------
        Compressed
        """
        n_vertices = data[0].shape[1]
        values, squares = np.zeros((len(self.matrix), n_vertices), dtype=np.float32), np.zeros(n_vertices)
        for start in range(0, n_vertices, block_vertices):
            part = slice(start, start + block_vertices)
            values[:, part], squares[part] = self._compress([series[:, part] for series in data])
        return Compressed(values, np.sqrt(squares))

    def _compress(self, data: Data) -> tuple[Floats, Floats]:
        n_vertices = data[0].shape[1]
        values, squares = np.zeros((len(self.matrix), n_vertices)), np.zeros(n_vertices)
        with np.errstate(over="ignore", invalid="ignore"):
            for series, basis, nuisance in zip(data, self.basis, self.nuisance, strict=True):
                wide = series.astype(np.float64)
                wide -= wide.mean(axis=0)  # drifts hold a constant; without it the squares keep their digits
                whole, drifts = np.einsum("tv,tv->v", wide, wide), nuisance.T @ wide
                left = whole - np.einsum("dv,dv->v", drifts, drifts)
                values += basis.T @ wide
                squares += np.where(np.isfinite(whole) & (left > _ROUNDING * whole), left, np.nan)
        fitted = np.isfinite(squares)
        return np.divide(values, np.sqrt(squares), out=np.zeros_like(values), where=fitted), squares


def require_data(data: Data, *, experiment: Experiment) -> None:
    """Check that data fit the runs.

    Raises
    ------
    ValueError
        If a run is missing, or has another number of volumes or vertices.
    """
    if len(data) != len(experiment.runs):
        raise ValueError(f"data of {len(data)} runs, expected {len(experiment.runs)}")
    for number, (series, run) in enumerate(zip(data, experiment.runs, strict=True), start=1):
        if series.ndim != 2 or series.shape != (run.n_kept, data[0].shape[-1]):
            raise ValueError(f"run {number}: data of shape {series.shape}, expected {run.n_kept} kept volumes by "
                             f"{data[0].shape[-1]} vertices")


def convolution(experiment: Experiment, *, lag_s: Range = (0.0, 0.0), width: Range = (1.0, 1.0)) -> Convolution:
    """Set up the matrix of an experiment.

    Parameters
    ----------
    experiment : Experiment
    lag_s, width : (float, float)
        What the fit may take for the lag and width of the response; equal limits fix it.

    Returns
    -------
    Convolution

    Raises
    ------
    ValueError
        If drifts and regressors leave nothing to explain.
    """
    delays = [_delays(run, n_frames=len(order), frame_s=experiment.frame_s)
              for run, order in zip(experiment.runs, experiment.stimulus.order, strict=True)]
    most = experiment.hrf.length_s * width[1] + lag_s[1] + experiment.frame_s
    times = np.unique(np.concatenate([np.unique(delay) for delay in delays]))
    times = times[(times >= lag_s[0]) & (times <= most)]
    family = hrf_family(experiment.hrf, times, duration_s=experiment.frame_s, lag_s=lag_s, width=width)
    nuisance = tuple(run.nuisance() for run in experiment.runs)
    parts = [_expand(delay, order, family=family, times=times, n_unique=len(experiment.stimulus.frames))
             for delay, order in zip(delays, experiment.stimulus.order, strict=True)]
    left = [part - drift @ (drift.T @ part) for part, drift in zip(parts, nuisance, strict=True)]
    return _factor(left, largest=max(np.abs(part).max() for part in parts), nuisance=nuisance, family=family)


def _delays(run: Run, *, n_frames: int, frame_s: float) -> Floats:
    """Give the time from each frame's onset to each kept volume, (n_kept, n_frames)."""
    delays = run.sampling.times_s[:, None] - frame_s * np.arange(n_frames)[None, :]
    return np.asarray(np.round(delays, _TIME_DECIMALS), dtype=np.float64)


def _expand(delays: Floats, order: NDArray[np.int64], *, family: HrfFamily, times: Floats, n_unique: int) -> Floats:
    """Give each kept volume's response to each different frame, (n_kept, n_basis * n_unique)."""
    place = np.searchsorted(times, delays).clip(max=len(times) - 1)
    inside = times[place] == delays
    shown = order != BLANK_FRAME
    blocks = []
    for response in family.responses:
        weights = np.where(inside, response[place], 0.0)[:, shown]
        block = np.zeros((n_unique, len(delays)))
        np.add.at(block, order[shown], weights.T)
        blocks.append(block.T)
    return np.concatenate(blocks, axis=1)


def _factor(left: list[Floats], *, largest: float, nuisance: tuple[Floats, ...], family: HrfFamily) -> Convolution:
    basis, sizes, directions = np.linalg.svd(np.concatenate(left), full_matrices=False)
    kept = sizes > _ROUNDING * max(float(sizes[0]), largest)
    if not kept.any():
        raise ValueError("drifts and regressors explain every response, expected fewer of them or longer runs")
    stops = np.cumsum([len(part) for part in left])[:-1]
    return Convolution(sizes[kept, None] * directions[kept], tuple(np.split(basis[:, kept], stops)), nuisance, family)
