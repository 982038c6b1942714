"""A run is shown while it is played: a panel in a terminal, lines elsewhere; every wait says how to leave it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from rich.console import Console

from paradigms.console.panels import awaited, live_panel, plain_lines
from paradigms.console.preflight import check_inputs
from paradigms.console.run_state import RunView, fold
from paradigms.console.watching import Watched, watch, watched_run
from paradigms.devices.protocols import Press, Pulse
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.playing.play_run import play_run
from paradigms.playing.run_devices import Devices
from paradigms.record.plans import read_schedule
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from tests.paradigms.conftest import make_console_study

ROOT = Path(__file__).resolve().parents[3]
RUN = RunKey("01", "01", "main", 1)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a pty plays the terminal")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = make_console_study(tmp_path_factory.mktemp("played") / "study", stimuli={"per_class": 2},
                                main={"runs": 1, "lead_in_s": 6.0}, retinotopy={"runs": []}, lo={"runs": []},
                                motion={"runs": []})
    play_run(layout, load_settings(layout.root), key=RUN, scanner="emulated", display="virtual")
    return layout


def _watched(layout: Layout) -> Watched:
    return watched_run(load_settings(layout.root), journal=layout.journal(RUN, attempt=1),
                       plan=layout.schedule(RUN, attempt=1), scanner="keyboard", display="virtual")


@pytest.mark.parametrize(("task", "bounds"), [("main", (0.6, 0.7)), ("lo", (0.4, 0.8)), ("motion", (0.5, 0.8))])
def test_the_bounds_of_attention_are_those_of_the_settings(played: Layout, task: str,
                                                           bounds: tuple[float, float]) -> None:
    settings = load_settings(played.root, overrides={"main.least_right": 0.6, "main.least_answered": 0.7,
                                                     "lo.least_hits": 0.4})
    key = RunKey("01", "01", task, 1)
    watched = watched_run(settings, journal=played.journal(key), plan=played.schedule(key), scanner="keyboard",
                          display="virtual")
    assert (watched.least_right, watched.least_answered) == bounds


@pytest.fixture
def waiting(played: Layout) -> RunView:
    """Give the view of a run that is safe."""
    view = RunView(read_schedule(played.schedule(RUN, attempt=1)))
    for record in ({"kind": "devices", "t": 1.0, "trigger": "key '5'", "abort_key": "q"},
                   {"kind": "start", "t": 2.0}, {"kind": "safe", "t": 3.0, "key": "space"}):
        view = fold(view, record)
    return view


def test_every_wait_says_for_what_how_long_and_how_to_leave(waiting: RunView) -> None:
    assert awaited(waiting) == "safe: waits for the key 'space', without a limit; 'q' or Ctrl-C ends it"
    armed = fold(waiting, {"kind": "armed", "t": 4.0})
    assert awaited(armed) == "waits for the trigger, key '5', without a limit; 'q' or Ctrl-C ends it"
    assert awaited(fold(armed, {"kind": "zero", "t": 5.0})) == ""
    out = io.StringIO()
    Console(file=out, width=80).print(live_panel(armed, now_s=70.0, width=80))
    assert "waiting for key '5', 1:06 by now, without a limit" in out.getvalue()
    assert "'q' in the subject's window, or Ctrl-C here, ends the run" in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) <= 80


def test_lines_are_told_twice_a_minute(waiting: RunView) -> None:
    zero = fold(waiting, {"kind": "zero", "t": 100.0})
    told = [plain_lines(replace(zero, now_s=100.0 + t)) for t in (0.0, 29.0, 31.0, 59.0, 61.0)]
    assert told[0] == told[1] == ("running: 0:00 of 3:02; 'q' or Ctrl-C ends it",)
    assert told[2] == told[3] == ("running: 0:30 of 3:02",)
    assert told[4] == ("running: 1:00 of 3:02",)


def test_a_pipe_gets_each_line_once_and_no_colours(played: Layout) -> None:
    done = subprocess.run([sys.executable, "-m", "paradigms.console.watching", json.dumps(asdict(_watched(played)))],
                          cwd=ROOT, input="", capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert len(set(done.stdout.splitlines())) == len(done.stdout.splitlines())


def test_a_run_that_never_began_is_said_to_be_opened(tmp_path: Path) -> None:
    out = io.StringIO()
    watched = Watched(str(tmp_path / "j"), str(tmp_path / "s"), opening="opening the window", frame_s=0.01,
                      window_s=1.0)
    answers = iter((True, True, False))
    assert watch(watched, alive=lambda: next(answers), console=Console(file=out)) is None
    assert out.getvalue() == "opening the window\n"


BESIDE = """
import json, logging, sys, time
from paradigms.console.watching import Watched, shown_beside
logging.basicConfig(level=logging.WARNING)
with shown_beside(Watched(**json.loads(sys.argv[1]))):
    logging.warning("held back")
    for _ in range(30):
        time.sleep(0.1)
print("ended")
"""


def test_in_a_terminal_the_panel_is_drawn_beside_and_what_is_typed_does_not_show(played: Layout) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", BESIDE, json.dumps(asdict(_watched(played)))], cwd=ROOT,
                               stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                               env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"},
                               preexec_fn=None)
    time.sleep(1.5)
    os.write(ours, b"5555zyx")
    os.close(theirs)
    seen = b"".join(_all_of(ours))
    assert process.wait() == 0
    text = seen.decode("utf-8", "replace")
    assert "sub-01  ses-01  main  run 1" in text
    assert "COMPLETE" in text
    assert text.index("held back") > text.rindex("COMPLETE")
    assert text.rstrip().endswith("ended")


def _all_of(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # Linux's way of saying that the other end was closed
            return
        if not data:
            return
        yield data


class _Coming:
    """A trigger and a button box on which things come at their times."""

    def __init__(self, clock: VirtualClock, *, presses: list[tuple[float, str]], pulses: list[float]) -> None:
        self._clock, self._presses, self._pulses = clock, presses, pulses

    def open(self) -> None: ...

    def close(self) -> None: ...

    def presses(self) -> list[Press]:
        due = [(t, key) for t, key in self._presses if t <= self._clock.now()]
        self._presses = [one for one in self._presses if one not in due]
        return [Press(t, key, "box") for t, key in due]

    def pulses(self) -> list[Pulse]:
        due = [t for t in self._pulses if t <= self._clock.now()]
        self._pulses = [t for t in self._pulses if t not in due]
        return [Pulse(t, "box", "5") for t in due]


def _looked(presses: list[tuple[float, str]], pulses: list[float]) -> tuple[list[str], float, bool]:
    clock, told = VirtualClock(start_s=0.0), list[str]()
    coming = _Coming(clock, presses=presses, pulses=pulses)
    devices = Devices(clock, trigger=coming, responses=coming, poll_s=0.5,
                      display=RecordingDisplay(clock, size_px=(8, 8), refresh_hz=60.0))
    found = check_inputs(devices, keys=("1", "2"), timeout_s=60.0, abort_key="escape", tell=told.append)
    return told, clock.now(), all(one.ok for one in found)


def test_the_preflight_says_what_it_waits_for_as_it_comes() -> None:
    told, _, good = _looked([(10.0, "1"), (30.0, "2")], [20.0])
    end = "'escape' or Ctrl-C ends the wait"
    assert good
    assert told == [
        f"waiting for the button '1', the button '2', a pulse of the scanner, 60 s; {end}",
        f"waiting for the button '2', a pulse of the scanner, 50 s; {end}",
        f"waiting for the button '2', 40 s; {end}", "every button and a pulse came"]


def test_the_operators_key_ends_the_preflights_wait() -> None:
    _, ended_s, good = _looked([(3.0, "escape")], [])
    assert not good
    assert ended_s < 5.0
