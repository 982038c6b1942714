"""How surely a run under another run's name is told by its data, and how often a right one is taken for wrong.

    PYTHONPATH=. OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/exchanged_runs.py [--sessions 20] [--seed 7]

Sessions of five and of two main runs by the protocol (129 trials in random order, 278 volumes) on the left hemisphere
of fsaverage5: the virtual subject's noise (local, smooth, physiological, drifts, sudden movements) and responses in
smooth patches over 15 % of the vertices, by `signal` percent of the mean signal to every image and half of that, as a
standard deviation, apart for RE, AN and AI. The same data are judged under their own names; with the first two runs
exchanged; with every run under the name of the next ("turned"; of two runs the same as exchanged); with the first run
replaced by that of a session elsewhere in the study; and with all runs replaced by those of that session, among the
events of 25 further runs. Counted are runs that are told with the right name.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from analysis.data.template import load_fsaverage5
from analysis.glm.checks.own_events import Judged, judge_runs, make_scan, not_found
from analysis.glm.design import Sampling, add_responses
from analysis.simulation.noise import NoiseModel, draw_nuisances, make_noise, smooth_maps, smoother
from subjects.run_key import RunKey

Tables = dict[RunKey, pd.DataFrame]
SIGNALS_PCT = (0.0, 0.25, 0.5, 1.0, 2.0)
SIZES, N_FURTHER, SHARE = (5, 2), 25, 0.15
FAULTS = ("exchanged", "turned", "foreign run", "foreign session")
SAMPLING = Sampling(n_volumes=278, tr_s=2.0, n_discarded=9)
KINDS = ("AI", "AN", "RE", "blank")
NOISE = NoiseModel(local_sd_pct=1.0, smooth_sd_pct=1.4, global_sd_pct=0.8, ar1=0.3, drift_sd_pct=1.0, spikes=2.0,
                   spike_pct=2.0)


def draw_order(rng: np.random.Generator) -> pd.DataFrame:
    kinds = rng.permutation(np.repeat([*KINDS], [40, 40, 40, 9]))
    shown = kinds != "blank"
    return pd.DataFrame({"onset": 20.0 + 4.0 * np.arange(len(kinds)) + 2.0 * shown, "trial_type": kinds,
                         "duration": np.where(shown, 2.0, 4.0)})


def draw_noise(kernel, *, rng: np.random.Generator) -> np.ndarray:
    found = draw_nuisances(SAMPLING.n_volumes, model=NOISE, tr_s=2.0, rng=rng)
    return make_noise(found, model=NOISE, tr_s=2.0, kernel=kernel, rng=rng)


def draw_maps(kernel, *, rng: np.random.Generator) -> np.ndarray:
    """Responses of size 1: patches, and in them types apart; none to blanks."""
    place, *apart = smooth_maps(4, kernel=kernel, rng=rng)
    inside = place > np.quantile(place, 1 - SHARE)
    return np.stack([*(inside * (1 + 0.5 * one) for one in apart), np.zeros_like(place)])


def predict(table: pd.DataFrame) -> np.ndarray:
    design = np.zeros((SAMPLING.n_volumes, len(KINDS)))
    every = replace(SAMPLING, n_discarded=0)
    add_responses(design, table, columns=[KINDS.index(one) for one in table["trial_type"]], times_s=every.times_s)
    return design


def record(table: pd.DataFrame, noise: np.ndarray, maps: np.ndarray, *, signal: float) -> np.ndarray:
    return (1000.0 + 10.0 * (noise + signal * predict(table) @ maps)).astype(np.float32)


def judge_under(data: dict[RunKey, np.ndarray], *, tables: Tables, further: Tables,
                rng: np.random.Generator) -> dict[RunKey, Judged]:
    scans = {key: make_scan(data[key], table, sampling=SAMPLING) for key, table in tables.items()}
    return judge_runs(scans, further=lambda: further, rng=rng)


def spoil(data: dict[RunKey, np.ndarray], foreign: dict[RunKey, np.ndarray], *,
          fault: str) -> tuple[dict[RunKey, np.ndarray], dict[RunKey, RunKey]]:
    """Put other data under the runs' names; say whose they are."""
    keys, theirs = list(data), list(foreign)
    holds = {"exchanged": {keys[0]: keys[1], keys[1]: keys[0]},
             "turned": dict(zip(keys, [*keys[1:], keys[0]], strict=True)),
             "foreign run": {keys[0]: theirs[0]}, "foreign session": dict(zip(keys, theirs, strict=True))}[fault]
    every = {**data, **foreign}
    return {key: every[holds.get(key, key)] for key in keys}, holds


def judge_all(data: dict[RunKey, np.ndarray], foreign: dict[RunKey, np.ndarray], *, tables: Tables, further: Tables,
              told: dict[str, int], with_faults: bool, rng: np.random.Generator) -> list[float]:
    """Judge a session right and with each fault, add to the counts, and give the scores of the runs' own events."""
    judge = partial(judge_under, tables=tables, further=further, rng=rng)
    right = judge(data)
    told["false"] += sum(one.other is not None for one in right.values())
    told["quiet"] += len(not_found(right))
    faults = FAULTS if len(data) > 2 else (FAULTS[0], *FAULTS[2:])
    for fault in faults if with_faults else ():
        changed, holds = spoil(data, foreign, fault=fault)
        found = judge(changed)
        told[fault] += sum(found[key].other == other for key, other in holds.items())
        told[f"of {fault}"] += len(holds)
        told["wrong name"] += sum(found[key].other not in (None, holds.get(key)) for key in data)
    return [one.z for one in right.values()]


def keys_of(n_runs: int, *, sub: str = "01", ses: str = "01") -> list[RunKey]:
    return [RunKey(sub, ses, "main", run) for run in range(1, n_runs + 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20, help="of five runs; each gives three of two runs as well")
    parser.add_argument("--faults", type=int, default=20, help="how many of them are spoiled as well")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--signals", type=float, nargs="+", default=SIGNALS_PCT)
    given = parser.parse_args()
    rng, start = np.random.default_rng(given.seed), time.process_time()
    kernel = smoother(load_fsaverage5()["L"], sd_mm=3.0)
    own = {(n, signal): list[float]() for n in SIZES for signal in given.signals}
    counts = {place: Counter[str]() for place in own}
    for session in range(given.sessions):
        orders, elsewhere = [draw_order(rng) for _ in range(5)], [draw_order(rng) for _ in range(N_FURTHER)]
        noises, maps = [draw_noise(kernel, rng=rng) for _ in range(5)], draw_maps(kernel, rng=rng)
        for signal in given.signals:
            scanned = [record(*both, maps, signal=signal) for both in zip(orders, noises, strict=True)]
            for runs in ((0, 1, 2, 3, 4), (0, 1), (2, 3), (4, 0)):
                n = len(runs)
                names = [RunKey("02", f"{1 + place // n:02d}", "main", 1 + place % n) for place in range(N_FURTHER)]
                further = dict(zip(names, elsewhere, strict=True))
                foreign = {key: record(further[key], noises[run], maps, signal=signal)
                           for key, run in zip(keys_of(n, sub="02", ses="02"), runs, strict=True)}
                keys = keys_of(n)
                own[n, signal] += judge_all(dict(zip(keys, (scanned[run] for run in runs), strict=True)), foreign,
                                            tables=dict(zip(keys, (orders[run] for run in runs), strict=True)),
                                            further=further, told=counts[n, signal], rng=rng,
                                            with_faults=session < given.faults)
        print(f"session {session + 1} of {given.sessions}", file=sys.stderr, flush=True)
    print(f"{given.sessions} sessions of 5 runs and {3 * given.sessions} of 2, {kernel.shape[0]} vertices, seed "
          f"{given.seed}; {time.process_time() - start:.0f} CPU s")
    print("runs  signal %   z of own events: 5 %, median   right runs refused / told as without their events   "
          "named rightly: exchanged, turned, foreign run, foreign session   named wrongly")
    for (n, signal), z in own.items():
        told = counts[n, signal]
        print(f"{n:4d}  {signal:8.2f}   {np.quantile(z, 0.05):6.1f} {np.median(z):6.1f}   {told['false']} / "
              f"{told['quiet']} of {len(z)}   "
              + ", ".join(f"{told[fault]} of {told[f'of {fault}']}" for fault in FAULTS) + f"   {told['wrong name']}")


if __name__ == "__main__":
    main()
