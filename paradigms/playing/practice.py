"""Practice: a few trials of a paradigm with pictures that are not in the set, feedback on each, as often as wanted.

Nothing is locked to a scanner: the same command serves on a laptop and in the bore. What was answered is kept beside
the subject's profile and is no run.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

from paradigms.devices.protocols import Clock, Display, Frame, HardwareClock, Pixels, Press, ResponseDevice
from paradigms.emulation.participant import SimulatedParticipant
from paradigms.emulation.scanner_and_display import RecordingDisplay, VirtualClock
from paradigms.playing.assembly import find_place, real_devices
from paradigms.tasks.catalogue import task_of
from paradigms.tasks.protocol import PracticePicture, PracticeTrial, Task
from paradigms.texts.pictures import TextScreen
from paradigms.texts.screens import Texts, load_texts, screen_frame, screen_id, task_screen
from stimuli.manifest import read_manifest
from stimuli.texture_table import read_practice
from subjects.errors import ManifestError
from subjects.layout import Layout
from subjects.profile import SubjectProfile, load_profile, require_virtual
from subjects.provenance import rng
from subjects.settings.study import Settings
from subjects.store import write_json

FEEDBACK_S, POLL_S, WAIT_S = 0.8, 0.005, 0.05
RIGHT, WRONG, NONE, MISSED, EARLY = "right", "wrong", "none", "missed", "early"
BEGIN, OVER = "practice-begin", "practice-over"


class Stopped(Exception):  # noqa: N818 - an end, not a fault
    """The operator ended the practice."""


@dataclass(frozen=True)
class Answered:
    """How a trial of practice was answered: what was said of it, and when, in seconds from what asked."""

    said: str
    response_time: float | None


@dataclass(frozen=True)
class Practised:
    """A subject's practice of a task, round by round."""

    task: str
    rounds: tuple[tuple[Answered, ...], ...]

    def summary(self) -> str:
        """Say it in one line."""
        told = [f"{sum(one.said == RIGHT for one in trials)} of {len(trials)}" for trials in self.rounds]
        return f"practice of {self.task}: " + (f"right in {', then '.join(told)}" if told else "not begun")


@dataclass
class Stage:
    """The machines of a practice, and what its screens say."""

    clock: Clock
    display: Display
    responses: ResponseDevice
    task: Task
    abort_key: str
    participant: SimulatedParticipant | None = None
    frame: Frame | None = field(default=None)

    def show(self, frame: Frame) -> float:
        """Show a frame at once."""
        self.frame = frame
        self.display.draw(frame)
        return self.display.flip()

    def show_screen(self, name: str, *, blank: Frame) -> None:
        """Show a screen of text."""
        self.show(screen_frame(blank, name=name, height_px=self.display.size_px[1]))

    def preload(self, name: str, picture: Pixels) -> None:
        """Take the picture of a screen."""
        self.display.preload({screen_id(name): picture}, height_px=float(self.display.size_px[1]))

    def first_press(self, *, until_s: float) -> Press | None:
        """Wait for a press of one of the task's keys; None if none comes in time.

        Raises
        ------
        Stopped
            At the operator's abort key.
        """
        while True:
            for press in self.responses.presses():
                if press.key == self.abort_key:
                    raise Stopped
                if press.key in self.task.keys:
                    return press
            now = self.clock.now()
            if now >= until_s:
                return None
            self.display.require_open()
            self.clock.rest_until(min(until_s, now + POLL_S))


def practise(layout: Layout, settings: Settings, *, sub: str, task_name: str, display: str, fullscreen: bool = True,
             rounds: int | None = None) -> Practised:
    """Let a subject practise a paradigm with their own buttons.

    Parameters
    ----------
    layout, settings
        The study.
    sub : str
        The subject, whose buttons may be exchanged.
    task_name : str
        Which paradigm.
    display : {"window", "virtual"}
        The subject's screen; or nowhere, in virtual time, with a simulated participant.
    fullscreen : bool
        Whether the window fills the screen.
    rounds : int, optional
        How many rounds; default: as many as the subject begins, until the operator's abort key.

    Returns
    -------
    Practised
        The rounds that were played to their end.

    Raises
    ------
    StudyError
        Before anything is shown: for a picture that is in the set, texts that cannot be drawn, devices that are not
        there.
    """
    profile, task = load_profile(layout, sub), task_of(task_name, settings)
    pictures = practice_pictures(layout)
    texts = load_texts(layout, settings)
    done: list[tuple[Answered, ...]] = []
    with _kept(layout, sub=sub, task_name=task_name, done=done), \
            _staged(settings, profile=profile, task=task, display=display, fullscreen=fullscreen) as stage:
        stage.display.preload({one.picture_id: one.pixels for one in pictures})
        with contextlib.suppress(Stopped):
            while rounds is None or len(done) < rounds:
                trials = task.practice(profile=profile, pictures=pictures, rng=rng(
                    settings.study.seed, sub, "practice", task_name, len(done)),
                    n_trials=settings.instructions.practice_trials)
                blank = trials[0].frames[0][0]
                if not done:
                    _prepare(stage, texts, profile=profile, background=blank.background)
                done.append(_play_round(stage, trials, first=not done))
                _show_over(stage, texts, answered=done[-1], blank=trials[-1].frames[-1][0], last=len(done) == rounds)
    return Practised(task_name, tuple(done))


def practice_pictures(layout: Layout) -> list[PracticePicture]:
    """Read the practice pictures, and see that none of them is in the stimulus set.

    Raises
    ------
    ManifestError
        If there is none, or one is.
    """
    found = [PracticePicture(*one) for one in read_practice(layout.stimuli)]
    known = {one.image_id for one in read_manifest(layout.manifest).stimuli}
    for one in found:
        if one.picture_id in known:
            raise ManifestError(str(layout.stimuli / "practice" / one.class_name),
                                came=f"a picture of the set ({one.picture_id})",
                                expected="pictures that no run shows", remedy="Take it out; nothing was shown.")
    return found


@contextlib.contextmanager
def _staged(settings: Settings, *, profile: SubjectProfile, task: Task, display: str,
            fullscreen: bool) -> Iterator[Stage]:
    if display == "virtual":
        require_virtual(profile, what="for simulated practice")
        clock = VirtualClock()
        simulated = SimulatedParticipant(clock, answers={}, answering=settings.participant,
                                         rng=rng(settings.study.seed, profile.sub, "practising participant"))
        screen = RecordingDisplay(clock, size_px=(settings.display.width_px, settings.display.height_px),
                                  refresh_hz=settings.display.refresh_hz)
        screen.open()
        simulated.open()
        yield Stage(clock, screen, simulated, task, settings.main.abort_key, simulated)
        return
    hardware = HardwareClock()
    place = find_place(settings, display=display, fullscreen=fullscreen)
    with real_devices(settings, clock=hardware, scanner="keyboard", place=place, fullscreen=fullscreen,
                      every_key=True) as devices:
        yield Stage(hardware, devices.display, devices.responses, task, settings.main.abort_key)


def _prepare(stage: Stage, texts: Texts, *, profile: SubjectProfile, background: int) -> None:
    """Draw every screen before the first one is shown."""
    told, wording = task_screen(texts, stage.task, profile=profile), texts.wording
    stage.preload(BEGIN, texts.draw(TextScreen(told.title, told.paragraphs, told.buttons,
                                               wording.say("practice", "begin")), background=background))
    for said in (RIGHT, WRONG, NONE, MISSED, EARLY):
        stage.preload(said, texts.draw(TextScreen(wording.say("practice", said)), background=background))


def _play_round(stage: Stage, trials: Sequence[PracticeTrial], *, first: bool) -> tuple[Answered, ...]:
    """Play one round: the task and its trials with feedback on each."""
    blank = trials[0].frames[0][0]
    if first:
        stage.show_screen(BEGIN, blank=blank)
    if stage.participant is not None:
        stage.participant.press_each(stage.task.keys[:1])
    while stage.first_press(until_s=stage.clock.now() + WAIT_S) is None:
        pass
    answered = []
    for trial in trials:
        answered.append(_play_trial(stage, trial))
        stage.show_screen(answered[-1].said, blank=trial.frames[-1][0])
        stage.first_press(until_s=stage.clock.now() + FEEDBACK_S)
    return tuple(answered)


def _show_over(stage: Stage, texts: Texts, *, answered: Sequence[Answered], blank: Frame, last: bool) -> None:
    """Say how a round went; after the last one for a while, before the window closes."""
    wording = texts.wording
    title = wording.say("practice", "over", n_right=sum(one.said == RIGHT for one in answered), n=len(answered))
    again = () if last else (wording.say("practice", "again"),)
    stage.preload(OVER, texts.draw(TextScreen(title, again), background=blank.background))
    stage.show_screen(OVER, blank=blank)
    until_s = stage.clock.now() + texts.settings.instructions.closing_s
    while last and stage.clock.now() < until_s:
        stage.first_press(until_s=until_s)


def _play_trial(stage: Stage, trial: PracticeTrial) -> Answered:
    for frame, seconds in trial.frames[:-1]:
        until_s = stage.show(frame) + seconds
        while (press := stage.first_press(until_s=until_s)) is not None:
            if trial.waits:
                return Answered(EARLY, None)
    frame, seconds = trial.frames[-1]
    shown_s = stage.show(frame)
    if stage.participant is not None:
        wrong = next((key for key in stage.task.keys if key != trial.right), None)
        stage.participant.answer(trial.right, wrong=wrong, shown_s=shown_s)
    press = stage.first_press(until_s=shown_s + seconds)
    if press is None:
        return Answered(MISSED if trial.waits else NONE, None)
    return Answered(RIGHT if press.key == trial.right else WRONG, round(press.stamp_s - shown_s, 6))


@contextlib.contextmanager
def _kept(layout: Layout, *, sub: str, task_name: str, done: Sequence[tuple[Answered, ...]]) -> Iterator[None]:
    """Keep what was practised, however it ends: Ctrl-C and a window that is closed take no round away."""
    try:
        yield
    except BaseException:
        if done:
            _keep(layout, sub=sub, practised=Practised(task_name, tuple(done)))
        raise
    _keep(layout, sub=sub, practised=Practised(task_name, tuple(done)))


def _keep(layout: Layout, *, sub: str, practised: Practised, now: Callable[[], float] = time.time) -> None:
    """Keep the record of a practice in a new file."""
    number = 1
    while (path := layout.practice(sub, task=practised.task, number=number)).exists():
        number += 1
    write_json(path, {"task": practised.task, "wall": round(now(), 3),
                      "rounds": [[asdict(one) for one in trials] for trials in practised.rounds]})
