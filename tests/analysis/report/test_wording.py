"""How numbers are written: read back, they are the numbers; nothing is rounded into a stronger claim."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.report.page import NBSP, unbroken
from analysis.report.wording import MINUS, bare_p, say_number, say_p, say_probability, say_share


@pytest.mark.parametrize(("p", "said"), [
    (1.0, "p = 1"), (0.9996, "p = 1"), (0.9994, "p = .999"), (0.375, "p = .375"), (0.05, "p = .050"),
    (0.0499, "p = .050"), (0.012345, "p = .012"), (0.001, "p = .001"), (0.000999, "p < .001"), (1e-9, "p < .001"),
])
def test_p_values(p: float, said: str) -> None:
    assert say_p(p) == said
    assert bare_p(p) == said.removeprefix("p ").removeprefix("= ")


@given(st.floats(0.001, 1.0))
def test_a_p_value_reads_back_to_three_digits(p: float) -> None:
    text = bare_p(p)
    assert abs(float(text) - p) <= 0.0005 + 1e-12
    assert not text.startswith("0")


@pytest.mark.parametrize(("value", "digits", "said"), [
    (0.5, 2, "0.50"), (-0.5, 2, "−0.50"), (-0.001, 2, "0.00"), (0.0, 1, "0.0"), (-12.349, 1, "−12.3"),
    (float("nan"), 2, "–"), (float("inf"), 2, "–"), (None, 2, "–"), (34.0, 0, "34"),
])
def test_numbers(value: float | None, digits: int, said: str) -> None:
    assert say_number(value, digits=digits) == said


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_a_number_reads_back(value: float, digits: int) -> None:
    text = say_number(value, digits=digits)
    assert abs(float(text.replace(MINUS, "-")) - value) <= 0.5 * 10**-digits + 1e-6
    assert "-" not in text
    assert not re.fullmatch(rf"{MINUS}0(\.0+)?", text), "no minus zero"


def test_a_unit_follows_a_number_and_not_a_dash() -> None:
    assert say_number(1.25, digits=1, unit=" ms") == "1.2 ms"
    assert say_number(None, unit=" ms") == "–"


@given(st.floats(0.0, 1.0))
def test_a_probability_is_never_rounded_up(p: float) -> None:
    for digits in (3, 4):
        text = say_probability(p, digits=digits)
        if text.startswith("> "):
            assert p > float(text[2:])
        else:
            assert p - 10**-digits <= float(text) <= p + 1e-8
            assert float(text) < 1


def test_the_rule_of_99_percent_reads_as_met_or_missed() -> None:
    assert say_probability(0.9900001, digits=4) == ".9900"
    assert say_probability(math.nextafter(0.99, 0) - 1e-8, digits=4) == ".9899"


def test_shares() -> None:
    assert say_share(0, 15) == "0/15"


@pytest.mark.parametrize(("text", "kept"), [
    ("p < .05", "p~<~.05"), ("all p = 1", "all p~=~1"), ("τ = −0.5, p ≥ .05", "τ~=~−0.5, p~≥~.05"),
    ("at least 90 % of", "at least 90~% of"), ("P .991", "P .991"), ("map < 3", "map < 3"), ("", ""),
])
def test_relations_stay_on_one_line(text: str, kept: str) -> None:
    assert unbroken(text) == kept.replace("~", NBSP)


@given(st.text(alphabet="pPτ<>= .0123%abc", max_size=40))
def test_keeping_together_changes_only_spaces(text: str) -> None:
    assert unbroken(text).replace(NBSP, " ") == text
