"""One look for all figures: colours that colour-blind readers can tell apart, few lines, words at the data.

AI is vermilion and AN is blue (Okabe & Ito 2008) wherever they appear, as in the paper.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from analysis.report.wording import bare_p
from subjects.store import whole_file

Parameters = ParamSpec("Parameters")

DPI = 200
WIDTH_IN = 7.2
ALPHA = 0.05
INK, MUTED, RULE, PAPER = "#222222", "#6b6b6b", "#b8b8b8", "#ffffff"
CEILING = "#e4e4e0"
COLORS = {"RE": "#444444", "AN": "#0072B2", "AI": "#D55E00"}
WARM = LinearSegmentedColormap.from_list("warm", ["#F7CB8C", "#E8853A", "#D55E00", "#7E2F00"])
COOL = LinearSegmentedColormap.from_list("cool", ["#B3DAF1", "#4FA3D4", "#0072B2", "#063352"])
REGION_COLORS = {"V1": "#0072B2", "V2": "#E69F00", "V3": "#009E73", "V4": "#CC79A7", "LO": "#8C6D1F"}
RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans", "font.size": 8.0, "axes.titlesize": 8.5, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.labelsize": 8.0, "xtick.labelsize": 8.0, "ytick.labelsize": 7.5,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": INK,
    "axes.linewidth": 0.7, "xtick.major.width": 0.7, "ytick.major.width": 0.7, "xtick.major.size": 2.5,
    "ytick.major.size": 2.5, "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.3,
    "axes.unicode_minus": True, "figure.facecolor": PAPER, "axes.facecolor": PAPER, "savefig.facecolor": PAPER,
    "svg.fonttype": "none", "figure.constrained_layout.h_pad": 0.04, "figure.constrained_layout.w_pad": 0.04,
}


@dataclass(frozen=True)
class SavedFigure:
    """A figure on disk, twice: PNG at 200 dpi for the page, SVG for print; and its share of the full width."""

    name: str
    png: Path
    svg: Path
    width_share: float


def styled(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """Run a drawing function under the style, whatever the caller's matplotlib settings are."""
    @functools.wraps(draw)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Figure:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(RC)
            return draw(*args, **kwargs)

    return wrapped


def new_figure(width_in: float, height_in: float) -> Figure:
    """Make a figure that belongs to no window and no global state."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: Path, *, name: str) -> SavedFigure:
    """Write a figure as PNG and SVG, replacing older ones; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure
    folder : Path
        Made if missing.
    name : str
        File name without ending.
    """
    stem = Path(folder) / name
    saved = SavedFigure(name, stem.with_name(f"{name}.png"), stem.with_name(f"{name}.svg"),
                        min(1.0, figure.get_figwidth() / WIDTH_IN))
    with mpl.rc_context({**RC, "svg.hashsalt": name}):
        with whole_file(saved.png, overwrite=True) as beside:
            figure.savefig(beside, format="png", dpi=DPI, metadata={"Software": None})
        with whole_file(saved.svg, overwrite=True) as beside:
            figure.savefig(beside, format="svg", dpi=DPI, metadata={"Date": None})
    return saved


def shades(kind: str, n: int) -> list[tuple[float, float, float, float]]:
    """Give `n` shades of an image type, light for the first layer, dark for the last."""
    ramp = WARM if kind == "AI" else COOL
    return [ramp(k / max(1, n - 1)) for k in range(n)]


def rule_at_zero(axes: Axes) -> None:
    """Draw the line of no effect, and no other."""
    axes.axhline(0, color=INK, linewidth=0.7, zorder=0.5)


def mark_p_row(axes: Axes, places: Sequence[float], *, values: Sequence[float], title: str | None = None,
               below_pt: float = 17.0) -> None:
    """Write one p value under each place of the horizontal axis, below its tick labels.

    Parameters
    ----------
    axes : Axes
    places : sequence of float
        Data coordinates.
    values : sequence of float
        p values; those below .05 are set in ink, the others muted.
    title : str, optional
        What they are the p values of, written left of the row.
    below_pt : float
        Distance below the axis, in points.
    """
    for x, p in zip(places, values, strict=True):
        axes.annotate(bare_p(p), (x, 0), xycoords=("data", "axes fraction"), xytext=(0, -below_pt), ha="center",
                      textcoords="offset points", va="top", fontsize=6.5, color=INK if p < ALPHA else MUTED)
    if title is not None:
        axes.annotate(title, (0, 0), xycoords="axes fraction", xytext=(-4, -below_pt), ha="right", va="top",
                      textcoords="offset points", fontsize=6.5, color=MUTED)


def draw_intervals(axes: Axes, places: Sequence[float], *, low: Sequence[float], high: Sequence[float],
                   color: str = INK, name: str = "") -> LineCollection:
    """Draw intervals as plain lines from bound to bound.

    A percentile interval need not hold its estimate, so the bounds are drawn themselves and not as
    distances from it.
    """
    lines = axes.vlines(places, low, high, color=color, linewidth=0.9, zorder=3)
    lines.set_label(name or "_intervals")
    return lines
