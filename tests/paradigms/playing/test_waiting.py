"""A run that waits looks seldom, and costs little; what comes is stamped as before."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from paradigms.devices.protocols import HardwareClock
from paradigms.emulation.scanner_and_display import VirtualClock
from paradigms.playing import engine
from paradigms.program import Change, Program
from paradigms.runlog import of_kind
from paradigms.schedule import Schedule, excerpt
from paradigms.tasks.main_task import program
from subjects.settings.study import Settings
from tests.paradigms.conftest import Bench


class Rests(VirtualClock):
    """A virtual clock that keeps how long it was rested on."""

    def __init__(self) -> None:
        super().__init__()
        self.rests: list[float] = []

    def rest_until(self, t: float) -> None:
        self.rests.append(t - self.now())
        super().rest_until(t)


def _early(made: Program, *, at_s: float) -> Program:
    changes: tuple[Change, ...] = tuple(made.changes())
    return replace(made, changes=lambda: iter((replace(changes[0], at_s=at_s), *changes[1:])))


@pytest.mark.parametrize(("first_s", "nap_s"), [(None, 0.02), (0.05, 0.02), (0.03, 0.004)])
def test_a_run_that_waits_looks_seldom_unless_a_change_follows_at_once(
        monkeypatch: pytest.MonkeyPatch, tmp_path, schedule: Schedule, settings: Settings, first_s: float | None,
        nap_s: float) -> None:
    short, clock = excerpt(schedule, n_trials=1), Rests()
    made = program(short, settings)
    bench = Bench(short, settings, tmp_path / "journal.jsonl", clock=clock, trigger_timeout_s=2.0,
                  program=made if first_s is None else _early(made, at_s=first_s), delay_s=1e9)
    monkeypatch.setattr("tests.paradigms.conftest.Devices",
                        lambda clock, **rest: engine.Devices(clock, **{**rest, "poll_s": 0.004}))
    assert "no trigger within 2 s" in bench.play().reason
    assert clock.rests == pytest.approx([nap_s] * len(clock.rests))
    assert len(clock.rests) == pytest.approx(2.0 / nap_s, abs=2)


def test_time_zero_is_the_pulses_own_stamp_however_seldom_one_looks(tmp_path, schedule: Schedule,
                                                                    settings: Settings) -> None:
    bench = Bench(excerpt(schedule, n_trials=1), settings, tmp_path / "journal.jsonl", delay_s=3.137)
    assert bench.play().complete
    zero, pulse = of_kind(bench.records, "zero")[0], of_kind(bench.records, "pulse")[0]
    assert zero["t"] == pulse["t"]
    assert zero["noticed"] > zero["t"]


def test_a_rest_of_the_hardware_clock_uses_no_processor() -> None:
    clock = HardwareClock()
    used, began = time.process_time(), clock.now()
    for _ in range(50):
        clock.rest_until(clock.now() + 0.01)
    assert clock.now() - began >= 0.5
    assert time.process_time() - used < 0.1
    clock.rest_until(clock.now() - 1.0)
