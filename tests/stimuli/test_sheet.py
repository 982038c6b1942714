"""The contact sheet shows every image of the set in its place, with a label that fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stimuli.categories import demo_categories
from stimuli.manifest import read_image, read_manifest, read_pixels
from stimuli.sheet import BAND, GAP, HEAD, LABEL, MARGIN, PAPER, SIDE, THUMB, _fitting, _font, chance_text, write_sheet
from subjects.errors import ManifestError, StoreError
from tests.stimuli.tiny import Study


@pytest.fixture
def sheet(built: Study, tmp_path: Path) -> np.ndarray:
    return read_image(write_sheet(built.layout, tmp_path / "sheet.png"))


def _place(*, band: int, row: int, column: int) -> tuple[int, int]:
    band_height = BAND + 3 * (THUMB + LABEL) + GAP
    return MARGIN + HEAD + band * band_height + BAND + row * (THUMB + LABEL), MARGIN + SIDE + column * (THUMB + GAP)


def test_every_image_stands_in_its_place(built: Study, sheet: np.ndarray) -> None:
    manifest = read_manifest(built.layout.manifest)
    for band, kind in enumerate(("dogs", "cars", "fruits")):
        for column in range(2):
            for row, type_ in enumerate(("RE", "AN", "AI")):
                one = manifest.get(base_image=f"{kind}-{column + 1:02d}", type=type_)
                y, x = _place(band=band, row=row, column=column)
                shown = Image.fromarray(sheet[y:y + THUMB, x:x + THUMB]).resize((6, 6), Image.Resampling.BOX)
                wanted = Image.fromarray(read_pixels(built.layout.stimuli, one)).resize((6, 6), Image.Resampling.BOX)
                assert np.abs(np.asarray(shown, float) - np.asarray(wanted, float)).mean() < 6.0, one.file


def test_every_image_has_a_label_and_nothing_is_cut_off(sheet: np.ndarray) -> None:
    for band in range(3):
        for column in range(2):
            for row in range(3):
                y, x = _place(band=band, row=row, column=column)
                strip = sheet[y + THUMB:y + THUMB + LABEL, x:x + THUMB]
                assert (strip[:, : THUMB // 2] < 100).any()
                assert (strip[:, THUMB // 2:] < 180).any()
    edges = np.concatenate([sheet[:8].reshape(-1, 3), sheet[-8:].reshape(-1, 3), sheet[:, :8].reshape(-1, 3),
                            sheet[:, -8:].reshape(-1, 3)])
    assert (edges == PAPER).all()


@pytest.mark.parametrize("category", [name for _, name in demo_categories()])
def test_every_label_leaves_room_for_its_probability(category: str) -> None:
    room = THUMB - _font(12).getlength("P >.9999") - 6
    assert _fitting(category, room=room).getlength(category) <= room
    assert _fitting(category, room=room).size >= 10


@given(st.floats(0, 1))
def test_a_probability_is_never_written_larger_than_it_is(p: float) -> None:
    said = chance_text(p)
    if said == "P >.9999":
        assert p >= 0.9999
    else:
        assert 0 <= p - float(said.removeprefix("P ")) < 1e-4 + 1e-9 or abs(p - float(said[2:])) < 1e-9


def test_a_sheet_is_not_overwritten_unless_asked(built: Study, tmp_path: Path) -> None:
    path = write_sheet(built.layout, tmp_path / "sheet.png")
    with pytest.raises(StoreError, match="exists already"):
        write_sheet(built.layout, path)
    first = path.read_bytes()
    assert write_sheet(built.layout, path, overwrite=True).read_bytes() == first


def test_a_missing_image_leaves_no_sheet(built: Study, tmp_path: Path) -> None:
    (built.layout.stimuli / "images/AN/dogs-02_AN.png").unlink()
    with pytest.raises(ManifestError, match="dogs-02_AN.png: no such file"):
        write_sheet(built.layout, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
