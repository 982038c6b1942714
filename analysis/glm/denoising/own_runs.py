"""What every run gives by itself after denoising: the repeats for a noise ceiling, and contrasts tested over runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.glm.denoising.components import beyond_nuisance
from analysis.glm.denoising.experiment import Experiment
from analysis.glm.denoising.hrf_estimate import HrfEstimate
from analysis.glm.linear.contrasts import ContrastMap
from analysis.glm.linear.own_runs import average_variances, fit_each_run
from analysis.glm.ols import Floats
from analysis.glm.portions import Portion
from analysis.jobs import Each, one_by_one


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnRuns:
    """The responses of single runs, drifts and noise components taken out of each.

    Parameters
    ----------
    names : tuple of str
        Such as ``"ses-01_run-1"``.
    percent : float32 array, (n_runs, n_conditions, n_vertices)
        In percent of the mean over all these runs; NaN where a run does not hold a condition.
    image_variance, repeat_variance : float64 array, (n_vertices,)
        See :func:`~analysis.glm.linear.contrasts.repeat_variances`, averaged over sessions.
    """

    names: tuple[str, ...]
    percent: NDArray[np.float32]
    image_variance: Floats
    repeat_variance: Floats

    @property
    def shown(self) -> NDArray[np.int64]:
        """Runs that hold each condition, (n_conditions,)."""
        return np.asarray(self._held.sum(axis=0), dtype=np.int64)

    @property
    def _held(self) -> NDArray[np.bool_]:
        """Whether a run holds a condition, (n_runs, n_conditions)."""
        return np.asarray(np.isfinite(self.percent).any(axis=2), dtype=np.bool_)

    def contrast(self, weights: Floats) -> ContrastMap:
        """Test a contrast over runs: the mean of what it is in every run, and its standard error by their spread.

        A run that lacks some conditions of a side takes those that it holds; one that lacks a whole side is left out.

        Parameters
        ----------
        weights : float64 array, (n_conditions,)

        Returns
        -------
        ContrastMap
            With as many degrees of freedom as runs but one. Unlike residuals of one fit, runs are independent, whatever
            was taken out of each.
        """
        found = [row @ np.nan_to_num(one, nan=0.0) + np.where(np.isfinite(one).any(axis=0), 0.0, np.nan)
                 for one, there in zip(self.percent, self._held, strict=True)
                 if (row := _restricted(weights, there)) is not None]
        n = len(found)
        if n < 2:
            nothing = np.full(self.percent.shape[2], np.nan)
            return ContrastMap(effect=nothing, error=nothing.copy(), n_df=0)
        values = np.stack(found)
        return ContrastMap(effect=values.mean(axis=0), error=values.std(axis=0, ddof=1) / np.sqrt(n), n_df=n - 1)


def _restricted(weights: Floats, held: NDArray[np.bool_]) -> Floats | None:
    """Take the weights of the conditions that a run holds, each side's sum as it was; None if a side is not held."""
    kept = np.zeros_like(weights)
    for side in (weights > 0, weights < 0):
        if side.any():
            mine = side & held
            if not mine.any():
                return None
            kept[mine] = weights[mine] * weights[side].sum() / weights[mine].sum()
    return kept


def estimate_each_run(series: Sequence[NDArray[np.float32]], *, portion: Portion, experiment: Experiment,
                      hrf: HrfEstimate, components: Sequence[Floats], mean_signal: Floats,
                      each: Each = one_by_one) -> tuple[OwnRuns | None, tuple[str, ...]]:
    """Fit every run alone, with the response and the noise components that were found in all.

    Parameters
    ----------
    series : sequence of float32 array, (n_volumes, n_vertices)
        One a run.
    portion : Portion
    experiment : Experiment
    hrf : HrfEstimate
    components : sequence of float64 array, (n_volumes, n_components)
        Those chosen, of each run.
    mean_signal : float64 array, (n_vertices,)
    each : Each

    Returns
    -------
    OwnRuns or None
        None where a time course was estimated a condition.
    remarks : tuple of str
        Which runs could not be fitted alone.
    """
    if hrf.outcome == "fir":
        return None, ()
    keys = [next(iter(parts)) for parts in portion.runs.values()]
    names = tuple(f"ses-{key.ses}_run-{key.run}" for key in keys)
    beside = beyond_nuisance(components, nuisance=experiment.nuisance)
    taken_out = [np.hstack([one.basis, columns]) for one, columns in zip(experiment.nuisance, beside, strict=True)]
    own, remarks = fit_each_run(series, designs=experiment.designs(hrf), drifts=taken_out, names=names, each=each)
    own *= np.divide(100.0, mean_signal, out=np.full_like(mean_signal, np.nan),
                     where=mean_signal > 0).astype(np.float32)
    total, noise = average_variances(own, sessions=[key.ses for key in keys], conditions=portion.conditions)
    return OwnRuns(names=names, percent=own, image_variance=total, repeat_variance=noise), remarks
