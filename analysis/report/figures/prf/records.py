"""What a report tells of population receptive fields, where a study has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.gifti import read_gifti
from analysis.data.sources import anatomy_path
from analysis.regions.prf.maps import load_maps
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.prf.maps import PrfHemisphere
from analysis.running import Digests, is_whole
from analysis.steps import STEPS, Request, Work
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.settings.analysis import PrfSettings
from subjects.store import read_table


@dataclass(frozen=True, eq=False)
class PrfRecord:
    """The receptive fields of one subject.

    Parameters
    ----------
    table : DataFrame
        :data:`~analysis.regions.prf.maps.TABLE_COLUMNS`.
    hemispheres : tuple of PrfHemisphere
    settings : PrfSettings
        Those that they were fitted with.
    """

    table: pd.DataFrame
    hemispheres: tuple[PrfHemisphere, ...]
    settings: PrfSettings

    @property
    def has_inflated(self) -> bool:
        """Whether there are inflated surfaces of both hemispheres."""
        return all(one.inflated is not None for one in self.hemispheres)


def plan_prf(request: Request) -> dict[str, Work]:
    """Give the receptive fields that the subjects have, by subject; there need not be any.

    Raises
    ------
    AnalysisError
        If those of a subject are of other files or settings than the study's: they are shown as they should be, or not
        at all.
    """
    have = tuple(sub for sub in request.subjects
                 if request.layout.derivative("prf", sub=sub, suffix="prf.tsv").is_file())
    if not have:
        return {}
    asked = Request(layout=request.layout, settings=request.settings, subjects=have)
    works, digests = {work.sub or "": work for work in STEPS["prf"].plan(asked)}, Digests(verify=True)
    for sub, work in works.items():
        if not is_whole(work, digests=digests):
            raise AnalysisError(str(work.outputs[0]), came="receptive fields of other files or settings, or changed",
                                expected="those of the study's current files and settings",
                                remedy=f"Run `{request.command('prf', sub=sub)}`, or remove them.")
    return works


def read_prf(work: Work, *, layout: Layout, source: str, flat: tuple[FlatHemisphere, ...],
             settings: PrfSettings) -> PrfRecord:
    """Read a subject's receptive fields and, where there are any, its inflated surfaces.

    Parameters
    ----------
    work : Work
        Of the step ``prf``.
    layout : Layout
    source : str
        Pipeline of the meshes.
    flat : tuple of FlatHemisphere
        Left and right.
    settings : PrfSettings
    """
    table, *files = work.outputs
    found = []
    for path, one in zip(files, flat, strict=True):
        mesh = anatomy_path(layout, source=source, sub=work.sub or "", hemi=one.hemi, suffix="inflated.surf.gii")
        points, faces = _inflated(mesh)
        found.append(PrfHemisphere(flat=one, maps=load_maps(path), show_r2_pct=settings.show_r2_pct, inflated=points,
                                   faces=faces))
    return PrfRecord(read_table(table, text_columns=("sub",)), tuple(found), settings)


def _inflated(path: Path) -> tuple[NDArray[np.float64] | None, NDArray[np.int64] | None]:
    if not path.is_file():
        return None, None
    points, faces = read_gifti(path, expected="an inflated surface").agg_data(("pointset", "triangle"))
    return np.asarray(points, dtype=np.float64), np.asarray(faces, dtype=np.int64)
