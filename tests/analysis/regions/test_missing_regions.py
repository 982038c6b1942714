"""Which regions a study has, and subjects whose labels lack one: refused, or left out and said."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from analysis.data.sources import labels_path
from analysis.regions.labels import ROIS, read_named_labels, read_present, read_regions, write_labels
from analysis.regions.selecting import load_selected, selection_paths
from subjects.errors import AnalysisError
from subjects.settings.analysis import RoiSettings
from subjects.settings.loading import load_settings
from subjects.store import read_json, read_table
from tests.analysis.fabricated import make_labels, make_study, sign_simulated
from tests.analysis.running_steps import patterns_of, run, table_of

LEAVE_OUT = {"missing_regions": "leave_out"}


def write_pair(folder, *, left=ROIS, right=ROIS):
    """Both hemispheres' labels, each with some of the regions alone; a region's number is its place there."""
    paths = {}
    for hemi, names in (("L", left), ("R", right)):
        drawn = np.zeros(60, dtype=np.int16)
        for k, name in enumerate(names, start=1):
            drawn[make_labels()[:60] == ROIS.index(name) + 1] = k
        paths[hemi] = write_labels(folder / f"hemi-{hemi}.label.gii", drawn, hemi=hemi, names=names)
    return paths


def test_the_regions_of_a_study_are_read_by_name_in_its_order(tmp_path):
    found = read_regions(write_pair(tmp_path), settings=RoiSettings(regions=("LO", "V1")), where="sub-01")
    wanted = make_labels()[:60]
    assert (found.names, dict(found.left_out)) == (("LO", "V1"), {})
    for hemi in "LR":
        np.testing.assert_array_equal(found.labels[hemi], np.select([wanted == 5, wanted == 1], [1, 2], 0))


@pytest.mark.parametrize("gone", ["label", "vertices"])
def test_a_region_that_one_hemisphere_lacks_is_refused_or_left_out_of_both(tmp_path, gone, caplog):
    paths = write_pair(tmp_path, left=("V1", "V2", "V3", "LO"))
    if gone == "vertices":  # named in the table, drawn nowhere
        labels, keys = read_named_labels(paths["L"])
        order = sorted(keys, key=keys.__getitem__)[1:]
        write_labels(paths["L"], labels.astype(np.int16), hemi="L", names=(*order, "V4"), overwrite=True)
    with pytest.raises(AnalysisError, match=r"sub-01: V4: no vertex of it in hemi-L \(labels: .*\); expected V1, V2, "
                                            r"V3, V4, LO \(roi.regions\) in both hemispheres.*missing_regions"):
        read_regions(paths, settings=RoiSettings(), where="sub-01")
    found = read_regions(paths, settings=RoiSettings(**LEAVE_OUT), where="sub-01")
    assert found.names == ("V1", "V2", "V3", "LO")
    assert found.left_out == {"V4": "no vertex of it in hemi-L"}
    assert found.labels["R"].max() == 4
    assert not found.labels["R"][make_labels()[:60] == 4].any()
    assert "sub-01: V4 is left out: no vertex of it in hemi-L" in caplog.text


def test_a_subject_with_none_of_the_regions_is_refused_even_then(tmp_path):
    paths = write_pair(tmp_path, left=("V1",), right=("V2",))
    with pytest.raises(AnalysisError, match="V1: no vertex of it in hemi-R"):
        read_regions(paths, settings=RoiSettings(**LEAVE_OUT), where="sub-01")


def test_two_labels_of_one_name_are_refused(tmp_path):
    path = write_labels(tmp_path / "a.label.gii", make_labels(), hemi="L", names=("V1", "V2", "V3", "V2", "LO"))
    with pytest.raises(AnalysisError, match="two labels named 'V2'"):
        read_named_labels(path)


def test_maps_are_summed_up_over_the_regions_that_are_there(tmp_path):
    path = write_pair(tmp_path, left=("V2", "LO"))["L"]
    labels, names = read_present(path, hemi="L", names=("V1", "LO", "V2"))
    assert names == ("LO", "V2")
    np.testing.assert_array_equal(labels == 2, make_labels()[:60] == 2)


@pytest.mark.parametrize("given", [(), ("V1", "V1"), ("V1", ""), (" V1",), ("a/b",), ("all",)])
def test_names_that_are_none_are_refused(given):
    with pytest.raises(ValidationError, match="regions must be|is no name of a region"):
        RoiSettings(regions=given)


@pytest.fixture(scope="module")
def partial_study(tmp_path_factory):
    """A subject without V4 in the right hemisphere, whose study accepts that."""
    layout, _ = make_study(tmp_path_factory.mktemp("partial") / "study")
    path = labels_path(layout, source="simulated", sub="01", hemi="R")
    drawn = make_labels()
    drawn[drawn == 4] = 0
    write_labels(path, drawn, hemi="R", overwrite=True)
    sign_simulated(layout, "01")
    quick = {"roi.missing_regions": "leave_out", "roi.bias_draws": 2, "rsa.n_permutations": 50,
             "rsa.n_bootstraps": 50}
    return layout, load_settings(layout.root, overrides=quick)


def test_patterns_similarities_and_selection_have_the_other_regions(partial_study):
    layout, settings = partial_study
    left = ("V1", "V2", "V3", "LO")
    assert tuple(patterns_of(layout, settings)) == left
    table = table_of("rsa", layout, settings)
    assert tuple(dict.fromkeys(table["place"])) == left
    done = run("select", layout, settings)
    assert set(read_table(done.works[0].outputs[0])["roi"]) == set(left)
    said = read_json(done.works[0].outputs[0].with_suffix(".json"))
    assert said["RegionsLeftOut"] == {"V4": "no vertex of it in hemi-R"}
    assert tuple(load_selected(selection_paths(layout, sub="01")["L"])) == left


def test_fewer_regions_of_a_study_are_the_same_vertices_as_among_all(partial_study):
    """With a disk of its own region's vertices alone, a region's choice hangs on no other region."""
    layout, settings = partial_study
    two = settings.model_copy(update={"roi": settings.roi.model_copy(update={"regions": ("LO", "V2")})})
    every, found = patterns_of(layout, settings), patterns_of(layout, two)
    assert tuple(found) == ("LO", "V2")
    for roi in found:
        for hemi in "LR":
            np.testing.assert_array_equal(found[roi].vertices[hemi], every[roi].vertices[hemi])


def test_without_consent_the_step_refuses(partial_study):
    layout, settings = partial_study
    strict = settings.model_copy(update={"roi": settings.roi.model_copy(update={"missing_regions": "refuse"})})
    with pytest.raises(AnalysisError, match="V4: no vertex of it in hemi-R"):
        run("rsa", layout, strict)
