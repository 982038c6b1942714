"""BOLD of all four paradigms: made from what was logged and shown, found by the readers, and true to its truth."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.data.sources import require_whole, resolve_subject
from analysis.data.timeseries import Run, read_run
from analysis.glm.design import Sampling
from analysis.regions.prf.design import Experiment
from analysis.regions.prf.design import Run as PrfRun
from analysis.regions.prf.fit import fit_prf
from analysis.regions.prf.records import PrfFit
from analysis.regions.prf.stimulus import make_stimulus
from analysis.simulation.brain.fields import Fields
from analysis.simulation.hemodynamics import Shape, event_responses
from analysis.simulation.truth_file import FIELD_NAMES, load_areas, load_fields
from paradigms.runlog import COLUMNS, events_sidecar
from paradigms.schedule import Schedule
from paradigms.tasks.aperture_files import write_masks
from paradigms.tasks.lo_localizer import make_schedule as plan_lo
from paradigms.tasks.motion_localizer import make_schedule as plan_motion
from paradigms.tasks.retinotopy import make_schedule as plan_retinotopy
from paradigms.tasks.shown_apertures import aperture_movie
from stimuli.apertures import read_volume_masks
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.study import Settings
from subjects.store import read_json, write_json, write_table
from tests.analysis.running_steps import run
from tests.analysis.simulation.exact import EXACT, use_the_fitted_response
from tests.analysis.simulation.test_bold import make_study
from tests.paradigms.texture_rows import rows

VARIANTS = ("wedge_ccw", "ring_expand", "bar", "wedge_cw", "ring_contract")
MAPPING = tuple(RunKey("01", ses, "retinotopy", k)
                for ses, k in (("01", 1), ("01", 2), ("01", 3), ("02", 1), ("02", 2)))
LO, MOTION = RunKey("01", "01", "lo", 1), RunKey("01", "02", "motion", 1)
MASK_PX = 41


def log_schedule(layout: Layout, settings: Settings, schedule: Schedule) -> None:
    """Log a run as it was planned; a retinotopic one with its apertures."""
    made = [{"onset": one.onset_s, "duration": one.duration_s, "trial_type": one.trial_type, "image_id": one.image_id,
             "stim_file": one.stim_file, "category": one.category, "onset_planned": one.onset_s}
            for one in schedule.events]
    path = layout.events(schedule.key)
    write_table(path, pd.DataFrame(made, columns=list(COLUMNS)))
    write_json(path.with_suffix(".json"), events_sidecar(schedule, settings, complete=True, attempt=1, levels={},
                                                         watch={"n_pulses": schedule.n_volumes}))
    if schedule.task == "retinotopy":
        npz, nifti = (layout.derivative("apertures", sub="01", suffix=f"apertures.{kind}", ses=schedule.ses,
                                        task=schedule.task, run=schedule.run) for kind in ("npz", "nii.gz"))
        write_masks(npz, aperture_movie(schedule, section=settings.retinotopy, n=MASK_PX), nifti=nifti,
                    schedule=schedule)


@pytest.fixture(scope="module")
def noiseless(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Settings]:
    layout, settings = make_study(tmp_path_factory.mktemp("paradigms") / "study")
    for key, variant in zip(MAPPING, VARIANTS, strict=True):
        assert settings.retinotopy.runs[int(key.ses) - 1][key.run - 1] == variant
        log_schedule(layout, settings, plan_retinotopy(settings, textures=rows(), key=key))
    log_schedule(layout, settings, plan_lo(settings, textures=rows(), key=LO))
    log_schedule(layout, settings, plan_motion(settings, key=MOTION))
    settings = settings.model_copy(update={"simulate": settings.simulate.model_copy(update=EXACT)})
    run("simulate", layout, settings)
    return layout, settings


@pytest.fixture
def copy(noiseless, tmp_path: Path) -> Layout:
    return Layout(shutil.copytree(noiseless[0].root, tmp_path / "study"))


def read(layout: Layout, key: RunKey, *, hemi: str = "L") -> Run:
    return read_run(resolve_subject(layout, sub="01", task=key.task), key, hemi=hemi, tr_s=2.0)


def percent(made: Run) -> np.ndarray:
    return 100 * (made.data / made.data[0] - 1)


def truth_path(layout: Layout) -> Path:
    return layout.derivative("simulated", sub="01", suffix="truth.h5")


@pytest.mark.parametrize(("task", "volumes"), [("main", {98}), ("retinotopy", {150}), ("lo", {168}),
                                               ("motion", {168})])
def test_every_run_of_every_paradigm_has_its_time_series(noiseless, task, volumes):
    layout, _ = noiseless
    found = require_whole(resolve_subject(layout, sub="01", task=task))
    assert found.runs == layout.find_runs("01", task) != ()
    assert {len(read(layout, key, hemi=hemi).data) for key in found.runs for hemi in "LR"} == volumes
    path = found.require_bold(found.runs[0], hemi="R")
    assert path.name == f"{found.runs[0]}_hemi-R_space-fsaverage5_den-occipital0_bold.func.gii"
    assert read_json(sidecar_path(path))["TaskName"] == task


def test_a_localizer_is_a_plain_sum_of_its_blocks(noiseless):
    """Against a plain loop over blocks with the response in steps of a hundredth of a second."""
    layout, _ = noiseless
    truth = load_areas(truth_path(layout), hemi="L")
    found = percent(read(layout, LO))
    times = np.arange(0, 40, 0.01) + 0.005
    impulse = (times / 5.4) ** 6 * np.exp(-(times - 5.4) / 0.9) - 0.35 * (times / 10.8) ** 12 * np.exp(
        -(times - 10.8) / 0.9)
    lasting = np.convolve(np.ones(1600), impulse).max()
    both = truth.lo & truth.mt
    for vertex in (int(np.argmax(truth.areas == 1)), int(np.argmax(truth.lo)), int(np.argmax(both))):
        expected = np.zeros(168)
        for block in range(16):
            kind = ("intact", "scrambled")[block % 2]
            start = 16.0 * (1 + block + block // 4)
            stop = start + 16.0
            for k in range(168):
                first, last = np.searchsorted(times, [2.0 * k - stop, 2.0 * k - start])
                expected[k] += truth.localizers[kind][vertex] * impulse[first:last].sum() / lasting
        assert found[:, vertex] == pytest.approx(expected, abs=0.01 * expected.max())


def test_contrasts_of_the_localizers_find_the_planted_areas(noiseless):
    layout, _ = noiseless
    truth = load_areas(truth_path(layout), hemi="R")
    assert (truth.lo & truth.mt).any()
    for key, kinds, planted in ((LO, ("intact", "scrambled"), truth.lo), (MOTION, ("moving", "static"), truth.mt)):
        events = pd.read_csv(layout.events(key), sep="\t")
        shape = Shape()
        columns = []
        for kind in kinds:
            shown = events[events["trial_type"] == kind]
            columns.append(event_responses(2.0 * np.arange(168), onsets_s=shown["onset"].to_numpy(),
                                           durations_s=shown["duration"].to_numpy(), shape=shape,
                                           reference_s=16.0).sum(axis=1))
        design = np.column_stack([*columns, np.ones(168)])
        weights = np.linalg.lstsq(design, percent(read(layout, key, hemi="R")), rcond=None)[0]
        share = (weights[0] - weights[1]) / np.maximum(np.abs(weights[:2]).max(axis=0), 1e-9)
        assert share[planted].min() > 0.5
        assert share[~planted & (truth.areas > 0)].max() < 0.3


def fit_fields(layout: Layout, settings: Settings) -> tuple[PrfFit, Fields]:
    """Fit some vertices of V1 to V4 by the pRF model, which shares the apertures' files with the simulation alone."""
    run("simulate", layout, settings)
    truth, areas = load_fields(truth_path(layout), hemi="L"), load_areas(truth_path(layout), hemi="L").areas
    away = np.hypot(truth.x_deg, truth.y_deg)
    chosen = np.flatnonzero((areas > 0) & (areas <= 4) & (away > 0.7) & (away + truth.size_deg < 5.5))[::9]
    assert len(chosen) > 12
    runs = [read(layout, key).data[:, chosen] for key in MAPPING]
    movies = [read_volume_masks(layout.derivative("apertures", sub="01", suffix="apertures.npz", ses=key.ses,
                                                  task=key.task, run=key.run)) for key in MAPPING]
    stimulus = make_stimulus([one.masks for one in movies], x_deg=movies[0].x_deg, y_deg=movies[0].y_deg)
    sampled = tuple(PrfRun(sampling=Sampling(n_volumes=len(one), tr_s=2.0)) for one in runs)
    found = fit_prf(runs, experiment=Experiment(stimulus=stimulus, frame_s=2.0, runs=sampled))
    return found, Fields(*(getattr(truth, name)[chosen] for name in FIELD_NAMES))


def off_deg(found: PrfFit, truth: Fields) -> np.ndarray:
    return np.hypot(found.x_deg - truth.x_deg, found.y_deg - truth.y_deg)


def test_planted_fields_come_back_from_the_exported_apertures(noiseless, copy, monkeypatch):
    use_the_fitted_response(monkeypatch)
    shutil.rmtree(copy.derivatives("simulated"))
    found, truth = fit_fields(copy, noiseless[1])
    assert np.percentile(off_deg(found, truth), 95) < 0.05
    assert found.size_deg == pytest.approx(truth.size_deg, rel=0.1)
    assert found.exponent == pytest.approx(truth.exponent, rel=0.2)
    assert found.r2.min() > 99.5


def test_another_haemodynamic_response_than_the_fits_costs_size_but_no_place(noiseless):
    """Glover's against SPM's: wedges and rings of both directions cancel the lag."""
    found, truth = fit_fields(*noiseless)
    assert np.median(off_deg(found, truth)) < 0.15
    assert 0.5 < np.median(found.size_deg / truth.size_deg) < 0.9


def test_vertices_without_a_field_are_silent(noiseless):
    layout, _ = noiseless
    truth: Fields = load_fields(truth_path(layout), hemi="R")
    found = percent(read(layout, MAPPING[0], hemi="R"))
    nowhere = np.isnan(truth.x_deg)
    assert nowhere.any()
    assert not found[:, nowhere].any()
    assert np.abs(found[:, ~nowhere]).max() > 1


def test_apertures_that_are_missing_are_named(noiseless, copy):
    path = copy.derivative("apertures", sub="01", suffix="apertures.npz", ses="01", task="retinotopy", run=2)
    path.unlink()
    with pytest.raises(AnalysisError, match=r"run-02_apertures\.npz: no such file.*this run showed.*--repeat"):
        run("simulate", copy, noiseless[1])


def test_a_run_more_is_simulated_too_and_other_names_go(noiseless, copy):
    layout, settings = copy, noiseless[1]
    assert run("simulate", layout, settings).all_reused
    stale = layout.bold("simulated", key=LO, hemi="L", space="occipital")
    stale.write_bytes(b"an older mesh's")
    write_json(sidecar_path(stale), {"Simulated": True})
    gone = layout.confounds("simulated", RunKey("01", "01", "lo", 9))
    gone.write_text("of a run that is gone")
    write_json(sidecar_path(gone), {"Simulated": True})
    foreign = layout.bold("simulated", key=LO, hemi="L", space="elsewhere")
    write_json(sidecar_path(foreign), {"note": "not ours"})
    second = RunKey("01", "02", "lo", 1)
    log_schedule(layout, settings, plan_lo(settings, textures=rows(), key=second))
    assert not run("simulate", layout, settings).all_reused
    assert not stale.exists()
    assert not gone.exists()
    assert not sidecar_path(stale).exists()
    assert sidecar_path(foreign).exists()
    sidecar_path(foreign).unlink()
    assert read(layout, second).data.shape[0] == 168


def test_a_study_of_localizers_alone_is_simulated(noiseless, copy):
    for path in copy.root.glob("sub-01/ses-*/func/*task-main*"):
        path.unlink()
    shutil.rmtree(copy.derivatives("simulated"))
    run("simulate", copy, noiseless[1])
    assert read(copy, MOTION).data.std() > 0
