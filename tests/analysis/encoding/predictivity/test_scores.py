"""Predictivity: planted ceilings are found, nothing is found in noise, splits and ceilings are those of plain loops."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import pearsonr
from scipy.stats import t as t_distribution
from sklearn.cross_decomposition import PLSRegression

from analysis.encoding.predictivity.pls import fit_pls
from analysis.encoding.predictivity.scores import correlate, deal, find_ceiling, halve, predictivity
from subjects.errors import AnalysisError


def planted(n=300, *, n_units=80, n_sites=25, rank=5, noise=1.0, seed=0):
    """Responses that are linear in the units, measured twice; each half has noise of variance 2, their mean of 1."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(n, rank))
    units = latent @ rng.normal(size=(rank, n_units))
    weights = rng.normal(size=(rank, n_sites))
    signal = latent @ (weights / np.linalg.norm(weights, axis=0))
    halves = [signal + noise * np.sqrt(2) * rng.normal(size=signal.shape) for _ in range(2)]
    return units, (halves[0], halves[1])


def score(units, halves, *, seed=1, **chosen):
    return predictivity(units, (halves[0] + halves[1]) / 2, halves=halves, rng=np.random.default_rng(seed), **chosen)


@pytest.mark.parametrize(("noise", "n"), [(0.5, 300), (1.0, 300), (2.0, 1500)])
def test_the_planted_ceiling_is_found(noise, n):
    """Signal of variance 1: the mean of both halves has reliability 1 / (1 + noise^2); the model reaches its root."""
    found = score(*planted(n, noise=noise))
    reliability = 1 / (1 + noise ** 2)
    assert found.ceiling.reliability == pytest.approx(reliability, abs=0.05)
    assert found.ceiling.highest == pytest.approx(np.sqrt(reliability), abs=0.05)
    assert found.score == pytest.approx(np.sqrt(reliability), abs=0.06)
    assert found.corrected == pytest.approx(1.0, abs=0.08)
    assert found.published == pytest.approx(1 / np.sqrt(reliability), rel=0.1)
    assert found.low < found.score < found.high
    assert found.p < 1e-4
    assert found.n_components == 5


def test_noise_is_not_predicted():
    scores = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scores.append(predictivity(rng.normal(size=(60, 100)), rng.normal(size=(60, 12)), rng=rng))
    values = np.array([one.score for one in scores])
    assert abs(values.mean()) < 3 * values.std(ddof=1) / np.sqrt(len(values))
    assert all(one.ceiling is None and np.isnan(one.published) and np.isnan(one.corrected) for one in scores)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_over_all_orders_of_the_held_out_images_a_score_is_exactly_zero(seed):
    """Nothing in how models are trained, or means are taken off, can move the mean score of noise: each order of the
    held-out responses is as likely as any other, and over all 120 of five images Pearson's r is 0."""
    rng = np.random.default_rng(seed)
    units, responses = rng.normal(size=(25, 40)), rng.normal(size=(25, 3)) + 5 * rng.normal(size=3)
    predicted = fit_pls(units[5:], responses[5:]).predict(units[:5])
    every = [correlate(predicted, responses[list(order)]) for order in permutations(range(5))]
    assert np.abs(every).max() > 0.5
    np.testing.assert_allclose(np.mean(every, axis=0), 0.0, atol=1e-12)


def test_means_that_training_and_test_do_not_share_move_no_score():
    """A constant added to every response, and to every unit, is in means of both parts and in no correlation."""
    units, halves = planted(60, n_sites=5)
    plain = score(units, halves)
    moved = score(units + 7.0, tuple(half + np.arange(5) * 3.0 for half in halves))
    np.testing.assert_allclose(moved.sites, plain.sites, atol=1e-8)
    assert moved.error == pytest.approx(plain.error)


@pytest.mark.parametrize("centred", [False, True])
def test_offsets_of_sessions_change_nothing_where_training_images_means_are_taken_off(centred):
    """Whatever is constant within a block goes with the mean of its training images, a mean of all images too."""
    units, halves = planted(60, n_sites=5)
    sessions = np.arange(60) % 3
    blocks = [f"ses-{one}" for one in sessions]
    plain = score(units, halves, blocks=blocks)
    offsets = np.random.default_rng(3).normal(size=(3, 5)) * 20
    if centred:
        offsets = -np.stack([sum(halves)[sessions == one].mean(axis=0) / 2 for one in range(3)])
    moved = score(units, tuple(half + offsets[sessions] for half in halves), blocks=blocks)
    np.testing.assert_allclose(moved.sites, plain.sites, atol=1e-8)


def test_a_split_with_blocks_is_that_of_a_plain_loop_with_scikit_learn():
    rng = np.random.default_rng(5)
    units, responses = rng.normal(size=(24, 30)), rng.normal(size=(24, 4))
    blocks = ["a", "b"] * 12
    found = predictivity(units, responses, rng=np.random.default_rng(8), blocks=blocks, n_components=3, n_splits=4)
    expected = np.zeros((4, 4))
    for k, held_out in enumerate(deal(24, rng=np.random.default_rng(8), groups=None, n_splits=4)):
        rest = [i for i in range(24) if i not in held_out]
        known = responses.copy()
        for i in range(24):
            known[i] -= np.mean([responses[j] for j in rest if blocks[j] == blocks[i]], axis=0)
        model = PLSRegression(3, scale=False, tol=1e-15, max_iter=100_000).fit(units[rest], known[rest])
        predicted = model.predict(units[held_out])
        expected[k] = [pearsonr(predicted[:, site], known[held_out, site])[0] for site in range(4)]
    np.testing.assert_allclose(found.sites, expected.mean(axis=0), atol=1e-5)


def test_a_session_that_is_held_out_whole_has_no_mean():
    rng = np.random.default_rng(2)
    with pytest.raises(AnalysisError, match=r"session 0\d.*holds out all 3 images"):
        predictivity(rng.normal(size=(12, 5)), rng.normal(size=(12, 2)), rng=rng, n_splits=4,
                     groups=[str(k // 3) for k in range(12)], blocks=[f"session {1 + k // 3:02}" for k in range(12)])


def test_p_and_interval_are_students_about_the_score():
    found = score(*planted(80, noise=3.0))
    half = t_distribution.ppf(0.975, 9) * found.error
    assert (found.low, found.high) == pytest.approx((found.score - half, found.score + half))
    assert found.p == pytest.approx(t_distribution.sf(found.score / found.error, 9))
    assert (found.n_images, found.n_splits, len(found.sites)) == (80, 10, 25)


def test_the_error_is_not_too_small():
    """Over 60 sets scores spread by no more than the error that is given with each; as if splits shared nothing the
    error would be smaller by the root of 1 + 10 / 9."""
    found = [score(*planted(60, n_units=30, n_sites=6, noise=2.0, seed=seed), seed=seed) for seed in range(60)]
    spread, error = np.std([one.score for one in found], ddof=1), np.mean([one.error for one in found])
    assert spread < error
    assert spread > error / np.sqrt(1 + 10 / 9) > 0


def test_a_score_is_that_of_scikit_learn_and_plain_loops():
    units, halves = planted(50, n_sites=6)
    units = units + np.random.default_rng(3).normal(size=units.shape)
    responses = (halves[0] + halves[1]) / 2
    found = predictivity(units, responses, rng=np.random.default_rng(8), n_components=4, n_splits=5)
    table = []
    for part in deal(50, rng=np.random.default_rng(8), groups=None, n_splits=5):
        rest = [k for k in range(50) if k not in part]
        model = PLSRegression(n_components=4, scale=False, tol=1e-15, max_iter=100_000)
        predicted = model.fit(units[rest], responses[rest]).predict(units[part])
        table.append([pearsonr(predicted[:, site], responses[part][:, site])[0] for site in range(6)])
    np.testing.assert_allclose(found.sites, np.mean(table, axis=0), atol=1e-5)
    assert found.score == pytest.approx(np.median(np.mean(table, axis=0)), abs=1e-5)
    medians = np.median(table, axis=1)
    assert found.error == pytest.approx(medians.std(ddof=1) * np.sqrt(1 / 5 + 1 / 4), abs=1e-5)


def test_every_image_is_held_out_once_and_groups_stay_together():
    groups = [f"image-{k // 3}" for k in range(120)]
    parts = deal(120, rng=np.random.default_rng(0), groups=groups, n_splits=10)
    assert sorted(np.concatenate(parts)) == list(range(120))
    assert [len(part) for part in parts] == [12] * 10
    held = [{groups[k] for k in part} for part in parts]
    assert all(not (one & other) for k, one in enumerate(held) for other in held[:k])
    other = deal(120, rng=np.random.default_rng(1), groups=groups, n_splits=10)
    assert [list(part) for part in other] != [list(part) for part in parts]


@pytest.mark.parametrize(("n", "n_splits"), [(20, 10), (29, 10), (10, 1)])
def test_too_few_held_out_images_are_refused(n, n_splits):
    with pytest.raises(AnalysisError, match=f"predictivity: {n} images in {n_splits} parts.*Ask for fewer splits"):
        deal(n, rng=np.random.default_rng(0), groups=None, n_splits=n_splits)


def test_correlations_are_pearsons_and_zero_where_nothing_varies():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 20, 4))
    one[:, 1], other[:, 2] = 7.0, -1e6
    found = correlate(one, other)
    assert found[[1, 2]].tolist() == [0, 0]
    assert found[[0, 3]] == pytest.approx([pearsonr(one[:, k], other[:, k])[0] for k in (0, 3)])


def test_the_ceiling_is_that_of_spearman_and_brown():
    rng = np.random.default_rng(1)
    signal = rng.normal(size=(80, 9))
    one, other = (signal + rng.normal(size=signal.shape) for _ in range(2))
    half = np.median([pearsonr(one[:, k], other[:, k])[0] for k in range(9)])
    found = find_ceiling(one, other)
    assert (found.split_half, found.reliability) == pytest.approx((half, 2 * half / (1 + half)))
    assert found.highest == pytest.approx(np.sqrt(found.reliability))


def test_halves_that_do_not_agree_give_no_ceiling():
    rng = np.random.default_rng(2)
    one = rng.normal(size=(30, 4))
    found = predictivity(rng.normal(size=(30, 6)), one, halves=(one, -one), rng=rng)
    assert (found.ceiling.reliability, found.ceiling.highest) == (0.0, 0.0)
    assert np.isnan(found.corrected)


def test_repetitions_are_halved_at_random_and_an_odd_one_is_left_out():
    """Repetition k has the value 4^k, so that a mean of two names both."""
    repetitions = 4.0 ** np.arange(5)[:, None, None] * np.ones((5, 3, 2))
    pairs = {4.0 ** one + 4.0 ** other: {one, other} for one in range(5) for other in range(one)}
    seen = set()
    for seed in range(40):
        one, other = halve(repetitions, rng=np.random.default_rng(seed))
        first, second = (pairs[2 * float(half[0, 0])] for half in (one, other))
        assert not first & second
        seen.update(frozenset(range(5)) - first - second)
    assert seen == set(range(5))
    with pytest.raises(AnalysisError, match="1 repetition; expected two or more for a ceiling"):
        halve(repetitions[:1], rng=np.random.default_rng(0))


def test_responses_without_variance_score_nothing():
    rng = np.random.default_rng(0)
    found = predictivity(rng.normal(size=(30, 5)), np.ones((30, 3)), rng=rng)
    assert (found.score, found.error, found.p) == (0.0, 0.0, 1.0)
