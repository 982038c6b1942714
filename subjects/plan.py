"""The run sheet: what is planned for a subject, session by session, before anything is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from subjects.settings.paradigms import LO, MAIN, RETINOTOPY, TASKS, MainSettings
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
        The aperture of retinotopic mapping, the design of the LO localizer.
    done : bool
        A complete run was recorded: its events table exists.
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


def main_duration_s(main: MainSettings, n_images: int) -> float:
    """Give the length of a main run in seconds.

    Examples
    --------
    >>> main_duration_s(MainSettings(), 60)
    556.0
    """
    trials = n_images * main.presentations + main.blank_trials
    return main.lead_in_s + trials * (main.blank_s + main.image_s) + main.lead_out_s


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
    planned = [_planned(layout, settings, key=RunKey(sub, ses, task, run), images=images)
               for task in TASKS for ses, count in run_counts(settings, task).items() for run in range(1, count + 1)]
    runs = sorted(planned, key=lambda one: one.ses)
    return RunSheet(sub, images, tuple(runs))


def run_counts(settings: Settings, task: str) -> dict[str, int]:
    """Give how many runs of a task each session has.

    Examples
    --------
    >>> run_counts(Settings(), "main"), run_counts(Settings(), "retinotopy")
    ({'01': 5, '02': 5}, {'01': 3, '02': 3})
    """
    counts: Sequence[int]
    if task == MAIN:
        counts = [settings.main.runs] * settings.main.sessions
    elif task == RETINOTOPY:
        counts = [len(kinds) for kinds in settings.retinotopy.runs]
    else:
        counts = getattr(settings, task).runs
    return {label("ses", k): count for k, count in enumerate(counts, start=1)}


def _planned(layout: Layout, settings: Settings, *, key: RunKey,
             images: Mapping[str, Sequence[str]]) -> PlannedRun:
    n_trials, duration, what = _length(settings, key=key, n_images=3 * len(images.get(key.ses, ())))
    return PlannedRun(
        key=key, seed=derive_seed(settings.study.seed, key.sub, key.ses, key.task, key.run, "order"),
        n_trials=n_trials, duration_s=duration, n_volumes=round(duration / settings.scanner.tr_s), what=what,
        done=_played(layout.events(key)))


def _length(settings: Settings, *, key: RunKey, n_images: int) -> tuple[int, float, str]:
    """Give the number of trials, the seconds, and what else is to be said of a run."""
    if key.task == MAIN:
        main = settings.main
        return n_images * main.presentations + main.blank_trials, main_duration_s(main, n_images), ""
    if key.task == RETINOTOPY:
        aperture = settings.retinotopy.runs[int(key.ses) - 1][key.run - 1]
        return settings.retinotopy.n_sweeps(aperture), settings.retinotopy.duration_s(aperture), aperture
    if key.task == LO:
        return settings.lo.blocks * settings.lo.images_per_block, settings.lo.duration_s, settings.lo.design
    return settings.motion.blocks, settings.motion.duration_s, ""


def _played(events: Path) -> bool:
    """Say whether a run's events table exists and is of a complete run."""
    sidecar = events.with_suffix(".json")
    return events.is_file() and (not sidecar.is_file() or bool(read_json(sidecar).get("RunComplete", True)))


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
