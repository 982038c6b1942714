"""The preflight: every check finds the one fault it is for, and nothing where there is none."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from paradigms.console import preflight
from paradigms.console.panels import preflight_panel
from paradigms.console.preflight import (
    check_clock,
    check_consent,
    check_disk,
    check_images,
    check_inputs,
    check_records,
    check_refresh,
    check_resolution,
    check_settings,
)
from paradigms.devices.protocols import Frame, Press, Pulse
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.playing.play_run import play_run
from paradigms.playing.run_devices import Devices
from paradigms.record.departures import differences
from paradigms.tasks.catalogue import task_of
from stimuli.textures.render import render
from subjects.dataset import Person
from subjects.errors import ProfileError, ScheduleError
from subjects.layout import Layout
from subjects.profile import load_profile, register
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.store import read_json
from tests.paradigms.conftest import make_console_study

SETTINGS = Settings()


class Scripted:
    """A trigger or a button box that tells prepared things at prepared times."""

    def __init__(self, clock: VirtualClock, told: list[Pulse] | list[Press]) -> None:
        self._clock, self._told = clock, list(told)

    def open(self) -> None: ...
    def close(self) -> None: ...

    def _due(self) -> list[Pulse | Press]:
        due = [one for one in self._told if one.stamp_s <= self._clock.now()]
        self._told = [one for one in self._told if one not in due]
        return due

    pulses = presses = _due


def devices(*, pulses: list[float], presses: dict[str, float], refresh_hz: float = 120.0) -> Devices:
    clock = VirtualClock()
    return Devices(clock, trigger=Scripted(clock, [Pulse(100.0 + t, "test", "5") for t in pulses]),
                   responses=Scripted(clock, [Press(100.0 + t, key, "test") for key, t in presses.items()]),
                   display=RecordingDisplay(clock, size_px=(1920, 1080), refresh_hz=refresh_hz), poll_s=0.25)


def test_buttons_and_trigger_are_seen() -> None:
    buttons, trigger = check_inputs(devices(pulses=[1.0, 3.0], presses={"1": 2.0, "2": 4.0}), keys=("1", "2"),
                                    timeout_s=10.0)
    assert (buttons.ok, trigger.ok) == (True, True)
    assert trigger.came == "pulses: 2"


def test_the_wait_ends_as_soon_as_all_is_seen() -> None:
    made = devices(pulses=[1.0], presses={"1": 2.0, "2": 2.0})
    check_inputs(made, keys=("1", "2"), timeout_s=60.0)
    assert made.clock.now() < 103.0


def test_a_button_that_never_comes_is_named() -> None:
    buttons, trigger = check_inputs(devices(pulses=[], presses={"1": 1.0, "7": 2.0}), keys=("1", "2"), timeout_s=5.0)
    assert not buttons.ok
    assert buttons.came == "'1', '7'"
    assert buttons.remedy.startswith("Press '2';")
    assert (trigger.ok, trigger.came) == (False, "no pulse")


class OtherBytes(Scripted):
    """A serial trigger at the wrong speed."""

    checks = "serial_trigger.baud"

    def came_instead(self) -> str:
        return "bytes that are no pulse came (byte 128 9 times)"


def test_a_trigger_that_sends_something_else_is_named_with_its_own_settings() -> None:
    made = devices(pulses=[], presses={"1": 1.0})
    _, keyboard = check_inputs(made, keys=("1",), timeout_s=5.0)
    assert "check the cable, scanner.trigger_key and" in keyboard.remedy
    _, serial = check_inputs(replace(made, trigger=OtherBytes(made.clock, [])), keys=("1",), timeout_s=5.0)
    assert serial.came == "no pulse; bytes that are no pulse came (byte 128 9 times)"
    assert "check the cable, serial_trigger.baud and" in serial.remedy


@pytest.mark.parametrize(("real", "ok"), [(120.0, True), (119.4, True), (60.0, False), (144.0, False)])
def test_the_refresh_is_measured_not_believed(real: float, ok: bool) -> None:
    made = devices(pulses=[], presses={}, refresh_hz=real)
    made.display.open()
    found = check_refresh(made, SETTINGS.display)
    assert found.ok is ok
    assert f"{real:.2f} Hz" in found.came


class Hasty(RecordingDisplay):
    """A display without a retrace: a flip takes no time."""

    def flip(self) -> float:
        return self._clock.now()


def test_a_display_without_retrace_is_found_out() -> None:
    clock = VirtualClock()
    made = Devices(clock, trigger=Scripted(clock, []), responses=Scripted(clock, []),
                   display=Hasty(clock, size_px=(1920, 1080), refresh_hz=120.0))
    made.display.open()
    found = check_refresh(made, SETTINGS.display)
    assert not found.ok
    assert "nothing waits for the retrace" in found.came


def test_a_screen_of_another_size_is_named() -> None:
    display = RecordingDisplay(VirtualClock(), size_px=(1280, 1024), refresh_hz=120.0)
    found = check_resolution(display, SETTINGS.display)
    assert (found.ok, found.came) == (False, "1280x1024")
    assert "1920x1080" in found.remedy


def test_a_wall_clock_that_moves_by_itself_is_found() -> None:
    class Stepping(VirtualClock):
        def wall(self) -> float:
            return super().wall() + (3600.0 if self.now() > 100.1 else 0.0)

    assert check_clock(VirtualClock()).ok
    found = check_clock(Stepping())
    assert not found.ok
    assert "3600000.0 ms" in found.came


def test_a_full_or_closed_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    assert check_disk(layout, least_gb=1e-6).ok
    assert list((tmp_path / "sourcedata").iterdir()) == []
    full = check_disk(layout, least_gb=1e9)
    assert not full.ok
    assert "at least 1e+09 GB" in full.remedy

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(preflight.tempfile, "NamedTemporaryFile", refuse)
    assert "Permission denied" in check_disk(layout).came


def test_images_are_held_against_their_digests(small_console: Layout) -> None:
    tasks = [task_of("main", load_settings(small_console.root))]
    assert check_images(small_console, tasks, sub="01", ses="01").ok
    for path in sorted(small_console.stimuli.rglob("*_AI.png")):
        image = Image.open(path).convert("RGB")
        image.putpixel((0, 0), (1, 2, 3))
        image.save(path)
    found = check_images(small_console, tasks, sub="01", ses="01")
    assert not found.ok
    assert "_AI.png" in found.came


def test_settings_are_compared_with_the_last_run(small_console: Layout) -> None:
    settings = load_settings(small_console.root)
    assert check_settings(small_console, settings, sub="01").came == "no earlier run of this subject"
    play_run(small_console, settings, key=RunKey("01", "01", "main", 1), scanner="emulated", display="virtual")
    assert check_settings(small_console, settings, sub="01").ok
    other = load_settings(small_console.root, overrides={"display.distance_cm": 150.0})
    found = check_settings(small_console, other, sub="01")
    assert (found.ok, found.came) == (False, "display.distance_cm: 168.0 then, 150.0 now")


def test_a_setting_that_came_or_went_is_a_difference() -> None:
    assert list(differences({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}})) == ["a.c: None then, 2 now"]


def test_a_run_that_was_cut_off_is_not_forgotten(small_console: Layout) -> None:
    settings = load_settings(small_console.root)
    assert check_records(small_console).ok
    play_run(small_console, settings, key=RunKey("01", "01", "main", 1), scanner="emulated", display="virtual")
    journal = small_console.journal(RunKey("01", "01", "main", 1), attempt=1)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:40]))
    shutil.rmtree(small_console.events(RunKey("01", "01", "main", 1)).parent)
    found = check_records(small_console)
    assert not found.ok
    assert journal.name in found.came


def test_the_frame_of_the_refresh_check_shows_no_text() -> None:
    drawn: list[Frame] = []

    class Watching(RecordingDisplay):
        def draw(self, frame: Frame) -> None:
            drawn.append(frame)
            super().draw(frame)

    clock = VirtualClock()
    made = Devices(clock, trigger=Scripted(clock, []), responses=Scripted(clock, []),
                   display=Watching(clock, size_px=(1920, 1080), refresh_hz=120.0))
    made.display.open()
    check_refresh(made, SETTINGS.display, n_flips=5)
    assert len(drawn) == 5
    assert {(frame.text, frame.image_id) for frame in drawn} == {(None, None)}


# ------------------------------------------------------------------------- the whole preflight

def preflight_of(layout: Layout, **changed: object) -> preflight.Preflight:
    options: dict[str, object] = {"sub": "01", "ses": "01", "scanner": "emulated", "display": "virtual", **changed}
    return preflight.make_preflight(layout, load_settings(layout.root), **options)  # type: ignore[arg-type]


def test_a_good_console_passes_and_the_findings_are_kept(small_console: Layout) -> None:
    made = preflight_of(small_console)
    assert made.passed
    assert [one.name for one in made.findings] == ["disk", "records", "settings", "images", "texts", "consent", "clock",
                                                   "screen", "resolution", "refresh", "buttons", "trigger"]
    preflight_of(small_console)
    kept = sorted(small_console.source_dir("01", "01").glob("*_preflight-*.json"))
    assert [path.name[-7:] for path in kept] == ["01.json", "02.json"]
    record = read_json(kept[0])
    assert (record["passed"], record["scanner"], len(record["findings"])) == (True, "emulated", 12)


def test_the_preflight_fails_unless_the_finding_is_accepted(small_console: Layout) -> None:
    settings = load_settings(small_console.root)
    play_run(small_console, settings, key=RunKey("01", "01", "main", 1), scanner="emulated", display="virtual")
    text = small_console.settings_file.read_text(encoding="utf-8")
    small_console.settings_file.write_text(text.replace("[display]\n", "[display]\ndistance_cm = 150.0\n"),
                                           encoding="utf-8")
    refused = preflight_of(small_console)
    assert not refused.passed
    assert [one.name for one in refused.findings if not one.ok] == ["settings"]
    text = printed(preflight_panel(refused, sub="01", ses="01"))
    assert "the preflight found faults" in text
    assert "NOT YET" in text
    assert "distance_cm: 168.0 then, 150.0 now" in text
    accepted = preflight_of(small_console, accepted=("settings",))
    assert accepted.passed
    assert "accepted" in printed(preflight_panel(accepted, sub="01", ses="01"))


def test_without_its_images_no_device_is_opened(small_console: Layout) -> None:
    for path in small_console.stimuli.rglob("*_RE.png"):
        path.unlink()
    made = preflight_of(small_console)
    assert not made.passed
    assert made.findings[-1].name == "clock"


def test_unknown_sessions_and_subjects_are_errors(small_console: Layout) -> None:
    with pytest.raises(ScheduleError, match="'07'; expected one of 01, 02"):
        preflight_of(small_console, ses="07")
    with pytest.raises(ProfileError):
        preflight_of(small_console, sub="44")


def printed(panel: object) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(panel)
    return console.export_text()


@pytest.mark.parametrize(("person", "ok", "came"), [
    ({"consent": "yes"}, True, "given"), ({"consent": "no"}, False, "not given"), ({}, True, "not entered"),
    ({"age": 30}, True, "not entered")])
def test_nobody_is_scanned_who_has_not_consented(small_console: Layout, person: dict[str, Any], ok: bool,
                                                 came: str) -> None:
    register(small_console, "05", person=Person(**person))
    found = check_consent(small_console, profile=load_profile(small_console, "05"))
    assert (found.name, found.ok, found.came) == ("consent", ok, came)
    assert "describe --consent yes" in found.remedy
    assert check_consent(small_console, profile=load_profile(small_console, "01")).came == "a virtual subject"
    assert "consent" in [one.name for one in preflight_of(small_console).findings]


def test_a_session_with_a_localizer_wants_its_textures(tmp_path: Path) -> None:
    layout = make_console_study(tmp_path / "study", stimuli={"per_class": 2},
                                textures={"size_px": 32, "scramble_cells": 4, "n_pictures": 2})
    settings = load_settings(layout.root)
    tasks = [task_of(name, settings) for name in ("main", "retinotopy", "lo", "motion")]
    missing = check_images(layout, tasks, sub="01", ses="01")
    assert (missing.ok, "textures.tsv: no such file" in missing.came) == (False, True)
    render(layout, settings)
    assert check_images(layout, tasks, sub="01", ses="01").came == "15 images, 106 textures, each as its table says"
    (layout.stimuli / "textures" / "word-001.png").write_bytes(
        (layout.stimuli / "textures" / "word-002.png").read_bytes())
    spoilt = check_images(layout, tasks, sub="01", ses="01")
    assert (spoilt.ok, "word-001.png: pixels with digest" in spoilt.came) == (False, True)


@pytest.mark.parametrize(("ses", "asked"), [("01", "'1', '2'"), ("02", "'3'")])
def test_the_buttons_asked_for_are_those_of_the_sessions_runs(tmp_path: Path, ses: str, asked: str) -> None:
    layout = make_console_study(
        tmp_path / "study", stimuli={"per_class": 2}, main={"sessions": 1, "runs": 1}, lo={"runs": []},
        retinotopy={"runs": []}, motion={"runs": [0, 1], "press_key": "3"})
    made = preflight_of(layout, ses=ses)
    assert next(one.came for one in made.findings if one.name == "buttons") == asked
