"""The GLM on a whole native surface: peak memory and CPU time of the step, session by session.

    PYTHONPATH=. python benchmarks/glmdenoise_native.py [--vertices 150000] [--sessions 2] [--runs 5] [--volumes 278]
                                                        [--bootstraps 100] [--jobs 1] [--model glmdenoise]

The steps are those of `python -m analysis glm` (noise model of both hemispheres, responses of each, the betas of all
sessions; with `--model ols` or `ar1` each hemisphere's fit, and the betas), their files written to a temporary folder.
Only the reading of GIFTI is left out: each run is drawn here, a response at a third of the vertices, 4 noise courses,
white noise; float32. Prints the peak of memory, which 6 GB is asked for with 2 x 150,000 vertices and 10 runs (4 GB for
least squares and AR(1) with 5 runs), and CPU seconds a step.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from analysis.data.timeseries import Run
from analysis.glm.denoising.session import DenoisedBetas, SessionDenoising
from analysis.glm.linear.session import LinearBetas, SessionFits
from analysis.glm.subject_runs import SubjectRuns
from analysis.jobs import at_once
from subjects.cli import silent
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.run_key import RunKey
from subjects.settings.analysis import GlmSettings
from subjects.store import write_json

N_IMAGES = 60


@dataclass(frozen=True, kw_only=True)
class DrawnRuns(SubjectRuns):
    """Runs that are drawn instead of read."""

    n_vertices: int
    n_volumes: int
    n_sessions: int
    n_runs: int

    @cached_property
    def sessions(self) -> dict[str, dict[RunKey, pd.DataFrame]]:
        """Draw the events of every run."""
        return {f"{ses:02d}": {key: self._events(key) for run in range(1, self.n_runs + 1)
                               for key in (RunKey("01", f"{ses:02d}", "main", run),)}
                for ses in range(1, self.n_sessions + 1)}

    def _events(self, key: RunKey) -> pd.DataFrame:
        order = np.random.default_rng([int(key.ses), key.run]).permutation(2 * N_IMAGES + 9)
        rows, seen = [], dict[int, int]()
        for place, one in enumerate(order):
            image, blank = int(one) % N_IMAGES, one >= 2 * N_IMAGES
            seen[image] = seen.get(image, 0) + (not blank)
            name = f"{key.ses}-{image:02d}"
            rows.append({"onset": 20.0 + 4 * place + (0 if blank else 2), "duration": 4.0 if blank else 2.0,
                         "trial_type": "blank" if blank else "RE", "image_id": None if blank else f"px-{name}",
                         "base_image": None if blank else name, "presentation": None if blank else seen[image]})
        table = pd.DataFrame(rows)
        table.attrs.update(n_pulses=self.n_volumes, complete=True)
        return table

    def read(self, key: RunKey, *, hemi: str) -> Run:
        """Draw a run, a slice of vertices at a time."""
        rng = np.random.default_rng([int(key.ses), key.run, ord(hemi)])
        data = np.empty((self.n_volumes, self.n_vertices), np.float32)
        times = self.tr_s * np.arange(self.n_volumes)
        onsets = self.sessions[key.ses][key]["onset"].to_numpy()
        drive = np.array([np.sum((time - onsets > 3) & (time - onsets < 8)) for time in times], np.float32)
        shared = rng.standard_normal((self.n_volumes, 4), dtype=np.float32)
        for start in range(0, self.n_vertices, 8192):
            part = slice(start, min(start + 8192, self.n_vertices))
            n = part.stop - part.start
            made = 10 * rng.standard_normal((self.n_volumes, n), dtype=np.float32)
            made += shared @ (5 * rng.standard_normal((4, n), dtype=np.float32))
            made += drive[:, None] * (8 * (np.arange(n) % 3 == 0)).astype(np.float32)
            data[:, part] = 1000 + made
        return Run(key=key, hemi=hemi, data=data, tr_s=self.tr_s)


    def inputs(self, **_: object) -> dict[str, Path | str]:
        """Give none: there are no files."""
        return {}


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("vertices", 150_000), ("sessions", 2), ("runs", 5), ("volumes", 278), ("bootstraps", 100),
                          ("jobs", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--model", choices=("glmdenoise", "ols", "ar1"), default="glmdenoise")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        runs = DrawnRuns(layout=Layout(Path(folder)), sub="01", pipeline="auto", space="", tr_s=2.0, n_discarded=9,
                         settings=GlmSettings(run_bootstraps=given.bootstraps, model=given.model),
                         n_vertices=given.vertices,
                         base_images=tuple(f"{ses:02d}-{k:02d}" for ses in range(1, given.sessions + 1)
                                           for k in range(N_IMAGES)),
                         n_volumes=given.volumes, n_sessions=given.sessions, n_runs=given.runs)
        if given.model == "glmdenoise":
            steps = [SessionDenoising(runs, sessions=one, seed=1, each=at_once(given.jobs)) for one in runs.groups]
            works = [work for one in steps for work in one.works()] + [DenoisedBetas(runs, steps, seed=1).work()]
        else:
            fits = [SessionFits(runs, sessions=one, each=at_once(given.jobs)) for one in runs.groups]
            works = [work for one in fits for work in one.works()] + [LinearBetas(runs, fits).work()]
        print(f"{given.model}: 2 x {given.vertices} vertices, {given.sessions} sessions of {given.runs} runs of "
              f"{given.volumes} volumes, {given.bootstraps} bootstraps, {given.jobs} jobs; {peak_gib():.2f} GiB before",
              flush=True)
        for work in works:
            start = time.process_time()
            for path, told in work.make(silent)().items():
                write_json(sidecar_path(path), told, overwrite=True)
            said = f"; {work.tell()}" if work.tell else ""
            print(f"{work.name}: {time.process_time() - start:.0f} CPU s (drawing the runs included), peak so far "
                  f"{peak_gib():.2f} GiB{said}", flush=True)


if __name__ == "__main__":
    main()
