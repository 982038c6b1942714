"""What the step ``encode`` leaves on disk: corrected p, provenance, what was predicted of held-out RE images."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy.stats import false_discovery_control

from analysis.encoding.run import plan, require_varying
from analysis.encoding.sparse_model import train
from analysis.regions.labels import ROIS
from analysis.statistics.results import read_results
from stimuli.feature_store import open_store
from subjects.errors import AnalysisError
from subjects.profile import base_images
from subjects.provenance import digest_file, digest_json, sidecar_path
from subjects.settings.loading import load_settings
from subjects.store import read_json
from tests.analysis.fabricated import LAYERS, make_study, make_units, write_features
from tests.analysis.running_steps import ask, patterns_of, run, table_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    layout, settings = make_study(tmp_path_factory.mktemp("encode") / "study")
    names = base_images(settings.stimuli)
    units = make_units(len(names))
    layout.features("demo").unlink()
    write_features(layout, names, {**units, "logits": units["layer1"]}, readings=("logits",))
    table_of("encode", layout, settings)
    return layout, settings


def files_of(layout, settings):
    (work,) = plan(ask(layout, settings))
    return work.files()


def test_p_is_corrected_over_regions_and_layers_for_each_type_and_reading(trained):
    layout, settings = trained
    table = read_results(files_of(layout, settings)[0])
    plain = table[~table["layer"].str.endswith("logits")]
    other = table[(table["layer"] != "layer8")]
    for kind in ("RE", "AN", "AI", "AI minus AN"):
        rows = plain[plain["type"] == kind]
        np.testing.assert_allclose(rows["p_corrected"], false_discovery_control(rows["p"]), rtol=1e-10)
        rows = other[other["type"] == kind]
        by_logits = rows["layer"].str.endswith("logits").to_numpy()
        np.testing.assert_allclose(rows["p_corrected"][by_logits], false_discovery_control(rows["p"])[by_logits],
                                   rtol=1e-10)
    n_tests = len(ROIS) * len(LAYERS)
    assert set(table["correction"]) == {f"none; in p_corrected false discovery rate over {n_tests} tests"}
    assert (table["p_corrected"] >= table["p"]).all()
    assert (table["p_corrected"] > table["p"]).any()


def test_rows_name_the_digests_of_what_they_are_from(trained):
    layout, settings = trained
    table, beside = read_results(files_of(layout, settings)[0]), read_json(sidecar_path(files_of(layout, settings)[0]))
    assert set(table["digest_images"]) == {digest_file(layout.manifest)} == {beside["inputs"]["manifest"]}
    others = {name: digest for name, digest in beside["inputs"].items() if name != "manifest"}
    assert set(table["digest_data"]) == {digest_json(others)}
    assert set(table["digest_settings"]) == {digest_json(beside["parameters"])}
    assert "precision" not in beside["parameters"]["encoding"]


def test_the_table_of_best_layers_says_what_it_is_made_from(trained):
    layout, settings = trained
    table, shares, vertices = files_of(layout, settings)
    assert (shares.name, vertices.name) == ("sub-01_layers.tsv", "sub-01_encoding.h5")
    beside, first = read_json(sidecar_path(shares)), read_json(sidecar_path(table))
    assert beside["digest"] == digest_file(shares)
    assert beside["Sources"] == first["Sources"]
    assert len(beside["Sources"]) >= 4, "betas of two hemispheres, manifest, features"
    assert (beside["inputs"], beside["parameters"]) == (first["inputs"], first["parameters"])
    assert first["vertices_digest"] == digest_file(vertices)


def test_a_changed_file_is_made_again_and_the_precision_of_the_search_changes_nothing(trained):
    layout, settings = trained
    paths = files_of(layout, settings)
    other = load_settings(layout.root, overrides={"encoding.precision": "bfloat16"})
    assert run("encode", layout, other).reused == ("sub-01",)
    before = [path.read_bytes() for path in paths[:2]]
    paths[1].write_bytes(before[1] + b"\n")
    assert not run("encode", layout, other).reused
    assert [path.read_bytes() for path in paths[:2]] == before
    assert run("encode", layout, settings).reused == ("sub-01",)


def test_predictions_of_held_out_images_are_those_of_the_other_folds_models(trained):
    layout, settings = trained
    patterns, store = patterns_of(layout, settings), open_store(layout.features("demo"))
    ids = next(iter(patterns.values())).image_ids["RE"]
    fold = np.arange(len(ids)) % settings.encoding.folds
    with h5py.File(files_of(layout, settings)[2]) as file:
        for roi, layer in (("V1", "layer1"), ("LO", "layer5")):
            part, measured = file[roi][layer], patterns[roi].responses["RE"]
            units = store.read(layer, image_ids=ids)
            for k, level in enumerate(part.attrs["sparsity_of_folds"]):
                model = train(units[fold != k], measured[fold != k], levels=(int(level),))[int(level)]
                np.testing.assert_allclose(part["predicted_RE"][fold == k], model.predict(units[fold == k]), atol=1e-5)
                np.testing.assert_allclose(part["means_RE"][fold == k],
                                           np.tile(measured[fold != k].mean(axis=0), (np.sum(fold == k), 1)), atol=1e-5)


def test_the_held_out_accuracy_can_be_computed_from_what_is_kept(trained):
    layout, settings = trained
    patterns = patterns_of(layout, settings)
    table = read_results(files_of(layout, settings)[0]).set_index(["roi", "layer", "type"])
    with h5py.File(files_of(layout, settings)[2]) as file:
        for roi in ROIS:
            for layer in LAYERS:
                part = file[roi][layer]
                x = part["predicted_RE"][()].astype(float) - part["means_RE"]
                y = patterns[roi].responses["RE"].astype(float) - part["means_RE"]
                lengths = np.linalg.norm(x, axis=0) * np.linalg.norm(y, axis=0)
                found = np.divide((x * y).sum(axis=0), lengths, out=np.zeros_like(lengths), where=lengths > 0)
                np.testing.assert_allclose(found, part["RE"], atol=1e-4)
                assert found.mean() == pytest.approx(table.loc[(roi, layer, "RE"), "effect"], abs=1e-4)


def test_models_are_kept_sparsely_and_predict_what_is_kept(trained):
    layout, settings = trained
    store = open_store(layout.features("demo"))
    ids = next(iter(patterns_of(layout, settings).values())).image_ids
    with h5py.File(files_of(layout, settings)[2]) as file:
        part = file["V2"]["layer2"]
        chosen, weights = part["units"][()], part["weights"][()]
        assert chosen.shape == weights.shape == (30, chosen.shape[1])
        assert chosen.shape[1] < 10
        for kind in ("AN", "AI"):
            units = store.read("layer2", image_ids=ids[kind])
            by_hand = part["constant"][()] + np.einsum("ivk,vk->iv", units[:, np.maximum(chosen, 0)], weights)
            np.testing.assert_allclose(part[f"predicted_{kind}"][()], by_hand, atol=1e-4)


def test_a_vertex_that_answers_alike_to_all_images_is_named(trained):
    layout, settings = trained
    patterns = patterns_of(layout, settings)
    responses = {name: one.copy() for name, one in patterns["V2"].responses.items()}
    responses["AI"][:, 4] = 0.25
    regions = {**patterns, "V2": replace(patterns["V2"], responses=responses)}
    vertex = patterns["V2"].vertices["L"][4]
    with pytest.raises(AnalysisError, match=(rf"sub-01 V2: 1 of 30 chosen vertices with the same response to all 20 AI "
                                             rf"images, first vertex {vertex} of hemi-L")):
        require_varying(regions, sub="01")
    require_varying(patterns, sub="01")
