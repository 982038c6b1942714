"""Spatially resolved predictivity: whether a network responds at the places of an image at which neurons do.

Neural maps hold a response for each place of each image and site. A layer's channels are brought to the maps' grid; a
model of 25 components predicts all sites from the channels at the same place, trained on every place of all images but
one and tested on that one (Linsley et al., 2023, "Performance-optimized deep neural networks are evolving into worse
models of inferotemporal visual cortex", NeurIPS).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.stats import rankdata

from analysis.encoding.predictivity.pls import fit_pls
from analysis.encoding.predictivity.scores import Ceiling, correlate, find_ceiling
from subjects.errors import AnalysisError

Floats = NDArray[np.float64]
Values = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class MapPredictivity:
    """How well a layer predicts where sites respond.

    Parameters
    ----------
    score : float
        Mean over images of the median over sites of Pearson's r over places.
    error : float
        Its standard error over images, whose models share most of their training images: the variance over images is
        multiplied by 1 / n + 1 / (n - 1) (Nadeau & Bengio, 2003).
    mean_map : float
        Mean over images of Spearman's rho over places between the predicted and the measured map, each the mean over
        sites.
    ceiling : Ceiling, optional
        Of places within images; None without repetitions.
    images : float64 array, (n_images,)
        Each image's median r.
    n_components : int
        The most that a model had.
    """

    score: float
    error: float
    mean_map: float
    ceiling: Ceiling | None
    images: Floats = field(repr=False)
    n_components: int

    @property
    def published(self) -> float:
        """The score over the reliability of the maps (Spearman-Brown)."""
        return self.score / self.ceiling.reliability if self.ceiling and self.ceiling.reliability else math.nan

    @property
    def corrected(self) -> float:
        """The score over what a model without error would reach."""
        return self.score / self.ceiling.highest if self.ceiling and self.ceiling.highest else math.nan


def on_grid(maps: Values, *, rows: int, columns: int) -> Floats:
    """Bring a layer's maps to the grid of the neural ones: bilinear, places' centres on centres.

    Parameters
    ----------
    maps : array, (n_images, n_channels, height, width)
    rows, columns : int

    Returns
    -------
    float64 array, (n_images, n_channels, rows, columns)
    """
    values = np.asarray(maps, dtype=np.float64)
    if values.shape[2:] == (rows, columns):
        return values
    scale = (1, 1, rows / values.shape[2], columns / values.shape[3])
    result: Floats = zoom(values, scale, order=1, mode="nearest", grid_mode=True)
    return result


def map_predictivity(units: Values, responses: Values, *, halves: tuple[Values, Values] | None = None,
                     n_components: int = 25) -> MapPredictivity:
    """Score a layer by the places at which it predicts responses, leaving one image out at a time.

    Parameters
    ----------
    units : array, (n_images, n_channels, height, width)
        Brought to the grid of the responses.
    responses : array, (n_images, n_sites, rows, columns)
        Mean over repetitions.
    halves : (array, array), each of the responses' shape, optional
        For the ceiling.
    n_components : int

    Returns
    -------
    MapPredictivity

    Raises
    ------
    AnalysisError
        If there are fewer than three images, or shapes do not fit.
    """
    measured = np.asarray(responses, dtype=np.float64)
    if measured.ndim != 4 or np.ndim(units) != 4 or len(units) != len(measured) or len(measured) < 3:
        raise AnalysisError("predictivity of maps", came=f"units {np.shape(units)}, responses {measured.shape}",
                            expected="(n_images, channels, height, width) and (n_images, sites, rows, columns) of the "
                                     "same three or more images", remedy="Give maps of both for every image.")
    x, y = _places(on_grid(units, rows=measured.shape[2], columns=measured.shape[3])), _places(measured)
    scores, rhos, most = np.empty(len(y)), np.empty(len(y)), 0
    for k in range(len(y)):
        rest = np.arange(len(y)) != k
        model = fit_pls(np.concatenate(x[rest]), np.concatenate(y[rest]), n_components=n_components)
        predicted = model.predict(x[k])
        scores[k] = np.median(correlate(predicted, y[k]))
        rhos[k] = _rank_correlation(predicted.mean(axis=1), y[k].mean(axis=1))
        most = max(most, model.n_components)
    return MapPredictivity(float(scores.mean()), _error(scores), float(rhos.mean()),
                           None if halves is None else _ceiling(*halves), scores, most)


def _error(scores: Floats) -> float:
    n = len(scores)
    return float(scores.std(ddof=1)) * math.sqrt(1.0 / n + 1.0 / (n - 1))


def _places(maps: Floats) -> Floats:
    """Lay out maps as (n_images, n_places, n_channels)."""
    return maps.reshape(*maps.shape[:2], -1).transpose(0, 2, 1)


def _rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's rho; 0 where one is the same everywhere."""
    return float(correlate(rankdata(one)[:, None], rankdata(other)[:, None])[0])


def _ceiling(first: Values, second: Values) -> Ceiling:
    """Take the ceiling within images: the median over images of the medians over sites."""
    found = [find_ceiling(one, other).split_half
             for one, other in zip(*(_places(np.asarray(half, dtype=np.float64)) for half in (first, second)),
                                   strict=True)]
    half = float(np.mean(found))
    reliability = 2.0 * half / (1.0 + half) if half > 0 else 0.0
    return Ceiling(half, reliability, math.sqrt(reliability))
