"""The X server that a window stands on: the one at hand, or a virtual one (Xvfb) where that is asked for by name."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from paradigms.devices.protocols import Pixels
from subjects.errors import DeviceError

_START_S = 20.0
_SERVERS: list[tuple[str, subprocess.Popen[bytes]]] = []


def require_display() -> str:
    """Give the name of the display at hand; nothing is started in its place.

    Returns
    -------
    str
        The X server's name (empty on Windows and macOS, which always have a display).

    Raises
    ------
    DeviceError
        If there is none, or it does not answer.
    """
    if sys.platform != "linux":
        return ""
    name = os.environ.get("DISPLAY")
    if not name:
        why, remedy = "DISPLAY is not set", "Log in at the console"
        if os.environ.get("WAYLAND_DISPLAY"):
            why, remedy = f"{why}; this is a Wayland session", "Log in to a session of Xorg"
        elif os.environ.get("SSH_CONNECTION"):
            why, remedy = f"{why}; this is a login by ssh", "`export DISPLAY=:0` to use the console's own screens"
        raise DeviceError("window", came=f"no X display ({why})", expected="the X server of the subject's screen",
                          remedy=f"{remedy}; for a trial that nobody sees, --display xvfb.")
    require_reachable(name)
    return name


def require_at_hand(display: str) -> None:
    """Refuse a display that is not there, before anything is opened or written for it.

    Parameters
    ----------
    display : str
        As for a run: ``"window"`` needs an X server, ``"xvfb"`` the program that makes one, others nothing.

    Raises
    ------
    DeviceError
        As :func:`require_display` and :func:`start_virtual_display`.
    """
    if display == "window":
        require_display()
    elif display == "xvfb":
        _require_xvfb()


def start_virtual_display(width_px: int, height_px: int) -> str:
    """Start an X server without a screen (Xvfb), for as long as this process lives, and set DISPLAY to it.

    A server that this process has started already is used again: a process binds to the first X server that it meets.
    It is not taken away before the process ends: a library that still has a connection would end the whole
    process (Xlib's way with a lost server). The kernel ends it when the process ends.

    Parameters
    ----------
    width_px, height_px : int
        Size of the virtual screen.

    Returns
    -------
    str
        The display's name.

    Raises
    ------
    DeviceError
        If there is no Xvfb.
    """
    program = _require_xvfb()
    if not _SERVERS or _SERVERS[-1][1].poll() is not None:
        _SERVERS.append(_start_xvfb(program, width_px, height_px))
    os.environ["DISPLAY"] = _SERVERS[-1][0]
    return _SERVERS[-1][0]


def is_ours(name: str) -> bool:
    """Say whether a display is a virtual one that this process has started."""
    return any(name == ours for ours, _ in _SERVERS)


def server_name(name: str) -> str:
    """Name an X server: its display, its vendor and version."""
    from Xlib import display as x_display

    connection = x_display.Display(name)
    try:
        info = connection.display.info
        return f"{name} ({info.vendor}, {info.release_number}{', started here: nobody sees it' * is_ours(name)})"
    finally:
        connection.close()


_KEPT: list[object] = []


def tell_if_lost(say: Callable[[], None]) -> None:
    """Have something said when the X server is gone; the process then ends with status 1.

    Xlib ends a process whose server is gone from inside its own code, so that no ``finally`` is reached: this is
    the last moment in which a record can be closed. Without effect where there is no X.

    Parameters
    ----------
    say : callable
        Called once, from whichever thread met the loss. It must not use the display.
    """
    if sys.platform != "linux":
        return
    import ctypes

    try:
        library = ctypes.CDLL("libX11.so.6")
    except OSError:
        return

    def lost(_: object) -> int:
        try:
            say()
        finally:
            os._exit(1)

    handler = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lost)
    _KEPT[:] = [handler]  # Xlib keeps its address, and no reference
    library.XSetIOErrorHandler(handler)


def require_reachable(name: str) -> None:
    """See that an X display answers; one that does not is a :class:`DeviceError`."""
    from Xlib import display as x_display
    from Xlib import error as x_error

    try:
        x_display.Display(name).close()
    except (x_error.DisplayError, OSError) as error:
        raise DeviceError(f"display {name}", came=f"no answer ({error})", expected="a running X server",
                          remedy="Log in at the console; for a trial that nobody sees, --display xvfb.") from error


def _require_xvfb() -> str:
    if sys.platform != "linux":
        raise DeviceError("display", came=f"'xvfb' on {sys.platform}", expected="Linux, which has virtual X servers",
                          remedy="Use --display window or --display virtual.")
    program = shutil.which("Xvfb")
    if program is None:
        raise DeviceError("display", came="no Xvfb", expected="the program Xvfb on the PATH",
                          remedy="Run `make setup`, log in at the console, or use --display virtual.")
    return program


def _start_xvfb(program: str, width_px: int, height_px: int) -> tuple[str, subprocess.Popen[bytes]]:
    read, write = os.pipe()
    command = [program, "-displayfd", str(write), "-screen", "0", f"{width_px}x{height_px}x24", "+extension", "GLX",
               "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              preexec_fn=_end_with_parent)  # noqa: PLW1509 - started before any thread of ours
    os.close(write)
    try:
        name = f":{_display_number(read)}"
    except DeviceError:
        server.kill()
        server.wait()
        raise
    finally:
        os.close(read)
    return name, server


def _end_with_parent() -> None:
    """Have the kernel end the server when this process dies, even by SIGKILL; keep Ctrl-C from it."""
    if sys.platform == "linux":
        import ctypes

        os.setsid()
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _display_number(read: int) -> int:
    """Read the display number that Xvfb chose, with a limit."""
    import select

    text = b""
    deadline = time.monotonic() + _START_S
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([read], [], [], max(0.0, deadline - time.monotonic()))
        part = os.read(read, 64) if ready else b""
        if not part:
            raise DeviceError("Xvfb", came="no display after starting", expected=f"a display within {_START_S:g} s",
                              remedy="Try `Xvfb :99` by hand and read what it says.")
        text += part
    return int(text)


def grab_screen(size_px: tuple[int, int], *, window_id: int) -> Pixels:
    """Read what the display that ``DISPLAY`` names shows of a window.

    Parameters
    ----------
    size_px : tuple of int
        Width and height, from the window's upper left.
    window_id : int
        The X server's name of the window.

    Returns
    -------
    uint8 array, (height, width, 3)
        RGB, row 0 at the top.

    Raises
    ------
    DeviceError
        If the window is not wholly on the screen.
    """
    from Xlib import X
    from Xlib import display as x_display
    from Xlib import error as x_error

    connection = x_display.Display()
    width, height = size_px
    try:
        window = connection.create_resource_object("window", window_id)
        raw = window.get_image(0, 0, width, height, X.ZPixmap, 0xFFFFFFFF)
    except x_error.XError as error:
        raise DeviceError("screenshot", came=f"no picture of the window ({type(error).__name__})",
                          expected=f"{width}x{height} pixels of it on the screen",
                          remedy="Move the window wholly onto the screen.") from error
    finally:
        connection.close()
    levels = np.frombuffer(raw.data, dtype=np.uint8).reshape(height, width, 4)
    return np.ascontiguousarray(levels[:, :, 2::-1])


def x_window_exists(handle: Any) -> bool:
    """Ask the X server whether a window of pyglet's is still there."""
    import ctypes

    from pyglet.libs.x11 import xlib  # its error handler passes over BadWindow

    attributes = xlib.XWindowAttributes()
    return bool(xlib.XGetWindowAttributes(handle._x_display, handle._window, ctypes.byref(attributes)))
