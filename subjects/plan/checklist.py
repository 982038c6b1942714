"""What is scanned beside the runs: localizers, field maps, T1; ticked off on the run sheet, with the time."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from subjects.errors import ScheduleError, nearest
from subjects.layout import Layout
from subjects.settings.paradigms import ScansSettings
from subjects.store import read_json, write_json

LOCALIZER, FIELD_MAP, T1 = KINDS = ("localizer", "field map", "T1")


@dataclass(frozen=True)
class Scan:
    """One scan of a session beside its runs.

    Parameters
    ----------
    ses, kind : str
        Session label; one of :data:`KINDS`.
    number, of : int
        Which of how many of its kind, from 1; one past `of` was scanned beyond the sheet.
    before : int
        It comes before the session's run of this place, from 0; the number of its runs: after the last.
    done_wall : float or None
        When it was ticked off, in seconds since 1970.
    series : int or None
        The scanner's number of the series, where it was entered.
    """

    ses: str
    kind: str
    number: int
    of: int
    before: int
    done_wall: float | None = None
    series: int | None = None

    @property
    def name(self) -> str:
        """Name it as the operator knows it.

        Examples
        --------
        >>> Scan("01", "field map", 2, 3, before=0).name
        'field map 2 of 3'
        """
        if self.number > self.of:
            return f"{self.kind} {self.number}, beyond the sheet"
        return self.kind if self.of == 1 else f"{self.kind} {self.number} of {self.of}"


def plan_scans(settings: ScansSettings, *, ses: str, n_runs: int, done: Mapping[str, Any]) -> tuple[Scan, ...]:
    """List what is scanned beside the runs of a session, in order.

    Parameters
    ----------
    settings : ScansSettings
        How many of each.
    ses : str
        Session label: its number, as sessions of a study are named.
    n_runs : int
        How many runs it has.
    done : mapping
        What was ticked off, as :func:`read_ticks` gives it.

    Returns
    -------
    tuple of Scan
        Localizers first, a field map before each of as many even shares of the runs, T1 after the last run.
    """
    found = []
    for kind, of in settings.counts(int(ses)).items():
        ticks = {int(one["number"]): one for one in done.get(kind, ())}
        for number in range(1, max([of, *ticks]) + 1):
            if number > of and number not in ticks:
                continue
            tick = ticks.get(number, {})
            found.append(Scan(ses, kind, number, of, before=_place(kind, number, of=of, n_runs=n_runs),
                              done_wall=tick.get("wall"), series=tick.get("SeriesNumber")))
    return tuple(sorted(found, key=lambda scan: scan.before))


def _place(kind: str, number: int, *, of: int, n_runs: int) -> int:
    if kind == FIELD_MAP and number <= of:
        return math.floor((number - 1) * n_runs / of)
    return 0 if kind == LOCALIZER else n_runs


def read_ticks(layout: Layout, *, sub: str, ses: str) -> dict[str, list[dict[str, Any]]]:
    """Read what was ticked off in a session, by kind."""
    path = layout.scans(sub, ses)
    if not path.is_file():
        return {}
    found: dict[str, list[dict[str, Any]]] = {}
    for one in read_json(path).get("scans", ()):
        found.setdefault(str(one["kind"]), []).append(one)
    return found


def tick(layout: Layout, scan: Scan, *, sub: str, series: int | None = None, wall: float | None = None) -> None:
    """Tick a scan off, or enter its series; an entry that is there keeps its time unless another is given.

    Parameters
    ----------
    layout : Layout
    scan : Scan
        Of the sheet, or one beyond it.
    sub : str
        Subject.
    series : int, optional
        The scanner's number of the series.
    wall : float, optional
        When; default: now.
    """
    ticks = read_ticks(layout, sub=sub, ses=scan.ses)
    others = [one for one in ticks.get(scan.kind, ()) if one["number"] != scan.number]
    known = next((one for one in ticks.get(scan.kind, ()) if one["number"] == scan.number), {})
    at = known.get("wall", time.time()) if wall is None else wall
    number = known.get("SeriesNumber") if series is None else series
    mine = {"kind": scan.kind, "number": scan.number, "wall": at, "time": local_time(at),
            **({} if number is None else {"SeriesNumber": number})}
    _write(layout, {**ticks, scan.kind: [*others, mine]}, sub=sub, ses=scan.ses)


def untick(layout: Layout, scan: Scan, *, sub: str) -> None:
    """Take a tick back."""
    ticks = read_ticks(layout, sub=sub, ses=scan.ses)
    left = [one for one in ticks.get(scan.kind, ()) if one["number"] != scan.number]
    _write(layout, {**ticks, scan.kind: left}, sub=sub, ses=scan.ses)


def _write(layout: Layout, ticks: Mapping[str, list[dict[str, Any]]], *, sub: str, ses: str) -> None:
    ordered = sorted((one for some in ticks.values() for one in some), key=lambda one: one["wall"])
    write_json(layout.scans(sub, ses), {"scans": ordered}, overwrite=True)


def local_time(wall: float) -> str:
    """Write a time with this computer's time zone, as ISO 8601 does."""
    from datetime import datetime

    return datetime.fromtimestamp(wall).astimezone().isoformat(timespec="seconds")


def find_scan(scans: tuple[Scan, ...], *, ses: str, kind: str, number: int | None) -> Scan:
    """Find a scan of the sheet: the one of a number, else the first of its kind that is not ticked off, else a new one.

    Raises
    ------
    ScheduleError
        For an unknown kind, or a number that is neither on the sheet nor the next beyond it.
    """
    if kind not in KINDS:
        raise ScheduleError("--scan", came=repr(kind), expected=f"one of {', '.join(KINDS)}",
                            remedy=nearest(kind, KINDS))
    mine = [one for one in scans if one.ses == ses and one.kind == kind]
    following = Scan(ses, kind, len(mine) + 1, mine[0].of if mine else 0, before=0)
    if number is None:
        return next((one for one in mine if one.done_wall is None), following)
    for one in (*mine, following):
        if one.number == number:
            return one
    raise ScheduleError("--number", came=str(number), expected=f"1 to {following.number} for a {kind} of ses-{ses}",
                        remedy="Scans are counted from 1; see `python -m subjects plan`.")
