"""Contrasts and AR(1) fits under changes that must not matter, and the noise ceiling against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.glm.ar1 import AutoregressiveFit, fit_ar1
from analysis.glm.design import polynomials
from analysis.glm.linear.contrasts import ContrastMap, contrast, noise_ceiling, noise_ceiling_snr
from analysis.glm.ols import Model, fit_session
from subjects.errors import AnalysisError

N_CONDITIONS, N_VERTICES = 3, 12
Parts = tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]


def make_parts(n_volumes: tuple[int, ...] = (70, 50), *, seed: int = 0) -> Parts:
    rng = np.random.default_rng(seed)
    designs = [rng.standard_normal((n, N_CONDITIONS)) for n in n_volumes]
    drifts = [polynomials(n, degree=2) for n in n_volumes]
    data = []
    for design in designs:
        noise = rng.standard_normal((len(design), N_VERTICES))
        for volume in range(1, len(noise)):
            noise[volume] += 0.5 * noise[volume - 1]
        data.append((100 + design @ np.array([[1.0], [0.5], [-0.5]]) + noise).astype(np.float32))
    return designs, drifts, data


@pytest.fixture(scope="module")
def parts() -> Parts:
    return make_parts()


@pytest.fixture(scope="module")
def fit(parts: Parts) -> AutoregressiveFit:
    return fit_ar1(parts[2], model=Model(parts[0], parts[1]))


def test_twice_the_signal_is_twice_the_effect_and_the_same_t(parts: Parts, fit: AutoregressiveFit) -> None:
    doubled = fit_ar1([2 * one for one in parts[2]], model=Model(parts[0], parts[1]))
    np.testing.assert_array_equal(doubled.rho, fit.rho)
    one, two = (contrast(of, [1, -1, 0]) for of in (fit, doubled))
    np.testing.assert_allclose(two.effect, 2 * one.effect, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(two.error, 2 * one.error, rtol=1e-6)
    np.testing.assert_allclose(two.t, one.t, rtol=1e-6, atol=1e-9)


def test_the_order_of_runs_changes_nothing_beyond_rounding(parts: Parts, fit: AutoregressiveFit) -> None:
    designs, drifts, data = (list(reversed(one)) for one in parts)
    turned = fit_ar1(data, model=Model(designs, drifts))
    np.testing.assert_array_equal(turned.rho, fit.rho)
    np.testing.assert_allclose(turned.betas, fit.betas, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(turned.variance, fit.variance, rtol=1e-8)


def test_drifts_that_are_added_to_a_run_leave_no_trace(parts: Parts, fit: AutoregressiveFit) -> None:
    designs, drifts, data = parts
    moved = [(one + 3 * drift @ np.ones((3, N_VERTICES))).astype(np.float32)
             for one, drift in zip(data, drifts, strict=True)]
    found = fit_ar1(moved, model=Model(designs, drifts))
    np.testing.assert_allclose(found.betas, fit.betas, atol=2e-5)
    np.testing.assert_allclose(found.rho, fit.rho, atol=0.0101)


def test_a_vertex_alone_is_fitted_as_among_others(parts: Parts, fit: AutoregressiveFit) -> None:
    alone = fit_ar1([one[:, 4:5] for one in parts[2]], model=Model(parts[0], parts[1]))
    assert alone.rho[0] == fit.rho[4]
    assert list(alone.covariances) == [fit.rho[4]]
    np.testing.assert_allclose(alone.betas[:, 0], fit.betas[:, 4], rtol=1e-9)


def test_a_whitened_fit_is_nearer_the_truth_than_least_squares(
        parts: Parts, fit: AutoregressiveFit) -> None:
    """By Gauss and Markov, given nearly the right correlation."""
    assert fit.n_df == 120 - N_CONDITIONS - 2 * 3
    plain = fit_session(parts[2], model=Model(parts[0], parts[1]))
    truth = np.array([[1.0], [0.5], [-0.5]])
    assert np.square(fit.betas - truth).mean() < np.square(plain.betas - truth).mean()


def test_a_contrast_of_one_condition_is_its_beta_and_the_diagonal_of_its_covariance(fit: AutoregressiveFit) -> None:
    for k in range(N_CONDITIONS):
        found = contrast(fit, np.eye(N_CONDITIONS)[k])
        np.testing.assert_array_equal(found.effect, fit.betas[k])
        for vertex, (rho, variance) in enumerate(zip(fit.rho, fit.variance, strict=True)):
            expected = np.sqrt(fit.covariances[rho][k, k] * variance)
            assert found.error[vertex] == pytest.approx(expected)


def test_turned_weights_turn_the_effect_and_not_its_p(fit: AutoregressiveFit) -> None:
    plus, minus = contrast(fit, [1, -0.5, 0]), contrast(fit, [-1, 0.5, 0])
    np.testing.assert_array_equal(minus.effect, -plus.effect)
    np.testing.assert_array_equal(minus.p, plus.p)
    np.testing.assert_allclose(minus.z, -plus.z)


def test_covariances_are_symmetric_and_positive(fit: AutoregressiveFit) -> None:
    assert set(fit.covariances) == set(fit.rho)
    for one in fit.covariances.values():
        np.testing.assert_allclose(one, one.T, rtol=1e-10, atol=1e-14)
        assert np.linalg.eigvalsh(one).min() > 0


def test_z_stays_finite_and_rises_with_t_far_beyond_what_p_can_hold() -> None:
    t = np.array([-400.0, -40.0, -3.0, 0.0, 3.0, 40.0, 400.0])
    found = ContrastMap(effect=t, error=np.ones(7), n_df=1000)
    assert np.isfinite(found.z).all()
    assert (np.diff(found.z) >= 0).all()
    np.testing.assert_allclose(found.z, -found.z[::-1])
    assert found.z[4] == pytest.approx(stats.norm.isf(stats.t.sf(3.0, 1000)))
    assert found.p[3] == pytest.approx(1.0)
    assert found.z[3] == pytest.approx(0.0)


def test_runs_of_two_meshes_and_no_runs_are_refused(parts: Parts) -> None:
    designs, drifts, data = parts
    model = Model(designs, drifts, "ses-03")
    with pytest.raises(AnalysisError, match="ses-03: runs of 11 and 12 vertices; expected one mesh"):
        fit_ar1([data[0], data[1][:, 1:]], model=model)
    with pytest.raises(AnalysisError, match="ses-03: runs of no volumes; expected runs of 70, 50"):
        fit_ar1([], model=model)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_ceilings_signal_to_noise_is_that_of_plain_loops(dtype: type) -> None:
    rng = np.random.default_rng(3)
    repeats = (rng.standard_normal((1, 7, 5)) + 0.8 * rng.standard_normal((3, 7, 5))).astype(dtype)
    found = noise_ceiling_snr(repeats)
    assert found.dtype == np.float32
    for v in range(5):
        noise = np.mean([np.var(repeats[:, i, v].astype(float), ddof=1) for i in range(7)])
        total = np.var(repeats[:, :, v].astype(float).ravel(), ddof=1)
        assert found[v] == pytest.approx(np.sqrt(max(total - noise, 0) / noise), rel=1e-5)


def test_the_ceilings_signal_to_noise_knows_neither_scale_nor_level_nor_order() -> None:
    rng = np.random.default_rng(4)
    repeats = 2 * rng.standard_normal((1, 9, 4)) + rng.standard_normal((3, 9, 4))
    found = noise_ceiling_snr(repeats)
    for other in (10 * repeats, -repeats, repeats + 50, repeats[::-1], repeats[:, rng.permutation(9)]):
        np.testing.assert_allclose(noise_ceiling_snr(other), found, rtol=1e-5)


def test_vertices_without_noise_or_signal_have_no_ratio_and_leave_the_others() -> None:
    repeats = np.random.default_rng(5).standard_normal((2, 6, 3))
    clean = noise_ceiling_snr(repeats)
    repeats[:, :, 0] = 1.0
    repeats[0, 2, 1] = np.nan
    found = noise_ceiling_snr(repeats)
    assert np.isnan(found[:2]).all()
    assert found[2] == clean[2]


def test_repeats_that_are_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="1 repeats of 5 images; expected at least two of each"):
        noise_ceiling_snr(np.zeros((1, 5, 2)))
    with pytest.raises(ValueError, match="3 repeats of 1 images"):
        noise_ceiling_snr(np.zeros((3, 1, 2)))
    with pytest.raises(ValueError, match="0 repeats; expected at least 1"):
        noise_ceiling(np.ones(2), n_repeats=0)


def test_the_ceiling_rises_with_repeats_from_none_towards_all() -> None:
    found = np.stack([noise_ceiling(np.array([0.0, 0.3, 2.0, np.nan]), n_repeats=n) for n in (1, 2, 10, 100000)])
    assert not found[:, 0].any()
    assert (np.diff(found[:, 1:3], axis=0) > 0).all()
    assert found[0, 2] == pytest.approx(80.0)
    assert (found[-1, 1:3] > 99.9).all()
    assert np.isnan(found[:, 3]).all()
