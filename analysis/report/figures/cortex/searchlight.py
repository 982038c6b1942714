"""Fig. 4 of the paper: RE-AI and RE-AN around every vertex of the flattened cortex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from analysis.data.gifti import read_gifti
from analysis.report.figures.cortex.flatmap import FlatHemisphere, face_labels, widest_place
from analysis.report.figures.cortex.raster import draw_triangles
from analysis.report.figures.style import COLORS, INK, PAPER, WIDTH_IN, new_figure, styled
from analysis.running import Digests, is_whole
from analysis.steps import STEPS, Request, Work
from subjects.errors import AnalysisError

_MARGIN_MM, _SCALE_MM = 6.0, 10.0
_NOTHING = "#dcdcd6"
_KINDS = ("AI", "AN")
Floats32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SearchlightHemisphere:
    """Similarities of one hemisphere.

    Parameters
    ----------
    flat : FlatHemisphere
    rho : dict of str to float32 array, (n_vertices,)
        ``"AI"``, ``"AN"``; NaN where there is none.

    Raises
    ------
    AnalysisError
        If they are of another mesh.
    """

    flat: FlatHemisphere
    rho: dict[str, Floats32]

    def __post_init__(self) -> None:
        for kind in _KINDS:
            if len(self.rho[kind]) != len(self.flat.flat):
                raise AnalysisError(f"searchlight of hemi-{self.flat.hemi}", came=f"{len(self.rho[kind])} values for "
                                    f"{len(self.flat.flat)} vertices", expected="one value a vertex",
                                    remedy="Run `python -m analysis searchlight` again.")


def plan_searchlights(request: Request) -> dict[str, Work]:
    """Give the searchlight maps that the subjects have, by subject; there need not be any.

    Raises
    ------
    AnalysisError
        If those of a subject are of other files or settings than the study's: they are shown as they should be, or not
        at all.
    """
    works = {work.sub or "": work for work in STEPS["searchlight"].plan(request)}
    have = {sub: work for sub, work in works.items() if any(path.is_file() for path in work.outputs)}
    digests = Digests(verify=True)
    for sub, work in have.items():
        if not is_whole(work, digests=digests):
            raise AnalysisError(str(work.outputs[0]), came="searchlight maps of other files or settings, or changed",
                                expected="those of the study's current files and settings",
                                remedy=f"Run `{request.command('searchlight', sub=sub)}`, or remove them.")
    return have


def read_searchlight(work: Work, *, flat: Sequence[FlatHemisphere]) -> tuple[SearchlightHemisphere, ...]:
    """Read a subject's maps."""
    found = []
    for path, one in zip(work.outputs, flat, strict=True):
        maps = {array.meta["Name"]: array.data for array in read_gifti(path, expected="searchlight maps").darrays}
        found.append(SearchlightHemisphere(one, {kind: maps[f"RE-{kind}"] for kind in _KINDS}))
    return tuple(found)


@styled
def draw_searchlight(hemispheres: Sequence[SearchlightHemisphere], *, regions: Sequence[str]) -> Figure:
    """Draw RE-AI above RE-AN on both flat maps, one scale for all, the regions' borders over them.

    Parameters
    ----------
    hemispheres : sequence of SearchlightHemisphere
    regions : sequence of str
        Names in the order of the labels.

    Returns
    -------
    Figure
        Red above 0, blue below, grey where there is no value.
    """
    frames = [_frame(one.flat) for one in hemispheres]
    spans = np.array([high - low for low, high in frames])
    inch_per_mm = (WIDTH_IN - 1.2) / float(spans[:, 0].sum())
    figure = new_figure(WIDTH_IN, min(9.0, 0.9 + 2 * inch_per_mm * float(spans[:, 1].max())))
    panels = figure.subplots(2, len(hemispheres), squeeze=False, width_ratios=spans[:, 0].tolist())
    most = max(0.1, float(np.nanmax([np.nanmax(np.abs(one.rho[kind]), initial=0.0) for one in hemispheres
                                     for kind in _KINDS])))
    shade = ScalarMappable(Normalize(-most, most), cmap=mpl.colormaps["RdBu_r"])
    for row, kind in zip(panels, _KINDS, strict=True):
        for axes, one, (low, high) in zip(row, hemispheres, frames, strict=True):
            _draw_map(axes, one.flat, one.rho[kind], shade=shade, low=low, high=high)
            _draw_regions(axes, one.flat, regions=regions)
            axes.set_xlim(low[0], high[0])
            axes.set_ylim(low[1], high[1])
            axes.set_aspect("equal")
            axes.set_axis_off()
            side = {"L": "left hemisphere", "R": "right hemisphere"}.get(one.flat.hemi, one.flat.hemi)
            axes.set_title(f"RE-{kind}, {side}", color=COLORS[kind])
    _draw_scale(panels[-1][0], low=frames[0][0])
    bar = figure.colorbar(shade, ax=panels, shrink=0.5, aspect=22, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label("Similarity of RDMs (Spearman's ρ)", fontsize=7.5)
    return figure


def _frame(one: FlatHemisphere) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    shown = one.flat[one.labels > 0] if (one.labels > 0).any() else one.flat
    return shown.min(axis=0) - _MARGIN_MM, shown.max(axis=0) + _MARGIN_MM


def _draw_map(axes: Axes, one: FlatHemisphere, values: Floats32, *, shade: ScalarMappable,
              low: NDArray[np.floating], high: NDArray[np.floating]) -> None:
    centres = one.flat[one.faces].mean(axis=1)
    near = ((centres > low - _MARGIN_MM) & (centres < high + _MARGIN_MM)).all(axis=1)
    faces = one.faces[near]
    means = values[faces].mean(axis=1)
    colors = np.asarray(shade.to_rgba(np.nan_to_num(means)))[:, :3]
    colors[np.isnan(means)] = to_rgb(_NOTHING)
    draw_triangles(axes, one.flat[faces], colors=colors, low=low, high=high, pixels=700)


def _draw_regions(axes: Axes, one: FlatHemisphere, *, regions: Sequence[str]) -> None:
    """Draw the sides between triangles of two regions, and the regions' names."""
    of_face = face_labels(one.faces, one.labels)
    sides = np.sort(one.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    order = np.lexsort(sides.T)
    ordered, owner = sides[order], np.repeat(of_face, 3)[order]
    shared = (ordered[1:] == ordered[:-1]).all(axis=1) & (owner[1:] != owner[:-1])
    ends = one.flat[ordered[1:][shared]]
    gaps = np.full((len(ends), 1, 2), np.nan)
    path = np.concatenate([ends, gaps], axis=1).reshape(-1, 2)
    axes.plot(path[:, 0], path[:, 1], color=INK, linewidth=0.6, zorder=3, label="borders")
    for k, name in enumerate(regions, start=1):
        if (one.labels == k).any():
            axes.annotate(name, widest_place(one, label=k), ha="center", va="center", fontsize=8, fontweight="bold",
                          color=INK, zorder=4, path_effects=[withStroke(linewidth=2.0, foreground=PAPER, alpha=0.85)])


def _draw_scale(axes: Axes, *, low: NDArray[np.floating]) -> None:
    x, y = low[0] + 1.5, low[1] + 1.5
    axes.plot([x, x + _SCALE_MM], [y, y], color=INK, linewidth=1.6, solid_capstyle="butt", zorder=5)
    axes.text(x + _SCALE_MM / 2, y + 0.8, f"{_SCALE_MM:g} mm", ha="center", va="bottom", fontsize=7)
