"""A run that was shown in several attempts: which of them are its parts, and whether they make up the whole of it.

An attempt that was resumed shows the rest of a run's plan. The attempts that it goes on from and itself are the parts
of the run: each was a scan of its own, with a first pulse, volumes and a BOLD file of its own, and has an events table
of its own, whose time zero is that part's first counted pulse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paradigms.record.plans import read_schedule
from paradigms.record.run_files import attempts
from paradigms.runlog import Record, is_complete, of_kind, read_journal, time_zero
from paradigms.schedule import Event, Schedule
from subjects.errors import RunLogError
from subjects.layout import Layout, key_of
from subjects.run_key import RunKey


@dataclass(frozen=True)
class Part:
    """One attempt's share of a run.

    Parameters
    ----------
    attempt : int
    plan : Schedule
        What it was to show: the whole run or its rest.
    n_shown : int
        Trials of the plan, from its first, that were shown to their end while volumes were taken.
    complete : bool
        Whether it was played to its end.
    """

    attempt: int
    plan: Schedule
    n_shown: int
    complete: bool

    @property
    def first(self) -> int:
        """Number of its first trial in the run, from 1."""
        return self.plan.first_trial or 1

    @property
    def open_trial(self) -> int:
        """Number of the run's first trial that it has not shown to its end, from 1."""
        return self.first + self.n_shown


def count_shown(plan: Schedule, records: Sequence[Record]) -> int:
    """Count the trials that an attempt has shown to their end while volumes were taken.

    Parameters
    ----------
    plan : Schedule
    records : sequence of dict
        The attempt's journal. What was shown after the scanner had stopped was not measured and does not count.
    """
    zero = time_zero(records)
    if zero is None:
        return 0
    last = max(record["t"] for record in records) - zero
    measured = max((pulse["t"] for pulse in of_kind(records, "pulse")), default=zero) - zero + plan.tr_s
    return sum(event.end_s <= min(last, measured) for event in plan.events)


def read_part(layout: Layout, key: RunKey, *, attempt: int) -> Part:
    """Read what an attempt showed of its run."""
    plan, records = (read_schedule(layout.schedule(key, attempt=attempt)),
                     read_journal(layout.journal(key, attempt=attempt)))
    complete = is_complete(records)
    return Part(attempt, plan, len(plan.events) if complete else count_shown(plan, records), complete)


def last_scanned(layout: Layout, key: RunKey, *, before: int | None = None) -> int | None:
    """Give the number of the last attempt (before one) that had its first pulse; None if none had."""
    numbers = [(named[1], path) for path in attempts(layout, key) if (named := key_of(path)) is not None]
    return next((number for number, path in reversed(numbers) if (before is None or number < before)
                 and was_scanned(path)), None)


def was_scanned(journal: Path) -> bool:
    """Say whether an attempt had its first pulse; one whose record is damaged can be no part of a run."""
    try:
        return time_zero(read_journal(journal)) is not None
    except RunLogError:
        return False


def parts_of(layout: Layout, key: RunKey, *, attempt: int) -> tuple[Part, ...]:
    """Read the parts of a run whose last is an attempt: itself, and those that it goes on from.

    Returns
    -------
    tuple of Part
        One alone for an attempt at the whole run.
    """
    part = read_part(layout, key, attempt=attempt)
    earlier = last_scanned(layout, key, before=attempt) if part.plan.first_trial is not None else None
    return (part,) if earlier is None else (*parts_of(layout, key, attempt=earlier), part)


def make_whole(parts: Sequence[Part]) -> bool:
    """Say whether parts show every trial of their run, in the order of one plan.

    Parameters
    ----------
    parts : sequence of Part
        As :func:`parts_of` gives them.
    """
    whole, reached = [_shown(event) for event in parts[0].plan.events], 0
    for part in parts:
        same = [_shown(event) for event in part.plan.events] == whole[part.first - 1:]
        if not same or part.first > reached + 1:
            return False
        reached = max(reached, part.open_trial - 1)
    return parts[-1].complete and reached == len(whole)


def _shown(event: Event) -> tuple[str, str | None, int | None, float]:
    return event.trial_type, event.image_id, event.presentation, event.duration_s


def open_trial(layout: Layout, key: RunKey) -> tuple[int, int] | None:
    """Say where a run that was cut short goes on.

    Returns
    -------
    tuple of int or None
        Its first trial that was not shown to its end, from 1, and how many it has; None where no attempt was scanned,
        or the last one showed all.
    """
    attempt = last_scanned(layout, key)
    if attempt is None:
        return None
    part = read_part(layout, key, attempt=attempt)
    n_trials = part.first - 1 + len(part.plan.events)
    return None if part.open_trial > n_trials else (part.open_trial, n_trials)
