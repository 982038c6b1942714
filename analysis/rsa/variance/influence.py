r"""Variances of differences of similarities over images, from what each pair of images adds: thousands at a time.

To first order a rank correlation of standardised RDMs x and y is a sum over pairs of images of

.. math::
    h_{ij} = x_{ij} y_{ij} - r (x_{ij}^2 + y_{ij}^2) / 2

and the difference of two correlations with one RDM a sum of differences of these. With :math:`h_{ij} = a_i + a_j +
e_{ij}`, images' own parts a and what pairs add e, the variance of the sum over new images is
:math:`n (n - 1)^2 \sigma_a^2 + \binom{n}{2} \sigma_e^2`: the L and D of :mod:`~analysis.rsa.variance.jackknife`,
without leaving anything out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.rsa.similarity import PairGroups
from analysis.statistics.dissimilarity import unit_ranks, unit_values

Floats = NDArray[np.float64]
LEAST = 7
"""Images of a group of pairs of which a variance is estimated."""


def difference_variances(fixed: Floats, *, first: Floats, second: Floats, pairs: PairGroups,
                         by: str = "spearman") -> Floats:
    """Estimate the variances of similarity(fixed, second) less similarity(fixed, first) over images.

    Parameters
    ----------
    fixed : float64 array, (n_pairs,)
        Condensed RDM.
    first, second : float64 array, (m, n_pairs)
    pairs : PairGroups
        All pairs, or all pairs of several sets of images.
    by : str
        ``"pearson"``: of Pearson's r; else of Spearman's rho, for ``"tau_a"`` times 4 / 9, the variance of tau by that
        of rho near independence.

    Returns
    -------
    float64 array, (m,)
        NaN where a group has fewer than :data:`LEAST` images.
    """
    standard = unit_values if by == "pearson" else unit_ranks
    rows, columns = np.triu_indices(pairs.n, 1)
    found = np.zeros(len(first))
    for group in pairs.groups:
        images, places = np.unique(np.concatenate([rows[group], columns[group]]), return_inverse=True)
        x, gains = standard(fixed[group]), np.zeros((len(first), len(group)))
        for values, sign in ((first, -1.0), (second, 1.0)):
            y = standard(values[:, group])
            r = y @ x
            gains += sign * (x * y - 0.5 * r[:, None] * (x**2 + y**2))
        ends = np.split(places, 2)
        found += sum_variances(gains, rows=ends[0], columns=ends[1], n_images=len(images)) / len(pairs.groups)**2
    return found * (4 / 9 if by == "tau_a" else 1)


def sum_variances(values: Floats, *, rows: NDArray[np.intp], columns: NDArray[np.intp], n_images: int) -> Floats:
    """Estimate the variances of sums over all pairs of images, whose images are drawn.

    Parameters
    ----------
    values : float64 array, (m, n_pairs)
        Of every pair once; their mean is close to 0.
    rows, columns : int array, (n_pairs,)
        The images of each pair.
    n_images : int

    Returns
    -------
    float64 array, (m,)
        Never less than what pairs add by themselves.
    """
    n, n_pairs = n_images, values.shape[1]
    if n < LEAST:
        return np.full(len(values), np.nan)
    of_image = np.zeros((n_pairs, n))
    of_image[np.arange(n_pairs), rows] = of_image[np.arange(n_pairs), columns] = 1.0
    centred = values - values.mean(axis=1, keepdims=True)
    own = centred @ of_image / (n - 2)  # least squares of a, whose sum is 0
    left = (centred**2).sum(axis=1) - (n - 2) * (own**2).sum(axis=1)
    by_pair = np.maximum(left, 0.0) / (n_pairs - n)
    by_image = (own**2).sum(axis=1) / (n - 1) - by_pair / (n - 2)
    result: Floats = n * (n - 1)**2 * np.maximum(by_image, 0.0) + n_pairs * by_pair
    return result
