"""The contact sheet shows every image of the set in its place, with a label that fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stimuli.categories import demo_categories, imagenet_categories
from stimuli.image_set.contact_sheet import (
    DPI,
    GAP,
    LINE,
    MARGIN,
    PAD,
    PAPER,
    SIDE,
    THUMB,
    TITLE,
    Block,
    _font,
    _note,
    _wrap,
    arrange,
    draw_sheet,
    head_height,
    label_lines,
    p_text,
    sheet_room,
    thumbnail,
    write_sheet,
)
from stimuli.manifest import TYPES, Manifest, read_image, read_manifest, read_pixels
from subjects.errors import ManifestError, StoreError
from tests.stimuli.tiny import Study

LONG = ("African elephant, Loxodonta africana", "black-and-tan coonhound", "soft-coated wheaten terrier",
        "American Staffordshire terrier, Staffordshire terrier", "Donaudampfschifffahrtsgesellschaft", "ox")


def _places(manifest: Manifest, *, columns: int = 8) -> dict[tuple[str, str], tuple[int, int]]:
    """(base image, type) -> (y, x), added up block by block."""
    blocks = list(arrange(manifest, columns=columns))
    note = _wrap(_note(manifest), room=sheet_room(blocks), size=24)
    top, places = head_height(len(note)), {}
    for block in blocks:
        for kind, row_top in zip(TYPES, block.row_tops[:-1], strict=True):
            for column, base in enumerate(block.base_images):
                places[base, kind] = (top + row_top, MARGIN + SIDE + column * (THUMB + GAP))
        top += block.height
    return places


def _require_clean(sheet: np.ndarray, manifest: Manifest, *, columns: int = 8) -> None:
    """Nothing may be drawn outside images, labels and titles: gaps between columns and all edges are paper."""
    places = _places(manifest, columns=columns)
    for (y, x) in places.values():
        gap = sheet[y:y + THUMB + PAD + LINE, x + THUMB:x + THUMB + GAP]
        assert (gap == PAPER).all(), (y, x)
    edges = np.concatenate([sheet[:MARGIN - 8].reshape(-1, 3), sheet[-MARGIN // 2:].reshape(-1, 3),
                            sheet[:, :MARGIN - 2].reshape(-1, 3), sheet[:, -MARGIN + 2:].reshape(-1, 3)])
    assert (edges == PAPER).all()


@pytest.mark.parametrize("columns", [1, 2, 8])
def test_every_image_stands_in_its_place(built: Study, columns: int) -> None:
    manifest = read_manifest(built.layout.manifest)
    sheet = np.asarray(draw_sheet(built.layout, manifest, columns=columns))
    for (base, kind), (y, x) in _places(manifest, columns=columns).items():
        wanted = thumbnail(read_pixels(built.layout.stimuli, manifest.get(base_image=base, type=kind)))
        np.testing.assert_array_equal(sheet[y:y + THUMB, x:x + THUMB], np.asarray(wanted))
    _require_clean(sheet, manifest, columns=columns)


def test_an_image_of_the_sheets_size_stands_pixel_by_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (THUMB, THUMB, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(thumbnail(pixels)), pixels)


def test_long_names_are_written_whole(built: Study) -> None:
    rows = [dataclasses.replace(one, category=LONG[k // 3], target_category=LONG[-1 - k // 3], network="n" * 90)
            if one.type != "RE" else dataclasses.replace(one, category=LONG[k // 3])
            for k, one in enumerate(read_manifest(built.layout.manifest).stimuli)]
    manifest = Manifest(tuple(rows))
    sheet = np.asarray(draw_sheet(built.layout, manifest))
    _require_clean(sheet, manifest)
    for (base, kind), (y, x) in _places(manifest).items():
        lines = label_lines(manifest.get(base_image=base, type=kind))
        for k in range(len(lines) + 1):
            top = y + THUMB + PAD + k * LINE
            assert (sheet[top:top + 26, x:x + THUMB] < 140).any(), (base, kind, k)


@given(st.lists(st.text("abcdefghij-,", min_size=1, max_size=40), min_size=1, max_size=6))
def test_wrapping_loses_no_letter_and_stays_in_its_room(words: list[str]) -> None:
    lines = _wrap(" ".join(words), room=THUMB, size=25)
    assert all(_font(25).getlength(line) <= THUMB for line in lines)
    assert "".join(lines).replace("-", "").replace(" ", "") == "".join(words).replace("-", "")


def test_a_line_ends_at_a_hyphen_where_it_can() -> None:
    assert _wrap("→ bicycle-built-for-two", room=THUMB, size=25) == ["→ bicycle-built-", "for-two"]


@pytest.mark.parametrize("category", [name for _, name in demo_categories()])
def test_a_demo_category_takes_one_line(category: str) -> None:
    assert _wrap(category, room=THUMB, size=25) == [category]


def test_imagenets_names_take_three_lines_at_most() -> None:
    assert max(len(_wrap(f"→ {name}", room=THUMB, size=25)) for name in _imagenet_names()) <= 3


def _imagenet_names() -> list[str]:
    return [one.name for one in imagenet_categories()]


def test_a_class_of_many_goes_on_below(built: Study) -> None:
    manifest = read_manifest(built.layout.manifest)
    blocks = list(arrange(manifest, columns=1))
    assert [block.title for block in blocks] == ["dogs", None, "cars", None, "fruits", None]
    assert [block.base_images for block in blocks][:2] == [("dogs-01",), ("dogs-02",)]
    assert Block(None, ("a",), (1, 1, 1)).height == Block("dogs", ("a",), (1, 1, 1)).height - TITLE


@given(st.floats(0, 1))
def test_a_probability_is_never_written_larger_than_it_is(p: float) -> None:
    said = p_text(p)
    if said == "P >.9999":
        assert p >= 0.9999
    else:
        assert 0 <= p - float(said.removeprefix("P ")) < 1e-4 + 1e-9 or abs(p - float(said[2:])) < 1e-9


def test_a_sheet_is_not_overwritten_unless_asked(built: Study, tmp_path: Path) -> None:
    path = write_sheet(built.layout, tmp_path / "sheet.png")
    with Image.open(path) as picture:
        assert picture.info["dpi"] == pytest.approx((DPI, DPI), rel=1e-3)
    with pytest.raises(StoreError, match="exists already"):
        write_sheet(built.layout, path)
    first = path.read_bytes()
    assert write_sheet(built.layout, path, overwrite=True).read_bytes() == first


def test_a_missing_image_leaves_no_sheet(built: Study, tmp_path: Path) -> None:
    (built.layout.stimuli / "images/AN/dogs-02_AN.png").unlink()
    with pytest.raises(ManifestError, match="dogs-02_AN.png: no such file"):
        write_sheet(built.layout, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_the_command_takes_columns(built: Study, command: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    for columns in (1, 2):
        out = tmp_path / f"{columns}.png"
        assert command("sheet", "--study", built.layout.root, "--out", out, "--columns", columns)[0] == 0
    one, two = (read_image(tmp_path / f"{columns}.png").shape for columns in (1, 2))
    assert one[0] > two[0]
    code, _, complaint = command("sheet", "--study", built.layout.root, "--out", tmp_path / "x.png", "--columns", 0)
    assert (code, "0 is not in the range" in complaint) == (2, True)
