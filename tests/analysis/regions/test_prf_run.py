"""The step ``prf``: from a study on disk to maps; what is missing or does not fit is named, nothing is made twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from analysis.data.gifti import read_timeseries, write_timeseries
from analysis.data.sources import resolve_subject
from analysis.data.timeseries import read_run
from analysis.glm.design import Sampling
from analysis.regions.prf.blocks import Plan, fit_blocks
from analysis.regions.prf.design import Experiment
from analysis.regions.prf.design import Run as PrfRun
from analysis.regions.prf.fit import cross_validate, fit_prf
from analysis.regions.prf.maps import MAPS, PrfMaps, load_maps, summarise
from analysis.regions.prf.records import Options
from analysis.regions.prf.run import choose_folds, choose_vertices, in_percent, maps_paths
from analysis.regions.prf.stimulus import make_stimulus
from analysis.running import run_step
from analysis.simulation.truth_file import load_areas, load_fields
from paradigms.tasks.retinotopy import make_schedule as plan_retinotopy
from stimuli.apertures import read_volume_masks
from subjects.cli import silent
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.analysis import PrfSettings
from subjects.settings.study import Settings
from subjects.store import read_json, read_table, write_json
from tests.analysis.regions.prf_cases import random_fields, small_experiment
from tests.analysis.running_steps import ask, run
from tests.analysis.simulation.exact import EXACT
from tests.analysis.simulation.test_bold import make_study
from tests.analysis.simulation.test_paradigms import MAPPING, log_schedule
from tests.paradigms.texture_rows import rows

N = 24
QUICK = {"vertices": "regions", "max_vertices": N, "grid_deg": 0.5}
FITTED = {"x_deg": 0.02, "y_deg": 0.02, "sigma_deg": 0.05}


def changed(settings: Settings, **prf: object) -> Settings:
    return settings.model_copy(update={"prf": PrfSettings(**{**QUICK, **prf})})


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings]:
    """A study of one virtual subject without noise, fitted."""
    layout, settings = make_study(tmp_path_factory.mktemp("prf") / "study")
    for key in MAPPING:
        log_schedule(layout, settings, plan_retinotopy(settings, textures=rows(), key=key))
    exact = settings.model_copy(update={"simulate": settings.simulate.model_copy(update=EXACT)})
    run("simulate", layout, exact)
    settings = changed(settings)
    assert not run("prf", layout, settings).all_reused
    return layout, settings


@pytest.fixture
def copy(mapped: tuple[Layout, Settings], tmp_path: Path) -> Layout:
    return Layout(shutil.copytree(mapped[0].root, tmp_path / "study"))


def shown(layout: Layout, key: RunKey) -> Path:
    return layout.derivative("apertures", sub="01", suffix="apertures.npz", ses=key.ses, task=key.task, run=key.run)


def bold_of(layout: Layout, key: RunKey, *, hemi: str = "L") -> Path:
    return resolve_subject(layout, sub="01", task="retinotopy").require_bold(key, hemi=hemi)


def fault(layout: Layout, settings: Settings, **prf: object) -> str:
    with pytest.raises(AnalysisError) as error:
        run("prf", layout, changed(settings, **prf))
    return str(error.value)


def test_the_planted_map_comes_back(mapped: tuple[Layout, Settings]) -> None:
    layout, _ = mapped
    there = layout.derivative("simulated", sub="01", suffix="truth.h5")
    for hemi, path in maps_paths(layout, sub="01").items():
        maps, truth = load_maps(path), load_fields(there, hemi=hemi)
        early = load_areas(there, hemi=hemi).areas <= 4
        seen = maps.shown(r2_pct=90) & early & (np.hypot(truth.x_deg, truth.y_deg) > 0.5)
        assert seen.sum() >= 8
        off = np.hypot(maps.fit.x_deg - truth.x_deg, maps.fit.y_deg - truth.y_deg)[seen]
        assert np.median(off) < 0.2
        assert np.mean(np.sign(maps.fit.x_deg[seen])) * (1 if hemi == "L" else -1) > 0.5, "the other side of the field"


def test_the_step_fits_what_the_core_fits(mapped: tuple[Layout, Settings]) -> None:
    """The same vertices by hand: files, percent, discards and polynomials, without the step's own code."""
    layout, _ = mapped
    found = load_maps(maps_paths(layout, sub="01")["L"])
    some = np.flatnonzero(np.isfinite(found.fit.r2))
    assert len(some) == N
    data = [read_run(resolve_subject(layout, sub="01", task="retinotopy"), key, hemi="L", tr_s=2.0).data[7:, some]
            for key in MAPPING]
    data = [(100 * one / one.mean(axis=0)).astype(np.float32) for one in data]
    movies = [read_volume_masks(shown(layout, key)) for key in MAPPING]
    stimulus = make_stimulus([one.masks for one in movies], x_deg=movies[0].x_deg, y_deg=movies[0].y_deg)
    sampled = PrfRun(sampling=Sampling(n_volumes=150, tr_s=2.0, n_discarded=7), degree=2)
    by_hand = fit_prf(data, experiment=Experiment(stimulus=stimulus, runs=(sampled,) * 5, frame_s=2.0))
    far = np.hypot(found.fit.x_deg[some] - by_hand.x_deg, found.fit.y_deg[some] - by_hand.y_deg)
    assert np.median(far) < 0.05, "the step averages the apertures to points half a degree apart"
    assert found.fit.r2[some] == pytest.approx(by_hand.r2, abs=1.5)
    assert found.fit.gain[some] == pytest.approx(by_hand.gain, rel=0.2)


def test_files_hold_the_same_maps_and_say_what_they_are(mapped: tuple[Layout, Settings]) -> None:
    layout, _ = mapped
    path = maps_paths(layout, sub="01")["R"]
    maps, image = load_maps(path), nib.load(path.with_name(path.name.replace(".h5", ".func.gii")))
    assert [one.meta["Name"] for one in image.darrays] == list(MAPS)
    for one in image.darrays:
        np.testing.assert_array_equal(one.data, maps.by_name[one.meta["Name"]].astype(np.float32))
    assert image.meta["AnatomicalStructurePrimary"] == "CortexRight"
    said = read_json(sidecar_path(path))
    assert set(said["Maps"]) == set(MAPS)
    assert said["VerticesFitted"] == N
    assert said["parameters"]["model"] == "css"
    assert not list(path.parent.glob("*.mgz")), "the patch is no mesh of FreeSurfer's"
    assert not list(path.parent.glob(".*")), "kept blocks are removed"


def test_the_table_sums_up_regions(mapped: tuple[Layout, Settings]) -> None:
    layout, _ = mapped
    table = read_table(layout.derivative("prf", sub="01", suffix="prf.tsv"))
    every = table[table["region"] == "all"].set_index("hemi")
    maps = load_maps(maps_paths(layout, sub="01")["L"])
    seen = maps.shown(r2_pct=10)
    assert every.loc["L", "n_fitted"] == N
    assert every.loc["L", "n_shown"] == seen.sum()
    assert every.loc["L", "median_size_deg"] == pytest.approx(np.median(maps.fit.size_deg[seen]), abs=1e-4)
    assert list(table["region"].unique()) == ["all", "V1", "V2", "V3", "V4", "LO"]


def test_nothing_is_made_twice_and_what_changed_is_made_again(mapped: tuple[Layout, Settings], copy: Layout) -> None:
    _, settings = mapped
    assert run("prf", copy, settings).all_reused
    assert run("prf", copy, changed(settings, block_vertices=7)).all_reused
    assert not run("prf", copy, changed(settings, model="gaussian")).all_reused
    maps = load_maps(maps_paths(copy, sub="01")["L"])
    assert set(maps.fit.exponent[np.isfinite(maps.fit.r2)]) == {1.0}


def test_maps_of_a_freesurfer_mesh_are_written_as_mgz(mapped: tuple[Layout, Settings], copy: Layout) -> None:
    _, settings = mapped
    for path in copy.derivatives("simulated").rglob("*_bold.func.gii"):
        target = copy.root / "derivatives/fmriprep" / path.relative_to(copy.derivatives("simulated"))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target.with_name(path.name.replace("_space-fsaverage5_den-occipital0", "_space-fsnative")))
    real = settings.model_copy(update={"analysis": settings.analysis.model_copy(update={"bold": "fmriprep"}),
                                       "prf": PrfSettings(max_vertices=4, grid_deg=1.0)})
    done = run("prf", copy, real)
    (work,) = done.works
    angle = work.companions["MgzL_angle_deg"]
    maps = load_maps(maps_paths(copy, sub="01")["L"])
    assert angle.name == "sub-01_hemi-L_desc-angledeg_prf.mgz"
    np.testing.assert_array_equal(nib.load(angle).get_fdata()[:, 0, 0],
                                  np.nan_to_num(maps.fit.angle_deg).astype(np.float32))
    assert run("prf", copy, real).all_reused
    angle.write_bytes(b"changed")
    assert not run("prf", copy, real).all_reused


def test_a_movie_that_is_missing_short_or_of_another_tr_is_named(mapped: tuple[Layout, Settings], copy: Layout) -> None:
    _, settings = mapped
    path = shown(copy, MAPPING[2])
    with np.load(path) as file:
        whole = dict(file)
    np.savez(path, **{**whole, "masks": whole["masks"][:-20]})
    assert "apertures that were changed after they were exported" in fault(copy, settings)
    kept = sidecar_path(path).read_bytes()
    for key in MAPPING:
        sidecar_path(shown(copy, key)).unlink()  # from elsewhere, then, where nothing says what they should be
    assert "a movie of 260 s for a run of 300 s; expected apertures until the last volume" in fault(copy, settings)
    np.savez(path, **{**whole, "tr_s": 1.5})
    assert "another grid, field or frame length" in fault(copy, settings)
    for key in MAPPING:
        with np.load(shown(copy, key)) as file:
            arrays = dict(file)
        np.savez(shown(copy, key), **{**arrays, "masks": whole["masks"], "tr_s": 2.5})
    assert "apertures of a TR of 2.5 s; expected 2 s, the TR of the time series" in fault(copy, settings)
    path.unlink()
    sidecar_path(path).write_bytes(kept)
    with pytest.raises(AnalysisError, match=r"run-0?3_apertures\.npz: no such file.*--repeat"):
        run("prf", copy, settings)


def test_apertures_of_ones_own_give_the_same_map(mapped: tuple[Layout, Settings], copy: Layout) -> None:
    layout, settings = mapped
    for key in MAPPING:
        masks = read_volume_masks(shown(copy, key)).masks
        np.savez(copy.root / f"own_{key.ses}_{key.run}.npz", movie=masks, other=np.zeros(3))
    own = {"apertures": "own_{ses}_{run}.npz"}
    assert "apertures in pixels; expected how many degrees they fill" in fault(copy, settings, **own)
    run("prf", copy, changed(settings, **own, aperture_width_deg=12.0))
    for hemi in ("L", "R"):
        here, there = (load_maps(maps_paths(one, sub="01")[hemi]).fit for one in (copy, layout))
        inside = np.hypot(there.x_deg, there.y_deg) < 6
        np.testing.assert_allclose(here.x_deg[inside], there.x_deg[inside], atol=0.02)
        np.testing.assert_allclose(here.r2, there.r2, atol=0.2)
    assert "expected a path with {sub}, {ses} and {run} alone" in fault(copy, settings, apertures="{nobody}.npz")


def rewrite(layout: Layout, data: np.ndarray, *, key: RunKey) -> None:
    """Put other data in the place of a simulated run's, and say of them that they were made so."""
    path = bold_of(layout, key)
    said = read_json(sidecar_path(path))
    write_timeseries(path, data, hemi="L", tr_s=2.0, overwrite=True)
    from subjects.provenance import digest_file
    from subjects.store import write_json
    write_json(sidecar_path(path), {**said, "digest": digest_file(path)}, overwrite=True)


def test_vertices_with_missing_values_are_named_and_silent_ones_are_left_out(mapped: tuple[Layout, Settings],
                                                                          copy: Layout) -> None:
    _, settings = mapped
    data = read_timeseries(bold_of(copy, MAPPING[1])).copy()
    some = np.flatnonzero(np.isfinite(load_maps(maps_paths(copy, sub="01")["L"]).fit.r2))
    silent_one = data.copy()
    silent_one[:, some[3]] = 0
    rewrite(copy, silent_one, key=MAPPING[1])
    run("prf", copy, settings)
    maps = load_maps(maps_paths(copy, sub="01")["L"])
    assert np.isnan(maps.fit.r2[some[3]])
    assert maps.mean_signal[some[3]] == 0
    assert np.isfinite(maps.fit.r2).sum() == N, "another one is fitted in its place"
    data[5, some[3]] = np.nan
    rewrite(copy, data, key=MAPPING[1])
    assert f"vertex {some[3]} with values that are not finite" in fault(copy, settings)


def test_data_without_their_mean_are_refused(mapped: tuple[Layout, Settings], copy: Layout) -> None:
    _, settings = mapped
    data = read_timeseries(bold_of(copy, MAPPING[0]))
    rewrite(copy, data - data.mean(axis=0) + np.random.default_rng(0).normal(size=data.shape).astype(np.float32),
            key=MAPPING[0])
    assert "time series without their mean; expected time series in scanner units" in fault(copy, settings)


def test_uncounted_pulses_need_consent(mapped: tuple[Layout, Settings], copy: Layout,
                                       caplog: pytest.LogCaptureFixture) -> None:
    settings, told = changed(mapped[1], grid_deg=0.6), copy.events_sidecar(MAPPING[0])
    write_json(told, {**read_json(told), "n_pulses": None}, overwrite=True)
    with pytest.raises(AnalysisError, match=f"events sidecar of {MAPPING[0]}: no n_pulses"):
        run("prf", copy, settings)
    chosen = settings.analysis.model_copy(update={"accept": ("uncounted pulses",)})
    run("prf", copy, settings.model_copy(update={"analysis": chosen}))
    assert f"{MAPPING[0]}: pulses were not counted" in caplog.text


def test_a_subject_without_retinotopy_is_told_how_to_get_it(copy: Layout, mapped: tuple[Layout, Settings]) -> None:
    for path in copy.root.glob("sub-01/ses-*/func/*task-retinotopy*"):
        path.unlink()
    said = fault(copy, mapped[1])
    assert "no events tables of task retinotopy" in said
    assert "--task retinotopy" in said


def test_cross_validation_is_the_cores(mapped: tuple[Layout, Settings], copy: Layout) -> None:
    _, settings = mapped
    run("prf", copy, changed(settings, cross_validation="sessions", max_vertices=6))
    maps = load_maps(maps_paths(copy, sub="01")["L"])
    fitted = np.isfinite(maps.fit.r2)
    assert np.isfinite(maps.r2_cv[fitted]).all()
    assert (maps.r2_cv[fitted] < maps.fit.r2[fitted]).all()
    assert np.isnan(maps.r2_cv[~fitted]).all()


def test_folds_leave_out_whole_runs_or_sessions() -> None:
    keys = [RunKey("01", "01", "retinotopy", 1), RunKey("01", "01", "retinotopy", 1, part=2),
            RunKey("01", "02", "retinotopy", 1)]
    assert choose_folds(keys, by="runs") == ((0, 1), (2,)), "a run's parts are left out together"
    assert choose_folds(keys, by="sessions") == ((0, 1), (2,))
    with pytest.raises(AnalysisError, match="sessions, of which there is one"):
        choose_folds(keys[:2], by="sessions")


def test_percent_is_of_each_runs_own_mean() -> None:
    series = np.array([[90.0, 5.0, 0.0], [110.0, 5.0, 0.0]], dtype=np.float32)
    (first, second), mean = in_percent([series, 3 * series], where="here")
    np.testing.assert_allclose(first[:, 0], [90, 110])
    np.testing.assert_allclose(second[:, 0], [90, 110])
    assert mean.tolist() == [200.0, 0.0, 0.0]
    assert not first[:, 1:].any(), "constant or silent: no signal"


def test_vertices_are_chosen() -> None:
    mean, labels = np.array([1.0, 0, 1, 1, 1]), np.array([0, 1, 1, 2, 0], dtype=np.int16)
    assert choose_vertices(mean, labels=None, settings=PrfSettings(), where="").tolist() == [0, 2, 3, 4]
    inside = PrfSettings(vertices="regions")
    assert choose_vertices(mean, labels=labels, settings=inside, where="").tolist() == [2, 3]
    assert choose_vertices(mean, labels=labels, settings=PrfSettings(max_vertices=2), where="").tolist() == [0, 4]
    with pytest.raises(AnalysisError, match="no region labels"):
        choose_vertices(mean, labels=None, settings=inside, where="")
    with pytest.raises(AnalysisError, match="4 labels for 5 vertices"):
        choose_vertices(mean, labels=labels[1:], settings=inside, where="")


@pytest.fixture(scope="module")
def small() -> tuple[list[np.ndarray], Experiment]:
    from analysis.regions.prf.fit import predict_prf

    experiment = small_experiment()
    experiment = Experiment(stimulus=make_stimulus([experiment.stimulus.frames[order] * (order >= 0)[:, None, None]
                                                    for order in experiment.stimulus.order * 2],
                                                   x_deg=experiment.stimulus.x_deg, y_deg=experiment.stimulus.y_deg),
                            runs=experiment.runs * 2, frame_s=experiment.frame_s)
    rng = np.random.default_rng(2)
    clean = predict_prf(random_fields(10, rng=rng), experiment=experiment)
    return [(100 + one + rng.normal(size=one.shape)).astype(np.float32) for one in clean], experiment


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_blocks_and_jobs_give_the_same_numbers(small: tuple[list[np.ndarray], Experiment], tmp_path: Path,
                                               n_jobs: int) -> None:
    data, experiment = small
    plan = Plan(experiment=experiment, options=Options(), folds=((0,), (1,)), folder=tmp_path, n_jobs=n_jobs,
                block_vertices=3)
    fit, r2_cv = fit_blocks(data, plan=plan, label="blocks", progress=silent)
    whole = fit_prf(data, experiment=experiment)
    np.testing.assert_allclose(fit.table[:2], whole.table[:2], atol=5e-3)
    np.testing.assert_allclose(fit.r2, whole.r2, atol=1e-3)
    np.testing.assert_allclose(r2_cv, cross_validate(data, experiment=experiment).r2, atol=0.05)
    apart = [fit_prf([run[:, start:start + 3] for run in data], experiment=experiment).table for start in (0, 3, 6, 9)]
    np.testing.assert_allclose(fit.table, np.concatenate(apart, axis=1), rtol=1e-9)
    assert len(list(tmp_path.glob("*.npy"))) == 4


def test_an_interrupted_fit_goes_on_with_the_blocks_that_are_missing(small: tuple[list[np.ndarray], Experiment],
                                                                     tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    data, experiment = small
    plan = Plan(experiment=experiment, options=Options(), folds=(), folder=tmp_path, block_vertices=3)
    fit, _ = fit_blocks(data, plan=plan, label="blocks", progress=silent)
    made: list[int] = []

    def counted(part: list[np.ndarray], **asked: object) -> object:
        made.append(part[0].shape[1])
        return fit_prf(part, **asked)

    monkeypatch.setattr("analysis.regions.prf.blocks.fit_prf", counted)
    again, _ = fit_blocks(data, plan=plan, label="blocks", progress=silent)
    np.testing.assert_array_equal(again.table, fit.table)
    assert made == []
    sorted(tmp_path.glob("*.npy"))[1].unlink()
    again, _ = fit_blocks(data, plan=plan, label="blocks", progress=silent)
    np.testing.assert_array_equal(again.table, fit.table)
    assert len(made) == 1
    data = [data[0], data[1] + np.float32(0.5) * (np.arange(10) == 9)]
    data[1][0, 9] += 1
    fit_blocks(data, plan=plan, label="blocks", progress=silent)
    assert made[1:] == [1], "only the block whose data changed"
    other = Plan(experiment=experiment, options=Options(exponent=1.0), folds=(), folder=tmp_path, block_vertices=3)
    fit_blocks(data, plan=other, label="blocks", progress=silent)
    assert len(made) == 6, "another model"


def test_the_line_of_size_over_eccentricity() -> None:
    from tests.analysis.regions.prf_cases import made_fit

    x = np.linspace(0.5, 4, 30)
    fit = made_fit(x=x, y=np.zeros(30), sigma=0.2 + 0.3 * x, exponent=np.ones(30))
    maps = PrfMaps(hemi="L", fit=fit, r2_cv=np.full(30, np.nan), mean_signal=np.ones(30), field_deg=(12.0, 12.0))
    (row,) = summarise(maps, sub="01", labels=None, r2_pct=10.0)
    assert (row["size_slope"], row["size_at_2_deg"]) == pytest.approx((0.3, 0.8))
    outside = PrfMaps(hemi="L", fit=fit, r2_cv=maps.r2_cv, mean_signal=maps.mean_signal, field_deg=(4.0, 4.0))
    assert outside.shown(r2_pct=10).sum() == (x <= 2).sum(), "a centre outside the field is not shown"


def test_a_step_that_is_killed_leaves_older_files(mapped: tuple[Layout, Settings], copy: Layout,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    _, settings = mapped
    path = maps_paths(copy, sub="01")["L"]
    before = path.read_bytes()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("analysis.regions.prf.blocks.fit_prf", killed)
    with pytest.raises(KeyboardInterrupt):
        run_step("prf", ask(copy, changed(settings, model="gaussian")))
    assert path.read_bytes() == before
