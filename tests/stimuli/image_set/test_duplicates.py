"""The perceptual hash ignores what nobody sees and tells different pictures apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stimuli.categories import demo_categories
from stimuli.image_set.set_rules import BITS, near_duplicates, perceptual_hash
from stimuli.networks.demo.drawings import draw

NAMES = [name for _, name in demo_categories()]


def _draw(name: str, *, seed: int = 3) -> np.ndarray:
    return draw(name, rng=np.random.default_rng(seed), size_px=96)


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 10**6), strength=st.floats(0, 6))
def test_tiny_noise_changes_next_to_nothing(name: str, seed: int, strength: float) -> None:
    pixels = _draw(name, seed=seed)
    noise = np.random.default_rng(seed).normal(0, strength, pixels.shape)
    noisy = np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    assert (perceptual_hash(pixels) != perceptual_hash(noisy)).sum() <= 10
    assert near_duplicates({"a": pixels, "b": noisy}, bits=10)


@settings(max_examples=25, deadline=None)
@given(names=st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True), seed=st.integers(0, 10**6))
def test_different_drawings_are_apart(names: list[str], seed: int) -> None:
    images = {name: _draw(name, seed=seed + k) for k, name in enumerate(names)}
    assert near_duplicates(images, bits=5) == ()


def test_all_demo_categories_are_told_apart() -> None:
    assert near_duplicates({name: _draw(name, seed=k) for k, name in enumerate(NAMES)}, bits=10) == ()


def test_the_hash_is_that_of_a_plain_cosine_transform() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    grey = np.asarray(Image.fromarray(pixels).convert("L"), dtype=float)
    n = np.arange(32)
    low = np.array([[sum(grey * np.outer(np.cos(np.pi * (n + .5) * u / 32), np.cos(np.pi * (n + .5) * v / 32)))
                     .sum() * (0.5 ** .5 if u == 0 else 1) * (0.5 ** .5 if v == 0 else 1) for v in range(8)]
                    for u in range(8)]).ravel()[1:]
    assert len(low) == BITS
    np.testing.assert_array_equal(perceptual_hash(pixels), low > np.median(low))


def test_pairs_come_nearest_first_and_name_both() -> None:
    beagle = _draw("beagle")
    cropped = np.asarray(Image.fromarray(beagle[2:-2, 2:-2]).resize((64, 64)))
    pairs = near_duplicates({"a": beagle, "b": cropped, "c": beagle, "d": _draw("banana")}, bits=12)
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "c"), ("a", "b"), ("b", "c")]
    assert pairs[0].bits == 0 < pairs[1].bits == pairs[2].bits


@pytest.mark.parametrize("grey", [0, 127, 255])
def test_a_flat_image_has_a_hash(grey: int) -> None:
    assert not perceptual_hash(np.full((20, 20, 3), grey, np.uint8)).any()
