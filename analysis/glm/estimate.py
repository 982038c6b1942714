"""Betas of a subject: events and surface time series in, percent signal change by condition out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.data.sources import HEMISPHERES, SubjectData, require_whole, resolve_subject
from analysis.data.timeseries import (
    Events,
    Run,
    Sessions,
    count_volumes,
    join_parts,
    label_part,
    read_run,
    read_sessions,
    require_volumes,
)
from analysis.glm.betas import Betas, require_betas, save_betas
from analysis.glm.design import Sampling, design_matrix, drift_degree, list_conditions, order_conditions, polynomials
from analysis.glm.ols import Model, SessionFit, explained, fit_session
from analysis.steps import Origin, Request, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import base_images
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.analysis import GlmSettings

Fit = tuple[Betas, dict[str, float]]


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the betas of each subject: both hemispheres are computed before either file is replaced."""
    chosen = request.settings
    fits = [SubjectFit(layout=request.layout, sub=sub, pipeline=chosen.analysis.bold, settings=chosen.glm,
                       tr_s=chosen.scanner.tr_s, base_images=base_images(chosen.stimuli),
                       n_discarded=count_discarded(chosen.main.discard_s, tr_s=chosen.scanner.tr_s))
            for sub in request.subjects]
    return tuple(Work(name=f"sub-{fit.sub}", sub=fit.sub, outputs=tuple(fit.paths.values()), origin=fit.origin,
                      make=fit.make, check=fit.check, foreign=True) for fit in fits)


@dataclass(frozen=True, kw_only=True)
class SubjectFit:
    """The betas of one subject; its files are looked for when they are needed.

    Parameters
    ----------
    layout : Layout
    sub : str
    pipeline : str
        ``analysis.bold``.
    settings : GlmSettings
    tr_s : float
        Repetition time that is expected.
    n_discarded : int
        Volumes left out at the start of each run.
    base_images : tuple of str
        Order of the rows.
    """

    layout: Layout
    sub: str
    pipeline: str
    settings: GlmSettings
    tr_s: float
    n_discarded: int
    base_images: tuple[str, ...]

    @property
    def paths(self) -> dict[str, Path]:
        """Hemisphere to file of betas."""
        return betas_paths(self.layout, sub=self.sub)

    @cached_property
    def data(self) -> SubjectData:
        """The subject's files."""
        return require_whole(resolve_subject(self.layout, sub=self.sub, pipeline=self.pipeline))

    @cached_property
    def sessions(self) -> Sessions:
        """Its events."""
        return read_sessions(self.layout, sub=self.sub)

    def origin(self, path: Path) -> Origin:
        """Say what a file of betas is made from."""
        hemi = next(hemi for hemi, one in self.paths.items() if one == path)
        inputs: dict[str, Path | str] = {}
        for runs in self.sessions.values():
            for key in runs:
                inputs |= {f"{label_part(key)}_{kind}": file for kind, file in self._files(key, hemi).items()}
        chosen = self.settings.model_dump(mode="json", exclude={"block_vertices"})
        return Origin(inputs, {"source": self.data.source, "tr_s": self.tr_s, "n_discarded": self.n_discarded,
                               **chosen})

    def _files(self, key: RunKey, hemi: str) -> dict[str, Path]:
        bold = self.data.bold.get((key, hemi)) or self.data.require_bold(key, hemi=hemi)
        beside = sidecar_path(bold)  # its StartTime shifts the design
        timing = {"timing": beside} if beside.is_file() else {}
        return {"events": self.layout.events(key), "log": self.layout.events_sidecar(key), "bold": bold, **timing}

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Fit both hemispheres; give what then saves them."""
        fits = {hemi: fit_hemisphere(self.sessions, hemi=hemi, read=self._reader(hemi), settings=self.settings,
                                     n_discarded=self.n_discarded, base_images=self.base_images)
                for hemi in progress(HEMISPHERES, label=f"GLM sub-{self.sub}", total=len(HEMISPHERES))}
        return lambda: {self.paths[hemi]: self._save(hemi, fit) for hemi, fit in fits.items()}

    def _reader(self, hemi: str) -> Callable[[RunKey], Run]:
        return lambda key: read_run(self.data, key, hemi=hemi, tr_s=self.tr_s)

    def _save(self, hemi: str, fit: Fit) -> dict[str, Any]:
        betas, numbers = fit
        describe_derivative(self.layout, "glm")
        save_betas(self.paths[hemi], betas, overwrite=True)
        return {"Unit": "percent signal change", "HRF": "SPM double gamma, an event of its planned duration peaks at 1",
                "ConditionNumbers": numbers, "VerticesWithoutSignal": int(np.isnan(betas.r2).sum()),
                "MedianR2": float(np.nanmedian(betas.r2))}

    def check(self) -> None:
        """See that both files are betas."""
        for path in self.paths.values():
            require_betas(path)


def betas_paths(layout: Layout, *, sub: str) -> dict[str, Path]:
    """Spell the paths of a subject's betas, by hemisphere."""
    return {hemi: layout.derivative("glm", sub=sub, hemi=hemi, suffix="betas.h5") for hemi in HEMISPHERES}


def fit_hemisphere(sessions: Sessions, *, hemi: str, read: Callable[[RunKey], Run], settings: GlmSettings,
                   n_discarded: int, base_images: Sequence[str]) -> Fit:
    """Fit one hemisphere, session by session.

    Parameters
    ----------
    sessions : mapping of str to mapping of RunKey to DataFrame
        Session to run, or part of one, to events.
    hemi : {"L", "R"}
    read : callable
        Run, or part of one, to its time series.
    settings : GlmSettings
    n_discarded : int
        Volumes left out at the start of each run.
    base_images : sequence of str
        Order of the rows.

    Returns
    -------
    betas : Betas
    condition_numbers : dict of str to float
        Session to condition number of its design.

    Raises
    ------
    AnalysisError
        If pulses and volumes disagree, or a session's conditions cannot be estimated.
    """
    tables, fits, numbers = [], [], {}
    for ses, tables_of in sessions.items():
        events = keep_estimable(tables_of, n_discarded=n_discarded)
        conditions = list_conditions(join_parts(events), session=ses, base_images=base_images)
        runs = {run: require_volumes(read(run), table) for run, table in events.items()}
        samplings = {run: Sampling(n_volumes=len(one.data), tr_s=one.tr_s, start_s=one.start_s,
                                   n_discarded=n_discarded) for run, one in runs.items()}
        model = build_model(events, conditions=conditions, samplings=samplings, where=f"ses-{ses}",
                            drift_minutes=settings.drift_minutes)
        kept = (one.data[samplings[run].n_discarded:] for run, one in runs.items())
        fits.append(fit_session(kept, model=model, block_vertices=settings.block_vertices))
        tables.append(conditions)
        numbers[ses] = round(model.condition_number, 3)
    return combine_sessions(fits, tables, hemi=hemi, base_images=base_images), numbers


def keep_estimable(events: Events, *, n_discarded: int) -> Events:
    """Leave out the parts of runs that ended before two volumes beyond the discarded ones were taken.

    Examples
    --------
    >>> short, rest = pd.DataFrame(), pd.DataFrame()
    >>> short.attrs.update(n_pulses=10, complete=False)
    >>> rest.attrs.update(n_pulses=200, complete=True)
    >>> run = RunKey("01", "01", "main", 1)
    >>> [key.part for key in keep_estimable({run: short, RunKey("01", "01", "main", 1, part=2): rest}, n_discarded=9)]
    [2]
    """
    return {key: table for key, table in events.items()
            if table.attrs.get("complete", True) or count_volumes(table) > n_discarded + 1}


def count_discarded(discard_s: float, *, tr_s: float) -> int:
    """Count the volumes that begin within the discarded seconds.

    Examples
    --------
    >>> count_discarded(18.0, tr_s=2.0)
    9
    """
    return int(np.ceil(discard_s / tr_s - 1e-9))


def build_model(events: Events, *, conditions: pd.DataFrame, samplings: Mapping[RunKey, Sampling],
                drift_minutes: float, where: str) -> Model:
    """Make a session's model from the events of its runs; each part of a run has drifts of its own, as a scan has.

    Parameters
    ----------
    events : mapping of RunKey to DataFrame
        Run, or part of one, to events table.
    conditions : DataFrame
        See :func:`~analysis.glm.design.list_conditions`.
    samplings : mapping of RunKey to Sampling
    drift_minutes : float
        Minutes a degree of the drift polynomials.
    where : str
        The session, for messages.
    """
    designs = [design_matrix(table, conditions=conditions, sampling=samplings[run]) for run, table in events.items()]
    drifts = [polynomials(len(design), degree=drift_degree(samplings[run], drift_minutes=drift_minutes))
              for run, design in zip(events, designs, strict=True)]
    return Model(designs, drifts, where)


def combine_sessions(fits: Sequence[SessionFit], tables: Sequence[pd.DataFrame], *, hemi: str,
                     base_images: Sequence[str]) -> Betas:
    """Join the sessions' estimates: rows by name, R2 from the pooled sums of squares."""
    sizes = {len(fit.mean_signal) for fit in fits}
    if len(sizes) != 1:
        raise AnalysisError(f"hemi-{hemi}", came=f"sessions on {' and '.join(map(str, sorted(sizes)))} vertices",
                            expected="one mesh", remedy="Preprocess all sessions to one surface.")
    table = pd.concat(tables, ignore_index=True)
    rows = order_conditions(table, base_images=base_images)
    volumes = np.array([fit.n_volumes for fit in fits], dtype=np.float64)
    total, left = (np.sum([getattr(fit, name) for fit in fits], axis=0) for name in ("ss_total", "ss_residual"))
    return Betas(hemi=hemi, values=np.concatenate([fit.percent for fit in fits])[rows],
                 conditions=table.iloc[rows].reset_index(drop=True), r2=explained(total, left).astype(np.float32),
                 mean_signal=np.average([fit.mean_signal for fit in fits], axis=0, weights=volumes).astype(np.float32))
