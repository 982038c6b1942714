"""One run from plan to events table, on disk."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from paradigms.emulation.scanner_and_display import VirtualClock
from paradigms.playing import assembly
from paradigms.playing import play_run as session
from paradigms.playing.engine import Terminated
from paradigms.playing.play_run import play_run, sigterm_as_exception
from paradigms.playing.run_devices import Devices
from paradigms.record.journal import Journal
from paradigms.record.plans import read_schedule
from paradigms.record.recovery import recover
from paradigms.record.run_files import attempts, last_attempt
from paradigms.runlog import COLUMNS, of_kind, read_events, read_journal
from subjects.errors import DeviceError, ManifestError, ProfileError, RunLogError, ScheduleError
from subjects.layout import Layout
from subjects.plan.run_sheet import run_sheet
from subjects.profile import session_images
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.store import is_locked, read_json
from tests.bids import bids_report

RUN = RunKey("01", "01", "main", 1)
VIRTUAL = {"scanner": "emulated", "display": "virtual"}


def _play(layout: Layout, **changes: Any) -> Any:
    return play_run(layout, load_settings(layout.root), **{"key": RUN, **VIRTUAL, **changes})


def _files(layout: Layout) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(layout.root.rglob("*")) if path.is_file()}


def _abort_at(monkeypatch: pytest.MonkeyPatch, at_s: float) -> None:
    real = assembly.virtual_devices

    def with_key(settings: Settings, **given: Any) -> Devices:
        devices = real(settings, **given)
        devices.responses.press("escape", at_s=at_s)  # type: ignore[attr-defined]
        return devices

    monkeypatch.setattr(assembly, "virtual_devices", with_key)


def test_a_run_leaves_plan_settings_journal_and_events(console: Layout) -> None:
    outcome = _play(console)
    assert outcome.complete
    plan = read_schedule(console.schedule(RUN, attempt=1))
    table = read_events(console.events(RUN))
    assert table.attrs["complete"] is True
    assert table.attrs["n_pulses"] == 278
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 129
    assert (table["trial_type"] == "blank").sum() == 9
    assert set(table["image_id"].dropna().value_counts()) == {2}
    assert read_json(console.resolved_settings(RUN, attempt=1))["digest"] == load_settings(console.root).digest
    assert table.attrs["sidecar"]["schedule_digest"] == plan.digest


@pytest.mark.parametrize(("faults", "dummies", "reason"), [
    ({"stop_after": 2}, 4,
     "aborted: no trigger: the scanner stopped after 2 of 4 dummy volumes; none followed within 62 s"),
    ({"missed": tuple(range(400))}, 0, "aborted: no trigger within 60 s"),
    ({"missed": tuple(range(1, 400)), "late_s": 40.0}, 1,
     "aborted: no trigger: the scanner stopped after 1 of 1 dummy volumes; none followed within 100 s"),
])
def test_a_virtual_scanner_that_stops_before_time_zero_ends_the_run(console: Layout, faults: dict[str, Any],
                                                                    dummies: int, reason: str) -> None:
    """In virtual time nobody is there to end the wait. Ten seconds, or the alarm ends the test."""
    settings = load_settings(console.root, overrides={"scanner.n_dummies": dummies, "emulated_scanner": faults})

    def too_long(*_: Any) -> None:
        raise TimeoutError("the run goes on for ever")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(10)
    try:
        outcome = play_run(console, settings, key=RUN, **VIRTUAL)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert (outcome.complete, outcome.reason) == (False, reason)
    assert of_kind(read_journal(console.journal(RUN, attempt=1)), "end")[-1]["reason"] == reason


def test_onsets_on_disk_lie_on_the_two_second_grid(console: Layout) -> None:
    """Computed from the order of trial types alone: 20 s, then 2 s blank and 2 s image, or 4 s blank."""
    _play(console)
    table = read_events(console.events(RUN))
    for k, row in enumerate(table.itertuples()):
        start = 20.0 + 4.0 * k
        wanted, length = (start, 4.0) if row.trial_type == "blank" else (start + 2.0, 2.0)
        assert row.onset_planned == wanted
        assert abs(row.onset - wanted) <= 0.5 / 120
        assert row.duration == pytest.approx(length, abs=1 / 120)


def test_responses_on_disk_equal_those_in_the_journal(console: Layout) -> None:
    _play(console)
    table = read_events(console.events(RUN))
    records = read_journal(console.journal(RUN, attempt=1))
    zero = of_kind(records, "zero")[0]["t"]
    presses = [(press["t"] - zero, press["key"]) for press in of_kind(records, "press")]
    images = table[table["trial_type"] != "blank"]
    for row in images.itertuples():
        own = [(t, key) for t, key in presses if row.onset <= t < row.onset + 4.0]
        assert (row.response == own[0][1]) if own else row.response != row.response
        if row.trial_type == "AN":  # made from noise: no answer is right
            assert row.correct != row.correct
        else:
            assert row.correct == int(bool(own) and own[0][1] == row.correct_response)
    assert 0.85 < images["correct"].mean() < 1.0


def test_plan_and_settings_stand_before_anything_is_shown(console: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    real = session.play

    def look(schedule: Any, **given: Any) -> Any:
        seen.append(console.schedule(RUN, attempt=1).is_file() and
                    console.resolved_settings(RUN, attempt=1).is_file())
        return real(schedule, **given)

    monkeypatch.setattr(session, "play", look)
    _play(console)
    assert seen == [True]


def test_the_same_study_twice_gives_the_same_run(small_console: Layout) -> None:
    _play(small_console)
    first = read_events(small_console.events(RUN))
    _play(small_console, repeat=True)
    assert first.equals(read_events(small_console.events(RUN)))


# --------------------------------------------------------------------- refusals

@pytest.mark.parametrize(("change", "error", "text"), [
    ({"scanner": "emulatd"}, DeviceError, "'emulatd'; expected one of emulated, keyboard, serial, parallel. Did you"),
    ({"display": "projector"}, DeviceError, "display: 'projector'; expected one of window, xvfb, virtual"),
    ({"scanner": "keyboard"}, DeviceError, "a virtual display with a real trigger"),
    ({"key": replace(RUN, task="man")}, ScheduleError,
     "task: 'man'; expected one of main, retinotopy, lo, motion. Did you mean 'main'?"),
    ({"key": replace(RUN, sub="07")}, ProfileError, "no subject '07'"),
    ({"key": replace(RUN, ses="09")}, ScheduleError, "session: '09'"),
    ({"key": replace(RUN, run=3)}, ScheduleError, "run: 3; expected 1 to 2"),
])
def test_what_cannot_be_played_is_refused_and_writes_nothing(small_console: Layout, change: dict[str, Any],
                                                             error: type[Exception], text: str) -> None:
    before = _files(small_console)
    with pytest.raises(error, match=text.replace("?", r"\?")):
        _play(small_console, **change)
    assert _files(small_console) == before


def test_one_changed_pixel_is_refused_and_writes_nothing(small_console: Layout) -> None:
    base = session_images(load_settings(small_console.root), sub="01")["01"][0]
    path = small_console.stimulus(f"images/AN/{base}_AN.png")
    with Image.open(path) as image:
        pixels = np.array(image)
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    before = _files(small_console)
    with pytest.raises(ManifestError, match=path.name):
        _play(small_console)
    assert _files(small_console) == before


def test_a_completed_run_is_refused_and_nothing_changes(small_console: Layout) -> None:
    _play(small_console)
    before = _files(small_console)
    with pytest.raises(RunLogError, match="a run that was played before; expected a new run. Add --repeat"):
        _play(small_console)
    assert _files(small_console) == before


def test_a_completed_run_without_its_table_is_refused_too(small_console: Layout) -> None:
    _play(small_console)
    small_console.events(RUN).unlink()
    with pytest.raises(RunLogError, match="attempt-01_journal"):
        _play(small_console)


# --------------------------------------------------------------------- attempts

def test_an_aborted_run_leaves_a_table_marked_incomplete(small_console: Layout,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _abort_at(patch, 130.0)
        outcome = _play(small_console)
    assert not outcome.complete
    table = read_events(small_console.events(RUN))
    assert (table.attrs["complete"], table.attrs["sidecar"]["Attempt"]) == (False, 1)
    assert len(table) == outcome.n_events + (table["trial_type"] == "blank").sum() > 0
    assert read_journal(small_console.journal(RUN, attempt=1))[-1]["reason"] == "aborted: key 'escape'"
    planned = run_sheet(small_console, load_settings(small_console.root), sub="01").runs[0]
    assert not planned.done


def test_after_an_abort_the_run_is_simply_played_again(small_console: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _abort_at(patch, 130.0)
        _play(small_console)
    before = _files(small_console)
    assert _play(small_console).complete
    assert [path.name[-24:] for path in attempts(small_console, RUN)] == ["attempt-01_journal.jsonl",
                                                                            "attempt-02_journal.jsonl"]
    assert read_events(small_console.events(RUN)).attrs["sidecar"]["Attempt"] == 2
    raw = {small_console.events(RUN), small_console.events_sidecar(RUN)}
    kept = {path: content for path, content in _files(small_console).items() if path in before and path not in raw}
    assert kept == {path: content for path, content in before.items() if path not in raw}
    archived = small_console.attempt_file("events.tsv", RUN, attempt=1)
    assert archived.read_bytes() == before[small_console.events(RUN)]


def test_a_repetition_keeps_the_earlier_table(small_console: Layout) -> None:
    _play(small_console)
    first = small_console.events(RUN).read_bytes()
    before = _files(small_console)
    _play(small_console, repeat=True)
    kept = small_console.attempt_file("events.tsv", RUN, attempt=1)
    assert kept.read_bytes() == first
    assert read_json(kept.with_suffix(".json"))["Attempt"] == 1
    assert read_events(small_console.events(RUN)).attrs["sidecar"]["Attempt"] == 2
    raw = {small_console.events(RUN), small_console.events_sidecar(RUN)}
    assert all(path.read_bytes() == content for path, content in before.items() if path not in raw)


def test_an_aborted_repetition_leaves_the_table_alone(small_console: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    _play(small_console)
    before = _files(small_console)
    _abort_at(monkeypatch, 130.0)
    assert not _play(small_console, repeat=True).complete
    assert {path: content for path, content in _files(small_console).items() if path in before} == before


def test_a_plan_without_a_journal_uses_up_its_number(small_console: Layout) -> None:
    """The process died between the plan and the first line of the journal."""
    path = small_console.schedule(RUN, attempt=1)
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert last_attempt(small_console, RUN) == 1
    assert _play(small_console).complete
    assert small_console.journal(RUN, attempt=2).is_file()
    assert path.read_text() == "{}"


# --------------------------------------------------------------------- excerpts

def test_an_excerpt_is_no_run(small_console: Layout) -> None:
    outcome = _play(small_console, n_trials=4)
    assert outcome.complete
    names = sorted(path.name for path in (small_console.root / "sourcedata" / "excerpts").iterdir())
    stem = "sub-01_ses-01_task-main_run-1_excerpt-01"
    assert names == [f"{stem}_journal.jsonl", f"{stem}_schedule.json", f"{stem}_settings.json"]
    assert last_attempt(small_console, RUN) == 0
    assert not small_console.events(RUN).exists()


def test_excerpts_are_numbered_and_go_where_asked(small_console: Layout, tmp_path: Path) -> None:
    for _ in range(2):
        _play(small_console, n_trials=2, folder=tmp_path / "mine")
    names = sorted(path.name for path in (tmp_path / "mine").glob("*_journal.jsonl"))
    assert [name.partition("_excerpt-")[2] for name in names] == ["01_journal.jsonl", "02_journal.jsonl"]
    assert len(list((tmp_path / "mine").iterdir())) == 6
    assert not (small_console.root / "sourcedata" / "excerpts").exists()


# ------------------------------------------------------------------- small parts

def test_progress_is_told_of_every_image(small_console: Layout) -> None:
    told: list[int] = []

    def count(iterable: Any, *, label: str, total: int | None = None) -> Iterator[Any]:
        assert label == "sub-01 ses-01 main run-1"
        for item in iterable:
            told.append(item)
            yield item

    _play(small_console, progress=count)
    assert len(told) == 30


def test_sigterm_becomes_an_exception_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as ended, sigterm_as_exception():
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_schedule_that_was_edited_is_not_read(small_console: Layout) -> None:
    _play(small_console)
    path = small_console.schedule(RUN, attempt=1)
    content = json.loads(path.read_text())
    content["events"][0]["onset_s"] -= 0.5
    path.write_text(json.dumps(content))
    with pytest.raises(RunLogError, match="as written with it. Restore the file; schedules are never edited"):
        read_schedule(path)


def test_a_window_that_cannot_open_writes_nothing(small_console: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def no_window(*_: Any, **__: Any) -> Iterator[Devices]:
        raise DeviceError("window", came="no display and no Xvfb", expected="a display", remedy="Log in.")
        yield

    monkeypatch.setattr(session, "opened_devices", no_window)
    before = _files(small_console)
    with pytest.raises(DeviceError, match="no display and no Xvfb"):
        _play(small_console, display="window")
    assert _files(small_console) == before


def test_the_study_is_valid_bids(small_console: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complete and recovered tables alike, checked by the BIDS validator."""
    from paradigms.record.recovery import recover

    _play(small_console)
    with monkeypatch.context() as patch:
        _abort_at(patch, 130.0)
        _play(small_console, key=replace(RUN, run=2))
    recover(small_console)
    report = bids_report(small_console.root)
    assert [one for one in report["issues"]["issues"] if one["severity"] == "error"] == []
    assert report["summary"]["tasks"] == ["main"]
    assert [one["code"] for one in report["issues"]["issues"] if "_events" in one.get("location", "")] == []


@pytest.mark.parametrize(("changes", "said"), [
    ({"study.seed": 77}, r"run-1_attempt-01_schedule.json: \w+-\d\d and \d+ more images in another session"),
    ({"scanner.tr_s": 1.0}, "a repetition time of 2 s"),
])
def test_a_plan_that_was_changed_between_sessions_is_not_played(small_console: Layout, changes: dict[str, object],
                                                                said: str) -> None:
    _play(small_console)
    before = _files(small_console)
    other = load_settings(small_console.root, overrides=changes)
    with pytest.raises(RunLogError, match=said):
        play_run(small_console, other, key=RunKey("01", "02", "main", 1), scanner="emulated", display="virtual")
    assert _files(small_console) == before
    assert _play(small_console, key=RunKey("01", "02", "main", 1)).complete


def test_a_place_without_room_for_the_table_is_found_before_the_run(small_console: Layout) -> None:
    folder = small_console.events(RUN).parents[2]
    folder.write_text("in the way", encoding="utf-8")
    before = _files(small_console)
    with pytest.raises(RunLogError, match=r"sub-01: a file where a folder belongs"):
        _play(small_console)
    assert _files(small_console) == before


@pytest.mark.parametrize("change", ["swap", "double"])
def test_a_table_that_was_swapped_or_edited_is_not_read(small_console: Layout, change: str) -> None:
    """As when two runs' files are mixed up on their way to the analysis."""
    for run in (1, 2):
        _play(small_console, key=replace(RUN, run=run))
    one, two = (small_console.events(replace(RUN, run=run)) for run in (1, 2))
    if change == "swap":
        for path in (one, one.with_suffix(".json")):
            path.write_bytes(path.with_name(path.name.replace("run-1", "run-2")).read_bytes())
        text = f"the table of {two.name}; expected the run of its own name"
    else:
        lines = one.read_text(encoding="utf-8").splitlines(keepends=True)
        one.write_text("".join([*lines, lines[-1]]), encoding="utf-8")
        text = "a table that was changed after the run"
    with pytest.raises(RunLogError, match=text):
        read_events(one)
    assert len(read_events(two))


def test_no_second_run_of_a_subject_starts_beside_one_that_plays(small_console: Layout) -> None:
    held = small_console.journal(replace(RUN, run=2), attempt=1)
    with Journal(held, clock=VirtualClock()) as journal:
        journal.write("zero", t=1.0)
        before = _files(small_console)
        with pytest.raises(RunLogError, match="a run of this subject that is being played now; expected one run"):
            _play(small_console)
        assert recover(small_console) == []
        assert _files(small_console) == before
    held.unlink()
    assert _play(small_console).complete


def test_a_journal_is_held_across_processes_until_its_writer_dies(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    script = ("import sys, time; from pathlib import Path; from paradigms.devices.protocols import HardwareClock\n"
              "from paradigms.record.journal import Journal\n"
              "j = Journal(Path(sys.argv[1]), clock=HardwareClock()); print('held', flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"held\n"
        assert is_locked(path)
        writer.kill()
    assert not is_locked(path)


def test_a_run_links_to_the_attempts_before_it(small_console: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _abort_at(patch, 130.0)
        _play(small_console)
    _play(small_console)
    _play(small_console, repeat=True)
    name = "sourcedata/sub-01/ses-01/sub-01_ses-01_task-main_run-1_attempt-0{}_journal.jsonl"
    said = read_events(small_console.events(RUN)).attrs["sidecar"]
    assert said["EarlierAttempts"] == [name.format(1), name.format(2)]
    assert all((small_console.root / path).is_file() for path in said["EarlierAttempts"])
    for attempt, earlier in ((1, []), (3, [name.format(1), name.format(2)])):
        first, = of_kind(read_journal(small_console.journal(RUN, attempt=attempt)), "devices")
        assert first["earlier"] == earlier


def test_the_photodiode_turns_over_at_every_change(small_console: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    screens: list[Any] = []
    real = assembly.virtual_devices

    def watched(settings: Settings, **given: Any) -> Devices:
        devices = real(settings, **given)
        screens.append(devices.display)
        return devices

    monkeypatch.setattr(assembly, "virtual_devices", watched)
    settings = load_settings(small_console.root, overrides={"display.photodiode": True,
                                                                  "instructions.show": False})
    play_run(small_console, settings, key=RUN, **VIRTUAL)
    shown = [one.frame.photodiode for one in screens[0].shown]
    assert shown[0] is False
    assert all(after is (not before) for before, after in itertools.pairwise(shown))
    _play(small_console, key=replace(RUN, run=2))
    assert {one.frame.photodiode for one in screens[1].shown} == {None}
