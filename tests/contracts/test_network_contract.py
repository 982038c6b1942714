"""What every network must keep, over every network that can be loaded and one made for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stimuli.networks.alexnet import LAYERS, CaffeAlexNet
from stimuli.networks.registry import Network, TorchNetwork, load_network, to_tensor
from tests.stimuli.weight_files import torchvision_state

OWN = "tests.stimuli.efficientnet:load"
NAMES = ("demo", "demo, before norm and pool", "squeezenet1_0", "resnet18", OWN)


def _random_alexnet() -> TorchNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        module = CaffeAlexNet(widths=(4, 6, 8, 6, 4), fc=(10, 12), n_classes=5).eval().requires_grad_(False)
    return TorchNetwork(name="random", digest="r" * 16, class_names=tuple("abcde"), layers=LAYERS, tap="none",
                        mean_image=np.full((227, 227, 3), 120.0, np.float32), module=module,
                        preprocess=lambda images: 4.0 * (images - 0.5))


def _load(name: str, folder: Path) -> Network:
    if name in ("demo", OWN):
        return load_network(name)
    if name.startswith("demo"):
        return load_network("demo", tap="before norm and pool")
    path = folder / f"{name}.safetensors"
    if not path.exists():
        save_file(dict(torchvision_state(name)), path)
    return load_network(name, weights=path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module", params=[*NAMES, "random"])
def network(request: pytest.FixtureRequest, folder: Path) -> Network:
    return _random_alexnet() if request.param == "random" else _load(request.param, folder)


@pytest.fixture(scope="module")
def images(network: Network) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (5, network.input_size, network.input_size, 3), dtype=np.uint8)


def test_it_is_a_network(network: Network) -> None:
    assert isinstance(network, Network)
    assert network.mean_image.shape == (network.input_size, network.input_size, 3)
    assert network.mean_image.dtype == np.float32
    assert 0.0 <= network.mean_image.min() <= network.mean_image.max() <= 255.0
    assert len(set(network.class_names)) == len(network.class_names)
    assert network.layers == LAYERS


def test_probabilities_are_the_softmax_of_its_logits(network: Network, images: np.ndarray) -> None:
    with torch.no_grad():
        logits = network.logits(to_tensor(images)).numpy().astype(np.float64)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = network.probabilities(images)
    assert found.dtype == np.float64
    assert found.shape == (5, len(network.class_names))
    np.testing.assert_allclose(found, shifted / shifted.sum(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)


def test_no_images_give_no_rows(network: Network, images: np.ndarray) -> None:
    assert network.probabilities(images[:0]).shape == (0, len(network.class_names))


def test_the_batch_changes_nothing_beyond_rounding(network: Network, images: np.ndarray) -> None:
    np.testing.assert_allclose(network.probabilities(images, batch=2), network.probabilities(images, batch=5),
                               atol=1e-6)
    one, all_at_once = network.features(images, batch=1), network.features(images, batch=5)
    for name in network.layers:
        scale = np.abs(all_at_once[name]).max()
        np.testing.assert_allclose(one[name], all_at_once[name], atol=1e-5 * scale)


def test_features_are_flat_and_end_in_the_softmax(network: Network, images: np.ndarray) -> None:
    features = network.features(images)
    assert tuple(features) == network.layers
    assert all(values.dtype == np.float32 and values.ndim == 2 and len(values) == 5 for values in features.values())
    np.testing.assert_allclose(features[network.layers[-1]], network.probabilities(images), atol=1e-6)


def test_the_gradient_by_pixels_is_that_of_differences(network: Network, images: np.ndarray) -> None:
    start = to_tensor(images[:1]).requires_grad_()
    score = network.logits(start)[0, 0]
    gradient, = torch.autograd.grad(score, start)
    direction = gradient / gradient.norm()
    with torch.no_grad():
        ahead, behind = (network.logits(start + sign * 0.02 * direction)[0, 0] for sign in (1.0, -1.0))
    assert float((ahead - behind) / 0.04) == pytest.approx(float(gradient.norm()), rel=0.05)


def test_it_leaves_the_images_and_its_weights_alone(network: Network, images: np.ndarray) -> None:
    before, digest = images.copy(), network.digest
    network.features(images)
    np.testing.assert_array_equal(images, before)
    assert network.digest == digest


@pytest.mark.parametrize("name", NAMES)
def test_loading_twice_gives_the_same_network(name: str, folder: Path) -> None:
    first, again = _load(name, folder), _load(name, folder)
    assert again.name == first.name
    assert again.digest == first.digest
    assert len(again.digest) == 16
    assert again.layers == first.layers
