"""The screens that the window system knows, and which of them is the subject's."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from paradigms.devices.platforms.status_ports import load_windows_library
from subjects.errors import DeviceError, nearest
from subjects.settings.display import DisplaySettings

LIST = "`python run_session.py screens` lists them"


@dataclass(frozen=True)
class Screen:
    """One screen (monitor, projector).

    Parameters
    ----------
    index : int
        Its number in the window system's list, from 0.
    name : str
        What the window system calls it.
    x_px, y_px : int
        Where its upper left pixel lies on the desktop.
    width_px, height_px : int
        Its size.
    """

    index: int
    name: str
    x_px: int
    y_px: int
    width_px: int
    height_px: int

    def __str__(self) -> str:
        """Say it in a few words."""
        return f"{self.index}: {self.name}, {self.width_px}x{self.height_px} at {self.x_px}, {self.y_px}"

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return asdict(self)


def list_screens() -> tuple[Screen, ...]:
    """List the screens of the window system, in its order.

    On Linux the environment variable DISPLAY names the X server that is asked.
    """
    from pyglet.canvas import Display  # psychopy opens its windows on this list, by index

    found = Display().get_screens()
    names = _names(found)
    return tuple(Screen(k, name, one.x, one.y, one.width, one.height)
                 for k, (one, name) in enumerate(zip(found, names, strict=True)))


def _names(found: Sequence[Any]) -> list[str]:
    if sys.platform == "linux":
        monitors = _x_monitors()
        return [monitors.get((one.x, one.y, one.width, one.height), f"screen {k}") for k, one in enumerate(found)]
    if sys.platform == "win32":
        return [windows_name(one._handle, user32=load_windows_library("user32")) for one in found]
    return [f"display {one._cg_display_id}" for one in found]


def _x_monitors() -> dict[tuple[int, int, int, int], str]:
    """Give the names of the X server's monitors (RandR 1.5) by their rectangles; none from a server without it."""
    from Xlib import display as x_display
    from Xlib import error as x_error

    connection = x_display.Display()
    try:
        monitors = connection.screen().root.xrandr_get_monitors().monitors
        return {(one.x, one.y, one.width_in_pixels, one.height_in_pixels): str(connection.get_atom_name(one.name))
                for one in monitors}
    except (AttributeError, x_error.XError):
        return {}
    finally:
        connection.close()


class _MonitorInfo(ctypes.Structure):
    """MONITORINFOEXW of winuser.h."""

    _fields_ = (("size", ctypes.c_uint32), ("monitor", ctypes.c_int32 * 4), ("work", ctypes.c_int32 * 4),
                ("flags", ctypes.c_uint32), ("device", ctypes.c_uint16 * 32))


def windows_name(handle: Any, *, user32: Any) -> str:
    r"""Ask Windows for the name of a monitor, for example ``\\.\DISPLAY2``.

    Parameters
    ----------
    handle : HMONITOR
        Of the monitor.
    user32 : ctypes library
        ``user32.dll``, or a double of it.
    """
    info = _MonitorInfo()
    info.size = ctypes.sizeof(info)
    user32.GetMonitorInfoW(handle, ctypes.byref(info))
    return bytes(info.device).decode("utf-16-le").partition("\0")[0]


def choose_screen(screens: Sequence[Screen], *, settings: DisplaySettings, fullscreen: bool,
                  ours: bool = False) -> Screen:
    """Choose the subject's screen; nothing is guessed where a full picture could cover the operator's.

    Parameters
    ----------
    screens : sequence of Screen
        What there is, at least one.
    settings : DisplaySettings
        `screen` and `only_screen`.
    fullscreen : bool
        Whether the picture fills the screen; a plain window may stand on any.
    ours : bool
        Whether the screens are those of a virtual X server that nobody works on.

    Raises
    ------
    DeviceError
        If the one that is asked for is not there, several are there and none is asked for, or the only one is the
        operator's too and `only_screen` does not allow that.
    """
    wanted = settings.screen
    if wanted is not None:
        chosen = [one for one in screens if wanted in (one.index, one.name)]
        if len(chosen) != 1:
            came = f"screen {wanted!r}, " + ("which is not there" if not chosen else f"the name of {len(chosen)}")
            raise DeviceError("display.screen", came=came, expected=_listed(screens), remedy=_instead(wanted, screens))
    elif fullscreen and len(screens) > 1:
        raise DeviceError("display.screen", came=f"{len(screens)} screens and none named",
                          expected="the subject's, by index or name: " + _listed(screens),
                          remedy=f"Set display.screen; {LIST}.")
    if fullscreen and len(screens) == 1 and not (ours or settings.only_screen):
        raise DeviceError("display.screen", came=f"one screen, the operator's too ({screens[0]})",
                          expected="a screen of the subject's own",
                          remedy="Switch the projector on and extend the desktop onto it; or set display.only_screen "
                                 "= true if the operator has another (over ssh, or a mirrored projector).")
    return chosen[0] if wanted is not None else screens[0]


def _listed(screens: Sequence[Screen]) -> str:
    return "; ".join(map(str, screens))


def _instead(wanted: int | str, screens: Sequence[Screen]) -> str:
    hint = nearest(wanted, [one.name for one in screens]) if isinstance(wanted, str) else ""
    return f"{hint} Set display.screen to an index or a name; {LIST}.".strip()
