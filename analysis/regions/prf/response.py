"""The haemodynamic response to one frame, and the family of it over lags and widths."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from analysis.glm.hrf import LENGTH_S, event_response

Floats = NDArray[np.float64]
Range = tuple[float, float]
_KEPT = 3e-4  # of the largest singular value: what the family leaves out of a response, next to its peak
_TAIL = 1.5  # of the canonical length: then less than 1e-7 is left
_NODES_A_SECOND, _NODES_A_WIDTH, _FEWEST = 2.0, 10.0, 4


@dataclass(frozen=True, eq=False)
class Hrf:
    """The response to one frame of the movie.

    Parameters
    ----------
    samples : float64 array, (n_samples,), optional
        A response of your own from the frame's onset on, which is 0 after its end; without it SPM's canonical one.
    step_s : float, optional
        Distance of the samples.

    Raises
    ------
    ValueError
        If samples come without their distance, are too few or not finite.
    """

    samples: Floats | None = None
    step_s: float | None = None

    def __post_init__(self) -> None:
        if (self.samples is None) != (self.step_s is None):
            raise ValueError("an HRF of samples needs both the samples and their distance step_s")
        if self.samples is not None and (self.samples.ndim != 1 or len(self.samples) < 4
                                         or not np.isfinite(self.samples).all()):
            raise ValueError(f"HRF: expected at least 4 finite samples, got {self.samples}")
        if self.step_s is not None and not self.step_s > 0:
            raise ValueError(f"HRF: expected a positive step_s, got {self.step_s:g}")

    @property
    def length_s(self) -> float:
        """When the response is over."""
        if self.samples is None or self.step_s is None:
            return _TAIL * LENGTH_S
        return self.step_s * (len(self.samples) - 1)

    def __call__(self, time_s: Floats, *, duration_s: float, lag_s: float = 0.0, width: float = 1.0) -> Floats:
        """Evaluate the response at some times after a frame's onset.

        Parameters
        ----------
        time_s : float64 array
        duration_s : float
            Length of the frame; own samples are already the response to one frame.
        lag_s : float
            How much later than the canonical response it comes.
        width : float
            How much longer it takes, from its onset on: an impulse response ``h((t - lag) / width)``, so that the
            canonical peak of 5 s comes at ``lag + 5 width``.

        Returns
        -------
        float64 array
            The canonical response peaks at 1 for every lag and width.
        """
        time = (np.asarray(time_s, dtype=np.float64) - lag_s) / width
        if self.samples is None:
            return event_response(time, duration_s=duration_s / width, planned_s=duration_s / width)
        found = self._spline(np.clip(time, 0.0, self.length_s))
        return np.where((time >= 0.0) & (time <= self.length_s), found, 0.0)

    @cached_property
    def _spline(self) -> CubicSpline:
        if self.samples is None or self.step_s is None:
            raise ValueError("the canonical HRF has no samples")
        return CubicSpline(self.step_s * np.arange(len(self.samples)), self.samples)


@dataclass(frozen=True, eq=False)
class HrfFamily:
    """Responses over a range of lags and widths as weighted sums of a few.

    ``h(t; lag, width) = sum_k c_k(lag, width) b_k(t)``: the responses at Chebyshev nodes of both ranges, their
    singular vectors as `b`, and polynomials through the nodes as `c`.

    Parameters
    ----------
    responses : float64 array, (n_basis, n_times)
        The `b`.
    polynomials : float64 array, (n_lag_terms, n_width_terms, n_basis)
        Chebyshev coefficients of the `c` over ranges scaled to -1..1.
    lag_s, width : (float, float)
        The ranges; of no extent where it is fixed.
    """

    responses: Floats
    polynomials: Floats
    lag_s: Range
    width: Range

    @property
    def is_fixed(self) -> bool:
        """Whether there is one lag and one width."""
        return self.polynomials.shape == (1, 1, 1)

    def weights(self, lag_s: Floats, width: Floats) -> Floats:
        """Give the weights `c` and their derivatives.

        Parameters
        ----------
        lag_s, width : float64 array, (n_vertices,)

        Returns
        -------
        float64 array, (3, n_basis, n_vertices)
            The weights, their derivatives by lag and by width.
        """
        lags = _terms(lag_s, self.lag_s, self.polynomials.shape[0])
        widths = _terms(width, self.width, self.polynomials.shape[1])
        return np.stack([np.einsum("iv,jv,ijk->kv", lags[a], widths[b], self.polynomials, optimize=True)
                         for a, b in ((0, 0), (1, 0), (0, 1))])


def _terms(values: Floats, bounds: Range, n: int) -> Floats:
    """Give the Chebyshev polynomials of degree 0 to n - 1 and their derivatives, (2, n, n_values)."""
    half = (bounds[1] - bounds[0]) / 2.0
    if n == 1 or half == 0.0:
        return np.stack([np.ones((n, len(values))), np.zeros((n, len(values)))])
    scaled = (np.asarray(values, dtype=np.float64) - (bounds[0] + bounds[1]) / 2.0) / half
    slopes = [chebyshev.chebval(scaled, chebyshev.chebder(row)) / half for row in np.eye(n)]
    return np.stack([chebyshev.chebvander(scaled, n - 1).T, np.stack(slopes)])


def hrf_family(hrf: Hrf, time_s: Floats, *, duration_s: float, lag_s: Range = (0.0, 0.0),
               width: Range = (1.0, 1.0)) -> HrfFamily:
    """Make the family of a response.

    Parameters
    ----------
    hrf : Hrf
    time_s : float64 array, (n_times,)
        Where it is needed, in seconds after a frame's onset.
    duration_s : float
        Length of a frame.
    lag_s, width : (float, float)
        What the fit may take; equal limits fix it.

    Returns
    -------
    HrfFamily

    Raises
    ------
    ValueError
        If a range runs backward or a width is not positive.
    """
    if lag_s[0] > lag_s[1] or not 0.0 < width[0] <= width[1]:
        raise ValueError(f"expected ascending ranges and positive widths, got lags {lag_s} and widths {width}")
    lags, lag_inverse = _nodes(lag_s, _NODES_A_SECOND)
    widths, width_inverse = _nodes(width, _NODES_A_WIDTH)
    table = np.stack([hrf(time_s, duration_s=duration_s, lag_s=lag, width=wide)
                      for lag, wide in itertools.product(lags, widths)])
    left, sizes, right = np.linalg.svd(table, full_matrices=False)
    if not sizes[0] > 0:
        raise ValueError("the HRF is 0 at every volume, expected a response within the run")
    n_basis = max(1, int((sizes > _KEPT * sizes[0]).sum())) if len(table) > 1 else 1
    at_nodes = (left[:, :n_basis] * sizes[:n_basis]).reshape(len(lags), len(widths), n_basis)
    found = np.einsum("il,jw,lwk->ijk", lag_inverse, width_inverse, at_nodes)
    return HrfFamily(right[:n_basis], found, lag_s, width)


def _nodes(bounds: Range, density: float) -> tuple[Floats, Floats]:
    """Give Chebyshev nodes of a range, and the matrix from values there to coefficients."""
    extent = bounds[1] - bounds[0]
    if extent == 0.0:
        return np.array([bounds[0]]), np.ones((1, 1))
    n = _FEWEST + int(np.ceil(density * extent))
    points = chebyshev.chebpts1(n)
    inverse = np.linalg.inv(chebyshev.chebvander(points, n - 1).astype(np.float64))
    return (bounds[0] + bounds[1]) / 2.0 + extent / 2.0 * points, inverse
