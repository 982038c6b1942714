"""An image that is being uncovered: keys and mouse to disks, disks to an importance map, and the screen of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from paradigms.devices.protocols import Pixels
from paradigms.texts.pictures import Page
from paradigms.texts.wording import Wording

RADIUS_SHARE = 0.07
"""Radius of a disk as a share of the image's side."""

STEP_SHARE, APART_SHARE = 0.6, 0.5
"""How far an arrow key moves the cursor, and how far apart disks lie under a mouse that is drawn, in radii."""

SHADE = 0.3
"""Contrast of what is not uncovered yet."""

_WAYS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
Point = tuple[float, float]


@dataclass(frozen=True)
class Canvas:
    """How far an image is uncovered; every key and touch makes another one.

    Parameters
    ----------
    side : int
        Of the image, px.
    at : (float, float)
        The cursor: px from the left and from the top.
    disks : tuple of (float, float)
        Centres of what was uncovered, in their order.
    done : bool
        Whether the participant has finished the image.
    """

    side: int
    at: Point
    disks: tuple[Point, ...] = ()
    done: bool = False

    @property
    def radius(self) -> float:
        """Radius of a disk, px."""
        return RADIUS_SHARE * self.side

    def take(self, key: str) -> Canvas:
        """Give what a key makes of it: arrows move, space uncovers, Backspace takes the last disk back, Enter ends.

        Enter counts only when something was uncovered.
        """
        if key in _WAYS:
            x, y = (at + STEP_SHARE * self.radius * way for at, way in zip(self.at, _WAYS[key], strict=True))
            return replace(self, at=(self._inside(x), self._inside(y)))
        if key == "space":
            return replace(self, disks=(*self.disks, self.at))
        if key == "backspace":
            return replace(self, disks=self.disks[:-1])
        return replace(self, done=True) if key == "return" and self.disks else self

    def touch(self, point: Point) -> Canvas:
        """Uncover where the mouse is held down, in the image, unless the last disk is there already."""
        if not all(0.0 <= one < self.side for one in point):
            return self
        last = self.disks[-1] if self.disks else (-np.inf, -np.inf)
        if np.hypot(point[0] - last[0], point[1] - last[1]) < APART_SHARE * self.radius:
            return self
        return replace(self, at=point, disks=(*self.disks, point))

    def _inside(self, value: float) -> float:
        return float(min(max(value, 0.0), self.side - 1.0))


def importance(disks: tuple[Point, ...], *, side: int) -> NDArray[np.float32]:
    """Give the importance map of what was uncovered, (side, side).

    Every disk adds a bell with a standard deviation of half its radius: what is uncovered again counts again, and the
    middle of a disk more than its rim.
    """
    total, pixel = np.zeros((side, side)), np.arange(side, dtype=np.float64)
    spread = RADIUS_SHARE * side / 2.0
    for x, y in disks:
        bell = [np.exp(-np.square(pixel - at) / (2.0 * spread**2)) for at in (x, y)]
        total += bell[1][:, None] * bell[0][None, :]
    return total.astype(np.float32)


def uncovered(disks: tuple[Point, ...], *, side: int) -> NDArray[np.bool_]:
    """Say which pixels are uncovered, (side, side)."""
    seen, pixel = np.zeros((side, side), dtype=bool), np.arange(side, dtype=np.float64)
    for x, y in disks:
        seen |= np.square(pixel - y)[:, None] + np.square(pixel - x)[None, :] <= (RADIUS_SHARE * side) ** 2
    return seen


@dataclass(frozen=True)
class Views:
    """Where on the screen the image and what is uncovered of it are: corner of the one, of the other, and their side.

    Parameters
    ----------
    image, revealed : (int, int)
        Upper left corners, px from the left and the top.
    side : int
        Of both, px.
    """

    image: tuple[int, int]
    revealed: tuple[int, int]
    side: int

    @classmethod
    def on(cls, size_px: tuple[int, int]) -> Views:
        """Lay both out on a screen, side by side."""
        width, height = size_px
        side = round(min(0.44 * width, 0.7 * height))
        gap, top = (width - 2 * side) // 3, round(0.53 * height - side / 2.0)
        return cls((gap, top), (2 * gap + side, top), side)

    def point(self, pointer: Point, *, side: int) -> Point:
        """Give a place on the screen as one in the image (which it may lie outside of)."""
        x, y = ((at - corner) * side / self.side for at, corner in zip(pointer, self.image, strict=True))
        return x, y


def draw_canvas(canvas: Canvas, *, image: Pixels, name: str, page: Page, wording: Wording,
                place: tuple[int, int]) -> Pixels:
    """Draw the screen: the image with its uncovered parts at full contrast, and beside it what is uncovered alone.

    Parameters
    ----------
    canvas : Canvas
        How far it is.
    image : uint8 array, (side, side, 3)
        The image.
    name : str
        What it shows.
    page : Page
        Size, background, font.
    wording : Wording
        Texts.
    place : (int, int)
        Which image of how many.
    """
    views, seen = Views.on(page.size_px), uncovered(canvas.disks, side=canvas.side)[..., None]
    sheet = Image.new("RGB", page.size_px, (page.background,) * 3)
    shaded = page.background + SHADE * (image.astype(np.float64) - page.background)
    parts = {views.image: np.where(seen, image, shaded), views.revealed: np.where(seen, image, page.background)}
    for corner, part in parts.items():
        shown = Image.fromarray(np.rint(part).astype(np.uint8))
        sheet.paste(shown.resize((views.side, views.side), Image.Resampling.BILINEAR), corner)
    pen = ImageDraw.Draw(sheet)
    for x, y in (views.image, views.revealed):
        pen.rectangle((x - 1, y - 1, x + views.side, y + views.side), outline=(page.ink,) * 3)
    _draw_cursor(pen, canvas, views)
    width, height = page.size_px
    for text, share, scale in ((wording.say("clickme", "question", what=name), 0.08, 1.2),
                               (wording.say("clickme", "hint"), 0.94, 0.55),
                               (wording.say("clickme", "progress", k=place[0], n=place[1]), 0.025, 0.55)):
        font = page.font.at(max(5, round(page.line_px * scale)))
        pen.text((width / 2.0, share * height), text, font=font, anchor="mm", fill=(page.ink,) * 3)
    return np.asarray(sheet, dtype=np.uint8).copy()


def _draw_cursor(pen: ImageDraw.ImageDraw, canvas: Canvas, views: Views) -> None:
    """Draw the ring of the next disk, white in black, so that it is seen on everything."""
    scale = views.side / canvas.side
    x, y = (corner + (at + 0.5) * scale for corner, at in zip(views.image, canvas.at, strict=True))
    radius = canvas.radius * scale
    for grow, color in ((1.5, (0, 0, 0)), (0.0, (255, 255, 255))):
        size = radius + grow
        pen.ellipse((x - size, y - size, x + size, y + size), outline=color, width=2)
