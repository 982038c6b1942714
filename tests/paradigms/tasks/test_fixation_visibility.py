"""The fixation point is seen on every picture: measured on the screen as it is composed."""

from __future__ import annotations

import numpy as np
import pytest

from paradigms.devices.protocols import Frame, Pixels
from paradigms.tasks import lo_localizer, main_task
from stimuli.categories import DEMO_CATEGORIES
from stimuli.networks.demo.drawings import draw
from subjects.settings.study import LoSettings, MainSettings, Settings
from tests.paradigms.visibility import lab, rim_difference, screenshot

SETTINGS = Settings()
PLAIN = Settings(main=MainSettings(surround_deg=0.0), lo=LoSettings(surround_deg=0.0))
COLORS = SETTINGS.lo.fixation_colors


def seen(frame: Frame, pixels: Pixels) -> float:
    return rim_difference(screenshot(frame, {"picture": pixels}), fixation_px=frame.fixation_px,
                          fixation_color=frame.fixation_color)


def flat(*color: int) -> Pixels:
    return np.full((8, 8, 3), color, dtype=np.uint8)


def test_colour_differences_are_those_of_the_standard() -> None:
    """White, black and the sRGB red, from the published coordinates under D65."""
    assert lab(flat(255, 255, 255)[0, 0]) == pytest.approx([100, 0, 0], abs=0.02)
    assert lab(flat(0, 0, 0)[0, 0]) == pytest.approx([0, 0, 0], abs=1e-6)
    assert lab(flat(255, 0, 0)[0, 0]) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    assert lab(flat(127, 127, 127)[0, 0]) == pytest.approx([53.19, 0, 0], abs=0.02)


def test_the_point_is_seen_on_every_drawn_picture_as_it_is_in_a_blank() -> None:
    blank = main_task.frame_for(SETTINGS)
    in_a_blank = rim_difference(screenshot(blank, {}), fixation_px=blank.fixation_px, fixation_color=(255, 0, 0))
    assert in_a_blank == pytest.approx(np.hypot(80.09, 67.20), abs=0.1)
    with_it, without = [], []
    for k, category in enumerate(name for names in DEMO_CATEGORIES.values() for name in names):
        pixels = draw(category, rng=np.random.default_rng(k))
        with_it.append(seen(main_task.frame_for(SETTINGS, image_id="picture"), pixels))
        without.append(seen(main_task.frame_for(PLAIN, image_id="picture"), pixels))
    assert len(with_it) == 40
    assert min(with_it) == pytest.approx(in_a_blank, abs=0.1)
    assert min(without) < 40.0


@pytest.mark.parametrize("picture", [(255, 0, 0), (0, 0, 0), (127, 127, 127), (255, 255, 255)])
@pytest.mark.parametrize("color", COLORS)
def test_no_picture_hides_any_colour_of_the_point(picture: tuple[int, ...], color: tuple[int, int, int]) -> None:
    """Also one of the point's own colour, on which a point without surround cannot be seen at all."""
    frame = lo_localizer.frame_for(SETTINGS, image_id="picture", color=color)
    assert seen(frame, flat(*picture)) > 45.0
    bare = lo_localizer.frame_for(PLAIN, image_id="picture", color=color)
    assert (seen(bare, flat(*picture)) < 1.0) == (picture == color)


def test_the_surround_hides_no_more_than_its_disk() -> None:
    frame, bare = (main_task.frame_for(one, image_id="picture") for one in (SETTINGS, PLAIN))
    pixels = np.random.default_rng(0).integers(0, 100, (227, 227, 3), dtype=np.uint8)
    differs = np.any(screenshot(frame, {"picture": pixels}) != screenshot(bare, {"picture": pixels}), axis=2)
    rows, columns = np.nonzero(differs)
    assert np.hypot(rows - 539.5, columns - 959.5).max() <= SETTINGS.display.px_for(0.4) / 2 + 0.5
    assert differs.sum() == pytest.approx(np.pi / 4 * (frame.surround_px ** 2 - frame.fixation_px ** 2), rel=0.05)
