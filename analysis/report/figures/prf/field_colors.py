"""Colours of the visual field: a cyclic map of polar angle and its legend disk, made for colour-blind readers.

The map is a circle in CIELAB through lightness and the blue-yellow axis, which people without red or green cones see as
others do: dark on the right horizontal meridian, yellow up, light on the left, blue down. A share of red is added at
right and left, for those who see it.
"""

from __future__ import annotations

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, Normalize
from numpy.typing import NDArray

from analysis.report.figures.style import INK

Floats = NDArray[np.float64]
_MIDDLE, _LIGHTNESS, _BLUE_YELLOW, _RED = 57.0, 28.0, 52.0, 24.0
_WHITE = np.array([0.95047, 1.0, 1.08883])
_TO_RGB = np.array([[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560],
                    [0.0556434, -0.2040259, 1.0572252]])
N_COLORS = 256
_DISK_PX = 300


def lab_to_rgb(lab: Floats) -> Floats:
    """Turn CIELAB (D65) into sRGB, 0 to 1, (n, 3); colours that no screen shows are clipped.

    Examples
    --------
    >>> lab_to_rgb(np.array([[100.0, 0.0, 0.0], [53.24, 80.09, 67.20]])).round(2).tolist()
    [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]
    """
    lightness = (lab[:, 0] + 16.0) / 116.0
    parts = np.stack([lightness + lab[:, 1] / 500.0, lightness, lightness - lab[:, 2] / 200.0], axis=1)
    xyz = _WHITE * np.where(parts > 6 / 29, parts**3, 3 * (6 / 29) ** 2 * (parts - 4 / 29))
    linear = np.clip(xyz @ _TO_RGB.T, 0.0, 1.0)
    result: Floats = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return result


def angle_colors() -> ListedColormap:
    """Give the cyclic map: its ends are the right horizontal meridian, counter-clockwise between them."""
    turn = 2 * np.pi * np.arange(N_COLORS) / N_COLORS
    lab = np.stack([_MIDDLE - _LIGHTNESS * np.cos(turn), _RED * np.abs(np.cos(turn)), _BLUE_YELLOW * np.sin(turn)],
                   axis=1)
    return ListedColormap(lab_to_rgb(lab).tolist(), name="polar angle")


def draw_disk(axes: Axes, *, values: str, colors: Colormap, norm: Normalize, radius_deg: float) -> None:
    """Draw the visual field in the colours of a map: what a vertex' colour says of its place.

    Parameters
    ----------
    axes : Axes
        Square, left to the disk.
    values : {"angle", "eccentricity"}
    colors : Colormap
    norm : Normalize
        Of degrees.
    radius_deg : float
        Of the stimulated field.
    """
    places = (np.arange(_DISK_PX) + 0.5) / _DISK_PX * 2 * radius_deg - radius_deg
    right, above = np.meshgrid(places, places)
    shown = np.degrees(np.arctan2(above, right)) % 360 if values == "angle" else np.hypot(right, above)
    picture = colors(norm(shown))
    picture[np.hypot(right, above) > radius_deg] = 0
    axes.imshow(picture, extent=(-radius_deg, radius_deg, -radius_deg, radius_deg), origin="lower")
    axes.set_axis_off()
    circle = np.linspace(0, 2 * np.pi, 181)
    axes.plot(radius_deg * np.cos(circle), radius_deg * np.sin(circle), color=INK, linewidth=0.6)
    axes.plot(0, 0, marker="+", color="white", markersize=4, markeredgewidth=0.8)
    for x, y, said, across, up in ((0, 1.08, "up", "center", "bottom"), (0, -1.08, "down", "center", "top"),
                                   (1.08, 0, "R", "left", "center"), (-1.08, 0, "L", "right", "center")):
        axes.text(x * radius_deg, y * radius_deg, said, ha=across, va=up, fontsize=6.5)
    if values == "eccentricity":
        ring = radius_deg / 2
        axes.plot(ring * np.cos(circle), ring * np.sin(circle), color="white", linewidth=0.5)
        axes.text(0, -ring, f"{ring:g}°", ha="center", va="center", fontsize=5.5, color="white").set_path_effects(
            [patheffects.withStroke(linewidth=1.4, foreground=INK)])
        axes.text(0, -1.62 * radius_deg, f"rim: {radius_deg:.3g}°", ha="center", va="top", fontsize=6.5)
