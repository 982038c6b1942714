"""Aperture movies: every frame once, every pixel at its place."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.regions.prf.stimulus import Stimulus, coarsen, make_stimulus

X, Y = np.array([-1.5, -0.5, 0.5, 1.5]), np.array([1.0, 0.0, -1.0])


def movies(*, lengths: tuple[int, ...] = (7, 5), seed: int = 0) -> list[np.ndarray]:
    """Few different frames, so that many come again."""
    rng = np.random.default_rng(seed)
    pool = (rng.random((4, 3, 4)) < 0.5).astype(float)
    pool[0] = 0
    return [pool[rng.integers(0, 4, n)] for n in lengths]


def test_the_movies_come_back_from_their_different_frames():
    shown = movies()
    made = make_stimulus(shown, x_deg=X, y_deg=Y)
    for movie, order in zip(shown, made.order, strict=True):
        back = np.where((order >= 0)[:, None, None], made.frames[order], 0)
        np.testing.assert_array_equal(back, movie)
    flat = made.frames.reshape(len(made.frames), -1)
    assert len(np.unique(flat, axis=0)) == len(flat)
    assert made.frames.any(axis=(1, 2)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.float64])
def test_the_type_of_the_movie_does_not_matter(dtype):
    whole = movies()
    made = make_stimulus([movie.astype(dtype) for movie in whole], x_deg=X, y_deg=Y)
    expected = make_stimulus(whole, x_deg=X, y_deg=Y)
    np.testing.assert_array_equal(made.frames, expected.frames)
    assert [order.tolist() for order in made.order] == [order.tolist() for order in expected.order]


def test_the_callers_places_can_change_afterwards():
    x = X.copy()
    made = make_stimulus(movies(), x_deg=x, y_deg=Y)
    x += 100
    np.testing.assert_array_equal(made.x_deg, X)


def test_frames_that_differ_little_are_one_when_asked():
    movie, = movies(lengths=(30,))
    trembling = (movie * (1 - 0.004 * np.random.default_rng(1).random(movie.shape))).astype(np.float32)
    exact, joined = (make_stimulus([trembling], x_deg=X, y_deg=Y, tolerance=tolerance) for tolerance in (0.0, 0.005))
    plain = make_stimulus([movie], x_deg=X, y_deg=Y)
    assert len(exact.frames) > len(plain.frames) == len(joined.frames)
    assert joined.order[0].tolist() == plain.order[0].tolist()
    assert np.abs(joined.frames - plain.frames).max() <= 0.004
    with pytest.raises(ValueError, match="expected a tolerance of 0 or more, got -0.1"):
        make_stimulus([movie], x_deg=X, y_deg=Y, tolerance=-0.1)


def test_more_frames_than_are_first_made_room_for():
    movie = np.random.default_rng(0).random((50, 3, 4)).astype(np.float32)
    made = make_stimulus([movie, movie[::-1]], x_deg=X, y_deg=Y)
    np.testing.assert_array_equal(made.frames, movie)
    assert made.order[1].tolist() == list(range(49, -1, -1))


def test_edges_lie_half_a_pixel_outside_whatever_the_direction():
    made = make_stimulus(movies(), x_deg=X, y_deg=Y)
    turned = make_stimulus([movie[:, ::-1, ::-1] for movie in movies()], x_deg=X[::-1], y_deg=Y[::-1])
    for one in (made, turned):
        assert one.limits_deg == ((-2.0, 2.0), (-1.5, 1.5))
        assert one.widths_deg == (4.0, 3.0)


@pytest.mark.parametrize(("change", "message"), [
    ({"x_deg": X[:3]}, r"frames of shape \(\d, 3, 4\), expected \(n_unique, 3, 3\)"),
    ({"x_deg": np.array([0.0, 1.0, 1.0, 2.0])}, "x_deg: expected at least 2 places in ascending or descending order"),
    ({"y_deg": np.array([1.0, np.nan, -1.0])}, "y_deg: expected at least 2 places"),
    ({"frames": -1e-3}, r"frames of -0.001 to 1, expected 0 \(covered\) to 1"),
    ({"frames": 1.5}, "frames of 0 to 1.5, expected 0"),
    ({"frames": np.nan}, "frames of nan to nan, expected 0"),
    ({"frames": np.zeros((0, 3, 4), dtype=np.float32)}, "all frames are blank"),
])
def test_one_wrong_value_is_named(change, message):
    made = make_stimulus(movies(), x_deg=X, y_deg=Y)
    given = {"frames": made.frames.copy(), "order": made.order, "x_deg": made.x_deg, "y_deg": made.y_deg}
    if isinstance(change.get("frames"), float):
        given["frames"][1, 2, 0] = change["frames"]
    else:
        given.update(change)
    with pytest.raises(ValueError, match=message):
        Stimulus(**given)


def test_a_movie_of_another_size_is_named():
    first, second = movies()
    with pytest.raises(ValueError, match=r"apertures of shape \(5, 3, 3\), expected \(n_frames, 3, 4\)"):
        make_stimulus([first, second[:, :, :3]], x_deg=X, y_deg=Y)


@pytest.mark.parametrize(("n_rows", "n_cols", "step_deg"), [(20, 20, 1.0), (21, 33, 1.0), (101, 101, 0.24)])
def test_larger_pixels_keep_the_area_and_its_middle(n_rows, n_cols, step_deg):
    rng = np.random.default_rng(0)
    movie = rng.random((3, n_rows, n_cols))
    x, y = np.linspace(-5, 5, n_cols) + 0.3, np.linspace(4, -4, n_rows)
    smaller, new_x, new_y = coarsen(movie, x_deg=x, y_deg=y, step_deg=step_deg)
    assert smaller.shape[1:] == (len(new_y), len(new_x))
    assert smaller.shape[1:] <= (n_rows, n_cols)
    assert abs(np.diff(new_x)).max() <= step_deg + 1e-9
    before = area_and_middle(movie, x, y)
    after = area_and_middle(smaller, new_x, new_y)
    np.testing.assert_allclose(after[0], before[0], rtol=1e-6)
    np.testing.assert_allclose(after[1:], before[1:], atol=0.01 * step_deg)


def area_and_middle(movie: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    area = movie.sum(axis=(1, 2)) * abs((x[1] - x[0]) * (y[1] - y[0]))
    return np.array([area, *((movie * place).sum(axis=(1, 2)) / movie.sum(axis=(1, 2))
                             for place in (x[None, None, :], y[None, :, None]))])


def test_larger_pixels_are_means_of_blocks():
    movie = np.random.default_rng(0).random((2, 6, 8))
    x, y = np.arange(8.0), -np.arange(6.0)
    smaller, new_x, new_y = coarsen(movie, x_deg=x, y_deg=y, step_deg=2.0)
    np.testing.assert_allclose(smaller, movie.reshape(2, 3, 2, 4, 2).mean(axis=(2, 4)), rtol=1e-6)
    np.testing.assert_allclose(new_x, [0.5, 2.5, 4.5, 6.5])
    np.testing.assert_allclose(new_y, [-0.5, -2.5, -4.5])


@pytest.mark.parametrize(("x", "step_deg"), [(np.array([0.0, 1.0, 3.0]), 2.0), (np.arange(3.0), 0.0)])
def test_uneven_pixels_cannot_be_made_larger(x, step_deg):
    with pytest.raises(ValueError, match="expected even steps and a positive new one"):
        coarsen(np.zeros((1, 3, 3)), x_deg=x, y_deg=np.arange(3.0), step_deg=step_deg)
