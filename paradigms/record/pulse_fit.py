"""Pulses laid on a grid of repetition times: the nominal one, or the one that they themselves keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.25
TR_TOLERANCE = 0.002
SHORTEST_TR_S = 0.1
STAMP_SD_S = 0.005
"""No pulse's stamp is trusted to be nearer than this to its volume when the error of a fitted TR is given."""
OFF_LINE, FOLLOWED = 0.1, 0.01
MIN_OWN = 4
"""So many pulses at least have to keep a TR of their own before it is believed."""
ANCHORS = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PulseFit:
    """Pulses sorted out against the TR grid; see :func:`fit_pulses`.

    Parameters
    ----------
    volumes : tuple of int
        Volume of each good pulse, from the first good one.
    stamps_s : tuple of float
        Their stamps.
    n_double, n_extra : int
        Pulses within a quarter TR after another, and pulses off the grid otherwise.
    tr_s, jitter_s : float or None
        Fitted repetition time, and the median absolute distance from the fitted grid.
    tr_error_s : float or None
        Standard error of the fitted repetition time.
    """

    volumes: tuple[int, ...]
    stamps_s: tuple[float, ...]
    n_double: int
    n_extra: int
    tr_s: float | None
    jitter_s: float | None
    tr_error_s: float | None = None

    @property
    def n_missed(self) -> int:
        """Volumes between the first and the last good pulse whose pulse did not come."""
        return self.volumes[-1] + 1 - len(self.volumes) if self.volumes else 0

    def departs(self, tr_s: float) -> bool:
        """Say whether the pulses show another TR than the nominal one: by .2 % and by three standard errors."""
        if self.tr_s is None or self.tr_error_s is None:
            return False
        return abs(self.tr_s - tr_s) > max(TR_TOLERANCE * tr_s, 3.0 * self.tr_error_s)


def fit_pulses(stamps: Sequence[float], *, tr_s: float) -> PulseFit:
    """Lay pulses on a TR grid.

    Parameters
    ----------
    stamps : sequence of float
        Pulse stamps in seconds, in any order.
    tr_s : float
        Nominal repetition time.

    Returns
    -------
    PulseFit
        Each pulse is put on the volume to which its distance from the last good pulse rounds, so that a
        scanner whose TR is off by a percent is followed and not lost. The grid begins at that one of the
        first few pulses from which most pulses can be followed: a stray first pulse counts as an extra.
        The fitted TR is the least-squares slope of stamps over volumes; its standard error takes the larger of
        the pulses' spread around the grid and `STAMP_SD_S`.

    Notes
    -----
    A TR that comes out more than 1 % from the nominal one is laid on again, so that doubles and extras are told
    apart by it. Where two things or more are amiss (a volume without a pulse, a pulse without a volume, a pulse a
    tenth of a TR off the fitted line), the distance that most neighbouring pulses have in common is tried too. Where
    that leaves less amiss and at least four pulses keep it, it is the scanner's TR: a scanner set to 1 s in place of
    2 s has no "139 extra pulses", and one set to 4 s has missed none. Of two that leave as much, that with fewer
    extra pulses is taken, then that to whose line the pulses are nearer.

    Examples
    --------
    >>> fit = fit_pulses([0.0, 3.0, 6.0, 9.0, 15.0], tr_s=2.0)
    >>> round(fit.tr_s, 6), fit.volumes, fit.n_missed
    (3.0, (0, 1, 2, 3, 5), 1)
    """
    times = np.sort(np.asarray(stamps, dtype=np.float64))
    fit = _fit(times, tr_s=tr_s)
    if fit.tr_s is not None and abs(fit.tr_s / tr_s - 1.0) > FOLLOWED:
        fit = max(_fit(times, tr_s=fit.tr_s), fit, key=lambda one: len(one.volumes))
    own_s = _commonest_gap(times) if _amiss(fit)[0] >= 2 else None
    if own_s is None:
        return fit
    own = _fit(times, tr_s=own_s)
    return min(fit, own, key=_amiss) if len(own.volumes) >= MIN_OWN else fit


def _amiss(fit: PulseFit) -> tuple[int, int, float]:
    """Count what a grid leaves unexplained, and the pulses among it; give the mean distance of the others from it."""
    if fit.tr_s is None:
        return fit.n_extra, fit.n_extra, 0.0
    rest = np.asarray(fit.stamps_s) - fit.tr_s * np.asarray(fit.volumes)
    off = np.abs(rest - np.median(rest))
    amiss = fit.n_missed + fit.n_extra + int(np.sum(off > OFF_LINE * fit.tr_s))
    return amiss, fit.n_extra, float(off.mean())


def _fit(times: Floats, *, tr_s: float) -> PulseFit:
    """Lay sorted pulses on the grid of one TR."""
    followed = [_follow(times, anchor=k, tr_s=tr_s) for k in range(min(ANCHORS, len(times)))]
    if not followed:
        return PulseFit((), (), 0, 0, None, None)
    volumes, good, n_double = max(followed, key=lambda found: len(found[0]))
    slope, jitter, error = _slope(np.asarray(volumes), np.asarray(good))
    return PulseFit(tuple(volumes), tuple(good), n_double, len(times) - len(good) - n_double, slope, jitter, error)


def _follow(times: Floats, *, anchor: int, tr_s: float) -> tuple[list[int], list[float], int]:
    """Follow the grid from one pulse on; give volumes, stamps and the number of doubles."""
    volumes, good, n_double = [0], [float(times[anchor])], 0
    for stamp in times[anchor + 1:]:
        ahead = (stamp - good[-1]) / tr_s
        steps = round(ahead)
        if ahead < TOLERANCE:
            n_double += 1
        elif steps > 0 and abs(ahead - steps) <= TOLERANCE:
            volumes.append(volumes[-1] + steps)
            good.append(float(stamp))
    return volumes, good, n_double


def _slope(volumes: NDArray[np.int64], times: Floats) -> tuple[float | None, float | None, float | None]:
    """Fit stamps over volumes: the slope, the median absolute residual, the slope's standard error."""
    n = len(volumes)
    if n < 2:
        return None, None, None
    slope, start = np.polyfit(volumes, times - times[0], 1)
    rest = times - times[0] - start - slope * volumes
    spread = max(STAMP_SD_S, float(np.sqrt(np.sum(rest ** 2) / (n - 2))) if n > 2 else 0.0)
    error = spread / float(np.sqrt(np.sum((volumes - volumes.mean()) ** 2)))
    return float(slope), float(np.median(np.abs(rest))), error


def _commonest_gap(times: Floats) -> float | None:
    """Give the distance that most neighbouring pulses have, within 2 % or four of a stamp's standard deviations."""
    gaps = np.diff(times)
    gaps = np.sort(gaps[gaps >= SHORTEST_TR_S])
    if not len(gaps):
        return None
    reach = np.maximum(0.02 * gaps, 4.0 * STAMP_SD_S)
    first, last = np.searchsorted(gaps, gaps - reach), np.searchsorted(gaps, gaps + reach, side="right")
    most = int(np.argmax(last - first))
    return float(np.median(gaps[first[most]:last[most]]))
