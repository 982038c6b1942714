"""Noise, collages and scrambling against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from stimuli.categories import demo_categories
from stimuli.textures.pieces import WORDS, face_pieces, object_pieces, word_pieces
from stimuli.textures.synthesis import GREY, centred, collage, grid_scramble, phase_scramble, pink_noise, to_levels
from subjects.errors import StimulusError


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _slope(image: np.ndarray) -> float:
    """Slope of log amplitude over log frequency, averaged over orientations."""
    values = image[:, :, 0].astype(np.float64)
    amplitude = np.abs(np.fft.fft2(values - values.mean()))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(len(values)), np.fft.fftfreq(len(values))))
    rings = [(frequency > low) & (frequency <= 1.25 * low) for low in np.geomspace(0.02, 0.35, 12)]
    x = [np.log(frequency[ring].mean()) for ring in rings]
    y = [np.log(np.sqrt((amplitude[ring] ** 2).mean())) for ring in rings]
    return float(np.polyfit(x, y, 1)[0])


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 1.5])
def test_noise_falls_with_frequency_as_asked_and_is_achromatic(exponent: float) -> None:
    noise = pink_noise(256, rng=_rng(), exponent=exponent, sd=25.0)
    assert _slope(noise) == pytest.approx(-exponent, abs=0.08)
    assert (noise == noise[:, :, :1]).all()
    assert noise.dtype == np.uint8
    assert noise.mean() == pytest.approx(GREY, abs=1.0)
    assert noise[:, :, 0].std() == pytest.approx(25.0, abs=1.0)


def test_the_same_generator_gives_the_same_noise() -> None:
    np.testing.assert_array_equal(pink_noise(64, rng=_rng(3)), pink_noise(64, rng=_rng(3)))
    assert (pink_noise(64, rng=_rng(3)) != pink_noise(64, rng=_rng(4))).any()


@given(seed=st.integers(0, 10**6), cells=st.sampled_from([2, 3, 4, 6]))
@hypothesis_settings(max_examples=40, deadline=None)
def test_a_grid_scramble_moves_every_cell_and_changes_none(seed: int, cells: int) -> None:
    image = _rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    edge = 24 // cells
    other = grid_scramble(image, cells=cells, rng=_rng(seed + 1))

    def blocks(of: np.ndarray) -> list[bytes]:
        return [of[y:y + edge, x:x + edge].tobytes() for y in range(0, 24, edge) for x in range(0, 24, edge)]

    assert sorted(blocks(image)) == sorted(blocks(other))
    assert all(a != b for a, b in zip(blocks(image), blocks(other), strict=True))


@pytest.mark.parametrize(("cells", "shape"), [(1, (24, 24, 3)), (5, (24, 24, 3)), (4, (24, 20, 3))])
def test_cells_that_do_not_fit_are_refused(cells: int, shape: tuple[int, int, int]) -> None:
    with pytest.raises(StimulusError, match=f"grid scramble: {cells} cells along {shape[1]} x 24 pixels"):
        grid_scramble(np.zeros(shape, dtype=np.uint8), cells=cells, rng=_rng())


@given(seed=st.integers(0, 10**6), size=st.sampled_from([(16, 16), (15, 15), (12, 20), (13, 18)]))
@hypothesis_settings(max_examples=30, deadline=None)
def test_a_phase_scramble_keeps_every_amplitude_and_the_colours_together(seed: int, size: tuple[int, int]) -> None:
    image = _rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    other = phase_scramble(image, rng=_rng(seed + 1))
    before, after = (np.fft.fft2(np.asarray(one, dtype=np.float64), axes=(0, 1)) for one in (image, other))
    np.testing.assert_allclose(np.abs(after), np.abs(before), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(other.mean(axis=(0, 1)), image.mean(axis=(0, 1)))
    # Phases between channels stay: their cross spectra do.
    np.testing.assert_allclose(after[..., 0] * after[..., 1].conj(), before[..., 0] * before[..., 1].conj(), rtol=1e-6,
                               atol=1e-3)
    assert np.abs(other - image).max() > 1.0


def test_levels_are_rounded_and_cut_off() -> None:
    np.testing.assert_array_equal(to_levels(np.array([-3.0, 0.4, 99.6, 255.4, 300.0])), [0, 0, 100, 255, 255])


def test_a_collage_covers_every_quarter_and_leaves_the_background_elsewhere() -> None:
    background = pink_noise(120, rng=_rng())
    red = Image.new("RGBA", (20, 10), (255, 0, 0, 255))
    made = collage(background, [red], rng=_rng(2), n_across=4, spread=(0.8, 0.9), turn_deg=0.0)
    painted = (made != background).any(axis=2)
    assert all(painted[y:y + 60, x:x + 60].mean() > 0.1 for y in (0, 60) for x in (0, 60))
    assert 0.1 < painted.mean() < 0.9
    assert (made[painted][:, 0] > 120).mean() > 0.95


def test_a_collage_of_nothing_is_refused() -> None:
    with pytest.raises(StimulusError, match="collage: no pieces"):
        collage(pink_noise(16, rng=_rng()), [], rng=_rng(), n_across=2)


@pytest.mark.parametrize("size", [(40, 10), (10, 40), (7, 7)])
def test_a_piece_is_centred_and_fills_its_share(size: tuple[int, int]) -> None:
    made = centred(Image.new("RGBA", size, (10, 200, 30, 255)), size_px=100, share=0.8)
    rows, columns = np.nonzero((made != GREY).any(axis=2))
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert max(tall, wide) == pytest.approx(80, abs=2)
    assert tall / wide == pytest.approx(size[1] / size[0], rel=0.1)
    assert abs((rows.min() + rows.max()) / 2 - 49.5) <= 1.0
    assert abs((columns.min() + columns.max()) / 2 - 49.5) <= 1.0


def test_pieces_are_cut_out_and_differ() -> None:
    objects = object_pieces(40, rng=_rng(), side_px=64)
    faces, words = face_pieces(12, rng=_rng(), side_px=64), word_pieces(12, rng=_rng(), side_px=64)
    assert len(demo_categories()) == len(objects)
    for piece in (*objects, *faces, *words):
        alpha = np.asarray(piece)[:, :, 3]
        assert piece.mode == "RGBA"
        assert (alpha > 128).mean() > 0.03
        assert (alpha == 0).any()
        assert alpha.any(axis=0)[[0, -1]].all() or piece in words
    assert len({piece.tobytes() for piece in (*objects, *faces, *words)}) == 64


def test_faces_have_skin_eyes_and_a_mouth() -> None:
    """White of the eyes to the left and to the right above, reddish lips in the middle below."""
    for piece in face_pieces(12, rng=_rng(5), side_px=200):
        canvas = np.asarray(piece).astype(float)
        height, width = canvas.shape[:2]
        white = (canvas[:, :, :3].min(axis=2) > 215) & (canvas[:, :, 3] > 200)
        band = white[int(0.15 * height):int(0.6 * height)]
        assert band[:, :width // 2].sum() > 5
        assert band[:, width // 2:].sum() > 5


def test_words_are_words() -> None:
    assert len(WORDS) == len(set(WORDS)) > 150
    assert all(word.isalpha() and word.islower() and 4 <= len(word) <= 5 for word in WORDS)
