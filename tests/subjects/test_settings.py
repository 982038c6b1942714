from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from subjects.errors import SettingsError
from subjects.layout import STUDY_FORMAT
from subjects.settings.display import DisplaySettings
from subjects.settings.loading import load_settings, write_settings
from subjects.settings.paradigms import MainSettings
from subjects.settings.study import Settings


def test_the_defaults_are_the_protocols_numbers() -> None:
    settings = Settings()
    main, display = settings.main, settings.display
    assert (main.sessions, main.runs, main.presentations, main.blank_trials) == (2, 5, 2, 9)
    assert (main.blank_s, main.image_s, main.lead_in_s, main.lead_out_s) == (2, 2, 20, 20)
    assert (display.width_px, display.height_px, display.refresh_hz) == (1920, 1080, 120)
    assert (display.width_cm, display.height_cm, display.distance_cm) == (89, 50, 168)
    assert (settings.scanner.tr_s, settings.roi.radius_mm, settings.roi.vertices_per_hemisphere) == (2, 3, 100)
    assert settings.departures() == ()


@pytest.mark.parametrize(("deg", "cm"), [(12.0, 35.3157), (0.2, 0.58643)])
def test_extent_is_that_of_a_centred_stimulus(deg: float, cm: float) -> None:
    display = DisplaySettings()
    assert display.px_for(deg) * display.width_cm / display.width_px == pytest.approx(cm, abs=1e-3)


@given(st.floats(0.1, 60), st.floats(20, 300))
def test_extent_inverts_to_the_angle(deg: float, distance: float) -> None:
    display = DisplaySettings(distance_cm=distance)
    extent_cm = display.px_for(deg) * display.width_cm / display.width_px
    assert 2 * math.degrees(math.atan2(extent_cm / 2, distance)) == pytest.approx(deg, rel=1e-9)


def _file(folder: Path, text: str) -> Path:
    (folder / "study.toml").write_text(f"format = {STUDY_FORMAT}\n{text}", encoding="utf-8")
    return folder


def test_layers_from_weak_to_strong(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text("[scanner]\ntr_s = 1.5\nn_dummies = 4\n[display]\nrefresh_hz = 60.0\n", encoding="utf-8")
    study = _file(tmp_path, "[scanner]\ntr_s = 1.0\n")
    settings = load_settings(study, site=site, overrides={"scanner.n_dummies": 2})
    assert (settings.scanner.tr_s, settings.scanner.n_dummies, settings.display.refresh_hz) == (1.0, 2, 60.0)
    assert {key for key, _, _ in settings.departures()} == {"scanner.tr_s", "scanner.n_dummies", "display.refresh_hz"}


def test_what_the_site_brings_is_not_blamed_on_the_study_alone(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[scanner]\ntrigger_key = "space"\n', encoding="utf-8")
    study = _file(tmp_path, '[main]\nabort_key = "space"\n')
    with pytest.raises(SettingsError) as clash:
        load_settings(study, site=site)
    assert str(clash.value).startswith(f"{site} with {study / 'study.toml'}: ")
    with pytest.raises(SettingsError) as missing:
        load_settings(study, site=tmp_path / "nowhere.toml")
    assert str(missing.value).startswith(f"--site {tmp_path / 'nowhere.toml'}: no such file")
    assert "init" not in str(missing.value)


@pytest.mark.parametrize(("text", "message"), [
    ("[scaner]\ntr_s = 1\n", "unknown setting 'scaner'; expected a known setting. Did you mean 'scanner'?"),
    ("[main]\nrunz = 1\n", "unknown setting 'main.runz'; expected a known setting. Did you mean 'main.runs'?"),
    ("[main]\nruns = 0\n", "main.runs = 0; expected a value greater than or equal to 1"),
    ("[main]\nruns = 'five'\n", "main.runs = 'five'; expected a valid integer"),
    ("[stimuli]\nre_p = 1.0\n", "stimuli.re_p = 1.0; expected a value less than 1"),
    ("[stimuli]\nanimal_classes = ['cats']\n", "names ['cats'], which classes does not"),
    ("[stimuli]\nclasses = ['dogs', 'dogs', 'birds', 'aquatic']\n", "names one class twice"),
    ("[main\nruns = 1\n", "text that is not TOML"),
    ("[glm]\ndrift_minutes = true\n", "drift_minutes is true, which is no number and no text"),
    ("[rsa]\nn_permutations = true\n", "n_permutations is true, which is no number and no text"),
    ("[main]\n[scanner]\n[main]\nruns = 1\n", "The file has a table [main] already: put the settings there."),
])
def test_a_wrong_setting_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(_file(tmp_path, text))
    assert message in str(caught.value)
    assert "study.toml" in str(caught.value)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    folder = _file(tmp_path, "")
    (folder / "study.toml").write_bytes(b"\xef\xbb\xbf[scanner]\r\ntr_s = 1.5\r\n")
    assert load_settings(folder).scanner.tr_s == 1.5


def test_a_missing_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="python -m subjects init"):
        load_settings(tmp_path)


def test_an_unknown_flag_is_an_error() -> None:
    with pytest.raises(SettingsError, match="a flag: an unknown setting 'scanner.trs'"):
        load_settings(overrides={"scanner.trs": 1})


def test_written_settings_come_back(tmp_path: Path) -> None:
    write_settings(tmp_path / "study.toml", {"main": {"runs": 3, "fixation_color": [0, 255, 0]}})
    settings = load_settings(tmp_path)
    assert settings == Settings(main=MainSettings(runs=3, fixation_color=(0, 255, 0)))
    assert settings.digest != Settings().digest


def test_invalid_settings_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"main\.runs"):
        write_settings(tmp_path / "study.toml", {"main": {"runs": 0}})
    assert list(tmp_path.iterdir()) == []


def test_settings_are_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        Settings().main.runs = 3  # type: ignore[misc]


@pytest.mark.parametrize(("change", "said"), [
    ({"scanner": {"tr_s": float("inf")}}, "finite"),
    ({"main": {"image_s": 1e308}}, "3600"), ({"main": {"image_s": 0.0}}, "greater than 0"),
    ({"main": {"fixation_color": [300, -1, 0]}}, "255"),
])
def test_settings_that_would_ruin_a_run_are_refused(change: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(change)
