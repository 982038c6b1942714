"""Distances and contrast against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from stimuli.image_set.measures import contrast_rms, l2, linf, noise_rms, similarity

IMAGES = hnp.arrays(np.uint8, (3, 4, 3))


@given(IMAGES, IMAGES)
def test_distances_are_those_of_a_loop(image: np.ndarray, start: np.ndarray) -> None:
    changes = [int(a) - int(b) for a, b in zip(image.reshape(-1), start.reshape(-1), strict=True)]
    squares = sum(change * change for change in changes)
    assert l2(image, start) == pytest.approx(math.sqrt(squares) / 255)
    assert linf(image, start) == pytest.approx(max(map(abs, changes)) / 255)
    assert noise_rms(image, start) == pytest.approx(math.sqrt(squares / 36))


@given(IMAGES)
def test_contrast_is_the_spread_about_each_channels_mean(image: np.ndarray) -> None:
    squares = 0.0
    for channel in range(3):
        values = [int(value) for value in image[:, :, channel].reshape(-1)]
        mean = sum(values) / 12
        squares += sum((value - mean) ** 2 for value in values)
    assert contrast_rms(image) == pytest.approx(math.sqrt(squares / 36))


def test_a_flat_colour_has_no_contrast() -> None:
    assert contrast_rms(np.full((5, 5, 3), (200, 10, 90), np.uint8)) == 0.0


def test_8_bit_values_do_not_wrap_around() -> None:
    assert linf(np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)) == 1.0


def test_similarity_is_one_for_the_same_image_and_less_for_noise() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert similarity(image, image) == pytest.approx(1.0)
    assert similarity(image, rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)) < 0.3


def test_similarity_of_flat_images_is_the_published_formula() -> None:
    a, b = np.full((9, 9, 3), 100.0), np.full((9, 9, 3), 150.0)
    c1 = (0.01 * 255) ** 2
    assert similarity(a, b) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))
