"""Which runs of a session are estimated together, and what the two estimates of each image come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from analysis.glm.betas import BLANK
from analysis.glm.design import list_conditions, missing_conditions
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
    name : str
        ``"all runs"``, ``"odd runs"`` or ``"even runs"``.
    runs : mapping of int to mapping of RunKey to DataFrame
        Run number to its events tables, one a part; ``presentation`` says which estimate an image's showing counts for.
    conditions : DataFrame
        See :func:`~analysis.glm.design.list_conditions`.
    missing : mapping of int to tuple of str
        Runs that do not hold every condition, and which they lack.
    """

    session: str
    name: str
    runs: Mapping[int, Events]
    conditions: pd.DataFrame
    missing: Mapping[int, tuple[str, ...]]

    @property
    def where(self) -> str:
        """The portion, for messages."""
        return f"ses-{self.session}" + ("" if self.name == ALL else f", {self.name}")

    @property
    def events(self) -> dict[RunKey, pd.DataFrame]:
        """Every part's events, in order."""
        return {key: table for parts in self.runs.values() for key, table in parts.items()}

    @property
    def in_parts(self) -> tuple[int, ...]:
        """Runs that were shown in more than one part."""
        return tuple(run for run, parts in self.runs.items() if len(parts) > 1)


def say_missing(missing: Mapping[int, Sequence[str]]) -> str:
    """Say which runs lack conditions, in a few words.

    Examples
    --------
    >>> say_missing({2: ("RE cat-01 presentation 2", "blank")})
    'run 2 lacks 2 conditions (RE cat-01 presentation 2, ...)'
    """
    return "; ".join(f"run {run} lacks {len(lacking)} condition{'s' * (len(lacking) > 1)} ({lacking[0]}"
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
    runs: dict[int, dict[RunKey, pd.DataFrame]] = {}
    for key in sorted(events):
        runs.setdefault(key.run, {})[key] = events[key]
    if partition == "presentation":
        return (_portion(runs, session=session, name=ALL, base_images=base_images),)
    if len(runs) < 2:
        raise AnalysisError(f"ses-{session}", came=f"{len(runs)} run", expected="at least two, for two halves",
                            remedy='Play another run, or set glm.partition = "presentation".')
    numbers = list(runs)
    return tuple(_portion({run: {key: _as_estimate(table, half) for key, table in runs[run].items()}
                           for run in numbers[half - 1::2]}, session=session, name=name, base_images=base_images)
                 for half, name in enumerate(HALVES, start=1))


def _portion(runs: Mapping[int, Events], *, session: str, name: str, base_images: Sequence[str] | None) -> Portion:
    joined = {run: pd.concat(parts.values(), ignore_index=True) for run, parts in runs.items()}
    conditions = list_conditions(joined, session=session, base_images=base_images)
    return Portion(session, name, runs, conditions, missing_conditions(joined, conditions=conditions))


def _as_estimate(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """Count all showings of an image for one estimate."""
    shown = (table["trial_type"] != BLANK).to_numpy()
    made = table.assign(presentation=np.where(shown, number, table["presentation"]))
    made.attrs = dict(table.attrs)
    return made
