"""Recovery after a crash: events tables from the journals that a run left."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from paradigms.record.events_files import (
    attempt_in_sidecar,
    sidecar_says_complete,
    write_events,
    write_pair,
)
from paradigms.record.journal import restore
from paradigms.record.outputs import write_outputs
from paradigms.record.plans import read_schedule
from paradigms.record.run_files import earlier_attempts
from paradigms.runlog import Record, has_end, is_complete, of_kind, read_journal, time_zero
from paradigms.tasks.catalogue import task_of
from subjects.errors import RunLogError, StudyError
from subjects.layout import Layout, key_of
from subjects.plan.series_numbers import series_told
from subjects.run_key import RunKey
from subjects.settings.loading import read_resolved
from subjects.store import is_locked

NOT_RUNS = ("excerpt",)


@dataclass(frozen=True)
class Recovered:
    """A run whose record was cut off, and the events table made from it.

    Parameters
    ----------
    journal, events : Path
        The record and the table.
    complete : bool
        The run was whole, and only its table was missing.
    n_events, n_records : int
        Rows in the table, readable lines in the journal.
    """

    journal: Path
    events: Path
    complete: bool
    n_events: int
    n_records: int

    def summary(self) -> str:
        """Say it in one line."""
        return (f"recovered {self.n_events} events from {self.n_records} journal lines: {self.events} "
                f"({'complete' if self.complete else 'incomplete'})")


def recover(layout: Layout) -> list[Recovered]:
    """Make events tables from every journal that was never turned into one.

    Parameters
    ----------
    layout : Layout
        The study.

    Returns
    -------
    list of Recovered
        The table is marked incomplete unless the journal has the mark of a whole run. Nothing is written
        over: where the run has a table, the recovered one goes to sourcedata. (Only a whole run that
        was cut off before its table was written takes the place of an incomplete one, which is kept in
        sourcedata.) A second call finds nothing more to do.
    """
    for journal in _journals(layout):
        if not is_locked(journal):
            restore(journal)
    recovered: list[Recovered] = []
    refused: list[StudyError] = []
    for journal in _journals(layout):
        try:
            recovered += [_recover_one(layout, cut) for cut in _waiting(layout, journals=[journal])]
        except StudyError as error:  # one bad record keeps no other from being read
            refused.append(error)
    if len(refused) == 1 and not recovered:
        raise refused[0]
    if refused:
        raise RunLogError(refused[0].where, came=f"{refused[0].came} ({len(refused)} such records)",
                          expected=refused[0].expected,
                          remedy=f"{refused[0].remedy} Other runs that were recovered: {len(recovered)}.")
    return recovered


def _journals(layout: Layout) -> list[Path]:
    """List all journals, whole runs before cut ones and late attempts before early ones, run by run."""
    found = sorted(layout.root.glob("sourcedata/sub-*/ses-*/*_journal.jsonl"), reverse=True)
    return sorted(found, key=lambda path: not _says_complete(path))


def _says_complete(journal: Path) -> bool:
    try:
        return is_complete(read_journal(journal))
    except StudyError:
        return False


def recover_attempt(layout: Layout, journal: Path) -> Recovered | None:
    """Make the events table of one attempt that ended early; None if nothing was scanned, or it has one."""
    return next((_recover_one(layout, cut) for cut in _waiting(layout, journals=[journal])), None)


def settle(layout: Layout, journal: Path, *, patience_s: float = 20.0) -> Recovered | None:
    """See that an attempt whose process has let its journal go gets its events table.

    The process writes the table after its last line; one that ended without a last line, or that does not do so in
    time, has its table made here.

    Parameters
    ----------
    layout : Layout
    journal : Path
        Of an attempt that nobody writes any more.
    patience_s : float
        How long to wait for the table.

    Returns
    -------
    Recovered or None
        None where the table was there, or nothing was scanned.
    """
    named, until = key_of(journal), time.monotonic() + patience_s
    while named is not None and has_end(journal) and time.monotonic() < until and \
            not _has_table(layout, named[0], attempt=named[1]) and _waiting(layout, journals=[journal]):
        time.sleep(0.1)
    return recover_attempt(layout, journal)


def recoverable(layout: Layout) -> tuple[Path, ...]:
    """List the journals that were never turned into an events table, and could be."""
    return tuple(cut.journal for cut in _waiting(layout))


def _waiting(layout: Layout, *, journals: Iterable[Path] | None = None) -> list[_Cut]:
    found = []
    for journal in _journals(layout) if journals is None else journals:
        named = key_of(journal)
        if named is None:
            raise RunLogError(str(journal), came="a journal with a name of its own",
                              expected="..._attempt-NN_journal.jsonl",
                              remedy="Give it its old name.")
        key, attempt = named
        if key.task in NOT_RUNS or is_locked(journal):
            continue
        if not _has_table(layout, key, attempt=attempt):
            found.append(_Cut(journal, attempt, key=key, records=read_journal(journal)))
    found.sort(key=lambda cut: (cut.journal.parent, cut.key.task, cut.key.run, not cut.complete,
                                -cut.attempt))
    return [cut for cut in found if time_zero(cut.records) is not None]


def _has_table(layout: Layout, key: RunKey, *, attempt: int) -> bool:
    shown = any(attempt_in_sidecar(layout.events(part)) == attempt for part in layout.find_parts(key))
    return shown or layout.attempt_file("events.tsv", key, attempt=attempt).exists()


@dataclass(frozen=True)
class _Cut:
    """A journal that may have been cut off."""

    journal: Path
    attempt: int
    key: RunKey
    records: list[Record]

    @property
    def complete(self) -> bool:
        return is_complete(self.records)


def _recover_one(layout: Layout, cut: _Cut) -> Recovered:
    events = layout.events(cut.key)
    archived = layout.attempt_file("events.tsv", cut.key, attempt=cut.attempt)
    plan = layout.schedule(cut.key, attempt=cut.attempt)
    schedule = read_schedule(plan)
    if schedule.key != cut.key:
        raise RunLogError(str(plan), came=f"the plan of {schedule.key}",
                          expected=f"that of {cut.key}, as its name says",
                          remedy="Give this attempt's plan, settings and journal the names that they had.")
    for start in of_kind(cut.records, "start"):
        if start.get("schedule_digest") != schedule.digest:
            raise RunLogError(str(cut.journal), came=f"a journal of schedule {start.get('schedule_digest')}",
                              expected=f"{schedule.digest}, the one beside it",
                              remedy="Restore the journal and the schedule of this attempt.")
    settings = read_resolved(layout.resolved_settings(cut.key, attempt=cut.attempt))
    tables = [layout.events(part) for part in layout.find_parts(cut.key)]
    if cut.complete and not any(sidecar_says_complete(table) for table in tables):
        path = write_events(layout, key=cut.key, attempt=cut.attempt)
        return Recovered(cut.journal, path, complete=True, n_events=len(_rows_of(path)), n_records=len(cut.records))
    path = archived if events.exists() else events
    write_pair(path, records=cut.records, schedule=schedule, settings=settings, attempt=cut.attempt,
               earlier=earlier_attempts(layout, cut.key, attempt=cut.attempt),
               said=series_told(layout, cut.key, attempt=cut.attempt))
    write_outputs(layout, task_of(cut.key.task, settings), schedule=schedule, records=cut.records, attempt=cut.attempt,
                  current=path == events)
    return Recovered(cut.journal, path, complete=cut.complete, n_events=len(_rows_of(path)),
                     n_records=len(cut.records))


def _rows_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()[1:]
