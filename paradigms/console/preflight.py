"""The checks before a session: what can be known to be wrong is said before the subject is in the scanner.

Checks of files and clocks are here; what a device must show (a refresh rate, every button, a pulse) is asked of the
same devices that a run uses.
"""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paradigms.devices.protocols import Clock, Display, Frame, HardwareClock, came_instead, checks_of
from paradigms.devices.tracker import NO_CONSENT, Consent, make_tracker
from paradigms.emulation.scanner_and_display import VirtualClock
from paradigms.playing.assembly import opened_devices, require_devices
from paradigms.playing.run_devices import Devices
from paradigms.record.departures import changes_since, differences
from paradigms.record.recovery import recoverable
from paradigms.tasks.catalogue import task_of
from paradigms.tasks.protocol import Pictures, Task
from paradigms.texts.screens import load_texts, require_drawable, task_screen
from subjects.cli import ProgressWrapper, silent
from subjects.dataset import told_of
from subjects.errors import ScheduleError, StudyError
from subjects.layout import Layout
from subjects.plan.run_sheet import PlannedRun, RunSheet, run_sheet
from subjects.profile import SubjectProfile, load_profile
from subjects.settings.display import DisplaySettings
from subjects.settings.loading import read_resolved
from subjects.settings.study import Settings
from subjects.store import read_json, write_json

LEAST_FREE_GB = 1.0
REFRESH_TOLERANCE = 0.01
CLOCK_WATCH_S = 0.5
CLOCK_STEP_S = 0.01
N_FLIPS = 60
Tell = Callable[[str], None]


def _say_nothing(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Finding:
    """One check of the preflight and its result.

    Parameters
    ----------
    name : str
        What was looked at.
    ok : bool
        Whether a run may start.
    came : str
        What was found.
    remedy : str
        What to do, where something is wrong.
    """

    name: str
    ok: bool
    came: str
    remedy: str = ""


def check_images(layout: Layout, tasks: Sequence[Task], *, sub: str, ses: str,
                 progress: ProgressWrapper = silent) -> Finding:
    """Read every picture that the runs of a session show and compare it with its digest."""
    pictures = Pictures(layout)
    try:
        needed = {one.picture_id: one for task in tasks
                  for one in task.session_pictures(sub=sub, ses=ses, pictures=pictures)}
        for one in progress(needed.values(), label="pictures", total=len(needed)) if needed else ():
            one.read()
    except StudyError as error:
        return Finding("images", ok=False, came=str(error),
                       remedy="Restore the images, or make them again: `python -m stimuli build` or `textures`.")
    counts = Counter(one.kind for one in needed.values())
    came = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return Finding("images", ok=True, came=f"{came}, each as its table says" if came else "no run shows a picture")


def check_texts(layout: Layout, settings: Settings, *, tasks: Sequence[Task], profile: SubjectProfile) -> Finding:
    """Draw every screen that the subject will read; a character that no font has is found here."""
    if not settings.instructions.show:
        return Finding("texts", ok=True, came="none is shown (instructions.show)")
    try:
        texts = load_texts(layout, settings)
        require_drawable(texts)
        for task in tasks:
            texts.draw(task_screen(texts, task, profile=profile))
    except StudyError as error:
        return Finding("texts", ok=False, came=str(error), remedy="Correct the settings in [instructions].")
    return Finding("texts", ok=True, came=f"every character is in {texts.font.name}")


def _planned(sheet: RunSheet, *, ses: str) -> tuple[PlannedRun, ...]:
    """List the runs of a session, or refuse one that has none."""
    if ses not in sheet.sessions:
        raise ScheduleError("session", came=repr(ses), expected=f"one of {', '.join(sheet.sessions)}",
                            remedy="See `python -m subjects plan`.")
    return tuple(run for run in sheet.runs if run.ses == ses)


def _tasks(sheet: RunSheet, *, ses: str) -> tuple[str, ...]:
    """Name the paradigms that a session plays, each once."""
    return tuple(dict.fromkeys(run.task for run in _planned(sheet, ses=ses)))


def check_disk(layout: Layout, *, least_gb: float = LEAST_FREE_GB) -> Finding:
    """See that records can be written and flushed, and that there is room for them."""
    folder = layout.root / "sourcedata"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".preflight-") as file:
            file.write(b"0" * 65536)
            file.flush()
            os.fsync(file.fileno())
        free_gb = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return Finding("disk", ok=False, came=f"{folder}: {error.strerror}",
                       remedy="Check the folder, its permissions and free space.")
    return Finding("disk", ok=free_gb >= least_gb, came=f"{free_gb:.1f} GB free, a record can be written",
                   remedy=f"Make room: at least {least_gb:g} GB.")


def check_clock(clock: Clock, *, seconds: float = CLOCK_WATCH_S) -> Finding:
    """See that the wall clock runs with the monotonic one."""
    before = clock.wall() - clock.now()
    clock.wait_until(clock.now() + seconds)
    step = clock.wall() - clock.now() - before
    return Finding("clock", ok=abs(step) < CLOCK_STEP_S,
                   came=f"wall clock moved by {1e3 * step:.1f} ms against the monotonic one in {seconds:g} s",
                   remedy="Let the time service settle, or switch it off for the session.")


def check_records(layout: Layout) -> Finding:
    """See that no run that was cut off waits for its events table."""
    waiting = recoverable(layout)
    came = "every journal has its end" if not waiting else f"{len(waiting)} cut off: {waiting[0].name}"
    return Finding("records", ok=not waiting, came=came, remedy="Run `python run_session.py recover` first.")


def check_settings(layout: Layout, settings: Settings, *, sub: str, tasks: Sequence[str] = ()) -> Finding:
    """Name every setting that differs from those of the subject's last run, and what runs of some tasks would refuse.

    A run refuses what differs in what it shows from the last one *of its task*, which may be longer ago.
    """
    last = newest(layout.root, f"sourcedata/sub-{sub}/ses-*/*_settings.json")
    if last is None:
        return Finding("settings", ok=True, came="no earlier run of this subject")
    before, now = (one.model_dump(mode="json") for one in (read_resolved(last), settings))
    since = [changes_since(layout, settings, sub=sub, task=task)[1] for task in tasks]
    changed = dict.fromkeys([*differences(before, now), *(one for changes in since for one in changes)])
    came = f"as in {last.name.removesuffix('_settings.json')}" if not changed else "; ".join(changed)
    return Finding("settings", ok=not changed, came=came,
                   remedy="Restore study.toml, or go on if the change is meant (--accept-changes).")


def check_consent(layout: Layout, *, profile: SubjectProfile) -> Finding:
    """See that nobody is scanned of whom it is entered that consent was not given."""
    said = "yes" if profile.virtual else told_of(layout, profile.sub).get("consent", "")
    came = "a virtual subject" if profile.virtual else {"yes": "given", "no": "not given"}.get(said, "not entered")
    return Finding("consent", ok=said != "no", came=came,
                   remedy="Have it signed, then `python -m subjects describe --consent yes`.")


def check_resolution(display: Display, wanted: DisplaySettings) -> Finding:
    """See that the display has the pixels of the settings."""
    pixels = (wanted.width_px, wanted.height_px)
    size = tuple(display.size_px)
    return Finding("resolution", ok=size == pixels, came="{}x{}".format(*size),
                   remedy="Set the screen to {}x{}, or correct display.width_px and height_px.".format(*pixels))


def check_refresh(devices: Devices, wanted: DisplaySettings, *, n_flips: int = N_FLIPS) -> Finding:
    """Measure the frame period over some flips: the median, which a single late frame does not move."""
    wanted_hz = wanted.refresh_hz
    stamps = []
    for _ in range(n_flips):
        devices.display.draw(Frame(None, image_px=0.0, fixation_px=8.0, fixation_color=(255, 0, 0),
                                   background=wanted.background))
        stamps.append(devices.display.flip())
    period = statistics.median(b - a for a, b in itertools.pairwise(stamps))
    if period < 0.5 / wanted_hz:
        return Finding("refresh", ok=False,
                       came=f"flips return after {1e3 * period:.2f} ms: nothing waits for the retrace",
                       remedy="Switch vertical synchronisation on in the driver (a window without a screen has none).")
    hz = 1.0 / period
    return Finding("refresh", ok=abs(hz / wanted_hz - 1.0) <= REFRESH_TOLERANCE,
                   came=f"{hz:.2f} Hz, {wanted_hz:g} in the settings",
                   remedy=f"Set the projector to {wanted_hz:g} Hz, or display.refresh_hz to its rate.")


def check_inputs(devices: Devices, *, keys: tuple[str, ...], timeout_s: float, abort_key: str = "",
                 tell: Tell = _say_nothing) -> tuple[Finding, Finding]:
    """Wait until every button was pressed once and a pulse came.

    Parameters
    ----------
    devices : Devices
        Opened. Pulses and presses that are seen here start nothing.
    keys : tuple of str
        Buttons of the task.
    timeout_s : float
        How long to wait for all of them.
    abort_key : str
        The operator's key that ends the wait.
    tell : callable
        Told what is waited for, for how long and how to leave, and again when something has come.

    Returns
    -------
    (Finding, Finding)
        Buttons, trigger.
    """
    clock = devices.clock
    seen: dict[str, int] = {}
    n_pulses, end, told = 0, clock.now() + timeout_s, ""
    while clock.now() < end and (n_pulses == 0 or any(key not in seen for key in keys)) and abort_key not in seen:
        n_pulses += len(devices.trigger.pulses())
        for press in devices.responses.presses():
            seen[press.key] = seen.get(press.key, 0) + 1
        if (waits := _awaited(keys, seen=seen, n_pulses=n_pulses)) != told:
            told = waits
            tell(f"{waits}, {end - clock.now():.0f} s; {abort_key!r} or Ctrl-C ends the wait" if waits else
                 "every button and a pulse came")
        clock.rest_until(clock.now() + devices.poll_s)
    missing = [key for key in keys if key not in seen]
    pressed = ", ".join(repr(key) for key in seen) or "no press"
    named = ", ".join(map(repr, missing))
    buttons = Finding("buttons", ok=not missing, came=pressed,
                      remedy=f"Press {named}; check the box, its cable and the keys in the settings.")
    other = came_instead(devices.trigger)
    none = f"no pulse; {other}" if other else "no pulse"
    trigger = Finding("trigger", ok=n_pulses > 0, came=f"pulses: {n_pulses}" if n_pulses else none,
                      remedy=f"Start a test scan; check the cable, {checks_of(devices.trigger)} and the trigger box's "
                      "mode.")
    return buttons, trigger


def _awaited(keys: Sequence[str], *, seen: Mapping[str, int], n_pulses: int) -> str:
    missing = [f"the button {key!r}" for key in keys if key not in seen]
    waits = [*missing, *([] if n_pulses else ["a pulse of the scanner"])]
    return f"waiting for {', '.join(waits)}" if waits else ""


@dataclass(frozen=True)
class Preflight:
    """The findings of a preflight, and those that were accepted although they are not good.

    Parameters
    ----------
    findings : tuple of Finding
    accepted : tuple of str
        Names of findings that may be bad.
    """

    findings: tuple[Finding, ...]
    accepted: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Say whether a run may start."""
        return all(one.ok or one.name in self.accepted for one in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return {"passed": self.passed, "accepted": list(self.accepted),
                "findings": [asdict(one) for one in self.findings]}


def make_preflight(layout: Layout, settings: Settings, *, sub: str, ses: str, scanner: str, display: str,
              accepted: Sequence[str] = (), fullscreen: bool = True, timeout_s: float = 60.0,
              consent: Consent = NO_CONSENT, progress: ProgressWrapper = silent,
              tell: Tell = _say_nothing) -> Preflight:
    """Look at everything before a session and keep the result in sourcedata.

    Parameters
    ----------
    layout, settings
        The study.
    sub, ses : str
        Whose session.
    scanner, display : str
        As for a run. An emulated keyboard presses the buttons; a person has `timeout_s` for them.
    accepted : sequence of str
        Findings that may be bad, by name; recorded as accepted.
    fullscreen : bool
        Fill the screen.
    timeout_s : float
        How long to wait for buttons and pulse.
    consent : Consent
        Who agreed to run the code of a tracker that the study names.
    progress : ProgressWrapper
    tell : callable
        Told what is waited for.

    Returns
    -------
    Preflight

    Raises
    ------
    StudyError
        If subject, session or devices are not what the study has, or nobody trusted its tracker here.
    """
    profile = load_profile(layout, sub)
    require_devices(profile, scanner=scanner, display=display)
    tracker = make_tracker(layout, settings, consent=consent)
    sheet = run_sheet(layout, settings, sub=sub)
    first, tasks = _planned(sheet, ses=ses)[0], [task_of(name, settings) for name in _tasks(sheet, ses=ses)]
    clock: Clock = VirtualClock() if display == "virtual" else HardwareClock()
    found = [check_disk(layout), check_records(layout),
             check_settings(layout, settings, sub=sub, tasks=[task.name for task in tasks]),
             check_images(layout, tasks, sub=sub, ses=ses, progress=progress),
             check_texts(layout, settings, tasks=tasks, profile=profile), check_consent(layout, profile=profile),
             check_clock(clock)]
    if found[3].ok:
        schedule = task_of(first.task, settings).make_schedule(key=first.key, profile=profile,
                                                               pictures=Pictures(layout))
        keys = dict.fromkeys(key for task in tasks for key in task.keys)
        with opened_devices(settings, schedule=schedule, clock=clock, scanner=scanner, display=display,
                            fullscreen=fullscreen, tracker=tracker) as devices:
            found += _look_at_devices(devices, settings, keys=tuple(keys), timeout_s=timeout_s,
                                      tell=_say_nothing if display == "virtual" else tell)
    made = Preflight(tuple(found), tuple(accepted))
    if found[0].ok:
        write_json(_report_path(layout, sub=sub, ses=ses), {
            **made.to_json(), "scanner": scanner, "display": display, "settings_digest": settings.digest,
            "wall": time.time()})
    return made


def _look_at_devices(devices: Devices, settings: Settings, *, keys: tuple[str, ...], timeout_s: float,
                     tell: Tell) -> list[Finding]:
    wanted = settings.display
    with ExitStack() as stack:
        for device in (devices.display, devices.responses, devices.trigger):
            stack.callback(device.close)
            device.open()
        devices.display.preload({})
        found = [Finding("screen", ok=True, came=devices.where), check_resolution(devices.display, wanted),
                 check_refresh(devices, wanted)]
        if devices.prompt is not None:
            devices.prompt(keys)
        return [*found, *check_inputs(devices, keys=keys, timeout_s=timeout_s, abort_key=settings.main.abort_key,
                                      tell=tell)]


def _report_path(layout: Layout, *, sub: str, ses: str) -> Path:
    last = last_report(layout, sub=sub, ses=ses)
    return _reports(layout, sub=sub, ses=ses, n=1 if last is None else int(last.stem.rpartition("-")[2]) + 1)


def _reports(layout: Layout, *, sub: str, ses: str, n: int) -> Path:
    return layout.source_dir(sub, ses) / f"sub-{sub}_ses-{ses}_preflight-{n:02d}.json"


def last_report(layout: Layout, *, sub: str, ses: str) -> Path | None:
    """Give the record of a session's last preflight; None if there was none."""
    found = layout.source_dir(sub, ses).glob(f"sub-{sub}_ses-{ses}_preflight-*.json")
    return max(found, key=lambda path: int(path.stem.rpartition("-")[2]), default=None)


def confirmed_changes(report: Path | None) -> str:
    """Give the digest of settings whose changes an operator has seen in a preflight; empty where none had changed."""
    if report is None:
        return ""
    told = read_json(report)
    changed = any(one["name"] == "settings" and not one["ok"] for one in told["findings"])
    return str(told["settings_digest"]) if changed else ""


def newest(folder: Path, pattern: str) -> Path | None:
    """Give the file that was written last, if there is any."""
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None
