"""The journal survives its writer, and a disk that refuses it."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from paradigms.emulation.scanner_and_display import VirtualClock
from paradigms.playing.play_run import play_run
from paradigms.record.journal import Journal, copy_of, restore
from paradigms.record.plans import read_schedule
from paradigms.record.recovery import recover
from paradigms.runlog import of_kind, read_events, read_journal
from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings


def test_a_line_is_readable_the_moment_it_is_written(tmp_path: Path) -> None:
    clock = VirtualClock(start_s=7.0)
    with Journal(tmp_path / "deep" / "j.jsonl", clock=clock) as journal:
        journal.write("pulse", n=np.int64(3), path=Path("a/b"))
        journal.write("press", t=6.5, key="ü")
        first, second = read_journal(journal.path)
    assert first == {"kind": "pulse", "t": 7.0, "wall": clock.wall(), "n": 3, "path": "a/b"}
    assert (second["t"], second["key"]) == (6.5, "ü")


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text("kept\n")
    with pytest.raises(RunLogError, match="a journal that exists already; expected a new attempt"):
        Journal(path, clock=VirtualClock())
    assert path.read_text() == "kept\n"


def test_one_line_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: written.append(bytes(data)) or real(file, data))
    with Journal(tmp_path / "j.jsonl", clock=VirtualClock()) as journal:
        for k in range(3):
            journal.write("pulse", n=k)
    assert len(written) == 3
    assert all(line.endswith(b"\n") and json.loads(line)["n"] == k for k, line in enumerate(written))


def test_a_write_cut_short_by_the_system_is_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:5]))
    with Journal(tmp_path / "j.jsonl", clock=VirtualClock()) as journal:
        journal.write("pulse", name="long enough")
    assert read_journal(tmp_path / "j.jsonl")[0]["name"] == "long enough"


def test_lines_reach_the_disk_at_edges_and_after_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, now = [], [100.0]
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    journal = Journal(tmp_path / "j.jsonl", clock=VirtualClock())
    journal.write("pulse")
    journal.sync_if_due()
    assert not synced
    now[0] += 1.0
    journal.sync_if_due()
    assert len(synced) == 1
    now[0] += 5.0
    journal.sync_if_due()
    assert len(synced) == 1, "nothing was written since"
    journal.write("end", sync=True)
    assert len(synced) == 2
    journal.close()
    journal.close()


def test_a_closed_journal_refuses_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl", clock=VirtualClock())
    journal.close()
    with pytest.raises(RunLogError, match="a line of kind 'pulse' after closing"):
        journal.write("pulse")


# ---------------------------------------------------------------- a disk that refuses

class Disk:
    """A disk whose room is counted in bytes, for one file; all others have theirs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: float = float("inf")
        self.of: Callable[[int], bool] = lambda _: True
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, file: int, data: bytes) -> int:
        if not self.of(file):
            return self._write(file, data)
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        n = self._write(file, data[:int(min(self.room, len(data)))])
        self.room -= n
        return n


def _is(path: Path) -> Callable[[int], bool]:
    def same(file: int) -> bool:
        return path.exists() and os.fstat(file).st_ino == path.stat().st_ino
    return same


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Disk]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    yield Disk(monkeypatch)
    assert not list((tmp_path / "elsewhere").iterdir()), "a copy was left behind"


@pytest.mark.parametrize("room", [0, 1, 30, 31, 200])
def test_lines_wait_while_the_disk_is_full_and_none_is_torn(tmp_path: Path, disk: Disk, room: int) -> None:
    journal = Journal(tmp_path / "j.jsonl", clock=VirtualClock())
    disk.of, disk.room = _is(journal.path), room
    for k in range(20):
        journal.write("pulse", n=k, sync=k % 3 == 0)
    assert journal.refusal is not None
    assert [record["n"] for record in read_journal(copy_of(journal.path))] == list(range(20))
    disk.room = float("inf")
    journal.write("pulse", n=20)
    assert [record["n"] for record in read_journal(journal.path)] == list(range(21))
    journal.close()


def test_what_never_fits_is_told_and_brought_back(tmp_path: Path, disk: Disk) -> None:
    journal = Journal(tmp_path / "j.jsonl", clock=VirtualClock())
    disk.of, disk.room = _is(journal.path), 100
    for k in range(10):
        journal.write("pulse", n=k)
    copy = re.escape(str(copy_of(journal.path)))
    with pytest.raises(RunLogError, match=r"j.jsonl: No space left on device, \d+ bytes of the record are not in it; .*"
                                          rf"recover`; the whole record is in {copy}"):
        journal.close()
    assert len(read_journal(journal.path)) < 3
    disk.room = float("inf")
    assert restore(journal.path)
    assert [record["n"] for record in read_journal(journal.path)] == list(range(10))
    assert not restore(journal.path)


def test_a_copy_of_something_else_is_never_taken(tmp_path: Path, disk: Disk) -> None:
    del disk
    journal = Journal(tmp_path / "j.jsonl", clock=VirtualClock())
    journal.write("pulse", n=1)
    journal.close()
    before = journal.path.read_bytes()
    copy_of(journal.path).write_bytes(b'{"kind": "other", "t": 1}\n' * 5)
    assert not restore(journal.path)
    assert journal.path.read_bytes() == before


def test_a_run_goes_on_when_the_disk_fills_up(small_console: Layout, disk: Disk) -> None:
    """The journal's disk is full from the 40th line on; the run ends with an error, `recover` brings all of it back."""
    settings = load_settings(small_console.root)
    where = RunKey("01", "01", "main", 1)
    path = small_console.journal(where, attempt=1)
    disk.of, disk.room = _is(path), 4000
    with pytest.raises(RunLogError, match="No space left on device"):
        play_run(small_console, settings, key=where, scanner="emulated", display="virtual")
    assert not small_console.events(where).exists()
    disk.room = float("inf")
    recovered = recover(small_console)
    assert [one.complete for one in recovered] == [True]
    plan = read_schedule(small_console.schedule(where, attempt=1))
    table, records = read_events(small_console.events(where)), read_journal(path)
    assert table.attrs["complete"]
    assert table.attrs["n_pulses"] == len(of_kind(records, "pulse")) == plan.n_volumes
    named = "journal failed: No space left on device; the run goes on, its record waits"
    assert named in records[-1]["watch"]["faults"]
