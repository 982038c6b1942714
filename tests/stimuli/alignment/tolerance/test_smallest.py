"""Smallest perturbations, against the exact optimum of linear networks and a plain reading of the public script."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from stimuli.alignment.tolerance.bisection import bisect, bisect_as_published, descend
from stimuli.alignment.tolerance.decision import Smallest, margin, margins, slopes
from stimuli.alignment.tolerance.refinement import refine
from stimuli.networks.registry import TorchNetwork, to_tensor
from tests.stimuli.alignment.cases import WIDTH, N, exact_margins, grey_images, two_categories


def _exact(network, way: np.ndarray, images, norm: str) -> np.ndarray:
    dual = np.linalg.norm(way) if norm == "l2" else np.abs(way).sum()
    return exact_margins(network, images) / dual


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("search", [refine, bisect])
def test_of_a_linear_network_the_smallest_is_the_distance_to_its_border(search, norm: str) -> None:
    network, way = two_categories()
    images = grey_images(12, network=network)
    x, y = to_tensor(images.pixels), torch.from_numpy(images.labels)
    found = search(network, x, labels=y, norm=norm)
    wanted = _exact(network, way, images, norm)
    assert found.found.all()
    assert (margins(network, x + found.perturbations, labels=y) < 0).all()
    np.testing.assert_array_less(wanted * 0.999, found.sizes.numpy())
    np.testing.assert_allclose(found.sizes.numpy(), wanted, rtol=0.002 if search is refine else 0.011)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_pixels_at_their_bounds_are_no_way_out(norm: str) -> None:
    """Black and white pixels can go one way only: the distance is that of the pixels which may move."""
    network, way = two_categories(3, steep=40.0)
    images = grey_images(8, network=network, low=120, high=136)
    images.pixels[:, :2] = 0
    images.pixels[:, 2:4] = 255
    images.labels[:] = network.probabilities(images.pixels).argmax(axis=1)
    x, y = to_tensor(images.pixels), torch.from_numpy(images.labels)
    found = refine(network, x, labels=y, norm=norm)
    downhill = -np.where(images.labels == 0, 1, -1)[:, None, None, None] * way
    free = ~(((x.numpy() <= 0) & (downhill < 0)) | ((x.numpy() >= 1) & (downhill > 0)))
    dual = [np.linalg.norm(way[one]) if norm == "l2" else np.abs(way[one]).sum() for one in free]
    wanted = exact_margins(network, images) / dual
    inside = wanted < (2.0 if norm == "l2" else 0.4)  # further away more pixels meet their bounds
    assert inside.sum() >= 3
    np.testing.assert_allclose(found.sizes.numpy()[inside], wanted[inside], rtol=0.01)
    moved = x + found.perturbations
    assert float(moved.min()) >= 0.0
    assert float(moved.max()) <= 1.0


class _Bent(nn.Module):
    """A small network with a bent border: two layers with a smooth nonlinearity."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(8)
        self.first = nn.Parameter(torch.from_numpy(rng.standard_normal((N, 24)).astype(np.float32)) / N**0.5, False)
        self.second = nn.Parameter(torch.from_numpy(rng.standard_normal((24, 5)).astype(np.float32)), False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 8.0 * torch.tanh(4.0 * ((x.flatten(1) - 0.5) @ self.first)) @ self.second


def _bent() -> TorchNetwork:
    return TorchNetwork(name="bent", digest="bent-1", class_names=tuple("abcde"), layers=("layer1",), tap="none",
                        mean_image=np.full((WIDTH, WIDTH, 3), 127, np.float32), module=_Bent().eval(),
                        preprocess=lambda images: images)


def test_on_a_bent_border_the_direction_is_the_borders_normal() -> None:
    """Karush and Kuhn's condition of the smallest perturbation: it is parallel to the gradient of the margin there."""
    network = _bent()
    images = grey_images(10, network=network, low=60, high=200)
    x, y = to_tensor(images.pixels), torch.from_numpy(images.labels)
    found = refine(network, x, labels=y, steps=40)
    margin_there, normal = slopes(network, x + found.perturbations, labels=y)
    cosine = -(normal * found.perturbations).flatten(1).sum(1) / (normal.flatten(1).norm(dim=1) * found.sizes)
    assert float(cosine.median()) > 0.99
    assert float(margin_there.max()) < 0
    first = refine(network, x, labels=y, steps=3)
    assert (found.sizes <= first.sizes * 1.0001).all()


@pytest.mark.parametrize("search", [refine, bisect])
def test_an_image_s_result_does_not_depend_on_the_others(search) -> None:
    """Each has its own bracket: a batch of easy and hard images gives what each gives alone."""
    network = _bent()
    images = grey_images(6, network=network, low=0, high=256)
    x, y = to_tensor(images.pixels), torch.from_numpy(images.labels)
    together = search(network, x, labels=y).sizes
    alone = torch.cat([search(network, x[k:k + 1], labels=y[k:k + 1]).sizes for k in range(6)])
    torch.testing.assert_close(together, alone, rtol=0.01, atol=1e-5)
    assert float(together.max() / together.min()) > 3


def test_the_published_scheme_is_the_public_script() -> None:
    """The script image by image, every round of its bisection written out, which attacks with the first eps again."""
    network = _bent()
    images = grey_images(6, network=network, low=60, high=200)
    x, y = to_tensor(images.pixels), torch.from_numpy(images.labels)

    def attack(image: torch.Tensor, label: torch.Tensor, eps: float) -> torch.Tensor:
        moved = image.clone()
        for _ in range(3):
            moved.requires_grad_(True)
            gradient, = torch.autograd.grad(nn.CrossEntropyLoss()(network.logits(moved), label), moved)
            following = moved.detach() + gradient / gradient.norm() * 0.5
            delta = following - image
            moved = (following + delta / delta.norm() * eps).clamp(0, 1).detach()
        return moved

    def changes(image: torch.Tensor, label: torch.Tensor) -> bool:
        return int(network.logits(image).argmax()) != int(label)

    sizes, ends = [], []
    for k in range(6):
        image, label = x[k:k + 1], y[k:k + 1]
        sizes.append(np.inf)
        ends.append(np.nan)
        if not changes(attack(image, label, 10.0), label):
            continue
        moved = attack(image, label, 1.0)
        (low, high), threshold = ((0.001, 1.0), 0.01) if changes(moved, label) else ((1.0, 10.0), 0.1)
        while high - low >= threshold:
            eps = low + (high - low) / 2
            low, high = (low, eps) if changes(attack(image, label, 1.0), label) else (eps, high)
        if changes(moved, label):
            sizes[-1], ends[-1] = float((moved - image).norm()), high
    found, eps = bisect_as_published(network, x, labels=y)
    np.testing.assert_allclose(found.sizes.numpy(), sizes, rtol=1e-4)
    np.testing.assert_allclose(eps.numpy(), ends, rtol=1e-5)
    assert np.isfinite(sizes).any()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_an_attack_stays_in_its_ball(norm: str) -> None:
    network = _bent()
    images = grey_images(5, network=network)
    x, y = to_tensor(images.pixels), torch.from_numpy(images.labels)
    eps = torch.tensor([0.01, 0.05, 0.1, 0.5, 2.0])
    offset = descend(network, x, labels=y, eps=eps, norm=norm, steps=5)
    sizes = offset.flatten(1).norm(dim=1) if norm == "l2" else offset.flatten(1).abs().amax(dim=1)
    assert (sizes <= eps * (1 + 1e-5)).all()
    assert (margins(network, x + offset, labels=y) < margins(network, x, labels=y)).all()


@pytest.mark.parametrize("search", [refine, bisect, lambda *a, **k: bisect_as_published(*a, **k)[0]])
def test_a_network_that_never_changes_its_mind_is_told_as_such(search) -> None:
    network, _ = two_categories(steep=1e-6)
    network.module.bias.data[:] = torch.tensor([5.0, 0.0])
    images = grey_images(3, network=network)
    found = search(network, to_tensor(images.pixels), labels=torch.from_numpy(images.labels))
    assert not found.found.any()
    assert torch.isinf(found.sizes).all()
    assert (found.perturbations == 0).all()


def test_only_smaller_ones_that_change_the_decision_are_kept() -> None:
    best = Smallest(torch.full((2, 3, 2, 2), 0.5), "linf")
    best.offer(torch.full((2, 3, 2, 2), 0.2), changed=torch.tensor([True, False]))
    best.offer(torch.full((1, 3, 2, 2), 0.3), changed=torch.tensor([True]), rows=torch.tensor([0]))
    assert best.found.tolist() == [True, False]
    best.offer(torch.full((1, 3, 2, 2), 0.1), changed=torch.tensor([True]), rows=torch.tensor([0]))
    torch.testing.assert_close(best.sizes, torch.tensor([0.1, torch.inf]))


def test_the_margin_is_own_minus_the_best_other() -> None:
    logits = np.random.default_rng(0).standard_normal((20, 7))
    labels = np.random.default_rng(1).integers(0, 7, 20)
    wanted = [row[k] - max(value for j, value in enumerate(row) if j != k) for row, k in zip(logits, labels,
                                                                                             strict=True)]
    np.testing.assert_allclose(margin(torch.from_numpy(logits), torch.from_numpy(labels)).numpy(), wanted)
