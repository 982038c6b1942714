"""What every run gives after denoising: planted responses come back, contrasts are tested over runs by plain loops."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.glm.denoising.files import load_responses
from analysis.glm.denoising.own_runs import OwnRuns
from analysis.glm.linear.contrasts import noise_ceiling, snr_of
from subjects.provenance import sidecar_path
from subjects.store import read_json, read_table
from tests.analysis.running_steps import run
from tests.analysis.volunteer import make_volunteer


def own_of(percent: np.ndarray) -> OwnRuns:
    nothing = np.full(percent.shape[2], np.nan)
    return OwnRuns(names=tuple(f"run-{k}" for k in range(len(percent))), percent=percent.astype(np.float32),
                   image_variance=nothing, repeat_variance=nothing)


def test_a_contrast_is_a_t_test_over_runs() -> None:
    percent = np.random.default_rng(0).normal(1, 1, (5, 4, 30))
    weights = np.array([0.5, 0.5, -1.0, 0.0])
    found = own_of(percent).contrast(weights)
    values = np.einsum("c,rcv->rv", weights, percent.astype(np.float32))
    wanted = stats.ttest_1samp(values, 0.0)
    np.testing.assert_allclose(found.t, wanted.statistic, rtol=1e-4)
    np.testing.assert_allclose(found.p, wanted.pvalue, rtol=1e-4)
    assert found.n_df == 4


def test_noise_is_significant_as_often_as_it_should_be() -> None:
    percent = np.random.default_rng(1).standard_normal((5, 6, 20_000))
    found = own_of(percent).contrast(np.array([1, 1, 1, -1, -1, -1]) / 3)
    assert np.mean(found.p < 0.05) == pytest.approx(0.05, abs=0.005)


def test_a_run_that_lacks_conditions_takes_those_it_has_and_one_that_lacks_a_side_is_left_out() -> None:
    percent = np.ones((4, 3, 2))
    percent[:, 1] = 3.0
    percent[0, 1] = np.nan  # one of two on the left
    percent[1, 2] = np.nan  # all of the right
    own = own_of(percent)
    assert own.shown.tolist() == [4, 3, 3]
    found = own.contrast(np.array([0.5, 0.5, -1.0]))
    np.testing.assert_allclose(found.effect, np.mean([1 - 1, 2 - 1, 2 - 1]))
    assert found.n_df == 2


def test_one_run_tests_nothing_and_dark_vertices_have_no_t() -> None:
    percent = np.random.default_rng(2).standard_normal((3, 2, 4))
    percent[:, :, 1] = np.nan
    found = own_of(percent).contrast(np.array([1.0, -1.0]))
    assert np.isnan(found.t[1])
    assert np.isfinite(np.delete(found.t, 1)).all()
    alone = own_of(percent[:1]).contrast(np.array([1.0, -1.0]))
    assert np.isnan(alone.t).all()
    assert alone.n_df == 0


def by_hand(percent: np.ndarray, conditions: pd.DataFrame) -> float:
    """Measure a vertex's ncsnr: per session, the variance over all responses, and that over each image's repeats."""
    totals, noises = [], []
    for ses in sorted(set(conditions["session"]) - {""}):
        repeats = []
        for image in sorted(set(conditions.loc[conditions["session"] == ses, "image_id"]) - {""}):
            mine = percent[:, (conditions["image_id"] == image).to_numpy()].ravel()
            repeats.append(mine[np.isfinite(mine)])
        totals.append(np.var(np.concatenate(repeats), ddof=1))
        noises.append(np.mean([np.var(one, ddof=1) for one in repeats]))
    return float(np.sqrt(max(np.mean(totals) - np.mean(noises), 0) / np.mean(noises)))


@pytest.mark.parametrize("sessions", [("01",), ("01", "02")])
def test_the_step_keeps_every_run_and_maps_ceiling_and_contrasts(tmp_path, sessions) -> None:
    changes = {"glm": {"model": "glmdenoise", "run_bootstraps": 0, "hrf_fit": "assume", "noise_components": 1,
                       "contrasts": ["RE > blank"], "sessions": "joint" if len(sessions) > 1 else "separate"}}
    layout, settings = make_volunteer(tmp_path / "study", sessions=sessions, runs=3, changes=changes)
    run("glm", layout, settings)
    path = next(layout.derivatives("glm").rglob("*hemi-L*_responses.h5"))
    made, = load_responses(path, own_runs=True)
    assert load_responses(path)[0].own is None
    assert made.own is not None
    assert made.own.names == tuple(f"ses-{ses}_run-{number}" for ses in sessions for number in (1, 2, 3))
    held = np.nanmean(made.own.percent, axis=0)
    for ses in sessions:  # sessions were planted with blanks of their own: joint, a vertex's offset is off by these
        rows = ((made.conditions["type"] != "blank") & (made.conditions["session"] == ses)).to_numpy()
        first, second = (one[rows] - one[rows].mean(axis=0) for one in (held, made.percent))
        assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.99
    folder = layout.derivatives("glm") / "sub-01"
    maps = {one.meta["Name"]: one.data for one in nib.load(folder / "sub-01_hemi-L_desc-glm_maps.func.gii").darrays}
    ratio = snr_of(made.own.image_variance, made.own.repeat_variance)
    np.testing.assert_array_equal(maps["ncsnr"], ratio)
    wanted = [by_hand(made.own.percent[..., v], made.conditions) for v in range(3)]
    np.testing.assert_allclose(ratio[:3], wanted, rtol=1e-4)
    ceiling = maps["noise ceiling in percent, mean of 6 repeats"]
    np.testing.assert_array_equal(ceiling, noise_ceiling(ratio, n_repeats=6))
    table = read_table(folder / "sub-01_contrasts.tsv")
    assert table["n_df"].tolist() == [3 * len(sessions) - 1] * 2
    said = read_json(sidecar_path(folder / "sub-01_hemi-L_desc-contrasts_maps.func.gii"))
    assert said["Test"].startswith("two-tailed t over runs after denoising")
    assert isinstance(table, pd.DataFrame)
