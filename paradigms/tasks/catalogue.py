"""The paradigms by name."""

from __future__ import annotations

from paradigms.tasks.lo_localizer import LoLocalizer
from paradigms.tasks.main_task import MainTask
from paradigms.tasks.motion_localizer import MotionLocalizer
from paradigms.tasks.protocol import Task
from paradigms.tasks.retinotopy import Retinotopy
from subjects.errors import ScheduleError, nearest

_ALL: tuple[Task, ...] = (MainTask(), Retinotopy(), LoLocalizer(), MotionLocalizer())
TASKS: dict[str, Task] = {task.name: task for task in _ALL}


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
