"""A session played from one command: runs in child processes, followed in their journals, nothing lost with either."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from click.testing import CliRunner
from rich.console import Console

import run_session
from analysis.glm.run_design import design_of
from paradigms.console.session import (
    AGAIN,
    ANYWAY,
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
from paradigms.record.parts import open_trial
from paradigms.record.run_files import attempts
from paradigms.runlog import TABLE, read_events
from subjects.layout import Layout
from subjects.plan.run_sheet import run_sheet
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


def test_a_skipped_run_stays_planned_and_a_complete_one_is_passed_over(small_console: Layout) -> None:
    found, _ = walked(small_console, Answers([SKIP, START, ON]))
    assert [one.key.run for one in found] == [2]
    answers = Answers([LEAVE])
    walked(small_console, answers)
    assert answers.asked[0][0].startswith("main run 1 (1 of 1 to play)")


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


@pytest.mark.parametrize(("answers", "begins"), [([LEAVE], False), ([ANYWAY], True), ([AGAIN, AGAIN, LEAVE], False)])
def test_a_preflight_with_faults_is_asked_about(small_console: Layout, answers: list[str], begins: bool) -> None:
    for path in small_console.stimuli.rglob("*_AN.png"):
        path.unlink()
    operator = Answers(list(answers))
    stage = Stage("emulated", "virtual")
    assert pass_preflight(small_console, sub="01", ses="01", stage=stage, ask=operator) is begins
    assert operator.asked == [("the preflight found faults", (LEAVE, AGAIN, ANYWAY))] * len(answers)
    assert len(list(small_console.source_dir("01", "01").glob("*_preflight-*.json"))) == len(answers)


def test_a_good_preflight_asks_nothing(small_console: Layout) -> None:
    assert pass_preflight(small_console, sub="01", ses="01", stage=Stage("emulated", "virtual"), ask=Answers([]))


def test_a_preflight_that_cannot_be_made_is_told_apart(small_console: Layout) -> None:
    operator = Answers([LEAVE])
    assert not pass_preflight(small_console, sub="01", ses="01", stage=Stage("keyboard", "virtual"), ask=operator)
    assert operator.asked[0][0] == "the preflight could not be made"


def test_a_session_that_is_not_planned_is_named(small_console: Layout) -> None:
    done = CliRunner().invoke(run_session.cli, ["session", "--study", str(small_console.root), "--sub", "01", "--ses",
                                                "09"], standalone_mode=False)
    assert "'09'; expected one of 01, 02" in str(done.exception)
