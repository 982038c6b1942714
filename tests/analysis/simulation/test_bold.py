"""A virtual subject: what is put in comes out, a null subject holds nothing, and nothing is made twice."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.data.sources import labels_path, resolve_subject
from analysis.data.template import load_fsaverage5, occipital_patch
from analysis.data.timeseries import Run, read_run, read_sessions
from analysis.glm.betas import Betas, load_betas
from analysis.glm.combining import betas_paths
from analysis.glm.design import Sampling
from analysis.regions.labels import ROIS, read_labels
from analysis.regions.schematic import schematic_regions
from analysis.running import Digests, require_made
from analysis.simulation.ground_truth import Truth, draw_truth
from analysis.simulation.noise import (
    NoiseModel,
    autocorrelated_noise,
    draw_nuisances,
    drifts,
    make_noise,
    smooth_maps,
    smoother,
)
from analysis.simulation.truth_file import load_truth
from analysis.simulation.worlds import see
from paradigms.runlog import COLUMNS, events_sidecar
from paradigms.tasks.main_task import make_schedule
from stimuli.image_set.exports.feature_writer import write_store
from stimuli.manifest import TYPES, Manifest, Stimulus, write_manifest
from subjects.dataset import init_study
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import base_images, register
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.store import read_json, write_json, write_table
from tests.analysis.running_steps import ask, run
from tests.analysis.simulation.exact import EXACT, use_the_fitted_response

SMALL = {"stimuli": {"per_class": 2}, "main": {"runs": 2}, "glm": {"model": "ols"}, "simulate": {
    "subdivisions": 0, "content": "network", "tuning_sd_pct": 0.6, "smooth_sd_pct": 0.5, "global_sd_pct": 0.3}}
LAYERS = tuple(f"layer{k}" for k in range(1, 9))


def image_id(name: str, kind: str) -> str:
    return f"px-{kind}-{name}"


def stimulus(name: str, kind: str) -> Stimulus:
    file = f"images/{kind}/{name}_{kind}.png"
    return Stimulus(image_id(name, kind), file, kind, name, name, 0, name[:-3], None, None, "demo",
                    "0" * 16, 0.5, 0.999, 0.0, 0.0, 1.0, 20.0, 1, 1)


def log_run(layout: Layout, settings: Settings, manifest: Manifest, *, sub: str, ses: str, run: int) -> None:
    """Log a run as it was planned, 3 ms late."""
    schedule = make_schedule(settings, manifest=manifest, key=RunKey(sub, ses, "main", run))
    rows = [{"onset": event.onset_s + 0.003, "duration": event.duration_s, "trial_type": event.trial_type,
             "stim_file": event.stim_file, "image_id": event.image_id, "base_image": event.base_image,
             "category": event.category, "class": event.class_name, "presentation": event.presentation,
             "onset_planned": event.onset_s} for event in schedule.events]
    path = layout.events(RunKey(sub, ses, "main", run))
    write_table(path, pd.DataFrame(rows, columns=list(COLUMNS)))
    said = events_sidecar(schedule, settings, complete=True, attempt=1, levels={},
                          watch={"n_pulses": schedule.n_volumes})
    write_json(path.with_suffix(".json"), said)


def make_study(root: Path, *, runs: int = 2) -> tuple[Layout, Settings]:
    layout = init_study(Layout(root), name="virtual", seed=11, changes={**SMALL, "main": {"runs": runs}})
    settings = load_settings(root)
    register(layout, "01", virtual=True)
    names = base_images(settings.stimuli)
    manifest = Manifest(tuple(stimulus(name, kind) for name in names for kind in TYPES))
    write_manifest(layout.manifest, manifest)
    rng = np.random.default_rng(0)
    units = {layer: rng.standard_normal((3 * len(names), 40), dtype=np.float32) for layer in LAYERS}
    write_store(layout.features("demo"), units, network="demo", network_digest="0" * 16, tap="none", layers=LAYERS,
                image_ids=[one.image_id for one in manifest.stimuli])
    for ses in ("01", "02"):
        for k in range(1, runs + 1):
            log_run(layout, settings, manifest, sub="01", ses=ses, run=k)
    return layout, settings


@pytest.fixture(scope="module")
def logged(tmp_path_factory) -> tuple[Layout, Settings]:
    return make_study(tmp_path_factory.mktemp("virtual") / "study")


@pytest.fixture(scope="module")
def simulated(logged):
    layout, settings = logged
    return run("simulate", layout, settings)


@pytest.fixture(scope="module")
def fitted(logged, simulated) -> dict[str, Path]:
    layout, settings = logged
    assert not run("glm", layout, settings).all_reused
    return betas_paths(layout, sub="01")


def truth_path(layout: Layout) -> Path:
    return layout.derivative("simulated", sub="01", suffix="truth.h5")


def bold_paths(layout: Layout) -> list[Path]:
    return sorted(layout.derivatives("simulated").rglob("*_bold.func.gii"))


def read(layout: Layout, key: RunKey, *, hemi: str) -> Run:
    return read_run(resolve_subject(layout, sub="01"), key, hemi=hemi, tr_s=2.0)


def centred(patterns: np.ndarray) -> np.ndarray:
    return patterns - patterns.mean(axis=0)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_the_glm_recovers_what_was_put_in(logged, simulated, fitted):
    layout, _ = logged
    for hemi in ("L", "R"):
        betas, truth = load_betas(fitted[hemi]), load_truth(truth_path(layout), hemi=hemi)
        inside = read_labels(labels_path(layout, source="simulated", sub="01", hemi=hemi)) > 0
        assert betas.base_images == truth.base_images
        for kind in TYPES:
            found, true = betas.select(type=kind)[:, inside], truth.responses[kind][:, inside]
            assert correlation(centred(found), centred(true)) > 0.5
            assert 0.5 < found.mean() / true.mean() < 1.1  # a deeper undershoot: a train of images adds up to less
        assert np.abs(betas.select(type="RE")[:, ~inside].mean()) < 0.1
        assert np.nanmedian(betas.r2[inside]) > np.nanmedian(betas.r2[~inside])


@pytest.fixture(scope="module")
def noiseless(logged, tmp_path_factory) -> tuple[Layout, Settings]:
    """The same subject without noise and drifts: BOLD in, GLM out."""
    layout, settings = logged
    root = tmp_path_factory.mktemp("noiseless") / "study"
    shutil.copytree(layout.root, root, ignore=shutil.ignore_patterns("simulated", "glm"))
    quiet = settings.model_copy(update={"simulate": settings.simulate.model_copy(update=EXACT)})
    run("simulate", Layout(root), quiet)
    run("glm", Layout(root), quiet)
    return Layout(root), quiet


def test_without_noise_the_glm_gives_the_truth_but_for_its_other_response(noiseless):
    """The subject's haemodynamic response is not the one that is fitted, so sizes are off and images mix a little."""
    layout, _ = noiseless
    for hemi in ("L", "R"):
        betas = load_betas(layout.derivative("glm", sub="01", hemi=hemi, suffix="betas.h5"))
        truth = load_truth(layout.derivative("simulated", sub="01", suffix="truth.h5"), hemi=hemi)
        inside = np.abs(truth.responses["RE"]).sum(axis=0) > 0
        for kind in TYPES:
            for presentation in (1, 2):
                found = centred(betas.select(type=kind, presentation=presentation)[:, inside])
                true = centred(truth.responses[kind][:, inside])
                assert correlation(found, true) > 0.85  # images 4 s apart run into one another
                assert 0.8 < (found * true).sum() / (true * true).sum() < 1.1
        assert np.median(betas.r2[inside]) > 0.9
        blanks = betas.values[betas.conditions["type"] == "blank"]
        assert np.isnan(blanks[:, ~inside]).all()  # constant: no signal to take a percentage of


def test_with_the_response_that_is_fitted_the_truth_comes_back(logged, tmp_path, monkeypatch):
    layout, settings = logged
    use_the_fitted_response(monkeypatch)
    copy = Layout(shutil.copytree(layout.root, tmp_path / "study", ignore=shutil.ignore_patterns("simulated", "glm")))
    quiet = settings.model_copy(update={"simulate": settings.simulate.model_copy(update=EXACT)})
    run("simulate", copy, quiet)
    run("glm", copy, quiet)
    for hemi in ("L", "R"):
        betas, truth = load_betas(betas_paths(copy, sub="01")[hemi]), load_truth(truth_path(copy), hemi=hemi)
        inside = np.abs(truth.responses["RE"]).sum(axis=0) > 0
        for kind in TYPES:
            for presentation in (1, 2):
                found = betas.select(type=kind, presentation=presentation)[:, inside]
                true = truth.responses[kind][:, inside]
                assert np.abs(found - true).max() < 0.06 * np.abs(true).max()  # percent of a mean that holds responses
                assert correlation(centred(found), centred(true)) > 0.999
        assert np.median(betas.r2[inside]) > 0.999
        blanks = betas.values[betas.conditions["type"] == "blank"]
        assert np.abs(blanks[:, inside]).max() < 1e-3


def test_without_noise_bold_is_the_sum_of_responses(noiseless):
    """Against a plain loop over events with the impulse response in steps of a millisecond."""
    layout, _ = noiseless
    events = read_sessions(layout, sub="01")["01"][RunKey("01", "01", "main", 2)]
    truth = load_truth(layout.derivative("simulated", sub="01", suffix="truth.h5"), hemi="R")
    run_2 = read(layout, RunKey("01", "01", "main", 2), hemi="R")
    vertex = int(np.abs(truth.responses["RE"]).sum(axis=0).argmax())
    steps = np.arange(0, 40, 0.001) + 0.0005
    impulse = ((steps / 5.4) ** 6 * np.exp(-(steps - 5.4) / 0.9)
               - 0.35 * (steps / 10.8) ** 12 * np.exp(-(steps - 10.8) / 0.9))
    peak = np.convolve(np.ones(2000), impulse).max()
    expected = np.zeros(len(run_2.data))
    for one in events[events["image_id"].notna()].itertuples():
        size = truth.responses[one.trial_type][truth.base_images.index(one.base_image), vertex]
        for k in range(len(expected)):
            since = 2.0 * k - one.onset
            if 0 < since < 40 + one.duration:
                first, last = np.searchsorted(steps, [since - one.duration, since])
                expected[k] += size * impulse[first:last].sum() / peak
    found = 100 * (run_2.data[:, vertex] / run_2.data[0, vertex] * (1 + expected[0] / 100) - 1)
    assert found == pytest.approx(expected, abs=2e-3 * np.abs(expected).max())


def test_slice_timing_corrected_series_are_modelled_at_their_time(noiseless, tmp_path):
    layout, settings = noiseless
    shutil.copytree(layout.root, tmp_path / "study", ignore=shutil.ignore_patterns("glm"))
    copy = Layout(tmp_path / "study")
    for path in copy.derivatives("simulated").rglob("*_bold.json"):
        write_json(path, {**read_json(path), "StartTime": 1.0}, overwrite=True)
    run("glm", copy, settings)
    late, right = (load_betas(betas_paths(one, sub="01")["L"]) for one in (copy, layout))
    inside = right.r2 > 0.5
    assert np.median(late.r2[inside]) < np.median(right.r2[inside]) - 0.005


def test_sessions_and_regions_have_their_own_noise_and_scores(logged, simulated):
    layout, _ = logged
    truth = load_truth(truth_path(layout), hemi="L").responses["RE"]
    labels = read_labels(labels_path(layout, source="simulated", sub="01", hemi="L"))
    patterns = [np.corrcoef(centred(truth[:, labels == k]))[np.triu_indices(len(truth), 1)] for k in range(1, 6)]
    apart = np.corrcoef(patterns)[np.triu_indices(5, 1)]
    assert np.abs(apart).max() < 0.6
    one, two = (read(layout, key, hemi="L").data[:, labels == 0]
                for key in (RunKey("01", "01", "main", 1), RunKey("01", "02", "main", 1)))
    assert abs(correlation(centred(one), centred(two))) < 0.1


def test_ai_images_are_seen_as_re_images_and_an_images_as_neither(tmp_path):
    """In four runs a session: with as much noise as a head that moves brings, two hold too little of the patterns."""
    layout, settings = make_study(tmp_path / "study", runs=4)
    run("simulate", layout, settings)
    run("glm", layout, settings)
    betas = load_betas(betas_paths(layout, sub="01")["L"])
    patterns = {kind: centred(betas.select(type=kind)) for kind in TYPES}
    alike = correlation(patterns["RE"], patterns["AI"])
    assert alike > 0.25
    assert correlation(patterns["RE"], patterns["AN"]) < alike - 0.1
    truth = load_truth(truth_path(layout), hemi="L").responses
    assert correlation(centred(truth["RE"]), centred(truth["AI"])) > 0.8
    assert abs(correlation(centred(truth["RE"]), centred(truth["AN"]))) < 0.35


def within_sessions(betas: Betas, presentation: int) -> np.ndarray:
    """RE responses without each session's mean over all images, which carries the error of its baseline."""
    values = betas.values.copy()
    images = betas.conditions["type"] != "blank"
    for session in ("01", "02"):
        rows = np.flatnonzero(images & (betas.conditions["session"] == session))
        values[rows] -= values[rows].mean(axis=0)
    return Betas(hemi=betas.hemi, values=values, conditions=betas.conditions, r2=betas.r2,
                 mean_signal=betas.mean_signal).select(type="RE", presentation=presentation)


def test_a_null_subject_holds_no_image(logged, fitted, tmp_path):
    layout, settings = logged
    shutil.copytree(layout.root, tmp_path / "study", ignore=shutil.ignore_patterns("derivatives"))
    shutil.copytree(layout.derivatives("features"), tmp_path / "study" / "derivatives" / "features")
    null = Layout(tmp_path / "study")
    made = run("simulate", null, settings, null=True)
    assert not made.all_reused
    truth = load_truth(truth_path(null), hemi="L")
    for kind in TYPES:
        assert not np.ptp(truth.responses[kind], axis=0).any()
    run("glm", null, settings)
    found = betas_paths(null, sub="01")
    halves = {name: [within_sessions(load_betas(one["L"]), k) for k in (1, 2)]
              for name, one in (("null", found), ("human", fitted))}
    inside = schematic_regions(resolve_subject(null, sub="01").load_surface("L")) > 0
    assert abs(correlation(*(half[:, inside] for half in halves["null"]))) < 0.08
    assert correlation(*(half[:, inside] for half in halves["human"])) > 0.12


def test_a_world_is_asked_for_in_one_way(logged):
    layout, settings = logged
    with pytest.raises(AnalysisError, match="--null and --world both; expected one of them"):
        run("simulate", layout, settings, null=True, world="both")


def test_nothing_is_made_twice(logged, simulated, fitted):
    layout, settings = logged
    before = {path: path.stat().st_mtime_ns for path in layout.root.rglob("*") if path.is_file()}
    assert run("simulate", layout, settings).all_reused
    assert run("glm", layout, settings).all_reused
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not simulated.all_reused


def test_the_same_study_makes_the_same_bold_and_another_seed_another(logged, simulated, tmp_path):
    _, settings = logged
    layout, _ = logged
    first = [path.read_bytes() for path in bold_paths(layout)[:2]]
    other, _ = make_study(tmp_path / "study")
    run("simulate", other, settings)
    assert [path.read_bytes() for path in bold_paths(other)[:2]] == first
    reseeded = settings.model_copy(update={"study": settings.study.model_copy(update={"seed": 12})})
    changed = run("simulate", other, reseeded)
    assert not changed.all_reused
    assert [path.read_bytes() for path in bold_paths(other)[:2]] != first


def test_the_files_are_a_bids_derivative(logged, simulated):
    layout, settings = logged
    folder = layout.derivatives("simulated")
    assert read_json(folder / "dataset_description.json")["DatasetType"] == "derivative"
    names = {path.name for path in folder.rglob("*.gii")}
    assert "sub-01_ses-01_task-main_run-1_hemi-L_space-fsaverage5_den-occipital0_bold.func.gii" in names
    assert len(names) == 4 * 2 + 3 * 2
    said = read_json(sidecar_path(bold_paths(layout)[0]))
    assert said["RepetitionTime"] == settings.scanner.tr_s
    assert said["Simulated"] is True
    found = read(layout, RunKey("01", "02", "main", 2), hemi="R")
    assert found.data.shape[1] == resolve_subject(layout, sub="01").load_surface("R").n_vertices
    assert found.data.mean() == pytest.approx(800, rel=0.05)


def test_a_sidecar_of_betas_says_how_they_were_made(fitted):
    said = read_json(fitted["L"].with_name("sub-01_hemi-L_betas.json"))
    assert said["parameters"]["source"] == "simulated"
    assert set(said["ConditionNumbers"]) == {"01", "02"}
    assert 1 < said["ConditionNumbers"]["01"] < 100
    assert {"ses-01_run-1_bold", "ses-02_run-2_events", "ses-02_run-2_log"} <= set(said["inputs"])


def test_lost_pulses_stop_the_glm(logged, simulated, tmp_path):
    layout, settings = logged
    shutil.copytree(layout.root, tmp_path / "study", ignore=shutil.ignore_patterns("glm"))
    copy = Layout(tmp_path / "study")
    path = copy.events_sidecar(RunKey("01", "02", "main", 2))
    said = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**said, "n_pulses": said["n_pulses"] - 1}, overwrite=True)
    with pytest.raises(AnalysisError, match="sub-01 ses-02 task-main run-2 hemi-L: .* volumes but .* logged pulses"):
        run("glm", copy, settings)
    write_json(path, {**said, "RunComplete": False}, overwrite=True)
    with pytest.raises(AnalysisError, match="a run that was not played to its end"):
        run("glm", copy, settings)


@pytest.fixture(scope="module")
def patch():
    return occipital_patch(load_fsaverage5()["L"], subdivisions=0)


def test_smooth_maps_have_unit_variance_and_the_kernels_correlation(patch):
    maps = smooth_maps(4000, kernel=smoother(patch, sd_mm=4.0), rng=np.random.default_rng(0))
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps.var(axis=0), 1.0, atol=0.15)
    a, b = patch.edges.T
    near = np.array([np.corrcoef(maps[:, v], maps[:, w])[0, 1] for v, w in zip(a[:50], b[:50], strict=True)])
    assert near.mean() > 0.6
    corner = np.argmax(np.linalg.norm(patch.flat - patch.flat[0], axis=1))
    assert abs(np.corrcoef(maps[:, 0], maps[:, corner])[0, 1]) < 0.1


@pytest.mark.parametrize("ar1", [0.0, 0.3, 0.8])
def test_noise_is_autocorrelated_and_stationary(patch, ar1):
    noise = autocorrelated_noise(400, kernel=smoother(patch, sd_mm=1.0), ar1=ar1, rng=np.random.default_rng(1))
    assert noise.dtype == np.float32
    assert (noise[1:] * noise[:-1]).mean() == pytest.approx(ar1, abs=0.02)
    assert noise[0].var() == pytest.approx(1.0, abs=0.15)
    assert noise[-1].var() == pytest.approx(1.0, abs=0.15)


def test_drifts_are_slow_and_centred(patch):
    kernel = smoother(patch, sd_mm=1.0)
    slow = drifts(278, tr_s=2.0, kernel=kernel, rng=np.random.default_rng(2))
    assert np.abs(slow.mean(axis=0)).max() < 1e-4
    assert slow.var() == pytest.approx(1.0, abs=0.2)
    power = np.square(np.abs(np.fft.rfft(slow * np.hanning(278)[:, None], axis=0))).sum(axis=1)
    fast = np.fft.rfftfreq(278, 2.0) > 1 / 120
    assert power[fast].sum() < 0.03 * power.sum()


MODEL = NoiseModel(local_sd_pct=1.483, smooth_sd_pct=1.095, global_sd_pct=0.775, ar1=0.3, drift_sd_pct=0.0,
                   spikes=0.0, spike_pct=2.0)


def test_noise_has_the_size_and_the_shares_asked_for(patch):
    """Vertices far apart share what is global; neighbours what is smooth as well; sizes add up."""
    kernel = smoother(patch, sd_mm=2.0)
    runs = [make_noise(draw_nuisances(300, model=MODEL, tr_s=2.0, rng=np.random.default_rng(k)), model=MODEL, tr_s=2.0,
                       kernel=kernel, rng=np.random.default_rng(100 + k)) for k in range(12)]
    noise = np.concatenate(runs)
    assert noise.std() == pytest.approx(2.0, rel=0.05)
    far = np.argsort(np.linalg.norm(patch.flat - patch.flat[0], axis=1))[::-1][:40]
    apart = np.mean([np.corrcoef(noise[:, 0], noise[:, v])[0, 1] for v in far])
    assert 0.02 < apart < 0.15
    a, b = patch.edges.T
    near = np.mean([np.corrcoef(noise[:, v], noise[:, w])[0, 1] for v, w in zip(a[:60], b[:60], strict=True)])
    assert near > apart + 0.05


def test_sudden_movements_jump_and_settle(patch):
    model = replace(MODEL, local_sd_pct=0.0, smooth_sd_pct=0.0, global_sd_pct=0.0, spikes=3.0)
    drawn = draw_nuisances(200, model=model, tr_s=2.0, rng=np.random.default_rng(3))
    found = make_noise(drawn, model=model, tr_s=2.0, kernel=smoother(patch, sd_mm=1.0), rng=np.random.default_rng(4))
    at = np.flatnonzero(drawn.spikes[:, 0] == 1.0)[0]
    assert np.abs(drawn.spikes[at + 1, 0]) == 0.5
    assert found[at].std() > 1.0
    assert not found[: min(np.flatnonzero(column)[0] for column in drawn.spikes.T)].any()


def test_truth_is_silent_outside_the_regions_and_tuned_within(patch):
    labels = schematic_regions(patch)
    rng = np.random.default_rng(6)
    scores = {roi: see("paper", rng.standard_normal((6, 3)), rng=rng) for roi in ROIS}
    names = tuple("abcdef")
    truth = draw_truth(scores, base_images=names, labels=labels, kernel=smoother(patch, sd_mm=2.5), signal_pct=2.0,
                       tuning_sd_pct=0.6, rng=rng)
    for values in truth.responses.values():
        assert not values[:, labels == 0].any()
        assert (np.ptp(values[:, labels > 0], axis=0) > 0).all()
        assert values[:, labels > 0].mean() == pytest.approx(2.0, rel=0.15)


def test_a_base_image_without_a_true_response_is_refused():
    truth = Truth(("a-01",), {kind: np.ones((1, 2), np.float32) for kind in TYPES})
    assert truth.response("AN", "a-01").tolist() == [1, 1]
    with pytest.raises(AnalysisError, match="base image 'b-01'; expected base images of the manifest"):
        truth.response("AN", "b-01")


def test_truth_with_one_row_missing_is_refused():
    with pytest.raises(AnalysisError, match="1 rows of AN; expected 2, one a base image"):
        Truth(("a", "b"), {"RE": np.zeros((2, 3), np.float32), "AN": np.zeros((1, 3), np.float32)})


def test_no_truth_no_file(tmp_path):
    with pytest.raises(AnalysisError, match="no such file; expected true responses of a virtual subject"):
        load_truth(tmp_path / "truth.h5", hemi="L")


def test_the_sampling_of_a_logged_run(logged):
    layout, settings = logged
    said = read_json(layout.events_sidecar(RunKey("01", "01", "main", 1)))
    assert Sampling(n_volumes=said["n_pulses"], tr_s=settings.scanner.tr_s).minutes == pytest.approx(
        (40 + 4 * (5 * 3 * 2 + 9)) / 60)


# ------------------------------------------------------------------ betas that are out of date

def test_betas_that_fit_the_study_are_current(logged, fitted):
    layout, settings = logged
    require_made("glm", ask(layout, settings), digests=Digests(verify=False))


def test_betas_of_other_settings_or_files_are_refused(logged, fitted, tmp_path):
    layout, settings = logged
    for changed in ({"glm": {"drift_minutes": 9.0}}, {"main": {"discard_s": 8.0}}):
        sections = {name: getattr(settings, name).model_copy(update=values) for name, values in changed.items()}
        with pytest.raises(AnalysisError, match=r"betas of other files or settings.*python -m analysis glm"):
            require_made("glm", ask(layout, settings.model_copy(update=sections)), digests=Digests(verify=False))
    copy = Layout(tmp_path / "study")
    shutil.copytree(layout.root, copy.root)
    for path, old, new in ((simulated_sidecar(copy), '"StartTime": 1.0', '"StartTime": 0.0'),
                           (copy.events(RunKey("01", "01", "main", 1)), "\t", "\t")):
        require_made("glm", ask(copy, settings), digests=Digests(verify=False))
        before = path.read_text(encoding="utf-8")
        assert old in before
        path.write_text(before.replace(old, new, 1) + ("" if old != new else "\n"), encoding="utf-8")
        with pytest.raises(AnalysisError):
            require_made("glm", ask(copy, settings), digests=Digests(verify=False))
        path.write_text(before, encoding="utf-8")


def simulated_sidecar(layout: Layout) -> Path:
    return sorted((layout.derivatives("simulated")).rglob("*hemi-R*bold*.json"))[0]


def test_a_hemisphere_that_cannot_be_fitted_leaves_the_other_alone(logged, fitted, tmp_path):
    layout, settings = logged
    copy = Layout(tmp_path / "study")
    shutil.copytree(layout.root, copy.root)
    settings = settings.model_copy(update={"glm": settings.glm.model_copy(update={"drift_minutes": 9.0})})
    broken = sorted(copy.derivatives("simulated").rglob("*hemi-R*bold.func.gii"))[0]
    broken.write_bytes(b"no image")
    before = {path: path.stat().st_mtime_ns for path in copy.derivatives("glm").rglob("*") if path.is_file()}
    with pytest.raises(AnalysisError):
        run("glm", copy, settings)
    assert {path: path.stat().st_mtime_ns for path in copy.derivatives("glm").rglob("*") if path.is_file()} == before


def test_betas_from_elsewhere_are_taken_and_said_to_be(logged, fitted, tmp_path, caplog):
    layout, settings = logged
    copy = Layout(tmp_path / "study")
    shutil.copytree(layout.root, copy.root)
    for path in copy.derivatives("glm").rglob("*betas.json"):
        path.unlink()
    require_made("glm", ask(copy, settings), digests=Digests(verify=False))
    assert "betas without a sidecar, from elsewhere" in caplog.text
