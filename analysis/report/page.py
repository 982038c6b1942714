"""One self-contained HTML page: scorecard, figures, tables and where every number came from."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis.data.features import choose_network, networks_of_set
from analysis.report.figure_list import ReportFigure, draw_figures
from analysis.report.figures.prf.records import plan_prf
from analysis.report.of_set.set_tables import confounds_table, measures_table
from analysis.report.records import StudyRecords, read_records
from analysis.report.regions.found import plan_found
from analysis.report.scorecard import Line, NamingMargins, rules, score, tally
from analysis.report.tables import (
    TextTable,
    brain_table,
    ceiling_table,
    choices_table,
    control_of,
    denoising_table,
    departures_table,
    encoding_table,
    excerpts_table,
    files_table,
    glm_table,
    network_table,
    prf_table,
    provenance_rows,
    runs_table,
    say_corrections,
    stimuli_table,
)
from analysis.rsa.confounds import low_level_files
from analysis.statistics.naming import find_naming, read_naming
from analysis.statistics.results import read_results
from analysis.steps import STEPS, Origin, Request, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.profile import load_profile
from subjects.provenance import sidecar_path
from subjects.store import read_json, write_json, write_table, write_text
from subjects.upkeep.freeze import agreement

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
    figures : tuple of ReportFigure
    dropped : str
        Whose betas lack planned runs, and whose simulated time series were dropped, in sentences; empty for none
    tables : mapping of str to TextTable
    set_network : str
        The network that the set was made with, where the results are about another one.
    frozen : str
        Whether it was made under the preregistration, as a sentence.
    corrections : mapping of str to str
        ``"brain"``, ``"network"``, ``"encoding"``: within which families p is corrected; empty where it is not.
    """

    name: str
    subjects: tuple[str, ...]
    network: str
    seed: int
    banner: str
    virtual_display: bool
    lines: tuple[Line, ...]
    figures: tuple[ReportFigure, ...]
    tables: Mapping[str, TextTable]
    dropped: str = ""
    set_network: str = ""
    frozen: str = ""
    corrections: Mapping[str, str] = field(default_factory=dict)


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the page; it is written whenever it is asked for."""
    page = Report(request)
    return (Work(name="report", outputs=(page.path,), origin=page.origin, make=page.make, always=True,
                 tell=page.tell),)


@dataclass(frozen=True)
class Report:
    """The page that a study ends in, its figures and the scorecard beside it.

    Parameters
    ----------
    request : Request
        Whom and which network it is about. A report on another network than the set's has its own folder.
    """

    request: Request

    @property
    def path(self) -> Path:
        """The page: :attr:`~subjects.layout.Layout.report`, or ``network-<name>/report.html`` beside it."""
        standard = self.request.layout.report
        network = choose_network(self.request.layout, self.request.network)
        return standard.parent.joinpath(*(f"network-{one}" for one in network.entities.values()), standard.name)

    @property
    def scorecard(self) -> Path:
        """The scorecard for programs."""
        return self.path.with_name("scorecard.json")

    @property
    def similarities(self) -> Path:
        """The similarities in the brain of all subjects, as they are scored, p corrected over all of them."""
        return self.path.with_name("brain-rsa.tsv")

    @property
    def _virtual(self) -> bool:
        """Whether the subjects are simulated: what virtual ones and volunteers saw is never put together."""
        return any(load_profile(self.request.layout, sub).virtual for sub in self.request.subjects)

    def origin(self, _: Path) -> Origin:
        """Say what it is written from: every result file that it lists."""
        layout, of_network = self.request.layout, choose_network(self.request.layout, self.request.network)
        files = [layout.manifest, of_network.features, *low_level_files(layout),
                 *(path for name in ("glm", "rsa", "encode") for work in STEPS[name].plan(self.request)
                   for path in work.files() if not work.intermediate or path.is_file()),
                 *(path for works in (plan_prf(self.request), *plan_found(self.request).values())
                   for work in works.values() for path in work.files()),
                 *find_naming(layout, virtual=self._virtual)]
        return Origin({path.relative_to(layout.root).as_posix(): path for path in files},
                      {"subjects": self.request.subjects, "network": of_network.name})

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Read the results and score the claims; give what then draws the figures and writes the page."""
        records = read_records(self.request)
        naming = self.request.settings.naming
        lines = score(brain=records.brain, network=records.network, encoding=records.encoding,
                      hierarchy=records.hierarchy, control=control_of(records),
                      naming=read_naming(self.request.layout, virtual=self._virtual),
                      margins=NamingMargins(naming.ai_least, naming.an_most))
        lines += readings_by_network(self.request)
        return lambda: self._write(records, lines, progress)

    def _write(self, records: StudyRecords, lines: tuple[Line, ...],
               progress: ProgressWrapper) -> dict[Path, dict[str, Any]]:
        describe_derivative(self.request.layout, "report")
        figures = draw_figures(records, folder=self.path.with_name("figures"),
                               n_jobs=self.request.n_jobs, progress=progress)
        write_table(self.similarities, records.brain, overwrite=True)
        write_json(self.scorecard, [vars(line) for line in lines], overwrite=True)
        write_text(self.path, render(make_page(records, lines=lines, figures=figures, frozen=agreement(
            self.request.layout, self.request.settings, rules=rules()).sentence())), overwrite=True)
        return {self.path: {"Figures": len(figures)}}

    def tell(self) -> str:
        """Say what the page holds, in a few words."""
        lines = json.loads(self.scorecard.read_text(encoding="utf-8"))
        lines = [line for line in lines if not line["reading"]]
        counts = Counter(line["verdict"] for line in lines)
        return (f"{read_json(sidecar_path(self.path))['Figures']} figures; of {len(lines)} claims "
                f"{counts['holds']} hold, {counts['does not hold']} do not, {counts['not tested']} not tested")


def readings_by_network(request: Request) -> tuple[Line, ...]:
    """Hold B1 to B3 against the images of each network of a set of two, and N1 to N3 against the other one's layers.

    Returns
    -------
    tuple of Line
        ``"B1 of NAME"`` and so on, as other readings of those claims, which are not counted; none for a set of one.
    """
    of_set = networks_of_set(request.layout)
    if len(of_set) < 2:
        return ()
    works, about = STEPS["rsa"].plan(request), choose_network(request.layout, request.network).name
    brain = [read_results(work.outputs[0]) for work in works if work.sub is not None and work.name.endswith("networks")]
    found = []
    for one in of_set:
        of_brain = pd.concat(brain).query("network == @one.name") if brain else None
        layers = next((work for work in works if one.name != about and work.name == f"network-{one.name}"), None)
        lines = score(brain=of_brain, network=None if layers is None else read_results(layers.outputs[0]))
        there = ("B" if brain else "") + ("" if layers is None else "N")
        found += [replace(line, id=f"{line.id} of {one.name}", reading=one.name) for line in lines
                  if not line.reading and line.id[0] in there]
    return tuple(found)


def make_page(records: StudyRecords, *, lines: tuple[Line, ...], figures: tuple[ReportFigure, ...],
              frozen: str = "") -> Page:
    """Gather what the template sets."""
    settings = records.settings
    tables = {
        "confounds": confounds_table(records), "measures": measures_table(records.measures),
        "stimuli": stimuli_table(records), "runs": runs_table(records), "excerpts": excerpts_table(records),
        "glm": glm_table(records), "denoising": denoising_table(records), "prf": prf_table(records),
        "brain": brain_table(records), "ceiling": ceiling_table(records),
        "network": network_table(records), "encoding": encoding_table(records),
        "departures": departures_table(settings), "choices": choices_table(settings),
        "provenance": provenance_rows(records), "files": files_table(records),
    }
    virtual = any(run.display == "virtual" for one in records.subjects for run in one.runs)
    return Page(settings.study.name, tuple(one.sub for one in records.subjects), records.about.name,
                settings.study.seed, make_banner(records), virtual, lines, figures, tables, " ".join(filter(None, [
                    _missing(records), _dropped(records.dropped)])),
                "" if records.about.of_set else records.manifest.stimuli[0].network, frozen, say_corrections(records))


SEEN = {
    "paper": "an AI image is seen nearly as its RE image and an AN image as something unrelated",
    "cnn-like": "an AN image is seen nearly as its RE image and an AI image as its target",
    "both": "AN and AI images are seen nearly as their RE images",
    "null": "every image evokes the same response",
    "pixels": "every image is seen by its pixels alone",
}
"""How a virtual subject of each world sees, as the banner says it."""


def make_banner(records: StudyRecords) -> str:
    """Say that BOLD was simulated, and what of it follows from the simulation; empty for measured BOLD."""
    if not records.simulated:
        return ""
    sentences = [f"Simulated BOLD: {_who(records.simulated)} virtual."]
    for world, seen in SEEN.items():
        if whom := tuple(one.sub for one in records.subjects if one.world == world):
            who = _who(whom)
            sentences.append(f"{who[0].upper()}{who[1:]} of the world `{world}`: {seen}.")
    for driver in dict.fromkeys(one.driver for one in records.subjects if one.driver and one.world != "null"):
        who = _who(tuple(one.sub for one in records.subjects if one.driver == driver and one.world != "null"))
        sentences.append(f"{who[0].upper()}{who[1:]} driven by {driver}.")
    if records.null != records.simulated:
        sentences.append("The verdicts on brain and encoding models follow from how they were made.")
    sentences.append("The numbers show that the chain works from the logged onsets to the last figure. They are "
                     "evidence about no brain.")
    return " ".join(sentences)


def _missing(records: StudyRecords) -> str:
    """Say whose betas lack planned sessions or runs, and so on what all that follows rests."""
    whose = {one.sub: fit.missing for one in records.subjects for fit in one.glm if fit.missing}
    if not whose:
        return ""
    said = "; ".join(f"subject {sub}: {gaps}" for sub, gaps in whose.items())
    return (f"Not all that was planned is there ({said}). This was accepted (`analysis.accept`): similarities and "
            "models of these subjects are over the images and showings that there are.")


def _dropped(subjects: tuple[str, ...]) -> str:
    if not subjects:
        return ""
    whose = f"subject{'s' * (len(subjects) > 1)} {', '.join(subjects)}"
    return (f"The simulated time series of {whose} were dropped after the betas were estimated; their digests are "
            "kept, and `python -m analysis simulate` makes them again.")


def _who(subjects: tuple[str, ...]) -> str:
    *others, last = subjects
    return f"subjects {', '.join(others)} and {last} are" if others else f"subject {last} is"


def render(page: Any, *, template: str = "report.html.j2") -> str:
    """Set the page; the same records give the same bytes.

    Parameters
    ----------
    page : Page
        Or what another template sets.
    template : str
        A file of ``templates``.

    Returns
    -------
    str
        HTML with style and images inside, which refers to nothing outside itself.
    """
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(data_uri=data_uri, unbroken=unbroken)
    content: dict[str, Any] = {"page": page, "counts": tally(getattr(page, "lines", ()))}
    return environment.get_template(template).render(**content)


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
