"""TensorFlow's record files read as data, without TensorFlow: the framing with its checksums, and ``tf.train.Example``.

A record is its length (uint64), the length's checksum, the content, and the content's checksum; checksums are CRC-32C,
rotated and shifted ("masked"), https://www.tensorflow.org/tutorials/load_data/tfrecord. The content of ClickMe's
records is one ``Example``: features by name, each a list of bytes, floats or whole numbers.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from stimuli.networks.caffe_files import Messages, message_classes
from subjects.errors import StimulusError

ENDINGS = (".tfrecord", ".tfrecords")
LARGEST_RECORD = 1 << 28
"""Bytes that a record may have; a length above it is damage, and nothing so large is read."""

_MESSAGES: Messages = (
    ("BytesList", (("value", 1, True, "bytes"),)),
    ("FloatList", (("value", 1, True, "float"),)),
    ("Int64List", (("value", 1, True, "int64"),)),
    ("Feature", (("bytes_list", 1, False, "BytesList"), ("float_list", 2, False, "FloatList"),
                 ("int64_list", 3, False, "Int64List"))),
    ("Entry", (("key", 1, False, "string"), ("value", 2, False, "Feature"))),
    ("Features", (("feature", 1, True, "Entry"),)),
    ("Example", (("features", 1, False, "Features"),)),
)
_POLYNOMIAL, _MASK = 0x82F63B78, 0xA282EAD8
_LANES = 256
_FETCH = "Fetch the file again; nothing after this record can be read."

Feature = list[bytes] | list[float] | list[int]


def read_examples(path: Path) -> Iterator[dict[str, Feature]]:
    """Read the examples of a record file, one at a time.

    Parameters
    ----------
    path : Path
        Of the file, plain or compressed with gzip.

    Yields
    ------
    dict of str to list
        Each feature's values by its name: bytes, floats or whole numbers.

    Raises
    ------
    StimulusError
        If the file is missing, ends inside a record, a checksum is wrong, or a record is no ``Example``.
    """
    from google.protobuf.message import DecodeError

    for number, content in enumerate(read_records(path), start=1):
        try:
            example = _messages()["Example"].FromString(content)
        except DecodeError as error:
            _refuse(f"{path}, record {number}", f"content that is no tf.train.Example ({error})",
                    "an Example with image, heatmap and label", "Name a file of importance maps, as ClickMe's.")
        yield {entry.key: _values(entry.value) for entry in example.features.feature}


def read_records(path: Path) -> Iterator[bytes]:
    """Read the records of a file, each against its two checksums; raises as :func:`read_examples`."""
    path, number = Path(path), 0
    with _opened(path) as file:
        while head := file.read(12):
            number += 1
            where = f"{path}, record {number}"
            length, = struct.unpack("<Q", head[:8]) if len(head) == 12 else (0,)
            if len(head) < 12 or _masked(head[:8]) != struct.unpack("<I", head[8:])[0] or length > LARGEST_RECORD:
                _refuse(where, "a length that does not agree with its checksum, or none", "a TFRecord file", _FETCH)
            content, foot = file.read(length), file.read(4)
            if len(content) < length or len(foot) < 4:
                _refuse(where, f"a file that ends {length + 4 - len(content) - len(foot)} bytes early",
                        "a whole record", _FETCH)
            if _masked(content) != struct.unpack("<I", foot)[0]:
                _refuse(where, "content that does not agree with its checksum", "the content as it was written", _FETCH)
            yield content


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.open(file) if packed else file as content:
                yield cast(BinaryIO, content)
    except FileNotFoundError:
        _refuse(str(path), "no such file", "a TFRecord file", "Correct the path.")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        _refuse(str(path), f"a compressed file that ends early or is damaged ({error})", "a whole file", _FETCH)


def _values(feature: Any) -> Feature:
    kinds: tuple[Feature, ...] = (list(feature.bytes_list.value), list(feature.float_list.value),
                                  list(feature.int64_list.value))
    return next((values for values in kinds if values), [])


@lru_cache(maxsize=1)
def _messages() -> dict[str, Any]:
    return message_classes(_MESSAGES, package="tensorflow", packed=())


def _masked(data: bytes) -> int:
    """Give the checksum as the format stores it."""
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Give the CRC-32C (Castagnoli, 1993, IEEE Trans. Commun.) of some bytes.

    Long data are cut into lanes whose checksums are computed together and joined: a checksum is linear, so that what
    comes before a lane counts as itself followed by as many zeros as the lane is long.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    values = np.frombuffer(data, dtype=np.uint8)
    width = len(values) // _LANES
    if width < 16:
        return int(_advance(np.array([0xFFFFFFFF], dtype=np.uint32), values[None])[0]) ^ 0xFFFFFFFF
    lanes = values[:width * _LANES].reshape(_LANES, width)
    own = _advance(np.zeros(_LANES, dtype=np.uint32), lanes)
    zeros = _passing_zeros(width)
    state = 0xFFFFFFFF
    for checksum in own.tolist():
        moved = 0
        for bit in range(32):
            if state >> bit & 1:
                moved ^= zeros[bit]
        state = moved ^ checksum
    rest = values[width * _LANES:]
    return int(_advance(np.array([state], dtype=np.uint32), rest[None])[0]) ^ 0xFFFFFFFF


def _advance(states: NDArray[np.uint32], lanes: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Take states (n,) past n rows of bytes."""
    table = _table()
    for column in np.ascontiguousarray(lanes.T):
        states = table[(states ^ column) & 0xFF] ^ (states >> np.uint32(8))
    return states


@lru_cache(maxsize=8)
def _passing_zeros(width: int) -> tuple[int, ...]:
    """Give what each bit of a state becomes past so many zeros."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    return tuple(_advance(bits, np.zeros((32, width), dtype=np.uint8)).tolist())


@lru_cache(maxsize=1)
def _table() -> NDArray[np.uint32]:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, values >> 1 ^ np.uint32(_POLYNOMIAL), values >> 1).astype(np.uint32)
    return values


def _refuse(where: str, came: str, expected: str, remedy: str) -> NoReturn:
    raise StimulusError(where, came=came, expected=expected, remedy=remedy) from None
