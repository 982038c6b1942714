"""The step on a study with known answers: the layer that the brain follows is the one that predicts it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.encoding.predictivity.run import COLUMNS, plan
from analysis.encoding.predictivity.scores import predictivity
from analysis.regions.labels import ROIS
from subjects.errors import AnalysisError
from subjects.provenance import derive_seed
from subjects.settings.models import PredictivitySettings
from tests.analysis.fabricated import LAYERS, image_id, make_study, make_units, write_features
from tests.analysis.running_steps import ask, patterns_of, run, table_of


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    layout, settings = make_study(tmp_path_factory.mktemp("predictivity"))
    chosen = PredictivitySettings(n_splits=5, images=("all", "RE", "AN"))
    return layout, settings.model_copy(update={"predictivity": chosen})


@pytest.fixture(scope="module")
def table(study):
    return table_of("predictivity", *study)


def test_every_layer_region_and_kind_of_images_has_a_row(table):
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == len(LAYERS) * len(ROIS) * 3
    assert table["n"].tolist()[:3] == [60, 20, 20]
    assert set(table["n_sites"]) == {30}


def test_the_layer_that_the_vertices_follow_predicts_them_best(table):
    found = table[table["images"] == "RE"].groupby("layer")["effect"].mean()
    assert found.idxmax() == "layer1"
    assert found["layer1"] > 0.3 > np.abs(found.drop("layer1")).max()
    noise = table[(table["images"] == "AN") & (table["layer"] == "layer1")]
    assert abs(noise["effect"].mean()) < 0.3


def test_the_ceiling_is_that_of_the_planted_noise(table):
    """Signal of variance 1 and noise of .3 in each presentation: r = 1 / 1.09 between them."""
    found = table[table["images"] == "RE"]["split_half"].mean()
    assert found == pytest.approx(1 / 1.09, abs=0.05)
    whole = table["reliability"].to_numpy()
    half = table["split_half"].to_numpy()
    np.testing.assert_allclose(whole, 2 * half / (1 + half), rtol=1e-6)
    np.testing.assert_allclose(table["of_highest"], table["effect"] / np.sqrt(whole), rtol=1e-6)


def test_a_row_is_that_of_the_core_on_the_subjects_patterns(study, table):
    layout, settings = study
    patterns = patterns_of(layout, settings)["V1"]
    units = make_units(20)["layer1"]["RE"]
    ids = [image_id(name, "RE") for name in patterns.base_images]
    assert patterns.image_ids["RE"] == tuple(ids)
    seed = derive_seed(settings.study.seed, "01", "V1", "RE", "predictivity")
    found = predictivity(units.astype(np.float32), patterns.responses["RE"], rng=np.random.default_rng(seed),
                         n_splits=5, groups=patterns.base_images,
                         blocks=[f"{ses} RE" for ses in patterns.sessions])
    row = table[(table["roi"] == "V1") & (table["images"] == "RE") & (table["layer"] == "layer1")].iloc[0]
    assert row["effect"] == pytest.approx(found.score, abs=1e-6)
    assert int(row["seed"]) == seed


def test_it_is_reused_until_its_settings_change(study):
    layout, settings = study
    assert run("predictivity", layout, settings).all_reused
    other = settings.model_copy(update={"predictivity": PredictivitySettings(n_splits=4, images=("RE",))})
    assert not run("predictivity", layout, other).all_reused
    run("predictivity", layout, settings)


def test_another_networks_table_has_its_name(study):
    layout, settings = study
    write_features(layout, tuple(patterns_of(layout, settings)["V1"].base_images), make_units(20), network="demo@h",
                   digest="1" * 16)
    work, = plan(dataclasses.replace(ask(layout, settings), network="demo@h"))
    assert work.outputs[0].name == "sub-01_network-demoh_predictivity.tsv"


def test_more_splits_than_images_allow_are_refused(study):
    layout, settings = study
    many = settings.model_copy(update={"predictivity": PredictivitySettings(n_splits=10, images=("RE",))})
    with pytest.raises(AnalysisError, match=r"20 images in 10 parts.*predictivity.n_splits"):
        run("predictivity", layout, many)
