"""Run in a process of its own: opens one window, probes display and keyboard, prints what it found as JSON.

A process binds to the first X display that it meets, so a 1920 x 1080 window and a small one cannot share one.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from paradigms.devices.protocols import HardwareClock
from paradigms.devices.xserver import start_virtual_display
from paradigms.emulation.fake_keys import KeySender
from paradigms.tasks.main_task import frame_for
from subjects.errors import DeviceError
from subjects.settings.study import Settings

POLL_S = 0.004


def picture() -> np.ndarray:
    """Make an image whose four corners differ."""
    rng = np.random.default_rng(0)
    image = rng.integers(100, 140, (227, 227, 3), dtype=np.uint8)
    image[:113, :113], image[:113, 113:], image[113:, :113] = (250, 10, 10), (10, 250, 10), (10, 10, 250)
    return image


def probe_screen(console: Any, settings: Settings) -> dict[str, Any]:
    """Show an image and read the screen."""
    console.display.preload({"a": picture()})
    console.display.draw(frame_for(settings, image_id="a"))
    console.display.flip()
    shot = console.display.screenshot()
    console.display.draw(frame_for(settings))
    console.display.flip()
    blank = console.display.screenshot()
    rows, columns = np.nonzero((shot != 127).any(axis=2))
    dot = (blank != 127).any(axis=2)
    side = rows.max() - rows.min() + 1
    corner = {"top left": (20, 20), "top right": (20, side - 20), "bottom left": (side - 20, 20)}
    return {"shape": shot.shape, "height": int(side), "width": int(columns.max() - columns.min() + 1),
            "centre": [float(rows.mean()), float(columns.mean())],
            "corners": {name: shot[rows.min() + r, columns.min() + c].tolist() for name, (r, c) in corner.items()},
            "dot_area": int(dot.sum()), "dot_colour": blank[540, 960].tolist(), "background": blank[5, 5].tolist()}


def probe_keys(console: Any, sender: KeySender, clock: HardwareClock) -> dict[str, Any]:
    """Tap trigger and buttons for 2, 5 and 10 ms and see what is heard, and with which stamp."""
    found: dict[str, Any] = {}
    rng = np.random.default_rng(1)
    for hold_ms in (2, 5, 10):
        sent: list[tuple[float, str]] = []
        heard: list[tuple[float, str]] = []
        for k in range(60):
            key = "5" if k % 2 else str(rng.choice(["1", "2"]))
            sent.append((clock.now(), key))
            sender.tap(key, hold_s=hold_ms / 1000)
            time.sleep(float(rng.uniform(0.001, 0.02)))
            _listen(console, heard)
        time.sleep(0.1)
        _listen(console, heard)
        errors = [h[0] - s[0] for h, s in zip(sorted(heard), sent, strict=False)]
        found[str(hold_ms)] = {"sent": [key for _, key in sent], "heard": [key for _, key in sorted(heard)],
                               "median_error_s": float(np.median(errors)),
                               "worst_error_s": float(np.max(np.abs(errors)))}
    return found


def _listen(console: Any, heard: list[tuple[float, str]]) -> None:
    heard += [(pulse.stamp_s, pulse.name) for pulse in console.trigger.pulses()]
    heard += [(press.stamp_s, press.key) for press in console.responses.presses()]


def probe_trap(sender: KeySender) -> dict[str, int]:
    """Poll PsychoPy the plain way at 60 Hz, as most scripts do, and count what is lost."""
    from psychopy.hardware import keyboard

    board = keyboard.Keyboard(backend="ptb")
    board.clearEvents()
    seen = 0
    for _ in range(40):
        sender.tap("3", hold_s=0.002)
        time.sleep(1 / 60)
        seen += len(board.getKeys(keyList=["3"], waitRelease=False))
    return {"sent": 40, "seen": seen}


def probe_held(console: Any, sender: KeySender) -> int:
    """Hold a key over many polls: it is one press."""
    sender._fake(2, sender._code("2"))
    count = 0
    for _ in range(50):
        time.sleep(POLL_S)
        count += len(console.responses.presses())
    sender._fake(3, sender._code("2"))
    time.sleep(0.05)
    return count + len(console.responses.presses())


def probe_again(console: Any, sender: KeySender) -> list[str]:
    """Tap keys in a second window of the process; what was tapped between the windows is not its."""
    heard: list[tuple[float, str]] = []
    for key in ("1", "5", "2"):
        sender.tap(key)
        time.sleep(0.05)
        _listen(console, heard)
    return [key for _, key in sorted(heard)]


def probe_destroyed(console: Any, settings: Settings) -> list[str]:
    """Destroy the window as another program can; see what each call then says."""
    from Xlib import display as x_display

    console.display.require_open()
    connection = x_display.Display()
    connection.create_resource_object("window", console.display._window.winHandle._window).destroy()
    connection.sync()
    connection.close()
    return [refusal(console.display.require_open), refusal(console.display.draw, frame_for(settings)),
            refusal(console.display.flip)]


def refusal(call: Any, *arguments: Any) -> str:
    """Give the message with which a call is refused."""
    try:
        call(*arguments)
    except DeviceError as error:
        return str(error)
    return "not refused"


def main() -> None:
    """Probe everything, in one window."""
    settings, clock = Settings(), HardwareClock()
    name = start_virtual_display(1920, 1080)
    from paradigms.devices.console_window import open_console

    sender = KeySender(name)
    with open_console(settings, clock=clock, fullscreen=False) as console:
        found = {"screen": probe_screen(console, settings), "keys": probe_keys(console, sender, clock),
                 "held": probe_held(console, sender), "trap": probe_trap(sender),
                 "unknown image": refusal(console.display.draw, frame_for(settings, image_id="b"))}
        console.display._window.winHandle.close()
        found["closed"] = refusal(console.display.draw, frame_for(settings))
    sender.tap("5")
    with open_console(settings, clock=clock, fullscreen=False) as console:
        found["opened again"] = probe_again(console, sender)
    with open_console(settings, clock=clock, fullscreen=False) as console:
        found["destroyed"] = probe_destroyed(console, settings)
    sender.close()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
