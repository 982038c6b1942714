"""The compressive spatial summation model of many vertices, and its derivatives.

Kay et al. 2013, J Neurophysiol 110:481. A frame drives a vertex by ``(S . G)^n``, ``S`` the frame and ``G`` an
isotropic Gaussian of unit volume; the response is that drive convolved with the haemodynamic response, times a gain.
The size of the receptive field for a small stimulus is ``sigma / sqrt(n)``. With n = 1 it is the Gaussian model
(Dumoulin & Wandell 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.regions.prf.design import Compressed, Convolution
from analysis.regions.prf.solver import Indices, Local
from analysis.regions.prf.stimulus import Stimulus

Floats = NDArray[np.float64]
Reals = NDArray[Any]

PARAMETERS = ("x_deg", "y_deg", "log_sigma", "log_exponent", "lag_s", "width")
"""Rows of every array of points; sigma in degrees, both logarithms natural."""

_LIFT = 64.0
"""Gaussians are scaled by exp(64), so that float32 reaches 16 sigma into the tails."""
_LEAST_LOG = -87.0
"""Least exponent of a pixel: no number is subnormal, which processors are slow at."""
_LEAST = 1e-33
"""What counts as nothing of a frame so scaled."""
_LEAST_POWER_LOG = -40.0
"""What counts as no response."""
_FLOOR = 0.05
"""Below this correlation the cost continues as a straight line, so that a start of the wrong sign is not stuck."""


@dataclass(frozen=True, eq=False)
class Drive:
    """Frames ready for Gaussians: only pixels that are ever uncovered, and the moments about the origin.

    Parameters
    ----------
    moments : float array, (4 * n_unique, n_pixels)
        Frames times 1, x, y and x^2 + y^2, times the pixel's area; its dtype is that of all that follows.
    x_deg, y_deg : float array, (n_cols,) and (n_rows,)
        Columns and rows.
    cols, rows : int64 array, (n_pixels,)
        Which of them a pixel is in.
    """

    moments: Reals
    x_deg: Reals
    y_deg: Reals
    cols: Indices
    rows: Indices

    def log_sums(self, points: Floats) -> Reals:
        """Weigh the frames by Gaussians.

        Parameters
        ----------
        points : float64 array, (at least 3, n)
            See :data:`PARAMETERS`.

        Returns
        -------
        float array, (n_unique, n)
            Logarithm of ``S . G``; -inf where the Gaussian does not reach the frame.
        """
        area = self.moments[:len(self.moments) // 4] @ self._gaussians(points)
        return self._log(area, points)

    def log_sums_and_slopes(self, points: Floats) -> tuple[Reals, Reals]:
        """Give :meth:`log_sums` and their derivatives by x, y and log sigma, (3, n_unique, n), 0 where -inf."""
        x, y, log_sigma = points[:3].astype(self.moments.dtype)
        moments = (self.moments @ self._gaussians(points)).reshape(4, -1, len(x))
        area = moments[0]
        reached = area > _LEAST
        share = np.divide(1.0, area, out=np.zeros_like(area), where=reached)
        slopes = moments[1:]
        slopes *= share
        slopes[2] += x * x + y * y - 2.0 * (x * slopes[0] + y * slopes[1])
        slopes[0] -= x
        slopes[1] -= y
        slopes *= np.exp(-2.0 * log_sigma)
        slopes[2] -= 2.0
        slopes *= reached
        return self._log(area, points), slopes

    def _gaussians(self, points: Floats) -> Reals:
        """Give exp(64 - d^2 / 2 sigma^2) for each pixel, (n_pixels, n)."""
        x, y, log_sigma = points[:3].astype(self.moments.dtype)
        inverse, lift = np.exp(-log_sigma), self.moments.dtype.type(_LIFT)
        exponents = (lift - 0.5 * ((self.x_deg[:, None] - x) * inverse) ** 2)[self.cols]
        exponents -= (0.5 * ((self.y_deg[:, None] - y) * inverse) ** 2)[self.rows]
        np.maximum(exponents, _LEAST_LOG, out=exponents)
        gaussians: Reals = np.exp(exponents, out=exponents)
        return gaussians

    def _log(self, area: Reals, points: Floats) -> Reals:
        found = np.full_like(area, -np.inf)
        np.log(area, out=found, where=area > _LEAST)
        found -= (_LIFT + np.log(2.0 * np.pi) + 2.0 * points[2]).astype(area.dtype)
        return found


def make_drive(stimulus: Stimulus, *, dtype: type[np.floating[Any]] = np.float32) -> Drive:
    """Set up the frames of an experiment."""
    rows, cols = np.nonzero(stimulus.frames.any(axis=0))
    width, height = stimulus.steps_deg
    x, y = stimulus.x_deg[cols], stimulus.y_deg[rows]
    frames = stimulus.frames[:, rows, cols] * (width[cols] * height[rows])
    moments = np.concatenate([frames, frames * x, frames * y, frames * (x * x + y * y)]).astype(dtype)
    return Drive(moments, stimulus.x_deg.astype(dtype), stimulus.y_deg.astype(dtype), cols, rows)


@dataclass(frozen=True, eq=False)
class Model:
    """Predictions of an experiment for any points of the parameter space.

    Parameters
    ----------
    drive : Drive
    convolution : Convolution
    """

    drive: Drive
    convolution: Convolution

    @property
    def n_parameters(self) -> int:
        """How many of :data:`PARAMETERS` there are: all, or without the last two where the response is fixed."""
        return 4 if self.convolution.family.is_fixed else 6

    def predict(self, points: Floats) -> Reals:
        """Predict, at a gain of 1, in the directions of :class:`~analysis.regions.prf.design.Compressed`.

        Parameters
        ----------
        points : float64 array, (n_parameters, n)

        Returns
        -------
        float array, (n_dims, n)
        """
        power, _, _ = _compress(self.drive.log_sums(points), points[3])
        found: Reals = self._convolve(power[None], self._weights(points)[:1])[0]
        return found

    def differentiate(self, points: Floats) -> Reals:
        """Predict, and give the derivatives by the parameters, (1 + n_parameters, n_dims, n)."""
        log_sum, slopes = self.drive.log_sums_and_slopes(points)
        power, scaled, exponent = _compress(log_sum, points[3])
        slopes *= exponent * power
        by_shape = np.concatenate([power[None], slopes, (scaled * power)[None]])
        weights = self._weights(points)
        found = self._convolve(by_shape, weights[:1])
        return np.concatenate([found, self._convolve(power[None], weights[1:])]) if len(weights) > 1 else found

    def _weights(self, points: Floats) -> Reals:
        """Give the basis weights and, where the response is not fixed, their derivatives, (1 or 3, n_basis, n)."""
        family, dtype = self.convolution.family, self.drive.moments.dtype
        if family.is_fixed:
            return np.broadcast_to(family.polynomials[:1, 0, :, None], (1, 1, points.shape[1])).astype(dtype)
        return family.weights(points[4], points[5]).astype(dtype)

    def _convolve(self, values: Reals, weights: Reals) -> Reals:
        """Give the predictions of drives (n_values, n_unique, n) by responses (n_weights, n_basis, n).

        Returns (n_values * n_weights, n_dims, n).
        """
        n = values.shape[2]
        expanded = weights[:, None, :, None, :] * values[None, :, None, :, :]
        found: Reals = self._matrix @ expanded.reshape(len(weights) * len(values), -1, n)
        return found

    @cached_property
    def _matrix(self) -> Reals:
        return self.convolution.matrix.astype(self.drive.moments.dtype)


def _compress(log_sum: Reals, log_exponent: Floats) -> tuple[Reals, Reals, Reals]:
    """Give ``s^n``, ``n log(s)``, which is 0 where ``s^n`` counts as 0, and ``n``."""
    exponent = np.exp(log_exponent).astype(log_sum.dtype)
    scaled = exponent * log_sum
    responds = scaled > _LEAST_POWER_LOG
    scaled = np.where(responds, scaled, log_sum.dtype.type(0))
    return np.exp(scaled) * responds, scaled, exponent


def describe(prediction: Reals, values: Reals) -> tuple[Floats, Floats]:
    """Give the correlation of predictions with unit series, and their gain.

    Parameters
    ----------
    prediction, values : float array, (n_dims, n)

    Returns
    -------
    correlation, gain : float64 array, (n,)
        R2 is the square of a positive correlation; the gain is 0 for a negative one.
    """
    both = np.einsum("dn,dn->n", prediction, values).astype(np.float64)
    squares = np.einsum("dn,dn->n", prediction, prediction).astype(np.float64)
    inverse = np.divide(1.0, squares, out=np.zeros_like(squares), where=squares > 0)
    return both * np.sqrt(inverse), np.maximum(both * inverse, 0.0)


@dataclass(frozen=True, eq=False)
class Misfit:
    """What :func:`~analysis.regions.prf.solver.minimise` lowers: minus the explained share of the variance.

    The gain is not a parameter: at each point it takes its best value (variable projection; Kaufman 1975), which gives
    the steps that Gauss and Newton would make with it, and starts without it.

    Parameters
    ----------
    model : Model
    series : Compressed
    vertices : int64 array, (n_problems,)
        Which vertex each problem is about.
    block : int
        Problems evaluated at once.
    """

    model: Model
    series: Compressed
    vertices: Indices
    block: int = 256

    def __call__(self, which: Indices, points: Floats) -> Local:
        """Evaluate some of the problems."""
        n_parameters, n = points.shape
        cost, gradient = np.empty(n), np.empty((n_parameters, n))
        normal = np.empty((n_parameters, n_parameters, n))
        for start in range(0, n, self.block):
            part = slice(start, start + self.block)
            values = self.series.values[:, self.vertices[which[part]]]
            found = self.model.differentiate(points[:, part])
            cost[part], gradient[:, part], normal[:, :, part] = _local(found, values)
        return Local(cost, gradient, normal)


def _local(found: Reals, values: Reals) -> tuple[Floats, Floats, Floats]:
    """Give cost, gradient and normal matrix of the correlation of ``found[0]`` with unit series."""
    n_parameters, n = len(found) - 1, values.shape[1]
    own, data = np.empty((len(found), n)), np.empty((len(found), n))
    inner = np.zeros((n_parameters, n_parameters, n))
    for i, row in enumerate(found):
        data[i], own[i] = np.einsum("dn,dn->n", row, values), np.einsum("dn,dn->n", row, found[0])
        for j in range(1, i + 1):
            inner[i - 1, j - 1] = inner[j - 1, i - 1] = np.einsum("dn,dn->n", row, found[j])
    inverse = np.divide(1.0, own[0], out=np.zeros(n), where=own[0] > 0)
    correlation = data[0] * np.sqrt(inverse)
    held = np.maximum(correlation, _FLOOR)
    cost = np.where(correlation > _FLOOR, -correlation ** 2, _FLOOR * (_FLOOR - 2.0 * correlation))
    gradient = -held * np.sqrt(inverse) * (data[1:] - data[0] * inverse * own[1:])
    normal = held ** 2 * inverse * (inner - own[1:, None] * own[None, 1:] * inverse)
    return cost, gradient, normal
