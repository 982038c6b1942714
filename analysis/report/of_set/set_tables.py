"""The tables of the report of a set alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.report.records import StudyRecords
from analysis.report.scorecard import Line
from analysis.report.tables import TextTable, say_statistic
from analysis.report.wording import say_number, say_probability
from stimuli.manifest import TYPES

_KINDS = ("RE-AI", "RE-AN", "RE-AI minus RE-AN")
_MARKS = {"holds": "✓", "does not hold": "✗", "not tested": "–"}
_MEASURES = {"luminance": "Luminance (% of white)", "rms_contrast": "RMS contrast", "red_green": "Red–green (a*)",
             "blue_yellow": "Blue–yellow (b*)", "chroma": "Chroma"}


def claims_table(scored: Mapping[str, tuple[Line, ...]]) -> TextTable:
    """Set the claims about the network, a line for each network."""
    ids = dict.fromkeys(line.id for lines in scored.values() for line in lines if line.id.startswith("N"))
    rows = [(line.id, line.claim, f"{line.paper}; holds if: {line.rule}", name, line.here,
             f"{_MARKS[line.verdict]} {line.verdict}")
            for wanted in ids for name, lines in scored.items() for line in lines if line.id == wanted]
    return TextTable(("Id", "Claim", "The paper", "Network", "Here", "Verdict"), tuple(rows), n_text=6)


def check_table(verdict: Mapping[str, Any]) -> TextTable:
    """Sum the check up by type: how many pass, their P and contrast."""
    rows = []
    for kind in TYPES:
        ones = [one for one in verdict["images"] if one["type"] == kind]
        passed = sum(not one["failures"] for one in ones)
        p = [one["p"] for one in ones if one["p"] is not None]
        contrast = [one["contrast"] for one in ones if one["contrast"] is not None]
        rows.append((kind, f"{passed} of {len(ones)}",
                     _range([say_probability(edge, digits=4) for edge in (min(p), max(p))] if p else []),
                     _range([say_number(edge, digits=1) for edge in (min(contrast), max(contrast))]
                            if contrast else [])))
    return TextTable(("Type", "Pass", "P of the category aimed at", "RMS contrast (grey levels)"), tuple(rows))


def _range(said: list[str]) -> str:
    """Give smallest to largest, or the one where they read alike; a dash for none."""
    return " to ".join(dict.fromkeys(said)) or "–"


def transfer_table(verdict: Mapping[str, Any]) -> TextTable:
    """Tell what other networks answer, a line for each network and type; no rows without other networks."""
    rows = [(other["network"], row["type"], f"{row['n']} of {row['n'] + row['n_incomparable']}",
             "–" if row["top1_intended"] is None else f"{100 * row['top1_intended']:.0f} %",
             say_number(row["p_intended"], digits=3), say_number(row["p_original"], digits=3))
            for other in verdict["transfers"] for row in other["rows"]]
    return TextTable(("Network", "Type", "Compared", "Top-1 intended", "P intended", "P original"), tuple(rows),
                     n_text=2)


def confounds_table(records: StudyRecords) -> TextTable:
    """Set the similarities by pixels and by Gabor energies; below them, with subjects, those of layers and regions."""
    by_network = records.low_level_by or {"": records.low_level}
    rows = [(f"{place}, {name}" if name else str(place), *_tested(part))
            for name, table in by_network.items() for place, part in table.groupby("place", sort=False)]
    if records.subjects:
        layers = records.network[~records.network["comparison"].astype(str).str.startswith("trend")]
        rows += [(f"network, {place}", *_tested(part)) for place, part in layers.groupby("place", sort=False)]
        rows += [(f"brain, {place}", *_over_subjects(part))
                 for place, part in records.brain.groupby("place", sort=False)]
    return TextTable(("Compared by", *(kind.replace(" minus ", " − ") for kind in _KINDS)), tuple(rows))


def _tested(part: pd.DataFrame) -> tuple[str, ...]:
    found = {row.comparison: row for row in part.itertuples()}
    return tuple(say_statistic(found[kind]) for kind in _KINDS)


def _over_subjects(part: pd.DataFrame) -> tuple[str, ...]:
    """Give mean, smallest and largest over subjects; one subject's own number as it was tested."""
    if len(set(part["sub"])) == 1:
        return _tested(part)
    values = [part.loc[part["comparison"] == kind, "effect"] for kind in _KINDS]
    return tuple(f"{say_number(float(one.mean()), digits=3)} ({say_number(float(one.min()), digits=3)} to "
                 f"{say_number(float(one.max()), digits=3)})" for one in values)


def measures_table(measures: pd.DataFrame) -> TextTable:
    """Set the measures of the images by type: median and quartiles."""
    rows = []
    for kind in TYPES:
        part = measures[measures["type"] == kind]
        rows.append((kind, *(_quartiles(part[name]) for name in _MEASURES)))
    return TextTable(("Type", *_MEASURES.values()), tuple(rows))


def _quartiles(values: pd.Series) -> str:
    low, middle, high = np.percentile(values.to_numpy(dtype=np.float64), [25, 50, 75])
    return f"{say_number(middle)} ({say_number(low)} to {say_number(high)})"
