"""The tables of a set's report say what the check and the measures hold, and nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.report.of_set.set_tables import check_table, claims_table, measures_table, transfer_table
from analysis.report.scorecard import Line


def image(kind: str, p: float | None, contrast: float | None, failures: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"type": kind, "p": p, "contrast": contrast, "failures": failures}


def test_the_check_is_summed_up_by_type() -> None:
    verdict = {"images": [image("RE", 0.9912, 40.26), image("RE", 0.99999, 61.0, ("P",)), image("AN", 0.9931, 12.0),
                          image("AN", None, None, ("no file",)), image("AI", 0.9931, 12.0), image("AI", 0.9931, 12.0)]}
    assert check_table(verdict).rows == (("RE", "1 of 2", ".9912 to > .9999", "40.3 to 61.0"),
                                         ("AN", "1 of 2", ".9931", "12.0"), ("AI", "2 of 2", ".9931", "12.0"))


def test_a_type_without_images_or_numbers_gets_dashes() -> None:
    assert check_table({"images": [image("AI", None, None, ("no file",))]}).rows == (
        ("RE", "0 of 0", "–", "–"), ("AN", "0 of 0", "–", "–"), ("AI", "0 of 1", "–", "–"))


def test_other_networks_answers_are_told_with_how_many_could_be_compared() -> None:
    rows = [{"type": "AN", "n": 38, "n_incomparable": 2, "top1_intended": 0.25, "p_intended": 0.1234,
             "p_original": None},
            {"type": "AI", "n": 0, "n_incomparable": 40, "top1_intended": None, "p_intended": None,
             "p_original": None}]
    table = transfer_table({"transfers": [{"network": "vgg16", "rows": rows}]})
    assert table.rows == (("vgg16", "AN", "38 of 40", "25 %", "0.123", "–"), ("vgg16", "AI", "0 of 40", "–", "–", "–"))
    assert transfer_table({"transfers": []}).rows == ()


def line(name: str, here: str, verdict: Any) -> Line:
    return Line(name, f"claim {name}", "paper", "rule", here, verdict)


def test_claims_of_the_network_come_claim_by_claim_and_those_of_the_brain_not() -> None:
    scored = {"alexnet": (line("B1", "x", "holds"), line("N1", "a1", "holds"), line("N2", "a2", "not tested")),
              "vgg16": (line("N1", "v1", "does not hold"), line("N2", "v2", "holds"))}
    rows = claims_table(scored).rows
    assert [row[0] for row in rows] == ["N1", "N1", "N2", "N2"]
    assert [row[3:] for row in rows] == [("alexnet", "a1", "✓ holds"), ("vgg16", "v1", "✗ does not hold"),
                                         ("alexnet", "a2", "– not tested"), ("vgg16", "v2", "✓ holds")]


def test_measures_are_median_and_quartiles_of_each_type() -> None:
    rng = np.random.default_rng(3)
    names = ("luminance", "rms_contrast", "red_green", "blue_yellow", "chroma")
    measures = pd.DataFrame([{"type": kind, **dict(zip(names, rng.normal(10, 4, size=5), strict=True))}
                             for kind in ("RE", "AN", "AI") for _ in range(9)])
    rows = measures_table(measures).rows
    for kind, *cells in rows:
        ordered = [sorted(measures.loc[measures["type"] == kind, name]) for name in names]
        assert cells == [f"{one[4]:.2f} ({one[2]:.2f} to {one[6]:.2f})" for one in ordered], "of 9: the 3rd and 7th"
    assert [row[0] for row in rows] == ["RE", "AN", "AI"]


def test_a_row_of_another_length_is_a_fault_of_the_program() -> None:
    from analysis.report.tables import TextTable

    with pytest.raises(ValueError, match=r"1 cells under 2 columns"):
        TextTable(("a", "b"), (("x",),))
