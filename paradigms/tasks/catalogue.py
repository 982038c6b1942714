"""The four paradigms by name: how each is planned, from which pictures, and how it is played and described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from paradigms.devices.protocols import Pixels
from paradigms.program import Planner
from paradigms.schedule import BLANK, Schedule
from paradigms.tasks import lo_localizer as lo
from paradigms.tasks import main_task, retinotopy
from paradigms.tasks import motion_localizer as motion
from stimuli.manifest import Manifest, read_manifest, read_pixels
from stimuli.texture_table import TextureTable, read_texture_pixels, read_textures
from subjects.errors import ScheduleError, nearest
from subjects.layout import Layout
from subjects.profile import SubjectProfile
from subjects.settings.study import Settings


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

    def read(self, schedule: Schedule) -> dict[str, Pixels]:
        """Read every picture that a schedule shows, each checked against its digest.

        Returns
        -------
        dict of str to uint8 array, (height, width, 3)
        """
        if schedule.task == main_task.TASK:
            return {name: read_pixels(self.layout.stimuli, self.manifest.by_id(name)) for name in schedule.image_ids}
        if not schedule.image_ids:
            return {}
        rows = {row.texture_id: row for row in self.textures.rows}
        return {name: read_texture_pixels(self.layout.stimuli, rows[name]) for name in schedule.image_ids}


class Make(Protocol):
    """Plans one run."""

    def __call__(self, settings: Settings, *, pictures: Pictures, profile: SubjectProfile, ses: str,
                 run: int) -> Schedule:
        """Give its schedule."""


@dataclass(frozen=True)
class Task:
    """A paradigm.

    Parameters
    ----------
    make_schedule : callable
        Plans one run, before anything is shown.
    program : callable
        Says what is drawn for a schedule, and when.
    levels : mapping of str to str
        What each ``trial_type`` of its events is.
    """

    make_schedule: Make
    program: Planner
    levels: Mapping[str, str]


def _main(settings: Settings, *, pictures: Pictures, profile: SubjectProfile, ses: str, run: int) -> Schedule:
    return main_task.make_schedule(settings, manifest=pictures.manifest, profile=profile, ses=ses, run=run)


def _retinotopy(settings: Settings, *, pictures: Pictures, profile: SubjectProfile, ses: str, run: int) -> Schedule:
    return retinotopy.make_schedule(settings, textures=pictures.textures.rows, profile=profile, ses=ses, run=run)


def _lo(settings: Settings, *, pictures: Pictures, profile: SubjectProfile, ses: str, run: int) -> Schedule:
    return lo.make_schedule(settings, textures=pictures.textures.rows, profile=profile, ses=ses, run=run)


def _motion(settings: Settings, *, pictures: Pictures, profile: SubjectProfile, ses: str,  # noqa: ARG001 - dots alone
            run: int) -> Schedule:
    return motion.make_schedule(settings, profile=profile, ses=ses, run=run)


MAIN_LEVELS = {"RE": "regular image", "AN": "adversarial noise image", "AI": "adversarial interference image",
               BLANK: "no image, only the fixation point"}
TASKS = {main_task.TASK: Task(_main, main_task.program, MAIN_LEVELS),
         retinotopy.TASK: Task(_retinotopy, retinotopy.program, retinotopy.LEVELS),
         lo.TASK: Task(_lo, lo.program, lo.LEVELS),
         motion.TASK: Task(_motion, motion.program, motion.LEVELS)}


def task_of(name: str) -> Task:
    """Look a paradigm up.

    Raises
    ------
    ScheduleError
        For an unknown name.
    """
    if name not in TASKS:
        raise ScheduleError("task", came=repr(name), expected=f"one of {', '.join(TASKS)}",
                            remedy=nearest(name, TASKS))
    return TASKS[name]


def has_movie(task: str) -> bool:
    """Say whether a task's runs have an aperture movie."""
    return task == retinotopy.TASK

