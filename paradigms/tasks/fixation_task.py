"""The task at fixation: the point changes its colour now and then, and every change is to be answered by a press."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from paradigms.detection import EPS_S
from paradigms.schedule import Mark
from subjects.errors import ScheduleError
from subjects.settings.paradigms import Color, FixationTask


def plan_marks(section: FixationTask, *, duration_s: float, grid_s: float, rng: Generator) -> tuple[Mark, ...]:
    """Draw the colour changes of a run.

    Parameters
    ----------
    section : FixationTask
        Colours, shortest and longest time between changes.
    duration_s : float
        Length of the run.
    grid_s : float
        Changes fall on multiples of this, so that none comes within a frame of another change of the display.
    rng : Generator
        Their randomness.

    Returns
    -------
    tuple of Mark
        The first is the colour at time zero. No colour follows itself; times between changes are uniform over
        the multiples of `grid_s` that the section allows; the last change leaves time for its answer.

    Raises
    ------
    ScheduleError
        If no multiple of `grid_s` is allowed.
    """
    shortest = int(np.ceil(section.change_min_s / grid_s - EPS_S))
    longest = int(np.floor(section.change_max_s / grid_s + EPS_S))
    if shortest > longest:
        raise ScheduleError("fixation task", came=f"{section.change_min_s:g} to {section.change_max_s:g} s",
                            expected=f"a multiple of {grid_s:g} s in between",
                            remedy="Widen change_min_s and change_max_s.")
    colors, step = section.fixation_colors, 0
    color = int(rng.integers(len(colors)))
    marks = [Mark(0, 0.0, colors[color])]
    while True:
        step += int(rng.integers(shortest, longest + 1))
        if step * grid_s > duration_s - section.hit_window_s:
            return tuple(marks)
        color = (color + int(rng.integers(1, len(colors)))) % len(colors)
        marks.append(Mark(len(marks), round(step * grid_s, 9), colors[color], correct_key=section.press_key))


def color_at(marks: Sequence[Mark], t: float) -> Color:
    """Give the fixation point's colour at a time; before the first mark its first colour."""
    at = int(np.searchsorted([mark.onset_s for mark in marks], t + EPS_S, side="right")) - 1
    return marks[max(at, 0)].color
