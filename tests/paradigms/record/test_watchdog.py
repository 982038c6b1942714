"""The watchdog finds exactly what an emulated scanner did wrong."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from paradigms.emulation.scanner_and_display import pulse_times
from paradigms.record.pulse_fit import fit_pulses
from paradigms.record.watchdog import PulseWatch, WatchReport, watch
from subjects.errors import RunLogError
from subjects.settings.devices import ScannerFaults

TR = 2.0


def _times(n: int = 278, **faults: Any) -> list[float]:
    times = pulse_times(tr_s=TR, n_volumes=n, faults=ScannerFaults(**faults), rng=np.random.default_rng(1))
    return [float(t) + 1000.0 for t in times]


def _watched(pulses: list[float], *, zero: float = 0, n_volumes: int = 278, **given: Any) -> WatchReport:
    zero_s = pulses[zero] if isinstance(zero, int) else zero
    about = {"n_dummies": 0, "tr_s": TR, "played_s": n_volumes * TR, "onset_errors_s": [0.001] * 4,
             "clock_offsets_s": [5.0, 5.0], "frame_s": 1 / 120, **given}
    return watch(pulses, zero_s=zero_s, n_volumes=n_volumes, **about)


def test_a_good_run_has_no_faults() -> None:
    report = _watched(_times(jitter_s=0.002))
    assert report.faults == ()
    assert (report.n_pulses, report.n_expected, report.missed) == (278, 278, ())
    assert report.tr_fitted_s == pytest.approx(2.0, abs=1e-4)
    assert report.jitter_s == pytest.approx(0.002 * 0.6745, rel=0.25)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(1, 98), max_size=12), st.sets(st.integers(0, 99), max_size=4),
       st.integers(0, 2**32 - 1), st.sampled_from([-0.01, 0.0, 0.01]))
def test_missed_and_double_pulses_are_found_one_by_one(missed: set[int], doubled: set[int], seed: int,
                                                       tr_error: float) -> None:
    faults = ScannerFaults(missed=tuple(missed), doubled=tuple(doubled - missed), jitter_s=0.005,
                           tr_factor=1.0 + tr_error)
    times = pulse_times(tr_s=TR, n_volumes=100, faults=faults, rng=np.random.default_rng(seed))
    report = _watched([float(t) for t in times], n_volumes=100)
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
    ({"tr_factor": 1.004}, "TR is 2.0080 s +- 0.0001 s from 278 pulses, not 2 s"),
])
def test_each_fault_is_said(faults: dict[str, Any], text: str) -> None:
    assert text in _watched(_times(**faults)).faults


@pytest.mark.parametrize("tr_s", [1.0, 1.2, 2.6, 3.0, 4.0, 5.0])
def test_a_tr_that_is_far_off_is_the_only_fault(tr_s: float) -> None:
    """For as many pulses as the scanner sends while the run is on, and not one of them missed, extra or too few."""
    n = min(278, 1 + int(278 * TR / tr_s))
    report = _watched([1000.0 + tr_s * k for k in range(n)])
    assert report.faults == (f"TR is {tr_s:.4f} s +- 0.0001 s from {n} pulses, not 2 s",)
    assert (report.n_pulses, report.n_expected, report.missed, report.n_extra) == (n, n, (), 0)
    assert (report.n_fitted, report.tr_error_s) == (n, pytest.approx(0.005 / math.sqrt((n ** 3 - n) / 12)))


def test_pulses_beyond_the_plan_are_said_beside_the_tr() -> None:
    assert _watched([1000.0 + k for k in range(556)]).faults == (
        "pulses for 556 volumes, 278 expected", "TR is 1.0000 s +- 0.0001 s from 556 pulses, not 2 s")


def test_faults_of_a_scanner_with_another_tr_are_counted_in_its_volumes() -> None:
    pulses = [1000.0 + 3.0 * k for k in range(180) if k not in (7, 8, 100)]
    report = _watched(sorted([*pulses, 1004.4]), played_s=180 * 3.0)
    assert report.missed == (7, 8, 100)
    assert report.n_extra == 1
    assert report.faults[0] == "3 pulses missed (volumes 7, 8, 100)"
    assert report.faults[-1].startswith("TR is 3.0000 s")


def test_two_pulses_tell_no_tr_to_a_millisecond() -> None:
    """The wall between a stamp's error and another TR is three standard errors: 21 ms for two pulses, 6 for five."""
    assert _watched([1000.0, 1002.0041], n_volumes=2).faults == ()
    assert _watched([1000.0, 1002.0, 1004.0041], n_volumes=3).faults == ()
    assert fit_pulses([1000.0, 1002.0041], tr_s=TR).tr_error_s == pytest.approx(0.005 * math.sqrt(2))
    assert _watched([1000.0, 1002.03], n_volumes=2).faults == ("TR is 2.0300 s +- 0.0071 s from 2 pulses, not 2 s",)
    assert _watched([1000.0 + 2.008 * k for k in range(5)], n_volumes=5).faults == \
        ("TR is 2.0080 s +- 0.0016 s from 5 pulses, not 2 s",)
    assert _watched([1000.0 + 2.004 * k for k in range(5)], n_volumes=5).faults == ()


def test_few_pulses_in_between_are_extras_and_no_tr() -> None:
    """Three pulses 1 s apart may be one extra; four are a TR."""
    assert fit_pulses([0.0, 1.0, 2.0, 4.0, 6.0], tr_s=TR).n_extra == 1
    assert fit_pulses([0.0, 1.0, 2.0], tr_s=TR).tr_s == pytest.approx(2.0)
    assert fit_pulses([0.0, 1.0, 2.0, 3.0], tr_s=TR).tr_s == pytest.approx(1.0)


@hypothesis_settings(max_examples=200, deadline=None)
@given(tr_s=st.floats(0.5, 5.0), nominal_s=st.floats(0.5, 5.0), n=st.integers(30, 300), seed=st.integers(0, 2**32 - 1),
       jitter_s=st.floats(0.0, 0.005), share_missed=st.floats(0.0, 0.15), n_extra=st.integers(0, 3))
def test_the_tr_is_found_whatever_the_settings_say(tr_s: float, nominal_s: float, n: int, seed: int, jitter_s: float,
                                                   share_missed: float, n_extra: int) -> None:
    """Within four standard errors that are told, with missed and extra pulses counted on the true grid."""
    rng = np.random.default_rng(seed)
    missed = 1 + rng.choice(n - 2, size=int(share_missed * n), replace=False)
    extra = (rng.choice(n - 1, size=n_extra, replace=False) + rng.uniform(0.3, 0.7, n_extra)) * tr_s
    grid = np.delete(np.arange(n) * tr_s + jitter_s * rng.standard_normal(n), missed)
    fit = fit_pulses([*grid, *extra], tr_s=nominal_s)
    assert fit.tr_s is not None
    assert fit.tr_error_s is not None
    assert abs(fit.tr_s - tr_s) < 4.5 * fit.tr_error_s
    assert (fit.n_missed, fit.n_extra, fit.n_double) == (len(missed), n_extra, 0)
    assert fit.departs(nominal_s) == (abs(fit.tr_s - nominal_s) > max(0.002 * nominal_s, 3.0 * fit.tr_error_s))


def test_a_scanner_that_stops_early_is_said() -> None:
    faults = _watched(_times(277)).faults
    assert faults == ("pulses for 277 of 278 volumes: the scanner stopped early, or the run started late",)


def test_an_aborted_run_expects_only_what_was_due() -> None:
    report = _watched(_times(6), played_s=10.5)
    assert (report.n_expected, report.faults) == (6, ())


def test_a_missed_dummy_is_a_late_start() -> None:
    pulses = _times(missed=(1,))
    report = _watched(pulses, zero=2, n_dummies=2, n_volumes=275)
    assert report.n_late_start == 1
    assert "late start: time zero is 1 volume late" in report.faults


def test_an_additional_dummy_is_an_early_start() -> None:
    report = _watched(_times(280), zero=1, n_dummies=2, n_volumes=278)
    assert "early start: time zero is 1 volume early" in report.faults


def test_dummies_as_announced_are_no_fault() -> None:
    report = _watched(_times(280), zero=2, n_dummies=2)
    assert (report.faults, report.n_pulses) == ((), 278)


def test_a_stray_first_pulse_does_not_spoil_the_grid() -> None:
    pulses = [1000.0 - 30.7, *_times()]
    report = _watched(pulses, zero=0)
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
        _watched(_times(), zero=1000.5)


def test_late_onsets_are_counted_and_summarised() -> None:
    errors = [0.0] * 98 + [-0.02, 0.02]
    report = _watched(_times(), onset_errors_s=errors)
    assert report.n_late == 1
    assert report.onset_p99_s == pytest.approx(np.percentile(np.abs(errors), 99))
    assert report.onset_median_s == 0.0
    assert "1 onset late by more than a frame" in report.faults


def test_a_clock_step_is_told_from_a_slow_drift() -> None:
    drift = list(np.linspace(0.0, 0.25, 278))
    assert _watched(_times(), clock_offsets_s=drift).faults == ()
    stepped = [0.0] * 100 + [-0.2] * 178
    assert _watched(_times(), clock_offsets_s=stepped).faults == ("the wall clock stepped by 0.200 s",)


def test_the_report_is_json() -> None:
    import json

    content = _watched(_times(missed=(7,))).to_json()
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
