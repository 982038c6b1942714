"""GLMdenoise as a step: files, halves, what is made again and what is not, and what is said of a session."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from analysis.data.sources import resolve_subject
from analysis.data.timeseries import read_run, read_sessions
from analysis.glm.betas import load_betas
from analysis.glm.combining import betas_paths
from analysis.glm.denoising import session as denoise_steps
from analysis.glm.denoising.denoise import denoise
from analysis.glm.denoising.experiment import DenoiseOptions, Experiment
from analysis.glm.denoising.files import PortionNoise, load_noise, load_responses
from analysis.glm.denoising.hrf_estimate import HrfEstimate
from analysis.glm.denoising.model import Nuisance
from analysis.glm.design import Sampling, design_matrix, list_conditions, polynomials
from analysis.glm.hrf import event_response
from analysis.running import run_step
from analysis.steps import Done
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import rng, sidecar_path
from subjects.run_key import RunKey
from subjects.settings.study import Settings
from subjects.store import read_json, write_json
from tests.analysis.running_steps import ask, run
from tests.analysis.simulation.test_bold import make_study

FEW = {"model": "glmdenoise", "run_bootstraps": 20, "noise_components": 5, "hrf_fit": "assume"}


def with_glm(settings: Settings, **glm: Any) -> Settings:
    return settings.model_copy(update={"glm": settings.glm.model_copy(update={**FEW, **glm})})


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings]:
    layout, settings = make_study(tmp_path_factory.mktemp("denoise") / "study")
    run("simulate", layout, settings)
    return layout, settings


@pytest.fixture
def copy(simulated: tuple[Layout, Settings], tmp_path: Path) -> Layout:
    return Layout(shutil.copytree(simulated[0].root, tmp_path / "study", ignore=shutil.ignore_patterns("glm")))


@pytest.fixture(scope="module")
def fitted(simulated: tuple[Layout, Settings], tmp_path_factory: pytest.TempPathFactory) -> Layout:
    root = tmp_path_factory.mktemp("fitted") / "study"
    layout = Layout(shutil.copytree(simulated[0].root, root, ignore=shutil.ignore_patterns("glm")))
    run("glm", layout, with_glm(simulated[1]))
    return layout


def noise_path(layout: Layout, ses: str = "01") -> Path:
    return layout.derivative("glm", sub="01", ses=ses, suffix="denoise.h5")


def responses_path(layout: Layout, hemi: str, ses: str = "01") -> Path:
    return layout.derivatives("glm") / "sub-01" / f"sub-01_ses-{ses}_hemi-{hemi}_responses.h5"


def series(layout: Layout, hemi: str, ses: str = "01", *, n_discarded: int = 9) -> list[np.ndarray]:
    data = resolve_subject(layout, sub="01")
    return [read_run(data, RunKey("01", ses, "main", k), hemi=hemi, tr_s=2.0).data[n_discarded:] for k in (1, 2)]


def test_the_betas_are_those_of_the_core_on_both_hemispheres_together(simulated, fitted):
    """Time courses, drifts and draws put together by hand."""
    layout, settings = fitted, with_glm(simulated[1])
    events = read_sessions(layout, sub="01")["01"]
    conditions = list_conditions({key.run: table for key, table in events.items()}, session="01",
                                 base_images=load_betas(betas_paths(layout, sub="01")["L"]).base_images)
    both = [np.concatenate(pair, axis=1) for pair in zip(series(layout, "L"), series(layout, "R"), strict=True)]
    start_s = read_json(sidecar_path(next(layout.derivatives("simulated").rglob("*main*_bold.func.gii"))))["StartTime"]
    samplings = [Sampling(n_volumes=len(one) + 9, tr_s=2.0, n_discarded=9, start_s=start_s) for one in both]
    designs = [design_matrix(table, conditions=conditions, sampling=sampling)
               for table, sampling in zip(events.values(), samplings, strict=True)]
    degree = round(samplings[0].minutes / 2)
    found = denoise(both, rng=rng(settings.study.seed, "01", "01", "all runs", "run bootstraps"),
                    options=DenoiseOptions(hrf="assume", n_bootstraps=20, n_components=5),
                    experiment=Experiment(onsets=designs, predicted=designs, response=np.ones(1),
                                          nuisance=[Nuisance(polynomials(len(one), degree=degree)) for one in both]))
    noise, = load_noise(noise_path(layout))
    assert noise.n_components == found.n_components
    np.testing.assert_array_equal(np.concatenate([noise.pool[hemi] for hemi in "LR"]), found.pool.mask)
    np.testing.assert_allclose(noise.curve, found.choice.curve, atol=1e-4)
    n_left = both[0].shape[1] - series(layout, "R")[0].shape[1]
    for hemi, part in (("L", slice(0, n_left)), ("R", slice(n_left, None))):
        made, = load_responses(responses_path(layout, hemi))
        np.testing.assert_allclose(made.percent, found.percent[:, part], atol=1e-3)
        np.testing.assert_allclose(made.errors, found.percent_errors[:, part], atol=1e-3)
        betas = load_betas(betas_paths(layout, sub="01")[hemi])
        rows = betas.conditions.query("session == '01'").index
        np.testing.assert_array_equal(betas.values[rows], made.percent)
        assert betas.conditions.loc[rows].reset_index(drop=True).equals(made.conditions)


def test_every_intermediate_is_kept_and_said(fitted):
    for ses in ("01", "02"):
        noise, = load_noise(noise_path(fitted, ses))
        assert set(noise.components) == {1, 2}
        assert len(noise.curve) == 6
        assert noise.n_pool > 50
        said = read_json(sidecar_path(noise_path(fitted, ses)))["Denoising"]["all runs"]
        assert (said["Components"], said["NoisePool"]) == (noise.n_components, noise.n_pool)
        assert said["Remarks"] == list(noise.remarks())
    betas = read_json(sidecar_path(betas_paths(fitted, sub="01")["L"]))
    assert betas["Denoising"]["02, all runs"] == said
    assert betas["parameters"]["model"] == "glmdenoise"


def test_maps_say_hemisphere_intent_and_name(fitted):
    folder = responses_path(fitted, "R").parent
    maps = nib.load(folder / "sub-01_ses-01_hemi-R_desc-denoise_maps.func.gii")
    made, = load_responses(responses_path(fitted, "R"))
    assert maps.meta["AnatomicalStructurePrimary"] == "CortexRight"
    by_name = {one.meta["Name"]: one for one in maps.darrays}
    assert {nib.nifti1.intent_codes.niistring[one.intent] for one in maps.darrays} == {"NIFTI_INTENT_NONE"}
    np.testing.assert_array_equal(by_name["signal over noise, chosen components"].data, made.snr_after)
    total = 100 * (1 - made.ss_residual / made.ss_total)
    np.testing.assert_allclose(by_name["R2 of the fit in percent"].data, total, rtol=1e-5)
    pool = nib.load(folder / "sub-01_ses-01_hemi-R_desc-noisepool_dseg.label.gii")
    noise, = load_noise(noise_path(fitted))
    assert pool.darrays[0].intent == nib.nifti1.intent_codes.code["NIFTI_INTENT_LABEL"]
    np.testing.assert_array_equal(pool.darrays[0].data, noise.pool["R"])
    assert pool.labeltable.get_labels_as_dict()[1] == "noise pool"


def test_a_second_fit_makes_nothing_and_any_number_of_jobs_gives_the_same_bytes(simulated, fitted, copy):
    settings = with_glm(simulated[1])
    assert run("glm", fitted, settings).all_reused
    run_step("glm", ask(copy, settings, n_jobs=3))
    made = sorted(copy.derivatives("glm").glob("sub-01/*.h5"))
    assert len(made) == 2 + 4 + 2
    for path in (*made, *sorted(copy.derivatives("glm").glob("sub-01/*.gii"))):
        assert path.read_bytes() == (fitted.derivatives("glm") / "sub-01" / path.name).read_bytes(), path.name


def test_a_fit_that_is_cut_off_goes_on_where_it_stopped(simulated, copy, monkeypatch):
    settings = with_glm(simulated[1])
    really, left = denoise_steps.fit_responses, [2]

    def until(*given: Any, **more: Any) -> Any:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return really(*given, **more)

    monkeypatch.setattr(denoise_steps, "fit_responses", until)
    with pytest.raises(KeyboardInterrupt):
        run("glm", copy, settings)
    monkeypatch.setattr(denoise_steps, "fit_responses", really)
    assert not betas_paths(copy, sub="01")["L"].exists()
    done = run("glm", copy, settings)
    assert done.reused == ("sub-01 ses-01 noise model", "sub-01 ses-01 hemi-L responses",
                           "sub-01 ses-01 hemi-R responses", "sub-01 ses-02 noise model")


def made(done: Done) -> tuple[str, ...]:
    return tuple(work.name for work in done.works if work.name not in done.reused)


def test_what_a_setting_does_not_touch_is_reused(simulated, fitted, tmp_path):
    layout = Layout(shutil.copytree(fitted.root, tmp_path / "study"))
    more = run("glm", layout, with_glm(simulated[1], run_bootstraps=10))
    assert made(more) == (*(f"sub-01 ses-{ses} hemi-{hemi} responses" for ses in ("01", "02") for hemi in "LR"),
                          "sub-01", "sub-01 maps")
    assert len(made(run("glm", layout, with_glm(simulated[1], noise_components=3)))) == 8
    responses_path(layout, "L", "02").unlink()
    assert made(run("glm", layout, with_glm(simulated[1], noise_components=3))) == ("sub-01 ses-02 hemi-L responses",)


def test_betas_without_their_intermediates_are_current(simulated, fitted, tmp_path):
    from analysis.running import Digests, require_made

    layout = Layout(shutil.copytree(fitted.root, tmp_path / "study"))
    noise_path(layout).unlink()
    works = require_made("glm", ask(layout, with_glm(simulated[1])), digests=Digests(verify=True))
    assert [work.name for work in works] == ["sub-01"]


def test_least_squares_on_request_denoise_nothing(simulated, copy):
    done = run("glm", copy, with_glm(simulated[1], model="ols"))
    assert [work.name for work in done.works if not work.intermediate] == ["sub-01"]
    assert {path.name for path in (copy.derivatives("glm") / "sub-01").iterdir()} == {
        "sub-01_contrasts.tsv",
        *(f"sub-01_hemi-{hemi}_betas.{end}" for hemi in "LR" for end in ("h5", "json")),
        *(f"sub-01_ses-{ses}_hemi-{hemi}_fit.{end}" for ses in ("01", "02") for hemi in "LR" for end in ("h5", "json")),
        *(f"sub-01_hemi-{hemi}_desc-{what}_maps.{end}" for hemi in "LR" for what in ("glm", "contrasts")
          for end in ("func.gii", "json"))}


@pytest.fixture(scope="module")
def shaken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Layout]:
    """Two sessions of four runs; and the same, the even runs shaken, as if it came from another pipeline."""
    root = tmp_path_factory.mktemp("halves")
    first, settings = make_study(root / "first", runs=4)
    run("simulate", first, settings)
    other = Layout(shutil.copytree(first.root, root / "other"))
    for path in other.derivatives("simulated").rglob("*run-[24]*_bold.func.gii"):
        image = nib.load(path)
        for volume, one in enumerate(image.darrays):
            one.data = (one.data * np.float32(1 + 0.02 * np.sin(volume))).astype(np.float32)
        nib.save(image, path)
    for path in other.derivatives("simulated").rglob("*.func.gii"):
        theirs = other.derivatives("fmriprep") / path.relative_to(other.derivatives("simulated"))
        theirs.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, theirs)
        timing = read_json(sidecar_path(path))
        write_json(sidecar_path(theirs), {name: timing[name] for name in ("RepetitionTime", "StartTime")})
    for path in other.derivatives("simulated").rglob("*.json"):
        path.unlink()
    return first, other


@pytest.mark.parametrize("model", ["ols", "glmdenoise"])
def test_halves_of_a_session_know_nothing_of_one_another(simulated, shaken, model):
    first, other = shaken
    for layout in shaken:
        run("glm", layout, with_glm(simulated[1], model=model, partition="runs", run_bootstraps=5))
    one, two = (load_betas(betas_paths(layout, sub="01")["L"]) for layout in (first, other))
    odd, even = ((one.conditions["presentation"] == k).to_numpy() for k in (1, 2))
    np.testing.assert_array_equal(one.values[odd], two.values[odd])
    assert not np.allclose(one.values[even], two.values[even], atol=0.05)
    assert (one.conditions["type"] == "blank").sum() == 2
    if model == "glmdenoise":
        names = [portion.name for portion in load_noise(noise_path(first))]
        assert names == ["odd runs", "even runs"]
        assert not np.array_equal(*(portion.pool["L"] for portion in load_noise(noise_path(first))))


def test_a_response_is_fitted_by_default(simulated, copy):
    run("glm", copy, with_glm(simulated[1], hrf_fit="optimize", run_bootstraps=0))
    noise, = load_noise(noise_path(copy))
    assert noise.hrf.outcome in ("estimated", "seed kept: far from it")
    assert noise.hrf.rounds > 1
    canonical = event_response(noise.times_s, duration_s=2.0, planned_s=2.0)
    np.testing.assert_allclose(noise.hrf.seed, canonical / canonical.max(), atol=1e-9)
    made, = load_responses(responses_path(copy, "L"))
    assert np.isnan(made.errors).all()
    assert np.isfinite(made.percent).all()


def test_a_time_course_for_each_of_many_conditions_is_refused_with_the_way_out(simulated, copy):
    with pytest.raises(AnalysisError, match=r'ses-01: .*; expected runs that GLMdenoise can be fitted to and '
                                            r'cross-validated on. .*glm.model = "ols"'):
        run("glm", copy, with_glm(simulated[1], hrf_fit="fir"))
    assert not list(copy.derivatives("glm").rglob("*.h5"))


def test_a_session_of_one_run_is_refused_with_the_way_out(simulated, copy):
    for ses in ("01", "02"):
        copy.events(RunKey("01", ses, "main", 2)).unlink()
    planned = simulated[1].model_copy(update={"main": simulated[1].main.model_copy(update={"runs": 1})})
    with pytest.raises(AnalysisError, match=r'ses-01: 1 runs; denoising is cross-validated over at least two; .*"ols"'):
        run("glm", copy, with_glm(planned))
    with pytest.raises(AnalysisError, match=r"ses-01: 1 run; expected at least two, for two halves"):
        run("glm", copy, with_glm(planned, partition="runs"))


def plain_noise(**changes: Any) -> PortionNoise:
    response = np.array([0.0, 1.0, 0.5])
    hrf = HrfEstimate(outcome="estimated", response=response, seed=response, estimate=response, r2_seed=93.0, rounds=3)
    return replace(PortionNoise(
        name="all runs", hrf=hrf, times_s=np.arange(3.0), n_components=1, curve=np.array([0.1, 0.9, 0.8]),
        is_fallback=False, components={1: np.zeros((5, 2)), 2: np.zeros((5, 2))}, in_parts=(), missing="",
        not_cross_validated=(), n_conditions=4, is_merged=False, threshold=1.0,
        pool={"L": np.ones(3, bool), "R": np.zeros(2, bool)},
        curve_vertices={"L": np.ones(3, bool), "R": np.ones(2, bool)},
        xval_r2={"L": np.zeros((3, 3), np.float32), "R": np.zeros((3, 2), np.float32)}), **changes)


def test_nothing_is_remarked_where_all_is_well():
    assert plain_noise().remarks() == ()


@pytest.mark.parametrize(("changes", "said"), [
    ({"hrf": HrfEstimate(outcome="seed kept: far from it", response=np.ones(3), seed=np.ones(3), r2_seed=12.2)},
     "the canonical response was kept (far from it, R2 12 %)"),
    ({"hrf": HrfEstimate(outcome="seed kept: no response", response=np.ones(3), seed=np.ones(3))},
     "the canonical response was kept (no response)"),
    ({"pool": {"L": np.zeros(3, bool), "R": np.zeros(2, bool)}}, "the noise pool is empty: nothing was denoised"),
    ({"n_components": 0}, "no number of components improves on none: plain least squares"),
    ({"curve": np.array([0.1, 0.2, 0.3])}, "the curve still rises at 2 components, the most tried"),
    ({"is_fallback": True}, "no vertex has a positive cross-validated R2: the curve is that of the 5 best ones"),
    ({"is_merged": True}, "presentations count as one until the final fit, so that conditions repeat across runs"),
    ({"not_cross_validated": ("RE cat 1", "RE dog 2")},
     "2 of 4 conditions are in one run only and cannot be cross-validated: RE cat 1, RE dog 2"),
    ({"missing": "run 2 lacks 1 condition (blank)"}, "run 2 lacks 1 condition (blank)"),
    ({"in_parts": (3,)}, "run 3 was shown in parts and counts as one run"),
], ids=["hrf", "no response", "pool", "none", "rises", "fallback", "merged", "lone", "missing", "parts"])
def test_each_departure_is_remarked_alone(changes: dict[str, Any], said: str):
    assert plain_noise(**changes).remarks() == (said,)


def test_remarks_are_logged_as_warnings(simulated, copy, caplog):
    with caplog.at_level(logging.WARNING, logger="analysis"):
        run("glm", copy, with_glm(simulated[1], noise_components=0))
    assert [one.getMessage() for one in caplog.records if "ses-02" in one.getMessage()] == [
        f"sub-01 ses-02: {remark}" for remark in load_noise(noise_path(copy, "02"))[0].remarks()] != []
