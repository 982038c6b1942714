"""The Mann-Kendall trend test, exact where the number of layers allows it, or by the normal approximation."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subjects.errors import AnalysisError

Floats = NDArray[np.float64]

_MOST_TIED = 9  # n! orders are enumerated when values are tied


def mann_kendall(values: ArrayLike, *, by: str = "exact") -> tuple[float, float]:
    """Test for a monotonic trend over ordered places.

    ``S = sum over i < j of sign(x_j - x_i)``; tau = S / (n (n - 1) / 2); the two-sided p is the share of
    all n! orders of the values with at least this absolute S. Without ties the null comes from counting
    inversions; with ties the orders are enumerated (n up to 9).

    The normal approximation is what most programs give: z = (S - sign(S)) / sd, with the variance of S
    (n (n - 1) (2 n + 5) - sum over ties of t (t - 1) (2 t + 5)) / 18. With eight places and no ties its least p is
    .0008, where .00005 is exact.

    Parameters
    ----------
    values : array, (n,)
        One value a place, in order of the places; n >= 3.
    by : {"exact", "normal"}

    Returns
    -------
    tau, p : float

    References
    ----------
    Mann 1945, Econometrica 13:245; Kendall 1975, Rank Correlation Methods.

    Examples
    --------
    >>> mann_kendall([1, 2, 3, 4, 5, 6, 7, 8])
    (1.0, 4.96031746031746e-05)
    >>> mann_kendall([1, 2, 3, 4, 5, 6, 7, 8], by="normal")[1].__round__(6)
    0.000836
    """
    series = np.asarray(values, dtype=np.float64)
    n = len(series)
    if n < 3 or not np.isfinite(series).all():
        n_bad = np.count_nonzero(~np.isfinite(series))
        raise AnalysisError("Mann-Kendall test", came=f"{n} values, {n_bad} not finite",
                            expected="at least three finite values", remedy="Give one finite value for each place.")
    score = abs(int(_scores(series[None])[0]))
    tied = len(np.unique(series)) < n
    if by == "normal":
        p = _normal_tail(series, score=score)
    else:
        p = _tied_tail(series, score=score) if tied else _inversion_tail(n, score=score)
    return float(_scores(series[None])[0] / (n * (n - 1) / 2)), p


def _normal_tail(series: Floats, *, score: int) -> float:
    n, (_, ties) = len(series), np.unique(series, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    return math.erfc(max(score - 1, 0) / math.sqrt(2 * variance)) if variance > 0 else 1.0


def _scores(orders: Floats) -> Floats:
    first, second = np.triu_indices(orders.shape[1], 1)
    result: Floats = np.sign(orders[:, second] - orders[:, first]).sum(axis=1)
    return result


def _inversion_tail(n: int, *, score: int) -> float:
    counts = [1]
    for k in range(2, n + 1):  # orders of k items by inversions: one more factor 1 + q + ... + q^(k-1)
        counts = [sum(counts[max(0, i - k + 1):i + 1]) for i in range(len(counts) + k - 1)]
    top = n * (n - 1) // 2
    return sum(count for i, count in enumerate(counts) if abs(top - 2 * i) >= score) / math.factorial(n)


def _tied_tail(series: Floats, *, score: int) -> float:
    if len(series) > _MOST_TIED:
        raise AnalysisError("Mann-Kendall test", came=f"tied values among {len(series)}",
                            expected=f"no ties, or at most {_MOST_TIED} values",
                            remedy="Ties are resolved by enumerating all orders; give fewer values.")
    ranks = np.searchsorted(np.unique(series), series)
    orders = np.array(list(itertools.permutations(ranks)), dtype=np.float64)
    return float(np.mean(np.abs(_scores(orders)) >= score))
