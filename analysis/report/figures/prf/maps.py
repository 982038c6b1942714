"""Maps of population receptive fields on the flattened and the inflated cortex, with a legend of the visual field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, PowerNorm, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from analysis.regions.prf.maps import PrfMaps
from analysis.report.figures.cortex.flatmap import FlatHemisphere, widest_place
from analysis.report.figures.cortex.raster import draw_triangles
from analysis.report.figures.prf.field_colors import angle_colors, draw_disk
from analysis.report.figures.style import INK, PAPER, WIDTH_IN, new_figure, styled
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
_CORTEX = "#e9e8e4"
_R2_COLORS = LinearSegmentedColormap.from_list("r2", [_CORTEX, "#b9a3cc", "#7b4fa3", "#3d1a66", "#190a33"])
_MARGIN_MM = 3.0
_SIDES = {"L": "Left", "R": "Right"}
_LIGHT = np.array([0.2, 0.35, 0.91])  # from above and beside the reader


@dataclass(frozen=True, eq=False, kw_only=True)
class PrfHemisphere:
    """What is drawn of one hemisphere.

    Parameters
    ----------
    flat : FlatHemisphere
        Mesh, labels.
    maps : PrfMaps
    show_r2_pct : float
        Vertices whose fit explains more are coloured.
    inflated : array, (n_vertices, 3), optional
        Places of the same vertices on the inflated surface.
    faces : int array, (n_faces, 3), optional
        The triangles of that surface.

    Raises
    ------
    AnalysisError
        If maps and meshes are not of the same vertices.
    """

    flat: FlatHemisphere
    maps: PrfMaps
    show_r2_pct: float
    inflated: NDArray[np.floating] | None = None
    faces: NDArray[np.integer] | None = None
    _places: dict[int, tuple[float, float]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        meshes = [len(self.flat.flat), *([] if self.inflated is None else [len(self.inflated)])]
        if any(n != self.maps.n_vertices for n in meshes):
            raise AnalysisError(f"receptive fields of hemi-{self.flat.hemi}", expected="maps and meshes of one subject",
                                came=f"{self.maps.n_vertices} vertices on a mesh of {meshes[-1]}",
                                remedy="Take meshes and time series of one space, and run `python -m analysis prf`.")

    def name_place(self, label: int) -> tuple[float, float]:
        """Give where a region's name fits best on the flat map."""
        if label not in self._places:
            self._places[label] = widest_place(self.flat, label=label)
        return self._places[label]

    @cached_property
    def _nearest(self) -> NDArray[np.int64]:
        """Each vertex' own place or that of the nearest fitted one on the flat map, -1 where none is near."""
        fitted = np.flatnonzero(np.isfinite(self.maps.fit.r2))
        if not fitted.size:
            return np.full(self.maps.n_vertices, -1)
        tree = cKDTree(self.flat.flat[fitted])
        apart = np.atleast_2d(tree.query(self.flat.flat[fitted], k=min(2, len(fitted)))[0])[:, -1]
        away, nearest = tree.query(self.flat.flat)
        near = (away <= 3.0 * np.median(apart)) & (self.maps.mean_signal != 0)
        result: NDArray[np.int64] = np.where(near, fitted[nearest], -1)
        return result

    def values(self, name: str) -> Floats:
        """Give a map at every vertex, NaN where none is shown.

        Where only some vertices were fitted, a vertex between them has the value of the nearest on the flat map.
        """
        found = np.where(self.maps.shown(r2_pct=self.show_r2_pct), self.maps.by_name[name], np.nan)
        if name == "r2_pct":
            found = self.maps.fit.r2
        result: Floats = np.where(self._nearest >= 0, found[self._nearest], np.nan)
        return result


@dataclass(frozen=True)
class _Panel:
    """One map: which, its title, colours and scale."""

    name: str
    title: str
    colors: Colormap
    norm: Normalize
    unit: str


def _panels(hemispheres: Sequence[PrfHemisphere]) -> tuple[_Panel, ...]:
    radius = max(max(one.maps.field_deg) for one in hemispheres) / 2
    best = _top([one.maps.fit.r2 for one in hemispheres])
    largest = _top([one.values("size_deg") for one in hemispheres])
    maps = mpl.colormaps
    return (_Panel("angle_deg", "Polar angle", angle_colors(), Normalize(0, 360), ""),
            _Panel("eccentricity_deg", "Eccentricity", maps["cividis"], PowerNorm(0.5, 0, radius), ""),
            _Panel("size_deg", "Size", maps["viridis"], PowerNorm(0.5, 0, largest), "deg"),
            _Panel("r2_pct", "Variance explained", _R2_COLORS, Normalize(0, best), "%"))


def _top(values: Sequence[Floats]) -> float:
    """Choose the end of a scale: the next 1, 2, 3, 5 or 8 times a power of ten above 98 % of the values."""
    known = np.concatenate(values)
    known = known[np.isfinite(known)]
    high = max(float(np.percentile(known, 98)), 1e-3) if known.size else 1.0
    power = 10.0 ** np.floor(np.log10(high))
    return float(next(step * power for step in (1, 2, 3, 5, 8, 10) if step * power >= high * (1 - 1e-9)))


@styled
def draw_prf_maps(hemispheres: Sequence[PrfHemisphere], *, regions: Sequence[str]) -> Figure:
    """Draw angle, eccentricity, size and R2 on the flat maps of both hemispheres.

    Parameters
    ----------
    hemispheres : sequence of PrfHemisphere
    regions : sequence of str
        Names in the order of the labels; their borders are drawn.

    Returns
    -------
    Figure
    """
    frames = [_frame(one) for one in hemispheres]
    spans = np.array([high - low for low, high in frames])
    share = float(spans[:, 1].max() / spans[:, 0].sum())
    figure = new_figure(WIDTH_IN, 2 * (0.48 + share * (WIDTH_IN / 2 - 0.95)))
    parts = np.ravel(np.asarray(figure.subfigures(2, 2, wspace=0.03, hspace=0.02)))
    for part, panel in zip(parts, _panels(hemispheres), strict=True):
        axes = part.subplots(1, len(hemispheres) + 1, width_ratios=[*spans[:, 0], 0.24 * spans[:, 0].sum()])
        part.suptitle(panel.title, x=0.02, y=0.985, va="top", ha="left", fontsize=8.5, fontweight="bold")
        for place, one, frame in zip(axes, hemispheres, frames, strict=False):
            _draw_flat(place, one, panel, frame=frame, regions=regions)
        _draw_legend(axes[-1], panel, hemispheres)
    return figure


def _frame(one: PrfHemisphere) -> tuple[Floats, Floats]:
    """Find the corners of what is shown: all labelled vertices, or else all that were fitted."""
    some = one.flat.labels > 0 if (one.flat.labels > 0).any() else np.isfinite(one.maps.fit.r2)
    shown = one.flat.flat[some] if some.any() else one.flat.flat
    return shown.min(axis=0) - _MARGIN_MM, shown.max(axis=0) + _MARGIN_MM


def face_colors(values: Floats, faces: NDArray[np.integer], *, panel: _Panel) -> Floats:
    """Colour each triangle by the vertex of its corners that comes first and is shown; the cortex' grey without one.

    A corner's own value and no mean: angles of 350 and 10 degrees have no mean but by accident.
    """
    corners = values[faces]
    known = np.isfinite(corners)
    first = np.take_along_axis(corners, known.argmax(axis=1)[:, None], axis=1)[:, 0]
    colors = panel.colors(panel.norm(np.nan_to_num(first)))[:, :3]
    result: Floats = np.where((known.sum(axis=1) >= 2)[:, None], colors, to_rgb(_CORTEX))
    return result


def draw_map(axes: Axes, one: PrfHemisphere, *, name: str, legend: Axes) -> tuple[Floats, Floats]:
    """Draw one map of a hemisphere alone, without borders, and what its colours say; give the corners of what is shown.

    Parameters
    ----------
    axes : Axes
    one : PrfHemisphere
    name : {"angle_deg", "eccentricity_deg", "size_deg", "r2_pct"}
    legend : Axes
        Empty.
    """
    panel = next(panel for panel in _panels([one]) if panel.name == name)
    low, high = _frame(one)
    centres = one.flat.flat[one.flat.faces].mean(axis=1)
    faces = one.flat.faces[((centres > low) & (centres < high)).all(axis=1)]
    draw_triangles(axes, one.flat.flat[faces], low=low, high=high,
                   colors=face_colors(one.values(name), faces, panel=panel))
    _draw_legend(legend, panel, [one])
    return low, high


def _draw_flat(axes: Axes, one: PrfHemisphere, panel: _Panel, *, frame: tuple[Floats, Floats],
               regions: Sequence[str]) -> None:
    low, high = frame
    centres = one.flat.flat[one.flat.faces].mean(axis=1)
    faces = one.flat.faces[((centres > low) & (centres < high)).all(axis=1)]
    colors = face_colors(one.values(panel.name), faces, panel=panel)
    draw_triangles(axes, one.flat.flat[faces], colors=colors, low=low, high=high)
    borders = border_lines(one.flat.flat, faces, labels=one.flat.labels)
    axes.add_collection(LineCollection(list(borders), colors=INK, linewidths=0.7))
    for label, name in enumerate(regions, start=1):
        if (one.flat.labels == label).any():
            said = axes.annotate(name, one.name_place(label), ha="center", va="center", fontsize=6.5)
            said.set_path_effects([patheffects.withStroke(linewidth=1.8, foreground=PAPER, alpha=0.8)])
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.set_axis_off()
    axes.annotate(_SIDES[one.flat.hemi], (0.5, 0), xycoords="axes fraction", xytext=(0, -2), va="top", ha="center",
                  textcoords="offset points", fontsize=7)


def border_lines(flat: NDArray[np.floating], faces: NDArray[np.integer], *, labels: NDArray[np.integer]) -> Floats:
    """Draw the borders between labels: in each triangle of two labels, from the middle of one mixed side to the other.

    Examples
    --------
    >>> corners = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    >>> border_lines(corners, np.array([[0, 1, 2]]), labels=np.array([1, 2, 2])).tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]
    """
    ends = faces[:, [[0, 1], [1, 2], [2, 0]]]
    mixed = labels[ends[..., 0]] != labels[ends[..., 1]]
    middles = flat[ends].mean(axis=2)
    cut = np.flatnonzero(mixed.sum(axis=1) == 2)
    result: Floats = middles[cut][mixed[cut]].reshape(-1, 2, 2).astype(np.float64)
    return result


def _draw_legend(axes: Axes, panel: _Panel, hemispheres: Sequence[PrfHemisphere]) -> None:
    radius = max(max(one.maps.field_deg) for one in hemispheres) / 2
    if not panel.unit:
        draw_disk(axes, values=panel.name.removesuffix("_deg"), colors=panel.colors, norm=panel.norm, radius_deg=radius)
        return
    axes.set_axis_off()
    bar = axes.inset_axes((0.1, 0.12, 0.16, 0.7))
    levels = np.linspace(0, 1, 201)
    edges = panel.norm.inverse(levels)
    bar.pcolormesh([0, 1], edges, np.asarray((edges[:-1] + edges[1:]) / 2)[:, None], cmap=panel.colors, norm=panel.norm,
                   rasterized=True)
    bar.set_yscale("function", functions=(panel.norm, panel.norm.inverse))
    top = float(panel.norm.vmax or 1.0)
    between = [step * top for step in (0.1, 0.4)] if isinstance(panel.norm, PowerNorm) else [top / 2]
    ticks = [0.0, *between, top]
    bar.set(xticks=[], yticks=ticks, ylim=(0, top), xlim=(0, 1))
    bar.set_yticklabels([f"{tick:.3g}" for tick in ticks])
    bar.yaxis.tick_right()
    bar.tick_params(labelsize=6.5, length=2)
    bar.set_title(panel.unit, fontsize=6.5, fontweight="normal", loc="left", pad=2)


VIEWS = {"medial": (90.0, 0.0), "posterior": (0.0, 0.0), "lateral": (-90.0, 0.0)}
"""Views of a left hemisphere: degrees of turn about the vertical axis from the view from behind, and of tilt."""


@styled
def draw_prf_inflated(hemispheres: Sequence[PrfHemisphere]) -> Figure:
    """Draw angle and eccentricity on the inflated surfaces, from the middle, from behind and from the side.

    Parameters
    ----------
    hemispheres : sequence of PrfHemisphere
        With inflated surfaces.

    Returns
    -------
    Figure
        A row a map, for each hemisphere three views.
    """
    panels = _panels(hemispheres)[:2]
    figure = new_figure(WIDTH_IN, 2.9)
    axes = figure.subplots(len(panels), 3 * len(hemispheres) + 1, squeeze=False)
    for row, panel in zip(axes, panels, strict=True):
        for k, one in enumerate(hemispheres):
            views = list(VIEWS.items())[::1 if one.flat.hemi == "R" else -1]
            for place, (name, turn) in zip(row[3 * k:3 * k + 3], views, strict=True):
                _draw_view(place, one, panel, turn=turn)
                if panel is panels[0]:
                    place.set_title(f"{_SIDES[one.flat.hemi]}, {name}", fontsize=6.5, fontweight="normal", loc="center")
        _draw_legend(row[-1], panel, hemispheres)
    return figure


def _draw_view(axes: Axes, one: PrfHemisphere, panel: _Panel, *, turn: tuple[float, float]) -> None:
    if one.inflated is None or one.faces is None:
        raise ValueError("no inflated surface")
    points, faces = seen_from(one.inflated, hemi=one.flat.hemi, turn_deg=turn), one.faces
    sides = points[faces]
    normals = np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    front = np.flatnonzero(normals[:, 2] > 0)
    front = front[np.argsort(sides[front, :, 2].mean(axis=1))]
    light = 0.45 + 0.55 * np.clip(normals[front] @ _LIGHT, 0.0, 1.0)
    colors = face_colors(one.values(panel.name), faces[front], panel=panel) * light[:, None]
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    draw_triangles(axes, sides[front, :, :2], colors=colors, low=low, high=high)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.set_axis_off()


def seen_from(points: NDArray[np.floating], *, hemi: str, turn_deg: tuple[float, float]) -> Floats:
    """Turn a surface to the reader: x to the right, y upward, z toward the reader.

    Parameters
    ----------
    points : array, (n, 3)
        x to the right, y to the front, z up, as FreeSurfer has them.
    hemi : {"L", "R"}
        Views of the right hemisphere are mirror images of those of the left.
    turn_deg : (float, float)
        See :data:`VIEWS`.
    """
    turn, tilt = np.radians(turn_deg[0] * (1.0 if hemi == "L" else -1.0)), np.radians(turn_deg[1])
    x, y, z = np.asarray(points, dtype=np.float64).T
    across, toward = x * np.cos(turn) + y * np.sin(turn), x * np.sin(turn) - y * np.cos(turn)
    upward, nearer = z * np.cos(tilt) - toward * np.sin(tilt), toward * np.cos(tilt) + z * np.sin(tilt)
    return np.stack([across, upward, nearer], axis=1)
