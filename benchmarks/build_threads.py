"""A build with one CPU thread beside the same build with more.

    python benchmarks/build_threads.py [--threads 2] [--repeats 3]

Makes the demo set (40 RE, 40 AN, 40 AI) in a process of its own for every measurement, in turn, through the command
`python -m stimuli build --threads N`; prints wall and CPU seconds (medians), the speed-up, and in how many images
the two sets differ: the number of threads may change the last digit of a sum, and with it a grey level.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stimuli.manifest import read_manifest
from subjects.dataset import init_study
from subjects.layout import Layout


def build(root: Path, *, threads: int) -> tuple[float, float]:
    """Build a set; give wall and CPU seconds of the process."""
    layout = init_study(Layout(root), name="threads", seed=1)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "stimuli", "build", "--study", str(layout.root), "--threads", str(threads)],
                   check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    counts = (1, asked.threads)
    taken: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(asked.repeats):
            for count in counts:
                taken[count].append(build(Path(folder) / f"{count}-{repeat}", threads=count))
        sets = [read_manifest(Layout(Path(folder) / f"{count}-0").manifest).stimuli for count in counts]
    differing = sum(one.image_id != other.image_id for one, other in zip(*sets, strict=True))
    medians = {count: [statistics.median(one[k] for one in rows) for k in (0, 1)] for count, rows in taken.items()}
    print(f"medians of {asked.repeats}, load {os.getloadavg()[0]:.1f}")
    for count, (wall, cpu) in medians.items():
        print(f"{count} thread(s): {wall:6.1f} s wall, {cpu:6.1f} s CPU")
    print(f"speed-up {medians[1][0] / medians[asked.threads][0]:.2f}; {differing} of {len(sets[0])} images differ")


if __name__ == "__main__":
    main()
