"""The design before there are data: expected errors against simulated noise, tables against the events, the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.glm.ar1 import fit_ar1
from analysis.glm.design import polynomials
from analysis.glm.linear.expected import expected_covariance, variance_inflation
from analysis.glm.ols import Model, fit_session, project_out
from analysis.report.checks.design_figure import DesignPicture, draw_design
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.study import Settings
from subjects.store import read_json, read_table, write_json, write_table
from tests.analysis.running_steps import run
from tests.analysis.simulation.test_bold import make_study


@pytest.fixture(scope="module")
def designs() -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    made = [np.convolve(np.ones(4), one)[:60] for one in rng.standard_normal((10, 60))]
    return [np.stack(made[:5], axis=1), np.stack(made[5:], axis=1)], [polynomials(60, degree=2)] * 2


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_expected_errors_are_those_of_fits_to_noise(designs, rho, whiten):
    """4,000 vertices of AR(1) noise: the betas' spread is within five standard errors of a spread (1.1 %)."""
    rng = np.random.default_rng(1)
    runs = []
    for _ in range(2):
        noise = rng.standard_normal((60, 4000))
        for volume in range(1, 60):
            noise[volume] = rho * noise[volume - 1] + np.sqrt(1 - rho**2) * noise[volume]
        runs.append(100 + noise)
    model = Model(*designs)
    found = fit_ar1(runs, model=model).betas if whiten else fit_session(runs, model=model).betas
    expected = np.sqrt(np.diag(expected_covariance(designs[0], drifts=designs[1], rho=rho, whiten=whiten)))
    np.testing.assert_allclose(found.std(axis=1), expected, rtol=0.06)
    if not whiten:
        covariance = expected_covariance(designs[0], drifts=designs[1], rho=rho, whiten=False)
        np.testing.assert_allclose(np.cov(found), covariance, atol=0.08 * covariance.max())


def test_whitening_never_widens_an_error_and_white_noise_makes_both_alike(designs):
    plain, white = (expected_covariance(designs[0], drifts=designs[1], rho=0.6, whiten=one) for one in (False, True))
    assert (np.diag(white) < np.diag(plain)).all()
    alike = [expected_covariance(designs[0], drifts=designs[1], rho=0.0, whiten=one) for one in (False, True)]
    np.testing.assert_allclose(alike[0], alike[1], rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match=r"a correlation of 1.0"):
        expected_covariance(designs[0], drifts=designs[1], rho=1.0, whiten=True)


def test_variance_inflation_is_what_regressing_a_column_on_the_others_gives(designs):
    projected = np.concatenate([project_out(*pair) for pair in zip(*designs, strict=True)])
    for column, found in enumerate(variance_inflation(projected)):
        y, others = projected[:, column], np.delete(projected, column, axis=1)
        left = y - others @ np.linalg.lstsq(others, y, rcond=None)[0]
        assert found == pytest.approx((y @ y) / (left @ left), rel=1e-9)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings]:
    """Two sessions of two runs that were played; nothing was scanned."""
    layout, settings = make_study(tmp_path_factory.mktemp("design") / "study")
    run("design", layout, settings)
    return layout, settings


def path_of(layout: Layout, suffix: str, ses: str = "01") -> Path:
    return layout.derivative("glm", sub="01", ses=ses, suffix=suffix)


def test_a_design_is_told_before_there_are_data(made):
    layout, settings = made
    table = read_table(path_of(layout, "design.tsv"), text_columns=("session",))
    assert len(table) == 5 * 2 // 2 * 3 * 2 + 1
    assert (table["n_runs"] == 2).all()
    assert (table["variance_inflation"] >= 1).all()
    matrix = read_table(path_of(layout, "desc-matrix_design.tsv"))
    first = matrix[matrix["run"] == "ses-01_run-1"]
    assert first["time_s"].iloc[0] == pytest.approx(18.0)
    drifts = [name for name in matrix if " drift " in name]
    full = matrix.drop(columns=["run", "time_s", "portion"]).to_numpy(dtype=float)
    n = len(table)
    covariance = np.linalg.inv(full.T @ full)[:n, :n]
    white = np.sqrt(np.diag(covariance))
    assert 0.5 < np.median(table["error_pct"]) / np.median(white) < 1.5  # AR(1) of .3 changes it a little
    assert len(drifts) == 2 * 2  # a constant and a slope a run of 3 min
    said = read_json(sidecar_path(path_of(layout, "design.tsv")))["Designs"][0]
    assert said["ConditionNumber"] == pytest.approx(np.linalg.cond(unit(full, n)), rel=1e-3)
    assert set(said["ContrastErrors"]) == set(settings.glm.contrasts)
    assert said["ConditionNumberOfRunsAlone"]["ses-01_run-2"] > 1


def unit(full: np.ndarray, n: int) -> np.ndarray:
    """Take the drifts out of the conditions, and bring their columns to one length."""
    left = full[:, :n] - full[:, n:] @ np.linalg.lstsq(full[:, n:], full[:, :n], rcond=None)[0]
    return left / np.linalg.norm(left, axis=0)


def test_a_second_time_nothing_is_made_and_one_more_event_makes_it_again(made):
    layout, settings = made
    assert run("design", layout, settings).all_reused
    before = path_of(layout, "design.png").read_bytes()
    path_of(layout, "design.tsv").unlink()
    run("design", layout, settings)
    assert path_of(layout, "design.png").read_bytes() == before


def test_confounds_that_the_errors_do_not_count_are_said(made):
    layout, settings = made
    changed = settings.model_copy(update={"glm": settings.glm.model_copy(update={"confounds": ("motion_6",)})})
    assert "glm.confounds (motion_6) not counted" in run("design", layout, changed).works[0].tell()
    assert "not counted" not in run("design", layout, settings).works[0].tell()


def test_a_condition_of_one_run_and_one_that_no_volume_tells_are_named(tmp_path):
    """The last trials of a run are cut off; then an image is put where another one always follows."""
    layout, settings = make_study(tmp_path / "study")
    path = layout.events(RunKey("01", "01", "main", 2))
    table = read_table(path, text_columns=("stim_file", "image_id", "base_image", "category", "class"))
    cut = table[table["onset"] < 100.0]
    write_table(path, cut, overwrite=True)
    said = read_json(path.with_suffix(".json"))
    write_json(path.with_suffix(".json"), {**said, "table_digest": None}, overwrite=True)
    done = run("design", layout, settings)
    told = done.works[0].tell()
    rows = read_table(path_of(layout, "design.tsv"))
    lone = int((~rows["cross_validated"].astype(str).eq("True")).sum())
    assert lone > 5
    assert f"{lone} conditions in one run only, which cannot be cross-validated" in told
    assert "run 2 lacks" in told


def test_the_picture_says_what_cannot_be_estimated():
    matrix = np.random.default_rng(3).random((40, 6))
    pictures = [DesignPicture(name="sub-01 ses-01", matrix=matrix, run_lengths=(20, 20), run_names=("run-1", "run-2"),
                              kinds=("RE", "RE", "AN", "AN", "AI", "blank"), errors=np.linspace(0.2, 0.4, 6),
                              problem=problem, condition_number=6.0, rho=0.3)
                for problem in ("", "a design of condition number 1e6, weakest at column 3")]
    figure = draw_design(pictures)
    texts = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)
    assert "not estimable" in texts
    assert len([axes for axes in figure.axes if axes.images]) >= 4
