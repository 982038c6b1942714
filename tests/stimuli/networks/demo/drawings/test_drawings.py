"""Drawings: the same generator gives the same pixels, and every thing is there to be seen."""

import math

import numpy as np
import pytest
from PIL import Image

from stimuli.categories import CLASSES, DEMO_CATEGORIES, IS_ANIMAL, class_of, demo_categories
from stimuli.networks.demo import drawings
from stimuli.networks.demo.drawings import draw, scenes, shapes
from stimuli.networks.demo.drawings.canvas import SUPERSAMPLING, Canvas
from subjects.errors import StimulusError
from subjects.settings.study import Settings

NAMES = [category for _, category in demo_categories()]


@pytest.fixture(scope="module")
def once():
    """One drawing of every category."""
    return {name: draw(name, rng=np.random.default_rng(index)) for index, name in enumerate(NAMES)}


def _area(outline):
    """The shoelace formula."""
    x, y = outline.T
    return 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def _canvas(size_px=64, sun=(-0.6, -0.8)):
    return Canvas(size_px, np.random.default_rng(0), sun=sun)


def _alpha(canvas):
    return np.asarray(canvas.things.reduce(SUPERSAMPLING), dtype=float)[..., 3] / 255


def _colors(canvas):
    return np.asarray(canvas.things.reduce(SUPERSAMPLING), dtype=float)[..., :3]


# ---------------------------------------------------------------- categories

def test_there_are_five_classes_of_eight():
    assert tuple(DEMO_CATEGORIES) == CLASSES == ("dogs", "birds", "cars", "fruits", "aquatic")
    assert {len(names) for names in DEMO_CATEGORIES.values()} == {8}
    assert len(set(NAMES)) == 40


def test_categories_come_in_class_order_then_name_order():
    assert demo_categories()[8:10] == (("birds", "flamingo"), ("birds", "penguin"))
    assert [name for name, _ in demo_categories()][::8] == list(CLASSES)


def test_animals_are_those_of_the_settings():
    assert tuple(name for name in CLASSES if IS_ANIMAL[name]) == Settings().stimuli.animal_classes
    assert Settings().stimuli.classes == CLASSES


def test_a_category_knows_its_class():
    assert [class_of(name) for name in ("pug", "swan", "taxi", "pear", "crab")] == list(CLASSES)


def test_an_unknown_category_is_refused_with_the_nearest_name():
    with pytest.raises(StimulusError, match="category: 'beagel'; expected one of the 40.*Did you mean 'beagle'"):
        draw("beagel", rng=np.random.default_rng(0))


# ---------------------------------------------------------------- drawings

def test_every_category_has_a_painter_and_no_painter_is_idle():
    assert set(drawings._PAINTERS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_size_and_dtype(once, name):
    assert once[name].dtype == np.uint8
    assert once[name].shape == (227, 227, 3)
    assert once[name].std() > 10


@pytest.mark.parametrize("name", ["poodle", "owl", "school bus", "grapes", "jellyfish"])
def test_the_same_generator_gives_the_same_pixels(once, name):
    again = draw(name, rng=np.random.default_rng(NAMES.index(name)))
    np.testing.assert_array_equal(again, once[name])


@pytest.mark.parametrize("name", ["beagle", "banana"])
def test_another_generator_gives_another_picture(once, name):
    other = draw(name, rng=np.random.default_rng(1000))
    assert np.abs(other.astype(int) - once[name]).mean() > 8


def test_nothing_but_the_generator_decides(once):
    np.random.seed(3)  # noqa: NPY002 - the global state must not matter
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(draw("crab", rng=np.random.default_rng(NAMES.index("crab"))), once["crab"])
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_another_size_can_be_asked_for():
    assert draw("turtle", rng=np.random.default_rng(0), size_px=96).shape == (96, 96, 3)


@pytest.mark.parametrize("name", NAMES)
def test_the_thing_is_large_and_near_the_middle(name):
    """Measured on the layer of things alone: 6 to 75 % of the picture, its centre in the inner half."""
    shares, centres = [], []
    for seed in range(4):
        rng = np.random.default_rng([seed, 7])
        canvas = _canvas(size_px=96)
        drawings._PAINTERS[name](canvas.pen(scale=0.8), rng)
        alpha = _alpha(canvas)
        shares.append(alpha.mean())
        centres.append([np.average(np.arange(96), weights=alpha.sum(axis=axis)) / 96 for axis in (0, 1)])
    assert min(shares) > 0.06
    assert max(shares) < 0.75
    assert np.all(np.abs(np.array(centres) - 0.5) < 0.25)


def test_breeds_differ_in_outline():
    """A dachshund is long and low, a poodle is tall; seen standing, without their backgrounds."""
    from stimuli.networks.demo.drawings import dogs
    from stimuli.networks.demo.drawings.breeds import BREEDS, Dog

    aspects = {}
    for name in ("dachshund", "poodle"):
        canvas = _canvas()
        dogs._stand(canvas.pen(scale=0.8), Dog(BREEDS[name], (120.0, 80.0, 60.0), np.random.default_rng(0)))
        rows, columns = np.nonzero(_alpha(canvas) > 0.5)
        aspects[name] = np.ptp(columns) / np.ptp(rows)
    assert aspects["dachshund"] > 1.5 * aspects["poodle"]


def test_only_the_dalmatian_has_spots():
    from stimuli.networks.demo.drawings.breeds import BREEDS, Dog, spots

    spotted = [name for name, breed in BREEDS.items()
               if spots(Dog(breed, (200.0, 200.0, 200.0), np.random.default_rng(0)), x=0, y=0, spread=1, count=3)]
    assert spotted == ["dalmatian"]


def test_the_digest_of_the_drawings_stands_still():
    assert drawings.drawings_digest() == drawings.drawings_digest()
    assert len(drawings.drawings_digest()) == 16


# ---------------------------------------------------------------- shapes

@pytest.mark.parametrize("closed", [True, False])
def test_a_smooth_line_passes_through_its_points(closed):
    points = np.random.default_rng(0).uniform(-1, 1, (6, 2))
    path = shapes.smooth(points, closed=closed, per_segment=5)
    np.testing.assert_allclose(path[::5], points, atol=1e-12)


def test_an_oval_has_the_area_of_an_ellipse():
    outline = shapes.oval(0.3, -0.2, 0.5, ry=0.25, angle=30)
    np.testing.assert_allclose(outline.mean(axis=0), (0.3, -0.2), atol=1e-12)
    assert _area(outline) == pytest.approx(math.pi * 0.5 * 0.25, rel=0.01)


def test_a_straight_tube_is_a_rectangle_with_round_ends():
    outline = shapes.tube([(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)], 0.4)
    assert np.ptp(outline[:, 1]) == pytest.approx(0.4)
    assert np.ptp(outline[:, 0]) == pytest.approx(2.4, abs=0.02)
    assert _area(outline) == pytest.approx(2 * 0.4 + math.pi * 0.2**2, rel=0.02)


def test_a_sharp_tube_ends_in_its_last_point():
    outline = shapes.tube([(0.0, 0.0), (0.0, 1.0)], [0.2, 0.1], sharp=True)
    assert outline[:, 1].max() == pytest.approx(1.0)


def test_a_box_and_a_turn():
    corners = shapes.box(1.0, 2.0, width=4.0, height=2.0)
    assert _area(corners) == pytest.approx(8.0)
    np.testing.assert_allclose(shapes.rotation(90) @ (1.0, 0.0), (0.0, 1.0), atol=1e-12)


@pytest.mark.parametrize("backwards", [False, True])
def test_tufts_stand_outside_whichever_way_the_outline_runs(backwards):
    outline = shapes.oval(0.0, 0.0, 0.5)
    outline = outline[::-1] if backwards else outline
    frayed = shapes.ragged(outline, amount=0.1, rng=np.random.default_rng(0))
    radii = np.linalg.norm(frayed, axis=1)
    assert radii.min() > 0.48
    assert 0.55 < radii.max() < 0.65


def test_resampled_points_are_equally_far_apart():
    points = shapes.resample(shapes.box(0, 0, width=1.0, height=1.0), step=0.1)
    gaps = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
    np.testing.assert_allclose(gaps, 0.1, atol=0.03)


def test_colours_stay_colours():
    assert shapes.dark((100.0, 50.0, 200.0), 0.5) == (50.0, 25.0, 100.0)
    assert shapes.light((55.0, 155.0, 255.0), 0.5) == (155.0, 205.0, 255.0)
    varied = np.array([shapes.vary((250.0, 5.0, 128.0), rng=np.random.default_rng(k), amount=40) for k in range(50)])
    assert varied.min() >= 0
    assert varied.max() <= 255
    assert varied.std(axis=0).min() > 3


# ---------------------------------------------------------------- canvas

def test_a_disk_covers_its_area_in_its_place():
    canvas = _canvas(size_px=100)
    canvas.pen(x=0.2, y=-0.1).disk(0.0, 0.0, 0.4, (200.0, 10.0, 30.0))
    alpha = _alpha(canvas)
    assert alpha.sum() == pytest.approx(math.pi * 20**2, rel=0.03)
    rows, columns = np.nonzero(alpha > 0.5)
    assert (columns.mean(), rows.mean()) == pytest.approx((59.5, 44.5), abs=0.6)
    np.testing.assert_array_equal(_colors(canvas)[44, 59], (200, 10, 30))


def test_a_mirrored_pen_mirrors():
    plain, mirrored = _canvas(), _canvas()
    for canvas, flip in ((plain, False), (mirrored, True)):
        canvas.pen(flip=flip).shape(np.array([(0.0, 0.0), (0.6, 0.1), (0.3, 0.5)]), (9.0, 9.0, 9.0))
    assert np.abs(_alpha(plain)[:, ::-1] - _alpha(mirrored)).mean() < 0.01


def test_a_moved_pen_keeps_its_own_coordinates():
    one, two = _canvas(), _canvas()
    one.pen().disk(0.5, 0.0, 0.2, (9.0, 9.0, 9.0))
    two.pen(scale=0.5).moved(1.0, 0.0, angle=45).disk(0.0, 0.0, 0.4, (9.0, 9.0, 9.0))
    assert np.abs(_alpha(one) - _alpha(two)).max() < 0.3


def test_the_side_towards_the_sun_is_brighter():
    canvas = _canvas(sun=(-1.0, 0.0))
    canvas.pen().disk(0.0, 0.0, 0.8, (120.0, 120.0, 120.0), volume=0.8)
    colors = _colors(canvas)
    assert colors[32, 12, 0] > colors[32, 32, 0] > colors[32, 52, 0]
    assert colors[32, 12, 0] - colors[32, 52, 0] > 30


def test_marks_are_cut_off_at_the_edge():
    canvas = _canvas()
    canvas.pen().disk(0.0, 0.0, 0.5, (10.0, 10.0, 10.0), marks=[(shapes.box(0.5, 0.0, width=1.0, height=2.0),
                                                                 (250.0, 10.0, 10.0))])
    colors, alpha = _colors(canvas), _alpha(canvas)
    assert colors[32, 40, 0] > 200
    assert colors[32, 24, 0] < 30
    assert alpha[32, 60] == 0


def test_half_clear_paint_lets_the_background_through():
    canvas = _canvas()
    canvas.pen().disk(0.0, 0.0, 0.5, (10.0, 10.0, 10.0), alpha=0.5)
    assert _alpha(canvas)[32, 32] == pytest.approx(0.5, abs=0.01)


def test_curls_grow_outwards_without_holes():
    canvas = _canvas(size_px=100)
    canvas.pen().disk(0.0, 0.0, 0.5, (10.0, 10.0, 10.0), curl=0.1)
    alpha = _alpha(canvas)
    radius = np.hypot(*np.mgrid[-49.5:50, -49.5:50]) / 50
    assert alpha[radius < 0.5].min() == 1.0
    assert 0.5 < radius[alpha > 0.5].max() < 0.64


def test_paint_outside_the_canvas_is_dropped():
    canvas = _canvas()
    canvas.pen(x=5.0).disk(0.0, 0.0, 0.5, (10.0, 10.0, 10.0))
    assert _alpha(canvas).max() == 0


# ---------------------------------------------------------------- scenes

@pytest.mark.parametrize("kind", sorted(scenes._KINDS))
def test_a_background_fills_the_picture(kind):
    image = np.asarray(scenes._KINDS[kind](np.random.default_rng(0), 48))
    assert image.shape == (48, 48, 3)
    assert image.std() > 1


def test_every_background_named_can_be_painted():
    named = {kind for kinds in scenes._NATURAL.values() for kind in kinds} | set(scenes._ANYWHERE)
    assert named <= set(scenes._KINDS)
    assert set(scenes._NATURAL) <= set(NAMES) | set(CLASSES)


def test_a_shadow_darkens_the_ground_and_not_the_thing():
    canvas, ground = _canvas(), Image.new("RGB", (64, 64), (200, 200, 200))
    bare = scenes.photograph(_canvas(), ground, rng=np.random.default_rng(0)).astype(float)
    canvas.pen().shadow(0.0, 0.5, 0.5, ry=0.2)
    shaded = scenes.photograph(canvas, ground, rng=np.random.default_rng(0)).astype(float)
    assert shaded[48, 32].mean() < bare[48, 32].mean() - 40
    np.testing.assert_array_equal(shaded[4], bare[4])
