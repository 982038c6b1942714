"""Surfaces against closed forms, a plain Dijkstra loop and nilearn's own reading."""

from __future__ import annotations

import heapq

import nibabel as nib
import numpy as np
import pytest
from nilearn import datasets
from nilearn.surface import load_surf_mesh

from analysis.data.sources import resolve_subject, surface_paths
from analysis.data.surface import Surface, load_surface, save_surface, triangle_areas
from analysis.data.template import load_fsaverage5, occipital_patch, occipital_pole, subdivide
from subjects.errors import AnalysisError
from subjects.profile import register
from subjects.run_key import RunKey


def grid(rows: int, columns: int, *, hemi: str = "L", step_mm: float = 1.0) -> Surface:
    """A sheet whose squares are split along the diagonal from (x, y) to (x + 1, y + 1)."""
    y, x = np.divmod(np.arange(rows * columns), columns)
    corner = np.flatnonzero((x < columns - 1) & (y < rows - 1))
    below = np.stack([corner, corner + 1, corner + columns + 1], axis=1)
    above = np.stack([corner, corner + columns + 1, corner + columns], axis=1)
    flat = step_mm * np.stack([x, y], axis=1).astype(np.float32)
    folded = np.column_stack([flat, np.zeros(len(flat), dtype=np.float32)])
    return Surface(hemi, folded, np.concatenate([below, above]).astype(np.int32), flat)


def random_sheet(seed: int) -> Surface:
    sheet, rng = grid(7, 9), np.random.default_rng(seed)
    flat = sheet.flat + rng.uniform(-0.3, 0.3, sheet.flat.shape).astype(np.float32)
    return Surface("R", sheet.vertices, sheet.faces, flat)


def plain_dijkstra(surface: Surface, start: int) -> np.ndarray:
    neighbours: dict[int, dict[int, float]] = {}
    for face in surface.faces.tolist():
        for a, b in ((face[0], face[1]), (face[1], face[2]), (face[2], face[0])):
            length = float(np.hypot(*(surface.flat[a].astype(float) - surface.flat[b])))
            neighbours.setdefault(a, {})[b] = length
            neighbours.setdefault(b, {})[a] = length
    distance = {start: 0.0}
    queue = [(0.0, start)]
    while queue:
        so_far, here = heapq.heappop(queue)
        for there, length in neighbours[here].items():
            if so_far + length < distance.get(there, np.inf):
                distance[there] = so_far + length
                heapq.heappush(queue, (so_far + length, there))
    return np.array([distance.get(v, np.inf) for v in range(surface.n_vertices)])


@pytest.fixture(scope="module")
def brain() -> dict[str, Surface]:
    return load_fsaverage5()


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.5, 4.0])
def test_disks_on_a_grid_have_a_closed_form(radius):
    sheet = grid(9, 11)
    indptr, indices = sheet.disks(radius)
    for v in range(sheet.n_vertices):
        dx, dy = (sheet.flat - sheet.flat[v]).T
        along = np.minimum(np.abs(dx), np.abs(dy)) * (dx * dy > 0)
        distance = np.sqrt(2) * along + np.abs(dx) + np.abs(dy) - 2 * along
        assert indices[indptr[v]:indptr[v + 1]].tolist() == np.flatnonzero(distance <= radius + 1e-9).tolist()


@pytest.mark.parametrize("seed", [0, 1])
def test_disks_equal_a_plain_dijkstra(seed):
    sheet = random_sheet(seed)
    indptr, indices = sheet.disks(2.2)
    for v in range(0, sheet.n_vertices, 5):
        expected = plain_dijkstra(sheet, v)
        np.testing.assert_allclose(sheet.distances(np.array([v]))[0], expected, rtol=1e-6)
        assert indices[indptr[v]:indptr[v + 1]].tolist() == np.flatnonzero(expected <= 2.2).tolist()


def test_disks_are_symmetric_and_hold_their_centre(brain):
    indptr, indices = occipital_patch(brain["L"], subdivisions=0).disks(4.0)
    pairs = {(v, int(w)) for v in range(len(indptr) - 1) for w in indices[indptr[v]:indptr[v + 1]]}
    assert pairs == {(w, v) for v, w in pairs}
    assert all((v, v) in pairs for v in range(len(indptr) - 1))


def test_disks_follow_a_renumbering_of_the_vertices():
    sheet, order = random_sheet(7), np.random.default_rng(8).permutation(63)
    place = np.argsort(order).astype(np.int32)
    renumbered = Surface("R", sheet.vertices[order], place[sheet.faces], sheet.flat[order])
    own, other = (surface.disks(2.0) for surface in (sheet, renumbered))
    for v in range(63):
        there = order[other[1][other[0][place[v]]:other[0][place[v] + 1]]]
        assert sorted(there) == own[1][own[0][v]:own[0][v + 1]].tolist()


def test_disks_grow_with_the_radius_and_not_with_a_shift():
    sheet = random_sheet(9)
    sizes = [np.diff(sheet.disks(radius)[0]) for radius in (1.0, 2.0, 3.0)]
    assert (sizes[0] <= sizes[1]).all()
    assert (sizes[1] < sizes[2]).all()
    moved = Surface("R", sheet.vertices, sheet.faces, sheet.flat + np.float32(64))
    np.testing.assert_array_equal(np.diff(moved.disks(2.0)[0]), sizes[1])


def test_a_disk_is_that_of_a_mesh_twice_as_large():
    sheet = random_sheet(10)
    twice = Surface("R", sheet.vertices, sheet.faces, 2 * sheet.flat)
    for one, two in zip(sheet.disks(2.0), twice.disks(4.0), strict=True):
        np.testing.assert_array_equal(one, two)


def test_only_the_flat_map_counts_for_distances():
    sheet = random_sheet(11)
    crumpled = Surface("R", sheet.vertices * np.array([1, 1, 9], np.float32) + 3, sheet.faces, sheet.flat)
    np.testing.assert_array_equal(crumpled.disks(2.0)[1], sheet.disks(2.0)[1])


def test_distance_to_the_nearest_target():
    sheet = random_sheet(3)
    expected = np.minimum(plain_dijkstra(sheet, 4), plain_dijkstra(sheet, 60))
    np.testing.assert_allclose(sheet.distance_to(np.array([4, 60])), expected, rtol=1e-6)


def test_adjacency_is_symmetric_with_edge_lengths():
    table = grid(3, 3, step_mm=2.0).adjacency.toarray()
    np.testing.assert_array_equal(table, table.T)
    np.testing.assert_allclose(table[0, [1, 3, 4, 2]], [2, 2, 2 * np.sqrt(2), 0], rtol=1e-7)


def test_fsaverage5_is_midway_and_on_the_flat_map(brain):
    files = datasets.fetch_surf_fsaverage("fsaverage5")
    for hemi, side in (("L", "left"), ("R", "right")):
        white, pial, flat = (load_surf_mesh(files[f"{kind}_{side}"]) for kind in ("white", "pial", "flat"))
        kept = np.unique(flat.faces)
        middle = (white.coordinates[kept].astype(float) + pial.coordinates[kept]) / 2
        np.testing.assert_allclose(brain[hemi].vertices, middle, atol=1e-5)
        np.testing.assert_array_equal(brain[hemi].flat, flat.coordinates[kept, :2])
        np.testing.assert_array_equal(kept[brain[hemi].faces], flat.faces)
        assert brain[hemi].n_vertices < len(flat.coordinates)


def test_the_patch_is_one_disk_around_the_pole(brain):
    for hemi, surface in brain.items():
        patch = occipital_patch(surface, subdivisions=1)
        assert len(np.unique(patch.components())) == 1
        assert patch.euler_characteristic == 1
        assert patch.distortion().n_folded_over == 0
        reach = np.linalg.norm(patch.flat - patch.flat[occipital_pole(patch)], axis=1)
        assert reach.max() <= 75.0
        assert set(np.sign(patch.vertices[:, 0])) == {-1.0 if hemi == "L" else 1.0}


def test_subdivision_makes_the_3_mm_disks_dense(brain):
    sizes = [np.diff(occipital_patch(brain["L"], subdivisions=n).disks(3.0)[0]).mean() for n in (0, 1)]
    assert sizes[0] < 5
    assert 12 < sizes[1] < 20


@pytest.mark.parametrize("times", [1, 2])
def test_subdivision_keeps_topology_areas_and_old_vertices(times):
    sheet = random_sheet(4)
    fine = subdivide(sheet, times=times)
    assert fine.euler_characteristic == sheet.euler_characteristic == 1
    assert len(fine.faces) == 4**times * len(sheet.faces)
    np.testing.assert_array_equal(fine.flat[:sheet.n_vertices], sheet.flat)
    parts = triangle_areas(fine.flat, fine.faces).reshape(len(sheet.faces), -1)
    whole = triangle_areas(sheet.flat, sheet.faces)
    np.testing.assert_allclose(parts, np.tile(whole[:, None] / 4**times, parts.shape[1]), rtol=1e-4)


def test_new_vertices_lie_midway_on_both_meshes():
    sheet = random_sheet(5)
    fine = subdivide(sheet)
    for k, (a, b) in enumerate(sheet.edges, start=sheet.n_vertices):
        np.testing.assert_allclose(fine.flat[k], (sheet.flat[a] + sheet.flat[b]) / 2, atol=1e-6)
        np.testing.assert_allclose(fine.vertices[k], (sheet.vertices[a] + sheet.vertices[b]) / 2, atol=1e-6)


def test_no_subdivision_leaves_the_mesh_alone():
    sheet = grid(3, 3)
    assert subdivide(sheet, times=0) is sheet


def test_areas_and_distortion_have_closed_forms():
    sheet = grid(4, 5)
    assert triangle_areas(sheet.flat, sheet.faces).sum() == pytest.approx(12.0)
    assert triangle_areas(sheet.vertices, sheet.faces).sum() == pytest.approx(12.0)
    stretched = Surface("L", sheet.vertices, sheet.faces, 2 * sheet.flat).distortion()
    np.testing.assert_allclose(stretched.area, 2.0)
    np.testing.assert_allclose(stretched.length, 1.0, atol=1e-6)
    assert "flat over folded area 4.00 (5-95 %: 4.00-4.00), edge length 2.00" in stretched.summary()
    mirrored = Surface("L", sheet.vertices, sheet.faces, sheet.flat * np.array([-1, 1], np.float32)).distortion()
    assert mirrored.n_folded_over == len(sheet.faces)


def test_rim_edges_are_the_outline():
    edges = grid(3, 4).rim_edges()
    assert sorted({*edges.ravel().tolist()}) == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    assert len(edges) == 10


def test_restricting_keeps_whole_triangles():
    sheet = grid(3, 3)
    piece, places = sheet.restrict(np.arange(9) != 8)
    assert places.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert len(piece.faces) == 6
    np.testing.assert_array_equal(places[piece.faces], [face for face in sheet.faces if 8 not in face])


def test_components_of_two_sheets():
    one = grid(2, 2)
    two = Surface("L", np.concatenate([one.vertices, one.vertices + 9]), np.concatenate([one.faces, one.faces + 4]),
                  np.concatenate([one.flat, one.flat + 9]))
    assert two.components().tolist() == [0] * 4 + [1] * 4
    assert two.euler_characteristic == 2
    assert not np.isfinite(two.distances(np.array([0]))[0, 4:]).any()


def test_gifti_round_trip(tmp_path):
    sheet = random_sheet(6)
    paths = tmp_path / "a.surf.gii", tmp_path / "b.surf.gii"
    save_surface(sheet, paths[0], flat_path=paths[1])
    back = load_surface(paths[0], flat_path=paths[1], hemi="R")
    for name in ("vertices", "faces", "flat"):
        np.testing.assert_array_equal(getattr(back, name), getattr(sheet, name))
    np.testing.assert_array_equal(load_surf_mesh(str(paths[1])).coordinates[:, 2], 0)
    assert nib.load(paths[0]).darrays[0].meta["AnatomicalStructurePrimary"] == "CortexRight"


def test_a_subjects_surface_is_found_by_its_layout(study):
    paths = surface_paths(study, source="simulated", sub="01", hemi="L")
    assert paths["flat"].as_posix().endswith("derivatives/simulated/sub-01/anat/sub-01_hemi-L_flat.surf.gii")
    save_surface(grid(3, 3), paths["midthickness"], flat_path=paths["flat"])
    register(study, "01", virtual=True)
    bold = study.bold("simulated", key=RunKey("01", "01", "main", 1), hemi="L", space="occipital")
    bold.parent.mkdir(parents=True)
    bold.touch()
    assert resolve_subject(study, sub="01").load_surface("L").n_vertices == 9


def _broken(**changes) -> Surface:
    sheet = grid(3, 3)
    parts = {"hemi": "L", "vertices": sheet.vertices.copy(), "faces": sheet.faces.copy(), "flat": sheet.flat.copy()}
    for name, change in changes.items():
        parts[name] = change(parts[name])
    return Surface(**parts)


def _put(place: tuple[int, int], value: float):
    def change(array: np.ndarray) -> np.ndarray:
        array[place] = value
        return array
    return change


@pytest.mark.parametrize(("changes", "text"), [
    ({"hemi": lambda _: "left"}, "hemisphere 'left'"),
    ({"faces": _put((2, 1), 9)}, "face 2 naming vertex 9; expected vertices 0 to 8"),
    ({"faces": _put((3, 0), -1)}, "face 3 naming vertex -1"),
    ({"faces": lambda faces: np.vstack([faces, [4, 4, 5]]).astype(np.int32)}, "face 8 naming one vertex twice"),
    ({"vertices": _put((4, 2), np.nan)}, "vertices row 4 not finite"),
    ({"flat": _put((5, 0), np.inf)}, "flat row 5 not finite"),
    ({"flat": lambda flat: flat[:-1]}, r"flat map of shape \(8, 2\)"),
    ({"vertices": lambda xyz: xyz[:, :2]}, r"vertices of shape \(9, 2\)"),
    ({"faces": lambda faces: faces[:, :2]}, r"faces of shape \(8, 2\)"),
])
def test_a_mesh_with_one_fault_is_refused(changes, text):
    with pytest.raises(AnalysisError, match=text):
        _broken(**changes)


def test_neighbours_at_one_place_are_refused():
    with pytest.raises(AnalysisError, match="two neighbours at one place"):
        _ = _broken(flat=lambda flat: np.where(np.arange(9)[:, None] == 1, flat[0], flat)).adjacency


def test_a_radius_of_nothing_is_refused():
    with pytest.raises(AnalysisError, match="a radius of 0 mm"):
        grid(2, 2).disks(0.0)


def test_patches_that_cannot_be_cut_are_refused(brain):
    with pytest.raises(AnalysisError, match="no triangle within 0.1 mm of the occipital pole"):
        occipital_patch(brain["L"], radius_mm=0.1)
    rows, columns = np.divmod(np.arange(25), 5)
    pierced, _ = grid(5, 5).restrict((rows != 2) | (columns != 2))
    with pytest.raises(AnalysisError, match="Euler characteristic 0"):
        occipital_patch(pierced)


def test_meshes_that_do_not_share_vertices_are_refused(tmp_path):
    save_surface(grid(3, 3), tmp_path / "a.surf.gii", flat_path=tmp_path / "b.surf.gii")
    save_surface(grid(3, 4), tmp_path / "c.surf.gii", flat_path=tmp_path / "d.surf.gii")
    with pytest.raises(AnalysisError, match=r"flat map of shape \(12, 2\); expected \(9, 2\)"):
        load_surface(tmp_path / "a.surf.gii", flat_path=tmp_path / "d.surf.gii", hemi="L")


def test_files_that_are_no_mesh_are_refused(tmp_path):
    with pytest.raises(AnalysisError, match="no such file; expected a surface mesh"):
        load_surface(tmp_path / "a.surf.gii", flat_path=tmp_path / "b.surf.gii", hemi="L")
    (tmp_path / "a.surf.gii").write_text("no XML", encoding="utf-8")
    with pytest.raises(AnalysisError, match="a file that cannot be read"):
        load_surface(tmp_path / "a.surf.gii", flat_path=tmp_path / "b.surf.gii", hemi="L")
    nib.save(nib.gifti.GiftiImage(darrays=[nib.gifti.GiftiDataArray(np.zeros(3, np.float32))]), tmp_path / "c.gii")
    with pytest.raises(AnalysisError, match="without one set of points and one of triangles"):
        load_surface(tmp_path / "c.gii", flat_path=tmp_path / "c.gii", hemi="L")
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), tmp_path / "d.nii")
    with pytest.raises(AnalysisError, match="a Nifti1Image; expected a surface mesh"):
        load_surface(tmp_path / "d.nii", flat_path=tmp_path / "c.gii", hemi="L")
