"""The steps of the analysis: one record each, behind ``python -m analysis NAME`` and the rehearsal.

A :class:`Step` is light: it says what a command is called and needs, and names the function that plans its work, which
is imported when it is asked for. That function turns a :class:`Request` into :class:`Work`: files, what they are made
from, and how. :func:`analysis.running.run_step` does the rest alike for all of them. A new step is one module with such
a function, and one record in :data:`STEPS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from subjects.cli import ProgressWrapper, silent

if TYPE_CHECKING:
    from subjects.layout import Layout
    from subjects.settings.study import Settings

class Origin(NamedTuple):
    """What a file is made from, as its sidecar holds it: digests (or paths to be digested) and settings."""

    inputs: Mapping[str, Path | str]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a step is asked to do.

    Parameters
    ----------
    layout : Layout
    settings : Settings
    subjects : tuple of str
        Whom it is about.
    network : str, optional
        A network other than the one that the stimulus set was made with, for comparison.
    others : tuple of str
        Networks that a report of the set alone compares with the set's own.
    hardware : tuple of str
        Options of ``python -m stimuli`` that say where networks compute what a report of the set alone, or of its
        robustness, needs.
    null : bool
        Simulate subjects who respond to every image alike.
    world : str, optional
        Simulate subjects of this world instead of the settings'.
    verify : bool
        Digest every file anew instead of trusting size and time of last change.
    n_jobs : int
        How many works (subjects, for most steps) are made at a time, each in a process of its own; where there are
        fewer, parts of them in threads (:func:`analysis.jobs.at_once`).
    progress : ProgressWrapper
    """

    layout: Layout
    settings: Settings
    subjects: tuple[str, ...]
    network: str | None = None
    others: tuple[str, ...] = ()
    hardware: tuple[str, ...] = ()
    null: bool = False
    world: str | None = None
    verify: bool = False
    n_jobs: int = 1
    progress: ProgressWrapper = silent

    def command(self, name: str, *, sub: str | None = None) -> str:
        """Spell the command that runs a step for one of the subjects, or for the study."""
        whom = f" --sub {sub}" if sub else ""
        network = f" --network {self.network}" if self.network and "network" in STEPS[name].options else ""
        return f"python -m analysis {name} --study {self.layout.argument}{whom}{network}"


Extras = Mapping[Path, Mapping[str, Any]]


def _nothing(*_: object) -> None:
    """Check nothing."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Files that are made together.

    Parameters
    ----------
    name : str
        What they are of: ``"sub-01"``, ``"network-demo"``.
    outputs : tuple of Path
        The files, each with a sidecar of its own.
    origin : callable
        Path of an output to its :class:`Origin`; asked only when it is needed.
    make : callable
        Computes, with a progress wrapper; gives the function that then writes the outputs over older ones and says
        what else their sidecars shall hold. What fails while computing leaves older files as they are.
    companions : mapping of str to Path
        Files that share the first output's sidecar, by the key under which it holds their digest.
    check : callable
        Opens the outputs; raises where a file is not what it should be, whatever its digest.
    sub : str, optional
        The subject, for the command that makes it.
    foreign : bool
        Outputs without a sidecar come from elsewhere and are taken as they are.
    chain : str
        Works of one chain are made one after another, each from those before it; others may be made side by side.
    intermediate : bool
        Made on the way to later outputs of the same step, and kept: no other step needs it.
    always : bool
        Made whenever asked for.
    tell : callable, optional
        Says what came of it, once it is made.
    """

    name: str
    outputs: tuple[Path, ...]
    origin: Callable[[Path], Origin]
    make: Callable[[ProgressWrapper], Callable[[], Extras]]
    companions: Mapping[str, Path] = field(default_factory=dict)
    check: Callable[[], object] = _nothing
    sub: str | None = None
    foreign: bool = False
    chain: str = ""
    intermediate: bool = False
    always: bool = False
    tell: Callable[[], str] | None = None

    @property
    def mark(self) -> Path:
        """The file that stands beside the outputs while they are being replaced."""
        first = self.outputs[0]
        return first.with_name(f".{first.name.split('.', 1)[0]}.unfinished.json")

    def files(self) -> tuple[Path, ...]:
        """Give outputs and companions."""
        return (*self.outputs, *self.companions.values())


def imported(name: str) -> Callable[[Request], Any]:
    """Import ``module:function`` now that it is needed."""
    module, _, function = name.partition(":")
    found: Callable[[Request], Any] = getattr(importlib.import_module(module), function)
    return found


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the analysis.

    Parameters
    ----------
    name : str
        The command.
    title : str
        How the rehearsal lists it.
    product : str
        What it makes, for messages.
    help : str
        The command's help.
    needs : tuple of str
        What must be there: keys of :data:`NEEDS`, or names of other steps, whose results must be current.
    planner : str
        ``module:function``, which turns a request into a tuple of :class:`Work`.
    options : tuple of str
        Fields of :class:`Request` that the command offers.
    whom : {"one", "any", "all", "none"}
        Whether it is about one subject; about one or none; about all together; or about the stimulus set. What is about
        all publishes, and digests every file anew.
    rehearsed : bool
        Whether the rehearsal of a study runs it.
    task : str
        The paradigm whose runs it is about; a rehearsal leaves out what is about a paradigm without runs.
    """

    name: str
    title: str
    product: str
    help: str
    needs: tuple[str, ...]
    planner: str
    options: tuple[str, ...] = ()
    whom: Literal["one", "any", "all", "none"] = "one"
    rehearsed: bool = True
    task: str = "main"

    def plan(self, request: Request) -> tuple[Work, ...]:
        """Say what this step would make; nothing is written."""
        works: tuple[Work, ...] = imported(self.planner)(request)
        return works


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came of a step.

    Parameters
    ----------
    step : Step
    works : tuple of Work
    reused : tuple of str
        Names of the works whose files stood as they were made.
    """

    step: Step
    works: tuple[Work, ...]
    reused: tuple[str, ...]

    @property
    def all_reused(self) -> bool:
        """Whether nothing was made."""
        return len(self.reused) == len(self.works)

    def summary(self) -> str:
        """Say it in a few words."""
        return "; ".join(work.tell() if work.tell else work.name for work in self.works if not work.intermediate)

    def record(self) -> dict[str, Any]:
        """Give it for ``--json``."""
        return {"step": self.step.name, "results": [
            {"name": work.name, "reused": work.name in self.reused, "files": [str(path) for path in work.files()],
             **({"said": work.tell()} if work.tell else {})} for work in self.works]}


NEEDS = {"virtual": "analysis.needs:virtual_subjects", "runs": "analysis.needs:logged_runs",
         "any runs": "analysis.needs:played_runs", "driving features": "analysis.needs:driving_features",
         "mapping runs": "analysis.needs:mapping_runs", "localizer runs": "analysis.needs:localizer_runs",
         "features": "analysis.needs:features",
         "low level": "analysis.needs:low_level", "network half": "analysis.report.of_set.set_files:make_network_half",
         "combinations": "analysis.report.robustness.run:make_combinations"}
"""What steps may need beside the results of others, and the function that sees to it."""

STEPS = {step.name: step for step in (
    Step(name="simulate", title="virtual BOLD", product="virtual BOLD", options=("null", "world"),
         needs=("virtual", "any runs", "driving features"), planner="analysis.simulation.bold:plan",
         help="Make a virtual subject's BOLD of every logged run of all paradigms, and keep the truth beside it. "
              "Refused for volunteers."),
    Step(name="glm", title="GLM", product="betas", needs=("runs",), planner="analysis.glm.estimate:plan",
         help="Estimate the response to every image and presentation, in percent signal change. What was made of a "
              "session or a hemisphere and is current is reused."),
    Step(name="sample", title="surface time series", product="time series on the surface", needs=("any runs",),
         rehearsed=False, planner="analysis.data.series.sampling:plan",
         help="Sample preprocessed volumes (space-T1w) midway between white and pial surface, where fMRIPrep wrote no "
              "surface time series; the later steps then take them."),
    Step(name="flatten", title="flat maps", product="flat maps", needs=("any runs",), rehearsed=False,
         planner="analysis.regions.flat_maps:plan",
         help="Make the flat map of a preprocessed subject's surfaces, which fMRIPrep does not make: from FreeSurfer's "
              "flattened patch where there is one, else fsaverage's by the registration of spheres (sphere.reg)."),
    Step(name="design", title="design", product="design", needs=("runs",), rehearsed=False,
         planner="analysis.report.checks.design:plan",
         help="Say what the logged runs let one estimate, before there are any data: the labelled design as a table "
              "and a picture, its conditioning, the error that each beta and contrast will have, and which conditions "
              "cannot be cross-validated."),
    Step(name="apertures", title="apertures", product="contact sheets of apertures", needs=("mapping runs",),
         task="retinotopy", planner="analysis.report.figures.prf.sheets:plan",
         help="Draw what every retinotopy run showed, volume by volume, and name a movie that is shorter than its "
              "run."),
    Step(name="prf", title="pRF", product="receptive fields", needs=("mapping runs",), task="retinotopy",
         planner="analysis.regions.prf.run:plan",
         help="Fit population receptive fields to the retinotopy runs: angle, eccentricity, size and exponent at every "
              "vertex, from the apertures that were truly shown. An interrupted fit goes on where it stopped."),
    Step(name="propose", title="proposal", product="proposed regions", needs=("prf",), task="retinotopy",
         rehearsed=False, planner="analysis.report.regions.proposal:plan",
         help="Propose V1 to V4: an atlas's borders (roi.proposal_atlas; needs neuropythy), moved to the subject's own "
              "angle and eccentricity maps, as labels to look at, correct and take with `labels --from`."),
    Step(name="localizers", title="localizers", product="localized areas", needs=("localizer runs",), task="lo",
         planner="analysis.report.regions.localizers:plan",
         help="Find LO and hMT+ from the localizer runs: both contrasts, their thresholds, LO without what hMT+ holds "
              "too, how large they are and which labelled regions they overlap, as maps, tables and a picture."),
    Step(name="select", title="selection", product="selection of vertices", needs=("glm",),
         planner="analysis.report.regions.selection:plan",
         help="Write which vertices are chosen in each region, with the map of split-half reliability, disk sizes, "
              "what the other kind of disk would have chosen, and whether the choice biases a similarity."),
    Step(name="rsa", title="RSA", product="similarities", needs=("glm", "features"), planner="analysis.rsa.run:plan",
         options=("network",), whom="any",
         help="Compare RE with AN and AI images by their dissimilarities, in the brain and in the network. Without "
              "--sub: in the network alone."),
    Step(name="searchlight", title="searchlight", product="searchlight maps", needs=("glm",),
         planner="analysis.rsa.searchlight.run:plan",
         help="Map the similarities of RE with AN and AI images around every vertex of both hemispheres, on disks of "
              "the flattened cortex, with p on request (rsa.searchlight_permutations)."),
    Step(name="confounds", title="confounds", product="low-level similarities", needs=(), whom="none",
         planner="analysis.rsa.confounds:plan",
         help="Measure luminance, contrast, colour and spatial frequencies of the images by type, and compare RE with "
              "AN and AI images by pixels and by Gabor energies."),
    Step(name="robustness", title="robustness", product="robustness report", needs=("combinations",),
         whom="none", rehearsed=False, options=("hardware",), planner="analysis.report.robustness.run:plan",
         help="Make AN of other contrasts and AI towards other targets from the same RE, and say which of N1 to N3 "
              "hang on these choices, on where layers are read and on the reading of the last one. Takes minutes; a "
              "run that was cut short goes on where it was."),
    Step(name="encode", title="encoding", product="encoding models", needs=("glm", "features"),
         planner="analysis.encoding.run:plan", options=("network",),
         help="Train encoding models on RE images and test them on AN and AI images."),
    Step(name="compare", title="other models", product="comparison of models", needs=("glm", "features"),
         rehearsed=False, planner="analysis.encoding.comparison.run:plan", options=("network",),
         help="Hold ROMP against other linear models (comparison.models: ridge, banded ridge, orthogonal matching "
              "pursuit) on held-out RE images, each at its own best setting. No part of a result."),
    Step(name="predictivity", title="predictivity", product="predictivity", needs=("glm", "features"), rehearsed=False,
         planner="analysis.encoding.predictivity.run:plan", options=("network",),
         help="Say how well each layer of a network predicts each region's responses to images that the model has not "
              "seen: partial least squares with 25 components on ten splits, beside the ceiling that noise leaves."),
    Step(name="report", title="report", product="report",
         needs=("runs", "glm", "features", "rsa", "encode", "low level"),
         planner="analysis.report.page:plan", options=("network",), whom="all",
         help="Draw the figures, score the paper's claims, and write one HTML page. Every file is digested anew."),
)}

SET_REPORT = Step(
    name="report --network-only", title="report of the set", product="report", needs=("network half",), whom="all",
    planner="analysis.report.of_set.set_page:plan", help="As `report`, of the stimulus set and its network alone.")
"""What ``report --network-only`` runs: it needs no subject, and makes what it needs."""

PARTS = {SET_REPORT.name: SET_REPORT, **{f"robustness, {what}": Step(
    name="robustness", title=what, product=what, needs=(), whom="none", help="A part of `robustness`.",
    planner=f"analysis.report.robustness.run:plan_{what}") for what in ("variants", "combinations")}}
"""Steps that are no commands of their own: what others run."""
