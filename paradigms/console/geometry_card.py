"""The geometry card: a picture for the subject's screen on which size, orientation and grey levels can be verified.

A ruler in degrees of visual angle (measure it on the screen), letters that read the wrong way round in a mirror, the
square that images fill, circles for the field of view, and sixteen grey levels of which all steps should be seen.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from paradigms.devices.protocols import Pixels
from subjects.errors import DeviceError
from subjects.settings.display import DisplaySettings
from subjects.settings.study import Settings
from subjects.store import whole_file

WHITE, BLACK, RED, YELLOW = (255, 255, 255), (0, 0, 0), (220, 40, 40), (240, 200, 60)
N_GREYS = 16


def eccentricity_px(display: DisplaySettings, deg: float) -> float:
    """Give the distance from the centre, in pixels, of a point `deg` degrees from fixation.

    ``distance * tan(deg)`` in centimetres; half the extent of a centred stimulus of twice the angle.

    Examples
    --------
    >>> round(eccentricity_px(DisplaySettings(), 6.0), 1)
    380.9
    """
    return display.px_for(2.0 * deg) / 2.0


def draw_card(display: DisplaySettings, *, image_deg: float = 12.0) -> Pixels:
    """Draw the card.

    Parameters
    ----------
    display : DisplaySettings
        Size, distance and resolution of the screen.
    image_deg : float
        Side of the study's images in degrees.

    Returns
    -------
    uint8 array, (height_px, width_px, 3)
        RGB, row 0 at the top.

    Raises
    ------
    DeviceError
        If the images do not fit on the screen.
    """
    side = display.px_for(image_deg)
    if side > min(display.width_px, display.height_px):
        raise DeviceError("geometry card", came=f"images of {side:.0f} px on {display.width_px}x{display.height_px}",
                          expected="images that fit on the screen",
                          remedy="Correct the display settings, or show smaller images.")
    canvas = Image.new("RGB", (display.width_px, display.height_px), (display.background,) * 3)
    pen = ImageDraw.Draw(canvas)
    _circles(pen, display)
    _rulers(pen, display)
    _square(pen, display, side=side, image_deg=image_deg)
    _letters(pen, display)
    _greys(pen, display)
    _corners(pen, display)
    return np.asarray(canvas, dtype=np.uint8).copy()


def write_card(path: Path, settings: Settings) -> Path:
    """Draw a study's card into a new PNG file."""
    with whole_file(path) as beside:
        card = draw_card(settings.display, image_deg=settings.main.image_deg)
        Image.fromarray(card).save(beside, format="PNG")
    return path


def _centre(display: DisplaySettings) -> tuple[float, float]:
    return display.width_px / 2.0, display.height_px / 2.0


def _font(display: DisplaySettings, *, share: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(10, round(share * display.height_px)))


def _reach(display: DisplaySettings, half_px: float) -> int:
    """Give the largest whole eccentricity whose place is on the screen, in degrees."""
    found = 0
    while eccentricity_px(display, found + 1.0) < half_px:
        found += 1
    return found


def _circles(pen: ImageDraw.ImageDraw, display: DisplaySettings) -> None:
    x, y = _centre(display)
    for deg in range(1, _reach(display, max(x, y)) + 1):
        radius = eccentricity_px(display, float(deg))
        level = display.background + (38 if deg % 5 else 70)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=(level,) * 3, width=1 if deg % 5 else 2)


def _rulers(pen: ImageDraw.ImageDraw, display: DisplaySettings) -> None:
    x, y = _centre(display)
    font = _font(display, share=0.018)
    pen.line((0, y, display.width_px, y), fill=BLACK, width=2)
    pen.line((x, 0, x, display.height_px), fill=BLACK, width=2)
    for half, across in ((x, True), (y, False)):
        for deg in range(-_reach(display, half), _reach(display, half) + 1):
            at = math.copysign(eccentricity_px(display, abs(float(deg))), deg)
            tick = 14 if deg % 5 == 0 else 8
            ends = (x + at, y - tick, x + at, y + tick) if across else (x - tick, y - at, x + tick, y - at)
            pen.line(ends, fill=BLACK, width=2)
            if deg and (deg % 2 == 0 or deg % 5 == 0):
                place = (x + at, y + 18) if across else (x + 20, y - at)
                pen.text(place, f"{deg}", fill=BLACK, font=font, anchor="ma" if across else "lm")
    pen.ellipse((x - 6, y - 6, x + 6, y + 6), fill=RED)


def _square(pen: ImageDraw.ImageDraw, display: DisplaySettings, *, side: float, image_deg: float) -> None:
    x, y = _centre(display)
    half = side / 2.0
    pen.rectangle((x - half, y - half, x + half, y + half), outline=YELLOW, width=3)
    pen.text((x - half + 10, y - half + 8), f"images: {image_deg:g} deg, {side:.0f} px, "
             f"{side * display.width_cm / display.width_px:.1f} cm", fill=YELLOW, font=_font(display, share=0.02))


def _letters(pen: ImageDraw.ImageDraw, display: DisplaySettings) -> None:
    """Write words that tell a mirrored or turned picture."""
    width, height = display.width_px, display.height_px
    font = _font(display, share=0.06)
    for place, word, anchor in (((0.14, 0.27), "LEFT", "mm"), ((0.86, 0.27), "RIGHT", "mm"),
                                ((0.5, 0.06), "UP", "rm"), ((0.5, 0.955), "DOWN", "rm")):
        shift = -28 if anchor == "rm" else 0
        pen.text((place[0] * width + shift, place[1] * height), word, fill=WHITE, font=font, anchor=anchor)


def _greys(pen: ImageDraw.ImageDraw, display: DisplaySettings) -> None:
    width, height = display.width_px, display.height_px
    box, top = 0.022 * width, 0.80 * height
    levels = np.round(np.linspace(0, 255, N_GREYS)).astype(int)
    for k, level in enumerate(levels):
        column, row = k % 8, k // 8
        left = 0.05 * width + column * box
        pen.rectangle((left, top + row * box, left + box - 1, top + (row + 1) * box - 1), fill=(int(level),) * 3)
    pen.text((0.05 * width, top - 8), f"{N_GREYS} grey levels: every step is seen", fill=WHITE,
             font=_font(display, share=0.02), anchor="ld")
    pen.text((0.95 * width, 0.86 * height), f"{width} x {height} px at {display.refresh_hz:g} Hz\n"
             f"{display.width_cm:g} x {display.height_cm:g} cm from {display.distance_cm:g} cm",
             fill=WHITE, font=_font(display, share=0.02), anchor="rs", align="right")


def _corners(pen: ImageDraw.ImageDraw, display: DisplaySettings) -> None:
    """Mark the outermost pixels: where a mark is cut off, the projector scales or crops."""
    width, height = display.width_px - 1, display.height_px - 1
    pen.rectangle((0, 0, width, height), outline=RED, width=1)
    for x, y in ((0, 0), (width, 0), (0, height), (width, height)):
        dx, dy = (60 if x == 0 else -60), (60 if y == 0 else -60)
        pen.line((x, y, x + dx, y), fill=RED, width=5)
        pen.line((x, y, x, y + dy), fill=RED, width=5)
