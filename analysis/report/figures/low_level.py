"""Low-level properties of the images by type: luminance, contrast, colour, spatial frequencies."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.report.figures.style import COLORS, INK, MUTED, WIDTH_IN, new_figure, styled

_TYPES = ("RE", "AN", "AI")
_PANELS = (("luminance", "Luminance\n(% of white)"), ("rms_contrast", "RMS contrast\n(SD / mean)"),
           ("red_green", "Red–green\n(mean a*)"), ("blue_yellow", "Blue–yellow\n(mean b*)"))
_SHIFT = {"RE": -0.05, "AN": 0.0, "AI": 0.05}


@styled
def draw_low_level(measures: pd.DataFrame, *, image_deg: float) -> Figure:
    """Draw each measure by type, a dot an image, and the spectrum of each type.

    Parameters
    ----------
    measures : DataFrame
        Columns of :func:`analysis.rsa.confounds.measure_set`.
    image_deg : float
        Side of the images as they are shown, degrees.

    Returns
    -------
    Figure
        Line across the dots: median. Spectrum: median RMS contrast of each octave, band from quartile to quartile.
    """
    figure = new_figure(WIDTH_IN, 2.5)
    panels = figure.subplots(1, len(_PANELS) + 1, width_ratios=[1] * len(_PANELS) + [2.1])
    for axes, (column, title) in zip(panels[:-1], _PANELS, strict=True):
        _draw_dots(axes, measures, column=column)
        axes.set_title(title, fontsize=7.5, fontweight="normal")
    _draw_spectra(panels[-1], measures, image_deg=image_deg)
    return figure


def _draw_dots(axes: Axes, measures: pd.DataFrame, *, column: str) -> None:
    for k, kind in enumerate(_TYPES):
        values = measures.loc[measures["type"] == kind, column].to_numpy(dtype=np.float64)
        spread = np.random.default_rng(k).uniform(-0.22, 0.22, size=len(values))
        axes.plot(k + spread, values, linestyle="none", marker="o", markersize=2.2, color=COLORS[kind], alpha=0.55,
                  markeredgewidth=0, label=kind)
        axes.hlines(np.median(values), k - 0.34, k + 0.34, color=INK, linewidth=1.2, zorder=3)
    axes.set_xticks(range(len(_TYPES)), _TYPES)
    axes.set_xlim(-0.55, len(_TYPES) - 0.45)
    axes.tick_params(axis="x", length=0)
    for label, kind in zip(axes.get_xticklabels(), _TYPES, strict=True):
        label.set_color(COLORS[kind])
    if column in ("luminance", "rms_contrast"):
        axes.set_ylim(bottom=0)
    else:
        axes.axhline(0, color=MUTED, linewidth=0.5, zorder=0)


def _draw_spectra(axes: Axes, measures: pd.DataFrame, *, image_deg: float) -> None:
    columns = [name for name in measures.columns if name.startswith("contrast_")]
    edges = np.array([[float(part) for part in name.split("_")[1:]] for name in columns])
    centres = np.sqrt(edges[:, 0] * edges[:, 1]) / image_deg
    for kind in _TYPES:
        values = measures.loc[measures["type"] == kind, columns].to_numpy(dtype=np.float64)
        low, middle, high = np.percentile(values, [25, 50, 75], axis=0)
        x = centres * 2 ** _SHIFT[kind]
        axes.fill_between(x, low, high, color=COLORS[kind], alpha=0.18, linewidth=0)
        axes.plot(x, middle, color=COLORS[kind], marker="o", markersize=3, label=kind,
                  linestyle=(0, (4, 2)) if kind == "AI" else "-")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = 2.0 ** np.arange(np.ceil(np.log2(centres[0])), np.floor(np.log2(centres[-1])) + 1)
    axes.set_xticks(ticks, [f"{tick:g}".removeprefix("0") for tick in ticks])
    axes.set_yticks([0.01, 0.03, 0.1, 0.3], [".01", ".03", ".1", ".3"])
    axes.minorticks_off()
    axes.set_title("RMS contrast by octave", fontsize=7.5, fontweight="normal")
    axes.set_xlabel("Spatial frequency (cycles/deg)", fontsize=7.5)
    axes.legend(frameon=False, fontsize=7, handlelength=1.8, borderaxespad=0.2)
