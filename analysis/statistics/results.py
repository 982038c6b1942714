"""Tidy tables of statistics: one row a tested number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.statistics.statistic import NOT_TESTED, Statistic
from subjects.errors import AnalysisError
from subjects.provenance import FileFormat, sidecar_path
from subjects.store import read_json, read_table

RESULTS = FileFormat("table of statistics", version=1)
PAPER_COLUMNS = ("paper_effect", "paper_low", "paper_high", "paper_p", "paper_p_mean")
SEEDS = ("seed", "paper_seed")
"""Columns of whole numbers that may be missing: seed of the draws behind p, and of those of the paper's procedures."""
STATISTIC_COLUMNS = ("effect", "low", "high", "p", "n", "n_resamples", "seed", "test")
KEYS = {"brain": ("sub", "place", "comparison"), "control": ("sub", "place", "comparison"),
        "network": ("place", "comparison"),
        "encoding": ("sub", "roi", "layer", "type"), "naming": ("sub", "type")}
COMMANDS = {"brain": "python -m analysis rsa", "control": "python -m analysis rsa",
            "network": "python -m analysis rsa",
            "encoding": "python -m analysis encode", "hierarchy": "python -m analysis encode",
            "naming": "python run_session.py name"}
TRENDS = ("trend RE-AN", "trend RE-AI")
_SIMILARITIES = ("RE-AN", "RE-AI", "RE-AI minus RE-AN")
TESTED = {"brain": _SIMILARITIES, "control": _SIMILARITIES, "network": (*_SIMILARITIES, *TRENDS),
          "encoding": ("AN", "AI", "AI minus AN", "RE"), "naming": ("RE", "AN", "AI")}


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
    half, whole, chance = statistic.reliability or (float("nan"),) * 3
    paper = {name: getattr(statistic.paper, name.removeprefix("paper_"), float("nan")) for name in PAPER_COLUMNS}
    return {**names, **values, "z": statistic.z, "correction": statistic.correction, "ceiling_low": low,
            "ceiling_high": high, "reliability": half, "reliability_whole": whole, "reliability_null": chance, **paper,
            "paper_seed": getattr(statistic.paper, "seed", None)}


def as_table(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str]) -> pd.DataFrame:
    """Put rows into a table with these columns; seeds are whole numbers that may be missing."""
    table = pd.DataFrame(list(rows), columns=list(columns))
    for name in SEEDS:
        if name in table:
            table[name] = _whole_numbers([row[name] for row in rows])
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
    table = read_table(path, text_columns=("sub", *SEEDS))
    for name in SEEDS:
        if name in table:
            table[name] = _whole_numbers(table[name])
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


def require_whole(table: pd.DataFrame, *, source: str) -> None:
    """Check that a result table has its columns, each row once, and every subject's every place.

    Raises
    ------
    AnalysisError
        Naming the first fault.
    """
    keys, remedy = list(KEYS[source]), f"Make it again with `{COMMANDS[source]}`."
    missing = [name for name in (*keys, "effect", "p") if name not in table.columns]
    if missing or table.empty:
        raise AnalysisError(f"{source} table", came=f"no column {missing[0]!r}" if missing else "no rows",
                            expected="a table of results", remedy=remedy)
    twice = table[table.duplicated(keys)]
    if len(twice):
        raise AnalysisError(f"{source} table", came=f"two rows for {_named(twice.iloc[0], keys)}",
                            expected="one row each", remedy=remedy)
    untested = table["p"].isna() & table["test"].astype(str).str.startswith(NOT_TESTED) if "test" in table else False
    bad = table[~((table["p"].gt(0) & table["p"].le(1) | untested) & table["effect"].notna())]
    if len(bad):
        first = bad.iloc[0]
        raise AnalysisError(f"{source} table", came=f"effect {first['effect']}, p {first['p']} for "
                            f"{_named(first, keys)}", expected="an effect, and a p in (0, 1] of what was tested",
                            remedy=remedy)
    absent = [name for name in TESTED[source] if name not in set(table[keys[-1]])]
    if absent:
        raise AnalysisError(f"{source} table", came=f"no row for {absent[0]!r}", expected=", ".join(TESTED[source]),
                            remedy=remedy)
    _require_crossed(table[~table[keys[-1]].isin(TRENDS)], keys=keys, source=source, remedy=remedy)


def _require_crossed(table: pd.DataFrame, *, keys: list[str], source: str, remedy: str) -> None:
    wanted = pd.MultiIndex.from_product([table[key].unique() for key in keys], names=keys)
    absent = wanted.difference(pd.MultiIndex.from_frame(table[keys]))
    if len(absent):
        raise AnalysisError(f"{source} table", came=f"no row for {', '.join(map(str, absent[0]))}",
                            expected="every place of every subject", remedy=remedy)


def _named(row: pd.Series, keys: list[str]) -> str:
    return ", ".join(str(row[key]) for key in keys)
