"""Tidy tables of statistics: one row a tested number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.statistics.statistic import Statistic
from subjects.errors import AnalysisError
from subjects.provenance import FileFormat, sidecar_path
from subjects.store import read_json, read_table

RESULTS = FileFormat("table of statistics", version=1)
PAPER_COLUMNS = ("paper_effect", "paper_low", "paper_high", "paper_p", "paper_p_mean")
STATISTIC_COLUMNS = ("effect", "low", "high", "p", "n", "n_resamples", "seed", "test")


def statistic_row(statistic: Statistic, **names: Any) -> dict[str, Any]:
    """Spread a statistic into a row of a table, behind the columns that name it.

    Examples
    --------
    >>> row = statistic_row(Statistic(0.5, 0.4, 0.6, 0.01, 40, 1000, 7, "permutation"), place="V1")
    >>> row["place"], row["effect"], row["correction"], row["ceiling_low"]
    ('V1', 0.5, 'none', nan)
    """
    values = {column: getattr(statistic, column) for column in STATISTIC_COLUMNS}
    low, high = statistic.ceiling or (float("nan"), float("nan"))
    half, whole = statistic.reliability or (float("nan"), float("nan"))
    paper = {name: getattr(statistic.paper, name.removeprefix("paper_"), float("nan")) for name in PAPER_COLUMNS}
    return {**names, **values, "z": statistic.z, "correction": statistic.correction, "ceiling_low": low,
            "ceiling_high": high, "reliability": half, "reliability_whole": whole, **paper}


def as_table(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str]) -> pd.DataFrame:
    """Put rows into a table with these columns; seeds are whole numbers that may be missing."""
    table = pd.DataFrame(list(rows), columns=list(columns))
    table["seed"] = _whole_numbers([row["seed"] for row in rows])
    return table


def _whole_numbers(values: Iterable[Any]) -> pd.api.extensions.ExtensionArray:
    """Hold 63-bit numbers of which some are missing; by way of floats they would lose their last digits."""
    return pd.array([pd.NA if pd.isna(value) else int(value) for value in values], dtype="Int64")


def read_results(path: Path) -> pd.DataFrame:
    """Read a result table: subjects keep their zeros, seeds all their digits.

    Raises
    ------
    StoreError
        If it cannot be read, or its sidecar says that a newer version of the toolkit wrote it.
    """
    if sidecar_path(path).is_file():
        RESULTS.require(read_json(sidecar_path(path)).get("FormatVersion"), where=path)
    table = read_table(path, text_columns=("sub", "seed"))
    if "seed" in table:
        table["seed"] = _whole_numbers(table["seed"])
    return table


def require_columns(table: pd.DataFrame, columns: Sequence[str], *, where: Path, remedy: str) -> pd.DataFrame:
    """See that a table of results has the columns that this version writes.

    Raises
    ------
    AnalysisError
        Naming the first one that is missing.
    """
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise AnalysisError(str(where), came=f"no column {missing[0]!r} ({len(missing)} missing)",
                            expected="a table of this version of the toolkit", remedy=remedy)
    return table
