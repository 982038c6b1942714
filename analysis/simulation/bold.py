"""A virtual subject: BOLD on a real cortical mesh from the logged events, with the ground truth kept.

``y_v(t) = mu_v (1 + (sum_c X_c(t) a_vc + drift_v(t) + noise_v(t)) / 100)``: X from the onsets as they were logged
(:mod:`analysis.glm.design`), the responses a of :mod:`analysis.simulation.ground_truth`, drifts and noise of
:mod:`analysis.simulation.noise`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from analysis.data.gifti import write_timeseries
from analysis.data.sources import surface_paths
from analysis.data.surface import Surface, save_surface
from analysis.data.template import RADIUS_MM, load_fsaverage5, occipital_patch
from analysis.data.timeseries import TASK, read_sessions
from analysis.glm.betas import BLANK, HEMISPHERES
from analysis.glm.design import Sampling, design_matrix, drift_degree, list_conditions
from analysis.regions.labels import ROIS, labels_path, write_labels
from analysis.regions.schematic import schematic_regions
from analysis.simulation.ground_truth import LAYERS, RESPONSE_MODEL, Truth, component_scores, draw_truth, shown_scores
from analysis.simulation.noise import autocorrelated_noise, drifts, smooth_maps, smoother
from stimuli.feature_store import open_store
from stimuli.manifest import read_manifest
from subjects.cli import ProgressWrapper, silent
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import digest_file, is_current, rng, sidecar
from subjects.run_key import RunKey
from subjects.settings.analysis import SimulateSettings
from subjects.settings.study import Settings
from subjects.store import whole_file

log = logging.getLogger(__name__)

SOURCE = "simulated"
SPACE = "occipital"
TUNING_SD_MM = 2.5
NOISE_SD_MM = 1.0
MEAN_SIGNAL = 800.0
MEAN_SIGNAL_SPREAD = 0.1

Sessions = Mapping[str, Mapping[int, pd.DataFrame]]


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What :func:`simulate_subject` did.

    Parameters
    ----------
    sub : str
    bold : tuple of Path
        Time series, one a run and hemisphere.
    truth : Path
        True responses; see :func:`load_truth`.
    n_vertices : mapping of str to int
        Hemisphere to size of its mesh; empty when reused.
    reused : bool
        Whether every file stood as it was made.
    """

    sub: str
    bold: tuple[Path, ...]
    truth: Path
    n_vertices: Mapping[str, int]
    reused: bool


@dataclass(frozen=True, eq=False)
class Hemisphere:
    """A virtual subject's hemisphere: mesh, regions, true responses and mean signal."""

    surface: Surface
    labels: NDArray[np.int16]
    truth: Truth
    mean_signal: NDArray[np.float32]
    noise_kernel: csr_array


def simulate_subject(layout: Layout, settings: Settings, *, sub: str, null: bool = False,
                     progress: ProgressWrapper = silent) -> Simulated:
    """Make a virtual subject's data from the runs that were logged.

    Parameters
    ----------
    layout : Layout
        A study with events tables, a manifest and the network's features.
    settings : Settings
        ``simulate``, ``scanner.tr_s``, ``stimuli.network`` and the study's seed.
    sub : str
    null : bool
        Make a subject that responds to every image alike.
    progress : ProgressWrapper

    Returns
    -------
    Simulated
        In ``derivatives/simulated``: meshes, region labels and BOLD as GIFTI, the true responses in
        ``sub-XX_truth.h5``, each with a sidecar. Nothing is made again that stands as it was made.

    Raises
    ------
    AnalysisError
        If there are no complete runs, or an image that was shown is not in the manifest.
    """
    sessions = read_sessions(layout, sub=sub)
    files = _files(layout, sessions, sub=sub)
    made_from: dict[str, Any] = {
        "inputs": _inputs(layout, settings, sessions, sub=sub), "parameters": _parameters(settings, null=null)}
    bold, truth_path = tuple(files["bold"].values()), files["truth"][""]
    if all(is_current(path, **made_from) for group in files.values() for path in group.values()):
        log.info("virtual sub-%s is current and is kept", sub)
        return Simulated(sub=sub, bold=bold, truth=truth_path, n_vertices={}, reused=True)
    describe_derivative(layout, SOURCE)
    hemispheres = build_hemispheres(layout, settings, sub=sub, null=null)
    _write_anatomy(layout, hemispheres, sub=sub)
    save_truth(truth_path, hemispheres)
    for (hemi, ses, run), path in progress(files["bold"].items(), label=f"BOLD sub-{sub}", total=len(files["bold"])):
        data = simulate_run(hemispheres[hemi], sessions[ses], ses=ses, run=run, settings=settings,
                            seed=(sub, ses, TASK, run, hemi))
        write_timeseries(path, data, hemi=hemi, tr_s=settings.scanner.tr_s, overwrite=True)
    _write_sidecars(files, made_from, tr_s=settings.scanner.tr_s)
    return Simulated(sub=sub, bold=bold, truth=truth_path, reused=False,
                     n_vertices={hemi: one.surface.n_vertices for hemi, one in hemispheres.items()})


def build_hemispheres(layout: Layout, settings: Settings, *, sub: str, null: bool = False) -> dict[str, Hemisphere]:
    """Draw a virtual subject: regions on the standard patch, tuning, mean signal."""
    manifest, store = read_manifest(layout.manifest), open_store(layout.features(settings.stimuli.network))
    base_images = tuple(manifest.base_images)
    ids = [manifest.get(base_image=name, type="RE").image_id for name in base_images]
    seed = settings.study.seed
    scores = {roi: shown_scores(component_scores(store.read(LAYERS[roi], image_ids=ids)),
                                rng=rng(seed, sub, "seen", roi)) for roi in ROIS}
    return {hemi: draw_hemisphere(surface, scores, base_images=base_images, settings=settings.simulate, null=null,
                                  generator=rng(seed, sub, hemi, "tuning"))
            for hemi, surface in load_fsaverage5().items()}


def draw_hemisphere(surface: Surface, scores: Mapping[str, Mapping[str, NDArray[np.float64]]], *,
                    base_images: tuple[str, ...], settings: SimulateSettings, null: bool,
                    generator: np.random.Generator) -> Hemisphere:
    """Draw one hemisphere of a virtual subject.

    Parameters
    ----------
    surface : Surface
        A whole hemisphere.
    scores : mapping
        Region to type to scores; see :func:`~analysis.simulation.ground_truth.shown_scores`.
    base_images : tuple of str
    settings : SimulateSettings
    null : bool
    generator : numpy.random.Generator
    """
    patch = occipital_patch(surface, subdivisions=settings.subdivisions)
    labels = schematic_regions(patch)
    kernel = smoother(patch, sd_mm=TUNING_SD_MM)
    truth = draw_truth(scores, base_images=base_images, labels=labels, kernel=kernel, null=null, rng=generator,
                       signal_pct=settings.signal_pct)
    mean = MEAN_SIGNAL * (1 + MEAN_SIGNAL_SPREAD * smooth_maps(1, kernel=kernel, rng=generator)[0])
    return Hemisphere(patch, labels, truth, mean, smoother(patch, sd_mm=NOISE_SD_MM))


def simulate_run(hemisphere: Hemisphere, events: Mapping[int, pd.DataFrame], *, ses: str, run: int,
                 settings: Settings, seed: tuple[str | int, ...]) -> NDArray[np.float32]:
    """Make one run's time series.

    Parameters
    ----------
    hemisphere : Hemisphere
    events : mapping of int to DataFrame
        Events tables of the session's runs.
    ses : str
    run : int
    settings : Settings
    seed : tuple of str or int
        What the noise is for.

    Returns
    -------
    float32 array, (n_volumes, n_vertices)
    """
    conditions = list_conditions(events, session=ses)
    sampling = Sampling(n_volumes=count_volumes(events[run]), tr_s=settings.scanner.tr_s)
    design = design_matrix(events[run], conditions=conditions, sampling=sampling).astype(np.float32)
    percent = design @ amplitudes(hemisphere.truth, conditions)
    generator, kernel, chosen = rng(settings.study.seed, *seed, "noise"), hemisphere.noise_kernel, settings.simulate
    degree = drift_degree(sampling, drift_minutes=settings.glm.drift_minutes)
    percent += np.float32(chosen.drift_sd_pct) * drifts(sampling.n_volumes, degree=degree, kernel=kernel, rng=generator)
    percent += np.float32(chosen.noise_sd_pct) * autocorrelated_noise(sampling.n_volumes, kernel=kernel,
                                                                      ar1=chosen.ar1, rng=generator)
    return hemisphere.mean_signal * (1 + percent / np.float32(100))


def count_volumes(events: pd.DataFrame) -> int:
    """Take a run's number of volumes from its log: the pulses counted, else those planned."""
    said = events.attrs
    found = said.get("n_pulses") or said.get("sidecar", {}).get("n_volumes")
    if not found:
        raise AnalysisError("events sidecar", came="neither n_pulses nor n_volumes", expected="how long the run was",
                            remedy="Make the events table again with `python run_session.py recover`.")
    return int(found)


def amplitudes(truth: Truth, conditions: pd.DataFrame) -> NDArray[np.float32]:
    """Give the true response to each condition, (n_conditions, n_vertices); 0 for blanks.

    Raises
    ------
    AnalysisError
        If a base image has no true response.
    """
    place = {name: k for k, name in enumerate(truth.base_images)}
    found = np.zeros((len(conditions), truth.responses["RE"].shape[1]), dtype=np.float32)
    for k, (kind, name) in enumerate(zip(conditions["type"], conditions["base_image"], strict=True)):
        if kind == BLANK:
            continue
        if name not in place:
            raise AnalysisError("events", came=f"base image {name!r}", expected="base images of the manifest",
                                remedy="Use the manifest that the runs were shown from.")
        found[k] = truth.responses[kind][place[name]]
    return found


def save_truth(path: Path, hemispheres: Mapping[str, Hemisphere]) -> Path:
    """Write the true responses, regions and mean signals of both hemispheres to HDF5."""
    with whole_file(path, overwrite=True) as beside, h5py.File(beside, "w") as file:
        file.attrs["unit"] = "percent signal change"
        for hemi, one in hemispheres.items():
            group = file.create_group(f"hemi-{hemi}")
            group.create_dataset("base_images", data=np.array(one.truth.base_images, dtype=h5py.string_dtype()))
            for kind, values in one.truth.responses.items():
                group.create_dataset(kind, data=values)
            group.create_dataset("labels", data=one.labels)
            group.create_dataset("mean_signal", data=one.mean_signal)
    return path


def load_truth(path: Path, *, hemi: str) -> Truth:
    """Read one hemisphere's true responses."""
    if not Path(path).is_file():
        raise AnalysisError(str(path), came="no such file", expected="a virtual subject's true responses",
                            remedy="Run `python -m analysis simulate` first.")
    with h5py.File(path) as file:
        group = file[f"hemi-{hemi}"]
        return Truth(tuple(group["base_images"].asstr()[:]), {kind: group[kind][:] for kind in ("RE", "AN", "AI")})


def _files(layout: Layout, sessions: Sessions, *, sub: str) -> dict[str, dict[Any, Path]]:
    """Name everything that is made: anatomy, truth, and BOLD by (hemi, ses, run)."""
    anatomy = {}
    for hemi in HEMISPHERES:
        for name, path in surface_paths(layout, source=SOURCE, sub=sub, hemi=hemi).items():
            anatomy[hemi, name] = path
        anatomy[hemi, "labels"] = labels_path(layout, source=SOURCE, sub=sub, hemi=hemi)
    bold = {(hemi, ses, run): layout.bold(SOURCE, key=RunKey(sub, ses, TASK, run), hemi=hemi, space=SPACE)
            for ses, runs in sessions.items() for run in runs for hemi in HEMISPHERES}
    return {"anatomy": anatomy, "truth": {"": layout.derivative(SOURCE, sub=sub, suffix="truth.h5")}, "bold": bold}


def _write_anatomy(layout: Layout, hemispheres: Mapping[str, Hemisphere], *, sub: str) -> None:
    for hemi, one in hemispheres.items():
        paths = surface_paths(layout, source=SOURCE, sub=sub, hemi=hemi)
        save_surface(one.surface, paths["midthickness"], flat_path=paths["flat"], overwrite=True)
        write_labels(labels_path(layout, source=SOURCE, sub=sub, hemi=hemi), one.labels, hemi=hemi, overwrite=True)


def _write_sidecars(files: Mapping[str, Mapping[Any, Path]], made_from: Mapping[str, Any], *, tr_s: float) -> None:
    for kind, group in files.items():
        said = {"RepetitionTime": tr_s, "StartTime": 0.0, "TaskName": TASK} if kind == "bold" else {}
        for path in group.values():
            sidecar(path, **made_from, extra={"Simulated": True, **said})


def _inputs(layout: Layout, settings: Settings, sessions: Sessions, *, sub: str) -> dict[str, str]:
    found = {"manifest": digest_file(layout.manifest),
             "features": digest_file(layout.features(settings.stimuli.network))}
    for ses, runs in sessions.items():
        for run in runs:
            events = layout.events(RunKey(sub, ses, TASK, run))
            found[f"ses-{ses}_run-{run}_events"] = digest_file(events)
            found[f"ses-{ses}_run-{run}_log"] = digest_file(events.with_suffix(".json"))
    return found


def _parameters(settings: Settings, *, null: bool) -> dict[str, Any]:
    constants = {"tuning_sd_mm": TUNING_SD_MM, "noise_sd_mm": NOISE_SD_MM, "mean_signal": MEAN_SIGNAL,
                 "mean_signal_spread": MEAN_SIGNAL_SPREAD, "radius_mm": RADIUS_MM, **RESPONSE_MODEL}
    return {"seed": settings.study.seed, "null": null, "tr_s": settings.scanner.tr_s, **constants,
            "drift_minutes": settings.glm.drift_minutes, **settings.simulate.model_dump(mode="json")}
