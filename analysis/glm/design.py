"""Events to design: which conditions a session has, their predicted time courses, and slow drifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.glm.betas import BLANK, COLUMNS
from analysis.glm.hrf import ResponseModel
from stimuli.manifest import TYPES
from subjects.errors import AnalysisError

_NAMES = list(COLUMNS[1:])


def where_of(events: pd.DataFrame) -> str:
    """Say of which run an events table is, for messages: ``attrs["where"]``, set where it was read."""
    return str(events.attrs.get("where", "events"))


def name_events(events: pd.DataFrame) -> pd.DataFrame:
    """Name the condition of each event.

    Parameters
    ----------
    events : DataFrame
        A run's events table with ``trial_type``, ``image_id``, ``base_image``, ``presentation``.

    Returns
    -------
    DataFrame
        Columns ``type``, ``image_id``, ``base_image`` and ``presentation``, rows as in `events`. All blank
        trials are one condition, with empty names and presentation 0.
    """
    shown = (events["trial_type"] != BLANK).to_numpy()
    number = pd.to_numeric(events["presentation"], errors="coerce").fillna(0)
    named = pd.DataFrame({
        "type": events["trial_type"].astype(str).to_numpy(),
        "image_id": np.where(shown, events["image_id"].fillna("").astype(str), ""),
        "base_image": np.where(shown, events["base_image"].fillna("").astype(str), ""),
        "presentation": np.where(shown, number, 0).astype(int),
    })
    nameless = shown & ((named["image_id"] == "") | (named["presentation"] < 1)).to_numpy()
    if nameless.any():
        raise AnalysisError(where_of(events), expected="both for every image",
                            came=f"event {int(np.argmax(nameless)) + 1} without an image_id or a presentation",
                            remedy="Make the events table again from its journal.")
    return named


def list_conditions(runs: Mapping[int, pd.DataFrame], *, session: str,
                    base_images: Sequence[str] | None = None) -> pd.DataFrame:
    """List the conditions of a session.

    Parameters
    ----------
    runs : mapping of int to DataFrame
        Run number to events table.
    session : str
        Session label.
    base_images : sequence of str, optional
        The study's order of base images; by default alphabetical.

    Returns
    -------
    DataFrame
        Columns :data:`~analysis.glm.betas.COLUMNS`; types RE, AN, AI, in each the base images, in each the
        presentations; at last the blank trials. 60 images x 2 presentations + 1 = 121 by the protocol.

    Raises
    ------
    AnalysisError
        If one image has two names.
    """
    table = pd.concat([name_events(events) for events in runs.values()]).drop_duplicates()
    table = table.assign(session=session)[list(COLUMNS)]
    table = table.iloc[order_conditions(table, base_images=base_images)].reset_index(drop=True)
    twice = table.duplicated(["type", "base_image", "presentation"])
    if twice.any():
        _refuse_two_images(table[twice].iloc[0], runs=runs, session=session)
    return table


def _refuse_two_images(condition: pd.Series, *, runs: Mapping[int, pd.DataFrame], session: str) -> NoReturn:
    """Say which two images have one name, and in which runs' tables each of them is."""
    shown: dict[str, list[str]] = {}
    for run, events in runs.items():
        named = name_events(events)
        alike = (named[["type", "base_image", "presentation"]] == condition[["type", "base_image", "presentation"]]
                 ).all(axis=1)
        for image in named.loc[alike, "image_id"].unique():
            shown.setdefault(image, []).append(f"run {run}" if events.attrs.get("where") is None else where_of(events))
    told = " and ".join(f"{image!r} in {', '.join(places[:3])}{', ...' * (len(places) > 3)}"
                        for image, places in shown.items())
    raise AnalysisError(f"ses-{session}", came=f"two images as {_describe(condition)}: {told}",
                        expected="one image a base image and type", remedy="Use the events of one stimulus set.")


def order_conditions(table: pd.DataFrame, *, base_images: Sequence[str] | None = None) -> NDArray[np.int64]:
    """Order conditions by type, base image, presentation and session, blanks last.

    Parameters
    ----------
    table : DataFrame
        Columns :data:`~analysis.glm.betas.COLUMNS`.
    base_images : sequence of str, optional
        The study's order; by default alphabetical.

    Returns
    -------
    int64 array, (n_conditions,)
        The rows of `table` in that order.

    Raises
    ------
    AnalysisError
        If a base image is not among `base_images`.
    """
    named = [name for name in table["base_image"] if name]
    rank = {name: k for k, name in enumerate(sorted(set(named)) if base_images is None else base_images)}
    unknown = sorted(set(named) - set(rank))
    if unknown:
        raise AnalysisError("events", came=f"base image {unknown[0]!r}", expected="the base images of the settings",
                            remedy="Correct stimuli.classes or stimuli.per_class in study.toml.")
    kinds = [*TYPES, BLANK]
    keys = pd.DataFrame({"type": [kinds.index(kind) for kind in table["type"]],
                         "base_image": [rank.get(name, len(rank)) for name in table["base_image"]],
                         "presentation": table["presentation"].to_numpy(), "session": table["session"].to_numpy()})
    return keys.sort_values(keys.columns.to_list(), kind="stable").index.to_numpy(np.int64)


def missing_conditions(runs: Mapping[int, pd.DataFrame], *, conditions: pd.DataFrame) -> dict[int, tuple[str, ...]]:
    """List by run the conditions of its session that it does not hold: an aborted run, or a table that was cut.

    Returns
    -------
    dict of int to tuple of str
        Of the runs that lack some, in words: ``"AN dogs-01 presentation 2"``.
    """
    found = {}
    for run, events in runs.items():
        present = name_events(events).drop_duplicates()
        missing = conditions.merge(present, how="left", on=_NAMES, indicator=True).query("_merge == 'left_only'")
        if len(missing):
            found[run] = tuple(_describe(row) for _, row in missing.iterrows())
    return found


def _describe(condition: pd.Series) -> str:
    if condition["type"] == BLANK:
        return BLANK
    return f"{condition['type']} {condition['base_image']} presentation {condition['presentation']}"


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """When a run's volumes were taken.

    Parameters
    ----------
    n_volumes : int
        Volumes acquired, the discarded ones included.
    tr_s : float
        Repetition time.
    n_discarded : int
        Volumes left out at the start.
    start_s : float
        Time of the first volume's samples after its pulse: 0 without slice timing correction, BIDS
        ``StartTime`` with it.
    where : str
        Whose, for messages.
    """

    n_volumes: int
    tr_s: float
    n_discarded: int = 0
    start_s: float = 0.0
    where: str = field(default="volumes", repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (0 <= self.n_discarded < self.n_volumes and self.tr_s > 0):
            raise AnalysisError(self.where, expected="some left",
                                remedy="Discard less (the paradigm's discard_s), or correct scanner.tr_s.",
                                came=f"{self.n_volumes} volumes of {self.tr_s:g} s, {self.n_discarded} discarded")

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Times of the kept volumes after the first counted pulse."""
        return self.start_s + self.tr_s * np.arange(self.n_discarded, self.n_volumes, dtype=np.float64)

    @property
    def minutes(self) -> float:
        """Length of what is kept."""
        return (self.n_volumes - self.n_discarded) * self.tr_s / 60.0


SINGLE = ResponseModel()
"""SPM's response, one column a condition."""


def design_matrix(events: pd.DataFrame, *, conditions: pd.DataFrame, sampling: Sampling,
                  response: ResponseModel = SINGLE) -> NDArray[np.float64]:
    """Predict the time course of each condition in one run, from the onsets as they were.

    Parameters
    ----------
    events : DataFrame
        The run's events table; ``onset`` and ``duration`` in seconds, and ``duration_planned`` where the plan is
        known (see :func:`planned_durations`).
    conditions : DataFrame
        See :func:`list_conditions`.
    sampling : Sampling
    response : ResponseModel
        By default one column a condition, of SPM's response.

    Returns
    -------
    float64 array, (n_kept_volumes, n_conditions * n_columns)
        Sum over a condition's events of :func:`~analysis.glm.hrf.event_response`: a single event that lasts as
        planned peaks at 1. A condition's columns stand beside one another; a derivative is made orthogonal to the
        columns before it, as SPM does it, so that the beta is the height of the response with or without it.

    Raises
    ------
    AnalysisError
        If an event has no condition, no length, or starts before the first or after the last volume.
    """
    _require_within(events, sampling=sampling)
    columns = condition_columns(events, conditions=conditions)
    times = sampling.times_s
    design = np.zeros((len(times), len(conditions), response.n_columns))
    add_responses(design, events, columns=columns, times_s=times, response=response)
    if response.basis in ("derivative", "dispersion"):
        _orthogonalise(design)
    return design.reshape(len(times), -1)


def _orthogonalise(design: NDArray[np.float64]) -> None:
    """Take off each of a condition's columns what those before it explain, in place, (n_volumes, n_conditions, n)."""
    for later in range(1, design.shape[2]):
        for before in range(later):
            first, other = design[..., before], design[..., later]
            size = np.maximum(np.einsum("tc,tc->c", first, first), 1e-300)
            other -= first * (np.einsum("tc,tc->c", first, other) / size)


def condition_columns(events: pd.DataFrame, *, conditions: pd.DataFrame) -> NDArray[np.int64]:
    """Find the condition of each event, as a row of `conditions`, (n_events,).

    Raises
    ------
    AnalysisError
        If an event has none.
    """
    keys = pd.MultiIndex.from_frame(conditions[_NAMES])
    columns = keys.get_indexer(pd.MultiIndex.from_frame(name_events(events)[_NAMES]))
    if (columns < 0).any():
        raise AnalysisError(where_of(events), came=f"event {int(np.argmax(columns < 0)) + 1} of no listed condition",
                            expected="one of the session's conditions", remedy="List the conditions of all runs.")
    return columns.astype(np.int64)


def add_responses(design: NDArray[np.float64], events: pd.DataFrame, *, columns: Sequence[int] | NDArray[np.int64],
                  times_s: NDArray[np.float64], response: ResponseModel = SINGLE) -> None:
    """Add each event's predicted response to its column, in place.

    Parameters
    ----------
    design : float64 array, (n_volumes, n_conditions) or (n_volumes, n_conditions, n_columns)
    events : DataFrame
        See :func:`design_matrix`.
    columns : sequence of int
        Column of each event.
    times_s : float64 array, (n_volumes,)
        Times of the volumes after the first counted pulse.
    response : ResponseModel
    """
    planned = planned_durations(events)
    whole = design if design.ndim == 3 else design[..., None]
    for column, onset, duration, plan in zip(columns, events["onset"], events["duration"], planned, strict=True):
        near = slice(*np.searchsorted(times_s, [onset, onset + duration + response.length_s]))
        whole[near, column] += response.columns(times_s[near] - onset, duration_s=duration, planned_s=plan)


def planned_durations(events: pd.DataFrame) -> NDArray[np.float64]:
    """Give how long each event should have lasted, in seconds.

    Parameters
    ----------
    events : DataFrame
        ``duration`` and ``trial_type``; ``duration_planned`` where the plan is known.

    Returns
    -------
    float64 array, (n_events,)
        The plan. Where there is none (an events table from elsewhere): the median of the measured durations of the
        same trial type in this run, which one event that was left up for too long does not move.

    Examples
    --------
    >>> shown = pd.DataFrame({"trial_type": ["RE"] * 3, "duration": [2.0, 4.0, 2.0]})
    >>> planned_durations(shown)
    array([2., 2., 2.])
    """
    usual = events.groupby("trial_type")["duration"].transform("median")
    planned = events["duration_planned"].fillna(usual) if "duration_planned" in events else usual
    return planned.to_numpy(dtype=np.float64)


def _require_within(events: pd.DataFrame, *, sampling: Sampling) -> None:
    end = sampling.n_volumes * sampling.tr_s
    wrong = ~(events["onset"].between(0, end) & (events["duration"] > 0)).to_numpy()
    if wrong.any():
        k = int(np.argmax(wrong))
        onset, duration = (float(events[name].iloc[k]) for name in ("onset", "duration"))
        raise AnalysisError(where_of(events), came=f"event {k + 1} at {onset:g} s for {duration:g} s",
                            expected=f"events that last, from 0 to {end:g} s",
                            remedy="See that events and volumes are of one run.")


def drift_degree(sampling: Sampling, *, drift_minutes: float = 2.0) -> int:
    """Choose the degree of a run's drift polynomials: ``round(L / 2)``, L the minutes kept (Kay et al. 2013).

    Examples
    --------
    >>> drift_degree(Sampling(n_volumes=278, tr_s=2.0, n_discarded=9))
    4
    """
    return int(np.floor(sampling.minutes / drift_minutes + 0.5))


def polynomials(n_volumes: int, *, degree: int, where: str = "drifts") -> NDArray[np.float64]:
    """Make orthonormal polynomials of degree 0 to `degree`, (n_volumes, degree + 1).

    Raises
    ------
    AnalysisError
        If there are not more volumes than polynomials.
    """
    if degree + 1 >= n_volumes:
        raise AnalysisError(where, came=f"polynomials of degree {degree} for {n_volumes} volumes",
                            expected="fewer polynomials than volumes", remedy="Raise glm.drift_minutes.")
    powers = np.polynomial.legendre.legvander(np.linspace(-1.0, 1.0, n_volumes), degree)
    basis, triangle = np.linalg.qr(powers)
    return basis * np.sign(np.diag(triangle))
