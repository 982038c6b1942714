"""One self-contained HTML page: scorecard, figures, tables and where every number came from."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis.report.plates import Plate, draw_plates
from analysis.report.records import StudyRecords, read_records
from analysis.report.scorecard import Line, score, tally
from analysis.report.tables import (
    TextTable,
    brain_table,
    choices_table,
    departures_table,
    encoding_table,
    excerpts_table,
    files_table,
    glm_table,
    network_table,
    provenance_rows,
    runs_table,
    stimuli_table,
)
from subjects.cli import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.layout import Layout
from subjects.settings.study import Settings
from subjects.store import write_json, write_text

NBSP = "\N{NO-BREAK SPACE}"
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, eq=False)
class Page:
    """What the template sets.

    Parameters
    ----------
    banner : str
        What a reader must know before any number; empty for measured data.
    virtual_display : bool
        Some runs were played in virtual time.
    lines : tuple of Line
        The scorecard.
    plates : tuple of Plate
    tables : mapping of str to TextTable
    """

    name: str
    subjects: tuple[str, ...]
    network: str
    seed: int
    banner: str
    virtual_display: bool
    lines: tuple[Line, ...]
    plates: tuple[Plate, ...]
    tables: Mapping[str, TextTable]


def run_report(layout: Layout, settings: Settings, *, subjects: tuple[str, ...],
               progress: ProgressWrapper = silent) -> str:
    """Draw the figures, score the claims, and write the page.

    Parameters
    ----------
    layout : Layout
        A study with all results.
    settings : Settings
    subjects : tuple of str
        Whom to tell of.
    progress : ProgressWrapper

    Returns
    -------
    str
        What stands on the page, in a few words. The page is :attr:`~subjects.layout.Layout.report`, the figures
        lie in ``figures/`` beside it, the scorecard in ``scorecard.json``. Older ones are replaced.

    Raises
    ------
    AnalysisError
        If a result is missing: the file is named, and the command that makes it.
    """
    records = read_records(layout, settings, subjects=subjects, progress=progress)
    lines = score(brain=records.brain, network=records.network, encoding=records.encoding)
    describe_derivative(layout, "report")
    plates = draw_plates(records, progress=progress)
    page = make_page(records, lines=lines, plates=plates)
    write_json(layout.report.with_name("scorecard.json"), [vars(line) for line in lines], overwrite=True)
    write_text(layout.report, render(page), overwrite=True)
    counts = tally(lines)
    return (f"{len(plates)} figures; of {len(lines)} claims {counts['holds']} hold, {counts['does not hold']} do not, "
            f"{counts['not tested']} not tested")


def make_page(records: StudyRecords, *, lines: tuple[Line, ...], plates: tuple[Plate, ...]) -> Page:
    """Gather what the template sets."""
    settings = records.settings
    tables = {
        "stimuli": stimuli_table(records), "runs": runs_table(records), "excerpts": excerpts_table(records),
        "glm": glm_table(records),
        "brain": brain_table(records), "network": network_table(records), "encoding": encoding_table(records),
        "departures": departures_table(settings), "choices": choices_table(settings),
        "provenance": provenance_rows(records), "files": files_table(records),
    }
    virtual = any(run.display == "virtual" for one in records.subjects for run in one.runs)
    return Page(settings.study.name, tuple(one.sub for one in records.subjects), settings.stimuli.network,
                settings.study.seed, make_banner(records), virtual, lines, plates, tables)


def make_banner(records: StudyRecords) -> str:
    """Say that BOLD was simulated, and what of it follows from the simulation; empty for measured BOLD."""
    if not records.simulated:
        return ""
    sentences = [f"Simulated BOLD: {_who(records.simulated)} virtual."]
    if records.null:
        who = _who(records.null)
        sentences.append(f"{who[0].upper()}{who[1:]} null: every image evokes the same response.")
    if records.null != records.simulated:
        whom = f"Apart from the null subject{'s' * (len(records.null) > 1)} they" if records.null else "They"
        sentences.append(f"{whom} were made to see an AI image nearly as its RE image and an AN image as something "
                         "unrelated: the verdicts on brain and encoding models follow from how they were made.")
    sentences.append("The numbers show that the chain works from the logged onsets to the last figure. They are "
                     "evidence about no brain.")
    return " ".join(sentences)


def _who(subjects: tuple[str, ...]) -> str:
    *others, last = subjects
    return f"subjects {', '.join(others)} and {last} are" if others else f"subject {last} is"


def render(page: Page) -> str:
    """Set the page; the same records give the same bytes.

    Returns
    -------
    str
        HTML with style and images inside, which refers to nothing outside itself.
    """
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(data_uri=data_uri, unbroken=unbroken)
    template = environment.get_template("report.html.j2")
    content: dict[str, Any] = {"page": page, "counts": tally(page.lines)}
    return template.render(**content)


def data_uri(path: Path) -> str:
    """Give an image as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def unbroken(text: str) -> str:
    """Keep a symbol with its relation and number, and a number with its percent sign, on one line.

    Examples
    --------
    >>> unbroken("all p < .05 in 90 % of them").replace(NBSP, "~")
    'all p~<~.05 in 90~% of them'
    """
    kept = re.sub(r"(?<!\w)([pPτρ]) ([<>=≥]) (?=\S)", rf"\1{NBSP}\2{NBSP}", text)
    return re.sub(r"(\d) %", rf"\1{NBSP}%", kept)
