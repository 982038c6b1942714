"""The step ``localizers`` with its picture: both contrasts and the areas on the flattened cortex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.regions.localizing.contrasts import LOCALIZERS
from analysis.regions.localizing.step import COLORS, LABELS, Contrasted, LocalizedHemisphere, plan_localizers
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.cortex.panels import (
    SIDES,
    draw_borders,
    draw_classes,
    draw_scale,
    draw_values,
    frame_of,
    set_frame,
)
from analysis.report.figures.style import WIDTH_IN, new_figure, save, styled
from analysis.steps import Request, Work

_LEAST_T = 3.0
_PERCENTILE = 99.5  # of |t|: what is larger has the last colour


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the localizers of each subject."""
    return plan_localizers(request, draw)


def draw(found: Mapping[str, LocalizedHemisphere], path: Path) -> None:
    """Draw what was found as PNG and SVG."""
    save(draw_localizers(tuple(found.values())), path.parent, name=path.stem)


@styled
def draw_localizers(hemispheres: Sequence[LocalizedHemisphere]) -> Figure:
    """Draw a row for each contrast, and one for the areas, both hemispheres side by side.

    Parameters
    ----------
    hemispheres : sequence of LocalizedHemisphere

    Returns
    -------
    Figure
        t of each contrast, red where the area's condition evokes more, and the areas with their number of vertices;
        borders and names of the subject's labelled regions over all.
    """
    flat = [_as_flat(one) for one in hemispheres]
    names = tuple(hemispheres[0].regions)
    frames = [frame_of(one) for one in flat]
    spans = np.array([high - low for low, high in frames])
    rows = [*hemispheres[0].contrasts, "areas"]
    inch_per_mm = (WIDTH_IN - 1.2) / float(spans[:, 0].sum())
    figure = new_figure(WIDTH_IN, min(10.5, 0.5 + len(rows) * (0.35 + inch_per_mm * float(spans[:, 1].max()))))
    panels = figure.subplots(len(rows), len(flat), squeeze=False, width_ratios=spans[:, 0].tolist())
    shade = _shade([found for one in hemispheres for found in one.contrasts.values()])
    for axes_row, row in zip(panels, rows, strict=True):
        for axes, one, sheet, (low, high) in zip(axes_row, hemispheres, flat, frames, strict=True):
            if row == "areas":
                _draw_areas(axes, one, sheet, low=low, high=high)
            else:
                draw_values(axes, sheet, values=one.contrasts[row].found.t, shade=shade, low=low, high=high)
                axes.set_title(_say_contrast(row, one))
            draw_borders(axes, sheet, regions=names)
            set_frame(axes, low=low, high=high)
    draw_scale(panels[-1][0], low=frames[0][0])
    bar = figure.colorbar(shade, ax=panels, shrink=0.3, aspect=18, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label("t", fontsize=7.5)
    return figure


def _as_flat(one: LocalizedHemisphere) -> FlatHemisphere:
    labels = np.zeros(one.surface.n_vertices, dtype=np.int16)
    for k, mask in enumerate(one.regions.values(), start=1):
        labels[mask] = k
    return FlatHemisphere(one.surface.hemi, one.surface.flat, one.surface.faces, labels, {})


def _shade(contrasts: Sequence[Contrasted]) -> ScalarMappable:
    t = np.abs(np.concatenate([one.found.t for one in contrasts]))
    t = t[np.isfinite(t)]
    most = max(_LEAST_T, float(np.percentile(t, _PERCENTILE))) if len(t) else _LEAST_T
    return ScalarMappable(Normalize(-most, most), cmap=mpl.colormaps["RdBu_r"])


def _say_contrast(name: str, one: LocalizedHemisphere) -> str:
    localizer, found = LOCALIZERS[name], one.contrasts[name]
    left = f"\n{found.positive.n_scattered} more, scattered, left out" if found.positive.n_scattered else ""
    return (f"{localizer.area}: {localizer.above} > {localizer.below}, "
            f"{SIDES.get(one.surface.hemi, one.surface.hemi)}\nt > {found.t_threshold:.2f}: "
            f"{int(found.positive.mask.sum())} of {found.positive.n_tested} vertices{left}")


def _draw_areas(axes: Axes, one: LocalizedHemisphere, sheet: FlatHemisphere, *, low: np.ndarray,
                high: np.ndarray) -> None:
    classes = one.labels
    draw_classes(axes, sheet, classes=classes, colors={k: COLORS[name] for k, name in LABELS.items()}, low=low,
                 high=high)
    said = {"LO and hMT+": "both (taken from LO)"}
    names = {name: k for k, name in LABELS.items() if (classes == k).any()}
    axes.legend(handles=[Patch(color=COLORS[name], label=f"{said.get(name, name)} {int((classes == k).sum())}")
                         for name, k in names.items()], loc="upper left", bbox_to_anchor=(0.0, 0.0), ncols=3,
                frameon=False, fontsize=7, handlelength=1.0, columnspacing=1.0, borderpad=0.0)
    axes.set_title(f"Areas, {SIDES.get(one.surface.hemi, one.surface.hemi)}")
