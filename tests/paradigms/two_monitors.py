"""An X server with two monitors: one Xvfb, divided by RandR as a desktop is by its outputs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

import numpy as np

LEFT, RIGHT = (1024, 768), (1280, 800)
"""Sizes of the two monitors, in pixels."""


class _Monitor(ctypes.Structure):
    """XRRMonitorInfo of Xrandr.h."""

    _fields_ = (("name", ctypes.c_ulong), ("primary", ctypes.c_int), ("automatic", ctypes.c_int),
                ("noutput", ctypes.c_int), ("x", ctypes.c_int), ("y", ctypes.c_int), ("width", ctypes.c_int),
                ("height", ctypes.c_int), ("mwidth", ctypes.c_int), ("mheight", ctypes.c_int),
                ("outputs", ctypes.POINTER(ctypes.c_ulong)))


class _Resources(ctypes.Structure):
    """The head of XRRScreenResources of Xrandr.h."""

    _fields_ = (("stamp", ctypes.c_ulong), ("config", ctypes.c_ulong), ("ncrtc", ctypes.c_int),
                ("crtcs", ctypes.c_void_p), ("noutput", ctypes.c_int), ("outputs", ctypes.POINTER(ctypes.c_ulong)))


@contextlib.contextmanager
def two_monitors() -> Iterator[str]:
    """Start the server; give its display's name."""
    read, write = os.pipe()
    size = f"{LEFT[0] + RIGHT[0]}x{max(LEFT[1], RIGHT[1])}x24"
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", size, "+extension", "GLX", "-nolisten",
                               "tcp", "-noreset"], pass_fds=(write,), stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        name = f":{int(os.read(read, 64))}"
        _divide(name)
        yield name
    finally:
        os.close(read)
        server.kill()
        server.wait()


def _divide(name: str) -> None:
    """Tell RandR of two monitors, the left one primary and with the server's one output."""
    x, randr = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXrandr.so.2")
    for function, kind in ((x.XOpenDisplay, ctypes.c_void_p), (x.XDefaultRootWindow, ctypes.c_ulong),
                           (x.XInternAtom, ctypes.c_ulong), (randr.XRRAllocateMonitor, ctypes.POINTER(_Monitor)),
                           (randr.XRRGetScreenResourcesCurrent, ctypes.POINTER(_Resources))):
        function.restype = kind
    display = ctypes.c_void_p(x.XOpenDisplay(name.encode()))
    root = ctypes.c_ulong(x.XDefaultRootWindow(display))
    output = randr.XRRGetScreenResourcesCurrent(display, root).contents.outputs[0]
    for k, (word, left, size) in enumerate(((b"LEFT", 0, LEFT), (b"RIGHT", LEFT[0], RIGHT))):
        monitor = randr.XRRAllocateMonitor(display, 1 - k)
        one = monitor.contents
        if not k:
            one.outputs[0] = output
        one.name, one.primary, one.automatic = x.XInternAtom(display, word, 0), 1 - k, 0
        one.x, one.y, one.width, one.height, one.mwidth, one.mheight = left, 0, *size, 400, 250
        randr.XRRSetMonitor(display, root, monitor)
    x.XSync(display, 0)
    x.XCloseDisplay(display)


def photograph(name: str) -> np.ndarray:
    """Read the whole desktop, uint8 (height, width, 3), row 0 at the top."""
    from Xlib import X
    from Xlib import display as x_display

    connection = x_display.Display(name)
    try:
        root = connection.screen().root
        size = root.get_geometry()
        raw = root.get_image(0, 0, size.width, size.height, X.ZPixmap, 0xFFFFFFFF)
        return np.frombuffer(raw.data, dtype=np.uint8).reshape(size.height, size.width, 4)[:, :, 2::-1].copy()
    finally:
        connection.close()
