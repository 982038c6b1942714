"""What a task draws and when: a list of changes of the display, made from a schedule before anything is shown.

The engine knows no task. It takes changes in order, each with its deadline and its frame; a task that moves gives many
small *steps*, of which one that comes too late is left out, so that nothing is ever shown behind its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from paradigms.devices.protocols import Frame
from paradigms.schedule import Schedule
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
        What stands from now on.
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
        What stands before time zero and between events.
    changes : callable
        Gives the changes anew at every call, in order; they may be made as they are asked for.
    keys : tuple of str
        The task's keys: other presses are recorded and answer nothing.
    image_px : float
        Height at which images are drawn.
    """

    blank: Frame
    changes: Callable[[], Iterable[Change]]
    keys: tuple[str, ...]
    image_px: float


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
