"""Predictions against loops, derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.regions.prf.design import Compressed, convolution
from analysis.regions.prf.model import Drive, Misfit, Model, describe, make_drive
from tests.analysis.regions.prf_cases import plain_series, small_experiment, sweeping_bar, without_drifts

POINTS = np.array([[-2.0, 1.5, 0.3, 4.5, 0.0], [1.0, -2.5, 0.1, 3.0, 0.0], np.log([0.8, 1.5, 2.0, 1.0, 0.7]),
                   np.log([0.3, 0.8, 1.0, 0.5, 2.0])])
LAGS, WIDTHS = np.array([[1.0, 3.0, -3.5, 0.0, 2.0]]), np.array([[1.0, 1.2, 0.9, 1.1, 0.8]])


def make(dtype: type = np.float64, *, free: bool = False, **kind: float) -> Model:
    experiment = small_experiment(degree=2, **kind)
    ranges = {"lag_s": (-4.0, 5.0), "width": (0.7, 1.4)} if free else {}
    return Model(make_drive(experiment.stimulus, dtype=dtype), convolution(experiment, **ranges))


def points(*, free: bool) -> np.ndarray:
    return np.concatenate([POINTS, LAGS, WIDTHS]) if free else POINTS


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("kind", [{}, {"width_deg": 6.0, "height_deg": 12.0, "x_deg": 1.0, "y_deg": -0.5}],
                         ids=["field", "tall and off centre"])
def test_predictions_are_those_of_a_plain_loop(free, kind):
    model = make(free=free, **kind)
    experiment = small_experiment(degree=2, **kind)
    series = model.convolution.basis[0] @ model.predict(points(free=free))
    for k in range(POINTS.shape[1]):
        x, y, log_sigma, log_exponent = POINTS[:, k]
        late = {"lag_s": float(LAGS[0, k]), "width": float(WIDTHS[0, k])} if free else {}
        loop = plain_series(sweeping_bar(), x=experiment.stimulus.x_deg, y=experiment.stimulus.y_deg,
                            point=(x, y, np.exp(log_sigma), np.exp(log_exponent)), **late)
        tolerance = 2e-3 * loop.std() if free else 1e-9
        np.testing.assert_allclose(series[:, k], without_drifts(loop, degree=2), atol=tolerance)


@pytest.mark.parametrize("free", [False, True])
def test_derivatives_are_finite_differences(free):
    model, at, h = make(free=free), points(free=free), 1e-5
    found = model.differentiate(at)
    np.testing.assert_allclose(found[0], model.predict(at), atol=1e-12)
    assert len(found) == 1 + model.n_parameters == 1 + len(at)
    for k in range(len(at)):
        step = np.zeros_like(at)
        step[k] = h
        near = (model.predict(at + step) - model.predict(at - step)) / (2 * h)
        np.testing.assert_allclose(found[k + 1], near, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("free", [False, True])
def test_single_precision_is_enough(free):
    double, single = make(free=free), make(np.float32, free=free)
    exact, found = double.differentiate(points(free=free)), single.differentiate(points(free=free))
    assert found.dtype == np.float32
    sizes = np.abs(exact).max(axis=1, keepdims=True)
    assert (np.abs(found - exact) / sizes).max() < 2e-4


def test_a_field_that_no_frame_reaches_predicts_nothing():
    far = np.array([[30.0, 200.0], [0.0, 200.0], np.log([0.2, 0.2]), np.log([1.0, 0.05])])
    for dtype in (np.float32, np.float64):
        assert not make(dtype).differentiate(far).any()


@pytest.mark.parametrize("exponent", [0.05, 0.2, 1.0])
def test_tails_are_those_of_double_precision(exponent):
    """A small field at the edge, compressed: frames far away still count."""
    at = np.array([[-4.5], [3.5], [np.log(0.6)], [np.log(exponent)]])
    exact, found = make().predict(at), make(np.float32).predict(at)
    assert np.linalg.norm(found - exact) < 0.02 * np.linalg.norm(exact)


def test_pixels_that_no_frame_uncovers_are_left_out():
    movie = sweeping_bar()
    movie[:, :4], movie[:, :, -3:] = 0, 0
    experiment = small_experiment(movie)
    drive = make_drive(experiment.stimulus)
    assert isinstance(drive, Drive)
    assert drive.moments.shape == (4 * len(experiment.stimulus.frames), 12 * 17)


def test_correlation_and_gain_are_those_of_numpy():
    rng = np.random.default_rng(0)
    prediction, values = rng.standard_normal((2, 30, 6))
    values /= np.linalg.norm(values, axis=0)
    prediction[:, 0] = 0
    values[:, 1] = -prediction[:, 1] / np.linalg.norm(prediction[:, 1])
    correlation, gain = describe(prediction, values)
    for k in range(2, 6):
        assert correlation[k] == pytest.approx(prediction[:, k] @ values[:, k] / np.linalg.norm(prediction[:, k]))
        best = np.linalg.lstsq(prediction[:, [k]], values[:, k], rcond=None)[0][0]
        assert gain[k] == pytest.approx(max(best, 0.0))
    assert (correlation[0], gain[0], gain[1]) == (0.0, 0.0, 0.0)
    assert correlation[1] == pytest.approx(-1.0)


@pytest.mark.parametrize("free", [False, True])
def test_the_cost_is_minus_r2_and_its_gradient_that_of_finite_differences(free):
    """Good, poor and negative correlations: the cost has no kink where it leaves the parabola."""
    model, at = make(free=free), points(free=free)
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((len(model.convolution.matrix), at.shape[1]))
    own = model.predict(at)
    mix = np.array([1.0, 0.5, 0.01, 0.0, -0.5])
    values = mix * own / np.linalg.norm(own, axis=0) + (1 - np.abs(mix)) * noise / np.linalg.norm(noise, axis=0)
    values /= np.linalg.norm(values, axis=0)
    misfit = Misfit(model, Compressed(values, np.ones(5)), np.arange(5), block=2)
    which, h = np.arange(5), 1e-5
    found = misfit(which, at)
    correlation, _ = describe(own, values)
    good = correlation > 0.05
    assert good.tolist().count(False) >= 1
    np.testing.assert_allclose(found.cost[good], -correlation[good] ** 2)
    assert (found.cost[~good] > -0.05**2).all()
    for k in range(len(at)):
        step = np.zeros_like(at)
        step[k] = h
        slope = (misfit(which, at + step).cost - misfit(which, at - step).cost) / (4 * h)
        np.testing.assert_allclose(found.gradient[k], slope, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.normal, np.moveaxis(found.normal, 0, 1))
    assert np.linalg.eigvalsh(np.moveaxis(found.normal, 2, 0)).min() > -1e-9
