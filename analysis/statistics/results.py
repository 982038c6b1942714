"""Tidy tables of statistics: one row a tested number, written with a sidecar and read back whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.statistics.statistic import Statistic
from subjects.provenance import sidecar
from subjects.store import read_table, write_table

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
    return {**names, **values, "correction": statistic.correction, "ceiling_low": low, "ceiling_high": high}


def as_table(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str]) -> pd.DataFrame:
    """Put rows into a table with these columns; seeds are whole numbers that may be missing."""
    table = pd.DataFrame(list(rows), columns=list(columns))
    table["seed"] = _whole_numbers([row["seed"] for row in rows])
    return table


def _whole_numbers(values: Iterable[Any]) -> pd.api.extensions.ExtensionArray:
    """Hold 63-bit numbers of which some are missing; by way of floats they would lose their last digits."""
    return pd.array([pd.NA if pd.isna(value) else int(value) for value in values], dtype="Int64")


def write_results(path: Path, table: pd.DataFrame, *, inputs: Mapping[str, Path | str],
                  parameters: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> Path:
    """Write a result table over an older one, and the sidecar that says what it was made from."""
    write_table(path, table, overwrite=True)
    sidecar(path, inputs=inputs, parameters=parameters, extra=extra)
    return path


def read_results(path: Path, *, reused: bool = False) -> pd.DataFrame:
    """Read a result table: subjects keep their zeros, seeds all their digits."""
    table = read_table(path, text_columns=("sub", "seed"))
    if "seed" in table:
        table["seed"] = _whole_numbers(table["seed"])
    table.attrs["reused"] = reused
    return table
