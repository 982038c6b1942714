"""AR(1) of one session: ours beside nilearn's run_glm(noise_model="ar1"), in one process; and its calibration.

    PYTHONPATH=. python benchmarks/glm_ar1.py [--vertices 20484] [--runs 5] [--volumes 278] [--seed 0]

121 conditions (60 images twice, and blanks, an event every 4 s), polynomial drifts a run, AR(1) noise of coefficient
.1 to .5, responses at half of the vertices. nilearn sees the runs below one another with the drifts of each as columns
of their own, as one scan: the two differ at the borders of runs. So t is compared on one run, where they mean the same,
and time on all. One BLAS thread; CPU seconds.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from nilearn.glm import compute_contrast
from nilearn.glm.first_level import run_glm
from scipy.linalg import block_diag
from threadpoolctl import threadpool_limits

from analysis.glm.ar1 import fit_ar1
from analysis.glm.design import polynomials
from analysis.glm.hrf import event_response
from analysis.glm.linear.contrasts import contrast
from analysis.glm.ols import Model

TR_S, N_CONDITIONS = 2.0, 121


def make_session(*, n_vertices: int, n_runs: int, n_volumes: int, seed: int) -> tuple[list, list, list, np.ndarray]:
    """Make designs, drifts, data, and which vertices respond."""
    rng = np.random.default_rng(seed)
    responds = np.arange(n_vertices) % 2 == 1
    betas = (responds * (1.0 + 0.5 * rng.standard_normal((N_CONDITIONS, n_vertices)))).astype(np.float32)
    rho = rng.uniform(0.1, 0.5, n_vertices).astype(np.float32)
    times = TR_S * np.arange(n_volumes)
    designs, drifts, runs = [], [], []
    for _ in range(n_runs):
        design = np.zeros((n_volumes, N_CONDITIONS))
        order = np.minimum(rng.permutation(N_CONDITIONS - 1 + 9), N_CONDITIONS - 1)
        for place, condition in enumerate(order):
            design[:, condition] += event_response(times - 4.0 * place - 2.0, duration_s=2.0, planned_s=2.0)
        drift = polynomials(n_volumes, degree=5)
        noise = rng.standard_normal((n_volumes, n_vertices), dtype=np.float32)
        for volume in range(1, n_volumes):
            noise[volume] = rho * noise[volume - 1] + np.sqrt(1 - rho**2) * noise[volume]
        data = (100 + design.astype(np.float32) @ betas + 1.5 * noise).astype(np.float32)
        designs.append(design)
        drifts.append(drift)
        runs.append(data)
    return designs, drifts, runs, responds


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("vertices", 20_484), ("runs", 5), ("volumes", 278), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    weights = np.zeros(N_CONDITIONS)
    weights[:40], weights[80:120] = 1 / 40, -1 / 40
    with threadpool_limits(limits=1):
        designs, drifts, runs, responds = make_session(n_vertices=given.vertices, n_runs=given.runs,
                                                       n_volumes=given.volumes, seed=given.seed)
        base, start = peak_mib(), time.process_time()
        fit = fit_ar1(runs, model=Model(designs, drifts))
        ours = contrast(fit, weights)
        mine, top = time.process_time() - start, peak_mib()
        full = np.hstack([np.concatenate(designs), block_diag(*drifts)])
        stacked, start = np.concatenate(runs), time.process_time()
        labels, results = run_glm(stacked, full, noise_model="ar1")
        padded = np.concatenate([weights, np.zeros(full.shape[1] - N_CONDITIONS)])
        theirs = compute_contrast(labels, results, padded, stat_type="t")
        other = time.process_time() - start
        print(f"{given.vertices} vertices x {given.volumes} volumes x {given.runs} runs: ours {mine:.2f} CPU s, "
              f"{top - base:.0f} MiB more; nilearn {other:.2f} CPU s, {peak_mib() - top:.0f} MiB more; "
              f"ratio {mine / other:.2f}")
        print(f"t over runs joined (nilearn) and apart (ours): r {np.corrcoef(ours.t, theirs.stat())[0, 1]:.5f}")
        few = slice(0, 2000)
        one = contrast(fit_ar1([runs[0][:, few]], model=Model(designs[:1], drifts[:1]), correct_bias=False), weights)
        labels, results = run_glm(runs[0][:, few].astype(np.float64), np.hstack([designs[0], drifts[0]]),
                                  noise_model="ar1")
        padded = np.concatenate([weights, np.zeros(drifts[0].shape[1])])
        single = compute_contrast(labels, results, padded, stat_type="t").stat()
        print(f"one run, 2000 vertices: t differs by {np.abs(one.t - single).max():.1e} at most")
        for correct in (True, False):
            p = contrast(fit_ar1(runs, model=Model(designs, drifts), correct_bias=correct), weights).p[~responds]
            print(f"calibration, bias {'corrected' if correct else 'left, as nilearn'}: "
                  f"{100 * np.mean(p < 0.05):.2f} % of {len(p)} vertices without signal at p < .05")


if __name__ == "__main__":
    main()
