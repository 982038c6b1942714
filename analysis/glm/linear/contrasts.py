"""Contrasts of conditions under AR(1) noise: effect, t, z, p; and how much of the responses repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.glm.ar1 import AutoregressiveFit
from analysis.glm.ols import Floats

_BLOCK = 16384
"""Vertices whose repeats are widened to float64 at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ContrastMap:
    """A contrast at every vertex; NaN where there is no signal.

    Parameters
    ----------
    effect, error : float64 array, (n_vertices,)
        Weighted sum of the betas and its standard error, in the data's units.
    t : float64 array, (n_vertices,)
    n_df : float
        Degrees of freedom of t.
    """

    effect: Floats
    error: Floats
    n_df: float

    @property
    def t(self) -> Floats:
        """Effect over standard error."""
        return self.effect / self.error

    @property
    def p(self) -> Floats:
        """Two-tailed p of t."""
        return np.asarray(2.0 * special.stdtr(self.n_df, -np.abs(self.t)))

    @property
    def z(self) -> Floats:
        """The standard normal deviate of the same two-tailed p, with the sign of t; of very large t as large as can be.

        From the logarithm of p where p itself is below what a float can hold.
        """
        half = np.log(np.maximum(special.stdtr(self.n_df, -np.abs(self.t)), np.finfo(float).tiny))
        return np.asarray(-special.ndtri_exp(half) * np.sign(self.t))


def contrast(fit: AutoregressiveFit, weights: Sequence[float] | Floats) -> ContrastMap:
    """Take a contrast of the conditions.

    Parameters
    ----------
    fit : AutoregressiveFit
    weights : sequence of float, (n_conditions,)

    Returns
    -------
    ContrastMap

    Raises
    ------
    ValueError
        If there is not one finite weight a condition, or all are 0.
    """
    row = np.asarray(weights, dtype=np.float64)
    if row.shape != (len(fit.betas),) or not np.isfinite(row).all() or not row.any():
        raise ValueError(f"weights of shape {row.shape} for {len(fit.betas)} conditions; expected one finite weight "
                         "each, not all 0")
    scale = np.full(fit.rho.shape, np.nan)
    for rho, covariance in fit.covariances.items():
        scale[fit.rho == rho] = row @ covariance @ row
    return ContrastMap(effect=row @ fit.betas, error=np.sqrt(scale * fit.variance), n_df=fit.n_df)


def repeat_variances(repeats: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Measure how much responses vary in all, and over the repeats of one image.

    Parameters
    ----------
    repeats : float array, (n_repeats, n_images, n_vertices)
        Every image's response, as often as it was estimated; NaN throughout for an estimate that is missing. An image
        with fewer than two is left out.

    Returns
    -------
    total, noise : float64 array, (n_vertices,)
        The variance over all responses; the variance over an image's repeats, averaged over images. Both without bias
        (n - 1). NaN where there is no signal.

    Raises
    ------
    ValueError
        If there are not two repeats of two images.
    """
    n_repeats, n_images, n_vertices = repeats.shape
    if n_repeats < 2 or n_images < 2:
        raise ValueError(f"{n_repeats} repeats of {n_images} images; expected at least two of each")
    there = ~np.isnan(repeats).all(axis=2)
    there[:, there.sum(axis=0) < 2] = False
    total, noise = np.full(n_vertices, np.nan), np.full(n_vertices, np.nan)
    images = np.flatnonzero(there.any(axis=0))
    for start in range(0, n_vertices if len(images) > 1 else 0, _BLOCK):
        block = slice(start, start + _BLOCK)
        wide = repeats[:, :, block].astype(np.float64)
        noise[block] = np.mean([wide[there[:, one], one].var(axis=0, ddof=1) for one in images], axis=0)
        total[block] = wide[there].var(axis=0, ddof=1)
    return total, noise


def noise_ceiling_snr(repeats: NDArray[np.floating]) -> NDArray[np.float32]:
    """Measure how much the responses differ between images beside how much they differ between repeats (ncsnr).

    Parameters
    ----------
    repeats : float array, (n_repeats, n_images, n_vertices)
        See :func:`repeat_variances`.

    Returns
    -------
    float32 array, (n_vertices,)
        See :func:`snr_of`.

    Examples
    --------
    >>> same = np.tile(np.array([[[0.0], [2.0]]]), (3, 1, 1)) + np.array([-1.0, 0.0, 1.0])[:, None, None]
    >>> noise_ceiling_snr(same).round(2)
    array([1.], dtype=float32)
    """
    total, noise = repeat_variances(repeats)
    return snr_of(total, noise)


def snr_of(total: Floats, noise: Floats) -> NDArray[np.float32]:
    """Give ``sqrt(max(V - N, 0) / N)``, V the variance over all responses, N that over repeats (Allen et al. 2022).

    NaN where there is no noise (Nature Neuroscience 25:116-126).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.sqrt(np.maximum(total - noise, 0.0) / noise)
    return np.where(noise > 0, ratio, np.nan).astype(np.float32)


def noise_ceiling(ncsnr: NDArray[np.floating], *, n_repeats: int) -> NDArray[np.float32]:
    """Bound the variance that a model of the images can explain in the mean of `n_repeats` repeats, in percent.

    ``100 s^2 / (s^2 + 1 / n)``, s the ncsnr (Allen et al. 2022).

    Examples
    --------
    >>> noise_ceiling(np.array([0.5, 1.0]), n_repeats=4)
    array([50., 80.], dtype=float32)
    """
    if n_repeats < 1:
        raise ValueError(f"{n_repeats} repeats; expected at least 1")
    square = np.square(np.asarray(ncsnr, dtype=np.float64))
    return (100.0 * square / (square + 1.0 / n_repeats)).astype(np.float32)
