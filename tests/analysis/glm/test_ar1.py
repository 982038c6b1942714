"""AR(1) against nilearn where there is one run, against whitening by hand where there are several, and calibrated."""

from __future__ import annotations

import numpy as np
import pytest
from nilearn.glm import compute_contrast
from nilearn.glm.first_level import run_glm
from scipy import stats
from scipy.linalg import block_diag

from analysis.glm.ar1 import AutoregressiveFit, fit_ar1
from analysis.glm.design import polynomials
from analysis.glm.linear.contrasts import ContrastMap, contrast, noise_ceiling, noise_ceiling_snr
from analysis.glm.ols import Model, fit_session
from analysis.jobs import at_once
from subjects.errors import AnalysisError

N_CONDITIONS, N_VERTICES = 6, 150


def make_runs(n_volumes, *, seed=0, rho=0.4, effect=1.0, n_vertices=N_VERTICES):
    rng = np.random.default_rng(seed)
    designs, drifts, data = [], [], []
    betas = effect * rng.standard_normal((N_CONDITIONS, n_vertices))
    for n in n_volumes:
        design = np.abs(rng.standard_normal((n, N_CONDITIONS))).cumsum(axis=0) % 1.0
        noise = rng.standard_normal((n, n_vertices))
        for volume in range(1, n):
            noise[volume] = rho * noise[volume - 1] + np.sqrt(1 - rho**2) * noise[volume]
        drift = polynomials(n, degree=3)
        slow = 5 * drift @ rng.standard_normal((4, n_vertices))
        designs.append(design)
        drifts.append(drift)
        data.append((800 + slow + design @ betas + noise).astype(np.float32))
    return designs, drifts, data, betas


WEIGHTS = np.array([1.0, -1.0, 0.5, -0.5, 0.0, 0.0])


def test_one_run_equals_nilearn():
    designs, drifts, data, _ = make_runs([200])
    fit = fit_ar1(data, model=Model(designs, drifts), correct_bias=False)
    full = np.hstack([designs[0], drifts[0]])
    labels, results = run_glm(data[0].astype(np.float64), full, noise_model="ar1")
    np.testing.assert_allclose(fit.rho, labels.astype(float), atol=1e-12)
    for value, one in results.items():
        mine = labels == value
        np.testing.assert_allclose(fit.betas[:, mine], one.theta[:N_CONDITIONS], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(fit.variance[mine], one.dispersion, rtol=1e-6)
    theirs = compute_contrast(labels, results, np.concatenate([WEIGHTS, np.zeros(4)]), stat_type="t")
    ours = contrast(fit, WEIGHTS)
    np.testing.assert_allclose(ours.t, theirs.stat(), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours.effect, theirs.effect_size(), rtol=1e-6, atol=1e-8)


def by_hand(designs, drifts, data, rho, vertex):
    """Whiten each run by itself, and fit one vertex with everything in one matrix."""
    full, series = np.hstack([np.concatenate(designs), block_diag(*drifts)]), []
    rows, start = [], 0
    for y in data:
        columns, one = full[start:start + len(y)], y[:, vertex].astype(np.float64)
        rows.append(np.vstack([columns[:1], columns[1:] - rho * columns[:-1]]))
        series.append(np.concatenate([one[:1], one[1:] - rho * one[:-1]]))
        start += len(y)
    x, y = np.concatenate(rows), np.concatenate(series)
    found = np.linalg.lstsq(x, y, rcond=None)[0]
    variance = np.square(y - x @ found).sum() / (len(y) - x.shape[1])
    row = np.concatenate([WEIGHTS, np.zeros(x.shape[1] - N_CONDITIONS)])
    return found[:N_CONDITIONS], variance, row @ found / np.sqrt(variance * row @ np.linalg.inv(x.T @ x) @ row)


@pytest.fixture(scope="module")
def several():
    return make_runs([120, 90, 110], seed=3)


@pytest.fixture(scope="module")
def fitted(several) -> AutoregressiveFit:
    designs, drifts, data, _ = several
    return fit_ar1(data, model=Model(designs, drifts), block_vertices=40, correct_bias=False)


def test_several_runs_are_whitened_each_by_itself(several, fitted):
    designs, drifts, data, _ = several
    ours = contrast(fitted, WEIGHTS)
    for vertex in (0, 57, 149):
        betas, variance, t = by_hand(designs, drifts, data, fitted.rho[vertex], vertex)
        np.testing.assert_allclose(fitted.betas[:, vertex], betas, rtol=1e-6, atol=1e-9)
        assert fitted.variance[vertex] == pytest.approx(variance, rel=1e-6)
        assert ours.t[vertex] == pytest.approx(t, rel=1e-6)
    assert fitted.n_df == 320 - 6 - 12


def test_the_coefficient_is_that_of_the_residuals(several, fitted):
    designs, drifts, data, _ = several
    full = np.hstack([np.concatenate(designs), block_diag(*drifts)])
    everything = np.concatenate(data).astype(np.float64)
    left = everything - full @ np.linalg.lstsq(full, everything, rcond=None)[0]
    runs = np.split(left, np.cumsum([len(y) for y in data])[:-1])
    lagged = sum((one[1:] * one[:-1]).sum(axis=0) for one in runs) / (len(left) - 3)
    wanted = np.trunc(100 * lagged / (np.square(left).sum(axis=0) / len(left))) / 100
    assert np.mean(fitted.rho == wanted) > 0.98  # a value on the border of a hundredth may fall to either side
    np.testing.assert_allclose(fitted.rho, wanted, atol=0.0101)
    assert np.median(fitted.rho) == pytest.approx(0.38, abs=0.05)


@pytest.mark.parametrize("given", [{"block_vertices": 1}, {"block_vertices": 10_000}, {"each": at_once(3)}])
def test_blocks_and_threads_change_nothing_beyond_rounding(several, fitted, given):
    designs, drifts, data, _ = several
    again = fit_ar1(data, model=Model(designs, drifts), correct_bias=False,
                    **{"block_vertices": 40, **given})
    np.testing.assert_array_equal(again.rho, fitted.rho)
    np.testing.assert_allclose(again.betas, fitted.betas, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(again.variance, fitted.variance, rtol=1e-8)


def test_without_correlation_it_is_least_squares():
    designs, drifts, data, _ = make_runs([150, 150], rho=0.0, seed=9)
    model = Model(designs, drifts)
    fit, plain = fit_ar1(data, model=model), fit_session(data, model=model)
    flat = fit.rho == 0
    assert flat.sum() > 3
    np.testing.assert_allclose(fit.betas[:, flat], plain.betas[:, flat], rtol=1e-7, atol=1e-8)


def test_a_vertex_without_signal_is_nan_and_leaves_the_others(several, fitted):
    designs, drifts, data, _ = several
    silent = [np.where(np.arange(N_VERTICES) == 8, np.float32(0), y) for y in data]
    found = fit_ar1(silent, model=Model(designs, drifts), block_vertices=40, correct_bias=False)
    assert fit_ar1(silent, model=Model(designs, drifts)).rho[8] == 0
    ours = contrast(found, WEIGHTS)
    for values in (found.betas, found.variance, ours.t, ours.p, ours.z):
        assert np.isnan(values[..., 8]).all()
        assert np.isfinite(np.delete(values, 8, axis=-1)).all()
    np.testing.assert_allclose(np.delete(found.betas, 8, axis=1), np.delete(fitted.betas, 8, axis=1), rtol=1e-9)


def test_null_vertices_reject_at_their_level_where_least_squares_do_not():
    """An alternating pair of conditions in 20 s blocks: noise of one sign for several volumes looks like a response."""
    rng = np.random.default_rng(1)
    rates, plain = [], []
    for _ in range(4):
        n, n_vertices = 250, 1500
        block = (np.arange(n) // 10) % 3
        designs = [np.stack([block == 1, block == 2], axis=1).astype(float) for _ in range(2)]
        drifts, data = [polynomials(n, degree=4)] * 2, []
        for _ in range(2):
            noise = rng.standard_normal((n, n_vertices))
            for volume in range(1, n):
                noise[volume] = 0.4 * noise[volume - 1] + np.sqrt(1 - 0.16) * noise[volume]
            data.append((500 + noise).astype(np.float32))
        model = Model(designs, drifts)
        fit = fit_ar1(data, model=model)
        rates.append(np.mean(contrast(fit, [1.0, -1.0]).p < 0.05))
        ols = fit_session(data, model=model)
        variance = ols.ss_residual / fit.n_df
        inverse = np.linalg.inv(model.projected.T @ model.projected)
        row = np.array([1.0, -1.0])
        t = row @ ols.betas / np.sqrt(variance * float(row @ inverse @ row))
        plain.append(np.mean(2 * stats.t.sf(np.abs(t), fit.n_df) < 0.05))
    assert np.mean(rates) == pytest.approx(0.05, abs=0.01)
    assert np.mean(plain) > 0.12


def test_many_conditions_hide_correlation_and_the_correction_finds_it_again():
    """60 smooth columns in 2 x 150 volumes: the mean of the corrected coefficients is that of the noise."""
    rng, n = np.random.default_rng(6), 150
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 2) ** 2)
    designs = [np.stack([np.convolve(rng.standard_normal(n + 12), kernel, "valid") for _ in range(60)], axis=1)
               for _ in range(2)]
    drifts, data = [polynomials(n, degree=3)] * 2, []
    for _ in range(2):
        noise = rng.standard_normal((n, 800))
        for volume in range(1, n):
            noise[volume] = 0.4 * noise[volume - 1] + np.sqrt(1 - 0.16) * noise[volume]
        data.append((500 + noise).astype(np.float32))
    model = Model(designs, drifts)
    corrected, plain = fit_ar1(data, model=model), fit_ar1(data, model=model, correct_bias=False)
    assert plain.rho.mean() < 0.3
    assert corrected.rho.mean() == pytest.approx(0.4, abs=0.03)
    row = rng.standard_normal(60)
    assert np.mean(contrast(plain, row).p < 0.05) > np.mean(contrast(corrected, row).p < 0.05)


def test_p_and_z_are_those_of_t():
    t = np.array([-40.0, -3.0, 0.0, 1.96, 12.0])
    found = ContrastMap(effect=t, error=np.ones(5), n_df=300)
    np.testing.assert_allclose(found.p, 2 * stats.t.sf(np.abs(t), 300), rtol=1e-10)
    np.testing.assert_allclose(found.z[1:], np.sign(t[1:]) * -stats.norm.ppf(stats.t.sf(np.abs(t[1:]), 300)),
                               rtol=1e-8, atol=1e-12)
    assert -38 < found.z[0] < found.z[1]


def test_runs_that_do_not_fit_the_model_are_refused(several):
    designs, drifts, data, _ = several
    model = Model(designs, drifts, "ses-01")
    with pytest.raises(AnalysisError, match="ses-01: runs of 120, 90 volumes; expected runs of 120, 90, 110"):
        fit_ar1(data[:2], model=model)
    with pytest.raises(AnalysisError, match="ses-01: runs of 149 and 150 vertices; expected one mesh"):
        fit_ar1([data[0], data[1][:, 1:], data[2]], model=model)


@pytest.mark.parametrize("weights", [[1.0] * 5, [0.0] * 6, [np.nan] + [0.0] * 5])
def test_weights_that_are_none_are_refused(fitted, weights):
    with pytest.raises(ValueError, match="expected one finite weight each, not all 0"):
        contrast(fitted, weights)


def test_the_noise_ceiling_finds_planted_variances():
    rng = np.random.default_rng(4)
    n_vertices, true = 300, np.repeat([0.0, 0.5, 1.0], 100)
    images = true * rng.standard_normal((200, n_vertices))
    found = noise_ceiling_snr(images + rng.standard_normal((10, 200, n_vertices)))
    for value in (0.0, 0.5, 1.0):
        assert found[true == value].mean() == pytest.approx(value, abs=0.06)
    predicted = noise_ceiling(np.array([0.5]), n_repeats=10)[0]
    mine = images[:, true == 0.5]
    shown = mine + rng.standard_normal((10, 200, 100)).mean(axis=0)
    explained = [100 * np.corrcoef(mine[:, k], shown[:, k])[0, 1]**2 for k in range(100)]
    assert np.mean(explained) == pytest.approx(predicted, abs=3.0)
    with pytest.raises(ValueError, match="1 repeats of 3 images; expected at least two of each"):
        noise_ceiling_snr(np.zeros((1, 3, 2)))
    assert np.isnan(noise_ceiling_snr(np.zeros((2, 3, 1)))[0])
