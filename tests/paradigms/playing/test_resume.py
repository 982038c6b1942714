"""A run that was cut short goes on at a trial with the same plan, and both parts are kept and linked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from paradigms.playing import assembly
from paradigms.playing import play_run as play_run_module
from paradigms.playing.play_run import play_run, prepare
from paradigms.playing.run_devices import Devices
from paradigms.record.parts import count_shown, open_trial, read_part
from paradigms.record.plans import read_schedule
from paradigms.record.recovery import recover
from paradigms.runlog import read_events, read_journal
from paradigms.schedule import BLANK, rest_of
from paradigms.tasks.catalogue import task_of
from run_session import cli
from subjects.errors import RunLogError, ScheduleError
from subjects.layout import Layout
from subjects.plan.run_sheet import run_sheet
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.store import read_json
from tests.bids import bids_errors

RUN = RunKey("01", "01", "main", 1)
VIRTUAL = {"scanner": "emulated", "display": "virtual"}


def _play(layout: Layout, **changes: Any) -> Any:
    return play_run(layout, load_settings(layout.root), **{"key": RUN, **VIRTUAL, **changes})


def _abort_at(monkeypatch: pytest.MonkeyPatch, at_s: float) -> None:
    real = assembly.virtual_devices

    def with_key(settings: Settings, **given: Any) -> Devices:
        devices = real(settings, **given)
        devices.responses.press("escape", at_s=at_s)  # type: ignore[attr-defined]
        return devices

    monkeypatch.setattr(assembly, "virtual_devices", with_key)


def _cut(layout: Layout, monkeypatch: pytest.MonkeyPatch, at_s: float = 150.0) -> int:
    """Abort the run; give how many of its trials had ended."""
    with monkeypatch.context() as patch:
        _abort_at(patch, at_s)
        assert not _play(layout).complete
    table = read_events(layout.events(RUN))
    plan = read_schedule(layout.schedule(RUN, attempt=1))
    last = (table["onset"] + table["duration"]).max()
    return sum(bool(event.end_s <= last + 0.01) for event in plan.events)


def test_the_rest_is_the_same_trials_in_the_same_order(small_console: Layout,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    n_shown = _cut(small_console, monkeypatch)
    assert 0 < n_shown < 39
    assert _play(small_console, resume=True).complete
    whole, rest = (read_schedule(small_console.schedule(RUN, attempt=k)) for k in (1, 2))
    assert rest.first_trial == n_shown + 1
    assert [event.image_id for event in rest.events] == [event.image_id for event in whole.events[n_shown:]]
    shifts = {round(a.onset_s - b.onset_s, 6) for a, b in zip(whole.events[n_shown:], rest.events, strict=True)}
    assert len(shifts) == 1
    first = rest.events[0]
    assert first.onset_s == pytest.approx(6.0 + (0.0 if first.trial_type == BLANK else 2.0))
    assert rest.duration_s == pytest.approx(whole.duration_s - shifts.pop(), abs=2.0)


def _tables(layout: Layout) -> list[tuple[int, int, bool]]:
    """Give part, attempt and whether the run is whole, of every table that the analysis would find."""
    said = [read_events(layout.events(part)).attrs["sidecar"] for part in layout.find_parts(RUN)]
    return [(one.get("Part", 1), one["Attempt"], one["RunComplete"]) for one in said]


def _done(layout: Layout) -> bool:
    return run_sheet(layout, load_settings(layout.root), sub="01").runs[0].done


def test_two_parts_that_show_every_trial_are_a_whole_run(small_console: Layout,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    n_shown = _cut(small_console, monkeypatch)
    assert (_tables(small_console), _done(small_console)) == ([(1, 1, False)], False)
    _play(small_console, resume=True)
    assert _tables(small_console) == [(1, 1, False), (2, 2, True)]
    first, rest = (read_events(small_console.events(part)) for part in small_console.find_parts(RUN))
    said = rest.attrs["sidecar"]
    assert (said["FirstTrial"], said["RunAttempts"], len(said["EarlierAttempts"])) == (n_shown + 1, [1, 2], 1)
    whole = read_schedule(small_console.schedule(RUN, attempt=1))
    assert list(rest["image_id"].dropna()) == [event.image_id for event in whole.events[n_shown:] if event.image_id]
    assert [*first["image_id"][:n_shown].dropna(), *rest["image_id"].dropna()] == \
        [event.image_id for event in whole.events if event.image_id]
    assert recover(small_console) == []
    assert _done(small_console)
    assert bids_errors(small_console.root) == []
    with pytest.raises(RunLogError, match="a run that was played before"):
        _play(small_console)
    assert _play(small_console, repeat=True).complete
    assert _tables(small_console) == [(1, 3, True)]
    for attempt in (1, 2):
        assert small_console.attempt_file("events.tsv", RUN, attempt=attempt).is_file()
        read_events(small_console.attempt_file("events.tsv", RUN, attempt=attempt))
    assert bids_errors(small_console.root) == []


def test_a_rest_goes_on_from_the_last_attempt_that_was_scanned(small_console: Layout,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    _cut(small_console, monkeypatch, 140.0)
    _cut_again(small_console, monkeypatch, 170.0)
    with monkeypatch.context() as patch:
        _abort_at(patch, 100.5)  # before the first pulse
        _play(small_console)
    assert open_trial(small_console, RUN) == (read_part(small_console, RUN, attempt=2).open_trial, 39)
    _play(small_console, resume=True)
    assert _tables(small_console) == [(1, 2, False), (2, 4, True)]
    assert small_console.attempt_file("events.tsv", RUN, attempt=1).is_file()
    assert recover(small_console) == []
    assert open_trial(small_console, RUN) is None


def _cut_again(layout: Layout, monkeypatch: pytest.MonkeyPatch, at_s: float, **changes: Any) -> None:
    with monkeypatch.context() as patch:
        _abort_at(patch, at_s)
        assert not _play(layout, **changes).complete


def test_three_parts_and_a_crash_before_the_last_table(small_console: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    _cut(small_console, monkeypatch, 140.0)
    _cut_again(small_console, monkeypatch, 150.0, resume=True)
    with monkeypatch.context() as patch:
        patch.setattr(play_run_module, "write_events", lambda *_, **__: None)
        assert _play(small_console, resume=True).complete
    assert _tables(small_console) == [(1, 1, False)]
    assert [one.complete for one in recover(small_console)] == [True]
    assert _tables(small_console) == [(1, 1, False), (2, 2, False), (3, 3, True)]
    assert _done(small_console)
    assert recover(small_console) == []


def test_parts_with_a_gap_between_them_are_no_whole_run(small_console: Layout,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    n_shown = _cut(small_console, monkeypatch)
    assert _play(small_console, resume=True, from_trial=n_shown + 2).complete
    assert _tables(small_console) == [(1, 1, False), (2, 2, False)]
    assert not _done(small_console)
    assert _play(small_console, repeat=True).complete
    assert _tables(small_console) == [(1, 3, True)]


@pytest.mark.parametrize(("fault", "said"), [({"tr_factor": 1.5}, "TR is 3.0000 s"),
                                             ({"stop_after": 40}, "the scanner stopped early")])
def test_the_table_of_a_run_says_what_was_amiss_with_its_pulses(small_console: Layout, fault: dict[str, float],
                                                                said: str) -> None:
    settings = load_settings(small_console.root, overrides={f"emulated_scanner.{k}": v for k, v in fault.items()})
    play_run(small_console, settings, key=RUN, **VIRTUAL)
    told = read_json(small_console.events(RUN).with_suffix(".json"))["PulseWatch"]
    assert any(said in text for text in told["faults"])
    assert told["n_pulses"] < told["n_expected"] or told["tr_fitted_s"] == pytest.approx(3.0)


def test_trials_shown_after_the_scanner_stopped_were_not_measured(small_console: Layout) -> None:
    halted = load_settings(small_console.root, overrides={"emulated_scanner.stop_after": 40})
    assert play_run(small_console, halted, key=RUN, **VIRTUAL).complete
    records = read_journal(small_console.journal(RUN))
    plan = read_schedule(small_console.schedule(RUN))
    assert count_shown(plan, records) == sum(event.end_s <= 80.0 for event in plan.events) < len(plan.events)


def test_a_rest_that_was_cut_short_is_resumed_where_it_ended(small_console: Layout,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    n_shown = _cut(small_console, monkeypatch)
    with monkeypatch.context() as patch:
        _abort_at(patch, 140.0)
        _play(small_console, resume=True)
    _play(small_console, resume=True)
    second, third = (read_schedule(small_console.schedule(RUN, attempt=k)) for k in (2, 3))
    assert second.first_trial == n_shown + 1 < (third.first_trial or 0)
    assert third.events[-1].image_id == second.events[-1].image_id


def test_a_trial_can_be_named(small_console: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    _cut(small_console, monkeypatch)
    done = CliRunner().invoke(cli, ["run", "--study", str(small_console.root), "--sub", "01", "--ses", "01", "--run",
                                    "1", "--scanner", "emulated", "--display", "virtual", "--from-trial", "3"])
    assert done.exit_code == 0, done.output
    assert read_schedule(small_console.schedule(RUN, attempt=2)).first_trial == 3


def test_what_cannot_be_resumed_is_refused(small_console: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunLogError, match="no earlier attempt; expected one that was cut short"):
        _play(small_console, resume=True)
    _cut(small_console, monkeypatch)
    with pytest.raises(ScheduleError, match="trial 99; expected 1 to 39"):
        _play(small_console, resume=True, from_trial=99)
    changed = load_settings(small_console.root, overrides={"main.image_s": 1.0})
    with pytest.raises(RunLogError, match="an attempt of another plan; expected the plan of the settings now"):
        play_run(small_console, changed, key=RUN, **VIRTUAL, resume=True)
    assert _play(small_console).complete
    with pytest.raises(RunLogError, match="a run that was played before"):
        _play(small_console, resume=True)
    with pytest.raises(RunLogError, match="an attempt that showed every trial"):
        _play(small_console, resume=True, repeat=True)
    assert len(list(small_console.source_dir("01", "01").glob("*_journal.jsonl"))) == 2


def test_a_movie_cannot_be_cut(tmp_path: Path, small_console: Layout) -> None:
    whole, _ = prepare(small_console, task_of("main", load_settings(small_console.root)),
                       key=RunKey("01", "01", "main", 1))
    assert rest_of(whole, first_trial=1, lead_s=6.0).events == whole.events
    from tests.paradigms.conftest import make_console_study

    layout = make_console_study(tmp_path / "other")
    motion, _ = prepare(layout, task_of("motion", load_settings(layout.root)), key=RunKey("01", "01", "motion", 1))
    with pytest.raises(ScheduleError, match="a trial of a motion run; expected a task of trials only"):
        rest_of(motion, first_trial=2, lead_s=6.0)
