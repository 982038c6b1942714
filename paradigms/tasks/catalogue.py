"""The paradigms by name."""

from __future__ import annotations

from collections.abc import Callable

from paradigms.tasks.lo_localizer import LoLocalizer
from paradigms.tasks.main_task import MainTask
from paradigms.tasks.motion_localizer import MotionLocalizer
from paradigms.tasks.protocol import Task
from paradigms.tasks.retinotopy import Retinotopy
from subjects.errors import ScheduleError, nearest
from subjects.settings.study import Settings

TASKS: dict[str, Callable[[Settings], Task]] = {
    kind.name: kind for kind in (MainTask, Retinotopy, LoLocalizer, MotionLocalizer)}
"""What makes a paradigm of the settings, by its name."""


def task_of(name: str, settings: Settings) -> Task:
    """Make a paradigm of the settings in force.

    Raises
    ------
    ScheduleError
        For an unknown name.
    """
    if name not in TASKS:
        raise ScheduleError("task", came=repr(name), expected=f"one of {', '.join(TASKS)}",
                            remedy=nearest(name, TASKS))
    return TASKS[name](settings)
