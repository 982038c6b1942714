"""Fig. 2B of the paper: the three dissimilarity matrices of one place, and how similar they are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.report.figures.style import COLORS, PAPER, WIDTH_IN, new_figure, styled
from analysis.report.wording import say_number, say_p
from analysis.rsa.rdm import RDM
from analysis.statistics.dissimilarity import average_ranks, expand

_TYPES = ("RE", "AN", "AI")


@styled
def draw_rdms(rdms: Mapping[str, RDM], *, statistics: pd.DataFrame) -> Figure:
    """Draw the RE, AN and AI matrices of one place as percentile ranks, which is what Spearman's rho compares.

    Parameters
    ----------
    rdms : mapping of str to RDM
        ``"RE"``, ``"AN"``, ``"AI"``, joined by the labels of the first.
    statistics : DataFrame
        The rows of this place, columns of :data:`analysis.rsa.run.COLUMNS`.

    Returns
    -------
    Figure
    """
    labels = rdms["RE"].labels
    figure = new_figure(WIDTH_IN, 2.4)
    panels = figure.subplots(1, 3)
    found = {row.comparison: row for row in statistics.itertuples()}
    for axes, kind in zip(panels, _TYPES, strict=True):
        picture = axes.imshow(percentiles(rdms[kind].select(labels)), cmap="cividis", vmin=0, vmax=100,
                              interpolation="nearest")
        axes.set_title(kind, color=COLORS[kind])
        if kind != "RE":
            row: Any = found[f"RE-{kind}"]
            axes.annotate(f"with RE: ρ = {say_number(row.effect)}, {say_p(row.p)}", (1, 1), ha="right",
                          xycoords="axes fraction", xytext=(0, 4), textcoords="offset points", fontsize=7)
        _mark_classes(axes, labels, named=kind == "RE")
    bar = figure.colorbar(picture, ax=panels, shrink=0.7, aspect=18, pad=0.015, ticks=[0, 50, 100])
    bar.outline.set_visible(False)
    bar.set_label("Dissimilarity (percentile)", fontsize=7)
    bar.ax.tick_params(labelsize=7, length=0)
    return figure


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
