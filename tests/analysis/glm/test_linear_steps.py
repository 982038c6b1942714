"""Least squares and AR(1) as steps: files, maps, what is made again and what is not."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pytest

from analysis.glm.betas import load_betas
from analysis.glm.combining import betas_paths
from analysis.glm.linear import session as linear_steps
from analysis.glm.linear.contrasts import noise_ceiling
from analysis.glm.linear.files import load_fits
from analysis.glm.linear.formula import parse
from analysis.glm.linear.maps import WHITE, fixed_effects
from analysis.running import run_step
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import digest_file
from subjects.settings.study import Settings
from subjects.store import read_json, read_table
from tests.analysis.running_steps import ask, run
from tests.analysis.simulation.test_bold import make_study


def with_glm(settings: Settings, **glm: Any) -> Settings:
    return settings.model_copy(update={"glm": settings.glm.model_copy(update=glm)})


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings]:
    layout, settings = make_study(tmp_path_factory.mktemp("linear") / "study")
    run("simulate", layout, settings)
    return layout, settings


def copied(layout: Layout, place: Path) -> Layout:
    return Layout(shutil.copytree(layout.root, place, ignore=shutil.ignore_patterns("glm")))


@pytest.fixture(scope="module")
def fitted(simulated, tmp_path_factory) -> tuple[Layout, Settings]:
    layout = copied(simulated[0], tmp_path_factory.mktemp("ar1") / "study")
    settings = with_glm(simulated[1], model="ar1", contrasts=("RE + AI > blank", "RE > AN"))
    run("glm", layout, settings)
    return layout, settings


def fit_path(layout: Layout, hemi: str, ses: str | None = "01") -> Path:
    middle = f"_ses-{ses}" if ses else ""
    return layout.derivatives("glm") / "sub-01" / f"sub-01{middle}_hemi-{hemi}_fit.h5"


def maps_of(layout: Layout, hemi: str, what: str) -> tuple[nib.GiftiImage, dict[str, Any]]:
    image = nib.load(layout.derivatives("glm") / "sub-01" / f"sub-01_hemi-{hemi}_desc-{what}_maps.func.gii")
    return image, {one.meta["Name"]: one for one in image.darrays}


def digests(layout: Layout) -> dict[str, str]:
    folder = layout.derivatives("glm") / "sub-01"
    return {path.name: digest_file(path, verify=True) for path in sorted(folder.iterdir()) if path.suffix != ".json"}


def test_betas_have_errors_labels_and_digests_of_what_they_are_from(fitted):
    layout, _ = fitted
    path = betas_paths(layout, sub="01")["L"]
    betas = load_betas(path, errors=True)
    parts = [load_fits(fit_path(layout, "L", ses))[0] for ses in ("01", "02")]
    for part, ses in zip(parts, ("01", "02"), strict=True):
        rows = betas.conditions.query(f"session == '{ses}'").index
        np.testing.assert_array_equal(betas.values[rows], part.percent)
        np.testing.assert_array_equal(betas.errors[rows], part.errors)
    assert load_betas(path).errors is None
    with h5py.File(path) as file:
        assert (file.attrs["format_version"], file["values"].dtype) == (1, np.float32)
        said = json.loads(file.attrs["inputs"])
    bold = next(layout.derivatives("simulated").rglob("*ses-02*task-main_run-1_hemi-L*_bold.func.gii"))
    assert said["ses-02_run-1_bold"] == digest_file(bold)


def test_every_run_by_itself_is_kept_and_averages_to_the_whole(fitted):
    part, = load_fits(fit_path(fitted[0], "R"))
    assert part.run_names == ("ses-01_run-1", "ses-01_run-2")
    assert part.run_percent.shape == (2, *part.percent.shape)
    known = np.isfinite(part.percent[0])
    mean = part.run_percent[:, :, known].mean(axis=0)
    assert np.corrcoef(mean.ravel(), part.percent[:, known].ravel())[0, 1] > 0.9
    assert load_fits(fit_path(fitted[0], "R"), own_runs=False)[0].run_percent.shape[0] == 0


def test_maps_are_what_the_fits_say_under_names_that_workbench_shows(fitted):
    """Freeview reads intent NONE; the statistic stands in the metadata."""
    layout, settings = fitted
    fits = [load_fits(fit_path(layout, "L", ses))[0] for ses in ("01", "02")]
    image, found = maps_of(layout, "L", "contrasts")
    assert image.meta["AnatomicalStructurePrimary"] == "CortexLeft"
    assert {one.intent for one in image.darrays} == {nib.nifti1.intent_codes.code["NIFTI_INTENT_NONE"]}
    assert list(found) == [f"{text}: {what}" for text in settings.glm.contrasts for what in ("percent", "t", "z", "p")]
    expected = fixed_effects(parse("RE > AN"), fits, where="")
    for what, values in (("percent", expected.effect), ("t", expected.t), ("z", expected.z), ("p", expected.p)):
        np.testing.assert_allclose(found[f"RE > AN: {what}"].data, values, rtol=1e-5, atol=1e-30)
    assert found["RE > AN: t"].meta["Statistic"] == "NIFTI_INTENT_TTEST"
    assert found["RE > AN: t"].meta["DegreesOfFreedom"] == f"{expected.n_df}"
    _, sizes = maps_of(layout, "L", "glm")
    ratio = sizes["ncsnr"].data
    np.testing.assert_allclose(sizes["noise ceiling in percent, mean of 4 repeats"].data,
                               noise_ceiling(ratio, n_repeats=4), rtol=1e-5)
    assert np.nanmax(np.abs(sizes["AR(1) coefficient"].data)) < 1
    table = read_table(layout.derivatives("glm") / "sub-01" / "sub-01_contrasts.tsv")
    row = table.query("contrast == 'RE > AN' and hemi == 'L'").iloc[0]
    share = np.mean(((expected.p < 0.05) & (expected.t > 0))[np.isfinite(expected.t)])
    assert float(row["share_p05_positive"]) == pytest.approx(share, abs=1e-4)


def test_a_second_fit_makes_nothing_and_any_number_of_jobs_gives_the_same_bytes(simulated, fitted, tmp_path):
    layout, settings = fitted
    before = digests(layout)
    assert run("glm", layout, settings).all_reused
    assert digests(layout) == before
    again = copied(simulated[0], tmp_path / "again")
    run("glm", again, settings, n_jobs=3)
    assert digests(again) == before


def test_a_fit_that_was_cut_off_goes_on_with_the_hemisphere_at_which_it_stopped(simulated, tmp_path, monkeypatch):
    layout = copied(simulated[0], tmp_path / "cut")
    settings, really, calls = with_glm(simulated[1], model="ols"), linear_steps.fit_portion, []

    def failing(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return really(*given, **named)

    monkeypatch.setattr(linear_steps, "fit_portion", failing)
    with pytest.raises(KeyboardInterrupt):
        run("glm", layout, settings)
    done = run("glm", layout, settings)
    assert len(calls) == 3 + 2
    assert done.reused == ("sub-01 ses-01 hemi-L fit", "sub-01 ses-01 hemi-R fit")


def test_another_contrast_fits_nothing_again(fitted, tmp_path):
    layout = Layout(shutil.copytree(fitted[0].root, tmp_path / "study"))
    done = run("glm", layout, with_glm(fitted[1], contrasts=("AI > AN",)))
    assert [work.name for work in done.works if work.name not in done.reused] == ["sub-01 maps"]
    assert next(iter(maps_of(layout, "R", "contrasts")[1])) == "AI > AN: percent"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ols", "glmdenoise"])
def test_sessions_together_have_one_blank_and_files_of_no_session(simulated, tmp_path, model):
    layout = copied(simulated[0], tmp_path / "joint")
    few = {"run_bootstraps": 0, "noise_components": 3, "hrf_fit": "assume"}  # draws of two runs differ too much
    apart = copied(simulated[0], tmp_path / "apart")
    run("glm", apart, with_glm(simulated[1], model=model, **few))
    settings = with_glm(simulated[1], model=model, sessions="joint", **few)
    run("glm", layout, settings)
    assert run("glm", layout, settings).all_reused
    together, separate = (load_betas(betas_paths(one, sub="01")["L"], errors=True) for one in (layout, apart))
    blank = together.conditions.query("type == 'blank'")
    assert blank["session"].tolist() == [""]
    assert len(separate.conditions) == len(together.conditions) + 1
    assert together.sessions() == separate.sessions()
    assert together.errors.shape == together.values.shape
    rows = [table.query("type != 'blank'").index for table in (together.conditions, separate.conditions)]
    known = np.isfinite(together.values).all(axis=0) & np.isfinite(separate.values).all(axis=0)
    one, other = together.values[rows[0]][:, known].ravel(), separate.values[rows[1]][:, known].ravel()
    assert np.polyfit(other, one, 1)[0] == pytest.approx(1.0, abs=0.1)
    assert not list((layout.derivatives("glm") / "sub-01").glob("*ses-*"))
    assert not run("glm", layout, with_glm(settings, sessions="separate")).all_reused


def test_least_squares_say_that_their_p_are_too_small(simulated, tmp_path, caplog):
    layout = copied(simulated[0], tmp_path / "ols")
    with caplog.at_level(logging.WARNING):
        run("glm", layout, with_glm(simulated[1], model="ols"))
    assert [one.message for one in caplog.records] == [f"sub-01: {WHITE}"]
    said = read_json(layout.derivatives("glm") / "sub-01" / "sub-01_hemi-L_desc-contrasts_maps.json")
    assert said["Noise"] == "ols"


def test_a_contrast_that_names_nothing_is_told_and_the_betas_stand(fitted, tmp_path):
    layout = Layout(shutil.copytree(fitted[0].root, tmp_path / "study"))
    wrong = with_glm(fitted[1], contrasts=("RE > rocks",))
    with pytest.raises(AnalysisError, match=r"sub-01: 'rocks' in the contrast 'RE > rocks'"):
        run_step("glm", ask(layout, wrong))
    assert load_betas(betas_paths(layout, sub="01")["L"]).values.size
