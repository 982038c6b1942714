"""What a person knows of the forty things, measured on the things alone, without their backgrounds.

Colours and proportions are written down from the things themselves, not from the code that draws
them: taxis are yellow, a limousine is long, a starfish has five arms.
"""

import numpy as np
import pytest
from scipy import ndimage
from scipy.signal import find_peaks

from stimuli.categories import DEMO_CATEGORIES, demo_categories
from stimuli.networks.demo import drawings
from stimuli.networks.demo.drawings.canvas import Canvas

SEEDS = range(6)
SIDE = 96

HUES = {
    "yellow": lambda r, g, b: (r - b > 80) & (g - b > 50) & (r > 150),
    "red": lambda r, g, b: (r - g > 70) & (r - b > 60) & (r > 120),
    "orange": lambda r, g, b: (r - g > 40) & (g - b > 30) & (r > 150),
    "pink": lambda r, g, b: (r - g > 50) & (b > 60) & (r > 140),
    "green": lambda r, g, b: (g - r > 15) & (g - b > 15),
    "blue": lambda r, g, b: (b - r > 50) & (b - g > 10),
    "dark": lambda r, g, b: (r < 80) & (g < 80) & (b < 90),
    "white": lambda r, g, b: (r > 185) & (g > 185) & (b > 175),
}

COLOURED = [  # category, colour, least share of the thing
    ("beagle", "white", 0.08), ("dalmatian", "white", 0.2), ("dalmatian", "dark", 0.1), ("husky", "white", 0.08),
    ("golden retriever", "yellow", 0.1), ("Scottish terrier", "dark", 0.7), ("pug", "dark", 0.08),
    ("flamingo", "pink", 0.6), ("penguin", "dark", 0.25), ("penguin", "white", 0.2), ("peacock", "blue", 0.2),
    ("peacock", "green", 0.2), ("toucan", "dark", 0.35), ("toucan", "yellow", 0.1), ("taxi", "yellow", 0.3),
    ("police car", "white", 0.12), ("fire engine", "red", 0.25), ("school bus", "yellow", 0.35),
    ("banana", "yellow", 0.6), ("strawberry", "red", 0.4), ("strawberry", "green", 0.08), ("orange", "orange", 0.5),
    ("pineapple", "green", 0.15), ("pineapple", "orange", 0.2), ("watermelon", "green", 0.08), ("pear", "yellow", 0.2),
    ("clownfish", "orange", 0.15), ("clownfish", "white", 0.04), ("clownfish", "dark", 0.04),
    ("jellyfish", "white", 0.15),
]

PROPORTIONED = [  # category, least and greatest width over height, of every pose
    ("flamingo", 0.5, 0.9), ("penguin", 0.4, 1.0), ("ostrich", 0.6, 1.1), ("peacock", 1.2, 1.6), ("swan", 1.1, 1.8),
    ("racing car", 2.2, 3.2), ("limousine", 2.7, 4.1), ("convertible", 1.8, 2.6), ("pickup truck", 1.8, 2.6),
    ("seahorse", 0.4, 0.85), ("shark", 1.3, 2.2), ("starfish", 0.75, 1.3), ("grapes", 0.45, 0.9),
                ("jellyfish", 0.5, 1.0),
    ("crab", 1.0, 1.6),
]


def _thing(name, seed):
    """Colours (96, 96, 3) in 0..255 and opacity (96, 96) of one thing, upright and in the middle."""
    canvas = Canvas(SIDE, np.random.default_rng(0), sun=(-0.6, -0.8))
    drawings._PAINTERS[name](canvas.pen(scale=0.7), np.random.default_rng([seed, 3]))
    layer = np.asarray(canvas.things.reduce(2), dtype=float)
    return layer[..., :3], layer[..., 3] / 255


def _mask(name, seed):
    return _thing(name, seed)[1] > 0.5


def _extent(mask):
    rows, columns = np.nonzero(mask)
    return np.ptp(columns) + 1, np.ptp(rows) + 1


@pytest.mark.parametrize(("name", "hue", "least"), COLOURED)
def test_a_thing_has_its_colour(name, hue, least):
    for seed in SEEDS:
        colors, alpha = _thing(name, seed)
        assert HUES[hue](*colors[alpha > 0.5].T).mean() > least


@pytest.mark.parametrize(("name", "low", "high"), PROPORTIONED)
def test_a_thing_has_its_proportions(name, low, high):
    for seed in SEEDS:
        width, height = _extent(_mask(name, seed))
        assert low < width / height < high


@pytest.mark.parametrize("name", [name for _, name in demo_categories()])
def test_a_thing_is_of_one_piece(name):
    """Nothing floats beside it: the largest connected part holds nearly all of it."""
    for seed in SEEDS:
        parts, _ = ndimage.label(_thing(name, seed)[1] > 0.2, structure=np.ones((3, 3)))
        sizes = np.bincount(parts.ravel())[1:]
        assert sizes.max() > 0.9 * sizes.sum() or (name in DEMO_CATEGORIES["fruits"] and len(sizes) <= 3)


@pytest.mark.parametrize("name", [name for _, name in demo_categories()])
def test_no_two_poses_are_the_same(name):
    outlines = [_thing(name, seed)[0] for seed in SEEDS]
    gaps = [np.abs(a - b).mean() for place, a in enumerate(outlines) for b in outlines[place + 1:]]
    assert min(gaps) > 0.5


def test_a_limousine_is_longer_than_a_taxi():
    assert _extent(_mask("limousine", 0))[0] / _extent(_mask("limousine", 0))[1] > 1.3 * 2.0


def _arms(mask, radius):
    """Count runs of thing along a circle about the thing's own centre."""
    row, column = ndimage.center_of_mass(mask)
    turn = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    ring = ndimage.map_coordinates(mask.astype(float), [row + radius * np.sin(turn), column + radius * np.cos(turn)],
                                   order=1)
    inside = ring > 0.5
    return int(np.sum(inside & ~np.roll(inside, 1)))


def test_a_starfish_has_five_arms():
    assert [_arms(_mask("starfish", seed), 18.0) for seed in SEEDS] == [5] * len(SEEDS)


def test_a_ball_has_none():
    disk = np.hypot(*np.mgrid[-48:48, -48:48]) < 30
    assert _arms(disk, 18.0) == 0


def test_an_owl_looks_at_you():
    """The glow of its eyes lies in the upper half, on both sides of the middle."""
    for seed in SEEDS:
        colors, alpha = _thing("owl", seed)
        glow = (HUES["yellow"](*np.moveaxis(colors, 2, 0)) | HUES["orange"](*np.moveaxis(colors, 2,
                                                                                         0))) & (alpha > 0.5)
        upper = glow[16:46]
        left, right = upper[:, 25:48].sum(), upper[:, 48:71].sum()
        assert min(left, right) > 12


@pytest.mark.parametrize("name", ["taxi", "limousine", "pickup truck", "fire engine"])
def test_a_car_stands_on_two_wheels_seen_from_the_side(name):
    """Along the lowest rows of the thing there are two separate runs: the tyres."""
    sides = []
    for seed in range(12):
        mask = _mask(name, seed)
        width, height = _extent(mask)
        if width / height < 1.3:
            continue
        bottom = np.nonzero(mask.any(axis=1))[0].max()
        row = ndimage.binary_opening(mask[bottom - 2:bottom - 1, :].any(axis=0), structure=np.ones(2))
        sides.append(int(np.sum(row & ~np.roll(row, 1))))
    assert len(sides) >= 4
    assert set(sides) == {2}


def test_a_jellyfish_is_solid_above_and_wispy_below():
    for seed in SEEDS:
        _, alpha = _thing("jellyfish", seed)
        rows = np.nonzero((alpha > 0.3).any(axis=1))[0]
        middle = int(rows.mean())
        runs = [np.sum((line > 0.3) & ~np.roll(line > 0.3, 1)) for line in alpha]
        assert np.mean(runs[middle + 8:rows.max()]) > 1.5 * np.mean(runs[rows.min():middle - 8])


def test_a_flamingo_stands_on_thin_legs():
    for seed in SEEDS:
        mask = _mask("flamingo", seed)
        rows = np.nonzero(mask.any(axis=1))[0]
        widths = mask[rows].sum(axis=1)
        legs, body = (widths[int(a * len(rows)):int(b * len(rows))] for a, b in ((0.8, 0.95), (0.4, 0.7)))
        assert legs.max() < 0.35 * body.max()


def test_a_clownfish_has_white_bars():
    """Along its body, white rises and falls at least twice."""
    for seed in SEEDS:
        colors, alpha = _thing("clownfish", seed)
        white = (HUES["white"](*np.moveaxis(colors, 2, 0)) & (alpha > 0.5)).sum(axis=0).astype(float)
        peaks, _ = find_peaks(np.convolve(white, np.ones(5) / 5, mode="same"), prominence=2)
        assert len(peaks) >= 2


def test_a_dalmatian_has_many_spots_and_a_beagle_few():
    counts = {}
    for name in ("dalmatian", "beagle"):
        colors, alpha = _thing(name, 1)
        dark = HUES["dark"](*np.moveaxis(colors, 2, 0)) & (alpha > 0.5)
        counts[name] = ndimage.label(dark)[1]
    assert counts["dalmatian"] >= 12
    assert counts["dalmatian"] > 2 * counts["beagle"]


def test_a_standing_dachshund_is_the_longest_dog():
    longest = {name: max(np.divide(*_extent(_mask(name, seed))) for seed in range(10))
               for name in DEMO_CATEGORIES["dogs"]}
    assert max(longest, key=longest.get) == "dachshund"
    assert longest["dachshund"] > 1.3 * sorted(longest.values())[-2]
