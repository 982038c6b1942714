"""Serial lines on a real pty pair: every byte once, stamped when it came, shared lines, pulled plugs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from paradigms.devices.protocols import HardwareClock
from paradigms.devices.serial_port import SerialButtons, SerialLine, SerialTrigger
from subjects.errors import DeviceError
from tests.paradigms.lines import SerialBox, settled

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a pty pair plays the box")
KEYS = {ord("b"): "1", ord("y"): "2"}


@pytest.fixture
def box() -> Iterator[SerialBox]:
    made = SerialBox()
    yield made
    made.unplug()


def _line(port: str) -> SerialLine:
    return SerialLine(port, baud=115200, clock=HardwareClock())


@pytest.fixture
def both(box: SerialBox) -> Iterator[tuple[SerialTrigger, SerialButtons]]:
    """Give a trigger and buttons on one line, open."""
    line = _line(box.port)
    trigger, buttons = SerialTrigger(line, pulse=ord("5")), SerialButtons(line, keys=KEYS)
    for device in (trigger, buttons):
        device.open()
    yield trigger, buttons
    for device in (trigger, buttons):
        device.close()


def test_one_line_carries_pulses_and_presses(box: SerialBox, both: tuple[SerialTrigger, SerialButtons]) -> None:
    trigger, buttons = both
    box.send("5b5yyA5")
    presses = settled(buttons.presses, n=4)
    pulses = settled(trigger.pulses, n=3)
    assert [press.key for press in presses] == ["1", "2", "2", "byte 'A'"]
    assert [pulse.name for pulse in pulses] == ["byte '5'"] * 3
    assert {pulse.source for pulse in pulses} | {press.source for press in presses} == {f"serial {box.port}"}


def test_a_trigger_alone_takes_no_other_byte(box: SerialBox) -> None:
    trigger = SerialTrigger(_line(box.port), pulse=0)
    trigger.open()
    box.send(b"\x01\x00b\xff\x00")
    assert [pulse.name for pulse in settled(trigger.pulses, n=2)] == ["byte 0", "byte 0"]
    trigger.close()


@pytest.mark.parametrize(("sent", "said"), [
    (b"\x80\x80", ""),
    (b"\x80\x80\x80t", "byte 128 3 times, byte 't' 1 times"),
    (b"abcdeabcdabcaba", "byte 'a' 5 times, byte 'b' 4 times, byte 'c' 3 times, byte 'd' 2 times, ...")])
def test_bytes_that_come_in_the_place_of_pulses_are_named(box: SerialBox, sent: bytes, said: str) -> None:
    trigger = SerialTrigger(_line(box.port), pulse=ord("5"))
    trigger.open()
    box.send(sent + b"5")
    assert len(settled(trigger.pulses, n=1)) == 1
    whole = f"bytes that are no pulse came ({said}) at 115200 baud; a pulse is byte '5'" if said else ""
    assert trigger.came_instead() == whole
    trigger.close()
    trigger.open()
    assert trigger.came_instead() == ""
    trigger.close()


@pytest.mark.parametrize("error", [OverflowError("int too large"), ValueError("Invalid baud rate")])
def test_a_speed_that_the_driver_refuses_is_one_error(error: Exception) -> None:
    def refuse() -> object:
        raise error

    line = SerialLine("COM3", baud=4_000_000, clock=HardwareClock(), connect=refuse)
    with pytest.raises(DeviceError, match=rf"serial port COM3: {error}; expected a serial port at 4000000 baud"):
        line.open()


def test_stamps_are_of_the_arrival_and_not_of_the_poll(box: SerialBox, both: tuple[SerialTrigger, SerialButtons]
                                                       ) -> None:
    sent = []
    for _ in range(40):
        sent.append(box.send("5"))
        time.sleep(0.01)
    time.sleep(0.3)
    stamps = [pulse.stamp_s for pulse in both[0].pulses()]
    late = np.array(stamps) - sent
    assert len(stamps) == 40
    assert late.min() >= 0.0
    assert np.median(late) < 0.002, "the median, so that a busy machine does not matter"


def test_nothing_of_a_fast_stream_or_a_burst_is_lost(box: SerialBox, both: tuple[SerialTrigger, SerialButtons]
                                                     ) -> None:
    """120 events a second while the main thread computes, then 1000 at once."""
    trigger, buttons = both
    began = time.monotonic()
    for k in range(240):
        box.send("5" if k % 2 else "b")
        while time.monotonic() < began + (k + 1) / 120:
            sum(range(200))
    box.send("5y" * 500)
    pulses, presses = settled(trigger.pulses, n=620), settled(buttons.presses, n=620)
    assert (len(pulses), len(presses)) == (620, 620)
    for one in (pulses, presses):
        assert all(b.stamp_s >= a.stamp_s for a, b in pairwise(one))
    gaps = np.diff([pulse.stamp_s for pulse in pulses[:120]])
    assert np.median(gaps) == pytest.approx(2 / 120, abs=0.002)


def test_a_pulled_plug_is_told_once_after_what_had_come(box: SerialBox, both: tuple[SerialTrigger, SerialButtons]
                                                        ) -> None:
    trigger, buttons = both
    box.send("55b")
    time.sleep(0.1)
    box.unplug()
    time.sleep(0.3)
    assert len(trigger.pulses()) == 2
    assert len(buttons.presses()) == 1
    for read in (trigger.pulses, buttons.presses):
        with pytest.raises(DeviceError, match=r"a line that broke .*Check the cable"):
            read()
        assert read() == []


def test_what_came_before_opening_is_no_pulse(box: SerialBox) -> None:
    box.send("555")
    trigger = SerialTrigger(_line(box.port), pulse=ord("5"))
    trigger.open()
    time.sleep(0.1)
    assert trigger.pulses() == []
    box.send("5")
    assert len(settled(trigger.pulses, n=1)) == 1
    trigger.close()


def test_the_line_lives_as_long_as_one_of_its_devices(box: SerialBox, both: tuple[SerialTrigger, SerialButtons]
                                                      ) -> None:
    trigger, buttons = both
    trigger.close()
    box.send("b")
    assert len(settled(buttons.presses, n=1)) == 1
    buttons.close()
    box.send("b")
    time.sleep(0.1)
    assert buttons.presses() == []


@pytest.mark.parametrize(("port", "text"), [("/dev/ttyNowhere", "/dev/ttyNowhere: .*No such file"),
                                            ("", r"\(none\): no port is set"),
                                            ("/dev/null", "/dev/null: ")])
def test_a_port_that_cannot_be_opened_is_told_with_those_that_are_there(port: str, text: str) -> None:
    with pytest.raises(DeviceError, match=rf"serial port {text}.*ports found: "):
        SerialTrigger(_line(port), pulse=53).open()


def test_a_port_is_not_opened_by_two(box: SerialBox, both: tuple[SerialTrigger, SerialButtons]) -> None:
    with pytest.raises(DeviceError, match="expected a serial port at 115200 baud"):
        SerialTrigger(_line(box.port), pulse=53).open()


def test_one_byte_is_not_two_things(box: SerialBox) -> None:
    line = _line(box.port)
    SerialTrigger(line, pulse=ord("b"))
    with pytest.raises(DeviceError, match="byte 98 as pulse and as button"):
        SerialButtons(line, keys=KEYS)
