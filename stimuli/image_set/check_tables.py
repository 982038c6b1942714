"""The check of a set as tables for the terminal: a row for each base image; one for each type under each network."""

from __future__ import annotations

import math
from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.table import Table

from stimuli.image_set.check import Verdict
from stimuli.image_set.image_rules import ImageVerdict
from stimuli.image_set.transfer import Transfer


def verdict_tables(verdict: Verdict) -> list[Table]:
    """Lay a verdict out, a table for each network that AN and AI were made with; see :func:`verdict_table`."""
    names = list(dict.fromkeys(one.network for one in verdict.images if one.type != "RE"))
    if len(names) < 2:
        return [verdict_table(verdict)]
    return [verdict_table(replace(verdict, network=name, images=tuple(
        one for one in verdict.images if one.type == "RE" or one.network == name)), both=True) for name in names]


def verdict_table(verdict: Verdict, *, both: bool = False) -> Table:
    """Lay a verdict out, one row a base image; names that are too long for the terminal go on in the next line.

    Columns: P of the own category for RE and AN, RMS contrast of AN (grey levels), the wrong category and its P for AI.

    Parameters
    ----------
    verdict : Verdict
        Of one network's images.
    both : bool
        Whether P of RE is the smaller one of two networks'.
    """
    table = _table(f"Network {verdict.network!r} on the pixels of the PNG files")
    table.caption = "P RE: the smaller P of both networks\n" if both else None
    table.add_column("image", no_wrap=True)
    table.add_column("category", overflow="fold")
    for name in ("P RE", "P AN", "contrast", "P AI"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("AI target", overflow="fold")
    table.add_column("", no_wrap=True)
    by_base: dict[str, dict[str, ImageVerdict]] = {}
    for one in verdict.images:
        by_base.setdefault(one.base_image, {})[one.type] = one
    for base, types in by_base.items():
        failed = any(one.failures for one in types.values())
        table.add_row(base, *_cells(types), "fails" if failed else "passes", style="bold red" if failed else None)
    return table


def transfer_table(verdict: Verdict) -> Table:
    """Lay out how other networks see the set: a row for each network and type.

    Columns: how many images are compared, the share whose most probable category is the intended one, and the median
    P of the intended category and of the original one.
    """
    table = _table("The same images under other networks (medians; they do not decide whether the set passes)")
    table.add_column("network", overflow="fold")
    table.add_column("type", no_wrap=True)
    for name in ("compared", "top-1 intended", "P intended", "P original"):
        table.add_column(name, justify="right", overflow="fold")
    for other in verdict.transfers:
        for k, row in enumerate(other.rows):
            table.add_row(other.network if k == 0 else "", row.type, f"{row.n} of {row.n + row.n_incomparable}",
                          "-" if row.n == 0 else f"{100 * row.top1_intended:.0f} %",
                          _number(row.p_intended), _number(row.p_original), end_section=k == len(other.rows) - 1)
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, padding=0,
                 title_style="bold")


def _cells(types: dict[str, ImageVerdict]) -> list[str]:
    noise, interference = types.get("AN"), types.get("AI")
    return [next(iter(types.values())).category, _p_cell(types.get("RE")), _p_cell(noise),
            "-" if noise is None else f"{noise.contrast:.1f}", _p_cell(interference),
            "-" if interference is None else interference.judged_as]


def _p_cell(one: ImageVerdict | None) -> str:
    return "-" if one is None else _number(one.p)


def _number(p: float) -> str:
    """Write P with four digits, cut and never rounded up to the limit."""
    return "-" if math.isnan(p) else f"{math.floor(p * 1e4) / 1e4:.4f}"


def verdict_parts(verdict: Verdict) -> list[str | Table]:
    """Give the tables and lines that a terminal shows, the summary last."""
    tables = [*verdict_tables(verdict), *([transfer_table(verdict)] if verdict.transfers else [])]
    return [*tables, *transfer_lines(verdict), *failure_lines(verdict), summary(verdict)]


def failure_lines(verdict: Verdict) -> list[str]:
    """Say what fails, one line a rule, the image's file first."""
    lines = [f"{one.file}: {failure}" for one in verdict.images for failure in one.failures]
    return [*lines, *(f"the set: {failure}" for failure in verdict.set_failures)]


def transfer_lines(verdict: Verdict) -> list[str]:
    """Say which categories each other network does not know, and where images were resampled for it."""
    own = verdict.network
    return [line for other in verdict.transfers for line in _transfer_lines(other, own=own)]


def _transfer_lines(other: Transfer, *, own: str) -> list[str]:
    if not other.unknown:
        return []
    shown = ", ".join(other.unknown[:5]) + (f" and {len(other.unknown) - 5} more" if len(other.unknown) > 5 else "")
    why = f"{other.network} has no category by the name that {own} gives it"
    return [f"{other.network}: not comparable, since {why}: {shown}"]


def summary(verdict: Verdict) -> str:
    """Say in one line how many images pass, and between which bounds contrast and P of AN are."""
    good = verdict.n_images - verdict.n_failed
    said = f"{good} of {verdict.n_images} images pass"
    noise = [one for one in verdict.images if one.type == "AN"]
    if noise:
        contrast, p = [one.contrast for one in noise], [one.p for one in noise]
        said += (f"; contrast of AN {min(contrast):.1f} to {max(contrast):.1f} grey levels RMS, P {_number(min(p))} to "
                 f"{_number(max(p))}")
    if verdict.below_threshold:
        low = [one for one in verdict.images if one.file in verdict.below_threshold]
        said += f"; {len(low)} RE are below the threshold, as the settings allow where a class falls short: " + \
            ", ".join(f"{one.base_image} {one.category} (P {one.p:.4f})" for one in low)
    return said if not verdict.set_failures else f"{said}; {len(verdict.set_failures)} failures of the set"
