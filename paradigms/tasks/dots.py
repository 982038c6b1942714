"""Dots that move in and out along straight lines: their places as a function of the time that they have moved.

Nothing is carried from one frame to the next: a frame that comes late or not at all changes no later one, and any
time can be asked for in any order. A dot moves until its lifetime ends, or it leaves the square or comes too near
fixation; then it is born again at a random place. Where the flow changes its direction, dots turn back where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from subjects.settings.display import DisplaySettings
from subjects.settings.paradigms import MotionSettings

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Flow:
    """Which way the dots move.

    Parameters
    ----------
    from_s : tuple of float
        Moving times from which on, the first 0.
    sign : tuple of int
        1 outward, -1 inward.
    total_s : float
        How long they move in all.
    """

    from_s: tuple[float, ...]
    sign: tuple[int, ...]
    total_s: float


def plan_flow(first: Sequence[int], *, moving_s: float, direction_s: float) -> Flow:
    """Lay out the directions of a run's moving periods, one after the other.

    Parameters
    ----------
    first : sequence of int
        Direction at the start of each moving period, 1 or -1; it changes every `direction_s` within the period.
    moving_s, direction_s : float
        Length of a period, and of one direction.

    Examples
    --------
    >>> plan_flow([1, -1], moving_s=8.0, direction_s=4.0)
    Flow(from_s=(0.0, 4.0, 8.0, 12.0), sign=(1, -1, -1, 1), total_s=16.0)
    """
    n = int(np.ceil(moving_s / direction_s - 1e-9))
    return Flow(tuple(block * moving_s + k * direction_s for block in range(len(first)) for k in range(n)),
                tuple(sign * (-1) ** k for sign in first for k in range(n)), len(first) * moving_s)


@dataclass(frozen=True, eq=False)
class DotField:
    """The straight pieces of every dot's path.

    Parameters
    ----------
    start_s : float64 array, (n_pieces, n_dots)
        Moving time at which a piece begins.
    place_deg, speed_deg_s : float64 array, (n_pieces, n_dots, 2)
        Where, and the velocity; x to the right, y upward.
    life : int32 array, (n_pieces, n_dots)
        Number of the dot's life, from 0.
    """

    start_s: Floats
    place_deg: Floats
    speed_deg_s: Floats
    life: NDArray[np.int32]

    def _piece(self, moved_s: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return np.sum(self.start_s <= moved_s, axis=0) - 1, np.arange(self.start_s.shape[1])

    def at(self, moved_s: float) -> Floats:
        """Give the dots' places after a moving time of 0 or more seconds, float64 (n_dots, 2) in degrees."""
        piece = self._piece(moved_s)
        return self.place_deg[piece] + self.speed_deg_s[piece] * (moved_s - self.start_s[piece])[:, None]

    def lives(self, moved_s: float) -> NDArray[np.int32]:
        """Say in which of their lives the dots are, int32 (n_dots,): between equal numbers a dot has not jumped."""
        return self.life[self._piece(moved_s)]


def make_dots(section: MotionSettings, *, flow: Flow, rng: Generator) -> DotField:
    """Draw the paths of all dots.

    Parameters
    ----------
    section : MotionSettings
        Number, speed, lifetime, square, inner radius.
    flow : Flow
        Directions.
    rng : Generator
        Places of birth, and how old each dot is at the start.

    Returns
    -------
    DotField
        In every life a dot moves along its radius at exactly the speed of the settings.
    """
    n, lifetime = section.n_dots, section.lifetime_s
    now, place = np.zeros(n), _births(section, n=n, rng=rng)
    death, life = lifetime * (1.0 - rng.random(n)), np.zeros(n, dtype=np.int32)
    pieces: list[tuple[Floats, Floats, Floats, NDArray[np.int32]]] = []
    while np.any(now < flow.total_s):
        sign, turn = _flow_at(flow, now)
        away = np.hypot(place[:, 0], place[:, 1])
        unit = place / away[:, None]
        speed = section.speed_deg_s * sign[:, None] * unit
        pieces.append((now, place, speed, life))
        end = np.minimum(death, now + _time_to_edge(section, away=away, unit=unit, sign=sign))
        reborn = end <= turn
        births = _births(section, n=n, rng=rng)
        end = np.minimum(end, turn)
        place = np.where(reborn[:, None], births, place + speed * (end - now)[:, None])
        death, life = np.where(reborn, end + lifetime, death), life + reborn.astype(np.int32)
        now = end
    start, places, speeds, lives = (np.stack(part) for part in zip(*pieces, strict=True))
    return DotField(start, places, speeds, lives)


def _births(section: MotionSettings, *, n: int, rng: Generator) -> Floats:
    """Draw places evenly over the square without its inner disk."""
    half = section.side_deg / 2.0
    place = rng.uniform(-half, half, (n, 2))
    while np.any(near := np.hypot(place[:, 0], place[:, 1]) <= section.inner_deg):
        place[near] = rng.uniform(-half, half, (int(near.sum()), 2))
    return place


def _flow_at(flow: Flow, now: Floats) -> tuple[Floats, Floats]:
    """Give the direction and the time of its next change."""
    at = np.searchsorted(flow.from_s, now, side="right") - 1
    turns = np.append(np.asarray(flow.from_s)[1:], np.inf)
    return np.asarray(flow.sign, dtype=np.float64)[at], turns[at]


def _time_to_edge(section: MotionSettings, *, away: Floats, unit: Floats, sign: Floats) -> Floats:
    """Give the time until a dot leaves the square (outward) or comes to the inner disk (inward)."""
    edge = section.side_deg / 2.0 / np.max(np.abs(unit), axis=1)
    return np.maximum(np.where(sign > 0, edge - away, away - section.inner_deg), 0.0) / section.speed_deg_s


def screen_px(places_deg: Floats, display: DisplaySettings) -> NDArray[np.float32]:
    """Put places in degrees on the flat screen: pixels from its centre, x to the right, y upward, float32 (n, 2).

    At eccentricity ``r`` a place is ``distance * tan(r)`` from the centre, on the same polar angle.
    """
    away = np.hypot(places_deg[:, 0], places_deg[:, 1])
    px = display.distance_cm * np.tan(np.radians(away)) * display.width_px / display.width_cm
    return (places_deg * (px / np.maximum(away, 1e-12))[:, None]).astype(np.float32)
