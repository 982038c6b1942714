"""Sparse pursuit over many targets: our ROMP beside scikit-learn's orthogonal matching pursuit; choosing a level.

    python benchmarks/romp.py [--units 290400] [--targets 200] [--sparsity 10] [--peer-sparsity 20] [--chosen 1000]

scikit-learn picks one column a step and so needs `peer-sparsity` steps for that many columns; ROMP at level n
picks between n and 3 n - 1. Then as many targets as `chosen` are predicted in 5 folds at levels 1, 2, 4 and 8, scaling
included, and a plain ROMP is held against ours on 200 random problems. Prints the kernel of the linear algebra, CPU
seconds, columns chosen and residual. Run with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from analysis.encoding.held_out import hold_out
from analysis.encoding.romp import romp, romp_levels
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
                          ("peer-sparsity", 20), ("chosen", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    phi = dictionary(given.images, given.units, rng=rng)
    targets = rng.standard_normal((given.images, given.targets))
    targets -= targets.mean(axis=0)
    print(", ".join(f"{one['library']} {one['version']} ({one['architecture']}, {one['threads']} threads)"
                    for one in linear_algebra()))
    choose_levels(given.images, given.units, given.chosen, rng=rng)
    print(f"{given.images} x {given.units}, {given.targets} targets")
    own = report("ours, ROMP", lambda: our_fit(phi, targets, given.sparsity))
    peer = report("scikit-learn, OMP", lambda: their_fit(phi, targets, given.peer_sparsity))
    print(f"ratio {peer / own:.1f}")
    print(f"{plain_problems(rng)} of 200 random problems have the support of a plain ROMP")


def choose_levels(n_images: int, n_units: int, n_targets: int, *, rng: np.random.Generator) -> None:
    """Time the predictions from which a level is chosen."""
    units = np.maximum(rng.standard_normal((n_images, n_units), dtype=np.float32), 0)
    targets = rng.standard_normal((n_images, n_targets)).astype(np.float32)
    start = time.process_time()
    hold_out(units, targets, levels=(1, 2, 4, 8), folds=5)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    taken = time.process_time() - start
    print(f"{n_images} x {n_units}, {n_targets} targets in 5 folds at 4 levels: {taken:.1f} CPU s, "
          f"peak {peak:.0f} MiB", flush=True)


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
