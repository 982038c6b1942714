"""One movie, written as every program writes it, is read as the same movie; what cannot be told is asked for."""

from __future__ import annotations

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from scipy.io import savemat

from analysis.regions.prf.movies import Movie, lacking, read_export, read_movie, require_covers
from subjects.errors import AnalysisError
from subjects.provenance import sidecar
from subjects.settings.analysis import PrfSettings

N_FRAMES, N_ROWS, N_COLS = 5, 6, 8
X, Y = np.arange(N_COLS) - 3.5, 2.5 - np.arange(N_ROWS)
PIXELS = PrfSettings(aperture_width_deg=8.0)


def corner_movie() -> np.ndarray:
    """Uncover another place in every frame: nothing but the right orientation reads the same."""
    masks = np.zeros((N_FRAMES, N_ROWS, N_COLS), dtype=np.float32)
    for k, (row, column) in enumerate([(0, 0), (0, 7), (5, 2), (3, 1), (2, 6)]):
        masks[k, row, column] = 0.25 * k + 0.1 if k < 4 else 1.0
    return masks


MASKS = corner_movie()


def write_npz(path: Path) -> None:
    np.savez(path, masks=MASKS, x_deg=X, y_deg=Y, tr_s=1.5)


def write_plain_npz(path: Path) -> None:
    np.savez(path, anything=MASKS, note=np.arange(3))


def write_nifti(path: Path) -> None:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:2, 3] = X[0], Y[-1]
    image = nib.Nifti1Image(np.transpose(MASKS[:, ::-1], (2, 1, 0))[:, :, None], affine)
    image.header.set_zooms((1.0, 1.0, 1.0, 1.5))
    nib.save(image, path)


def write_nifti_from_the_top(path: Path) -> None:
    affine = np.diag([1.0, -1.0, 1.0, 1.0])
    affine[:2, 3] = X[0], Y[0]
    image = nib.Nifti1Image(np.transpose(MASKS, (2, 1, 0))[:, :, None], affine)
    image.header.set_zooms((1.0, 1.0, 1.0, 1.5))
    nib.save(image, path)


def write_nifti_without_degrees(path: Path) -> None:
    nib.save(nib.Nifti1Image(np.transpose(MASKS[:, ::-1], (2, 1, 0))[:, :, None], np.eye(4)), path)


def write_mat(path: Path) -> None:
    savemat(path, {"stimulus": np.moveaxis(MASKS, 0, 2)})


def write_mat_cell(path: Path) -> None:
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = np.moveaxis(MASKS, 0, 2).astype(np.float64)
    savemat(path, {"stimulus": cell})


def write_mat_with_degrees(path: Path) -> None:
    savemat(path, {"stimulus": np.moveaxis(MASKS, 0, 2), "x_deg": X, "y_deg": Y, "tr_s": 1.5})


def write_mat_73(path: Path) -> None:
    """As MATLAB's save -v7.3 does: the axes of HDF5 are in reverse, behind a block of 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["stimulus"] = np.ascontiguousarray(np.moveaxis(MASKS, 0, 2).T)
        file["stimulus"].attrs["MATLAB_class"] = np.bytes_("single")


@pytest.mark.parametrize(("name", "write", "frame_s"), [
    ("a.npz", write_npz, 1.5), ("a.nii.gz", write_nifti, 1.5), ("top.nii", write_nifti_from_the_top, 1.5),
    ("degrees.mat", write_mat_with_degrees, 1.5)])
def test_files_that_say_degrees(tmp_path: Path, name: str, write, frame_s: float) -> None:
    write(tmp_path / name)
    same(read_movie(tmp_path / name, settings=PrfSettings(), tr_s=2.0), frame_s=frame_s)
    fixed = read_movie(tmp_path / name, settings=PrfSettings(aperture_tr_s=0.5), tr_s=2.0)
    assert fixed.frame_s == 0.5


@pytest.mark.parametrize(("name", "write", "frame_s"), [
    ("plain.npz", write_plain_npz, 2.0), ("plain.nii", write_nifti_without_degrees, 1.0), ("v5.mat", write_mat, 2.0),
    ("cell.mat", write_mat_cell, 2.0), ("v73.mat", write_mat_73, 2.0)])
def test_files_in_pixels_need_to_be_told_the_degrees(tmp_path: Path, name: str, write, frame_s: float) -> None:
    write(tmp_path / name)
    with pytest.raises(AnalysisError, match=r"(apertures in pixels|an affine of).*prf\.aperture_width_deg"):
        read_movie(tmp_path / name, settings=PrfSettings(), tr_s=2.0)
    same(read_movie(tmp_path / name, settings=PIXELS, tr_s=2.0), frame_s=frame_s)


def same(found: Movie, *, frame_s: float) -> None:
    np.testing.assert_allclose(found.masks, MASKS, atol=1e-7)
    np.testing.assert_allclose(found.x_deg, X, atol=1e-6)
    np.testing.assert_allclose(found.y_deg, Y, atol=1e-6)
    assert found.frame_s == pytest.approx(frame_s)


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    write_mat(tmp_path / "a.mat")
    found = read_movie(tmp_path / "a.mat", tr_s=2.0,
                       settings=PrfSettings(aperture_width_deg=16.0, aperture_height_deg=3.0))
    assert found.size_deg == pytest.approx((16.0, 3.0))
    np.testing.assert_allclose(found.x_deg, 2 * X)
    np.testing.assert_allclose(found.y_deg, Y / 2)


def test_the_degrees_of_the_settings_override_those_of_the_file(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz")
    found = read_movie(tmp_path / "a.npz", tr_s=2.0, settings=PrfSettings(aperture_width_deg=16.0))
    np.testing.assert_allclose(found.x_deg, 2 * X)


def test_several_arrays_need_a_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", first=MASKS, second=MASKS * 0.5)
    with pytest.raises(AnalysisError, match=r"first \(5, 6, 8\), second .*Name the array in prf\.aperture_array"):
        read_movie(tmp_path / "a.npz", settings=PIXELS, tr_s=2.0)
    named = PIXELS.model_copy(update={"aperture_array": "second"})
    assert read_movie(tmp_path / "a.npz", settings=named, tr_s=2.0).masks.max() == 0.5
    other = PIXELS.model_copy(update={"aperture_array": "third"})
    with pytest.raises(AnalysisError, match="expected an array 'third' of three dimensions"):
        read_movie(tmp_path / "a.npz", settings=other, tr_s=2.0)


@pytest.mark.parametrize(("name", "content", "said"), [
    ("a.npz", b"no zip", "cannot be read"), ("a.mat", b"no mat" * 100, "cannot be read"),
    ("a.nii", b"no nifti", "cannot be read"), ("a.tif", b"", "expected .npz, .nii, .nii.gz or .mat")])
def test_files_that_are_none(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AnalysisError, match=said):
        read_movie(tmp_path / name, settings=PIXELS, tr_s=2.0)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="leave it empty for the console's"):
        read_movie(tmp_path / "a.npz", settings=PIXELS, tr_s=2.0)
    with pytest.raises(AnalysisError, match="the apertures that this run showed"):
        read_export(tmp_path / "a.npz")


def made(**change: object) -> Movie:
    return Movie(**{"masks": MASKS, "x_deg": X, "y_deg": Y, "frame_s": 2.0, "where": "here", **change})


@pytest.mark.parametrize(("change", "said"), [
    ({"masks": MASKS[:, :3]}, "frames of 6 rows by 8 columns"),
    ({"masks": 255 * MASKS}, "values from 0 to 255"),
    ({"masks": np.where(MASKS == 1, np.nan, MASKS)}, "none missing"),
    ({"masks": 0 * MASKS}, "a movie that uncovers nothing"),
    ({"x_deg": X**3}, "x_deg that is not evenly spaced"),
    ({"y_deg": np.full(N_ROWS, 1.0)}, "y_deg that is not evenly spaced"),
    ({"frame_s": 0.0}, "frames of 0 s")])
def test_a_movie_that_does_not_hold_together(change: dict[str, object], said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        made(**change)


def test_a_movie_covers_its_run_or_is_named() -> None:
    assert lacking(made(), n_volumes=5, tr_s=2.0) == ""
    assert lacking(made(), n_volumes=3, tr_s=2.0) == "", "a longer movie is well"
    assert lacking(made(frame_s=1.9999999), n_volumes=5, tr_s=2.0) == ""
    with pytest.raises(AnalysisError, match="a movie of 10 s for a run of 12 s"):
        require_covers(made(), n_volumes=6, tr_s=2.0, is_export=False)
    with pytest.raises(AnalysisError, match="apertures of a TR of 2 s; expected 1 s"):
        require_covers(made(), n_volumes=5, tr_s=1.0, is_export=True)
    assert require_covers(made(), n_volumes=10, tr_s=1.0, is_export=False).frame_s == 2.0


def test_an_export_that_was_changed_is_refused(tmp_path: Path) -> None:
    """A mirrored movie fits as well as the right one, with the field turned: nothing else would tell."""
    path = tmp_path / "apertures.npz"
    masks = np.random.default_rng(0).random((4, 6, 6)).astype(np.float32)
    places = np.linspace(-5, 5, 6)
    np.savez(path, masks=masks, x_deg=places, y_deg=-places, tr_s=2.0)
    sidecar(path, inputs={}, parameters={})
    assert read_export(path).masks.shape == (4, 6, 6)
    np.savez(path, masks=masks[:, :, ::-1], x_deg=places, y_deg=-places, tr_s=2.0)
    with pytest.raises(AnalysisError, match="changed after they were exported; expected the file with the digest"):
        read_export(path)
