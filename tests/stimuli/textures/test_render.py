"""Textures on disk: as many as asked, paired, repeatable, reused, never silently replaced; or the user's own."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from paradigms.tasks import lo_localizer as lo
from paradigms.tasks import retinotopy
from stimuli.__main__ import cli
from stimuli.manifest import image_id_of
from stimuli.texture_table import (
    KINDS,
    Texture,
    TextureTable,
    read_texture_pixels,
    read_textures,
    write_textures,
)
from stimuli.textures.render import render, texture_sheet
from subjects.dataset import init_study
from subjects.errors import ManifestError, SettingsError, StimulusError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings

SMALL: dict[str, object] = {"size_px": 48, "scramble_cells": 4, "n_objects": 3, "n_faces": 2, "n_words": 2,
                            "n_pictures": 3, "pieces_across": 2, "words_across": 2}


def _study(root: Path, **textures: object) -> Layout:
    return init_study(Layout(root), name="textures", seed=3, changes={"textures": {**SMALL, **textures}})


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = _study(tmp_path_factory.mktemp("textures") / "study")
    render(layout, load_settings(layout.root))
    return layout


@pytest.fixture
def copy(rendered: Layout, tmp_path: Path) -> Layout:
    return Layout(shutil.copytree(rendered.root, tmp_path / "study"))


def _bytes(layout: Layout) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in layout.stimuli.rglob("*.*")}


def test_there_are_as_many_as_asked_and_each_is_its_pixels(rendered: Layout) -> None:
    table = read_textures(rendered.textures)
    assert Counter(row.kind for row in table.rows) == {"object": 3, "face": 2, "word": 2, "intact": 3, "scrambled": 3}
    for row in table.rows:
        with Image.open(rendered.stimuli / row.file) as image:
            pixels = np.asarray(image)
        assert (pixels.shape, pixels.dtype) == ((48, 48, 3), np.uint8)
        assert row.texture_id == image_id_of(pixels)
        assert row.file == f"textures/{row.kind}-{int(row.file[-7:-4]):03d}.png"
    assert len({row.texture_id for row in table.rows}) == 13


def test_the_k_th_scrambled_one_is_the_k_th_intact_one(rendered: Layout) -> None:
    table = read_textures(rendered.textures)
    for one, other in zip(table.of_kind("intact"), table.of_kind("scrambled"), strict=True):
        pair = [read_texture_pixels(rendered.stimuli, row).reshape(-1, 3) for row in (one, other)]
        np.testing.assert_array_equal(*(pixels[np.lexsort(pixels.T)] for pixels in pair))
        assert (pair[0] != pair[1]).any()


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(rendered: Layout, tmp_path: Path) -> None:
    again = _study(tmp_path / "again")
    render(again, load_settings(again.root))
    assert {name: digest for name, digest in _bytes(again).items() if name.endswith(("png", "tsv"))} == \
        {name: digest for name, digest in _bytes(rendered).items() if name.endswith(("png", "tsv"))}
    other = init_study(Layout(tmp_path / "other"), name="textures", seed=4, changes={"textures": SMALL})
    ids = {row.texture_id for row in render(other, load_settings(other.root)).table.rows}
    assert not ids & {row.texture_id for row in read_textures(rendered.textures).rows}


def test_what_stands_is_reused_and_other_settings_are_refused(copy: Layout) -> None:
    before = _bytes(copy)
    assert render(copy, load_settings(copy.root)).reused
    changed = load_settings(copy.root, overrides={"textures.n_faces": 1})
    with pytest.raises(StimulusError, match=r"textures made with other settings, or edited since; expected "
                       r"none.*`python -m stimuli textures --study .* --overwrite`"):
        render(copy, changed)
    assert _bytes(copy) == before
    made = render(copy, changed, overwrite=True)
    assert not made.reused
    assert len(list((copy.stimuli / "textures").iterdir())) == len(made.table.rows) == 12


def test_one_changed_pixel_is_named(copy: Layout) -> None:
    path = copy.stimuli / "textures" / "face-002.png"
    with Image.open(path) as image:
        pixels = np.asarray(image).copy()
    pixels[5, 5, 1] ^= 1
    Image.fromarray(pixels).save(path)
    with pytest.raises(ManifestError, match=r"face-002.png: pixels with digest px-\w+; expected px-\w+, as in"):
        render(copy, load_settings(copy.root))


def test_an_interrupted_rendering_is_made_whole(copy: Layout) -> None:
    whole = _bytes(copy)
    overwritten = load_settings(copy.root)

    def cut(iterable: Any, *, label: str, total: int | None = None) -> Iterator[Any]:
        for k, item in enumerate(iterable):
            if k == 5:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        render(copy, overwritten, overwrite=True, progress=cut)
    assert not copy.textures.exists()
    assert not render(copy, overwritten).reused
    assert _bytes(copy) == whole


def test_the_paradigms_take_them(tmp_path: Path) -> None:
    layout = _study(tmp_path / "study", n_objects=34, n_faces=34, n_words=34, n_pictures=40)
    settings = load_settings(layout.root)
    table = render(layout, settings).table
    for task in (retinotopy, lo):
        made = task.make_schedule(settings, textures=table.rows, key=RunKey("01", "01", task.TASK, 1))
        assert set(made.image_ids) <= {row.texture_id for row in table.rows}


def _own(folder: Path, **kinds: int) -> Path:
    for kind, n in kinds.items():
        (folder / kind).mkdir(parents=True)
        for k in range(n):
            pixels = np.random.default_rng(k).integers(0, 256, (60, 90, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / kind / f"picture{k}.png")
    return folder


def test_the_users_own_pictures_are_taken_and_scrambled(tmp_path: Path) -> None:
    layout = _study(tmp_path / "study", folder=str(_own(tmp_path / "own", object=2, intact=3)))
    settings = load_settings(layout.root)
    table = render(layout, settings).table
    assert Counter(row.kind for row in table.rows) == {"object": 2, "intact": 3, "scrambled": 3}
    assert table.of_kind("intact")[1].source == "picture1.png"
    intact, other = (read_texture_pixels(layout.stimuli, table.of_kind(kind)[0]) for kind in ("intact", "scrambled"))
    np.testing.assert_array_equal(np.sort(intact.reshape(-1, 3), axis=0), np.sort(other.reshape(-1, 3), axis=0))
    assert render(layout, settings).reused
    objects = tmp_path / "own" / "object"
    (objects / "picture0.png").write_bytes((objects / "picture1.png").read_bytes())
    with pytest.raises(StimulusError, match="textures made with other settings"):
        render(layout, settings)


@pytest.mark.parametrize(("kinds", "text"), [
    ({"cats": 1}, r"sub-folder 'cats'; expected object, face, word, intact, scrambled"),
    ({}, r"no picture; expected sub-folders"),
    ({"intact": 2, "scrambled": 1}, r"'picture1' in one of intact and scrambled only; expected the same names"),
])
def test_a_folder_that_does_not_hold_is_refused(tmp_path: Path, kinds: dict[str, int], text: str) -> None:
    (tmp_path / "own").mkdir()
    layout = _study(tmp_path / "study", folder=str(_own(tmp_path / "own", **kinds)))
    with pytest.raises(StimulusError, match=text):
        render(layout, load_settings(layout.root))
    assert not (layout.stimuli / "textures").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    layout = _study(tmp_path / "study", folder="nowhere")
    with pytest.raises(StimulusError, match=r"nowhere: no such folder; expected the folder that textures.folder names"):
        render(layout, load_settings(layout.root))


def test_cells_must_divide_the_size(tmp_path: Path) -> None:
    layout = _study(tmp_path / "study")
    with pytest.raises(SettingsError, match="scramble_cells does not divide size_px = 50"):
        load_settings(layout.root, overrides={"textures.size_px": 50})


ROWS = (Texture("px-1", "textures/a.png", "intact", "a"), Texture("px-2", "textures/b.png", "scrambled", "a"))


def test_the_table_survives_the_disk(tmp_path: Path) -> None:
    table = TextureTable(ROWS)
    assert read_textures(write_textures(tmp_path / "t.tsv", table)) == table
    assert table.digest == read_textures(tmp_path / "t.tsv").digest
    assert table.digest != TextureTable((ROWS[0], Texture("px-3", "textures/b.png", "scrambled", "a"))).digest


@pytest.mark.parametrize(("rows", "text"), [
    ((Texture("px-1", "a.png", "cat", ""),), f"a.png: kind 'cat'; expected one of {', '.join(KINDS)}"),
    ((Texture("px-1", "a.png", "word", ""), Texture("px-2", "a.png", "word", "")), "a.png: a texture named twice"),
    (ROWS[:1], "1 intact and 0 scrambled; expected as many of both"),
])
def test_a_table_with_one_fault_is_refused(rows: tuple[Texture, ...], text: str) -> None:
    with pytest.raises(ManifestError, match=text):
        TextureTable(rows)


@pytest.mark.parametrize(("text", "said"), [
    ("texture_id\tfile\tkind\npx-1\ta.png\tword\n", "no column 'source'"),
    ("texture_id\tfile\tkind\tsource\tmore\npx-1\ta.png\tword\tx\ty\n", "an unknown column 'more'"),
    ("texture_id\tfile\tkind\tsource\npx-1\tn/a\tword\tx\n", "row 2: no file"),
])
def test_a_file_with_one_fault_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=said):
        read_textures(tmp_path / "t.tsv")


def test_no_table_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="Make them with `python -m stimuli textures --study "):
        read_textures(tmp_path / "t.tsv")


def test_the_sheet_has_a_row_a_kind(rendered: Layout) -> None:
    sheet = texture_sheet(read_textures(rendered.textures), rendered.stimuli, per_kind=2, side_px=20)
    assert sheet.shape == (5 * 28 + 8, 2 * 28 + 8, 3)
    assert (sheet[:8] == 255).all()
    assert (sheet[8:28, 8:28] != 255).any()


def test_the_command(tmp_path: Path) -> None:
    layout = _study(tmp_path / "study")
    sheet = tmp_path / "sheet.png"
    said = CliRunner().invoke(cli, ["textures", "--study", str(layout.root), "--sheet", str(sheet)])
    assert said.exit_code == 0, said.output
    assert "13 textures made: " in said.output
    assert sheet.is_file()
    assert "already up to date" in CliRunner().invoke(cli, ["textures", "--study", str(layout.root)]).output
