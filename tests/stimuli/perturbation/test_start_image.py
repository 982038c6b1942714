"""Where adversarial noise starts, against plain averages and Caffe's own file."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stimuli.image_set.build import build
from stimuli.image_set.check import check
from stimuli.image_set.measures import contrast_rms
from stimuli.networks.registry import Network, TorchNetwork, to_tensor
from stimuli.perturbation import start_image as mean_image
from stimuli.perturbation.start_image import (
    RunningMean,
    WithMeanImage,
    find_start,
    fit_mean,
    mean_path,
    read_caffe_mean,
    with_kept_mean,
)
from stimuli.regular_images.photographs import read_photograph, to_square
from subjects.errors import NetworkError, StimulusError
from tests.stimuli.folders import class_folders, photo_study
from tests.stimuli.tiny import Study, make_study

RNG = np.random.default_rng(2)


def _caffe(path: Path, values: np.ndarray | None = None) -> np.ndarray:
    """A mean image as Caffe writes it: (3, 27, 27), BGR."""
    values = RNG.uniform(80, 170, (3, 27, 27)) if values is None else values
    np.save(path, values)
    return values


@pytest.fixture
def photos(tiny: TorchNetwork, tmp_path: Path) -> Study:
    return photo_study(tmp_path / "study", class_folders(tmp_path / "photographs", per_category=4),
                       an_min_contrast=20.0,
                       mean_image="folder")


def _start(study: Study, network: Network) -> mean_image.Start:
    start = find_start(study.layout, study.settings.stimuli, network=network)
    assert start is not None
    return start


def test_caffes_mean_is_turned_to_rgb_and_its_centre_cut_out(tmp_path: Path, tiny: TorchNetwork) -> None:
    values = _caffe(tmp_path / "mean.npy")
    study = make_study(tmp_path / "study", mean_image="../mean.npy")
    mean = _start(study, tiny).mean
    assert mean.dtype == np.float32
    for row, column, channel in ((0, 0, 0), (23, 23, 1), (5, 17, 2)):
        assert mean[row, column, channel] == pytest.approx(values[2 - channel, row + 1, column + 1], rel=1e-6)


def test_caffes_own_file_gives_caffes_own_crop(shared_data: Path) -> None:
    mean = read_caffe_mean(shared_data / "ilsvrc_2012_mean.npy")
    assert mean.mean(axis=(0, 1)) == pytest.approx([122.679, 116.669, 104.007], abs=1e-3)  # the published means
    whole = np.load(shared_data / "ilsvrc_2012_mean.npy")
    assert np.array_equal(fit_mean(mean, side=227), whole[::-1, 14:241, 14:241].transpose(1, 2, 0).astype(np.float32))


@pytest.mark.parametrize("side", [224, 227, 24, 299])
def test_any_size_of_network_gets_its_mean(side: int) -> None:
    rows, columns = np.mgrid[:256, :256] / 2.0
    fitted = fit_mean(np.stack([rows, columns, np.full((256, 256), 90.0)], axis=-1), side=side)
    assert fitted.shape == (side, side, 3)
    assert fitted[..., 2] == pytest.approx(90.0, abs=1e-4)
    assert fitted[:, 0, 0] + fitted[::-1, 0, 0] == pytest.approx(127.5, abs=5.0)  # the odd pixel, at 24 px
    assert (np.diff(fitted[:, 0, 0]) > 0).all()
    exact = RNG.uniform(0, 255, (side, side, 3))
    assert np.array_equal(fit_mean(exact, side=side), exact.astype(np.float32))


def test_channel_means_are_those_of_the_network(tmp_path: Path, tiny: TorchNetwork) -> None:
    own = RNG.uniform(0, 255, (24, 24, 3)).astype(np.float32)
    study = make_study(tmp_path / "study", mean_image="channels")
    mean = _start(study, WithMeanImage(tiny, own)).mean
    assert mean == pytest.approx(np.broadcast_to(own.mean(axis=(0, 1)), (24, 24, 3)), rel=1e-5)


def test_a_folders_mean_is_the_plain_average(photos: Study, tiny: TorchNetwork) -> None:
    folder = Path(photos.settings.stimuli.images or "")
    (folder / "beagle/bad.jpg").write_bytes(b"")
    (folder / "beagle/notes.txt").write_bytes(b"no photograph")
    start = _start(photos, tiny)
    good = list(folder.rglob("*.png"))
    plain = np.mean([to_square(read_photograph(path).pixels, side=24, resize="warp") for path in good], axis=0)
    assert start.mean == pytest.approx(plain, abs=1e-4)
    assert len(start.left_out) == 1
    assert "bad.jpg: an empty file" in start.left_out[0]


def test_a_folder_is_averaged_in_the_memory_of_one_photograph(tmp_path: Path) -> None:
    Image.fromarray(RNG.integers(0, 256, (300, 400, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    peaks = []
    for n in (3, 30):
        running = RunningMean(side=64, resize="warp")
        tracemalloc.start()
        for _ in range(n):
            running.add(tmp_path / "a.png")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_noise_starts_from_the_mean_that_is_asked_for(photos: Study, tiny: TorchNetwork,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    made = build(photos.layout, photos.settings)
    mean = np.load(mean_path(photos.layout))
    assert np.array_equal(mean, _start(photos, tiny).mean)
    for one in made.manifest.stimuli:
        if one.type == "AN":
            pixels = read_photograph(photos.layout.stimulus(one.file)).pixels
            assert one.l2 == pytest.approx(np.linalg.norm((pixels - mean.astype(float)) / 255.0), abs=1e-4)
    assert check(photos.layout, photos.settings).ok
    monkeypatch.setattr(mean_image, "RunningMean", None)  # it is not made again
    assert build(photos.layout, photos.settings).reused


def test_another_mean_makes_another_set(photos: Study, tmp_path: Path) -> None:
    build(photos.layout, photos.settings)
    kept = hashlib.sha256(mean_path(photos.layout).read_bytes()).hexdigest()
    _caffe(tmp_path / "mean.npy")
    other = photos.settings.model_copy(
        update={"stimuli": photos.settings.stimuli.model_copy(update={"mean_image": str(tmp_path / "mean.npy")})})
    with pytest.raises(StimulusError, match="a set made with other settings"):
        build(photos.layout, other)
    assert hashlib.sha256(mean_path(photos.layout).read_bytes()).hexdigest() == kept
    assert check(photos.layout, photos.settings).ok


def test_the_check_needs_the_mean_that_lies_in_the_study(photos: Study, tiny: TorchNetwork) -> None:
    build(photos.layout, photos.settings)
    mean_path(photos.layout).unlink()
    with pytest.raises(StimulusError, match=r"mean_image.npy: no such file; expected a mean image .*Build the set"):
        check(photos.layout, photos.settings)
    np.save(mean_path(photos.layout), np.zeros((3, 3, 3)))
    with pytest.raises(StimulusError, match=r"shape \(3, 3, 3\); expected \(24, 24, 3\)"):
        with_kept_mean(photos.layout, photos.settings.stimuli, network=tiny)


def test_a_mean_with_the_contrast_of_noise_is_refused_at_once(photos: Study, tiny: TorchNetwork) -> None:
    found = contrast_rms(_start(photos, tiny).mean)
    other = photos.settings.model_copy(
        update={"stimuli": photos.settings.stimuli.model_copy(update={"an_min_contrast": found - 0.1})})
    said = rf"an_min_contrast: {found - 0.1:g} grey levels, and a mean image of {found:.1f}"
    with pytest.raises(StimulusError, match=said):
        build(photos.layout, other)
    assert not (photos.layout.stimuli / "images").exists()


BAD = {
    "missing": (lambda path: None, StimulusError, "no such file; expected a mean image"),
    "no array": (lambda path: path.write_bytes(b"no"), StimulusError, "a file that is no array"),
    "objects": (lambda path: np.save(path, np.array([{}]), allow_pickle=True), StimulusError, "is no array"),
    "shape": (lambda path: np.save(path, np.zeros((256, 256, 3))), StimulusError, r"shape \(256, 256, 3\); expected"),
    "nan": (lambda path: np.save(path, np.full((3, 9, 9), np.nan)), StimulusError, "values from nan to nan"),
    "unit range": (lambda path: np.save(path, np.full((3, 9, 9), .5)), StimulusError, "expected grey levels in 0..255"),
    "negative": (lambda path: np.save(path, np.full((3, 9, 9), -3.)), StimulusError, "expected grey levels in 0..255"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_mean_image_is_one_clear_error(tmp_path: Path, case: str) -> None:
    spoil, kind, said = BAD[case]
    spoil(tmp_path / "mean.npy")
    with pytest.raises(kind, match=said):
        read_caffe_mean(tmp_path / "mean.npy")


def test_a_binaryproto_gives_the_same_mean_as_the_array(tmp_path: Path) -> None:
    """The message spelt by hand: num, channels, height, width (varints), data (packed floats)."""
    values = _caffe(tmp_path / "mean.npy", RNG.uniform(80, 170, (3, 5, 5)).astype(np.float32))
    data = values.astype("<f4").tobytes()
    head = bytes([0x08, 1, 0x10, 3, 0x18, 5, 0x20, 5, 0x2A, len(data) & 0x7F | 0x80, len(data) >> 7])
    (tmp_path / "mean.binaryproto").write_bytes(head + data)
    assert np.array_equal(read_caffe_mean(tmp_path / "mean.binaryproto"), read_caffe_mean(tmp_path / "mean.npy"))
    with pytest.raises(NetworkError, match=r"gone.binaryproto: no such file"):
        read_caffe_mean(tmp_path / "gone.binaryproto")


def test_folder_needs_a_folder(tmp_path: Path, tiny: TorchNetwork) -> None:
    study = make_study(tmp_path / "study", mean_image="folder")
    with pytest.raises(StimulusError, match="\"folder\" without stimuli.images"):
        find_start(study.layout, study.settings.stimuli, network=tiny)
    (tmp_path / "none").mkdir()
    study = photo_study(tmp_path / "other", tmp_path / "none", mean_image="folder")
    with pytest.raises(StimulusError, match="none: no JPEG or PNG"):
        find_start(study.layout, study.settings.stimuli, network=tiny)
    (tmp_path / "none/a.png").write_bytes(b"")
    with pytest.raises(StimulusError, match="no readable photograph"):
        find_start(study.layout, study.settings.stimuli, network=tiny)


def test_another_mean_changes_nothing_else_of_a_network(tiny: TorchNetwork) -> None:
    images = RNG.integers(0, 256, (3, 24, 24, 3), dtype=np.uint8)
    restarted = WithMeanImage(tiny, np.zeros((24, 24, 3), np.float32))
    assert isinstance(restarted, Network)
    for name in ("name", "digest", "input_size", "class_names", "layers", "tap"):
        assert getattr(restarted, name) == getattr(tiny, name)
    assert np.array_equal(restarted.probabilities(images), tiny.probabilities(images))
    assert np.array_equal(restarted.features(images)["layer2"], tiny.features(images)["layer2"])
    assert restarted.logits(to_tensor(images)).equal(tiny.logits(to_tensor(images)))
