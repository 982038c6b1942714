"""The operator's terminal: what was typed is forgotten before a question, and not seen while a panel is up.

A button box or a trigger box that is a keyboard types into the terminal too.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

Load = Callable[[str], Any]


def is_typed() -> bool:
    """Say whether standard input is a terminal, and not a file or a pipe."""
    try:
        return os.isatty(sys.stdin.fileno())
    except (AttributeError, OSError, ValueError):  # no standard input, or one that is no file
        return False


def forget_typed(*, platform: str = sys.platform, load: Load = importlib.import_module) -> None:
    """Drop what was typed and not read yet; without effect where standard input is no terminal.

    Parameters
    ----------
    platform : str
        As ``sys.platform`` names it.
    load : callable
        Gives the platform's module, ``termios`` or ``msvcrt``.
    """
    if not is_typed():
        return
    if platform == "win32":
        msvcrt = load("msvcrt")
        while msvcrt.kbhit():
            msvcrt.getwch()
        return
    termios = load("termios")
    with contextlib.suppress(termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def _in_background(terminal: int) -> bool:
    if sys.platform == "win32":
        return False
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:  # it is not the terminal that controls this process
        return False


@contextlib.contextmanager
def typing_unseen(*, platform: str = sys.platform, load: Load = importlib.import_module) -> Iterator[None]:
    """Keep what is typed off the screen for as long as the block lasts, and forget it; Ctrl-C still works.

    Windows shows nothing of what is typed before it is read. A process in the background leaves the terminal alone.
    """
    if platform == "win32" or not is_typed():
        yield
        forget_typed(platform=platform, load=load)
        return
    termios, terminal = load("termios"), sys.stdin.fileno()
    try:
        before = None if _in_background(terminal) else termios.tcgetattr(terminal)
    except termios.error:
        before = None
    if before is None:
        yield
        return
    unseen = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(terminal, termios.TCSANOW, unseen)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcflush(terminal, termios.TCIFLUSH)
            termios.tcsetattr(terminal, termios.TCSANOW, before)
