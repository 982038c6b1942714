"""The virtual subject's own BOLD response against a plain numerical convolution."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.glm.hrf import event_response
from analysis.simulation.hemodynamics import (
    Shape,
    Shapes,
    convolve_events,
    draw_shapes,
    event_responses,
    impulse_response,
)

VOLUMES = np.arange(0.0, 60.0, 2.0)


def _by_a_plain_loop(volumes: np.ndarray, *, onset: float, duration: float, lag: float, width: float) -> np.ndarray:
    """Sum the impulse response over the event in steps of a millisecond."""
    steps = np.arange(0, round(duration * 1000)) / 1000 + 0.0005
    return np.array([sum(_impulse(((t - onset - steps - lag) - 5.4) / width + 5.4)) / 1000 for t in volumes])


def _impulse(time: np.ndarray) -> np.ndarray:
    time = np.maximum(time, 0)
    return (time / 5.4) ** 6 * np.exp(-(time - 5.4) / 0.9) - 0.35 * (time / 10.8) ** 12 * np.exp(-(time - 10.8) / 0.9)


@pytest.mark.parametrize(("lag", "width", "duration"), [(0.0, 1.0, 2.0), (1.0, 1.2, 2.0), (-0.75, 0.8, 0.3),
                                                         (0.0, 1.0, 16.0)])
def test_a_response_is_the_convolution_with_the_event(lag: float, width: float, duration: float) -> None:
    onset = 7.313
    found = event_responses(VOLUMES, onsets_s=np.array([onset]), durations_s=np.array([duration]),
                            shape=Shape(lag, width), reference_s=2.0)[:, 0]
    expected = _by_a_plain_loop(VOLUMES, onset=onset, duration=duration, lag=lag, width=width)
    fine = np.arange(0, 40, 0.05)
    peak = _by_a_plain_loop(fine, onset=3.0, duration=2.0, lag=lag, width=width).max()
    assert found == pytest.approx(expected / peak, abs=2e-3)


def test_an_event_of_the_reference_duration_peaks_at_one() -> None:
    fine = np.arange(0, 40, 0.01)
    found = event_responses(fine, onsets_s=np.array([3.0]), durations_s=np.array([2.0]), shape=Shape(0.5, 1.1),
                            reference_s=2.0)
    assert found.max() == pytest.approx(1.0, abs=1e-3)
    assert fine[found[:, 0].argmax()] == pytest.approx(3.0 + 1.0 + 5.4 + 0.5, abs=0.4)


def test_glovers_response_peaks_where_he_says() -> None:
    fine = np.arange(0, 30, 0.001)
    values = impulse_response(fine)
    assert fine[values.argmax()] == pytest.approx(5.4, abs=0.2)
    assert 10 < fine[values.argmin()] < 14


def test_it_is_not_the_response_that_the_glm_fits() -> None:
    mine = event_responses(VOLUMES, onsets_s=np.array([4.0]), durations_s=np.array([2.0]), shape=Shape(),
                           reference_s=2.0)[:, 0]
    fitted = event_response(VOLUMES - 4.0, duration_s=2.0, planned_s=2.0)
    assert 0.85 < np.corrcoef(mine, fitted)[0, 1] < 0.995


def test_vertices_of_each_shape_get_their_own_response() -> None:
    amplitudes = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 0.0]], dtype=np.float32)
    onsets, durations = np.array([4.0, 20.0]), np.array([2.0, 2.0])
    shapes = Shapes((Shape(), Shape(1.0, 1.1)), np.array([1, 0, 1]))
    found = convolve_events(amplitudes, volumes_s=VOLUMES, onsets_s=onsets, durations_s=durations, shapes=shapes,
                            reference_s=2.0)
    for v, k in enumerate(shapes.of):
        kernel = event_responses(VOLUMES, onsets_s=onsets, durations_s=durations, shape=shapes.kinds[k],
                                 reference_s=2.0)
        assert found[:, v] == pytest.approx(kernel @ amplitudes[:, v], abs=1e-5)


def test_lags_and_widths_have_the_spread_asked_for() -> None:
    rng = np.random.default_rng(1)
    maps = rng.standard_normal((2, 40000)).astype(np.float32)
    shapes = draw_shapes(*maps, lag_sd_s=0.5, width_sd=0.1)
    assert shapes.lag_s.std() == pytest.approx(0.5, rel=0.03)
    assert shapes.width.std() == pytest.approx(0.1, rel=0.06)
    assert np.corrcoef(shapes.lag_s, maps[0])[0, 1] > 0.97
    assert len(shapes.kinds) < 120
    assert len(draw_shapes(*maps, lag_sd_s=0.0, width_sd=0.0).kinds) == 1
