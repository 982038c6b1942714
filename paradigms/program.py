"""What a task draws and when: a list of changes of the display, made from a schedule before anything is shown.

The engine knows no task. It takes changes in order, each with its deadline and its frame; a task that moves gives many
small *steps*, of which one that comes too late is left out, so that nothing is ever shown behind its time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from paradigms.devices.protocols import Frame
from paradigms.schedule import BLANK, Schedule
from subjects.errors import ScheduleError
from subjects.settings.study import Settings

ON, OFF, STEP = "on", "off", "step"


@dataclass(frozen=True)
class Change:
    """One change of the display.

    Parameters
    ----------
    at_s : float
        Deadline, in seconds from the first counted pulse.
    what : {"on", "off", "step"}
        An event begins, ends, or goes on with another frame.
    frame : Frame
        What is shown from now on.
    event : int or None
        Index of the event in the schedule.
    step : int or None
        Number of the step, from 0.
    until_s : float
        A step that cannot be shown before this time is left out; events are never left out.
    """

    at_s: float
    what: str
    frame: Frame
    event: int | None = None
    step: int | None = None
    until_s: float = float("inf")


@dataclass(frozen=True)
class Program:
    """How a task is played.

    Parameters
    ----------
    blank : Frame
        What is shown before time zero and between events.
    changes : callable
        Gives the changes anew at every call, in order; they may be made as they are asked for.
    keys : tuple of str
        The task's keys: other presses are recorded and answer nothing.
    image_px : float or None
        Height to which images are brought before the run; None where the display stretches them as it draws: a movie of
        many textures, whose rims are behind an aperture, is ready sooner.
    """

    blank: Frame
    changes: Callable[[], Iterable[Change]]
    keys: tuple[str, ...]
    image_px: float | None


def in_order(changes: Iterable[Change]) -> Iterator[Change]:
    """Hand changes on and see that none comes before the one before it.

    Raises
    ------
    ScheduleError
        If one does.
    """
    last = float("-inf")
    for change in changes:
        if change.at_s < last - 1e-9:
            raise ScheduleError("program", came=f"a change at {change.at_s:.6f} s after one at {last:.6f} s",
                                expected="changes in order", remedy="Report this as a fault of the toolkit.")
        last = change.at_s
        yield change


def image_changes(schedule: Schedule, *, frame_of: Callable[[str | None], Frame]) -> tuple[Change, ...]:
    """List the changes of a task that shows still images, each for its time.

    Parameters
    ----------
    schedule : Schedule
        Events without an image change nothing.
    frame_of : callable
        The frame with an image, or with none.

    Returns
    -------
    tuple of Change
        An image that is followed at once by another needs no "off".
    """
    shown = [event for event in schedule.events if event.image_id is not None]
    found = []
    for k, event in enumerate(shown):
        found.append(Change(event.onset_s, ON, frame_of(event.image_id), event.index))
        follows = shown[k + 1].onset_s if k + 1 < len(shown) else float("inf")
        if follows > event.end_s + 1e-9:
            found.append(Change(event.end_s, OFF, frame_of(None), event.index))
    return tuple(found)


Planner = Callable[[Schedule, Settings], Program]
"""Makes a task's program from a schedule."""


_RANK = {STEP: 0, OFF: 1, ON: 2}


@dataclass(frozen=True)
class Moment:
    """A time at which the display changes; what is drawn then follows from the time alone.

    Parameters
    ----------
    at_s : float
        Seconds from the first counted pulse.
    what : {"on", "off", "step"}
        As for :class:`paradigms.program.Change`.
    event, step : int or None
        Which event; which step of a movie.
    until_s : float
        A step that cannot be shown before this time is left out.
    """

    at_s: float
    what: str
    event: int | None = None
    step: int | None = None
    until_s: float = float("inf")


def moments(schedule: Schedule, *, steps: Iterable[Moment] = ()) -> tuple[Moment, ...]:
    """List when the display changes during a run.

    Parameters
    ----------
    schedule : Schedule
        Every event but a blank begins and ends with a change, and every mark but the first is one, which is never
        left out; a mark between two steps waits for the second, so that no two changes meet in one frame.
    steps : iterable of Moment
        The steps of a movie.

    Returns
    -------
    tuple of Moment
        In order, no two within a microsecond: what falls together is one change, the beginning of an event before
        an end, an end before a step; it keeps the number of the step.
    """
    movie = sorted(steps, key=lambda one: one.at_s)
    found: dict[int, Moment] = {}
    for one in (*movie, *_events(schedule)):
        key = round(one.at_s * 1e6)
        found[key] = _merged(found[key], one) if key in found else one
    starts = [one.at_s for one in movie]
    for mark in schedule.marks[1:]:
        key, k = round(mark.onset_s * 1e6), bisect_right(starts, mark.onset_s) - 1
        within = k >= 0 and mark.onset_s < movie[k].until_s
        if key not in found and not (within and _follows(found, movie[k].until_s)):
            found[key] = Moment(mark.onset_s, STEP)
    return tuple(found[key] for key in sorted(found))


def _follows(found: dict[int, Moment], at_s: float) -> bool:
    """Say whether the display changes at a time anyway, within a microsecond."""
    return any(round(at_s * 1e6) + k in found for k in (-1, 0, 1))


def _events(schedule: Schedule) -> Iterator[Moment]:
    for event in schedule.events:
        if event.trial_type != BLANK:
            yield Moment(event.onset_s, ON, event.index)
            yield Moment(event.end_s, OFF, event.index)


def _merged(first: Moment, second: Moment) -> Moment:
    kept = second if _RANK[second.what] > _RANK[first.what] else first
    return replace(kept, step=first.step if second.step is None else second.step)


def changes(planned: Iterable[Moment], *, frame_at: Callable[[float], Frame]) -> Iterator[Change]:
    """Make the changes of a run as they are asked for, each with the frame of its planned time."""
    for one in planned:
        yield Change(one.at_s, one.what, frame_at(one.at_s), one.event, one.step, one.until_s)
