"""Words of the textures in other languages: lists, fonts, characters that are missing, textures that stay current."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from stimuli.textures.pieces import WORDS, Words, load_words, word_pieces
from stimuli.textures.render import render
from subjects.dataset import init_study
from subjects.errors import StimulusError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.settings.images import TexturesSettings
from subjects.settings.loading import load_settings
from subjects.store import read_json

SYSTEM = Path("/usr/share/fonts")
HAN = sorted([*SYSTEM.rglob("wqy-microhei.ttc"), *SYSTEM.rglob("NotoSansCJK-Regular.ttc")])
needs_han = pytest.mark.skipif(not HAN, reason="no font with Chinese characters on this computer")
SMALL: dict[str, object] = {"size_px": 48, "scramble_cells": 4, "n_objects": 0, "n_faces": 0, "n_words": 2,
                            "n_pictures": 0, "words_across": 2}


def test_the_default_is_the_words_of_the_first_release() -> None:
    assert load_words(TexturesSettings(), root=Path()) == Words() == Words(WORDS)


def test_words_of_ones_own_in_another_script(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("солнце луна\nморе луна\n", encoding="utf-8")
    words = load_words(TexturesSettings(words="w.txt"), root=tmp_path)
    assert words.words == ("солнце", "луна", "море")
    pieces = word_pieces(6, rng=np.random.default_rng(0), side_px=60, words=words)
    assert all(piece.getchannel("A").getextrema()[1] == 255 for piece in pieces)


@pytest.mark.parametrize(("text", "said"), [("", "no word"), ("動物", r"動 \(U\+52D5\) and 1 more"),
                                            (None, "a list that cannot be read")])
def test_what_cannot_be_written_is_refused_before_anything_is_drawn(tmp_path: Path, text: str | None,
                                                                    said: str) -> None:
    layout = init_study(Layout(tmp_path / "study"), name="words", seed=1, changes={"textures": {**SMALL,
                                                                                  "words": "w.txt"}})
    if text is not None:
        (layout.root / "w.txt").write_text(text, encoding="utf-8")
    before = sorted(layout.root.rglob("*"))
    with pytest.raises(StimulusError, match=said):
        render(layout, load_settings(layout.root))
    assert sorted(layout.root.rglob("*")) == before


def test_a_file_that_is_no_font_is_refused(tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_bytes(b"none")
    with pytest.raises(StimulusError, match="a file that is no font"):
        load_words(TexturesSettings(font="font.ttf"), root=tmp_path)


@needs_han
def test_chinese_words_are_drawn_with_their_glyphs() -> None:
    words = load_words(TexturesSettings(words="zh", font=str(HAN[0])), root=Path())
    assert len(words.words) >= 40
    font = ImageFont.truetype(str(HAN[0]), 40)
    pens = []
    for word in (words.words[0], "\uffff\uffff"):
        picture = Image.new("L", (100, 60))
        ImageDraw.Draw(picture).text((2, 2), word, font=font, fill=255)
        pens.append(np.asarray(picture))
    assert not np.array_equal(*pens)


def test_another_list_makes_other_textures_and_the_same_one_is_reused(tmp_path: Path) -> None:
    layout = init_study(Layout(tmp_path / "study"), name="words", seed=1, changes={"textures": SMALL})
    first = render(layout, load_settings(layout.root))
    assert set(read_json(sidecar_path(layout.textures))["inputs"]) == {"drawings"}
    assert render(layout, load_settings(layout.root)).reused
    (layout.root / "w.txt").write_text("eins zwei drei", encoding="utf-8")
    settings = load_settings(layout.root, overrides={"textures.words": "w.txt"})
    with pytest.raises(StimulusError, match="made with other settings"):
        render(layout, settings)
    second = render(layout, settings, overwrite=True)
    assert {one.texture_id for one in first.table.rows}.isdisjoint(one.texture_id for one in second.table.rows)
    assert render(layout, settings).reused
    (layout.root / "w.txt").write_text("vier zwei drei", encoding="utf-8")
    with pytest.raises(StimulusError, match="made with other settings"):
        render(layout, settings)
