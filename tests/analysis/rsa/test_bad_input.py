"""What comes of faulty or partial data: a named error, or a treatment that is defined, told, and the same as without.

The study is fabricated: 20 base images in two sessions, 5 regions, two hemispheres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.glm.betas import Betas, load_betas, save_betas
from analysis.rsa.compare import DIFFERENCE, compare_types
from analysis.rsa.rdm import RDM, compute_rdm
from analysis.rsa.run import region_similarities
from analysis.rsa.searchlight.disks import search
from analysis.rsa.similarity import similarity
from analysis.statistics.dissimilarity import WHITENED
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.provenance import sidecar
from subjects.settings.analysis import RsaSettings
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from tests.analysis.fabricated import make_study
from tests.analysis.running_steps import patterns_of, table_of

CHANGES = {"rsa.n_permutations": 50, "rsa.n_bootstraps": 20}
FEW = RsaSettings(n_permutations=50, n_bootstraps=20)


@pytest.fixture
def study(tmp_path) -> tuple[Layout, Settings]:
    layout, _ = make_study(tmp_path / "study")
    return layout, load_settings(layout.root, overrides=CHANGES)


def change(layout: Layout, by: Callable[[Betas], Betas], *, hemis: str = "LR") -> None:
    """Change the betas of a subject on disk."""
    for hemi in hemis:
        path = layout.derivative("glm", sub="01", hemi=hemi, suffix="betas.h5")
        changed = by(load_betas(path, sub="01", hemi=hemi))
        path.unlink()
        save_betas(path, changed)


def consent(layout: Layout) -> None:
    """Say of the betas that they were fitted without a session, as ``analysis.accept`` allows."""
    for hemi in "LR":
        sidecar(layout.derivative("glm", sub="01", hemi=hemi, suffix="betas.h5"), inputs={}, parameters={},
                extra={"MissingRuns": "1 of 2 sessions"})


def rows_kept(betas: Betas, kept: pd.Series) -> Betas:
    places = np.flatnonzero(kept.to_numpy())
    return replace(betas, values=betas.values[places], conditions=betas.conditions.iloc[places].reset_index(drop=True))


def names(n: int) -> tuple[str, ...]:
    return tuple(f"dogs-{k:02}" for k in range(n))


def responses(n: int = 20, *, n_vertices: int = 30, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {kind: generator.normal(size=(n, n_vertices)).astype(np.float32) for kind in ("RE", "AN", "AI")}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_vertex_without_a_value_is_never_chosen_and_changes_nothing_else(study, value) -> None:
    layout, settings = study
    chosen = patterns_of(layout, settings)["V1"].vertices["L"]

    def spoil(betas: Betas) -> Betas:
        values = betas.values.copy()
        values[7, chosen[0]] = value
        return replace(betas, values=values)

    change(layout, spoil, hemis="L")
    found = patterns_of(layout, settings)["V1"]
    assert chosen[0] not in found.vertices["L"]
    assert all(np.isfinite(one).all() for one in found.responses.values())
    table = table_of("rsa", layout, settings)
    assert table["effect"].notna().all()


def test_a_chosen_vertex_without_a_value_in_another_type_is_named(study) -> None:
    """Vertices are chosen by their RE responses alone."""
    layout, settings = study
    chosen = patterns_of(layout, settings)["V1"].vertices["L"]

    def spoil(betas: Betas) -> Betas:
        values = betas.values.copy()
        values[betas.conditions["type"] == "AN", chosen[0]] = np.nan
        return replace(betas, values=values)

    change(layout, spoil, hemis="L")
    with pytest.raises(AnalysisError, match=r"sub-01 V1, AN: 20 pattern\(s\) with NaN or infinity, first 'dogs-01'"):
        table_of("rsa", layout, settings)


def test_a_vertex_without_a_value_in_arrays_is_named_with_the_image() -> None:
    kinds = responses()
    kinds["AI"][3, 5] = np.nan
    with pytest.raises(AnalysisError, match=r"V1, AI: 1 pattern\(s\) with NaN or infinity, first 'dogs-03'"):
        compare_types(kinds, labels=names(20), settings=FEW, seed=1, percent=68, where="V1")


def test_a_searchlight_leaves_such_a_vertex_out_of_all_disks() -> None:
    kinds = responses(8, n_vertices=12)
    kinds["AN"][2, 4] = np.nan
    everything = (np.arange(0, 145, 12), np.tile(np.arange(12), 12))
    found = search(kinds, disks=everything, min_disk=3)
    without = {kind: np.delete(values, 4, axis=1) for kind, values in kinds.items()}
    rdms = {kind: compute_rdm(values, labels=names(8)) for kind, values in without.items()}
    assert np.isnan(found.rho["AN"][4])
    assert found.rho["AN"][0] == pytest.approx(similarity(rdms["RE"], rdms["AN"]), abs=1e-5)
    assert set(found.n_used[[0, 1, 2]]) == {11}


@pytest.mark.parametrize("kind", ["RE", "AN", "AI"])
def test_a_constant_pattern_is_named_and_euclidean_distances_take_it(kind: str) -> None:
    kinds = responses()
    kinds[kind][4] = 0.25
    with pytest.raises(AnalysisError, match=rf"V2, {kind}: 1 constant pattern\(s\), first 'dogs-04'.*euclidean"):
        compare_types(kinds, labels=names(20), settings=FEW, seed=1, percent=68, where="V2")
    found = compare_types(kinds, labels=names(20), seed=1, percent=68,
                          settings=FEW.model_copy(update={"dissimilarity": "euclidean"}))
    assert np.isfinite(found.statistics["RE-AI"].effect)


def test_an_rdm_that_is_constant_is_named() -> None:
    flat = RDM(names(5), np.ones(10), "euclidean")
    with pytest.raises(AnalysisError, match="an RDM with one and the same value for all pairs"):
        similarity(flat, RDM(names(5), np.arange(10.0), "euclidean"), by="tau_a")


@pytest.mark.parametrize("missing", ["an image", "a session"])
def test_images_that_are_missing_are_refused_and_by_consent_left_out(study, caplog, missing: str) -> None:
    """19 of 20 images, or the 10 of one session, among which labels are then shuffled."""
    layout, settings = study
    column, gone, n = ("base_image", "dogs-03", 19) if missing == "an image" else ("session", "02", 10)
    change(layout, lambda betas: rows_kept(betas, betas.conditions[column] != gone))
    said = rf"betas of {n} of 20 base images \(not dogs-0\d\); expected those of every image"
    with pytest.raises(AnalysisError, match=said):
        table_of("rsa", layout, settings)
    consent(layout)
    found = region_similarities(patterns_of(layout, settings)["V1"], settings=settings.rsa, sub="01", seed=1)
    assert {one.n for one in found.statistics.values()} == {n}
    assert all(0 < one.p <= 1 for one in found.statistics.values())
    assert f"betas without all that was planned (1 of 2 sessions): {n} of 20 base images" in caplog.text


def test_an_image_that_lacks_one_type_is_refused(study) -> None:
    layout, settings = study
    change(layout, lambda betas: rows_kept(betas, (betas.conditions["base_image"] != "dogs-03")
                                           | (betas.conditions["type"] != "AI")))
    with pytest.raises(AnalysisError, match="no condition of dogs-03 as AI; expected every base image in every type"):
        table_of("rsa", layout, settings)


def test_an_image_in_one_hemisphere_only_is_refused(study) -> None:
    layout, settings = study
    change(layout, lambda betas: rows_kept(betas, betas.conditions["base_image"] != "dogs-03"), hemis="L")
    consent(layout)
    with pytest.raises(AnalysisError, match="base image 'dogs-03' in one hemisphere only"):
        patterns_of(layout, settings)


def test_another_order_of_rows_in_one_file_changes_nothing(study) -> None:
    layout, settings = study
    before = table_of("rsa", layout, settings)
    order = np.random.default_rng(1).permutation(len(load_betas(
        layout.derivative("glm", sub="01", hemi="R", suffix="betas.h5"), sub="01", hemi="R").conditions))
    change(layout, lambda betas: replace(betas, values=betas.values[order],
                                         conditions=betas.conditions.iloc[order].reset_index(drop=True)), hemis="R")
    after = table_of("rsa", layout, settings)
    pd.testing.assert_frame_equal(before.drop(columns="digest_data"), after.drop(columns="digest_data"), rtol=1e-5)


def test_an_image_that_is_there_twice_is_refused(study) -> None:
    layout, _ = study

    def double(betas: Betas) -> Betas:
        rows = np.append(np.arange(len(betas.conditions)), 0)
        return replace(betas, values=betas.values[rows], conditions=betas.conditions.iloc[rows].reset_index(drop=True))

    with pytest.raises(AnalysisError, match=r"condition \d+ twice; expected each one once"):
        change(layout, double, hemis="L")
    with pytest.raises(AnalysisError, match="label 'a' twice"):
        RDM(("a", "a", "b"), np.ones(3), "euclidean")


def test_six_images_have_similarities_but_no_test_of_their_difference() -> None:
    found = compare_types(responses(6), labels=names(6), settings=FEW, seed=1, percent=95, over="images").statistics
    assert np.isnan(found[DIFFERENCE].p)
    assert "not tested: 6 images, 7 are needed for a variance over images" in found[DIFFERENCE].test
    assert np.isnan(found["RE-AI"].low)
    assert "no interval: too few images" in found["RE-AI"].test
    assert np.isfinite(found["RE-AI"].effect)


def test_two_images_have_one_dissimilarity_and_are_refused() -> None:
    with pytest.raises(AnalysisError, match="pairs of images: a group of 1 pair"):
        compare_types(responses(2), labels=names(2), settings=FEW, seed=1, percent=95)


@pytest.mark.parametrize("measure", WHITENED)
def test_a_subject_with_one_presentation_has_no_whitened_distances(study, measure: str) -> None:
    layout, _ = study
    change(layout, lambda betas: rows_kept(betas, betas.conditions["presentation"] != 2))
    settings = load_settings(layout.root, overrides={**CHANGES, "rsa.dissimilarity": measure})
    with pytest.raises(AnalysisError, match="at presentation 2"):
        table_of("rsa", layout, settings)
