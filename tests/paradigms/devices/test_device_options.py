"""Devices and faults on the command line, and a run on a real serial box in a real window."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import run_session
from paradigms.playing.play_run import play_run
from paradigms.runlog import of_kind, read_journal
from subjects.errors import StudyError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from tests.paradigms.conftest import make_console_study
from tests.paradigms.lines import SerialBox

RUN = RunKey("01", "01", "main", 1)


def _run(layout: Layout, *words: str, scanner: str = "emulated", display: str = "virtual", verb: str = "run") -> Any:
    numbered = ("--run", "1") if verb == "run" else ()
    return CliRunner().invoke(run_session.cli, [
        verb, "--study", str(layout.root), "--sub", "01", "--ses", "01", *numbered, "--scanner", scanner,
        "--display", display, *words])


def test_faults_that_were_asked_for_are_recorded_and_found(small_console: Layout) -> None:
    result = _run(small_console, "--fault", "missed=3,7", "--fault", "jitter=0.002")
    records = read_journal(small_console.journal(RUN, attempt=1))
    asked = of_kind(records, "asked_fault")
    assert [(one["name"], one["value"]) for one in asked] == [("jitter_s", 0.002), ("missed", [3, 7])]
    assert records.index(asked[0]) < records.index(of_kind(records, "start")[0])
    assert records[-1]["watch"]["missed"] == [3, 7]
    assert "2 pulses missed (volumes 3, 7)" in result.output


def test_a_run_without_faults_records_none(small_console: Layout) -> None:
    _run(small_console)
    records = read_journal(small_console.journal(RUN, attempt=1))
    assert of_kind(records, "asked_fault") == []
    assert of_kind(records, "devices")[0]["buttons"] == "simulated participant"
    assert of_kind(records, "armed")
    assert records[-1]["watch"]["faults"] == []


@pytest.mark.parametrize(("words", "scanner", "text"), [
    (("--fault", "jiter=1"), "emulated", "Did you mean 'jitter'"),
    (("--fault", "jitter=1"), "keyboard", "faults of a scanner that is 'keyboard'"),
    (("--buttons", "serial"), "emulated", "'serial' with the emulated scanner"),
    ((), "serial", "a virtual display with a real trigger"),
    ((), "parallel", "a virtual display with a real trigger"),
])
@pytest.mark.parametrize("verb", ["run", "preflight"])
def test_what_cannot_be_is_refused_before_anything(small_console: Layout, verb: str, words: tuple[str, ...],
                                                   scanner: str, text: str) -> None:
    result = _run(small_console, *words, scanner=scanner, verb=verb)
    assert isinstance(result.exception, StudyError)
    assert text in str(result.exception)
    assert not list((small_console.root / "sourcedata").glob("sub-*/ses-*/*"))


@pytest.mark.parametrize("verb", ["run", "preflight", "session"])
@pytest.mark.parametrize(("option", "word", "near"), [("--scanner", "seriel", "serial"),
                                                      ("--buttons", "keybord", "keyboard")])
def test_an_unknown_name_ends_with_2_and_the_nearest(small_console: Layout, verb: str, option: str, word: str,
                                                     near: str) -> None:
    result = _run(small_console, option, word, verb=verb)
    assert result.exit_code == 2
    assert f"Did you mean '{near}'?" in result.output


def test_a_tracker_that_is_not_there_is_refused(tmp_path: Path) -> None:
    layout = make_console_study(tmp_path / "study", stimuli={"per_class": 2}, hooks={"tracker": "no_such_lab:make"})
    assert "cannot be imported" in str(_run(layout, "--trust").exception)


# ------------------------------------------------------------------- a box on a line

@pytest.fixture
def box() -> Iterator[SerialBox]:
    if sys.platform == "win32":
        pytest.skip("a pty pair plays the box")
    made = SerialBox()
    yield made
    made.unplug()


def _kinds(path: Path) -> list[str]:
    return [json.loads(line)["kind"] for line in path.read_text().splitlines()] if path.is_file() else []


def _play_box(box: SerialBox, journal: Path, *, unplug_after: int) -> None:
    """Send a stray pulse, arm, send pulses with a press after each, then pull the plug."""
    end = time.monotonic() + 60.0
    while "safe" not in _kinds(journal) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.2)
    box.send("T")
    time.sleep(0.3)
    box.send("s")
    time.sleep(0.5)
    began = time.monotonic()
    for k in range(unplug_after):
        time.sleep(max(0.0, began + 2.0 * k - time.monotonic()))
        box.send("T")
        time.sleep(0.3)
        box.send("b")
    time.sleep(0.3)  # a pty forgets what was not yet read when it is closed
    box.unplug()


@pytest.mark.window
@pytest.mark.slow
def test_a_serial_box_runs_a_window_and_loses_nothing_when_its_plug_is_pulled(tmp_path: Path, box: SerialBox) -> None:
    layout = make_console_study(
        tmp_path / "study", stimuli={"per_class": 2}, main={"lead_in_s": 2.0, "lead_out_s": 2.0},
        display={"width_px": 640, "height_px": 480, "refresh_hz": 60.0},
        serial_trigger={"port": box.port, "pulse": "T"},
        buttons={"device": "serial", "port": box.port, "keys": [["b", "1"], ["y", "2"], ["s", "space"]]})
    journal = tmp_path / "out" / "sub-01_ses-01_task-main_run-01_excerpt-01_journal.jsonl"
    far_end = threading.Thread(target=_play_box, args=(box, journal), kwargs={"unplug_after": 4}, daemon=True)
    far_end.start()
    outcome = play_run(layout, load_settings(layout.root), key=RUN, scanner="serial", display="xvfb",
                       n_trials=2, fullscreen=False, folder=tmp_path / "out", trigger_timeout_s=60.0)
    far_end.join()
    records = read_journal(next((tmp_path / "out").glob("*_journal.jsonl")))
    pulses = [pulse["t"] for pulse in of_kind(records, "pulse")]
    assert outcome.complete
    assert (len(of_kind(records, "stray")), len(pulses)) == (1, 4)
    assert [press["key"] for press in of_kind(records, "press")] == ["space", "1", "1", "1", "1"]
    assert pulses == pytest.approx([pulses[0] + 2.0 * k for k in range(4)], abs=0.05)
    assert {fault["device"] for fault in of_kind(records, "fault")} == {"trigger", "buttons"}
    assert any("a line that broke" in fault for fault in outcome.watch.faults)


@pytest.mark.window
@pytest.mark.slow
def test_a_port_that_is_not_there_is_told_before_a_record_is_begun(tmp_path: Path) -> None:
    layout = make_console_study(tmp_path / "study", stimuli={"per_class": 2},
                                display={"width_px": 640, "height_px": 480}, serial_trigger={"port": "/dev/ttyNowhere"})
    result = _run(layout, "--windowed", scanner="serial", display="xvfb")
    assert isinstance(result.exception, StudyError)
    assert "/dev/ttyNowhere" in str(result.exception)
    assert not list((layout.root / "sourcedata").glob("sub-*/ses-*/*"))
