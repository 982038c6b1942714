"""Caffe's AlexNet against plain loops, published sizes, and torch's own layers."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from stimuli.networks.alexnet import GROUPS, LAYERS, AcrossChannelNorm, CaffeAlexNet, count_units
from subjects.errors import NetworkError

PUBLISHED_UNITS = [69_984, 43_264, 64_896, 64_896, 9_216, 4_096, 4_096, 1_000]


@pytest.fixture(scope="module")
def full():
    """The full-width network without memory: shapes only."""
    with torch.device("meta"):
        return CaffeAlexNet().eval()


@pytest.fixture(scope="module")
def small():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return CaffeAlexNet(widths=(4, 6, 8, 6, 4), fc=(10, 12), n_classes=5).eval()


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 227, 227)).astype(np.float32))


def test_the_default_has_caffes_number_of_parameters(full):
    assert sum(weight.numel() for weight in full.parameters()) == 60_965_224


def test_parameters_by_layer_are_those_of_the_prototxt(full):
    counted = [sum(p.numel() for p in layer.parameters()) for layer in (*full.convolutions, full.fc6, full.fc7,
                                                                        full.fc8)]
    by_hand = [96 * 3 * 121 + 96, 256 * 48 * 25 + 256, 384 * 256 * 9 + 384, 384 * 192 * 9 + 384, 256 * 192 * 9 + 256,
               4096 * 9216 + 4096, 4096 * 4096 + 4096, 1000 * 4096 + 1000]
    assert counted == by_hand


def test_taps_have_the_published_sizes(full):
    taps = full.forward_layers(torch.empty((1, 3, 227, 227), device="meta"))
    assert tuple(taps) == LAYERS
    assert [tap[0].numel() for tap in taps.values()] == PUBLISHED_UNITS


def test_counted_units_are_those_of_the_taps(full, small, images):
    assert list(count_units(full).values()) == PUBLISHED_UNITS
    traced = {name: tap[0].numel() for name, tap in small.forward_layers(images).items()}
    assert count_units(small) == traced


def test_convolutions_before_pooling_have_the_published_sizes(full):
    x, sizes = torch.empty((1, 3, 227, 227), device="meta"), []
    for index, convolution in enumerate(full.convolutions):
        x = convolution(x)
        sizes.append(x[0].numel())
        x = full.pool(x) if index in (0, 1, 4) else x
    assert sizes == [290_400, 186_624, 64_896, 64_896, 43_264]


def _norm_by_loops(x):
    """Caffe's ACROSS_CHANNELS: scale = 1 + alpha / 5 * sum of squares, y = x * scale ** -0.75."""
    out = np.empty_like(x)
    for image, channel, row, column in np.ndindex(*x.shape):
        total = 0.0
        for other in range(channel - 2, channel + 3):
            if 0 <= other < x.shape[1]:
                total += x[image, other, row, column] ** 2
        out[image, channel, row, column] = x[image, channel, row, column] / (1.0 + 1e-4 / 5 * total) ** 0.75
    return out


def test_norm_equals_plain_loops():
    x = np.random.default_rng(1).normal(scale=150.0, size=(2, 7, 3, 2))
    came = AcrossChannelNorm()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(came, _norm_by_loops(x), rtol=1e-12)


def test_norm_and_its_gradient_equal_torchs():
    x = torch.from_numpy(np.random.default_rng(2).normal(scale=80.0, size=(2, 9, 5, 5))).requires_grad_()
    reference = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
    ours, theirs = AcrossChannelNorm()(x), reference(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    weights = torch.linspace(-1, 1, x.numel(), dtype=torch.float64).reshape(x.shape)
    (gradient,) = torch.autograd.grad((ours * weights).sum(), x)
    (wanted,) = torch.autograd.grad((theirs * weights).sum(), x)
    torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("index", [1, 3, 4])
def test_grouped_convolution_is_block_diagonal(small, index):
    """Two groups are one convolution whose weights are zero between the halves."""
    layer = small.convolutions[index]
    assert layer.groups == GROUPS[index] == 2
    out, into = layer.out_channels, layer.in_channels
    dense = torch.zeros((out, into, *layer.kernel_size))
    dense[:out // 2, :into // 2] = layer.weight[:out // 2].detach()
    dense[out // 2:, into // 2:] = layer.weight[out // 2:].detach()
    x = torch.from_numpy(np.random.default_rng(3).normal(size=(1, into, 9, 9)).astype(np.float32))
    wanted = functional.conv2d(x, dense, layer.bias, padding=layer.padding)
    torch.testing.assert_close(layer(x), wanted, rtol=1e-5, atol=1e-6)


def test_groups_one_and_three_see_everything(small):
    assert [layer.groups for layer in small.convolutions] == [1, 2, 1, 2, 2]


def test_order_is_relu_norm_pool(small, images):
    """Layer 1 by hand; pooling before the norm would differ."""
    rectified = small.convolutions[0](images).clamp(min=0)
    by_hand = _norm_by_loops(rectified[:1, :, :9, :9].detach().double().numpy())
    pooled = functional.max_pool2d(torch.from_numpy(by_hand), 3, stride=2)
    tap = small.forward_layers(images)["layer1"]
    torch.testing.assert_close(tap[:1, :, :4, :4].double(), pooled, rtol=1e-5, atol=1e-6)
    assert tap.shape[-2:] == (27, 27)


def test_pooling_rounds_up_like_caffe(small):
    """A side of 14 gives ceil((14 - 3) / 2) + 1 = 7; rounding down would give 6."""
    assert small.pool(torch.zeros(1, 1, 14, 14)).shape[-1] == 7


def test_taps_hold_what_a_second_pass_computes(small, images):
    """Nothing works in place: each tap, fed on by hand, gives the next one."""
    taps = {name: tap.clone() for name, tap in small.forward_layers(images).items()}
    after = small.forward_layers(images)
    for name in LAYERS:
        torch.testing.assert_close(after[name], taps[name], rtol=0, atol=0)
    third = functional.relu(small.convolutions[2](taps["layer2"]))
    torch.testing.assert_close(taps["layer3"], third, rtol=1e-5, atol=1e-6)
    seventh = functional.relu(small.fc7(taps["layer6"]))
    torch.testing.assert_close(taps["layer7"], seventh, rtol=1e-5, atol=1e-6)


def test_no_module_works_in_place(small):
    assert not [module for module in small.modules() if getattr(module, "inplace", False)]


def test_the_input_is_left_as_it_was(small, images):
    before = images.clone()
    small.forward_layers(images)
    assert torch.equal(images, before)


def test_layer8_is_the_softmax_of_the_logits(small, images):
    logits = small(images).detach().double().numpy()
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    came = small.forward_layers(images)["layer8"].detach().numpy()
    np.testing.assert_allclose(came, raised / raised.sum(axis=1, keepdims=True), rtol=1e-5)


def test_dropout_acts_in_training_only(small, images):
    assert torch.equal(small(images), small(images))
    learning = CaffeAlexNet(widths=(4, 4, 4, 4, 4), fc=(64, 64), n_classes=5).train()
    taps = learning.forward_layers(images)
    assert learning.dropout.p == 0.5
    assert not torch.equal(taps["layer6"], learning.forward_layers(images)["layer6"])


def test_batch_size_changes_nothing_beyond_rounding(small, images):
    together = small(images)
    apart = torch.cat([small(images[:1]), small(images[1:])])
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-6)


def test_gradients_reach_the_pixels(small, images):
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(small(x)[:, 0].sum(), x)
    assert gradient.abs().sum() > 0


def test_a_wrong_number_of_widths_is_refused():
    with pytest.raises(NetworkError, match="4 widths; expected 5"):
        CaffeAlexNet(widths=(4, 4, 4, 4))


def test_an_odd_width_is_refused():
    with pytest.raises(NetworkError, match="odd width 5; expected even widths"):
        CaffeAlexNet(widths=(4, 4, 4, 5, 4))


@pytest.mark.parametrize("shape", [(1, 3, 224, 224), (3, 227, 227), (1, 227, 227, 3)])
def test_images_of_another_shape_are_refused(small, shape):
    with pytest.raises(NetworkError, match=r"images of shape .*expected \(n, 3, 227, 227\)"):
        small(torch.zeros(shape))
