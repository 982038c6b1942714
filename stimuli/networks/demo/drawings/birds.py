"""Eight birds, each with the outline that it is known by."""

from __future__ import annotations

import numpy as np

from stimuli.networks.demo.drawings.canvas import Mark, Pen
from stimuli.networks.demo.drawings.shapes import Color, dark, light, mix, oval, smooth, vary

_INK: Color = (34.0, 32.0, 36.0)
_WHITE: Color = (238.0, 238.0, 234.0)


def _bill(pen: Pen, points: list[tuple[float, float]], color: Color) -> None:
    pen.shape(np.asarray(points), color, volume=0.4)


def _feathers(rng: np.random.Generator, *, x: float, y: float, rx: float, ry: float, color: Color,
              count: int = 26) -> list[Mark]:
    """Scatter short dark strokes, as the vanes of feathers."""
    places = rng.uniform(-1, 1, (count, 2)) * (rx, ry) + (x, y)
    return [(oval(px, py, 0.035, ry=0.014, angle=rng.uniform(40, 75)), color) for px, py in places]


def _flamingo(pen: Pen, rng: np.random.Generator) -> None:
    pink = vary((240.0, 130.0, 140.0), rng=rng, amount=14)
    leg = vary((226.0, 120.0, 130.0), rng=rng)
    pen.shadow(0.0, 0.98, 0.42, ry=0.05)
    bent = rng.random() < 0.5
    if bent:
        pen.limb([(-0.02, 0.25), (0.14, 0.5), (0.0, 0.58), (-0.06, 0.5)], dark(leg, 0.15), widths=0.035, volume=0.2)
    else:
        pen.limb([(-0.1, 0.25), (-0.16, 0.6), (-0.12, 0.96)], dark(leg, 0.15), widths=0.036, volume=0.2)
    pen.limb([(0.0, 0.25), (0.03, 0.6), (0.0, 0.97)], leg, widths=[0.05, 0.045, 0.035], volume=0.3)
    pen.limb([(-0.04, 0.97), (0.1, 0.97)], leg, widths=0.04, volume=0.2)
    body = [(-0.58, 0.12), (-0.35, -0.16), (0.0, -0.2), (0.3, -0.08), (0.34, 0.12), (0.1, 0.3), (-0.25, 0.26)]
    sway, lift = rng.uniform(-0.12, 0.1), rng.uniform(-0.06, 0.08)
    if rng.random() < 0.75:
        neck = [(0.24, 0.05), (0.42, -0.12), (0.24, -0.4), (0.2 + sway, -0.66), (0.36 + sway, -0.8 + lift)]
        head = (0.4 + sway, -0.8 + lift)
    else:
        neck = [(0.24, 0.05), (0.5, -0.14), (0.44, -0.42), (0.58, -0.5), (0.68, -0.3)]
        head = (0.69, -0.24)
    pen.limb(neck, pink, widths=[0.2, 0.13, 0.1, 0.09, 0.09], volume=0.45)
    pen.blob(body, pink, volume=0.6, fur=0.15)
    wing = [(-0.62, 0.16), (-0.3, -0.1), (0.12, -0.1), (0.2, 0.06), (-0.1, 0.18), (-0.4, 0.2)]
    pen.blob(wing, mix(pink, (226.0, 84.0, 104.0), 0.5), volume=0.4, fur=0.3,
             marks=[(oval(-0.52, 0.16, 0.14, ry=0.05), _INK)])
    bill = pen.moved(*head, angle=rng.uniform(-10, 25))
    bill.disk(0.0, 0.0, 0.1, pink, ry=0.08, volume=0.5)
    bill.limb([(0.07, 0.0), (0.18, 0.05), (0.17, 0.17)], (246.0, 226.0, 206.0), widths=[0.1, 0.09, 0.02], volume=0.3)
    bill.limb([(0.185, 0.09), (0.165, 0.18)], _INK, widths=[0.08, 0.02], volume=0.2)
    bill.eye(0.02, -0.02, 0.022, iris=(230.0, 200.0, 60.0))


def _penguin(pen: Pen, rng: np.random.Generator) -> None:
    back = vary((44.0, 48.0, 60.0), rng=rng, amount=8)
    orange = vary((240.0, 168.0, 60.0), rng=rng)
    pen.shadow(0.0, 0.88, 0.42, ry=0.07)
    for side in (-1, 1):
        pen.disk(side * 0.18, 0.89, 0.17, orange, ry=0.06, volume=0.4)
    lift = rng.uniform(-12, 20)
    for side in (-1, 1):
        flipper = pen.moved(side * 0.36, -0.22, angle=side * -lift)
        flipper.blob([(-0.06, -0.06), (0.08, -0.04), (side * 0.12 + 0.04, 0.4), (side * 0.16, 0.62),
                      (side * 0.08 - 0.05, 0.4)],
                     dark(back, 0.15), volume=0.4)
    turn = rng.uniform(-0.14, 0.14)
    belly = smooth([(turn, -0.32), (0.27 + turn, -0.12), (0.33 + turn * 0.6, 0.3), (0.2 + turn * 0.4, 0.78),
                    (-0.2 + turn * 0.4, 0.78), (-0.33 + turn * 0.6, 0.3), (-0.27 + turn, -0.12)])
    pen.blob([(0.0, -0.5), (0.26, -0.42), (0.42, -0.05), (0.46, 0.4), (0.28, 0.84), (0.0, 0.9), (-0.28, 0.84),
              (-0.46, 0.4), (-0.42, -0.05), (-0.26, -0.42)], back, volume=0.55, fur=0.1, marks=[(belly, _WHITE)])
    head = pen.moved(turn * 0.5, -0.58, angle=rng.uniform(-8, 8))
    head.disk(0.0, 0.0, 0.27, back, ry=0.25, volume=0.55)
    patch = mix(orange, (255.0, 225.0, 120.0), 0.4)
    if rng.random() < 0.5:
        for side in (-1, 1):
            head.disk(side * 0.19, 0.08, 0.06, patch, ry=0.12, angle=side * 14, volume=0.3)
        _bill(head, [(-0.05, 0.02), (0.05, 0.02), (0.0, 0.17)], orange)
        for side in (-1, 1):
            head.eye(side * 0.1, -0.04, 0.035, white=_WHITE)
    else:
        head.disk(-0.05, 0.1, 0.08, patch, ry=0.12, volume=0.3)
        _bill(head, [(0.2, -0.06), (0.52, 0.05), (0.2, 0.08)], orange)
        head.eye(0.09, -0.05, 0.038, white=_WHITE)


def _owl(pen: Pen, rng: np.random.Generator) -> None:
    brown = vary(((150.0, 112.0, 74.0), (126.0, 112.0, 100.0), (176.0, 140.0, 96.0))[rng.integers(3)], rng=rng)
    pale, bark = light(brown, 0.45), vary((92.0, 70.0, 52.0), rng=rng)
    pen.limb([(-1.0, 0.78), (0.0, 0.8 + rng.uniform(-0.04, 0.04)), (1.0, 0.74)], bark, widths=[0.18, 0.15, 0.11],
             fur=0.8)
    streaks = _feathers(rng, x=0.0, y=0.25, rx=0.3, ry=0.4, color=dark(brown, 0.35), count=34)
    pen.blob([(0.0, -0.6), (0.38, -0.45), (0.5, 0.1), (0.38, 0.62), (0.0, 0.8), (-0.38, 0.62), (-0.5, 0.1),
              (-0.38, -0.45)],
             brown, volume=0.55, fur=0.5, marks=[(oval(0.0, 0.3, 0.34, ry=0.48), pale), *streaks])
    for side in (-1.0, 1.0):
        bars = [(oval(side * 0.46, y, 0.14, ry=0.022, angle=-side * 25), dark(brown, 0.4))
                for y in (-0.05, 0.12, 0.29, 0.46)]
        pen.blob([(side * 0.36, -0.3), (side * 0.58, 0.1), (side * 0.46, 0.72), (side * 0.34, 0.4)], dark(brown, 0.15),
                 volume=0.4, fur=0.4, marks=bars)
        for toe in (-0.07, 0.0, 0.07):
            pen.disk(side * 0.17 + toe, 0.78, 0.035, (214.0, 178.0, 90.0), ry=0.07, volume=0.4)
    head = pen.moved(0.0, -0.48, angle=rng.uniform(-16, 16))
    horned = rng.random() < 0.6
    for side in (-1.0, 1.0):
        if horned:
            head.shape(np.array([(side * 0.38, -0.4 - rng.uniform(0.05, 0.14)), (side * 0.1, -0.2),
                                 (side * 0.36, 0.0)]), dark(brown, 0.2),
                       volume=0.3, fur=0.4)
    head.blob([(-0.36, -0.22), (0.0, -0.26), (0.36, -0.22), (0.46, 0.05), (0.3, 0.28), (0.0, 0.34), (-0.3, 0.28),
               (-0.46, 0.05)],
              brown, volume=0.5, fur=0.5)
    amber = vary(((244.0, 186.0, 40.0), (240.0, 130.0, 40.0))[rng.integers(2)], rng=rng)
    for side in (-1, 1):
        head.disk(side * 0.18, 0.04, 0.2, pale, ry=0.21, volume=0.3, fur=0.4)
        head.disk(side * 0.17, 0.03, 0.125, amber, volume=0.2)
        head.disk(side * 0.17, 0.03, 0.065, (12.0, 12.0, 12.0))
        head.disk(side * 0.17 - 0.03, 0.0, 0.022, (250.0, 250.0, 250.0))
        head.limb([(side * 0.04, -0.06), (side * 0.38, -0.2)], dark(brown, 0.3), widths=[0.07, 0.03], volume=0.2)
    _bill(head, [(-0.05, 0.06), (0.05, 0.06), (0.0, 0.24)], (70.0, 64.0, 60.0))


def _peacock(pen: Pen, rng: np.random.Generator) -> None:
    blue, green = vary((28.0, 84.0, 190.0), rng=rng), vary((52.0, 128.0, 82.0), rng=rng)
    pen.shadow(0.0, 0.92, 0.4, ry=0.06)
    spread = rng.uniform(82, 108)
    centre = (0.0, 0.35)
    for radius, count in ((1.18, 19), (0.95, 17), (0.72, 14), (0.5, 11)):
        for angle in np.linspace(-spread, spread, count) + rng.uniform(-3, 3):
            plume = pen.moved(*centre, angle=float(angle))
            reach = radius * 0.98
            plume.disk(0.0, -reach * 0.55, 0.1, mix(green, (120.0, 150.0, 60.0), rng.uniform(0, 0.5)), ry=reach * 0.55)
            plume.disk(0.0, -reach * 0.93, 0.078, (176.0, 142.0, 62.0), ry=0.1)
            plume.disk(0.0, -reach * 0.93, 0.05, (40.0, 150.0, 170.0), ry=0.066)
            plume.disk(0.0, -reach * 0.915, 0.028, (22.0, 30.0, 110.0), ry=0.036)
    for side in (-1, 1):
        pen.limb([(side * 0.08, 0.6), (side * 0.1, 0.92)], (120.0, 100.0, 84.0), widths=0.035)
    pen.blob([(0.0, -0.05), (0.17, 0.2), (0.2, 0.5), (0.0, 0.72), (-0.2, 0.5), (-0.17, 0.2)], blue, volume=0.6,
             fur=0.2)
    lean = rng.uniform(-0.1, 0.1)
    pen.limb([(0.0, 0.3), (lean * 0.6, -0.02), (lean, -0.3)], light(blue, 0.06), widths=[0.3, 0.17, 0.13], volume=0.55)
    head = pen.moved(lean, -0.34)
    for angle in (-28, -12, 4, 20):
        crest = head.moved(0.0, -0.06, angle=angle)
        crest.limb([(0.0, 0.0), (0.0, -0.17)], dark(blue, 0.3), widths=0.012, volume=0)
        crest.disk(0.0, -0.19, 0.03, (40.0, 150.0, 170.0))
    head.disk(0.0, 0.0, 0.1, blue, volume=0.5)
    head.disk(0.04, 0.0, 0.055, _WHITE, ry=0.035)
    _bill(head, [(0.07, -0.02), (0.2, 0.03), (0.07, 0.045)], (112.0, 104.0, 96.0))
    head.eye(0.04, 0.0, 0.024)


def _toucan(pen: Pen, rng: np.random.Generator) -> None:
    ink = vary(_INK, rng=rng, amount=6)
    bill = vary((246.0, 160.0, 40.0), rng=rng)
    pen = pen.moved(-0.2, -0.02, angle=rng.uniform(-12, 10))
    pen.limb([(-0.75, 0.62), (0.0, 0.6), (0.95, 0.66)], vary((96.0, 74.0, 54.0), rng=rng), widths=[0.14, 0.12, 0.1],
             fur=0.8)
    pen.limb([(-0.16, 0.35), (-0.3, 0.7), (-0.38, 0.98)], dark(ink, 0.1), widths=[0.22, 0.17, 0.13], volume=0.4)
    bib = smooth([(0.15, -0.45), (0.44, -0.3), (0.42, 0.02), (0.22, 0.16), (0.1, -0.1)])
    cream = ((250.0, 244.0, 226.0), (250.0, 226.0, 110.0))[rng.integers(2)]
    pen.blob([(-0.08, -0.6), (0.2, -0.66), (0.4, -0.46), (0.42, 0.0), (0.22, 0.42), (-0.12, 0.55), (-0.36, 0.3),
              (-0.34, -0.1)], ink, volume=0.6, fur=0.15, marks=[(bib, cream),
                                                                (oval(-0.2, 0.55, 0.12), (196.0, 40.0, 40.0))])
    pen.blob([(-0.22, -0.2), (0.05, -0.05), (0.02, 0.3), (-0.3, 0.6), (-0.36, 0.2)], light(ink, 0.1), volume=0.5,
             fur=0.3)
    for toe in (-0.02, 0.08, 0.18):
        pen.disk(toe, 0.55, 0.035, (120.0, 140.0, 170.0), ry=0.07, volume=0.4)
    tip = ((30.0, 26.0, 26.0), (200.0, 50.0, 40.0))[rng.integers(2)]
    upper = smooth([(0.36, -0.62), (0.7, -0.68), (1.06, -0.5), (1.14, -0.2), (1.04, -0.24), (0.9, -0.36),
                    (0.4, -0.34)])
    lower = smooth([(0.38, -0.36), (0.9, -0.36), (1.03, -0.24), (0.8, -0.22), (0.42, -0.24)])
    pen.shape(lower, mix(bill, (226.0, 80.0, 40.0), 0.4), volume=0.4)
    pen.shape(upper, bill, volume=0.55, marks=[(oval(1.12, -0.24, 0.14, ry=0.2), tip),
                                               (oval(0.6, -0.66, 0.3, ry=0.07), light(bill, 0.35))])
    pen.disk(0.22, -0.46, 0.1, (92.0, 170.0, 206.0), volume=0.2)
    pen.eye(0.23, -0.46, 0.055)


def _ostrich(pen: Pen, rng: np.random.Generator) -> None:
    hen = rng.random() < 0.3
    plume = vary((110.0, 94.0, 82.0) if hen else (40.0, 38.0, 40.0), rng=rng, amount=7)
    skin = vary((222.0, 178.0, 158.0), rng=rng)
    pen = pen.moved(0.0, 0.05)
    pen.shadow(0.0, 0.96, 0.5, ry=0.06)
    stride = rng.uniform(-0.25, 0.25)
    for swing, shade in ((-stride, 0.2), (stride, 0.0)):
        color = dark(skin, shade)
        pen.limb([(-0.08, 0.2), (-0.02 + swing * 0.6, 0.48), (-0.12 + swing * 0.9, 0.66), (-0.06 + swing, 0.94)],
                 color,
                 widths=[0.26, 0.13, 0.07, 0.06])
        pen.limb([(-0.08 + swing, 0.94), (0.08 + swing, 0.96)], color, widths=[0.07, 0.05])
    pen.disk(-0.62, 0.06, 0.24, _WHITE if not hen else light(plume, 0.3), ry=0.17, angle=-18, volume=0.5, fur=0.5,
             curl=0.06)
    pen.blob([(-0.58, -0.1), (-0.2, -0.28), (0.2, -0.22), (0.34, 0.02), (0.14, 0.3), (-0.3, 0.34), (-0.58, 0.2)],
             plume,
             volume=0.6, fur=0.8, curl=0.055)
    pen.disk(-0.3, 0.16, 0.18, light(plume, 0.8) if not hen else light(plume, 0.3), ry=0.09, angle=-15, volume=0.4,
             fur=0.5, curl=0.04)
    sway = rng.uniform(-0.1, 0.14)
    pen.limb([(0.2, 0.0), (0.4, -0.2), (0.38 + sway * 0.5, -0.55), (0.4 + sway, -0.84)], skin,
             widths=[0.2, 0.11, 0.085, 0.08])
    head = pen.moved(0.43 + sway, -0.88, angle=rng.uniform(-8, 16))
    head.disk(0.0, 0.0, 0.115, mix(skin, plume, 0.25), ry=0.085, volume=0.5, fur=0.7, fray=0.02)
    _bill(head, [(0.06, -0.035), (0.25, 0.02), (0.23, 0.05), (0.06, 0.05)], vary((206.0, 150.0, 110.0), rng=rng))
    head.eye(0.03, -0.025, 0.034)


def _rooster(pen: Pen, rng: np.random.Generator) -> None:
    body = vary(((168.0, 74.0, 34.0), (226.0, 216.0, 200.0), (70.0, 48.0, 40.0))[rng.integers(3)], rng=rng)
    hackle = vary((226.0, 156.0, 58.0), rng=rng) if body[2] < 150 else light(body, 0.2)
    red = vary((212.0, 36.0, 36.0), rng=rng)
    pen = pen.moved(0.0, 0.02)
    pen.shadow(0.0, 0.92, 0.42, ry=0.06)
    for x in (-0.08, 0.12):
        pen.limb([(x, 0.45), (x + 0.02, 0.9)], (230.0, 180.0, 60.0), widths=[0.08, 0.05])
        for toe in (-0.1, 0.02, 0.13):
            pen.limb([(x + 0.02, 0.88), (x + toe, 0.94)], (230.0, 180.0, 60.0), widths=0.035)
    green = vary((30.0, 70.0, 62.0), rng=rng) if body[2] < 150 else light(body, 0.1)
    for bend in rng.permutation(np.linspace(-0.1, 0.42, 7)):
        shade = mix(green, (20.0, 30.0, 60.0), rng.uniform(0, 0.5)) if body[2] < 150 else dark(green,
                                                                                               rng.uniform(0, 0.2))
        pen.limb([(-0.3, 0.2), (-0.5, -0.35 + bend * 0.3), (-0.78, -0.45 + bend), (-0.9, -0.1 + bend)], shade,
                 widths=[0.14, 0.16, 0.13, 0.03], sharp=True, volume=0.4)
    pen.blob([(-0.46, -0.02), (-0.1, 0.02), (0.18, -0.2), (0.42, -0.1), (0.46, 0.2), (0.24, 0.5), (-0.1, 0.56),
              (-0.38, 0.35)],
             body, volume=0.6, fur=0.4)
    pen.blob([(0.16, -0.66), (0.36, -0.6), (0.44, -0.2), (0.5, 0.12), (0.26, 0.2), (0.04, 0.12), (0.1, -0.3)], hackle,
             volume=0.45, fur=0.9, fray=0.035)
    pen.blob([(-0.3, 0.06), (0.05, 0.06), (0.16, 0.22), (-0.06, 0.38), (-0.36, 0.34)], dark(body, 0.25), volume=0.5,
             fur=0.5)
    head = pen.moved(0.27, -0.62, angle=rng.uniform(-14, 12))
    comb = [(-0.14, -0.02), (-0.2, -0.2), (-0.1, -0.14), (-0.06, -0.27), (0.0, -0.15), (0.07, -0.27), (0.1, -0.13),
            (0.19, -0.18), (0.14, 0.0)]
    head.shape(np.asarray(comb), red, volume=0.4)
    head.disk(0.0, 0.0, 0.15, mix(hackle, red, 0.35), volume=0.5, fur=0.4)
    head.disk(0.07, 0.01, 0.09, red, ry=0.075, volume=0.3)
    _bill(head, [(0.12, -0.05), (0.29, 0.02), (0.12, 0.05)], (236.0, 190.0, 80.0))
    head.disk(0.1, 0.17, 0.055, red, ry=0.11, volume=0.5)
    head.eye(0.05, -0.03, 0.03, iris=(230.0, 140.0, 40.0))


def _swan(pen: Pen, rng: np.random.Generator) -> None:
    white = vary((240.0, 240.0, 238.0), rng=rng, amount=5)
    black = rng.random() < 0.15
    coat = vary((52.0, 50.0, 54.0), rng=rng, amount=6) if black else white
    pen = pen.moved(-0.05, 0.2)
    pen.shadow(-0.05, 0.4, 0.85, ry=0.08, depth=0.4)
    sway = rng.uniform(-0.08, 0.1)
    neck = [(0.4, 0.2), (0.62, 0.0), (0.44, -0.32), (0.4 + sway, -0.66), (0.58 + sway, -0.84), (0.72 + sway, -0.74)]
    pen.limb(neck, coat, widths=[0.28, 0.18, 0.14, 0.12, 0.13, 0.12], volume=0.5)
    pen.blob([(-0.9, -0.02), (-0.6, -0.02), (-0.1, -0.14), (0.4, -0.05), (0.66, 0.16), (0.5, 0.36), (0.0, 0.42),
              (-0.5, 0.36), (-0.78, 0.2)],
             coat, volume=0.6, fur=0.1)
    lift = rng.uniform(0.0, 0.3)
    for step in range(3):
        y = -0.1 - lift + step * 0.12
        pen.blob([(-0.86 + step * 0.06, y - 0.06), (-0.3, y - 0.16), (0.22, 0.0), (0.28, 0.16), (0.0, 0.26),
                  (-0.5, 0.2)],
                 dark(coat, 0.03 + 0.04 * (2 - step)), volume=0.45, fur=0.35)
    head = pen.moved(0.72 + sway, -0.74, angle=rng.uniform(15, 40))
    head.disk(0.0, 0.0, 0.1, coat, ry=0.085, volume=0.45)
    _bill(head, [(0.06, -0.05), (0.3, 0.02), (0.28, 0.06), (0.06, 0.06)], (206.0, 44.0, 40.0) if black
          else (238.0, 130.0, 40.0))
    _bill(head, [(0.02, -0.05), (0.1, -0.05), (0.11, 0.03)], _INK)
    head.eye(0.02, -0.02, 0.022)
    for y in (0.42, 0.48):
        pen.limb([(-0.8, y), (-0.2, y + 0.02), (0.6, y - 0.01)], (206.0, 220.0, 226.0), widths=[0.005, 0.02, 0.005],
                 volume=0, alpha=0.5)


PAINTERS = {"flamingo": _flamingo, "penguin": _penguin, "owl": _owl, "peacock": _peacock, "toucan": _toucan,
            "ostrich": _ostrich, "rooster": _rooster, "swan": _swan}
