"""What drives a virtual subject: pixels, categories and layers, each against what it should see and not see."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.simulation.contents import (
    CYCLES,
    GRID,
    N_ORIENTATIONS,
    SHARES,
    category_code,
    components,
    gabor_energy,
    mix,
)
from analysis.simulation.ground_truth import score_regions
from stimuli.manifest import TYPES


def _grating(cycles: float, turn: float, *, side: int = 227) -> np.ndarray:
    y, x = np.mgrid[:side, :side] / side
    wave = np.sin(2 * np.pi * cycles * (x * np.cos(turn) + y * np.sin(turn)))
    return np.repeat(np.round(127.5 + 100 * wave)[:, :, None], 3, axis=2).astype(np.uint8)


def _energies(image: np.ndarray) -> np.ndarray:
    """Frequencies by orientations, averaged over places."""
    found = gabor_energy(image)[: len(CYCLES) * N_ORIENTATIONS * GRID**2]
    return (found.reshape(len(CYCLES), N_ORIENTATIONS, GRID, GRID) ** 2).mean(axis=(2, 3))


@pytest.mark.parametrize("frequency", range(4))
@pytest.mark.parametrize("orientation", [0, 2, 5])
def test_a_grating_excites_the_filter_of_its_frequency_and_orientation(frequency: int, orientation: int) -> None:
    found = _energies(_grating(CYCLES[frequency], np.pi * orientation / N_ORIENTATIONS))
    assert np.unravel_index(found.argmax(), found.shape) == (frequency, orientation)
    assert found.max() > 0.4 * found.sum()


def test_energy_ignores_phase_and_brightness_and_says_where() -> None:
    image = _grating(8.0, 0.0)
    assert _energies(np.roll(image, 7, axis=1)) == pytest.approx(_energies(image), abs=0.02 * _energies(image).max())
    assert _energies(image - 20) == pytest.approx(_energies(image), rel=0.01, abs=1e-6)
    half = image.copy()
    half[:, 114:] = 127
    places = gabor_energy(half)[: len(CYCLES) * N_ORIENTATIONS * GRID**2].reshape(-1, GRID, GRID)[N_ORIENTATIONS]
    assert places[:, 1].min() > 20 * places[:, 4].max()


def test_colour_is_measured_by_place() -> None:
    image = np.zeros((96, 96, 3), dtype=np.uint8)
    image[:16, :16, 0] = 255
    colours = gabor_energy(image)[-3 * GRID**2:].reshape(3, GRID, GRID)
    assert colours[0, 0, 0] == pytest.approx(1.0)
    assert colours.sum() == pytest.approx(1.0)


def test_components_equal_a_plain_svd() -> None:
    measures = np.random.default_rng(3).standard_normal((12, 300)).astype(np.float32)
    u, s, _ = np.linalg.svd((measures - measures.mean(axis=0)).astype(float), full_matrices=False)
    expected = u[:, :5] * s[:5]
    expected *= np.sqrt(12 / np.square(expected).sum())
    found = components(measures, n=5)
    assert np.abs(found) == pytest.approx(np.abs(expected), rel=1e-3, abs=1e-4)
    assert found.var(axis=0).sum() == pytest.approx(1.0)
    assert (np.take_along_axis(found, np.abs(found).argmax(axis=0)[None], axis=0) > 0).all()
    assert components(measures[:, ::-1] * 7, n=5) == pytest.approx(found, rel=1e-3, abs=1e-4)
    assert not components(np.ones((5, 9))).any()


def test_images_of_a_class_are_more_alike_than_others() -> None:
    classes = ["dogs"] * 8 + ["cars"] * 8
    code = category_code(classes, rng=np.random.default_rng(1))
    apart = np.linalg.norm(code[:, None] - code, axis=2)
    same = np.equal.outer(classes, classes) & ~np.eye(16, dtype=bool)
    assert apart[same].max() < apart[~same & ~np.eye(16, dtype=bool)].min()
    assert apart[same].min() > 0.1, "no two categories are the same"


def test_a_mixture_has_the_shares_asked_for() -> None:
    rng = np.random.default_rng(2)
    sources = [components(rng.standard_normal((40, 60))) for _ in range(3)]
    for shares in SHARES.values():
        assert sum(shares) == pytest.approx(1.0)
        assert mix(sources, shares=shares).var(axis=0).sum() == pytest.approx(1.0)
    assert mix(sources, shares=(0.7, 0.0, 0.3)).shape[1] == 24


class _Set:
    """Four base images, with pictures that follow them but for AN, which are noise."""

    base_images = ("a", "b", "c", "d")

    def get(self, *, base_image: str, type: str) -> Any:  # noqa: A002 - the manifest's own word
        place = self.base_images.index(base_image)
        target = self.base_images[3 - place] if type == "AI" else base_image
        return SimpleNamespace(base_image=base_image, type=type, category=base_image, class_name="ab"[place // 2],
                               target_category=target)


def _picture(one: Any) -> np.ndarray:
    place = _Set.base_images.index(one.base_image)
    if one.type == "AN":
        return np.random.default_rng(place).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    return _grating(CYCLES[place % 2], np.pi * place / 4, side=64)


def _scores(world: str, content: str = "mixed", *, layer: np.ndarray | None = None) -> dict[str, np.ndarray]:
    units = np.random.default_rng(9).standard_normal((4, 30)).astype(np.float32) if layer is None else layer
    return score_regions(_Set(), world=world, content=content, layers={"LO": units},  # type: ignore[arg-type]
                         pictures=_picture, generator=lambda purpose: np.random.default_rng(len(purpose)))["LO"]


def test_worlds_are_seen_through_the_set() -> None:
    assert all(not one.any() for one in _scores("null").values())
    like_network = _scores("cnn-like")
    assert np.array_equal(like_network["AI"], like_network["RE"][::-1]), "an AI is seen as its target's RE image"
    by_pixels = _scores("pixels")
    assert by_pixels["AI"] == pytest.approx(by_pixels["RE"]), "the pictures are the same"
    assert not np.allclose(by_pixels["AN"], by_pixels["RE"], atol=0.3)
    assert set(_scores("paper", "network")) == set(TYPES)


def test_a_layer_alone_needs_no_pictures_and_must_vary() -> None:
    from subjects.errors import AnalysisError

    with pytest.raises(AnalysisError, match="a layer that responds alike to all images"):
        _scores("paper", layer=np.ones((4, 9), dtype=np.float32))
