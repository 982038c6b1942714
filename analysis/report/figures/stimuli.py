"""Fig. 1 of the paper: some of the triplets that were shown, with the network's verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.report.figures.style import COLORS, INK, WIDTH_IN, new_figure, styled
from analysis.report.wording import say_probability

_TYPES = {"RE": "RE\nregular", "AN": "AN\nadversarial\nnoise", "AI": "AI\nadversarial\ninterference"}


@dataclass(frozen=True, eq=False)
class Shown:
    """One image of the strip.

    Parameters
    ----------
    type : {"RE", "AN", "AI"}
    pixels : uint8 array, (height, width, 3)
    verdict : str
        The category that the network sees in it.
    p : float
        With which probability.
    """

    type: str
    pixels: NDArray[np.uint8]
    verdict: str
    p: float


@styled
def draw_stimuli(triplets: Sequence[Sequence[Shown]]) -> Figure:
    """Draw one column a triplet, from RE above to AI below; under each image the network's verdict.

    Parameters
    ----------
    triplets : sequence of sequence of Shown
        Each RE, AN, AI of one base image.

    Returns
    -------
    Figure
    """
    n_columns = len(triplets)
    figure = new_figure(WIDTH_IN, 0.1 + 3 * (WIDTH_IN - 0.9) / n_columns * 1.16)
    grid = figure.subplots(len(_TYPES), n_columns, squeeze=False)
    for column, triplet in enumerate(triplets):
        for row, shown in enumerate(triplet):
            axes = grid[row, column]
            axes.imshow(shown.pixels, interpolation="none")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            axes.set_xlabel(f"{shown.verdict}  P {say_probability(shown.p)}", fontsize=7, labelpad=3, color=INK)
            if column == 0:
                axes.set_ylabel(_TYPES[shown.type], rotation=0, ha="right", va="center", color=COLORS[shown.type],
                                fontweight="bold", fontsize=7.5, labelpad=6)
    return figure
