"""The response in closed form against numerical integration and nilearn's sampled version."""

from __future__ import annotations

import numpy as np
import pytest
from nilearn.glm.first_level import compute_regressor, spm_hrf
from scipy.integrate import cumulative_trapezoid, quad
from scipy.stats import gamma

from analysis.glm import hrf
from analysis.glm.hrf import LENGTH_S, ResponseModel, canonical, event_response, peak_height

FINE = np.arange(0.0, 60.0, 0.005)


@pytest.mark.parametrize("duration_s", [0.5, 2.0, 4.0, 30.0])
@pytest.mark.parametrize("time_s", [1.0, 5.3, 9.0, 17.0, 31.0])
def test_event_response_is_the_integral_of_the_impulse_response(duration_s, time_s):
    grid = np.arange(0.0, 14.0 + duration_s, 0.001)
    passed = cumulative_trapezoid(impulse(grid), grid, initial=0.0)
    peak = (passed - np.interp(grid - duration_s, grid, passed)).max()
    area = quad(impulse, max(0.0, time_s - duration_s), time_s, epsabs=1e-12)[0]
    assert event_response(time_s, duration_s=duration_s, planned_s=duration_s) == pytest.approx(area / peak, abs=2e-6)


def impulse(time_s):
    """SPM's formula by scipy's own densities."""
    return gamma.pdf(time_s, 6) - gamma.pdf(time_s, 16) / 6


def test_an_event_that_lasts_as_planned_peaks_at_one():
    for duration_s in (0.1, 2.0, 4.0, 16.0):
        assert event_response(FINE, duration_s=duration_s, planned_s=duration_s).max() == pytest.approx(1.0, abs=1e-6)


def test_the_impulse_response_is_a_difference_of_gamma_densities():
    np.testing.assert_allclose(canonical(FINE - 1.0), impulse(FINE - 1.0), atol=1e-14)


def test_nothing_before_the_event_and_nothing_left_after_its_length():
    assert not event_response(np.linspace(-30, 0, 50), duration_s=2.0, planned_s=2.0).any()
    assert np.abs(event_response(LENGTH_S + 2.0 + FINE, duration_s=2.0, planned_s=2.0)).max() < 2e-3


def test_the_impulse_response_is_spms():
    sampled = spm_hrf(t_r=0.1, oversampling=1, time_length=32.0)
    own = canonical(np.linspace(0, 32.0, len(sampled)) - 0.1)  # nilearn starts one step late
    assert np.corrcoef(own, sampled)[0, 1] > 0.9999
    assert canonical(FINE).argmax() * 0.005 == pytest.approx(5.0, abs=0.05)
    assert canonical(FINE).sum() * 0.005 == pytest.approx(5 / 6, abs=1e-4)


def test_a_regressor_equals_nilearns_oversampled_convolution():
    times = 2.0 * np.arange(60)
    onsets = np.array([4.03, 31.5, 70.0])
    theirs, _ = compute_regressor(np.array([onsets, [2.0] * 3, [1.0] * 3]), "spm", times, oversampling=200,
                                  min_onset=0)
    own = sum(event_response(times - onset, duration_s=2.0, planned_s=2.0) for onset in onsets)
    assert np.abs(own - theirs[:, 0] * (own.max() / theirs.max())).max() < 0.01


def test_a_long_event_is_the_sum_of_short_ones():
    short = sum(event_response(FINE - 2.0 * k, duration_s=2.0, planned_s=2.0) for k in range(4))
    np.testing.assert_allclose(event_response(FINE, duration_s=8.0, planned_s=8.0), short / short.max(), atol=1e-6)


def test_the_response_changes_at_the_rate_of_the_impulse_response():
    inner = FINE[1:-1]
    for duration_s in (2.0, 4.0):
        slope = np.gradient(event_response(FINE, duration_s=duration_s, planned_s=duration_s), FINE)[1:-1]
        rate = canonical(inner) - canonical(inner - duration_s)
        np.testing.assert_allclose(slope * (rate.max() / slope.max()), rate, atol=1e-5)


def test_a_short_event_is_an_impulse():
    impulse_like = canonical(FINE) / canonical(FINE).max()
    np.testing.assert_allclose(event_response(FINE, duration_s=1e-3, planned_s=1e-3), impulse_like, atol=2e-4)


def test_a_longer_event_peaks_later():
    peaks = [FINE[event_response(FINE, duration_s=duration_s, planned_s=duration_s).argmax()]
             for duration_s in (0.5, 2.0, 4.0, 8.0)]
    assert peaks == sorted(set(peaks))
    assert 5.0 < peaks[1] < 7.0


def test_an_image_left_up_twice_as_long_has_the_summed_response_of_two():
    """A display that missed the flip: 4 s instead of 2 s is two images back to back, in height and in time."""
    normal = event_response(FINE, duration_s=2.0, planned_s=2.0)
    second = event_response(FINE - 2.0, duration_s=2.0, planned_s=2.0)
    found = event_response(FINE, duration_s=4.0, planned_s=2.0)
    np.testing.assert_allclose(found, normal + second, atol=1e-12)
    assert found.max() == pytest.approx(1.82, abs=0.005)


def test_jitter_of_a_duration_changes_the_response_in_proportion():
    exact = event_response(FINE, duration_s=2.0, planned_s=2.0).max()
    for jitter in (-0.05, 0.05):
        found = event_response(FINE, duration_s=2.0 + jitter, planned_s=2.0).max()
        assert found / exact == pytest.approx(1 + jitter / 2.0, abs=2e-3)


def test_measured_durations_fill_no_cache():
    peak_height.cache_clear()
    for k in range(500):
        event_response([5.0], duration_s=2.0 + 1e-4 * k, planned_s=2.0)
    assert peak_height.cache_info().currsize == 1


def test_glmdenoises_canonical_response_to_three_seconds_is_the_measured_one():
    """At the samples it was measured at; deconvolved and convolved again it is what went in."""
    times = hrf._MEASURED_TR_S * np.arange(len(hrf._MEASURED))
    found = event_response(times, duration_s=3.0, planned_s=3.0, shape="glmdenoise")
    peak = found.max() / hrf._MEASURED.max()
    np.testing.assert_allclose(found, hrf._MEASURED * peak, atol=1e-12)
    assert peak * hrf.peak_height(3.0, "glmdenoise") == pytest.approx(1.0)


def test_glmdenoises_responses_add_up():
    """Two events of 1.5 s after one another are one of 3 s."""
    times = np.arange(0.0, 30.0, 0.37)
    once = event_response(times, duration_s=3.0, planned_s=1.5, shape="glmdenoise")
    twice = sum(event_response(times - shift, duration_s=1.5, planned_s=1.5, shape="glmdenoise")
                for shift in (0.0, 1.5))
    np.testing.assert_allclose(twice, once, atol=1e-10)


def test_the_two_canonical_responses_differ_as_is_known():
    """GLMdenoise's peaks earlier and has a longer undershoot; for 3 s they correlate by .98."""
    times = np.arange(0.0, 49.0, 0.1)
    spm, other = (event_response(times, duration_s=3.0, planned_s=3.0, shape=shape)
                  for shape in ("canonical", "glmdenoise"))
    assert np.corrcoef(spm, other)[0, 1] == pytest.approx(0.985, abs=0.005)
    assert 5.5 < times[spm.argmax()] < 7.0
    assert 5.5 < times[other.argmax()] < 7.0
    assert other[times > 25].min() < -0.02 < spm[times > 25].min()


def test_a_derivative_is_the_difference_to_a_second_later():
    times = np.linspace(0.0, 40.0, 81)
    model = ResponseModel(basis="derivative")
    found = model.columns(times, duration_s=2.0, planned_s=2.0)
    later = event_response(times - 1.0, duration_s=2.0, planned_s=2.0)
    np.testing.assert_allclose(found[:, 0] - found[:, 1], later, atol=1e-12)
    assert model.main_column(2.0) == 0


def test_a_dispersion_derivative_is_that_of_nilearn():
    """Of an impulse, up to the height that ours is scaled to."""
    from nilearn.glm.first_level.hemodynamic_models import spm_dispersion_derivative, spm_hrf

    times = np.arange(0.0, 32.0, 0.02)
    model = ResponseModel(basis="dispersion")
    assert model.n_columns == 3
    found = model.columns(times, duration_s=0.02, planned_s=0.02)
    theirs = [make(2.0, oversampling=100) for make in (spm_hrf, spm_dispersion_derivative)]
    height = theirs[0].max()
    np.testing.assert_allclose(found[:, 2], theirs[1][:len(times)] / height,
                               atol=0.05 * np.abs(theirs[1]).max() / height)
    assert np.corrcoef(found[:, 2], theirs[1][:len(times)])[0, 1] > 0.999


def test_the_first_columns_do_not_depend_on_the_dispersion():
    times = np.linspace(0.0, 40.0, 81)
    found, less = (ResponseModel(basis=one).columns(times, duration_s=2.0, planned_s=2.0)
                   for one in ("dispersion", "derivative"))
    np.testing.assert_array_equal(found[:, :2], less)
    with pytest.raises(ValueError, match="the dispersion of 'glmdenoise'; expected that of SPM's canonical response"):
        ResponseModel(shape="glmdenoise", basis="dispersion")


@pytest.mark.parametrize(("tr_s", "n_lags"), [(2.0, 10), (1.5, 14), (0.8, 25)])
def test_every_moment_within_20_s_is_in_one_lag(tr_s, n_lags):
    model = ResponseModel(basis="fir", tr_s=tr_s)
    found = model.columns(np.arange(0.0, n_lags * tr_s - 1e-6, 0.1), duration_s=2.0, planned_s=2.0)
    assert found.shape[1] == model.n_columns == n_lags
    np.testing.assert_array_equal(found.sum(axis=1), 1.0)
    assert not model.columns(np.array([-0.1, n_lags * tr_s + 0.1]), duration_s=2.0, planned_s=2.0).any()
    fine = np.arange(0.0, 12.0, 0.01)
    peak_s = fine[event_response(fine, duration_s=2.0, planned_s=2.0).argmax()]
    assert model.main_column(2.0) == int(peak_s // tr_s)
