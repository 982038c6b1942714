"""Where an area ends on the subject's own cortex: planted shapes that the starting labels have otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.regions.drawing.own_borders import Neighbourhood, OwnFields, end_where_fields_end, follow_own_map

AREA, OTHER = 4, 3


def lattice() -> np.ndarray:
    """A sheet of 50 x 50 mm, a vertex every .8 mm."""
    axis = np.arange(0.0, 50.0, 0.8)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def own_map(places: np.ndarray) -> np.ndarray:
    """A smooth map that bends: what the area's fields are."""
    u, v = ((places - 25.0) / 10.0).T
    return np.column_stack([1.2 + 0.6 * u + 0.1 * v * v, -0.9 * v + 0.1 * u * u])


def foreign_map(places: np.ndarray) -> np.ndarray:
    """A neighbour's, which runs the other way."""
    return own_map(places) * np.array([-0.6, -1.0]) + np.array([0.2, 0.3])


def planted(places: np.ndarray) -> np.ndarray:
    """An ellipse that no start has."""
    return ((places[:, 0] - 25) / 12) ** 2 + ((places[:, 1] - 25) / 8) ** 2 < 1


def fields(*, share: float = 0.35, noise: float = 0.2, around: str = "nothing", seed: int = 0) -> OwnFields:
    """Measure the ellipse, and around it nothing or another map."""
    places, rng = lattice(), np.random.default_rng(seed)
    inside = planted(places)
    seen = (rng.random(len(places)) < share) & (inside if around == "nothing" else True)
    features = np.where(inside[:, None], own_map(places), foreign_map(places))
    features += noise * rng.normal(size=features.shape)
    features[~seen] = np.nan
    return OwnFields(places, seen, features)


def begin(places: np.ndarray) -> np.ndarray:
    """A square that is too short on one side and too long on another."""
    away = places - np.array([23.0, 27.0])
    return np.where((np.abs(away) < 8.5).all(axis=1), AREA, 0).astype(np.int16)


def dice(labels: np.ndarray, truth: np.ndarray) -> float:
    return 2 * float(((labels == AREA) & truth).sum()) / float((labels == AREA).sum() + truth.sum())


@pytest.mark.parametrize(("around", "gained"), [("nothing", 0.1), ("another map", 0.05)])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_border_comes_to_where_the_map_ends(around: str, gained: float, seed: int) -> None:
    own = fields(around=around, seed=seed)
    start, truth = begin(own.places), planted(own.places)
    found, n_fields = follow_own_map(start, own, area=AREA, taken=np.zeros(len(start), dtype=bool))
    assert dice(start, truth) < 0.83
    assert dice(found, truth) > dice(start, truth) + gained
    assert n_fields == pytest.approx((own.measured & truth).sum(), rel=0.2)


def test_nothing_further_than_three_millimetres_from_the_start_is_taken() -> None:
    own = fields()
    start = np.where((np.abs(own.places - 25.0) < 4.0).all(axis=1), AREA, 0).astype(np.int16)
    found, _ = follow_own_map(start, own, area=AREA, taken=np.zeros(len(start), dtype=bool))
    away = np.maximum(np.abs(own.places - 25.0) - 4.0, 0.0)
    assert (found == AREA).sum() > (start == AREA).sum()
    assert np.linalg.norm(away[found == AREA], axis=1).max() <= 3.0 + 0.8


def test_other_areas_keep_what_is_theirs() -> None:
    own = fields()
    start = begin(own.places)
    theirs = own.places[:, 0] < 20.0
    start[theirs] = OTHER
    found, _ = follow_own_map(start, own, area=AREA, taken=theirs)
    np.testing.assert_array_equal(found[theirs], OTHER)
    assert (found == AREA).any()


def test_too_few_fields_leave_the_border_as_it_was() -> None:
    own = fields(share=0.03)
    start = begin(own.places)
    assert 5 < own.measured.sum() < 20
    found, n_fields = follow_own_map(start, own, area=AREA, taken=np.zeros(len(start), dtype=bool))
    np.testing.assert_array_equal(found, start)
    assert n_fields == 0
    assert follow_own_map(np.zeros_like(start), own, area=AREA, taken=start > 0)[1] == 0


def stretched(places: np.ndarray, by: float) -> np.ndarray:
    return planted(25 + (places - 25) / by)


def test_areas_end_where_fields_end_and_nowhere_else() -> None:
    own = fields()
    tongue = (own.places[:, 0] > 37.0) & (np.abs(own.places[:, 1] - 25.0) < 3.0)
    start = np.where(planted(own.places) | tongue, OTHER, 0).astype(np.int16)
    found = end_where_fields_end(start, own)
    assert (found[stretched(own.places, 0.85)] == OTHER).all()
    assert not found[tongue & (own.places[:, 0] > 40.0)].any()
    assert not (found[start == 0]).any()
    everywhere = OwnFields(own.places, np.ones(len(own.places), dtype=bool), own_map(own.places))
    np.testing.assert_array_equal(end_where_fields_end(start, everywhere), start)
    nothing = np.zeros_like(start)
    np.testing.assert_array_equal(end_where_fields_end(nothing, own), nothing)


def test_patchy_fields_move_no_border() -> None:
    """Half of the ellipse has fields, the other none: where it ends cannot be seen."""
    own = fields()
    patchy = OwnFields(own.places, own.measured & (own.places[:, 0] < 23.0), own.features)
    start = np.where(planted(own.places), AREA, 0).astype(np.int16)
    assert own.are_even(start == AREA)
    assert not patchy.are_even(start == AREA)
    np.testing.assert_array_equal(end_where_fields_end(start, patchy), start)
    assert follow_own_map(start, patchy, area=AREA, taken=start < 0)[1] == 0


def test_the_noise_is_that_of_the_fields_whatever_the_map() -> None:
    dense = OwnFields(lattice(), np.ones(len(lattice()), dtype=bool), np.random.default_rng(0).normal(
        scale=0.3, size=(len(lattice()), 2)))
    assert dense.noise() == pytest.approx(0.3, rel=0.05)
    turned = OwnFields(dense.places, dense.measured, dense.features @ np.array([[0.6, 0.8], [-0.8, 0.6]]))
    assert turned.noise() == pytest.approx(dense.noise(), rel=1e-9)


def test_sums_fall_off_as_a_normal_curve_and_means_are_means() -> None:
    places = np.array([[10.0, 10.0], [30.0, 30.0]])
    around = Neighbourhood(lattice(), smooth_mm=2.0)
    at = np.array([[10.0, 10.0], [13.0, 10.0], [10.0, 6.0], [20.0, 45.0]])
    found = around.sum(places[:1], np.array([5.0]), at=at)
    away = np.linalg.norm(at - places[0], axis=1)
    np.testing.assert_allclose(found[:3] / found[0], np.exp(-away[:3] ** 2 / 8), rtol=0.06)
    assert found[3] == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(around.mean(places, np.array([5.0, -2.0]), at=places), [5.0, -2.0], atol=1e-6)
