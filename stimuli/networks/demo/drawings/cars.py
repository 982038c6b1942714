"""Eight road vehicles seen from the side, and the more familiar of them from the front."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from stimuli.networks.demo.drawings.canvas import Mark, Pen
from stimuli.networks.demo.drawings.shapes import Color, box, dark, light, mix, oval, smooth, vary

_GLASS: Color = (66.0, 86.0, 104.0)
_INK: Color = (28.0, 28.0, 32.0)
_CHROME: Color = (196.0, 200.0, 206.0)
_WHITE: Color = (240.0, 240.0, 238.0)


def _wheel(pen: Pen, x: float, y: float, *, radius: float, rng: np.random.Generator, hub: Color = _CHROME) -> None:
    pen.disk(x, y, radius * 1.14, (22.0, 22.0, 24.0))
    pen.disk(x, y, radius, (44.0, 44.0, 47.0), volume=0.5)
    pen.disk(x, y, radius * 0.62, hub, volume=0.5)
    start = rng.uniform(0, 72)
    for angle in start + np.arange(5) * 72.0:
        spoke = pen.moved(x, y, angle=float(angle))
        spoke.disk(0.0, -radius * 0.36, radius * 0.1, dark(hub, 0.65), ry=radius * 0.17)
    pen.disk(x, y, radius * 0.13, dark(hub, 0.3))


def _glass(pen: Pen, points: list[tuple[float, float]]) -> None:
    outline = np.asarray(points)
    low, high = outline.min(axis=0), outline.max(axis=0)
    wide, tall = high - low
    gleam = np.array([(low[0] + wide * 0.25, low[1]), (low[0] + wide * 0.5, low[1]),
                      (low[0] + wide * 0.3, low[1] + tall),
                      (low[0] + wide * 0.05, low[1] + tall)])
    pen.shape(outline, _GLASS, volume=0.15, marks=[(gleam, light(_GLASS, 0.35))])


def _panel(pen: Pen, x: float, y: float, *, width: float, height: float, color: Color) -> None:
    pen.shape(box(x, y, width=width, height=height), color)


def _seam(pen: Pen, x: float, *, top: float, bottom: float, color: Color) -> None:
    _panel(pen, x, (top + bottom) / 2, width=0.012, height=bottom - top, color=dark(color, 0.4))


def _lamps(pen: Pen, *, front: float, back: float, y: float) -> None:
    pen.disk(front, y, 0.045, (252.0, 244.0, 206.0), ry=0.05, volume=0.2)
    pen.disk(back, y, 0.03, (206.0, 30.0, 30.0), ry=0.05, volume=0.2)


def _beacon(pen: Pen, x: float, y: float, *, width: float = 0.24) -> None:
    _panel(pen, x, y + 0.035, width=width * 1.1, height=0.025, color=_INK)
    pen.shape(box(x - width / 4, y, width=width / 2, height=0.07), (226.0, 36.0, 40.0), volume=0.5)
    pen.shape(box(x + width / 4, y, width=width / 2, height=0.07), (40.0, 84.0, 236.0), volume=0.5)


def _saloon(pen: Pen, rng: np.random.Generator, *, color: Color, marks: list[Mark], stretch: float = 1.0,
            windows: int = 2) -> None:
    """Paint a four-door car facing right; its wheels stand at y = .42."""
    s = stretch
    nose, roof = rng.uniform(-0.03, 0.03), rng.uniform(-0.04, 0.04)
    pen.shadow(0.0, 0.45, 0.98 * s, ry=0.09, depth=0.7)
    cabin = [(-0.62 * s, -0.02), (-0.42 * s, -0.34 + roof), (0.0, -0.4 + roof), (0.24 * s, -0.36 + roof),
             (0.52 * s, -0.02)]
    pen.shape(smooth(cabin, per_segment=5), dark(color, 0.04), volume=0.4)
    body = [(-0.95 * s, -0.02), (-0.55 * s, -0.09), (0.0, -0.1), (0.5 * s, -0.08), (0.86 * s, 0.0 + nose),
            (0.97 * s, 0.14),
            (0.95 * s, 0.3), (0.5 * s, 0.34), (-0.5 * s, 0.34), (-0.95 * s, 0.3), (-0.99 * s, 0.14)]
    left, right, top = -0.5 * s, 0.4 * s, -0.31 + roof
    edges = np.linspace(left, right, windows + 1)
    for i, (a, b) in enumerate(pairwise(edges)):
        lean_a, lean_b = (0.1 if i == 0 else 0.0), (-0.17 if i == windows - 1 else 0.0)
        _glass(pen, [(a + lean_a + 0.02, top), (b + lean_b - 0.02, top), (b - 0.02, -0.08), (a + 0.02, -0.08)])
    pen.shape(smooth(body), color, volume=0.55, marks=marks)
    for edge in edges[:-1]:
        _seam(pen, edge + 0.02, top=-0.06, bottom=0.28, color=color)
        _panel(pen, edge + 0.12, 0.02, width=0.08, height=0.022, color=dark(color, 0.35))
    _lamps(pen, front=0.92 * s, back=-0.95 * s, y=0.08)
    _panel(pen, 0.93 * s, 0.26, width=0.1, height=0.05, color=_CHROME)
    for x in (-0.6 * s, 0.6 * s):
        _wheel(pen, x, 0.3, radius=0.175, rng=rng)


def _front(pen: Pen, rng: np.random.Generator, *, color: Color, hood: Color | None = None) -> None:
    """Paint a car seen from the front."""
    pen.shadow(0.0, 0.62, 0.85, ry=0.1, depth=0.7)
    for x in (-0.54, 0.54):
        _panel(pen, x, 0.52, width=0.22, height=0.28, color=(34.0, 34.0, 36.0))
    cabin = [(-0.5, -0.08), (-0.36, -0.5), (0.0, -0.55), (0.36, -0.5), (0.5, -0.08)]
    pen.shape(smooth(cabin, per_segment=5), color, volume=0.4)
    _glass(pen, [(-0.31, -0.44), (0.31, -0.44), (0.43, -0.1), (-0.43, -0.1)])
    pen.blob([(-0.66, 0.0), (-0.45, -0.12), (0.45, -0.12), (0.66, 0.0), (0.7, 0.3), (0.62, 0.52), (0.0, 0.55),
              (-0.62, 0.52), (-0.7, 0.3)],
             color, volume=0.5, marks=[] if hood is None else [(oval(0.0, -0.02, 0.46, ry=0.13), hood)])
    pen.shape(box(0.0, 0.24, width=0.54, height=0.15), _INK, volume=0.2)
    for y in (0.2, 0.24, 0.28):
        _panel(pen, 0.0, y, width=0.52, height=0.014, color=_CHROME)
    for side in (-1, 1):
        pen.disk(side * 0.47, 0.2, 0.12, _CHROME, ry=0.095, volume=0.3)
        pen.disk(side * 0.47, 0.2, 0.09, (252.0, 248.0, 222.0), ry=0.07, volume=0.2)
        pen.disk(side * 0.62, -0.14, 0.08, dark(color, 0.2), ry=0.05, volume=0.4)
    _panel(pen, 0.0, 0.44, width=1.16, height=0.07, color=_CHROME if rng.random() < 0.5 else dark(color, 0.4))
    _panel(pen, 0.0, 0.43, width=0.3, height=0.08, color=_WHITE)


def _checkers(y: float, *, step: float = 0.07) -> list[Mark]:
    marks: list[Mark] = [(box(0.0, y, width=2.4, height=step * 2), _WHITE)]
    for row in range(2):
        marks += [(box(x + row * step, y + (row - 0.5) * step, width=step, height=step), _INK)
                  for x in np.arange(-1.2, 1.2, step * 2)]
    return marks


def _taxi(pen: Pen, rng: np.random.Generator) -> None:
    yellow = vary((246.0, 196.0, 34.0), rng=rng)
    if rng.random() < 0.3:
        _front(pen, rng, color=yellow)
        sign_y = -0.6
    else:
        _saloon(pen, rng, color=yellow, marks=_checkers(0.16) if rng.random() < 0.75 else [])
        sign_y = -0.45
    pen.shape(box(-0.02, sign_y, width=0.34, height=0.12), _INK, volume=0.2)
    pen.shape(box(-0.02, sign_y, width=0.3, height=0.085), (255.0, 240.0, 190.0), volume=0.2)
    for x in (-0.11, -0.05, 0.01, 0.07):
        _panel(pen, x, sign_y, width=0.035, height=0.05, color=_INK)


def _police_car(pen: Pen, rng: np.random.Generator) -> None:
    scheme = rng.integers(3)
    coat, door = ((_INK, _WHITE), (_WHITE, (34.0, 66.0, 160.0)), (_WHITE, _INK))[scheme]
    coat = vary(coat, rng=rng, amount=6)
    if rng.random() < 0.3:
        _front(pen, rng, color=coat, hood=door)
        _beacon(pen, 0.0, -0.6, width=0.44)
        return
    if scheme == 1:
        marks = [(box(0.0, 0.14, width=2.4, height=0.12), door),
                 (box(0.0, 0.24, width=2.4, height=0.03), (236.0, 206.0, 40.0))]
    else:
        marks = [(box(-0.05, 0.1, width=0.92, height=0.7), door)]
    _saloon(pen, rng, color=coat, marks=marks)
    star = [(0.09 * (1.0 if k % 2 == 0 else 0.45) * np.sin(k * np.pi / 5),
             -0.09 * (1.0 if k % 2 == 0 else 0.45) * np.cos(k * np.pi / 5))
            for k in range(10)]
    pen.shape(np.add(star, (0.17, 0.14)), (232.0, 190.0, 60.0))
    _beacon(pen, -0.05, -0.44, width=0.34)


def _fire_engine(pen: Pen, rng: np.random.Generator) -> None:
    red = vary((206.0, 32.0, 30.0), rng=rng)
    pen = pen.moved(0.0, 0.08)
    pen.shadow(0.0, 0.45, 1.0, ry=0.09, depth=0.7)
    stripe = [(box(0.0, 0.14, width=2.4, height=0.07), (244.0, 240.0, 226.0) if rng.random() < 0.6
               else (240.0, 214.0, 60.0))]
    pen.shape(box(-0.28, 0.06, width=1.4, height=0.6), red, volume=0.3, marks=stripe)
    for x in (-0.82, -0.56, -0.3, -0.04):
        pen.shape(box(x + 0.04, -0.06, width=0.21, height=0.27), mix(_CHROME, red, 0.1), volume=0.25)
        for y in (-0.12, -0.06, 0.0):
            _panel(pen, x + 0.04, y, width=0.2, height=0.01, color=dark(_CHROME, 0.4))
    cab = [(0.42, -0.38), (0.84, -0.38), (0.98, -0.02), (0.99, 0.34), (0.42, 0.34)]
    pen.shape(np.asarray(cab), red, volume=0.35, marks=stripe)
    _glass(pen, [(0.48, -0.31), (0.63, -0.31), (0.63, -0.03), (0.48, -0.03)])
    _glass(pen, [(0.68, -0.31), (0.81, -0.31), (0.91, -0.03), (0.68, -0.03)])
    _seam(pen, 0.655, top=-0.34, bottom=0.3, color=red)
    pen.shape(box(0.6, -0.42, width=0.26, height=0.07), (60.0, 100.0, 240.0), volume=0.5)
    _lamps(pen, front=0.95, back=-0.96, y=0.2)
    _panel(pen, 0.94, 0.31, width=0.12, height=0.07, color=_WHITE)
    ladder = pen.moved(-0.96, -0.34, angle=rng.uniform(-16, 0))
    for y in (-0.06, 0.04):
        _panel(ladder, 0.62, y, width=1.26, height=0.028, color=_CHROME)
    for x in np.arange(0.04, 1.24, 0.1):
        _panel(ladder, x, -0.01, width=0.022, height=0.1, color=_CHROME)
    for x in (-0.62, 0.66):
        _wheel(pen, x, 0.34, radius=0.16, rng=rng, hub=_WHITE)


def _school_bus(pen: Pen, rng: np.random.Generator) -> None:
    yellow = vary((248.0, 178.0, 26.0), rng=rng)
    pen = pen.moved(0.0, 0.06)
    pen.shadow(0.0, 0.47, 1.0, ry=0.09, depth=0.7)
    bands = [(box(0.0, 0.1, width=3.0, height=0.024), _INK), (box(0.0, 0.2, width=3.0, height=0.024), _INK)]
    if rng.random() < 0.3:
        _bus_front(pen, yellow)
        return
    hull = smooth([(-0.97, -0.36), (-0.85, -0.46), (0.5, -0.46), (0.62, -0.38), (0.66, -0.02), (0.66, 0.33),
                   (-0.97, 0.33)], per_segment=3)
    pen.shape(hull, yellow, volume=0.35, marks=bands)
    pen.blob([(0.6, -0.02), (0.86, 0.0), (0.98, 0.08), (0.99, 0.3), (0.9, 0.34), (0.6, 0.34)], yellow, volume=0.45,
             marks=bands[1:])
    for x in np.arange(-0.88, 0.42, 0.186):
        _glass(pen, [(x, -0.3), (x + 0.15, -0.3), (x + 0.15, -0.06), (x, -0.06)])
    _glass(pen, [(0.45, -0.34), (0.57, -0.34), (0.62, -0.02), (0.45, -0.02)])
    _panel(pen, -0.2, -0.385, width=0.5, height=0.05, color=_INK)
    sign = pen.moved(0.34, 0.12)
    octagon = oval(0.0, 0.0, 0.1)[2::5]
    sign.shape(octagon, (210.0, 34.0, 34.0))
    _panel(sign, 0.0, 0.0, width=0.12, height=0.03, color=_WHITE)
    _lamps(pen, front=0.96, back=-0.96, y=0.12)
    _panel(pen, 0.95, 0.32, width=0.12, height=0.06, color=_INK)
    for x in (-0.6, 0.68):
        _wheel(pen, x, 0.33, radius=0.155, rng=rng, hub=(210.0, 206.0, 200.0))


def _bus_front(pen: Pen, yellow: Color) -> None:
    for x in (-0.36, 0.36):
        _panel(pen, x, 0.4, width=0.2, height=0.2, color=(34.0, 34.0, 36.0))
    pen.blob([(-0.5, -0.58), (0.0, -0.72), (0.5, -0.58), (0.54, 0.0), (0.52, 0.38), (-0.52, 0.38), (-0.54, 0.0)],
             yellow, volume=0.35)
    _panel(pen, 0.0, -0.52, width=0.56, height=0.1, color=_INK)
    for x in (-0.18, -0.09, 0.0, 0.09, 0.18):
        _panel(pen, x, -0.52, width=0.055, height=0.055, color=(250.0, 214.0, 90.0))
    _glass(pen, [(-0.43, -0.42), (-0.02, -0.42), (-0.02, -0.08), (-0.45, -0.08)])
    _glass(pen, [(0.02, -0.42), (0.43, -0.42), (0.45, -0.08), (0.02, -0.08)])
    pen.blob([(-0.36, -0.04), (0.36, -0.04), (0.42, 0.2), (0.36, 0.36), (-0.36, 0.36), (-0.42, 0.2)],
             light(yellow, 0.05), volume=0.45)
    pen.shape(box(0.0, 0.16, width=0.36, height=0.2), _INK, volume=0.2)
    for side in (-1, 1):
        pen.disk(side * 0.29, 0.18, 0.065, (252.0, 248.0, 222.0), volume=0.3)
        pen.disk(side * 0.4, -0.56, 0.05, (214.0, 40.0, 36.0), volume=0.3)
    _panel(pen, 0.0, 0.36, width=1.06, height=0.08, color=_INK)


def _pickup_truck(pen: Pen, rng: np.random.Generator) -> None:
    paints = ((60.0, 96.0, 150.0), (150.0, 40.0, 40.0), (90.0, 110.0, 84.0), (206.0, 206.0, 204.0),
              (120.0, 86.0, 60.0))
    color = vary(paints[rng.integers(len(paints))], rng=rng)
    pen = pen.moved(0.0, 0.04)
    pen.shadow(0.0, 0.5, 1.0, ry=0.09, depth=0.7)
    cabin = [(-0.2, -0.02), (-0.17, -0.42), (0.26, -0.42), (0.5, -0.04)]
    load = rng.integers(4)
    if load == 0:
        for x in (-0.78, -0.52, -0.3):
            pen.disk(x, -0.1, 0.15, vary((170.0, 140.0, 80.0), rng=rng), volume=0.5, fur=0.9)
    elif load == 1:
        pen.shape(box(-0.6, -0.16, width=0.42, height=0.28), vary((170.0, 120.0, 74.0), rng=rng), volume=0.25)
    elif load == 2:
        for y in (-0.08, -0.14, -0.2):
            pen.limb([(-0.95, y), (-0.25, y - 0.02)], vary((150.0, 104.0, 62.0), rng=rng), widths=0.08)
    pen.shape(np.asarray(cabin), color, volume=0.35)
    _glass(pen, [(-0.13, -0.36), (0.07, -0.36), (0.07, -0.07), (-0.15, -0.07)])
    _glass(pen, [(0.11, -0.36), (0.23, -0.36), (0.4, -0.07), (0.11, -0.07)])
    rear = np.array([(-0.98, -0.05), (-0.22, -0.05), (-0.22, 0.32), (-0.98, 0.32)])
    pen.shape(rear, color, volume=0.35)
    _panel(pen, -0.6, -0.05, width=0.8, height=0.05, color=dark(color, 0.35))
    pen.blob([(-0.24, -0.06), (0.45, -0.08), (0.86, -0.04), (0.97, 0.06), (0.98, 0.3), (0.5, 0.34), (-0.24, 0.34)],
             color, volume=0.45)
    for x in (-0.2, 0.1):
        _seam(pen, x, top=-0.05, bottom=0.3, color=color)
    _panel(pen, 0.0, 0.02, width=0.08, height=0.022, color=dark(color, 0.4))
    _panel(pen, 0.0, 0.34, width=1.9, height=0.05, color=dark(color, 0.5))
    _lamps(pen, front=0.94, back=-0.96, y=0.08)
    _panel(pen, 0.95, 0.28, width=0.12, height=0.07, color=_CHROME)
    for x in (-0.62, 0.62):
        _wheel(pen, x, 0.32, radius=0.205, rng=rng)


def _convertible(pen: Pen, rng: np.random.Generator) -> None:
    paints = ((214.0, 46.0, 52.0), (96.0, 186.0, 196.0), (238.0, 226.0, 196.0), (36.0, 70.0, 120.0),
              (236.0, 160.0, 180.0))
    color = vary(paints[rng.integers(len(paints))], rng=rng)
    seat = vary((206.0, 176.0, 134.0) if rng.random() < 0.6 else (150.0, 56.0, 44.0), rng=rng)
    pen = pen.moved(0.0, 0.02)
    pen.shadow(0.0, 0.45, 1.0, ry=0.09, depth=0.7)
    if rng.random() < 0.6:
        for x, hair in ((-0.2, (70.0, 46.0, 30.0)), (0.1, (226.0, 186.0, 96.0)))[int(rng.integers(2)):]:
            pen.blob([(x - 0.12, 0.0), (x - 0.09, -0.2), (x + 0.07, -0.2), (x + 0.1, 0.0)],
                     tuple(rng.uniform(60, 220, 3)), volume=0.4)
            pen.disk(x, -0.32, 0.1, (226.0, 178.0, 146.0), ry=0.12, volume=0.4)
            pen.disk(x - 0.04, -0.37, 0.1, hair, ry=0.09, volume=0.3)
    for x in (-0.36, 0.0):
        pen.blob([(x - 0.1, 0.02), (x - 0.12, -0.24), (x - 0.02, -0.26), (x + 0.04, 0.02)], seat, volume=0.4)
    pen.shape(np.array([(0.44, -0.06), (0.26, -0.36), (0.29, -0.37), (0.5, -0.06)]), _CHROME)
    pen.shape(np.array([(0.44, -0.06), (0.29, -0.34), (0.24, -0.3), (0.34, -0.04)]), (150.0, 180.0, 196.0), alpha=0.6)
    pen.disk(0.2, -0.1, 0.02, _INK, ry=0.1, angle=-25)
    body = [(-0.96, -0.02), (-0.6, -0.12), (-0.42, -0.06), (0.0, 0.0), (0.36, -0.07), (0.8, -0.03), (0.98, 0.12),
            (0.94, 0.3), (0.4, 0.34),
            (-0.4, 0.34), (-0.92, 0.3), (-0.99, 0.12)]
    pen.shape(smooth(body), color, volume=0.6)
    pen.blob([(-0.7, -0.1), (-0.5, -0.2), (-0.4, -0.1), (-0.45, -0.05)], dark(seat, 0.25), volume=0.4)
    pen.limb([(-0.9, 0.17), (0.0, 0.19), (0.92, 0.15)], _CHROME, widths=0.022, volume=0)
    for x in (-0.28, 0.24):
        _seam(pen, x, top=0.0, bottom=0.28, color=color)
    _lamps(pen, front=0.92, back=-0.95, y=0.07)
    for x in (-0.6, 0.6):
        _wheel(pen, x, 0.3, radius=0.17, rng=rng, hub=_WHITE if rng.random() < 0.4 else _CHROME)


def _racing_car(pen: Pen, rng: np.random.Generator) -> None:
    paints = ((210.0, 26.0, 34.0), (26.0, 60.0, 150.0), (20.0, 130.0, 110.0), (240.0, 130.0, 30.0),
              (230.0, 230.0, 232.0))
    color = vary(paints[rng.integers(len(paints))], rng=rng)
    second = vary(((250.0, 250.0, 250.0), (250.0, 214.0, 40.0), _INK)[rng.integers(3)], rng=rng)
    pen = pen.moved(0.0, 0.0)
    pen.shadow(0.0, 0.36, 1.05, ry=0.07, depth=0.7)
    pen.shape(np.array([(-1.0, -0.34), (-0.72, -0.3), (-0.72, -0.24), (-1.0, -0.25)]), second, volume=0.3)
    pen.shape(np.array([(-1.0, -0.36), (-0.93, -0.36), (-0.86, 0.1), (-0.94, 0.1)]), dark(color, 0.2), volume=0.3)
    for x in (-0.6, 0.58):
        _wheel(pen, x + 0.06, 0.12, radius=0.2, rng=rng)
    body = [(-0.92, 0.02), (-0.7, -0.08), (-0.3, -0.34), (-0.16, -0.3), (-0.06, -0.1), (0.3, -0.06), (0.8, 0.08),
            (1.0, 0.17), (0.98, 0.22),
            (0.5, 0.24), (-0.1, 0.28), (-0.6, 0.26), (-0.92, 0.22)]
    swoosh = smooth([(-0.9, 0.1), (0.0, 0.05), (1.0, 0.16), (0.9, 0.26), (0.0, 0.18), (-0.9, 0.26)])
    pen.shape(smooth(body), color, volume=0.55, marks=[(swoosh, second)])
    helmet = vary(tuple(rng.uniform(40, 250, 3)), rng=rng)
    pen.disk(0.02, -0.13, 0.105, helmet, volume=0.6)
    pen.disk(0.075, -0.13, 0.05, _INK, ry=0.035)
    pen.blob([(-0.1, -0.05), (0.12, -0.08), (0.3, -0.02), (0.1, 0.04)], dark(color, 0.3), volume=0.3)
    pen.shape(np.array([(0.72, 0.18), (1.04, 0.14), (1.05, 0.27), (0.72, 0.27)]), second, volume=0.3)
    pen.disk(-0.3, 0.04, 0.1, _WHITE)
    _panel(pen, -0.3 + rng.uniform(-0.02, 0.02), 0.04, width=0.035, height=0.12, color=_INK)
    for x in (-0.64, 0.56):
        _wheel(pen, x, 0.16, radius=0.215 if x < 0 else 0.19, rng=rng, hub=(150.0, 150.0, 156.0))


def _limousine(pen: Pen, rng: np.random.Generator) -> None:
    paints = ((246.0, 246.0, 244.0), (30.0, 30.0, 36.0), (30.0, 30.0, 36.0), (186.0, 190.0, 198.0),
              (236.0, 150.0, 182.0))
    color = vary(paints[rng.integers(len(paints))], rng=rng, amount=6)
    pen = pen.moved(0.0, 0.04, scale=0.66, stretch=rng.uniform(0.88, 1.06))
    roof, hood = rng.uniform(-0.05, 0.05), rng.uniform(0.8, 1.02)
    pen.shadow(0.0, 0.45, 1.55, ry=0.09, depth=0.7)
    cabin = [(-1.12, -0.06), (-0.95, -0.36 + roof), (0.0, -0.38 + roof), (hood - 0.34, -0.36 + roof), (hood, -0.06)]
    hull = np.vstack([smooth(np.asarray(cabin), closed=False), [(hood, 0.0), (-1.12, 0.0)]])
    pen.shape(hull, color, volume=0.3)
    doors = np.linspace(-0.98, hood - 0.12, int(rng.integers(5, 8)))
    for a, b in pairwise(doors):
        first, last = a == doors[0], b == doors[-1]
        _glass(pen, [(a + (0.1 if first else 0.02), -0.29 + roof), (b - (0.22 if last else 0.02), -0.29 + roof),
                     (b - 0.02, -0.09), (a + 0.02, -0.09)])
    body = [(-1.5, 0.0), (-1.1, -0.08), (0.0, -0.08), (hood, -0.08), (1.42, -0.02), (1.52, 0.14), (1.48, 0.3),
            (0.8, 0.34),
            (-0.8, 0.34), (-1.46, 0.3), (-1.54, 0.14)]
    pen.shape(smooth(body), color, volume=0.5)
    pen.limb([(-1.48, 0.19), (0.0, 0.21), (1.46, 0.19)], _CHROME, widths=0.03, volume=0)
    for x in doors[1:-1]:
        _seam(pen, float(x), top=-0.05, bottom=0.3, color=mix(color, (128.0, 128.0, 128.0), 0.3))
    if rng.random() < 0.35:
        pen.shape(np.array([(1.2, -0.06), (1.21, -0.06), (1.21, -0.3), (1.06, -0.25), (1.2, -0.2)]),
                  tuple(rng.uniform(60, 230, 3)))
    _lamps(pen, front=1.45, back=-1.49, y=0.08)
    for x in (-1.1, 1.08):
        _wheel(pen, x, 0.3, radius=rng.uniform(0.155, 0.185), rng=rng)


PAINTERS = {"taxi": _taxi, "police car": _police_car, "fire engine": _fire_engine, "school bus": _school_bus,
            "pickup truck": _pickup_truck, "convertible": _convertible, "racing car": _racing_car,
            "limousine": _limousine}
