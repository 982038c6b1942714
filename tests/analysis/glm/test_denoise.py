"""GLMdenoise as a whole: the reference set that its own code was run on, planted truths, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from analysis.glm.denoising.denoise import Denoised, denoise
from analysis.glm.denoising.experiment import DenoiseOptions, Experiment
from analysis.glm.denoising.model import Nuisance
from analysis.glm.design import polynomials
from analysis.glm.ols import Model, fit_session
from tests.analysis.glm import denoise_oracle as oracle

PLAIN = DenoiseOptions(hrf="assume", n_bootstraps=0, n_components=6)


def experiment_of(onsets, response, *, n_volumes=None, degree=2, **given):
    lengths = n_volumes or [len(one) for one in onsets]
    return Experiment(onsets=onsets, response=response,
                      nuisance=[Nuisance(polynomials(n, degree=degree)) for n in lengths], **given)


@pytest.fixture(scope="module")
def reference(shared_data):
    with np.load(shared_data / "glmdenoise_reference.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def runs(reference):
    return [np.ascontiguousarray(run.T) for run in reference["data"]]


def reproduce(reference, runs, **options):
    experiment = experiment_of([run.astype(float) for run in reference["design"]], reference["hrf"], degree=5)
    return denoise(runs, experiment=experiment, options=DenoiseOptions(**options), rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def once(reference, runs) -> Denoised:
    return reproduce(reference, runs, n_bootstraps=0)


@pytest.fixture(scope="module")
def resampled(reference, runs) -> Denoised:
    return reproduce(reference, runs)


def correlate(one, other):
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


def test_the_reference_set_gives_its_response(reference, once):
    assert once.hrf.outcome == "seed kept: far from it"
    assert np.corrcoef(once.hrf.response, reference["hrf"])[0, 1] > 0.9999


def test_the_reference_set_gives_its_noise_pool_and_number_of_components(reference, once):
    np.testing.assert_array_equal(once.pool.mask, reference["noise_pool"])
    np.testing.assert_array_equal(once.choice.vertices, reference["pc_vertices"])
    assert once.n_components == int(reference["n_pcs"]) == 3
    np.testing.assert_allclose(once.scan.mean_signal, reference["mean_volume"], rtol=1e-5)


def test_the_reference_set_gives_its_cross_validated_r2(reference, once):
    assert once.xval_r2.shape == (21, 300)
    np.testing.assert_allclose(once.xval_r2, reference["xval_r2"].T, atol=0.001)  # asked: .1 points


def test_the_reference_set_gives_its_betas(reference, once):
    theirs = reference["beta_percent"].T
    assert correlate(once.percent, theirs) > 0.9999
    assert np.polyfit(theirs.ravel(), once.percent.ravel(), 1)[0] == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(once.percent, theirs, atol=1e-3)
    np.testing.assert_allclose(100 * once.r2, reference["r2"], atol=1e-3)


def test_the_reference_set_gives_its_bootstrapped_betas(reference, runs, resampled):
    assert resampled.n_components == int(reference["boot_n_pcs"])
    ours = reproduce(reference, runs, hrf="assume").percent  # the same draws again
    np.testing.assert_array_equal(ours, resampled.percent)
    experiment = experiment_of([run.astype(float) for run in reference["design"]], reference["hrf"], degree=5)
    other = denoise(runs, experiment=experiment, options=DenoiseOptions(hrf="assume"), rng=np.random.default_rng(2))
    expected = correlate(other.percent, resampled.percent)
    for found in (resampled, other):
        r = correlate(found.percent, reference["boot_beta_percent"].T)
        assert r > 0.98
        assert r > expected - 0.005  # as near to GLMdenoise's draws as two seeds of ours are to one another
        assert correlate(found.percent_errors, reference["boot_se_percent"].T) > 0.98


@pytest.fixture(scope="module")
def small():
    return oracle.small_session(3, n_volumes=(120, 120, 114, 120), n_conditions=12, n_vertices=90)


@pytest.fixture(scope="module")
def full(small) -> Denoised:
    onsets, data, _, response = small
    return denoise(data, experiment=experiment_of(onsets, response),
                   options=DenoiseOptions(hrf="assume", n_bootstraps=50), rng=np.random.default_rng(0))


def test_all_steps_equal_the_slow_loops(small, full):
    onsets, data, _, response = small
    wide = [y.astype(float) for y in data]
    slow = [oracle.drifts(len(y), 2) for y in data]
    designs, none = [oracle.convolved(one, response) for one in onsets], [np.zeros((len(y), 0)) for y in data]
    first = oracle.cross_validated(wide, designs, slow, none, none)[0]
    mean = np.concatenate(wide).mean(axis=0)
    pool = (mean > 0.5 * np.percentile(mean, 99, method="hazen")) & (first < 0)
    np.testing.assert_array_equal(full.pool.mask, pool)
    components = oracle.components_of(wide, slow, pool, 20)
    r2 = oracle.cross_validated(wide, designs, slow, none, components)
    np.testing.assert_allclose(full.xval_r2, r2, atol=1e-3)
    n = oracle.chosen_number(r2)
    assert full.n_components == n > 0
    weights = np.repeat(full.draws.weights, full.draws.counts, axis=0)
    low, high, median = {}, {}, {}
    for kind, count in (("before", 0), ("final", n)):
        nuisance = [np.hstack([s, c[:, :count]]) for s, c in zip(slow, components, strict=True)]
        drawn = oracle.drawn_betas(wide, designs, nuisance, weights)
        low[kind], median[kind], high[kind] = np.percentile(drawn, [16, 50, 84], axis=0, method="hazen")
        np.testing.assert_allclose(getattr(full, kind).betas, median[kind], atol=2e-4)
    np.testing.assert_allclose(full.percent, 100 * median["final"] / np.abs(mean), atol=1e-3)
    signal = (np.abs(median["before"]).max(axis=0) + np.abs(median["final"]).max(axis=0)) / 2
    for kind, found in (("before", full.snr_before), ("final", full.snr_after)):
        np.testing.assert_allclose(found, signal / ((high[kind] - low[kind]) / 2).mean(axis=0), rtol=1e-3)


@pytest.mark.parametrize("block_vertices", [1, 7, 1000])
def test_block_size_changes_nothing_but_rounding(small, full, block_vertices):
    onsets, data, _, response = small
    again = denoise(data, experiment=experiment_of(onsets, response), rng=np.random.default_rng(0),
                    options=DenoiseOptions(hrf="assume", n_bootstraps=50, block_vertices=block_vertices))
    np.testing.assert_array_equal(again.pool.mask, full.pool.mask)
    assert again.n_components == full.n_components
    np.testing.assert_allclose(again.xval_r2, full.xval_r2, atol=1e-4)
    np.testing.assert_allclose(again.percent, full.percent, atol=1e-4)
    np.testing.assert_allclose(again.percent_errors, full.percent_errors, atol=1e-4)


def test_a_rerun_is_bit_identical_from_memory_or_from_a_file(small, full, tmp_path):
    onsets, data, _, response = small
    mapped = []
    for run, y in enumerate(data):
        np.save(tmp_path / f"{run}.npy", y)
        mapped.append(np.load(tmp_path / f"{run}.npy", mmap_mode="r"))
    again = denoise(mapped, experiment=experiment_of(onsets, response), rng=np.random.default_rng(0),
                    options=DenoiseOptions(hrf="assume", n_bootstraps=50))
    for name in ("percent", "percent_errors", "xval_r2", "r2", "snr_before", "snr_after"):
        np.testing.assert_array_equal(getattr(again, name), getattr(full, name))


def test_without_components_and_bootstraps_it_is_least_squares(small):
    onsets, data, _, response = small
    found = denoise(data, experiment=experiment_of(onsets, response),
                    options=dataclasses.replace(PLAIN, n_components=0))
    fit = fit_session(data, model=Model([oracle.convolved(one, response) for one in onsets],
                                        [polynomials(len(y), degree=2) for y in data]))
    assert found.n_components == 0
    assert found.final is found.before
    np.testing.assert_allclose(found.percent, fit.percent, atol=1e-4)
    np.testing.assert_allclose(found.r2, fit.r2, atol=1e-5)
    np.testing.assert_allclose(found.scan.mean_signal, fit.mean_signal)
    assert np.isnan(found.snr_after).all()


@pytest.mark.parametrize("n_planted", [0, 2, 4, 6])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_planted_number_of_components_is_chosen_and_helps(n_planted, seed):
    onsets, data, betas, response = oracle.small_session(
        seed, n_volumes=(130,) * 5, n_conditions=60, events=1, n_vertices=800, signal=1.5, n_shared=n_planted,
        shared=0.8, white=1.5, smooth=2)
    found = denoise(data, experiment=experiment_of(onsets, response),
                    options=DenoiseOptions(hrf="assume", n_bootstraps=0, n_components=12))
    responds = np.arange(800) % 2 == 1
    with_them, without = (correlate(fit.betas[:, responds], betas[:, responds])
                          for fit in (found.final, found.before))
    assert abs(found.n_components - n_planted) <= 1
    assert with_them > without + 0.01 * n_planted - 0.002


def test_denoised_null_data_reject_at_their_level():
    rates = []
    for seed in range(12):
        onsets, data, _, response = oracle.small_session(seed, n_volumes=(200,) * 5, n_conditions=40, n_vertices=400,
                                                         signal=0, n_shared=4, shared=0.6, smooth=2)
        found = denoise(data, experiment=experiment_of(onsets, response), rng=np.random.default_rng(seed),
                        options=DenoiseOptions(hrf="assume", n_bootstraps=20, n_components=10))
        assert found.n_components >= 3
        order = np.random.default_rng(seed + 1000).permutation(40)
        p = stats.ttest_ind(found.percent[order[:20]], found.percent[order[20:]], axis=0).pvalue
        rates.append(np.mean(p < 0.05))
    assert np.mean(rates) == pytest.approx(0.05, abs=0.01)


def test_a_response_is_estimated_and_used(small):
    onsets, data, _, response = small
    seed = np.array([0.0, 0.2, 0.7, 1.0, 0.5, 0.0])
    found = denoise(data, experiment=experiment_of(onsets, seed),
                    options=dataclasses.replace(PLAIN, hrf="optimize", n_hrf_vertices=40))
    assert found.hrf.outcome == "estimated"
    assert np.corrcoef(found.hrf.response, response)[0, 1] > 0.99
    taken = denoise(data, experiment=experiment_of(onsets, found.hrf.response), options=PLAIN)
    np.testing.assert_allclose(found.percent, taken.percent, atol=1e-4)


def test_slow_shared_noise_leaks_into_the_response_unless_it_is_taken_out_first():
    given = {"n_volumes": (200,) * 5, "n_conditions": 60, "events": 1, "n_vertices": 600}
    onsets, data, betas, response = oracle.small_session(0, shared=0.8, smooth=4, white=1.5, signal=0.5, **given)
    experiment = experiment_of(onsets, response)
    options = dataclasses.replace(PLAIN, hrf="optimize")
    published = denoise(data, experiment=experiment, options=options)
    without = denoise(data, experiment=experiment, options=dataclasses.replace(options, hrf_without_noise=True))
    known = denoise(data, experiment=experiment, options=PLAIN)
    assert published.hrf.outcome == without.hrf.outcome == "estimated"  # the guard lets the leak pass
    assert published.hrf.r2_seed < 90 < 99 < without.hrf.r2_seed
    responds = np.arange(600) % 2 == 1
    r = [correlate(one.final.betas[:, responds], betas[:, responds]) for one in (published, without, known)]
    assert r[1] > r[0] + 0.03
    assert r[1] > r[2] - 0.005


def test_a_planted_lag_is_found_beside_slow_noise_too():
    onsets, data, _, response = oracle.small_session(1, n_volumes=(150,) * 4, n_conditions=16, n_vertices=200,
                                                     shared=1.5, smooth=8)
    seed = np.array([0.0, 0.2, 0.7, 1.0, 0.5, 0.0])
    found = denoise(data, experiment=experiment_of(onsets, seed),
                    options=dataclasses.replace(PLAIN, hrf="optimize", hrf_without_noise=True))
    assert found.hrf.outcome == "estimated"
    assert np.corrcoef(found.hrf.response, response)[0, 1] > 0.99


def test_a_time_course_a_condition_and_vertex():
    courses = np.random.default_rng(0).standard_normal((3, 5, 30))
    onsets, data, _, _ = oracle.small_session(0, n_volumes=(110,) * 4, n_conditions=3, n_vertices=30, signal=0,
                                              events=6, white=0.3, shared=0.3)
    data = [y + sum(np.stack([np.convolve(onset[:, c], courses[c, :, v])[:110] for v in range(30)], axis=1)
                    for c in range(3)).astype(np.float32) for y, onset in zip(data, onsets, strict=True)]
    found = denoise(data, experiment=experiment_of(onsets, np.ones(5)), options=dataclasses.replace(PLAIN, hrf="fir"))
    assert found.n_lags == 5
    assert found.hrf.outcome == "fir"
    assert found.final.betas.shape == (15, 30)
    assert correlate(found.final.betas.reshape(3, 5, 30), courses) > 0.99


def test_exact_time_courses_take_the_place_of_onsets(small):
    onsets, data, _, response = small
    exact = [oracle.convolved(one, response) for one in onsets]
    wrong = np.roll(response, 2)
    found = denoise(data, experiment=experiment_of(onsets, wrong, predicted=exact), options=PLAIN)
    wanted = denoise(data, experiment=experiment_of(onsets, response), options=PLAIN)
    np.testing.assert_array_equal(found.percent, wanted.percent)
    with pytest.raises(ValueError, match="predicted time courses with hrf='optimize'"):
        denoise(data, experiment=experiment_of(onsets, response, predicted=exact),
                options=dataclasses.replace(PLAIN, hrf="optimize"))


def test_a_condition_that_no_run_holds_is_nan_and_leaves_the_others(small):
    onsets, data, _, response = small
    more = [np.insert(one, 4, 0.0, axis=1) for one in onsets]
    found = denoise(data, experiment=experiment_of(more, response), options=PLAIN)
    without = denoise(data, experiment=experiment_of(onsets, response), options=PLAIN)
    assert found.absent == (4,)
    assert without.absent == ()
    assert np.isnan(found.percent[4]).all()
    np.testing.assert_array_equal(np.delete(found.percent, 4, axis=0), without.percent)


def split_by_run(onsets, condition):
    """Call a condition by another name in every run."""
    made = []
    for run, one in enumerate(onsets):
        apart = np.zeros((len(one), len(onsets)))
        apart[:, run] = one[:, condition]
        made.append(np.hstack([np.delete(one, condition, axis=1), apart]))
    return made


def test_conditions_that_do_not_repeat_are_reported_and_can_be_merged(small):
    onsets, data, _, response = small
    apart = split_by_run(onsets, 11)
    alone = denoise(data, experiment=experiment_of(apart, response), options=PLAIN)
    assert alone.not_cross_validated == (11, 12, 13, 14)
    groups = [*range(11), 11, 11, 11, 11]
    merged = denoise(data, experiment=experiment_of(apart, response, merged=groups), options=PLAIN)
    whole = denoise(data, experiment=experiment_of(onsets, response), options=PLAIN)
    assert merged.not_cross_validated == whole.not_cross_validated == ()
    np.testing.assert_allclose(merged.xval_r2, whole.xval_r2, atol=1e-4)
    assert merged.n_components == whole.n_components
    assert merged.final.betas.shape == (15, 90)
    assert not np.allclose(merged.final.betas[11], merged.final.betas[12], atol=0.1)


def test_where_nothing_repeats_nothing_is_switched_off_in_silence(small):
    onsets, data, _, response = small
    apart = [np.hstack([one if run == k else np.zeros((len(one), 12)) for k in range(4)])
             for run, one in enumerate(onsets)]
    with pytest.raises(ValueError, match="no condition occurs in two runs; nothing can be cross-validated"):
        denoise(data, experiment=experiment_of(apart, response), options=PLAIN)
    merged = denoise(data, experiment=experiment_of(apart, response, merged=np.tile(np.arange(12), 4)), options=PLAIN)
    assert merged.n_components > 0
    assert merged.final.betas.shape == (48, 90)


def test_an_empty_pool_gives_no_components(small):
    onsets, data, _, response = small
    found = denoise(data, experiment=experiment_of(onsets, response, exclude=np.ones(90, bool)), options=PLAIN)
    assert found.pool.is_empty
    assert found.n_components == 0
    assert found.xval_r2.shape == (1, 90)
    np.testing.assert_array_equal(found.final.betas, found.before.betas)


def test_a_vertex_without_signal_is_nan_throughout(small):
    onsets, data, _, response = small
    silent = [np.where(np.arange(90) == 8, np.float32(0), y) for y in data]
    found = denoise(silent, experiment=experiment_of(onsets, response), rng=np.random.default_rng(0),
                    options=dataclasses.replace(PLAIN, n_bootstraps=10))
    for values in (found.percent, found.percent_errors, found.xval_r2, found.r2, found.snr_before, found.snr_after):
        assert np.isnan(values[..., 8]).all()
        assert np.isfinite(np.delete(values, 8, axis=-1)).all()
    assert not found.pool.mask[8]


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="HRF 'canonical'; expected 'optimize', 'assume' or 'fir'"):
        DenoiseOptions(hrf="canonical")
    for name in ("n_components", "n_bootstraps"):
        with pytest.raises(ValueError, match=f"{name} of -1; expected at least 0"):
            DenoiseOptions(**{name: -1})
    for name in ("n_hrf_vertices", "n_fallback"):
        with pytest.raises(ValueError, match=f"{name} of 0; expected at least 1"):
            DenoiseOptions(**{name: 0})
    with pytest.raises(ValueError, match="hrf_without_noise with HRF 'assume'; only 'optimize' fits a response"):
        DenoiseOptions(hrf="assume", hrf_without_noise=True)
    with pytest.raises(ValueError, match="brightness_percentile of 101"):
        DenoiseOptions(brightness_percentile=101)
    with pytest.raises(ValueError, match="stop of 0.9; expected at least 1"):
        DenoiseOptions(stop=0.9)


def test_an_experiment_that_does_not_fit_is_refused(small):
    onsets, data, _, response = small
    lengths = [len(y) for y in data]
    with pytest.raises(ValueError, match="onsets of 3 runs beside nuisance columns of 4"):
        experiment_of(onsets[1:], response, n_volumes=lengths)
    with pytest.raises(ValueError, match="run 1: 120 rows of onsets, 119 of them kept, beside 120 volumes"):
        experiment_of(onsets, response, kept=[slice(1, None)] * 4)
    with pytest.raises(ValueError, match="runs of 11 and 12 conditions"):
        experiment_of([onsets[0][:, 1:], *onsets[1:]], response)
    with pytest.raises(ValueError, match="groups of 11 conditions beside 12"):
        experiment_of(onsets, response, merged=range(11))
    with pytest.raises(ValueError, match="predicted time courses of another shape"):
        experiment_of(onsets, response, predicted=[one[:, 1:] for one in onsets])
    experiment = experiment_of(onsets, response)
    with pytest.raises(ValueError, match="3 runs beside onsets of 4"):
        denoise(data[:3], experiment=experiment, options=PLAIN)
    with pytest.raises(ValueError, match="run 3: 113 volumes beside 114 rows of drifts"):
        denoise([*data[:2], data[2][1:], data[3]], experiment=experiment, options=PLAIN)
    with pytest.raises(ValueError, match="bootstraps without a random generator"):
        denoise(data, experiment=experiment)
