"""Where the fits begin: two receptive fields at the centre, and the best of a large grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.regions.prf.design import Compressed
from analysis.regions.prf.model import Model
from analysis.regions.prf.stimulus import Stimulus

Floats = NDArray[np.float64]

SEEDS = ("large", "small", "supergrid")
ECCENTRICITIES = (0.0, 0.0055, 0.014, 0.027, 0.046, 0.073, 0.112, 0.166, 0.242, 0.348, 0.498, 0.707, 1.0)
"""Rings of the grid in field widths, as in analyzePRF."""
N_ANGLES = 16
EXPONENTS = (2.0, 0.5, 0.125)
"""Each gives a start, far apart since they find other minima (analyzePRF: the best of 0.5, 0.25 and 0.125)."""
_FIRST_EXPONENT = 0.5


def centre_seed(stimulus: Stimulus, name: str, *, exponent: float | None = None) -> Floats:
    """Give the large or the small receptive field at the centre of the field.

    Parameters
    ----------
    stimulus : Stimulus
    name : {"large", "small"}
        A size ``sigma / sqrt(n)`` of a quarter of the field, or a tenth of that.
    exponent : float, optional
        The exponent where it is fixed; otherwise 0.5.

    Returns
    -------
    float64 array, (4,)
        x, y, log sigma and log exponent.
    """
    shares = {"large": 1.0 / 4.0, "small": 1.0 / 40.0}
    if name not in shares:
        raise ValueError(f"expected the seed 'large' or 'small', got {name!r}")
    n = _FIRST_EXPONENT if exponent is None else exponent
    x, y = (sum(limits) / 2.0 for limits in stimulus.limits_deg)
    return np.array([x, y, np.log(shares[name] * max(stimulus.widths_deg) * np.sqrt(n)), np.log(n)])


def supergrid(stimulus: Stimulus, *, exponents: Sequence[float] = EXPONENTS, n_angles: int = N_ANGLES,
              eccentricities: Sequence[float] = ECCENTRICITIES, sizes_an_octave: int = 1) -> Floats:
    """Lay out receptive fields on rings around the centre of the field.

    Parameters
    ----------
    stimulus : Stimulus
    exponents : sequence of float
    n_angles : int
        Places on each ring.
    eccentricities : sequence of float
        The rings' radii, in field widths.
    sizes_an_octave : int
        Sizes ``sigma / sqrt(n)`` go from one pixel to the width of the field, so many a doubling.

    Returns
    -------
    float64 array, (4, n_points)
        x, y, log sigma and log exponent.
    """
    width, pixel = max(stimulus.widths_deg), min(steps.min() for steps in stimulus.steps_deg)
    x, y = (sum(limits) / 2.0 for limits in stimulus.limits_deg)
    n_sizes = int(np.floor(sizes_an_octave * np.log2(width / pixel) + 1e-9)) + 1
    sizes = pixel * 2.0 ** (np.arange(n_sizes) / sizes_an_octave)
    turns = 2.0 * np.pi * np.arange(n_angles) / n_angles
    places = [(x + width * r * np.cos(turn), y + width * r * np.sin(turn))
              for r in eccentricities for turn in (turns if r else turns[:1])]
    return np.array([(*place, np.log(size * np.sqrt(n)), np.log(n))
                     for n in exponents for size in sizes for place in places]).T


def best_on_grid(model: Model, series: Compressed, *, grid: Floats, lags_s: Sequence[float] = (0.0,),
                 block: int = 1024) -> Floats:
    """Find the grid's point of best correlation for each vertex.

    Parameters
    ----------
    model : Model
    series : Compressed
    grid : float64 array, (4, n_points)
        See :func:`supergrid`.
    lags_s : sequence of float
        Lags at which the grid is tried where the model has one; the width is 1 or the nearest allowed.
    block : int
        Memory bound: grid points held at once.

    Returns
    -------
    float64 array, (n_parameters, n_vertices)
    """
    n_vertices = series.values.shape[1]
    best, found = np.full(n_vertices, -np.inf), np.zeros((model.n_parameters, n_vertices))
    for points in _blocks(model, grid, lags_s=lags_s, block=block):
        unit = _unit(model.predict(points))
        for start in range(0, n_vertices, block):
            part = slice(start, start + block)
            fits = unit.T @ series.values[:, part]
            place = fits.argmax(axis=0)
            height = fits[place, np.arange(fits.shape[1])]
            better = np.flatnonzero(height > best[part])
            best[start + better] = height[better]
            found[:, start + better] = points[:, place[better]]
    return found


def _blocks(model: Model, grid: Floats, *, lags_s: Sequence[float], block: int) -> Iterator[Floats]:
    if model.n_parameters == 4:
        yield from (grid[:, start:start + block] for start in range(0, grid.shape[1], block))
        return
    width = float(np.clip(1.0, *model.convolution.family.width))
    for lag in lags_s:
        for start in range(0, grid.shape[1], block):
            points = grid[:, start:start + block]
            yield np.concatenate([points, np.full((1, points.shape[1]), lag), np.full((1, points.shape[1]), width)])


def _unit(prediction: NDArray[Any]) -> NDArray[Any]:
    length = np.sqrt(np.einsum("dn,dn->n", prediction, prediction))
    return prediction / np.where(length > 0, length, np.inf)
