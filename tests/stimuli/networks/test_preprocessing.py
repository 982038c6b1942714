"""Preprocessings against arithmetic by hand, on pixels that differ in every channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from stimuli.networks.demo import network as demo_network
from stimuli.networks.preprocessing import PREPROCESSINGS, find_preprocessing, read_mean, resize_rule
from stimuli.networks.protocol import to_tensor
from subjects.errors import NetworkError
from tests.stimuli.weight_files import blob

RED = np.array([200, 100, 50], dtype=np.uint8)  # R, G, B


def _first(name: str) -> list[float]:
    process = find_preprocessing(name)
    images = to_tensor(np.tile(RED, (1, process.side, process.side, 1)))
    return process(images)[0, :, 0, 0].tolist()


@pytest.mark.parametrize(("name", "wanted"), [
    ("caffe-227", [50 - 104, 100 - 117, 200 - 123]),
    ("caffe-224", [50 - 104, 100 - 117, 200 - 123]),
    ("caffe-alexnet", [50 - 104.007, 100 - 116.669, 200 - 122.679]),
    ("torchvision", [(200 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, (50 / 255 - 0.406) / 0.225]),
    ("unit", [(200 / 255 - 0.5) / 0.25, (100 / 255 - 0.5) / 0.25, (50 / 255 - 0.5) / 0.25]),
])
def test_a_colour_becomes_what_the_network_takes(name: str, wanted: list[float]) -> None:
    assert _first(name) == pytest.approx(wanted, abs=2e-5)


def test_unit_is_the_demo_networks() -> None:
    images = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(find_preprocessing("unit")(images), demo_network.preprocess(images))


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_the_mean_image_becomes_zero(name: str) -> None:
    process = find_preprocessing(name)
    assert process.mean_image.shape == (process.side, process.side, 3)
    assert process.mean_image.dtype == np.float32
    assert process(to_tensor(process.mean_image[None])).abs().max() < 1e-4


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_it_is_differentiable_and_linear(name: str) -> None:
    process = find_preprocessing(name)
    images = torch.full((1, 3, process.side, process.side), 0.3, dtype=torch.float64, requires_grad=True)
    out = process(images)
    assert out.dtype == torch.float64
    (gradient,) = torch.autograd.grad(out[0, 0].sum(), images)
    channel = 2 if process.order == "BGR" else 0
    assert gradient[0, channel].unique().tolist() == pytest.approx([process.scale / process.sd[0]])
    assert gradient[0, 1].abs().max() == 0


def _bgr(height: int, width: int) -> np.ndarray:
    """BGR planes 100, 110, 120 plus row and column, so that a wrong cut or order shows."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([100 + 10 * k + rows / 10 + columns / 100 for k in range(3)])


@pytest.mark.parametrize("ending", ["npy", "binaryproto"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_mean_image_is_cut_at_the_centre(tmp_path: Path, ending: str, relative: bool) -> None:
    mean, path = _bgr(256, 256), tmp_path / f"mean.{ending}"
    np.save(path, mean) if ending == "npy" else path.write_bytes(blob(mean, legacy=True))
    process = find_preprocessing(f"caffe-227:{path.name if relative else path}", root=tmp_path if relative else None)
    top = (256 - 227) // 2
    wanted = mean[:, top:top + 227, top:top + 227]
    np.testing.assert_allclose(process.mean_image, wanted[::-1].transpose(1, 2, 0), rtol=1e-6)
    images = to_tensor(np.tile(RED, (1, 227, 227, 1)))
    by_hand = np.array([50, 100, 200])[:, None, None] - wanted
    np.testing.assert_allclose(process(images)[0].numpy(), by_hand, atol=1e-4)


def test_caffes_own_mean_has_the_known_channel_means(shared_data: Path) -> None:
    process = find_preprocessing(f"caffe-alexnet:{shared_data / 'ilsvrc_2012_mean.npy'}")
    assert process.mean == pytest.approx((104.007, 116.669, 122.679), abs=1.5)  # the cut leaves the dark rim out
    values = np.load(shared_data / "ilsvrc_2012_mean.npy").mean(axis=(1, 2))
    assert values == pytest.approx(PREPROCESSINGS["caffe-alexnet"].mean, abs=1e-3)


def test_the_record_tells_everything_apart() -> None:
    records = [str(one.record()) for one in PREPROCESSINGS.values()]
    assert len(set(records)) == len(records)
    assert find_preprocessing("torchvision", side=299).record() != find_preprocessing("torchvision").record()


def test_the_record_sees_the_mean_image(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", _bgr(227, 227))
    np.save(tmp_path / "b.npy", _bgr(227, 227) + 1e-3)
    first, second = (find_preprocessing(f"caffe-227:{tmp_path / name}").record() for name in ("a.npy", "b.npy"))
    assert first != second


def test_the_resize_rule_is_told() -> None:
    assert resize_rule("caffe-224:mean.npy") == ("warp-crop", 224)
    assert resize_rule("unit") == ("warp", 227)


@pytest.mark.parametrize(("name", "text"), [
    ("cafe-227", r"'cafe-227'; expected one of caffe-227, .*Did you mean 'caffe-227'\?"),
    ("torchvision:mean.npy", "a mean image for 'torchvision'; expected one of Caffe's"),
    ("caffe-227:absent.npy", r"absent.npy: no such file; expected Caffe's mean image"),
])
def test_what_is_not_there_is_refused(name: str, text: str) -> None:
    with pytest.raises(NetworkError, match=text):
        find_preprocessing(name)


@pytest.mark.parametrize(("values", "text"), [
    (_bgr(200, 256), r"shape \(3, 200, 256\); expected \(3, height, width\) in the order BGR, at least 227 px"),
    (_bgr(256, 256).transpose(1, 2, 0), r"shape \(256, 256, 3\)"),
    (_bgr(256, 256) / 255, r"values from .*; expected grey levels in 0..255"),
    (_bgr(256, 256) - 105, "values from -5"),
    (np.where(np.arange(3)[:, None, None] == 1, np.nan, _bgr(256, 256)), "values from nan to nan"),
    (np.array([{"mean": 1}], dtype=object), "a file that is no array"),
])
def test_a_file_that_is_no_mean_image_is_refused(tmp_path: Path, values: np.ndarray, text: str) -> None:
    np.save(tmp_path / "mean.npy", values, allow_pickle=True)
    with pytest.raises(NetworkError, match=text):
        read_mean(tmp_path / "mean.npy", side=227)
