"""Doubles of the machines, shipped as a product: a whole session can be rehearsed without any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from paradigms.devices.protocols import PHOTODIODE_PX, Clock, Frame, Pixels, Pulse
from paradigms.schedule import Schedule
from subjects.errors import DeviceError
from subjects.provenance import rng as derived_rng
from subjects.settings.devices import ScannerFaults, ScannerSettings

WALL_START_S = 1_600_000_000.0
DOUBLE_S = 0.03



class VirtualClock:
    """A clock that jumps to whatever time is waited for.

    Parameters
    ----------
    start_s : float
        Its first time.
    """

    def __init__(self, *, start_s: float = 100.0) -> None:
        self._now = float(start_s)

    def now(self) -> float:
        """Give the virtual time."""
        return self._now

    def wall(self) -> float:
        """Give a wall clock that runs with the virtual time."""
        return WALL_START_S + self._now

    def wait_until(self, t: float) -> None:
        """Jump to `t` unless it has passed."""
        self._now = max(self._now, t)

    def rest_until(self, t: float) -> None:
        """Jump to `t` unless it has passed."""
        self.wait_until(t)


def pulse_times(*, tr_s: float, n_volumes: int, faults: ScannerFaults, rng: Generator) -> NDArray[np.float64]:
    """Give the times of a scanner's pulses, from the time at which its first one is asked for.

    Returns
    -------
    float64 array
        Sorted seconds.

    Examples
    --------
    >>> pulse_times(tr_s=2.0, n_volumes=3, faults=ScannerFaults(missed=(1,)), rng=np.random.default_rng(0))
    array([0., 4.])
    """
    grid = np.arange(n_volumes) * tr_s * faults.tr_factor
    times = (grid + faults.jitter_s * rng.standard_normal(n_volumes))[:faults.stop_after]
    kept = np.setdiff1d(np.arange(len(times)), faults.missed)
    doubled = times[[k for k in faults.doubled if k < len(times)]] + DOUBLE_S
    found = np.sort(np.concatenate([times[kept], doubled, np.asarray(faults.extra_s, dtype=np.float64)]))
    return np.asarray(found + faults.late_s, dtype=np.float64)


def planned_pulses(faults: ScannerFaults, *, scanner: ScannerSettings, schedule: Schedule) -> NDArray[np.float64]:
    """Give the times of the pulses that an emulated scanner sends for a run.

    Parameters
    ----------
    faults : ScannerFaults
        What it does wrong.
    scanner : ScannerSettings
        Its dummy volumes; those without pulses are waited for in silence.
    schedule : Schedule
        How many volumes the run has, and the seed of the jitter.

    Returns
    -------
    float64 array
        Seconds from the beginning of its first volume.
    """
    n_silent = scanner.n_dummies - scanner.n_dummy_pulses
    times = pulse_times(tr_s=schedule.tr_s, n_volumes=scanner.n_dummy_pulses + schedule.n_volumes, faults=faults,
                        rng=derived_rng(schedule.seed, "scanner"))
    return np.asarray(times + n_silent * schedule.tr_s * faults.tr_factor, dtype=np.float64)


def patience_s(faults: ScannerFaults, *, scanner: ScannerSettings, schedule: Schedule) -> float:
    """Give the time after which an emulated scanner sends no more pulses, with a minute to spare.

    A run in virtual time that has not begun by then never will: there is no operator to end it.
    """
    return 60.0 + float(np.max(planned_pulses(faults, scanner=scanner, schedule=schedule), initial=0.0))


class EmulatedScanner:
    """A scanner that sends its pulses by itself once opened.

    Parameters
    ----------
    clock : Clock
        Whose time the pulses follow.
    times_s : array_like of float
        When the pulses come, in seconds from the first volume: :func:`planned_pulses` of a run, or
        :func:`pulse_times`.
    delay_s : float
        From opening to the first volume.
    on_start : callable, optional
        Told the clock's time of the first volume once it is opened.
    """

    def __init__(self, clock: Clock, *, times_s: ArrayLike, delay_s: float = 3.0,
                 on_start: Callable[[float], None] | None = None) -> None:
        self._clock, self._delay_s, self._on_start = clock, delay_s, on_start
        self._times = np.asarray(times_s, dtype=np.float64)
        self._start: float | None = None
        self._sent = 0

    def open(self) -> None:
        """Start scanning after the delay."""
        self._start = self._clock.now() + self._delay_s
        if self._on_start is not None:
            self._on_start(self._start)

    def close(self) -> None:
        """Stop scanning."""
        self._start = None

    def pulses(self) -> list[Pulse]:
        """Give the pulses that are due."""
        if self._start is None:
            return []
        due = self._start + self._times[self._sent:]
        due = due[due <= self._clock.now()]
        self._sent += len(due)
        return [Pulse(float(t), "emulated scanner", "volume") for t in due]


@dataclass(frozen=True)
class Shown:
    """A frame that a recording display showed, and when."""

    t: float
    frame: Frame


class RecordingDisplay:
    """A display that keeps what it was shown and when; flips fall on its refresh grid.

    Parameters
    ----------
    clock : Clock
        Whose time it follows.
    size_px : (int, int)
        Width and height.
    refresh_hz : float
        Frames a second.
    on_flip : callable, optional
        Told of every flip, ``(frame, time)``: a simulated participant's eyes.
    """

    def __init__(self, clock: Clock, *, size_px: tuple[int, int], refresh_hz: float,
                 on_flip: Callable[[Frame, float], None] | None = None) -> None:
        self._clock, self._on_flip = clock, on_flip
        self._size, self._refresh = size_px, refresh_hz
        self._images: dict[str, Pixels] = {}
        self._back: Frame | None = None
        self._origin: float | None = None
        self._frames = -1
        self.shown: list[Shown] = []

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._size

    @property
    def refresh_hz(self) -> float:
        """Frames a second."""
        return self._refresh

    @property
    def lead_s(self) -> float:
        """Half a frame: flips wait for the grid."""
        return 0.5 / self._refresh

    def open(self) -> None:
        """Start the refresh grid."""
        self._origin, self._frames = self._clock.now(), -1

    def close(self) -> None:
        """Stop it."""
        self._origin = None

    def require_open(self) -> None:
        """Nothing takes it away."""

    def preload(self, images: Mapping[str, Pixels], *, height_px: float | None = None) -> None:  # noqa: ARG002
        """Take images by ``image_id``; they are stretched only where a screenshot asks for it."""
        self._images.update(images)

    def draw(self, frame: Frame) -> None:
        """Keep a frame for the next flip.

        Raises
        ------
        DeviceError
            If its image was not preloaded.
        """
        if frame.image_id is not None and frame.image_id not in self._images:
            raise DeviceError("recording display", came=f"image {frame.image_id!r}", expected="a preloaded image",
                              remedy="Preload the schedule's images.")
        self._back = frame

    def flip(self) -> float:
        """Show the frame at the next point of the refresh grid; no two flips share one."""
        if self._origin is None or self._back is None:
            raise DeviceError("recording display", came="a flip", expected="open() and draw() before it",
                              remedy="Keep to the order of calls.")
        frames = np.ceil((self._clock.now() - self._origin) * self._refresh - 1e-6)
        self._frames = max(int(frames), self._frames + 1)
        self._clock.wait_until(self._origin + self._frames / self._refresh)
        shown = self._clock.now()
        self.shown.append(Shown(shown, self._back))
        if self._on_flip is not None:
            self._on_flip(self._back, shown)
        return shown

    def screenshot(self) -> Pixels:
        """Compose what is on the screen: background, image, overlay, dots, fixation point on its surround (no text)."""
        width, height = self._size
        frame = self.shown[-1].frame if self.shown else None
        canvas = np.full((height, width, 3), frame.background if frame else 0, dtype=np.uint8)
        if frame is not None and frame.image_id is not None:
            _paste(canvas, self._images[frame.image_id], height_px=round(frame.image_px), aperture=frame.aperture)
        if frame is not None and frame.overlay is not None:
            _paste(canvas, np.full((1, 1, 3), 255, dtype=np.uint8), height_px=round(frame.image_px),
                   aperture=frame.overlay)
        if frame is not None and frame.dots_px is not None:
            for x, y in frame.dots_px:
                _dot(canvas, diameter=frame.dot_px, color=(frame.dot_level,) * 3, at=(float(x), float(y)))
        if frame is not None:
            _dot(canvas, diameter=frame.surround_px, color=(frame.background,) * 3)
            _dot(canvas, diameter=frame.fixation_px, color=frame.fixation_color)
            if frame.photodiode is not None:
                canvas[-PHOTODIODE_PX:, -PHOTODIODE_PX:] = 255 * frame.photodiode
        return canvas


def _paste(canvas: Pixels, image: Pixels, *, height_px: int, aperture: NDArray[np.uint8] | None = None) -> None:
    """Stretch an image to a height (nearest neighbour), put its middle on the canvas's, cut off what is outside."""
    tall, wide = height_px, round(height_px * image.shape[1] / image.shape[0])
    patch = image[np.arange(tall) * image.shape[0] // tall][:, np.arange(wide) * image.shape[1] // wide]
    alpha = np.ones((tall, wide, 1))
    if aperture is not None:
        rows, columns = (np.arange(n) * m // n for n, m in zip((tall, wide), aperture.shape, strict=True))
        alpha = aperture[rows][:, columns][:, :, None] / 255.0
    top, left = (canvas.shape[0] - tall) // 2, (canvas.shape[1] - wide) // 2
    cut = (slice(max(0, -top), tall - max(0, top + tall - canvas.shape[0])),
           slice(max(0, -left), wide - max(0, left + wide - canvas.shape[1])))
    place = canvas[max(0, top):max(0, top) + tall, max(0, left):max(0, left) + wide]
    place[:] = np.round(alpha[cut] * patch[cut] + (1.0 - alpha[cut]) * place).astype(np.uint8)


def _dot(canvas: Pixels, *, diameter: float, color: tuple[int, int, int], at: tuple[float, float] = (0.0, 0.0)) -> None:
    """Paint a disk; `at` is its centre in pixels from the canvas's middle, y upward."""
    height, width = canvas.shape[:2]
    across, down = width / 2 + at[0], height / 2 - at[1]
    top, left = max(0, int(down - diameter / 2) - 1), max(0, int(across - diameter / 2) - 1)
    part = canvas[top:int(down + diameter / 2) + 2, left:int(across + diameter / 2) + 2]
    y, x = np.ogrid[top:top + part.shape[0], left:left + part.shape[1]]
    part[(x + 0.5 - across) ** 2 + (y + 0.5 - down) ** 2 <= (diameter / 2) ** 2] = color
