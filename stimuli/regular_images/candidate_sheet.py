"""A sheet of the chosen photographs and their runners-up, so that somebody looks before a set is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from stimuli.regular_images.candidates import Listing
from stimuli.regular_images.category_choice import BELOW, CHOSEN, Selection, Verdict
from stimuli.regular_images.photographs import read_photograph, to_square
from subjects.settings.images import StimuliSettings
from subjects.store import whole_file

THUMB, GAP, MARGIN, LINE = 150, 14, 36, 19
N_RUNNERS, N_NEXT = 2, 3
"""Runners-up under each chosen photograph, and categories that came next in a class."""

INK, GREY, PAPER = (24, 24, 24), (105, 105, 105), (255, 255, 255)
FRAMES = {CHOSEN: (0, 120, 60), BELOW: (200, 110, 0)}
_PLAIN = (190, 190, 190)
_NAME_LINES = 3
_TEXT_LINES = 2 + _NAME_LINES


@dataclass(frozen=True)
class Column:
    """A category: what represents it, and what came next.

    Parameters
    ----------
    verdicts : tuple of Verdict
        The best first.
    """

    verdicts: tuple[Verdict, ...]

    @property
    def is_chosen(self) -> bool:
        """Say whether the category is in the set."""
        return self.verdicts[0].verdict in FRAMES


def arrange_class(selection: Selection, class_name: str) -> list[Column]:
    """Lay a class out: its chosen categories in the order of the set, then those that came next by their P."""
    mine: dict[int, list[Verdict]] = {}
    for one in selection.verdicts:
        if one.screened.candidate.class_name == class_name and one.screened.p is not None \
                and one.rule not in ("excluded", "list"):
            mine.setdefault(one.screened.candidate.category_index, []).append(one)
    columns = [Column(tuple(sorted(those, key=_rank)[:1 + N_RUNNERS])) for _, those in sorted(mine.items())]
    chosen = [column for column in columns if column.is_chosen]
    others = sorted((column for column in columns if not column.is_chosen), key=lambda one: _rank(one.verdicts[0]))
    return [*chosen, *others[:N_NEXT]]


def _rank(verdict: Verdict) -> tuple[bool, float, str]:
    return verdict.verdict not in FRAMES, -(verdict.screened.p or 0.0), verdict.screened.candidate.file


def write_candidate_sheet(path: Path, selection: Selection, *, listing: Listing, stimuli: StimuliSettings, side: int,
                          overwrite: bool = False) -> Path:
    """Write the sheet of a selection.

    Parameters
    ----------
    path : Path
        A PNG file.
    selection : Selection
        With its verdicts.
    listing : Listing
        Where the photographs are.
    stimuli : StimuliSettings
        Classes, and how photographs become square.
    side : int
        Of the network's input, px: a photograph is shown as the network sees it.
    overwrite : bool
        Replace a file that stands there.
    """
    sheet = draw_candidate_sheet(selection, listing=listing, stimuli=stimuli, side=side)
    with whole_file(path, overwrite=overwrite) as beside:
        sheet.save(beside, format="PNG")
    return Path(path)


def draw_candidate_sheet(selection: Selection, *, listing: Listing, stimuli: StimuliSettings,
                         side: int) -> Image.Image:
    """Draw the sheet: a block for each class, a column for each category, the chosen photograph above its runners-up.

    Green frames are chosen, amber ones chosen below the threshold, grey ones not chosen. Below a photograph stand
    its category (or what the network takes it for, where that is another), P, and its file, by which it can be
    excluded.
    """
    blocks = [(kind, arrange_class(selection, kind)) for kind in stimuli.classes]
    n_columns = max([1, *(len(columns) for _, columns in blocks)])
    heights = [max([1, *(len(column.verdicts) for column in columns)]) for _, columns in blocks]
    row = THUMB + _TEXT_LINES * LINE + GAP
    top, head = 116, 44
    width = 2 * MARGIN + n_columns * (THUMB + GAP) - GAP
    sheet = Image.new("RGB", (max(width, 900), top + sum(head + n * row for n in heights) + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    _draw_head(pen)
    for (kind, columns), n_rows in zip(blocks, heights, strict=True):
        chosen = sum(column.is_chosen for column in columns)
        pen.text((MARGIN, top), f"{kind}: {chosen} chosen" + (", then what came next" if len(columns) > chosen else ""),
                 fill=INK, font=_font(22, bold=True))
        for k, column in enumerate(columns):
            for n, verdict in enumerate(column.verdicts):
                _draw_photograph(sheet, verdict, listing=listing, stimuli=stimuli, side=side,
                                 at=(MARGIN + k * (THUMB + GAP), top + head + n * row))
        top += head + n_rows * row
    return sheet


def _draw_head(pen: ImageDraw.ImageDraw) -> None:
    pen.text((MARGIN, 20), "Chosen photographs and their runners-up", fill=INK, font=_font(26, bold=True))
    pen.text((MARGIN, 58), "Green: chosen; amber: chosen below the threshold; grey: not chosen.\n"
             "To leave one out, name its file in study.toml: [stimuli] exclude = [\"FILE\"]", fill=GREY, font=_font(15))


def _draw_photograph(sheet: Image.Image, verdict: Verdict, *, listing: Listing, stimuli: StimuliSettings, side: int,
                     at: tuple[int, int]) -> None:
    one, (left, top) = verdict.screened, at
    pixels = to_square(read_photograph(listing.path(one.candidate)).pixels, side=side, resize=stimuli.resize)
    sheet.paste(Image.fromarray(pixels).resize((THUMB, THUMB), Image.Resampling.LANCZOS), at)
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((left - 2, top - 2, left + THUMB + 1, top + THUMB + 1), outline=FRAMES.get(verdict.verdict, _PLAIN),
                  width=4 if verdict.verdict in FRAMES else 1)
    taken = "" if one.rank == 1 else f", taken for {one.top}"
    p = ">.9999" if one.p is not None and one.p > 0.99995 else f"{one.p:.4f}".lstrip("0")
    lines = [(fit_text(one.candidate.category, pen=pen), INK, 14),
             (fit_text(f"P {p}{taken}", pen=pen), FRAMES[BELOW] if taken else INK, 14),
             *((line, GREY, 12) for line in wrap_name(one.candidate.file, pen=pen))]
    for k, (text, colour, size) in enumerate(lines):
        pen.text((left, top + THUMB + 4 + k * LINE), text, fill=colour, font=_font(size))


def fit_text(text: str, *, pen: ImageDraw.ImageDraw) -> str:
    """Shorten a text at its end to a photograph's width."""
    shown, cut = text, 0
    while pen.textlength(shown, font=_font(14)) > THUMB:
        cut += 1
        shown = f"{text[:-cut]}…"
    return shown


def wrap_name(name: str, *, pen: ImageDraw.ImageDraw) -> list[str]:
    """Break a file's name into lines of a photograph's width; one that is longer still loses its beginning."""
    lines = _broken(name, pen=pen)
    while len(lines) > _NAME_LINES:
        name = name[1:]
        lines = _broken(f"…{name}", pen=pen)
    return lines


def _broken(text: str, *, pen: ImageDraw.ImageDraw) -> list[str]:
    lines = [""]
    for letter in text:
        if pen.textlength(lines[-1] + letter, font=_font(12)) > THUMB:
            lines.append("")
        lines[-1] += letter
    return lines


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / name), size)


def exclude_lines(selection: Selection) -> Iterator[str]:
    """Say how a chosen photograph is left out, with the first chosen one as the example."""
    chosen: Sequence[str] = [one.candidate.file for one in selection.chosen]
    if chosen:
        yield (f'Look at the chosen ones. To leave one out, name its file in study.toml: [stimuli] exclude = '
               f'["{chosen[0]}"]; the next one takes its place without another screening.')
