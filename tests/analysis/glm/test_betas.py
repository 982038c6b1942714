"""Betas: selection against a loop, the file, and one fault at a time."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from analysis.glm.betas import COLUMNS, Betas, load_betas, require_betas, save_betas
from subjects.errors import AnalysisError, StoreError

NAMES = ("dogs-01", "cars-02", "birds-01")


def make_parts(seed: int = 0) -> dict:
    rows = [("01" if name == "dogs-01" else "02", kind, f"px-{kind}-{name}", name, k)
            for kind in ("RE", "AN", "AI") for name in NAMES for k in (1, 2)]
    rows += [(session, "blank", "", "", 0) for session in ("01", "02")]
    rng = np.random.default_rng(seed)
    return {"hemi": "L", "values": rng.standard_normal((len(rows), 5), dtype=np.float32),
            "conditions": pd.DataFrame(rows, columns=list(COLUMNS)), "r2": rng.random(5, dtype=np.float32),
            "mean_signal": 100 * rng.random(5, dtype=np.float32)}


@pytest.fixture
def betas() -> Betas:
    return Betas(**make_parts())


def test_images_are_in_the_order_of_the_rows(betas):
    assert betas.base_images == NAMES
    assert betas.image_ids("AN") == tuple(f"px-AN-{name}" for name in NAMES)


@pytest.mark.parametrize("kind", ["RE", "AN", "AI"])
def test_selection_equals_a_loop(betas, kind):
    for presentation in (1, 2):
        found = betas.select(type=kind, presentation=presentation)
        for row, name in zip(found, betas.base_images, strict=True):
            table = betas.conditions
            match = (table["type"] == kind) & (table["base_image"] == name) & (table["presentation"] == presentation)
            np.testing.assert_array_equal(row, betas.values[np.flatnonzero(match)[0]])
    both = [betas.select(type=kind, presentation=k) for k in (1, 2)]
    np.testing.assert_allclose(betas.select(type=kind), (both[0] + both[1]) / 2, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(betas.select(type=kind, presentation=None), betas.select(type=kind))


def test_selection_joins_by_name_whatever_the_order_of_rows(betas):
    order = np.random.default_rng(1).permutation(len(betas.conditions))
    parts = make_parts()
    mixed = Betas(**{**parts, "values": parts["values"][order],
                     "conditions": parts["conditions"].iloc[order].reset_index(drop=True)})
    asked = ("birds-01", "dogs-01")
    np.testing.assert_array_equal(mixed.select(type="AI", presentation=2, base_images=asked),
                                  betas.select(type="AI", presentation=2)[[2, 0]])


def test_a_file_round_trip(betas, tmp_path):
    back = load_betas(save_betas(tmp_path / "betas.h5", betas))
    for name in ("values", "r2", "mean_signal"):
        np.testing.assert_array_equal(getattr(back, name), getattr(betas, name))
        assert getattr(back, name).dtype == np.float32
    pd.testing.assert_frame_equal(back.conditions, betas.conditions)
    assert back.hemi == "L"
    np.testing.assert_array_equal(back.select(type="RE"), betas.select(type="RE"))


def test_the_same_betas_make_the_same_file(betas, tmp_path):
    one, two = (save_betas(tmp_path / name, betas).read_bytes() for name in ("a.h5", "b.h5"))
    assert one == two


def test_nothing_is_overwritten_unasked(betas, tmp_path):
    save_betas(tmp_path / "betas.h5", betas)
    with pytest.raises(StoreError, match="a file that exists already"):
        save_betas(tmp_path / "betas.h5", betas)
    save_betas(tmp_path / "betas.h5", betas, overwrite=True)


@pytest.mark.parametrize(("name", "change", "text"), [
    ("hemi", lambda _: "both", "hemisphere 'both'"),
    ("values", lambda values: values[:-1], r"values of shape \(19, 5\); expected shape \(20, 5\)"),
    ("values", lambda values: values.astype(float), "arrays of float32, float64"),
    ("r2", lambda r2: r2[:-1], "4 values of R2; expected one for each of 5 vertices"),
    ("conditions", lambda table: table.rename(columns={"type": "kind"}), "columns .*'kind'"),
    ("conditions", lambda table: table.iloc[[0, *range(19)]].reset_index(drop=True), "condition 1 twice"),
])
def test_betas_with_one_fault_are_refused(name, change, text):
    parts = make_parts()
    with pytest.raises(AnalysisError, match=text):
        Betas(**{**parts, name: change(parts[name])})


def test_an_image_without_response_is_named(betas):
    with pytest.raises(AnalysisError, match="no response to fruits-01 as RE at presentation 1"):
        betas.select(type="RE", presentation=1, base_images=("dogs-01", "fruits-01"))
    with pytest.raises(AnalysisError, match="no response to dogs-01, cars-02, birds-01 as RE at presentation 3"):
        betas.select(type="RE", presentation=3)
    with pytest.raises(AnalysisError, match="no condition of type 'XX'"):
        betas.select(type="XX")


def test_files_that_are_no_betas_are_refused(betas, tmp_path):
    with pytest.raises(AnalysisError, match="no such file; expected betas"):
        load_betas(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("text", encoding="utf-8")
    with pytest.raises(AnalysisError, match="a file that cannot be read"):
        load_betas(tmp_path / "text.h5")
    path = save_betas(tmp_path / "betas.h5", betas)
    with h5py.File(path, "a") as file:
        del file["r2"]
    with pytest.raises(AnalysisError, match="a file that cannot be read"):
        load_betas(path)
    with h5py.File(path, "a") as file:
        file.attrs["format"] = "betas 0"
    with pytest.raises(AnalysisError, match="format 'betas 0'"):
        load_betas(path)


def test_a_file_that_says_whose_it_is_is_taken_for_nobody_elses(betas: Betas, tmp_path: Path) -> None:
    path = save_betas(tmp_path / "betas.h5", betas, sub="01")
    assert load_betas(path, sub="01", hemi=betas.hemi).values.shape == betas.values.shape
    assert require_betas(path, sub="01", hemi=betas.hemi) == path
    other = "R" if betas.hemi == "L" else "L"
    for asked, message in (({"sub": "02"}, "betas of sub-01; expected those of sub-02"),
                           ({"hemi": other}, f"betas of hemi-{betas.hemi}; expected those of hemi-{other}")):
        for read in (load_betas, require_betas):
            with pytest.raises(AnalysisError, match=message):
                read(path, **asked)
    assert load_betas(save_betas(tmp_path / "unsaid.h5", betas), sub="02").hemi == betas.hemi
