"""How numbers are written in figures, scorecard and report: one way, everywhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.statistics.correction import IN_COLUMN

if TYPE_CHECKING:
    import pandas as pd

    from analysis.encoding.hierarchy import ShareTest

_FEW = 2
"""Places whose names are said beside what is true of them alone."""
MINUS = "\N{MINUS SIGN}"


def say_p(p: float) -> str:
    """Write a p value, with its relation sign.

    Examples
    --------
    >>> say_p(0.0094), say_p(0.000999), say_p(0.375), say_p(1.0), say_p(math.nan)
    ('p = .009', 'p < .001', 'p = .375', 'p = 1', 'not tested')
    """
    if math.isnan(p):
        return "not tested"
    return f"p {'' if p < 0.001 else '= '}{bare_p(p)}"


def bare_p(p: float) -> str:
    """Write a p value for a place where it is clear what it is.

    Examples
    --------
    >>> bare_p(0.0094), bare_p(0.0005), bare_p(0.9999), bare_p(math.nan)
    ('.009', '< .001', '1', '–')
    """
    if math.isnan(p):
        return "–"
    if p < 0.001:
        return "< .001"
    text = f"{p:.3f}"
    return "1" if text == "1.000" else text.removeprefix("0")


def say_number(value: float | None, *, digits: int = 2, unit: str = "") -> str:
    """Write a number with a true minus sign; an en dash where there is none.

    Examples
    --------
    >>> say_number(-0.456), say_number(12.5, digits=1, unit=" ms"), say_number(float("nan"))
    ('−0.46', '12.5 ms', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{abs(value):.{digits}f}"
    negative = value < 0 and float(text) != 0
    return f"{MINUS if negative else ''}{text}{unit}"


def say_probability(p: float, *, digits: int = 3) -> str:
    """Write a probability without ever rounding it up: .9996 is not 1 and .98996 is not .990.

    Examples
    --------
    >>> say_probability(0.9919), say_probability(0.99996), say_probability(0.99996, digits=4), say_probability(1.0)
    ('.991', '> .999', '> .9999', '> .999')
    """
    scale = 10**digits
    if p > 1 - 1 / scale:
        return f"> .{'9' * digits}"
    return f"{math.floor(p * scale + 1e-9) / scale:.{digits}f}".removeprefix("0")


def say_share(n: int, of: int) -> str:
    """Write a count out of a total.

    Examples
    --------
    >>> say_share(113, 120)
    '113/120'
    """
    return f"{n}/{of}"


def say_shares(test: ShareTest) -> str:
    """Write a difference of shares of vertices, by both tests.

    Examples
    --------
    >>> from analysis.encoding.hierarchy import ShareTest
    >>> say_shares(ShareTest(-0.123, 0.04, 0.0004, 3, 6))
    '−12.3 points, p = .040 over 3 subjects (paired t over 6 measurements p < .001)'
    """
    return (f"{say_number(100 * test.effect, digits=1, unit=' points')}, {say_p(test.p)} over {test.n_people} subjects "
            f"(paired t over {test.n_pairs} measurements {say_p(test.paper_p)})")


COEFFICIENTS = {"spearman": ("ρ", "Spearman's ρ"), "tau_a": ("τ", "Kendall's τa"), "rho_a": ("ρa", "ρa"),
                "pearson": ("r", "Pearson's r")}
"""Sign and name of what dissimilarity matrices are compared by (``rsa.comparison``)."""


def coefficient_sign(table: pd.DataFrame) -> str:
    """Give the sign of the coefficient of a table of similarities; ρ for tables from before they named it."""
    return COEFFICIENTS[_coefficient(table)][0]


def coefficient_name(table: pd.DataFrame) -> str:
    """Name the coefficient of a table of similarities."""
    return COEFFICIENTS[_coefficient(table)][1]


def _coefficient(table: pd.DataFrame) -> str:
    if "coefficient" not in table:
        return "spearman"
    rows = table[~table["comparison"].astype(str).str.startswith("trend")]
    found = [name for name in rows["coefficient"].dropna().unique() if name in COEFFICIENTS]
    return str(found[0]) if found else "spearman"


def say_tests(table: pd.DataFrame, name: str, *, column: str = "comparison") -> str:
    """Give the test of a kind of row in its own words, what several rows share said once.

    What is said of a place or two alone is said with their names.
    """
    rows = table[table[column] == name]
    places = rows["place"] if "place" in rows else rows["layer"]
    said: dict[str, dict[str, None]] = {}
    for place, test in zip(places.astype(str), rows["test"].astype(str), strict=True):
        for part in test.split("; "):
            said.setdefault(part, {})[place] = None
    few = min(_FEW, places.nunique() - 1)
    return "; ".join(part if len(found) > few else f"{' and '.join(found)}: {part}" for part, found in said.items())


def say_n(table: pd.DataFrame) -> str:
    """Give how many there are of what was tested, as a range where that differs."""
    return _say_range(table["n"])


def say_draws(table: pd.DataFrame, *, seed: int) -> str:
    """Say how many draws a test has, from which seed, and how several tests are corrected."""
    parts = dict.fromkeys(part for one in table["correction"].astype(str) for part in one.split("; "))
    beside = [part.removeprefix(IN_COLUMN) for part in parts if part.startswith(IN_COLUMN)]
    corrections = "; ".join(part for part in parts if not part.startswith(IN_COLUMN))
    if beside:
        corrections += f" for p as it is marked; p_corrected in the tables: {'; '.join(beside)}"
    drawn = table.loc[table["n_resamples"].astype(int) > 0, "n_resamples"]
    draws = f"{_say_range(drawn)} draws a test that has any" if len(drawn) < len(table) and len(drawn) else \
        f"{_say_range(table['n_resamples'])} draws a test"
    return (f"{draws}, seeds derived from the study's {seed} and kept in the tables; correction for multiple tests: "
            f"{corrections}.")


def _say_range(values: pd.Series) -> str:
    found = sorted(values.astype(int).unique())
    return str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"
