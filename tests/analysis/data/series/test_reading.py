"""Surface time series of every kind of file: the same numbers, the same betas, the same refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pytest

from analysis.data.gifti import as_seconds, read_timeseries, write_timeseries
from analysis.data.series.reading import read_outline, read_series, require_end
from analysis.glm.betas import load_betas
from analysis.glm.combining import betas_paths
from subjects.errors import AnalysisError
from subjects.run_key import RunKey
from tests.analysis.running_steps import run
from tests.analysis.volunteer import bold_path, make_volunteer

DATA = np.random.default_rng(0).normal(900, 20, (6, 11)).astype(np.float32)


def write_mgz(path: Path, data: np.ndarray, *, tr_ms: float = 2000.0) -> Path:
    """Write vertices x 1 x 1 x volumes, as mri_vol2surf does."""
    image = nib.freesurfer.MGHImage(np.ascontiguousarray(data.T[:, None, None, :]), np.eye(4))
    image.header["tr"] = tr_ms
    nib.save(image, path)
    return path


def write_hdf5(path: Path, data: np.ndarray, **attributes: Any) -> Path:
    with h5py.File(path, "w") as file:
        file["bold"] = data
        file.attrs.update(attributes)
    return path


def write(kind: str, folder: Path) -> Path:
    if kind == "mgz":
        return write_mgz(folder / "a_hemi-L_bold.mgz", DATA)
    if kind == "h5":
        return write_hdf5(folder / "a_hemi-L_bold.h5", DATA, RepetitionTime=2.0, hemi="L")
    return write_timeseries(folder / "a_hemi-L_bold.func.gii", DATA, hemi="L", tr_s=2.0)


@pytest.mark.parametrize("kind", ["gii", "mgz", "h5"])
def test_every_kind_holds_the_same(kind: str, tmp_path: Path) -> None:
    path = write(kind, tmp_path)
    found = read_series(path, hemi="L")
    assert np.array_equal(found.data, DATA)
    assert found.data.dtype == np.float32
    assert found.data.flags.c_contiguous
    assert found.tr_s == 2.0
    assert read_outline(path) == (*DATA.shape, 2.0)


@pytest.mark.parametrize("kind", ["mgz", "h5"])
def test_betas_are_those_of_the_gifti_files(kind: str, tmp_path: Path) -> None:
    layout, settings = make_volunteer(tmp_path / "study")
    run("glm", layout, settings)
    wanted = {hemi: load_betas(path).values for hemi, path in betas_paths(layout, sub="01").items()}
    for number in (1, 2):
        for hemi in "LR":
            old = bold_path(layout, RunKey("01", "01", "main", number), hemi=hemi)
            new = old.with_name(old.name.replace(".func.gii", f".{kind}"))
            data = read_timeseries(old)
            write_mgz(new, data) if kind == "mgz" else write_hdf5(new, data)
            old.unlink()
    run("glm", layout, settings)
    for hemi, path in betas_paths(layout, sub="01").items():
        assert np.array_equal(load_betas(path).values, wanted[hemi])


@pytest.mark.parametrize(("tr_ms", "wanted"), [(2000.0, 2.0), (720.0, 0.72), (0.0, None), (1.5, 1.5)])
def test_freesurfers_repetition_time(tr_ms: float, wanted: float | None, tmp_path: Path) -> None:
    found = read_series(write_mgz(tmp_path / "a.mgz", DATA, tr_ms=tr_ms)).tr_s
    assert found == (wanted if wanted is None else pytest.approx(wanted))


def test_an_hdf5_file_need_not_say_its_repetition_time_or_side(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "a.h5", DATA.astype(np.int16))
    assert read_series(path, hemi="R").tr_s is None
    assert read_series(path).data.dtype == np.float32


def test_a_volume_or_a_single_map_in_mgz_is_no_series(tmp_path: Path) -> None:
    for shape in ((4, 4, 4, 6), (11, 1, 1)):
        nib.save(nib.freesurfer.MGHImage(np.zeros(shape, np.float32), np.eye(4)), tmp_path / "a.mgz")
        for read in (read_series, read_outline):
            with pytest.raises(AnalysisError, match="expected a surface time series, vertices x 1 x 1 x volumes"):
                read(tmp_path / "a.mgz")


def test_files_that_are_missing_or_torn_are_named(tmp_path: Path) -> None:
    for name in ("a.mgz", "a.h5", "a.func.gii"):
        for read in (read_series, read_outline):
            with pytest.raises(AnalysisError, match=f"{name}: .*(no such file|cannot be read)"):
                read(tmp_path / name)
            (tmp_path / name).write_bytes(b"torn")
            with pytest.raises(AnalysisError, match=f"{name}: .*(cannot be read|without the head)"):
                read(tmp_path / name)
            (tmp_path / name).unlink()


@pytest.mark.parametrize(("content", "text"), [
    ({"series": DATA}, r"series of shape \(6, 11\); expected a dataset bold"),
    ({}, "no datasets; expected a dataset bold of numbers, volumes by vertices"),
    ({"bold": DATA[:1]}, r"bold of shape \(1, 11\)"),
    ({"bold": DATA[0]}, r"bold of shape \(11,\)"),
])
def test_hdf5_without_a_series_says_what_is_there(content: dict[str, np.ndarray], text: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, data in content.items():
            file[name] = data
    with pytest.raises(AnalysisError, match=text):
        read_series(tmp_path / "a.h5")


def test_hdf5_of_the_other_side_or_of_no_time_is_refused(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "a.h5", DATA, hemi="R")
    with pytest.raises(AnalysisError, match="hemisphere R; expected L"):
        read_series(path, hemi="L")
    for said in (-1.0, "two", np.nan):
        path = write_hdf5(tmp_path / "b.h5", DATA, RepetitionTime=said)
        with pytest.raises(AnalysisError, match="RepetitionTime .*; expected seconds"):
            read_outline(path)


@pytest.mark.parametrize("kind", [".mgz", ".mgh", ".func.gii"])
@pytest.mark.parametrize("lost", [0, 300])
def test_a_file_that_was_cut_off_is_told_without_being_taken_apart(tmp_path: Path, kind: str, lost: int) -> None:
    data = np.random.default_rng(3).normal(900, 20, (8, 400)).astype(np.float32)
    path = tmp_path / f"hemi-L_bold{kind}"
    write_mgz(path, data) if kind.startswith(".m") else write_timeseries(path, data, hemi="L", tr_s=2.0)
    path.write_bytes(path.read_bytes()[:-lost or None])
    if not lost:
        require_end(path)
        return
    with pytest.raises(AnalysisError, match=rf"{path.name}: a file that was cut off"):
        require_end(path)


@pytest.mark.parametrize(("said", "read_s", "warned"), [("2000", 2.0, False), ("2.0", 2.0, True), ("0.72", 0.72, True),
                                                        ("0", None, False), ("720", 0.72, False)])
def test_a_time_step_in_seconds_is_taken_and_said(caplog: pytest.LogCaptureFixture, said: str, read_s: float | None,
                                                  warned: bool) -> None:
    assert as_seconds(said, path=Path("a.func.gii")) == read_s
    assert ("is taken as seconds; the field's unit is milliseconds" in caplog.text) is warned
