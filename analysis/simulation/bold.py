r"""The step ``simulate``: BOLD on a real cortical mesh from the logged events, with the ground truth kept.

.. math::
    y_v(t) = \mu_v \left(1 + \frac{1}{100}\left(g \sum_j a_v(j) h_v(t - t_j) + n_v(t)\right)\right)

over the events j as they were logged: the responses a of :mod:`analysis.simulation.ground_truth`, the haemodynamic
response h of :mod:`analysis.simulation.hemodynamics`, with a lag and width of its own at every vertex, a gain g of the
session, and the noise n of :mod:`analysis.simulation.noise`. It shares no code with the GLM, the similarities and the
encoding models that are judged on it.
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
from analysis.data.timeseries import Sessions, count_volumes, label_part, read_sessions
from analysis.regions.labels import write_labels
from analysis.regions.schematic import schematic_regions
from analysis.simulation.ground_truth import RESPONSE_MODEL, Truth, choose_layers, draw_truth, score_regions
from analysis.simulation.hemodynamics import Shapes, convolve_events, draw_shapes
from analysis.simulation.noise import NoiseModel, draw_nuisances, make_noise, smooth_maps, smoother
from analysis.steps import Origin, Request, Work
from stimuli.manifest import read_manifest, read_pixels
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
FORMAT = FileFormat("true responses of a virtual subject", version=2)
EVENT_S = 2.0
"""The duration of the event whose response has the true size."""

Scores = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Region to type to scores; see :func:`~analysis.simulation.ground_truth.score_regions`."""


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the BOLD of each virtual subject."""
    chosen, network = request.settings, choose_network(request.layout)
    if request.null and request.world not in (None, "null"):
        raise AnalysisError("simulate", came=f"--null and --world {request.world}", expected="one of them",
                            remedy="Leave one out.")
    asked = "null" if request.null else request.world
    world = {"world": asked} if asked else {}
    virtual = [VirtualSubject(layout=request.layout, sub=sub, network=network, seed=chosen.study.seed,
                              settings=chosen.simulate.model_copy(update=world), tr_s=chosen.scanner.tr_s)
               for sub in request.subjects]
    return tuple(Work(name=f"sub-{one.sub}", sub=one.sub, outputs=one.files, origin=one.origin, make=one.make)
                 for one in virtual)


@dataclass(frozen=True, eq=False)
class Hemisphere:
    """A virtual subject's hemisphere: mesh, regions, true responses, mean signal, haemodynamic responses."""

    surface: Surface
    labels: NDArray[np.int16]
    truth: Truth
    mean_signal: NDArray[np.float32]
    shapes: Shapes
    noise_kernel: csr_array


@dataclass(frozen=True, kw_only=True)
class VirtualSubject:
    """The simulated data of one subject: meshes, region labels and BOLD as GIFTI, and the true responses.

    Parameters
    ----------
    layout : Layout
    sub : str
        Marked virtual in its profile.
    network : ChosenNetwork
        That the set was made with.
    settings : SimulateSettings
    seed : int
        The study's.
    tr_s : float
    """

    layout: Layout
    sub: str
    network: ChosenNetwork
    settings: SimulateSettings
    seed: int
    tr_s: float

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
        return Origin(inputs, {"seed": self.seed, "null": self.settings.world == "null", "tr_s": self.tr_s, **constants,
                               **self.settings.model_dump(mode="json")})

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Draw the subject; give what then makes the time series, which are too large to be held all at once."""
        require_virtual(load_profile(self.layout, self.sub), what="for simulated BOLD")
        store = open_features(self.network, study=self.layout.root)
        manifest = read_manifest(self.layout.manifest)
        ids = [manifest.get(base_image=name, type="RE").image_id for name in manifest.base_images]
        layers = {roi: store.read(layer, image_ids=ids) for roi, layer in choose_layers(store.layers).items()}
        scores = score_regions(manifest, world=self.settings.world, content=self.settings.content, layers=layers,
                               pictures=lambda one: read_pixels(self.layout.stimuli, one),
                               generator=lambda purpose: rng(self.seed, self.sub, "seen", purpose))
        hemispheres = {hemi: draw_hemisphere(surface, scores, base_images=tuple(manifest.base_images),
                                             settings=self.settings,
                                             generator=rng(self.seed, self.sub, hemi, "tuning"))
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
            write_timeseries(path, self.simulate(hemispheres[hemi], key=key, hemi=hemi), hemi=hemi, tr_s=self.tr_s,
                             overwrite=True)
        timing = {"RepetitionTime": self.tr_s, "StartTime": 0.0, "TaskName": TASK}
        said = {path: {"Simulated": True, **(timing if path in self.bold.values() else {})} for path in self.files}
        said[self.truth_path] |= {"Layers": dict(layers), "World": self.settings.world,
                                  "Content": self.settings.content}
        return said

    def simulate(self, hemisphere: Hemisphere, *, key: RunKey, hemi: str) -> NDArray[np.float32]:
        """Make one run's time series, (n_volumes, n_vertices)."""
        events, model = self.sessions[key.ses][key], noise_model(self.settings)
        purpose = (key.ses, TASK, key.run, *((key.part,) if key.part > 1 else ()))
        n_volumes = count_volumes(events)
        gain = 1 + self.settings.session_gain_sd * rng(self.seed, self.sub, key.ses, "gain").standard_normal()
        nuisances = draw_nuisances(n_volumes, model=model, tr_s=self.tr_s,
                                   rng=rng(self.seed, self.sub, *purpose, "nuisances"))
        percent = np.float32(gain) * evoked(hemisphere, events, n_volumes=n_volumes, tr_s=self.tr_s)
        percent += make_noise(nuisances, model=model, tr_s=self.tr_s, kernel=hemisphere.noise_kernel,
                              rng=rng(self.seed, self.sub, *purpose, hemi, "noise"))
        return hemisphere.mean_signal * (1 + percent / np.float32(100))


def noise_model(settings: SimulateSettings) -> NoiseModel:
    """Take the noise's part of the settings."""
    return NoiseModel(local_sd_pct=settings.noise_sd_pct, smooth_sd_pct=settings.smooth_sd_pct,
                      global_sd_pct=settings.global_sd_pct, ar1=settings.ar1, drift_sd_pct=settings.drift_sd_pct,
                      spikes=settings.spikes, spike_pct=settings.spike_pct)


def draw_hemisphere(surface: Surface, scores: Scores, *, base_images: tuple[str, ...],
                    settings: SimulateSettings, generator: np.random.Generator) -> Hemisphere:
    """Draw one hemisphere of a virtual subject.

    Parameters
    ----------
    surface : Surface
        A whole hemisphere.
    scores : Scores
    base_images : tuple of str
    settings : SimulateSettings
    generator : numpy.random.Generator
    """
    patch = occipital_patch(surface, subdivisions=settings.subdivisions)
    labels = schematic_regions(patch)
    kernel = smoother(patch, sd_mm=TUNING_SD_MM)
    truth = draw_truth(scores, base_images=base_images, labels=labels, kernel=kernel, rng=generator,
                       signal_pct=settings.signal_pct, tuning_sd_pct=settings.tuning_sd_pct)
    mean = MEAN_SIGNAL * (1 + MEAN_SIGNAL_SPREAD * smooth_maps(1, kernel=kernel, rng=generator)[0])
    shapes = draw_shapes(*smooth_maps(2, kernel=kernel, rng=generator), lag_sd_s=settings.hrf_lag_sd_s,
                         width_sd=settings.hrf_width_sd)
    return Hemisphere(patch, labels, truth, mean, shapes, smoother(patch, sd_mm=NOISE_SD_MM))


def evoked(hemisphere: Hemisphere, events: pd.DataFrame, *, n_volumes: int, tr_s: float) -> NDArray[np.float32]:
    """Add up the responses to a run's images.

    Parameters
    ----------
    hemisphere : Hemisphere
    events : DataFrame
        The run's events table; rows without a base image (blanks) evoke nothing.
    n_volumes : int
    tr_s : float

    Returns
    -------
    float32 array, (n_volumes, n_vertices)
        Percent of the mean signal.
    """
    images = events[events["image_id"].notna()]
    sizes = np.stack([hemisphere.truth.response(kind, base_image) for kind, base_image
                      in zip(images["trial_type"], images["base_image"], strict=True)])
    return convolve_events(sizes, volumes_s=tr_s * np.arange(n_volumes, dtype=np.float64), reference_s=EVENT_S,
                           shapes=hemisphere.shapes, onsets_s=images["onset"].to_numpy(np.float64),
                           durations_s=images["duration"].to_numpy(np.float64))


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
            group.create_dataset("hrf_lag_s", data=one.shapes.lag_s)
            group.create_dataset("hrf_width", data=one.shapes.width)
            group.create_dataset("mean_signal", data=one.mean_signal)
    return path


def load_truth(path: Path, *, hemi: str) -> Truth:
    """Read one hemisphere's true responses."""
    with read_hdf5(path, form=FORMAT, remedy="Run `python -m analysis simulate`.") as file:
        group = file[f"hemi-{hemi}"]
        return Truth(texts(group["base_images"]), {kind: group[kind][:] for kind in ("RE", "AN", "AI")})
