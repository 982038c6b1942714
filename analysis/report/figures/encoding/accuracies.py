"""Fig. 6 of the paper: how well models trained on RE images predict responses to AI and AN images."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, withStroke

from analysis.report.figures.style import (
    ALPHA,
    COLORS,
    INK,
    MUTED,
    PAPER,
    RULE,
    WIDTH_IN,
    new_figure,
    rule_at_zero,
    shades,
    styled,
)
from analysis.statistics.readings import LOGITS, SOFTMAX, split_readings

Shade = tuple[float, float, float, float]
_GAP_TYPES, _GAP_ROIS, _ASIDE = 0.7, 2.4, 0.5
_HALO = (withStroke(linewidth=2.9, foreground=PAPER), Normal())
"""Around a dash, so that it is seen on dark bars and is not taken for the end of an interval."""
_ORDER = ("AI", "AN")


@styled
def draw_encoding(table: pd.DataFrame) -> Figure:
    """Draw one row a subject: in each region a bar for every layer, AI warm and AN cool, held-out RE across them.

    Parameters
    ----------
    table : DataFrame
        Rows of all subjects, columns of :data:`analysis.encoding.run.COLUMNS`.

    Returns
    -------
    Figure
        Filled bar: permutation p < .05; open bar: not. Lines: 95 % intervals. Dashes: what the same models predict of
        RE images that they were not trained on, dark where p < .05. A hatched bar: the last layer by its logits.
    """
    readings = split_readings(table, column="layer")
    subjects, layers = list(table["sub"].unique()), list(readings[SOFTMAX]["layer"].unique())
    figure = new_figure(WIDTH_IN, 0.42 + 1.75 * len(subjects))
    heights = [0.24, *[1.0] * len(subjects)]
    grid = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights).ravel()
    _draw_key(grid[0], len(layers), logits=LOGITS in readings)
    for axes, sub in zip(grid[1:], subjects, strict=True):
        _draw_subject(axes, {name: found[found["sub"] == sub] for name, found in readings.items()}, layers=layers)
        axes.set_title(f"Subject {sub}", pad=3)
        axes.sharey(grid[1])
    if len(subjects) > 1:
        figure.supylabel("Prediction accuracy (Pearson's r)", fontsize=8)
    else:  # beside the axes, and not beside the key
        grid[1].set_ylabel("Prediction accuracy\n(Pearson's r)")
    return figure


def bar_places(n_rois: int, *, n_layers: int, logits: bool = False) -> dict[str, list[list[float]]]:
    """Place the bars: for each type a list of regions, each a list of layers, and the logits' bar last.

    Examples
    --------
    >>> bar_places(1, n_layers=2)
    {'AI': [[0.0, 1.0]], 'AN': [[2.7, 3.7]]}
    >>> bar_places(1, n_layers=2, logits=True)
    {'AI': [[0.0, 1.0, 2.5]], 'AN': [[4.2, 5.2, 6.7]]}
    """
    asides = [n_layers + _ASIDE] if logits else []
    width = n_layers + (1 + _ASIDE if logits else 0)
    block = 2 * width + _GAP_TYPES + _GAP_ROIS
    starts = {"AI": 0.0, "AN": width + _GAP_TYPES}
    return {kind: [[roi * block + start + layer for layer in [*range(n_layers), *asides]]
                   for roi in range(n_rois)] for kind, start in starts.items()}


def _draw_subject(axes: Axes, readings: Mapping[str, pd.DataFrame], *, layers: list[str]) -> None:
    rows, logits = readings[SOFTMAX], readings.get(LOGITS)
    rois = list(rows["roi"].unique())
    places = bar_places(len(rois), n_layers=len(layers), logits=logits is not None)
    for kind in _ORDER:
        for roi, x in zip(rois, places[kind], strict=True):
            colors = shades(kind, len(layers))
            _draw_bars(axes, _part(rows, roi=roi, layers=layers), x=x[:len(layers)], kind=kind, name=f"{roi} {kind}",
                       colors=colors)
            if logits is not None:
                _draw_bars(axes, _part(logits, roi=roi, layers=layers[-1:]), x=x[-1:], kind=kind,
                           name=f"{roi} {kind} by {LOGITS}", colors=colors[-1:], hatch="/////")
    rule_at_zero(axes)
    middle = [(ai[0] + an[-1]) / 2 for ai, an in zip(places["AI"], places["AN"], strict=True)]
    axes.set_xticks(middle, rois)
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(-1.2, places["AN"][-1][-1] + 1.2)


def _part(rows: pd.DataFrame, *, roi: str, layers: list[str]) -> dict[str, pd.DataFrame]:
    """Give a region's rows by type, in the order of the layers."""
    return {str(kind): found.set_index("layer").loc[layers]
            for kind, found in rows[(rows["roi"] == roi) & rows["layer"].isin(layers)].groupby("type")}


def _draw_bars(axes: Axes, parts: Mapping[str, pd.DataFrame], *, x: list[float], kind: str, name: str,
               colors: list[Shade], hatch: str = "") -> None:
    part, control = parts[kind], parts["RE"]
    fills = [color if p < ALPHA else PAPER for color, p in zip(colors, part["p"], strict=True)]
    bars = axes.bar(x, part["effect"], width=0.82, color=fills, edgecolor=colors, linewidth=0.8, label=name, zorder=2)
    for bar, fill in zip(bars, fills, strict=True):
        bar.set_hatch(hatch)
        bar.set_hatchcolor(PAPER if hatch and fill != PAPER else bar.get_edgecolor())
    lines = axes.vlines(x, part["low"], part["high"], color=INK, linewidth=0.55, zorder=3)
    lines.set_label(f"{name} interval")
    dashes = axes.hlines(control["effect"], [place - 0.36 for place in x], [place + 0.36 for place in x], zorder=3.5,
                         color=[COLORS["RE"] if p < ALPHA else RULE for p in control["p"]], linewidth=1.3,
                         path_effects=_HALO)
    dashes.set_label(f"{name} RE")


def _draw_key(axes: Axes, n_layers: int, *, logits: bool) -> None:
    """Show the shades of the layers once, above all rows."""
    axes.set_axis_off()
    axes.set_xlim(0, 72)
    axes.set_ylim(0, 3)
    for kind, y, words in (("AI", 1.7, "tested on AI"), ("AN", 0.3, "tested on AN")):
        axes.text(0, y + 0.45, words, ha="left", va="center", fontsize=7.5)
        for k, color in enumerate(shades(kind, n_layers)):
            axes.add_patch(Rectangle((9 + 1.5 * k, y), 1.35, 1.0, facecolor=color, edgecolor="none"))
    axes.text(9, 3.1, "layer 1", fontsize=6.5, color=MUTED, va="bottom", ha="left")
    axes.text(9 + 1.5 * n_layers, 3.1, str(n_layers), fontsize=6.5, color=MUTED, va="bottom", ha="right")
    for y, face, words in ((1.7, MUTED, "p < .05"), (0.3, PAPER, "not significant")):
        axes.add_patch(Rectangle((27, y), 1.35, 1.0, facecolor=face, edgecolor=MUTED, linewidth=0.8))
        axes.text(29, y + 0.45, words, fontsize=7.5, va="center")
    for y, dash, words in ((2.2, COLORS["RE"], "held-out RE images, p < .05"), (0.8, RULE, "not significant")):
        axes.hlines(y, 41, 42.6, color=dash, linewidth=1.3)
        axes.text(43.4, y - 0.05, words, fontsize=7.5, va="center")
    if logits:
        axes.add_patch(Rectangle((65, 1.7), 1.35, 1.0, facecolor=MUTED, edgecolor=MUTED, hatch="/////", linewidth=0.8,
                                 hatchcolor=PAPER))
        axes.text(67, 2.15, "logits", fontsize=7.5, va="center")
