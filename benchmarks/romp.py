"""Sparse pursuit over many targets: our ROMP beside scikit-learn's orthogonal matching pursuit; choosing a level.

    python benchmarks/romp.py [--units 290400] [--targets 200] [--sparsity 10] [--peer-sparsity 20] [--chosen 1000]
                              [--repeats 3] [--precisions float32,bfloat16]

scikit-learn picks one column a step and so needs `peer-sparsity` steps for that many columns; ROMP at level n
picks between n and 3 n - 1. Then as many targets as `chosen` are predicted in 5 folds at levels 1, 2, 4 and 8, scaling
included, in each precision in turn, and a plain ROMP is held against ours on 200 random problems. Without
`--precisions`, bfloat16 is timed only where the processor multiplies it. Prints the kernel of the linear algebra, how
fast it multiplies large float32 matrices just then, CPU seconds, columns chosen and residual. OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from analysis.encoding.held_out import hold_out
from analysis.encoding.pursuit.processor import multiplies_bfloat16
from analysis.encoding.pursuit.romp import romp, romp_levels
from analysis.running import linear_algebra


def dictionary(n_images: int, n_units: int, *, rng: np.random.Generator) -> np.ndarray:
    """Rectified noise, centred and of unit length, as network units are."""
    phi = np.maximum(rng.standard_normal((n_images, n_units), dtype=np.float32), 0)
    phi -= phi.mean(axis=0)
    phi /= np.linalg.norm(phi, axis=0)
    return phi


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 40), ("units", 290_400), ("targets", 200), ("sparsity", 10),
                          ("peer-sparsity", 20), ("chosen", 1000), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--precisions", default="float32,bfloat16" if multiplies_bfloat16() else "float32")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    phi = dictionary(given.images, given.units, rng=rng)
    targets = rng.standard_normal((given.images, given.targets))
    targets -= targets.mean(axis=0)
    print(", ".join(f"{one['library']} {one['version']} ({one['architecture']}, {one['threads']} threads)"
                    for one in linear_algebra()))
    print(f"bfloat16 {'is' if multiplies_bfloat16() else 'is not'} multiplied by this processor")
    choose_levels(given.images, given.units, given.chosen, rng=rng, precisions=given.precisions.split(","),
                  repeats=given.repeats)
    print(f"{given.images} x {given.units}, {given.targets} targets")
    own = report("ours, ROMP", lambda: our_fit(phi, targets, given.sparsity))
    peer = report("scikit-learn, OMP", lambda: their_fit(phi, targets, given.peer_sparsity))
    print(f"ratio {peer / own:.1f}")
    print(f"{plain_problems(rng)} of 200 random problems have the support of a plain ROMP")


def choose_levels(n_images: int, n_units: int, n_targets: int, *, rng: np.random.Generator,
                  precisions: list[str], repeats: int) -> None:
    """Time the predictions from which a level is chosen, in each precision in turn; see that they are the same."""
    units = np.maximum(rng.standard_normal((n_images, n_units), dtype=np.float32), 0)
    targets = rng.standard_normal((n_images, n_targets)).astype(np.float32)
    taken: dict[str, list[float]] = {name: [] for name in precisions}
    found = {}
    for _ in range(repeats):
        for name in precisions:
            start = time.process_time()
            held = hold_out(units, targets, levels=(1, 2, 4, 8), folds=5, precision=name)
            taken[name].append(time.process_time() - start)
            found[name] = [(model.fit.support, model.fit.weights) for fold in held.models for model in fold.values()]
            del held
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{n_images} x {n_units}, {n_targets} targets in 5 folds at 4 levels, {name}: "
                  f"{taken[name][-1]:.1f} CPU s, peak {peak:.0f} MiB; {products_a_second():.0f} GFLOP/s", flush=True)
    for name, seconds in taken.items():
        alike = all(np.array_equal(a, b) for one, two in zip(found[precisions[0]], found[name], strict=True)
                    for a, b in zip(one, two, strict=True))
        print(f"{name}: median {np.median(seconds):.1f} CPU s; supports and weights "
              f"{'are' if alike else 'ARE NOT'} those of {precisions[0]}")


def products_a_second(n: int = 1024) -> float:
    """Measure how fast NumPy multiplies large float32 matrices, in GFLOP a CPU second."""
    side = np.ones((n, n), dtype=np.float32)
    np.matmul(side, side)
    start = time.process_time()
    for _ in range(4):
        np.matmul(side, side)
    return 4 * 2 * n**3 / (time.process_time() - start) / 1e9


def plain_problems(rng: np.random.Generator) -> int:
    """Count problems of many sizes on which the batched ROMP chooses as the literal one."""
    alike = 0
    for _ in range(200):
        n_images, n_units = int(rng.integers(20, 41)), int(rng.integers(50, 3000))
        phi = dictionary(n_images, n_units, rng=rng).astype(np.float64)
        phi /= np.linalg.norm(phi, axis=0)
        n, target = int(rng.integers(1, (n_images + 1) // 3 + 1)), rng.standard_normal((n_images, 1))
        found = romp_levels(phi, target, levels=(n,))[n].support[0]
        alike += found[found >= 0].tolist() == romp(phi, target[:, 0], n=n)[0].tolist()
    return alike


def our_fit(phi: np.ndarray, targets: np.ndarray, n: int) -> tuple[float, float]:
    fit = romp_levels(phi, targets, levels=(n,))[n]
    left = np.linalg.norm(targets - fit.predict(phi)) / np.linalg.norm(targets)
    return float((fit.support >= 0).sum(axis=1).mean()), float(left)


def their_fit(phi: np.ndarray, targets: np.ndarray, n: int) -> tuple[float, float]:
    from sklearn.linear_model import orthogonal_mp

    weights = orthogonal_mp(phi, targets.astype(np.float32), n_nonzero_coefs=n)
    left = np.linalg.norm(targets - phi @ weights) / np.linalg.norm(targets)
    return float((weights != 0).sum(axis=0).mean()), float(left)


def report(name: str, fit) -> float:
    start = time.process_time()
    columns, left = fit()
    taken = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:<18} {taken:8.2f} CPU s  {columns:5.1f} columns a target  residual {left:.3f}  peak {peak:.0f} MiB")
    return taken


if __name__ == "__main__":
    main()
