"""Fig. 2A of the paper: the regions on the flattened cortex, and the vertices that were selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from analysis.report.figures.cortex.raster import draw_triangles
from analysis.report.figures.style import INK, MUTED, PAPER, REGION_COLORS, WIDTH_IN, new_figure, styled
from subjects.errors import AnalysisError

_MARGIN_MM = 6.0
_SCALE_MM = 10.0
_CORTEX = "#efeeea"
_TINT = 0.38
_PIXELS = 1000
_SAMPLES = 9  # places along a side of the map's rim


@dataclass(frozen=True, eq=False)
class FlatHemisphere:
    """What is drawn of one hemisphere.

    Parameters
    ----------
    hemi : {"L", "R"}
    flat : array, (n_vertices, 2)
        Position on the flat map in mm.
    faces : int array, (n_faces, 3)
    labels : int array, (n_vertices,)
        k + 1 for the k-th region, 0 elsewhere.
    selected : mapping of str to int array
        Region to the vertices chosen for the analysis.
    distortion : str
        How far the flat map leaves the surface's own areas and lengths, in words.

    Raises
    ------
    AnalysisError
        If labels or chosen vertices do not fit the mesh.
    """

    hemi: str
    flat: NDArray[np.floating]
    faces: NDArray[np.integer]
    labels: NDArray[np.integer]
    selected: Mapping[str, NDArray[np.integer]]
    distortion: str = "not measured"

    def __post_init__(self) -> None:
        n_vertices, where = len(self.flat), f"flat map of hemi-{self.hemi}"
        if len(self.labels) != n_vertices:
            raise AnalysisError(where, came=f"{len(self.labels)} labels for {n_vertices} vertices",
                                expected="one label a vertex", remedy="Take mesh and labels of the same subject.")
        highest = max((int(np.max(chosen)) for chosen in self.selected.values() if len(chosen)), default=0)
        if highest >= n_vertices:
            raise AnalysisError(where, came=f"vertex {highest} of {n_vertices}", expected="vertices of this mesh",
                                remedy="Run `python -m analysis encode` again.")


@styled
def draw_flatmap(hemispheres: Sequence[FlatHemisphere], *, regions: Sequence[str]) -> Figure:
    """Draw the occipital part of each flat map: regions tinted and named, selected vertices as dots.

    Parameters
    ----------
    hemispheres : sequence of FlatHemisphere
    regions : sequence of str
        Names in the order of the labels.

    Returns
    -------
    Figure
        Both maps to the same scale.
    """
    frames = [_frame(one) for one in hemispheres]
    spans = np.array([frame[1] - frame[0] for frame in frames])
    inch_per_mm = (WIDTH_IN - 0.4) / float(spans[:, 0].sum())
    figure = new_figure(WIDTH_IN, min(4.6, 0.45 + inch_per_mm * float(spans[:, 1].max())))
    panels = figure.subplots(1, len(frames), squeeze=False, width_ratios=spans[:, 0].tolist()).ravel()
    for axes, one, (low, high) in zip(panels, hemispheres, frames, strict=True):
        _draw_mesh(axes, one, regions=regions, low=low, high=high)
        for k, name in enumerate(regions, start=1):
            _draw_region(axes, one, label=k, name=name)
        axes.set_title({"L": "Left hemisphere", "R": "Right hemisphere"}.get(one.hemi, one.hemi))
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
    _draw_scale(panels[0], low=frames[0][0])
    return figure


def _frame(one: FlatHemisphere) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Find the corners of what is shown: all labelled vertices and a margin."""
    shown = one.flat[one.labels > 0] if (one.labels > 0).any() else one.flat
    return shown.min(axis=0) - _MARGIN_MM, shown.max(axis=0) + _MARGIN_MM


def face_labels(faces: NDArray[np.integer], labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Label each triangle by the label that at least two of its corners share, else 0.

    Examples
    --------
    >>> face_labels(np.array([[0, 1, 2], [1, 2, 3]]), np.array([1, 1, 2, 3])).tolist()
    [1, 0]
    """
    corners = np.sort(labels[faces], axis=1)
    return np.where((corners[:, 0] == corners[:, 1]) | (corners[:, 1] == corners[:, 2]), corners[:, 1], 0)


def _draw_mesh(axes: Axes, one: FlatHemisphere, *, regions: Sequence[str], low: NDArray[np.floating],
               high: NDArray[np.floating]) -> None:
    centres = one.flat[one.faces].mean(axis=1)
    near = ((centres > low - _MARGIN_MM) & (centres < high + _MARGIN_MM)).all(axis=1)
    tints = [_CORTEX, *(_tint(REGION_COLORS.get(name, MUTED)) for name in regions)]
    palette = np.array([to_rgb(color) for color in tints])
    colors = palette[face_labels(one.faces[near], one.labels)]
    draw_triangles(axes, one.flat[one.faces[near]], colors=colors, low=low, high=high, pixels=_PIXELS)


def widest_place(one: FlatHemisphere, *, label: int) -> tuple[float, float]:
    """Find the point of a region that is farthest from its borders and from the rim of the map: where its name fits."""
    inside = one.labels == label
    points = one.flat[inside]
    border = np.concatenate([one.flat[~inside], _along(one.flat[_rim_sides(one.faces)])])
    distances, _ = cKDTree(border).query(points) if len(border) else (np.zeros(len(points)), None)
    x, y = points[int(np.argmax(distances))]
    return float(x), float(y)


def _rim_sides(faces: NDArray[np.integer]) -> NDArray[np.int64]:
    """List the sides, (n, 2) vertices, that belong to one triangle only."""
    ends = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1).astype(np.int64)
    n = int(ends.max(initial=0)) + 1
    keys, counts = np.unique(ends[:, 0] * n + ends[:, 1], return_counts=True)
    return np.stack(np.divmod(keys[counts == 1], n), axis=1)


def _along(sides: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give places along sides (n, 2 ends, 2): where a map is stretched its vertices alone are far apart."""
    share = np.linspace(0.0, 1.0, _SAMPLES)[:, None, None]
    return np.asarray((1 - share) * sides[:, 0] + share * sides[:, 1], dtype=np.float64).reshape(-1, 2)


def _tint(color: str) -> str:
    red, green, blue = (1 - _TINT * (1 - part) for part in to_rgb(color))
    return to_hex((red, green, blue))


def _draw_region(axes: Axes, one: FlatHemisphere, *, label: int, name: str) -> None:
    chosen = one.flat[one.selected.get(name, np.empty(0, dtype=np.int64))]
    color = REGION_COLORS.get(name, MUTED)
    axes.scatter(chosen[:, 0], chosen[:, 1], s=3.5, color=color, linewidths=0, zorder=2, label=f"{name} selected",
                 rasterized=True)
    if (one.labels == label).any():
        said = axes.annotate(name, widest_place(one, label=label), ha="center", va="center", fontweight="bold",
                             fontsize=9, color=INK, zorder=4)
        said.set_path_effects([patheffects.withStroke(linewidth=2.2, foreground=PAPER, alpha=0.85)])


def _draw_scale(axes: Axes, *, low: NDArray[np.floating]) -> None:
    x, y = low[0] + 1.5, low[1] + 1.5
    axes.plot([x, x + _SCALE_MM], [y, y], color=INK, linewidth=1.6, solid_capstyle="butt", zorder=5)
    axes.text(x + _SCALE_MM / 2, y + 0.8, f"{_SCALE_MM:g} mm", ha="center", va="bottom", fontsize=7)
