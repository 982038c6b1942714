"""A run's files: which attempts there are, what may be written where, and recovery after a crash."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from paradigms.record.changes import changes_of
from paradigms.record.outcome import outcome_of, tally_of
from paradigms.record.outputs import write_outputs
from paradigms.record.parts import make_whole, parts_of
from paradigms.record.plans import read_schedule, schedule_beside
from paradigms.record.run_files import attempts, earlier_attempts
from paradigms.runlog import (
    TABLE,
    Record,
    display_delay_s,
    events_sidecar,
    events_table,
    has_end,
    is_complete,
    of_kind,
    read_journal,
)
from paradigms.schedule import Schedule
from paradigms.tasks.catalogue import task_of
from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.plan.series_numbers import series_told
from subjects.provenance import digest_bytes
from subjects.run_key import RunKey
from subjects.settings.display import DisplaySettings
from subjects.settings.loading import read_resolved
from subjects.settings.study import Settings
from subjects.store import is_locked, read_json, table_text, write_bytes, write_json, write_table

ROOM_BYTES = 10_000_000
"""Room that a run wants: the record, plan and tables of the longest take about a fifth of it."""


def require_new(layout: Layout, key: RunKey, *, repeat: bool) -> None:
    """Refuse a run that was completed before unless a repetition is asked for.

    Attempts that were aborted or cut off need no leave: the next one gets the next number.

    Raises
    ------
    RunLogError
        Naming what is there; also if a table is there that could not be put aside afterwards.
    """
    for journal in layout.root.glob(f"sourcedata/sub-{key.sub}/ses-*/*_journal.jsonl"):
        if is_locked(journal):
            raise RunLogError(str(journal), came="a run of this subject that is being played now",
                              expected="one run at a time",
                              remedy="Wait until it ends, or end it; nothing was changed.")
    complete = [path for path in attempts(layout, key) if has_end(path, complete=True) and not _is_rest(path)]
    tables = [layout.events(part) for part in layout.find_parts(key)]
    complete += [events for events in tables if sidecar_says_complete(events)]
    if complete and not repeat:
        raise RunLogError(str(complete[-1]), came="a run that was played before", expected="a new run",
                          remedy="Add --repeat to play it again; every attempt is kept.")
    for part in layout.find_parts(key):
        _archive_place(layout, part)
    _require_room_for(layout.events(key))


def require_free(folder: Path) -> None:
    """See before a run that there is room for what it will leave.

    Raises
    ------
    RunLogError
        If less than :data:`ROOM_BYTES` are free.
    """
    free = shutil.disk_usage(folder).free
    if free < ROOM_BYTES:
        raise RunLogError(str(folder), came=f"{free / 1e6:.2f} MB of free disk",
                          expected=f"{ROOM_BYTES / 1e6:.0f} MB for the record of a run",
                          remedy="Free some space; nothing was shown or written.")


def _is_rest(journal: Path) -> bool:
    """Say whether an attempt was planned to play a part of the run only."""
    plan = schedule_beside(journal)
    return plan.is_file() and read_json(plan).get("first_trial") is not None


def _require_room_for(events: Path) -> None:
    """See before a run that its table can be written after it: in its folder, or the one where that will be made."""
    folder = next(parent for parent in events.parents if parent.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        came = "a folder without permission to write" if folder.is_dir() else "a file where a folder belongs"
        raise RunLogError(str(folder), came=came, expected="a folder for the run's table",
                          remedy="Check the folder and its permissions; nothing was shown.")


def sidecar_says_complete(events: Path) -> bool:
    """Say whether an events table's sidecar calls the run complete (one that says nothing does)."""
    return bool(_sidecar_of(events).get("RunComplete", True))


def _sidecar_of(events: Path) -> dict[str, Any]:
    """Read the sidecar of an events table, which may come from elsewhere and have none."""
    path = events.with_suffix(".json")
    return dict(read_json(path)) if path.is_file() else {}


def write_events(layout: Layout, *, key: RunKey, attempt: int) -> Path:
    """Make the events table of a run that was played to its end, in the place of earlier ones, which are put aside.

    Where the attempt went on from earlier ones, each of them has a table of its own: the parts of the run
    (:mod:`paradigms.record.parts`). The last one's sidecar says whether they make up the whole.

    Returns
    -------
    Path
        The attempt's own table.

    Raises
    ------
    RunLogError
        If an earlier table cannot be put aside.
    """
    parts = parts_of(layout, key, attempt=attempt)
    numbers = [part.attempt for part in parts]
    archive_events(layout, key)
    path = layout.events(key)
    for number, part in enumerate(parts, start=1):
        path = layout.events(replace(key, part=number))
        said = {"Part": number, "RunAttempts": numbers} if len(parts) > 1 else {}
        last = number == len(parts)
        if last or not _take_back(layout, key, attempt=part.attempt, place=path, said=said):
            _write_attempt(layout, key, attempt=part.attempt, place=path, said={
                **said, "RunComplete": last and make_whole(parts)})
    return path


def _write_attempt(layout: Layout, key: RunKey, *, attempt: int, place: Path, said: dict[str, Any]) -> None:
    """Make an attempt's table from its own record, and what follows from it."""
    settings = read_resolved(layout.resolved_settings(key, attempt=attempt))
    schedule = read_schedule(layout.schedule(key, attempt=attempt))
    records = read_journal(layout.journal(key, attempt=attempt))
    write_pair(place, records=records, schedule=schedule, settings=settings, attempt=attempt,
               earlier=earlier_attempts(layout, key, attempt=attempt),
               said={**said, **series_told(layout, key, attempt=attempt)})
    write_outputs(layout, task_of(key.task, settings), schedule=schedule, records=records, attempt=attempt,
                  current=True)


def _take_back(layout: Layout, key: RunKey, *, attempt: int, place: Path, said: dict[str, Any]) -> bool:
    """Bring the table of an attempt that was put aside to its place as a part; say whether there was one."""
    aside = layout.attempt_file("events.tsv", key, attempt=attempt)
    if not aside.exists():
        return False
    sidecar = aside.with_suffix(".json")
    write_json(place.with_suffix(".json"), {**read_json(sidecar), **said}, overwrite=True)
    aside.rename(place)
    sidecar.unlink()
    return True


def require_same_plan(layout: Layout, schedule: Schedule) -> None:
    """See that a run fits to what its subject was shown before: the same split into sessions, the same TR.

    A seed, a class or a number of sessions that was edited between two sessions gives another split; images
    would then be shown in both sessions, and others never.

    Raises
    ------
    RunLogError
        Naming the earlier attempt that does not fit.
    """
    mine = {event.base_image for event in schedule.events if event.base_image is not None}
    pattern = f"sourcedata/sub-{schedule.sub}/ses-*/*_task-{schedule.task}_*_journal.jsonl"
    for journal in sorted(layout.root.glob(pattern)):  # where there is none, nothing was shown
        path = schedule_beside(journal)
        earlier = read_schedule(path)
        theirs = {event.base_image for event in earlier.events if event.base_image is not None}
        same = theirs - mine if earlier.first_trial is not None else mine ^ theirs  # a rest shows some of them
        odd = same if earlier.ses == schedule.ses else mine & theirs
        came = (f"{min(odd)} and {len(odd) - 1} more images in another session than now" if odd else
                f"a repetition time of {earlier.tr_s:g} s" if earlier.tr_s != schedule.tr_s else "")
        if came:
            raise RunLogError(str(path), came=came, expected="the plan of the settings as they are now",
                              remedy="Restore the seed and the settings that this subject was scanned with.")


def write_pair(path: Path, *, records: list[Record], schedule: Schedule, settings: Settings, attempt: int,
               earlier: list[str], said: Mapping[str, Any]) -> Path:
    """Write an attempt's events table and its sidecar, in which `said` stands too."""
    task = task_of(schedule.task, settings)
    table = events_table(records, schedule, response_window_s=task.response_window_s,
                         unknowable=task.judged.unknowable)
    whole = is_complete(records) and schedule.first_trial is None
    sidecar = events_sidecar(schedule, settings, complete=whole, attempt=attempt,
                             levels=task.levels, delay_s=display_delay_s(records),
                             watch=_watch_of(records, schedule=schedule, n_dummies=settings.scanner.n_dummy_pulses,
                                             display=settings.display))
    devices = next(iter(of_kind(records, "devices")), {})
    meant = {"ButtonMeanings": devices["buttons_mean"]} if "buttons_mean" in devices else {}
    shown = changes_of(records, frame_s=1.0 / settings.display.refresh_hz).to_json()
    record = {"name": path.name, "digest": digest_bytes(table_text(table).encode("utf-8"))}
    write_json(path.with_suffix(".json"), {**sidecar, **meant, "DisplayChanges": shown, "EarlierAttempts": earlier,
                                           TABLE: record, **said},
               overwrite=not path.exists())
    return write_table(path, table)


def _watch_of(records: list[Record], *, schedule: Schedule, n_dummies: int,
              display: DisplaySettings) -> dict[str, Any]:
    """Take the watchdog's report from the last line, or make it from what there is."""
    ends = of_kind(records, "end")
    if ends and isinstance(ends[-1].get("watch"), dict):
        return dict(ends[-1]["watch"])
    return outcome_of(tally_of(records, frame_s=1.0 / display.refresh_hz), schedule=schedule, n_dummies=n_dummies,
                      display=display, reason="cut off", now_s=max(record["t"] for record in records)).watch.to_json()


def archive_events(layout: Layout, key: RunKey) -> None:
    """Move the earlier events tables of this run to sourcedata, each under the attempt that it tells of.

    Raises
    ------
    RunLogError
        If a table of that attempt is there already, or the table is none of this toolkit's.
    """
    for part in layout.find_parts(key):
        events, target = layout.events(part), _archive_place(layout, part)
        sidecar = events.with_suffix(".json")
        write_bytes(target.with_suffix(".json"), sidecar.read_bytes(), overwrite=True)
        events.rename(target)
        sidecar.unlink()


def _archive_place(layout: Layout, key: RunKey) -> Path:
    """Spell where the events table that is there would be kept, or refuse."""
    events = layout.events(key)
    attempt = attempt_in_sidecar(events)
    if attempt is None:
        raise RunLogError(str(events), came="an events table without the number of its attempt",
                          expected="a table of this toolkit", remedy="Move it away by hand; nothing was changed.")
    target = layout.attempt_file("events.tsv", key, attempt=attempt)
    if target.exists():
        raise RunLogError(str(target), came="a table that was archived already", expected="a free name",
                          remedy="Move it away by hand; nothing was changed.")
    return target


def attempt_in_sidecar(events: Path) -> int | None:
    """Give the attempt that an events table tells of, if it says."""
    attempt = _sidecar_of(events).get("Attempt")
    return None if attempt is None else int(attempt)
