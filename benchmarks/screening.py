"""Choice among 4,000 photographs: one streaming pass beside loading them all.

    python benchmarks/screening.py [--candidates 4000] [--width 400] [--height 300]

Makes JPEGs of drawings in a temporary folder, one folder for each of the 40 demo categories, and lets the demo network
judge them: ours a batch at a time, the peer after every photograph was decoded. Each runs in a process of its own.
Prints CPU seconds, images a second, peak memory above that of the loaded network, the size of the decoded photographs,
and whether both chose the same. Run with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from stimuli.categories import demo_categories
from stimuli.networks.demo.drawings import draw
from stimuli.networks.registry import Network, cpu_threads, load_network
from stimuli.regular_images.candidates import Listing, list_candidates
from stimuli.regular_images.category_choice import select
from stimuli.regular_images.photographs import read_facts, read_photograph, to_square
from stimuli.regular_images.screening import P_DIGITS, Screened, screen, size_fault
from subjects.settings.study import Settings

STIMULI = Settings().stimuli.model_copy(update={"shortfall": "best"})
SEED = 1


def make_photographs(folder: Path, *, n: int, size: tuple[int, int]) -> None:
    """Save drawings as JPEG: per category a few scenes, each in many colours."""
    rng = np.random.default_rng(SEED)
    names = [name for _, name in demo_categories()]
    for k, name in enumerate(names):
        (folder / name).mkdir()
        count = n // len(names) + (k < n % len(names))
        scenes = [np.asarray(Image.fromarray(draw(name, rng=rng)).resize(size)) for _ in range(min(count, 4))]
        for number in range(count):
            shifted = np.clip(scenes[number % 4] + rng.integers(-12, 13, 3), 0, 255).astype(np.uint8)
            Image.fromarray(shifted).save(folder / name / f"{number:04d}.jpg", quality=85)


def streamed(listing: Listing, network: Network) -> list[Screened]:
    """Ours."""
    return list(screen(listing, network=network, stimuli=STIMULI))


def loaded(listing: Listing, network: Network) -> list[Screened]:
    """Decode everything, keep what passes the size rule, resize everything, judge everything."""
    facts = [read_facts(listing.path(one)) for one in listing.candidates]
    photographs = [read_photograph(listing.path(one)).pixels for one in listing.candidates]
    assert not any(size_fault(one, stimuli=STIMULI) for one in facts)
    squares = np.stack([to_square(one, side=network.input_size, resize=STIMULI.resize) for one in photographs])
    probabilities = network.probabilities(squares, batch=STIMULI.batch)
    return [Screened(one, fact.width, fact.height, p=round(float(row[one.category_index]), P_DIGITS))
            for one, fact, row in zip(listing.candidates, facts, probabilities, strict=True)]


def run_arm(arm: str, folder: Path) -> None:
    """Measure one arm in this process and print JSON."""
    network = load_network("demo")
    network.probabilities(np.zeros((STIMULI.batch, 227, 227, 3), np.uint8))
    listing = list_candidates(folder, class_names=network.class_names, classes=STIMULI.classes)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with cpu_threads(1):
        rows = {"ours": streamed, "loaded": loaded}[arm](listing, network)
    made = select(rows, stimuli=STIMULI, seed=SEED)
    taken, peak = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    decoded = sum((row.width or 0) * (row.height or 0) * 3 for row in rows)
    print(json.dumps({"cpu_s": taken, "above_mib": (peak - before) / 1024, "peak_mib": peak / 1024,
                      "decoded_mib": decoded / 2**20, "chosen": [one.candidate.file for one in made.chosen]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("candidates", 4000), ("width", 400), ("height", 300)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.arm is not None:
        run_arm(given.arm, given.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_photographs(Path(folder), n=given.candidates, size=(given.width, given.height))
        found = {arm: report(arm, Path(folder), n=given.candidates) for arm in ("ours", "loaded")}
    ours, peer = found["ours"], found["loaded"]
    print(f"same choice: {ours['chosen'] == peer['chosen']}; {len(ours['chosen'])} chosen; time ours / peer "
          f"{ours['cpu_s'] / peer['cpu_s']:.2f}; memory above the network: peer / ours "
          f"{peer['above_mib'] / ours['above_mib']:.0f}")


def report(arm: str, folder: Path, *, n: int) -> dict:
    done = subprocess.run([sys.executable, __file__, "--arm", arm, "--folder", str(folder)], check=True,
                          capture_output=True, text=True)
    found = json.loads(done.stdout)
    print(f"{arm:<8} {n} candidates  {found['cpu_s']:7.1f} CPU s  {n / found['cpu_s']:6.1f} images a CPU s  "
          f"peak {found['peak_mib']:6.0f} MiB ({found['above_mib']:.0f} above the network's)  "
          f"decoded set {found['decoded_mib']:.0f} MiB")
    return found


if __name__ == "__main__":
    main()
