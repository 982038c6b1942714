r"""What drives a virtual subject's regions: the scores of images on a few dimensions.

By default a mixture that is not the tested network's layers alone, so that an encoding model of those layers is not
right by construction:

- **Gabor energy** of the image's pixels: four spatial frequencies by six orientations, pooled over a grid of places,
  and the luminance and colour of each place;
- **categories**: which of the classes it belongs to, and a random code of its own category;
- **layer**: the network's layer that the region follows (:data:`~analysis.simulation.ground_truth.LAYERS`).

Each source is scored on its principal components over the RE images, brought to variance 1, and weighted by the square
root of its share (:data:`SHARES`); early regions follow the pixels, late ones the categories. The Gabor energies are
not those of :mod:`analysis.rsa.low_level`, which describe images in the analysis: the two share no code on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Scores = NDArray[np.float64]
SHARES: Mapping[str, tuple[float, float, float]] = MappingProxyType({
    "V1": (0.70, 0.00, 0.30), "V2": (0.55, 0.10, 0.35), "V3": (0.45, 0.15, 0.40), "V4": (0.30, 0.30, 0.40),
    "LO": (0.15, 0.50, 0.35)})
"""Region to the shares of variance of Gabor energy, categories and the network's layer."""
N_COMPONENTS = 12
SIDE_PX, GRID = 96, 6
CYCLES = (4.0, 8.0, 16.0, 32.0)
"""Spatial frequencies in cycles an image."""
N_ORIENTATIONS = 6


def gabor_energy(image: NDArray[np.uint8]) -> Scores:
    """Measure an image's energy by spatial frequency, orientation and place, and its colour by place.

    Parameters
    ----------
    image : uint8 array, (height, width, 3)

    Returns
    -------
    float64 array, (n_measures,)
        Square roots of the energies (contrast), then the mean of R, G and B at each place, 0 to 1.

    Notes
    -----
    The image is averaged down to 96 x 96 pixels. A filter is a Gaussian in the plane of frequencies, one octave wide
    and as wide across orientations as half their distance; its response to an image is complex, its energy the squared
    modulus. The picture's edges meet.
    """
    small = _averaged(image.astype(np.float64) / 255.0, SIDE_PX)
    spectrum = np.fft.fft2(small.mean(axis=2) - small.mean())
    energies = [_pooled(np.abs(np.fft.ifft2(spectrum * one)) ** 2) for one in _filters()]
    colours = [_pooled(small[:, :, k]) for k in range(3)]
    return np.concatenate([np.sqrt(np.concatenate(energies)), *colours])


def _averaged(image: Scores, side: int) -> Scores:
    """Average an image down to a square of `side` pixels; places between pixels are shared out."""
    down, across = (_shares(n, side) for n in image.shape[:2])
    result: Scores = np.einsum("yh,hwc,xw->yxc", down, image, across, optimize=True)
    return result


def _shares(n: int, side: int) -> Scores:
    """Say how much of each of n pixels falls into each of `side` cells; rows sum to 1."""
    edges = np.linspace(0, n, side + 1)
    overlap = np.minimum(edges[1:, None], np.arange(1, n + 1)) - np.maximum(edges[:-1, None], np.arange(n))
    result: Scores = np.maximum(overlap, 0) * side / n
    return result


@cache
def _filters() -> list[Scores]:
    frequency = np.fft.fftfreq(SIDE_PX, 1 / SIDE_PX)
    radius = np.hypot(frequency[:, None], frequency)
    angle = np.arctan2(frequency[:, None], frequency)
    octaves = np.log2(np.maximum(radius, 1e-9))
    filters = []
    for cycles in CYCLES:
        for k in range(N_ORIENTATIONS):
            turned = np.angle(np.exp(1j * (angle - np.pi * k / N_ORIENTATIONS)))
            filters.append(np.exp(-0.5 * ((octaves - np.log2(cycles)) / 0.5) ** 2
                                  - 0.5 * (turned / (np.pi / N_ORIENTATIONS / 2)) ** 2))
    return filters


def _pooled(plane: Scores) -> Scores:
    cell = SIDE_PX // GRID
    result: Scores = plane.reshape(GRID, cell, GRID, cell).mean(axis=(1, 3)).ravel()
    return result


def category_code(classes: Sequence[str], *, rng: Generator) -> Scores:
    """Code images by class, and by a random part of its own for each.

    Parameters
    ----------
    classes : sequence of str
        The class of each image.
    rng : Generator

    Returns
    -------
    float64 array, (n_images, n_measures)
    """
    names = sorted(set(classes))
    member = np.array([[one == name for name in names] for one in classes], dtype=np.float64)
    own = rng.standard_normal((len(classes), N_COMPONENTS)) / np.sqrt(N_COMPONENTS)
    return np.concatenate([member, 0.5 * own], axis=1)


def components(measures: NDArray[np.floating], *, n: int = N_COMPONENTS) -> Scores:
    """Score images on the principal components of their measures, all together of variance 1.

    Parameters
    ----------
    measures : float array, (n_images, n_measures)
    n : int
        Components at most.

    Returns
    -------
    float64 array, (n_images, n or fewer)
        Zeros where all images measure alike. Signs are fixed: the largest entry of each column is positive.
    """
    centred = np.asarray(measures, dtype=np.float64) - np.mean(measures, axis=0, dtype=np.float64)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    taken = left[:, :n] * sizes[:n]
    total = np.sqrt((taken**2).sum() / len(taken))
    if not total > 1e-12 * max(1.0, float(np.abs(measures).max())):
        return np.zeros_like(taken)
    signs = np.sign(taken[np.abs(taken).argmax(axis=0), np.arange(taken.shape[1])])
    result: Scores = taken * np.where(signs == 0, 1, signs) / total
    return result


def mix(sources: Sequence[Scores], *, shares: Sequence[float]) -> Scores:
    """Put sources beside one another, each with its share of the variance.

    Sources of share 0 are left out.
    """
    return np.concatenate([np.sqrt(share) * one for one, share in zip(sources, shares, strict=True) if share > 0],
                          axis=1)
