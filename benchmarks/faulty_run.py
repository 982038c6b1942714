"""Plays one run with one fault in it, for ``faults.py`` to judge from outside: the command itself, its devices spoilt.

Usage: python benchmarks/faulty_run.py TRUTH FAULT AT_S SPEED -- ARGUMENTS OF run_session.py run

TRUTH is a file in which every record is noted a second time once the journal has taken it. FAULT happens AT_S
seconds of the run after the first pulse. SPEED is how much faster than life a virtual run goes.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import run_session
from paradigms.devices.protocols import HardwareClock, Press
from paradigms.emulation.fake_keys import KeySender
from paradigms.playing import play_run as session
from paradigms.playing.run_devices import Devices
from paradigms.record.journal import Journal
from subjects.cli import main as run_command
from subjects.errors import DeviceError
from tests.paradigms.lines import SerialBox

TR_S = 2.0
HOUR_S = 3600.0
REPEAT_S = 0.033


class PacedClock:
    """A hardware clock whose seconds are shorter, and whose wall clock can be stepped."""

    def __init__(self, speed: float) -> None:
        self._speed, self._start, self.step_s = speed, time.monotonic(), 0.0

    def now(self) -> float:
        """Give the time in seconds."""
        return 100.0 + (time.monotonic() - self._start) * self._speed

    def wall(self) -> float:
        """Give the wall clock."""
        return 1.6e9 + self.now() + self.step_s

    def wait_until(self, t: float) -> None:
        """Wait in short naps."""
        while (left := t - self.now()) > 0:
            time.sleep(min(left / self._speed, 0.01))

    rest_until = wait_until


class SteppedClock(HardwareClock):
    """The computer's clock with a wall clock that can be stepped."""

    step_s = 0.0

    def wall(self) -> float:
        """Give the wall clock."""
        return super().wall() + self.step_s


class Spoilt:
    """A device that does what it did until the fault's moment has come."""

    def __init__(self, device: Any, fault: Fault) -> None:
        self._device, self._fault = device, fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def flip(self) -> float:
        """Flip, unless the window was closed."""
        if self._fault.kind == "window" and self._fault.is_due():
            window = getattr(getattr(self._device, "display", self._device), "_window", None)
            if window is None:
                raise DeviceError("window", came="a window that is closed", expected="an open window",
                                  remedy="Start the run again with --repeat; the record of this attempt is kept.")
            window.winHandle.close()
        return float(self._device.flip())

    def pulses(self) -> list[Any]:
        """Give the pulses, unless the line was unplugged."""
        if self._fault.kind == "serial" and self._fault.is_due():
            raise DeviceError("serial port", came="a line that is gone", expected="the trigger box",
                              remedy="Plug it in.")
        return list(self._device.pulses())

    def presses(self) -> list[Press]:
        """Give the presses, more of them with a key that is stuck, and the abort key when nothing ever comes."""
        found = list(self._device.presses())
        now = self._fault.clock.now()
        self._fault.began = min(self._fault.began, now)
        while self._fault.kind == "stuck" and self._fault.told < 40:
            again = self._fault.zero + self._fault.at_s + REPEAT_S * self._fault.told
            if again > now:
                break
            self._fault.told += 1
            found.append(Press(again, "1", "stuck"))
        if self._fault.kind == "silence" and now > self._fault.began + 8.0 and not self._fault.told:
            self._fault.told = 1
            found.append(Press(now, "escape", "operator"))
        return found


class Fault:
    """What goes wrong, and when."""

    def __init__(self, kind: str, *, at_s: float, clock: Any) -> None:
        self.kind, self.at_s, self.clock, self.told = kind, at_s, clock, 0
        self.began = self.zero = float("inf")

    def is_due(self) -> bool:
        """Say whether its moment has come."""
        return bool(self.clock.now() >= self.zero + self.at_s)


def main() -> None:
    """Spoil what is to be spoilt, then run the command."""
    truth, kind, at_s, speed = sys.argv[1:5]
    sys.argv[1:] = sys.argv[sys.argv.index("--") + 1:]
    windowed = bool({"window", "xvfb"} & set(sys.argv))
    clock: Any = SteppedClock() if windowed else PacedClock(float(speed))
    fault = Fault(kind, at_s=float(at_s), clock=clock)
    session.VirtualClock = lambda: clock  # type: ignore[assignment,misc]
    session.HardwareClock = lambda: clock  # type: ignore[assignment,misc]
    note_twice(truth, fault)
    opened, box = session.opened_devices, SerialBox() if kind == "serial" and windowed else None
    if box is not None:
        site = Path(truth).with_suffix(".toml")
        site.write_text(f'[serial_trigger]\nport = "{box.port}"\n', encoding="utf-8")
        sys.argv += ["--site", str(site)]

    @contextmanager
    def spoilt(*arguments: Any, **named: Any) -> Iterator[Devices]:
        with opened(*arguments, **named) as devices:
            if windowed:
                threading.Thread(target=happen, args=(fault, box), daemon=True).start()
                real = kind not in ("window", "silence")
                yield devices if real else replace(devices, display=Spoilt(devices.display, fault),
                                                   responses=Spoilt(devices.responses, fault))
            else:
                threading.Thread(target=step, args=(fault,), daemon=True).start()
                yield replace(devices, display=Spoilt(devices.display, fault), trigger=Spoilt(devices.trigger, fault),
                              responses=Spoilt(devices.responses, fault))

    session.opened_devices = spoilt
    run_command(run_session.cli)


def note_twice(truth: str, fault: Fault) -> None:
    """Note every record once more, when the journal has taken it."""
    file = os.open(truth, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    write = Journal.write

    def twice(journal: Journal, kind: str, **fields: Any) -> None:
        write(journal, kind, **fields)
        if kind == "zero":
            fault.zero = fields["t"]
        if "t" in fields:
            os.write(file, f"{kind} {fields['t']:.6f}\n".encode())

    Journal.write = twice  # type: ignore[assignment,method-assign]


def step(fault: Fault) -> None:
    """Step the wall clock when it is time."""
    while fault.kind == "clock" and not fault.clock.step_s:
        if fault.is_due():
            fault.clock.step_s = HOUR_S
        time.sleep(0.002)


def happen(fault: Fault, box: SerialBox | None) -> None:
    """Do to a real window's devices what is to be done."""
    if box is not None:
        time.sleep(1.0)
        KeySender(os.environ["DISPLAY"]).tap("space")
        time.sleep(1.0)
        k, start = 0, time.monotonic()
        while not fault.is_due():
            time.sleep(max(0.0, start + TR_S * k - time.monotonic()))
            box.send("5")
            k += 1
            time.sleep(0.3)
        box.unplug()
    while not fault.is_due():
        time.sleep(0.01)
    if fault.kind == "clock":
        fault.clock.step_s = HOUR_S
    if fault.kind == "stuck":
        sender = KeySender(os.environ["DISPLAY"])
        sender._fake(2, sender._code("3"))  # no simulated press releases this one
        time.sleep(60.0)


if __name__ == "__main__":
    main()
