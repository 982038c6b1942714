# ruff: noqa: INP001
"""The picture of docs/virtual-subject.md: areas and fields of one hemisphere, and a vertex of each in every paradigm.

    PYTHONPATH=. python docs/setup/virtual_subject_picture.py --study DIR [--sub 01]

of a study whose subject was simulated with the default settings.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

from analysis.data.sources import resolve_subject
from analysis.data.timeseries import read_run
from analysis.regions.labels import COLORS
from analysis.simulation.brain.fields import AREAS
from analysis.simulation.truth_file import load_areas, load_fields
from subjects.layout import Layout

mpl.use("Agg")
import matplotlib.pyplot as plt

TARGET = Path(__file__).parents[1] / "pictures" / "virtual-subject.png"
TITLES = {"main": "main experiment", "retinotopy": "retinotopic mapping", "lo": "LO localizer",
          "motion": "hMT+ localizer"}
SHOWN = ("V1", "LO", "hMT+")


def draw(layout: Layout, *, sub: str) -> None:
    """Draw maps above, time courses below."""
    colors = {**COLORS, "hMT+": "#3d3d3d"}
    truth = layout.derivative("simulated", sub=sub, suffix="truth.h5")
    areas, fields = load_areas(truth, hemi="L"), load_fields(truth, hemi="L")
    x, y = resolve_subject(layout, sub=sub).load_surface("L").flat.T
    inside = areas.areas > 0
    figure, axes = plt.subplots(2, 4, figsize=(13, 6.2), height_ratios=(1.5, 1), layout="constrained")
    shades = np.array(["#dddddd", *(colors[name] for name in AREAS)])[areas.areas]
    axes[0, 0].scatter(x, y, c=shades, s=0.7, rasterized=True)
    both = areas.lo & areas.mt
    axes[0, 0].scatter(x[both], y[both], c="#e6e600", s=0.7, rasterized=True)
    for name in AREAS:
        at = areas.areas == AREAS.index(name) + 1
        right, up = (-14, 9) if name == "hMT+" else (0, 0)  # beside its area, which is small
        axes[0, 0].text(np.median(x[at]) + right, np.median(y[at]) + up, name, ha="center", va="center", fontsize=9,
                        weight="bold", color="white" if name in ("V1", "V4", "LO") else "black")
    axes[0, 0].set_title("areas (yellow: LO and hMT+)", fontsize=10)
    maps = (("polar angle, deg", np.degrees(np.arctan2(fields.y_deg, fields.x_deg)), "twilight_shifted", (-90, 90)),
            ("eccentricity, deg", np.hypot(fields.x_deg, fields.y_deg), "viridis", (0, 12)),
            ("field size, deg", fields.size_deg, "viridis", (0, 6)))
    for axis, (title, values, palette, limits) in zip(axes[0, 1:], maps, strict=True):
        axis.scatter(x[~inside], y[~inside], c="#dddddd", s=0.7, rasterized=True)
        dots = axis.scatter(x[inside], y[inside], c=values[inside], s=0.7, cmap=palette, vmin=limits[0], vmax=limits[1],
                            rasterized=True)
        figure.colorbar(dots, ax=axis, shrink=0.6, aspect=15)
        axis.set_title(title, fontsize=10)
    for axis in axes[0]:
        axis.set_aspect("equal")
        axis.axis("off")
    for axis, (task, title) in zip(axes[1], TITLES.items(), strict=True):
        data = resolve_subject(layout, sub=sub, task=task)
        series = read_run(data, data.runs[0], hemi="L", tr_s=2.0).data
        for k, name in enumerate(SHOWN):
            some = areas.areas == AREAS.index(name) + 1
            mean = series[:, some].mean(axis=1)
            axis.plot(2 * np.arange(len(mean)), 100 * (mean / mean.mean() - 1) + 4 * (len(SHOWN) - k), lw=0.9,
                      color=colors[name])
        axis.set_title(f"{title}, first run", fontsize=10)
        axis.set_xlabel("s", fontsize=9)
        axis.set_yticks([4 * (len(SHOWN) - k) for k in range(len(SHOWN))], SHOWN, fontsize=9)
        axis.tick_params(axis="x", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1, 0].plot([-8, -8], [9, 11], color="black", lw=2)
    axes[1, 0].text(-14, 10, "2 %", ha="right", va="center", fontsize=8)
    figure.savefig(TARGET, dpi=110)


def main() -> None:
    """Read the arguments and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--sub", default="01")
    given = parser.parse_args()
    draw(Layout(given.study), sub=given.sub)


if __name__ == "__main__":
    main()
