"""Corrected variances, pairs within sessions, null means, patches and ceilings against closed forms and plain loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from analysis.rsa.ceiling import presentation_ceiling, split_half_reliability
from analysis.rsa.compare import DIFFERENCE, compare_types
from analysis.rsa.difference import swapped_difference
from analysis.rsa.rdm import RDM, compute_rdm, spearman
from analysis.rsa.resampling.distances import distances_of
from analysis.rsa.resampling.images import label_permutations
from analysis.rsa.similarity import all_pairs, null_mean, pairs_within, similarity
from analysis.rsa.variance.jackknife import Deletions, delete_images, deletion_weights
from analysis.rsa.variance.patches import order_by_place, shared_by_patches, similarity_variances
from analysis.simulation.draw import draw
from subjects.errors import AnalysisError
from subjects.settings.analysis import RsaSettings

SESSIONS = ("1",) * 5 + ("2",) * 5


def names(n: int) -> tuple[str, ...]:
    return tuple(f"image-{k:02}" for k in range(n))


def random_rdm(seed: int, n: int = 10) -> RDM:
    return compute_rdm(np.random.default_rng(seed).normal(size=(n, 30)), labels=names(n))


def test_images_left_out_are_those_of_a_plain_loop() -> None:
    a, b, c = (random_rdm(k, 8) for k in range(3))
    found = delete_images(a, [b, c])
    left_out = [*((k,) for k in range(8)), *itertools.combinations(range(8), 2)]
    for row, gone in zip(np.concatenate([found.one, found.two]), left_out, strict=True):
        kept = [name for k, name in enumerate(names(8)) if k not in gone]
        wanted = [spearmanr(a.select(kept).condensed, other.select(kept).condensed).statistic for other in (b, c)]
        np.testing.assert_allclose(row, wanted, atol=1e-12)
    np.testing.assert_allclose(found.whole, [spearman(a, b), spearman(a, c)], atol=1e-12)


def test_fewer_than_seven_images_are_refused() -> None:
    with pytest.raises(AnalysisError, match="variance over images: 6 images; expected 7 or more"):
        delete_images(random_rdm(1, 6), [random_rdm(2, 6)])


def mean_of_pairs(values: np.ndarray) -> Deletions:
    """Leave one and two out of the mean of a symmetric matrix's pairs: a statistic whose variance is known."""
    n = len(values)
    weights = np.concatenate([np.ones((1, n)), deletion_weights(n)])
    rows, columns = np.triu_indices(n, 1)
    pairs = weights[:, rows] * weights[:, columns]
    found = (pairs @ values[rows, columns] / pairs.sum(axis=1))[:, None]
    return Deletions(found[0], found[1:n + 1], found[n + 1:])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_mean_of_pairs_has_the_variance_that_it_truly_has(share: float) -> None:
    """Images' own parts a and pairs' own parts e: 4 var(a) / n + 2 var(e) / (n (n - 1)). Only pairs: bounded below."""
    n, generator, found = 20, np.random.default_rng(1), []
    for _ in range(300):
        own, noise = np.sqrt(share) * generator.normal(size=n), generator.normal(size=(n, n))
        values = own[:, None] + own + np.sqrt(1 - share) * (noise + noise.T) / np.sqrt(2)
        found.append(mean_of_pairs(values).variances[0])
    truth = 4 * share / n + 2 * (1 - share) / (n * (n - 1))
    assert np.mean(found) == pytest.approx(truth, rel=0.1 if share else 0.35)


def test_pairs_within_sessions_are_the_mean_of_the_sessions_own_correlations() -> None:
    a, b = random_rdm(1), random_rdm(2)
    halves = [spearmanr(a.select(part).condensed, b.select(part).condensed).statistic
              for part in (names(10)[:5], names(10)[5:])]
    assert similarity(a, b, pairs=pairs_within(SESSIONS)) == pytest.approx(np.mean(halves), abs=1e-12)
    with pytest.raises(AnalysisError, match=r"a group of 1 pair\(s\).*rsa.pairs"):
        pairs_within("aaaabb")


@pytest.mark.parametrize("within", [False, True])
def test_the_mean_of_the_null_is_that_of_every_order(within: bool) -> None:
    """3! x 3! orders within two sessions of three images."""
    blocks, pairs = "aaabbb", pairs_within("aaabbb") if within else all_pairs(6)
    a, b = random_rdm(3, 6), random_rdm(4, 6)
    kept = [similarity(a, RDM(a.labels, b.select([*(b.labels[k] for k in first), *(b.labels[3 + k] for k in second)])
                              .condensed, b.measure), pairs=pairs)
            for first in itertools.permutations(range(3)) for second in itertools.permutations(range(3))]
    assert null_mean(a, b, pairs=pairs, blocks=blocks) == pytest.approx(np.mean(kept), abs=1e-12)
    draws = label_permutations(a, b, n=4000, rng=np.random.default_rng(1), blocks=blocks, pairs=pairs)
    assert draws.mean() == pytest.approx(np.mean(kept), abs=4 * np.std(kept) / np.sqrt(4000))


def test_the_effect_is_less_its_null_and_p_is_not_changed() -> None:
    """Session means taken off type by type bring about .1 to a null subject's; the paper's effect keeps them."""
    found = draw("null", rng=np.random.default_rng(5), n_subjects=20, reliability=0.0, noise_smoothness_mm=0.0)
    labels, blocks = names(40), tuple(str(k) for k in found.sessions)
    effects, raw = [], []
    for subject in range(20):
        kinds = {kind: found.patterns(kind, subject=subject).astype(np.float32) for kind in ("RE", "AN", "AI")}
        for values in kinds.values():
            for session in (0, 1):
                values[found.sessions == session] -= values[found.sessions == session].mean(axis=0)
        settings = [RsaSettings(n_permutations=99, n_bootstraps=2, null_mean=mean) for mean in ("removed", "kept")]
        ours, before = (compare_types(kinds, labels=labels, blocks=blocks, seed=subject, percent=68,
                                      settings=chosen).statistics for chosen in settings)
        assert ours["RE-AI"].p == before["RE-AI"].p
        assert ours["RE-AI"].paper.effect == before["RE-AI"].effect
        assert ours[DIFFERENCE].effect == pytest.approx(ours["RE-AI"].effect - ours["RE-AN"].effect, abs=1e-12)
        effects += [ours["RE-AI"].effect, ours["RE-AN"].effect]
        raw += [before["RE-AI"].effect, before["RE-AN"].effect]
    assert abs(np.mean(effects)) < 0.02
    assert np.mean(raw) > 0.05


def test_swaps_of_an_and_ai_are_those_of_a_plain_loop() -> None:
    generator = np.random.default_rng(2)
    kinds = {kind: generator.normal(size=(9, 25)) for kind in ("RE", "AN", "AI")}
    regular = compute_rdm(kinds["RE"], labels=names(9))

    def gain(swapped: np.ndarray) -> float:
        an, ai = (np.where(chosen[:, None], kinds["AI"], kinds["AN"]) for chosen in (swapped, ~swapped))
        return spearman(regular, compute_rdm(ai, labels=names(9))) - spearman(regular, compute_rdm(an, labels=names(9)))

    raw = gain(np.zeros(9, dtype=bool))
    settings = RsaSettings(n_permutations=60)
    found = swapped_difference(distances_of(kinds, measure="correlation"), effect=raw, raw=raw, settings=settings,
                               seed=4)
    from subjects.provenance import rng

    swaps = rng(4, "swap").integers(0, 2, size=(60, 9)).astype(bool)
    n_as_far = sum(abs(gain(row)) >= abs(raw) - 1e-12 for row in swaps)
    assert found.p == (1 + n_as_far) / 61
    assert np.isnan(found.low)


@pytest.mark.parametrize("n_patches", [4, 6, 8])
def test_patches_are_even_and_hold_neighbours(n_patches: int) -> None:
    places = np.random.default_rng(1).random((96, 2)) * 20
    places[48:, 0] += 1e4
    parts = np.array_split(order_by_place(places, n_patches=n_patches), n_patches)
    assert sorted(np.concatenate(parts)) == list(range(96))
    for part in parts:
        assert len(set(part >= 48)) == 1, "no patch is in two hemispheres"
        assert np.ptp(places[part], axis=0).max() <= 20
        assert np.ptp(places[part], axis=0).min() < 20 * (0.75 if n_patches == 4 else 0.6)


def test_patches_left_out_are_those_of_a_plain_loop() -> None:
    generator = np.random.default_rng(3)
    kinds = {kind: generator.normal(size=(12, 40)).astype(np.float32) for kind in ("RE", "AN", "AI")}
    places = generator.random((40, 2))
    parts = np.array_split(order_by_place(places, n_patches=4), 4)
    pair_numbers = list(itertools.combinations(range(4), 2))

    def compare(gone: tuple[int, ...], how: object) -> np.ndarray:
        kept = np.concatenate([part for k, part in enumerate(parts) if k not in gone])
        rdms = {kind: compute_rdm(values[:, kept], labels=names(12)).condensed for kind, values in kinds.items()}
        return np.array([how(rdms["RE"], rdms[kind])[0, 1] if how is np.corrcoef else  # type: ignore[operator]
                         spearmanr(rdms["RE"], rdms[kind]).statistic for kind in ("AN", "AI")])

    one = np.stack([compare((k,), spearmanr) for k in range(4)])
    straight = np.stack([compare((k,), np.corrcoef) for k in range(4)])
    second = np.stack([4 * compare((), np.corrcoef) - 3 * (straight[i] + straight[j]) + 2 * compare((i, j), np.corrcoef)
                       for i, j in pair_numbers])
    by_pairs = ((second - second.mean(axis=0))**2).sum(axis=0) / 16
    wanted = np.maximum(3 / 4 * ((one - one.mean(axis=0))**2).sum(axis=0) - by_pairs, by_pairs)
    found = similarity_variances(distances_of(kinds, measure="correlation"), places_mm=places, n_patches=4,
                                 pairs=all_pairs(12))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize(("reliability", "low", "high"), [(0.1, 0.41, 0.62), (0.23, 0.76, 0.86), (0.62, 0.96, 0.98)])
def test_the_ceiling_is_what_a_second_measurement_and_the_truth_reach(reliability: float, low: float,
                                                                    high: float) -> None:
    """Means of 40 simulated subjects; Spearman-Brown gives .30, .69, .96 where .41, .76, .96 are reached."""
    found = draw("paper", rng=np.random.default_rng(8), n_subjects=40, reliability=reliability, smoothness_mm=0.0,
                 noise_smoothness_mm=0.0, offset_sd=0.0)
    bounds, reached, by_half = [], [], []
    for subject in range(40):
        first, second = found.betas[subject, :, 0]
        bounds.append(presentation_ceiling(first, second))
        measured, again, clean = (compute_rdm(values, labels=names(40)) for values in (
            found.patterns("RE", subject=subject), found.truth[subject, 0] + found.patterns("AI", subject=subject)
            - found.truth[subject, 2], found.truth[subject, 0]))
        reached.append([spearman(measured, again), spearman(measured, clean)])
        by_half.append(split_half_reliability(*(compute_rdm(half, labels=names(40)) for half in (first, second)))[1])
    np.testing.assert_allclose(np.mean(bounds, axis=0), np.mean(reached, axis=0), atol=0.03)
    np.testing.assert_allclose(np.mean(reached, axis=0), [low, high], atol=0.03)
    assert np.mean(by_half) < np.mean(reached, axis=0)[0] + 0.005


@pytest.mark.parametrize("measure", ["correlation", "euclidean"])
def test_noise_alone_has_no_ceiling_and_sessions_alone_have_none(measure: str) -> None:
    generator = np.random.default_rng(4)
    values = generator.normal(size=(60, 2, 40, 100))
    values -= values.reshape(60, 2, 2, 20, 100).mean(axis=3).repeat(20, axis=2)
    found = np.array([presentation_ceiling(*one, measure=measure, blocks=("1",) * 20 + ("2",) * 20) for one in values])
    assert 0 < np.mean(found[:, 0] == 0) < 1, "half of them share less than nothing"
    assert found[:, 0].mean() < 0.12


def test_patches_share_what_a_plain_loop_finds_from_a_known_covariance() -> None:
    """Responses whose correlation at 0, 1 and 2 mm is 1, .6, .1 in the mean: F by loops over vertices and patches."""
    generator, n = np.random.default_rng(6), 24
    places = np.stack([np.arange(n, dtype=float), np.zeros(n)], axis=1)
    truth = np.eye(n) + 0.6 * (np.eye(n, k=1) + np.eye(n, k=-1)) + 0.1 * (np.eye(n, k=2) + np.eye(n, k=-2))
    values = generator.normal(size=(40000, n)) @ np.linalg.cholesky(truth).T
    parts = np.array_split(order_by_place(places, n_patches=4), 4)
    shared = truth**2
    whole = sum(shared[a, b] for a in range(n) for b in range(n)) / n**2
    between = np.array([[np.mean([shared[a, b] for a in one for b in other]) for other in parts] for one in parts])
    by_patches = (np.trace(between) - between.sum() / 4) / 12
    kinds = dict(zip(("RE", "AN", "AI"), np.array_split(values, 3), strict=True))
    found = shared_by_patches(kinds, places_mm=places, n_patches=4)
    assert found == pytest.approx(whole / by_patches, rel=0.02)
    assert found > 1.05


def test_independent_vertices_share_nothing_and_a_single_response_everything() -> None:
    generator = np.random.default_rng(7)
    kinds = {kind: generator.normal(size=(40, 200)) for kind in ("RE", "AN", "AI")}
    places = generator.random((200, 2)) * 15
    places[100:, 0] += 1e4
    assert shared_by_patches(kinds, places_mm=places, n_patches=4) == pytest.approx(1, abs=0.05)
    alike = {kind: np.repeat(values[:, :1], 200, axis=1) for kind, values in kinds.items()}
    near = {kind: values[:, :100] for kind, values in alike.items()}
    assert shared_by_patches(near, places_mm=places[:100] * 0.01, n_patches=4) == np.inf


def test_hemispheres_share_nothing_whatever_their_numbers() -> None:
    """The same responses in both: half of the patches repeat, and are still counted as another sample."""
    generator = np.random.default_rng(8)
    one = {kind: generator.normal(size=(40, 50)) for kind in ("RE", "AN", "AI")}
    both = {kind: np.concatenate([values, values], axis=1) for kind, values in one.items()}
    places = np.tile(generator.random((50, 2)) * 10, (2, 1))
    places[50:, 0] += 1e4
    assert shared_by_patches(both, places_mm=places, n_patches=4) == pytest.approx(1, abs=0.1)
