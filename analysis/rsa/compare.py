"""Similarity of RE with AN and AI: estimates, intervals and tests on dissimilarities at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.rsa.rdm import RDM, compute_rdm, spearman
from analysis.rsa.resampling import (
    feature_bootstraps,
    feature_counts,
    group_bootstraps,
    image_bootstraps,
    label_permutations,
)
from analysis.statistics.dissimilarity import unit_ranks
from analysis.statistics.statistic import Statistic, centred_interval, interval, two_sided_p, upper_p
from analysis.statistics.trend import mann_kendall
from stimuli.manifest import TYPES
from subjects.provenance import rng
from subjects.settings.analysis import RsaSettings

Floats = NDArray[np.float64]
COMPARED = ("AN", "AI")
DIFFERENCE = "RE-AI minus RE-AN"
DEGENERATE = "degenerate dissimilarities"
ALIKE, MOST_ALIKE = 0.002, 0.9
MOST_COUNTS = 50_000_000
"""Counts of drawn features that are held at once, of two bytes each."""

LEAST_USABLE = 0.5
"""Share of the draws of images that must have two different pairs; where fewer do, the difference is not tested."""

MOST_FLAT = 0.05
"""Share of the draws of features that may leave a pattern constant; where more do, no interval is given."""


@dataclass(frozen=True, eq=False)
class Similarities:
    """The similarities of one place: a statistic for each comparison, and the RDMs behind them.

    Parameters
    ----------
    statistics : mapping of str to Statistic
        ``"RE-AN"``, ``"RE-AI"``, ``"RE-AI minus RE-AN"``.
    rdms : mapping of str to RDM
        ``"RE"``, ``"AN"``, ``"AI"``.
    """

    statistics: Mapping[str, Statistic]
    rdms: Mapping[str, RDM]


def compare_types(responses: Mapping[str, NDArray[np.float32]], *, labels: tuple[str, ...], settings: RsaSettings,
                  seed: int, percent: float, blocks: tuple[str, ...] | None = None,
                  ceiling: tuple[float, float] | None = None, features: str = "features", n_groups: int = 0,
                  where: str = "RSA") -> Similarities:
    """Compare the RDMs of the AN and AI images with that of the RE images.

    Parameters
    ----------
    responses : mapping of str to array
        ``"RE"``, ``"AN"``, ``"AI"`` to (n_images, n_features), rows in the order of `labels`.
    labels : tuple of str
        Base images: what a RE image and its two descendants share, so what the RDMs are joined by.
    settings : RsaSettings
        Dissimilarity and numbers of draws.
    seed : int
        Seed of all draws of this place.
    percent : float
        Width of the intervals of RE-AN and RE-AI, from a bootstrap over features.
    blocks : tuple of str, optional
        Session of each label: labels are shuffled within sessions only.
    ceiling : (float, float), optional
        Noise ceiling to hand on.
    features : str
        What the features are, ``"vertices"`` or ``"units"``.
    n_groups : int
        Where there are more features than this, so many random groups of them are bootstrapped
        (:func:`~analysis.rsa.resampling.group_bootstraps`); 0: always each feature by itself.
    where : str
        The place, for messages.

    Returns
    -------
    Similarities
        RE-AN and RE-AI: Spearman's rho, one-sided p from label permutations. Their difference:
        two-sided p and 95 % interval from a bootstrap over images without pairs of one image. With a few images some
        draws have no two different pairs: they are left out, and counted in the test's words; where most are, there is
        no interval and p is 1.
        Draws of features that leave a pattern constant are left out of the intervals, and counted in the test's
        words; more than :data:`MOST_FLAT` of them, and RE-AN and RE-AI have no interval.

    Notes
    -----
    The responses are compared as they are given. Sessions hold different base images: a pattern that one
    session adds to all its images biases all three RDMs towards the split into sessions and raises RE-AN and
    RE-AI alike. :func:`~analysis.regions.patterns.select_patterns` removes it; what that leaves behind (patterns
    of one session are a little less alike than those of two) is the same in every order within sessions, so
    labels are shuffled there only.
    """
    rdms = {kind: compute_rdm(responses[kind], labels=labels, measure=settings.dissimilarity, where=f"{where}, {kind}")
            for kind in TYPES}
    grouped = 0 < n_groups < responses["RE"].shape[1]
    draws = _feature_draws(responses, settings=settings, seed=seed, n_groups=n_groups if grouped else 0)
    drawn = f"{n_groups} random groups of {features}" if grouped else features
    statistics = {}
    shuffled = "label permutation within sessions" if blocks else "label permutation"
    for kind in COMPARED:
        effect = spearman(rdms["RE"], rdms[kind])
        null = label_permutations(rdms["RE"], rdms[kind], n=settings.n_permutations, blocks=blocks,
                                  rng=rng(seed, "permutation", kind))
        low, high, said = _feature_interval(draws[kind], effect=effect, percent=percent, features=drawn)
        statistics[f"RE-{kind}"] = Statistic(
            effect, low, high, p=upper_p(effect, null), n=len(labels), n_resamples=len(null), seed=seed,
            ceiling=ceiling, test=f"{shuffled}, one-sided; {said}{say_degenerate(rdms)}")
    statistics[DIFFERENCE] = _difference(rdms, settings=settings, seed=seed)
    return Similarities(statistics, rdms)


def say_degenerate(rdms: Mapping[str, RDM]) -> str:
    """Say which types' dissimilarities hardly differ; empty if none.

    An RDM is degenerate if more than :data:`MOST_ALIKE` of its dissimilarities are within :data:`ALIKE` of their
    median, as a share of it: their ranks, which Spearman's rho compares, then hang on digits that mean nothing.
    """
    shares = {kind: _share_alike(rdm.condensed) for kind, rdm in rdms.items()}
    named = [f"{kind} {100 * share:.0f} %" for kind, share in shares.items() if share > MOST_ALIKE]
    return f"; {DEGENERATE}: {', '.join(named)} of them within {100 * ALIKE:g} % of their median" if named else ""


def _share_alike(dissimilarities: Floats) -> float:
    middle = float(np.median(dissimilarities))
    return float(np.mean(np.abs(dissimilarities - middle) <= ALIKE * abs(middle)))


def _feature_interval(draws: Floats, *, effect: float, percent: float, features: str) -> tuple[float, float, str]:
    """Give the interval of draws, NaN where a pattern was constant, and its procedure in words."""
    usable = draws[np.isfinite(draws)]
    n_flat = len(draws) - len(usable)
    if n_flat > MOST_FLAT * len(draws):
        return np.nan, np.nan, (f"no interval: {n_flat} of {len(draws)} bootstrap draws of {features} leave a pattern "
                                "constant")
    said = f"{percent:g} % interval: centred bootstrap over {features}"
    left_out = f", {n_flat} of {len(draws)} draws that leave a pattern constant left out" if n_flat else ""
    return *centred_interval(usable, effect=effect, percent=percent), said + left_out


def _difference(rdms: Mapping[str, RDM], *, settings: RsaSettings, seed: int) -> Statistic:
    n = settings.n_bootstraps
    draws = image_bootstraps(rdms["RE"], [rdms[kind] for kind in COMPARED], n=n, rng=rng(seed, "images"))
    gains = draws[:, 1] - draws[:, 0]
    usable = gains[np.isfinite(gains)]
    effect = spearman(rdms["RE"], rdms["AI"]) - spearman(rdms["RE"], rdms["AN"])
    said = "bootstrap over images, two-sided; 95 % interval: the same"
    if len(usable) < n:
        said += f"; {n - len(usable)} of {n} draws without two different pairs left out"
    if len(usable) < LEAST_USABLE * n:
        return Statistic(effect, np.nan, np.nan, p=1.0, n=len(rdms["RE"]), n_resamples=n, seed=seed,
                         test=f"not tested ({said.partition('; ')[0]}): {n - len(usable)} of {n} draws have no two "
                              "different pairs of images")
    return Statistic(effect, *interval(usable, percent=95), p=two_sided_p(usable), n=len(rdms["RE"]), n_resamples=n,
                     seed=seed, test=said)


def _feature_draws(responses: Mapping[str, NDArray[np.float32]], *, settings: RsaSettings, seed: int,
                   n_groups: int) -> dict[str, Floats]:
    """Bootstrap vertices or units, or groups of them, the same draws for all three types; NaN: a pattern constant."""
    n_features, n, measure = responses["RE"].shape[1], settings.n_bootstraps, settings.dissimilarity
    draws = rng(seed, "features")
    if n_groups:
        groups, counts = rng(seed, "groups").permutation(n_features), feature_counts(n_groups, n=n, rng=draws)
        drawn = {kind: group_bootstraps(responses[kind], groups=groups, counts=counts, measure=measure)
                 for kind in TYPES}
    else:
        parts = list[dict[str, Floats]]()
        at_once = max(1, MOST_COUNTS // n_features)
        for first in range(0, n, at_once):  # the same draws as all at once, and fewer counts held
            counts = feature_counts(n_features, n=min(at_once, n - first), rng=draws)
            parts.append({kind: feature_bootstraps(responses[kind], counts=counts, measure=measure) for kind in TYPES})
        drawn = {kind: np.concatenate([part[kind] for part in parts]) for kind in TYPES}
    usable = np.logical_and.reduce([np.isfinite(values).all(axis=1) for values in drawn.values()])
    ranked = {kind: unit_ranks(values[usable]) for kind, values in drawn.items()}
    found = {kind: np.full(len(usable), np.nan) for kind in COMPARED}
    for kind, values in found.items():
        values[usable] = np.einsum("bp,bp->b", ranked["RE"], ranked[kind])
    return found


def layer_trends(effects: Mapping[str, list[float]]) -> dict[str, Statistic]:
    """Test each comparison's similarity for a trend over the layers.

    Parameters
    ----------
    effects : mapping of str to list of float
        ``"RE-AN"``, ``"RE-AI"`` to the similarity of each layer, in order.

    Returns
    -------
    dict of str to Statistic
        ``"trend RE-AN"``, ``"trend RE-AI"``: Kendall's tau with the order of the layers, exact two-sided p.
    """
    found = {}
    for comparison, values in effects.items():
        tau, p = mann_kendall(values)
        found[f"trend {comparison}"] = Statistic(tau, float("nan"), float("nan"), p=p, n=len(values), n_resamples=0,
                                                 seed=None, test="Mann-Kendall, exact, two-sided; effect: tau")
    return found
