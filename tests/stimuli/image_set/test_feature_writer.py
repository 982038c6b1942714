"""The growing file of responses: continued row by row to the bytes of one writing, or begun anew; never half a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from stimuli.image_set.exports.feature_writer import FeatureWriter, part_path, write_store
from subjects.errors import StoreError

N = 7
IDS = [f"px-größe-{k}" for k in range(N)]
ABOUT: dict[str, Any] = {"network": "net", "network_digest": "d", "tap": "relu", "layers": ["layer2", "layer10"],
                         "readings": ["logits"], "taps": ["tap a.b"], "places": ["a", "b"], "image_ids": IDS}
WIDTHS = {"layer2": 5, "layer10": 1, "logits": 3, "tap a.b": 2}


def responses(seed: int = 2) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(N, n)).astype(np.float32) for name, n in WIDTHS.items()}


def rows(values: dict[str, NDArray[np.float32]], first: int, end: int) -> dict[str, NDArray[np.float32]]:
    return {name: one[first:end] for name, one in values.items()}


def writer(path: Path, *, batch: int = 3, dtype: str = "float32", **changes: Any) -> FeatureWriter:
    return FeatureWriter(path, attributes={**ABOUT, **changes}, dtype=dtype, batch=batch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "derivatives" / "features" / "network-net_features.h5"


@pytest.mark.parametrize("cuts", [(N,), (3, 6, N), (1, 2, 3, 4, 5, 6, N)])
def test_a_file_that_grew_through_interruptions_is_the_file_of_one_writing(path: Path, cuts: tuple[int, ...]) -> None:
    values, first = responses(), 0
    for end in cuts:
        grown = writer(path)  # another process
        assert grown.n_filled == first
        grown.append(rows(values, first, end))
        assert not path.exists()
        first = end
    writer(path).finish()
    once = write_store(path.with_name("once_features.h5"), values, **ABOUT)
    with h5py.File(path) as grown_file, h5py.File(once) as file:
        for name, one in values.items():
            np.testing.assert_array_equal(grown_file["layers"][name], one)
            np.testing.assert_array_equal(file["layers"][name], one)
        assert list(file["layers"]) == list(WIDTHS)
        assert [one.decode() for one in grown_file["image_ids"]] == IDS
        assert list(grown_file.attrs["layers"]) == ["layer2", "layer10"]
        assert set(grown_file.attrs) == set(file.attrs)
    assert sorted(one.name for one in path.parent.iterdir()) == ["network-net_features.h5", "once_features.h5"]


@pytest.mark.parametrize("change", [{"network_digest": "e"}, {"tap": "conv"}, {"image_ids": IDS[::-1]},
                                    {"image_ids": IDS[:-1]}, {"layers": ["layer10", "layer2"]}, {"taps": []}])
def test_what_was_begun_for_something_else_is_begun_anew(path: Path, change: dict[str, Any]) -> None:
    writer(path).append(rows(responses(), 0, 3))
    assert writer(path).n_filled == 3
    assert writer(path, **change).n_filled == 0
    assert writer(path, batch=4).n_filled == 0
    assert writer(path, dtype="float16").n_filled == 0


@pytest.mark.parametrize("n_filled", [-1, N + 1, 2.0, True, None, "3"])
def test_a_note_that_cannot_be_is_not_believed(path: Path, n_filled: object) -> None:
    writer(path).append(rows(responses(), 0, 3))
    note = part_path(path).with_suffix(".json")
    note.write_text(json.dumps({**json.loads(note.read_text("utf-8")), "n_filled": n_filled}), encoding="utf-8")
    assert writer(path).n_filled == 0


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n and no more"])
def test_a_torn_part_or_note_costs_no_more_than_what_it_held(path: Path, content: bytes) -> None:
    values = responses()
    for torn in (part_path(path), part_path(path).with_suffix(".json")):
        writer(path).append(rows(values, 0, 3))
        torn.write_bytes(content)
        anew = writer(path)
        assert anew.n_filled == 0
        anew.append(values)
        assert writer(path).n_filled == N
        part_path(path).unlink()


def test_rows_that_were_not_added_are_zero(path: Path) -> None:
    writer(path).append(rows(responses(), 0, 2))
    with h5py.File(part_path(path)) as file:
        assert all(file["layers"][name].shape == (N, n) and not file["layers"][name][2:].any()
                   for name, n in WIDTHS.items())


def test_only_whole_batches_are_taken(path: Path) -> None:
    values, growing = responses(), writer(path)
    said = "expected layer2, layer10, logits, tap a.b, all of the same images"
    without = {name: one for name, one in values.items() if name != "logits"}
    for wrong in (without, {**values, "layer3": values["logits"]}, {**values, "logits": values["logits"][:2]}, {}):
        with pytest.raises(StoreError, match=said):
            growing.append(wrong)
    assert not part_path(path).exists()
    growing.append(rows(values, 0, 5))
    with pytest.raises(StoreError, match="8 images; expected 7. Add every image once"):
        growing.append(rows(values, 4, 7))
    with pytest.raises(StoreError, match="5 images; expected 7. Nothing was written"):
        growing.finish()
    growing.append(rows(values, 5, 7))
    growing.finish()
    with pytest.raises(StoreError, match="an image twice; expected every image once"):
        writer(path, image_ids=[*IDS, IDS[0]])


@pytest.mark.parametrize(("value", "dtype", "remedy"), [
    (1e5, "float16", "Set stimuli.features_dtype to float32"), (np.nan, "float32", "Look at the network's weights"),
    (-np.inf, "float32", "a response of -inf in logits"), (-65520.0, "float16", "numbers that float16 can hold")])
def test_a_response_that_does_not_fit_spoils_nothing_before_it(path: Path, value: float, dtype: str,
                                                               remedy: str) -> None:
    values, growing = responses(), writer(path, dtype=dtype)
    growing.append(rows(values, 0, 3))
    before = part_path(path).read_bytes()
    values["logits"][4, 1] = value
    with pytest.raises(StoreError, match=remedy):
        growing.append(rows(values, 3, 6))
    assert part_path(path).read_bytes() == before
    assert growing.n_filled == writer(path, dtype=dtype).n_filled == 3


def test_halves_are_numpys_halves(path: Path) -> None:
    values = responses()
    values["logits"][0, 0] = 65504.0
    write_store(path, values, dtype="float16", **ABOUT)
    with h5py.File(path) as file:
        for name, one in values.items():
            np.testing.assert_array_equal(file["layers"][name], one.astype(np.float16))
