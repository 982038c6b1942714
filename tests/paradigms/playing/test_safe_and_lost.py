"""Nothing starts before the operator arms a run; what is lost while it is on is named, and the run goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from paradigms.console.run_state import RunView, fold, fold_all
from paradigms.devices.protocols import Pulse
from paradigms.playing.intake import WARNED
from paradigms.runlog import of_kind
from paradigms.schedule import Schedule, excerpt
from subjects.errors import DeviceError
from subjects.settings.devices import ScannerFaults
from subjects.settings.study import ScannerSettings, Settings

BenchMaker = Callable[..., Any]
LOST = DeviceError("serial port COM3", came="a line that broke", expected="an open line", remedy="Check the cable.")


@pytest.fixture
def short(schedule: Schedule) -> Schedule:
    return excerpt(schedule, n_trials=6)


# ------------------------------------------------------------------------- safe, armed

def test_pulses_before_the_arm_key_start_nothing(bench: BenchMaker, short: Schedule,
                                                 caplog: pytest.LogCaptureFixture) -> None:
    """The scanner sends from 103 s on; the operator presses the key at 106.2 s: time zero is the pulse at 107 s."""
    run = bench(schedule=short, arm_key="space")
    run.responses.press("space", at_s=106.2)
    with caplog.at_level(logging.WARNING, logger="paradigms.playing.engine"):
        outcome = run.play()
    assert [stray["t"] for stray in of_kind(run.records, "stray")] == [103.0, 105.0]
    assert of_kind(run.records, "armed")[0]["t"] == pytest.approx(106.2)
    assert of_kind(run.records, "zero")[0]["t"] == 107.0
    assert of_kind(run.records, "pulse")[0]["t"] == 107.0
    assert "2 pulses before the run was armed" in outcome.watch.faults
    assert "a pulse at 103.000 s, before the run was armed, starts nothing" in caplog.text


def test_a_pulse_counts_by_its_stamp_and_not_by_the_poll(bench: BenchMaker, short: Schedule) -> None:
    """Key and pulses are read in one poll: 103.9 s is before the key at 104.0 s, 104.1 s is after it."""

    class Stamps:
        def __init__(self) -> None:
            after = (Pulse(104.1 + 2.0 * k, "test", "5") for k in range(short.n_volumes))
            self.all = [Pulse(103.9, "test", "5"), *after]

        def open(self) -> None: ...
        def close(self) -> None: ...

        def pulses(self) -> list[Pulse]:
            if run.clock.now() < 104.25:
                return []
            due = [pulse for pulse in self.all if pulse.stamp_s <= run.clock.now()]
            self.all = self.all[len(due):]
            return due

    run = bench(schedule=short, arm_key="space")
    run.trigger = Stamps()
    run.responses.press("space", at_s=104.0)
    assert run.play().complete
    assert [stray["t"] for stray in of_kind(run.records, "stray")] == [103.9]
    assert of_kind(run.records, "zero")[0]["t"] == 104.1


def test_other_keys_do_not_arm_and_the_abort_key_ends(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short, arm_key="space")
    for key, at in (("1", 101.0), ("5", 102.0), ("escape", 120.0)):
        run.responses.press(key, at_s=at)
    outcome = run.play()
    assert outcome.reason == "aborted: key 'escape'"
    assert not of_kind(run.records, "armed")
    assert len(of_kind(run.records, "stray")) == 9
    assert not of_kind(run.records, "pulse")


def test_a_key_from_before_it_was_asked_for_does_not_arm(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short, arm_key="space")
    run.responses.press("space", at_s=99.0)
    run.responses.press("escape", at_s=110.0)
    assert not run.play().complete
    assert not of_kind(run.records, "armed")


def test_simulated_fingers_arm_by_the_path_of_the_presses(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short, arm_key="space")
    run.prompt = run.responses.press_each
    outcome = run.play()
    assert outcome.watch.faults == ()
    assert of_kind(run.records, "press")[0]["key"] == "space"
    assert of_kind(run.records, "zero")[0]["t"] == 103.0


def test_a_run_that_nobody_arms_ends_where_a_limit_is_set(bench: BenchMaker, short: Schedule) -> None:
    outcome = bench(schedule=short, arm_key="space", trigger_timeout_s=30.0).play()
    assert outcome.reason == "aborted: not armed within 30 s"


def test_without_an_arm_key_a_run_is_armed_at_once(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short)
    assert run.play().complete
    assert not of_kind(run.records, "safe")


def test_the_operator_sees_that_a_run_is_safe(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short, arm_key="space")
    run.responses.press("space", at_s=106.2)
    run.play()
    view, states = RunView(short), []
    for record in run.records:
        view = fold(view, record)
        states.append(view.state)
    assert list(dict.fromkeys(states)) == [
        "waiting for the trigger", "safe: press space to arm", "safe: press space to arm (1 stray)",
        "safe: press space to arm (2 stray)", "running", "complete"]
    assert (view.n_stray, view.n_pulses) == (2, short.n_volumes - 2)


# ----------------------------------------------------------------------------- dummies

@pytest.mark.parametrize(("send", "zero", "n_dummies"), [(True, 107.0, 2), (False, 103.0, 0)])
def test_dummies_with_and_without_pulses(bench: BenchMaker, short: Schedule, send: bool, zero: float,
                                         n_dummies: int) -> None:
    """Where dummy volumes send no pulses the first pulse is the first counted one."""
    run = bench(schedule=short, settings=Settings(scanner=ScannerSettings(n_dummies=2, dummies_send_pulses=send)))
    outcome = run.play()
    found = of_kind(run.records, "zero")[0]
    assert (found["t"], found["dummies"]) == (zero, n_dummies)
    assert outcome.watch.faults == ()
    assert outcome.n_pulses == short.n_volumes


# -------------------------------------------------------------------------------- lost

class Fragile:
    """A device whose line breaks at a time; once, as a serial line does, or for ever."""

    def __init__(self, device: Any, call: str, *, clock: Any, at_s: float, once: bool) -> None:
        self._device, self._call, self._clock, self._at_s, self._once = device, call, clock, at_s, once
        self._told = False

    def __getattr__(self, name: str) -> Any:
        return self._answer if name == self._call else getattr(self._device, name)

    def _answer(self) -> Any:
        if self._clock.now() < self._at_s:
            return getattr(self._device, self._call)()
        if self._once and self._told:
            return []
        self._told = True
        raise LOST


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize(("device", "call", "said"), [("trigger", "pulses", "trigger"),
                                                      ("responses", "presses", "buttons")])
def test_a_device_lost_while_running_is_named_once_and_the_run_goes_on(
        bench: BenchMaker, short: Schedule, device: str, call: str, said: str, once: bool) -> None:
    run = bench(schedule=short)
    setattr(run, device, Fragile(getattr(run, device), call, clock=run.clock, at_s=115.0, once=once))
    outcome = run.play()
    fault = f"{said} failed: {LOST}"
    assert outcome.complete
    assert outcome.n_events == sum(event.image_id is not None for event in short.events)
    assert [(one["device"], one["said"]) for one in of_kind(run.records, "fault")] == [(said, str(LOST))]
    assert fault in outcome.watch.faults
    assert fault in run.records[-1]["watch"]["faults"]
    assert fold_all(short, run.records).n_lost == 1
    if device == "trigger":
        assert any(text.startswith("pulses for 6 of") for text in outcome.watch.faults)


@pytest.mark.parametrize("arm_key", [None, "space"])
def test_a_trigger_lost_before_the_start_ends_the_run(bench: BenchMaker, short: Schedule, arm_key: str | None) -> None:
    run = bench(schedule=short, arm_key=arm_key)
    run.trigger = Fragile(run.trigger, "pulses", clock=run.clock, at_s=101.0, once=True)
    outcome = run.play()
    assert (outcome.complete, outcome.reason) == (False, f"device failed: {LOST}")


# ----------------------------------------------------------------- faults of the scanner

@pytest.mark.parametrize(("faults", "text"), [
    (ScannerFaults(missed=(5,)), "1 pulse missed (volumes 5)"),
    (ScannerFaults(doubled=(4, 9000)), "1 double pulse"),
    (ScannerFaults(extra_s=(9.0,)), "1 pulse off the TR grid"),
    (ScannerFaults(tr_factor=1.01), "TR is 2.0200 s +- 0.0"),
    (ScannerFaults(stop_after=7), "pulses for 7 of"),
])
def test_each_fault_of_an_emulated_scanner_is_found(bench: BenchMaker, short: Schedule, faults: ScannerFaults,
                                                    text: str) -> None:
    outcome = bench(schedule=short, faults=faults).play()
    assert outcome.complete
    assert len(outcome.watch.faults) == 1
    assert outcome.watch.faults[0].startswith(text)


def test_a_scanner_with_another_tr_is_warned_of_a_few_times(bench: BenchMaker, short: Schedule,
                                                            caplog: pytest.LogCaptureFixture) -> None:
    run = bench(schedule=short, faults=ScannerFaults(tr_factor=1.5))
    outcome = run.play()
    amiss = [line["amiss"] for line in of_kind(run.records, "pulse") if line["amiss"]]
    said = [record.message for record in caplog.records if record.name == "paradigms.playing.intake"]
    assert (amiss.count("off the grid"), amiss.count("2 missed")) == (5, 5)  # each pulse, in the journal
    assert len(said) == 2 * (WARNED + 1)
    assert said[-2:] == ["5 pulses in all: off the grid", "5 pulses in all: after missed ones"]
    assert outcome.watch.faults[0].startswith("TR is 3.0000 s")


def test_a_late_scanner_is_waited_for(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short, faults=ScannerFaults(late_s=40.0))
    assert run.play().watch.faults == ()
    assert of_kind(run.records, "zero")[0]["t"] == 143.0


def test_jitter_moves_no_onset_but_the_first(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short, faults=ScannerFaults(jitter_s=0.02))
    assert run.play().watch.faults == ()
    flips = of_kind(run.records, "flip")
    zero = of_kind(run.records, "zero")[0]["t"]
    assert zero == of_kind(run.records, "pulse")[0]["t"] != 103.0
    onsets = [event.onset_s for event in short.events if event.image_id]
    assert [flip["planned"] - zero for flip in flips if flip["what"] == "on"] == pytest.approx(onsets, abs=1e-5)


# ------------------------------------------------------------------------- stuck

def test_a_key_that_repeats_itself_is_named_once_and_every_press_kept(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short)
    for k in range(50):
        run.responses.press("2", at_s=112.0 + 0.033 * k)
    outcome = run.play()
    assert outcome.complete
    assert outcome.watch.faults == ("buttons failed: key '2' comes again and again: it is stuck",)
    assert [fault["said"] for fault in of_kind(run.records, "fault")] == [
        "key '2' comes again and again: it is stuck"]
    assert len([press for press in of_kind(run.records, "press") if 112.0 <= press["t"] < 113.7]) >= 50


def test_a_key_that_is_never_let_go_is_named(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short)

    class Held:
        """The participant, with a key held down from 110 s on."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def keys_down(self) -> dict[str, float]:
            return {"1": 110.0} if run.clock.now() >= 110.0 else {}

    run.responses = Held(run.responses)
    assert run.play().watch.faults == ("buttons failed: key '1' has been down for 5 s: it is stuck",)
    assert of_kind(run.records, "fault")[0]["t"] == pytest.approx(115.0, abs=0.5)


def test_quick_fingers_are_not_stuck(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short)
    for k in range(40):
        run.responses.press("12"[k % 2], at_s=112.0 + 0.1 * k)
    assert run.play().watch.faults == ()


def test_silence_is_named_when_a_run_waited_for_its_trigger(bench: BenchMaker, short: Schedule) -> None:
    run = bench(schedule=short, faults=ScannerFaults(missed=tuple(range(100))), trigger_timeout_s=20.0)
    outcome = run.play()
    assert not outcome.complete
    assert outcome.watch.faults == ("no pulse came",)


class AnotherSpeed:
    """A trigger whose line sends bytes that are no pulse."""

    checks = "serial_trigger.baud"

    def __init__(self, device: Any) -> None:
        self._device = device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def came_instead(self) -> str:
        return "bytes that are no pulse came (byte 128 9 times)"


@pytest.mark.parametrize("pulses_come", [False, True])
def test_bytes_of_another_kind_are_told_while_a_run_waits(bench: BenchMaker, short: Schedule,
                                                          pulses_come: bool) -> None:
    faults = ScannerFaults() if pulses_come else ScannerFaults(missed=tuple(range(100)))
    run = bench(schedule=short, faults=faults, trigger_timeout_s=20.0)
    run.trigger = AnotherSpeed(run.trigger)
    outcome = run.play()
    said, = of_kind(run.records, "fault")
    assert said["said"] == "bytes that are no pulse came (byte 128 9 times); check serial_trigger.baud"
    assert outcome.watch.faults == (() if pulses_come else ("no pulse came",))
    if not pulses_come:
        assert outcome.reason.endswith(f"no trigger ({said['said']}) within 20 s")
