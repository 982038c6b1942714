"""The canonical haemodynamic response, in closed form: no grid of its own, exact at any onset and duration."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import gammainc, gammaln, xlogy

_PEAK, _UNDERSHOOT, _RATIO = 6.0, 16.0, 6.0
LENGTH_S = 32.0


def canonical(time_s: ArrayLike) -> NDArray[np.float64]:
    """Evaluate SPM's double-gamma response to an impulse.

    ``h(t) = g(t; 6) - g(t; 16) / 6`` with ``g`` the gamma density of unit scale (Friston et al. 1998;
    ``spm_hrf`` with its default parameters, before it is scaled to sum 1).

    Parameters
    ----------
    time_s : array_like
        Seconds since the impulse.

    Returns
    -------
    float64 array
        In 1/s; 0 before the impulse.

    Examples
    --------
    >>> canonical([0.0, 5.0, 16.0]).round(4)
    array([ 0.    ,  0.1754, -0.0156])
    """
    time = np.maximum(np.asarray(time_s, dtype=np.float64), 0.0)
    return _density(time, _PEAK) - _density(time, _UNDERSHOOT) / _RATIO


def _density(time: NDArray[np.float64], shape: float) -> NDArray[np.float64]:
    return np.exp(xlogy(shape - 1, time) - time - gammaln(shape))


def _integral(time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integrate the impulse response from 0."""
    passed = np.maximum(time, 0.0)
    return gammainc(_PEAK, passed) - gammainc(_UNDERSHOOT, passed) / _RATIO


@lru_cache(maxsize=64)  # planned durations are few; measured ones, which jitter, never come here
def peak_height(duration_s: float) -> float:
    """Give the height of the response to an event of this duration, before scaling."""
    def negative(time: float) -> float:
        return float(_integral(np.asarray(time - duration_s)) - _integral(np.asarray(time)))

    found = minimize_scalar(negative, bounds=(0.0, 12.0 + duration_s), method="bounded", options={"xatol": 1e-10})
    return -float(found.fun)


def event_response(time_s: ArrayLike, *, duration_s: float, planned_s: float) -> NDArray[np.float64]:
    """Evaluate the response to an event that lasts: the impulse response integrated over the event.

    ``r(t) = (H(t) - H(t - d)) / max_t(H(t) - H(t - p))`` with ``H`` the integral of :func:`canonical`, ``d`` the
    measured and ``p`` the planned duration. An event that lasts as planned peaks at 1, so that a beta is the height
    of the response to one such event; one that lasts longer has the larger response that its duration gives.

    Parameters
    ----------
    time_s : array_like
        Seconds since the event's onset.
    duration_s : float
        How long the event lasted, more than 0.
    planned_s : float
        How long it should have lasted, more than 0: the duration whose response peaks at 1.

    Returns
    -------
    float64 array

    Examples
    --------
    >>> event_response([0.0, 2.0, 6.0, 16.0], duration_s=2.0, planned_s=2.0).round(3)
    array([ 0.   ,  0.049,  1.   , -0.087])
    >>> event_response([7.0], duration_s=4.0, planned_s=2.0).round(2)
    array([1.81])
    """
    time = np.asarray(time_s, dtype=np.float64)
    return (_integral(time) - _integral(time - duration_s)) / peak_height(float(planned_s))
