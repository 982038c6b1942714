"""The attempts at a subject's runs by the wall clock, read from their journals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subjects.layout import Layout, key_of
from subjects.plan.series_numbers import series_of
from subjects.run_key import RunKey
from subjects.store import read_json

UNSEEN = ("virtual", "xvfb")
"""Displays of a rehearsal: no scanner measured."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a run, as its journal tells.

    Parameters
    ----------
    key : RunKey
    number : int
        Which attempt.
    opened_s, ended_s : float
        Wall clock of the first and the last line, in seconds since 1970.
    began_s : float or None
        Wall clock of the first pulse of the run, dummy volumes included; None if none came.
    n_pulses : int
        Pulses from that on; doubles left out.
    tr_s : float or None
        Repetition time of its plan.
    complete : bool
        Whether it was played to its end.
    series : int or None
        The scanner's series, where it is known.
    """

    key: RunKey
    number: int
    opened_s: float
    ended_s: float
    began_s: float | None
    n_pulses: int
    tr_s: float | None
    complete: bool
    series: int | None = None

    @property
    def label(self) -> str:
        """Name it for a person."""
        return f"{self.key.task} run {self.key.run}, attempt {self.number}"


def read_attempts(layout: Layout, *, sub: str, ses: str | None = None) -> tuple[Attempt, ...]:
    """Read all attempts at the runs of a subject, or of one session, in the order in which they were begun.

    Those on a display that nobody sees are left out: they were rehearsals without a scanner.
    """
    journals = layout.root.glob(f"sourcedata/sub-{sub}/ses-{ses or '*'}/*_journal.jsonl")
    found = (_read(layout, path) for path in journals)
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.opened_s))


def _read(layout: Layout, journal: Path) -> Attempt | None:
    named, lines = key_of(journal), list(_lines(journal))
    if named is None or not lines or any(line.get("display") in UNSEEN for line in lines[:3]):
        return None
    key, number = named
    pulses = [line for line in lines if line.get("kind") == "pulse" and line.get("amiss") != "double"]
    plan = layout.schedule(key, attempt=number)
    return Attempt(key, number, opened_s=lines[0]["wall"], ended_s=lines[-1]["wall"],
                   began_s=_wall_of(pulses[0]) if pulses else None, n_pulses=len(pulses),
                   tr_s=float(read_json(plan)["tr_s"]) if plan.is_file() else None,
                   complete=any(line.get("kind") == "end" and line.get("complete") is True for line in lines),
                   series=series_of(layout, key, attempt=number))


def _lines(journal: Path) -> Iterator[dict[str, Any]]:
    """Give the lines of a journal that say when they were written; a torn one tells nothing."""
    for line in journal.read_bytes().split(b"\n"):
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict) and isinstance(told.get("wall"), int | float):
            yield told


def _wall_of(pulse: dict[str, Any]) -> float:
    """Give the wall clock's time of a pulse: its own stamp and the distance of the two clocks; its line's time else."""
    offset = pulse.get("offset")
    return float(pulse["wall"]) if offset is None else float(pulse["t"]) + float(offset)
