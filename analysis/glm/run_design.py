"""The design that one run will give, to be looked at while the subject is still in the scanner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from analysis.data.timeseries import count_volumes, with_plan
from analysis.glm.betas import BLANK
from analysis.glm.design import Sampling, add_responses, design_matrix, list_conditions, name_events
from paradigms.runlog import read_events
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.paradigms import MAIN
from subjects.store import read_json

FIXATION = "fixation"
"""Trial type of the fixation point's changes in events tables of release 0.1.0."""
_BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class RunDesign:
    """What a run's events predict for its volumes.

    Parameters
    ----------
    matrix : float64 array, (n_volumes, n_conditions)
        Each condition's predicted time course; a single event peaks at 1.
    kinds : tuple of str
        Trial type of each condition.
    n_events : tuple of int
        Events of each condition.
    """

    matrix: NDArray[np.float64]
    kinds: tuple[str, ...]
    n_events: tuple[int, ...]

    @property
    def largest_correlation(self) -> float:
        """The largest correlation between two conditions' time courses; 0 for one alone."""
        moving = self.matrix[:, np.ptp(self.matrix, axis=0) > 0]
        if moving.shape[1] < 2:
            return 0.0
        return float(np.atleast_2d(np.corrcoef(moving.T))[np.triu_indices(moving.shape[1], k=1)].max())

    @property
    def n_flat(self) -> int:
        """Conditions whose time course never moves: no beta can be estimated for them."""
        return int(np.sum(np.ptp(self.matrix, axis=0) == 0))

    def summary(self) -> str:
        """Say it in one line."""
        fewest, most = min(self.n_events, default=0), max(self.n_events, default=0)
        each = f"{most}" if fewest == most else f"{fewest} to {most}"
        flat = f"; {self.n_flat} conditions without a response" if self.n_flat else ""
        n = self.matrix.shape[1]
        if n == 1:
            return f"one condition x {len(self.matrix)} volumes, {each} events{flat}"
        return (f"{n} conditions x {len(self.matrix)} volumes, {each} events each, largest correlation of "
                f"two conditions r = {self.largest_correlation:.2f}{flat}")


def run_design(events: pd.DataFrame, *, task: str, sampling: Sampling) -> RunDesign:
    """Predict a run's volumes from the events as they were shown.

    Parameters
    ----------
    events : DataFrame
        The run's events table.
    task : str
        ``"main"`` has a condition for each image and presentation and one for the blanks, as the GLM has; the
        others have one for each trial type, blanks and changes of the fixation point left out.
    sampling : Sampling
        The run's volumes.

    Returns
    -------
    RunDesign
    """
    if task == MAIN:
        conditions = list_conditions({1: events}, session="01")
        matrix = design_matrix(events, conditions=conditions, sampling=sampling)
        named = name_events(events).groupby(["type", "image_id", "presentation"]).size()
        keys = conditions[["type", "image_id", "presentation"]].itertuples(index=False, name=None)
        return RunDesign(matrix, tuple(conditions["type"]), tuple(int(named[key]) for key in keys))
    shown = events[~events["trial_type"].isin([BLANK, FIXATION])]
    kinds = tuple(dict.fromkeys(shown["trial_type"]))
    matrix = np.zeros((sampling.n_volumes - sampling.n_discarded, len(kinds)))
    add_responses(matrix, shown, columns=[kinds.index(kind) for kind in shown["trial_type"]], times_s=sampling.times_s)
    return RunDesign(matrix, kinds, tuple(int((shown["trial_type"] == kind).sum()) for kind in kinds))


def design_of(layout: Layout, *, key: RunKey, attempt: int | None = None) -> RunDesign | None:
    """Read the events of a run that was played and predict its volumes, from its own record.

    Parameters
    ----------
    layout : Layout
    key : RunKey
    attempt : int, optional
        Which attempt at the run; default: the one that the analysis reads, the last of a run in parts.

    Returns
    -------
    RunDesign or None
        None without a table of that attempt, or with too short a one.

    Raises
    ------
    StudyError
        If the table or its schedule cannot be read.
    """
    path = _table_of(layout, key, attempt=attempt)
    if path is None:
        return None
    events = read_events(path)
    schedule = layout.schedule(key, attempt=int(events.attrs["sidecar"].get("Attempt", 1)))
    n_volumes, tr_s = count_volumes(events) if events.attrs["n_pulses"] else 0, float(read_json(schedule)["tr_s"])
    lasting = (events["duration"] > 0) & (events["onset"] < n_volumes * tr_s)
    if n_volumes < 2 or not lasting.any():
        return None
    sampling = Sampling(n_volumes=n_volumes, tr_s=tr_s)
    return run_design(with_plan(events, schedule)[lasting], task=key.task, sampling=sampling)


def _table_of(layout: Layout, key: RunKey, *, attempt: int | None) -> Path | None:
    """Find the table of an attempt: in its place or that of a part, or put aside in sourcedata."""
    tables = [layout.events(part) for part in layout.find_parts(key)]
    if attempt is None:
        return tables[-1] if tables else None
    aside = layout.attempt_file("events.tsv", key, attempt=attempt)
    found = [table for table in tables if read_json(table.with_suffix(".json")).get("Attempt", 1) == attempt]
    return found[0] if found else aside if aside.is_file() else None


def design_panel(design: RunDesign, *, width: int = 64) -> Panel:
    """Draw a design for a terminal: the predicted time course of each kind of trial, from the first volume to the last.

    Parameters
    ----------
    design : RunDesign
    width : int
        Characters for the whole run.
    """
    table = Table(box=box.SIMPLE, show_header=False, padding=(0, 1))
    for kind in dict.fromkeys(design.kinds):
        table.add_row(kind, _curve(design.matrix[:, [one == kind for one in design.kinds]].sum(axis=1), width=width))
    return Panel(Group(Text(design.summary()), table), box=box.ROUNDED, padding=(0, 2),
                 title="design that this run gives")


def _curve(course: NDArray[np.float64], *, width: int) -> str:
    """Draw a time course in eighths of a line's height; volumes are averaged where there are more than characters."""
    parts = np.array_split(course, min(width, len(course)))
    means = np.clip([part.mean() for part in parts], 0.0, None)
    top = means.max() or 1.0
    return "".join(_BARS[round(float(mean / top) * (len(_BARS) - 1))] for mean in means)
