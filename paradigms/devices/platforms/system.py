"""Processes and serial ports as each platform wants them."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

NEW_PROCESS_GROUP = 0x200
"""CREATE_NEW_PROCESS_GROUP of winbase.h."""


def of_its_own(*, platform: str = sys.platform) -> dict[str, Any]:
    """Give what a process is started with that Ctrl-C in this terminal, and its end, are not to reach."""
    if platform == "win32":
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", NEW_PROCESS_GROUP)}
    return {"start_new_session": True}


def take_precedence(*, system: Any = os) -> None:
    """Go before other processes where that is allowed: Linux, with the right to real-time priorities."""
    with contextlib.suppress(OSError, AttributeError):
        system.sched_setscheduler(0, system.SCHED_FIFO, system.sched_param(10))


def serial_options(*, platform: str = sys.platform) -> dict[str, Any]:
    """Give what a serial port is opened with so that no other program opens it; Windows never shares one."""
    return {} if platform == "win32" else {"exclusive": True}


def lower_latency(port: Any) -> None:
    """Ask a converter not to keep bytes back: one with an FTDI chip else does, for 16 ms (Linux alone can ask)."""
    with contextlib.suppress(Exception):  # the drivers of others know no such mode
        port.set_low_latency_mode(True)


def same_port(name: str) -> str:
    r"""Give one spelling to all names of a serial port: links on Linux and macOS, ``com3`` and ``\\.\COM3`` on Windows.

    Examples
    --------
    >>> same_port("com3"), same_port(r"\\.\COM10")
    ('COM3', 'COM10')
    """
    return os.path.realpath(name) if name.startswith("/") else name.upper().removeprefix("\\\\.\\")


@contextlib.contextmanager
def own_home() -> Iterator[None]:
    """Let a package find an empty home, and leave the environment and the module path as they were."""
    folder = tempfile.mkdtemp(prefix="psychopy-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    environment, path = dict(os.environ), list(sys.path)
    os.environ.update({"HOME": folder, "APPDATA": folder, "PSYCHOPYNOPACKAGES": "1"})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = path
