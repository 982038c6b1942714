"""Layers and further taps of a network by the names of its modules, one by one or by patterns.

A pattern is a module's path in the network, in which ``*`` stands for any characters within a part of the path, ``**``
for any characters at all, ``?`` for one and ``[...]`` for a choice of characters: ``features.*`` are the modules
directly in ``features``, ``**.conv1`` the first convolution of every block of a ResNet.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stimuli.networks.protocol import Network, Tapped, TorchNetwork, to_tensor
from stimuli.networks.taps import HookedModule, read_places
from subjects.errors import NetworkError, nearest

log = logging.getLogger(__name__)


def tap_network(network: Network, *, layers: Sequence[str] = (), taps: Sequence[str] = ()) -> Network:
    """Let a network's layers, or further taps, be what modules of some names hand on.

    Parameters
    ----------
    network : Network
        As it was loaded.
    layers : sequence of str
        Patterns of the modules that stand for the layers before the softmax, which is the last one. Whatever the order
        of the patterns, the first layer is the module that an image has passed first. Empty: the network's own layers.
    taps : sequence of str
        Patterns of modules that are read beside the layers; see :func:`tap_name`.

    Returns
    -------
    Network
        The same network: digest and answers do not depend on where it is read.

    Raises
    ------
    NetworkError
        If a pattern fits no module that an image passes exactly once, or the network is no torch module.
    """
    if not layers and not taps:
        return network
    if not isinstance(network, TorchNetwork) or not isinstance(network.module, nn.Module):
        raise NetworkError(network.name, came=f"a {type(network).__name__}, in which no module can be found by name",
                           expected="a TorchNetwork around a torch module",
                           remedy="Leave stimuli.layers and stimuli.taps unset (--layers, --taps); choose the layers "
                                  "in the function that gives the network.")
    root = network.module.module if isinstance(network.module, HookedModule) else network.module
    passed = passed_modules(root, network._prepared(to_tensor(np.rint(network.mean_image[None]))))
    places = {f"layer{k}": path for k, path in enumerate(find_modules(layers, passed, where=network.name), start=1)}
    names = {tap_name(path): path for path in find_modules(taps, passed, where=network.name)}
    module = NamedTaps(network.module, root=root, places=places, taps=names)
    chosen = {"layers": (*places, f"layer{len(places) + 1}"), "places": MappingProxyType(places)} if places else {}
    return replace(network, module=module.eval(), taps=tuple(names), **chosen)  # type: ignore[arg-type]


def tap_name(path: str) -> str:
    """Name a tap beside the layers, so that it is never taken for one of them.

    Examples
    --------
    >>> tap_name("layer1.0.conv1")
    'tap layer1.0.conv1'
    """
    return f"tap {path}"


def passed_modules(root: nn.Module, example: Tensor) -> dict[str, int]:
    """List the modules that an image passes, in the order in which it has passed them, with how often it does.

    Modules that give no tensor of one row an image are left out.
    """
    passed: Counter[str] = Counter()

    def note(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim > 1 and len(output) == len(example):
                passed[name] += 1

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in root.named_modules() if name]
    try:
        with torch.no_grad():
            root(example)
    finally:
        for handle in handles:
            handle.remove()
    return dict(passed)


def find_modules(patterns: Sequence[str], passed: Mapping[str, int], *, where: str) -> tuple[str, ...]:
    """Find the modules that patterns name, in the order in which an image passes them.

    Parameters
    ----------
    patterns : sequence of str
        Paths of modules, or patterns of them.
    passed : mapping of str to int
        What an image passes, and how often.
    where : str
        The network, for messages.

    Raises
    ------
    NetworkError
        If a pattern fits nothing, or only modules that are passed several times, whose response would be any of them.

    Examples
    --------
    >>> find_modules(["conv*"], {"conv1": 1, "relu": 2, "conv2": 1}, where="a network")
    ('conv1', 'conv2')
    """
    found: set[str] = set()
    for pattern in patterns:
        fitting = list[str]()
        with suppress(re.error):  # a choice of characters that is none, such as [9-1], fits nothing
            fitting = [name for name in passed if re.fullmatch(_expression(pattern), name)]
        once = [name for name in fitting if passed[name] == 1]
        if not fitting:
            raise NetworkError(f"{where}, layers and taps", came=repr(pattern),
                               expected="the path of a module that an image passes, or a pattern of such paths",
                               remedy=f"{nearest(pattern, passed)} {_list(tuple(passed))}")
        if not once:
            raise NetworkError(f"{where}, layers and taps", expected="a module that is passed once",
                               came=f"{fitting[0]!r}, which an image passes {passed[fitting[0]]} times",
                               remedy="Name the block that holds it.")
        if len(once) < len(fitting):
            log.info("%s: %s names %d modules that an image passes several times; they are left out", where, pattern,
                     len(fitting) - len(once))
        found.update(once)
    return tuple(name for name in passed if name in found)


def _list(passed: tuple[str, ...]) -> str:
    if not passed:
        return "It passes no module that has a name."
    return f"It passes {', '.join(passed if len(passed) < 6 else (*passed[:3], '...', passed[-1]))}."


_WILD = re.compile(r"\*\*|\*|\?|\[!?[^\]]+\]")


def _expression(pattern: str) -> str:
    r"""Turn a pattern into a regular expression.

    Examples
    --------
    >>> print(_expression("features.*"), _expression("**.conv[12]"))
    features\.[^.]* .*\.conv[12]
    """
    said, end = "", 0
    for wild in _WILD.finditer(pattern):
        token = wild.group()
        said += re.escape(pattern[end:wild.start()])
        said += {"**": ".*", "*": "[^.]*", "?": "[^.]"}.get(token, token.replace("[!", "[^"))
        end = wild.end()
    return said + re.escape(pattern[end:])


class NamedTaps(nn.Module):
    """A classifier whose layers, or further taps, are read at modules of its choice.

    Parameters
    ----------
    inside : Tapped
        The classifier, with layers of its own.
    root : nn.Module
        In which `places` and `taps` are paths.
    places : mapping of str to str
        Layer to path; empty: the layers are those of `inside`.
    taps : mapping of str to str
        Name of a tap to path.
    """

    def __init__(self, inside: Tapped, *, root: nn.Module, places: Mapping[str, str], taps: Mapping[str, str]) -> None:
        super().__init__()
        self.inside, self.root = inside, root
        self.places, self.taps = dict(places), dict(taps)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits."""
        return self.inside(x)

    def forward_layers(self, x: Tensor) -> dict[str, Tensor]:
        """Give every layer's output, the softmax last, and after it every further tap's; copies."""
        with read_places(self.root, {**self.places, **self.taps}) as read:
            if self.places:
                last = torch.softmax(self.inside(x), dim=1)
                layers = {**{name: read[name] for name in self.places}, f"layer{len(self.places) + 1}": last}
            else:
                layers = self.inside.forward_layers(x)
        return {**layers, **{name: read[name] for name in self.taps}}
