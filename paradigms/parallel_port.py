"""A scanner's trigger as a level of a parallel port: looked at every half millisecond by a thread of its own.

Linux gives the port's status lines through ``/dev/parport`` (``linux/ppdev.h``), Windows through the driver
``inpoutx64.dll``. Elsewhere there is no such port.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
import time
from typing import Any, Literal, Protocol

from paradigms.devices import Clock, Pulse
from paradigms.reader_thread import Inbox, ReaderThread
from subjects.errors import DeviceError

log = logging.getLogger(__name__)
PINS = {15: 0x08, 13: 0x10, 12: 0x20, 10: 0x40, 11: 0x80}
"""Bits of the status register by pin; pin 11 (busy) is inverted by the hardware."""
_INVERTED = 0x80
_PPCLAIM, _PPRELEASE, _PPRSTATUS = 0x708B, 0x708C, 0x80017081
LONG_GAP_S = 0.002


class StatusPort(Protocol):
    """The five input lines of a parallel port."""

    def open(self) -> None:
        """Get hold of the port; OSError if it cannot be had."""

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
        """Leave the driver loaded; it holds nothing."""
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
    """A trigger that is an edge on one pin.

    Parameters
    ----------
    port : StatusPort
        Where it comes in.
    clock : Clock
        Whose time the edges are stamped in.
    pin : {10, 11, 12, 13, 15}
        The pin of the connector.
    edge : {"rising", "falling"}
        Which edge is a pulse. A level that stands already when the port is opened is none.
    poll_s : float
        Time between two looks.

    Attributes
    ----------
    longest_gap_s : float
        Longest time between two looks so far: shorter pulses may have been missed.
    """

    def __init__(self, port: StatusPort, *, clock: Clock, pin: int, edge: Literal["rising", "falling"] = "rising",
                 poll_s: float = 0.0005) -> None:
        self._port, self._clock, self._poll_s = port, clock, poll_s
        self._pin, self._mask, self._rising = pin, PINS[pin], edge == "rising"
        self._inbox = Inbox()
        self._thread: ReaderThread | None = None
        self._users = 0
        self.longest_gap_s = 0.0

    def open(self) -> None:
        """Look at the pin from now on; counts its users.

        Raises
        ------
        DeviceError
            If the port cannot be had.
        """
        if self._thread is None:
            try:
                self._port.open()
            except OSError as error:
                raise DeviceError("parallel port", came=f"no port ({error})",
                                  expected="one that may be read (Linux: ppdev, group lp; Windows: inpoutx64)",
                                  remedy="Set parallel_trigger.device or address, or use --scanner serial or "
                                  "keyboard.") from error
            self._inbox.clear()
            self.longest_gap_s = 0.0
            self._thread = ReaderThread("parallel port", read=self._watch, failed=self._fail)
            self._thread.start()
        self._users += 1

    def close(self) -> None:
        """Stop looking when the last user is gone."""
        self._users = max(0, self._users - 1)
        if not self._users and self._thread is not None:
            thread, self._thread = self._thread, None
            thread.stop()
            self._port.close()
            if self.longest_gap_s > LONG_GAP_S:
                log.warning("the parallel port was once not looked at for %.1f ms: shorter pulses may be missing",
                            1e3 * self.longest_gap_s)

    def pulses(self) -> list[Pulse]:
        """Give the pulses since the last call; a port that is gone is an error, once."""
        return [Pulse(stamp, "parallel port", f"pin {pin}") for stamp, pin in self._inbox.take()]

    def _watch(self, stop: threading.Event) -> None:
        active, looked = True, self._clock.now()  # what stands at first is no edge
        while not stop.is_set():
            was, active = active, bool(self._port.levels() & self._mask) == self._rising
            now = self._clock.now()
            if active and not was:
                self._inbox.put(now, self._pin)
            self.longest_gap_s, looked = max(self.longest_gap_s, now - looked), now
            time.sleep(self._poll_s)

    def _fail(self, error: OSError) -> None:
        self._inbox.fail(DeviceError("parallel port", came=f"a port that is gone ({error})", expected="an open port",
                                     remedy="Check the card and its driver; what had come before is recorded."))
