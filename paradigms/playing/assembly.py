"""Real devices put together for a run: window and keyboard, with an emulated scanner's keys on request."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from paradigms.devices.inputs import Inputs, opened_inputs, require_name
from paradigms.devices.platforms.system import preferred
from paradigms.devices.protocols import Clock, Frame, HardwareClock, Pixels
from paradigms.devices.screens import Screen, choose_screen, list_screens
from paradigms.devices.serial_port import byte_name
from paradigms.devices.tracker import NullTracker, Tracker
from paradigms.devices.xserver import is_ours, require_display, server_name, start_virtual_display
from paradigms.emulation.fake_keys import WatchedDisplay, emulated_keys
from paradigms.emulation.participant import SimulatedParticipant, seat_participant
from paradigms.emulation.scanner_and_display import EmulatedScanner, RecordingDisplay, planned_pulses
from paradigms.playing.marker_queue import MarkerQueue
from paradigms.playing.run_devices import Devices
from paradigms.recorders.markers import make_markers
from paradigms.schedule import Schedule
from paradigms.tasks.catalogue import task_of
from subjects.errors import DeviceError
from subjects.profile import SubjectProfile, require_virtual
from subjects.settings.devices import DISPLAYS, SCANNERS, byte_value
from subjects.settings.study import Settings

POLL_S = 0.02


@contextlib.contextmanager
def window_devices(settings: Settings, *, schedule: Schedule, clock: Clock, scanner: str, display: str,
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
    display : {"window", "xvfb"}
        The subject's screen, or a virtual X server that is started for it.
    fullscreen : bool
        Fill the screen.

    Raises
    ------
    DeviceError
        If there is no display or not the screen that is asked for, or keys cannot be sent on this platform.
    """
    place = find_place(settings, display=display, fullscreen=fullscreen)
    from paradigms.devices.console_window import open_console

    if scanner != "emulated":
        with real_devices(settings, clock=clock, scanner=scanner, place=place, fullscreen=fullscreen) as devices:
            yield devices
        return
    key = settings.scanner.trigger_key
    with open_console(settings, clock=clock, fullscreen=fullscreen, trigger_key=key, screen=place.screen,
                      every_key=True) as console:
        pulses = planned_pulses(settings.emulated_scanner, scanner=settings.scanner, schedule=schedule)
        participant = _participant(settings, schedule=schedule, clock=clock)
        abort_s = settings.emulated_scanner.abort_s
        others = () if abort_s is None else ((abort_s, settings.main.abort_key),)
        with emulated_keys(pulses, trigger_key=key, participant=participant, clock=clock, others=others,
                           display_name=place.server) as emulated:
            watched = WatchedDisplay(console.display, emulated)
            yield Devices(clock, trigger=console.trigger, responses=console.responses, display=watched,
                          prompt=emulated.press_each, where=str(place))


@contextlib.contextmanager
def real_devices(settings: Settings, *, clock: Clock, scanner: str, place: Place,
                 fullscreen: bool, every_key: bool = False) -> Iterator[Devices]:
    """Open a window, the keyboard, and the trigger and button box that are asked for.

    Parameters
    ----------
    settings : Settings
        Display, keys, ports, and which button box there is.
    clock : Clock
        The hardware clock.
    scanner : {"keyboard", "serial", "parallel"}
        Where the pulses come from.
    place : Place
        Where the window goes.
    fullscreen : bool
        Fill the screen.
    every_key : bool
        Let every key of every keyboard count, whatever the settings say: outside a run a box may be elsewhere, and
        whoever sits at the console types.
    """
    from paradigms.devices.console_window import open_console

    key = settings.scanner.trigger_key if scanner == "keyboard" else ""
    with open_console(settings, clock=clock, fullscreen=fullscreen, trigger_key=key, screen=place.screen,
                      every_key=every_key) as console:
        inputs = Inputs(settings, clock=clock, trigger=console.trigger, responses=console.responses)
        with opened_inputs(inputs, scanner=scanner, buttons=settings.buttons.device) as (trigger, responses):
            yield Devices(clock, trigger=trigger, responses=responses, display=console.display, where=str(place))


@dataclass(frozen=True)
class Place:
    """Where a window goes.

    Parameters
    ----------
    server : str
        The X server's name, empty where there is none.
    screen : Screen
        The subject's screen, and
    n_screens : int
        of how many.
    """

    server: str
    screen: Screen
    n_screens: int

    def __str__(self) -> str:
        """Name X server and screen."""
        server = f"X server {server_name(self.server)}, " if self.server else ""
        return f"{server}screen {self.screen} ({self.n_screens} in all)"


def find_place(settings: Settings, *, display: str, fullscreen: bool) -> Place:
    """Find the subject's screen before anything is opened on it.

    Raises
    ------
    DeviceError
        As :func:`~paradigms.devices.xserver.require_display` and :func:`~paradigms.devices.screens.choose_screen`.
    """
    asked = settings.display
    server = start_virtual_display(asked.width_px, asked.height_px) if display == XVFB else require_display()
    screens = list_screens()
    chosen = choose_screen(screens, settings=asked, fullscreen=fullscreen, ours=is_ours(server))
    return Place(server, chosen, len(screens))


def show_picture(picture: Pixels, *, settings: Settings, seconds: float, fullscreen: bool = True,
                 shown: str = "window") -> float:
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
    shown : {"window", "xvfb"}
        On the subject's screen, or on a virtual X server.

    Returns
    -------
    float
        How long it was shown, in seconds.
    """
    display, clock = settings.display, HardwareClock()
    place = find_place(settings, display=shown, fullscreen=fullscreen)
    from paradigms.devices.console_window import open_console

    with open_console(settings, clock=clock, fullscreen=fullscreen, screen=place.screen) as console:
        console.display.preload({"picture": picture}, height_px=float(display.height_px))
        console.display.draw(Frame("picture", image_px=float(display.height_px), fixation_px=0.0,
                                   fixation_color=(0, 0, 0), background=display.background))
        began = console.display.flip()
        while clock.now() < began + seconds:
            if any(press.key == settings.main.abort_key for press in console.responses.presses()):
                break
            clock.rest_until(clock.now() + POLL_S)
        return clock.now() - began


XVFB = "xvfb"
VIRTUAL_POLL_S = 0.25


def require_devices(profile: SubjectProfile, *, scanner: str, display: str) -> None:
    """Refuse unknown or impossible devices, and the emulated scanner for a volunteer; no device replaces another.

    Parameters
    ----------
    profile : SubjectProfile
        Who is scanned: what an emulated scanner and a simulated participant give is no volunteer's data.
    scanner, display : str
        As for a run.

    Raises
    ------
    DeviceError
        For a device that is not known, or a virtual display with a real trigger.
    ProfileError
        For the emulated scanner, or a display that nobody sees, with a subject who is not marked virtual.
    """
    for kind, name, known in (("scanner", scanner, SCANNERS), ("display", display, DISPLAYS)):
        require_name(kind, name, known=known)
    if display == "virtual" and scanner != "emulated":
        raise DeviceError("display", came="a virtual display with a real trigger",
                          expected="the emulated scanner, whose time can jump",
                          remedy="Use --scanner emulated for a virtual subject, or --display window.")
    if scanner == "emulated":
        require_virtual(profile, what="on the emulated scanner")
    if display == XVFB:
        require_virtual(profile, what="on a display that nobody sees")


@contextlib.contextmanager
def opened_devices(settings: Settings, *, schedule: Schedule, clock: Clock, scanner: str, display: str,
                   fullscreen: bool = True, tracker: Tracker | None = None) -> Iterator[Devices]:
    """Put the four devices of a run together, real or virtual, and the lab's own tracker, if there is one."""
    tracker = NullTracker() if tracker is None else tracker
    if display == "virtual":
        with opened_markers(settings, clock=clock, threaded=False) as markers:
            yield replace(virtual_devices(settings, schedule=schedule, clock=clock), tracker=tracker, markers=markers)
        return
    with opened_markers(settings, clock=clock) as markers, preferred() as first, \
            window_devices(settings, schedule=schedule, clock=clock, scanner=scanner, display=display,
                           fullscreen=fullscreen) as devices:
        yield replace(devices, tracker=tracker, markers=markers, preferred=first)


@contextlib.contextmanager
def opened_markers(settings: Settings, *, clock: Clock, threaded: bool = True) -> Iterator[MarkerQueue | None]:
    """Open where markers go, before a record is begun; None where the settings name nothing."""
    sink = make_markers(settings.markers)
    if sink is None:
        yield None
        return
    with contextlib.closing(sink):
        sink.open()
        markers = MarkerQueue(sink, clock, settings.markers.hold_s, threaded=threaded)
        markers.start()
        yield markers


def virtual_devices(settings: Settings, *, schedule: Schedule, clock: Clock) -> Devices:
    """Make an emulated scanner, a simulated participant and a recording display on one clock."""
    participant = _participant(settings, schedule=schedule, clock=clock)
    size = (settings.display.width_px, settings.display.height_px)
    screen = RecordingDisplay(clock, size_px=size, refresh_hz=settings.display.refresh_hz, on_flip=participant.see)
    pulses = planned_pulses(settings.emulated_scanner, scanner=settings.scanner, schedule=schedule)
    abort_s, key = settings.emulated_scanner.abort_s, settings.main.abort_key

    def started(at_s: float) -> None:
        if abort_s is not None:
            participant.press(key, at_s=at_s + abort_s)

    return Devices(clock, trigger=EmulatedScanner(clock, times_s=pulses, on_start=started), responses=participant,
                   display=screen, poll_s=VIRTUAL_POLL_S, prompt=participant.press_each)


def _participant(settings: Settings, *, schedule: Schedule, clock: Clock) -> SimulatedParticipant:
    return seat_participant(settings.participant, schedule=schedule, keys=task_of(schedule.task, settings).keys,
                            clock=clock)


def trigger_named(settings: Settings, *, scanner: str) -> str:
    """Say what a run's trigger is, in a few words."""
    serial, parallel = settings.serial_trigger, settings.parallel_trigger
    return {"emulated": "the emulated scanner", "keyboard": f"key {settings.scanner.trigger_key!r}",
            "serial": f"{byte_name(byte_value(serial.pulse))} on {serial.port} at {serial.baud} baud",
            "parallel": f"pin {parallel.pin} of the parallel port"}[scanner]


def buttons_named(settings: Settings, *, scanner: str) -> str:
    """Say which buttons a run has: the emulated scanner brings a simulated participant."""
    return "simulated participant" if scanner == "emulated" else settings.buttons.device
