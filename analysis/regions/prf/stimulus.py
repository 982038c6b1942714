"""What a participant saw, frame by frame, with the place of every pixel in degrees of visual angle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Frames = NDArray[np.float32]
BLANK_FRAME = -1


@dataclass(frozen=True, eq=False)
class Stimulus:
    """The aperture movies of all runs, each different frame kept once.

    Parameters
    ----------
    frames : float32 array, (n_unique, n_rows, n_cols)
        How much of each pixel was uncovered, 0 or more; blank frames are left out.
    order : tuple of int64 array, (n_frames,)
        One a run: the place in `frames` of each frame of the movie, -1 (:data:`BLANK_FRAME`) for a blank.
    x_deg : float64 array, (n_cols,)
        Places of the columns' middles, to the right of fixation.
    y_deg : float64 array, (n_rows,)
        Places of the rows' middles, above fixation; it falls where row 0 is at the top.

    Raises
    ------
    ValueError
        If shapes do not agree, a place is not finite or not in order, or a frame holds a negative or missing value.
    """

    frames: Frames
    order: tuple[NDArray[np.int64], ...]
    x_deg: Floats
    y_deg: Floats

    def __post_init__(self) -> None:
        for name, values in (("x_deg", self.x_deg), ("y_deg", self.y_deg)):
            if values.ndim != 1 or len(values) < 2 or not _is_monotonic(values):
                raise ValueError(f"{name}: expected at least 2 places in ascending or descending order, got {values}")
        expected = (len(self.y_deg), len(self.x_deg))
        if self.frames.ndim != 3 or self.frames.shape[1:] != expected:
            raise ValueError(f"frames of shape {self.frames.shape}, expected (n_unique, {expected[0]}, {expected[1]}), "
                             "rows by columns as in y_deg and x_deg")
        if not np.all(np.isfinite(self.frames) & (self.frames >= 0)):
            raise ValueError("frames hold a negative or missing value, expected 0 (covered) or more")
        if not len(self.frames):
            raise ValueError("all frames are blank, expected apertures in at least one")

    @property
    def steps_deg(self) -> tuple[Floats, Floats]:
        """Widths of the columns and heights of the rows."""
        return np.abs(np.gradient(self.x_deg)), np.abs(np.gradient(self.y_deg))

    @property
    def limits_deg(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Left and right, lower and upper edge of the field."""
        return _limits(self.x_deg, self.steps_deg[0]), _limits(self.y_deg, self.steps_deg[1])

    @property
    def widths_deg(self) -> tuple[float, float]:
        """Width and height of the field."""
        (left, right), (lower, upper) = self.limits_deg
        return right - left, upper - lower


def _is_monotonic(places: Floats) -> bool:
    steps = np.diff(places)
    return bool(np.isfinite(places).all() and (np.all(steps > 0) or np.all(steps < 0)))


def _limits(places: Floats, steps: Floats) -> tuple[float, float]:
    low, high = (0, -1) if places[0] < places[-1] else (-1, 0)
    return float(places[low] - steps[low] / 2.0), float(places[high] + steps[high] / 2.0)


def make_stimulus(apertures: Sequence[NDArray[np.floating | np.integer | np.bool_]], *, x_deg: Floats,
                  y_deg: Floats) -> Stimulus:
    """Gather the movies of all runs.

    Parameters
    ----------
    apertures : sequence of array, (n_frames, n_rows, n_cols)
        One movie a run; lengths may differ. What is equal to float32 is one frame.
    x_deg, y_deg : float64 array, (n_cols,) and (n_rows,)
        See :class:`Stimulus`. The two axes may have different lengths and steps.

    Returns
    -------
    Stimulus

    Examples
    --------
    >>> movie = np.zeros((4, 2, 3))
    >>> movie[1:3, 0] = 1
    >>> made = make_stimulus([movie], x_deg=np.array([-1.0, 0.0, 1.0]), y_deg=np.array([0.5, -0.5]))
    >>> made.frames.shape, made.order[0]
    ((1, 2, 3), array([-1,  0,  0, -1]))
    """
    x_deg, y_deg = np.array(x_deg, dtype=np.float64), np.array(y_deg, dtype=np.float64)
    shape = (len(y_deg), len(x_deg))
    places: dict[bytes, int] = {np.zeros(shape, dtype=np.float32).tobytes(): BLANK_FRAME}
    kept: list[Frames] = []
    order = []
    for movie in apertures:
        if movie.ndim != 3 or movie.shape[1:] != shape:
            raise ValueError(f"apertures of shape {movie.shape}, expected (n_frames, {shape[0]}, {shape[1]}), rows by "
                             "columns as in y_deg and x_deg")
        frames = np.ascontiguousarray(movie, dtype=np.float32) + np.float32(0)  # -0 is 0
        index = [places.setdefault(frame.tobytes(), len(places) - 1) for frame in frames]
        new = {place: frame for place, frame in zip(index, frames, strict=True) if place >= len(kept)}
        kept += [new[place] for place in sorted(new)]
        order.append(np.asarray(index, dtype=np.int64))
    return Stimulus(np.stack(kept) if kept else np.zeros((0, *shape), dtype=np.float32), tuple(order), x_deg, y_deg)


def coarsen(apertures: NDArray[np.floating], *, x_deg: Floats, y_deg: Floats,
            step_deg: float) -> tuple[Frames, Floats, Floats]:
    """Average the pixels of a movie into larger ones: the cost of a fit grows with their number.

    Parameters
    ----------
    apertures : array, (n_frames, n_rows, n_cols)
    x_deg, y_deg : float64 array, (n_cols,) and (n_rows,)
        Evenly spaced.
    step_deg : float
        Side of the new pixels at most; each axis gets the fewest that fill the same field.

    Returns
    -------
    apertures : float32 array, (n_frames, n_new_rows, n_new_cols)
        Means weighted by the overlap of old and new pixels, so that the uncovered area stays as it was.
    x_deg, y_deg : float64 array
        Places of the new columns and rows.

    Examples
    --------
    >>> x = np.array([-1.5, -0.5, 0.5, 1.5])
    >>> coarsen(np.eye(4)[None], x_deg=x, y_deg=-x, step_deg=2.0)[0]
    array([[[0.5, 0. ],
            [0. , 0.5]]], dtype=float32)
    """
    (across, new_x), (down, new_y) = _overlaps(x_deg, step_deg), _overlaps(y_deg, step_deg)
    smaller = np.einsum("ri,fij,cj->frc", down, np.asarray(apertures, dtype=np.float64), across, optimize=True)
    return smaller.astype(np.float32), new_x, new_y


def _overlaps(places: Floats, step_deg: float) -> tuple[Floats, Floats]:
    """Give which share of each new pixel every old one fills, (n_new, n_old), and the new places."""
    steps = np.diff(places)
    if not step_deg > 0 or not np.allclose(steps, steps[0], rtol=1e-3):
        raise ValueError(f"expected even steps and a positive new one, got steps of {steps.min():g} to "
                         f"{steps.max():g} deg and {step_deg:g} deg")
    n_old = len(places)
    n_new = min(n_old, max(2, int(np.ceil(n_old * abs(steps[0]) / step_deg - 1e-9))))
    old, new = np.arange(n_old + 1.0), np.linspace(0.0, n_old, n_new + 1)
    shared = np.minimum(old[None, 1:], new[1:, None]) - np.maximum(old[None, :-1], new[:-1, None])
    middles = places[0] + (0.5 * (new[1:] + new[:-1]) - 0.5) * steps[0]
    return np.maximum(shared, 0.0) * n_new / n_old, middles
