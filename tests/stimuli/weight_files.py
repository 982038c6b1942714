"""Weight files in every format, written without the project's readers: Caffe's wire format by hand, ONNX by onnx."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

WIDTHS, FC, N_CLASSES = (4, 6, 8, 6, 4), (10, 12), 5
FULL = {"widths": (96, 256, 384, 384, 256), "fc": (4096, 4096), "n_classes": 1000}
SMALL = {"widths": WIDTHS, "fc": FC, "n_classes": N_CLASSES}
Blobs = dict[str, tuple[np.ndarray, np.ndarray]]


def alexnet_blobs(seed: int = 0, *, widths: Sequence[int] = WIDTHS, fc: Sequence[int] = FC,
                  n_classes: int = N_CLASSES) -> Blobs:
    """Draw weights (outputs, inputs / groups, kernel, kernel) or (outputs, inputs), and biases, by Caffe's names."""
    rng = np.random.default_rng(seed)
    inputs = (3, widths[0] // 2, widths[1], widths[2] // 2, widths[3] // 2)
    shapes = {f"conv{k + 1}": (widths[k], inputs[k], size, size) for k, size in enumerate((11, 5, 3, 3, 3))}
    shapes |= {"fc6": (fc[0], widths[4] * 36), "fc7": (fc[1], fc[0]), "fc8": (n_classes, fc[1])}
    return {name: (rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:]))),
                   rng.standard_normal(shape[0], dtype=np.float32) * np.float32(0.1))
            for name, shape in shapes.items()}


def named(blobs: Blobs, spelling: str = "{layer}.{kind}") -> dict[str, np.ndarray]:
    """Spell blobs as one flat dict of arrays."""
    return {spelling.format(layer=layer, kind=kind, letter=kind[0]): values for layer, pair in blobs.items()
            for kind, values in zip(("weight", "bias"), pair, strict=True)}


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, content: bytes | int | str) -> bytes:
    """One field: a varint, or anything with a length before it."""
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    content = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def blob(values: np.ndarray, *, legacy: bool = False, double: bool = False) -> bytes:
    """A BlobProto: num..width (legacy, four numbers) or a shape; float or double data."""
    if legacy:
        shape = (1,) * (4 - values.ndim) + values.shape
        head = b"".join(_field(number, side) for number, side in enumerate(shape, start=1))
    else:
        head = _field(7, _field(1, b"".join(_varint(side) for side in values.shape)))
    return head + (_field(8, values.astype("<f8").tobytes()) if double else _field(5, values.astype("<f4").tobytes()))


def caffemodel(layers: Iterable[tuple[str, str, Sequence[np.ndarray]]], *, legacy: bool = False,
               double: bool = False) -> bytes:
    """A NetParameter of (name, type, blobs); legacy = V1 ``layers``, whose types are numbers."""
    numbers = {"Convolution": 4, "InnerProduct": 14, "ReLU": 18, "LRN": 15, "Pooling": 17, "Dropout": 6, "Softmax": 20}
    parts = [_field(1, "AlexNet")]
    for name, kind, blobs in layers:
        stored = [blob(values, legacy=legacy, double=double) for values in blobs]
        body = _field(4, name) + _field(5, numbers[kind]) + b"".join(_field(6, one) for one in stored) if legacy else \
            _field(1, name) + _field(2, kind) + b"".join(_field(7, one) for one in stored)
        parts.append(_field(2 if legacy else 100, body))
    return b"".join(parts)


def alexnet_layers(blobs: Blobs, *, pool_first: bool = False) -> list[tuple[str, str, Sequence[np.ndarray]]]:
    """The layers of BVLC's AlexNet (or of CaffeNet, which pools first), with and without blobs."""
    found: list[tuple[str, str, Sequence[np.ndarray]]] = []
    for name, pair in blobs.items():
        found += [(name, "Convolution" if name.startswith("conv") else "InnerProduct", pair)]
        found += [(f"relu{name[-1]}", "ReLU", ())] if name != "fc8" else [("prob", "Softmax", ())]
        tail = [(f"norm{name[-1]}", "LRN", ())] if name in ("conv1", "conv2") else []
        pool = [(f"pool{name[-1]}", "Pooling", ())] if name in ("conv1", "conv2", "conv5") else []
        found += pool + tail if pool_first else tail + pool
    return found


def write_caffemodel(path: Path, blobs: Blobs, *, legacy: bool = False, double: bool = False,
                     pool_first: bool = False) -> Path:
    path.write_bytes(caffemodel(alexnet_layers(blobs, pool_first=pool_first), legacy=legacy, double=double))
    return path


def prototxt(*, widths: Sequence[int] = WIDTHS, fc: Sequence[int] = FC, n_classes: int = N_CLASSES) -> str:
    """BVLC's ``deploy.prototxt`` with other widths; every layer writes a blob of its own name."""
    lines = ['name: "AlexNet"', 'input: "data"', *[f"input_dim: {side}" for side in (1, 3, 227, 227)]]
    last = "data"

    def add(name: str, kind: str, parameters: str = "") -> None:
        nonlocal last
        lines.append(f'layer {{ name: "{name}" type: "{kind}" bottom: "{last}" top: "{name}" {parameters} }}')
        last = name

    geometry = ((11, 4, 0, 1), (5, 1, 2, 2), (3, 1, 1, 1), (3, 1, 1, 2), (3, 1, 1, 2))
    for k, (size, stride, pad, group) in enumerate(geometry, start=1):
        add(f"conv{k}", "Convolution", f"convolution_param {{ num_output: {widths[k - 1]} kernel_size: {size} "
                                       f"stride: {stride} pad: {pad} group: {group} }}")
        add(f"relu{k}", "ReLU")
        if k < 3:
            add(f"norm{k}", "LRN", "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")
        if k in (1, 2, 5):
            add(f"pool{k}", "Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }")
    for k, n in ((6, fc[0]), (7, fc[1]), (8, n_classes)):
        add(f"fc{k}", "InnerProduct", f"inner_product_param {{ num_output: {n} }}")
        if k < 8:
            add(f"relu{k}", "ReLU")
    add("prob", "Softmax")
    return "\n".join(lines)


def write_onnx(path: Path, blobs: Blobs, *, spelling: str = "{layer}_{letter}_0", turned: bool = False) -> Path:
    """The graph of the ONNX zoo's bvlcalexnet; every activation is an output. ``turned``: dense weights transposed."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, tensors, outputs, last = [], [], [], "data_0"

    def add(kind: str, name: str, weights: Sequence[str] = (), **attributes: object) -> None:
        nonlocal last
        nodes.append(helper.make_node(kind, [last, *weights], [f"{name}_1"], **attributes))
        last = f"{name}_1"
        outputs.append(helper.make_tensor_value_info(last, TensorProto.FLOAT, None))

    geometry = {"conv1": (4, 0, 1), "conv2": (1, 2, 2), "conv3": (1, 1, 1), "conv4": (1, 1, 2), "conv5": (1, 1, 2)}
    for layer, pair in blobs.items():
        names = [spelling.format(layer=layer, kind=kind, letter=kind[0]) for kind in ("weight", "bias")]
        dense = layer.startswith("fc")
        values = [pair[0].T.copy() if dense and turned else pair[0], pair[1]]
        tensors += [numpy_helper.from_array(one, name) for one, name in zip(values, names, strict=True)][::-1]
        if layer == "fc6":
            tensors.append(numpy_helper.from_array(np.array([-1, pair[0].shape[1]], np.int64), "OC2_DUMMY_1"))
            add("Reshape", "flat", ["OC2_DUMMY_1"])
        if dense:
            add("Gemm", layer, names, transB=int(not turned))
        else:
            stride, pad, group = geometry[layer]
            size = pair[0].shape[-1]
            add("Conv", layer, names, strides=[stride] * 2, pads=[pad] * 4, group=group, kernel_shape=[size] * 2)
        if layer != "fc8":
            add("Relu", f"relu{layer[-1]}")
        if layer in ("conv1", "conv2"):
            add("LRN", f"norm{layer[-1]}", size=5, alpha=1e-4, beta=0.75, bias=1.0)
        if layer in ("conv1", "conv2", "conv5"):
            add("MaxPool", f"pool{layer[-1]}", kernel_shape=[3, 3], strides=[2, 2])
    add("Softmax", "prob", axis=1)
    data = helper.make_tensor_value_info("data_0", TensorProto.FLOAT, ["n", 3, 227, 227])
    graph = helper.make_graph(nodes, "bvlcalexnet", [data], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)
    onnx.save(model, path)
    return path


def torchvision_state(name: str, seed: int = 0, **options: object) -> Mapping[str, torch.Tensor]:
    """Random weights of a torchvision network; batch norms that do something."""
    from torchvision import models

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = models.get_model(name, weights=None, **options)
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.normal_(0.0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
        return module.state_dict()
