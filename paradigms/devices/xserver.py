"""An X display where there is none (Xvfb), and keys sent to it as a person's fingers would.

The keys go through XTEST, so the same keyboard code hears them that hears a real trigger box.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from paradigms.devices.protocols import Clock, Pixels
from subjects.errors import DeviceError

_START_S = 20.0
_SERVERS: list[subprocess.Popen[bytes]] = []
_KEYSYMS = {"escape": "Escape", "space": "space", "return": "Return", "left": "Left", "right": "Right",
            "up": "Up", "down": "Down", "tab": "Tab"}


@contextmanager
def ensure_display(width_px: int, height_px: int) -> Iterator[str]:
    """Use the display at hand, or start Xvfb for as long as this process lives.

    The server is not taken away at the end of the block: a library that still holds a connection would
    end the whole process (Xlib's way with a lost server). The kernel ends it when the process ends.

    Parameters
    ----------
    width_px, height_px : int
        Size of the virtual screen.

    Yields
    ------
    str
        The display's name (empty on Windows and macOS, which always have one).

    Raises
    ------
    DeviceError
        If there is neither a display nor Xvfb.
    """
    if sys.platform != "linux":
        yield ""
        return
    if name := os.environ.get("DISPLAY"):
        _require_reachable(name)
        yield name
        return
    os.environ["DISPLAY"] = _start_xvfb(width_px, height_px)
    yield os.environ["DISPLAY"]


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


def _require_reachable(name: str) -> None:
    from Xlib import display as x_display
    from Xlib import error as x_error

    try:
        x_display.Display(name).close()
    except (x_error.DisplayError, OSError) as error:
        raise DeviceError(f"display {name}", came=f"no answer ({error})", expected="a running X server",
                          remedy="Log in at the console, or unset DISPLAY to use Xvfb.") from error


def _start_xvfb(width_px: int, height_px: int) -> str:
    program = shutil.which("Xvfb")
    if program is None:
        raise DeviceError("window", came="no display and no Xvfb", expected="a display (DISPLAY), or Xvfb on the PATH",
                          remedy="Log in at the console, run `make setup`, or use --display virtual.")
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
    _SERVERS.append(server)
    return name


def _end_with_parent() -> None:
    """Have the kernel end the server when this process dies, even by SIGKILL; keep Ctrl-C from it."""
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


class KeySender:
    """Sends key presses to an X display through XTEST.

    Parameters
    ----------
    display_name : str
        For example ``":99"``.
    """

    def __init__(self, display_name: str) -> None:
        from Xlib import display as x_display

        _require_reachable(display_name)
        self._display: Any = x_display.Display(display_name)
        if not self._display.has_extension("XTEST"):
            raise DeviceError(f"display {display_name}", came="no XTEST extension", expected="a server that has it",
                              remedy="Use Xvfb or Xorg, or --display virtual.")
        self._lock = threading.Lock()

    def tap(self, key: str, *, hold_s: float = 0.005) -> None:
        """Press a key, hold it, let it go.

        Raises
        ------
        DeviceError
            If the keyboard has no such key, or only together with another.
        """
        code = self._code(key)
        self._fake(2, code)
        time.sleep(hold_s)
        self._fake(3, code)

    def _fake(self, kind: int, code: int) -> None:
        from Xlib.ext import xtest

        with self._lock:
            xtest.fake_input(self._display, kind, code)
            self._display.flush()

    def _code(self, key: str) -> int:
        from Xlib import XK

        symbol = XK.string_to_keysym(_KEYSYMS.get(key, key))
        code = int(self._display.keysym_to_keycode(symbol)) if symbol else 0
        if not code or self._display.keycode_to_keysym(code, 0) != symbol:
            raise DeviceError("key sender", came=repr(key), expected="a key of the X keyboard",
                              remedy="Use letters, digits, escape, space, return or an arrow.")
        return code

    def close(self) -> None:
        """Let go of the display."""
        self._display.close()


@dataclass(frozen=True, order=True)
class Tap:
    """A key to be sent: when (the clock's seconds), which, and how long it is held."""

    at_s: float
    key: str
    hold_s: float = 0.005


class ScriptedKeys:
    """A thread that sends taps at their times: the emulated scanner's and the simulated participant's fingers.

    Parameters
    ----------
    sender : KeySender
        Where they go.
    clock : Clock
        Whose time they follow.
    """

    def __init__(self, sender: KeySender, *, clock: Clock) -> None:
        self._sender, self._clock = sender, clock
        self._pending: list[Tap] = []
        self._wake = threading.Condition()
        self._stopped = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="scripted keys", daemon=True)
        self.sent: list[Tap] = []

    def add(self, taps: Sequence[Tap]) -> None:
        """Plan further taps; may be called while running."""
        with self._wake:
            self._pending = sorted([*self._pending, *taps])
            self._wake.notify()

    def __enter__(self) -> ScriptedKeys:  # noqa: PYI034 - final in practice
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        with self._wake:
            self._stopped = True
            self._wake.notify()
        self._thread.join()
        if self._failure is not None and error is None:
            raise DeviceError("scripted keys", came=f"{self._failure!r} after {len(self.sent)} taps",
                              expected="every key sent", remedy="Check the display and the keys.") from self._failure

    def _run(self) -> None:
        try:
            while (tap := self._next()) is not None:
                self._clock.wait_until(tap.at_s)
                self._sender.tap(tap.key, hold_s=tap.hold_s)
                self.sent.append(tap)
        except Exception as error:  # noqa: BLE001 - told when the block ends, by the thread that owns it
            self._failure = error

    def _next(self) -> Tap | None:
        """Wait until a tap is nearly due, or there is to be an end."""
        with self._wake:
            while not self._stopped:
                left = self._pending[0].at_s - self._clock.now() if self._pending else None
                if left is not None and left < 0.02:
                    return self._pending.pop(0)
                self._wake.wait(None if left is None else left - 0.01)
        return None
