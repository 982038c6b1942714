"""Low-level measures: plain loops over pixels, Parseval, and turned, mirrored or shifted images."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab

from analysis.rsa.low_level import band_contrasts, band_edges, gabor_energies, linear, luminance, measure_image

N_CELLS = {2: 4, 4: 8, 8: 16, 16: 32, 32: 32}


def noise(side: int = 24, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def grating(cycles: int, *, degrees: float, side: int = 128) -> np.ndarray:
    y, x = np.mgrid[:side, :side] / side
    along = x * np.cos(np.deg2rad(degrees)) + y * np.sin(np.deg2rad(degrees))
    return np.repeat((127.5 + 60 * np.sin(2 * np.pi * cycles * along))[..., None], 3, axis=2).astype(np.uint8)


def by_frequency(energies: np.ndarray) -> dict[int, np.ndarray]:
    """Cut the energies into (n_orientations, n_cells, n_cells), by cycles an image."""
    found, start = {}, 0
    for frequency, n in N_CELLS.items():
        found[frequency] = energies[start:start + 8 * n * n].reshape(8, n, n)
        start += 8 * n * n
    assert start == len(energies)
    return found


def test_luminance_is_a_loop_over_pixels() -> None:
    image = noise(5)
    found = luminance(image)
    for row in range(5):
        for column in range(5):
            light = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
                     for value in image[row, column] / 255]
            assert found[row, column] == pytest.approx(0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2])


def test_light_rises_with_every_step_of_a_pixel_and_undoes_srgbs_gamma() -> None:
    found = linear(np.arange(256, dtype=np.uint8))
    assert (np.diff(found) > 0).all()
    back = np.where(found <= 0.0031308, 12.92 * found, 1.055 * np.maximum(found, 1e-9) ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(255 * back, np.arange(256), atol=2e-3)


def test_measures_do_not_know_where_a_pixel_is() -> None:
    image = noise()
    flat = image.reshape(-1, 3)[np.random.default_rng(1).permutation(24 * 24)].reshape(image.shape)
    assert measure_image(flat) == pytest.approx(measure_image(image))
    lab = rgb2lab(image).reshape(-1, 3)
    distances = [float(np.sqrt(a**2 + b**2)) for _, a, b in lab]
    assert measure_image(image)["chroma"] == pytest.approx(np.mean(distances))
    assert measure_image(image)["chroma"] > np.hypot(*lab[:, 1:].mean(axis=0))


def test_opposite_colours_cancel_in_their_mean_and_not_in_chroma() -> None:
    """Half an image in one colour, half in another: every measure but contrast is the mean of the two."""
    halves = [np.full((6, 6, 3), colour, dtype=np.uint8) for colour in ((200, 60, 60), (30, 140, 120))]
    joined, one, two = (measure_image(image) for image in (np.concatenate(halves), *halves))
    for name in ("luminance", "red_green", "blue_yellow", "chroma"):
        assert joined[name] == pytest.approx((one[name] + two[name]) / 2), name
    assert joined["rms_contrast"] == pytest.approx(abs(one["luminance"] - two["luminance"])
                                                   / (one["luminance"] + two["luminance"]))
    assert one["red_green"] * two["red_green"] < 0


@pytest.mark.parametrize("side", [2, 3, 8, 100, 128, 227])
def test_bands_are_octaves_up_to_half_the_side(side: int) -> None:
    edges = band_edges(side)
    assert edges[-1] == side / 2
    assert edges[0] == 1.0
    assert (np.diff(edges) > 0).all()
    assert all(edges[k] == 2.0**k for k in range(len(edges) - 1))


@pytest.mark.parametrize("side", [16, 21])
def test_band_contrasts_are_a_loop_over_frequencies(side: int) -> None:
    image = noise(side)
    light = luminance(image)
    power = np.abs(np.fft.fft2(light / light.mean() - 1)) ** 2 / light.size**2
    edges = band_edges(side)
    expected = np.zeros(len(edges) - 1)
    for row in range(side):
        for column in range(side):
            cycles = np.hypot(*(k - side if k > side / 2 else k for k in (row, column)))
            for band in range(len(expected)):
                if edges[band] <= cycles < edges[band + 1]:
                    expected[band] += power[row, column]
    np.testing.assert_allclose(band_contrasts(image), np.sqrt(expected), rtol=1e-9)


def test_band_contrasts_know_no_place_turn_or_mirror_and_none_is_in_a_plain_image() -> None:
    image = noise(32)
    found = band_contrasts(image)
    for other in (np.roll(image, (5, 11), axis=(0, 1)), np.rot90(image), image[:, ::-1], image.transpose(1, 0, 2)):
        np.testing.assert_allclose(band_contrasts(other), found, rtol=1e-9)
    for grey in (0, 1, 130, 255):
        np.testing.assert_allclose(band_contrasts(np.full((32, 32, 3), grey, dtype=np.uint8)), 0, atol=1e-12)


@pytest.mark.parametrize("frequency", [4, 8, 16])
@pytest.mark.parametrize("k", [0, 2, 4])
def test_a_grating_is_found_at_its_frequency_and_orientation(frequency: int, k: int) -> None:
    energies = by_frequency(gabor_energies(grating(frequency, degrees=22.5 * k)))
    means = {cycles: one.mean(axis=(1, 2)) for cycles, one in energies.items()}
    assert max(means, key=lambda cycles: means[cycles].max()) == frequency
    assert means[frequency].argmax() == k


def test_energies_of_an_image_at_one_place_are_at_that_place() -> None:
    image = np.full((128, 128, 3), 127, dtype=np.uint8)
    image[24:56, 72:104] = grating(16, degrees=0.0)[24:56, 72:104]
    found = by_frequency(gabor_energies(image))[16][0]
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert 6 <= row < 14
    assert 18 <= column < 26
    assert found[20:, :14].max() < 0.02 * found.max()


def test_a_mirrored_image_has_mirrored_energies_of_mirrored_orientations() -> None:
    """Mirrored about the vertical, bars crossed along k eighths of a half turn are crossed along 8 - k."""
    image = noise(127, seed=2)
    one, other = (by_frequency(gabor_energies(some)) for some in (image, image[:, ::-1]))
    for cycles, energies in one.items():
        mirrored = energies[[-k % 8 for k in range(8)], :, ::-1]
        assert np.corrcoef(mirrored.ravel(), other[cycles].ravel())[0, 1] > 0.99, cycles


def test_energies_are_none_in_a_plain_image_and_float32_of_any_side() -> None:
    for side in (16, 128, 200):
        found = gabor_energies(np.full((side, side, 3), 90, dtype=np.uint8))
        assert found.shape == (8 * sum(n * n for n in N_CELLS.values()),)
        assert found.dtype == np.float32
        assert np.abs(found).max() < 1e-6
