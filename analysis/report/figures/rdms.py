"""Fig. 2 of the paper: dissimilarity matrices of regions and layers, and how their similarity arises."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.report.figures.style import COLORS, PAPER, RULE, WIDTH_IN, new_figure, styled
from analysis.report.wording import coefficient_sign, say_number, say_p
from analysis.rsa.rdm import RDM
from analysis.statistics.dissimilarity import average_ranks, expand

_TYPES = ("RE", "AN", "AI")


@dataclass(frozen=True, eq=False)
class RdmRow:
    """The matrices of one place, a row of a figure.

    Parameters
    ----------
    name : str
        The place, for people; empty where it goes without saying.
    rdms : mapping of str to RDM
        ``"RE"``, ``"AN"``, ``"AI"``, joined by the labels of the first.
    statistics : DataFrame
        The rows of this place, columns of :data:`analysis.rsa.run.COLUMNS`.
    """

    name: str
    rdms: Mapping[str, RDM]
    statistics: pd.DataFrame


def draw_rdms(rdms: Mapping[str, RDM], *, statistics: pd.DataFrame) -> Figure:
    """Draw the RE, AN and AI matrices of one place; see :func:`draw_rdm_rows`."""
    return draw_rdm_rows([RdmRow("", rdms, statistics)])


@styled
def draw_rdm_rows(rows: Sequence[RdmRow]) -> Figure:
    """Draw the RE, AN and AI matrices of some places as percentile ranks, which is what rank correlations compare.

    Parameters
    ----------
    rows : sequence of RdmRow
        One below the other: a region and a layer for the six matrices of Fig. 2B, or all regions. Rows over the same
        images have them in the order of the first row.

    Returns
    -------
    Figure
    """
    figure = new_figure(WIDTH_IN, 0.2 + 2.2 * len(rows))
    grid = figure.subplots(len(rows), 3, squeeze=False)
    for panels, row in zip(grid, rows, strict=True):
        labels, first = row.rdms["RE"].labels, rows[0].rdms["RE"].labels
        labels = first if set(first) == set(labels) else labels
        for axes, kind in zip(panels, _TYPES, strict=True):
            picture = axes.imshow(percentiles(row.rdms[kind].select(labels)), cmap="cividis", vmin=0, vmax=100,
                                  interpolation="nearest")
            axes.set_title(kind, color=COLORS[kind])
            if kind != "RE":
                axes.annotate(f"with RE: {_say_similarity(row.statistics, kind)}", (1, 1), ha="right",
                              xycoords="axes fraction", xytext=(0, 4), textcoords="offset points", fontsize=7)
            _mark_classes(axes, labels, named=kind == "RE")
        if row.name:
            panels[0].set_ylabel(row.name, fontweight="bold", labelpad=6)
    bar = figure.colorbar(picture, ax=grid, shrink=0.7 / len(rows), aspect=18, pad=0.015, ticks=[0, 50, 100],
                          anchor=(0.0, 1.0) if len(rows) > 1 else (0.0, 0.5))
    bar.outline.set_visible(False)
    bar.set_label("Dissimilarity (percentile)", fontsize=7)
    bar.ax.tick_params(labelsize=7, length=0)
    return figure


@styled
def draw_pairs(row: RdmRow) -> Figure:
    """Draw how the similarities of one place arise: every pair of images, its dissimilarity as RE and as AI or AN.

    Returns
    -------
    Figure
        A dot a pair, percentile ranks; the line is at equal ranks.
    """
    figure = new_figure(4.8, 2.75)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    labels = row.rdms["RE"].labels
    upper = np.triu_indices(len(labels), 1)
    regular = percentiles(row.rdms["RE"])[upper]
    for axes, kind in zip(panels, ("AI", "AN"), strict=True):
        axes.plot([0, 100], [0, 100], color=RULE, linewidth=0.7, zorder=1)
        dots = axes.scatter(regular, percentiles(row.rdms[kind].select(labels))[upper], s=5, color=COLORS[kind],
                            alpha=0.45, linewidths=0, zorder=2)
        dots.set_label(f"RE-{kind}")
        axes.set_title(kind, color=COLORS[kind])
        axes.annotate(_say_similarity(row.statistics, kind), (1, 1), ha="right", xycoords="axes fraction",
                      xytext=(0, 4), textcoords="offset points", fontsize=7)
        axes.set_box_aspect(1)
        axes.set_xticks([0, 50, 100])
        axes.set_yticks([0, 50, 100])
        axes.set_xlabel("Dissimilarity as RE (percentile)")
    panels[0].set_ylabel("As AI or AN (percentile)")
    return figure


def _say_similarity(statistics: pd.DataFrame, kind: str) -> str:
    """Write the correlation of the matrices as they are drawn, beside it what is tested of it, and p."""
    row: Any = next(found for found in statistics.itertuples() if found.comparison == f"RE-{kind}")
    sign, drawn = coefficient_sign(statistics), getattr(row, "paper_effect", math.nan)
    shown, tested = say_number(drawn), say_number(row.effect)
    if math.isnan(drawn) or shown == tested:
        return f"{sign} = {tested}, {say_p(row.p)}"
    return f"{sign} = {shown}, {say_p(row.p)}\nless null: {tested}"


def percentiles(rdm: RDM) -> NDArray[np.float64]:
    """Rank dissimilarities from 0 (most similar pair) to 100; NaN on the diagonal.

    Examples
    --------
    >>> percentiles(RDM(("a", "b", "c"), np.array([0.1, 0.9, 0.5]), "correlation"))[0].tolist()
    [nan, 0.0, 100.0]
    """
    ranks = average_ranks(rdm.condensed)
    matrix = expand(100 * (ranks - 1) / max(1, len(ranks) - 1), n=len(rdm))
    np.fill_diagonal(matrix, np.nan)
    return matrix


def _mark_classes(axes: Axes, labels: tuple[str, ...], *, named: bool) -> None:
    """Part the classes by thin lines, and name them at the first matrix."""
    names, edges = [], [0]
    for name, members in groupby(label.rpartition("-")[0] for label in labels):
        names.append(name)
        edges.append(edges[-1] + len(list(members)))
    for edge in edges[1:-1]:
        axes.axhline(edge - 0.5, color=PAPER, linewidth=0.6)
        axes.axvline(edge - 0.5, color=PAPER, linewidth=0.6)
    middles = [(low + high - 1) / 2 for low, high in pairwise(edges)]
    axes.set_yticks(middles, names if named else [""] * len(names))
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=7)
    axes.spines[:].set_visible(False)
