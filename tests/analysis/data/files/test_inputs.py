"""``python -m analysis inputs``: what was found of each run, and what is missing, before anything is fitted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from analysis.__main__ import cli
from analysis.data.gifti import read_outline, read_series, write_timeseries
from analysis.data.surface import save_surface
from analysis.regions.labels import write_labels
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.store import read_json, write_json
from tests.analysis.fabricated import make_labels, make_surface
from tests.analysis.volunteer import bold_path, make_volunteer, put_bold

FIRST, SECOND = (RunKey("01", "01", "main", run) for run in (1, 2))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Give a study whose inputs are whole: 300 vertices a hemisphere, confounds, meshes, regions."""
    layout, _ = make_volunteer(tmp_path_factory.mktemp("inputs") / "study", n_vertices=300)
    anat = layout.derivatives("fmriprep") / "sub-01" / "anat"
    for hemi in "LR":
        sheet = make_surface(hemi)
        save_surface(sheet, anat / f"sub-01_hemi-{hemi}_midthickness.surf.gii",
                     flat_path=anat / f"sub-01_hemi-{hemi}_flat.surf.gii")
        write_labels(anat / f"sub-01_hemi-{hemi}_desc-rois_dseg.label.gii", make_labels(), hemi=hemi)
    for key in (FIRST, SECOND):
        path = bold_path(layout, key, hemi="L")
        path.with_name(f"{key}_desc-confounds_timeseries.tsv").write_text("trans_x\trot_x\tcosine00\n0\t0\t0\n")
    return layout


@pytest.fixture
def copy(made: Layout, tmp_path: Path) -> Layout:
    return Layout(shutil.copytree(made.root, tmp_path / "study"))


def ask(layout: Layout, *more: str) -> Result:
    return CliRunner().invoke(cli, ["inputs", "--study", str(layout.root), "--sub", "01", *more])


def record(layout: Layout) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(layout, "--json").stdout)
    return found


def test_a_whole_subject_is_listed_and_ends_with_0(made: Layout) -> None:
    said = ask(made)
    assert said.exit_code == 0, said.output
    assert "time series of fmriprep in fsnative" in said.output
    assert f"{FIRST}_hemi-*_space-fsnative_bold.func.gii" in said.output
    assert "Nothing is missing." in said.output
    assert max(map(len, said.output.splitlines())) <= 80
    found = record(made)
    first, second = found["runs"]
    assert (first["run"], second["run"]) == (1, 2)
    assert first["vertices"] == {"L": 300, "R": 300}
    assert first["volumes"]["L"] == first["pulses"] == read_series(bold_path(made, FIRST, hemi="L")).data.shape[0]
    assert first["tr_s"] == {"L": 2.0, "R": 2.0}
    assert first["confounds_columns"] == 3
    assert Path(found["anatomy"]["flat_R"]).is_file()
    assert found["problems"] == []


def test_nothing_is_written(made: Layout) -> None:
    before = sorted(made.root.rglob("*"))
    ask(made)
    assert sorted(made.root.rglob("*")) == before


def test_every_fault_is_named_and_ends_with_1(copy: Layout) -> None:
    anat = copy.derivatives("fmriprep") / "sub-01" / "anat"
    (anat / "sub-01_hemi-L_flat.surf.gii").unlink()
    (anat / "sub-01_hemi-R_desc-rois_dseg.label.gii").unlink()
    put_bold(copy, FIRST, hemi="L", n_vertices=300, change=lambda data: data[:-1])
    put_bold(copy, SECOND, hemi="L", n_vertices=299)
    bold_path(copy, FIRST, hemi="R").unlink()
    fast = bold_path(copy, SECOND, hemi="R")
    data = read_series(fast).data
    write_timeseries(fast, data, hemi="R", tr_s=1.5, overwrite=True)
    fast.with_name(fast.name.replace(".func.gii", ".json")).unlink()
    said = ask(copy)
    assert said.exit_code == 1
    problems = "\n".join(record(copy)["problems"])
    for text in ("run-1 hemi-R: no surface time series among", f"run-1 hemi-L: {len(data) - 1} volumes but {len(data)}",
                 "run-2 hemi-R: a repetition time of 1.5 s; scanner.tr_s is 2 s",
                 "hemi-L: no flat map (sub-01_hemi-L_flat.surf.gii). Make it with `python -m analysis flatten --study ",
                 "sub-01 hemi-R: no regions (sub-01_hemi-R_desc-rois_dseg.label.gii)",
                 "hemi-L: time series and mesh of 299, 300 vertices"):
        assert text in problems
        assert text in said.output


def test_series_without_events_and_events_without_series_are_told(copy: Layout) -> None:
    copy.events(SECOND).unlink()
    said = ask(copy)
    assert f"Without an events table, and left out: {SECOND}_hemi-L" in said.output
    assert "sub-01: 1 of 2 runs in ses-01 of task main have an events table." in said.output
    assert said.exit_code == 1


def test_events_that_no_design_is_made_from_are_told(copy: Layout) -> None:
    path = copy.events(FIRST)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[-1]]) + "\n", encoding="utf-8")
    assert f"{path.name}, row {len(lines)}: " in "\n".join(record(copy)["problems"])
    beside = copy.events(SECOND).with_suffix(".json")
    said = read_json(beside)
    write_json(beside, {name: value for name, value in said.items() if name != "n_pulses"}, overwrite=True)
    assert f"events sidecar of {SECOND}: no n_pulses; expected" in "\n".join(record(copy)["problems"])


def test_another_task_has_no_runs(copy: Layout) -> None:
    said = ask(copy, "--task", "lo")
    assert said.exit_code == 1
    assert "sub-01: no events table of task lo." in said.output


def test_several_spaces_end_with_an_error(copy: Layout) -> None:
    put_bold(copy, FIRST, hemi="L", spelled="{key}_space-fsaverage5_hemi-{hemi}_bold")
    error = ask(copy).exception
    assert isinstance(error, AnalysisError)
    assert "2 files in different spaces: fsaverage5 (1 file), fsnative (4 files)" in str(error)


@pytest.mark.parametrize("packed", [False, True])
def test_the_head_of_a_file_says_what_the_whole_does(tmp_path: Path, packed: bool) -> None:
    import gzip

    data = np.random.default_rng(0).normal(800, 10, (7, 11)).astype(np.float32)
    path = write_timeseries(tmp_path / "a.func.gii", data, hemi="L", tr_s=0.72)
    if packed:
        path = tmp_path / "a.func.gii.gz"
        path.write_bytes(gzip.compress((tmp_path / "a.func.gii").read_bytes()))
    assert read_outline(path) == (7, 11, 0.72)
    assert read_outline(path)[:2] == read_series(path).data.shape


@pytest.mark.parametrize("content", [b"", b"no GIFTI", b'<GIFTI NumberOfDataArrays="x">'])
def test_a_head_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.func.gii"
    path.write_bytes(content)
    with pytest.raises(AnalysisError, match="without the head of a GIFTI file"):
        read_outline(path)
    (tmp_path / "b.gii.gz").write_bytes(content)
    with pytest.raises(AnalysisError, match="cannot be read|without the head"):
        read_outline(tmp_path / "b.gii.gz")


def cut(path: Path, n: int) -> None:
    path.write_bytes(path.read_bytes()[:-n])


def pack(path: Path) -> Path:
    import gzip

    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


def test_files_that_were_cut_off_or_changed_are_told(copy: Layout) -> None:
    cut(bold_path(copy, FIRST, hemi="L"), 4000)
    packed = pack(bold_path(copy, FIRST, hemi="R"))
    cut(packed, 300)
    changed = bold_path(copy, SECOND, hemi="L")
    beside = changed.with_name(changed.name.replace(".func.gii", ".json"))
    write_json(beside, {**read_json(beside), "digest": "0" * 64}, overwrite=True)
    said = ask(copy)
    assert said.exit_code == 1
    problems = record(copy)["problems"]
    assert any("run-1_hemi-L" in one and "a file that was cut off (no end)" in one for one in problems)
    assert any(packed.name in one and "a file that was cut off" in one for one in problems)
    assert any(changed.name in one and "changed or replaced since they were made" in one for one in problems)


def exchange(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_meshes_of_the_other_side_that_do_not_say_so_are_told_by_their_place(copy: Layout) -> None:
    import nibabel as nib

    anat = copy.derivatives("fmriprep") / "sub-01" / "anat"
    meshes = [anat / f"sub-01_hemi-{hemi}_midthickness.surf.gii" for hemi in "LR"]
    for path, x in zip(meshes, (-60.0, 40.0), strict=True):
        image = nib.load(path)
        image.darrays[0].data[:, 0] += x
        for one in image.darrays:
            one.meta = nib.gifti.GiftiMetaData()
        nib.save(image, path)
    assert record(copy)["problems"] == []
    exchange(*meshes)
    for key in (FIRST, SECOND):
        exchange(*(bold_path(copy, key, hemi=hemi) for hemi in "LR"))
    problems = record(copy)["problems"]
    assert any("hemi-L_midthickness.surf.gii: a mesh whose vertices lie at x = " in one
               and "expected the left hemisphere" in one for one in problems)


def test_an_image_of_no_set_is_told_with_its_row(copy: Layout) -> None:
    path = copy.events(SECOND)
    lines = path.read_text(encoding="utf-8").splitlines()
    k = next(k for k, line in enumerate(lines) if "px-" in line)
    name = next(cell for cell in lines[k].split("\t") if cell.startswith("px-"))
    path.write_text("\n".join([*lines[:k], lines[k].replace(name, f"{name}x"), *lines[k + 1:]]) + "\n")
    problems = "\n".join(record(copy)["problems"])
    assert f"{path.name}, row {k}: the image '{name}x'; expected an image_id of stimuli/manifest.tsv" in problems
    assert f"Did you mean {name!r}?" in problems


def test_a_series_with_its_sides_exchanged_is_told(copy: Layout) -> None:
    import h5py

    path = bold_path(copy, FIRST, hemi="L")
    data = read_series(path).data
    path.unlink()
    with h5py.File(path.with_name(path.name.replace(".func.gii", ".h5")), "w") as file:
        file["bold"] = data.T
    assert f"{len(data)} vertices: write it as volumes x vertices" in "\n".join(record(copy)["problems"])


def test_no_name_and_no_number_is_broken_at_80_columns(copy: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = ask(copy).output.split()
    for name in ("sub-01_hemi-L_midthickness.surf.gii", "sub-01_hemi-R_desc-rois_dseg.label.gii",
                 f"{FIRST}_hemi-*_space-fsnative_bold.func.gii"):
        assert name in words
    assert words.count("300") == 4
