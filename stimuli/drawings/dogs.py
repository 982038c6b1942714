"""Eight breeds of dog: one skeleton, eight sets of proportions, coats, ears and tails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from stimuli.drawings.canvas import Mark, Pen
from stimuli.drawings.shapes import Color, dark, light, mix, oval, smooth, vary


@dataclass(frozen=True)
class Breed:
    """Proportions in units of about half the drawing, and the coat."""

    length: float
    depth: float
    leg: float
    leg_width: float
    neck: float
    skull: float
    muzzle: float
    muzzle_depth: float
    ear: str
    tail: str
    coats: tuple[Color, ...]
    pattern: str
    fur: float = 0.35
    fray: float = 0.0


_BLACK, _WHITE, _TAN = (38.0, 34.0, 34.0), (236.0, 230.0, 220.0), (186.0, 120.0, 62.0)

BREEDS: Mapping[str, Breed] = {
    "beagle": Breed(0.60, 0.30, 0.40, 0.13, 0.26, 0.215, 0.24, 0.17, "flop", "sickle", (_TAN,), "saddle"),
    "dalmatian": Breed(0.60, 0.27, 0.54, 0.11, 0.36, 0.19, 0.27, 0.15, "flop", "whip", (_WHITE,), "spots", 0.1),
    "poodle": Breed(0.48, 0.26, 0.54, 0.10, 0.40, 0.17, 0.30, 0.10, "wool", "pompom",
                    ((228.0, 222.0, 210.0), (58.0, 52.0, 54.0), (196.0, 150.0, 108.0)), "woolly", 0.8),
    "dachshund": Breed(0.86, 0.235, 0.19, 0.12, 0.28, 0.17, 0.31, 0.12, "flop", "whip",
                       ((142.0, 70.0, 36.0), (46.0, 34.0, 32.0)), "points", 0.12),
    "husky": Breed(0.62, 0.31, 0.46, 0.14, 0.30, 0.22, 0.22, 0.16, "prick", "curl",
                   ((96.0, 102.0, 114.0), (62.0, 62.0, 68.0), (136.0, 102.0, 78.0)), "mask", 0.7, 0.035),
    "golden retriever": Breed(0.62, 0.30, 0.44, 0.14, 0.28, 0.215, 0.25, 0.17, "fold", "plume",
                              ((212.0, 158.0, 84.0), (226.0, 182.0, 116.0), (190.0, 128.0, 62.0)), "feather",
                              0.8, 0.04),
    "Scottish terrier": Breed(0.60, 0.33, 0.20, 0.15, 0.20, 0.20, 0.34, 0.17, "point", "carrot",
                              ((40.0, 38.0, 42.0), (62.0, 58.0, 60.0)), "skirt", 1.0, 0.06),
    "pug": Breed(0.50, 0.34, 0.32, 0.15, 0.16, 0.28, 0.10, 0.22, "button", "roll",
                 ((214.0, 182.0, 138.0), (226.0, 200.0, 160.0)), "blackface", 0.15),
}


@dataclass(frozen=True)
class Dog:
    """One animal: its breed, its colours, and how far it is from the average."""

    breed: Breed
    coat: Color
    rng: np.random.Generator

    @property
    def under(self) -> Color:
        """The colour of legs, chest and muzzle."""
        shades = {"saddle": _WHITE, "mask": (232.0, 230.0, 226.0), "points": mix(self.coat, _TAN, 0.55),
                  "feather": light(self.coat, 0.18)}
        return shades.get(self.breed.pattern, self.coat)


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
        _portrait(pen.moved(0.0, 0.05, scale=1.05), dog)


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
    pen.blob(body, dog.coat, volume=0.6, fur=b.fur, fray=b.fray, marks=_body_marks(dog),
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
    color = _WHITE if b.pattern in ("saddle", "mask") else dog.under
    marks: list[Mark] = [(chest, color)] if b.pattern in ("saddle", "mask", "feather") else []
    marks += _spots(dog, x=0.8, y=-0.4, spread=0.3, count=8)
    pen.limb([start, middle, end], dog.coat, widths=[b.depth * 1.6, b.skull * 1.6, b.skull * 1.4], fur=b.fur,
             fray=b.fray, marks=marks, curl=0.05 if b.pattern == "woolly" else 0.0)


def _leg(pen: Pen, dog: Dog, *, x: float, swing: float, far: bool) -> None:
    b = dog.breed
    top, foot, width = b.depth * 0.25, b.depth * 0.7 + b.leg, b.leg_width
    color = dark(dog.under, 0.28) if far else dog.under
    upper = dog.coat if b.pattern != "points" else dog.coat
    hind = x < 0
    bend = -0.07 if hind else 0.02
    knee = (x + swing * 0.5 + bend, (top + foot) / 2 + 0.02)
    pen.limb([(x, top), knee, (x + swing, foot - width * 0.3)], color, widths=[width * 1.7, width * 1.05, width * 0.8],
             fur=b.fur, fray=b.fray * 0.6, marks=_spots(dog, x=x, y=top + 0.25, spread=0.16, count=5))
    if not far:
        haunch = oval(x + (0.03 if hind else 0.0), b.depth * 0.22, width * (1.45 if hind else 0.95),
                      ry=b.depth * 0.72, angle=12 if hind else 0)
        plain = b.pattern in ("spots", "woolly")
        pen.shape(haunch, upper, volume=0.4, fur=b.fur, marks=_spots(dog, x=x, y=0.1, spread=0.2, count=6),
                  curl=0.05 if plain and b.pattern == "woolly" else 0.0)
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


def _body_marks(dog: Dog) -> list[Mark]:
    b, rng = dog.breed, dog.rng
    half, depth = b.length, b.depth
    if b.pattern == "saddle":
        saddle = smooth([(-half * 1.1, -depth), (half * 0.75, -depth * 1.3), (half * rng.uniform(0.4, 0.6), 0.0),
                         (0.0, depth * rng.uniform(0.1, 0.4)), (-half * 0.8, depth * 0.2)])
        belly = smooth([(half * 1.2, -depth * 0.3), (half * 0.6, depth * 0.35), (-half * 0.9, depth * 0.5),
                        (-half, depth * 1.4), (half * 1.2, depth * 1.4)])
        return [(belly, _WHITE), (saddle, vary((44.0, 36.0, 34.0), rng=rng))]
    if b.pattern == "mask":
        belly = smooth([(half * 1.2, -depth * 0.1), (half * 0.5, depth * 0.4), (-half * 0.6, depth * 0.2),
                        (-half * 1.1, depth * 0.2), (-half, depth * 1.5), (half * 1.2, depth * 1.5)])
        return [(belly, dog.under)]
    if b.pattern == "points":
        return [(oval(half * 0.98, depth * 0.45, depth * 0.5, ry=depth * 0.4), dog.under)]
    return _spots(dog, x=0.0, y=0.0, spread=half, count=34)


def _spots(dog: Dog, *, x: float, y: float, spread: float, count: int) -> list[Mark]:
    if dog.breed.pattern != "spots":
        return []
    rng, ink = dog.rng, vary((34.0, 30.0, 32.0), rng=dog.rng, amount=6)
    places = rng.uniform(-1, 1, (count, 2)) * (spread, min(spread, 0.34)) + (x, y)
    return [(oval(px, py, rng.uniform(0.018, 0.05), ry=rng.uniform(0.02, 0.045)), ink) for px, py in places]


def _sit(pen: Pen, dog: Dog) -> None:
    b = dog.breed
    stretch = 0.75 + 0.45 * b.length / 0.6
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
        marks.append((smooth([(-0.6, 0.3), (-0.3, -0.3), (0.05, -0.6), (0.1, -0.1), (-0.1, 0.25)]), _BLACK))
    marks += _spots(dog, x=0.0, y=0.1, spread=0.45, count=30)
    woolly = 0.05 if b.pattern == "woolly" else 0.0
    pen.blob(back, color, volume=0.6, fur=b.fur, fray=b.fray, marks=marks, curl=woolly)
    _front_leg(pen, dog, x=0.22, far=False)
    pen.disk(-0.16, 0.36, 0.27, color, ry=0.23, angle=-25, volume=0.45, fur=b.fur, curl=woolly,
             marks=_spots(dog, x=-0.16, y=0.36, spread=0.2, count=7))
    pen.disk(0.0, 0.57, 0.17, dog.under, ry=0.065, volume=0.5, fur=b.fur)
    pen.limb([(0.08, -0.25 * stretch), (0.2, -0.5 * stretch), (0.26, -0.62 * stretch)], color,
             widths=[0.5, b.skull * 1.9, b.skull * 1.5], fur=b.fur, fray=b.fray, curl=woolly,
             marks=_spots(dog, x=0.2, y=-0.45, spread=0.2, count=6))
    turn = dog.rng.uniform(-18, 10)
    _head(pen.moved(0.27, -0.62 * stretch - 0.05, angle=turn, scale=1.1), dog)


def _front_leg(pen: Pen, dog: Dog, *, x: float, far: bool) -> None:
    b = dog.breed
    color = dark(dog.under, 0.28) if far else dog.under
    pen.limb([(x - 0.02, -0.1), (x + 0.02, 0.25), (x, 0.58)], color,
             widths=[b.leg_width * 1.6, b.leg_width * 1.1, b.leg_width], fur=b.fur, fray=b.fray * 0.5,
             marks=_spots(dog, x=x, y=0.2, spread=0.2, count=6))
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
        ends = [(oval(-0.3, rise + wag, 0.14), _WHITE)] if b.tail == "sickle" else _spots(dog, x=-0.2, y=0, spread=.2, count=5)
        pen.limb([(0.08, 0.06), (-0.16, -0.06), (-0.32, rise + wag)], color, widths=[0.11, 0.08, 0.04], marks=ends,
                 fur=b.fur)


def _head(pen: Pen, dog: Dog) -> None:
    """Paint a head in profile, looking right, about the middle of its skull."""
    b, rng = dog.breed, dog.rng
    if b.ear in ("prick", "point"):
        _pricked(pen.moved(0.07, -0.02), dog, far=True)
    tip = b.skull * 0.75 + b.muzzle
    drop = b.skull * 0.28
    muzzle_color = {"saddle": _WHITE, "mask": dog.under, "points": dog.under, "blackface": (46.0, 40.0, 40.0),
                    "skirt": dog.coat}.get(b.pattern, light(dog.coat, 0.08))
    jaw = b.muzzle_depth
    if rng.random() < 0.35 and b.pattern != "skirt":
        pen.limb([(b.skull * 0.5, drop + jaw * 0.4), (tip - 0.08, drop + jaw * 0.75)], (206.0, 104.0, 108.0), widths=0.06)
    pen.disk(0.0, 0.0, b.skull, dog.coat, ry=b.skull * 0.92, volume=0.6, fur=b.fur, fray=b.fray * 0.7,
             marks=_face_marks(dog))
    if b.pattern == "woolly":
        pen.disk(-0.05, -b.skull * 0.75, b.skull * 0.95, dog.coat, ry=b.skull * 0.72, volume=0.6, fur=b.fur, curl=0.05)
    pen.limb([(b.skull * 0.35, drop * 0.8), (tip - jaw * 0.3, drop * 1.1)], muzzle_color,
             widths=[jaw * 1.45, jaw], fur=b.fur, fray=b.fray * 0.5, marks=_spots(dog, x=b.skull, y=0.05, spread=0.12, count=4))
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


def _face_marks(dog: Dog) -> list[Mark]:
    b = dog.breed
    if b.pattern == "mask":
        return [(smooth([(0.0, b.skull * 0.25), (b.skull * 0.3, -b.skull * 0.35), (b.skull * 1.1, -b.skull * 0.4),
                         (b.skull, b.skull * 1.1), (-b.skull * 0.3, b.skull)]), dog.under)]
    if b.pattern == "saddle":
        return [(smooth([(b.skull * 0.65, -b.skull * 0.9), (b.skull * 1.1, -b.skull * 0.7), (b.skull * 1.1, b.skull),
                         (b.skull * 0.5, b.skull * 0.5), (b.skull * 0.75, 0.0)]), _WHITE)]
    if b.pattern == "blackface":
        return [(oval(b.skull * 0.85, b.skull * 0.1, b.skull * 0.62, ry=b.skull * 0.7), (60.0, 50.0, 48.0))]
    if b.pattern == "points":
        return [(oval(b.skull * 0.55, b.skull * 0.5, b.skull * 0.45), dog.under)]
    return _spots(dog, x=0.0, y=0.0, spread=b.skull, count=9)


def _ear(pen: Pen, dog: Dog) -> None:
    b, rng = dog.breed, dog.rng
    if b.ear in ("prick", "point"):
        _pricked(pen, dog, far=False)
        return
    colors = {"spots": (52.0, 44.0, 44.0), "blackface": (50.0, 42.0, 42.0), "saddle": dark(dog.coat, 0.12)}
    color = colors.get(b.pattern, dark(dog.coat, 0.16))
    x, y, sway = -b.skull * 0.25, -b.skull * 0.35, rng.uniform(-0.04, 0.04)
    if b.ear == "button":
        pen.blob([(x - 0.05, y - 0.06), (x + 0.1, y - 0.06), (x + 0.1, y + 0.12), (x + 0.02, y + 0.06)], color, volume=0.4)
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


def _portrait(pen: Pen, dog: Dog) -> None:
    """Paint the head and shoulders from the front."""
    b = dog.breed
    wide = 0.44 if b.ear != "button" else 0.5
    woolly = 0.07 if b.pattern == "woolly" else 0.0
    chest_marks: list[Mark] = [(oval(0.0, 0.75, 0.26, ry=0.5), dog.under)] if b.pattern in ("saddle", "mask", "points", "feather") else []
    chest_marks += _spots(dog, x=0.0, y=0.75, spread=0.5, count=20)
    pen.blob([(-0.34, 0.2), (0.34, 0.2), (0.62, 0.7), (0.66, 1.35), (-0.66, 1.35), (-0.62, 0.7)], dog.coat, volume=0.5,
             fur=b.fur, fray=b.fray * 1.5, curl=woolly, marks=chest_marks)
    pen = pen.moved(0.0, -0.14, angle=dog.rng.uniform(-12, 12))
    narrow = 0.82 if b.muzzle > 0.26 else 1.0
    if b.ear in ("prick", "point"):
        _front_ears(pen, dog, wide=wide * narrow)
    face = [(-wide * 0.62 * narrow, -0.42), (wide * 0.62 * narrow, -0.42), (wide * narrow, -0.08), (wide * 0.72 * narrow, 0.26),
            (wide * 0.4, 0.48), (-wide * 0.4, 0.48), (-wide * 0.72 * narrow, 0.26), (-wide * narrow, -0.08)]
    pen.blob(face, dog.coat, volume=0.5, fur=b.fur, fray=b.fray, marks=_front_marks(dog, wide=wide))
    if b.pattern == "woolly":
        pen.disk(0.0, -0.48, 0.34, dog.coat, ry=0.27, volume=0.5, fur=b.fur, curl=0.07)
    if b.ear not in ("prick", "point"):
        _front_ears(pen, dog, wide=wide * narrow)
    _front_face(pen, dog)


def _front_marks(dog: Dog, *, wide: float) -> list[Mark]:
    b = dog.breed
    blaze = smooth([(-0.05, -0.5), (0.05, -0.5), (0.09, -0.1), (0.28, 0.2), (0.2, 0.6), (-0.2, 0.6), (-0.28, 0.2), (-0.09, -0.1)])
    if b.pattern == "saddle":
        return [(blaze, _WHITE)]
    if b.pattern == "mask":
        cheeks = smooth([(0.0, -0.12), (wide * 0.5, -0.3), (wide * 0.8, 0.05), (wide * 0.7, 0.7), (-wide * 0.7, 0.7),
                         (-wide * 0.8, 0.05), (-wide * 0.5, -0.3)])
        return [(cheeks, dog.under), (oval(0.0, -0.25, 0.06, ry=0.3), dog.coat)]
    if b.pattern == "blackface":
        return [(oval(0.0, 0.2, 0.34, ry=0.34), (52.0, 44.0, 44.0)), (oval(-0.22, -0.06, 0.15), (74.0, 60.0, 54.0)),
                (oval(0.22, -0.06, 0.15), (74.0, 60.0, 54.0))]
    if b.pattern == "points":
        return [(oval(0.0, 0.3, 0.24, ry=0.26), dog.under), (oval(-0.17, -0.19, 0.05), dog.under), (oval(0.17, -0.19, 0.05), dog.under)]
    return _spots(dog, x=0.0, y=-0.1, spread=0.4, count=16)


def _front_face(pen: Pen, dog: Dog) -> None:
    b, rng = dog.breed, dog.rng
    muzzle = {"saddle": _WHITE, "mask": dog.under, "points": dog.under, "blackface": (50.0, 42.0, 42.0)}.get(
        b.pattern, light(dog.coat, 0.1))
    iris = (110.0, 168.0, 214.0) if b.pattern == "mask" else (66.0, 38.0, 20.0)
    size = 0.085 if b.ear == "button" else 0.062
    for side in (-1, 1):
        pen.eye(side * 0.19, -0.06, size, iris=iris, white=dark(dog.coat, 0.45))
    if rng.random() < 0.4 and b.pattern != "skirt":
        pen.limb([(0.0, 0.36), (0.02, 0.6)], (214.0, 110.0, 116.0), widths=[0.13, 0.13], volume=0.4)
    for side in (-1, 1):
        pen.disk(side * 0.1, 0.31, 0.15, muzzle, ry=0.14, volume=0.45, fur=b.fur, fray=b.fray * 0.6,
                 marks=_spots(dog, x=side * 0.1, y=0.3, spread=0.12, count=3))
    if b.pattern == "skirt":
        pen.blob([(-0.26, 0.2), (0.26, 0.2), (0.3, 0.6), (0.1, 0.82), (-0.1, 0.82), (-0.3, 0.6)], dark(dog.coat, 0.1),
                 volume=0.3, fur=1.0, fray=0.07)
        for side in (-1, 1):
            pen.limb([(side * 0.08, -0.12), (side * 0.3, -0.2)], light(dog.coat, 0.16), widths=[0.14, 0.06], fur=1, fray=0.04)
    pen.disk(0.0, 0.2, 0.1, (24.0, 20.0, 22.0), ry=0.075, volume=0.6)
    pen.limb([(0.0, 0.26), (0.0, 0.36)], (24.0, 20.0, 22.0), widths=0.018, volume=0)
    for side in (-1, 1):
        pen.limb([(0.0, 0.36), (side * 0.07, 0.4), (side * 0.15, 0.36)], dark(muzzle, 0.6), widths=0.018, volume=0)
    if b.pattern == "blackface":
        for y in (-0.25, -0.32):
            pen.limb([(-0.16, y), (0.0, y + 0.05), (0.16, y)], dark(dog.coat, 0.35), widths=0.02, volume=0)


def _front_ears(pen: Pen, dog: Dog, *, wide: float) -> None:
    b = dog.breed
    dyes = {"spots": (52.0, 44.0, 44.0), "blackface": (50.0, 42.0, 42.0), "saddle": dark(dog.coat, 0.12)}
    color = dyes.get(b.pattern, dark(dog.coat, 0.16))
    for side in (-1.0, 1.0):
        ear = pen.moved(side * wide * 0.82, -0.3, flip=side < 0)
        if b.ear in ("prick", "point"):
            outer = np.array([(-0.26, 0.02), (0.08, -0.5), (0.1, 0.2)])
            ear.shape(outer, dog.coat, volume=0.3, fur=b.fur, fray=b.fray * 0.4)
            ear.shape(outer * 0.6 + (-0.01, -0.03), mix(dog.coat, (216.0, 164.0, 154.0), 0.5), volume=0.2)
        elif b.ear == "button":
            ear.blob([(-0.14, -0.08), (0.1, 0.0), (0.16, 0.22), (0.02, 0.16)], color, volume=0.4)
        else:
            long = {"flop": 0.62, "wool": 0.6, "fold": 0.44}[b.ear]
            ear.limb([(-0.04, 0.0), (0.1, long * 0.4), (0.05, long)], color, widths=[0.14, 0.28, 0.2], volume=0.5,
                     fur=b.fur, fray=b.fray, curl=0.06 if b.ear == "wool" else 0.0)


PAINTERS = {name: partial(paint, name=name) for name in BREEDS}
