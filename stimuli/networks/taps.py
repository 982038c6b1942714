"""At most eight named layers of any torch classifier, read by hooks that copy.

The rule: the network's containers are opened down to its blocks (a convolution, a residual block, a fire module, a
dense layer), in the order in which an image passes them; norms, activations and pooling belong to the block before
them. The last block gives the logits, and its layer is the softmax. With more than seven blocks before it, the
first is a layer of its own and the others are cut into six consecutive groups, the later ones larger; a layer is what
its last block hands on. AlexNet's layers come out as its five convolutions and its dense layers, as they should.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from stimuli.networks.alexnet import AFTER, require_tap
from subjects.errors import NetworkError

N_LAYERS = 8
_IDLE = (nn.Dropout, nn.Flatten, nn.Identity)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass
class Block:
    """A block with what belongs to it.

    Parameters
    ----------
    name : str
        Its path in the network.
    after : str
        Path of the last module that belongs to it.
    before : str
        Path of its activation where that follows at once, otherwise its own: before norm and pool.
    """

    name: str
    after: str = field(default="")
    before: str = field(default="")

    def __post_init__(self) -> None:
        self.after = self.after or self.name
        self.before = self.before or self.name


def find_blocks(module: nn.Module, example: Tensor) -> list[Block]:
    """List a network's blocks in the order in which an image passes them.

    Parameters
    ----------
    module : nn.Module
        The network, in evaluation mode; on the meta device nothing is computed.
    example : Tensor
        An input, (1, 3, side, side), on the same device.
    """
    passed: list[str] = []
    units = dict(_open(module, "", total=_count(module)))
    handles = [unit.register_forward_hook(lambda *_, name=name: passed.append(name)) for name, unit in units.items()]
    try:
        with torch.no_grad():
            module(example)
    finally:
        for handle in handles:
            handle.remove()
    blocks: list[Block] = []
    for name in dict.fromkeys(passed):
        unit = units[name]
        if isinstance(unit, _IDLE):
            continue
        if blocks and (_is_norm(unit) or not _count(unit)):
            last = blocks[-1]
            if last.before == last.after == last.name and _is_activation(unit):
                last.before = name
            last.after = name
        elif _count(unit):
            blocks.append(Block(name))
    return blocks


def _open(module: nn.Module, path: str, *, total: int) -> Iterator[tuple[str, nn.Module]]:
    """Open containers, and what holds more than half of the network's weights, down to blocks."""
    inside = list(module.named_children())
    if inside and (not path or isinstance(module, _CONTAINERS) or _count(module) > total / 2):
        for name, child in inside:
            yield from _open(child, f"{path}.{name}" if path else name, total=total)
    else:
        yield path, module


def _count(module: nn.Module) -> int:
    return sum(values.numel() for values in module.parameters())


def _is_norm(module: nn.Module) -> bool:
    return "Norm" in type(module).__name__


def _is_activation(module: nn.Module) -> bool:
    return type(module).__module__ == nn.ReLU.__module__


def group_blocks(blocks: list[Block], *, n_groups: int = N_LAYERS - 1) -> list[Block]:
    """Choose the blocks at which layers end: all if they are few, otherwise the first and the ends of even groups.

    Examples
    --------
    >>> [block.name for block in group_blocks([Block(str(k)) for k in range(9)])]
    ['0', '1', '2', '3', '4', '6', '8']
    """
    if len(blocks) <= n_groups:
        return blocks
    size, larger = divmod(len(blocks) - 1, n_groups - 1)
    sizes = [1, *[size] * (n_groups - 1 - larger), *[size + 1] * larger]
    return [blocks[sum(sizes[:k + 1]) - 1] for k in range(n_groups)]


class HookedModule(nn.Module):
    """A classifier whose layers can be read where they sit.

    Parameters
    ----------
    module : nn.Module
        Gives logits.
    example : Tensor
        An input, (1, 3, side, side), on the module's device.
    tap : str
        One of :data:`stimuli.networks.alexnet.TAPS`. Before norm and pool is a block's own output, after its ReLU where
        the network has one as a module.

    Attributes
    ----------
    places : dict of str to str
        Layer (``"layer1"``, ...) -> path of the module that it reads; the last, the softmax, is not among them.
    """

    def __init__(self, module: nn.Module, *, example: Tensor, tap: str = AFTER) -> None:
        super().__init__()
        blocks = find_blocks(module, example)
        if len(blocks) < 2:
            raise NetworkError(type(module).__name__, came=f"{len(blocks)} blocks with weights",
                               expected="at least two layers", remedy="Write a function that returns a Network.")
        self.module, self.tap = module, require_tap(tap)
        self.places = {f"layer{k}": block.after if tap == AFTER else block.before
                       for k, block in enumerate(group_blocks(blocks[:-1]), start=1)}

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers; the last is the softmax."""
        return (*self.places, f"layer{len(self.places) + 1}")

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits, (n, n_classes)."""
        result: Tensor = self.module(x)
        return result

    def forward_layers(self, x: Tensor) -> dict[str, Tensor]:
        """Give every layer's output, the softmax last; copies, so that no ReLU in place can change them."""
        with read_places(self.module, self.places) as read:
            logits = self.module(x)
        return {**{layer: read[layer] for layer in self.places}, self.layers[-1]: torch.softmax(logits, dim=1)}


def plain_module(module: nn.Module) -> nn.Module:
    """Give the classifier inside the hooks that read its layers: its weights go by its own names."""
    return module.module if isinstance(module, HookedModule) else module


@contextmanager
def read_places(root: nn.Module, places: Mapping[str, str]) -> Iterator[dict[str, Tensor]]:
    """Copy what modules hand on inside the block: name of a place -> output of the module of that path."""
    read: dict[str, Tensor] = {}
    handles = [root.get_submodule(path).register_forward_hook(_copy_to(read, name)) for name, path in places.items()]
    try:
        yield read
    finally:
        for handle in handles:
            handle.remove()


def _copy_to(read: dict[str, Tensor], layer: str) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        read[layer] = output.clone()

    return hook
