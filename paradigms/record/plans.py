"""The plans of attempts, as they were written before anything was shown."""

from __future__ import annotations

from pathlib import Path

from paradigms.schedule import Schedule
from subjects.errors import RunLogError
from subjects.store import read_json


def schedule_beside(journal: Path) -> Path:
    """Spell the plan of the attempt that a journal tells of."""
    return journal.with_name(journal.name.replace("_journal.jsonl", "_schedule.json"))


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
