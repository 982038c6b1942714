"""How surely a run under another run's name is told by its data, and how often a right one is taken for wrong.

    PYTHONPATH=. OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/exchanged_runs.py [--sessions 20] [--seed 7]

Sessions of five main runs by the protocol (129 trials in random order, 278 volumes) on the left hemisphere of
fsaverage5: the virtual subject's noise (local, smooth, physiological, drifts, sudden movements) and responses in smooth
patches over 15 % of the vertices, by `signal` percent of the mean signal to every image and half of that, as a standard
deviation, apart for RE, AN and AI. The same data are judged under their own names, with the first two runs exchanged,
and with the first run replaced by that of a session elsewhere in the study, among the events of 25 further runs.
"""

from __future__ import annotations

import argparse
import time
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
N_RUNS, N_FURTHER, SHARE = 5, 25, 0.15
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    rng, start = np.random.default_rng(given.seed), time.process_time()
    kernel = smoother(load_fsaverage5()["L"], sd_mm=3.0)
    own = {signal: [] for signal in SIGNALS_PCT}
    counts = {signal: dict.fromkeys(("false", "quiet", "exchanged", "foreign"), 0) for signal in SIGNALS_PCT}
    for _ in range(given.sessions):
        keys = [RunKey("01", "01", "main", run) for run in range(1, N_RUNS + 1)]
        tables = {key: draw_order(rng) for key in keys}
        further = {RunKey("02", "01", "main", run): draw_order(rng) for run in range(1, N_FURTHER + 1)}
        noises, maps = {key: draw_noise(kernel, rng=rng) for key in keys}, draw_maps(kernel, rng=rng)
        for signal in SIGNALS_PCT:
            data = {key: record(tables[key], noises[key], maps, signal=signal) for key in keys}
            foreign = record(further[RunKey("02", "01", "main", 3)], noises[keys[0]], maps, signal=signal)
            judge = partial(judge_under, tables=tables, further=further, rng=rng)
            right = judge(data)
            own[signal] += [one.z for one in right.values()]
            counts[signal]["false"] += sum(one.other is not None for one in right.values())
            counts[signal]["quiet"] += len(not_found(right))
            swapped = judge({**data, keys[0]: data[keys[1]], keys[1]: data[keys[0]]})
            counts[signal]["exchanged"] += (swapped[keys[0]].other == keys[1]) + (swapped[keys[1]].other == keys[0])
            other = judge({**data, keys[0]: foreign})[keys[0]]
            counts[signal]["foreign"] += other.other == RunKey("02", "01", "main", 3)
    n_runs, n_sessions = N_RUNS * given.sessions, given.sessions
    print(f"{n_sessions} sessions of {N_RUNS} runs, {kernel.shape[0]} vertices, seed {given.seed}; "
          f"{time.process_time() - start:.0f} CPU s")
    print("signal %   z of own events: 5 %, median, SD   right runs refused / told as without their events   "
          "exchanged found   foreign found")
    for signal in SIGNALS_PCT:
        z, told = np.array(own[signal]), counts[signal]
        print(f"{signal:8.2f}   {np.quantile(z, 0.05):6.1f} {np.median(z):6.1f} {z.std():5.1f}   {told['false']:4d} / "
              f"{told['quiet']} of {n_runs}   {told['exchanged']:4d} of {2 * n_sessions}   {told['foreign']:4d} of "
              f"{n_sessions}")


if __name__ == "__main__":
    main()
