"""The page of a robustness report: what the claims hang on, as one figure and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.report.figure_list import PlannedFigure, ReportFigure, draw_planned
from analysis.report.figures.robustness import draw_robustness
from analysis.report.page import render
from analysis.report.robustness.claims import CLAIMS, NAMES, OWN, Levels, at_own, say_conclusions
from analysis.report.tables import TextTable
from analysis.report.wording import say_number, say_probability
from analysis.rsa.choices import FACTORS, count_deciding
from subjects.cli import ProgressWrapper
from subjects.settings.analysis import RsaSettings
from subjects.store import write_text

_MARKS = {True: "✓", False: "✗"}


@dataclass(frozen=True, eq=False)
class RobustnessRecords:
    """What the page tells of.

    Parameters
    ----------
    name, network : str
    seed : int
    levels : Levels
    table, scored : DataFrame
        Every number, and every verdict; see :mod:`analysis.report.robustness.claims`.
    images : mapping of str to sequence of mapping
        Variant's label to how each of its images ended; empty for the set itself.
    rsa : RsaSettings
    """

    name: str
    network: str
    seed: int
    levels: Levels
    table: pd.DataFrame
    scored: pd.DataFrame
    images: Mapping[str, Sequence[Mapping[str, Any]]]
    rsa: RsaSettings


@dataclass(frozen=True, eq=False)
class RobustnessPage:
    """What the template sets; see :class:`analysis.report.page.Page`."""

    name: str
    network: str
    seed: int
    conclusions: tuple[str, ...]
    notes: tuple[str, ...]
    figures: tuple[ReportFigure, ...]
    tables: Mapping[str, TextTable]


def write_page(records: RobustnessRecords, path: Path, *, progress: ProgressWrapper) -> dict[Path, dict[str, Any]]:
    """Draw the figure and write the page; give what its sidecar holds."""
    figures = draw_planned([plan_figure(records)], folder=path.with_name("figures"), progress=progress)
    tables = {"deciding": deciding_table(records.scored), "levels": levels_table(records),
              "variants": variants_table(records)}
    page = RobustnessPage(records.name, records.network, records.seed, tuple(say_conclusions(records.scored)),
                          tuple(shortfalls(records)), figures, tables)
    write_text(path, render(page, template="robustness.html.j2"), overwrite=True)
    return {path: {"Figures": len(figures)}}


def plan_figure(records: RobustnessRecords) -> PlannedFigure:
    """Plan the one figure."""
    levels = listed_levels(records)
    n = len(records.scored)
    caption = (f"Left: RE-AN with AN of other contrasts and RE-AI with AI towards other targets, in the layers of "
               f"“{records.network}”, a row for each place where layers are read; the set's own choice is bold, and "
               f"the faint line is the set's other similarity. Filled: p < .05 by {records.rsa.n_permutations} "
               f"permutations of the labels. Diamonds: the last layer by its logits. Right: in how many of the {n} "
               "combinations with each choice a claim holds.")
    return PlannedFigure("results", "robustness", "N1 to N3 under other choices", caption,
                         lambda: draw_robustness(records.table, records.scored, own=records.levels.own, levels=levels))


def listed_levels(records: RobustnessRecords) -> dict[str, list[str]]:
    """List every factor's levels in their order."""
    made = {factor: [one.name for one in records.levels.of(factor)] for factor in ("contrast", "targets")}
    return {factor: made.get(factor) or list(dict.fromkeys(records.scored[factor])) for factor in FACTORS}


def deciding_table(scored: pd.DataFrame) -> TextTable:
    """Say in how many settings of the other choices each choice decides each claim."""
    rows = []
    for claim in CLAIMS:
        known = scored[scored[claim].notna()]
        counts = [count_deciding(known, claim=claim, factor=factor) for factor in FACTORS] if len(known) else []
        rows.append((claim, f"{int(known[claim].sum())} of {len(known)}" if len(known) else "not tested",
                     *(f"{n} of {of}" for n, of in counts), *("–" for _ in range(len(FACTORS) - len(counts)))))
    return TextTable(("Claim", "Holds in", *(NAMES[factor][:1].upper() + NAMES[factor][1:] for factor in FACTORS)),
                     tuple(rows))


def levels_table(records: RobustnessRecords) -> TextTable:
    """Set trends, the last layer and the verdicts where one choice is changed and the others are the set's own."""
    rows, own = [], records.levels.own
    for factor, names in listed_levels(records).items():
        found = at_own(records.scored, own, free=(factor,)).set_index(factor)
        for name in names:
            row: Any = found.loc[name]
            rows.append((NAMES[factor], f"{name}{' *' if name == own[factor] else ''}",
                         *(say_number(row[column]) for column in ("trend RE-AI", "trend RE-AN", "last RE-AI",
                                                                  "last RE-AN")),
                         *("–" if pd.isna(row[claim]) else _MARKS[bool(row[claim])] for claim in CLAIMS)))
    return TextTable(("Choice", "Level", "τ RE-AI", "τ RE-AN", "Last layer RE-AI", "Last layer RE-AN", *CLAIMS),
                     tuple(rows), n_text=2)


def variants_table(records: RobustnessRecords) -> TextTable:
    """Say how the images of each variant ended."""
    rows = []
    for one in records.levels.made:
        ended = records.images[one.label]
        p, contrast, steps = ([float(image[key]) for image in ended] for key in ("p", "contrast", "iterations"))
        rows.append((f"{one.kind}, {one.name}", f"{sum(image['reached'] for image in ended)} of {len(ended)}",
                     f"{say_probability(min(p), digits=4)} to {say_probability(max(p), digits=4)}",
                     say_number(float(np.median(contrast)), digits=1), say_number(float(np.median(steps)), digits=0),
                     str(len({image["target_index"] for image in ended}))))
    return TextTable(("Variant", "As the rules ask", "P", "Contrast, median", "Steps, median", "Categories aimed at"),
                     tuple(rows))


def shortfalls(records: RobustnessRecords) -> list[str]:
    """Name the variants of which some image is not as the rules ask: it is compared as it ended."""
    missed = {one.label: sum(not image["reached"] for image in records.images[one.label])
              for one in records.levels.made if one.label != OWN}
    return [f"{one.kind}, {one.name}: {missed[one.label]} of {len(records.images[one.label])} images are not as the "
            "rules ask and are compared as they ended." for one in records.levels.made if missed[one.label]]
