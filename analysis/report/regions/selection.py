"""The step ``select`` with its picture: split-half reliability around every labelled vertex, and who was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis.regions.selecting import Found, plan_selections
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.cortex.panels import SIDES, draw_borders, draw_scale, draw_values, frame_of, set_frame
from analysis.report.figures.style import INK, MUTED, PAPER, WIDTH_IN, new_figure, save, styled
from analysis.steps import Request, Work

_LEAST = 0.1


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the selection of each subject."""
    return plan_selections(request, draw)


def draw(found: Mapping[str, Found], path: Path) -> None:
    """Draw what was chosen as PNG and SVG."""
    save(draw_selection(tuple(found.values())), path.parent, name=path.stem)


@styled
def draw_selection(hemispheres: Sequence[Found]) -> Figure:
    """Draw split-half reliability with the chosen vertices, and the sizes of the disks, on both flat maps.

    Parameters
    ----------
    hemispheres : sequence of Found

    Returns
    -------
    Figure
        Grey where no disk is: outside the regions, and at vertices without signal.
    """
    flat = [FlatHemisphere(one.surface.hemi, one.surface.flat, one.surface.faces, one.labels, one.choice.vertices)
            for one in hemispheres]
    frames = [frame_of(one) for one in flat]
    spans = np.array([high - low for low, high in frames])
    inch_per_mm = (WIDTH_IN - 1.2) / float(spans[:, 0].sum())
    figure = new_figure(WIDTH_IN, min(9.4, 1.3 + 2 * inch_per_mm * float(spans[:, 1].max())))
    panels = figure.subplots(2, len(flat), squeeze=False, width_ratios=spans[:, 0].tolist())
    rho = [one.choice.consistency.rho for one in hemispheres]
    sizes = [np.where(one.labels > 0, one.choice.consistency.disk_sizes, np.nan).astype(float) for one in hemispheres]
    most = max(_LEAST, float(np.nanmax([np.nanmax(np.abs(one), initial=0.0) for one in rho])))
    largest = max(1.0, float(np.nanmax([np.nanmax(one, initial=0.0) for one in sizes])))
    shades = (ScalarMappable(Normalize(-most, most), cmap=mpl.colormaps["RdBu_r"]),
              ScalarMappable(Normalize(0, largest), cmap=mpl.colormaps["viridis"]))
    words = (("Split-half reliability", "Spearman's ρ of the two RDMs"), ("Disks", "vertices in a disk"))
    for row, values, shade, (title, unit) in zip(panels, (rho, sizes), shades, words, strict=True):
        for axes, one, sheet, value, (low, high) in zip(row, hemispheres, flat, values, frames, strict=True):
            draw_values(axes, sheet, values=value, shade=shade, low=low, high=high)
            draw_borders(axes, sheet, regions=one.names)
            set_frame(axes, low=low, high=high)
            axes.set_title(f"{title}, {SIDES.get(sheet.hemi, sheet.hemi)}")
        bar = figure.colorbar(shade, ax=row.tolist(), shrink=0.6, aspect=18, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(unit, fontsize=7.5)
    for axes, one in zip(panels[0], hemispheres, strict=True):
        chosen = one.surface.flat[np.concatenate([*one.choice.vertices.values()])]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=3.0, color=INK, edgecolors=PAPER, linewidths=0.15, zorder=5,
                     label="chosen", rasterized=True)
    draw_scale(panels[-1][0], low=frames[0][0])
    said = "\n".join(f"{one.surface.hemi}: {one.surface.distortion().summary()}" for one in hemispheres)
    figure.supxlabel(f"Dots: chosen vertices. Distortion of the flat maps:\n{said}", fontsize=6.5, color=MUTED)
    return figure
