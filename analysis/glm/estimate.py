"""Betas of a subject: events and surface time series in, percent signal change by condition out."""

from __future__ import annotations

from analysis.data.events.foreign import open_foreign
from analysis.glm.denoising.session import plan_denoising
from analysis.glm.linear.session import plan_linear
from analysis.glm.subject_runs import SubjectRuns, count_discarded
from analysis.jobs import at_once
from analysis.steps import Request, Work
from subjects.profile import base_images


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the betas of each subject, and before them what is made of each session."""
    return tuple(work for sub in request.subjects for work in _plan_subject(request, sub))


def open_runs(request: Request, sub: str) -> SubjectRuns:
    """Name a subject's runs of the main experiment, and how they are to be fitted."""
    chosen = request.settings
    return SubjectRuns(layout=request.layout, sub=sub, pipeline=chosen.analysis.bold, space=chosen.analysis.space,
                       settings=chosen.glm, tr_s=chosen.scanner.tr_s, base_images=base_images(chosen.stimuli),
                       planned=(chosen.main.sessions, chosen.main.runs), accept=chosen.analysis.accept,
                       foreign=open_foreign(request.layout, chosen.analysis),
                       n_discarded=count_discarded(chosen.main.discard_s, tr_s=chosen.scanner.tr_s))


def _plan_subject(request: Request, sub: str) -> tuple[Work, ...]:
    each = at_once(max(1, request.n_jobs // len(request.subjects)))
    runs = open_runs(request, sub)
    if request.settings.glm.model == "glmdenoise":
        return plan_denoising(runs, seed=request.settings.study.seed, each=each)
    return plan_linear(runs, each=each)
