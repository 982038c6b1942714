r"""A field map laid on another one: a turn, scale and shift of the plane, then a smooth warp, coarse to fine.

A place (x, y) in the visual field is compared as :math:`\log(1 + E / 0.75) (\cos\theta, \sin\theta)`, so that equal
steps are equal stretches of cortex whatever the eccentricity E (Horton & Hoyt 1991). What was measured is averaged over
about a millimetre, weighted; the warp takes each place of the template to where the measured map has the same place
of the visual field, most misfits counting alike beyond a few units (Geman & McClure's function), bends as little as it
can, and folds nothing over: a piece that becomes larger or smaller than so many times (few in coarse passes) costs
the square of the logarithm of what is beyond. It is found by Gauss and Newton's method on cubic B-splines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.sparse.linalg import spsolve

Floats = NDArray[np.float64]
HALF_DEG = 0.75
"""Eccentricity at which the cortical magnification is half of the fovea's (Horton & Hoyt 1991)."""
_STEP_MM = 1.0
_PAD_MM = 25.0
_FAINT = 0.15  # of the usual density of measured vertices: there a value counts half
_NOTHING = 0.75  # misfit where nothing was measured
_TURNS = np.arange(-40.0, 41.0, 5.0)
_SHIFTS_MM = np.arange(-16.0, 17.0, 4.0)
_SCALES = (0.85, 1.0, 1.18)
_COARSE_TOLERANCE = 1.0
_PRIOR = 2e-3  # misfit for a turn of 10 degrees, a shift of 5 mm, a tenth of scale
_STRETCH = 0.05  # misfit for a piece that is e times as large, or as small, as is free
_MOST_STEPS = 40
_RIDGE = 1e-9


@dataclass(frozen=True)
class Level:
    """One pass of the warp.

    Parameters
    ----------
    spacing_mm : float
        Of the splines' knots.
    stiffness : float
        Weight of the bending energy.
    tolerance : float
        Misfit, in units of the compared places, at which half of the most is reached.
    free : float
        How many times larger or smaller a piece may become at no cost.
    """

    spacing_mm: float
    stiffness: float
    tolerance: float
    free: float


LEVELS = (Level(20.0, 0.3, 2.0, free=2.0), Level(12.0, 0.1, 1.4, free=2.0), Level(8.0, 0.03, 1.0, free=4.0),
          Level(6.0, 0.01, 0.7, free=6.0))


def as_features(x_deg: Floats, y_deg: Floats) -> Floats:
    """Give places in the visual field as they are compared, (n, 2).

    Examples
    --------
    >>> as_features(np.array([0.0, 1.5]), np.array([0.0, 0.0])).round(3).tolist()
    [[0.0, 0.0], [1.099, 0.0]]
    """
    away = np.hypot(x_deg, y_deg)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(away > 0, np.log1p(away / HALF_DEG) / away, 0.0)
    return np.column_stack([x_deg * scale, y_deg * scale])


def stiffened(levels: Sequence[Level], factor: float) -> tuple[Level, ...]:
    """Give passes that bend as much less."""
    return tuple(replace(one, stiffness=factor * one.stiffness) for one in levels)


class FieldImage:
    """A measured map on a grid of millimetres: places in the visual field averaged, and how far to trust them.

    Parameters
    ----------
    places : float64 array, (n, 2)
        mm on the plane.
    features : float64 array, (n, 2)
        See :func:`as_features`.
    weights : float64 array, (n,)
    smooth_mm : float
        Standard deviation of the average.
    """

    def __init__(self, places: Floats, features: Floats, *, weights: Floats, smooth_mm: float) -> None:
        self._low = places.min(axis=0) - _PAD_MM
        shape = np.ceil((places.max(axis=0) + _PAD_MM - self._low) / _STEP_MM).astype(int) + 2
        at = (places - self._low) / _STEP_MM
        corner, part = np.floor(at).astype(int), at - np.floor(at)
        sums = np.zeros((3, *shape))
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = weights * np.abs(1 - i - part[:, 0]) * np.abs(1 - j - part[:, 1])
            for total, value in zip(sums, (np.ones(len(places)), *features.T), strict=True):
                np.add.at(total, (corner[:, 0] + i, corner[:, 1] + j), share * value)
        blurred: list[Floats] = [gaussian_filter(total, smooth_mm / _STEP_MM) for total in sums]
        density, values = blurred[0], blurred[1:]
        usual = float(np.median(density[corner[:, 0], corner[:, 1]]))
        self._trust: Floats = density / (density + _FAINT * usual)
        self._values: list[Floats] = [one / np.maximum(density, _RIDGE * usual) for one in values]
        self._slopes = [[np.asarray(part, dtype=np.float64) for part in np.gradient(one, _STEP_MM)]
                        for one in self._values]

    def _take(self, image: Floats, places: Floats) -> Floats:
        found: Floats = map_coordinates(image, ((places - self._low) / _STEP_MM).T, order=1, mode="nearest")
        return found

    def at(self, places: Floats) -> tuple[Floats, Floats]:
        """Give features (n, 2) and trust (n,), 0 to 1, at some places."""
        return np.column_stack([self._take(one, places) for one in self._values]), self._take(self._trust, places)

    def slopes(self, places: Floats) -> Floats:
        """Give the features' derivatives, (n, 2, 2): feature, direction."""
        return np.stack([np.column_stack([self._take(one, places) for one in pair]) for pair in self._slopes], axis=1)

    def misfit(self, features: Floats, places: Floats, *, tolerance: float) -> float:
        """Say how far features are from those at some places, 0 to 1 in the mean."""
        found, trust = self.at(places)
        squares = ((found - features) ** 2).sum(axis=1) / tolerance**2
        return float((trust * squares / (1 + squares) + (1 - trust) * _NOTHING).mean())


@dataclass(frozen=True, eq=False)
class Similarity:
    """A turn (degrees), scale and shift (mm) of the plane about a centre."""

    turn_deg: float
    scale: float
    shift_mm: Floats
    centre: Floats

    def __call__(self, places: Floats) -> Floats:
        """Move places, (n, 2)."""
        angle = np.radians(self.turn_deg)
        matrix = self.scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        moved: Floats = (places - self.centre) @ matrix.T + self.centre + self.shift_mm
        return moved


class SplineGrid:
    """Cubic B-splines on a grid of knots."""

    def __init__(self, low: Floats, high: Floats, *, spacing_mm: float) -> None:
        self.spacing = spacing_mm
        self._low = low - spacing_mm
        self.shape = np.ceil((high - low) / spacing_mm).astype(int) + 3
        self.n = int(self.shape.prod())

    def basis(self, places: Floats, *, along: int | None = None) -> sp.csr_array:
        """Give each spline's value at some places, or its derivative along an axis, (n_places, n)."""
        at = (places - self._low) / self.spacing
        first = np.floor(at).astype(int) - 1
        rows, columns, values = [], [], []
        for i, j in np.ndindex(4, 4):
            knot = first + np.array([i, j])
            parts = _cubic(at - knot)
            if along is not None:
                parts[:, along] = _cubic_slope(at - knot)[:, along] / self.spacing
            value = parts.prod(axis=1)
            there = ((knot >= 0) & (knot < self.shape)).all(axis=1)
            rows.append(np.flatnonzero(there))
            columns.append((knot[:, 0] * self.shape[1] + knot[:, 1])[there])
            values.append(value[there])
        return sp.csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
                            shape=(len(places), self.n))

    def bending(self) -> sp.csr_array:
        """Give the matrix of the bending energy of the coefficients, (n, n)."""
        bent, turned = zip(*((_differences(n, order=2), _differences(n, order=1)) for n in self.shape), strict=True)
        one, two = (sp.eye_array(n) for n in self.shape)
        parts = (sp.kron(bent[0], two), sp.kron(one, bent[1]), np.sqrt(2) * sp.kron(turned[0], turned[1]))
        return sp.csr_array(sum((part.T @ part for part in parts), start=sp.csr_array((self.n, self.n)))
                            / self.spacing**2)


def _cubic(t: Floats) -> Floats:
    away = np.abs(t)
    return np.where(away < 1, 2 / 3 - away**2 + away**3 / 2, np.where(away < 2, (2 - away) ** 3 / 6, 0.0))


def _cubic_slope(t: Floats) -> Floats:
    away = np.abs(t)
    return np.sign(t) * np.where(away < 1, away * (1.5 * away - 2), np.where(away < 2, -0.5 * (2 - away) ** 2, 0.0))


def _differences(n: int, *, order: int) -> sp.csr_array:
    steps = [1.0, -2.0, 1.0] if order == 2 else [-1.0, 1.0]
    return sp.csr_array(sp.diags_array(steps, offsets=range(order + 1), shape=(n - order, n)))


@dataclass(frozen=True, eq=False)
class Warp:
    """Where each place of the template is on the measured map.

    Parameters
    ----------
    start : Similarity
    passes : sequence of (SplineGrid, float64 array (n, 2))
        Coefficients of the shifts that each pass adds, mm.
    misfit : float
        What is left, 0 to 1.
    """

    start: Similarity
    passes: Sequence[tuple[SplineGrid, Floats]]
    misfit: float

    def __call__(self, places: Floats) -> Floats:
        """Move places, (n, 2)."""
        moved = self.start(places)
        for grid, shifts in self.passes:
            moved = moved + grid.basis(places) @ shifts
        return moved


def align(image: FieldImage, features: Floats, *, places: Floats) -> Similarity:
    """Find the turn, scale and shift under which a template's places fit best, of a grid of them."""
    centre, found = places.mean(axis=0), []
    for turn in _TURNS:
        for scale in _SCALES:
            base = Similarity(turn, scale, np.zeros(2), centre)(places)
            for shift in np.stack(np.meshgrid(_SHIFTS_MM, _SHIFTS_MM), axis=-1).reshape(-1, 2):
                far = (turn / 10) ** 2 + ((shift / 5) ** 2).sum() + (np.log(scale) / 0.1) ** 2
                misfit = image.misfit(features, base + shift, tolerance=_COARSE_TOLERANCE)
                found.append((misfit + _PRIOR * far, turn, scale, *shift))
    _, turn, scale, across, up = min(found)
    return Similarity(float(turn), float(scale), np.array([across, up]), centre)


def fit_warp(image: FieldImage, features: Floats, *, places: Floats, start: Similarity,
             levels: Sequence[Level] = LEVELS) -> Warp:
    """Lay a template on a measured map.

    Parameters
    ----------
    image : FieldImage
    features : float64 array, (n, 2)
        Of the template.
    places : float64 array, (n, 2)
        Its places, mm on the same plane.
    start : Similarity
        See :func:`align`.
    levels : sequence of Level

    Returns
    -------
    Warp
    """
    moved, passes = start(places), list[tuple[SplineGrid, Floats]]()
    turned = start(np.eye(2)) - start(np.zeros(2))
    slopes = np.tile(turned.T / start.scale, (len(places), 1, 1))
    low, high = places.min(axis=0) - _PAD_MM, places.max(axis=0) + _PAD_MM
    for level in levels:
        grid = SplineGrid(low, high, spacing_mm=level.spacing_mm)
        sheet = _Sheet(moved, slopes, grid.basis(places),
                       [sp.csr_array(grid.basis(places, along=k) / start.scale) for k in (0, 1)], level.free)
        shifts = _descend(image, features, sheet=sheet, grid=grid, level=level)
        moved, slopes = sheet.at(shifts), sheet.slopes_at(shifts)
        passes.append((grid, shifts))
    return Warp(start, passes, image.misfit(features, moved, tolerance=levels[-1].tolerance))


@dataclass(frozen=True, eq=False)
class _Sheet:
    """Places that shifts move: where they are, (n, 2); derivatives, (n, 2, 2): direction moved in, along which axis."""

    places: Floats
    slopes: Floats
    basis: sp.csr_array
    along: Sequence[sp.csr_array]
    free: float

    def at(self, shifts: Floats) -> Floats:
        moved: Floats = self.places + self.basis @ shifts
        return moved

    def slopes_at(self, shifts: Floats) -> Floats:
        return np.asarray(self.slopes + np.stack([one @ shifts for one in self.along], axis=2))

    def stretch(self, shifts: Floats) -> float:
        """Give the mean squared logarithm of how much larger pieces are than is free; infinite if one is folded."""
        larger = np.linalg.det(self.slopes_at(shifts))
        return float(np.square(self._beyond(larger)).mean()) if (larger > 0).all() else np.inf

    def stretch_equations(self, shifts: Floats) -> tuple[sp.csr_array, Floats]:
        """Give Gauss and Newton's matrix and slope of half of :meth:`stretch`."""
        (a, b), (c, d) = self.slopes_at(shifts).transpose(1, 2, 0)
        larger = a * d - b * c
        beyond, n = self._beyond(larger), len(larger)
        share = (beyond != 0) / (larger * np.sqrt(n))
        rows = sp.csr_array(sp.hstack([sp.diags_array(share * p) @ self.along[0]
                                       + sp.diags_array(share * q) @ self.along[1] for p, q in ((d, -c), (-b, a))]))
        return sp.csr_array(rows.T @ rows), np.asarray(rows.T @ beyond) / np.sqrt(n)

    def _beyond(self, larger: Floats) -> Floats:
        """Give the logarithm of how many times larger pieces are, less what is free."""
        grown = np.log(larger)
        return np.asarray(np.sign(grown) * np.maximum(np.abs(grown) - np.log(self.free), 0.0))


def _descend(image: FieldImage, features: Floats, *, sheet: _Sheet, grid: SplineGrid, level: Level) -> Floats:
    """Find the coefficients of one pass, (grid.n, 2), by damped Gauss-Newton steps."""
    bending = grid.bending() * (level.stiffness / len(sheet.places))

    def total(shifts: Floats) -> float:
        return image.misfit(features, sheet.at(shifts), tolerance=level.tolerance) \
            + float((shifts * (bending @ shifts)).sum()) + _STRETCH * sheet.stretch(shifts)

    shifts, damping = np.zeros((grid.n, 2)), 1e-3
    now = total(shifts)
    for _ in range(_MOST_STEPS):
        hessian, slope = _normal_equations(image, features, places=sheet.at(shifts), basis=sheet.basis,
                                           tolerance=level.tolerance)
        stretched, pull = sheet.stretch_equations(shifts)
        hessian = hessian + sp.block_diag([bending, bending]) + _STRETCH * stretched \
            + _RIDGE * sp.eye_array(2 * grid.n)
        slope += np.concatenate([bending @ shifts[:, k] for k in (0, 1)]) + _STRETCH * pull
        better = np.inf
        while better >= now and damping < 1e5:
            step = spsolve((hessian + damping * sp.diags_array(hessian.diagonal())).tocsc(), -slope)
            tried = shifts + step.reshape(2, -1).T
            better = total(tried)
            damping = max(damping / 3, 1e-6) if better < now else damping * 4
        if better >= now:
            break
        gained, shifts, now = now - better, tried, better
        if gained < 1e-5:
            break
    return shifts


def _normal_equations(image: FieldImage, features: Floats, *, places: Floats, basis: sp.csr_array,
                      tolerance: float) -> tuple[sp.sparray, Floats]:
    found, trust = image.at(places)
    slopes, rest = image.slopes(places), found - features
    squares = (rest**2).sum(axis=1) / tolerance**2
    weights = trust / (1 + squares) ** 2 / tolerance**2 / len(places)
    blocks = [[basis.T @ (sp.diags_array(weights * (slopes[:, :, i] * slopes[:, :, j]).sum(axis=1)) @ basis)
               for j in (0, 1)] for i in (0, 1)]
    slope = [basis.T @ (weights * (slopes[:, :, i] * rest).sum(axis=1)) for i in (0, 1)]
    return sp.block_array(blocks), np.concatenate(slope)
