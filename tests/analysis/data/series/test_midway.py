"""Volumes on the surface: exact for what is linear in space, as SciPy has it for the rest; then betas from them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData
from scipy.ndimage import map_coordinates

from analysis.data.gifti import STRUCTURES, read_timeseries
from analysis.data.series.midway import (
    CHUNK_VOLUMES,
    Mesh,
    open_volumes,
    read_meshes,
    repetition_time_s,
    sample_midway,
    within,
)
from analysis.data.sources import resolve_subject
from analysis.glm.betas import load_betas
from analysis.glm.combining import betas_paths
from paradigms.runlog import read_events
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.study import Settings
from subjects.store import read_json, write_json
from tests.analysis.running_steps import run
from tests.analysis.volunteer import make_volunteer, planted

AFFINE = np.array([[-2.0, 0.1, 0, 12], [0.1, 2.0, 0, -14], [0, 0.05, 2.0, -9], [0, 0, 0, 1]])
SHAPE = (12, 14, 10)
N_VERTICES = 40
FIRST, SECOND = (RunKey("01", "01", "main", number) for number in (1, 2))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def make_mesh(rng: np.random.Generator, *, n: int = N_VERTICES, low: float = 2.0) -> Mesh:
    """Put vertices anywhere within the volume, pial up to a voxel from white."""
    voxels = rng.uniform(low, np.array(SHAPE) - 3, (n, 3))
    white = nib.affines.apply_affine(AFFINE, voxels)
    faces = np.stack([rng.permutation(n)[:3] for _ in range(2 * n)])
    return Mesh(white.astype(np.float32), (white + rng.uniform(-1, 1, (n, 3))).astype(np.float32),
                faces.astype(np.int32))


def image_of(data: np.ndarray, *, tr_s: float = 2.0) -> nib.Nifti1Image:
    image = nib.Nifti1Image(data.astype(np.float32), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((2, 2, 2, tr_s))
    return image


def test_what_is_linear_in_space_is_exact_midway(rng: np.random.Generator) -> None:
    mesh = make_mesh(rng)
    places = nib.affines.apply_affine(AFFINE, np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1))
    slopes = rng.standard_normal((3, 5))
    found = sample_midway(image_of(places @ slopes + 100), mesh, where="here")
    assert found.dtype == np.float32
    assert np.allclose(found, ((mesh.white + mesh.pial) / 2 @ slopes + 100).T, atol=1e-3)


def test_voxels_are_weighed_as_scipy_does_whatever_the_number_of_volumes(rng: np.random.Generator) -> None:
    mesh, data = make_mesh(rng), rng.normal(900, 50, (*SHAPE, CHUNK_VOLUMES + 3))
    found = sample_midway(image_of(data), mesh, where="here")
    voxels = nib.affines.apply_affine(np.linalg.inv(AFFINE), (mesh.white + mesh.pial) / 2)
    for k in (0, CHUNK_VOLUMES - 1, CHUNK_VOLUMES, CHUNK_VOLUMES + 2):
        assert np.allclose(found[k], map_coordinates(data[..., k], voxels.T, order=1), rtol=1e-4)


def test_vertices_outside_have_no_signal_and_most_of_them_are_refused(rng: np.random.Generator) -> None:
    mesh = make_mesh(rng)
    away = np.zeros((N_VERTICES, 3), np.float32)
    away[:4] = 500
    image = image_of(rng.normal(900, 50, (*SHAPE, 3)))
    found = sample_midway(image, Mesh(mesh.white + away, mesh.pial + away, mesh.faces), where="here")
    assert np.isnan(found[:, :4]).all()
    assert np.isfinite(found[:, 4:]).all()
    away[:] = 500
    with pytest.raises(AnalysisError, match="here: 0 % of the surface's vertices within the volumes; .*space-T1w"):
        sample_midway(image, Mesh(mesh.white + away, mesh.pial + away, mesh.faces), where="here")


def test_within_is_between_the_centres_of_voxels_and_not_on_the_edge() -> None:
    image = image_of(np.zeros((*SHAPE, 2)))
    voxels = np.array([[0.01, 0.01, 0.01], [10.9, 12.9, 8.9], [0, 5, 5], [11, 13, 9], [5, 5, 9.2]])
    assert within(image, nib.affines.apply_affine(AFFINE, voxels)).tolist() == [True, True, False, False, False]


def write_mesh(path: Path, points: np.ndarray, faces: np.ndarray, *, hemi: str = "L") -> Path:
    image = GiftiImage(meta=GiftiMetaData(AnatomicalStructurePrimary=STRUCTURES[hemi]))
    image.add_gifti_data_array(GiftiDataArray(points.astype(np.float32), intent="NIFTI_INTENT_POINTSET"))
    image.add_gifti_data_array(GiftiDataArray(faces.astype(np.int32), intent="NIFTI_INTENT_TRIANGLE"))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def test_meshes_that_do_not_belong_together_are_refused(rng: np.random.Generator, tmp_path: Path) -> None:
    mesh = make_mesh(rng)
    white = write_mesh(tmp_path / "white.surf.gii", mesh.white, mesh.faces)
    pial = write_mesh(tmp_path / "pial.surf.gii", mesh.pial, mesh.faces)
    for one, other in zip(read_meshes(white, pial, hemi="L"), mesh, strict=True):
        assert np.array_equal(one, other)
    with pytest.raises(AnalysisError, match=r"white.surf.gii: CortexLeft; expected CortexRight"):
        read_meshes(white, pial, hemi="R")
    write_mesh(pial, mesh.pial, mesh.faces[::-1])
    with pytest.raises(AnalysisError, match=r"pial.surf.gii: 40 vertices, 80 triangles; expected the mesh of whi"):
        read_meshes(white, pial, hemi="L")


@pytest.mark.parametrize(("unit", "step", "wanted"), [("sec", 2.0, 2.0), ("msec", 1500.0, 1.5), ("sec", 0.0, None)])
def test_the_headers_repetition_time(unit: str, step: float, wanted: float | None) -> None:
    image = image_of(np.zeros((*SHAPE, 2)), tr_s=step)
    image.header.set_xyzt_units("mm", unit)
    assert repetition_time_s(image) == wanted


def test_what_is_no_series_of_volumes_is_named(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.float32), AFFINE), tmp_path / "a.nii.gz")
    with pytest.raises(AnalysisError, match=r"Nifti1Image of shape \(12, 14, 10\); expected a series of volumes"):
        open_volumes(tmp_path / "a.nii.gz")
    (tmp_path / "b.nii.gz").write_bytes(b"torn")
    with pytest.raises(AnalysisError, match="b.nii.gz: a file that cannot be read"):
        open_volumes(tmp_path / "b.nii.gz")


def put_volumes(layout: Layout, key: RunKey, *, name: str = "space-T1w_desc-preproc_bold") -> Path:
    """Leave volumes whose voxel k holds the series of vertex k of the left, then of the right hemisphere."""
    series = np.concatenate([planted(layout, key, hemi=hemi) for hemi in "LR"], axis=1)
    data = np.full((*SHAPE, len(series)), 1000.0, np.float32)
    data[_VOXELS[:, 0], _VOXELS[:, 1], _VOXELS[:, 2]] = series.T
    path = layout.derivatives("fmriprep") / "sub-01" / "ses-01" / "func" / f"{key}_{name}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image_of(data), path)
    write_json(sidecar_path(path), {"RepetitionTime": 2.0, "StartTime": 0.5}, overwrite=True)
    return path


_INNER = (10, 12, 8)
_PLACES = np.random.default_rng(0).permutation(np.prod(_INNER))[:2 * N_VERTICES]
_VOXELS = 1 + np.stack(np.unravel_index(_PLACES, _INNER), axis=1)
_FACES = np.stack([np.arange(k, k + 3) % N_VERTICES for k in range(N_VERTICES)])


@pytest.fixture
def volumes(tmp_path: Path) -> tuple[Layout, Settings]:
    """Give a study of volumes alone: white and pial lie to both sides of voxels' centres."""
    layout, settings = make_volunteer(tmp_path / "study")
    for path in (layout.derivatives("fmriprep") / "sub-01" / "ses-01" / "func").iterdir():
        path.unlink()
    anat = layout.derivatives("fmriprep") / "sub-01" / "anat"
    for hemi, rows in (("L", slice(0, N_VERTICES)), ("R", slice(N_VERTICES, None))):
        middle = nib.affines.apply_affine(AFFINE, _VOXELS[rows])
        for name, off in (("white", -0.7), ("pial", 0.7)):
            write_mesh(anat / f"sub-01_hemi-{hemi}_{name}.surf.gii", middle + off, _FACES, hemi=hemi)
    return layout, settings


def test_betas_from_volumes_are_those_of_the_series_in_their_voxels(volumes: tuple[Layout, Settings],
                                                                    tmp_path: Path) -> None:
    layout, settings = volumes
    for key in (FIRST, SECOND):
        put_volumes(layout, key)
        tables = layout.derivatives("fmriprep") / "sub-01" / "ses-01" / "func" / f"{key}_desc-confounds_timeseries.tsv"
        tables.write_text("trans_x\n0\n")
    with pytest.raises(AnalysisError, match="no surface time series, but .*space-T1w.* `python -m analysis sample`"):
        run("glm", layout, settings)
    assert not run("sample", layout, settings).reused
    assert run("sample", layout, settings).all_reused
    data = resolve_subject(layout, sub="01")
    assert (data.source, data.space) == ("sampled", "fsnative")
    assert data.confounds(FIRST) is not None
    for hemi in "LR":
        found = read_timeseries(data.require_bold(FIRST, hemi=hemi), hemi=hemi)
        assert np.allclose(found, planted(layout, FIRST, hemi=hemi), atol=0.5)
    said = read_json(sidecar_path(data.bold[FIRST, "L"]))
    assert (said["RepetitionTime"], said["StartTime"]) == (2.0, 0.5)
    assert "midway between white and pial" in said["Sampling"]
    run("glm", layout, settings)
    assert np.isfinite(load_betas(betas_paths(layout, sub="01")["R"]).values).all()
    assert len(read_events(layout.events(FIRST))) > 0


def test_a_paradigm_that_was_not_preprocessed_is_told_and_left_out(
        volumes: tuple[Layout, Settings], caplog: pytest.LogCaptureFixture) -> None:
    layout, settings = volumes
    for key in (FIRST, SECOND):
        put_volumes(layout, key)
    layout.events(RunKey("01", "01", "lo", 1)).write_text("onset\n")
    done = run("sample", layout, settings)
    assert [work.name for work in done.works] == [str(FIRST), str(SECOND)]
    assert "sub-01: no run of task lo was preprocessed; none is sampled" in caplog.text


def test_what_is_missing_is_named(volumes: tuple[Layout, Settings]) -> None:
    layout, settings = volumes
    put_volumes(layout, FIRST)
    with pytest.raises(AnalysisError, match=rf"{SECOND}: no preprocessed volumes; expected one \*_space-T1w_desc-"):
        run("sample", layout, settings)
    put_volumes(layout, SECOND)
    put_volumes(layout, SECOND, name="space-T1w_res-2_desc-preproc_bold")
    with pytest.raises(AnalysisError, match=rf"{SECOND}: .*preproc_bold.nii.gz, .*Move the others elsewhere"):
        run("sample", layout, settings)
    next(layout.root.rglob("*res-2*.nii.gz")).unlink()
    (layout.derivatives("fmriprep") / "sub-01" / "anat" / "sub-01_hemi-R_white.surf.gii").unlink()
    with pytest.raises(AnalysisError, match="sub-01 hemi-R: no white surface in derivatives/fmriprep"):
        run("sample", layout, settings)
