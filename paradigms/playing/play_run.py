"""One run from its plan to its events table: schedule and settings first, then devices, then the record."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

from paradigms.devices.protocols import Clock, HardwareClock, Pixels
from paradigms.devices.tracker import NO_CONSENT, Consent, make_tracker
from paradigms.devices.xserver import tell_if_lost
from paradigms.emulation.scanner_and_display import VirtualClock, patience_s
from paradigms.playing.assembly import buttons_named, opened_devices, require_devices, trigger_named
from paradigms.playing.engine import Terminated, play
from paradigms.playing.resume import resumed
from paradigms.playing.run_devices import Devices
from paradigms.playing.terminal import outliving_terminal, unfailing
from paradigms.program import Program
from paradigms.record.departures import changes_since, require_accepted
from paradigms.record.events_files import require_free, require_new, require_same_plan, write_events
from paradigms.record.journal import Journal
from paradigms.record.outcome import RunOutcome
from paradigms.record.recovery import recover_attempt
from paradigms.record.run_files import RunFiles, attempt_files, earlier_attempts, excerpt_files, last_attempt
from paradigms.recorders.markers import END, ZERO, code_of
from paradigms.runlog import has_end, read_journal
from paradigms.schedule import BLANK, Event, Schedule, excerpt, first_seconds
from paradigms.tasks.catalogue import task_of
from paradigms.tasks.protocol import Pictures, Task
from paradigms.texts.screens import RunScreens, run_screens
from subjects.cli import ProgressWrapper, silent
from subjects.layout import Layout
from subjects.profile import load_profile
from subjects.provenance import digest_array, versions
from subjects.run_key import RunKey
from subjects.settings.display import DisplaySettings
from subjects.settings.study import Settings
from subjects.store import write_json


def play_run(layout: Layout, settings: Settings, *, key: RunKey, scanner: str, display: str, repeat: bool = False,
             fullscreen: bool = True, n_trials: int | None = None, until_s: float | None = None,
             resume: bool = False, from_trial: int | None = None, folder: Path | None = None,
             trigger_timeout_s: float | None = None, consent: Consent = NO_CONSENT,
             accept_changes: bool = False, progress: ProgressWrapper = silent) -> RunOutcome:
    """Play one run of the study and write its record.

    Parameters
    ----------
    layout, settings
        The study.
    key : RunKey
        Which run.
    scanner : {"emulated", "keyboard", "serial", "parallel"}
        Where the pulses come from.
    display : {"window", "xvfb", "virtual"}
        Where the images go: the subject's screen; a virtual X server, which nobody sees; nowhere, in virtual time and
        with the emulated scanner.
    repeat : bool
        Play again what was completed before. Every earlier attempt is kept.
    fullscreen : bool
        Whether a window fills the screen.
    n_trials : int, optional
        Play an excerpt of so many trials. It counts as no attempt, and has a journal but no events table.
    until_s : float, optional
        Play an excerpt of so many first seconds.
    resume : bool
        Play the rest of a run that was cut short, with the same plan, as an attempt of its own.
    from_trial : int, optional
        Where to resume, from 1. Default: the first trial that the last attempt did not show to its end.
    folder : Path, optional
        Where an excerpt's files go; default ``sourcedata/excerpts`` of the study.
    trigger_timeout_s : float, optional
        How long to wait for the trigger. Default: for ever; on the emulated scanner until it has sent its last
        pulse.
    consent : Consent
        Who agreed to run the code of a tracker that the study names.
    accept_changes : bool
        Play although settings differ from those of the subject's earlier runs of this task; recorded.
    progress : ProgressWrapper
        Told of every image shown.

    Returns
    -------
    RunOutcome
        Also of a run that was aborted: its events table is marked incomplete.

    Raises
    ------
    StudyError
        Before anything is shown or written: for an unknown device or task, the emulated scanner with a
        volunteer, a tracker of the study's own that nobody trusted here, a run that was completed before, an image
        that is not what the manifest says, no display.
    """
    profile = load_profile(layout, key.sub)
    require_devices(profile, scanner=scanner, display=display)
    tracker = make_tracker(layout, settings, consent=consent)
    task = task_of(key.task, settings)
    schedule, images = prepare(layout, task, key=key, n_trials=n_trials, until_s=until_s)
    whole = n_trials is None and until_s is None
    if whole:
        require_new(layout, key, repeat=repeat)
        require_same_plan(layout, schedule)
    if resume:
        schedule = resumed(layout, schedule, from_trial=from_trial,
                           lead_s=task.resume_lead_s)
    changed = require_accepted(*changes_since(layout, settings, sub=key.sub, task=key.task),
                               accept=accept_changes) if whole else ()
    clock: Clock = VirtualClock() if display == "virtual" else HardwareClock()
    if trigger_timeout_s is None and scanner == "emulated":
        trigger_timeout_s = patience_s(settings.emulated_scanner, scanner=settings.scanner,
                                       schedule=schedule)
    require_free(layout.root)
    program = task.program(schedule)
    for name in {ZERO, END, *(event.trial_type for event in schedule.events)} - {BLANK} if \
            settings.markers.device != "none" else ():
        code_of(settings.markers, name)  # what has no code is said before anything is shown
    attempt = last_attempt(layout, key) + 1
    files = attempt_files(layout, key, attempt=attempt) if whole else excerpt_files(layout, key, folder=folder)
    screens = run_screens(layout, settings, task=task, profile=profile, background=program.blank.background,
                          scores=lambda: task.score(read_journal(files.journal), schedule)) if whole else None
    said = {"earlier": earlier_attempts(layout, key, attempt=attempt) if whole else [], "scanner": scanner,
            "display": display, "buttons": buttons_named(settings, scanner=scanner),
            "trigger": trigger_named(settings, scanner=scanner), "abort_key": settings.main.abort_key,
            "display_delay_s": 0.0 if display == "virtual" else settings.display.delay_s,
            "versions": versions("adversarial-fmri", "psychopy"),
            **({"accepted_changes": changed} if changed else {}),
            **luminance_told(settings.display),
            "buttons_mean": dict(task.meanings(profile)), **({} if screens is None else {"font": screens.font})}
    with outliving_terminal(), \
            _tabled(layout, key=key, attempt=attempt, journal=files.journal, whole=whole), \
            opened_devices(settings, schedule=schedule, clock=clock, scanner=scanner, display=display,
                           fullscreen=fullscreen, tracker=tracker) as devices, \
            begun(files, schedule=schedule, settings=settings, clock=clock,
                  said={**said, "where": devices.where, "preferred": devices.preferred}) as journal:
        return _played(schedule, program=program, devices=devices, journal=journal, settings=settings, images=images,
                       trigger_timeout_s=trigger_timeout_s, screens=screens, progress=progress)


def luminance_told(display: DisplaySettings) -> dict[str, Any]:
    """Say for a record which luminances a run's display has, and through which table it was shown, if that is known."""
    if not (display.is_calibrated or display.linearise):
        return {}
    light, table = display.luminance_of(), display.level_table()
    return {"luminance": {
        "linearised": display.linearise, "table": digest_array(table), "black_cd_m2": float(light[table[0]]),
        "background_cd_m2": float(light[table[display.background]]), "white_cd_m2": float(light[table[255]])}}


@contextlib.contextmanager
def _tabled(layout: Layout, *, key: RunKey, attempt: int, journal: Path, whole: bool) -> Iterator[None]:
    """Make a run's events table once its record is closed, however it ended: Ctrl-C and SIGTERM leave one too."""
    try:
        yield
    finally:
        if whole and journal.is_file() and has_end(journal):  # without its end, `recover` makes it of the whole record
            if has_end(journal, complete=True):
                write_events(layout, key=key, attempt=attempt)
            else:
                recover_attempt(layout, journal)


@contextlib.contextmanager
def begun(files: RunFiles, *, schedule: Schedule, settings: Settings, clock: Clock,
          said: Mapping[str, Any]) -> Iterator[Journal]:
    """Write a run's plan and open its journal; where the disk refuses, nothing of the attempt stays.

    Parameters
    ----------
    files : RunFiles
        Where they go.
    schedule, settings
        The plan.
    clock : Clock
        Of the journal.
    said : mapping
        What the first line says of the devices.
    """
    try:
        write_plan(schedule, settings, schedule_path=files.schedule, settings_path=files.settings)
        journal = Journal(files.journal, clock=clock)
    except OSError:
        for path in (files.schedule, files.settings, files.journal):
            path.unlink(missing_ok=True)
        raise
    with journal, sigterm_as_exception():
        journal.write("devices", **said)
        if said["display"] != "virtual":
            tell_if_lost(lambda: _display_gone(journal))
        for name, value in settings.emulated_scanner.asked().items() if said["scanner"] == "emulated" else ():
            journal.write("asked_fault", name=name, value=value)
        yield journal


def _display_gone(journal: Journal) -> None:
    """Close the record of a run whose display's server has gone, with the process about to end."""
    journal.write("fault", device="display", said="the X server is gone", sync=True)
    journal.close()
    sys.stderr.write("error: display: the X server is gone; expected one for as long as a run lasts. Log in at the "
                     "console again, then `python run_session.py recover`; the record up to now is kept.\n")
    sys.stderr.flush()


def _played(schedule: Schedule, *, program: Program, devices: Devices, journal: Journal, settings: Settings,
            images: dict[str, Pixels], trigger_timeout_s: float | None, screens: RunScreens | None,
            progress: ProgressWrapper) -> RunOutcome:
    """Play with a progress bar that advances at every image."""
    shown = sum(event.trial_type != BLANK for event in schedule.events)
    label = f"sub-{schedule.sub} ses-{schedule.ses} {schedule.task} run-{schedule.run}"
    bar = unfailing(progress(range(shown), label=label))

    def advance(_: Event) -> None:
        next(bar, None)

    outcome = play(schedule, program=program, devices=devices, journal=journal, settings=settings, images=images,
                   on_event=advance, trigger_timeout_s=trigger_timeout_s, arm_key=settings.scanner.arm_key or None,
                   screens=screens)
    for _ in bar if outcome.complete else ():
        pass
    return outcome


def prepare(layout: Layout, task: Task, *, key: RunKey, n_trials: int | None = None,
            until_s: float | None = None) -> tuple[Schedule, dict[str, Pixels]]:
    """Make a run's schedule or an excerpt of it, and read and verify every image it needs.

    Raises
    ------
    StudyError
        For an unknown task, subject, session or run, or an image that is not what the manifest says.
    """
    pictures = Pictures(layout)
    schedule = task.make_schedule(key=key, profile=load_profile(layout, key.sub), pictures=pictures)
    if n_trials is not None:
        schedule = excerpt(schedule, n_trials=n_trials)
    if until_s is not None:
        schedule = first_seconds(schedule, until_s=until_s)
    offered = {one.picture_id: one for one in task.session_pictures(sub=key.sub, ses=key.ses, pictures=pictures)}
    with ThreadPoolExecutor(2) as pool:  # decoding and digesting let other threads run
        read = pool.map(lambda name: offered[name].read(), schedule.image_ids)
        return schedule, dict(zip(schedule.image_ids, read, strict=True))


def write_plan(schedule: Schedule, settings: Settings, *, schedule_path: Path, settings_path: Path) -> None:
    """Write the plan and the resolved settings before anything is shown."""
    write_json(schedule_path, {**schedule.to_json(), "digest": schedule.digest})
    write_json(settings_path, {**settings.model_dump(mode="json"), "digest": settings.digest})


@contextlib.contextmanager
def sigterm_as_exception() -> Iterator[None]:
    """Let SIGTERM unwind the engine, so that the record is closed; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
        raise Terminated(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
