r"""Accuracies tested over images: what the trained models would do on other images like these.

All vertices of a region answer to the same 40 images, and neighbours alike. A draw of vertices therefore says how much
the accuracy would move on other vertices of the same images, which is next to nothing: 80 % subsamples call the
difference of two accuracies significant in most subjects in whom neither model predicts anything. What is sampled are
images. With :math:`r_{-i}` the correlation of a vertex without image i, its influence and the standard error are those
of the jackknife

.. math::
    u_i = (n - 1) (\bar r_{-} - r_{-i}), \qquad s^2 = \sum_i \bar u_i^2 / (n (n - 1))

averaged over vertices before it is squared, so that their dependence counts whatever it is. A difference of two types
has the difference of the influences of the two images of one base image. The statistic divided by s is held against the
same in labels that are exchanged, in both types alike: exact where the predictions know nothing, and, being divided by
s, right for many images where both know equally much (DiCiccio & Romano 2017). Intervals take their width from the same
draws.

References
----------
DiCiccio CJ, Romano JP (2017) J Am Stat Assoc 112:1211-1220. Efron B, Stein C (1981) Ann Stat 9:586-596.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST = 4
"""Images of which a variance over images can be estimated."""
_AT_ONCE = 2_000_000
_FLAT = 1e-6


@dataclass(frozen=True, eq=False)
class OverImages:
    """An accuracy, the influence of every image on it, and both in labels that were exchanged.

    Parameters
    ----------
    effect : float
    influences : float64 array, (n_images,)
        Of mean 0: how much an image moves the accuracy.
    null : float64 array, (n,)
        Accuracies in exchanged labels.
    null_influences : float64 array, (n, n_images)
        In the order of the predictions' images.
    """

    effect: float
    influences: Floats
    null: Floats
    null_influences: Floats

    @property
    def error(self) -> float:
        """The standard error over images."""
        return float(standard_errors(self.influences[None])[0])

    def minus(self, other: OverImages) -> OverImages:
        """Give the difference to another accuracy on images of the same rows, labels exchanged by the same orders."""
        return OverImages(self.effect - other.effect, self.influences - other.influences, self.null - other.null,
                          self.null_influences - other.null_influences)

    @property
    def studentised(self) -> tuple[float, Floats]:
        """The effect divided by its standard error, and the same in every draw; 0 where nothing varies."""
        errors = standard_errors(self.null_influences)
        draws = np.divide(self.null, errors, out=np.zeros_like(self.null), where=errors > 0)
        return self.effect / self.error if self.error > 0 else 0.0, draws

    def two_sided_p(self) -> float:
        """Give the share of draws that are as far from 0, the data counted among them."""
        found, draws = self.studentised
        return float((1 + np.count_nonzero(np.abs(draws) >= abs(found) - 1e-9)) / (1 + len(draws)))

    def interval(self, *, percent: float) -> tuple[float, float]:
        """Give the interval over images; its width is that of the draws, in standard errors."""
        _, draws = self.studentised
        width = float(np.percentile(np.abs(draws), percent)) * self.error
        return self.effect - width, self.effect + width


def standard_errors(influences: Floats) -> Floats:
    """Give the standard error of each row's effect, (n, n_images) to (n,)."""
    n = influences.shape[1]
    result: Floats = influences.std(axis=1) * math.sqrt(n / (n * (n - 1)))
    return result


def over_images(predicted: NDArray[Any], measured: NDArray[Any], *, orders: NDArray[np.intp],
                correlate: str, centred: bool = True) -> OverImages:
    """Give an accuracy and what each image adds to it, as it is and in exchanged labels.

    Parameters
    ----------
    predicted, measured : float64 array, (n_images, n_vertices)
        Centred over images and scaled to unit length at each vertex (``correlate="vertex"``), or over vertices at each
        image: see :func:`~analysis.encoding.generalisation.standardise`. A vertex, or an image, of zeros counts as
        an accuracy of 0.
    orders : int array, (n, n_images)
        Exchanges of the measured images' labels.
    correlate : {"vertex", "image"}
    centred : bool
        Whether the columns were centred on these images, so that leaving one out moves the centre; false for deviations
        from the means of other images.

    Returns
    -------
    OverImages
    """
    if correlate == "image":
        return _by_image(predicted, measured, orders=orders)
    n = len(predicted)
    return _by_vertex(predicted, measured, orders=orders, taken=n / (n - 1) if centred else 1.0)


def _by_image(predicted: Floats, measured: Floats, *, orders: NDArray[np.intp]) -> OverImages:
    table = predicted @ measured.T
    places = np.arange(len(table))
    found, drawn = table[places, places], table[places, orders]
    return OverImages(float(found.mean()), found - found.mean(), drawn.mean(axis=1),
                      drawn - drawn.mean(axis=1, keepdims=True))


def _by_vertex(predicted: Floats, measured: Floats, *, orders: NDArray[np.intp], taken: float) -> OverImages:
    n, n_vertices = predicted.shape
    by_x, by_y = (_lengths_without(side, taken=taken) for side in (predicted, measured))
    products = predicted @ measured.T
    shared = taken * (predicted * by_x) @ (measured * by_y).T
    x, y, a, b = (side.astype(np.float32) for side in (predicted, measured, by_x, by_y))
    rows, places = np.concatenate([np.arange(n)[None], orders]), np.arange(n)
    left = np.empty((len(rows), n))
    at_once = max(1, _AT_ONCE // x.size)
    for first in range(0, len(rows), at_once):
        part = rows[first:first + at_once]
        accuracies = np.einsum("iv,piv->pv", x, y[part])
        left[first:first + at_once] = np.einsum("pv,iv,piv->pi", accuracies, a, b[part]) - shared[places, part]
    left /= n_vertices
    effects = products[places, rows].sum(axis=1) / n_vertices
    influences = (n - 1) * (left.mean(axis=1, keepdims=True) - left)
    return OverImages(float(effects[0]), influences[0], effects[1:], influences[1:])


def _lengths_without(side: Floats, *, taken: float) -> Floats:
    """Give the inverse length of each vertex's column without each image; 0 where nothing varies without it."""
    left = 1 - taken * side**2
    result: Floats = np.where(left > _FLAT, 1 / np.sqrt(np.maximum(left, _FLAT)), 0.0)
    return result
