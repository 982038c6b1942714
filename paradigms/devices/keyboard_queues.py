"""Keyboards told apart: a queue of Psychtoolbox's for each, with the methods that are used of PsychoPy's keyboard.

PsychoPy knows one keyboard in a process, which is all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from subjects.errors import DeviceError, nearest

SLOTS = 100_000
LIST = "`python run_session.py keyboards` lists them"


@dataclass
class QueuedKey:
    """A key that went down; `duration` once it was let go."""

    name: str
    tDown: float  # noqa: N815 - PsychoPy's name, as the next two
    rt: float
    duration: float | None = None


class QueuedKeyboard:
    """One keyboard.

    Parameters
    ----------
    queue : psychtoolbox.hid.Keyboard
        Or a double of it: ``flush(flush_type=1)`` says how many events wait, ``queue_get_event()`` gives one.
    key_names : mapping of int to str
        The keyboard's names by their codes.
    clock : object
        ``getTime()`` gives the time in which the queue stamps.
    """

    def __init__(self, queue: Any, *, key_names: Mapping[int, str], clock: Any) -> None:
        self._queue, self._names, self.clock = queue, key_names, clock
        self._down: dict[int, QueuedKey] = {}
        self._released: list[QueuedKey] = []

    def clearEvents(self) -> None:  # noqa: N802
        """Forget what has come."""
        self._take()
        self._down, self._released = {}, []

    def getKeys(self, *, waitRelease: bool, clear: bool) -> list[QueuedKey]:  # noqa: N802, N803
        """Give the keys that were let go, or those that are down; `clear` takes what was let go away."""
        self._take()
        if not waitRelease:
            return list(self._down.values())
        given = list(self._released)
        if clear:
            self._released = []
        return given

    def _take(self) -> None:
        while self._queue.flush(flush_type=1):
            event, _ = self._queue.queue_get_event()
            code, at = int(event["Keycode"]), float(event["Time"])
            if event["Pressed"]:
                self._let_go(code, at)  # its release was missed
                self._down[code] = QueuedKey(self._names.get(code, f"code {code}"), at, at)
            else:
                self._let_go(code, at)

    def _let_go(self, code: int, at: float) -> None:
        key = self._down.pop(code, None)
        if key is not None:
            key.duration = at - key.tDown
            self._released.append(key)


class QueueClock:
    """The clock in which Psychtoolbox stamps keys: on Linux the wall clock."""

    def getTime(self) -> float:  # noqa: N802 - PsychoPy's name
        """Give its time in seconds."""
        from psychtoolbox import GetSecs

        return float(GetSecs())


def keyboard_names() -> list[str]:
    """List the keyboards by the names that the window system gives them."""
    from psychtoolbox import hid

    return [str(name) for name in hid.get_keyboard_indices()[1]]


def require_keyboards(wanted: Sequence[str], *, found: Sequence[str]) -> None:
    """Refuse a keyboard that is not there, or a name that several have.

    Raises
    ------
    DeviceError
        Naming the nearest.
    """
    for name in wanted:
        if (count := list(found).count(name)) != 1:
            came = f"{name!r}, which is not there" if not count else f"{name!r}, the name of {count} keyboards"
            raise DeviceError("keyboard.devices", came=came, expected=f"one of {', '.join(map(repr, found)) or 'none'}",
                              remedy=f"{nearest(name, found) if found else 'Plug the box in.'} {LIST}.")


def open_keyboards(wanted: Sequence[str], *, key_names: Mapping[int, str], clock: Any) -> dict[str, QueuedKeyboard]:
    """Listen to every keyboard, each by its name.

    Parameters
    ----------
    wanted : sequence of str
        Those that must be there.
    key_names, clock
        As for a :class:`QueuedKeyboard`.

    Raises
    ------
    DeviceError
        If one of them is not there.
    """
    from psychtoolbox import hid

    indices, names, _ = hid.get_keyboard_indices()
    require_keyboards(wanted, found=[str(name) for name in names])
    made: dict[str, QueuedKeyboard] = {}
    for k, (index, name) in enumerate(zip(indices, names, strict=True)):
        queue = hid.Keyboard(index)
        queue._create_queue(SLOTS, win_handle=None)
        queue.queue_start()
        made[str(name) if str(name) not in made else f"{name} ({k})"] = QueuedKeyboard(
            queue, key_names=key_names, clock=clock)
    return made
