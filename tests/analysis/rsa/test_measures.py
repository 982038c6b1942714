"""Every measure of dissimilarity against rsatoolbox, under offsets, and to and from its RDMs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from analysis.rsa.rdm import RDM, compute_rdm, from_rsatoolbox, load_rdms, save_rdms, to_rsatoolbox
from analysis.rsa.resampling.features import feature_bootstraps, group_bootstraps
from analysis.statistics.whitened import crossnobis, mahalanobis, shrunk_covariance
from subjects.errors import AnalysisError

rsatoolbox = pytest.importorskip("rsatoolbox")
LABELS = tuple(f"image-{k:02}" for k in range(9))


def patterns(seed: int = 1, *, n_features: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(9, n_features)) + 0.5


def theirs(values: np.ndarray, method: str, **options: object) -> np.ndarray:
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm

    return calc_rdm(Dataset(values), method=method, **options).dissimilarities[0]


@pytest.mark.parametrize(("measure", "metric"), [("correlation", "correlation"), ("cosine", "cosine"),
                                                 ("euclidean", "sqeuclidean"), ("euclidean_root", "euclidean")])
def test_measures_equal_scipy(measure: str, metric: str) -> None:
    values = patterns()
    wanted = pdist(values, metric) / (30 if measure == "euclidean" else 1)
    np.testing.assert_allclose(compute_rdm(values, labels=LABELS, measure=measure).condensed, wanted, atol=1e-12)


@pytest.mark.parametrize("measure", ["correlation", "euclidean"])
def test_measures_equal_rsatoolbox(measure: str) -> None:
    values = patterns()
    np.testing.assert_allclose(compute_rdm(values, labels=LABELS, measure=measure).condensed, theirs(values, measure),
                               atol=1e-12)


@pytest.mark.parametrize("measure", ["euclidean", "euclidean_root", "correlation"])
@pytest.mark.parametrize("offset", [1e6, 1e8])
def test_a_large_mean_pattern_moves_no_distance(measure: str, offset: float) -> None:
    """Before, squared Euclidean distances were wrong by .003 at 1e6 and by 13 at 1e8."""
    values = np.round(patterns() * 2**20) / 2**20  # sums with the offset are exact
    moved = values + offset
    back = moved - offset
    np.testing.assert_allclose(compute_rdm(moved, labels=LABELS, measure=measure).condensed,
                               compute_rdm(back, labels=LABELS, measure=measure).condensed, rtol=1e-7, atol=1e-9)


def test_whitened_distances_equal_rsatoolbox() -> None:
    generator = np.random.default_rng(3)
    noise = generator.normal(size=(60, 12)) @ generator.normal(size=(12, 12))
    covariance, values = shrunk_covariance(noise), patterns(n_features=12)
    precision = np.linalg.inv(covariance)
    np.testing.assert_allclose(mahalanobis(values, covariance=covariance),
                               theirs(values, "mahalanobis", noise=precision), rtol=1e-8)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # rsatoolbox's own
@pytest.mark.parametrize("n", [2, 4])
def test_crossnobis_equals_rsatoolbox_and_a_plain_loop(n: int) -> None:
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm

    generator = np.random.default_rng(4)
    parts = patterns(n_features=6) + generator.normal(size=(n, 9, 6))
    covariance = shrunk_covariance(generator.normal(size=(40, 6)))
    data = Dataset(parts.reshape(-1, 6),
                   obs_descriptors={"label": list(LABELS) * n, "part": np.repeat(np.arange(n), 9)})
    wanted = calc_rdm(data, method="crossnobis", descriptor="label", cv_descriptor="part",
                      noise=np.linalg.inv(covariance)).dissimilarities[0]
    found = crossnobis(parts, covariance=covariance)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    pairs = [(parts[i, 0] - parts[i, 1]) @ (parts[j, 0] - parts[j, 1]) for i in range(n) for j in range(n) if i != j]
    assert crossnobis(parts)[0] == pytest.approx(np.mean(pairs) / 6)


def test_crossnobis_of_noise_is_zero_in_the_mean_and_needs_two_partitions() -> None:
    noise = np.random.default_rng(5).normal(size=(400, 2, 9, 20))
    found = np.array([crossnobis(one) for one in noise])
    assert abs(found.mean()) < 4 * found.mean(axis=1).std() / 20
    with pytest.raises(AnalysisError, match=r"crossnobis: partitions of shape \(1, 9, 20\); expected"):
        crossnobis(noise[0][:1])
    with pytest.raises(AnalysisError, match="1 constant feature"):
        shrunk_covariance(np.column_stack([np.arange(5.0), np.ones(5)]))


def test_shrinkage_equals_that_of_rsatoolbox() -> None:
    from rsatoolbox.data.noise import cov_from_residuals

    noise = np.random.default_rng(6).normal(size=(25, 10)) @ np.random.default_rng(7).normal(size=(10, 10))
    found, wanted = shrunk_covariance(noise), cov_from_residuals(noise, method="shrinkage_diag")
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.99
    assert np.linalg.eigvalsh(found).min() > 0


@pytest.mark.parametrize("measure", ["correlation", "euclidean", "euclidean_root", "cosine"])
def test_bootstraps_of_features_follow_every_measure(measure: str) -> None:
    values, generator = patterns(), np.random.default_rng(8)
    drawn = generator.integers(0, 30, size=(6, 30))
    counts = np.stack([np.bincount(row, minlength=30) for row in drawn]).astype(np.uint16)
    found = feature_bootstraps(values, counts=counts, measure=measure)
    by_group = group_bootstraps(values.astype(np.float32), groups=np.arange(30), counts=counts, measure=measure)
    for row, one, other in zip(drawn, found, by_group, strict=True):
        wanted = compute_rdm(values[:, row], labels=LABELS, measure=measure).condensed
        np.testing.assert_allclose(one, wanted, atol=1e-9)
        np.testing.assert_allclose(other, wanted, rtol=2e-4, atol=2e-5)


def test_rdms_go_to_rsatoolbox_and_come_back(tmp_path) -> None:
    first = RDM(LABELS, np.arange(36.0), "euclidean", "sub-01 V1")
    second = RDM(LABELS[::-1], np.arange(36.0) ** 2, "euclidean", "sub-02 V1")
    there = to_rsatoolbox([first, second])
    assert there.dissimilarity_measure == "euclidean"
    back = from_rsatoolbox(there)
    assert [one.source for one in back] == ["sub-01 V1", "sub-02 V1"]
    np.testing.assert_array_equal(back[0].condensed, first.condensed)
    np.testing.assert_array_equal(back[1].select(LABELS[::-1]).condensed, second.condensed)
    save_rdms(tmp_path / "rdms.h5", {"V1": first})
    assert load_rdms(tmp_path / "rdms.h5")["V1"].source == "sub-01 V1"


def test_what_rsatoolbox_calls_otherwise_is_known_or_named() -> None:
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm

    data = Dataset(patterns(), obs_descriptors={"image": list(LABELS)})
    (found,) = from_rsatoolbox(calc_rdm(data, method="euclidean", descriptor="image"), labels="image")
    assert found.measure == "euclidean"
    np.testing.assert_allclose(found.condensed, compute_rdm(patterns(), labels=LABELS, measure="euclidean").condensed)
    made = to_rsatoolbox([found])
    made.dissimilarity_measure = "poisson"
    with pytest.raises(AnalysisError, match="'poisson'; expected one of correlation"):
        from_rsatoolbox(made)
    with pytest.raises(AnalysisError, match="no pattern descriptor 'name'; expected one of label"):
        from_rsatoolbox(to_rsatoolbox([found]), labels="name")
    with pytest.raises(AnalysisError, match="measures euclidean, cosine; expected one measure"):
        to_rsatoolbox([found, RDM(LABELS, found.condensed, "cosine")])
