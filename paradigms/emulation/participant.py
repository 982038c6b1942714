"""A simulated participant: sees what is flipped, and presses keys by the path that a real button box takes."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from numpy.random import Generator

from paradigms.devices.protocols import Clock, Frame, Press
from paradigms.schedule import Mark, Schedule
from subjects.provenance import rng as derived_rng
from subjects.settings.devices import ParticipantSettings

LEAST_RT_S = 0.15
Answer = tuple[str, str | None] | None
"""The right and the wrong key (None: a mistake is a miss) of one showing; None where nothing is asked."""


def simulated_answers(schedule: Schedule, *, keys: Sequence[str]) -> dict[str, tuple[Answer, ...]]:
    """Give what every showing of every image of a schedule asks for, in order.

    Parameters
    ----------
    schedule : Schedule
        Its events name the right key.
    keys : sequence of str
        The keys of the task: where there are two, the other one is wrong.
    """
    found: dict[str, list[Answer]] = {}
    for event in schedule.events:
        if event.image_id is not None:
            right = event.correct_key
            wrong = next((key for key in keys if key != right), None) if len(keys) == 2 else None
            found.setdefault(event.image_id, []).append(None if right is None else (right, wrong))
    return {image: tuple(answers) for image, answers in found.items() if any(answers)}


class SimulatedParticipant:
    """A participant who sees the display's flips and presses a key some time after what asks for one.

    Parameters
    ----------
    clock : Clock
        Whose time the presses follow.
    answers : mapping of str to sequence of Answer
        What each showing of an image asks for; further showings ask as the last one did.
    answering : ParticipantSettings
        Accuracy and reaction times.
    rng : Generator
        Their randomness.
    marks : sequence of Mark
        Changes of the fixation point's colour that are to be answered.
    """

    def __init__(self, clock: Clock, *, answers: Mapping[str, Sequence[Answer]], answering: ParticipantSettings,
                 rng: Generator,
                 marks: Sequence[Mark] = ()) -> None:
        self._clock, self._answering, self._rng = clock, answering, rng
        self._answers = {image: list(those) for image, those in answers.items()}
        self._marks = list(marks)
        self._last: Frame | None = None
        self._due: list[tuple[float, str]] = []
        self._open = False

    def open(self) -> None:
        """Sit ready."""
        self._open = True

    def close(self) -> None:
        """Leave."""
        self._open = False

    def see(self, frame: Frame, shown_s: float) -> None:
        """Look at what has just become visible (given to the display as its ``on_flip``)."""
        for press in self.react(frame, shown_s):
            self.press(press.key, at_s=press.stamp_s)

    def react(self, frame: Frame, shown_s: float) -> list[Press]:
        """Decide on the presses that a frame asks for: none where nothing is new, or for an omission."""
        before, self._last = self._last, frame
        asked = []
        if frame.image_id in self._answers and (before is None or before.image_id != frame.image_id):
            those = self._answers[frame.image_id]
            asked.append(those.pop(0) if len(those) > 1 else those[0])
        if before is not None and before.fixation_color != frame.fixation_color:
            asked.append(self._mark(frame.fixation_color))
        found = [self._decide(answer, shown_s) for answer in asked if answer is not None]
        return [press for press in found if press is not None]

    def _mark(self, color: tuple[int, int, int]) -> Answer:
        """Take the next mark of a colour; those before it were never seen."""
        k = next((k for k, mark in enumerate(self._marks) if mark.color == color), None)
        if k is None:
            return None
        key, self._marks = self._marks[k].correct_key, self._marks[k + 1:]
        return None if key is None else (key, None)

    def _decide(self, answer: tuple[str, str | None], shown_s: float) -> Press | None:
        how, rng = self._answering, self._rng
        omitted, right, reaction = rng.random(), rng.random(), rng.normal(how.rt_mean_s, how.rt_sd_s)
        key = answer[0] if right < how.accuracy else answer[1]
        if omitted < how.omission or key is None:
            return None
        return Press(shown_s + max(LEAST_RT_S, float(reaction)), key, "simulated participant")

    def answer(self, right: str, *, wrong: str | None, shown_s: float) -> None:
        """Answer what was just shown, as rightly and as late as this participant does."""
        press = self._decide((right, wrong), shown_s)
        if press is not None:
            self.press(press.key, at_s=press.stamp_s)

    def press(self, key: str, *, at_s: float) -> None:
        """Have a key pressed at a given time (for the abort key, or a script)."""
        heapq.heappush(self._due, (at_s, key))

    def press_each(self, keys: Sequence[str]) -> None:
        """Press some keys in turn, one every half second from now on."""
        for k, key in enumerate(keys, start=1):
            self.press(key, at_s=self._clock.now() + 0.5 * k)

    def presses(self) -> list[Press]:
        """Give the presses that are due."""
        given = []
        while self._open and self._due and self._due[0][0] <= self._clock.now():
            stamp, key = heapq.heappop(self._due)
            given.append(Press(stamp, key, "simulated participant"))
        return given


def seat_participant(answering: ParticipantSettings, *, schedule: Schedule, keys: Sequence[str],
                     clock: Clock) -> SimulatedParticipant:
    """Seat a participant who knows what a schedule asks for and answers as the settings say.

    Parameters
    ----------
    answering : ParticipantSettings
        Accuracy and reaction times.
    schedule : Schedule
        What will be shown, and the right answers.
    keys : sequence of str
        The keys of the task.
    clock : Clock
        Whose time the presses follow.
    """
    return SimulatedParticipant(clock, answers=simulated_answers(schedule, keys=keys), answering=answering,
                                rng=derived_rng(schedule.seed, "participant"), marks=schedule.marks)
