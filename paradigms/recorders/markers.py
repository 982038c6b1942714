"""Markers out: a code for each event, to a parallel port, a serial line, or Lab Streaming Layer.

A sink is opened before a run's record is begun and told of every event just after its flip.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from paradigms.devices.platforms.status_ports import DataPort, data_port
from subjects.errors import DeviceError, SettingsError, nearest
from subjects.settings.subject_side import MarkersSettings

ZERO, END = "zero", "end"


@runtime_checkable
class MarkerSink(Protocol):
    """Where markers go. What a call raises is a fault of the sink, which the record names; the run goes on."""

    def open(self) -> None:
        """Get ready; DeviceError if there is nothing to send to."""

    def send(self, code: int) -> None:
        """Send a code now."""

    def release(self) -> None:
        """Take the code away again, where a line holds it."""

    def close(self) -> None:
        """Let go; may be called twice."""


@dataclass
class RecordingMarkers:
    """A sink that keeps what it is sent, with the time of a clock; on request it fails.

    Parameters
    ----------
    now : callable
        The clock.
    failing : bool
        Whether sending raises.
    sent : list of (float, int)
    released : list of float
    """

    now: Callable[[], float]
    failing: bool = False
    sent: list[tuple[float, int]] = field(default_factory=list)
    released: list[float] = field(default_factory=list)

    def open(self) -> None:
        """Be ready."""

    def send(self, code: int) -> None:
        """Keep a code."""
        if self.failing:
            raise OSError("unplugged")
        self.sent.append((self.now(), code))

    def release(self) -> None:
        """Keep the time."""
        self.released.append(self.now())

    def close(self) -> None:
        """Do nothing."""


class ParallelMarkers:
    """The eight data lines of a parallel port."""

    direct = True
    """Sending is one write to a register."""

    def __init__(self, port: DataPort) -> None:
        self._port = port

    def open(self) -> None:
        """Claim the port and put all lines low."""
        try:
            self._port.open()
            self._port.write(0)
        except OSError as error:
            raise _refusal("a parallel port that cannot be opened", error) from error

    def send(self, code: int) -> None:
        """Put the lines to the bits of a code."""
        self._port.write(code)

    def release(self) -> None:
        """Put all lines low."""
        self._port.write(0)

    def close(self) -> None:
        """Let go of the port."""
        self._port.close()


class SerialMarkers:
    """A serial line: a code is one byte, which nothing takes back."""

    def __init__(self, port: str, *, baud: int, load: Callable[[str], Any] = importlib.import_module) -> None:
        self._port, self._baud, self._load = port, baud, load
        self._line: Any = None

    def open(self) -> None:
        """Open the line; a write never waits longer than a tenth of a second."""
        if not self._port:
            raise DeviceError("markers.port", came="no port", expected="the name of a serial port",
                              remedy='Set it to "/dev/ttyUSB0" or "COM3" or what there is.')
        try:
            self._line = self._load("serial").Serial(self._port, self._baud, write_timeout=0.1)
        except (OSError, ValueError) as error:
            raise _refusal(f"the port {self._port!r}, which cannot be opened", error) from error

    def send(self, code: int) -> None:
        """Write the byte."""
        self._line.write(bytes((code,)))

    def release(self) -> None:
        """Do nothing: a byte is gone by itself."""

    def close(self) -> None:
        """Close the line."""
        line, self._line = self._line, None
        if line is not None:
            line.close()


class LslMarkers:
    """A stream of Lab Streaming Layer of type ``Markers``, one integer a sample."""

    direct = True
    """Sending puts a sample into the library's own buffer."""

    def __init__(self, name: str, *, load: Callable[[str], Any] = importlib.import_module) -> None:
        self._name, self._load = name, load
        self._outlet: Any = None

    def open(self) -> None:
        """Offer the stream."""
        try:
            lsl = self._load("pylsl")
        except Exception as error:  # without its library pylsl raises RuntimeError at import
            raise DeviceError("markers.device", came=f"'lsl' without a pylsl that can be imported ({error})",
                              expected="the package pylsl and its library liblsl",
                              remedy="Install them: `pip install pylsl`.") from error
        info = lsl.StreamInfo(self._name, "Markers", 1, 0.0, "int32", f"adversarial-fmri {self._name}")
        self._outlet = lsl.StreamOutlet(info)

    def send(self, code: int) -> None:
        """Push a sample; the library stamps it."""
        self._outlet.push_sample([code])

    def release(self) -> None:
        """Do nothing: a sample is gone by itself."""

    def close(self) -> None:
        """Take the stream away."""
        self._outlet = None


def make_markers(section: MarkersSettings) -> MarkerSink | None:
    """Make the sink that the settings name; None where they name none."""
    makers: dict[str, Callable[[], MarkerSink]] = {
        "parallel": lambda: ParallelMarkers(data_port(device=section.parallel_device, address=section.address)),
        "serial": lambda: SerialMarkers(section.port, baud=section.baud),
        "lsl": lambda: LslMarkers(section.stream)}
    return makers[section.device]() if section.device != "none" else None


def code_of(section: MarkersSettings, name: str) -> int:
    """Give the code of an event's type, or of an edge of a run.

    Raises
    ------
    SettingsError
        If the table has none for it.

    Examples
    --------
    >>> code_of(MarkersSettings(), "AN")
    12
    """
    codes = dict(section.codes)
    if name not in codes:
        raise SettingsError("markers.codes", came=f"no code for {name!r}", expected="one for every type of event",
                            remedy=nearest(name, tuple(codes)))
    return codes[name]


def _refusal(came: str, error: BaseException) -> DeviceError:
    return DeviceError("markers", came=f"{came} ({error})", expected="a line for the markers",
                       remedy='Check the settings in [markers], or set markers.device = "none".')
