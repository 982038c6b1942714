"""Region labels joined from files of other programs, polygons and localized areas; and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from analysis.data.gifti import write_label_map
from analysis.data.surface import Surface
from analysis.regions.drawing.checking import describe_regions, find_faults
from analysis.regions.drawing.collecting import collect_regions, read_file, side_of_name
from analysis.regions.drawing.outlines import (
    read_freesurfer_label,
    read_polygons,
    write_freesurfer_label,
    write_polygons,
)
from analysis.regions.labels import ROIS
from subjects.errors import AnalysisError
from tests.analysis.data.test_surface import grid

ROWS, COLUMNS = 8, 20
N = ROWS * COLUMNS


@pytest.fixture
def sheet() -> Surface:
    """A sheet that is bent when it is folded, so that places tell vertices apart."""
    flat = grid(ROWS, COLUMNS)
    folded = np.column_stack([-30 - 3 * flat.flat[:, 0], 3 * flat.flat[:, 1], 5 * np.sin(flat.flat[:, 0])])
    return Surface("L", folded.astype(np.float32), flat.faces, flat.flat)


def band(low: int, high: int) -> np.ndarray:
    """Vertices of some columns."""
    return np.flatnonzero((np.arange(N) % COLUMNS >= low) & (np.arange(N) % COLUMNS < high))


def write_label(folder: Path, name: str, vertices: np.ndarray, *, sheet: Surface, side: str = "lh") -> Path:
    return write_freesurfer_label(folder / f"{side}.{name}.label", vertices, points=sheet.vertices)


def write_annotation(folder: Path, regions: dict[str, np.ndarray]) -> Path:
    numbers = np.zeros(N, dtype=np.int64)
    for k, vertices in enumerate(regions.values(), start=1):
        numbers[vertices] = k
    table = np.array([[k, 40 * k, 10, 0, 0] for k in range(len(regions) + 1)])
    path = folder / "lh.areas.annot"
    nib.freesurfer.write_annot(path, numbers, table, ["unknown", *regions], fill_ctab=True)
    return path


def test_labels_annotations_gifti_and_polygons_are_joined(sheet: Surface, tmp_path: Path) -> None:
    gifti = np.zeros(N, dtype=np.int32)
    gifti[band(8, 10)], gifti[band(18, 20)] = 7, 9
    square = [[[11.5, -1.0], [14.5, -1.0], [14.5, 99.0], [11.5, 99.0]]]
    (tmp_path / "hemi-L_polygons.json").write_text(json.dumps({"LO": square}), encoding="utf-8")
    files = [write_label(tmp_path, "V1", band(0, 3), sheet=sheet),
             write_annotation(tmp_path, {"V2d": band(3, 5), "V2v": band(5, 6), "V3": band(6, 8)}),
             write_label_map(tmp_path / "a_hemi-L_b.label.gii", {"": gifti}, names={7: "V4", 9: "FFA"}, hemi="L"),
             tmp_path / "hemi-L_polygons.json"]
    found = collect_regions(files, hemi="L", surface=sheet, names=ROIS, renamed={"V2d": "V2", "V2v": "V2"})
    assert (found.names, found.passed_over) == (ROIS, ("FFA",))
    for k, (low, high) in enumerate(((0, 3), (3, 6), (6, 8), (8, 10), (12, 15)), start=1):
        np.testing.assert_array_equal(np.flatnonzero(found.labels == k), band(low, high))


def test_regions_that_are_missing_have_no_number(sheet: Surface, tmp_path: Path) -> None:
    files = [write_label(tmp_path, name, band(low, low + 2), sheet=sheet) for name, low in (("LO", 0), ("V2", 5))]
    found = collect_regions(files, hemi="L", surface=sheet, names=ROIS)
    assert found.names == ("V2", "LO")
    np.testing.assert_array_equal(np.flatnonzero(found.labels == 2), band(0, 2))


def test_overlaps_are_counted_and_named(sheet: Surface, tmp_path: Path) -> None:
    files = [write_label(tmp_path, "V1", band(0, 4), sheet=sheet), write_label(tmp_path, "V2", band(3, 6), sheet=sheet)]
    with pytest.raises(AnalysisError, match=rf"lh.V2.label, V2: {ROWS} vertices of V1 too \(lh.V1.label\)"):
        collect_regions(files, hemi="L", surface=sheet, names=ROIS)


def test_a_label_of_no_region_of_the_study_is_refused(sheet: Surface, tmp_path: Path) -> None:
    path = write_label(tmp_path, "V1_exvivo", band(0, 4), sheet=sheet)
    with pytest.raises(AnalysisError, match="a region 'V1_exvivo'; expected V1, V2.*--rename"):
        collect_regions([path], hemi="L", surface=sheet, names=ROIS)
    found = collect_regions([path], hemi="L", surface=sheet, names=ROIS, renamed={"V1_exvivo": "V1"})
    np.testing.assert_array_equal(np.flatnonzero(found.labels), band(0, 4))


def test_a_localized_region_is_what_was_found_within_its_outline_or_beside_the_others(sheet: Surface,
                                                                                     tmp_path: Path) -> None:
    outline, v1 = (write_label(tmp_path, name, band(*place), sheet=sheet)
                   for name, place in (("LO", (10, 15)), ("V1", (0, 8))))
    mask = np.zeros(N, dtype=bool)
    mask[band(6, 12)] = True
    within = collect_regions([outline, v1], hemi="L", surface=sheet, names=ROIS, localized={"LO": mask})
    np.testing.assert_array_equal(np.flatnonzero(within.labels == 2), band(10, 12))
    beside = collect_regions([v1], hemi="L", surface=sheet, names=ROIS, localized={"LO": mask})
    np.testing.assert_array_equal(np.flatnonzero(beside.labels == 2), band(8, 12))
    with pytest.raises(AnalysisError, match="an outline that holds nothing of what the localizer found"):
        collect_regions([outline], hemi="L", surface=sheet, names=ROIS, localized={"LO": np.zeros(N, dtype=bool)})
    with pytest.raises(AnalysisError, match=f"a localized area of 3 vertices on a mesh of {N}"):
        collect_regions([outline], hemi="L", surface=sheet, names=ROIS, localized={"LO": mask[:3]})


def test_the_label_of_another_subject_or_hemisphere_is_refused_by_its_places(sheet: Surface, tmp_path: Path) -> None:
    path = write_label(tmp_path, "V1", band(0, 9), sheet=sheet)
    for shift in (0.0, 12.0):  # about another origin: the same mesh still
        moved = sheet.vertices + np.float32(shift) * np.array([0.5, 1, -1], dtype=np.float32)
        assert len(read_freesurfer_label(path, n_vertices=N, points=moved)) == len(band(0, 9))
    other = sheet.vertices[::-1].copy()
    with pytest.raises(AnalysisError, match=r"places \d+ mm apart from those of its vertices; expected"):
        read_freesurfer_label(path, n_vertices=N, points=other)
    mirrored = sheet.vertices * np.array([-1, 1, 1], dtype=np.float32)
    with pytest.raises(AnalysisError, match=r"places \d+ mm"):
        read_freesurfer_label(path, n_vertices=N, points=mirrored)
    right = sheet.vertices + np.array([90, 0, 0], dtype=np.float32)
    with pytest.raises(AnalysisError, match="places 90 mm further to the left than its vertices"):
        read_freesurfer_label(path, n_vertices=N, points=right)
    nowhere = write_freesurfer_label(tmp_path / "lh.no.label", band(0, 9), points=np.zeros((N, 3)))
    assert len(read_freesurfer_label(nowhere, n_vertices=N, points=other)) == len(band(0, 9))


def test_polygons_remember_what_they_were_drawn_on(sheet: Surface, tmp_path: Path) -> None:
    square = np.array([[1.0, 1.0], [5.0, 1.0], [5.0, 5.0]])
    path = write_polygons(tmp_path / "hemi-L_p.json", {"V1": [square]}, hemi="L", flat=sheet.flat)
    np.testing.assert_array_equal(read_polygons(path, hemi="L", flat=sheet.flat)["V1"][0], square)
    with pytest.raises(AnalysisError, match="polygons of hemisphere L; expected hemisphere R"):
        read_polygons(path, hemi="R")
    with pytest.raises(AnalysisError, match="polygons that were drawn on another flat map"):
        read_polygons(path, hemi="L", flat=sheet.flat + np.float32(1))
    with pytest.raises(AnalysisError, match="polygons that hold no vertex"):
        write_polygons(path, {"V1": [square + 90]}, hemi="L", flat=sheet.flat, overwrite=True)
        read_file(path, hemi="L", surface=sheet)


@pytest.mark.parametrize(("name", "text"), [
    ("lh.V1.txt", r"a file of another kind; expected .label, .annot, .label.gii, .json"),
    ("rh.V1.label", "a file of rh; expected one of lh"),
])
def test_files_of_another_kind_or_side_are_refused(sheet: Surface, tmp_path: Path, name: str, text: str) -> None:
    write_label(tmp_path, "V1", band(0, 2), sheet=sheet).rename(tmp_path / name)
    with pytest.raises(AnalysisError, match=text):
        read_file(tmp_path / name, hemi="L", surface=sheet)


def test_a_gifti_of_another_mesh_is_refused(sheet: Surface, tmp_path: Path) -> None:
    path = write_label_map(tmp_path / "a_hemi-L_b.label.gii", {"": np.ones(5, dtype=np.int32)}, names={1: "V1"},
                           hemi="L")
    with pytest.raises(AnalysisError, match=f"5 vertices; expected {N}, as the mesh"):
        read_file(path, hemi="L", surface=sheet)


def test_a_name_without_a_side_is_refused() -> None:
    assert side_of_name(Path("lh_V1.json")) == "L"
    with pytest.raises(AnalysisError, match="does not say which hemisphere"):
        side_of_name(Path("V1.label"))


def test_sizes_pieces_neighbours_and_what_is_off_the_map_are_told(sheet: Surface) -> None:
    labels = np.zeros(N, dtype=np.int16)
    labels[band(0, 4)], labels[band(4, 6)], labels[band(8, 9)], labels[band(12, 13)] = 1, 2, 2, 2
    kept = sheet.faces[~np.isin(sheet.faces, band(0, 1)).any(axis=1)]
    cut = Surface("L", sheet.vertices, kept, sheet.flat)
    v1, v2, v3 = describe_regions(cut, labels, names=("V1", "V2", "V3"))
    assert (v1.n_vertices, v1.n_off_map, v1.n_pieces, v1.neighbours) == (4 * ROWS, ROWS, 1, ("V2",))
    assert (v2.n_pieces, v2.stray_pct, v2.neighbours) == (3, 25.0, ("V1",))
    assert (v3.n_vertices, v3.n_pieces, v3.area_mm2, v3.neighbours) == (0, 0, 0.0, ())
    assert v1.area_mm2 == pytest.approx(cut.vertex_areas()[labels == 1].sum())
    with pytest.raises(AnalysisError, match=f"3 labels for {N} vertices"):
        describe_regions(sheet, labels[:3], names=("V1",))


def test_faults_name_what_would_mislead(sheet: Surface) -> None:
    labels = np.zeros(N, dtype=np.int16)
    labels[band(0, 8)], labels[band(10, 12)], labels[band(14, 15)], labels[band(17, 18)] = 1, 2, 2, 2
    small = np.where(labels == 1, 0, labels)
    small[band(0, 2)] = 1
    found = {hemi: describe_regions(sheet, one, names=("V1", "V2")) for hemi, one in (("L", labels), ("R", small))}
    said = list(find_faults(found, wanted=("V1", "V2", "V3"), least=20))
    assert said == ["hemi-L V2: 25 % lie outside its two largest pieces", "hemi-L: no V3",
                    "hemi-R V1: 16 vertices on the flat map, fewer than the 20 of roi.vertices_per_hemisphere",
                    "hemi-R V2: 25 % lie outside its two largest pieces", "hemi-R: no V3",
                    "V1: 64 vertices in one hemisphere and 16 in the other"]
