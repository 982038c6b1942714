"""What maps on the flattened cortex share: frame, values by triangle, borders and names of regions, scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_rgb
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from analysis.report.figures.cortex.flatmap import FlatHemisphere, face_labels, widest_place
from analysis.report.figures.cortex.raster import draw_triangles
from analysis.report.figures.style import INK, PAPER

SIDES = {"L": "left hemisphere", "R": "right hemisphere"}
NOTHING = "#dcdcd6"
"""Where a map has no value."""
_MARGIN_MM, _SCALE_MM = 6.0, 10.0
_PIXELS = 700
Corner = NDArray[np.floating]


def frame_of(one: FlatHemisphere) -> tuple[Corner, Corner]:
    """Find the corners of what is shown: all labelled vertices (without any, the whole map) and a margin."""
    shown = one.flat[one.labels > 0] if (one.labels > 0).any() else one.flat[np.unique(one.faces)]
    return shown.min(axis=0) - _MARGIN_MM, shown.max(axis=0) + _MARGIN_MM


def set_frame(axes: Axes, *, low: Corner, high: Corner) -> None:
    """Show what lies between two corners, without axes, millimetres alike in both directions."""
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    axes.set_axis_off()


def draw_values(axes: Axes, one: FlatHemisphere, *, values: NDArray[np.floating], shade: ScalarMappable,
                low: Corner, high: Corner) -> None:
    """Paint each triangle in the colour of its corners' mean; one with a corner without a value stays grey."""
    faces = one.faces[_near(one, low=low, high=high)]
    means = values[faces].mean(axis=1)
    colors = np.asarray(shade.to_rgba(np.nan_to_num(means)))[:, :3]
    colors[np.isnan(means)] = to_rgb(NOTHING)
    draw_triangles(axes, one.flat[faces], colors=colors, low=low, high=high, pixels=_PIXELS)


def draw_classes(axes: Axes, one: FlatHemisphere, *, classes: NDArray[np.integer], colors: Mapping[int, str],
                 low: Corner, high: Corner) -> None:
    """Paint each triangle in the colour of the class that at least two of its corners share; 0 is no class."""
    faces = one.faces[_near(one, low=low, high=high)]
    of_face = face_labels(faces, classes)
    painted = np.tile(to_rgb("#efeeea"), (len(faces), 1))
    for number, color in colors.items():
        painted[of_face == number] = to_rgb(color)
    draw_triangles(axes, one.flat[faces], colors=painted, low=low, high=high, pixels=_PIXELS)


def _near(one: FlatHemisphere, *, low: Corner, high: Corner) -> NDArray[np.bool_]:
    centres = one.flat[one.faces].mean(axis=1)
    return np.asarray(((centres > low - _MARGIN_MM) & (centres < high + _MARGIN_MM)).all(axis=1))


def draw_borders(axes: Axes, one: FlatHemisphere, *, regions: Sequence[str]) -> None:
    """Draw the sides between triangles of two regions, and the regions' names."""
    _draw_sides(axes, one, classes=one.labels, width=0.6, label="borders")
    for k, name in enumerate(regions, start=1):
        if (one.labels == k).any():
            axes.annotate(name, widest_place(one, label=k), ha="center", va="center", fontsize=8, fontweight="bold",
                          color=INK, zorder=6, path_effects=[withStroke(linewidth=2.0, foreground=PAPER, alpha=0.85)])


def draw_outline(axes: Axes, one: FlatHemisphere, *, inside: NDArray[np.bool_]) -> None:
    """Draw a heavy line, light on both sides, around some vertices."""
    _draw_sides(axes, one, classes=inside.astype(np.int64), width=0.9, label="outline", light=PAPER)


def _draw_sides(axes: Axes, one: FlatHemisphere, *, classes: NDArray[np.integer], width: float, label: str,
                light: str | None = None) -> None:
    """Draw the sides between triangles of two classes."""
    of_face = face_labels(one.faces, classes)
    sides = np.sort(one.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    order = np.lexsort(sides.T)
    ordered, owner = sides[order], np.repeat(of_face, 3)[order]
    shared = (ordered[1:] == ordered[:-1]).all(axis=1) & (owner[1:] != owner[:-1])
    ends = one.flat[ordered[1:][shared]]
    gaps = np.full((len(ends), 1, 2), np.nan)
    path = np.concatenate([ends, gaps], axis=1).reshape(-1, 2)
    effects = [] if light is None else [withStroke(linewidth=width + 1.2, foreground=light)]
    axes.plot(path[:, 0], path[:, 1], color=INK, linewidth=width, zorder=3, label=label, path_effects=effects)


def draw_scale(axes: Axes, *, low: Corner) -> None:
    """Draw a bar of 10 mm in the lower left corner."""
    x, y = low[0] + 1.5, low[1] + 1.5
    axes.plot([x, x + _SCALE_MM], [y, y], color=INK, linewidth=1.6, solid_capstyle="butt", zorder=5)
    axes.text(x + _SCALE_MM / 2, y + 0.8, f"{_SCALE_MM:g} mm", ha="center", va="bottom", fontsize=7)
