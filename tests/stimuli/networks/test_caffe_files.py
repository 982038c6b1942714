"""Caffe's files against bytes that the tests write by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stimuli.networks.caffe_files import read_binaryproto, read_caffemodel
from subjects.errors import NetworkError
from tests.stimuli.weight_files import alexnet_blobs, alexnet_layers, blob, caffemodel, write_caffemodel


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("double", [False, True])
def test_every_layer_comes_in_order_with_its_blobs(tmp_path: Path, legacy: bool, double: bool) -> None:
    blobs = alexnet_blobs()
    path = write_caffemodel(tmp_path / "a.caffemodel", blobs, legacy=legacy, double=double)
    found = read_caffemodel(path)
    assert [one.name for one in found] == [name for name, _, _ in alexnet_layers(blobs)]
    for layer in found:
        for came, wanted in zip(layer.blobs, blobs.get(layer.name, ()), strict=True):
            assert came.dtype == np.float32
            assert came.shape == ((1,) * (4 - wanted.ndim) + wanted.shape if legacy else wanted.shape)
            np.testing.assert_array_equal(came.reshape(wanted.shape), wanted)


def test_fields_that_are_not_needed_are_passed_over(tmp_path: Path) -> None:
    """Other fields (here number 13, text, in the net and in a layer) do not disturb."""
    other = b"\x6a\x03abc"
    path = tmp_path / "a.caffemodel"
    path.write_bytes(other + caffemodel([("conv1", "Convolution", [np.ones((2, 3), np.float32)])]) + other)
    (layer,) = read_caffemodel(path)
    assert layer.blobs[0].tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("legacy", [False, True])
def test_a_mean_image_loses_its_leading_one(tmp_path: Path, legacy: bool) -> None:
    mean = np.random.default_rng(1).uniform(0, 255, (3, 4, 5)).astype(np.float32)
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(blob(mean, legacy=legacy))
    found = read_binaryproto(path)
    assert (found.shape, found.dtype) == ((3, 4, 5), np.float64)
    np.testing.assert_array_equal(found, mean)


@pytest.mark.parametrize("read", [read_caffemodel, read_binaryproto])
def test_a_missing_file_is_named(tmp_path: Path, read) -> None:
    with pytest.raises(NetworkError, match=r"absent.x: no such file; expected a \."):
        read(tmp_path / "absent.x")


@pytest.mark.parametrize("read", [read_caffemodel, read_binaryproto])
def test_other_bytes_cannot_be_parsed(tmp_path: Path, read) -> None:
    path = tmp_path / "noise.bin"
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(NetworkError, match=r"noise.bin: a file that cannot be parsed .*Fetch the file again"):
        read(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "a.caffemodel", alexnet_blobs())
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(NetworkError, match="cannot be parsed"):
        read_caffemodel(path)


def test_a_network_without_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.caffemodel"
    path.write_bytes(caffemodel([("relu1", "ReLU", ())]))
    with pytest.raises(NetworkError, match="1 layers without weights; expected the weights of a trained"):
        read_caffemodel(path)
    path.write_bytes(b"")
    with pytest.raises(NetworkError, match="0 layers without weights"):
        read_caffemodel(path)


def test_a_blob_must_hold_what_its_shape_says(tmp_path: Path) -> None:
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(blob(np.ones((3, 2, 2), np.float32)).replace(b"\x3a\x05\x0a\x03\x03\x02\x02",
                                                                  b"\x3a\x05\x0a\x03\x03\x02\x03"))
    with pytest.raises(NetworkError, match=r"shape \(3, 2, 3\) with 48 bytes of values; expected 72 bytes"):
        read_binaryproto(path)
    path.write_bytes(b"")
    with pytest.raises(NetworkError, match=r"shape \(0, 0, 0, 0\).*a shape without zeros. Name Caffe's mean file"):
        read_binaryproto(path)
