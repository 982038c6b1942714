"""What GLMdenoise is given beside the data: its options, and what was shown in the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.glm.denoising.hrf_estimate import HrfEstimate, Rows, convolve, fir_design
from analysis.glm.denoising.model import Floats, Nuisance


@dataclass(frozen=True, kw_only=True)
class DenoiseOptions:
    """The published choices of GLMdenoise and their defaults.

    Parameters
    ----------
    hrf : {"optimize", "assume", "fir"}
        Fit one response to the best vertices; take it as given; or estimate a time course a condition and vertex.
    n_hrf_vertices : int
        Vertices of highest R2 that the response is fitted to.
    hrf_stop_r2, hrf_guard_r2 : float
        Percent; see :func:`~analysis.glm.denoising.hrf_estimate.optimize_response`.
    hrf_without_noise : bool
        Ours, not published: with ``"optimize"``, find components with the seed first and fit the response to the data
        without them. Slow noise that all share otherwise leaks into the response, often without the guard noticing.
    brightness_percentile, brightness_fraction, pool_r2 : float
        See :func:`~analysis.glm.denoising.components.choose_pool`.
    n_components : int
        Most components tried.
    r2_cutoff : float
    n_fallback : int
    stop : float
        See :func:`~analysis.glm.denoising.components.choose_components`.
    n_bootstraps : int
        Bootstraps over runs of the final fit; 0 for one fit without standard errors.
    block_vertices : int
        Vertices widened to float64 at once. It alters results by rounding only.
    """

    hrf: Literal["optimize", "assume", "fir"] = "optimize"
    n_hrf_vertices: int = 50
    hrf_stop_r2: float = 99.0
    hrf_guard_r2: float = 50.0
    hrf_without_noise: bool = False
    brightness_percentile: float = 99.0
    brightness_fraction: float = 0.5
    pool_r2: float = 0.0
    n_components: int = 20
    r2_cutoff: float = 0.0
    n_fallback: int = 100
    stop: float = 1.05
    n_bootstraps: int = 100
    block_vertices: int = 1024

    def __post_init__(self) -> None:
        if self.hrf not in ("optimize", "assume", "fir"):
            raise ValueError(f"HRF {self.hrf!r}; expected 'optimize', 'assume' or 'fir'")
        for name, least in (("n_hrf_vertices", 1), ("n_components", 0), ("n_fallback", 1), ("n_bootstraps", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} of {getattr(self, name)}; expected at least {least}")
        if self.hrf_without_noise and self.hrf != "optimize":
            raise ValueError(f"hrf_without_noise with HRF {self.hrf!r}; only 'optimize' fits a response")
        if not 0 <= self.brightness_percentile <= 100:
            raise ValueError(f"brightness_percentile of {self.brightness_percentile:g}; expected 0 to 100")
        if not self.stop >= 1:
            raise ValueError(f"stop of {self.stop:g}; expected at least 1")


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """What was shown in the runs of a fit, and what is of no interest in them.

    Parameters
    ----------
    onsets : sequence of float64 array, (n_rows, n_conditions)
        One a run: 1 at the volume of an event (:func:`~analysis.glm.denoising.hrf_estimate.onset_matrix`).
    nuisance : sequence of Nuisance
        One a run.
    response : float64 array, (n_lags,)
        The response at the volumes from an event on: assumed, or the seed of the estimate. For ``"fir"`` only its
        length counts.
    kept : sequence of slice or int64 array, optional
        The rows of each run's `onsets` that are volumes of its series; by default all. Others are volumes that were
        discarded, or stand between two parts of a run.
    predicted : sequence of float64 array, (n_volumes, n_conditions), optional
        With ``hrf="assume"``: exact time courses in place of onsets convolved with `response`
        (:func:`~analysis.glm.design.design_matrix`).
    merged : sequence of int, optional
        Group of each condition. Every step before the final fit works on the groups' sums, so that conditions
        which do not repeat across runs can be cross-validated as one; the final fit keeps them apart.
    exclude : bool array, (n_vertices,), optional
        Vertices never taken into the noise pool.
    run_groups : sequence of int, optional
        Group of each run for the bootstraps (runs of different conditions).

    Raises
    ------
    ValueError
        If numbers of runs, volumes or conditions do not fit one another.
    """

    onsets: Sequence[Floats]
    nuisance: Sequence[Nuisance]
    response: Floats
    kept: Sequence[Rows] | None = None
    predicted: Sequence[Floats] | None = None
    merged: Sequence[int] | NDArray[np.int64] | None = None
    exclude: NDArray[np.bool_] | None = None
    run_groups: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if len(self.onsets) != len(self.nuisance):
            raise ValueError(f"onsets of {len(self.onsets)} runs beside nuisance columns of {len(self.nuisance)}")
        for run, (onsets, rows, one) in enumerate(zip(self.onsets, self.rows, self.nuisance, strict=True), start=1):
            if len(onsets[rows]) != len(one.drifts):
                raise ValueError(f"run {run}: {len(onsets)} rows of onsets, {len(onsets[rows])} of them kept, beside "
                                 f"{len(one.drifts)} volumes")
        shapes = {onsets.shape[1] for onsets in self.onsets}
        if len(shapes) != 1:
            raise ValueError(f"runs of {' and '.join(map(str, sorted(shapes)))} conditions")
        if self.merged is not None and len(self.merged) != self.n_conditions:
            raise ValueError(f"groups of {len(self.merged)} conditions beside {self.n_conditions}")
        if self.predicted is not None and ([one.shape for one in self.predicted]
                                           != [(len(one.drifts), self.n_conditions) for one in self.nuisance]):
            raise ValueError("predicted time courses of another shape than the onsets")

    @property
    def n_conditions(self) -> int:
        """Conditions of the final fit."""
        return int(self.onsets[0].shape[1])

    @property
    def groups(self) -> NDArray[np.int64]:
        """Group of each condition, from 0 without gaps."""
        labels = np.arange(self.n_conditions) if self.merged is None else np.asarray(self.merged)
        return np.unique(labels, return_inverse=True)[1]

    @property
    def is_merged(self) -> bool:
        """Whether any two conditions are one before the final fit."""
        return int(self.groups.max()) + 1 < self.n_conditions

    def merge(self, designs: Sequence[Floats]) -> list[Floats]:
        """Sum the columns of each group."""
        together = np.eye(int(self.groups.max()) + 1)[self.groups]
        return [design @ together for design in designs]

    @property
    def rows(self) -> Sequence[Rows]:
        """The rows of each run's onsets that are volumes of its series."""
        return [slice(None)] * len(self.onsets) if self.kept is None else self.kept

    def designs(self, hrf: HrfEstimate, *, merge: bool = False) -> list[Floats]:
        """Predict all runs, one column a condition or, without a common response, one a condition and lag.

        Parameters
        ----------
        hrf : HrfEstimate
        merge : bool
            One column (or set of lags) a group of conditions.
        """
        if hrf.outcome != "fir" and self.predicted is not None:
            return self.merge(self.predicted) if merge else list(self.predicted)
        made = [fir_design(one, n_lags=len(hrf.response)) if hrf.outcome == "fir" else convolve(one, hrf.response)
                for one in (self.merge(self.onsets) if merge else self.onsets)]
        return [one[rows] for one, rows in zip(made, self.rows, strict=True)]
