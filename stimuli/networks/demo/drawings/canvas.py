"""A canvas at twice the size, and pens that paint shaded shapes on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

from stimuli.networks.demo.drawings.shapes import Color, Points, oval, ragged, resample, rotation, smooth, tube

SUPERSAMPLING = 2
_COARSE = 4
Mark = tuple[Points, Color]
"""A patch painted on a shape and cut off at its edge: outline in the shape's coordinates, colour."""


@dataclass
class Canvas:
    """Layers of one drawing: the things, how rough each is, and the shadows they cast.

    Parameters
    ----------
    size_px : int
        Side of the finished drawing.
    rng : numpy.random.Generator
        Decides frayed outlines.
    sun : tuple of float
        Direction to the light, x to the right and y down, of length 1.
    """

    size_px: int
    rng: np.random.Generator
    sun: tuple[float, float] = (-0.5, -0.87)
    things: Image.Image = field(init=False)
    rough: Image.Image = field(init=False)
    shade: Image.Image = field(init=False)

    def __post_init__(self) -> None:
        side = self.size_px * SUPERSAMPLING
        self.things = Image.new("RGBA", (side, side))
        self.rough = Image.new("L", (side, side))
        self.shade = Image.new("L", (self.size_px // 2, self.size_px // 2))

    def pen(self, *, x: float = 0.0, y: float = 0.0, scale: float = 1.0, angle: float = 0.0,
            flip: bool = False) -> Pen:
        """Give a pen whose unit is half the canvas times `scale` and whose origin is its middle."""
        half = self.size_px * SUPERSAMPLING / 2
        whole = Pen(self, matrix=np.eye(2) * half, origin=np.array([half, half]))
        return whole.moved(x, y, angle=angle, scale=scale, flip=flip)


@dataclass(frozen=True)
class Pen:
    """Paints in its own coordinates: x to the right, y down, placed by an affine map."""

    canvas: Canvas
    matrix: Points
    origin: Points

    def moved(self, x: float, y: float, *, angle: float = 0.0, scale: float = 1.0, flip: bool = False,
              stretch: float = 1.0) -> Pen:
        """Give a pen whose origin lies at (x, y) of this one, turned, scaled and mirrored."""
        turn = rotation(angle) @ np.diag([-scale * stretch if flip else scale * stretch, scale])
        return Pen(self.canvas, matrix=self.matrix @ turn, origin=self.matrix @ (x, y) + self.origin)

    def shape(self, outline: Points, color: Color, *, volume: float = 0.0, fur: float = 0.0,
              fray: float = 0.0, curl: float = 0.0, marks: Sequence[Mark] = (), alpha: float = 1.0,
              thickness: float | None = None) -> None:
        """Paint an outline.

        Parameters
        ----------
        outline : ndarray
            (n, 2) corners.
        color : tuple of float
            RGB in 0..255.
        volume : float
            How round it looks: 0 is flat, 1 a ball in hard light.
        fur : float
            How coarse its surface is, 0..1.
        fray, curl : float
            Depth of tufts, or radius of curls, along its edge.
        marks : sequence of (outline, colour)
            Patches on it.
        alpha : float
            Opacity.
        thickness : float, optional
            Over what distance it rounds off. Default: the smaller side of its bounding box.
        """
        if fray:
            outline = ragged(outline, amount=fray, rng=self.canvas.rng)
        corners = self._place(outline)
        swell = curl * self._unit
        frame = _frame(corners, self.canvas.things.width, margin=swell)
        if frame is None:
            return
        mask = Image.new("L", (frame[2] - frame[0], frame[3] - frame[1]))
        _fill(mask, corners - frame[:2], 255)
        if curl:
            _scallop(mask, self._place(resample(outline, step=curl * 1.3)) - frame[:2], radius=swell)
        paint = self._paint(mask, color, frame=frame, marks=marks, volume=volume,
                            thickness=self._thickness(corners, thickness))
        if fur or volume:
            self.canvas.rough.paste(int(255 * fur), frame, mask)
        if alpha < 1.0:
            mask = mask.point(lambda value: int(value * alpha))
        _over(self.canvas.things, paint, frame=frame, mask=mask)

    def blob(self, points: ArrayLike, color: Color, *, volume: float = 0.55, fur: float = 0.0,
             fray: float = 0.0, curl: float = 0.0, marks: Sequence[Mark] = (), alpha: float = 1.0,
             thickness: float | None = None) -> None:
        """Paint the smooth shape through control points; see :meth:`shape`."""
        self.shape(smooth(points), color, volume=volume, fur=fur, fray=fray, curl=curl, marks=marks,
                   alpha=alpha, thickness=thickness)

    def limb(self, points: ArrayLike, color: Color, *, widths: ArrayLike, volume: float = 0.5,
             fur: float = 0.0, fray: float = 0.0, curl: float = 0.0, marks: Sequence[Mark] = (),
             alpha: float = 1.0, sharp: bool = False) -> None:
        """Paint a limb along a smooth line; see :func:`stimuli.networks.demo.drawings.shapes.tube`."""
        self.shape(tube(points, widths, sharp=sharp), color, volume=volume, fur=fur, fray=fray, curl=curl,
                   marks=marks, alpha=alpha, thickness=1.4 * float(np.max(widths)))

    def disk(self, x: float, y: float, radius: float, color: Color, *, ry: float | None = None,
             angle: float = 0.0, volume: float = 0.0, fur: float = 0.0, curl: float = 0.0,
             fray: float = 0.0, marks: Sequence[Mark] = (), alpha: float = 1.0) -> None:
        """Paint a circle or an ellipse; see :meth:`shape`."""
        self.shape(oval(x, y, radius, ry=ry, angle=angle), color, volume=volume, fur=fur, curl=curl,
                   fray=fray, marks=marks, alpha=alpha)

    def eye(self, x: float, y: float, radius: float, *, iris: Color = (45.0, 28.0, 18.0),
            white: Color | None = None) -> None:
        """Paint an eye with its glint, and with a white or ring around it where one is given."""
        if white is not None:
            self.disk(x, y, radius * 1.5, white)
        self.disk(x, y, radius, iris)
        self.disk(x, y, radius * 0.55, (8.0, 8.0, 10.0))
        self.disk(x - radius * 0.3, y - radius * 0.35, radius * 0.32, (245.0, 245.0, 245.0))

    def shadow(self, x: float, y: float, rx: float, *, ry: float, depth: float = 0.55) -> None:
        """Darken the ground below a thing, softly."""
        ratio = self.canvas.shade.width / self.canvas.things.width
        corners = self._place(oval(x, y, rx, ry=ry)) * ratio
        _fill(self.canvas.shade, corners, int(255 * depth))

    def _place(self, points: ArrayLike) -> Points:
        return np.asarray(points, dtype=np.float64) @ self.matrix.T + self.origin

    def _thickness(self, corners: Points, thickness: float | None) -> float:
        if thickness is None:
            return float(np.min(np.ptp(corners, axis=0)))
        return thickness * self._unit

    @property
    def _unit(self) -> float:
        """How many pixels of the large canvas one unit is."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def _paint(self, mask: Image.Image, color: Color, *, frame: tuple[int, int, int, int],
               marks: Sequence[Mark], volume: float, thickness: float) -> Image.Image:
        flat = tuple(int(channel) for channel in color)
        if not marks and volume == 0.0:
            return Image.new("RGB", mask.size, flat)
        tone = self._tone(mask, volume=volume, thickness=thickness)
        if not marks:
            small = np.clip(tone[..., None] * np.asarray(color), 0, 255).astype(np.uint8)
            return Image.fromarray(small).resize(mask.size, Image.Resampling.BILINEAR)
        paint = Image.new("RGB", mask.size, flat)
        for outline, patch in marks:
            _fill(paint, self._place(outline) - frame[:2], tuple(int(channel) for channel in patch))
        full = Image.fromarray(tone).resize(mask.size, Image.Resampling.BILINEAR)
        lit = np.asarray(paint, dtype=np.float32) * np.asarray(full)[..., None]
        return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))

    def _tone(self, mask: Image.Image, *, volume: float, thickness: float) -> NDArray[np.float32]:
        """Light a pillow: height is the blurred mask, brightness the slope towards the sun."""
        radius = float(np.clip(0.22 * thickness / _COARSE, 1.0, 12.0))
        margin = int(np.ceil(radius)) + 1
        small = mask.reduce(_COARSE)
        padded = Image.new("L", (small.width + 2 * margin, small.height + 2 * margin))
        padded.paste(small, (margin, margin))
        soft = padded.filter(ImageFilter.BoxBlur(radius)).filter(ImageFilter.BoxBlur(radius / 2))
        height = np.asarray(soft, dtype=np.float32) / 255.0
        dx, dy = (round(radius * part) for part in self.canvas.sun)
        inward, outward = _shifted(height, -dx, -dy, margin), _shifted(height, dx, dy, margin)
        middle = _shifted(height, 0, 0, margin)
        return (1.0 + volume * (0.75 * (inward - outward) - 0.35 * (1.0 - middle))).astype(np.float32)


def _shifted(values: NDArray[np.float32], dx: int, dy: int, margin: int) -> NDArray[np.float32]:
    height, width = values.shape
    return values[margin + dy:height - margin + dy, margin + dx:width - margin + dx]


def _frame(corners: Points, side: int, *, margin: float) -> tuple[int, int, int, int] | None:
    low = np.floor(corners.min(axis=0) - margin).astype(int) - 1
    high = np.ceil(corners.max(axis=0) + margin).astype(int) + 2
    left, top = (int(value) for value in np.clip(low, 0, side))
    right, bottom = (int(value) for value in np.clip(high, 0, side))
    return (left, top, right, bottom) if right > left and bottom > top else None


def _fill(image: Image.Image, corners: Points, value: int | tuple[int, ...]) -> None:
    ImageDraw.Draw(image).polygon(corners.ravel().tolist(), fill=value)


def _scallop(mask: Image.Image, centres: Points, *, radius: float) -> None:
    pen = ImageDraw.Draw(mask)
    for x, y in centres.tolist():
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


def _over(below: Image.Image, paint: Image.Image, *, frame: tuple[int, int, int, int],
          mask: Image.Image) -> None:
    """Paint over what is there; a half-clear paint over nothing stays half clear."""
    paint.putalpha(mask)
    below.alpha_composite(paint, dest=frame[:2])
