"""Betas of a subject: events and surface time series in, percent signal change by condition out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.data.sources import HEMISPHERES
from analysis.glm.betas import Betas
from analysis.glm.combining import betas_origin, betas_paths, check_betas, combine_sessions, write_betas
from analysis.glm.denoising.session import plan_denoising
from analysis.glm.design import Sampling, design_matrix, drift_degree, polynomials
from analysis.glm.ols import Model, fit_session
from analysis.glm.portions import Portion, say_missing
from analysis.glm.subject_runs import SubjectRuns, count_discarded
from analysis.jobs import at_once
from analysis.steps import Origin, Request, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.profile import base_images
from subjects.run_key import RunKey

Fit = tuple[Betas, dict[str, float]]
log = logging.getLogger(__name__)


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the betas of each subject, and before them what GLMdenoise makes of each session."""
    return tuple(work for sub in request.subjects for work in _plan_subject(request, sub))


def _plan_subject(request: Request, sub: str) -> tuple[Work, ...]:
    chosen = request.settings
    runs = SubjectRuns(layout=request.layout, sub=sub, pipeline=chosen.analysis.bold,
                       space=chosen.analysis.space, settings=chosen.glm, tr_s=chosen.scanner.tr_s,
                       planned=(chosen.main.sessions, chosen.main.runs), accept=chosen.analysis.accept,
                       base_images=base_images(chosen.stimuli),
                       n_discarded=count_discarded(chosen.main.discard_s, tr_s=chosen.scanner.tr_s))
    n_threads = max(1, request.n_jobs // len(request.subjects))
    if chosen.glm.model == "ols":
        return (SubjectFit(runs).work(),)
    return plan_denoising(runs, seed=chosen.study.seed, each=at_once(n_threads))


@dataclass(frozen=True)
class SubjectFit:
    """The betas of one subject by least squares.

    Parameters
    ----------
    runs : SubjectRuns
    """

    runs: SubjectRuns

    def work(self) -> Work:
        """Plan them: both hemispheres are computed before either file is replaced."""
        paths = betas_paths(self.runs.layout, sub=self.runs.sub)
        return Work(name=f"sub-{self.runs.sub}", sub=self.runs.sub, outputs=tuple(paths.values()), origin=self.origin,
                    make=self.make, check=lambda: check_betas(paths, sub=self.runs.sub), foreign=True)

    def origin(self, path: Path) -> Origin:
        """Say what a file of betas is made from."""
        return betas_origin(self.runs, path, names=("model", "hrf", "drift_minutes", "partition", "min_brightness"))

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Fit both hemispheres; give what then saves them."""
        gaps = {one.where: say_missing(one.missing) for ses in self.runs.sessions for one in self.runs.portions(ses)
                if one.missing}
        for where, gap in gaps.items():
            log.warning("sub-%s %s: %s", self.runs.sub, where, gap)
        fits = {hemi: fit_hemisphere(self.runs, hemi=hemi)
                for hemi in progress(HEMISPHERES, label=f"GLM sub-{self.runs.sub}", total=len(HEMISPHERES))}
        paths = betas_paths(self.runs.layout, sub=self.runs.sub)
        describe_derivative(self.runs.layout, "glm")
        said = {"HRF": "SPM double gamma, an event of its planned duration peaks at 1",
                **({"MissingConditions": gaps} if gaps else {}), **self.runs.missing_runs}
        return lambda: {paths[hemi]: write_betas(paths[hemi], betas, sub=self.runs.sub,
                                                 said={**said, "ConditionNumbers": numbers,
                                                       "VerticesLeftOut": self.runs.left_out_of(hemi)})
                        for hemi, (betas, numbers) in fits.items()}


def fit_hemisphere(runs: SubjectRuns, *, hemi: str) -> Fit:
    """Fit one hemisphere by least squares, session by session.

    Parameters
    ----------
    runs : SubjectRuns
    hemi : {"L", "R"}

    Returns
    -------
    betas : Betas
    condition_numbers : dict of str to float
        Session (or half of one) to condition number of its design.

    Raises
    ------
    AnalysisError
        If pulses and volumes disagree, or a session's conditions cannot be estimated.
    """
    tables, fits, numbers = [], [], {}
    for portion in (one for ses in runs.sessions for one in runs.portions(ses)):
        read = {key: runs.read(key, hemi=hemi) for key in portion.events}
        runs.silence(read, where=f"sub-{runs.sub} {portion.where} hemi-{hemi}")
        samplings = {key: runs.sampling(one) for key, one in read.items()}
        model = build_model(portion, samplings=samplings, drift_minutes=runs.settings.drift_minutes)
        kept = (one.data[samplings[key].n_discarded:] for key, one in read.items())
        fits.append(fit_session(kept, model=model, block_vertices=runs.settings.block_vertices))
        tables.append(portion.conditions)
        numbers[portion.where.removeprefix("ses-")] = round(model.condition_number, 3)
    return combine_sessions(fits, tables, hemi=hemi, base_images=runs.base_images), numbers


def build_model(portion: Portion, *, samplings: Mapping[RunKey, Sampling], drift_minutes: float) -> Model:
    """Make a model from the events of some runs; each part of a run has drifts of its own, as a scan has.

    Parameters
    ----------
    portion : Portion
    samplings : mapping of RunKey to Sampling
        Of every part.
    drift_minutes : float
        Minutes a degree of the drift polynomials.
    """
    designs = [design_matrix(table, conditions=portion.conditions, sampling=samplings[key])
               for key, table in portion.events.items()]
    drifts = [polynomials(len(design), degree=drift_degree(samplings[key], drift_minutes=drift_minutes))
              for key, design in zip(portion.events, designs, strict=True)]
    return Model(designs, drifts, portion.where)
