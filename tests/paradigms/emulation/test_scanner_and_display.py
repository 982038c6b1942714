"""The doubles do what real machines do, and on request what they do wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from paradigms.devices.protocols import Frame, Press
from paradigms.emulation.participant import SimulatedParticipant, simulated_answers
from paradigms.emulation.scanner_and_display import EmulatedScanner, RecordingDisplay, VirtualClock, pulse_times
from paradigms.schedule import Schedule
from subjects.errors import DeviceError
from subjects.settings.devices import ParticipantSettings, ScannerFaults

BLANK_FRAME = Frame(image_id=None, image_px=10.0, fixation_px=3.0, fixation_color=(255, 0, 0), background=127)


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1e6, allow_nan=False), max_size=20))
def test_virtual_time_never_steps_back(targets: list[float]) -> None:
    clock = VirtualClock(start_s=10.0)
    for target in targets:
        before, wall = clock.now(), clock.wall()
        clock.wait_until(target)
        assert clock.now() == max(before, target)
        assert clock.wall() - wall == pytest.approx(clock.now() - before, abs=1e-5)


# ------------------------------------------------------------------- the scanner

def _pulses(n: int, **faults: Any) -> list[float]:
    return pulse_times(tr_s=2.0, n_volumes=n, faults=ScannerFaults(**faults), rng=np.random.default_rng(0)).tolist()


@pytest.mark.parametrize(("faults", "times"), [
    ({}, [0.0, 2.0, 4.0, 6.0]),
    ({"missed": (0,)}, [2.0, 4.0, 6.0]),
    ({"missed": (1, 2)}, [0.0, 6.0]),
    ({"doubled": (1,)}, [0.0, 2.0, 2.03, 4.0, 6.0]),
    ({"extra_s": (3.1,)}, [0.0, 2.0, 3.1, 4.0, 6.0]),
    ({"tr_factor": 1.5}, [0.0, 3.0, 6.0, 9.0]),
])
def test_pulses_come_when_asked(faults: dict[str, Any], times: list[float]) -> None:
    assert _pulses(4, **faults) == pytest.approx(times)


def test_jitter_has_the_asked_size() -> None:
    jittered = pulse_times(tr_s=2.0, n_volumes=4000, faults=ScannerFaults(jitter_s=0.01), rng=np.random.default_rng(2))
    assert np.std(jittered - np.arange(4000) * 2.0) == pytest.approx(0.01, rel=0.05)


def test_a_scanner_sends_each_pulse_once_with_its_own_stamp() -> None:
    clock = VirtualClock(start_s=0.0)
    scanner = EmulatedScanner(clock, times_s=[0.0, 2.0, 4.0], delay_s=5.0)
    assert scanner.pulses() == []
    scanner.open()
    clock.wait_until(4.9)
    assert scanner.pulses() == []
    clock.wait_until(8.0)
    assert [pulse.stamp_s for pulse in scanner.pulses()] == [5.0, 7.0]
    assert scanner.pulses() == []
    clock.wait_until(100.0)
    assert [pulse.stamp_s for pulse in scanner.pulses()] == [9.0]
    scanner.close()
    assert scanner.pulses() == []


# --------------------------------------------------------------- the participant

def _participant(clock: VirtualClock, **answering: float) -> SimulatedParticipant:
    return SimulatedParticipant(clock, answers={"px-a": (("1", "2"),)}, answering=ParticipantSettings(**answering),
                                rng=np.random.default_rng(4))


def _shown(person: SimulatedParticipant, at_s: float) -> list[Press]:
    """Show the image and take it away."""
    image = dataclasses.replace(BLANK_FRAME, image_id="px-a")
    return [*person.react(image, at_s), *person.react(image, at_s), *person.react(BLANK_FRAME, at_s + 1.0)]


def test_answers_have_the_asked_accuracy_and_speed() -> None:
    person = _participant(VirtualClock(), accuracy=0.8, omission=0.1, rt_mean_s=0.7, rt_sd_s=0.1)
    answers = [press for _ in range(5000) for press in _shown(person, 10.0)]
    reactions = np.array([press.stamp_s - 10.0 for press in answers])
    assert len(answers) / 5000 == pytest.approx(0.9, abs=0.015)
    assert np.mean([press.key == "1" for press in answers]) == pytest.approx(0.8, abs=0.02)
    assert reactions.mean() == pytest.approx(0.7, abs=0.005)
    assert reactions.std() == pytest.approx(0.1, rel=0.05)


def test_nobody_answers_within_150_ms() -> None:
    person = _participant(VirtualClock(), omission=0.0, rt_mean_s=0.001, rt_sd_s=0.01)
    assert [press.stamp_s for press in _shown(person, 3.0)] == [3.15]


def test_presses_come_when_due_and_in_order() -> None:
    clock = VirtualClock(start_s=0.0)
    person = _participant(clock)
    person.press("b", at_s=3.0)
    person.press("a", at_s=1.0)
    assert person.presses() == []
    person.open()
    clock.wait_until(2.0)
    assert [press.key for press in person.presses()] == ["a"]
    clock.wait_until(4.0)
    assert [(press.key, press.stamp_s) for press in person.presses()] == [("b", 3.0)]


def test_a_blank_screen_is_not_answered() -> None:
    clock = VirtualClock(start_s=0.0)
    person = _participant(clock, omission=0.0)
    person.open()
    person.see(BLANK_FRAME, 1.0)
    clock.wait_until(10.0)
    assert person.presses() == []


def test_the_same_seed_answers_alike() -> None:
    one, other = _participant(VirtualClock()), _participant(VirtualClock())
    assert [_shown(one, k) for k in range(20)] == [_shown(other, k) for k in range(20)]


def test_answers_know_right_and_wrong(schedule: Schedule) -> None:
    answers = simulated_answers(schedule, keys=("1", "2"))
    assert len(answers) == 60
    for event in schedule.events:
        if event.image_id is not None:
            assert answers[event.image_id] == ((event.correct_key, {"1": "2", "2": "1"}[str(event.correct_key)]),) * 2


# -------------------------------------------------------------------- the display

def _display(clock: VirtualClock, **given_: Any) -> RecordingDisplay:
    display = RecordingDisplay(clock, size_px=(40, 30), refresh_hz=100.0, **given_)
    display.open()
    return display


def test_flips_fall_on_the_refresh_grid() -> None:
    clock = VirtualClock(start_s=5.0)
    display = _display(clock)
    display.draw(BLANK_FRAME)
    clock.wait_until(5.0131)
    assert display.flip() == pytest.approx(5.02)
    clock.wait_until(5.03)
    assert display.flip() == pytest.approx(5.03)
    assert [shown.frame for shown in display.shown] == [BLANK_FRAME, BLANK_FRAME]


def test_eyes_see_every_flip() -> None:
    seen: list[tuple[Frame, float]] = []
    clock = VirtualClock(start_s=5.0)
    display = _display(clock, on_flip=lambda frame, t: seen.append((frame, t)))
    display.draw(BLANK_FRAME)
    display.flip()
    assert seen == [(BLANK_FRAME, 5.0)]


def test_an_image_must_be_preloaded() -> None:
    with pytest.raises(DeviceError, match="image 'px-x'; expected a preloaded image"):
        _display(VirtualClock()).draw(Frame("px-x", 10.0, 3.0, (255, 0, 0), 127))


def test_a_flip_needs_something_drawn() -> None:
    with pytest.raises(DeviceError, match="expected open\\(\\) and draw\\(\\) before it"):
        _display(VirtualClock()).flip()


def test_a_screenshot_has_each_quarter_where_it_belongs() -> None:
    quarters = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], dtype=np.uint8)
    display = _display(VirtualClock())
    assert not display.screenshot().any()
    display.preload({"px-q": quarters})
    display.draw(Frame("px-q", 20.0, 4.0, (9, 8, 7), 127))
    display.flip()
    screen = display.screenshot()
    assert screen.shape == (30, 40, 3)
    assert screen[6, 11].tolist() == [255, 0, 0]
    assert screen[6, 28].tolist() == [0, 255, 0]
    assert screen[23, 11].tolist() == [0, 0, 255]
    assert screen[23, 28].tolist() == [255, 255, 0]
    assert screen[15, 20].tolist() == [9, 8, 7]
    assert screen[4, 20].tolist() == [127, 127, 127]
    assert screen[15, 9].tolist() == [127, 127, 127]
    assert np.all(screen == 127, axis=2).sum() == 40 * 30 - 20 * 20
