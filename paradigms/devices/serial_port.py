"""Trigger and button box on serial lines: every byte is stamped by a thread of its own the moment it arrives.

Common boxes send pulses and presses down one line; trigger and buttons on the same port share its reader.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from paradigms.devices.platforms.system import lower_latency, serial_options
from paradigms.devices.protocols import Clock, Press, Pulse
from subjects.errors import DeviceError

TIMEOUT_S = 0.1
LEAST_OTHERS, MOST_NAMED = 3, 4


class SerialLine:
    """One serial port and the thread that reads it, for as many devices as it carries.

    Parameters
    ----------
    port : str
        For example ``"/dev/ttyUSB0"`` or ``"COM3"``.
    baud : int
        Speed of the line.
    clock : Clock
        Whose time the bytes are stamped in.
    connect : callable, optional
        Gives the port, an object with the methods of ``serial.Serial``. Default: pyserial opens it.
    """

    def __init__(self, port: str, *, baud: int, clock: Clock, connect: Callable[[], Any] | None = None) -> None:
        self.port, self.baud, self._clock = port, baud, clock
        self._connect = connect or self._open_port
        self._serial: Any = None
        self._thread: ReaderThread | None = None
        self._users = 0
        self._boxes: dict[int, Inbox] = {}
        self._rest: Inbox | None = None
        self.unclaimed: Counter[int] = Counter()

    def wants(self, inbox: Inbox, byte: int) -> None:
        """Have one byte delivered to an inbox.

        Raises
        ------
        DeviceError
            If another device of this line has this byte.
        """
        if self._boxes.get(byte, inbox) is not inbox:
            raise DeviceError(f"serial port {self.port}", came=f"byte {byte} as pulse and as button",
                              expected="a byte of its own for each",
                              remedy="Correct serial_trigger.pulse or buttons.keys.")
        self._boxes[byte] = inbox

    def wants_rest(self, inbox: Inbox) -> None:
        """Have every byte that no other device wants delivered to an inbox."""
        self._rest = inbox

    def open(self) -> None:
        """Listen from now on; counts its users.

        Raises
        ------
        DeviceError
            If the port cannot be opened.
        """
        if self._serial is None:
            try:
                self._serial = self._connect()
            except (OSError, ValueError, OverflowError) as error:  # pyserial's own error is an OSError
                raise DeviceError(f"serial port {self.port or '(none)'}", came=_reason(error),
                                  expected=f"a serial port at {self.baud} baud that may be read",
                                  remedy=_what_to_do()) from error
            for inbox in self._inboxes():
                inbox.clear()
            self.unclaimed.clear()
            self._thread = ReaderThread(f"serial {self.port}", read=self._read, failed=self._fail)
            self._thread.start()
        self._users += 1

    def close(self) -> None:
        """Stop listening when the last user is gone."""
        self._users = max(0, self._users - 1)
        if not self._users and self._serial is not None and self._thread is not None:
            port, self._serial = self._serial, None
            with contextlib.suppress(Exception):
                port.cancel_read()
            self._thread.stop()
            with contextlib.suppress(OSError):
                port.close()

    def _open_port(self) -> Any:
        import serial

        if not self.port:
            raise ValueError("no port is set")
        port = serial.Serial(self.port, self.baud, timeout=TIMEOUT_S, **serial_options())
        lower_latency(port)
        port.reset_input_buffer()
        return port

    def _read(self, stop: threading.Event) -> None:
        port = self._serial
        while not stop.is_set():
            data = port.read(1)
            stamp = self._clock.now()
            if data:
                self._deliver(stamp, data)
                waiting = port.in_waiting
                if waiting:
                    self._deliver(self._clock.now(), port.read(waiting))

    def _deliver(self, stamp_s: float, data: bytes) -> None:
        for byte in data:
            inbox = self._boxes.get(byte, self._rest)
            if byte not in self._boxes:
                self.unclaimed[byte] += 1
            if inbox is not None:
                inbox.put(stamp_s, byte)

    def _fail(self, error: OSError) -> None:
        for inbox in self._inboxes():
            inbox.fail(DeviceError(f"serial port {self.port}", came=f"a line that broke ({_reason(error)})",
                                   expected="an open line", remedy="Check the cable and plug the box in again; "
                                   "what had come before is recorded."))

    def _inboxes(self) -> list[Inbox]:
        found = {id(inbox): inbox for inbox in (*self._boxes.values(), self._rest) if inbox is not None}
        return list(found.values())


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _what_to_do() -> str:
    from serial.tools import list_ports

    found = ", ".join(sorted(port.device for port in list_ports.comports())) or "none"
    return f"Plug the box in and set its port in the settings; ports found: {found}."


class SerialTrigger:
    """A scanner's trigger that arrives as a byte.

    Parameters
    ----------
    line : SerialLine
        May be shared with a button box.
    pulse : int
        The byte, 0..255; other bytes are no pulses.
    """

    checks = "serial_trigger.port, serial_trigger.baud and serial_trigger.pulse"

    def __init__(self, line: SerialLine, *, pulse: int) -> None:
        self._line, self._inbox, self._pulse = line, Inbox(), pulse
        line.wants(self._inbox, pulse)

    def open(self) -> None:
        """Start listening."""
        self._line.open()

    def close(self) -> None:
        """Stop listening."""
        self._line.close()

    def came_instead(self) -> str:
        """Name the bytes that are neither a pulse nor a button's, once they are too many to be chance."""
        others = Counter(dict(self._line.unclaimed))
        if sum(others.values()) < LEAST_OTHERS:
            return ""
        most = ", ".join(f"{byte_name(byte)} {count} times" for byte, count in others.most_common(MOST_NAMED))
        return (f"bytes that are no pulse came ({most}{', ...' if len(others) > MOST_NAMED else ''}) at "
                f"{self._line.baud} baud; a pulse is {byte_name(self._pulse)}")

    def pulses(self) -> list[Pulse]:
        """Give the pulses since the last call; a line that broke is an error, once."""
        return [Pulse(stamp, f"serial {self._line.port}", byte_name(byte)) for stamp, byte in self._inbox.take()]


class SerialButtons:
    """A button box that sends a byte a press.

    Parameters
    ----------
    line : SerialLine
        May be shared with a trigger.
    keys : mapping of int to str
        The key that each byte means. Other bytes are recorded under their own names and answer nothing.
    """

    def __init__(self, line: SerialLine, *, keys: Mapping[int, str]) -> None:
        self._line, self._keys, self._inbox = line, dict(keys), Inbox()
        for byte in self._keys:
            line.wants(self._inbox, byte)
        line.wants_rest(self._inbox)

    def open(self) -> None:
        """Start listening."""
        self._line.open()

    def close(self) -> None:
        """Stop listening."""
        self._line.close()

    def presses(self) -> list[Press]:
        """Give the presses since the last call; a line that broke is an error, once."""
        return [Press(stamp, self._keys.get(byte, byte_name(byte)), f"serial {self._line.port}")
                for stamp, byte in self._inbox.take()]


def byte_name(byte: int) -> str:
    """Name a byte that has no other name.

    Examples
    --------
    >>> byte_name(53), byte_name(1)
    ("byte '5'", 'byte 1')
    """
    return f"byte {chr(byte)!r}" if 32 < byte < 127 else f"byte {byte}"


TURN_S = 0.0005
JOIN_S = 2.0
Stamped = tuple[float, int]


def shorten_turns() -> None:
    """Let threads take turns at least every half millisecond, for as long as the process lives."""
    if sys.getswitchinterval() > TURN_S:
        sys.setswitchinterval(TURN_S)


class Inbox:
    """Where a reading thread puts what came, and the poll takes it from."""

    def __init__(self) -> None:
        self._waiting: deque[Stamped] = deque()
        self._failure: DeviceError | None = None
        self._told = False

    def put(self, stamp_s: float, value: int) -> None:
        """Add something that came."""
        self._waiting.append((stamp_s, value))

    def fail(self, error: DeviceError) -> None:
        """Say that nothing more will come, and why."""
        self._failure = error

    def clear(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        self._failure, self._told = None, False

    def take(self) -> list[Stamped]:
        """Give what came since the last call.

        Raises
        ------
        DeviceError
            Once, after everything that came before the device was lost was given.
        """
        failure, found = self._failure, []
        while self._waiting:
            found.append(self._waiting.popleft())
        if failure is not None and not found and not self._told:
            self._told = True
            raise failure
        return found


class ReaderThread:
    """A thread that reads until it is stopped or its device fails.

    Parameters
    ----------
    name : str
        Of the thread.
    read : callable
        Called with the event that ends it.
    failed : callable
        Told of an OSError that ended the reading.
    """

    def __init__(self, name: str, *, read: Callable[[threading.Event], None],
                 failed: Callable[[OSError], None]) -> None:
        self._read, self._failed = read, failed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        shorten_turns()
        self._thread.start()

    def stop(self) -> None:
        """End it and wait until it has ended."""
        self._stop.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        try:
            self._read(self._stop)
        except (OSError, TypeError) as error:  # pyserial raises TypeError where a port is closed under its read
            if not self._stop.is_set():
                self._failed(error if isinstance(error, OSError) else OSError(str(error)))
