"""The run sheet: what is planned for a subject, session by session, before anything is shown."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from subjects.layout import Layout
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
    """

    key: RunKey
    seed: int
    n_trials: int
    duration_s: float
    n_volumes: int
    what: str
    done: bool

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
    """All runs of a subject, and which base images each session shows."""

    sub: str
    images: dict[str, tuple[str, ...]]
    runs: tuple[PlannedRun, ...]

    @property
    def sessions(self) -> tuple[str, ...]:
        """List the sessions that have a run."""
        return tuple(dict.fromkeys(run.ses for run in self.runs))


def run_sheet(layout: Layout, settings: Settings, *, sub: str) -> RunSheet:
    """Plan a subject's sessions: the main experiment, then retinotopy and the localizers.

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
    return RunSheet(sub, images, tuple(sorted(planned, key=lambda one: one.ses)))


def _planned(layout: Layout, settings: Settings, *, key: RunKey, length: RunLength) -> PlannedRun:
    """Plan a run; one that was played is described by the settings that it was played with."""
    done = [one for one in layout.find_parts(key) if _played(layout.events(one))]
    then, was = _as_played(layout, settings, key=done[-1], length=length) if done else (settings, length)
    return PlannedRun(
        key=key, seed=derive_seed(then.study.seed, key.sub, key.ses, key.task, key.run, "order"),
        n_trials=was.n_trials, duration_s=was.duration_s, n_volumes=round(was.duration_s / then.scanner.tr_s),
        what=was.what, done=bool(done))


def _as_played(layout: Layout, settings: Settings, *, key: RunKey, length: RunLength) -> tuple[Settings, RunLength]:
    """Give the settings and the length of a run that was played; today's where no record of it says them."""
    sidecar = layout.events_sidecar(key)
    attempt = int(read_json(sidecar).get("Attempt", 1)) if sidecar.is_file() else 1
    saved = layout.resolved_settings(key, attempt=attempt)
    if not saved.is_file():
        return settings, length
    then = read_resolved(saved)
    n_images = 3 * max(map(len, session_images(then, sub=key.sub).values()), default=0)
    sessions = list(then.paradigms()[key.task].planned_runs(n_images=n_images))
    found = [runs[key.run - 1] for ses, runs in enumerate(sessions, start=1)
             if label("ses", ses) == key.ses and key.run <= len(runs)]
    return then, found[0] if found else length


def _played(events: Path) -> bool:
    """Say whether an events table tells of a complete run, or of the part that completes one."""
    sidecar = events.with_suffix(".json")
    return not sidecar.is_file() or bool(read_json(sidecar).get("RunComplete", True))


def sheet_tables(sheet: RunSheet) -> tuple[Table, ...]:
    """Lay a run sheet out as one table of images and one of runs."""
    return _image_table(sheet), _run_table(sheet)


def _image_table(sheet: RunSheet) -> Table:
    table = Table(title=f"sub-{sheet.sub}: base images", title_justify="left",
                  caption="each as RE, AN and AI", caption_justify="left")
    table.add_column("class")
    for ses in sheet.images:
        table.add_column(f"ses-{ses}")
    by_session = {ses: {kind: [name.rpartition("-")[2] for name in names]
                        for kind, names in groupby(images, key=_class_of)}
                  for ses, images in sheet.images.items()}
    for kind in next(iter(by_session.values())):
        table.add_row(kind, *(" ".join(shares[kind]) for shares in by_session.values()))
    return table


def _class_of(base_image: str) -> str:
    return base_image.rpartition("-")[0]


def _run_table(sheet: RunSheet) -> Table:
    """Lay the runs out within 80 columns; a narrower terminal folds seeds and what is shown, and loses nothing."""
    table = Table(title=f"sub-{sheet.sub}: runs", title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    for head in ("ses", "task", "run", "state", "trials", "length", "volumes", "seed", "what"):
        numeric, folds = head in ("run", "trials", "length", "volumes", "seed"), head in ("seed", "what")
        table.add_column(head, justify="right" if numeric else "left", no_wrap=not folds, overflow="fold")
    for item in sheet.runs:
        table.add_row(item.ses, item.task, str(item.run), "done" if item.done else "planned", str(item.n_trials),
                      f"{item.duration_s:g} s", str(item.n_volumes), str(item.seed), item.what)
    return table


def sheet_record(sheet: RunSheet) -> dict[str, Any]:
    """Give a run sheet as JSON holds it: the base images of each session, and every run in order."""
    runs = [{"ses": one.ses, "task": one.task, "run": one.run, "what": one.what or None, "n_trials": one.n_trials,
             "duration_s": one.duration_s, "n_volumes": one.n_volumes, "seed": one.seed, "done": one.done}
            for one in sheet.runs]
    return {"sub": sheet.sub, "base_images": {ses: list(names) for ses, names in sheet.images.items()}, "runs": runs}
