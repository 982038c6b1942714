"""Dots that move in and out along straight lines: their places as a function of the time that they have moved.

Nothing is carried from one frame to the next: a frame that comes late or not at all changes no later one, and any
time can be asked for in any order. Where the flow changes its direction, dots turn back where they are.

The dots' density is uniform at every moment
--------------------------------------------
Dots that move along their radii at one speed v thin out when they move outward and crowd together when they move
inward: the flow's divergence is v / r at eccentricity r. Density stays at D only if that is made good everywhere, by
births at a rate of D v / r a unit of area while the flow is outward, and by deaths at a rate of v / r a dot while it
is inward. Both have a closed form. Let the square's edge be at E(a) in direction a, and let u be uniform on 0 to 1:

- *outward* a dot ends at the edge, and is born again in a direction drawn with a density proportional to E(a), at
  eccentricity u E(a), or at the rim of the inner disk if that is within it. In one direction births are thus even
  along the radius (1 / r a unit of area), and the rim emits what flows out of the disk.
- *inward* a dot at r ends at eccentricity u r, or at the rim of the disk if that is within it: it is still there at s
  with probability s / r = exp(-integral of v / r dt). It is born again at the edge, in a direction drawn with a density
  proportional to E(a): the flow through the edge.

The one is the other backward in time, and the uniform density is stationary under both, hence across every change of
direction. Besides, every dot is put at a place drawn uniformly once a `lifetime_s`, each at times of its own, which
leaves a uniform density uniform. The first places are uniform, and dots are independent of one another: at any time
of a run, moving or still, the places are independent and uniform over the square without its disk, so that counts
are binomial, with a spread just below Poisson's.
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
        Places of birth, ends, and how old each dot is at the start.

    Returns
    -------
    DotField
        In every life a dot moves along its radius at exactly the speed of the settings. No life is longer than the
        lifetime. At every time the places are independent and uniform; the module says why.
    """
    n, lifetime = section.n_dots, section.lifetime_s
    now, place = np.zeros(n), _uniform_places(section, n=n, rng=rng)
    expiry, life = lifetime * (1.0 - rng.random(n)), np.zeros(n, dtype=np.int32)
    pieces: list[tuple[Floats, Floats, Floats, NDArray[np.int32]]] = []
    while np.any(now < flow.total_s):
        sign, turn = _flow_at(flow, now)
        away = np.hypot(place[:, 0], place[:, 1])
        unit = place / away[:, None]
        speed = section.speed_deg_s * sign[:, None] * unit
        pieces.append((now, place, speed, life))
        gone = now + _time_to_end(section, away=away, unit=unit, sign=sign, rng=rng)
        end = np.minimum(np.minimum(gone, expiry), turn)
        expired, ended = expiry <= end, (gone <= end) & (expiry > end)
        place = place + speed * (end - now)[:, None]
        place = np.where(ended[:, None], _entries(section, sign=sign, rng=rng), place)
        place = np.where(expired[:, None], _uniform_places(section, n=n, rng=rng), place)
        expiry, life = np.where(expired, end + lifetime, expiry), life + (expired | ended).astype(np.int32)
        now = end
    start, places, speeds, lives = (np.stack(part) for part in zip(*pieces, strict=True))
    return DotField(start, places, speeds, lives)


def _uniform_places(section: MotionSettings, *, n: int, rng: Generator) -> Floats:
    """Draw places uniformly over the square without its inner disk."""
    half = section.side_deg / 2.0
    place = rng.uniform(-half, half, (n, 2))
    while np.any(near := np.hypot(place[:, 0], place[:, 1]) <= section.inner_deg):
        place[near] = rng.uniform(-half, half, (int(near.sum()), 2))
    return place


def _entries(section: MotionSettings, *, sign: Floats, rng: Generator) -> Floats:
    """Draw where dots come in that make good what the flow has taken: along the radius outward, at the edge inward."""
    n, half = len(sign), section.side_deg / 2.0
    # With the edge at half / cos(b), b from the nearest axis, a density proportional to it has the integral
    # half * asinh(tan(b)): its inverse gives tan(b) from a uniform number.
    across = np.sinh(rng.uniform(-np.arcsinh(1.0), np.arcsinh(1.0), n))
    place = half * np.stack([np.ones(n), across], axis=1)
    edge = np.hypot(place[:, 0], place[:, 1])
    share = np.where(sign > 0, np.maximum(rng.random(n), section.inner_deg / edge), 1.0)
    quarter = rng.integers(4, size=n)
    x, y = (share * part for part in place.T)
    return np.stack([np.choose(quarter, [x, -y, -x, y]), np.choose(quarter, [y, x, -y, -x])], axis=1)


def _flow_at(flow: Flow, now: Floats) -> tuple[Floats, Floats]:
    """Give the direction and the time of its next change."""
    at = np.searchsorted(flow.from_s, now, side="right") - 1
    turns = np.append(np.asarray(flow.from_s)[1:], np.inf)
    return np.asarray(flow.sign, dtype=np.float64)[at], turns[at]


def _time_to_end(section: MotionSettings, *, away: Floats, unit: Floats, sign: Floats, rng: Generator) -> Floats:
    """Draw the time until a dot leaves the square (outward) or ends on its way in (inward)."""
    edge = section.side_deg / 2.0 / np.max(np.abs(unit), axis=1)
    ends_at = np.maximum(rng.random(len(away)) * away, section.inner_deg)
    return np.maximum(np.where(sign > 0, edge - away, away - ends_at), 0.0) / section.speed_deg_s


def screen_px(places_deg: Floats, display: DisplaySettings) -> NDArray[np.float32]:
    """Put places in degrees on the flat screen: pixels from its centre, x to the right, y upward, float32 (n, 2).

    At eccentricity ``r`` a place is ``distance * tan(r)`` from the centre, on the same polar angle.
    """
    away = np.hypot(places_deg[:, 0], places_deg[:, 1])
    px = display.distance_cm * np.tan(np.radians(away)) * display.width_px / display.width_cm
    return (places_deg * (px / np.maximum(away, 1e-12))[:, None]).astype(np.float32)
