"""RDMs, Spearman, label permutations and image bootstraps: ours beside rsatoolbox.

    python benchmarks/rsa_permutation.py [--images 40] [--vertices 200] [--draws 1000] [--repeats 3]

Prints CPU seconds (the least of the repeats) and their ratio. Run with OMP_NUM_THREADS=1 to compare one thread.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np

from analysis.rsa.rdm import compute_rdm, spearman
from analysis.rsa.resampling import image_bootstraps, label_permutations
from analysis.statistics.statistic import interval, upper_p


def cpu_seconds(work: Callable[[], object], *, repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def our_rdms(patterns: list[np.ndarray]):
    labels = [f"image-{k}" for k in range(len(patterns[0]))]
    return [compute_rdm(values, labels=labels) for values in patterns]


def their_rdms(patterns: list[np.ndarray]):
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import RDMs, calc_rdm

    index = {"index": np.arange(len(patterns[0]))}  # its resampling asks for this, and calc_rdm leaves it out
    made = [calc_rdm(Dataset(values), method="correlation") for values in patterns]
    return [RDMs(rdm.dissimilarities, rdm_descriptors={"index": [0]}, pattern_descriptors=index) for rdm in made]


def our_permutations(patterns: list[np.ndarray], *, draws: int) -> float:
    first, second = our_rdms(patterns)
    return upper_p(spearman(first, second), label_permutations(first, second, n=draws, rng=np.random.default_rng(0)))


def their_permutations(patterns: list[np.ndarray], *, draws: int) -> float:
    from rsatoolbox.rdm import compare
    from rsatoolbox.rdm.rdms import permute_rdms

    rng = np.random.default_rng(0)
    first, second = their_rdms(patterns)
    effect = compare(first, second, method="spearman")[0, 0]
    orders = (rng.permutation(len(patterns[0])) for _ in range(draws))
    null = [compare(first, permute_rdms(second, order), method="spearman")[0, 0] for order in orders]
    return upper_p(effect, null)


def our_bootstraps(patterns: list[np.ndarray], *, draws: int) -> tuple[float, float]:
    first, second = our_rdms(patterns)
    return interval(image_bootstraps(first, [second], n=draws, rng=np.random.default_rng(0)), percent=95)


def their_bootstraps(patterns: list[np.ndarray], *, draws: int) -> tuple[float, float]:
    import rsatoolbox

    first, second = their_rdms(patterns)
    model = rsatoolbox.model.ModelFixed("AI", second)
    result = rsatoolbox.inference.eval_bootstrap_pattern(model, first, method="spearman", N=draws)
    return interval(result.evaluations[np.isfinite(result.evaluations)], percent=95)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 40), ("vertices", 200), ("draws", 1000), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(given.images, given.vertices))
    patterns = [shared + 2 * rng.normal(size=shared.shape) for _ in range(2)]
    agree = max(abs(ours.condensed - theirs.get_vectors()[0]).max()
                for ours, theirs in zip(our_rdms(patterns), their_rdms(patterns), strict=True))
    print(f"{given.images} images x {given.vertices} vertices, {given.draws} draws; RDMs differ by at most {agree:.1e}")
    for job, ours, theirs in (("label permutations", our_permutations, their_permutations),
                              ("image bootstraps", our_bootstraps, their_bootstraps)):
        own, peer = (cpu_seconds(lambda work=work: work(patterns, draws=given.draws), repeats=given.repeats)
                     for work in (ours, theirs))
        print(f"{job:<20} ours {own:.4f} s   rsatoolbox {peer:.3f} s   ratio {peer / own:.1f}")
        print(f"{'':<20} ours {ours(patterns, draws=given.draws)}   rsatoolbox {theirs(patterns, draws=given.draws)}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
