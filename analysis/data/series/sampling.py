"""The step ``sample``: surface time series from preprocessed volumes, where fMRIPrep wrote no surface outputs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from analysis.data.files.finding import BidsName, find_anatomy, list_functional
from analysis.data.gifti import write_timeseries
from analysis.data.series.midway import open_volumes, read_meshes, repetition_time_s, sample_midway
from analysis.data.sources import HEMISPHERES, SAMPLED
from analysis.steps import Extras, Origin, Request, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.store import read_json

log = logging.getLogger(__name__)
SPACE = "T1w"
"""The space of volumes that the subject's own surfaces are in."""
TASKS = ("main", "retinotopy", "lo", "motion")
PIPELINE = "fmriprep"


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the surface time series of every logged run of each subject."""
    works = [work for sub in request.subjects for work in SubjectSampling(
        request.layout, sub, tr_s=request.settings.scanner.tr_s).works()]
    return tuple(works)


@dataclass(frozen=True)
class SubjectSampling:
    """What is sampled of one subject.

    Parameters
    ----------
    layout : Layout
    sub : str
    tr_s : float
        ``scanner.tr_s``, for volumes that name no repetition time.
    """

    layout: Layout
    sub: str
    tr_s: float

    @cached_property
    def volumes(self) -> tuple[BidsName, ...]:
        """Preprocessed volumes in the space of the surfaces."""
        return tuple(one for one in list_functional(self.layout.derivatives(PIPELINE), sub=self.sub)
                     if one.suffix == "bold" and one.extension in (".nii.gz", ".nii")
                     and one.entities.get("space") == SPACE and one.entities.get("desc", "preproc") == "preproc")

    def mesh(self, hemi: str, name: str) -> Path:
        """Find a hemisphere's ``"white"`` or ``"pial"`` surface.

        Raises
        ------
        AnalysisError
            If there is none.
        """
        found = find_anatomy([self.layout.derivatives(PIPELINE)], sub=self.sub, hemi=hemi, suffix=f"{name}.surf.gii")
        if found is None:
            raise AnalysisError(f"sub-{self.sub} hemi-{hemi}", came=f"no {name} surface in derivatives/{PIPELINE}",
                                expected=f"*_hemi-{hemi}_{name}.surf.gii, as fMRIPrep writes it",
                                remedy="Run fMRIPrep without --fs-no-reconall.")
        return found

    def works(self) -> tuple[Work, ...]:
        """Plan each run, of the paradigms that were preprocessed.

        Raises
        ------
        AnalysisError
            If a logged run of such a paradigm has no volumes, or several; or if there are no volumes at all.
        """
        logged = {task: self.layout.find_runs(self.sub, task) for task in TASKS}
        found = [task for task, keys in logged.items() if any(one.is_of(key) for one in self.volumes for key in keys)]
        for task in set(logged) - set(found):
            if logged[task] and found:
                log.warning("sub-%s: no run of task %s was preprocessed; none is sampled", self.sub, task)
        keys = [key for task in found or TASKS for key in logged[task]]
        return tuple(self._work_of(key, self.volumes_of(key)) for key in keys)

    def volumes_of(self, key: RunKey) -> Path:
        """Find the volumes of a run."""
        fit = [one.path for one in self.volumes if one.is_of(key)]
        if len(fit) != 1:
            came = ", ".join(path.name for path in fit) or "no preprocessed volumes"
            raise AnalysisError(str(key), came=came, expected=f"one *_space-{SPACE}_desc-preproc_bold.nii.gz",
                                remedy=f"Run fMRIPrep with --output-spaces {SPACE}, or better fsnative, which needs no "
                                       "sampling." if not fit else "Move the others elsewhere.")
        return fit[0]

    def output(self, key: RunKey, hemi: str) -> Path:
        """Spell where a hemisphere's series is written."""
        return self.layout.bold(SAMPLED, key=key, hemi=hemi, space="fsnative")

    def _work_of(self, key: RunKey, volumes: Path) -> Work:
        beside = {"timing": sidecar_path(volumes)} if sidecar_path(volumes).is_file() else {}

        def origin(path: Path) -> Origin:
            hemi = next(hemi for hemi in HEMISPHERES if path == self.output(key, hemi))
            return Origin({"volumes": volumes, "white": self.mesh(hemi, "white"), "pial": self.mesh(hemi, "pial"),
                           **beside}, {"scanner_tr_s": self.tr_s})

        return Work(name=str(key), sub=self.sub, outputs=tuple(self.output(key, hemi) for hemi in HEMISPHERES),
                    origin=origin, make=lambda progress: self._make(key, volumes, progress))

    def _make(self, key: RunKey, volumes: Path, progress: ProgressWrapper) -> Callable[[], Extras]:
        image = open_volumes(volumes)
        said = read_json(sidecar_path(volumes)) if sidecar_path(volumes).is_file() else {}
        tr_s = float(said.get("RepetitionTime") or repetition_time_s(image) or self.tr_s)
        found = {hemi: sample_midway(image, read_meshes(self.mesh(hemi, "white"), self.mesh(hemi, "pial"), hemi=hemi),
                                     where=f"{key} hemi-{hemi}")
                 for hemi in progress(HEMISPHERES, label=f"sampling {key}", total=len(HEMISPHERES))}
        told = {"RepetitionTime": tr_s, "StartTime": float(said.get("StartTime") or 0.0),
                "Sampling": "linear between voxels, midway between white and pial surface"}

        def write() -> Extras:
            describe_derivative(self.layout, SAMPLED)
            for hemi, data in found.items():
                write_timeseries(self.output(key, hemi), data, hemi=hemi, tr_s=tr_s, overwrite=True)
            return {self.output(key, hemi): told for hemi in found}

        return write
