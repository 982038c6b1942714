"""Drawn regions against closed forms, and FreeSurfer's labels there and back."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from analysis.regions.drawing.outlines import (
    label_polygons,
    read_annotation,
    read_freesurfer_label,
    read_polygons,
    vertices_inside,
    write_freesurfer_label,
)
from analysis.regions.labels import ROIS
from subjects.errors import AnalysisError
from tests.analysis.data.test_surface import grid

SQUARE = [[2.0, 1.0], [5.0, 1.0], [5.0, 4.0], [2.0, 4.0]]


def test_vertices_within_a_square_its_rim_included_in_either_direction():
    flat = grid(6, 8).flat
    x, y = flat.T
    wanted = np.flatnonzero((x >= 2) & (x <= 5) & (y >= 1) & (y <= 4))
    for corners in (SQUARE, SQUARE[::-1]):
        np.testing.assert_array_equal(vertices_inside(flat, [np.array(corners)]), wanted)


def test_vertices_within_a_circle():
    flat = np.random.default_rng(0).uniform(-3, 3, size=(3000, 2))
    turn = np.linspace(0, 2 * np.pi, 721)[:-1]
    circle = 2 * np.column_stack([np.cos(turn), np.sin(turn)])
    radius = np.hypot(*flat.T)
    found = np.isin(np.arange(3000), vertices_inside(flat, [circle]))
    near = np.abs(radius - 2) < 1e-3  # between the polygon and the circle
    np.testing.assert_array_equal(found[~near], radius[~near] < 2)


def write(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_polygons_of_a_file_become_labels(tmp_path):
    flat = grid(6, 12).flat
    far = [[x + 5.5, y] for x, y in SQUARE]
    labels = label_polygons(flat, read_polygons(write(tmp_path / "p.json", {"V2": [SQUARE], "LO": [far]})), names=ROIS,
                            where="hemi-L")
    x, y = flat.T
    np.testing.assert_array_equal(labels == 2, (x >= 2) & (x <= 5) & (y >= 1) & (y <= 4))
    np.testing.assert_array_equal(labels == 5, (x >= 7.5) & (x <= 10.5) & (y >= 1) & (y <= 4))
    assert set(labels) == {0, 2, 5}


@pytest.mark.parametrize(("content", "text"), [
    ({"V9": [SQUARE]}, r"a region 'V9'; expected V1, V2"),
    ({"V1": [SQUARE], "V2": [[[4.0, 1.0], [7.0, 1.0], [7.0, 3.0]]]}, r"hemi-L, V2: 2 vertices of V1 too"),
    ({"V1": [[[90.0, 0.0], [99.0, 0.0], [99.0, 2.0]]]}, "hemi-L, V1: polygons that hold no vertex"),
    ({"V1": [SQUARE[:2]]}, "V1, polygon 1: .*expected three or more pairs"),
    ({"V1": [SQUARE, [[0, 0], [1], [2, 2]]]}, "V1, polygon 2: "),
    ({"V1": "a square"}, "V1, polygon 1: a square"),
])
def test_polygons_that_give_no_regions_are_named(tmp_path, content, text):
    with pytest.raises(AnalysisError, match=text):
        label_polygons(grid(6, 8).flat, read_polygons(write(tmp_path / "p.json", content)), names=ROIS, where="hemi-L")


def test_a_drawn_label_goes_out_and_back_unchanged(tmp_path):
    sheet = grid(6, 8)
    drawn = vertices_inside(sheet.flat, [np.array(SQUARE)])
    path = write_freesurfer_label(tmp_path / "lh.V1.label", drawn, points=sheet.vertices)
    np.testing.assert_array_equal(read_freesurfer_label(path, n_vertices=48, hemi="L"), drawn)
    vertices, values = nib.freesurfer.read_label(path, read_scalars=True)
    np.testing.assert_array_equal(vertices, drawn)
    assert not values.any()
    places = np.loadtxt(path, skiprows=2)[:, 1:4]
    np.testing.assert_allclose(places, sheet.vertices[drawn], atol=5e-4)


def test_a_label_of_one_vertex(tmp_path):
    path = write_freesurfer_label(tmp_path / "rh.one.label", np.array([3]), points=np.zeros((5, 3)),
                                  values=np.array([0.25]))
    assert read_freesurfer_label(path, n_vertices=5, hemi="R").tolist() == [3]


def test_labels_that_do_not_fit_are_named(tmp_path):
    path = write_freesurfer_label(tmp_path / "lh.V1.label", np.array([2, 7]), points=np.zeros((9, 3)))
    with pytest.raises(AnalysisError, match="vertex 7 of a mesh of 7; expected vertices of this mesh"):
        read_freesurfer_label(path, n_vertices=7)
    with pytest.raises(AnalysisError, match="a file of lh; expected one of rh"):
        read_freesurfer_label(path, n_vertices=9, hemi="R")
    twice = write_freesurfer_label(tmp_path / "twice.label", np.array([2, 2]), points=np.zeros((9, 3)))
    with pytest.raises(AnalysisError, match="named twice"):
        read_freesurfer_label(twice, n_vertices=9, hemi="R")
    whole = path.read_text(encoding="utf-8")
    path.write_text("\n".join(whole.splitlines()[:-1]) + "\n", encoding="utf-8")
    with pytest.raises(AnalysisError, match="1 lines of vertices; expected 2, as its second line says"):
        read_freesurfer_label(path, n_vertices=9)
    twice.write_text("no label\n", encoding="utf-8")
    with pytest.raises(AnalysisError, match="cannot be read"):
        read_freesurfer_label(twice, n_vertices=9)
    with pytest.raises(AnalysisError, match="no such file"):
        read_freesurfer_label(tmp_path / "gone.label", n_vertices=9)


def test_an_annotation_is_read_by_name(tmp_path):
    numbers = np.array([0, 1, 1, 2, 0])
    table = np.array([[25, 5, 25, 0, 0], [200, 10, 10, 0, 0], [10, 200, 10, 0, 0]])
    path = tmp_path / "rh.areas.annot"
    nib.freesurfer.write_annot(path, numbers, table, ["unknown", "V1", "LO"], fill_ctab=True)
    found = read_annotation(path, n_vertices=5, hemi="R")
    assert {name: one.tolist() for name, one in found.items()} == {"unknown": [0, 4], "V1": [1, 2], "LO": [3]}
    with pytest.raises(AnalysisError, match="5 vertices; expected 6, as the mesh"):
        read_annotation(path, n_vertices=6)
    with pytest.raises(AnalysisError, match="a file of rh"):
        read_annotation(path, n_vertices=5, hemi="L")
    path.write_bytes(b"none")
    with pytest.raises(AnalysisError, match="cannot be read"):
        read_annotation(path, n_vertices=5)
