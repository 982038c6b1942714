"""The harmonizer's loss against a plain NumPy reading of the published formula, its gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from stimuli.alignment.training.loss import (
    HarmonizerLoss,
    decayed,
    in_evaluation,
    pyramid,
    pyramid_error,
    standardise,
    take_saliency,
)

SIDE = 11


# ---------------------------------------------------------------- the formula, read with plain loops

def numpy_standardise(image):
    return np.maximum((image - image.mean()) / (image.std() + 1e-5), 0)


def numpy_downsample(image):
    """Convolve with 1 4 6 4 1 at every second place; TensorFlow's SAME: zeros outside, the odd one at the end."""
    line = np.array([1, 4, 6, 4, 1]) / 16
    sides = [-(-side // 2) for side in image.shape]
    before = [max((out - 1) * 2 + 5 - side, 0) // 2 for out, side in zip(sides, image.shape, strict=True)]
    found = np.zeros(sides)
    for row in range(sides[0]):
        for column in range(sides[1]):
            for i in range(5):
                for j in range(5):
                    y, x = 2 * row + i - before[0], 2 * column + j - before[1]
                    if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
                        found[row, column] += line[i] * line[j] * image[y, x]
    return found


def numpy_error(saliency, importance, has_map, *, levels, peaks=None):
    pairs = []
    for n, (own, theirs) in enumerate(zip(saliency, importance, strict=True)):
        own, theirs = numpy_standardise(own), numpy_standardise(theirs)
        peak = own.max() if peaks is None else peaks[n]
        pairs.append((own, theirs / (theirs.max() + 1e-6) * (peak + 1e-6)))
    total = []
    for level in range(levels):
        if level:
            pairs = [(numpy_downsample(own), numpy_downsample(theirs)) for own, theirs in pairs]
        total.append(np.mean([np.mean((own - theirs) ** 2) * weight
                              for (own, theirs), weight in zip(pairs, has_map, strict=True)]))
    return np.mean(total)


def numpy_entropy(logits, labels, *, smoothing):
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    target = np.full_like(logits, smoothing / logits.shape[1])
    target[np.arange(len(labels)), labels] += 1 - smoothing
    return -(target * log_p).sum(axis=1).mean()


def numeric_saliency(network, images, labels, *, step=1e-6):
    """Gradient of each true logit by central differences, pixel by pixel."""
    found = np.zeros(images.shape)
    with torch.no_grad():
        for n in range(len(images)):
            for place in np.ndindex(*images.shape[1:]):
                moved = images[[n, n]].clone()
                moved[0][place] += step
                moved[1][place] -= step
                up, down = network(moved)[:, labels[n]]
                found[(n, *place)] = (up - down) / (2 * step)
    return found.mean(axis=1)


def smooth_network(*, norm=False):
    """Every kind of second derivative: softplus has one of its own, the maximum pool chooses, the norm couples."""
    torch.manual_seed(3)
    parts = [nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5) if norm else nn.Identity(), nn.Softplus(), nn.MaxPool2d(2),
             nn.Conv2d(5, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 3 * 3, 6)]
    return nn.Sequential(*parts).double()


@pytest.fixture
def batch():
    rng = np.random.default_rng(5)
    images = torch.from_numpy(rng.random((4, 3, SIDE, SIDE)))
    maps = torch.from_numpy(rng.random((4, SIDE, SIDE)))
    return {"images": images, "labels": torch.tensor([0, 2, 5, 2]), "maps": maps,
            "has_map": torch.tensor([1.0, 0.0, 1.0, 1.0]).double()}


def plain(tensor):
    return tensor.detach().numpy()


# ---------------------------------------------------------------- parts

@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 7, 10)])
def test_maps_are_standardised_and_cut_as_published(shape):
    maps = np.random.default_rng(0).normal(3, 40, shape)
    assert np.allclose(plain(standardise(torch.from_numpy(maps))), [numpy_standardise(one) for one in maps], atol=1e-12)


def test_a_constant_map_becomes_zero_and_lets_gradients_pass_as_zeros():
    maps = torch.full((2, 5, 5), 3.0, requires_grad=True)
    found = standardise(maps)
    found.sum().backward()
    assert not found.any()
    assert torch.isfinite(maps.grad).all()


@pytest.mark.parametrize("shape", [(8, 8), (7, 7), (13, 20), (1, 3), (227, 5)])
def test_levels_of_the_pyramid_are_those_of_tensorflows_padding(shape):
    image = np.random.default_rng(1).random(shape)
    levels = pyramid(torch.from_numpy(image)[None], levels=4)
    assert len(levels) == 4
    for level in levels:
        assert np.allclose(plain(level[0]), image, atol=1e-12)
        image = numpy_downsample(image)


def test_a_pyramid_of_one_level_is_the_map():
    maps = torch.rand(2, 6, 6)
    assert [one is maps for one in pyramid(maps, levels=1)] == [True]


@pytest.mark.parametrize("levels", [1, 5])
@pytest.mark.parametrize("has_map", [(1, 1, 1, 1), (1, 0, 1, 0), (0.5, 1, 0, 0.25), (0, 0, 0, 0)])
def test_the_error_of_maps_is_the_published_one(batch, levels, has_map):
    saliency = np.random.default_rng(2).normal(size=(4, SIDE, SIDE))
    found = pyramid_error(torch.from_numpy(saliency), batch["maps"], has_map=torch.tensor(has_map), levels=levels)
    assert float(found) == pytest.approx(numpy_error(saliency, plain(batch["maps"]), has_map, levels=levels), abs=1e-10)


def test_the_error_does_not_hang_on_the_scale_of_either_map(batch):
    """Importance is scaled to the saliency; saliency is standardised: but for small constants, units do not count."""
    saliency = torch.from_numpy(np.random.default_rng(2).normal(size=(4, SIDE, SIDE)))
    first = pyramid_error(saliency, batch["maps"], has_map=batch["has_map"])
    second = pyramid_error(saliency * 1000, batch["maps"] * 255 + 7, has_map=batch["has_map"])
    assert float(first) == pytest.approx(float(second), rel=1e-3)


def test_a_saliency_that_is_the_map_has_no_error(batch):
    assert float(pyramid_error(batch["maps"] * 3, batch["maps"], has_map=batch["has_map"])) < 1e-9


def test_saliency_is_the_gradient_of_the_true_logit(batch):
    network, images = smooth_network(), batch["images"].requires_grad_()
    found = take_saliency(network(images), images, labels=batch["labels"])
    assert np.allclose(plain(found), numeric_saliency(network, batch["images"].detach(), batch["labels"]), atol=1e-8)


def test_the_scale_of_half_precision_cancels(batch):
    network, images = smooth_network(), batch["images"].requires_grad_()
    once, scaled = (take_saliency(network(images), images, labels=batch["labels"], scale=scale)
                    for scale in (1, 2.0**16))
    assert torch.allclose(once, scaled, rtol=1e-12)


# ---------------------------------------------------------------- the whole

def numpy_loss(network, batch, *, has_map, harmonization=1.0, decay=1e-5, smoothing=0.1, levels=5, peaks=None):
    with torch.no_grad():
        logits = plain(network(batch["images"]))
    saliency = numeric_saliency(network, batch["images"].detach(), batch["labels"])
    squares = sum((values ** 2).sum().item() for values in network.parameters()) / 2
    return (numpy_entropy(logits, plain(batch["labels"]), smoothing=smoothing) + decay * squares
            + harmonization * numpy_error(saliency, plain(batch["maps"]), has_map, levels=levels, peaks=peaks))


@pytest.mark.parametrize("chosen", [{}, {"harmonization": 3.0, "decay": 1e-2, "smoothing": 0.0, "levels": 3}])
def test_the_loss_is_the_published_one(batch, chosen):
    network = smooth_network()
    found = HarmonizerLoss(network, **chosen)(**batch)
    assert found.total.item() == pytest.approx(numpy_loss(network, batch, has_map=(1, 0, 1, 1), **chosen), abs=1e-5)
    assert int(found.n_correct) == int((network(batch["images"]).argmax(dim=1) == batch["labels"]).sum())


def test_gradients_are_those_of_finite_differences_through_the_saliency(batch):
    """With the importance map's scale held, for it has no gradient: along random directions in all weights at once."""
    network = smooth_network()
    HarmonizerLoss(network, decay=0.0, harmonization=2.0)(**batch).total.backward()
    gradients = [values.grad.clone() for values in network.parameters()]
    before = [values.detach().clone() for values in network.parameters()]
    saliency = numeric_saliency(network, batch["images"].detach(), batch["labels"])
    peaks = [numpy_standardise(one).max() for one in saliency]
    generator = torch.Generator().manual_seed(9)
    for _ in range(3):
        directions = [torch.randn(values.shape, generator=generator, dtype=torch.float64) for values in before]
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                for values, old, direction in zip(network.parameters(), before, directions, strict=True):
                    values.copy_(old + sign * 1e-5 * direction)
            ends.append(numpy_loss(network, batch, has_map=(1, 0, 1, 1), decay=0.0, harmonization=2.0, peaks=peaks))
        expected = sum(float((one * other).sum()) for one, other in zip(gradients, directions, strict=True))
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(expected, rel=2e-3, abs=1e-6)


def test_the_maps_alone_move_the_weights(batch):
    """Without second derivatives the maps' error would have no gradient at all."""
    network = smooth_network()
    parts = HarmonizerLoss(network)(**batch)
    moved = torch.autograd.grad(parts.harmonization, list(network.parameters()), allow_unused=True)
    assert [one is not None and bool(one.any()) for one in moved[:2]] == [True, True]


# ---------------------------------------------------------------- images without a map, or with an empty one

def test_no_map_at_all_leaves_cross_entropy_and_decay(batch):
    network = smooth_network()
    found = HarmonizerLoss(network)(**{**batch, "has_map": torch.zeros(4)})
    assert found.harmonization.item() == 0.0
    assert found.total.item() == pytest.approx((found.cross_entropy + 1e-5 * found.decay).item())


def test_what_stands_in_place_of_a_missing_map_counts_nothing(batch):
    network, spoiled = smooth_network(), batch["maps"].clone()
    spoiled[1] = float("nan")
    losses = [HarmonizerLoss(network)(**{**batch, "maps": maps}).total for maps in (batch["maps"], spoiled)]
    assert losses[0] == losses[1]
    losses[1].backward()
    assert all(torch.isfinite(values.grad).all() for values in network.parameters())


def test_an_empty_map_gives_finite_gradients(batch):
    network = smooth_network()
    HarmonizerLoss(network)(**{**batch, "maps": torch.zeros_like(batch["maps"])}).total.backward()
    assert all(torch.isfinite(values.grad).all() for values in network.parameters())


def test_a_network_that_does_not_look_gives_finite_gradients(batch):
    network = smooth_network()
    with torch.no_grad():
        for values in network.parameters():
            values.zero_()
    HarmonizerLoss(network)(**batch).total.backward()
    assert all(torch.isfinite(values.grad).all() for values in network.parameters())


# ---------------------------------------------------------------- kinds of networks

def test_a_relu_in_place_changes_nothing(batch):
    found = []
    for inplace in (False, True):
        torch.manual_seed(1)
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace), nn.MaxPool2d(3, 2, ceil_mode=True),
                                nn.Conv2d(4, 4, 3), nn.ReLU(inplace), nn.Flatten(), nn.Linear(4 * 4, 6)).double()
        loss = HarmonizerLoss(network)(**batch).total
        loss.backward()
        found.append([loss.detach(), *(values.grad for values in network.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


class Attending(nn.Module):
    """A transformer's step: pixels' columns attend to one another."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(SIDE * 3, 3, batch_first=True)
        self.head = nn.Linear(SIDE * 3, 6)

    def forward(self, x):
        tokens = x.permute(0, 3, 1, 2).flatten(2)
        return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(dim=1))


def test_attention_has_its_second_derivative(batch):
    torch.manual_seed(2)
    network = Attending().float()
    batch = {name: values.float() if values.is_floating_point() else values for name, values in batch.items()}
    HarmonizerLoss(network)(**batch).total.backward()
    assert bool(network.attention.in_proj_weight.grad.any())


def test_without_the_plain_kernel_attention_would_have_none(batch):
    """The reason for torch's plain kernel; should this pass one day, it can go."""
    network = Attending().float()
    images = batch["images"].float().requires_grad_()
    with pytest.raises((RuntimeError, NotImplementedError), match=r"derivative|double backward|implement"):
        take_saliency(network(images), images, labels=batch["labels"]).square().sum().backward()


def test_saliency_in_evaluation_knows_neither_dropout_nor_the_batch():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5),
                            nn.Linear(4 * 81, 6))
    network[1].eval()  # one part that its owner froze
    images, labels = torch.rand(4, 3, SIDE, SIDE), torch.tensor([0, 1, 2, 3])
    maps, has_map = torch.rand(4, SIDE, SIDE), torch.ones(4)
    moments = network[1].running_mean.clone()
    errors = [HarmonizerLoss(network, in_evaluation=True)(images, labels, maps, has_map).harmonization.item()
              for _ in range(2)]
    published = [HarmonizerLoss(network)(images, labels, maps, has_map).harmonization.item() for _ in range(2)]
    assert errors[0] == errors[1]
    assert published[0] != published[1]
    assert torch.equal(network[1].running_mean, moments)
    assert [part.training for part in network] == [True, False, True, True, True, True]


def test_images_without_a_map_are_left_out_of_the_pass_in_evaluation_and_count_as_before(batch):
    """Without dropout and batch norm both passes are one: the same error and gradients, from fewer images."""
    seen, found = [], []
    for mode in (False, True):
        network = smooth_network()
        network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
        parts = HarmonizerLoss(network, in_evaluation=mode)(**batch)
        parts.total.backward()
        found.append([parts.total.detach(), *(values.grad for values in network.parameters())])
    assert seen == [4, 4, 3]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_modes_come_back_after_an_error():
    network = nn.Sequential(nn.Dropout(), nn.Linear(2, 2))
    with pytest.raises(ZeroDivisionError):
        in_evaluation(network, lambda: 1 / 0)
    assert network.training
    assert network[0].training


def test_norms_embeddings_and_frozen_weights_do_not_decay():
    network = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 3), "norm1": nn.BatchNorm2d(4), "layers": nn.LayerNorm(4),
                             "embedding": nn.Linear(2, 2), "frozen": nn.Linear(2, 2), "head": nn.Linear(4, 6)})
    network["frozen"].requires_grad_(requires_grad=False)
    assert [id(values) for values in decayed(network)] == [
        id(network[name].get_parameter(kind)) for name in ("conv", "head") for kind in ("weight", "bias")]


# ---------------------------------------------------------------- mixed precision

def cosine(one, other):
    return (one @ other) / (one.norm() * other.norm())


@pytest.mark.parametrize(("precision", "scale", "alike"), [(torch.bfloat16, 1.0, 0.97), (torch.float16, 1024.0, 0.99)])
def test_half_precision_gives_nearly_the_same_gradients(batch, precision, scale, alike):
    batch = {name: values.float() if values.is_floating_point() else values for name, values in batch.items()}
    found = []
    for kind in (torch.float32, precision):
        network = smooth_network().float()
        parts = HarmonizerLoss(network, precision=kind)(**batch, scale=scale)
        assert parts.total.dtype is torch.float32
        parts.total.backward()
        found.append(torch.cat([values.grad.flatten() for values in network.parameters()]))
    assert float(cosine(*found)) > alike


def test_small_gradients_survive_half_precision_by_their_scale():
    """In float16 what is below 6e-8 is nothing: the saliency of a faint network would be empty without the scale."""
    torch.manual_seed(4)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 81, 6))
    with torch.no_grad():
        network[0].weight *= 1e-4
        network[3].weight *= 1e-4
    images, labels = torch.rand(2, 3, SIDE, SIDE), torch.tensor([1, 4])
    maps, has_map = torch.rand(2, SIDE, SIDE), torch.ones(2)
    moved = []
    for scale in (1.0, 2.0**14):
        network.zero_grad()
        part = HarmonizerLoss(network, precision=torch.float16)(images, labels, maps, has_map, scale=scale)
        moved.append(part.harmonization.item())
    exact = HarmonizerLoss(network)(images, labels, maps, has_map).harmonization.item()
    assert abs(moved[1] - exact) < 0.02 * exact < abs(moved[0] - exact)
