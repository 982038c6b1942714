"""A run that was shown in two attempts, with two BOLD files, gives the betas that the whole run gives."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.data.sources import resolve_subject
from analysis.data.timeseries import Run, join_parts, read_run, read_sessions, require_volumes
from analysis.glm.betas import load_betas
from analysis.glm.combining import betas_paths
from analysis.glm.denoising.files import load_noise
from analysis.glm.design import list_conditions
from analysis.glm.run_design import design_of
from analysis.glm.subject_runs import keep_estimable
from analysis.simulation.truth_file import load_truth
from paradigms.playing.play_run import play_run
from paradigms.record.plans import read_schedule
from stimuli.image_set.exports.feature_writer import write_store
from stimuli.manifest import TYPES, read_manifest
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import SimulateSettings
from tests.analysis.running_steps import run
from tests.analysis.simulation.exact import EXACT, use_the_fitted_response
from tests.bids import bids_errors
from tests.paradigms.conftest import MAIN_ALONE, make_console_study
from tests.paradigms.playing.test_resume import _abort_at

RUN = RunKey("01", "01", "main", 1)
REST = RunKey("01", "01", "main", 1, part=2)
STRONG = {"subdivisions": 0, "content": "network", "tuning_sd_pct": 0.6}
QUIET = SimulateSettings(**{**STRONG, **EXACT})
LOUD = SimulateSettings(**{**STRONG, **EXACT, "noise_sd_pct": 1.0, "drift_sd_pct": 1.0})
OLS: dict[str, Any] = {"model": "ols"}
ABORTED_S = 210.0


def play(layout: Layout, key: RunKey, *, resume: bool = False) -> bool:
    return play_run(layout, load_settings(layout.root), key=key, scanner="emulated", display="virtual",
                    resume=resume).complete


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Layout]:
    """The same subject with the first run whole, and in two attempts."""
    root = tmp_path_factory.mktemp("parts")
    whole = make_console_study(root / "whole", stimuli={"per_class": 2}, main={"runs": 2}, **MAIN_ALONE)
    ids = [one.image_id for one in read_manifest(whole.manifest).stimuli]
    rng = np.random.default_rng(0)
    layers = {f"layer{k}": rng.standard_normal((len(ids), 40), dtype=np.float32) for k in range(1, 9)}
    write_store(whole.features("none"), layers, network="none", network_digest="0", tap="none", layers=tuple(layers),
                image_ids=ids)
    for key in (RunKey("01", "01", "main", 2), RunKey("01", "02", "main", 1), RunKey("01", "02", "main", 2)):
        assert play(whole, key)
    shutil.copytree(whole.root, root / "parts")
    parts = Layout(root / "parts")
    assert play(whole, RUN)
    with pytest.MonkeyPatch.context() as patch:
        _abort_at(patch, ABORTED_S)
        assert not play(parts, RUN)
    assert play(parts, RUN, resume=True)
    return {"whole": whole, "parts": parts}


def fitted(layout: Layout, simulate: SimulateSettings, folder: Path, glm: dict[str, Any] | None = None) -> Layout:
    copy = Layout(shutil.copytree(layout.root, folder / f"{layout.root.name}-{simulate.noise_sd_pct:g}"))
    settings = load_settings(copy.root)
    settings = settings.model_copy(update={"simulate": simulate, "glm": settings.glm.model_copy(update=glm or OLS)})
    with pytest.MonkeyPatch.context() as patch:
        use_the_fitted_response(patch)
        run("simulate", copy, settings)
    run("glm", copy, settings)
    return copy


@pytest.fixture(scope="module")
def quiet(studies: dict[str, Layout], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Layout]:
    folder = tmp_path_factory.mktemp("quiet")
    return {name: fitted(layout, QUIET, folder) for name, layout in studies.items()}


def test_the_parts_are_two_scans_with_tables_and_volumes_of_their_own(studies: dict[str, Layout]) -> None:
    layout = studies["parts"]
    assert layout.find_parts(RUN) == (RUN, REST)
    assert layout.events(REST).name == "sub-01_ses-01_task-main_acq-part2_run-1_events.tsv"
    events = read_sessions(layout, sub="01")["01"]
    plan = read_schedule(layout.schedule(RUN, attempt=1))
    first, rest = events[RUN], events[REST]
    assert (first.attrs["complete"], rest.attrs["complete"]) == (False, True)
    assert first.attrs["n_pulses"] < plan.n_volumes
    assert rest.attrs["n_pulses"] == read_schedule(layout.schedule(RUN, attempt=2)).n_volumes
    assert rest["onset"].min() >= 20.0  # its own time zero and lead-in
    shown = join_parts(events)[1]
    cut = len(shown) - len(plan.events)
    assert cut in (0, 1)  # the trial that was up at the abort was shown once more
    conditions = list_conditions(join_parts(events), session="01")
    assert len(conditions) == 3 * 5 * 2 + 1
    assert bids_errors(layout.root) == []


def test_without_noise_the_betas_are_the_truth_and_those_of_the_whole_run(quiet: dict[str, Layout]) -> None:
    for hemi in ("L", "R"):
        whole, parts = (load_betas(betas_paths(quiet[name], sub="01")[hemi]) for name in ("whole", "parts"))
        truth = load_truth(quiet["parts"].derivative("simulated", sub="01", suffix="truth.h5"), hemi=hemi)
        inside = np.abs(truth.responses["RE"]).sum(axis=0) > 0
        assert parts.conditions.equals(whole.conditions)
        for kind in TYPES:
            found, other = (one.select(type=kind)[:, inside] for one in (parts, whole))
            true = truth.responses[kind][:, inside]
            assert np.abs(found - true).max() < 0.06 * np.abs(true).max()
            assert np.abs(found - other).max() < 0.02 * np.abs(true).max()  # means of other volumes
        assert np.median(parts.r2[inside]) > 0.999


def test_planted_betas_come_back_as_from_the_whole_run_within_noise(studies: dict[str, Layout], tmp_path: Path) -> None:
    errors = {}
    for name, layout in studies.items():
        copy = fitted(layout, LOUD, tmp_path)
        betas = load_betas(betas_paths(copy, sub="01")["L"])
        truth = load_truth(copy.derivative("simulated", sub="01", suffix="truth.h5"), hemi="L")
        inside = np.abs(truth.responses["RE"]).sum(axis=0) > 0
        mine = betas.conditions["session"].to_numpy() == "01"
        rows = {kind: mine & (betas.conditions["type"] == kind).to_numpy() for kind in TYPES}
        names = {kind: [truth.base_images.index(one) for one in betas.conditions["base_image"][rows[kind]]]
                 for kind in TYPES}
        found = np.concatenate([betas.values[rows[kind]][:, inside] for kind in TYPES])
        true = np.concatenate([truth.responses[kind][names[kind]][:, inside] for kind in TYPES])
        errors[name] = found - true
        slope = float((found * true).sum() / (true * true).sum())
        assert slope == pytest.approx(1.0, abs=0.1)
    rms = {name: float(np.sqrt(np.mean(error**2))) for name, error in errors.items()}
    assert rms["parts"] == pytest.approx(rms["whole"], rel=0.25)
    assert abs(errors["parts"].mean()) < 0.2 * rms["parts"]


def test_volumes_after_the_end_of_a_part_are_left_out_and_of_a_whole_run_are_refused(quiet: dict[str, Layout]) -> None:
    layout = quiet["parts"]
    events, data = read_sessions(layout, sub="01")["01"], resolve_subject(layout, sub="01")

    def longer(key: RunKey) -> Run:
        found = read_run(data, key, hemi="L", tr_s=2.0)
        return Run(key=key, hemi="L", data=np.concatenate([found.data, found.data[:7]]), tr_s=2.0)

    assert len(require_volumes(longer(RUN), events[RUN]).data) == events[RUN].attrs["n_pulses"]
    text = "sub-01 ses-01 task-main run-1 part-2 hemi-L: .* volumes but .* logged pulses"
    with pytest.raises(AnalysisError, match=text):
        require_volumes(longer(REST), events[REST])
    short = Run(key=RUN, hemi="L", data=longer(RUN).data[:20], tr_s=2.0)
    with pytest.raises(AnalysisError, match="run-1 hemi-L: 20 volumes but"):
        require_volumes(short, events[RUN])
    assert set(keep_estimable(events, n_discarded=events[RUN].attrs["n_pulses"] - 1)) == set(events) - {RUN}


def test_the_design_of_each_attempt_can_be_looked_at(studies: dict[str, Layout]) -> None:
    first, rest, last = (design_of(studies["parts"], key=RUN, attempt=attempt) for attempt in (1, 2, None))
    assert first is not None
    assert rest is not None
    assert last is not None
    assert len(first.matrix) < 98
    assert len(rest.matrix) == len(last.matrix)
    assert sum(first.n_events) + sum(rest.n_events) in (39, 40)


def test_a_run_whose_rest_was_not_shown_is_refused(studies: dict[str, Layout], tmp_path: Path) -> None:
    copy = Layout(shutil.copytree(studies["parts"].root, tmp_path / "study"))
    copy.events(REST).unlink()
    copy.events_sidecar(REST).unlink()
    with pytest.raises(AnalysisError, match="a run that was not played to its end.*--resume"):
        read_sessions(copy, sub="01")


def test_denoising_takes_the_parts_as_one_run_and_says_so(studies: dict[str, Layout], tmp_path: Path) -> None:
    """With noise, the betas come as near to those of the whole run as their error allows."""
    loud = LOUD.model_copy(update={"global_sd_pct": 0.8})
    found = {name: fitted(layout, loud, tmp_path, {"model": "glmdenoise", "run_bootstraps": 10})
             for name, layout in studies.items()}
    noise = {name: load_noise(layout.derivative("glm", sub="01", ses="01", suffix="denoise.h5"))[0]
             for name, layout in found.items()}
    assert noise["parts"].in_parts == (1,)
    assert "run 1 was shown in parts and counts as one run" in noise["parts"].remarks()
    assert list(noise["parts"].components) == [1, 2]
    assert noise["whole"].in_parts == ()
    betas = {name: load_betas(betas_paths(layout, sub="01")["L"]) for name, layout in found.items()}
    truth = load_truth(found["parts"].derivative("simulated", sub="01", suffix="truth.h5"), hemi="L")
    inside = np.abs(truth.responses["RE"]).sum(axis=0) > 0
    near = {name: np.corrcoef(one.select(type="RE")[:, inside].ravel(), truth.responses["RE"][:, inside].ravel())[0, 1]
            for name, one in betas.items()}
    assert near["parts"] == pytest.approx(near["whole"], abs=0.05)
    assert near["parts"] > 0.6
