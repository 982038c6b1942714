from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from subjects import store
from subjects.errors import StoreError


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with pytest.raises(RuntimeError, match="half way"), store.whole_file(path) as beside:
        beside.write_text("half", encoding="utf-8")
        raise RuntimeError("half way")
    assert list(path.parent.iterdir()) == []
    store.write_text(path, "whole\n")
    assert path.read_bytes() == b"whole\n"
    assert [item.name for item in path.parent.iterdir()] == ["a.txt"]


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    path = store.write_text(tmp_path / "a.txt", "first")
    with pytest.raises(StoreError, match="exists already; expected a free name. Nothing was written"):
        store.write_text(path, "second")
    assert path.read_text(encoding="utf-8") == "first"
    store.write_text(path, "second", overwrite=True)
    assert path.read_text(encoding="utf-8") == "second"


def test_an_overwrite_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = store.write_text(tmp_path / "a.txt", "first")
    with pytest.raises(ValueError, match="stop"), store.whole_file(path, overwrite=True) as beside:
        beside.write_text("x", encoding="utf-8")
        raise ValueError("stop")
    assert path.read_text(encoding="utf-8") == "first"


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX")
def test_a_file_keeps_its_ending_while_it_is_written(tmp_path: Path) -> None:
    with store.whole_file(tmp_path / "a.func.gii") as beside:
        assert beside.name.endswith(".a.func.gii")
        beside.write_bytes(b"")


def test_tables_follow_bids(tmp_path: Path) -> None:
    table = pd.DataFrame({"sub": ["01", "02"], "value": [1.5, np.nan], "note": ["NA", None]})
    path = store.write_table(tmp_path / "t.tsv", table)
    assert path.read_text(encoding="utf-8") == "sub\tvalue\tnote\n01\t1.5\tNA\n02\tn/a\tn/a\n"
    back = store.read_table(path, text_columns=("sub",))
    assert back["sub"].tolist() == ["01", "02"]
    assert back["note"][0] == "NA"
    assert pd.isna(back["value"][1])


@pytest.mark.parametrize("content", [b"", b"a\tb\n1\t2\t3\n"])
def test_a_broken_table_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.tsv"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read"):
        store.read_table(path)


def test_missing_and_malformed_json(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file"):
        store.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="not JSON"):
        store.read_json(tmp_path / "a.json")
    with pytest.raises(StoreError, match="no such file"):
        store.read_table(tmp_path / "a.tsv")


def test_json_takes_numpy_and_paths(tmp_path: Path) -> None:
    path = store.write_json(tmp_path / "a.json", {"n": np.int64(3), "x": np.arange(2), "p": Path("a/b")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"n": 3, "x": [0, 1], "p": "a/b"}
    with pytest.raises(TypeError, match="cannot be written as JSON: object"):
        store.write_json(tmp_path / "b.json", {"o": object()})


@pytest.mark.parametrize(("text", "came"), [("[]", "a JSON list"), ("3", "a JSON int"), ("null", "a JSON NoneType")])
def test_json_that_is_no_object_is_named(tmp_path: Path, text: str, came: str) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match=f"{came}; expected an object with named values"):
        store.read_json(tmp_path / "a.json")


@pytest.mark.parametrize("path", ["images/\0.png", "a" * 256, "deep/" + "é" * 128 + "/b.png", "\ud800"])
def test_a_path_that_no_file_can_have_is_one_clear_error(tmp_path: Path, path: str) -> None:
    for use in (store.read_json, store.read_table, lambda where: store.write_text(where, "x")):
        with pytest.raises(StoreError, match="a path that no file can have; expected a path without NUL"):
            use(tmp_path / path)
    assert list(tmp_path.iterdir()) == []
    assert store.possible(tmp_path / ("a" * 255)) == tmp_path / ("a" * 255)


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    left = [tmp_path / ".0123abcd.tmp.a.png", tmp_path / "deep" / ".89ef0123.tmp.b.h5"]
    young = tmp_path / ".00000000.tmp.young.png"
    others = [young, tmp_path / "a.png", tmp_path / ".0123abcd.tmp", tmp_path / ".notahexx.tmp.a.png"]
    for path in (*left, *others):
        path.write_bytes(b"x")
        os.utime(path, None if path == young else (time.time() - 7200, time.time() - 7200))
    assert store.sweep(tmp_path) == tuple(left)
    assert sorted(item for item in tmp_path.rglob("*") if item.is_file()) == sorted(others)
    assert store.sweep(tmp_path, older_than_s=0.0) == (young,)
    assert store.sweep(tmp_path / "not there") == ()


def test_what_is_swept_is_what_is_written_under(tmp_path: Path) -> None:
    with store.whole_file(tmp_path / "a.txt") as beside:
        beside.write_text("x", encoding="utf-8")
        assert store.sweep(tmp_path, older_than_s=0.0) == (beside,)
        beside.write_text("x", encoding="utf-8")


HOLDER = """
import sys, time
from pathlib import Path
from subjects.store import locked
with locked(Path(sys.argv[1]), what='the stimulus set'):
    print('held', flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_refused_until_the_first_has_ended_however_it_ends(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=rf"the stimulus set being written by process {holder.pid} on .*; "
                                             r"expected one process at a time"), \
                store.locked(tmp_path, what="the stimulus set"):
            pass
        holder.kill()
    with store.locked(tmp_path, what="the stimulus set"):
        with pytest.raises(StoreError, match=f"process {os.getpid()}"), store.locked(tmp_path, what="the set"):
            pass
        assert store.is_locked(tmp_path / ".lock")
    if os.name != "nt":
        assert list(tmp_path.iterdir()) == []


RACER = """
import os, sys, time
from pathlib import Path
from subjects.errors import StoreError
from subjects.store import locked
folder, inside = Path(sys.argv[1]), Path(sys.argv[1]) / 'inside'
end, taken = time.monotonic() + 1.5, 0
while time.monotonic() < end:
    try:
        with locked(folder, what='it'):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            inside.unlink()
            taken += 1
    except StoreError:
        pass
print(taken)
"""


def test_never_two_at_once_though_the_lock_comes_and_goes(tmp_path: Path) -> None:
    started = [subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in started:
        out, error = process.communicate()
        assert process.returncode == 0, error
        assert int(out) > 0


def test_a_disk_without_room_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # the system names no file

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match=r"No space left on device: '.*plan\.json'"):
        store.write_json(tmp_path / "plan.json", {})
    assert list(tmp_path.iterdir()) == []
