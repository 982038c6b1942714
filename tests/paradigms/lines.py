"""The far ends of the console's lines, for tests: a pty that plays a serial box, a parallel port whose level is set."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from paradigms.devices.platforms.status_ports import PINS


class SerialBox:
    """A box at the far end of a serial line: a pty pair."""

    def __init__(self) -> None:
        import tty

        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        self.port = os.ttyname(self._near)

    def send(self, data: bytes | str) -> float:
        """Send bytes; give the monotonic time just before."""
        before = time.monotonic()
        os.write(self._far, data.encode("latin-1") if isinstance(data, str) else data)
        return before

    def unplug(self) -> None:
        """Pull the plug; may be done twice."""
        for file in (self._near, self._far):
            if file >= 0:
                os.close(file)
        self._near = self._far = -1


class FakePort:
    """A parallel port whose level follows pulses that are written to a file, for another process to read.

    The file holds doubles: how many pulses, whether the port is gone, then start and end of each.
    """

    def __init__(self, path: Path, *, pin: int = 10, rests_high: bool = False, missing: bool = False) -> None:
        self.path, self.mask, self.rests_high, self.missing = path, PINS[pin], rests_high, missing
        np.zeros(4096).tofile(path)
        self._board: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_board": None}

    @property
    def board(self) -> Any:
        if self._board is None:
            self._board = np.memmap(self.path, dtype=np.float64, mode="r+")
        return self._board

    def open(self) -> None:
        if self.missing:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/dev/parport0")

    def close(self) -> None:
        self._board = None

    def pulse(self, *, after_s: float = 0.0, hold_s: float = 0.002) -> float:
        """Have a pulse begin, later than the one before; give its time."""
        at, n = time.monotonic() + after_s, int(self.board[0])
        self.board[2 + 2 * n:4 + 2 * n] = at, at + hold_s
        self.board[0] = n + 1
        return at

    def break_down(self) -> None:
        self.board[1] = 1

    def levels(self) -> int:
        board = self.board
        if board[1]:
            raise OSError(errno.ENODEV, "No such device")
        starts = board[2:2 + 2 * int(board[0]):2]
        k = int(np.searchsorted(starts, now := time.monotonic(), side="right")) - 1
        active = k >= 0 and now < board[3 + 2 * k]
        return self.mask if active != self.rests_high else 0


def settled(read, *, n: int, within_s: float = 5.0) -> list:  # type: ignore[no-untyped-def, type-arg]
    """Read until there are `n` things, or the time is over."""
    found, end = list(read()), time.monotonic() + within_s
    while len(found) < n and time.monotonic() < end:
        time.sleep(0.002)
        found += read()
    return found
