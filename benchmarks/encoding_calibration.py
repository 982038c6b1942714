"""Whether the statistics of encoding models are what they say, on subjects of known truth; the paper's beside them.

    python benchmarks/encoding_calibration.py [--repetitions 2000] [--processes 2] [--cells null,alike,both,paper]
        [--keep FILE]

One region and layer: 40 images in two sessions, 196 vertices 1 mm apart on a torus whose tuning is smooth over 2.5 mm
and noise over 1 mm, 200 rectified units that mix 12 dimensions, an offset of each session, session means taken off.
Nothing of the generator is shared with the statistics.

- null: no vertex responds to anything that a unit responds to; RE, AN and AI independent.
- alike: as null, but the AN and the AI image of a base image are alike, in units and in responses.
- both: AN and AI images are predicted equally well, so that their difference is null.
- paper: AI images are predicted, AN images are not.
- shares: H1 and H2 with three subjects and the regions V1 and LO. What a layer predicts resembles that of its
  neighbours and is unrelated to the responses: low and high layers, V1 and LO are alike. Every vertex is given to a
  layer; in a tenth of the repetitions also those alone that `encoding.predicted_p` lets through.

Rejections: share of p <= .05 (AN, AI, RE one-sided). Coverage: share of 95 % intervals that hold what the same trained
model reaches on 2,000 further images (RE: the mean over repetitions). `*`: outside the binomial 99 % bounds around what
was asked for. The level is chosen by cross-validation in every repetition. With --keep every batch of 50 repetitions is
written to FILE as it is done, and what is there already is not done again: a run may be stopped, and goes on later.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from kept_batches import BATCH, Rows, run
from scipy.ndimage import gaussian_filter
from scipy.stats import binom

from analysis.encoding.generalisation import DIFFERENCE, assess_generalisation
from analysis.encoding.held_out import assess_held_out, best_level, hold_out, score_levels
from analysis.encoding.hierarchy import last_minus_first, low_minus_high, share_rows
from analysis.encoding.sparse_model import train
from analysis.statistics.draws import permutations
from subjects.settings.models import EncodingSettings

SIDE, N_IMAGES, N_UNITS, N_DIMENSIONS, N_MORE = 14, 40, 200, 12, 2000
TUNING_MM, NOISE_MM, RELIABILITY, OFFSET = 2.5, 1.0, 0.3, 0.5
CONTROL = 4
"""Every so many repetitions the held-out RE images are tested too: their models are trained 101 times."""

SESSIONS = np.arange(N_IMAGES) % 2
SHOULD = {"null": ("AN", "AI", "RE", DIFFERENCE), "alike": ("AN", "AI", "RE", DIFFERENCE), "both": (DIFFERENCE,),
          "paper": ("AN",)}
"""Which hypotheses are null in a cell."""


def maps(rng: np.random.Generator, n: int, *, width: float) -> np.ndarray:
    """Draw maps of variance 1, smooth on the torus."""
    white = rng.standard_normal((n, SIDE, SIDE))
    found = gaussian_filter(white, (0, width, width), mode="wrap")
    return found.reshape(n, -1) / found.std()


class World:
    """Units and vertices of one subject, and images for them."""

    def __init__(self, cell: str, rng: np.random.Generator) -> None:
        self.cell, self.rng = cell, rng
        falls = 1 / np.sqrt(np.arange(1, N_DIMENSIONS + 1))
        self.loads = rng.standard_normal((N_DIMENSIONS, N_UNITS)) * falls[:, None]
        self.tuning = maps(rng, N_DIMENSIONS, width=TUNING_MM) * falls[:, None]
        self.tuning /= np.linalg.norm(self.tuning, axis=0)

    def seen(self, n: int) -> np.ndarray:
        """Draw what n images are."""
        return self.rng.standard_normal((n, N_DIMENSIONS))

    def show(self, by_units: np.ndarray, by_vertices: np.ndarray, shared: np.ndarray | float = 0.0,
             ) -> tuple[np.ndarray, np.ndarray]:
        """Give the units' and the vertices' responses to images as each of them sees them."""
        noise = self.rng.standard_normal((len(by_units), N_UNITS))
        units = np.maximum(by_units @ self.loads + 0.5 * noise, 0).astype(np.float32)
        noise = maps(self.rng, len(by_vertices), width=NOISE_MM) + shared
        signal = by_vertices @ self.tuning
        return units, (np.sqrt(RELIABILITY) * signal + np.sqrt(1 - RELIABILITY) * noise).astype(np.float32)

    def images(self, n: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Draw n images of each type."""
        found, common = {}, self.seen(n)
        shared = maps(self.rng, n, width=NOISE_MM) if self.cell == "alike" else 0.0
        for kind in ("RE", "AN", "AI"):
            own = self.seen(n)
            units = common + 0.4 * own if self.cell == "alike" and kind != "RE" else own
            related = self.cell == "both" or (self.cell == "paper" and kind != "AN")
            found[kind] = self.show(units, units if related else self.seen(n), shared if kind != "RE" else 0.0)
        return found


def without_sessions(responses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add an offset of each session, and take the session's mean off."""
    offsets = OFFSET * maps(rng, 2, width=NOISE_MM)[SESSIONS]
    found = responses + offsets.astype(np.float32)
    for session in (0, 1):
        found[session == SESSIONS] -= found[session == SESSIONS].mean(axis=0)
    return found


def mean_correlation(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    lengths = np.linalg.norm(x, axis=0) * np.linalg.norm(y, axis=0)
    return float(np.mean((x * y).sum(axis=0) / np.where(lengths > 0, lengths, np.inf)))


def repetition(cell: str, seed: int, *, n_permutations: int, correlate: str) -> Rows:
    rng = np.random.default_rng([20260, seed])
    world = World(cell, rng)
    shown = {kind: (units, without_sessions(values, rng)) for kind, (units, values) in world.images(N_IMAGES).items()}
    settings = EncodingSettings(n_permutations=n_permutations, n_subsamples=199, correlate=correlate)
    units, measured = shown["RE"]
    everything = slice(0, measured.shape[1])
    held = hold_out(units, measured, levels=settings.candidates, folds=settings.folds)
    model = train(units, measured, levels=(level := best_level(score_levels(
        held, measured, columns=everything, correlate=correlate)),))[level]
    blocks = tuple(map(str, SESSIONS))
    found = dict(assess_generalisation(
        {kind: model.predict(shown[kind][0]) for kind in ("AN", "AI")}, {kind: shown[kind][1] for kind in ("AN", "AI")},
        settings=settings, seed=seed, layer="layer1", blocks=blocks).statistics)
    if seed % CONTROL == 0:
        found["RE"] = assess_held_out(held, measured, columns=everything, settings=settings, seed=seed, layer="layer1",
                                      blocks=blocks).statistic
    truth = {"RE": np.nan, "AN": 0.0, "AI": 0.0}
    if cell in ("both", "paper") and correlate == "vertex":
        more = world.images(N_MORE)
        truth = {**truth, **{kind: mean_correlation(model.predict(more[kind][0]), more[kind][1])
                             for kind in ("AN", "AI")}}
    truth[DIFFERENCE] = truth["AI"] - truth["AN"]
    return [{"cell": cell, "of": name, "effect": one.effect, "low": one.low, "high": one.high, "p": one.p,
             "truth": truth[name], "paper_p": one.paper.p if one.paper else np.nan,
             "paper_low": one.paper.low if one.paper else np.nan, "paper_high": one.paper.high if one.paper else np.nan}
            for name, one in found.items()]


def batch(cell: str, *, n_permutations: int, correlate: str, seed: int) -> Rows:
    """Give the rows of the repetitions of one batch."""
    return [row for k in range(seed * BATCH, (seed + 1) * BATCH)
            for row in repetition(cell, k, n_permutations=n_permutations, correlate=correlate)]


def share_batch(*, seed: int) -> Rows:
    return [row for k in range(seed * BATCH, (seed + 1) * BATCH) for row in shares(k)]


def smooth_responses(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a region's responses in two presentations: what images evoke, and noise."""
    evoked = maps(rng, N_IMAGES, width=TUNING_MM)
    first, second = (evoked + maps(rng, N_IMAGES, width=NOISE_MM) for _ in range(2))
    return first, second


def shares(seed: int) -> Rows:
    """Test H1 and H2 in three subjects whose vertices no layer knows."""
    rng = np.random.default_rng([20261, seed])
    layers = [f"layer{k}" for k in range(1, 9)]
    rows: dict[str, Rows] = {"all": [], "predicted": []}
    orders = permutations(N_IMAGES, n=99, rng=rng)
    for sub in ("01", "02", "03"):
        for roi in ("V1", "LO"):
            measured = {kind: smooth_responses(rng) for kind in ("AN", "AI")}
            fields = {kind: [maps(rng, N_IMAGES, width=TUNING_MM) for _ in range(9)] for kind in ("AN", "AI")}
            predicted = {name: {kind: found[k] + found[k + 1] for kind, found in fields.items()}
                         for k, name in enumerate(layers)}
            rows["all"] += share_rows(predicted, measured, orders=orders[:0], alpha=1.0, sub=sub, roi=roi)
            if seed % 10 == 0:
                rows["predicted"] += share_rows(predicted, measured, orders=orders, alpha=0.05, sub=sub, roi=roi)
    found = []
    for which, one in rows.items():
        for claim, test in (("H1", low_minus_high), ("H2", last_minus_first)):
            got = test(pd.DataFrame(one), "AI") if one else None
            if got is not None:
                found.append({"claim": claim, "vertices": which, "p": got.p, "paper_p": got.paper_p})
    return found


def share_table(rows: pd.DataFrame) -> str:
    lines = []
    for (claim, which), part in rows.groupby(["claim", "vertices"], sort=False):
        hits = [float((part[name] <= 0.05).mean()) for name in ("p", "paper_p")]
        marks = [outside(hit, n=len(part), of=0.05) for hit in hits]
        lines.append(f"{claim}, {which} vertices: {len(part)} repetitions, over people {hits[0]:.3f}{marks[0]}, the "
                     f"paper's paired t {hits[1]:.3f}{marks[1]}")
    return "\n".join(lines)


def outside(share: float, *, n: int, of: float) -> str:
    low, high = binom.interval(0.99, n, of)
    return " " if low <= round(share * n) <= high else "*"


def table(rows: pd.DataFrame) -> str:
    lines = [f"{'':<6} {'':<12} {'n':>5} {'effect':>7} {'truth':>7} {'p<=.05':>8} {'covers':>8}   the paper's"]
    for (cell, name), part in rows.groupby(["cell", "of"], sort=False):
        n, truth = len(part), part["truth"].fillna(part["effect"].mean())
        hit, held = float((part["p"] <= 0.05).mean()), float(((part["low"] <= truth) & (truth <= part["high"])).mean())
        mark = outside(hit, n=n, of=0.05) if name in SHOULD[cell] else " "
        theirs = ""
        if part["paper_p"].notna().all():
            theirs = (f"{(part['paper_p'] <= 0.05).mean():.3f}, covers "
                      f"{((part['paper_low'] <= truth) & (truth <= part['paper_high'])).mean():.3f}")
        effect = part["effect"].mean()
        lines.append(f"{cell:<6} {name:<12} {n:>5} {effect:>7.3f} {truth.mean():>7.3f} {hit:>7.3f}{mark} {held:>7.3f}"
                     f"{outside(held, n=n, of=0.95)}   {theirs}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--permutations", type=int, default=199)
    parser.add_argument("--correlate", choices=("vertex", "image"), default="vertex")
    parser.add_argument("--cells", default="null,alike,both,paper,shares")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    asked = {"n": given.repetitions, "processes": given.processes, "keep": given.keep}
    for cell in given.cells.split(","):
        begun = time.perf_counter()
        if cell == "shares":
            run(share_batch, cells=[({}, 1)], say=lambda rows: print(share_table(rows), flush=True), **asked)
        else:
            one = {"cell": cell, "n_permutations": given.permutations, "correlate": given.correlate}
            run(batch, cells=[(one, 1)], say=lambda rows: print(table(rows), flush=True), **asked)
        print(f"{cell}: {time.perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
