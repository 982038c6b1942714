"""The input lines of a parallel port: ppdev on Linux, inpoutx64 on Windows; macOS has none."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

from subjects.errors import DeviceError

Load = Callable[[str], Any]
PINS = {15: 0x08, 13: 0x10, 12: 0x20, 10: 0x40, 11: 0x80}
"""Bits of the status register by pin; pin 11 (busy) is inverted by the hardware."""
_INVERTED = 0x80
_PPCLAIM, _PPRELEASE, _PPRSTATUS, _PPWDATA = 0x708B, 0x708C, 0x80017081, 0x40017086


def load_windows_library(name: str) -> Any:
    """Load a DLL; OSError if it is not there."""
    return getattr(ctypes, "WinDLL")(name)  # noqa: B009 - there on Windows alone, and mypy checks all platforms


class StatusPort(Protocol):
    """The five input lines of a parallel port."""

    def open(self) -> None:
        """Claim the port; OSError if it cannot be had."""

    def close(self) -> None:
        """Let go of it; may be called twice."""

    def levels(self) -> int:
        """Give the levels at the pins as bits of :data:`PINS`; OSError if the port is gone."""


class DataPort(Protocol):
    """The eight output lines of a parallel port."""

    def open(self) -> None:
        """Claim the port; OSError if it cannot be had."""

    def close(self) -> None:
        """Let go of it; may be called twice."""

    def write(self, value: int) -> None:
        """Put the lines to the bits of a value; OSError if the port is gone."""


class PpdevPort:
    """A port of the Linux kernel's ppdev driver, for example ``/dev/parport0``."""

    def __init__(self, device: str, *, load: Load = importlib.import_module) -> None:
        self.device, self._load = device, load
        self._file: int | None = None

    def open(self) -> None:
        """Open and claim the port."""
        self._file = os.open(self.device, os.O_RDWR)
        try:
            self._load("fcntl").ioctl(self._file, _PPCLAIM)
        except OSError:
            os.close(self._file)
            self._file = None
            raise

    def close(self) -> None:
        """Release and close the port."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                self._load("fcntl").ioctl(file, _PPRELEASE)
            finally:
                os.close(file)

    def levels(self) -> int:
        """Read the status register, the inverted line put right."""
        if self._file is None:
            raise OSError("the port is closed")
        return int(self._load("fcntl").ioctl(self._file, _PPRSTATUS, b"\0")[0]) ^ _INVERTED

    def write(self, value: int) -> None:
        """Write the data register."""
        if self._file is None:
            raise OSError("the port is closed")
        self._load("fcntl").ioctl(self._file, _PPWDATA, bytes((value,)))


class InpoutPort:
    """A port at an address, through the Windows driver inpoutx64 (inpout32 for a Python of 32 bits)."""

    def __init__(self, address: int, *, load: Load = load_windows_library) -> None:
        self.address, self._load = address, load
        self._library: Any = None

    def open(self) -> None:
        """Load the driver's library, and see that the driver runs."""
        library = self._load("inpoutx64.dll" if sys.maxsize > 2 ** 32 else "inpout32.dll")
        if not library.IsInpOutDriverOpen():
            raise OSError("the driver of inpoutx64 is not installed: run its InstallDriver.exe once as administrator")
        self._library = library

    def close(self) -> None:
        """Leave the driver loaded; it claims nothing."""
        self._library = None

    def levels(self) -> int:
        """Read the status register, one above the port's address, the inverted line put right."""
        if self._library is None:
            raise OSError("the port is closed")
        return int(self._library.Inp32(self.address + 1)) & 0xFF ^ _INVERTED

    def write(self, value: int) -> None:
        """Write the data register, at the port's address."""
        if self._library is None:
            raise OSError("the port is closed")
        self._library.Out32(self.address, value)


def data_port(*, device: str, address: int, platform: str = sys.platform) -> DataPort:
    """Give the output lines of this platform's parallel port, unopened.

    Raises
    ------
    DeviceError
        On a platform that has none.
    """
    return _port(device=device, address=address, platform=platform, instead='markers.device = "serial" or "lsl"')


def platform_port(*, device: str, address: int, platform: str = sys.platform) -> StatusPort:
    """Give the parallel port of this platform, unopened.

    Raises
    ------
    DeviceError
        On a platform that has none.
    """
    return _port(device=device, address=address, platform=platform, instead="--scanner serial or --scanner keyboard")


def _port(*, device: str, address: int, platform: str, instead: str) -> PpdevPort | InpoutPort:
    if platform == "linux":
        return PpdevPort(device)
    if platform == "win32":
        return InpoutPort(address)
    raise DeviceError("parallel port", came=f"the platform {platform}", expected="Linux or Windows",
                      remedy=f"Use {instead}.")
