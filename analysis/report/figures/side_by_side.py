"""RE-AI and RE-AN by pixels and Gabor energies, in the layers of the network and in the regions of the brain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.report.figures.style import ALPHA, COLORS, INK, MUTED, PAPER, WIDTH_IN, new_figure, rule_at_zero, styled
from analysis.report.wording import coefficient_name

_DODGE = {"AI": -0.16, "AN": 0.16}
_GAP = 0.9


@styled
def draw_side_by_side(low_level: pd.DataFrame, network: pd.DataFrame, brain: pd.DataFrame, *, name: str) -> Figure:
    """Draw both similarities of every place on one axis, so that what pixels alone give can be compared.

    Parameters
    ----------
    low_level : DataFrame
        Similarities of the images (places ``"pixels"`` and ``"Gabor"``).
    network : DataFrame
        The network's rows; trends are left out.
    brain : DataFrame
        The brain's rows of all subjects.
    name : str
        The network's.

    Returns
    -------
    Figure
        Images and network: a marker a place, filled where permutation p < .05. Brain: a dot a subject, a line at the
        mean. Dotted lines: RE-AI of the images.
    """
    figure = new_figure(WIDTH_IN, 2.9)
    axes = figure.subplots()
    layers = network[~network["comparison"].astype(str).str.startswith("trend")]
    start, ticks = 0.0, list[tuple[float, str]]()
    for title, table in (("images", low_level), (f"network “{name}”", layers), ("brain", brain)):
        places = list(table["place"].unique())
        x = [start + k for k in range(len(places))]
        for kind in ("AI", "AN"):
            _draw_group(axes, table[table["comparison"] == f"RE-{kind}"], x=x, places=places, kind=kind)
        axes.annotate(title, (float(np.mean(x)), 1), xycoords=("data", "axes fraction"), xytext=(0, 5), ha="center",
                      textcoords="offset points", fontsize=7.5, color=MUTED)
        ticks += zip(x, (place.removeprefix("layer") for place in places), strict=True)
        start = x[-1] + 1 + _GAP
    for effect in low_level.loc[low_level["comparison"] == "RE-AI", "effect"]:
        axes.axhline(float(effect), color=COLORS["AI"], linewidth=0.6, linestyle=(0, (1, 2)), zorder=0.6)
    rule_at_zero(axes)
    axes.set_xticks([x for x, _ in ticks], [word for _, word in ticks])
    axes.set_xlim(-0.7, start - _GAP - 0.3)
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)
    axes.set_ylabel(f"Similarity of RDMs ({coefficient_name(network)})")
    for k, kind in enumerate(("AI", "AN")):
        axes.annotate(f"RE-{kind}", (0, 1), xycoords="axes fraction", xytext=(36 * k, 18), textcoords="offset points",
                      color=COLORS[kind], fontweight="bold")
    return figure


def _draw_group(axes: Axes, rows: pd.DataFrame, *, x: Sequence[float], places: Sequence[str], kind: str) -> None:
    for at, place in zip(x, places, strict=True):
        here = rows[rows["place"] == place]
        if len(here) == 1:
            row = here.iloc[0]
            axes.plot([at + _DODGE[kind]], [row["effect"]], marker="o", markersize=4.2, color=COLORS[kind],
                      markerfacecolor=COLORS[kind] if row["p"] < ALPHA else PAPER, label=f"RE-{kind} {place}")
            continue
        axes.plot([at + _DODGE[kind]] * len(here), here["effect"], marker="o", markersize=2.8, linestyle="none",
                  color=COLORS[kind], alpha=0.6, markeredgewidth=0, label=f"RE-{kind} {place}")
        axes.hlines(float(here["effect"].mean()), at + _DODGE[kind] - 0.13, at + _DODGE[kind] + 0.13, color=INK,
                    linewidth=1.1, zorder=3)
