"""Digests that are kept on this computer, and trust in a study's own code."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from subjects import machine, provenance
from subjects.errors import SettingsError, StoreError

OLD = time.time() - 60.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(machine.HOME, str(tmp_path / "home"))
    monkeypatch.setattr(machine, "_memory", {})
    monkeypatch.setattr(machine, "SETTLED_S", 0.0)
    return tmp_path / "home"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """List the files that are read from their first byte to their last."""
    found: list[Path] = []
    really = machine._read

    def read(path: Path) -> str:
        found.append(path)
        return really(path)

    monkeypatch.setattr(machine, "_read", read)
    return found


def _file(folder: Path, *, letter: bytes = b"a") -> Path:
    path = folder / "bold.gii"
    path.write_bytes(letter * machine.SMALLEST)
    os.utime(path, (OLD, OLD))
    return path


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def test_a_file_is_read_once_while_nothing_about_it_changes(tmp_path: Path, home: Path, reads: list[Path]) -> None:
    path = _file(tmp_path)
    assert [machine.cached_digest(path) for _ in range(3)] == [_sha(path)] * 3
    assert reads == [path]
    machine._memory.clear()  # another process
    assert machine.cached_digest(path) == _sha(path)
    assert reads == [path]
    assert [item.name for item in (home / "cache").iterdir()] == ["digests-1.sqlite3"]


def test_a_file_whose_times_were_set_back_is_read_again(tmp_path: Path, home: Path, reads: list[Path]) -> None:
    path = _file(tmp_path)
    assert machine.cached_digest(path) == _sha(path)
    _file(tmp_path, letter=b"b")  # same size, same modification time, same inode
    assert machine.cached_digest(path) == _sha(path)
    path.rename(tmp_path / "away.gii")
    _file(tmp_path, letter=b"c")  # another inode
    assert machine.cached_digest(path) == _sha(path)
    assert len(reads) == 3


def test_verify_reads_the_file_whatever_is_known(tmp_path: Path, home: Path, reads: list[Path]) -> None:
    path = _file(tmp_path)
    machine.cached_digest(path)
    stamp = repr(machine._stamp(path))
    machine._memory[str(path.resolve())] = (stamp, "0" * 16)
    machine._ask("UPDATE digests SET digest = ?", "0" * 16)
    assert machine.cached_digest(path) == "0" * 16, "the cache is asked"
    assert machine.cached_digest(path, verify=True) == _sha(path)
    assert machine.cached_digest(path) == _sha(path), "and corrected"
    assert reads == [path, path]


def test_a_file_that_may_still_change_is_not_kept(tmp_path: Path, home: Path, reads: list[Path],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SETTLED_S", 3600.0)
    path = _file(tmp_path)
    for _ in range(2):
        machine.cached_digest(path)
    assert reads == [path, path]


@pytest.mark.parametrize("fault", ["a file where the folder should be", "no database"])
def test_without_a_cache_on_disk_the_process_remembers(tmp_path: Path, home: Path, reads: list[Path],
                                                       fault: str) -> None:
    if fault == "no database":
        (home / "cache").mkdir(parents=True)
        (home / "cache" / "digests-1.sqlite3").write_bytes(b"no database at all, but long enough" * 200)
    else:
        home.write_bytes(b"")
    path = _file(tmp_path)
    assert [machine.cached_digest(path) for _ in range(2)] == [_sha(path)] * 2
    assert reads == [path]
    machine._memory.clear()
    assert machine.cached_digest(path) == _sha(path)


PROCESS = """
import sys
from pathlib import Path
from subjects import machine
machine.SETTLED_S = 0.0
for k in range(20):
    print(machine.cached_digest(Path(sys.argv[1]) / f'{k}.gii'))
"""


def test_processes_share_the_cache(tmp_path: Path, home: Path) -> None:
    for k in range(20):
        (tmp_path / f"{k}.gii").write_bytes(bytes([k]) * machine.SMALLEST)
    started = [subprocess.Popen([sys.executable, "-c", PROCESS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
               for _ in range(4)]
    said = [process.communicate()[0].split() for process in started]
    assert said == [[_sha(tmp_path / f"{k}.gii") for k in range(20)]] * 4
    count = machine._ask("SELECT count(*), '' FROM digests")
    assert count == (20, "")


def test_a_changed_input_is_seen_by_verify_only_if_its_times_lie(tmp_path: Path, home: Path) -> None:
    made, source = tmp_path / "betas.h5", _file(tmp_path)
    made.write_bytes(b"made")
    provenance.sidecar(made, inputs={"bold": source}, parameters={})
    assert provenance.is_current(made, inputs={"bold": source}, parameters={})
    lie = (repr(machine._stamp(source)), "0" * 16)
    machine._memory[str(source.resolve())] = lie
    assert not provenance.is_current(made, inputs={"bold": source}, parameters={})
    machine._memory[str(source.resolve())] = lie
    assert provenance.is_current(made, inputs={"bold": source}, parameters={}, verify=True)


def test_code_of_a_study_runs_after_consent_for_this_place_and_text_only(tmp_path: Path, home: Path) -> None:
    study, code = tmp_path / "study", "lab.networks:mine"
    with pytest.raises(SettingsError, match=r"stimuli.network: code of the study's own, 'lab.networks:mine'; expected "
                                            r"code trusted on this computer.*--trust"):
        machine.require_trust(study, code, where="stimuli.network")
    assert not home.exists()
    machine.require_trust(study, code, where="stimuli.network", trust=True)
    machine.require_trust(study, code, where="stimuli.network")
    for place, text in ((tmp_path / "copy", code), (study, "lab.networks:other")):
        with pytest.raises(SettingsError, match="--trust"):
            machine.require_trust(place, text, where="stimuli.network")
    machine.require_trust(study, "lab.networks:other", where="stimuli.network", trust=True)
    machine.require_trust(study, code, where="stimuli.network")


def test_trust_that_cannot_be_kept_is_an_error(tmp_path: Path, home: Path) -> None:
    home.write_bytes(b"")
    with pytest.raises(StoreError, match=r"trusted.json: .*expected a file that can be written"):
        machine.require_trust(tmp_path, "a:b", where="hooks.tracker", trust=True)
