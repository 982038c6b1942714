"""Schedules of all paradigms under any sensible settings: counts, balance, order, seeds, JSON."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from paradigms.schedule import BLANK, Schedule, first_seconds, rest_of
from paradigms.tasks import lo_localizer, main_task, motion_localizer, retinotopy
from stimuli.manifest import Manifest
from subjects.run_key import RunKey
from subjects.settings.study import Settings
from tests.paradigms.conftest import noise_set
from tests.paradigms.texture_rows import rows

BASE: dict[str, Any] = {"stimuli": {"per_class": 2}}
MANIFEST: Manifest = noise_set(Settings.model_validate(BASE), seed=1, side=4)[0]
TEXTURES = rows(n=30, n_pictures=24)
SEEDS = st.integers(0, 2**31)
quick = hypothesis_settings(max_examples=40, deadline=None)


def main_plan(seed: int, *, run: int = 1, swap: bool = False, **main: object) -> Schedule:
    settings = Settings.model_validate({**BASE, "study": {"seed": seed}, "main": {"runs": 3, **main}})
    return main_task.make_schedule(settings, key=RunKey("01", "01", "main", run), manifest=MANIFEST, swap_keys=swap)


MAIN = st.fixed_dictionaries({
    "presentations": st.integers(1, 3), "blank_trials": st.integers(0, 12), "lead_in_s": st.sampled_from([0.0, 6.0]),
    "blank_s": st.sampled_from([0.5, 2.0]), "image_s": st.sampled_from([0.25, 2.0])})


@quick
@given(SEEDS, MAIN, st.integers(1, 3))
def test_a_main_run_shows_every_image_as_often_as_asked(seed: int, main: dict[str, Any], run: int) -> None:
    plan = main_plan(seed, run=run, **main)
    shown = Counter(event.image_id for event in plan.events)
    assert shown.pop(None, 0) == main["blank_trials"]
    assert len(shown) == 15  # 5 classes, 1 of 2 base images in each session, 3 versions
    assert set(shown.values()) == {main["presentations"]}
    assert len(Counter(event.base_image for event in plan.events if event.base_image)) == 5
    last, presented = None, Counter[str]()
    for event in plan.events:
        assert event.image_id is None or event.image_id != last
        last = event.image_id
        if event.image_id is not None:
            presented[event.image_id] += 1
            assert event.presentation == presented[event.image_id]


@quick
@given(SEEDS, MAIN)
def test_the_trials_of_a_main_run_follow_one_another_without_a_gap(seed: int, main: dict[str, Any]) -> None:
    plan = main_plan(seed, lead_out_s=4.0, **main)
    at = main["lead_in_s"]
    for event in plan.events:
        if event.trial_type == BLANK:
            assert (event.onset_s, event.duration_s) == pytest.approx((at, main["blank_s"] + main["image_s"]))
        else:
            assert (event.onset_s, event.duration_s) == pytest.approx((at + main["blank_s"], main["image_s"]))
        at += main["blank_s"] + main["image_s"]
    assert plan.duration_s == pytest.approx(at + 4.0)


@quick
@given(SEEDS, SEEDS)
def test_another_seed_permutes_the_same_trials(one: int, other: int) -> None:
    assume(one != other)
    first, second = main_plan(one), main_plan(other)
    # Which images a session shows follows from the seed too: each shows 3 versions of 5 base images, twice.
    kinds = [Counter(event.trial_type for event in plan.events) for plan in (first, second)]
    assert kinds[0] == kinds[1] == Counter({"RE": 10, "AN": 10, "AI": 10, BLANK: 9})
    runs = [main_plan(one, run=run) for run in (1, 2)]
    assert Counter(event.image_id for event in runs[0].events) == Counter(event.image_id for event in runs[1].events)
    assert runs[0].digest != runs[1].digest


@quick
@given(SEEDS)
def test_exchanged_keys_change_the_answers_and_nothing_else(seed: int) -> None:
    straight, swapped = main_plan(seed), main_plan(seed, swap=True)
    for one, other in zip(straight.events, swapped.events, strict=True):
        assert (one.image_id, one.onset_s) == (other.image_id, other.onset_s)
        assert (one.correct_key, other.correct_key) in {(None, None), ("1", "2"), ("2", "1")}


def lo_plan(seed: int, *, run: int = 1, **changes: object) -> Schedule:
    settings = Settings.model_validate({"study": {"seed": seed}, "lo": {"runs": [2, 2], **changes}})
    return lo_localizer.make_schedule(settings, key=RunKey("01", "01", "lo", run), textures=TEXTURES)


@quick
@given(SEEDS, st.sampled_from(["blocks", "within"]), st.integers(1, 2), st.integers(1, 3).map(lambda k: 4 * k))
def test_the_lo_localizer_shows_as_many_intact_as_scrambled_and_each_as_often(
        seed: int, design: str, run: int, blocks: int) -> None:
    plan = lo_plan(seed, run=run, design=design, blocks=blocks)
    kinds = Counter(event.trial_type for event in plan.events)
    assert kinds["intact"] == kinds["scrambled"] == 10 * blocks
    assert kinds[BLANK] == blocks // 4 + 1
    names = Counter((event.stim_file or "").rpartition("-")[2] for event in plan.events if event.image_id)
    assert max(names.values()) - min(names.values() if len(names) == 24 else [0]) <= 2 * blocks
    for kind in ("intact", "scrambled"):
        shown = Counter(event.image_id for event in plan.events if event.trial_type == kind)
        assert max(shown.values()) - min(shown.values()) <= 2
    for block in range(int(plan.duration_s // 16)):
        inside = [event for event in plan.events if 16 * block <= event.onset_s < 16 * (block + 1)]
        assert len({event.trial_type for event in inside}) == (2 if design == "within" and len(inside) > 1 else 1)


def motion_plan(seed: int, **changes: object) -> Schedule:
    settings = Settings.model_validate({"study": {"seed": seed}, "motion": changes})
    return motion_localizer.make_schedule(settings, key=RunKey("01", "01", "motion", 1))


@quick
@given(SEEDS, st.integers(1, 12), st.sampled_from([0.0, 4.0, 8.0]))
def test_half_of_the_moving_periods_begin_outward(seed: int, blocks: int, lead_s: float) -> None:
    plan = motion_plan(seed, blocks=blocks, lead_s=lead_s)
    ways = Counter(event.category for event in plan.events if event.trial_type == "moving")
    assert sum(ways.values()) == blocks
    assert ways["outward"] - ways["inward"] == blocks % 2
    at = 0.0
    for event in plan.events:
        assert event.onset_s == pytest.approx(at)
        at += event.duration_s
    assert at == pytest.approx(plan.duration_s) == 2 * lead_s + 32.0 * blocks


def retinotopy_plan(seed: int, aperture: str) -> Schedule:
    settings = Settings.model_validate({"study": {"seed": seed}, "retinotopy": {
        "runs": [[aperture]], "n_textures": 20, "cycles": 2, "mix_cycles": 1}})
    return retinotopy.make_schedule(settings, key=RunKey("01", "01", "retinotopy", 1), textures=TEXTURES)


@hypothesis_settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from(["wedge_ccw", "ring_contract", "bar", "mix"]))
def test_a_movie_draws_on_all_its_textures_and_never_on_one_twice_in_a_row(seed: int, aperture: str) -> None:
    plan = retinotopy_plan(seed, aperture)
    assert len(plan.steps) == round(15.0 * plan.duration_s)
    assert len(set(plan.textures)) == 20
    shown = [k for k in plan.steps if k >= 0]
    assert set(shown) == set(range(20))
    assert all(a != b for a, b in zip(plan.steps, plan.steps[1:], strict=False) if a >= 0)


@quick
@given(SEEDS, st.sampled_from(["main", "lo", "motion", "retinotopy"]))
def test_the_same_seed_gives_the_same_bytes_and_json_gives_the_plan_back(seed: int, task: str) -> None:
    make = {"main": main_plan, "lo": lo_plan, "motion": motion_plan,
            "retinotopy": lambda seed: retinotopy_plan(seed, "bar")}[task]
    one, two = make(seed), make(seed)
    text = json.dumps(one.to_json(), sort_keys=True)
    assert text == json.dumps(two.to_json(), sort_keys=True)
    again = Schedule.from_json(json.loads(text))
    assert again == one
    assert again.digest == one.digest


@quick
@given(SEEDS, st.sampled_from(["lo", "motion"]))
def test_changes_of_the_fixation_point_keep_their_distances_and_colours(seed: int, task: str) -> None:
    plan = {"lo": lo_plan, "motion": motion_plan}[task](seed)
    assert plan.marks[0].onset_s == 0.0
    assert plan.marks[0].correct_key is None
    for before, after in zip(plan.marks, plan.marks[1:], strict=False):
        assert 1.0 - 1e-9 <= after.onset_s - before.onset_s <= 5.0 + 1e-9
        assert after.color != before.color
        assert after.correct_key == "1"
    assert plan.duration_s - plan.marks[-1].onset_s >= 1.0


@quick
@given(SEEDS, st.data())
def test_the_rest_of_a_run_is_the_same_trials_shifted_by_one_constant(seed: int, data: st.DataObject) -> None:
    whole = main_plan(seed)
    first = data.draw(st.integers(2, len(whole.events)))
    rest = rest_of(whole, first_trial=first, lead_s=6.0)
    kept = whole.events[first - 1:]
    assert [event.image_id for event in rest.events] == [event.image_id for event in kept]
    shifts = {round(new.onset_s - old.onset_s, 6) for new, old in zip(rest.events, kept, strict=True)}
    assert shifts == {round(6.0 - whole.events[first - 2].end_s, 6)}
    assert rest.duration_s == rest.n_volumes * rest.tr_s >= rest.events[-1].end_s


@quick
@given(SEEDS, st.floats(1.0, 300.0))
def test_the_first_seconds_of_a_run_are_what_they_were(seed: int, until_s: float) -> None:
    whole = motion_plan(seed)
    cut = first_seconds(whole, until_s=until_s)
    assert until_s <= cut.duration_s < until_s + 2.0
    for new, old in zip(cut.events, whole.events, strict=False):
        assert (new.onset_s, new.trial_type, new.category) == (old.onset_s, old.trial_type, old.category)
        assert new.end_s == pytest.approx(min(old.end_s, cut.duration_s))
    assert len(cut.events) == sum(event.onset_s < cut.duration_s for event in whole.events)
    assert cut.marks == tuple(mark for mark in whole.marks if mark.onset_s < cut.duration_s)
