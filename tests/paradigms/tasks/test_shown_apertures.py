"""The exported movie against a plain loop over what the display showed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradigms.emulation.scanner_and_display import Shown
from paradigms.runlog import Record
from paradigms.schedule import Schedule
from paradigms.tasks import motion_localizer as motion
from paradigms.tasks.aperture_movie import movie
from paradigms.tasks.retinotopy import make_schedule, program
from paradigms.tasks.shown_apertures import (
    aperture_movie,
    sample_index,
    shown_apertures,
)
from stimuli.apertures import degree_grid, mask
from subjects.errors import RunLogError
from subjects.run_key import RunKey
from subjects.settings.study import RetinotopySettings, Settings
from tests.paradigms.texture_rows import played, rows

SHORT: dict[str, Any] = {"lead_s": 3.0, "cycles": 2, "cycle_s": 8.0, "sweep_s": 7.0, "bar_lead_s": 2.0,
                         "bar_pause_s": 2.0, "mask_px": 32}
N = 15


def short(variant: str) -> tuple[Schedule, Settings]:
    settings = Settings(retinotopy=RetinotopySettings(runs=((variant,),), **SHORT))  # type: ignore[arg-type]
    return make_schedule(settings, textures=rows(), key=RunKey("01", "01", "retinotopy", 1)), settings


def plain_average(records: list[Record], made: Schedule, settings: Settings) -> np.ndarray:
    """Look every millisecond which flip came last, and average its mask over the volume."""
    zero = next(record["t"] for record in records if record["kind"] == "zero")
    flips = [(record["t"] - zero, record["planned"] - zero) for record in records if record["kind"] == "flip"]
    grid, played_ = degree_grid(N, size_deg=12.0), movie(settings.retinotopy, made.variant)
    volumes = np.zeros((made.n_volumes, N, N))
    k, dt = -1, 0.001
    cache: dict[int, np.ndarray] = {}
    for j in range(round(made.duration_s / dt)):
        t = (j + 0.5) * dt
        while k + 1 < len(flips) and flips[k + 1][0] <= t:
            k += 1
        if k < 0:
            continue
        step = int(flips[k][1] * 15 + 1e-3)
        place = int(played_.index[step]) if step < len(played_.index) else 0
        if place not in cache:
            cache[place] = mask(played_.apertures[place], grid, field_deg=12.0, edge_deg=grid.step_deg)
        volumes[int(t // 2.0)] += cache[place] * dt / 2.0
    return volumes


@pytest.mark.parametrize("variant", ["wedge_cw", "ring_expand", "bar"])
def test_the_average_is_that_of_a_plain_loop_also_when_frames_are_late(variant: str, tmp_path: Path) -> None:
    made, settings = short(variant)
    stalls = {20: 0.5, 60: 0.05, 61: 0.9}
    records, _ = played(made, program(made, settings), settings=settings, folder=tmp_path, stalls=stalls)
    assert sum(record["kind"] == "skip" for record in records) >= 10
    found = aperture_movie(made, records, section=settings.retinotopy, n=N)
    assert found.as_shown
    assert found.masks == pytest.approx(plain_average(records, made, settings), abs=2e-3)
    planned = aperture_movie(made, section=settings.retinotopy, n=N)
    assert not planned.as_shown
    assert np.abs(planned.masks - found.masks).max() > 0.1


def test_a_run_on_time_equals_its_plan(tmp_path: Path) -> None:
    made, settings = short("ring_contract")
    records, _ = played(made, program(made, settings), settings=settings, folder=tmp_path, refresh_hz=120.0)
    shown, planned = (aperture_movie(made, one, section=settings.retinotopy, n=N) for one in (records, None))
    assert np.abs(shown.masks - planned.masks).max() < 2 * (1 / 120) / 2.0 + 1e-6
    assert np.array_equal(shown.index, planned.index)


def test_the_plan_of_a_whole_run() -> None:
    settings = Settings()
    made = make_schedule(settings, textures=rows(), key=RunKey("01", "01", "retinotopy", 1))
    found = aperture_movie(made, section=settings.retinotopy, n=51)
    assert found.masks.shape == (150, 51, 51)
    assert not found.masks[:11].any()
    assert not found.masks[-11:].any()
    grid = degree_grid(51, size_deg=12.0)
    field = grid.r_deg < 5.8
    for volume in range(11, 139):  # a volume sees 22.5 degrees of the turn
        centre = np.radians(22.5 * (volume - 11) + 11.25)
        x, y = (np.average(axis, weights=found.masks[volume]) for axis in (grid.x_deg, grid.y_deg))
        assert np.cos(np.arctan2(y, x) - centre) > np.cos(np.radians(1.5))
    assert found.masks[11:139].mean(axis=0)[field & (grid.r_deg > 0.3)] == pytest.approx(0.25, abs=2e-3)


def test_a_run_cut_off_ends_where_its_record_ends(tmp_path: Path) -> None:
    made, settings = short("wedge_ccw")
    records, _ = played(made, program(made, settings), settings=settings, folder=tmp_path)
    zero = next(record["t"] for record in records if record["kind"] == "zero")
    cut = [record for record in records if record["t"] < zero + 9.0]
    found = aperture_movie(made, cut, section=settings.retinotopy, n=N)
    whole = aperture_movie(made, records, section=settings.retinotopy, n=N)
    assert np.array_equal(found.masks[:4], whole.masks[:4])
    assert 0.3 < found.masks[4].sum() / whole.masks[4].sum() < 0.7
    assert not found.masks[5:].any()
    assert np.all(found.index[137:] == -2)


def test_the_index_names_what_stood(tmp_path: Path) -> None:
    made, settings = short("bar")
    records, shown = played(made, program(made, settings), settings=settings, folder=tmp_path, stalls={40: 0.4})
    played_ = movie(settings.retinotopy, made.variant)
    index = sample_index(shown_apertures(records, made, movie=played_), rate_hz=15.0, duration_s=made.duration_s)
    zero = next(record["t"] for record in records if record["kind"] == "zero")
    for k, (aperture, texture) in enumerate(index):
        standing: Shown = [one for one in shown if one.t - zero <= (k + 0.5) / 15 + 1e-9][-1]
        assert (aperture > 0) == (standing.frame.aperture is not None)
        assert standing.frame.image_id == (made.textures[texture] if texture >= 0 else None)


def test_what_cannot_be_exported() -> None:
    settings = Settings()
    other = motion.make_schedule(settings, key=RunKey("01", "01", "motion", 1))
    with pytest.raises(RunLogError, match="a run of task 'motion'; expected a run of retinotopic mapping"):
        aperture_movie(other, section=settings.retinotopy)
    made, settings = short("bar")
    with pytest.raises(RunLogError, match="a record without time zero"):
        aperture_movie(made, [], section=settings.retinotopy)
    with pytest.raises(RunLogError, match="1 points along a side; expected 2 at least"):
        aperture_movie(made, section=settings.retinotopy, n=1)
