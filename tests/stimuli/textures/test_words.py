"""Words of the textures in other languages: lists, fonts, characters that are missing, textures that stay current."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from fontTools.ttLib import TTCollection, TTFont
from PIL import Image, ImageDraw, ImageFont

from stimuli.textures.pieces import WORDS, Words, _face_for, _font, load_words, word_pieces
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
    for name in ("font.ttf", "font.ttc"):
        (tmp_path / name).write_bytes(b"none")
        with pytest.raises(StimulusError, match="a file that is no font"):
            load_words(TexturesSettings(words="zh", font=name), root=tmp_path)


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


def _collection(path: Path) -> Path:
    """Put three faces of one font into a collection, as fonts with East Asian characters come."""
    made = TTCollection()
    for name in ("Test Sans JP", "Test Sans Mono CJK SC", "Test Sans CJK SC"):
        face = TTFont(mpl.get_data_path() + "/fonts/ttf/DejaVuSans.ttf")
        face["name"].setName(name, 4, 3, 1, 0x409)
        face["name"].setName(name, 4, 1, 0, 0)
        made.fonts.append(face)
    made.save(str(path))
    return path


def test_the_face_of_a_collection_is_the_languages_or_the_one_that_is_named(tmp_path: Path) -> None:
    """Its first face is often the Japanese one, whose characters look otherwise."""
    font = str(_collection(tmp_path / "font.ttc"))
    assert _face_for(font, simplified=True) == f"{font}#2"
    assert _face_for(font, simplified=False) == font
    assert _face_for(f"{font}#1", simplified=True) == f"{font}#1"
    named = [_font(f"{font}#{k}", 20).font for k in (0, 2)]
    assert all(one.family for one in named)
    (tmp_path / "w.txt").write_text("eins zwei", encoding="utf-8")
    assert load_words(TexturesSettings(words="w.txt", font="font.ttc#1"), root=tmp_path).fonts == (f"{font}#1",)
    for face in (7, "x"):
        with pytest.raises(StimulusError, match="a file that is no font"):
            load_words(TexturesSettings(words="w.txt", font=f"font.ttc#{face}"), root=tmp_path)


@needs_han
def test_chinese_words_are_written_in_the_chinese_face_of_notos_collection() -> None:
    noto = [path for path in HAN if path.name.startswith("Noto")]
    if not noto:
        pytest.skip("another font than Noto")
    chosen = load_words(TexturesSettings(words="zh", font=str(noto[0])), root=Path()).fonts[0]
    assert str(_font(chosen, 20).getname()[0]) == "Noto Sans CJK SC"
    japanese, chinese = (np.asarray(_font(name, 60).getmask("直")) for name in (str(noto[0]), chosen))
    assert japanese.shape != chinese.shape or not np.array_equal(japanese, chinese)


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
