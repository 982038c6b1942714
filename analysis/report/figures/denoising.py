"""What GLMdenoise found: response, number of components, what they changed; where noise was taken from; components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.report.figures.cortex.raster import draw_triangles
from analysis.report.figures.style import COLORS, INK, MUTED, RULE, WIDTH_IN, new_figure, rule_at_zero, styled
from analysis.report.wording import say_number

_USED, _SEED = COLORS["AN"], MUTED
_POOL, _CORTEX, _CURVE = "#0072B2", "#efeeea", "#D55E00"
_KINDS = np.array([_CORTEX, _POOL, _CURVE, "#2b2b2b"])
"""Colours of vertices in neither, in the noise pool, among those that the curve is of, and in both."""
_MOST = 8
"""Components drawn of a run."""


@dataclass(frozen=True, eq=False)
class DenoisedPortion:
    """What is drawn of some runs of a session.

    Parameters
    ----------
    name : str
        Such as ``"ses-01"``.
    times_s : float array, (n_lags,)
    seed, response : float array, (n_lags,)
        The canonical response and the one that the designs were made with.
    estimate : float array, (n_lags,), or None
        What the estimate ended with, taken or not.
    outcome : str
    curve : float array, (n_tried + 1,)
        Median cross-validated R2 in percent by number of components.
    n_components : int
        The number chosen.
    n_curve_vertices : int
        Vertices that the median is over.
    snr_before, snr_after : float array, (n_vertices,)
        Signal over noise of all vertices of both hemispheres, NaN where there is none.
    components : mapping of int to float array, (n_volumes, n_tried)
        Run number to its components.
    """

    name: str
    times_s: NDArray[np.floating]
    seed: NDArray[np.floating]
    response: NDArray[np.floating]
    estimate: NDArray[np.floating] | None
    outcome: str
    curve: NDArray[np.floating]
    n_components: int
    n_curve_vertices: int
    snr_before: NDArray[np.floating]
    snr_after: NDArray[np.floating]
    components: Mapping[int, NDArray[np.floating]]


@dataclass(frozen=True, eq=False)
class PoolMap:
    """Where the noise pool of one hemisphere is.

    Parameters
    ----------
    hemi : {"L", "R"}
    flat : array, (n_vertices, 2)
        Position on the flat map in mm.
    faces : int array, (n_faces, 3)
    pool, curve : sequence of bool array, (n_vertices,)
        Of each portion: vertices of the noise pool, and those that the number of components was chosen on.
    """

    hemi: str
    flat: NDArray[np.floating]
    faces: NDArray[np.integer]
    pool: Sequence[NDArray[np.bool_]]
    curve: Sequence[NDArray[np.bool_]]


@styled
def draw_denoising(portions: Sequence[DenoisedPortion]) -> Figure:
    """Draw a line a portion: the response, the curve over numbers of components, signal over noise before and after.

    Parameters
    ----------
    portions : sequence of DenoisedPortion

    Returns
    -------
    Figure
    """
    figure = new_figure(WIDTH_IN, 0.45 + 1.75 * len(portions))
    panels = figure.subplots(len(portions), 3, squeeze=False)
    for k, (row, one) in enumerate(zip(panels, portions, strict=True)):
        _draw_response(row[0], one)
        _draw_curve(row[1], one)
        _draw_gain(row[2], one)
        row[0].set_title(f"{one.name}: response")
        row[1].set_title("cross-validated R² (%)")
        row[2].set_title("signal over noise")
        if k == len(portions) - 1:
            row[0].set_xlabel("Time after an event (s)")
            row[1].set_xlabel("Noise components")
            row[2].set_xlabel("without components")
    return figure


def _draw_response(axes: Axes, one: DenoisedPortion) -> None:
    rule_at_zero(axes)
    axes.plot(one.times_s, one.seed / one.seed.max(), color=_SEED, linewidth=1.0, linestyle=(0, (3, 2)),
              label="canonical")
    if one.estimate is not None and not np.allclose(one.estimate, one.response):
        axes.plot(one.times_s, one.estimate, color=_CURVE, linewidth=0.9, label="estimate, not taken")
    axes.plot(one.times_s, one.response, color=_USED, marker="o", markersize=2.2, label=f"used ({one.outcome})")
    axes.legend(frameon=False, fontsize=6.5, loc="upper right", handlelength=1.6, borderaxespad=0.1)
    axes.set_ylim(top=max(1.55, axes.get_ylim()[1]))


def _draw_curve(axes: Axes, one: DenoisedPortion) -> None:
    numbers = np.arange(len(one.curve))
    axes.plot(numbers, one.curve, color=INK, marker="o", markersize=2.2, label="median")
    axes.plot(one.n_components, one.curve[one.n_components], "o", color=_CURVE, markersize=5.5, label="chosen")
    axes.margins(x=0.05, y=0.14)
    is_low = one.curve[-1] < (one.curve.min() + one.curve.max()) / 2  # the words go where the curve does not end
    axes.annotate(f"{one.n_components} chosen\n{one.n_curve_vertices:,} vertices", (0.97, 0.95 if is_low else 0.05),
                  ha="right", va="top" if is_low else "bottom", xycoords="axes fraction", fontsize=7, color=MUTED)
    axes.locator_params(axis="x", integer=True)


def _draw_gain(axes: Axes, one: DenoisedPortion) -> None:
    known = np.isfinite(one.snr_before) & np.isfinite(one.snr_after)
    if not known.any():
        axes.annotate("no bootstraps", (0.5, 0.5), xycoords="axes fraction", ha="center", color=MUTED)
        axes.set_axis_off()
        return
    before, after = one.snr_before[known], one.snr_after[known]
    top = float(np.percentile(np.concatenate([before, after]), 99.8))
    axes.hexbin(np.clip(before, 0, top), np.clip(after, 0, top), gridsize=42, extent=(0, top, 0, top), bins="log",
                cmap="Greys", linewidths=0, mincnt=1)
    axes.plot([0, top], [0, top], color=_CURVE, linewidth=0.8)
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    axes.set_ylabel("with components")
    axes.annotate(f"median {say_number(float(np.median(before)))} → {say_number(float(np.median(after)))}",
                  (0.97, 0.05), xycoords="axes fraction", ha="right", va="bottom", fontsize=7, color=MUTED)


@styled
def draw_noise_pool(hemispheres: Sequence[PoolMap], *, names: Sequence[str]) -> Figure:
    """Draw the flat maps of both hemispheres, a line a portion: noise pool, and the vertices of the curve.

    Parameters
    ----------
    hemispheres : sequence of PoolMap
    names : sequence of str
        Of the portions.

    Returns
    -------
    Figure
        All maps to the same scale.
    """
    spans = np.array([np.ptp(one.flat, axis=0) for one in hemispheres])
    inch_per_mm = (WIDTH_IN - 0.4) / float(spans[:, 0].sum())
    height = min(2.4, inch_per_mm * float(spans[:, 1].max()))
    figure = new_figure(WIDTH_IN, 0.5 + (height + 0.25) * len(names))
    panels = figure.subplots(len(names), len(hemispheres), squeeze=False)
    for k, (row, name) in enumerate(zip(panels, names, strict=True)):
        for axes, one in zip(row, hemispheres, strict=True):
            _draw_pool(axes, one, pool=one.pool[k], curve=one.curve[k])
            axes.set_title(f"{name}, {'left' if one.hemi == 'L' else 'right'}")
    handles = [figure.axes[0].plot([], [], "s", color=color, markersize=5)[0] for color in _KINDS[[1, 2, 3, 0]]]
    figure.legend(handles, ("noise pool", "number of components chosen on", "both", "others"),
                  loc="outside lower center", ncols=4, frameon=False, fontsize=7.5)
    return figure


def _draw_pool(axes: Axes, one: PoolMap, *, pool: NDArray[np.bool_], curve: NDArray[np.bool_]) -> None:
    kinds = pool + 2 * curve
    corners = np.sort(kinds[one.faces], axis=1)
    colors = np.array([to_rgb(color) for color in _KINDS])[corners[:, 1]]  # what two of a triangle's corners are
    draw_triangles(axes, one.flat[one.faces], colors=colors, low=one.flat.min(axis=0), high=one.flat.max(axis=0),
                   pixels=1000)
    axes.set_axis_off()


@styled
def draw_components(portions: Sequence[DenoisedPortion], *, tr_s: float) -> Figure:
    """Draw the chosen components of every run (or the first ones, where none was chosen), one line each.

    Parameters
    ----------
    portions : sequence of DenoisedPortion
    tr_s : float

    Returns
    -------
    Figure
    """
    drawn = [(one, min(_MOST, one.n_components or 3, *(part.shape[1] for part in one.components.values())))
             for one in portions]
    most = max(len(one.components) for one in portions)
    figure = new_figure(WIDTH_IN, 0.6 + sum(0.45 + 0.17 * max(n, 1) for _, n in drawn))
    panels = figure.subplots(len(portions), most, squeeze=False, sharex=True,
                             height_ratios=[0.45 + 0.17 * max(n, 1) for _, n in drawn])
    for row, (one, n) in zip(panels, drawn, strict=True):
        for k, axes in enumerate(row):
            axes.spines["left"].set_visible(False)
            axes.set_yticks([])
            if k >= len(one.components):
                axes.set_axis_off()
                continue
            run, courses = list(one.components.items())[k]
            _draw_courses(axes, courses[:, :n], tr_s=tr_s, chosen=one.n_components > 0)
            axes.set_title(f"run {run}", fontsize=7.5)
        row[0].set_ylabel(one.name.replace(", ", "\n"), fontsize=7.5, fontweight="bold")
    for axes in panels[-1]:
        axes.set_xlabel("min")
    return figure


def _draw_courses(axes: Axes, courses: NDArray[np.floating], *, tr_s: float, chosen: bool) -> None:
    minutes = np.arange(len(courses)) * tr_s / 60.0
    for k, course in enumerate(courses.T):
        axes.axhline(-4.0 * k, color=RULE, linewidth=0.4, zorder=0)
        axes.plot(minutes, np.clip(course, -4, 4) - 4.0 * k, color=_USED if chosen else _SEED, linewidth=0.5)
    if not courses.shape[1]:
        axes.annotate("none", (0.5, 0.5), xycoords="axes fraction", ha="center", color=MUTED)
    axes.margins(x=0.01)
