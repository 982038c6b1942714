"""Held-out RE images: never in their own training, scored by their deviations, tested at five percent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from analysis.encoding.held_out import (
    _permutation_variance,
    assess_held_out,
    best_level,
    deviations,
    hold_out,
    inflation,
    nested_levels,
    scaled,
    some_units,
)
from analysis.encoding.layers import encode_layer, levels_in_folds
from analysis.encoding.sparse_model import train
from analysis.regions.patterns import RoiPatterns
from analysis.statistics.draws import permutations
from subjects.errors import AnalysisError
from subjects.settings.study import EncodingSettings

ALL = slice(None)
QUICK = EncodingSettings(n_permutations=199, n_subsamples=20, candidates=(1, 2))


def units(n_images: int = 20, n_units: int = 60, *, seed: int = 0) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).normal(size=(n_images, n_units)), 0).astype(np.float32)


def responses(n_images: int = 20, n_vertices: int = 8, *, seed: int = 1, smooth: float = 0.0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(n_images, n_vertices))
    return (gaussian_filter1d(found, smooth, axis=1, mode="wrap") if smooth else found).astype(np.float32)


def test_deviations_are_from_the_means_of_the_images_that_were_trained_on():
    x, y = units(), 3 + responses()
    held = hold_out(x, y, levels=(1, 2), folds=5)
    predicted, measured = deviations(held, y, columns=ALL, levels=(2,))
    for k in range(5):
        inside = np.arange(20) % 5 == k
        mean = y[~inside].astype(float).mean(axis=0)
        theirs = train(x[~inside], y[~inside], levels=(2,))[2].predict(x[inside])
        np.testing.assert_allclose(measured[inside], y[inside] - mean, atol=1e-10)
        np.testing.assert_allclose(predicted[inside], theirs - mean, atol=1e-10)


def test_each_fold_may_have_a_level_of_its_own():
    x, y = units(), responses()
    held = hold_out(x, y, levels=(1, 2), folds=2)
    mixed = deviations(held, y, columns=ALL, levels=(1, 2))[0]
    one, two = (deviations(held, y, columns=ALL, levels=(n,))[0] for n in (1, 2))
    np.testing.assert_array_equal(mixed[0::2], one[0::2])
    np.testing.assert_array_equal(mixed[1::2], two[1::2])


def test_the_level_of_a_fold_does_not_hang_on_how_it_is_predicted():
    """Scaling a fold's own predictions to nonsense changes the other folds' levels, not its own."""
    x = units(40, 60)
    y = np.stack([x[:, 8 * k:8 * k + 8].sum(axis=1) for k in range(7)], axis=1)
    held = hold_out(x, y, levels=(1, 8), folds=5)
    before = nested_levels(held, y, columns=ALL, correlate="vertex")
    held.predicted[before[2]][2::5] *= -1000.0
    after = nested_levels(held, y, columns=ALL, correlate="vertex")
    assert before == (8,) * 5
    assert after[2] == before[2]
    assert all(level == 1 for k, level in enumerate(after) if k != 2)


def test_the_smaller_of_equal_levels():
    assert best_level({4: 0.2, 2: 0.2, 1: 0.1}) == 2


def test_leaving_one_out_is_as_many_folds_as_images():
    x, y = units(12), responses(12)
    found = hold_out(x, y, levels=(1,), folds=12).predicted[1]
    for i in range(12):
        theirs = train(np.delete(x, i, 0), np.delete(y, i, 0), levels=(1,))[1].predict(x[[i]])
        np.testing.assert_allclose(found[[i]], theirs, atol=1e-10)


def accuracy(x: np.ndarray, y: np.ndarray, *, level: int) -> tuple[float, np.ndarray]:
    """Held-out accuracy, and the table of every predicted with every measured image."""
    held = hold_out(x, y, levels=(level,), folds=5)
    a, b = scaled(*deviations(held, y, columns=ALL, levels=(level,)), correlate="vertex")
    return float((a * b).sum() / y.shape[1]), a @ b.T / y.shape[1]


def test_images_that_train_and_are_tested_widen_chance_as_is_measured():
    """The truth by 500 fresh draws of unrelated responses, trained and scored one by one."""
    x = units(20, 30)
    found, exchanged = [], []
    for k in range(500):
        effect, table = accuracy(x, responses(20, 4, seed=k), level=2)
        found.append(effect)
        exchanged.append(np.var([table[np.arange(20), np.random.default_rng([k, j]).permutation(20)].sum()
                                 for j in range(40)]))
    truth = np.sqrt(np.var(found) / np.mean(exchanged))
    measured = [inflation(x, responses(20, 4, seed=1000 + k), levels=(2,) * 5, correlate="vertex",
                          draws=np.random.default_rng(k)) for k in range(12)]
    assert truth > 1.1
    assert np.mean(measured) == pytest.approx(truth, rel=0.12)


@pytest.mark.parametrize("blocks", [None, ("a",) * 8 + ("b",) * 12])
def test_the_variance_in_exchanged_labels_is_that_of_many_exchanges(blocks):
    table = np.random.default_rng(0).normal(size=(20, 20))
    orders = permutations(20, n=40_000, rng=np.random.default_rng(1), blocks=blocks)
    theirs = table[np.arange(20), orders].sum(axis=1).var()
    assert _permutation_variance(table, blocks=blocks) == pytest.approx(theirs, rel=0.03)


@pytest.mark.parametrize("correlate", ["vertex", "image"])
def test_chance_is_never_taken_for_narrower_than_exchanged_labels(correlate):
    for k in range(3):
        found = inflation(units(), responses(seed=k), levels=(1, 2, 1, 2, 1), correlate=correlate, n=5,
                          draws=np.random.default_rng(k))
        assert found >= 1


def test_units_are_drawn_so_that_some_vary_in_every_fold(monkeypatch):
    """Units that answer to one image each: of few, drawn blindly, none would vary in some fold's training."""
    from analysis.encoding import held_out as module

    monkeypatch.setattr(module, "MOST_UNITS", 2)
    x = np.zeros((20, 400), dtype=np.float32)
    x[0, :398] = np.random.default_rng(0).uniform(1, 2, size=398)
    x[1, 398], x[2, 399] = 1.0, 1.0
    held = hold_out(x, responses(), levels=(1,), folds=5)
    chosen = some_units(held, draws=np.random.default_rng(0))
    for k in range(5):
        assert np.ptp(x[np.arange(20) % 5 != k][:, chosen], axis=0).max() > 0


@pytest.mark.parametrize("correlate", ["vertex", "image"])
def test_what_units_drive_is_predicted(correlate):
    x = units(40, 60)
    y = (x[:, :8] + 0.2 * responses(40, 8)).astype(np.float32)
    settings = QUICK.model_copy(update={"correlate": correlate})
    held = hold_out(x, y, levels=(1, 2), folds=5)
    found = assess_held_out(held, y, columns=ALL, settings=settings, seed=1, layer="layer1")
    assert found.statistic.effect > 0.8
    assert found.statistic.p == pytest.approx(1 / 200)
    assert found.statistic.low < found.statistic.effect < found.statistic.high
    assert found.accuracies.shape == (8,)
    assert found.levels == (1,) * 5


@pytest.mark.slow
def test_unrelated_units_predict_held_out_images_in_five_percent():
    """250 subjects with smooth vertices; binomial 99 % bounds around 5 %: 1.6 to 9.2 %."""
    hits, effects, covered = [], [], []
    for k in range(250):
        x, y = units(30, 40, seed=100 + k), responses(30, 40, seed=5000 + k, smooth=4.0)
        held = hold_out(x, y, levels=(1, 2), folds=5)
        found = assess_held_out(held, y, columns=ALL, settings=QUICK, seed=k, layer="layer1").statistic
        hits.append(found.p <= 0.05)
        effects.append(found.effect)
        covered.append(found.low <= 0 <= found.high)
    assert 0.016 <= np.mean(hits) <= 0.092
    assert abs(np.mean(effects)) < 3 * np.std(effects) / np.sqrt(250)
    assert np.mean(covered) > 0.9


def test_a_fixed_level_is_lowered_where_the_folds_do_not_determine_it():
    assert levels_in_folds(40, settings=EncodingSettings(sparsity=13)) == (10,)
    assert levels_in_folds(40, settings=EncodingSettings(sparsity=4)) == (4,)
    assert levels_in_folds(40, settings=EncodingSettings(candidates=(4, 1))) == (1, 4)


def test_adversarial_responses_change_nothing_in_training():
    """Levels, scores and the control are the same whatever AN and AI images evoked."""
    def patterns(*, shuffled: bool) -> RoiPatterns:
        rng = np.random.default_rng(0)
        found = {kind: responses(20, 8, seed=k) for k, kind in enumerate(("RE", "AN", "AI"))}
        if shuffled:
            found = {kind: values if kind == "RE" else rng.permutation(values) for kind, values in found.items()}
        names = tuple(f"image{k:02}" for k in range(20))
        return RoiPatterns("V1", names, ("01", "02") * 10, dict.fromkeys(("RE", "AN", "AI"), names), found,
                           (found["RE"], found["RE"]), {"L": np.arange(4), "R": np.arange(4)})

    shown = {kind: units(seed=k) for k, kind in enumerate(("RE", "AN", "AI"))}
    once, other = (encode_layer(shown, {"V1": patterns(shuffled=shuffled)}, settings=QUICK, seeds={"V1": 3},
                                layer="layer1", where="sub-01") for shuffled in (False, True))
    assert once.levels == other.levels
    assert once.scores == other.scores
    assert once.controls["V1"].statistic == other.controls["V1"].statistic
    assert once.regions["V1"].statistics["AI"] != other.regions["V1"].statistics["AI"]


def test_a_response_that_is_not_a_number_is_named():
    y = responses()
    y[3, 5] = np.nan
    with pytest.raises(AnalysisError, match="sub-01 layer1: vertex 5 not finite"):
        train(units(), y, levels=(1,), where="sub-01 layer1")
