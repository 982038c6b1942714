"""What textures are made of: objects, faces and words cut out on nothing, as RGBA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from stimuli.categories import demo_categories
from stimuli.networks.demo.drawings import Painter, aquatic, birds, cars, dogs, fruits
from stimuli.networks.demo.drawings.canvas import SUPERSAMPLING, Canvas
from stimuli.networks.demo.drawings.faces import paint_face
from subjects.errors import StimulusError
from subjects.settings.images import TexturesSettings

_PAINTERS: Mapping[str, Painter] = {**dogs.PAINTERS, **birds.PAINTERS, **cars.PAINTERS, **fruits.PAINTERS,
                                    **aquatic.PAINTERS}
Piece = Image.Image
"""An RGBA picture, cut to what it shows."""

WORDS = tuple((files("stimuli") / "data" / "words.txt").read_text(encoding="ascii").split())
SHIPPED = {"en": "words.txt", "zh": "words_zh.txt"}
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


@dataclass(frozen=True)
class Words:
    """Words and the fonts that they are written in, each of which has all their characters.

    Parameters
    ----------
    words : tuple of str
    fonts : tuple of str
        Font files, or names of fonts that matplotlib ships; a face of a collection as ``FILE#2``.
    """

    words: tuple[str, ...] = WORDS
    fonts: tuple[str, ...] = _FONTS


def load_words(section: TexturesSettings, *, root: Path) -> Words:
    """Read the words of the settings, and see that every character of them can be written.

    Parameters
    ----------
    section : TexturesSettings
        ``words`` and ``font``.
    root : Path
        The study's folder.

    Raises
    ------
    StimulusError
        If the list or the font cannot be read, the list is empty, or a character is in none of the fonts.
    """
    where = f"textures.words = {section.words!r}"
    try:
        text = (files("stimuli") / "data" / SHIPPED[section.words] if section.words in SHIPPED
                else root / section.words).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StimulusError(where, came=f"a list that cannot be read ({error})", expected="words in UTF-8",
                            remedy=f"Correct the path, or take one of {', '.join(SHIPPED)}.") from error
    words = tuple(dict.fromkeys(text.split()))
    if not words:
        raise StimulusError(where, came="no word", expected="words between spaces or lines", remedy="Write some.")
    fonts: tuple[str, ...] = _FONTS
    if section.font is not None:
        fonts = (_face_for(str(root / section.font), simplified=section.words == "zh"),)
    for font in fonts:
        _require_glyphs(font, "".join(words), where=where)
    return Words(words, fonts)


def _face_for(font: str, *, simplified: bool) -> str:
    """Name the face of a collection that Simplified Chinese is written in: its first one is often the Japanese."""
    path, face = _split(font)
    if not simplified or face or path.suffix.lower() not in (".ttc", ".otc") or not path.is_file():
        return font
    from fontTools.ttLib import TTCollection

    try:
        with path.open("rb") as file, TTCollection(file, lazy=True) as faces:
            names = [str(one["name"].getDebugName(4)) for one in faces.fonts]
    except Exception:  # noqa: BLE001 - no collection: it is refused by name where its characters are asked for
        return font
    return f"{path}#{next((k for k, name in enumerate(names) if ' SC' in name and 'Mono' not in name), 0)}"


def _split(font: str) -> tuple[Path, int]:
    """Take the number of the face off the end of a font's name."""
    name, sharp, face = font.rpartition("#")
    return (_path_of(name), int(face)) if sharp and face.isdecimal() else (_path_of(font), 0)


def _require_glyphs(font: str, text: str, *, where: str) -> None:
    from fontTools.ttLib import TTFont

    try:
        path, face = _split(font)
        with path.open("rb") as file, TTFont(file, fontNumber=face, lazy=True) as opened:
            known = opened.getBestCmap() or {}
    except Exception as error:
        raise StimulusError(f"textures.font = {font!r}", came=f"a file that is no font ({error})",
                            expected="a TrueType or OpenType font", remedy="Name another file.") from error
    missing = [one for one in dict.fromkeys(text + text.upper()) if ord(one) not in known]
    if missing:
        raise StimulusError(where, came=f"{missing[0]} (U+{ord(missing[0]):04X}) and {len(missing) - 1} more "
                            f"characters that {Path(font).name} lacks",
                            expected="a font with every character of the words",
                            remedy="Name a font file in textures.font (for Chinese, fonts-noto-cjk has one).")


def word_piece(word: str, *, rng: Generator, height_px: int, fonts: tuple[str, ...] = _FONTS) -> Piece:
    """Write a word in a font and a colour of chance."""
    font = _font(fonts[int(rng.integers(len(fonts)))], height_px)
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


def word_pieces(n: int, *, rng: Generator, side_px: int, words: Words | None = None) -> list[Piece]:
    """Write words, none twice before all were written, each `side_px` / 3 high."""
    given = Words() if words is None else words
    order = np.concatenate([rng.permutation(len(given.words)) for _ in range(-(-n // len(given.words)))])
    height_px = max(6, side_px // 3)
    return [word_piece(given.words[k], rng=rng, height_px=height_px, fonts=given.fonts) for k in order[:n]]


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
    """Load a font by its file, or by the name under which matplotlib ships it."""
    path, face = _split(name)
    return ImageFont.truetype(str(path), height_px, index=face)


def _path_of(font: str) -> Path:
    if font not in _FONTS:
        return Path(font)
    import matplotlib as mpl

    return Path(mpl.get_data_path()) / "fonts" / "ttf" / font
