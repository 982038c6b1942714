"""The watchdog against a plain reading of random pulse trains: missed, double and further pulses, and a slow scanner.

The oracle is told the true grid, which the watchdog has to find: it sorts each pulse by its distance from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from paradigms.record.watchdog import PulseWatch, fit_pulses, watch

FRAME_S = 1 / 120


@dataclass(frozen=True)
class Train:
    """A pulse train: the true TR and its pulses, in order."""

    tr_s: float
    true_tr_s: float
    start_s: float
    pulses: tuple[float, ...]


@st.composite
def trains(draw: st.DrawFn) -> Train:
    """Draw 40 to 80 volumes of which some are missed or doubled, with jitter, and a few pulses between volumes.

    Jitter is up to 2 % of a TR, doubles come 1 to 10 % of a TR later, further pulses 35 to 65 % after a volume; the
    first volume and the last are there, and at most every eighth volume has a further pulse after it.
    """
    tr_s = draw(st.sampled_from([0.5, 1.0, 2.0, 3.0]))
    true_tr_s = tr_s * draw(st.sampled_from([0.995, 1.0, 1.005]))
    n, start_s = draw(st.integers(40, 80)), draw(st.floats(0.0, 1e4))
    inner = st.integers(1, n - 2)
    missed = draw(st.sets(inner, max_size=n // 4))
    doubled = draw(st.sets(st.integers(0, n - 1), max_size=n // 5)) - missed
    # Two pulses off the grid in a row are taken for a new grid: after each of ours comes a volume.
    extra = {volume for volume in draw(st.sets(st.integers(6, n - 2), max_size=n // 8)) if volume + 1 not in missed}
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    pulses = []
    for volume in range(n):
        at = start_s + volume * true_tr_s
        if volume not in missed:
            stamp = at + 0.02 * tr_s * rng.uniform(-1.0, 1.0)
            pulses.append(stamp)
            if volume in doubled:
                pulses.append(stamp + tr_s * rng.uniform(0.01, 0.1))
        if volume in extra:
            pulses.append(at + tr_s * rng.uniform(0.35, 0.65))
    return Train(tr_s, true_tr_s, start_s, tuple(sorted(pulses)))


def sorted_out(train: Train) -> tuple[list[int], int, int, list[str]]:
    """Sort pulses by the true grid: volumes that came, doubles, further pulses, and a remark on each pulse."""
    came: list[int] = []
    n_double, n_extra, remarks = 0, 0, []
    for stamp in train.pulses:
        place = (stamp - train.start_s) / train.true_tr_s
        volume = int(np.floor(place + 0.5))
        if abs(place - volume) > 0.2:
            n_extra += 1
            remarks.append("off the grid")
        elif volume in came:
            n_double += 1
            remarks.append("double")
        else:
            gap = volume - came[-1] - 1 if came else 0
            came.append(volume)
            remarks.append(f"{gap} missed" if gap else "")
    return came, n_double, n_extra, remarks


@hypothesis_settings(max_examples=200, deadline=None)
@given(trains())
def test_every_pulse_is_sorted_as_a_plain_reading_sorts_it(train: Train) -> None:
    came, n_double, n_extra, _ = sorted_out(train)
    fit = fit_pulses(train.pulses, tr_s=train.tr_s)
    assert list(fit.volumes) == came
    assert (fit.n_double, fit.n_extra) == (n_double, n_extra)
    assert fit.tr_s == pytest.approx(train.true_tr_s, rel=0.003)


@hypothesis_settings(max_examples=200, deadline=None)
@given(trains())
def test_the_report_counts_what_was_missed(train: Train) -> None:
    came, n_double, n_extra, _ = sorted_out(train)
    n = came[-1] + 1
    report = watch(train.pulses, zero_s=train.pulses[0], n_dummies=0, n_volumes=n, tr_s=train.tr_s,
                   played_s=n * train.tr_s, onset_errors_s=[], clock_offsets_s=[], frame_s=FRAME_S)
    assert report.missed == tuple(volume for volume in range(n) if volume not in came)
    assert (report.n_pulses, report.n_expected) == (len(came), n)
    assert (report.n_double, report.n_extra) == (n_double, n_extra)
    wrong = bool(report.missed or n_double or n_extra or train.true_tr_s != train.tr_s)
    assert bool(report.faults) is wrong


@hypothesis_settings(max_examples=200, deadline=None)
@given(trains())
def test_remarks_while_the_run_is_on_are_those_of_a_plain_reading(train: Train) -> None:
    live = PulseWatch(tr_s=train.tr_s)
    assert [live.see(stamp) for stamp in train.pulses] == sorted_out(train)[3]


@hypothesis_settings(max_examples=100, deadline=None)
@given(trains(), st.integers(1, 4))
def test_dummies_before_time_zero_are_no_volumes(train: Train, n_dummies: int) -> None:
    came, *_ = sorted_out(train)
    zero = next((stamp for stamp in train.pulses
                 if abs((stamp - train.start_s) / train.true_tr_s - n_dummies) < 0.021), None)
    assume(zero is not None and came[:n_dummies + 1] == list(range(n_dummies + 1)))  # a missed dummy: another test
    n = came[-1] + 1 - n_dummies
    report = watch(train.pulses, zero_s=zero, n_dummies=n_dummies, n_volumes=n, tr_s=train.tr_s,
                   played_s=n * train.tr_s, onset_errors_s=[], clock_offsets_s=[], frame_s=FRAME_S)
    assert report.n_pulses == sum(volume >= n_dummies for volume in came)
    assert report.n_late_start == 0
