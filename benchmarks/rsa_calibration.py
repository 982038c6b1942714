"""Whether the statistics of similarities are what they say, on subjects of known truth; the paper's beside them.

    python benchmarks/rsa_calibration.py [--repetitions 4000] [--processes 2] [--only network,intervals,tests]

40 images in two sessions, two presentations, 196 vertices 1 mm apart (`analysis.simulation.draw`), an offset of each
session; session means taken off as `rsa` does.

- tests: new images, new vertices, new noise. Mean of each similarity as it is plotted; share of p <= .05. Without
  signal, and with AN that are tuned but unrelated to RE, RE-AN is to be 0 and rejected in 5 %. Where AN and AI are near
  copies alike, or neither is, so is their difference. Power: RE-AI.
- intervals: the same images, new vertices and noise; 200 vertices at random places of 24 x 24 mm, or 14 x 14 mm of
  neighbours. Share of 68 % intervals that hold the mean over subjects.
- network: the same units, new images; share of 95 % intervals that hold the mean over sets.

The paper's own procedures are run on a quarter of the repetitions. `*`: outside the binomial 99 % bounds around what
was asked for.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.stats import binom

from analysis.rsa.compare import DIFFERENCE, compare_types
from analysis.simulation.draw import Drawn, draw
from analysis.statistics.statistic import Statistic
from subjects.settings.analysis import RsaSettings

PAPER = 4
"""Every so many repetitions the paper's procedures are run too."""

CELLS = (("null", 0.0, 1), ("paper", 0.06, 1), ("paper", 0.2, 1), ("both", 0.2, 1), ("paper", 0.02, 4),
         ("paper", 0.1, 4))
"""World, reliability of a vertex, and the share of the repetitions (one in so many)."""

INTERVAL_CELLS = (("null", 0.0), ("paper", 0.06), ("paper", 0.2), ("both", 0.2))
NETWORK_WORLDS = ("paper", "both", "cnn-like")
BATCH = 50


def settings(**changes: object) -> RsaSettings:
    return RsaSettings.model_validate({"n_permutations": 199, "n_bootstraps": 2, **changes})


def patterns(found: Drawn, *, subject: int, means: str = "removed") -> dict[str, np.ndarray]:
    """Average presentations, and take session means off by type, over types, or not."""
    kinds = {kind: found.patterns(kind, subject=subject).astype(np.float32) for kind in ("RE", "AN", "AI")}
    for session in np.unique(found.sessions):
        rows = found.sessions == session
        pooled = np.mean([values[rows].mean(axis=0) for values in kinds.values()], axis=0)
        for values in kinds.values():
            if means != "kept":
                values[rows] -= values[rows].mean(axis=0) if means == "removed" else pooled
    return kinds


def compare(kinds: dict[str, np.ndarray], found: Drawn, *, seed: int, chosen: RsaSettings, **options: object,
            ) -> Mapping[str, Statistic]:
    labels = tuple(f"image{k:02}" for k in range(len(found.sessions)))
    return compare_types(kinds, labels=labels, settings=chosen, seed=seed, percent=68,
                         blocks=tuple(str(k) for k in found.sessions), **options).statistics  # type: ignore[arg-type]


VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "default": ("removed", {}),
    "pairs within sessions": ("removed", {"pairs": "within_sessions"}),
    "pooled means": ("pooled", {"null_mean": "kept"}),
    "difference by swaps": ("removed", {"difference": "swap"}),
}


def tests(world: str, reliability: float, *, smooth: bool, seed: int) -> list[dict[str, object]]:
    found = draw(world, rng=np.random.default_rng([seed, 1]), n_subjects=BATCH, reliability=reliability,
                 smoothness_mm=2.5 if smooth else 0.0, noise_smoothness_mm=1.0 if smooth else 0.0)
    rows = []
    for k in range(BATCH):
        name = {"world": world, "reliability": reliability, "smooth": smooth}
        for variant, (means, changes) in VARIANTS.items():
            beside = k % PAPER == 0
            if variant != "default" and not beside:
                continue
            if variant == "default" and beside:
                changes = {**changes, "n_bootstraps": 199}
            got = compare(patterns(found, subject=k, means=means), found, seed=seed * BATCH + k,
                          chosen=settings(**changes), over="patches", places_mm=found.places_mm)
            rows += [{**name, "procedure": variant, "comparison": of, "effect": one.effect, "hit": one.p <= 0.05}
                     for of, one in got.items()]
            if variant == "default" and beside:
                rows += [{**name, "procedure": "paper", "comparison": of, "effect": one.paper.effect,
                          "hit": one.paper.p <= 0.05} for of, one in got.items()]
                rows.append({**name, "procedure": "paper, mean", "comparison": DIFFERENCE,
                             "effect": got[DIFFERENCE].paper.effect, "hit": got[DIFFERENCE].paper.p_mean <= 0.05})
    return rows


def intervals(world: str, reliability: float, *, smooth: bool, seed: int) -> list[dict[str, object]]:
    rows = []
    for patch, side in (("spread", 24), ("neighbours", 14)):
        found = draw(world, rng=np.random.default_rng([seed, 2]), n_subjects=BATCH, reliability=reliability, side=side,
                     smoothness_mm=2.5 if smooth else 0.0, noise_smoothness_mm=1.0 if smooth else 0.0, shared="images",
                     shared_rng=np.random.default_rng(17))
        rng = np.random.default_rng([seed, 3])
        for k in range(BATCH):
            places = np.sort(rng.permutation(side * side)[:min(200, side * side)])
            kinds = {kind: values[:, places] for kind, values in patterns(found, subject=k).items()}
            got = compare(kinds, found, seed=seed * BATCH + k, over="patches",
                          chosen=settings(n_permutations=1, difference="images", n_bootstraps=2 if k % PAPER else 199),
                          places_mm=found.places_mm[places])
            rows += [{"world": world, "reliability": reliability, "smooth": smooth, "vertices": patch, "comparison": of,
                      "effect": one.effect, "low": one.low, "high": one.high, **beside(one, shown=k % PAPER == 0)}
                     for of, one in got.items() if of != DIFFERENCE]
    return rows


def network(world: str, *, seed: int) -> list[dict[str, object]]:
    found = draw(world, rng=np.random.default_rng([seed, 4]), n_subjects=BATCH, reliability=1.0, smoothness_mm=0.0,
                 noise_smoothness_mm=0.0, shared="cortex", offset_sd=0.0, shared_rng=np.random.default_rng(18))
    labels, rows = tuple(f"image{k:02}" for k in range(40)), []
    for k in range(BATCH):
        kinds = {kind: found.patterns(kind, subject=k) for kind in ("RE", "AN", "AI")}
        got = compare_types(kinds, labels=labels, seed=seed * BATCH + k, percent=95,
                            settings=settings(n_bootstraps=2 if k % PAPER else 199),
                            over="images").statistics
        rows += [{"world": world, "comparison": of, "effect": one.effect, "low": one.low, "high": one.high,
                  **beside(one, shown=k % PAPER == 0)} for of, one in got.items()]
    return rows


def beside(one: Statistic, *, shown: bool) -> dict[str, float]:
    """Give the paper's interval, NaN where it was not drawn."""
    assert one.paper is not None
    low, high = (one.paper.low, one.paper.high) if shown else (np.nan, np.nan)
    return {"paper_effect": one.paper.effect, "paper_low": low, "paper_high": high}


def run(work: Callable[..., list[dict[str, object]]], *, cells: list[tuple[dict[str, object], int]], n: int,
        processes: int, say: Callable[[pd.DataFrame], None]) -> None:
    """Work on one cell after the other, and say each as soon as it is done."""
    with Parallel(n_jobs=processes) as parallel:
        for cell, share in cells:
            parts = parallel(delayed(work)(**cell, seed=seed) for seed in range(max(1, n // BATCH // share)))
            say(pd.DataFrame([row for rows in parts for row in rows]))


def marked(count: int, n: int, *, wanted: float) -> str:
    low, high = binom.ppf([0.005, 0.995], n, wanted)
    return f"{count / n:.3f}{'' if low <= count <= high else '*'}"


def say_tests(table: pd.DataFrame) -> None:
    for key, part in table.groupby(["world", "reliability", "smooth", "procedure", "comparison"], sort=False):
        world, reliability, smooth, procedure, comparison = key
        null = world == "null" or (world == "paper" and comparison == "RE-AN") or (
            world == "both" and comparison == DIFFERENCE)
        share = marked(int(part["hit"].sum()), len(part), wanted=0.05) if null else f"{part['hit'].mean():.3f} power"
        print(f"{world:<6} {reliability:<5} {'smooth' if smooth else 'independent':<12} {procedure:<22} "
              f"{comparison:<18} {part['effect'].mean():+.4f}  {share} ({len(part)})", flush=True)


def say_coverage(table: pd.DataFrame, *, by: list[str], wanted: float) -> None:
    for key, part in table.groupby([*by, "comparison"], sort=False):
        found = []
        for prefix in ("", "paper_"):
            truth = part[f"{prefix}effect"].mean()
            drawn = part[part[f"{prefix}low"].notna()]
            inside = (drawn[f"{prefix}low"] <= truth) & (truth <= drawn[f"{prefix}high"])
            found.append(f"{marked(int(inside.sum()), len(drawn), wanted=wanted):<7} ({len(drawn)})")
        print(f"{' '.join(str(k) for k in key):<46} {part['effect'].mean():+.3f}  {found[0]}  {found[1]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=4000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="network,intervals,tests")
    given = parser.parse_args()
    asked = {"n": given.repetitions, "processes": given.processes}
    head = "share of {} % intervals that hold the truth: ours, the paper's (n)"
    if "network" in given.only:
        print(head.format(95))
        run(network, cells=[({"world": world}, 1) for world in NETWORK_WORLDS], **asked,
            say=partial(say_coverage, by=["world"], wanted=0.95))
    if "intervals" in given.only:
        print(head.format(68))
        run(intervals, cells=[({"world": world, "reliability": r, "smooth": smooth}, 1) for world, r in INTERVAL_CELLS
                              for smooth in (False, True)], **asked,
            say=partial(say_coverage, by=["world", "reliability", "smooth", "vertices"], wanted=0.68))
    if "tests" in given.only:
        print("mean similarity; share of p <= .05 (n)")
        run(tests, cells=[({"world": world, "reliability": r, "smooth": smooth}, share) for world, r, share in CELLS
                          for smooth in (False, True)], **asked, say=say_tests)


if __name__ == "__main__":
    main()
