"""Luminance: curves and gammas in closed form, the table that straightens them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from subjects.dataset import init_study
from subjects.errors import SettingsError
from subjects.layout import Layout
from subjects.settings.display import DisplaySettings
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings


def _gamma(**more: object) -> DisplaySettings:
    return DisplaySettings.model_validate({"gamma": 2.2, "black_cd_m2": 0.5, "white_cd_m2": 200.5, **more})


def test_a_gamma_gives_its_closed_form() -> None:
    light = _gamma().luminance_of()
    assert light[[0, 127, 255]] == pytest.approx([0.5, 0.5 + 200 * (127 / 255) ** 2.2, 200.5])


def test_a_curve_is_interpolated_between_what_was_measured() -> None:
    curve = DisplaySettings(curve=((0, 1.0), (100, 11.0), (255, 166.0)))
    assert curve.luminance_of()[[0, 50, 100, 101, 255]] == pytest.approx([1, 6, 11, 12, 166])
    assert curve.level_table().tolist() == list(range(256))


@pytest.mark.parametrize("display", [_gamma(linearise=True), DisplaySettings.model_validate(
    {"linearise": True, "curve": [[0, 0.3], [60, 2.0], [128, 30.0], [255, 150.0]]})])
def test_through_the_table_luminance_is_as_linear_as_256_levels_allow(display: DisplaySettings) -> None:
    light, table = display.luminance_of(), display.level_table()
    wanted = np.linspace(light[0], light[-1], 256)
    best = np.array([np.abs(light - one).min() for one in wanted])  # by a plain loop
    assert np.abs(light[table] - wanted) == pytest.approx(best, abs=1e-9)
    assert (table[0], table[255]) == (0, 255)
    assert np.abs(light[table] - wanted).max() <= np.diff(light).max() / 2 + 1e-9
    assert (np.diff(table.astype(int)) >= 0).all()


def test_the_mean_of_a_picture_is_that_of_its_pixels() -> None:
    picture = np.array([[[0, 0, 0], [255, 255, 255]], [[127, 127, 127], [255, 0, 0]]], dtype=np.uint8)
    light = _gamma().luminance_of()
    red = 0.2126 * light[255] + (0.7152 + 0.0722) * light[0]
    assert _gamma().mean_luminance(picture) == pytest.approx(np.mean([light[0], light[255], light[127], red]))
    straight = _gamma(linearise=True)
    assert straight.mean_luminance(np.full((4, 4, 3), 51, dtype=np.uint8)) == pytest.approx(0.5 + 200 / 5, rel=0.01)


@pytest.mark.parametrize(("values", "said"), [
    ({"curve": [[1, 0.0], [255, 9.0]]}, "levels from 0 to 255"), ({"curve": [[0, 1.0], [255, 1.0]]}, "rise"),
    ({"curve": [[0, 1.0], [9, 3.0], [5, 4.0], [255, 9.0]]}, "in order"),
    ({"curve": [[0, 1.0], [9, 5.0], [255, 4.0]]}, "rise"), ({"black_cd_m2": 100.0}, "not above black")])
def test_what_is_no_calibration_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DisplaySettings.model_validate(values)


def test_a_table_without_a_calibration_is_refused_where_it_is_asked_for() -> None:
    with pytest.raises(SettingsError, match="neither display.curve nor display.gamma; expected a calibrated display"):
        DisplaySettings(linearise=True).level_table()


def test_the_curve_may_come_from_the_site_and_the_wish_from_the_study(tmp_path: Path) -> None:
    layout = init_study(Layout(tmp_path / "s"), name="x", seed=1, changes={"display": {"linearise": True}})
    site = tmp_path / "site.toml"
    site.write_text("[display]\ncurve = [[0, 0.0], [255, 100.0]]\n", encoding="utf-8")
    assert load_settings(layout.root, site=site).display.level_table().tolist() == list(range(256))


def test_without_a_calibration_nothing_changes() -> None:
    display = Settings().display
    assert not display.is_calibrated
    assert display.level_table().tolist() == list(range(256))
