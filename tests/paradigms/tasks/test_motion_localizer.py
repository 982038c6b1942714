"""The hMT+ localizer: blocks against the protocol, dots against a plain account of where they may go."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.schedule import BLANK, Schedule, first_seconds
from paradigms.tasks.dots import Flow, make_dots, plan_flow, screen_px
from paradigms.tasks.motion_localizer import LEVELS, Player, make_schedule, program
from subjects.errors import ScheduleError, SettingsError
from subjects.run_key import RunKey
from subjects.settings.display import DisplaySettings
from subjects.settings.loading import load_settings
from subjects.settings.study import MotionSettings, Settings, StudySettings
from tests.paradigms.texture_rows import played


def plan(*, seed: int = 20210, run: int = 1, **changes: object) -> tuple[Schedule, Settings]:
    settings = Settings(motion=MotionSettings.model_validate(changes), study=StudySettings(seed=seed))
    return make_schedule(settings, key=RunKey("01", "01", "motion", run)), settings


def player(**changes: object) -> Player:
    return Player(*plan(**changes))  # type: ignore[arg-type]


def test_the_protocols_blocks() -> None:
    made, _ = plan()
    assert (made.duration_s, made.n_volumes) == (336.0, 168)
    expected, time = [(BLANK, 0.0, 8.0)], 8.0
    for _ in range(10):
        expected += [("static", time, 24.0), ("moving", time + 24.0, 8.0)]
        time += 32.0
    expected.append((BLANK, 328.0, 8.0))
    assert [(event.trial_type, event.onset_s, event.duration_s) for event in made.events] == expected
    assert Counter(event.category for event in made.events if event.trial_type == "moving") == \
        {"outward": 5, "inward": 5}
    assert set(LEVELS) >= {event.trial_type for event in made.events}


def test_ten_seeds_differ_and_the_same_seed_gives_the_same_dots() -> None:
    assert len({plan(seed=seed)[0].digest for seed in range(10)}) == 10
    assert plan(seed=2)[0].digest == plan(seed=2)[0].digest
    assert np.array_equal(player(seed=2).dots_at(35.0), player(seed=2).dots_at(35.0))
    assert not np.array_equal(player(seed=2).dots_at(35.0), player(seed=3).dots_at(35.0))


def test_number_and_place_of_the_dots() -> None:
    dots = player()
    for t in (8.0, 20.0, 32.0, 36.77, 327.9):
        places = dots.dots_at(t)
        assert places.shape == (143, 2)
        assert np.abs(places).max() <= 6.0 + 1e-9
        assert np.hypot(*places.T).min() >= 0.5 - 1e-9
    assert dots.dots_at(4.0).shape == dots.dots_at(330.0).shape == dots.dots_at(-1.0).shape == (0, 2)


@pytest.mark.parametrize("speed", [15.0, 4.0])
@pytest.mark.parametrize("step", [1 / 60, 1 / 120, 0.003])
def test_speed_is_exactly_the_setting_between_rebirths_and_turns(speed: float, step: float) -> None:
    dots = player(speed_deg_s=speed)
    n = 0
    for t in np.arange(32.0, 40.0 - step, step):
        turns = {32.0 + 2.0 * k for k in range(5)}
        if any(t < turn < t + step for turn in turns):
            continue
        before, after = dots.dots.lives(dots.moved_s(t)), dots.dots.lives(dots.moved_s(t + step))
        same = before == after
        moved = (dots.dots_at(t + step) - dots.dots_at(t))[same] / step
        assert np.abs(np.hypot(*moved.T) / speed - 1.0).max() < 1e-3
        n += int(same.sum())
    assert n > 10_000


def test_motion_is_radial_and_coherent_and_turns_every_two_seconds() -> None:
    dots = player()
    event = next(event for event in dots.schedule.events if event.trial_type == "moving")
    sign = {"outward": 1.0, "inward": -1.0}[str(event.category)]
    for k in range(4):
        t, step = event.onset_s + 2.0 * k + 0.9, 1e-4
        same = dots.dots.lives(dots.moved_s(t)) == dots.dots.lives(dots.moved_s(t + step))
        a, b = dots.dots_at(t)[same], dots.dots_at(t + step)[same]
        velocity = (b - a) / step
        assert np.allclose(velocity, sign * (-1) ** k * 15.0 * a / np.hypot(*a.T)[:, None], atol=1e-6)


def test_dots_jump_only_when_they_are_born_again() -> None:
    """Also at the turns, from static to moving, and from moving to static."""
    dots = player()
    times = np.arange(31.5, 66.0, 1 / 240)
    places = np.stack([dots.dots_at(t) for t in times])
    lives = np.stack([dots.dots.lives(dots.moved_s(t)) for t in times])
    jumps = np.hypot(*np.moveaxis(np.diff(places, axis=0), 2, 0))
    same = np.diff(lives, axis=0) == 0
    assert jumps[same].max() <= 15.0 / 240 + 1e-9
    static = (times[1:] < 32.0) | ((times[:-1] > 40.0) & (times[1:] < 64.0))
    assert jumps[static].max() == 0.0
    assert np.median(jumps[~same]) > 2.0


def test_lifetimes() -> None:
    """No life is longer than 0.4 s, and lives that nothing ends before last exactly that."""
    dots, ages = player().dots, []
    for one in range(0, 143, 7):
        numbers = dots.life[:, one]
        born = np.array([dots.start_s[np.flatnonzero(numbers == k)[0], one] for k in np.unique(numbers)])
        ages += [*np.diff(born)[1:]]
    assert max(ages) <= 0.4 + 1e-9
    assert np.mean(np.abs(np.array(ages) - 0.4) < 1e-9) > 0.005


def test_dots_are_of_every_age_at_the_start() -> None:
    """As many die in the first tenth of a lifetime as in the next: nothing blinks in step."""
    section = MotionSettings(speed_deg_s=0.01, density=10.0)
    field = make_dots(section, flow=Flow((0.0,), (1,), 0.5), rng=np.random.default_rng(0))
    alive = [int(np.sum(field.lives(0.04 * k) == 0)) for k in range(11)]
    assert np.abs(-np.diff(alive) - 144).max() < 50
    assert alive[10] == 0


def test_any_order_of_asking_gives_the_same_places() -> None:
    one = player()
    times = np.random.default_rng(1).uniform(8.0, 328.0, 12)
    forth = [one.dots_at(t) for t in times]
    back = [player().dots_at(t) for t in times[::-1]]
    assert all(np.array_equal(a, b) for a, b in zip(forth, back[::-1], strict=True))


RINGS_DEG = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.5)
N_SEEDS = 200


def ring_areas() -> np.ndarray:
    """By counting a fine grid over the square of 12 degrees."""
    x = (np.arange(3000) + 0.5) * 12.0 / 3000 - 6.0
    return np.histogram(np.hypot(x[:, None], x), RINGS_DEG)[0] * (12.0 / 3000) ** 2


def places_over_seeds(times: np.ndarray, *, first: int, **changes: object) -> np.ndarray:
    """(n_seeds, n_times, n_dots, 2)"""
    section = MotionSettings.model_validate(changes)
    flow = plan_flow([first], moving_s=8.0, direction_s=2.0)
    return np.stack([[field.at(t) for t in times] for field in (
        make_dots(section, flow=flow, rng=np.random.default_rng(seed)) for seed in range(N_SEEDS))])


@pytest.mark.parametrize(("changes", "first"), [({}, 1), *(
    pytest.param(changes, first, marks=pytest.mark.slow) for changes, first in (
        ({}, -1), *(({"lifetime_s": 5.0}, k) for k in (1, -1)),
        *(({"speed_deg_s": 4.0, "lifetime_s": 0.2}, k) for k in (1, -1))))])
def test_density_is_uniform_at_every_phase(first: int, changes: dict[str, object]) -> None:
    """Around the turns too, and also where lifetimes are so long that only the flow moves dots."""
    times = np.array([0.0, 0.05, 0.2, 0.5, 1.3, 1.999, 2.001, 2.05, 2.2, 3.0, 3.999, 4.01, 5.0, 8.0])
    away = np.hypot(*np.moveaxis(places_over_seeds(times, first=first, **changes), 3, 0))
    counts = np.array([[np.histogram(frame, RINGS_DEG)[0] for frame in one] for one in away])
    area = ring_areas()
    assert counts.sum(axis=2).min() == 143  # nothing outside the rings
    expected = 143 * area / area.sum()
    assert counts.mean(axis=(0, 1)) / area == pytest.approx(np.ones(8), rel=0.1)
    chi2 = np.sum((counts.sum(axis=0) - N_SEEDS * expected) ** 2 / (N_SEEDS * expected), axis=1)
    assert chi2.max() < 29.9  # 7 degrees of freedom: p = 1e-4, one of 84 phases
    spread = counts.var(axis=0, ddof=1) / expected
    assert spread.mean(axis=0).max() < 1.05
    assert spread.max() < 1.0 + 4.5 * math.sqrt(2 / (N_SEEDS - 1))


@pytest.mark.parametrize("first", [-1, pytest.param(1, marks=pytest.mark.slow)])
def test_density_is_uniform_over_directions_and_squares(first: int) -> None:
    """Chi-square over a grid of the square and over the polar angle: corners and diagonals are no exception."""
    places = places_over_seeds(np.array([0.3, 1.1, 2.3, 3.1]), first=first)
    for k in range(4):
        x, y = places[:, k].reshape(-1, 2).T
        cells = np.histogram2d(x, y, bins=6, range=[[-6, 6], [-6, 6]])[0]
        share = np.full((6, 6), 4.0)
        share[2:4, 2:4] -= math.pi * 0.25 / 4
        expected = share / share.sum() * cells.sum()
        assert np.sum((cells - expected) ** 2 / expected) < 76.4  # 35 degrees of freedom: p = 1e-4


@pytest.mark.slow
def test_static_frames_are_drawn_from_the_same_distribution() -> None:
    """Rendered: the level of every ring in static blocks and in moving ones, pixel by pixel."""
    small = DisplaySettings(width_px=480, height_px=270)
    y, x = np.mgrid[-94.5:95.5, -94.5:95.5]
    away = np.degrees(np.arctan(np.hypot(x, y) * 89 / 480 / 168))
    ring = np.digitize(away, [1.0, 2.0, 3.5, 5.0, 6.0])
    levels: dict[str, list[np.ndarray]] = {"static": [], "moving": []}
    for seed in range(N_SEEDS):
        made, settings = plan(seed=seed, blocks=2, static_s=4.0, lead_s=1.0)
        one = Player(made, settings.model_copy(update={"display": small}))
        for kind, t in (("static", 15.0), ("moving", 5.0 + seed % 80 / 10)):
            screen = RecordingDisplay(VirtualClock(), size_px=(480, 270), refresh_hz=60.0)
            screen.open()
            screen.draw(one.frame_at(t))
            screen.flip()
            pixels = screen.screenshot()[40:230, 145:335, 0].astype(np.float64)
            levels[kind].append(np.bincount(ring.ravel(), pixels.ravel())[1:] / np.bincount(ring.ravel())[1:])
    static, moving = (np.mean(levels[kind], axis=0) for kind in ("static", "moving"))
    assert static == pytest.approx(moving, rel=0.1)
    assert static.sum() / moving.sum() == pytest.approx(1.0, abs=0.03)
    assert moving[:4] == pytest.approx(np.full(4, moving[:4].mean()), rel=0.1)


def test_how_dots_end_inward_and_begin_outward() -> None:
    """The closed forms against what they stand for: ends at a rate of v / r inward, births even along r outward."""
    section = MotionSettings(speed_deg_s=1.0, lifetime_s=100.0, density=30.0)
    inward = make_dots(section, flow=Flow((0.0,), (-1,), 0.5), rng=np.random.default_rng(0))
    start = np.hypot(*inward.at(0.0).T)
    for low, high in ((1.0, 2.0), (2.0, 4.0), (4.0, 6.0)):
        among = (start > low) & (start < high)
        stays = np.exp(-np.trapezoid(1.0 / (start[among] - np.linspace(0.0, 0.5, 101)[:, None]), dx=0.005, axis=0))
        assert np.mean(inward.lives(0.5)[among] == 0) == pytest.approx(stays.mean(), abs=0.03)
    outward = make_dots(section, flow=Flow((0.0,), (1,), 30.0), rng=np.random.default_rng(1))
    born = (np.diff(outward.life, axis=0, prepend=0) > 0) & (outward.start_s > 0)
    place = outward.place_deg[born]
    along = np.hypot(*place.T)
    near = along[np.max(np.abs(place), axis=1) < 5.9]
    assert np.mean(near < 0.5 + 1e-9) == pytest.approx(0.5 / 6.25, abs=0.02)
    counts = np.histogram(near, np.arange(1.0, 6.0))[0]
    assert np.ptp(counts) / counts.mean() < 0.12


def test_the_flow_of_a_period_that_is_no_multiple() -> None:
    assert plan_flow([1, 1], moving_s=5.0, direction_s=2.0) == \
        Flow((0.0, 2.0, 4.0, 5.0, 7.0, 9.0), (1, -1, 1, 1, -1, 1), 10.0)


def test_places_on_a_flat_screen() -> None:
    display = DisplaySettings()
    px = screen_px(np.array([[6.0, 0.0], [0.0, -3.0], [3.0, 4.0]]), display)
    per_cm = 1920 / 89
    assert px[0] == pytest.approx([168 * math.tan(math.radians(6)) * per_cm, 0.0])
    assert px[1] == pytest.approx([0.0, -168 * math.tan(math.radians(3)) * per_cm])
    assert np.hypot(*px[2]) == pytest.approx(168 * math.tan(math.radians(5)) * per_cm)
    assert px[2, 1] / px[2, 0] == pytest.approx(4 / 3)
    assert px.dtype == np.float32


def test_frames() -> None:
    one = player()
    frame = one.frame_at(20.0)
    assert frame.dots_px is not None
    assert frame.dots_px.shape == (143, 2)
    assert (frame.image_id, frame.background, frame.dot_level) == (None, 0, 255)
    assert frame.dot_px == pytest.approx(DisplaySettings().px_for(0.2))
    assert one.frame_at(2.0).dots_px is None


@pytest.mark.parametrize("refresh_hz", [60.0, 75.0, 120.0])
def test_played_in_virtual_time(tmp_path: Path, refresh_hz: float) -> None:
    _, settings = plan()
    settings = settings.model_copy(update={"display": DisplaySettings(refresh_hz=refresh_hz)})
    made = first_seconds(make_schedule(settings, key=RunKey("01", "01", "motion", 1)), until_s=68.0)
    records, shown = played(made, program(made, settings), settings=settings, folder=tmp_path, refresh_hz=refresh_hz)
    flips = [record for record in records if record["kind"] == "flip"]
    steps = [flip["step"] for flip in flips if "step" in flip]
    assert steps == [*range(round(8 * refresh_hz)), *range(round(4 * refresh_hz))]
    assert max(abs(flip["t"] - flip["planned"]) for flip in flips) < 1.01 / refresh_hz
    assert not any(record["kind"] == "skip" for record in records)
    zero = next(record["t"] for record in records if record["kind"] == "zero")
    whole = Player(make_schedule(settings, key=RunKey("01", "01", "motion", 1)), settings)
    for flip, one in list(zip(flips, shown[1:], strict=True))[::97]:
        expected = screen_px(whole.dots_at(flip["planned"] - zero), settings.display)
        if len(expected):
            assert one.frame.dots_px == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("change", "text"), [
    ({"inner_deg": 3.0}, "leaves the dots no room"), ({"density": 0.003}, "density leaves no dot"),
    ({"speed_deg_s": 0.0}, "motion.speed_deg_s"),
])
def test_settings_that_do_not_fit_are_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        load_settings(overrides={"motion": change})


def test_an_unplanned_run_is_refused() -> None:
    with pytest.raises(ScheduleError, match="run of session 01: 2; expected 1 to 1"):
        plan(run=2)
