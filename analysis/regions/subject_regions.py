"""One subject's regions as the later steps take them: from which files, and which vertices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from analysis.data.sources import SubjectData, require_whole, resolve_subject
from analysis.glm.combining import betas_paths, missing_runs_of
from analysis.regions.patterns import ASKED_BY, RoiPatterns, brain_inputs, load_roi_patterns
from analysis.steps import Request
from stimuli.manifest import read_manifest
from subjects.layout import Layout
from subjects.settings.analysis import RoiSettings


@dataclass(frozen=True, kw_only=True)
class SubjectRegions:
    """Where a subject's responses by region come from.

    Parameters
    ----------
    layout : Layout
    sub : str
    pipeline : str
        ``analysis.bold``.
    space : str
        ``analysis.space``.
    roi : RoiSettings
        How vertices are chosen.
    dissimilarity : str
        ``rsa.dissimilarity``, by which they are chosen.
    seed : int
        The study's.
    """

    layout: Layout
    sub: str
    pipeline: str
    space: str
    roi: RoiSettings
    dissimilarity: str
    seed: int

    @cached_property
    def data(self) -> SubjectData:
        """The subject's files."""
        return require_whole(resolve_subject(self.layout, sub=self.sub, pipeline=self.pipeline, space=self.space))

    @property
    def betas(self) -> dict[str, Path]:
        """Each hemisphere's betas."""
        return betas_paths(self.layout, sub=self.sub)

    def inputs(self) -> dict[str, Path | str]:
        """List the files that responses and their choice are made from."""
        return {**brain_inputs(self.data, self.betas, settings=self.roi), "manifest": self.layout.manifest}

    def load(self, *, asked_by: str = ASKED_BY) -> dict[str, RoiPatterns]:
        """Choose and gather the responses, region by region; see :func:`~.patterns.load_roi_patterns`."""
        return load_roi_patterns(self.data, self.betas, settings=self.roi, manifest=read_manifest(self.layout.manifest),
                                 measure=self.dissimilarity, asked_by=asked_by)

    def missing_runs(self) -> dict[str, str]:
        """Say which planned runs are in none of them; see :func:`~analysis.glm.combining.missing_runs_of`."""
        return missing_runs_of(self.betas.values())


def regions_of(request: Request) -> tuple[SubjectRegions, ...]:
    """Give the regions of each subject that is asked for, by the study's settings."""
    chosen = request.settings
    return tuple(SubjectRegions(layout=request.layout, sub=sub, pipeline=chosen.analysis.bold,
                                space=chosen.analysis.space, roi=chosen.roi, dissimilarity=chosen.rsa.dissimilarity,
                                seed=chosen.study.seed) for sub in request.subjects)
