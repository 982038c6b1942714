"""What predictivity finds in data with known answers: nothing in noise, the planted ceiling where units are its cause.

    python benchmarks/predictivity.py [--sets 200] [--seed 0]

Vertices or sites share their noise (correlation .5 between any two), as neighbouring vertices do. Null: units and
responses of no common cause. Planted: responses linear in five directions of the units, measured twice with noise.
Prints bias, the spread of scores beside the error that is given with each, false positives at 5 %, coverage of the
interval, and CPU seconds beside scikit-learn's on the same splits.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.cross_decomposition import PLSRegression

from analysis.encoding.predictivity.maps import map_predictivity
from analysis.encoding.predictivity.pls import fit_pls
from analysis.encoding.predictivity.scores import predictivity


def shared_noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Noise of variance 1 that any two columns share by half."""
    return np.sqrt(0.5) * (rng.normal(size=(shape[0], 1)) + rng.normal(size=shape))


def null_sets(n_sets: int, *, seed: int, n_images: int, n_sites: int = 40) -> None:
    found = []
    for k in range(n_sets):
        rng = np.random.default_rng([seed, n_images, k])
        found.append(predictivity(rng.normal(size=(n_images, 300)), shared_noise(rng, (n_images, n_sites)), rng=rng))
    scores, errors = (np.array([getattr(one, name) for one in found]) for name in ("score", "error"))
    print(f"null, {n_images} images: mean score {scores.mean():+.4f} +- {scores.std(ddof=1) / np.sqrt(n_sets):.4f}; "
          f"spread {scores.std(ddof=1):.3f}, mean error {errors.mean():.3f}; "
          f"p < .05 in {100 * np.mean([one.p < 0.05 for one in found]):.1f} %; interval holds 0 in "
          f"{100 * np.mean([one.low <= 0 <= one.high for one in found]):.1f} %")


def null_sessions(n_sets: int, *, seed: int, n_images: int = 40, n_sites: int = 40) -> None:
    """Compare, on the same sets of two sessions with offsets, whose means are taken off."""
    found: dict[str, list[float]] = {"all images'": [], "training images'": []}
    sessions = np.arange(n_images) % 2
    for k in range(n_sets):
        rng = np.random.default_rng([seed, n_images, k, 2])
        units, responses = rng.normal(size=(n_images, 300)), shared_noise(rng, (n_images, n_sites))
        responses += rng.normal(size=(2, n_sites))[sessions]
        centred = responses - np.stack([responses[sessions == one].mean(axis=0) for one in (0, 1)])[sessions]
        found["all images'"].append(predictivity(units, centred, rng=np.random.default_rng(k)).score)
        found["training images'"].append(predictivity(units, responses, rng=np.random.default_rng(k),
                                                      blocks=[str(one) for one in sessions]).score)
    for name, scores in found.items():
        print(f"null, {n_images} images in two sessions, the mean of {name} taken off: mean score "
              f"{np.mean(scores):+.4f} +- {np.std(scores, ddof=1) / np.sqrt(n_sets):.4f}")
    apart = np.subtract(*found.values())
    print(f"  difference on the same sets {apart.mean():+.4f} +- {apart.std(ddof=1) / np.sqrt(n_sets):.4f}")


def planted_sets(n_sets: int, *, seed: int, n_images: int, noise: float, n_sites: int = 40) -> None:
    found = []
    for k in range(n_sets):
        rng = np.random.default_rng([seed, n_images, int(100 * noise), k])
        latent = rng.normal(size=(n_images, 5))
        units = latent @ rng.normal(size=(5, 300))
        weights = rng.normal(size=(5, n_sites))
        signal = latent @ (weights / np.linalg.norm(weights, axis=0))
        halves = [signal + noise * np.sqrt(2) * shared_noise(rng, signal.shape) for _ in range(2)]
        found.append(predictivity(units, (halves[0] + halves[1]) / 2, halves=(halves[0], halves[1]), rng=rng))
    highest = np.sqrt(1 / (1 + noise ** 2))
    scores = np.array([one.score for one in found])
    ceilings = np.array([one.ceiling.highest for one in found if one.ceiling])
    print(f"planted, {n_images} images, noise {noise:g}: ceiling {highest:.3f}, found {ceilings.mean():.3f}; score "
          f"{scores.mean():.3f}; of the highest {np.mean([one.corrected for one in found]):.3f}, of the reliability "
          f"{np.mean([one.published for one in found]):.3f}")


def map_sets(n_sets: int, *, seed: int) -> None:
    null, planted = [], []
    for k in range(n_sets):
        rng = np.random.default_rng([seed, 9, k])
        units = rng.normal(size=(10, 8, 8, 8))
        signal = np.einsum("sc,nchw->nshw", rng.normal(size=(6, 8)) / np.sqrt(8), units)
        halves = [signal + rng.normal(size=signal.shape) for _ in range(2)]
        planted.append(map_predictivity(units, (halves[0] + halves[1]) / 2, halves=(halves[0], halves[1])))
        null.append(map_predictivity(units, rng.normal(size=signal.shape)))
    scores = np.array([one.score for one in null])
    print(f"maps: null {scores.mean():+.4f} +- {scores.std(ddof=1) / np.sqrt(n_sets):.4f}, spread "
          f"{scores.std(ddof=1):.4f}, mean error {np.mean([one.error for one in null]):.4f}; planted: of the highest "
          f"{np.mean([one.corrected for one in planted]):.3f}")


def beside_scikit_learn(*, seed: int) -> None:
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(108, 108))
    units, responses = latent @ rng.normal(size=(108, 20_000)), latent[:, :40] @ rng.normal(size=(40, 200))
    began = time.process_time()
    ours = fit_pls(units, responses).predict(units[:9])
    between = time.process_time()
    theirs = PLSRegression(25, scale=False).fit(units, responses).predict(units[:9])
    ended = time.process_time()
    print(f"one model, 108 images, 20,000 units, 200 sites: {between - began:.2f} CPU s, scikit-learn "
          f"{ended - between:.2f} ({(ended - between) / (between - began):.0f} times as long); predictions differ by "
          f"{np.abs(ours - theirs).max() / np.abs(theirs).max():.1e} of the largest at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for n_images in (40, 120):
        null_sets(given.sets, seed=given.seed, n_images=n_images)
    null_sessions(given.sets, seed=given.seed)
    for n_images, noise in ((120, 0.5), (120, 1.0), (500, 1.0)):
        planted_sets(max(given.sets // 10, 5), seed=given.seed, n_images=n_images, noise=noise)
    map_sets(max(given.sets // 10, 5), seed=given.seed)
    beside_scikit_learn(seed=given.seed)


if __name__ == "__main__":
    main()
