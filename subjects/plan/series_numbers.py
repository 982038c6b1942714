"""The scanner's series of each attempt at a run: entered by the operator, or found by the clock.

A run that was broken off and played again leaves as many series as attempts. The number is kept with the attempt
(``*_attempt-NN_series.json`` in sourcedata) and repeated in the sidecar of its events table, under the name that
DICOM and the sidecars of converted images use: ``SeriesNumber``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from subjects.errors import RunLogError
from subjects.layout import Layout, key_of
from subjects.plan.checklist import local_time, read_ticks
from subjects.run_key import RunKey
from subjects.store import read_json, write_json

FIELD = "SeriesNumber"
OPERATOR, CLOCK = "operator", "clock"


def series_of(layout: Layout, key: RunKey, *, attempt: int) -> int | None:
    """Give the number of the series of an attempt; None where it is not known."""
    path = layout.series(key, attempt=attempt)
    return int(read_json(path)[FIELD]) if path.is_file() else None


def series_told(layout: Layout, key: RunKey, *, attempt: int) -> dict[str, int]:
    """Give what the sidecar of an attempt's events table says of its series."""
    number = series_of(layout, key, attempt=attempt)
    return {} if number is None else {FIELD: number}


def source_of(layout: Layout, key: RunKey, *, attempt: int) -> str:
    """Say who named the series of an attempt: the operator or the clock; empty where nobody did."""
    path = layout.series(key, attempt=attempt)
    return str(read_json(path).get("Source", OPERATOR)) if path.is_file() else ""


def note_series(layout: Layout, key: RunKey, *, attempt: int, number: int, source: str = OPERATOR,
                more: Mapping[str, Any] | None = None) -> None:
    """Keep the number of an attempt's series, in its record and in the sidecar of its events table.

    Parameters
    ----------
    layout : Layout
    key : RunKey
        The run, and
    attempt : int
        which attempt at it.
    number : int
        The scanner's number of the series, from 1.
    source : {"operator", "clock"}
        Who says so.
    more : mapping, optional
        What else the record is to hold.

    Raises
    ------
    RunLogError
        If there is no such attempt.
    """
    if not layout.journal(key, attempt=attempt).is_file():
        raise RunLogError(str(layout.journal(key, attempt=attempt)), came="no such attempt",
                          expected="an attempt that was played", remedy="See `python -m subjects plan`.")
    now = time.time()
    write_json(layout.series(key, attempt=attempt),
               {FIELD: number, "Source": source, "wall": now, "time": local_time(now), **(more or {})}, overwrite=True)
    tables = [*(layout.events(part) for part in layout.find_parts(key)),
              layout.attempt_file("events.tsv", key, attempt=attempt)]
    for sidecar in (table.with_suffix(".json") for table in tables):
        if sidecar.is_file() and (content := read_json(sidecar)).get("Attempt") == attempt:
            write_json(sidecar, {**content, FIELD: number}, overwrite=True)


def last_played(layout: Layout, key: RunKey) -> int:
    """Give the number of the last attempt at a run that left a journal.

    Raises
    ------
    RunLogError
        If there is none.
    """
    journals = layout.source_dir(key.sub, key.ses).glob(f"{key}_attempt-*_journal.jsonl")
    numbers = [named[1] for path in journals if (named := key_of(path)) is not None]
    if not numbers:
        raise RunLogError(str(key), came="no attempt", expected="a run that was played",
                          remedy="See `python -m subjects plan`.")
    return max(numbers)


def taken_numbers(layout: Layout, *, sub: str, ses: str) -> Iterator[tuple[int, str]]:
    """List the series of a session whose number is known, each with what it is of."""
    for path in sorted(layout.source_dir(sub, ses).glob("*_journal.jsonl")):
        named = key_of(path)
        if named is not None and (number := series_of(layout, named[0], attempt=named[1])) is not None:
            yield number, f"{named[0].task} run {named[0].run}, attempt {named[1]}"
    for kind, ticks in read_ticks(layout, sub=sub, ses=ses).items():
        for one in ticks:
            if FIELD in one:
                yield int(one[FIELD]), f"{kind} {one['number']}"


def require_free_number(layout: Layout, number: int, *, sub: str, ses: str, mine: str) -> None:
    """Refuse a number that something else of the session has.

    Parameters
    ----------
    layout : Layout
    number : int
        The number that is to be kept.
    sub, ses : str
        Whose session.
    mine : str
        What it is for, as :func:`taken_numbers` names it: its own number may be entered again.

    Raises
    ------
    RunLogError
        Naming what has it.
    """
    for taken, what in taken_numbers(layout, sub=sub, ses=ses):
        if taken == number and what != mine:
            raise RunLogError("series", came=f"{number}, the series of {what}", expected="a number of its own",
                              remedy="Correct the other entry first; add --anyway if the scanner began to count anew.")
