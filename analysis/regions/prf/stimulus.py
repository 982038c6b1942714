"""What a participant saw, frame by frame, with the place of every pixel in degrees of visual angle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Frames = NDArray[np.float32]
BLANK_FRAME = -1
_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Stimulus:
    """The aperture movies of all runs, each different frame kept once.

    Parameters
    ----------
    frames : float32 array, (n_unique, n_rows, n_cols)
        How much of each pixel was uncovered, 0 to 1; blank frames are left out.
    order : tuple of int64 array, (n_frames,)
        One a run: the place in `frames` of each frame of the movie, -1 (:data:`BLANK_FRAME`) for a blank.
    x_deg : float64 array, (n_cols,)
        Places of the columns' middles, to the right of fixation.
    y_deg : float64 array, (n_rows,)
        Places of the rows' middles, above fixation; it falls where row 0 is at the top.

    Raises
    ------
    ValueError
        If shapes do not agree, a place is not finite or not in order, or a value is missing or beyond 0 to 1.
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
        if not np.all((self.frames >= 0) & (self.frames <= 1 + _ROUNDING)):
            raise ValueError(f"frames of {self.frames.min():g} to {self.frames.max():g}, expected 0 (covered) to 1")
        if not len(self.frames):
            raise ValueError("all frames are blank, expected apertures in at least one")

    def subset(self, places: Sequence[int]) -> Stimulus:
        """Give the movies of some of the runs, by their places from 0, and the frames that these show."""
        order = [self.order[place] for place in places]
        shown = np.unique(np.concatenate(order))
        shown = shown[shown != BLANK_FRAME]
        moved = np.full(len(self.frames) + 1, BLANK_FRAME)  # its last one is for the blank, -1
        moved[shown] = np.arange(len(shown))
        return Stimulus(self.frames[shown], tuple(moved[one] for one in order), self.x_deg, self.y_deg)

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
                  y_deg: Floats, tolerance: float = 0.0) -> Stimulus:
    """Gather the movies of all runs.

    Parameters
    ----------
    apertures : sequence of array, (n_frames, n_rows, n_cols)
        One movie a run; lengths may differ.
    x_deg, y_deg : float64 array, (n_cols,) and (n_rows,)
        See :class:`Stimulus`. The two axes may have different lengths and steps.
    tolerance : float
        Frames of which no pixel differs by more count as one, the first of them. Zero joins only what is equal to
        float32. A movie corrected for when each frame was truly shown repeats itself but for a few thousandths, and a
        fit costs as much as there are different frames.

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
    if not tolerance >= 0:
        raise ValueError(f"expected a tolerance of 0 or more, got {tolerance:g}")
    shape = (len(y_deg), len(x_deg))
    pool = _Pool(shape, tolerance=tolerance)
    order = []
    for movie in apertures:
        if movie.ndim != 3 or movie.shape[1:] != shape:
            raise ValueError(f"apertures of shape {movie.shape}, expected (n_frames, {shape[0]}, {shape[1]}), rows by "
                             "columns as in y_deg and x_deg")
        order.append(np.array([pool.place(frame) for frame in np.asarray(movie, dtype=np.float32)], dtype=np.int64))
    return Stimulus(pool.frames, tuple(order), x_deg, y_deg)


class _Pool:
    """Different frames, as they come."""

    def __init__(self, shape: tuple[int, int], *, tolerance: float) -> None:
        self._tolerance, self._n = tolerance, 1
        self._kept = np.zeros((16, *shape), dtype=np.float32)  # the first one is the blank
        self._places: dict[bytes, int] = {}

    @property
    def frames(self) -> Frames:
        return self._kept[1:self._n]

    def place(self, frame: Frames) -> int:
        """Give a frame's place, which is BLANK_FRAME for a blank; keep it if it is new."""
        frame = frame + np.float32(0)  # -0 is 0
        key = frame.tobytes()
        if key not in self._places:
            off = np.abs(self._kept[:self._n] - frame).max(axis=(1, 2))
            near = np.flatnonzero(off <= self._tolerance)
            self._places[key] = (int(near[0]) if near.size else self._keep(frame)) - 1
        return self._places[key]

    def _keep(self, frame: Frames) -> int:
        if self._n == len(self._kept):
            self._kept = np.concatenate([self._kept, np.zeros_like(self._kept)])
        self._kept[self._n] = frame
        self._n += 1
        return self._n - 1


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
