"""A session played from one command: runs in child processes, followed in their journals, nothing lost with either."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from click.testing import CliRunner
from rich.console import Console

import run_session
from analysis.glm.run_design import design_of
from paradigms.console.run_process import find_running
from paradigms.console.session import (
    AGAIN,
    ANYWAY,
    CALIBRATE,
    DONE,
    LATER,
    LEAVE,
    ON,
    REPEAT,
    RESUME,
    SKIP,
    START,
    Describe,
    Played,
    Session,
    Stage,
    pass_preflight,
)
from paradigms.playing.play_run import play_run
from paradigms.record.parts import open_trial
from paradigms.record.run_files import attempts, claimed
from paradigms.runlog import TABLE, read_events, read_journal
from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.plan.run_sheet import run_sheet
from subjects.plan.series_numbers import series_of
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.store import read_json, read_table, write_json, write_table

RUN = RunKey("01", "01", "main", 1)


@dataclass
class Answers:
    """An operator with prepared answers, who remembers what was asked."""

    given: list[str]
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def __call__(self, question: str, choices: Sequence[str]) -> str:
        self.asked.append((question, tuple(choices)))
        return self.given.pop(0)


def walked(layout: Layout, answers: Answers, *, stage: Stage | None = None,
           describe: Describe = lambda _: None) -> tuple[list[Played], str]:
    console = Console(file=io.StringIO(), record=True, width=100)
    walk = Session(layout, load_settings(layout.root), stage=stage or Stage("emulated", "virtual"), ask=answers,
                   console=console, describe=describe)
    found = list(walk.play(sub="01", ses="01"))
    return found, console.export_text()


def test_runs_are_walked_in_order_repeated_and_left(small_console: Layout) -> None:
    answers = Answers([START, REPEAT, ON, LEAVE])
    found, said = walked(small_console, answers)
    assert [(one.key.run, one.complete) for one in found] == [(1, True), (1, True)]
    assert [len(attempts(small_console, replace(RUN, run=k))) for k in (1, 2)] == [2, 0]
    assert said.count("this run can be used") == 2
    assert answers.asked[0] == ("main run 1 (1 of 2 to play): when the subject is ready", (START, SKIP, LEAVE))
    assert answers.asked[1] == ("main run 1 is complete", (ON, REPEAT, LEAVE))
    assert read_events(small_console.events(RUN)).attrs["sidecar"]["Attempt"] == 2


@pytest.mark.slow
def test_a_skipped_run_stays_planned_and_a_complete_one_is_passed_over(small_console: Layout) -> None:
    found, _ = walked(small_console, Answers([SKIP, START, ON]))
    assert [one.key.run for one in found] == [2]
    answers = Answers([LEAVE])
    walked(small_console, answers)
    assert answers.asked[0][0].startswith("main run 1 (1 of 1 to play)")


@dataclass(frozen=True)
class TrackedStage(Stage):
    """A real scanner's stage, whose runs are an emulated one's and whose calibration is noted in a file."""

    def command(self, layout: Layout, *, key: RunKey, how: str = START) -> list[str]:
        return Stage("emulated", "virtual").command(layout, key=key, how=how)

    def calibration(self, layout: Layout, *, sub: str, ses: str) -> list[str]:
        words = super().calibration(layout, sub=sub, ses=ses)
        code = ("import pathlib, sys\n"
                "notes = pathlib.Path(sys.argv[1])\n"
                "n = len(notes.read_text().splitlines()) if notes.exists() else 0\n"
                "notes.open('a').write(' '.join(sys.argv[2:]) + chr(10))\n"
                "print('calibrated' if n else '')\n"
                "sys.exit('no EyeLink at 100.1.1.1' if not n else 0)\n")
        return [sys.executable, "-c", code, str(layout.root / "notes.txt"), *words[3:]]


def _tracking(layout: Layout) -> None:
    text = layout.settings_file.read_text(encoding="utf-8")
    layout.settings_file.write_text(text.replace("[hooks]\n", '[hooks]\ntracker = "eyelink"\n', 1), encoding="utf-8")


def test_the_eye_tracker_is_calibrated_before_the_first_run_and_whenever_it_is_wanted(small_console: Layout) -> None:
    """A calibration that failed is told and asked for no more by itself: a session of first answers does not hang."""
    _tracking(small_console)
    answers = Answers([CALIBRATE, CALIBRATE, START, ON, LEAVE])
    stage = TrackedStage("keyboard", "window", ("--windowed", "--site", "scanner.toml", "--trust"))
    found, said = walked(small_console, answers, stage=stage)
    assert [one.complete for one in found] == [True]
    assert [choices for _, choices in answers.asked] == [
        (CALIBRATE, START, SKIP, LEAVE), (START, CALIBRATE, SKIP, LEAVE), (START, CALIBRATE, SKIP, LEAVE),
        (ON, CALIBRATE, REPEAT, LEAVE), (START, CALIBRATE, SKIP, LEAVE)]
    told = (small_console.root / "notes.txt").read_text(encoding="utf-8").splitlines()
    where = f"--study {small_console.root} --sub 01 --ses 01"
    assert told == [f"calibrate {where} --display window --windowed --site scanner.toml"] * 2
    assert said.index("no EyeLink at 100.1.1.1") < said.index("calibrated")


def test_no_calibration_is_asked_for_without_an_eye_tracker_or_for_an_emulated_scanner(small_console: Layout) -> None:
    for track, scanner in ((False, "keyboard"), (True, "emulated")):
        if track:
            _tracking(small_console)
        answers = Answers([LEAVE])
        walked(small_console, answers, stage=Stage(scanner, "window"))
        assert answers.asked[0][1] == (START, SKIP, LEAVE)


@dataclass(frozen=True)
class DyingStage(Stage):
    """Plays, and is killed as soon as a few images have been shown; what is resumed is not."""

    def command(self, layout: Layout, *, key: RunKey, how: str = START) -> list[str]:
        words = super().command(layout, key=key, how=how)
        if how == RESUME:
            return words
        code = ("import os, signal, sys\n"
                "from paradigms.playing import engine\n"
                "shown = engine._Run._show\n"
                "def show(self, change):\n"
                "    shown(self, change)\n"
                "    if len(self.tally.errors_s) == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
                "engine._Run._show = show\n"
                "sys.argv = ['run_session.py', *sys.argv[1:]]\n"
                "import run_session\n"
                "run_session.main(run_session.cli)\n")
        return [sys.executable, "-c", code, *words[3:]]


def test_a_killed_run_is_recovered_at_once_and_can_be_repeated(small_console: Layout) -> None:
    answers = Answers([START, LEAVE])
    found, said = walked(small_console, answers, stage=DyingStage("emulated", "virtual"))
    assert [one.complete for one in found] == [False]
    assert answers.asked[-1][1][0] == REPEAT
    assert "look at this run before you go on" in said
    assert "recovered" in said
    table = read_events(small_console.events(RUN))
    assert not table.attrs["complete"]
    assert table["image_id"].notna().sum() == 4  # the fifth came up, and nothing says for how long
    assert (table["duration"] > 0).all()


@pytest.mark.slow
def test_a_killed_run_can_be_resumed(small_console: Layout) -> None:
    answers = Answers([START, RESUME, LEAVE])
    found, _ = walked(small_console, answers, stage=DyingStage("emulated", "virtual"))
    assert [one.complete for one in found] == [False, True]
    assert answers.asked[-2][1] == (REPEAT, RESUME, ON, LEAVE)
    sidecar = read_events(small_console.events(replace(RUN, part=2))).attrs["sidecar"]
    assert sidecar["FirstTrial"] > 1
    assert (len(sidecar["EarlierAttempts"]), sidecar["RunAttempts"], sidecar["RunComplete"]) == (1, [1, 2], True)


def test_a_run_that_was_cut_short_is_offered_in_the_next_session_and_then_done(small_console: Layout) -> None:
    walked(small_console, Answers([START, LEAVE]), stage=DyingStage("emulated", "virtual"))
    n_shown = open_trial(small_console, RUN)
    assert n_shown is not None
    answers = Answers([RESUME, ON, LEAVE])
    found, _ = walked(small_console, answers)
    assert [one.complete for one in found] == [True]
    asked = f"main run 1 (1 of 2 to play, cut short at trial {n_shown[0]} of 39): when the subject is ready"
    assert answers.asked[0] == (asked, (START, RESUME, SKIP, LEAVE))
    assert [run.done for run in run_sheet(small_console, load_settings(small_console.root), sub="01").runs][:2] == \
        [True, False]


@pytest.mark.slow
def test_the_design_shown_is_that_of_the_attempt_just_judged(small_console: Layout) -> None:
    def describe(one: Played) -> str:
        design = design_of(small_console, key=one.key, attempt=one.attempt)
        return f"attempt {one.attempt}: {design and sum(design.n_events)} events"

    answers = Answers([START, REPEAT, LEAVE])
    _, said = walked(small_console, answers, stage=DyingStage("emulated", "virtual"), describe=describe)
    shown = [read_events(path)["duration"].gt(0).sum() for path in
             (small_console.events(RUN), small_console.attempt_file("events.tsv", RUN, attempt=2))]
    assert f"attempt 1: {shown[0]} events" in said
    assert f"attempt 2: {shown[1]} events" in said


def test_a_look_at_a_record_ends_no_session(small_console: Layout) -> None:
    def describe(one: Played) -> str:
        raise ValueError(f"a [bad] table of attempt {one.attempt}")

    found, said = walked(small_console, Answers([START, ON, SKIP]), describe=describe)
    assert [one.complete for one in found] == [True]
    assert "nothing more to show of attempt 1: a [bad] table of attempt 1" in said


def test_a_record_with_an_event_that_never_lasted_is_previewed(small_console: Layout) -> None:
    walked(small_console, Answers([START, LEAVE]))
    events, sidecar = small_console.events(RUN), small_console.events_sidecar(RUN)
    table = read_table(events)
    table.loc[len(table) - 1, "duration"] = 0.0  # as releases up to 0.1.0 wrote after a crash
    write_table(events, table, overwrite=True)
    write_json(sidecar, {name: value for name, value in read_json(sidecar).items() if name != TABLE}, overwrite=True)
    design = design_of(small_console, key=RUN)
    assert design is not None
    assert sum(design.n_events) == len(table) - 1


def test_what_the_child_complains_of_is_said(small_console: Layout) -> None:
    found, said = walked(small_console, Answers([START, LEAVE]), stage=Stage("keyboard", "virtual"))
    assert not found[0].complete
    assert "a virtual display with a real trigger" in found[0].said
    assert "a virtual display with a real trigger" in said
    assert attempts(small_console, RUN) == ()


def test_the_command_walks_a_dry_run_to_its_end(small_console: Layout) -> None:
    arguments = ["session", "--study", str(small_console.root), "--sub", "01", "--ses", "01", "--scanner", "emulated",
                 "--display", "virtual"]
    done = CliRunner().invoke(run_session.cli, [*arguments, "--yes"], standalone_mode=False)
    assert (done.exception, done.return_value) == (None, 0)
    assert "ses-01: every planned run is complete" in done.output
    sheet = run_sheet(small_console, load_settings(small_console.root), sub="01")
    assert [run.done for run in sheet.runs if run.ses == "01"] == [True, True]
    other = [*arguments[:5], "--ses", "02", *arguments[7:]]
    asked = CliRunner().invoke(run_session.cli, other, input="x\nsk\nleave\n", standalone_mode=False)
    assert "one of start, skip, leave, please" in asked.output
    assert "ses-02: 2 runs are left" in asked.output
    assert asked.return_value == 1


@pytest.mark.parametrize(("answers", "begins"), [
    ([ANYWAY], True), pytest.param([LEAVE], False, marks=pytest.mark.slow),
    pytest.param([AGAIN, AGAIN, LEAVE], False, marks=pytest.mark.slow)])
def test_a_preflight_with_faults_is_asked_about(small_console: Layout, answers: list[str], begins: bool) -> None:
    for path in small_console.stimuli.rglob("*_AN.png"):
        path.unlink()
    operator = Answers(list(answers))
    stage = Stage("emulated", "virtual")
    assert pass_preflight(small_console, sub="01", ses="01", stage=stage, ask=operator) == (stage if begins else None)
    assert operator.asked == [("the preflight found faults", (LEAVE, AGAIN, ANYWAY))] * len(answers)
    assert len(list(small_console.source_dir("01", "01").glob("*_preflight-*.json"))) == len(answers)


def test_a_good_preflight_asks_nothing(small_console: Layout) -> None:
    assert pass_preflight(small_console, sub="01", ses="01", stage=Stage("emulated", "virtual"), ask=Answers([]))


def _changed(layout: Layout) -> None:
    """Scan a run, then have the study show its images for another time."""
    play_run(layout, load_settings(layout.root), key=RUN, scanner="emulated", display="virtual")
    text = layout.settings_file.read_text(encoding="utf-8")
    layout.settings_file.write_text(text.replace("lead_in_s = 6.0", "lead_in_s = 8.0"), encoding="utf-8")


def test_going_on_over_changed_settings_accepts_those_that_were_shown_and_no_others(small_console: Layout) -> None:
    _changed(small_console)
    stage = pass_preflight(small_console, sub="01", ses="01", stage=Stage("emulated", "virtual"), ask=Answers([ANYWAY]))
    assert stage is not None
    assert stage.accepted == load_settings(small_console.root).digest
    found, _ = walked(small_console, Answers([START, LEAVE]), stage=stage)
    assert found[0].complete
    assert "main.lead_in_s: 6.0 then, 8.0 now" in read_journal(
        small_console.journal(replace(RUN, run=2)))[0]["accepted_changes"]
    text = small_console.settings_file.read_text(encoding="utf-8")
    small_console.settings_file.write_text(text.replace("lead_in_s = 8.0", "lead_in_s = 10.0"), encoding="utf-8")
    child = subprocess.run(stage.command(small_console, key=replace(RUN, run=2), how=REPEAT), capture_output=True,
                           text=True, check=False)
    assert child.returncode == 2
    assert "main.lead_in_s: 8.0 then, 10.0 now" in child.stderr


@pytest.mark.slow
def test_going_on_over_other_faults_accepts_no_settings(small_console: Layout) -> None:
    for path in small_console.stimuli.rglob("*_AN.png"):
        path.unlink()
    stage = pass_preflight(small_console, sub="01", ses="01", stage=Stage("emulated", "virtual"), ask=Answers([ANYWAY]))
    assert stage is not None
    assert stage.accepted == ""


@pytest.mark.slow
def test_a_session_takes_accept_changes_with_its_preflight(small_console: Layout) -> None:
    _changed(small_console)
    words = ["session", "--study", str(small_console.root), "--sub", "01", "--ses", "01", "--scanner", "emulated",
             "--display", "virtual", "--yes", "--accept-changes"]
    done = CliRunner().invoke(run_session.cli, words, standalone_mode=False)
    assert (done.exception, done.return_value) == (None, 0)


@dataclass(frozen=True)
class ScannedStage(Stage):
    """Plays on the emulated scanner in virtual time what the session takes for a scan."""

    def command(self, layout: Layout, *, key: RunKey, how: str = START) -> list[str]:
        return Stage("emulated", "virtual").command(layout, key=key, how=how)


def test_scans_are_ticked_off_between_the_runs_and_series_are_asked_for(small_console: Layout) -> None:
    numbers: list[int | None] = [1, 2, 2, 3, None, None, 9]
    questions: list[str] = []

    def number_of(question: str) -> int | None:
        questions.append(question)
        return numbers.pop(0)

    console = Console(file=io.StringIO(), record=True, width=100)
    answers = Answers([DONE, DONE, LATER, START, ON, DONE, START, ON, LATER, DONE, LEAVE])
    walk = Session(small_console, load_settings(small_console.root), stage=ScannedStage("emulated", "virtual"),
                   ask=answers, console=console, ask_number=number_of)
    assert [one.complete for one in walk.play(sub="01", ses="01")] == [True, True]
    asked = [question.partition(":")[0] for question, _ in answers.asked]
    assert asked == ["localizer", "field map 1 of 3", "field map 2 of 3", "main run 1 (1 of 2 to play)",
                     "main run 1 is complete", "field map 3 of 3", "main run 2 (2 of 2 to play)",
                     "main run 2 is complete", "T1", "field map 2 of 3", "T1"]
    assert questions == [f"the scanner's series of {what}" for what in (
        "localizer 1", "field map 1", "main run 1, attempt 1", "main run 1, attempt 1", "field map 3",
        "main run 2, attempt 1", "field map 2")]
    said = console.export_text()
    assert "2, the series of field map 1; expected a number of its own" in said.replace("\n", " ")
    assert series_of(small_console, RUN, attempt=1) == 3
    assert read_events(small_console.events(RUN)).attrs["sidecar"]["SeriesNumber"] == 3
    done = {one.name: one.series for one in run_sheet(
        small_console, load_settings(small_console.root), sub="01").scans if one.ses == "01" and one.done_wall}
    assert done == {"localizer": 1, "field map 1 of 3": 2, "field map 2 of 3": 9, "field map 3 of 3": None}
    assert re.search(r"main run 1 +done +series 3", said)
    assert walk.left


def test_a_run_that_is_being_opened_is_followed(small_console: Layout) -> None:
    """A terminal was closed while devices were opened: there is no journal yet, and there shall be no preflight."""
    settings = load_settings(small_console.root)
    assert find_running(small_console, sub="01") is None
    began = threading.Event()

    def play() -> None:
        with claimed(small_console, RUN, attempt=1):
            began.wait(10.0)
            play_run(small_console, settings, key=RUN, scanner="emulated", display="virtual")

    player = threading.Thread(target=play)
    player.start()
    while find_running(small_console, sub="01") is None:
        time.sleep(0.01)
    running = find_running(small_console, sub="01")
    assert running is not None
    assert (running.key, running.number, running.journal.exists()) == (RUN, 1, False)
    with pytest.raises(RunLogError, match="being opened or played now"), claimed(small_console, RUN, attempt=1):
        pass
    threading.Timer(0.3, began.set).start()
    found, said = walked(small_console, Answers([ON, LEAVE]))
    player.join()
    assert [(one.key, one.attempt, one.complete) for one in found] == [(RUN, 1, True)]
    assert "main run 1 is being opened now (attempt 1): following it" in said
    assert "this run can be used" in said
    assert find_running(small_console, sub="01") is None


def test_a_run_that_never_began_is_not_complete(small_console: Layout) -> None:
    with claimed(small_console, RUN, attempt=1):
        running = find_running(small_console, sub="01")
    assert running is not None
    walk = Session(small_console, load_settings(small_console.root), stage=Stage("emulated", "virtual"),
                   ask=Answers([]), console=Console(file=io.StringIO()))
    assert walk.follow(running).complete is False


def test_a_preflight_that_cannot_be_made_is_told_apart(small_console: Layout) -> None:
    operator = Answers([LEAVE])
    assert not pass_preflight(small_console, sub="01", ses="01", stage=Stage("keyboard", "virtual"), ask=operator)
    assert operator.asked[0][0] == "the preflight could not be made"


def test_a_session_that_is_not_planned_is_named(small_console: Layout) -> None:
    done = CliRunner().invoke(run_session.cli, ["session", "--study", str(small_console.root), "--sub", "01", "--ses",
                                                "09"], standalone_mode=False)
    assert "'09'; expected one of 01, 02" in str(done.exception)
