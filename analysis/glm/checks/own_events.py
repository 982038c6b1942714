"""Whether a run's data hold the events of that run: responses that repeat from run to run under one order of trials.

Every run shows its images in an order of its own. The mean responses to RE, AN, AI and blanks are taken from the other
runs, laid out in the order that a run's events table gives, and held against the data; the same with the trials
shuffled says what a wrong order gives. Data and predictions are whitened by the covariance of volumes over vertices:
what whole patches of the cortex do together (pulse, breathing, movement, slow waves) counts little then. With two runs
alone this is what tells an exchange, since each is held against a single noisy template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.glm.checks.assigning import Tables, propose_exchange, propose_session
from analysis.glm.design import Sampling, add_responses, drift_degree, polynomials
from subjects.run_key import RunKey

Floats = NDArray[np.float64]

N_SHUFFLES = 200
MAX_VERTICES = 20_000
SHRINKAGE = 0.2
"""Share of white noise in the covariance of volumes that data are whitened by: from a few thousand vertices of smooth
noise it is not known better."""
Z_OTHER, Z_AHEAD, Z_SURE, Z_NONE = 5.0, 3.0, 4.0, 2.0
"""Data are another run's if its events score the first or more, and so much more than their own. Nothing else is asked
where their own score the third or more; own events that score less than the last are not found in the data."""


@dataclass(frozen=True)
class Judged:
    """What was found of a run.

    Parameters
    ----------
    z : float
        Score of its own events; see :func:`score_events`.
    other : RunKey, optional
        The run whose events the data hold instead.
    z_other : float
        Score of these.
    """

    z: float
    other: RunKey | None = None
    z_other: float = 0.0


@dataclass(frozen=True, eq=False)
class Trials:
    """What the trials of a run predict for some volumes.

    Parameters
    ----------
    courses : float64 array, (n_volumes, n_trials)
        The response to each trial, drifts removed.
    kinds : int64 array, (n_trials,)
        The type of each trial, as a number.
    n_kinds : int
    """

    courses: Floats
    kinds: NDArray[np.int64]
    n_kinds: int

    def designs(self, orders: NDArray[np.int64]) -> Floats:
        """Sum the courses of each type, (n_orders, n_volumes, n_kinds).

        Parameters
        ----------
        orders : int64 array, (n_orders, n_trials)
            The type of each trial, several times over.
        """
        return np.asarray(self.courses @ (orders[:, :, None] == np.arange(self.n_kinds)))

    def solver(self) -> Floats:
        """Give what takes data to the responses to each type, less their mean, (n_kinds, n_volumes)."""
        design = self.designs(self.kinds[None])[0]
        found = _inverse(design.T @ design) @ design.T
        return np.asarray(found - found.mean(axis=0))

    def products(self, orders: NDArray[np.int64], courses: Floats) -> Floats:
        """Sum the responses that data give under some orders, less their mean, times those of a template, (n_orders,).

        Parameters
        ----------
        orders : int64 array, (n_orders, n_trials)
        courses : float64 array, (n_kinds, n_volumes)
            The template times the data.
        """
        designs = self.designs(orders)
        inner = designs.transpose(0, 2, 1) @ designs
        return np.asarray(np.einsum("oij,oji->o", _inverse(inner), designs.transpose(0, 2, 1)
                                    @ (courses - courses.mean(axis=0)).T))


def _inverse(inner: Floats) -> Floats:
    """Invert inner products of columns; a type that is never shown has none."""
    return np.asarray(np.linalg.pinv(inner, rcond=1e-10, hermitian=True))


@dataclass(frozen=True, eq=False)
class Scan:
    """A run's data, drifts removed, every vertex of one variance, whitened over volumes.

    Parameters
    ----------
    series : float32 array, (n_volumes, n_vertices)
    sampling : Sampling
    kinds : tuple of str
        The types of trial that are told apart.
    events : DataFrame
        Those that the run should hold.
    whitener : float64 array, (n_volumes, n_volumes)
        What the data were whitened by.
    laid : dict
        What events predict, not whitened, kept with them: scans that are judged together share it.
    """

    series: NDArray[np.float32]
    sampling: Sampling
    kinds: tuple[str, ...]
    events: pd.DataFrame
    whitener: Floats
    laid: dict[tuple[object, ...], tuple[pd.DataFrame, Trials]] = field(default_factory=dict, repr=False)

    def lay(self, events: pd.DataFrame) -> Trials:
        """Predict its volumes from some events."""
        one = self.sampling
        place = (id(events), self.kinds, one.n_volumes, one.tr_s, one.start_s, one.n_discarded)
        if place not in self.laid:
            self.laid[place] = events, lay_trials(events, sampling=one, kinds=self.kinds)
        trials = self.laid[place][1]
        return replace(trials, courses=self.whitener @ trials.courses)

    def respond(self, events: pd.DataFrame) -> Floats:
        """Give the responses to each type under some events, less their mean, (n_kinds, n_vertices)."""
        return np.asarray(self.lay(events).solver() @ self.series)


def lay_trials(events: pd.DataFrame, *, sampling: Sampling, kinds: Sequence[str]) -> Trials:
    """Predict the response to each trial of a run; trials after the last volume, or of another type, have none."""
    shown = events[(events["duration"] > 0) & events["onset"].between(0, sampling.n_volumes * sampling.tr_s)
                   & events["trial_type"].isin(list(kinds))]
    courses = np.zeros((sampling.n_volumes - sampling.n_discarded, len(shown)))
    add_responses(courses, shown, columns=range(len(shown)), times_s=sampling.times_s)
    drift = _drift(sampling)
    numbers = np.array([list(kinds).index(kind) for kind in shown["trial_type"]], dtype=np.int64)
    return Trials(courses - drift @ (drift.T @ courses), numbers, len(kinds))


def _drift(sampling: Sampling) -> Floats:
    return polynomials(sampling.n_volumes - sampling.n_discarded, degree=drift_degree(sampling))


def make_scan(data: NDArray[np.float32], events: pd.DataFrame, *, sampling: Sampling) -> Scan:
    """Take the drifts off a run, scale its vertices, and whiten its volumes; see :func:`find_whitener`.

    Parameters
    ----------
    data : float32 array, (n_volumes, n_vertices)
        All volumes; vertices without signal are 0. At most :data:`MAX_VERTICES` are taken, spread evenly.
    events : DataFrame
    sampling : Sampling
    """
    step = max(1, int(np.ceil(data.shape[1] / MAX_VERTICES)))
    kept = data[sampling.n_discarded:, ::step].astype(np.float32)
    drift = _drift(sampling).astype(np.float32)
    kept -= drift @ (drift.T @ kept)
    spread = kept.std(axis=0)
    kept *= np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    whitener = find_whitener(kept)
    return Scan((whitener.astype(np.float32) @ kept), sampling, tuple(sorted(map(str, events["trial_type"].unique()))),
                events, whitener)


def find_whitener(series: NDArray[np.float32]) -> Floats:
    """Find what makes volumes uncorrelated, (n_volumes, n_volumes).

    Parameters
    ----------
    series : float32 array, (n_volumes, n_vertices)

    Notes
    -----
    The inverse square root of the covariance of volumes over vertices, a share of :data:`SHRINKAGE` of white noise in
    it. That the responses are in this covariance as well does not touch estimates under their own events: least squares
    weighted by C + X B X' are those weighted by C. Under other events they count as noise.
    """
    covariance = np.asarray(series @ series.T, dtype=np.float64) / max(1, series.shape[1])
    mean = float(np.trace(covariance)) / len(covariance)
    if mean <= 0:
        return np.eye(len(covariance))
    values, vectors = np.linalg.eigh((1 - SHRINKAGE) * covariance / mean + SHRINKAGE * np.eye(len(covariance)))
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


def score_events(scan: Scan, events: pd.DataFrame, *, template: Floats, rng: np.random.Generator,
                 n_shuffles: int = N_SHUFFLES) -> float:
    """Score some events by a run's data.

    Parameters
    ----------
    scan : Scan
    events : DataFrame
        What is held against its data: its own events, or another run's.
    template : float64 array, (n_kinds, n_vertices)
        Responses to each type in other data, less their mean.
    rng : numpy.random.Generator
    n_shuffles : int

    Returns
    -------
    float
        The responses that the data give under these events times those of the template, summed over types and vertices;
        in standard deviations from the mean of the same with the types of the trials shuffled. 0 where nothing varies.
    """
    trials, courses = scan.lay(events), np.asarray(template @ scan.series.T)  # (n_kinds, n_volumes) is all of the data
    found = float(trials.products(trials.kinds[None], courses)[0])
    null = trials.products(np.stack([rng.permutation(trials.kinds) for _ in range(n_shuffles)]), courses)
    spread = float(null.std())
    return (found - float(null.mean())) / spread if spread > 0 else 0.0


def judge_runs(scans: Mapping[RunKey, Scan], *, further: Callable[[], Tables],
               rng: np.random.Generator) -> dict[RunKey, Judged]:
    """Score the events of every run by its data, and look whose they are where they are not found.

    Parameters
    ----------
    scans : mapping of RunKey to Scan
        Runs of one subject and hemisphere; nothing can be said of a run by itself. Exchanges within them are looked
        for first, of any number of runs (:func:`~analysis.glm.checks.assigning.propose_exchange`), then those of whole
        sessions, then single runs of elsewhere; whatever is proposed is then scored for each run by itself.
    further : callable
        Gives the events tables of runs that are not among `scans`; asked where needed.
    rng : numpy.random.Generator

    Returns
    -------
    dict of RunKey to Judged
    """
    if len(scans) < 2:
        return {}
    elsewhere = cache(further)
    kinds = tuple(sorted({kind for scan in scans.values() for kind in scan.kinds}))
    laid = dict[tuple[object, ...], tuple[pd.DataFrame, Trials]]()
    scans = {key: replace(scan, kinds=kinds, laid=laid) for key, scan in scans.items()}
    own = {key: scan.respond(scan.events) for key, scan in scans.items()}
    found = {key: Judged(score_events(scan, scan.events, template=_mean(own, leave=(key,)), rng=rng))
             for key, scan in scans.items()}
    tables = {key: scan.events for key, scan in scans.items()}
    if _open(found):
        found = _test(scans, found, tables=tables, holds=propose_exchange(scans), rng=rng)
    if 2 * len(_open(found)) > len(found):
        found = _test(scans, found, tables=elsewhere(), holds=propose_session(scans, tables=elsewhere()), rng=rng)
    for key in _open(found):
        others = {one: _score_other(scans, own, key, one, rng=rng) for one in scans if one != key}
        template = _template(scans, found, tables={**elsewhere(), **tables}, leave=key)
        likeliest = _find_likeliest(scans[key], elsewhere(), template=template)
        if likeliest is not None:
            others[likeliest] = score_events(scans[key], elsewhere()[likeliest], template=template, rng=rng)
        best = max(others, key=lambda one: others[one])
        found[key] = _weigh(found[key], best, others[best])
    return found


def _open(found: Mapping[RunKey, Judged]) -> list[RunKey]:
    """List runs whose data hold neither their own events nor, for all that is known, another run's."""
    return [key for key, one in found.items() if one.z < Z_SURE and one.other is None]


def _weigh(one: Judged, other: RunKey, z: float) -> Judged:
    """Take another run's events for those of the data if their score is high, and well above that of its own."""
    return Judged(one.z, other, z) if z >= max(Z_OTHER, one.z + Z_AHEAD) else one


def _test(scans: Mapping[RunKey, Scan], found: Mapping[RunKey, Judged], *, tables: Tables,
          holds: Mapping[RunKey, RunKey], rng: np.random.Generator) -> dict[RunKey, Judged]:
    """Score by each run's data the events that it is proposed to hold, the others holding theirs.

    Parameters
    ----------
    tables : mapping of RunKey to DataFrame
        The events that are proposed.
    holds : mapping of RunKey to RunKey
        Run to the one whose events its data hold; nothing is proposed of a run by itself.
    """
    moved = {key: other for key, other in holds.items() if other != key}
    if len(holds) < 2 or not moved:
        return dict(found)
    responses = {key: scans[key].respond(tables[other]) for key, other in holds.items()}
    return {**found, **{key: _weigh(found[key], other, score_events(
        scans[key], tables[other], template=_mean(responses, leave=(key,)), rng=rng)) for key, other in moved.items()}}


def _template(scans: Mapping[RunKey, Scan], found: Mapping[RunKey, Judged], *, tables: Tables, leave: RunKey) -> Floats:
    """Average the responses of the other runs of which is known whose events they hold; of all others without any."""
    held = {key: one.other or key for key, one in found.items() if key != leave}
    known = {key: other for key, other in held.items() if key not in _open(found)}
    return _mean({key: scans[key].respond(tables[other]) for key, other in (known or held).items()}, leave=())


def _find_likeliest(scan: Scan, tables: Tables, *, template: Floats) -> RunKey | None:
    """Find the events that agree best with a run's data, before any are shuffled; None without any."""
    courses, reach = np.asarray(template @ scan.series.T), dict[RunKey, float]()
    for key, events in tables.items():
        trials = scan.lay(events)
        reach[key] = float(trials.products(trials.kinds[None], courses)[0])
    return max(reach, key=lambda key: reach[key], default=None)


def _score_other(scans: Mapping[RunKey, Scan], own: Mapping[RunKey, Floats], key: RunKey, other: RunKey, *,
                 rng: np.random.Generator) -> float:
    """Score another run's events by the data of `key`.

    The data of `other`, which may be those of `key`, do not enter the template; without a third run they are taken as
    the data of `key`.
    """
    template = _mean(own, leave=(key, other)) if len(scans) > 2 else scans[other].respond(scans[key].events)
    return score_events(scans[key], scans[other].events, template=template, rng=rng)


def _mean(responses: Mapping[RunKey, Floats], *, leave: Sequence[RunKey]) -> Floats:
    return np.asarray(np.mean([one for key, one in responses.items() if key not in leave], axis=0))


def not_found(judged: Mapping[RunKey, Judged]) -> tuple[RunKey, ...]:
    """List runs whose events are not in their data although those of most others are in theirs."""
    sure = sum(one.z >= Z_SURE for one in judged.values())
    return tuple(key for key, one in judged.items() if one.z < Z_NONE) if 2 * sure > len(judged) else ()
