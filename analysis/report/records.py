"""Everything that a report tells of, gathered from a study's files and checked to be there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.sources import choose_source, load_subject_surface
from analysis.encoding.run import encoding_origin
from analysis.glm.betas import load_betas
from analysis.glm.estimate import require_current_fit
from analysis.regions.labels import ROIS, labels_path, read_labels
from analysis.report.figures.flatmap import FlatHemisphere
from analysis.rsa.rdm import RDM, load_rdms
from analysis.rsa.run import brain_origin, network_origin
from analysis.statistics.results import read_results
from analysis.steps import (
    require_betas,
    require_current,
    require_features,
    require_file,
    require_manifest,
    require_runs,
)
from paradigms.runlog import is_complete, of_kind, read_events, read_journal
from stimuli.manifest import Manifest, read_manifest
from subjects.cli import ProgressWrapper, silent
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.study import Settings
from subjects.store import read_json

HEMISPHERES = ("L", "R")


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One logged run.

    Parameters
    ----------
    key : RunKey
    events : DataFrame
        As :func:`paradigms.runlog.read_events` gives them.
    scanner, display : str
        What pulses and images went through; a dash where there is no journal beside the events.
    """

    key: RunKey
    events: pd.DataFrame
    scanner: str = "–"
    display: str = "–"

    @property
    def images(self) -> pd.DataFrame:
        """The trials that showed an image."""
        return self.events[self.events["trial_type"] != "blank"]

    @property
    def onset_errors_s(self) -> NDArray[np.float64]:
        """Actual minus planned onset of each image."""
        shown = self.images
        return (shown["onset"] - shown["onset_planned"]).to_numpy(dtype=np.float64)


@dataclass(frozen=True, eq=False)
class ExcerptRecord:
    """Some trials played at real pace in a real window, with key events sent to it.

    Parameters
    ----------
    onset_errors_s : float64 array, (n_images,)
        Actual minus planned onset.
    n_planned : int
        Images that should have been shown.
    logged, sent : mapping of str to int
        ``"pulses"`` and ``"presses"``: how many the journal holds, and how many were sent.
    """

    sub: str
    onset_errors_s: NDArray[np.float64]
    n_planned: int
    logged: Mapping[str, int]
    sent: Mapping[str, int]


@dataclass(frozen=True)
class GlmRecord:
    """How the model fitted one hemisphere.

    Parameters
    ----------
    conditions : mapping of str to int
        Session to number of conditions.
    r2 : mapping of str to float
        ``"all"`` and each region to the median share of variance explained.
    """

    sub: str
    hemi: str
    n_vertices: int
    n_silent: int
    conditions: Mapping[str, int]
    r2: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class SubjectRecords:
    """All of one subject; `null` for a virtual one who was made to respond to every image alike."""

    sub: str
    source: str
    null: bool
    runs: tuple[RunRecord, ...]
    excerpts: tuple[ExcerptRecord, ...]
    glm: tuple[GlmRecord, ...]
    flat: tuple[FlatHemisphere, ...]
    rsa: pd.DataFrame
    rdms: Mapping[str, RDM]
    encoding: pd.DataFrame


@dataclass(frozen=True, eq=False)
class StudyRecords:
    """All that a report tells of.

    Parameters
    ----------
    files : tuple of Path
        The result files that were read, in the order in which they were made.
    """

    layout: Layout
    settings: Settings
    manifest: Manifest
    network: pd.DataFrame
    subjects: tuple[SubjectRecords, ...]
    files: tuple[Path, ...]

    @property
    def simulated(self) -> tuple[str, ...]:
        """Subjects whose BOLD was simulated."""
        return tuple(one.sub for one in self.subjects if one.source == "simulated")

    @property
    def null(self) -> tuple[str, ...]:
        """Virtual subjects who respond to every image alike."""
        return tuple(one.sub for one in self.subjects if one.null)

    @property
    def brain(self) -> pd.DataFrame:
        """Similarities in the brain, all subjects."""
        return pd.concat([one.rsa for one in self.subjects], ignore_index=True)

    @property
    def encoding(self) -> pd.DataFrame:
        """Encoding accuracies, all subjects."""
        return pd.concat([one.encoding for one in self.subjects], ignore_index=True)


def read_records(layout: Layout, settings: Settings, *, subjects: tuple[str, ...],
                 progress: ProgressWrapper = silent) -> StudyRecords:
    """Read a study's results.

    Parameters
    ----------
    layout : Layout
    settings : Settings
    subjects : tuple of str
        Whom to tell of.
    progress : ProgressWrapper

    Raises
    ------
    AnalysisError
        If a file is missing: it is named, with the command that makes it.
    """
    network_path = _paths(layout, settings, subjects=subjects)
    manifest = read_manifest(layout.manifest)
    found = tuple(_read_subject(layout, settings, sub=sub)
                  for sub in progress(subjects, label="reading results", total=len(subjects)))
    return StudyRecords(layout, settings, manifest, read_results(network_path), found,
                        _files(layout, settings, network_path=network_path, subjects=subjects))


def _paths(layout: Layout, settings: Settings, *, subjects: tuple[str, ...]) -> Path:
    """Check what every subject needs before anything is read, the earliest step first."""
    require_manifest(layout)
    for sub in subjects:
        require_runs(layout, sub=sub)
    for sub in subjects:
        choose_source(layout, settings, sub=sub)
        require_betas(layout, sub=sub)
    require_features(layout, settings)
    for sub in subjects:
        for path in (_rsa_path(layout, sub), _rdms_path(layout, sub)):
            require_file(path, what="similarities in the brain", command=_command(layout, "rsa", sub))
        for path in (_encoding_path(layout, sub), _encoding_path(layout, sub).with_suffix(".h5")):
            require_file(path, what="encoding models", command=_command(layout, "encode", sub))
    network = require_file(network_rsa_path(layout, settings), what="similarities in the network",
                           command=_command(layout, "rsa", subjects[0]))
    _require_current(layout, settings, subjects=subjects)
    return network


def _require_current(layout: Layout, settings: Settings, *, subjects: tuple[str, ...]) -> None:
    """Refuse to tell of results that these data and settings would not give."""
    network = settings.stimuli.network
    for sub in subjects:
        require_current_fit(layout, settings, sub=sub)
        brain = brain_origin(layout, settings, sub=sub)
        for path in (_rsa_path(layout, sub), _rdms_path(layout, sub)):
            require_current(path, origin=brain, command=_command(layout, "rsa", sub))
        require_current(_encoding_path(layout, sub), command=_command(layout, "encode", sub),
                        origin=encoding_origin(layout, settings, sub=sub, network=network))
    require_current(network_rsa_path(layout, settings), command=_command(layout, "rsa", subjects[0]),
                    origin=network_origin(layout, settings, network=network))


def _command(layout: Layout, step: str, sub: str) -> str:
    return f"python -m analysis {step} --study {layout.root} --sub {sub}"


def network_rsa_path(layout: Layout, settings: Settings) -> Path:
    """Spell the path of the network's similarities."""
    return layout.derivative("rsa", suffix="rsa.tsv", network=settings.stimuli.network.replace("_", ""))


def _rsa_path(layout: Layout, sub: str) -> Path:
    return layout.derivative("rsa", sub=sub, suffix="rsa.tsv")


def _rdms_path(layout: Layout, sub: str) -> Path:
    return layout.derivative("rsa", sub=sub, suffix="rdms.h5")


def _encoding_path(layout: Layout, sub: str) -> Path:
    return layout.derivative("encoding", sub=sub, suffix="encoding.tsv")


def _files(layout: Layout, settings: Settings, *, network_path: Path, subjects: tuple[str, ...]) -> tuple[Path, ...]:
    of_subjects = [path for sub in subjects for path in (
        *require_betas(layout, sub=sub), _rsa_path(layout, sub), _rdms_path(layout, sub),
        _encoding_path(layout, sub), _encoding_path(layout, sub).with_suffix(".h5"))]
    return (layout.manifest, require_features(layout, settings), network_path, *of_subjects)


def _read_subject(layout: Layout, settings: Settings, *, sub: str) -> SubjectRecords:
    source = choose_source(layout, settings, sub=sub)
    labels = {hemi: read_labels(labels_path(layout, source=source, sub=sub, hemi=hemi)) for hemi in HEMISPHERES}
    selected = read_selected(_encoding_path(layout, sub).with_suffix(".h5"))
    runs = tuple(_read_run(layout, key) for key in require_runs(layout, sub=sub))
    betas = require_betas(layout, sub=sub)
    return SubjectRecords(
        sub, source, _is_null(layout, sub=sub, source=source), runs, read_excerpts(layout, sub=sub),
        glm=tuple(_read_glm(path, labels=labels[hemi], sub=sub) for path, hemi in zip(betas, HEMISPHERES, strict=True)),
        flat=tuple(_read_flat(layout, source=source, sub=sub, hemi=hemi, labels=labels[hemi], selected=selected[hemi])
                   for hemi in HEMISPHERES),
        rsa=read_results(_rsa_path(layout, sub)), rdms=load_rdms(_rdms_path(layout, sub)),
        encoding=read_results(_encoding_path(layout, sub)))


def _is_null(layout: Layout, *, sub: str, source: str) -> bool:
    record = layout.derivative("simulated", sub=sub, suffix="truth.json")
    if source != "simulated":
        return False
    parameters = read_json(record).get("parameters", {})  # without the record nobody could tell null from signal
    return bool(parameters.get("null")) if isinstance(parameters, dict) else False


def _read_run(layout: Layout, key: RunKey) -> RunRecord:
    events = read_events(layout.events(key))
    attempt = int(events.attrs["sidecar"].get("Attempt", 1))
    journal = layout.journal(key, attempt=attempt)
    devices = of_kind(read_journal(journal), "devices") if journal.is_file() else []
    return RunRecord(key, events, *(str(devices[0][name]) if devices else "–"
                                    for name in ("scanner", "display")))


def read_excerpts(layout: Layout, *, sub: str) -> tuple[ExcerptRecord, ...]:
    """Read the excerpts of a subject that were played to their end; there need not be any."""
    found = []
    for path in sorted((layout.root / "sourcedata" / "excerpts").glob(f"sub-{sub}_*_journal.jsonl")):
        records = read_journal(path)
        sent = of_kind(records, "sent")
        if not (sent and is_complete(records)):
            continue
        errors = [flip["t"] - flip["planned"] for flip in of_kind(records, "flip") if flip["what"] == "on"]
        found.append(ExcerptRecord(
            sub, np.array(errors, dtype=np.float64), int(sent[-1]["planned"]),
            logged={"pulses": len(of_kind(records, "pulse")), "presses": len(of_kind(records, "press"))},
            sent={name: int(sent[-1][name]) for name in ("pulses", "presses")}))
    return tuple(found)


def _read_glm(path: Path, *, labels: NDArray[np.int16], sub: str) -> GlmRecord:
    betas = load_betas(path)
    places = {"all": np.ones(len(labels), dtype=bool), **{roi: labels == k for k, roi in enumerate(ROIS, start=1)}}
    r2 = {name: float(np.median(betas.r2[inside & np.isfinite(betas.r2)])) for name, inside in places.items()
          if (inside & np.isfinite(betas.r2)).any()}
    counts = betas.conditions.groupby("session").size()
    return GlmRecord(sub, betas.hemi, len(betas.r2), int(np.count_nonzero(~np.isfinite(betas.r2))),
                     {str(session): int(n) for session, n in counts.items()}, r2)


def _read_flat(layout: Layout, *, source: str, sub: str, hemi: str, labels: NDArray[np.int16],
               selected: Mapping[str, NDArray[np.int64]]) -> FlatHemisphere:
    surface = load_subject_surface(layout, source=source, sub=sub, hemi=hemi)
    return FlatHemisphere(hemi, surface.flat, surface.faces, labels, selected)


def read_selected(path: Path) -> dict[str, dict[str, NDArray[np.int64]]]:
    """Read which vertices the encoding models were trained on: hemisphere to region to vertices."""
    with h5py.File(path) as file:
        return {hemi: {roi: file[roi][f"vertices_{hemi}"][:] for roi in file} for hemi in HEMISPHERES}
