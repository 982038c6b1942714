"""Whatever was written to a journal, and wherever it was cut off: its beginning is read back, and nothing raises."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from paradigms.emulation.scanner_and_display import VirtualClock
from paradigms.record.journal import Journal
from paradigms.record.outcome import RunOutcome
from paradigms.runlog import Record, events_table, is_complete, read_journal, time_zero
from paradigms.schedule import Schedule
from subjects.settings.study import Settings
from tests.paradigms.conftest import Bench

NAMES = itertools.count()
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
FIELDS = st.dictionaries(
    TEXT.filter(lambda name: name not in ("self", "kind", "t", "wall", "sync")),
    st.one_of(st.none(), st.booleans(), st.integers(-2**53, 2**53), st.floats(allow_nan=False, allow_infinity=False),
              TEXT, st.lists(st.integers(0, 9), max_size=3)), max_size=4)
WRITTEN = st.lists(st.tuples(TEXT, st.floats(-1e9, 1e9), FIELDS), max_size=8)
within = hypothesis_settings(max_examples=150, deadline=None,
                             suppress_health_check=[HealthCheck.function_scoped_fixture])


def _write(path: Path, written: list[tuple[str, float, dict[str, Any]]]) -> None:
    with Journal(path, clock=VirtualClock()) as journal:
        for kind, t, fields in written:
            journal.write(kind, t=t, **fields)


@within
@given(written=WRITTEN, data=st.data())
def test_any_beginning_of_any_journal_is_read_back(tmp_path: Path, written: list[tuple[str, float, dict[str, Any]]],
                                                   data: st.DataObject) -> None:
    path = tmp_path / f"{next(NAMES)}_journal.jsonl"
    _write(path, written)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    found = read_journal(path)
    assert len(found) == whole[:cut].count(b"\n")
    for record, (kind, t, fields) in zip(found, written, strict=False):
        assert record["kind"] == kind
        assert record["t"] == round(t, 6)
        assert {name: record[name] for name in fields} == fields


@within
@given(written=WRITTEN)
def test_a_whole_journal_is_read_back_whole(tmp_path: Path, written: list[tuple[str, float, dict[str, Any]]]) -> None:
    path = tmp_path / f"{next(NAMES)}_journal.jsonl"
    _write(path, written)
    assert [record["kind"] for record in read_journal(path)] == [kind for kind, _, _ in written]


@pytest.fixture(scope="module")
def played(schedule: Schedule, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, bytes, RunOutcome]:
    """Give a whole run of the main task in virtual time, and the bytes of its journal."""
    bench = Bench(schedule=schedule, settings=Settings(),
                  journal_path=tmp_path_factory.mktemp("played") / "journal.jsonl")
    outcome = bench.play()
    return bench, bench.journal_path.read_bytes(), outcome


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0, 1.0))
def test_a_run_cut_off_anywhere_gives_the_beginning_of_its_table(played: tuple[Bench, bytes, RunOutcome],
                                                                 tmp_path: Path, share: float) -> None:
    bench, whole, _ = played
    path = tmp_path / f"{next(NAMES)}_journal.jsonl"
    path.write_bytes(whole[:round(share * len(whole))])
    records = read_journal(path)
    table = events_table(records, bench.schedule, response_window_s=4.0)
    everything = events_table(_all(bench, whole, tmp_path), bench.schedule, response_window_s=4.0)
    assert is_complete(records) is (share == 1.0 or len(records) == whole.count(b"\n"))
    latest = max((record["t"] for record in records if "t" in record), default=0.0)
    shown = sum(record["kind"] == "flip" and record["what"] == "on" and record["t"] < latest for record in records)
    assert (table["trial_type"] != "blank").sum() == (shown if time_zero(records) is not None else 0)
    n = max(len(table) - 2, 0)  # the last rows may still wait for their end and their answer
    assert table["onset"].tolist() == everything["onset"].tolist()[:len(table)]
    assert table["response"].tolist()[:n] == everything["response"].tolist()[:n]


def _all(bench: Bench, whole: bytes, folder: Path) -> list[Record]:
    path = folder / "whole_journal.jsonl"
    path.write_bytes(whole)
    assert len(bench.schedule.events) == 129
    return read_journal(path)
