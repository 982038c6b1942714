"""What the console's commands print: within 80 columns and whole without a terminal, or JSON."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console, RenderableType

from paradigms.console.panels import live_panel, preflight_panel, verdict_panel
from paradigms.console.preflight import Finding, Preflight
from paradigms.console.questions import ask_number
from paradigms.console.run_state import RunView, fold
from paradigms.playing.play_run import play_run
from paradigms.record.plans import read_schedule
from paradigms.runlog import read_journal
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings

ROOT = Path(__file__).resolve().parents[3]
RUN = RunKey("01", "01", "main", 1)


def _command(layout: Layout, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command without a terminal, in 80 columns."""
    whose = () if verb == "recover" else ("--sub", "01", "--ses", "01", "--scanner", "emulated", "--display", "virtual")
    return subprocess.run(
        [sys.executable, "-m", "run_session", verb, "--study", str(layout.root), *whose, *words], cwd=ROOT, check=False,
        text=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"})


def _too_long(text: str, layout: Layout) -> list[str]:
    """List the lines of more than 80 columns; a path of the study is never broken."""
    return [line for line in text.splitlines() if len(line) > 80 and str(layout.root) not in line]


@pytest.mark.slow
def test_a_session_prints_80_columns_into_a_pipe_or_its_result_as_json(small_console: Layout) -> None:
    done = _command(small_console, "session", "--yes")
    assert (done.returncode, _too_long(done.stdout, small_console)) == (0, []), done.stderr
    for told in ("the session can begin", "this run can be used", "design that this run gives", "every planned run"):
        assert told in done.stdout
    assert "\N{HORIZONTAL ELLIPSIS}" not in done.stdout, "nothing is cut off"
    assert "\x1b" not in done.stdout, "no colours without a terminal"
    again = _command(small_console, "session", "--yes", "--json")
    assert json.loads(again.stdout) == {"sub": "01", "ses": "01", "complete": True, "left": [], "attempts": []}
    assert "sub-01: runs" in again.stderr
    assert "the preflight" in again.stderr or "the session can begin" in again.stderr


@pytest.mark.parametrize(("answers", "complete"), [
    ("start\n", 1), *(pytest.param(*one, marks=pytest.mark.slow)
                      for one in (("", 0), ("start\nnonsense\ngo on\nstart\n", 2)))])
def test_a_session_takes_its_answers_from_a_pipe_and_leaves_where_they_end(small_console: Layout, answers: str,
                                                                           complete: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "run_session", "session", "--study", str(small_console.root), "--sub", "01", "--ses",
         "01", "--scanner", "emulated", "--display", "virtual"], cwd=ROOT, check=False, text=True, input=answers,
        capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"})
    assert (done.returncode, "Traceback" in done.stderr) == (int(complete < 2), False)
    assert done.stdout.count("this run can be used") == complete
    assert "no more answers: leave" in done.stdout


@pytest.mark.slow
def test_a_run_and_its_recovery_give_json(small_console: Layout) -> None:
    played = _command(small_console, "run", "--run", "1", "--json", "--fault", "missed=3,7")
    told = json.loads(played.stdout)
    assert {key: told[key] for key in ("sub", "ses", "task", "run", "complete", "reason")} == {
        "sub": "01", "ses": "01", "task": "main", "run": 1, "complete": True, "reason": "complete"}
    end = read_journal(small_console.journal(RUN, attempt=1))[-1]
    assert told["watch"] == end["watch"]
    assert told["watch"]["missed"] == [3, 7]
    table = small_console.events(RUN)
    rows = len(table.read_text(encoding="utf-8").splitlines()) - 1
    table.unlink()
    small_console.events_sidecar(RUN).unlink()
    found = json.loads(_command(small_console, "recover", "--json").stdout)
    assert [(one["events"], one["complete"], one["n_events"]) for one in found] == [(table.as_posix(), True, rows)]
    assert json.loads(_command(small_console, "recover", "--json").stdout) == []


def test_a_run_and_its_recovery_print_80_columns(small_console: Layout) -> None:
    played = _command(small_console, "run", "--run", "1", "--fault", "missed=3,7")
    assert _too_long(played.stdout, small_console) == []
    assert "2 pulses missed (volumes 3, 7)" in " ".join(played.stdout.split())
    small_console.events(RUN).unlink()
    small_console.events_sidecar(RUN).unlink()
    recovered = _command(small_console, "recover")
    assert _too_long(recovered.stdout, small_console) == []
    assert "1 runs recovered" in recovered.stdout


def test_a_preflight_prints_80_columns_or_json(small_console: Layout) -> None:
    for path in small_console.stimuli.rglob("*_RE.png"):
        path.unlink()
    text = _command(small_console, "preflight")
    assert (text.returncode, _too_long(text.stdout, small_console)) == (1, [])
    assert "the preflight found faults" in text.stdout
    told = json.loads(_command(small_console, "preflight", "--json").stdout)
    assert (told["passed"], [one["name"] for one in told["findings"] if not one["ok"]]) == (False, ["images"])


# ----------------------------------------------------------------- panels by themselves

def _printed(panel: RenderableType, *, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(panel)
    return console.export_text()


@pytest.fixture
def views(small_console: Layout) -> list[RunView]:
    """Give a run with faults as it was seen early, in the middle and after its end."""
    settings: Any = load_settings(small_console.root, overrides={"emulated_scanner.missed": [3, 7]})
    play_run(small_console, settings, key=RUN, scanner="emulated", display="virtual")
    view = RunView(read_schedule(small_console.schedule(RUN, attempt=1)), frame_s=1 / 120, window_s=2.0)
    records, seen = read_journal(small_console.journal(RUN, attempt=1)), []
    for k, record in enumerate(records):
        view = fold(view, record)
        if k in (3, len(records) // 2, len(records) - 1):
            seen.append(view)
    return seen


def test_the_live_panel_says_in_80_columns_all_that_it_says_in_120(views: list[RunView]) -> None:
    for view in views:
        narrow, wide = (_printed(live_panel(view, width=width), width=width) for width in (80, 120))
        assert max(map(len, narrow.splitlines())) <= 80
        words = [{word for word in text.split() if word.isalnum()} for text in (narrow, wide)]
        assert words[0] == words[1]
        assert {"volume", "missed", "late", "button", "next"} <= words[0]


def test_the_verdict_and_a_long_finding_fold_in_80_columns(views: list[RunView]) -> None:
    came = " ".join(f"setting.number_{k}: {k} then, {k + 1} now;" for k in range(30))
    made = Preflight((Finding("settings", ok=False, came=came, remedy="Restore study.toml."),))
    for panel, words in ((verdict_panel(views[-1]), ("pulses", "onsets late by a frame", "LOOK")),
                         (preflight_panel(made, sub="01", ses="01"), tuple(came.split()))):
        text = _printed(panel, width=80)
        assert max(map(len, text.splitlines())) <= 80
        assert all(word in text for word in words)


@pytest.mark.parametrize(("typed", "number"), [("12\n", 12), ("x\n0\n-3\n7\n", 7), ("\n", None), ("", None)])
def test_a_number_is_asked_for_until_it_is_one_or_is_not_known(typed: str, number: int | None) -> None:
    with CliRunner().isolation(input=typed) as streams:
        assert ask_number("the scanner's series") == number
    said = streams[0].getvalue().decode()
    assert said.startswith("the scanner's series [number, or Enter]: ")
    assert said.count("a whole number from 1, please") == max(typed.count("\n") - 1, 0)
