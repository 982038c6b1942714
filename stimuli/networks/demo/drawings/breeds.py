"""Eight breeds of dog as numbers: proportions, coats, and the patches on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stimuli.networks.demo.drawings.canvas import Mark
from stimuli.networks.demo.drawings.shapes import Color, light, mix, oval, smooth, vary


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


BLACK, WHITE, _TAN = (38.0, 34.0, 34.0), (236.0, 230.0, 220.0), (186.0, 120.0, 62.0)

BREEDS: Mapping[str, Breed] = {
    "beagle": Breed(0.60, 0.30, 0.40, 0.13, 0.26, 0.215, 0.24, 0.17, "flop", "sickle", (_TAN,), "saddle"),
    "dalmatian": Breed(0.60, 0.27, 0.54, 0.11, 0.36, 0.19, 0.27, 0.15, "flop", "whip", (WHITE,), "spots", 0.1),
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
        shades = {"saddle": WHITE, "mask": (232.0, 230.0, 226.0), "points": mix(self.coat, _TAN, 0.55),
                  "feather": light(self.coat, 0.18)}
        return shades.get(self.breed.pattern, self.coat)


def body_marks(dog: Dog) -> list[Mark]:
    """Lay out the patches on the trunk in profile."""
    b, rng = dog.breed, dog.rng
    half, depth = b.length, b.depth
    if b.pattern == "saddle":
        saddle = smooth([(-half * 1.1, -depth), (half * 0.75, -depth * 1.3), (half * rng.uniform(0.4, 0.6), 0.0),
                         (0.0, depth * rng.uniform(0.1, 0.4)), (-half * 0.8, depth * 0.2)])
        belly = smooth([(half * 1.2, -depth * 0.3), (half * 0.6, depth * 0.35), (-half * 0.9, depth * 0.5),
                        (-half, depth * 1.4), (half * 1.2, depth * 1.4)])
        return [(belly, WHITE), (saddle, vary((44.0, 36.0, 34.0), rng=rng))]
    if b.pattern == "mask":
        belly = smooth([(half * 1.2, -depth * 0.1), (half * 0.5, depth * 0.4), (-half * 0.6, depth * 0.2),
                        (-half * 1.1, depth * 0.2), (-half, depth * 1.5), (half * 1.2, depth * 1.5)])
        return [(belly, dog.under)]
    if b.pattern == "points":
        return [(oval(half * 0.98, depth * 0.45, depth * 0.5, ry=depth * 0.4), dog.under)]
    return spots(dog, x=0.0, y=0.0, spread=half, count=34)


def spots(dog: Dog, *, x: float, y: float, spread: float, count: int) -> list[Mark]:
    """Scatter spots around (x, y), on a spotted breed only."""
    if dog.breed.pattern != "spots":
        return []
    rng, ink = dog.rng, vary((34.0, 30.0, 32.0), rng=dog.rng, amount=6)
    places = rng.uniform(-1, 1, (count, 2)) * (spread, min(spread, 0.34)) + (x, y)
    return [(oval(px, py, rng.uniform(0.018, 0.05), ry=rng.uniform(0.02, 0.045)), ink) for px, py in places]


def face_marks(dog: Dog) -> list[Mark]:
    """Lay out the patches on the head in profile."""
    b = dog.breed
    if b.pattern == "mask":
        return [(smooth([(0.0, b.skull * 0.25), (b.skull * 0.3, -b.skull * 0.35), (b.skull * 1.1, -b.skull * 0.4),
                         (b.skull, b.skull * 1.1), (-b.skull * 0.3, b.skull)]), dog.under)]
    if b.pattern == "saddle":
        return [(smooth([(b.skull * 0.65, -b.skull * 0.9), (b.skull * 1.1, -b.skull * 0.7), (b.skull * 1.1, b.skull),
                         (b.skull * 0.5, b.skull * 0.5), (b.skull * 0.75, 0.0)]), WHITE)]
    if b.pattern == "blackface":
        return [(oval(b.skull * 0.85, b.skull * 0.1, b.skull * 0.62, ry=b.skull * 0.7), (60.0, 50.0, 48.0))]
    if b.pattern == "points":
        return [(oval(b.skull * 0.55, b.skull * 0.5, b.skull * 0.45), dog.under)]
    return spots(dog, x=0.0, y=0.0, spread=b.skull, count=9)


def front_marks(dog: Dog, *, wide: float) -> list[Mark]:
    """Lay out the patches on a face of half-width `wide` seen from the front."""
    b = dog.breed
    blaze = smooth([(-0.05, -0.5), (0.05, -0.5), (0.09, -0.1), (0.28, 0.2), (0.2, 0.6), (-0.2, 0.6), (-0.28, 0.2),
                    (-0.09, -0.1)])
    if b.pattern == "saddle":
        return [(blaze, WHITE)]
    if b.pattern == "mask":
        cheeks = smooth([(0.0, -0.12), (wide * 0.5, -0.3), (wide * 0.8, 0.05), (wide * 0.7, 0.7), (-wide * 0.7, 0.7),
                         (-wide * 0.8, 0.05), (-wide * 0.5, -0.3)])
        return [(cheeks, dog.under), (oval(0.0, -0.25, 0.06, ry=0.3), dog.coat)]
    if b.pattern == "blackface":
        return [(oval(0.0, 0.2, 0.34, ry=0.34), (52.0, 44.0, 44.0)), (oval(-0.22, -0.06, 0.15), (74.0, 60.0, 54.0)),
                (oval(0.22, -0.06, 0.15), (74.0, 60.0, 54.0))]
    if b.pattern == "points":
        return [(oval(0.0, 0.3, 0.24, ry=0.26), dog.under), (oval(-0.17, -0.19, 0.05), dog.under),
                (oval(0.17, -0.19, 0.05), dog.under)]
    return spots(dog, x=0.0, y=-0.1, spread=0.4, count=16)
