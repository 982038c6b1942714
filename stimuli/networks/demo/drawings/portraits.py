"""A dog's head and shoulders from the front."""

from __future__ import annotations

import numpy as np

from stimuli.networks.demo.drawings.breeds import WHITE, Dog, front_marks, spots
from stimuli.networks.demo.drawings.canvas import Mark, Pen
from stimuli.networks.demo.drawings.shapes import dark, light, mix, oval


def paint_portrait(pen: Pen, dog: Dog) -> None:
    """Paint the head and shoulders from the front."""
    b = dog.breed
    wide = 0.44 if b.ear != "button" else 0.5
    woolly = 0.07 if b.pattern == "woolly" else 0.0
    chest_marks: list[Mark] = [(oval(0.0, 0.75, 0.26, ry=0.5), dog.under)] if b.pattern in ("saddle", "mask", "points",
                                                                                            "feather") else []
    chest_marks += spots(dog, x=0.0, y=0.75, spread=0.5, count=20)
    pen.blob([(-0.34, 0.2), (0.34, 0.2), (0.62, 0.7), (0.66, 1.35), (-0.66, 1.35), (-0.62, 0.7)], dog.coat, volume=0.5,
             fur=b.fur, fray=b.fray, curl=woolly, marks=chest_marks)
    for share in (1.0, 0.85, 0.7):
        pen.disk(0.0, 0.36, 0.44 * share, dark(dog.coat, 0.75), ry=0.3 * share, alpha=0.18)
    pen = pen.moved(0.0, -0.14, angle=dog.rng.uniform(-12, 12))
    narrow = 0.82 if b.muzzle > 0.26 else 1.0
    if b.ear in ("prick", "point"):
        _front_ears(pen, dog, wide=wide * narrow)
    face = [(-wide * 0.62 * narrow, -0.42), (wide * 0.62 * narrow, -0.42), (wide * narrow, -0.08),
            (wide * 0.72 * narrow, 0.26),
            (wide * 0.4, 0.48), (-wide * 0.4, 0.48), (-wide * 0.72 * narrow, 0.26), (-wide * narrow, -0.08)]
    pen.blob(face, dog.coat, volume=0.5, fur=b.fur, fray=b.fray, marks=front_marks(dog, wide=wide))
    if b.pattern == "woolly":
        pen.disk(0.0, -0.48, 0.34, dog.coat, ry=0.27, volume=0.5, fur=b.fur, curl=0.07)
    if b.ear not in ("prick", "point"):
        _front_ears(pen, dog, wide=wide * narrow)
    _front_face(pen, dog)


def _front_face(pen: Pen, dog: Dog) -> None:
    b, rng = dog.breed, dog.rng
    muzzle = {"saddle": WHITE, "mask": dog.under, "points": dog.under, "blackface": (50.0, 42.0, 42.0)}.get(
        b.pattern, light(dog.coat, 0.1))
    iris = (110.0, 168.0, 214.0) if b.pattern == "mask" else (66.0, 38.0, 20.0)
    size = 0.085 if b.ear == "button" else 0.062
    for side in (-1, 1):
        pen.eye(side * 0.19, -0.06, size, iris=iris, white=dark(dog.coat, 0.45))
    if rng.random() < 0.4 and b.pattern != "skirt":
        pen.limb([(0.0, 0.36), (0.02, 0.6)], (214.0, 110.0, 116.0), widths=[0.13, 0.13], volume=0.4)
    for side in (-1, 1):
        pen.disk(side * 0.1, 0.31, 0.15, muzzle, ry=0.14, volume=0.45, fur=b.fur, fray=b.fray * 0.6,
                 marks=spots(dog, x=side * 0.1, y=0.3, spread=0.12, count=3))
    if b.pattern == "skirt":
        pen.blob([(-0.26, 0.2), (0.26, 0.2), (0.3, 0.6), (0.1, 0.82), (-0.1, 0.82), (-0.3, 0.6)], dark(dog.coat, 0.1),
                 volume=0.3, fur=1.0, fray=0.07)
        for side in (-1, 1):
            pen.limb([(side * 0.08, -0.12), (side * 0.3, -0.2)], light(dog.coat, 0.16), widths=[0.14, 0.06], fur=1,
                     fray=0.04)
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
