"""The machines behind a run, as protocols: clock, trigger, buttons, display.

All times are seconds of one monotonic clock, :meth:`Clock.now`. A device stamps what it reports; the
time at which it was polled plays no part.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pulse:
    """One trigger pulse.

    Parameters
    ----------
    stamp_s : float
        The device's own stamp, in the clock's seconds.
    source, name : str
        Which device, and what it called the pulse (a key, a line).
    """

    stamp_s: float
    source: str
    name: str


@dataclass(frozen=True)
class Press:
    """One button press, stamped by the device in the clock's seconds."""

    stamp_s: float
    key: str
    source: str


@dataclass(frozen=True)
class Frame:
    """What is shown on the subject's display from one flip to the next.

    Parameters
    ----------
    image_id : str or None
        A preloaded image, or none.
    image_px, fixation_px : float
        Height of the image and diameter of the fixation point, in pixels; an image keeps its proportions.
    fixation_color : tuple of int
        RGB, 0..255.
    background : int
        Grey level, 0..255.
    text : str or None
        An instruction; never while a run is on.
    aperture : uint8 array, (n, n), optional
        How much of the image is seen, 0 (background) to 255, row 0 at the top; stretched over the image.
    dots_px : float32 array, (n_dots, 2), optional
        Centres of dots: pixels from the centre of the display, x to the right, y upward.
    dot_px : float
        Their diameter.
    dot_level : int
        Their grey level.
    overlay : uint8 array, (n, n), optional
        How much white covers background and image, 0 to 255, row 0 at the top, `n` a power of two; stretched
        over the square of side `image_px`. The same array from frame to frame is not sent to the display again.
    surround_px : float
        Diameter of the disk of the background's grey on which the fixation point stands; 0 for none.
    photodiode : bool or None
        A square in the lower right corner, white or black; None for no square.
    """

    image_id: str | None
    image_px: float
    fixation_px: float
    fixation_color: tuple[int, int, int]
    background: int
    text: str | None = None
    aperture: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    dots_px: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    dot_px: float = 0.0
    dot_level: int = 255
    overlay: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    photodiode: bool | None = None
    surround_px: float = 0.0


PHOTODIODE_PX = 60


@runtime_checkable
class Clock(Protocol):
    """A monotonic clock that can wait."""

    def now(self) -> float:
        """Give the time in seconds; never steps back."""

    def wall(self) -> float:
        """Give the wall clock in seconds since 1970; may step."""

    def wait_until(self, t: float) -> None:
        """Return at `t` or at once when it has passed."""

    def rest_until(self, t: float) -> None:
        """Return at `t` or somewhat later, or at once when it has passed: a wait that costs nothing."""


@runtime_checkable
class TriggerSource(Protocol):
    """Where the scanner's pulses come from."""

    def open(self) -> None:
        """Get ready to receive."""

    def close(self) -> None:
        """Let go of the device; may be called twice."""

    def pulses(self) -> list[Pulse]:
        """Give the pulses since the last call, in the order of their stamps."""


@runtime_checkable
class ToldBySettings(Protocol):
    """A trigger source that can say what it was set to, and what came in the place of pulses."""

    checks: str
    """The settings that decide what is a pulse, for a remedy."""

    def came_instead(self) -> str:
        """Say what came that is no pulse, in words; empty for nothing worth saying."""


def checks_of(trigger: TriggerSource) -> str:
    """Name the settings that decide what is a pulse; the keyboard's where a source names none."""
    return trigger.checks if isinstance(trigger, ToldBySettings) else "scanner.trigger_key"


def came_instead(trigger: TriggerSource) -> str:
    """Say what came in the place of pulses; empty where nothing did or the source cannot tell."""
    return trigger.came_instead() if isinstance(trigger, ToldBySettings) else ""


@runtime_checkable
class ResponseDevice(Protocol):
    """Where the subject's (and the operator's) presses come from."""

    def open(self) -> None:
        """Get ready to receive."""

    def close(self) -> None:
        """Let go of the device; may be called twice."""

    def presses(self) -> list[Press]:
        """Give the presses since the last call, in the order of their stamps."""


@runtime_checkable
class Display(Protocol):
    """The subject's display, double buffered."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height in pixels."""

    @property
    def refresh_hz(self) -> float:
        """Frames a second."""

    @property
    def lead_s(self) -> float:
        """How long before a deadline to call :meth:`flip` (half a frame where flips wait for the retrace)."""

    def open(self) -> None:
        """Show the background."""

    def close(self) -> None:
        """Take the window away; may be called twice."""

    def require_open(self) -> None:
        """Raise DeviceError if the window is gone; asked while nothing is shown for a while."""

    def preload(self, images: Mapping[str, Pixels], *, height_px: float | None = None) -> None:
        """Take images, uint8 (height, width, 3), row 0 at the top, by ``image_id``.

        `height_px` is the height at which they will be drawn: they are brought to it once, by this code and
        not by a graphics card's, so that every screen shows the same pixels to the rim.
        """

    def draw(self, frame: Frame) -> None:
        """Draw into the back buffer."""

    def flip(self) -> float:
        """Show the back buffer; give the time at which it became visible."""

    def screenshot(self) -> Pixels:
        """Give what is on the screen, uint8 (height, width, 3), row 0 at the top."""


class HardwareClock:
    """The computer's monotonic clock; waits by sleeping, then spinning for the last moment.

    Parameters
    ----------
    spin_s : float
        How long before the deadline sleeping gives way to spinning.
    """

    def __init__(self, *, spin_s: float = 0.0015) -> None:
        self._spin_s = spin_s

    def now(self) -> float:
        """Give ``time.monotonic()``."""
        return time.monotonic()

    def wall(self) -> float:
        """Give ``time.time()``."""
        return time.time()

    def wait_until(self, t: float) -> None:
        """Wait for `t`; return at once when it has passed."""
        while (left := t - time.monotonic()) > 0:
            if left > self._spin_s:
                time.sleep(left - self._spin_s)

    def rest_until(self, t: float) -> None:
        """Sleep until `t`, without spinning: a fraction of a millisecond late, more on a computer that is busy."""
        time.sleep(max(0.0, t - time.monotonic()))
