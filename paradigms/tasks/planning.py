"""What the tasks with their own runs and textures share when they are planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

from numpy.random import Generator

from paradigms.devices.protocols import Frame
from paradigms.runlog import Record
from paradigms.schedule import Schedule
from paradigms.tasks.protocol import PracticePicture, PracticeTrial
from paradigms.tasks.scoring import Judged, Score, score_detection
from subjects.errors import ScheduleError
from subjects.layout import Layout
from subjects.profile import SubjectProfile
from subjects.provenance import digest_json
from subjects.run_key import RunKey, label
from subjects.settings.paradigms import Color, FixationTask
from subjects.settings.study import Settings


class Texture(Protocol):
    """A row of the table of textures, as far as the paradigms need it."""

    @property
    def texture_id(self) -> str:
        """Digest of its pixels."""

    @property
    def file(self) -> str:
        """Its file, relative to the stimuli folder."""

    @property
    def kind(self) -> str:
        """What it shows."""


def textures_digest(textures: Sequence[Texture]) -> str:
    """Digest a table of textures."""
    return digest_json([(one.texture_id, one.file, one.kind) for one in textures])


@dataclass(frozen=True)
class DetectionTask:
    """What retinotopic mapping and the two localizers share: a press for every change, runs that cannot be resumed.

    A task of this kind names itself and its levels, and plans and draws its runs.

    Parameters
    ----------
    settings : Settings
        Those in force.
    """

    settings: Settings
    name: ClassVar[str]

    @property
    def section(self) -> FixationTask:
        """The task's own settings."""
        section = self.settings.paradigms()[self.name]
        assert isinstance(section, FixationTask)
        return section

    @property
    def keys(self) -> tuple[str, ...]:
        """The one key that answers."""
        return (self.section.press_key,)

    @property
    def texts(self) -> str:
        """The texts of the paradigm."""
        return self.name

    def meanings(self, profile: SubjectProfile) -> Mapping[str, str]:  # noqa: ARG002 - one key has nothing to exchange
        """Give the one key that answers."""
        return {"press": self.section.press_key}

    @property
    def response_window_s(self) -> float:
        """The time in seconds in which a change, or a repeated image, is to be answered."""
        return self.section.hit_window_s

    @property
    def resume_lead_s(self) -> float | None:
        """None: no run can be resumed, since its movie and its marks cannot be shifted."""
        return None

    @property
    def judged(self) -> Judged:
        """Every answer counts alike."""
        return Judged(least_right=self.section.least_hits)

    def practice(self, *, profile: SubjectProfile, pictures: Sequence[PracticePicture],  # noqa: ARG002 - one key
                 n_trials: int, rng: Generator) -> Sequence[PracticeTrial]:
        """Let the point change its colour once a trial, after a time of chance, on pictures in turn."""
        section, trials = self.section, []
        colors, color = section.fixation_colors, int(rng.integers(len(section.fixation_colors)))
        for k in range(n_trials):
            image_id = pictures[k % len(pictures)].picture_id if pictures else None
            before = self.practice_frame(image_id, color=colors[color], rng=rng)
            color = (color + int(rng.integers(1, len(colors)))) % len(colors)
            waited_s = float(rng.uniform(section.change_min_s, min(section.change_max_s, section.change_min_s + 2.0)))
            trials.append(PracticeTrial(((before, waited_s), (replace(before, fixation_color=colors[color]),
                                                              section.hit_window_s)), section.press_key, waits=True))
        return tuple(trials)

    def practice_frame(self, image_id: str | None, *, color: Color, rng: Generator) -> Frame:
        """Say what is drawn in practice: each task its own background and size."""
        raise NotImplementedError

    def score(self, records: Sequence[Record], schedule: Schedule) -> Sequence[Score]:
        """Score the presses against the changes, or the repeated images."""
        return (score_detection(records, schedule, window_s=self.response_window_s),)

    def write_outputs(self, layout: Layout, *, schedule: Schedule,  # noqa: ARG002 - a task's signature
                      records: list[Record]) -> Sequence[Path]:  # noqa: ARG002
        """Write nothing: the events table says all."""
        return ()


def require_run(counts: Sequence[int], *, key: RunKey) -> None:
    """Refuse a run that is not planned.

    Parameters
    ----------
    counts : sequence of int
        Runs of the task in session 01, 02, ...
    key : RunKey
        Which run.

    Raises
    ------
    ScheduleError
        If there is no such session or run.
    """
    planned = {label("ses", k + 1): count for k, count in enumerate(counts)}
    if key.ses not in planned:
        raise ScheduleError("session", came=repr(key.ses), expected=f"one of {', '.join(planned) or 'none planned'}",
                            remedy="See `python -m subjects plan`.")
    if key.run > planned[key.ses]:
        raise ScheduleError(f"run of session {key.ses}", came=str(key.run), expected=f"1 to {planned[key.ses]}",
                            remedy="See `python -m subjects plan`.")
