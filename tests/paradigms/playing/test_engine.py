"""The engine keeps to absolute deadlines, loses nothing that comes in, and always says how a run ended."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from paradigms.console.panels import verdict_rows
from paradigms.console.run_state import fold_all
from paradigms.devices.protocols import Frame, Press, Pulse
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.playing.engine import Terminated
from paradigms.program import ON, STEP, Change, Program
from paradigms.runlog import events_table, of_kind
from paradigms.schedule import Schedule, excerpt
from paradigms.tasks.main_task import program
from subjects.errors import DeviceError, ScheduleError
from subjects.settings.devices import ScannerFaults
from subjects.settings.study import ScannerSettings, Settings

BenchMaker = Callable[..., Any]


@pytest.fixture
def short(schedule: Schedule) -> Schedule:
    return excerpt(schedule, n_trials=6)


class Wrapped:
    """A device whose named calls go through a hook first; all else is the device's own."""

    def __init__(self, device: Any, **hooks: Callable[[], None]) -> None:
        self._device, self._hooks = device, hooks

    def __getattr__(self, name: str) -> Any:
        if name in self._hooks:
            self._hooks[name]()
        return getattr(self._device, name)


# --------------------------------------------------------------- a run that goes well

def test_a_whole_run_in_virtual_time(bench: BenchMaker, schedule: Schedule) -> None:
    began = time.perf_counter()
    run = bench()
    outcome = run.play()
    assert time.perf_counter() - began < 1.5
    assert outcome.complete
    assert outcome.reason == "complete"
    assert outcome.watch.faults == ()
    assert outcome.n_pulses == 278
    assert outcome.n_events == 120
    assert len(outcome.onset_errors_s) == 120
    assert outcome.summary().startswith("complete: 120 images, 278 of 278 pulses")
    assert run.clock.now() == pytest.approx(100.0 + 3.0 + 556.0, abs=0.01)


def test_every_flip_is_where_it_was_planned(bench: BenchMaker, schedule: Schedule) -> None:
    """The display's own record against onsets computed from the schedule, to a frame."""
    run = bench()
    run.play()
    zero = 103.0
    wanted = [(zero + event.onset_s + late, image) for event in schedule.events if event.image_id
              for late, image in ((0.0, event.image_id), (event.duration_s, None))]
    shown = [(one.t, one.frame.image_id) for one in run.display.shown[1:]]
    assert [image for _, image in shown] == [image for _, image in wanted]
    assert np.abs(np.array([t for t, _ in shown]) - [t for t, _ in wanted]).max() <= 1 / 120


def test_the_journal_holds_planned_and_actual_flips(bench: BenchMaker) -> None:
    run = bench()
    run.play()
    flips = of_kind(run.records, "flip")
    assert [flip["t"] for flip in flips] == pytest.approx([one.t for one in run.display.shown[1:]], abs=1e-6)
    assert len(flips) == 240
    assert all(abs(flip["t"] - flip["planned"]) <= 1 / 120 for flip in flips)


def test_the_journal_ends_with_the_watchdogs_report(bench: BenchMaker) -> None:
    run = bench(faults=ScannerFaults(missed=(40,)))
    outcome = run.play()
    last = run.records[-1]
    assert (last["kind"], last["complete"]) == ("end", True)
    assert last["watch"]["missed"] == [40]
    assert outcome.watch.missed == (40,)
    assert "1 pulse missed (volumes 40)" in outcome.summary()


def test_faults_of_the_scanner_are_remarked_live(bench: BenchMaker, caplog: pytest.LogCaptureFixture) -> None:
    run = bench(faults=ScannerFaults(missed=(40,), doubled=(60,)))
    with caplog.at_level(logging.WARNING, logger="paradigms.playing.engine"):
        run.play()
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["1 missed", "double"]
    assert [pulse["amiss"] for pulse in of_kind(run.records, "pulse") if pulse["amiss"]] == ["1 missed", "double"]


def test_nothing_that_came_in_is_lost(bench: BenchMaker, schedule: Schedule) -> None:
    run = bench()
    stray = [(110.123, "9"), (300.001, "1"), (658.9, "2")]
    for at, key in stray:
        run.responses.press(key, at_s=at)
    run.play()
    pulses = [pulse["t"] for pulse in of_kind(run.records, "pulse")]
    assert pulses == pytest.approx([103.0 + 2.0 * k for k in range(len(pulses))])
    assert len(pulses) >= 278
    logged = {(press["t"], press["key"]) for press in of_kind(run.records, "press")}
    assert set(stray) <= logged
    assert [press["task"] for press in of_kind(run.records, "press") if press["key"] == "9"] == [False]


def test_stray_presses_change_no_answer_but_their_own(bench: BenchMaker, schedule: Schedule) -> None:
    quiet = bench()
    quiet.play()
    noisy = bench(journal_path=quiet.journal_path.with_name("noisy.jsonl"))
    for at in np.arange(104.0, 122.0, 0.5):
        noisy.responses.press("1", at_s=float(at))
    noisy.play()
    tables = [events_table(run.records, schedule, response_window_s=4.0) for run in (quiet, noisy)]
    assert tables[0].equals(tables[1]), "presses in the lead-in answer nothing"


# ------------------------------------------------------------------ time zero

def test_time_zero_is_the_pulses_own_stamp(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short, delay_s=3.0371)
    run.play()
    zero = of_kind(run.records, "zero")[0]
    assert zero["t"] == pytest.approx(103.0371)
    assert zero["noticed"] > zero["t"], "read later than stamped"
    onsets = [event.onset_s for event in short.events if event.image_id]
    planned = [flip["planned"] for flip in of_kind(run.records, "flip") if flip["what"] == "on"]
    assert planned == pytest.approx([103.0371 + onset for onset in onsets])


@pytest.mark.parametrize("dummies", [1, 3])
def test_dummy_pulses_are_let_pass(bench: BenchMaker, short: Schedule, dummies: int) -> None:
    run = bench(schedule=short, settings=Settings(scanner=ScannerSettings(n_dummies=dummies)))
    outcome = run.play()
    assert of_kind(run.records, "zero")[0]["t"] == pytest.approx(103.0 + 2.0 * dummies)
    assert outcome.watch.faults == ()
    assert outcome.n_pulses == short.n_volumes


def test_a_double_pulse_is_no_second_dummy(bench: BenchMaker, short: Schedule) -> None:
    settings = Settings(scanner=ScannerSettings(n_dummies=2))
    run = bench(schedule=short, settings=settings, faults=ScannerFaults(doubled=(0,)))
    run.play()
    assert of_kind(run.records, "zero")[0]["t"] == pytest.approx(107.0)


def test_a_missed_first_pulse_is_flagged(bench: BenchMaker, short: Schedule) -> None:
    """The scanner's first pulse is lost: the run starts one TR late, and says so."""
    outcome = bench(schedule=short, faults=ScannerFaults(missed=(0,))).play()
    assert any("the run started late" in fault for fault in outcome.watch.faults)


# ------------------------------------------------------------------ late frames

class SlowDisplay(RecordingDisplay):
    """Shows its n-th flip late."""

    slow_flip, delay_s, clock = 3, 0.7, VirtualClock()

    def flip(self) -> float:
        if len(self.shown) == self.slow_flip:
            self.clock.wait_until(self.clock.now() + self.delay_s)
        return super().flip()


def test_a_late_frame_shifts_no_later_event(bench: BenchMaker, schedule: Schedule) -> None:
    run = bench()
    run.display = SlowDisplay(run.clock, size_px=(8, 8), refresh_hz=120.0, on_flip=run.responses.see)
    run.display.clock = run.clock
    outcome = run.play()
    errors = np.array([flip["t"] - flip["planned"] for flip in of_kind(run.records, "flip")])
    assert errors[2] == pytest.approx(0.7, abs=0.02)
    assert np.abs(np.delete(errors, 2)).max() <= 1 / 120
    assert outcome.complete
    assert outcome.watch.n_late == 1


# ------------------------------------------------------------------------- ends

def test_the_abort_key_while_waiting(bench: BenchMaker) -> None:
    run = bench(delay_s=1000.0)
    run.responses.press("escape", at_s=130.0)
    outcome = run.play()
    assert (outcome.complete, outcome.reason) == (False, "aborted: key 'escape'")
    assert outcome.n_events == 0
    assert not of_kind(run.records, "zero")
    assert run.records[-1]["reason"] == "aborted: key 'escape'"


def test_the_abort_key_while_running(bench: BenchMaker, schedule: Schedule) -> None:
    run = bench()
    run.responses.press("escape", at_s=103.0 + 100.0)
    outcome = run.play()
    assert outcome.reason == "aborted: key 'escape'"
    assert run.clock.now() == pytest.approx(203.0, abs=0.3)
    assert outcome.n_events == sum(event.onset_s < 100.0 for event in schedule.events if event.image_id)
    assert outcome.watch.faults == (), "pulses that were not yet due are not missed"
    table = events_table(run.records, schedule, response_window_s=4.0)
    assert len(table) == sum(event.onset_s < 100.0 for event in schedule.events)


def test_keys_that_come_with_the_abort_key_are_kept(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short)
    for key, at in (("1", 110.01), ("escape", 110.02), ("2", 110.03)):
        run.responses.press(key, at_s=at)
    run.play()
    assert [press["key"] for press in of_kind(run.records, "press")][-3:] == ["1", "escape", "2"]


def test_no_trigger_in_time(bench: BenchMaker, short: Schedule) -> None:
    outcome = bench(schedule=short, delay_s=1000.0, trigger_timeout_s=60.0).play()
    assert outcome.reason == "aborted: no trigger within 60 s"


def _fail_at(run: Any, at_s: float, error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        if run.clock.now() > at_s:
            raise error
    return fail


@pytest.mark.parametrize(("device", "call", "at_s"), [
    ("display", "flip", 115.0), ("trigger", "pulses", 101.0), ("responses", "presses", 101.0)])
def test_a_device_that_fails_ends_the_run_with_its_reason(bench: BenchMaker, short: Schedule, device: str, call: str,
                                                          at_s: float) -> None:
    """The display always; what a run listens to, as long as it waits for the trigger."""
    run = bench(schedule=short)
    error = DeviceError(device, came="nothing", expected="an answer", remedy="Check the cable.")
    setattr(run, device, Wrapped(getattr(run, device), **{call: _fail_at(run, at_s, error)}))
    outcome = run.play()
    assert outcome.reason == f"device failed: {device}: nothing; expected an answer. Check the cable."
    assert run.records[-1]["reason"] == outcome.reason


@pytest.mark.parametrize(("error", "reason"), [
    (KeyboardInterrupt(), "interrupted"), (Terminated(143), "terminated"),
    (ZeroDivisionError("oops"), "failed: ZeroDivisionError('oops')"),
])
def test_other_ends_are_recorded_and_passed_on(bench: BenchMaker, short: Schedule, error: BaseException,
                                               reason: str) -> None:
    run = bench(schedule=short)
    run.display = Wrapped(run.display, draw=_fail_at(run, 112.0, error))
    with pytest.raises(type(error)):
        run.play()
    assert run.records[-1]["kind"] == "end"
    assert (run.records[-1]["complete"], run.records[-1]["reason"]) == (False, reason)


@pytest.mark.parametrize("fails", [False, True])
def test_every_device_is_closed_in_the_end(bench: BenchMaker, short: Schedule, fails: bool) -> None:
    closed = []
    run = bench(schedule=short)
    error = DeviceError("display", came="a", expected="b", remedy="c")
    for name in ("trigger", "responses", "display"):
        hooks = {"close": lambda name=name: closed.append(name)}
        if fails and name == "display":
            hooks["preload"] = _fail_at(run, 0.0, error)
        setattr(run, name, Wrapped(getattr(run, name), **hooks))
    assert run.play().complete is not fails
    assert sorted(closed) == ["display", "responses", "trigger"]


def test_inputs_are_drained_at_the_very_end(bench: BenchMaker, short: Schedule) -> None:
    """A device that hands things over only when asked last loses nothing."""

    class Late:
        def __init__(self, inner: Any, clock: VirtualClock, end_s: float) -> None:
            self.inner, self.clock, self.end_s, self.held = inner, clock, end_s, [Press(105.0, "1", "late")]

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def presses(self) -> list[Press]:
            given = self.held if self.clock.now() >= self.end_s else []
            self.held = [] if given else self.held
            return [*self.inner.presses(), *given]

    run = bench(schedule=short)
    run.responses = Late(run.responses, run.clock, 103.0 + short.duration_s)
    run.play()
    assert (105.0, "1") in {(press["t"], press["key"]) for press in of_kind(run.records, "press")}


def test_pulses_that_came_before_waiting_count(bench: BenchMaker, short: Schedule) -> None:
    """The scanner starts while images are still being loaded: its first pulse is time zero all the same."""

    class Early:
        def __init__(self) -> None:
            self.all = [Pulse(100.0 + 2.0 * k, "test", "5") for k in range(short.n_volumes)]

        def open(self) -> None: ...
        def close(self) -> None: ...

        def pulses(self) -> list[Pulse]:
            due = [pulse for pulse in self.all if pulse.stamp_s <= run.clock.now()]
            self.all = self.all[len(due):]
            return due

    run = bench(schedule=short)
    run.trigger = Early()
    run.display = Wrapped(run.display, preload=lambda: run.clock.wait_until(101.5))
    outcome = run.play()
    assert of_kind(run.records, "zero")[0]["t"] == 100.0
    assert outcome.complete
    assert outcome.watch.faults == ()


# ---------------------------------------------------------------- the list of changes

def test_an_image_that_follows_at_once_needs_no_blank(schedule: Schedule, settings: Settings) -> None:
    shown = [event for event in schedule.events if event.image_id][:2]
    first, second = (dataclasses.replace(event, index=k, onset_s=2.0 * k) for k, event in enumerate(shown))
    touching = dataclasses.replace(schedule, events=(first, second))
    found = [(change.at_s, change.what) for change in program(touching, settings).changes()]
    assert found == [(0.0, "on"), (2.0, "on"), (4.0, "off")]


def test_nothing_but_fixation_between_images(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short)
    run.play()
    frames: list[Frame] = [one.frame for one in run.display.shown]
    assert frames[0].image_id is None
    assert all(frame.text is None and frame.background == 127 for frame in frames)
    assert len({(frame.image_px, frame.fixation_px) for frame in frames}) == 1


# ------------------------------------------------------------- tasks that move: steps

def moving(schedule: Schedule, settings: Settings, *, hz: float = 15.0, seconds: float = 4.0) -> Program:
    """Make a program of steps, with one event that begins in the middle of them."""
    blank = program(schedule, settings).blank
    steps = [Change(k / hz, STEP, blank, step=k, until_s=(k + 1) / hz) for k in range(round(seconds * hz))]
    changes = sorted([*steps, Change(2.01, ON, blank, event=0)], key=lambda change: change.at_s)
    return Program(blank=blank, changes=lambda: changes, keys=("1",), image_px=10.0)


def test_every_step_is_shown_at_its_time(bench: BenchMaker, short: Schedule, settings: Settings) -> None:
    run = bench(schedule=short, program=moving(short, settings))
    assert run.play().complete
    flips = [flip for flip in of_kind(run.records, "flip") if flip["what"] == "step"]
    assert [flip["step"] for flip in flips] == list(range(60))
    zero = of_kind(run.records, "zero")[0]["t"]
    assert max(abs(flip["t"] - zero - flip["step"] / 15.0) for flip in flips) < 1 / 120


def test_a_step_that_is_too_late_is_left_out_and_an_event_never(bench: BenchMaker, short: Schedule,
                                                                settings: Settings) -> None:
    run = bench(schedule=short, program=moving(short, settings))
    flips = iter(range(1000))
    inner = run.display

    def stall() -> None:
        if next(flips) == 20:  # a hiccup of half a second, over the event's own time
            run.clock.wait_until(run.clock.now() + 0.8)

    run.display = Wrapped(inner, flip=stall)
    outcome = run.play()
    assert outcome.complete
    assert (outcome.changes.n_steps, outcome.changes.n_skipped) == (60, len(of_kind(run.records, "skip")))
    assert outcome.changes.longest_gap_s == pytest.approx(0.8, abs=2 / 15)
    assert any(fault.startswith(f"{outcome.changes.n_skipped} of 60 movie steps skipped (")
               for fault in outcome.watch.faults)
    assert of_kind(run.records, "end")[0]["changes"] == outcome.changes.to_json()
    rows = {name: (found, good) for name, _, found, good in verdict_rows(fold_all(short, run.records))}
    n, gap_s = outcome.changes.n_skipped, outcome.changes.longest_gap_s
    assert rows["movie steps shown"] == (f"{100 - n / 0.6:.1f} % ({n} of 60 skipped, gap {gap_s:.2f} s)", False)
    shown = [flip["step"] for flip in of_kind(run.records, "flip") if flip["what"] == "step"]
    skipped = [one["step"] for one in of_kind(run.records, "skip")]
    assert sorted(shown + skipped) == list(range(60))
    assert skipped == list(range(20, 20 + len(skipped)))
    assert 9 <= len(skipped) <= 13
    assert len([flip for flip in of_kind(run.records, "flip") if flip["what"] == "on"]) == 1
    zero = of_kind(run.records, "zero")[0]["t"]
    late = [flip["t"] - zero - flip["step"] / 15.0 for flip in of_kind(run.records, "flip") if flip["what"] == "step"]
    assert abs(late[-1]) < 1 / 120, "what comes after the hiccup is on time"


def test_changes_out_of_order_are_a_fault_of_the_program(bench: BenchMaker, short: Schedule,
                                                         settings: Settings) -> None:
    good = moving(short, settings)
    wrong = dataclasses.replace(good, changes=lambda: reversed(list(good.changes())))
    run = bench(schedule=short, program=wrong)
    with pytest.raises(ScheduleError, match="expected changes in order"):
        run.play()
    assert of_kind(run.records, "end")[0]["reason"].startswith("failed: ")


def test_only_the_programs_keys_are_answers(bench: BenchMaker, short: Schedule, settings: Settings) -> None:
    run = bench(schedule=short, program=dataclasses.replace(program(short, settings), keys=("7",)))
    outcome = run.play()
    assert of_kind(run.records, "press")
    assert outcome.n_presses == 0
    assert not any(press["task"] for press in of_kind(run.records, "press"))
