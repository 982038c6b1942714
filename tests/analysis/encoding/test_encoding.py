"""Encoding models against plain loops, closed form and planted weights; training images only."""

from __future__ import annotations

import math

import h5py
import numpy as np
import pytest
from scipy.stats import pearsonr

from analysis.encoding.generalisation import (
    assess_generalisation,
    matched_similarity,
    standardise,
    subsampled_accuracies,
    vertex_accuracies,
)
from analysis.encoding.held_out import held_out_predictions
from analysis.encoding.layers import choose_sparsity, predict_types
from analysis.encoding.pursuit.romp import romp
from analysis.encoding.run import COLUMNS
from analysis.encoding.run import plan as encode_plan
from analysis.encoding.sparse_model import Scaling, measure_scaling, train
from analysis.regions.labels import ROIS
from analysis.statistics.draws import permutations, subsamples
from analysis.statistics.readings import split_readings
from analysis.steps import Request
from subjects.errors import AnalysisError, StudyError
from subjects.profile import base_images
from subjects.provenance import digest_file, sidecar_path
from subjects.provenance import rng as derived
from subjects.settings.loading import load_settings
from subjects.settings.study import EncodingSettings
from subjects.store import read_json, write_json, write_table
from tests.analysis.fabricated import LAYERS, make_study, make_units, write_features
from tests.analysis.running_steps import table_of

QUICK = EncodingSettings(n_permutations=200, n_subsamples=200)


def units(n_images: int = 40, n_units: int = 150, *, seed: int = 0) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).normal(size=(n_images, n_units)), 0).astype(np.float32)


def responses(n_images: int = 40, n_vertices: int = 12, *, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_images, n_vertices)).astype(np.float32)


def planted(values: np.ndarray, *, columns: list[int], noise: float = 0.0, seed: int = 2) -> np.ndarray:
    """Vertices that each follow one unit, above a constant of their own."""
    rng = np.random.default_rng(seed)
    signal = values[:, columns] * rng.uniform(1, 2, size=len(columns)) + rng.normal(size=len(columns))
    return (signal + noise * rng.normal(size=signal.shape)).astype(np.float32)


# --- scaling -------------------------------------------------------------------------------------------

def test_scaled_training_units_are_centred_and_of_unit_length():
    values = units()
    scaled = measure_scaling(values).apply(values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=0), 1, atol=1e-12)


def test_other_images_are_scaled_by_the_training_images_numbers():
    values, other = units(), 3 + 5 * units(7, seed=9)
    scaling = measure_scaling(values)
    mean, norm = values.mean(axis=0, dtype=float), np.linalg.norm(values - values.mean(axis=0, dtype=float), axis=0)
    np.testing.assert_allclose(scaling.apply(other), (other - mean) / norm, rtol=1e-10)
    np.testing.assert_allclose(scaling.apply(other[:1]), scaling.apply(other)[:1], atol=0)


def test_units_without_variance_are_dropped():
    values = units(n_units=10)
    values[:, 3] = 0
    values[:, 7] = 0.1
    assert measure_scaling(values).kept.tolist() == [0, 1, 2, 4, 5, 6, 8, 9]


def test_of_collinear_units_the_first_is_kept():
    values = units(n_units=8)
    values[:, 5] = 2.5 * values[:, 1] + 1
    values[:, 6] = -0.3 * values[:, 2]
    values[:, 7] = 7 * values[:, 1]
    assert measure_scaling(values).kept.tolist() == [0, 1, 2, 3, 4]


def test_units_that_answer_to_one_image_only_are_twins():
    values = np.zeros((40, 300), dtype=np.float32)
    values[np.arange(300) % 40, np.arange(300)] = np.random.default_rng(0).uniform(0.1, 9, size=300)
    assert measure_scaling(values).kept.tolist() == list(range(40))


def test_nearly_collinear_units_are_both_kept():
    values = units(n_units=4)
    values[:, 3] = values[:, 0] + 0.01 * values[:, 1]
    assert len(measure_scaling(values).kept) == 4


def test_no_unit_that_varies():
    with pytest.raises(AnalysisError, match="layer6: no unit that varies"):
        measure_scaling(np.ones((40, 3), dtype=np.float32), where="layer6")


def test_one_unit_not_finite_is_named():
    values = units()
    values[3, 17] = np.nan
    with pytest.raises(AnalysisError, match="unit 17 not finite"):
        measure_scaling(values)


def test_scaling_record_guards():
    with pytest.raises(AnalysisError, match="one positive norm for 2 units"):
        Scaling(np.array([0, 1]), np.zeros(2), np.array([1.0, 0.0]))


# --- models --------------------------------------------------------------------------------------------

def test_a_model_equals_romp_on_centred_data_plus_the_mean():
    values, targets, other = units(), responses(), units(6, seed=5)
    model = train(values, targets, levels=(3,))[3]
    scaling = measure_scaling(values)
    for v in range(targets.shape[1]):
        y = targets[:, v].astype(float)
        support, weights = romp(scaling.apply(values), y - y.mean(), n=3)
        expected = y.mean() + scaling.apply(other)[:, support] @ weights
        np.testing.assert_allclose(model.predict(other)[:, v], expected, atol=1e-8)


def test_a_planted_unit_is_found_and_carries_over_exactly():
    values, other = units(), units(40, seed=8)
    columns = [3, 140, 77, 12]
    targets = planted(values, columns=columns)
    model = train(values, targets, levels=(1,))[1]
    assert model.scaling.kept[model.fit.support[:, 0]].tolist() == columns
    np.testing.assert_allclose(model.predict(other), planted(other, columns=columns), atol=1e-5)


def test_held_out_predictions_equal_a_loop_over_folds():
    values, targets = units(20, 60), responses(20, 5)
    found = held_out_predictions(values, targets, levels=(1, 2), folds=5)
    for k in range(5):
        inside = np.arange(20) % 5 != k
        for n in (1, 2):
            expected = train(values[inside], targets[inside], levels=(n,))[n].predict(values[~inside])
            np.testing.assert_allclose(found[n][~inside], expected, atol=1e-10)


def test_a_held_out_image_does_not_shape_its_own_prediction():
    values, targets = units(20, 60), responses(20, 5)
    before = held_out_predictions(values, targets, levels=(2,), folds=5)[2][4]
    targets[[4, 9, 14, 19]] += 100
    np.testing.assert_array_equal(held_out_predictions(values, targets, levels=(2,), folds=5)[2][4], before)


@pytest.mark.parametrize(("n_images", "level", "fine"), [(24, 8, True), (23, 8, False)])
def test_one_training_image_too_few(n_images, level, fine):
    if fine:
        assert train(units(n_images), responses(n_images), levels=(level,))
        return
    with pytest.raises(AnalysisError, match="sparsity level 8 with 23 training images; expected at most 7"):
        train(units(n_images), responses(n_images), levels=(level,))


@pytest.mark.parametrize("folds", [1, 21])
def test_impossible_folds(folds):
    with pytest.raises(AnalysisError, match=f"{folds} folds of 20 images; expected 2 to 20"):
        held_out_predictions(units(20, 60), responses(20, 5), levels=(1,), folds=folds)


# --- choice of the level -------------------------------------------------------------------------------

def test_cross_validation_finds_one_unit_or_many():
    values = units(40, 60)
    one = planted(values, columns=[5, 9, 33, 41], noise=0.1)
    many = np.stack([values[:, 10 * k:10 * k + 8].sum(axis=1) for k in range(5)], axis=1)
    levels, scores = choose_sparsity(values, {"V1": one, "LO": many}, settings=QUICK)
    assert levels["V1"] == 1
    assert levels["LO"] > 1
    assert set(scores["V1"]) == {1, 2, 4, 8}
    assert scores["V1"][1] > 0.9


def test_a_fixed_level_is_taken_as_it_is():
    levels, scores = choose_sparsity(units(), {"V1": responses()}, settings=EncodingSettings(sparsity=5))
    assert (levels, scores) == ({"V1": 5}, {"V1": {}})


def test_regions_are_predicted_alike_together_and_alone():
    values = {kind: units(seed=k) for k, kind in enumerate(("RE", "AN", "AI"))}
    targets = {"V1": responses(seed=1), "V2": responses(n_vertices=7, seed=2), "LO": responses(seed=3)}
    levels = {"V1": 2, "V2": 4, "LO": 2}
    together = predict_types(values, targets, levels=levels)
    for roi, own in targets.items():
        alone = predict_types(values, {roi: own}, levels=levels)[roi]
        for kind in ("AN", "AI"):
            np.testing.assert_allclose(together[roi][kind], alone[kind], atol=1e-9)


def test_features_are_not_centred_anew_on_adversarial_images():
    """A shift of all AI units moves the predictions by what the weights say; centring anew would hide it."""
    values = {"RE": units(), "AN": units(seed=4), "AI": units()}
    targets = {"V1": responses()}
    before = predict_types(values, targets, levels={"V1": 2})["V1"]
    after = predict_types({**values, "AI": values["AI"] + 1}, targets, levels={"V1": 2})["V1"]
    assert abs(after["AI"] - before["AI"]).min() > 0
    one = predict_types({**values, "AI": values["AI"][:1]}, targets, levels={"V1": 2})["V1"]
    np.testing.assert_allclose(one["AI"], before["AI"][:1], atol=1e-12)
    np.testing.assert_array_equal(after["AN"], before["AN"])


# --- accuracy and its tests ----------------------------------------------------------------------------

def test_vertex_accuracies_equal_pearson_of_each_vertex():
    predicted, measured = responses(seed=1), responses(seed=2)
    for v, found in enumerate(vertex_accuracies(predicted, measured)):
        assert found == pytest.approx(pearsonr(predicted[:, v].astype(float), measured[:, v].astype(float)).statistic)


def test_a_silent_prediction_scores_zero():
    predicted = responses(seed=1).astype(float)
    predicted[:, 4] = 0.7
    found = vertex_accuracies(predicted, responses(seed=2))
    assert found[4] == 0
    assert (np.delete(found, 4) != 0).all()
    assert standardise(predicted)[:, 4].tolist() == [0] * 40


def test_one_vertex_constant_over_images_is_refused():
    measured = responses()
    measured[:, 3] = 1
    with pytest.raises(AnalysisError, match="1 vertices constant over images, first 3"):
        vertex_accuracies(responses(seed=5), measured)


@pytest.mark.parametrize("correlate", ["vertex", "image"])
def test_one_response_that_is_not_finite_is_named(correlate):
    measured = {kind: responses(seed=k) for k, kind in enumerate(("AN", "AI"))}
    measured["AI"][7, 2] = np.inf
    with pytest.raises(AnalysisError, match="1 vertices not finite, first 2"):
        assess_generalisation({kind: responses(seed=5) for kind in measured}, measured, seed=1, layer="layer1",
                              settings=QUICK.model_copy(update={"correlate": correlate}))


def test_features_of_another_set_are_refused_by_the_images_digest(tmp_path):
    layout, settings = make_study(tmp_path / "study")
    names = base_images(settings.stimuli)
    layout.features("demo").unlink()
    write_features(layout, tuple(f"other-{name}" for name in names), make_units(len(names)))
    with pytest.raises(StudyError, match="px-RE-"):
        table_of("encode", layout, settings)


def test_a_level_that_forty_images_do_not_determine_is_refused():
    with pytest.raises(AnalysisError, match="sparsity level 14 with 40 training images; expected at most 13"):
        predict_types({kind: units() for kind in ("RE", "AN", "AI")}, {"V1": responses()}, levels={"V1": 14})


@pytest.mark.parametrize("correlate", ["vertex", "image"])
def test_matched_similarity_sums_to_the_accuracy_of_relabelled_images(correlate):
    predicted, measured = responses(10, 8, seed=1).astype(float), responses(10, 8, seed=2)
    table = matched_similarity(predicted, measured, correlate=correlate)
    for order in permutations(10, n=5, rng=np.random.default_rng(0)):
        pairs = (predicted, measured[order]) if correlate == "image" else (predicted.T, measured[order].T)
        expected = np.mean([pearsonr(x, y).statistic for x, y in zip(*pairs, strict=True)])
        assert table[np.arange(10), order].sum() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("correlate", ["vertex", "image"])
def test_subsampled_accuracies_equal_a_loop(correlate):
    predicted, measured = responses(10, 20, seed=1).astype(float), responses(10, 20, seed=2)
    inside = subsamples(20, share=0.8, n=15, rng=np.random.default_rng(0))
    found = subsampled_accuracies(predicted, measured, inside=inside, correlate=correlate)
    for value, chosen in zip(found, inside, strict=True):
        table = matched_similarity(predicted[:, chosen], measured[:, chosen], correlate=correlate)
        assert value == pytest.approx(np.trace(table), abs=1e-10)


def test_a_model_that_carries_to_ai_and_not_to_an():
    measured = {kind: responses(40, 30, seed=k) for k, kind in enumerate(("AN", "AI"))}
    predicted = {"AN": responses(40, 30, seed=7).astype(float),
                 "AI": measured["AI"] + responses(40, 30, seed=8).astype(float)}
    found = assess_generalisation(predicted, measured, settings=QUICK, seed=5, layer="layer1")
    an, ai, gain = (found.statistics[kind] for kind in ("AN", "AI", "AI minus AN"))
    assert ai.p == 1 / 201
    assert an.p > 0.01
    assert gain.p == pytest.approx(1 / 201)
    assert gain.paper.p == pytest.approx(2 / 201)
    assert gain.effect == pytest.approx(ai.effect - an.effect)
    assert ai.effect == pytest.approx(found.accuracies["AI"].mean())
    assert ai.low < ai.effect < ai.high
    assert 0 < gain.low < gain.effect < gain.high
    assert (ai.n, ai.n_resamples, ai.seed) == (30, 200, 5)


def test_the_permutation_p_equals_a_loop_over_vertices():
    predicted = {kind: responses(12, 6, seed=k).astype(float) for k, kind in enumerate(("AN", "AI"))}
    measured = {kind: responses(12, 6, seed=k) for k, kind in enumerate(("AN", "AI"), start=3)}
    found = assess_generalisation(predicted, measured, settings=QUICK, seed=11, layer="layer2").statistics["AN"]
    orders = permutations(12, n=200, rng=derived(11, "permutation", "layer2", "AN"))
    null = [vertex_accuracies(predicted["AN"], measured["AN"][order]).mean() for order in orders]
    assert found.p == pytest.approx((1 + sum(x >= found.effect for x in null)) / 201)


def test_the_same_seed_gives_the_same_statistics_and_another_does_not():
    data = {kind: responses(40, 30, seed=k) for k, kind in enumerate(("AN", "AI"))}
    predicted = {kind: values + responses(40, 30, seed=9).astype(float) for kind, values in data.items()}
    once, again, other = (assess_generalisation(predicted, data, settings=QUICK, seed=seed, layer="layer1")
                          for seed in (1, 1, 2))
    assert once.statistics == again.statistics
    assert once.statistics["AI"].low != other.statistics["AI"].low


@pytest.mark.parametrize("correlate", ["vertex", "image"])
def test_null_models_are_rejected_at_five_percent(correlate):
    """600 predictions that know nothing; vertices share their noise, as cortex does."""
    settings = EncodingSettings(n_permutations=199, n_subsamples=2, correlate=correlate)
    p = []
    for k in range(300):
        rng = np.random.default_rng([5, k])
        mixing = rng.normal(size=(3, 20))
        predicted = {kind: rng.normal(size=(20, 3)) @ mixing for kind in ("AN", "AI")}
        measured = {kind: (rng.normal(size=(20, 3)) @ mixing).astype(np.float32) for kind in ("AN", "AI")}
        found = assess_generalisation(predicted, measured, settings=settings, seed=k, layer="layer1")
        p += [found.statistics[kind].p for kind in ("AN", "AI")]
    assert 0.03 <= np.mean(np.array(p) <= 0.05) <= 0.07


def test_accuracy_does_not_depend_on_the_scale_of_either_side():
    predicted, measured = responses(seed=1).astype(float), responses(seed=2)
    before = vertex_accuracies(predicted, measured)
    np.testing.assert_allclose(vertex_accuracies(300 * predicted + 7, measured), before, atol=1e-10)
    np.testing.assert_allclose(vertex_accuracies(predicted, -2 * measured), -before, atol=1e-6)


def test_the_order_of_images_does_not_matter_when_both_sides_move():
    predicted, measured = responses(seed=1).astype(float), responses(seed=2)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_allclose(vertex_accuracies(predicted[order], measured[order]),
                               vertex_accuracies(predicted, measured), atol=1e-10)


# --- a fabricated study on disk ------------------------------------------------------------------------

@pytest.fixture(scope="module")
def fabricated(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("encoding") / "study")


def test_a_subjects_models_are_trained_tested_and_written(fabricated):
    layout, settings = fabricated
    table = table_of("encode", layout, settings)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 4 * len(ROIS) * len(LAYERS)
    by_name = table.set_index(["layer", "roi", "type"])
    for roi in ROIS:
        assert by_name.loc[("layer1", roi, "AI"), "p"] == pytest.approx(1 / 201)
        assert by_name.loc[("layer1", roi, "AI"), "effect"] > 0.8
        assert abs(by_name.loc[("layer1", roi, "AN"), "effect"]) < 0.3
        assert by_name.loc[("layer1", roi, "AI minus AN"), "low"] > 0
        assert by_name.loc[("layer1", roi, "AI"), "sparsity"] == 1
        # unit signal and noise of .3 in each of two presentations, session means off
        assert by_name.loc[("layer1", roi, "AI"), "ceiling_high"] == pytest.approx((1 / (1 + 0.09 / 2))**0.5, abs=0.02)
        assert by_name.loc[("layer5", roi, "AN"), "ceiling_low"] == pytest.approx((1 / (1 + 0.09 / 2))**0.5, abs=0.02)
        assert math.isnan(by_name.loc[("layer1", roi, "AI minus AN"), "ceiling_high"])
        assert by_name.loc[("layer1", roi, "AI"), "effect"] > by_name.loc[("layer5", roi, "AI"), "effect"]


def test_the_vertices_file_holds_each_vertexs_accuracy(fabricated):
    layout, settings = fabricated
    table = table_of("encode", layout, settings).set_index(["roi", "layer", "type"])
    with h5py.File(layout.derivative("encoding", sub="01", suffix="encoding.h5")) as file:
        assert list(file) == list(ROIS)
        for roi in ROIS:
            assert len(file[roi]["vertices_L"]) == len(file[roi]["vertices_R"]) == 15
            for layer in LAYERS:
                part = file[roi][layer]
                assert part["AI"].shape == (30,)
                assert part["AI"][()].mean() == pytest.approx(table.loc[(roi, layer, "AI"), "effect"], abs=1e-6)
                assert part.attrs["sparsity"] == table.loc[(roi, layer, "AI"), "sparsity"]
                assert part["candidates"][()].tolist() == [1, 2]


def test_current_models_are_read_back_and_a_changed_file_made_again(fabricated):
    layout, settings = fabricated
    before = table_of("encode", layout, settings)
    paths = [layout.derivative("encoding", sub="01", suffix=f"encoding.{kind}") for kind in ("tsv", "h5")]
    stamps = [path.stat().st_mtime_ns for path in paths]
    assert table_of("encode", layout, settings).equals(before)
    assert [path.stat().st_mtime_ns for path in paths] == stamps
    paths[1].write_bytes(b"torn")
    assert table_of("encode", layout, settings).equals(before)
    assert paths[1].stat().st_size > 1000


def test_a_table_of_an_older_version_is_made_again_and_refused_by_the_report(fabricated):
    layout, settings = fabricated
    before = table_of("encode", layout, settings)
    path = layout.derivative("encoding", sub="01", suffix="encoding.tsv")
    write_table(path, before.drop(columns=["paper_p"]), overwrite=True)
    beside = read_json(sidecar_path(path))
    write_json(sidecar_path(path), {**beside, "digest": digest_file(path)}, overwrite=True)
    work = encode_plan(Request(layout=layout, settings=settings, subjects=("01",)))[0]
    with pytest.raises(AnalysisError, match="no column 'paper_p'"):
        work.check()
    assert table_of("encode", layout, settings).equals(before)


def test_a_fixed_level_and_correlations_over_vertices(fabricated):
    layout, _ = fabricated
    settings = load_settings(layout.root, overrides={"encoding.sparsity": 2, "encoding.correlate": "image"})
    table = table_of("encode", layout, settings).set_index(["layer", "roi", "type"])
    assert set(table["sparsity"]) == {2}
    assert table.loc[("layer1", "V1", "AI"), "effect"] > 0.7
    for key in (("layer1", "V1", "AI"), ("layer4", "LO", "AN")):
        assert table.loc[key, "low"] < table.loc[key, "effect"] < table.loc[key, "high"]


def test_the_last_layer_is_read_by_its_logits_too(tmp_path):
    layout, settings = make_study(tmp_path / "study")
    names = base_images(settings.stimuli)
    units = make_units(len(names))
    layout.features("demo").unlink()
    write_features(layout, names, {**units, "logits": units["layer1"]}, readings=("logits",))
    table = table_of("encode", layout, settings)
    assert list(table["layer"].unique()) == [*LAYERS, "layer8 by logits"]
    found = table.set_index(["layer", "roi", "type"])["effect"]
    for kind in ("RE", "AN", "AI"):  # the logits are layer1's units here: only the draws of the intervals differ
        assert found["layer8 by logits", "V1", kind] == pytest.approx(found["layer1", "V1", kind])
    readings = split_readings(table, column="layer")
    assert list(readings["logits"]["layer"].unique()) == list(LAYERS)
    assert len(readings["logits"]) == len(readings["softmax"]) == 160


def test_candidates_too_large_for_the_study_are_refused(fabricated):
    layout, _ = fabricated
    settings = load_settings(layout.root, overrides={"encoding.candidates": (1, 8)})
    text = "sub-01 layer1: sparsity level 8 with 16 training images; expected at most 5"
    with pytest.raises(AnalysisError, match=text):
        table_of("encode", layout, settings)
