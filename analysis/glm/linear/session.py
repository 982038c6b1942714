"""Least squares and AR(1) as steps: each session's fit by hemisphere, the betas, contrasts and maps.

What was made stays, file by file, so that a fit that was cut off goes on where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis.data.sources import HEMISPHERES
from analysis.glm.betas import Betas
from analysis.glm.combining import (
    betas_origin,
    betas_paths,
    check_betas,
    combine_sessions,
    vertices_left_out,
    write_betas,
)
from analysis.glm.linear.files import PortionFit, load_fits, require_fits, save_fits
from analysis.glm.linear.fit import fit_portion
from analysis.glm.linear.maps import SubjectMaps
from analysis.glm.portions import say_missing
from analysis.glm.subject_runs import SubjectRuns, fit_entities, join_sessions, joint_origin
from analysis.jobs import Each
from analysis.steps import Origin, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative

log = logging.getLogger(__name__)

Write = Callable[[], dict[Path, dict[str, Any]]]
SETTINGS = ("model", "hrf", "basis", "drift_minutes", "partition", "min_brightness", "confounds")
SAYS = {"canonical": "SPM double gamma", "glmdenoise": "GLMdenoise's canonical response",
        "single": "an event of its planned duration peaks at 1",
        "derivative": "an event of its planned duration peaks at 1; derivative in time beside it",
        "dispersion": "an event of its planned duration peaks at 1; derivatives in time and in dispersion beside it",
        "fir": "one value a lag, the beta is the one at the peak of the canonical response"}


def plan_linear(runs: SubjectRuns, *, each: Each) -> tuple[Work, ...]:
    """Plan a subject's betas by least squares, under white or AR(1) noise.

    Parameters
    ----------
    runs : SubjectRuns
    each : Each
        How runs are read and blocks of vertices gone through.

    Returns
    -------
    tuple of Work
        Each session's fits by hemisphere; the betas; maps and contrasts.
    """
    sessions = tuple(dict.fromkeys(key.ses for key in runs.layout.find_runs(runs.sub, "main")))
    fits = [SessionFits(runs, sessions=group, each=each)
            for group in join_sessions(sessions, joint=runs.settings.sessions == "joint")]
    maps = SubjectMaps(runs, fits={hemi: [one.path(hemi) for one in fits] for hemi in HEMISPHERES})
    return (*(work for one in fits for work in one.works()), LinearBetas(runs, fits).work(), maps.work())


@dataclass(frozen=True)
class SessionFits:
    """The fits of one session, or of all together.

    Parameters
    ----------
    runs : SubjectRuns
    sessions : tuple of str
        Those that are estimated together.
    each : Each
    """

    runs: SubjectRuns
    sessions: tuple[str, ...]
    each: Each

    def path(self, hemi: str) -> Path:
        """Spell the path of a hemisphere's fit."""
        return self.runs.layout.derivative("glm", sub=self.runs.sub, hemi=hemi, suffix="fit.h5",
                                           **fit_entities(self.sessions))

    @property
    def name(self) -> str:
        """The session, for people."""
        return f"sub-{self.runs.sub} ses-{'+'.join(self.sessions)}"

    def works(self) -> tuple[Work, ...]:
        """Plan each hemisphere's fit."""
        return tuple(self._work_of(hemi) for hemi in HEMISPHERES)

    def _work_of(self, hemi: str) -> Work:
        path = self.path(hemi)
        return Work(name=f"{self.name} hemi-{hemi} fit", sub=self.runs.sub, outputs=(path,), intermediate=True,
                    origin=lambda _: self._origin(hemi), make=lambda progress: self._fit(hemi, progress),
                    chain=f"sub-{self.runs.sub}", check=lambda: require_fits(path))

    def _origin(self, hemi: str) -> Origin:
        chosen = self.runs.settings.model_dump(mode="json", include=set(SETTINGS))
        return Origin(self.runs.inputs(sessions=self.sessions, hemispheres=(hemi,)),
                      {"source": self.runs.data.source, "tr_s": self.runs.tr_s,
                       "n_discarded": self.runs.n_discarded, **chosen, **joint_origin(self.sessions)})

    def _fit(self, hemi: str, progress: ProgressWrapper) -> Write:
        scans = self.runs.scans(self.sessions, hemi, each=self.each, progress=progress)
        portions, found, said = self.runs.portions(self.sessions), list[PortionFit](), list[str]()
        for portion in progress(portions, label=f"GLM {self.name} {hemi}", total=len(portions)):
            if portion.missing:
                said.append(f"{portion.name}: {say_missing(portion.missing)}")
            samplings = {key: self.runs.sampling(scans[key]) for key in portion.events}
            extras = {key: self.runs.nuisance(key, n_volumes=one.n_volumes) for key, one in samplings.items()}
            fit, remarks = fit_portion(portion, scans, settings=self.runs.settings, each=self.each,
                                       samplings=samplings, extras=extras)
            found.append(fit)
            said += remarks
        for remark in said:
            log.warning("%s: %s", self.name, remark)

        def write() -> dict[Path, dict[str, Any]]:
            describe_derivative(self.runs.layout, "glm")
            save_fits(self.path(hemi), found, hemi=hemi, overwrite=True)
            return {self.path(hemi): {"Unit": "percent signal change", "Remarks": said,
                                      "VerticesLeftOut": self.runs.left_out_of(hemi, sessions=self.sessions),
                                      "EventsInData": self.runs.event_scores.get(hemi, {})}}

        return write


@dataclass(frozen=True)
class LinearBetas:
    """One subject's betas from the fits of all sessions.

    Parameters
    ----------
    runs : SubjectRuns
    fits : sequence of SessionFits
    """

    runs: SubjectRuns
    fits: Sequence[SessionFits]

    @cached_property
    def paths(self) -> dict[str, Path]:
        """Hemisphere to file of betas."""
        return betas_paths(self.runs.layout, sub=self.runs.sub)

    def work(self) -> Work:
        """Plan them."""
        name = f"sub-{self.runs.sub}"
        return Work(name=name, sub=self.runs.sub, outputs=tuple(self.paths.values()), foreign=True, chain=name,
                    make=self.make, check=lambda: check_betas(self.paths, sub=self.runs.sub),
                    origin=lambda path: betas_origin(self.runs, path, names=SETTINGS))

    def make(self, _: ProgressWrapper) -> Write:
        """Join the sessions' fits; give what then saves them."""
        self.runs.release()
        settings = self.runs.settings
        gaps = {one.where: say_missing(one.missing) for group in self.runs.groups
                for one in self.runs.portions(group) if one.missing}
        said = {"HRF": f"{SAYS[settings.hrf]}, {SAYS[settings.basis]}",
                **({"MissingConditions": gaps} if gaps else {}), **self.runs.missing_runs}
        made = {hemi: self._join(hemi) for hemi in HEMISPHERES}

        def write() -> dict[Path, dict[str, Any]]:
            return {self.paths[hemi]: write_betas(
                self.paths[hemi], betas, sub=self.runs.sub,
                inputs=self.runs.inputs(sessions=self.runs.sessions, hemispheres=(hemi,)),
                said={**said, "ConditionNumbers": numbers,
                      "VerticesLeftOut": vertices_left_out(one.path(hemi) for one in self.fits)})
                    for hemi, (betas, numbers) in made.items()}

        return write

    def _join(self, hemi: str) -> tuple[Betas, dict[str, float]]:
        found = [(one, part) for one in self.fits for part in load_fits(one.path(hemi), own_runs=False)]
        parts = [part for _, part in found]
        betas = combine_sessions(parts, [part.conditions for part in parts], hemi=hemi,
                                 base_images=self.runs.base_images)
        names = ["+".join(one.sessions) + ("" if part.name == "all runs" else f", {part.name}") for one, part in found]
        return betas, {name: round(part.condition_number, 3) for name, part in zip(names, parts, strict=True)}
