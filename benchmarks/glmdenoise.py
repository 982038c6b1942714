"""GLMdenoise of one session: CPU time, memory, and how near the betas come to the truth.

    python benchmarks/glmdenoise.py [--vertices 20484] [--runs 5] [--volumes 278] [--bootstraps 100] [--seed 0]
                                    [--shared 4] [--smooth 1] [--hrf optimize] [--hrf-without-noise]
                                    [--glmdenoise FOLDER]

The data are made here from the seed: 121 conditions (one event each a run, every 4 s, blanks nine times), a fifth of
the vertices dim, two fifths with a response, drifts, autocorrelated noise, and a few noise time courses a run that all
vertices share in different measure. The response starts from (``optimize``) or is (``assume``) the one that the data
were made with. Prints the BLAS kernel, CPU seconds (one thread), the peak of memory above the input, and r to the
truth over all conditions and the vertices with a response, for denoised betas and for plain least squares.

With ``--glmdenoise`` the same data go through kendrickkay/GLMdenoise (FOLDER holds it and its knkutils) in Octave, if
``octave`` is installed. Without it the recorded figure of such a run is printed: it was taken on other data of this
size from a generator of this kind, so that its seconds and memory compare, its r only roughly.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.io import loadmat, savemat
from threadpoolctl import threadpool_info, threadpool_limits

from analysis.glm.denoising.denoise import denoise
from analysis.glm.denoising.experiment import DenoiseOptions, Experiment
from analysis.glm.denoising.hrf_estimate import convolve
from analysis.glm.denoising.model import Nuisance
from analysis.glm.design import polynomials
from analysis.glm.hrf import event_response

N_CONDITIONS, N_BLANKS = 121, 9
N_SHARED, SMOOTH_VOLUMES = 4, 1.0
TR_S, STIMULUS_S = 2.0, 4.0
RESPONSE = event_response(TR_S * np.arange(16) + 0.5, duration_s=STIMULUS_S, planned_s=STIMULUS_S)
RECORDED = "GLMdenoise in Octave 7.3, recorded earlier: 165 CPU s, peak 2314 MiB in all, r 0.67"
SCRIPT = """addpath(genpath('{folder}')); load('{data}'); design = cell(1, n); data = cell(1, n);
for k = 1:n, design{{k}} = onsets{{k}}; data{{k}} = series{{k}}; end
results = GLMdenoisedata(design, data, {stimulus}, {tr}, '{hrf}', response(:), struct('numboots', {boots}), []);
betas = results.modelmd{{2}}; pcnum = results.pcnum; save('-v6', '{out}', 'betas', 'pcnum');
"""


def make_session(*, n_vertices: int, n_runs: int, n_volumes: int, seed: int, n_shared: int = N_SHARED,
                 smooth: float = SMOOTH_VOLUMES) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
    """Make onsets and data of each run, true betas in percent (n_conditions, n_vertices), and who has a response."""
    rng = np.random.default_rng(seed)
    mean = np.where(rng.random(n_vertices) < 0.2, rng.uniform(5, 30, n_vertices), rng.uniform(70, 140, n_vertices))
    responds = rng.random(n_vertices) < 0.4
    betas = responds * (1.0 + 0.6 * rng.standard_normal((N_CONDITIONS, n_vertices)))
    weights = rng.standard_normal((n_shared, n_vertices)) * 0.6
    onsets, runs = [], []
    for _ in range(n_runs):
        onset = np.zeros((n_volumes, N_CONDITIONS))
        order = np.minimum(rng.permutation(N_CONDITIONS - 1 + N_BLANKS), N_CONDITIONS - 1)
        onset[np.arange(len(order)) * 2, order] = 1.0
        percent = (convolve(onset, RESPONSE) @ betas).astype(np.float32)
        percent += _shared(n_volumes, n_shared, smooth=smooth, rng=rng).astype(np.float32) @ weights.astype(np.float32)
        slow = polynomials(n_volumes, degree=3)[:, 1:] * np.sqrt(n_volumes)
        percent += (slow @ (0.7 * rng.standard_normal((3, n_vertices)))).astype(np.float32)
        noise = rng.standard_normal((n_volumes, n_vertices), dtype=np.float32)
        for volume in range(1, n_volumes):
            noise[volume] = 0.3 * noise[volume - 1] + np.float32(np.sqrt(1 - 0.3**2)) * noise[volume]
        percent += np.float32(1.4) * noise
        onsets.append(onset)
        runs.append((mean * (1 + percent / 100)).astype(np.float32))
    return onsets, runs, betas, responds


def _shared(n_volumes: int, n_shared: int, *, smooth: float, rng: np.random.Generator) -> np.ndarray:
    """Noise time courses of unit variance, smooth over neighbouring volumes."""
    kernel = np.exp(-0.5 * (np.arange(-8, 9) / smooth) ** 2)
    white = rng.standard_normal((n_volumes + len(kernel) - 1, n_shared))
    made = np.reshape([np.convolve(column, kernel, mode="valid") for column in white.T], (n_shared, n_volumes))
    return made.T / np.linalg.norm(kernel)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def correlate(betas: np.ndarray, truth: np.ndarray, responds: np.ndarray) -> float:
    return float(np.corrcoef(betas[:, responds].ravel(), truth[:, responds].ravel())[0, 1])


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("vertices", 20_484), ("runs", 5), ("volumes", 278), ("bootstraps", 100), ("seed", 0),
                          ("shared", N_SHARED)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--smooth", type=float, default=SMOOTH_VOLUMES, help="volumes that shared noise is smooth over")
    parser.add_argument("--hrf", choices=("optimize", "assume"), default="optimize")
    parser.add_argument("--hrf-without-noise", action="store_true", help="fit the response to data without components")
    parser.add_argument("--glmdenoise", type=Path, metavar="FOLDER", help="run the peer beside ours, in Octave")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def make_in_child(folder: Path) -> None:
    """Make the data in a process of its own, so that its peak of memory is not taken for the fit's."""
    subprocess.run([sys.executable, __file__, *sys.argv[1:], "--make", str(folder)], check=True)


def make_files(given: argparse.Namespace) -> None:
    onsets, runs, betas, responds = make_session(n_vertices=given.vertices, n_runs=given.runs, n_shared=given.shared,
                                                 n_volumes=given.volumes, seed=given.seed, smooth=given.smooth)
    np.save(given.make / "runs.npy", runs)
    np.savez(given.make / "truth.npz", onsets=onsets, betas=betas, responds=responds)


def main() -> None:
    given = parse()
    if given.make is not None:
        make_files(given)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        make_in_child(folder)
        with np.load(folder / "truth.npz") as truth:
            onsets, betas, responds = list(truth["onsets"]), truth["betas"], truth["responds"]
        runs = list(np.load(folder / "runs.npy"))
        kernels = ", ".join(sorted({f"{one['internal_api']} {one.get('architecture', '')}".strip()
                                    for one in threadpool_info() if one["user_api"] == "blas"}))
        print(f"{given.vertices} vertices x {given.volumes} volumes x {given.runs} runs, {N_CONDITIONS} conditions, "
              f"20 components, {given.bootstraps} bootstraps, HRF {given.hrf}; 1 thread, kernel {kernels}")
        with threadpool_limits(limits=1):
            run_ours(given, onsets=onsets, runs=runs, betas=betas, responds=responds)
        if given.glmdenoise is None:
            print(RECORDED)
        else:
            run_theirs(given, folder, onsets=onsets, runs=runs, betas=betas, responds=responds)


def run_ours(given: argparse.Namespace, *, onsets: list, runs: list, betas: np.ndarray, responds: np.ndarray) -> None:
    degree = round(given.volumes * TR_S / 60 / 2)
    experiment = Experiment(onsets=onsets, response=RESPONSE,
                            nuisance=[Nuisance(polynomials(len(run), degree=degree)) for run in runs])
    options = DenoiseOptions(hrf=given.hrf, n_bootstraps=given.bootstraps, hrf_without_noise=given.hrf_without_noise)
    base, start = resident_mib(), time.process_time()
    found = denoise(runs, experiment=experiment, options=options, rng=np.random.default_rng(given.seed))
    taken = time.process_time() - start
    print(f"ours: {taken:.2f} CPU s, peak {peak_mib() - base:.0f} MiB above {base:.0f} with the input; "
          f"{found.n_components} components, HRF {found.hrf.outcome} after {found.hrf.rounds} rounds, R2 to its "
          f"seed {found.hrf.r2_seed:.1f} %")
    plain = 100 * found.before.betas / np.abs(found.scan.mean_signal)
    print(f"r to the truth {correlate(found.percent, betas, responds):.3f} denoised, "
          f"{correlate(plain, betas, responds):.3f} without components")


def run_theirs(given: argparse.Namespace, folder: Path, *, onsets: list, runs: list, betas: np.ndarray,
               responds: np.ndarray) -> None:
    octave = shutil.which("octave-cli") or shutil.which("octave")
    if octave is None:
        raise SystemExit("octave is not installed; leave --glmdenoise out")
    cells = {name: np.empty((1, len(runs)), dtype=object) for name in ("onsets", "series")}
    for run, (onset, series) in enumerate(zip(onsets, runs, strict=True)):
        cells["onsets"][0, run], cells["series"][0, run] = onset, series.T
    savemat(folder / "data.mat", {**cells, "response": RESPONSE, "n": float(len(runs))})
    (folder / "run.m").write_text(SCRIPT.format(
        folder=given.glmdenoise.resolve(), data=folder / "data.mat", out=folder / "out.mat", stimulus=STIMULUS_S,
        tr=TR_S, hrf=given.hrf, boots=given.bootstraps))
    subprocess.run([octave, "--no-gui", "--quiet", str(folder / "run.m")], check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = loadmat(folder / "out.mat")
    print(f"GLMdenoise in Octave: {used.ru_utime + used.ru_stime:.0f} CPU s, peak {used.ru_maxrss / 1024:.0f} MiB in "
          f"all; {int(found['pcnum'].item())} components, r {correlate(found['betas'].T, betas, responds):.3f}")


if __name__ == "__main__":
    main()
