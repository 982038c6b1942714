"""Schematic regions on the standard patch, and label files."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from nilearn.surface import load_surf_data

from analysis.data.sources import labels_path
from analysis.data.surface import Surface
from analysis.data.template import load_fsaverage5, occipital_patch
from analysis.regions.labels import ROIS, read_labels, write_labels
from analysis.regions.schematic import calcarine_coordinates, schematic_regions
from subjects.errors import AnalysisError


@pytest.fixture(scope="module")
def patches() -> dict[str, Surface]:
    return {hemi: occipital_patch(surface, subdivisions=1) for hemi, surface in load_fsaverage5().items()}


@pytest.fixture(scope="module")
def labels(patches) -> dict[str, np.ndarray]:
    return {hemi: schematic_regions(patch) for hemi, patch in patches.items()}


def test_every_region_has_vertices_enough(patches, labels):
    for hemi, patch in patches.items():
        assert labels[hemi].dtype == np.int16
        sizes = np.bincount(labels[hemi], minlength=6)[1:]
        assert sizes.min() >= 150
        disks = np.diff(patch.disks(3.0)[0])
        assert min((disks[labels[hemi] == k] >= 10).sum() for k in range(1, 6)) >= 100


def test_hemispheres_are_alike(labels):
    left, right = (np.bincount(labels[hemi], minlength=6)[1:] for hemi in ("L", "R"))
    assert (np.abs(np.log2(left / right)) < 0.3).all()


def test_regions_lie_where_a_textbook_has_them(patches, labels):
    for hemi, patch in patches.items():
        along, away = calcarine_coordinates(patch)
        centre = {roi: (along[labels[hemi] == k].mean(), away[labels[hemi] == k].mean())
                  for k, roi in enumerate(ROIS, start=1)}
        assert centre["V1"][1] < centre["V2"][1] < centre["V3"][1] < centre["V4"][1]
        assert centre["V4"][0] < -20 < centre["LO"][0] < 20
        x, _, z = patch.vertices[labels[hemi] == 4].mean(axis=0)
        assert 25 < abs(x) < 45
        assert z < -5
        for k in (2, 3):
            assert {-1.0, 1.0} <= set(np.sign(along[labels[hemi] == k]))


def test_bands_touch_in_order(patches, labels):
    for hemi, patch in patches.items():
        sides = np.sort(labels[hemi][patch.edges], axis=1)
        touching = {tuple(pair) for pair in sides.tolist()}
        assert {(1, 2), (2, 3), (3, 4)} <= touching
        assert (1, 3) not in touching
        assert not {(1, 4), (1, 5), (2, 5)} & touching


def test_v1_v4_and_lo_are_each_in_one_piece(patches, labels):
    for hemi, patch in patches.items():
        for k in (1, 4, 5):
            piece, _ = patch.restrict(labels[hemi] == k)
            assert len(np.unique(piece.components())) == 1


def test_a_finer_mesh_has_the_same_regions():
    whole = load_fsaverage5()["R"]
    coarse, fine = (schematic_regions(occipital_patch(whole, subdivisions=n)) for n in (0, 1))
    assert (fine[:len(coarse)] == coarse).mean() > 0.97
    shares = [np.bincount(labels, minlength=6) / len(labels) for labels in (coarse, fine)]
    np.testing.assert_allclose(shares[1], shares[0], atol=0.02)


def test_bands_narrow_towards_the_fovea(patches, labels):
    for hemi, patch in patches.items():
        along, away = calcarine_coordinates(patch)
        for k, outer in enumerate((14.0, 25.0, 34.0), start=1):
            fovea, periphery = (away[(labels[hemi] == k) & place].max()
                                for place in (np.abs(along) < 4, np.abs(along) > 25))
            assert fovea < 0.6 * outer
            assert 0.75 * outer < periphery <= outer


def test_calcarine_coordinates_of_a_half_disk():
    y, x = (part.ravel().astype(np.float32) for part in np.mgrid[-20:21, 0:21])
    inside = np.hypot(x, y) <= 20
    number = np.cumsum(inside) - 1
    a = np.flatnonzero(inside & (x < 20) & (y < 20))
    square = np.stack([a, a + 1, a + 22, a + 21], axis=1)
    square = square[inside[np.minimum(square, len(x) - 1)].all(axis=1)]
    faces = number[np.concatenate([square[:, [0, 1, 2]], square[:, [0, 2, 3]]])].astype(np.int32)
    flat = np.column_stack([x, y])[inside]
    folded = np.column_stack([x, np.hypot(x, y) - 90, y])[inside]
    along, away = calcarine_coordinates(Surface("L", folded, faces, flat))
    near = np.hypot(*flat.T) < 8
    np.testing.assert_allclose(away[near], flat[near, 0], atol=0.03)
    np.testing.assert_allclose(along, flat[:, 1], atol=1e-6)


def test_labels_round_trip_and_read_elsewhere(labels, tmp_path):
    path = write_labels(tmp_path / "a.label.gii", labels["L"], hemi="L")
    np.testing.assert_array_equal(read_labels(path), labels["L"])
    np.testing.assert_array_equal(load_surf_data(str(path)), labels["L"])
    assert nib.load(path).labeltable.get_labels_as_dict() == dict(enumerate(("???", *ROIS)))


def test_labels_are_joined_by_name_not_by_number(labels, tmp_path):
    path = write_labels(tmp_path / "a.label.gii", labels["L"], hemi="L")
    image = nib.load(path)
    for entry in image.labeltable.labels:
        entry.key = 10 * (7 - entry.key)
    image.darrays[0].data = (10 * (7 - image.darrays[0].data)).astype(np.int32)
    nib.save(image, tmp_path / "b.label.gii")
    np.testing.assert_array_equal(read_labels(tmp_path / "b.label.gii"), labels["L"])


def test_a_missing_region_is_named(labels, tmp_path):
    image = nib.load(write_labels(tmp_path / "a.label.gii", labels["L"], hemi="L"))
    image.labeltable.labels[4].label = "hV4"
    nib.save(image, tmp_path / "b.label.gii")
    with pytest.raises(AnalysisError, match="no label 'V4'; expected labels V1, V2, V3, V4, LO"):
        read_labels(tmp_path / "b.label.gii")


def test_two_arrays_are_refused(labels, tmp_path):
    image = nib.load(write_labels(tmp_path / "a.label.gii", labels["L"], hemi="L"))
    image.add_gifti_data_array(image.darrays[0])
    nib.save(image, tmp_path / "b.label.gii")
    with pytest.raises(AnalysisError, match="2 arrays; expected one label a vertex"):
        read_labels(tmp_path / "b.label.gii")


def test_a_sheet_without_a_cut_is_refused():
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    flat = np.vstack([[0, 0], np.column_stack([np.cos(angle), np.sin(angle)])]).astype(np.float32) * 9
    folded = np.column_stack([flat[:, 0], np.hypot(*flat.T) - 90, flat[:, 1]])
    faces = np.array([[0, 1 + k, 1 + (k + 1) % 24] for k in range(24)], dtype=np.int32)
    with pytest.raises(AnalysisError, match="no rim along a calcarine cut"):
        schematic_regions(Surface("L", folded.astype(np.float32), faces, flat))


def test_labels_have_their_place(study):
    path = labels_path(study, source="simulated", sub="02", hemi="R")
    assert path.as_posix().endswith("derivatives/simulated/sub-02/anat/sub-02_hemi-R_desc-rois_dseg.label.gii")
