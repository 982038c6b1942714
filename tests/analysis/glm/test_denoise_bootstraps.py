"""The final fit over draws of runs, against a loop that repeats the runs."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.glm.denoising.bootstraps import draw_runs, fit_draws, weighted_percentiles
from analysis.glm.denoising.components import beyond_nuisance
from analysis.glm.denoising.model import FactoredDesign, Nuisance, SurfaceRuns, scan_runs
from tests.analysis.glm import denoise_oracle as oracle

LENGTHS = (80, 80, 74, 80)


def world(*, extra=0, n_components=2, spoil=None):
    rng = np.random.default_rng(5)
    onsets, data, _, response = oracle.small_session(7, n_volumes=LENGTHS, n_vertices=40)
    for run, condition in spoil or []:
        onsets[run][:, condition] = 0.0
    slow = [oracle.drifts(len(y), 2) for y in data]
    more = [rng.standard_normal((len(y), extra)) for y in data]
    nuisance = [Nuisance(s, e if extra else None) for s, e in zip(slow, more, strict=True)]
    components = [rng.standard_normal((len(y), n_components)) for y in data]
    designs = [oracle.convolved(one, response) for one in onsets]
    runs = SurfaceRuns(data, 13)
    ours = {"scan": scan_runs(runs, nuisance=nuisance), "factored": FactoredDesign(designs, nuisance),
            "directions": beyond_nuisance(components, nuisance=nuisance)}
    whole = [np.hstack(parts) for parts in zip(slow, more, components, strict=True)]
    return runs, ours, ([y.astype(float) for y in data], designs, whole), slow


def draws_of(n=40, seed=1, **given):
    return draw_runs(len(LENGTHS), n_draws=n, rng=np.random.default_rng(seed), **given)


@pytest.mark.parametrize(("extra", "n_components", "spoil"), [
    (0, 0, None), (0, 2, None), (3, 2, None), (0, 2, [(0, 3), (2, 3)]), (0, 1, [(0, 3), (1, 3), (2, 3)])],
    ids=["plain", "components", "extra regressors", "condition missing in two runs", "condition in one run"])
def test_medians_and_errors_equal_a_loop_over_repeated_runs(extra, n_components, spoil):
    runs, ours, theirs, slow = world(extra=extra, n_components=n_components, spoil=spoil)
    draws = draws_of()
    found = fit_draws(runs, draws=draws, **ours)
    drawn = oracle.drawn_betas(*theirs, np.repeat(draws.weights, draws.counts, axis=0))
    low, median, high = np.percentile(drawn, [16, 50, 84], axis=0, method="hazen")
    np.testing.assert_allclose(found.betas, median, atol=2e-5)
    np.testing.assert_allclose(found.standard_errors, (high - low) / 2, atol=2e-5)
    np.testing.assert_array_equal(found.n_absent, (np.abs(drawn).max(axis=2) < 1e-9).sum(axis=0))
    assert (found.n_absent[3] > 0) == bool(spoil)
    data, designs, _ = theirs
    total = ours["scan"].ss_total
    np.testing.assert_allclose(100 * (1 - found.ss_residual / total),
                               oracle.r2_of(data, [one @ median for one in designs], slow), atol=1e-3)


def test_one_fit_on_all_runs_is_least_squares():
    runs, ours, theirs, _ = world()
    found = fit_draws(runs, draws=draw_runs(4, n_draws=0, rng=None), **ours)
    np.testing.assert_allclose(found.betas, oracle.betas_of(*theirs), atol=2e-5)
    assert np.isnan(found.standard_errors).all()
    assert not found.n_absent.any()


def test_signal_and_noise_leave_out_a_condition_that_no_run_holds():
    runs, ours, _, _ = world(spoil=[(run, 6) for run in range(4)])
    found = fit_draws(runs, draws=draws_of(), **ours)
    assert np.isnan(found.betas[6]).all()
    assert np.isnan(found.standard_errors[6]).all()
    assert found.n_absent[6] == 40
    np.testing.assert_allclose(found.signal, np.abs(np.delete(found.betas, 6, axis=0)).max(axis=0))
    np.testing.assert_allclose(found.noise, np.delete(found.standard_errors, 6, axis=0).mean(axis=0), rtol=1e-5)


def test_an_ill_scaled_design_costs_no_digits():
    runs, ours, theirs, _ = world()
    scale = 10.0 ** np.arange(-4, 4)
    nuisance = ours["factored"].nuisance
    ours["factored"] = FactoredDesign([one * scale for one in theirs[1]], nuisance)
    found = fit_draws(runs, draws=draw_runs(4, n_draws=0, rng=None), **ours)
    np.testing.assert_allclose(found.betas * scale[:, None], oracle.betas_of(*theirs), atol=5e-5)


def test_a_draw_whose_conditions_cannot_be_told_apart_is_refused():
    runs, ours, theirs, _ = world()
    designs = [one.copy() for one in theirs[1]]
    for one in designs[:2]:
        one[:, 5] = one[:, 2]
    ours["factored"] = FactoredDesign(designs, ours["factored"].nuisance)
    with pytest.raises(ValueError, match=r"bootstrap draw of runs (1|2), .*(1|2): its conditions cannot be told apart"):
        fit_draws(runs, draws=draws_of(400), **ours)


def test_draws_are_counted_once_each_and_repeat_with_their_seed():
    draws = draws_of(300)
    assert len(np.unique(draws.weights, axis=0)) == len(draws.weights) < 36  # 35 ways to draw 4 of 4 runs
    assert draws.counts.sum() == 300
    assert (draws.weights.sum(axis=1) == 4).all()
    np.testing.assert_array_equal(draws_of(300).weights, draws.weights)
    assert not np.array_equal(draws_of(300, seed=2).counts, draws.counts)


def test_each_run_is_drawn_as_often_as_another():
    draws = draw_runs(5, n_draws=4000, rng=np.random.default_rng(0))
    mean = draws.counts @ draws.weights / 4000
    np.testing.assert_allclose(mean, 1.0, atol=4 * np.sqrt(0.8 / 4000))


def test_groups_keep_their_share_of_every_draw():
    draws = draws_of(100, groups=[1, 1, 2, 2])
    assert (draws.weights[:, :2].sum(axis=1) == 2).all()
    assert len(draws.weights) == 9


def test_draws_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="-1 bootstraps; expected 0 or more"):
        draw_runs(4, n_draws=-1, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="bootstraps without a random generator"):
        draw_runs(4, n_draws=1, rng=None)
    with pytest.raises(ValueError, match="3 bootstrap groups for 4 runs"):
        draw_runs(4, n_draws=1, rng=np.random.default_rng(0), groups=[1, 1, 2])


@pytest.mark.parametrize("counts", [[1], [3], [1, 1], [2, 1, 5], [1] * 100, [7] * 13])
def test_percentiles_are_numpys_hazen_of_the_repeated_values(counts):
    values = np.random.default_rng(len(counts)).standard_normal((len(counts), 3, 4)).astype(np.float32)
    wanted = np.percentile(np.repeat(values, counts, axis=0).astype(float), [16, 50, 84], axis=0, method="hazen")
    np.testing.assert_allclose(weighted_percentiles(values, counts=np.array(counts)), wanted, atol=1e-6)


def test_percentiles_of_more_series_than_are_sorted_at_once():
    values = np.random.default_rng(0).standard_normal((5, 20_000)).astype(np.float32)
    wanted = np.percentile(values.astype(float), [16, 50, 84], axis=0, method="hazen")
    np.testing.assert_allclose(weighted_percentiles(values, counts=np.ones(5, int)), wanted, atol=1e-6)
