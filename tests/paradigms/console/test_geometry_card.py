"""The geometry card: its ruler by trigonometry, its orientation, its grey levels."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import run_session
from paradigms.console.geometry_card import N_GREYS, draw_card, eccentricity_px
from subjects.errors import DeviceError
from subjects.layout import Layout
from subjects.settings.display import DisplaySettings

ROOT = Path(__file__).resolve().parents[3]

DISPLAY = DisplaySettings()
YELLOW = (240, 200, 60)


@pytest.mark.parametrize("deg", [1.0, 5.0, 6.0, 10.0])
def test_eccentricity_is_distance_times_tangent(deg: float) -> None:
    wanted_cm = 168.0 * math.tan(math.radians(deg))
    assert eccentricity_px(DISPLAY, deg) == pytest.approx(wanted_cm * 1920 / 89)


def test_the_square_is_where_images_are() -> None:
    card = draw_card(DISPLAY)
    yellow = np.all(card == YELLOW, axis=2)
    columns = np.flatnonzero(yellow[700:800].all(axis=0))
    assert columns.max() - columns.min() + 1 == pytest.approx(762, abs=4)
    assert (columns.max() + columns.min()) / 2 == pytest.approx(960, abs=1)


@pytest.mark.parametrize("deg", [-10, -5, -1, 1, 5, 10])
def test_a_tick_stands_at_every_degree(deg: int) -> None:
    card = draw_card(DISPLAY)
    at = round(960 + math.copysign(eccentricity_px(DISPLAY, abs(deg)), deg))
    above = card[533:537, at - 3:at + 4].max(axis=2)
    assert (above == 0).all(axis=0).any()
    away = card[533:537, at + 12:at + 18].max(axis=2)
    assert not (away == 0).all(axis=0).any()


def test_every_grey_level_is_there() -> None:
    card = draw_card(DISPLAY)
    corner = card[860:960, 96:440]
    levels = {int(level) for level in np.unique(corner) if np.all(corner == level, axis=2).sum() > 1000}
    assert set(np.round(np.linspace(0, 255, N_GREYS)).astype(int)) <= levels | {127}


def test_no_mirror_image_of_it_is_the_same_and_the_rim_is_marked() -> None:
    card = draw_card(DISPLAY)
    for other in (card[:, ::-1], card[::-1], card[::-1, ::-1]):
        assert np.any(other != card, axis=2).mean() > 0.005
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert card[row, column].tolist() == [220, 40, 40]


def test_images_larger_than_the_screen_are_refused() -> None:
    with pytest.raises(DeviceError, match="expected images that fit on the screen"):
        draw_card(DISPLAY, image_deg=20.0)


@pytest.mark.parametrize("size", [(1024, 768), (1280, 1024), (3840, 2160)])
def test_other_screens_get_a_card_of_their_own_size(size: tuple[int, int]) -> None:
    display = DisplaySettings(width_px=size[0], height_px=size[1], width_cm=40.0, height_cm=30.0, distance_cm=100.0)
    assert draw_card(display).shape == (size[1], size[0], 3)


def test_the_command_writes_a_new_file_and_shows_the_card(study: Layout, tmp_path: Path) -> None:
    out = tmp_path / "card.png"
    arguments = ["card", "--study", str(study.root), "--out", str(out)]
    done = CliRunner().invoke(run_session.cli, arguments, standalone_mode=False)
    assert done.exception is None
    np.testing.assert_array_equal(np.asarray(Image.open(out)), draw_card(DISPLAY))
    again = CliRunner().invoke(run_session.cli, arguments, standalone_mode=False)
    assert "a file that exists already" in str(again.exception)


@pytest.mark.window
def test_the_card_stands_on_the_display(study: Layout) -> None:
    done = subprocess.run([sys.executable, "run_session.py", "card", "--study", str(study.root), "--windowed",
                           "--display", "xvfb", "--seconds", "0.5"], cwd=ROOT,
                          capture_output=True, text=True, check=False,
                          env={key: value for key, value in os.environ.items() if key != "DISPLAY"})
    assert done.returncode == 0, done.stderr
    assert re.search(r"card shown for 0\.[56] s", done.stdout)
