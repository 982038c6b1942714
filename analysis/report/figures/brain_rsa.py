"""Fig. 3 of the paper: RE-AI and RE-AN similarities in the regions of each subject."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.report.figures.style import (
    ALPHA,
    CEILING,
    COLORS,
    INK,
    WIDTH_IN,
    draw_intervals,
    mark_p_row,
    new_figure,
    rule_at_zero,
    styled,
)
from analysis.report.wording import coefficient_name

_BAR = 0.38
_COLUMNS = 3
_ORDER = ("AI", "AN")
_DIFFERENCE = "RE-AI minus RE-AN"


@styled
def draw_brain_rsa(table: pd.DataFrame) -> Figure:
    """Draw one panel a subject: two bars a region, their 68 % intervals, asterisks and noise ceiling.

    Parameters
    ----------
    table : DataFrame
        The brain's rows of all subjects, columns of :data:`analysis.rsa.run.COLUMNS`.

    Returns
    -------
    Figure
        Asterisk: permutation p < .05. Grey band: noise ceiling. Numbers under the regions: p of the difference.
    """
    subjects = list(table["sub"].unique())
    n_columns = min(_COLUMNS, len(subjects))
    n_rows = math.ceil(len(subjects) / n_columns)
    width = WIDTH_IN if n_columns > 1 else 4.4
    figure = new_figure(width, 0.3 + 2.6 * n_rows)
    grid = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for k, axes in enumerate(grid.ravel()):
        if k >= len(subjects):
            axes.set_axis_off()
            continue
        _draw_subject(axes, table[table["sub"] == subjects[k]], titled=k % n_columns == 0)
        axes.set_title(f"Subject {subjects[k]}")
    for axes in grid[:, 0]:
        axes.set_ylabel(f"Similarity of RDMs ({coefficient_name(table)})")
    _set_limits(grid[0, 0], table)
    _draw_key(grid[0, 0], has_ceiling=bool(table["ceiling_low"].notna().any()))
    return figure


def _draw_subject(axes: Axes, rows: pd.DataFrame, *, titled: bool) -> None:
    places = list(rows["place"].unique())
    found = {name: part.set_index("place").loc[places] for name, part in rows.groupby("comparison")}
    _draw_ceiling(axes, found["RE-AI"])
    for kind, side in zip(_ORDER, (-0.5, 0.5), strict=True):
        part = found[f"RE-{kind}"]
        x = [k + side * _BAR for k in range(len(places))]
        axes.bar(x, part["effect"], width=_BAR * 0.94, color=COLORS[kind], label=f"RE-{kind}", zorder=2)
        draw_intervals(axes, x, low=part["low"].tolist(), high=part["high"].tolist(), name=f"RE-{kind} interval")
        _mark_asterisks(axes, x, part)
    rule_at_zero(axes)
    axes.set_xticks(range(len(places)), places)
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(-0.6, len(places) - 0.4)
    mark_p_row(axes, range(len(places)), values=found[_DIFFERENCE]["p"].tolist(), title="p diff." if titled else None)


def _mark_asterisks(axes: Axes, x: list[float], part: pd.DataFrame) -> None:
    for place, (_, row) in zip(x, part.iterrows(), strict=True):
        if row["p"] < ALPHA:
            top = max(v for v in (0.0, row["effect"], row["high"]) if not math.isnan(v))
            axes.annotate("*", (place, top), xytext=(0, -1), textcoords="offset points", ha="center", va="bottom",
                          fontsize=10, color=INK, zorder=4)


def _draw_ceiling(axes: Axes, part: pd.DataFrame) -> None:
    for k, (low, high) in enumerate(zip(part["ceiling_low"], part["ceiling_high"], strict=True)):
        if high == 0:
            axes.hlines(0, k - 0.46, k + 0.46, color=CEILING, linewidth=4, zorder=0.2,
                        label=f"noise ceiling {part.index[k]}")
        elif not math.isnan(low):
            axes.add_patch(Rectangle((k - 0.46, low), 0.92, high - low, facecolor=CEILING, edgecolor="none",
                                     zorder=0.2, label=f"noise ceiling {part.index[k]}"))


def say_no_ceiling(table: pd.DataFrame) -> str:
    """Name the regions whose ceiling is 0, of which the figure has no band."""
    rows = table[(table["comparison"] == "RE-AI") & (table["ceiling_high"] == 0)]
    where = ", ".join(f"{row.place} of subject {row.sub}" for row in rows.itertuples())
    return f" Ceiling 0, a line: the two presentations share nothing that could be found ({where})." if where else ""


def _set_limits(axes: Axes, table: pd.DataFrame) -> None:
    """Hold every bar, interval and ceiling of all subjects, with room for an asterisk."""
    shown = table[table["comparison"] != _DIFFERENCE]
    values = shown[["effect", "low", "high", "ceiling_low", "ceiling_high"]]
    low, high = min(0.0, float(values.min().min())), max(0.0, float(values.max().max()))
    room = 0.06 * (high - low)
    axes.set_ylim(low - (room if low < 0 else 0), high + room)


def _draw_key(axes: Axes, *, has_ceiling: bool) -> None:
    """Name colours, band and asterisk once, above the first panel."""
    words: list[tuple[str, dict[str, Any], int]] = [("RE-AI", {"color": COLORS["AI"], "fontweight": "bold"}, 0),
             ("RE-AN", {"color": COLORS["AN"], "fontweight": "bold"}, 38), ("* p < .05", {"color": INK}, 78)]
    if has_ceiling:
        box = {"facecolor": CEILING, "edgecolor": "none", "boxstyle": "square,pad=0.25"}
        words.append(("noise ceiling", {"color": INK, "bbox": box}, 128))
    for text, look, x in words:
        said = axes.annotate(text, (0, 1), xycoords="axes fraction", xytext=(x, 24), textcoords="offset points",
                             va="bottom", **look)
        said.set_in_layout(x == 0)  # the first word keeps the height free; the width is the panels'
