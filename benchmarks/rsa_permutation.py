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

from analysis.rsa.compare import compare_types, feature_draws
from analysis.rsa.rdm import compute_rdm, spearman
from analysis.rsa.resampling.distances import distances_of
from analysis.rsa.resampling.images import image_bootstraps, label_permutations
from analysis.simulation.draw import draw
from analysis.statistics.statistic import interval, upper_p
from subjects.settings.analysis import RsaSettings


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


def figure_3(*, subjects: int = 3, regions: int = 5) -> float:
    """Compare the types in all regions of all subjects as `rsa` does, 1000 permutations and bootstraps of each kind."""
    seconds = 0.0
    labels = tuple(f"image-{k:02}" for k in range(40))
    for seed in range(subjects * regions):
        found = draw("paper", rng=np.random.default_rng(seed), reliability=0.1)
        kinds = {kind: found.patterns(kind).astype(np.float32) for kind in ("RE", "AN", "AI")}
        start = time.process_time()
        compare_types(kinds, labels=labels, settings=RsaSettings(), seed=seed, percent=68, over="patches",
                      blocks=tuple(str(k) for k in found.sessions), places_mm=found.places_mm)
        seconds += time.process_time() - start
    return seconds


def layer(n_units: int = 290_400) -> tuple[float, float]:
    """Bootstrap the units of a large layer 1000 times: one by one, and by 2000 groups; CPU seconds of each."""
    units = {kind: np.random.default_rng(k).random((40, n_units), dtype=np.float32)
             for k, kind in enumerate(("RE", "AN", "AI"))}
    taken = []
    for n_groups in (0, 2000):
        start = time.process_time()
        feature_draws(distances_of(units, measure="correlation"), settings=RsaSettings(), seed=1, n_groups=n_groups)
        taken.append(time.process_time() - start)
    return taken[0], taken[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 40), ("vertices", 200), ("draws", 1000), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--layer", action="store_true", help="units of a large layer too")
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
    print(f"Fig. 3, 3 subjects x 5 regions, all procedures: {figure_3():.1f} CPU s (asked: 10)")
    if given.layer:
        exact, grouped = layer()
        print(f"290,400 units, three types, 1000 bootstraps: one by one {exact:.1f}, by 2000 groups {grouped:.1f} "
              "CPU s (asked: 12, 1.5)")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
