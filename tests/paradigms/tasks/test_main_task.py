"""The main task's plan against the protocol's numbers, computed plainly."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from paradigms.schedule import BLANK, Schedule
from paradigms.tasks import main_task
from paradigms.tasks.main_task import frame_for, make_schedule
from stimuli.manifest import Manifest
from subjects.errors import ManifestError, ScheduleError
from subjects.profile import session_images
from subjects.run_key import RunKey
from subjects.settings.images import StimuliSettings
from subjects.settings.paradigms import MainSettings
from subjects.settings.study import ScannerSettings, Settings, StudySettings


def _plan(settings: Settings, manifest: Manifest, *, sub: str = "01", ses: str = "01", run: int = 1,
          swap_keys: bool = False) -> Schedule:
    return make_schedule(settings, manifest=manifest, key=RunKey(sub, ses, "main", run), swap_keys=swap_keys)


def _order(plan: Schedule) -> list[str | None]:
    return [event.image_id for event in plan.events]


def test_the_protocols_counts(schedule: Schedule) -> None:
    shown = Counter(event.image_id for event in schedule.events)
    assert len(schedule.events) == 129
    assert shown.pop(None) == 9
    assert set(shown.values()) == {2}
    assert len(shown) == 60
    assert schedule.duration_s == 556.0
    assert schedule.n_volumes == 278
    assert schedule.tr_s == 2.0


def test_types_are_balanced(schedule: Schedule) -> None:
    assert Counter(event.trial_type for event in schedule.events) == {"RE": 40, "AN": 40, "AI": 40, BLANK: 9}


def test_onsets_equal_a_plain_computation(schedule: Schedule) -> None:
    time = 20.0
    for event in schedule.events:
        if event.trial_type == BLANK:
            assert (event.onset_s, event.duration_s) == (time, 4.0)
        else:
            assert (event.onset_s, event.duration_s) == (time + 2.0, 2.0)
        assert event.onset_s % 2.0 == 0.0
        time += 4.0
    assert time + 20.0 == schedule.duration_s


def test_presentations_count_showings(schedule: Schedule) -> None:
    seen: Counter[str] = Counter()
    for event in schedule.events:
        if event.image_id is None:
            assert event.presentation is None
            continue
        seen[event.image_id] += 1
        assert event.presentation == seen[event.image_id]


@pytest.mark.parametrize("seed", range(12))
def test_no_image_follows_itself_even_where_that_is_likely(seed: int, manifest: Manifest) -> None:
    settings = Settings(study=StudySettings(seed=seed), stimuli=StimuliSettings(per_class=2),
                        main=MainSettings(presentations=4, blank_trials=0))
    order = _order(_plan(settings, manifest))
    assert len(order) == 60
    assert all(a != b for a, b in pairwise(order))


def test_an_impossible_order_is_an_error(settings: Settings) -> None:
    with pytest.raises(ScheduleError, match="1 images shown 2 times each; expected an order in which no image"):
        main_task._order(1, main=MainSettings(blank_trials=0),
                         rng=np.random.default_rng(0))


def test_every_position_is_as_likely(manifest: Manifest) -> None:
    """Over many runs a blank falls on each position with probability 9/129 (chi-square, 128 degrees)."""
    counts = np.zeros(129)
    n = 400
    for seed in range(n):
        order = main_task._order(60, main=MainSettings(), rng=np.random.default_rng(seed))
        counts += np.array(order) < 0
    expected = n * 9 / 129
    chi2 = np.sum((counts - expected) ** 2) / (expected * (1 - 9 / 129))
    assert 80 < chi2 < 190


def test_the_same_seed_gives_the_same_bytes(settings: Settings, manifest: Manifest, schedule: Schedule) -> None:
    again = _plan(settings, manifest)
    assert again.to_json() == schedule.to_json()
    assert again.digest == schedule.digest


@pytest.mark.parametrize("change", [{"run": 2}, {"ses": "02"}, {"sub": "02"}])
def test_runs_sessions_and_subjects_differ(settings: Settings, manifest: Manifest, schedule: Schedule,
                                           change: dict[str, object]) -> None:
    other = _plan(settings, manifest, **change)  # type: ignore[arg-type]
    assert _order(other) != _order(schedule)
    assert other.digest != schedule.digest


def test_another_study_seed_gives_another_order(settings: Settings, manifest: Manifest, schedule: Schedule) -> None:
    other = settings.model_copy(update={"study": StudySettings(seed=settings.study.seed + 1)})
    assert _order(_plan(other, manifest)) != _order(schedule)


def test_a_session_shows_its_own_half_and_both_show_all(settings: Settings, manifest: Manifest) -> None:
    split = session_images(settings, sub="01")
    shown = {}
    for ses in ("01", "02"):
        for run in range(1, 6):
            plan = _plan(settings, manifest, ses=ses, run=run)
            bases = {event.base_image for event in plan.events if event.base_image}
            assert bases == set(split[ses])
        shown[ses] = set(plan.image_ids)
    assert not shown["01"] & shown["02"]
    assert shown["01"] | shown["02"] == {one.image_id for one in manifest.stimuli}


def test_events_carry_what_the_manifest_says(manifest: Manifest, schedule: Schedule) -> None:
    for event in schedule.events:
        if event.image_id is not None:
            row = manifest.by_id(event.image_id)
            assert (event.stim_file, event.trial_type, event.base_image, event.category, event.class_name) == \
                (row.file, row.type, row.base_image, row.category, row.class_name)
    assert schedule.manifest_digest == manifest.digest


@pytest.mark.parametrize("swap", [False, True])
def test_the_right_key(settings: Settings, manifest: Manifest, swap: bool) -> None:
    for event in _plan(settings, manifest, swap_keys=swap).events:
        if event.image_id is None:
            assert event.correct_key is None
        else:
            animal = event.class_name in {"dogs", "birds", "aquatic"}
            assert event.correct_key == ("1" if animal != swap else "2")


@pytest.mark.parametrize(("change", "text"), [
    ({"run": 6}, "run: 6; expected 1 to 5"),
    ({"ses": "03"}, "session: '03'; expected one of 01, 02"),
])
def test_unplanned_runs_are_refused(settings: Settings, manifest: Manifest, change: dict[str, object],
                                    text: str) -> None:
    with pytest.raises(ScheduleError, match=text):
        _plan(settings, manifest, **change)  # type: ignore[arg-type]


def test_a_missing_image_is_named(settings: Settings, manifest: Manifest) -> None:
    lacking = Manifest(tuple(one for one in manifest.stimuli if (one.base_image, one.type) != ("dogs-01", "AI")))
    with pytest.raises(ManifestError, match="no AI of 'dogs-01'"):
        for ses in ("01", "02"):
            _plan(settings, lacking, ses=ses)


def test_another_tr_changes_the_volumes_only(settings: Settings, manifest: Manifest, schedule: Schedule) -> None:
    other = _plan(settings.model_copy(update={"scanner": ScannerSettings(tr_s=1.0)}), manifest)
    assert other.n_volumes == 556
    assert other.events == schedule.events


def test_frames_have_the_protocols_sizes(settings: Settings) -> None:
    """12 deg and 0.2 deg at 168 cm on 1920 px over 89 cm: 2 d tan(angle/2)."""
    frame = frame_for(settings, image_id="px-1")
    px_per_cm = 1920 / 89
    assert frame.image_px == pytest.approx(2 * 168 * np.tan(np.radians(6)) * px_per_cm)
    assert frame.fixation_px == pytest.approx(2 * 168 * np.tan(np.radians(0.1)) * px_per_cm)
    assert frame.surround_px == pytest.approx(2 * 168 * np.tan(np.radians(0.2)) * px_per_cm)
    assert round(frame.image_px) == 762
    assert (frame.background, frame.fixation_color, frame.text) == (127, (255, 0, 0), None)
    assert frame_for(settings).image_id is None
