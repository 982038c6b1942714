"""Betas of a subject: events and surface time series in, percent signal change by condition out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.data.sources import choose_source
from analysis.data.timeseries import TASK, read_run, read_sessions, require_volumes
from analysis.glm.betas import HEMISPHERES, Betas, save_betas
from analysis.glm.design import Sampling, design_matrix, drift_degree, list_conditions, order_conditions, polynomials
from analysis.glm.ols import Model, SessionFit, explained, fit_session
from subjects.cli import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import base_images
from subjects.provenance import digest_file, is_current, sidecar, sidecar_path
from subjects.run_key import RunKey
from subjects.settings.study import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GlmResult:
    """What :func:`run_glm` did.

    Parameters
    ----------
    sub : str
    source : str
        Pipeline that the time series came from.
    paths : mapping of str to Path
        Hemisphere to file of betas.
    reused : bool
        Whether both files stood as they were made.
    """

    sub: str
    source: str
    paths: Mapping[str, Path]
    reused: bool


def run_glm(layout: Layout, settings: Settings, *, sub: str, progress: ProgressWrapper = silent) -> GlmResult:
    """Estimate the responses of one subject, both hemispheres.

    Parameters
    ----------
    layout : Layout
        A study with events tables and surface time series.
    settings : Settings
        ``glm``, ``main.discard_s``, ``scanner.tr_s`` and ``analysis.bold``.
    sub : str
    progress : ProgressWrapper

    Returns
    -------
    GlmResult
        Betas in ``derivatives/glm/sub-XX/sub-XX_hemi-X_betas.h5``, each with a sidecar that names the condition
        numbers, the drifts and what it was made from. A file that stands as it was made is not made again.

    Raises
    ------
    AnalysisError
        If pulses and volumes disagree, a run is incomplete, or a session's conditions cannot be estimated.
    """
    source = choose_source(layout, settings, sub=sub)
    sessions = read_sessions(layout, sub=sub)
    paths = {hemi: layout.derivative("glm", sub=sub, hemi=hemi, suffix="betas.h5") for hemi in HEMISPHERES}
    made_from = {hemi: _made_from(layout, settings, sessions=sessions, source=source, sub=sub, hemi=hemi)
                 for hemi in HEMISPHERES}
    stale = [hemi for hemi in HEMISPHERES if not is_current(paths[hemi], **made_from[hemi])]
    fits = {hemi: fit_subject(layout, settings, sessions=sessions, source=source, sub=sub, hemi=hemi)
            for hemi in progress(stale, label=f"GLM sub-{sub}", total=len(stale))}  # both, before either is saved
    for hemi, (betas, numbers) in fits.items():
        describe_derivative(layout, "glm")
        save_betas(paths[hemi], betas, overwrite=True)
        sidecar(paths[hemi], **made_from[hemi], extra={
            "Unit": "percent signal change", "HRF": "SPM double gamma, one event peaks at 1",
            "ConditionNumbers": numbers, "VerticesWithoutSignal": int(np.isnan(betas.r2).sum()),
            "MedianR2": float(np.nanmedian(betas.r2))})
    return GlmResult(sub=sub, source=source, paths=paths, reused=not fits)


def require_current_fit(layout: Layout, settings: Settings, *, sub: str) -> None:
    """See that a subject's betas are those that these events, time series and settings give.

    Betas without a sidecar come from elsewhere and are taken as they are.

    Raises
    ------
    AnalysisError
        If they were fitted from something else, or changed since.
    """
    paths = {hemi: layout.derivative("glm", sub=sub, hemi=hemi, suffix="betas.h5") for hemi in HEMISPHERES}
    fitted = {hemi: path for hemi, path in paths.items() if sidecar_path(path).is_file()}
    if not fitted:
        log.warning("sub-%s: betas without a sidecar, from elsewhere: nothing says what they were made from", sub)
        return
    source, sessions = choose_source(layout, settings, sub=sub), read_sessions(layout, sub=sub)
    for hemi, path in fitted.items():
        if not is_current(path, **_made_from(layout, settings, sessions=sessions, source=source, sub=sub, hemi=hemi)):
            raise AnalysisError(str(path), came="betas of other events, time series or settings",
                                expected="those of the study as it stands",
                                remedy=f"Run `python -m analysis glm --study {layout.root} --sub {sub}`.")


def _made_from(layout: Layout, settings: Settings, *, sessions: Mapping[str, Mapping[int, pd.DataFrame]], source: str,
               sub: str, hemi: str) -> dict[str, Any]:
    return {"inputs": _inputs(layout, sessions, source=source, sub=sub, hemi=hemi),
            "parameters": _parameters(settings, source=source)}


def fit_subject(layout: Layout, settings: Settings, *, sessions: Mapping[str, Mapping[int, pd.DataFrame]], source: str,
                sub: str, hemi: str) -> tuple[Betas, dict[str, float]]:
    """Fit one hemisphere, session by session.

    Returns
    -------
    betas : Betas
    condition_numbers : dict of str to float
        Session to condition number of its design.
    """
    tables, fits, numbers = [], [], {}
    for ses, events in sessions.items():
        conditions = list_conditions(events, session=ses, base_images=base_images(settings))
        runs = {run: require_volumes(read_run(layout, settings, source=source, key=RunKey(sub, ses, TASK, run),
                                              hemi=hemi), table) for run, table in events.items()}
        samplings = {run: Sampling(n_volumes=len(one.data), tr_s=one.tr_s, start_s=one.start_s,
                                   n_discarded=n_discarded(settings)) for run, one in runs.items()}
        model = build_model(events, conditions=conditions, samplings=samplings, where=f"sub-{sub} ses-{ses}",
                            drift_minutes=settings.glm.drift_minutes)
        kept = (one.data[samplings[run].n_discarded:] for run, one in runs.items())
        fits.append(fit_session(kept, model=model, block_vertices=settings.glm.block_vertices))
        tables.append(conditions)
        numbers[ses] = round(model.condition_number, 3)
    return combine_sessions(fits, tables, hemi=hemi, base_images=base_images(settings)), numbers


def n_discarded(settings: Settings) -> int:
    """Count the volumes that begin within the discarded seconds.

    Examples
    --------
    >>> n_discarded(Settings())
    9
    """
    return int(np.ceil(settings.main.discard_s / settings.scanner.tr_s - 1e-9))


def build_model(events: Mapping[int, pd.DataFrame], *, conditions: pd.DataFrame, samplings: Mapping[int, Sampling],
                drift_minutes: float, where: str) -> Model:
    """Make a session's model from the events of its runs.

    Parameters
    ----------
    events : mapping of int to DataFrame
        Run to events table.
    conditions : DataFrame
        See :func:`~analysis.glm.design.list_conditions`.
    samplings : mapping of int to Sampling
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


def _inputs(layout: Layout, sessions: Mapping[str, Mapping[int, pd.DataFrame]], *, source: str, sub: str,
            hemi: str) -> dict[str, Path | str]:
    found: dict[str, Path | str] = {}
    for ses, runs in sessions.items():
        for run in runs:
            key = RunKey(sub, ses, TASK, run)
            files = {
                "events": layout.events(key),
                "log": layout.events_sidecar(key),
                "bold": layout.bold(source, key=key, hemi=hemi)}
            if sidecar_path(files["bold"]).is_file():  # its StartTime shifts the design
                files["timing"] = sidecar_path(files["bold"])
            found |= {f"ses-{ses}_run-{run}_{kind}": digest_file(path) for kind, path in files.items()}
    return found


def _parameters(settings: Settings, *, source: str) -> dict[str, Any]:
    chosen = settings.glm.model_dump(mode="json", exclude={"block_vertices"})
    return {"source": source, "tr_s": settings.scanner.tr_s, "n_discarded": n_discarded(settings), **chosen}
