"""GLMdenoise as a step: each session's noise model, each hemisphere's responses, and the betas that they give.

What was made stays, file by file, so that a fit that was cut off goes on where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.data.gifti import write_label_map, write_maps
from analysis.data.sources import HEMISPHERES
from analysis.data.timeseries import Run
from analysis.glm.combining import (
    betas_origin,
    betas_paths,
    check_betas,
    combine_sessions,
    vertices_left_out,
    write_betas,
)
from analysis.glm.denoising.bootstraps import draw_runs
from analysis.glm.denoising.denoise import NoiseModel, Responses, find_noise, fit_responses
from analysis.glm.denoising.experiment import DenoiseOptions, Experiment
from analysis.glm.denoising.files import (
    PortionNoise,
    PortionResponses,
    load_noise,
    load_responses,
    require_noise,
    require_responses,
    save_noise,
    save_responses,
)
from analysis.glm.denoising.given import Units, make_experiment
from analysis.glm.denoising.model import SideBySide
from analysis.glm.denoising.own_runs import estimate_each_run
from analysis.glm.linear.maps import SubjectMaps
from analysis.glm.portions import Portion, say_missing
from analysis.glm.subject_runs import SubjectRuns, fit_entities, join_sessions, joint_origin, kept_series
from analysis.jobs import Each
from analysis.steps import Origin, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.provenance import rng
from subjects.run_key import RunKey

log = logging.getLogger(__name__)

Write = Callable[[], dict[Path, dict[str, Any]]]
BLOCK_VERTICES = 1024
NOISE_SETTINGS = ("model", "hrf", "hrf_fit", "drift_minutes", "partition", "noise_components",
                  "min_brightness", "confounds")
ALL_SETTINGS = (*NOISE_SETTINGS, "run_bootstraps")


def plan_denoising(runs: SubjectRuns, *, seed: int, each: Each) -> tuple[Work, ...]:
    """Plan a subject's betas by GLMdenoise.

    Parameters
    ----------
    runs : SubjectRuns
    seed : int
        The study's.
    each : Each
        How runs are read and blocks of vertices gone through.

    Returns
    -------
    tuple of Work
        A session's noise model and its two hemispheres' responses, session by session; then the betas, and maps.
    """
    sessions = tuple(dict.fromkeys(key.ses for key in runs.layout.find_runs(runs.sub, "main")))
    steps = [SessionDenoising(runs, sessions=group, seed=seed, each=each)
             for group in join_sessions(sessions, joint=runs.settings.sessions == "joint")]
    works = [*(work for one in steps for work in one.works()), DenoisedBetas(runs, steps, seed=seed).work()]
    if runs.settings.hrf_fit != "fir":
        works.append(SubjectMaps(runs, fits={hemi: [one.responses_path(hemi) for one in steps] for hemi in HEMISPHERES},
                                 read=partial(load_responses, own_runs=True)).work())
    return tuple(works)


@dataclass(frozen=True)
class SessionDenoising:
    """What GLMdenoise makes of one session, or of all together.

    Parameters
    ----------
    runs : SubjectRuns
    sessions : tuple of str
        Those that are estimated together.
    seed : int
    each : Each
    """

    runs: SubjectRuns
    sessions: tuple[str, ...]
    seed: int
    each: Each

    @property
    def noise_path(self) -> Path:
        """The file of its noise model."""
        return self._path("denoise.h5")

    def responses_path(self, hemi: str) -> Path:
        """Spell the path of a hemisphere's responses."""
        return self._path("responses.h5", hemi=hemi)

    def map_paths(self, hemi: str) -> dict[str, Path]:
        """Spell the paths of a hemisphere's maps for other programs."""
        return {"maps_digest": self._path("desc-denoise_maps.func.gii", hemi=hemi),
                "pool_digest": self._path("desc-noisepool_dseg.label.gii", hemi=hemi)}

    def _path(self, suffix: str, *, hemi: str | None = None) -> Path:
        return self.runs.layout.derivative("glm", sub=self.runs.sub, hemi=hemi, suffix=suffix,
                                           **fit_entities(self.sessions))

    @property
    def ses(self) -> str:
        """The session, or the sessions."""
        return "+".join(self.sessions)

    @property
    def name(self) -> str:
        """The session, for people."""
        return f"sub-{self.runs.sub} ses-{self.ses}"

    def works(self) -> tuple[Work, ...]:
        """Plan the noise model, then each hemisphere's responses."""
        first = Work(name=f"{self.name} noise model", sub=self.runs.sub, outputs=(self.noise_path,),
                     origin=lambda _: self._origin(HEMISPHERES, NOISE_SETTINGS), make=self._learn, intermediate=True,
                     chain=f"sub-{self.runs.sub}", check=lambda: require_noise(self.noise_path), tell=self.tell)
        return (first, *(self._work_of(hemi) for hemi in HEMISPHERES))

    def _work_of(self, hemi: str) -> Work:
        path = self.responses_path(hemi)
        return Work(name=f"{self.name} hemi-{hemi} responses", sub=self.runs.sub, outputs=(path,), intermediate=True,
                    origin=lambda _: self._origin((hemi,), ALL_SETTINGS, noise=self.noise_path),
                    make=lambda progress: self._respond(hemi, progress), companions=self.map_paths(hemi),
                    chain=f"sub-{self.runs.sub}", check=lambda: require_responses(path))

    def _origin(self, hemispheres: Sequence[str], names: Sequence[str], **inputs: Path) -> Origin:
        chosen = self.runs.settings.model_dump(mode="json", include=set(names))
        return Origin({**inputs, **self.runs.inputs(sessions=self.sessions, hemispheres=hemispheres)},
                      {"source": self.runs.data.source, "tr_s": self.runs.tr_s, "n_discarded": self.runs.n_discarded,
                       **chosen, **joint_origin(self.sessions),
                       **({"study_seed": self.seed} if "run_bootstraps" in names else {})})

    @property
    def options(self) -> DenoiseOptions:
        """What the settings ask for."""
        chosen = self.runs.settings
        return DenoiseOptions(hrf=chosen.hrf_fit, n_components=chosen.noise_components, block_vertices=BLOCK_VERTICES,
                              n_bootstraps=chosen.run_bootstraps)

    def _given(self, portion: Portion, scans: Mapping[RunKey, Run]) -> tuple[Experiment, Units]:
        samplings = {key: self.runs.sampling(scans[key]) for key in portion.events}
        extras = {key: self.runs.nuisance(key, n_volumes=one.n_volumes) for key, one in samplings.items()}
        return make_experiment(portion, samplings=samplings, drift_minutes=self.runs.settings.drift_minutes,
                               hrf_fit=self.runs.settings.hrf_fit, shape=self.runs.settings.hrf, extras=extras)

    def _learn(self, progress: ProgressWrapper) -> Write:
        scans = {hemi: self.runs.scans(self.sessions, hemi, each=self.each, progress=progress) for hemi in HEMISPHERES}
        portions = self.runs.portions(self.sessions)
        found = []
        for portion in progress(portions, label=f"noise model {self.name}", total=len(portions)):
            with told(portion):
                experiment, units = self._given(portion, scans[HEMISPHERES[0]])
                parts = [kept_series(portion, scans[hemi], n_discarded=self.runs.n_discarded) for hemi in HEMISPHERES]
                noise = find_noise([SideBySide(both) for both in zip(*parts, strict=True)], experiment=experiment,
                                   options=self.options, each=self.each)
            sizes = [part[0].shape[1] for part in parts]
            found.append(_as_record(portion, noise, units=units, is_merged=experiment.is_merged, sizes=sizes))
            for remark in found[-1].remarks():
                log.warning("%s: %s", f"sub-{self.runs.sub} {portion.where}", remark)

        def write() -> dict[Path, dict[str, Any]]:
            describe_derivative(self.runs.layout, "glm")
            save_noise(self.noise_path, found, overwrite=True)
            return {self.noise_path: {"Denoising": {one.name: summary(one) for one in found}}}

        return write

    def tell(self) -> str:
        """Say what was found, in a line."""
        said = []
        for one in load_noise(self.noise_path):
            which = f"{one.name}, " if one.name != "all runs" else ""
            said.append(f"{which}{one.n_components} noise components, response {one.hrf.outcome}")
        return f"{self.name}: {'; '.join(said)}"

    def _respond(self, hemi: str, progress: ProgressWrapper) -> Write:
        scans = self.runs.scans(self.sessions, hemi, each=self.each, progress=progress)
        noise = {one.name: one for one in load_noise(self.noise_path)}
        found = []
        portions = self.runs.portions(self.sessions)
        for portion in progress(portions, label=f"responses {self.name} {hemi}", total=len(noise)):
            learnt = noise[portion.name]
            chosen = [columns[:, :learnt.n_components] for columns in learnt.components.values()]
            draws = draw_runs(len(chosen), n_draws=self.options.n_bootstraps, groups=portion.run_sessions,
                              rng=rng(self.seed, self.runs.sub, self.ses, portion.name, "run bootstraps"))
            with told(portion):
                experiment, _ = self._given(portion, scans)
                fit = fit_responses(kept_series(portion, scans, n_discarded=self.runs.n_discarded), draws=draws,
                                    experiment=experiment, hrf=learnt.hrf, components=chosen, each=self.each,
                                    block_vertices=BLOCK_VERTICES)
                own, remarks = estimate_each_run(
                    kept_series(portion, scans, n_discarded=self.runs.n_discarded), portion=portion, each=self.each,
                    experiment=experiment, hrf=learnt.hrf, components=chosen, mean_signal=fit.scan.mean_signal)
            for remark in remarks:
                log.warning("%s: %s", self.name, remark)
            n_volumes = sum(len(one.drifts) for one in experiment.nuisance)
            found.append(replace(_as_responses(portion, fit, peak_lag=int(np.argmax(learnt.hrf.seed)),
                                               n_volumes=n_volumes), own=own))
        return lambda: self._write(hemi, found, noise)

    def _write(self, hemi: str, found: Sequence[PortionResponses],
               noise: Mapping[str, PortionNoise]) -> dict[Path, dict[str, Any]]:
        describe_derivative(self.runs.layout, "glm")
        path, maps = self.responses_path(hemi), self.map_paths(hemi)
        save_responses(path, found, hemi=hemi, overwrite=True)
        write_maps(maps["maps_digest"], make_maps(found, noise, hemi=hemi), hemi=hemi, overwrite=True)
        write_label_map(maps["pool_digest"], {one.name: one.pool[hemi].astype(np.int32) for one in noise.values()},
                        names={1: "noise pool"}, hemi=hemi, overwrite=True)
        return {path: {"Unit": "percent signal change", "StandardError": "half the 16 to 84 % range of the bootstraps",
                       "ConditionNumbers": {one.name: round(one.condition_number, 3) for one in found},
                       "VerticesLeftOut": self.runs.left_out_of(hemi, sessions=self.sessions),
                       "EventsInData": self.runs.event_scores.get(hemi, {})}}


@dataclass(frozen=True)
class DenoisedBetas:
    """One subject's betas from the responses of all sessions.

    Parameters
    ----------
    runs : SubjectRuns
    sessions : sequence of SessionDenoising
    seed : int
    """

    runs: SubjectRuns
    sessions: Sequence[SessionDenoising]
    seed: int

    @cached_property
    def paths(self) -> dict[str, Path]:
        """Hemisphere to file of betas."""
        return betas_paths(self.runs.layout, sub=self.runs.sub)

    def work(self) -> Work:
        """Plan them."""
        name = f"sub-{self.runs.sub}"
        return Work(name=name, sub=self.runs.sub, outputs=tuple(self.paths.values()), foreign=True, chain=name,
                    make=self.make, check=lambda: check_betas(self.paths, sub=self.runs.sub),
                    origin=lambda path: betas_origin(self.runs, path, names=ALL_SETTINGS, study_seed=self.seed))

    def make(self, _: ProgressWrapper) -> Write:
        """Join the sessions' responses; give what then saves them."""
        self.runs.release()
        made = {hemi: self._join(hemi) for hemi in HEMISPHERES}

        def write() -> dict[Path, dict[str, Any]]:
            said = {f"{one.ses}, {portion.name}": summary(portion)
                    for one in self.sessions for portion in load_noise(one.noise_path)}
            return {self.paths[hemi]: write_betas(self.paths[hemi], betas, sub=self.runs.sub,
                                                  inputs=self.runs.inputs(sessions=self.runs.sessions,
                                                                          hemispheres=(hemi,)), said={
                "HRF": "sampled once a TR; the response to an event of its planned duration peaks at 1",
                "Denoising": said, "ConditionNumbers": numbers,
                "VerticesLeftOut": vertices_left_out(one.responses_path(hemi) for one in self.sessions),
                **self.runs.missing_runs})
                for hemi, (betas, numbers) in made.items()}

        return write

    def _join(self, hemi: str) -> tuple[Any, dict[str, float]]:
        found = [(one.ses, part) for one in self.sessions for part in load_responses(one.responses_path(hemi))]
        parts = [part for _, part in found]
        betas = combine_sessions(parts, [part.conditions for part in parts], hemi=hemi,
                                 base_images=self.runs.base_images)
        return betas, {f"{ses}, {part.name}": round(part.condition_number, 3) for ses, part in found}


@contextmanager
def told(portion: Portion) -> Iterator[None]:
    """Tell the analyst what the core refuses, and what else there is."""
    try:
        yield
    except ValueError as error:
        raise AnalysisError(portion.where, came=str(error), expected="runs that GLMdenoise can be fitted to and "
                            "cross-validated on", remedy='Correct them, or set glm.model = "ols".') from error


def _as_record(portion: Portion, noise: NoiseModel, *, units: Units, is_merged: bool,
               sizes: Sequence[int]) -> PortionNoise:
    edges = np.cumsum([0, *sizes])
    halves = {hemi: slice(low, high) for hemi, low, high in zip(HEMISPHERES, edges[:-1], edges[1:], strict=True)}
    lone = portion.conditions.iloc[list(noise.not_cross_validated)]
    return PortionNoise(
        name=portion.name, hrf=noise.hrf, times_s=units.times_s, n_components=noise.n_components,
        curve=noise.choice.curve, is_fallback=noise.choice.is_fallback, in_parts=portion.in_parts,
        missing=say_missing(portion.missing),
        components=dict(zip(portion.runs, noise.components, strict=True)), is_merged=is_merged,
        not_cross_validated=tuple(f"{row.type} {row.base_image} {row.presentation}".strip()
                                  for row in lone.itertuples()),
        n_conditions=len(portion.conditions), threshold=noise.pool.threshold,
        pool={hemi: noise.pool.mask[half] for hemi, half in halves.items()},
        curve_vertices={hemi: noise.choice.vertices[half] for hemi, half in halves.items()},
        xval_r2={hemi: noise.xval_r2[:, half] for hemi, half in halves.items()})


def _as_responses(portion: Portion, fit: Responses, *, peak_lag: int, n_volumes: int) -> PortionResponses:
    """Keep the responses; of time courses, the value at the peak of the canonical response is the beta."""
    n, lags = len(portion.conditions), fit.n_lags
    courses, errors = (one.reshape(n, lags, -1) for one in (fit.percent, fit.percent_errors))
    lag = peak_lag if lags > 1 else 0
    return PortionResponses(
        name=portion.name, conditions=portion.conditions, percent=courses[:, lag], errors=errors[:, lag],
        courses=courses if lags > 1 else None, snr_before=fit.snr_before, snr_after=fit.snr_after,
        mean_signal=fit.scan.mean_signal, ss_total=fit.scan.ss_total, ss_residual=fit.final.ss_residual,
        n_volumes=n_volumes, condition_number=fit.condition_number)


def make_maps(found: Sequence[PortionResponses], noise: Mapping[str, PortionNoise], *,
              hemi: str) -> dict[str, NDArray[np.float32]]:
    """Name the maps of a hemisphere: R2 and signal over noise, before and after, of each portion."""
    maps: dict[str, NDArray[np.float32]] = {}
    for one in found:
        learnt = noise[one.name]
        tail = "" if one.name == "all runs" else f" ({one.name})"
        total = np.where(one.ss_total > 0, one.ss_total, np.nan)
        maps |= {f"R2 of the fit in percent{tail}": (100 - 100 * one.ss_residual / total).astype(np.float32),
                 f"cross-validated R2 in percent, no components{tail}": learnt.xval_r2[hemi][0],
                 f"cross-validated R2 in percent, chosen components{tail}": learnt.xval_r2[hemi][learnt.n_components],
                 f"signal over noise, no components{tail}": one.snr_before,
                 f"signal over noise, chosen components{tail}": one.snr_after}
    return maps


def summary(one: PortionNoise) -> dict[str, Any]:
    """Give what a sidecar says of the denoising of some runs."""
    return {"Components": one.n_components, "Response": one.hrf.outcome,
            "ResponseR2": round(one.hrf.r2_seed, 2) if np.isfinite(one.hrf.r2_seed) else None,
            "NoisePool": one.n_pool, "Curve": [round(float(value), 4) for value in one.curve],
            "Remarks": list(one.remarks())}
