"""Receptive fields: an ordered map with the reversals of real ones, and drives against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from analysis.simulation.brain.fields import (
    AREAS,
    EXPONENTS,
    SIZE_AT_FIXATION_DEG,
    SIZE_SLOPES,
    Fields,
    drive,
    eccentricity,
    size_fields,
)
from analysis.simulation.brain.meshes import Anatomy
from analysis.simulation.brain.meshes import anatomy as make_anatomy
from stimuli.apertures import Wedge, degree_grid, mask


@pytest.fixture(scope="module", params=["L", "R"])
def anatomy(request: pytest.FixtureRequest) -> Anatomy:
    return make_anatomy(request.param, mesh="occipital", atlas="analytic", subdivisions=0)


def elevation_deg(anatomy: Anatomy) -> np.ndarray:
    place = anatomy.place
    return np.degrees(np.arctan2(place.y_deg, np.abs(place.x_deg)))


def test_a_hemisphere_sees_the_other_side(anatomy):
    side = 1 if anatomy.surface.hemi == "L" else -1
    inside = anatomy.place.areas > 0
    assert (side * anatomy.place.x_deg[inside] >= -1e-9).all()
    assert np.isnan(anatomy.place.x_deg[~inside]).all()
    for k, name in enumerate(AREAS, start=1):
        assert (anatomy.place.areas == k).sum() > 10, name


def test_magnification_is_horton_and_hoyts():
    """dE/ds is the inverse of 17.3 / (E + .75) mm a degree everywhere."""
    place = np.linspace(0, 60, 601)
    degrees = eccentricity(place)
    slope = np.gradient(degrees, place)[1:-1]
    assert slope == pytest.approx((degrees[1:-1] + 0.75) / 17.3, rel=1e-3)
    assert eccentricity(-place) == pytest.approx(degrees)


def test_polar_angle_turns_back_at_every_border(anatomy):
    """Dorsal is the lower field; V1 meets V2 at the vertical meridian, V2 meets V3 at the horizontal one."""
    height, elevation, areas = anatomy.surface.flat[:, 1], elevation_deg(anatomy), anatomy.place.areas
    early = (areas > 0) & (areas <= 3)
    pole = anatomy.surface.flat[np.argmin(anatomy.surface.vertices[:, 1]), 1]
    dorsal = height > pole
    assert (elevation[early & dorsal] <= 1e-9).all()
    assert (elevation[early & ~dorsal] >= -1e-9).all()
    a, b = anatomy.surface.edges.T
    far = np.hypot(anatomy.place.x_deg, anatomy.place.y_deg) > 1
    def border(first: int, second: int) -> np.ndarray:
        both = ((areas[a] == first) & (areas[b] == second)) | ((areas[b] == first) & (areas[a] == second))
        both &= far[a] & far[b]
        assert both.sum() > 10
        return np.abs(elevation[np.concatenate([a[both], b[both]])])
    assert np.median(border(1, 2)) > 70
    assert np.median(border(2, 3)) < 25
    assert np.abs(elevation[(areas == 4)]).max() > 70


def test_neighbours_look_at_neighbouring_places(anatomy):
    a, b = anatomy.surface.edges.T
    place = anatomy.place
    same = (place.areas[a] == place.areas[b]) & (place.areas[a] > 0)
    step = np.hypot(place.x_deg[a] - place.x_deg[b], place.y_deg[a] - place.y_deg[b])[same]
    away = np.hypot(place.x_deg[a], place.y_deg[a])[same]
    assert np.percentile(step / (away + 0.75), 95) < 1.0


def test_lo_and_motion_area_overlap(anatomy):
    place = anatomy.place
    lo, motion = place.areas == AREAS.index("LO") + 1, place.motion
    assert 10 < (lo & motion).sum() < 0.3 * lo.sum()
    assert (motion & ~lo).sum() > 10
    assert set(np.unique(place.areas[motion])) == {AREAS.index("LO") + 1, len(AREAS)}


def test_size_grows_with_eccentricity_and_from_area_to_area(anatomy):
    fields = size_fields(anatomy.place, gain_pct=2.0, maps=np.zeros((4, anatomy.surface.n_vertices), np.float32))
    away = np.hypot(fields.x_deg, fields.y_deg)
    for k, name in enumerate(AREAS, start=1):
        inside = anatomy.place.areas == k
        line = np.polyfit(away[inside], fields.size_deg[inside], 1)
        assert line == pytest.approx([SIZE_SLOPES[name], SIZE_AT_FIXATION_DEG], abs=1e-6)
        assert (fields.exponent[inside] == EXPONENTS[name]).all()
    assert list(SIZE_SLOPES.values()) == sorted(SIZE_SLOPES.values())


def test_fields_scatter_as_the_maps_say(anatomy):
    maps = np.zeros((4, anatomy.surface.n_vertices), np.float32)
    still = size_fields(anatomy.place, gain_pct=2.0, maps=maps)
    maps[0], maps[2], maps[3] = 1.0, -1.0, 2.0
    moved = size_fields(anatomy.place, gain_pct=2.0, maps=maps)
    inside = anatomy.place.areas > 0
    assert (moved.size_deg / still.size_deg)[inside] == pytest.approx(np.exp(-0.15))
    assert (moved.x_deg - still.x_deg)[inside] == pytest.approx(0.2 * moved.size_deg[inside])
    assert moved.y_deg[inside] == pytest.approx(still.y_deg[inside])
    assert (moved.gain_pct / still.gain_pct)[inside] == pytest.approx(1.5)


def one_field(x: float, y: float, *, sigma: float, exponent: float) -> Fields:
    return Fields(*(np.array([value, np.nan]) for value in (x, y, sigma, exponent, 1.0)))


def test_drive_is_the_gaussians_share_to_the_power_n():
    """Half planes and a quadrant have closed forms."""
    x = np.linspace(-10, 10, 401)
    y = -x
    across, up = np.meshgrid(x, y)
    masks = np.stack([np.ones_like(across), across > 1.0, (across > 0) & (up > 0), np.zeros_like(across)])
    found = drive(one_field(2.0, -1.0, sigma=1.5, exponent=0.3), masks.astype(np.float32), x_deg=x, y_deg=y)
    expected = np.array([1.0, ndtr(1 / 1.5), ndtr(2 / 1.5) * ndtr(-1 / 1.5), 0.0]) ** 0.3
    assert found[:, 0] == pytest.approx(expected, abs=0.01)
    assert not found[:, 1].any()


def test_upper_left_is_upper_left():
    """The stimuli's own masks: a wedge around 135 degrees drives a field at the upper left, and no other."""
    grid = degree_grid(61, size_deg=12.0)
    wedge = mask(Wedge(centre_deg=135.0, width_deg=60.0), grid, field_deg=12.0, edge_deg=grid.step_deg)[None]
    fields = [drive(one_field(x, y, sigma=0.5, exponent=1.0), wedge, x_deg=grid.x_deg[0], y_deg=grid.y_deg[:, 0])[0, 0]
              for x, y in ((-2, 2), (2, 2), (-2, -2), (2, -2))]
    assert fields[0] > 0.8
    assert max(fields[1:]) < 0.01


def test_fields_out_of_reach_are_not_driven():
    grid = degree_grid(21, size_deg=12.0)
    masks = np.ones((1, 21, 21), np.float32)
    assert drive(one_field(30.0, 0.0, sigma=1.0, exponent=0.5), masks, x_deg=grid.x_deg[0],
                 y_deg=grid.y_deg[:, 0])[0, 0] == 0
