"""The report's part on GLMdenoise: what is drawn is what was found, and nothing is shown without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from analysis.glm.denoising.files import PortionNoise, PortionResponses, save_noise, save_responses
from analysis.glm.denoising.hrf_estimate import HrfEstimate
from analysis.glm.hrf import event_response
from analysis.report.figure_list import denoised_portion, plan_figures, pool_maps
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.denoising import draw_components, draw_denoising, draw_noise_pool
from analysis.report.page import make_page, render
from analysis.report.records import DenoisingRecord, read_denoising, read_records
from analysis.report.tables import denoising_table
from analysis.steps import Request
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from tests.analysis.fabricated import COLUMNS, ROWS, make_betas, make_labels, make_surface
from tests.analysis.finished_study import finish_study
from tests.analysis.running_steps import run

N_VERTICES = ROWS * COLUMNS
TIMES = 2.0 * np.arange(17)


def make_noise(seed: int = 0, *, n_components: int = 3, outcome: str = "estimated") -> PortionNoise:
    rng = np.random.default_rng(seed)
    canonical = event_response(TIMES, duration_s=2.0, planned_s=2.0)
    fitted = event_response(TIMES - 1.0, duration_s=2.0, planned_s=2.0)
    used = canonical if outcome.startswith("seed kept") else fitted / fitted.max()
    curve = np.concatenate([[-0.2], 0.9 * (1 - np.exp(-np.arange(1, 21) / 2.0)) - 0.02 * np.arange(1, 21)])
    return PortionNoise(
        name="all runs", hrf=HrfEstimate(outcome=outcome, response=used, seed=canonical, r2_seed=71.3, rounds=4,
                                         estimate=fitted / fitted.max(), vertices=np.arange(50)),
        times_s=TIMES, n_components=n_components, curve=curve, is_fallback=False, is_merged=False, missing="",
        components={run: rng.standard_normal((269, 20)) for run in range(1, 6)}, in_parts=(), not_cross_validated=(),
        n_conditions=121, threshold=300.0, pool={hemi: rng.random(N_VERTICES) < 0.4 for hemi in "LR"},
        curve_vertices={hemi: rng.random(N_VERTICES) < 0.1 for hemi in "LR"},
        xval_r2={hemi: rng.standard_normal((21, N_VERTICES)).astype(np.float32) for hemi in "LR"})


def make_responses(seed: int, *, hemi: str) -> PortionResponses:
    rng = np.random.default_rng([seed, ord(hemi)])
    conditions = make_betas(("dogs-01",), {"RE": rng.normal(size=(1, 60))}, hemi=hemi, seed=1).conditions
    snr = rng.gamma(4.0, 0.5, N_VERTICES).astype(np.float32)
    flat = np.ones(N_VERTICES)
    some = np.zeros((len(conditions), N_VERTICES), np.float32)
    return PortionResponses(
        name="all runs", conditions=conditions, percent=some, errors=some + 0.1, courses=None, snr_before=snr,
        snr_after=1.2 * snr, mean_signal=800 * flat, ss_total=2 * flat, ss_residual=flat, n_volumes=1345,
        condition_number=6.5)


def records(*names: str, **given) -> list[DenoisingRecord]:
    snr = {hemi: (make_responses(1, hemi=hemi).snr_before, make_responses(1, hemi=hemi).snr_after) for hemi in "LR"}
    return [DenoisingRecord("01", replace(make_noise(seed, **given), name=name), snr)
            for seed, name in enumerate(names)]


def test_the_panels_show_response_curve_and_gain():
    found = [denoised_portion(one) for one in records("odd runs", "even runs")]
    figure = draw_denoising(found)
    assert len(figure.axes) == 6
    response, curve, gain = figure.axes[:3]
    used = next(line for line in response.lines if line.get_label().startswith("used"))
    np.testing.assert_allclose(used.get_ydata(), found[0].response)
    chosen = next(line for line in curve.lines if line.get_label() == "chosen")
    assert (chosen.get_xdata()[0], chosen.get_ydata()[0]) == (3, pytest.approx(found[0].curve[3]))
    assert gain.texts[0].get_text().startswith("median")
    assert response.get_title(loc="left") == "ses-01, odd runs: response"


def test_an_estimate_that_was_not_taken_is_drawn_beside_the_one_that_was():
    taken, = records("all runs")
    kept, = records("all runs", outcome="seed kept: far from it")
    figures = [draw_denoising([denoised_portion(one)]) for one in (taken, kept)]
    labels = [{line.get_label() for line in figure.axes[0].lines} for figure in figures]
    assert "estimate, not taken" not in labels[0]
    assert {"estimate, not taken", "used (seed kept: far from it)"} <= labels[1]


def test_without_bootstraps_no_gain_is_drawn():
    one, = records("all runs")
    nothing = {hemi: (np.full(N_VERTICES, np.nan, np.float32),) * 2 for hemi in "LR"}
    panel = draw_denoising([denoised_portion(replace(one, snr=nothing))]).axes[2]
    assert panel.texts[0].get_text() == "no bootstraps"


def test_the_pool_is_coloured_on_the_flat_map():
    one, = records("all runs")
    surface = make_surface("L")
    noise = replace(one.noise, pool={"L": surface.flat[:, 0] < 10, "R": surface.flat[:, 0] < 10},
                    curve_vertices={hemi: np.zeros(N_VERTICES, bool) for hemi in "LR"})
    flat = [FlatHemisphere(hemi, surface.flat, surface.faces, make_labels(), {}) for hemi in "LR"]
    figure = draw_noise_pool(pool_maps([replace(one, noise=noise)], flat=flat), names=[one.name])
    picture = painted(figure)
    columns = picture.shape[1]
    centres = (np.arange(columns) + 0.5) / columns * np.ptp(surface.flat[:, 0]) + surface.flat[:, 0].min()
    is_cortex = picture[..., 3] == 1
    left = is_cortex & (centres < 9)[None]
    right = is_cortex & (centres > 11)[None]
    assert left.any()
    assert right.any()
    np.testing.assert_allclose(np.unique(picture[left], axis=0), [(*to_rgb("#0072B2"), 1)])
    assert len(np.unique(picture[right], axis=0)) == 1
    assert len(np.unique(picture[is_cortex], axis=0)) == 2
    curve = dict.fromkeys("LR", surface.flat[:, 1] < 10)
    both = draw_noise_pool(pool_maps([replace(one, noise=replace(noise, curve_vertices=curve))], flat=flat),
                           names=[one.name])
    four = painted(both)
    assert len(np.unique(four[four[..., 3] == 1], axis=0)) == 4


def painted(figure: Figure) -> np.ndarray:
    """Give the flat map's picture as RGBA, row 0 below."""
    (image,) = figure.axes[0].get_images()
    return np.asarray(image.get_array())


def test_as_many_components_are_drawn_as_were_chosen():
    figure = draw_components([denoised_portion(one) for one in records("all runs", n_components=4)], tr_s=2.0)
    assert len(figure.axes) == 5
    courses = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]
    assert len(courses) == 4
    assert courses[0].get_xdata()[-1] == pytest.approx(268 * 2 / 60)


@pytest.fixture
def study(tmp_path: Path) -> Layout:
    layout = finish_study(tmp_path / "study", subjects=("01",))
    run("confounds", layout, load_settings(layout.root))
    for ses in ("01", "02"):
        save_noise(layout.derivative("glm", sub="01", ses=ses, suffix="denoise.h5"),
                   [make_noise(int(ses), outcome="estimated" if ses == "01" else "seed kept: far from it")])
        for hemi in "LR":
            save_responses(layout.derivative("glm", sub="01", hemi=hemi, ses=ses, suffix="responses.h5"),
                           [make_responses(int(ses), hemi=hemi)], hemi=hemi)
    return layout


def test_the_page_has_a_part_on_denoising_with_every_remark(study: Layout):
    found = read_records(Request(layout=study, settings=load_settings(study.root), subjects=("01",)))
    table = denoising_table(found)
    assert [row[:4] for row in table.rows] == [
        ("01", "ses-01", "estimated", "–"),
        ("01", "ses-02", "seed kept: far from it", "the canonical response was kept (far from it, R2 71 %)")]
    assert table.rows[0][6] == "3 of 20"
    plans = [plan for plan in plan_figures(found) if plan.section == "glm"]
    assert [plan.name for plan in plans] == ["sub-01_denoising", "sub-01_noise-pool", "sub-01_components"]
    assert all(plan.draw() is not None for plan in plans)
    html = render(make_page(found, lines=(), figures=()))
    assert "<h3>GLMdenoise</h3>" in html
    assert "the canonical response was kept (far from it, R2 71" in html


def test_betas_from_elsewhere_have_no_such_part(study: Layout):
    for path in study.derivatives("glm").rglob("*_denoise.h5"):
        path.unlink()
    assert read_denoising(study, sub="01", sessions=("01", "02")) == ()
    found = read_records(Request(layout=study, settings=load_settings(study.root), subjects=("01",)))
    assert denoising_table(found).rows == ()
    assert not [plan for plan in plan_figures(found) if plan.section == "glm"]
    assert "<h3>GLMdenoise</h3>" not in render(make_page(found, lines=(), figures=()))


def test_least_squares_show_no_denoising_that_was_left_from_before(study: Layout):
    settings = load_settings(study.root, overrides={"glm.model": "ols"})
    assert read_records(Request(layout=study, settings=settings, subjects=("01",))).subjects[0].denoising == ()
