"""Curves and colours: the numbers behind a drawing, before anything is painted."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]
Color = tuple[float, float, float]


def smooth(points: ArrayLike, *, closed: bool = True, per_segment: int = 7) -> Points:
    """Run a Catmull-Rom spline through points.

    Parameters
    ----------
    points : array_like
        (n, 2) control points; the curve passes through each.
    closed : bool
        Join the last point to the first.
    per_segment : int
        Points on the curve for each control point.

    Returns
    -------
    ndarray
        float64 (about n * per_segment, 2).
    """
    control = np.asarray(points, dtype=np.float64)
    if closed:
        p0, p1, p2, p3 = (np.roll(control, shift, axis=0) for shift in (1, 0, -1, -2))
    else:
        padded = np.vstack([2 * control[0] - control[1], control, 2 * control[-1] - control[-2]])
        p0, p1, p2, p3 = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(per_segment) / per_segment)[:, None, None]
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
                   + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    path = curve.transpose(1, 0, 2).reshape(-1, 2)
    return path if closed else np.vstack([path, control[-1]])


def oval(x: float, y: float, rx: float, *, ry: float | None = None, angle: float = 0.0) -> Points:
    """Outline an ellipse; `angle` in degrees, clockwise on the screen; a circle without `ry`."""
    turn = np.linspace(0.0, 2 * np.pi, 40, endpoint=False)
    outline = np.column_stack([rx * np.cos(turn), (rx if ry is None else ry) * np.sin(turn)])
    return outline @ rotation(angle).T + (x, y)


def box(x: float, y: float, *, width: float, height: float) -> Points:
    """Outline an upright rectangle about its centre."""
    return np.array([[x - width / 2, y - height / 2], [x + width / 2, y - height / 2],
                     [x + width / 2, y + height / 2], [x - width / 2, y + height / 2]])


def tube(points: ArrayLike, widths: ArrayLike, *, sharp: bool = False) -> Points:
    """Outline a limb: a smooth line with round ends whose width changes along it.

    Parameters
    ----------
    points : array_like
        (n, 2) points of the middle line, n >= 2.
    widths : array_like
        The full width at each point, or one for all.
    sharp : bool
        End in a point instead of a round.
    """
    middle = smooth(points, closed=False)
    given = np.broadcast_to(np.asarray(widths, dtype=np.float64), (len(np.asarray(points)),))
    half = 0.5 * np.interp(np.linspace(0, 1, len(middle)), np.linspace(0, 1, len(given)), given)
    along = np.gradient(middle, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    across = along[:, ::-1] * (-1, 1)
    left, right = middle + across * half[:, None], middle - across * half[:, None]
    tip = middle[-1:] if sharp else _cap(middle[-1], along[-1], half[-1])
    return np.vstack([left, tip, right[::-1], _cap(middle[0], -along[0], half[0])])


def _cap(centre: Points, outward: Points, radius: float) -> Points:
    start = math.atan2(outward[1], outward[0])
    turn = start + np.linspace(math.pi / 2, -math.pi / 2, 8)[1:-1]
    return centre + radius * np.column_stack([np.cos(turn), np.sin(turn)])


def ragged(outline: Points, *, amount: float, rng: np.random.Generator) -> Points:
    """Fray an outline into tufts of about `amount` in depth."""
    dense = resample(outline, step=max(amount * 0.7, 0.012))
    shift = rng.uniform(-0.2, 1.0, len(dense)) ** 2 * amount * 1.25
    shift[::2] *= rng.uniform(0.0, 0.5)
    along = np.roll(dense, -1, axis=0) - np.roll(dense, 1, axis=0)
    across = along[:, ::-1] * (1, -1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-9)
    if _turns_left(dense):
        across = -across
    result: Points = dense + across * shift[:, None]
    return result


def _turns_left(outline: Points) -> bool:
    after = np.roll(outline, -1, axis=0)
    return bool(np.sum(outline[:, 0] * after[:, 1] - after[:, 0] * outline[:, 1]) < 0)


def resample(outline: Points, *, step: float) -> Points:
    """Place points at about equal distances along a closed outline."""
    closed = np.vstack([outline, outline[:1]])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    wanted = np.linspace(0.0, length[-1], max(8, int(length[-1] / step)), endpoint=False)
    return np.column_stack([np.interp(wanted, length, closed[:, axis]) for axis in (0, 1)])


def rotation(angle: float) -> Points:
    """Give the 2x2 matrix of a turn by `angle` degrees (clockwise, since y points down)."""
    turn = math.radians(angle)
    return np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])


def mix(first: Color, second: Color, share: float) -> Color:
    """Blend two colours: 0 gives the first, 1 the second.

    Examples
    --------
    >>> mix((0, 0, 0), (200, 100, 50), 0.5)
    (100.0, 50.0, 25.0)
    """
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def dark(color: Color, share: float = 0.3) -> Color:
    """Darken a colour by a share."""
    return mix(color, (0.0, 0.0, 0.0), share)


def light(color: Color, share: float = 0.3) -> Color:
    """Lighten a colour by a share."""
    return mix(color, (255.0, 255.0, 255.0), share)


def vary(color: Color, *, rng: np.random.Generator, amount: float = 12.0) -> Color:
    """Change a colour a little: brightness by `amount` grey levels, each channel by a third as much."""
    shift = rng.normal(0.0, amount) + rng.normal(0.0, amount / 3, 3)
    red, green, blue = np.clip(np.asarray(color) + shift, 0.0, 255.0)
    return float(red), float(green), float(blue)
