"""A lab's tracker is told of a run off the thread that draws: whatever it does, the run goes on in time."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field

from paradigms.devices.tracker import NullTracker, Tracker

SLOW_S = 0.1
"""A call that takes longer is named: what comes after it reaches the tracker late."""
PATIENCE_S = 10.0
LAST = ("stop_run", "close")
"""Calls after which no message comes that could be late."""


@dataclass
class _Fault:
    """What was amiss with one call: how it was first, how often, and whether it was told of."""

    said: str
    n: int = 1
    heard: bool = False


@dataclass
class TrackerQueue:
    """Makes a tracker's calls one after the other in a thread of its own.

    Parameters
    ----------
    tracker : Tracker
        Whatever its calls raise, ``SystemExit`` too, is a fault of the tracker: one for each call, counted.
    patience_s : float
        How long the end of a run waits for calls that are still to be made; a tracker may ask for more by an attribute
        of that name.
    """

    tracker: Tracker
    patience_s: float = PATIENCE_S
    _calls: queue.Queue[tuple[str, ...] | None] = field(default_factory=queue.Queue)
    _faults: dict[tuple[str, str], _Fault] = field(default_factory=dict)
    _thread: threading.Thread | None = None

    def tell(self, call: str, *words: str) -> None:
        """Have a call made as soon as those before it have been."""
        if isinstance(self.tracker, NullTracker):
            return
        if getattr(self.tracker, "at_once", False):
            self._make((call, *words))
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="tracker", daemon=True)
            self._thread.start()
        self._calls.put((call, *words))

    def _work(self) -> None:
        while (told := self._calls.get()) is not None:
            self._make(told)

    def _make(self, told: tuple[str, ...]) -> None:
        call, *words = told
        began = time.monotonic()
        try:
            getattr(self.tracker, call)(*words)
        except BaseException as error:  # noqa: BLE001 - the lab's own code, which may raise anything, sys.exit() too
            self._note(call, "raised", f"{call}: {_said(error)}")
        if (took := time.monotonic() - began) > SLOW_S and call not in LAST:
            self._note(call, "slow", f"{call}: took {took:.1f} s, so that later calls come late")

    def _note(self, call: str, what: str, said: str) -> None:
        if (call, what) in self._faults:
            self._faults[call, what].n += 1
        else:
            self._faults[call, what] = _Fault(said)

    def heard(self) -> list[str]:
        """Give the faults that are new since the last time, each call's once."""
        new = [fault for fault in list(self._faults.values()) if not fault.heard]
        for fault in new:
            fault.heard = True
        return [fault.said for fault in new]

    def finish(self) -> dict[str, int]:
        """Wait until all calls are made, and give how often each fault came.

        A call that does not return in time is a fault too, and the calls behind it are not made.
        """
        if self._thread is None:
            return {}
        self._calls.put(None)
        patience_s = max(self.patience_s, getattr(self.tracker, "patience_s", 0.0))
        self._thread.join(patience_s)
        if self._thread.is_alive():
            left = max(self._calls.qsize() - 1, 0)
            self._note("", "stuck", f"a call that did not return within {patience_s:g} s of the end of the run; "
                                    f"{left} calls behind it were not made")
        return {fault.said: fault.n for fault in list(self._faults.values())}


def _said(error: BaseException) -> str:
    try:
        return repr(error)
    except Exception:  # noqa: BLE001 - an exception of the lab's own
        return type(error).__name__
