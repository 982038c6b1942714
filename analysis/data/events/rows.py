"""Rows of events tables that a design must not be made from: the same row twice, kinds of trial that are none."""

from __future__ import annotations

import numpy as np
import pandas as pd

from stimuli.manifest import TYPES
from subjects.errors import AnalysisError

BLANK = "blank"
MAIN_TYPES = (*TYPES, BLANK)
"""Trial types of the main experiment."""


def require_rows(events: pd.DataFrame, *, task: str, where: str) -> pd.DataFrame:
    """Return a run's events if every row is there once and, in the main experiment, of a known trial type.

    Parameters
    ----------
    events : DataFrame
        ``onset``, ``trial_type`` and ``image_id``.
    task : str
    where : str
        The table, for the message.

    Raises
    ------
    AnalysisError
        Naming the first such row, counted from 1 below the heading; or for no row at all of a complete run
        (``attrs["complete"]``).

    Examples
    --------
    >>> table = pd.DataFrame({"onset": [2.0, 6.0], "trial_type": ["RE", "re"], "image_id": ["a", "b"]})
    >>> require_rows(table, task="main", where="events.tsv")
    Traceback (most recent call last):
        ...
    subjects.errors.AnalysisError: events.tsv, row 2: trial_type 're'; expected RE, AN, AI or blank. Write 'RE'.
    """
    if events.empty and events.attrs.get("complete"):
        raise AnalysisError(where, came="a heading and no event", expected="the events of a run that was played whole",
                            remedy="Restore the table, or make it again with `python run_session.py recover`.")
    twice = events.duplicated(["onset", "trial_type", "image_id"]).to_numpy()
    if twice.any():
        k = int(np.argmax(twice))
        row = events.iloc[k]
        raise AnalysisError(f"{where}, row {k + 1}", came=f"{row['trial_type']} at {row['onset']:g} s a second time",
                            expected="each event once", remedy="Take out the row that was copied.")
    strange = ~events["trial_type"].isin(MAIN_TYPES).to_numpy()
    if task == "main" and strange.any():
        k = int(np.argmax(strange))
        found = events["trial_type"].iloc[k]
        known = {name.lower(): name for name in MAIN_TYPES}.get(str(found).strip().lower())
        remedy = f"Write {known!r}." if known else \
            "Name what was shown as this study does; other programs' tables have other names."
        raise AnalysisError(f"{where}, row {k + 1}", came=f"trial_type {found!r}", expected="RE, AN, AI or blank",
                            remedy=remedy)
    return events
