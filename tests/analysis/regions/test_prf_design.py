"""Convolution, drifts and compression against plain loops and least squares on whole series."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.glm.design import Sampling
from analysis.glm.hrf import event_response
from analysis.regions.prf.design import Experiment, Run, convolution, require_data
from analysis.regions.prf.response import Hrf
from tests.analysis.regions.prf_cases import TR_S, small_experiment, sweeping_bar, without_drifts


def frame_values(experiment: Experiment, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(len(experiment.stimulus.frames))


def plain_convolution(experiment: Experiment, values: np.ndarray) -> list[np.ndarray]:
    """Add up the responses to all frames, volume by volume."""
    series = []
    for run, order in zip(experiment.runs, experiment.stimulus.order, strict=True):
        times = run.sampling.times_s
        series.append(sum((values[place] * event_response(times - k * experiment.frame_s,
                                                          duration_s=experiment.frame_s,
                                                          planned_s=experiment.frame_s)
                           for k, place in enumerate(order) if place >= 0), np.zeros(len(times))))
    return series


def test_what_is_compressed_predicts_as_the_loop_does():
    experiment = small_experiment(sweeping_bar(), sweeping_bar(n_steps=8), degree=2)
    found = convolution(experiment)
    values = frame_values(experiment)
    small = found.family.polynomials[0, 0, 0] * (found.matrix @ values)
    for basis, series in zip(found.basis, plain_convolution(experiment, values), strict=True):
        np.testing.assert_allclose(basis @ small, without_drifts(series, degree=2), atol=1e-7)


def test_frames_faster_than_volumes_and_volumes_left_out():
    movie = np.repeat(sweeping_bar(), 4, axis=0)
    made = small_experiment(movie, frame_s=0.5)
    n_volumes = made.runs[0].sampling.n_volumes
    run = Run(sampling=Sampling(n_volumes=n_volumes, tr_s=TR_S, n_discarded=5, start_s=0.7), degree=1)
    experiment = Experiment(stimulus=made.stimulus, runs=(run,), frame_s=0.5)
    found = convolution(experiment)
    values = frame_values(experiment)
    series, = plain_convolution(experiment, values)
    assert len(series) == n_volumes - 5
    small = found.family.polynomials[0, 0, 0] * (found.matrix @ values)
    np.testing.assert_allclose(found.basis[0] @ small, without_drifts(series, degree=1), atol=1e-7)


def test_compression_keeps_every_distance():
    """Distances from data to predictions are those of the whole series, with at most so many numbers as frames."""
    experiment = small_experiment(sweeping_bar(), sweeping_bar(n_steps=9), degree=3)
    found = convolution(experiment)
    rng = np.random.default_rng(1)
    data = [100 + 5 * rng.standard_normal((run.n_kept, 4)).cumsum(axis=0).astype(np.float32)
            for run in experiment.runs]
    series = found.compress(data)
    assert len(series.values) <= len(experiment.stimulus.frames)
    values = frame_values(experiment)
    small = found.family.polynomials[0, 0, 0] * (found.matrix @ values)
    whole = np.concatenate([without_drifts(run.astype(np.float64), degree=3) for run in data])
    model = np.concatenate([without_drifts(run, degree=3) for run in plain_convolution(experiment, values)])
    np.testing.assert_allclose(series.length, np.linalg.norm(whole, axis=0), rtol=1e-6)
    inner = series.length * (small @ series.values)
    np.testing.assert_allclose(inner, model @ whole, rtol=1e-4, atol=1e-3)
    assert small @ small == pytest.approx(model @ model)


@pytest.mark.parametrize("block_vertices", [1, 3, 100])
def test_blocks_change_nothing(block_vertices):
    experiment = small_experiment()
    data = [np.random.default_rng(0).random((experiment.runs[0].n_kept, 7)).astype(np.float32)]
    found = convolution(experiment)
    one, other = found.compress(data), found.compress(data, block_vertices=block_vertices)
    np.testing.assert_allclose(other.values, one.values, atol=1e-6)
    np.testing.assert_allclose(other.length, one.length, rtol=1e-12)


def test_regressors_are_projected_out_also_where_one_repeats_a_drift():
    n = len(sweeping_bar())
    rng = np.random.default_rng(0)
    motion = rng.standard_normal((n, 3)).cumsum(axis=0)
    regressors = np.column_stack([motion, motion[:, 0] + np.linspace(0, 5, n), np.full(n, 2.0)])
    experiment = small_experiment(degree=1, regressors=regressors)
    nuisance = experiment.runs[0].nuisance()
    assert nuisance.shape == (n, 5)
    np.testing.assert_allclose(nuisance.T @ nuisance, np.eye(5), atol=1e-10)
    np.testing.assert_allclose(regressors - nuisance @ (nuisance.T @ regressors), 0, atol=1e-8)
    found = convolution(experiment)
    np.testing.assert_allclose(found.basis[0].T @ regressors, 0, atol=1e-8)


def test_the_degree_of_the_drifts_is_half_the_minutes():
    run = Run(sampling=Sampling(n_volumes=222, tr_s=2.0))
    assert run.nuisance().shape == (222, 5)


def test_constant_and_missing_vertices_have_no_length():
    experiment = small_experiment(sweeping_bar(), sweeping_bar())
    rng = np.random.default_rng(0)
    data = [(100 + rng.standard_normal((run.n_kept, 6))).astype(np.float32) for run in experiment.runs]
    data[0][:, 1] = 7.0
    data[1][:, 2] = 0.0
    data[1][3, 3] = np.nan
    data[0][3, 4] = np.inf
    series = convolution(experiment).compress(data)
    assert np.isnan(series.length).tolist() == [False, True, True, True, True, False]
    assert np.isfinite(series.values).all()


def test_a_drift_alone_has_no_length():
    experiment = small_experiment(degree=2)
    n = experiment.runs[0].n_kept
    ramp = (1000 + 100 * np.linspace(-1, 1, n)[:, None] ** np.array([1, 2])).astype(np.float32)  # but for rounding
    series = convolution(experiment).compress([ramp])
    assert np.isnan(series.length).all()


@pytest.mark.parametrize(("change", "message"), [
    ({"runs": 1}, "2 movies for 1 runs"), ({"frame_s": 0.0}, "expected a positive frame_s"),
    ({"short": True}, "run 2: a movie of 178 s for volumes of 180 s"),
])
def test_runs_that_do_not_fit_their_movies_are_named(change, message):
    movies = [sweeping_bar(n_steps=8), sweeping_bar(n_steps=8)]
    experiment = small_experiment(*movies)
    runs, stimulus = experiment.runs[:change.get("runs", 2)], experiment.stimulus
    if change.get("short"):
        stimulus = small_experiment(movies[0], movies[1][:-1]).stimulus
    with pytest.raises(ValueError, match=message):
        Experiment(stimulus=stimulus, runs=runs, frame_s=change.get("frame_s", TR_S))


@pytest.mark.parametrize("regressors", [np.zeros((5, 2)), np.zeros(114), np.full((114, 1), np.nan)])
def test_regressors_that_do_not_fit_the_run_are_named(regressors):
    with pytest.raises(ValueError, match="expected a finite row for each of the 114 kept volumes"):
        Run(sampling=Sampling(n_volumes=114, tr_s=2.0), regressors=regressors)


def test_data_that_do_not_fit_the_runs_are_named():
    experiment = small_experiment(sweeping_bar(), sweeping_bar(n_steps=9))
    n, m = (run.n_kept for run in experiment.runs)
    with pytest.raises(ValueError, match="data of 1 runs, expected 2"):
        require_data([np.zeros((n, 3), np.float32)], experiment=experiment)
    with pytest.raises(ValueError, match=rf"run 2: data of shape \({n}, 3\), expected {m} kept volumes by 3"):
        require_data([np.zeros((n, 3), np.float32)] * 2, experiment=experiment)
    with pytest.raises(ValueError, match=rf"run 2: data of shape \({m}, 2\), expected {m} kept volumes by 3"):
        require_data([np.zeros((n, 3), np.float32), np.zeros((m, 2), np.float32)], experiment=experiment)


def test_drifts_that_explain_everything_are_named():
    experiment = small_experiment(regressors=np.eye(114)[:, :113])
    with pytest.raises(ValueError, match="drifts and regressors explain every response"):
        convolution(experiment)


def test_some_of_the_runs():
    experiment = small_experiment(sweeping_bar(), sweeping_bar(n_steps=9), sweeping_bar(n_steps=7))
    some = experiment.subset([2, 0])
    assert [run.n_kept for run in some.runs] == [experiment.runs[k].n_kept for k in (2, 0)]
    assert len(some.stimulus.frames) < len(experiment.stimulus.frames)
    for k, place in enumerate([2, 0]):
        shown, before = some.stimulus.order[k], experiment.stimulus.order[place]
        np.testing.assert_array_equal(shown < 0, before < 0)
        np.testing.assert_array_equal(some.stimulus.frames[shown[shown >= 0]],
                                      experiment.stimulus.frames[before[before >= 0]])
    assert some.hrf is experiment.hrf


def test_an_own_response_is_convolved_as_numpy_does():
    samples = np.array([0.0, 0.3, 1.0, 0.6, 0.2, -0.1, 0.0])
    made = small_experiment(degree=0)
    experiment = Experiment(stimulus=made.stimulus, runs=made.runs, frame_s=TR_S, hrf=Hrf(samples, TR_S))
    values = frame_values(experiment)
    order = experiment.stimulus.order[0]
    drive = np.where(order >= 0, values[order], 0.0)
    found = convolution(experiment)
    small = found.family.polynomials[0, 0, 0] * (found.matrix @ values)
    expected = np.convolve(drive, samples)[:len(drive)]
    np.testing.assert_allclose(found.basis[0] @ small, expected - expected.mean(), atol=1e-9)
