"""What devices with a thread of their own share: stamped things that wait for the poll, and a failure told once.

A thread that reads a device must come to its turn while the run computes: Python lets a busy thread work on for 5 ms
by default, which is more than a short pulse. :func:`shorten_turns` brings that to half a millisecond.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable

from subjects.errors import DeviceError

TURN_S = 0.0005
JOIN_S = 2.0
Stamped = tuple[float, int]


def shorten_turns() -> None:
    """Let threads take turns at least every half millisecond, for as long as the process lives."""
    if sys.getswitchinterval() > TURN_S:
        sys.setswitchinterval(TURN_S)


class Inbox:
    """Where a reading thread puts what came, and the poll takes it from."""

    def __init__(self) -> None:
        self._waiting: deque[Stamped] = deque()
        self._failure: DeviceError | None = None
        self._told = False

    def put(self, stamp_s: float, value: int) -> None:
        """Add something that came."""
        self._waiting.append((stamp_s, value))

    def fail(self, error: DeviceError) -> None:
        """Say that nothing more will come, and why."""
        self._failure = error

    def clear(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        self._failure, self._told = None, False

    def take(self) -> list[Stamped]:
        """Give what came since the last call.

        Raises
        ------
        DeviceError
            Once, after everything that came before the device was lost was given.
        """
        failure, found = self._failure, []
        while self._waiting:
            found.append(self._waiting.popleft())
        if failure is not None and not found and not self._told:
            self._told = True
            raise failure
        return found


class ReaderThread:
    """A thread that reads until it is stopped or its device fails.

    Parameters
    ----------
    name : str
        Of the thread.
    read : callable
        Called with the event that ends it.
    failed : callable
        Told of an OSError that ended the reading.
    """

    def __init__(self, name: str, *, read: Callable[[threading.Event], None],
                 failed: Callable[[OSError], None]) -> None:
        self._read, self._failed = read, failed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        shorten_turns()
        self._thread.start()

    def stop(self) -> None:
        """End it and wait until it has ended."""
        self._stop.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        try:
            self._read(self._stop)
        except (OSError, TypeError) as error:  # pyserial raises TypeError where a port is closed under its read
            if not self._stop.is_set():
                self._failed(error if isinstance(error, OSError) else OSError(str(error)))
