"""The rule that finds layers, on networks whose layers are known, and copies that nothing overwrites."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from stimuli.networks.alexnet import AFTER, BEFORE
from stimuli.networks.taps import Block, HookedModule, find_blocks, group_blocks
from subjects.errors import NetworkError


class _Small(nn.Module):
    """All that the rule speaks of: in-place ReLU, norm, pool, a nested container, a part that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(4, 4)
        self.head = nn.Sequential(nn.Dropout(), nn.Flatten(), nn.Linear(16, 3))
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2),
                                  nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4),
                                                nn.ReLU(inplace=True)),
                                  nn.Conv2d(4, 4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


@pytest.fixture
def small() -> _Small:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = _Small()
        module.body[3][1].running_mean.normal_()
        return module.eval().requires_grad_(False)


@pytest.fixture
def images() -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(np.float32))


def test_blocks_come_as_an_image_passes_them(small: _Small, images: Tensor) -> None:
    found = find_blocks(small, images[:1])
    assert [(block.name, block.before, block.after) for block in found] == [
        ("body.0", "body.1", "body.2"), ("body.3.0", "body.3.0", "body.3.2"), ("body.4", "body.4", "body.4"),
        ("head.2", "head.2", "head.2")]


def test_taps_hold_what_stands_there_and_not_what_overwrote_it(small: _Small, images: Tensor) -> None:
    """Step by step with functions that do not work in place."""
    conv1 = torch.conv2d(images, small.body[0].weight, small.body[0].bias).clamp(min=0)
    pool1 = torch.max_pool2d(conv1, 2)
    conv2 = torch.conv2d(pool1, small.body[3][0].weight, small.body[3][0].bias, padding=1)
    norm = small.body[3][1]
    relu2 = ((conv2 - norm.running_mean[:, None, None]) / (norm.running_var + 1e-5)[:, None, None].sqrt()).clamp(min=0)
    conv3 = torch.conv2d(relu2, small.body[4].weight, small.body[4].bias)
    softmax = torch.softmax(conv3.flatten(1) @ small.head[2].weight.T + small.head[2].bias, dim=1)
    for tap, wanted in ((AFTER, (pool1, relu2, conv3, softmax)), (BEFORE, (conv1, conv2, conv3, softmax))):
        hooked = HookedModule(small, example=images[:1], tap=tap).eval()
        taps = hooked.forward_layers(images)
        assert tuple(taps) == hooked.layers == ("layer1", "layer2", "layer3", "layer4")
        for came, expected in zip(taps.values(), wanted, strict=True):
            torch.testing.assert_close(came, expected, rtol=1e-4, atol=1e-5)


def test_reading_leaves_no_hook_and_changes_no_answer(small: _Small, images: Tensor) -> None:
    hooked = HookedModule(small, example=images[:1]).eval()
    before = hooked(images)
    hooked.forward_layers(images)
    assert torch.equal(hooked(images), before)
    assert not any(module._forward_hooks for module in hooked.modules())
    with pytest.raises(RuntimeError):
        hooked.forward_layers(images[:, :2])
    assert not any(module._forward_hooks for module in hooked.modules())


def test_a_network_of_one_layer_is_refused(images: Tensor) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)).eval()
    with pytest.raises(NetworkError, match="Sequential: 1 blocks with weights; expected at least two layers"):
        HookedModule(module, example=images[:1])


@given(st.integers(1, 60), st.integers(2, 10))
def test_groups_keep_order_begin_with_the_first_and_end_with_the_last(n_blocks: int, n_groups: int) -> None:
    blocks = [Block(str(k)) for k in range(n_blocks)]
    ends = [int(block.name) for block in group_blocks(blocks, n_groups=n_groups)]
    assert len(ends) == min(n_blocks, n_groups)
    assert (ends[0], ends[-1]) == (0, n_blocks - 1)
    sizes = np.diff(ends)
    assert all(sizes > 0)
    assert list(sizes) == sorted(sizes)
    assert len(sizes) == 0 or sizes.max() - sizes.min() <= 1
