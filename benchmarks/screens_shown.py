"""Photographs of a window while a run is played, held against the run's plan; used by ``paradigm_windows.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from paradigms.devices.protocols import Display, Frame, Pixels
from paradigms.runlog import of_kind
from paradigms.schedule import Schedule
from paradigms.tasks.catalogue import task_of
from paradigms.tasks.protocol import Pictures
from subjects.layout import Layout
from subjects.settings.study import Settings

EVERY = {"main": 1, "lo": 1, "retinotopy": 9, "motion": 4}
Finding = tuple[str, bool]


@dataclass(frozen=True)
class Shot:
    """The screen after a flip at `t`, in the clock's seconds."""

    t: float
    pixels: Pixels


class ShotDisplay:
    """A display that photographs two changes in a row, `every` so often; everything else is the display's own."""

    def __init__(self, display: Display, *, shots: list[Shot], every: int) -> None:
        self._display, self._shots, self._every = display, shots, every
        self._flips = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._display, name)

    def preload(self, images: Mapping[str, Pixels], *, height_px: float | None = None) -> None:
        """Hand images on."""
        self._display.preload(images, height_px=height_px)

    def draw(self, frame: Frame) -> None:
        """Draw."""
        self._display.draw(frame)

    def flip(self) -> float:
        """Flip, and photograph what came of it if it is its turn."""
        t = self._display.flip()
        self._flips += 1
        if self._flips == 1 or self._flips % self._every in (0, 1):
            self._shots.append(Shot(t, self._display.screenshot()))
        return t


@dataclass(frozen=True)
class Seen:
    """A photograph with what the journal says of its flip: seconds from time zero as planned, and the image."""

    at_s: float
    image_id: str | None
    pixels: Pixels


def judge(schedule: Schedule, settings: Settings, *, layout: Layout, shots: Sequence[Shot],
          records: list[dict[str, Any]], keep: Path | None = None) -> Finding:
    """Hold the photographs of a run against its plan; say what was found, and whether it holds."""
    zero = of_kind(records, "zero")[-1]["t"]
    flips = {round(one["t"], 5): one for one in of_kind(records, "flip") if "planned" in one}
    taken = [(flips[round(shot.t, 5)], shot.pixels) for shot in shots if round(shot.t, 5) in flips]
    seen = [Seen(flip["planned"] - zero, flip["image_id"], pixels) for flip, pixels in taken]
    for k, one in enumerate(seen[:40] if keep else ()):
        keep.mkdir(parents=True, exist_ok=True)  # type: ignore[union-attr]
        Image.fromarray(one.pixels).save(keep / f"{schedule.task}_{k:02d}_{one.at_s:07.3f}s.png")  # type: ignore[operator]
    by_task: dict[str, Callable[..., Finding]] = {"main": _images, "lo": _images, "retinotopy": _apertures,
                                                  "motion": _dots}
    offered = task_of(schedule.task, settings).session_pictures(sub=schedule.sub, ses=schedule.ses,
                                                                pictures=Pictures(layout))
    pictures = {one.picture_id: one.read() for one in offered if one.picture_id in schedule.image_ids}
    return by_task[schedule.task](schedule, settings, seen=seen, blank=shots[0].pixels, pictures=pictures)


def _middle(screen: Pixels, side: int) -> NDArray[np.float64]:
    top, left = ((extent - side) // 2 for extent in screen.shape[:2])
    return screen[top:top + side, left:left + side].astype(np.float64)


def _likeness(shown: NDArray[np.float64], wanted: Pixels, *, point: Sequence[tuple[float, tuple[int, ...]]]) -> float:
    """Correlate a part of the screen with an image that is brought to its size.

    The plan has more than the picture: `point` are the disks of the fixation point, each with its diameter in pixels
    and its colour. On a picture of little contrast the grey surround alone, a thousandth of its area, takes .01 off.
    """
    size = (shown.shape[1], shown.shape[0])
    other = np.array(Image.fromarray(wanted).resize(size, Image.Resampling.BILINEAR), dtype=np.float64)
    y, x = (np.arange(n) - (n - 1) / 2.0 for n in other.shape[:2])
    for diameter, color in point:
        other[np.hypot(x[None, :], y[:, None]) <= diameter / 2.0] = color
    return float(np.corrcoef(shown.ravel(), other.ravel())[0, 1])


def _point(schedule: Schedule, settings: Settings, at_s: float) -> list[tuple[float, tuple[int, ...]]]:
    """Give the disks of the fixation point at a time: its surround, and itself in its colour."""
    section, display = settings.main if schedule.task == "main" else settings.lo, settings.display
    colors = [mark.color for mark in schedule.marks if mark.onset_s <= at_s + 1e-6]
    return [(display.px_for(section.surround_deg), (display.background,) * 3),
            (display.px_for(section.fixation_deg), colors[-1] if colors else settings.main.fixation_color)]


def _images(schedule: Schedule, settings: Settings, *, seen: list[Seen], blank: Pixels,
            pictures: dict[str, Pixels]) -> Finding:
    """Find in each photograph the image that the schedule has at its time: size, likeness, and which way up."""
    deg = settings.main.image_deg if schedule.task == "main" else settings.lo.image_deg
    side = round(settings.display.px_for(deg))
    sizes, right, wrong, n_blank = [], [], [], 0
    for one in seen:
        event = next((each for each in schedule.events if each.onset_s - 1e-6 <= one.at_s < each.end_s - 1e-6), None)
        differs = (one.pixels != blank).any(axis=2)
        if event is None or event.image_id is None:
            n_blank += differs.sum() < 2000  # the fixation point may have changed its colour
            continue
        rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
        sizes += [int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1]
        shown, wanted = _middle(one.pixels, side), pictures[event.image_id]
        point = _point(schedule, settings, one.at_s)
        right.append(_likeness(shown, wanted, point=point))
        others = [pictures[name] for name in list(pictures)[:12] if name != event.image_id]
        wrong.append(max(_likeness(shown, other, point=point)
                         for other in (wanted[::-1], wanted[:, ::-1], *others)))
    off = max(sizes) - side if schedule.task == "lo" else max(abs(size - side) for size in sizes)  # grey rims
    margin = float(np.min(np.array(right) - np.array(wrong)))
    said = (f"{len(seen)} photographs, {len(right)} with an image: correlation with the plan's >= {min(right):.4f}, "
            f"with others and the same one turned over lower by >= {margin:.2f}; size {side} px, off by {off}")
    return said, bool(len(right) > 5 and min(right) > 0.99 and margin > 0.01 and abs(off) <= 2
                      and n_blank == len(seen) - len(right))


def _apertures(schedule: Schedule, settings: Settings, *, seen: list[Seen], blank: Pixels,
               pictures: dict[str, Pixels]) -> Finding:
    """Find the wedge's angle and the texture in each photograph; angles by hand from the protocol's times."""
    section = settings.retinotopy
    side = round(settings.display.px_for(section.field_deg))
    sense = 1.0 if schedule.variant == "wedge_ccw" else -1.0
    errors, mirrored, right, extent = [], [], [], []
    y, x = np.mgrid[0:side, 0:side] - (side - 1) / 2.0
    ring = (np.hypot(x, y) > 0.15 * side) & (np.hypot(x, y) < 0.48 * side)
    for one in (one for one in seen if one.image_id is not None):
        step = int(np.floor((one.at_s + 1e-6) * section.step_hz))
        turn = ((step + 0.5) / section.step_hz - section.lead_s) / section.cycle_s * 360.0
        planned = section.wedge_start_deg + sense * turn
        differs = (one.pixels != blank).any(axis=2)
        inside = _middle(differs[:, :, None].repeat(3, axis=2), side)[:, :, 0] > 0
        towards = np.sum(np.where(inside & ring, x - 1j * y, 0.0))
        angle = float(np.rad2deg(np.angle(towards)))
        errors.append(abs((angle - planned + 180.0) % 360.0 - 180.0))
        mirrored.append(abs((-angle - planned + 180.0) % 360.0 - 180.0))
        texture = pictures[schedule.textures[schedule.steps[step]]]
        wanted = np.asarray(Image.fromarray(texture).resize((side, side), Image.Resampling.BILINEAR), dtype=np.float64)
        core = ndimage.binary_erosion(ndimage.binary_opening(inside & ring, iterations=2), iterations=6)
        right.append(float(np.median(np.abs(_middle(one.pixels, side) - wanted)[core])))
        rows = np.flatnonzero(differs.any(axis=1))
        extent.append(max(abs(rows[0] - (differs.shape[0] - 1) / 2), abs(rows[-1] - (differs.shape[0] - 1) / 2)))
    said = (f"{len(seen)} photographs, {len(errors)} with a wedge: angle off by <= {max(errors):.2f} deg (a mirrored "
            f"one by up to {max(mirrored):.0f}), texture off by {max(right):.1f} grey levels in the median, reaches "
            f"{max(extent):.0f} of {side / 2:.0f} px")
    return said, bool(len(errors) > 10 and max(errors) < 3.0 and max(mirrored) > 60.0 and max(right) <= 2.0
                      and abs(max(extent) - side / 2) <= 2)


def _dots(schedule: Schedule, settings: Settings, *, seen: list[Seen], blank: Pixels,
          pictures: dict[str, Pixels]) -> Finding:
    """Measure the dots' speed between photographs that follow each other, and that static dots stand still."""
    del blank, pictures
    section, display = settings.motion, settings.display
    moving = [event for event in schedule.events if event.trial_type == "moving"]
    speeds, still, counts = [], [], []
    for one, other in pairwise(seen):
        gap = other.at_s - one.at_s
        if not 0.0 < gap < 0.07:
            continue
        here, there = _centres(one.pixels, section.dot_level), _centres(other.pixels, section.dot_level)
        counts.append(len(here))
        if any(event.onset_s <= one.at_s and other.at_s < event.end_s for event in moving):
            speeds.append(_speed_px_s(here, there, gap=gap, outward=_outward(moving, one.at_s, section.direction_s)))
    for one, other in pairwise(seen):
        static = [event for event in schedule.events if event.trial_type == "static"
                  and event.onset_s <= one.at_s and other.at_s < event.end_s]
        if static:
            here, there = _centres(one.pixels, section.dot_level), _centres(other.pixels, section.dot_level)
            still.append(len(here) == len(there) and float(np.abs(here - there).max()) < 0.5)
    px_per_deg = display.px_for(1.0)
    found = np.array(speeds) / px_per_deg
    said = (f"{len(seen)} photographs, {len(found)} pairs of moving dots: {np.median(found):.2f} deg/s in the median "
            f"({found.min():.2f} to {found.max():.2f}), set {section.speed_deg_s:g}; {np.median(counts):.0f} dots seen "
            f"of {section.n_dots}; static pairs that stand still: {sum(still)} of {len(still)}")
    return said, bool(len(found) >= 5 and abs(np.median(found) / section.speed_deg_s - 1.0) <= 0.05 and still
                      and all(still))


def _outward(moving: list[Any], at_s: float, direction_s: float) -> bool:
    """Say by hand which way the dots go: the category's way first, turned every `direction_s`."""
    event = next(each for each in moving if each.onset_s <= at_s < each.end_s)
    turned = int((at_s - event.onset_s + 1e-6) // direction_s) % 2
    return (event.category == "outward") != bool(turned)


def _centres(screen: Pixels, level: int) -> NDArray[np.float64]:
    """Find the middles of the dots that touch no other and have no colour, (n, 2): x to the right, y upward."""
    grey = (screen.min(axis=2) > level // 2)
    labels, n = ndimage.label(grey)
    places = np.array(ndimage.center_of_mass(grey, labels, range(1, n + 1))).reshape(-1, 2)
    areas = ndimage.sum_labels(grey, labels, range(1, n + 1))
    single = np.abs(areas / np.median(areas) - 1.0) < 0.15
    height, width = grey.shape
    return np.column_stack([places[:, 1] - (width - 1) / 2, (height - 1) / 2 - places[:, 0]])[single]


def _speed_px_s(here: NDArray[np.float64], there: NDArray[np.float64], *, gap: float, outward: bool) -> float:
    """Pair each dot with the one on its own radius that went the right way, and take the median way a second."""
    ways = []
    radius, bearing = np.hypot(*here.T), np.arctan2(here[:, 1], here[:, 0])
    after, towards = np.hypot(*there.T), np.arctan2(there[:, 1], there[:, 0])
    for r, angle in zip(radius, bearing, strict=True):
        aside = np.abs((towards - angle + np.pi) % (2 * np.pi) - np.pi) * after
        ahead = (after - r) * (1.0 if outward else -1.0)
        fits = (aside < 1.5) & (ahead > 0.0) & (ahead < 120.0)
        if fits.sum() == 1:
            ways.append(float(ahead[fits][0]))
    return float(np.median(ways)) / gap
