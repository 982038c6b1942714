"""Rows of events tables that a design must not be made from: the same row twice, kinds of trial that are none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from stimuli.manifest import TYPES, read_manifest
from subjects.errors import AnalysisError
from subjects.layout import Layout

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


def say_nearest(name: str, known: Iterable[str]) -> str:
    """Name the image that was likely meant; nothing where none is close, since a set has too many to list.

    Examples
    --------
    >>> say_nearest("dogs-1_RE", ["dogs-01_RE", "cats-01_RE"]), say_nearest("house", ["dogs-01_RE"])
    ("Did you mean 'dogs-01_RE'?", '')
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


def require_images(events: pd.DataFrame, *, layout: Layout, where: str) -> pd.DataFrame:
    """Return a run's events if every image is one of the stimulus set, as the type and base image that it is there.

    Parameters
    ----------
    events : DataFrame
        ``trial_type``, ``image_id`` and ``base_image``.
    layout : Layout
        A study without ``stimuli/manifest.tsv`` has nothing to hold them against.
    where : str
        The table, for the message.

    Raises
    ------
    AnalysisError
        Naming the first row, counted from 1 below the heading, and the nearest name.
    """
    if not layout.manifest.is_file():
        return events
    known = {one.image_id: one for one in read_manifest(layout.manifest).stimuli}
    rows = zip(events["trial_type"], events["image_id"], events["base_image"], strict=True)
    for k, (kind, name, base) in enumerate(rows, start=1):
        if kind not in TYPES or pd.isna(name):
            continue  # an image without an image_id is named by the design
        row, image = f"{where}, row {k}", known.get(str(name))
        if image is None:
            raise AnalysisError(row, came=f"the image {str(name)!r}", expected="an image_id of stimuli/manifest.tsv",
                                remedy=f"Use the events and the stimulus set of one study. "
                                       f"{say_nearest(str(name), known)}".strip())
        if (image.type, image.base_image) != (kind, base):
            raise AnalysisError(row, came=f"{name} as {kind} of {base}", expected=f"{image.type} of {image.base_image},"
                                " as in stimuli/manifest.tsv", remedy="Restore the table, or the stimulus set.")
    return events
