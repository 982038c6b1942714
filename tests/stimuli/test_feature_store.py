"""The features file: rows by image, columns by slice, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stimuli.feature_store import open_store
from stimuli.image_set.exports.feature_writer import FeatureWriter, part_path, write_store
from subjects.errors import StoreError

IDS = tuple(f"px-{k:016x}" for k in range(7))
UNITS = {"layer1": 5001, "layer2": 3}
NAMED = {"network": "demo", "network_digest": "0123456789abcdef", "tap": "none", "layers": tuple(UNITS)}


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: rng.normal(size=(len(IDS), n)).astype(np.float32) for name, n in UNITS.items()}


@pytest.fixture
def path(tmp_path: Path, values: dict[str, np.ndarray]) -> Path:
    path = tmp_path / "features.h5"
    writer = _writer(path)
    for rows in (slice(0, 3), slice(3, 4), slice(4, 7)):
        writer.append({name: block[rows] for name, block in values.items()})
    writer.finish()
    return path


def _writer(path: Path, *, dtype: str = "float32", **changes: object) -> FeatureWriter:
    return FeatureWriter(path, attributes={**NAMED, "image_ids": IDS, **changes}, dtype=dtype, batch=3)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, len(IDS) - 1), max_size=12), start=st.integers(0, 5000),
       length=st.integers(0, 5000))
def test_rows_come_in_the_order_asked_for(path: Path, values: dict[str, np.ndarray], rows: list[int], start: int,
                                          length: int) -> None:
    units = slice(start, start + length)
    read = open_store(path).read("layer1", image_ids=[IDS[row] for row in rows], units=units)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values["layer1"][rows][:, units])


def test_the_whole_layer_is_the_default(path: Path, values: dict[str, np.ndarray]) -> None:
    store = open_store(path)
    for name in UNITS:
        np.testing.assert_array_equal(store.read(name), values[name])


def test_a_store_says_what_it_holds(path: Path) -> None:
    store = open_store(path)
    assert (store.network, store.network_digest, store.tap) == ("demo", "0123456789abcdef", "none")
    assert store.layers == ("layer1", "layer2")
    assert store.image_ids == IDS
    assert store.n_units == UNITS


def test_the_order_of_layers_is_that_of_depth_and_not_of_names(tmp_path: Path) -> None:
    layers = tuple(f"layer{k}" for k in range(1, 12))
    write_store(tmp_path / "f.h5", {name: np.zeros((1, 2)) for name in layers}, image_ids=IDS[:1],
                **{**NAMED, "layers": layers})
    assert open_store(tmp_path / "f.h5").layers == layers


def test_an_unknown_layer_or_image_is_an_error(path: Path) -> None:
    store = open_store(path)
    with pytest.raises(StoreError, match=r"no layer 'layer3'; expected a layer of the file. Did you mean 'layer"):
        store.read("layer3")
    with pytest.raises(StoreError, match="no responses to image 'px-x'; expected every image of the manifest"):
        store.read("layer1", image_ids=[IDS[0], "px-x"])


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file; expected a network's features.*stimuli features"):
        open_store(tmp_path / "f.h5")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.h5").write_bytes(b"text")
    with pytest.raises(StoreError, match="HDF5 cannot read"):
        open_store(tmp_path / "f.h5")


@pytest.mark.parametrize("name", ["network", "network_digest", "tap", "layers"])
def test_every_attribute_is_needed(path: Path, name: str) -> None:
    with h5py.File(path, "a") as file:
        del file.attrs[name]
    with pytest.raises(StoreError, match=f"no '{name}' in it"):
        open_store(path)


def test_a_layer_must_have_a_row_for_each_image(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["layers/layer2"]
        file["layers/layer2"] = np.zeros((6, 3), np.float32)
    with pytest.raises(StoreError, match=r"layer2 of shape \(6, 3\); expected \(7, units\)"):
        open_store(path)


def test_half_a_store_never_has_the_name_of_a_whole_one(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    writer = _writer(tmp_path / "f.h5")
    writer.append({name: block[:3] for name, block in values.items()})
    with pytest.raises(StoreError, match="3 images; expected 7"):
        writer.finish()
    assert not (tmp_path / "f.h5").exists()
    with pytest.raises(StoreError, match="10 images; expected 7"):
        writer.append(values)


def test_a_batch_must_have_every_layer(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    writer = _writer(tmp_path / "f.h5")
    with pytest.raises(StoreError, match="expected layer1, layer2, all of the same images"):
        writer.append({"layer1": values["layer1"]})
    with pytest.raises(StoreError, match=r"with \[2, 3\] images"):
        writer.append({"layer1": values["layer1"][:3], "layer2": values["layer2"][:2]})
    assert list(tmp_path.iterdir()) == []


def test_an_image_may_be_there_once_only(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="an image twice"):
        _writer(tmp_path / "f.h5", image_ids=(IDS[0], IDS[0]))


def test_an_interrupted_file_is_gone_on_with(tmp_path: Path, values: dict[str, np.ndarray], path: Path) -> None:
    _writer(tmp_path / "f.h5").append({name: block[:3] for name, block in values.items()})
    second = _writer(tmp_path / "f.h5")
    assert second.n_filled == 3
    for rows in (slice(3, 4), slice(4, 7)):
        second.append({name: block[rows] for name, block in values.items()})
    second.finish()
    assert (tmp_path / "f.h5").read_bytes() == path.read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted({"f.h5", path.name})


@pytest.mark.parametrize("change", [{"network_digest": "other"}, {"tap": "other"}, {"image_ids": IDS[::-1]},
                                    {"dtype": "float16"}])
def test_what_another_one_left_is_begun_anew(tmp_path: Path, values: dict[str, np.ndarray],
                                             change: dict[str, object]) -> None:
    _writer(tmp_path / "f.h5").append({name: block[:3] for name, block in values.items()})
    assert _writer(tmp_path / "f.h5", **change).n_filled == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("spoil", ["cut", "note", "no note"])
def test_a_spoilt_part_is_begun_anew(tmp_path: Path, values: dict[str, np.ndarray], spoil: str) -> None:
    path = tmp_path / "f.h5"
    _writer(path).append({name: block[:3] for name, block in values.items()})
    part = part_path(path)
    if spoil == "cut":
        part.write_bytes(part.read_bytes()[:200])
    elif spoil == "note":
        part.with_suffix(".json").write_text("[", encoding="utf-8")
    else:
        part.with_suffix(".json").unlink()
    writer = _writer(path)
    assert writer.n_filled == 0
    writer.append(values)
    writer.finish()
    np.testing.assert_array_equal(open_store(path).read("layer1"), values["layer1"])


def test_half_the_digits_on_request(tmp_path: Path, values: dict[str, np.ndarray], path: Path) -> None:
    small = tmp_path / "small.h5"
    write_store(small, values, dtype="float16", image_ids=IDS, **NAMED)
    read = open_store(small).read("layer1")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values["layer1"].astype(np.float16).astype(np.float32))
    assert small.stat().st_size < 0.6 * path.stat().st_size


@pytest.mark.parametrize(("dtype", "value", "text"), [
    ("float16", 7e4, "a response of 70000 in layer1; expected numbers that float16 can hold. .* float32"),
    ("float32", np.nan, "a response of nan in layer1; .* Look at the network's weights")])
def test_a_response_that_cannot_be_held_is_an_error(tmp_path: Path, values: dict[str, np.ndarray], dtype: str,
                                                    value: float, text: str) -> None:
    spoilt = {**values, "layer1": values["layer1"].copy()}
    spoilt["layer1"][2, 17] = value
    with pytest.raises(StoreError, match=text):
        write_store(tmp_path / "f.h5", spoilt, dtype=dtype, image_ids=IDS, **NAMED)
    assert not (tmp_path / "f.h5").exists()


@pytest.mark.parametrize("most", [1700, 5001, 10**6])
def test_blocks_side_by_side_are_the_layer(path: Path, values: dict[str, np.ndarray], most: int) -> None:
    ids = [IDS[4], IDS[1], IDS[4]]
    blocks = list(open_store(path).blocks("layer1", max_units=most, image_ids=ids))
    assert all(block.shape[1] == units.stop - units.start <= most for units, block in blocks)
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks], axis=1), values["layer1"][[4, 1, 4]])
    with pytest.raises(StoreError, match="max_units: 0; expected 1 or more"):
        next(open_store(path).blocks("layer1", max_units=0))
