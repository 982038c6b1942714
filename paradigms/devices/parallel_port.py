"""A scanner's trigger as a level of a parallel port: looked at four times a millisecond by a process of its own.

Linux gives the port's status lines through ``/dev/parport`` (``linux/ppdev.h``), Windows through the driver
``inpoutx64.dll``. Elsewhere there is no such port.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import time
from multiprocessing.process import BaseProcess
from typing import Any, Literal, Protocol

from paradigms.devices.platforms.status_ports import PINS, StatusPort
from paradigms.devices.platforms.system import take_precedence
from paradigms.devices.protocols import Pulse
from subjects.errors import DeviceError

log = logging.getLogger(__name__)
LONG_GAP_S = 0.002
START_S = 20.0
OPEN, PULSE, GAP, GONE = "open", "pulse", "gap", "gone"


class Line(Protocol):
    """One end of a pipe between two processes."""

    def poll(self, timeout: float = 0.0) -> bool:
        """Say whether something has come."""

    def recv(self) -> Any:
        """Take it."""

    def send(self, obj: Any) -> None:
        """Send something."""

    def close(self) -> None:
        """Close this end."""


class ParallelTrigger:
    """A trigger that is an edge on one pin, watched by a process of its own.

    A thread would not do: while the run computes, Python lets it wait for longer than a short pulse lasts. The
    monotonic clock is the same in all processes of a computer.

    Parameters
    ----------
    port : StatusPort
        Where it comes in; it is handed to the process, and must survive pickling.
    pin : {10, 11, 12, 13, 15}
        The pin of the connector.
    edge : {"rising", "falling"}
        Which edge is a pulse. A level that is there already when the port is opened is none.
    poll_s : float
        Time between two looks.

    Attributes
    ----------
    longest_gap_s : float
        Longest time between two looks so far, if it was long enough to miss a pulse of 2 ms, else 0.
    """

    checks = "parallel_trigger.device (or address), parallel_trigger.pin and parallel_trigger.edge"

    def came_instead(self) -> str:
        """Say nothing: a pin has no other word than its edge."""
        return ""

    def __init__(self, port: StatusPort, *, pin: int, edge: Literal["rising", "falling"] = "rising",
                 poll_s: float = 0.00025) -> None:
        self._port, self._pin, self._rising, self._poll_s = port, pin, edge == "rising", poll_s
        self._process: BaseProcess | None = None
        self._line: Line | None = None
        self._users = 0
        self._gone: str | None = None
        self._told = False
        self.longest_gap_s = 0.0

    def open(self) -> None:
        """Look at the pin from now on; counts its users.

        Raises
        ------
        DeviceError
            If the port cannot be had.
        """
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._line, theirs = context.Pipe()
            self._process = context.Process(target=watch_port, name="parallel port", daemon=True, args=(
                self._port, theirs), kwargs={"mask": PINS[self._pin], "rising": self._rising, "poll_s": self._poll_s})
            self._process.start()
            theirs.close()
            self._gone, self._told, self.longest_gap_s = None, False, 0.0
            self._require_open()
        self._users += 1

    def _require_open(self) -> None:
        said: tuple[str, Any] = (GONE, f"no answer within {START_S:g} s")
        with contextlib.suppress(EOFError):
            if self._line is not None and self._line.poll(START_S):
                said = self._line.recv()
        if said[0] != OPEN:
            self._stop()
            raise DeviceError("parallel port", came=f"no port ({said[1]})",
                              expected="one that may be read (Linux: ppdev, group lp; Windows: inpoutx64)",
                              remedy="Set parallel_trigger.device or address, or use --scanner serial or keyboard.")

    def close(self) -> None:
        """Stop looking when the last user is gone."""
        self._users = max(0, self._users - 1)
        if not self._users:
            self._stop()

    def _stop(self) -> None:
        line, self._line, process, self._process = self._line, None, self._process, None
        if line is not None and process is not None:
            line.close()
            process.join(START_S)

    def pulses(self) -> list[Pulse]:
        """Give the pulses since the last call; a port that is gone is an error, once.

        Raises
        ------
        DeviceError
            After everything that came before was given.
        """
        found: list[Pulse] = []
        while self._line is not None and self._gone is None and self._line.poll():
            try:
                kind, said = self._line.recv()
            except (EOFError, OSError):
                kind, said = GONE, "the process that watches it has ended"
            if kind == PULSE:
                found.append(Pulse(said, "parallel port", f"pin {self._pin}"))
            elif kind == GAP:
                self.longest_gap_s = said
                log.warning("the parallel port was not looked at for %.1f ms: a pulse may be missing", 1e3 * said)
            else:
                self._gone = str(said)
        if self._gone and not found and not self._told:
            self._told = True
            raise DeviceError("parallel port", came=f"a port that is gone ({self._gone})", expected="an open port",
                              remedy="Check the card and its driver; what had come before is recorded.")
        return found


def watch_port(port: StatusPort, line: Line, *, mask: int, rising: bool, poll_s: float) -> None:
    """Look at a port until the other end of the line is closed; the body of the watching process.

    Parameters
    ----------
    port : StatusPort
        Opened here.
    line : Line
        Where (kind, value) goes: opened, a pulse and its stamp, a gap and its length, gone and why.
    mask : int
        Bit of the pin.
    rising : bool
        Which edge counts.
    poll_s : float
        Time between two looks.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's
    take_precedence()
    try:
        port.open()
        line.send((OPEN, ""))
        _look(port, line, mask=mask, rising=rising, poll_s=poll_s)
    except (BrokenPipeError, EOFError, ConnectionError):
        pass
    except OSError as error:
        with contextlib.suppress(OSError):
            line.send((GONE, str(error)))
    finally:
        port.close()


def _look(port: StatusPort, line: Line, *, mask: int, rising: bool, poll_s: float) -> None:
    active, before, longest = True, time.monotonic(), LONG_GAP_S  # the first level is no edge
    while not line.poll():  # nothing is ever sent here: the other end was closed, or its process is gone
        was, active = active, bool(port.levels() & mask) == rising
        now = time.monotonic()
        if active and not was:
            line.send((PULSE, now))
        if now - before > longest:
            longest = now - before
            line.send((GAP, longest))
        before = now
        time.sleep(poll_s)
