"""The head's movement and the table of confounds: closed forms, and fMRIPrep's readers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nilearn.interfaces.fmriprep import load_confounds

from analysis.data.sources import resolve_subject
from analysis.data.timeseries import read_run
from analysis.simulation.confounds import cosines, decompose, measure_cortex
from analysis.simulation.motion import draw_motion, framewise_displacement, rms_displacement
from analysis.simulation.noise import NoiseModel, draw_nuisances
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.study import Settings
from tests.analysis.running_steps import run
from tests.analysis.simulation.test_bold import make_study
from tests.bids import bids_errors

MODEL = NoiseModel(local_sd_pct=1.0, smooth_sd_pct=1.0, global_sd_pct=0.8, ar1=0.3, drift_sd_pct=1.0, spikes=3.0,
                   spike_pct=2.0, motion_mm=0.3, motion_pct=0.4)
FIRST = RunKey("01", "01", "main", 1)


def test_the_head_drifts_breathes_and_jumps():
    rng = np.random.default_rng(0)
    still = np.zeros(280)
    runs = [draw_motion(still, sudden=np.zeros(0, dtype=int), drift_mm=0.3, rng=rng) for _ in range(60)]
    ends = np.array([one[-1] for one in runs])
    assert np.sqrt((ends[:, :3] ** 2).mean()) == pytest.approx(0.3, rel=0.25)
    assert np.sqrt((ends[:, 3:] ** 2).mean()) == pytest.approx(0.3 / 50, rel=0.25)
    assert not any(one[0].any() for one in runs)
    jumped = draw_motion(still, sudden=np.array([100]), drift_mm=1e-9, rng=rng) * [1, 1, 1, 50, 50, 50]
    size = [np.linalg.norm(jumped[k] - jumped[90]) for k in (100, 130)]
    assert size[0] > 0.1
    assert size[1] == pytest.approx(size[0] / 2, abs=0.06)
    assert not draw_motion(still, sudden=np.array([5]), drift_mm=0.0, rng=rng).any()


def test_displacements_by_hand():
    motion = np.zeros((3, 6))
    motion[1, 0], motion[2, 0], motion[2, 5] = 0.3, 0.3, 0.002
    fd = framewise_displacement(motion)
    assert np.isnan(fd[0])
    assert fd[1:] == pytest.approx([0.3, 0.1])
    rms = rms_displacement(motion)
    assert np.isnan(rms[0])
    assert rms[1] == pytest.approx(0.3)
    points = np.random.default_rng(0).standard_normal((200_000, 3))
    points *= 50 * np.random.default_rng(1).random((200_000, 1)) ** (1 / 3) / np.linalg.norm(points, axis=1)[:, None]
    turned = points @ np.array([[np.cos(0.002), np.sin(0.002), 0], [-np.sin(0.002), np.cos(0.002), 0], [0, 0, 1]])
    assert rms[2] == pytest.approx(np.sqrt(((turned - points) ** 2).sum(axis=1).mean()), rel=0.02)


def test_jumps_are_where_the_signal_spikes():
    drawn = draw_nuisances(300, model=replace(MODEL, spikes=4.0), tr_s=2.0, rng=np.random.default_rng(5))
    at = sorted({int(np.flatnonzero(column)[0]) for column in drawn.spikes.T})
    fd = framewise_displacement(drawn.motion)
    others = np.delete(fd[1:], [k - 1 for k in at if k])
    assert min(fd[k] for k in at if k) > 3 * np.median(others)


def test_dvars_of_white_noise_is_one():
    rng = np.random.default_rng(0)
    noise = (1000 + 10 * rng.standard_normal((300, 500))).astype(np.float32)
    noise[150] += 40
    noise[:, 7] = 0
    found = measure_cortex([noise[:, :200], noise[:, 200:]])
    assert found.mean == pytest.approx(np.delete(noise, 7, axis=1).mean(axis=1), rel=1e-5)
    assert found.dvars[10] == pytest.approx(10 * np.sqrt(2), rel=0.05)
    assert np.median(found.std_dvars[1:]) == pytest.approx(1.0, abs=0.05)
    assert found.std_dvars[150] > 2
    assert np.isnan(found.dvars[0])


def test_cosines_are_those_of_the_high_pass_filter():
    """nilearn's, which are SPM's."""
    from nilearn.glm.first_level.design_matrix import create_cosine_drift

    peer = create_cosine_drift(1 / 128, 2.0 * np.arange(278))
    found = cosines(278, tr_s=2.0)
    n = min(peer.shape[1], found.shape[1] + 1) - 1
    assert found.shape[1] == 7
    for k in range(n):
        assert abs(np.corrcoef(peer[:, k], found[:, k])[0, 1]) == pytest.approx(1.0)
    assert found.T @ found == pytest.approx(np.eye(7), abs=1e-9)


def test_a_planted_course_is_the_first_component():
    rng = np.random.default_rng(0)
    slow = cosines(200, tr_s=2.0)
    course = rng.standard_normal(200)
    voxels = 100 + 3 * course[:, None] * rng.standard_normal(50) + rng.standard_normal((200, 50)) + 20 * slow[:, :1]
    courses, sizes = decompose(voxels, slow=slow)
    assert abs(np.corrcoef(courses[:, 0], course)[0, 1]) > 0.98
    assert sizes[0] > 2 * sizes[1]
    assert np.abs(slow.T @ courses[:, :3]).max() < 1e-9


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings]:
    layout, settings = make_study(tmp_path_factory.mktemp("confounds") / "study")
    settings = settings.model_copy(update={"simulate": settings.simulate.model_copy(update={"unsteady": 2})})
    run("simulate", layout, settings)
    return layout, settings


def table_of(layout: Layout, key: RunKey = FIRST) -> tuple[pd.DataFrame, Path]:
    path = layout.confounds("simulated", key)
    return pd.read_csv(path, sep="\t", na_values="n/a"), path


def test_the_table_has_what_fmriprep_writes(simulated):
    layout, _ = simulated
    table, path = table_of(layout)
    assert path.name == "sub-01_ses-01_task-main_run-1_desc-confounds_timeseries.tsv"
    assert len(table) == 98
    text = path.read_text().splitlines()[1].split("\t")
    missing = {name for name, value in zip(table.columns, text, strict=True) if value == "n/a"}
    assert missing == {name for name in table.columns if "derivative1" in name} | {
        "dvars", "std_dvars", "framewise_displacement", "rmsd"}
    assert not table.iloc[1:].isna().any().any()
    assert [name for name in table.columns if name.startswith("non_steady")] == [
        "non_steady_state_outlier00", "non_steady_state_outlier01"]
    motion = table[[f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]].to_numpy()
    assert table["framewise_displacement"][1:].to_numpy() == pytest.approx(framewise_displacement(motion)[1:])
    assert table["trans_x_derivative1_power2"][5] == pytest.approx((table["trans_x"][5] - table["trans_x"][4]) ** 2)
    assert table["global_signal"][0] > 1.1 * table["global_signal"][30]


def test_the_global_signal_is_that_of_the_files(simulated):
    layout, _ = simulated
    table, _ = table_of(layout)
    data = resolve_subject(layout, sub="01")
    mean = np.concatenate([read_run(data, FIRST, hemi=hemi, tr_s=2.0).data for hemi in "LR"], axis=1).mean(axis=1)
    assert np.corrcoef(mean[2:], table["global_signal"][2:])[0, 1] > 0.9


def test_nilearn_reads_it_with_the_time_series(simulated):
    layout, _ = simulated
    bold = [str(resolve_subject(layout, sub="01").bold[FIRST, hemi]) for hemi in "LR"]
    found, kept = load_confounds(bold, strategy=("motion", "high_pass", "wm_csf", "global_signal", "compcor", "scrub"),
                                 motion="full", wm_csf="full", global_signal="full", compcor="anat_combined",
                                 n_compcor=3, scrub=0, fd_threshold=0.5, std_dvars_threshold=1.5)
    assert {"trans_x_derivative1_power2", "csf_power2", "cosine00", "a_comp_cor_00"} <= set(found.columns)
    assert len(found) == 98
    assert kept is None or 0 not in kept


def test_components_hold_what_happens_to_the_whole_head(simulated):
    layout, _ = simulated
    table, path = table_of(layout)
    said = json.loads(path.with_suffix(".json").read_text())
    assert said["a_comp_cor_00"]["Mask"] == "combined"
    assert said["c_comp_cor_00"]["Mask"] == "CSF"
    kept = [name for name in table.columns if name.startswith("a_comp_cor")]
    shares = [said[name]["VarianceExplained"] for name in kept]
    assert shares == sorted(shares, reverse=True)
    assert said[kept[-1]]["CumulativeVarianceExplained"] >= 0.5
    regressors = np.column_stack([table[kept[:6]], np.ones(98)])[2:]
    mean = table["white_matter"].to_numpy()[2:]
    left = mean - regressors @ np.linalg.lstsq(regressors, mean, rcond=None)[0]
    assert left.var() < 0.5 * mean.var()


def test_without_unsteady_volumes_there_is_no_such_column(tmp_path):
    layout, settings = make_study(tmp_path / "study")
    run("simulate", layout, settings)
    assert not [name for name in table_of(layout)[0].columns if name.startswith("non_steady")]


def test_the_study_is_still_valid_bids(simulated):
    """What is derived adds nothing to what the validator says of the raw part, whose stimuli are not there."""
    found = bids_errors(simulated[0].root)
    assert {one["location"].split("/")[1] for one in found} == {"sub-01"}
