"""The contact sheet: RE, AN and AI of every base image under one another, with labels and P; of two networks, both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from stimuli.manifest import TYPES, Manifest, Stimulus, read_manifest, read_pixels
from subjects.layout import Layout
from subjects.store import whole_file

THUMB, GAP, MARGIN, SIDE, TITLE, PAD = 227, 20, 48, 92, 76, 6
LINE, P_LINE, ROW_GAP, BLOCK_GAP, HEAD_GAP = 30, 26, 16, 28, 20
INK, GREY, RULE, PAPER = (24, 24, 24), (90, 90, 90), (190, 190, 190), (255, 255, 255)
SIDE_OF_TWO = 210
TITLES = {"RE": "regular", "AN": "adversarial noise", "AI": "adversarial interference"}
COLUMNS, DPI = 8, 300
_LABEL, _P_SIZE, _NOTE, _CLASS, _HEAD = 25, 21, 24, 32, 36
Row = tuple[str, str | None]
"""A type, and for AN and AI of a set of two networks the network."""


@dataclass(frozen=True)
class Block:
    """Some base images of one class beside one another.

    Parameters
    ----------
    title : str or None
        The class; None where the block above shows the same class.
    base_images : tuple of str
        A column each.
    n_lines : tuple of int
        Lines of the longest label below each row, in the order of :func:`rows_of`.
    """

    title: str | None
    base_images: tuple[str, ...]
    n_lines: tuple[int, ...]

    @property
    def row_tops(self) -> tuple[int, ...]:
        """Give where each row's images begin below the block's top, px; the last number is the block's height."""
        tops = [0 if self.title is None else TITLE]
        for lines in self.n_lines:
            tops.append(tops[-1] + THUMB + PAD + lines * LINE + P_LINE + ROW_GAP)
        return (*tops[:-1], tops[-1] + BLOCK_GAP)

    @property
    def height(self) -> int:
        """Give the block's height, px."""
        return self.row_tops[-1]


def write_sheet(layout: Layout, path: Path, *, columns: int = COLUMNS, network: str | None = None,
                overwrite: bool = False) -> Path:
    """Write the contact sheet of a study's whole set.

    Parameters
    ----------
    layout : Layout
        The study.
    path : Path
        A PNG file, at 300 dots an inch: 8 columns are a journal's page wide.
    columns : int
        Base images side by side; a class of more continues below.
    network : str, optional
        Show the AN and AI of this one of a set's networks. Default: of all.
    overwrite : bool
        Replace a file that stands there.

    Raises
    ------
    ManifestError
        If an image is missing or was changed, or the set was not made with the network.
    """
    manifest = read_manifest(layout.manifest)
    sheet = draw_sheet(layout, manifest if network is None else manifest.of_network(network), columns=columns)
    with whole_file(path, overwrite=overwrite) as beside:
        sheet.save(beside, format="PNG", dpi=(DPI, DPI))
    return Path(path)


def draw_sheet(layout: Layout, manifest: Manifest, *, columns: int = COLUMNS) -> Image.Image:
    """Draw the sheet: blocks for each class, in each a row for every type and a column for every base image.

    Of two networks AN and AI have rows of their own, with the network's name at the side.

    An image of 227 px stands pixel by pixel, others are resampled to that side.

    Returns
    -------
    Image
        RGB. Below RE and AN stand the category and its P, below AI the wrong category after an arrow, and its P.
    """
    blocks = tuple(arrange(manifest, columns=columns))
    room = sheet_room(blocks, side=side_width(manifest))
    note = _wrap(_note(manifest), room=room, size=_NOTE)
    top = head_height(len(note))
    sheet = Image.new("RGB", (room + 2 * MARGIN, top + sum(block.height for block in blocks) + MARGIN - BLOCK_GAP),
                      PAPER)
    pen = ImageDraw.Draw(sheet)
    _draw_head(pen, note)
    for block in blocks:
        _draw_block(sheet, pen, layout=layout, manifest=manifest, block=block, top=top)
        top += block.height
    return sheet


def rows_of(manifest: Manifest) -> tuple[Row, ...]:
    """Give the rows of a block: the types; of two networks RE, then AN and AI of the first, then of the second."""
    if len(manifest.networks) < 2:
        return tuple((kind, None) for kind in TYPES)
    return (TYPES[0], None), *((kind, name) for name in manifest.networks for kind in TYPES[1:])


def side_width(manifest: Manifest) -> int:
    """Give the width of what stands beside the rows, px."""
    return SIDE if len(manifest.networks) < 2 else SIDE_OF_TWO


def arrange(manifest: Manifest, *, columns: int = COLUMNS) -> Iterator[Block]:
    """Cut the set into blocks: class by class in the order of the table, at most `columns` base images in each."""
    classes: dict[str, list[str]] = {}
    for base in manifest.base_images:
        classes.setdefault(manifest.get(base_image=base, type="RE").class_name, []).append(base)
    for title, names in classes.items():
        for first in range(0, len(names), columns):
            part = tuple(names[first:first + columns])
            n_lines = tuple(max(len(label_lines(manifest.get(base_image=base, type=kind, network=network)))
                                for base in part) for kind, network in rows_of(manifest))
            yield Block(title if first == 0 else None, part, n_lines)


def sheet_room(blocks: Sequence[Block], *, side: int = SIDE) -> int:
    """Give the width between the margins, px: of the widest block, the titles of the types, or a class's name."""
    wide = max(len(block.base_images) for block in blocks)
    names = [_font(_CLASS, bold=True).getlength(block.title) for block in blocks if block.title is not None]
    return int(max(side + wide * (THUMB + GAP) - GAP, _title_width(), *names)) + 1


def head_height(n_lines: int) -> int:
    """Give where the first block begins below a note of so many lines, px."""
    return MARGIN + 60 + n_lines * (_NOTE + 10) + HEAD_GAP


def label_lines(one: Stimulus) -> list[str]:
    """Write the caption of an image, in lines that are no wider than it."""
    aim = one.target_category if one.type == "AI" and one.target_category else None
    return _wrap(one.category if aim is None else f"\N{RIGHTWARDS ARROW} {aim}", room=THUMB, size=_LABEL)


def _note(manifest: Manifest) -> str:
    first, *others = manifest.networks
    of_re = next(one.network for one in manifest.stimuli if one.type == "RE")
    return ("P: probability of the category named below the image (AI: of the wrong one, after the arrow), judged by "
            + ("the network at the side" if others else f"network {first}") + " on the 8-bit pixels" +
            ("" if of_re == first else f"; of RE the smaller P of both networks, {of_re.replace(' + ', ' and ')}"))


def _wrap(text: str, *, room: float, size: int) -> list[str]:
    """Break a text between words or after one of ``-_/.``; a part wider than `room` px is hyphenated."""
    lines = [""]
    for part in re.findall(r"\s*[^\s\-_/.]*[\-_/.]*", text):
        if _font(size).getlength((lines[-1] + part).strip()) <= room:
            lines[-1] = (lines[-1] + part).lstrip()
            continue
        pieces = list(_pieces(part.strip(), room=room, size=size))
        lines = [*lines, *pieces] if lines[-1] else pieces
    return lines


def _pieces(part: str, *, room: float, size: int) -> Iterator[str]:
    while _font(size).getlength(part) > room:
        cut = max(k for k in range(1, len(part)) if _font(size).getlength(part[:k] + "-") <= room)
        yield part[:cut] + "-"
        part = part[cut:]
    yield part


def _titles() -> Iterator[tuple[int, str, str]]:
    """Give the offset of each type's title from the left margin, the type, and what it means."""
    x = 0
    for kind, title in TITLES.items():
        yield x, kind, title
        x += int(_font(_HEAD, bold=True).getlength(kind) + 14 + _font(_HEAD).getlength(title) + 56)
    yield x, "", ""


def _title_width() -> int:
    return max(x for x, _, _ in _titles()) - 56


def _draw_head(pen: ImageDraw.ImageDraw, note: list[str]) -> None:
    for x, kind, title in _titles():
        beside = MARGIN + x + _font(_HEAD, bold=True).getlength(kind) + 14
        pen.text((MARGIN + x, MARGIN), kind, font=_font(_HEAD, bold=True), fill=INK)
        pen.text((beside, MARGIN), title, font=_font(_HEAD), fill=INK)
    for k, line in enumerate(note):
        pen.text((MARGIN, MARGIN + 60 + k * (_NOTE + 10)), line, font=_font(_NOTE), fill=GREY)


def _draw_block(sheet: Image.Image, pen: ImageDraw.ImageDraw, *, layout: Layout, manifest: Manifest, block: Block,
                top: int) -> None:
    if block.title is not None:
        pen.line([(MARGIN, top), (sheet.width - MARGIN, top)], fill=RULE, width=2)
        pen.text((MARGIN, top + 20), block.title, font=_font(_CLASS, bold=True), fill=INK)
    side = side_width(manifest)
    for (kind, network), row_top in zip(rows_of(manifest), block.row_tops[:-1], strict=True):
        _draw_side(pen, kind, network, y=top + row_top + THUMB // 2)
        for column, base in enumerate(block.base_images):
            where = (MARGIN + side + column * (THUMB + GAP), top + row_top)
            _draw_image(sheet, pen, layout=layout, one=manifest.get(base_image=base, type=kind, network=network),
                        where=where)


def _draw_side(pen: ImageDraw.ImageDraw, kind: str, network: str | None, *, y: int) -> None:
    """Write a row's type, and below it the network, at the left margin."""
    pen.text((MARGIN, y), kind, font=_font(34, bold=True), fill=GREY, anchor="lm")
    for k, line in enumerate(_wrap(network or "", room=SIDE_OF_TWO - GAP, size=_P_SIZE)):
        pen.text((MARGIN, y + 28 + k * P_LINE), line, font=_font(_P_SIZE), fill=GREY)


def _draw_image(sheet: Image.Image, pen: ImageDraw.ImageDraw, *, layout: Layout, one: Stimulus,
                where: tuple[int, int]) -> None:
    sheet.paste(thumbnail(read_pixels(layout.stimuli, one)), where)
    x, y = where[0], where[1] + THUMB + PAD
    lines = label_lines(one)
    for k, line in enumerate(lines):
        pen.text((x, y + k * LINE), line, font=_font(_LABEL), fill=INK)
    pen.text((x, y + len(lines) * LINE), p_text(one.p_after), font=_font(_P_SIZE), fill=GREY)


def thumbnail(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Image.Image:
    """Bring a square image to the side of the sheet's; one of that side stays as it is."""
    picture = Image.fromarray(pixels)
    return picture if picture.size == (THUMB, THUMB) else picture.resize((THUMB, THUMB), Image.Resampling.LANCZOS)


def p_text(p: float) -> str:
    """Write a probability with four digits, cut and never rounded up to a limit.

    Examples
    --------
    >>> p_text(0.99009), p_text(1.0)
    ('P .9900', 'P >.9999')
    """
    return "P >.9999" if p >= 0.9999 else f"P .{int(p * 10_000 + 1e-9):04d}"


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / name, size)
