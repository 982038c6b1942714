"""What of Fig. 5 of the paper hangs on choices: the similarities under each, and where N1 to N3 hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from analysis.report.figures.style import ALPHA, COLORS, COOL, INK, MUTED, PAPER, new_figure, rule_at_zero, styled

CLAIMS = ("N1", "N2", "N3")
SHARE = LinearSegmentedColormap.from_list("share", ["#ffffff", "#bcdcd2", "#4d9c88"])
_HEADS = {"contrast": "AN contrast (grey levels)", "targets": "AI targets", "tap": "layers read", "reading": "layer 8"}
_TYPES = {"contrast": "AN", "targets": "AI"}
_LEGENDS = {"contrast": "least contrast (grey levels)", "targets": "targets"}
_ASIDE = 0.9
"""How far right of its layer the reading by logits stands."""


@styled
def draw_robustness(table: pd.DataFrame, scored: pd.DataFrame, *, own: Mapping[str, str],
                    levels: Mapping[str, Sequence[str]]) -> Figure:
    """Draw both similarities under each choice by itself, a row of panels a tap; beside them which claims hold where.

    Parameters
    ----------
    table : DataFrame
        Columns of :data:`analysis.rsa.choices.COLUMNS`.
    scored : DataFrame
        As :func:`analysis.report.robustness.claims.score_choices` gives it.
    own : mapping of str to str
        The set's own level of each factor.
    levels : mapping of str to sequence of str
        Every factor's levels, in order.

    Returns
    -------
    Figure
        Lines: one choice changed, the others the set's own. Filled marker: permutation p < .05. Diamonds right of the
        last layer: by logits. Cells: share of all combinations in which the claim holds.
    """
    n_taps, n_levels = len(levels["tap"]), sum(len(names) for names in levels.values())
    figure = new_figure(9.6, max(2.5 * n_taps, 0.23 * (n_levels + 2 * len(levels)) + 0.6))
    grid = figure.add_gridspec(n_taps, 3, width_ratios=[1, 1, 0.86])
    for row, tap in enumerate(levels["tap"]):
        first = None
        for column, factor in enumerate(("contrast", "targets")):
            axes = figure.add_subplot(grid[row, column], sharey=first)
            first = first or axes
            _draw_panel(axes, table[table["tap"] == tap], factor=factor, own=own, names=levels[factor])
            axes.set_title(f"RE-{_TYPES[factor]} by {'contrast of AN' if factor == 'contrast' else 'targets of AI'}",
                           color=COLORS[_TYPES[factor]])
            if column == 0:
                axes.set_ylabel(f"{tap}\nSimilarity (Spearman's ρ)", fontsize=7.5)
            else:
                axes.tick_params(labelleft=False)
            if row == n_taps - 1:
                axes.set_xlabel("Layer")
    _draw_matrix(figure.add_subplot(grid[:, 2]), scored, levels=levels, own=own)
    return figure


def _draw_panel(axes: Axes, table: pd.DataFrame, *, factor: str, own: Mapping[str, str],
                names: Sequence[str]) -> None:
    """Draw one factor's levels, and the set's other similarity as a faint line to compare with."""
    kind, fixed = _TYPES[factor], "targets" if factor == "contrast" else "contrast"
    other = table[table[factor].eq(own[factor]) & table[fixed].eq(own[fixed])]
    _draw_line(axes, other, comparison=f"RE-{_TYPES[fixed]}", color=COLORS[_TYPES[fixed]], width=0.8, alpha=0.45)
    for k, name in enumerate(names):
        color, style, width = _look(factor, name, k=k, n=len(names), own=own[factor])
        part = table[table[factor].eq(name) & table[fixed].eq(own[fixed])]
        _draw_line(axes, part, comparison=f"RE-{kind}", color=color, width=width, style=style, label=_short(name))
    rule_at_zero(axes)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.legend(frameon=False, fontsize=6.2, handlelength=2.2, labelspacing=0.25, borderaxespad=0.1,
                ncols=2 if len(names) > 4 else 1, columnspacing=0.9, loc="best", title=_LEGENDS[factor],
                title_fontsize=6.2, alignment="left")


def _look(factor: str, name: str, *, k: int, n: int, own: str) -> tuple[object, object, float]:
    """Give colour, dashes and width: the set's own choice is the bold one; other rules of targets are dashed."""
    if factor == "contrast":
        return COOL(0.15 + 0.85 * k / max(1, n - 1)), "-", 2.0 if name == own else 1.1
    if name == own:
        return COLORS["AI"], "-", 2.0
    return ("#E8A06A", "-", 0.9) if ", draw " in name else \
        ({0: "#7E2F00", 1: "#B8860B"}.get(k % 2, INK), (0, (4, 1.5)), 1.1)


def _short(name: str) -> str:
    return name.removesuffix(", own").replace("each category once, ", "")


def _draw_line(axes: Axes, part: pd.DataFrame, *, comparison: str, color: object, width: float, style: object = "-",
               alpha: float = 1.0, label: str = "_line") -> None:
    rows = part[(part["comparison"] == comparison) & (part["reading"] == "softmax")]
    x = [float(k) for k in range(1, len(rows) + 1)]
    axes.plot(x, rows["effect"], color=color, linewidth=width, linestyle=style, alpha=alpha, label=label)
    _mark(axes, x, rows, color=color, marker="o", alpha=alpha)
    logits = part[(part["comparison"] == comparison) & (part["reading"] == "logits")].tail(1)
    if len(logits):
        _mark(axes, [len(rows) + _ASIDE], logits, color=color, marker="D", alpha=alpha)
    axes.set_xticks([*x, *([len(rows) + _ASIDE] if len(logits) else [])],
                    [*(f"{k:g}" for k in x), *(["log."] if len(logits) else [])], fontsize=7)


def _mark(axes: Axes, x: Sequence[float], rows: pd.DataFrame, *, color: object, marker: str, alpha: float) -> None:
    for place, effect, p in zip(x, rows["effect"], rows["p"], strict=True):
        axes.plot([place], [effect], marker=marker, markersize=3.2, color=color, alpha=alpha, label="_marker",
                  markerfacecolor=color if p < ALPHA else PAPER, markeredgewidth=0.8)


def _draw_matrix(axes: Axes, scored: pd.DataFrame, *, levels: Mapping[str, Sequence[str]],
                 own: Mapping[str, str]) -> None:
    """Set the share of combinations in which each claim holds, a row for every level."""
    y = 0.0
    for factor, names in levels.items():
        axes.text(-0.6, y, _HEADS[factor], ha="right", va="center", fontsize=7, color=MUTED)
        y += 1
        for name in names:
            part = scored[scored[factor] == name]
            axes.text(-0.6, y, _short(name), ha="right", va="center", fontsize=7,
                      fontweight="bold" if name == own[factor] else "normal")
            for x, claim in enumerate(CLAIMS):
                _draw_cell(axes, part[claim].dropna(), x=x, y=y)
            y += 1
        y += 0.5
    for x, claim in enumerate(CLAIMS):
        axes.text(x, -0.9, claim, ha="center", va="center", fontsize=8, fontweight="bold")
    axes.set_xlim(-4.2, len(CLAIMS) - 0.4)
    axes.set_ylim(y - 0.2, -1.6)
    axes.set_axis_off()
    axes.set_title("Combinations in which each claim holds", fontsize=8.5)


def _draw_cell(axes: Axes, held: pd.Series, *, x: int, y: float) -> None:
    if not len(held):
        axes.text(x, y, "–", ha="center", va="center", fontsize=6.8, color=MUTED)
        return
    n, of = int(held.sum()), len(held)
    axes.fill_between([x - 0.46, x + 0.46], y - 0.46, y + 0.46, color=SHARE(n / of), linewidth=0)
    axes.text(x, y, f"{n}/{of}", ha="center", va="center", fontsize=6.8, color=INK)
