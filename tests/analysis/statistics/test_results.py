"""Result tables: nothing is lost on the way to the file and back."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.statistics.results import as_table, read_results, require_columns, statistic_row
from analysis.statistics.statistic import Statistic
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
