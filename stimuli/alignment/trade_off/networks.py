"""The networks of a trade-off: names on the command line, or a table of names, weights and preprocessings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from subjects.errors import StimulusError
from subjects.layout import network_label
from subjects.store import read_table

_COLUMNS = ("network", "weights", "preprocessing", "label")


@dataclass(frozen=True)
class Listed:
    """A network of the list.

    Parameters
    ----------
    network : str
        As :func:`stimuli.networks.registry.load_network` takes it.
    weights : Path or None
        Its weights; default: its own.
    preprocessing : str or None
        Its preprocessing; default: its own.
    label : str
        What it is called in the table and the figure.
    """

    network: str
    weights: Path | None = None
    preprocessing: str | None = None
    label: str = ""

    @property
    def name(self) -> str:
        """Give the label, or the network's name."""
        return self.label or self.network

    @property
    def stem(self) -> str:
        """Give what its files are called by."""
        return f"network-{network_label(self.name)}"


def read_networks(table: Path) -> tuple[Listed, ...]:
    """Read a list of networks.

    Parameters
    ----------
    table : Path
        Tab-separated: ``network``; ``weights`` (from the table's folder), ``preprocessing`` and ``label`` where wanted.

    Raises
    ------
    StimulusError
        If it has no column ``network``, an unknown column, or an empty name.
    """
    rows = read_table(table, text_columns=_COLUMNS).astype(object)
    rows = rows.where(rows.notna(), None)
    unknown = [str(name) for name in rows.columns if name not in _COLUMNS]
    if "network" not in rows or unknown:
        raise StimulusError(str(table), came=f"the columns {', '.join(map(str, rows.columns))}",
                            expected=f"network, and of {', '.join(_COLUMNS[1:])} what is wanted",
                            remedy="Correct the table's first line.")
    found = []
    for k, row in enumerate(rows.to_dict("records"), start=2):
        if not row["network"]:
            raise StimulusError(f"{table}, row {k}", came="no network", expected="a network's name",
                                remedy="Complete the row or remove it.")
        weights = row.get("weights")
        found.append(Listed(str(row["network"]), None if weights is None else table.parent / str(weights),
                            row.get("preprocessing"), row.get("label") or ""))
    return tuple(found)


def require_different(networks: Sequence[Listed]) -> None:
    """Refuse a list without networks, and one in which two would write the same files.

    Raises
    ------
    StimulusError
        Naming the first name that comes twice.
    """
    if not networks:
        raise StimulusError("--network", came="no network", expected="the networks to compare",
                            remedy="Name each with --network, or all in a table with --list.")
    seen: dict[str, str] = {}
    for one in networks:
        if one.stem in seen:
            raise StimulusError("the list of networks", came=f"{one.name} beside {seen[one.stem]}",
                                expected="names that differ in letters or digits",
                                remedy="Give one of them another label in the table (--list).")
        seen[one.stem] = one.name


def with_predictivity(table: pd.DataFrame, path: Path | None) -> pd.DataFrame:
    """Join how well each network predicts neural responses.

    Parameters
    ----------
    table : DataFrame
        With a column ``network``.
    path : Path or None
        Tab-separated, with the columns ``network`` (by label or name) and ``predictivity``, and
        ``predictivity_error`` where it is known; None joins nothing.

    Raises
    ------
    StimulusError
        If a column is missing, a network comes twice, or none is of the list.
    """
    if path is None:
        return table
    found: Any = read_table(path, text_columns=("network",))
    columns = [name for name in ("predictivity", "predictivity_error") if name in found]
    if "network" not in found or "predictivity" not in found:
        raise StimulusError(str(path), came=f"the columns {', '.join(map(str, found.columns))}",
                            expected="network and predictivity", remedy="Correct the table's first line.")
    if found["network"].duplicated().any():
        twice = found.loc[found["network"].duplicated(), "network"].iloc[0]
        raise StimulusError(str(path), came=f"network {twice} twice", expected="one row a network",
                            remedy="Choose one region, layer and subject, or average, before joining.")
    joined = table.merge(found[["network", *columns]], on="network", how="left")
    if joined["predictivity"].isna().all():
        raise StimulusError(str(path), came="none of the networks of the list",
                            expected=f"some of {', '.join(map(str, table['network']))}",
                            remedy="Name the networks in both tables alike.")
    return joined
