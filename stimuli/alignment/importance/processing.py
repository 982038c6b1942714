"""Importance maps brought to a size, and smoothed as ClickMe's are before networks are compared with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
CLICKME_SMALL, CLICKME_SIDE, CLICKME_KERNEL, CLICKME_SIGMA = 64, 224, 10, 10.0


def resampled(maps: Map, *, side: int) -> Map:
    """Bring maps to a square of another side: bilinear, pixels' centres on centres, without smoothing.

    Parameters
    ----------
    maps : float32 array, (..., height, width)
        Any number of maps.
    side : int
        Of the result, px.

    Returns
    -------
    float32 array, (..., side, side)
        As TensorFlow's ``image.resize`` and torch's ``interpolate`` (``align_corners=False``) give them.
    """
    if maps.shape[-2:] == (side, side):
        return maps
    down, across = (_weights(extent, side) for extent in maps.shape[-2:])
    return (down @ maps.astype(np.float64) @ across.T).astype(np.float32)


def _weights(n: int, side: int) -> NDArray[np.float64]:
    """Give what each of n pixels contributes to each of the result's, (side, n)."""
    places = np.clip((np.arange(side) + 0.5) * n / side - 0.5, 0, n - 1)
    left = np.floor(places).astype(int)
    right, share = np.minimum(left + 1, n - 1), places - left
    weights, rows = np.zeros((side, n)), np.arange(side)
    np.add.at(weights, (rows, left), 1.0 - share)
    np.add.at(weights, (rows, right), share)
    return weights


def smoothed_as_clickme(maps: Map, *, side: int = CLICKME_SIDE) -> Map:
    """Smooth maps as the published code does before it compares: to 64 px, blurred, to the networks' side.

    Parameters
    ----------
    maps : float32 array, (..., height, width)
        As ClickMe's files hold them.
    side : int
        Of the result, px.

    Notes
    -----
    The kernel has 10 x 10 pixels and a standard deviation of 10: nearly a plain mean. An even kernel has no middle; as
    in the published code (serre-lab/Harmonization, ``blur.py``) its peak lies in the row of the pixel itself and one
    column to the right, and pixels beyond the border count as zeros.
    """
    small = resampled(maps, side=CLICKME_SMALL).astype(np.float64)
    before, after = (CLICKME_KERNEL - 1) // 2, CLICKME_KERNEL // 2
    padded = np.pad(small, [(0, 0)] * (small.ndim - 2) + [(before, after)] * 2)
    offsets = np.arange(-before, after + 1)
    down, across = (_bell(offsets, peak=peak) for peak in (0, 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (CLICKME_KERNEL, CLICKME_KERNEL), axis=(-2, -1))
    blurred = np.einsum("...ij,i,j->...", windows, down, across, optimize=True)
    return resampled(blurred.astype(np.float32), side=side)


def _bell(offsets: NDArray[np.int_], *, peak: int) -> NDArray[np.float64]:
    weights = np.exp(-np.square(offsets - float(peak)) / (2.0 * CLICKME_SIGMA**2))
    return np.asarray(weights / weights.sum())
