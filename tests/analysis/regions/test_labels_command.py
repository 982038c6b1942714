"""``python -m analysis labels``: from files of other programs to labels that the analysis reads, and out again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from analysis.__main__ import cli
from analysis.data.gifti import write_label_map
from analysis.data.sources import SURFACES, resolve_subject, surface_paths
from analysis.data.surface import save_surface
from analysis.regions.drawing.outlines import read_freesurfer_label, write_freesurfer_label
from analysis.regions.labels import ROIS, read_labels
from analysis.regions.localizing.step import LABELS, label_paths
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import digest_file
from subjects.store import read_json
from tests.analysis.fabricated import COLUMNS, ROWS, make_labels, make_study, make_surface
from tests.analysis.volunteer import make_volunteer

N = ROWS * COLUMNS


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A preprocessed subject with a flat map and no labels."""
    found, _ = make_volunteer(tmp_path / "study", runs=1, n_vertices=N,
                              changes={"roi": {"vertices_per_hemisphere": 15}})
    for hemi in "LR":
        paths = surface_paths(found, source=SURFACES, sub="01", hemi=hemi)
        save_surface(make_surface(hemi), paths["midthickness"], flat_path=paths["flat"])
    return found


def files_of(folder: Path, *, left_out: tuple[str, ...] = ()) -> list[Path]:
    """Write FreeSurfer's labels of both hemispheres."""
    found = []
    for hemi, side in (("L", "lh"), ("R", "rh")):
        for k, name in enumerate(ROIS, start=1):
            if name not in left_out:
                found.append(write_freesurfer_label(folder / f"{side}.{name}.label",
                                                    np.flatnonzero(make_labels() == k),
                                                    points=make_surface(hemi).vertices))
    return found


def ask(layout: Layout, *more: str) -> Result:
    return CliRunner().invoke(cli, ["labels", "--study", str(layout.root), "--sub", "01", *more])


def given(files: list[Path]) -> list[str]:
    return [word for path in files for word in ("--from", str(path))]


def test_labels_of_freesurfer_become_those_that_the_analysis_reads_and_go_out_unchanged(layout: Layout,
                                                                                       tmp_path: Path) -> None:
    files = files_of(tmp_path)
    done = ask(layout, *given(files), "--export", str(tmp_path / "out"), "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    data = resolve_subject(layout, sub="01")
    for hemi, side in (("L", "lh"), ("R", "rh")):
        assert said["labels"][hemi] == str(data.labels[hemi])
        np.testing.assert_array_equal(read_labels(data.labels[hemi], hemi=hemi), make_labels())
        for k, name in enumerate(ROIS, start=1):
            back = read_freesurfer_label(tmp_path / "out" / f"{side}.{name}.label", n_vertices=N)
            np.testing.assert_array_equal(back, np.flatnonzero(make_labels() == k))
            assert (tmp_path / "out" / f"{side}.{name}.label").read_bytes() == \
                (tmp_path / f"{side}.{name}.label").read_bytes()
    assert [row["n_vertices"] for row in said["regions"]] == [60] * 10
    assert said["faults"] == []
    with Image.open(said["picture"]) as picture:
        assert picture.width > 1000
    beside = read_json(data.labels["L"].with_name(data.labels["L"].name.replace(".label.gii", ".json")))
    assert beside["inputs"]["lh.V1.label"] == digest_file(tmp_path / "lh.V1.label")
    assert beside["Vertices"] == dict.fromkeys(ROIS, 60)


def test_what_is_missing_is_said_with_status_1(layout: Layout, tmp_path: Path) -> None:
    done = ask(layout, *given(files_of(tmp_path, left_out=("V4",))))
    assert done.exit_code == 1
    assert "LOOK: hemi-L: no V4" in done.output
    assert "V1" in done.output


def test_labels_are_not_replaced_unasked(layout: Layout, tmp_path: Path) -> None:
    files = files_of(tmp_path)
    assert ask(layout, *given(files)).exit_code == 0
    before = {hemi: digest_file(path) for hemi, path in resolve_subject(layout, sub="01").labels.items()}
    done = ask(layout, *given(files[1:]))
    assert isinstance(done.exception, AnalysisError)
    assert "labels of this subject already; expected no such file" in str(done.exception)
    assert {hemi: digest_file(path) for hemi, path in resolve_subject(layout, sub="01").labels.items()} == before
    assert ask(layout, *given(files[1:]), "--overwrite").exit_code == 1  # without V1 of the left hemisphere
    assert ask(layout).exit_code == 1


def test_a_fault_in_one_hemisphere_leaves_the_other_unwritten(layout: Layout, tmp_path: Path) -> None:
    files = files_of(tmp_path)
    twice = write_freesurfer_label(tmp_path / "rh.V3.label", np.arange(N), points=make_surface("R").vertices,
                                   overwrite=True)
    done = ask(layout, *given(files))
    assert isinstance(done.exception, AnalysisError)
    assert f"{twice}, V3" in str(done.exception)
    assert not any(path.is_file() for path in resolve_subject(layout, sub="01").labels.values())


def test_localized_areas_become_regions(layout: Layout, tmp_path: Path) -> None:
    done = ask(layout, "--localized", "LO", *given(files_of(tmp_path)))
    assert "Make them with `python -m analysis localizers --study" in str(done.exception)
    for hemi, path in label_paths(layout, sub="01").items():
        areas = np.where(np.arange(N) % COLUMNS >= 22, 1, np.where(np.arange(N) % COLUMNS == 21, 3, 0))
        write_label_map(path, {"localizers": areas.astype(np.int32)}, names=LABELS, hemi=hemi)
    assert ask(layout, "--localized", "LO", *given(files_of(tmp_path / "again"))).exit_code == 0
    found = read_labels(resolve_subject(layout, sub="01").labels["R"], hemi="R")
    np.testing.assert_array_equal(found == 5, (np.arange(N) % COLUMNS >= 22))


def test_words_that_are_no_names_are_refused(layout: Layout, tmp_path: Path) -> None:
    files = files_of(tmp_path)
    done = ask(layout, *given(files), "--rename", "V1")
    assert done.exit_code == 2
    assert "expected OLD=NEW, NEW one of V1, V2, V3, V4, LO" in done.output
    done = ask(layout, *given(files), "--localized", "V1")
    assert "--localized V1" in str(done.exception)
    assert "expected LO or hMT+" in str(done.exception)


def test_a_simulated_subjects_labels_are_listed_and_stay_as_they_are(tmp_path: Path) -> None:
    layout, _ = make_study(tmp_path / "study")
    assert "60" in ask(layout).output
    done = ask(layout, *given(files_of(tmp_path)))
    assert "a simulated subject, whose labels were made with it" in str(done.exception)


@pytest.fixture
def elsewhere(layout: Layout) -> list[Path]:
    """Labels of both hemispheres in fMRIPrep's folder: V1 and V2 exchanged."""
    exchanged = np.array([0, 2, 1, 3, 4, 5])[make_labels()].astype(np.int32)
    folder = layout.derivatives("fmriprep") / "sub-01" / "anat"
    return [write_label_map(folder / f"sub-01_hemi-{hemi}_desc-rois_dseg.label.gii", {"": exchanged},
                            names=dict(enumerate(ROIS, start=1)), hemi=hemi) for hemi in "LR"]


def test_labels_kept_elsewhere_are_not_hidden_behind_unasked(layout: Layout, elsewhere: list[Path],
                                                            tmp_path: Path) -> None:
    done = ask(layout, *given(files_of(tmp_path)))
    said = str(done.exception)
    assert said.startswith(f"{elsewhere[0]}: labels of this subject already; expected none")
    assert "Say --overwrite to have others in " in said
    assert "(this file stays as it is)" in said
    assert resolve_subject(layout, sub="01").labels["L"] == elsewhere[0]


def test_labels_kept_elsewhere_stay_as_they_are_and_own_ones_are_read(layout: Layout, elsewhere: list[Path],
                                                                      tmp_path: Path) -> None:
    before = [digest_file(path) for path in elsewhere]
    done = ask(layout, *given(files_of(tmp_path)), "--overwrite", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["not_read"] == {"L": str(elsewhere[0]), "R": str(elsewhere[1])}
    assert [digest_file(path) for path in elsewhere] == before
    for hemi, path in resolve_subject(layout, sub="01").labels.items():
        assert str(path) == said["labels"][hemi]
        assert path.parent == layout.derivatives(SURFACES) / "sub-01" / "anat"
        np.testing.assert_array_equal(read_labels(path, hemi=hemi), make_labels())
        path.unlink()
    assert json.loads(ask(layout, "--json").output)["labels"] == {"L": str(elsewhere[0]), "R": str(elsewhere[1])}
    assert f"L, there too and not read: {elsewhere[0]}" not in ask(layout).output


def test_a_file_that_is_not_there_is_named_with_those_beside_it(layout: Layout, tmp_path: Path) -> None:
    files = files_of(tmp_path)
    gone = tmp_path / "lh.V9.label"
    said = str(ask(layout, *given([*files, gone])).exception)
    assert said.startswith(f"--from {gone}: no such file; expected a file that ends with .label, .annot")
    assert "in that folder are lh.LO.label, lh.V1.label" in said
    assert "and others" in said
    nowhere = tmp_path / "nowhere" / "lh.V1.label"
    assert "no such file, nor such a folder" in str(ask(layout, *given([nowhere])).exception)
    assert not any(path.is_file() for path in resolve_subject(layout, sub="01").labels.values())
