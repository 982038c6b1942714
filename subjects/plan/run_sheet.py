"""The run sheet: what is planned for a subject, session by session, before anything is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from subjects.layout import Layout
from subjects.plan.checklist import Scan, plan_scans, read_ticks
from subjects.plan.series_numbers import series_of
from subjects.profile import load_profile, session_images
from subjects.provenance import derive_seed
from subjects.run_key import RunKey, label
from subjects.settings.loading import read_resolved
from subjects.settings.paradigms import RunLength
from subjects.settings.study import Settings
from subjects.store import read_json


@dataclass(frozen=True)
class PlannedRun:
    """One run of the sheet.

    Parameters
    ----------
    key : RunKey
        Subject, session, task and run number.
    seed : int
        Seed of the run's order.
    n_trials, duration_s, n_volumes : int, float, int
        Length of the run: trials, images, sweeps or blocks.
    what : str
        Which kind of run of its paradigm: the aperture of retinotopic mapping, the design of the LO localizer.
    done : bool
        A complete run was recorded, whole or in parts: its events tables exist.
    series : tuple of int
        The scanner's numbers of its series, one a part, as far as they are known.
    """

    key: RunKey
    seed: int
    n_trials: int
    duration_s: float
    n_volumes: int
    what: str
    done: bool
    series: tuple[int, ...] = ()

    @property
    def ses(self) -> str:
        """Session label."""
        return self.key.ses

    @property
    def task(self) -> str:
        """Task label."""
        return self.key.task

    @property
    def run(self) -> int:
        """Run number, from 1."""
        return self.key.run


@dataclass(frozen=True)
class RunSheet:
    """All runs of a subject, which base images each session shows, and what is scanned beside the runs."""

    sub: str
    images: dict[str, tuple[str, ...]]
    runs: tuple[PlannedRun, ...]
    scans: tuple[Scan, ...] = ()

    @property
    def sessions(self) -> tuple[str, ...]:
        """List the sessions that have a run."""
        return tuple(dict.fromkeys(run.ses for run in self.runs))

    def session(self, ses: str) -> Iterator[PlannedRun | Scan]:
        """List what belongs to a session in the order in which it is scanned."""
        runs = [run for run in self.runs if run.ses == ses]
        scans = [scan for scan in self.scans if scan.ses == ses]
        for k, run in enumerate(runs):
            yield from (scan for scan in scans if scan.before == k)
            yield run
        yield from (scan for scan in scans if scan.before >= len(runs))


def run_sheet(layout: Layout, settings: Settings, *, sub: str) -> RunSheet:
    """Plan a subject's sessions: the main experiment, then retinotopy and the localizers, and the scans between them.

    Parameters
    ----------
    layout : Layout
        The study.
    settings : Settings
        Its settings.
    sub : str
        A subject that was added.

    Returns
    -------
    RunSheet
        Sessions in order, in each its runs in order.
    """
    load_profile(layout, sub)
    images = session_images(settings, sub=sub)
    n_images = 3 * max(map(len, images.values()), default=0)  # classes are shared out evenly: as many in each session
    planned = [_planned(layout, settings, key=RunKey(sub, label("ses", ses), task, run), length=length)
               for task, section in settings.paradigms().items()
               for ses, runs in enumerate(section.planned_runs(n_images=n_images), start=1)
               for run, length in enumerate(runs, start=1)]
    runs = tuple(sorted(planned, key=lambda one: one.ses))
    counts = {ses: sum(one.ses == ses for one in runs) for ses in dict.fromkeys(one.ses for one in runs)}
    return RunSheet(sub, images, runs, tuple(
        scan for ses, n_runs in counts.items()
        for scan in plan_scans(settings.scans, ses=ses, n_runs=n_runs, done=read_ticks(layout, sub=sub, ses=ses))))


def _planned(layout: Layout, settings: Settings, *, key: RunKey, length: RunLength) -> PlannedRun:
    """Plan a run; one that was played is described by the settings that it was played with."""
    parts = layout.find_parts(key)
    done = [one for one in parts if _played(layout.events(one))]
    numbers = (series_of(layout, key, attempt=_attempt_of(layout, one)) for one in parts) if done else ()
    then, was = _as_played(layout, settings, key=done[-1], length=length) if done else (settings, length)
    return PlannedRun(
        key=key, seed=derive_seed(then.study.seed, key.sub, key.ses, key.task, key.run, "order"),
        n_trials=was.n_trials, duration_s=was.duration_s, n_volumes=round(was.duration_s / then.scanner.tr_s),
        what=was.what, done=bool(done), series=tuple(one for one in numbers if one is not None))


def _as_played(layout: Layout, settings: Settings, *, key: RunKey, length: RunLength) -> tuple[Settings, RunLength]:
    """Give the settings and the length of a run that was played; today's where no record of it says them."""
    saved = layout.resolved_settings(key, attempt=_attempt_of(layout, key))
    if not saved.is_file():
        return settings, length
    then = read_resolved(saved)
    n_images = 3 * max(map(len, session_images(then, sub=key.sub).values()), default=0)
    sessions = list(then.paradigms()[key.task].planned_runs(n_images=n_images))
    found = [runs[key.run - 1] for ses, runs in enumerate(sessions, start=1)
             if label("ses", ses) == key.ses and key.run <= len(runs)]
    return then, found[0] if found else length


def _attempt_of(layout: Layout, key: RunKey) -> int:
    """Give the attempt that an events table tells of; 1 where none is named."""
    sidecar = layout.events_sidecar(key)
    return int(read_json(sidecar).get("Attempt", 1)) if sidecar.is_file() else 1


def _played(events: Path) -> bool:
    """Say whether an events table tells of a complete run, or of the part that completes one."""
    sidecar = events.with_suffix(".json")
    return not sidecar.is_file() or bool(read_json(sidecar).get("RunComplete", True))
