"""Devices by their names: nothing unknown, nothing silent, one reader for one port, no press lost to a failure."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from paradigms.devices.inputs import Inputs, JoinedResponses, opened_inputs
from paradigms.devices.parallel_port import ParallelTrigger
from paradigms.devices.protocols import HardwareClock, Press
from paradigms.devices.serial_port import SerialTrigger
from subjects.errors import DeviceError
from subjects.settings.study import Settings
from tests.paradigms.lines import SerialBox, settled


class Hand:
    """A keyboard's side that is told what to say."""

    def __init__(self, said: list[Any] | None = None) -> None:
        self.said, self.n_open = said or [], 0

    def open(self) -> None:
        self.n_open += 1

    def close(self) -> None:
        self.n_open -= 1

    def pulses(self) -> list[Any]:
        return []

    def presses(self) -> list[Any]:
        if self.said and isinstance(self.said[0], Exception):
            raise self.said.pop(0)
        said, self.said = self.said, []
        return said


def _inputs(**tables: Any) -> tuple[Inputs, Hand, Hand]:
    trigger, responses = Hand(), Hand()
    return (Inputs(Settings.model_validate(tables), clock=HardwareClock(), trigger=trigger, responses=responses),
            trigger, responses)


@pytest.fixture
def box() -> Iterator[SerialBox]:
    if sys.platform == "win32":
        pytest.skip("a pty pair plays the box")
    made = SerialBox()
    yield made
    made.unplug()


def test_the_keyboard_is_the_keyboard() -> None:
    inputs, trigger, responses = _inputs()
    assert inputs.trigger("keyboard") is trigger
    assert inputs.responses("keyboard") is responses


def test_parallel_has_the_settings_pin() -> None:
    made = _inputs(parallel_trigger={"pin": 12, "edge": "falling"})[0].trigger("parallel")
    assert isinstance(made, ParallelTrigger)
    assert (made._pin, made._rising) == (12, False)


@pytest.mark.parametrize(("side", "name", "text"), [
    ("trigger", "seriel", "scanner: 'seriel'; expected one of keyboard, serial, parallel. Did you mean 'serial'"),
    ("trigger", "emulated", "scanner: 'emulated'; expected one of keyboard, serial, parallel"),
    ("responses", "keybord", "buttons: 'keybord'; expected one of keyboard, serial. Did you mean 'keyboard'"),
])
def test_an_unknown_name_is_told_the_nearest(side: str, name: str, text: str) -> None:
    with pytest.raises(DeviceError, match=text):
        getattr(_inputs()[0], side)(name)


def test_a_port_that_is_not_set_is_told_by_its_setting() -> None:
    with pytest.raises(DeviceError, match=r"serial_trigger\.port: no port"):
        _inputs()[0].trigger("serial")
    with pytest.raises(DeviceError, match=r"buttons\.port: no port"):
        _inputs()[0].responses("serial")


def test_one_box_is_trigger_and_buttons_and_the_keyboard_stays(box: SerialBox) -> None:
    inputs, _, keyboard = _inputs(serial_trigger={"port": box.port, "pulse": 84},
                                  buttons={"port": box.port, "keys": [["g", "2"], [98, "1"]]})
    with opened_inputs(inputs, scanner="serial", buttons="serial") as (trigger, responses):
        box.send("TbgT")
        assert len(settled(trigger.pulses, n=2)) == 2
        keyboard.said = [Press(0.0, "escape", "keyboard")]
        assert [press.key for press in settled(responses.presses, n=3)] == ["escape", "1", "2"]
        assert keyboard.n_open == 1
    assert keyboard.n_open == 0
    assert isinstance(trigger, SerialTrigger)


def test_two_speeds_on_one_port_are_refused(box: SerialBox) -> None:
    inputs, _, _ = _inputs(serial_trigger={"port": box.port}, buttons={"port": box.port, "baud": 9600})
    inputs.trigger("serial")
    with pytest.raises(DeviceError, match=r"buttons\.port: 9600 baud on a port that has 115200 already"):
        inputs.responses("serial")


def test_what_cannot_be_opened_leaves_nothing_open(box: SerialBox) -> None:
    inputs, _, _ = _inputs(serial_trigger={"port": box.port}, buttons={"port": "/dev/ttyNowhere"})
    with (pytest.raises(DeviceError, match="/dev/ttyNowhere"),
          opened_inputs(inputs, scanner="serial", buttons="serial")):
        pass
    again, _, _ = _inputs(serial_trigger={"port": box.port})
    with opened_inputs(again, scanner="serial", buttons="keyboard") as (trigger, _):
        box.send("5")
        assert len(settled(trigger.pulses, n=1)) == 1


def test_a_failure_of_one_loses_nothing_of_the_other() -> None:
    lost = DeviceError("box", came="a", expected="b", remedy="c")
    joined = JoinedResponses((Hand([lost]), Hand([Press(2.0, "2", "b"), Press(1.0, "1", "b")])))
    with pytest.raises(DeviceError, match="box: a"):
        joined.presses()
    assert [press.key for press in joined.presses()] == ["1", "2"]
    assert joined.presses() == []
