"""Least squares against nilearn, against lstsq, and from files to betas."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import run_glm as nilearn_glm
from scipy.linalg import block_diag

from analysis.glm.combining import combine_sessions
from analysis.glm.design import polynomials
from analysis.glm.ols import Model, SessionFit, fit_session
from analysis.glm.subject_runs import count_discarded
from subjects.errors import AnalysisError

N_VOLUMES, N_CONDITIONS, N_VERTICES = 60, 12, 37
RUNS = 3


@pytest.fixture(scope="module")
def designs() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.abs(rng.standard_normal((N_VOLUMES, N_CONDITIONS))) for _ in range(RUNS)]


@pytest.fixture(scope="module")
def drifts() -> list[np.ndarray]:
    return [polynomials(N_VOLUMES, degree=degree) for degree in (2, 3, 2)]


@pytest.fixture(scope="module")
def runs(designs) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    betas = rng.standard_normal((N_CONDITIONS, N_VERTICES))
    trend = np.linspace(-1, 1, N_VOLUMES)[:, None]
    return [(700 + 30 * k + 20 * trend + 5 * design @ betas + 3 * rng.standard_normal((N_VOLUMES, N_VERTICES)))
            .astype(np.float32) for k, design in enumerate(designs)]


@pytest.fixture(scope="module")
def fit(runs, designs, drifts) -> SessionFit:
    return fit_session(runs, model=Model(designs, drifts))


def test_betas_and_r2_equal_nilearns(fit, runs, designs, drifts):
    full = np.hstack([np.concatenate(designs), block_diag(*drifts)])
    labels, results = nilearn_glm(np.concatenate(runs), full, noise_model="ols")
    theirs = results[labels[0]]
    np.testing.assert_allclose(fit.betas, theirs.theta[:N_CONDITIONS], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(fit.ss_residual, theirs.residuals.astype(float).__pow__(2).sum(axis=0), rtol=1e-5)


def test_r2_is_what_the_conditions_explain_beyond_drifts(fit, runs, designs, drifts):
    everything = np.concatenate(runs).astype(float)
    slow, full = block_diag(*drifts), np.hstack([np.concatenate(designs), block_diag(*drifts)])
    left = [((everything - basis @ np.linalg.lstsq(basis, everything, rcond=None)[0])**2).sum(axis=0)
            for basis in (slow, full)]
    np.testing.assert_allclose(fit.r2, 1 - left[1] / left[0], rtol=1e-6)
    np.testing.assert_allclose(fit.mean_signal, everything.mean(axis=0), rtol=1e-9)


@pytest.mark.parametrize("block_vertices", [1, 5, 1000])
def test_block_size_changes_nothing(fit, runs, designs, drifts, block_vertices):
    again = fit_session(iter(runs), model=Model(designs, drifts), block_vertices=block_vertices)
    for field in ("betas", "ss_residual", "ss_total", "mean_signal"):
        np.testing.assert_allclose(getattr(again, field), getattr(fit, field), rtol=1e-9, atol=1e-9)


def test_a_large_constant_costs_no_digits(fit, runs, designs, drifts):
    rng = np.random.default_rng(2)
    small = [rng.standard_normal((N_VOLUMES, 3)).astype(np.float32) for _ in designs]
    model = Model(designs, drifts)
    low, high = (fit_session([run.astype(np.float64) + level for run in small], model=model)
                 for level in (0.0, 1e7))
    np.testing.assert_allclose(high.betas, low.betas, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(high.r2, low.r2, atol=1e-6)


def test_percent_is_relative_to_the_mean(runs, designs, drifts):
    one = fit_session(runs, model=Model(designs, drifts))
    ten = fit_session([10 * run for run in runs], model=Model(designs, drifts))
    np.testing.assert_allclose(ten.percent, one.percent, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.percent, 100 * one.betas / one.mean_signal, rtol=1e-6)
    assert one.percent.dtype == np.float32


def test_a_vertex_without_signal_is_nan_and_leaves_the_others(fit, runs, designs, drifts):
    silent = [np.where(np.arange(N_VERTICES) == 4, np.float32(0), run) for run in runs]
    found = fit_session(silent, model=Model(designs, drifts))
    assert np.isnan(found.percent[:, 4]).all()
    assert np.isnan(found.r2[4])
    np.testing.assert_array_equal(np.delete(found.betas, 4, axis=1), np.delete(fit.betas, 4, axis=1))


def test_the_order_of_runs_does_not_matter(fit, runs, designs, drifts):
    found = fit_session(runs[::-1], model=Model(designs[::-1], drifts[::-1]))
    np.testing.assert_allclose(found.betas, fit.betas, rtol=1e-9)


def test_estimates_are_linear_in_the_data(runs, designs, drifts):
    rng, model = np.random.default_rng(5), Model(designs, drifts)
    other = [rng.standard_normal(run.shape) for run in runs]
    mixed = fit_session([3 * run.astype(float) - 2 * more for run, more in zip(runs, other, strict=True)], model=model)
    parts = [fit_session(data, model=model).betas for data in (runs, other)]
    np.testing.assert_allclose(mixed.betas, 3 * parts[0] - 2 * parts[1], rtol=1e-6, atol=1e-6)


def test_drifts_of_their_degree_leave_no_trace(fit, runs, designs, drifts):
    rng = np.random.default_rng(6)
    moved = [run + drift @ (50 * rng.standard_normal((drift.shape[1], N_VERTICES)))
             for run, drift in zip(runs, drifts, strict=True)]
    found = fit_session(moved, model=Model(designs, drifts))
    np.testing.assert_allclose(found.betas, fit.betas, atol=1e-6)
    np.testing.assert_allclose(found.r2, fit.r2, atol=1e-6)


def test_a_design_without_noise_is_found_exactly(designs, drifts):
    rng = np.random.default_rng(7)
    betas = rng.standard_normal((N_CONDITIONS, 6))
    data = [design @ betas + drift @ rng.standard_normal((drift.shape[1], 6))
            for design, drift in zip(designs, drifts, strict=True)]
    found = fit_session(data, model=Model(designs, drifts))
    np.testing.assert_allclose(found.betas, betas, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(found.r2, 1.0, atol=1e-12)


def test_conditions_in_another_order_give_the_same_betas(fit, runs, designs, drifts):
    order = np.random.default_rng(8).permutation(N_CONDITIONS)
    found = fit_session(runs, model=Model([design[:, order] for design in designs], drifts))
    np.testing.assert_allclose(found.betas, fit.betas[order], rtol=1e-8)


def test_the_condition_number_is_that_of_the_projected_design(designs, drifts):
    projected = np.concatenate([design - drift @ np.linalg.lstsq(drift, design, rcond=None)[0]
                                for design, drift in zip(designs, drifts, strict=True)])
    scaled = projected / np.linalg.norm(projected, axis=0)
    assert Model(designs, drifts).condition_number == pytest.approx(np.linalg.cond(scaled), rel=1e-8)


def test_the_condition_number_ignores_the_scale_of_columns(designs, drifts):
    scaled = [design * 10.0 ** np.arange(N_CONDITIONS) for design in designs]
    assert Model(scaled, drifts).condition_number == pytest.approx(Model(designs, drifts).condition_number, rel=1e-6)


@pytest.mark.parametrize("spoil", [lambda design: design[:, 3], lambda design: 0 * design[:, 3] + 1.0,
                                   lambda design: 0 * design[:, 3]])
def test_a_condition_that_cannot_be_told_apart_is_refused(designs, drifts, spoil):
    spoilt = []
    for design in designs:
        copy = design.copy()
        copy[:, 7] = spoil(design)
        spoilt.append(copy)
    with pytest.raises(AnalysisError, match=r"ses-01: a design of condition number .*, weakest at column [37];"):
        Model(spoilt, drifts, "ses-01")


def test_designs_and_drifts_of_different_lengths_are_refused(designs, drifts):
    with pytest.raises(AnalysisError, match="run 2: 60 rows beside 59 of drifts"):
        Model(designs, [drifts[0], drifts[1][1:], drifts[2]])


def test_runs_that_do_not_fit_the_model_are_refused(runs, designs, drifts):
    model = Model(designs, drifts, "ses-01")
    with pytest.raises(AnalysisError, match="59 volumes as run 2; expected runs of 60, 60, 60 volumes"):
        fit_session([runs[0], runs[1][1:], runs[2]], model=model)
    with pytest.raises(AnalysisError, match="ses-01: 2 runs; expected 3"):
        fit_session(runs[:2], model=model)
    with pytest.raises(AnalysisError, match="60 volumes as run 4"):
        fit_session([*runs, runs[0]], model=model)
    with pytest.raises(AnalysisError, match="36 vertices after runs of 37"):
        fit_session([runs[0], runs[1][:, 1:], runs[2]], model=model)


def _table(session: str, names: tuple[str, ...]) -> pd.DataFrame:
    rows = [(session, kind, f"px-{kind}-{name}", name, k)
            for kind in ("RE", "AN", "AI") for name in names for k in (1, 2)]
    return pd.DataFrame([*rows, (session, "blank", "", "", 0)],
                        columns=["session", "type", "image_id", "base_image", "presentation"])


def _fit(table: pd.DataFrame, *, start: float, n_vertices: int = 4) -> SessionFit:
    betas = start + np.arange(len(table), dtype=float)[:, None] + np.zeros(n_vertices)
    return SessionFit(betas, np.full(n_vertices, 50.0), np.full(n_vertices, 8.0), np.full(n_vertices, 2.0), 10)


def test_sessions_are_joined_by_name():
    tables = [_table("01", ("b-01",)), _table("02", ("a-01",))]
    fits = [_fit(table, start=100.0 * k) for k, table in enumerate(tables)]
    betas = combine_sessions(fits, tables, hemi="L", base_images=("a-01", "b-01"))
    assert betas.base_images == ("a-01", "b-01")
    assert len(betas.conditions) == 2 * 6 + 2
    np.testing.assert_allclose(betas.select(type="AN", presentation=2)[:, 0], [2 * 103, 2 * 3])
    blanks = betas.conditions[betas.conditions["type"] == "blank"]
    assert blanks["session"].tolist() == ["01", "02"]
    np.testing.assert_allclose(betas.values[blanks.index, 0], [2 * 6, 2 * 106])


def test_r2_and_means_are_pooled():
    tables = [_table("01", ("a-01",)), _table("02", ("b-01",))]
    first, second = (_fit(table, start=0.0) for table in tables)
    second = dataclasses.replace(second, ss_total=np.full(4, 2.0), ss_residual=np.full(4, 2.0), n_volumes=30,
                                 mean_signal=np.full(4, 90.0))
    betas = combine_sessions([first, second], tables, hemi="R", base_images=("a-01", "b-01"))
    np.testing.assert_allclose(betas.r2, 1 - 4 / 10)
    np.testing.assert_allclose(betas.mean_signal, 80.0)


def test_sessions_on_two_meshes_are_refused():
    tables = [_table("01", ("a-01",)), _table("02", ("b-01",))]
    with pytest.raises(AnalysisError, match="sessions on 4 and 5 vertices"):
        combine_sessions([_fit(tables[0], start=0), _fit(tables[1], start=0, n_vertices=5)], tables, hemi="L",
                         base_images=("a-01", "b-01"))


def test_the_discard_is_counted_in_whole_volumes():
    assert count_discarded(18.0, tr_s=2.0) == 9
    assert count_discarded(18.0, tr_s=1.6) == 12
