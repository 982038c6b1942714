"""Fig. 6 of the paper: how well models trained on RE images predict responses to AI and AN images."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.report.figures.style import ALPHA, INK, MUTED, PAPER, WIDTH_IN, new_figure, rule_at_zero, shades, styled

_GAP_TYPES, _GAP_ROIS = 0.7, 2.4
_ORDER = ("AI", "AN")


@styled
def draw_encoding(table: pd.DataFrame) -> Figure:
    """Draw one row a subject: in each region a bar for every layer, AI warm and AN cool.

    Parameters
    ----------
    table : DataFrame
        Rows of all subjects, columns of :data:`analysis.encoding.run.COLUMNS`.

    Returns
    -------
    Figure
        Filled bar: permutation p < .05; open bar: not. Lines: 95 % intervals.
    """
    subjects, layers = list(table["sub"].unique()), list(table["layer"].unique())
    figure = new_figure(WIDTH_IN, 0.42 + 1.75 * len(subjects))
    heights = [0.24, *[1.0] * len(subjects)]
    grid = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights).ravel()
    _draw_key(grid[0], len(layers))
    for axes, sub in zip(grid[1:], subjects, strict=True):
        _draw_subject(axes, table[table["sub"] == sub], layers=layers)
        axes.set_title(f"Subject {sub}", pad=3)
        axes.sharey(grid[1])
    figure.supylabel("Prediction accuracy (Pearson's r)", fontsize=8)
    return figure


def bar_places(n_rois: int, *, n_layers: int) -> dict[str, list[list[float]]]:
    """Place the bars: for each type a list of regions, each a list of layers.

    Examples
    --------
    >>> bar_places(1, n_layers=2)
    {'AI': [[0.0, 1.0]], 'AN': [[2.7, 3.7]]}
    """
    block = 2 * n_layers + _GAP_TYPES + _GAP_ROIS
    starts = {"AI": 0.0, "AN": n_layers + _GAP_TYPES}
    return {kind: [[roi * block + start + layer for layer in range(n_layers)] for roi in range(n_rois)]
            for kind, start in starts.items()}


def _draw_subject(axes: Axes, rows: pd.DataFrame, *, layers: list[str]) -> None:
    rois = list(rows["roi"].unique())
    places = bar_places(len(rois), n_layers=len(layers))
    for kind in _ORDER:
        for roi, x in zip(rois, places[kind], strict=True):
            part = rows[(rows["roi"] == roi) & (rows["type"] == kind)].set_index("layer").loc[layers]
            _draw_bars(axes, part, x=x, kind=kind, name=f"{roi} {kind}")
    rule_at_zero(axes)
    middle = [(ai[0] + an[-1]) / 2 for ai, an in zip(places["AI"], places["AN"], strict=True)]
    axes.set_xticks(middle, rois)
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(-1.2, places["AN"][-1][-1] + 1.2)


def _draw_bars(axes: Axes, part: pd.DataFrame, *, x: list[float], kind: str, name: str) -> None:
    colors = shades(kind, len(x))
    fills = [color if p < ALPHA else PAPER for color, p in zip(colors, part["p"], strict=True)]
    axes.bar(x, part["effect"], width=0.82, color=fills, edgecolor=colors, linewidth=0.8, label=name, zorder=2)
    lines = axes.vlines(x, part["low"], part["high"], color=INK, linewidth=0.55, zorder=3)
    lines.set_label(f"{name} interval")


def _draw_key(axes: Axes, n_layers: int) -> None:
    """Show the shades of the layers once, above all rows."""
    axes.set_axis_off()
    axes.set_xlim(0, 60)
    axes.set_ylim(0, 3)
    for kind, y, words in (("AI", 1.7, "tested on AI"), ("AN", 0.3, "tested on AN")):
        axes.text(0, y + 0.45, words, ha="left", va="center", fontsize=7.5)
        for k, color in enumerate(shades(kind, n_layers)):
            axes.add_patch(Rectangle((9 + 1.5 * k, y), 1.35, 1.0, facecolor=color, edgecolor="none"))
    axes.text(9, 3.1, "layer 1", fontsize=6.5, color=MUTED, va="bottom", ha="left")
    axes.text(9 + 1.5 * n_layers, 3.1, str(n_layers), fontsize=6.5, color=MUTED, va="bottom", ha="right")
    axes.add_patch(Rectangle((27, 1.0), 1.35, 1.0, facecolor=MUTED, edgecolor=MUTED))
    axes.text(29, 1.45, "p < .05", fontsize=7.5, va="center")
    axes.add_patch(Rectangle((35, 1.0), 1.35, 1.0, facecolor=PAPER, edgecolor=MUTED))
    axes.text(37, 1.45, "not significant", fontsize=7.5, va="center")
