"""A scanner's trigger as a level of a parallel port: looked at four times a millisecond by a process of its own.

Linux gives the port's status lines through ``/dev/parport`` (``linux/ppdev.h``), Windows through the driver
``inpoutx64.dll``. Elsewhere there is no such port.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal, Protocol

from paradigms.devices.protocols import Pulse
from subjects.errors import DeviceError

log = logging.getLogger(__name__)
PINS = {15: 0x08, 13: 0x10, 12: 0x20, 10: 0x40, 11: 0x80}
"""Bits of the status register by pin; pin 11 (busy) is inverted by the hardware."""
_INVERTED = 0x80
_PPCLAIM, _PPRELEASE, _PPRSTATUS = 0x708B, 0x708C, 0x80017081
LONG_GAP_S = 0.002
START_S = 20.0
OPEN, PULSE, GAP, GONE = "open", "pulse", "gap", "gone"


class StatusPort(Protocol):
    """The five input lines of a parallel port."""

    def open(self) -> None:
        """Claim the port; OSError if it cannot be had."""

    def close(self) -> None:
        """Let go of it; may be called twice."""

    def levels(self) -> int:
        """Give the levels at the pins as bits of :data:`PINS`; OSError if the port is gone."""


class PpdevPort:
    """A port of the Linux kernel's ppdev driver, for example ``/dev/parport0``."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._file: int | None = None

    def open(self) -> None:
        """Open and claim the port."""
        import fcntl

        self._file = os.open(self.device, os.O_RDWR)
        try:
            fcntl.ioctl(self._file, _PPCLAIM)
        except OSError:
            os.close(self._file)
            self._file = None
            raise

    def close(self) -> None:
        """Release and close the port."""
        if self._file is not None:
            import fcntl

            file, self._file = self._file, None
            try:
                fcntl.ioctl(file, _PPRELEASE)
            finally:
                os.close(file)

    def levels(self) -> int:
        """Read the status register, the inverted line put right."""
        import fcntl

        if self._file is None:
            raise OSError("the port is closed")
        return fcntl.ioctl(self._file, _PPRSTATUS, b"\0")[0] ^ _INVERTED


class InpoutPort:
    """A port at an address, through the Windows driver inpoutx64."""

    def __init__(self, address: int) -> None:
        self.address = address
        self._library: Any = None

    def open(self) -> None:
        """Load the driver."""
        self._library = ctypes.WinDLL("inpoutx64.dll")  # type: ignore[attr-defined,unused-ignore]

    def close(self) -> None:
        """Leave the driver loaded; it claims nothing."""
        self._library = None

    def levels(self) -> int:
        """Read the status register, one above the port's address, the inverted line put right."""
        if self._library is None:
            raise OSError("the port is closed")
        return int(self._library.Inp32(self.address + 1)) & 0xFF ^ _INVERTED


def platform_port(*, device: str, address: int) -> StatusPort:
    """Give the parallel port of this platform, unopened.

    Raises
    ------
    DeviceError
        On a platform that has none.
    """
    if sys.platform == "linux":
        return PpdevPort(device)
    if sys.platform == "win32":
        return InpoutPort(address)
    raise DeviceError("parallel port", came=f"the platform {sys.platform}", expected="Linux or Windows",
                      remedy="Use --scanner serial or --scanner keyboard.")


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

    def __init__(self, port: StatusPort, *, pin: int, edge: Literal["rising", "falling"] = "rising",
                 poll_s: float = 0.00025) -> None:
        self._port, self._pin, self._rising, self._poll_s = port, pin, edge == "rising", poll_s
        self._process: BaseProcess | None = None
        self._line: Connection | None = None
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


def watch_port(port: StatusPort, line: Connection, *, mask: int, rising: bool, poll_s: float) -> None:
    """Look at a port until the other end of the line is closed; the body of the watching process.

    Parameters
    ----------
    port : StatusPort
        Opened here.
    line : Connection
        Where (kind, value) goes: opened, a pulse and its stamp, a gap and its length, gone and why.
    mask : int
        Bit of the pin.
    rising : bool
        Which edge counts.
    poll_s : float
        Time between two looks.
    """
    _raise_priority()
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


def _look(port: StatusPort, line: Connection, *, mask: int, rising: bool, poll_s: float) -> None:
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


def _raise_priority() -> None:
    """Leave Ctrl-C to the run, and take precedence over other processes where that is allowed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
