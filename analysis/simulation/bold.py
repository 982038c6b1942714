"""The step ``simulate``: BOLD on a real cortical mesh from the logged events, with the ground truth kept.

``y_v(t) = mu_v (1 + (sum_c X_c(t) a_vc + drift_v(t) + noise_v(t)) / 100)``: X from the onsets as they were logged
(:mod:`analysis.glm.design`), the responses a of :mod:`analysis.simulation.ground_truth`, drifts and noise of
:mod:`analysis.simulation.noise`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from analysis.data.features import ChosenNetwork, choose_network, open_features
from analysis.data.gifti import write_timeseries
from analysis.data.hdf5 import read_hdf5, text_array, texts, write_hdf5
from analysis.data.sources import HEMISPHERES, SIMULATED, TASK, labels_path, surface_paths
from analysis.data.surface import Surface, save_surface
from analysis.data.template import RADIUS_MM, load_fsaverage5, occipital_patch
from analysis.data.timeseries import Events, Sessions, count_volumes, join_parts, label_part, read_sessions
from analysis.glm.betas import BLANK
from analysis.glm.design import Sampling, design_matrix, drift_degree, list_conditions
from analysis.regions.labels import write_labels
from analysis.regions.schematic import schematic_regions
from analysis.simulation.ground_truth import (
    RESPONSE_MODEL,
    Truth,
    choose_layers,
    component_scores,
    draw_truth,
    shown_scores,
)
from analysis.simulation.noise import autocorrelated_noise, drifts, smooth_maps, smoother
from analysis.steps import Origin, Request, Work
from stimuli.feature_store import FeatureStore
from stimuli.manifest import Manifest, read_manifest
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import load_profile, require_virtual
from subjects.provenance import FileFormat, rng
from subjects.run_key import RunKey
from subjects.settings.analysis import SimulateSettings

SPACE = "occipital"
TUNING_SD_MM = 2.5
NOISE_SD_MM = 1.0
MEAN_SIGNAL = 800.0
MEAN_SIGNAL_SPREAD = 0.1
FORMAT = FileFormat("true responses of a virtual subject", version=1)

Scores = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Region to type to scores; see :func:`~analysis.simulation.ground_truth.shown_scores`."""


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the BOLD of each virtual subject."""
    chosen, network = request.settings, choose_network(request.layout)
    virtual = [VirtualSubject(layout=request.layout, sub=sub, null=request.null, network=network,
                              settings=chosen.simulate, seed=chosen.study.seed, tr_s=chosen.scanner.tr_s,
                              drift_minutes=chosen.glm.drift_minutes) for sub in request.subjects]
    return tuple(Work(name=f"sub-{one.sub}", sub=one.sub, outputs=one.files, origin=one.origin, make=one.make)
                 for one in virtual)


@dataclass(frozen=True, eq=False)
class Hemisphere:
    """A virtual subject's hemisphere: mesh, regions, true responses and mean signal."""

    surface: Surface
    labels: NDArray[np.int16]
    truth: Truth
    mean_signal: NDArray[np.float32]
    noise_kernel: csr_array


@dataclass(frozen=True, kw_only=True)
class VirtualSubject:
    """The simulated data of one subject: meshes, region labels and BOLD as GIFTI, and the true responses.

    Parameters
    ----------
    layout : Layout
    sub : str
        Marked virtual in its profile.
    null : bool
        A subject that responds to every image alike.
    network : ChosenNetwork
        That the set was made with.
    settings : SimulateSettings
    seed : int
        The study's.
    tr_s : float
    drift_minutes : float
        Minutes a degree of the drift polynomials.
    """

    layout: Layout
    sub: str
    null: bool
    network: ChosenNetwork
    settings: SimulateSettings
    seed: int
    tr_s: float
    drift_minutes: float

    @cached_property
    def sessions(self) -> Sessions:
        """The logged events."""
        return read_sessions(self.layout, sub=self.sub)

    @property
    def truth_path(self) -> Path:
        """The true responses; see :func:`load_truth`."""
        return self.layout.derivative(SIMULATED, sub=self.sub, suffix="truth.h5")

    @property
    def bold(self) -> dict[tuple[RunKey, str], Path]:
        """Run and hemisphere to time series."""
        keys = [key for runs in self.sessions.values() for key in runs]
        return {(key, hemi): self.layout.bold(SIMULATED, key=key, hemi=hemi, space=SPACE)
                for key in keys for hemi in HEMISPHERES}

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that is made."""
        anatomy = [path for hemi in HEMISPHERES for path in (*self._surfaces(hemi).values(), self._labels(hemi))]
        return (self.truth_path, *anatomy, *self.bold.values())

    def _surfaces(self, hemi: str) -> dict[str, Path]:
        return surface_paths(self.layout, source=SIMULATED, sub=self.sub, hemi=hemi)

    def _labels(self, hemi: str) -> Path:
        return labels_path(self.layout, source=SIMULATED, sub=self.sub, hemi=hemi)

    def origin(self, _: Path) -> Origin:
        """Say what all files are made from."""
        inputs: dict[str, Path | str] = {"manifest": self.layout.manifest, "features": self.network.features}
        for key in (key for runs in self.sessions.values() for key in runs):
            inputs[f"{label_part(key)}_events"] = self.layout.events(key)
            inputs[f"{label_part(key)}_log"] = self.layout.events_sidecar(key)
        constants = {"tuning_sd_mm": TUNING_SD_MM, "noise_sd_mm": NOISE_SD_MM, "mean_signal": MEAN_SIGNAL,
                     "mean_signal_spread": MEAN_SIGNAL_SPREAD, "radius_mm": RADIUS_MM, **RESPONSE_MODEL}
        return Origin(inputs, {"seed": self.seed, "null": self.null, "tr_s": self.tr_s, **constants,
                               "drift_minutes": self.drift_minutes, **self.settings.model_dump(mode="json")})

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Draw the subject; give what then makes the time series, which are too large to be held all at once."""
        require_virtual(load_profile(self.layout, self.sub), what="for simulated BOLD")
        store = open_features(self.network, study=self.layout.root)
        scores = score_regions(store, read_manifest(self.layout.manifest),
                               generator=lambda roi: rng(self.seed, self.sub, "seen", roi))
        base_images = tuple(read_manifest(self.layout.manifest).base_images)
        hemispheres = {hemi: draw_hemisphere(surface, scores, base_images=base_images, settings=self.settings,
                                             null=self.null, generator=rng(self.seed, self.sub, hemi, "tuning"))
                       for hemi, surface in load_fsaverage5().items()}
        return lambda: self._write(hemispheres, layers=choose_layers(store.layers), progress=progress)

    def _write(self, hemispheres: Mapping[str, Hemisphere], *, layers: Mapping[str, str],
               progress: ProgressWrapper) -> dict[Path, dict[str, Any]]:
        describe_derivative(self.layout, SIMULATED)
        for hemi, one in hemispheres.items():
            paths = self._surfaces(hemi)
            save_surface(one.surface, paths["midthickness"], flat_path=paths["flat"], overwrite=True)
            write_labels(self._labels(hemi), one.labels, hemi=hemi, overwrite=True)
        save_truth(self.truth_path, hemispheres)
        for (key, hemi), path in progress(self.bold.items(), label=f"BOLD sub-{self.sub}", total=len(self.bold)):
            data = simulate_run(hemispheres[hemi], self.sessions[key.ses], key=key, settings=self.settings,
                                tr_s=self.tr_s, drift_minutes=self.drift_minutes,
                                generator=rng(self.seed, self.sub, key.ses, TASK, key.run, hemi, "noise",
                                              *((key.part,) if key.part > 1 else ())))
            write_timeseries(path, data, hemi=hemi, tr_s=self.tr_s, overwrite=True)
        timing = {"RepetitionTime": self.tr_s, "StartTime": 0.0, "TaskName": TASK}
        said = {path: {"Simulated": True, **(timing if path in self.bold.values() else {})} for path in self.files}
        said[self.truth_path]["Layers"] = dict(layers)
        return said


def score_regions(store: FeatureStore, manifest: Manifest, *,
                  generator: Callable[[str], np.random.Generator]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Score the images by the layers that the regions follow.

    Parameters
    ----------
    store : FeatureStore
    manifest : Manifest
    generator : callable
        Region to the generator of its scores.
    """
    ids = [manifest.get(base_image=name, type="RE").image_id for name in manifest.base_images]
    return {roi: shown_scores(component_scores(store.read(layer, image_ids=ids)), rng=generator(roi))
            for roi, layer in choose_layers(store.layers).items()}


def draw_hemisphere(surface: Surface, scores: Scores, *, base_images: tuple[str, ...],
                    settings: SimulateSettings, null: bool, generator: np.random.Generator) -> Hemisphere:
    """Draw one hemisphere of a virtual subject.

    Parameters
    ----------
    surface : Surface
        A whole hemisphere.
    scores : Scores
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


def simulate_run(hemisphere: Hemisphere, events: Events, *, key: RunKey, tr_s: float,
                 settings: SimulateSettings, drift_minutes: float,
                 generator: np.random.Generator) -> NDArray[np.float32]:
    """Make one run's time series.

    Parameters
    ----------
    hemisphere : Hemisphere
    events : mapping of RunKey to DataFrame
        Events tables of the session's runs and parts of runs.
    key : RunKey
    tr_s : float
    settings : SimulateSettings
    drift_minutes : float
        Minutes a degree of the drift polynomials.
    generator : numpy.random.Generator
        Of the noise.

    Returns
    -------
    float32 array, (n_volumes, n_vertices)
    """
    conditions = list_conditions(join_parts(events), session=key.ses)
    sampling = Sampling(n_volumes=count_volumes(events[key]), tr_s=tr_s)
    design = design_matrix(events[key], conditions=conditions, sampling=sampling).astype(np.float32)
    percent = design @ amplitudes(hemisphere.truth, conditions)
    kernel, degree = hemisphere.noise_kernel, drift_degree(sampling, drift_minutes=drift_minutes)
    percent += np.float32(settings.drift_sd_pct) * drifts(sampling.n_volumes, degree=degree, kernel=kernel,
                                                          rng=generator)
    percent += np.float32(settings.noise_sd_pct) * autocorrelated_noise(sampling.n_volumes, kernel=kernel,
                                                                        ar1=settings.ar1, rng=generator)
    return hemisphere.mean_signal * (1 + percent / np.float32(100))


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
    with write_hdf5(path, form=FORMAT, overwrite=True) as file:
        file.attrs["unit"] = "percent signal change"
        for hemi, one in hemispheres.items():
            group = file.create_group(f"hemi-{hemi}")
            group.create_dataset("base_images", data=text_array(one.truth.base_images))
            for kind, values in one.truth.responses.items():
                group.create_dataset(kind, data=values)
            group.create_dataset("labels", data=one.labels)
            group.create_dataset("mean_signal", data=one.mean_signal)
    return path


def load_truth(path: Path, *, hemi: str) -> Truth:
    """Read one hemisphere's true responses."""
    with read_hdf5(path, form=FORMAT, remedy="Run `python -m analysis simulate`.") as file:
        group = file[f"hemi-{hemi}"]
        return Truth(texts(group["base_images"]), {kind: group[kind][:] for kind in ("RE", "AN", "AI")})
