"""Predictivity of maps: planted maps are found at their places, noise is not, grids are those of torch."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.cross_decomposition import PLSRegression

from analysis.encoding.predictivity.maps import map_predictivity, on_grid
from subjects.errors import AnalysisError


def planted(*, noise=0.5, n=8, seed=0):
    """Sites respond to channels at their own place."""
    rng = np.random.default_rng(seed)
    units = rng.normal(size=(n, 6, 9, 9))
    weights = rng.normal(size=(5, 6)) / np.sqrt(6)
    signal = np.einsum("sc,nchw->nshw", weights, units)
    halves = [signal + noise * np.sqrt(2) * rng.normal(size=signal.shape) for _ in range(2)]
    return units, (halves[0], halves[1])


def test_planted_maps_are_predicted_up_to_their_ceiling():
    units, halves = planted()
    found = map_predictivity(units, (halves[0] + halves[1]) / 2, halves=halves)
    assert found.corrected == pytest.approx(1.0, abs=0.06)
    assert found.published == pytest.approx(found.score / found.ceiling.reliability)
    assert found.mean_map > 0.7
    assert found.n_components == 6
    assert len(found.images) == 8


def test_maps_at_other_places_are_not():
    units, halves = planted(n=12)
    moved = np.roll(units, 4, axis=(2, 3))
    found = map_predictivity(moved, (halves[0] + halves[1]) / 2)
    assert abs(found.score) < 3 * found.error + 0.03
    assert found.ceiling is None
    assert np.isnan(found.corrected)


def test_a_score_is_that_of_scikit_learn_and_plain_loops():
    units, halves = planted(n=4, noise=1.0)
    found = map_predictivity(units, halves[0], n_components=3)
    medians, rhos = [], []
    for k in range(4):
        rest = [j for j in range(4) if j != k]
        x = np.concatenate([units[j].reshape(6, -1).T for j in rest])
        y = np.concatenate([halves[0][j].reshape(5, -1).T for j in rest])
        model = PLSRegression(3, scale=False, tol=1e-15, max_iter=100_000).fit(x, y)
        predicted = model.predict(units[k].reshape(6, -1).T)
        true = halves[0][k].reshape(5, -1).T
        medians.append(np.median([pearsonr(predicted[:, s], true[:, s])[0] for s in range(5)]))
        rhos.append(spearmanr(predicted.mean(axis=1), true.mean(axis=1))[0])
    np.testing.assert_allclose(found.images, medians, atol=1e-6)
    assert (found.score, found.mean_map) == pytest.approx((np.mean(medians), np.mean(rhos)))
    assert found.error == pytest.approx(np.std(medians, ddof=1) * np.sqrt(1 / 4 + 1 / 3))


@pytest.mark.parametrize(("side", "rows", "columns"), [(7, 14, 14), (13, 6, 9), (4, 9, 3)])
def test_grids_are_torchs_bilinear_ones(side, rows, columns):
    torch = pytest.importorskip("torch")
    maps = np.random.default_rng(0).random((2, 3, side, side))
    wanted = torch.nn.functional.interpolate(torch.from_numpy(maps), size=(rows, columns), mode="bilinear",
                                             align_corners=False)
    np.testing.assert_allclose(on_grid(maps, rows=rows, columns=columns), wanted.numpy(), atol=1e-9)


def test_maps_on_the_grid_already_stay():
    maps = np.random.default_rng(0).random((2, 3, 5, 4))
    assert np.array_equal(on_grid(maps, rows=5, columns=4), maps)


@pytest.mark.parametrize("spoil", [lambda x, y: (x[1:], y), lambda x, y: (x, y[:, :, 0]), lambda x, y: (x[:2], y[:2])])
def test_what_is_no_map_is_refused(spoil):
    units, halves = planted(n=4)
    with pytest.raises(AnalysisError, match="predictivity of maps: .*of the same three or more images"):
        map_predictivity(*spoil(units, halves[0]))
