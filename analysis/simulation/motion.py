r"""How a virtual subject's head moves during a run, as a realignment would find it.

Three translations (mm, to the right, to the front, up) and three rotations (radians, about those axes): a slow drift, a
small oscillation with each breath, and sudden movements of which half stays.

References
----------
Power JD, Barnes KA, Snyder AZ, Schlaggar BL, Petersen SE (2012) Spurious but systematic correlations in functional
connectivity MRI networks arise from subject motion. NeuroImage 59:2142-2154.
Jenkinson M (1999) Measuring transformation error by RMS deviation. FMRIB technical report TR99MJ1.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
HEAD_MM = 50.0
"""Radius of the sphere on which rotations count as displacements (Power et al. 2012)."""
MOTION_COLUMNS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
_BREATH_MM, _JITTER_MM, _JUMP_MM = 0.03, 0.015, 0.5


def draw_motion(breathing: NDArray[np.floating], *, sudden: NDArray[np.integer], drift_mm: float,
                rng: Generator) -> Floats:
    """Draw a run's movement.

    Parameters
    ----------
    breathing : float array, (n_volumes,)
        A time course of variance 1 that the head follows a little.
    sudden : int array, (n_spikes,)
        Volumes at which the head moves at once.
    drift_mm : float
        How far the head has drifted by the end of a run, root mean square of each direction; 0 for no movement at all.
    rng : Generator

    Returns
    -------
    float64 array, (n_volumes, 6)
        See :data:`MOTION_COLUMNS`; 0 at the first volume.
    """
    n_volumes = len(breathing)
    if drift_mm <= 0:
        return np.zeros((n_volumes, 6))
    walk = np.cumsum(rng.standard_normal((n_volumes, 6)), axis=0) / np.sqrt(n_volumes)
    moved = drift_mm * _averaged(walk, over=15) + _JITTER_MM * rng.standard_normal((n_volumes, 6))
    moved[:, 1:3] += _BREATH_MM * np.asarray(breathing, dtype=np.float64)[:, None]
    since = np.arange(n_volumes)[:, None] - sudden
    course = np.where(since >= 0, 0.5 + 0.5 ** (np.maximum(since, 0) + 1), 0.0)
    sizes = _JUMP_MM * rng.lognormal(0.0, 0.5, len(sudden))[:, None] * _directions(len(sudden), rng=rng)
    moved += course @ sizes
    moved[:, 3:] /= HEAD_MM
    result: Floats = moved - moved[0]
    return result


def _averaged(values: Floats, *, over: int) -> Floats:
    padded = np.pad(values, ((over // 2, over // 2), (0, 0)), mode="edge")
    sums = np.cumsum(np.pad(padded, ((1, 0), (0, 0))), axis=0)
    result: Floats = (sums[over:] - sums[:-over]) / over
    return result


def _directions(n: int, *, rng: Generator) -> Floats:
    found = rng.standard_normal((n, 6))
    result: Floats = found / np.linalg.norm(found, axis=1, keepdims=True)
    return result


def framewise_displacement(motion: Floats) -> Floats:
    """Sum the absolute displacements from volume to volume, rotations on a sphere of 50 mm (Power et al. 2012).

    Parameters
    ----------
    motion : float64 array, (n_volumes, 6)

    Returns
    -------
    float64 array, (n_volumes,)
        mm; NaN at the first volume.
    """
    steps = np.abs(np.diff(motion, axis=0))
    steps[:, 3:] *= HEAD_MM
    return np.concatenate([[np.nan], steps.sum(axis=1)])


def rms_displacement(motion: Floats) -> Floats:
    """Give the root mean square displacement in a sphere of 50 mm from volume to volume (Jenkinson 1999).

    Returns
    -------
    float64 array, (n_volumes,)
        mm; NaN at the first volume.
    """
    places = np.stack([_transform(one) for one in motion])
    apart = places[1:] @ np.linalg.inv(places[:-1]) - np.eye(4)
    turned, moved = apart[:, :3, :3], apart[:, :3, 3]
    squared = HEAD_MM**2 / 5 * np.einsum("tij,tij->t", turned, turned) + np.square(moved).sum(axis=1)
    return np.concatenate([[np.nan], np.sqrt(squared)])


def _transform(parameters: Floats) -> Floats:
    """Turn six parameters into a matrix: about x, then y, then z, then moved."""
    x, y, z = parameters[3:]
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    found = np.eye(4)
    found[:3, :3] = about_z @ about_y @ about_x
    found[:3, 3] = parameters[:3]
    return found
