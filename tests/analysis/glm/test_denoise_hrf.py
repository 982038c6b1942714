"""Onsets to designs, and the common response against a slow loop, planted truths and its guard."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.glm.denoising.hrf_estimate import (
    agreement,
    common_phase,
    convolve,
    fir_design,
    onset_matrix,
    optimize_response,
    peak_at_one,
)
from analysis.glm.denoising.model import Nuisance, SurfaceRuns, scan_runs
from analysis.glm.hrf import event_response
from tests.analysis.glm import denoise_oracle as oracle

TR = 2.0


def response_to(times, *, duration_s):
    return event_response(times, duration_s=duration_s, planned_s=duration_s)


LAGS = TR * np.arange(12)
SEED = response_to(LAGS, duration_s=2.0)


def optimized(onsets, data, *, seed, extra=None, lead=0, **given):
    slow = [oracle.drifts(len(y), 2) for y in data]
    nuisance = [Nuisance(s, e) for s, e in zip(slow, extra or [None] * len(data), strict=True)]
    runs = SurfaceRuns(data, 23)
    return optimize_response(runs, scan=scan_runs(runs, nuisance=nuisance), onsets=onsets,
                             kept=[slice(lead, None)] * len(data),
                             nuisance=nuisance, seed=seed, **given)


def session(response, *, seed=0, **given):
    return oracle.small_session(seed, response=response, n_volumes=(150, 150, 150), n_vertices=120,
                                **{"shared": 0.3, "white": 1.0, "signal": 2.0, **given})[:2]


def test_convolution_is_numpys_cut_to_the_run():
    rng = np.random.default_rng(0)
    onsets, response = rng.random((40, 3)), rng.standard_normal(7)
    np.testing.assert_allclose(convolve(onsets, response), oracle.convolved(onsets, response), atol=1e-12)
    np.testing.assert_allclose(convolve(onsets[:4], response), oracle.convolved(onsets[:4], response), atol=1e-12)


def test_a_fir_design_weighted_by_a_response_is_the_convolution():
    rng = np.random.default_rng(1)
    onsets, response = rng.random((40, 3)), rng.standard_normal(7)
    design = fir_design(onsets, n_lags=7)
    assert design.shape == (40, 21)
    np.testing.assert_allclose(design.reshape(40, 3, 7) @ response, convolve(onsets, response), atol=1e-12)


@pytest.mark.parametrize("start_s", [0.0, 1.0, 0.7])
def test_events_locked_to_the_volumes_give_the_exact_design(start_s):
    onsets = np.array([4.0, 12.0, 14.0, 30.0])
    times = start_s + TR * np.arange(40)
    phase = common_phase(onsets, first_s=start_s, tr_s=TR)
    matrix = onset_matrix(onsets, [0, 1, 0, 1], n_conditions=2, first_s=start_s, n_volumes=40, tr_s=TR, phase_s=phase)
    lags = phase + TR * np.arange(20)
    found = convolve(matrix, response_to(lags, duration_s=2.0))
    for column, mine in ((0, onsets[[0, 2]]), (1, onsets[[1, 3]])):
        wanted = sum(response_to(times - onset, duration_s=2.0) for onset in mine)
        np.testing.assert_allclose(found[:, column], wanted, atol=5e-4)  # the tail beyond 20 lags


def test_jitter_is_interpolated_and_the_common_phase_ignores_it():
    rng = np.random.default_rng(2)
    onsets = 4.0 * np.arange(1, 30) + 0.02 * rng.standard_normal(29)
    phase = common_phase(onsets, first_s=0.5, tr_s=TR)
    assert phase == pytest.approx(0.5, abs=0.02)
    matrix = onset_matrix(onsets, np.zeros(29, int), n_conditions=1, first_s=0.5, n_volumes=80, tr_s=TR, phase_s=phase)
    assert matrix.sum() == pytest.approx(29)
    times = 0.5 + TR * np.arange(80)
    wanted = sum(response_to(times - onset, duration_s=2.0) for onset in onsets)
    np.testing.assert_allclose(convolve(matrix, response_to(phase + TR * np.arange(20), duration_s=2.0))[:, 0],
                               wanted, atol=0.02)


def test_the_phase_of_events_around_the_volumes_is_not_half_a_volume():
    assert common_phase([3.99, 4.01, 8.0], first_s=0.0, tr_s=TR) == pytest.approx(0.0, abs=1e-9)


def test_events_outside_the_volumes_are_refused():
    with pytest.raises(ValueError, match="event 1 at 80 s; expected events within 40 volumes from 0 s"):
        onset_matrix([0.0, 80.0], [0, 0], n_conditions=1, first_s=0.0, n_volumes=40, tr_s=TR)
    with pytest.raises(ValueError, match="event 0 at -1 s"):
        onset_matrix([-1.0], [0], n_conditions=1, first_s=0.0, n_volumes=40, tr_s=TR)


@pytest.mark.parametrize("wrong", [[0.0, -1.0], [], [[1.0]], [np.nan, 1.0]])
def test_a_response_without_a_peak_is_refused(wrong):
    with pytest.raises(ValueError, match="a response without a positive peak"):
        peak_at_one(np.array(wrong))


def test_agreement_takes_no_mean_and_no_gain():
    assert agreement(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 100.0
    assert agreement(np.array([2.0, 4.0]), np.array([1.0, 2.0])) == pytest.approx(0.0)
    assert agreement(np.array([0.0, 1.0]), np.array([1.0, 1.0])) == pytest.approx(50.0)
    assert agreement(np.array([1.0]), np.array([0.0])) == -np.inf


@pytest.mark.parametrize("with_extra", [False, True])
def test_the_estimate_equals_a_slow_loop(with_extra):
    onsets, data = session(SEED)
    rng = np.random.default_rng(3)
    extra = [rng.standard_normal((len(y), 2)) for y in data] if with_extra else None
    seed = response_to(LAGS - 1.0, duration_s=2.0)
    found = optimized(onsets, data, seed=seed, extra=extra, n_vertices=20)
    slow = [oracle.drifts(len(y), 2) for y in data]
    nuisance = [np.hstack([s, e]) for s, e in zip(slow, extra, strict=True)] if with_extra else slow
    wanted, rounds, best = oracle.optimized_response([y.astype(float) for y in data], onsets, nuisance, seed, 20)
    assert found.outcome == "estimated"
    assert found.rounds == rounds
    np.testing.assert_array_equal(found.vertices, best)
    np.testing.assert_allclose(found.response, wanted / wanted.max(), atol=1e-6)
    assert found.r2_seed == pytest.approx(agreement(seed / seed.max(), wanted), abs=1e-4)


@pytest.mark.parametrize(("shift_s", "duration_s"), [(1.0, 2.0), (-1.0, 2.0), (0.0, 5.0), (1.0, 4.0)])
def test_a_planted_lag_and_width_are_recovered(shift_s, duration_s):
    truth = peak_at_one(response_to(LAGS - shift_s, duration_s=duration_s))
    onsets, data = session(truth, n_conditions=16)
    found = optimized(onsets, data, seed=SEED)
    assert found.outcome == "estimated"
    assert not found.kept_seed
    assert np.corrcoef(found.response, truth)[0, 1] > 0.995
    assert np.corrcoef(peak_at_one(SEED), truth)[0, 1] < 0.97
    assert found.response.max() == 1.0


def test_slow_noise_that_all_share_leaves_the_seed():
    onsets, data = session(SEED, n_conditions=40, events=1, shared=8.0, smooth=15, signal=0.3)
    found = optimized(onsets, data, seed=SEED)
    assert found.outcome == "seed kept: far from it"
    assert found.kept_seed
    assert found.r2_seed < 50
    np.testing.assert_array_equal(found.response, peak_at_one(SEED))
    assert agreement(found.response, found.estimate) < 50
    trusting = optimized(onsets, data, seed=SEED, guard_r2=-np.inf)
    assert trusting.outcome == "estimated"
    np.testing.assert_allclose(trusting.response, found.estimate)


def test_without_any_signal_the_seed_is_kept():
    onsets, data = session(SEED)
    found = optimized(onsets, [np.full_like(y, 50.0) for y in data], seed=SEED)
    assert found.outcome == "seed kept: no response"
    assert not found.vertices.size


def test_only_candidates_are_looked_at():
    onsets, data = session(SEED)
    candidates = np.arange(120) < 30
    found = optimized(onsets, data, seed=SEED, candidates=candidates, n_vertices=10)
    assert len(found.vertices) == 10
    assert found.vertices.max() < 30
    few = optimized(onsets, data, seed=SEED, candidates=np.arange(120) < 4)
    np.testing.assert_array_equal(few.vertices, np.arange(4))


def test_events_before_the_first_kept_volume_are_counted():
    onsets, data = session(SEED)
    lead = [np.concatenate([np.zeros((3, one.shape[1])), one]) for one in onsets]
    plain = optimized(onsets, data, seed=SEED, n_vertices=20)
    np.testing.assert_allclose(optimized(lead, data, seed=SEED, lead=3, n_vertices=20).response, plain.response,
                               atol=1e-9)
    cut = [y[4:] for y in data]
    assert np.corrcoef(optimized(onsets, cut, seed=SEED, lead=4).response, peak_at_one(SEED))[0, 1] > 0.99


def test_rounds_without_an_end_are_cut_and_said(monkeypatch):
    monkeypatch.setattr("analysis.glm.denoising.hrf_estimate.MAX_ROUNDS", 3)
    onsets, data = session(SEED)
    found = optimized(onsets, data, seed=SEED, stop_r2=101.0)
    assert found.outcome == "seed kept: no convergence"
    assert found.rounds == 3
    np.testing.assert_array_equal(found.response, peak_at_one(SEED))
    assert np.corrcoef(found.estimate, SEED)[0, 1] > 0.9
