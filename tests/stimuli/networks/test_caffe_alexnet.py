"""Caffe's AlexNet read from files, beside OpenCV and onnxruntime reading the same files, at every tap."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import save_file

from stimuli.networks.alexnet import AFTER, BEFORE, LAYERS, CaffeAlexNet, count_units
from stimuli.networks.caffe_alexnet import read_alexnet, usual_path
from stimuli.networks.registry import load_network
from stimuli.networks.weights import digest_weights
from subjects.errors import NetworkError
from tests.stimuli.weight_files import (
    FULL,
    SMALL,
    Blobs,
    alexnet_blobs,
    caffemodel,
    named,
    prototxt,
    write_caffemodel,
    write_onnx,
)

CAFFE_AFTER = ("pool1", "pool2", "relu3", "relu4", "pool5", "relu6", "relu7", "prob")
CAFFE_BEFORE = ("relu1", "relu2", "relu3", "relu4", "relu5", "relu6", "relu7", "prob")
PLACES = {AFTER: CAFFE_AFTER, BEFORE: CAFFE_BEFORE}
UNITS = {AFTER: [69_984, 43_264, 64_896, 64_896, 9_216, 4_096, 4_096, 1_000],
         BEFORE: [290_400, 186_624, 64_896, 64_896, 43_264, 4_096, 4_096, 1_000]}


@pytest.fixture(scope="module")
def blobs() -> Blobs:
    return alexnet_blobs(4)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Two inputs as Caffe's preprocessing leaves them: about -123 to 151."""
    return np.random.default_rng(5).uniform(-120, 140, (2, 3, 227, 227)).astype(np.float32)


def _ours(module: CaffeAlexNet, images: np.ndarray) -> dict[str, np.ndarray]:
    with torch.no_grad():
        return {name: values.numpy() for name, values in module.forward_layers(torch.from_numpy(images)).items()}


def _same(came: np.ndarray, wanted: np.ndarray, *, where: str) -> None:
    assert came.shape == wanted.shape, where
    np.testing.assert_allclose(came, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max(), err_msg=where)


def _by_opencv(path: Path, images: np.ndarray, places: tuple[str, ...], **widths: Any) -> list[np.ndarray]:
    text = path.with_suffix(".prototxt")
    text.write_text(prototxt(**widths))
    net = cv2.dnn.readNetFromCaffe(str(text), str(path))
    net.enableFusion(False)
    found: list[list[np.ndarray]] = []
    for image in images:
        net.setInput(image[None])
        found.append([values.copy() for values in net.forward(list(places))])
    return [np.concatenate(values) for values in zip(*found, strict=True)]


@pytest.mark.parametrize("tap", [AFTER, BEFORE])
@pytest.mark.parametrize("legacy", [False, True])
def test_every_tap_equals_opencvs(tmp_path: Path, blobs: Blobs, images: np.ndarray, tap: str, legacy: bool) -> None:
    path = write_caffemodel(tmp_path / "a.caffemodel", blobs, legacy=legacy)
    theirs = _by_opencv(path, images, PLACES[tap], **SMALL)
    ours = _ours(read_alexnet(path, **SMALL, tap=tap), images)
    for layer, place, wanted in zip(LAYERS, PLACES[tap], theirs, strict=True):
        _same(ours[layer], wanted, where=f"{layer} = {place}")


@pytest.mark.parametrize("tap", [AFTER, BEFORE])
@pytest.mark.parametrize("written", [{}, {"turned": True}, {"spelling": "blob_{layer}{letter}"}])
def test_every_tap_equals_onnxruntimes(tmp_path: Path, blobs: Blobs, images: np.ndarray, tap: str,
                                       written: dict[str, Any]) -> None:
    path = write_onnx(tmp_path / "a.onnx", blobs, **written)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    places = [f"{place}_1" for place in PLACES[tap]]
    theirs = session.run(places, {"data_0": images})
    ours = _ours(read_alexnet(path, **SMALL, tap=tap), images)
    for layer, place, wanted in zip(LAYERS, places, theirs, strict=True):
        _same(ours[layer], wanted, where=f"{layer} = {place}")


SPELLINGS = ("{layer}.{kind}", "{layer}_{letter}_0", "{layer}/{kind}", "{layer}/{kind}_0")


def _writers() -> dict[str, Callable[[Path, Blobs], object]]:
    writers: dict[str, Callable[[Path, Blobs], object]] = {
        "a.caffemodel": write_caffemodel,
        "old.caffemodel": lambda path, blobs: write_caffemodel(path, blobs, legacy=True, double=True),
        "a.onnx": write_onnx,
        "a.pt": lambda path, blobs: torch.save(
            {name: torch.from_numpy(values) for name, values in named(blobs).items()}, path)}
    for k, spelling in enumerate(SPELLINGS):
        writers[f"{k}.npz"] = lambda path, blobs, spelling=spelling: np.savez(path, **named(blobs, spelling))
        writers[f"{k}.safetensors"] = lambda path, blobs, spelling=spelling: save_file(named(blobs, spelling), path)
    return writers


@pytest.mark.parametrize("name", _writers())
def test_every_format_gives_the_same_network(tmp_path: Path, blobs: Blobs, name: str) -> None:
    _writers()[name](tmp_path / name, blobs)
    module = read_alexnet(tmp_path / name, **SMALL)
    for layer, (weight, bias) in blobs.items():
        own = module.get_submodule(f"convolutions.{int(layer[-1]) - 1}" if "conv" in layer else layer)
        np.testing.assert_array_equal(own.weight.numpy(), weight)
        np.testing.assert_array_equal(own.bias.numpy(), bias)
    assert digest_weights(module) == digest_weights(read_alexnet(
        write_caffemodel(tmp_path / "reference.caffemodel", blobs), **SMALL))


def test_the_modules_own_names_are_taken_too(tmp_path: Path, blobs: Blobs) -> None:
    module = read_alexnet(write_caffemodel(tmp_path / "a.caffemodel", blobs), **SMALL)
    torch.save(module.state_dict(), tmp_path / "own.pt")
    assert digest_weights(read_alexnet(tmp_path / "own.pt", **SMALL)) == digest_weights(module)


def test_caffenet_is_told_apart_though_its_shapes_are_the_same(tmp_path: Path, blobs: Blobs) -> None:
    path = write_caffemodel(tmp_path / "caffenet.caffemodel", blobs, pool_first=True)
    with pytest.raises(NetworkError, match="pool1 before norm1, as in CaffeNet; expected AlexNet's order: norm, then"):
        read_alexnet(path, **SMALL)


def test_another_networks_caffemodel_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vgg.caffemodel"
    path.write_bytes(caffemodel([("conv1_1", "Convolution", [np.ones((64, 3, 3, 3), np.float32),
                                                            np.ones(64, np.float32)])]))
    with pytest.raises(NetworkError, match=r"vgg.caffemodel: conv1.weight: no such tensor; expected \(96, 3, 11, 11\). "
                                           "These 1,792 values are of another network; name its own weights"):
        load_network("alexnet-caffe", weights=path)


def test_the_first_layer_that_does_not_fit_is_named_with_both_shapes(tmp_path: Path, blobs: Blobs) -> None:
    path = write_caffemodel(tmp_path / "a.caffemodel", blobs, legacy=True)
    with pytest.raises(NetworkError, match=r"conv3.weight: shape \(8, 6, 3, 3\); expected shape \(10, 6, 3, 3\)"):
        read_alexnet(path, widths=(4, 6, 10, 6, 4), fc=SMALL["fc"], n_classes=5)
    with pytest.raises(NetworkError, match=r"fc8.weight: shape \(1, 1, 5, 12\); expected shape \(7, 12\)"):
        read_alexnet(path, widths=SMALL["widths"], fc=SMALL["fc"], n_classes=7)


def test_one_layer_too_many_is_refused(tmp_path: Path, blobs: Blobs) -> None:
    np.savez(tmp_path / "a.npz", **named(blobs), **{"fc9.weight": np.ones((2, 5), np.float32)})
    with pytest.raises(NetworkError, match=r"fc9.weight: a tensor of shape \(2, 5\); expected no such tensor"):
        read_alexnet(tmp_path / "a.npz", **SMALL)


def test_nan_in_a_caffemodel_is_refused_by_name(tmp_path: Path, blobs: Blobs) -> None:
    spoilt = {**blobs, "conv4": (blobs["conv4"][0], np.full_like(blobs["conv4"][1], np.nan))}
    with pytest.raises(NetworkError, match="conv4.bias: 6 values that are NaN or infinite"):
        read_alexnet(write_caffemodel(tmp_path / "a.caffemodel", spoilt), **SMALL)


def test_without_a_file_the_message_names_file_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert usual_path() == tmp_path / "hub" / "checkpoints" / "bvlc_alexnet.caffemodel"
    with pytest.raises(NetworkError, match=r"alexnet-caffe: no weights, and no .*bvlc_alexnet.caffemodel; .*Put the "
                                           r"file into .*checkpoints, or name it with --weights"):
        load_network("alexnet-caffe")


def test_a_preprocessing_of_another_side_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="preprocessing 'torchvision', 224 px; expected 227 px"):
        load_network("alexnet-caffe", weights=tmp_path / "a.npz", preprocessing="torchvision")


@pytest.mark.parametrize("tap", [AFTER, BEFORE])
def test_taps_have_the_published_sizes(tap: str) -> None:
    with torch.device("meta"):
        module = CaffeAlexNet(tap=tap).eval()
        layers = module.forward_layers(torch.empty(1, 3, 227, 227))
    assert [values[0].numel() for values in layers.values()] == UNITS[tap]
    assert list(count_units(module).values()) == UNITS[tap]


def test_an_unknown_tap_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"tap: 'after norm'; expected one of 'after norm and pool', 'before "
                                           r"norm and pool'. Did you mean 'after norm and pool'\?"):
        load_network("demo", tap="after norm")


@pytest.mark.slow
def test_bvlcs_own_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole network from its usual place: parameters, names, units, and OpenCV at every tap."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    usual_path().parent.mkdir(parents=True)
    path = write_caffemodel(usual_path(), alexnet_blobs(6, **FULL), legacy=True)
    pixels = np.random.default_rng(7).integers(0, 256, (1, 227, 227, 3), dtype=np.uint8)
    inputs = (pixels[..., ::-1] - np.array([104.007, 116.669, 122.679])).transpose(0, 3, 1, 2).astype(np.float32)
    for tap in (AFTER, BEFORE):
        network = load_network("alexnet-caffe", tap=tap)
        assert sum(values.numel() for values in network.module.parameters()) == 60_965_224
        assert (network.input_size, len(network.class_names), network.tap) == (227, 1000, tap)
        ours = network.features(pixels)
        assert [values.shape[1] for values in ours.values()] == UNITS[tap]
        for layer, wanted in zip(LAYERS, _by_opencv(path, inputs, PLACES[tap], **FULL), strict=True):
            _same(ours[layer], wanted.reshape(1, -1), where=layer)
    path.unlink()
