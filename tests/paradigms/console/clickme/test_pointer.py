"""The mouse of a real window, moved and pressed through the X server as a hand would."""

from __future__ import annotations

import time

import pytest

from subjects.settings.study import Settings

SIZE = (640, 480)


@pytest.mark.window
def test_the_mouse_is_where_it_was_moved_and_held_while_it_is_pressed() -> None:
    from Xlib import X
    from Xlib import display as x_display
    from Xlib.ext import xtest

    from paradigms.console.clickme.task import Pointing
    from paradigms.devices.protocols import HardwareClock
    from paradigms.devices.xserver import start_virtual_display

    settings = Settings.model_validate({"display": {"width_px": SIZE[0], "height_px": SIZE[1], "refresh_hz": 60.0}})
    name = start_virtual_display(*SIZE)
    from paradigms.devices.console_window import open_console  # it looks for the display when it is imported

    with open_console(settings, clock=HardwareClock(), fullscreen=False) as console:
        assert isinstance(console.display, Pointing)
        console.display.pointer()
        hand = x_display.Display(name)
        try:
            for x, y, kind, held in ((150, 100, None, False), (150, 100, X.ButtonPress, True),
                                     (400, 300, None, True), (400, 300, X.ButtonRelease, False)):
                xtest.fake_input(hand, X.MotionNotify, x=x, y=y)
                if kind is not None:
                    xtest.fake_input(hand, kind, 1)
                hand.sync()
                until = time.monotonic() + 10.0
                found = (-1.0, -1.0, not held)
                while (time.monotonic() < until and found[2] is not held) or abs(found[0] - x) > 1:
                    console.display.flip()
                    found = console.display.pointer()
                    assert time.monotonic() < until, found
                assert found == (pytest.approx(x, abs=1), pytest.approx(y, abs=1), held)
        finally:
            hand.close()
