"""Selected patterns: chosen by RE alone, joined by name, on one mesh."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.regions.labels import ROIS
from analysis.regions.patterns import RoiPatterns, select_patterns
from stimuli.manifest import Manifest, read_manifest, write_manifest
from subjects.errors import AnalysisError
from subjects.settings.study import RoiSettings
from tests.analysis.fabricated import COLUMNS, make_betas, make_labels, make_study, make_surface, make_units
from tests.analysis.running_steps import patterns_of

NAMES = tuple(f"dogs-{k:02d}" for k in range(1, 13))
SETTINGS = RoiSettings(vertices_per_hemisphere=15, min_disk=6, session_means="kept")


@pytest.fixture(scope="module")
def parts():
    units = make_units(len(NAMES))["layer1"]
    betas = {hemi: make_betas(NAMES, units, hemi=hemi, seed=1, noise=1.5) for hemi in ("L", "R")}
    disks = {hemi: make_surface(hemi).disks(3.0) for hemi in ("L", "R")}
    return betas, disks, {hemi: make_labels() for hemi in ("L", "R")}


def choose(parts, **changed):
    betas, disks, labels = parts
    given = {"disks": disks, "labels": labels, "settings": SETTINGS, **changed}
    return select_patterns(changed.pop("betas", betas), **{k: v for k, v in given.items() if k != "betas"})


def with_values(betas, *, rows, add):
    values = betas.values.copy()
    values[rows] += add
    return dataclasses.replace(betas, values=values)


def test_each_region_gives_its_vertices_of_both_hemispheres(parts):
    found = choose(parts)
    assert list(found) == list(ROIS)
    for k, roi in enumerate(ROIS):
        assert found[roi].responses["AN"].shape == (12, 30)
        for hemi in ("L", "R"):
            assert set(found[roi].vertices[hemi] % COLUMNS // 5) == {k}


def test_responses_are_the_mean_of_presentations_at_the_chosen_vertices(parts):
    betas = parts[0]
    patterns = choose(parts)["V2"]
    left = patterns.vertices["L"]
    for kind in ("RE", "AN", "AI"):
        halves = [betas["L"].select(type=kind, presentation=k)[:, left] for k in (1, 2)]
        np.testing.assert_allclose(patterns.responses[kind][:, :15], np.mean(halves, axis=0), atol=1e-6)
    np.testing.assert_array_equal(patterns.halves[1][:, 15:],
                                  betas["R"].select(type="RE", presentation=2)[:, patterns.vertices["R"]])


@pytest.mark.parametrize(("kind", "changes"), [("AN", False), ("AI", False), ("blank", False), ("RE", True)])
def test_only_re_responses_choose_vertices(parts, kind, changes):
    betas = parts[0]
    rows = np.flatnonzero(betas["L"].conditions["type"] == kind)
    noise = 5 * np.random.default_rng(3).normal(size=(len(rows), betas["L"].values.shape[1])).astype(np.float32)
    before = choose(parts)
    after = choose(parts, betas={**betas, "L": with_values(betas["L"], rows=rows, add=noise)})
    same = all(np.array_equal(before[roi].vertices["L"], after[roi].vertices["L"]) for roi in ROIS)
    assert same is not changes


def test_the_order_of_conditions_in_the_file_changes_nothing(parts):
    betas = parts[0]
    order = np.random.default_rng(2).permutation(len(betas["R"].conditions))
    shuffled = dataclasses.replace(betas["R"], values=betas["R"].values[order],
                                   conditions=betas["R"].conditions.iloc[order].reset_index(drop=True))
    before, after = choose(parts)["LO"], choose(parts, betas={"L": betas["L"], "R": shuffled})["LO"]
    assert after.base_images == before.base_images
    np.testing.assert_array_equal(after.responses["AI"], before.responses["AI"])


def test_one_base_image_missing_in_a_hemisphere(parts):
    betas = parts[0]
    kept = np.flatnonzero(betas["R"].conditions["base_image"] != "dogs-12")
    fewer = dataclasses.replace(betas["R"], values=betas["R"].values[kept],
                                conditions=betas["R"].conditions.iloc[kept].reset_index(drop=True))
    with pytest.raises(AnalysisError, match=r"'dogs-12' in one hemisphere only"):
        choose(parts, betas={"L": betas["L"], "R": fewer})


def test_one_vertex_too_few_in_the_labels(parts):
    labels = {"L": make_labels()[:-1], "R": make_labels()}
    with pytest.raises(AnalysisError, match="betas of 300 vertices, surface of 300 vertices, labels of 299 vertices"):
        choose(parts, labels=labels)


def test_too_few_vertices_name_subject_hemisphere_and_region(parts):
    with pytest.raises(AnalysisError, match="subject hemi-L V1: 60 of 60 vertices.*expected 61 of them"):
        choose(parts, settings=RoiSettings(vertices_per_hemisphere=61, min_disk=6))


def test_arrays_of_another_shape_are_refused():
    values = np.zeros((2, 3), dtype=np.float32)
    vertices = {"L": np.arange(3)}
    RoiPatterns("V1", ("a", "b"), ("01", "01"), {}, {"RE": values}, (values, values), vertices)
    with pytest.raises(AnalysisError, match=r"V1, AN: responses of shape \(2, 2\); expected \(2, 3\)"):
        RoiPatterns("V1", ("a", "b"), ("01", "01"), {}, {"RE": values, "AN": values[:, :2]}, (values, values), vertices)


def test_patterns_come_from_the_studys_files(tmp_path):
    layout, settings = make_study(tmp_path / "study")
    found = patterns_of(layout, settings)
    assert found["V3"].responses["RE"].shape == (20, 30)
    assert found["V3"].base_images[0] == "dogs-01"


def test_a_pattern_that_a_whole_session_shares_changes_nothing_unless_means_are_kept(parts):
    betas = parts[0]
    rng = np.random.default_rng(3)
    shared = {}
    for hemi, one in betas.items():
        rows = np.flatnonzero(one.conditions["session"] == one.conditions["session"].iloc[0])
        shared[hemi] = with_values(one, rows=rows, add=rng.normal(size=one.values.shape[1]).astype(np.float32))
    assert betas["L"].conditions["session"].nunique() == 2
    removed = SETTINGS.model_copy(update={"session_means": "removed"})
    with_, without = (choose(parts, betas=given, settings=removed)["V3"] for given in (shared, betas))
    np.testing.assert_allclose(with_.responses["AI"], without.responses["AI"], atol=1e-5)
    with_, without = (choose(parts, betas=given)["V3"] for given in (shared, betas))
    assert np.abs(with_.responses["AI"] - without.responses["AI"]).max() > 0.5


def test_what_is_tested_on_never_enters_what_is_trained_on(parts):
    betas = parts[0]
    removed = SETTINGS.model_copy(update={"session_means": "removed"})
    before = choose(parts, settings=removed)["V4"]
    moved = {hemi: with_values(one, rows=np.flatnonzero(one.conditions["type"] == "AI"), add=3.0)
             for hemi, one in betas.items()}
    after = choose(parts, betas=moved, settings=removed)["V4"]
    np.testing.assert_array_equal(after.responses["RE"], before.responses["RE"])
    np.testing.assert_array_equal(after.responses["AN"], before.responses["AN"])


def test_sessions_and_shown_images_go_with_the_rows(parts):
    found = choose(parts)["V1"]
    one = parts[0]["L"].conditions
    for k, name in enumerate(found.base_images):
        rows = one[(one["base_image"] == name) & (one["type"] == "AI")]
        assert set(rows["session"]) == {found.sessions[k]}
        assert set(rows["image_id"]) == {found.image_ids["AI"][k]}


def test_another_image_in_one_hemisphere_is_named(parts):
    betas = dict(parts[0])
    table = betas["R"].conditions.copy()
    table.loc[(table["base_image"] == NAMES[2]) & (table["type"] == "AN"), "image_id"] = "px-else"
    betas["R"] = dataclasses.replace(betas["R"], conditions=table)
    with pytest.raises(AnalysisError, match="AN images .* and px-else in the same place"):
        choose(parts, betas=betas)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_image_of_one_response_everywhere_is_named_although_session_means_would_hide_it(parts, value):
    betas = dict(parts[0])
    table = betas["L"].conditions
    row = np.flatnonzero((table["base_image"] == NAMES[1]) & (table["type"] == "AI") & (table["presentation"] == 2))
    values = betas["L"].values.copy()
    values[row] = value
    betas["L"] = dataclasses.replace(betas["L"], values=values)
    with pytest.raises(AnalysisError, match=rf"hemi-L, AI of {NAMES[1]}, presentation 2: one response, {value:g}, at"):
        choose(parts, betas=betas)


def test_a_set_that_was_exchanged_after_the_scan_is_refused(tmp_path):
    layout, settings = make_study(tmp_path / "study")
    manifest = read_manifest(layout.manifest)
    first, second = (manifest.get(base_image=name, type="AI") for name in manifest.base_images[:2])
    swapped = {first.image_id: second, second.image_id: first}
    rows = tuple(dataclasses.replace(one, image_id=swapped[one.image_id].image_id, file=swapped[one.image_id].file)
                 if one.image_id in swapped else one for one in manifest.stimuli)
    write_manifest(layout.manifest, Manifest(rows), overwrite=True)
    with pytest.raises(AnalysisError, match=f"{first.image_id} was shown as AI of {first.base_image}; "
                                            f"expected {second.image_id}, as in the manifest"):
        patterns_of(layout, settings)


def test_session_means_are_those_of_the_images_alone(parts):
    one = parts[0]["R"]
    found = one.without_session_means()
    shown = one.conditions[one.conditions["type"] != "blank"]
    for name, images in shown.groupby(["session", "type", "presentation"]).groups.items():
        mean = sum(one.values[row].astype(float) for row in images) / len(images)
        for row in images:
            np.testing.assert_allclose(found.values[row], one.values[row] - mean, atol=1e-5, err_msg=str(name))
    for kind in ("RE", "AN", "AI"):  # the mean of both presentations has one mean of both taken off
        both = one.select(type=kind)
        sessions = np.array(one.sessions())
        wanted = both - np.stack([both[sessions == ses].mean(axis=0) for ses in sessions])
        np.testing.assert_allclose(found.select(type=kind), wanted, atol=1e-4)
    blanks = (one.conditions["type"] == "blank").to_numpy()
    assert blanks.any()
    np.testing.assert_array_equal(found.values[blanks], one.values[blanks])
