"""The features file: rows by image, columns by slice, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stimuli.feature_store import create_store, open_store
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
    with create_store(path, image_ids=IDS, **NAMED) as writer:
        for rows in (slice(0, 3), slice(3, 4), slice(4, 7)):
            writer.append({name: block[rows] for name, block in values.items()})
    return path


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
    with create_store(tmp_path / "f.h5", image_ids=IDS[:1], **{**NAMED, "layers": layers}) as writer:
        writer.append({name: np.zeros((1, 2)) for name in layers})
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


def test_half_a_store_is_never_left(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    with pytest.raises(StoreError, match="3 images; expected 7"), \
            create_store(tmp_path / "f.h5", image_ids=IDS, **NAMED) as writer:
        writer.append({name: block[:3] for name, block in values.items()})
    assert list(tmp_path.iterdir()) == []


def test_a_batch_must_have_every_layer(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    with pytest.raises(StoreError, match="expected layer1, layer2, all of the same images"), \
            create_store(tmp_path / "f.h5", image_ids=IDS, **NAMED) as writer:
        writer.append({"layer1": values["layer1"]})
    with pytest.raises(StoreError, match=r"with \[2, 3\] images"), \
            create_store(tmp_path / "f.h5", image_ids=IDS, **NAMED) as writer:
        writer.append({"layer1": values["layer1"][:3], "layer2": values["layer2"][:2]})
    assert list(tmp_path.iterdir()) == []


def test_an_image_may_be_there_once_only(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="an image twice"), \
            create_store(tmp_path / "f.h5", image_ids=(IDS[0], IDS[0]), **NAMED):
        pass


def test_nothing_is_overwritten_unless_asked(path: Path) -> None:
    with pytest.raises(StoreError, match="exists already"), create_store(path, image_ids=IDS, **NAMED):
        pass
