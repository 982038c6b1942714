"""How evenly the dots of the hMT+ localizer lie around fixation, from the frames as they are drawn.

    python benchmarks/dots.py [--runs 200]

Prints the dots a square degree in rings around fixation at several phases of a run, averaged over seeds, with the
spread over seeds as a multiple of Poisson's (variance over mean), and the mean level of the rendered frames. The same
table follows for dots that are born anywhere in the square and live until they leave it (version 0.1.0).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from paradigms.devices.protocols import Frame
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.tasks.dots import DotField, Flow, make_dots, plan_flow, screen_px
from subjects.settings.display import DisplaySettings
from subjects.settings.paradigms import MotionSettings

EDGES_DEG = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.49)
PHASES_S = {"first frame": 0.0, "0.1 s": 0.1, "1 s": 1.0, "before a turn": 1.999, "after a turn": 2.001,
            "+0.1 s": 2.1, "+0.4 s": 2.4, "before the next": 3.999, "static after": 8.0}
Maker = Callable[..., DotField]


def born_anywhere(section: MotionSettings, *, flow: Flow, rng: Generator) -> DotField:
    """Give the dots of version 0.1.0: births uniform over the square, deaths by age, at the edge and at the disk."""
    n, half = section.n_dots, section.side_deg / 2.0

    def births() -> NDArray[np.float64]:
        place = rng.uniform(-half, half, (n, 2))
        while np.any(near := np.hypot(*place.T) <= section.inner_deg):
            place[near] = rng.uniform(-half, half, (int(near.sum()), 2))
        return place

    now, place, life = np.zeros(n), births(), np.zeros(n, dtype=np.int32)
    death, pieces = section.lifetime_s * (1.0 - rng.random(n)), []
    while np.any(now < flow.total_s):
        at = np.searchsorted(flow.from_s, now, side="right") - 1
        sign, turn = np.asarray(flow.sign)[at], np.append(np.asarray(flow.from_s)[1:], np.inf)[at]
        away = np.hypot(*place.T)
        unit = place / away[:, None]
        room = np.where(sign > 0, half / np.abs(unit).max(axis=1) - away, away - section.inner_deg)
        speed = section.speed_deg_s * sign[:, None] * unit
        pieces.append((now, place, speed, life))
        end = np.minimum(death, now + np.maximum(room, 0.0) / section.speed_deg_s)
        reborn, end = end <= turn, np.minimum(end, turn)
        place = np.where(reborn[:, None], births(), place + speed * (end - now)[:, None])
        death, life, now = np.where(reborn, end + section.lifetime_s, death), life + reborn.astype(np.int32), end
    return DotField(*(np.stack(part) for part in zip(*pieces, strict=True)))


def ring_areas(section: MotionSettings, *, n: int = 4000) -> NDArray[np.float64]:
    """Count a fine grid of the square to give the rings' areas in square degrees."""
    x = (np.arange(n) + 0.5) * section.side_deg / n - section.side_deg / 2.0
    counts, _ = np.histogram(np.hypot(x[:, None], x[None, :]), EDGES_DEG)
    return counts * (section.side_deg / n) ** 2


def mean_level(place: NDArray[np.float64], section: MotionSettings, display: DisplaySettings) -> float:
    """Render dots alone and average the square's grey levels."""
    screen = RecordingDisplay(VirtualClock(), size_px=(display.width_px, display.height_px),
                              refresh_hz=display.refresh_hz)
    screen.open()
    screen.draw(Frame(image_id=None, image_px=0.0, fixation_px=0.0, fixation_color=(0, 0, 0), background=0,
                      dots_px=screen_px(place, display), dot_px=display.px_for(section.dot_deg),
                      dot_level=section.dot_level))
    screen.flip()
    side = round(display.px_for(section.side_deg))
    top, left = (display.height_px - side) // 2, (display.width_px - side) // 2
    return float(screen.screenshot()[top:top + side, left:left + side].mean())


def table(maker: Maker, *, runs: int, first: int) -> list[str]:
    """Measure a process: a line for each phase."""
    section, display = MotionSettings(), DisplaySettings()
    flow = plan_flow([first], moving_s=8.0, direction_s=section.direction_s)
    counts, levels = np.zeros((len(PHASES_S), runs, len(EDGES_DEG) - 1)), np.zeros((len(PHASES_S), runs))
    lives = 0.0
    for seed in range(runs):
        field = maker(section, flow=flow, rng=np.random.default_rng(seed))
        lives += float(field.lives(8.0).mean()) / runs
        for k, t in enumerate(PHASES_S.values()):
            place = field.at(t)
            counts[k, seed], _ = np.histogram(np.hypot(*place.T), EDGES_DEG)
            levels[k, seed] = mean_level(place, section, display) if seed % 10 == 0 else np.nan
    density, spread = counts.mean(axis=1) / ring_areas(section), counts.var(axis=1, ddof=1) / counts.mean(axis=1)
    rings = " ".join(f"{low:g} to {high:g}".rjust(11) for low, high in pairwise(EDGES_DEG))
    lines = [f"{'':>16} {rings}   level"]
    for k, name in enumerate(PHASES_S):
        cells = (f"{d:5.2f} ({s:.2f})" for d, s in zip(density[k], spread[k], strict=True))
        lines.append(f"{name:>16} " + " ".join(cell.rjust(11) for cell in cells) + f"  {np.nanmean(levels[k]):6.3f}")
    pooled = counts.mean(axis=(0, 1)) / ring_areas(section)
    lines.append(f"{'all phases':>16} " + " ".join(f"{d:.3f}".rjust(11) for d in pooled))
    return [*lines, f"{'':>16} a life lasts {8.0 / lives:.3f} s in the mean"]


def main() -> None:
    """Print both tables for both directions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    print(f"dots a square degree (variance / mean over {runs} seeds), {MotionSettings().density:g} is set")
    makers: dict[str, Maker] = {"now": make_dots, "born anywhere, as in 0.1.0": born_anywhere}
    for name, maker in makers.items():
        for way, first in (("outward first", 1), ("inward first", -1)):
            print(f"\n{name}: {way}", *table(maker, runs=runs, first=first), sep="\n")


if __name__ == "__main__":
    main()
