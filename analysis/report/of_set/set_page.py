"""The report of a stimulus set alone: the network's half of the study, before anyone is scanned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from analysis.data.features import choose_network
from analysis.report.figure_list import ReportFigure, draw_planned, plan_set_figures
from analysis.report.of_set.set_files import check_set, requests, run_stimuli
from analysis.report.of_set.set_tables import check_table, claims_table, confounds_table, measures_table, transfer_table
from analysis.report.page import render
from analysis.report.records import StudyRecords, settings_of_study
from analysis.report.robustness.claims import say_conclusions
from analysis.report.robustness.page import plan_figure
from analysis.report.robustness.run import read_current
from analysis.report.scorecard import Line, score
from analysis.report.tables import (
    TextTable,
    choices_table,
    departures_table,
    files_table,
    network_table,
    provenance_rows,
    stimuli_table,
)
from analysis.rsa.confounds import low_level_files, read_low_level
from analysis.statistics.results import read_results
from analysis.steps import STEPS, Origin, Request, Work
from stimuli.manifest import read_manifest
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.store import whole_file, write_json, write_text


@dataclass(frozen=True, eq=False)
class SetPage:
    """What the template sets; see :class:`analysis.report.page.Page`.

    `faults` say what the check found wrong, `notes` what could not be asked; `layers` hold each network's table;
    `conclusions` say what the claims hang on, where ``robustness`` was run.
    """

    name: str
    n_images: int
    network: str
    made_with: str
    seed: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    figures: tuple[ReportFigure, ...]
    tables: Mapping[str, TextTable]
    layers: Mapping[str, TextTable]
    sheet: Path
    conclusions: tuple[str, ...]


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the page; it is written whenever it is asked for."""
    page = SetReport(request)
    return (Work(name="report of the set", outputs=(page.path,), origin=page.origin, make=page.make, always=True,
                 tell=page.tell),)


@dataclass(frozen=True)
class SetReport:
    """The page about a set and its network, and other networks beside it (``request.others``)."""

    request: Request

    @property
    def path(self) -> Path:
        """The page, ``derivatives/report/set/report.html``."""
        return self.request.layout.derivatives("report") / "set" / "report.html"

    def files(self) -> tuple[Path, ...]:
        """List what it is written from."""
        layout = self.request.layout
        of_networks = [path for one in requests(self.request)
                       for path in (choose_network(layout, one.network).features,
                                    *(file for work in STEPS["rsa"].plan(one) for file in work.files()))]
        return (layout.manifest, *of_networks, *low_level_files(layout))

    def origin(self, _: Path) -> Origin:
        """Say what it is written from."""
        root = self.request.layout.root
        return Origin({path.relative_to(root).as_posix(): path for path in self.files()},
                      {"networks": [choose_network(self.request.layout, one.network).name
                                    for one in requests(self.request)]})

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Check the set, read the results and score the claims; give what then draws and writes."""
        records = [read_network_records(one, files=self.files()) for one in requests(self.request)]
        scored = {one.about.name: score(network=one.network) for one in records}
        verdict, notes = check_set(self.request)
        return lambda: self._write(records, scored, verdict, notes, progress)

    def _write(self, records: list[StudyRecords], scored: Mapping[str, tuple[Line, ...]], verdict: Mapping[str, Any],
               notes: tuple[str, ...], progress: ProgressWrapper) -> dict[Path, dict[str, Any]]:
        layout = self.request.layout
        describe_derivative(layout, "report")
        folder = self.path.with_name("figures")
        varied = read_current(self.request)
        more = () if varied is None else (replace(plan_figure(varied), section="robustness"),)
        figures = draw_planned((*plan_set_figures(records), *more), folder=folder, n_jobs=self.request.n_jobs,
                               progress=progress)
        own = records[0]
        tables = {"claims": claims_table(scored), "check": check_table(verdict), "transfer": transfer_table(verdict),
                  "confounds": confounds_table(own), "measures": measures_table(own.measures),
                  "stimuli": stimuli_table(own), "departures": departures_table(own.settings),
                  "choices": choices_table(own.settings), "provenance": provenance_rows(own), "files": files_table(own)}
        page = SetPage(own.settings.study.name, len(own.manifest), own.about.name, _made_with(own),
                       own.settings.study.seed,
                       tuple(faults(verdict)), notes, figures, tables,
                       {one.about.name: network_table(one) for one in records}, self._draw_sheet(folder),
                       () if varied is None else tuple(say_conclusions(varied.scored)))
        write_json(self.path.with_name("check.json"), dict(verdict), overwrite=True)
        write_json(self.path.with_name("scorecard.json"),
                   {name: [vars(line) for line in network_lines(lines)] for name, lines in scored.items()},
                   overwrite=True)
        write_text(self.path, render(page, template="set_report.html.j2"), overwrite=True)
        return {self.path: {"Figures": len(figures)}}

    def _draw_sheet(self, folder: Path) -> Path:
        """Draw the contact sheet, and at half its size for the page."""
        whole, half = folder / "sheet.png", folder / "sheet-small.png"
        run_stimuli("sheet", "--out", str(whole), "--overwrite", study=self.request.layout.root)
        with Image.open(whole) as sheet, whole_file(half, overwrite=True) as beside:
            sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.LANCZOS).save(beside, format="PNG")
        return half

    def tell(self) -> str:
        """Say what it is."""
        return "report of the set and its network"


def _made_with(records: StudyRecords) -> str:
    names = [f"“{name}”" for name in records.manifest.networks]
    return f"network{'s' * (len(names) > 1)} {' and '.join(names)}"


def read_network_records(request: Request, *, files: tuple[Path, ...]) -> StudyRecords:
    """Gather what is known of one network; there are no subjects."""
    network = choose_network(request.layout, request.network)
    of_network = next(work for work in STEPS["rsa"].plan(request) if work.sub is None)
    return StudyRecords(request.layout, settings_of_study(request.layout, request.settings),
                        read_manifest(request.layout.manifest), network, read_results(of_network.outputs[0]), (), files,
                        *read_low_level(request.layout, network))


def network_lines(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Keep the claims about the network."""
    return tuple(line for line in lines if line.id.startswith("N"))


def faults(verdict: Mapping[str, Any]) -> list[str]:
    """Say what the check found wrong."""
    of_images = [f"{one['file']}: {fault}" for one in verdict["images"] for fault in one["failures"]]
    return [*of_images, *verdict["set_failures"]]
