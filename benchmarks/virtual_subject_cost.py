"""What a virtual subject costs: processor time and memory of 20 runs of 278 volumes and 48,000 vertices.

    PYTHONPATH=. OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/virtual_subject_cost.py [--runs 20]

A study is logged as planned (two sessions of the main experiment, 40 base images), and simulated with the default
settings on the patch of both hemispheres, in a process of its own: bound, 60 CPU s and 2 GB for 20 runs. Files go to a
temporary folder, 1.5 GB.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MOST_S, MOST_GB = 60.0, 2.0


def prepare(root: Path, *, runs: int) -> None:
    """Log a study of noise images as planned."""
    from stimuli.image_set.exports.feature_writer import write_store
    from stimuli.manifest import read_manifest
    from subjects.settings.loading import load_settings
    from tests.analysis.simulation.test_bold import log_run
    from tests.paradigms.conftest import MAIN_ALONE, make_console_study

    layout = make_console_study(root, main={"runs": runs // 2}, **MAIN_ALONE)
    settings, manifest = load_settings(root), read_manifest(layout.manifest)
    rng = np.random.default_rng(0)
    units = {f"layer{k}": rng.standard_normal((len(manifest), 500), dtype=np.float32) for k in range(1, 9)}
    write_store(layout.features("none"), units, network="none", network_digest="0", tap="none", layers=tuple(units),
                image_ids=[one.image_id for one in manifest.stimuli])
    for k in range(runs):
        log_run(layout, settings, manifest, sub="01", ses=f"{1 + k % 2:02d}", run=1 + k // 2)


def measure(root: Path) -> None:
    """Simulate the study in this process and print its cost."""
    from analysis.data.sources import resolve_subject
    from analysis.running import run_step
    from analysis.steps import Request
    from subjects.layout import Layout
    from subjects.settings.loading import load_settings

    layout, begun = Layout(root), time.perf_counter()
    run_step("simulate", Request(layout=layout, settings=load_settings(root), subjects=("01",)))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20
    data = resolve_subject(layout, sub="01")
    vertices = sum(data.load_surface(hemi).n_vertices for hemi in "LR")
    size = sum(path.stat().st_size for path in data.bold.values()) / 2**30
    print(f"{len(data.runs)} runs x {vertices} vertices: {spent:.1f} CPU s (start-up included, at most {MOST_S:g} for "
          f"20 runs), {memory:.2f} GB (at most {MOST_GB:g}), {size:.2f} GB written, "
          f"{time.perf_counter() - begun:.1f} s by the clock")
    if spent > MOST_S or memory > MOST_GB:
        raise SystemExit("over the bound")


def main() -> None:
    """Prepare, and measure in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        measure(given.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder) / "study", runs=given.runs)
        done = subprocess.run([sys.executable, __file__, "--measure", str(Path(folder) / "study")], check=False)
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
