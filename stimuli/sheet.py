"""The contact sheet: RE, AN and AI of every base image under one another, with labels and P."""

from __future__ import annotations

from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from stimuli.manifest import TYPES, Manifest, Stimulus, read_manifest, read_pixels
from subjects.layout import Layout
from subjects.store import whole_file

THUMB, GAP, LABEL, BAND, MARGIN, SIDE, HEAD = 168, 10, 26, 56, 36, 60, 96
INK, GREY, RULE, PAPER = (24, 24, 24), (96, 96, 96), (200, 200, 200), (255, 255, 255)
TITLES = {"RE": "regular", "AN": "adversarial noise", "AI": "adversarial interference"}
DPI = 200


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
        If an image is missing or was changed.
    """
    sheet = draw_sheet(layout, read_manifest(layout.manifest))
    with whole_file(path, overwrite=overwrite) as beside:
        sheet.save(beside, format="PNG", dpi=(DPI, DPI))
    return Path(path)


def draw_sheet(layout: Layout, manifest: Manifest) -> Image.Image:
    """Draw the sheet: a band for each class, in it a row for each type and a column for each base image.

    Returns
    -------
    Image
        RGB. Below RE and AN stand the category and its P, below AI the wrong category and its P.
    """
    bands = _by_class(manifest)
    columns = max(len(names) for names in bands.values())
    width = 2 * MARGIN + max(SIDE + columns * (THUMB + GAP) - GAP, _head_width(manifest))
    height = 2 * MARGIN + HEAD + len(bands) * _band_height()
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    _draw_head(pen, manifest)
    for k, (name, base_images) in enumerate(bands.items()):
        _draw_band(sheet, pen, name=name, top=MARGIN + HEAD + k * _band_height())
        for column, base in enumerate(base_images):
            for row, kind in enumerate(TYPES):
                where = (MARGIN + SIDE + column * (THUMB + GAP),
                         MARGIN + HEAD + k * _band_height() + BAND + row * (THUMB + LABEL))
                _draw_image(sheet, pen, layout=layout, one=manifest.get(base_image=base, type=kind), where=where)
    return sheet


def _band_height() -> int:
    return BAND + len(TYPES) * (THUMB + LABEL) + GAP


def _by_class(manifest: Manifest) -> dict[str, list[str]]:
    bands: dict[str, list[str]] = {}
    for base in manifest.base_images:
        bands.setdefault(manifest.get(base_image=base, type="RE").class_name, []).append(base)
    return bands


def _note(manifest: Manifest) -> str:
    return (f"P: probability of the category named below the image (AI: of the wrong one), judged by network "
            f"{manifest.stimuli[0].network} on the 8-bit pixels")


def _head_width(manifest: Manifest) -> int:
    titles = sum(48 + _font(26).getlength(title) + 40 for title in TITLES.values())
    return int(max(titles, _font(16).getlength(_note(manifest)))) + 1


def _draw_head(pen: ImageDraw.ImageDraw, manifest: Manifest) -> None:
    x = float(MARGIN)
    for kind, title in TITLES.items():
        pen.text((x, MARGIN - 6), kind, font=_font(26, bold=True), fill=INK)
        pen.text((x + 48, MARGIN - 6), title, font=_font(26), fill=INK)
        x += 48 + _font(26).getlength(title) + 40
    pen.text((MARGIN, MARGIN + 42), _note(manifest), font=_font(16), fill=GREY)


def _draw_band(sheet: Image.Image, pen: ImageDraw.ImageDraw, *, name: str, top: int) -> None:
    pen.line([(MARGIN, top + 6), (sheet.width - MARGIN, top + 6)], fill=RULE, width=2)
    pen.text((MARGIN, top + 18), name, font=_font(22, bold=True), fill=INK)
    for row, kind in enumerate(TYPES):
        middle = top + BAND + row * (THUMB + LABEL) + THUMB // 2
        pen.text((MARGIN, middle), kind, font=_font(24, bold=True), fill=GREY, anchor="lm")


def _draw_image(sheet: Image.Image, pen: ImageDraw.ImageDraw, *, layout: Layout, one: Stimulus,
                where: tuple[int, int]) -> None:
    picture = Image.fromarray(read_pixels(layout.stimuli, one)).resize((THUMB, THUMB), Image.Resampling.LANCZOS)
    sheet.paste(picture, where)
    label = one.target_category if one.type == "AI" and one.target_category else one.category
    chance, bottom = chance_text(one.p_after), where[1] + THUMB + 4
    pen.text((where[0] + THUMB, bottom + 1), chance, font=_font(12), fill=GREY, anchor="ra")
    room = THUMB - _font(12).getlength(chance) - 6
    pen.text((where[0], bottom), label, font=_fitting(label, room=room), fill=INK)


def chance_text(p: float) -> str:
    """Write a probability with four digits, cut and never rounded up to a limit.

    Examples
    --------
    >>> chance_text(0.99009), chance_text(1.0)
    ('P .9900', 'P >.9999')
    """
    return "P >.9999" if p >= 0.9999 else f"P .{int(p * 10_000 + 1e-9):04d}"


def _fitting(label: str, *, room: float) -> ImageFont.FreeTypeFont:
    """Choose the largest size at which a label stays within `room` pixels."""
    for size in range(15, 8, -1):
        if _font(size).getlength(label) <= room:
            return _font(size)
    return _font(8)


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / name, size)
