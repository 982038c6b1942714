"""TensorFlow's record files, against files that the tests write byte by byte."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from stimuli.alignment.importance.tf_records import crc32c, read_examples, read_records
from subjects.errors import StimulusError
from tests.stimuli.record_files import example, framed, slow_checksum, write_records


def _unmasked(masked: int) -> int:
    turned = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (turned >> 17 | turned << 15) & 0xFFFFFFFF


@pytest.mark.parametrize("length", [0, 1, 9, 255, 4096, 4097, 10007])
def test_checksums_are_those_of_a_plain_loop(length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    assert crc32c(data) == _unmasked(slow_checksum(data))


def test_records_come_back_in_order(tmp_path: Path) -> None:
    contents = [b"", b"one", bytes(range(256)) * 40]
    path = write_records(tmp_path / "a.tfrecords", contents)
    assert list(read_records(path)) == contents


def test_a_compressed_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecords"
    path.write_bytes(gzip.compress(framed(b"one") + framed(b"two")))
    assert list(read_records(path)) == [b"one", b"two"]


def test_features_come_by_name_whatever_their_kind(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.tfrecord", [example(image=b"\x00\xff", label=300, weights=[0.5, -2.0])])
    assert list(read_examples(path)) == [{"image": [b"\x00\xff"], "label": [300], "weights": [0.5, -2.0]}]


@pytest.mark.parametrize(("damage", "said"), [
    (lambda data: data[:-1], "ends 1 bytes early"),
    (lambda data: data[:6], "a length that does not agree with its checksum, or none"),
    (lambda data: bytes([data[0] ^ 1]) + data[1:], "a length that does not agree"),
    (lambda data: data[:12] + bytes([data[12] ^ 1]) + data[13:], "content that does not agree with its checksum"),
    (lambda data: data[:-4] + bytes(4), "content that does not agree with its checksum"),
])
def test_damage_is_found(tmp_path: Path, damage, said: str) -> None:
    path = tmp_path / "a.tfrecord"
    path.write_bytes(framed(b"whole") + damage(framed(b"content")))
    with pytest.raises(StimulusError, match=rf"a.tfrecord, record 2: .*{said}"):
        list(read_records(path))


def test_every_cut_and_every_damaged_byte_is_refused(tmp_path: Path) -> None:
    """Of a plain file and of a compressed one: what comes back is a whole beginning of the records, or an error."""
    contents = [b"one", bytes(range(200)), b"three"]
    plain = b"".join(map(framed, contents))
    ends = {sum(len(framed(one)) for one in contents[:n]) for n in range(4)}
    path = tmp_path / "a.tfrecord"
    for k in range(len(plain)):
        path.write_bytes(plain[:k])
        if k in ends:
            assert list(read_records(path)) == contents[:sorted(ends).index(k)]
        else:
            with pytest.raises(StimulusError, match=r"a\.tfrecord, record \d: "):
                list(read_records(path))
    packed = gzip.compress(plain)
    for k in range(10, len(packed)):
        for damaged in (packed[:k], packed[:k] + bytes([packed[k] ^ 0x41]) + packed[k + 1:]):
            path.write_bytes(damaged)
            with pytest.raises(StimulusError, match=r"a\.tfrecord"):
                list(read_records(path))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StimulusError, match=r"absent: no such file; expected a TFRecord file"):
        list(read_records(tmp_path / "absent"))
    (tmp_path / "b").write_bytes(gzip.compress(framed(b"one"))[:-10])
    with pytest.raises(StimulusError, match=r"b: a compressed file that ends early"):
        list(read_records(tmp_path / "b"))
    path = write_records(tmp_path / "c.tfrecord", [b"\xff" * 8])
    with pytest.raises(StimulusError, match=r"record 1: content that is no tf.train.Example"):
        list(read_examples(path))
