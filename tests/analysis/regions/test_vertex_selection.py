"""Vertex selection against a loop over disks; RE responses only."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.stats import spearmanr

from analysis.regions.vertex_selection import Consistency, require_dense, select_vertices, split_half_consistency
from analysis.rsa.rdm import compute_rdm
from subjects.errors import AnalysisError

N_IMAGES = 10


def ring_disks(n_vertices: int, *, reach: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Disks on a ring of vertices; `reach` neighbours to either side, cycling through the list."""
    members = [(v + np.arange(-reach[v % len(reach)], reach[v % len(reach)] + 1)) % n_vertices
               for v in range(n_vertices)]
    return np.cumsum([0, *map(len, members)]), np.concatenate(members)


@pytest.fixture
def halves() -> tuple[np.ndarray, np.ndarray]:
    """Vertices 0 to 19 carry a pattern that repeats, 20 to 59 noise."""
    rng = np.random.default_rng(0)
    shared = np.zeros((N_IMAGES, 60))
    shared[:, :20] = 3 * rng.normal(size=(N_IMAGES, 20))
    first, second = (shared + rng.normal(size=shared.shape) for _ in range(2))
    return first.astype(np.float32), second.astype(np.float32)


@pytest.mark.parametrize("measure", ["correlation", "euclidean"])
def test_consistency_equals_a_loop_over_disks(halves, measure):
    indptr, indices = ring_disks(60, reach=[2, 4, 5])
    found = split_half_consistency(*halves, disks=(indptr, indices), measure=measure)
    for v in range(60):
        disk = indices[indptr[v]:indptr[v + 1]]
        rdms = [compute_rdm(half[:, disk], labels=range(N_IMAGES), measure=measure).condensed for half in halves]
        assert found.rho[v] == pytest.approx(spearmanr(*rdms).statistic, abs=1e-10)
        assert found.disk_sizes[v] == len(disk)


def test_blocks_and_chosen_centres_change_nothing(halves):
    disks = ring_disks(60, reach=[2, 4])
    everywhere = split_half_consistency(*halves, disks=disks).rho
    small = split_half_consistency(*halves, disks=disks, block_values=1).rho
    np.testing.assert_allclose(small, everywhere, atol=1e-12)
    some = split_half_consistency(*halves, disks=disks, centres=np.array([50, 3])).rho
    np.testing.assert_allclose(some[[3, 50]], everywhere[[3, 50]], atol=1e-12)
    assert np.isnan(np.delete(some, [3, 50])).all()


def test_consistency_does_not_depend_on_the_order_of_images_or_of_disk_members(halves):
    indptr, indices = ring_disks(60, reach=[3])
    before = split_half_consistency(*halves, disks=(indptr, indices)).rho
    order = np.random.default_rng(1).permutation(N_IMAGES)
    backward = indices.reshape(60, 7)[:, ::-1].ravel()
    after = split_half_consistency(*(half[order] for half in halves), disks=(indptr, backward)).rho
    np.testing.assert_allclose(after, before, atol=1e-10)


@pytest.mark.parametrize("missing", [np.nan, np.inf, 0.0, 7.0])
def test_a_vertex_without_signal_is_left_out_of_the_disks_that_hold_it(halves, missing):
    """NaN, or one value for all images, in one of the presentations."""
    halves[1][:, 30] = missing
    indptr, indices = ring_disks(60, reach=[2])
    found = split_half_consistency(*halves, disks=(indptr, indices))
    assert np.flatnonzero(np.isnan(found.rho)).tolist() == [30] == np.flatnonzero(found.silent).tolist()
    assert found.disk_sizes[27:34].tolist() == [5, 4, 4, 0, 4, 4, 5]
    members = [29, 31, 32, 33]
    rdms = [compute_rdm(half[:, members], labels=range(N_IMAGES)).condensed for half in halves]
    assert found.rho[31] == pytest.approx(spearmanr(*rdms).statistic, abs=1e-10)


def test_disks_of_a_region_hold_its_own_vertices_only(halves):
    regions = (np.arange(60) >= 20).astype(int)
    found = split_half_consistency(*halves, disks=ring_disks(60, reach=[3]), regions=regions)
    for v, members in ((19, range(16, 20)), (20, range(20, 24)), (59, range(56, 60)), (40, range(37, 44))):
        rdms = [compute_rdm(half[:, list(members)], labels=range(N_IMAGES)).condensed for half in halves]
        assert found.rho[v] == pytest.approx(spearmanr(*rdms).statistic, abs=1e-10)
        assert found.disk_sizes[v] == len(members)


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_scattered_dead_vertices_take_only_themselves(halves, share):
    rng = np.random.default_rng(4)
    first, second = (rng.normal(size=(N_IMAGES, 2000)).astype(np.float32) for _ in range(2))
    dead = rng.choice(2000, size=round(2000 * share), replace=False)
    first[:, dead] = np.nan
    found = split_half_consistency(first, second, disks=ring_disks(2000, reach=[17]))
    assert set(np.flatnonzero(np.isnan(found.rho))) == set(dead)
    eligible = (found.disk_sizes >= 10).sum()
    assert eligible == 2000 - len(dead)


def test_a_disk_of_one_vertex_has_no_consistency(halves):
    found = split_half_consistency(*halves, disks=ring_disks(60, reach=[0, 2]))
    assert np.isnan(found.rho[::2]).all()
    assert np.isfinite(found.rho[1::2]).all()


def test_the_consistent_vertices_are_chosen(halves):
    found = split_half_consistency(*halves, disks=ring_disks(60, reach=[3]))
    region = np.ones(60, dtype=bool)
    chosen = select_vertices(found, region=region, n=12, min_disk=5)
    assert len(chosen) == 12
    assert chosen.max() < 23
    assert (np.diff(chosen) > 0).all()
    assert np.min(found.rho[chosen]) >= np.max(np.delete(found.rho, chosen))


def test_only_the_region_is_chosen_from(halves):
    found = split_half_consistency(*halves, disks=ring_disks(60, reach=[3]))
    region = np.arange(60) >= 40
    assert select_vertices(found, region=region, n=5, min_disk=5).min() >= 40


def test_equal_consistencies_go_to_the_lower_vertex():
    found = Consistency(np.array([0.5, 0.9, 0.5, 0.5]), np.full(4, 12), np.zeros(4, dtype=bool))
    assert select_vertices(found, region=np.ones(4, dtype=bool), n=2, min_disk=1).tolist() == [0, 1]


def test_a_sparse_mesh_is_refused_with_its_disk_sizes(halves):
    found = split_half_consistency(*halves, disks=ring_disks(60, reach=[2]))
    text = (r"hemi-L V1: 0 of 60 vertices with a usable disk of 10 or more "
            r"\(disks hold 5 to 5 vertices, median 5\); expected 20 of them.*denser mesh")
    with pytest.raises(AnalysisError, match=text):
        select_vertices(found, region=np.ones(60, dtype=bool), n=20, min_disk=10, where="hemi-L V1")


def test_one_vertex_too_few_is_refused():
    found = Consistency(np.array([0.5, np.nan, 0.5]), np.full(3, 12), np.zeros(3, dtype=bool))
    region = np.ones(3, dtype=bool)
    assert len(select_vertices(found, region=region, n=2, min_disk=10)) == 2
    with pytest.raises(AnalysisError, match="2 of 3 vertices"):
        select_vertices(found, region=region, n=3, min_disk=10)


def test_a_region_without_signal_names_the_cause(halves):
    halves[0][:, 10:50] = np.nan
    found = split_half_consistency(*halves, disks=ring_disks(60, reach=[5]))
    text = (r"0 of 40 vertices with a usable disk of 6 or more \(40 vertices without signal\); expected 5 of them.*"
            "no signal: see that the time series cover it")
    with pytest.raises(AnalysisError, match=text):
        select_vertices(found, region=(np.arange(60) >= 10) & (np.arange(60) < 50), n=5, min_disk=6)
    with pytest.raises(AnalysisError, match="disks hold 6 to 11 vertices, median 10.5; 40 vertices"):
        select_vertices(found, region=np.ones(60, dtype=bool), n=30, min_disk=6)


def test_a_region_smaller_than_the_choice_asks_for_its_borders(halves):
    found = split_half_consistency(*halves, disks=ring_disks(60, reach=[5]))
    with pytest.raises(AnalysisError, match="drawn to its borders"):
        select_vertices(found, region=np.arange(60) < 4, n=5, min_disk=6)


def test_disks_are_warned_of_and_refused_by_their_median(caplog):
    found = Consistency(np.zeros(5), np.array([4, 6, 7, 30, 0]), np.array([False] * 4 + [True]))
    everywhere = np.ones(5, dtype=bool)
    require_dense(found, region=everywhere, warn=6, refuse=6, where="hemi-L V1")
    assert not caplog.records
    require_dense(found, region=everywhere, warn=10, refuse=5, where="hemi-L V1")
    assert "hemi-L V1: disks hold 6.5 vertices (median; 4 to 30)" in caplog.text
    with pytest.raises(AnalysisError, match=r"disks of 6.5 vertices \(median; 4 to 30\); expected 7 at least"):
        require_dense(found, region=everywhere, warn=10, refuse=7, where="hemi-L V1")


def test_an_empty_region_is_refused():
    found = Consistency(np.zeros(3), np.full(3, 12), np.zeros(3, dtype=bool))
    with pytest.raises(AnalysisError, match="the region is empty"):
        select_vertices(found, region=np.zeros(3, dtype=bool), n=1, min_disk=10)


def test_small_disks_among_large_ones_are_warned_of(caplog):
    found = Consistency(np.linspace(0, 1, 4), np.array([12, 12, 12, 4]), np.zeros(4, dtype=bool))
    with caplog.at_level(logging.WARNING):
        chosen = select_vertices(found, region=np.ones(4, dtype=bool), n=2, min_disk=10, where="hemi-R LO")
    assert chosen.tolist() == [1, 2]
    assert "hemi-R LO: 3 of 4 vertices with a usable disk of 10 or more" in caplog.text


def test_presentations_of_different_shape(halves):
    with pytest.raises(AnalysisError, match=r"shapes \(10, 60\) and \(9, 60\)"):
        split_half_consistency(halves[0], halves[1][:9], disks=ring_disks(60, reach=[2]))


def test_disks_of_another_mesh(halves):
    with pytest.raises(AnalysisError, match="60 vertices for 61 disks"):
        split_half_consistency(*halves, disks=ring_disks(61, reach=[2]))


def test_values_and_sizes_must_agree():
    with pytest.raises(AnalysisError, match="one value and one disk size a vertex"):
        Consistency(np.zeros(3), np.zeros(2, dtype=np.int64), np.zeros(3, dtype=bool))
