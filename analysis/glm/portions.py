"""Which runs of a session are estimated together, and what the two estimates of each image come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from analysis.glm.betas import BLANK, COLUMNS
from analysis.glm.design import list_conditions, missing_conditions, order_conditions
from subjects.errors import AnalysisError
from subjects.run_key import RunKey

Events = Mapping[RunKey, pd.DataFrame]
HALVES = ("odd runs", "even runs")
ALL = "all runs"


@dataclass(frozen=True, eq=False)
class Portion:
    """Runs of one session that are estimated together.

    Parameters
    ----------
    session : str
        ``"01"``; of sessions that are estimated together ``"01+02"``.
    name : str
        ``"all runs"``, ``"odd runs"`` or ``"even runs"``.
    runs : mapping of int to mapping of RunKey to DataFrame
        Run number to its events tables, one a part; ``presentation`` says which estimate an image's showing counts for.
        Runs of several sessions are numbered through.
    conditions : DataFrame
        See :func:`~analysis.glm.design.list_conditions`. Of several sessions: with one row for all blanks, of session
        ``""``.
    missing : mapping of int or str to tuple of str
        Runs that do not hold every condition of their session, and which they lack.
    """

    session: str
    name: str
    runs: Mapping[int, Events]
    conditions: pd.DataFrame
    missing: Mapping[int | str, tuple[str, ...]]

    @property
    def where(self) -> str:
        """The portion, for messages."""
        return f"ses-{self.session}" + ("" if self.name == ALL else f", {self.name}")

    @property
    def events(self) -> dict[RunKey, pd.DataFrame]:
        """Every part's events, in order."""
        return {key: table for parts in self.runs.values() for key, table in parts.items()}

    @property
    def run_sessions(self) -> list[int]:
        """The place of each run's session among the portion's."""
        sessions = [next(iter(parts)).ses for parts in self.runs.values()]
        places = list(dict.fromkeys(sessions))
        return [places.index(ses) for ses in sessions]

    @property
    def in_parts(self) -> tuple[int, ...]:
        """Runs that were shown in more than one part."""
        return tuple(run for run, parts in self.runs.items() if len(parts) > 1)


def say_missing(missing: Mapping[int | str, Sequence[str]]) -> str:
    """Say which runs lack conditions, in a few words.

    Examples
    --------
    >>> say_missing({2: ("RE cat-01 presentation 2", "blank")})
    'run 2 lacks 2 conditions (RE cat-01 presentation 2, ...)'
    """
    names = {run: run if isinstance(run, str) else f"run {run}" for run in missing}
    return "; ".join(f"{names[run]} lacks {len(lacking)} condition{'s' * (len(lacking) > 1)} ({lacking[0]}"
                     f"{', ...' * (len(lacking) > 1)})" for run, lacking in missing.items())


def split_session(events: Events, *, session: str, partition: Literal["presentation", "runs"],
                  base_images: Sequence[str] | None = None) -> tuple[Portion, ...]:
    """Split a session's runs into those that are estimated together.

    Parameters
    ----------
    events : mapping of RunKey to DataFrame
        Run, or part of one, to events table.
    session : str
    partition : {"presentation", "runs"}
        One portion of all runs, in which first and second showings are conditions of their own; or two portions, the
        runs at odd and at even places, in which all showings of an image are one condition: their ``presentation`` is
        1 in the first portion and 2 in the second.
    base_images : sequence of str, optional
        Order of the conditions.

    Returns
    -------
    tuple of Portion

    Raises
    ------
    AnalysisError
        If a session of one run is to be halved.
    """
    return split_sessions({session: events}, partition=partition, base_images=base_images)


def split_sessions(sessions: Mapping[str, Events], *, partition: Literal["presentation", "runs"],
                   base_images: Sequence[str] | None = None) -> tuple[Portion, ...]:
    """Split the runs of sessions that are estimated together; see :func:`split_session`."""
    runs: dict[str, dict[int, dict[RunKey, pd.DataFrame]]] = {ses: {} for ses in sessions}
    for ses, events in sessions.items():
        for key in sorted(events):
            runs[ses].setdefault(key.run, {})[key] = events[key]
    if partition == "presentation":
        return (_portion(runs, name=ALL, base_images=base_images),)
    for ses, found in runs.items():
        if len(found) < 2:
            raise AnalysisError(f"ses-{ses}", came=f"{len(found)} run", expected="at least two, for two halves",
                                remedy='Play another run, or set glm.partition = "presentation".')
    return tuple(_portion({ses: {run: {key: _as_estimate(table, half) for key, table in found[run].items()}
                                 for run in list(found)[half - 1::2]} for ses, found in runs.items()},
                          name=name, base_images=base_images)
                 for half, name in enumerate(HALVES, start=1))


def _portion(sessions: Mapping[str, Mapping[int, Events]], *, name: str,
             base_images: Sequence[str] | None) -> Portion:
    tables: list[pd.DataFrame] = []
    missing: dict[int | str, tuple[str, ...]] = {}
    for ses, runs in sessions.items():
        joined = {run: pd.concat(parts.values(), ignore_index=True) for run, parts in runs.items()}
        tables.append(list_conditions(joined, session=ses, base_images=base_images))
        missing.update({run if len(sessions) == 1 else f"ses-{ses} run-{run}": lacking for run, lacking
                        in missing_conditions(joined, conditions=tables[-1]).items()})
    if len(sessions) == 1:
        (session, runs), = sessions.items()
        return Portion(session, name, runs, tables[0], missing)
    everything = [parts for runs in sessions.values() for parts in runs.values()]
    return Portion("+".join(sessions), name, dict(enumerate(everything, start=1)),
                   _join_conditions(tables, base_images=base_images), missing)


def _join_conditions(tables: Sequence[pd.DataFrame], *, base_images: Sequence[str] | None) -> pd.DataFrame:
    """Join the conditions of several sessions: one row for their blanks, and for an image that several show."""
    table = pd.concat(tables, ignore_index=True)
    table.loc[table["type"] == BLANK, "session"] = ""
    table = table.drop_duplicates([*COLUMNS[1:]]).reset_index(drop=True)
    return table.iloc[order_conditions(table, base_images=base_images)].reset_index(drop=True)


def _as_estimate(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """Count all showings of an image for one estimate."""
    shown = (table["trial_type"] != BLANK).to_numpy()
    made = table.assign(presentation=np.where(shown, number, table["presentation"]))
    made.attrs = dict(table.attrs)
    return made
