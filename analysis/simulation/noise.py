"""What a virtual subject's signal holds besides responses: smooth random maps, autocorrelated noise, drifts."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from analysis.data.surface import Surface
from analysis.glm.design import polynomials

Maps = NDArray[np.float32]
_REACH = 2.5  # standard deviations at which a kernel ends


def smoother(surface: Surface, *, sd_mm: float) -> csr_array:
    """Make a Gaussian kernel on the flat map that keeps white noise at unit variance.

    Parameters
    ----------
    surface : Surface
    sd_mm : float
        Standard deviation in mm on the flat map.

    Returns
    -------
    csr_array, (n_vertices, n_vertices), float32
        Rows of unit length: white noise of variance 1 becomes a smooth map of variance 1.
    """
    tree = cKDTree(surface.flat.astype(np.float64))
    pairs = tree.sparse_distance_matrix(tree, _REACH * sd_mm, output_type="coo_matrix")
    weights = np.exp(-0.5 * (pairs.data / sd_mm) ** 2)
    lengths = np.sqrt(np.bincount(pairs.row, weights**2, minlength=surface.n_vertices))
    return csr_array(((weights / lengths[pairs.row]).astype(np.float32), (pairs.row, pairs.col)),
                     shape=(surface.n_vertices, surface.n_vertices))


def smooth_maps(n: int, *, kernel: csr_array, rng: Generator) -> Maps:
    """Draw smooth random maps of mean 0 and variance 1, (n, n_vertices) float32."""
    white = rng.standard_normal((kernel.shape[1], n), dtype=np.float32)
    return np.ascontiguousarray((kernel @ white).T)


def autocorrelated_noise(n_volumes: int, *, kernel: csr_array, ar1: float, rng: Generator) -> Maps:
    """Draw noise of variance 1: half of it smooth over the surface, all of it AR(1) in time.

    ``e_t = rho e_(t-1) + sqrt(1 - rho^2) w_t`` from its stationary distribution on.

    Parameters
    ----------
    n_volumes : int
    kernel : csr_array
        See :func:`smoother`.
    ar1 : float
        rho, the correlation of neighbouring volumes.
    rng : Generator

    Returns
    -------
    float32 array, (n_volumes, n_vertices)
    """
    local = rng.standard_normal((n_volumes, kernel.shape[0]), dtype=np.float32)
    local += smooth_maps(n_volumes, kernel=kernel, rng=rng)
    local *= np.float32(np.sqrt(0.5))
    local[1:] *= np.float32(np.sqrt(1 - ar1**2))
    return np.asarray(lfilter(np.ones(1, np.float32), np.array([1, -ar1], np.float32), local, axis=0), np.float32)


def drifts(n_volumes: int, *, degree: int, kernel: csr_array, rng: Generator) -> Maps:
    """Draw slow drifts of variance 1 on average: polynomials of degree 1 to `degree` with smooth weights.

    Returns
    -------
    float32 array, (n_volumes, n_vertices)
    """
    if degree < 1:
        return np.zeros((n_volumes, kernel.shape[0]), dtype=np.float32)
    basis = polynomials(n_volumes, degree=degree)[:, 1:] * np.sqrt(n_volumes / degree)
    result: Maps = basis.astype(np.float32) @ smooth_maps(degree, kernel=kernel, rng=rng)
    return result
