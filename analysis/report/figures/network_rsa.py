"""Fig. 5 of the paper: RE-AI and RE-AN similarities across the layers of a network."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from analysis.report.figures.style import (
    ALPHA,
    COLORS,
    MUTED,
    PAPER,
    draw_intervals,
    mark_p_row,
    new_figure,
    rule_at_zero,
    styled,
)
from analysis.report.wording import coefficient_name, say_number, say_p

_DODGE = {"AI": -0.06, "AN": 0.06}
_END, _NAME = 0.22, 0.32
"""How far right of the last marker axis and zero line end, and the lines' names begin."""

_ASIDE = 0.9
"""How far right of the last layer its reading by logits stands."""

_DIFFERENCE = "RE-AI minus RE-AN"


@styled
def draw_network_rsa(table: pd.DataFrame, *, network: str, low_level: pd.DataFrame | None = None,
                     logits: pd.DataFrame | None = None) -> Figure:
    """Draw both similarities over layers with 95 % intervals, and say their trends at the lines' ends.

    Parameters
    ----------
    table : DataFrame
        The network's rows, trends included; columns of :data:`analysis.rsa.run.COLUMNS`.
    network : str
        Its name, for the axis.
    low_level : DataFrame, optional
        Similarities of the images by what no network has seen (places ``"pixels"`` and ``"Gabor"``), left of the
        layers.
    logits : DataFrame, optional
        The same rows with the last layer by its logits, right of the layers.

    Returns
    -------
    Figure
        Filled marker: permutation p < .05; open marker: not. Numbers under the layers: p of the difference.
    """
    figure = new_figure(5.6 if logits is None else 5.9, 3.2)
    axes = figure.subplots()
    layers = list(table.loc[table["comparison"] == "RE-AI", "place"])
    found = {name: part.set_index("place").loc[layers] for name, part in table.groupby("comparison")
             if not str(name).startswith("trend")}
    ends = {}
    for kind in ("AI", "AN"):
        _draw_line(axes, found[f"RE-{kind}"], kind=kind)
        ends[kind] = float(found[f"RE-{kind}"]["effect"].iloc[-1])
    rule_at_zero(axes)
    end = len(layers) if logits is None else _draw_logits(axes, logits, place=layers[-1], at=len(layers) + _ASIDE)
    axes.set_xticks(range(1, len(layers) + 1))
    axes.set_xlim(0.6 if low_level is None else _draw_low_level(axes, low_level), end + _END)
    axes.set_xlabel(f"Layer of the network “{network}” ({len(layers)}: softmax output)", labelpad=20)
    axes.set_ylabel(f"Similarity of RDMs ({coefficient_name(table)})")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    mark_p_row(axes, range(1, len(layers) + 1), values=found[_DIFFERENCE]["p"].tolist(), title="p diff.")
    _draw_key(axes)
    _name_lines(axes, table, ends=ends if logits is None else _ends(logits, place=layers[-1]), last=end, logits=logits)
    return figure


def _draw_low_level(axes: Axes, table: pd.DataFrame) -> float:
    """Draw what images share before any layer, as short lines; give the left end of the axis."""
    places = list(table["place"].unique())
    for k, place in enumerate(places):
        x = 0.2 - 0.85 * (len(places) - 1 - k)
        for kind in ("AI", "AN"):
            row = table[(table["place"] == place) & (table["comparison"] == f"RE-{kind}")].iloc[0]
            axes.hlines(row["effect"], x - 0.24, x + 0.24, color=COLORS[kind], linewidth=2.2, zorder=2)
        axes.annotate(place, (x, 0), xycoords=("data", "axes fraction"), xytext=(0, -5), ha="center", va="top",
                      textcoords="offset points", fontsize=7, color=MUTED)
    return 0.2 - 0.85 * len(places) + 0.4


def _draw_logits(axes: Axes, table: pd.DataFrame, *, place: str, at: float) -> float:
    """Draw the last layer by its logits, with its intervals and p; give where it stands."""
    here = table[table["place"] == place].set_index("comparison")
    p = float(here["p"].loc[_DIFFERENCE])
    for kind in ("AI", "AN"):
        row: Any = here.loc[f"RE-{kind}"]
        x = at + _DODGE[kind]
        draw_intervals(axes, [x], low=[row["low"]], high=[row["high"]], color=COLORS[kind],
                       name=f"RE-{kind} interval by logits")
        axes.plot([x], [row["effect"]], marker="D", markersize=4.6, color=COLORS[kind], zorder=4, linestyle="none",
                  label=f"RE-{kind} by logits", markeredgewidth=1.1,
                  markerfacecolor=COLORS[kind] if row["p"] < ALPHA else PAPER)
    axes.annotate("logits", (at, 0), xycoords=("data", "axes fraction"), xytext=(0, -5), ha="center", va="top",
                  textcoords="offset points", fontsize=7, color=MUTED)
    mark_p_row(axes, [at], values=[p])
    return at


def _draw_line(axes: Axes, part: pd.DataFrame, *, kind: str) -> None:
    x = [k + _DODGE[kind] for k in range(1, len(part) + 1)]
    axes.plot(x, part["effect"], color=COLORS[kind], label=f"RE-{kind}", zorder=2)
    draw_intervals(axes, x, low=part["low"].tolist(), high=part["high"].tolist(), color=COLORS[kind],
                   name=f"RE-{kind} interval")
    for place, effect, p in zip(x, part["effect"], part["p"], strict=True):
        axes.plot([place], [effect], marker="o", markersize=5, color=COLORS[kind], label="_marker", zorder=4,
                  markerfacecolor=COLORS[kind] if p < ALPHA else PAPER, markeredgewidth=1.1)


def _ends(table: pd.DataFrame, *, place: str) -> dict[str, float]:
    """Give where the names stand beside a reading by logits: at the diamond of their own colour, and at no other."""
    here = table[table["place"] == place].set_index("comparison")["effect"]
    return {kind: float(here[f"RE-{kind}"]) for kind in ("AI", "AN")}


def _name_lines(axes: Axes, table: pd.DataFrame, *, ends: dict[str, float], last: float,
                logits: pd.DataFrame | None = None) -> None:
    """Write name and trend right of each line, moved apart where the lines end close together."""
    low, high = axes.get_ylim()
    least = (0.17 if logits is None else 0.3) * (high - low)
    upper, lower = sorted(ends, key=lambda kind: -ends[kind])
    gap = max(0.0, least - (ends[upper] - ends[lower])) / 2
    for kind, y in ((upper, ends[upper] + gap), (lower, ends[lower] - gap)):
        trend = _say_trend(table, kind)
        if logits is not None:
            trend = f"{trend}\nby logits {_say_trend(logits, kind).removeprefix('trend ')}"
        axes.annotate(f"RE-{kind}", (last + _NAME, y), color=COLORS[kind], fontweight="bold", va="bottom",
                      annotation_clip=False)
        axes.annotate(trend, (last + _NAME, y), va="top", color=COLORS[kind], fontsize=7, annotation_clip=False)


def _say_trend(table: pd.DataFrame, kind: str) -> str:
    trend = table[table["comparison"] == f"trend RE-{kind}"].iloc[0]
    return f"trend τ = {say_number(trend['effect'])}\n{say_p(trend['p'])}"


def _draw_key(axes: Axes) -> None:
    """Say what filled and open markers mean, above the panel."""
    figure = axes.get_figure(root=True)
    for x, face, words in ((6, MUTED, "p < .05 against shuffled labels"), (150, PAPER, "not significant")):
        place = offset_copy(axes.transAxes, fig=figure, x=x, y=10, units="points")
        axes.plot([0], [1], marker="o", markersize=5, markerfacecolor=face, markeredgecolor=MUTED, clip_on=False,
                  markeredgewidth=1.1, transform=place, label="_key", linestyle="none")
        axes.annotate(words, (0, 1), xycoords="axes fraction", xytext=(x + 7, 10), textcoords="offset points",
                      va="center", fontsize=7.5)
