"""Keys sent to an X display as a person and a trigger box would press them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from paradigms.devices.protocols import Clock, Display, Frame, Pixels
from paradigms.devices.xserver import require_reachable
from paradigms.emulation.participant import SimulatedParticipant
from subjects.errors import DeviceError

_KEYSYMS = {"escape": "Escape", "space": "space", "return": "Return", "left": "Left", "right": "Right",
            "up": "Up", "down": "Down", "tab": "Tab"}


class KeySender:
    """Sends key presses to an X display through XTEST.

    Parameters
    ----------
    display_name : str
        For example ``":99"``.
    """

    def __init__(self, display_name: str) -> None:
        from Xlib import display as x_display

        require_reachable(display_name)
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
        """Let go of the display, once it has taken what was sent: a release may not be lost."""
        with contextlib.suppress(OSError):
            self._display.sync()
        self._display.close()


@dataclass(frozen=True, order=True)
class Tap:
    """A key to be sent: when (the clock's seconds), which, and how long it is held."""

    at_s: float
    key: str
    hold_s: float = 0.005


class ScriptedKeys:
    """A thread that sends taps at their times: the emulated scanner's and the simulated participant's keys.

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


SCANNER_DELAY_S = 2.0
PULSE_S = 0.005


class EmulatedKeys:
    """The emulated scanner's and the simulated participant's taps on a real keyboard.

    Parameters
    ----------
    keys : ScriptedKeys
        Sends them.
    participant : SimulatedParticipant
        Decides on answers.
    trigger : tuple of Tap
        The scanner's pulses, relative to its start.
    clock : Clock
        The hardware clock.
    """

    def __init__(self, keys: ScriptedKeys, *, participant: SimulatedParticipant, trigger: tuple[Tap, ...],
                 clock: Clock) -> None:
        self._keys, self._participant, self._trigger, self._clock = keys, participant, trigger, clock
        self._started = False

    def start_scanner(self) -> None:
        """Have the pulses begin after the delay; once."""
        if not self._started:
            self._started = True
            start = self._clock.now() + SCANNER_DELAY_S
            self._keys.add([Tap(start + tap.at_s, tap.key, tap.hold_s) for tap in self._trigger])

    def press_each(self, keys: Sequence[str]) -> None:
        """Tap some keys in turn, one every half second from now on."""
        now = self._clock.now()
        self._keys.add([Tap(now + 0.5 * k, key, PULSE_S) for k, key in enumerate(keys, start=1)])

    def see(self, frame: Frame, shown_s: float) -> None:
        """Answer what a frame asks for."""
        presses = self._participant.react(frame, shown_s)
        if presses:
            self._keys.add([Tap(press.stamp_s, press.key, PULSE_S) for press in presses])

    @property
    def sent(self) -> list[Tap]:
        """List what was sent so far."""
        return list(self._keys.sent)


class WatchedDisplay:
    """A display whose flips a simulated participant sees; everything else is the display's own.

    Parameters
    ----------
    display : Display
        The real one.
    emulated : EmulatedKeys
        Who sees it.
    """

    def __init__(self, display: Display, emulated: EmulatedKeys) -> None:
        self.display, self.emulated = display, emulated
        self._drawn: Frame | None = None

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.display.size_px

    @property
    def refresh_hz(self) -> float:
        """Frames a second."""
        return self.display.refresh_hz

    @property
    def lead_s(self) -> float:
        """See :class:`paradigms.devices.protocols.Display`."""
        return self.display.lead_s

    def open(self) -> None:
        """Open the display."""
        self.display.open()

    def close(self) -> None:
        """Close the display."""
        self.display.close()

    def require_open(self) -> None:
        """See that the display's window is still there."""
        self.display.require_open()

    def preload(self, images: Mapping[str, Pixels], *, height_px: float | None = None) -> None:
        """Hand images on; the scanner starts once they are there."""
        self.display.preload(images, height_px=height_px)
        self.emulated.start_scanner()

    def draw(self, frame: Frame) -> None:
        """Draw, and remember what."""
        self.display.draw(frame)
        self._drawn = frame

    def flip(self) -> float:
        """Flip, and let it be seen."""
        shown = self.display.flip()
        if self._drawn is not None:
            self.emulated.see(self._drawn, shown)
        return shown

    def screenshot(self) -> Pixels:
        """Read what is on the screen."""
        return self.display.screenshot()


@contextlib.contextmanager
def emulated_keys(pulses_s: ArrayLike, *, trigger_key: str, participant: SimulatedParticipant, clock: Clock,
                     display_name: str, others: Sequence[tuple[float, str]] = ()) -> Iterator[EmulatedKeys]:
    """Run the thread that taps keys for an emulated scanner and a simulated participant.

    Parameters
    ----------
    pulses_s : array_like of float
        The scanner's pulses, in seconds from its start.
    trigger_key : str
        The key that is sent as a pulse.
    participant : SimulatedParticipant
        Decides on answers.
    clock : Clock
        The hardware clock.
    display_name : str
        The X display.
    others : sequence of (float, str)
        Further keys, each with its time in seconds from the scanner's start.

    Raises
    ------
    DeviceError
        Where keys cannot be sent to a window (only X has XTEST).
    """
    if not display_name:
        raise DeviceError("scanner", came="'emulated' with a window on this platform",
                          expected="a display of the X window system",
                          remedy="Use --scanner keyboard, or --display virtual.")
    pulses = tuple(Tap(float(t), trigger_key, PULSE_S) for t in np.asarray(pulses_s, dtype=np.float64))
    pulses += tuple(Tap(t, key, PULSE_S) for t, key in others)
    sender = KeySender(display_name)
    try:
        with ScriptedKeys(sender, clock=clock) as script:
            yield EmulatedKeys(script, participant=participant, trigger=pulses, clock=clock)
    finally:
        sender.close()
