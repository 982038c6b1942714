"""What textures are made of: objects, faces and words cut out on nothing, as RGBA."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from stimuli.categories import demo_categories
from stimuli.drawings import Painter, aquatic, birds, cars, dogs, fruits
from stimuli.drawings.canvas import SUPERSAMPLING, Canvas
from stimuli.drawings.faces import paint_face

_PAINTERS: Mapping[str, Painter] = {**dogs.PAINTERS, **birds.PAINTERS, **cars.PAINTERS, **fruits.PAINTERS,
                                    **aquatic.PAINTERS}
Piece = Image.Image
"""An RGBA picture, cut to what it shows."""

WORDS = tuple((files("stimuli") / "data" / "words.txt").read_text(encoding="ascii").split())
_FONTS = ("DejaVuSans-Bold.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSans.ttf")


def object_piece(category: str, *, rng: Generator, side_px: int) -> Piece:
    """Draw a thing of one of the 40 demo categories."""
    canvas = _canvas(side_px, rng)
    _PAINTERS[category](canvas.pen(scale=0.8, angle=rng.normal(0.0, 6.0), flip=bool(rng.random() < 0.5)), rng)
    return _cut(canvas)


def face_piece(*, rng: Generator, side_px: int) -> Piece:
    """Draw a face."""
    canvas = _canvas(side_px, rng)
    paint_face(canvas.pen(y=-0.08, scale=0.82), rng)
    return _cut(canvas)


def word_piece(word: str, *, rng: Generator, height_px: int) -> Piece:
    """Write a word in a font and a colour of chance."""
    font = _font(_FONTS[int(rng.integers(len(_FONTS)))], height_px)
    text = word.upper() if rng.random() < 0.3 else word
    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("RGBA", (round(right - left) + 2, round(bottom - top) + 2))
    color = (0, 0, 0) if rng.random() < 0.3 else tuple(int(level) for level in rng.integers(0, 256, 3))
    ImageDraw.Draw(picture).text((1 - left, 1 - top), text, font=font, fill=(*color, 255))
    return picture


def object_pieces(n: int, *, rng: Generator, side_px: int) -> list[Piece]:
    """Draw things of all categories in turn."""
    names = [name for _, name in demo_categories()]
    return [object_piece(names[k % len(names)], rng=rng, side_px=side_px) for k in range(n)]


def face_pieces(n: int, *, rng: Generator, side_px: int) -> list[Piece]:
    """Draw faces."""
    return [face_piece(rng=rng, side_px=side_px) for _ in range(n)]


def word_pieces(n: int, *, rng: Generator, side_px: int) -> list[Piece]:
    """Write words, none twice before all were written, each `side_px` / 3 high."""
    order = np.concatenate([rng.permutation(len(WORDS)) for _ in range(-(-n // len(WORDS)))])
    return [word_piece(WORDS[k], rng=rng, height_px=max(6, side_px // 3)) for k in order[:n]]


def _canvas(side_px: int, rng: Generator) -> Canvas:
    sun = float(rng.choice((-0.5, 0.5)))
    return Canvas(side_px, rng, sun=(sun, -float(np.sqrt(1.0 - sun**2))))


def _cut(canvas: Canvas) -> Piece:
    """Take the things alone, at the canvas's size, cut to what is there."""
    small = canvas.things.convert("RGBa").reduce(SUPERSAMPLING).convert("RGBA")
    box = small.getchannel("A").getbbox()
    return small if box is None else small.crop(box)


@lru_cache(maxsize=32)
def _font(name: str, height_px: int) -> ImageFont.FreeTypeFont:
    """Load a font that matplotlib ships."""
    import matplotlib as mpl

    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), height_px)
