"""Retinotopic mapping: times, directions and textures against the protocol, computed plainly."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.schedule import BLANK, Schedule
from paradigms.tasks.aperture_movie import VARIANTS, movie, segments
from paradigms.tasks.planning import require_run
from paradigms.tasks.retinotopy import LEVELS, TASK, Player, make_schedule, program
from stimuli.apertures import Bar, Ring, Wedge, degree_grid, mask
from subjects.errors import ScheduleError, SettingsError
from subjects.run_key import RunKey
from subjects.settings.display import DisplaySettings
from subjects.settings.loading import load_settings
from subjects.settings.study import RetinotopySettings, Settings, StudySettings
from tests.paradigms.texture_rows import played, rows

SECTION = RetinotopySettings(runs=(VARIANTS, ("bar",)))
SETTINGS = Settings(retinotopy=SECTION)


def plan(variant: str = "wedge_ccw", *, settings: Settings = SETTINGS, ses: str = "01") -> Schedule:
    return make_schedule(settings, textures=rows(), key=RunKey("01", ses, TASK, 1 + VARIANTS.index(variant)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_run_lasts_300_seconds(variant: str) -> None:
    made = plan(variant)
    assert (made.duration_s, made.n_volumes, len(made.steps), made.variant) == (300.0, 150, 4500, variant)
    assert made.events[0].onset_s == 0.0
    for before, after in pairwise(made.events):
        assert after.onset_s == pytest.approx(before.end_s, abs=1e-9)
    assert made.events[-1].end_s == pytest.approx(300.0)
    assert {event.trial_type for event in made.events} <= set(LEVELS)
    assert SECTION.duration_s(variant) == 300.0


def test_the_times_of_each_kind_of_run() -> None:
    def spans(variant: str) -> list[tuple[str, float]]:
        return [(event.trial_type, event.duration_s) for event in plan(variant).events]

    for variant in ("wedge_ccw", "wedge_cw"):
        assert spans(variant) == [(BLANK, 22.0), *[(variant, 32.0)] * 8, (BLANK, 22.0)]
    for variant in ("ring_expand", "ring_contract"):
        assert spans(variant) == [(BLANK, 22.0), *[(variant, 28.0), (BLANK, 4.0)] * 8, (BLANK, 22.0)]
    bars = [("bar", 28.0), (BLANK, 4.0)] * 4
    assert spans("bar") == [(BLANK, 16.0), *bars, (BLANK, 12.0), *bars, (BLANK, 16.0)]
    rings = {way: [(f"ring_{way}", 28.0), (BLANK, 4.0)] * 2 for way in ("expand", "contract")}
    assert spans("mix") == [(BLANK, 22.0), *[("wedge_ccw", 32.0)] * 2, *rings["expand"], *[("wedge_cw", 32.0)] * 2,
                            *rings["contract"], (BLANK, 22.0)]


def test_bars_go_in_eight_directions_in_the_protocols_order() -> None:
    bars = [event for event in plan("bar").events if event.trial_type == "bar"]
    assert [event.category for event in bars] == [
        "left-right", "down-up", "right-left", "up-down", "lowerleft-upperright", "lowerright-upperleft",
        "upperright-lowerleft", "upperleft-lowerright"]
    grid, made = degree_grid(41, size_deg=12.0), movie(SECTION, "bar")
    ways = [(1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, 1), (-1, -1), (1, -1)]
    for event, (dx, dy) in zip(bars, ways, strict=True):
        early, late = (mask(made.apertures[made.index[round((event.onset_s + t) * 15)]], grid, field_deg=12.0)
                       for t in (7.0, 21.0))
        for axis, sign in ((grid.x_deg, dx), (grid.y_deg, dy)):
            moved = np.average(axis, weights=late) - np.average(axis, weights=early)
            assert np.sign(round(float(moved), 2)) == sign


def test_a_bar_sweeps_evenly_from_rim_to_rim() -> None:
    part = next(part for part in segments(SECTION, "bar") if part.kind == "bar")
    fronts = [part.aperture(j, SECTION) for j in range(part.n)]
    assert all(isinstance(one, Bar) and one.width_deg == 1.5 for one in fronts)
    places = np.array([one.front_deg for one in fronts if isinstance(one, Bar)])
    step = 13.5 / 420
    assert places[0] == pytest.approx(-6.0 + step / 2)
    assert places[-1] == pytest.approx(7.5 - step / 2)
    assert np.allclose(np.diff(places), step)


def test_wedges_turn_once_in_32_seconds_and_clockwise_is_the_reverse() -> None:
    def centres(variant: str) -> list[float]:
        made = movie(SECTION, variant)
        found = [made.apertures[k] for k in made.index[330:330 + 480]]
        return [one.centre_deg for one in found if isinstance(one, Wedge)]

    ccw, cw = centres("wedge_ccw"), centres("wedge_cw")
    assert np.allclose(np.diff(np.unwrap(ccw, period=360.0)), 0.75)
    assert ccw[0] == pytest.approx(0.375)
    assert cw == ccw[::-1]


def test_every_place_is_uncovered_equally_long() -> None:
    """Over a cycle each point of the field sees a wedge for 90/360, a ring for 1.5/7.5, a bar for 1.5/13.5 of it."""
    grid = degree_grid(21, size_deg=12.0)
    field = grid.r_deg < 5.9
    for variant, share in (("wedge_ccw", 0.25), ("ring_expand", 0.2), ("ring_contract", 0.2), ("bar", 1.5 / 13.5)):
        part = next(part for part in segments(SECTION, variant) if part.kind != BLANK)
        total = sum(mask(part.aperture(j, SECTION), grid, field_deg=12.0).astype(float) for j in range(part.n)) / part.n
        away = field & (grid.r_deg > 0.05)
        assert np.allclose(total[away], share, atol=2.1 / part.n)


def test_rings_grow_or_shrink() -> None:
    for variant, way in (("ring_expand", 1), ("ring_contract", -1)):
        part = next(part for part in segments(SECTION, variant) if part.kind != BLANK)
        found = [part.aperture(j, SECTION) for j in range(part.n)]
        outer = [one.outer_deg for one in found if isinstance(one, Ring)]
        assert np.allclose(np.diff(outer), way * 7.5 / 420, atol=1e-8)


def mean_eccentricities(section: RetinotopySettings, variant: str) -> list[float]:
    """Of what the volumes of 2 s that begin at 0, 6, 12, 18 and 24 s of a sweep uncover, in radii of the field.

    By plain sums over the screen's masks, drawn much finer than any ring.
    """
    made, grid = movie(section, variant), degree_grid(601, size_deg=12.0)
    means = []
    for at_s in (0, 6, 12, 18, 24):
        steps = made.index[(22 + at_s) * 15:(22 + at_s + 2) * 15]
        seen = sum(mask(made.apertures[k], grid, field_deg=12.0, edge_deg=grid.step_deg).astype(float) for k in steps)
        means.append(float(np.sum(seen * grid.r_deg) / np.sum(seen)) / 6.0)
    return means


def test_even_and_published_rings() -> None:
    """Against the figures measured in the published masks of this stimulus, and in ours, to their two decimals."""
    kay = SECTION.model_copy(update={"preset": "kay"})
    assert mean_eccentricities(kay, "ring_expand") == pytest.approx([0.01, 0.04, 0.15, 0.44, 0.81], abs=0.0051)
    assert mean_eccentricities(SECTION, "ring_expand") == pytest.approx([0.04, 0.22, 0.47, 0.73, 0.93], abs=0.0051)


def test_growing_rings_enter_and_leave_whole_and_uncover_every_place_equally_long() -> None:
    kay, grid = SECTION.model_copy(update={"preset": "kay"}), degree_grid(41, size_deg=12.0)
    field = (grid.r_deg < 5.9) & (grid.r_deg > 0.2)
    parts = {variant: next(part for part in segments(kay, variant) if part.kind != BLANK)
             for variant in ("ring_expand", "ring_contract")}
    rings = [parts["ring_expand"].aperture(j, kay) for j in range(420)]
    assert [parts["ring_contract"].aperture(419 - j, kay) for j in range(420)] == rings
    total = sum(mask(one, grid, field_deg=12.0).astype(float) for one in rings) / 420
    assert np.allclose(total[field], 0.273 / 1.273, atol=2.1 / 420)
    assert isinstance(rings[0], Ring)
    assert isinstance(rings[-1], Ring)
    assert rings[0].outer_deg < 0.001
    assert rings[-1].outer_deg - rings[-1].width_deg == pytest.approx(6.0, rel=0.01)
    widths = [one.width_deg for one in rings if isinstance(one, Ring)]
    assert widths == sorted(widths)


def test_the_published_wedge_starts_45_degrees_further() -> None:
    kay = SECTION.model_copy(update={"preset": "kay", "wedge_start_deg": 10.0})
    for variant, way in (("wedge_ccw", 1), ("wedge_cw", -1)):
        made = movie(kay, variant)
        first = made.apertures[made.index[330]]
        assert isinstance(first, Wedge)
        assert first.centre_deg == pytest.approx(55.0 + way * 0.375)
    assert movie(kay, "bar").apertures == movie(SECTION, "bar").apertures


def test_textures_never_follow_themselves_and_are_shown_alike() -> None:
    made = plan()
    steps = np.array(made.steps)
    shown = steps[330:330 + 8 * 480]
    assert np.all(steps[:330] == -1)
    assert np.all(steps[-330:] == -1)
    assert np.all(shown[1:] != shown[:-1])
    counts = np.bincount(shown, minlength=100)
    assert len(made.textures) == len(set(made.textures)) == 100
    assert np.sum((counts - 38.4) ** 2 / 38.4) < 160  # chi-square, 99 degrees
    assert set(made.image_ids) == set(made.textures)


def test_ten_seeds_give_ten_orders_and_the_same_seed_the_same_bytes() -> None:
    made = [plan(settings=SETTINGS.model_copy(update={"study": StudySettings(seed=seed)})) for seed in range(10)]
    assert len({one.steps for one in made}) == len({one.marks for one in made}) == 10
    assert json.dumps(plan().to_json()) == json.dumps(plan().to_json())
    assert Schedule.from_json(json.loads(json.dumps(plan().to_json()))) == plan()


def test_the_state_is_a_function_of_time_alone() -> None:
    player = Player(plan(), SETTINGS)
    times = np.random.default_rng(0).uniform(-2.0, 302.0, 300)
    forth = [player.state_at(t) for t in times]
    back = [Player(plan(), SETTINGS).state_at(t) for t in times[::-1]]
    assert forth == back[::-1]
    for t, state in zip(times, forth, strict=True):
        step = int(t * 15 // 1)
        if 0 <= step < 4500:
            assert (state.step, state.texture_index) == (step, plan().steps[step])
            assert (state.aperture_index > 0) == (22.0 <= step / 15 < 278.0) == (state.texture_index >= 0)
        else:
            assert (state.aperture_index, state.texture_index) == (0, -1)


def test_frames_show_texture_aperture_and_fixation() -> None:
    player = Player(plan(), SETTINGS)
    frame = player.frame_at(30.0)
    assert frame.image_id == player.schedule.textures[player.schedule.steps[450]]
    assert frame.aperture is not None
    assert frame.aperture.shape == (256, 256)
    assert round(frame.image_px) == 762
    rows_, columns = np.nonzero(frame.aperture > 128)  # a quarter turn after 22 s: straight up
    assert rows_.max() <= 128
    assert abs(columns.mean() - 127.5) < 2.0
    blank = player.frame_at(3.0)
    assert (blank.image_id, blank.aperture, blank.background) == (None, None, 127)
    bare = Player(plan(), SETTINGS.model_copy(update={"retinotopy": RetinotopySettings(grid=False)}))
    assert bare.frame_at(3.0).overlay is None


def test_the_fixation_grid_stands_on_every_frame_and_screen() -> None:
    player = Player(plan(), SETTINGS)
    overlay = player.frame_at(-1.0).overlay
    assert overlay is not None
    assert overlay is player.frame_at(30.0).overlay
    assert (overlay.shape, overlay.max()) == ((1024, 1024), 64)
    display = RecordingDisplay(VirtualClock(), size_px=(800, 800), refresh_hz=60.0)
    display.open()
    display.draw(player.frame_at(3.0))
    display.flip()
    screen = display.screenshot()[:, :, 0]
    radii = [(SETTINGS.display.px_for(12.0) - 2) / 2.0 / 2 ** k for k in range(3)]
    bearing = np.deg2rad(22.5)  # halfway between two spokes
    for radius in radii:
        row, column = 400 - radius * np.sin(bearing), 400 + radius * np.cos(bearing)
        assert screen[int(row), int(column)] > 150
        inside = screen[int(400 - 0.8 * radius * np.sin(bearing)), int(400 + 0.8 * radius * np.cos(bearing))]
        assert inside == SETTINGS.display.background
    assert screen[400, 700] > 150, "the spoke to the right"


@pytest.mark.parametrize("refresh_hz", [75.0, *(pytest.param(hz, marks=pytest.mark.slow) for hz in (60.0, 120.0))])
def test_played_in_virtual_time(tmp_path: Path, refresh_hz: float) -> None:
    settings = SETTINGS.model_copy(update={"display": DisplaySettings(refresh_hz=refresh_hz)})
    made = plan("ring_expand", settings=settings)
    records, shown = played(made, program(made, settings), settings=settings, folder=tmp_path, refresh_hz=refresh_hz)
    flips = [record for record in records if record["kind"] == "flip"]
    assert len([flip for flip in flips if flip["what"] == "on"]) == 8
    assert [flip["step"] for flip in flips if flip["image_id"]] == [k for k, t in enumerate(made.steps) if t >= 0]
    assert max(abs(flip["t"] - flip["planned"]) for flip in flips) < 1 / refresh_hz
    zero = next(record["t"] for record in records if record["kind"] == "zero")
    for flip, one in zip(flips, shown[1:], strict=True):
        step = round((flip["planned"] - zero) * 15)
        texture = made.steps[step]
        assert one.frame.image_id == (None if texture < 0 else made.textures[texture])


@pytest.mark.parametrize(("ses", "run", "text"), [
    ("03", 1, "session: '03'; expected one of 01, 02"), ("01", 7, "run of session 01: 7; expected 1 to 6"),
    ("02", 2, "run of session 02: 2; expected 1 to 1"),
])
def test_unplanned_runs_are_refused(ses: str, run: int, text: str) -> None:
    with pytest.raises(ScheduleError, match=text):
        make_schedule(SETTINGS, textures=rows(), key=RunKey("01", ses, "retinotopy", run))
    with pytest.raises(ScheduleError, match="none planned"):
        require_run((), key=RunKey("01", "01", TASK, 1))


def test_too_few_textures_are_refused() -> None:
    with pytest.raises(ScheduleError, match="99 of the kinds object, face, word; expected 100"):
        make_schedule(SETTINGS, textures=rows(n=99), key=RunKey("01", "01", "retinotopy", 1))


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ScheduleError, match="'wedge'; expected one of wedge_ccw"):
        segments(SECTION, "wedge")


@pytest.mark.parametrize(("change", "text"), [
    ({"sweep_s": 33.0}, "sweep_s is above cycle_s"), ({"lead_s": 22.05}, "lead_s is not a whole number of steps"),
    ({"fixation_colors": ((1, 2, 3),)}, "two different colours at least"),
    ({"fixation_colors": ((1, 2, 3), (0, 0, 256))}, "from 0 to 255"),
    ({"change_min_s": 6.0}, "change_min_s is above change_max_s"),
    ({"runs": (("wedge",),)}, "runs"),
])
def test_settings_that_do_not_fit_are_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        load_settings(overrides={"retinotopy": change})
