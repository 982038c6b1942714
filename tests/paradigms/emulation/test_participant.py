"""The simulated participant answers every task by what it sees, as well and as fast as the settings say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from paradigms.devices.protocols import Frame, Press
from paradigms.emulation.participant import SimulatedParticipant, seat_participant, simulated_answers
from paradigms.emulation.scanner_and_display import VirtualClock
from paradigms.schedule import Event, Mark, Schedule
from subjects.settings.devices import ParticipantSettings
from subjects.settings.study import Settings

RED, BLACK, WHITE = (255, 0, 0), (0, 0, 0), (255, 255, 255)
SURE = ParticipantSettings(accuracy=1.0, omission=0.0, rt_mean_s=0.5, rt_sd_s=0.0)


def _frame(image: str | None, color: tuple[int, int, int] = RED) -> Frame:
    return Frame(image, image_px=10.0, fixation_px=3.0, fixation_color=color, background=127)


def _plan(keys: Sequence[str | None], images: Sequence[str], marks: tuple[Mark, ...] = ()) -> Schedule:
    events = tuple(Event(k, onset_s=2.0 * k, duration_s=1.0, trial_type="intact", image_id=image, correct_key=key)
                   for k, (key, image) in enumerate(zip(keys, images, strict=True)))
    return Schedule("s", task="lo", sub="01", ses="01", run=1, seed=3, tr_s=2.0, duration_s=4000.0, n_volumes=2000,
                    events=events, manifest_digest="", settings_digest="", marks=marks)


def _seat(schedule: Schedule, **how: float) -> SimulatedParticipant:
    settings = Settings.model_validate({"participant": {"accuracy": 1, "omission": 0, "rt_sd_s": 0, **how}})
    named = {event.correct_key for event in schedule.events if event.correct_key is not None}
    return seat_participant(settings.participant, schedule=schedule, keys=sorted(named), clock=VirtualClock())


def _keys(presses: Sequence[Press]) -> list[str]:
    return [press.key for press in presses]


def test_a_repeat_is_answered_and_its_first_showing_is_not() -> None:
    """One-back: what is asked depends on the showing and not on the image."""
    person = _seat(_plan([None, "1", None], ["px-a", "px-a", "px-b"]))
    found = [_keys(person.react(_frame(image), 0.0)) for image in ("px-a", None, "px-a", None, "px-b", None)]
    assert found == [[], [], ["1"], [], [], []]


def test_a_mistake_where_there_is_one_key_is_a_miss() -> None:
    person = _seat(_plan(["1"] * 2000, ["px-a"] * 2000), accuracy=0.7)
    n = sum(len(person.react(_frame(image), 0.0)) for _ in range(2000) for image in ("px-a", None))
    assert n / 2000 == pytest.approx(0.7, abs=0.03)


def test_colour_changes_are_answered_as_they_are_seen() -> None:
    marks = (Mark(0, 0.0, RED), Mark(1, 2.0, BLACK, correct_key="1"), Mark(2, 4.0, WHITE, correct_key="1"),
             Mark(3, 6.0, RED, correct_key="2"))
    person = _seat(_plan([], [], marks), rt_mean_s=0.4)
    assert person.react(_frame(None), 0.0) == []
    assert person.react(_frame("px-movie", RED), 1.0) == []
    assert [(press.key, press.stamp_s) for press in person.react(_frame("px-movie", BLACK), 2.0)] == [("1", 2.4)]
    assert person.react(_frame("px-other", BLACK), 3.0) == []
    assert _keys(person.react(_frame(None, RED), 6.0)) == ["2"], "a change that was never seen is passed over"
    assert person.react(_frame(None, WHITE), 7.0) == [], "none is left"


def test_an_image_that_stands_is_answered_once() -> None:
    person = SimulatedParticipant(VirtualClock(), answers={"px-a": (("1", "2"),)}, answering=SURE,
                                  rng=np.random.default_rng(0))
    presses = [press for t in (1.0, 2.0, 3.0) for press in person.react(_frame("px-a"), t)]
    assert [(press.key, press.stamp_s) for press in presses] == [("1", 1.5)]


def test_settings_say_how_it_answers(schedule: Schedule) -> None:
    person = seat_participant(
        ParticipantSettings(accuracy=0.6, omission=0.3, rt_mean_s=0.9, rt_sd_s=0.05),
        schedule=schedule, keys=("1", "2"), clock=VirtualClock())
    right = {event.image_id: event.correct_key for event in schedule.events}
    told = [(press.key == right[image], press.stamp_s) for _ in range(50) for image in schedule.image_ids
            for press in (*person.react(_frame(image), 0.0), *person.react(_frame(None), 1.0))]
    assert len(told) / 3000 == pytest.approx(0.7, abs=0.03)
    assert np.mean([hit for hit, _ in told]) == pytest.approx(0.6, abs=0.04)
    assert np.mean([t for _, t in told]) == pytest.approx(0.9, abs=0.01)
    assert np.std([t for _, t in told]) == pytest.approx(0.05, rel=0.1)


def test_images_that_ask_for_nothing_have_no_answers() -> None:
    assert simulated_answers(_plan([None, None], ["px-a", "px-b"]), keys=()) == {}
