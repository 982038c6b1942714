"""A parallel port's edges, on a port whose level is set by the test."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradigms.devices import parallel_port
from paradigms.devices.parallel_port import ParallelTrigger
from paradigms.devices.platforms.status_ports import PINS, PpdevPort
from subjects.errors import DeviceError
from tests.paradigms.lines import FakePort, settled


class Spy:
    """A line that is asked on one side and told on another."""

    def __init__(self, asked: Any, told: Any) -> None:
        self.poll, self.send = asked.poll, told


def _opened(port: FakePort, **given: object) -> ParallelTrigger:
    trigger = ParallelTrigger(port, **{"pin": 10, **given})  # type: ignore[arg-type]
    trigger.open()
    time.sleep(0.02)
    return trigger


@pytest.mark.parametrize(("edge", "rests_high"), [("rising", False), ("falling", True)])
@pytest.mark.parametrize("pin", sorted(PINS))
def test_each_edge_is_one_pulse_with_its_stamp(tmp_path: Path, pin: int, edge: str, rests_high: bool) -> None:
    port = FakePort(tmp_path / "port", pin=pin, rests_high=rests_high)
    trigger = _opened(port, pin=pin, edge=edge)
    at = [port.pulse(after_s=0.02 + 0.02 * k, hold_s=0.01) for k in range(3)]
    pulses = settled(trigger.pulses, n=3)
    time.sleep(0.05)
    assert trigger.pulses() == []
    trigger.close()
    assert [pulse.name for pulse in pulses] == [f"pin {pin}"] * 3
    assert np.median([pulse.stamp_s for pulse in pulses] - np.array(at)) == pytest.approx(0.0, abs=0.003)


def test_a_level_that_stands_already_is_no_pulse(tmp_path: Path) -> None:
    port = FakePort(tmp_path / "port")
    port.pulse(hold_s=3.0)
    trigger = _opened(port)
    time.sleep(3.0)
    assert trigger.pulses() == []
    port.pulse()
    assert len(settled(trigger.pulses, n=1)) == 1
    trigger.close()


def test_other_pins_are_not_looked_at(tmp_path: Path) -> None:
    port = FakePort(tmp_path / "port", pin=12)
    trigger = _opened(port, pin=13)
    port.pulse(hold_s=0.02)
    time.sleep(0.05)
    assert trigger.pulses() == []
    trigger.close()


def test_a_port_that_goes_away_is_told_once_after_what_had_come(tmp_path: Path) -> None:
    port = FakePort(tmp_path / "port")
    trigger = _opened(port)
    port.pulse()
    time.sleep(0.05)
    port.break_down()
    time.sleep(0.05)
    assert len(trigger.pulses()) == 1
    with pytest.raises(DeviceError, match=r"a port that is gone .*No such device"):
        trigger.pulses()
    assert trigger.pulses() == []
    trigger.close()


def test_a_port_that_cannot_be_had_is_told_with_what_to_do(tmp_path: Path) -> None:
    port = FakePort(tmp_path / "port", missing=True)
    with pytest.raises(DeviceError, match=r"no port .*/dev/parport0.*ppdev.*use --scanner serial or keyboard"):
        ParallelTrigger(port, pin=10).open()


def test_pulses_of_2_ms_are_seen_while_the_run_computes(tmp_path: Path) -> None:
    """What a thread cannot do: one pulse every 20 ms or so, and a main thread that never lets go."""
    port, rng = FakePort(tmp_path / "port"), np.random.default_rng(3)
    trigger = _opened(port)
    at = [port.pulse(after_s=0.05 + 0.02 * k + 0.01 * float(rng.random())) for k in range(200)]
    while time.monotonic() < at[-1] + 0.02:
        sum(range(2000))
    pulses = settled(trigger.pulses, n=200, within_s=1.0)
    trigger.close()
    seen = np.searchsorted(at, [pulse.stamp_s for pulse in pulses], side="right") - 1
    late = np.array([pulse.stamp_s for pulse in pulses]) - np.array(at)[seen]
    assert np.median(late) < 0.001
    assert trigger.longest_gap_s > 0 or seen.tolist() == list(range(200)), "a loss is never silent"
    assert len(pulses) >= 190


def test_a_gap_in_the_looking_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = multiprocessing.Pipe()
    port = FakePort(tmp_path / "port")
    slow = [0.0, 0.0, 0.02, 0.0]

    def levels() -> int:
        time.sleep(slow.pop(0)) if slow else ours.close()
        return 0

    port.levels = levels  # type: ignore[method-assign]
    trigger = ParallelTrigger(port, pin=10)
    trigger._line, reader = multiprocessing.Pipe()
    monkey = reader.send
    parallel_port._look(port, Spy(theirs, monkey), mask=64, rising=True, poll_s=0.0001)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING, logger="paradigms.devices.parallel_port"):
        assert trigger.pulses() == []
    assert trigger.longest_gap_s == pytest.approx(0.02, abs=0.01)
    assert "not looked at for 2" in caplog.text


def test_the_process_ends_with_the_run(tmp_path: Path) -> None:
    trigger = _opened(FakePort(tmp_path / "port"))
    process = trigger._process
    assert process is not None
    assert process.is_alive()
    trigger.close()
    assert process.exitcode == 0


def test_a_process_that_is_killed_is_a_port_that_is_gone(tmp_path: Path) -> None:
    trigger = _opened(FakePort(tmp_path / "port"))
    assert trigger._process is not None
    trigger._process.kill()
    trigger._process.join()
    with pytest.raises(DeviceError, match="the process that watches it has ended"):
        trigger.pulses()
    trigger.close()


@pytest.mark.skipif(sys.platform != "linux", reason="ppdev is Linux's")
def test_ppdev_reads_the_status_register(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls and numbers of linux/ppdev.h; pin 11 is inverted by the hardware."""
    import fcntl

    called = []

    def ioctl(file: int, request: int, argument: object = 0) -> object:
        called.append(request)
        return b"\xc0" if argument == b"\0" else 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    port = PpdevPort("/dev/null")
    with pytest.raises(OSError, match="closed"):
        port.levels()
    port.open()
    assert port.levels() == 0x40
    port.close()
    port.close()
    ppdev = ord("p") << 8
    assert called == [ppdev | 0x8B, (2 << 30) | (1 << 16) | ppdev | 0x81, ppdev | 0x8C]


@pytest.mark.skipif(sys.platform != "linux", reason="ppdev is Linux's")
def test_a_file_that_is_no_port_is_refused() -> None:
    with pytest.raises(DeviceError, match="parallel port: no port"):
        ParallelTrigger(PpdevPort("/dev/null"), pin=10).open()
