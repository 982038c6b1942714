"""A run outlives its terminal: what it would have said there is lost, and nothing else."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from types import FrameType

STREAMS = (0, 1, 2)


@contextlib.contextmanager
def outliving_terminal() -> Iterator[None]:
    """Go on when the terminal is closed or the line to it is lost (SIGHUP), with nobody to read from or write to.

    Where hang-ups are ignored already (``nohup``, ``trap '' HUP``) a terminal that has gone is noticed at the end: what
    is said after the block fails nowhere. Without effect on Windows, which has no such signal, and outside the main
    thread.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    terminals = [number for number in STREAMS if _is_terminal(number)]

    def gone(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
        _lead_nowhere(terminals)

    before = signal.getsignal(signal.SIGHUP)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, gone)
    try:
        yield
    finally:
        if before is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, before)
        _lead_nowhere([stream for stream in terminals if not _is_terminal(stream)])


def _lead_nowhere(streams: list[int]) -> None:
    """Have nobody to read from and to write to behind some of the process's streams."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in streams:
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _is_terminal(stream: int) -> bool:
    try:
        return os.isatty(stream)
    except OSError:
        return False


def unfailing(bar: Iterable[object]) -> Iterator[object]:
    """Pass a progress bar's items on until it can no longer be drawn: its terminal or pipe may be gone."""
    with contextlib.suppress(OSError, ValueError):
        yield from bar
