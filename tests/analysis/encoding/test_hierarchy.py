"""Best layers against a loop and in nulls; shares of vertices against scipy's t-tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.stats import pearsonr, ttest_1samp, ttest_rel

from analysis.encoding.hierarchy import (
    COLUMNS,
    NONE,
    best_layers,
    count_layers,
    last_minus_first,
    low_minus_high,
    require_shares,
    share_rows,
)
from analysis.statistics.draws import permutations
from subjects.errors import AnalysisError
from tests.analysis.paper_tables import LAYERS, changed, hierarchy_table

ORDERS = permutations(20, n=199, rng=np.random.default_rng(0))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_the_best_layer_is_that_of_the_highest_correlation():
    measured, predicted = noise(20, 15), noise(3, 20, 15, seed=1) + 0.6 * noise(20, 15)
    found = best_layers(list(predicted), measured, orders=ORDERS, alpha=1.0)
    for v in range(15):
        assert found[v] == np.argmax([pearsonr(layer[:, v], measured[:, v]).statistic for layer in predicted])


def test_a_vertex_is_predicted_where_the_best_of_all_layers_in_exchanged_labels_is_seldom_as_good():
    measured, predicted = noise(20, 12), noise(3, 20, 12, seed=1) + 0.5 * noise(20, 12)
    found = best_layers(list(predicted), measured, orders=ORDERS, alpha=0.1)
    for v in range(12):
        best = max(pearsonr(layer[:, v], measured[:, v]).statistic for layer in predicted)
        null = [max(pearsonr(layer[:, v], measured[order, v]).statistic for layer in predicted) for order in ORDERS]
        p = (1 + sum(value >= best for value in null)) / 200
        assert (found[v] >= 0) == (p <= 0.1)


def test_blocks_of_orders_change_nothing(monkeypatch):
    from analysis.encoding import hierarchy as module

    measured, predicted = noise(20, 30), list(noise(3, 20, 30, seed=1))
    before = best_layers(predicted, measured, orders=ORDERS, alpha=0.3)
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    np.testing.assert_array_equal(best_layers(predicted, measured, orders=ORDERS, alpha=0.3), before)
    assert {-1, 0, 1, 2} >= set(before) > {-1}


def test_of_vertices_that_no_layer_knows_five_percent_get_one():
    """3,000 vertices; layers that resemble one another and smooth vertices make it no other."""
    predicted = [0.7 * noise(20, 3000, seed=9) + noise(20, 3000, seed=k) for k in range(8)]
    found = best_layers(predicted, gaussian_filter1d(noise(20, 3000, seed=20), 2, axis=1), orders=ORDERS, alpha=0.05)
    assert 0.03 <= np.mean(found >= 0) <= 0.07


def test_silent_layers_and_vertices_are_never_best():
    measured = noise(20, 4)
    measured[:, 2] = 3.0
    predicted = [np.ones((20, 4)), measured + 0.1 * noise(20, 4, seed=5)]
    assert best_layers(predicted, measured, orders=ORDERS, alpha=0.05).tolist() == [1, 1, -1, 1]


def test_of_equal_layers_the_lower():
    measured = noise(20, 5)
    assert best_layers([measured, measured], measured, orders=ORDERS, alpha=0.05).tolist() == [0] * 5


def test_counts_add_up():
    found = count_layers(np.array([-1, 0, 2, 2, -1]), layers=("a", "b", "c"))
    assert found == {"a": 1, "b": 0, "c": 2, NONE: 2}


def test_rows_hold_both_types_presentations_and_readings():
    measured = {kind: (noise(20, 6, seed=k), noise(20, 6, seed=k + 5)) for k, kind in enumerate(("AN", "AI"))}
    names = ("layer1", "layer2", "layer2 by logits")
    predicted = {name: {kind: noise(20, 6, seed=30) for kind in ("AN", "AI")} for name in names}
    predicted["layer2 by logits"] = {kind: measured[kind][0] + measured[kind][1] for kind in ("AN", "AI")}
    table = pd.DataFrame(share_rows(predicted, measured, orders=ORDERS, alpha=0.05, sub="01", roi="V1"))
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 2 * 2 * 2 * 3
    require_shares(table, remedy="")
    assert (table.groupby(["reading", "type", "presentation"])["n"].sum() == 6).all()
    logits = table[(table["reading"] == "logits") & (table["layer"] == "layer2")]
    assert logits["n"].sum() >= 20
    assert set(table["layer"]) == {"layer1", "layer2", NONE}


def by_hand(table: pd.DataFrame, kind: str, *, contrast: str) -> pd.DataFrame:
    """Differences of shares, one a measurement, by loops."""
    rows = []
    for (sub, _), part in table[table["type"] == kind].groupby(["sub", "presentation"]):
        share = part.set_index(["roi", "layer"])["share"]
        if contrast == "layers":
            rows += [(sub, sum(share[roi, LAYERS[k]] for k in (0, 1)) - sum(share[roi, LAYERS[k]] for k in (6, 7)))
                     for roi in part["roi"].unique()]
        else:
            rows.append((sub, sum(share["LO", LAYERS[k]] - share["V1", LAYERS[k]] for k in (6, 7))))
    return pd.DataFrame(rows, columns=["sub", "difference"])


@pytest.mark.parametrize("kind", ["AN", "AI"])
@pytest.mark.parametrize(("contrast", "test", "n_pairs"), [("layers", low_minus_high, 30),
                                                           ("regions", last_minus_first, 6)])
def test_shares_are_tested_over_people_and_as_in_the_paper(kind, contrast, test, n_pairs):
    table = hierarchy_table()
    table["share"] += 0.01 * np.random.default_rng(0).normal(size=len(table))
    theirs = by_hand(table, kind, contrast=contrast)
    found = test(table, kind)
    assert found.effect == pytest.approx(theirs["difference"].mean())
    assert found.p == pytest.approx(ttest_1samp(theirs.groupby("sub")["difference"].mean(), 0).pvalue)
    assert found.paper_p == pytest.approx(ttest_rel(theirs["difference"], np.zeros(n_pairs)).pvalue)
    assert (found.n_people, found.n_pairs) == (3, n_pairs)


def test_measurements_of_the_same_people_are_not_independent():
    """People who differ, and nothing else: six measurements reject far too often, three people in five percent."""
    base = hierarchy_table()
    rows = base["layer"].isin(LAYERS[-2:]) & (base["roi"] == "LO")
    found = []
    for k in range(400):
        own = dict(zip(("01", "02", "03"), np.random.default_rng(k).normal(size=3), strict=True))
        table = base.assign(share=0.1)
        small = 0.01 * np.random.default_rng([1, k]).normal(size=int(rows.sum()))
        table.loc[rows, "share"] += 0.1 * table.loc[rows, "sub"].map(own) + small
        found.append(last_minus_first(table, "AI"))
    assert 0.02 <= np.mean([one.p <= 0.05 for one in found]) <= 0.08
    assert np.mean([one.paper_p <= 0.05 for one in found]) > 0.15


@pytest.mark.parametrize("seed", range(8))
def test_people_with_the_same_mean_are_the_same_whatever_the_last_digit_of_a_sum(seed):
    """One person's vertices over regions and presentations, and the other's, are the same in another order."""
    rng, table = np.random.default_rng(seed), hierarchy_table(("01", "02")).assign(share=0.02)
    counts = rng.integers(0, 9, size=10)
    for sub, own in (("01", counts), ("02", rng.permutation(counts))):
        rows = (table["sub"] == sub) & (table["type"] == "AN") & (table["layer"] == "layer1")
        table.loc[rows, "share"] = own / 200
    found = low_minus_high(table, "AN")
    assert found.effect == pytest.approx(counts.mean() / 200 - 0.02)
    assert found.p == 1.0


def test_one_person_seven_layers_or_a_missing_region_are_not_tested():
    assert low_minus_high(hierarchy_table(("01",)), "AI") is None
    table = hierarchy_table()
    assert low_minus_high(table[table["layer"] != "layer8"], "AI") is None
    assert last_minus_first(table[table["roi"] != "LO"], "AI") is None
    assert low_minus_high(table[table["roi"] != "LO"], "AI") is not None


@pytest.mark.parametrize(("break_it", "message"), [
    (lambda t: t.drop(columns="share"), "no column 'share'"),
    (lambda t: t.iloc[:0], "no rows"),
    (lambda t: t.drop(index=5), "no row for 01, V1, softmax, AN, 1, layer6"),
    (lambda t: pd.concat([t, t.iloc[[3]]]), "two rows for 01, V1, softmax, AN, 1, layer4"),
])
def test_a_faulty_table_is_refused(break_it, message):
    with pytest.raises(AnalysisError, match=message):
        require_shares(break_it(hierarchy_table()), remedy="Again.")


def test_a_whole_table_is_given_back():
    table = hierarchy_table()
    assert require_shares(table, remedy="") is table
    assert low_minus_high(changed(table, {"type": "AN"}, share=0.1), "AN").p == 1.0
