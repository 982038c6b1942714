"""Result tables: nothing is lost on the way to the file and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.results import as_table, read_results, require_columns, require_whole, statistic_row
from analysis.statistics.statistic import PaperStatistic, Statistic
from subjects.errors import AnalysisError, StoreError
from subjects.provenance import sidecar_path
from subjects.store import write_json, write_table

SEED = 2**63 - 25  # more digits than a float holds
COLUMNS = ("sub", "place", "effect", "low", "high", "p", "n", "n_resamples", "seed", "test", "correction",
           "ceiling_low", "ceiling_high")


@pytest.fixture
def table() -> pd.DataFrame:
    tested = Statistic(0.1 + 0.2, 0.25, 0.35, 1 / 1001, 40, 1000, SEED, "label permutation", ceiling=(0.4, 0.6))
    exact = Statistic(1.0, float("nan"), float("nan"), 5e-5, 8, 0, None, "Mann-Kendall")
    rows = [statistic_row(tested, sub="01", place="V1"), statistic_row(exact, sub="", place="layers")]
    return as_table(rows, columns=COLUMNS)


def test_every_digit_survives_the_file(tmp_path, table):
    path = write_table(tmp_path / "sub-01_rsa.tsv", table)
    found = read_results(path)
    pd.testing.assert_frame_equal(found, table)
    assert found["seed"][0] == SEED
    assert found["effect"][0] == 0.1 + 0.2


def test_missing_values_are_written_the_bids_way(tmp_path, table):
    path = write_table(tmp_path / "sub-01_rsa.tsv", table)
    line = path.read_text().splitlines()[2].split("\t")
    assert dict(zip(COLUMNS, line, strict=True)) == {
        "sub": "", "place": "layers", "effect": "1.0", "low": "n/a", "high": "n/a", "p": "5e-05", "n": "8",
        "n_resamples": "0", "seed": "n/a", "test": "Mann-Kendall", "correction": "none", "ceiling_low": "n/a",
        "ceiling_high": "n/a"}


def test_subjects_keep_their_zeros(tmp_path, table):
    path = write_table(tmp_path / "sub-01_rsa.tsv", table)
    assert read_results(path)["sub"].tolist() == ["01", ""]


def test_a_table_of_a_newer_version_is_refused(tmp_path, table):
    path = write_table(tmp_path / "sub-01_rsa.tsv", table)
    for version, fine in ((1, True), (2, False)):
        write_json(sidecar_path(path), {"FormatVersion": version}, overwrite=True)
        if fine:
            assert len(read_results(path)) == 2
        else:
            with pytest.raises(StoreError, match="table of statistics of format version 2; .*a newer"):
                read_results(path)


def test_columns_that_no_row_fills_are_missing():
    row = statistic_row(Statistic(0.5, 0.4, 0.6, 0.01, 40, 1000, 7, "t"), sub="01")
    assert as_table([row], columns=("sub", "effect", "seed", "sparsity"))["sparsity"].isna().all()


def test_a_missing_table_says_so(tmp_path):
    with pytest.raises(StoreError, match=r"rsa.tsv: no such file; expected a tab-separated table"):
        read_results(tmp_path / "rsa.tsv")


def test_one_column_too_few_is_named(tmp_path, table):
    assert require_columns(table, COLUMNS, where=tmp_path, remedy="Do it again.") is table
    with pytest.raises(AnalysisError, match=r"no column 'p' \(1 missing\); expected a table of this version"):
        require_columns(table.drop(columns="p"), COLUMNS, where=tmp_path, remedy="Do it again.")


def test_the_seed_of_the_papers_draws_keeps_its_digits_too(tmp_path):
    paper = PaperStatistic(0.4, 0.3, 0.5, 0.01, seed=SEED - 2)
    rows = [statistic_row(Statistic(0.3, 0.2, 0.4, 0.01, 40, 1000, SEED, "t", paper=paper), sub="01"),
            statistic_row(Statistic(0.3, 0.2, 0.4, 0.01, 40, 0, None, "t"), sub="01")]
    columns = ("sub", "effect", "seed", "paper_seed", "paper_p")
    found = read_results(write_table(tmp_path / "a.tsv", as_table(rows, columns=columns)))
    assert found["paper_seed"].tolist() == [SEED - 2, pd.NA]
    assert found["seed"].tolist() == [SEED, pd.NA]
    assert found["paper_p"][0] == 0.01


def test_what_was_not_tested_is_written_as_na_and_read_as_missing(tmp_path):
    untested = Statistic(0.3, float("nan"), float("nan"), float("nan"), 6, 0, None, "not tested: 6 images")
    path = write_table(tmp_path / "a.tsv", as_table([statistic_row(untested)], columns=("effect", "p", "test")))
    assert path.read_text().splitlines()[1] == "0.3\tn/a\tnot tested: 6 images"
    assert pd.isna(read_results(path)["p"][0])


@pytest.mark.parametrize(("p", "test", "said"), [
    (float("nan"), "label permutation", "p = nan; expected 0 < p <= 1"), (0.0, "t", "p = 0.0; expected 0 < p <= 1"),
    (1.0, "not tested: 6 images", "p = 1.0; expected no p, where nothing was tested")])
def test_a_p_and_its_words_must_agree(p: float, test: str, said: str):
    with pytest.raises(AnalysisError, match=said):
        Statistic(0.3, 0.2, 0.4, p, 6, 0, None, test)


def test_a_whole_table_is_taken_and_each_fault_of_an_incomplete_one_is_named():
    rows = [{"sub": sub, "place": place, "comparison": name, "effect": 0.1, "p": 0.2, "test": "t"}
            for sub in ("01", "02") for place in ("V1", "V2") for name in ("RE-AN", "RE-AI", "RE-AI minus RE-AN")]
    whole = pd.DataFrame(rows)
    require_whole(whole, source="brain")
    for faulty, said in ((whole.drop(columns="p"), "no column 'p'"), (whole.iloc[:0], "no rows"),
                         (whole.drop(index=7), "no row for 02, V1, RE-AI"),
                         (pd.concat([whole, whole.iloc[[7]]]), "two rows for 02, V1, RE-AI"),
                         (whole.assign(p=np.where(whole.index == 7, 1.5, 0.2)), "p 1.5 for 02, V1, RE-AI")):
        with pytest.raises(AnalysisError, match=f"brain table: .*{said}.*python -m analysis rsa"):
            require_whole(faulty, source="brain")


def test_a_row_without_p_is_whole_only_where_its_words_say_that_it_was_not_tested():
    rows = [{"sub": "01", "place": "V1", "comparison": name, "effect": 0.1, "p": 0.2, "test": "t"}
            for name in ("RE-AN", "RE-AI", "RE-AI minus RE-AN")]
    rows[2] |= {"p": np.nan, "test": "not tested: 6 images"}
    require_whole(pd.DataFrame(rows), source="control")
    with pytest.raises(AnalysisError, match="control table: effect 0.1, p nan for 01, V1, RE-AI minus RE-AN"):
        require_whole(pd.DataFrame(rows).drop(columns="test"), source="control")
