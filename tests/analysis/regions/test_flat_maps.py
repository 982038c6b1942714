"""Flat maps of preprocessed subjects: a FreeSurfer patch as mris_flatten writes it, the template's by sphere.reg."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from analysis.data.flattening import flatten_freesurfer, read_patch, read_template
from analysis.data.sources import resolve_subject
from analysis.data.surface import save_surface
from analysis.regions.drawing.proposing import template_places
from analysis.regions.flat_maps import SubjectFlat
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.settings.study import Settings
from subjects.store import read_json
from tests.analysis.running_steps import run
from tests.analysis.simulation.test_meshes import write_subject
from tests.analysis.volunteer import make_volunteer


def write_patch(path: Path, rows: list[tuple[int, float, float, float]], *, mark: int = -1) -> Path:
    """Write a patch number by number: vertices from 1, negative on the rim."""
    body = b"".join(struct.pack(">ifff", *row) for row in rows)
    path.write_bytes(struct.pack(">ii", mark, len(rows)) + body)
    return path


def a_patch(folder: Path, *, side: str = "lh", z: float = 0.0) -> tuple[Path, np.ndarray]:
    """Write the back of a subject's hemisphere as a patch: y and z of its white surface are its places."""
    points, _ = nib.freesurfer.read_geometry(folder / "surf" / f"{side}.white")
    back = np.flatnonzero(points[:, 1] < np.percentile(points[:, 1], 20))
    rows = [((-1) ** k * (v + 1), points[v, 1], points[v, 2], z * k) for k, v in enumerate(back)]
    return write_patch(folder / "surf" / f"{side}.full.flat.patch.3d", rows), back


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_subject(tmp_path_factory.mktemp("freesurfer") / "bert")


@pytest.mark.parametrize("hemi", ["L", "R"])
def test_the_templates_own_vertices_come_to_their_own_places(bert: Path, hemi: str) -> None:
    """The subject is fsaverage5 with its vertices renumbered: the order is found by the white surface."""
    made = flatten_freesurfer(bert, hemi=hemi)
    assert made.n_vertices == 10242
    white, _ = nib.freesurfer.read_geometry(bert / "surf" / f"{'lh' if hemi == 'L' else 'rh'}.white")
    theirs, _ = read_template(hemi, "white")
    own = {tuple(point): k for k, point in enumerate(np.round(theirs * 1.1, 2))}
    number = np.array([own.get(tuple(point), -1) for point in np.round(white.astype(float), 2)])
    flat, on_map = read_template(hemi, "flat")
    there = np.flatnonzero(number >= 0)
    assert len(there) > 9000
    kept = np.intersect1d(np.unique(made.faces), there)
    assert np.median(np.abs(made.flat[kept] - flat[number[kept], :2])) < 0.02
    assert len(made.faces) > 0.95 * len(on_map)
    assert made.distortion().n_folded_over < 0.01 * len(made.faces)


def test_a_patch_is_read_number_by_number(tmp_path: Path) -> None:
    path = write_patch(tmp_path / "lh.flat.patch.3d", [(3, 1.5, 2.0, 0), (-5, -1.0, 0.25, 0), (1, 7.0, 8.0, 0)])
    flat = read_patch(path, n_vertices=6)
    np.testing.assert_array_equal(flat[[0, 2, 4]], [[7, 8], [1.5, 2], [-1, 0.25]])
    assert np.isnan(flat[[1, 3, 5]]).all()


@pytest.mark.parametrize(("rows", "mark", "text"), [
    ([(3, 0, 0, 0)], 7, "no binary patch"),
    ([(9, 0, 0, 0)], -1, "vertices that the surface lacks; expected a patch of a surface of 6"),
    ([(0, 0, 0, 0)], -1, "vertices that the surface lacks"),
    ([], -1, "vertices that the surface lacks"),
    ([(1, 0, 0, 0), (2, 0, 0, 30.0)], -1, "a patch 30.0 mm high; expected a flat one"),
])
def test_a_patch_with_one_fault_is_refused(tmp_path: Path, rows: list[tuple[int, float, float, float]], mark: int,
                                           text: str) -> None:
    with pytest.raises(AnalysisError, match=text):
        read_patch(write_patch(tmp_path / "lh.flat.patch.3d", rows, mark=mark), n_vertices=6)
    torn = tmp_path / "torn"
    torn.write_bytes(struct.pack(">iiif", -1, 2, 1, 0.0))
    with pytest.raises(AnalysisError, match="no binary patch"):
        read_patch(torn, n_vertices=6)


def test_a_patch_comes_before_the_templates_map(tmp_path: Path) -> None:
    folder = write_subject(tmp_path / "bert")
    _, back = a_patch(folder)
    made = flatten_freesurfer(folder, hemi="L")
    assert set(np.unique(made.faces)) <= set(back.tolist())
    white, _ = nib.freesurfer.read_geometry(folder / "surf" / "lh.white")
    np.testing.assert_allclose(made.flat[back], white[back, 1:], rtol=1e-5)
    (folder / "surf" / "lh.full.flat.patch.3d").unlink()
    write_patch(folder / "surf" / "lh.flat.patch.3d", [(k, k, 0, 0) for k in range(1, 50)])
    with pytest.raises(AnalysisError, match=r"lh.flat.patch.3d: \d+ of 20480 triangles on the flat map; expected at"):
        flatten_freesurfer(folder, hemi="L")


# --- the step ----------------------------------------------------------------------------------------------

@pytest.fixture
def volunteer(tmp_path: Path) -> tuple[Layout, Settings]:
    return make_volunteer(tmp_path / "study", runs=1)


def test_the_step_makes_what_the_later_steps_read(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    with pytest.raises(AnalysisError, match="no FreeSurfer folder for time series in fsnative; expected surf"):
        run("flatten", layout, settings)
    write_subject(layout.root / "sourcedata" / "freesurfer" / "sub-01")
    (work,) = run("flatten", layout, settings).works
    assert "flat over folded area" in work.tell()
    data = resolve_subject(layout, sub="01")
    assert data.surfaces["L"]["flat"] == layout.derivatives("surfaces") / "sub-01/anat/sub-01_hemi-L_flat.surf.gii"
    assert data.load_surface("R").n_vertices == 10242
    said = read_json(sidecar_path(work.outputs[0]))
    assert said["FlatMap"] == "fsaverage5's, by sphere.reg"
    assert set(said["inputs"]) == {"lh.white", "lh.pial", "lh.sphere.reg"}
    assert run("flatten", layout, settings).all_reused
    a_patch(layout.root / "sourcedata" / "freesurfer" / "sub-01")
    assert not run("flatten", layout, settings).all_reused
    assert read_json(sidecar_path(work.outputs[0]))["FlatMap"] == "lh.full.flat.patch.3d"


def test_fsaverage5_needs_no_folder(tmp_path: Path) -> None:
    layout, settings = make_volunteer(tmp_path / "study", runs=1, spelled="{key}_space-fsaverage5_hemi-{hemi}_bold")
    run("flatten", layout, settings)
    data = resolve_subject(layout, sub="01")
    assert data.surfaces["R"]["midthickness"].name == "sub-01_hemi-R_space-fsaverage5_midthickness.surf.gii"
    surface = data.load_surface("R")
    flat, faces = read_template("R", "flat")
    np.testing.assert_array_equal(surface.faces, faces)
    on_map = np.unique(faces)
    np.testing.assert_allclose(surface.flat[on_map], flat[on_map, :2], atol=1e-4)


def test_another_subjects_freesurfer_folder_is_refused(volunteer: tuple[Layout, Settings]) -> None:
    layout, settings = volunteer
    write_subject(layout.root / "sourcedata" / "freesurfer" / "sub-01")
    made = flatten_freesurfer(layout.root / "sourcedata" / "freesurfer" / "sub-01", hemi="L")
    piece, _ = made.restrict(made.vertices[:, 1] < 0)
    anat = layout.derivatives("fmriprep") / "sub-01" / "anat"
    save_surface(piece, anat / "sub-01_hemi-L_midthickness.surf.gii", flat_path=anat / "other.surf.gii")
    with pytest.raises(AnalysisError, match=rf"{piece.n_vertices} vertices; expected 10242, as .*Take the FreeSurfer"):
        run("flatten", layout, settings)


def test_the_patch_of_another_subject_is_refused(tmp_path: Path) -> None:
    """The same vertices, as many, at the places that another subject's vertices of these numbers have."""
    folder = write_subject(tmp_path / "bert")
    path, back = a_patch(folder)
    points, _ = nib.freesurfer.read_geometry(folder / "surf" / "lh.white")
    theirs = np.random.default_rng(0).permutation(back)
    write_patch(path, [(v + 1, points[other, 1], points[other, 2], 0.0)
                       for v, other in zip(back, theirs, strict=True)])
    with pytest.raises(AnalysisError, match=r"neighbours of this surface far apart on the patch \(\d+% of its edges\); "
                                            "expected the flat patch of this subject's surface"):
        flatten_freesurfer(folder, hemi="L")


def test_a_patch_in_two_pieces_is_refused(tmp_path: Path) -> None:
    folder = write_subject(tmp_path / "bert")
    points, _ = nib.freesurfer.read_geometry(folder / "surf" / "lh.white")
    apart = np.flatnonzero((points[:, 1] < np.percentile(points[:, 1], 15))
                           | (points[:, 1] > np.percentile(points[:, 1], 85)))
    write_patch(folder / "surf" / "lh.full.flat.patch.3d",
                [(v + 1, points[v, 1], points[v, 2], 0.0) for v in apart])
    with pytest.raises(AnalysisError, match=r"a flat map in \d+ pieces, the largest of \d+ and \d+ vertices"):
        flatten_freesurfer(folder, hemi="L")


def test_surfaces_of_exchanged_hemispheres_are_refused(tmp_path: Path) -> None:
    folder = write_subject(tmp_path / "bert") / "surf"
    for name in ("white", "pial", "sphere.reg"):
        left, right = folder / f"lh.{name}", folder / f"rh.{name}"
        aside = left.rename(folder / "aside")
        right.rename(left)
        aside.rename(right)
    with pytest.raises(AnalysisError, match=r"lh surfaces at x = \d+\.\d mm on average; expected negative x"):
        flatten_freesurfer(folder.parent, hemi="L")


# --- fMRIPrep's spheres in the place of FreeSurfer's folder --------------------------------------------------

def put_fmriprep(layout: Layout, folder: Path, *, sphere: str, twist: bool = False, off_mm: float = 0.0) -> Path:
    """Write a FreeSurfer subject's meshes and sphere as fMRIPrep does, and take its folder away."""
    anat = layout.derivatives("fmriprep") / "sub-01" / "anat"
    anat.mkdir(parents=True, exist_ok=True)
    for hemi, side in (("L", "lh"), ("R", "rh")):
        (white, faces), (pial, _), (ball, _) = (nib.freesurfer.read_geometry(folder / "surf" / f"{side}.{name}")
                                                for name in ("white", "pial", "sphere.reg"))
        ball = ball[:, [2, 0, 1]] if twist else ball + off_mm
        for name, points in (("midthickness", (white + pial) / 2), (sphere, ball)):
            arrays = [nib.gifti.GiftiDataArray(points.astype(np.float32), intent="NIFTI_INTENT_POINTSET"),
                      nib.gifti.GiftiDataArray(faces.astype(np.int32), intent="NIFTI_INTENT_TRIANGLE")]
            nib.save(nib.gifti.GiftiImage(darrays=arrays), anat / f"sub-01_hemi-{hemi}_{name}.surf.gii")
    return anat


@pytest.mark.parametrize("spelled", ["desc-reg_sphere", "space-fsaverage_desc-reg_sphere"])
def test_fmripreps_registered_spheres_stand_in_for_freesurfers_folder(
        volunteer: tuple[Layout, Settings], bert: Path, spelled: str) -> None:
    """What FreeSurfer's files give is what must come of fMRIPrep's, whichever other spheres lie beside them."""
    layout, settings = volunteer
    put_fmriprep(layout, bert, sphere="space-fsLR_desc-reg_sphere", twist=True)
    put_fmriprep(layout, bert, sphere="sphere", twist=True)
    anat = put_fmriprep(layout, bert, sphere=spelled)
    (work,) = run("flatten", layout, settings).works
    data = resolve_subject(layout, sub="01")
    for hemi in "LR":
        made, truth = data.load_surface(hemi), flatten_freesurfer(bert, hemi=hemi)
        np.testing.assert_array_equal(made.faces, truth.faces)
        on_map = np.unique(truth.faces)
        np.testing.assert_allclose(made.flat[on_map], truth.flat[on_map], atol=0.01)
        np.testing.assert_allclose(template_places(layout, data, surface=made)[on_map], truth.flat[on_map], atol=0.01)
    said = read_json(sidecar_path(work.outputs[0]))
    assert said["FlatMap"] == f"fsaverage5's, by sub-01_hemi-L_{spelled}.surf.gii"
    assert set(said["inputs"]) == {"midthickness", "sphere"}
    write_subject(layout.root / "sourcedata" / "freesurfer" / "sub-01")
    run("flatten", layout, settings)
    assert read_json(sidecar_path(work.outputs[0]))["FlatMap"] == "fsaverage5's, by sphere.reg"
    (anat / f"sub-01_hemi-R_{spelled}.surf.gii").unlink()
    assert SubjectFlat(layout, data).spheres == {}


@pytest.mark.parametrize(("spelled", "what"), [
    ("sphere", "before its registration"), ("space-fsLR_desc-reg_sphere", "registered to fsLR"),
    ("space-fsLR_desc-msmsulc_sphere", "registered to fsLR"), ("desc-mine_sphere", "desc-mine, which is not known")])
def test_spheres_that_are_not_registered_to_fsaverage_are_refused_by_name(
        volunteer: tuple[Layout, Settings], bert: Path, spelled: str, what: str) -> None:
    layout, settings = volunteer
    put_fmriprep(layout, bert, sphere=spelled)
    with pytest.raises(AnalysisError) as said:
        run("flatten", layout, settings)
    assert f"of fMRIPrep's spheres only sub-01_hemi-L_{spelled}.surf.gii ({what})" in str(said.value)
    assert "or fMRIPrep's *_hemi-L_space-fsaverage_desc-reg_sphere.surf.gii" in str(said.value)


def test_a_registered_sphere_that_is_none_or_is_of_another_mesh_is_refused(
        volunteer: tuple[Layout, Settings], bert: Path) -> None:
    layout, settings = volunteer
    anat = put_fmriprep(layout, bert, sphere="desc-reg_sphere", off_mm=20.0)
    with pytest.raises(AnalysisError, match=r"points \d+\.\d to \d+\.\d mm from the origin; expected a sphere about"):
        run("flatten", layout, settings)
    put_fmriprep(layout, bert, sphere="desc-reg_sphere")
    sphere = anat / "sub-01_hemi-L_desc-reg_sphere.surf.gii"
    short = nib.load(sphere).darrays[0].data[:-7]
    nib.save(nib.gifti.GiftiImage(darrays=[nib.gifti.GiftiDataArray(short, intent="NIFTI_INTENT_POINTSET")]), sphere)
    with pytest.raises(AnalysisError, match="10235 vertices; expected 10242, as the midway mesh has"):
        run("flatten", layout, settings)
    (anat / "sub-01_hemi-L_midthickness.surf.gii").unlink()
    with pytest.raises(AnalysisError, match="no midway mesh beside the registered sphere"):
        run("flatten", layout, settings)
