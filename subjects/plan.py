"""The run sheet: what is planned for a subject, session by session, before anything is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from subjects.layout import Layout
from subjects.profile import load_profile, session_images
from subjects.provenance import derive_seed
from subjects.settings import Main, Settings
from subjects.store import read_json


@dataclass(frozen=True)
class PlannedRun:
    """One run of the sheet.

    Parameters
    ----------
    ses : str
        Session label.
    task : str
        Task label.
    run : int
        Run number, from 1.
    seed : int
        Seed of the run's order.
    n_trials, duration_s, n_volumes : int, float, int
        What the run will hold.
    done : bool
        The events table of a whole run stands already.
    """

    ses: str
    task: str
    run: int
    seed: int
    n_trials: int
    duration_s: float
    n_volumes: int
    done: bool


@dataclass(frozen=True)
class RunSheet:
    """All runs of a subject, and which base images each session shows."""

    sub: str
    images: dict[str, tuple[str, ...]]
    runs: tuple[PlannedRun, ...]


def main_duration_s(main: Main, n_images: int) -> float:
    """Give the length of a main run in seconds.

    Examples
    --------
    >>> main_duration_s(Main(), 60)
    556.0
    """
    trials = n_images * main.presentations + main.blank_trials
    return main.lead_in_s + trials * (main.blank_s + main.image_s) + main.lead_out_s


def run_sheet(layout: Layout, settings: Settings, *, sub: str) -> RunSheet:
    """Plan a subject's main experiment.

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
        Sessions in order, runs in order.
    """
    load_profile(layout, sub)
    images = session_images(settings, sub=sub)
    runs = tuple(_planned(layout, settings, sub=sub, ses=ses, run=run, n_images=3 * len(names))
                 for ses, names in images.items() for run in range(1, settings.main.runs + 1))
    return RunSheet(sub, images, runs)


def _planned(layout: Layout, settings: Settings, *, sub: str, ses: str, run: int, n_images: int) -> PlannedRun:
    main = settings.main
    duration = main_duration_s(main, n_images)
    return PlannedRun(
        ses=ses, task="main", run=run, seed=derive_seed(settings.study.seed, sub, ses, "main", run, "order"),
        n_trials=n_images * main.presentations + main.blank_trials, duration_s=duration,
        n_volumes=round(duration / settings.scanner.tr_s),
        done=_played(layout.events(sub=sub, ses=ses, task="main", run=run)))


def _played(events: Path) -> bool:
    """Say whether a run's events table stands and is of a whole run."""
    sidecar = events.with_suffix(".json")
    return events.is_file() and (not sidecar.is_file() or bool(read_json(sidecar).get("RunComplete", True)))
