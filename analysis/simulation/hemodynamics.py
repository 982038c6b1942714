r"""The blood oxygenation response of a virtual subject: another function than any that the analysis fits.

Glover's (1999) response, by its integral on a fine grid, with a lag and a width of its own at every vertex. Nothing
here is shared with :mod:`analysis.glm`, so that a fitted model is never wrong or right by construction.

.. math::
    h(t) = \left(\frac{t}{5.4}\right)^6 e^{-(t - 5.4)/0.9} - 0.35 \left(\frac{t}{10.8}\right)^{12} e^{-(t - 10.8)/0.9}

At a vertex of lag l and width w, :math:`h_{lw}(t) = h((t - l - p) / w + p)`, with p = 5.4 s about where h peaks: w
stretches it about its peak, l moves it.

References
----------
Glover GH (1999) Deconvolution of impulse response in event-related BOLD fMRI. NeuroImage 9:416-429.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PEAK_S = 5.4
LENGTH_S = 40.0
LAG_STEP_S, WIDTH_STEP = 0.25, 0.1
FARTHEST = 3.0
"""Lags and widths further out than so many standard deviations are drawn in."""
_GRID_S = 0.01


def impulse_response(time_s: Floats) -> Floats:
    """Evaluate Glover's response at seconds since an impulse; 0 before it."""
    time = np.maximum(time_s, 0.0)
    first = (time / PEAK_S) ** 6 * np.exp(-(time - PEAK_S) / 0.9)
    second = (time / 10.8) ** 12 * np.exp(-(time - 10.8) / 0.9)
    result: Floats = first - 0.35 * second
    return result


_TIMES = np.arange(0.0, LENGTH_S + _GRID_S, _GRID_S)
_VALUES = impulse_response(_TIMES)
_INTEGRAL = np.concatenate([[0.0], np.cumsum((_VALUES[1:] + _VALUES[:-1]) / 2) * _GRID_S])
"""The integral of the response from 0, by the trapezoid rule; constant after :data:`LENGTH_S`."""


@dataclass(frozen=True)
class Shape:
    """A vertex's response: lag in seconds, width as a share of Glover's."""

    lag_s: float = 0.0
    width: float = 1.0

    def integral(self, time_s: Floats) -> Floats:
        """Integrate the response from its beginning to seconds since an impulse."""
        stretched = (time_s - self.lag_s - PEAK_S) / self.width + PEAK_S
        result: Floats = self.width * np.interp(stretched, _TIMES, _INTEGRAL)
        return result

    def height(self, duration_s: float) -> float:
        """Give the peak of the response to an event of this duration."""
        begin = np.arange(-5.0, LENGTH_S, 0.05)
        return float(np.max(self.integral(begin) - self.integral(begin - duration_s)))


def event_responses(volumes_s: Floats, *, onsets_s: Floats, durations_s: Floats, shape: Shape,
                    reference_s: float) -> NDArray[np.float32]:
    """Give the response to each event at each volume.

    Parameters
    ----------
    volumes_s : float64 array, (n_volumes,)
        When volumes are taken, on the clock of the onsets.
    onsets_s, durations_s : float64 array, (n_events,)
    shape : Shape
    reference_s : float
        The duration whose response peaks at 1.

    Returns
    -------
    float32 array, (n_volumes, n_events)
    """
    since = volumes_s[:, None] - onsets_s
    raw = shape.integral(since) - shape.integral(since - durations_s)
    return (raw / shape.height(reference_s)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Shapes:
    """The responses of all vertices, few enough that vertices of one shape are computed together.

    Parameters
    ----------
    kinds : tuple of Shape
    of : int64 array, (n_vertices,)
        Each vertex's place in `kinds`.
    """

    kinds: tuple[Shape, ...]
    of: NDArray[np.int64]

    @property
    def lag_s(self) -> Floats:
        """Each vertex's lag."""
        return np.array([one.lag_s for one in self.kinds])[self.of]

    @property
    def width(self) -> Floats:
        """Each vertex's width."""
        return np.array([one.width for one in self.kinds])[self.of]


def draw_shapes(lag_map: NDArray[np.float32], width_map: NDArray[np.float32], *, lag_sd_s: float,
                width_sd: float) -> Shapes:
    """Turn two standard normal maps into lags and widths.

    Parameters
    ----------
    lag_map, width_map : float32 array, (n_vertices,)
        Mean 0, variance 1, smooth or not.
    lag_sd_s : float
        Standard deviation of the lag in seconds.
    width_sd : float
        Standard deviation of the width, as a share.

    Returns
    -------
    Shapes
        Rounded to quarters of a second and tenths of the width; those values are the truth.
    """
    far = (-FARTHEST, FARTHEST)
    lag = np.round(np.clip(lag_map.astype(np.float64), *far) * lag_sd_s / LAG_STEP_S).astype(int)
    width = np.round(np.clip(width_map.astype(np.float64), *far) * width_sd / WIDTH_STEP).astype(int)
    pairs, of = np.unique(np.stack([lag, width], axis=1), axis=0, return_inverse=True)
    kinds = tuple(Shape(float(k * LAG_STEP_S), float(max(1 + j * WIDTH_STEP, 0.3))) for k, j in pairs)
    return Shapes(kinds, of.reshape(-1).astype(np.int64))


def convolve_events(amplitudes: NDArray[np.float32], *, volumes_s: Floats, onsets_s: Floats, durations_s: Floats,
                    shapes: Shapes, reference_s: float, which: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
    """Add up the responses to events whose size differs from vertex to vertex.

    Parameters
    ----------
    amplitudes : float32 array, (n_conditions, n_vertices)
        Height of the response to an event of the reference duration.
    volumes_s, onsets_s, durations_s, reference_s
        See :func:`event_responses`.
    shapes : Shapes
    which : int64 array, (n_events,), optional
        Each event's row of the amplitudes; without it every event has its own.

    Returns
    -------
    float32 array, (n_volumes, n_vertices)
        In the unit of the amplitudes.
    """
    result = np.zeros((len(volumes_s), amplitudes.shape[1]), dtype=np.float32)
    member = None if which is None else (which[:, None] == np.arange(len(amplitudes))).astype(np.float32)
    answering = amplitudes.any(axis=0)
    for k, shape in enumerate(shapes.kinds):
        inside = np.flatnonzero(answering & (shapes.of == k))
        if not len(inside):
            continue
        kernel = event_responses(volumes_s, onsets_s=onsets_s, durations_s=durations_s, shape=shape,
                                 reference_s=reference_s)
        result[:, inside] = (kernel if member is None else kernel @ member) @ amplitudes[:, inside]
    return result
