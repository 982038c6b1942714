"""Standard errors that a design will give, before there are data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular, toeplitz

from analysis.glm.ols import Floats, project_out


def expected_covariance(designs: Sequence[Floats], *, drifts: Sequence[Floats], rho: float, whiten: bool) -> Floats:
    """Predict the covariance of betas for noise of variance 1.

    Parameters
    ----------
    designs : sequence of float64 array, (n_volumes, n_conditions)
        One a run.
    drifts : sequence of float64 array, (n_volumes, n_drifts)
        One array a run.
    rho : float
        Correlation of the noise from one volume to the next (AR(1)).
    whiten : bool
        Whether the fit whitens by that correlation, ``(X'V^-1 X)^-1``; else it is least squares in the same noise,
        ``(X'X)^-1 X'V X (X'X)^-1``. Drifts are projected out of X run by run.

    Returns
    -------
    float64 array, (n_conditions, n_conditions)
        For noise of another standard deviation: times its square.

    Raises
    ------
    ValueError
        If `rho` is not within -1 and 1.
    numpy.linalg.LinAlgError
        If the conditions cannot be told apart.
    """
    if not -1 < rho < 1:
        raise ValueError(f"a correlation of {rho}; expected one within -1 and 1")
    n = designs[0].shape[1]
    normal, spread = np.zeros((n, n)), np.zeros((n, n))
    for design, drift in zip(designs, drifts, strict=True):
        noise = toeplitz(rho ** np.arange(len(design)))
        if whiten:
            root = cholesky(noise, lower=True)
            white, slow = (solve_triangular(root, one, lower=True) for one in (design, drift))
            left = project_out(white, np.linalg.qr(slow)[0])
            normal += left.T @ left
        else:
            left = project_out(design, drift)
            normal += left.T @ left
            spread += left.T @ noise @ left
    inverse = np.linalg.inv(normal)
    return np.asarray(inverse if whiten else inverse @ spread @ inverse)


def variance_inflation(projected: Floats) -> NDArray[np.float64]:
    """Say by how much other conditions inflate each beta's variance, (n_conditions,).

    The diagonal of the inverse of the correlations (uncentred, drifts removed); 1 for a condition apart from others.

    Parameters
    ----------
    projected : float64 array, (n_volumes, n_conditions)
        Design without drifts, all runs below one another.
    """
    unit = projected / np.linalg.norm(projected, axis=0)
    return np.asarray(np.diag(np.linalg.inv(unit.T @ unit)))
