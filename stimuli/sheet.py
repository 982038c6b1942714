"""Contact sheets in the manner of the paper's Fig. 1: RE, AN and AI side by side, with labels and P."""

from __future__ import annotations

from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from stimuli.manifest import TYPES, Manifest, Stimulus, read_manifest, read_pixels
from subjects.layout import Layout
from subjects.store import whole_file

THUMB, GAP, LABEL, MARGIN, HEAD = 150, 12, 40, 40, 84
INK, GREY, PAPER = (24, 24, 24), (110, 110, 110), (255, 255, 255)
PANELS = {"RE": ("A", "Regular (RE)"), "AN": ("B", "Adversarial noise (AN)"), "AI": ("C", "Adversarial interference (AI)")}


def write_sheet(layout: Layout, path: Path, *, overwrite: bool = False) -> Path:
    """Write the contact sheet of a study's whole set.

    Parameters
    ----------
    layout : Layout
        The study.
    path : Path
        A PNG file.
    overwrite : bool
        Replace a file that stands there.

    Raises
    ------
    ManifestError
        If an image does not hold.
    """
    manifest = read_manifest(layout.manifest)
    sheet = draw_sheet(layout, manifest)
    with whole_file(path, overwrite=overwrite) as beside:
        sheet.save(beside, format="PNG", dpi=(200, 200))
    return path


def draw_sheet(layout: Layout, manifest: Manifest) -> Image.Image:
    """Draw the sheet: a panel for each type, a row for each class, the same place for the same base image."""
    rows = _by_class(manifest)
    columns = max(len(names) for names in rows.values())
    panel = columns * (THUMB + GAP) - GAP
    width = 2 * MARGIN + 3 * panel + 2 * 3 * GAP
    height = MARGIN + HEAD + len(rows) * (THUMB + LABEL + GAP)
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    for k, kind in enumerate(TYPES):
        left = MARGIN + k * (panel + 3 * GAP)
        letter, title = PANELS[kind]
        pen.text((left, MARGIN - 14), letter, font=_font(34, bold=True), fill=INK)
        pen.text((left + 44, MARGIN - 8), title, font=_font(26), fill=INK)
        for row, names in enumerate(rows.values()):
            for column, base in enumerate(names):
                where = (left + column * (THUMB + GAP), MARGIN + HEAD - GAP * 3 + row * (THUMB + LABEL + GAP))
                _draw_one(sheet, pen, layout, manifest.get(base_image=base, type=kind), where=where)
    return sheet


def _by_class(manifest: Manifest) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    for base in manifest.base_images:
        rows.setdefault(manifest.get(base_image=base, type="RE").class_name, []).append(base)
    return rows


def _draw_one(sheet: Image.Image, pen: ImageDraw.ImageDraw, layout: Layout, one: Stimulus, *,
              where: tuple[int, int]) -> None:
    picture = Image.fromarray(read_pixels(layout.stimuli, one)).resize((THUMB, THUMB), Image.Resampling.LANCZOS)
    sheet.paste(picture, where)
    label = one.category if one.target_category is None else one.target_category
    x, y = where[0] + THUMB // 2, where[1] + THUMB + 3
    pen.text((x, y), label, font=_fitting(label), fill=INK, anchor="ma")
    pen.text((x, y + 17), f"P = {min(one.p_after, 0.9999):.4f}", font=_font(12), fill=GREY, anchor="ma")


def _fitting(label: str) -> ImageFont.FreeTypeFont:
    """Choose the largest size at which a label stays within its picture's width."""
    for size in range(15, 8, -1):
        font = _font(size)
        if font.getlength(label) <= THUMB:
            return font
    return _font(8)


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / name, size)
