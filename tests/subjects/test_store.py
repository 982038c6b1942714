from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subjects import provenance, store
from subjects.errors import StoreError


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with pytest.raises(RuntimeError, match="half way"), store.whole_file(path) as beside:
        beside.write_text("half", encoding="utf-8")
        raise RuntimeError("half way")
    assert list(path.parent.iterdir()) == []
    store.write_text(path, "whole\n")
    assert path.read_bytes() == b"whole\n"
    assert [item.name for item in path.parent.iterdir()] == ["a.txt"]


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    path = store.write_text(tmp_path / "a.txt", "first")
    with pytest.raises(StoreError, match="exists already; expected a free name. Nothing was written"):
        store.write_text(path, "second")
    assert path.read_text(encoding="utf-8") == "first"
    store.write_text(path, "second", overwrite=True)
    assert path.read_text(encoding="utf-8") == "second"


def test_an_overwrite_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = store.write_text(tmp_path / "a.txt", "first")
    with pytest.raises(ValueError, match="stop"), store.whole_file(path, overwrite=True) as beside:
        beside.write_text("x", encoding="utf-8")
        raise ValueError("stop")
    assert path.read_text(encoding="utf-8") == "first"


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX")
def test_a_file_keeps_its_ending_while_it_is_written(tmp_path: Path) -> None:
    with store.whole_file(tmp_path / "a.func.gii") as beside:
        assert beside.name.endswith(".a.func.gii")
        beside.write_bytes(b"")


def test_tables_follow_bids(tmp_path: Path) -> None:
    table = pd.DataFrame({"sub": ["01", "02"], "value": [1.5, np.nan], "note": ["NA", None]})
    path = store.write_table(tmp_path / "t.tsv", table)
    assert path.read_text(encoding="utf-8") == "sub\tvalue\tnote\n01\t1.5\tNA\n02\tn/a\tn/a\n"
    back = store.read_table(path, text_columns=("sub",))
    assert back["sub"].tolist() == ["01", "02"]
    assert back["note"][0] == "NA"
    assert pd.isna(back["value"][1])


@pytest.mark.parametrize("content", [b"", b"a\tb\n1\t2\t3\n"])
def test_a_broken_table_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.tsv"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read"):
        store.read_table(path)


def test_missing_and_malformed_json(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file"):
        store.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="not JSON"):
        store.read_json(tmp_path / "a.json")
    with pytest.raises(StoreError, match="no such file"):
        store.read_table(tmp_path / "a.tsv")


def test_json_takes_numpy_and_paths(tmp_path: Path) -> None:
    path = store.write_json(tmp_path / "a.json", {"n": np.int64(3), "x": np.arange(2), "p": Path("a/b")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"n": 3, "x": [0, 1], "p": "a/b"}
    with pytest.raises(TypeError, match="cannot be written as JSON: object"):
        store.write_json(tmp_path / "b.json", {"o": object()})


@given(st.binary(max_size=200))
def test_digests_are_the_head_of_sha256(data: bytes) -> None:
    assert provenance.digest_bytes(data) == hashlib.sha256(data).hexdigest()[:16]


def test_array_digest_sees_values_shape_and_type_not_memory_order() -> None:
    a = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert provenance.digest_array(a) == provenance.digest_array(np.asfortranarray(a))
    others = [a + 1, a.reshape(3, 2), a.astype(np.int16)]
    assert provenance.digest_array(a) not in [provenance.digest_array(b) for b in others]


def test_json_digest_ignores_the_order_of_keys() -> None:
    assert provenance.digest_json({"a": 1, "b": 2}) == provenance.digest_json({"b": 2, "a": 1})


def test_seeds_differ_by_purpose_and_stay() -> None:
    seeds = {provenance.derive_seed(1, sub, run) for sub in ("01", "02") for run in range(50)}
    assert len(seeds) == 100
    assert provenance.derive_seed(1, "a", "b") != provenance.derive_seed(1, "a,b")
    expected = hashlib.sha256(b'[1, "01", "3"]').digest()[:6]
    assert provenance.derive_seed(1, "01", 3) == int.from_bytes(expected, "big")
    assert provenance.rng(1, "x").random() == provenance.rng(1, "x").random()


def test_a_sidecar_tells_whether_a_file_is_current(tmp_path: Path) -> None:
    source = store.write_text(tmp_path / "in.txt", "in")
    made = store.write_text(tmp_path / "out.tsv", "out")
    inputs, parameters = {"in": source, "set": "abc"}, {"n": 3, "t": (1, 2)}
    assert not provenance.is_current(made, inputs=inputs, parameters=parameters)
    provenance.sidecar(made, inputs=inputs, parameters=parameters)
    assert provenance.is_current(made, inputs=inputs, parameters=parameters)
    assert not provenance.is_current(made, inputs=inputs, parameters={**parameters, "n": 4})
    assert not provenance.is_current(made, inputs={**inputs, "set": "abd"}, parameters=parameters)
    source.write_text("changed", encoding="utf-8")
    assert not provenance.is_current(made, inputs=inputs, parameters=parameters)
    source.write_text("in", encoding="utf-8")
    made.write_text("touched", encoding="utf-8")
    assert not provenance.is_current(made, inputs=inputs, parameters=parameters)
    source.unlink()
    assert not provenance.is_current(made, inputs=inputs, parameters=parameters)


def test_versions_say_what_is_not_there() -> None:
    found = provenance.versions("numpy", "no-such-package")
    assert found == {"numpy": np.__version__, "no-such-package": "not installed"}


@pytest.mark.parametrize(("text", "came"), [("[]", "a JSON list"), ("3", "a JSON int"), ("null", "a JSON NoneType")])
def test_json_that_is_no_object_is_named(tmp_path: Path, text: str, came: str) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match=f"{came}; expected an object with named values"):
        store.read_json(tmp_path / "a.json")
