"""Everything that a report tells of, gathered from a study's files and checked to be there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.features import ChosenNetwork, choose_network
from analysis.data.sources import HEMISPHERES, SIMULATED, SubjectData, resolve_subject
from analysis.data.stimulus_set import stimuli_as_made
from analysis.data.surface import Surface
from analysis.encoding.files import read_selected
from analysis.glm.betas import load_betas
from analysis.glm.combining import missing_runs_of
from analysis.glm.denoising.files import PortionNoise, load_noise, load_snr
from analysis.glm.subject_runs import fit_entities, join_sessions
from analysis.regions.labels import Regions, read_regions
from analysis.report.figures.cortex.flatmap import FlatHemisphere
from analysis.report.figures.cortex.searchlight import SearchlightHemisphere, plan_searchlights, read_searchlight
from analysis.report.figures.prf.records import PrfRecord, plan_prf, read_prf
from analysis.report.regions.found import FoundRegions, plan_found, read_found
from analysis.rsa.confounds import low_level_files, read_low_level
from analysis.rsa.rdm import RDM, load_greatest, load_rdms
from analysis.statistics.correction import correct_subjects
from analysis.statistics.results import read_results
from analysis.steps import STEPS, Request, Work
from paradigms.runlog import is_complete, of_kind, read_events, read_journal
from stimuli.manifest import Manifest, read_manifest
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.settings.analysis import GlmSettings, PrfSettings, RoiSettings
from subjects.settings.study import Settings
from subjects.store import read_json


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One logged run.

    Parameters
    ----------
    key : RunKey
    events : DataFrame
        As :func:`paradigms.runlog.read_events` gives them.
    scanner, display : str
        What pulses and images went through; a dash where there is no journal beside the events.
    """

    key: RunKey
    events: pd.DataFrame
    scanner: str = "–"
    display: str = "–"

    @property
    def images(self) -> pd.DataFrame:
        """The trials that showed an image."""
        return self.events[self.events["trial_type"] != "blank"]

    @property
    def onset_errors_s(self) -> NDArray[np.float64]:
        """Actual minus planned onset of each image."""
        shown = self.images
        return (shown["onset"] - shown["onset_planned"]).to_numpy(dtype=np.float64)


@dataclass(frozen=True, eq=False)
class ExcerptRecord:
    """Some trials played at real pace in a real window, with key events sent to it.

    Parameters
    ----------
    onset_errors_s : float64 array, (n_images,)
        Actual minus planned onset.
    n_planned : int
        Images that should have been shown.
    logged, sent : mapping of str to int
        ``"pulses"`` and ``"presses"``: how many the journal holds, and how many were sent.
    """

    sub: str
    onset_errors_s: NDArray[np.float64]
    n_planned: int
    logged: Mapping[str, int]
    sent: Mapping[str, int]


@dataclass(frozen=True)
class GlmRecord:
    """How the model fitted one hemisphere.

    Parameters
    ----------
    conditions : mapping of str to int
        Session to number of conditions.
    r2 : mapping of str to float
        ``"all"`` and each region to the median share of variance explained.
    missing : str
        Planned sessions and runs that are not in the betas, in words; empty where all are.
    """

    sub: str
    hemi: str
    n_vertices: int
    n_silent: int
    conditions: Mapping[str, int]
    r2: Mapping[str, float]
    missing: str = ""


@dataclass(frozen=True, eq=False)
class DenoisingRecord:
    """What GLMdenoise found in some runs of a session.

    Parameters
    ----------
    ses : str
    noise : PortionNoise
    snr : mapping of str to tuple of float32 array, (n_vertices,)
        Hemisphere to signal over noise without and with components.
    """

    ses: str
    noise: PortionNoise
    snr: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

    @property
    def name(self) -> str:
        """The runs, for people."""
        return f"ses-{self.ses}" if self.noise.name == "all runs" else f"ses-{self.ses}, {self.noise.name}"

    @property
    def gains(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Signal over noise without and with components, both hemispheres' vertices behind one another."""
        before, after = (np.concatenate([self.snr[hemi][k] for hemi in HEMISPHERES]) for k in (0, 1))
        return before, after


@dataclass(frozen=True, eq=False)
class SubjectRecords:
    """All of one subject.

    `world` of a virtual one (:mod:`analysis.simulation.worlds`), None of a volunteer; `driver` is what drives its
    regions, in words; `dropped` where its simulated time series were dropped after the betas were estimated;
    `denoising` where GLMdenoise estimated them here; `prf` where its receptive fields were fitted;
    `searchlight` where its similarities were mapped; `greatest` where similarities are corrected by the largest of each
    permutation; `control` the similarities of a second selection (``rsa.control_vertices``), if there is one;
    `found` its localized areas and choice of vertices, where these were written; `regions` in the order of the labels'
    numbers, and which of the study's are `left_out`, and why.
    """

    sub: str
    source: str
    world: str | None
    dropped: bool
    runs: tuple[RunRecord, ...]
    excerpts: tuple[ExcerptRecord, ...]
    glm: tuple[GlmRecord, ...]
    flat: tuple[FlatHemisphere, ...]
    rsa: pd.DataFrame
    rdms: Mapping[str, RDM]
    encoding: pd.DataFrame
    hierarchy: pd.DataFrame
    regions: tuple[str, ...]
    left_out: Mapping[str, str]
    driver: str = ""
    prf: PrfRecord | None = None
    searchlight: tuple[SearchlightHemisphere, ...] = ()
    denoising: tuple[DenoisingRecord, ...] = ()
    greatest: NDArray[np.float64] | None = None
    control: pd.DataFrame | None = None
    found: FoundRegions = field(default_factory=FoundRegions)


@dataclass(frozen=True, eq=False)
class StudyRecords:
    """All that a report tells of.

    Parameters
    ----------
    about : ChosenNetwork
        The network that the results are about.
    network : DataFrame
        Similarities in it.
    files : tuple of Path
        The result files that were read, in the order in which they were made.
    low_level, measures : DataFrame
        Similarities of the images by pixels and by Gabor energies, and what was measured on every image.
    low_level_by : mapping of str to DataFrame
        Those similarities by the network of AN and AI, for a set of two networks.
    network_rdms : mapping of str to RDM
        ``"layer1/RE"`` and so on.
    """

    layout: Layout
    settings: Settings
    manifest: Manifest
    about: ChosenNetwork
    network: pd.DataFrame
    subjects: tuple[SubjectRecords, ...]
    files: tuple[Path, ...]
    low_level: pd.DataFrame
    measures: pd.DataFrame
    low_level_by: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    network_rdms: Mapping[str, RDM] = field(default_factory=dict)

    @property
    def simulated(self) -> tuple[str, ...]:
        """Subjects whose BOLD was simulated."""
        return tuple(one.sub for one in self.subjects if one.source == SIMULATED)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Subjects whose simulated time series were dropped."""
        return tuple(one.sub for one in self.subjects if one.dropped)

    @property
    def null(self) -> tuple[str, ...]:
        """Virtual subjects who respond to every image alike."""
        return tuple(one.sub for one in self.subjects if one.world == "null")

    @property
    def regions(self) -> tuple[str, ...]:
        """The study's regions that any subject has."""
        return tuple(roi for roi in self.settings.roi.regions if any(roi in one.regions for one in self.subjects))

    @property
    def brain(self) -> pd.DataFrame:
        """Similarities in the brain, all subjects; corrected over all of them where it is by the largest."""
        return correct_subjects([one.rsa for one in self.subjects], greatest=[one.greatest for one in self.subjects])

    @property
    def encoding(self) -> pd.DataFrame:
        """Encoding accuracies, all subjects."""
        return pd.concat([one.encoding for one in self.subjects], ignore_index=True)

    @property
    def hierarchy(self) -> pd.DataFrame:
        """Shares of vertices by the layer that predicts them best, all subjects."""
        return pd.concat([one.hierarchy for one in self.subjects], ignore_index=True)


def read_records(request: Request) -> StudyRecords:
    """Read a study's results, which :func:`~analysis.steps.run_step` has seen to be there and current.

    Raises
    ------
    StudyError
        If a file cannot be read.
    """
    layout, chosen = request.layout, request.settings
    network = choose_network(layout, request.network)
    works = {name: tuple(work for work in STEPS[name].plan(request) if not work.intermediate)
             for name in ("glm", "rsa", "encode")}
    by_subject = {sub: {name: next(work for work in found if work.sub == sub) for name, found in works.items()}
                  for sub in request.subjects}
    for work in works["rsa"]:
        if work.sub is not None and work.name.endswith("control"):
            by_subject[work.sub]["control"] = work
    for name, works_of in {"prf": plan_prf(request), "searchlight": plan_searchlights(request),
                           **plan_found(request)}.items():
        for sub, work in works_of.items():
            by_subject[sub][name] = work
    of_network = next(work for work in works["rsa"] if work.sub is None)
    found = tuple(_read_subject(resolve_subject(layout, sub=sub, pipeline=chosen.analysis.bold,
                                                space=chosen.analysis.space), by_subject[sub],
                                layout=layout, settings=chosen.prf, glm=chosen.glm, roi=chosen.roi)
                  for sub in request.progress(request.subjects, label="reading results", total=len(request.subjects)))
    made = [path for one in by_subject.values() for work in one.values() for path in work.files()]
    return StudyRecords(layout, settings_of_study(layout, chosen), read_manifest(layout.manifest), network,
                        read_results(of_network.outputs[0]), found,
                        (layout.manifest, network.features, of_network.outputs[0], *low_level_files(layout), *made),
                        *read_low_level(layout, network), network_rdms=load_rdms(of_network.outputs[1]))


def settings_of_study(layout: Layout, settings: Settings) -> Settings:
    """Give the settings under which a study was made: those of its set count as they did when it was built."""
    return settings.model_copy(update={"stimuli": stimuli_as_made(layout, settings.stimuli)})


def _read_subject(data: SubjectData, works: Mapping[str, Work], *, layout: Layout, settings: PrfSettings,
                  glm: GlmSettings, roi: RoiSettings) -> SubjectRecords:
    sessions = tuple(dict.fromkeys(key.ses for key in data.runs)) if glm.model == "glmdenoise" else ()
    regions = read_regions(data.labels, settings=roi, where=f"sub-{data.sub}")
    (table, layers, vertices), (rsa, rdms) = works["encode"].files(), works["rsa"].files()
    selected = read_selected(vertices)
    flat = tuple(_read_flat(data.load_surface(hemi), labels=regions.labels[hemi], selected=selected[hemi])
                 for hemi in HEMISPHERES)
    prf = read_prf(works["prf"], layout=layout, source=data.source, flat=flat, settings=settings) \
        if "prf" in works else None
    return SubjectRecords(
        data.sub, data.source, _world(layout, data), data.dropped,
        tuple(_read_run(layout, key) for key in data.runs), read_excerpts(layout, sub=data.sub),
        glm=tuple(_read_glm(path, regions=regions, sub=data.sub) for path in works["glm"].files()),
        searchlight=read_searchlight(works["searchlight"], flat=flat) if "searchlight" in works else (),
        found=read_found(works, flat=flat, regions=regions.names, min_disk=roi.min_disk), flat=flat, prf=prf,
        rsa=read_results(rsa), rdms=load_rdms(rdms), encoding=read_results(table),
        hierarchy=read_results(layers), greatest=load_greatest(rdms),
        control=read_results(works["control"].outputs[0]) if "control" in works else None,
        regions=regions.names, left_out=regions.left_out,
        driver=_driver(layout, data),
        denoising=read_denoising(layout, sub=data.sub, sessions=sessions, joint=glm.sessions == "joint"))


def _world(layout: Layout, data: SubjectData) -> str | None:
    if data.source != SIMULATED:
        return None
    record = layout.derivative(SIMULATED, sub=data.sub, suffix="truth.json")
    parameters = read_json(record).get("parameters", {})  # without the record nobody could tell null from signal
    said = parameters if isinstance(parameters, dict) else {}
    return "null" if said.get("null") else str(said.get("world", "paper"))


def _driver(layout: Layout, data: SubjectData) -> str:
    """Say what drives a virtual subject's regions; empty for a volunteer, and where the record does not say."""
    if data.source != SIMULATED:
        return ""
    said = read_json(layout.derivative(SIMULATED, sub=data.sub, suffix="truth.json"))
    if "Network" not in said:
        return ""
    layers = f"the layers of the network {said['Network']}"
    return f"Gabor energy, categories and {layers}" if said.get("Content") == "mixed" else layers


def _read_run(layout: Layout, key: RunKey) -> RunRecord:
    events = read_events(layout.events(key))
    attempt = int(events.attrs["sidecar"].get("Attempt", 1))
    journal = layout.journal(key, attempt=attempt)
    devices = of_kind(read_journal(journal), "devices") if journal.is_file() else []
    return RunRecord(key, events, *(str(devices[0][name]) if devices else "–"
                                    for name in ("scanner", "display")))


def read_excerpts(layout: Layout, *, sub: str) -> tuple[ExcerptRecord, ...]:
    """Read the excerpts of a subject that were played to their end; there need not be any."""
    found = []
    for path in sorted((layout.root / "sourcedata" / "excerpts").glob(f"sub-{sub}_*_journal.jsonl")):
        records = read_journal(path)
        sent = of_kind(records, "sent")
        if not (sent and is_complete(records)):
            continue
        errors = [flip["t"] - flip["planned"] for flip in of_kind(records, "flip") if flip["what"] == "on"]
        found.append(ExcerptRecord(
            sub, np.array(errors, dtype=np.float64), int(sent[-1]["planned"]),
            logged={"pulses": len(of_kind(records, "pulse")), "presses": len(of_kind(records, "press"))},
            sent={name: int(sent[-1][name]) for name in ("pulses", "presses")}))
    return tuple(found)


def _read_glm(path: Path, *, regions: Regions, sub: str) -> GlmRecord:
    betas = load_betas(path, sub=sub)
    drawn = regions.labels[betas.hemi]
    places = {"all": np.ones(len(drawn), dtype=bool),
              **{roi: drawn == k for k, roi in enumerate(regions.names, start=1)}}
    r2 = {name: float(np.median(betas.r2[inside & np.isfinite(betas.r2)])) for name, inside in places.items()
          if (inside & np.isfinite(betas.r2)).any()}
    counts = betas.conditions.groupby("session").size()
    return GlmRecord(sub, betas.hemi, len(betas.r2), int(np.count_nonzero(~np.isfinite(betas.r2))),
                     {str(session): int(n) for session, n in counts.items()}, r2,
                     missing_runs_of([path]).get("MissingRuns", ""))


def read_denoising(layout: Layout, *, sub: str, sessions: Sequence[str],
                   joint: bool = False) -> tuple[DenoisingRecord, ...]:
    """Read what GLMdenoise left of a subject; nothing where betas came from elsewhere.

    Raises
    ------
    AnalysisError
        If a file cannot be read.
    """
    found = []
    for group in join_sessions(tuple(sessions), joint=joint):
        ses, named = "+".join(group), fit_entities(group)
        path = layout.derivative("glm", sub=sub, suffix="denoise.h5", **named)
        responses = {hemi: layout.derivative("glm", sub=sub, hemi=hemi, suffix="responses.h5", **named)
                     for hemi in HEMISPHERES}
        if not all(one.is_file() for one in (path, *responses.values())):
            continue
        snr = {hemi: load_snr(one) for hemi, one in responses.items()}
        found += [DenoisingRecord(ses, one, {hemi: snr[hemi][one.name] for hemi in HEMISPHERES})
                  for one in load_noise(path)]
    return tuple(found)


def _read_flat(surface: Surface, *, labels: NDArray[np.int16],
               selected: Mapping[str, NDArray[np.int64]]) -> FlatHemisphere:
    return FlatHemisphere(surface.hemi, surface.flat, surface.faces, labels, selected,
                          distortion=surface.distortion().summary())
