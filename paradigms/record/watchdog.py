"""Pulses against the grid of repetition times, onsets against the plan, one clock against the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paradigms.record.pulse_fit import TOLERANCE, PulseFit, fit_pulses
from subjects.errors import RunLogError

CLOCK_STEP_S = 0.05


class PulseWatch:
    """Looks at pulses as they come; what it says of one never depends on later ones.

    A pulse off the grid does not move the grid; a second one in a row does.

    Parameters
    ----------
    tr_s : float
        Nominal repetition time.

    Examples
    --------
    >>> watch = PulseWatch(tr_s=2.0)
    >>> [watch.see(stamp) for stamp in (10.0, 12.0, 12.03, 16.0)]
    ['', '', 'double', '1 missed']
    """

    def __init__(self, *, tr_s: float) -> None:
        self._tr_s = tr_s
        self._last: float | None = None
        self._strayed = False

    def see(self, stamp_s: float) -> str:
        """Say what is amiss with a pulse: nothing, ``"double"``, ``"off the grid"`` or ``"<n> missed"``."""
        steps = 1.0 if self._last is None else (stamp_s - self._last) / self._tr_s
        if steps < TOLERANCE:
            return "double"
        stray = abs(steps - round(steps)) > TOLERANCE
        if not stray or self._strayed:
            self._last = stamp_s
        self._strayed = stray and not self._strayed
        if stray:
            return "off the grid"
        return f"{round(steps) - 1} missed" if steps > 1.5 else ""


@dataclass(frozen=True)
class WatchReport:
    """What a run's pulses and flips were like.

    Parameters
    ----------
    n_pulses, n_expected : int
        Volumes from time zero on whose pulse came (doubles and extras left out), and volumes that
        should have come in the time played, at the TR that the pulses keep.
    missed : tuple of int
        Volumes (from 0, at time zero) for which no pulse came though a later one did.
    n_late_start : int
        Volumes by which time zero came late (negative: early), as far as dummy pulses before it tell.
    n_double, n_extra : int
        Pulses within a quarter TR after another, and pulses off the grid otherwise.
    tr_fitted_s, tr_error_s : float or None
        Repetition time fitted to the pulses, and its standard error.
    n_fitted : int
        Pulses that it was fitted to, dummies included.
    jitter_s : float or None
        Median absolute distance of the pulses from the fitted grid.
    onset_median_s, onset_p99_s : float or None
        Median and 99th percentile of |actual - planned| onset.
    n_late : int
        Onsets late by more than a frame.
    clock_step_s : float
        Largest change of wall clock minus monotonic clock from one pulse to the next.
    faults : tuple of str
        Everything amiss, in words.
    """

    n_pulses: int
    n_expected: int
    missed: tuple[int, ...]
    n_late_start: int
    n_double: int
    n_extra: int
    tr_fitted_s: float | None
    jitter_s: float | None
    onset_median_s: float | None
    onset_p99_s: float | None
    n_late: int
    clock_step_s: float
    faults: tuple[str, ...]
    tr_error_s: float | None = None
    n_fitted: int = 0

    def to_json(self) -> dict[str, Any]:
        """Give the report as JSON's types."""
        return asdict(self)


def watch(pulses: Sequence[float], *, zero_s: float | None, n_dummies: int, n_volumes: int, tr_s: float,
          played_s: float, onset_errors_s: Sequence[float], clock_offsets_s: Sequence[float],
          frame_s: float) -> WatchReport:
    """Check the pulses, onsets and clocks of a run.

    Parameters
    ----------
    pulses : sequence of float
        Every pulse's stamp, dummies included.
    zero_s : float or None
        Time zero: the stamp of the first counted pulse.
    n_dummies, n_volumes : int
        Pulses before time zero, and volumes planned from it.
    tr_s, frame_s : float
        Nominal repetition time, and the length of a frame.
    played_s : float
        How long the run went on after time zero. A pulse within its last quarter TR need not have been read.
    onset_errors_s : sequence of float
        Actual minus planned onset of every image shown.
    clock_offsets_s : sequence of float
        Wall clock minus monotonic clock, along the run.

    Raises
    ------
    RunLogError
        If time zero is no pulse.
    """
    fit = fit_pulses(pulses, tr_s=tr_s)
    seen_s = fit.tr_s if fit.tr_s is not None and fit.departs(tr_s) else tr_s
    volumes, first, on_grid = _from_zero(fit, pulses, zero_s=zero_s, tr_s=seen_s)
    counted = volumes[volumes >= 0]
    came = int(counted[-1]) + 1 if len(counted) else 0
    due = min(n_volumes, max(came, 1 + int(played_s / seen_s - TOLERANCE))) if zero_s is not None else 0
    errors = np.abs(np.asarray(onset_errors_s, dtype=np.float64))
    report = WatchReport(
        n_pulses=len(counted), n_expected=due, n_double=fit.n_double, n_extra=fit.n_extra,
        missed=tuple(int(k) for k in np.setdiff1d(np.arange(came), counted)),
        n_late_start=-first - n_dummies if zero_s is not None and on_grid else 0,
        tr_fitted_s=fit.tr_s, jitter_s=fit.jitter_s, tr_error_s=fit.tr_error_s, n_fitted=len(fit.stamps_s),
        onset_median_s=float(np.median(errors)) if errors.size else None,
        onset_p99_s=float(np.percentile(errors, 99)) if errors.size else None,
        n_late=int(np.sum(np.asarray(onset_errors_s) > frame_s)),
        clock_step_s=float(np.max(np.abs(np.diff(clock_offsets_s)))) if len(clock_offsets_s) > 1 else 0.0, faults=())
    return WatchReport(**{**asdict(report), "faults": _faults(report, fit, tr_s=tr_s, zero_on_grid=on_grid)})


def _from_zero(fit: PulseFit, pulses: Sequence[float], *, zero_s: float | None,
               tr_s: float) -> tuple[NDArray[np.int64], int, bool]:
    """Give the volumes numbered from time zero, the first of them, and whether time zero is on the grid."""
    volumes = np.asarray(fit.volumes, dtype=np.int64)
    if zero_s is None:
        return np.zeros(0, dtype=np.int64), 0, True
    if not any(abs(stamp - zero_s) < 1e-5 for stamp in pulses):
        raise RunLogError("watchdog", came=f"time zero at {zero_s:.6f} s", expected="the stamp of a pulse",
                          remedy="Check that the records belong to one run.")
    nearest = int(np.argmin(np.abs(np.asarray(fit.stamps_s) - zero_s)))
    gap = float(fit.stamps_s[nearest] - zero_s)
    shift = int(volumes[nearest]) - round(gap / tr_s)
    return volumes - shift, int(volumes[0]) - shift, abs(gap) < 1e-5


def _faults(report: WatchReport, fit: PulseFit, *, tr_s: float, zero_on_grid: bool) -> tuple[str, ...]:
    came = report.n_pulses + len(report.missed)
    named = {
        "time zero is off the grid of the other pulses": not zero_on_grid,
        f"late start: time zero is {_many(report.n_late_start, 'volume')} late": report.n_late_start > 0,
        f"early start: time zero is {_many(-report.n_late_start, 'volume')} early": report.n_late_start < 0,
        f"{_many(len(report.missed), 'pulse')} missed (volumes {_some(report.missed)})": bool(report.missed),
        f"pulses for {came} of {_many(report.n_expected, 'volume')}: the scanner stopped early, or the run "
        "started late": came < report.n_expected,
        f"pulses for {came} volumes, {report.n_expected} expected": came > report.n_expected,
        _many(report.n_double, "double pulse"): report.n_double > 0,
        f"{_many(report.n_extra, 'pulse')} off the TR grid": report.n_extra > 0,
        f"TR is {fit.tr_s or 0:.4f} s +- {max(fit.tr_error_s or 0, 1e-4):.4f} s from {len(fit.stamps_s)} pulses, "
        f"not {tr_s:g} s": fit.departs(tr_s),
        f"{_many(report.n_late, 'onset')} late by more than a frame": report.n_late > 0,
        f"the wall clock stepped by {report.clock_step_s:.3f} s": report.clock_step_s > CLOCK_STEP_S,
    }
    return tuple(text for text, found in named.items() if found)


def _many(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _some(volumes: Sequence[int], *, limit: int = 5) -> str:
    text = ", ".join(str(k) for k in volumes[:limit])
    return f"{text}, ..." if len(volumes) > limit else text
