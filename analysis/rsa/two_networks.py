"""The similarities of a subject who was shown the AN and AI of two networks: of each network, and their difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.regions.patterns import RoiPatterns
from analysis.rsa.compare import COMPARED, DIFFERENCE, Similarities
from analysis.rsa.resampling.distances import distances_of
from analysis.rsa.similarity import all_pairs, pairs_within, similarity
from analysis.statistics.draws import permutations
from analysis.statistics.statistic import Statistic
from stimuli.manifest import TYPES, Manifest
from subjects.errors import AnalysisError
from subjects.provenance import derive_seed, rng
from subjects.settings.analysis import RsaSettings

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Compare = Callable[[RoiPatterns, int], Similarities]
"""Compares the types in patterns, by a seed."""


@dataclass(frozen=True, eq=False)
class OfNetworks:
    """What the images of two networks come to in one region.

    Parameters
    ----------
    halves : mapping of str to Similarities
        Network to the similarities over the base images that were shown with its AN and AI, the first network first.
    differences : mapping of str to Statistic
        ``"RE-AN"``, ``"RE-AI"``, ``"RE-AI minus RE-AN"``: the first network's less the second's.
    """

    halves: Mapping[str, Similarities]
    differences: Mapping[str, Statistic]


def networks_shown(patterns: RoiPatterns, manifest: Manifest) -> tuple[str, ...]:
    """Name the network of each base image's AN and AI, as they were shown.

    Raises
    ------
    AnalysisError
        If AN and AI of a base image are of two networks, or a network has no or fewer than four base images.
    """
    an, ai = ([manifest.by_id(one).network for one in patterns.image_ids[kind]] for kind in COMPARED)
    odd = next((base for base, *both in zip(patterns.base_images, an, ai, strict=True) if both[0] != both[1]), None)
    if odd is not None:
        raise AnalysisError(patterns.roi, came=f"AN and AI of {odd} by two networks", expected="both by one",
                            remedy="Show a subject AN and AI of a base image by one network.")
    few = next((name for name in manifest.networks if an.count(name) < 4), None)
    if few is not None:
        raise AnalysisError(patterns.roi, came=f"{an.count(few)} base images with AN and AI by {few}",
                            expected="four or more by each of the set's networks",
                            remedy="See that the subject was scanned with the set of two networks "
                                   "(stimuli.second_network).")
    return tuple(an)


def half_of(patterns: RoiPatterns, rows: Rows, *, session_means: str) -> RoiPatterns:
    """Take some base images, and take off what their own session means are now.

    Parameters
    ----------
    patterns : RoiPatterns
    rows : int array, (n,)
    session_means : {"removed", "pooled", "kept"}
        ``roi.session_means``. The mean over all images of a session is that of both networks' images; those of one
        network would keep the difference to it, one pattern that all of them share in a session.
    """
    sessions = tuple(patterns.sessions[k] for k in rows)
    takers: list[dict[str, NDArray[np.float32]]] = [
        {kind: patterns.responses[kind][rows] for kind in TYPES},
        *({kind: patterns.presentations[kind][k][rows] for kind in TYPES} for k in (0, 1) if patterns.presentations)]
    taken = [_own_means(one, sessions=sessions, how=session_means) for one in takers]
    centred = [{kind: one[kind] - means[kind] for kind in TYPES} for one, means in zip(takers, taken, strict=True)]
    halves = (centred[1]["RE"], centred[2]["RE"]) if patterns.presentations else tuple(
        one - _own_means({"RE": one}, sessions=sessions, how=session_means)["RE"]
        for one in (half[rows] for half in patterns.halves))
    off = None if patterns.session_means is None else {
        kind: values[rows] + taken[0][kind] for kind, values in patterns.session_means.items()}
    return replace(
        patterns, base_images=tuple(patterns.base_images[k] for k in rows), sessions=sessions,
        image_ids={kind: tuple(ids[k] for k in rows) for kind, ids in patterns.image_ids.items()},
        responses=centred[0], halves=(halves[0], halves[1]), session_means=off,
        presentations={kind: (centred[1][kind], centred[2][kind]) for kind in TYPES}
        if patterns.presentations else None)


def _own_means(values: Mapping[str, NDArray[np.float32]], *, sessions: Sequence[str],
               how: str) -> dict[str, NDArray[np.float32]]:
    """Give the mean of each row's session, of each type by itself or over all of them; zeros where means are kept."""
    found = {kind: np.zeros_like(one) for kind, one in values.items()}
    for session in dict.fromkeys(sessions) if how != "kept" else ():
        rows = np.flatnonzero(np.array(sessions) == session)
        means = {kind: one[rows].mean(axis=0, dtype=np.float64).astype(np.float32) for kind, one in values.items()}
        shared = np.mean(list(means.values()), axis=0)
        for kind in values:
            found[kind][rows] = shared if how == "pooled" else means[kind]
    return found


def compare_networks(patterns: RoiPatterns, *, manifest: Manifest, settings: RsaSettings, session_means: str,
                     seed: int, compare: Compare) -> OfNetworks:
    """Compare the types among the images of each network, and the networks with one another.

    Parameters
    ----------
    patterns : RoiPatterns
        Of all images that a subject was shown.
    manifest : Manifest
        A set of two networks.
    settings : RsaSettings
        ``n_permutations`` exchanges of networks.
    session_means : str
        ``roi.session_means``.
    seed : int
    compare : callable
        Compares the types in patterns, as it is done for all images together.

    Returns
    -------
    OfNetworks
        The difference is tested by exchanging the networks of base images within sessions, as many of each as there
        are: were it all the same by which network AN and AI were made, any base images could have been the first
        one's. Both networks' halves are other base images, so that a subject's difference is one of networks and of
        base images; over a mirrored subject too it is one of networks.
    """
    shown = np.array(networks_shown(patterns, manifest))
    first = manifest.networks[0]
    halves = {name: compare(half_of(patterns, np.flatnonzero(shown == name), session_means=session_means),
                            derive_seed(seed, "network", name)) for name in manifest.networks}

    def differ(of_first: NDArray[np.bool_]) -> Floats:
        one, other = (_raw(half_of(patterns, np.flatnonzero(rows), session_means=session_means), settings=settings)
                      for rows in (of_first, ~of_first))
        return one - other

    orders = permutations(len(shown), n=settings.n_permutations, blocks=patterns.sessions,
                          rng=rng(seed, "exchanged networks"))
    null = np.stack([differ((shown == first)[order]) for order in orders])
    raw = differ(shown == first)
    one, other = halves.values()
    return OfNetworks(halves, {
        name: _difference(one.statistics[name].effect - other.statistics[name].effect, raw=raw[k], null=null[:, k],
                          n=len(shown), seed=seed) for k, name in enumerate((*(f"RE-{kind}" for kind in COMPARED),
                                                                             DIFFERENCE))})


def _raw(patterns: RoiPatterns, *, settings: RsaSettings) -> Floats:
    """Give RE-AN, RE-AI and their difference as they are."""
    distances = distances_of(patterns.responses, measure=settings.dissimilarity, presentations=patterns.presentations)
    rdms = {kind: distances.rdm(kind, labels=patterns.base_images, where=patterns.roi) for kind in TYPES}
    pairs = pairs_within(patterns.sessions) if settings.pairs == "within_sessions" else all_pairs(len(rdms["RE"]))
    an, ai = (similarity(rdms["RE"], rdms[kind], pairs=pairs, by=settings.comparison) for kind in COMPARED)
    return np.array([an, ai, ai - an])


def _difference(effect: float, *, raw: float, null: Floats, n: int, seed: int) -> Statistic:
    """Test a difference of networks, two-sided, with an interval from the same draws."""
    slack = 1e-12 * max(1.0, abs(raw))
    p = (1 + int(np.count_nonzero(np.abs(null) >= abs(raw) - slack))) / (1 + len(null))
    low, high = effect - np.quantile(null, [0.975, 0.025])
    return Statistic(effect, float(low), float(high), p=p, n=n, n_resamples=len(null), seed=seed,
                     test="networks of base images exchanged within sessions, two-sided; 95 % interval: the effect "
                          "less quantiles of the exchanges")
