"""What runs evoke, how the head moves, confounds and the scale of noise: plain loops and closed forms."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from analysis.simulation import evoked
from analysis.simulation.brain.fields import Fields, drive
from analysis.simulation.confounds import Cortex, confounds_table, cosines, decompose, draw_voxels, measure_cortex
from analysis.simulation.ground_truth import Truth
from analysis.simulation.hemodynamics import Shape, Shapes, convolve_events, draw_shapes, event_responses
from analysis.simulation.motion import MOTION_COLUMNS, draw_motion, framewise_displacement, rms_displacement
from analysis.simulation.noise import NoiseModel, Nuisances
from analysis.simulation.reliability import Fitted, FittedShape, scale_noise
from stimuli.apertures import VolumeMasks
from subjects.errors import AnalysisError
from subjects.run_key import RunKey

VOLUMES = 2.0 * np.arange(30)
MODEL = NoiseModel(local_sd_pct=1.0, smooth_sd_pct=0.5, global_sd_pct=0.8, ar1=0.3, drift_sd_pct=1.0, spikes=3.0,
                   spike_pct=2.0, motion_mm=0.3, motion_pct=0.4)


@pytest.fixture
def hemisphere() -> SimpleNamespace:
    """Four vertices, the last of which answers to nothing, in the place of a whole hemisphere."""
    rng = np.random.default_rng(0)
    answers = {kind: rng.normal(1, 0.4, (2, 4)).astype(np.float32) for kind in ("RE", "AN", "AI")}
    blocks = {name: rng.normal(1, 0.4, 4).astype(np.float32) for name in ("intact", "scrambled", "static", "moving")}
    for values in (*answers.values(), *blocks.values()):
        values[..., 3] = 0
    fields = Fields(*(np.array([*one, np.nan]) for one in ((0.0, 2.0, -3.0), (0.0, 1.0, -2.0), (1.0, 1.5, 0.8),
                                                           (0.5, 0.3, 1.0), (1.0, 2.0, 0.5))))
    return SimpleNamespace(truth=Truth(("a-01", "b-01"), answers), localizers=blocks, fields=fields,
                           shapes=Shapes((Shape(), Shape(0.5, 1.2)), np.array([0, 1, 0, 1])))


def images(*rows: tuple[float, str, str | None]) -> pd.DataFrame:
    return pd.DataFrame([{"onset": onset, "duration": 2.0, "trial_type": kind, "base_image": name,
                          "image_id": name and f"px-{kind}-{name}"} for onset, kind, name in rows])


def movie(seed: int = 0, n: int = 9) -> VolumeMasks:
    x = np.linspace(-5, 5, n)
    masks = (np.random.default_rng(seed).random((6, n, n)) < 0.4).astype(np.float32)
    masks[2] = 0
    masks[4] = masks[1]
    return VolumeMasks(masks, x, -x, 2.0)


def test_images_evoke_the_sum_of_what_each_evokes_alone(hemisphere: SimpleNamespace) -> None:
    shown = [(3.0, "RE", "a-01"), (7.5, "AI", "b-01"), (11.0, "RE", "a-01"), (20.0, "AN", "b-01")]
    found = evoked.evoke_images(hemisphere, images(*shown, (26.0, "blank", None)), volumes_s=VOLUMES)
    expected = np.zeros((30, 4))
    for onset, kind, name in shown:
        for vertex, k in enumerate(hemisphere.shapes.of):
            alone = event_responses(VOLUMES, onsets_s=np.array([onset]), durations_s=np.array([2.0]), reference_s=2.0,
                                    shape=hemisphere.shapes.kinds[k])[:, 0]
            expected[:, vertex] += alone * hemisphere.truth.response(kind, name)[vertex]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not found[:, 3].any()


def test_the_order_of_rows_does_not_matter_and_an_unknown_image_is_refused(hemisphere: SimpleNamespace) -> None:
    events = images((3.0, "RE", "a-01"), (7.5, "AI", "b-01"), (11.0, "AN", "a-01"))
    one, other = (evoked.evoke_images(hemisphere, table, volumes_s=VOLUMES) for table in (events, events[::-1]))
    np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(AnalysisError, match="base image 'c-01'; expected base images of the manifest"):
        evoked.evoke_images(hemisphere, images((3.0, "RE", "c-01")), volumes_s=VOLUMES)


def test_a_block_rises_to_the_size_of_its_condition(hemisphere: SimpleNamespace) -> None:
    events = pd.DataFrame({"onset": [4.0], "duration": [16.0], "trial_type": ["moving"], "image_id": [None]})
    fine = np.arange(0, 40, 0.05)
    found = evoked.evoke_blocks(hemisphere, events, volumes_s=fine)
    np.testing.assert_allclose(found.max(axis=0), hemisphere.localizers["moving"], rtol=2e-3)


def test_apertures_evoke_drive_times_gain_volume_by_volume(hemisphere: SimpleNamespace) -> None:
    shown = movie()
    found = evoked.evoke_apertures(hemisphere, shown, drives=evoked.Drives(hemisphere.fields), volumes_s=VOLUMES)
    sizes = drive(hemisphere.fields, shown.masks, x_deg=shown.x_deg, y_deg=shown.y_deg)
    expected = np.zeros((30, 4))
    for volume in range(6):
        for vertex, k in enumerate(hemisphere.shapes.of[:3]):
            alone = event_responses(VOLUMES, onsets_s=np.array([2.0 * volume]), durations_s=np.array([2.0]),
                                    reference_s=16.0, shape=hemisphere.shapes.kinds[k])[:, 0]
            expected[:, vertex] += alone * sizes[volume, vertex] * hemisphere.fields.gain_pct[vertex]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_frames_that_come_again_are_computed_once_and_a_finer_grid_is_another(hemisphere: SimpleNamespace,
                                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(fields: Fields, masks: np.ndarray, **where: np.ndarray) -> np.ndarray:
        asked.append(len(masks))
        return drive(fields, masks, **where)

    monkeypatch.setattr(evoked, "drive", counted)
    drives, shown = evoked.Drives(hemisphere.fields), movie()
    first = drives.of(shown)
    np.testing.assert_array_equal(drives.of(replace(shown, masks=shown.masks[::-1])), first[::-1])
    assert asked == [5]
    np.testing.assert_array_equal(first[4], first[1])
    wider = replace(shown, x_deg=2 * shown.x_deg, y_deg=2 * shown.y_deg)
    expected = drive(hemisphere.fields, shown.masks, x_deg=wider.x_deg, y_deg=wider.y_deg)
    np.testing.assert_allclose(drives.of(wider), expected, rtol=1e-6)
    assert np.abs(expected - first).max() > 0.1
    assert asked == [5, 5]


def test_a_run_evokes_what_its_paradigm_does(hemisphere: SimpleNamespace) -> None:
    keys = {task: RunKey("01", "01", task, 1) for task in ("main", "lo", "prf")}
    events, drives = images((3.0, "RE", "a-01")), evoked.Drives(hemisphere.fields)
    blocks = images((3.0, "intact", "x"))
    for task, table, expected in (
            ("main", events, evoked.evoke_images(hemisphere, events, volumes_s=VOLUMES)),
            ("lo", blocks, evoked.evoke_blocks(hemisphere, blocks, volumes_s=VOLUMES)),
            ("prf", events, evoked.evoke_apertures(hemisphere, movie(), drives=drives, volumes_s=VOLUMES))):
        found = evoked.evoke(hemisphere, keys[task], events=table, movies={keys["prf"]: movie()}, drives=drives,
                             volumes_s=VOLUMES)
        assert found.any()
        np.testing.assert_array_equal(found, expected)


def test_a_later_clock_moves_a_response_and_nothing_precedes_its_event() -> None:
    given = {"durations_s": np.array([2.0]), "shape": Shape(0.25), "reference_s": 2.0}
    one = event_responses(VOLUMES, onsets_s=np.array([4.0]), **given)
    np.testing.assert_allclose(event_responses(VOLUMES + 3.7, onsets_s=np.array([7.7]), **given), one, atol=1e-6)
    assert not event_responses(np.linspace(-20, 3.9, 50), onsets_s=np.array([4.0]), **given).any()


def test_two_halves_of_an_event_add_up_to_it() -> None:
    shape = Shape(-0.5, 0.9)
    whole = event_responses(VOLUMES, onsets_s=np.array([5.0]), durations_s=np.array([6.0]), shape=shape,
                            reference_s=2.0)
    parts = event_responses(VOLUMES, onsets_s=np.array([5.0, 7.5]), durations_s=np.array([2.5, 3.5]), shape=shape,
                            reference_s=2.0)
    np.testing.assert_allclose(parts.sum(axis=1), whole[:, 0], atol=1e-5)


def test_no_events_and_silent_vertices_evoke_nothing() -> None:
    shapes = Shapes((Shape(),), np.zeros(3, dtype=np.int64))
    none = np.zeros(0)
    found = convolve_events(np.zeros((0, 3), np.float32), volumes_s=VOLUMES, onsets_s=none, durations_s=none,
                            shapes=shapes, reference_s=2.0)
    assert found.shape == (30, 3)
    assert found.dtype == np.float32
    assert not found.any()


def test_far_out_lags_and_widths_are_drawn_in_and_no_width_is_below_its_least() -> None:
    far = np.array([-50.0, 0.0, 50.0], np.float32)
    shapes = draw_shapes(far, far, lag_sd_s=0.5, width_sd=0.4)
    assert shapes.lag_s.tolist() == [-1.5, 0.0, 1.5]
    assert shapes.width == pytest.approx([0.3, 1.0, 2.2])


def test_displacement_is_a_loop_over_volumes_and_knows_no_place_nor_direction() -> None:
    motion = np.random.default_rng(1).normal(0, [0.2] * 3 + [0.004] * 3, (40, 6))
    found = framewise_displacement(motion)
    for k in range(1, 40):
        step = [abs(motion[k, c] - motion[k - 1, c]) for c in range(6)]
        assert found[k] == pytest.approx(sum(step[:3]) + 50 * sum(step[3:]))
    np.testing.assert_allclose(framewise_displacement(motion + 1.0), found)
    np.testing.assert_allclose(framewise_displacement(-motion), found)
    np.testing.assert_allclose(framewise_displacement(motion[::-1])[1:], found[:0:-1])


def test_rms_displacement_is_that_of_scipys_rotations() -> None:
    """By the integral over a sphere: mean of |(R - 1) x + d|^2 is r^2 / 5 tr((R - 1)'(R - 1)) + |d|^2."""
    motion = np.random.default_rng(2).normal(0, [0.5] * 3 + [0.05] * 3, (12, 6))
    found = rms_displacement(motion)
    assert np.isnan(found[0])
    for k in range(1, 12):
        before, after = (Rotation.from_euler("xyz", motion[j, 3:]).as_matrix() for j in (k - 1, k))
        turned = after @ before.T
        moved = motion[k, :3] - turned @ motion[k - 1, :3]
        expected = 50**2 / 5 * np.square(turned - np.eye(3)).sum() + np.square(moved).sum()
        assert found[k] == pytest.approx(np.sqrt(expected), rel=1e-9)


def test_a_head_that_breathes_moves_as_much_more_as_it_breathes() -> None:
    breath = np.sin(np.arange(120))
    given = {"sudden": np.zeros(0, dtype=int), "drift_mm": 0.2}
    still, one, two = (draw_motion(size * breath, rng=np.random.default_rng(3), **given) for size in (0, 1, 2))
    np.testing.assert_allclose(two - still, 2 * (one - still), atol=1e-12)
    expected = 0.03 * (breath - breath[0])
    np.testing.assert_allclose((one - still)[:, 1], expected, atol=1e-12)
    assert np.abs((one - still)[:, [0, 3, 4, 5]]).max() < 1e-12


def test_change_of_a_planted_square_wave_by_hand() -> None:
    data = np.full((8, 3), 100.0, np.float32)
    data[1::2, 0] += 4
    data[1::2, 1] -= 4
    data[:, 2] = 0
    found = measure_cortex([data[:, :1], data[:, 1:]])
    assert np.isnan(found.dvars[0])
    np.testing.assert_allclose(found.mean, 100)
    np.testing.assert_allclose(found.dvars[1:], 4)
    still = measure_cortex([np.full((8, 2), 5.0, np.float32)])
    assert not still.std_dvars[1:].any()


def test_standardised_change_knows_no_scale_and_no_hemisphere() -> None:
    data = (500 + np.random.default_rng(4).standard_normal((60, 30))).astype(np.float32)
    whole, parts, scaled = (measure_cortex(one) for one in ([data], [data[:, :11], data[:, 11:]], [4 * data]))
    np.testing.assert_allclose(parts.std_dvars, whole.std_dvars, rtol=1e-9)
    np.testing.assert_allclose(scaled.std_dvars, whole.std_dvars, rtol=1e-6)
    np.testing.assert_allclose(scaled.dvars, 4 * whole.dvars, rtol=1e-6)


@pytest.mark.parametrize(("n_volumes", "tr_s", "n_slow"), [(20, 2.0, 0), (64, 2.0, 1), (200, 1.5, 3)])
def test_slow_cosines_are_those_of_a_loop(n_volumes: int, tr_s: float, n_slow: int) -> None:
    found = cosines(n_volumes, tr_s=tr_s)
    assert found.shape == (n_volumes, n_slow)
    for k in range(n_slow):
        course = [np.cos(np.pi * (k + 1) * (t + 0.5) / n_volumes) for t in range(n_volumes)]
        np.testing.assert_allclose(found[:, k], course / np.linalg.norm(course), atol=1e-12)


def test_components_of_voxels_know_no_scale_nor_drift_nor_constant_voxels() -> None:
    rng = np.random.default_rng(5)
    slow, voxels = cosines(150, tr_s=2.0), rng.standard_normal((150, 20))
    courses, sizes = decompose(voxels, slow=slow)
    spoilt = np.column_stack([voxels * rng.uniform(1, 9, 20) + 30 * slow[:, :1] + 100, np.zeros((150, 2))])
    others, sizes_other = decompose(spoilt, slow=slow)
    np.testing.assert_allclose(sizes_other[:20], sizes, rtol=1e-8)
    np.testing.assert_allclose(sizes_other[20:], 0, atol=1e-8)
    np.testing.assert_allclose(np.abs((courses[:, :5] * others[:, :5]).sum(axis=0)), 1, atol=1e-6)
    assert np.square(sizes).sum() == pytest.approx(150 * 20)


def nuisances(n: int = 90, *, n_unsteady: int = 2) -> Nuisances:
    rng = np.random.default_rng(6)
    motion = np.zeros((n, 6))
    motion[40:, 0] = 0.7
    unsteady = np.where(np.arange(n) < n_unsteady, 0.2, 0).astype(np.float32)
    return Nuisances(rng.standard_normal((n, 3)).astype(np.float32), np.zeros((n, 0), np.float32), motion, unsteady)


def test_a_table_of_confounds_follows_from_its_own_columns() -> None:
    n, rng = 90, np.random.default_rng(7)
    std = np.concatenate([[np.nan], rng.uniform(0.8, 1.2, n - 1)])
    std[60] = 1.6
    table, said = confounds_table(nuisances(), Cortex(rng.normal(800, 1, n), 8 * std, std), model=MODEL, tr_s=2.0,
                                  rng=rng)
    for name in ("global_signal", "csf", "white_matter", *MOTION_COLUMNS):
        np.testing.assert_allclose(table[f"{name}_derivative1"][1:], table[name].diff()[1:])
        np.testing.assert_allclose(table[f"{name}_power2"], table[name] ** 2)
        assert np.isnan(table[f"{name}_derivative1_power2"][0])
    outliers = table.filter(regex=r"^motion_outlier")
    assert [int(column.argmax()) for _, column in outliers.items()] == [40, 60]
    unsteady = table.filter(regex="^non_steady")
    assert unsteady.to_numpy().tolist() == np.eye(n)[:, :2].tolist()
    for letter in "cwa":
        kept = [one for name, one in said.items() if name.startswith(f"{letter}_comp_cor")]
        shares = [one["VarianceExplained"] for one in kept]
        assert shares == sorted(shares, reverse=True)
        assert np.cumsum(shares) == pytest.approx([one["CumulativeVarianceExplained"] for one in kept])
        assert sum(shares) >= 0.5 > sum(shares[:-1])


def test_voxels_without_anything_shared_have_their_own_noise_about_their_mean() -> None:
    silent = replace(MODEL, global_sd_pct=0.0, motion_pct=0.0, spike_pct=0.0)
    found = draw_voxels(nuisances(400, n_unsteady=0), model=silent, rng=np.random.default_rng(8))
    for tissue, mean, own_pct in (("csf", 1500, 1.5), ("white_matter", 650, 0.8)):
        assert found[tissue].mean() == pytest.approx(mean, rel=0.05)
        spread = 100 * found[tissue].std(axis=0) / found[tissue].mean(axis=0)
        assert spread.mean() == pytest.approx(own_pct, rel=0.03)


def test_the_fitted_response_is_the_integral_of_spms() -> None:
    from scipy.integrate import quad
    from scipy.stats import gamma

    times = np.array([-3.0, 0.0, 2.0, 5.5, 16.0, 60.0])
    expected = [quad(lambda s: gamma.pdf(s, 6) - gamma.pdf(s, 16) / 6, 0, max(t, 0), limit=200)[0] for t in times]
    np.testing.assert_allclose(FittedShape().integral(times), expected, atol=1e-7)


@pytest.mark.parametrize("asked", [0.05, 0.3, 0.7])
def test_scaled_noise_gives_the_asked_reliability_and_keeps_its_kind(asked: float) -> None:
    fitted = Fitted(variance=0.2, covariance=0.17, error=0.6)
    made = scale_noise(MODEL, reliability=asked, fitted=fitted)
    factor = made.local_sd_pct / MODEL.local_sd_pct
    assert fitted.covariance / (fitted.variance + factor**2 * fitted.error) == pytest.approx(asked)
    for name, value in asdict(MODEL).items():
        scaled = name in ("local_sd_pct", "smooth_sd_pct", "global_sd_pct", "drift_sd_pct", "spike_pct", "motion_pct")
        assert getattr(made, name) == pytest.approx(value * factor if scaled else value), name
    again = scale_noise(made, reliability=asked, fitted=replace(fitted, error=fitted.error * factor**2))
    assert again.local_sd_pct == pytest.approx(made.local_sd_pct)
