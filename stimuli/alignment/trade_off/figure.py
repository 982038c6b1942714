"""The figure of the trade-off: accuracy against tolerance, alignment and predictivity, a network a mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from subjects.store import whole_file

INK, MUTED, CEILING = "#222222", "#6b6b6b", "#e4e4e0"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#444444")
MARKS = "osD^vP*X"
MOST_NAMED = 16
"""Networks up to which each has a mark and a colour of its own; more are dots beside their row in the table."""

_RC: dict[Any, Any] = {"font.family": "DejaVu Sans", "font.size": 8.0, "axes.labelsize": 8.0, "text.color": INK,
       "axes.titlesize": 8.5, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.labelcolor": INK,
       "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": INK, "axes.linewidth": 0.7,
       "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none", "legend.frameon": False}


@dataclass(frozen=True)
class Panel:
    """One measure against accuracy: its column, title and axis, and the columns of its error or of its ends."""

    column: str
    title: str
    axis: str
    error: str | None = None
    ends: tuple[str, str] | None = None
    logarithmic: bool = False


def _panels(table: pd.DataFrame, norm: str) -> list[Panel]:
    name = {"l2": "L2", "linf": "Linf"}[norm]
    asked = (Panel("tolerance", "Tolerance", f"smallest {name} that changes\nthe decision (median, quartiles)",
                   ends=("tolerance_lower", "tolerance_upper"), logarithmic=True),
             Panel("alignment", "Alignment of perturbations", "Spearman with human maps\n(mean, s.e. over images)",
                   "alignment_error"),
             Panel("saliency", "Alignment of saliency", "Spearman with human maps\n(mean, s.e. over images)",
                   "saliency_error"),
             Panel("predictivity", "Predictivity", "neural predictivity\n(of the ceiling)", "predictivity_error"))
    return [one for one in asked if one.column in table and np.isfinite(table[one.column]).any()]


def draw_trade_off(table: pd.DataFrame, *, norm: str = "l2") -> Figure:
    """Draw the figure.

    Parameters
    ----------
    table : DataFrame
        A network a row, as :func:`stimuli.alignment.trade_off.run.measure_networks` gives it, with ``predictivity``
        where it was joined. Measures that no network has are left out.
    norm : {"l2", "linf"}
        Of the tolerance.
    """
    panels = _panels(table, norm)
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        beside = 1.6 if len(table) <= MOST_NAMED else 0.4
        figure = Figure(figsize=(2.5 * len(panels) + beside, 2.8), layout="constrained")
        FigureCanvasAgg(figure)
        axes = np.atleast_1d(figure.subplots(1, len(panels)))
        for ax, panel in zip(axes, panels, strict=True):
            _draw(ax, table, panel)
        if len(table) <= MOST_NAMED:
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside right center")
        else:
            figure.supxlabel("numbers: rows of the table", fontsize=7.0, color=MUTED)
    return figure


def _draw(ax: Axes, table: pd.DataFrame, panel: Panel) -> None:
    named = len(table) <= MOST_NAMED
    for k, row in enumerate(table.to_dict("records")):
        color = COLORS[k % len(COLORS)] if named else MUTED
        mark = MARKS[(k + k // len(COLORS)) % len(MARKS)] if named else "o"
        value, low, high = (float(row[panel.column]), *_error(row, panel))
        x = 100.0 * float(row["accuracy"])
        ax.errorbar([x], [value], yerr=[[low], [high]], fmt=mark, color=color, ecolor=color if named else CEILING,
                    elinewidth=0.9, markersize=5.0 if named else 2.5, label=str(row["network"]),
                    capsize=2.0 if named else 0.0)
        if not named:
            ax.annotate(str(k + 1), (x, value), xytext=(2.5, 1.5), textcoords="offset points", fontsize=6.0)
    if panel.logarithmic:
        ax.set_yscale("log")
        low, high = ax.get_ylim()
        narrow = high < 10.0 * low  # decades have one tick there or none
        ax.yaxis.set_major_locator(MaxNLocator(5) if narrow else LogLocator(subs=(1.0, 2.0, 5.0)))
        if narrow:
            ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    elif panel.column in ("alignment", "saliency"):
        _draw_bounds(ax, table)
    ax.set(title=panel.title, xlabel="accuracy (%)", ylabel=panel.axis)
    ax.margins(x=0.15, y=0.15)


def _error(row: Mapping[Any, Any], panel: Panel) -> tuple[float, float]:
    """Give how far the bar reaches down and up; nothing where that is not known."""
    value = float(row[panel.column])
    if panel.ends is not None:
        ends = [abs(float(row[name]) - value) for name in panel.ends]
    else:
        ends = [float(row.get(panel.error or "", np.nan))] * 2
    down, up = (one if np.isfinite(one) else 0.0 for one in ends)
    return down, up


def _draw_bounds(ax: Axes, table: pd.DataFrame) -> None:
    """Draw zero, and people's agreement where it is known."""
    ax.axhline(0.0, color=MUTED, linewidth=0.7, zorder=0)
    ceilings = table["ceiling"].to_numpy(dtype=np.float64) if "ceiling" in table else np.array([])
    ceilings = ceilings[np.isfinite(ceilings)]
    if len(ceilings):
        ax.axhspan(float(ceilings.min()), max(1.0, float(ceilings.max())), color=CEILING, zorder=0, linewidth=0)
        ax.text(0.03, float(ceilings.min()), "people", transform=ax.get_yaxis_transform(), va="bottom", fontsize=7,
                color=MUTED)
        low, _ = ax.get_ylim()
        ax.set_ylim(low, min(1.0, float(ceilings.max()) + 0.12))


def write_figure(table: pd.DataFrame, stem: Path, *, norm: str = "l2") -> Sequence[Path]:
    """Write the figure as PNG (200 dpi) and SVG, replacing older ones; give their paths, none where all is NaN."""
    paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    if not _panels(table, norm):
        for path in paths:
            path.unlink(missing_ok=True)  # of an earlier list
        return ()
    figure = draw_trade_off(table, norm=norm)
    with mpl.rc_context({**_RC, "svg.hashsalt": stem.name}):
        for path, said in zip(paths, ({"Software": None}, {"Date": None}), strict=True):
            with whole_file(path, overwrite=True) as beside:
                figure.savefig(beside, dpi=200, format=path.suffix[1:], metadata=said)
    return paths
