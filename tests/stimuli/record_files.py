"""TFRecord files written without the project's reader: the wire format by hand, checksums bit by bit."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.stimuli.weight_files import _field, _varint


def slow_checksum(data: bytes) -> int:
    """CRC-32C a bit at a time, masked as the format stores it."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    state ^= 0xFFFFFFFF
    return ((state >> 15 | state << 17) + 0xA282EAD8) & 0xFFFFFFFF


def framed(content: bytes) -> bytes:
    """One record."""
    length = struct.pack("<Q", len(content))
    return (length + struct.pack("<I", slow_checksum(length)) + content
            + struct.pack("<I", slow_checksum(content)))


def example(**features: bytes | int | list[float]) -> bytes:
    """A tf.train.Example of single bytes, single whole numbers, or lists of floats."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            feature = _field(1, _field(1, value))
        elif isinstance(value, int):
            feature = _field(3, _field(1, _varint(value)))
        else:
            feature = _field(2, _field(1, struct.pack(f"<{len(value)}f", *value)))
        entries += _field(1, _field(1, name) + _field(2, feature))
    return _field(1, entries)


def png(values: np.ndarray) -> bytes:
    """An image as the bytes of a PNG."""
    held = io.BytesIO()
    Image.fromarray(values).save(held, format="PNG")
    return held.getvalue()


def write_records(path: Path, contents: Iterable[bytes]) -> Path:
    """A file of records."""
    path.write_bytes(b"".join(map(framed, contents)))
    return path
