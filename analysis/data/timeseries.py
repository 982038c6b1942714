"""Runs of surface time series, and the events that go with them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.events.foreign import ForeignEvents, read_run_events
from analysis.data.events.rows import require_images, require_rows
from analysis.data.series.reading import read_series
from analysis.data.sources import TASK, SubjectData
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import load_profile
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.store import read_json

log = logging.getLogger(__name__)

Events = Mapping[RunKey, pd.DataFrame]
"""Events tables of a session's runs; a run that was shown in parts has one for each of them."""
UNCOUNTED, MISSING, EXCHANGED = "uncounted pulses", "missing runs", "exchanged runs"
"""What ``analysis.accept`` may accept."""
Sessions = Mapping[str, Events]
"""Session to its events tables."""
_ONSET_TOLERANCE_S = 1e-4
_TR_TOLERANCE_S, _STEP_TOLERANCE_S = 1e-6, 1e-5  # GIFTI's own TimeStep is written with fewer digits


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """One hemisphere of one run.

    Parameters
    ----------
    key : RunKey
    hemi : {"L", "R"}
    data : float32 array, (n_volumes, n_vertices)
        All acquired volumes, in scanner units; a vertex without signal is 0 throughout.
    tr_s : float
        Repetition time.
    start_s : float
        BIDS ``StartTime``: when in its TR a volume was sampled (0 without slice timing correction).

    Raises
    ------
    AnalysisError
        If `data` is no table of finite float32 numbers.
    """

    key: RunKey
    hemi: str
    data: NDArray[np.float32]
    tr_s: float
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if self.data.ndim != 2 or self.data.dtype != np.float32:
            raise AnalysisError(self.name, came=f"{self.data.dtype} data of shape {self.data.shape}",
                                expected="float32 volumes by vertices", remedy="Read the run with read_run.")
        wrong = ~np.isfinite(self.data.sum(axis=0, dtype=np.float64))
        if wrong.any():
            raise AnalysisError(self.name, came=f"vertex {int(np.argmax(wrong))} with values that are not finite",
                                expected="finite values, 0 where there is no signal",
                                remedy="Preprocess the run again, or set such vertices to 0.")

    @property
    def name(self) -> str:
        """Say which run and hemisphere it is."""
        part = f" part-{self.key.part}" if self.key.part > 1 else ""
        return f"sub-{self.key.sub} ses-{self.key.ses} task-{self.key.task} run-{self.key.run}{part} hemi-{self.hemi}"


def read_sessions(layout: Layout, *, sub: str, task: str = TASK,
                  foreign: ForeignEvents | None = None) -> dict[str, dict[RunKey, pd.DataFrame]]:
    """Read the events tables of all runs of a subject, with the planned duration of each event where it is known.

    A run that was cut short and resumed has several parts (:mod:`paradigms.record.parts`): each is a scan of its own,
    whose times begin at its own first pulse. A part during which fewer than two volumes were taken is left out.

    Returns
    -------
    dict of str to dict of RunKey to DataFrame
        Session to part to events, in order.

    Raises
    ------
    AnalysisError
        If there is no run, or one that was not played to its end.
    """
    sessions: dict[str, dict[RunKey, pd.DataFrame]] = {}
    for run, group in groupby(layout.find_runs(sub, task), key=lambda key: key.whole):
        parts = {key: _read_part(layout, key, foreign=foreign) for key in group}
        last = list(parts)[-1]
        if not parts[last].attrs["complete"]:
            raise AnalysisError(str(layout.events(last)), came="a run that was not played to its end",
                                expected="complete runs", remedy="Play its rest with --resume or all of it with "
                                                                 "--repeat, or take it out of the dataset.")
        sessions.setdefault(run.ses, {}).update(
            {key: events for key, events in parts.items() if key == last or count_volumes(events) > 1})
    if not sessions:
        remedy = "Play the runs first with `python run_session.py`." if load_profile(layout, sub).virtual else \
            "Play the runs, or make the tables of those that were cut off with `python run_session.py recover`."
        raise AnalysisError(str(layout.root), came=f"no run of sub-{sub}, task {task}", expected="events tables",
                            remedy=remedy)
    return sessions


def _read_part(layout: Layout, key: RunKey, *, foreign: ForeignEvents | None = None) -> pd.DataFrame:
    """Read the events of a run or a part; of one that was cut short, those shown while volumes were taken."""
    path = layout.events(key)
    events = require_rows(read_run_events(path, foreign=foreign), task=key.task, where=str(path))
    if key.task == TASK:
        require_images(events, layout=layout, where=str(path))
    schedule = layout.schedule(key, attempt=int(events.attrs["sidecar"].get("Attempt", 1)))
    events = with_plan(events, schedule)
    events.attrs["where"] = f"{key} events"
    if events.attrs["complete"] or not schedule.is_file():
        return events
    end = count_volumes(events) * float(read_json(schedule)["tr_s"])
    return events[(events["onset"] < end) & (events["duration"] > 0)].reset_index(drop=True)


def join_parts(events: Events) -> dict[int, pd.DataFrame]:
    """Join the events of each run's parts, each with the times of its own; see :data:`Events`.

    Returns
    -------
    dict of int to DataFrame
        Run number to its events: which conditions were shown, and how often.
    """
    return {run: pd.concat([events[key] for key in keys], ignore_index=True)
            for run, keys in groupby(sorted(events), key=lambda key: key.run)}


def label_part(key: RunKey) -> str:
    """Name a run or a part of one within a subject, as inputs are named in sidecars."""
    part = f"_part-{key.part}" if key.part > 1 else ""
    return f"ses-{key.ses}_run-{key.run}{part}"


def with_plan(events: pd.DataFrame, schedule: Path) -> pd.DataFrame:
    """Add how long each event should have lasted, from the schedule that was written before the run.

    Parameters
    ----------
    events : DataFrame
        A run's events, as :func:`paradigms.runlog.read_events` gives them.
    schedule : Path
        The run's schedule; there is none beside events tables from elsewhere.

    Returns
    -------
    DataFrame
        With ``duration_planned`` in seconds (missing for an event that is not in the schedule); unchanged without a
        schedule: :func:`analysis.glm.design.planned_durations` says what is taken then.

    Raises
    ------
    AnalysisError
        If the schedule is not the one that the events table names.
    """
    if not schedule.is_file():
        log.info("%s: not there; the usual duration of each type counts as planned", schedule)
        return events
    said, named = read_json(schedule), events.attrs["sidecar"].get("schedule_digest")
    if named is not None and said.get("digest") != named:
        raise AnalysisError(str(schedule), came=f"a schedule of digest {said.get('digest')}",
                            expected=f"{named}, as the events table says",
                            remedy="Restore the schedule of this attempt.")
    try:
        planned = {(one["trial_type"], round(one["onset_s"] / _ONSET_TOLERANCE_S)): float(one["duration_s"])
                   for one in said["events"]}
    except (KeyError, TypeError, ValueError) as error:
        raise AnalysisError(str(schedule), came=f"events that cannot be read ({error!r})", expected="a run's schedule",
                            remedy="Restore the schedule of this attempt.") from error
    places = zip(events["trial_type"], (events["onset_planned"] / _ONSET_TOLERANCE_S).round(), strict=True)
    return events.assign(duration_planned=[planned.get(place, np.nan) for place in places])


def say_missing_runs(sessions: Mapping[str, Iterable[RunKey]], *, n_sessions: int, n_runs: int) -> str:
    """Say which of the planned sessions and runs are absent; nothing where all are there.

    Examples
    --------
    >>> first, third = (RunKey("01", "01", "main", run) for run in (1, 3))
    >>> say_missing_runs({"01": [first, third]}, n_sessions=2, n_runs=3)
    '1 of 2 sessions; 2 of 3 runs in ses-01'
    """
    counts = {ses: len({key.run for key in events}) for ses, events in sessions.items()}
    gaps = [f"{len(sessions)} of {n_sessions} sessions"] if len(sessions) < n_sessions else []
    return "; ".join([*gaps, *(f"{n} of {n_runs} run{'s' * (n_runs > 1)} in ses-{ses}"
                               for ses, n in counts.items() if n < n_runs)])


def count_volumes(events: pd.DataFrame) -> int:
    """Say how many volumes were taken while a run was logged.

    Parameters
    ----------
    events : DataFrame
        A run's events, as :func:`paradigms.runlog.read_events` gives them.

    Returns
    -------
    int
        The pulses counted and the volumes whose pulse was lost while later ones came; without pulses, those planned.

    Raises
    ------
    AnalysisError
        If the sidecar says neither.
    """
    said = events.attrs.get("sidecar", {})
    pulses = events.attrs.get("n_pulses")
    found = pulses + len(said.get("PulseWatch", {}).get("missed", ())) if pulses else said.get("n_volumes")
    if not found:
        where = str(events.attrs.get("where", "events"))
        raise AnalysisError(f"{where} sidecar", came="neither n_pulses nor n_volumes", expected="how long the run was",
                            remedy="Make the events table again with `python run_session.py recover`.")
    return int(found)


def require_scanner_units(data: NDArray[np.float32], *, where: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """See that a run's time series still have their means, from which percent signal change is told.

    Parameters
    ----------
    data : float32 array, (n_volumes, n_vertices)
    where : str
        Whose, for the message.

    Returns
    -------
    means : float64 array, (n_vertices,)
    usable : bool array, (n_vertices,)
        Vertices that vary, and by less than their mean.

    Raises
    ------
    AnalysisError
        If most vertices that vary do so by more than their mean: it was taken out, or they are z scores.
    """
    means, spreads = data.mean(axis=0, dtype=np.float64), data.std(axis=0, dtype=np.float64)
    alive, centred = spreads > 0, np.abs(means) < spreads
    if 2 * np.count_nonzero(alive & centred) > np.count_nonzero(alive):
        raise AnalysisError(where, came="time series without their mean",
                            expected="time series in scanner units, from which percent signal change can be told",
                            remedy="Take them before they are demeaned or standardised.")
    return means, alive & ~centred


def require_counted(events: pd.DataFrame, key: RunKey, *, accept: Sequence[str] = ()) -> None:
    """See that a run's pulses were counted, or that it is accepted that they were not.

    Parameters
    ----------
    events : DataFrame
        The run's events table, with ``attrs["n_pulses"]``.
    key : RunKey
    accept : sequence of str
        ``analysis.accept``.

    Raises
    ------
    AnalysisError
        If nothing says how many pulses there were: volumes cannot be held against them then.
    """
    if events.attrs.get("n_pulses") is not None:
        return
    if UNCOUNTED not in accept:
        raise AnalysisError(f"events sidecar of {key}", came="no n_pulses",
                            expected="the pulses that the volumes are held against",
                            remedy="Make the table again with `python run_session.py recover`, or set analysis.accept "
                                   f'= ["{UNCOUNTED}"] in study.toml to take the volumes as they are.')
    log.warning("%s: pulses were not counted; volumes are taken as they are (analysis.accept)", key)


def require_volumes(run: Run, events: pd.DataFrame) -> Run:
    """Return the run if its volumes are as many as the logged pulses, lost ones included, else stop and say so.

    Parameters
    ----------
    run : Run
    events : DataFrame
        The run's events table, with ``attrs["n_pulses"]``; None there means that pulses were not counted. Of a part
        that was cut short (``attrs["complete"]``) the volumes after its last pulse are left out: the scanner is stopped
        some time after the run.
    """
    pulses = events.attrs.get("n_pulses")
    n_volumes = len(run.data) if pulses is None else count_volumes(events)
    if events.attrs.get("complete") is False and len(run.data) > n_volumes:
        log.info("%s: %d volumes after the end of this part are left out", run.name, len(run.data) - n_volumes)
        return replace(run, data=run.data[:n_volumes])
    if len(run.data) not in (pulses, n_volumes):
        turned = run.data.shape[1] in (pulses, n_volumes)
        raise AnalysisError(
            run.name, came=f"{len(run.data)} volumes but {int(pulses or 0)} logged pulses" + (
                f", and {run.data.shape[1]} vertices: the file's two sides are exchanged" if turned else ""),
            expected="one volume a pulse" + (", volumes x vertices" if turned else ""),
            remedy="Write the transposed array." if turned else "See that time series and log are of the same run "
            "and that no volumes were cut off; correct the pulse log's count if triggers were lost.")
    return run


def read_run(data: SubjectData, key: RunKey, *, hemi: str, tr_s: float) -> Run:
    """Read one hemisphere of one run.

    Parameters
    ----------
    data : SubjectData
    key : RunKey
    hemi : {"L", "R"}
    tr_s : float
        The repetition time that is expected.

    Raises
    ------
    AnalysisError
        If the file is missing or cannot be read, or its sidecar or its own ``TimeStep`` names another repetition time.
    """
    path = data.require_bold(key, hemi=hemi)
    beside = sidecar_path(path)
    said = read_json(beside) if beside.is_file() else {}
    series = read_series(path, hemi=hemi)
    named = _seconds(said, "RepetitionTime", path=beside)
    if named is not None:
        _require_tr(named, tr_s=tr_s, where=str(beside))
    if series.tr_s is not None:
        _require_tr(series.tr_s, tr_s=tr_s, where=str(path), name="TimeStep", tolerance_s=_STEP_TOLERANCE_S)
    if named is None and series.tr_s is None:
        log.warning("%s: neither its JSON file nor its TimeStep names a repetition time; scanner.tr_s = %g s is taken",
                    path.name, tr_s)
    return Run(key=key, hemi=hemi, data=_without_nan(series.data, name=path.name), tr_s=tr_s,
               start_s=_seconds(said, "StartTime", path=beside) or 0.0)


def _require_tr(found: float, *, tr_s: float, where: str, name: str = "RepetitionTime",
                tolerance_s: float = _TR_TOLERANCE_S) -> None:
    """Refuse a repetition time that is not the expected one, or was given in milliseconds."""
    if abs(found - tr_s) <= tolerance_s:
        return
    in_ms = abs(found / 1000 - tr_s) <= tolerance_s
    remedy = f"Write it in seconds: {found / 1000:g}." if in_ms else \
        "Correct scanner.tr_s in study.toml, or take the time series of this study."
    raise AnalysisError(where, came=f"{name} {found:g}{' (in milliseconds)' if in_ms else ''}",
                        expected=f"scanner.tr_s = {tr_s:g}", remedy=remedy)


def _without_nan(data: NDArray[np.float32], *, name: str) -> NDArray[np.float32]:
    """Take vertices that are NaN in every volume (fMRIPrep's ``--medial-surface-nan``) as those without signal."""
    empty = np.isnan(data[0])
    empty[empty] = np.isnan(data[:, empty]).all(axis=0)
    if not empty.any():
        return data
    log.info("%s: %d of %d vertices are NaN throughout and have no signal", name, np.count_nonzero(empty), len(empty))
    return np.where(empty, np.float32(0), data)


def _seconds(said: Mapping[str, Any], name: str, *, path: Path) -> float | None:
    value = said.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise AnalysisError(str(path), came=f"{name} {value!r}", expected="seconds", remedy="Correct the sidecar.")
    return float(value)
