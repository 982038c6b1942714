"""RDMs against rsatoolbox, SciPy and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr

from analysis.rsa.rdm import RDM, compute_rdm, load_rdms, save_rdms, spearman
from analysis.statistics.dissimilarity import average_ranks, dissimilarities, expand, unit_ranks
from subjects.errors import AnalysisError


def names(n: int) -> tuple[str, ...]:
    return tuple(f"image-{k:02d}" for k in range(n))


@pytest.fixture
def patterns() -> np.ndarray:
    return np.random.default_rng(1).normal(loc=2.0, size=(12, 30)).astype(np.float32)


def rsatoolbox_rdm(patterns: np.ndarray, method: str):
    import rsatoolbox

    data = rsatoolbox.data.Dataset(patterns.astype(np.float64))
    return rsatoolbox.rdm.calc_rdm(data, method=method)


@pytest.mark.parametrize("measure", ["correlation", "euclidean"])
def test_rdm_equals_rsatoolbox(patterns, measure):
    theirs = rsatoolbox_rdm(patterns, measure).get_vectors()[0]
    ours = compute_rdm(patterns, labels=names(12), measure=measure).condensed
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_spearman_equals_rsatoolbox_and_scipy(patterns):
    import rsatoolbox

    other = patterns + np.random.default_rng(2).normal(size=patterns.shape).astype(np.float32)
    theirs = rsatoolbox.rdm.compare(*(rsatoolbox_rdm(x, "correlation") for x in (patterns, other)), method="spearman")
    a, b = (compute_rdm(x, labels=names(12)) for x in (patterns, other))
    assert spearman(a, b) == pytest.approx(theirs[0, 0], abs=1e-6)
    assert spearman(a, b) == pytest.approx(spearmanr(a.condensed, b.condensed).statistic, abs=1e-12)


def test_spearman_of_tied_dissimilarities_has_average_ranks():
    a = RDM(names(4), np.array([1.0, 1, 2, 2, 2, 3]), "euclidean")
    b = RDM(names(4), np.array([1.0, 2, 2, 5, 4, 4]), "euclidean")
    assert spearman(a, b) == pytest.approx(spearmanr(a.condensed, b.condensed).statistic, abs=1e-12)


def test_correlation_distance_equals_a_loop_over_pairs(patterns):
    rdm = compute_rdm(patterns, labels=names(12)).square()
    for i in range(12):
        for j in range(12):
            assert rdm[i, j] == pytest.approx(1 - pearsonr(*patterns[[i, j]].astype(float)).statistic, abs=1e-12)


def test_stacked_dissimilarities_equal_one_by_one():
    stack = np.random.default_rng(3).normal(size=(4, 6, 9))
    for measure in ("correlation", "euclidean"):
        together = dissimilarities(stack, measure=measure)
        np.testing.assert_allclose(together, [dissimilarities(x, measure=measure) for x in stack], atol=1e-14)


def test_a_constant_pattern_has_no_dissimilarity_in_a_stack():
    stack = np.random.default_rng(3).normal(size=(2, 3, 9))
    stack[1, 2] = 4.2
    found = dissimilarities(stack, measure="correlation")
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).tolist() == [False, True, True]


def test_spearman_joins_by_label_and_not_by_position(patterns):
    a = compute_rdm(patterns, labels=names(12))
    b = compute_rdm(patterns**2, labels=names(12))
    order = list(np.random.default_rng(4).permutation(12))
    moved = compute_rdm((patterns**2)[order], labels=[names(12)[k] for k in order])
    assert spearman(a, moved) == pytest.approx(spearman(a, b), abs=1e-12)
    assert spearman(a, a) == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-50, 50))
def test_correlation_distance_ignores_scale_and_shift(seed, scale, shift):
    patterns = np.random.default_rng(seed).normal(size=(5, 8))
    moved = compute_rdm(patterns * scale + shift, labels=names(5)).condensed
    np.testing.assert_allclose(moved, compute_rdm(patterns, labels=names(5)).condensed, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
def test_average_ranks_equal_scipy(values):
    np.testing.assert_array_equal(average_ranks(np.array(values, dtype=float)), rankdata(values))


def test_average_ranks_of_rows_with_and_without_ties():
    rows = np.array([[3.0, 1, 2], [1, 1, 2], [0, 5, 5]])
    np.testing.assert_array_equal(average_ranks(rows), rankdata(rows, axis=1))


def test_unit_ranks_of_a_constant_row_are_nan():
    assert np.isnan(unit_ranks(np.ones((1, 4)))).all()


def test_select_takes_a_subset_in_the_order_asked(patterns):
    rdm = compute_rdm(patterns, labels=names(12))
    chosen = (7, 2, 9)
    part = rdm.select([names(12)[k] for k in chosen])
    np.testing.assert_allclose(part.condensed, compute_rdm(patterns[list(chosen)], labels="abc").condensed, atol=1e-12)
    assert part.labels == ("image-07", "image-02", "image-09")


def test_square_is_symmetric_and_zero_on_the_diagonal(patterns):
    square = compute_rdm(patterns, labels=names(12)).square()
    np.testing.assert_array_equal(square, square.T)
    assert not np.diag(square).any()
    np.testing.assert_array_equal(expand(np.array([1.0, 2, 3]), n=3), [[0, 1, 2], [1, 0, 3], [2, 3, 0]])


def test_rdms_survive_the_file(tmp_path, patterns):
    rdms = {f"V1/{kind}": compute_rdm(patterns + k, labels=names(12), measure=measure)
            for k, (kind, measure) in enumerate([("RE", "correlation"), ("AN", "euclidean")])}
    found = load_rdms(save_rdms(tmp_path / "rdms.h5", rdms))
    assert set(found) == set(rdms)
    for name, rdm in rdms.items():
        np.testing.assert_array_equal(found[name].condensed, rdm.condensed)
        assert (found[name].labels, found[name].measure) == (rdm.labels, rdm.measure)


def test_a_missing_file_of_rdms_says_how_to_make_it(tmp_path):
    with pytest.raises(AnalysisError, match=r"no such file.*python -m analysis rsa"):
        load_rdms(tmp_path / "rdms.h5")


def test_the_record_copies_and_seals():
    values = np.array([1.0, 2.0, 3.0])
    rdm = RDM(("a", "b", "c"), values, "euclidean")
    values[0] = 9
    assert rdm.condensed[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        rdm.condensed[0] = 5


def test_one_constant_pattern_is_named(patterns):
    patterns[5] = 0.1
    with pytest.raises(AnalysisError, match=r"1 constant pattern\(s\), first 'image-05'"):
        compute_rdm(patterns, labels=names(12))
    assert len(compute_rdm(patterns, labels=names(12), measure="euclidean")) == 12


def test_one_missing_value_is_named(patterns):
    patterns[3, 7] = np.nan
    with pytest.raises(AnalysisError, match=r"NaN or infinity, first 'image-03'"):
        compute_rdm(patterns, labels=names(12))


def test_a_label_given_twice(patterns):
    labels = [*names(12)[:11], "image-00"]
    with pytest.raises(AnalysisError, match="label 'image-00' twice"):
        compute_rdm(patterns, labels=labels)


def test_one_label_too_few(patterns):
    with pytest.raises(AnalysisError, match=r"shape \(12, 30\) for 11 labels"):
        compute_rdm(patterns, labels=names(11))


def test_a_single_condition(patterns):
    with pytest.raises(AnalysisError, match="1 conditions; expected at least two"):
        compute_rdm(patterns[:1], labels=names(1))


def test_an_unknown_measure_names_the_nearest(patterns):
    with pytest.raises(AnalysisError, match="'correlaton'.*Did you mean 'correlation'"):
        compute_rdm(patterns, labels=names(12), measure="correlaton")


def test_one_dissimilarity_too_few():
    with pytest.raises(AnalysisError, match=r"\(2,\); expected \(3,\) for 3 labels"):
        RDM(("a", "b", "c"), np.array([1.0, 2]), "euclidean")


def test_one_dissimilarity_not_finite_names_the_pair():
    with pytest.raises(AnalysisError, match="between 'a' and 'c'"):
        RDM(("a", "b", "c"), np.array([1.0, np.nan, 2]), "euclidean")


def test_a_condition_in_only_one_rdm_is_named(patterns):
    a = compute_rdm(patterns, labels=names(12))
    b = compute_rdm(patterns, labels=[*names(11), "stranger"])
    with pytest.raises(AnalysisError, match=r"'image-11' in only one of them \(2 such\)"):
        spearman(a, b)


def test_an_unknown_condition_names_the_nearest(patterns):
    with pytest.raises(AnalysisError, match="no condition 'image-3'.*Did you mean"):
        compute_rdm(patterns, labels=names(12)).select(["image-3"])


def test_a_constant_rdm_cannot_be_correlated():
    a, b = (RDM(("a", "b", "c"), np.array(v, float), "euclidean") for v in ([1, 2, 3], [1, 1, 1]))
    with pytest.raises(AnalysisError, match="one and the same value for all pairs"):
        spearman(a, b)
