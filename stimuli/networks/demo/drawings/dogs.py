"""Eight breeds of dog: one skeleton in profile, standing or sitting, for all of them."""

from __future__ import annotations

from functools import partial

import numpy as np

from stimuli.networks.demo.drawings.breeds import BLACK, BREEDS, WHITE, Dog, body_marks, face_marks, spots
from stimuli.networks.demo.drawings.canvas import Mark, Pen
from stimuli.networks.demo.drawings.portraits import paint_portrait
from stimuli.networks.demo.drawings.shapes import dark, light, mix, oval, smooth, vary


def paint(pen: Pen, rng: np.random.Generator, *, name: str) -> None:
    """Paint one dog of a breed, standing, walking, sitting, or its head from the front."""
    breed = BREEDS[name]
    dog = Dog(breed, vary(breed.coats[rng.integers(len(breed.coats))], rng=rng), rng)
    view = rng.random()
    if view < 0.55:
        _stand(pen, dog)
    elif view < 0.75:
        _sit(pen, dog)
    else:
        paint_portrait(pen.moved(0.0, 0.05, scale=1.05), dog)


def _stand(pen: Pen, dog: Dog) -> None:
    b, rng = dog.breed, dog.rng
    half = b.length
    pen = pen.moved(-0.12, 0.18 if b.leg > 0.3 else 0.3, scale=0.98 if half < 0.8 else 0.85)
    foot = b.depth * 0.7 + b.leg
    pen.shadow(0.05, foot, half * 1.25, ry=0.09)
    stride = rng.uniform(-0.16, 0.16)
    for x, swing in ((half * 0.72, -stride), (-half * 0.74, stride)):
        _leg(pen, dog, x=x + 0.06, swing=swing, far=True)
    _tail(pen.moved(-half * 0.97, -b.depth * 0.55), dog)
    body = [(-half * 0.95, -b.depth * 0.45), (-half * 0.55, -b.depth * 0.92), (0.0, -b.depth * 0.82),
            (half * 0.6, -b.depth * 1.0), (half * 1.0, -b.depth * 0.5), (half * 1.04, b.depth * 0.3),
            (half * 0.7, b.depth * 1.0), (half * 0.1, b.depth * 0.86), (-half * 0.5, b.depth * 0.55),
            (-half * 0.95, b.depth * 0.5)]
    _neck_far(pen, dog)
    pen.blob(body, dog.coat, volume=0.6, fur=b.fur, fray=b.fray, marks=body_marks(dog),
             curl=0.045 if b.pattern == "woolly" else 0.0)
    for x, swing in ((half * 0.72, stride), (-half * 0.74, -stride)):
        _leg(pen, dog, x=x, swing=swing, far=False)
    if b.pattern in ("skirt", "feather"):
        _skirt(pen, dog)
    turn = rng.uniform(-16, 14)
    _head(pen.moved(half * 0.95 + b.neck * 0.45, -b.depth * 0.45 - b.neck, angle=turn), dog)


def _neck_far(pen: Pen, dog: Dog) -> None:
    b = dog.breed
    start, end = (b.length * 0.72, -b.depth * 0.2), (b.length * 0.95 + b.neck * 0.42, -b.depth * 0.45 - b.neck)
    middle = ((start[0] + end[0]) / 2 + 0.02, (start[1] + end[1]) / 2)
    chest = oval(b.length * 0.95 + b.neck * 0.62, -b.depth * 0.2 - b.neck * 0.3, b.skull * 0.7, ry=b.depth * 1.2)
    color = WHITE if b.pattern in ("saddle", "mask") else dog.under
    marks: list[Mark] = [(chest, color)] if b.pattern in ("saddle", "mask", "feather") else []
    marks += spots(dog, x=0.8, y=-0.4, spread=0.3, count=8)
    pen.limb([start, middle, end], dog.coat, widths=[b.depth * 1.6, b.skull * 1.6, b.skull * 1.4], fur=b.fur,
             fray=b.fray, marks=marks, curl=0.05 if b.pattern == "woolly" else 0.0)


def _leg(pen: Pen, dog: Dog, *, x: float, swing: float, far: bool) -> None:
    b = dog.breed
    top, foot, width = b.depth * 0.25, b.depth * 0.7 + b.leg, b.leg_width
    color = dark(dog.under, 0.28) if far else dog.under
    hind = x < 0
    bend = -0.07 if hind else 0.02
    knee = (x + swing * 0.5 + bend, (top + foot) / 2 + 0.02)
    pen.limb([(x, top), knee, (x + swing, foot - width * 0.3)], color, widths=[width * 1.7, width * 1.05, width * 0.8],
             fur=b.fur, fray=b.fray * 0.6, marks=spots(dog, x=x, y=top + 0.25, spread=0.16, count=5))
    if not far:
        haunch = oval(x + (0.03 if hind else 0.0), b.depth * 0.22, width * (1.45 if hind else 0.95),
                      ry=b.depth * 0.72, angle=12 if hind else 0)
        pen.shape(haunch, dog.coat, volume=0.4, fur=b.fur, marks=spots(dog, x=x, y=0.1, spread=0.2, count=6),
                  curl=0.05 if b.pattern == "woolly" else 0.0)
    if b.pattern == "woolly":
        pen.disk(x + swing, foot - width * 1.4, width * 1.15, color, volume=0.6, fur=b.fur, curl=0.04)
    pen.disk(x + swing + width * 0.28, foot - width * 0.25, width * 0.72, color, ry=width * 0.42, volume=0.5,
             fur=b.fur)


def _skirt(pen: Pen, dog: Dog) -> None:
    b = dog.breed
    drop = 0.24 if b.pattern == "skirt" else 0.1
    hem = [(b.length * 0.95, b.depth * 0.3), (b.length * 0.75, b.depth + drop), (0.0, b.depth * 0.8 + drop * 0.8),
           (-b.length * 0.8, b.depth * 0.55 + drop), (-b.length * 0.9, b.depth * 0.3), (0.0, b.depth * 0.4)]
    pen.blob(hem, dark(dog.under, 0.08), volume=0.25, fur=b.fur, fray=b.fray * 1.3)


def _sit(pen: Pen, dog: Dog) -> None:
    b = dog.breed
    stretch = 0.68 + 0.6 * b.neck + 0.25 * max(0.0, b.length - 0.6)
    pen = pen.moved(0.0, 0.34, scale=0.92)
    pen.shadow(0.0, 0.62, 0.62, ry=0.1)
    _tail(pen.moved(-0.42, 0.44, angle=-10), dog)
    _front_leg(pen, dog, x=0.30, far=True)
    back = [(-0.40, 0.58), (-0.46, 0.25), (-0.22, -0.15 * stretch), (0.02, -0.45 * stretch), (0.26, -0.42 * stretch),
            (0.38, -0.1), (0.30, 0.25), (0.05, 0.55)]
    color = dog.coat
    bib = smooth([(0.20, -0.5 * stretch), (0.5, -0.3), (0.4, 0.4), (0.15, 0.1)])
    marks = [(bib, dog.under)] if b.pattern in ("saddle", "mask", "feather", "points") else []
    if b.pattern == "saddle":
        marks.append((smooth([(-0.6, 0.3), (-0.3, -0.3), (0.05, -0.6), (0.1, -0.1), (-0.1, 0.25)]), BLACK))
    marks += spots(dog, x=0.0, y=0.1, spread=0.45, count=30)
    woolly = 0.05 if b.pattern == "woolly" else 0.0
    pen.blob(back, color, volume=0.6, fur=b.fur, fray=b.fray, marks=marks, curl=woolly)
    _front_leg(pen, dog, x=0.22, far=False)
    pen.disk(-0.16, 0.36, 0.27, color, ry=0.23, angle=-25, volume=0.45, fur=b.fur, curl=woolly,
             marks=spots(dog, x=-0.16, y=0.36, spread=0.2, count=7))
    pen.disk(0.0, 0.57, 0.17, dog.under, ry=0.065, volume=0.5, fur=b.fur)
    pen.limb([(0.08, -0.25 * stretch), (0.2, -0.5 * stretch), (0.26, -0.62 * stretch)], color,
             widths=[0.5, b.skull * 1.9, b.skull * 1.5], fur=b.fur, fray=b.fray, curl=woolly,
             marks=spots(dog, x=0.2, y=-0.45, spread=0.2, count=6))
    turn = dog.rng.uniform(-18, 10)
    _head(pen.moved(0.27, -0.62 * stretch - 0.05, angle=turn, scale=1.1), dog)


def _front_leg(pen: Pen, dog: Dog, *, x: float, far: bool) -> None:
    b = dog.breed
    color = dark(dog.under, 0.28) if far else dog.under
    pen.limb([(x - 0.02, -0.1), (x + 0.02, 0.25), (x, 0.58)], color,
             widths=[b.leg_width * 1.6, b.leg_width * 1.1, b.leg_width], fur=b.fur, fray=b.fray * 0.5,
             marks=spots(dog, x=x, y=0.2, spread=0.2, count=6))
    if b.pattern == "woolly":
        pen.disk(x, 0.48, b.leg_width * 1.2, color, volume=0.6, fur=b.fur, curl=0.04)
    pen.disk(x + 0.05, 0.58, b.leg_width * 0.8, color, ry=0.05, volume=0.5)


def _tail(pen: Pen, dog: Dog) -> None:
    b, wag = dog.breed, dog.rng.uniform(-0.08, 0.08)
    color, tip = dog.coat, dog.under
    if b.tail == "pompom":
        pen.limb([(0.06, 0.05), (-0.08, -0.12), (-0.14, -0.24 + wag)], color, widths=[0.09, 0.06, 0.05])
        pen.disk(-0.15, -0.3 + wag, 0.12, color, volume=0.6, fur=b.fur, curl=0.045)
    elif b.tail == "curl":
        pen.limb([(0.08, 0.06), (-0.12, -0.12), (-0.08, -0.36), (0.14, -0.42), (0.2, -0.26)], color,
                 widths=[0.15, 0.2, 0.22, 0.2, 0.1], fur=b.fur, fray=b.fray, marks=[(oval(0.14, -0.3, 0.18), tip)])
    elif b.tail == "roll":
        pen.limb([(0.08, 0.05), (-0.06, -0.06), (-0.05, -0.18), (0.07, -0.2), (0.09, -0.1)], color,
                 widths=[0.1, 0.1, 0.1, 0.09, 0.06])
    elif b.tail == "plume":
        pen.limb([(0.08, 0.05), (-0.2, 0.02 + wag), (-0.46, -0.16 + wag)], color, widths=[0.12, 0.24, 0.1], fur=b.fur,
                 fray=0.06, sharp=True)
    elif b.tail == "carrot":
        pen.limb([(0.06, 0.05), (-0.05, -0.15), (-0.02, -0.34)], color, widths=[0.14, 0.11, 0.04], fur=b.fur,
                 fray=0.03, sharp=True)
    else:
        rise = -0.42 if b.tail == "sickle" else -0.16
        ends = [(oval(-0.3, rise + wag, 0.14), WHITE)] if b.tail == "sickle" else spots(dog, x=-0.2, y=0, spread=.2,
                                                                                        count=5)
        pen.limb([(0.08, 0.06), (-0.16, -0.06), (-0.32, rise + wag)], color, widths=[0.11, 0.08, 0.04], marks=ends,
                 fur=b.fur)


def _head(pen: Pen, dog: Dog) -> None:
    """Paint a head in profile, looking right, about the middle of its skull."""
    b, rng = dog.breed, dog.rng
    if b.ear in ("prick", "point"):
        _pricked(pen.moved(0.07, -0.02), dog, far=True)
    tip = b.skull * 0.75 + b.muzzle
    drop = b.skull * 0.28
    muzzle_color = {"saddle": WHITE, "mask": dog.under, "points": dog.under, "blackface": (46.0, 40.0, 40.0),
                    "skirt": dog.coat}.get(b.pattern, light(dog.coat, 0.08))
    jaw = b.muzzle_depth
    if rng.random() < 0.35 and b.pattern != "skirt":
        pen.limb([(b.skull * 0.5, drop + jaw * 0.4), (tip - 0.08, drop + jaw * 0.75)], (206.0, 104.0, 108.0),
                 widths=0.06)
    pen.disk(0.0, 0.0, b.skull, dog.coat, ry=b.skull * 0.92, volume=0.6, fur=b.fur, fray=b.fray * 0.7,
             marks=face_marks(dog))
    if b.pattern == "woolly":
        pen.disk(-0.05, -b.skull * 0.75, b.skull * 0.95, dog.coat, ry=b.skull * 0.72, volume=0.6, fur=b.fur, curl=0.05)
    pen.limb([(b.skull * 0.35, drop * 0.8), (tip - jaw * 0.3, drop * 1.1)], muzzle_color,
             widths=[jaw * 1.45, jaw], fur=b.fur, fray=b.fray * 0.5,
             marks=spots(dog, x=b.skull, y=0.05, spread=0.12, count=4))
    if b.pattern == "skirt":
        beard = [(b.skull * 0.4, drop), (tip, drop * 0.8), (tip - 0.02, drop + 0.26), (tip - 0.16, drop + 0.2),
                 (b.skull * 0.5, drop + 0.16)]
        pen.blob(beard, dark(dog.coat, 0.1), volume=0.3, fur=1.0, fray=0.05)
        pen.limb([(b.skull * 0.2, -b.skull * 0.45), (b.skull * 0.9, -b.skull * 0.25)], light(dog.coat, 0.12),
                 widths=[0.1, 0.04], fur=1.0, fray=0.03)
    pen.limb([(b.skull * 0.7, drop + jaw * 0.32), (tip - 0.05, drop + jaw * 0.34)], dark(muzzle_color, 0.55),
             widths=0.014, volume=0)
    pen.disk(tip, drop * 0.55, jaw * 0.27, (26.0, 22.0, 24.0), ry=jaw * 0.24, volume=0.5)
    iris = (110.0, 168.0, 214.0) if b.pattern == "mask" else (66.0, 38.0, 20.0)
    pen.eye(b.skull * 0.38, -b.skull * 0.22, 0.042 if b.ear != "button" else 0.055, iris=iris)
    _ear(pen, dog)


def _ear(pen: Pen, dog: Dog) -> None:
    b, rng = dog.breed, dog.rng
    if b.ear in ("prick", "point"):
        _pricked(pen, dog, far=False)
        return
    colors = {"spots": (52.0, 44.0, 44.0), "blackface": (50.0, 42.0, 42.0), "saddle": dark(dog.coat, 0.12)}
    color = colors.get(b.pattern, dark(dog.coat, 0.16))
    x, y, sway = -b.skull * 0.25, -b.skull * 0.35, rng.uniform(-0.04, 0.04)
    if b.ear == "button":
        pen.blob([(x - 0.05, y - 0.06), (x + 0.1, y - 0.06), (x + 0.1, y + 0.12), (x + 0.02, y + 0.06)], color,
                 volume=0.4)
        return
    long = {"flop": 0.36, "wool": 0.34, "fold": 0.26}[b.ear] * b.skull / 0.2
    wide = {"flop": 0.105, "wool": 0.125, "fold": 0.12}[b.ear]
    pen.limb([(x + 0.02, y), (x - 0.05, y + long * 0.5), (x - 0.02 + sway, y + long)], color,
             widths=[wide, wide * 2.0, wide * 1.5], volume=0.5, fur=b.fur, fray=b.fray * 0.6,
             curl=0.045 if b.ear == "wool" else 0.0)


def _pricked(pen: Pen, dog: Dog, *, far: bool) -> None:
    b = dog.breed
    s = b.skull
    color = dark(dog.coat, 0.35 if far else 0.05)
    outer = np.array([(-s * 0.75, -s * 0.5), (-s * 0.42, -s * 1.75), (s * 0.2, -s * 0.75)])
    pen.shape(outer, color, volume=0.3, fur=b.fur, fray=b.fray * 0.4)
    pen.shape(outer * 0.62 + (-s * 0.1, -s * 0.32), mix(color, (214.0, 160.0, 150.0), 0.45), volume=0.2)


PAINTERS = {name: partial(paint, name=name) for name in BREEDS}
