"""Proposed regions are whole: one piece, no hole, no spike, on planted shapes with these faults and on noise."""

from __future__ import annotations

from collections import deque
from functools import cache

import numpy as np
import pytest

from analysis.data.surface import Surface
from analysis.regions.drawing.tidying import make_whole

STEP, SIDE = 0.8, 60


@cache
def sheet() -> Surface:
    """A flat sheet of 47 x 47 mm, a vertex every .8 mm, its diagonals to and fro."""
    number = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    a, b, c, d = (one.ravel() for one in (number[:-1, :-1], number[1:, :-1], number[:-1, 1:], number[1:, 1:]))
    swap = (a % 2).astype(bool)[:, None]
    faces = np.concatenate([np.where(swap, np.stack([a, b, c], axis=1), np.stack([a, b, d], axis=1)),
                            np.where(swap, np.stack([b, d, c], axis=1), np.stack([a, d, c], axis=1))])
    flat = STEP * np.stack(np.divmod(np.arange(SIDE * SIDE), SIDE), axis=1).astype(np.float32)
    return Surface("L", np.column_stack([flat, np.zeros(len(flat))]).astype(np.float32), faces.astype(np.int32), flat,
                   "sheet")


def neighbours() -> list[set[int]]:
    found: list[set[int]] = [set() for _ in range(sheet().n_vertices)]
    for face in sheet().faces.tolist():
        for vertex in face:
            found[vertex] |= set(face) - {vertex}
    return found


def pieces(inside: np.ndarray) -> list[set[int]]:
    """Flood from vertex to vertex, in plain Python."""
    beside, left, found = neighbours(), set(np.flatnonzero(inside).tolist()), []
    while left:
        queue, piece = deque([left.pop()]), set[int]()
        while queue:
            vertex = queue.popleft()
            piece.add(vertex)
            queue.extend(beside[vertex] & left)
            left -= beside[vertex]
        found.append(piece)
    return sorted(found, key=len, reverse=True)


def holes(labels: np.ndarray, area: int) -> int:
    """Count pieces outside of a region that reach no rim and hold no other region."""
    flat = sheet().flat / STEP
    rim = set(np.flatnonzero(((flat < 0.5) | (flat > SIDE - 1.5)).any(axis=1)).tolist())
    return sum(1 for piece in pieces(labels != area) if not piece & rim and not labels[list(piece)].any())


def planted() -> np.ndarray:
    """A square and beside it a rectangle that shares its side."""
    x, y = sheet().flat.T
    labels = np.zeros(sheet().n_vertices, dtype=np.int16)
    labels[(np.abs(x - 16) < 8.1) & (np.abs(y - 20) < 8.1)] = 1
    labels[(np.abs(x - 30) < 5.8) & (np.abs(y - 20) < 8.1)] = 2
    return labels


def dice(a: np.ndarray, b: np.ndarray, area: int) -> float:
    return float(2 * ((a == area) & (b == area)).sum() / ((a == area).sum() + (b == area).sum()))


def test_islands_holes_and_spikes_are_gone_and_the_shapes_stay() -> None:
    truth = planted()
    x, y = sheet().flat.T
    faulty = truth.copy()
    faulty[np.hypot(x - 14, y - 18) < 2.0] = 0  # a hole
    faulty[np.hypot(x - 18, y - 24) < 1.2] = 2  # an island in the other region
    faulty[np.hypot(x - 40, y - 40) < 2.5] = 1  # an island far away
    faulty[(np.abs(y - 20.4) < 0.9) & (x > 35) & (x < 46)] = 2  # a spike that reaches the rim
    found = make_whole(faulty, sheet())
    for area in (1, 2):
        assert dice(faulty, truth, area) < 0.97 < dice(found, truth, area)
        assert len(pieces(found == area)) == 1
        assert holes(found, area) == 0
    assert not (found[x > 38] > 0).any()
    assert not (found[np.hypot(x - 40, y - 40) < 3.0] > 0).any()


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_regions_are_in_one_piece_without_holes(seed: int) -> None:
    """Noise on the labels of a fifth of the vertices."""
    rng, truth = np.random.default_rng(seed), planted()
    faulty = np.where(rng.random(len(truth)) < 0.2, rng.integers(0, 3, len(truth)), truth).astype(np.int16)
    assert len(pieces(faulty == 1)) > 10
    found = make_whole(faulty, sheet(), radius_mm=0.5)
    assert [len(pieces(found == area)) for area in (1, 2)] == [1, 1]
    assert [holes(found, area) for area in (1, 2)] == [0, 0]
    assert set(np.unique(found)) == {0, 1, 2}
    np.testing.assert_array_equal(make_whole(planted(), sheet(), radius_mm=0.5), planted())


def test_a_gap_between_regions_is_closed_where_it_is_small() -> None:
    truth = planted()
    x, y = sheet().flat.T
    for half, closed in ((2.0, True), (6.0, False)):
        gaping = truth.copy()
        gaping[(np.abs(x - 24) < half) & (np.abs(y - 20) < half)] = 0
        found = make_whole(gaping, sheet())
        assert (found[(np.abs(x - 24) < 1) & (np.abs(y - 20) < 1)] > 0).all() == closed
        if closed:
            assert min(dice(found, truth, area) for area in (1, 2)) > 0.97


def test_the_other_half_of_a_region_stays_where_two_are_asked_for_and_is_large_enough() -> None:
    x, y = sheet().flat.T
    labels = np.zeros(sheet().n_vertices, dtype=np.int16)
    labels[(np.abs(x - 20) < 10) & (np.abs(y - 8) < 5)] = 3
    labels[(np.abs(x - 20) < 8) & (np.abs(y - 30) < 4)] = 3
    labels[(np.abs(x - 42) < 2.5) & (np.abs(y - 42) < 2.5)] = 3
    one, two = make_whole(labels, sheet()), make_whole(labels, sheet(), halved=(3,))
    assert [len(pieces(found == 3)) for found in (one, two)] == [1, 2]
    assert (two[(np.abs(x - 20) < 6) & (np.abs(y - 30) < 2)] == 3).all()
    assert not (two[x > 38] > 0).any()


def test_a_region_narrower_than_a_disk_stays_and_nothing_of_nothing_is_nothing() -> None:
    labels = np.where(np.abs(sheet().flat[:, 0] - 20.0) < 0.9, 1, 0).astype(np.int16)
    np.testing.assert_array_equal(make_whole(labels, sheet()), labels)
    np.testing.assert_array_equal(make_whole(np.zeros_like(labels), sheet()), np.zeros_like(labels))
