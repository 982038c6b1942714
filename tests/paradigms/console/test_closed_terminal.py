"""A run outlives its terminal, the line to it and whoever started it; a session started again follows it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from paradigms.console.run_process import find_running
from paradigms.console.session import LEAVE, ON, Session, Stage
from paradigms.record.journal import Journal
from paradigms.record.recovery import settle
from paradigms.record.run_files import attempts
from paradigms.runlog import of_kind, read_events, read_journal
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from tests.paradigms.conftest import make_console_study
from tests.paradigms.console.test_session import Answers
from tests.paradigms.paced_run import PacedClock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such terminals there")
ROOT = Path(__file__).resolve().parents[3]
PACED = ROOT / "tests" / "paradigms"
RUN = RunKey("01", "01", "main", 1)
SPEED = "12"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    short: dict[str, object] = {"runs": 1, "lead_in_s": 2.0, "lead_out_s": 2.0, "blank_s": 0.5, "image_s": 0.5}
    return make_console_study(tmp_path / "study", stimuli={"per_class": 2}, main=short, retinotopy={"runs": []},
                              lo={"runs": [0, 0]}, motion={"runs": [0, 0]})


def in_terminal(words: Sequence[str], *, ignores: bool = False) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command in a terminal of its own; closing the returned descriptor closes the terminal.

    With `ignores` it was told to ignore that, as by ``nohup``.
    """
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()

    def take() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        if ignores:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
                               env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}, preexec_fn=take)  # noqa: PLW1509 - no threads of ours
    os.close(theirs)
    return process, ours


def wait_for(what: Callable[[], object], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def shown(layout: Layout) -> bool:
    """Say whether the first run has begun to show images."""
    journal = layout.journal(RUN)
    return journal.is_file() and b'"what":"on"' in journal.read_bytes()


@pytest.mark.parametrize("ignores", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_run_goes_on_when_its_terminal_is_closed(layout: Layout, ignores: bool) -> None:
    run, terminal = in_terminal([str(PACED / "paced_run.py"), str(layout.root), SPEED, "01", "1"], ignores=ignores)
    wait_for(lambda: shown(layout))
    os.close(terminal)
    assert run.wait(timeout=60) == 0  # what it says at its end goes nowhere, and fails nothing
    assert read_events(layout.events(RUN)).attrs["complete"]


def test_a_run_goes_on_when_nobody_reads_what_it_says(layout: Layout) -> None:
    run = subprocess.Popen([sys.executable, str(PACED / "paced_run.py"), str(layout.root), SPEED, "01", "1"], cwd=ROOT,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert run.stdout is not None
    assert run.stderr is not None
    wait_for(lambda: shown(layout))
    run.stdout.close()
    run.stderr.close()
    run.wait(timeout=60)
    assert read_events(layout.events(RUN)).attrs["complete"]


@pytest.mark.parametrize("lost", ["terminal", pytest.param("killed", marks=pytest.mark.slow)])
def test_a_session_started_again_follows_the_run_that_goes_on(layout: Layout, lost: str) -> None:
    session, terminal = in_terminal([str(PACED / "paced_session.py"), str(layout.root), SPEED])
    wait_for(lambda: shown(layout))
    if lost == "killed":
        session.kill()
    os.close(terminal)
    assert session.wait(timeout=60) == (-signal.SIGKILL if lost == "killed" else -signal.SIGHUP)
    running = find_running(layout, sub="01")
    assert running is not None
    assert (running.key, running.number) == (RUN, 1)
    console, answers = Console(file=io.StringIO(), record=True, width=100), Answers([ON])
    walk = Session(layout, load_settings(layout.root), stage=Stage("emulated", "virtual"), ask=answers, console=console)
    found = list(walk.play(sub="01", ses="01"))
    assert [(one.key, one.attempt, one.complete) for one in found] == [(RUN, 1, True)]
    said = console.export_text()
    assert "main run 1 is being played now (attempt 1): following it" in said
    assert "verdict: sub-01  ses-01  main  run 1" in said
    assert answers.asked == [("main run 1 is complete", (ON, "repeat", LEAVE))]
    assert len(attempts(layout, RUN)) == 1
    assert read_events(layout.events(RUN)).attrs["complete"]


def test_ctrl_c_in_the_session_ends_the_run_and_keeps_its_table(layout: Layout) -> None:
    session, terminal = in_terminal([str(PACED / "paced_session.py"), str(layout.root), SPEED])
    wait_for(lambda: shown(layout))
    session.send_signal(signal.SIGINT)
    assert session.wait(timeout=60) == 0
    os.close(terminal)
    assert of_kind(read_journal(layout.journal(RUN)), "end")[0]["reason"] == "interrupted"
    assert read_events(layout.events(RUN)).attrs["complete"] is False


def test_nothing_runs_where_no_journal_is_held(layout: Layout) -> None:
    assert find_running(layout, sub="01") is None
    with Journal(layout.journal(RUN), clock=PacedClock(1.0)) as journal:
        journal.write("devices")
        found = find_running(layout, sub="01")
        assert found is not None
        assert found.alive
        assert find_running(layout, sub="02") is None
    assert find_running(layout, sub="01") is None
    assert settle(layout, layout.journal(RUN), patience_s=5.0) is None  # nothing was scanned: nothing is waited for
