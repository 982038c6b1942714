"""The search for the largest correlations: the bound of each precision, and that no precision changes what is found."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from analysis.encoding.held_out import hold_out
from analysis.encoding.pursuit import processor, search
from analysis.encoding.pursuit.bfloat16 import Bfloat16Products
from analysis.encoding.pursuit.romp import romp, romp_levels
from analysis.encoding.pursuit.search import Dictionary, Float32Products

NOTHING = np.full((1, 1), -1)


def columns(n_samples: int, n_columns: int, *, seed: int = 0) -> np.ndarray:
    """Rectified noise, centred and of unit length, as network units are."""
    units = np.maximum(np.random.default_rng(seed).normal(size=(n_samples, n_columns)), 0)
    units -= units.mean(axis=0)
    return units / np.linalg.norm(units, axis=0)


def residuals(n: int, n_samples: int, *, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, n_samples))


def every_product(phi: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The absolute products in extended precision, (n_columns, n_rows)."""
    return np.abs(phi.T.astype(np.longdouble) @ rows.T.astype(np.longdouble))


def make(name: str, phi: np.ndarray) -> search.Products:
    tiles = search._cut(np.ascontiguousarray(phi.T))
    return Float32Products(tiles) if name == "float32" else \
        Bfloat16Products(tiles, block_columns=search._BLOCK_COLUMNS)


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [1e-12, 1.0, 1e9])
@pytest.mark.parametrize("n_samples", [3, 32, 40])
def test_no_product_passes_its_bound(name, size, n_samples):
    phi, rows = np.random.default_rng(0).normal(size=(n_samples, 3000)), size * residuals(9, n_samples)
    phi /= np.linalg.norm(phi, axis=0)
    products = make(name, phi)
    high = products.reach(rows)
    truly = np.zeros((high.shape[0] * search._BLOCK_COLUMNS * search._TILE_BLOCKS, 9), dtype=np.longdouble)
    truly[:3000] = every_product(phi, rows)
    highest = truly.reshape(len(high), search._BLOCK_COLUMNS, search._TILE_BLOCKS, 9).max(axis=1)
    bound = products.inflated * high.astype(np.longdouble) + products.error(rows)
    assert (highest <= bound).all()
    assert (bound <= highest + 0.02 * np.linalg.norm(rows, axis=1)).all(), "no wider than a few roundings"


def test_the_bound_of_bfloat16_holds_where_every_rounding_goes_one_way():
    """Of 16 numbers 15 lie just below the middle of two of bfloat16, and are all rounded down."""
    below = 0.25 * (1 + 2.0**-8 * (1 - 1e-6))
    one = np.append(np.full(15, below), np.sqrt(1 - 15 * below**2))
    phi, rows = np.repeat(one[:, None], 40, axis=1), np.stack([one, 3 * one])
    products = make("bfloat16", phi)
    high, truly = products.reach(rows).max(axis=(0, 1)), every_product(phi, rows).max(axis=0)
    assert (high < truly).all(), "the case is one in which bfloat16 falls short"
    assert (truly <= products.inflated * high + products.error(rows)).all()


@pytest.mark.parametrize("n", [1, 2, 4, 8, 13])
@pytest.mark.parametrize("n_columns", [1, 20, 33, 2048, 5000])
def test_bfloat16_ranks_as_float64(n, n_columns):
    phi, rows = columns(40, n_columns), residuals(6, 40)
    found, sizes = Dictionary(phi, precision="bfloat16").rank(rows, n=n, taken=np.full((6, 1), -1))
    for row, given, size in zip(rows, found, sizes, strict=True):
        truly = np.abs(phi.T @ row)
        expected = np.argsort(-truly, kind="stable")[:n]
        assert given.tolist() == expected.tolist()
        np.testing.assert_allclose(size, truly[expected], rtol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_bfloat16_has_the_supports_of_the_literal_romp(seed):
    rng = np.random.default_rng(seed)
    n_samples, n_columns = int(rng.integers(20, 41)), int(rng.integers(50, 3000))
    phi, y = columns(n_samples, n_columns, seed=seed), residuals(6, n_samples, seed=seed).T
    levels = (1, 3, (n_samples + 1) // 3)
    for n, fit in romp_levels(phi, y, levels=levels, precision="bfloat16").items():
        for t, support in enumerate(fit.support):
            assert support[support >= 0].tolist() == romp(phi, y[:, t], n=n)[0].tolist()


def test_columns_that_bfloat16_takes_for_one_are_told_apart():
    """2,000 columns within 1e-4 of 40 directions: bfloat16 sees 40, and hands on what it cannot order."""
    rng = np.random.default_rng(4)
    phi = np.repeat(columns(30, 40), 50, axis=1) + 1e-4 * rng.normal(size=(30, 2000))
    phi /= np.linalg.norm(phi, axis=0)
    y = residuals(8, 30).T
    rough, fine = (romp_levels(phi, y, levels=(4,), precision=name)[4] for name in ("bfloat16", "float32"))
    np.testing.assert_array_equal(rough.support, fine.support)
    np.testing.assert_array_equal(rough.weights, fine.weights)


def test_only_what_is_in_doubt_is_searched_again(monkeypatch):
    rows_seen = {"float32": 0, "bfloat16": 0}
    for name, kind in (("float32", Float32Products), ("bfloat16", Bfloat16Products)):
        def counted(self, rows, *, reach=kind.reach, name=name):
            rows_seen[name] += len(rows)
            return reach(self, rows)
        monkeypatch.setattr(kind, "reach", counted)
    phi, rows = columns(40, 20_000), residuals(200, 40)
    Dictionary(phi, precision="bfloat16").rank(rows, n=4, taken=np.full((200, 1), -1))
    assert rows_seen["bfloat16"] == 200
    assert rows_seen["float32"] < 20
    near = phi[:, :1] + 1e-6 * np.random.default_rng(0).normal(size=(40, 20_000))
    rows_seen.update(float32=0, bfloat16=0)
    Dictionary(near / np.linalg.norm(near, axis=0), precision="bfloat16").rank(rows[:5], n=4,
                                                                               taken=np.full((5, 1), -1))
    assert rows_seen == {"float32": 5, "bfloat16": 5}


def test_held_out_predictions_are_the_same_in_any_precision():
    rng = np.random.default_rng(0)
    units = np.maximum(rng.normal(size=(20, 400)), 0).astype(np.float32)
    targets = rng.normal(size=(20, 30)).astype(np.float32)
    found = {name: hold_out(units, targets, levels=(1, 4), folds=5, precision=name).predicted
             for name in ("float32", "bfloat16")}
    for n in (1, 4):
        np.testing.assert_array_equal(found["float32"][n], found["bfloat16"][n])


def first(dictionary: Dictionary) -> str:
    return type(dictionary.products[0]).__name__


@pytest.mark.parametrize(("able", "n_columns", "expected"), [
    (True, 100, "Bfloat16Products"), (True, 99, "Float32Products"), (False, 100, "Float32Products")])
def test_auto_takes_bfloat16_for_large_layers_where_the_processor_has_it(monkeypatch, able, n_columns, expected):
    monkeypatch.setattr(search, "LARGE", 100)
    monkeypatch.setattr(search, "multiplies_bfloat16", lambda: able)
    assert first(Dictionary(columns(20, n_columns), precision="auto")) == expected
    assert first(Dictionary(columns(20, n_columns))) == "Float32Products"
    assert first(Dictionary(columns(20, n_columns), precision="bfloat16")) == "Bfloat16Products"


def test_every_search_ends_in_float32_and_float64():
    assert [type(one).__name__ for one in Dictionary(columns(20, 30), precision="bfloat16").products] == \
        ["Bfloat16Products", "Float32Products"]


def test_torch_is_loaded_for_bfloat16_alone():
    told = ("import sys, numpy as np\nfrom analysis.encoding.pursuit.search import Dictionary\n"
            "Dictionary(np.eye(4)); print('torch' in sys.modules)\n"
            "Dictionary(np.eye(4), precision='bfloat16'); print('torch' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize(("flags", "able"), [
    (["fpu avx2 avx512f avx512_bf16"], True), (["fpu amx_bf16 amx_tile"], True), (["fpu avx2 avx512f"], False),
    (["avx512_bf16", "avx2"], False), ([], False), (["avx512_bf16x"], False)])
def test_the_processor_s_instructions(flags, able):
    text = "\n".join(f"processor\t: {k}\nmodel name\t: avx512_bf16\nflags\t\t: {one}" for k, one in enumerate(flags))
    assert processor.has_bfloat16(text) is able


def test_a_system_without_a_list_of_instructions_counts_as_without(monkeypatch, tmp_path):
    processor.multiplies_bfloat16.cache_clear()
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "none")
    assert processor.multiplies_bfloat16() is False
    processor.multiplies_bfloat16.cache_clear()
    (tmp_path / "some").write_text("flags : avx512_bf16\n")
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "some")
    assert processor.multiplies_bfloat16() is True
    processor.multiplies_bfloat16.cache_clear()


def test_the_columns_filled_up_with_are_never_given():
    """Fewer columns than are asked for: all of them, and no column of zeros of the last tile."""
    for name in ("float32", "bfloat16"):
        found, sizes = Dictionary(np.eye(5)[:, :3], precision=name).rank(np.array([[3.0, 0, 1, 0, 0]]), n=5,
                                                                         taken=NOTHING)
        assert found.tolist() == [[0, 2, 1]]
        assert sizes.tolist() == [[3, 1, 0]]
