"""Figures are drawn one after another or side by side: the same files, in the order in which they were planned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis.report.figure_list import PlannedFigure, draw_planned
from analysis.report.figures.style import new_figure, styled


def test_figures_drawn_side_by_side_are_the_same_files_in_the_same_order(tmp_path: Path) -> None:
    plans = [PlannedFigure("results", f"figure-{k}", f"Title {k}", f"Caption {k}", lambda k=k: curve(k))
             for k in range(5)]
    alone = draw_planned(plans, folder=tmp_path / "alone")
    beside = draw_planned(plans, folder=tmp_path / "beside", n_jobs=2)
    for plan, one, other in zip(plans, alone, beside, strict=True):
        assert (other.section, other.title, other.caption) == (plan.section, plan.title, plan.caption)
        assert other.saved.name == plan.name
        assert other.saved.width_share == one.saved.width_share
        assert other.saved.png.read_bytes() == one.saved.png.read_bytes()
        assert other.saved.svg.read_bytes() == one.saved.svg.read_bytes()
    assert len({one.saved.png.read_bytes() for one in alone}) == 5
    assert draw_planned([], folder=tmp_path / "none", n_jobs=2) == ()


@styled
def curve(k: int) -> Figure:
    figure = new_figure(3.0 + k / 2, 2.0)
    axes = figure.subplots()
    axes.plot(np.arange(10), np.arange(10.0) ** k)
    axes.set_title("a title, as paths")
    return figure
