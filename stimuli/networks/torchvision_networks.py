"""Any classification network of torchvision by its name, with weights from a file, its cache or its download."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn

from stimuli.categories import imagenet_names
from stimuli.networks.alexnet import AFTER
from stimuli.networks.preprocessing import Preprocessing, find_preprocessing
from stimuli.networks.protocol import TorchNetwork
from stimuli.networks.taps import HookedModule
from stimuli.networks.weights import Weights, digest_weights, fit_weights, read_weights
from subjects.errors import NetworkError
from subjects.provenance import digest_json

PADDED_IN_CAFFE = MappingProxyType({"squeezenet1_0": {"classifier.1": 1}})
"""Network -> layers that Caffe's prototxt pads and torchvision does not; done with a ``caffe-...`` preprocessing."""

_WITH_HELPERS = ("googlenet", "inception_v3")
_TIMEOUT_S = 30.0
_OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)")


@lru_cache(maxsize=1)
def torchvision_names() -> tuple[str, ...]:
    """List the classification networks of torchvision."""
    from torchvision import models

    return tuple(models.list_models(module=models))


def load_torchvision(name: str, *, called: str | None = None, weights: Path | None = None,
                     preprocessing: str | None = None, tap: str | None = None) -> TorchNetwork:
    """Load a classification network of torchvision with ImageNet weights.

    Parameters
    ----------
    name : str
        One of :func:`torchvision_names`.
    called : str, optional
        The name that it shall have here.
    weights : Path, optional
        A file of :func:`stimuli.weights.read_weights`. Default: torchvision's own (:func:`fetch_weights`).
    preprocessing : str, optional
        Default: ``"torchvision"``, at the side that the network was trained for.
    tap : str, optional
        One of :data:`stimuli.networks.alexnet.TAPS`; the layers are chosen by the rule of :mod:`stimuli.networks.taps`.

    Raises
    ------
    NetworkError
        If the weights are not there or are another network's.
    """
    process = _preprocessing(name, preprocessing)
    path = fetch_weights(name) if weights is None else Path(weights)
    module, architecture = build_module(name, preprocessing=process)
    hooked = HookedModule(module, example=torch.empty((1, 3, process.side, process.side), device="meta"),
                          tap=tap or AFTER)
    fit_weights(module, _as_named_now(read_weights(path)))
    names = imagenet_names()
    digest = digest_json({"architecture": architecture, "weights": digest_weights(module),
                          "preprocessing": process.record(), "class_names": names})
    return TorchNetwork(name=called or name, digest=digest, class_names=names, layers=hooked.layers, tap=hooked.tap,
                        mean_image=process.mean_image, module=hooked.eval(), preprocess=process,
                        places=hooked.places)


def default_weights(name: str) -> Any:
    """Give torchvision's record of a network's own weights: ``url``, ``meta``, ``transforms``."""
    from torchvision import models

    return models.get_model_weights(name).DEFAULT


def _preprocessing(name: str, asked: str | None) -> Preprocessing:
    """Find what was asked for; torchvision's own at the side and with the moments of the network's weights."""
    if asked not in (None, "torchvision"):
        return find_preprocessing(str(asked))
    usual = default_weights(name).transforms()
    return replace(find_preprocessing("torchvision", side=usual.crop_size[0]), mean=tuple(usual.mean),
                   sd=tuple(usual.std))


def build_module(name: str, *, preprocessing: Preprocessing) -> tuple[nn.Module, dict[str, Any]]:
    """Make a network without values (on the meta device), in evaluation mode, and what describes it in a digest."""
    from torchvision import models

    options: dict[str, Any] = {}
    if name.startswith("vit_"):
        options["image_size"] = preprocessing.side
    if name in _WITH_HELPERS:  # as torchvision sets them when it loads its own weights
        options = {"transform_input": preprocessing.name == "torchvision", "aux_logits": True, "init_weights": False}
    padded = PADDED_IN_CAFFE.get(name, {}) if preprocessing.order == "BGR" else {}
    place = "cpu" if name.startswith("regnet_") else "meta"  # RegNets reckon their widths in tensors
    with torch.random.fork_rng(devices=[]), torch.device(place):
        module = models.get_model(name, weights=None, **options).to("meta")
    for layer, padding in padded.items():
        convolution = module.get_submodule(layer)
        convolution.padding = (padding, padding)
    return module.eval(), {"torchvision": name, **options, "padded": dict(padded)}


def _as_named_now(weights: Weights) -> Weights:
    """Spell the names of old DenseNet files (``norm.1``) as torchvision does now (``norm1``)."""
    return replace(weights, tensors={_OLD_DENSENET.sub(r"\1\2", name): values
                                     for name, values in weights.tensors.items()})


def weights_path(name: str) -> Path:
    """Spell where torchvision keeps a network's own weights (``torch.hub.get_dir()``, set by ``TORCH_HOME``)."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(default_weights(name).url).path).name


def fetch_weights(name: str) -> Path:
    """Find a network's own weights in torchvision's cache, or download them to it.

    Raises
    ------
    NetworkError
        If they are not there and cannot be downloaded; the file and its folder are named.
    """
    path, url = weights_path(name), default_weights(name).url
    if path.is_file():
        return path
    digest = re.search(r"-([0-9a-f]{8,})\.", path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _patient(_TIMEOUT_S):
            torch.hub.download_url_to_file(url, str(path), digest.group(1) if digest else None, progress=False)
    except (OSError, RuntimeError) as error:
        raise NetworkError(name, came=f"no {path.name} in {path.parent}, and no download of it ({error})",
                           expected="its weights", remedy=f"Fetch {url} elsewhere, and put it into {path.parent} or "
                           "name it with --weights.") from error
    return path


@contextmanager
def _patient(seconds: float) -> Iterator[None]:
    """Let connections wait so long and no longer, inside the block."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def layer_places(name: str) -> Mapping[str, str]:
    """Say which module each layer of a network reads, without its weights."""
    process = _preprocessing(name, None)
    module, _ = build_module(name, preprocessing=process)
    example = torch.empty((1, 3, process.side, process.side), device="meta")
    return MappingProxyType(HookedModule(module, example=example).places)
