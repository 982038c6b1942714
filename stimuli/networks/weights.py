"""Weights from a file, as named tensors; no format executes what it holds, and no tensor may hold NaN or infinity."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from stimuli.networks.caffe_files import read_caffemodel
from subjects.errors import NetworkError
from subjects.provenance import digest_array, digest_json

M = TypeVar("M", bound=nn.Module)

_FETCH = "Fetch the file again, or name another one (--weights)."
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_COUNTERS = "num_batches_tracked"
_LFS = b"version https://git-lfs"
_PREFIX = "module."
"""What torch's DataParallel puts before every name."""


@dataclass(frozen=True)
class Weights:
    """Named tensors, in the order of their file.

    Parameters
    ----------
    path : Path
        Where they were read.
    tensors : mapping of str to Tensor
        float32 on the CPU (whole numbers stay whole numbers).
    order : tuple of str
        All layers in the file's order, those without weights too: Caffe's names, ONNX's kinds; otherwise empty.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    order: tuple[str, ...] = ()

    @property
    def n_parameters(self) -> int:
        """Count all values."""
        return sum(values.numel() for values in self.tensors.values())


def read_weights(path: Path) -> Weights:
    """Read weights by the ending of the file's name.

    Parameters
    ----------
    path : Path
        ``.safetensors``; ``.npz``; ``.pt``, ``.pth`` or ``.pth.tar`` (a dict of tensors, or one under
        ``state_dict``);
        ``.caffemodel``; ``.onnx``.

    Returns
    -------
    Weights
        Names are the file's own, without the ``module.`` that DataParallel puts before all of them; of
        Caffe's layer ``conv1`` they are ``conv1.weight`` and ``conv1.bias``, and so
        for a convolution or dense layer of ONNX that is stored as ``conv1_w_0`` and ``conv1_b_0``. ONNX's come in
        the order in which the graph uses them.

    Raises
    ------
    NetworkError
        If the file is missing, of another ending, damaged, would have to run code to be read, or holds a value
        that is not finite; the tensor is named.
    """
    path = Path(path)
    ending = next((one for one in READERS if path.name.endswith(one)), None)
    if ending is None:
        _refuse(str(path), f"the ending {path.suffix!r}", f"one of {', '.join(READERS)}",
                "Convert the weights, to .safetensors for example.")
    if not path.is_file():
        _refuse(str(path), "no such file", "a file of weights", "Correct the path (--weights, stimuli.weights).")
    _require_content(path)
    found = without_prefix(READERS[ending](path))
    if not found.tensors:
        _refuse(str(path), "a file without weights", "named tensors", _FETCH)
    for name, values in found.tensors.items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            _refuse(f"{path}: {name}", f"{int((~torch.isfinite(values)).sum())} values that are NaN or infinite",
                    "finite weights", _FETCH)
    return found


def _require_content(path: Path) -> None:
    """Refuse the small text that Git leaves in place of a large file."""
    with path.open("rb") as file:
        if file.read(len(_LFS)) == _LFS:
            _refuse(str(path), "a Git LFS pointer, not the file that it stands for", "the weights themselves",
                    "Fetch them with `git lfs pull` in the folder that they were cloned to.")


def without_prefix(weights: Weights) -> Weights:
    """Take DataParallel's ``module.`` off, where it stands before every name."""
    if not all(name.startswith(_PREFIX) for name in weights.tensors):
        return weights
    return replace(weights, tensors={name.removeprefix(_PREFIX): values for name, values in weights.tensors.items()})


def _read_safetensors(path: Path) -> Weights:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return Weights(path, _floats(load_file(path)))
    except SafetensorError as error:
        _refuse(str(path), f"a file that cannot be read ({error})", "weights in safetensors format", _FETCH)


def _read_npz(path: Path) -> Weights:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return Weights(path, _floats({name: torch.from_numpy(file[name]) for name in file.files}))
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, TypeError) as error:
        if "pickle" in str(error).lower():
            _refuse_code(path, str(error).split(".")[0])
        _refuse(str(path), f"a file that cannot be read ({error})", "arrays of numbers in .npz", _FETCH)


def _read_torch(path: Path) -> Weights:
    if _is_torchscript(path):
        _refuse(str(path), "a TorchScript program, whose code would run", "tensors by name",
                "Where you trust it, save its weights alone: "
                "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth').")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on the pickle's protocol; what matters comes as an error
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named or path.read_bytes()[:1] == b"\x80":
            _refuse_code(path, f"it asks for {named.group(1)}" if named else "it is none of torch's own kind")
        _refuse(str(path), "a file that is no torch file", "a torch file of tensors", _FETCH)
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, AttributeError, TypeError) as error:
        reason = (str(error).splitlines() or ["it ends early"])[0]
        _refuse(str(path), f"a file that cannot be read ({reason})", "a torch file of tensors", _FETCH)
    return Weights(path, _floats(_state_dict(loaded, path=path)))


def _is_torchscript(path: Path) -> bool:
    """Tell a program from tensors: both are archives, and only a program's holds constants and code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _state_dict(loaded: Any, *, path: Path) -> dict[str, Tensor]:
    """Find the tensors by name, below a training script's wrapper."""
    inner = next((loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), dict)), loaded) \
        if isinstance(loaded, dict) else None
    if not inner or not all(isinstance(name, str) and isinstance(values, Tensor) for name, values in inner.items()):
        _refuse(str(path), f"a {type(loaded).__name__} that is not tensors by name", "a state dict",
                "Save model.state_dict() alone.")
    return inner


def _read_caffe(path: Path) -> Weights:
    layers = read_caffemodel(path)
    tensors = {f"{layer.name}.{kind}": torch.from_numpy(values) for layer in layers
               for kind, values in zip(("weight", "bias", *map(str, range(2, 9))), layer.blobs, strict=False)}
    return Weights(path, tensors, tuple(layer.name for layer in layers))


def _read_onnx(path: Path) -> Weights:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except (DecodeError, ValueError) as error:
        _refuse(str(path), f"a file that cannot be parsed ({error})", "an ONNX model", _FETCH)
    outside = [one.name for one in graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        _refuse(f"{path}: {outside[0]}", "values kept in another file", "all values in the ONNX file",
                "Save the model with its data inside.")
    read = {one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in graph.initializer}
    used = dict.fromkeys(name for node in graph.node for name in node.input if name in read)
    values = {name: read[name] for name in used if read[name].is_floating_point()}  # whole numbers are shapes
    names = dict(_onnx_names(graph, values))
    return Weights(path, _floats({names.get(name, name): _as_dense(tensor, name, graph=graph)
                                  for name, tensor in values.items()}), tuple(node.op_type for node in graph.node))


def _onnx_names(graph: Any, values: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Call the weights of the k-th layer with weights by their layer: ``conv1_w_0`` becomes ``conv1.weight``."""
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        for name, kind in zip(node.input[1:3], ("weight", "bias"), strict=False):
            parts = re.fullmatch(r"(.+?)_[wb]_0", name)
            if parts and name in values:
                yield name, f"{parts.group(1)}.{kind}"


def _as_dense(tensor: Tensor, name: str, *, graph: Any) -> Tensor:
    """Turn a dense layer's weights to (outputs, inputs), as torch keeps them."""
    for node in graph.node:
        if node.op_type in ("Gemm", "MatMul") and name == node.input[1]:
            turned = any(one.name == "transB" and one.i for one in node.attribute)
            return tensor if turned else tensor.T.contiguous()
    return tensor


READERS: Mapping[str, Callable[[Path], Weights]] = MappingProxyType({
    ".safetensors": _read_safetensors, ".npz": _read_npz, ".pt": _read_torch, ".pth": _read_torch,
    ".pth.tar": _read_torch, ".caffemodel": _read_caffe, ".onnx": _read_onnx})
"""Ending of a file's name -> its reader."""


def _floats(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: values.float().contiguous() if values.is_floating_point() else values
            for name, values in tensors.items()}


def fit_weights(module: M, weights: Weights, *, names: Mapping[str, str] | None = None) -> M:
    """Put weights into a module that was made on the meta device, or refuse at the first that does not fit.

    Parameters
    ----------
    module : nn.Module
        Made under ``torch.device("meta")``: shapes without values.
    weights : Weights
        Every tensor of the module and no other. Batch counters may be missing (old files lack them).
    names : mapping of str to str, optional
        The module's name for a tensor -> the file's name. Default: they are the same.

    Returns
    -------
    nn.Module
        The same, in evaluation mode, its weights without gradients.

    Raises
    ------
    NetworkError
        If a tensor is missing, has another shape, or is one too many; layer and shapes are named.
    """
    state, names = module.state_dict(), names or {}  # keeps the versions that some networks ask for
    for own, place in list(state.items()):
        theirs = names.get(own, own)
        if theirs not in weights.tensors and own.endswith(_COUNTERS):
            state[own] = torch.zeros(place.shape, dtype=place.dtype)
            continue
        if theirs not in weights.tensors:
            _refuse(f"{weights.path}: {theirs}", "no such tensor", _shape(place), _other(weights))
        state[own] = _shaped(weights.tensors[theirs], place, where=f"{weights.path}: {theirs}", weights=weights)
    extra = [name for name in weights.tensors if name not in {names.get(own, own) for own in state}]
    if extra:
        _refuse(f"{weights.path}: {extra[0]}", f"a tensor of shape {_shape(weights.tensors[extra[0]])}",
                "no such tensor", _other(weights))
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(requires_grad=False)


def _shaped(values: Tensor, place: Tensor, *, where: str, weights: Weights) -> Tensor:
    """Drop the ones that Caffe's old format puts first; no other shape is forgiven."""
    shape = tuple(values.shape)
    while len(shape) > place.ndim and shape[0] == 1:
        shape = shape[1:]
    if shape != tuple(place.shape):
        _refuse(where, f"shape {_shape(values)}", f"shape {_shape(place)}", _other(weights))
    return values.reshape(shape).to(place.dtype)


def _shape(values: Tensor) -> str:
    return f"({', '.join(map(str, values.shape))})"


def _other(weights: Weights) -> str:
    return (f"These {weights.n_parameters:,} values are of another network; name its own weights (--weights), "
            "or the network that they belong to (--network).")


def digest_weights(module: nn.Module) -> str:
    """Digest a module's weights by value: the same in whatever format they came. Batch counters do not count."""
    return digest_json({name: digest_array(values.numpy()) for name, values in module.state_dict().items()
                        if not name.endswith(_COUNTERS)})


def _refuse_code(path: Path, reason: str) -> NoReturn:
    _refuse(str(path), f"a pickle that would run code ({reason})", "tensors and nothing else",
            "It was not opened further. Take weights from a source that you trust, as .safetensors.")


def _refuse(where: str, came: str, expected: str, remedy: str) -> NoReturn:
    raise NetworkError(where, came=came, expected=expected, remedy=remedy) from None
