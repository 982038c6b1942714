"""Where a subject's data come from: the pipeline, its surfaces, its files."""

from __future__ import annotations

import logging
from pathlib import Path

from analysis.data.surface import Surface, load_surface
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.settings.study import Settings

log = logging.getLogger(__name__)

SOURCES = ("fmriprep", "simulated")
"""The pipelines that are known, by their folder under ``derivatives/``."""


def surface_paths(layout: Layout, *, source: str, sub: str, hemi: str) -> dict[str, Path]:
    """Spell the paths of a subject's midway and flat meshes.

    Parameters
    ----------
    layout : Layout
    source : str
        Pipeline that the time series come from: ``"simulated"`` or ``"fmriprep"``.
    sub, hemi : str

    Returns
    -------
    dict of str to Path
        ``"midthickness"`` and ``"flat"``.
    """
    return {name: anatomy_path(layout, source=source, sub=sub, hemi=hemi, suffix=f"{name}.surf.gii")
            for name in ("midthickness", "flat")}


def anatomy_path(layout: Layout, *, source: str, sub: str, hemi: str, suffix: str) -> Path:
    """Spell the path of one anatomical file: ``derivatives/<source>/sub-XX/anat/sub-XX_hemi-X_<suffix>``."""
    path = layout.derivative(source, sub=sub, hemi=hemi, suffix=suffix)
    return path.parent / "anat" / path.name


def load_subject_surface(layout: Layout, *, source: str, sub: str, hemi: str) -> Surface:
    """Read one hemisphere of a subject; see :func:`surface_paths` and :func:`load_surface`."""
    paths = surface_paths(layout, source=source, sub=sub, hemi=hemi)
    return load_surface(paths["midthickness"], flat_path=paths["flat"], hemi=hemi)


def choose_source(layout: Layout, settings: Settings, *, sub: str) -> str:
    """Choose the pipeline whose time series are analysed, and say which.

    Parameters
    ----------
    layout : Layout
    settings : Settings
        ``analysis.bold``: a pipeline, or ``"auto"`` for the only one that has time series of this subject.
    sub : str

    Returns
    -------
    {"fmriprep", "simulated"}

    Raises
    ------
    AnalysisError
        For ``"auto"`` when both pipelines or none have time series; otherwise when the named one has none.
    """
    present = [name for name in SOURCES
               if any(layout.derivatives(name).glob(f"sub-{sub}/ses-*/func/*_bold.func.gii"))]
    wanted = settings.analysis.bold
    if wanted == "auto" and len(present) == 1:
        log.info("sub-%s: time series of %s, the only ones there", sub, present[0])
        return present[0]
    if wanted in present:
        return wanted
    came = f"surface time series from {' and '.join(present)}" if present else "no surface time series"
    if present:
        remedy = "Set analysis.bold in study.toml to the one to analyse."
    else:
        remedy = "Run the preprocessing (or `python -m analysis simulate`) first."
    raise AnalysisError(f"derivatives of sub-{sub}", came=came, remedy=remedy,
                        expected="those of one pipeline" if wanted == "auto" else f"those of {wanted}")
