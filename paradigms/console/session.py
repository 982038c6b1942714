"""A whole session from one command: the planned runs in order, each in a process of its own, followed on disk.

The run is played by a child process that draws and records; this one asks, shows it and its verdict, and can be
lost without harm to the run. What is shown comes from the journal, so it is what is on disk.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, RenderableType

from paradigms.console.panels import verdict_panel
from paradigms.console.run_process import Attempt, find_running, heard, interrupt
from paradigms.console.run_state import RunView
from paradigms.console.watching import watch, watched_run
from paradigms.record.parts import open_trial
from paradigms.record.recovery import recover, settle
from paradigms.record.run_files import last_attempt
from paradigms.runlog import has_end
from paradigms.tasks.catalogue import task_of
from subjects.layout import Layout
from subjects.plan import run_sheet
from subjects.run_key import RunKey
from subjects.settings.study import Settings

Ask = Callable[[str, Sequence[str]], str]
"""(question, choices, the first being the default) -> the choice."""
Describe = Callable[["Played"], RenderableType | None]
"""What more is to be shown of an attempt that was played."""

START, SKIP, REPEAT, RESUME, ON, LEAVE = "start", "skip", "repeat", "resume", "go on", "leave"
AGAIN, ANYWAY = "look again", "go on anyway"


@dataclass(frozen=True)
class Played:
    """A run that was tried in a session.

    Parameters
    ----------
    key : RunKey
    attempt : int
        Which attempt it was.
    complete : bool
        Whether it was played to its end, as its journal says.
    said : str
        What the playing process said last.
    """

    key: RunKey
    attempt: int
    complete: bool
    said: str


@dataclass(frozen=True)
class Stage:
    """Where a session plays.

    Parameters
    ----------
    scanner, display : str
        As for a single run.
    options : tuple of str
        Further options of `run_session.py run`.
    """

    scanner: str
    display: str
    options: tuple[str, ...] = ()

    def command(self, layout: Layout, *, key: RunKey, how: str = START) -> list[str]:
        """Spell the command that plays one run: from its start, once more, or the rest of it."""
        words = [*self._words("run", layout, sub=key.sub, ses=key.ses), "--task", key.task, "--run", str(key.run)]
        return [*words, "--quiet", *([f"--{how}"] if how in (REPEAT, RESUME) else [])]

    def preflight(self, layout: Layout, *, sub: str, ses: str) -> list[str]:
        """Spell the command that looks at everything before a session."""
        return self._words("preflight", layout, sub=sub, ses=ses)

    def _words(self, verb: str, layout: Layout, *, sub: str, ses: str) -> list[str]:
        return [sys.executable, "-m", "run_session", verb, "--study", str(layout.root), "--sub", sub, "--ses", ses,
                "--scanner", self.scanner, "--display", self.display, *self.options]


def pass_preflight(layout: Layout, *, sub: str, ses: str, stage: Stage, ask: Ask, out: int | None = None) -> bool:
    """Look at everything before a session, as often as the operator wants; say whether it begins.

    The looking is done by a process of its own, which needs the subject's display; it shows its findings on this
    terminal (or writes them to the file descriptor `out`) and keeps them in sourcedata.
    """
    while True:
        done = subprocess.run(stage.preflight(layout, sub=sub, ses=ses), check=False, stdout=out)
        if done.returncode == 0:
            return True
        answer = ask("the preflight found faults" if done.returncode == 1 else "the preflight could not be made",
                     (LEAVE, AGAIN, ANYWAY))
        if answer != AGAIN:
            return answer == ANYWAY


def play_session(layout: Layout, settings: Settings, *, sub: str, ses: str, stage: Stage, ask: Ask,
                 console: Console, describe: Describe = lambda _: None) -> Iterator[Played]:
    """Play the planned runs of a session, as the operator answers.

    A run that is being played already (by a session whose terminal was closed, for example) is followed first.

    Parameters
    ----------
    layout, settings
        The study.
    sub, ses : str
        Subject and session.
    stage : Stage
        Devices of every run.
    ask : callable
        Asks the operator.
    console : Console
        The operator's terminal.
    describe : callable
        Gives what is shown after each verdict, for example the design that the attempt will give. What goes wrong in
        it is told and ends nothing.

    Yields
    ------
    Played
        Every attempt. Runs that were completed before are passed over.
    """
    walk = _Walk(layout, settings, stage=stage, ask=ask, console=console, describe=describe)
    running = find_running(layout, sub=sub)
    if running is not None:
        yield from walk.after(follow_run(layout, settings, running=running, stage=stage, console=console))
    waiting = [run.key for run in run_sheet(layout, settings, sub=sub).runs if run.ses == ses and not run.done]
    for k, key in enumerate(waiting, start=1):
        if walk.left:
            return
        cut = open_trial(layout, key) if walk.can_resume(key) else None
        state = f", cut short at trial {cut[0]} of {cut[1]}" if cut else ""
        answer = ask(f"{key.task} run {key.run} ({k} of {len(waiting)} to play{state}): when the subject is ready",
                     (START, *((RESUME,) if cut else ()), SKIP, LEAVE))
        walk.left = answer == LEAVE
        if answer in (START, RESUME):
            yield from walk.after(play_one(layout, settings, key=key, stage=stage, console=console, how=answer))


@dataclass
class _Walk:
    """A walk through a session; `left` once the operator has left it."""

    layout: Layout
    settings: Settings
    stage: Stage
    ask: Ask
    console: Console
    describe: Describe
    left: bool = False

    def after(self, played: Played) -> Iterator[Played]:
        """Ask what is to be done after an attempt, and play the run again as often as that is wanted."""
        while True:
            self._show_more(played)
            yield played
            key = played.key
            rest = (RESUME,) if self.can_resume(key) else ()
            answer = self.ask(f"{key.task} run {key.run} is {'complete' if played.complete else 'not complete'}",
                              (ON, REPEAT, LEAVE) if played.complete else (REPEAT, *rest, ON, LEAVE))
            self.left = answer == LEAVE
            if answer not in (REPEAT, RESUME):
                return
            played = play_one(self.layout, self.settings, key=key, stage=self.stage, console=self.console, how=answer)

    def can_resume(self, key: RunKey) -> bool:
        """Say whether runs of a task can be resumed."""
        return task_of(key.task, self.settings).resume_lead_s is not None

    def _show_more(self, played: Played) -> None:
        """Show what there is to be seen of an attempt; the session goes on whatever its record is like."""
        try:
            more = self.describe(played)
        except Exception as error:  # noqa: BLE001 - a look at a record, with the subject in the scanner
            more = f"nothing more to show of attempt {played.attempt}: {error}"
        if more is not None:
            self.console.print(more, highlight=False, markup=False)


def play_one(layout: Layout, settings: Settings, *, key: RunKey, stage: Stage, console: Console,
             how: str = START) -> Played:
    """Play one run in a process of its own, show it while it is played, and then its verdict.

    `how` is ``"start"``, ``"repeat"`` or ``"resume"``. The process outlives this one and its terminal; Ctrl-C here
    ends the run, which records that.

    A run whose process was killed or crashed is recovered from its journal at once. Whether it is complete is what
    its journal says.
    """
    attempt = last_attempt(layout, key) + 1
    journal, plan = layout.journal(key, attempt=attempt), layout.schedule(key, attempt=attempt)
    with heard(stage.command(layout, key=key, how=how)) as (child, told):
        view = None
        try:
            view = _watch(journal, plan, alive=lambda: child.poll() is None, settings=settings, stage=stage,
                          console=console)
        except KeyboardInterrupt:
            interrupt(child)
        child.wait()
        out, err = told()
    if view is None and plan.is_file():
        view = _watch(journal, plan, alive=lambda: False, settings=settings, stage=stage, console=console)
    said = (err or out).strip().splitlines()[-1:] or [f"ended with status {child.returncode}"]
    if view is not None:
        console.print(verdict_panel(view))
    if child.returncode not in (0, 1):
        console.print(said[0], style="bold red", highlight=False, markup=False)
        for one in recover(layout):
            console.print(one.summary(), highlight=False, markup=False)
    return Played(key, attempt, complete=journal.is_file() and has_end(journal, complete=True), said=said[0])


def follow_run(layout: Layout, settings: Settings, *, running: Attempt, stage: Stage, console: Console) -> Played:
    """Show a run that another process plays, until it ends, and then its verdict. Ctrl-C here ends the view alone."""
    key, journal = running.key, running.journal
    console.print(f"{key.task} run {key.run} is being played now (attempt {running.number}): following it",
                  highlight=False, markup=False)
    try:
        view = _watch(journal, layout.schedule(key, attempt=running.number), alive=lambda: running.alive,
                      settings=settings, stage=stage, console=console)
    except KeyboardInterrupt:
        console.print("the run goes on; start `session` again to follow it", highlight=False)
        raise
    recovered = settle(layout, journal)
    if view is not None:
        console.print(verdict_panel(view))
    if recovered is not None:
        console.print(recovered.summary(), highlight=False, markup=False)
    complete = has_end(journal, complete=True)
    return Played(key, running.number, complete=complete, said="complete" if complete else "not complete")


def _watch(journal: Path, plan: Path, *, alive: Callable[[], bool], settings: Settings, stage: Stage,
           console: Console) -> RunView | None:
    """Show the run until its process ends; give the last view, None if it never began."""
    watched = watched_run(settings, journal=journal, plan=plan, scanner=stage.scanner, display=stage.display)
    return watch(watched, alive=alive, console=console)
