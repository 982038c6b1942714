"""Least squares and AR(1) from runs to betas, contrasts and ceilings: against nilearn, lstsq and plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from nilearn.glm import compute_contrast
from nilearn.glm.first_level import run_glm
from scipy import stats
from scipy.linalg import block_diag

from analysis.data.timeseries import Run
from analysis.glm.ar1 import as_white, fit_ar1
from analysis.glm.betas import COLUMNS
from analysis.glm.design import Sampling, design_matrix, polynomials
from analysis.glm.hrf import ResponseModel
from analysis.glm.linear.contrasts import contrast
from analysis.glm.linear.fit import build_model, fit_portion
from analysis.glm.linear.formula import parse, require_terms
from analysis.glm.linear.maps import fixed_effects, size_maps
from analysis.glm.linear.own_runs import fit_each_run, image_variances
from analysis.glm.ols import Model, fit_session
from analysis.glm.portions import split_sessions
from analysis.glm.subject_runs import part_series
from subjects.errors import AnalysisError
from subjects.run_key import RunKey
from subjects.settings.analysis import GlmSettings

N_DISCARDED, N_VOLUMES, TR_S = 3, 120, 2.0
IMAGES = {"01": ("a-01", "a-02"), "02": ("b-01", "b-02")}


def events_of(ses: str, run: int) -> pd.DataFrame:
    """Two base images as RE, AN and AI, each shown twice, and three blanks, in an order of the run's own."""
    rng = np.random.default_rng(10 * int(ses) + run)
    rows = [(kind, name, k) for kind in ("RE", "AN", "AI") for name in IMAGES[ses] for k in (1, 2)]
    rows += [("blank", "", 0)] * 3
    order = [rows[k] for k in rng.permutation(len(rows))]
    table = pd.DataFrame({"onset": 10.0 + 14.0 * np.arange(len(order)) + rng.uniform(0, 2, len(order)), "duration": 2.0,
                          "trial_type": [kind for kind, _, _ in order], "base_image": [name for _, name, _ in order],
                          "image_id": [f"px-{kind}-{name}" if name else "" for kind, name, _ in order],
                          "presentation": [k for _, _, k in order]})
    table.attrs.update(n_pulses=N_VOLUMES, complete=True)
    return table


EVENTS = {ses: {RunKey("01", ses, "main", run): events_of(ses, run) for run in (1, 2, 3)} for ses in IMAGES}
SAMPLING = Sampling(n_volumes=N_VOLUMES, tr_s=TR_S, n_discarded=N_DISCARDED)


def scans_of(portion, *, truth: np.ndarray, noise: float, rho: float = 0.0) -> dict[RunKey, Run]:
    """Make runs whose responses are `truth` percent, (n_conditions, n_vertices); session 02 is 1.3 times as bright."""
    rng, made = np.random.default_rng(5), {}
    for key, table in portion.events.items():
        whole = Sampling(n_volumes=N_VOLUMES, tr_s=TR_S)
        design = design_matrix(table, conditions=portion.conditions, sampling=whole)
        errors = rng.standard_normal((N_VOLUMES, truth.shape[1]))
        for volume in range(1, N_VOLUMES):
            errors[volume] = rho * errors[volume - 1] + np.sqrt(1 - rho**2) * errors[volume]
        bright = 1000.0 * (1.3 if key.ses == "02" else 1.0)
        data = bright * (1 + (design @ truth + noise * errors) / 100)
        made[key] = Run(key=key, hemi="L", data=data.astype(np.float32), tr_s=TR_S)
    return made


def fit_of(sessions: dict, *, truth_pct: float = 1.0, noise: float = 0.0, rho: float = 0.0, n_vertices: int = 8,
           **glm):
    settings = GlmSettings(**{"model": "ols", **glm})
    portion, = split_sessions(sessions, partition="presentation")
    truth = truth_pct * np.random.default_rng(1).uniform(0.2, 2.0, (len(portion.conditions), n_vertices))
    scans = scans_of(portion, truth=truth, noise=noise, rho=rho)
    fit, remarks = fit_portion(portion, scans, settings=settings, samplings=dict.fromkeys(scans, SAMPLING))
    return portion, truth, scans, fit, remarks


@pytest.mark.parametrize("model", ["ols", "ar1"])
@pytest.mark.parametrize("which", [("01",), ("01", "02")])
def test_planted_percents_come_back_from_one_session_and_from_two_together(model, which):
    """Relative to the mean signal of their session, which the responses themselves raise a little."""
    portion, truth, scans, fit, _ = fit_of({ses: EVENTS[ses] for ses in which}, model=model)
    kinds = portion.conditions["type"].tolist()
    assert kinds.count("blank") == 1
    assert portion.conditions["session"].tolist()[-1] == ("01" if len(which) == 1 else "")
    slope = np.polyfit(truth[:-1].ravel(), fit.percent[:-1].ravel(), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.02)
    means = np.mean([scans[key].data[N_DISCARDED:].mean(axis=0) for key in scans if key.ses == "01"], axis=0) / 1000
    mine = portion.conditions.query("session == '01' and type != 'blank'").index.to_numpy()
    np.testing.assert_allclose(fit.percent[mine] * means, truth[mine], rtol=4e-3 if len(which) == 2 else 1e-3)


def test_sessions_that_are_fitted_together_are_brought_to_one_mean():
    portion, = split_sessions(EVENTS, partition="presentation")
    scans = scans_of(portion, truth=np.zeros((len(portion.conditions), 3)), noise=1.0)
    kept = part_series(portion, scans, n_discarded=N_DISCARDED)
    means = {ses: np.mean([one.mean(axis=0) for key, one in kept.items() if key.ses == ses], axis=0) for ses in IMAGES}
    np.testing.assert_allclose(means["01"], means["02"], rtol=1e-5)
    np.testing.assert_allclose(means["01"], 1150.0, rtol=2e-3)


def test_a_vertex_that_is_dark_in_one_session_is_left_as_it_is():
    portion, = split_sessions(EVENTS, partition="presentation")
    scans = scans_of(portion, truth=np.zeros((len(portion.conditions), 2)), noise=1.0)
    for key, one in scans.items():
        if key.ses == "02":
            one.data[:, 1] = 0
    kept = part_series(portion, scans, n_discarded=N_DISCARDED)
    first = next(iter(scans))
    np.testing.assert_array_equal(kept[first][:, 1], scans[first].data[N_DISCARDED:, 1])
    assert all(np.isfinite(one).all() for one in kept.values())


def test_one_blank_for_both_sessions_is_the_estimate_of_the_stacked_design():
    """By nilearn, on the scaled runs below one another."""
    portion, _, scans, fit, _ = fit_of(EVENTS, noise=1.0)
    kept = list(part_series(portion, scans, n_discarded=N_DISCARDED).values())
    design = np.concatenate([design_matrix(table, conditions=portion.conditions, sampling=SAMPLING)
                             for table in portion.events.values()])
    drifts = block_diag(*(polynomials(len(one), degree=2) for one in kept))
    stacked = np.concatenate(kept).astype(float)
    labels, results = run_glm(stacked, np.hstack([design, drifts]), noise_model="ols")
    theirs = results[labels[0]].theta[:design.shape[1]] * 100 / stacked.mean(axis=0)
    np.testing.assert_allclose(fit.percent, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("model", "noise_model"), [("ols", "ols"), ("ar1", "ar1")])
def test_contrasts_have_nilearns_t_up_to_the_correction_of_the_coefficient(model, noise_model):
    portion, _, scans, fit, _ = fit_of({"01": {key: EVENTS["01"][key] for key in list(EVENTS["01"])[:1]}}, noise=1.0,
                                       rho=0.4 if model == "ar1" else 0.0, model=model)
    weights = parse("RE > AN").weights(portion.conditions)
    ours = fit.contrast(weights)
    design = np.hstack([design_matrix(next(iter(portion.events.values())), conditions=portion.conditions,
                                      sampling=SAMPLING), polynomials(N_VOLUMES - N_DISCARDED, degree=2)])
    data = next(iter(scans.values())).data[N_DISCARDED:].astype(float)
    labels, results = run_glm(data, design, noise_model=noise_model)
    theirs = compute_contrast(labels, results, np.r_[weights, 0, 0, 0], stat_type="t")
    if model == "ols":
        np.testing.assert_allclose(ours.t, theirs.stat(), rtol=1e-4)
        two_tailed = 2 * stats.t.sf(np.abs(theirs.stat()), len(data) - design.shape[1])
        np.testing.assert_allclose(ours.p, two_tailed, rtol=1e-3)
    else:  # nilearn takes the residuals' own coefficient
        assert np.corrcoef(ours.t, theirs.stat())[0, 1] > 0.98
        assert np.median(fit.rho) == pytest.approx(0.4, abs=0.12)
    np.testing.assert_allclose(fit.errors[3], fit.contrast(np.eye(len(weights))[3]).error, rtol=1e-5)


def test_the_residual_under_ar1_is_what_its_betas_and_drifts_leave():
    rng = np.random.default_rng(0)
    designs = [rng.standard_normal((60, 4)) for _ in range(2)]
    drifts = [polynomials(60, degree=2) for _ in designs]
    runs = [(50 + rng.standard_normal((60, 5)).cumsum(axis=0) * 0.3 + rng.standard_normal((60, 5))).astype(np.float32)
            for _ in designs]
    fit = fit_ar1(runs, model=Model(designs, drifts))
    left = np.zeros(5)
    for data, design, drift in zip(runs, designs, drifts, strict=True):
        rest = data.astype(float) - design @ fit.betas
        left += np.square(rest - drift @ (drift.T @ rest)).sum(axis=0)
    np.testing.assert_allclose(fit.ss_residual, left, rtol=1e-8)
    np.testing.assert_allclose(fit.mean_signal, np.concatenate(runs).mean(axis=0, dtype=float), rtol=1e-10)
    np.testing.assert_allclose(fit.ss_total, fit_session(runs, model=Model(designs, drifts)).ss_total, rtol=1e-8)


def test_least_squares_as_white_noise_have_the_textbook_errors():
    rng = np.random.default_rng(2)
    design, drift = rng.standard_normal((50, 3)), polynomials(50, degree=1)
    data = (20 + rng.standard_normal((50, 4))).astype(np.float32)
    data[:, 2] = 0
    model = Model([design], [drift])
    fit = as_white(fit_session([data], model=model), model=model)
    full = np.hstack([design, drift])
    betas, squares, _, _ = np.linalg.lstsq(full, data.astype(float), rcond=None)
    errors = np.sqrt(np.diag(np.linalg.inv(full.T @ full))[:3, None] * squares / (50 - 5))
    known = [0, 1, 3]
    np.testing.assert_allclose(contrast(fit, [1, -1, 0]).effect[known], (betas[0] - betas[1])[known], rtol=1e-6)
    np.testing.assert_allclose((fit.errors / fit.to_percent)[:, known], errors[:, known], rtol=1e-5)
    assert np.isnan(fit.percent[:, 2]).all()
    assert np.isnan(fit.errors[:, 2]).all()


def test_each_run_alone_is_lstsq_and_what_it_does_not_hold_is_missing():
    rng = np.random.default_rng(3)
    designs = [rng.standard_normal((40, 5)) for _ in range(3)]
    designs[1][:, 2] = 0
    designs[2][:, 4] = designs[2][:, 3]
    drifts = [polynomials(40, degree=1) for _ in designs]
    runs = [(100 + rng.standard_normal((40, 6))).astype(np.float32) for _ in designs]
    betas, remarks = fit_each_run(runs, designs=designs, drifts=drifts, names=("run-1", "run-2", "run-3"))
    for k, columns in enumerate(([0, 1, 2, 3, 4], [0, 1, 3, 4])):
        full = np.hstack([designs[k][:, columns], drifts[k]])
        expected = np.linalg.lstsq(full, runs[k].astype(float), rcond=None)[0][:len(columns)]
        np.testing.assert_allclose(betas[k, columns], expected, rtol=1e-4, atol=1e-6)
    assert np.isnan(betas[1, 2]).all()
    assert np.isnan(betas[2]).all()
    assert len(remarks) == 1
    assert "run-3 alone cannot be fitted: a design of condition number" in remarks[0]


def test_a_run_with_more_columns_than_volumes_is_said_and_left_out():
    short = np.random.default_rng(4).standard_normal((6, 5))
    betas, remarks = fit_each_run([np.ones((6, 2), np.float32)], designs=[short], drifts=[polynomials(6, degree=0)],
                                  names=("run-9",))
    assert np.isnan(betas).all()
    assert remarks == ("run-9 alone has 6 volumes for 6 columns",)


def test_every_presentation_in_every_run_is_a_repeat():
    table = pd.DataFrame([("01", "RE", "x", "a-01", 1), ("01", "RE", "x", "a-01", 2), ("01", "AN", "y", "a-01", 1),
                          ("01", "AN", "y", "a-01", 2), ("01", "blank", "", "", 0)], columns=list(COLUMNS))
    betas = np.random.default_rng(6).standard_normal((3, 5, 4)).astype(np.float32)
    betas[2, 3] = np.nan  # not shown in the third run
    total, noise = image_variances(betas, conditions=table)
    for v in range(4):
        x = betas[:, :2, v].ravel().astype(float)
        y = np.array([value for value in betas[:, 2:4, v].ravel() if np.isfinite(value)], dtype=float)
        assert noise[v] == pytest.approx((x.var(ddof=1) + y.var(ddof=1)) / 2, rel=1e-6)
        assert total[v] == pytest.approx(np.concatenate([x, y]).var(ddof=1), rel=1e-6)
    assert image_variances(betas[:1, [0, 2, 4]], conditions=table.iloc[[0, 2, 4]]) is None


def test_the_noise_ceiling_of_planted_tuning_is_found():
    """Six images a session, each with six repeats: (n - 1) m / (n m - 1) of the images' variance is in all of it."""
    portion, = split_sessions(EVENTS, partition="presentation")
    table = portion.conditions
    place = table.groupby(["type", "image_id"], sort=False).ngroup().to_numpy()
    images = 2.0 * np.random.default_rng(8).standard_normal((place.max() + 1, 400))
    scans = scans_of(portion, truth=images[place], noise=1.0)
    fit, _ = fit_portion(portion, scans, settings=GlmSettings(model="ols"), samplings=dict.fromkeys(scans, SAMPLING))
    found = size_maps([fit])["ncsnr"]
    names = [np.unique(place[(table["session"] == ses) & (table["type"] != "blank")]) for ses in IMAGES]
    tuning = np.mean([images[one].var(axis=0, ddof=1) for one in names], axis=0)
    expected = np.sqrt(np.maximum(30 / 35 * tuning + (35 / 36 - 1) * fit.repeat_variance, 0) / fit.repeat_variance)
    assert np.corrcoef(found, expected)[0, 1] > 0.9
    assert np.median(found) == pytest.approx(np.median(expected), rel=0.06)


def test_sides_of_a_contrast_are_means_of_what_they_name():
    table = split_sessions(EVENTS, partition="presentation")[0].conditions
    kinds, names = table["type"].to_numpy(), table["base_image"].to_numpy()
    found = parse("RE + AN > blank").weights(table)
    assert found[kinds == "RE"].sum() == pytest.approx(0.5)
    assert found[kinds == "blank"].sum() == pytest.approx(-1.0)
    assert not found[kinds == "AI"].any()
    one = parse("AI:a > AI:b-01").weights(table)
    assert np.flatnonzero(one > 0).tolist() == [k for k in range(len(table)) if kinds[k] == "AI" and names[k][0] == "a"]
    assert np.flatnonzero(one < 0).tolist() == [k for k in range(len(table)) if (kinds[k], names[k]) == ("AI", "b-01")]
    assert parse("images").weights(table).sum() == pytest.approx(1.0)
    assert parse("RE > RE").weights(table) is None
    with pytest.raises(AnalysisError, match=r"'AO' in the contrast 'AO > RE'.*Did you mean 'A"):
        require_terms([parse("AO > RE")], table, where="sub-01")


@pytest.mark.parametrize("text", ["RE > AN > AI", "RE -", "> AN", "RE + > AN", "-RE"])
def test_what_is_no_contrast_is_refused_by_the_settings(text):
    with pytest.raises(ValueError, match="is no contrast" if text != "RE -" else "."):
        GlmSettings(contrasts=(text,))
        parse_all = parse(text)
        if parse_all.weights(split_sessions(EVENTS, partition="presentation")[0].conditions) is None:
            raise ValueError("names nothing")


def test_sessions_are_averaged_by_fixed_effects_and_those_without_a_term_left_out():
    fits = [fit_of({ses: EVENTS[ses]}, noise=1.0)[3] for ses in IMAGES]
    both = fixed_effects(parse("RE > AN"), fits, where="sub-01")
    parts = [one.contrast(parse("RE > AN").weights(one.conditions)) for one in fits]
    np.testing.assert_allclose(both.effect, (parts[0].effect + parts[1].effect) / 2)
    np.testing.assert_allclose(both.error, np.sqrt(parts[0].error**2 + parts[1].error**2) / 2)
    assert both.n_df == parts[0].n_df + parts[1].n_df
    only = fixed_effects(parse("RE:a-01 > blank"), fits, where="sub-01")
    np.testing.assert_allclose(only.t, fits[0].contrast(parse("RE:a-01 > blank").weights(fits[0].conditions)).t)
    with pytest.raises(AnalysisError, match='glm.sessions = "joint"'):
        fixed_effects(parse("a-01 > b-01"), fits, where="sub-01")


@pytest.mark.parametrize(("basis", "n_beside"), [("derivative", 1), ("dispersion", 2)])
def test_a_derivative_beside_the_response_leaves_a_timely_beta_and_has_its_own_column(basis, n_beside):
    plain, beside = fit_of({"01": EVENTS["01"]}, noise=0.5), fit_of({"01": EVENTS["01"]}, noise=0.5, basis=basis)
    assert plain[3].n_df - beside[3].n_df == n_beside * len(plain[0].conditions)
    assert np.corrcoef(plain[3].percent.ravel(), beside[3].percent.ravel())[0, 1] > 0.97
    assert beside[3].percent.shape == plain[3].percent.shape


def test_a_value_a_lag_is_refused_where_there_are_more_lags_than_volumes():
    with pytest.raises(AnalysisError, match=r"ses-01: 133 columns \(drifts included\) for 117 volumes"):
        fit_of({"01": {key: EVENTS["01"][key] for key in list(EVENTS["01"])[:1]}}, basis="fir")


def test_a_value_a_lag_follows_the_response():
    """Any course over 20 s that is planted lag by lag: the beta is its value at the lag of the canonical peak."""
    table = pd.concat([events_of("01", run) for run in (1, 2)])
    few = table.assign(base_image=np.where(table["trial_type"] == "blank", "", "a-01"),
                       image_id=np.where(table["trial_type"] == "blank", "", "px-" + table["trial_type"]),
                       presentation=np.where(table["trial_type"] == "blank", 0, 1))
    runs = {RunKey("01", "01", "main", k + 1): few.iloc[15 * k:15 * k + 15].reset_index(drop=True) for k in range(2)}
    portion, = split_sessions({"01": runs}, partition="presentation")
    response, truth = ResponseModel(basis="fir", tr_s=TR_S), np.random.default_rng(7).standard_normal((40, 5))
    scans = {}
    for key, events in portion.events.items():
        lags = design_matrix(events, conditions=portion.conditions, response=response,
                             sampling=Sampling(n_volumes=N_VOLUMES, tr_s=TR_S))
        scans[key] = Run(key=key, hemi="L", data=(1000 + 10 * lags @ truth).astype(np.float32), tr_s=TR_S)
    fit, _ = fit_portion(portion, scans, settings=GlmSettings(model="ols", basis="fir"),
                         samplings=dict.fromkeys(scans, SAMPLING))
    assert response.main_column(2.0) == 3  # 6 to 8 s after the onset
    np.testing.assert_allclose(fit.percent * fit.mean_signal / 1000, truth[3::10], rtol=1e-3, atol=1e-3)


def test_designs_of_several_sessions_hold_every_image_in_its_session_only():
    portion, = split_sessions(EVENTS, partition="presentation")
    assert portion.session == "01+02"
    assert not portion.missing
    assert portion.run_sessions == [0, 0, 0, 1, 1, 1]
    model = build_model(portion, samplings=dict.fromkeys(portion.events, SAMPLING), drift_minutes=2.0)
    own = (portion.conditions["session"] == "02").to_numpy()
    assert not model.designs[0][:, own].any()
    assert model.designs[3][:, own].any(axis=0).all()
    cut = {"01": EVENTS["01"], "02": {key: table.iloc[:-1] for key, table in EVENTS["02"].items()}}
    lacking, = split_sessions(cut, partition="presentation")
    assert all(name.startswith("ses-02 run-") for name in lacking.missing)
    odd, even = split_sessions(EVENTS, partition="runs")
    assert [key.run for key in odd.events] == [1, 3, 1, 3]
    assert [key.run for key in even.events] == [2, 2]
