"""GLMdenoise on surfaces (Kay et al. 2013): all steps on arrays, every intermediate kept.

:func:`denoise` does everything. :func:`find_noise` and :func:`fit_responses` are its two halves: what is learnt from
all vertices together (the response, the noise pool and its components, how many of them help), and the final fit,
which needs no more than that and can be done mesh by mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.glm.denoising.bootstraps import Draws, FinalFit, draw_runs, fit_draws
from analysis.glm.denoising.components import (
    ComponentChoice,
    NoisePool,
    beyond_nuisance,
    choose_components,
    choose_pool,
    cross_validate,
    noise_components,
)
from analysis.glm.denoising.experiment import DenoiseOptions, Experiment
from analysis.glm.denoising.hrf_estimate import HrfEstimate, optimize_response, peak_at_one
from analysis.glm.denoising.model import FactoredDesign, Floats, Nuisance, Scan, Series, SurfaceRuns, scan_runs
from analysis.jobs import Each, one_by_one


@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseModel:
    """What is learnt from all vertices before the final fit.

    Parameters
    ----------
    scan : Scan
        Mean signal and sums of squares.
    hrf : HrfEstimate
        The response and what became of its estimate.
    xval_r2 : float32 array, (n_tried + 1, n_vertices)
        Cross-validated R2 in percent with 0 to n_tried components; NaN without signal.
    pool : NoisePool
    components : sequence of float64 array, (n_volumes, n_tried)
        Components of each run, standard deviation 1.
    choice : ComponentChoice
    not_cross_validated : tuple of int
        Conditions (of the final fit) whose group occurs in one run only; their share of that run is predicted as 0.
    """

    scan: Scan
    hrf: HrfEstimate
    xval_r2: NDArray[np.float32]
    pool: NoisePool
    components: Sequence[Floats]
    choice: ComponentChoice
    not_cross_validated: tuple[int, ...]

    @property
    def n_components(self) -> int:
        """Components in the final fit."""
        return self.choice.n_components

    @property
    def chosen(self) -> list[Floats]:
        """The components that enter the final fit, (n_volumes, n_components) a run."""
        return [one[:, :self.n_components] for one in self.components]


@dataclass(frozen=True, kw_only=True, eq=False)
class Responses:
    """The final fit.

    Parameters
    ----------
    scan : Scan
        Of the vertices that were fitted.
    final, before : FinalFit
        Responses with the chosen components and with none. With ``"fir"`` the rows are conditions by lags.
    condition_number : float
        Of the final design.
    absent : tuple of int
        Conditions that no run holds; their betas are NaN.
    n_lags : int
        Values a condition in `final`: 1 but for ``"fir"``.
    draws : Draws
    """

    scan: Scan
    final: FinalFit
    before: FinalFit
    condition_number: float
    absent: tuple[int, ...]
    n_lags: int
    draws: Draws

    @property
    def percent(self) -> NDArray[np.float32]:
        """Betas in percent of the mean, ``100 beta / |mean|``, (n_conditions, n_vertices); NaN without signal."""
        return self._to_percent(self.final.betas)

    @property
    def percent_errors(self) -> NDArray[np.float32]:
        """Standard errors of :attr:`percent`."""
        return self._to_percent(self.final.standard_errors)

    @property
    def r2(self) -> NDArray[np.float32]:
        """Share of variance that the final betas explain, drifts removed (not cross-validated); NaN without signal."""
        total = np.where(self.scan.ss_total > 0, self.scan.ss_total, np.nan)
        return (1.0 - self.final.ss_residual / total).astype(np.float32)

    @property
    def snr_before(self) -> NDArray[np.float32]:
        """Signal over noise without components, (n_vertices,).

        As published, the signal is the mean of the largest absolute betas with and without components, so that
        before and after differ by their standard errors alone; NaN without bootstraps or signal.
        """
        return self._snr(self.before)

    @property
    def snr_after(self) -> NDArray[np.float32]:
        """Signal over noise with the chosen components; see :attr:`snr_before`."""
        return self._snr(self.final)

    def _to_percent(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        mean = np.where((self.scan.ss_total > 0) & (self.scan.mean_signal != 0), self.scan.mean_signal, np.nan)
        return (values / np.abs(mean) * 100.0).astype(np.float32)

    def _snr(self, fit: FinalFit) -> NDArray[np.float32]:
        noise = np.where(fit.noise > 0, fit.noise, np.nan)
        return ((self.before.signal + self.final.signal) / 2 / noise).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Denoised(Responses):
    """What GLMdenoise finds, step by step; see :class:`NoiseModel` and :class:`Responses`."""

    noise: NoiseModel

    @property
    def hrf(self) -> HrfEstimate:
        """The response and what became of its estimate."""
        return self.noise.hrf

    @property
    def xval_r2(self) -> NDArray[np.float32]:
        """Cross-validated R2 in percent with 0 to n_tried components, (n_tried + 1, n_vertices)."""
        return self.noise.xval_r2

    @property
    def pool(self) -> NoisePool:
        """The noise pool."""
        return self.noise.pool

    @property
    def components(self) -> Sequence[Floats]:
        """Components of each run."""
        return self.noise.components

    @property
    def choice(self) -> ComponentChoice:
        """How many components, and why."""
        return self.noise.choice

    @property
    def n_components(self) -> int:
        """Components in the final fit."""
        return self.noise.n_components

    @property
    def not_cross_validated(self) -> tuple[int, ...]:
        """Conditions whose group occurs in one run only."""
        return self.noise.not_cross_validated


def denoise(series: Sequence[Series], *, experiment: Experiment, options: DenoiseOptions | None = None,
            rng: np.random.Generator | None = None, each: Each = one_by_one) -> Denoised:
    """Estimate responses with noise regressors found in the data.

    Parameters
    ----------
    series : sequence of (n_volumes, n_vertices)
        One a run, both hemispheres side by side, so that they share one response, noise pool and number of
        components (:class:`~analysis.glm.denoising.model.SideBySide`). float32 in scanner units; anything with a shape
        that can be sliced, a memory map for example. It is read some eight times, block by block.
    experiment : Experiment
    options : DenoiseOptions, optional
    rng : Generator, optional
        For the bootstraps.
    each : Each
        How blocks of vertices are gone through (:mod:`analysis.jobs`).

    Returns
    -------
    Denoised

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, conditions cannot be told apart, or none repeats across runs.

    References
    ----------
    Kay, Rokem, Winawer, Dougherty, Wandell (2013): GLMdenoise: a fast, automated technique for denoising
    task-based fMRI data. Frontiers in Neuroscience 7:247.
    """
    options = options or DenoiseOptions()
    if options.n_bootstraps and rng is None:
        raise ValueError("bootstraps without a random generator")
    noise = find_noise(series, experiment=experiment, options=options, each=each)
    draws = draw_runs(len(series), n_draws=options.n_bootstraps, rng=rng, groups=experiment.run_groups)
    fit = fit_responses(series, experiment=experiment, hrf=noise.hrf, components=noise.chosen, draws=draws,
                        block_vertices=options.block_vertices, each=each, scan=noise.scan)
    return Denoised(**vars(fit), noise=noise)


def find_noise(series: Sequence[Series], *, experiment: Experiment, options: DenoiseOptions,
               each: Each = one_by_one) -> NoiseModel:
    """Learn the response, the noise components and how many of them help; see :func:`denoise`."""
    runs = SurfaceRuns(series, options.block_vertices, each)
    if len(series) != len(experiment.onsets):
        raise ValueError(f"{len(series)} runs beside onsets of {len(experiment.onsets)}")
    scan = scan_runs(runs, nuisance=experiment.nuisance)
    hrf = _determine_response(runs, scan=scan, experiment=experiment, options=options)
    merged = FactoredDesign(experiment.designs(hrf, merge=True), experiment.nuisance,
                            where="merged design" if experiment.is_merged else "final design")
    alone = _alone(merged, n_lags=len(experiment.response) if options.hrf == "fir" else 1)
    pool, components, xval_r2 = _components(runs, scan=scan, merged=merged, experiment=experiment, options=options)
    return NoiseModel(scan=scan, hrf=hrf, xval_r2=xval_r2, pool=pool, components=components,
                      choice=_choose(xval_r2, options=options),
                      not_cross_validated=tuple(np.flatnonzero(np.isin(experiment.groups, alone)).tolist()))


def fit_responses(series: Sequence[Series], *, experiment: Experiment, hrf: HrfEstimate, components: Sequence[Floats],
                  draws: Draws, block_vertices: int = 1024, each: Each = one_by_one,
                  scan: Scan | None = None) -> Responses:
    """Fit the responses with and without noise components, all conditions apart.

    Parameters
    ----------
    series : sequence of (n_volumes, n_vertices)
        One a run; all vertices or some of those that the components were found in.
    experiment : Experiment
    hrf : HrfEstimate
    components : sequence of float64 array, (n_volumes, n_components)
        Those chosen, of each run.
    draws : Draws
        See :func:`~analysis.glm.denoising.bootstraps.draw_runs`.
    block_vertices : int
    each : Each
    scan : Scan, optional
        Of these very vertices, where it is at hand.

    Returns
    -------
    Responses

    Raises
    ------
    ValueError
        As :func:`denoise`.
    """
    runs = SurfaceRuns(series, block_vertices, each)
    scan = scan or scan_runs(runs, nuisance=experiment.nuisance)
    factored = FactoredDesign(experiment.designs(hrf), experiment.nuisance, where="final design")
    directions = beyond_nuisance(components, nuisance=experiment.nuisance)
    without = [one[:, :0] for one in directions]
    before = fit_draws(runs, scan=scan, factored=factored, directions=without, draws=draws)
    after = before if not components[0].shape[1] else fit_draws(runs, scan=scan, factored=factored,
                                                                directions=directions, draws=draws)
    n_lags = len(hrf.response) if hrf.outcome == "fir" else 1
    never = np.setdiff1d(np.arange(factored.n_conditions), factored.estimated)
    return Responses(scan=scan, final=after, before=before, condition_number=factored.condition_number, n_lags=n_lags,
                     absent=tuple(np.unique(never // n_lags).tolist()), draws=draws)


def _determine_response(runs: SurfaceRuns, *, scan: Scan, experiment: Experiment,
                        options: DenoiseOptions) -> HrfEstimate:
    if options.hrf == "fir":
        return HrfEstimate(outcome="fir", response=experiment.response, seed=experiment.response)
    seed = peak_at_one(experiment.response)
    if options.hrf == "assume":
        return HrfEstimate(outcome="assumed", response=seed, seed=seed)
    if experiment.predicted is not None:
        raise ValueError("predicted time courses with hrf='optimize'; they leave no response to estimate")
    nuisance = experiment.nuisance
    if options.hrf_without_noise:
        nuisance = _with_noise(runs, scan=scan, experiment=experiment, options=options)
        scan = scan_runs(runs, nuisance=nuisance)
    return optimize_response(runs, scan=scan, onsets=experiment.merge(experiment.onsets), kept=experiment.rows,
                             nuisance=nuisance, seed=seed, n_vertices=options.n_hrf_vertices,
                             stop_r2=options.hrf_stop_r2, guard_r2=options.hrf_guard_r2)


def _with_noise(runs: SurfaceRuns, *, scan: Scan, experiment: Experiment, options: DenoiseOptions) -> list[Nuisance]:
    """Add the components that the seed finds and the rule chooses to the nuisance columns."""
    seeded = HrfEstimate(outcome="assumed", response=experiment.response, seed=experiment.response)
    merged = FactoredDesign(experiment.designs(seeded, merge=True), experiment.nuisance, where="seed's design")
    _, components, xval_r2 = _components(runs, scan=scan, merged=merged, experiment=experiment, options=options)
    n = _choose(xval_r2, options=options).n_components
    return [Nuisance(one.drifts, np.hstack([one.beyond_drifts, columns[:, :n]]))
            for one, columns in zip(experiment.nuisance, components, strict=True)]


def _choose(xval_r2: NDArray[np.float32], *, options: DenoiseOptions) -> ComponentChoice:
    return choose_components(xval_r2, cutoff=options.r2_cutoff, n_fallback=options.n_fallback, stop=options.stop)


def _alone(merged: FactoredDesign, *, n_lags: int) -> NDArray[np.int64]:
    """Find the groups that one run alone holds; refuse a design in which all are."""
    single = merged.estimated[merged.occurs.sum(axis=0) == 1]
    if len(single) == len(merged.estimated):
        raise ValueError("no condition occurs in two runs; nothing can be cross-validated. Merge conditions that do "
                         "not repeat")
    return np.unique(single // n_lags)


def _components(runs: SurfaceRuns, *, scan: Scan, merged: FactoredDesign, experiment: Experiment,
                options: DenoiseOptions) -> tuple[NoisePool, list[Floats], NDArray[np.float32]]:
    """Find the noise pool, its components, and the cross-validated R2 with each number of them."""
    without = cross_validate(runs, scan=scan, factored=merged)
    pool = choose_pool(scan.mean_signal, r2=without[0], percentile=options.brightness_percentile,
                       fraction=options.brightness_fraction, r2_below=options.pool_r2, exclude=experiment.exclude)
    components = noise_components(runs, scan=scan, nuisance=experiment.nuisance, pool=pool.mask,
                                  n_components=0 if pool.is_empty else options.n_components)
    if not components[0].shape[1]:
        return pool, components, without
    directions = beyond_nuisance(components, nuisance=experiment.nuisance)
    return pool, components, cross_validate(runs, scan=scan, factored=merged, directions=directions)
