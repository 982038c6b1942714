"""The step ``design``: what a subject's events let one estimate, before there are any data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.data.series.reading import read_outline
from analysis.data.sources import resolve_subject
from analysis.data.timeseries import count_volumes, label_part
from analysis.glm.betas import BLANK
from analysis.glm.design import Sampling
from analysis.glm.estimate import open_runs
from analysis.glm.hrf import ResponseModel
from analysis.glm.linear.expected import expected_covariance, variance_inflation
from analysis.glm.linear.fit import make_designs, make_drifts
from analysis.glm.linear.formula import parse
from analysis.glm.ols import Floats, Model
from analysis.glm.portions import Portion, say_missing
from analysis.glm.subject_runs import SubjectRuns, fit_entities
from analysis.report.checks.design_figure import DesignPicture, draw_design
from analysis.report.figures.style import save
from analysis.steps import Extras, Origin, Request, Work
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.store import read_json, write_table

log = logging.getLogger(__name__)
SETTINGS = ("model", "hrf", "drift_minutes", "partition")
AFTER_S = 16.0
"""How long a scanner is taken to run on after the last event, where nothing says it: until its response has passed."""


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the tables and pictures of each subject's sessions."""
    found = []
    for sub in request.subjects:
        runs = open_runs(request, sub)
        found += [SessionDesign(runs, sessions=group, rho=request.settings.simulate.ar1).work()
                  for group in runs.groups]
    return tuple(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class PortionDesign:
    """What some runs that are estimated together will give.

    Parameters
    ----------
    portion : Portion
    designs, drifts : sequence of float64 array, (n_volumes, n_conditions or n_drifts)
        One a part of a run.
    times_s : sequence of float64 array, (n_volumes,)
    rho : float
        Correlation of the noise that errors are told for.
    whiten : bool
    """

    portion: Portion
    designs: list[Floats]
    drifts: list[Floats]
    times_s: list[Floats]
    rho: float
    whiten: bool

    @cached_property
    def problem(self) -> str:
        """Why its conditions cannot all be estimated; empty where they can."""
        n_columns = self.designs[0].shape[1] + sum(drift.shape[1] for drift in self.drifts)
        n_volumes = sum(len(one) for one in self.designs)
        if n_columns >= n_volumes:
            return f"{n_columns} columns (drifts included) for {n_volumes} volumes"
        try:
            Model(self.designs, self.drifts, self.portion.where)
        except AnalysisError as error:
            return f"{error.came}; expected {error.expected}"
        return ""

    @cached_property
    def covariance(self) -> Floats:
        """The betas' covariance for noise of 1 % of the mean signal; NaN where they cannot be estimated."""
        n = self.designs[0].shape[1]
        if self.problem:
            return np.full((n, n), np.nan)
        return expected_covariance(self.designs, drifts=self.drifts, rho=self.rho, whiten=self.whiten)

    @cached_property
    def errors(self) -> Floats:
        """Each beta's standard error in percent, for noise of 1 %."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    @cached_property
    def condition_number(self) -> float:
        """See :attr:`~analysis.glm.ols.Model.condition_number`; infinite where betas cannot be estimated."""
        return float("inf") if self.problem else Model(self.designs, self.drifts).condition_number

    def runs_alone(self) -> dict[str, float]:
        """Give every part's condition number by itself, of the conditions that it holds."""
        found = {}
        for key, design, drift in zip(self.portion.events, self.designs, self.drifts, strict=True):
            held = design[:, np.any(design != 0, axis=0)]
            try:
                found[label_part(key)] = Model([held], [drift]).condition_number if \
                    held.shape[1] + drift.shape[1] < len(held) else float("inf")
            except AnalysisError:
                found[label_part(key)] = float("inf")
        return found

    def table(self) -> pd.DataFrame:
        """Give one row a condition."""
        table = self.portion.conditions.copy()
        held = dict(zip(self.portion.events, (np.any(design != 0, axis=0) for design in self.designs), strict=True))
        runs = np.array([np.any([held[key] for key in parts], axis=0) for parts in self.portion.runs.values()])
        inflation = np.full(len(table), np.nan) if self.problem else variance_inflation(
            Model(self.designs, self.drifts).projected)
        table.insert(0, "portion", self.portion.name)
        return table.assign(n_runs=runs.sum(axis=0), cross_validated=runs.sum(axis=0) > 1,
                            variance_inflation=inflation.round(4), error_pct=self.errors.round(5))

    def contrast_errors(self, contrasts: tuple[str, ...]) -> dict[str, float]:
        """Give the standard error of each contrast in percent, for noise of 1 %; NaN where it lacks a term."""
        found = {}
        for text in contrasts:
            weights = parse(text).weights(self.portion.conditions)
            found[text] = float("nan") if weights is None else float(np.sqrt(weights @ self.covariance @ weights))
        return found

    def matrix(self) -> pd.DataFrame:
        """Give the labelled design: one row a kept volume, conditions and then each part's drifts."""
        table = self.portion.conditions
        labels = zip(table["type"], table["base_image"], table["presentation"], strict=True)
        names = [f"{kind} {name} {number}" if number else str(kind) for kind, name, number in labels]
        parts = []
        for key, design, drift, times in zip(self.portion.events, self.designs, self.drifts, self.times_s, strict=True):
            rows = pd.DataFrame(design.round(6), columns=names)
            rows.insert(0, "time_s", times)
            rows.insert(0, "run", label_part(key))
            parts.append(pd.concat([rows, pd.DataFrame(
                drift.round(6), columns=[f"{label_part(key)} drift {k}" for k in range(drift.shape[1])])], axis=1))
        return pd.concat(parts, ignore_index=True).fillna(0.0)  # a part's drifts are 0 in the others


@dataclass(frozen=True)
class SessionDesign:
    """The tables and the picture of one session, or of several that are fitted together.

    Parameters
    ----------
    runs : SubjectRuns
    sessions : tuple of str
    rho : float
        Correlation of the noise that errors are told for.
    """

    runs: SubjectRuns
    sessions: tuple[str, ...]
    rho: float

    def path(self, suffix: str) -> Path:
        """Spell the path of a file."""
        return self.runs.layout.derivative("glm", sub=self.runs.sub, suffix=suffix, **fit_entities(self.sessions))

    def work(self) -> Work:
        """Plan them."""
        table, picture = self.path("design.tsv"), self.path("design.png")
        return Work(name=f"sub-{self.runs.sub} ses-{'+'.join(self.sessions)}", sub=self.runs.sub,
                    outputs=(table, self.path("desc-matrix_design.tsv")), origin=self.origin, make=self.make,
                    companions={"png_digest": picture, "svg_digest": picture.with_suffix(".svg")}, tell=self.tell)

    def origin(self, _: Path) -> Origin:
        """Say what they are made from."""
        layout, keys = self.runs.layout, [key for ses in self.sessions for key in self.runs.sessions[ses]]
        inputs: dict[str, Path | str] = {f"{label_part(key)}_events": layout.events(key) for key in keys}
        inputs |= {f"{label_part(key)}_log": layout.events_sidecar(key) for key in keys
                   if layout.events_sidecar(key).is_file()}  # other programs' tables may have none
        inputs |= {} if self.runs.foreign is None else {"events_read_as": self.runs.foreign.digest}
        chosen = self.runs.settings.model_dump(mode="json", include=set(SETTINGS))
        return Origin(inputs, {"tr_s": self.runs.tr_s, "n_discarded": self.runs.n_discarded, **chosen, "rho": self.rho,
                               "glm_contrasts": list(self.runs.settings.contrasts),
                               "glm_confounds": list(self.runs.settings.confounds), "starts_s": self._starts,
                               "sessions_of_design": list(self.sessions),
                               **({"n_volumes": self._uncounted} if self._uncounted else {})})

    @cached_property
    def _bold(self) -> Mapping[tuple[RunKey, str], Path] | None:
        """The time series, if there are any."""
        try:
            return resolve_subject(self.runs.layout, sub=self.runs.sub, pipeline=self.runs.pipeline,
                                   space=self.runs.space).bold
        except AnalysisError as error:
            log.info("design of sub-%s: volumes count as taken at their pulses (%s)", self.runs.sub, error.came)
            return None

    @cached_property
    def _uncounted(self) -> dict[str, int]:
        """Volumes of runs whose logs tell of none: those of their time series, else to the last event's response."""
        found = {}
        for key, table in ((key, table) for ses in self.sessions for key, table in self.runs.sessions[ses].items()):
            if table.attrs.get("n_pulses") or table.attrs.get("sidecar", {}).get("n_volumes"):
                continue
            bold = (self._bold or {}).get((key, "L"))
            if bold is not None and bold.is_file():
                found[label_part(key)] = read_outline(bold).n_volumes
                continue
            last_s = float((table["onset"] + table["duration"]).max())
            found[label_part(key)] = int(np.ceil((last_s + AFTER_S) / self.runs.tr_s))
            log.warning("%s: nothing says how many volumes were taken; %d are counted, to %g s after the last event",
                        key, found[label_part(key)], AFTER_S)
        return found

    @cached_property
    def _starts(self) -> dict[str, float]:
        """When in its TR a volume of each part was sampled: of the data that are there; 0 before there are any."""
        if self._bold is None:
            return {}
        found = {}
        for key in [key for ses in self.sessions for key in self.runs.sessions[ses]]:
            bold = self._bold.get((key, "L"))
            said = read_json(sidecar_path(bold)) if bold is not None and sidecar_path(bold).is_file() else {}
            found[label_part(key)] = float(said.get("StartTime") or 0.0)
        return found

    def portions(self) -> list[PortionDesign]:
        """Predict the volumes of each portion."""
        made, settings = [], self.runs.settings
        for portion in self.runs.portions(self.sessions):
            samplings = {key: Sampling(n_volumes=self._uncounted.get(label_part(key)) or count_volumes(table),
                                       tr_s=self.runs.tr_s,
                                       n_discarded=self.runs.n_discarded, where=f"{key} volumes",
                                       start_s=self._starts.get(label_part(key), 0.0))
                         for key, table in portion.events.items()}
            made.append(PortionDesign(
                portion=portion, rho=self.rho, whiten=settings.model == "ar1",
                designs=make_designs(portion, samplings=samplings,
                                     response=ResponseModel(shape=settings.hrf, tr_s=self.runs.tr_s)),
                drifts=make_drifts(portion, samplings=samplings, drift_minutes=settings.drift_minutes),
                times_s=[samplings[key].times_s for key in portion.events]))
        return made

    def make(self, progress: ProgressWrapper) -> Callable[[], Extras]:
        """Compute tables and picture; give what then writes them."""
        found = self.portions()
        chosen = self.runs.settings
        said = [describe(one, contrasts=chosen.contrasts, confounds=chosen.confounds)
                for one in progress(found, label=f"design sub-{self.runs.sub}", total=len(found))]
        name = f"sub-{self.runs.sub} ses-{'+'.join(self.sessions)}"
        figure = draw_design([as_picture(one, name=name) for one in found])
        (table, matrix), picture = self.work().outputs, self.path("design.png")

        def write() -> Extras:
            describe_derivative(self.runs.layout, "glm")
            write_table(table, pd.concat([one.table() for one in found], ignore_index=True), overwrite=True)
            write_table(matrix, pd.concat([one.matrix().assign(portion=one.portion.name) for one in found],
                                          ignore_index=True), overwrite=True)
            save(figure, picture.parent, name=picture.stem)
            return {table: {"Designs": said, "Noise": f"of 1 % of the mean signal, correlated by {self.rho:g} from one "
                                                      "volume to the next; errors grow with it"}}

        return write

    def tell(self) -> str:
        """Say what the design gives, in a line a portion."""
        said = read_json(sidecar_path(self.path("design.tsv")))["Designs"]
        name = f"sub-{self.runs.sub} ses-{'+'.join(self.sessions)}"
        return f"design of {name}: " + "; ".join(one["Said"] for one in said)


def describe(one: PortionDesign, *, contrasts: tuple[str, ...], confounds: Sequence[str] = ()) -> dict[str, Any]:
    """Give what a sidecar says of a portion, and the same in a line.

    The design is of events alone: what ``glm.confounds`` takes off the data besides is not in its errors; it says so.
    """
    table, n_volumes = one.table(), sum(len(design) for design in one.designs)
    images = table[table["type"] != BLANK]
    lone = int((~table["cross_validated"]).sum())
    n_runs = len(one.portion.runs)
    facts = [f"{len(table)} conditions x {n_volumes} volumes of {n_runs} run{'s' * (n_runs > 1)}"]
    if one.problem:
        facts.append(f"NOT ESTIMABLE: {one.problem}")
    else:
        facts += [f"condition number {one.condition_number:.1f}",
                  f"expected error of an image's beta {images['error_pct'].median():.2f} % for noise of 1 %"]
    facts.append(f"{lone} condition{'s' * (lone > 1)} in one run only, which cannot be cross-validated" if lone
                 else "every condition in several runs")
    if one.portion.missing:
        facts.append(say_missing(one.portion.missing))
    if confounds:
        facts.append(f"glm.confounds ({', '.join(confounds)}) not counted: errors will be larger")
    head = "" if one.portion.name == "all runs" else f"{one.portion.name}: "
    numbers = {name: round(value, 3) if np.isfinite(value) else None for name, value in one.runs_alone().items()}
    return {"Portion": one.portion.name, "Said": head + ", ".join(facts), "Problem": one.problem,
            "ConditionNumber": round(one.condition_number, 3) if not one.problem else None,
            "ConditionNumberOfRunsAlone": numbers, "NotCrossValidated": lone,
            "ContrastErrors": {text: round(value, 5) if np.isfinite(value) else None
                               for text, value in one.contrast_errors(contrasts).items()}}


def as_picture(one: PortionDesign, *, name: str) -> DesignPicture:
    """Give what the figure draws of a portion."""
    tail = "" if one.portion.name == "all runs" else f", {one.portion.name}"
    return DesignPicture(
        name=name + tail, matrix=np.concatenate(one.designs), run_lengths=tuple(len(design) for design in one.designs),
        run_names=tuple(label_part(key).replace("_", " ") for key in one.portion.events),
        kinds=tuple(one.portion.conditions["type"]), errors=one.errors,
        problem=one.problem, condition_number=one.condition_number, rho=one.rho)
