"""Whether the statistics of similarities are what they say, on subjects of known truth; the paper's beside them.

    python benchmarks/rsa_calibration.py [--repetitions 4000] [--processes 2] [--only network,intervals,tests,maps]
        [--keep FILE] [--cells null,paper,...]

40 images in two sessions, two presentations, 196 vertices 1 mm apart (`analysis.simulation.draw`), an offset of each
session; session means taken off as `rsa` does.

- tests: new images, new vertices, new noise. Mean of each similarity as it is plotted; share of p <= .05. Without
  signal, and with AN that are tuned but unrelated to RE, RE-AN is to be 0 and rejected in 5 %. Where AN and AI are near
  copies alike, or neither is, so is their difference. Power: RE-AI at a vertex reliability of .02, .06, .10.
- intervals: the same images, new vertices and noise; 200 vertices at random places of 24 x 24 mm, or 14 x 14 mm of
  neighbours. Share of 68 % intervals that hold the mean over subjects.
- network: the same units, new images; share of 95 % intervals that hold the mean over sets.
- maps: null subjects on 24 x 24 mm, disks of 3 mm, 199 permutations: share of maps with any p <= .05, uncorrected and
  corrected by the largest value, clusters, and false discovery rate.

The paper's own procedures are run on a quarter of the repetitions. `*`: outside the binomial 99 % bounds around what
was asked for. With --keep every batch of 50 subjects is written to FILE as it is done, and what is there already is not
done again: a run may be stopped at any time, and go on later. Batch k has seed k.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from kept_batches import BATCH, Rows, run
from scipy.stats import binom

from analysis.rsa.compare import DIFFERENCE, compare_types
from analysis.rsa.searchlight.correction import corrected_maps
from analysis.rsa.searchlight.disks import search
from analysis.simulation.draw import Drawn, draw
from analysis.statistics.draws import permutations
from analysis.statistics.statistic import Statistic
from subjects.settings.analysis import RsaSettings

PAPER = 4
"""Every so many repetitions the paper's procedures are run too."""

CELLS = (("null", 0.0, 1), ("paper", 0.06, 1), ("paper", 0.2, 1), ("both", 0.2, 1), ("paper", 0.02, 4),
         ("paper", 0.1, 4))
"""World, reliability of a vertex, and the share of the repetitions (one in so many)."""

INTERVAL_CELLS = (("null", 0.0), ("paper", 0.06), ("paper", 0.2), ("both", 0.2))
NETWORK_WORLDS = ("paper", "both", "cnn-like")


def settings(**changes: object) -> RsaSettings:
    return RsaSettings.model_validate({"n_permutations": 199, "n_bootstraps": 2, **changes})


def patterns(found: Drawn, *, subject: int, means: str = "removed",
             ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """Average presentations, and take session means off by type, over types, or not; give what is taken off by type."""
    kinds = {kind: found.patterns(kind, subject=subject).astype(np.float32) for kind in ("RE", "AN", "AI")}
    taken = {kind: np.zeros_like(values) for kind, values in kinds.items()}
    for session in np.unique(found.sessions):
        rows = found.sessions == session
        pooled = np.mean([values[rows].mean(axis=0) for values in kinds.values()], axis=0)
        for kind, values in kinds.items():
            taken[kind][rows] = values[rows].mean(axis=0) if means == "removed" else pooled
    if means == "kept":
        return kinds, None
    return {kind: values - taken[kind] for kind, values in kinds.items()}, taken if means == "removed" else None


def compare(found: Drawn, *, subject: int, seed: int, chosen: RsaSettings, means: str = "removed",
            places: np.ndarray | None = None, over: str = "patches") -> Mapping[str, Statistic]:
    kinds, taken = patterns(found, subject=subject, means=means)
    kept = slice(None) if places is None else places
    labels = tuple(f"image{k:02}" for k in range(len(found.sessions)))
    return compare_types({kind: values[:, kept] for kind, values in kinds.items()}, labels=labels, settings=chosen,
                         seed=seed, percent=68, blocks=tuple(str(k) for k in found.sessions),
                         session_means=None if taken is None else {k: v[:, kept] for k, v in taken.items()},
                         over=over, places_mm=found.places_mm[kept]).statistics


VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "default": ("removed", {}),
    "pairs within sessions": ("removed", {"pairs": "within_sessions"}),
    "pooled means": ("pooled", {"null_mean": "kept"}),
    "difference by t": ("removed", {"difference": "corrected"}),
    "difference by swaps": ("removed", {"difference": "swap"}),
}


def drawn(world: str, reliability: float, *, smooth: bool, rng: np.random.Generator, n: int = BATCH,
          **options: object) -> Drawn:
    return draw(world, rng=rng, n_subjects=n, reliability=reliability, smoothness_mm=2.5 if smooth else 0.0,
                noise_smoothness_mm=1.0 if smooth else 0.0, **options)


def tests(world: str, reliability: float, *, smooth: bool, seed: int) -> Rows:
    found, rows = drawn(world, reliability, smooth=smooth, rng=np.random.default_rng([seed, 1])), Rows()
    for k in range(BATCH):
        for variant, (means, changes) in VARIANTS.items():
            beside = k % PAPER == 0
            if variant != "default" and not beside:
                continue
            if variant == "default" and beside:
                changes = {**changes, "n_bootstraps": 199}
            got = compare(found, subject=k, means=means, seed=seed * BATCH + k, chosen=settings(**changes),
                          over="features" if variant != "default" else "patches")
            rows += [{"procedure": variant, "comparison": of, "effect": one.effect, "hit": bool(one.p <= 0.05)}
                     for of, one in got.items() if "difference" not in variant or of == DIFFERENCE]
            if variant == "default" and beside:
                papers = {of: one.paper for of, one in got.items() if one.paper is not None}
                rows += [{"procedure": "paper", "comparison": of, "effect": one.effect, "hit": bool(one.p <= 0.05)}
                         for of, one in papers.items()]
                rows.append({"procedure": "paper, mean", "comparison": DIFFERENCE,
                             "effect": papers[DIFFERENCE].effect,
                             "hit": bool(papers[DIFFERENCE].p_mean <= 0.05)})
    return rows


def intervals(world: str, reliability: float, *, smooth: bool, seed: int) -> Rows:
    rows = Rows()
    for patch, side in (("spread", 24), ("neighbours", 14)):
        found = drawn(world, reliability, smooth=smooth, rng=np.random.default_rng([seed, 2]), side=side,
                      shared="images", shared_rng=np.random.default_rng(17))
        rng = np.random.default_rng([seed, 3])
        for k in range(BATCH):
            places = np.sort(rng.permutation(side * side)[:min(200, side * side)])
            got = compare(found, subject=k, seed=seed * BATCH + k, places=places, chosen=settings(
                n_permutations=1, difference="images", n_bootstraps=2 if k % PAPER else 199))
            rows += [{"vertices": patch, "comparison": of, "effect": one.effect, "low": one.low, "high": one.high,
                      **beside(one, shown=k % PAPER == 0)} for of, one in got.items() if of != DIFFERENCE]
    return rows


def network(world: str, *, seed: int) -> Rows:
    found = draw(world, rng=np.random.default_rng([seed, 4]), n_subjects=BATCH, reliability=1.0, smoothness_mm=0.0,
                 noise_smoothness_mm=0.0, shared="cortex", offset_sd=0.0, shared_rng=np.random.default_rng(18))
    labels, rows = tuple(f"image{k:02}" for k in range(40)), Rows()
    for k in range(BATCH):
        kinds = {kind: found.patterns(kind, subject=k) for kind in ("RE", "AN", "AI")}
        got = compare_types(kinds, labels=labels, seed=seed * BATCH + k, percent=95,
                            settings=settings(n_bootstraps=2 if k % PAPER else 199), over="images").statistics
        rows += [{"comparison": of, "effect": one.effect, "low": one.low, "high": one.high,
                  **beside(one, shown=k % PAPER == 0)} for of, one in got.items()]
    return rows


def maps(*, smooth: bool, seed: int, side: int = 24) -> Rows:
    found, rows = drawn("null", 0.0, smooth=smooth, rng=np.random.default_rng([seed, 6]), side=side), Rows()
    apart = np.linalg.norm(found.places_mm[:, None] - found.places_mm, axis=2)
    inside = apart <= 3.0
    disks = (np.concatenate([[0], np.cumsum(inside.sum(axis=1))]), np.nonzero(inside)[1])
    edges = np.argwhere(np.triu(apart <= 1.01, 1))
    blocks = tuple(str(k) for k in found.sessions)
    for k in range(BATCH):
        orders = permutations(40, n=199, blocks=blocks, rng=np.random.default_rng([seed, 7, k]))
        one = search(patterns(found, subject=k)[0], disks=disks, blocks=blocks, orders=orders, forming_z=3.1)
        got = corrected_maps({"L": one}, edges={"L": edges}, forming_z=3.1)["L"]
        rows += [{"procedure": name.removesuffix(f" RE-{kind}"), "comparison": f"RE-{kind}",
                  "effect": float(np.nanmean(one.rho[kind])), "hit": bool(np.nanmin(values) <= 0.05)}
                 for name, values in got.items() for kind in ("AN", "AI") if name.endswith(kind)]
    return rows


def beside(one: Statistic, *, shown: bool) -> dict[str, float]:
    """Give the paper's interval, NaN where it was not drawn."""
    assert one.paper is not None
    low, high = (one.paper.low, one.paper.high) if shown else (np.nan, np.nan)
    return {"paper_effect": one.paper.effect, "paper_low": low, "paper_high": high}


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


def say_maps(table: pd.DataFrame) -> None:
    for key, part in table.groupby(["smooth", "procedure"], sort=False):
        smooth, procedure = key
        share = marked(int(part["hit"].sum()), len(part), wanted=0.05)
        print(f"{'smooth' if smooth else 'independent':<12} {procedure:<12} {part['effect'].mean():+.4f}  {share} "
              f"({len(part)})", flush=True)


def say_coverage(table: pd.DataFrame, *, by: list[str], wanted: float) -> None:
    for key, part in table.groupby([*by, "comparison"], sort=False):
        found = []
        for prefix in ("", "paper_"):
            truth = part[f"{prefix}effect"].mean()
            drawn_ = part[part[f"{prefix}low"].notna()]
            inside = (drawn_[f"{prefix}low"] <= truth) & (truth <= drawn_[f"{prefix}high"])
            found.append(f"{marked(int(inside.sum()), len(drawn_), wanted=wanted):<7} ({len(drawn_)})")
        print(f"{' '.join(str(k) for k in key):<46} {part['effect'].mean():+.3f}  {found[0]}  {found[1]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=4000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="network,intervals,tests,maps")
    parser.add_argument("--cells", default="null,paper,both,cnn-like", help="worlds")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    worlds, asked = given.cells.split(","), {"n": given.repetitions, "processes": given.processes, "keep": given.keep}
    head = "share of {} % intervals that hold the truth: ours, the paper's (n)"
    if "network" in given.only:
        print(head.format(95))
        run(network, cells=[({"world": world}, 1) for world in NETWORK_WORLDS if world in worlds], **asked,
            say=partial(say_coverage, by=["world"], wanted=0.95))
    if "intervals" in given.only:
        print(head.format(68))
        run(intervals, cells=[({"world": world, "reliability": r, "smooth": smooth}, 1) for world, r in INTERVAL_CELLS
                              for smooth in (False, True) if world in worlds], **asked,
            say=partial(say_coverage, by=["world", "reliability", "smooth", "vertices"], wanted=0.68))
    if "tests" in given.only:
        print("mean similarity; share of p <= .05 (n)")
        run(tests, cells=[({"world": world, "reliability": r, "smooth": smooth}, share) for world, r, share in CELLS
                          for smooth in (False, True) if world in worlds], **asked, say=say_tests)
    if "maps" in given.only:
        print("mean similarity; share of null maps with any p <= .05 (n)")
        run(maps, cells=[({"smooth": smooth}, 4) for smooth in (False, True)], **asked, say=say_maps)


if __name__ == "__main__":
    main()
