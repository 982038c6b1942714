"""A field map laid on another one, and an atlas's borders moved to planted maps: where they are, and when they turn."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.spatial import cKDTree

from analysis.regions.drawing.atlas import PROPOSED, Atlas
from analysis.regions.drawing.proposal import Proposal, propose
from analysis.regions.drawing.warping import FieldImage, Similarity, SplineGrid, align, as_features, fit_warp
from analysis.simulation.brain.fields import FieldMap
from analysis.simulation.brain.meshes import template_map
from subjects.errors import AnalysisError

FIELD_DEG = 6.0


@cache
def planted(hemi: str) -> tuple[np.ndarray, FieldMap]:
    patch, place = template_map(hemi, atlas="analytic", subdivisions=1)
    return patch.flat.astype(np.float64), place


def turned(places: np.ndarray, *, degrees: float, about: np.ndarray) -> np.ndarray:
    angle = np.radians(degrees)
    return (places - about) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) + about


def an_atlas(hemi: str, *, degrees: float = 12.0, shift: tuple[float, float] = (3.0, -7.0),
             scale: float = 0.9) -> Atlas:
    """The planted map itself, at another place, turned, smaller and bent: an atlas that has the areas elsewhere."""
    flat, place = planted(hemi)
    about = flat[(place.areas > 0) & (place.areas <= 4)].mean(axis=0)
    moved = turned(about + scale * (flat - about), degrees=degrees, about=about) + np.array(shift)
    moved[:, 0] += 2.0 * np.sin(moved[:, 1] / 12.0)
    areas = np.where(place.areas <= len(PROPOSED), place.areas, 0).astype(np.int16)
    return Atlas(moved, areas, place.x_deg, place.y_deg)


def measured(hemi: str, *, degrees: float = 0.0, seed: int = 0) -> dict[str, np.ndarray]:
    """A third of the vertices of all areas, LO and hMT+ too, with noise; the planted maps turned on the cortex."""
    flat, place = planted(hemi)
    about = flat[(place.areas > 0) & (place.areas <= 4)].mean(axis=0)
    away, source = cKDTree(flat).query(turned(flat, degrees=-degrees, about=about))
    there = away < 2.5  # what is turned in from beyond the patch has no area
    areas, x, y = (np.where(there, one[source], missing) for one, missing in
                   ((place.areas, 0), (place.x_deg, np.nan), (place.y_deg, np.nan)))
    eccentricity = np.hypot(x, y)
    rng = np.random.default_rng(seed)
    noise = 0.4 * (0.25 + 0.3 * np.nan_to_num(eccentricity))
    seen = (areas > 0) & (eccentricity < FIELD_DEG) & (rng.random(len(areas)) < 0.35)
    return {"places": flat, "x_deg": x + noise * rng.normal(size=len(x)), "y_deg": y + noise * rng.normal(size=len(y)),
            "weights": seen.astype(np.float64), "areas": np.where(eccentricity < FIELD_DEG, areas, 0)}


def propose_from(data: dict[str, np.ndarray], atlas: Atlas) -> Proposal:
    return propose(data["places"], x_deg=data["x_deg"], y_deg=data["y_deg"], weights=data["weights"], atlas=atlas,
                   field_deg=FIELD_DEG)


def dice_of(labels: np.ndarray, truth: np.ndarray) -> list[float]:
    return [2 * float(((labels == k) & (truth == k)).sum()) / float((labels == k).sum() + (truth == k).sum())
            for k in range(1, len(PROPOSED) + 1)]


@pytest.mark.parametrize("hemi", ["L", "R"])
def test_an_atlas_that_has_the_areas_elsewhere_comes_to_where_they_are(hemi: str) -> None:
    data = measured(hemi)
    found = propose_from(data, an_atlas(hemi))
    assert min(dice_of(found.labels, data["areas"])) >= 0.75
    assert np.mean(dice_of(found.atlas, data["areas"])) < 0.65
    assert found.n_measured == int(data["weights"].sum())
    assert set(np.unique(found.labels[found.labels > 0])) == {1, 2, 3, 4}
    np.testing.assert_array_equal(found.whole[found.labels > 0], found.labels[found.labels > 0])
    assert (found.whole > 0).sum() > (found.labels > 0).sum()


@pytest.mark.parametrize("degrees", [20.0, pytest.param(-20.0, marks=pytest.mark.slow)])
def test_maps_that_are_turned_take_the_borders_with_them(degrees: float) -> None:
    data, before = measured("L", degrees=degrees), measured("L")
    atlas = an_atlas("L", degrees=0.0, shift=(1.0, -2.0), scale=0.95)
    found = propose_from(data, atlas)
    own, unturned = dice_of(found.labels, data["areas"]), dice_of(found.labels, before["areas"])
    assert min(own) >= 0.6
    assert np.mean(own) > np.mean(unturned) + 0.25
    straight = propose_from(before, atlas).warp.start.turn_deg
    assert found.warp.start.turn_deg - straight == pytest.approx(degrees, abs=5.0)


def test_a_vertex_off_the_templates_map_has_no_area() -> None:
    data = measured("L")
    data["places"] = data["places"].copy()
    data["places"][::7] = np.nan
    found = propose_from(data, an_atlas("L"))
    assert not found.whole[::7].any()
    assert found.labels.any()


def test_too_few_fields_are_refused() -> None:
    data = measured("L")
    data["weights"] = np.where(np.cumsum(data["weights"]) <= 20, data["weights"], 0.0)
    with pytest.raises(AnalysisError, match="20 vertices with a receptive field that can be trusted; expected 50"):
        propose_from(data, an_atlas("L"))


def smooth_field(places: np.ndarray) -> np.ndarray:
    """A map whose places are told apart everywhere, (n, 2)."""
    return np.column_stack([np.sin(places[:, 0] / 9.0) + places[:, 1] / 30.0, np.cos(places[:, 1] / 11.0)])


def lattice(step: float, *, half: float = 40.0) -> np.ndarray:
    axis = np.arange(-half, half + step / 2, step)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def test_equal_steps_are_equal_stretches_of_cortex() -> None:
    """By Horton and Hoyt, 17.3 mm times the natural logarithm of 1 + E / .75."""
    steps = 0.75 * np.expm1(np.arange(5) / 2.0)
    found = as_features(np.zeros(5), -steps)
    np.testing.assert_allclose(found, np.column_stack([np.zeros(5), -np.arange(5) / 2.0]), atol=1e-12)


def test_an_image_averages_where_it_was_measured_and_trusts_nothing_elsewhere() -> None:
    places = lattice(0.7, half=20.0)
    image = FieldImage(places, np.tile([0.3, -2.0], (len(places), 1)), weights=np.ones(len(places)), smooth_mm=1.2)
    values, trust = image.at(np.array([[0.0, 0.0], [7.3, -4.1], [40.0, 40.0]]))
    np.testing.assert_allclose(values[:2], [[0.3, -2.0]] * 2, atol=1e-9)
    assert trust[0] > 0.8
    assert trust[2] < 1e-3
    np.testing.assert_allclose(image.slopes(np.array([[1.0, 1.0]])), 0.0, atol=1e-9)


def test_a_turn_scale_and_shift_are_found() -> None:
    places = lattice(2.0, half=25.0)
    truth = Similarity(15.0, 1.0, np.array([8.0, -4.0]), places.mean(axis=0))
    dense = lattice(1.0)
    back = np.linalg.solve(np.array([[np.cos(np.radians(15)), -np.sin(np.radians(15))],
                                     [np.sin(np.radians(15)), np.cos(np.radians(15))]]),
                           (dense - truth.shift_mm).T).T
    image = FieldImage(dense, smooth_field(back), weights=np.ones(len(dense)), smooth_mm=1.0)
    found = align(image, smooth_field(places), places=places)
    assert (found.turn_deg, found.scale, *found.shift_mm) == (15.0, 1.0, 8.0, -4.0)
    np.testing.assert_allclose(found(places), truth(places), atol=1e-9)


def test_a_smooth_bend_is_followed_to_a_fraction_of_a_millimetre() -> None:
    """Planted: 3 mm to and fro over 40 mm."""
    places, dense = lattice(1.5, half=25.0), lattice(1.0)
    bent = places + np.column_stack([3 * np.sin(places[:, 1] / 6.4), np.zeros(len(places))])
    straight = dense - np.column_stack([3 * np.sin(dense[:, 1] / 6.4), np.zeros(len(dense))])
    image = FieldImage(dense, smooth_field(straight), weights=np.ones(len(dense)), smooth_mm=0.8)
    start = Similarity(0.0, 1.0, np.zeros(2), places.mean(axis=0))
    warp = fit_warp(image, smooth_field(places), places=places, start=start)
    inner = (np.abs(places) < 20).all(axis=1)
    assert np.median(np.linalg.norm(warp(places) - bent, axis=1)[inner]) < 0.5
    assert np.median(np.linalg.norm(places - bent, axis=1)[inner]) > 1.5
    floor = float((0.75 * (1 - image.at(bent)[1])).mean())  # what is not trusted fits nothing
    assert warp.misfit - floor < 0.01


@pytest.mark.parametrize("seed", [0, 1])
def test_a_warp_folds_nothing_over_whatever_was_measured(seed: int) -> None:
    """Measured is a mirror image with noise, which a sheet could follow only by folding."""
    places, dense, rng = lattice(1.0, half=20.0), lattice(1.0), np.random.default_rng(seed)
    image = FieldImage(dense, smooth_field(dense * [-1, 1]) + 0.3 * rng.normal(size=dense.shape),
                       weights=np.ones(len(dense)), smooth_mm=1.2)
    warp = fit_warp(image, smooth_field(places), places=places,
                    start=Similarity(10.0, 0.9, np.array([1.0, -2.0]), np.zeros(2)))
    moved = warp(places).reshape(41, 41, 2)
    assert np.linalg.norm(warp(places) - warp.start(places), axis=1).max() > 2.0
    one, two = np.diff(moved, axis=0)[:, :-1], np.diff(moved, axis=1)[:-1]
    assert (one[..., 0] * two[..., 1] > one[..., 1] * two[..., 0]).all()
    step = 1e-4
    slopes = [(warp(places + step * axis) - warp(places - step * axis)) / (2 * step) for axis in np.eye(2)]
    assert (slopes[0][:, 0] * slopes[1][:, 1] > slopes[0][:, 1] * slopes[1][:, 0]).all()


@pytest.mark.parametrize("along", [0, 1])
def test_the_slopes_of_splines_are_those_of_differences(along: int) -> None:
    grid, step = SplineGrid(np.zeros(2), np.array([30.0, 20.0]), spacing_mm=6.0), np.zeros(2)
    places, step[along] = np.random.default_rng(0).uniform([0, 0], [30, 20], size=(50, 2)), 1e-5
    differences = (grid.basis(places + step) - grid.basis(places - step)).toarray() / 2e-5
    np.testing.assert_allclose(grid.basis(places, along=along).toarray(), differences, atol=1e-7)


def test_splines_add_up_to_one_and_a_plane_bends_nowhere() -> None:
    grid = SplineGrid(np.array([0.0, 0.0]), np.array([30.0, 20.0]), spacing_mm=6.0)
    places = np.random.default_rng(0).uniform([0, 0], [30, 20], size=(200, 2))
    np.testing.assert_allclose(grid.basis(places).sum(axis=1), 1.0, atol=1e-12)
    knots = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1).reshape(-1, 2)
    plane, saddle = knots @ np.array([2.0, -1.0]) + 3, knots[:, 0] * knots[:, 1]
    assert plane @ (grid.bending() @ plane) == pytest.approx(0.0, abs=1e-9)
    assert saddle @ (grid.bending() @ saddle) > 1.0
