"""What this computer keeps about studies: digests of files, which of a study's own code may run here; and its cores.

Both are kept in the user's own folders, never in a study. The environment variable ``ADVERSARIAL_FMRI_HOME`` names
a folder that is used instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import sqlite3
import subprocess
import time
from pathlib import Path

import platformdirs

from subjects.errors import SettingsError, StoreError
from subjects.store import possible, read_json, write_json

HOME = "ADVERSARIAL_FMRI_HOME"
SMALLEST = 1 << 18
"""Bytes from which on a digest is kept: digesting less costs no more than looking it up."""

SETTLED_S = 2.0
"""A file changed less than this many seconds ago may change again within one tick of its clock: nothing is kept."""

FORGOTTEN_S = 200 * 86400.0
_LENGTH = 16
_APP = "adversarial-fmri"
_Stamp = tuple[int, int, int, int, int]
log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Name the folder of what can be made again."""
    own = os.environ.get(HOME)
    return Path(own) / "cache" if own else Path(platformdirs.user_cache_dir(_APP, appauthor=False))


def config_folder() -> Path:
    """Name the folder of what the user decided."""
    own = os.environ.get(HOME)
    return Path(own) / "config" if own else Path(platformdirs.user_config_dir(_APP, appauthor=False))


def cached_digest(path: Path, *, verify: bool = False) -> str:
    """Give the first 16 hexadecimal digits of SHA-256 of a file.

    Parameters
    ----------
    path : Path
        The file.
    verify : bool
        Read the file even if its digest is known; for whatever is published.

    Notes
    -----
    The digest of a file of 256 KiB or more is kept on this computer under its resolved path, and is valid as long as
    size, modification time, time of the last change of its entry (which no program can set back), device and inode
    are the same. Where the cache cannot be written it lasts as long as the process.
    """
    path = possible(path)
    before = _stamp(path)
    if before[0] < SMALLEST:
        return _read(path)
    key = str(path.resolve())
    known = None if verify else _known(key, stamp=before)
    if known is not None:
        return known
    found = _read(path)
    if _stamp(path) == before and time.time() - max(before[1], before[2]) / 1e9 > SETTLED_S:
        _keep(key, stamp=before, digest=found)
    return found


def _stamp(path: Path) -> _Stamp:
    its = path.stat()
    return its.st_size, its.st_mtime_ns, its.st_ctime_ns, its.st_dev, its.st_ino


def _read(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()[:_LENGTH]


_memory: dict[str, tuple[str, str]] = {}
"""What this process digested: path to (stamp, digest)."""


def _known(key: str, *, stamp: _Stamp) -> str | None:
    kept = _memory.get(key)
    if kept is None or kept[0] != repr(stamp):
        kept = _ask("SELECT stamp, digest FROM digests WHERE path = ?", key)
    if kept is None or kept[0] != repr(stamp):
        return None
    _memory[key] = kept
    return str(kept[1])


def _keep(key: str, *, stamp: _Stamp, digest: str) -> None:
    now = time.time()
    _memory[key] = (repr(stamp), digest)
    _ask("DELETE FROM digests WHERE kept < ?", now - FORGOTTEN_S)
    _ask("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", key, repr(stamp), digest, now)


def _ask(statement: str, *values: str | float) -> tuple[str, str] | None:
    """Run one statement on the database and give its first row; where it cannot be used, none."""
    file = cache_folder() / "digests-1.sqlite3"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(file, timeout=10.0)) as database, database:
            database.execute("PRAGMA synchronous = OFF")  # what a power cut takes is digested again
            database.execute("CREATE TABLE IF NOT EXISTS digests "
                             "(path TEXT PRIMARY KEY, stamp TEXT, digest TEXT, kept REAL) WITHOUT ROWID")
            row: tuple[str, str] | None = database.execute(statement, values).fetchone()
            return row
    except (OSError, sqlite3.Error) as error:
        log.info("%s: %s; digests are kept for this process only", file, error)
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            with contextlib.suppress(OSError):  # not a database any more; nothing was in it that cannot be made again
                file.unlink(missing_ok=True)
    return None


def require_trust(study: Path, code: str, *, where: str, trust: bool = False) -> None:
    """See that code which a study names itself may run on this computer.

    A study's files may come from anybody; a name such as ``module:function`` in them runs that code here. It is run
    only once somebody has said so on this computer, for this study at this place and this very text.

    Parameters
    ----------
    study : Path
        The study's folder.
    code : str
        What it names.
    where : str
        The setting or file that names it.
    trust : bool
        Whether ``--trust`` was given; this is kept for later commands.

    Raises
    ------
    SettingsError
        If nobody trusted it here; the message names ``--trust``.
    """
    record = config_folder() / "trusted.json"
    place = str(possible(study).resolve())
    trusted: dict[str, list[str]] = read_json(record) if record.is_file() else {}
    if code in trusted.get(place, ()):
        return
    if not trust:
        raise SettingsError(where, came=f"code of the study's own, {code!r}", expected="code trusted on this computer",
                            remedy="Read that code; if you trust it, give --trust once. Nothing of it was run.")
    try:
        write_json(record, {**trusted, place: sorted({*trusted.get(place, ()), code})}, overwrite=True)
    except OSError as error:
        raise StoreError(str(record), came=str(error.strerror), expected="a file that can be written",
                         remedy=f"Make its folder writable, or name another with {HOME}.") from error
    log.info("%s: %r is trusted from now on (%s)", study, code, record)


def usable_cores() -> int:
    """Count the physical cores that this process may use, at least 1: those it may run on, and a container's share.

    joblib's count takes each logical processor for a core where a process may run on some of them only.
    """
    quota = _quota()
    return max(1, _physical_cores() if quota is None else min(_physical_cores(), quota))


def _physical_cores() -> int:
    """Count the cores behind the logical processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        mine = os.sched_getaffinity(0)
        return len({_siblings(cpu) for cpu in mine})
    if platform.system() == "Darwin":
        said = subprocess.run(["sysctl", "-n", "hw.physicalcpu"], check=False, capture_output=True, text=True).stdout
        if said.strip().isdigit():
            return int(said)
    return os.cpu_count() or 1


def _siblings(cpu: int) -> str:
    """Name the core of a logical processor by all processors that share it; Linux only."""
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    return path.read_text().strip() if path.is_file() else str(cpu)


def _quota() -> int | None:
    """Give the CPUs' worth of time that a container may use, rounded up; None without such a bound."""
    path = Path("/sys/fs/cgroup/cpu.max")
    share, _, period = (path.read_text() if path.is_file() else "max").partition(" ")
    return -(-int(share) // int(period)) if share.isdigit() and period.strip().isdigit() else None
