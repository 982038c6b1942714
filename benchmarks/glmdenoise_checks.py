"""GLMdenoise's measured claims, printed: the reference set, planted responses and components, null data.

    PYTHONPATH=. python benchmarks/glmdenoise_checks.py [--reference glmdenoise_reference.npz] [--seeds 5]

The reference set is what GLMdenoise's own code made of a small synthetic set (HRF, noise pool, curve, number of
components, betas with and without bootstraps). Everything else is made here from seeds: 5 runs of single-event
conditions, slow noise that all vertices share in different measure, white noise, drifts.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from analysis.glm.denoising.denoise import Denoised, denoise
from analysis.glm.denoising.experiment import DenoiseOptions, Experiment
from analysis.glm.denoising.hrf_estimate import convolve, peak_at_one
from analysis.glm.denoising.model import Nuisance
from analysis.glm.design import polynomials
from analysis.glm.hrf import event_response

TR_S = 2.0
LAGS_S = TR_S * np.arange(14)
PLAIN = DenoiseOptions(hrf="assume", n_bootstraps=0)


def correlate(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def make_session(rng: np.random.Generator, *, n_shared: int, signal: float = 1.0, lag_s: float = 0.0,
                 width: float = 1.0, n_conditions: int = 60, n_vertices: int = 2000, n_volumes: int = 200,
                 shared: float = 0.8, smooth: int = 2, n_runs: int = 5) -> tuple[list, list, np.ndarray, np.ndarray]:
    """Make onsets, data, betas (percent) and the true response, peak 1."""
    response = event_response((LAGS_S - lag_s) / width, duration_s=2.0, planned_s=2.0)
    responds = rng.random(n_vertices) < 0.4
    betas = signal * responds * (1.0 + 0.6 * rng.standard_normal((n_conditions, n_vertices)))
    mean = np.where(rng.random(n_vertices) < 0.2, 20.0, rng.uniform(70, 140, n_vertices))
    weights, kernel = shared * rng.standard_normal((n_shared, n_vertices)), np.ones(smooth) / np.sqrt(smooth)
    onsets, data = [], []
    for _ in range(n_runs):
        onset = np.zeros((n_volumes, n_conditions))
        onset[np.sort(rng.choice(n_volumes - 20, n_conditions, replace=False)), rng.permutation(n_conditions)] = 1.0
        courses = rng.standard_normal((n_volumes + smooth, n_shared))
        courses = np.stack([np.convolve(one, kernel)[smooth:n_volumes + smooth] for one in courses.T], axis=1) \
            if n_shared else np.zeros((n_volumes, 0))
        slow = polynomials(n_volumes, degree=3)[:, 1:] * np.sqrt(n_volumes) @ rng.standard_normal((3, n_vertices))
        percent = convolve(onset, response) @ betas + courses @ weights + 0.7 * slow
        percent += 1.5 * rng.standard_normal(percent.shape)
        onsets.append(onset)
        data.append((mean * (1 + percent / 100)).astype(np.float32))
    return onsets, data, betas, response / response.max()


def fit(onsets: list, data: list, response: np.ndarray, options: DenoiseOptions, seed: int = 0) -> Denoised:
    nuisance = [Nuisance(polynomials(len(one), degree=3)) for one in data]
    return denoise(data, experiment=Experiment(onsets=onsets, response=response, nuisance=nuisance), options=options,
                   rng=np.random.default_rng(seed))


def check_reference(path: Path) -> None:
    """Compare with what GLMdenoise's own code made."""
    with np.load(path) as file:
        theirs = dict(file)
    runs = [np.ascontiguousarray(run.T) for run in theirs["data"]]
    experiment = Experiment(onsets=[run.astype(float) for run in theirs["design"]], response=theirs["hrf"],
                            nuisance=[Nuisance(polynomials(len(run), degree=5)) for run in runs])
    once = denoise(runs, experiment=experiment, options=DenoiseOptions(n_bootstraps=0))
    drawn = [denoise(runs, experiment=experiment, options=DenoiseOptions(), rng=np.random.default_rng(seed))
             for seed in (1, 2)]
    slope = np.polyfit(theirs["beta_percent"].T.ravel(), once.percent.ravel(), 1)[0]
    print(f"reference set: components {once.n_components} (theirs {int(theirs['n_pcs'])}), noise pools "
          f"{'equal' if np.array_equal(once.pool.mask, theirs['noise_pool']) else 'DIFFERENT'}, HRF r "
          f"{correlate(once.hrf.response, theirs['hrf']):.6f}, cross-validated R2 within "
          f"{np.abs(once.xval_r2 - theirs['xval_r2'].T).max():.2g} points, betas r "
          f"{correlate(once.percent, theirs['beta_percent'].T):.7f}, slope {slope:.6f}")
    with_theirs = [correlate(one.percent, theirs["boot_beta_percent"].T) for one in drawn]
    print(f"  bootstrap medians: r {with_theirs[0]:.4f} and {with_theirs[1]:.4f} with theirs; "
          f"{correlate(drawn[0].percent, drawn[1].percent):.4f} between two seeds of ours")


def check_lag(seeds: range) -> None:
    """Plant a response that is 1 s late and 15 % wider than the seed, without and with slow shared noise."""
    for name, given in (("white noise", {"n_shared": 0}), ("slow shared noise", {"n_shared": 4, "smooth": 8,
                                                                               "shared": 2.0, "signal": 0.5})):
        for label, options in (("published", replace(PLAIN, hrf="optimize")),
                               ("components first", replace(PLAIN, hrf="optimize", hrf_without_noise=True))):
            found = []
            for seed in seeds:
                onsets, data, _, true = make_session(np.random.default_rng(seed), lag_s=1.0, width=1.15, **given)
                one = fit(onsets, data, event_response(LAGS_S, duration_s=2.0, planned_s=2.0), options).hrf
                found.append((correlate(one.response, true), one.outcome))
            seed_r = correlate(peak_at_one(event_response(LAGS_S, duration_s=2.0, planned_s=2.0)), true)
            said = ", ".join(f"{name} x {sum(outcome == name for _, outcome in found)}"
                             for name in dict.fromkeys(outcome for _, outcome in found))
            print(f"HRF 1 s late and 15 % wider, {name}, {label}: r to the truth "
                  f"{np.median([r for r, _ in found]):.4f} (seed {seed_r:.3f}); {said}")


def check_planted(seeds: range) -> None:
    """Plant 0 to 6 shared noise courses."""
    for planted in (0, 2, 4, 6):
        chosen, gains = [], []
        for seed in seeds:
            onsets, data, betas, response = make_session(np.random.default_rng(100 + seed), n_shared=planted)
            found = fit(onsets, data, response, PLAIN)
            chosen.append(found.n_components)
            responds = np.abs(betas).sum(axis=0) > 0
            gains.append([correlate(one.betas[:, responds] / found.scan.mean_signal[responds], betas[:, responds])
                          for one in (found.final, found.before)])
        after, before = np.mean(gains, axis=0)
        print(f"{planted} planted components: chosen {chosen}; r to the truth {after:.4f}, least squares {before:.4f}")


def check_null(seeds: range) -> None:
    """Contrast two halves of the conditions where there is no signal."""
    rates = []
    for seed in range(4 * len(seeds)):
        onsets, data, _, response = make_session(np.random.default_rng(200 + seed), n_shared=4, signal=0.0)
        found = fit(onsets, data, response, replace(PLAIN, n_bootstraps=20), seed)
        order = np.random.default_rng(300 + seed).permutation(60)
        p = stats.ttest_ind(found.percent[order[:30]], found.percent[order[30:]], axis=0).pvalue
        rates.append(100 * np.mean(p < 0.05))
    print(f"null data: {np.mean(rates):.2f} +- {np.std(rates, ddof=1) / np.sqrt(len(rates)):.2f} % of contrasts "
          f"reject at 5 % ({len(rates)} sets of 2000 vertices)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    with threadpool_limits(limits=1):
        if given.reference is not None:
            check_reference(given.reference)
        check_lag(range(given.seeds))
        check_planted(range(given.seeds))
        check_null(range(given.seeds))


if __name__ == "__main__":
    main()
