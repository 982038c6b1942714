"""Writes a run's journal: append-only lines that outlive the process, the power, and a disk without room.

A line is handed to the operating system the moment it is written and flushed to the disk at the edges of a run and
once a second in between. When the disk refuses one, the run goes on: what waits is kept in memory and tried again
at every line, and a whole copy is kept in the computer's folder for temporary files, from which ``recover`` brings
it back should the disk never have room again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from paradigms.devices.protocols import Clock
from subjects.errors import RunLogError
from subjects.store import as_bytes, plain, try_lock, write_bytes

if TYPE_CHECKING:
    from typing_extensions import Self

log = logging.getLogger(__name__)
SYNC_S = 1.0


class Journal:
    """An append-only journal.

    Parameters
    ----------
    path : Path
        A new file; its folder is made.
    clock : Clock
        Stamps the lines.

    Attributes
    ----------
    refusal : OSError or None
        What the disk said when it first refused a line.

    Raises
    ------
    RunLogError
        If the file exists: a record is never written over.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self.path, self._clock = Path(path), clock
        self.refusal: OSError | None = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file: int | None = os.open(
                self.path, as_bytes(os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL), 0o644)
        except FileExistsError:
            raise RunLogError(str(self.path), came="a journal that exists already", expected="a new attempt",
                              remedy="Start the run again with --repeat; nothing was written.") from None
        try_lock(self._file)
        self._waiting = b""
        self._copy: int | None = None
        self._synced, self._dirty = time.monotonic(), True

    def write(self, kind: str, *, t: float | None = None, sync: bool = False, **fields: object) -> None:
        """Append one line.

        Parameters
        ----------
        kind : str
            What happened.
        t : float, optional
            When, in the clock's seconds. Default: now.
        sync : bool
            Flush to the disk now.
        **fields
            Whatever belongs to it.
        """
        if self._file is None:
            raise RunLogError(str(self.path), came=f"a line of kind {kind!r} after closing", expected="an open journal",
                              remedy="Report this as a fault of the toolkit.")
        stamp = self._clock.now() if t is None else t
        line = json.dumps({"kind": kind, "t": round(stamp, 6), "wall": round(self._clock.wall(), 6), **fields},
                          default=plain, separators=(",", ":"), ensure_ascii=False) + "\n"
        data = line.encode("utf-8")
        self._dirty = True
        self._waiting += data
        self._write_copy(data)
        self._hand_over()
        if sync:
            self.sync()

    def _hand_over(self) -> None:
        """Give the operating system what waits; a line that was cut goes on where it stopped."""
        try:
            while self._waiting and self._file is not None:
                self._waiting = self._waiting[os.write(self._file, self._waiting):]
        except OSError as error:
            self._refused(error)

    def _refused(self, error: OSError) -> None:
        """Begin a copy elsewhere when the disk refuses for the first time."""
        if self.refusal is not None:
            return
        self.refusal = error
        log.error("%s: %s; the run goes on, its record is kept in %s", self.path, error.strerror, copy_of(self.path))
        with contextlib.suppress(OSError):
            self._copy = os.open(copy_of(self.path), as_bytes(os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 0o600)
            self._write_copy(self.path.read_bytes() + self._waiting)

    def _write_copy(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the last resort has none of its own; the lines wait in memory too
            while data and self._copy is not None:
                data = data[os.write(self._copy, data):]

    def sync(self) -> None:
        """Flush to the disk what was written."""
        if self._file is None:
            return
        self._hand_over()
        try:
            os.fsync(self._file)
        except OSError as error:
            self._refused(error)
        self._synced, self._dirty = time.monotonic(), bool(self._waiting)

    def sync_if_due(self) -> None:
        """Flush if lines have waited for a second. To be called when nothing urgent is at hand: a disk may be slow."""
        if self._dirty and time.monotonic() - self._synced >= SYNC_S:
            self.sync()

    def close(self) -> None:
        """Flush and close; may be called twice.

        Raises
        ------
        RunLogError
            If the disk still refuses a part of the record; the whole of it is in the copy that is named.
        """
        if self._file is None:
            return
        self.sync()
        os.close(self._file)
        self._file = None
        copied = self._copy is not None
        if self._copy is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._copy)
            os.close(self._copy)
            self._copy = None
        if self._waiting:
            where = copy_of(self.path) if copied else "nowhere: the folder for temporary files refused it too"
            raise RunLogError(str(self.path), came=f"{getattr(self.refusal, 'strerror', '')}, {len(self._waiting)} "
                              f"bytes of the record are not in it", expected="room for the record of the run",
                              remedy=f"Free some space, then `python run_session.py recover`; the whole record is in "
                                     f"{where}.")
        if copied:
            copy_of(self.path).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def copy_of(path: Path) -> Path:
    """Name the file in which a journal is kept whole when its disk refuses it."""
    digest = hashlib.sha256(str(Path(path).resolve()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"adversarial-fmri-{digest}_{Path(path).name}"


def restore(path: Path) -> bool:
    """Bring a journal back from its copy, if there is one that goes on where it stops.

    Parameters
    ----------
    path : Path
        A journal that no process writes.

    Returns
    -------
    bool
        Whether lines were brought back. The copy is taken away once the journal is whole.
    """
    copy = copy_of(path)
    if not copy.is_file():
        return False
    kept, known = copy.read_bytes(), path.read_bytes()
    more = kept.startswith(known) and len(kept) > len(known)
    if more:
        write_bytes(path, kept, overwrite=True)
    copy.unlink()
    return more
