"""The response to a frame, and its family over lags and widths against the response itself."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.glm.hrf import event_response
from analysis.regions.prf.response import Hrf, hrf_family

TIMES = np.arange(-4.0, 60.0, 0.5)
SAMPLES = np.array([0.0, 0.3, 1.0, 0.6, 0.2, -0.1, -0.05, 0.0])


def test_the_canonical_response_is_that_of_the_glm():
    np.testing.assert_array_equal(Hrf()(TIMES, duration_s=2.0), event_response(TIMES, duration_s=2.0, planned_s=2.0))


def test_samples_come_back_at_their_times_and_nothing_outside():
    hrf = Hrf(SAMPLES, 2.0)
    np.testing.assert_allclose(hrf(2.0 * np.arange(8), duration_s=2.0), SAMPLES, atol=1e-12)
    assert not hrf(np.array([-0.1, -5.0, 14.1, 40.0]), duration_s=2.0).any()


@pytest.mark.parametrize("hrf", [Hrf(), Hrf(SAMPLES, 2.0)])
def test_a_lag_moves_and_a_width_stretches(hrf):
    own = hrf(np.arange(0.0, 30.0, 0.01), duration_s=2.0)
    later = hrf(np.arange(0.0, 30.0, 0.01) + 3.0, duration_s=2.0, lag_s=3.0)
    np.testing.assert_allclose(later, own, atol=1e-12)
    wider = hrf(np.arange(0.0, 60.0, 0.01), duration_s=2.0, width=1.5)
    assert wider.argmax() == pytest.approx(1.5 * own.argmax(), abs=60)
    assert wider.max() == pytest.approx(own.max(), abs=1e-3)


@pytest.mark.parametrize("hrf", [Hrf(), Hrf(SAMPLES, 2.0)], ids=["canonical", "samples"])
@pytest.mark.parametrize(("lag_s", "width"), [((-2.0, 6.0), (1.0, 1.0)), ((0.0, 0.0), (0.6, 1.6)),
                                              ((-3.0, 5.0), (0.7, 1.4))])
def test_the_family_gives_each_response(hrf, lag_s, width):
    family = hrf_family(hrf, TIMES, duration_s=2.0, lag_s=lag_s, width=width)
    rng = np.random.default_rng(0)
    lags, widths = rng.uniform(*lag_s, 40), rng.uniform(*width, 40)
    weights, _, _ = family.weights(lags, widths)
    truth = np.array([hrf(TIMES, duration_s=2.0, lag_s=a, width=b) for a, b in zip(lags, widths, strict=True)])
    tolerance = 2e-3 if hrf.samples is None else 5e-2  # few samples leave corners at the ends of the response
    np.testing.assert_allclose(weights.T @ family.responses, truth, atol=tolerance)
    assert hrf.samples is not None or len(family.responses) < 20


def test_the_familys_derivatives_are_those_of_its_weights():
    family = hrf_family(Hrf(), TIMES, duration_s=2.0, lag_s=(-2.0, 6.0), width=(0.7, 1.4))
    lags, widths, h = np.array([-1.9, 0.0, 5.5]), np.array([0.75, 1.0, 1.3]), 1e-5
    _, by_lag, by_width = family.weights(lags, widths)
    near = [family.weights(lags + a, widths + b)[0] for a, b in ((h, 0), (-h, 0), (0, h), (0, -h))]
    np.testing.assert_allclose(by_lag, (near[0] - near[1]) / (2 * h), atol=1e-6)
    np.testing.assert_allclose(by_width, (near[2] - near[3]) / (2 * h), atol=1e-6)


def test_a_fixed_response_is_a_family_of_one():
    family = hrf_family(Hrf(), TIMES, duration_s=2.0, lag_s=(1.0, 1.0))
    assert family.is_fixed
    np.testing.assert_allclose(family.polynomials[0, 0, 0] * family.responses[0],
                               event_response(TIMES - 1.0, duration_s=2.0, planned_s=2.0), atol=1e-12)


@pytest.mark.parametrize(("samples", "step_s", "message"), [
    (SAMPLES, None, "needs both"), (None, 2.0, "needs both"), (SAMPLES[:3], 2.0, "at least 4 finite samples"),
    (np.where(SAMPLES == 1.0, np.nan, SAMPLES), 2.0, "at least 4 finite samples"), (SAMPLES, 0.0, "positive step_s"),
])
def test_a_wrong_response_is_named(samples, step_s, message):
    with pytest.raises(ValueError, match=message):
        Hrf(samples, step_s)


@pytest.mark.parametrize(("lag_s", "width"), [((1.0, 0.0), (1.0, 1.0)), ((0.0, 0.0), (0.0, 1.0)),
                                              ((0.0, 0.0), (1.2, 1.0))])
def test_a_range_that_runs_backward_is_named(lag_s, width):
    with pytest.raises(ValueError, match="expected ascending ranges and positive widths"):
        hrf_family(Hrf(), TIMES, duration_s=2.0, lag_s=lag_s, width=width)


def test_a_response_outside_the_run_is_named():
    with pytest.raises(ValueError, match="HRF is 0 at every volume"):
        hrf_family(Hrf(), np.array([-3.0, -1.0]), duration_s=2.0)
