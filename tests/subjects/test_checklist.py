"""The run sheet's scans between the runs, ticked off and stamped; the series of attempts, kept with them."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console as Terminal

from subjects.__main__ import cli
from subjects.errors import RunLogError, ScheduleError
from subjects.layout import Layout
from subjects.plan.checklist import Scan, find_scan, plan_scans, read_ticks, tick
from subjects.plan.run_sheet import run_sheet
from subjects.plan.series_numbers import note_series, series_of
from subjects.plan.sheet_tables import session_panel, sheet_tables
from subjects.profile import register
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from subjects.settings.paradigms import ScansSettings
from subjects.store import read_json, write_json
from tests.subjects.scanned_session import Console

RUN = RunKey("01", "01", "main", 1)


@pytest.fixture
def layout(study: Layout) -> Layout:
    register(study, "01")
    return study


def invoke(*words: str) -> Result:
    return CliRunner().invoke(cli, words, standalone_mode=False, env={"COLUMNS": "80"})


@pytest.mark.parametrize(("n_runs", "field_maps", "before"), [
    (10, 3, [0, 3, 6]), (5, 1, [0]), (2, 3, [0, 0, 1]), (0, 2, [0, 0]), (4, 0, [])])
def test_field_maps_are_spread_evenly_over_the_runs(n_runs: int, field_maps: int, before: list[int]) -> None:
    scans = plan_scans(ScansSettings(field_maps=field_maps), ses="01", n_runs=n_runs, done={})
    assert [one.before for one in scans if one.kind == "field map"] == before
    assert scans[0] == Scan("01", "localizer", 1, 1, before=0)
    assert scans[-1] == Scan("01", "T1", 1, 1, before=n_runs)


def test_t1_is_scanned_in_the_sessions_that_are_named() -> None:
    counts = [ScansSettings(t1=(0, 2), localizers=0).counts(ses) for ses in (1, 2, 3)]
    assert [one["T1"] for one in counts] == [0, 2, 0]
    assert {one["localizer"] for one in counts} == {0}


def test_the_sheet_holds_the_protocol_s_scans_in_order(layout: Layout) -> None:
    sheet = run_sheet(layout, load_settings(layout.root), sub="01")
    first = [one.kind if isinstance(one, Scan) else f"{one.task} {one.run}" for one in sheet.session("01")]
    assert first == ["localizer", "field map", "main 1", "main 2", "main 3", "field map", "main 4", "main 5",
                     "retinotopy 1", "field map", "retinotopy 2", "retinotopy 3", "lo 1", "motion 1", "T1"]
    second = [one.kind for one in sheet.scans if one.ses == "02"]
    assert second == ["localizer", "field map", "field map", "field map"]


def test_a_tick_is_stamped_shown_and_taken_back(layout: Layout) -> None:
    words = ("--study", str(layout.root), "--sub", "01", "--ses", "01")
    before = time.time()
    assert invoke("tick", *words, "--scan", "field map", "--series", "3").output == "field map 1 of 3: ticked off\n"
    invoke("tick", *words, "--scan", "field map")
    ticks = read_ticks(layout, sub="01", ses="01")["field map"]
    assert [one["number"] for one in ticks] == [1, 2]
    assert all(before <= one["wall"] <= time.time() for one in ticks)
    assert [one.get("SeriesNumber") for one in ticks] == [3, None]
    stamp = ticks[0]["time"][11:16]
    shown = invoke("plan", "--study", str(layout.root), "--sub", "01").output
    assert f"field map    1 {stamp}     3" in shown
    scans = json.loads(invoke("plan", "--study", str(layout.root), "--sub", "01", "--json").output)["scans"]
    assert [one["series"] for one in scans if one["done"]] == [3, None]
    assert invoke("tick", *words, "--scan", "field map", "--number", "1", "--undo").exception is None
    assert [one["number"] for one in read_ticks(layout, sub="01", ses="01")["field map"]] == [2]


def test_a_series_that_is_entered_later_keeps_the_time_of_the_tick(layout: Layout) -> None:
    scan = Scan("01", "T1", 1, 1, before=0)
    tick(layout, scan, sub="01", wall=1.7e9)
    tick(layout, scan, sub="01", series=12)
    (kept,) = read_ticks(layout, sub="01", ses="01")["T1"]
    assert (kept["wall"], kept["SeriesNumber"]) == (1.7e9, 12)


def test_a_scan_beyond_the_sheet_is_kept_and_named(layout: Layout) -> None:
    words = ("--study", str(layout.root), "--sub", "01", "--ses", "01", "--scan", "localizer")
    invoke("tick", *words)
    assert invoke("tick", *words).output == "localizer 2, beyond the sheet: ticked off\n"
    sheet = run_sheet(layout, load_settings(layout.root), sub="01")
    assert [(one.number, one.of) for one in sheet.scans if one.ses == "01" and one.kind == "localizer"] == [(1, 1),
                                                                                                            (2, 1)]


@pytest.mark.parametrize(("kind", "number", "message"), [
    ("fieldmap", None, "'fieldmap'; expected one of localizer, field map, T1. Did you mean 'field map'"),
    ("T1", 3, "3; expected 1 to 2 for a T1 of ses-01")])
def test_what_is_no_scan_of_the_sheet_is_named(layout: Layout, kind: str, number: int | None, message: str) -> None:
    sheet = run_sheet(layout, load_settings(layout.root), sub="01")
    with pytest.raises(ScheduleError, match=message):
        find_scan(sheet.scans, ses="01", kind=kind, number=number)


def test_a_session_that_is_not_planned_and_an_undo_of_nothing_are_refused(layout: Layout) -> None:
    words = ("--study", str(layout.root), "--sub", "01", "--scan", "T1")
    assert "'09'; expected one of 01, 02" in str(invoke("tick", *words, "--ses", "09").exception)
    assert "--undo wants --number" in str(invoke("tick", *words, "--ses", "01", "--undo").exception)
    assert not layout.scans("01", "01").exists()


def test_a_series_is_kept_with_its_attempt_and_in_the_table_s_sidecar(layout: Layout) -> None:
    console = Console(layout)
    for attempt in (1, 2):
        console.play("main", 1, n_volumes=4, attempt=attempt)
    aside = layout.attempt_file("events.json", RUN, attempt=1)
    write_json(layout.events_sidecar(RUN), {"Attempt": 2, "RunComplete": True})
    write_json(aside, {"Attempt": 1, "RunComplete": False})
    layout.events(RUN).write_text("onset\tduration\n")
    words = ("series", "--study", str(layout.root), "--sub", "01", "--ses", "01", "--task", "main", "--run", "1")
    assert invoke(*words, "--number", "8").output == "main run 1, attempt 2: series 8\n"
    assert invoke(*words, "--attempt", "1", "--number", "7").exception is None
    assert [series_of(layout, RUN, attempt=k) for k in (1, 2)] == [7, 8]
    assert read_json(layout.events_sidecar(RUN)) == {"Attempt": 2, "RunComplete": True, "SeriesNumber": 8}
    assert read_json(aside) == {"Attempt": 1, "RunComplete": False, "SeriesNumber": 7}
    first = run_sheet(layout, load_settings(layout.root), sub="01").runs[0]
    assert (first.done, first.series) == (True, (8,))


def test_no_two_things_of_a_session_have_one_series(layout: Layout) -> None:
    console = Console(layout)
    console.play("main", 1, n_volumes=4)
    console.play("main", 2, n_volumes=4)
    note_series(layout, RUN, attempt=1, number=5)
    tick(layout, Scan("01", "T1", 1, 1, before=0), sub="01", series=6)
    words = ("series", "--study", str(layout.root), "--sub", "01", "--ses", "01", "--task", "main", "--run", "2")
    assert "5, the series of main run 1, attempt 1" in str(invoke(*words, "--number", "5").exception)
    assert "6, the series of T1 1" in str(invoke(*words, "--number", "6").exception)
    assert series_of(layout, replace(RUN, run=2), attempt=1) is None
    assert invoke(*words, "--number", "5", "--anyway").exception is None
    assert invoke(*words, "--number", "9").exception is None
    assert invoke(*words, "--number", "9").exception is None  # its own number again


def test_a_series_without_its_attempt_is_refused(layout: Layout) -> None:
    with pytest.raises(RunLogError, match="no such attempt"):
        note_series(layout, RUN, attempt=3, number=5)
    assert not layout.series(RUN, attempt=3).exists()
    words = ("series", "--study", str(layout.root), "--sub", "01", "--ses", "01", "--task", "main", "--run", "1")
    assert "no attempt; expected a run that was played" in str(invoke(*words, "--number", "5").exception)


def test_sheet_and_panel_fit_80_columns(layout: Layout) -> None:
    tick(layout, Scan("01", "field map", 1, 3, before=0), sub="01", series=112, wall=1.7e9)
    sheet = run_sheet(layout, load_settings(layout.root), sub="01")
    said = Terminal(width=80, record=True)
    said.print(sheet_tables(sheet)[1])
    said.print(session_panel(sheet, ses="01"))
    text = said.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "field map 1 of 3" in text
    assert "series 112" in text
    assert "ring_contract" in text


def test_add_takes_the_settings_of_the_site(study: Layout, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text("[main]\nsessions = 3\n")
    words = ("add", "--study", str(study.root), "--sub", "05")
    assert "3 sessions for 8 images a class" in str(invoke(*words, "--site", str(site)).exception)
    assert study.subjects() == ()
    assert invoke(*words).exception is None
