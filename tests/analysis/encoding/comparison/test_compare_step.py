"""The step ``compare``: rows, what they are equal to, bands, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from click.testing import CliRunner

from analysis.__main__ import cli
from analysis.encoding.comparison.banded import compare_banded
from analysis.encoding.comparison.estimator import compare_models
from analysis.encoding.comparison.run import COLUMNS, gather_bands, plan, spread
from analysis.regions.labels import ROIS
from stimuli.feature_store import open_store
from subjects.errors import AnalysisError
from subjects.provenance import sidecar_path
from subjects.settings.loading import load_settings
from subjects.store import read_json
from tests.analysis.fabricated import LAYERS, make_study
from tests.analysis.running_steps import ask, patterns_of, run, table_of

QUICK = {"comparison.vertices": 4, "comparison.folds": 4, "comparison.n_weights": 3}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    layout, _ = make_study(tmp_path_factory.mktemp("compare") / "study")
    return layout, load_settings(layout.root, overrides=QUICK)


def test_a_row_for_each_region_layer_and_model(study):
    layout, settings = study
    table = table_of("compare", layout, settings)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == len(ROIS) * len(LAYERS) * 2
    assert set(table["model"]) == {"ROMP", "ridge"}
    assert set(table["n"]) == {4}
    assert set(table["n_images"]) == {20}
    found = table.set_index(["roi", "layer", "model"])
    assert found.loc[("V1", "layer1", "ROMP"), "effect"] > 0.7, "the regions follow single units of layer 1"
    patterns, store = patterns_of(layout, settings)["LO"], open_store(layout.features("demo"))
    units = store.read("layer2", image_ids=patterns.image_ids["RE"])
    seed = int(found.loc[("LO", "layer2", "ridge"), "seed"])
    theirs = compare_models(units, spread(patterns.responses["RE"], n=4), folds=4, random_state=seed % 2**32,
                            levels=settings.encoding.candidates, models=("ridge",))["ridge"]
    assert found.loc[("LO", "layer2", "ridge"), "effect"] == pytest.approx(theirs.mean())
    assert found.loc[("LO", "layer2", "ridge"), "sd"] == pytest.approx(theirs.std(ddof=1))
    beside = read_json(sidecar_path(layout.derivative("encoding", sub="01", suffix="comparison.tsv")))
    assert {"manifest", "features"} <= set(beside["inputs"])
    assert beside["parameters"]["comparison"]["vertices"] == 4
    assert run("compare", layout, settings).reused == ("sub-01",)


@pytest.mark.parametrize("by", ["layers", "early and late"])
def test_banded_ridge_has_a_row_a_region(study, by):
    pytest.importorskip("himalaya", reason="banded ridge needs himalaya, an optional package")
    layout, _ = study
    settings = load_settings(layout.root, overrides={**QUICK, "comparison.models": ("banded",), "comparison.bands": by})
    table = table_of("compare", layout, settings)
    assert table["roi"].tolist() == list(ROIS)
    assert set(table["model"]) == {"banded ridge"}
    assert set(table["layer"]) == {"all"}
    patterns, store = patterns_of(layout, settings)["V2"], open_store(layout.features("demo"))
    layers = {layer: store.read(layer, image_ids=patterns.image_ids["RE"]) for layer in LAYERS}
    row = table.set_index("roi").loc["V2"]
    theirs = compare_banded(gather_bands(layers, by=by), spread(patterns.responses["RE"], n=4), folds=4, n_weights=3,
                            random_state=int(row["seed"]) % 2**32)
    assert row["effect"] == pytest.approx(theirs.mean())


def test_early_and_late_bands_hold_all_units_once():
    layers = {f"layer{k}": np.full((2, k), k, dtype=np.float32) for k in range(1, 9)}
    found = gather_bands(layers, by="early and late")
    assert {name: band.shape[1] for name, band in found.items()} == {"early": 10, "late": 26}
    assert sorted(set(found["late"][0])) == [5, 6, 7, 8]
    assert gather_bands(layers, by="layers") == layers
    assert list(gather_bands({"layer1": layers["layer1"]}, by="early and late")) == ["layer1"]


def test_vertices_are_taken_evenly_and_never_twice():
    responses = np.arange(20, dtype=np.float32)[None].repeat(3, axis=0)
    assert spread(responses, n=5)[0].tolist() == [0, 5, 10, 14, 19]
    assert spread(responses, n=100).shape == (3, 20)
    assert spread(responses, n=1)[0].tolist() == [0]


def test_banded_ridge_without_himalaya_is_refused_before_anything_is_computed(study, monkeypatch):
    layout, _ = study
    settings = load_settings(layout.root, overrides={"comparison.models": ("romp", "banded")})
    monkeypatch.setitem(sys.modules, "himalaya.kernel_ridge", None)
    with pytest.raises(AnalysisError, match="without the package himalaya"):
        plan(ask(layout, settings))


def test_the_command_takes_its_models_from_the_study(study, monkeypatch):
    layout, _ = study
    monkeypatch.setitem(sys.modules, "himalaya.kernel_ridge", None)
    before = layout.settings_file.read_text(encoding="utf-8")
    changed = before.replace("[comparison]\n", '[comparison]\nmodels = ["banded"]\n', 1)
    assert changed != before
    layout.settings_file.write_text(changed, encoding="utf-8")
    told = CliRunner().invoke(cli, ["compare", "--study", str(layout.root), "--sub", "01"])
    layout.settings_file.write_text(before, encoding="utf-8")
    assert isinstance(told.exception, AnalysisError)  # for which a run of the program ends with status 2
    assert "without the package himalaya" in str(told.exception)
