"""One image being named: what was typed, what is offered, what is chosen; a pure machine of keys, and its picture."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from paradigms.devices.protocols import Pixels
from paradigms.texts.choices import Choice, find
from paradigms.texts.pictures import Page
from paradigms.texts.wording import Wording

LIST, OWN, NOISE = "list", "own words", "noise"
_CHARACTERS = {"space": " ", "minus": "-", "apostrophe": "'", "period": "."}
TYPED = f"{string.ascii_lowercase}{string.digits}{''.join(_CHARACTERS.values())}_"
"""What may stand in the line that is typed, and its mark."""
LONGEST = 40


@dataclass(frozen=True)
class Option:
    """Something that can be chosen: a name of the list, the subject's own words, or noise."""

    kind: str
    words: str
    category: str | None = None


@dataclass(frozen=True)
class Entry:
    """How far the naming of one image has come.

    Parameters
    ----------
    choices : tuple of Choice
        The list.
    levels : int
        Levels of confidence.
    typed : str
    at : int or None
        Which option is marked; None before anything is.
    named : Option or None
        What was chosen; then the confidence is asked for.
    confidence : int or None
        The answer is whole once it is there.
    """

    choices: tuple[Choice, ...]
    levels: int
    typed: str = ""
    at: int | None = None
    named: Option | None = None
    confidence: int | None = None

    @property
    def options(self) -> tuple[Option, ...]:
        """List what can be chosen now; words that are a name of the list are that name."""
        words = self.typed.strip()
        found = [Option(LIST, one.name, one.category) for one in find(self.choices, words)]
        exact = any(words.casefold() == one.name.casefold() for one in self.choices)
        own = [Option(OWN, words)] if words and not exact else []
        return (*found, *own, Option(NOISE, ""))

    def take(self, key: str) -> Entry:
        """Take a key; one that means nothing here changes nothing."""
        if self.named is not None:
            return self._take_confidence(key)
        if key == "return" and self.at is not None:
            return replace(self, named=self.options[self.at])
        if key in ("up", "down"):
            step, n = (1 if key == "down" else -1), len(self.options)
            start = -1 if self.at is None and step > 0 else 0 if self.at is None else self.at
            return replace(self, at=(start + step) % n)
        if key == "backspace":
            return self._typing(self.typed[:-1])
        character = _CHARACTERS.get(key, key)
        if len(character) == 1 and len(self.typed) < LONGEST:
            return self._typing((self.typed + character).lstrip())
        return self

    def _typing(self, typed: str) -> Entry:
        return replace(self, typed=typed, at=0 if typed.strip() else None)

    def _take_confidence(self, key: str) -> Entry:
        if key == "backspace":
            return replace(self, named=None)
        if key.isdecimal() and len(key) == 1 and 1 <= int(key) <= self.levels:
            return replace(self, confidence=int(key))
        return self


def draw_entry(entry: Entry, *, image: Pixels, image_px: int, page: Page, wording: Wording,
               place: tuple[int, int]) -> Pixels:
    """Draw the screen of an image that is being named.

    Parameters
    ----------
    entry : Entry
        How far it has come.
    image : uint8 array, (height, width, 3)
        The image.
    image_px : int
        Its height on the screen.
    page : Page
        Size, background, font.
    wording : Wording
        Texts.
    place : (int, int)
        Which image of how many.

    Returns
    -------
    uint8 array, (height, width, 3)
    """
    width, height = page.size_px
    canvas = Image.new("RGB", page.size_px, (page.background,) * 3)
    wide = round(image_px * image.shape[1] / image.shape[0])
    shown = Image.fromarray(image).resize((wide, image_px), Image.Resampling.BILINEAR)
    canvas.paste(shown, (round(0.27 * width - wide / 2), round((height - image_px) / 2)))
    pen = _Pen(ImageDraw.Draw(canvas), page, left=0.52 * width, right=0.96 * width, y=0.14 * height)
    if entry.named is None:
        _draw_names(pen, entry, wording)
    else:
        _draw_confidence(pen, entry, wording)
    hint = wording.say("naming", "hint") if entry.named is None else \
        wording.say("naming", "confidence_hint", levels=entry.levels)
    pen.foot(hint, share=0.94, scale=0.55)
    pen.foot(wording.say("naming", "progress", k=place[0], n=place[1]), share=0.05, scale=0.6)
    return np.asarray(canvas, dtype=np.uint8).copy()


@dataclass
class _Pen:
    """Writes lines into the right half of a page."""

    draw: ImageDraw.ImageDraw
    page: Page
    left: float
    right: float
    y: float

    def line(self, text: str, *, scale: float = 1.0, marked: bool = False, boxed: bool = False) -> None:
        """Write a line; one that is too long is cut with an ellipsis."""
        size = max(5, round(self.page.line_px * scale))
        font, step = self.page.font.at(size), 1.7 * size
        room = self.right - self.left - size
        if font.getlength(text) > room:
            while text and font.getlength(text + "...") > room:
                text = text[:-1]
            text += "..."
        ink, paper = self.page.ink, self.page.background
        if marked or boxed:
            self.draw.rounded_rectangle((self.left, self.y, self.right, self.y + step), radius=0.3 * size,
                                        fill=(ink if marked else paper,) * 3, outline=(ink,) * 3, width=2)
        self.draw.text((self.left + 0.5 * size, self.y + step / 2.0), text, font=font, anchor="lm",
                       fill=(20 if marked and ink > 127 else 235 if marked else ink,) * 3)
        self.y += step * 1.08

    def gap(self, lines: float) -> None:
        """Leave room."""
        self.y += lines * self.page.line_px

    def foot(self, text: str, *, share: float, scale: float) -> None:
        """Write a small line in the middle, at a share of the height."""
        width, height = self.page.size_px
        font = self.page.font.at(max(5, round(self.page.line_px * scale)))
        self.draw.text((width / 2.0, share * height), text, font=font, anchor="mm", fill=(self.page.ink,) * 3)


def _draw_names(pen: _Pen, entry: Entry, wording: Wording) -> None:
    pen.line(wording.say("naming", "question"), scale=1.3)
    pen.gap(0.3)
    pen.line(f"{entry.typed}_", boxed=True)
    pen.gap(0.4)
    for k, option in enumerate(entry.options):
        words = {LIST: option.words, OWN: wording.say("naming", "own", words=option.words),
                 NOISE: wording.say("naming", "noise")}[option.kind]
        pen.line(words, marked=k == entry.at)


def _draw_confidence(pen: _Pen, entry: Entry, wording: Wording) -> None:
    assert entry.named is not None
    pen.line(entry.named.words or wording.say("naming", "noise"), marked=True)
    pen.gap(0.8)
    pen.line(wording.say("naming", "confidence"), scale=1.3)
    pen.gap(0.3)
    ends = {1: wording.say("naming", "least"), entry.levels: wording.say("naming", "most")}
    for level in range(1, entry.levels + 1):
        pen.line(f"{level}   {ends.get(level, '')}".rstrip())


def keys_for(option: Option, *, choices: Sequence[Choice], confidence: int) -> list[str]:
    """Spell the keys with which somebody gives an answer: a simulated participant types as a person does."""
    names = {" ": "space", "-": "minus", "'": "apostrophe", ".": "period"}
    if option.kind == NOISE:
        return ["up", "return", str(confidence)]
    entry = Entry(tuple(choices), 9)
    text = option.words
    if option.kind == LIST:
        one = next(one for one in choices if one.category == option.category)
        text = one.search or one.name.casefold()
    keys = [names.get(character, character) for character in text]
    for key in keys:
        entry = entry.take(key)
    downs = next(k for k, one in enumerate(entry.options) if (one.kind, one.words) == (option.kind, option.words))
    return [*keys, *["down"] * downs, "return", str(confidence)]
