"""A few trials at real pace in a real window: the part of a rehearsal that virtual time cannot show."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from paradigms.devices.protocols import HardwareClock
from paradigms.devices.tracker import NO_CONSENT, make_tracker
from paradigms.playing.assembly import XVFB, opened_devices, require_devices
from paradigms.playing.engine import play
from paradigms.playing.play_run import prepare, write_plan
from paradigms.record.journal import Journal
from paradigms.record.run_files import excerpt_files
from paradigms.runlog import is_complete, of_kind, read_journal
from paradigms.schedule import Event
from paradigms.tasks.catalogue import task_of
from subjects.cli import ProgressWrapper, silent
from subjects.errors import DeviceError
from subjects.layout import Layout
from subjects.profile import load_profile
from subjects.provenance import versions
from subjects.run_key import RunKey
from subjects.settings.paradigms import MAIN
from subjects.settings.study import Settings
from subjects.store import whole_file

N_TRIALS = 10
_SHOT_AT = 2


@dataclass(frozen=True)
class ExcerptReport:
    """What an excerpt showed, read from its journal.

    Parameters
    ----------
    journal, screenshot : Path
        The record, and the screen during the second image.
    n_shown, n_planned : int
        Images.
    onset_median_s, onset_p99_s : float
        Of |actual - planned|.
    n_pulses, n_pulses_sent, n_presses, n_presses_sent : int
        Key events of 5 ms that were sent, and what the journal has of them.
    reused : bool
        The excerpt was played before.
    """

    journal: Path
    screenshot: Path
    n_shown: int
    n_planned: int
    onset_median_s: float
    onset_p99_s: float
    n_pulses: int
    n_pulses_sent: int
    n_presses: int
    n_presses_sent: int
    reused: bool

    def summary(self) -> str:
        """Say it in one line."""
        said = (f"{self.n_shown} of {self.n_planned} images, onset error median {1e3 * self.onset_median_s:.1f} ms, "
                f"99 % {1e3 * self.onset_p99_s:.1f} ms; logged {self.n_pulses} of {self.n_pulses_sent} pulses, "
                f"{self.n_presses} of {self.n_presses_sent} presses")
        return f"{said}, reused" if self.reused else said


def play_excerpt(layout: Layout, settings: Settings, *, sub: str, n_trials: int = N_TRIALS, fullscreen: bool = False,
                 progress: ProgressWrapper = silent) -> ExcerptReport:
    """Play the first trials of a subject's first run in a window, pulses and presses sent as key events.

    Parameters
    ----------
    layout, settings
        The study.
    sub : str
        A subject.
    n_trials : int
        How many trials.
    fullscreen : bool
        Fill the screen.
    progress : ProgressWrapper
        Told of images.

    Returns
    -------
    ExcerptReport
        Of this excerpt, or of one that was played to its end before.

    Raises
    ------
    ProfileError
        If the subject is a volunteer.
    DeviceError
        If no window can be had, or the excerpt did not end well.
    """
    require_devices(load_profile(layout, sub), scanner="emulated", display=_at_hand())
    key = RunKey(sub, "01", MAIN, 1)
    for path in sorted((layout.root / "sourcedata" / "excerpts").glob(f"{key}_excerpt-*_journal.jsonl")):
        if is_complete(read_journal(path)):
            return read_report(path, reused=True)
    journal = _play(layout, settings, key=key, n_trials=n_trials, fullscreen=fullscreen, progress=progress)
    return read_report(journal, reused=False)


def _play(layout: Layout, settings: Settings, *, key: RunKey, n_trials: int, fullscreen: bool,
          progress: ProgressWrapper) -> Path:
    tracker = make_tracker(layout, settings, consent=NO_CONSENT)
    task = task_of(key.task, settings)
    schedule, images = prepare(layout, task, key=key, n_trials=n_trials)
    files = excerpt_files(layout, key)
    path, clock = files.journal, HardwareClock()
    shown = sum(event.image_id is not None for event in schedule.events)
    bar = progress(range(shown + 1), label="excerpt in a window")
    with opened_devices(settings, schedule=schedule, clock=clock, scanner="emulated", display=_at_hand(),
                        fullscreen=fullscreen, tracker=tracker) as devices:
        write_plan(schedule, settings, schedule_path=files.schedule, settings_path=files.settings)
        count = 0

        def see(_: Event) -> None:
            nonlocal count
            count += 1
            next(bar, None)
            if count == _SHOT_AT:
                _save(_screenshot_path(path), devices.display.screenshot())

        with Journal(path, clock=clock) as journal:
            journal.write("devices", scanner="emulated", display=_at_hand(), where=devices.where,
                          versions=versions("psychopy"))
            outcome = play(schedule, program=task.program(schedule), devices=devices,
                           journal=journal, settings=settings, images=images, on_event=see, trigger_timeout_s=60.0)
            sent = [tap.key for tap in devices.display.emulated.sent]  # type: ignore[attr-defined]
            journal.write("sent", pulses=sent.count(settings.scanner.trigger_key),
                          presses=len(sent) - sent.count(settings.scanner.trigger_key), planned=shown, sync=True)
    for _ in bar:
        pass
    if not outcome.complete:
        raise DeviceError("excerpt", came=outcome.reason, expected="an excerpt played to its end",
                          remedy=f"See {path}; leave the window alone, or use --no-window.")
    return path


def _at_hand() -> str:
    """Name the display of a rehearsal: where Linux has no X server at hand, a virtual one is started."""
    return "window" if sys.platform != "linux" or os.environ.get("DISPLAY") else XVFB


def _screenshot_path(journal: Path) -> Path:
    return journal.with_name(journal.name.replace("_journal.jsonl", "_screen.png"))


def _save(path: Path, pixels: np.ndarray) -> None:
    with whole_file(path) as beside:
        Image.fromarray(pixels).save(beside, format="PNG")


def read_report(path: Path, *, reused: bool) -> ExcerptReport:
    """Read an excerpt's report out of its journal."""
    records = read_journal(path)
    sent = of_kind(records, "sent")[-1]
    on = [flip for flip in of_kind(records, "flip") if flip["what"] == "on"]
    errors = np.abs([flip["t"] - flip["planned"] for flip in on])
    return ExcerptReport(
        path, _screenshot_path(path), n_shown=len(on), n_planned=int(sent["planned"]),
        onset_median_s=float(np.median(errors)), onset_p99_s=float(np.percentile(errors, 99)),
        n_pulses=len(of_kind(records, "pulse")), n_pulses_sent=int(sent["pulses"]),
        n_presses=len(of_kind(records, "press")), n_presses_sent=int(sent["presses"]), reused=reused)
