"""Eight animals of the sea."""

from __future__ import annotations

import numpy as np

from stimuli.networks.demo.drawings.canvas import Mark, Pen
from stimuli.networks.demo.drawings.shapes import Color, dark, light, mix, oval, smooth, tube, vary

_INK: Color = (30.0, 30.0, 36.0)
_WHITE: Color = (240.0, 240.0, 238.0)


def _shark(pen: Pen, rng: np.random.Generator) -> None:
    grey = vary((112.0, 128.0, 144.0), rng=rng)
    beat = rng.uniform(-0.16, 0.16)
    pen = pen.moved(0.0, 0.05, angle=rng.normal(0, 6))
    pen.shape(smooth([(-0.72, 0.0), (-0.98, -0.5 + beat * 0.4), (-0.86, -0.46 + beat * 0.4), (-0.72, -0.12),
                      (-0.8, 0.04), (-0.94, 0.32 + beat * 0.4),
                      (-0.76, 0.16)], per_segment=4), grey, volume=0.3)
    pen.shape(np.array([(0.02, -0.2), (-0.22, -0.6), (-0.12, -0.62), (0.26, -0.22)]), dark(grey, 0.1), volume=0.3)
    pen.shape(np.array([(-0.52, -0.08), (-0.66, -0.22), (-0.42, -0.12)]), dark(grey, 0.1))
    pen.shape(np.array([(-0.4, 0.12), (-0.56, 0.3), (-0.3, 0.17)]), dark(grey, 0.15))
    pen.shape(np.array([(0.3, 0.1), (0.02, 0.46), (-0.02, 0.42), (0.08, 0.12)]), dark(grey, 0.3), volume=0.3)
    belly = smooth([(1.0, 0.03), (0.6, 0.06), (0.1, 0.1), (-0.5, 0.06), (-0.8, 0.0), (-0.6, 0.4), (0.4, 0.5),
                    (1.0, 0.2)])
    pen.blob([(0.98, -0.02), (0.7, -0.18), (0.3, -0.27), (-0.1, -0.23), (-0.5, -0.1), (-0.8, -0.03 + beat * 0.2),
              (-0.78, 0.06 + beat * 0.2),
              (-0.45, 0.13), (0.0, 0.23), (0.45, 0.23), (0.75, 0.14)], grey, volume=0.55,
              marks=[(belly, light(grey, 0.72))])
    pen.shape(smooth([(0.36, 0.12), (0.24, 0.34), (-0.02, 0.58), (-0.02, 0.5), (0.12, 0.14)], per_segment=4),
              dark(grey, 0.08), volume=0.4)
    for x in (0.4, 0.45, 0.5, 0.55):
        pen.limb([(x, -0.08), (x - 0.025, 0.06)], dark(grey, 0.45), widths=0.016, volume=0)
    if rng.random() < 0.5:
        pen.shape(smooth([(0.9, 0.055), (0.74, 0.07), (0.62, 0.12), (0.74, 0.15), (0.86, 0.11)], per_segment=4),
                  (110.0, 30.0, 36.0))
        for x in np.linspace(0.66, 0.87, 7):
            pen.shape(np.array([(x - 0.02, 0.07), (x + 0.02, 0.065), (x, 0.115)]), _WHITE)
    else:
        pen.limb([(0.88, 0.06), (0.75, 0.09), (0.63, 0.14)], dark(grey, 0.6), widths=0.018, volume=0)
    pen.disk(0.74, -0.06, 0.035, _INK)
    pen.disk(0.73, -0.07, 0.012, _WHITE)


def _octopus(pen: Pen, rng: np.random.Generator) -> None:
    skin = vary(((190.0, 84.0, 70.0), (170.0, 90.0, 130.0), (206.0, 130.0, 70.0),
                 (140.0, 96.0, 90.0))[rng.integers(4)], rng=rng)
    pen = pen.moved(0.0, -0.08)
    for index in rng.permutation(8):
        share = (index - 3.5) / 3.5
        reach, curl = rng.uniform(0.75, 0.95), rng.uniform(-0.25, 0.25)
        path = [(share * 0.26, 0.1), (share * 0.5, 0.42), (share * 0.75 + curl * 0.5, 0.42 + reach * 0.32),
                (share * 0.98 + curl, reach * 0.86 + 0.1),
                (share * 0.98 + curl * 1.8 + 0.08 * np.sign(share), reach * 0.72)]
        suckers: list[Mark] = [(oval(share * 0.98 + curl * k, 0.25 + 0.1 * k, 0.022), light(skin, 0.5))
                               for k in range(7)]
        pen.limb(path, dark(skin, 0.22 * (index % 2)), widths=[0.24, 0.18, 0.13, 0.085, 0.03], volume=0.55,
                 marks=suckers)
    tilt = rng.uniform(-0.14, 0.14)
    blotches: list[Mark] = [(oval(x, y, 0.035, ry=0.03), dark(skin, 0.16)) for x,
                            y in np.add(rng.uniform(-0.5, 0.3, (20, 2)), (0.1, -0.3))]
    pen.blob([(tilt, -0.86), (0.3 + tilt, -0.76), (0.44 + tilt * 0.6, -0.4), (0.34, -0.04), (0.38, 0.22), (0.0, 0.34),
              (-0.38, 0.22), (-0.34, -0.04),
              (-0.44 + tilt * 0.6, -0.4), (-0.3 + tilt, -0.76)], skin, volume=0.65, marks=blotches)
    for side in (-1, 1):
        pen.disk(side * 0.22, 0.0, 0.115, light(skin, 0.15), volume=0.4)
        pen.disk(side * 0.22, 0.0, 0.08, (244.0, 226.0, 160.0))
        pen.disk(side * 0.22, 0.01, 0.065, _INK, ry=0.028)


def _jellyfish(pen: Pen, rng: np.random.Generator) -> None:
    glow = vary(((240.0, 170.0, 200.0), (190.0, 200.0, 246.0), (246.0, 196.0, 140.0),
                 (214.0, 170.0, 240.0))[rng.integers(4)], rng=rng)
    pen = pen.moved(0.0, -0.12, angle=rng.normal(0, 12))
    squeeze = rng.uniform(0.82, 1.05)
    for x in np.linspace(-0.5, 0.5, 13) * squeeze:
        sway, phase = rng.uniform(0.03, 0.08), rng.uniform(0, 6.3)
        path = [(x + sway * np.sin(phase + k), -0.08 + 0.2 * k) for k in range(int(rng.integers(4, 7)))]
        pen.limb(path, light(glow, 0.25), widths=[0.024] * (len(path) - 1) + [0.01], volume=0, alpha=0.75)
    for x in (-0.2, -0.07, 0.07, 0.2):
        phase = rng.uniform(0, 6.3)
        path = [(x + 0.07 * np.sin(phase + 1.4 * k), -0.1 + 0.17 * k) for k in range(5)]
        pen.limb(path, light(glow, 0.4), widths=[0.1, 0.16, 0.13, 0.1, 0.03], volume=0.5, alpha=0.8, curl=0.035)
    bell = [(0.0, -0.78), (0.36 * squeeze, -0.68), (0.6 * squeeze, -0.36), (0.64 * squeeze, -0.04)]
    rim = [(0.64 * squeeze * c, -0.02 + (0.07 if k % 2 else -0.02)) for k, c in enumerate(np.linspace(0.85, -0.85, 9))]
    outline = bell + rim + [(-x, y) for x, y in bell[:0:-1]]
    ribs: list[Mark] = [(tube([(x * 0.2, -0.75), (x * 0.8, -0.4), (x, 0.0)], 0.022), light(glow, 0.45))
                        for x in np.linspace(-0.56, 0.56, 8) * squeeze]
    pen.blob(outline, glow, volume=0.7, marks=ribs, alpha=0.82)
    for side in (-1, 1):
        pen.disk(side * 0.16, -0.36, 0.13, mix(glow, (220.0, 90.0, 140.0), 0.4), ry=0.09, angle=side * 25, alpha=0.55)
    pen.disk(-0.2 * squeeze, -0.56, 0.14, (255.0, 255.0, 255.0), ry=0.07, angle=-35, alpha=0.45)


def _turtle(pen: Pen, rng: np.random.Generator) -> None:
    skin = vary((124.0, 148.0, 92.0), rng=rng)
    shell = vary(((110.0, 92.0, 54.0), (84.0, 110.0, 66.0), (140.0, 96.0, 60.0))[rng.integers(3)], rng=rng)
    if rng.random() < 0.5:
        _turtle_above(pen, rng, skin=skin, shell=shell)
    else:
        _turtle_beside(pen, rng, skin=skin, shell=shell)


def _scales(rng: np.random.Generator, color: Color, *, x: float, y: float, spread: float) -> list[Mark]:
    return [(oval(px, py, 0.03, ry=0.024), dark(color, 0.35)) for px,
            py in np.add(rng.uniform(-spread, spread, (14, 2)), (x, y))]


def _turtle_above(pen: Pen, rng: np.random.Generator, *, skin: Color, shell: Color) -> None:
    pen = pen.moved(-0.05, 0.0, angle=rng.uniform(-45, 45))
    stroke = rng.uniform(-22, 22)
    for side in (-1.0, 1.0):
        fore = pen.moved(0.34, side * 0.36, angle=side * stroke)
        fore.blob([(0.0, -side * 0.14), (0.2, side * 0.1), (0.1, side * 0.42), (-0.22, side * 0.66),
                   (-0.12, side * 0.3), (-0.14, 0.0)], skin, volume=0.45,
                  marks=_scales(rng, skin, x=0.0, y=side * 0.3, spread=0.3))
        hind = pen.moved(-0.5, side * 0.3, angle=-side * stroke * 0.6)
        hind.blob([(0.0, -side * 0.1), (0.06, side * 0.1), (-0.2, side * 0.3), (-0.3, side * 0.16)], skin, volume=0.45)
    pen.blob([(0.5, -0.12), (0.76, -0.15), (0.96, 0.0), (0.76, 0.15), (0.5, 0.12)], skin, volume=0.55,
             marks=_scales(rng, skin, x=0.75, y=0.0, spread=0.16))
    for side in (-1, 1):
        pen.disk(0.82, side * 0.09, 0.026, _INK)
    rim = [(0.62, 0.0), (0.5, 0.32), (0.1, 0.5), (-0.35, 0.42), (-0.7, 0.0), (-0.35, -0.42), (0.1, -0.5), (0.5, -0.32)]
    pen.blob(rim, light(shell, 0.35), volume=0.5)
    pen.shape(smooth(rim) * 0.88, dark(shell, 0.45), volume=0.55)
    for x in (-0.42, -0.16, 0.12, 0.38):
        pen.shape(oval(x, 0.0, 0.15)[::7], shell, volume=0.4)
    for side in (-1, 1):
        for x, y in ((-0.38, 0.24), (-0.12, 0.3), (0.16, 0.3), (0.38, 0.2)):
            pen.shape(oval(x, side * y, 0.125, ry=0.11, angle=20)[::6], light(shell, 0.1), volume=0.4)


def _turtle_beside(pen: Pen, rng: np.random.Generator, *, skin: Color, shell: Color) -> None:
    pen = pen.moved(-0.06, 0.04, angle=rng.normal(-6, 10))
    stroke = rng.uniform(-25, 25)
    pen.moved(0.34, 0.14, angle=stroke - 20).limb([(0.0, 0.0), (0.05, 0.3), (-0.12, 0.6)], dark(skin, 0.25),
                                                  widths=[0.2, 0.2, 0.05], volume=0.4)
    pen.limb([(-0.52, 0.14), (-0.76, 0.24), (-0.92, 0.4)], skin, widths=[0.16, 0.18, 0.06], volume=0.45)
    pen.limb([(0.42, 0.08), (0.64, -0.02), (0.76, -0.08)], skin, widths=[0.26, 0.2, 0.2], volume=0.45,
             marks=_scales(rng, skin, x=0.6, y=0.0, spread=0.14))
    pen.blob([(0.62, -0.08), (0.76, -0.25), (0.95, -0.18), (1.0, -0.04), (0.86, 0.08), (0.68, 0.06)], skin, volume=0.5,
             marks=_scales(rng, skin, x=0.75, y=-0.1, spread=0.1))
    pen.disk(0.88, -0.11, 0.036, _INK)
    pen.disk(0.87, -0.12, 0.012, _WHITE)
    pen.blob([(-0.66, 0.12), (0.0, 0.16), (0.56, 0.1), (0.4, 0.28), (0.0, 0.32), (-0.5, 0.26)], (220.0, 206.0, 150.0),
             volume=0.4)
    plates: list[Mark] = []
    for x in (-0.5, -0.22, 0.06, 0.34):
        plates.append((oval(x, -0.12, 0.16, ry=0.2)[::7], shell))
        plates.append((oval(x + 0.14, -0.38, 0.13, ry=0.12)[::7], light(shell, 0.12)))
        plates.append((oval(x + 0.12, 0.12, 0.12, ry=0.08)[::7], light(shell, 0.12)))
    pen.blob([(-0.74, 0.16), (-0.6, -0.14), (-0.2, -0.42), (0.2, -0.4), (0.5, -0.14), (0.62, 0.12), (0.0, 0.22)],
             dark(shell, 0.45), volume=0.6, marks=plates)
    pen.limb([(-0.74, 0.16), (0.0, 0.22), (0.62, 0.12)], light(shell, 0.25), widths=0.07, volume=0.4)
    pen.moved(0.3, 0.16, angle=stroke).blob([(-0.12, 0.0), (0.12, 0.0), (0.14, 0.3), (-0.1, 0.68), (-0.18, 0.66),
                                             (-0.06, 0.3)], skin, volume=0.45,
                                           marks=_scales(rng, skin, x=0.0, y=0.3, spread=0.25))


def _starfish(pen: Pen, rng: np.random.Generator) -> None:
    skin = vary(((226.0, 110.0, 50.0), (206.0, 60.0, 70.0), (150.0, 80.0, 150.0), (230.0, 180.0, 90.0),
                 (70.0, 100.0, 180.0))[rng.integers(5)], rng=rng)
    pen = pen.moved(0.0, 0.0, angle=rng.uniform(0, 72), scale=0.95)
    pen.shadow(0.06, 0.1, 0.6, ry=0.6, depth=0.3)
    control, bumps = [], []
    for k in range(5):
        angle = np.radians(72 * k + rng.normal(0, 5)) - np.pi / 2
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        bend, reach = rng.normal(0, 0.08), rng.uniform(0.88, 1.02)
        control += [along * 0.5 - across * 0.16, along * (reach - 0.05) + across * (bend - 0.06),
                    along * reach + across * bend,
                    along * (reach - 0.05) + across * (bend + 0.06), along * 0.5 + across * 0.16]
        valley = angle + np.pi / 5
        control.append(np.array([np.cos(valley), np.sin(valley)]) * 0.27)
        for r in np.arange(0.1, 0.9, 0.11):
            bumps.append(along * r + across * bend * r)
            if r < 0.75:
                bumps += [along * r + across * (0.13 - 0.12 * r), along * r - across * (0.13 - 0.12 * r)]
    pen.blob(control, skin, volume=0.7, fur=0.5, thickness=0.34,
             marks=[(oval(x, y, 0.032), light(skin, 0.4)) for x, y in bumps])
    pen.disk(0.0, 0.0, 0.05, light(skin, 0.5), volume=0.3)


def _clownfish(pen: Pen, rng: np.random.Generator) -> None:
    orange = vary((244.0, 120.0, 34.0), rng=rng)
    beat = rng.uniform(-0.12, 0.12)
    pen = pen.moved(0.02, 0.0, angle=rng.normal(0, 8))
    if rng.random() < 0.45:
        for x in np.linspace(-1.0, 1.0, 13):
            tip = rng.uniform(0.2, 0.6)
            pen.limb([(x, 1.3), (x + rng.normal(0, 0.06), 0.9), (x + rng.normal(0, 0.12), tip)],
                     vary((170.0, 120.0, 140.0), rng=rng), widths=[0.14, 0.12, 0.14])
    def fin(points: list[tuple[float, float]]) -> None:
        outline = smooth(points)
        pen.shape(outline, _INK)
        centre = outline.mean(axis=0)
        pen.shape((outline - centre) * 0.86 + centre, orange, volume=0.4)
    fin([(-0.55, -0.1), (-0.9, -0.32 + beat), (-0.96, beat), (-0.9, 0.32 + beat), (-0.55, 0.1)])
    fin([(0.3, -0.36), (0.1, -0.62), (-0.12, -0.5), (-0.34, -0.58), (-0.52, -0.2), (0.0, -0.3)])
    fin([(-0.05, 0.38), (-0.15, 0.62), (-0.4, 0.52), (-0.52, 0.16), (-0.2, 0.3)])
    fin([(0.28, 0.38), (0.2, 0.64), (0.06, 0.56), (0.12, 0.36)])
    bars: list[Mark] = []
    for x, width in ((0.42, 0.17), (-0.06, 0.2), (-0.52, 0.11)):
        for extra, color in ((0.07, _INK), (0.0, _WHITE)):
            bars.append((tube([(x - 0.04, -0.6), (x + 0.07, 0.0), (x - 0.04, 0.6)], width + extra), color))
    pen.blob([(0.86, 0.02), (0.66, -0.26), (0.3, -0.42), (-0.1, -0.4), (-0.5, -0.18), (-0.68, -0.08), (-0.68, 0.08),
              (-0.5, 0.18), (-0.1, 0.42), (0.3, 0.44),
              (0.66, 0.3)], orange, volume=0.6, marks=bars)
    pectoral = pen.moved(0.2, 0.12, angle=rng.uniform(-20, 30))
    pectoral.blob([(0.06, 0.0), (-0.1, -0.14), (-0.26, 0.0), (-0.22, 0.18), (0.0, 0.14)], _INK, volume=0.2)
    pectoral.blob([(0.04, 0.01), (-0.1, -0.1), (-0.21, 0.01), (-0.17, 0.13), (0.0, 0.11)], orange, volume=0.3)
    pen.eye(0.64, -0.08, 0.06, white=(250.0, 190.0, 110.0))
    pen.limb([(0.84, 0.08), (0.76, 0.13)], dark(orange, 0.5), widths=0.02, volume=0)


def _seahorse(pen: Pen, rng: np.random.Generator) -> None:
    skin = vary(((226.0, 176.0, 70.0), (206.0, 120.0, 80.0), (180.0, 150.0, 110.0),
                 (150.0, 90.0, 110.0))[rng.integers(4)], rng=rng)
    pen = pen.moved(-0.05, 0.0, angle=rng.normal(0, 8))
    bow = rng.uniform(-0.05, 0.08)
    fan = pen.moved(-0.26, 0.08)
    fan.blob([(0.1, -0.16), (-0.12, -0.2), (-0.24, 0.0), (-0.14, 0.2), (0.1, 0.16)], light(skin, 0.35), volume=0.3,
             alpha=0.85,
             marks=[(tube([(0.1, 0.0), (-0.26, y)], 0.014), dark(skin, 0.15))
                    for y in (-0.18, -0.09, 0.0, 0.09, 0.18)])
    spine = [(0.12, -0.62), (-0.08, -0.46), (-0.12 + bow, -0.12), (0.0 + bow, 0.2), (-0.06, 0.48), (0.02, 0.74),
             (0.22, 0.86), (0.36, 0.74), (0.3, 0.6), (0.2, 0.64)]
    widths = [0.2, 0.26, 0.46, 0.44, 0.26, 0.16, 0.12, 0.09, 0.07, 0.05]
    middle = smooth(spine, closed=False)
    rings: list[Mark] = [(tube([middle[k] - (0.4, 0.02), middle[k] + (0.0, 0.03), middle[k] + (0.4, -0.02)], 0.018),
                          dark(skin, 0.3)) for k in range(4, 44, 4)]
    pen.limb(spine, skin, widths=widths, volume=0.6, marks=rings, fray=0.018)
    head = pen.moved(0.14, -0.66, angle=rng.uniform(-12, 14))
    for k, x in enumerate((-0.14, -0.05, 0.05)):
        head.shape(np.array([(x - 0.05, -0.08), (x - 0.03, -0.28 + 0.03 * k), (x + 0.05, -0.1)]), dark(skin, 0.1),
                   volume=0.3)
    head.limb([(0.05, 0.02), (0.3, 0.09), (0.46, 0.14)], skin, widths=[0.18, 0.1, 0.12], volume=0.5)
    head.disk(0.0, 0.0, 0.19, skin, ry=0.165, volume=0.55)
    head.disk(0.47, 0.145, 0.045, dark(skin, 0.3), ry=0.06)
    head.eye(0.06, -0.03, 0.048, white=light(skin, 0.6))
    head.blob([(-0.12, 0.06), (-0.26, 0.02), (-0.28, 0.14), (-0.16, 0.16)], light(skin, 0.3), volume=0.3, alpha=0.85)


def _crab(pen: Pen, rng: np.random.Generator) -> None:
    shell = vary(((206.0, 70.0, 44.0), (190.0, 96.0, 60.0), (120.0, 110.0, 140.0),
                  (214.0, 130.0, 60.0))[rng.integers(4)], rng=rng)
    pen = pen.moved(0.0, 0.12)
    pen.shadow(0.0, 0.5, 0.85, ry=0.1, depth=0.4)
    for side in (-1.0, 1.0):
        for k in range(4):
            lift = rng.uniform(-0.06, 0.06)
            hip, knee = (side * (0.4 - 0.06 * k), 0.08 + 0.07 * k), (side * (0.82 - 0.09 * k), -0.1 + 0.14 * k + lift)
            foot = (side * (0.98 - 0.1 * k), 0.36 + 0.09 * k)
            pen.limb([hip, knee], dark(shell, 0.12), widths=[0.13, 0.1])
            pen.limb([knee, foot], dark(shell, 0.05), widths=[0.095, 0.02], sharp=True)
        _claw(pen, rng, side=side, shell=shell)
    dots: list[Mark] = [(oval(x, y, 0.022), light(shell, 0.35)) for x, y in rng.uniform(-1, 1, (22, 2)) * (0.45, 0.22)]
    for side in (-1, 1):
        pen.limb([(side * 0.13, -0.2), (side * 0.15, -0.38)], dark(shell, 0.1), widths=0.05)
        pen.eye(side * 0.15, -0.41, 0.05, white=_WHITE)
    pen.blob([(0.0, -0.27), (0.36, -0.25), (0.56, -0.08), (0.42, 0.2), (0.18, 0.33), (-0.18, 0.33), (-0.42, 0.2),
              (-0.56, -0.08), (-0.36, -0.25)], shell,
             volume=0.65, marks=dots, fur=0.2)
    pen.limb([(-0.16, 0.16), (0.0, 0.21), (0.16, 0.16)], dark(shell, 0.5), widths=0.025, volume=0)


def _claw(pen: Pen, rng: np.random.Generator, *, side: float, shell: Color) -> None:
    raised = rng.uniform(-0.12, 0.12)
    elbow, wrist = (side * 0.74, -0.2 + raised * 0.4), (side * 0.7, -0.46 + raised)
    pen.limb([(side * 0.42, -0.08), elbow, wrist], dark(shell, 0.06), widths=[0.14, 0.13, 0.12])
    size = rng.uniform(0.9, 1.2)
    claw = pen.moved(*wrist, scale=size, angle=-side * rng.uniform(0, 26), flip=side < 0)
    claw.blob([(0.1, 0.06), (0.2, -0.14), (0.12, -0.36), (-0.06, -0.5), (0.0, -0.26), (-0.14, 0.0)], shell,
              volume=0.55)
    claw.blob([(-0.12, 0.04), (-0.24, -0.16), (-0.22, -0.38), (-0.12, -0.3), (-0.06, -0.1)], dark(shell, 0.06),
              volume=0.55)


PAINTERS = {"shark": _shark, "octopus": _octopus, "jellyfish": _jellyfish, "turtle": _turtle, "starfish": _starfish,
            "clownfish": _clownfish, "seahorse": _seahorse, "crab": _crab}
