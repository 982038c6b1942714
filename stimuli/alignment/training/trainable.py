"""A network of the registry made ready to be trained, and its weights on the way back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from stimuli.alignment.training.loss import plain_attention, take_saliency
from stimuli.networks.protocol import Network, TorchNetwork, to_tensor
from stimuli.networks.taps import plain_module
from subjects.errors import NetworkError
from subjects.store import whole_file


class Trainable(nn.Module):
    """A classifier from RGB images to logits, whose weights can be trained.

    Parameters
    ----------
    module : nn.Module
        From preprocessed images to logits, or to torchvision's tuple of logits and those of helpers.
    preprocess : callable
        From RGB (n, 3, side, side) in [0, 1]; differentiable.
    """

    def __init__(self, module: nn.Module, *, preprocess: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module, self.preprocess = module, preprocess

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits, (n, n_classes), for RGB images (n, 3, side, side) in [0, 1]."""
        found = self.module(self.preprocess(images).contiguous(memory_format=torch.channels_last))
        logits: Tensor = found if isinstance(found, Tensor) else found.logits
        return logits

    def state(self) -> dict[str, Tensor]:
        """Give the weights under the names by which the network's own loader reads them."""
        return plain_module(self.module).state_dict()


def make_trainable(network: Network) -> Trainable:
    """Copy a network, let its weights ask for gradients, and see that a gradient of a gradient can be had.

    Parameters
    ----------
    network : Network
        On the CPU.

    Returns
    -------
    Trainable
        In training mode. Weights that the logits do not hang on (helpers of GoogLeNet and Inception) stay frozen.

    Raises
    ------
    NetworkError
        If the network is no torch module, or one of its operations has no second derivative.
    """
    if not isinstance(network, TorchNetwork) or not isinstance(network.module, nn.Module):
        raise NetworkError(network.name, came=f"a {type(network).__name__}, whose weights cannot be reached",
                           expected="a TorchNetwork around a torch module",
                           remedy="Let the function of your own return a TorchNetwork.")
    made = Trainable(copy.deepcopy(network.module), preprocess=network.preprocess).eval()
    for parent, name in _hard_sigmoids(made):
        setattr(parent, name, HardSigmoid())
    for values in made.parameters():
        values.requires_grad_(values.is_floating_point())
    used = _require_second_derivatives(made, to_tensor(np.rint(network.mean_image[None])), where=network.name)
    for values, one in zip(made.parameters(), used, strict=True):
        values.requires_grad_(one)
    return made.train()


class HardSigmoid(nn.Module):
    """``clip(x / 6 + 1 / 2, 0, 1)``: torch's own has no second derivative (MobileNetV3)."""

    def forward(self, x: Tensor) -> Tensor:
        """Give the same shape."""
        return functional.relu6(x + 3.0) / 6.0


def _hard_sigmoids(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    found = [(parent, name) for parent in module.modules() for name, child in parent.named_children()
             if isinstance(child, nn.Hardsigmoid)]
    yield from found


def _require_second_derivatives(module: Trainable, image: Tensor, *, where: str) -> list[bool]:
    """Say of each parameter whether the logits hang on it; differentiate twice to see that it can be done."""
    parameters = [values for values in module.parameters() if values.requires_grad]
    with torch.enable_grad(), plain_attention():
        image = image.requires_grad_()
        logits = module(image)
        used = torch.autograd.grad(logits.sum(), parameters, allow_unused=True, retain_graph=True)
        saliency = take_saliency(logits, image, labels=logits.argmax(dim=1))
        try:
            saliency.square().sum().backward()
        except (RuntimeError, NotImplementedError) as error:
            raise NetworkError(where, came=f"an operation without a second derivative ({error})".split("\n")[0],
                               expected="a network whose saliency can be differentiated",
                               remedy="Exchange that operation in the network's module for one that has it.") from error
    module.zero_grad(set_to_none=True)
    known = {id(values): one is not None for values, one in zip(parameters, used, strict=True)}
    return [known.get(id(values), False) for values in module.parameters()]


def write_weights(path: Path, state: dict[str, Tensor], *, overwrite: bool) -> Path:
    """Write weights as safetensors, which the network's loader and other programs read as data.

    Parameters
    ----------
    path : Path
    state : dict of str to Tensor
        From :meth:`Trainable.state`.
    overwrite : bool
    """
    apart = {name: values.detach().cpu().contiguous().clone() for name, values in state.items()}
    with whole_file(path, overwrite=overwrite) as beside:
        save_file(apart, beside)
    return path
