"""The LO localizer: blocks, alternation and pictures against the protocol."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from paradigms.schedule import BLANK, Event, Schedule
from paradigms.tasks.lo_localizer import LEVELS, Player, make_schedule, program
from subjects.errors import ScheduleError, SettingsError
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import LoSettings, Settings, StudySettings
from tests.paradigms.texture_rows import played, rows


def plan(*, ses: str = "01", run: int = 1, n_pictures: int = 40, seed: int = 20210, **changes: object) -> Schedule:
    settings = Settings(lo=LoSettings.model_validate(changes), study=StudySettings(seed=seed))
    return make_schedule(settings, textures=rows(n_pictures=n_pictures), key=RunKey("01", ses, "lo", run))


def blocks(made: Schedule) -> dict[int, list[Event]]:
    """Sort images by block, 0 to 20."""
    found: dict[int, list[Event]] = {}
    for event in made.events:
        found.setdefault(int(event.onset_s // 16.0), []).append(event)
    return found


@pytest.mark.parametrize("design", ["blocks", "within"])
def test_the_protocols_counts_and_times(design: str) -> None:
    made = plan(design=design)
    assert (made.duration_s, made.n_volumes, made.variant) == (336.0, 168, design)
    sorted_ = blocks(made)
    assert len(sorted_) == 21
    for number, events in sorted_.items():
        if number % 5 == 0:
            assert [(event.trial_type, event.onset_s, event.duration_s) for event in events] == \
                [(BLANK, 16.0 * number, 16.0)]
            continue
        assert [event.onset_s for event in events] == pytest.approx([16.0 * number + 0.8 * k for k in range(20)])
        assert {event.duration_s for event in events} == {0.3}
    assert Counter(event.trial_type for event in made.events) == {"intact": 160, "scrambled": 160, BLANK: 5}
    assert set(LEVELS) >= {event.trial_type for event in made.events}


@pytest.mark.parametrize(("run", "first"), [(1, "intact"), (2, "scrambled")])
def test_intact_and_scrambled_blocks_alternate(run: int, first: str) -> None:
    stimulus = [events for number, events in sorted(blocks(plan(run=run, runs=(2, 0))).items()) if number % 5]
    kinds = [{event.trial_type for event in events} for events in stimulus]
    other = "scrambled" if first == "intact" else "intact"
    assert kinds == [{first}, {other}] * 8
    for one, two in zip(stimulus[::2], stimulus[1::2], strict=True):
        pictures = [sorted(str(event.image_id)[-2:] for event in events) for events in (one, two)]
        assert pictures[0] == pictures[1]
        assert len(set(pictures[0])) == 20


def test_one_run_a_session_is_counterbalanced_too() -> None:
    firsts = [plan(ses=ses).events[1].trial_type for ses in ("01", "02")]
    assert firsts == ["intact", "scrambled"]


def test_within_a_block_images_alternate() -> None:
    for number, events in blocks(plan(design="within")).items():
        if number % 5:
            assert [event.trial_type for event in events] == ["intact", "scrambled"] * 10
            for kind in ("intact", "scrambled"):
                shown = [str(event.image_id)[-2:] for event in events if event.trial_type == kind]
                assert len(set(shown)) == 10
            pictures = [{str(e.image_id)[-2:] for e in events if e.trial_type == kind} for kind in LEVELS]
            assert pictures[0] == pictures[1]


@pytest.mark.parametrize("n_pictures", [20, 27, 40])
@pytest.mark.parametrize("seed", range(3))
def test_pictures_are_shown_about_equally_often(n_pictures: int, seed: int) -> None:
    made = plan(n_pictures=n_pictures, seed=seed)
    counts = Counter(event.image_id for event in made.events if event.trial_type == "intact")
    assert sum(counts.values()) == 160
    assert max(counts.values()) - min(counts.values()) <= 2
    seen: Counter[str] = Counter()
    for event in made.events:
        if event.image_id is not None:
            seen[event.image_id] += 1
            assert event.presentation == seen[event.image_id]


@pytest.mark.parametrize("seed", range(5))
def test_one_back_repeats_have_the_right_key(seed: int) -> None:
    made = plan(task="one_back", repeats=3, seed=seed)
    assert len(made.marks) == 1
    for number, events in blocks(made).items():
        again = [k for k in range(1, len(events)) if events[k].image_id == events[k - 1].image_id]
        assert [k for k, event in enumerate(events) if event.correct_key == "1"] == again
        assert len(again) == (3 if number % 5 else 0)
        assert all(b - a > 1 for a, b in pairwise(again))
        assert len({event.image_id for event in events}) == len(events) - len(again)


def test_the_fixation_task_asks_at_colour_changes_only() -> None:
    made = plan()
    assert {event.correct_key for event in made.events} == {None}
    assert {mark.correct_key for mark in made.marks[1:]} == {"1"}
    edges = np.array([[event.onset_s, event.end_s] for event in made.events]).ravel()
    apart = np.abs(np.array([mark.onset_s for mark in made.marks])[:, None] - edges[None])
    assert np.all((apart < 1e-6) | (apart > 0.09))  # one change of the display, or two well apart


def test_ten_seeds_give_ten_orders_and_the_same_seed_the_same() -> None:
    made = [plan(seed=seed) for seed in range(10)]
    assert len({tuple(event.image_id for event in one.events) for one in made}) == 10
    assert plan(seed=4).digest == made[4].digest
    assert len({one.digest for one in made}) == 10


def test_frames() -> None:
    made, settings = plan(), Settings()
    first = made.events[1]
    seen = [Player(made, settings).frame_at(t).image_id for t in (-1.0, 3.0, 16.0, 16.29, 16.3, 16.79, 16.8)]
    assert seen == [None, None, first.image_id, first.image_id, None, None, made.events[2].image_id]
    frame = Player(made, settings).frame_at(16.0)
    color = [mark.color for mark in made.marks if mark.onset_s <= 16.0][-1]
    assert (round(frame.image_px), frame.fixation_color, frame.aperture) == (762, color, None)
    assert made.events[1].stim_file == f"textures/{str(first.image_id)[3:-2]}-{str(first.image_id)[-2:]}.png"


def test_played_in_virtual_time(tmp_path: Path) -> None:
    made, settings = plan(), Settings()
    records, shown = played(made, program(made, settings), settings=settings, folder=tmp_path)
    flips = [record for record in records if record["kind"] == "flip"]
    on = [flip for flip in flips if flip["what"] == "on"]
    assert [flip["image_id"] for flip in on] == [event.image_id for event in made.events if event.image_id]
    assert sum(flip["what"] == "off" for flip in flips) == 320
    assert max(abs(flip["t"] - flip["planned"]) for flip in flips) < 1 / 60
    colors = [one.frame.fixation_color for one in shown]
    changed = [b for a, b in pairwise(colors) if a != b]
    assert changed == [mark.color for mark in made.marks[1:]]


@pytest.mark.parametrize(("n_pictures", "changes", "text"), [
    (19, {}, "19 of kind intact and 19 of kind scrambled; expected 20 or more"),
    (40, {"scrambled": ("phase",)}, "40 of kind intact and 0 of kind phase"),
    (9, {"design": "within"}, "expected 10 or more"),
    (17, {"task": "one_back"}, "expected 18 or more"),
])
def test_unfit_textures_are_refused(n_pictures: int, changes: dict[str, object], text: str) -> None:
    with pytest.raises(ScheduleError, match=text):
        plan(n_pictures=n_pictures, **changes)


@pytest.mark.parametrize(("change", "text"), [
    ({"blocks": 14}, "whole groups of blocks_per_blank"), ({"blocks": 15, "blocks_per_blank": 5}, "half of them"),
    ({"block_s": 16.1}, "does not hold a whole"), ({"design": "within", "block_s": 15.2}, "even"),
    ({"task": "one_back", "design": "within"}, "one_back wants repeats"),
    ({"task": "one_back", "repeats": 11}, "at most every second image"),
])
def test_settings_that_do_not_fit_are_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        load_settings(overrides={"lo": change})


def test_an_unplanned_run_is_refused() -> None:
    with pytest.raises(ScheduleError, match="run of session 01: 2; expected 1 to 1"):
        plan(run=2)
