"""A session's design as a picture: predicted time courses, how alike they are, the errors that they will give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.report.figures.style import COLORS, INK, MUTED, WIDTH_IN, new_figure, styled

_RAMP = LinearSegmentedColormap.from_list("predicted", ["#0072B2", "#ffffff", "#222222"])
_COLORS = {**COLORS, "blank": "#009E73"}


@dataclass(frozen=True, kw_only=True, eq=False)
class DesignPicture:
    """What is drawn of some runs.

    Parameters
    ----------
    name : str
    matrix : float64 array, (n_volumes, n_conditions)
        All runs below one another.
    run_lengths : tuple of int
    run_names : tuple of str
    kinds : tuple of str
        Type of each condition, in blocks.
    errors : float64 array, (n_conditions,)
        Expected standard errors in percent for noise of 1 %.
    problem : str
        Why conditions cannot be estimated; empty where they can.
    condition_number : float
    rho : float
    """

    name: str
    matrix: NDArray[np.float64]
    run_lengths: tuple[int, ...]
    run_names: tuple[str, ...]
    kinds: tuple[str, ...]
    errors: NDArray[np.float64]
    problem: str
    condition_number: float
    rho: float


@styled
def draw_design(portions: Sequence[DesignPicture]) -> Figure:
    """Draw a line a portion: the matrix, correlations of its columns, expected errors by type.

    Parameters
    ----------
    portions : sequence of DesignPicture

    Returns
    -------
    Figure
    """
    figure = new_figure(WIDTH_IN, 0.3 + 3.1 * len(portions))
    panels = figure.subplots(len(portions), 3, squeeze=False, width_ratios=[1.25, 1.1, 1.0])
    for row, one in zip(panels, portions, strict=True):
        _draw_matrix(row[0], one)
        _draw_correlations(row[1], one)
        _draw_errors(row[2], one)
    return figure


def _draw_matrix(axes: Axes, one: DesignPicture) -> None:
    axes.imshow(one.matrix, aspect="auto", cmap=_RAMP, vmin=-1, vmax=1, interpolation="antialiased")
    starts = np.cumsum([0, *one.run_lengths])
    for border in starts[1:-1]:
        axes.axhline(border - 0.5, color=MUTED, linewidth=0.6)
    axes.set_yticks((starts[:-1] + starts[1:]) / 2, one.run_names)
    axes.tick_params(axis="y", length=0)
    _mark_kinds(axes, one.kinds)
    axes.set_title("predicted responses")
    axes.annotate(one.name, (0, 1), xycoords="axes fraction", xytext=(0, 18), textcoords="offset points",
                  fontweight="bold", fontsize=9.5)


def _mark_kinds(axes: Axes, kinds: Sequence[str], *, both: bool = False) -> None:
    """Name the blocks of conditions of one type below their columns."""
    names = list(dict.fromkeys(kinds))
    edges = [kinds.index(name) for name in names] + [len(kinds)]
    middles = [(low + high - 1) / 2 for low, high in pairwise(edges)]
    axes.set_xticks(middles, names)
    for edge in edges[1:-1]:
        axes.axvline(edge - 0.5, color=MUTED, linewidth=0.4)
        if both:
            axes.axhline(edge - 0.5, color=MUTED, linewidth=0.4)
    axes.tick_params(axis="x", length=0)
    for label, name in zip(axes.get_xticklabels(), names, strict=True):
        label.set_color(_COLORS.get(name, INK))
    if both:
        axes.set_yticks(middles, names)
        axes.tick_params(axis="y", length=0)


def _draw_correlations(axes: Axes, one: DesignPicture) -> None:
    moving = np.ptp(one.matrix, axis=0) > 0
    found = np.full((len(moving), len(moving)), np.nan)
    found[np.ix_(moving, moving)] = np.corrcoef(one.matrix[:, moving].T)
    np.fill_diagonal(found, np.nan)
    image = axes.imshow(found, cmap="RdBu_r", vmin=-0.3, vmax=0.3, interpolation="nearest")
    _mark_kinds(axes, one.kinds, both=True)
    axes.set_title("correlations")
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.55, pad=0.02, ticks=[-0.3, 0, 0.3])
    bar.outline.set_visible(False)
    largest = float(np.nanmax(found)) if np.isfinite(found).any() else 0.0
    axes.set_xlabel(f"largest r = {largest:.2f}", color=MUTED)


def _draw_errors(axes: Axes, one: DesignPicture) -> None:
    axes.set_title("expected error")
    if one.problem:
        axes.text(0.5, 0.5, "not estimable:\n" + "\n".join(_lines(one.problem)), transform=axes.transAxes, ha="center",
                  va="center", color=COLORS["AI"])
        axes.set_xticks([])
        axes.set_yticks([])
        return
    for place, name in enumerate(dict.fromkeys(one.kinds)):
        values = one.errors[[kind == name for kind in one.kinds]]
        spread = 0.28 * np.sin(2.4 * np.arange(len(values))) if len(values) > 1 else np.zeros(1)
        axes.scatter(place + spread, values, s=6, color=_COLORS.get(name, INK), alpha=0.7, linewidths=0, label=name)
        axes.plot([place - 0.34, place + 0.34], [np.median(values)] * 2, color=INK, linewidth=1.1)
    names = list(dict.fromkeys(one.kinds))
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(0, 1.15 * float(one.errors.max()))
    axes.set_ylabel(f"% signal, if noise is 1 % with AR(1) of {one.rho:g}")
    axes.set_xlabel(f"condition number {one.condition_number:.1f}", color=MUTED)


def _lines(text: str, *, width: int = 26) -> list[str]:
    """Break a sentence at words."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
