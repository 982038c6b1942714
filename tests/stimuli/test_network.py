"""Names, guards and conversions around networks; the seam itself is in tests/contracts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stimuli.network import TorchNetwork, cpu_threads, load_network, to_pixels, to_tensor
from subjects.errors import NetworkError


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.just(3))))
def test_pixels_survive_the_trip_through_a_tensor(pixels: np.ndarray) -> None:
    tensor = to_tensor(pixels)
    assert tensor.shape == (len(pixels), 3, *pixels.shape[1:3])
    assert tensor[0, 2, 0, 0] == np.float32(pixels[0, 0, 0, 2]) / np.float32(255)
    np.testing.assert_array_equal(to_pixels(tensor), pixels)


@given(hnp.arrays(np.float32, (1, 3, 2, 2), elements=st.floats(-0.5, 1.5, width=32)))
def test_quantisation_takes_the_nearest_level(values: np.ndarray) -> None:
    pixels = to_pixels(torch.from_numpy(values)).astype(np.float64)
    levels = np.clip(values.astype(np.float64), 0, 1).transpose(0, 2, 3, 1) * 255
    assert np.abs(pixels - levels).max() <= 0.5 + 1e-4


def test_an_unknown_network_is_named_with_the_nearest() -> None:
    with pytest.raises(NetworkError, match=r"network: 'demmo'; expected a network that is installed. "
                                           r"Did you mean 'demo'\?"):
        load_network("demmo")


@pytest.mark.parametrize("images", [
    np.zeros((1, 24, 24, 3), np.float32), np.zeros((1, 23, 24, 3), np.uint8), np.zeros((24, 24, 3), np.uint8),
])
def test_images_that_do_not_fit_are_refused(tiny: TorchNetwork, images: np.ndarray) -> None:
    with pytest.raises(NetworkError, match=r"expected uint8 \(n, 24, 24, 3\)"):
        tiny.probabilities(images)


def test_a_network_in_training_is_refused(tiny: TorchNetwork) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(NetworkError, match="training mode; expected evaluation mode"):
        dataclasses.replace(tiny, module=module.train())


def test_weights_that_are_not_finite_are_refused(tiny: TorchNetwork) -> None:
    module = torch.nn.Linear(2, 2).eval()
    with torch.no_grad():
        module.bias[1] = torch.nan
    with pytest.raises(NetworkError, match="not finite in bias; expected finite weights"):
        dataclasses.replace(tiny, module=module)


def test_a_mean_image_must_be_square(tiny: TorchNetwork) -> None:
    with pytest.raises(NetworkError, match=r"mean image of shape \(24, 20, 3\)"):
        dataclasses.replace(tiny, mean_image=np.zeros((24, 20, 3), np.float32))


def test_threads_are_set_and_put_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="stop"), cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise ValueError("stop")
    assert torch.get_num_threads() == before
