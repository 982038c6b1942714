"""Which apertures a retinotopic run truly showed, and for how long in every volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paradigms.runlog import Record, flips_seen, time_zero
from paradigms.schedule import Schedule
from paradigms.tasks.aperture_movie import Movie, movie
from stimuli.apertures import Grid, Mask, VolumeMasks, degree_grid, mask
from subjects.errors import RunLogError
from subjects.settings.paradigms import RetinotopySettings

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shown:
    """What was on the display, piece by piece, in seconds from the first counted pulse.

    Parameters
    ----------
    from_s : float64 array, (n_pieces,)
        When a piece began; it was shown until the next one.
    aperture, texture : int32 array, (n_pieces,)
        Place in :attr:`paradigms.tasks.aperture_movie.Movie.apertures`, 0 for none, and in the schedule's textures,
        -1 for none.
    end_s : float
        How far the record goes.
    """

    from_s: Floats
    aperture: NDArray[np.int32]
    texture: NDArray[np.int32]
    end_s: float


def planned_apertures(schedule: Schedule, movie: Movie) -> Shown:
    """Give what a run would show if every flip came on time."""
    step_s = schedule.step_s or 0.0
    return Shown(step_s * np.arange(len(schedule.steps), dtype=np.float64), movie.index[:len(schedule.steps)],
                 np.asarray(schedule.steps, dtype=np.int32), schedule.duration_s)


def shown_apertures(records: Sequence[Record], schedule: Schedule, *, movie: Movie) -> Shown:
    """Read what a run showed out of its journal.

    Parameters
    ----------
    records : sequence of dict
        The journal. Every flip drew the state of its planned time, and was shown from its actual time on; a step that
        was left out has no flip, and what was shown before it stayed.
    schedule : Schedule
        What was planned.
    movie : Movie
        Its apertures.

    Raises
    ------
    RunLogError
        If the run never began.
    """
    zero = time_zero(records)
    if zero is None:
        raise RunLogError("apertures", came="a record without time zero", expected="a run that began",
                          remedy="Export runs that were scanned.")
    flips = sorted((flip["t"] - zero, flip["planned"] - zero) for flip in flips_seen(records))
    planned = planned_apertures(schedule, movie)
    step_s = schedule.step_s or 1.0
    steps = np.array([int(np.floor(at / step_s + 1e-4)) for _, at in flips], dtype=np.int64)
    inside = (steps >= 0) & (steps < len(schedule.steps))
    steps = np.clip(steps, 0, len(schedule.steps) - 1)
    # Before the first flip the blank is shown that the run opened with.
    return Shown(np.array([0.0, *(t for t, _ in flips)]),
                 np.array([0, *np.where(inside, planned.aperture[steps], 0)], dtype=np.int32),
                 np.array([-1, *np.where(inside, planned.texture[steps], -1)], dtype=np.int32),
                 min(schedule.duration_s, max(record["t"] for record in records) - zero))


def volume_weights(shown: Shown, *, tr_s: float, n_volumes: int, n_apertures: int) -> Floats:
    """Say which share of each volume every aperture was shown.

    Parameters
    ----------
    shown : Shown
        What was shown when.
    tr_s, n_volumes : float, int
        Volume ``v`` is the time from ``v * tr_s`` to ``(v + 1) * tr_s``.
    n_apertures : int
        Length of the movie's list.

    Returns
    -------
    float64 array, (n_volumes, n_apertures)
        Rows sum to 1 where the record covers the whole volume, to less where it ends.
    """
    weights = np.zeros((n_volumes, n_apertures))
    ends = np.append(shown.from_s[1:], shown.end_s)
    for start, end, aperture in zip(shown.from_s, np.minimum(ends, shown.end_s), shown.aperture, strict=True):
        volume = int(max(start, 0.0) // tr_s)
        while volume < n_volumes and volume * tr_s < end:
            overlap = min(end, (volume + 1) * tr_s) - max(start, volume * tr_s)
            weights[volume, aperture] += max(overlap, 0.0) / tr_s
            volume += 1
    return weights


def volume_masks(weights: Floats, *, movie: Movie, grid: Grid, field_deg: float) -> Mask:
    """Average the masks of each volume.

    Parameters
    ----------
    weights : float64 array, (n_volumes, n_apertures)
        See :func:`volume_weights`.
    movie : Movie
        The apertures.
    grid : Grid
        Where to sample them.
    field_deg : float
        Diameter of the field.

    Returns
    -------
    float32 array, (n_volumes, n, n)
        Share of the volume for which each point was uncovered, 0 to 1, row 0 at the top; edges are anti-aliased to
        one step of the grid.
    """
    seen = np.flatnonzero(weights.any(axis=0))
    stack = np.stack([mask(movie.apertures[k], grid, field_deg=field_deg, edge_deg=grid.step_deg) for k in seen]) \
        if len(seen) else np.zeros((0, *grid.x_deg.shape), dtype=np.float32)
    flat = weights[:, seen] @ stack.reshape(len(seen), -1).astype(np.float64)
    return flat.reshape(-1, *grid.x_deg.shape).astype(np.float32)


def sample_index(shown: Shown, *, rate_hz: float, duration_s: float) -> NDArray[np.int32]:
    """Sample at a fixed rate: row ``k`` is what was shown in the middle of ``k / rate`` to ``(k + 1) / rate``.

    Returns
    -------
    int32 array, (n_samples, 2)
        Aperture and texture; -2 in both after the end of the record.
    """
    times = (np.arange(round(duration_s * rate_hz)) + 0.5) / rate_hz
    piece = np.searchsorted(shown.from_s, times, side="right") - 1
    index = np.stack([shown.aperture[piece], shown.texture[piece]], axis=1)
    index[times > shown.end_s] = -2
    return index


EXPORT_PX = 101


@dataclass(frozen=True, eq=False)
class ApertureMovie(VolumeMasks):
    """What a run showed, ready for a fit of population receptive fields.

    Parameters
    ----------
    masks, x_deg, y_deg, tr_s
        See :class:`stimuli.apertures.VolumeMasks`.
    index : int32 array, (n_samples, 2)
        See :func:`sample_index`.
    as_shown : bool
        Made from a record; otherwise from the plan.
    """

    index: NDArray[np.int32]
    as_shown: bool


def aperture_movie(schedule: Schedule, records: list[Record] | None = None, *, section: RetinotopySettings,
                   n: int = EXPORT_PX) -> ApertureMovie:
    """Make the movie of a run from the code that drew it.

    Parameters
    ----------
    schedule : Schedule
        A run of retinotopic mapping.
    records : list of dict, optional
        Its journal: late and left-out steps then change what is averaged. Without it the plan is taken.
    section : RetinotopySettings
        The settings in force at the run.
    n : int
        Points along a side, 2 at least; the grid is even in degrees and fills the field.

    Raises
    ------
    RunLogError
        For another task's run, or a record of a run that never began.
    """
    if n < 2:
        raise RunLogError("apertures", came=f"{n} points along a side", expected="2 at least",
                          remedy="Ask for a finer grid.")
    if not schedule.steps or schedule.step_s is None:
        raise RunLogError("apertures", came=f"a run of task {schedule.task!r}", expected="a run of retinotopic mapping",
                          remedy="Name a retinotopy run.")
    played = movie(section, schedule.variant)
    shown = planned_apertures(schedule, played) if records is None else \
        shown_apertures(records, schedule, movie=played)
    grid = degree_grid(n, size_deg=section.field_deg)
    masks = _averages(shown, schedule, played=played, grid=grid, field_deg=section.field_deg)
    return ApertureMovie(masks, grid.x_deg[0], grid.y_deg[:, 0], tr_s=schedule.tr_s, as_shown=records is not None,
                         index=sample_index(shown, rate_hz=section.step_hz, duration_s=schedule.duration_s))


def _averages(shown: Shown, schedule: Schedule, *, played: Movie, grid: Grid, field_deg: float) -> Mask:
    weights = volume_weights(shown, tr_s=schedule.tr_s, n_volumes=schedule.n_volumes,
                             n_apertures=len(played.apertures))
    return volume_masks(weights, movie=played, grid=grid, field_deg=field_deg)
