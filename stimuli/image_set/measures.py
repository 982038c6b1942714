"""How far apart two images are, and how much contrast one has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.generic]
Levels = NDArray[np.float64]


def contrast_rms(image: Image) -> float:
    """Measure an image's contrast.

    Parameters
    ----------
    image : array, (h, w, 3)
        RGB in 0..255.

    Returns
    -------
    float
        Grey levels: the root of the mean, over pixels and channels, of the squared deviation from the
        channel's own mean.

    Examples
    --------
    >>> board = np.zeros((2, 2, 3)); board[0] = 200
    >>> contrast_rms(board)
    100.0
    """
    values = _levels(image)
    return float(np.sqrt(np.mean((values - values.mean(axis=(0, 1))) ** 2)))


def noise_rms(image: Image, start: Image) -> float:
    """Measure in grey levels how strong a perturbation is: root mean square of `image` - `start`."""
    return float(np.sqrt(np.mean((_levels(image) - _levels(start)) ** 2)))


def l2(image: Image, start: Image) -> float:
    """Measure the Euclidean distance on RGB in [0, 1].

    Examples
    --------
    >>> l2(np.full((1, 1, 3), 255), np.zeros((1, 1, 3))) == 3 ** 0.5
    True
    """
    return float(np.linalg.norm(_levels(image) - _levels(start)) / 255.0)


def linf(image: Image, start: Image) -> float:
    """Measure the largest change of a value, RGB in [0, 1]."""
    return float(np.abs(_levels(image) - _levels(start)).max() / 255.0)


def similarity(image: Image, other: Image) -> float:
    """Measure structural similarity (Wang et al. 2004, IEEE Trans Image Process 13:600), scikit-image's defaults.

    Parameters
    ----------
    image, other : array, (h, w, 3)
        RGB in 0..255, at least 7 pixels a side.

    Returns
    -------
    float
        Mean over windows and channels; 1 for the same image.
    """
    from skimage.metrics import structural_similarity

    return float(structural_similarity(_levels(image), _levels(other), channel_axis=2, data_range=255.0))


def _levels(image: Image) -> Levels:
    return np.asarray(image, dtype=np.float64)
