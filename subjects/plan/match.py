"""A subject's series of images against the record: joined session by session, told, kept where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.plan.checklist import KINDS as SCANS
from subjects.plan.checklist import local_time, read_ticks
from subjects.plan.image_sidecars import DAY_S, ECHO_S, Series, read_series
from subjects.plan.matching import DOUBTFUL, EXTRA, FITS, MISSING, NEAR_DAYS, Joined, SessionMatch, match_session
from subjects.plan.scanned import Attempt, read_attempts
from subjects.plan.series_numbers import CLOCK, note_series, source_of, taken_numbers

_COLOURS = {FITS: "green", DOUBTFUL: "yellow", MISSING: "bold red", EXTRA: "bold red"}


@dataclass(frozen=True)
class SubjectMatch:
    """What was joined for a subject.

    Parameters
    ----------
    sub : str
    sessions : tuple of SessionMatch
    scans : dict of str to dict
        By session: how many scans of each kind beside the runs were ticked off, and how many are in the folder.
    n_passed : int
        JSON files of the folder that tell of no image.
    unreadable : tuple of Path
        Those among them that could not be read.
    """

    sub: str
    sessions: tuple[SessionMatch, ...]
    scans: Mapping[str, Mapping[str, tuple[int, int]]]
    n_passed: int
    unreadable: tuple[Path, ...] = ()

    @property
    def fits(self) -> bool:
        """Say whether everything fits."""
        return all(one.fits for one in self.sessions)

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return {"sub": self.sub, "fits": self.fits, "passed_over": self.n_passed,
                "unreadable": [str(path) for path in self.unreadable], "sessions": [
            {"ses": one.ses, "clocks": None if one.clocks is None else vars(one.clocks),
             "step": None if one.step is None else {"by_s": one.step.by_s, "series": one.step.at.number,
                                                    "files": [str(path) for path in one.step.at.files]},
             "joined": [_joined_json(pair) for pair in one.joined],
             "beside": [{"series": other.number, "name": other.name, "kind": other.kind,
                         "files": [str(path) for path in other.files]} for other in one.beside],
             "scans": {kind: {"ticked": ticked, "found": found}
                       for kind, (ticked, found) in self.scans[one.ses].items()}} for one in self.sessions]}


def _joined_json(one: Joined) -> dict[str, Any]:
    attempt, series = one.attempt, one.series
    return {"status": one.status, **({} if attempt is None else {**attempt.key.entities(), "attempt": attempt.number}),
            "began": None if attempt is None or attempt.began_s is None else local_time(attempt.began_s),
            "series": None if series is None else series.number, "name": None if series is None else series.name,
            "files": [] if series is None else [str(path) for path in series.files], "off_s": one.off_s,
            "doubts": list(one.doubts)}


def match_subject(layout: Layout, *, sub: str, folder: Path, ses: str | None = None,
                  offset_s: float | None = None) -> SubjectMatch:
    """Join the series of a folder to a subject's attempts.

    Parameters
    ----------
    layout : Layout
    sub : str
        Subject.
    folder : Path
        Where the images' JSON files are, at any depth.
    ses : str, optional
        One session alone.
    offset_s : float, optional
        Scanner's clock minus the console's (UTC), where it is known.

    Raises
    ------
    RunLogError
        If no attempt of the subject was scanned.
    LayoutError
        As :func:`~subjects.plan.image_sidecars.read_series`.
    """
    attempts = read_attempts(layout, sub=sub)  # all: another session may have a claim to what fits this one
    if not any(ses in (None, one.key.ses) for one in attempts):
        raise RunLogError(f"sub-{sub}{'' if ses is None else f' ses-{ses}'}", came="no attempt at a scanner",
                          expected="runs that were played on a display that the subject sees",
                          remedy="Rehearsals (--display virtual or xvfb) have no images.")
    found, n_passed, unreadable = read_series(folder)
    sessions = sorted({one.key.ses for one in attempts})
    found = tuple(_of_subject(found, sub=sub))
    matches = [match_session([one for one in attempts if one.key.ses == label],
                             list(_of_session(found, label, sessions=sessions, attempts=attempts)), ses=label,
                             offset_s=offset_s) for label in sessions]
    matches = sorted(_shared_doubted(matches), key=lambda one: one.ses != ses)  # an extra series is told of where asked
    told = [_entered_doubted(layout, one, sub=sub) for one in _told_once(matches) if ses in (None, one.ses)]
    return SubjectMatch(sub, tuple(told), {one.ses: _count_scans(layout, one, sub=sub) for one in told}, n_passed,
                        unreadable)


def _doubted(pair: Joined, said: Sequence[str]) -> Joined:
    """Add what speaks against a pair."""
    return replace(pair, status=DOUBTFUL, doubts=(*pair.doubts, *said)) if said else pair


def _shared_doubted(matches: Sequence[SessionMatch]) -> Iterator[SessionMatch]:
    """Doubt every series that more than one session has joined: it can be of one alone."""
    claims: dict[int, list[str]] = {}
    for one in matches:
        for pair in one.joined:
            if pair.attempt is not None and pair.series is not None:
                claims.setdefault(id(pair.series), []).append(one.ses)
    for one in matches:
        yield replace(one, joined=tuple(
            pair if pair.attempt is None or pair.series is None else
            _doubted(pair, [f"joined in ses-{ses} as well" for ses in claims[id(pair.series)] if ses != one.ses])
            for pair in one.joined))


def _entered_doubted(layout: Layout, match: SessionMatch, *, sub: str) -> SessionMatch:
    """Doubt a series whose number was kept for something else of the session: a number is of one thing."""
    entered = list(taken_numbers(layout, sub=sub, ses=match.ses))
    return replace(match, joined=tuple(
        pair if pair.attempt is None or pair.series is None else
        _doubted(pair, [f"series {number} was entered for {what}" for number, what in entered
                        if number == pair.series.number and what != pair.attempt.label]) for pair in match.joined))


def _plain(label: str | None) -> str | None:
    """Give a label as labels are compared: 1 is 01."""
    return None if label is None else (label.lstrip("0") or "0").lower()


def _of_subject(found: Sequence[Series], *, sub: str) -> Iterator[Series]:
    """Leave out series of another subject, if any is named as this one's."""
    named = any(_plain(one.sub) == _plain(sub) for one in found)
    return (one for one in found if not named or one.sub is None or _plain(one.sub) == _plain(sub))


def _of_session(found: Sequence[Series], ses: str, *, sessions: Sequence[str],
                attempts: Sequence[Attempt]) -> Iterator[Series]:
    """Give the series that may be of a session: named as its, else of about its days, else all."""
    known, times = {_plain(one) for one in sessions}, [one.opened_s for one in attempts if one.key.ses == ses]
    for one in found:
        if _plain(one.ses) in known:
            if _plain(one.ses) == _plain(ses):
                yield one
        elif one.began_s is None or one.began_s < DAY_S or min(abs(one.began_s - time) for time in times) < DAY_S * (
                NEAR_DAYS if one.dated else NEAR_DAYS + 1.0):
            yield one


def _told_once(matches: Sequence[SessionMatch]) -> Iterator[SessionMatch]:
    """Take out of a session's extra series what another session has joined, or has told of before."""
    used = {id(pair.series) for one in matches for pair in one.joined if pair.attempt is not None}
    for one in matches:
        kept = tuple(pair for pair in one.joined if pair.attempt is not None or id(pair.series) not in used)
        used |= {id(pair.series) for pair in kept}
        yield replace(one, joined=kept, beside=tuple(other for other in one.beside if id(other) not in used))


def _count_scans(layout: Layout, match: SessionMatch, *, sub: str) -> dict[str, tuple[int, int]]:
    ticks = read_ticks(layout, sub=sub, ses=match.ses)
    return {kind: (len(ticks.get(kind, ())), _n_scans([one for one in match.beside if one.kind == kind]))
            for kind in SCANS}


def _n_scans(found: Sequence[Series]) -> int:
    """Count scans: magnitude and phase of a field map begin at one time and are two series of one scan."""
    times = sorted(one.began_s for one in found if one.began_s is not None)
    return len(found) - sum(after - before <= ECHO_S for before, after in pairwise(times))


def keep_match(layout: Layout, match: SubjectMatch) -> int:
    """Keep the number of every series that fits with its attempt; give how many were written.

    What the operator has entered stays as it is. A number that two series of a session have (:func:`twice`) is of
    neither: it is left to the operator.
    """
    n_written = 0
    for session in match.sessions:
        for one in session.joined:
            attempt, series = one.attempt, one.series
            if one.status != FITS or attempt is None or series is None or series.number in (None, *twice(session)):
                continue
            assert series.number is not None
            if source_of(layout, attempt.key, attempt=attempt.number) in ("", CLOCK):
                note_series(layout, attempt.key, attempt=attempt.number, number=series.number, source=CLOCK, more={
                    "Offset": session.clocks.offset_s if session.clocks else None, "BeginsLater": one.off_s,
                    "Files": [path.name for path in series.files]})
                n_written += 1
    return n_written


def twice(session: SessionMatch) -> tuple[int, ...]:
    """Give the numbers that more than one attempt's series has: the scanner began to count anew."""
    numbers = [pair.series.number for pair in session.joined
               if pair.attempt is not None and pair.series is not None and pair.series.number is not None]
    return tuple(sorted({number for number in numbers if numbers.count(number) > 1}))


def match_lines(match: SubjectMatch) -> list[str | Table]:
    """Lay a match out for a terminal of 80 columns."""
    lines: list[str | Table] = []
    for session in match.sessions:
        lines += [f"sub-{match.sub} ses-{session.ses}", _clocks_told(session), _table(session)]
        if session.step is not None:
            lines.append(f"the scanner's clock seems to change by {session.step.by_s:+.1f} s at "
                         f"{_written(session.step.at.label)}: {session.step.n_pairs} more would fit then")
        lines += [f"series {number} comes twice: --write keeps it with neither; enter it (series --anyway)"
                  for number in twice(session)]
        lines += [f"{kind}: {ticked} ticked off, {found} in the folder"
                  for kind, (ticked, found) in match.scans[session.ses].items() if ticked or found]
        lines += _beside_told(session)
    every = [pair.status for session in match.sessions for pair in session.joined]
    n = sum(status != FITS for status in every)
    lines += [f"passed over, cannot be read: {_written(path.name)}" for path in match.unreadable]
    return [*lines, "everything fits" if match.fits else f"{n} of {len(every)} to look at"]


def _written(text: str) -> str:
    """Give a name of a file in letters that can be printed."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _called(series: Series) -> str:
    """Give a series' name, with its file's where it has no number."""
    return series.name if series.number is not None else f"{series.name} ({_written(series.files[0].name)})"


def _beside_told(session: SessionMatch) -> list[str | Table]:
    """Name every series that was joined to no attempt."""
    if not session.beside:
        return []
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    for one in session.beside:
        table.add_row("?" if one.number is None else str(one.number), Text(_called(one)), one.kind)
    return ["series of no run:", table]


def _clocks_told(session: SessionMatch) -> str:
    """Say how the clocks stand, against this computer's time zone."""
    from datetime import datetime, timedelta

    clocks = session.clocks
    began = next((pair.attempt.began_s for pair in session.joined if pair.attempt is not None), None)
    if clocks is None or began is None:
        return "no time to join by"
    zone = datetime.fromtimestamp(began).astimezone().utcoffset() or timedelta()
    ahead = (clocks.offset_s - zone.total_seconds() + DAY_S / 2) % DAY_S - DAY_S / 2
    whole = round(abs(ahead))
    far = f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}" if whole >= 60 else f"{abs(ahead):.1f} s"
    return (f"scanner's clock {far} {'ahead of' if ahead >= 0 else 'behind'} this computer's, "
            f"from {clocks.n_pairs} series, spread {clocks.spread_s:.1f} s")


def _table(session: SessionMatch) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    for head in ("run", "att", "began", "pulses", "series", "vols", "off", "", "what"):
        table.add_column(head, justify="right" if head in ("att", "pulses", "series", "vols", "off") else "left",
                         no_wrap=head not in ("run", "what"), overflow="fold")
    for one in session.joined:
        attempt, series = one.attempt, one.series
        table.add_row(*(("", "", "", "") if attempt is None else
                        (f"{attempt.key.task} {attempt.key.run}", str(attempt.number),
                         local_time(attempt.began_s or attempt.opened_s)[11:19], str(attempt.n_pulses))),
                      *(("", "") if series is None else
                        ("?" if series.number is None else str(series.number),
                         "" if series.n_volumes is None else str(series.n_volumes))),
                      "" if one.off_s is None else f"{one.off_s:+.1f}", Text(one.status, style=_COLOURS[one.status]),
                      Text("; ".join([*([_called(series)] if series is not None else []), *one.doubts])))
    return table
