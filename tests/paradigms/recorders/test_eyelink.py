"""The EyeLink against its double: a full run's messages, the file, BIDS physio, and fixation as planted."""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from paradigms.devices.protocols import Press
from paradigms.devices.tracker import NO_CONSENT, Tracker, make_tracker
from paradigms.emulation.eyelink_double import FakePylink
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.playing import play_run as playing
from paradigms.recorders.eyelink import EyeLinkTracker, calibrate, free_name, keep_calibration, make_graphics
from paradigms.recorders.gaze import fixation_by_type, message_offsets_s, read_asc, text_of, write_physio
from paradigms.runlog import of_kind, read_events, read_journal
from paradigms.schedule import BLANK
from subjects.errors import DeviceError, RunLogError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.display import DisplaySettings
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.store import read_json
from tests.bids import bids_errors, bids_report
from tests.paradigms.conftest import Bench

KEY = RunKey("01", "01", "main", 1)


def _at(deg: float, display: DisplaySettings) -> tuple[float, float]:
    """Where somebody looks who looks so many degrees to the right of the centre, by the tangent."""
    cm = display.distance_cm * math.tan(math.radians(deg))
    return display.width_px / 2 + cm * display.width_px / display.width_cm, display.height_px / 2


def test_a_full_runs_events_each_have_their_message_and_no_onset_is_later(
        bench: Callable[..., Bench], tmp_path: Path, settings: Settings) -> None:
    bare = bench(journal_path=tmp_path / "bare.jsonl").play()
    made = bench()
    layout = Layout(tmp_path / "study")
    double = FakePylink(made.clock.now, lambda _: (960.0, 540.0), rate_hz=50.0)
    made.tracker = EyeLinkTracker(layout, settings, load=double, at_once=True)
    outcome = made.play()
    assert outcome.complete
    assert outcome.watch.faults == ()
    assert outcome.onset_errors_s == pytest.approx(bare.onset_errors_s, abs=1e-9)
    shown = [event for event in made.schedule.events if event.trial_type != BLANK]
    gaze = read_asc(next(layout.root.rglob("*_eyelink-01.asc")))
    told = [text for _, text in gaze.messages if text.startswith("event ")]
    assert told == [f"event {one.index} {one.trial_type} {one.image_id}" for one in shown]
    flips = [flip["t"] for flip in of_kind(made.records, "flip") if flip["what"] == "on"]
    late = np.array([t for t, text in gaze.messages if text.startswith("event ")]) / 1000 - flips
    assert np.abs(late).max() <= 0.001


def test_fixation_is_counted_by_type_as_planted() -> None:
    """RE at the centre, AN at 2 deg, AI at .9 deg and half of it in a blink: counted by the tangent, not linearly."""
    display = DisplaySettings()
    t = np.arange(0, 30_000.0, 4.0)
    x = np.where(t < 10_000, _at(0.0, display)[0], np.where(t < 20_000, _at(2.0, display)[0], _at(0.999, display)[0]))
    samples = np.column_stack([t, x, np.full(len(t), 540.0), np.full(len(t), 900.0)])
    samples[(t >= 20_000) & (t < 25_000), 1:3] = np.nan
    gaze = SimpleNamespace(samples=samples, zero_ms=0.0)
    events = pd.DataFrame({"trial_type": ["RE", "AN", "AI"], "onset": [0.0, 10.0, 20.0], "duration": [10.0] * 3})
    found = fixation_by_type(gaze, events, display=display).set_index("trial_type")  # type: ignore[arg-type]
    assert found["share_within"].to_dict() == {"RE": 1.0, "AN": 0.0, "AI": 1.0}
    assert found["share_lost"].to_dict() == {"RE": 0.0, "AN": 0.0, "AI": 0.5}
    near = fixation_by_type(gaze, events, display=display, within_deg=0.99)  # type: ignore[arg-type]
    assert near.set_index("trial_type").loc["AI", "share_within"] == 0.0


@pytest.fixture
def tracked(small_console: Layout, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Have runs in virtual time recorded by the double."""
    clocks: list[VirtualClock] = []

    class Clock(VirtualClock):
        def __init__(self) -> None:
            super().__init__()
            clocks.append(self)

    def tracker(layout: Layout, settings: Settings, **_: Any) -> Tracker:
        double = FakePylink(lambda: float(clocks[-1].now()), lambda t: None if int(t) % 10 == 0 else (970.0, 540.0),
                            rate_hz=50.0)
        return EyeLinkTracker(layout, settings, load=double, at_once=True, wall=lambda: float(clocks[-1].wall()))

    monkeypatch.setattr(playing, "VirtualClock", Clock)
    monkeypatch.setattr(playing, "make_tracker", tracker)
    return small_console


@pytest.fixture
def recorded(tracked: Layout) -> tuple[Layout, Path]:
    """Play a run with the double, and give the study and the recording."""
    playing.play_run(tracked, load_settings(tracked.root), key=KEY, scanner="emulated", display="virtual")
    return tracked, next(tracked.root.rglob("*_eyelink-01.edf"))


def test_each_part_of_a_run_has_its_own_recording(tracked: Layout) -> None:
    cut = load_settings(tracked.root, overrides={"emulated_scanner.abort_s": 40.0})
    assert not playing.play_run(tracked, cut, key=KEY, scanner="emulated", display="virtual").complete
    playing.play_run(tracked, load_settings(tracked.root), key=KEY, scanner="emulated", display="virtual", resume=True)
    files = sorted(tracked.root.rglob("*_eyelink-0?.edf"))
    assert len(files) == 2
    for part, recording in enumerate(files, start=1):
        key = replace(KEY, part=part)
        written, _ = write_physio(tracked, key=key, recording=recording)
        assert written.name == ("sub-01_ses-01_task-main_run-1_recording-eyelink_physio.tsv.gz" if part == 1 else
                                "sub-01_ses-01_task-main_acq-part2_run-1_physio.tsv.gz")
        with pytest.raises(RunLogError, match="events' messages; expected .*Take the recording of this attempt"):
            write_physio(tracked, key=key, recording=files[2 - part])
    assert bids_errors(tracked.root) == []  # two events tables that are both a recording's would be an error
    write_physio(tracked, key=key, recording=files[1])
    written.with_name(written.name.replace(".tsv.gz", ".json")).unlink()
    with pytest.raises(RunLogError, match="another recording; expected a free name"):
        write_physio(tracked, key=key, recording=files[1])


def test_a_run_is_written_as_bids_physio(recorded: tuple[Layout, Path]) -> None:
    layout, path = recorded
    written, table = write_physio(layout, key=KEY, recording=path)
    told = read_json(written.with_name(written.name.replace(".tsv.gz", ".json")))
    values = pd.read_csv(written, sep="\t", header=None, na_values="n/a", compression="gzip")
    assert told["Columns"] == ["timestamp", "x_coordinate", "y_coordinate", "pupil_size"]
    assert values.shape[1] == 4
    assert told["SamplingFrequency"] == pytest.approx(50.0)
    assert values[0].iloc[0] == pytest.approx(told["StartTime"], abs=1e-4)
    assert abs(told["MessageOffset"]["Worst"]) < 0.002
    assert values[1].isna().mean() == pytest.approx(0.1, abs=0.02)
    assert set(table.loc[table["n_samples"] > 0, "share_within"]) == {1.0}
    errors = [one for one in bids_report(layout.root)["issues"]["issues"] if one["severity"] == "error"]
    assert errors == []
    assert gzip.decompress(written.read_bytes()).decode().count("\n") == len(values)


def test_the_messages_are_the_events_tables(recorded: tuple[Layout, Path]) -> None:
    layout, path = recorded
    zero = of_kind(read_journal(layout.journal(KEY)), "zero")[0]
    late_ms = 1000 * (zero["noticed"] - zero["t"])
    assert late_ms > 1  # the message comes when the pulse is noticed: without this every gaze would be early by it
    gaze, events = replace(read_asc(text_of(path)), noticed_ms=late_ms), read_events(layout.events(KEY))
    assert np.abs(message_offsets_s(gaze, events)).max() < 0.002
    with pytest.raises(RunLogError, match=r"30 events' messages; expected 29"):
        message_offsets_s(gaze, events.drop(events.index[events["trial_type"] == "RE"][0]))
    assert of_kind(read_journal(layout.journal(KEY)), "fault") == []


def test_a_recording_is_found_by_any_spelling_of_its_path(recorded: tuple[Layout, Path],
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    layout, path = recorded
    monkeypatch.chdir(layout.root.parent)
    beside = Layout(Path(layout.root.name))
    written, _ = write_physio(beside, key=KEY, recording=path.relative_to(layout.root.parent))
    told = read_json(written.with_name(written.name.replace(".tsv.gz", ".json")))
    assert told["Recording"] == path.relative_to(layout.root).as_posix()


@pytest.mark.parametrize(("old", "new", "said"), [
    ("run-01", "run-02",
     "a recording of sub-01_ses-01_task-main_run-02; expected sub-01_ses-01_task-main_run-01"),
    (r"(event \d+) \w+", r"\1 XX", "message 1 of an event 'XX'; expected '(RE|AN|AI)', as the events table"),
    ("WALL 1", "WALL 2", r"a recording begun \d+ s after the attempt that the events table is of"),
    (r"\t970.0\t540.0.*", r"\t970.0", "expected a sample: time, x, y, pupil. The file was cut off"),
    (r"\t970.0\t", r"\t97x.0\t", r"line \d+: .*expected a sample")])
def test_the_recording_of_something_else_or_a_damaged_one_is_refused(recorded: tuple[Layout, Path], old: str, new: str,
                                                                     said: str) -> None:
    layout, path = recorded
    text = path.with_suffix(".asc").read_text(encoding="utf-8")
    path.with_suffix(".asc").write_text(re.sub(old, new, text, count=1), encoding="utf-8")
    with pytest.raises(RunLogError, match=said):
        write_physio(layout, key=KEY, recording=path)
    assert not layout.physio(KEY).exists()


def test_a_recording_elsewhere_is_to_be_copied_first(recorded: tuple[Layout, Path], tmp_path: Path) -> None:
    layout, path = recorded
    away = tmp_path / "away.asc"
    away.write_bytes(path.with_suffix(".asc").read_bytes())
    with pytest.raises(RunLogError, match=r"a file outside the study; expected one in .*Copy it to .*ses-01"):
        write_physio(layout, key=KEY, recording=away)


def test_degrees_are_those_of_the_display_on_which_the_run_was_shown(recorded: tuple[Layout, Path]) -> None:
    """The double looks 10 px from the centre: .16 deg there, and far outside on a display 1 cm from the eye."""
    layout, path = recorded
    edited = layout.settings_file.read_text(encoding="utf-8") + "\n"
    layout.settings_file.write_text(edited.replace("[display]", "[display]\ndistance_cm = 1.0", 1), encoding="utf-8")
    _, table = write_physio(layout, key=KEY, recording=path)
    assert set(table["share_within"].dropna()) == {1.0}


def test_no_recording_is_written_over(tmp_path: Path) -> None:
    layout, run = Layout(tmp_path), "sub-01_ses-01_task-main_run-01"
    first = free_name(layout, run)
    first.parent.mkdir(parents=True)
    first.with_suffix(".asc").touch()
    assert (first.name, free_name(layout, run).name) == (f"{run}_eyelink-01.edf", f"{run}_eyelink-02.edf")


class _Keys:
    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)

    def presses(self) -> list[Press]:
        given, self.keys = [Press(0.0, key, "") for key in self.keys], []
        return given


def test_calibration_draws_its_targets_where_the_host_asks_for_them(tmp_path: Path, settings: Settings) -> None:
    clock = VirtualClock()
    display = RecordingDisplay(clock, size_px=(1920, 1080), refresh_hz=120.0)
    display.open()
    double = FakePylink(clock.now, lambda _: None)
    calibrate(EyeLinkTracker(Layout(tmp_path), settings, load=double), display=display, responses=_Keys(),  # type: ignore[arg-type]
              settings=settings, load=double)
    places = [tuple(one.frame.dots_px[0].tolist()) for one in display.shown if one.frame.dots_px is not None]
    assert places == [(0.0, 0.0), (-768.0, 432.0), (768.0, -432.0)]
    assert double.calls == ["EyeLink", "calibrated", "close"]
    assert double.graphics is None
    assert "calibration_type = HV9" in double.commands
    made = make_graphics(double, display=display, responses=_Keys("c", "escape", "return", "lshift"),  # type: ignore[arg-type]
                         settings=settings)
    assert made.get_input_key() == [(ord("c"), 0), (27, 0), (13, 0)]
    display.shown.clear()
    made.draw_cal_target(100, 100)
    picture = display.screenshot()
    dark = np.argwhere(picture[:, :, 0] == 0)
    assert dark.mean(axis=0) == pytest.approx([99.5, 99.5], abs=0.6)


def test_a_calibration_is_noted_each_time(tmp_path: Path, settings: Settings) -> None:
    for k in (1, 2):
        path = keep_calibration(Layout(tmp_path), settings, sub="01", ses="02", said="error 0.4", now=lambda: 7.0)
        assert path.name == f"sub-01_ses-02_calibration-0{k}.json"
    assert read_json(path) == {"wall": 7.0, "calibration": "HV9", "said": "error 0.4"}


def test_the_double_takes_one_connection_and_no_idling_while_it_records(tmp_path: Path, settings: Settings) -> None:
    double = FakePylink(lambda: 0.0, lambda _: None)
    tracker = EyeLinkTracker(Layout(tmp_path), settings, load=double)
    tracker.open()
    with pytest.raises(DeviceError, match="a connection is open"):
        EyeLinkTracker(Layout(tmp_path), settings, load=double).open()
    tracker.start_run("sub-01_ses-01_task-main_run-01")
    with pytest.raises(RuntimeError, match="offline while it records"):
        double.setOfflineMode()
    tracker.stop_run()
    tracker.close()
    tracker.open()


def test_without_an_eyelink_or_its_package_it_says_so(tmp_path: Path, settings: Settings) -> None:
    dead = FakePylink(lambda: 0.0, lambda _: None, dead=True)
    with pytest.raises(DeviceError, match=r"no EyeLink at 100.1.1.1 .*eyelink.host"):
        EyeLinkTracker(Layout(tmp_path), settings, load=dead).open()

    def missing(_: str) -> Any:
        raise ImportError("No module named 'pylink'")

    with pytest.raises(DeviceError, match="no package pylink .*Install SR Research's package"):
        EyeLinkTracker(Layout(tmp_path), settings, load=missing).open()


def test_it_is_named_in_the_settings_and_needs_no_trust(small_console: Layout) -> None:
    settings = load_settings(small_console.root, overrides={"hooks.tracker": "eyelink"})
    assert isinstance(make_tracker(small_console, settings, consent=NO_CONSENT), EyeLinkTracker)


def test_what_is_no_recording_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.asc").write_text("** nothing\n", encoding="utf-8")
    with pytest.raises(RunLogError, match="no samples"):
        read_asc(tmp_path / "a.asc")
    (tmp_path / "b.asc").write_text("100\t1.0\t2.0\t3.0\n104\t1.0\t2.0\t3.0\n", encoding="utf-8")
    with pytest.raises(RunLogError, match="no message 'zero'"):
        _ = read_asc(tmp_path / "b.asc").zero_ms
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunLogError, match="no edf2asc on this computer"):
        text_of(tmp_path / "c.edf")
