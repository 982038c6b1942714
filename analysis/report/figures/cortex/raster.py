"""Triangle meshes as images: a surface of 300,000 triangles is painted in a second, where polygons take a minute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_MOST = 64  # samples along a triangle's side
_PIXELS = 500  # along the longer side of a map, unless asked otherwise


@dataclass(frozen=True)
class Canvas:
    """Where a picture is painted.

    Parameters
    ----------
    low, high : (float, float)
        Its corners, left and lower, right and upper.
    step : float
        Side of a pixel.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    step: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        across, up = (max(1, int(np.ceil((high - low) / self.step))) for low, high in zip(self.low, self.high,
                                                                                          strict=True))
        return up, across

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, lower and upper edge, as ``imshow`` with ``origin="lower"`` takes them."""
        rows, columns = self.shape
        return (self.low[0], self.low[0] + columns * self.step, self.low[1], self.low[1] + rows * self.step)


def paint(canvas: Canvas, corners: Floats, *, colors: Floats) -> Floats:
    """Paint triangles one over another.

    Parameters
    ----------
    canvas : Canvas
    corners : float array, (n_faces, 3, 2)
        In the order in which they are painted: the last is on top.
    colors : float array, (n_faces, 3)
        RGB, 0 to 1.

    Returns
    -------
    float64 array, (n_rows, n_columns, 4)
        RGBA, row 0 at the bottom; transparent where there is no triangle.

    Notes
    -----
    Each triangle is sampled on a grid of points at most half a pixel apart, so that none is missed and no pixel inside
    one stays empty.
    """
    rows, columns = canvas.shape
    top = np.full(rows * columns, -1, dtype=np.int64)
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    fineness = np.clip(np.ceil(2.0 * sides / canvas.step).astype(np.int64), 1, _MOST)
    for n in np.unique(fineness):
        some = np.flatnonzero(fineness == n)
        weights = np.array([(a, b, n - a - b) for a in range(n + 1) for b in range(n + 1 - a)]) / n
        points = np.einsum("sk,fkd->fsd", weights, corners[some])
        place = np.floor((points - np.array(canvas.low)) / canvas.step).astype(np.int64)
        inside = ((place >= 0) & (place < np.array([columns, rows]))).all(axis=2)
        pixel = (place[..., 1] * columns + place[..., 0])[inside]
        np.maximum.at(top, pixel, np.broadcast_to(some[:, None], inside.shape)[inside])
    picture = np.zeros((rows * columns, 4))
    seen = top >= 0
    picture[seen, :3], picture[seen, 3] = colors[top[seen]], 1.0
    return picture.reshape(rows, columns, 4)


def draw_triangles(axes: Axes, corners: NDArray[np.floating], *, colors: Floats, low: NDArray[np.floating],
                   high: NDArray[np.floating], pixels: int = _PIXELS) -> None:
    """Draw triangles one over another, as an image.

    Parameters
    ----------
    axes : Axes
    corners : float array, (n_faces, 3, 2)
        The last one is on top.
    colors : float array, (n_faces, 3)
        RGB, 0 to 1.
    low, high : float array, (2,)
        Corners of what is shown; what lies outside is left out.
    pixels : int
        Along the longer side.
    """
    canvas = Canvas((float(low[0]), float(low[1])), (float(high[0]), float(high[1])),
                    step=float(max(np.subtract(high, low))) / pixels)
    axes.imshow(paint(canvas, corners.astype(np.float64), colors=colors), extent=canvas.extent, origin="lower",
                interpolation="nearest")
