"""What a run of any paradigm evokes in a hemisphere: images, localizer blocks, apertures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.simulation.brain.fields import Fields, drive
from analysis.simulation.brain.hemisphere import Hemisphere
from analysis.simulation.brain.localizers import neural_blocks
from analysis.simulation.hemodynamics import convolve_events
from stimuli.apertures import VolumeMasks
from subjects.run_key import RunKey

Percent = NDArray[np.float32]
Floats = NDArray[np.float64]
EVENT_S = 2.0
"""The duration of the event whose response to an image has the true size."""
LASTING_S = 16.0
"""The duration of lasting stimulation: blocks and apertures that stay so long evoke the true size."""


def evoke_images(hemisphere: Hemisphere, events: pd.DataFrame, *, volumes_s: Floats) -> Percent:
    """Add up the responses to the images of a run of the main experiment.

    Parameters
    ----------
    hemisphere : Hemisphere
    events : DataFrame
        The run's events table; rows without a base image (blanks) evoke nothing.
    volumes_s : float64 array, (n_volumes,)
        When volumes are taken, on the clock of the onsets.

    Returns
    -------
    float32 array, (n_volumes, n_vertices)
        Percent of the mean signal.
    """
    images = events[events["image_id"].notna()]
    names = list(zip(images["trial_type"], images["base_image"], strict=True))
    conditions = list(dict.fromkeys(names))
    sizes = np.stack([hemisphere.truth.response(kind, base_image) for kind, base_image in conditions])
    return convolve_events(sizes, which=np.array([conditions.index(name) for name in names]), volumes_s=volumes_s,
                           reference_s=EVENT_S, shapes=hemisphere.shapes,
                           onsets_s=images["onset"].to_numpy(np.float64),
                           durations_s=images["duration"].to_numpy(np.float64))


def evoke_blocks(hemisphere: Hemisphere, events: pd.DataFrame, *, volumes_s: Floats) -> Percent:
    """Add up the responses to the blocks of a localizer; see :func:`evoke_images`."""
    conditions, onsets, durations = neural_blocks(events)
    names = list(hemisphere.localizers)
    return convolve_events(np.stack([hemisphere.localizers[name] for name in names]),
                           which=np.array([names.index(name) for name in conditions], dtype=np.int64),
                           volumes_s=volumes_s, reference_s=LASTING_S, shapes=hemisphere.shapes, onsets_s=onsets,
                           durations_s=durations)


@dataclass(frozen=True, eq=False)
class Drives:
    """How the apertures of retinotopic runs drive a hemisphere; frames that come again are computed once.

    Parameters
    ----------
    fields : Fields
    """

    fields: Fields
    _known: dict[bytes, Percent] = field(default_factory=dict, repr=False)

    def of(self, movie: VolumeMasks) -> Percent:
        """Give the drive of each volume of a run, (n_volumes, n_vertices), 0 to 1."""
        masks = np.ascontiguousarray(movie.masks, dtype=np.float32)
        grid = movie.x_deg.tobytes() + movie.y_deg.tobytes()
        keys = [grid + mask.tobytes() for mask in masks]
        new = {key: k for k, key in enumerate(keys) if key not in self._known}
        if new:
            found = drive(self.fields, masks[list(new.values())], x_deg=movie.x_deg, y_deg=movie.y_deg)
            self._known.update(zip(new, found, strict=True))
        return np.stack([self._known[key] for key in keys])


def evoke_apertures(hemisphere: Hemisphere, movie: VolumeMasks, *, drives: Drives, volumes_s: Floats) -> Percent:
    """Add up the responses to the apertures of a retinotopic run; see :func:`evoke_images`.

    Parameters
    ----------
    hemisphere : Hemisphere
    movie : VolumeMasks
        The apertures that were shown, as the console exported them.
    drives : Drives
        Of this hemisphere's fields.
    volumes_s : float64 array, (n_volumes,)
    """
    sizes = drives.of(movie) * np.nan_to_num(hemisphere.fields.gain_pct).astype(np.float32)
    shown = np.flatnonzero(sizes.any(axis=1))
    return convolve_events(sizes[shown], volumes_s=volumes_s, reference_s=LASTING_S, shapes=hemisphere.shapes,
                           onsets_s=movie.tr_s * shown.astype(np.float64), durations_s=np.full(len(shown), movie.tr_s))


def evoke(hemisphere: Hemisphere, key: RunKey, *, events: pd.DataFrame, movies: Mapping[RunKey, VolumeMasks],
          drives: Drives, volumes_s: Floats) -> Percent:
    """Add up what a run evokes, by its paradigm.

    Parameters
    ----------
    hemisphere : Hemisphere
    key : RunKey
    events : DataFrame
        The run's events table.
    movies : mapping of RunKey to VolumeMasks
        The apertures of the retinotopic runs.
    drives : Drives
    volumes_s : float64 array, (n_volumes,)

    Returns
    -------
    float32 array, (n_volumes, n_vertices)
        Percent of the mean signal.
    """
    if key in movies:
        return evoke_apertures(hemisphere, movies[key], drives=drives, volumes_s=volumes_s)
    if key.task == "main":
        return evoke_images(hemisphere, events, volumes_s=volumes_s)
    return evoke_blocks(hemisphere, events, volumes_s=volumes_s)
