"""The choice of vertices on the flattened cortex: split-half reliability, disks, and who was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.cortex.panels import SIDES, draw_borders, draw_scale, draw_values, frame_of, set_frame
from analysis.report.figures.style import INK, MUTED, PAPER, WIDTH_IN, new_figure, styled

_LEAST = 0.1
_PERCENTILE = 99.5  # of |rho|: what is larger has the last colour
_ROWS = (("Split-half reliability", "Spearman's ρ of the two RDMs"), ("Disks", "vertices in a disk"))


@dataclass(frozen=True, eq=False)
class SelectionMaps:
    """What is drawn of one hemisphere.

    Parameters
    ----------
    flat : FlatHemisphere
        With the regions, and the chosen vertices.
    rho : float array, (n_vertices,)
        Split-half reliability; NaN where no disk is.
    disk_sizes : float array, (n_vertices,)
        Vertices in each disk; NaN outside the regions.
    min_disk : int
        ``roi.min_disk``: of the others none can be chosen.
    """

    flat: FlatHemisphere
    rho: NDArray[np.floating]
    disk_sizes: NDArray[np.floating]
    min_disk: int

    def eligible(self) -> NDArray[np.floating]:
        """Give the reliability of the vertices that can be chosen, NaN at all others, (n_vertices,)."""
        return np.where(np.nan_to_num(self.disk_sizes) >= self.min_disk, self.rho, np.nan)

    def chosen(self) -> NDArray[np.integer]:
        """Give the chosen vertices of all regions."""
        return np.concatenate([np.empty(0, dtype=np.int64), *self.flat.selected.values()])

    def summary(self) -> str:
        """Say how reliable the chosen vertices are, beside all that could be chosen, in two lines."""
        usable = self.eligible()[np.isfinite(self.eligible())]
        said = f"{len(self.chosen())} chosen of {len(usable)} eligible"
        return f"{said}\nmedian ρ {np.median(self.rho[self.chosen()]):.2f}, of all eligible {np.median(usable):.2f}" \
            if len(usable) and len(self.chosen()) else said


@styled
def draw_selected(hemispheres: Sequence[SelectionMaps], *, regions: Sequence[str]) -> Figure:
    """Draw split-half reliability with the chosen vertices, and the sizes of the disks, on both flat maps.

    Parameters
    ----------
    hemispheres : sequence of SelectionMaps
    regions : sequence of str
        Names in the order of the labels.

    Returns
    -------
    Figure
        Reliability is grey where no vertex can be chosen: outside the regions, without signal, and where disks hold
        too few vertices; disks are grey where there is none.
    """
    frames = [frame_of(one.flat) for one in hemispheres]
    spans = np.array([high - low for low, high in frames])
    inch_per_mm = (WIDTH_IN - 1.2) / float(spans[:, 0].sum())
    figure = new_figure(WIDTH_IN, min(9.4, 1.3 + 2 * inch_per_mm * float(spans[:, 1].max())))
    panels = figure.subplots(2, len(frames), squeeze=False, width_ratios=spans[:, 0].tolist())
    rho = np.abs(np.concatenate([one.eligible()[np.isfinite(one.eligible())] for one in hemispheres]))
    most = max(_LEAST, float(np.percentile(rho, _PERCENTILE)) if len(rho) else _LEAST)
    largest = max(1.0, *(float(np.nanmax(one.disk_sizes, initial=0.0)) for one in hemispheres))
    shades = (ScalarMappable(Normalize(-most, most), cmap=mpl.colormaps["RdBu_r"]),
              ScalarMappable(Normalize(0, largest), cmap=mpl.colormaps["viridis"]))
    for k, (row, shade, (title, unit)) in enumerate(zip(panels, shades, _ROWS, strict=True)):
        for axes, one, (low, high) in zip(row, hemispheres, frames, strict=True):
            draw_values(axes, one.flat, values=(one.eligible(), one.disk_sizes)[k], shade=shade, low=low, high=high)
            draw_borders(axes, one.flat, regions=regions)
            set_frame(axes, low=low, high=high)
            more = "" if k else f"\n{one.summary()}"
            axes.set_title(f"{title}, {SIDES.get(one.flat.hemi, one.flat.hemi)}{more}", fontsize=7.5)
        bar = figure.colorbar(shade, ax=row.tolist(), shrink=0.6, aspect=18, pad=0.02,
                              extend="neither" if k else "both", ticks=MaxNLocator(6, integer=k == 1))
        bar.outline.set_visible(False)
        bar.set_label(unit, fontsize=7.5)
    for axes, one in zip(panels[0], hemispheres, strict=True):
        places = one.flat.flat[one.chosen()]
        axes.scatter(places[:, 0], places[:, 1], s=3.0, color=INK, edgecolors=PAPER, linewidths=0.15, zorder=5,
                     label="chosen", rasterized=True)
    draw_scale(panels[-1][0], low=frames[0][0])
    said = "\n".join(f"{one.flat.hemi}: {one.flat.distortion}" for one in hemispheres)
    figure.supxlabel(f"Dots: chosen vertices. Distortion of the flat maps:\n{said}", fontsize=6.5, color=MUTED)
    return figure
