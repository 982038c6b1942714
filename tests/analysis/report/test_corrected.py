"""p as it is and corrected in the report's tables, with the families named; the rows of all subjects in a file."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from analysis.report.records import StudyRecords
from analysis.report.tables import brain_table, network_table, say_corrections
from analysis.report.wording import say_draws, say_n, say_tests
from analysis.statistics.correction import correct_rows, correct_subjects, family_of
from tests.analysis import paper_tables

SUBJECTS = ("01", "02", "03")


def corrected(table: pd.DataFrame, *, by: str = "fdr", greatest: np.ndarray | None = None) -> pd.DataFrame:
    rows = table.assign(z=3.0).to_dict("records")
    return pd.DataFrame(correct_rows(cast("Any", rows), by=by, greatest=greatest))


def records(**tables: pd.DataFrame) -> StudyRecords:
    return cast("StudyRecords", SimpleNamespace(**{"encoding": paper_tables.encoding_table(), **tables}))


def of_subjects(*, by: str = "fdr") -> pd.DataFrame:
    greatest = [np.random.default_rng(k).normal(2, 0.5, size=99) if by == "max" else None for k in range(3)]
    tables = [corrected(paper_tables.brain_table((sub,)), by=by, greatest=one)
              for sub, one in zip(SUBJECTS, greatest, strict=True)]
    return correct_subjects(tables, greatest=greatest)


def test_the_brains_table_has_both_for_every_number() -> None:
    """By scipy, within the similarities of each subject."""
    table = of_subjects()
    own = table[(table["sub"] == "02") & (table["comparison"].map(family_of) == "similarities")]
    names = zip(own["place"], own["comparison"], strict=True)
    expected = dict(zip(names, false_discovery_control(own["p"]), strict=True))
    shown = brain_table(records(brain=table))
    for row in shown.rows:
        assert [cell.count("(corrected ") for cell in row[2:5]] == [1, 1, 1]
        if row[0] == "02":
            for cell, comparison in zip(row[2:4], ("RE-AI", "RE-AN"), strict=True):
                p = expected[row[1], comparison]
                assert cell.endswith(f"(corrected {p:.3f})".replace("(corrected 0.", "(corrected ."))
    assert len(shown.rows) == 15


def test_the_families_of_a_report_are_named_with_their_numbers() -> None:
    said = say_corrections(records(brain=of_subjects(), network=corrected(paper_tables.network_table())))
    assert said["brain"].split("; ") == ["similarities: false discovery rate over 10 tests",
                                         "differences: false discovery rate over 5 tests"]
    assert said["network"].endswith("trends: false discovery rate over 2 tests")
    largest = say_corrections(records(brain=of_subjects(by="max"), network=paper_tables.network_table()))
    assert "largest of 30 similarities of 3 subjects in each of 99 permutations (family-wise error)" in largest["brain"]
    assert largest["network"] == "", "a table without corrections has no families"


def test_trends_are_given_both_ways_too() -> None:
    shown = network_table(records(network=corrected(paper_tables.network_table().assign(test="t"))))
    ai, an = (f"τ = {tau}, p < .001 (corrected < .001)" for tau in ("−1.00", "1.00"))
    assert shown.rows[-1] == ("trend", ai, an, "–")


@pytest.mark.parametrize("values", [(0.203, 0.337), (np.nan, np.nan)])
def test_the_reliability_stands_beside_the_ceiling(values: tuple[float, float]) -> None:
    half, whole = values
    table = paper_tables.brain_table(("01",)).assign(reliability=half, reliability_whole=whole)
    shown = brain_table(records(brain=table))
    assert shown.columns[-2:] == ("Noise ceiling", "Split-half reliability, whole")
    assert {row[-1] for row in shown.rows} == {"–" if np.isnan(half) else "0.20, 0.34"}


def test_what_was_not_tested_is_said_in_words() -> None:
    table = paper_tables.brain_table(("01",)).assign(test="made by hand")
    row = (table["place"] == "V3") & (table["comparison"] == "RE-AI minus RE-AN")
    table.loc[row, ["p", "low", "high", "test"]] = [np.nan, np.nan, np.nan, "not tested: 6 images"]
    shown = {line[1]: line[4] for line in brain_table(records(brain=corrected(table))).rows}
    assert shown["V3"] == "0.380 [–, –] not tested"
    assert all("not tested" not in said for place, said in shown.items() if place != "V3")
    assert say_corrections(records(brain=corrected(table), network=table))["brain"].endswith("over 4 tests")


def test_models_are_corrected_by_type_and_said_so() -> None:
    rows = paper_tables.encoding_table(("01",)).to_dict("records")
    table = pd.DataFrame(correct_rows(cast("Any", rows), by="fdr", families=[str(row["type"]) for row in rows]))
    said = say_corrections(records(brain=of_subjects(), network=paper_tables.network_table(), encoding=table))
    assert sorted(said["encoding"].split("; ")) == sorted(
        f"{kind}: false discovery rate over 40 tests" for kind in ("AN", "AI", "AI minus AN", "RE"))


def test_what_is_true_of_one_place_is_said_of_it_alone() -> None:
    table = pd.DataFrame({
        "comparison": ["RE-AI"] * 4 + ["RE-AN"], "place": ["layer1", "layer2", "layer7", "layer8", "layer1"],
        "test": ["permutation; t"] * 2 + ["permutation; exact", "permutation; degenerate; t", "other"],
        "n": [40, 40, 39, 40, 40], "n_resamples": [1000, 0, 1000, 1000, 0], "correction": ["fdr over 4"] * 5})
    assert say_tests(table, "RE-AI") == "permutation; t; layer7: exact; layer8: degenerate"
    assert say_tests(table, "RE-AN") == "other"
    assert say_n(table) == "39–40"
    assert say_draws(table, seed=7) == ("1000 draws a test that has any, seeds derived from the study's 7 and kept in "
                                        "the tables; correction for multiple tests: fdr over 4.")
    assert say_draws(table[table["n_resamples"] > 0], seed=7).startswith("1000 draws a test, seeds")


def test_a_caption_says_in_words_what_is_corrected_and_what_is_marked() -> None:
    said = say_draws(corrected(paper_tables.brain_table(("01",)).assign(n_resamples=1000)), seed=7)
    assert said.endswith("correction for multiple tests: none for p as it is marked; p_corrected in the tables: "
                         "false discovery rate over 10 tests; false discovery rate over 5 tests.")
