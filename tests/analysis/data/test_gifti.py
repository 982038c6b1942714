"""GIFTI files as other programs write them: what they say of themselves, and what they must not be taken for."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData

from analysis.data.gifti import read_series, read_timeseries, write_label_map, write_maps, write_timeseries
from analysis.data.sources import resolve_subject
from analysis.data.surface import load_surface, save_surface
from analysis.data.timeseries import Run, read_run
from analysis.regions.labels import read_labels, write_labels
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import register
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.store import write_json
from tests.analysis.fabricated import make_labels, make_surface

KEY = RunKey("01", "01", "main", 1)


def series(n_volumes: int = 7, n_vertices: int = 11) -> np.ndarray:
    return np.random.default_rng(0).normal(800, 10, (n_volumes, n_vertices)).astype(np.float32)


def save(path: Path, arrays: Any, *, intent: str = "NIFTI_INTENT_TIME_SERIES", meta: dict[str, str] | None = None,
         array_meta: dict[str, str] | None = None) -> Path:
    """Write what another program might."""
    nib.save(GiftiImage(meta=GiftiMetaData(**(meta or {})), darrays=[
        GiftiDataArray(one, intent=intent, datatype="float32", meta=GiftiMetaData(**(array_meta or {})))
        for one in arrays]), path)
    return path


@pytest.fixture
def volunteer(study: Layout) -> Layout:
    register(study, "01")
    study.events(KEY).parent.mkdir(parents=True, exist_ok=True)
    study.events(KEY).touch()
    return study


def put(layout: Layout, arrays: Any, **said: Any) -> Path:
    path = layout.bold("fmriprep", key=KEY, hemi="L", space="fsnative")
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, arrays, **said)


def read(layout: Layout, *, tr_s: float = 2.0) -> Run:
    return read_run(resolve_subject(layout, sub="01"), KEY, hemi="L", tr_s=tr_s)


# --- sides -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["CortexRight", "CORTEX_RIGHT", "cortex right", "Right", "rh", "hemi-R"])
@pytest.mark.parametrize("place", ["meta", "array_meta"])
def test_the_other_side_is_refused_however_and_wherever_a_file_says_it(tmp_path: Path, name: str, place: str) -> None:
    path = save(tmp_path / "x_hemi-L_bold.func.gii", series(), **{place: {"AnatomicalStructurePrimary": name}})
    assert read_timeseries(path, hemi="R").shape == (7, 11)
    with pytest.raises(AnalysisError, match="CortexRight; expected CortexLeft"):
        read_timeseries(path, hemi="L")


def test_a_file_of_both_sides_is_refused_and_one_of_none_is_not(tmp_path: Path) -> None:
    both = save(tmp_path / "a.func.gii", series(), meta={"AnatomicalStructurePrimary": "CortexLeft"},
                array_meta={"AnatomicalStructurePrimary": "CORTEX_RIGHT"})
    with pytest.raises(AnalysisError, match="parts of both hemispheres; expected CortexLeft"):
        read_timeseries(both, hemi="L")
    for name in ("", "Cerebellum", "unknown"):
        path = save(tmp_path / "b.func.gii", series(), meta={"AnatomicalStructurePrimary": name})
        assert read_timeseries(path, hemi="L").shape == (7, 11)


def test_meshes_and_labels_of_the_other_side_are_refused(tmp_path: Path) -> None:
    for hemi in "LR":
        flat_path = tmp_path / f"{hemi}_flat.surf.gii"
        save_surface(make_surface(hemi), tmp_path / f"{hemi}_mid.surf.gii", flat_path=flat_path)
        write_labels(tmp_path / f"{hemi}.label.gii", make_labels(), hemi=hemi)
    assert load_surface(tmp_path / "L_mid.surf.gii", flat_path=tmp_path / "L_flat.surf.gii", hemi="L").hemi == "L"
    for mid, flat in (("R", "L"), ("L", "R")):
        with pytest.raises(AnalysisError, match=r"R_(mid|flat).surf.gii: CortexRight; expected CortexLeft"):
            load_surface(tmp_path / f"{mid}_mid.surf.gii", flat_path=tmp_path / f"{flat}_flat.surf.gii", hemi="L")
    np.testing.assert_array_equal(read_labels(tmp_path / "R.label.gii", hemi="R"), make_labels())
    with pytest.raises(AnalysisError, match="CortexRight; expected CortexLeft"):
        read_labels(tmp_path / "R.label.gii", hemi="L")


def test_a_mesh_that_says_no_side_is_judged_by_its_place(tmp_path: Path) -> None:
    sheet = make_surface("L")
    for name, points in (("mid", sheet.vertices - np.float32([40, 0, 0])), ("flat", sheet.vertices)):
        nib.save(GiftiImage(darrays=[GiftiDataArray(points, intent="NIFTI_INTENT_POINTSET", datatype="float32"),
                                     GiftiDataArray(sheet.faces, intent="NIFTI_INTENT_TRIANGLE", datatype="int32")]),
                 tmp_path / f"{name}.surf.gii")
    paths = {"path": tmp_path / "mid.surf.gii", "flat_path": tmp_path / "flat.surf.gii"}
    assert load_surface(paths["path"], flat_path=paths["flat_path"], hemi="L").n_vertices == 300
    with pytest.raises(AnalysisError, match=r"at x = -28.0 mm on average; expected the right hemisphere, at positive"):
        load_surface(paths["path"], flat_path=paths["flat_path"], hemi="R")


# --- what a series is --------------------------------------------------------------------------------------

@pytest.mark.parametrize("intent", ["NIFTI_INTENT_LABEL", "NIFTI_INTENT_SHAPE", "NIFTI_INTENT_TTEST",
                                    "NIFTI_INTENT_POINTSET"])
def test_other_kinds_of_file_are_no_time_series(tmp_path: Path, intent: str) -> None:
    path = save(tmp_path / "a.func.gii", series(), intent=intent)
    with pytest.raises(AnalysisError, match=f"arrays of intent {intent}; expected a surface time series"):
        read_timeseries(path)


def test_labels_and_single_maps_are_no_time_series(tmp_path: Path) -> None:
    label = write_label_map(tmp_path / "a.label.gii", {"": np.ones(11, np.int32)}, names={1: "V1"}, hemi="L")
    one = write_maps(tmp_path / "b.func.gii", {"R2": series()[0]}, hemi="L")
    with pytest.raises(AnalysisError, match="arrays of intent NIFTI_INTENT_LABEL"):
        read_timeseries(label)
    with pytest.raises(AnalysisError, match="one map; expected a surface time series"):
        read_timeseries(one)


@pytest.mark.parametrize("intent", ["NIFTI_INTENT_NONE", "NIFTI_INTENT_NORMAL", "NIFTI_INTENT_TIME_SERIES"])
def test_the_intents_that_programs_give_to_series_are_read(tmp_path: Path, intent: str) -> None:
    np.testing.assert_array_equal(read_timeseries(save(tmp_path / "a.func.gii", series(), intent=intent)), series())


def test_columns_of_old_freesurfer_and_compressed_files_are_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.func.gii", [one[:, None] for one in series()])
    np.testing.assert_array_equal(read_timeseries(path), series())
    packed = tmp_path / "b.func.gii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_timeseries(packed), series())


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    path = write_timeseries(tmp_path / "a.func.gii", series(), hemi="L", tr_s=2.0)
    whole = path.read_bytes()
    path.write_bytes(whole[:int(share * len(whole))])
    with pytest.raises(AnalysisError, match=r"a.func.gii: a file that cannot be read \(.*\); expected a surface time"):
        read_timeseries(path)
    packed = tmp_path / "b.func.gii.gz"
    packed.write_bytes(gzip.compress(whole)[:int(share * 300)])
    with pytest.raises(AnalysisError, match=r"b.func.gii.gz: a file that cannot be read"):
        read_timeseries(packed)


# --- repetition times --------------------------------------------------------------------------------------

@pytest.mark.parametrize(("step", "seconds"), [("1500", 1.5), ("2000.000000", 2.0), ("2", 2.0), ("0.8", 0.8),
                                               ("0", None), ("720", 0.72), (None, None)])
def test_time_steps_are_in_ms_or_s(tmp_path: Path, step: str | None, seconds: float | None) -> None:
    said = {} if step is None else {"TimeStep": step}
    assert read_series(save(tmp_path / "a.func.gii", series(), meta=said)).tr_s == seconds
    assert read_series(save(tmp_path / "a.func.gii", series(), array_meta=said)).tr_s == seconds


@pytest.mark.parametrize("step", ["nan", "-2000", "two"])
def test_a_time_step_that_is_no_time_is_refused(tmp_path: Path, step: str) -> None:
    with pytest.raises(AnalysisError, match=f"TimeStep '{step}'; expected milliseconds"):
        read_series(save(tmp_path / "a.func.gii", series(), meta={"TimeStep": step}))


@pytest.mark.parametrize(("others", "seconds"), [(("1500",), None), (("2000", "1500"), None), (("2000",), 2.0),
                                                 (("2000.0", "0"), 2.0)])
def test_time_steps_of_file_and_arrays_are_one(tmp_path: Path, others: tuple[str, ...], seconds: float | None) -> None:
    path = save(tmp_path / "a.func.gii", series(), meta={"TimeStep": "2000"})
    image = nib.load(path)
    for array, step in zip(image.darrays, others, strict=False):
        array.meta["TimeStep"] = step
    nib.save(image, path)
    if seconds is not None:
        assert read_series(path).tr_s == seconds
        return
    with pytest.raises(AnalysisError, match="TimeStep 2000 and 1500; expected one time between volumes"):
        read_series(path)


def test_the_time_step_is_held_against_the_study(volunteer: Layout) -> None:
    put(volunteer, series(), meta={"TimeStep": "1500"})
    with pytest.raises(AnalysisError, match=r"_bold.func.gii: TimeStep 1.5; expected scanner.tr_s = 2\."):
        read(volunteer)
    assert read(volunteer, tr_s=1.5).tr_s == 1.5
    put(volunteer, series(), meta={"TimeStep": "2000"})
    assert read(volunteer).tr_s == 2.0


def test_a_repetition_time_in_milliseconds_is_recognised(volunteer: Layout) -> None:
    path = put(volunteer, series(), meta={"TimeStep": "2000"})
    write_json(sidecar_path(path), {"RepetitionTime": 2000})
    with pytest.raises(AnalysisError, match=r"RepetitionTime 2000 \(in milliseconds\); .*Write it in seconds: 2\."):
        read(volunteer)


def test_a_missing_repetition_time_is_said(volunteer: Layout, caplog: pytest.LogCaptureFixture) -> None:
    path = put(volunteer, series(), meta={"TimeStep": "0"})
    with caplog.at_level(logging.WARNING):
        assert read(volunteer).tr_s == 2.0
    assert "neither its JSON file nor its TimeStep names a repetition time; scanner.tr_s = 2 s" in caplog.text
    caplog.clear()
    write_json(sidecar_path(path), {"RepetitionTime": 2.0})
    read(volunteer)
    assert not caplog.text


# --- vertices without signal -------------------------------------------------------------------------------

def test_a_vertex_that_is_nan_throughout_has_no_signal(volunteer: Layout) -> None:
    data = series()
    data[:, 4] = np.nan
    put(volunteer, data, meta={"TimeStep": "2000"})
    found = read(volunteer).data
    assert (found[:, 4] == 0).all()
    np.testing.assert_array_equal(np.delete(found, 4, axis=1), np.delete(data, 4, axis=1))


def test_a_vertex_that_is_nan_in_one_volume_is_refused(volunteer: Layout) -> None:
    data = series()
    data[:, 4] = np.nan
    data[0, 7] = np.nan
    put(volunteer, data, meta={"TimeStep": "2000"})
    with pytest.raises(AnalysisError, match="sub-01 ses-01 task-main run-1 hemi-L: vertex 7 with values that are not"):
        read(volunteer)
