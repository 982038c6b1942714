"""The process that plays a run: started so that it outlives whoever started it, ended on request, found again."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from paradigms.devices.platforms.system import of_its_own
from paradigms.record.run_files import find_claim
from subjects.layout import Layout, key_of
from subjects.run_key import RunKey
from subjects.store import is_locked


@contextlib.contextmanager
def heard(command: list[str]) -> Iterator[tuple[subprocess.Popen[str], Callable[[], tuple[str, str]]]]:
    """Start a process of its own session, whose words go to files.

    It has no terminal: one that is closed, a line that is lost and Ctrl-C do not reach it, nor does the end of this
    process. A pipe that nobody empties would hold it up in the middle of a run.

    Yields
    ------
    child : subprocess.Popen
    told : callable
        Gives what it has written to standard output and standard error so far.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        def told() -> tuple[str, str]:
            out.seek(0)
            err.seek(0)
            return out.read(), err.read()

        yield _start(command, out=out.fileno(), err=err.fileno()), told


def _start(command: list[str], *, out: int, err: int) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, text=True, **of_its_own())


def interrupt(child: subprocess.Popen[str]) -> None:
    """End a run as Ctrl-C does: it records the interruption and keeps what was shown."""
    if sys.platform == "win32":
        child.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        child.send_signal(signal.SIGINT)


@dataclass(frozen=True)
class Attempt:
    """One attempt at a run that some process is opening or playing now."""

    layout: Layout
    key: RunKey
    number: int

    @property
    def journal(self) -> Path:
        """Its record, which may not be there yet."""
        return self.layout.journal(self.key, attempt=self.number)

    @property
    def alive(self) -> bool:
        """Whether the process that plays it is there: it holds the journal or, before and after that, its claim."""
        held = self.journal.is_file() and is_locked(self.journal)
        return held or find_claim(self.layout, sub=self.key.sub) == (self.key, self.number)


def find_running(layout: Layout, *, sub: str) -> Attempt | None:
    """Find the attempt that is being opened or played for a subject now, whoever started it; None if there is none."""
    for journal in sorted(layout.root.glob(f"sourcedata/sub-{sub}/ses-*/*_journal.jsonl")):
        named = key_of(journal)
        if named is not None and is_locked(journal):
            return Attempt(layout, *named)
    claim = find_claim(layout, sub=sub)
    return None if claim is None else Attempt(layout, *claim)
