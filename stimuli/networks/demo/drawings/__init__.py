"""Pictures of the 40 demo categories, drawn anew from every generator that is handed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from stimuli.categories import class_of
from stimuli.networks.demo.drawings import aquatic, birds, cars, dogs, fruits
from stimuli.networks.demo.drawings.canvas import Canvas, Pen
from stimuli.networks.demo.drawings.scenes import before, behind, photograph

DRAWINGS_VERSION = "b710239bcfb7316a"
"""Changes whenever a drawing changes: what was made from other drawings is another set."""

Painter = Callable[[Pen, np.random.Generator], None]
"""Paints one thing, about as large as -1..1, on the pen's canvas."""

_PAINTERS: Mapping[str, Painter] = {**dogs.PAINTERS, **birds.PAINTERS, **cars.PAINTERS, **fruits.PAINTERS,
                                    **aquatic.PAINTERS}
_TURN = {"dogs": 5.0, "birds": 5.0, "cars": 3.0, "fruits": 14.0, "aquatic": 16.0}


def draw(category: str, *, rng: np.random.Generator, size_px: int = 227) -> NDArray[np.uint8]:
    """Draw one category in a pose, size, colour and place of chance.

    Parameters
    ----------
    category : str
        One of :func:`stimuli.categories.demo_categories`.
    rng : numpy.random.Generator
        Decides everything else: the same state gives the same pixels.
    size_px : int
        Side of the drawing.

    Returns
    -------
    ndarray
        uint8 (size_px, size_px, 3), RGB.

    Raises
    ------
    StimulusError
        If the category is unknown.

    Examples
    --------
    >>> draw("beagle", rng=np.random.default_rng(0)).shape
    (227, 227, 3)
    """
    class_name = class_of(category)
    canvas = Canvas(size_px, rng, sun=_sun(rng))
    pen = canvas.pen(x=rng.normal(0.0, 0.11), y=rng.normal(0.0, 0.1), scale=rng.uniform(0.6, 0.95),
                     angle=rng.normal(0.0, _TURN[class_name]), flip=bool(rng.random() < 0.5))
    _PAINTERS[category](pen, rng)
    before(canvas.pen(), class_name=class_name, rng=rng)
    background = behind(category, class_name=class_name, rng=rng, size_px=size_px)
    return photograph(canvas, background, rng=rng)


def _sun(rng: np.random.Generator) -> tuple[float, float]:
    height, side = rng.uniform(-0.85, -0.45), rng.choice((-1.0, 1.0))
    return float(side * np.sqrt(1.0 - height**2)), float(height)


def drawings_digest() -> str:
    """Name the version of the drawings, so that weights and sets can say which drawings they know."""
    return DRAWINGS_VERSION
