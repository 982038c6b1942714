"""Apertures against closed forms and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stimuli.apertures import Bar, Grid, Ring, Wedge, degree_grid, fixation_grid, mask, screen_grid
from subjects.errors import StimulusError

FIELD = 12.0
GRID = degree_grid(301, size_deg=FIELD)
CELL = GRID.step_deg ** 2


def _area(aperture: Wedge | Ring | Bar, *, edge: bool = True) -> float:
    return float(mask(aperture, GRID, field_deg=FIELD, edge_deg=GRID.step_deg if edge else 0.0).sum(dtype=float)) * CELL


@pytest.mark.parametrize("width", [30.0, 90.0, 180.0, 270.0, 360.0])
@pytest.mark.parametrize("centre", [0.0, 37.0, 222.5])
@pytest.mark.parametrize("edge", [True, False])
def test_the_area_of_a_wedge(width: float, centre: float, edge: bool) -> None:
    expected = math.pi * 36.0 * width / 360.0
    assert _area(Wedge(centre, width), edge=edge) == pytest.approx(expected, rel=4e-3 if edge else 1e-2)


@pytest.mark.parametrize(("outer", "width"), [(3.0, 1.5), (1.0, 1.5), (6.0, 2.0), (6.8, 1.5)])
def test_the_area_of_a_ring(outer: float, width: float) -> None:
    rim, inner = min(outer, 6.0), max(outer - width, 0.0)
    assert _area(Ring(outer, width)) == pytest.approx(math.pi * (rim ** 2 - inner ** 2), rel=4e-3)


def _cap(x: float) -> float:
    """Area of the unit disk's part left of x."""
    return math.pi / 2.0 + x * math.sqrt(1.0 - x * x) + math.asin(x)


@pytest.mark.parametrize("toward", [0.0, 45.0, 90.0, 225.0])
@pytest.mark.parametrize("front", [-4.0, 0.75, 5.5])
def test_the_area_of_a_bar(toward: float, front: float) -> None:
    expected = 36.0 * (_cap(front / 6.0) - _cap(max((front - 1.5) / 6.0, -1.0)))
    assert _area(Bar(toward, front, 1.5)) == pytest.approx(expected, rel=5e-3)


@given(st.floats(0, 360), st.floats(1, 359))
def test_a_wedge_equals_a_comparison_of_angles(centre: float, width: float) -> None:
    grid = degree_grid(24, size_deg=FIELD)
    found = mask(Wedge(centre, width), grid, field_deg=FIELD)
    for row in range(24):
        for column in range(24):
            x, y = grid.x_deg[row, column], grid.y_deg[row, column]
            off = abs((math.degrees(math.atan2(y, x)) - centre + 180.0) % 360.0 - 180.0)
            if abs(off - width / 2.0) > 1e-6 and abs(math.hypot(x, y) - 6.0) > 1e-9:
                assert found[row, column] == (off < width / 2.0 and math.hypot(x, y) < 6.0)


@pytest.mark.parametrize("make", [degree_grid, screen_grid])
def test_nothing_is_mirrored(make: object) -> None:
    """A wedge to the upper right fills the top rows and the right columns; a bar that goes up ends at the top."""
    grid: Grid = make(40, size_deg=FIELD)  # type: ignore[operator]
    wedge = mask(Wedge(30.0, 20.0), grid, field_deg=FIELD)
    rows, columns = np.nonzero(wedge)
    assert rows.max() < 20 <= columns.min()
    assert wedge.sum() > 20
    assert (columns - 19.5).mean() > 1.4 * (19.5 - rows).mean()
    bar = mask(Bar(90.0, 6.0, 1.5), grid, field_deg=FIELD)
    assert np.nonzero(bar)[0].max() < 6


def test_anti_aliasing_only_touches_the_edge() -> None:
    sharp = mask(Wedge(70.0, 90.0), GRID, field_deg=FIELD)
    soft = mask(Wedge(70.0, 90.0), GRID, field_deg=FIELD, edge_deg=GRID.step_deg)
    assert set(np.unique(sharp)) == {0.0, 1.0}
    assert np.all(np.abs(soft - sharp) <= 0.5 + 1e-6)
    assert 0.0 < np.mean((soft > 0) & (soft < 1)) < 0.01
    assert soft.dtype == sharp.dtype == np.float32


def test_no_aperture_uncovers_nothing() -> None:
    assert not mask(None, GRID, field_deg=FIELD).any()


def test_a_flat_screen_is_seen_under_arctangents() -> None:
    """The grid of a screen 168 cm away whose square of 12 degrees has a side of 2 d tan 6 deg."""
    n, distance = 100, 168.0
    side = 2.0 * distance * math.tan(math.radians(6.0))
    grid = screen_grid(n, size_deg=FIELD)
    for row, column in ((0, 0), (13, 77), (99, 50)):
        x = (column + 0.5) / n * side - side / 2.0
        y = side / 2.0 - (row + 0.5) / n * side
        assert grid.r_deg[row, column] == pytest.approx(math.degrees(math.atan(math.hypot(x, y) / distance)))
        assert math.atan2(grid.y_deg[row, column], grid.x_deg[row, column]) == pytest.approx(math.atan2(y, x))


def test_grids_are_centred() -> None:
    for grid in (GRID, screen_grid(301, size_deg=FIELD)):
        assert np.allclose(grid.x_deg, -grid.x_deg[:, ::-1])
        assert np.allclose(grid.y_deg, -grid.y_deg[::-1])
        assert grid.r_deg[150, 150] == pytest.approx(0.0, abs=1e-9)


def test_the_fixation_grid_has_spokes_and_circles() -> None:
    lines = fixation_grid(GRID, field_deg=FIELD, line_deg=0.1)
    assert lines[150, 225] > 0.9  # on a spoke
    assert lines[150 - 75, 150] > 0.9
    at_30 = [lines[round(150 - r * math.sin(math.pi / 6) / GRID.step_deg),
                   round(150 + r * math.cos(math.pi / 6) / GRID.step_deg)] for r in (1.5, 2.25, 3.0, 4.5)]
    assert at_30[0] > 0.4
    assert at_30[2] > 0.4
    assert at_30[1] == at_30[3] == 0.0
    assert lines.mean() < 0.15


@pytest.mark.parametrize(("n", "size"), [(0, 12.0), (4, 0.0), (4, 180.0)])
def test_impossible_grids_are_refused(n: int, size: float) -> None:
    with pytest.raises(StimulusError, match=f"aperture grid: {n} points over {size:g} deg"):
        degree_grid(n, size_deg=size)
    with pytest.raises(StimulusError, match="at least 1 point"):
        screen_grid(n, size_deg=size)
