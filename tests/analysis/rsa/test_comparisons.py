"""Every coefficient and every measure, from the settings to the numbers, against rsatoolbox and plain loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.rsa.ceiling import presentation_ceiling
from analysis.rsa.compare import compare_types
from analysis.rsa.difference import swapped_difference
from analysis.rsa.rdm import RDM, compute_rdm, load_rdms
from analysis.rsa.resampling.distances import WhitenedDistances
from analysis.rsa.resampling.images import image_bootstraps, label_permutations
from analysis.rsa.similarity import COEFFICIENTS, all_pairs, null_mean, pairs_within, similarity
from analysis.rsa.variance.jackknife import delete_images
from analysis.rsa.variance.patches import order_by_place, similarity_variances
from analysis.simulation.draw import draw
from analysis.statistics.dissimilarity import MEASURES, WHITENED
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.settings.analysis import RsaSettings
from subjects.settings.loading import load_settings
from tests.analysis.fabricated import make_study
from tests.analysis.running_steps import table_of

rsatoolbox = pytest.importorskip("rsatoolbox")
THEIRS = {"spearman": "spearman", "tau_a": "tau-a", "rho_a": "rho-a", "pearson": "corr"}
FEW = RsaSettings(n_permutations=50, n_bootstraps=30)


def names(n: int) -> tuple[str, ...]:
    return tuple(f"image-{k:02}" for k in range(n))


def random_rdm(seed: int, n: int = 10, *, tied: bool = False) -> RDM:
    rdm = compute_rdm(np.random.default_rng(seed).normal(size=(n, 30)), labels=names(n))
    return RDM(rdm.labels, np.round(6 * rdm.condensed), rdm.measure) if tied else rdm


def theirs(first: np.ndarray, second: np.ndarray, *, by: str) -> float:
    from rsatoolbox.rdm import RDMs, compare

    return float(compare(RDMs(first[None]), RDMs(second[None]), method=THEIRS[by])[0, 0])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("by", COEFFICIENTS)
def test_coefficients_equal_rsatoolbox(by: str, tied: bool) -> None:
    a, b = random_rdm(1, 12, tied=tied), random_rdm(2, 12)
    assert similarity(a, b, by=by) == pytest.approx(theirs(a.condensed, b.condensed, by=by), abs=1e-6)


@pytest.mark.parametrize("by", COEFFICIENTS)
def test_permutations_and_deletions_are_those_of_a_plain_loop(by: str) -> None:
    a, b = random_rdm(3, 8), random_rdm(4, 8, tied=True)
    orders = np.tile(np.arange(8), (20, 1))
    orders = np.random.default_rng(5).permuted(orders, axis=1)
    wanted = [theirs(a.condensed, b.select([b.labels[k] for k in order]).condensed, by=by) for order in orders]
    np.testing.assert_allclose(label_permutations(a, b, n=20, rng=np.random.default_rng(5), by=by), wanted, atol=1e-6)
    found = delete_images(a, [b], by=by)
    left_out = [*((k,) for k in range(8)), *itertools.combinations(range(8), 2)]
    for row, gone in zip(np.concatenate([found.one, found.two])[:, 0], left_out, strict=True):
        kept = [name for k, name in enumerate(names(8)) if k not in gone]
        assert row == pytest.approx(theirs(a.select(kept).condensed, b.select(kept).condensed, by=by), abs=1e-6)


@pytest.mark.parametrize("by", COEFFICIENTS)
def test_image_bootstraps_are_those_of_the_drawn_pairs(by: str) -> None:
    a, b = random_rdm(6, 9), random_rdm(7, 9)
    found = image_bootstraps(a, [b], n=12, rng=np.random.default_rng(8), by=by)[:, 0]
    drawn = np.random.default_rng(8).integers(0, 9, size=(12, 9))
    rows, columns = np.triu_indices(9, 1)
    for value, chosen in zip(found, drawn, strict=True):
        kept = chosen[rows] != chosen[columns]
        x, y = (one.square()[chosen[rows], chosen[columns]][kept] for one in (a, b))
        assert value == pytest.approx(theirs(x, y, by=by), abs=1e-6)


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("by", COEFFICIENTS)
def test_the_mean_of_the_null_is_that_of_every_order(by: str, within: bool) -> None:
    blocks, pairs = "aaabbb", pairs_within("aaabbb") if within else all_pairs(6)
    a, b = random_rdm(3, 6), random_rdm(4, 6, tied=True)
    kept = [similarity(a, RDM(a.labels, b.select([*(b.labels[k] for k in first), *(b.labels[3 + k] for k in second)])
                              .condensed, b.measure), pairs=pairs, by=by)
            for first in itertools.permutations(range(3)) for second in itertools.permutations(range(3))]
    assert null_mean(a, b, pairs=pairs, blocks=blocks, by=by) == pytest.approx(np.mean(kept), abs=1e-12)
    assert null_mean(a, b, by=by) == pytest.approx(0, abs=1e-12)


def presented(*, seed: int = 1, n: int = 12, n_vertices: int = 20) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Two presentations of each type, noise that neighbours share, AI as RE."""
    generator = np.random.default_rng(seed)
    own = generator.normal(size=(n, n_vertices))
    other = generator.normal(size=(n, n_vertices))
    mixing = np.eye(n_vertices) + 0.6 * np.eye(n_vertices, k=1)
    return {kind: tuple(values + generator.normal(size=own.shape) @ mixing for _ in range(2))
            for kind, values in {"RE": own, "AN": other, "AI": own}.items()}


def means(pair_by_kind: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    return {kind: np.mean(pair, axis=0).astype(np.float32) for kind, pair in pair_by_kind.items()}


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # rsatoolbox's own
@pytest.mark.parametrize("by", COEFFICIENTS)
@pytest.mark.parametrize("measure", WHITENED)
def test_whitened_similarities_equal_rsatoolbox(measure: str, by: str) -> None:
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm, compare

    data = presented()
    found = compare_types(means(data), labels=names(12), seed=1, percent=68, presentations=data, settings=RsaSettings(
        n_permutations=20, n_bootstraps=20, dissimilarity=measure, comparison=by))
    precision = np.linalg.inv(WhitenedDistances(data, measure).covariance)
    rdms = {}
    for kind, pair in data.items():
        both = Dataset(np.concatenate(pair), obs_descriptors={"image": [*names(12)] * 2,
                                                              "part": np.repeat([0, 1], 12)})
        options = {"cv_descriptor": "part"} if measure == "crossnobis" else {}
        rdms[kind] = calc_rdm(both, method=measure, descriptor="image", noise=precision, **options)
        np.testing.assert_allclose(found.rdms[kind].condensed, rdms[kind].dissimilarities[0], atol=1e-6)
    for kind in ("AN", "AI"):
        wanted = float(compare(rdms["RE"], rdms[kind], method=THEIRS[by])[0, 0])
        assert found.statistics[f"RE-{kind}"].effect == pytest.approx(wanted, abs=1e-6)
    assert found.rdms["RE"].measure == measure


@pytest.mark.parametrize("measure", WHITENED)
def test_draws_and_deletions_of_vertices_follow_whitened_distances(measure: str) -> None:
    data = presented()
    distances, generator = WhitenedDistances(data, measure), np.random.default_rng(2)
    rdm = distances.rdm("RE", labels=names(12), where="here")
    once = np.ones((1, 20), dtype=np.uint16)
    np.testing.assert_allclose(distances.drawn("RE", counts=once)[0], rdm.condensed, atol=1e-12)
    order, kept = generator.permutation(20), np.array([[1, 1, 0, 1]])
    some = np.sort(np.delete(order, np.s_[10:15]))
    found = distances.grouped("RE", groups=order, counts=kept)[0]
    precision = np.linalg.inv(distances.covariance[np.ix_(some, some)])
    a, b = (one[:, some] for one in data["RE"])
    gaps = [(a[i] - a[j], b[i] - b[j]) for i, j in itertools.combinations(range(12), 2)]
    wanted = [x @ precision @ y / 15 if measure == "crossnobis" else (x + y) / 2 @ precision @ (x + y) / 2 / 15
              for x, y in gaps]
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    places = generator.random((20, 2))
    assert len(order_by_place(places, n_patches=4)) == 20
    assert (similarity_variances(distances, places_mm=places, n_patches=4, pairs=all_pairs(12), by="tau_a") > 0).all()
    swapped = swapped_difference(distances, effect=0.3, raw=0.3, settings=FEW, seed=1)
    assert 0 < swapped.p <= 1


def test_without_noise_whitened_distances_are_squared_euclidean_and_the_table_says_so() -> None:
    responses = means(presented())
    found = compare_types(responses, labels=names(12), seed=1, percent=95, over="images",
                          settings=FEW.model_copy(update={"dissimilarity": "crossnobis"}))
    plain = compare_types(responses, labels=names(12), seed=1, percent=95, over="images",
                          settings=FEW.model_copy(update={"dissimilarity": "euclidean"}))
    assert found.rdms["RE"].measure == "euclidean"
    assert found.statistics["RE-AI"].effect == plain.statistics["RE-AI"].effect
    assert "squared Euclidean distances, which whitened ones are where features have no noise" \
        in found.statistics["RE-AI"].test
    assert "whitened" not in plain.statistics["RE-AI"].test


def test_whitened_distances_name_what_is_wrong_with_presentations() -> None:
    data = presented()
    data["AN"][1][3, 4] = np.nan
    with pytest.raises(AnalysisError, match="NaN or infinity in a presentation"):
        WhitenedDistances(data, "crossnobis").rdm("AN", labels=names(12), where="sub-01 V1, AN")
    with pytest.raises(AnalysisError, match=r"shape \(12, 20\) for 11 labels"):
        WhitenedDistances(presented(), "crossnobis").rdm("RE", labels=names(11), where="sub-01 V1, RE")


@pytest.mark.parametrize("measure", ["correlation", *WHITENED])
@pytest.mark.parametrize("by", ["spearman", "tau_a", "pearson"])
def test_the_ceiling_is_what_is_reached_by_every_coefficient(by: str, measure: str) -> None:
    """Means of 60 simulated subjects at a reliability of .2: two measurements of the same patterns, and the truth."""
    found = draw("paper", rng=np.random.default_rng(8), n_subjects=60, reliability=0.2, smoothness_mm=0.0,
                 noise_smoothness_mm=0.0, offset_sd=0.0, side=10)
    covariance, bounds, reached = np.eye(100) if measure in WHITENED else None, [], []
    for subject in range(60):
        pairs = {kind: found.betas[subject, :, k] for k, kind in enumerate(("RE", "AN", "AI"))}
        bounds.append(presentation_ceiling(*pairs["RE"], measure=measure, by=by, covariance=covariance))
        again = tuple(pairs["AI"][k] - found.truth[subject, 2] + found.truth[subject, 0] for k in (0, 1))
        truth = (found.truth[subject, 0],) * 2
        one, other, clean = (_rdm(pair, measure=measure) for pair in (pairs["RE"], again, truth))
        reached.append([similarity(one, other, by=by), similarity(one, clean, by=by)])
    above = np.mean(bounds, axis=0) - np.mean(reached, axis=0)
    if measure == "correlation" or by == "pearson":
        np.testing.assert_allclose(above, 0, atol=0.03)
    else:  # squared distances are skewed, and normal values' ranks are not theirs
        assert (above > 0).all()
        assert above.max() < 0.06


def _rdm(pair: tuple[np.ndarray, np.ndarray], *, measure: str) -> RDM:
    from analysis.statistics.whitened import crossnobis

    if measure == "crossnobis":
        return RDM(names(40), crossnobis(np.stack(pair)), measure)
    return compute_rdm(np.mean(pair, axis=0), labels=names(40),
                       measure="euclidean" if measure == "mahalanobis" else measure)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return make_study(tmp_path_factory.mktemp("comparisons") / "study")[0]


@pytest.mark.parametrize(("measure", "by"), [(one, "spearman") for one in (*MEASURES[1:], *WHITENED)]
                         + [("correlation", by) for by in ("tau_a", "rho_a", "pearson")])
def test_every_setting_is_reached_from_a_study(measure: str, by: str, study: Layout) -> None:
    """The regions' effects are those of their RDMs on disk, less the mean of their null."""
    settings = load_settings(study.root, overrides={
        "rsa.dissimilarity": measure, "rsa.comparison": by, "rsa.n_permutations": 20, "rsa.n_bootstraps": 10})
    table = table_of("rsa", study, settings)
    rdms = load_rdms(study.derivative("rsa", sub="01", suffix="rdms.h5"))
    assert rdms["V1/RE"].measure == measure
    row = table[(table["place"] == "V1") & (table["comparison"] == "RE-AI")].iloc[0]
    assert row["paper_effect"] == pytest.approx(
        theirs(rdms["V1/RE"].condensed, rdms["V1/AI"].condensed, by=by), abs=1e-6)
    layers = table_of("rsa", study, settings, work="network-demo")
    assert layers["p"].between(0, 1).all()
    assert ("which whitened ones are" in str(layers["test"].iloc[0])) == (measure in WHITENED)
