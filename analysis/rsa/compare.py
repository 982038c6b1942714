"""Similarity of RE with AN and AI: estimates, intervals and tests on dissimilarities at hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.rsa.difference import corrected_difference, image_difference, swapped_difference
from analysis.rsa.rdm import RDM
from analysis.rsa.resampling.distances import Added, Distances, Presentations, distances_of
from analysis.rsa.resampling.features import feature_counts
from analysis.rsa.resampling.images import label_permutations
from analysis.rsa.similarity import PairGroups, all_pairs, correlate, null_mean, pairs_within, similarity
from analysis.rsa.variance.jackknife import LEAST, Deletions, delete_images
from analysis.rsa.variance.patches import shared_by_patches, similarity_variances
from analysis.statistics.dissimilarity import WHITENED
from analysis.statistics.statistic import PaperStatistic, Statistic, centred_interval, standardised, t_interval, upper_p
from analysis.statistics.trend import mann_kendall
from stimuli.manifest import TYPES
from subjects.provenance import rng
from subjects.settings.analysis import RsaSettings

Floats = NDArray[np.float64]
Interval = Literal["features", "patches", "images"]
COMPARED = ("AN", "AI")
DIFFERENCE = "RE-AI minus RE-AN"
DEGENERATE = "degenerate dissimilarities"
ALIKE, MOST_ALIKE = 0.002, 0.9
MOST_COUNTS = 300_000_000
"""Counts of drawn features that are held at once, of a byte each; for these, products are made once."""

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
    nulls : mapping of str to float64 array, (n_permutations,)
        ``"RE-AN"``, ``"RE-AI"`` under permuted labels, in their own standard deviations
        (:func:`~analysis.statistics.statistic.standardised`).
    """

    statistics: Mapping[str, Statistic]
    rdms: Mapping[str, RDM]
    nulls: Mapping[str, Floats]


def compare_types(responses: Mapping[str, NDArray[np.float32]], *, labels: tuple[str, ...], settings: RsaSettings,
                  seed: int, percent: float, blocks: tuple[str, ...] | None = None,
                  ceiling: tuple[float, float] | None = None,
                  reliability: tuple[float, float, float] | None = None,
                  features: str = "features", over: Interval = "features", places_mm: Floats | None = None,
                  n_groups: int = 0, presentations: Presentations | None = None, session_means: Added | None = None,
                  shared_seed: int | None = None, where: str = "RSA") -> Similarities:
    """Compare the RDMs of the AN and AI images with that of the RE images.

    Parameters
    ----------
    responses : mapping of str to array
        ``"RE"``, ``"AN"``, ``"AI"`` to (n_images, n_features), rows in the order of `labels`.
    labels : tuple of str
        Base images: what a RE image and its two descendants share, so what the RDMs are joined by.
    settings : RsaSettings
        Dissimilarity, numbers of draws, and which tests and intervals.
    seed : int
        Seed of all draws of this place.
    percent : float
        Width of the intervals of RE-AN and RE-AI.
    blocks : tuple of str, optional
        Session of each label: labels are shuffled within sessions only.
    ceiling : (float, float), optional
        Noise ceiling to hand on.
    reliability : (float, float, float), optional
        Split-half reliability to hand on (:func:`~analysis.rsa.ceiling.split_half_reliability`).
    features : str
        What the features are, ``"vertices"`` or ``"units"``.
    over : {"features", "patches", "images"}
        What the intervals of RE-AN and RE-AI are over. Those of the paper, over features, are in ``Statistic.paper``.
    places_mm : float64 array, (n_features, 2), optional
        Places of the vertices, for patches.
    n_groups : int
        Where there are more features than this, so many random groups of them are bootstrapped
        (:func:`~analysis.rsa.resampling.features.group_bootstraps`); 0: always each feature by itself.
    presentations : mapping of str to (array, array), each (n_images, n_features), optional
        The two presentations behind each mean, for whitened distances
        (:func:`~analysis.rsa.resampling.distances.distances_of`).
    session_means : mapping of str to array, (n_images, n_features), optional
        ``"AN"``, ``"AI"``: the means that were taken off their responses, type by type and session by session; needed
        for swaps of the two (:func:`~analysis.rsa.difference.swapped_difference`).
    shared_seed : int, optional
        Seed of orders of labels that are the same for RE-AN and RE-AI and at all places that have it, for the largest
        of them (:func:`~analysis.statistics.statistic.greatest_p`).
    where : str
        The place, for messages.

    Returns
    -------
    Similarities
        The seed of each is that of the draws behind p, ``paper.seed`` that of all others of the place. RE-AN and RE-AI:
        the coefficient less the mean of its own permutation null (``rsa.null_mean``), one-sided p from
        label permutations. Their difference: see :mod:`analysis.rsa.difference`; ``"studentised"`` where sessions are
        given, so where the patterns were measured, and else t with the corrected variance. All by the paper's own
        procedures too.
        Draws of features that leave a pattern constant are left out of the intervals, and counted in the test's
        words; more than :data:`MOST_FLAT` of them, and RE-AN and RE-AI have no interval over features.

    Notes
    -----
    The responses are compared as they are given. Sessions hold different base images: a pattern that one
    session adds to all its images biases all three RDMs towards the split into sessions and raises RE-AN and
    RE-AI alike. :func:`~analysis.regions.patterns.select_patterns` removes it; what that leaves behind (patterns
    of one session are a little less alike than those of two) is the same in every order within sessions, so
    labels are shuffled there only, and its share of the similarity is the mean of that null.
    """
    distances = distances_of(responses, measure=settings.dissimilarity, presentations=presentations)
    rdms = {kind: distances.rdm(kind, labels=labels, where=f"{where}, {kind}") for kind in TYPES}
    pairs = pairs_within(blocks) if blocks and settings.pairs == "within_sessions" else all_pairs(len(labels))
    grouped, by = 0 < n_groups < distances.shape[1], settings.comparison
    draws = feature_draws(distances, settings=settings, seed=seed, n_groups=n_groups if grouped else 0)
    drawn = f"{n_groups} random groups of {features}" if grouped else features
    deletions = None
    tested = "corrected" if settings.difference == "studentised" and blocks is None else settings.difference
    if len(labels) >= LEAST and (over == "images" or tested == "corrected"):
        deletions = delete_images(rdms["RE"], [rdms[kind] for kind in COMPARED], pairs=pairs, by=by)
    variances = _variances(over, distances, responses=responses, deletions=deletions, places_mm=places_mm,
                           settings=settings, pairs=pairs)
    statistics, found, nulls = {}, {}, {}
    for k, kind in enumerate(COMPARED):
        whole, raw = (similarity(rdms["RE"], rdms[kind], pairs=over_these, by=by) for over_these in (None, pairs))
        null = label_permutations(
            rdms["RE"], rdms[kind], n=settings.n_permutations, blocks=blocks, pairs=pairs, by=by,
            rng=rng(seed, "permutation", kind) if shared_seed is None else rng(shared_seed, "permutation"))
        removed = _removed(rdms["RE"], rdms[kind], settings=settings, pairs=pairs, blocks=blocks)
        found[kind] = raw, raw - removed
        z, nulls[f"RE-{kind}"] = standardised(raw, null)
        low, high, said = _feature_interval(draws[kind], effect=whole, percent=percent, features=drawn)
        paper = PaperStatistic(whole, low, high, _free_p(rdms["RE"], rdms[kind], settings=settings, blocks=blocks,
                                                         p=upper_p(raw, null), rng=rng(seed, "free", kind)), seed=seed)
        if variances is not None:
            low, high, said = _t_interval(raw, variance=variances[k], over=over, percent=percent, n=len(labels),
                                          settings=settings)
        elif raw != whole:
            low, high = low - whole + raw, high - whole + raw
        said += say_degenerate(rdms) + _say_unwhitened(rdms, settings)
        statistics[f"RE-{kind}"] = Statistic(
            raw - removed, low - removed, high - removed, p=upper_p(raw, null), n=len(labels), n_resamples=len(null),
            seed=seed if shared_seed is None else shared_seed, ceiling=ceiling, reliability=reliability, paper=paper,
            z=z, test=f"{_shuffled(blocks, settings)}, one-sided; {said}")
    raw, effect = (found["AI"][k] - found["AN"][k] for k in (0, 1))
    statistics[DIFFERENCE] = _difference(distances, rdms, deletions=deletions, effect=effect, raw=raw,
                                         settings=settings, seed=seed, pairs=pairs, by=tested,
                                         session_means=session_means, blocks=blocks)
    return Similarities(statistics, rdms, nulls)


def _removed(first: RDM, second: RDM, *, settings: RsaSettings, pairs: PairGroups,
             blocks: tuple[str, ...] | None) -> float:
    if blocks is None or settings.null_mean == "kept":
        return 0.0
    return null_mean(first, second, pairs=pairs, blocks=blocks, by=settings.comparison)


def _free_p(first: RDM, second: RDM, *, settings: RsaSettings, blocks: tuple[str, ...] | None, p: float,
            rng: np.random.Generator) -> float:
    """Give the paper's p, labels shuffled over all images."""
    if blocks is None or len(set(blocks)) == 1:
        return p
    by = settings.comparison
    return upper_p(similarity(first, second, by=by),
                   label_permutations(first, second, n=settings.n_permutations, rng=rng, by=by))


def _shuffled(blocks: tuple[str, ...] | None, settings: RsaSettings) -> str:
    said = "label permutation within sessions" if blocks else "label permutation"
    if not blocks:
        return said
    said += ", pairs within sessions only" if settings.pairs == "within_sessions" else ""
    return said + (", its mean taken off the effect" if settings.null_mean == "removed" else "")


def _variances(over: Interval, distances: Distances, *, responses: Mapping[str, NDArray[np.float32]],
               deletions: Deletions | None, places_mm: Floats | None, settings: RsaSettings,
               pairs: PairGroups) -> Floats | None:
    """Give the variances of RE-AN and RE-AI over patches or images; NaN where there are too few; None over features."""
    if over == "features":
        return None
    if over == "images":
        return np.full(2, np.nan) if deletions is None else deletions.variances
    if places_mm is None or len(places_mm) < 2 * settings.patches:
        return np.full(2, np.nan)
    found = similarity_variances(distances, places_mm=places_mm, n_patches=settings.patches, pairs=pairs,
                                 by=settings.comparison)
    result: Floats = found * shared_by_patches(responses, places_mm=places_mm, n_patches=settings.patches)
    return result


def _t_interval(effect: float, *, variance: float, over: Interval, percent: float, n: int,
                settings: RsaSettings) -> tuple[float, float, str]:
    """Give the interval by a corrected variance, and its procedure in words."""
    df = (n if over == "images" else settings.patches) - 1
    of = "images" if over == "images" else f"{settings.patches} patches of cortex"
    if not np.isfinite(variance):
        return np.nan, np.nan, f"no interval: too few {of.removeprefix(str(settings.patches)).strip()}, or no places"
    wider = "" if over == "images" else ", wider by what neighbouring patches share"
    return *t_interval(effect, variance=variance, df=df, percent=percent, bent=True), \
        f"{percent:g} % interval: t over {of} (df {df}), left out one and two at a time{wider}"


def say_degenerate(rdms: Mapping[str, RDM]) -> str:
    """Say which types' dissimilarities hardly differ; empty if none.

    An RDM is degenerate if more than :data:`MOST_ALIKE` of its dissimilarities are within :data:`ALIKE` of their
    median, as a share of it: their ranks, which Spearman's rho compares, then hang on digits that mean nothing.
    """
    shares = {kind: _share_alike(rdm.condensed) for kind, rdm in rdms.items()}
    named = [f"{kind} {100 * share:.0f} %" for kind, share in shares.items() if share > MOST_ALIKE]
    return f"; {DEGENERATE}: {', '.join(named)} of them within {100 * ALIKE:g} % of their median" if named else ""


def _say_unwhitened(rdms: Mapping[str, RDM], settings: RsaSettings) -> str:
    """Say it where a whitened measure was asked for and there is no noise to whiten by."""
    asked = settings.dissimilarity
    if asked not in WHITENED or rdms["RE"].measure == asked:
        return ""
    return "; squared Euclidean distances, which whitened ones are where features have no noise"


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


def _difference(distances: Distances, rdms: Mapping[str, RDM], *,
                deletions: Deletions | None, effect: float, raw: float, settings: RsaSettings, seed: int,
                pairs: PairGroups, by: str, session_means: Added | None,
                blocks: tuple[str, ...] | None) -> Statistic:
    """Test the difference as asked, the paper's bootstrap beside it."""
    an, ai = (similarity(rdms["RE"], rdms[kind], by=settings.comparison) for kind in COMPARED)
    whole = ai - an
    by_images = image_difference(rdms, effect=whole, settings=settings, seed=seed)
    if by == "images":
        moved = effect - whole
        return replace(by_images, effect=effect, low=by_images.low + moved, high=by_images.high + moved)
    if by == "corrected":
        found = corrected_difference(deletions, effect=effect, n=len(rdms["RE"]))
        return replace(found, paper=by_images.paper)
    found = swapped_difference(distances, effect=effect, raw=raw, settings=settings, seed=seed, pairs=pairs,
                               studentised=by == "studentised", session_means=session_means, blocks=blocks)
    return replace(found, paper=by_images.paper)


def feature_draws(distances: Distances, *, settings: RsaSettings, seed: int, n_groups: int) -> dict[str, Floats]:
    """Bootstrap vertices or units, or groups of them, the same draws for all three types; NaN: a pattern constant."""
    (n_images, n_features), n = distances.shape, settings.n_bootstraps
    draws = rng(seed, "features")
    if n_groups:
        groups, counts = rng(seed, "groups").permutation(n_features), feature_counts(n_groups, n=n, rng=draws)
        drawn = {kind: distances.grouped(kind, groups=groups, counts=counts) for kind in TYPES}
    else:
        parts = list[dict[str, Floats]]()
        at_once = max(1, MOST_COUNTS // n_features)
        for first in range(0, n, at_once):  # the same draws as all at once, and fewer counts held
            counts = feature_counts(n_features, n=min(at_once, n - first), rng=draws)
            parts.append({kind: distances.drawn(kind, counts=counts) for kind in TYPES})
        drawn = {kind: np.concatenate([part[kind] for part in parts]) for kind in TYPES}
    usable = np.logical_and.reduce([np.isfinite(values).all(axis=1) for values in drawn.values()])
    found = {kind: np.full(len(usable), np.nan) for kind in COMPARED}
    pairs, regular = all_pairs(n_images), drawn["RE"][usable]
    for kind, values in found.items():
        values[usable] = correlate(regular, drawn[kind][usable], pairs=pairs, by=settings.comparison)
    return found


def layer_trends(effects: Mapping[str, list[float]], *, by: str = "exact") -> dict[str, Statistic]:
    """Test each comparison's similarity for a trend over the layers.

    Parameters
    ----------
    effects : mapping of str to list of float
        ``"RE-AN"``, ``"RE-AI"`` to the similarity of each layer, in order.
    by : {"exact", "normal"}
        ``rsa.trend``; ``paper.p`` is always that of the normal approximation.

    Returns
    -------
    dict of str to Statistic
        ``"trend RE-AN"``, ``"trend RE-AI"``: Kendall's tau with the order of the layers, two-sided p.
    """
    found, said = {}, {"exact": "exact", "normal": "normal approximation"}[by]
    for comparison, values in effects.items():
        tau, p = mann_kendall(values, by=by)
        usual = PaperStatistic(tau, math.nan, math.nan, mann_kendall(values, by="normal")[1])
        found[f"trend {comparison}"] = Statistic(tau, math.nan, math.nan, p=p, n=len(values), n_resamples=0, seed=None,
                                                 test=f"Mann-Kendall, {said}, two-sided; effect: tau", paper=usual)
    return found
