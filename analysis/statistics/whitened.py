"""Distances in units of the noise: Mahalanobis, and cross-validated (crossnobis), 0 in the mean of like patterns."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subjects.errors import AnalysisError

Floats = NDArray[np.float64]


def shrunk_covariance(residuals: ArrayLike) -> Floats:
    """Estimate the covariance of noise, shrunk towards its diagonal (Schafer & Strimmer 2005, SAGMB 4:32).

    Parameters
    ----------
    residuals : array, (n_samples, n_features)
        Noise alone, such as differences of presentations of the same image, or residuals of the GLM.

    Returns
    -------
    float64 array, (n_features, n_features)

    Raises
    ------
    AnalysisError
        If a feature does not vary, or there are fewer than three samples.
    """
    values = np.asarray(residuals, dtype=np.float64)
    values = values - values.mean(axis=0)
    n = len(values)
    spread = values.std(axis=0)
    if n < 3 or not (spread > 0).all():
        flat = int(np.count_nonzero(~(spread > 0)))
        raise AnalysisError("covariance of noise", came=f"{n} samples, {flat} constant feature(s)",
                            expected="three samples or more of features that vary", remedy="Leave those features out.")
    scaled = values / spread
    correlations = scaled.T @ scaled / n
    squares = (scaled**2).T @ scaled**2 / n - correlations**2
    off = ~np.eye(len(spread), dtype=bool)
    total = (correlations[off]**2).sum()
    share = min(1.0, float(squares[off].sum() / (n - 1) / total)) if total > 0 else 1.0
    correlations[off] *= 1 - share
    result: Floats = correlations * spread[:, None] * spread * n / (n - 1)
    return result


def mahalanobis(patterns: ArrayLike, *, covariance: Floats) -> Floats:
    """Compute squared Mahalanobis distances by the number of features, condensed.

    Parameters
    ----------
    patterns : array, (n_conditions, n_features)
    covariance : float64 array, (n_features, n_features)
        Of the noise; see :func:`shrunk_covariance`.

    Returns
    -------
    float64 array, (n_conditions * (n_conditions - 1) / 2,)
    """
    values = np.asarray(patterns, dtype=np.float64)
    result: Floats = _of_products(_products(values, values, covariance=covariance)) / values.shape[1]
    return result


def crossnobis(partitions: ArrayLike, *, covariance: Floats | None = None) -> Floats:
    """Compute cross-validated distances by the number of features, condensed: the mean over pairs of partitions.

    Parameters
    ----------
    partitions : array, (n_partitions, n_conditions, n_features)
        Independent estimates of the same conditions, at least two: presentations, runs.
    covariance : float64 array, (n_features, n_features), optional
        Of the noise; without it features count alike (cross-validated squared Euclidean).

    Returns
    -------
    float64 array, (n_conditions * (n_conditions - 1) / 2,)
        May be negative: where two conditions are alike its mean is 0 (Walther et al. 2016, NeuroImage 137:188).

    Raises
    ------
    AnalysisError
        For a single partition.
    """
    values = np.asarray(partitions, dtype=np.float64)
    n = len(values)
    if values.ndim != 3 or n < 2:
        raise AnalysisError("crossnobis", came=f"partitions of shape {values.shape}",
                            expected="(n_partitions, n_conditions, n_features), two partitions or more",
                            remedy="Give each presentation or run by itself.")
    whole = values.sum(axis=0)
    between = _products(whole, whole, covariance=covariance)
    between -= sum(_products(one, one, covariance=covariance) for one in values)
    result: Floats = _of_products(between) / (n * (n - 1) * values.shape[2])
    return result


def whiten(patterns: ArrayLike, *, covariance: Floats) -> Floats:
    """Give patterns whose squared Euclidean distances are the Mahalanobis distances of these.

    Parameters
    ----------
    patterns : array, (n_conditions, n_features)
    covariance : float64 array, (n_features, n_features)

    Returns
    -------
    float64 array, (n_conditions, n_features)
    """
    result: Floats = np.linalg.solve(np.linalg.cholesky(covariance), np.asarray(patterns, dtype=np.float64).T).T
    return result


def contributions(partitions: ArrayLike, *, covariance: Floats, crossed: bool) -> Floats:
    """Part whitened distances into what each feature adds.

    Parameters
    ----------
    partitions : array, (n_partitions, n_conditions, n_features)
    covariance : float64 array, (n_features, n_features)
    crossed : bool
        Cross-validated over partitions, or Mahalanobis distances of their mean.

    Returns
    -------
    float64 array, (n_conditions * (n_conditions - 1) / 2, n_features)
        Its mean over features is :func:`crossnobis` or :func:`mahalanobis`.
    """
    values = np.asarray(partitions, dtype=np.float64)
    values = values - values.mean(axis=1, keepdims=True)
    n = len(values)
    whole = _shares(values.sum(axis=0), covariance=covariance)
    if not crossed:
        return whole / n**2
    for one in values:
        whole -= _shares(one, covariance=covariance)
    return whole / (n * (n - 1))


def products(partitions: ArrayLike, *, covariance: Floats, crossed: bool) -> Floats:
    """Give whitened products of conditions, (n_conditions, n_conditions).

    Parameters
    ----------
    partitions : array, (n_partitions, n_conditions, n_features)
    covariance : float64 array, (n_features, n_features)
    crossed : bool
        Of different partitions only, or of their mean.
    """
    values = np.asarray(partitions, dtype=np.float64)
    n, whole = len(values), values.sum(axis=0)
    found: Floats = whole @ np.linalg.solve(covariance, whole.T)
    if not crossed:
        return found / n**2
    for one in values:
        found -= one @ np.linalg.solve(covariance, one.T)
    return (found + found.T) / (2 * n * (n - 1))


def _shares(patterns: Floats, *, covariance: Floats) -> Floats:
    rows, columns = np.triu_indices(len(patterns), 1)
    weighted = np.linalg.solve(covariance, patterns.T).T
    result: Floats = (patterns[rows] - patterns[columns]) * (weighted[rows] - weighted[columns])
    return result


def _products(first: Floats, second: Floats, *, covariance: Floats | None) -> Floats:
    """Give the whitened products of all pairs, less the mean pattern, which no distance hangs on."""
    a, b = first - first.mean(axis=0), second - second.mean(axis=0)
    result: Floats = a @ (b.T if covariance is None else np.linalg.solve(covariance, b.T))
    return result


def _of_products(products: Floats) -> Floats:
    rows, columns = np.triu_indices(len(products), 1)
    sizes = products.diagonal()
    result: Floats = sizes[rows] + sizes[columns] - products[rows, columns] - products[columns, rows]
    return result
