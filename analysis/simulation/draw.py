r"""Betas of virtual subjects as arrays, in milliseconds: for the calibration of statistics, without any file.

For a vertex v of a small square of cortex, image i of type c shown in session g(i), presentation p:

.. math::
    b_{pci v} = \sqrt{r} \sum_k w_{vk} z^c_k(i) + o_{g(i) v} + \sqrt{1 - r} \, n_{pci v}

with scores z of a world (:mod:`analysis.simulation.worlds`), tuning w and noise n smooth over the square, and an offset
o that all images of a session share, as the error of a session's baseline is shared. w is scaled so that the tuning of
every vertex has variance 1 over the RE images; r is then the expected correlation of its two presentations over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from analysis.simulation.worlds import TYPES, see

Floats = NDArray[np.float32]
SPACING_MM = 1.0


@dataclass(frozen=True, eq=False)
class Drawn:
    """Betas of virtual subjects, and the truth behind them.

    Parameters
    ----------
    betas : float32 array, (n_subjects, 2, 3, n_images, n_vertices)
        By subject, presentation, type (RE, AN, AI), base image and vertex.
    truth : float32 array, (n_subjects, 3, n_images, n_vertices)
        The tuning alone, without offset and noise.
    sessions : int64 array, (n_images,)
        The session of each base image, from 0.
    places_mm : float64 array, (n_vertices, 2)
        The vertices, on a square grid.
    """

    betas: Floats
    truth: Floats
    sessions: NDArray[np.int64]
    places_mm: NDArray[np.float64]

    def patterns(self, kind: str, *, subject: int = 0) -> Floats:
        """Average the two presentations of one type, (n_images, n_vertices)."""
        result: Floats = self.betas[subject, :, TYPES.index(kind)].mean(axis=0)
        return result


def draw(world: str, *, rng: Generator, reliability: float = 0.2, smoothness_mm: float = 2.5,
         noise_smoothness_mm: float = 1.0, n_subjects: int = 1, side: int = 14, n_images: int = 40,
         n_sessions: int = 2, n_dimensions: int = 12, offset_sd: float = 0.5,
         shared: Literal["nothing", "images", "cortex"] = "nothing", shared_rng: Generator | None = None) -> Drawn:
    """Draw virtual subjects.

    Parameters
    ----------
    world : {"paper", "cnn-like", "both", "null"}
        ``null`` has no tuning: all of a beta but the session's offset is noise.
    rng : numpy.random.Generator
    reliability : float
        r, 0 to 1: the split-half correlation of a vertex over the RE images of a session.
    smoothness_mm, noise_smoothness_mm : float
        Standard deviation of the Gaussian that smooths tuning and noise; 0 for independent vertices.
    n_subjects : int
    side : int
        Vertices along a side of the square, 1 mm apart: side * side in all.
    n_images, n_sessions, n_dimensions : int
        Base images, shared out evenly over the sessions in turn; dimensions on which they are seen.
    offset_sd : float
        Standard deviation of a session's offset, in units of the noise.
    shared : {"nothing", "images", "cortex"}
        What is the same in all subjects: ``images`` (their scores: subjects are then new vertices and new noise), or
        ``cortex`` (the tuning: subjects are then new images, as for the units of one network).
    shared_rng : numpy.random.Generator, optional
        What that is drawn by, so that several calls share it; by default `rng`.

    Returns
    -------
    Drawn

    Raises
    ------
    ValueError
        If `reliability` is beyond 0 to 1, or the world needs images (``pixels``).

    Examples
    --------
    >>> draw("paper", rng=np.random.default_rng(1)).betas.shape
    (1, 2, 3, 40, 196)
    """
    if not 0 <= reliability <= 1:
        raise ValueError(f"reliability {reliability}, expected 0 to 1")
    sessions = np.arange(n_images) % n_sessions
    betas = np.empty((n_subjects, 2, 3, n_images, side * side), dtype=np.float32)
    truth = np.empty((n_subjects, 3, n_images, side * side), dtype=np.float32)
    seen = weights = None
    for subject in range(n_subjects):
        if seen is None or shared != "images":
            seen = _seen(world, n_images=n_images, n_dimensions=n_dimensions,
                         rng=shared_rng if shared_rng and shared == "images" else rng)
        if weights is None or shared != "cortex":
            weights = _maps((n_dimensions,), side=side, sd=smoothness_mm,
                            rng=shared_rng if shared_rng and shared == "cortex" else rng)
        truth[subject] = np.sqrt(reliability) * _tuning(seen, weights)
        noise = _maps((2, 3, n_images), side=side, sd=noise_smoothness_mm, rng=rng)
        offsets = _maps((n_sessions,), side=side, sd=noise_smoothness_mm, rng=rng)[sessions]
        betas[subject] = truth[subject] + offset_sd * offsets + np.sqrt(1 - reliability) * noise
    rows, columns = np.divmod(np.arange(side * side), side)
    return Drawn(betas, truth, sessions, SPACING_MM * np.stack([columns, rows], axis=1).astype(np.float64))


def _seen(world: str, *, n_images: int, n_dimensions: int, rng: Generator) -> Floats:
    """Draw how the images are seen, (3, n_images, n_dimensions); dimensions fall off as 1/k, as those of layers do."""
    spread = 1 / np.sqrt(np.arange(1, n_dimensions + 1))
    scores = rng.standard_normal((n_images, n_dimensions)) * spread / np.sqrt((spread**2).sum())
    seen = see(world, scores, rng=rng)
    return np.stack([seen[kind].astype(np.float32) for kind in TYPES])


def _tuning(seen: Floats, weights: Floats) -> Floats:
    """Give what the images evoke, (3, n_images, n_vertices), of variance 1 over the RE images at every vertex."""
    tuning = seen @ weights
    size = tuning[0].std(axis=0)
    result: Floats = (tuning / np.where(size > 0, size, 1)).astype(np.float32)
    return result


def _maps(shape: tuple[int, ...], *, side: int, sd: float, rng: Generator) -> Floats:
    """Draw maps of variance 1 on the square, smooth over it; its edges meet, so that no vertex is special."""
    white = rng.standard_normal((*shape, side, side), dtype=np.float32)
    if sd > 0:
        widths = (*(0.0 for _ in shape), sd / SPACING_MM, sd / SPACING_MM)
        white = gaussian_filter(white, widths, mode="wrap") / np.float32(_shrunk(side, sd=sd))
    return white.reshape(*shape, side * side)


def _shrunk(side: int, *, sd: float) -> float:
    """Give the standard deviation that smoothing leaves of white noise: the length of its kernel."""
    impulse = np.zeros((side, side))
    impulse[0, 0] = 1.0
    return float(np.linalg.norm(gaussian_filter(impulse, sd / SPACING_MM, mode="wrap")))
