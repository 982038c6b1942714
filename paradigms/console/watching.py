"""A run as it is played, shown from its journal: a panel in a terminal, plain lines in a file or a pipe.

:func:`shown_beside` has a process of its own do that for a run that this process plays: drawing a panel takes no time
from the subject's display, and whatever happens to the picture on the operator's screen happens to that alone.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import logging.handlers
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.live import Live

from paradigms.console.panels import live_panel, plain_lines
from paradigms.console.run_state import RunView, fold, follow
from paradigms.devices.platforms.system import of_its_own
from paradigms.devices.platforms.terminals import typing_unseen
from paradigms.record.changes import Changes
from paradigms.record.plans import read_schedule
from paradigms.tasks.catalogue import task_of
from subjects.layout import key_of
from subjects.settings.display import DisplaySettings
from subjects.settings.study import Settings

END_S = 10.0


@dataclass(frozen=True)
class Watched:
    """A run that is to be shown, as far as its journal does not tell.

    Parameters
    ----------
    journal, plan : str
        Paths; they may not be there yet.
    opening : str
        What is being opened before the journal is there.
    frame_s, window_s : float
        As for a :class:`~paradigms.console.run_state.RunView`, and
    attention : tuple of str
        likewise, as are
    least_right, least_answered : float
        the bounds of the verdict.
    bounds : dict of str to float
        The settings that say how many changes of the display may be late or skipped.
    real : bool
        Whether the run's clock is the computer's.
    """

    journal: str
    plan: str
    opening: str
    frame_s: float
    window_s: float
    attention: tuple[str, ...] = ()
    least_right: float = 0.5
    least_answered: float = 0.8
    real: bool = True
    bounds: dict[str, float] = field(default_factory=dict)


def watched_run(settings: Settings, *, journal: Path, plan: Path, scanner: str, display: str) -> Watched:
    """Say how a run is to be shown that is about to be played, or is being played.

    The task is named by the plan's file, which may not be there yet.
    """
    named = key_of(journal)
    if named is None:
        raise ValueError(f"{journal.name} is no run's journal")
    task = task_of(named[0].task, settings)
    return Watched(str(journal), str(plan), opening=f"opening the {display} display and the {scanner} trigger",
                   frame_s=1.0 / settings.display.refresh_hz, window_s=task.response_window_s,
                   attention=tuple(sorted(task.judged.attention)), least_right=task.judged.least_right,
                   least_answered=task.judged.least_answered, real=display != "virtual",
                   bounds=settings.display.model_dump(include={"most_skipped", "longest_gap_s", "most_late"}))


class _Shown(Protocol):
    """Where a view is shown."""

    def update(self, view: RunView | None) -> None:
        """Show it; none before the run has begun."""


def watch(watched: Watched, *, alive: Callable[[], bool], console: Console) -> RunView | None:
    """Show a run until its process ends; give the last view, None if it never began.

    Parameters
    ----------
    watched : Watched
    alive : callable
        Whether it is still played.
    console : rich.console.Console
        Where it is shown: as a panel in a terminal, else in lines.
    """
    view: RunView | None = None
    plan = Path(watched.plan)
    with _panel(watched, console) if console.is_terminal else contextlib.nullcontext(_Lines(watched, console)) as shown:
        for records in follow(Path(watched.journal), alive=alive):
            if view is None and plan.is_file():
                view = RunView(read_schedule(plan), frame_s=watched.frame_s, window_s=watched.window_s,
                               attention=frozenset(watched.attention), least_right=watched.least_right,
                               least_answered=watched.least_answered, changes=Changes(watched.frame_s),
                               bounds=DisplaySettings.model_validate(watched.bounds))
            if view is not None:
                view = functools.reduce(fold, records, view)
            shown.update(view)
    return view


@contextlib.contextmanager
def _panel(watched: Watched, console: Console) -> Iterator[_Shown]:
    with typing_unseen(), Live(console=console, refresh_per_second=8, transient=True) as live:
        yield _Panel(watched, live, console)


@dataclass
class _Panel:
    """A panel that is drawn anew in place."""

    watched: Watched
    live: Live
    console: Console

    def update(self, view: RunView | None) -> None:
        """Draw it."""
        now_s = time.monotonic() if self.watched.real else None
        self.live.update(f"{self.watched.opening} ..." if view is None else
                         live_panel(view, now_s=now_s, width=self.console.width))


@dataclass
class _Lines:
    """Lines, each written once."""

    watched: Watched
    console: Console
    said: tuple[str, ...] = ()

    def update(self, view: RunView | None) -> None:
        """Write the lines that are new."""
        lines = (self.watched.opening,) if view is None else plain_lines(view)
        for line in lines:
            if line not in self.said:
                self.console.print(line, highlight=False, markup=False)
        self.said = tuple(dict.fromkeys((*self.said, *lines)))


@contextlib.contextmanager
def shown_beside(watched: Watched, *, err: bool = False) -> Iterator[None]:
    """Have a run shown by a process of its own for as long as the block lasts.

    What this process would log meanwhile is held back where it would be written through the panel.

    Parameters
    ----------
    watched : Watched
    err : bool
        Show it on standard error.
    """
    out = sys.stderr if err else sys.stdout
    try:
        viewer = _start(watched, out=out.fileno())
    except (OSError, ValueError):  # no such output, or one that is no file
        yield
        return
    try:
        with typing_unseen(), _logs_held(when=out.isatty() and sys.stderr.isatty()):
            try:
                yield
            finally:
                _end(viewer)
    finally:
        viewer.wait()


def _start(watched: Watched, *, out: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "paradigms.console.watching", json.dumps(asdict(watched))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, text=True, cwd=Path(__file__).parents[2],
                            **of_its_own())


def _end(viewer: subprocess.Popen[str]) -> None:
    """Tell the viewer that the run has ended, and wait until it has shown that."""
    if viewer.stdin is not None:
        with contextlib.suppress(OSError):
            viewer.stdin.close()
    try:
        viewer.wait(END_S)
    except subprocess.TimeoutExpired:
        viewer.kill()


@contextlib.contextmanager
def _logs_held(*, when: bool) -> Iterator[None]:
    """Keep log lines until the block has ended, if they would go through a panel."""
    root, handlers = logging.getLogger(), logging.getLogger().handlers[:]
    held = [logging.handlers.MemoryHandler(100_000, flushLevel=logging.CRITICAL + 1, target=one) for one in handlers]
    if not when:
        yield
        return
    root.handlers[:] = held
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for one in held:
            one.close()


def main() -> None:
    """Show the run that the first argument describes, until standard input is closed; the viewer's own process."""
    watched = Watched(**json.loads(sys.argv[1]))
    over = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    with contextlib.suppress(OSError):  # the terminal is gone: the run goes on
        watch(watched, alive=lambda: not over.is_set(), console=Console())


if __name__ == "__main__":
    main()
