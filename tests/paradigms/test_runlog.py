"""The journal survives its writer; the events table says what the journal says."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from paradigms import runlog
from paradigms.emulation.scanner_and_display import VirtualClock
from paradigms.record.journal import Journal
from paradigms.runlog import COLUMNS, Record, events_sidecar, events_table, read_events, read_journal
from paradigms.schedule import BLANK, Event, Schedule
from subjects.errors import RunLogError
from subjects.settings.study import Settings
from subjects.store import write_json, write_table

ZERO = 50.0
EVENTS = (
    Event(0, onset_s=6.0, duration_s=2.0, trial_type="RE", image_id="px-a", stim_file="images/RE/a.png",
          base_image="dogs-01", category="beagle", class_name="dogs", presentation=1, correct_key="1"),
    Event(1, onset_s=8.0, duration_s=4.0, trial_type=BLANK),
    Event(2, onset_s=14.0, duration_s=2.0, trial_type="AI", image_id="px-b", stim_file="images/AI/b.png",
          base_image="cars-01", category="van", class_name="cars", presentation=1, correct_key="2"),
    Event(3, onset_s=17.0, duration_s=2.0, trial_type="RE", image_id="px-a", stim_file="images/RE/a.png",
          base_image="dogs-01", category="beagle", class_name="dogs", presentation=2, correct_key="1"),
)
PLAN = Schedule(study="s", task="main", sub="01", ses="01", run=1, seed=1, tr_s=2.0, n_volumes=13, duration_s=26.0,
                events=EVENTS, manifest_digest="m", settings_digest="d")


def _flip(event: int, what: str, at: float) -> Record:
    return {"kind": "flip", "t": ZERO + at, "event": event, "what": what, "planned": ZERO + at}


def _press(key: str, at: float, *, task: bool = True) -> Record:
    return {"kind": "press", "t": ZERO + at, "key": key, "task": task}


def _whole_run(*presses: Record) -> list[Record]:
    zero = {"kind": "zero", "t": ZERO}
    flips = [_flip(0, "on", 6.004), _flip(0, "off", 8.002), _flip(2, "on", 14.0), _flip(2, "off", 16.0),
             _flip(3, "on", 17.0), _flip(3, "off", 19.0)]
    return [zero, *flips, *presses, {"kind": "end", "t": ZERO + 26.0, "complete": True}]


def _table(*presses: Record) -> pd.DataFrame:
    return events_table(_whole_run(*presses), PLAN, response_window_s=4.0)


# ---------------------------------------------------------------- the journal

FIELDS = st.dictionaries(st.text(min_size=1, max_size=8).map("x_".__add__), st.one_of(
    st.integers(), st.booleans(), st.none(), st.text(max_size=30), st.floats(allow_nan=False, allow_infinity=False)),
    max_size=4)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(FIELDS, min_size=1, max_size=6), st.data())
def test_a_torn_last_line_costs_that_line_only(fields: list[dict[str, Any]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j.jsonl"
        with Journal(path, clock=VirtualClock()) as journal:
            for content in fields:
                journal.write("note", **content)
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        path.write_bytes(content[:cut])
        whole_lines = content[:cut].count(b"\n")
        read = read_journal(path)
    assert len(read) == whole_lines
    assert [{key: value for key, value in record.items() if key.startswith("x_")} for record in read] == \
        fields[:whole_lines]


def test_damage_before_the_last_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"kind":"a","t":1}\n{"kind":"b",\n{"kind":"c","t":3}\n')
    with pytest.raises(RunLogError, match=r"line 2: text that is no record"):
        read_journal(path)


@pytest.mark.parametrize(("line", "text"), [
    ("5", "5 has no kind"), ("[]", r"\[\] has no kind"), ('{"t":1.0}', "has no kind"),
    ('{"kind":"pulse"}', "'pulse' at t = None"), ('{"kind":"pulse","t":"soon"}', "'pulse' at t = 'soon'"),
    ('{"kind":"pulse","t":NaN}', "'pulse' at t = nan"), ('{"kind":"pulse","t":true}', "'pulse' at t = True")])
def test_a_line_that_does_not_say_what_and_when_is_named(tmp_path: Path, line: str, text: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"kind":"start","t":1.0}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(RunLogError, match=f"line 2: .*{text}"):
        read_journal(path)


def test_an_end_without_its_mark_is_not_complete() -> None:
    assert not runlog.is_complete([{"kind": "end", "t": 1.0}])


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunLogError, match=r"none\.jsonl: no such file; expected a journal"):
        read_journal(tmp_path / "none.jsonl")


# ------------------------------------------------------------ the events table

def test_onsets_and_durations_are_those_seen() -> None:
    table = _table()
    assert list(table.columns) == list(COLUMNS)
    assert list(table.columns[:2]) == ["onset", "duration"]
    assert table["onset"].tolist() == pytest.approx([6.004, 8.0, 14.0, 17.0])
    assert table["duration"].tolist() == pytest.approx([1.998, 4.0, 2.0, 2.0])
    assert table["onset_planned"].tolist() == [6.0, 8.0, 14.0, 17.0]
    assert table["trial_type"].tolist() == ["RE", "blank", "AI", "RE"]
    assert table["presentation"].tolist() == [1, pd.NA, 1, 2]


@pytest.mark.parametrize(("presses", "response", "reaction", "correct"), [
    ((), None, None, 0),
    ((_press("1", 6.654),), "1", 0.65, 1),
    ((_press("2", 7.004),), "2", 1.0, 0),
    ((_press("2", 7.0), _press("1", 7.5)), "2", 0.996, 0),
    ((_press("1", 7.5), _press("2", 7.0)), "2", 0.996, 0),
    ((_press("1", 6.0),), None, None, 0),
    ((_press("1", 10.003),), "1", 3.999, 1),
    ((_press("1", 10.004),), None, None, 0),
    ((_press("escape", 6.5, task=False),), None, None, 0),
])
def test_the_first_press_in_the_window_counts(presses: tuple[Record, ...], response: str | None,
                                              reaction: float | None, correct: int) -> None:
    row = _table(*presses).iloc[0]
    assert (None if pd.isna(row["response"]) else row["response"]) == response
    assert row["correct"] == correct
    assert row["correct_response"] == "1"
    if reaction is None:
        assert pd.isna(row["response_time"])
    else:
        assert row["response_time"] == pytest.approx(reaction)


def test_a_press_belongs_to_the_last_image_before_it() -> None:
    table = _table(_press("2", 17.5))
    assert pd.isna(table.iloc[2]["response_time"])
    assert table.iloc[3]["response"] == "2"


def test_a_run_cut_off_has_only_what_began() -> None:
    records = [{"kind": "zero", "t": ZERO}, _flip(0, "on", 6.0), _flip(0, "off", 8.0),
               {"kind": "pulse", "t": ZERO + 9.0}]
    table = events_table(records, PLAN, response_window_s=4.0)
    assert table["trial_type"].tolist() == ["RE", "blank"]
    assert table["duration"].tolist() == [2.0, 1.0]
    assert pd.isna(table.iloc[0]["correct"]), "the window was still open"


def test_an_image_cut_off_lasts_as_long_as_the_record() -> None:
    records = [{"kind": "zero", "t": ZERO}, _flip(0, "on", 6.0), {"kind": "pulse", "t": ZERO + 7.25}]
    assert events_table(records, PLAN, response_window_s=4.0)["duration"].tolist() == [1.25]


@pytest.mark.parametrize("last", [(), ({"kind": "pulse", "t": ZERO + 5.9},), ({"kind": "note", "t": ZERO + 6.0},)])
def test_an_image_of_which_no_later_line_tells_has_no_row(last: tuple[Record, ...]) -> None:
    records = [{"kind": "zero", "t": ZERO}, _flip(0, "on", 6.0), *last]
    assert len(events_table(records, PLAN, response_window_s=4.0)) == 0


def test_without_a_trigger_there_are_no_events() -> None:
    assert len(events_table([{"kind": "start", "t": 3.0}], PLAN, response_window_s=4.0)) == 0


# ------------------------------------------------------------------ the sidecar

def test_the_sidecar_describes_every_column_and_the_screen() -> None:
    content = events_sidecar(PLAN, Settings(), complete=True, attempt=2, watch={"n_pulses": 13},
                             levels={"RE": "regular image"})
    assert all(content[name]["Description"] for name in COLUMNS)
    screen = content["StimulusPresentation"]
    assert screen["SoftwareName"] == "adversarial-fmri"
    assert screen["ScreenDistance"] == pytest.approx(1.68)
    assert screen["ScreenSize"] == pytest.approx([0.89, 0.50])
    assert screen["ScreenResolution"] == [1920, 1080]
    assert screen["ScreenRefreshRate"] == 120.0
    assert screen["OperatingSystem"]
    assert (content["RunComplete"], content["Attempt"], content["n_pulses"]) == (True, 2, 13)
    assert content["schedule_digest"] == PLAN.digest


def _write(tmp_path: Path, table: pd.DataFrame) -> Path:
    path = write_table(tmp_path / "x_events.tsv", table)
    write_json(path.with_suffix(".json"), events_sidecar(PLAN, Settings(), complete=False, attempt=1, levels={}))
    return path


def test_events_survive_the_disk(tmp_path: Path) -> None:
    table = _table(_press("1", 6.654))
    path = _write(tmp_path, table)
    read = read_events(path)
    assert "n/a" in path.read_text()
    assert read.attrs["complete"] is False
    assert read["onset"].tolist() == table["onset"].tolist()
    assert read["response"].tolist()[0] == "1", "a key is a label and no number"
    assert read["image_id"].isna().tolist() == [False, True, False, False]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunLogError, match="no column 'response'"):
        read_events(_write(tmp_path, _table().drop(columns="response")))


def test_an_onset_that_is_no_number_is_named(tmp_path: Path) -> None:
    table = _table().astype({"onset": object})
    table.loc[1, "onset"] = "soon"
    with pytest.raises(RunLogError, match="row 2: onset 'soon'; expected seconds"):
        read_events(_write(tmp_path, table))


@pytest.mark.parametrize(("sidecar", "text"), [
    ({"n_pulses": "many"}, "n_pulses 'many'"), ({"n_pulses": -1}, "n_pulses -1"), ({"n_pulses": True}, "n_pulses True"),
    ({"EventsTable": 3}, "EventsTable 3"),
    ({"EventsTable": {"name": "other_events.tsv"}}, "the table of other_events.tsv"),
    ({"EventsTable": {"digest": "0123"}}, "changed after the run; expected digest 0123")])
def test_a_sidecar_that_tells_of_something_else_is_refused(tmp_path: Path, sidecar: dict[str, Any], text: str) -> None:
    path = _write(tmp_path, _table())
    write_json(path.with_suffix(".json"), sidecar, overwrite=True)
    with pytest.raises(RunLogError, match=text):
        read_events(path)


def test_a_duration_that_is_no_number_is_named(tmp_path: Path) -> None:
    table = _table().astype({"duration": object})
    table.loc[1, "duration"] = "abc"
    with pytest.raises(RunLogError, match="row 2: duration 'abc'; expected seconds"):
        read_events(_write(tmp_path, table))
