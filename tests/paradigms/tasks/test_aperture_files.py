"""Exported apertures: both files and every example of docs/apertures.md find the same place in degrees."""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel
import numpy as np
import pytest

from paradigms.schedule import Schedule
from paradigms.tasks.aperture_files import nifti_axes, npz_axes, stim_table, write_masks, write_stim
from paradigms.tasks.retinotopy import make_schedule
from paradigms.tasks.shown_apertures import ApertureMovie, aperture_movie
from stimuli.apertures import Bar, Wedge, degree_grid, mask, read_volume_masks
from subjects.errors import StimulusError, StoreError
from subjects.run_key import RunKey
from subjects.settings.study import RetinotopySettings, Settings
from tests.paradigms.texture_rows import rows

N, TR_S = 24, 1.5
GUIDE = Path(__file__).resolve().parents[3] / "docs" / "apertures.md"


def short(variant: str) -> tuple[Schedule, Settings]:
    settings = Settings(retinotopy=RetinotopySettings(
        runs=((variant,),), lead_s=3.0, cycles=2, cycle_s=8.0, sweep_s=7.0, mask_px=32))  # type: ignore[arg-type]
    return make_schedule(settings, textures=rows(), key=RunKey("01", "01", "retinotopy", 1)), settings


def lopsided() -> ApertureMovie:
    """No two of its volumes, rows or columns are alike: nothing; a wedge low on the right; a bar left of fixation."""
    grid = degree_grid(N, size_deg=12.0)
    parts = (None, Wedge(centre_deg=-20.0, width_deg=25.0), Bar(toward_deg=0.0, front_deg=-3.0, width_deg=1.0), None)
    masks = np.stack([mask(one, grid, field_deg=12.0, edge_deg=grid.step_deg) for one in parts])
    masks[1] *= 0.5
    return ApertureMovie(masks, grid.x_deg[0], grid.y_deg[:, 0], tr_s=TR_S, as_shown=True,
                         index=np.zeros((90, 2), dtype=np.int32))


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    made, _ = short("wedge_ccw")
    npz = tmp_path / "sub-01_ses-01_task-retinotopy_run-1_apertures.npz"
    write_masks(npz, lopsided(), nifti=npz.with_suffix(".nii.gz"), schedule=made)
    return npz


def place(values: np.ndarray, axes: list[dict[str, Any]], *, at_s: float) -> tuple[float, float]:
    """Find the centre of what is seen at a time, from an array and a description of its axes alone."""
    names = [axis["Name"] for axis in axes]
    where = {axis["Name"]: axis["First"] + axis["Step"] * np.arange(n)
             for axis, n in zip(axes, values.shape, strict=True)}
    one = np.take(values, np.searchsorted(where["volume"], at_s, side="right") - 1, axis=names.index("volume"))
    left = [name for name in names if name != "volume"]
    x, y = (where[name].reshape([-1 if other == name else 1 for other in left]) for name in ("x", "y"))
    return float(np.sum(one * x) / one.sum()), float(np.sum(one * y) / one.sum())


def expected(volume: int) -> tuple[float, float]:
    """A plain sum over a grid ten times as fine, with no mask."""
    x, y = np.meshgrid(*2 * [(np.arange(10 * N) + 0.5) * 12.0 / (10 * N) - 6.0])
    inside = np.hypot(x, y) < 6.0
    inside &= np.abs(np.degrees(np.arctan2(y, x)) + 20.0) < 12.5 if volume == 1 else (x > -4.0) & (x < -3.0)
    return float(x[inside].mean()), float(y[inside].mean())


def test_what_was_added_for_the_display_s_delay_is_told(tmp_path: Path) -> None:
    made, _ = short("wedge_ccw")
    npz, stim = tmp_path / "sub-01_apertures.npz", tmp_path / "sub-01_stim.tsv.gz"
    write_masks(npz, lopsided(), nifti=npz.with_suffix(".nii.gz"), schedule=made, delay_s=0.021)
    write_stim(stim, lopsided(), schedule=made, rate_hz=15.0, delay_s=0.021)
    for sidecar in (npz.with_suffix(".json"), tmp_path / "sub-01_stim.json"):
        assert json.loads(sidecar.read_text(encoding="utf-8"))["DisplayDelay"] == 0.021


def test_both_files_say_where_their_points_lie(exported: Path) -> None:
    """Read with nothing but the sidecar: an aperture low on the right lies there in both, at its time."""
    said = json.loads(exported.with_suffix(".json").read_text())
    with np.load(exported) as file:
        npz = file[said["Files"]["npz"]["Array"]]
    nifti = np.asarray(nibabel.load(exported.with_suffix(".nii.gz")).dataobj)
    for volume in (1, 2):
        for values, kind in ((npz, "npz"), (nifti, "nii.gz")):
            found = place(values, said["Files"][kind]["Axes"], at_s=volume * TR_S + 0.1)
            assert found == pytest.approx(expected(volume), abs=0.05)
    assert expected(1)[0] > 3.0
    assert expected(1)[1] < -1.0


def test_the_sidecar_says_unit_field_and_time(exported: Path) -> None:
    said = json.loads(exported.with_suffix(".json").read_text())
    assert (said["FieldDiameter"], said["FieldDiameterUnits"], said["Units"]) == (pytest.approx(12.0), "deg", "1")
    assert (said["RepetitionTime"], said["StartTime"], said["NumberOfVolumes"]) == (TR_S, 0.0, 4)
    assert "first counted pulse" in said["TimeZero"]
    assert (said["Format"], said["FormatVersion"]) == ("aperture masks", 1)
    assert said["inputs"]["schedule"] == short("wedge_ccw")[0].digest
    assert "from the record of what was shown" in said["Description"]


def test_the_nifti_reads_by_its_affine_too(exported: Path) -> None:
    image = nibabel.load(exported.with_suffix(".nii.gz"))
    assert image.shape == (N, N, 1, 4)
    assert image.header.get_zooms() == pytest.approx((0.5, 0.5, 1.0, TR_S))
    assert image.header.get_xyzt_units()[1] == "sec"
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    seen = np.asarray(image.dataobj)[..., 1]
    i, j, _ = (np.average(axis, weights=seen) for axis in np.indices(seen.shape))
    assert nibabel.affines.apply_affine(image.affine, [i, j, 0])[:2] == pytest.approx(expected(1), abs=0.05)


def test_one_reader_gives_the_same_of_both(exported: Path) -> None:
    made = lopsided()
    for path in (exported, exported.with_suffix(".nii.gz")):
        found = read_volume_masks(path)
        assert np.array_equal(found.masks, made.masks)
        assert found.x_deg == pytest.approx(made.x_deg, abs=1e-5)
        assert found.y_deg == pytest.approx(made.y_deg, abs=1e-5)
        assert (found.tr_s, found.field_deg) == (TR_S, pytest.approx(12.0))


def test_any_orientation_of_a_nifti_is_turned_the_right_way_up(exported: Path) -> None:
    image = nibabel.load(exported.with_suffix(".nii.gz"))
    turned = nibabel.Nifti1Image(np.asarray(image.dataobj)[::-1, ::-1], image.affine.copy())
    turned.affine[:2, 3] += image.affine[[0, 1], [0, 1]] * (N - 1)
    turned.affine[[0, 1], [0, 1]] *= -1
    again = nibabel.Nifti1Image(turned.dataobj, turned.affine)
    again.header.set_zooms((0.5, 0.5, 1.0, TR_S))
    path = exported.with_name("turned.nii.gz")
    nibabel.save(again, path)
    assert np.array_equal(read_volume_masks(path).masks, lopsided().masks)


def test_files_of_version_0_1_0_are_read(tmp_path: Path) -> None:
    """As that version wrote them: no format in the npz, no sidecar beside the NIfTI."""
    made = lopsided()
    np.savez_compressed(tmp_path / "old.npz", masks=made.masks, x_deg=made.x_deg, y_deg=made.y_deg,
                        tr_s=np.float64(TR_S), index=made.index)
    affine = np.diag([0.5, 0.5, 1.0, 1.0])
    affine[:2, 3] = -5.75, -5.75
    image = nibabel.Nifti1Image(np.transpose(made.masks[:, ::-1, :], (2, 1, 0))[:, :, None, :], affine)
    image.header.set_zooms((0.5, 0.5, 1.0, TR_S))
    nibabel.save(image, tmp_path / "old.nii.gz")
    for name in ("old.npz", "old.nii.gz"):
        assert np.array_equal(read_volume_masks(tmp_path / name).masks, made.masks)


def _damage(npz: Path, **changes: Any) -> None:
    with np.load(npz) as file:
        content = {**file, **changes}
    np.savez_compressed(npz, **{key: value for key, value in content.items() if value is not None})


@pytest.mark.parametrize(("changes", "text"), [
    ({"masks": None}, "a file that does not read"),
    ({"masks": np.zeros((4, N, N - 1))}, "a square, even grid in degrees"),
    ({"y_deg": np.arange(N) * 0.5 - 5.75}, "x rising and y falling"),
    ({"x_deg": np.r_[np.arange(N - 1) * 0.5 - 5.75, 9.0]}, "a square, even grid in degrees"),
])
def test_an_npz_that_is_not_what_it_says_is_refused(exported: Path, changes: dict[str, Any], text: str) -> None:
    _damage(exported, **changes)
    with pytest.raises(StimulusError, match=text):
        read_volume_masks(exported)


def test_other_files_are_refused(exported: Path) -> None:
    with pytest.raises(StimulusError, match="no file"):
        read_volume_masks(exported.with_name("absent.npz"))
    _damage(exported, format_version=np.int64(9))
    with pytest.raises(StoreError, match="aperture masks of format version 9"):
        read_volume_masks(exported)
    exported.write_bytes(b"PK")
    with pytest.raises(StimulusError, match="does not read"):
        read_volume_masks(exported)
    image = nibabel.load(exported.with_suffix(".nii.gz"))
    tilted = image.affine.copy()
    tilted[0, 1] = 0.1
    path = exported.with_name("tilted.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), tilted), path)
    with pytest.raises(StimulusError, match="one slice whose axes are x and y in degrees"):
        read_volume_masks(path)
    path.write_bytes(b"no image")
    with pytest.raises(StimulusError, match="a NIfTI of four dimensions"):
        read_volume_masks(path)


# ------------------------------------------------------------------ the examples of docs/apertures.md

def _block(language: str, *, holding: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return next(block for block in blocks if holding in block)


class _Stimulus2D:
    """What prfpy's class of this name does with a design matrix: its coordinates, and nothing else."""

    def __init__(self, screen_size_cm: float, screen_distance_cm: float, design_matrix: np.ndarray, TR: float) -> None:
        half = np.degrees(np.arctan(screen_size_cm / (2.0 * screen_distance_cm)))
        line = np.linspace(-half, half, design_matrix.shape[0], endpoint=True)
        self.x_coordinates, self.y_coordinates = np.meshgrid(line, line)
        self.design_matrix, self.TR = design_matrix, TR


def test_the_example_for_prfpy(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, module = ModuleType("prfpy"), ModuleType("prfpy.stimulus")
    module.PRFStimulus2D = _Stimulus2D  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "prfpy", package)
    monkeypatch.setitem(sys.modules, "prfpy.stimulus", module)
    monkeypatch.chdir(exported.parent)
    names: dict[str, Any] = {}
    exec(_block("python", holding="PRFStimulus2D"), names)
    found = names["stimulus"]
    for volume in (1, 2):
        seen = found.design_matrix[:, :, volume]
        centre = [np.average(axis, weights=seen) for axis in (found.x_coordinates, found.y_coordinates)]
        assert centre == pytest.approx(expected(volume), abs=0.05)
    assert found.TR == TR_S


def test_the_example_for_tools_that_read_nifti(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exported.parent)
    names: dict[str, Any] = {}
    exec(_block("python", holding="nibabel"), names)
    seen = names["masks"][:, :, 1]
    centre = [float(np.sum(seen * axis) / seen.sum()) for axis in (names["x_deg"][:, None], names["y_deg"][None, :])]
    assert centre == pytest.approx(expected(1), abs=0.05)


def test_the_example_for_analyzeprf(exported: Path) -> None:
    """No MATLAB here: its two lines are held against the guide and done in NumPy.

    analyzePRF takes (row, column, time) with row 1 at the top; its angle and eccentricity are those of
    (column - middle, middle - row), in cells.
    """
    code = _block("matlab", holding="analyzePRF")
    assert "stimulus = permute(vol(:, end:-1:1, 1, :), [2 1 4 3]);" in code
    assert "deg_per_px = info.PixelDimensions(1);" in code
    image = nibabel.load(exported.with_suffix(".nii.gz"))
    vol = np.asarray(image.dataobj)
    stimulus = np.transpose(vol[:, ::-1, :1, :], (1, 0, 3, 2))[..., 0]
    row, column = (np.average(axis, weights=stimulus[:, :, 1]) for axis in np.indices((N, N)))
    middle, deg_per_px = (N - 1) / 2, float(image.header.get_zooms()[0])
    angle = np.mod(np.degrees(np.arctan2(middle - row, column - middle)), 360.0)
    eccentricity = np.hypot(middle - row, column - middle) * deg_per_px
    x, y = expected(1)
    assert angle == pytest.approx(np.degrees(np.arctan2(y, x)) % 360.0, abs=0.5)
    assert eccentricity == pytest.approx(np.hypot(x, y), abs=0.05)


# ------------------------------------------------------------------ the whole export

def test_a_planned_run_says_so_and_is_not_overwritten(tmp_path: Path) -> None:
    made, settings = short("wedge_ccw")
    movie_ = aperture_movie(made, section=settings.retinotopy, n=N)
    npz = tmp_path / "sub-01_apertures.npz"
    write_masks(npz, movie_, nifti=npz.with_suffix(".nii.gz"), schedule=made)
    said = json.loads((tmp_path / "sub-01_apertures.json").read_text())
    assert "from the plan" in said["Description"]
    assert said["Files"]["npz"]["Axes"] == npz_axes(movie_)
    assert said["Files"]["nii.gz"]["Axes"] == nifti_axes(movie_)
    assert place(movie_.masks, npz_axes(movie_), at_s=4.5)[1] > 1.0  # from 4 to 6 s the wedge is up
    with pytest.raises(StoreError, match="exists already"):
        write_masks(npz, movie_, nifti=npz.with_suffix(".nii.gz"), schedule=made)


def test_the_bids_index(tmp_path: Path) -> None:
    made, settings = short("ring_expand")
    movie_ = aperture_movie(made, section=settings.retinotopy, n=N)
    path = write_stim(tmp_path / "sub-01_task-retinotopy_stim.tsv.gz", movie_, schedule=made,
                      rate_hz=settings.retinotopy.step_hz)
    rows_ = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    assert len(rows_) == round(made.duration_s * 15)
    assert [int(row[1]) for row in rows_] == list(made.steps)
    beside = json.loads((tmp_path / "sub-01_task-retinotopy_stim.json").read_text())
    assert (beside["SamplingFrequency"], beside["StartTime"], beside["Columns"]) == \
        (15.0, 0, ["aperture_index", "texture_index"])
    assert beside["texture_index"]["Textures"] == list(made.textures)
    assert stim_table(movie_) == stim_table(aperture_movie(made, section=settings.retinotopy, n=N))
    with pytest.raises(StoreError, match="exists already"):
        write_stim(path, movie_, schedule=made, rate_hz=settings.retinotopy.step_hz)
