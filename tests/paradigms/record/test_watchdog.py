"""The watchdog finds exactly what an emulated scanner did wrong."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from paradigms.emulation.scanner_and_display import ScannerFaults, pulse_times
from paradigms.record.watchdog import PulseWatch, WatchReport, fit_pulses, watch
from subjects.errors import RunLogError

TR = 2.0


def _times(n: int = 278, **faults: Any) -> list[float]:
    times = pulse_times(tr_s=TR, n_volumes=n, faults=ScannerFaults(**faults), rng=np.random.default_rng(1))
    return [float(t) + 1000.0 for t in times]


def _judge(pulses: list[float], *, zero: float = 0, n_volumes: int = 278, **given: Any) -> WatchReport:
    zero_s = pulses[zero] if isinstance(zero, int) else zero
    about = {"n_dummies": 0, "tr_s": TR, "played_s": n_volumes * TR, "onset_errors_s": [0.001] * 4,
             "clock_offsets_s": [5.0, 5.0], "frame_s": 1 / 120, **given}
    return watch(pulses, zero_s=zero_s, n_volumes=n_volumes, **about)


def test_a_good_run_has_no_faults() -> None:
    report = _judge(_times(jitter_s=0.002))
    assert report.faults == ()
    assert (report.n_pulses, report.n_expected, report.missed) == (278, 278, ())
    assert report.tr_fitted_s == pytest.approx(2.0, abs=1e-4)
    assert report.jitter_s == pytest.approx(0.002 * 0.6745, rel=0.25)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(1, 98), max_size=12), st.sets(st.integers(0, 99), max_size=4),
       st.integers(0, 2**32 - 1), st.sampled_from([-0.01, 0.0, 0.01]))
def test_missed_and_double_pulses_are_found_one_by_one(missed: set[int], doubled: set[int], seed: int,
                                                       tr_error: float) -> None:
    faults = ScannerFaults(missed=tuple(missed), doubled=tuple(doubled - missed), jitter_s=0.005, tr_error=tr_error)
    times = pulse_times(tr_s=TR, n_volumes=100, faults=faults, rng=np.random.default_rng(seed))
    report = _judge([float(t) for t in times], n_volumes=100)
    assert report.missed == tuple(sorted(missed))
    assert report.n_double == len(doubled - missed)
    assert report.n_extra == 0
    assert report.n_pulses == 100 - len(missed)
    assert report.tr_fitted_s == pytest.approx(TR * (1 + tr_error), abs=1e-3)


@pytest.mark.parametrize(("faults", "text"), [
    ({"missed": (7,)}, "1 pulse missed (volumes 7)"),
    ({"missed": tuple(range(10, 17))}, "7 pulses missed (volumes 10, 11, 12, 13, 14, ...)"),
    ({"doubled": (3,)}, "1 double pulse"),
    ({"extra_s": (21.0,)}, "1 pulse off the TR grid"),
    ({"tr_error": 0.004}, "TR is 2.0080 s, not 2 s"),
])
def test_each_fault_is_said(faults: dict[str, Any], text: str) -> None:
    assert text in _judge(_times(**faults)).faults


def test_a_scanner_that_stops_early_is_said() -> None:
    faults = _judge(_times(277)).faults
    assert faults == ("pulses for 277 of 278 volumes: the scanner stopped early, or the run started late",)


def test_an_aborted_run_expects_only_what_was_due() -> None:
    report = _judge(_times(6), played_s=10.5)
    assert (report.n_expected, report.faults) == (6, ())


def test_a_missed_dummy_is_a_late_start() -> None:
    pulses = _times(missed=(1,))
    report = _judge(pulses, zero=2, n_dummies=2, n_volumes=275)
    assert report.n_late_start == 1
    assert "late start: time zero is 1 volume late" in report.faults


def test_an_additional_dummy_is_an_early_start() -> None:
    report = _judge(_times(280), zero=1, n_dummies=2, n_volumes=278)
    assert "early start: time zero is 1 volume early" in report.faults


def test_dummies_as_announced_are_no_fault() -> None:
    report = _judge(_times(280), zero=2, n_dummies=2)
    assert (report.faults, report.n_pulses) == ((), 278)


def test_a_stray_first_pulse_does_not_spoil_the_grid() -> None:
    pulses = [1000.0 - 30.7, *_times()]
    report = _judge(pulses, zero=0)
    assert "time zero is off the grid of the other pulses" in report.faults
    assert report.n_extra == 1
    assert report.tr_fitted_s == pytest.approx(TR)


def test_order_of_arrival_does_not_matter() -> None:
    pulses = _times(missed=(4,), doubled=(9,))
    shuffled = [pulses[k] for k in np.random.default_rng(3).permutation(len(pulses))]
    assert fit_pulses(shuffled, tr_s=TR) == fit_pulses(pulses, tr_s=TR)


def test_no_pulse_at_all() -> None:
    report = watch(
        [], zero_s=None, n_dummies=0, n_volumes=278, tr_s=TR, played_s=0.0, onset_errors_s=[], clock_offsets_s=[],
        frame_s=0.01)
    assert (report.n_pulses, report.n_expected, report.faults) == (0, 0, ())
    assert (report.tr_fitted_s, report.onset_median_s) == (None, None)


def test_one_pulse_has_no_tr() -> None:
    assert fit_pulses([3.0], tr_s=TR).tr_s is None


def test_time_zero_must_be_a_pulse() -> None:
    with pytest.raises(RunLogError, match=re.escape("time zero at 1000.500000 s; expected the stamp of a pulse")):
        _judge(_times(), zero=1000.5)


def test_late_onsets_are_counted_and_summarised() -> None:
    errors = [0.0] * 98 + [-0.02, 0.02]
    report = _judge(_times(), onset_errors_s=errors)
    assert report.n_late == 1
    assert report.onset_p99_s == pytest.approx(np.percentile(np.abs(errors), 99))
    assert report.onset_median_s == 0.0
    assert "1 onset late by more than a frame" in report.faults


def test_a_clock_step_is_told_from_a_slow_drift() -> None:
    drift = list(np.linspace(0.0, 0.25, 278))
    assert _judge(_times(), clock_offsets_s=drift).faults == ()
    stepped = [0.0] * 100 + [-0.2] * 178
    assert _judge(_times(), clock_offsets_s=stepped).faults == ("the wall clock stepped by 0.200 s",)


def test_the_report_is_json() -> None:
    import json

    content = _judge(_times(missed=(7,))).to_json()
    assert json.loads(json.dumps(content))["missed"] == [7]


@pytest.mark.parametrize(("stamps", "remarks"), [
    ([0.0, 2.0, 2.03, 4.0, 10.0], ["", "", "double", "", "2 missed"]),
    ([10.0, 11.0, 12.0, 14.0], ["", "off the grid", "", ""]),
    ([-30.7, 0.0, 2.0, 4.0], ["", "off the grid", "off the grid", ""]),
    ([0.0, 2.02, 4.04, 6.06], ["", "", "", ""]),
])
def test_live_remarks_on_pulses(stamps: list[float], remarks: list[str]) -> None:
    live = PulseWatch(tr_s=TR)
    assert [live.see(stamp) for stamp in stamps] == remarks
