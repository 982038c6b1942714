"""Searchlight maps against the ROI's own comparison, rsatoolbox and plain loops; the step on a fabricated study."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy.stats import binom, false_discovery_control, spearmanr

from analysis.rsa.rdm import compute_rdm, spearman
from analysis.rsa.searchlight.correction import cluster_sizes, corrected_maps
from analysis.rsa.searchlight.disks import Searchlight, search
from analysis.rsa.searchlight.run import say_reach
from analysis.rsa.similarity import null_mean
from analysis.statistics.draws import permutations
from analysis.statistics.statistic import upper_p
from subjects.errors import AnalysisError
from subjects.settings.loading import load_settings
from subjects.store import read_json
from tests.analysis.fabricated import make_study
from tests.analysis.running_steps import run

KINDS = ("RE", "AN", "AI")


def names(n: int) -> tuple[str, ...]:
    return tuple(f"image-{k:02}" for k in range(n))


def make_responses(n_vertices: int, *, n_images: int = 40, seed: int = 1, offset: float = 0.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n_images, n_vertices))
    return {kind: ((kind != "AN") * shared + rng.normal(size=shared.shape) + offset).astype(np.float32)
            for kind in KINDS}


def make_disks(n_vertices: int, *, least: int = 12, most: int = 40) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(2)
    members = [np.unique([v, *rng.permutation(n_vertices)[:rng.integers(least, most)]]) for v in range(n_vertices)]
    return np.cumsum([0, *(len(one) for one in members)]), members


def as_disks(indptr: np.ndarray, members: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return indptr, np.concatenate(members)


@pytest.mark.parametrize(("n_images", "offset"), [(40, 0.0), (8, 3.0), (50, -20.0)])
def test_every_disk_has_the_similarity_that_a_region_of_its_vertices_has(n_images: int, offset: float) -> None:
    """50 images have 1225 pairs: more than fit into the numbers that fewer pairs are sorted as."""
    responses = make_responses(120, n_images=n_images, offset=offset)
    indptr, members = make_disks(120)
    found = search(responses, disks=as_disks(indptr, members))
    for centre in range(0, 120, 7):
        rdms = {kind: compute_rdm(values[:, members[centre]], labels=names(n_images))
                for kind, values in responses.items()}
        for kind in ("AN", "AI"):
            assert found.rho[kind][centre] == pytest.approx(spearman(rdms["RE"], rdms[kind]), abs=2e-4)
    np.testing.assert_array_equal(found.n_used, np.diff(indptr))


def test_disks_equal_rsatoolbox() -> None:
    searchlight = pytest.importorskip("rsatoolbox.util.searchlight")
    responses = make_responses(60, n_images=12)
    indptr, members = make_disks(60)
    found = search(responses, disks=as_disks(indptr, members))
    rdms = {kind: searchlight.get_searchlight_RDMs(values.astype(float), np.arange(60), members, np.arange(12),
                                                   method="correlation", verbose=False).dissimilarities
            for kind, values in responses.items()}
    for kind in ("AN", "AI"):
        wanted = [spearmanr(a, b).statistic for a, b in zip(rdms["RE"], rdms[kind], strict=True)]
        np.testing.assert_allclose(found.rho[kind], wanted, atol=2e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_vertex_without_data_is_left_out_of_every_disk_and_has_no_value_itself(bad: float) -> None:
    responses = make_responses(60)
    indptr, members = make_disks(60)
    responses["AN"][:, 17] = bad
    if bad != 0.0:
        responses["AN"][1:, 17] = 1.0
    found = search(responses, disks=as_disks(indptr, members))
    kept = [one[one != 17] for one in members]
    wanted = search(responses, disks=as_disks(np.cumsum([0, *(len(one) for one in kept)]), kept))
    for kind in ("AN", "AI"):
        assert np.flatnonzero(np.isnan(found.rho[kind])).tolist() == [17]
        np.testing.assert_array_equal(found.rho[kind], wanted.rho[kind])
    assert found.n_used[17] == len(members[17]) - 1


def test_small_disks_have_no_value() -> None:
    responses = make_responses(60)
    indptr, members = make_disks(60, least=5, most=15)
    found = search(responses, disks=as_disks(indptr, members), min_disk=10)
    np.testing.assert_array_equal(np.isnan(found.rho["AI"]), np.diff(indptr) < 10)


def test_another_number_of_images_or_vertices_is_named() -> None:
    responses, disks = make_responses(60), as_disks(*make_disks(60))
    with pytest.raises(AnalysisError, match=r"RE \(40, 60\), AN \(39, 60\)"):
        search({**responses, "AN": responses["AN"][1:]}, disks=disks)
    with pytest.raises(AnalysisError, match="59 vertices for 60 disks"):
        search({kind: values[:, 1:] for kind, values in responses.items()}, disks=disks)


def test_null_means_and_p_are_those_of_each_disk_alone() -> None:
    responses, blocks = make_responses(30, n_images=12), ("1",) * 6 + ("2",) * 6
    indptr, members = make_disks(30)
    orders = permutations(12, n=50, rng=np.random.default_rng(3), blocks=blocks)
    found = search(responses, disks=as_disks(indptr, members), blocks=blocks, orders=orders)
    assert found.p is not None
    for centre in (0, 11, 29):
        rdms = {kind: compute_rdm(values[:, members[centre]], labels=names(12)) for kind, values in responses.items()}
        for kind in ("AN", "AI"):
            raw = spearman(rdms["RE"], rdms[kind])
            moved = [rdms[kind].select([names(12)[k] for k in order]).condensed for order in orders]
            null = [spearmanr(rdms["RE"].condensed, one).statistic for one in moved]
            assert found.rho[kind][centre] == pytest.approx(
                raw - null_mean(rdms["RE"], rdms[kind], blocks=blocks), abs=1e-4)
            assert found.p[kind][centre] == pytest.approx(upper_p(raw, null), abs=1e-6)


def grid(side: int) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Make disks of two steps and edges on a square grid."""
    rows, columns = (one.ravel() for one in np.mgrid[:side, :side])
    apart = np.hypot(rows[:, None] - rows, columns[:, None] - columns)
    members = [np.flatnonzero(row <= 2.3) for row in apart]
    return as_disks(np.cumsum([0, *(len(one) for one in members)]), members), np.argwhere(np.triu(apart == 1))


def test_clusters_are_connected_pieces() -> None:
    _, edges = grid(4)
    inside = np.array([1, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 1], dtype=bool)
    assert cluster_sizes(inside, edges=edges).tolist() == [3, 3, 0, 2, 0, 3, 0, 2, 0, 0, 0, 0, 1, 0, 2, 2]
    assert cluster_sizes(np.zeros(16, dtype=bool), edges=edges).tolist() == [0] * 16


def test_a_planted_spot_survives_every_correction_and_the_rest_does_not() -> None:
    disks, edges = grid(14)
    rng, spot = np.random.default_rng(5), np.zeros((14, 14), dtype=bool)
    spot[3:9, 3:9] = True
    shared = 3 * rng.normal(size=(20, 196)) * spot.ravel()
    responses = {kind: ((kind != "AN") * shared + rng.normal(size=(20, 196))).astype(np.float32) for kind in KINDS}
    orders = permutations(20, n=199, rng=rng)
    empty = make_responses(196, n_images=20, seed=9) | {"AI": responses["AN"]}
    found = {"L": search(responses, disks=disks, orders=orders), "R": search(empty, disks=disks, orders=orders)}
    maps = corrected_maps(found, edges={"L": edges, "R": edges})
    inner = np.zeros((14, 14), dtype=bool)
    inner[4:8, 4:8] = True
    for name in ("p RE-AI", "p FDR RE-AI", "p FWE RE-AI", "p cluster RE-AI"):
        assert maps["L"][name][inner.ravel()].max() <= 0.05, name
    assert np.nanmin(maps["R"]["p FWE RE-AI"]) > 0.05
    assert np.nanmin(maps["L"]["p FWE RE-AN"]) > 0.05
    assert np.nanmin(maps["L"]["p FWE RE-AI"] - maps["L"]["p RE-AI"]) > -1e-6


@pytest.mark.slow
def test_corrected_maps_of_null_subjects_find_anything_at_the_nominal_rate() -> None:
    """300 maps of 100 vertices: any vertex or cluster at corrected p <= .05 in one of twenty."""
    disks, edges = grid(10)
    n, hits = 300, {"FWE": 0, "cluster": 0, "FDR": 0}
    for k in range(n):
        rng = np.random.default_rng([6, k])
        responses = {kind: rng.normal(size=(16, 100)).astype(np.float32) for kind in KINDS}
        found = search(responses, disks=disks, orders=permutations(16, n=199, rng=rng), forming_z=2.3)
        maps = corrected_maps({"L": found}, edges={"L": edges}, forming_z=2.3)["L"]
        for name in hits:
            hits[name] += bool((maps[f"p {name} RE-AI"] <= 0.05).any())
    low, high = binom.ppf([0.005, 0.995], n, 0.05)
    assert low <= hits["FWE"] <= high, hits
    assert hits["cluster"] <= high, hits
    assert hits["FDR"] <= high, hits


def test_a_map_without_permutations_is_not_corrected() -> None:
    bare = Searchlight({"AN": np.zeros(4), "AI": np.zeros(4)}, np.zeros(4, dtype=int))  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="need permutations"):
        corrected_maps({"L": bare}, edges={"L": np.zeros((0, 2), dtype=int)})


def test_the_step_writes_both_hemispheres_as_gifti_the_same_by_any_number_of_jobs(tmp_path) -> None:
    layout, _ = make_study(tmp_path / "study")
    settings = load_settings(layout.root, overrides={"rsa.searchlight_permutations": 20})
    done = run("searchlight", layout, settings)
    left, right = done.works[0].outputs
    assert (left.name, right.name) == tuple(f"sub-01_hemi-{hemi}_desc-searchlight_rsa.func.gii" for hemi in "LR")
    image = nib.load(left)
    maps = {one.meta["Name"]: one.data for one in image.darrays}
    assert list(maps) == ["RE-AN", "RE-AI", "RE-AI minus RE-AN", "vertices", *(
        f"{name} RE-{kind}" for kind in ("AN", "AI") for name in ("p", "p FDR", "p FWE", "p cluster"))]
    assert image.meta["AnatomicalStructurePrimary"] == "CortexLeft"
    assert np.nanmedian(maps["RE-AI"]) > 0.3
    assert abs(np.nanmedian(maps["RE-AN"])) < 0.1
    assert "20 permutations within sessions" in read_json(left.with_name(left.name.replace(".func.gii", ".json"))
                                                         )["Searchlight"]
    before = left.read_bytes()
    assert run("searchlight", layout, settings).all_reused
    left.unlink()
    run("searchlight", layout, settings, n_jobs=2)
    assert left.read_bytes() == before


def test_another_dissimilarity_or_coefficient_is_refused(tmp_path) -> None:
    layout, _ = make_study(tmp_path / "study")
    with pytest.raises(AnalysisError, match=r"rsa.pairs = 'within_sessions'; expected all pairs"):
        run("searchlight", layout, load_settings(layout.root, overrides={"rsa.pairs": "within_sessions"}))
    with pytest.raises(AnalysisError, match=r"rsa.dissimilarity = 'euclidean'; expected correlation"):
        run("searchlight", layout, load_settings(layout.root, overrides={"rsa.dissimilarity": "euclidean"}))
    with pytest.raises(AnalysisError, match=r"rsa.comparison = 'tau_a'; expected spearman, or rho_a"):
        run("searchlight", layout, load_settings(layout.root, overrides={"rsa.comparison": "tau_a"}))


@pytest.mark.parametrize("n", [19, 39, 99, 999])
def test_what_a_false_discovery_rate_takes_is_what_benjamini_and_hochbergs_takes(n: int) -> None:
    """1000 vertices, some at the smallest p and the others at 1: how many it takes until any is below .05."""
    least = 1 / (n + 1)
    reached = [k for k in range(1, 1001) if false_discovery_control([least] * k + [1.0] * (1000 - k)).min() < 0.05]
    said = say_reach(n)
    if not reached:
        assert said.startswith("no false discovery rate")
    else:
        share = float(said.split("more than ")[1].split(" %")[0])
        assert share == pytest.approx((reached[0] - 1) / 10, abs=0.1)
