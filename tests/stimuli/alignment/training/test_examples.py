"""Examples: what is refused, what counts as a map, and that image and map are moved together."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest

from stimuli.alignment.training.examples import ArrayExamples, Batch, Changes, change
from subjects.errors import StimulusError
from tests.stimuli.alignment.training.small import SIDE, small_examples

STILL = Changes(mirror=False, max_shift_px=0, brightness=0.0)


def drawn(n, seed=0):
    return [np.random.default_rng([seed, k]) for k in range(n)]


def marked(n=6):
    """Examples whose image is their map, in grey levels: what moves one must move the other."""
    levels = np.random.default_rng(1).integers(0, 256, (n, SIDE, SIDE)).astype(np.uint8)
    return Batch(np.repeat(levels[..., None], 3, axis=3), np.zeros(n, np.int64), levels.astype(np.float32) / 255,
                 np.ones(n, bool))


@pytest.mark.parametrize(("spoil", "text"), [
    ({"labels": np.zeros(3, np.int64)}, "examples, labels: (3,); expected (40,)"),
    ({"maps": np.zeros((40, 8, 8), np.float32)}, "examples, maps: (40, 8, 8); expected (40, 16, 16)"),
    ({"images": np.zeros((40, 16, 16, 3), np.float32)}, "examples, images: ('float32', (40, 16, 16, 3)); expected"),
    ({"images": np.zeros((40, 16, 12, 3), np.uint8)}, "expected ('uint8', (40, 16, 16, 3)). Give one label"),
    ({"labels": np.full(40, 4)}, "labels from 4 to 4; expected places among the network's 4 outputs, from 0"),
    ({"labels": np.full(40, -1)}, "labels from -1 to -1; expected places"),
])
def test_examples_that_do_not_fit_are_refused(spoil, text):
    good = small_examples()
    parts = {"images": good.images, "labels": good.labels, "maps": good.maps, "n_classes": 4}
    with pytest.raises(StimulusError, match=re.escape(text)):
        ArrayExamples(**{**parts, **spoil})


def test_a_map_that_says_nothing_is_none():
    examples = small_examples(without=1)
    examples.maps[1], examples.maps[2, 3, 3], examples.maps[3] = 0.7, np.nan, np.inf
    assert examples.has_map.tolist() == [False] * 4 + [True] * 36
    batch = examples.take(np.array([5, 2, 1]))
    assert batch.has_map.tolist() == [True, False, False]
    assert not batch.maps[1:].any()
    assert np.array_equal(batch.maps[0], examples.maps[5])
    assert np.array_equal(batch.images, examples.images[[5, 2, 1]])


@pytest.mark.parametrize("what", ["images", "labels", "maps"])
def test_the_digest_sees_every_part(what):
    before, after = small_examples(), small_examples()
    values = getattr(after, what)
    values.flat[0] = (values.flat[0] + 1) % 4
    assert before.digest == small_examples().digest != after.digest


def test_nothing_is_changed_where_nothing_shall_be():
    batch = marked()
    images, maps = change(batch, changes=STILL, generators=drawn(6))
    assert np.array_equal(np.rint(images.numpy() * 255).astype(np.uint8).transpose(0, 2, 3, 1), batch.images)
    assert np.array_equal(maps.numpy(), batch.maps)


def test_image_and_map_are_moved_together():
    images, maps = change(marked(), changes=Changes(mirror=True, max_shift_px=4, brightness=0.0), generators=drawn(6))
    assert np.allclose(images.numpy()[:, 0], maps.numpy(), atol=1e-6)
    assert not np.allclose(maps.numpy(), marked().maps)


def test_shifts_and_mirrors_are_those_of_rolled_pictures():
    """Inside, a moved map is the rolled one, mirrored or not; every shift and both ways occur."""
    batch, reach, met = marked(64), 2, set()
    _, maps = change(batch, changes=Changes(max_shift_px=reach), generators=drawn(64))
    inside = slice(reach, SIDE - reach)
    for before, after in zip(batch.maps, maps.numpy(), strict=True):
        fitting = [(down, across, turned) for down, across, turned in product(range(-2, 3), range(-2, 3), (False, True))
                   if np.array_equal((np.roll(before, (-down, -across), (0, 1))[:, ::-1 if turned else 1])
                                     [inside, inside], after[inside, inside])]
        assert len(fitting) == 1
        met.update(fitting)
    assert len(met) > 25
    assert {turned for *_, turned in met} == {False, True}


def test_brightness_changes_images_alone_and_stays_within_bounds():
    batch = marked()
    images, maps = change(batch, changes=Changes(mirror=False, max_shift_px=0, brightness=0.5), generators=drawn(6))
    assert np.array_equal(maps.numpy(), batch.maps)
    assert 0.0 <= float(images.min()) < float(images.max()) <= 1.0
    assert not np.allclose(images.numpy()[:, 0], batch.maps, atol=0.05)


def test_what_becomes_of_an_example_does_not_hang_on_its_neighbours():
    batch = marked()
    whole, _ = change(batch, changes=Changes(), generators=drawn(6))
    alone, _ = change(Batch(batch.images[3:4], batch.labels[3:4], batch.maps[3:4], batch.has_map[3:4]),
                      changes=Changes(), generators=drawn(6)[3:4])
    assert np.array_equal(whole[3], alone[0])
