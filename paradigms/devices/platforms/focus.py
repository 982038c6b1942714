"""Whether a window has the keyboard's focus, asked of each platform's window system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

from paradigms.devices.platforms.status_ports import load_windows_library


def window_has_focus(handle: Any, *, platform: str = sys.platform,
                     load: Callable[[str], Any] = load_windows_library) -> bool:
    """Say whether keys that are typed now go to a window.

    Parameters
    ----------
    handle : pyglet.window.Window
    platform : str
        As ``sys.platform`` names it.
    load : callable
        Gives a library of Windows.
    """
    if platform == "win32":
        return bool(load("user32").GetForegroundWindow() == handle._hwnd)
    if platform == "darwin":
        return bool(handle._nswindow.isKeyWindow())
    from pyglet.libs.x11 import xlib

    focus, revert = xlib.Window(), ctypes.c_int()
    xlib.XGetInputFocus(handle._x_display, ctypes.byref(focus), ctypes.byref(revert))
    return focus.value in (handle._window, handle._view)
