"""Planted responses and what the GLM gives back, at the size of the protocol: the slope of found on planted betas.

    PYTHONPATH=. OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/planted_responses.py [--vertices 20484]

Two sessions of 5 runs x 278 volumes (9 discarded), 60 images x 2 presentations and 9 blanks a run, 121 conditions a
session. Every vertex responds to every image by 2 percent of its mean signal, give or take .5, twice the same, and to
blanks by .2; noise of 1 percent with AR(1) .3, drifts, means from 400 to 1600 and another unit in the second session.
The time courses are convolved here on a grid of .05 s with the double gamma from SciPy, by no code of the GLM. Prints
the slope over all vertices and conditions and over each type, for `glm.sessions` separate and joint, and CPU seconds.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from scipy.signal import fftconvolve
from scipy.stats import gamma

from analysis.data.timeseries import Run
from analysis.glm.combining import combine_sessions
from analysis.glm.design import Sampling
from analysis.glm.linear.fit import fit_portion
from analysis.glm.portions import split_sessions
from subjects.run_key import RunKey
from subjects.settings.analysis import GlmSettings

TR_S, N_VOLUMES, N_DISCARDED, GRID_S = 2.0, 278, 9, 0.05
N_RUNS, N_IMAGES, N_BLANKS = 5, 20, 9
TYPES = ("RE", "AN", "AI")


def draw_run(names: list[str], *, rng: np.random.Generator) -> pd.DataFrame:
    """Order 60 images twice and 9 blanks at random, a trial each 4 s after 20 s; onsets late by up to 20 ms."""
    trials = rng.permutation(2 * len(names) + N_BLANKS)
    late, seen, rows = rng.uniform(0, 0.02, len(trials)), dict.fromkeys(names, 0), []
    for k, trial in enumerate(trials):
        start = 20.0 + 4.0 * k
        if trial >= 2 * len(names):
            rows.append({"onset": start, "duration": 4.0, "trial_type": "blank", "image_id": None, "base_image": None,
                         "presentation": 0})
            continue
        name = names[trial // 2]
        seen[name] += 1
        kind, _, base = name.partition(" ")
        rows.append({"onset": start + 2.0 + late[k], "duration": 2.0, "trial_type": kind, "image_id": name,
                     "base_image": base, "presentation": seen[name]})
    return pd.DataFrame(rows)


def responses(table: pd.DataFrame, keys: list[tuple[str, int]]) -> np.ndarray:
    """Convolve each condition's events with the double gamma, a planned one's peak at 1, (n_volumes, n_conditions)."""
    times = GRID_S * np.arange(int((N_VOLUMES * TR_S + 40) / GRID_S))
    shape = gamma.pdf(times, 6) - gamma.pdf(times, 16) / 6
    found = np.zeros((N_VOLUMES, len(keys)))
    for (name, number), column in zip(keys, found.T, strict=True):
        mine = table[table["trial_type"] == "blank"] if name == "blank" else \
            table[(table["image_id"] == name) & (table["presentation"] == number)]
        shown = np.zeros_like(times)
        for onset, duration in zip(mine["onset"], mine["duration"], strict=True):
            shown += np.clip((onset + duration - times) / GRID_S, 0, 1) - np.clip((onset - times) / GRID_S, 0, 1)
        one = fftconvolve((times < mine["duration"].iloc[0]).astype(float), shape)
        course = fftconvolve(shown, shape)[:len(times)] / one.max()
        column += np.interp(TR_S * np.arange(N_VOLUMES), times, course)
    return found


def add_noise(rng: np.random.Generator, n_vertices: int) -> np.ndarray:
    noise = rng.standard_normal((N_VOLUMES, n_vertices), dtype=np.float32)
    for k in range(1, N_VOLUMES):
        noise[k] = 0.3 * noise[k - 1] + np.sqrt(1 - 0.09) * noise[k]
    slow = np.polynomial.legendre.legvander(np.linspace(-1, 1, N_VOLUMES), 3)[:, 1:]
    return noise + (slow @ rng.standard_normal((3, n_vertices))).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vertices", type=int, default=20_484)
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    truth, tables, scans = {}, {}, {}
    means = rng.uniform(400, 1600, given.vertices).astype(np.float32)
    for ses, unit in (("01", 1.0), ("02", 1.37)):
        names = [f"{kind} dogs-{ses}{k:02d}" for kind in TYPES for k in range(N_IMAGES)]
        keys = [(name, number) for name in names for number in (1, 2)] + [("blank", 0)]
        sizes = 2 + 0.5 * rng.standard_normal((len(names), given.vertices), dtype=np.float32)
        planted = np.concatenate([np.repeat(sizes, 2, axis=0), np.full((1, given.vertices), 0.2, np.float32)])
        truth |= {(*key, ses): row for key, row in zip(keys, planted, strict=True)}
        tables[ses] = {}
        for number in range(1, N_RUNS + 1):
            key = RunKey("01", ses, "main", number)
            tables[ses][key] = draw_run(names, rng=rng)
            course = (responses(tables[ses][key], keys).astype(np.float32) @ planted)
            course -= course[N_DISCARDED:].mean(axis=0)
            percent = course + add_noise(rng, given.vertices)
            scans[key] = Run(key=key, hemi="L", tr_s=TR_S, data=(unit * means * (1 + percent / 100)).astype(np.float32))
    print(f"2 sessions x {N_RUNS} runs x {N_VOLUMES} volumes x {given.vertices} vertices, 121 conditions a session, "
          f"seed {given.seed}")
    sampling = Sampling(n_volumes=N_VOLUMES, tr_s=TR_S, n_discarded=N_DISCARDED)
    for joined in ("separate", "joint"):
        start = time.process_time()
        groups = [[ses] for ses in tables] if joined == "separate" else [list(tables)]
        settings = GlmSettings(model="ols", sessions=joined)
        fits = [fit_portion(portion, scans, settings=settings, samplings=dict.fromkeys(portion.events, sampling))[0]
                for group in groups
                for portion in split_sessions({ses: tables[ses] for ses in group}, partition="presentation")]
        betas = combine_sessions(fits, [one.conditions for one in fits], hemi="L", base_images=sorted(
            {base for one in fits for base in one.conditions["base_image"] if base}))
        taken = time.process_time() - start
        found = betas.values  # noqa: PD011 - no data frame
        kinds = betas.conditions["type"].to_numpy(str)
        wanted = np.stack([truth[str(one.image_id) or "blank", int(one.presentation), one.session or "01"]
                           for one in betas.conditions.itertuples()])
        said = {kind: slope(wanted[kinds == kind], found[kinds == kind]) for kind in TYPES}
        images = kinds != "blank"
        print(f"{joined:<9} {len(kinds)} rows: slope {slope(wanted[images], found[images]):.4f}, mean off by "
              f"{float(np.mean(found[images] - wanted[images])):+.4f} %; " + ", ".join(
                  f"{kind} {value:.4f}" for kind, value in said.items())
              + f"; blanks {float(found[~images].mean()):.3f} % (planted .2); {taken:.1f} CPU s")


def slope(wanted: np.ndarray, found: np.ndarray) -> float:
    """Regress what was found on what was planted."""
    centred = wanted - wanted.mean(dtype=np.float64)
    return float(np.sum(centred * found, dtype=np.float64) / np.sum(np.square(centred), dtype=np.float64))


if __name__ == "__main__":
    main()
