"""Time series files, their source, and the pulses that must agree with them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.surface import load_surf_data

from analysis.data.gifti import read_timeseries, write_timeseries
from analysis.data.sources import require_whole, resolve_subject
from analysis.data.timeseries import (
    Run,
    count_volumes,
    read_run,
    read_sessions,
    require_scanner_units,
    require_volumes,
    with_plan,
)
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import register
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.store import write_json

WHERE: dict[str, Any] = {"key": RunKey("01", "01", "main", 1), "hemi": "L"}


def series(n_volumes: int = 7, n_vertices: int = 11) -> np.ndarray:
    return np.random.default_rng(0).normal(800, 10, (n_volumes, n_vertices)).astype(np.float32)


def put(layout: Layout, source: str, *, space: str = "fsnative") -> None:
    write_timeseries(layout.bold(source, space=space, **WHERE), series(), hemi="L", tr_s=2.0)


def read(layout: Layout) -> Run:
    events = layout.events(WHERE["key"])
    events.parent.mkdir(parents=True, exist_ok=True)
    events.touch()
    return read_run(resolve_subject(layout, sub="01"), WHERE["key"], hemi="L", tr_s=2.0)


@pytest.fixture
def study(study: Layout) -> Layout:
    """Give a study with a volunteer, 01, and a virtual subject, 02."""
    register(study, "01")
    register(study, "02", virtual=True)
    return study


def test_a_series_round_trip_and_reads_elsewhere(tmp_path):
    path = write_timeseries(tmp_path / "a.func.gii", series(), hemi="R", tr_s=1.5)
    np.testing.assert_array_equal(read_timeseries(path), series())
    np.testing.assert_array_equal(load_surf_data(str(path)), series().T)
    assert nib.load(path).meta["TimeStep"] == "1500"


@pytest.mark.parametrize("encoding", ["GIFTI_ENCODING_B64GZ", "GIFTI_ENCODING_ASCII"])
def test_other_encodings_are_read(tmp_path, encoding):
    arrays = [nib.gifti.GiftiDataArray(volume, encoding=encoding, datatype="float32") for volume in series()]
    nib.save(nib.gifti.GiftiImage(darrays=arrays), tmp_path / "a.func.gii")
    np.testing.assert_allclose(read_timeseries(tmp_path / "a.func.gii"), series(), rtol=1e-5)


@pytest.mark.parametrize("source", ["fmriprep", "simulated"])
def test_the_only_source_is_taken(study, source):
    put(study, source)
    assert resolve_subject(study, sub="01").source == source


def test_two_sources_want_a_choice(study):
    put(study, "fmriprep")
    put(study, "simulated")
    with pytest.raises(AnalysisError, match="from fmriprep and simulated; expected those of one pipeline"):
        resolve_subject(study, sub="01")
    assert resolve_subject(study, sub="01", pipeline="fmriprep").source == "fmriprep"


def test_no_source_is_an_error(study):
    with pytest.raises(AnalysisError, match="no surface time series; expected those of one pipeline"):
        resolve_subject(study, sub="01")
    put(study, "simulated")
    with pytest.raises(AnalysisError, match="time series from simulated; expected those of fmriprep"):
        resolve_subject(study, sub="01", pipeline="fmriprep")


def test_data_of_a_volunteer_are_never_asked_to_be_made_up(study):
    with pytest.raises(AnalysisError) as volunteer:
        resolve_subject(study, sub="01")
    assert "fMRIPrep" in volunteer.value.remedy
    with pytest.raises(AnalysisError) as runs:
        read_sessions(study, sub="01")
    assert "recover" in runs.value.remedy
    for error in (volunteer.value, runs.value):
        assert "simulate" not in error.remedy
        assert "emulated" not in error.remedy
    with pytest.raises(AnalysisError, match="python -m analysis simulate --study .* --sub 02"):
        resolve_subject(study, sub="02")


def test_a_run_without_time_series_says_which(study):
    put(study, "fmriprep")
    data = resolve_subject(study, sub="01")
    with pytest.raises(AnalysisError, match="sub-01_ses-02_task-main_run-3 hemi-R: no surface time series; .*fMRIPrep"):
        data.require_bold(RunKey("01", "02", "main", 3), hemi="R")


def test_a_run_is_read_with_what_its_sidecar_says(study):
    put(study, "fmriprep")
    path = study.bold("fmriprep", **WHERE)
    assert read(study).start_s == 0.0
    write_json(path.with_name(path.name.replace(".func.gii", ".json")), {"RepetitionTime": 2.0, "StartTime": 0.98})
    run = read(study)
    assert run.start_s == 0.98
    assert run.data.dtype == np.float32
    np.testing.assert_array_equal(run.data, series())


def test_another_repetition_time_is_refused(study):
    put(study, "simulated")
    path = study.bold("simulated", **WHERE)
    write_json(path.with_name(path.name.replace(".func.gii", ".json")), {"RepetitionTime": 2.1})
    with pytest.raises(AnalysisError, match=r"RepetitionTime 2.1; expected scanner.tr_s = 2"):
        read(study)


def test_two_spaces_are_refused(study):
    put(study, "simulated")
    put(study, "simulated", space="fsaverage5")
    with pytest.raises(AnalysisError, match="2 files in different spaces"):
        read(study)


def test_pulses_must_agree_with_volumes(study):
    put(study, "simulated")
    run, events = read(study), pd.DataFrame({"onset": [1.0]})
    assert require_volumes(run, events) is run
    events.attrs["n_pulses"] = 7
    assert require_volumes(run, events) is run
    events.attrs["n_pulses"] = 6
    with pytest.raises(AnalysisError, match="sub-01 ses-01 task-main run-1 hemi-L: 7 volumes but 6 logged pulses"):
        require_volumes(run, events)


def test_volumes_are_the_pulses_or_else_the_plan():
    events = pd.DataFrame({"onset": []})
    events.attrs.update(n_pulses=None, sidecar={"n_volumes": 31})
    assert count_volumes(events) == 31
    events.attrs["n_pulses"] = 30
    assert count_volumes(events) == 30
    events.attrs["sidecar"]["PulseWatch"] = {"missed": [4, 9, 10]}
    assert count_volumes(events) == 33
    events.attrs.clear()
    with pytest.raises(AnalysisError, match="neither n_pulses nor n_volumes"):
        count_volumes(events)


def test_volumes_whose_pulse_was_lost_were_taken_all_the_same(study):
    put(study, "simulated")
    run, events = read(study), pd.DataFrame({"onset": [1.0]})
    events.attrs.update(n_pulses=5, sidecar={"PulseWatch": {"missed": [2, 3]}})
    assert require_volumes(run, events) is run
    events.attrs["sidecar"]["PulseWatch"] = {"missed": [2]}
    with pytest.raises(AnalysisError, match="7 volumes but 5 logged pulses"):
        require_volumes(run, events)


@pytest.mark.parametrize(("data", "text"), [
    (series().astype(float), "float64 data"),
    (series()[0], r"float32 data of shape \(11,\)"),
    (np.where(np.arange(77).reshape(7, 11) == 40, np.float32(np.nan), series()), "vertex 7 with values that are not"),
])
def test_a_run_with_one_fault_is_refused(data, text):
    with pytest.raises(AnalysisError, match=text):
        Run(**WHERE, data=data, tr_s=2.0)


def test_ragged_or_empty_series_are_refused(tmp_path):
    arrays = [nib.gifti.GiftiDataArray(volume, datatype="float32") for volume in (series()[0], series()[1][:-1])]
    nib.save(nib.gifti.GiftiImage(darrays=arrays), tmp_path / "a.func.gii")
    with pytest.raises(AnalysisError, match=r"arrays of shapes \(10,\), \(11,\); expected one value a vertex"):
        read_timeseries(tmp_path / "a.func.gii")
    nib.save(nib.gifti.GiftiImage(), tmp_path / "b.func.gii")
    with pytest.raises(AnalysisError, match="arrays of shapes none"):
        read_timeseries(tmp_path / "b.func.gii")


def test_a_subject_without_runs_is_refused(study):
    with pytest.raises(AnalysisError, match="no run of sub-01, task main; expected events tables"):
        read_sessions(study, sub="01")


@pytest.mark.parametrize(("name", "value"), [("StartTime", "abc"), ("RepetitionTime", "2 s"), ("RepetitionTime", True)])
def test_a_sidecar_with_a_time_that_is_no_number_is_refused(study, name, value):
    put(study, "simulated")
    path = study.bold("simulated", **WHERE)
    write_json(sidecar_path(path), {name: value}, overwrite=True)
    with pytest.raises(AnalysisError, match=f"{name} {value!r}; expected seconds"):
        read(study)


def test_a_series_of_the_other_hemisphere_is_refused(tmp_path):
    path = write_timeseries(tmp_path / "x_hemi-L_bold.func.gii", series(), hemi="R", tr_s=2.0)
    assert read_timeseries(path).shape == (7, 11)
    with pytest.raises(AnalysisError, match="CortexRight; expected CortexLeft"):
        read_timeseries(path, hemi="L")


# --- how long each event should have lasted --------------------------------------------------------------

def planned(tmp_path: Path, *, named: str | None = "digest-1", **schedule: Any) -> pd.DataFrame:
    events = pd.DataFrame({"trial_type": ["RE", "blank", "AN"], "duration": [2.0, 4.0, 4.1],
                           "onset_planned": [22.0, 24.0, 30.00002]})
    events.attrs["sidecar"] = {"schedule_digest": named}
    shown = [{"trial_type": "RE", "onset_s": 22.0, "duration_s": 2.0}, {"trial_type": "AN", "onset_s": 30.0,
                                                                       "duration_s": 2.0}]
    path = write_json(tmp_path / "schedule.json", {"digest": "digest-1", "events": shown, **schedule})
    return with_plan(events, path)


def test_planned_durations_come_from_the_schedule(tmp_path):
    assert planned(tmp_path)["duration_planned"].to_list() == pytest.approx([2.0, np.nan, 2.0], nan_ok=True)


def test_another_runs_schedule_is_refused(tmp_path):
    with pytest.raises(AnalysisError, match="a schedule of digest digest-1; expected digest-2, as the events table"):
        planned(tmp_path, named="digest-2")


def test_a_schedule_without_durations_is_refused(tmp_path):
    with pytest.raises(AnalysisError, match="events that cannot be read"):
        planned(tmp_path, events=[{"trial_type": "RE", "onset_s": 22.0}])


def test_without_a_schedule_nothing_is_planned(tmp_path):
    events = pd.DataFrame({"trial_type": ["RE"], "duration": [2.0]})
    assert with_plan(events, tmp_path / "schedule.json") is events


def test_one_runs_series_under_two_names_is_refused(study):
    """Preprocessed files say nothing of what they were made from, but no two scans are alike to the last bit."""
    for run in (1, 2):
        key = RunKey("01", "01", "main", run)
        data = series() + (0.0 if run == 1 else 1.0)
        write_timeseries(study.bold("fmriprep", key=key, hemi="L", space="fsnative"), data, hemi="L", tr_s=2.0)
        study.events(key).parent.mkdir(parents=True, exist_ok=True)
        study.events(key).touch()
    first, second = (study.bold("fmriprep", key=RunKey("01", "01", "main", run), hemi="L", space="fsnative")
                     for run in (1, 2))
    require_whole(resolve_subject(study, sub="01"))
    shutil.copy(first, second)
    with pytest.raises(AnalysisError, match=f"the same content as {first.name}; expected another time series"):
        require_whole(resolve_subject(study, sub="01"))


@pytest.mark.parametrize("change", [lambda data: data - data.mean(axis=0),
                                    lambda data: (data - data.mean(axis=0)) / data.std(axis=0)])
def test_series_without_their_means_are_refused(change):
    rng = np.random.default_rng(1)
    data = (1000 + rng.normal(0, 20, (40, 5))).astype(np.float32)
    data[:, 3] = 7.0
    means, usable = require_scanner_units(data, where="sub-01")
    np.testing.assert_allclose(means, data.astype(np.float64).mean(axis=0))
    assert usable.tolist() == [True, True, True, False, True], "what never varies has no signal"
    weak = data.copy()
    weak[:, 0] -= weak[:, 0].mean()
    assert require_scanner_units(weak, where="sub-01")[1].tolist() == [False, True, True, False, True]
    with np.errstate(invalid="ignore"), pytest.raises(AnalysisError, match="sub-01: time series without their mean"):
        require_scanner_units(np.nan_to_num(change(data)), where="sub-01")
