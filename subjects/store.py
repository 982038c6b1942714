"""Whole-file storage: written beside, then renamed; nothing overwritten unless asked; one writer at a time."""

from __future__ import annotations

import errno
import importlib
import json
import os
import re
import socket
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subjects.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

HALF_WRITTEN = ".????????.tmp.*"
"""Pattern of the names under which :func:`whole_file` writes; a killed process may leave one."""


_HALF_WRITTEN = re.compile(r"\.[0-9a-f]{8}\.tmp\.")
_LOCK = ".lock"


def possible(path: Path | str) -> Path:
    """Return a path that the operating system can take; refuse one with NUL or a name that is too long.

    Raises
    ------
    StoreError
        If no file can have this path.

    Examples
    --------
    >>> possible("images/RE/dogs-01_RE.png").name
    'dogs-01_RE.png'
    """
    text = str(path)
    try:
        bad = "\0" in text or any(len(part) > 255 for part in os.fsencode(text).split(b"/"))
    except UnicodeEncodeError:
        bad = True
    if bad:
        raise StoreError(ascii(text[:80]), came="a path that no file can have", expected="a path without NUL whose "
                         "parts have at most 255 bytes", remedy="Correct the file or setting that names it.")
    return Path(path)


@contextmanager
def whole_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Offer a temporary path beside `path`; rename it into place when the block ends well.

    Parameters
    ----------
    path : Path
        Where the file belongs. Its folder is made.
    overwrite : bool
        Replace a file that exists.

    Yields
    ------
    Path
        A path in the same folder, with the same ending, to write to.

    Raises
    ------
    StoreError
        If the file exists and `overwrite` is false. On any error the half-written file is removed.
    """
    path = possible(path)
    if path.exists() and not overwrite:
        raise StoreError(str(path), came="a file that exists already", expected="a free name",
                         remedy="Nothing was written; name another place or ask for overwriting.")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{uuid.uuid4().hex[:8]}.tmp.{path.name}")
    try:
        yield beside
        _sync(beside)
        beside.replace(path)
    except OSError as error:
        if error.filename is None:  # a disk without room names no file
            error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk (folders cannot be opened on Windows)."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path, *, older_than_s: float = 3600.0) -> tuple[Path, ...]:
    """Remove what killed processes left half-written in a folder and below it.

    Parameters
    ----------
    folder : Path
        Where to look; links are not followed. It need not exist.
    older_than_s : float
        Younger files stay: another process may be writing them. Zero where :func:`locked` keeps others out.

    Returns
    -------
    tuple of Path
        The files that were removed.
    """
    found = [Path(where) / name for where, _, names in os.walk(folder) for name in names if _HALF_WRITTEN.match(name)]
    old = [path for path in sorted(found) if time.time() - path.lstat().st_mtime >= older_than_s]
    for path in old:
        path.unlink(missing_ok=True)
    return tuple(old)


_FAR = 1 << 30
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def as_bytes(flags: int) -> int:
    """Add to the flags of ``os.open`` what keeps line ends as they are: Windows else makes two bytes of each."""
    return flags | getattr(os, "O_BINARY", 0)


def try_lock(file: int, *, platform: str = sys.platform, load: Callable[[str], Any] = importlib.import_module) -> bool:
    """Lock an open file for this process; False if another has locked it.

    On a file system without locks every process is given the file. On Windows one byte far beyond the file's end is
    locked, so that everybody can still read.

    Parameters
    ----------
    file : int
        Descriptor.
    platform : str
        As ``sys.platform`` names it.
    load : callable
        Gives the platform's module, ``fcntl`` or ``msvcrt``.
    """
    if platform == "win32":
        msvcrt = load("msvcrt")
        os.lseek(file, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(file, 0, os.SEEK_SET)
        return True
    fcntl = load("fcntl")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def is_locked(path: Path) -> bool:
    """Say whether a process has locked a file with :func:`try_lock`."""
    try:
        file = os.open(path, os.O_RDWR)
    except PermissionError:  # then nobody with our rights writes it
        return False
    try:
        return not try_lock(file)
    finally:
        os.close(file)


@contextmanager
def locked(folder: Path, *, what: str, name: str = _LOCK) -> Iterator[None]:
    """Keep a folder for this process while it is written; the lock ends with the process, however that ends.

    Parameters
    ----------
    folder : Path
        The folder; it is made. The lock is a file in it, removed afterwards.
    name : str
        The lock's name; one of its own keeps only what goes by that name.
    what : str
        What is being made there, for the message: ``"the stimulus set"``.

    Raises
    ------
    StoreError
        If another process, or this one already, is writing there.
    """
    folder = possible(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    file = _take(path, what=what)
    try:
        os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        give_lock(path, file)


def _take(path: Path, *, what: str) -> int:
    """Open and lock the file at a path, or name who holds it."""
    file = take_lock(path)
    if file is not None:
        return file
    try:
        who = path.read_text(encoding="utf-8", errors="replace")[:200]
    except OSError:
        who = ""
    raise StoreError(str(path.parent), came=f"{what} being written by {who or 'another process'}",
                     expected="one process at a time", remedy="Wait until it has ended; nothing was written.")


def take_lock(path: Path, *, patience_s: float = 0.0) -> int | None:
    """Open, make and lock the file at a path; one that its last holder removed meanwhile is not taken for it.

    Parameters
    ----------
    path : Path
    patience_s : float
        How long to try: whoever only asks whether the file is locked holds it for a moment.

    Returns
    -------
    int or None
        The descriptor of an empty file, to be given back to :func:`give_lock`; None if another process has locked it.
    """
    until = time.monotonic() + patience_s
    while True:
        file = os.open(path, as_bytes(os.O_RDWR | os.O_CREAT), 0o644)
        if try_lock(file):
            try:
                if path.stat().st_ino == os.fstat(file).st_ino:
                    os.ftruncate(file, 0)
                    return file
            except FileNotFoundError:
                pass
        elif time.monotonic() >= until:
            os.close(file)
            return None
        else:
            time.sleep(0.02)
        os.close(file)


def give_lock(path: Path, file: int) -> None:
    """Unlock a file that :func:`take_lock` has locked, and remove it."""
    if os.name != "nt":
        path.unlink(missing_ok=True)
    os.close(file)
    if os.name == "nt":
        with suppress(OSError):  # another process has opened it
            path.unlink()


def write_bytes(path: Path, data: bytes, *, overwrite: bool = False) -> Path:
    """Write bytes as a whole file; see :func:`whole_file`."""
    with whole_file(path, overwrite=overwrite) as beside:
        beside.write_bytes(data)
    return Path(path)


def write_text(path: Path, text: str, *, overwrite: bool = False) -> Path:
    """Write UTF-8 text with Unix line ends as a whole file."""
    return write_bytes(path, text.encode("utf-8"), overwrite=overwrite)


def write_json(path: Path, content: Any, *, overwrite: bool = False) -> Path:
    """Write indented JSON; numpy scalars and arrays become numbers and lists."""
    return write_text(path, json.dumps(content, indent=2, default=plain, ensure_ascii=False) + "\n",
                      overwrite=overwrite)


def plain(value: Any) -> Any:
    """Turn numpy values and paths into what JSON knows."""
    import numpy as np  # most of the start-up time of a command that prints its help

    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"cannot be written as JSON: {type(value).__name__}")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a missing or malformed file is a :class:`StoreError`."""
    path = possible(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(str(path), came="no such file", expected="a JSON file",
                         remedy="Run the step that makes it.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(str(path), came=f"text that is not JSON ({error})", expected="a JSON file",
                         remedy="Restore the file or make it again.") from error
    if not isinstance(content, dict):
        raise StoreError(str(path), came=f"a JSON {type(content).__name__}", expected="an object with named values",
                         remedy="Restore the file or make it again.")
    return content


def write_table(path: Path, table: pd.DataFrame, *, overwrite: bool = False) -> Path:
    """Write a tab-separated table the BIDS way (``n/a`` for missing values, no index)."""
    return write_text(path, table_text(table), overwrite=overwrite)


def table_text(table: pd.DataFrame) -> str:
    """Spell a table as :func:`write_table` writes it."""
    return str(table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n"))


def read_table(path: Path, *, text_columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a tab-separated table in which ``n/a`` (and nothing else) is missing.

    Parameters
    ----------
    path : Path
        The table.
    text_columns : tuple of str
        Columns kept as text, so that labels such as ``01`` keep their zeros.
    """
    path = possible(path)
    if not path.is_file():
        raise StoreError(str(path), came="no such file", expected="a tab-separated table",
                         remedy="Run the step that makes it.")
    import pandas as pd  # most of the start-up time of every command, most of which read no table

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, index_col=False,
                               dtype=dict.fromkeys(text_columns, str))
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise StoreError(str(path), came=f"a table that cannot be read ({error})",
                         expected="tab-separated columns", remedy="Restore the file or make it again.") from error
