"""ImageNet's AlexNet as the paper used it: BVLC's graph with the weights of its ``.caffemodel``, from any format."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch

from stimuli.categories import imagenet_names
from stimuli.networks.alexnet import AFTER, INPUT_SIZE, LAYERS, CaffeAlexNet, require_tap
from stimuli.networks.preprocessing import find_preprocessing
from stimuli.networks.protocol import TorchNetwork
from stimuli.networks.weights import Weights, digest_weights, fit_weights, read_weights
from subjects.errors import NetworkError
from subjects.provenance import digest_json

NAME = "alexnet-caffe"
WEIGHTS_FILE = "bvlc_alexnet.caffemodel"
_CALLED = {**{f"convolutions.{k}": f"conv{k + 1}" for k in range(5)}, "fc6": "fc6", "fc7": "fc7", "fc8": "fc8"}
_SPELLING = re.compile(r"(conv[1-5]|fc[678])[._/](?:(w|weights?|kernel|0)|(?:b|bias(?:es)?|1))(?:_0)?")


def load_alexnet_caffe(*, weights: Path | None = None, preprocessing: str | None = None,
                       tap: str | None = None) -> TorchNetwork:
    """Load BVLC's AlexNet: 227 px, BGR minus the mean, 60,965,224 parameters.

    Parameters
    ----------
    weights : Path, optional
        ``bvlc_alexnet.caffemodel``, the ONNX zoo's bvlcalexnet, or ``.npz`` or ``.safetensors`` with tensors
        ``conv1.weight``, ``conv1.bias``, ..., ``fc8.bias``. Default: :func:`usual_path`, if it is there.
    preprocessing : str, optional
        Default: ``"caffe-alexnet"``, the channel means of Caffe's ImageNet mean.
    tap : str, optional
        One of :data:`stimuli.networks.alexnet.TAPS`.

    Raises
    ------
    NetworkError
        If there is no file, or it is another network's: the first layer that does not fit is named.
    """
    process = find_preprocessing(preprocessing or "caffe-alexnet")
    if process.side != INPUT_SIZE:
        raise NetworkError(NAME, came=f"preprocessing {process.name!r}, {process.side} px",
                           expected=f"{INPUT_SIZE} px", remedy="Choose caffe-alexnet or caffe-227.")
    module = read_alexnet(weights or _require_usual(), tap=require_tap(tap or AFTER))
    names = imagenet_names()
    digest = digest_json({"architecture": "bvlc_alexnet: conv, relu, norm, pool", "weights": digest_weights(module),
                          "preprocessing": process.record(), "class_names": names})
    return TorchNetwork(name=NAME, digest=digest, class_names=names, layers=LAYERS, tap=module.tap,
                        mean_image=process.mean_image, module=module, preprocess=process)


def usual_path() -> Path:
    """Spell where Caffe's file is looked for: beside the files that torchvision downloads."""
    return Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_FILE


def _require_usual() -> Path:
    path = usual_path()
    if not path.is_file():
        raise NetworkError(NAME, came=f"no weights, and no {path}", expected=f"{WEIGHTS_FILE} (233 MB), as BVLC gives "
                           "it, or the same weights as .onnx, .npz or .safetensors",
                           remedy=f"Put the file into {path.parent}, or name it with --weights.")
    return path


def read_alexnet(path: Path, *, widths: tuple[int, ...] = (96, 256, 384, 384, 256), fc: tuple[int, int] = (4096, 4096),
                 n_classes: int = 1000, tap: str = AFTER) -> CaffeAlexNet:
    """Read weights into a :class:`~stimuli.networks.alexnet.CaffeAlexNet`, of BVLC's widths or others.

    Raises
    ------
    NetworkError
        If the file cannot be read, a tensor does not fit, or the file's graph pools before it normalises.
    """
    weights = read_weights(Path(path))
    _require_norm_first(weights)
    with torch.device("meta"):
        module = CaffeAlexNet(widths=widths, fc=fc, n_classes=n_classes, tap=tap)
    if set(module.state_dict()) == set(weights.tensors):
        return fit_weights(module, weights)
    own = {f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in _CALLED.items() for kind in ("weight", "bias")}
    return fit_weights(module, _renamed(weights, in_order=tuple(own.values())), names=own)


def _renamed(weights: Weights, *, in_order: tuple[str, ...]) -> Weights:
    """Spell names as Caffe's layers; tensors of which none is named so are taken in the graph's order (ONNX)."""
    spelled = {name: _SPELLING.fullmatch(name) for name in weights.tensors}
    names = {name: f"{found.group(1)}.{'weight' if found.group(2) else 'bias'}" if found else name
             for name, found in spelled.items()}
    if weights.path.suffix == ".onnx" and not any(spelled.values()) and len(names) == len(in_order):
        names = dict(zip(weights.tensors, in_order, strict=True))
    return replace(weights, tensors={names[name]: values for name, values in weights.tensors.items()})


def _require_norm_first(weights: Weights) -> None:
    """Refuse CaffeNet, whose weights have AlexNet's shapes, but which pools first."""
    for norm, pool in (("norm1", "pool1"), ("LRN", "MaxPool")):
        if norm in weights.order and pool in weights.order and weights.order.index(pool) < weights.order.index(norm):
            raise NetworkError(str(weights.path), came=f"{pool} before {norm}, as in CaffeNet",
                               expected="AlexNet's order: norm, then pool",
                               remedy=f"Name {WEIGHTS_FILE}; these weights would give wrong answers in it.")
