"""Claims P1 and P2: exact bounds against scipy, verdicts at their margins, and tables that are not whole."""

from __future__ import annotations

import pandas as pd
import pytest
from scipy import stats

from analysis.report.scorecard import NamingMargins, score
from analysis.statistics.naming import bounds, score_naming
from subjects.errors import AnalysisError


@pytest.mark.parametrize(("k", "n"), [(0, 40), (1, 40), (20, 40), (39, 40), (40, 40), (3, 7)])
def test_the_bounds_are_those_of_the_exact_test(k: int, n: int) -> None:
    test = stats.binomtest(k, n)
    low, high = bounds(k, n)
    two_sided = test.proportion_ci(confidence_level=0.9, method="exact")
    assert (low, high) == pytest.approx((two_sided.low, two_sided.high), abs=1e-9)


def _naming(sub: str, *, ai: int, an: int, n: int = 40) -> pd.DataFrame:
    """Name so many AI and AN as their base images, the others as noise."""
    rows = [{"trial_type": kind, "category": f"c{k}", "target_category": "c0" if kind == "AI" else None,
             "response_category": f"c{k}" if k < right else None, "response_kind": "list" if k < right else "noise",
             "confidence": 3, "response_time": 1.0}
            for kind, right in (("RE", n), ("AI", ai), ("AN", an)) for k in range(n)]
    return score_naming(pd.DataFrame(rows), sub=sub, n_choices=n)


def _verdicts(*tables: pd.DataFrame, margins: NamingMargins | None = None) -> dict[str, str]:
    lines = score(naming=pd.concat(tables, ignore_index=True), margins=margins)
    return {line.id: line.verdict for line in lines if line.id.startswith("P")}


@pytest.mark.parametrize(("ai", "an", "p1", "p2"), [
    (40, 0, "holds", "holds"),
    (26, 3, "holds", "holds"),          # lower bound .508, upper bound .183
    (25, 3, "does not hold", "holds"),  # .482
    (26, 4, "holds", "does not hold"),  # .214
    (0, 40, "does not hold", "does not hold"),
])
def test_the_verdicts_turn_where_the_exact_bounds_pass_the_margins(ai: int, an: int, p1: str, p2: str) -> None:
    low, high = (stats.binomtest(k, 40).proportion_ci(0.9, "exact") for k in (ai, an))
    assert (low.low > 0.5, high.high < 0.2) == (p1 == "holds", p2 == "holds")
    assert _verdicts(_naming("01", ai=ai, an=an)) == {"P1": p1, "P2": p2}


def test_one_subject_of_three_turns_the_verdict() -> None:
    good, bad = (_naming(sub, ai=38, an=0) for sub in ("01", "02")), _naming("03", ai=20, an=10)
    assert _verdicts(*good, bad) == {"P1": "does not hold", "P2": "does not hold"}


def test_the_margins_are_the_settings() -> None:
    table = _naming("01", ai=25, an=4)
    assert _verdicts(table, margins=NamingMargins(0.4, 0.3)) == {"P1": "holds", "P2": "holds"}
    line = next(one for one in score(naming=table, margins=NamingMargins(0.4, 0.3)) if one.id == "P1")
    assert "above 40 %" in line.rule


def test_without_a_naming_nothing_is_claimed() -> None:
    lines = {line.id: line for line in score()}
    assert lines["P1"].verdict == lines["P2"].verdict == "not tested"
    assert "python run_session.py name" in lines["P1"].here


def test_a_type_that_was_not_named_is_refused() -> None:
    table = pd.DataFrame({"trial_type": ["RE"], "category": ["a"], "response_category": ["a"],
                          "response_kind": ["list"], "target_category": [None], "confidence": [1],
                          "response_time": [1.0]})
    with pytest.raises(AnalysisError, match="no AN image"):
        score_naming(table, sub="01", n_choices=40)
