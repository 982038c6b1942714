"""Steps of the analysis as the tests ask for them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.data.sources import resolve_subject
from analysis.glm.combining import betas_paths
from analysis.regions.patterns import RoiPatterns, load_roi_patterns
from analysis.running import run_step
from analysis.statistics.results import read_results
from analysis.steps import Done, Request
from stimuli.manifest import read_manifest
from subjects.layout import Layout
from subjects.settings.study import Settings


def ask(layout: Layout, settings: Settings, *subjects: str, **asked: Any) -> Request:
    """Ask something of a study, by default about subject 01."""
    return Request(layout=layout, settings=settings, subjects=subjects or ("01",), **asked)


def run(name: str, layout: Layout, settings: Settings, *subjects: str, **asked: Any) -> Done:
    """Run a step."""
    return run_step(name, ask(layout, settings, *subjects, **asked))


def table_of(name: str, layout: Layout, settings: Settings, *, work: str = "sub-01", **asked: Any) -> pd.DataFrame:
    """Run a step and read one of its tables."""
    works = run(name, layout, settings, **asked).works
    return read_results(next(one for one in works if one.name == work).outputs[0])


def patterns_of(layout: Layout, settings: Settings, sub: str = "01") -> dict[str, RoiPatterns]:
    """Load one subject's patterns."""
    return load_roi_patterns(resolve_subject(layout, sub=sub), betas_paths(layout, sub=sub), settings=settings.roi,
                             manifest=read_manifest(layout.manifest), measure=settings.rsa.dissimilarity)
