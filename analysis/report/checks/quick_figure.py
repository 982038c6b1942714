"""One picture of a scan: verdicts, signal over noise, head movement, global signal, what answers to the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.report.figures.style import COLORS, INK, MUTED, WIDTH_IN, new_figure, rule_at_zero, styled

N_SLICES = 7


@dataclass(frozen=True, eq=False, kw_only=True)
class ScanPicture:
    """What is drawn of a scan.

    Parameters
    ----------
    title : str
    verdicts : sequence of (str, bool)
        What was found, and whether it is as it should be.
    mean, snr, z : float array, (x, y, z)
        Mean signal; signal over noise and z of images against blanks, NaN outside the head.
    motion : float array, (n_volumes, 6)
    displacement, global_pct : float array, (n_volumes,)
    tr_s : float
    """

    title: str
    verdicts: Sequence[tuple[str, bool]]
    mean: NDArray[np.floating]
    snr: NDArray[np.floating]
    z: NDArray[np.floating]
    motion: NDArray[np.floating]
    displacement: NDArray[np.floating]
    global_pct: NDArray[np.floating]
    tr_s: float


@styled
def draw_scan(scan: ScanPicture) -> Figure:
    """Draw a scan on one page."""
    figure = new_figure(WIDTH_IN, 6.6)
    rows = figure.add_gridspec(4, 1, height_ratios=[0.30 + 0.145 * len(scan.verdicts), 1.15, 1.15, 1.5])
    _write_verdicts(figure.add_subplot(rows[0]), scan)
    _draw_slices(figure.add_subplot(rows[1]), scan.snr, mean=None, title="signal over noise (mean / SD over time)",
                 limits=(0, float(np.nanpercentile(scan.snr, 98))), colors="viridis")
    _draw_slices(figure.add_subplot(rows[2]), np.where(np.abs(scan.z) > 3, scan.z, np.nan), mean=scan.mean,
                 title="pictures against blanks, z beyond 3", limits=(-8, 8), colors="RdBu_r")
    _draw_courses(rows[3].subgridspec(1, 3), scan, figure=figure)
    return figure


def _write_verdicts(axes: Axes, scan: ScanPicture) -> None:
    axes.set_axis_off()
    axes.set_title(scan.title, fontsize=10)
    for place, (text, good) in enumerate(scan.verdicts):
        height = 1 - (place + 0.6) / len(scan.verdicts)
        axes.text(0.0, height, "ok" if good else "LOOK", color="#00785A" if good else COLORS["AI"], fontweight="bold",
                  va="center", transform=axes.transAxes)
        axes.text(0.065, height, text, va="center", color=INK, transform=axes.transAxes)


def _draw_slices(axes: Axes, values: NDArray[np.floating], *, mean: NDArray[np.floating] | None, title: str,
                 limits: tuple[float, float], colors: str) -> None:
    depth = values.shape[2]
    chosen = np.linspace(0.15 * depth, 0.85 * depth, N_SLICES).astype(int)
    def side_by_side(whole: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.concatenate([whole[:, :, k].T[::-1] for k in chosen], axis=1)

    if mean is not None:
        axes.imshow(side_by_side(mean), cmap="gray", vmax=float(np.percentile(mean, 99.5)), interpolation="nearest")
    image = axes.imshow(side_by_side(values), cmap=colors, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title)
    axes.figure.colorbar(image, ax=axes, shrink=0.8, pad=0.01)


def _draw_courses(grid: object, scan: ScanPicture, *, figure: Figure) -> None:
    minutes = scan.tr_s * np.arange(len(scan.displacement)) / 60
    panels = [figure.add_subplot(grid[k]) for k in range(3)]  # type: ignore[index]
    for columns, name, shade in ((slice(0, 3), "mm", COLORS["AN"]), (slice(3, 6), "degrees", COLORS["AI"])):
        for k, line in enumerate(scan.motion[:, columns].T):
            panels[0].plot(minutes, line, color=shade, alpha=1 - 0.28 * k, linewidth=0.9, label=name if not k else None)
    rule_at_zero(panels[0])
    panels[0].legend(frameon=False, loc="best", fontsize=7)
    panels[0].set_title("head against the start")
    panels[1].plot(minutes, scan.displacement, color=INK, linewidth=0.8)
    panels[1].axhline(0.5, color=MUTED, linewidth=0.7, linestyle=(0, (3, 2)))
    panels[1].set_ylim(0, max(0.6, 1.1 * float(scan.displacement.max())))
    panels[1].set_title("displacement (mm a volume)")
    panels[2].plot(minutes, scan.global_pct, color=INK, linewidth=0.8)
    rule_at_zero(panels[2])
    panels[2].set_title("global signal (%)")
    for one in panels:
        one.set_xlabel("Time (min)")
