"""A contact sheet of what a retinotopy run showed, volume by volume, by which apertures are checked at a glance."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from analysis.regions.prf.movies import Movie

COLUMNS, SIDE, GAP, LINE, MARGIN = 16, 72, 8, 14, 24
HEAD = 104
_INK, _MUTED, _FAULT, _PAPER, _BLANK = (34, 34, 34), (107, 107, 107), (178, 34, 34), (255, 255, 255), (238, 238, 236)
_SHOWN = np.array([0, 114, 178], dtype=np.float64)


def draw_aperture_sheet(movie: Movie, *, title: str, tr_s: float, lacking: str) -> Image.Image:
    """Draw the frame in the middle of every volume.

    Parameters
    ----------
    movie : Movie
    title : str
        The run.
    tr_s : float
        Length of a volume.
    lacking : str
        What the movie does not cover of its run; empty where it covers all.

    Returns
    -------
    Image
        RGB. The subject's view: left is left, up is up; a dot where fixation is.
    """
    middles = np.arange(tr_s / 2, movie.length_s, tr_s)
    frames = movie.masks[np.minimum((middles / movie.frame_s).astype(int), len(movie.masks) - 1)]
    width, height = thumbnail_size(movie)
    rows = -(-len(frames) // COLUMNS)
    sheet = Image.new("RGB", (2 * MARGIN + COLUMNS * (width + GAP) - GAP, HEAD + MARGIN + rows * (height + GAP + LINE)),
                      _PAPER)
    pen = ImageDraw.Draw(sheet)
    _draw_head(pen, movie, title=title, lacking=lacking, room=sheet.width)
    for k, frame in enumerate(frames):
        x, y = MARGIN + k % COLUMNS * (width + GAP), HEAD + k // COLUMNS * (height + GAP + LINE)
        sheet.paste(draw_frame(frame, movie=movie, size=(width, height)), (x, y))
        pen.text((x + width / 2, y + height + 2), str(k), font=_font(10), fill=_MUTED, anchor="ma")
    return sheet


def thumbnail_size(movie: Movie) -> tuple[int, int]:
    """Give a frame's width and height, px, true to the field's."""
    width, height = movie.size_deg
    longest = max(width, height)
    return max(8, round(SIDE * width / longest)), max(8, round(SIDE * height / longest))


def draw_frame(frame: NDArray[np.floating], *, movie: Movie, size: tuple[int, int]) -> Image.Image:
    """Draw one frame as the subject sees it, with a dot at fixation."""
    across, up = (1 if movie.x_deg[-1] > movie.x_deg[0] else -1), (1 if movie.y_deg[-1] < movie.y_deg[0] else -1)
    seen = np.clip(np.asarray(frame, dtype=np.float64)[::up, ::across], 0.0, 1.0)[:, :, None]
    pixels = (1 - seen) * np.array(_BLANK, dtype=np.float64) + seen * _SHOWN
    picture = Image.fromarray(pixels.round().astype(np.uint8)).resize(size, Image.Resampling.BOX)
    left, top = min(movie.x_deg[0], movie.x_deg[-1]), max(movie.y_deg[0], movie.y_deg[-1])
    steps = abs(movie.x_deg[1] - movie.x_deg[0]), abs(movie.y_deg[1] - movie.y_deg[0])
    x = (0.5 * steps[0] - left) / movie.size_deg[0] * size[0]
    y = (top + 0.5 * steps[1]) / movie.size_deg[1] * size[1]
    ImageDraw.Draw(picture).ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=_FAULT)
    return picture


def _draw_head(pen: ImageDraw.ImageDraw, movie: Movie, *, title: str, lacking: str, room: int) -> None:
    width, height = movie.size_deg
    pen.text((MARGIN, MARGIN - 4), title, font=_font(18, bold=True), fill=_INK)
    pen.text((MARGIN, MARGIN + 24), f"{len(movie.masks)} frames of {movie.frame_s:g} s, {len(movie.y_deg)} x "
             f"{len(movie.x_deg)} points, {width:.4g} x {height:.4g} deg; left is left and up is up, as the subject "
             "sees it. Number: volume.", font=_font(12), fill=_INK)
    said = f"TOO SHORT: {lacking}" if lacking else f"{movie.length_s:g} s: covers the run"
    pen.text((MARGIN, MARGIN + 46), said, font=_font(12, bold=bool(lacking)), fill=_FAULT if lacking else _MUTED)
    pen.line([(MARGIN, HEAD - 10), (room - MARGIN, HEAD - 10)], fill=_BLANK, width=2)


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / name), size)
