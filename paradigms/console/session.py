"""A whole session from one command: the planned runs in order, each in a process of its own, followed on disk.

The run is played by a child process that draws and records; this one asks, shows it and its verdict, and can be
lost without harm to the run. What is shown comes from the journal, so it is what is on disk.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console, RenderableType

from paradigms.console.panels import verdict_panel
from paradigms.console.preflight import confirmed_changes, last_report
from paradigms.console.run_process import Attempt, find_running, heard, interrupt
from paradigms.console.run_state import RunView
from paradigms.console.watching import watch, watched_run
from paradigms.devices.tracker import EYELINK
from paradigms.record.parts import open_trial
from paradigms.record.recovery import recover, settle
from paradigms.record.run_files import last_attempt
from paradigms.runlog import has_end
from paradigms.tasks.catalogue import task_of
from subjects.errors import RunLogError
from subjects.layout import Layout
from subjects.plan.checklist import Scan, tick
from subjects.plan.run_sheet import run_sheet
from subjects.plan.series_numbers import note_series, require_free_number
from subjects.plan.sheet_tables import session_panel
from subjects.run_key import RunKey
from subjects.settings.study import Settings

Ask = Callable[[str, Sequence[str]], str]
"""(question, choices, the first being the default) -> the choice."""
AskNumber = Callable[[str], "int | None"]
"""question -> the number; None where it is not known."""
Describe = Callable[["Played"], RenderableType | None]
"""What more is to be shown of an attempt that was played."""

START, SKIP, REPEAT, RESUME, ON, LEAVE = "start", "skip", "repeat", "resume", "go on", "leave"
CALIBRATE = "calibrate"
DONE, LATER = "done", "later"
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
    accepted : str
        Digest of the settings whose changes the operator has confirmed.
    """

    scanner: str
    display: str
    options: tuple[str, ...] = ()
    accepted: str = ""

    def command(self, layout: Layout, *, key: RunKey, how: str = START) -> list[str]:
        """Spell the command that plays one run: from its start, once more, or the rest of it."""
        words = [*self._words("run", layout, sub=key.sub, ses=key.ses), "--task", key.task, "--run", str(key.run)]
        accepted = ["--accept-settings", self.accepted] if self.accepted else []
        return [*words, "--quiet", *accepted, *([f"--{how}"] if how in (REPEAT, RESUME) else [])]

    def accepting(self, digest: str) -> Stage:
        """Give the stage whose runs accept that settings have changed, if they are those of a digest."""
        return replace(self, accepted=digest)

    def preflight(self, layout: Layout, *, sub: str, ses: str) -> list[str]:
        """Spell the command that looks at everything before a session."""
        return self._words("preflight", layout, sub=sub, ses=ses)

    def calibration(self, layout: Layout, *, sub: str, ses: str) -> list[str]:
        """Spell the command that calibrates the eye tracker."""
        kept = [word for before, word in zip(("", *self.options), self.options, strict=False)
                if word in ("--windowed", "--site") or before == "--site"]
        return [sys.executable, "-m", "run_session", "calibrate", "--study", str(layout.root), "--sub", sub, "--ses",
                ses, "--display", self.display, *kept]

    def _words(self, verb: str, layout: Layout, *, sub: str, ses: str) -> list[str]:
        return [sys.executable, "-m", "run_session", verb, "--study", str(layout.root), "--sub", sub, "--ses", ses,
                "--scanner", self.scanner, "--display", self.display, *self.options]


def pass_preflight(layout: Layout, *, sub: str, ses: str, stage: Stage, ask: Ask,
                   out: int | None = None) -> Stage | None:
    """Look at everything before a session, as often as the operator wants.

    The looking is done by a process of its own, which needs the subject's display; it shows its findings on this
    terminal (or writes them to the file descriptor `out`) and keeps them in sourcedata.

    Returns
    -------
    Stage or None
        Where the session plays; None if it does not begin. Where the operator goes on although settings have changed,
        its runs accept those settings, and no others: what is changed after the preflight was not shown to anyone.
    """
    while True:
        before = last_report(layout, sub=sub, ses=ses)
        done = subprocess.run(stage.preflight(layout, sub=sub, ses=ses), check=False, stdout=out)
        if done.returncode == 0:
            return stage
        answer = ask("the preflight found faults" if done.returncode == 1 else "the preflight could not be made",
                     (LEAVE, AGAIN, ANYWAY))
        if answer == ANYWAY:
            report = last_report(layout, sub=sub, ses=ses)
            return stage.accepting("" if report == before else confirmed_changes(report))
        if answer != AGAIN:
            return None


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
    ask_number : callable, optional
        Asks for a number of the scanner's series, None where it is not known. Without it neither series nor scans
        beside the runs are asked for: nothing is scanned.
    left : bool
        Whether the operator has left it.
    calibrated : bool
        Whether the eye tracker was calibrated in this session.
    """

    layout: Layout
    settings: Settings
    stage: Stage
    ask: Ask
    console: Console
    describe: Describe = _nothing_more
    ask_number: AskNumber | None = None
    left: bool = False
    calibrated: bool = False

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
        for item in list(sheet.session(ses)):
            if isinstance(item, Scan):
                self._see_scanned(item, sub=sub)
            elif not item.done and not self.left:
                self.show_progress(sub=sub, ses=ses)
                yield from self._play_planned(item.key, of=waiting)
        for item in run_sheet(self.layout, self.settings, sub=sub).scans:  # what was put off
            if item.ses == ses:
                self._see_scanned(item, sub=sub)

    def _play_planned(self, key: RunKey, *, of: Sequence[RunKey]) -> Iterator[Played]:
        """Ask what is to be done with a run that waits, and play it."""
        cut = open_trial(self.layout, key) if self._can_resume(key) else None
        state = f", cut short at trial {cut[0]} of {cut[1]}" if cut else ""
        answer = self._ask(f"{key.task} run {key.run} ({of.index(key) + 1} of {len(of)} to play{state}): "
                           "when the subject is ready", (START, *((RESUME,) if cut else ()), SKIP, LEAVE), of=key,
                           calibrate_first=not self.calibrated)
        self.left = answer == LEAVE
        if answer in (START, RESUME):
            yield from self._after(self.play_one(key, how=answer))

    def _ask(self, question: str, choices: Sequence[str], *, of: RunKey, calibrate_first: bool = False) -> str:
        """Ask what is to be done with a run; the eye tracker, if there is one, can be calibrated as often as is wanted.

        Before the first run that a session plays that is the first choice.
        """
        while self.tracks_eyes:
            answer = self.ask(question, (CALIBRATE, *choices) if calibrate_first else
                              (choices[0], CALIBRATE, *choices[1:]))
            if answer != CALIBRATE:
                return answer
            calibrate_first = False
            done = subprocess.run(self.stage.calibration(self.layout, sub=of.sub, ses=of.ses), check=False,
                                  capture_output=True, text=True)
            self.calibrated = True  # asked for once: whether it was good is what the operator sees
            self._tell((done.stderr if done.returncode else done.stdout).strip() or "the calibration was broken off")
        return self.ask(question, choices)

    @property
    def tracks_eyes(self) -> bool:
        """Say whether there is an eye tracker to calibrate: an emulated scanner's participant has no eyes."""
        return self.settings.hooks.tracker == EYELINK and self.stage.scanner != "emulated"

    def show_progress(self, *, sub: str, ses: str) -> None:
        """Show how far the session has come: runs and scans, what is done, and when what was ticked off."""
        self.console.print(session_panel(run_sheet(self.layout, self.settings, sub=sub), ses=ses))

    def _see_scanned(self, scan: Scan, *, sub: str) -> None:
        """Have a scan beside the runs ticked off, with the number of its series if it is known."""
        if self.ask_number is None or scan.done_wall is not None or self.left:
            return
        answer = self.ask(f"{scan.name}: when it has been scanned", (DONE, LATER, LEAVE))
        self.left = answer == LEAVE
        if answer == DONE:
            tick(self.layout, scan, sub=sub)
            self._ask_series(f"{scan.kind} {scan.number}", sub=sub, ses=scan.ses,
                             note=lambda number: tick(self.layout, scan, sub=sub, series=number))

    def _ask_series(self, what: str, *, sub: str, ses: str, note: Callable[[int], None]) -> None:
        """Ask for the scanner's series of something until it is one of its own, or is not known."""
        ask = self.ask_number
        while ask is not None and (number := ask(f"the scanner's series of {what}")) is not None:
            try:
                require_free_number(self.layout, number, sub=sub, ses=ses, mine=what)
            except RunLogError as error:
                self._tell(str(error))
                continue
            note(number)
            return

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
        state = "played" if journal.is_file() else "opened"
        self._tell(f"{key.task} run {key.run} is being {state} now (attempt {running.number}): following it")
        try:
            view = self._watch(journal, self.layout.schedule(key, attempt=running.number), alive=lambda: running.alive)
        except KeyboardInterrupt:
            self._tell("the run goes on; start `session` again to follow it")
            raise
        recovered = settle(self.layout, journal) if journal.is_file() else None
        if view is not None:
            self.console.print(verdict_panel(view))
        if recovered is not None:
            self._tell(recovered.summary())
        complete = journal.is_file() and has_end(journal, complete=True)
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
            key, attempt = played.key, played.attempt
            if self.layout.journal(key, attempt=attempt).is_file():
                self._ask_series(f"{key.task} run {key.run}, attempt {attempt}", sub=key.sub, ses=key.ses,
                                 note=partial(self._note_series, key, attempt))
            yield played
            rest = (RESUME,) if self._can_resume(key) else ()
            answer = self._ask(f"{key.task} run {key.run} is {'complete' if played.complete else 'not complete'}",
                               (ON, REPEAT, LEAVE) if played.complete else (REPEAT, *rest, ON, LEAVE), of=key)
            self.left = answer == LEAVE
            if answer not in (REPEAT, RESUME):
                return
            played = self.play_one(key, how=answer)

    def _note_series(self, key: RunKey, attempt: int, number: int) -> None:
        note_series(self.layout, key, attempt=attempt, number=number)

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
