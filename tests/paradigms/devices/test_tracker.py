"""The tracker hook: loaded by its name, told of a run, and never the end of one."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from paradigms.devices.tracker import NullTracker, RecordingTracker, Tracker, load_tracker
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
    assert outcome.complete
    assert outcome.n_events == sum(event.image_id is not None for event in short.events)
    assert [(fault["device"], fault["said"]) for fault in of_kind(run.records, "fault")] == [("tracker", said)]
    assert outcome.watch.faults == (f"tracker failed: {said}",)
