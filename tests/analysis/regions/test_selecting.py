"""The step ``select``: the vertices of rsa and encode, and what is said of them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from analysis.regions.labels import ROIS
from analysis.regions.selecting import load_selected, selection_paths
from subjects.settings.loading import load_settings
from subjects.store import read_json, read_table
from tests.analysis.fabricated import COLUMNS, make_study
from tests.analysis.running_steps import patterns_of, run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    layout, _ = make_study(tmp_path_factory.mktemp("select") / "study")
    settings = load_settings(layout.root, overrides={"roi.bias_draws": 20})
    done = run("select", layout, settings)
    return layout, settings, done


def test_the_vertices_are_those_that_rsa_and_encode_choose(made):
    layout, settings, _ = made
    wanted = patterns_of(layout, settings)
    for hemi, path in selection_paths(layout, sub="01").items():
        found = load_selected(path)
        for roi in ROIS:
            np.testing.assert_array_equal(found[roi], wanted[roi].vertices[hemi])


def test_the_dissimilarities_kept_are_those_that_the_map_correlates(made):
    layout, _, _ = made
    with h5py.File(selection_paths(layout, sub="01")["R"]) as file:
        group = file["V2"]
        for vertex, one, two in zip(group["vertices"][:], group["rdm_1"][:], group["rdm_2"][:], strict=True):
            assert spearmanr(one, two).statistic == pytest.approx(file["rho"][vertex], abs=1e-4)
        sizes = file["disk_sizes"][:]
    assert sizes.max() <= 25
    assert one.shape == (20 * 19 // 2,)


def test_the_table_counts_vertices_disks_and_borders(made):
    _, _, done = made
    table = read_table(done.works[0].outputs[0], text_columns=("sub",))
    assert table[["hemi", "roi"]].to_numpy().tolist() == [[hemi, roi] for hemi in "LR" for roi in ROIS]
    assert set(table["n_vertices"]) == {60}
    assert set(table["n_chosen"]) == {15}
    assert set(table["other_disk"]) == {"whole"}
    assert (table["n_chosen_by_both"] <= 15).all()
    inner = table[table["roi"].isin(["V2", "V3", "V4"])]
    assert set(inner["near_border_all"]) == {1.0}  # bands of five columns
    outer = table[table["roi"] == "V1"]["near_border_all"]
    assert set(outer) == {3 / 5}  # two columns of five are further than 3 mm from V2
    assert "flat over folded area 1.00" in read_json(done.works[0].outputs[0].with_suffix(".json"))["FlatMap"]["L"]
    assert (COLUMNS, table["n_silent"].sum()) == (25, 0)


def test_the_bias_is_told_of_every_region_and_comparison(made):
    _, _, done = made
    table = read_table(done.works[0].outputs[1], text_columns=("sub",))
    assert table[["roi", "comparison"]].to_numpy().tolist() == [[roi, f"RE-{kind}"] for roi in ROIS
                                                                 for kind in ("AN", "AI")]
    assert (table["bias"].abs() < 5 * table["standard_error"] + 0.02).all()
    assert "largest bias of a similarity by the choice" in done.works[0].tell()


def test_the_choice_is_drawn(made):
    _, _, done = made
    with Image.open(done.works[0].companions["png_digest"]) as picture:
        assert picture.width > 1200
        colors = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(colors) > 200  # two maps, their scales
    assert "Distortion of the flat maps" in done.works[0].companions["svg_digest"].read_text(encoding="utf-8")


def test_without_draws_no_bias_is_told(made):
    layout, settings, _ = made
    quiet = settings.model_copy(update={"roi": settings.roi.model_copy(update={"bias_draws": 0})})
    done = run("select", layout, quiet)
    assert not len(read_table(done.works[0].outputs[1]))
    assert "bias" not in done.works[0].tell()
    assert done.reused == ()
    assert run("select", layout, quiet).all_reused


def test_another_kind_of_disk_that_gives_too_few_is_said_and_refuses_nothing(made, caplog):
    """Whole disks of 25 and more at the border, none so large within a region."""
    layout, settings, _ = made
    large = {"disk": "whole", "min_disk": 23, "bias_draws": 0}
    done = run("select", layout, settings.model_copy(update={"roi": settings.roi.model_copy(update=large)}))
    assert "with roi.disk = 'region', for comparison: sub-01 hemi-L V1: " in caplog.text
    table = read_table(done.works[0].outputs[0])
    assert table[table["hemi"] == "L"]["n_chosen_by_both"].isna().all()
    assert set(table["n_chosen"]) == {15}
