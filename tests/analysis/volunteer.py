"""A volunteer's study as it comes from the scanner and fMRIPrep: events tables, and planted responses on a surface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from analysis.data.gifti import write_timeseries
from analysis.glm.design import Sampling, design_matrix, list_conditions
from paradigms.runlog import read_events
from stimuli.manifest import TYPES, Manifest, write_manifest
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.profile import base_images, register
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.store import write_json
from tests.analysis.simulation.test_bold import log_run, stimulus

CHANGES = {"stimuli": {"per_class": 2}, "glm": {"model": "ols"}}
SPELLED = "{key}_hemi-{hemi}_space-fsnative_bold"
N_VERTICES = 40


def make_volunteer(root: Path, *, sessions: tuple[str, ...] = ("01",), runs: int = 2, spelled: str = SPELLED,
                   changes: dict[str, Any] | None = None, n_vertices: int = N_VERTICES) -> tuple[Layout, Settings]:
    """Write the study: `runs` runs a session, both hemispheres, with fMRIPrep's names."""
    layout = init_study(Layout(root), name="volunteer", seed=3,
                        changes={**CHANGES, "main": {"runs": runs, "sessions": len(sessions)}, **(changes or {})})
    settings = load_settings(root)
    register(layout, "01")
    manifest = Manifest(tuple(stimulus(name, kind) for name in base_images(settings.stimuli) for kind in TYPES))
    write_manifest(layout.manifest, manifest)
    for ses in sessions:
        for run in range(1, runs + 1):
            log_run(layout, settings, manifest, sub="01", ses=ses, run=run)
            for hemi in "LR":
                put_bold(layout, RunKey("01", ses, "main", run), hemi=hemi, spelled=spelled, n_vertices=n_vertices)
    return layout, settings


def planted(layout: Layout, key: RunKey, *, hemi: str, n_vertices: int = N_VERTICES) -> np.ndarray:
    """Make time series of mean 1000 with a response of its own to every condition, noise 2."""
    events = read_events(layout.events(key))
    n = int(events.attrs["sidecar"]["n_volumes"])
    conditions = list_conditions({1: events}, session=key.ses)
    design = design_matrix(events, conditions=conditions, sampling=Sampling(n_volumes=n, tr_s=2.0))
    betas = 10 + 10 * np.random.default_rng([ord(hemi), int(key.ses)]).standard_normal((len(conditions), n_vertices))
    noise = np.random.default_rng([ord(hemi), int(key.ses), key.run]).standard_normal((n, n_vertices))
    return (1000 + design @ betas + 2 * noise).astype(np.float32)


def bold_path(layout: Layout, key: RunKey, *, hemi: str, spelled: str = SPELLED) -> Path:
    """Spell where a run's time series are."""
    name = spelled.format(key=key, hemi=hemi)
    return layout.derivatives("fmriprep") / "sub-01" / f"ses-{key.ses}" / "func" / f"{name}.func.gii"


def put_bold(layout: Layout, key: RunKey, *, hemi: str, spelled: str = SPELLED, n_vertices: int = N_VERTICES,
             change: Callable[[np.ndarray], np.ndarray] | None = None) -> Path:
    """Write a run's time series, changed if that is asked for."""
    data = planted(layout, key, hemi=hemi, n_vertices=n_vertices)
    path = bold_path(layout, key, hemi=hemi, spelled=spelled)
    write_timeseries(path, data if change is None else change(data), hemi=hemi, tr_s=2.0, overwrite=True)
    write_json(path.with_name(path.name.replace(".func.gii", ".json")), {"RepetitionTime": 2.0, "StartTime": 0.0},
               overwrite=True)
    return path
