"""Predictivity of one's own arrays: what is read, what is refused, and the command."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from analysis.__main__ import cli
from analysis.encoding.predictivity.arrays import (
    COLUMNS,
    Responses,
    in_one_order,
    read_responses,
    read_units,
    score_arrays,
)
from analysis.encoding.predictivity.scores import predictivity
from subjects.errors import AnalysisError
from subjects.provenance import rng
from subjects.settings.models import PredictivitySettings
from tests.analysis.encoding.predictivity.test_maps import planted as planted_maps
from tests.analysis.encoding.predictivity.test_scores import planted

IDS = tuple(f"image-{k}" for k in range(60))


def write_sites(folder, **changes):
    units, halves = planted(60, n_sites=7)
    order = np.random.default_rng(0).permutation(60)
    noise = np.random.default_rng(1).normal(size=(60, 40))
    np.savez(folder / "units.npz", deep=units.astype(np.float32), noise=noise, image_ids=np.array(IDS))
    arrays = {"responses": np.stack(halves).transpose(0, 2, 1)[:, :, order], "image_ids": np.array(IDS)[order],
              **changes}
    np.savez(folder / "responses.npz", **{name: values for name, values in arrays.items() if values is not None})
    return folder / "units.npz", folder / "responses.npz"


def test_sites_by_images_are_read_with_and_without_repetitions(tmp_path):
    _, path = write_sites(tmp_path)
    found = read_responses(path)
    assert (found.kind, found.repetitions.shape) == ("sites", (2, 60, 7))
    assert set(found.image_ids) == set(IDS)
    _, path = write_sites(tmp_path, responses=np.arange(12.0).reshape(3, 4), image_ids=None)
    found = read_responses(path)
    assert found.repetitions.shape == (1, 4, 3)
    assert found.repetitions[0, 1].tolist() == [1, 5, 9]
    assert found.image_ids is None


def test_maps_are_read_with_and_without_repetitions(tmp_path):
    for shape, wanted in (((4, 2, 5, 6), (1, 4, 2, 5, 6)), ((3, 4, 2, 5, 6), (3, 4, 2, 5, 6))):
        np.savez(tmp_path / "maps.npz", maps=np.zeros(shape))
        found = read_responses(tmp_path / "maps.npz")
        assert (found.kind, found.repetitions.shape) == ("maps", wanted)


@pytest.mark.parametrize(("arrays", "text"), [
    ({"other": np.zeros((2, 2))}, "the arrays other; expected `responses` or `maps`, one of them"),
    ({"responses": np.zeros((2, 2)), "maps": np.zeros((2, 2, 2, 2))}, "the arrays maps, responses; expected"),
    ({"responses": np.zeros(3)}, "responses of float64 (3,); expected numbers (n_sites, n_images)"),
    ({"responses": np.array([["a", "b"]])}, "responses of <U1 (1, 2)"),
    ({"maps": np.zeros((2, 2))}, "maps of float64 (2, 2); expected numbers (n_images, n_sites, rows, columns)"),
    ({"responses": np.zeros((2, 3)), "image_ids": np.array(["a", "a", "b"])}, "3 image_ids, 2 different; expected one"),
])
def test_what_are_no_responses_is_refused(tmp_path, arrays, text):
    np.savez(tmp_path / "r.npz", **arrays)
    with pytest.raises(AnalysisError, match=re.escape(text)):
        read_responses(tmp_path / "r.npz")


@pytest.mark.parametrize(("arrays", "text"), [
    ({}, "no array; expected a layer an array"),
    ({"a": np.zeros((3, 2)), "b": np.zeros((4, 2))}, "a float64 (3, 2), b float64 (4, 2); expected a layer an array"),
    ({"a": np.zeros(3)}, "a float64 (3,); expected"),
    ({"a": np.zeros((3, 2), int)}, "a int64 (3, 2); expected"),
])
def test_what_are_no_units_is_refused(tmp_path, arrays, text):
    np.savez(tmp_path / "u.npz", **arrays)
    with pytest.raises(AnalysisError, match=re.escape(text)):
        read_units(tmp_path / "u.npz")


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    np.save(tmp_path / "single.npy", np.ones((2, 2)))
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    np.savez_compressed(tmp_path / "damaged.npz", units=np.random.default_rng(0).random((60, 60)))
    whole = (tmp_path / "damaged.npz").read_bytes()
    (tmp_path / "damaged.npz").write_bytes(whole[:80] + b"\xff" * 40 + whole[120:])
    for name, text in (("absent.npz", "no such file"), ("broken.npz", "a file that cannot be read"),
                       ("single.npz", "a file that cannot be read"), ("damaged.npz", "a file that cannot be read")):
        with pytest.raises(AnalysisError, match=text):
            read_units(tmp_path / name)


def test_images_are_joined_by_their_ids(tmp_path):
    units, responses = write_sites(tmp_path)
    layers, ids = read_units(units)
    found = read_responses(responses)
    joined = in_one_order(layers, found, ids=ids)
    places = [IDS.index(name) for name in found.image_ids]
    assert np.array_equal(joined["deep"], layers["deep"][places])
    other = Responses("sites", found.repetitions, ("image-x", *found.image_ids[1:]))
    with pytest.raises(AnalysisError, match=r"no units of image image-x \(1 such\)"):
        in_one_order(layers, other, ids=ids)
    with pytest.raises(AnalysisError, match="units of 60 images, responses to 59"):
        in_one_order(layers, Responses("sites", found.repetitions[:, 1:], None), ids=None)


def test_rows_are_those_of_the_core():
    units, halves = planted(60, n_sites=7)
    whole = Responses("sites", np.stack(halves))
    row, = score_arrays({"deep": units}, whole, settings=PredictivitySettings(n_splits=6), seed=4)
    found = predictivity(units, (halves[0] + halves[1]) / 2, rng=rng(4, "splits"), n_splits=6, halves=halves)
    assert set(row) == set(COLUMNS)
    assert (row["score"], row["error"], row["p"]) == pytest.approx((found.score, found.error, found.p))
    assert row["of_highest"] == pytest.approx(found.corrected)
    alone, = score_arrays({"deep": units}, Responses("sites", np.stack(halves)[:1]), settings=PredictivitySettings())
    assert np.isnan(alone["reliability"])


def test_maps_are_scored_place_by_place():
    units, halves = planted_maps()
    row, = score_arrays({"conv": units}, Responses("maps", np.stack(halves)), settings=PredictivitySettings())
    assert row["of_highest"] == pytest.approx(1.0, abs=0.06)
    assert row["mean_map"] > 0.7
    assert np.isnan(row["p"])


def test_the_command_writes_a_table_and_reuses_it(tmp_path):
    units, responses = write_sites(tmp_path)
    words = ["predict-arrays", "--units", str(units), "--responses", str(responses), "--out", str(tmp_path / "t.tsv"),
             "--splits", "6"]
    done = CliRunner().invoke(cli, [*words, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    deep, noise = said["layers"]
    assert deep["layer"] == "deep"
    assert deep["score"] > 0.5 > 0.25 > abs(noise["score"])
    again = CliRunner().invoke(cli, words)
    assert "deep: r " in again.output
    assert "of the highest" in again.output
    assert "table already up to date" in again.output
    assert json.loads((tmp_path / "t.json").read_text())["Columns"] == COLUMNS
