"""The apertures of a retinotopic run, step by step: which is shown when, from the settings alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from paradigms.schedule import BLANK
from stimuli.apertures import Aperture, Bar, Ring, Wedge
from subjects.errors import ScheduleError, nearest
from subjects.settings.paradigms import RetinotopySettings

BAR_DIRECTIONS = (("left-right", 0.0), ("down-up", 90.0), ("right-left", 180.0), ("up-down", 270.0),
                  ("lowerleft-upperright", 45.0), ("lowerright-upperleft", 135.0), ("upperright-lowerleft", 225.0),
                  ("upperleft-lowerright", 315.0))
KAY_GROWTH, KAY_LAG, KAY_WEDGE_DEG = 3.64, 0.273, 45.0
VARIANTS = ("wedge_ccw", "wedge_cw", "ring_expand", "ring_contract", "bar", "mix")


@dataclass(frozen=True)
class Segment:
    """A cycle, a sweep or a blank of a retinotopic run.

    Parameters
    ----------
    kind : str
        ``"blank"``, or what moves: a variant other than the mix.
    start, n : int
        First step and number of steps.
    direction : int
        Place in :data:`BAR_DIRECTIONS`, for bars.
    """

    kind: str
    start: int
    n: int
    direction: int = 0

    def aperture(self, j: int, section: RetinotopySettings) -> Aperture | None:
        """Give the aperture of the segment's step `j`: that of the middle of the step.

        A wedge turns once. A ring or bar enters with its leading edge at fixation (or the rim) and leaves with its
        trailing edge at the rim, so that every place is uncovered for the same time; the contracting ring is the
        expanding one in reverse.

        With the preset ``"kay"`` the wedge starts 45 degrees further, and both edges of a ring pass eccentricity
        ``R (exp(k s) - 1) / (exp(k) - 1)`` at place ``s`` of their way, R the radius of the field, k = 3.64: evenly
        in the cortex's own measure. The trailing edge is .273 of the way behind the leading one. These two numbers
        give the mean eccentricities of the published masks, .01 .04 .15 .44 .81 R in the volumes of 2 s that begin
        at 0, 6, 12, 18 and 24 s of a sweep of 28 s.
        """
        phase, radius = (j + 0.5) / self.n, section.field_deg / 2.0
        if self.kind == BLANK:
            return None
        if self.kind.startswith("wedge"):
            turn = 360.0 * (phase if self.kind == "wedge_ccw" else 1.0 - phase)
            start = section.wedge_start_deg + (KAY_WEDGE_DEG if section.preset == "kay" else 0.0)
            return Wedge(round((start + turn) % 360.0, 9), section.wedge_deg)
        if self.kind.startswith("ring"):
            way = phase if self.kind == "ring_expand" else 1.0 - phase
            if section.preset == "kay":
                return _growing_ring(way * (1.0 + KAY_LAG), radius=radius)
            return Ring(round(way * (radius + section.ring_deg), 9), section.ring_deg)
        front = -radius + phase * (2.0 * radius + section.bar_deg)
        return Bar(BAR_DIRECTIONS[self.direction][1], round(front, 9), section.bar_deg)


def _growing_ring(lead: float, *, radius: float) -> Ring:
    """Give the ring whose leading edge is at place `lead` of its way; the trailing edge waits at fixation."""
    outer, inner = (radius * math.expm1(KAY_GROWTH * max(place, 0.0)) / math.expm1(KAY_GROWTH)
                    for place in (lead, lead - KAY_LAG))
    return Ring(round(outer, 9), round(outer - inner, 9))


def segments(section: RetinotopySettings, variant: str) -> tuple[Segment, ...]:
    """List the segments of a run, in order, without gaps.

    Parameters
    ----------
    section : RetinotopySettings
        Its times.
    variant : str
        One of :data:`VARIANTS`.

    Raises
    ------
    ScheduleError
        For an unknown variant.

    Examples
    --------
    >>> sum(part.n for part in segments(RetinotopySettings(), "bar"))
    4500
    """
    if variant not in VARIANTS:
        raise ScheduleError("retinotopy run", came=repr(variant), expected=f"one of {', '.join(VARIANTS)}",
                            remedy=nearest(variant, VARIANTS))
    found: list[Segment] = []
    for kind, seconds, direction in _parts(section, variant):
        n = round(seconds * section.step_hz)
        if n:
            found.append(Segment(kind, sum(part.n for part in found), n, direction))
    return tuple(found)


def _parts(section: RetinotopySettings, variant: str) -> Iterator[tuple[str, float, int]]:
    lead = section.bar_lead_s if variant == "bar" else section.lead_s
    yield BLANK, lead, 0
    if variant == "bar":
        for direction in range(len(BAR_DIRECTIONS)):
            if direction == len(BAR_DIRECTIONS) // 2:
                yield BLANK, section.bar_pause_s, 0
            yield from _cycle(section, "bar", direction)
    elif variant == "mix":
        for kind in ("wedge_ccw", "ring_expand", "wedge_cw", "ring_contract"):
            for _ in range(section.mix_cycles):
                yield from _cycle(section, kind)
    else:
        for _ in range(section.cycles):
            yield from _cycle(section, variant)
    yield BLANK, lead, 0


def _cycle(section: RetinotopySettings, kind: str, direction: int = 0) -> Iterator[tuple[str, float, int]]:
    if kind.startswith("wedge"):
        yield kind, section.cycle_s, direction
        return
    yield kind, section.sweep_s, direction
    yield BLANK, section.cycle_s - section.sweep_s, 0


@dataclass(frozen=True, eq=False)
class Movie:
    """The apertures of a run.

    Parameters
    ----------
    apertures : tuple of Aperture or None
        Each different one once, in the order of first showing; place 0 is None: no aperture.
    index : int32 array, (n_steps,)
        Place in `apertures`, step by step.
    """

    apertures: tuple[Aperture | None, ...]
    index: NDArray[np.int32]


@lru_cache(maxsize=16)
def movie(section: RetinotopySettings, variant: str) -> Movie:
    """List every step's aperture; see :func:`segments` for the parameters."""
    places: dict[Aperture | None, int] = {None: 0}
    index = [places.setdefault(part.aperture(j, section), len(places))
             for part in segments(section, variant) for j in range(part.n)]
    shared = np.asarray(index, dtype=np.int32)
    shared.flags.writeable = False
    return Movie(tuple(places), shared)
