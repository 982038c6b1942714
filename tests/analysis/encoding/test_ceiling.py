"""The noise ceiling against known variances and against what a perfect model reaches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import pearsonr

from analysis.encoding.ceiling import noise_ceiling


def presentations(signal_sd: float, *, n_images: int = 40, n_vertices: int = 3000, seed: int = 0):
    """Two presentations of noise variance 1 each, and what both hold."""
    rng = np.random.default_rng(seed)
    signal = signal_sd * rng.normal(size=(n_images, n_vertices))
    return signal, *(signal + rng.normal(size=signal.shape) for _ in range(2))


@pytest.mark.parametrize("signal_sd", [0.3, 1.0, 3.0])
def test_it_is_what_the_truth_itself_reaches(signal_sd):
    signal, first, second = presentations(signal_sd)
    reached = [pearsonr(signal[:, v], (first + second)[:, v]).statistic for v in range(600)]
    theory = math.sqrt(signal_sd**2 / (signal_sd**2 + 0.5))
    assert noise_ceiling(first, second) == pytest.approx(theory, abs=0.02)
    assert np.mean(reached) <= noise_ceiling(first, second) + 0.02
    assert np.mean(reached) == pytest.approx(theory, abs=0.03)


def test_without_signal_it_is_near_zero():
    assert noise_ceiling(*presentations(0.0)[1:]) < 0.15


def test_scale_and_offset_do_not_matter():
    _, first, second = presentations(1.0, n_vertices=20)
    assert noise_ceiling(3 * first + 7, 3 * second + 7) == pytest.approx(noise_ceiling(first, second))


def test_opposite_presentations_give_zero_and_silent_vertices_do_not_count():
    _, first, _ = presentations(1.0, n_vertices=5)
    assert noise_ceiling(first, -0.5 * first) == 0.0
    silent = np.zeros((40, 5))
    assert math.isnan(noise_ceiling(silent, silent))
    assert noise_ceiling(np.hstack([first, silent]), np.hstack([first, silent])) == 1.0
