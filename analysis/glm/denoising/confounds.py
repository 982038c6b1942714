"""Regressors of no interest out of fMRIPrep's tables of confounds, by column or by group."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from subjects.errors import AnalysisError, nearest
from subjects.provenance import sidecar_path
from subjects.store import read_json, read_table

Floats = NDArray[np.float64]
_MOTION = r"(?:trans|rot)_[xyz]"
_FULL = r"(?:|_derivative1|_power2|_derivative1_power2)"
GROUPS: Mapping[str, str] = {
    "motion6": _MOTION, "motion24": _MOTION + _FULL, "cosine": r"cosine\d+",
    "non_steady_state": r"non_steady_state_outlier\d+", "motion_outliers": r"motion_outlier\d+",
    "wm_csf": r"csf|white_matter", "global_signal": "global_signal"}
"""Group to the pattern of its columns' names, as fMRIPrep has spelled them since release 1.4."""
_MAY_BE_EMPTY = ("cosine", "non_steady_state", "motion_outliers")
_COMPCOR = re.compile(r"acompcor(\d*)\Z")


def choose_columns(columns: Sequence[str], *, wanted: Sequence[str], said: Mapping[str, Any],
                   where: str) -> tuple[str, ...]:
    """Choose columns of a table of confounds.

    Parameters
    ----------
    columns : sequence of str
        Those of the table.
    wanted : sequence of str
        Names of columns; groups of :data:`GROUPS`; ``"acompcor"`` for all retained components of the combined mask of
        CSF and white matter, ``"acompcor5"`` for the first five.
    said : mapping
        The JSON beside the table, which says of which mask a component is.
    where : str
        The table, for the message.

    Returns
    -------
    tuple of str
        In the order in which they were asked for, each once.

    Raises
    ------
    AnalysisError
        If a column, or every column of a group that each run has, is missing.
    """
    chosen: dict[str, None] = {}
    for name in wanted:
        found = _of_one(name, columns=columns, said=said)
        if not found and name not in _MAY_BE_EMPTY:
            more = " with the JSON file beside it" if _COMPCOR.match(name) else ""
            raise AnalysisError(where, came=f"no column for {name!r}", expected=f"fMRIPrep's table of confounds{more}",
                                remedy=" ".join(["Correct glm.confounds.",
                                                 nearest(name, [*GROUPS, "acompcor", *columns])]).strip())
        chosen |= dict.fromkeys(found)
    return tuple(chosen)


def _of_one(name: str, *, columns: Sequence[str], said: Mapping[str, Any]) -> list[str]:
    compcor = _COMPCOR.match(name)
    if compcor:
        kept = [column for column in columns if _is_combined(said.get(column))]
        return kept[:int(compcor[1])] if compcor[1] else kept
    if name in GROUPS:
        return [column for column in columns if re.fullmatch(GROUPS[name], column)]
    return [name] if name in columns else []


def _is_combined(told: object) -> bool:
    """Say whether a column is a retained component of both masks together."""
    return (isinstance(told, Mapping) and told.get("Method") == "aCompCor" and told.get("Mask") == "combined"
            and told.get("Retained", True) is True)


def read_confounds(path: Path, *, wanted: Sequence[str], n_volumes: int, is_cut: bool = False) -> Floats:
    """Read regressors of a run.

    Parameters
    ----------
    path : Path
        ``*_desc-confounds_timeseries.tsv`` (``_regressors.tsv`` before 20.2).
    wanted : sequence of str
        ``glm.confounds``; see :func:`choose_columns`.
    n_volumes : int
        Of the time series.
    is_cut : bool
        Whether volumes after the end of a part of a run were left out: the table is longer then.

    Returns
    -------
    float64 array, (n_volumes, n_regressors)
        ``n/a`` in the first row, where there is no volume before to differ from, counts as 0: no change.

    Raises
    ------
    AnalysisError
        If the table has another number of rows, lacks a column, or has ``n/a`` in a later row.
    """
    table = read_table(path)
    said = read_json(sidecar_path(path)) if sidecar_path(path).is_file() else {}
    names = choose_columns(list(table.columns), wanted=wanted, said=said, where=str(path))
    if len(table) != n_volumes and not (is_cut and len(table) > n_volumes):
        raise AnalysisError(str(path), came=f"{len(table)} rows", expected=f"{n_volumes}, one a volume",
                            remedy="Take the table of these time series.")
    numbers = table[list(names)].apply(pd.to_numeric, errors="coerce")
    values: Floats = numbers.to_numpy(dtype=np.float64)[:n_volumes].copy()
    values[0, np.isnan(values[0])] = 0.0
    if np.isnan(values).any():
        row, column = (int(one[0]) for one in np.nonzero(np.isnan(values)))
        raise AnalysisError(f"{path}, row {row + 1}", came=f"no number in {names[column]}", expected="one a volume",
                            remedy="Preprocess the run again, or leave that column out of glm.confounds.")
    return values
