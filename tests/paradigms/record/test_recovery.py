"""What a killed run leaves is readable, and recovery makes a valid table of it without touching anything else."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from paradigms.playing.play_run import play_run
from paradigms.record import events_files as records_module
from paradigms.record.journal import Journal
from paradigms.record.recovery import recover
from paradigms.runlog import of_kind, read_events, read_journal
from subjects.errors import RunLogError, SettingsError
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = Path(__file__).parents[1] / "paced_run.py"
RUN = RunKey("01", "01", "main", 1)
SPEED = 100.0


def _play(layout: Layout, **changes: Any) -> Any:
    return play_run(layout, load_settings(layout.root),
                    **{"key": RUN, "scanner": "emulated", "display": "virtual", **changes})


def _files(layout: Layout) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(layout.root.rglob("*")) if path.is_file()}


def _start(layout: Layout, *, run: int = 1) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(SCRIPT), str(layout.root), str(SPEED), "01", str(run)], cwd=ROOT,
                            env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)


def _wait_for_lines(path: Path, n: int, *, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60.0
    while not (path.is_file() and path.read_bytes().count(b"\n") >= n):
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        assert time.monotonic() < deadline, "the run did not begin"
        time.sleep(0.005)


def _end(process: subprocess.Popen[bytes], sign: int) -> int:
    process.send_signal(sign)
    process.communicate(timeout=30)
    return process.returncode


def _cut(layout: Layout, *, keep: int, run: int = 1, attempt: int = 1, tear: int = 0) -> Path:
    """Make of a completed run one that was killed after `keep` lines (and a torn one)."""
    path = layout.journal(replace(RUN, run=run), attempt=attempt)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:keep]) + lines[keep][:tear])
    layout.events(replace(RUN, run=run)).unlink()
    layout.events_sidecar(replace(RUN, run=run)).unlink()
    return path


def _check_recovered(layout: Layout, *, run: int) -> None:
    """Compare the recovered table with a plain reading of the journal's bytes."""
    where = replace(RUN, run=run)
    whole = layout.journal(where, attempt=1).read_bytes().rpartition(b"\n")[0]
    lines = [json.loads(line) for line in whole.split(b"\n")] if whole else []
    assert read_journal(layout.journal(where, attempt=1)) == lines
    zero = next((line["t"] for line in lines if line["kind"] == "zero"), None)
    if zero is None:
        assert not layout.events(where).exists()
        return
    table = read_events(layout.events(where))
    assert table.attrs["complete"] is False
    last = max(line["t"] for line in lines)  # of an image that came up with the last line nothing says how long
    came = [line["t"] for line in lines if line["kind"] == "flip" and line["what"] == "on"]
    onsets = [t - zero for t in came if t < last]
    images = table[table["trial_type"] != "blank"]
    assert images["onset"].tolist() == pytest.approx(onsets, abs=1e-5)
    assert table.attrs["n_pulses"] == sum(line["kind"] == "pulse" for line in lines)


# ------------------------------------------------------------------- real kills

def test_kill_9_at_two_moments(small_console: Layout) -> None:
    moments = np.random.default_rng(20210).uniform(0.0, 1.3, size=2)  # a run takes 1.6 s at this speed
    for run, moment in enumerate(moments, start=1):
        process = _start(small_console, run=run)
        _wait_for_lines(small_console.journal(replace(RUN, run=run), attempt=1), 1, process=process)
        time.sleep(float(moment))
        assert _end(process, signal.SIGKILL) == -signal.SIGKILL
    before = _files(small_console)
    recover(small_console)
    for run in (1, 2):
        _check_recovered(small_console, run=run)
    after = _files(small_console)
    assert {path: after[path] for path in before} == before
    assert recover(small_console) == []
    assert _files(small_console) == after


@pytest.mark.slow
@pytest.mark.parametrize("moment", np.linspace(0.0, 1.5, 20))
def test_kill_9_at_20_moments(small_console: Layout, moment: float) -> None:
    process = _start(small_console)
    _wait_for_lines(small_console.journal(RUN, attempt=1), 1, process=process)
    time.sleep(moment)
    _end(process, signal.SIGKILL)
    recover(small_console)
    if of_kind(read_journal(small_console.journal(RUN, attempt=1)), "end"):  # it was faster than the signal
        assert read_events(small_console.events(RUN)).attrs["complete"] is True
    else:
        _check_recovered(small_console, run=1)
    assert recover(small_console) == []


def test_sigterm_closes_the_record(small_console: Layout) -> None:
    process = _start(small_console)
    _wait_for_lines(small_console.journal(RUN, attempt=1), 6, process=process)
    assert _end(process, signal.SIGTERM) == 128 + signal.SIGTERM
    last = read_journal(small_console.journal(RUN, attempt=1))[-1]
    assert (last["kind"], last["complete"], last["reason"]) == ("end", False, "terminated")


# ---------------------------------------------------------- the same, cut by hand

def test_a_recovered_table_is_the_beginning_of_the_whole_one(small_console: Layout) -> None:
    _play(small_console)
    whole = read_events(small_console.events(RUN))
    lines = read_journal(small_console.journal(RUN, attempt=1))
    cut = next(k for k, line in enumerate(lines) if line["kind"] == "flip" and line["event"] == 11) - 1
    _cut(small_console, keep=cut, tear=17)
    made = recover(small_console)
    table = read_events(small_console.events(RUN))
    assert [(one.complete, one.n_events) for one in made] == [(False, len(table))]
    assert made[0].summary().endswith("(incomplete)")
    n = len(table) - 1
    assert n >= 8
    pd.testing.assert_frame_equal(table.iloc[:n - 1], whole.iloc[:n - 1], check_dtype=False)
    assert table.attrs["complete"] is False
    assert table.attrs["sidecar"]["PulseWatch"]["faults"] == []


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_a_run_killed_before_its_trigger_has_no_events(small_console: Layout, keep: int) -> None:
    _play(small_console)
    _cut(small_console, keep=keep, tear=5)
    before = _files(small_console)
    assert recover(small_console) == []
    assert _files(small_console) == before


def test_a_whole_run_that_lacks_only_its_table_is_complete(small_console: Layout) -> None:
    _play(small_console)
    table = small_console.events(RUN).read_bytes()
    small_console.events(RUN).unlink()
    made = recover(small_console)
    assert [one.complete for one in made] == [True]
    assert made[0].summary().endswith("(complete)")
    assert small_console.events(RUN).read_bytes() == table


def test_a_repetition_after_recovery_takes_the_table_place(small_console: Layout) -> None:
    _play(small_console)
    _cut(small_console, keep=60)
    recover(small_console)
    incomplete = small_console.events(RUN).read_bytes()
    assert _play(small_console).complete
    assert read_events(small_console.events(RUN)).attrs["complete"] is True
    kept = small_console.attempt_file("events.tsv", RUN, attempt=1)
    assert kept.read_bytes() == incomplete
    assert read_events(kept).attrs["complete"] is False
    assert recover(small_console) == []


def test_two_cut_attempts_both_get_tables(small_console: Layout) -> None:
    """The later attempt gets the run's place, the earlier one its own in sourcedata."""
    _play(small_console)
    _cut(small_console, keep=60)
    _play(small_console)
    _cut(small_console, keep=80, attempt=2)
    made = recover(small_console)
    assert sorted(one.events.name.partition("run-1_")[2] for one in made) == ["attempt-01_events.tsv", "events.tsv"]
    assert read_events(small_console.events(RUN)).attrs["sidecar"]["Attempt"] == 2
    assert recover(small_console) == []


def test_a_whole_run_takes_the_place_of_an_incomplete_table(small_console: Layout) -> None:
    """Killed after the repetition's last line, before its table was written."""
    _play(small_console)
    _cut(small_console, keep=60)
    recover(small_console)
    incomplete = small_console.events(RUN).read_bytes(), small_console.events_sidecar(RUN).read_bytes()
    _play(small_console)
    for suffix, content in zip(("events.tsv", "events.json"), incomplete, strict=True):
        small_console.attempt_file(suffix, RUN, attempt=1).unlink()
        small_console.events(RUN).with_suffix(f".{suffix.partition('.')[2]}").write_bytes(content)
    assert [one.complete for one in recover(small_console)] == [True]
    assert read_events(small_console.events(RUN)).attrs["complete"] is True
    assert small_console.attempt_file("events.tsv", RUN, attempt=1).read_bytes() == incomplete[0]
    assert recover(small_console) == []


def test_an_incomplete_repetition_leaves_the_complete_table(small_console: Layout) -> None:
    _play(small_console)
    table = small_console.events(RUN).read_bytes()
    _play(small_console, repeat=True)
    second = small_console.journal(RUN, attempt=2)
    second.write_bytes(b"".join(second.read_bytes().splitlines(keepends=True)[:60]))
    small_console.events(RUN).unlink()
    small_console.events_sidecar(RUN).unlink()
    for suffix in ("events.tsv", "events.json"):
        kept = small_console.attempt_file(suffix, RUN, attempt=1)
        kept.rename(small_console.events(RUN).with_suffix(f".{suffix.partition('.')[2]}"))
    made = recover(small_console)
    assert [one.events.name[-21:] for one in made] == ["attempt-02_events.tsv"]
    assert small_console.events(RUN).read_bytes() == table


def test_death_in_the_middle_of_archiving_loses_nothing(small_console: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    _play(small_console)
    _cut(small_console, keep=60)
    recover(small_console)
    incomplete = small_console.events(RUN).read_bytes()

    def die(path: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            records_module.archive_events(small_console, RUN)
    assert small_console.events(RUN).read_bytes() == incomplete
    records_module.archive_events(small_console, RUN)
    kept = small_console.attempt_file("events.tsv", RUN, attempt=1)
    assert kept.read_bytes() == incomplete
    assert kept.with_suffix(".json").is_file()
    assert not small_console.events_sidecar(RUN).exists()


def test_an_archived_table_is_never_written_over(small_console: Layout) -> None:
    _play(small_console)
    kept = small_console.attempt_file("events.tsv", RUN, attempt=1)
    kept.write_text("kept\n")
    before = _files(small_console)
    with pytest.raises(RunLogError, match="a table that was archived already"):
        records_module.archive_events(small_console, RUN)
    assert _files(small_console) == before


def test_a_foreign_table_is_not_moved(small_console: Layout) -> None:
    path = small_console.events(RUN)
    path.parent.mkdir(parents=True)
    path.write_text("onset\tduration\n1\t2\n")
    with pytest.raises(RunLogError, match="an events table without the number of its attempt"):
        records_module.archive_events(small_console, RUN)
    with pytest.raises(RunLogError, match="a run that was played before"):
        _play(small_console)
    before = _files(small_console)
    with pytest.raises(RunLogError, match="an events table without the number of its attempt"):
        _play(small_console, repeat=True)
    assert _files(small_console) == before, "refused before anything is shown, not after"


def test_a_journal_under_another_name_is_named(small_console: Layout) -> None:
    folder = small_console.source_dir("01", "01")
    folder.mkdir(parents=True)
    (folder / "mine_journal.jsonl").write_text("")
    with pytest.raises(RunLogError, match=r"a journal with a name of its own; expected \.\.\._attempt-NN"):
        recover(small_console)


def test_excerpts_are_not_recovered(small_console: Layout) -> None:
    _play(small_console, n_trials=2)
    assert recover(small_console) == []


def test_settings_of_another_version_keep_no_record_from_being_read(small_console: Layout,
                                                                    caplog: pytest.LogCaptureFixture) -> None:
    settings = load_settings(small_console.root)
    where = RUN
    play_run(small_console, settings, key=where, scanner="emulated", display="virtual")
    table = small_console.events(where).read_bytes()
    shutil.rmtree(small_console.events(where).parent)
    path = small_console.resolved_settings(where, attempt=1)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["stimuli"]["brightness"], content["olfaction"] = 3, {"odour": "rose"}
    del content["roi"]
    path.write_text(json.dumps(content), encoding="utf-8")
    recover(small_console)
    assert small_console.events(where).read_bytes() == table
    assert "'brightness' is a setting of another version" in caplog.text
    assert "'olfaction' is a setting of another version" in caplog.text


def test_settings_that_make_no_sense_are_named(small_console: Layout) -> None:
    settings = load_settings(small_console.root)
    where = RUN
    play_run(small_console, settings, key=where, scanner="emulated", display="virtual")
    shutil.rmtree(small_console.events(where).parent)
    path = small_console.resolved_settings(where, attempt=1)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["main"]["runs"] = "many"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"main\.runs"):
        recover(small_console)


def _two_runs_without_tables(layout: Layout) -> dict[str, bytes]:
    settings = load_settings(layout.root)
    tables = {}
    for run in (1, 2):
        where = replace(RUN, run=run)
        play_run(layout, settings, key=where, scanner="emulated", display="virtual")
        tables[layout.events(where).name] = layout.events(where).read_bytes()
    shutil.rmtree(layout.events(RunKey("01", "01", "main", 1)).parent)
    return tables


def test_a_foreign_journal_is_not_tied_to_a_schedule(small_console: Layout) -> None:
    _two_runs_without_tables(small_console)
    first, second = (small_console.journal(RunKey("01", "01", "main", run), attempt=1) for run in (1, 2))
    first.write_bytes(second.read_bytes())
    with pytest.raises(RunLogError, match=r"run-1_attempt-01_journal.jsonl: a journal of schedule .* beside it"):
        recover(small_console)
    assert not small_console.events(RunKey("01", "01", "main", 1)).exists()


@pytest.mark.parametrize("damage", [b"\n", b"\0\0\0\n", b"{torn\n"])
def test_one_bad_journal_keeps_no_other_from_recovery(small_console: Layout, damage: bytes) -> None:
    tables = _two_runs_without_tables(small_console)
    first = small_console.journal(RunKey("01", "01", "main", 1), attempt=1)
    lines = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join([*lines[:20], damage, *lines[20:]]))
    with pytest.raises(RunLogError, match=r"run-1_attempt-01_journal.jsonl, line 21: .* were recovered: 1"):
        recover(small_console)
    second = small_console.events(RunKey("01", "01", "main", 2))
    assert second.read_bytes() == tables[second.name]


@pytest.mark.parametrize(("sign", "reason"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_run_ended_by_a_signal_has_its_table_at_once(small_console: Layout, sign: int, reason: str) -> None:
    process = _start(small_console)
    _wait_for_lines(small_console.journal(RUN), 40, process=process)
    _end(process, sign)
    assert of_kind(read_journal(small_console.journal(RUN)), "end")[0]["reason"] == reason
    table = read_events(small_console.events(RUN))
    assert table.attrs["complete"] is False
    assert len(table) > 0
    assert recover(small_console) == []


def test_a_torn_line_in_an_old_attempt_blocks_no_repeat(small_console: Layout) -> None:
    assert _play(small_console).complete
    journal = small_console.journal(RUN)
    lines = journal.read_bytes().split(b"\n")
    lines[20] = lines[20][:15]
    journal.write_bytes(b"\n".join(lines))
    with pytest.raises(RunLogError, match="a run that was played before"):
        _play(small_console)
    assert _play(small_console, repeat=True).complete
    assert read_events(small_console.events(RUN)).attrs["sidecar"]["Attempt"] == 2


@pytest.mark.parametrize("other", [replace(RUN, ses="02"), replace(RUN, run=2)])
def test_the_record_of_another_run_is_not_taken(small_console: Layout, other: RunKey) -> None:
    assert _play(small_console, key=other).complete
    for spell in (small_console.journal, small_console.schedule, small_console.resolved_settings):
        spell(RUN).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(spell(other), spell(RUN))
    with pytest.raises(RunLogError, match=f"the plan of {other}; expected that of {RUN}, as its name says"):
        recover(small_console)
    assert not small_console.events(RUN).exists()


def test_a_run_without_room_for_its_record_leaves_nothing(small_console: Layout,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    before = _files(small_console)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=24_000))
        with pytest.raises(RunLogError, match="study: 0.02 MB of free disk; expected 10 MB for the record of a run"):
            _play(small_console)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "__init__", _no_room)
        with pytest.raises(OSError, match="No space left"):
            _play(small_console)
    assert _files(small_console) == before
    assert _play(small_console).complete
    assert small_console.journal(RUN, attempt=1).is_file()


def _no_room(self: Journal, path: Path, **_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
