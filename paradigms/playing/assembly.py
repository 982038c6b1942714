"""Real devices put together for a run: window and keyboard, with an emulated scanner's fingers on request."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from paradigms.devices.inputs import Inputs, opened_inputs
from paradigms.devices.protocols import Clock, Display, Frame, HardwareClock, Pixels
from paradigms.devices.xserver import KeySender, ScriptedKeys, Tap, ensure_display
from paradigms.emulation.participant import SimulatedParticipant, seat_participant
from paradigms.emulation.scanner_and_display import planned_pulses
from paradigms.playing.engine import Devices
from paradigms.schedule import Schedule
from subjects.errors import DeviceError
from subjects.settings.study import Settings

SCANNER_DELAY_S = 2.0
PULSE_S = 0.005
POLL_S = 0.02


@contextlib.contextmanager
def window_devices(settings: Settings, *, schedule: Schedule, clock: Clock, scanner: str,
                   fullscreen: bool) -> Iterator[Devices]:
    """Open a window, the keyboard and the devices that are asked for; all are open before a record is begun.

    Parameters
    ----------
    settings : Settings
        Display, keys, ports, and which button box there is.
    schedule : Schedule
        What will be played.
    clock : Clock
        The hardware clock.
    scanner : {"emulated", "keyboard", "serial", "parallel"}
        Emulated pulses and answers go through the X server (XTEST) and come back as any key does. With the others
        the buttons are those of the settings, and the keyboard stays for the operator's keys.
    fullscreen : bool
        Fill the screen.

    Raises
    ------
    DeviceError
        If there is no display, or keys cannot be sent on this platform.
    """
    with ensure_display(settings.display.width_px, settings.display.height_px) as name:
        from paradigms.devices.window import open_console

        key = settings.scanner.trigger_key if scanner in ("emulated", "keyboard") else ""
        with open_console(settings, clock=clock, fullscreen=fullscreen, trigger_key=key) as console:
            if scanner != "emulated":
                inputs = Inputs(settings, clock=clock, trigger=console.trigger, responses=console.responses)
                with opened_inputs(inputs, scanner=scanner, buttons=settings.buttons.device) as (trigger, responses):
                    yield Devices(clock, trigger=trigger, responses=responses, display=console.display)
                return
            with emulated_fingers(settings, schedule=schedule, clock=clock, display_name=name) as fingers:
                watched = WatchedDisplay(console.display, fingers)
                yield Devices(clock, trigger=console.trigger, responses=console.responses, display=watched,
                              prompt=fingers.press_each)


def show_picture(picture: Pixels, *, settings: Settings, seconds: float, fullscreen: bool = True) -> float:
    """Show one picture that fills the display until the time is over or the abort key is pressed.

    Parameters
    ----------
    picture : uint8 array, (height_px, width_px, 3)
        Of the display's size.
    settings : Settings
        Display and abort key.
    seconds : float
        How long.
    fullscreen : bool
        Fill the screen.

    Returns
    -------
    float
        How long it stood, in seconds.
    """
    display, clock = settings.display, HardwareClock()
    with ensure_display(display.width_px, display.height_px):
        from paradigms.devices.window import open_console

        with open_console(settings, clock=clock, fullscreen=fullscreen) as console:
            console.display.preload({"picture": picture}, height_px=float(display.height_px))
            console.display.draw(Frame("picture", image_px=float(display.height_px), fixation_px=0.0,
                                       fixation_color=(0, 0, 0), background=display.background))
            began = console.display.flip()
            while clock.now() < began + seconds:
                if any(press.key == settings.main.abort_key for press in console.responses.presses()):
                    break
                clock.wait_until(clock.now() + POLL_S)
            return clock.now() - began


class Fingers:
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
    fingers : Fingers
        Who sees it.
    """

    def __init__(self, display: Display, fingers: Fingers) -> None:
        self.display, self.fingers = display, fingers
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

    def preload(self, images: Mapping[str, Pixels], *, height_px: float | None = None) -> None:
        """Hand images on; the scanner starts once they are there."""
        self.display.preload(images, height_px=height_px)
        self.fingers.start_scanner()

    def draw(self, frame: Frame) -> None:
        """Draw, and remember what."""
        self.display.draw(frame)
        self._drawn = frame

    def flip(self) -> float:
        """Flip, and let it be seen."""
        shown = self.display.flip()
        if self._drawn is not None:
            self.fingers.see(self._drawn, shown)
        return shown

    def screenshot(self) -> Pixels:
        """Read what is on the screen."""
        return self.display.screenshot()


@contextlib.contextmanager
def emulated_fingers(settings: Settings, *, schedule: Schedule, clock: Clock, display_name: str) -> Iterator[Fingers]:
    """Run the thread that taps keys for an emulated scanner and a simulated participant.

    Raises
    ------
    DeviceError
        Where keys cannot be sent to a window (only X has XTEST).
    """
    if not display_name:
        raise DeviceError("scanner", came="'emulated' with a window on this platform",
                          expected="a display of the X window system",
                          remedy="Use --scanner keyboard, or --display virtual.")
    participant = seat_participant(settings, schedule=schedule, clock=clock)
    pulses = tuple(Tap(float(t), settings.scanner.trigger_key, PULSE_S)
                   for t in planned_pulses(settings, schedule=schedule))
    sender = KeySender(display_name)
    try:
        with ScriptedKeys(sender, clock=clock) as script:
            yield Fingers(script, participant=participant, trigger=pulses, clock=clock)
    finally:
        sender.close()
