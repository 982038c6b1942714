"""One suite over every clock, trigger, response device and display, virtual or real."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradigms.devices.inputs import JoinedResponses
from paradigms.devices.parallel_port import ParallelTrigger
from paradigms.devices.protocols import (
    PHOTODIODE_PX,
    Clock,
    Display,
    Frame,
    HardwareClock,
    Pixels,
    ResponseDevice,
    TriggerSource,
)
from paradigms.devices.serial_port import SerialButtons, SerialLine, SerialTrigger
from paradigms.emulation.participant import SimulatedParticipant
from paradigms.emulation.scanner_and_display import EmulatedScanner, RecordingDisplay, VirtualClock
from subjects.errors import DeviceError
from subjects.settings.devices import ParticipantSettings
from subjects.settings.study import Settings
from tests.paradigms.lines import FakePort, SerialBox

SIZE = (640, 480)
SMALL = Settings.model_validate({"display": {"width_px": SIZE[0], "height_px": SIZE[1], "refresh_hz": 60.0}})
Stimulate = Callable[[list[str]], None]


@pytest.fixture(scope="module")
def real() -> Iterator[tuple[Any, Any, HardwareClock]]:
    """Give a window, a keyboard and keys sent to it, under Xvfb."""
    from paradigms.devices.xserver import start_virtual_display
    from paradigms.emulation.fake_keys import KeySender

    clock = HardwareClock()
    with contextlib.ExitStack() as stack:
        name = start_virtual_display(*SIZE)
        from paradigms.devices.console_window import open_console

        console = stack.enter_context(open_console(SMALL, clock=clock, fullscreen=False))
        sender = KeySender(name)
        stack.callback(sender.close)
        yield console, sender, clock


# ------------------------------------------------------------------------- clocks

@pytest.fixture(params=[VirtualClock, HardwareClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_a_clock_is_a_clock(clock: Clock) -> None:
    assert isinstance(clock, Clock)


def test_time_never_steps_back(clock: Clock) -> None:
    stamps = [clock.now() for _ in range(1000)]
    assert all(b >= a for a, b in pairwise(stamps))


@pytest.mark.parametrize("ahead", [0.0005, 0.004, 0.05])
def test_waiting_ends_at_the_deadline_or_just_after(clock: Clock, ahead: float) -> None:
    late = []
    for _ in range(5):
        deadline = clock.now() + ahead
        clock.wait_until(deadline)
        late.append(clock.now() - deadline)
    assert min(late) >= 0.0
    assert min(late) < 0.002, "the best of five, so that a busy machine does not matter"


def test_a_deadline_that_has_passed_returns_at_once(clock: Clock) -> None:
    before = clock.now()
    clock.wait_until(before - 10.0)
    assert clock.now() - before < 0.05


def test_the_wall_clock_runs_alongside(clock: Clock) -> None:
    offset = clock.wall() - clock.now()
    clock.wait_until(clock.now() + 0.02)
    assert clock.wall() - clock.now() == pytest.approx(offset, abs=0.05)
    assert clock.wall() > 1.5e9


def test_the_hardware_clock_is_the_monotonic_one() -> None:
    assert abs(HardwareClock().now() - time.monotonic()) < 0.05
    assert abs(HardwareClock().wall() - time.time()) < 0.05


# ----------------------------------------------------------------------- triggers

@pytest.fixture
def box() -> Iterator[SerialBox]:
    """Give a box at the far end of a serial line."""
    made = SerialBox()
    yield made
    made.unplug()


@pytest.fixture
def serial_line(box: SerialBox) -> Iterator[tuple[SerialTrigger, SerialButtons]]:
    """Give a trigger and buttons on one line, open."""
    line = SerialLine(box.port, baud=115200, clock=HardwareClock())
    keys = {ord("a"): "1", ord("b"): "2", 27: "escape"}
    devices = SerialTrigger(line, pulse=ord("5")), SerialButtons(line, keys=keys)
    with contextlib.ExitStack() as stack:
        for device in devices:
            stack.callback(device.close)
            device.open()
        yield devices


NEEDS_PTY = pytest.mark.skipif(sys.platform == "win32", reason="a pty pair plays the box")


@pytest.fixture(params=["emulated", pytest.param("serial", marks=NEEDS_PTY), "parallel",
                        pytest.param("keyboard", marks=pytest.mark.window)])
def trigger(request: pytest.FixtureRequest, tmp_path: Path
            ) -> Iterator[tuple[TriggerSource, Clock, Callable[[int], None]]]:
    """Give an open trigger, its clock, and a way to have so many pulses sent, of 2 ms (parallel: of 10)."""
    if request.param == "serial":
        device, far_end = request.getfixturevalue("serial_line")[0], request.getfixturevalue("box")
        yield device, HardwareClock(), lambda n: _each(n, lambda: far_end.send("5"))
        return
    if request.param == "parallel":
        port = FakePort(tmp_path / "port")
        watched = ParallelTrigger(port, pin=10)
        watched.open()
        yield watched, HardwareClock(), lambda n: _each(n, lambda: port.pulse(hold_s=0.01))
        watched.close()
        return
    yield _emulated_or_keyboard_trigger(request)


def _each(n: int, send: Callable[[], object]) -> None:
    for _ in range(n):
        send()
        time.sleep(0.03)


def _emulated_or_keyboard_trigger(request: pytest.FixtureRequest
                                  ) -> tuple[TriggerSource, Clock, Callable[[int], None]]:
    if request.param == "emulated":
        virtual = VirtualClock()
        scanner = EmulatedScanner(virtual, times_s=0.5 * np.arange(100), delay_s=0.5)
        scanner.open()
        return scanner, virtual, lambda n: virtual.wait_until(virtual.now() + 0.5 * n)
    console, sender, hardware = request.getfixturevalue("real")

    def send(n: int) -> None:
        for _ in range(n):
            sender.tap(SMALL.scanner.trigger_key, hold_s=0.002)
            time.sleep(0.03)

    console.trigger.pulses()
    return console.trigger, hardware, send


def test_a_trigger_tells_every_pulse_once_in_order(trigger: tuple[Any, Clock, Callable[[int], None]]) -> None:
    source, clock, send = trigger
    assert isinstance(source, TriggerSource)
    assert source.pulses() == []
    before = clock.now()
    send(5)
    pulses = source.pulses()
    stamps = [pulse.stamp_s for pulse in pulses]
    assert len(pulses) == 5
    assert stamps == sorted(stamps)
    assert before - 0.02 <= stamps[0]
    assert stamps[-1] <= clock.now()
    assert all(pulse.source and pulse.name for pulse in pulses)
    assert source.pulses() == []


def test_stamps_do_not_wait_for_the_poll(trigger: tuple[Any, Clock, Callable[[int], None]]) -> None:
    source, clock, send = trigger
    send(1)
    sent = clock.now()
    clock.wait_until(sent + 0.3)
    assert abs(source.pulses()[0].stamp_s - sent) < 0.1


# ---------------------------------------------------------------------- responses

@pytest.fixture(params=["simulated", pytest.param("serial", marks=NEEDS_PTY), pytest.param("joined", marks=NEEDS_PTY),
                        pytest.param("keyboard", marks=pytest.mark.window)])
def responses(request: pytest.FixtureRequest) -> tuple[ResponseDevice, Clock, Stimulate]:
    """Give an open response device, its clock, and a way to have keys pressed."""
    if request.param == "simulated":
        virtual = VirtualClock()
        person = SimulatedParticipant(virtual, answers={}, answering=ParticipantSettings(),
                                      rng=np.random.default_rng(0))
        person.open()

        def press(keys: list[str]) -> None:
            for key in keys:
                person.press(key, at_s=virtual.now() + 0.1)
                virtual.wait_until(virtual.now() + 0.2)

        return person, virtual, press
    if request.param in ("serial", "joined"):
        device, far_end = request.getfixturevalue("serial_line")[1], request.getfixturevalue("box")
        spelled = {"1": b"a", "2": b"b", "escape": b"\x1b"}

        def send(keys: list[str]) -> None:
            for key in keys:
                far_end.send(spelled[key])
                time.sleep(0.03)

        return (device if request.param == "serial" else JoinedResponses((device,))), HardwareClock(), send
    console, sender, hardware = request.getfixturevalue("real")

    def tap(keys: list[str]) -> None:
        for key in keys:
            sender.tap(key, hold_s=0.002)
            time.sleep(0.03)

    console.responses.presses()
    return console.responses, hardware, tap


def test_presses_are_told_once_in_order_by_their_names(responses: tuple[Any, Clock, Stimulate]) -> None:
    device, clock, press = responses
    assert isinstance(device, ResponseDevice)
    before = clock.now()
    press(["1", "2", "1", "escape"])
    told = device.presses()
    stamps = [one.stamp_s for one in told]
    assert [one.key for one in told] == ["1", "2", "1", "escape"]
    assert stamps == sorted(stamps)
    assert before - 0.02 <= stamps[0] <= stamps[-1] <= clock.now()
    assert device.presses() == []


def test_presses_are_stamped_when_they_came_and_not_when_read(responses: tuple[Any, Clock, Stimulate]) -> None:
    device, clock, press = responses
    press(["2"])
    sent = clock.now()
    clock.wait_until(sent + 0.3)
    assert abs(device.presses()[0].stamp_s - sent) < 0.15


# ----------------------------------------------------------------------- displays

@pytest.fixture(params=["recording", pytest.param("window", marks=pytest.mark.window)])
def display(request: pytest.FixtureRequest) -> tuple[Display, Clock]:
    if request.param == "recording":
        virtual = VirtualClock()
        made = RecordingDisplay(virtual, size_px=SIZE, refresh_hz=60.0)
        made.open()
        return made, virtual
    console, _, hardware = request.getfixturevalue("real")
    return console.display, hardware


def _quarters() -> Pixels:
    """Red and green above, blue and yellow below: any mirroring shows."""
    return np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], dtype=np.uint8).repeat(
        50, axis=0).repeat(50, axis=1)


def _frame(image_id: str | None, *, background: int = 127, image_px: float = 200.0) -> Frame:
    return Frame(image_id, image_px=image_px, fixation_px=12.0, fixation_color=(255, 0, 255), background=background)


def test_a_display_says_its_size_and_rate(display: tuple[Any, Clock]) -> None:
    shown, _ = display
    assert isinstance(shown, Display)
    assert shown.size_px == SIZE
    assert shown.refresh_hz == 60.0
    assert 0.0 <= shown.lead_s < 1 / 60


def test_a_flip_gives_the_time_at_which_it_happened(display: tuple[Any, Clock]) -> None:
    shown, clock = display
    for _ in range(3):
        shown.draw(_frame(None))
        before = clock.now()
        flipped = shown.flip()
        assert before <= flipped <= clock.now() + 1 / 60


def test_an_image_is_where_and_how_it_was_asked_for(display: tuple[Any, Clock]) -> None:
    shown, _ = display
    shown.preload({"px-quarters": _quarters()})
    shown.draw(_frame("px-quarters"))
    shown.flip()
    screen = shown.screenshot()
    assert screen.shape == (480, 640, 3)
    assert screen.dtype == np.uint8
    middle = {(190, 270): (255, 0, 0), (190, 370): (0, 255, 0), (290, 270): (0, 0, 255), (290, 370): (255, 255, 0),
              (240, 320): (255, 0, 255), (130, 320): (127, 127, 127), (240, 210): (127, 127, 127)}
    assert {place: tuple(screen[place].tolist()) for place in middle} == middle
    coloured = np.any(screen != 127, axis=2)
    rows, columns = np.flatnonzero(coloured.any(axis=1)), np.flatnonzero(coloured.any(axis=0))
    assert abs(len(rows) - 200) <= 1
    assert abs(len(columns) - 200) <= 1
    assert abs(rows.mean() - 239.5) <= 1
    assert abs(columns.mean() - 319.5) <= 1


def test_drawing_shows_nothing_before_the_flip(display: tuple[Any, Clock]) -> None:
    shown, _ = display
    shown.draw(_frame(None, background=10))
    shown.flip()
    assert shown.screenshot()[0, 0].tolist() == [10, 10, 10]
    shown.draw(_frame(None, background=200))
    shown.flip()
    assert shown.screenshot()[0, 0].tolist() == [200, 200, 200]


def test_the_fixation_point_has_its_size_and_colour(display: tuple[Any, Clock]) -> None:
    shown, _ = display
    shown.draw(_frame(None))
    shown.flip()
    dot = np.all(shown.screenshot() == (255, 0, 255), axis=2)
    assert dot.sum() == pytest.approx(np.pi * 6.0**2, rel=0.12)


def test_the_surround_lies_between_picture_and_point(display: tuple[Any, Clock]) -> None:
    shown, _ = display
    shown.preload({"px-bright": np.full((100, 100, 3), 240, dtype=np.uint8)})
    shown.draw(dataclasses.replace(_frame("px-bright"), surround_px=24.0))
    shown.flip()
    screen = shown.screenshot()
    assert np.all(screen == (255, 0, 255), axis=2).sum() == pytest.approx(np.pi * 6.0**2, rel=0.12)
    grey = np.all(screen == 127, axis=2)[180:300, 260:380]
    assert grey.sum() == pytest.approx(np.pi * (12.0**2 - 6.0**2), rel=0.15)
    rows, columns = np.flatnonzero(grey.any(axis=1)), np.flatnonzero(grey.any(axis=0))
    assert (rows.mean(), columns.mean()) == (pytest.approx(59.5, abs=0.6), pytest.approx(59.5, abs=0.6))
    shown.draw(_frame("px-bright"))
    shown.flip()
    assert not np.all(shown.screenshot() == 127, axis=2)[180:300, 260:380].any()


def test_an_image_keeps_its_proportions(display: tuple[Any, Clock]) -> None:
    shown, _ = display
    shown.preload({"px-wide": np.full((50, 100, 3), 240, dtype=np.uint8)}, height_px=100.0)
    shown.draw(_frame("px-wide", image_px=100.0))
    shown.flip()
    changed = np.any(shown.screenshot() != 127, axis=2)
    bright = np.all(shown.screenshot() == 240, axis=2)
    dot = np.all(shown.screenshot() == (255, 0, 255), axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert (len(rows), len(columns)) == (100, 200)
    assert (changed & ~bright & ~dot).sum() < 60, "only the fixation point's own rim is neither"


def test_an_aperture_shows_its_part_the_right_way_round(display: tuple[Any, Clock]) -> None:
    """Only the upper left quarter and the lower half of the upper right one: no mirroring looks the same."""
    shown, _ = display
    aperture = np.zeros((64, 64), dtype=np.uint8)
    aperture[:32, :32] = 255
    aperture[16:32, 32:] = 255
    shown.preload({"px-quarters": _quarters()})
    shown.draw(dataclasses.replace(_frame("px-quarters"), aperture=aperture))
    shown.flip()
    screen = shown.screenshot()
    middle = {(160, 240): (255, 0, 0), (160, 400): (127, 127, 127), (215, 400): (0, 255, 0),
              (320, 240): (127, 127, 127), (320, 400): (127, 127, 127)}
    assert {place: tuple(screen[place].tolist()) for place in middle} == middle
    shown.draw(_frame("px-quarters"))
    shown.flip()
    assert shown.screenshot()[320, 240].tolist() == [0, 0, 255]


def test_dots_are_where_they_were_asked_for(display: tuple[Any, Clock]) -> None:
    shown, _ = display
    for dots in ([(100.0, 50.0), (-200.0, -150.0)], [(0.0, 200.0)]):
        black = _frame(None, background=0)
        shown.draw(dataclasses.replace(black, dots_px=np.array(dots, dtype=np.float32), dot_px=12.0))
        shown.flip()
        white = np.all(shown.screenshot() > 250, axis=2)
        assert white.sum() == pytest.approx(len(dots) * np.pi * 36.0, rel=0.2)
        for x, y in dots:
            rows, columns = np.nonzero(white[int(230 - y):int(250 - y), int(310 + x):int(330 + x)])
            assert rows.mean() == pytest.approx(9.5, abs=0.6)
            assert columns.mean() == pytest.approx(9.5, abs=0.6)


def test_a_single_dot_needs_no_luck(display: tuple[Any, Clock], monkeypatch: pytest.MonkeyPatch) -> None:
    """The window's library draws places by itself unless it is told them; these would all be outside its circle."""
    monkeypatch.setattr(np.random, "rand", lambda *shape: np.zeros(shape))
    shown, _ = display
    shown.draw(dataclasses.replace(_frame(None, background=0), dots_px=np.array([(40.0, 30.0)]), dot_px=10.0))
    shown.flip()
    assert np.all(shown.screenshot() > 250, axis=2).sum() == pytest.approx(np.pi * 25.0, rel=0.2)


def test_the_photodiode_square_is_lit_and_dark_and_away(display: tuple[Any, Clock]) -> None:
    shown, _ = display
    corners = []
    for lit in (True, False, None):
        shown.draw(dataclasses.replace(_frame(None), photodiode=lit))
        shown.flip()
        screen = shown.screenshot()
        corners.append([int(screen[-2, -2, 0]), int(screen[-PHOTODIODE_PX - 2, -2, 0]), int(screen[1, -2, 0])])
    assert corners == [[255, 127, 127], [0, 127, 127], [127, 127, 127]]


def test_an_image_that_was_not_preloaded_is_an_error(display: tuple[Any, Clock]) -> None:
    with pytest.raises(DeviceError, match="'px-unknown'"):
        display[0].draw(_frame("px-unknown"))


# ------------------------------------------------------------------- closing twice

def _virtual_devices() -> list[Any]:
    clock = VirtualClock()
    person = SimulatedParticipant(clock, answers={}, answering=ParticipantSettings(), rng=np.random.default_rng(0))
    return [EmulatedScanner(clock, times_s=[0.0, 2.0]), person, JoinedResponses((person, person)),
            RecordingDisplay(clock, size_px=SIZE, refresh_hz=60.0)]


def _work_twice(device: Any) -> None:
    """Open a device, use it and close it twice; then all of it again."""
    for _ in range(2):
        device.open()
        if isinstance(device, TriggerSource):
            assert device.pulses() == []
        if isinstance(device, ResponseDevice):
            assert device.presses() == []
        if isinstance(device, Display):
            device.draw(_frame(None, background=10))
            device.flip()
            assert device.screenshot()[0, 0].tolist() == [10, 10, 10]
        device.close()
        device.close()


@NEEDS_PTY
@pytest.mark.parametrize("which", [0, 1])
def test_a_serial_device_may_be_closed_twice_and_opened_again(
        serial_line: tuple[SerialTrigger, SerialButtons], which: int) -> None:
    serial_line[which].close()
    _work_twice(serial_line[which])


def test_a_parallel_trigger_may_be_closed_twice_and_opened_again(tmp_path: Path) -> None:
    _work_twice(ParallelTrigger(FakePort(tmp_path / "port"), pin=10))


@pytest.mark.parametrize("device", _virtual_devices(), ids=lambda one: type(one).__name__)
def test_a_virtual_device_may_be_closed_twice_and_opened_again(device: Any) -> None:
    assert isinstance(device, TriggerSource | ResponseDevice | Display)
    _work_twice(device)
