"""Haemodynamic responses: exact at any onset and duration, with no grid of their own.

Two canonical ones (SPM's double gamma, and GLMdenoise's mean of measured responses), and what a condition's time course
may be made of: one response, the response and its derivatives in time and in dispersion, or one value a lag (FIR).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from scipy.optimize import minimize_scalar
from scipy.special import gammainc, gammaln, xlogy

Shape = Literal["canonical", "glmdenoise"]
Basis = Literal["single", "derivative", "dispersion", "fir"]

_PEAK, _UNDERSHOOT, _RATIO = 6.0, 16.0, 6.0
LENGTH_S = 32.0
LENGTHS_S: dict[Shape, float] = {"canonical": LENGTH_S, "glmdenoise": 49.0}
"""After how long a response to an impulse has ended."""
FIR_S = 20.0
"""How long after an event a response is followed lag by lag."""
_SHIFT_S = 1.0
_WIDER = 0.01
"""How much wider SPM's response is whose difference is the derivative in dispersion."""
_MEASURED_TR_S, _MEASURED_DURATION_S = 1.323751, 3.0
_MEASURED = np.array([
    0.0, 0.0314739, 0.1328923, 0.3123292, 0.4411544, 0.5063263, 0.4650057, 0.3392917, 0.1896538, 0.0887497, 0.0269547,
    -0.0039926, -0.0246273, -0.0476309, -0.0550487, -0.0533214, -0.0543355, -0.0532510, -0.0504861, -0.0523878,
    -0.0480251, -0.0413692, -0.0386230, -0.0309583, -0.0293101, -0.0267611, -0.0231532, -0.0248940, -0.0256091,
    -0.0245259, -0.0221593, -0.0188920, -0.0205457, -0.0230804, -0.0255725, -0.0200646, -0.0101146, -0.0145592])
"""The mean of five measured responses to a stimulus of 3 s, from which GLMdenoise's canonical one is made."""


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


def _integral(time: NDArray[np.float64], shape: Shape = "canonical", *, dispersion: float = 1.0) -> NDArray[np.float64]:
    """Integrate the impulse response from 0; the dispersion is that of SPM's positive lobe, which keeps its area."""
    passed = np.maximum(time, 0.0)
    if shape == "glmdenoise":
        return _measured_integral(passed)
    rise = gammainc(_PEAK / dispersion, passed / dispersion)
    return np.asarray(rise - gammainc(_UNDERSHOOT, passed) / _RATIO)


@lru_cache(maxsize=1)
def _measured_course() -> PchipInterpolator:
    return PchipInterpolator(_MEASURED_TR_S * np.arange(len(_MEASURED)), _MEASURED)


def _measured_integral(passed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integrate the impulse response that lies under the measured one, ``K(t) = h(t) + h(t - 3) + h(t - 6) + ...``.

    The response to 3 s is ``h(t) = K(t) - K(t - 3)``, K the integral of the response to an impulse: solved for K. After
    the last sample the response has ended, and K stays.
    """
    end = _MEASURED_TR_S * (len(_MEASURED) - 1)
    back = np.minimum(passed, end)[..., None] - _MEASURED_DURATION_S * np.arange(int(end // _MEASURED_DURATION_S) + 1)
    return np.asarray(np.where(back > 0, _measured_course()(np.maximum(back, 0.0)), 0.0).sum(axis=-1))


@lru_cache(maxsize=64)  # planned durations are few; measured ones, which jitter, never come here
def peak_height(duration_s: float, shape: Shape = "canonical") -> float:
    """Give the height of the response to an event of this duration, before scaling."""
    def negative(time: float) -> float:
        return float(_integral(np.asarray(time - duration_s), shape) - _integral(np.asarray(time), shape))

    if shape == "glmdenoise":  # splines have several maxima: the highest of a fine grid
        grid = np.arange(0.0, 12.0 + duration_s, 0.01)
        return float((_integral(grid, shape) - _integral(grid - duration_s, shape)).max())
    found = minimize_scalar(negative, bounds=(0.0, 12.0 + duration_s), method="bounded", options={"xatol": 1e-10})
    return -float(found.fun)


def event_response(time_s: ArrayLike, *, duration_s: float, planned_s: float,
                   shape: Shape = "canonical") -> NDArray[np.float64]:
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
    shape : {"canonical", "glmdenoise"}
        The response to an impulse: SPM's, or the one that lies under GLMdenoise's canonical response (Kay et al. 2013;
        the mean of five measured responses to 3 s, deconvolved).

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
    return (_integral(time, shape) - _integral(time - duration_s, shape)) / peak_height(float(planned_s), shape)


@dataclass(frozen=True)
class ResponseModel:
    """What the time course of a condition is made of.

    Parameters
    ----------
    shape : {"canonical", "glmdenoise"}
        See :func:`event_response`.
    basis : {"single", "derivative", "dispersion", "fir"}
        One column a condition; a second one, the difference to the response a second later, as SPM's derivative in
        time; a third one, SPM's derivative in dispersion (``spm_get_bf``: the difference to a response whose positive
        lobe has a dispersion of 1.01, over .01), of the canonical shape alone; or one column a lag of a TR, up to
        :data:`FIR_S` after an event.
    tr_s : float
        Repetition time, the width of a lag.
    """

    shape: Shape = "canonical"
    basis: Basis = "single"
    tr_s: float = 2.0

    def __post_init__(self) -> None:
        if self.basis == "dispersion" and self.shape != "canonical":
            raise ValueError(f"the dispersion of {self.shape!r}; expected that of SPM's canonical response")

    @property
    def n_columns(self) -> int:
        """Columns of a condition."""
        return {"single": 1, "derivative": 2, "dispersion": 3, "fir": self.n_lags}[self.basis]

    @property
    def n_lags(self) -> int:
        """Lags that an FIR has."""
        return int(np.ceil(FIR_S / self.tr_s - 1e-9))

    @property
    def length_s(self) -> float:
        """How long after its end an event still tells."""
        return FIR_S if self.basis == "fir" else LENGTHS_S[self.shape] + _SHIFT_S * (self.basis != "single")

    def main_column(self, planned_s: float) -> int:
        """Say which of a condition's columns its beta is read from: the first, or the lag at the response's peak."""
        if self.basis != "fir":
            return 0
        middles = (np.arange(self.n_lags) + 0.5) * self.tr_s
        return int(np.argmax(event_response(middles, duration_s=planned_s, planned_s=planned_s, shape=self.shape)))

    def columns(self, time_s: NDArray[np.float64], *, duration_s: float, planned_s: float) -> NDArray[np.float64]:
        """Evaluate the response to one event, (n_times, n_columns); times in seconds since its onset."""
        if self.basis == "fir":
            lags = np.floor(time_s / self.tr_s + 1e-9)
            return np.asarray(lags[:, None] == np.arange(self.n_lags), dtype=np.float64)
        main = event_response(time_s, duration_s=duration_s, planned_s=planned_s, shape=self.shape)
        if self.basis == "single":
            return main[:, None]
        later = event_response(time_s - _SHIFT_S, duration_s=duration_s, planned_s=planned_s, shape=self.shape)
        beside = [(main - later) / _SHIFT_S]
        if self.basis == "dispersion":
            beside.append((main - _wider_response(time_s, duration_s=duration_s, planned_s=planned_s)) / _WIDER)
        return np.stack([main, *beside], axis=1)


def _wider_response(time_s: NDArray[np.float64], *, duration_s: float, planned_s: float) -> NDArray[np.float64]:
    """Evaluate the response to an event by a slightly wider canonical one, scaled as :func:`event_response` is."""
    wide = 1.0 + _WIDER
    found = _integral(time_s, dispersion=wide) - _integral(time_s - duration_s, dispersion=wide)
    return found / peak_height(float(planned_s))
