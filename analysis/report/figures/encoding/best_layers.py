"""Fig. S1 of the paper: the share of each region's vertices that each layer predicts best, for AI and AN images."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.encoding.hierarchy import NONE
from analysis.report.figures.style import COLORS, INK, MUTED, PAPER, WIDTH_IN, new_figure, shades, styled

_KINDS = ("AI", "AN")
_MARKERS = "osD^vP<>"


@styled
def draw_hierarchy(table: pd.DataFrame) -> Figure:
    """Draw one row a type and one panel a region: a bar for every layer, a marker for every subject.

    Parameters
    ----------
    table : DataFrame
        Rows of all subjects and one reading, columns of :data:`analysis.encoding.hierarchy.COLUMNS`.

    Returns
    -------
    Figure
        Bars: means over subjects and presentations. Markers: subjects, their presentations averaged. Vertices that no
        layer predicts are in no bar; their share is written above.
    """
    rois = list(table["roi"].unique())
    figure = new_figure(WIDTH_IN, 3.7)
    grid = figure.add_gridspec(len(_KINDS) + 1, len(rois), height_ratios=[0.06, *[1.0] * len(_KINDS)])
    panels = [[figure.add_subplot(grid[k, c]) for c in range(len(rois))] for k in (1, 2)]
    for row, kind in zip(panels, _KINDS, strict=True):
        for axes, roi in zip(row, rois, strict=True):
            _draw_panel(axes, table[(table["type"] == kind) & (table["roi"] == roi)], kind=kind)
        row[0].set_ylabel(f"{kind} images", color=COLORS[kind], fontweight="bold")
    for axes, roi in zip(panels[0], rois, strict=True):
        axes.set_title(roi, loc="center", pad=12)
    by_subject = table[table["layer"] != NONE].groupby(["type", "roi", "layer", "sub"])["share"].mean()
    for axes in (axes for row in panels for axes in row):
        axes.set_ylim(0, 108 * max(0.01, by_subject.max()))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.tick_params(axis="y", labelleft=axes in (panels[0][0], panels[1][0]))
    _draw_key(figure.add_subplot(grid[0, :]), list(table["sub"].unique()))
    figure.supylabel("Vertices that a layer predicts best (%)", fontsize=8)
    figure.supxlabel("Layer of the network", fontsize=8)
    return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame, *, kind: str) -> None:
    layers = [name for name in rows["layer"].unique() if name != NONE]
    means = 100 * rows.groupby("layer")["share"].mean()
    x = list(range(1, len(layers) + 1))
    axes.bar(x, means.loc[layers], width=0.82, color=shades(kind, len(layers)), label=kind, zorder=2)
    for k, (sub, own) in enumerate(rows.groupby("sub", sort=False)):
        values = 100 * own.groupby("layer")["share"].mean().loc[layers]
        axes.plot(x, values, linestyle="none", label=str(sub), zorder=3, **_marker(k))
    axes.annotate(f"none: {means[NONE]:.0f} %", (1, 1), xycoords="axes fraction", xytext=(0, 2), ha="right",
                  textcoords="offset points", va="bottom", fontsize=6.5, color=MUTED)
    axes.set_xticks(x, [str(k) for k in x], fontsize=6.5)
    axes.tick_params(axis="x", length=0, pad=2)


def _marker(k: int) -> dict[str, Any]:
    return {"marker": _MARKERS[k % len(_MARKERS)], "markersize": 2.6, "markerfacecolor": PAPER,
            "markeredgecolor": INK, "markeredgewidth": 0.6}


def _draw_key(axes: Axes, subjects: list[str]) -> None:
    """Name the subjects' markers above the panels."""
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 1)
    for k, sub in enumerate(subjects):
        axes.plot([0.1 + k], [0.5], linestyle="none", label="_key", clip_on=False, **_marker(k))
        axes.text(0.2 + k, 0.5, f"subject {sub}", va="center", fontsize=7, color=MUTED)
