"""Resampling against plain loops, rsatoolbox and SciPy; the null calibrated."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import kendalltau, norm, spearmanr

from analysis.rsa.ceiling import noise_ceiling, split_half_reliability
from analysis.rsa.rdm import RDM, compute_rdm, spearman
from analysis.rsa.resampling.features import feature_bootstraps, feature_counts, group_bootstraps
from analysis.rsa.resampling.images import image_bootstraps, label_permutations
from analysis.statistics.dissimilarity import unit_ranks
from analysis.statistics.draws import permutations, subsamples, warn_of_few
from analysis.statistics.statistic import Statistic, centred_interval, interval, two_sided_p, upper_p
from analysis.statistics.trend import mann_kendall
from subjects.errors import AnalysisError


def names(n: int) -> tuple[str, ...]:
    return tuple(f"image-{k:02d}" for k in range(n))


def random_rdm(seed: int, n: int = 10, features: int = 20) -> RDM:
    return compute_rdm(np.random.default_rng(seed).normal(size=(n, features)), labels=names(n))


def rng(seed: int | list[int] = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_label_permutations_equal_a_loop_that_relabels_rows_and_columns():
    a, b = random_rdm(1), random_rdm(2)
    null = label_permutations(a, b, n=20, rng=rng())
    rows, columns = np.triu_indices(10, 1)
    for drawn, order in zip(null, permutations(10, n=20, rng=rng()), strict=True):
        shuffled = b.square()[np.ix_(order, order)][rows, columns]
        assert drawn == pytest.approx(spearmanr(a.condensed, shuffled).statistic, abs=1e-12)


def test_label_permutations_join_by_label():
    a, b = random_rdm(1), random_rdm(2)
    backward = b.select(b.labels[::-1])
    np.testing.assert_array_equal(label_permutations(a, b, n=5, rng=rng()),
                                  label_permutations(a, backward, n=5, rng=rng()))


def test_every_permutation_of_three_labels_is_drawn_equally_often():
    orders, counts = np.unique(permutations(3, n=6000, rng=rng()), axis=0, return_counts=True)
    assert len(orders) == 6
    assert abs(counts - 1000).max() < 150


def test_the_label_permutation_rejects_at_five_percent_on_null_subjects():
    """Null subjects in which the types are independent noise.

    Over 200 subjects the rate itself has a standard error of 1.5 %, so that one seed in five would leave
    5 +- 2 % by chance; 1000 subjects bring it to 0.7 %.
    """
    rejected = 0
    for k in range(1000):
        a, b = (compute_rdm(rng([k, j]).normal(size=(40, 60)), labels=names(40)) for j in range(2))
        rejected += upper_p(spearman(a, b), label_permutations(a, b, n=199, rng=rng([k, 2]))) <= 0.05
    assert 0.03 <= rejected / 1000 <= 0.07


def test_labels_change_places_within_their_block_only():
    blocks = ["a", "b", "a", "b", "b", "a"]
    orders = permutations(6, n=4000, rng=rng(), blocks=blocks)
    for block in "ab":
        places = [k for k, name in enumerate(blocks) if name == block]
        assert set(orders[:, places].ravel()) == set(places)
        found, counts = np.unique(orders[:, places], axis=0, return_counts=True)
        assert len(found) == 6
        assert abs(counts - 4000 / 6).max() < 120


@pytest.mark.slow
@pytest.mark.parametrize("n_vertices", [200, 400, 1000])
def test_session_means_that_were_removed_fool_no_permutation_within_sessions(n_vertices):
    """600 null subjects of two sessions each; free permutations would reject nearly all of them."""
    sessions = ("01",) * 20 + ("02",) * 20
    rejected = free = 0
    for k in range(600):
        values = rng([n_vertices, k]).normal(size=(2, 2, 20, n_vertices))
        values -= values.mean(axis=2, keepdims=True)
        a, b = (compute_rdm(kind.reshape(40, -1), labels=names(40)) for kind in values)
        rejected += upper_p(spearman(a, b), label_permutations(a, b, n=199, rng=rng([k, 2]), blocks=sessions)) <= 0.05
        free += upper_p(spearman(a, b), label_permutations(a, b, n=199, rng=rng([k, 2]))) <= 0.05
    assert 0.03 <= rejected / 600 <= 0.07
    assert free / 600 > 0.9


def explicit_image_bootstrap(a: RDM, b: RDM, draw: np.ndarray) -> float:
    x, y = a.square(), b.square()
    pairs = [(i, j) for i, j in itertools.combinations(draw, 2) if i != j]
    return float(spearmanr([x[i, j] for i, j in pairs], [y[i, j] for i, j in pairs]).statistic)


def test_image_bootstraps_equal_explicit_resampling_without_pairs_of_one_image():
    a, b, c = random_rdm(1), random_rdm(2), random_rdm(3)
    found = image_bootstraps(a, [b, c], n=25, rng=rng(5))
    draws = rng(5).integers(0, 10, size=(25, 10))
    for row, draw in zip(found, draws, strict=True):
        assert row[0] == pytest.approx(explicit_image_bootstrap(a, b, draw), abs=1e-10)
        assert row[1] == pytest.approx(explicit_image_bootstrap(a, c, draw), abs=1e-10)


def test_image_bootstraps_with_tied_dissimilarities():
    values = rng(3).integers(0, 4, size=(2, 45)).astype(float)
    a, b = (RDM(names(10), v, "euclidean") for v in values)
    draw = rng(6).integers(0, 10, size=(1, 10))[0]
    assert image_bootstraps(a, [b], n=1, rng=rng(6))[0, 0] == pytest.approx(explicit_image_bootstrap(a, b, draw))


def test_image_bootstraps_see_ranks_only():
    a, b = random_rdm(1), random_rdm(2)
    bent = RDM(b.labels, np.exp(3 * b.condensed), "euclidean")
    np.testing.assert_allclose(image_bootstraps(a, [bent], n=20, rng=rng()), image_bootstraps(a, [b], n=20, rng=rng()),
                               atol=1e-12)


def test_image_bootstraps_join_by_label():
    a, b = random_rdm(1), random_rdm(2)
    moved = b.select(b.labels[::-1])
    np.testing.assert_allclose(image_bootstraps(a, [moved, b], n=20, rng=rng()) @ [1, -1], 0, atol=1e-12)


def test_an_rdm_bootstrapped_against_itself_is_perfect():
    a = random_rdm(4)
    np.testing.assert_allclose(image_bootstraps(a, [a], n=20, rng=rng()), 1, atol=1e-12)


def test_the_bootstrap_interval_covers_a_true_difference_of_zero():
    """RE-AI and RE-AN share one distribution: the difference is rejected rarely, at most at its 5 %."""
    shared = rng(1).normal(size=(60, 20, 30))
    rejected = 0
    for k, pattern in enumerate(shared):
        noise = rng([2, k]).normal(size=(3, 20, 30))
        re, an, ai = (compute_rdm(pattern + part, labels=names(20)) for part in noise)
        draws = image_bootstraps(re, [an, ai], n=200, rng=rng([3, k]))
        rejected += two_sided_p(draws[:, 1] - draws[:, 0]) <= 0.05
    assert rejected / 60 <= 0.15


def test_keeping_pairs_of_one_image_would_bias_upward():
    a, b = random_rdm(1, n=20), random_rdm(2, n=20)
    ours = image_bootstraps(a, [b], n=300, rng=rng()).mean()
    kept = []
    for draw in rng().integers(0, 20, size=(300, 20)):
        rows, columns = np.triu_indices(20, 1)
        kept.append(spearmanr(a.square()[draw[rows], draw[columns]], b.square()[draw[rows], draw[columns]]).statistic)
    assert np.mean(kept) > ours + 0.1
    assert abs(ours - spearmanr(a.condensed, b.condensed).statistic) < 0.05


def test_draws_of_a_few_images_without_two_pairs_have_no_correlation():
    a, b = (RDM(names(4), rng(k).random(6), "euclidean") for k in (1, 2))
    found = image_bootstraps(a, [b], n=60, rng=rng(5))[:, 0]
    draws = rng(5).integers(0, 4, size=(60, 4))
    few = np.array([len(set(draw)) < 3 for draw in draws])
    assert 10 < few.sum() < 30
    assert np.array_equal(np.isnan(found), few)
    for value, draw in zip(found[~few], draws[~few], strict=True):
        assert value == pytest.approx(explicit_image_bootstrap(a, b, draw), abs=1e-10)


def test_an_image_bootstrap_needs_enough_images():
    a = RDM(("a", "b"), np.array([1.0]), "euclidean")
    with pytest.raises(AnalysisError, match="fewer than two different pairs"):
        image_bootstraps(a, [a], n=5, rng=rng())


@pytest.mark.parametrize("measure", ["correlation", "euclidean"])
@pytest.mark.parametrize(("n_features", "tolerance"), [(60, 1e-10), (5000, 2e-5)])
def test_feature_bootstraps_equal_rdms_of_drawn_features(measure, n_features, tolerance):
    patterns = rng(2).normal(loc=3, size=(6, n_features))
    counts = feature_counts(n_features, n=4, rng=rng())
    found = feature_bootstraps(patterns, counts=counts, measure=measure)
    for row, count in zip(found, counts, strict=True):
        drawn = np.repeat(patterns, count, axis=1)
        np.testing.assert_allclose(row, compute_rdm(drawn, labels=names(6), measure=measure).condensed, atol=tolerance)


def test_feature_bootstraps_of_one_hot_patterns_stay_in_bounds_or_are_not_given():
    """A softmax layer: a draw may miss the one unit that is active; that pattern's pairs then have no correlation."""
    patterns = np.eye(6, 40) + 1e-5 * rng().random((6, 40))
    counts = feature_counts(40, n=50, rng=rng())
    found = feature_bootstraps(patterns, counts=counts, measure="correlation")
    rows, columns = np.triu_indices(6, 1)
    np.testing.assert_array_equal(np.isnan(found), (counts[:, rows] == 0) | (counts[:, columns] == 0))
    assert np.nanmin(found) >= 0
    assert np.nanmax(found) <= 2


def test_feature_counts_draw_as_many_features_as_there_are():
    counts = feature_counts(37, n=11, rng=rng())
    np.testing.assert_array_equal(counts.sum(axis=1), 37)
    assert counts.max() > 1


@pytest.mark.parametrize("measure", ["correlation", "euclidean"])
def test_group_bootstraps_equal_rdms_of_the_drawn_groups(measure):
    """Groups of two sizes (37 features in 5): every feature of a drawn group comes as often as the group."""
    patterns = rng(2).normal(loc=3, size=(6, 37))
    groups, counts = rng(4).permutation(37), feature_counts(5, n=6, rng=rng())
    found = group_bootstraps(patterns.astype(np.float32), groups=groups, counts=counts, measure=measure)
    pieces = [groups[0:7], groups[7:14], groups[14:22], groups[22:29], groups[29:37]]
    for row, count in zip(found, counts, strict=True):
        drawn = patterns[:, np.concatenate([np.tile(piece, n) for piece, n in zip(pieces, count, strict=True)])]
        np.testing.assert_allclose(row, compute_rdm(drawn, labels=names(6), measure=measure).condensed, atol=1e-5)


def test_groups_of_units_spread_the_draws_as_single_units_do():
    """The similarity of two RDMs over 6000 correlated units: standard deviation within 10 % of the exact one."""
    mixing = rng(1).normal(size=(40, 6000))
    shared, own = rng(2).normal(size=(20, 40)) @ mixing, rng(3).normal(size=(20, 40)) @ mixing
    sets, counts = (shared, shared + own), {n: feature_counts(n, n=400, rng=rng(5)) for n in (6000, 1000)}
    groups = rng(6).permutation(6000)
    exact = [unit_ranks(feature_bootstraps(one, counts=counts[6000], measure="correlation")) for one in sets]
    grouped = [unit_ranks(group_bootstraps(one, groups=groups, counts=counts[1000], measure="correlation"))
               for one in sets]
    spreads = [np.einsum("bp,bp->b", *both).std() for both in (exact, grouped)]
    assert spreads[1] == pytest.approx(spreads[0], rel=0.1)


def test_subsamples_are_without_replacement_and_fair():
    inside = subsamples(20, share=0.8, n=2000, rng=rng())
    np.testing.assert_array_equal(inside.sum(axis=1), 16)
    assert abs(inside.mean(axis=0) - 0.8).max() < 0.05


def test_an_empty_subsample():
    with pytest.raises(AnalysisError, match="0.1 of 3 items; expected at least one item"):
        subsamples(3, share=0.1, n=2, rng=rng())


def test_p_values_count_the_effect_itself():
    assert upper_p(3.0, [1, 2, 3, 4]) == 3 / 5
    assert upper_p(9.0, np.zeros(999)) == 1 / 1000
    assert upper_p(0.1 + 0.2, [0.3]) == 1.0
    assert two_sided_p(np.ones(999)) == 2 / 1000
    assert two_sided_p([-1, 1, 2, 3]) == 2 * 2 / 5
    assert two_sided_p(np.zeros(9)) == 1.0


def test_interval_is_the_central_share_of_draws():
    draws = rng().normal(size=100_000)
    assert interval(draws, percent=68) == pytest.approx((-0.994, 0.994), abs=0.02)
    assert interval(draws, percent=95) == pytest.approx((-1.96, 1.96), abs=0.03)


def test_a_centred_interval_keeps_the_spread_and_holds_the_effect():
    draws = rng().normal(loc=0.3, scale=0.01, size=20_000)
    low, high = centred_interval(draws, effect=0.5, percent=68)
    assert (low, high) == pytest.approx((0.49, 0.51), abs=1e-3)
    assert centred_interval(draws, effect=0.999, percent=95)[1] == 1.0


@pytest.mark.parametrize("seed", range(12))
def test_mann_kendall_without_ties_equals_scipys_exact_kendall(seed):
    values = rng(seed).normal(size=8)
    theirs = kendalltau(np.arange(8), values, method="exact")
    assert mann_kendall(values) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-12)


@pytest.mark.parametrize("values", [[1, 2, 2, 3, 5, 4, 6, 6], [1, 1, 1, 2], [3, 1, 1, 2, 0]])
def test_mann_kendall_with_ties_enumerates_all_orders(values):
    def score(order):
        return sum(np.sign(b - a) for a, b in itertools.combinations(order, 2))

    least = abs(score(values))
    orders = list(itertools.permutations(values)) if len(values) < 7 else None
    tau, p = mann_kendall(values)
    assert tau == pytest.approx(score(values) / (len(values) * (len(values) - 1) / 2))
    if orders:
        assert p == pytest.approx(np.mean([abs(score(order)) >= least for order in orders]))
    else:
        assert p == pytest.approx(kendalltau(range(8), values, method="asymptotic").pvalue, abs=0.01)


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5, 6, 7, 8], [3, 1, 2, 5, 4, 8, 6, 7], [1, 1, 2, 2, 3, 5, 5, 5],
                                    list(range(20))])
def test_mann_kendall_by_the_normal_approximation_is_a_plain_loop(values):
    """S and its variance as Kendall gives them, z nearer 0 by 1, two-sided."""
    score = sum(np.sign(values[j] - values[i]) for i in range(len(values)) for j in range(i + 1, len(values)))
    n, ties = len(values), [values.count(one) for one in set(values)]
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18
    tau, p = mann_kendall(values, by="normal")
    assert p == pytest.approx(2 * norm.sf((abs(score) - 1) / np.sqrt(variance)))
    assert tau == mann_kendall(values[:8])[0] or n > 8
    assert mann_kendall([2, 2, 2, 2], by="normal") == (0.0, 1.0)


def test_mann_kendall_of_a_constant_series_is_no_trend():
    assert mann_kendall([2, 2, 2, 2]) == (0.0, 1.0)


def test_mann_kendall_ignores_monotonic_changes_of_scale():
    values = rng(4).normal(size=8)
    assert mann_kendall(np.exp(values)) == mann_kendall(values)
    assert mann_kendall(-values)[0] == -mann_kendall(values)[0]


@pytest.mark.parametrize(("values", "text"), [([1, 2], "2 values, 0 not finite"), ([1, np.nan, 3], "1 not finite"),
                                              ([1, 1, *range(2, 10)], "tied values among 10")])
def test_mann_kendall_guards(values, text):
    with pytest.raises(AnalysisError, match=text):
        mann_kendall(values)


def test_noise_ceiling_equals_rsatoolbox():
    import rsatoolbox

    shared = rng(9).normal(size=(10, 15))
    rdms = [compute_rdm(shared + rng(k).normal(size=(10, 15)), labels=names(10)) for k in range(4)]
    stacked = rsatoolbox.rdm.RDMs(np.stack([rdm.condensed for rdm in rdms]))
    lower, upper = rsatoolbox.inference.boot_noise_ceiling(stacked, method="spearman", rdm_descriptor="index")
    assert noise_ceiling(rdms) == pytest.approx((lower, upper), abs=1e-6)


def test_noise_ceiling_joins_by_label_and_needs_two_subjects():
    a, b = random_rdm(1), random_rdm(2)
    assert noise_ceiling([a, b.select(b.labels[::-1])]) == pytest.approx(noise_ceiling([a, b]))
    with pytest.raises(AnalysisError, match=r"1 subject\(s\); expected at least two"):
        noise_ceiling([a])


def test_split_half_reliability_is_corrected_to_the_whole_of_the_data():
    a, b = random_rdm(1), random_rdm(1, features=20)
    assert split_half_reliability(a, b) == pytest.approx((1.0, 1.0, 0.0))
    mixed = RDM(names(10), a.condensed + random_rdm(2).condensed, "correlation")
    low, high, chance = split_half_reliability(a, mixed)
    assert chance == 0
    assert low == pytest.approx(spearmanr(a.condensed, mixed.condensed).statistic)
    assert high == pytest.approx(2 * low / (1 + low))
    opposite = RDM(names(10), 2 - a.condensed, "correlation")
    assert split_half_reliability(a, opposite) == pytest.approx((-1.0, -1.0, 0.0))


@pytest.mark.parametrize(("change", "text"), [({"p": 0.0}, "p = 0.0; expected 0 < p <= 1"),
                                              ({"effect": float("nan")}, "a finite effect"),
                                              ({"low": 2.0}, "an interval in order")])
def test_statistic_guards(change, text):
    good = {"effect": 0.5, "low": 0.4, "high": 0.6, "p": 0.01, "n": 40, "n_resamples": 10, "seed": 1, "test": "t"}
    assert Statistic(**good).correction == "none"
    with pytest.raises(AnalysisError, match=text):
        Statistic(**{**good, **change})


@pytest.mark.parametrize(("n", "said"), [(0, False), (1, True), (19, True), (20, False), (1000, False)])
def test_too_few_permutations_for_any_p_below_05_are_said(n, said, caplog):
    """1 / (n + 1) is the smallest p there is."""
    warn_of_few(n, asked_by="rsa.n_permutations")
    assert bool(caplog.records) is said
    assert said is (n > 0 and not 1 / (n + 1) < 0.05)
    if said:
        assert f"rsa.n_permutations = {n}" in caplog.text
