"""Every paradigm in a real window at real pace (Xvfb without a display): onsets, drift, key pulses, and the screen.

PYTHONPATH=. .venv/bin/python benchmarks/paradigm_windows.py [--seconds 72] [--tasks main lo] [--refresh 60]

Each paradigm is played twice, each time by a process of its own. The first run is timed, while further keys are
pressed for 2, 5 and 10 ms at random moments. The second is photographed (a picture takes as long as a frame or two),
and what stands on the screen is held against the schedule.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.screens_shown import EVERY, Shot, ShotDisplay, judge
from paradigms.devices.xserver import start_virtual_display
from paradigms.emulation.fake_keys import KeySender
from paradigms.playing import play_run as session
from paradigms.playing.play_run import play_run
from paradigms.playing.run_devices import Devices
from paradigms.record.plans import read_schedule
from paradigms.runlog import of_kind, read_journal
from paradigms.tasks.catalogue import TASKS
from stimuli.textures.render import render
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from tests.paradigms.conftest import make_console_study

FRAME_S = 1.0 / 60.0
HOLDS_S = {"7": 0.002, "8": 0.005, "9": 0.010}
TAPS_PER_S = 6.0
SHOTS_S = {"main": 64.0, "retinotopy": 52.0, "lo": 40.0, "motion": 36.0}


def main() -> None:
    """Play each paradigm in its own processes and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=72.0)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--refresh", type=float, default=60.0)
    parser.add_argument("--keep", type=Path, help="a folder for the pictures that were taken")
    parser.add_argument("--one", choices=("timed", "photographed"), help=argparse.SUPPRESS)
    parser.add_argument("--study", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        start_virtual_display(1920, 1080)
        play = timed if options.one == "timed" else photographed
        sys.stdout.write(json.dumps(play(options)) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        layout = make_console_study(Path(folder) / "study", side=227)
        render(layout, load_settings(layout.root))
        failed = [task for task in options.tasks if not _both(layout, task, options)]
    print(f"all hold: {', '.join(options.tasks)}" if not failed else f"FAILED: {', '.join(failed)}")
    sys.exit(1 if failed else 0)


def _both(layout: Layout, task: str, options: argparse.Namespace) -> bool:
    """Have a paradigm timed and photographed, each in a process of its own, and print what was found."""
    holds = True
    for one in ("timed", "photographed"):
        command = [sys.executable, __file__, "--one", one, "--study", str(layout.root), "--tasks", task,
                   "--seconds", str(options.seconds), "--refresh", str(options.refresh)]
        keep = ["--keep", str(options.keep)] if options.keep else []
        done = subprocess.run([*command, *keep], stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        holds = holds and found["holds"]
        print(f"{task:10s} {'' if found['holds'] else 'FAILED: '}{found['said']}", flush=True)
    return holds


def _settings(options: argparse.Namespace) -> Settings:
    return load_settings(options.study, overrides={"display.refresh_hz": options.refresh})


def _play(options: argparse.Namespace, *, seconds: float) -> tuple[Any, list[dict[str, Any]], Path]:
    """Play the first seconds of a paradigm's first run; give outcome, journal and plan."""
    layout, task = Layout(options.study), options.tasks[0]
    outcome = play_run(layout, _settings(options), key=RunKey("01", "01", task, 1), scanner="emulated",
                       display="xvfb", fullscreen=False, until_s=seconds)
    path = max((layout.root / "sourcedata" / "excerpts").glob(f"*_task-{task}_*_journal.jsonl"),
               key=lambda one: one.stat().st_mtime)
    return outcome, read_journal(path), path.with_name(path.name.replace("_journal.jsonl", "_schedule.json"))


def timed(options: argparse.Namespace) -> dict[str, Any]:
    """Play, with keys pressed meanwhile; judge flips, drift, pulses and presses."""
    sent: list[str] = []

    @contextmanager
    def with_keys(devices: Devices) -> Iterator[Devices]:
        threading.Timer(4.0, press_for, (options.seconds - 8.0,), {"sent": sent}).start()  # within the run
        yield devices

    with opened_with(with_keys):
        outcome, records, _ = _play(options, seconds=options.seconds)
    flips = [one for one in of_kind(records, "flip") if one.get("what") in ("on", "off", "step") and "planned" in one]
    planned = np.array([one["planned"] for one in flips])
    errors = np.array([one["t"] for one in flips]) - planned
    slope = float(np.polyfit(planned - planned[0], errors, 1)[0])
    heard = [one["key"] for one in of_kind(records, "press")]
    lost = {f"{1e3 * HOLDS_S[key]:g} ms": sent.count(key) - heard.count(key) for key in HOLDS_S}
    volumes = len(of_kind(records, "pulse"))
    within = float(np.mean(np.abs(errors) <= FRAME_S))
    last, skipped = float(errors[-1]), len(of_kind(records, "skip"))
    share = within * len(flips) / (len(flips) + skipped)
    holds = (outcome.complete and share >= 0.99 and not any(lost.values()) and abs(last) <= FRAME_S
             and abs(slope) * options.seconds <= FRAME_S and volumes == outcome.watch.n_expected)
    said = (f"{options.seconds:g} s, {len(flips)} changes: {100 * share:.1f} % within 1/60 s, {skipped} left out; "
            f"error median {1e3 * np.median(errors):.2f}, 99 % {1e3 * np.percentile(np.abs(errors), 99):.2f}, "
            f"last {1e3 * last:.2f} ms; drift {60e3 * slope:.2f} ms a minute; pulses {volumes} of "
            f"{outcome.watch.n_expected}; {len(sent)} keys pressed, lost "
            + ", ".join(f"{n} of {sent.count(key)} of {hold}" for key, (hold, n) in
                        zip(HOLDS_S, lost.items(), strict=True)))
    return {"holds": bool(holds), "said": said}


@contextmanager
def opened_with(around: Callable[[Devices], AbstractContextManager[Devices]]) -> Iterator[None]:
    """Have something put around the devices of every run that is played."""
    opened = session.opened_devices

    @contextmanager
    def more(*arguments: Any, **named: Any) -> Iterator[Devices]:
        with opened(*arguments, **named) as devices, around(devices) as changed:
            yield changed

    session.opened_devices = more
    try:
        yield
    finally:
        session.opened_devices = opened


def press_for(seconds: float, *, sent: list[str]) -> None:
    """Press keys of no meaning at random moments; tell of each in `sent`."""
    rng, sender = np.random.default_rng(0), KeySender(os.environ["DISPLAY"])
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        key = str(rng.choice(list(HOLDS_S)))
        sender.tap(key, hold_s=HOLDS_S[key])
        sent.append(key)
        time.sleep(float(rng.exponential(1.0 / TAPS_PER_S)))
    sender.close()


def photographed(options: argparse.Namespace) -> dict[str, Any]:
    """Play, photograph some changes, and hold the pictures against the schedule."""
    shots: list[Shot] = []

    @contextmanager
    def with_camera(devices: Devices) -> Iterator[Devices]:
        yield replace(devices, display=ShotDisplay(devices.display, shots=shots, every=EVERY[options.tasks[0]]))

    with opened_with(with_camera):
        _, records, plan = _play(options, seconds=SHOTS_S[options.tasks[0]])
    said, holds = judge(read_schedule(plan), _settings(options), layout=Layout(options.study), shots=shots,
                        records=records, keep=options.keep)
    return {"holds": holds, "said": said}


if __name__ == "__main__":
    main()
