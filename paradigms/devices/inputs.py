"""Trigger and button box made from their names and settings; an unknown name is an error, never a silent dummy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from paradigms.devices.parallel_port import ParallelTrigger
from paradigms.devices.platforms.status_ports import platform_port
from paradigms.devices.platforms.system import same_port
from paradigms.devices.protocols import Clock, Press, ResponseDevice, TriggerSource
from paradigms.devices.serial_port import SerialButtons, SerialLine, SerialTrigger
from paradigms.devices.stuck_keys import TellsHeld
from subjects.errors import DeviceError, nearest
from subjects.settings.devices import BUTTONS, SCANNERS, byte_value
from subjects.settings.study import Settings

REAL = tuple(name for name in SCANNERS if name != "emulated")


class JoinedResponses:
    """Several response devices as one: a button box, and the keyboard with the operator's keys.

    One that fails is an error, once; the others go on.

    Parameters
    ----------
    devices : sequence of ResponseDevice
        At least one.
    """

    def __init__(self, devices: Sequence[ResponseDevice]) -> None:
        self._devices = tuple(devices)
        self._unread: list[Press] = []

    def open(self) -> None:
        """Open all."""
        for device in self._devices:
            device.open()

    def close(self) -> None:
        """Close all."""
        with contextlib.ExitStack() as stack:
            for device in self._devices:
                stack.callback(device.close)

    def presses(self) -> list[Press]:
        """Give the presses of all since the last call, in the order of their stamps; none is lost to a failure."""
        failure: DeviceError | None = None
        for device in self._devices:
            try:
                self._unread += device.presses()
            except DeviceError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        given, self._unread = sorted(self._unread, key=lambda press: press.stamp_s), []
        return given

    def keys_down(self) -> dict[str, float]:
        """Give the keys that are down, of those devices that report releases."""
        held = [device.keys_down() for device in self._devices if isinstance(device, TellsHeld)]
        return {key: since for one in held for key, since in one.items()}


class Inputs:
    """Makes the trigger and the button box of a run; those on one serial port share its reader.

    Parameters
    ----------
    settings : Settings
        Ports, bytes, pins.
    clock : Clock
        Whose time they stamp in.
    trigger, responses
        The keyboard's two sides.
    """

    def __init__(self, settings: Settings, *, clock: Clock, trigger: TriggerSource, responses: ResponseDevice) -> None:
        self._settings, self._clock = settings, clock
        self._keyboard_trigger, self._keyboard_responses = trigger, responses
        self._lines: dict[str, SerialLine] = {}

    def trigger(self, name: str) -> TriggerSource:
        """Make a trigger source by its name."""
        makers: dict[str, Callable[[], TriggerSource]] = {
            "keyboard": lambda: self._keyboard_trigger, "serial": self._serial_trigger,
            "parallel": self._parallel_trigger}
        return makers[require_name("scanner", name, known=REAL)]()

    def responses(self, name: str) -> ResponseDevice:
        """Make a response device by its name; the keyboard always stays for the operator's keys."""
        if require_name("buttons", name, known=BUTTONS) == "keyboard":
            return self._keyboard_responses
        box = self._settings.buttons
        line = self._line(box.port, box.baud, setting="buttons.port")
        keys = {byte_value(byte): key for byte, key in box.keys}
        return JoinedResponses((SerialButtons(line, keys=keys), self._keyboard_responses))

    def _serial_trigger(self) -> TriggerSource:
        trigger = self._settings.serial_trigger
        line = self._line(trigger.port, trigger.baud, setting="serial_trigger.port")
        return SerialTrigger(line, pulse=byte_value(trigger.pulse))

    def _parallel_trigger(self) -> TriggerSource:
        asked = self._settings.parallel_trigger
        return ParallelTrigger(platform_port(device=asked.device, address=asked.address), pin=asked.pin,
                               edge=asked.edge, poll_s=asked.poll_s)

    def _line(self, port: str, baud: int, *, setting: str) -> SerialLine:
        if not port:
            raise DeviceError(setting, came="no port", expected="the name of a serial port",
                              remedy=f'Set {setting} to "/dev/ttyUSB0" or "COM3" or what the box has.')
        line = self._lines.setdefault(same_port(port), SerialLine(port, baud=baud, clock=self._clock))
        if line.baud != baud:
            raise DeviceError(setting, came=f"{baud} baud on a port that has {line.baud} already",
                              expected="one speed for one port",
                              remedy="Give serial_trigger.baud and buttons.baud the same value.")
        return line


def require_name(kind: str, name: str, *, known: Sequence[str]) -> str:
    """Hand a device's name on if it is known.

    Raises
    ------
    DeviceError
        Naming the nearest name.
    """
    if name not in known:
        raise DeviceError(kind, came=repr(name), expected=f"one of {', '.join(known)}", remedy=nearest(name, known))
    return name


@contextlib.contextmanager
def opened_inputs(inputs: Inputs, *, scanner: str, buttons: str) -> Iterator[tuple[TriggerSource, ResponseDevice]]:
    """Make trigger and buttons and keep them open: what is missing is said before a record is begun.

    Raises
    ------
    DeviceError
        For an unknown name, or a device that cannot be opened.
    """
    trigger, responses = inputs.trigger(scanner), inputs.responses(buttons)
    with contextlib.ExitStack() as stack:
        for device in (trigger, responses):
            stack.callback(device.close)
            device.open()
        yield trigger, responses
