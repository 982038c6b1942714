"""Presses set against the moments that asked for them, and the changes of the fixation point as they were seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paradigms.schedule import Mark

EPS_S = 1e-6
_NAMES: dict[tuple[int, ...], str] = {
    (255, 0, 0): "red", (0, 0, 0): "black", (255, 255, 255): "white", (0, 150, 255): "blue",
    (255, 255, 0): "yellow", (0, 255, 0): "green"}


def color_name(color: Sequence[int]) -> str:
    """Name a colour, by its levels where it has no name here.

    Examples
    --------
    >>> color_name((255, 0, 0)), color_name((1, 2, 3))
    ('red', 'rgb-1-2-3')
    """
    return _NAMES.get(tuple(color), "rgb-" + "-".join(str(level) for level in color))


@dataclass(frozen=True)
class Detection:
    """Presses set against the moments that asked for them.

    Parameters
    ----------
    reaction_s : tuple of float or None
        For each target the time from it to its press; None for a miss.
    false_alarms_s : tuple of float
        Presses that answer no target.
    """

    reaction_s: tuple[float | None, ...]
    false_alarms_s: tuple[float, ...]


def detect(targets_s: Sequence[float], presses_s: Sequence[float], *, window_s: float) -> Detection:
    """Match presses to targets: each target takes the first free press within its window.

    Parameters
    ----------
    targets_s, presses_s : sequence of float
        Times in seconds.
    window_s : float
        How long after a target a press is a hit, both ends counted.

    Returns
    -------
    Detection
        Every press answers one target at most; where windows overlap the earlier target is served first.

    Examples
    --------
    >>> detect([1.0, 4.0], [1.4, 3.0], window_s=1.0)
    Detection(reaction_s=(0.3999999999999999, None), false_alarms_s=(3.0,))
    """
    free, reactions = sorted(presses_s), {}
    for k in np.argsort(targets_s, kind="stable"):
        target = targets_s[k]
        press = next((t for t in free if target <= t <= target + window_s + EPS_S), None)
        reactions[int(k)] = None if press is None else press - target
        if press is not None:
            free.remove(press)
    return Detection(tuple(reactions[k] for k in range(len(targets_s))), tuple(free))


def shown_times(onsets_s: Sequence[float], *, flips: Sequence[tuple[float, float]]) -> list[float | None]:
    """Say when each moment of the plan was truly seen.

    Parameters
    ----------
    onsets_s : sequence of float
        Planned times, in order.
    flips : sequence of (float, float)
        Planned and actual time of every flip of the run, in order, in seconds from the first counted pulse. Every
        flip draws the state at its planned time.

    Returns
    -------
    list of float or None
        Actual time of the first flip that was planned at or after the moment; None if there was none. What is shown
        from the start was seen at time zero.
    """
    places = np.searchsorted([planned for planned, _ in flips], np.asarray(onsets_s, dtype=np.float64) - EPS_S)
    return [0.0 if onset <= EPS_S else flips[k][1] if k < len(flips) else None
            for onset, k in zip(onsets_s, places, strict=True)]


def mark_rows(marks: Sequence[Mark], *, flips: Sequence[tuple[float, float]], presses_s: Sequence[float],
              last_s: float, window_s: float) -> list[dict[str, Any]]:
    """Make the rows of a run's table of the fixation point.

    Parameters
    ----------
    marks : sequence of Mark
        The plan.
    flips : sequence of (float, float)
        See :func:`shown_times`.
    presses_s : sequence of float
        Presses of the task's key.
    last_s : float
        How far the record goes.
    window_s : float
        See :func:`detect`.

    Returns
    -------
    list of dict
        One for each change that was seen: ``color`` the new colour, ``duration`` until the next change. ``correct``
        is None where the record ends before the window does.
    """
    seen = [(mark, t) for mark, t in zip(marks, shown_times([mark.onset_s for mark in marks], flips=flips), strict=True)
            if t is not None]
    asked = [(mark, t) for mark, t in seen if mark.correct_key is not None]
    found = dict(zip((mark.index for mark, _ in asked),
                     detect([t for _, t in asked], presses_s, window_s=window_s).reaction_s, strict=True))
    rows = []
    for k, (mark, onset) in enumerate(seen):
        end = seen[k + 1][1] if k + 1 < len(seen) else max(last_s, onset)
        reaction = found.get(mark.index)
        countable = mark.correct_key is not None and (reaction is not None or onset + window_s <= last_s)
        rows.append({"onset": round(onset, 6), "duration": round(end - onset, 6),
                     "color": color_name(mark.color), "response": mark.correct_key if reaction is not None else None,
                     "response_time": None if reaction is None else round(reaction, 6),
                     "correct_response": mark.correct_key,
                     "correct": int(reaction is not None) if countable else None, "onset_planned": mark.onset_s})
    return rows
