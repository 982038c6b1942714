"""Networks made trainable: modes, frozen helpers, second derivatives of torchvision's families, their weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from stimuli.alignment.training.loss import HarmonizerLoss
from stimuli.alignment.training.trainable import HardSigmoid, Trainable, make_trainable, write_weights
from stimuli.networks.registry import load_network
from stimuli.networks.taps import HookedModule
from subjects.errors import NetworkError, StoreError
from tests.stimuli.alignment.training.small import SIDE, centred, small_network


def test_the_copy_is_trained_and_the_network_stays_as_it_is():
    network = small_network()
    made = make_trainable(network)
    assert made.training
    assert all(part.training for part in made.modules())
    assert all(values.requires_grad for values in made.parameters())
    assert not network.module.training
    assert not any(values.requires_grad for values in network.module.parameters())
    made.module.head.bias.data += 1
    assert not torch.equal(made.module.head.bias, network.module.head.bias)


def test_it_answers_as_the_network_does():
    network, images = small_network(), torch.rand(3, 3, SIDE, SIDE)
    with torch.no_grad():
        assert torch.allclose(make_trainable(network).eval()(images), network.logits(images), atol=1e-6)


def test_a_network_that_is_no_torch_module_is_refused():
    network = small_network()

    @dataclasses.dataclass
    class Own:
        name: str = "own"

    for other, came in ((Own(), "own: a Own, whose weights cannot be reached"),
                        (dataclasses.replace(network, module=lambda x: x), "small: a TorchNetwork, whose weights")):
        with pytest.raises(NetworkError, match=came):
            make_trainable(other)


class Once(torch.autograd.Function):
    """An operation that can be differentiated once only, as many fused kernels can."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


class Fused(nn.Module):
    def forward(self, x):
        return Once.apply(x)


def test_an_operation_without_a_second_derivative_is_told_before_anything_is_trained():
    network = small_network()
    network.module.body[2] = Fused()
    with pytest.raises(NetworkError, match="small: an operation without a second derivative .*; expected a network "
                                           "whose saliency can be differentiated. Exchange that operation"):
        make_trainable(network)


def test_weights_without_a_part_in_the_logits_stay_frozen():
    network = small_network()
    network.module.helper = nn.Linear(3, 3)
    made = make_trainable(network)
    frozen = {name for name, values in made.named_parameters() if not values.requires_grad}
    assert frozen == {"module.helper.weight", "module.helper.bias"}


def test_the_hard_sigmoid_is_torchs_own_with_a_second_derivative():
    x = torch.linspace(-5, 5, 101, dtype=torch.float64, requires_grad=True)
    ours, theirs = HardSigmoid()(x), nn.Hardsigmoid()(x)
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(values.square().sum(), x, create_graph=True)[0] for values in (ours, theirs)]
    torch.testing.assert_close(*gradients)
    assert torch.autograd.grad(gradients[0].sum(), x)[0].any()


def test_logits_are_found_in_torchvisions_tuple():
    class Helped(nn.Module):
        def forward(self, x):
            return type("Outputs", (tuple,), {"logits": property(lambda self: self[0])})((x.mean((2, 3)), x))

    found = Trainable(Helped(), preprocess=centred)(torch.full((2, 3, 4, 4), 0.75))
    assert torch.equal(found, torch.ones(2, 3))


def test_weights_go_by_the_names_of_the_classifier_not_of_its_hooks(tmp_path):
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4 * 144, 4))
    hooked = HookedModule(inner.eval(), example=torch.rand(1, 3, SIDE, SIDE)).eval()
    made = make_trainable(dataclasses.replace(small_network(), module=hooked))
    path = write_weights(tmp_path / "w.safetensors", made.state(), overwrite=False)
    assert set(load_file(path)) == set(inner.state_dict())
    with pytest.raises(StoreError, match="a file that exists already"):
        write_weights(path, made.state(), overwrite=False)


def test_the_demo_networks_weights_come_back_under_a_name_of_their_own(tmp_path):
    network = load_network("demo")
    made = make_trainable(network)
    with torch.no_grad():
        made.module.fc8.bias += torch.arange(40.0)
    path = write_weights(tmp_path / "w.safetensors", made.state(), overwrite=False)
    image = torch.rand(1, 3, 227, 227)
    with torch.no_grad():
        found = load_network("demo@other", weights=path).logits(image)
        assert torch.allclose(found, made.eval()(image), atol=1e-5)


def differentiate_twice(name):
    """One image, small where the network takes it, with weights of chance."""
    from torchvision import models

    side = {"maxvit": 224, "inception": 128}.get(name.split("_")[0], 64)
    options = {"image_size": side} if name.startswith("vit") else {"init_weights": False} if name in (
        "googlenet", "inception_v3") else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = models.get_model(name, weights=None, **options).eval()
    network = dataclasses.replace(small_network(), name=name, module=module,
                                  mean_image=np.full((side, side, 3), 127, np.float32))
    made = make_trainable(network)
    parts = HarmonizerLoss(made, in_evaluation=True)(
        torch.rand(2, 3, side, side), torch.tensor([0, 1]), torch.rand(2, side, side), torch.ones(2))
    parts.total.backward()
    trained = [values for values in made.parameters() if values.requires_grad]
    assert all(values.grad is not None and torch.isfinite(values.grad).all() for values in trained)
    return len(trained) / len(list(made.parameters()))


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_small_networks_of_torchvision_have_their_second_derivatives(name):
    assert differentiate_twice(name) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "resnet18", "resnext50_32x4d", "densenet121", "googlenet",
                                  "inception_v3", "efficientnet_b0", "efficientnet_v2_s", "mnasnet0_5", "mobilenet_v2",
                                  "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny", "vit_b_16", "swin_t",
                                  "swin_v2_t", "maxvit_t", "wide_resnet50_2"])
def test_every_family_of_torchvision_has_its_second_derivatives(name):
    assert differentiate_twice(name) > (0.9 if name in ("googlenet", "inception_v3") else 0.999)
