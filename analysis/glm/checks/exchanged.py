"""Runs that are not what their names say: told by when they were acquired, and by what their data hold."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.data.events.foreign import ForeignEvents, read_run_events
from analysis.data.files.acquired import find_misnamed
from analysis.data.timeseries import EXCHANGED, Run
from analysis.glm.checks.assigning import Tables
from analysis.glm.checks.own_events import judge_runs, make_scan, not_found
from analysis.glm.design import Sampling
from subjects.errors import AnalysisError, StudyError
from subjects.layout import Layout
from subjects.provenance import rng
from subjects.run_key import RunKey

log = logging.getLogger(__name__)
_LEAST_VOLUMES = 60
"""Kept volumes that a part of a run must have to be judged."""


def require_times(layout: Layout, *, sub: str, keys: Sequence[RunKey], accepted: bool) -> None:
    """See that runs were acquired when they were played, as far as both are known.

    Parameters
    ----------
    layout : Layout
    sub : str
    keys : sequence of RunKey
        Its runs.
    accepted : bool
        Whether ``analysis.accept`` has ``"exchanged runs"``.

    Raises
    ------
    AnalysisError
        If images of a run's name were acquired while another run, or another attempt at it, was played.
    """
    for key, came in find_misnamed(layout, sub=sub, keys=keys).items():
        _refuse(str(key), came, accepted=accepted)


def read_other_events(layout: Layout, *, task: str, leave: Sequence[RunKey],
                      foreign: ForeignEvents | None = None) -> dict[RunKey, pd.DataFrame]:
    """Read the events of all runs of a study but some; tables that cannot be read are left out."""
    found = {}
    for sub in layout.subjects():
        for key in layout.find_runs(sub, task):
            if key not in leave:
                try:
                    found[key] = read_run_events(layout.events(key), foreign=foreign)
                except StudyError as error:
                    log.info("%s is not compared: %s", key, error)
    return found


def require_own_events(runs: Mapping[RunKey, Run], *, samplings: Mapping[RunKey, Sampling], events: Tables,
                       layout: Layout, accepted: bool, foreign: ForeignEvents | None = None) -> dict[str, float]:
    """See that the data of a hemisphere's runs hold their own events and not another run's.

    Parameters
    ----------
    runs : mapping of RunKey to Run
        Of one subject, with what is not usable set to 0.
    samplings : mapping of RunKey to Sampling
    events : mapping of RunKey to DataFrame
        Their events.
    layout : Layout
        Where the other runs' events are.
    accepted : bool
        Whether ``analysis.accept`` has ``"exchanged runs"``.
    foreign : ForeignEvents, optional
        What events tables of another program mean.

    Returns
    -------
    dict of str to float
        Run to the score of its events (z); runs that cannot be judged are left out.

    Raises
    ------
    AnalysisError
        If the data of a run hold the events of another one.
    """
    scans = {key: make_scan(run.data, events[key], sampling=samplings[key]) for key, run in runs.items()
             if samplings[key].n_volumes - samplings[key].n_discarded >= _LEAST_VOLUMES}
    first = next(iter(runs.values()))
    judged = judge_runs(scans, rng=rng(0, first.name, "own events"), further=lambda: read_other_events(
        layout, task=first.key.task, leave=tuple(scans), foreign=foreign))
    for key, one in judged.items():
        if one.other is not None:
            _refuse(runs[key].name, f"data that hold the events of {one.other} (z = {one.z_other:.1f}) and not its own "
                                    f"(z = {one.z:.1f})", accepted=accepted)
    for key in not_found(judged):
        if judged[key].other is None:
            log.warning("%s: its events are not found in its data (z = %.1f; other runs' are in theirs): a subject who "
                        "did not look, or time series of something else", runs[key].name, judged[key].z)
    return {str(key): round(one.z, 2) for key, one in judged.items()}


def _refuse(where: str, came: str, *, accepted: bool) -> None:
    if accepted:
        log.warning("%s: %s (analysis.accept)", where, came)
        return
    raise AnalysisError(where, came=came, expected="the run that its name says",
                        remedy="See which series is of which run (`python -m subjects match`) and give the files their "
                               f'names, or set analysis.accept = ["{EXCHANGED}"] in study.toml.')
