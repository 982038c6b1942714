r"""The step ``simulate``: BOLD on a real cortical mesh from the logged events, with the ground truth kept.

.. math::
    y_v(t) = \mu_v \left(1 + \frac{1}{100}\left(g \sum_j a_v(j) h_v(t - t_j) + n_v(t)\right)\right)

over the events j of every run of every paradigm as they were logged: images, blocks of the localizers, and the
apertures that the console exported (:mod:`analysis.simulation.evoked`). The responses a are those of
:mod:`analysis.simulation.ground_truth` and :mod:`analysis.simulation.brain`, h the haemodynamic response of
:mod:`analysis.simulation.hemodynamics`, with a lag and width of its own at every vertex, g a gain of the session, and n
the noise of :mod:`analysis.simulation.noise`. It shares no code with the GLM, the similarities and the encoding models
that are judged on it.

Time series are named ``sub-XX_ses-XX_task-TASK_run-N_hemi-H_space-fsaverage5_den-occipitalN_bold.func.gii`` in
``derivatives/simulated/sub-XX/ses-XX/func``; ``den`` says that the mesh is the occipital patch of fsaverage5, its
triangles split N times. On the whole template (``simulate.mesh = "fsaverage5"``) it is
``space-fsaverage5_bold.func.gii``, on a FreeSurfer subject's patch ``space-fsnative_den-occipital_bold.func.gii``
(:mod:`analysis.simulation.brain.meshes`). The truth is in one file, see :mod:`analysis.simulation.truth_file`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.data.features import ChosenNetwork, choose_network, open_features
from analysis.data.gifti import write_timeseries
from analysis.data.sources import HEMISPHERES, SIMULATED, TASK, labels_path, surface_paths
from analysis.data.surface import save_surface
from analysis.data.template import RADIUS_MM
from analysis.data.timeseries import count_volumes, label_part, read_sessions
from analysis.regions.labels import write_labels
from analysis.simulation.brain.hemisphere import (
    MEAN_SIGNAL,
    MEAN_SIGNAL_SPREAD,
    Hemisphere,
    draw_hemisphere,
)
from analysis.simulation.brain.meshes import NOISE_SD_MM, TUNING_SD_MM, anatomy, mesh_names, surface_files
from analysis.simulation.confounds import confounds_table, measure_cortex
from analysis.simulation.evoked import Drives, evoke
from analysis.simulation.ground_truth import RESPONSE_MODEL, choose_layers, score_regions
from analysis.simulation.hemodynamics import Shape
from analysis.simulation.noise import NoiseModel, Nuisances, draw_nuisances, make_noise
from analysis.simulation.reliability import fit_session, scale_noise
from analysis.simulation.truth_file import save_truth
from analysis.steps import Origin, Request, Work
from stimuli.apertures import VolumeMasks, read_volume_masks
from stimuli.manifest import read_manifest, read_pixels
from subjects.cli import ProgressWrapper
from subjects.dataset import describe_derivative
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.profile import load_profile, require_virtual
from subjects.provenance import rng
from subjects.run_key import RunKey
from subjects.settings.analysis import SimulateSettings
from subjects.store import read_json, write_table

RETINOTOPY = "retinotopy"
TASKS = (TASK, RETINOTOPY, "lo", "motion")
"""The paradigms whose runs are simulated."""
_EVERY = 16  # of so many vertices one is looked at for the table of confounds


def plan(request: Request) -> tuple[Work, ...]:
    """Plan the BOLD of each virtual subject."""
    chosen = request.settings
    network = choose_network(request.layout, chosen.simulate.network or None)
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


@dataclass(frozen=True, kw_only=True)
class VirtualSubject:
    """The simulated data of one subject: meshes, region labels and BOLD as GIFTI, and the true responses.

    Parameters
    ----------
    layout : Layout
    sub : str
        Marked virtual in its profile.
    network : ChosenNetwork
        Whose layers the regions follow: by default the one that the set was made with.
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
    def runs(self) -> dict[RunKey, pd.DataFrame]:
        """Run, or part of one, to its logged events, of every paradigm that was played."""
        played = [task for task in TASKS if self.layout.find_runs(self.sub, task)] or [TASK]
        sessions = [one for task in played for one in read_sessions(self.layout, sub=self.sub, task=task).values()]
        return {key: events for session in sessions for key, events in session.items()}

    @property
    def truth_path(self) -> Path:
        """The truth; see :mod:`analysis.simulation.truth_file`."""
        return self.layout.derivative(SIMULATED, sub=self.sub, suffix="truth.h5")

    @property
    def bold(self) -> dict[tuple[RunKey, str], Path]:
        """Run and hemisphere to time series."""
        space, density = mesh_names(self.settings.mesh, subdivisions=self.settings.subdivisions)
        return {(key, hemi): self.layout.bold(SIMULATED, key=key, hemi=hemi, space=space, den=density)
                for key in self.runs for hemi in HEMISPHERES}

    @property
    def apertures(self) -> dict[RunKey, Path]:
        """Retinotopic run to the apertures that it showed, as the console exported them."""
        return {key: self.layout.derivative("apertures", sub=key.sub, suffix="apertures.npz", ses=key.ses,
                                            task=key.task, run=key.run) for key in self.runs if key.task == RETINOTOPY}

    @property
    def confounds(self) -> dict[RunKey, Path]:
        """Run to its table of confounds."""
        return {key: self.layout.confounds(SIMULATED, key) for key in self.runs}

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that is made."""
        anatomy = [path for hemi in HEMISPHERES for path in (*self._surfaces(hemi).values(), self._labels(hemi))]
        return (self.truth_path, *anatomy, *self.bold.values(), *self.confounds.values())

    @cached_property
    def noise(self) -> NoiseModel:
        """The noise: as set, or scaled to the reliability that is asked for."""
        model, asked = noise_model(self.settings), self.settings.reliability
        if asked is None:
            return model
        main = [key for key in self.runs if key.task == TASK]
        if not main:
            raise AnalysisError("simulate.reliability", came=f"no run of the main experiment of sub-{self.sub}",
                                expected="one at least: reliability is that of its images",
                                remedy="Play one, or unset simulate.reliability.")
        first = [(self.runs[key], count_volumes(self.runs[key])) for key in main if key.ses == main[0].ses]
        shapes = [Shape(lag_s=far * self.settings.hrf_lag_sd_s) for far in (-1.2, 0.0, 1.2)]
        fitted = fit_session(first, model=model, tr_s=self.tr_s, shapes=shapes, signal_pct=self.settings.signal_pct,
                             tuning_sd_pct=self.settings.tuning_sd_pct, rng=rng(self.seed, self.sub, "reliability"))
        try:
            return scale_noise(model, reliability=asked, fitted=fitted)
        except ValueError as error:
            raise AnalysisError("simulate.reliability", came=str(error), expected="noise, tuning, and less than that",
                                remedy="Ask for less, or set tuning_sd_pct and the parts of the noise.") from error

    def _surfaces(self, hemi: str) -> dict[str, Path]:
        return surface_paths(self.layout, source=SIMULATED, sub=self.sub, hemi=hemi)

    def _labels(self, hemi: str) -> Path:
        return labels_path(self.layout, source=SIMULATED, sub=self.sub, hemi=hemi)

    def origin(self, _: Path) -> Origin:
        """Say what all files are made from."""
        inputs: dict[str, Path | str] = {"manifest": self.layout.manifest, "features": self.network.features,
                                        **surface_files(self.settings.mesh)}
        for key in self.runs:
            name = label_part(key) if key.task == TASK else f"task-{key.task}_{label_part(key)}"
            inputs[f"{name}_events"] = self.layout.events(key)
            inputs[f"{name}_log"] = self.layout.events_sidecar(key)
            if key in self.apertures:
                inputs[f"{name}_apertures"] = self.apertures[key]
        constants = {"tuning_sd_mm": TUNING_SD_MM, "noise_sd_mm": NOISE_SD_MM, "mean_signal": MEAN_SIGNAL,
                     "mean_signal_spread": MEAN_SIGNAL_SPREAD, "radius_mm": RADIUS_MM, **RESPONSE_MODEL}
        return Origin(inputs, {"seed": self.seed, "null": self.settings.world == "null", "tr_s": self.tr_s, **constants,
                               **self.settings.model_dump(mode="json")})

    def make(self, progress: ProgressWrapper) -> Callable[[], dict[Path, dict[str, Any]]]:
        """Draw the subject; give what then makes the time series, which are too large to be held all at once."""
        require_virtual(load_profile(self.layout, self.sub), what="for simulated BOLD")
        store = open_features(self.network, study=self.layout.root)
        manifest = read_manifest(self.layout.manifest).shown_to(self.sub)
        ids = [manifest.get(base_image=name, type="RE").image_id for name in manifest.base_images]
        layers = {roi: store.read(layer, image_ids=ids) for roi, layer in choose_layers(store.layers).items()}
        scores = score_regions(manifest, world=self.settings.world, content=self.settings.content, layers=layers,
                               pictures=lambda one: read_pixels(self.layout.stimuli, one),
                               generator=lambda purpose: rng(self.seed, self.sub, "seen", purpose))
        movies = {key: read_volume_masks(path) for key, path in self.apertures.items()}
        chosen = self.settings
        meshes = {hemi: anatomy(hemi, mesh=chosen.mesh, atlas=chosen.atlas, subdivisions=chosen.subdivisions)
                  for hemi in HEMISPHERES}
        hemispheres = {hemi: draw_hemisphere(mesh, scores, base_images=tuple(manifest.base_images), settings=chosen,
                                             generator=rng(self.seed, self.sub, hemi, "tuning"))
                       for hemi, mesh in meshes.items()}
        about = {"Network": self.network.name, "Layers": choose_layers(store.layers), "World": chosen.world,
                 "Content": chosen.content, "Noise": asdict(self.noise)}
        return lambda: self._write(hemispheres, movies, about=about, progress=progress)

    def _write(self, hemispheres: Mapping[str, Hemisphere], movies: Mapping[RunKey, VolumeMasks], *,
               about: Mapping[str, Any], progress: ProgressWrapper) -> dict[Path, dict[str, Any]]:
        describe_derivative(self.layout, SIMULATED)
        self._remove_others()
        for hemi, one in hemispheres.items():
            paths = self._surfaces(hemi)
            save_surface(one.surface, paths["midthickness"], flat_path=paths["flat"], overwrite=True)
            write_labels(self._labels(hemi), one.labels, hemi=hemi, overwrite=True)
        save_truth(self.truth_path, hemispheres)
        said: dict[Path, dict[str, Any]] = {path: {"Simulated": True} for path in self.files}
        said[self.truth_path] |= about
        drives, samples = {hemi: Drives(one.fields) for hemi, one in hemispheres.items()}, list[NDArray[np.float32]]()
        for (key, hemi), path in progress(self.bold.items(), label=f"BOLD sub-{self.sub}", total=len(self.bold)):
            made = self.simulate(hemispheres[hemi], key=key, movies=movies, drives=drives[hemi])
            write_timeseries(path, made, hemi=hemi, tr_s=self.tr_s, overwrite=True)
            said[path] |= {"RepetitionTime": self.tr_s, "StartTime": self._start_s, "SliceTimingCorrected": True,
                           "TaskName": key.task, "Density": f"{self.settings.mesh}, {made.shape[1]} vertices"}
            samples = [*samples, made[:, ::_EVERY].copy()]
            if hemi == HEMISPHERES[-1]:
                said[self.confounds[key]] |= self._write_confounds(key, samples)
                samples = []
        return said

    @property
    def _start_s(self) -> float:
        return self.settings.slice_time_ref * self.tr_s

    def _write_confounds(self, key: RunKey, series: list[NDArray[np.float32]]) -> dict[str, Any]:
        table, said = confounds_table(self._nuisances(key), measure_cortex(series), model=self.noise, tr_s=self.tr_s,
                                      rng=rng(self.seed, self.sub, *_purpose(key), "confounds"))
        write_table(self.confounds[key], table, overwrite=True)
        return said

    def _remove_others(self) -> None:
        """Remove what an earlier simulation left of other runs or under other names, such as those of another mesh."""
        own = {*self.bold.values(), *self.confounds.values()}
        folder = self.layout.derivatives(SIMULATED) / f"sub-{self.sub}"
        for kind, ending in (("bold", ".func.gii"), ("timeseries", ".tsv")):
            for beside in folder.glob(f"ses-*/func/*_{kind}.json"):
                path = beside.with_name(beside.name.replace(".json", ending))
                if path not in own and read_json(beside).get("Simulated") is True:
                    path.unlink(missing_ok=True)
                    beside.unlink()

    def simulate(self, hemisphere: Hemisphere, *, key: RunKey, movies: Mapping[RunKey, VolumeMasks],
                 drives: Drives) -> NDArray[np.float32]:
        """Make one run's time series, (n_volumes, n_vertices)."""
        events, hemi = self.runs[key], hemisphere.surface.hemi
        gain, offset = (1 + sd * rng(self.seed, self.sub, key.ses, name).standard_normal() for sd, name in (
            (self.settings.session_gain_sd, "gain"), (self.settings.session_offset_sd, "offset")))
        percent = evoke(hemisphere, key, events=events, movies=movies, drives=drives,
                        volumes_s=self._start_s + self.tr_s * np.arange(count_volumes(events), dtype=np.float64))
        percent *= np.float32(gain)
        percent += make_noise(self._nuisances(key), model=self.noise, tr_s=self.tr_s, kernel=hemisphere.noise_kernel,
                              rng=rng(self.seed, self.sub, *_purpose(key), hemi, "noise"))
        percent *= np.float32(0.01)
        percent += np.float32(1)
        percent *= np.float32(offset) * hemisphere.mean_signal
        return percent

    def _nuisances(self, key: RunKey) -> Nuisances:
        """Draw what happens to the whole head in a run; the same whenever it is asked for."""
        return draw_nuisances(count_volumes(self.runs[key]), model=self.noise, tr_s=self.tr_s,
                              rng=rng(self.seed, self.sub, *_purpose(key), "nuisances"))


def _purpose(key: RunKey) -> tuple[str | int, ...]:
    return (key.ses, key.task, key.run, *((key.part,) if key.part > 1 else ()))


def noise_model(settings: SimulateSettings) -> NoiseModel:
    """Take the noise's part of the settings."""
    return NoiseModel(local_sd_pct=settings.noise_sd_pct, smooth_sd_pct=settings.smooth_sd_pct,
                      global_sd_pct=settings.global_sd_pct, ar1=settings.ar1, drift_sd_pct=settings.drift_sd_pct,
                      spikes=settings.spikes, spike_pct=settings.spike_pct, motion_mm=settings.motion_mm,
                      motion_pct=settings.motion_pct, n_unsteady=settings.unsteady)
