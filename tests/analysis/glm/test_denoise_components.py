"""Noise pool, components, cross-validation and choice, against slow loops over full projection matrices."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.glm.denoising.components import (
    beyond_nuisance,
    choose_components,
    choose_pool,
    cross_validate,
    noise_components,
)
from analysis.glm.denoising.model import FactoredDesign, Nuisance, SurfaceRuns, map_loadings, scan_runs
from tests.analysis.glm import denoise_oracle as oracle

K = 4


def world(seed=0, *, extra=0, spoil=None, **given):
    """A session as the oracle takes it and as ours does."""
    rng = np.random.default_rng(seed + 100)
    onsets, data, _, response = oracle.small_session(seed, **given)
    if spoil is not None:
        spoil(onsets)
    slow = [oracle.drifts(len(y), 2) for y in data]
    more = [rng.standard_normal((len(y), extra)) for y in data]
    nuisance = [Nuisance(s, e if extra else None) for s, e in zip(slow, more, strict=True)]
    designs = [oracle.convolved(one, response) for one in onsets]
    runs = SurfaceRuns(data, 17)
    return data, designs, slow, more, runs, nuisance, scan_runs(runs, nuisance=nuisance)


def lose(run, condition):
    def spoil(onsets):
        onsets[run][:, condition] = 0.0
    return spoil


def only_in_first(onsets):
    for one in onsets[1:]:
        one[:, 3] = 0.0


@pytest.mark.parametrize(("extra", "spoil"), [(0, None), (3, None), (0, lose(1, 2)), (2, only_in_first)],
                         ids=["plain", "extra regressors", "condition missing in a run", "condition in one run only"])
def test_cross_validated_r2_equals_a_loop_over_runs_and_models(extra, spoil):
    data, designs, slow, more, runs, nuisance, scan = world(extra=extra, spoil=spoil)
    components = oracle.components_of(data, slow, np.arange(60) % 2 == 0, K)
    found = cross_validate(runs, scan=scan, factored=FactoredDesign(designs, nuisance),
                           directions=beyond_nuisance(components, nuisance=nuisance))
    wanted = oracle.cross_validated([y.astype(float) for y in data], designs, slow, more, components)
    np.testing.assert_allclose(found, wanted, atol=2e-4)
    assert np.ptp(wanted, axis=0).min() > 0.1  # the numbers of components do differ


def test_without_components_it_is_the_first_row():
    data, designs, slow, _, runs, nuisance, scan = world()
    factored = FactoredDesign(designs, nuisance)
    directions = beyond_nuisance(oracle.components_of(data, slow, np.arange(60) % 2 == 0, K), nuisance=nuisance)
    alone = cross_validate(runs, scan=scan, factored=factored)
    assert alone.shape == (1, 60)
    np.testing.assert_array_equal(alone[0], cross_validate(runs, scan=scan, factored=factored,
                                                           directions=directions)[0])


def test_r2_does_not_depend_on_the_data_s_scale_or_level():
    data, designs, _, _, runs, nuisance, scan = world()
    factored = FactoredDesign(designs, nuisance)
    other = SurfaceRuns([7.0 * y.astype(float) + 1e5 for y in data], 60)
    np.testing.assert_allclose(
        cross_validate(other, scan=scan_runs(other, nuisance=nuisance), factored=factored),
        cross_validate(runs, scan=scan, factored=factored), atol=1e-4)


def test_a_vertex_without_signal_has_no_r2_and_leaves_the_others():
    data, designs, _, _, runs, nuisance, scan = world()
    factored = FactoredDesign(designs, nuisance)
    silent = SurfaceRuns([np.where(np.arange(60) == 7, np.float32(50), y) for y in data], 60)
    found = cross_validate(silent, scan=scan_runs(silent, nuisance=nuisance), factored=factored)[0]
    assert np.isnan(found[7])
    np.testing.assert_allclose(np.delete(found, 7),
                               np.delete(cross_validate(runs, scan=scan, factored=factored)[0], 7), atol=1e-4)


def test_components_are_the_singular_vectors_of_unit_length_series():
    data, _, slow, _, runs, nuisance, scan = world(extra=2)
    pool = np.arange(60) % 3 == 0
    found = noise_components(runs, scan=scan, nuisance=nuisance, pool=pool, n_components=K)
    for ours, theirs in zip(found, oracle.components_of([y.astype(float) for y in data], slow, pool, K), strict=True):
        np.testing.assert_allclose(np.abs(np.sum(ours * theirs, axis=0)) / (len(ours) - 1), 1.0, atol=1e-7)
        np.testing.assert_allclose(ours.std(axis=0, ddof=1), 1.0)
        assert (np.take_along_axis(ours, np.abs(ours).argmax(axis=0)[None], 0) > 0).all()


def test_a_pool_s_series_counts_the_same_whatever_its_size():
    data, _, _, _, _, nuisance, _ = world()
    pool = np.arange(60) < 30
    louder = SurfaceRuns([y * np.where(np.arange(60) == 4, np.float32(50), np.float32(1)) for y in data])
    quiet = SurfaceRuns(data)
    first, second = (noise_components(one, scan=scan_runs(one, nuisance=nuisance), nuisance=nuisance, pool=pool,
                                      n_components=2) for one in (louder, quiet))
    np.testing.assert_allclose(first[0], second[0], atol=1e-3)


@pytest.mark.parametrize(("n_pool", "asked", "expected"), [(3, 20, 3), (0, 20, 0), (30, 0, 0), (30, 5, 5)])
def test_a_small_pool_gives_as_many_components_as_it_holds(n_pool, asked, expected):
    *_, runs, nuisance, scan = world()
    found = noise_components(runs, scan=scan, nuisance=nuisance, pool=np.arange(60) < n_pool, n_components=asked)
    assert [one.shape[1] for one in found] == [expected] * 3


def test_directions_span_the_first_components_beyond_the_nuisance():
    data, _, slow, more, _, nuisance, _ = world(extra=2)
    components = oracle.components_of(data, slow, np.arange(60) % 2 == 0, K)
    for ours, one, s, e in zip(beyond_nuisance(components, nuisance=nuisance), components, slow, more, strict=True):
        for n in range(1, K + 1):
            whole = oracle.remove(np.hstack([s, e, one[:, :n]]))
            parts = oracle.remove(np.hstack([s, e])) - ours[:, :n] @ ours[:, :n].T
            np.testing.assert_allclose(parts, whole, atol=1e-9)


def test_a_component_that_the_nuisance_explains_is_refused():
    *_, nuisance, _ = world()
    same = [np.stack([np.arange(len(one.drifts)) % 3, one.drifts[:, 1]], axis=1) for one in nuisance]
    with pytest.raises(ValueError, match="run 1: component 2 is explained by the nuisance columns"):
        beyond_nuisance(same, nuisance=nuisance)
    with pytest.raises(ValueError, match="run 1: 90 components and 3 nuisance columns for 90 volumes"):
        beyond_nuisance([np.eye(len(one.drifts)) for one in nuisance], nuisance=nuisance)


def test_the_pool_is_bright_unpredicted_and_not_excluded():
    mean = np.array([100.0] * 8 + [49.0, 51.0])
    r2 = np.array([-1, 0, 1, -1, np.nan, -1e-4, -1, -1, -1, -1], np.float32)
    exclude = np.arange(10) == 6
    pool = choose_pool(mean, r2=r2, percentile=50, exclude=exclude)
    assert pool.threshold == 50.0
    assert pool.n_bright == 9
    np.testing.assert_array_equal(np.flatnonzero(pool.mask), [0, 3, 5, 7, 9])
    assert choose_pool(mean, r2=np.ones(10, np.float32)).is_empty
    with pytest.raises(ValueError, match=r"exclusion of \(9,\) vertices beside \(10,\)"):
        choose_pool(mean, r2=r2, exclude=exclude[1:])


def test_the_brightness_percentile_is_matlabs():
    mean = np.arange(1.0, 51.0)  # prctile(1:50, 99) = 50: the k-th value stands at 100 (k - 1/2) / 50 percent
    assert choose_pool(mean, r2=np.zeros(50, np.float32)).threshold == 25.0
    assert choose_pool(mean, r2=np.zeros(50, np.float32), percentile=98).threshold == pytest.approx(0.5 * 49.5)


@pytest.mark.parametrize("seed", range(30))
def test_the_choice_follows_the_published_walk(seed):
    rng = np.random.default_rng(seed)
    r2 = (np.cumsum(rng.normal(0.5, 2, (21, 1)), axis=0) * rng.uniform(0, 1, (1, 80))
          + rng.standard_normal((21, 80))).astype(np.float32)
    assert choose_components(r2).n_components == oracle.chosen_number(r2)


def curve_of(*values):
    return np.repeat(np.array(values, np.float32)[:, None], 5, axis=1)


def test_the_first_number_near_the_maximum_is_taken():
    assert choose_components(curve_of(1, 3, 10.6, 10.5, 11)).n_components == 2  # 9.6 x 1.05 = 10.08 >= 10
    assert choose_components(curve_of(1, 3, 10.5, 10.4, 11)).n_components == 4  # 9.5 x 1.05 = 9.975 < 10
    assert choose_components(curve_of(1, 3, 10.5, 10.4, 11), stop=1.2).n_components == 2
    assert choose_components(curve_of(5, 4, 3)).n_components == 0


def test_a_curve_without_a_maximum_is_said():
    rising, peaked, falling = curve_of(1, 2, 3), curve_of(1, 3, 2), curve_of(3, 2, 1)
    assert [choose_components(one).still_rises for one in (rising, peaked, falling)] == [True, False, False]
    assert not choose_components(curve_of(1)).still_rises


def test_where_no_vertex_is_predicted_the_best_stand_in():
    r2 = -np.arange(1.0, 301.0, dtype=np.float32)[None] - np.array([[0], [-0.5]], np.float32)
    r2[:, 4] = np.nan
    found = choose_components(r2, n_fallback=100)
    assert found.is_fallback
    np.testing.assert_array_equal(np.flatnonzero(found.vertices), np.delete(np.arange(101), 4))
    assert not choose_components(-r2).is_fallback
    with pytest.raises(ValueError, match="no vertex has signal"):
        choose_components(np.full((3, 5), np.nan, np.float32))


def test_loadings_are_projections_of_each_block():
    data, designs, _, _, runs, nuisance, scan = world()
    factored = FactoredDesign(designs, nuisance)
    blocks = []
    map_loadings(runs, lambda block, found: blocks.append((block, found)), scan=scan, bases=factored.rotations)
    assert [(block.start, block.stop) for block, _ in blocks] == [(0, 17), (17, 34), (34, 51), (51, 60)]
    for run, rotation in enumerate(factored.rotations):
        whole = np.concatenate([found[run] for _, found in blocks], axis=1)
        np.testing.assert_allclose(whole, rotation.T @ data[run].astype(float), atol=1e-9)


def test_the_scan_finds_means_and_sums_of_squares():
    data, _, slow, more, _, _, scan = world(extra=2)
    wide = [y.astype(float) for y in data]
    np.testing.assert_allclose(scan.mean_signal, np.concatenate(wide).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scan.ss_total, sum(np.square(oracle.remove(s) @ y).sum(0)
                                                  for s, y in zip(slow, wide, strict=True)), rtol=1e-9)
    both = [np.hstack([s, e]) for s, e in zip(slow, more, strict=True)]
    np.testing.assert_allclose(scan.ss_without_extra, sum(np.square(oracle.remove(b) @ y).sum(0)
                                                          for b, y in zip(both, wide, strict=True)), rtol=1e-9)


def test_data_that_do_not_fit_are_refused():
    data, designs, slow, _, _, nuisance, _ = world()
    with pytest.raises(ValueError, match="1 runs; denoising is cross-validated over at least two"):
        SurfaceRuns(data[:1])
    with pytest.raises(ValueError, match="runs of 59 and 60 vertices"):
        SurfaceRuns([data[0], data[1][:, 1:]])
    with pytest.raises(ValueError, match=r"a run of shape \(90,\)"):
        SurfaceRuns([data[0], data[1][:, 0]])
    with pytest.raises(ValueError, match="blocks of 0 vertices"):
        SurfaceRuns(data, 0)
    with pytest.raises(ValueError, match="run 3: 84 volumes beside 90 rows of drifts"):
        scan_runs(SurfaceRuns(data), nuisance=[*nuisance[:2], nuisance[0]])
    spoilt = [y.copy() for y in data]
    spoilt[1][3, 41] = np.inf
    with pytest.raises(ValueError, match="run 2, vertex 41: a value that is not finite"):
        scan_runs(SurfaceRuns(spoilt, 17), nuisance=nuisance)
    with pytest.raises(ValueError, match="drifts that are not orthonormal"):
        Nuisance(2 * slow[0])
    with pytest.raises(ValueError, match="drifts without a constant"):
        Nuisance(slow[0][:, 1:])
    with pytest.raises(ValueError, match="extra regressors of 89 rows beside drifts of 90"):
        Nuisance(slow[0], np.ones((89, 1)))
    with pytest.raises(ValueError, match="design run 3: 90 rows beside 84 of drifts"):
        FactoredDesign([*designs[:2], designs[0]], nuisance)
    with pytest.raises(ValueError, match="design: runs of 7 and 8 conditions"):
        FactoredDesign([designs[0][:, 1:], *designs[1:]], nuisance)
    with pytest.raises(ValueError, match="design: no condition occurs in any run"):
        FactoredDesign([0 * one for one in designs], nuisance)


def test_conditions_that_always_come_together_are_refused():
    _, designs, _, _, _, nuisance, _ = world()
    twins = [np.hstack([one, one[:, 5:6]]) for one in designs]
    with pytest.raises(ValueError, match=r"design: condition number .*, weakest at condition (5|8); expected at most"):
        FactoredDesign(twins, nuisance)
    many = [np.random.default_rng(run).standard_normal((len(one), 300)) for run, one in enumerate(designs)]
    with pytest.raises(ValueError, match="design: condition number inf"):
        FactoredDesign(many, nuisance)


def test_extra_regressors_that_the_drifts_explain_add_nothing():
    slow = oracle.drifts(90, 2)
    rng = np.random.default_rng(0)
    one = Nuisance(slow, np.hstack([slow[:, 1:2] * 5, rng.standard_normal((90, 2)), np.ones((90, 1))]))
    assert one.basis.shape == (90, 5)
    np.testing.assert_allclose(one.basis.T @ one.basis, np.eye(5), atol=1e-12)
    assert Nuisance(slow, np.zeros((90, 3))).basis.shape == (90, 3)
