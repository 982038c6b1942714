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
PREFERRED_NICE = -10
"""Before what runs beside it, behind the window system and the kernel's own."""


def of_its_own(*, platform: str = sys.platform) -> dict[str, Any]:
    """Give what a process is started with that Ctrl-C in this terminal, and its end, are not to reach."""
    if platform == "win32":
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", NEW_PROCESS_GROUP)}
    return {"start_new_session": True}


def take_precedence(*, system: Any = os) -> None:
    """Go before other processes where that is allowed: Linux, with the right to real-time priorities."""
    with contextlib.suppress(OSError, AttributeError):
        system.sched_setscheduler(0, system.SCHED_FIFO, system.sched_param(10))


@contextlib.contextmanager
def preferred(*, system: Any = os) -> Iterator[bool]:
    """Have this process preferred to others where that is allowed; say whether it is.

    Linux and macOS allow it to an administrator, Linux to whoever the limit ``nice`` of limits.conf names as well; on
    Windows nothing is changed. Processes and threads that are started within are preferred as well.
    """
    try:
        before = system.getpriority(system.PRIO_PROCESS, 0)
        system.setpriority(system.PRIO_PROCESS, 0, PREFERRED_NICE)
    except (OSError, AttributeError):
        yield False
        return
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            system.setpriority(system.PRIO_PROCESS, 0, before)


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


@contextlib.contextmanager
def absent(*names: str) -> Iterator[None]:
    """Let packages that are not imported yet be imported by nobody for as long as the block lasts.

    A package that imports them if they are there goes without.

    Examples
    --------
    >>> with absent("json.tool"):
    ...     try:
    ...         import json.tool
    ...     except ImportError:
    ...         print("not there")
    not there
    """
    modules: dict[str, Any] = sys.modules
    hidden = [name for name in names if name not in modules]
    modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            modules.pop(name, None)
