"""Contrasts of the localizers and the areas that they give, on the flattened cortex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from analysis.regions.localizing.step import COLORS, LABELS
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.cortex.panels import (
    SIDES,
    draw_borders,
    draw_classes,
    draw_outline,
    draw_scale,
    draw_values,
    frame_of,
    set_frame,
)
from analysis.report.figures.style import INK, WIDTH_IN, new_figure, styled

_SAID = {"LO and hMT+": "both: taken from LO"}
_LEAST_T = 3.0
_PERCENTILE = 99.5  # of |t|: what is larger has the last colour


@dataclass(frozen=True, eq=False)
class DrawnContrast:
    """One localizer's contrast in one hemisphere.

    Parameters
    ----------
    area, contrast : str
        ``"LO"``, ``"intact > scrambled"``.
    t : float array, (n_vertices,)
        NaN where there is no signal.
    t_threshold : float
        Above it a vertex passes; infinite where none does.
    passed : bool array, (n_vertices,)
        Who does, without scattered pieces.
    n_tested, n_scattered : int
        Vertices with signal, and those that pass in pieces too small to count.
    """

    area: str
    contrast: str
    t: NDArray[np.floating]
    t_threshold: float
    passed: NDArray[np.bool_]
    n_tested: int
    n_scattered: int

    def summary(self) -> str:
        """Say threshold and counts in two lines."""
        n = int(self.passed.sum())
        share = f" ({100 * n / self.n_tested:.1f} %)" if self.n_tested else ""
        threshold = f"t > {self.t_threshold:.2f}" if np.isfinite(self.t_threshold) else "no t passes"
        left = f"\n{self.n_scattered} more in small pieces left out" if self.n_scattered else ""
        return f"{threshold}: {n} of {self.n_tested} vertices{share}{left}"


@dataclass(frozen=True, eq=False)
class LocalizedMaps:
    """What is drawn of one hemisphere.

    Parameters
    ----------
    flat : FlatHemisphere
        With the subject's labelled regions, if there are any.
    regions : tuple of str
        Their names, in the order of the labels.
    contrasts : tuple of DrawnContrast
    classes : int array, (n_vertices,)
        Numbers of :data:`~analysis.regions.localizing.step.LABELS`, 0 elsewhere.
    """

    flat: FlatHemisphere
    regions: tuple[str, ...]
    contrasts: tuple[DrawnContrast, ...]
    classes: NDArray[np.integer]

    def frame(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Find the corners of what is shown: labelled regions and localized areas."""
        shown = np.where(self.classes > 0, len(self.regions) + 1, self.flat.labels)
        return frame_of(FlatHemisphere(self.flat.hemi, self.flat.flat, self.flat.faces, shown, {}))


@styled
def draw_localized(hemispheres: Sequence[LocalizedMaps]) -> Figure:
    """Draw a row for each contrast, and one for the areas, both hemispheres side by side.

    Parameters
    ----------
    hemispheres : sequence of LocalizedMaps

    Returns
    -------
    Figure
        t of each contrast, red where the area's condition evokes more, heavy lines around what passes; the areas with
        their number of vertices; borders and names of the labelled regions over all.
    """
    frames = [one.frame() for one in hemispheres]
    spans = np.array([high - low for low, high in frames])
    n_rows = len(hemispheres[0].contrasts) + 1
    inch_per_mm = (WIDTH_IN - 1.2) / float(spans[:, 0].sum())
    figure = new_figure(WIDTH_IN, min(10.5, 0.6 + n_rows * (0.5 + inch_per_mm * float(spans[:, 1].max()))))
    panels = figure.subplots(n_rows, len(hemispheres), squeeze=False, width_ratios=spans[:, 0].tolist())
    shade = _shade([found for one in hemispheres for found in one.contrasts])
    for k, axes_row in enumerate(panels):
        for axes, one, (low, high) in zip(axes_row, hemispheres, frames, strict=True):
            if k < n_rows - 1:
                _draw_contrast(axes, one, one.contrasts[k], shade=shade, low=low, high=high)
            else:
                _draw_areas(axes, one, low=low, high=high)
            draw_borders(axes, one.flat, regions=one.regions)
            set_frame(axes, low=low, high=high)
    draw_scale(panels[-1][0], low=frames[0][0])
    bar = figure.colorbar(shade, ax=panels, shrink=0.3, aspect=18, pad=0.02, extend="both")
    bar.outline.set_visible(False)
    bar.set_label("t of the contrast", fontsize=7.5)
    return figure


def _shade(contrasts: Sequence[DrawnContrast]) -> ScalarMappable:
    t = np.abs(np.concatenate([one.t for one in contrasts]))
    t = t[np.isfinite(t)]
    most = max(_LEAST_T, float(np.percentile(t, _PERCENTILE))) if len(t) else _LEAST_T
    return ScalarMappable(Normalize(-most, most), cmap=mpl.colormaps["RdBu_r"])


def _draw_contrast(axes: Axes, one: LocalizedMaps, found: DrawnContrast, *, shade: ScalarMappable,
                   low: NDArray[np.floating], high: NDArray[np.floating]) -> None:
    draw_values(axes, one.flat, values=found.t, shade=shade, low=low, high=high)
    draw_outline(axes, one.flat, inside=found.passed)
    axes.set_title(f"{found.area}: {found.contrast}, {_side(one)}\n{found.summary()}", fontsize=7.0)


def _draw_areas(axes: Axes, one: LocalizedMaps, *, low: NDArray[np.floating], high: NDArray[np.floating]) -> None:
    draw_classes(axes, one.flat, classes=one.classes, colors={k: COLORS[name] for k, name in LABELS.items()},
                 low=low, high=high)
    counts = {name: int((one.classes == k).sum()) for k, name in LABELS.items()}
    handles: list[Patch | Line2D] = [Patch(color=COLORS[name], label=f"{_SAID.get(name, name)} {n}")
                                     for name, n in counts.items() if n]
    if one.regions:
        handles.append(Line2D([], [], color=INK, linewidth=0.6, label="labelled regions"))
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 0.0), ncols=2, frameon=False, fontsize=7,
                handlelength=1.0, columnspacing=1.0, borderpad=0.0)
    axes.set_title(f"Areas, {_side(one)}", fontsize=7.0)


def _side(one: LocalizedMaps) -> str:
    return SIDES.get(one.flat.hemi, one.flat.hemi).removesuffix(" hemisphere")
