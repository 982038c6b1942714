"""The check of a set as a table for the terminal: a row for each base image, a column block for each type."""

from __future__ import annotations

import math

from rich.table import Table

from stimuli.check import ImageVerdict, Verdict

MARKS = {True: "[green]holds[/]", False: "[bold red]FAILS[/]"}


def verdict_table(verdict: Verdict) -> Table:
    """Lay a verdict out, one row a base image.

    Columns: P of the own category for RE and AN, contrast and noise (RMS, grey levels) of AN, the wrong
    category and its P for AI; what fails is named below the row's verdict.
    """
    table = Table(title=f"Stimulus set, judged by network {verdict.network!r} from the PNG files", title_justify="left",
                  header_style="bold")
    for name in ("base image", "category"):
        table.add_column(name, no_wrap=True)
    for name in ("P RE", "P AN", "contrast", "noise", "P AI"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("AI taken for", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    by_base: dict[str, dict[str, ImageVerdict]] = {}
    for one in verdict.images:
        by_base.setdefault(one.base_image, {})[one.type] = one
    for base, types in by_base.items():
        table.add_row(base, *_cells(types))
    return table


def _cells(types: dict[str, ImageVerdict]) -> list[str]:
    noise, interference = types.get("AN"), types.get("AI")
    failures = [f"{kind}: {failure}" for kind, one in types.items() for failure in one.failures]
    return [next(iter(types.values())).category, _chance(types.get("RE")), _chance(noise),
            _number(noise.contrast if noise else None), _number(noise.noise if noise else None),
            _chance(interference), interference.judged_as if interference else "-",
            "\n".join([MARKS[not failures], *failures])]


def _chance(one: ImageVerdict | None) -> str:
    """Write P with four digits, cut and never rounded up to the limit."""
    return "-" if one is None or math.isnan(one.p) else f"{math.floor(one.p * 1e4) / 1e4:.4f}"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.1f}"


def summary(verdict: Verdict) -> str:
    """Say in one line how many images hold."""
    good = verdict.n_images - verdict.n_failed
    said = f"{good} of {verdict.n_images} images hold"
    return said if not verdict.set_failures else f"{said}; {len(verdict.set_failures)} failures of the set"
