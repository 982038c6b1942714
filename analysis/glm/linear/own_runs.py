"""The responses of each run by itself: the repeats from which a noise ceiling is told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.glm.betas import BLANK
from analysis.glm.linear.contrasts import repeat_variances
from analysis.glm.ols import Floats, Model, fit_session
from analysis.jobs import Each, one_by_one
from subjects.errors import AnalysisError


def fit_each_run(runs: Sequence[NDArray[np.float32]], *, designs: Sequence[Floats], drifts: Sequence[Floats],
                 names: Sequence[str], each: Each = one_by_one) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Fit every run alone by least squares.

    Parameters
    ----------
    runs : sequence of float32 array, (n_volumes, n_vertices)
    designs : sequence of float64 array, (n_volumes, n_conditions)
        One column a condition; 0 throughout for one that the run does not hold.
    drifts : sequence of float64 array, (n_volumes, n_drifts)
    names : sequence of str
        The runs, for messages.
    each : Each
        How blocks of vertices are gone through.

    Returns
    -------
    betas : float32 array, (n_runs, n_conditions, n_vertices)
        In the data's units; NaN where a run does not hold a condition, or cannot be fitted alone.
    remarks : tuple of str
        Which runs could not be fitted alone, and why.
    """
    betas = np.full((len(runs), designs[0].shape[1], runs[0].shape[1]), np.nan, dtype=np.float32)
    remarks = []
    for k, (data, design, drift) in enumerate(zip(runs, designs, drifts, strict=True)):
        held = np.flatnonzero(np.any(design != 0, axis=0))
        if len(held) + drift.shape[1] >= len(data):
            remarks.append(f"{names[k]} alone has {len(data)} volumes for {len(held) + drift.shape[1]} columns")
            continue
        try:
            fit = fit_session([data], model=Model([design[:, held]], [drift], names[k]), each=each)
        except AnalysisError as error:
            remarks.append(f"{names[k]} alone cannot be fitted: {error.came}")
            continue
        betas[k, held] = np.where(fit.ss_total > 0, fit.betas, np.nan)
    return betas, tuple(remarks)


def image_variances(betas: NDArray[np.float32], *, conditions: pd.DataFrame) -> tuple[Floats, Floats] | None:
    """Measure how much responses to images vary in all and over repeats, from the betas of every run.

    Parameters
    ----------
    betas : float32 array, (n_runs, n_conditions, n_vertices)
        Of the runs of one session.
    conditions : DataFrame
        Columns :data:`~analysis.glm.betas.COLUMNS`; every presentation in every run is a repeat of its image.

    Returns
    -------
    total, noise : float64 array, (n_vertices,); or None
        See :func:`~analysis.glm.linear.contrasts.repeat_variances`; None without two repeats of two images.
    """
    images = conditions.reset_index(drop=True)
    groups = [rows.to_numpy() for _, rows in images[images["type"] != BLANK].groupby("image_id").groups.items()]
    if not groups:
        return None
    most = max(len(rows) for rows in groups)
    repeats = np.full((len(betas), most, len(groups), betas.shape[2]), np.nan, dtype=np.float32)
    for place, rows in enumerate(groups):
        repeats[:, :len(rows), place] = betas[:, rows]
    n_repeats = len(betas) * most
    if n_repeats < 2 or len(groups) < 2:
        return None
    return repeat_variances(repeats.reshape(n_repeats, len(groups), -1))


def average_variances(own: NDArray[np.float32], *, sessions: Sequence[str],
                      conditions: pd.DataFrame) -> tuple[Floats, Floats]:
    """Average :func:`image_variances` over sessions: each has repeats of its own images, and its own baseline.

    Parameters
    ----------
    own : float32 array, (n_runs, n_conditions, n_vertices)
    sessions : sequence of str
        The session of each run.
    conditions : DataFrame

    Returns
    -------
    total, noise : float64 array, (n_vertices,)
        NaN without two repeats of two images.
    """
    found = []
    for ses in dict.fromkeys(sessions):
        rows = np.flatnonzero((conditions["session"] == ses).to_numpy())
        mine = np.flatnonzero([one == ses for one in sessions])
        one = image_variances(own[np.ix_(mine, rows)], conditions=conditions.iloc[rows])
        if one is not None:
            found.append(one)
    if not found:
        nothing = np.full(own.shape[2], np.nan)
        return nothing, nothing.copy()
    return np.mean([one for one, _ in found], axis=0), np.mean([one for _, one in found], axis=0)
