"""Importance maps from all three sources, against arrays that the tests wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from stimuli.alignment.importance.maps import ImportanceMaps, iterate_importance_maps, read_importance_maps
from stimuli.alignment.importance.processing import resampled, smoothed_as_clickme
from stimuli.files import image_id_of
from subjects.errors import StimulusError
from tests.stimuli.record_files import example, png, write_records

RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
MAPS = RNG.random((3, 8, 8)).astype(np.float32)


def _save(path: Path, **arrays: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def test_an_npz_an_image(tmp_path: Path) -> None:
    _save(tmp_path / "b.npz", map=MAPS[1], image=IMAGES[1], label=7)
    _save(tmp_path / "a.npz", heatmap=MAPS[0][..., None])
    _save(tmp_path / "c.npz", map=MAPS[2], image_id="px-0123456789abcdef")
    (tmp_path / "notes.txt").write_text("none of them")
    found = read_importance_maps(tmp_path)
    assert found.image_ids == ("a", image_id_of(IMAGES[1]), "px-0123456789abcdef")
    assert found.labels == (None, 7, None)
    assert found.maps.dtype == np.float32
    np.testing.assert_array_equal(found.maps, MAPS)
    np.testing.assert_array_equal(found.images[1], IMAGES[1])
    assert found.images[0] is None
    assert len(read_importance_maps(tmp_path / "a.npz")) == 1


def test_maps_of_several_people_in_one_file_are_averaged_and_kept(tmp_path: Path) -> None:
    found = read_importance_maps(_save(tmp_path / "a.npz", maps=MAPS))
    np.testing.assert_allclose(found.maps[0], MAPS.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(found.participants[0], MAPS)


def test_a_folder_of_participants_is_joined_by_image(tmp_path: Path) -> None:
    for k, sub in enumerate(("01", "02")):
        _save(tmp_path / f"sub-{sub}" / "ses-1" / "any.npz", map=MAPS[k], image=IMAGES[0], label=2)
    _save(tmp_path / "sub-02" / "other.npz", map=MAPS[2], image_id="px-f", image=IMAGES[1])
    found = read_importance_maps(tmp_path)
    assert set(found.image_ids) == {image_id_of(IMAGES[0]), "px-f"}
    both = found.among([image_id_of(IMAGES[0]), "px-absent"])
    np.testing.assert_allclose(both.maps[0], (MAPS[0] + MAPS[1]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(both.participants[0], MAPS[:2])
    assert both.labels == (2,)
    np.testing.assert_array_equal(both.images[0], IMAGES[0])


def test_clickmes_records_are_read(tmp_path: Path) -> None:
    grey = (MAPS * 255).astype(np.uint8)
    write_records(tmp_path / "val-0.tfrecords", [example(image=png(IMAGES[k]), heatmap=png(grey[k]), label=k)
                                                 for k in range(2)])
    raw = {"image": (IMAGES[2] / 255).astype("<f4").tobytes(), "heatmap": MAPS[2].astype("<f4").tobytes()}
    write_records(tmp_path / "clickme_val_1", [example(**raw)])
    found = read_importance_maps(tmp_path)
    assert found.image_ids == tuple(image_id_of(IMAGES[k]) for k in (2, 0, 1))
    assert found.labels == (None, 0, 1)
    np.testing.assert_array_equal(found.maps[1:], grey[:2])
    np.testing.assert_array_equal(found.maps[0], MAPS[2])
    np.testing.assert_array_equal(found.images[0], IMAGES[2])


def test_maps_are_read_one_at_a_time(tmp_path: Path) -> None:
    """A damaged record ends the reading there and not before."""
    path = write_records(tmp_path / "a.tfrecord", [example(image=png(IMAGES[k]), heatmap=png((MAPS[k] * 255).astype(
        np.uint8)), label=k) for k in range(2)])
    path.write_bytes(path.read_bytes()[:-1])
    reading = iterate_importance_maps(path)
    assert next(reading).label == 0
    with pytest.raises(StimulusError, match="record 2"):
        next(reading)


def test_several_sizes_become_one(tmp_path: Path) -> None:
    """The largest, which loses nothing before maps are brought to a network's input; or the one that is named."""
    _save(tmp_path / "a.npz", map=MAPS[0])
    _save(tmp_path / "b.npz", maps=resampled(MAPS, side=4))
    found = read_importance_maps(tmp_path)
    np.testing.assert_array_equal(found.maps[0], MAPS[0])
    wanted = torch.nn.functional.interpolate(torch.from_numpy(resampled(MAPS, side=4))[None], size=(8, 8),
                                             mode="bilinear")[0].numpy()
    np.testing.assert_allclose(found.participants[1], wanted, atol=1e-6)
    np.testing.assert_allclose(found.maps[1], wanted.mean(axis=0), atol=1e-6)
    found = read_importance_maps(tmp_path, side=6)
    assert found.maps.shape == (2, 6, 6)
    assert found.participants[1].shape == (3, 6, 6)
    _save(tmp_path / "c.npz", map=MAPS[0][:4])
    with pytest.raises(StimulusError, match="a square map"):
        read_importance_maps(tmp_path, side=6)


@pytest.mark.parametrize(("arrays", "said"), [
    ({"values": MAPS[0]}, r"the arrays values; expected a map, under `map` or `maps`"),
    ({"map": MAPS}, r"map: float32 of shape \(3, 8, 8\); expected numbers \(height, width\)"),
    ({"maps": MAPS[0]}, r"expected numbers \(n, height, width\)"),
    ({"map": MAPS[0].astype(str)}, "expected numbers"),
    ({"map": MAPS[0] - 2}, "negative or not finite"),
    ({"map": np.where(MAPS[0] > 0.5, np.nan, MAPS[0])}, "negative or not finite"),
    ({"maps": np.stack([MAPS[0], -MAPS[0] / 2])}, "negative or not finite"),
    ({"map": np.ones((4, 4))}, "1 everywhere; expected a map that tells one place from another"),
    ({"map": MAPS[0], "image": MAPS[0]}, r"image: float32 of shape \(8, 8\); expected uint8"),
    ({"map": np.array([{}], dtype=object)}, "a file that cannot be read"),
    ({"map": MAPS[0].astype(float) * 1e300}, "negative or not finite"),
    ({"map": MAPS[0], "label": "beagle"}, "label: beagle; expected one whole number"),
    ({"map": MAPS[0], "label": np.array([1, 2])}, r"label: \[1 2\]; expected one whole number"),
    ({"map": MAPS[0], "label": np.nan}, "label: nan; expected one whole number"),
    ({"map": MAPS[0], "label": 2.7}, r"label: 2\.7; expected one whole number"),
    ({"map": MAPS[0], "image_id": np.array(["px-a", "px-b"])}, r"image_id: <U4 of shape \(2,\); expected one text"),
    ({"map": MAPS[0], "image_id": b"px-a"}, r"image_id: \|S4 of shape \(\); expected one text"),
])
def test_what_is_no_map_is_refused(tmp_path: Path, arrays: dict, said: str) -> None:
    with pytest.raises(StimulusError, match=rf"a\.npz.*{said}"):
        read_importance_maps(_save(tmp_path / "a.npz", **arrays))


def test_a_label_may_be_an_array_of_one_or_a_whole_float(tmp_path: Path) -> None:
    for name, label in (("a", np.array([4])), ("b", 4.0), ("c", np.uint8(4))):
        assert read_importance_maps(_save(tmp_path / f"{name}.npz", map=MAPS[0], label=label)).labels == (4,)


def test_every_damaged_byte_of_an_npz_is_refused_or_harmless(tmp_path: Path) -> None:
    """Zip, deflate and numpy notice damage each in its own way; none of it may end in a traceback or another map."""
    whole = _save(tmp_path / "whole.npz", map=MAPS[0], image_id="px-1").read_bytes()
    path, said = tmp_path / "a.npz", list[str]()
    for k in range(len(whole)):
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 0x55]) + whole[k + 1:])
        try:
            found = read_importance_maps(path)
        except StimulusError as error:
            said.append(str(error))
        else:
            np.testing.assert_array_equal(found.maps[0], MAPS[0])
    assert len(said) > len(whole) / 2
    assert all(one.startswith(str(path)) for one in said)
    np.save(tmp_path / "single.npy", MAPS[0])
    (tmp_path / "single.npy").rename(path)
    with pytest.raises(StimulusError, match=r"a\.npz: a single array, as numpy\.save writes it"):
        read_importance_maps(path)


def test_hidden_files_are_none(tmp_path: Path) -> None:
    """Macintoshes put a file ._NAME beside each on disks of other systems."""
    for folder in (tmp_path / "plain", tmp_path / "people" / "sub-01"):
        path = _save(folder / "ä map (1).npz", map=MAPS[0])
        path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07")
        assert read_importance_maps(tmp_path / folder.relative_to(tmp_path).parts[0]).image_ids == ("ä map (1)",)


def test_an_even_map_in_a_record_file_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    grey = (MAPS * 255).astype(np.uint8)
    path = write_records(tmp_path / "a.tfrecord", [
        example(image=png(IMAGES[k]), heatmap=png(grey[k] * (k != 1)), label=k) for k in range(3)])
    assert read_importance_maps(path).labels == (0, 2)
    assert "record 2: 0 everywhere; left out" in caplog.text


def test_sources_that_hold_none_or_one_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StimulusError, match="no importance map"):
        read_importance_maps(tmp_path)
    with pytest.raises(StimulusError, match="no such file or folder"):
        read_importance_maps(tmp_path / "absent")
    for name in "ab":
        _save(tmp_path / f"{name}.npz", map=MAPS[0], image=IMAGES[0])
    with pytest.raises(StimulusError, match=r"twice \(maps 1 and 2\)"):
        read_importance_maps(tmp_path)


@pytest.mark.parametrize(("features", "said"), [
    ({"image": b"x", "label": 1}, "the features image, label; expected image, heatmap and label"),
    ({"image": b"123", "heatmap": b"1234"}, "3 bytes that are neither JPEG nor PNG"),
    ({"image": png(IMAGES[0])[:60], "heatmap": b"1234"}, "an image that is damaged"),
    ({"image": 3, "heatmap": b"1234"}, "a int; expected bytes"),
    ({"image": np.full((2, 2, 3), np.nan, "<f4").tobytes(), "heatmap": b"1234"}, "values that are not finite"),
    ({"image": png(IMAGES[0]), "heatmap": png((MAPS[0] * 255).astype(np.uint8)), "label": b"dog"},
     r"label: b'dog'; expected one whole number"),
])
def test_records_that_are_no_maps_are_refused(tmp_path: Path, features: dict, said: str) -> None:
    with pytest.raises(StimulusError, match=rf"record 1.*{said}"):
        read_importance_maps(write_records(tmp_path / "a.tfrecord", [example(**features)]))


def test_maps_of_one_image_must_have_one_size(tmp_path: Path) -> None:
    _save(tmp_path / "sub-01" / "a.npz", map=MAPS[0], image_id="px-1")
    _save(tmp_path / "sub-02" / "a.npz", map=MAPS[0][:4], image_id="px-1")
    with pytest.raises(StimulusError, match="of several sizes"):
        read_importance_maps(tmp_path)


@pytest.mark.parametrize("change", [{"image_ids": ("a", "a", "b")}, {"maps": MAPS.astype(float)}, {"labels": (None,)}])
def test_a_record_that_does_not_fit_together_cannot_be_made(change: dict) -> None:
    whole = {"image_ids": ("a", "b", "c"), "maps": MAPS, "images": (None,) * 3, "labels": (None,) * 3,
             "participants": (None,) * 3}
    assert len(ImportanceMaps(**whole)) == 3
    with pytest.raises(ValueError, match="."):
        ImportanceMaps(**{**whole, **change})


@pytest.mark.parametrize(("n", "side"), [(256, 64), (64, 224), (7, 5), (5, 13)])
def test_resampling_is_torchs(n: int, side: int) -> None:
    maps = np.random.default_rng(n).random((2, n, n)).astype(np.float32)
    wanted = torch.nn.functional.interpolate(torch.from_numpy(maps)[None], size=(side, side), mode="bilinear",
                                             align_corners=False, antialias=False)[0].numpy()
    np.testing.assert_allclose(resampled(maps, side=side), wanted, atol=1e-5)


def test_clickmes_smoothing_is_the_published_one() -> None:
    """Against torch's operations on the kernel as the published code spells it."""
    maps = np.random.default_rng(1).random((2, 256, 256)).astype(np.float32)
    xs, ys = np.meshgrid(np.arange(-9 // 2, 9 // 2 + 1), np.arange(9 // 2, -9 // 2 - 1, -1))
    kernel = np.exp(-(xs**2 + ys**2) / 200.0)
    assert kernel.shape == (10, 10)
    small = torch.nn.functional.interpolate(torch.from_numpy(maps)[:, None], size=(64, 64), mode="bilinear")
    padded = torch.nn.functional.pad(small.double(), (4, 5, 4, 5))
    blurred = torch.nn.functional.conv2d(padded, torch.from_numpy(kernel / kernel.sum())[None, None])
    wanted = torch.nn.functional.interpolate(blurred, size=(224, 224), mode="bilinear")[:, 0].numpy()
    np.testing.assert_allclose(smoothed_as_clickme(maps), wanted, atol=1e-5)
