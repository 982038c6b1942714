"""Pulses against the grid of repetition times, onsets against the plan, one clock against the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DOUBLE_FRACTION = 0.25
TR_TOLERANCE = 0.002
CLOCK_STEP_S = 0.05


@dataclass(frozen=True)
class WatchReport:
    """What a run's pulses and flips were like.

    Parameters
    ----------
    n_pulses, n_expected : int
        Pulses counted from time zero (doubles and extras left out), and volumes planned.
    missed : tuple of int
        Volumes (from 0) for which no pulse came though a later one did.
    n_double, n_extra : int
        Pulses within a quarter TR after another, and pulses off the grid otherwise.
    tr_fitted_s : float or None
        Repetition time fitted to the pulses.
    jitter_s : float or None
        Median absolute distance of the pulses from the fitted grid.
    onset_median_s, onset_p99_s : float or None
        Median and 99th percentile of |actual - planned| onset.
    n_late : int
        Onsets late by more than a frame.
    clock_step_s : float
        Largest change of wall clock minus monotonic clock.
    faults : tuple of str
        Everything amiss, in words.
    """

    n_pulses: int
    n_expected: int
    missed: tuple[int, ...]
    n_double: int
    n_extra: int
    tr_fitted_s: float | None
    jitter_s: float | None
    onset_median_s: float | None
    onset_p99_s: float | None
    n_late: int
    clock_step_s: float
    faults: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the report as what JSON can hold."""
        return asdict(self)


@dataclass(frozen=True)
class PulseFit:
    """Pulses sorted out against the TR grid; see :func:`fit_pulses`."""

    n_pulses: int
    missed: tuple[int, ...]
    n_double: int
    n_extra: int
    tr_fitted_s: float | None
    jitter_s: float | None


def fit_pulses(stamps: Sequence[float], *, tr_s: float) -> PulseFit:
    """Lay pulses on the TR grid that begins at the first of them.

    Parameters
    ----------
    stamps : sequence of float
        Pulse stamps in seconds, the first counted pulse first.
    tr_s : float
        Nominal repetition time.

    Returns
    -------
    PulseFit
        Each pulse is put on the volume to which its distance from the last good pulse rounds (so that a
        scanner whose TR is off by a percent is followed, not lost). A pulse within a quarter TR after
        another on the same volume is a double, one more than a quarter TR off the grid an extra. The
        fitted TR is the least-squares slope of stamps over volumes.
    """
    volumes, times = _on_grid(np.sort(np.asarray(stamps, dtype=np.float64)), tr_s=tr_s)
    n_double = sum(kind == "double" for kind in volumes if isinstance(kind, str))
    n_extra = sum(kind == "extra" for kind in volumes if isinstance(kind, str))
    good = [(k, t) for k, t in zip(volumes, times, strict=True) if isinstance(k, int)]
    if not good:
        return PulseFit(0, (), n_double, n_extra, None, None)
    index = np.array([k for k, _ in good])
    missed = tuple(int(k) for k in np.setdiff1d(np.arange(index[-1] + 1), index))
    tr, jitter = _slope(index, np.array([t for _, t in good]))
    return PulseFit(len(good), missed, n_double, n_extra, tr, jitter)


def _on_grid(stamps: NDArray[np.float64], *, tr_s: float) -> tuple[list[int | str], list[float]]:
    kinds: list[int | str] = []
    last_volume, last_time = -1, -np.inf
    for stamp in stamps:
        if last_volume < 0:
            last_volume, last_time = 0, stamp
            kinds.append(0)
            continue
        ahead = (stamp - last_time) / tr_s
        steps = round(ahead)
        if ahead < DOUBLE_FRACTION:
            kinds.append("double")
        elif steps == 0 or abs(ahead - steps) > DOUBLE_FRACTION:
            kinds.append("extra")
        else:
            last_volume, last_time = last_volume + steps, stamp
            kinds.append(last_volume)
    return kinds, [float(stamp) for stamp in stamps]


def _slope(index: NDArray[np.int64], times: NDArray[np.float64]) -> tuple[float | None, float | None]:
    if len(index) < 2:
        return None, None
    slope, start = np.polyfit(index, times - times[0], 1)
    return float(slope), float(np.median(np.abs(times - times[0] - start - slope * index)))


def watch(pulses: Sequence[float], *, onset_errors_s: Sequence[float], clock_offsets_s: Sequence[float], tr_s: float,
          n_volumes: int, frame_s: float) -> WatchReport:
    """Judge a run.

    Parameters
    ----------
    pulses : sequence of float
        Stamps from the first counted pulse on.
    onset_errors_s : sequence of float
        Actual minus planned onset of every event shown.
    clock_offsets_s : sequence of float
        Wall clock minus monotonic clock, along the run.
    tr_s, n_volumes, frame_s : float, int, float
        Nominal repetition time, volumes planned, and the length of a frame.
    """
    fit = fit_pulses(pulses, tr_s=tr_s)
    errors = np.abs(np.asarray(onset_errors_s, dtype=np.float64))
    step = float(np.ptp(clock_offsets_s)) if len(clock_offsets_s) else 0.0
    n_late = int(np.sum(np.asarray(onset_errors_s) > frame_s))
    return WatchReport(
        **asdict(fit), n_expected=n_volumes,
        onset_median_s=float(np.median(errors)) if errors.size else None,
        onset_p99_s=float(np.percentile(errors, 99)) if errors.size else None,
        n_late=n_late, clock_step_s=step,
        faults=_faults(fit, n_volumes=n_volumes, tr_s=tr_s, n_late=n_late, clock_step_s=step))


def _faults(fit: PulseFit, *, n_volumes: int, tr_s: float, n_late: int, clock_step_s: float) -> tuple[str, ...]:
    span = (fit.missed[-1] if fit.missed else 0)
    found = []
    if fit.missed:
        found.append(f"{len(fit.missed)} pulses missed (first: volume {fit.missed[0]}, last: volume {span})")
    if fit.n_pulses + len(fit.missed) < n_volumes:
        found.append(f"pulses ended early: {fit.n_pulses + len(fit.missed)} of {n_volumes} volumes")
    if fit.n_pulses + len(fit.missed) > n_volumes:
        found.append(f"pulses for {fit.n_pulses + len(fit.missed)} volumes, {n_volumes} planned")
    if fit.n_double:
        found.append(f"{fit.n_double} double pulses")
    if fit.n_extra:
        found.append(f"{fit.n_extra} pulses off the TR grid")
    if fit.tr_fitted_s is not None and abs(fit.tr_fitted_s / tr_s - 1) > TR_TOLERANCE:
        found.append(f"TR is {fit.tr_fitted_s:.4f} s, not {tr_s:g} s")
    if n_late:
        found.append(f"{n_late} onsets late by more than a frame")
    if clock_step_s > CLOCK_STEP_S:
        found.append(f"the wall clock stepped by {clock_step_s:.3f} s")
    return tuple(found)
