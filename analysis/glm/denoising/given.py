"""From a session's events to what GLMdenoise is given: onsets on the grid of volumes, the response, drifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import block_diag

from analysis.glm.denoising.experiment import Experiment
from analysis.glm.denoising.hrf_estimate import common_phase, onset_matrix
from analysis.glm.denoising.model import Floats, Nuisance
from analysis.glm.design import (
    Sampling,
    condition_columns,
    design_matrix,
    drift_degree,
    planned_durations,
    polynomials,
)
from analysis.glm.hrf import LENGTHS_S, ResponseModel, Shape, event_response, peak_height
from analysis.glm.portions import Portion
from subjects.run_key import RunKey


@dataclass(frozen=True, eq=False)
class Units:
    """Events cut into pieces of one duration, for which one response is estimated.

    Parameters
    ----------
    duration_s : float
        Duration of a piece: the shortest planned one of the session.
    phase_s : float
        Time from an event to the first volume that its response is sampled at.
    times_s : float64 array, (n_lags,)
        Times after an event at which the response is sampled, one TR apart.
    shape : {"canonical", "glmdenoise"}
        The canonical response (:func:`~analysis.glm.hrf.event_response`).
    """

    duration_s: float
    phase_s: float
    times_s: Floats
    shape: Shape = "canonical"

    @property
    def canonical(self) -> Floats:
        """The canonical response to a piece at :attr:`times_s`."""
        return event_response(self.times_s, duration_s=self.duration_s, planned_s=self.duration_s, shape=self.shape)


def choose_units(events: Sequence[pd.DataFrame], samplings: Sequence[Sampling], *,
                 shape: Shape = "canonical") -> Units:
    """Choose the pieces that a session's events are cut into, and when their response is sampled.

    Parameters
    ----------
    events : sequence of DataFrame
        One table a scan, with ``onset``, ``duration`` and ``trial_type``.
    samplings : sequence of Sampling
        One a scan, of one TR.
    shape : {"canonical", "glmdenoise"}
    """
    duration_s = float(np.min([planned_durations(table).min() for table in events]))
    tr_s = samplings[0].tr_s
    after_first = np.concatenate([table["onset"].to_numpy(dtype=np.float64) - sampling.start_s
                                  for table, sampling in zip(events, samplings, strict=True)])
    phase_s = common_phase(after_first, first_s=0.0, tr_s=tr_s)
    n_lags = int(np.ceil((LENGTHS_S[shape] + duration_s - phase_s) / tr_s))
    return Units(duration_s, phase_s, phase_s + tr_s * np.arange(n_lags, dtype=np.float64), shape)


def lay_onsets(events: pd.DataFrame, *, conditions: pd.DataFrame, sampling: Sampling, units: Units) -> Floats:
    """Lay a scan's events on the grid of all its volumes, the discarded ones included.

    An event that lasts longer than a piece is several of them, one after the other, the last in proportion to what is
    left; scaled so that an event of its planned duration peaks at 1 under the canonical response, as in
    :func:`~analysis.glm.design.design_matrix`.

    Returns
    -------
    float64 array, (n_volumes, n_conditions)
    """
    columns = condition_columns(events, conditions=conditions)
    durations, planned = events["duration"].to_numpy(dtype=np.float64), planned_durations(events)
    onsets, targets, weights = [], [], []
    for onset, column, duration, plan in zip(events["onset"], columns, durations, planned, strict=True):
        pieces = duration / units.duration_s
        for k in range(int(np.ceil(pieces - 1e-9))):
            onsets.append(onset + k * units.duration_s)
            targets.append(column)
            weights.append(min(1.0, pieces - k) * peak_height(units.duration_s, units.shape)
                           / peak_height(float(plan), units.shape))
    within = (np.array(onsets) + units.phase_s - sampling.start_s) / sampling.tr_s < sampling.n_volumes
    return onset_matrix(np.array(onsets)[within], np.array(targets)[within], n_conditions=len(conditions),
                        first_s=sampling.start_s, n_volumes=sampling.n_volumes, tr_s=sampling.tr_s,
                        phase_s=units.phase_s, weights=np.array(weights)[within])


def merge_presentations(conditions: pd.DataFrame, *, occurs: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Decide which conditions count as one until the final fit, so that they repeat across runs.

    A condition of one run only has an all-zero column wherever that run is left out, and cannot be cross-validated.

    Parameters
    ----------
    conditions : DataFrame
        Columns ``type``, ``image_id`` and ``presentation``.
    occurs : bool array, (n_runs, n_conditions)
        Which run holds which condition.

    Returns
    -------
    int64 array, (n_conditions,), or None
        The group of each condition: all presentations of an image together, if that lets more of them repeat; None
        where they are best left apart.

    Examples
    --------
    >>> table = pd.DataFrame({"type": ["RE", "RE"], "image_id": ["a", "a"], "presentation": [1, 2]})
    >>> merge_presentations(table, occurs=np.array([[True, False], [False, True]])).tolist()
    [0, 0]
    >>> merge_presentations(table, occurs=np.array([[True, True], [True, True]])) is None
    True
    """
    if (occurs.sum(axis=0) != 1).all():
        return None
    groups = conditions.groupby(["type", "image_id"], sort=False).ngroup().to_numpy().astype(np.int64)
    together = np.array([occurs[:, groups == group].any(axis=1).sum() for group in groups])
    return groups if (together == 1).sum() < (occurs.sum(axis=0) == 1).sum() else None


def make_experiment(portion: Portion, *, samplings: Mapping[RunKey, Sampling], drift_minutes: float,
                    hrf_fit: Literal["optimize", "assume", "fir"],
                    shape: Shape = "canonical",
                    extras: Mapping[RunKey, Floats] | None = None) -> tuple[Experiment, Units]:
    """Make what GLMdenoise is given for some runs of a session.

    A run that was shown in parts is one run, left out and drawn as a whole; each part has drifts of its own, as a scan
    has, and no response reaches from one part into the next.

    Parameters
    ----------
    portion : Portion
    samplings : mapping of RunKey to Sampling
        Of every part.
    drift_minutes : float
        Minutes a degree of the drift polynomials.
    hrf_fit : {"optimize", "assume", "fir"}
    shape : {"canonical", "glmdenoise"}
        The canonical response that is assumed, or from which the estimate starts.
    extras : mapping of RunKey to float64 array, (n_kept_volumes, n_regressors), optional
        Further regressors of no interest of every part.

    Returns
    -------
    Experiment, Units
    """
    events, conditions = portion.events, portion.conditions
    units = choose_units(list(events.values()), [samplings[key] for key in events], shape=shape)
    onsets, kept, nuisance, predicted = [], [], [], []
    for parts in portion.runs.values():
        laid = {key: lay_onsets(table, conditions=conditions, sampling=samplings[key], units=units)
                for key, table in parts.items()}
        rows, places = _joined(list(laid.values()), n_discarded=[samplings[key].n_discarded for key in parts],
                               gap=len(units.times_s))
        onsets.append(rows)
        kept.append(places)
        nuisance.append(Nuisance(block_diag(*(_drifts(samplings[key], drift_minutes) for key in parts)),
                                 None if extras is None else block_diag(*(extras[key] for key in parts))))
        predicted.append(np.concatenate([design_matrix(table, conditions=conditions, sampling=samplings[key],
                                                       response=ResponseModel(shape=shape))
                                         for key, table in parts.items()]))
    occurs = np.array([np.any(one != 0, axis=0) for one in predicted])
    return Experiment(onsets=onsets, nuisance=nuisance, response=units.canonical, kept=kept,
                      predicted=predicted if hrf_fit == "assume" else None,
                      merged=merge_presentations(conditions, occurs=occurs)), units


def _drifts(sampling: Sampling, drift_minutes: float) -> Floats:
    return polynomials(sampling.n_volumes - sampling.n_discarded,
                       degree=drift_degree(sampling, drift_minutes=drift_minutes), where=sampling.where)


def _joined(parts: Sequence[Floats], *, n_discarded: Sequence[int], gap: int) -> tuple[Floats, NDArray[np.int64]]:
    """Put the parts of a run below one another with room between them, and say which rows are kept volumes."""
    rows, kept, start = [], [], 0
    for part, discarded in zip(parts, n_discarded, strict=True):
        rows += [part, np.zeros((gap, part.shape[1]))]
        kept.append(np.arange(start + discarded, start + len(part)))
        start += len(part) + gap
    return np.concatenate(rows[:-1]), np.concatenate(kept)
