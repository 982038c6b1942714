"""Disks against Dijkstra over the whole mesh, and what is kept of them."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from scipy.sparse.csgraph import dijkstra

from analysis.data import disks as module
from analysis.data.disks import find_disks, keep_disks
from analysis.data.surface import Surface
from analysis.data.template import load_fsaverage5, occipital_patch
from subjects.errors import AnalysisError
from tests.analysis.data.test_surface import grid


@pytest.fixture(scope="module")
def patch() -> Surface:
    return occipital_patch(load_fsaverage5()["L"], subdivisions=1)


@pytest.mark.parametrize("along", ["flat", "folded"])
@pytest.mark.parametrize("radius", [3.0, 11.0])
def test_disks_are_those_of_scipys_dijkstra_over_the_whole_mesh(patch, along, radius):
    indptr, indices = patch.disks(radius, along=along)
    graph = patch.edge_lengths(along)
    for v in np.random.default_rng(0).choice(patch.n_vertices, size=40, replace=False):
        whole = dijkstra(graph, directed=False, indices=v)
        assert indices[indptr[v]:indptr[v + 1]].tolist() == np.flatnonzero(whole <= radius).tolist()


@pytest.mark.parametrize("patch_mm", [0.5, 2.0, 500.0])
def test_the_size_of_the_patches_changes_nothing(patch, patch_mm):
    given = {"radius_mm": 2.5}
    wanted = find_disks(patch.adjacency, patch.flat, **given)
    for one, two in zip(find_disks(patch.adjacency, patch.flat, patch_mm=patch_mm, **given), wanted, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_vertex_without_edges_has_itself():
    sheet = grid(3, 3)
    lonely = Surface("L", np.vstack([sheet.vertices, [[90, 0, 0]]]).astype(np.float32), sheet.faces,
                     np.vstack([sheet.flat, [[90, 0]]]).astype(np.float32))
    indptr, indices = lonely.disks(2.0)
    assert indices[indptr[9]:].tolist() == [9]


def test_a_fold_brings_vertices_near_in_space_that_are_far_along_the_surface():
    """A sheet folded in two, 1 mm apart: what lies across the gap is 1 mm away through the air and in no disk."""
    sheet = grid(5, 20)
    x = sheet.flat[:, 0]
    folded = np.column_stack([np.where(x < 10, x, 19 - x), sheet.flat[:, 1], np.where(x < 10, 0.0, 1.0)])
    surface = Surface("L", folded.astype(np.float32), sheet.faces, sheet.flat)
    indptr, indices = surface.disks(3.0, along="folded")
    across = np.flatnonzero((x == 18) & (sheet.flat[:, 1] == 2))[0]
    here = np.flatnonzero((x == 1) & (sheet.flat[:, 1] == 2))[0]
    assert np.linalg.norm(folded[here] - folded[across]) == 1
    assert across not in indices[indptr[here]:indptr[here + 1]]


def test_neighbours_at_one_place_of_the_folded_surface_are_refused():
    sheet = grid(3, 3)
    vertices = sheet.vertices.copy()
    vertices[1] = vertices[0]
    flawed = Surface("L", vertices, sheet.faces, sheet.flat)
    with pytest.raises(AnalysisError, match="two neighbours at one place of the folded surface"):
        flawed.disks(2.0, along="folded")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVERSARIAL_FMRI_HOME", str(tmp_path))
    return tmp_path / "cache" / "disks"


def refuse(*_, **__):
    raise AssertionError("made anew")


def test_disks_are_made_once_a_mesh_radius_and_way(home, monkeypatch):
    sheet = grid(6, 8)
    made = sheet.kept_disks(2.0)
    others = [sheet.kept_disks(1.0), sheet.kept_disks(2.0, along="folded"), grid(6, 8, step_mm=0.8).kept_disks(2.0)]
    assert len(list(home.glob("*.npz"))) == 4
    assert len(others[2][1]) > len(made[1]) > len(others[0][1])
    monkeypatch.setattr(Surface, "disks", refuse)
    for one, two in zip(grid(6, 8).kept_disks(2.0), made, strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.dtype == two.dtype
    with pytest.raises(AssertionError, match="made anew"):
        grid(6, 8).kept_disks(2.5)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", None])
def test_a_broken_file_is_made_anew(home, content):
    sheet = grid(6, 8)
    made = sheet.kept_disks(2.0)
    path = next(home.glob("*.npz"))
    if content is None:
        np.savez(path, indptr=made[0][:-1], indices=made[1])
    else:
        path.write_bytes(content)
    for one, two in zip(sheet.kept_disks(2.0), made, strict=True):
        np.testing.assert_array_equal(one, two)
    with np.load(path) as file:
        np.testing.assert_array_equal(file["indptr"], made[0])


def test_where_nothing_can_be_kept_disks_are_made_each_time(home, caplog):
    home.parent.mkdir(parents=True)
    home.write_text("a file in the folder's place", encoding="utf-8")
    sheet = grid(4, 4)
    with caplog.at_level("INFO"):
        np.testing.assert_array_equal(sheet.kept_disks(2.0)[1], sheet.disks(2.0)[1])
    assert "disks are not kept" in caplog.text


def test_disks_that_nobody_asks_for_are_forgotten(home):
    sheet = grid(4, 4)
    sheet.kept_disks(1.0)
    old = next(home.glob("*.npz"))
    long_ago = time.time() - module.FORGOTTEN_S - 60
    os.utime(old, (long_ago, long_ago))
    sheet.kept_disks(1.0)  # asked for again: kept
    sheet.kept_disks(2.0)
    assert old.is_file()
    os.utime(old, (long_ago, long_ago))
    keep_disks(lambda: sheet.disks(3.0), points=sheet.flat, faces=sheet.faces, radius_mm=3.0)
    assert not old.is_file()
    assert len(list(home.glob("*.npz"))) == 2
