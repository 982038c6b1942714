"""Markers are sent each with the time at which it was: no marker ever delays a picture.

A sink whose call takes microseconds (``direct``: a port's register, a library's buffer) is called just after the flip,
long before the next picture is due; any other from a thread of its own. A code is taken away again from that thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from paradigms.devices.protocols import Clock
from paradigms.recorders.markers import MarkerSink

PATIENCE_S = 2.0


@dataclass(frozen=True)
class Sent:
    """A marker that was sent: when, and after which flip or pulse; or what went wrong.

    Parameters
    ----------
    code : int
    name : str
        The event's type, or the run's edge.
    event : int or None
        Index of the event.
    due_s : float
        Time of the flip, or of the pulse that is time zero.
    sent_s : float
        When the call that sent it returned.
    fault : str
        What was raised; empty where all went well.
    """

    code: int
    name: str
    event: int | None
    due_s: float
    sent_s: float
    fault: str = ""

    @property
    def offset_s(self) -> float:
        """How long after what it marks it was sent."""
        return self.sent_s - self.due_s


@dataclass
class MarkerQueue:
    """Sends markers one after the other.

    Parameters
    ----------
    sink : MarkerSink
        Opened already.
    clock : Clock
        Stamps them.
    hold_s : float
        How long a line holds a code.
    threaded : bool
        Send from a thread of its own; without it at once, for virtual time.
    """

    sink: MarkerSink
    clock: Clock
    hold_s: float
    threaded: bool = True
    _waiting: queue.SimpleQueue[tuple[int, str, int | None, float] | None] = field(default_factory=queue.SimpleQueue)
    _sent: deque[Sent] = field(default_factory=deque)
    _thread: threading.Thread | None = None

    def send(self, code: int, *, name: str, event: int | None, due_s: float) -> None:
        """Have a marker sent as soon as can be."""
        if not self.threaded:
            self._send(code, name, event, due_s)
            return
        if self._thread is None:
            self.start()
        if getattr(self.sink, "direct", False):
            self._emit(code, name, event, due_s)
            self._waiting.put((-1, name, event, due_s))
            return
        self._waiting.put((code, name, event, due_s))

    def start(self) -> None:
        """Start the thread before the first marker, which else would wait for it."""
        if self.threaded and self._thread is None:
            self._thread = threading.Thread(target=self._work, name="markers", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (told := self._waiting.get()) is not None:
            self._send(*told)

    def _emit(self, code: int, name: str, event: int | None, due_s: float) -> None:
        fault = ""
        try:
            self.sink.send(code)
        except Exception as error:  # noqa: BLE001 - a line that is unplugged, a library's own
            fault = repr(error)
        self._sent.append(Sent(code, name, event, due_s, self.clock.now(), fault))

    def _send(self, code: int, name: str, event: int | None, due_s: float) -> None:
        if code >= 0:  # else it was sent already, and is only to be taken away
            self._emit(code, name, event, due_s)
        if self.threaded:
            time.sleep(self.hold_s)
        try:
            self.sink.release()
        except Exception as error:  # noqa: BLE001 - as above
            if not any(one.fault for one in self._sent):
                self._sent.append(Sent(code, name, event, due_s, self.clock.now(), f"release: {error!r}"))

    def heard(self) -> list[Sent]:
        """Give what was sent since the last time."""
        return [self._sent.popleft() for _ in range(len(self._sent))]

    def finish(self) -> int:
        """Wait until all are sent, at most :data:`PATIENCE_S`; give how many were not."""
        if self._thread is None:
            return 0
        self._waiting.put(None)
        self._thread.join(PATIENCE_S)
        return max(self._waiting.qsize() - 1, 0) + 1 if self._thread.is_alive() else 0
