"""One hemisphere of a virtual subject: mesh, areas, true responses, receptive fields, mean signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.sparse import csr_array

from analysis.data.surface import Surface
from analysis.regions.labels import ROIS
from analysis.simulation.brain.fields import FieldMap, Fields, size_fields
from analysis.simulation.brain.localizers import IMAGE_SHARE, localizer_responses
from analysis.simulation.brain.meshes import Anatomy
from analysis.simulation.ground_truth import MEAN_SPREAD, Truth, draw_truth
from analysis.simulation.hemodynamics import Shapes, draw_shapes
from analysis.simulation.noise import smooth_maps
from subjects.settings.analysis import SimulateSettings

MEAN_SIGNAL = 800.0
MEAN_SIGNAL_SPREAD = 0.1

Scores = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Region to type to scores; see :func:`~analysis.simulation.ground_truth.score_regions`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Hemisphere:
    """A virtual subject's hemisphere.

    Parameters
    ----------
    surface : Surface
    place : FieldMap
        Areas, and where in the visual field each vertex looks.
    truth : Truth
        Responses to the images of the main experiment.
    fields : Fields
        Population receptive fields.
    localizers : mapping of str to float32 array, (n_vertices,)
        Responses to the conditions of the localizers; see
        :func:`~analysis.simulation.brain.localizers.localizer_responses`.
    mean_signal : float32 array, (n_vertices,)
        0 where there is no signal.
    shapes : Shapes
        Haemodynamic responses.
    noise_kernel : csr_array
    """

    surface: Surface
    place: FieldMap
    truth: Truth
    fields: Fields
    localizers: Mapping[str, NDArray[np.float32]]
    mean_signal: NDArray[np.float32]
    shapes: Shapes
    noise_kernel: csr_array

    @property
    def labels(self) -> NDArray[np.int16]:
        """Regions of interest by their numbers: LO without what it shares with hMT+, as the study defines it."""
        return np.where(self.place.motion | (self.place.areas > len(ROIS)), 0, self.place.areas).astype(np.int16)

    @property
    def objects(self) -> NDArray[np.bool_]:
        """Vertices of LO, its overlap with hMT+ included."""
        return np.asarray(self.place.areas == ROIS.index("LO") + 1)


def draw_hemisphere(anatomy: Anatomy, scores: Scores, *, base_images: tuple[str, ...],
                    settings: SimulateSettings, generator: Generator) -> Hemisphere:
    """Draw one hemisphere of a virtual subject.

    Parameters
    ----------
    anatomy : Anatomy
    scores : Scores
    base_images : tuple of str
    settings : SimulateSettings
    generator : numpy.random.Generator
    """
    place, kernel = anatomy.place, anatomy.tuning_kernel
    regions = np.where(place.areas > len(ROIS), 0, place.areas).astype(np.int16)
    truth = draw_truth(scores, base_images=base_images, labels=regions, kernel=kernel, rng=generator,
                       signal_pct=settings.signal_pct, tuning_sd_pct=settings.tuning_sd_pct)
    mean = MEAN_SIGNAL * (1 + MEAN_SIGNAL_SPREAD * smooth_maps(1, kernel=kernel, rng=generator)[0])
    mean[anatomy.silent] = 0
    shapes = draw_shapes(*smooth_maps(2, kernel=kernel, rng=generator), lag_sd_s=settings.hrf_lag_sd_s,
                         width_sd=settings.hrf_width_sd)
    maps = smooth_maps(5, kernel=kernel, rng=generator)
    size = (settings.signal_pct * np.maximum(1 + MEAN_SPREAD * maps[4], 0.2)).astype(np.float32)
    if settings.dead_vertices > 0:
        dropout = smooth_maps(1, kernel=kernel, rng=generator)[0]
        mean = np.where(dropout <= np.quantile(dropout, settings.dead_vertices), 0, mean).astype(np.float32)
    only_motion = place.areas > len(ROIS)
    for responses in truth.responses.values():
        responses[:, only_motion] = IMAGE_SHARE * size[only_motion]
    return Hemisphere(surface=anatomy.surface, place=place, truth=truth,
                      fields=size_fields(place, gain_pct=settings.signal_pct, maps=maps[:4]),
                      localizers=localizer_responses(place, mean_pct=size), mean_signal=mean, shapes=shapes,
                      noise_kernel=anatomy.noise_kernel)
