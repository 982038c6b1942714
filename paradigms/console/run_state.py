"""What the person at the console needs to know of a run, folded from its journal line by line.

The view follows the file on disk: it shows what is safe, runs in a process of its own, and can be opened on any
journal, finished or not. Everything here is pure but :func:`follow`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from paradigms.detection import EPS_S, detect
from paradigms.record.changes import Changes
from paradigms.runlog import Record
from paradigms.schedule import Event, Schedule
from subjects.settings.display import DisplaySettings

STATES = ("starting", "waiting for the trigger", "running", "complete", "ended early")
SAFE = "safe: press {key} to arm"


@dataclass(frozen=True)
class RunView:
    """A run as far as its journal tells.

    Parameters
    ----------
    schedule : Schedule
        The plan.
    state : str
        One of :data:`STATES`, or :data:`SAFE` with the key and the stray pulses so far.
    zero_s : float or None
        Stamp of the first counted pulse.
    now_s : float
        Time of the last record, in the clock's seconds.
    n_stray : int
        Pulses before the run was armed, and
    n_lost : int
        devices that were lost while it was on.
    n_pulses, n_missed, n_amiss : int
        Pulses in all, volumes without a pulse, and doubles or pulses off the grid.
    last_pulse_s : float or None
        Stamp of the last pulse.
    n_shown, n_late : int
        Events shown, and those shown more than a frame late.
    worst_s : float
        Largest onset error.
    n_asked, n_answered : int
        Events shown so far that ask for an answer, and those that were answered.
    n_judged, n_right : int
        Events among them that tell of attention, and those of them that were answered rightly.
    attention : frozenset of str
        Their trial types; empty: all (:class:`paradigms.tasks.scoring.Judged`).
    least_right, least_answered : float
        Shares of right answers, and of answers, from which on the subject counts as attentive.
    last_key : str or None
        The last press of any key, and
    last_key_s : float or None
        its stamp.
    current : int or None
        Index of the event that waits for its answer.
    reason : str
        How it ended.
    faults : tuple of str
        What the watchdog said at the end.
    frame_s : float
        Length of a frame.
    changes : Changes
        All changes of the display, and the steps of a movie.
    bounds : DisplaySettings
        How many may be late or skipped.
    window_s : float
        How long a change of the fixation point, or a repeated image, may be answered.
    targets_s, presses_s : tuple of float
        When they were seen, and presses of the task's keys.
    since_s : float or None
        When the wait for the arm key or the trigger began.
    trigger : str
        What the trigger is: "key '5'".
    arm_key : str or None
        The key that is waited for while the run is safe.
    abort_key : str
        The key that ends the run.
    """

    schedule: Schedule
    state: str = STATES[0]
    zero_s: float | None = None
    now_s: float = 0.0
    n_pulses: int = 0
    n_missed: int = 0
    n_amiss: int = 0
    last_pulse_s: float | None = None
    n_shown: int = 0
    n_late: int = 0
    worst_s: float = 0.0
    n_asked: int = 0
    n_answered: int = 0
    n_right: int = 0
    last_key: str | None = None
    last_key_s: float | None = None
    current: int | None = None
    reason: str = ""
    faults: tuple[str, ...] = ()
    frame_s: float = 1 / 120
    n_stray: int = 0
    n_lost: int = 0
    window_s: float = 1.0
    targets_s: tuple[float, ...] = ()
    presses_s: tuple[float, ...] = ()
    n_marks: int = 0
    changes: Changes = field(default_factory=Changes)
    bounds: DisplaySettings = field(default_factory=DisplaySettings)
    n_judged: int = 0
    since_s: float | None = None
    trigger: str = "the scanner"
    arm_key: str | None = None
    abort_key: str = "escape"
    attention: frozenset[str] = frozenset()
    least_right: float = 0.5
    least_answered: float = 0.8

    @property
    def ended(self) -> bool:
        """Say whether the last line was written."""
        return self.state in STATES[3:]

    def elapsed_s(self, now_s: float | None = None) -> float:
        """Give the seconds since the first counted pulse; 0 before it, never more than the run's length."""
        if self.zero_s is None:
            return 0.0
        return min(max((self.now_s if now_s is None or self.ended else now_s) - self.zero_s, 0.0),
                   self.schedule.duration_s)

    def left_s(self, now_s: float | None = None) -> float:
        """Give the seconds that are left."""
        return self.schedule.duration_s - self.elapsed_s(now_s)

    @property
    def volume(self) -> int:
        """Number of the volume that the last pulse began, from 1; 0 before time zero."""
        if self.zero_s is None or self.last_pulse_s is None or self.last_pulse_s < self.zero_s - 1e-6:
            return 0
        return 1 + round((self.last_pulse_s - self.zero_s) / self.schedule.tr_s)

    def next_event(self, now_s: float | None = None) -> Event | None:
        """Give the next event of the plan."""
        at = self.elapsed_s(now_s) if self.zero_s is not None else -1.0
        return next((event for event in self.schedule.events if event.onset_s > at), None)

    @property
    def answers(self) -> tuple[int, int]:
        """Give the right answers and the moments that asked for one, those that still wait left out."""
        if not self.targets_s:
            return self.n_right, self.n_judged - (self._waits and self.tells(self.current))
        found = detect(self.targets_s, self.presses_s, window_s=self.window_s).reaction_s
        closed = [reaction for target, reaction in zip(self.targets_s, found, strict=True)
                  if reaction is not None or target + self.window_s <= self.now_s]
        return sum(reaction is not None for reaction in closed), len(closed)

    @property
    def share_answered(self) -> float | None:
        """Share of the events with a right answer that were answered; None before the first, or in a detection."""
        closed = self.n_asked - self._waits
        return self.n_answered / closed if closed and not detects(self.schedule) else None

    @property
    def _waits(self) -> bool:
        """Whether an event was shown last that may still be answered."""
        return self.current is not None and not self.ended

    def tells(self, index: int | None) -> bool:
        """Whether an event's answer tells of attention."""
        return index is not None and (not self.attention or self.schedule.events[index].trial_type in self.attention)

    @property
    def hit_rate(self) -> float | None:
        """Share of right answers among the moments that asked for one; None before the first."""
        right, asked = self.answers
        return right / asked if asked else None


def fold(view: RunView, record: Record) -> RunView:
    """Take one journal line into the view.

    Parameters
    ----------
    view : RunView
    record : dict
        A line of the journal; kinds that say nothing to a person are passed over.

    Returns
    -------
    RunView
    """
    view = replace(view, now_s=max(view.now_s, float(record["t"])), changes=view.changes.take(record))
    taken = _FOLDS.get(str(record["kind"]))
    return taken(view, record) if taken else view


def fold_all(schedule: Schedule, records: Sequence[Record], *, frame_s: float = 1 / 120, window_s: float = 1.0,
             attention: frozenset[str] = frozenset()) -> RunView:
    """Give the view of a whole journal."""
    view = RunView(schedule, frame_s=frame_s, window_s=window_s, attention=attention, changes=Changes(frame_s))
    for record in records:
        view = fold(view, record)
    return view


def _devices(view: RunView, record: Record) -> RunView:
    return replace(view, trigger=str(record.get("trigger", view.trigger)),
                   abort_key=str(record.get("abort_key", view.abort_key)))


def _start(view: RunView, record: Record) -> RunView:
    return replace(view, state=STATES[1], since_s=float(record["t"]), arm_key=None)


def _safe(view: RunView, record: Record) -> RunView:
    key = str(record["key"])
    return replace(view, state=SAFE.format(key=key), since_s=float(record["t"]), arm_key=key)


def _stray(view: RunView, record: Record) -> RunView:  # noqa: ARG001 - a fold's signature
    state, n = view.state.partition(" (")[0], view.n_stray + 1
    return replace(view, n_stray=n, state=f"{state} ({n} stray)" if state.startswith("safe") else view.state)


def _fault(view: RunView, record: Record) -> RunView:
    text, n = f"{record['device']} failed: {record['said']}", int(record.get("n", 1))
    if n > 1:  # counted at the end of the run
        return replace(view, faults=tuple(f"{one} ({n} times)" if one == text else one for one in view.faults))
    return replace(view, n_lost=view.n_lost + 1, faults=(*view.faults, text))


def _zero(view: RunView, record: Record) -> RunView:
    return replace(view, state=STATES[2], zero_s=float(record["t"]))


def _pulse(view: RunView, record: Record) -> RunView:
    amiss = str(record.get("amiss") or "")
    missed = int(amiss.split(maxsplit=1)[0]) if amiss.endswith("missed") else 0
    odd = bool(amiss) and not missed
    last = view.last_pulse_s if odd else float(record["t"])
    return replace(view, n_pulses=view.n_pulses + 1, n_missed=view.n_missed + missed, n_amiss=view.n_amiss + odd,
                   last_pulse_s=last)


def _flip(view: RunView, record: Record) -> RunView:
    view = _marks(view, record)
    if record["what"] != "on":
        return view
    error = float(record["t"]) - float(record["planned"])
    event = view.schedule.events[int(record["event"])]
    asks = event.correct_key is not None
    detected = asks and detects(view.schedule)
    return replace(view, n_shown=view.n_shown + 1, n_late=view.n_late + (error > view.frame_s),
                   worst_s=max(view.worst_s, abs(error)), n_asked=view.n_asked + asks,
                   n_judged=view.n_judged + (asks and view.tells(event.index)),
                   targets_s=(*view.targets_s, float(record["t"])) if detected else view.targets_s,
                   current=event.index if asks else None)


def detects(schedule: Schedule) -> bool:
    """Say whether the task asks for a press now and then, not for an answer to every image."""
    return bool(schedule.marks) or len({event.correct_key for event in schedule.events} - {None}) == 1


def _marks(view: RunView, record: Record) -> RunView:
    """Take in the changes of the fixation point that a flip has shown."""
    if view.zero_s is None or not view.schedule.marks:
        return view
    asked = [mark for mark in view.schedule.marks if mark.correct_key is not None]
    planned, seen = float(record["planned"]) - view.zero_s, view.n_marks
    new = sum(mark.onset_s <= planned + EPS_S for mark in asked[seen:])
    return replace(view, n_marks=seen + new, targets_s=(*view.targets_s, *[float(record["t"])] * new))


def _press(view: RunView, record: Record) -> RunView:
    view = replace(view, last_key=str(record["key"]), last_key_s=float(record["t"]))
    if not record.get("task"):
        return view
    view = replace(view, presses_s=(*view.presses_s, float(record["t"])))
    if view.current is None:
        return view
    right = view.tells(view.current) and view.schedule.events[view.current].correct_key == view.last_key
    return replace(view, n_answered=view.n_answered + 1, n_right=view.n_right + right, current=None)


def _end(view: RunView, record: Record) -> RunView:
    return replace(view, state=STATES[3] if record["complete"] else STATES[4], reason=str(record["reason"]),
                   faults=tuple(record.get("watch", {}).get("faults", ())))


_FOLDS: dict[str, Callable[[RunView, Record], RunView]] = {
    "devices": _devices, "start": _start, "safe": _safe, "stray": _stray, "armed": _start, "fault": _fault,
    "zero": _zero, "pulse": _pulse, "flip": _flip, "press": _press, "end": _end}


def follow(journal: Path, *, alive: Callable[[], bool], poll_s: float = 0.1) -> Iterator[list[Record]]:
    """Read a journal while it grows.

    Parameters
    ----------
    journal : Path
        May not be there yet.
    alive : callable
        Whether there is still someone who writes it.
    poll_s : float
        How often to look.

    Yields
    ------
    list of dict
        The whole lines that came since; empty when none did. Ends after the last line once nobody writes.
    """
    position, torn = 0, b""
    while True:
        going_on = alive()
        if journal.is_file():
            with journal.open("rb") as file:
                file.seek(position)
                data = file.read()
            position += len(data)
            *lines, torn = (torn + data).split(b"\n")
            yield [json.loads(line) for line in lines]
        else:
            yield []
        if not going_on:
            return
        time.sleep(poll_s)
