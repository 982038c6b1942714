"""The display's delay, measured: a square on the geometry card flashes, a photodiode on it comes in as the trigger.

A photodiode with a threshold (a trigger box's optical input, a comparator) sends a pulse when the square turns white.
The time from the flip to that pulse's stamp is the delay of graphics card, cable and projector, and that of the
photodiode's own line, which is small beside it (a parallel port's: a quarter of a millisecond).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from paradigms.console.geometry_card import draw_card
from paradigms.devices.protocols import Frame, HardwareClock
from paradigms.playing.assembly import find_place, real_devices
from paradigms.playing.run_devices import Devices
from subjects.errors import DeviceError
from subjects.settings.study import Settings

LONGEST_S = 0.4
DARK_S = (0.3, 0.5)
LEAST_SEEN = 0.9
EARLY_S = 0.002
POLL_S = 0.002


@dataclass(frozen=True)
class DisplayLag:
    """What a measurement gave.

    Parameters
    ----------
    n_flashes, n_seen : int
        Flashes, and those that were followed by a pulse.
    median_s, sd_s, least_s, most_s : float
        Of the time from flip to pulse.
    """

    n_flashes: int
    n_seen: int
    median_s: float
    sd_s: float
    least_s: float
    most_s: float

    def summary(self) -> str:
        """Say it, with the setting to copy."""
        return (f"{self.n_seen} of {self.n_flashes} flashes seen; from flip to light {1e3 * self.median_s:.1f} ms "
                f"(median; sd {1e3 * self.sd_s:.1f}, {1e3 * self.least_s:.1f} to {1e3 * self.most_s:.1f}).\n"
                f"Under [display] set: delay_s = {self.median_s:.4f}")

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return asdict(self)


def measure_lag(devices: Devices, *, frame_of: Callable[[bool], Frame], n_flashes: int, rng: Generator,
                abort_key: str = "") -> DisplayLag:
    """Flash the square and time the photodiode.

    Parameters
    ----------
    devices : Devices
        Opened; the photodiode is the trigger.
    frame_of : callable
        Gives the frame with the square lit, or dark.
    n_flashes : int
        How often. The dark times between them differ, so that nothing periodic is taken for an answer.
    rng : Generator
        Of the dark times.
    abort_key : str
        The operator's key that ends the measurement.

    Returns
    -------
    DisplayLag

    Raises
    ------
    DeviceError
        If fewer than nine flashes in ten are seen, or the operator ends it.
    """
    delays: list[float] = []
    for _ in range(n_flashes):
        _show(devices, frame_of(False))
        _wait(devices, rng.uniform(*DARK_S), abort_key=abort_key)
        flip_s = _show(devices, frame_of(True))
        stamps = _wait(devices, LONGEST_S, abort_key=abort_key)
        found = [stamp - flip_s for stamp in stamps if -EARLY_S <= stamp - flip_s <= LONGEST_S]
        delays += found[:1]
    if len(delays) < LEAST_SEEN * n_flashes or not delays:
        raise DeviceError("photodiode", came=f"{len(delays)} of {n_flashes} flashes seen",
                          expected=f"at least {100 * LEAST_SEEN:.0f} % of them",
                          remedy="Put the photodiode on the square in the lower right corner, set its threshold "
                                 "between black and white, and see that it reaches the trigger input.")
    return DisplayLag(n_flashes, len(delays), median_s=statistics.median(delays),
                      sd_s=statistics.stdev(delays) if len(delays) > 1 else 0.0, least_s=min(delays),
                      most_s=max(delays))


def lag_of_card(settings: Settings, *, scanner: str, display: str, fullscreen: bool, n_flashes: int) -> DisplayLag:
    """Measure the display's delay on the geometry card, with a photodiode that comes in as the trigger.

    Parameters
    ----------
    settings : Settings
        Display, trigger, abort key.
    scanner : {"keyboard", "serial", "parallel"}
        Where the photodiode comes in.
    display, fullscreen, n_flashes
        As for a run, and :func:`measure_lag`.
    """
    shown, clock = settings.display, HardwareClock()
    place = find_place(settings, display=display, fullscreen=fullscreen)
    with real_devices(settings, clock=clock, scanner=scanner, place=place, fullscreen=fullscreen) as devices:
        card = draw_card(shown, image_deg=settings.main.image_deg)
        devices.display.preload({"card": card}, height_px=float(shown.height_px))

        def frame(lit: bool) -> Frame:
            return Frame("card", image_px=float(shown.height_px), fixation_px=0.0, fixation_color=(0, 0, 0),
                         background=shown.background, photodiode=lit)

        return measure_lag(devices, frame_of=frame, n_flashes=n_flashes, rng=np.random.default_rng(),
                           abort_key=settings.main.abort_key)


def _show(devices: Devices, frame: Frame) -> float:
    devices.display.draw(frame)
    return devices.display.flip()


def _wait(devices: Devices, seconds: float, *, abort_key: str) -> list[float]:
    """Give the stamps of the pulses that come within some time."""
    clock, stamps = devices.clock, list[float]()
    end = clock.now() + seconds
    while True:
        stamps += [pulse.stamp_s for pulse in devices.trigger.pulses()]
        if any(press.key == abort_key for press in devices.responses.presses()):
            raise DeviceError("photodiode", came=f"the key {abort_key!r}", expected="a measurement to its end",
                              remedy="Start it again.")
        if clock.now() >= end:
            return stamps
        clock.rest_until(min(end, clock.now() + POLL_S))
