"""The tracker hook: loaded by its name, told of a run, and never the end of one."""

from __future__ import annotations

import re
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

import pytest

from paradigms.console.run_state import fold_all
from paradigms.devices.tracker import NullTracker, RecordingTracker, Tracker, load_tracker
from paradigms.playing import engine
from paradigms.playing.tracker_queue import TrackerQueue
from paradigms.record.outcome import tally_of
from paradigms.runlog import of_kind
from paradigms.schedule import Schedule, excerpt
from subjects.errors import DeviceError

BenchMaker = Callable[..., Any]


@pytest.fixture
def short(schedule: Schedule) -> Schedule:
    return excerpt(schedule, n_trials=4)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Give an importable module of a lab's own."""
    module = types.ModuleType("lab_tracker")
    module.make = RecordingTracker  # type: ignore[attr-defined]
    module.fail = lambda: 1 / 0  # type: ignore[attr-defined]
    module.wrong = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lab_tracker", module)
    return module


@pytest.mark.parametrize("tracker", [NullTracker(), RecordingTracker()])
def test_trackers_are_trackers(tracker: Tracker) -> None:
    assert isinstance(tracker, Tracker)
    for words in (("open",), ("start_run", "run"), ("message", "zero"), ("stop_run",), ("close",)):
        assert getattr(tracker, words[0])(*words[1:]) is None


@pytest.mark.usefixtures("lab")
def test_the_labs_own_is_loaded_by_its_name() -> None:
    assert isinstance(load_tracker("lab_tracker:make"), RecordingTracker)
    assert isinstance(load_tracker(""), NullTracker)


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(("named", "text"), [
    ("lab_tracker", "no module and function"), ("lab_trackr:make", "cannot be imported .*No module named 'lab_trackr'"),
    ("lab_tracker:mke", "no function 'mke'.*Did you mean 'make'"), ("lab_tracker:fail", "failed .*ZeroDivisionError"),
    ("lab_tracker:wrong", "a dict; expected"),
])
def test_what_gives_no_tracker_is_refused(named: str, text: str) -> None:
    with pytest.raises(DeviceError, match=text):
        load_tracker(named)


def test_a_run_tells_its_edges_and_every_event(bench: BenchMaker, short: Schedule) -> None:
    tracker = RecordingTracker()
    assert bench(schedule=short, tracker=tracker).play().complete
    shown = [("message", f"event {event.index} {event.trial_type} {event.image_id}")
             for event in short.events if event.image_id]
    assert tracker.told == [("open",), ("start_run", "sub-01_ses-01_task-main_run-01"), ("message", "zero"), *shown,
                            ("stop_run",), ("close",)]


def test_a_run_that_is_aborted_stops_its_tracker(bench: BenchMaker, short: Schedule) -> None:
    tracker = RecordingTracker()
    run = bench(schedule=short, tracker=tracker)
    run.responses.press("escape", at_s=101.0)
    assert not run.play().complete
    assert [words[0] for words in tracker.told] == ["open", "start_run", "stop_run", "close"]


@pytest.mark.parametrize("call", ["open", "start_run", "message", "stop_run", "close"])
def test_a_tracker_that_raises_is_recorded_and_the_run_goes_on(bench: BenchMaker, short: Schedule, call: str) -> None:
    run = bench(schedule=short, tracker=RecordingTracker(failing=(call,)))
    outcome = run.play()
    said = f"{call}: RuntimeError('{call} failed')"
    shown = sum(event.image_id is not None for event in short.events)
    n = 1 + shown if call == "message" else 1
    assert outcome.complete
    assert outcome.n_events == shown
    counted = f"tracker failed: {said}" + (f" ({n} times)" if n > 1 else "")
    assert outcome.watch.faults == (counted,)
    faults = of_kind(run.records, "fault")
    assert {(fault["device"], fault["said"]) for fault in faults} == {("tracker", said)}
    assert [fault.get("n") for fault in faults] == ([None, n] if n > 1 else [None])
    assert tally_of(run.records, frame_s=1 / 60).faults == [counted]
    assert fold_all(short, run.records).faults == (counted,)


class Wild(RecordingTracker):
    """A tracker whose calls end the process, sleep, raise another text each time or never return."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.let_go = way, threading.Event()

    def message(self, text: str) -> None:
        super().message(text)
        if self.way == "exits":
            sys.exit()
        if self.way == "changes":
            raise ValueError(text)
        if self.way == "sleeps":
            time.sleep(0.15)
        if self.way == "hangs":
            self.let_go.wait()


@pytest.mark.parametrize(("way", "text"), [
    ("exits", r"tracker failed: message: SystemExit\(\) \(5 times\)"),
    ("changes", r"tracker failed: message: ValueError\('zero'\) \(5 times\)"),
    ("sleeps", r"tracker failed: message: took 0\.[1-9] s, so that later calls come late \(5 times\)"),
    ("hangs", r"tracker failed: a call that did not return within 0\.3 s of the end of the run; 6 calls behind it")])
def test_nothing_a_tracker_does_ends_or_delays_a_run(bench: BenchMaker, short: Schedule, way: str, text: str,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "hangs":
        monkeypatch.setattr(engine, "TrackerQueue", lambda tracker: TrackerQueue(tracker, patience_s=0.3))
    tracker = Wild(way)
    run = bench(schedule=excerpt_of_images(short), tracker=tracker)
    outcome = run.play()
    tracker.let_go.set()
    assert outcome.complete
    assert max(abs(error) for error in outcome.onset_errors_s) < 0.01
    assert len(outcome.watch.faults) == 1
    assert re.match(text, outcome.watch.faults[0])


def excerpt_of_images(plan: Schedule) -> Schedule:
    """Say that the plan has four images, so that a run sends five messages."""
    assert sum(event.image_id is not None for event in plan.events) == 4
    return plan


@pytest.mark.usefixtures("lab")
def test_a_factory_that_ends_the_process_is_refused_before_anything_is_shown(lab: types.ModuleType) -> None:
    lab.leave = sys.exit  # type: ignore[attr-defined]
    with pytest.raises(DeviceError, match=r"a function that failed \(SystemExit"):
        load_tracker("lab_tracker:leave")
