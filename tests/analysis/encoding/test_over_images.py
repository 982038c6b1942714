"""Tests and intervals over images: against leaving images out in a loop, and on nulls that share no code with them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.stats import pearsonr

from analysis.encoding.generalisation import assess_generalisation, standardise
from analysis.encoding.over_images import OverImages, over_images, standard_errors
from analysis.statistics.draws import permutations
from subjects.errors import AnalysisError
from subjects.settings.study import EncodingSettings
from tests.analysis.fabricated import make_study
from tests.analysis.running_steps import table_of


def pair(n_images: int = 12, n_vertices: int = 9, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_images, n_vertices))
    return x, 0.5 * x + rng.normal(size=x.shape)


def mean_pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Per vertex, by another library."""
    return float(np.mean([pearsonr(a, b).statistic for a, b in zip(x.T, y.T, strict=True)]))


def assess(x: np.ndarray, y: np.ndarray, *, orders: np.ndarray | None = None) -> OverImages:
    chosen = np.arange(len(x))[None] if orders is None else orders
    return over_images(standardise(x), standardise(y), orders=chosen, correlate="vertex")


def left_out(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The jackknife's influences by deleting one image after the other."""
    found = np.array([mean_pearson(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(len(x))])
    return (len(x) - 1) * (found.mean() - found)


def test_accuracy_and_influences_equal_images_left_out_one_by_one():
    x, y = pair()
    found = assess(x, y)
    assert found.effect == pytest.approx(mean_pearson(x, y))
    np.testing.assert_allclose(found.influences, left_out(x, y), atol=2e-6)
    theirs = np.sqrt((left_out(x, y)**2).sum() / (12 * 11))
    assert found.error == pytest.approx(theirs, rel=1e-5)


def test_draws_equal_the_same_on_exchanged_images():
    x, y = pair(seed=1)
    orders = permutations(12, n=7, rng=np.random.default_rng(3), blocks="aaaaaabbbbbb")
    found = assess(x, y, orders=orders)
    for k, order in enumerate(orders):
        assert found.null[k] == pytest.approx(mean_pearson(x, y[order]))
        np.testing.assert_allclose(found.null_influences[k], left_out(x, y[order]), atol=2e-6)


def test_blocks_of_draws_change_nothing(monkeypatch):
    from analysis.encoding import over_images as module

    x, y = pair()
    orders = permutations(12, n=50, rng=np.random.default_rng(3))
    before = assess(x, y, orders=orders)
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    after = assess(x, y, orders=orders)
    np.testing.assert_allclose(after.null_influences, before.null_influences, atol=1e-5)
    np.testing.assert_allclose(after.null, before.null, atol=1e-12)


def test_by_image_it_is_the_mean_over_images_and_its_usual_error():
    x, y = pair(10, 30)
    orders = permutations(10, n=5, rng=np.random.default_rng(0))
    found = over_images(standardise(x.T).T, standardise(y.T).T, orders=orders, correlate="image")
    each = np.array([pearsonr(a, b).statistic for a, b in zip(x, y, strict=True)])
    assert found.effect == pytest.approx(each.mean())
    assert found.error == pytest.approx(each.std(ddof=1) / np.sqrt(10))
    swapped = [pearsonr(x[i], y[orders[2, i]]).statistic for i in range(10)]
    assert found.null[2] == pytest.approx(np.mean(swapped))
    assert standard_errors(found.null_influences)[2] == pytest.approx(np.std(swapped, ddof=1) / np.sqrt(10))


def test_a_difference_has_the_difference_of_the_influences_image_by_image():
    (x, y), (u, v) = pair(seed=1), pair(seed=2)
    found = assess(x, y).minus(assess(u, v))
    assert found.effect == pytest.approx(mean_pearson(x, y) - mean_pearson(u, v))
    np.testing.assert_allclose(found.influences, left_out(x, y) - left_out(u, v), atol=4e-6)


def test_a_silent_prediction_has_no_influence_and_no_significance():
    x, y = pair()
    found = assess(np.ones_like(x), y, orders=permutations(12, n=99, rng=np.random.default_rng(0)))
    assert (found.effect, found.error, found.two_sided_p()) == (0.0, 0.0, 1.0)
    assert found.interval(percent=95) == (0.0, 0.0)


def test_a_unit_that_answers_to_one_image_predicts_nothing_without_it():
    x, y = np.zeros((12, 1)), pair(12, 1)[1]
    x[4] = 2.0
    found = assess(x, y)
    whole = mean_pearson(x, y)
    without = np.array([0.0 if i == 4 else mean_pearson(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(12)])
    assert found.effect == pytest.approx(whole)
    np.testing.assert_allclose(found.influences, 11 * (without.mean() - without), atol=1e-4)


def test_p_and_interval_come_from_the_studentised_draws():
    influences = np.array([1.0, -1, 1, -1])
    error = np.sqrt(4 / 12)
    found = OverImages(0.9, influences, np.array([0.1, -0.95, 0.2, 0.3]), np.tile(influences, (4, 1)))
    assert found.error == pytest.approx(error)
    assert found.two_sided_p() == pytest.approx(2 / 5)  # one draw is farther, in the other direction
    low, high = found.interval(percent=100)
    assert (low, high) == pytest.approx((0.9 - 0.95, 0.9 + 0.95))


def test_the_sign_of_a_difference_does_not_matter():
    (x, y), (u, v) = pair(seed=1), pair(seed=2)
    orders = permutations(12, n=99, rng=np.random.default_rng(0))
    one, other = assess(x, y, orders=orders), assess(u, v, orders=orders)
    assert one.minus(other).two_sided_p() == other.minus(one).two_sided_p()


def smooth(rng: np.random.Generator, n_images: int, n_vertices: int = 60) -> np.ndarray:
    return gaussian_filter1d(rng.normal(size=(n_images, n_vertices)), 4, axis=1, mode="wrap")


@pytest.fixture(scope="module")
def nulls():
    """300 subjects in whom nothing is predicted, vertices smooth; AN and AI images resemble one another."""
    found = []
    for k in range(300):
        rng = np.random.default_rng([11, k])
        shared = smooth(rng, 30)
        measured = {kind: (shared + smooth(rng, 30)).astype(np.float32) for kind in ("AN", "AI")}
        common = smooth(rng, 30)
        predicted = {kind: common + smooth(rng, 30) for kind in ("AN", "AI")}
        settings = EncodingSettings(n_permutations=199, n_subsamples=199)
        found.append(assess_generalisation(predicted, measured, settings=settings, seed=k, layer="layer1").statistics)
    return found


def test_unrelated_predictions_differ_in_five_percent(nulls):
    """Binomial 99 % bounds around 5 % of 300: 2 to 8 %."""
    assert 0.02 <= np.mean([one["AI minus AN"].p <= 0.05 for one in nulls]) <= 0.083


def test_the_papers_subsamples_of_vertices_call_most_of_them_different(nulls):
    assert np.mean([one["AI minus AN"].paper.p <= 0.05 for one in nulls]) > 0.5


@pytest.mark.parametrize("name", ["AN", "AI", "AI minus AN"])
def test_intervals_over_images_hold_zero_in_ninety_five_percent(nulls, name):
    assert 0.91 <= np.mean([one[name].low <= 0 <= one[name].high for one in nulls]) <= 0.985
    assert np.mean([one[name].paper.low <= 0 <= one[name].paper.high for one in nulls]) < 0.5


def test_models_that_predict_both_types_equally_well_differ_seldom():
    """200 subjects, accuracy .5 of both; binomial 99 % bounds around 5 %: 1 to 9 %."""
    hits = []
    for k in range(200):
        rng = np.random.default_rng([12, k])
        predicted = {kind: smooth(rng, 40) for kind in ("AN", "AI")}
        measured = {kind: (values + 1.7 * smooth(rng, 40)).astype(np.float32) for kind, values in predicted.items()}
        settings = EncodingSettings(n_permutations=199, n_subsamples=2)
        found = assess_generalisation(predicted, measured, settings=settings, seed=k, layer="layer1").statistics
        hits.append(found["AI minus AN"].p <= 0.05)
    assert 0.01 <= np.mean(hits) <= 0.09


def test_over_vertices_the_papers_test_is_the_test():
    measured = {kind: pair(40, 30, seed=k)[1].astype(np.float32) for k, kind in enumerate(("AN", "AI"))}
    predicted = {kind: pair(40, 30, seed=k)[0] for k, kind in enumerate(("AN", "AI"), start=1)}
    images, vertices = (assess_generalisation(predicted, measured, seed=5, layer="layer1", settings=EncodingSettings(
        n_permutations=200, n_subsamples=200, over=over)).statistics for over in ("images", "vertices"))
    for name, one in vertices.items():
        assert (one.low, one.high) == (images[name].paper.low, images[name].paper.high)
        assert one.effect == images[name].effect
        assert "80% of vertices" in one.test
        assert "over 40 images" in images[name].test
    assert vertices["AI minus AN"].p == images["AI minus AN"].paper.p
    assert vertices["AI"].p == images["AI"].p


def test_the_papers_p_of_an_accuracy_exchanges_labels_over_all_images():
    """Predictions and responses that know only the session: significant in free exchange, not within sessions."""
    session = np.repeat([0.0, 1.0], 10)[:, None]
    rng = np.random.default_rng(0)
    kinds = ("AN", "AI")
    predicted = {kind: 3 * session + 0.01 * rng.normal(size=(20, 15)) for kind in kinds}
    measured = {kind: (3 * session + rng.normal(size=(20, 15))).astype(np.float32) for kind in kinds}
    found = assess_generalisation(predicted, measured, seed=5, layer="layer1", blocks=("a",) * 10 + ("b",) * 10,
                                  settings=EncodingSettings(n_permutations=200, n_subsamples=20)).statistics["AI"]
    assert found.p > 0.05
    assert found.paper.p == pytest.approx(1 / 201)


def test_three_images_are_too_few():
    data = {kind: pair(3, 5)[1].astype(np.float32) for kind in ("AN", "AI")}
    with pytest.raises(AnalysisError, match="layer2: 3 images; expected 4 or more, for a test over images"):
        assess_generalisation(data, data, settings=EncodingSettings(), seed=0, layer="layer2")


def test_means_pooled_over_types_are_refused_before_anything_is_read(tmp_path):
    layout, settings = make_study(tmp_path / "study")
    pooled = settings.model_copy(update={"roi": settings.roi.model_copy(update={"session_means": "pooled"})})
    with pytest.raises(AnalysisError, match="takes the test images into the training responses"):
        table_of("encode", layout, pooled)
