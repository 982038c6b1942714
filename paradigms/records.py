"""A run's files: which attempts there are, what may be written where, and recovery after a crash."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paradigms.runlog import (
    Record,
    events_sidecar,
    events_table,
    is_complete,
    of_kind,
    read_journal,
    time_zero,
)
from paradigms.schedule import Schedule
from paradigms.watchdog import watch
from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.settings import Settings
from subjects.store import read_json, write_json, write_table

_JOURNAL = re.compile(r"sub-(?P<sub>[^_]+)_ses-(?P<ses>[^_]+)_task-(?P<task>[^_]+)_run-(?P<run>\d+)"
                      r"_attempt-(?P<attempt>\d+)_journal\.jsonl\Z")


@dataclass(frozen=True)
class Recovered:
    """A run whose record was cut off, and the events table made from it.

    Parameters
    ----------
    journal, events : Path
        The record and the table.
    n_events, n_records : int
        Rows in the table, readable lines in the journal.
    """

    journal: Path
    events: Path
    n_events: int
    n_records: int

    def summary(self) -> str:
        """Say it in one line."""
        return f"recovered {self.n_events} events from {self.n_records} journal lines: {self.events} (incomplete)"


def attempts(layout: Layout, *, sub: str, ses: str, task: str, run: int) -> tuple[Path, ...]:
    """List the journals of every attempt at a run, first to last."""
    name = layout.run_name(sub=sub, ses=ses, task=task, run=run)
    return tuple(sorted(layout.source_dir(sub, ses).glob(f"{name}_attempt-*_journal.jsonl")))


def require_new(layout: Layout, *, repeat: bool, sub: str, ses: str, task: str, run: int) -> None:
    """Refuse a run that was played before unless a repetition is asked for.

    Raises
    ------
    RunLogError
        Naming what stands there.
    """
    earlier = attempts(layout, sub=sub, ses=ses, task=task, run=run)
    events = layout.events(sub=sub, ses=ses, task=task, run=run)
    if (earlier or events.exists()) and not repeat:
        raise RunLogError(str(events if events.exists() else earlier[-1]), came="a run that was played before",
                          expected="a new run", remedy="Add --repeat to play it again; every attempt is kept.")


def write_events(layout: Layout, settings: Settings, *, attempt: int, sub: str, ses: str, task: str,
                 run: int) -> Path:
    """Make a run's events table and sidecar from its journal.

    Raises
    ------
    StoreError
        If a table stands there.
    """
    where = {"sub": sub, "ses": ses, "task": task, "run": run}
    schedule = read_schedule(layout.schedule(**where, attempt=attempt))
    records = read_journal(layout.journal(**where, attempt=attempt))
    return _write_pair(layout.events(**where), records=records, schedule=schedule, settings=settings, attempt=attempt)


def read_schedule(path: Path) -> Schedule:
    """Read a schedule and check it against its own digest.

    Raises
    ------
    RunLogError
        If it was changed since it was written.
    """
    content = read_json(path)
    stated = content.pop("digest", None)
    schedule = Schedule.from_json(content, where=str(path))
    if schedule.digest != stated:
        raise RunLogError(str(path), came=f"digest {schedule.digest}", expected=f"{stated}, as written with it",
                          remedy="Restore the file; schedules are never edited.")
    return schedule


def _write_pair(path: Path, *, records: list[Record], schedule: Schedule, settings: Settings, attempt: int) -> Path:
    table = events_table(records, schedule, response_window_s=settings.main.response_window_s)
    sidecar = events_sidecar(schedule, settings, complete=is_complete(records), attempt=attempt,
                             watch=_watch_of(records, schedule=schedule, settings=settings))
    write_json(path.with_suffix(".json"), sidecar, overwrite=not path.exists())
    return write_table(path, table)


def _watch_of(records: list[Record], *, schedule: Schedule, settings: Settings) -> dict[str, Any]:
    """Take the watchdog's report from the last line, or make it from what there is."""
    ends = of_kind(records, "end")
    if ends:
        return dict(ends[-1]["watch"])
    dummies = settings.scanner.n_dummies
    pulses = of_kind(records, "pulse")[dummies:]
    errors = [flip["t"] - flip["planned"] for flip in of_kind(records, "flip") if flip["what"] == "on"]
    return watch([pulse["t"] for pulse in pulses], onset_errors_s=errors,
                 clock_offsets_s=[], tr_s=schedule.tr_s, n_volumes=schedule.n_volumes,
                 frame_s=1.0 / settings.display.refresh_hz).to_json()


def archive_incomplete(layout: Layout, *, sub: str, ses: str, task: str, run: int) -> None:
    """Move an earlier events table of this run to sourcedata, under the attempt that it tells of."""
    where = {"sub": sub, "ses": ses, "task": task, "run": run}
    events = layout.events(**where)
    if not events.exists():
        return
    attempt = int(read_json(events.with_suffix(".json"))["Attempt"])
    for path, suffix in ((events, "events.tsv"), (events.with_suffix(".json"), "events.json")):
        target = layout.attempt_file(suffix, **where, attempt=attempt)
        if target.exists():
            raise RunLogError(str(target), came="a table that was archived already", expected="a free name",
                              remedy="Move it away by hand; nothing was changed.")
        path.rename(target)


def recover(layout: Layout) -> list[Recovered]:
    """Make events tables, marked incomplete, from every journal that was never turned into one.

    Parameters
    ----------
    layout : Layout
        The study.

    Returns
    -------
    list of Recovered
        Nothing is written over: where a table of the run stands, the recovered one goes to sourcedata.
        A second call finds nothing more to do.
    """
    found = []
    for journal in sorted(layout.root.glob("sourcedata/sub-*/ses-*/*_journal.jsonl")):
        match = _JOURNAL.match(journal.name)
        if match is None:
            raise RunLogError(str(journal), came="a journal with a name of its own",
                              expected="..._attempt-NN_journal.jsonl",
                              remedy="Give it its old name.")
        where = {"sub": match["sub"], "ses": match["ses"], "task": match["task"], "run": int(match["run"])}
        made = _recover_one(layout, journal=journal, attempt=int(match["attempt"]), where=where)
        if made is not None:
            found.append(made)
    return found


def _recover_one(layout: Layout, *, journal: Path, attempt: int, where: dict[str, Any]) -> Recovered | None:
    events, archived = layout.events(**where), layout.attempt_file("events.tsv", **where, attempt=attempt)
    told = events.exists() and int(read_json(events.with_suffix(".json"))["Attempt"]) == attempt
    records = read_journal(journal)
    if told or archived.exists() or time_zero(records) is None:
        return None
    schedule = read_schedule(layout.schedule(**where, attempt=attempt))
    content = read_json(layout.resolved_settings(**where, attempt=attempt))
    content.pop("digest", None)
    path = archived if events.exists() else events
    _write_pair(path, records=records, schedule=schedule, settings=Settings.model_validate(content), attempt=attempt)
    return Recovered(journal, path, n_events=len(_rows_of(path)), n_records=len(records))


def _rows_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()[1:]
