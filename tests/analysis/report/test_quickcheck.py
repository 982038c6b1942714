"""A scan minutes after it was taken: planted movement, noise and responses are found, another run is told."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.spatial.transform import Rotation

from analysis.__main__ import cli
from analysis.report.checks.quick import check_scan, make_design
from analysis.report.checks.series import Series, framewise_displacement, head_motion, read_series, temporal_snr
from paradigms.runlog import read_events
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.run_key import RunKey
from tests.analysis.simulation.test_bold import make_study

SHAPE, VOXEL_MM = (32, 32, 20), 4.0
FIRST, SECOND = (RunKey("01", "01", "main", run) for run in (1, 2))


def brain(*, seed: int = 0) -> np.ndarray:
    """An ellipsoid of tissue with some structure in it."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    inside = np.sqrt((grid[0] / 0.75) ** 2 + (grid[1] / 0.85) ** 2 + (grid[2] / 0.9) ** 2) < 1
    rough = gaussian_filter(rng.standard_normal(SHAPE), 1.5)
    return gaussian_filter(inside * (800 + 250 * rough / rough.std()), 0.7)


def scan_of(layout: Layout, key: RunKey, *, noise: float = 6.0, response: float = 0.02) -> np.ndarray:
    """Make a run's series: its back answers to pictures."""
    events = read_events(layout.events(key))
    n_volumes = int(events.attrs["n_pulses"])
    design = make_design(events, n_volumes=n_volumes, tr_s=2.0, n_discarded=0)
    back = np.zeros(SHAPE)
    back[:, :10] = response
    series = brain()[..., None] * (1 + back[..., None] * (design[:, 0] + 0.1 * design[:, 1]))
    return (series + noise * np.random.default_rng(1).standard_normal(series.shape)).astype(np.float32)


def save(path: Path, data: np.ndarray, *, tr: float = 2.0, unit: str = "sec") -> Path:
    image = nib.Nifti1Image(data, np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0]))
    if data.ndim == 4:
        image.header.set_zooms((VOXEL_MM, VOXEL_MM, VOXEL_MM, tr))
    image.header.set_xyzt_units("mm", unit)
    nib.save(image, path)
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return make_study(tmp_path_factory.mktemp("quick") / "study")[0]


@pytest.fixture(scope="module")
def scan(study: Layout) -> np.ndarray:
    return scan_of(study, FIRST)


def verdicts_of(study: Layout, path: Path, key: RunKey = FIRST) -> dict[str, tuple[bool, str]]:
    _, found = check_scan(path, layout=study, key=key, tr_s=2.0, n_discarded=9)
    return {one.name: (one.good, one.said) for one in found}


def test_a_good_scan_is_good(study, scan, tmp_path):
    found = verdicts_of(study, save(tmp_path / "scan.nii", scan))
    assert [name for name, (good, _) in found.items() if not good] == []
    assert set(found) == {"volumes", "tr", "tsnr", "global", "motion", "response", "attempt"}
    picture = study.derivatives("quickcheck") / "sub-01" / "sub-01_ses-01_task-main_run-1_quickcheck.png"
    assert picture.stat().st_size > 20_000
    assert json.loads(picture.with_suffix(".json").read_text())["good"] is True


@pytest.mark.parametrize(("name", "spoil", "said"), [
    ("volumes", lambda data: data[..., :-3], "another run's series, one that was cut off"),
    ("volumes", lambda data: np.concatenate([data, data[..., -5:]], axis=3), "the scanner ran on after the run"),
    ("tsnr", lambda data: data + 60 * np.random.default_rng(2).standard_normal(data.shape).astype(np.float32),
     "signal over noise"),
    ("global", lambda data: data * (1 + 0.06 * (np.arange(data.shape[3]) > 60)).astype(np.float32), "global signal"),
    ("motion", lambda data: np.concatenate([data[..., :60], np.roll(data[..., 60:], 1, axis=1)], axis=3), "4.0 mm"),
    ("response", lambda data: np.repeat(data.mean(axis=3, keepdims=True), data.shape[3], axis=3)
     + 6 * np.random.default_rng(3).standard_normal(data.shape).astype(np.float32), "answer to the pictures"),
])
def test_one_fault_is_found_and_said(study, scan, tmp_path, name, spoil, said):
    good, words = verdicts_of(study, save(tmp_path / "scan.nii", spoil(scan)))[name]
    assert not good
    assert said in words


def test_another_runs_series_is_told_by_its_events(study, scan, tmp_path):
    good, words = verdicts_of(study, save(tmp_path / "scan.nii", scan), SECOND)["attempt"]
    assert not good
    assert "the events of sub-01_ses-01_task-main_run-1 fit better" in words


@pytest.mark.parametrize("seed", range(3))
def test_noise_tells_no_run_from_another(study, scan, tmp_path, seed):
    noise = 6 * np.random.default_rng(seed).standard_normal(scan.shape)
    still = (scan.mean(axis=3, keepdims=True) + noise).astype(np.float32)
    good, words = verdicts_of(study, save(tmp_path / "scan.nii", still))["attempt"]
    assert not good
    assert "no run's events fit clearly best" in words


@pytest.mark.parametrize(("tr", "unit", "read_s"), [(2.0, "sec", 2.0), (2000.0, "msec", 2.0), (2000.0, "sec", 2.0),
                                                    (1.5, "sec", 1.5)])
def test_the_repetition_time_is_read_in_any_unit(scan, tmp_path, tr, unit, read_s):
    assert read_series(save(tmp_path / "scan.nii", scan[..., :12], tr=tr, unit=unit)).tr_s == pytest.approx(read_s)


def test_a_planted_movement_is_found_to_a_tenth_of_a_millimetre():
    rng, head = np.random.default_rng(4), brain()
    planted = np.array([[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0.8, 0, 0, 0, 0, 0],
                        [0, -0.6, 0.4, 0, 0, 0], [0, 0, 0, 1.0, 0, 0], [0.3, 0.2, 0, 0, -0.8, 0.6]], dtype=float)
    middle, volumes = (np.array(SHAPE) - 1) / 2, []
    for row in planted:
        turn = Rotation.from_rotvec(np.radians(row[3:])).as_matrix()
        inverse = turn.T
        offset = middle - inverse @ (middle + row[:3] / VOXEL_MM)
        volumes.append(affine_transform(head, inverse, offset=offset, order=3))
    data = np.stack([*volumes, *volumes[:3]], axis=3) + rng.standard_normal((*SHAPE, 10))
    found = np.array(list(head_motion(Series(data=data.astype(np.float32), voxel_mm=(VOXEL_MM,) * 3, tr_s=2.0))))
    np.testing.assert_allclose(found[:7, :3], planted[:, :3], atol=0.1)
    np.testing.assert_allclose(found[:7, 3:], planted[:, 3:], atol=0.15)


def test_displacement_is_the_published_sum():
    motion = np.zeros((3, 6))
    motion[1:, :2] = 0.1, -0.2
    motion[2, 3] = np.degrees(0.01)
    np.testing.assert_allclose(framewise_displacement(motion), [0, 0.3, 0.5])


def test_signal_over_noise_is_mean_over_the_spread_beyond_a_parabola():
    rng, times = np.random.default_rng(5), np.linspace(-1, 1, 120)
    clean = (500 + 5 * rng.standard_normal((120, 50)))
    slow = clean + 40 * times[:, None] + 30 * times[:, None] ** 2
    left = [np.polynomial.polynomial.polyval(times, np.polynomial.polynomial.polyfit(times, one, 2)) for one in slow.T]
    expected = slow.mean(axis=0) / np.sqrt(np.square(slow - np.array(left).T).sum(axis=0) / 117)
    np.testing.assert_allclose(temporal_snr(slow.astype(np.float32)), expected, rtol=1e-3)


def test_what_is_no_series_or_no_run_is_refused(study, scan, tmp_path):
    with pytest.raises(AnalysisError, match="an image of shape 32 x 32 x 20; expected x, y, z and at least ten"):
        read_series(save(tmp_path / "one.nii", scan[..., 0]))
    (tmp_path / "text.nii").write_text("no scan")
    with pytest.raises(AnalysisError, match="a file that cannot be read"):
        read_series(tmp_path / "text.nii")
    with pytest.raises(AnalysisError, match="no events table of this run; expected a run that was logged. Logged are: "
                                            "sub-01_ses-01_task-main_run-1"):
        check_scan(save(tmp_path / "scan.nii", scan), layout=study, key=RunKey("01", "01", "main", 7), tr_s=2.0,
                   n_discarded=9)


def test_the_command_ends_with_one_where_something_asks_for_a_look(study, scan, tmp_path):
    path = save(tmp_path / "scan.nii.gz", scan[..., :-4])
    asked = ["quickcheck", str(path), "--study", str(study.root), "--sub", "01", "--ses", "01", "--run", "1"]
    told = CliRunner().invoke(cli, asked)
    assert told.exit_code == 1
    assert "LOOK  " in told.output
    said = json.loads(CliRunner().invoke(cli, [*asked, "--json"]).stdout)
    assert said["good"] is False
    assert {one["name"] for one in said["verdicts"] if not one["good"]} >= {"volumes"}


@pytest.mark.parametrize(("spoil", "came"), [
    (np.zeros_like, "0 in every voxel of every volume"),
    (lambda data: np.full_like(data, 7.0), "7 in every voxel of every volume"),
    (lambda data: -np.abs(data), "no value above 0"),
    (lambda data: np.repeat(data[..., :1], data.shape[3], axis=3), "the same image in all 98 volumes"),
    (lambda data: np.concatenate([data[..., :90], np.repeat(data[..., 89:90], 8, axis=3)], axis=3),
     "the same image in volumes 90 and 91; 8 volumes are as the one before"),
    (lambda data: np.where(np.arange(data.shape[3]) == 3, np.nan, data), "values that are not finite")])
def test_what_is_no_signal_is_refused_and_nothing_is_written(study, scan, tmp_path, spoil, came):
    path = save(tmp_path / "flat.nii", spoil(scan[..., :98]).astype(np.float32))
    before = sorted(study.root.rglob("*"))
    with pytest.raises(AnalysisError, match=f"flat.nii: {came}.*Export the series again from the scanner"):
        check_scan(path, layout=study, key=FIRST, tr_s=2.0, n_discarded=9)
    assert sorted(study.root.rglob("*")) == before
