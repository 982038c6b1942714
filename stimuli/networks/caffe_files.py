"""Caffe's files, parsed as data: a ``.caffemodel``'s layers and a ``.binaryproto`` mean image.

The messages are those of BVLC Caffe's ``caffe.proto`` (BSD-2), cut down to what holds weights and described here, so
that neither Caffe nor a generated module is needed. Packed floats have the wire format of bytes, and are declared as
bytes: 60 million of them are read without making 60 million Python numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from subjects.errors import NetworkError

Values = NDArray[np.float32]
Messages = tuple[tuple[str, tuple[tuple[str, int, bool, str], ...]], ...]
_FETCH = "Fetch the file again; this one was not used."

# (message, ((field, number, repeated, kind), ...)): kind is a scalar of protobuf's or another message
_MESSAGES: Messages = (
    ("BlobShape", (("dim", 1, True, "int64"),)),
    ("BlobProto", (("num", 1, False, "int32"), ("channels", 2, False, "int32"), ("height", 3, False, "int32"),
                   ("width", 4, False, "int32"), ("data", 5, True, "bytes"), ("shape", 7, False, "BlobShape"),
                   ("double_data", 8, True, "bytes"))),
    ("LayerParameter", (("name", 1, False, "string"), ("type", 2, False, "string"), ("blobs", 7, True, "BlobProto"))),
    ("V1LayerParameter", (("name", 4, False, "string"), ("type", 5, False, "int32"),
                          ("blobs", 6, True, "BlobProto"))),
    ("NetParameter", (("name", 1, False, "string"), ("layers", 2, True, "V1LayerParameter"),
                      ("layer", 100, True, "LayerParameter"))),
)
_LEGACY_SHAPE = ("num", "channels", "height", "width")


@dataclass(frozen=True)
class CaffeLayer:
    """A layer of a ``.caffemodel``.

    Parameters
    ----------
    name : str
        As the prototxt calls it.
    blobs : tuple of float32 array
        Its weights, then its biases; empty for a layer that has none.
    """

    name: str
    blobs: tuple[Values, ...]


def read_caffemodel(path: Path) -> tuple[CaffeLayer, ...]:
    """Read the layers of a trained Caffe network, in order; of the old format (``layers``) or the new (``layer``).

    Returns
    -------
    tuple of CaffeLayer
        Blobs have the shape that the file gives; in the old format that is four numbers, ones first.

    Raises
    ------
    NetworkError
        If the file is missing, is no such message, holds no weights, or a blob has not as many values as its
        shape says.
    """
    path = Path(path)
    net = _parse(path, "NetParameter", kind="a .caffemodel")
    layers = tuple(CaffeLayer(one.name, tuple(_blob(blob, where=f"{path}: {one.name}", path=path)
                                              for blob in one.blobs)) for one in net.layer or net.layers)
    if not any(layer.blobs for layer in layers):
        _refuse(str(path), f"{len(layers)} layers without weights", "the weights of a trained Caffe network",
                "Name the .caffemodel, not a prototxt or a solver's state.")
    return layers


def read_binaryproto(path: Path) -> NDArray[np.float64]:
    """Read one blob, as Caffe writes its mean image.

    Returns
    -------
    float64 array
        Without leading ones: (3, height, width), BGR, for a mean image.

    Raises
    ------
    NetworkError
        If the file is missing, is no blob, or has not as many values as its shape says.
    """
    path = Path(path)
    values = _blob(_parse(path, "BlobProto", kind="a .binaryproto"), where=str(path), path=path)
    while values.ndim > 3 and values.shape[0] == 1:
        values = values[0]
    return values.astype(np.float64)


def _parse(path: Path, message: str, *, kind: str) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return _messages()[message].FromString(path.read_bytes())
    except FileNotFoundError:
        _refuse(str(path), "no such file", kind, "Correct the path.")
    except DecodeError as error:
        _refuse(str(path), f"a file that cannot be parsed ({error})", kind, _FETCH)


def _blob(blob: Any, *, where: str, path: Path) -> Values:
    legacy = [getattr(blob, name) for name in _LEGACY_SHAPE]
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else tuple(legacy)
    chunks, kind = (blob.double_data, "<f8") if blob.double_data else (blob.data, "<f4")
    content = b"".join(chunks)
    wanted = math.prod(shape) * np.dtype(kind).itemsize
    if min(shape, default=0) < 1 or len(content) != wanted:
        came = f"a blob of shape {shape} with {len(content)} bytes of values"
        expected = f"{wanted} bytes" if min(shape, default=0) >= 1 else "a shape without zeros"
        _refuse(where, came, expected, _FETCH if where != str(path) else f"Name Caffe's mean file. {_FETCH}")
    return np.frombuffer(content, dtype=kind).reshape(shape).astype(np.float32)


@lru_cache(maxsize=1)
def _messages() -> dict[str, Any]:
    return message_classes(_MESSAGES, package="caffe", packed=("dim",))


def message_classes(described: Messages, *, package: str, packed: tuple[str, ...] = ()) -> dict[str, Any]:
    """Make protobuf's classes of messages that are described here, without a generated module.

    Parameters
    ----------
    described : sequence of (str, sequence of (str, int, bool, str))
        Messages; of each field its name, number, whether it is repeated, and its kind: a scalar of protobuf's in
        lower case, or another message.
    package : str
        What the messages are called by.
    packed : tuple of str
        Fields whose numbers are written packed.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name=f"messages_of_{package}.proto", package=package, syntax="proto2")
    field_type = descriptor_pb2.FieldDescriptorProto
    for message, fields in described:
        made = file.message_type.add(name=message)
        for name, number, repeated, kind in fields:
            field = made.field.add(name=name, number=number, label=field_type.LABEL_REPEATED if repeated
                                   else field_type.LABEL_OPTIONAL)
            if kind[0].isupper():
                field.type, field.type_name = field_type.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = getattr(field_type, f"TYPE_{kind.upper()}")
            if name in packed:
                field.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
            for name, _ in described}


def _refuse(where: str, came: str, expected: str, remedy: str) -> NoReturn:
    raise NetworkError(where, came=came, expected=expected, remedy=remedy) from None
