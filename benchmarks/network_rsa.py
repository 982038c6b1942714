"""Time of the network's half: similarities in its layers by groups of units and unit by unit, and the report of a set.

    PYTHONPATH=. python benchmarks/network_rsa.py [--data ../shared/data] [--keep DIR] [--set photographs]

Builds the set of `benchmarks/adversarial_noise.py` (SqueezeNet on photographs, or the drawings with the network that
ships) and its features, or takes those in `--keep`. Then: CPU seconds of `analysis rsa` over the eight layers with 1000
bootstraps over groups of units (`rsa.unit_groups`, asked: at most 10) and over every unit by itself, with the widths of
their intervals side by side; CPU and wall seconds of `report --network-only` from features alone. One thread.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from adversarial_noise import photographs

from analysis.rsa.compare import Similarities
from analysis.rsa.run import named_layers, place_similarities
from stimuli.feature_store import open_store
from stimuli.image_set.build import build
from stimuli.image_set.exports.feature_extraction import extract
from stimuli.manifest import read_manifest
from stimuli.networks.hardware import Hardware
from stimuli.networks.registry import cpu_threads
from subjects.cli import silent
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def make_study(folder: Path, *, stimuli: dict[str, object]) -> tuple[Layout, Settings]:
    """Build the set and its features, or find them."""
    layout = Layout(folder)
    if not layout.settings_file.exists():
        init_study(layout, name="network rsa", seed=20210, changes={"stimuli": stimuli})
    settings = load_settings(layout.root)
    for name, step in (("build", build), ("features", extract)):
        began = time.process_time()
        step(layout, settings, hardware=Hardware(threads=1))
        print(f"{name}: {time.process_time() - began:.1f} CPU s", flush=True)
    return layout, settings


def similarities(layout: Layout, settings: Settings, *, groups: int) -> tuple[float, dict[str, Similarities]]:
    """Compare the types in every layer; give CPU seconds and what was found."""
    store = open_store(layout.features(read_manifest(layout.manifest).stimuli[0].network))
    began = time.process_time()
    found = place_similarities(store, named_layers(store), manifest=read_manifest(layout.manifest), progress=silent,
                               seed=settings.study.seed,
                               settings=settings.rsa.model_copy(update={"unit_groups": groups}))
    return time.process_time() - began, found


def widths(found: dict[str, Similarities]) -> np.ndarray:
    """Give the widths of the intervals of RE-AN and RE-AI in every layer; NaN where there is none."""
    return np.array([[one.statistics[name].high - one.statistics[name].low for name in ("RE-AN", "RE-AI")]
                     for one in found.values()])


def report_seconds(layout: Layout) -> tuple[float, float]:
    """Run `report --network-only` from features alone, in a process; give CPU and wall seconds."""
    for name in ("rsa", "report"):
        shutil.rmtree(layout.derivatives(name), ignore_errors=True)
    words = [sys.executable, "-m", "analysis", "report", "--network-only", "--study", str(layout.root)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, check=True, env={**os.environ, **ONE_THREAD}, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", dest="which", choices=("photographs", "demo"), default="photographs")
    parser.add_argument("--keep", type=Path, help="a folder in which the study is kept")
    asked = parser.parse_args()
    if asked.which == "photographs" and not (asked.data / "imagenet-sample").is_dir():
        print(f"left out: there is no folder of photographs in {asked.data}; name another with --data")
        return
    with tempfile.TemporaryDirectory() as folder, cpu_threads(1):
        layout, settings = make_study((asked.keep or Path(folder)) / asked.which,
                                      stimuli=photographs(asked.data) if asked.which == "photographs" else {})
        groups = settings.rsa.unit_groups
        quick, by_groups = similarities(layout, settings, groups=groups)
        print(f"rsa, {groups} groups of units: {quick:.1f} CPU s (asked: at most 10)", flush=True)
        exact, by_units = similarities(layout, settings, groups=0)
        print(f"rsa, unit by unit: {exact:.1f} CPU s; by groups / unit by unit {quick / exact:.2f}", flush=True)
        ratio = widths(by_groups) / widths(by_units)
        for layer, row in zip(by_groups, ratio, strict=True):
            print(f"  {layer:<20} interval by groups / unit by unit: RE-AN {row[0]:.3f}, RE-AI {row[1]:.3f}")
        cpu, wall = report_seconds(layout)
        print(f"report --network-only: {cpu:.1f} CPU s, {wall:.1f} s")


if __name__ == "__main__":
    main()
