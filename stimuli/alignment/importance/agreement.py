"""How well maps agree: Spearman's correlation over pixels, and the human ceiling by split halves of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import rankdata

CLICKME_CEILING = 0.6575315343478081
"""The published split-half correlation of ClickMe's maps (serre-lab/Harmonization), by which scores are divided."""


def spearman(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Correlate the ranks of pixels, for each pair of maps.

    Parameters
    ----------
    first, second : float array, (n, height, width)
        Maps of the same images.

    Returns
    -------
    float64 array, (n,)
        Spearman's rho, tied pixels at their mean rank; NaN where a map is the same everywhere.

    Examples
    --------
    >>> spearman(np.array([[[1.0, 2.0, 3.0]]]), np.array([[[10.0, 20.0, 15.0]]]))
    array([0.5])
    """
    if first.shape != second.shape or first.ndim != 3:
        raise ValueError(f"maps of shapes {first.shape} and {second.shape}; expected twice (n, height, width)")
    return np.array([_correlation(one, other) for one, other in zip(first, second, strict=True)], dtype=np.float64)


def _correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    one, other = (rankdata(values.ravel()) - (values.size + 1) / 2 for values in (first, second))
    norm = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / norm) if norm > 0 else float("nan")


@dataclass(frozen=True)
class HumanCeiling:
    """How well people's maps agree, and so how well a network's can agree with them.

    Parameters
    ----------
    split_half : float
        Mean over images and splits of the correlation between the mean maps of two halves of the people; what ClickMe's
        authors divide by.
    reliability : float
        That of the mean over all people, by Spearman and Brown: ``2 r / (1 + r)``.
    highest : float
        The correlation that the maps without noise would reach with the mean over all people: ``sqrt(reliability)``.
    error : float
        Standard error of `split_half` over images.
    n_images, n_splits : int
        Images with at least two people; random halves of each.
    """

    split_half: float
    reliability: float
    highest: float
    error: float
    n_images: int
    n_splits: int


def human_ceiling(people: Sequence[NDArray[np.floating] | None], *, rng: Generator,
                  n_splits: int = 20) -> HumanCeiling | None:
    """Estimate how well people agree, from single people's maps.

    Parameters
    ----------
    people : sequence of (float array, (n_people, height, width)) or None
        For each image; images with fewer than two people do not count.
    rng : Generator
        Draws the halves; of an odd number of people one is left out, another one in every split.
    n_splits : int
        Random halves of each image.

    Returns
    -------
    HumanCeiling or None
        None where no image has maps of two people.
    """
    scores = [_halves(maps, rng=rng, n_splits=n_splits) for maps in people if maps is not None and len(maps) > 1]
    known = np.array([score for score in scores if np.isfinite(score)])
    if len(known) == 0:
        return None
    half = float(known.mean())
    reliability = 2.0 * half / (1.0 + half) if half > 0 else 0.0
    error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else float("nan")
    return HumanCeiling(half, reliability, float(np.sqrt(reliability)), error, len(known), n_splits)


def _halves(maps: NDArray[np.floating], *, rng: Generator, n_splits: int) -> float:
    """Correlate halves of one image's people; NaN if every split has a half that is the same everywhere."""
    size, found = len(maps) // 2, []
    for _ in range(n_splits):
        mixed = rng.permutation(len(maps))
        one, other = (maps[rows].mean(axis=0, dtype=np.float64) for rows in (mixed[:size], mixed[size:2 * size]))
        score = _correlation(one, other)
        found += [score] if np.isfinite(score) else []
    return float(np.mean(found)) if found else float("nan")
