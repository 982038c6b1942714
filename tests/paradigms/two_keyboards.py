"""Run in a process of its own: a second keyboard on a virtual X server, keys typed on either, what the console hears.

Usage: python tests/paradigms/two_keyboards.py; prints JSON.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from typing import Any

from paradigms.devices.keyboard_queues import keyboard_names
from paradigms.devices.protocols import HardwareClock
from paradigms.devices.xserver import start_virtual_display
from subjects.errors import DeviceError
from subjects.settings.study import Settings

OPERATOR, BOX = "Virtual core XTEST keyboard", "box XTEST keyboard"
CODES = {"escape": 9, "1": 10, "5": 14, "space": 65}


class _AddMaster(ctypes.Structure):
    """XIAddMasterInfo of XInput2.h."""

    _fields_ = (("type", ctypes.c_int), ("name", ctypes.c_char_p), ("send_core", ctypes.c_int),
                ("enable", ctypes.c_int))


class _DeviceInfo(ctypes.Structure):
    """XIDeviceInfo of XInput2.h."""

    _fields_ = (("deviceid", ctypes.c_int), ("name", ctypes.c_char_p), ("use", ctypes.c_int),
                ("attachment", ctypes.c_int), ("enabled", ctypes.c_int), ("num_classes", ctypes.c_int),
                ("classes", ctypes.c_void_p))


class Typist:
    """Adds the keyboard, and types on it or on the first one."""

    def __init__(self, name: str) -> None:
        self._x, self._xi, self._xtest = (ctypes.CDLL(f"lib{one}") for one in ("X11.so.6", "Xi.so.6", "Xtst.so.6"))
        self._x.XOpenDisplay.restype = self._xi.XOpenDevice.restype = ctypes.c_void_p
        self._xi.XIQueryDevice.restype = ctypes.POINTER(_DeviceInfo)
        self._xtest.XTestFakeDeviceKeyEvent.argtypes = [
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_int,
            ctypes.c_ulong]
        self._display = ctypes.c_void_p(self._x.XOpenDisplay(name.encode()))
        major, minor, count = ctypes.c_int(2), ctypes.c_int(0), ctypes.c_int()
        self._xi.XIQueryVersion(self._display, ctypes.byref(major), ctypes.byref(minor))
        room = (ctypes.c_byte * 64)()  # XIAnyHierarchyChangeInfo, a union
        ctypes.cast(room, ctypes.POINTER(_AddMaster))[0] = _AddMaster(1, b"box", 1, 1)
        self._xi.XIChangeHierarchy(self._display, room, 1)
        self._x.XSync(self._display, 0)
        found = self._xi.XIQueryDevice(self._display, 0, ctypes.byref(count))
        self._ids = {found[k].name.decode(): found[k].deviceid for k in range(count.value)}
        self._devices = {one: self._xi.XOpenDevice(self._display, ctypes.c_ulong(self._ids[one]))
                         for one in (OPERATOR, BOX)}

    def tap(self, device: str, key: str) -> None:
        """Press a key for 5 ms."""
        for down in (1, 0):
            self._xtest.XTestFakeDeviceKeyEvent(self._display, self._devices[device], CODES[key], down, None, 0, 0)
            self._x.XSync(self._display, 0)
            time.sleep(0.005)


def heard(console: Any, typist: Typist) -> dict[str, list[str]]:
    """Type every key on both keyboards; give what counted as a pulse and what was told as a press."""
    found: dict[str, list[str]] = {"pulses": [], "presses": []}
    for device in (BOX, OPERATOR):
        for key in CODES:
            typist.tap(device, key)
            time.sleep(0.05)
            found["pulses"] += [f"{device}: {pulse.name}" for pulse in console.trigger.pulses()]
            found["presses"] += [press.key for press in console.responses.presses()]
    return found


def focus_elsewhere() -> Any:
    """Give the focus to another program's window; return what gives it back."""
    from Xlib import X
    from Xlib import display as x_display

    connection = x_display.Display()
    screen = connection.screen()
    other = screen.root.create_window(0, 0, 50, 50, 0, screen.root_depth)
    other.map()
    connection.sync()
    other.set_input_focus(X.RevertToNone, X.CurrentTime)
    connection.sync()

    def back(window_id: int) -> None:
        connection.create_resource_object("window", window_id).set_input_focus(X.RevertToNone, X.CurrentTime)
        connection.sync()

    return back


def main() -> None:
    """Listen with one keyboard named, then with the focus asked for."""
    name = start_virtual_display(640, 480)
    typist = Typist(name)
    from paradigms.devices.console_window import open_console

    size = {"width_px": 320, "height_px": 240}
    found: dict[str, Any] = {"keyboards": keyboard_names()}

    def console_of(**keyboard: object) -> Any:
        settings = Settings.model_validate({"display": size, "keyboard": keyboard})
        return open_console(settings, clock=HardwareClock(), fullscreen=False)

    with console_of(devices=[BOX]) as console:
        found["box named"] = heard(console, typist)
    with console_of(only_in_window=True) as console:
        back = focus_elsewhere()
        found["elsewhere"] = heard(console, typist)
        back(console.display._window.winHandle._window)
        found["in window"] = heard(console, typist)
    try:
        with console_of(devices=["box XTEST keybord"]):
            pass
    except DeviceError as error:
        found["missing"] = str(error)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
