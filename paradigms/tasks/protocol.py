"""What a paradigm is: one object that owns how its runs are planned, drawn, answered, scored and written out.

A new paradigm is a module here that offers a class of such objects, made with the settings (one line in
:mod:`paradigms.tasks.catalogue` names it), and a section of the settings
(:class:`~subjects.settings.paradigms.ParadigmSettings`) that tells the run sheet its runs and their lengths. Nothing
else asks which paradigm it has before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from numpy.random import Generator

from paradigms.devices.protocols import Frame, Pixels
from paradigms.program import Program
from paradigms.runlog import Record
from paradigms.schedule import Schedule
from paradigms.tasks.scoring import Judged, Score
from stimuli.manifest import Manifest, Stimulus, read_manifest, read_pixels
from stimuli.texture_table import Texture, TextureTable, read_texture_pixels, read_textures
from subjects.layout import Layout
from subjects.profile import SubjectProfile
from subjects.run_key import RunKey


@dataclass(frozen=True)
class Picture:
    """A picture that a session needs.

    Parameters
    ----------
    kind : str
        ``"images"`` or ``"textures"``: the table that lists it.
    picture_id : str
        The name under which a schedule asks for it: the digest of its pixels.
    read : callable
        Reads its pixels and checks them against that digest.
    """

    kind: str
    picture_id: str
    read: Callable[[], Pixels]


@dataclass(frozen=True)
class PracticePicture:
    """A picture to practise with, which is not in the set: its class, its name for the display, its pixels."""

    class_name: str
    picture_id: str
    pixels: Pixels


@dataclass(frozen=True)
class PracticeTrial:
    """One trial of practice.

    Parameters
    ----------
    frames : tuple of (Frame, float)
        What is shown in turn, and for how many seconds; the last one until it is answered, if it is before.
    right : str
        The key that answers the last frame rightly. A press before that frame is too early where `waits`, else it is
        none.
    waits : bool
        Whether the task is to wait for a change; else it is to judge a picture.
    """

    frames: tuple[tuple[Frame, float], ...]
    right: str
    waits: bool


@dataclass(frozen=True)
class Pictures:
    """What a study has to show; its tables are read when a paradigm asks for them."""

    layout: Layout

    @cached_property
    def manifest(self) -> Manifest:
        """The stimulus set."""
        return read_manifest(self.layout.manifest)

    @cached_property
    def textures(self) -> TextureTable:
        """The textures of retinotopic mapping and the LO localizer."""
        return read_textures(self.layout.textures)

    def image(self, stimulus: Stimulus) -> Picture:
        """Give an image of the stimulus set."""
        return Picture("images", stimulus.image_id, lambda: read_pixels(self.layout.stimuli, stimulus))

    def texture(self, texture: Texture) -> Picture:
        """Give a texture."""
        return Picture("textures", texture.texture_id, lambda: read_texture_pixels(self.layout.stimuli, texture))


class Task(Protocol):
    """A paradigm with the settings in force: it was made with them once, and is asked for nothing else.

    Attributes
    ----------
    name : str
        The BIDS label of the task, and the name of its section of the settings.
    levels : mapping of str to str
        What each ``trial_type`` of its events is.
    """

    @property
    def name(self) -> str:
        """Label of the task."""

    @property
    def levels(self) -> Mapping[str, str]:
        """What each ``trial_type`` is."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that answer; preflight has each of them pressed once."""

    @property
    def texts(self) -> str:
        """The table of the subject's texts that tells of this paradigm."""

    def meanings(self, profile: SubjectProfile) -> Mapping[str, str]:
        """Give what a subject can say with the buttons: meanings, as its texts name them, and their keys."""

    @property
    def response_window_s(self) -> float:
        """The time in seconds in which an event, or a change of the fixation point, is to be answered."""

    @property
    def judged(self) -> Judged:
        """The types of events whose answers tell of attention, and those of which nobody can see what is right."""

    @property
    def resume_lead_s(self) -> float | None:
        """The seconds before the first trial of a run that is resumed; None where no run can be resumed."""

    def make_schedule(self, *, key: RunKey, profile: SubjectProfile, pictures: Pictures) -> Schedule:
        """Plan one run, before anything is shown.

        Raises
        ------
        StudyError
            For a session or run that is not planned, or pictures that are not there.
        """

    def session_pictures(self, *, sub: str, ses: str, pictures: Pictures) -> Sequence[Picture]:
        """List every picture that the runs of a session may show; preflight reads them all."""

    def program(self, schedule: Schedule) -> Program:
        """Say what is drawn for a schedule, and when."""

    def practice(self, *, profile: SubjectProfile, pictures: Sequence[PracticePicture], n_trials: int,
                 rng: Generator) -> Sequence[PracticeTrial]:
        """Make trials to practise with."""

    def score(self, records: Sequence[Record], schedule: Schedule) -> Sequence[Score]:
        """Score a run, whole or cut off, from its journal: as a whole, or each type of event by itself."""

    def write_outputs(self, layout: Layout, *, schedule: Schedule, records: list[Record]) -> Sequence[Path]:
        """Write what the analysis needs of a run beside its events table, in the place of an earlier attempt's."""
