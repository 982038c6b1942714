"""How numbers are written in figures, scorecard and report: one way, everywhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from analysis.encoding.hierarchy import ShareTest

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
