"""The check of a set as a table for the terminal: a row for each base image."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.table import Table

from stimuli.check import ImageVerdict, Verdict


def verdict_table(verdict: Verdict) -> Table:
    """Lay a verdict out within 80 columns, one row a base image.

    Columns: P of the own category for RE and AN, noise of AN (RMS distance from the start, grey levels), the wrong
    category and its P for AI.
    """
    table = Table(title=f"Network {verdict.network!r} on the pixels of the PNG files", title_justify="left",
                  box=SIMPLE_HEAD, padding=0, title_style="bold")
    for name in ("image", "category"):
        table.add_column(name, no_wrap=True)
    for name in ("P RE", "P AN", "noise", "P AI"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("AI taken for", ""):
        table.add_column(name, no_wrap=True)
    by_base: dict[str, dict[str, ImageVerdict]] = {}
    for one in verdict.images:
        by_base.setdefault(one.base_image, {})[one.type] = one
    for base, types in by_base.items():
        failed = any(one.failures for one in types.values())
        table.add_row(base, *_cells(types), "FAILS" if failed else "holds", style="bold red" if failed else None)
    return table


def _cells(types: dict[str, ImageVerdict]) -> list[str]:
    noise, interference = types.get("AN"), types.get("AI")
    return [next(iter(types.values())).category, _chance(types.get("RE")), _chance(noise),
            "-" if noise is None or math.isnan(noise.noise) else f"{noise.noise:.1f}", _chance(interference),
            "-" if interference is None else interference.judged_as]


def _chance(one: ImageVerdict | None) -> str:
    """Write P with four digits, cut and never rounded up to the limit."""
    return "-" if one is None or math.isnan(one.p) else f"{math.floor(one.p * 1e4) / 1e4:.4f}"


def failure_lines(verdict: Verdict) -> list[str]:
    """Say what fails, one line a rule, the image's file first."""
    lines = [f"{one.file}: {failure}" for one in verdict.images for failure in one.failures]
    return [*lines, *(f"the set: {failure}" for failure in verdict.set_failures)]


def summary(verdict: Verdict) -> str:
    """Say in one line how many images hold, and how strong the noise of AN is."""
    good = verdict.n_images - verdict.n_failed
    said = f"{good} of {verdict.n_images} images hold"
    noise = [min(one.noise, one.contrast) for one in verdict.images if one.type == "AN"]
    said += f"; weakest AN {min(noise):.1f} grey levels RMS" if noise else ""
    if verdict.fillings:
        low = [one for one in verdict.images if one.file in verdict.fillings]
        said += f"; {len(low)} RE below the threshold fill a shortfall, as the settings allow: " + \
            ", ".join(f"{one.base_image} {one.category} (P {one.p:.4f})" for one in low)
    return said if not verdict.set_failures else f"{said}; {len(verdict.set_failures)} failures of the set"
