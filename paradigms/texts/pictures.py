"""Texts drawn as pictures of the display's size: the same pixels on every screen, ready before the first flip."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from paradigms.devices.protocols import Pixels
from paradigms.texts.fonts import Font
from subjects.errors import SettingsError

_NEVER_FIRST = "，。、；：？！”’）》」』】%"
_NEVER_LAST = "“‘（《「『【"
_EAST = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\u3000-\u303f“”‘’]")
MARGIN = 0.12
"""Share of the width and height that stays free on each side."""


@dataclass(frozen=True)
class TextScreen:
    """What one screen says.

    Parameters
    ----------
    title : str
    paragraphs : tuple of str
    buttons : tuple of (str, str)
        Buttons and what each means, drawn side by side in this order.
    footer : str
        A line below all.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    buttons: tuple[tuple[str, str], ...] = ()
    footer: str = ""

    @property
    def text(self) -> str:
        """Everything that is read."""
        return "".join((self.title, *self.paragraphs, *(word for pair in self.buttons for word in pair), self.footer))


@dataclass(frozen=True)
class Page:
    """How screens are drawn.

    Parameters
    ----------
    size_px : (int, int)
        Width and height of the display.
    line_px : float
        Height of a line of text.
    background : int
        Grey level.
    font : Font
    """

    size_px: tuple[int, int]
    line_px: float
    background: int
    font: Font

    @property
    def ink(self) -> int:
        """Grey level of the text: light on dark, dark on light."""
        return 235 if self.background < 150 else 20

    @property
    def width_px(self) -> float:
        """Widest line."""
        return self.size_px[0] * (1.0 - 2.0 * MARGIN)


def wrap(text: str, *, font: ImageFont.FreeTypeFont, width_px: float) -> list[str]:
    """Break a paragraph into lines that fit: between words, and between East Asian characters but before no stop.

    Raises
    ------
    SettingsError
        If a word is wider than the line.
    """
    lines, line = [], ""
    for piece in _pieces(text):
        if line and font.getlength((line + piece).rstrip()) > width_px:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
        if font.getlength(line.rstrip()) > width_px:
            raise SettingsError("instructions", came=f"{line.strip()[:40]!r}, wider than the screen",
                                expected="words that fit", remedy="Shorten it or make instructions.text_deg smaller.")
    return [*lines, line.rstrip()]


def _pieces(text: str) -> list[str]:
    """Cut a text where a line may end: after a space, or beside an East Asian character."""
    pieces: list[str] = []
    for one in text:
        last = pieces[-1][-1] if pieces else ""
        breaks = bool(last) and ((last == " " and one != " ") or
                                 ((_EAST.match(last) or _EAST.match(one)) and one not in _NEVER_FIRST
                                  and last not in _NEVER_LAST and one != " "))
        if pieces and not breaks:
            pieces[-1] += one
        else:
            pieces.append(one)
    return pieces


def draw_screen(screen: TextScreen, *, page: Page) -> Pixels:
    """Draw a screen.

    Returns
    -------
    uint8 array, (height, width, 3)

    Raises
    ------
    SettingsError
        If it does not fit.
    """
    height = page.size_px[1]
    canvas = Image.new("RGB", page.size_px, (page.background,) * 3)
    pen = ImageDraw.Draw(canvas)
    blocks = [*_lines(screen.title, page=page, scale=1.5), *_gap(page, 0.9)]
    for paragraph in screen.paragraphs:
        blocks += [*_lines(paragraph, page=page, scale=1.0), *_gap(page, 0.5)]
    caps_px = 5.0 * page.line_px if screen.buttons else 0.0
    footer = [*_gap(page, 0.8), *_lines(screen.footer, page=page, scale=1.0)] if screen.footer else []
    total = sum(step for _, _, step in (*blocks, *footer)) + caps_px
    if total > height * (1.0 - MARGIN):
        raise SettingsError("instructions", came=f"a screen {total:.0f} px high: {screen.title!r}",
                            expected=f"{height * (1.0 - MARGIN):.0f} px at most",
                            remedy="Shorten the texts or make instructions.text_deg smaller.")
    y = _write(pen, blocks, page=page, top=(height - total) / 2.0)
    if screen.buttons:
        _draw_buttons(pen, screen.buttons, page=page, top=y)
    _write(pen, footer, page=page, top=y + caps_px)
    return np.asarray(canvas, dtype=np.uint8).copy()


Line = tuple[str, int, float]
"""A line, the height of its letters, and the way to the next one, in pixels."""


def _lines(text: str, *, page: Page, scale: float) -> list[Line]:
    size = max(5, round(page.line_px * scale))
    return [(line, size, 1.4 * size) for line in _even(text, font=page.font.at(size), width_px=page.width_px)]


def _even(text: str, *, font: ImageFont.FreeTypeFont, width_px: float) -> list[str]:
    """Break a paragraph into as few lines as fit, none much shorter than the others: no word stands alone."""
    lines = wrap(text, font=font, width_px=width_px)
    low, high = width_px / len(lines), width_px
    for _ in range(7 if len(lines) > 1 else 0):
        middle = (low + high) / 2.0
        try:
            closer = wrap(text, font=font, width_px=middle)
        except SettingsError:  # a word that is wider
            low = middle
            continue
        if len(closer) > len(lines):
            low = middle
        else:
            lines, high = closer, middle
    return lines


def _gap(page: Page, lines: float) -> list[Line]:
    return [("", 8, lines * page.line_px)]


def _write(pen: ImageDraw.ImageDraw, lines: Sequence[Line], *, page: Page, top: float) -> float:
    for text, size, step in lines:
        if text:
            pen.text((page.size_px[0] / 2.0, top + step / 2.0), text, fill=(page.ink,) * 3, font=page.font.at(size),
                     anchor="mm")
        top += step
    return top


def _draw_buttons(pen: ImageDraw.ImageDraw, buttons: Sequence[tuple[str, str]], *, page: Page, top: float) -> None:
    """Draw a key for each button, side by side, its meaning below it."""
    line, font = page.line_px, page.font.at(max(5, round(page.line_px)))
    column = min(page.width_px / len(buttons), 14.0 * line)
    for k, (button, meaning) in enumerate(buttons):
        x = page.size_px[0] / 2.0 + (k - (len(buttons) - 1) / 2.0) * column
        half = max(font.getlength(button) / 2.0 + 0.7 * line, 1.2 * line)
        if 2.0 * half > column or font.getlength(meaning) > column:
            raise SettingsError("instructions", came=f"{button!r}: {meaning!r}, wider than its place",
                                expected="words that fit", remedy="Shorten them.")
        pen.rounded_rectangle((x - half, top + 0.4 * line, x + half, top + 2.4 * line), radius=0.4 * line,
                              outline=(page.ink,) * 3, width=max(2, round(line / 14)))
        pen.text((x, top + 1.4 * line), button, fill=(page.ink,) * 3, font=font, anchor="mm")
        pen.text((x, top + 3.3 * line), meaning, fill=(page.ink,) * 3, font=font, anchor="mm")
