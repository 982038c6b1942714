"""Eight fruits: whole or cut, alone or in company."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stimuli.networks.demo.drawings.canvas import Mark, Pen
from stimuli.networks.demo.drawings.shapes import Color, dark, light, mix, oval, smooth, tube, vary

_LEAF: Color = (74.0, 134.0, 50.0)
_STALK: Color = (104.0, 76.0, 46.0)


def _gloss(pen: Pen, x: float, y: float, radius: float) -> None:
    """Paint the soft reflection of a lamp, on the side of the sun."""
    side = 1.0 if pen.canvas.sun[0] * pen.matrix[0, 0] > 0 else -1.0
    for share in (1.0, 0.75, 0.5):
        pen.disk(side * x, y, radius * share, (255.0, 255.0, 250.0), ry=radius * 0.62 * share, angle=side * 30,
                 alpha=0.16)


def _leaf(pen: Pen, *, length: float, color: Color, width: float = 0.36) -> None:
    """Paint a leaf that grows to the right from the pen's origin."""
    pen.blob([(0.0, 0.0), (length * 0.45, -length * width), (length, 0.0), (length * 0.5, length * width * 0.7)],
             color,
             volume=0.4)
    pen.limb([(0.0, 0.0), (length * 0.5, -length * 0.04), (length * 0.92, 0.0)], dark(color, 0.25), widths=0.014,
             volume=0)


def _scatter(pen: Pen, rng: np.random.Generator, *, one: Callable[[Pen, np.random.Generator], None],
             most: int = 3) -> None:
    """Paint one thing large, or two or three smaller ones that overlap."""
    count = 1 if rng.random() < 0.55 else int(rng.integers(2, most + 1))
    if count == 1:
        one(pen, rng)
        return
    for x, y in ((-0.42, 0.02), (0.42, 0.08), (0.0, 0.34))[:count]:
        one(pen.moved(x + rng.normal(0, 0.04), y - 0.1, scale=0.62 * rng.uniform(0.9, 1.1), angle=rng.normal(0, 12)),
            rng)


def _banana(pen: Pen, rng: np.random.Generator) -> None:
    ripe = vary((248.0, 212.0, 62.0), rng=rng)
    ripe = mix(ripe, (160.0, 190.0, 70.0), max(0.0, rng.uniform(-0.4, 0.5)))
    pen = pen.moved(0.05, 0.0, angle=rng.uniform(-30, 30))
    pen.shadow(0.0, 0.5, 0.75, ry=0.12)
    count, bend = int(rng.integers(1, 5)), rng.uniform(0.35, 0.55)
    for k in range(count):
        turn = (k - (count - 1) / 2) * 15
        fruit = pen.moved(-0.74, -0.34, angle=turn)
        line = [(0.0, 0.0), (0.16, 0.32), (0.55, 0.26 + bend), (1.0, 0.28 + bend * 0.8), (1.38, 0.12)]
        freckles: list[Mark] = [(oval(x, rng.uniform(0.3, 0.9), 0.02, ry=0.012), (120.0, 84.0, 40.0))
                                for x in rng.uniform(0.2, 1.2, 9)]
        ridge = tube([(0.05, 0.14), (0.2, 0.4), (0.58, 0.22 + bend), (1.0, 0.2 + bend * 0.8), (1.3, 0.12)], 0.02)
        fruit.limb(line, dark(ripe, 0.04 * (count - k)), widths=[0.09, 0.25, 0.34, 0.28, 0.08], volume=0.55,
                   marks=[(ridge, dark(ripe, 0.16)), *freckles])
        fruit.disk(1.39, 0.11, 0.045, (76.0, 58.0, 36.0), volume=0.3)
        fruit.limb([(0.01, 0.05), (-0.05, -0.13)], mix(ripe, (120.0, 130.0, 60.0), 0.5), widths=[0.1, 0.075])
    pen.disk(-0.78, -0.46, 0.075 if count == 1 else 0.11, (92.0, 76.0, 44.0), ry=0.05, volume=0.4)


def _strawberry(pen: Pen, rng: np.random.Generator) -> None:
    def one(pen: Pen, rng: np.random.Generator) -> None:
        red = vary((218.0, 36.0, 44.0), rng=rng)
        wide = rng.uniform(0.9, 1.08)
        pen.shadow(0.0, 0.72, 0.5, ry=0.09)
        outline = [(0.0, -0.5), (0.4 * wide, -0.52), (0.66 * wide, -0.25), (0.5 * wide, 0.25), (0.2 * wide, 0.66),
                   (0.0, 0.76),
                   (-0.2 * wide, 0.66), (-0.5 * wide, 0.25), (-0.66 * wide, -0.25), (-0.4 * wide, -0.52)]
        seeds: list[Mark] = []
        for row, y in enumerate(np.arange(-0.36, 0.7, 0.155)):
            for x in np.arange(-0.6, 0.61, 0.2) + (0.1 if row % 2 else 0.0):
                seeds.append((oval(x, y + 0.03, 0.036, ry=0.05), dark(red, 0.32)))
                seeds.append((oval(x, y, 0.02, ry=0.034), (246.0, 208.0, 110.0)))
        pen.blob(outline, red, volume=0.65, marks=seeds)
        _gloss(pen, 0.26, -0.2, 0.2)
        for angle in np.linspace(-160, -20, 6) + rng.normal(0, 7, 6):
            leaf = pen.moved(0.0, -0.5, angle=float(angle) + 90, scale=1.0)
            leaf.shape(np.array([(-0.08, 0.02), (-0.11, -0.2), (0.0, -0.4), (0.11, -0.2), (0.08, 0.02)]) * (1, 0.85),
                       vary(_LEAF, rng=rng),
                       volume=0.3)
        for angle in (-128, -90, -52, 100, 60, 140):
            leaf = pen.moved(0.0, -0.52, angle=float(angle) + 90 + rng.normal(0, 6))
            leaf.shape(np.array([(-0.07, 0.0), (-0.1, -0.16), (0.0, -0.33), (0.1, -0.16), (0.07, 0.0)]),
                       vary(_LEAF, rng=rng), volume=0.3)
        pen.limb([(0.0, -0.52), (0.04, -0.7), (0.1, -0.8)], _LEAF, widths=0.05)
    _scatter(pen, rng, one=one)


def _orange(pen: Pen, rng: np.random.Generator) -> None:
    skin = vary((244.0, 140.0, 30.0), rng=rng)

    def whole(pen: Pen, rng: np.random.Generator) -> None:
        pen.shadow(0.0, 0.62, 0.6, ry=0.12)
        pores: list[Mark] = [(oval(x, y, 0.012), dark(skin, 0.14)) for x, y in rng.uniform(-0.66, 0.66, (70, 2))]
        pen.disk(0.0, 0.0, 0.66, skin, ry=0.64, volume=0.7, fur=0.15, marks=pores)
        _gloss(pen, 0.26, -0.28, 0.2)
        x = rng.uniform(-0.1, 0.1)
        pen.disk(x, -0.5, 0.06, (110.0, 120.0, 60.0), ry=0.04, volume=0.4)
        if rng.random() < 0.45:
            _leaf(pen.moved(x, -0.52, angle=rng.uniform(-40, 10), flip=rng.random() < 0.5), length=0.5,
                  color=vary(_LEAF, rng=rng))

    def half(pen: Pen, rng: np.random.Generator) -> None:
        pen.shadow(0.0, 0.6, 0.6, ry=0.12)
        pen.disk(0.0, 0.04, 0.68, dark(skin, 0.1), volume=0.4)
        pen.disk(0.0, 0.0, 0.64, skin, volume=0.2)
        pen.disk(0.0, 0.0, 0.58, (252.0, 230.0, 190.0))
        for angle in np.arange(10) * 36.0 + rng.uniform(0, 36):
            pen.moved(0.0, 0.0, angle=float(angle)).blob(
                [(0.0, -0.06), (0.13, -0.34), (0.12, -0.5), (0.0, -0.54), (-0.12, -0.5), (-0.13, -0.34)],
                light(skin, 0.08), volume=0.25, fur=0.3)
        pen.disk(0.0, 0.0, 0.05, (252.0, 232.0, 196.0))

    choice = rng.random()
    if choice < 0.5:
        _scatter(pen, rng, one=whole)
    elif choice < 0.75:
        half(pen.moved(0.0, 0.0, stretch=rng.uniform(0.8, 1.0)), rng)
    else:
        whole(pen.moved(-0.36, -0.12, scale=0.75), rng)
        half(pen.moved(0.42, 0.22, scale=0.66), rng)


def _pineapple(pen: Pen, rng: np.random.Generator) -> None:
    gold = vary((224.0, 160.0, 50.0), rng=rng)
    pen = pen.moved(0.0, 0.08, angle=rng.choice((0, 0, 70)) + rng.normal(0, 6))
    pen.shadow(0.0, 0.88, 0.4, ry=0.1)
    green = vary((84.0, 132.0, 70.0), rng=rng)
    for layer, (count, reach) in enumerate(((7, 0.68), (6, 0.58), (5, 0.44))):
        for angle in np.linspace(-62 + layer * 14, 62 - layer * 14, count) + rng.normal(0, 4, count):
            leaf = pen.moved(0.0, -0.24, angle=float(angle))
            tip = 0.12 * np.sign(angle) if abs(angle) > 20 else 0.0
            leaf.limb([(0.0, 0.0), (0.0, -reach * 0.6), (tip, -reach)], mix(green, light(green), rng.uniform(0, 0.6)),
                      widths=[0.14, 0.12, 0.02], sharp=True, volume=0.45)
    lattice: list[Mark] = []
    for shift in np.arange(-1.4, 1.41, 0.2):
        for lean in (-0.9, 0.9):
            line = np.array([(shift - lean * 0.6, -0.4), (shift - lean * 0.6 + 0.03, -0.4),
                             (shift + lean * 0.6 + 0.03, 0.95), (shift + lean * 0.6, 0.95)])
            lattice.append((line, dark(gold, 0.42)))
    for row, y in enumerate(np.arange(-0.35, 0.95, 0.15)):
        lattice += [(oval(x, y, 0.03, ry=0.025), dark(gold, 0.5))
                    for x in np.arange(-0.6, 0.6, 0.267) + (0.1335 if row % 2 else 0.0)]
    pen.blob([(0.0, -0.32), (0.3, -0.22), (0.46, 0.15), (0.42, 0.6), (0.22, 0.88), (-0.22, 0.88), (-0.42, 0.6),
              (-0.46, 0.15), (-0.3, -0.22)],
             gold, volume=0.65, fur=0.35, marks=lattice)


def _apple(pen: Pen, rng: np.random.Generator) -> None:
    def whole(pen: Pen, rng: np.random.Generator) -> None:
        base = ((196.0, 34.0, 40.0), (148.0, 182.0, 60.0), (206.0, 60.0, 46.0))[rng.integers(3)]
        skin = vary(base, rng=rng)
        blush = (230.0, 190.0, 80.0) if base[0] > 190 else (196.0, 214.0, 110.0)
        streaks: list[Mark] = [(tube([(x * 0.4, -0.45), (x, 0.0), (x * 0.7, 0.5)], 0.022), mix(skin, blush, 0.2))
                               for x in rng.uniform(-0.6, 0.6, 14)]
        pen.shadow(0.0, 0.66, 0.56, ry=0.11)
        outline = [(0.0, -0.42), (0.26, -0.54), (0.56, -0.42), (0.7, -0.05), (0.58, 0.4), (0.28, 0.68), (0.0, 0.6),
                   (-0.28, 0.68),
                   (-0.58, 0.4), (-0.7, -0.05), (-0.56, -0.42), (-0.26, -0.54)]
        pen.blob(outline, skin, volume=0.65, marks=streaks)
        pen.disk(0.0, -0.42, 0.2, dark(skin, 0.3), ry=0.06, alpha=0.7)
        pen.limb([(0.0, -0.4), (0.03, -0.58), (0.1, -0.74)], _STALK, widths=[0.04, 0.04, 0.06])
        if rng.random() < 0.7:
            _leaf(pen.moved(0.04, -0.58, angle=rng.uniform(-45, 0)), length=0.46, color=vary(_LEAF, rng=rng))
        _gloss(pen, 0.3, -0.22, 0.2)

    def half(pen: Pen, rng: np.random.Generator) -> None:
        skin = vary((196.0, 34.0, 40.0) if rng.random() < 0.6 else (148.0, 182.0, 60.0), rng=rng)
        outline = smooth([(0.0, -0.42), (0.26, -0.54), (0.56, -0.42), (0.68, -0.05), (0.56, 0.4), (0.26, 0.66),
                          (0.0, 0.6), (-0.26, 0.66),
                          (-0.56, 0.4), (-0.68, -0.05), (-0.56, -0.42), (-0.26, -0.54)])
        pen.shadow(0.0, 0.66, 0.56, ry=0.11)
        pen.shape(outline, skin, volume=0.3)
        pen.shape(outline * 0.92 + (0.0, 0.005), (250.0, 240.0, 206.0), volume=0.2)
        pen.blob([(0.0, -0.2), (0.2, 0.04), (0.14, 0.28), (0.0, 0.34), (-0.14, 0.28), (-0.2, 0.04)],
                 (238.0, 222.0, 170.0), volume=0.2)
        for side in (-1, 1):
            pen.disk(side * 0.08, 0.08, 0.04, (84.0, 48.0, 26.0), ry=0.1, angle=side * 8, volume=0.4)
        pen.limb([(0.0, -0.42), (0.03, -0.58), (0.08, -0.7)], _STALK, widths=[0.04, 0.04, 0.06])

    if rng.random() < 0.75:
        _scatter(pen, rng, one=whole)
    else:
        whole(pen.moved(-0.34, -0.14, scale=0.78), rng)
        half(pen.moved(0.42, 0.2, scale=0.68), rng)


def _pear(pen: Pen, rng: np.random.Generator) -> None:
    def one(pen: Pen, rng: np.random.Generator) -> None:
        skin = vary(((186.0, 196.0, 74.0), (216.0, 190.0, 80.0), (170.0, 130.0, 70.0))[rng.integers(3)], rng=rng)
        blush: list[Mark] = [(oval(x, y, 0.012), dark(skin, 0.22)) for x, y in rng.uniform(-0.55, 0.8, (44, 2))]
        lean = rng.uniform(-0.08, 0.08)
        pen.shadow(0.0, 0.82, 0.5, ry=0.1)
        pen.blob([(lean, -0.66), (0.17 + lean, -0.56), (0.24 + lean * 0.7, -0.24), (0.5, 0.14), (0.56, 0.5),
                  (0.3, 0.8), (0.0, 0.82),
                  (-0.3, 0.8), (-0.56, 0.5), (-0.5, 0.14), (-0.24 + lean * 0.7, -0.24), (-0.17 + lean, -0.56)], skin,
                  volume=0.65, marks=blush)
        pen.limb([(lean, -0.63), (lean + 0.03, -0.78), (lean + 0.1, -0.92)], _STALK, widths=[0.045, 0.04, 0.06])
        if rng.random() < 0.5:
            _leaf(pen.moved(lean + 0.03, -0.76, angle=rng.uniform(-30, 20)), length=0.42, color=vary(_LEAF, rng=rng))
        _gloss(pen, 0.22, 0.2, 0.17)
    _scatter(pen, rng, one=one)


def _grapes(pen: Pen, rng: np.random.Generator) -> None:
    base = vary(((104.0, 48.0, 118.0), (160.0, 190.0, 84.0), (130.0, 36.0, 58.0),
                 (56.0, 54.0, 104.0))[rng.integers(4)], rng=rng)
    pen = pen.moved(0.0, 0.06, angle=rng.normal(0, 10))
    pen.shadow(0.05, 0.86, 0.42, ry=0.1)
    pen.limb([(-0.16, -0.94), (0.04, -0.84), (0.0, -0.45)], _STALK, widths=[0.1, 0.06, 0.06])
    if rng.random() < 0.8:
        leaf = vary(_LEAF, rng=rng)
        spikes = [(0.34 * (1.0 if k % 2 == 0 else 0.66) * np.sin(k * np.pi / 5),
                   -0.34 * (1.0 if k % 2 == 0 else 0.66) * np.cos(k * np.pi / 5))
                  for k in range(10)]
        side = float(rng.choice((-1, 1)))
        pen.moved(side * 0.34, -0.62, angle=rng.uniform(0, 36)).shape(np.asarray(spikes), leaf, volume=0.4)
    places = []
    wide = rng.uniform(0.42, 0.56)
    for y in np.arange(-0.5, 0.82, 0.18):
        reach = wide * (1.0 - 0.85 * max(0.0, (y + 0.3) / 1.15) ** 1.2)
        places += [(x + rng.normal(0, 0.025), y + rng.normal(0, 0.025)) for x in np.arange(-reach, reach + 0.01, 0.2)]
    for index in rng.permutation(len(places)):
        x, y = places[index]
        color = vary(base, rng=rng, amount=8)
        pen.disk(x, y, 0.145, color, ry=0.155, volume=0.75)
        pen.disk(x - 0.04, y - 0.06, 0.03, light(color, 0.65), ry=0.022, alpha=0.8)


def _watermelon(pen: Pen, rng: np.random.Generator) -> None:
    rind, flesh = vary((74.0, 138.0, 66.0), rng=rng), vary((226.0, 60.0, 66.0), rng=rng)

    def seeds(count: int, *, spread: float) -> list[Mark]:
        angles, reach = np.linspace(0.25, np.pi - 0.25, count), rng.uniform(0.3, 0.75, count) * spread
        return [(oval(r * np.cos(a), r * np.sin(a), 0.026, ry=0.045, angle=float(np.degrees(a)) - 90),
                 (36.0, 24.0, 22.0))
                for a, r in zip(angles, reach, strict=True)]

    def whole(pen: Pen) -> None:
        pen.shadow(0.0, 0.6, 0.8, ry=0.12)
        stripes: list[Mark] = []
        for y in np.linspace(-0.52, 0.52, 7):
            path = [(x, y * np.sqrt(max(0.04, 1 - (x / 0.95) ** 2)) + rng.normal(0, 0.02))
                    for x in np.linspace(-0.92, 0.92, 9)]
            stripes.append((tube(path, [0.03, *rng.uniform(0.05, 0.11, 7), 0.03]), dark(rind, 0.5)))
        pen.disk(0.0, 0.0, 0.92, rind, ry=0.66, volume=0.65, marks=stripes)
        _gloss(pen, 0.36, -0.3, 0.2)

    def slice_(pen: Pen) -> None:
        turn = np.linspace(0, np.pi, 40)
        rim = np.column_stack([np.cos(turn), np.sin(turn)])
        pen.shadow(0.0, 0.86, 0.6, ry=0.1)
        pen.shape(rim * 0.95, dark(rind, 0.3), volume=0.3)
        pen.shape(rim * 0.89, (222.0, 236.0, 190.0))
        pen.shape(rim * 0.82, flesh, volume=0.2, fur=0.25, marks=seeds(int(rng.integers(9, 17)), spread=0.82))

    def wedge(pen: Pen) -> None:
        pen.shadow(0.0, 0.74, 0.6, ry=0.1)
        pen.blob([(-0.78, 0.48), (0.0, 0.66), (0.78, 0.48), (0.72, 0.66), (0.0, 0.86), (-0.72, 0.66)], dark(rind, 0.2),
                 volume=0.4)
        pen.shape(np.array([(0.0, -0.75), (0.78, 0.5), (0.4, 0.62), (0.0, 0.66), (-0.4, 0.62), (-0.78, 0.5)]),
                  (222.0, 236.0, 190.0))
        spots = [(oval(x * (0.3 + y), y, 0.03, ry=0.05), (36.0, 24.0, 22.0)) for x,
                 y in zip(rng.uniform(-0.55, 0.55, 11), rng.uniform(-0.2, 0.42, 11), strict=True)]
        pen.shape(np.array([(0.0, -0.75), (0.68, 0.42), (0.36, 0.53), (0.0, 0.57), (-0.36, 0.53), (-0.68, 0.42)]),
                  flesh, volume=0.15,
                  fur=0.25, marks=spots)

    choice = rng.random()
    if choice < 0.35:
        slice_(pen.moved(0.0, -0.35, angle=rng.normal(0, 18)))
    elif choice < 0.55:
        wedge(pen.moved(0.0, 0.0, angle=rng.normal(0, 14)))
    elif choice < 0.8:
        whole(pen)
    else:
        whole(pen.moved(-0.1, -0.25, scale=0.8))
        slice_(pen.moved(0.25, 0.1, scale=0.66, angle=rng.normal(0, 14)))


PAINTERS = {"banana": _banana, "strawberry": _strawberry, "orange": _orange, "pineapple": _pineapple, "apple": _apple,
            "pear": _pear, "grapes": _grapes, "watermelon": _watermelon}
