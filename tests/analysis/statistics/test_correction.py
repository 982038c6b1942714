"""Corrections within a table and over subjects: against plain loops, and calibrated on tests that hang together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, false_discovery_control

from analysis.statistics.correction import correct_readings, correct_rows, correct_subjects, say_families
from analysis.statistics.readings import by_logits, split_readings
from analysis.statistics.statistic import false_discovery, greatest_p, standardised

NAMES = ("RE-AN", "RE-AI", "RE-AI minus RE-AN", "trend RE-AI")


def rows(n_places: int = 4, *, seed: int = 1, sub: str = "01") -> list[dict[str, object]]:
    generator = np.random.default_rng(seed)
    return [{"sub": sub, "place": f"place{k}", "comparison": name, "p": float(generator.random()),
             "z": float(generator.normal()), "correction": "none"} for k in range(n_places) for name in NAMES]


def test_false_discovery_is_scipys_within_similarities_differences_and_trends() -> None:
    made = rows()
    found = pd.DataFrame(correct_rows(made, by="fdr"))
    for names in (NAMES[:2], NAMES[2:3], NAMES[3:]):
        part = found[found["comparison"].isin(names)]
        np.testing.assert_allclose(part["p_corrected"], false_discovery_control(part["p"]))
        assert set(part["correction"]) == {f"none; in p_corrected false discovery rate over {len(part)} tests"}
    assert [row["p_corrected"] for row in correct_rows(made, by="none")] == [row["p"] for row in made]


def test_families_may_be_given() -> None:
    made = [{"type": kind, "p": p} for kind, p in (("AN", 0.01), ("AI", 0.02), ("AN", 0.04))]
    families = [str(row["type"]) for row in made]
    assert [row["p_corrected"] for row in correct_rows(made, by="none", families=families)] == [0.01, 0.02, 0.04]
    found = correct_rows(made, by="fdr", families=families)
    assert [row["p_corrected"] for row in found] == [0.02, 0.02, 0.04]
    assert found[1]["correction"] == "none; in p_corrected false discovery rate over 1 tests"


def test_the_largest_corrects_similarities_and_the_rest_is_false_discovery() -> None:
    made, greatest = rows(), np.random.default_rng(2).normal(2.0, 0.5, size=200)
    found = pd.DataFrame(correct_rows(made, by="max", greatest=greatest))
    fdr = pd.DataFrame(correct_rows(made, by="fdr"))
    for row, other in zip(found.to_dict("records"), fdr.to_dict("records"), strict=True):
        if row["comparison"] in NAMES[:2]:
            assert row["p_corrected"] == (1 + np.count_nonzero(greatest >= row["z"])) / 201
            assert row["correction"] == ("none; in p_corrected largest of 8 similarities in each of 200 permutations "
                                         "(family-wise error)")
        else:
            assert row["p_corrected"] == other["p_corrected"]


def test_each_reading_of_the_last_layer_is_corrected_as_if_it_were_the_only_one() -> None:
    """The logits' rows stand anywhere in the table, the trends' among them."""
    softmax = rows(4)
    logits = [{**row, "place": by_logits(str(row["place"])), "p": p} for row, p in
              zip([row for row in rows(4, seed=5) if row["place"] == "place3"], (0.001, 0.02, 0.03, 0.9), strict=True)]
    together = [*softmax[:9], *logits, *softmax[9:]]
    found = correct_readings(together, column="place", correct=lambda part: correct_rows(part, by="fdr"))
    assert [(row["place"], row["p"]) for row in found] == [(row["place"], row["p"]) for row in together]
    readings = split_readings(pd.DataFrame(found))
    assert readings["softmax"].to_dict("records") == correct_rows(softmax, by="fdr")
    last = readings["logits"][readings["logits"]["place"] == "place3"]
    for names in (NAMES[:2], NAMES[2:3], NAMES[3:]):
        others = [row["p"] for row in softmax if row["place"] != "place3" and row["comparison"] in names]
        mine = last.loc[last["comparison"].isin(names), "p"].tolist()
        np.testing.assert_allclose(last.loc[last["comparison"].isin(names), "p_corrected"],
                                   false_discovery_control([*others, *mine])[len(others):])


def test_subjects_together_are_corrected_over_all_of_them() -> None:
    greatest = [np.random.default_rng(k).normal(2.0, 0.5, size=100) for k in range(2)]
    tables = [pd.DataFrame(correct_rows(rows(seed=k, sub=f"0{k}"), by="max", greatest=greatest[k])) for k in range(2)]
    whole = correct_subjects(tables, greatest=greatest)
    both = np.maximum(*greatest)
    for row in whole.to_dict("records"):
        if row["comparison"] in NAMES[:2]:
            assert row["p_corrected"] == (1 + np.count_nonzero(both >= row["z"])) / 101
            assert "largest of 16 similarities of 2 subjects" in row["correction"]
    own = pd.concat(tables, ignore_index=True)
    later = whole["comparison"].isin(NAMES[2:])
    pd.testing.assert_frame_equal(whole[later], own[later])


@pytest.mark.parametrize("greatest", [[None, None], [np.zeros(5), None], [np.zeros(5), np.zeros(6)]])
def test_subjects_that_were_not_corrected_so_keep_their_own(greatest) -> None:
    tables = [pd.DataFrame(correct_rows(rows(seed=k), by="fdr")) for k in range(2)]
    pd.testing.assert_frame_equal(correct_subjects(tables, greatest=greatest), pd.concat(tables, ignore_index=True))


def test_the_family_wise_error_is_five_percent_over_tests_that_hang_together() -> None:
    """600 families of 10 tests that correlate by .6, 99 permutations each."""
    generator, hits = np.random.default_rng(3), 0
    for _ in range(600):
        shared = generator.normal(size=100)
        values = np.sqrt(0.6) * shared + np.sqrt(0.4) * generator.normal(size=(10, 100))
        found = [standardised(row[0], row[1:]) for row in values]
        hits += greatest_p([z for z, _ in found], np.max([null for _, null in found], axis=0)).min() <= 0.05
    low, high = binom.ppf([0.005, 0.995], 600, 0.05)
    assert low <= hits <= high


def test_the_largest_of_many_tests_is_not_exceeded_too_often_with_few_permutations() -> None:
    """300 families of 500 tests, 99 permutations: with the effect apart from its null it was exceeded in 12 %."""
    generator, hits = np.random.default_rng(4), 0
    for _ in range(300):
        values = generator.normal(size=(500, 100))
        found = [standardised(row[0], row[1:]) for row in values]
        hits += greatest_p([z for z, _ in found], np.max([null for _, null in found], axis=0)).min() <= 0.05
    low, high = binom.ppf([0.005, 0.995], 300, 0.05)
    assert low <= hits <= high


def test_an_effect_like_all_of_its_null_has_no_spread() -> None:
    z, null = standardised(1.0, [1.0, 1.0])
    assert z == 0
    assert null.tolist() == [0, 0]


def test_what_was_not_tested_is_no_test_of_its_family() -> None:
    """Left out of the false discovery rate and of its count, by scipy on the others; NaN itself."""
    made = rows()
    gone = [k for k, row in enumerate(made) if row["comparison"] == "RE-AI minus RE-AN"][:2]
    for k in gone:
        made[k]["p"] = float("nan")
    found = pd.DataFrame(correct_rows(made, by="fdr"))
    part = found[found["comparison"] == "RE-AI minus RE-AN"]
    left = part[part["p"].notna()]
    assert len(left) == 2
    assert found.loc[gone, "p_corrected"].isna().all()
    np.testing.assert_allclose(left["p_corrected"], false_discovery_control(left["p"]))
    assert set(part["correction"]) == {"none; in p_corrected false discovery rate over 2 tests"}
    others = found[found["comparison"].isin(NAMES[:2])]
    np.testing.assert_allclose(others["p_corrected"], false_discovery_control(others["p"]))


@given(st.lists(st.floats(1e-6, 1) | st.just(float("nan")), max_size=30))
def test_false_discovery_is_scipys_on_what_was_tested_and_keeps_the_order(p: list[float]) -> None:
    values = np.array(p)
    found, tested = false_discovery(values), ~np.isnan(values)
    assert np.isnan(found[~tested]).all()
    if tested.any():
        np.testing.assert_allclose(found[tested], false_discovery_control(values[tested]))
        order = np.argsort(values[tested])
        assert (np.diff(found[tested][order]) >= 0).all()
        assert (found[tested] >= values[tested] * (1 - 1e-12)).all()


def test_families_are_named_once_each_with_how_many_tests_they_have() -> None:
    greatest = np.random.default_rng(2).normal(2.0, 0.5, size=200)
    by_fdr = pd.DataFrame(correct_rows(rows(), by="fdr"))
    assert say_families(by_fdr) == "; ".join(f"{name}: false discovery rate over {n} tests" for name, n in (
        ("similarities", 8), ("differences", 4), ("trends", 4)))
    by_max = pd.DataFrame(correct_rows(rows(), by="max", greatest=greatest))
    assert say_families(by_max).startswith("similarities: largest of 8 similarities in each of 200 permutations")
    assert say_families(pd.DataFrame(correct_rows(rows(), by="none"))) == ""
    assert say_families(pd.DataFrame(rows())) == "", "a table of a release that did not correct"


def test_the_families_of_two_subjects_by_the_largest_are_one() -> None:
    greatest = [np.random.default_rng(k).normal(2.0, 0.5, size=100) for k in range(2)]
    tables = [pd.DataFrame(correct_rows(rows(seed=k, sub=f"0{k}"), by="max", greatest=greatest[k])) for k in range(2)]
    said = say_families(correct_subjects(tables, greatest=greatest)).split("; ")
    assert said[0] == ("similarities: largest of 16 similarities of 2 subjects in each of 100 permutations "
                       "(family-wise error)")
    assert len(said) == 3
