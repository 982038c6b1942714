"""The map-collecting task: keys, mouse, maps that the importance reader takes, files that survive a crash."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from paradigms.console.clickme import task
from paradigms.console.clickme.canvas import Canvas, Views, draw_canvas, importance, uncovered
from paradigms.console.clickme.files import Uncovered, keep_uncovered, read_uncovered
from paradigms.console.clickme.task import collect_maps, order
from paradigms.emulation.scanner_and_display import RecordingDisplay
from paradigms.texts.pictures import Page
from paradigms.texts.screens import load_texts
from stimuli.alignment.importance.agreement import human_ceiling
from stimuli.alignment.importance.maps import read_importance_maps
from stimuli.manifest import read_manifest, read_pixels
from subjects.errors import ProfileError, RunLogError
from subjects.layout import Layout
from subjects.profile import register
from subjects.settings.loading import load_settings
from tests.paradigms.conftest import make_console_study

SCREEN: dict[str, object] = {"width_px": 480, "height_px": 270}


@pytest.fixture
def small(tmp_path: Path) -> Layout:
    """Give a study of ten regular images on a small screen."""
    return make_console_study(tmp_path / "small", side=32, stimuli={"per_class": 2}, display=SCREEN)


def _press(canvas: Canvas, keys: list[str]) -> Canvas:
    for key in keys:
        canvas = canvas.take(key)
    return canvas


def test_keys_move_uncover_take_back_and_end() -> None:
    start = Canvas(100, (50.0, 50.0))
    step = 0.6 * 7.0
    moved = _press(start, ["right", "right", "up", "space"])
    assert moved.disks == ((pytest.approx(50 + 2 * step), pytest.approx(50 - step)),)
    assert _press(moved, ["left", "space", "backspace"]).disks == moved.disks
    assert not _press(start, ["return", "q", "backspace"]).done
    assert _press(moved, ["return"]).done
    assert _press(start, ["left"] * 40 + ["down"] * 40).at == (0.0, 99.0)


def test_a_mouse_uncovers_in_the_image_and_not_twice_in_one_place() -> None:
    canvas = Canvas(100, (50.0, 50.0))
    for point in ((10.0, 20.0), (11.0, 21.0), (-5.0, 20.0), (20.0, 100.0), (30.0, 20.0), (33.6, 20.0)):
        canvas = canvas.touch(point)
    assert canvas.disks == ((10.0, 20.0), (30.0, 20.0), (33.6, 20.0))
    assert canvas.at == (33.6, 20.0)


def test_a_place_on_the_screen_is_one_in_the_image() -> None:
    views = Views.on((480, 270))
    left, top = views.image
    assert views.point((left + views.side / 2, top), side=32) == (pytest.approx(16.0), 0.0)
    assert views.point((left - 1, top), side=32)[0] < 0
    assert views.revealed[0] >= left + views.side
    assert views.revealed[0] + views.side <= 480
    assert 0 <= top <= 270 - views.side


def test_a_map_is_the_sum_of_its_disks_bells() -> None:
    disks = ((8.0, 3.0), (8.0, 3.0), (20.0, 25.0))
    wanted = np.zeros((32, 32))
    for x, y in disks:
        for row in range(32):
            for column in range(32):
                wanted[row, column] += np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * (0.07 * 32 / 2) ** 2))
    found = importance(disks, side=32)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert np.unravel_index(found.argmax(), found.shape) == (3, 8)
    seen = uncovered(disks, side=32)
    assert seen[3, 8]
    assert not seen[16, 16]
    assert seen.sum() == sum((row - y) ** 2 + (column - x) ** 2 <= (0.07 * 32) ** 2
                             for x, y in set(disks) for row in range(32) for column in range(32))


def test_the_screen_shows_what_is_uncovered_alone(small: Layout) -> None:
    texts = load_texts(small, load_settings(small.root))
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    page = Page((480, 270), 12.0, 128, texts.font)
    drawn = draw_canvas(Canvas(32, (5.0, 5.0), ((16.0, 16.0),)), image=image, name="owl", page=page,
                        wording=texts.wording, place=(2, 10))
    views = Views.on((480, 270))
    (left, top), side = views.revealed, views.side
    revealed = drawn[top:top + side, left:left + side].astype(int)
    assert (revealed[5:side // 4, 5:side // 4] == 128).all()
    assert np.abs(revealed[side // 2 - 3:side // 2 + 3, side // 2 - 3:side // 2 + 3] - 128).max() > 20
    whole = drawn[top:top + side, views.image[0]:views.image[0] + side].astype(int)
    corner = whole[-side // 4:-5, -side // 4:-5]
    assert 0 < np.abs(corner - 128).mean() < 0.35 * 128


def test_a_simulated_participant_s_maps_are_read_and_lie_about_the_middle(small: Layout) -> None:
    """Two of them agree, since both look there; the ceiling is that of the planted spread."""
    settings = load_settings(small.root)
    register(small, "02", virtual=True)
    for sub in ("01", "02"):
        done = collect_maps(small, settings, sub=sub, display="virtual")
        assert done.complete
        assert f"10 of 10 images, complete; maps: {small.derivatives('importance')}" in done.summary()
    manifest = read_manifest(small.manifest)
    maps = read_importance_maps(small.derivatives("importance"))
    assert set(maps.image_ids) == {one.image_id for one in manifest.stimuli if one.type == "RE"}
    assert [len(people) for people in maps.participants if people is not None] == [2] * 10
    where = np.mgrid[:32, :32].reshape(2, -1)
    middle = np.array([(where * one.ravel()).sum(axis=1) / one.sum() for one in maps.maps]).mean(axis=0)
    np.testing.assert_allclose(middle, 16.0, atol=1.5)
    ceiling = human_ceiling(maps.participants, rng=np.random.default_rng(0))
    assert ceiling is not None
    assert ceiling.split_half > 0.4
    one = manifest.by_id(maps.image_ids[0])
    np.testing.assert_array_equal(maps.images[0], read_pixels(small.stimuli, one))
    beside = json.loads(small.importance_map("01", "clickme", image_id=one.image_id).with_suffix(".json").read_text())
    assert beside["Simulated"] is True
    assert beside["n_disks"] == task.N_SIMULATED


def test_it_goes_on_where_it_was_left_and_gives_the_same_maps(small: Layout, tmp_path: Path) -> None:
    settings = load_settings(small.root)
    paused = collect_maps(small, settings, sub="01", display="virtual", most=3)
    assert (paused.n_done, paused.complete) == (3, False)
    assert "paused: the same command goes on" in paused.summary()
    path = small.clickme_answers("01", "clickme")
    kept = path.read_bytes()
    path.write_bytes(kept + b'{"trial": 4, "ima')
    assert collect_maps(small, settings, sub="01", display="virtual").complete
    assert path.read_bytes().startswith(kept)
    answers = read_uncovered(path)
    assert [one.image_id for one in answers] == [one.image_id for one in order(read_manifest(small.manifest),
                                                                               seed=settings.study.seed, sub="01")]
    assert [one.trial for one in answers] == list(range(1, 11))


class _Mouse(RecordingDisplay):
    """A display with a mouse that draws a line through the image, and then lets go."""

    n = 0

    def pointer(self) -> tuple[float, float, bool]:
        views = Views.on(self.size_px)
        self.n = self.n + 1
        return views.image[0] + 2.0 * self.n, views.image[1] + views.side / 2, self.n < 30


def test_what_is_drawn_with_the_mouse_is_uncovered(small: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "RecordingDisplay", _Mouse)
    collect_maps(small, load_settings(small.root), sub="01", display="virtual", most=1)
    answer, = read_uncovered(small.clickme_answers("01", "clickme"))
    drawn = [point for point in answer.disks if abs(point[1] - 16.0) < 0.2][:5]
    assert len(drawn) == 5
    assert np.all(np.diff([x for x, _ in drawn]) >= 0.5 * 0.07 * 32)


def test_answers_to_another_set_and_broken_ones_are_refused(small: Layout, tmp_path: Path) -> None:
    settings, path = load_settings(small.root), small.clickme_answers("01", "clickme")
    keep_uncovered(path, Uncovered(1, "px-ffffffffffffffff", 32, ((1.0, 2.0),), 3.0))
    with pytest.raises(RunLogError, match="image px-ffffffffffffffff at place 1"):
        collect_maps(small, settings, sub="01", display="virtual")
    other = load_settings(small.root, overrides={"study.seed": settings.study.seed + 1})
    path.unlink()
    collect_maps(small, settings, sub="01", display="virtual", most=2)
    with pytest.raises(RunLogError, match="as this set and seed have it"):
        collect_maps(small, other, sub="01", display="virtual")
    path.write_text('{"trial": 1}\n', encoding="utf-8")
    with pytest.raises(RunLogError, match="line 1: text that is no answer"):
        read_uncovered(path)


def test_nobody_is_simulated_in_a_volunteer_s_place(small: Layout) -> None:
    register(small, "07")
    with pytest.raises(ProfileError, match="simulated importance maps"):
        collect_maps(small, load_settings(small.root), sub="07", display="virtual")
