"""Corrections for the number of tests in a table: false discovery rate, or the largest of all permuted similarities."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.statistics.readings import read_of
from analysis.statistics.statistic import false_discovery, greatest_p

Floats = NDArray[np.float64]
IN_COLUMN = "in p_corrected "
"""Before what is said of the column `p_corrected`, behind what is said of `p`."""
SIMILARITIES, DIFFERENCES, TRENDS = "similarities", "differences", "trends"


def family_of(comparison: str) -> str:
    """Say with which others a test is corrected.

    Examples
    --------
    >>> [family_of(name) for name in ("RE-AI", "RE-AI minus RE-AN", "trend RE-AI")]
    ['similarities', 'differences', 'trends']
    """
    if comparison.startswith("trend"):
        return TRENDS
    return DIFFERENCES if " minus " in comparison else SIMILARITIES


def correct_rows(rows: Sequence[Mapping[str, Any]], *, by: str, greatest: Floats | None = None,
                 families: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Correct p within the tests of a table: of all similarities, of all differences, of all trends.

    Parameters
    ----------
    rows : sequence of dict
        Rows of one table, with ``comparison``, ``p``, and for ``"max"`` ``z``.
    by : {"fdr", "max", "none"}
        ``"max"``: similarities by the largest of all in each permutation; differences and trends, which have no
        permutations in common, by false discovery rate.
    greatest : float64 array, (n,), optional
        See :func:`~analysis.statistics.statistic.greatest_p`; for ``"max"``.
    families : sequence of str, optional
        With which others each row is corrected; by default as its ``comparison`` says (:func:`family_of`).

    Returns
    -------
    list of dict
        The rows, with ``p_corrected`` and ``correction``.
    """
    if by == "none":
        return [{**row, "p_corrected": row["p"], "correction": "none"} for row in rows]
    families = [family_of(row["comparison"]) for row in rows] if families is None else families
    found = [dict(row) for row in rows]
    for family in dict.fromkeys(families):
        places = [k for k, name in enumerate(families) if name == family]
        if by == "max" and family == SIMILARITIES and greatest is not None:
            corrected = greatest_p([rows[k]["z"] for k in places], greatest)
            said = f"largest of {len(places)} similarities in each of {len(greatest)} permutations (family-wise error)"
        else:
            corrected = false_discovery([rows[k]["p"] for k in places])
            n_tested = sum(not math.isnan(rows[k]["p"]) for k in places)
            said = f"false discovery rate over {n_tested} tests"
        for k, p in zip(places, corrected.tolist(), strict=True):
            found[k] |= {"p_corrected": p, "correction": f"none; {IN_COLUMN}{said}"}
    return found


def correct_readings(rows: Sequence[Mapping[str, Any]], *, column: str,
                     correct: Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Correct a network's tests as they are read by the softmax, and again with the logits in the softmax's place.

    The logits are another reading of the same layer (:mod:`analysis.statistics.readings`), not a test more: neither
    reading's p depends on whether the other was made.

    Parameters
    ----------
    rows : sequence of dict
        In any order. Without a row by logits all are corrected together.
    column : str
        Where the place is: ``"place"``, or ``"layer"`` of encoding models.
    correct : callable
        Corrects the rows of one reading: :func:`correct_rows` with its other arguments.

    Returns
    -------
    list of dict
        In the order of `rows`. What is the same in both readings is corrected with the softmax.
    """
    names = [str(row[column]) for row in rows]
    replaced = {read_of(name) for name in names if read_of(name) != name}
    if not replaced:
        return correct(rows)
    softmax = [k for k, name in enumerate(names) if read_of(name) == name]
    logits = [k for k, name in enumerate(names) if name not in replaced]
    found = dict[int, dict[str, Any]]()
    for reading in (logits, softmax):
        found |= zip(reading, correct([rows[k] for k in reading]), strict=True)
    return [found[k] for k in range(len(rows))]


def correct_subjects(tables: Sequence[pd.DataFrame], *, greatest: Sequence[Floats | None]) -> pd.DataFrame:
    """Put the tables of several subjects together, their similarities corrected over regions and subjects.

    Parameters
    ----------
    tables : sequence of DataFrame
        One a subject, with the columns of ``rsa``.
    greatest : sequence of (float64 array, (n,)) or None
        What each subject's similarities were corrected by; None where it was not by the largest. Subjects'
        permutations are independent, so that any draw of one may stand beside any of another.

    Returns
    -------
    DataFrame
        Where one of them has none, or they differ in number, each subject's own corrections.
    """
    whole = pd.concat(tables, ignore_index=True)
    known = [one for one in greatest if one is not None]
    if len(known) < 2 or len(known) < len(tables) or len({len(one) for one in known}) > 1:
        return whole
    largest = np.max(known, axis=0)
    chosen = whole["comparison"].map(family_of) == SIMILARITIES
    whole.loc[chosen, "p_corrected"] = greatest_p(whole.loc[chosen, "z"], largest)
    whole.loc[chosen, "correction"] = (
        f"none; {IN_COLUMN}largest of {int(chosen.sum())} similarities of {len(tables)} subjects in each of "
        f"{len(largest)} permutations (family-wise error)")
    return whole


def say_families(table: pd.DataFrame) -> str:
    """Say of a table with which others each test was corrected, in a sentence; empty where no test was.

    Examples
    --------
    >>> rows = [{"comparison": "RE-AI", "p": 0.01}, {"comparison": "RE-AI minus RE-AN", "p": 0.2}]
    >>> say_families(pd.DataFrame(correct_rows(rows, by="fdr")))
    'similarities: false discovery rate over 1 tests; differences: false discovery rate over 1 tests'
    """
    if not {"correction", "p_corrected"} <= set(table):
        return ""
    names = table["comparison"].map(family_of) if "comparison" in table else table["type"]  # of models, by type
    said: dict[str, str] = {}
    for name, correction in zip(names, table["correction"].astype(str), strict=True):
        if IN_COLUMN in correction:
            said[f"{name}: {correction.partition(IN_COLUMN)[2]}"] = ""
    return "; ".join(said)
