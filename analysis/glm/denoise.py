"""GLMdenoise on surfaces (Kay et al. 2013): all steps on arrays, every intermediate kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.glm.denoise_hrf import HrfEstimate, convolve, fir_design, optimize_response, peak_at_one
from analysis.glm.denoise_model import FactoredDesign, Floats, Nuisance, Scan, Series, SurfaceRuns, scan_runs
from analysis.glm.noise_components import (
    ComponentChoice,
    NoisePool,
    beyond_nuisance,
    choose_components,
    choose_pool,
    cross_validate,
    noise_components,
)
from analysis.glm.run_bootstraps import Draws, FinalFit, draw_runs, fit_draws


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
        Percent; see :func:`~analysis.glm.denoise_hrf.optimize_response`.
    hrf_without_noise : bool
        Ours, not published: with ``"optimize"``, find components with the seed first and fit the response to the data
        without them. Slow noise that all share otherwise leaks into the response, often without the guard noticing.
    brightness_percentile, brightness_fraction, pool_r2 : float
        See :func:`~analysis.glm.noise_components.choose_pool`.
    n_components : int
        Most components tried.
    r2_cutoff : float
    n_fallback : int
    stop : float
        See :func:`~analysis.glm.noise_components.choose_components`.
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
    onsets : sequence of float64 array, (lead + n_volumes, n_conditions)
        One a run: 1 at the volume of an event (:func:`~analysis.glm.denoise_hrf.onset_matrix`).
    nuisance : sequence of Nuisance
        One a run.
    response : float64 array, (n_lags,)
        The response at the volumes from an event on: assumed, or the seed of the estimate. For ``"fir"`` only its
        length counts.
    lead : int
        Rows of `onsets` before the first kept volume.
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
    lead: int = 0
    predicted: Sequence[Floats] | None = None
    merged: Sequence[int] | NDArray[np.int64] | None = None
    exclude: NDArray[np.bool_] | None = None
    run_groups: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if len(self.onsets) != len(self.nuisance):
            raise ValueError(f"onsets of {len(self.onsets)} runs beside nuisance columns of {len(self.nuisance)}")
        for run, (onsets, one) in enumerate(zip(self.onsets, self.nuisance, strict=True), start=1):
            if len(onsets) - self.lead != len(one.drifts):
                raise ValueError(f"run {run}: {len(onsets)} rows of onsets, {self.lead} of them before the first "
                                 f"volume, beside {len(one.drifts)} volumes")
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Denoised:
    """What GLMdenoise finds, step by step.

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
    final, before : FinalFit
        Responses with the chosen components and with none. With ``"fir"`` the rows are conditions by lags.
    condition_number : float
        Of the final design.
    not_cross_validated : tuple of int
        Conditions (of the final fit) whose group occurs in one run only; their share of that run is predicted as 0.
    absent : tuple of int
        Conditions that no run holds; their betas are NaN.
    n_lags : int
        Values a condition in `final`: 1 but for ``"fir"``.
    draws : Draws
    """

    scan: Scan
    hrf: HrfEstimate
    xval_r2: NDArray[np.float32]
    pool: NoisePool
    components: Sequence[Floats]
    choice: ComponentChoice
    final: FinalFit
    before: FinalFit
    condition_number: float
    not_cross_validated: tuple[int, ...]
    absent: tuple[int, ...]
    n_lags: int
    draws: Draws

    @property
    def n_components(self) -> int:
        """Components in the final fit."""
        return self.choice.n_components

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


def denoise(series: Sequence[Series], *, experiment: Experiment, options: DenoiseOptions | None = None,
            rng: np.random.Generator | None = None) -> Denoised:
    """Estimate responses with noise regressors found in the data.

    Parameters
    ----------
    series : sequence of (n_volumes, n_vertices)
        One a run, both hemispheres side by side, so that they share one response, noise pool and number of
        components. float32 in scanner units; anything with a shape that can be sliced, a memory map for example.
        It is read some eight times, block by block.
    experiment : Experiment
    options : DenoiseOptions, optional
    rng : Generator, optional
        For the bootstraps.

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
    runs = SurfaceRuns(series, options.block_vertices)
    if len(series) != len(experiment.onsets):
        raise ValueError(f"{len(series)} runs beside onsets of {len(experiment.onsets)}")
    if options.n_bootstraps and rng is None:
        raise ValueError("bootstraps without a random generator")
    scan = scan_runs(runs, nuisance=experiment.nuisance)
    hrf = _determine_response(runs, scan=scan, experiment=experiment, options=options)
    n_lags = len(experiment.response) if options.hrf == "fir" else 1
    final = FactoredDesign(_designs(experiment, hrf=hrf), experiment.nuisance, where="final design")
    merged = final if not experiment.is_merged else FactoredDesign(
        _designs(experiment, hrf=hrf, merge=True), experiment.nuisance, where="merged design")
    alone = _alone(merged, n_lags=n_lags)
    pool, components, xval_r2 = _components(runs, scan=scan, merged=merged, experiment=experiment, options=options)
    choice = _choose(xval_r2, options=options)
    directions = beyond_nuisance([one[:, :choice.n_components] for one in components], nuisance=experiment.nuisance)
    draws = draw_runs(len(series), n_draws=options.n_bootstraps, rng=rng, groups=experiment.run_groups)
    without = [one[:, :0] for one in directions]
    before = fit_draws(runs, scan=scan, factored=final, directions=without, draws=draws)
    after = before if not choice.n_components else fit_draws(runs, scan=scan, factored=final, directions=directions,
                                                             draws=draws)
    never = np.setdiff1d(np.arange(final.n_conditions), final.estimated)
    return Denoised(scan=scan, hrf=hrf, xval_r2=xval_r2, pool=pool, components=components, choice=choice, final=after,
                    before=before, condition_number=final.condition_number, n_lags=n_lags, draws=draws,
                    not_cross_validated=tuple(np.flatnonzero(np.isin(experiment.groups, alone)).tolist()),
                    absent=tuple(np.unique(never // n_lags).tolist()))


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
    return optimize_response(runs, scan=scan, onsets=experiment.merge(experiment.onsets), lead=experiment.lead,
                             nuisance=nuisance, seed=seed, n_vertices=options.n_hrf_vertices,
                             stop_r2=options.hrf_stop_r2, guard_r2=options.hrf_guard_r2)


def _with_noise(runs: SurfaceRuns, *, scan: Scan, experiment: Experiment, options: DenoiseOptions) -> list[Nuisance]:
    """Add the components that the seed finds and the rule chooses to the nuisance columns."""
    seeded = HrfEstimate(outcome="assumed", response=experiment.response, seed=experiment.response)
    merged = FactoredDesign(_designs(experiment, hrf=seeded, merge=True), experiment.nuisance, where="seed's design")
    _, components, xval_r2 = _components(runs, scan=scan, merged=merged, experiment=experiment, options=options)
    n = _choose(xval_r2, options=options).n_components
    return [Nuisance(one.drifts, np.hstack([one.beyond_drifts, columns[:, :n]]))
            for one, columns in zip(experiment.nuisance, components, strict=True)]


def _choose(xval_r2: NDArray[np.float32], *, options: DenoiseOptions) -> ComponentChoice:
    return choose_components(xval_r2, cutoff=options.r2_cutoff, n_fallback=options.n_fallback, stop=options.stop)


def _designs(experiment: Experiment, *, hrf: HrfEstimate, merge: bool = False) -> list[Floats]:
    """Predict all runs, one column a condition or, without a common response, one a condition and lag."""
    if hrf.outcome != "fir" and experiment.predicted is not None:
        return experiment.merge(experiment.predicted) if merge else list(experiment.predicted)
    onsets = experiment.merge(experiment.onsets) if merge else experiment.onsets
    made = [fir_design(one, n_lags=len(hrf.response)) if hrf.outcome == "fir" else convolve(one, hrf.response)
            for one in onsets]
    return [one[experiment.lead:] for one in made]


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
