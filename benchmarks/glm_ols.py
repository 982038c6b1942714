"""Least squares of one session: ours beside NumPy's lstsq and nilearn's run_glm(noise_model="ols"), in one process.

    python benchmarks/glm_ols.py [--vertices 20484] [--runs 5] [--volumes 278] [--repeats 3] [--streamed MODEL]

`--streamed ols` or `ar1` fits one session by that model without peers and prints what it took beyond the interpreter:
least squares get runs one by one, made as they are asked for; AR(1) goes through blocks of vertices of all of them.

Both get the same float32 data and the same 121 conditions with drift polynomials a run. Ours projects the drifts
out of the design; nilearn gets them as columns, block by block. Prints CPU seconds (all threads), the largest
difference of the betas and the ratio. Threads are one, whatever the environment says.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from threadpoolctl import threadpool_limits

from analysis.glm.ar1 import fit_ar1
from analysis.glm.design import polynomials
from analysis.glm.hrf import event_response
from analysis.glm.ols import Model, fit_session

N_CONDITIONS = 121
DEGREE = 4


def random_design(n_volumes: int, *, rng: np.random.Generator) -> np.ndarray:
    """One event a condition every 4 s, blanks last, as in the main experiment."""
    onsets = 20.0 + 4.0 * rng.permutation(N_CONDITIONS + 8)
    columns = np.minimum(np.arange(len(onsets)), N_CONDITIONS - 1)
    design = np.zeros((n_volumes, N_CONDITIONS))
    for onset, column in zip(onsets, columns, strict=True):
        design[:, column] += event_response(2.0 * np.arange(n_volumes) - onset, duration_s=2.0, planned_s=2.0)
    return design


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("vertices", 20_484), ("runs", 5), ("volumes", 278), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--streamed", choices=("ols", "ar1"))
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    designs = [random_design(given.volumes, rng=rng) for _ in range(given.runs)]
    drifts = [polynomials(given.volumes, degree=DEGREE) for _ in range(given.runs)]
    if given.streamed:
        return stream(given, designs, drifts)
    runs = [1000 + 10 * rng.standard_normal((given.volumes, given.vertices), dtype=np.float32) for _ in designs]
    print(f"{given.vertices} vertices x {given.volumes} volumes x {given.runs} runs, "
          f"{N_CONDITIONS} conditions, 1 thread")
    with threadpool_limits(limits=1):
        own, ours = best("ours", lambda: our_fit(runs, designs, drifts), repeats=given.repeats)
        plain, by_numpy = best("numpy lstsq", lambda: numpy_fit(runs, designs, drifts), repeats=given.repeats)
        peer, theirs = best("nilearn run_glm OLS", lambda: their_fit(runs, designs, drifts), repeats=given.repeats)
    print(f"largest difference {np.abs(ours - theirs).max() / np.abs(theirs).max():.1e} of the largest beta")
    print(f"largest difference to numpy {np.abs(ours - by_numpy).max() / np.abs(by_numpy).max():.1e}")
    print(f"ratio nilearn / ours {peer / own:.2f}; ours / numpy {own / plain:.2f}")
    return None


def stream(given: argparse.Namespace, designs: list[np.ndarray], drifts: list[np.ndarray]) -> None:
    """Fit one session as the step does, and say the peak."""
    start, model = time.process_time(), Model(designs, drifts)

    def make(run: int) -> np.ndarray:
        noise = np.random.default_rng(run).standard_normal((given.volumes, given.vertices), dtype=np.float32)
        noise *= 10
        noise += 1000
        return noise

    with threadpool_limits(limits=1):
        if given.streamed == "ols":
            betas = fit_session((make(run) for run in range(given.runs)), model=model).betas
        else:
            betas = fit_ar1([make(run) for run in range(given.runs)], model=model).betas
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{given.streamed}: {betas.shape[1]} vertices x {given.volumes} volumes x {given.runs} runs, peak "
          f"{peak / 1024:.2f} GiB, {time.process_time() - start:.0f} CPU s with making the data")


def numpy_fit(runs: list[np.ndarray], designs: list[np.ndarray], drifts: list[np.ndarray]) -> np.ndarray:
    from scipy.linalg import block_diag

    design = np.hstack([np.concatenate(designs), block_diag(*drifts)])
    return np.linalg.lstsq(design, np.concatenate(runs), rcond=None)[0][:N_CONDITIONS]


def our_fit(runs: list[np.ndarray], designs: list[np.ndarray], drifts: list[np.ndarray]) -> np.ndarray:
    return fit_session(runs, model=Model(designs, drifts)).betas


def their_fit(runs: list[np.ndarray], designs: list[np.ndarray], drifts: list[np.ndarray]) -> np.ndarray:
    from nilearn.glm.first_level import run_glm
    from scipy.linalg import block_diag

    design = np.hstack([np.concatenate(designs), block_diag(*drifts)])
    _, results = run_glm(np.concatenate(runs), design, noise_model="ols")
    return next(iter(results.values())).theta[:N_CONDITIONS]


def best(name: str, fit, *, repeats: int) -> tuple[float, np.ndarray]:
    fit()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        found = fit()
        taken.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:<20} best {min(taken):6.2f}   median {np.median(taken):6.2f} CPU s   peak so far {peak:.0f} MiB")
    return min(taken), found


if __name__ == "__main__":
    main()
