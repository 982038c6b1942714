"""Fields planted in degrees come back from the console's aperture movies; mirrored or turned movies are found out.

The responses are made without any movie: from the schedule's apertures step by step, point by point around the planted
centre, by what "a wedge of 90 degrees at 45 degrees" means.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from analysis.glm.design import Sampling
from analysis.glm.hrf import event_response
from analysis.regions.prf.design import Experiment, Run
from analysis.regions.prf.fit import fit_prf
from analysis.regions.prf.records import PrfFit
from analysis.regions.prf.stimulus import make_stimulus
from paradigms.tasks.aperture_movie import VARIANTS, movie
from paradigms.tasks.retinotopy import make_schedule
from paradigms.tasks.shown_apertures import ApertureMovie, aperture_movie
from subjects.run_key import RunKey
from subjects.settings.study import RetinotopySettings, Settings
from tests.analysis.regions.prf_cases import uncovered
from tests.paradigms.texture_rows import rows

ANGLES, ECCENTRICITIES = np.radians(45.0 * np.arange(8) + 10.0), (1.0, 2.5, 4.0)
X, Y = (np.outer(ECCENTRICITIES, way(ANGLES)).ravel() for way in (np.cos, np.sin))
SIGMA_DEG, EXPONENT = 0.7, 0.6
N_PX = 41


@lru_cache(maxsize=8)
def shown(variant: str) -> tuple[ApertureMovie, np.ndarray]:
    """Give a whole run's movie, and the planted responses at its volumes, (n_volumes, 24)."""
    settings = Settings(retinotopy=RetinotopySettings(runs=((variant,),)))
    made = make_schedule(settings, textures=rows(), key=RunKey("01", "01", "retinotopy", 1))
    drive = planted(variant, settings, n_volumes=made.n_volumes, tr_s=made.tr_s)
    return aperture_movie(made, section=settings.retinotopy, n=N_PX), drive


def planted(variant: str, settings: Settings, *, n_volumes: int, tr_s: float) -> np.ndarray:
    """Average each step's drive over the volume, and convolve."""
    section = settings.retinotopy
    played = movie(section, variant)
    share = np.linspace(0.02, 0.98, 25)
    radii, turns = np.meshgrid(np.sqrt(-2 * np.log(1 - share)), 2 * np.pi * np.arange(24) / 24)
    near_x, near_y = SIGMA_DEG * (radii * np.cos(turns)).ravel(), SIGMA_DEG * (radii * np.sin(turns)).ravel()
    drive = np.stack([uncovered(aperture, X[:, None] + near_x, Y[:, None] + near_y,
                                field_deg=section.field_deg).mean(axis=1) for aperture in played.apertures])
    steps = round(tr_s * section.step_hz)
    volumes = drive[played.index].reshape(n_volumes, steps, -1).mean(axis=1) ** EXPONENT
    times = tr_s * np.arange(n_volumes)
    return np.stack([event_response(time - times, duration_s=tr_s, planned_s=tr_s) for time in times]) @ volumes


def fitted(*variants: str, change: str = "none") -> PrfFit:
    """Fit the planted responses with the movies, as they are or changed."""
    runs, data, masks = [], [], []
    for variant in variants:
        made, series = shown(variant)
        masks.append(CHANGES[change](made.masks))
        runs.append(Run(sampling=Sampling(n_volumes=len(series), tr_s=made.tr_s)))
        data.append((100 + 3 * series).astype(np.float32))
    stimulus = make_stimulus(masks, x_deg=made.x_deg, y_deg=made.y_deg)
    return fit_prf(data, experiment=Experiment(stimulus=stimulus, runs=tuple(runs), frame_s=made.tr_s))


CHANGES = {
    "none": lambda masks: masks,
    "left for right": lambda masks: masks[:, :, ::-1],
    "upside down": lambda masks: masks[:, ::-1],
    "rows for columns": lambda masks: masks.transpose(0, 2, 1),
    "a quarter turn": lambda masks: np.rot90(masks, axes=(1, 2)),
}


def off_deg(found: PrfFit) -> np.ndarray:
    return np.hypot(found.x_deg - X, found.y_deg - Y)


@pytest.mark.parametrize("variants", [("bar",), ("mix",), ("wedge_ccw", "ring_expand"), ("wedge_cw", "ring_contract"),
                                      VARIANTS], ids="+".join)
def test_planted_fields_come_back_in_their_place(variants):
    found = fitted(*variants)
    assert found.r2.min() > 98
    assert off_deg(found).max() < 0.25
    assert np.median(off_deg(found)) < 0.1
    assert np.median(found.size_deg) == pytest.approx(SIGMA_DEG / np.sqrt(EXPONENT), rel=0.15)


@pytest.mark.parametrize("variant", ["wedge_ccw", "wedge_cw"])
def test_a_wedge_alone_tells_the_angle(variant):
    found = fitted(variant)
    turned = (found.angle_deg - np.degrees(np.arctan2(Y, X)) + 180) % 360 - 180
    assert np.abs(turned).max() < 5


@pytest.mark.parametrize("variant", ["ring_expand", "ring_contract"])
def test_a_ring_alone_tells_the_eccentricity(variant):
    found = fitted(variant)
    assert np.abs(found.eccentricity_deg - np.hypot(X, Y)).max() < 0.4


@pytest.mark.parametrize("change", sorted(set(CHANGES) - {"none"}))
@pytest.mark.parametrize("variants", [("bar",), ("mix",), ("wedge_ccw", "ring_expand")], ids="+".join)
def test_a_mirrored_or_turned_movie_is_found_out(variants, change):
    found = fitted(*variants, change=change)
    assert np.median(off_deg(found)) > 1.0
