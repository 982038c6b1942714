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
from subjects.plan.run_sheet import run_sheet
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


def _nothing_more(_: Played) -> None:
    """Show no more than the verdict."""


@dataclass
class Session:
    """Walks through a subject's session as the operator answers.

    Parameters
    ----------
    layout, settings
        The study.
    stage : Stage
        Devices of every run.
    ask : callable
        Asks the operator.
    console : Console
        The operator's terminal.
    describe : callable
        Gives what is shown after each verdict, for example the design that the attempt will give. What goes wrong in
        it is told and ends nothing.
    left : bool
        Whether the operator has left it.
    """

    layout: Layout
    settings: Settings
    stage: Stage
    ask: Ask
    console: Console
    describe: Describe = _nothing_more
    left: bool = False

    def play(self, *, sub: str, ses: str) -> Iterator[Played]:
        """Play the planned runs of a session.

        A run that is being played already (by a session whose terminal was closed, for example) is followed first.

        Yields
        ------
        Played
            Every attempt. Runs that were completed before are passed over.
        """
        running = find_running(self.layout, sub=sub)
        if running is not None:
            yield from self._after(self.follow(running))
        sheet = run_sheet(self.layout, self.settings, sub=sub)
        waiting = [run.key for run in sheet.runs if run.ses == ses and not run.done]
        for k, key in enumerate(waiting, start=1):
            if self.left:
                return
            cut = open_trial(self.layout, key) if self._can_resume(key) else None
            state = f", cut short at trial {cut[0]} of {cut[1]}" if cut else ""
            answer = self.ask(f"{key.task} run {key.run} ({k} of {len(waiting)} to play{state}): "
                              "when the subject is ready", (START, *((RESUME,) if cut else ()), SKIP, LEAVE))
            self.left = answer == LEAVE
            if answer in (START, RESUME):
                yield from self._after(self.play_one(key, how=answer))

    def play_one(self, key: RunKey, *, how: str = START) -> Played:
        """Play one run in a process of its own, show it while it is played, and then its verdict.

        `how` is ``"start"``, ``"repeat"`` or ``"resume"``. The process outlives this one and its terminal; Ctrl-C here
        ends the run, which records that.

        A run whose process was killed or crashed is recovered from its journal at once. Whether it is complete is what
        its journal says.
        """
        attempt = last_attempt(self.layout, key) + 1
        journal, plan = self.layout.journal(key, attempt=attempt), self.layout.schedule(key, attempt=attempt)
        with heard(self.stage.command(self.layout, key=key, how=how)) as (child, told):
            view = None
            try:
                view = self._watch(journal, plan, alive=lambda: child.poll() is None)
            except KeyboardInterrupt:
                interrupt(child)
            child.wait()
            out, err = told()
        if view is None and plan.is_file():
            view = self._watch(journal, plan, alive=lambda: False)
        said = (err or out).strip().splitlines()[-1:] or [f"ended with status {child.returncode}"]
        if view is not None:
            self.console.print(verdict_panel(view))
        if child.returncode not in (0, 1):
            self.console.print(said[0], style="bold red", highlight=False, markup=False)
            for one in recover(self.layout):
                self._tell(one.summary())
        return Played(key, attempt, complete=journal.is_file() and has_end(journal, complete=True), said=said[0])

    def follow(self, running: Attempt) -> Played:
        """Show a run that another process plays, until it ends, and then its verdict.

        Ctrl-C here ends the view alone.
        """
        key, journal = running.key, running.journal
        self._tell(f"{key.task} run {key.run} is being played now (attempt {running.number}): following it")
        try:
            view = self._watch(journal, self.layout.schedule(key, attempt=running.number), alive=lambda: running.alive)
        except KeyboardInterrupt:
            self._tell("the run goes on; start `session` again to follow it")
            raise
        recovered = settle(self.layout, journal)
        if view is not None:
            self.console.print(verdict_panel(view))
        if recovered is not None:
            self._tell(recovered.summary())
        complete = has_end(journal, complete=True)
        return Played(key, running.number, complete=complete, said="complete" if complete else "not complete")

    def _watch(self, journal: Path, plan: Path, *, alive: Callable[[], bool]) -> RunView | None:
        """Show the run until its process ends; give the last view, None if it never began."""
        watched = watched_run(self.settings, journal=journal, plan=plan, scanner=self.stage.scanner,
                              display=self.stage.display)
        return watch(watched, alive=alive, console=self.console)

    def _after(self, played: Played) -> Iterator[Played]:
        """Ask what is to be done after an attempt, and play the run again as often as that is wanted."""
        while True:
            self._show_more(played)
            yield played
            key = played.key
            rest = (RESUME,) if self._can_resume(key) else ()
            answer = self.ask(f"{key.task} run {key.run} is {'complete' if played.complete else 'not complete'}",
                              (ON, REPEAT, LEAVE) if played.complete else (REPEAT, *rest, ON, LEAVE))
            self.left = answer == LEAVE
            if answer not in (REPEAT, RESUME):
                return
            played = self.play_one(key, how=answer)

    def _can_resume(self, key: RunKey) -> bool:
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

    def _tell(self, said: str) -> None:
        self.console.print(said, highlight=False, markup=False)
