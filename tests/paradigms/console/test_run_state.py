"""The operator's view: folded from journals, equal to what the events table says, never in the way of the record."""

from __future__ import annotations

import io
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from paradigms.console.panels import live_panel, verdict_panel, verdict_rows
from paradigms.console.run_state import RunView, fold, fold_all, follow
from paradigms.emulation.scanner_and_display import VirtualClock
from paradigms.record.journal import Journal
from paradigms.runlog import Record
from paradigms.schedule import Event, Schedule

PLAN = Schedule(
    study="s", task="main", sub="01", ses="02", run=3, seed=1, tr_s=2.0, n_volumes=10, duration_s=20.0,
    events=(Event(0, 4.0, 2.0, "RE", "px-a", "a.png", "dogs-01", "dachshund", "dogs", 1, "1"),
            Event(1, 8.0, 4.0, "blank"),
            Event(2, 14.0, 2.0, "AI", "px-b", "b.png", "cars-01", "taxi", "cars", 1, "2")),
    manifest_digest="m", settings_digest="s")


def line(kind: str, t: float, **fields: object) -> Record:
    return {"kind": kind, "t": t, "wall": t, **fields}


def pulses(n: int, *, start: float = 100.0) -> list[Record]:
    return [line("pulse", start + 2.0 * k, n=k + 1, amiss="") for k in range(n)]


RECORDS: list[Record] = [
    line("devices", 90.0), line("start", 91.0), *pulses(1), line("zero", 100.0), *pulses(2, start=102.0),
    line("flip", 104.001, event=0, what="on", planned=104.0), line("press", 104.9, key="1", task=True),
    line("press", 105.0, key="2", task=True), line("flip", 106.0, event=0, what="off", planned=106.0),
    line("pulse", 106.0, n=4, amiss=""), line("pulse", 106.05, n=5, amiss="double"),
    line("pulse", 112.0, n=6, amiss="2 missed"), line("flip", 114.02, event=2, what="on", planned=114.0),
    line("press", 115.0, key="1", task=True)]


def test_before_the_trigger_it_says_what_it_waits_for() -> None:
    assert fold_all(PLAN, RECORDS[:1]).state == "starting"
    view = fold_all(PLAN, RECORDS[:2])
    assert (view.state, view.volume, view.left_s(), view.hit_rate) == ("waiting for the trigger", 0, 20.0, None)
    first = view.next_event()
    assert first is not None
    assert first.index == 0


def test_the_numbers_are_those_of_a_plain_count() -> None:
    view = fold_all(PLAN, RECORDS)
    assert view.state == "running"
    assert (view.volume, view.n_pulses, view.n_missed, view.n_amiss) == (7, 6, 2, 1)
    assert (view.n_shown, view.n_late) == (2, 1)
    assert view.worst_s == pytest.approx(0.02)
    assert (view.n_asked, view.n_answered, view.n_right) == (2, 2, 1)
    assert (view.last_key, view.last_key_s) == ("1", 115.0)
    assert view.elapsed_s() == pytest.approx(15.0)
    assert view.left_s(now_s=117.0) == pytest.approx(3.0)
    assert view.next_event() is None


def test_time_never_runs_past_the_run() -> None:
    view = fold_all(PLAN, RECORDS)
    assert view.left_s(now_s=500.0) == 0.0
    over = fold(view, line("end", 121.0, complete=True, reason="complete", watch={"faults": []}))
    assert over.ended
    assert over.left_s(now_s=500.0) == 0.0


def test_a_second_press_and_a_press_of_the_abort_key_answer_nothing() -> None:
    view = fold_all(PLAN, RECORDS[:9])
    assert (view.n_answered, view.n_right) == (1, 1)
    after = fold(view, line("press", 105.2, key="escape", task=False))
    assert (after.n_answered, after.last_key) == (1, "escape")


def test_the_end_tells_why_and_what_was_amiss() -> None:
    view = fold(fold_all(PLAN, RECORDS), line("end", 116.0, complete=False, reason="aborted: key 'escape'",
                                              watch={"faults": ["2 pulses missed (volumes 4, 5)"]}))
    assert (view.state, view.reason) == ("ended early", "aborted: key 'escape'")
    text = printed(verdict_panel(view))
    assert "look at this run before you go on" in text
    assert "2 pulses missed (volumes 4, 5)" in text
    verdicts = {name: good for name, _, _, good in verdict_rows(replace(view, least_right=0.75))}
    assert verdicts == {"played to the end": False, "pulses": False, "shown": True, "onsets late by a frame": False,
                        "changes late by a frame": False, "right answers": False, "answered": True}


def test_a_good_run_is_called_good() -> None:
    good = RunView(PLAN, state="complete", zero_s=0.0, n_pulses=10, last_pulse_s=18.0, n_shown=2, n_asked=2,
                   n_answered=2, n_judged=2, n_right=2, reason="complete")
    assert all(row[3] for row in verdict_rows(good))
    assert "this run can be used" in printed(verdict_panel(good))


@pytest.mark.parametrize("change", [{"n_pulses": 9}, {"n_missed": 1}, {"n_shown": 1}, {"n_late": 1}, {"n_right": 0},
                                    {"n_answered": 0}])
def test_no_run_is_called_usable_above_a_row_to_look_at(change: dict[str, int]) -> None:
    good = RunView(PLAN, state="complete", zero_s=0.0, n_pulses=10, last_pulse_s=18.0, n_shown=2, n_asked=2,
                   n_answered=2, n_judged=2, n_right=2, reason="complete")
    said = printed(verdict_panel(replace(good, **change)))
    assert "LOOK" in said
    assert "this run can be used" not in said


def printed(panel: object) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(panel)
    return console.export_text()


def test_the_panel_holds_what_an_operator_asks_for() -> None:
    text = printed(live_panel(fold_all(PLAN, RECORDS), now_s=116.0))
    for wanted in ("sub-01  ses-02  main  run 3", "RUNNING", "7 of 10", "0:04", "'1', 1 s ago", "50 %  (1 of 2)",
                   "the end of the run", "'escape' in the subject's window, or Ctrl-C here"):
        assert wanted in text
    before = printed(live_panel(fold_all(PLAN, RECORDS[:2])))
    assert "RE (dachshund) at 4 s" in before
    assert "none yet" in before


def test_a_growing_journal_is_followed_to_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    done = threading.Event()

    def write() -> None:
        time.sleep(0.05)
        with Journal(path, clock=VirtualClock()) as journal:
            for k in range(50):
                journal.write("pulse", t=float(k), n=k)
                time.sleep(0.002)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    found = [record for part in follow(path, alive=lambda: not done.is_set(), poll_s=0.01) for record in part]
    writer.join()
    assert [record["n"] for record in found] == list(range(50))


def test_a_torn_line_waits_for_its_rest(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    whole = json.dumps({"kind": "start", "t": 1.0}) + "\n"
    path.write_text(whole + whole[:7], encoding="utf-8")
    seen = iter([True, False])
    parts = []
    for part in follow(path, alive=lambda: next(seen), poll_s=0.0):
        parts.append(len(part))
        path.write_text(whole + whole, encoding="utf-8")
    assert parts == [1, 1]
