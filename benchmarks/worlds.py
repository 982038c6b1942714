"""The whole chain over the five worlds of the virtual subject: which claims its scorecard finds, and which it should.

    PYTHONPATH=. OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/worlds.py --study DIR [--subjects 3]

A study of the demo network's 120 images is made in DIR/base, and the main experiment of every subject played once in
virtual time. For each world the study is copied, simulated, analysed and reported; every step reuses what is current,
so that the benchmark goes on where it was stopped. Meshes are refined once (12,000 vertices). What each world should
give follows from its definition (:mod:`analysis.simulation.worlds`); of ``pixels`` nothing is expected of AN.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

from analysis.running import run_step
from analysis.simulation.worlds import WORLDS
from analysis.steps import Request
from run_session import build_stimuli, open_rehearsal, play_scans, store_features
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.settings.loading import load_settings

SEED = 20210
CLAIMS = ("B1", "B2", "B3", "E1", "E2", "E3", "H1")
EXPECTED = {"paper": "yyyyyyy", "cnn-like": "nnnnnnn", "both": "ynnynnn", "null": "nynn?nn", "pixels": "y------"}
"""World to whether each claim is true of it: AI above null, AN not, AI above AN; by RSA and by encoding; low layers
take more vertices for AI and not for AN. ``?``: not tested, since no model predicts held-out RE images either."""
VERDICTS = {"holds": "y", "does not hold": "n"}
CHANGES = {"retinotopy": {"runs": []}, "lo": {"runs": [0, 0]}, "motion": {"runs": [0, 0]},
           "simulate": {"subdivisions": 1, "world": "both"}}


def make_base(root: Path, *, subjects: int) -> Layout:
    """Make the images, features and scans, or go on making them."""
    layout = Layout(root)
    if not layout.settings_file.is_file():
        init_study(layout, name="Worlds", seed=SEED, changes=CHANGES)
    rehearsal = open_rehearsal(layout, seed=SEED, subjects=subjects)
    for step in (build_stimuli, store_features, play_scans):
        print(f"base: {step(rehearsal)}", flush=True)
    return layout


def enter(base: Layout, root: Path, *, world: str) -> Layout:
    """Copy the study into a world, once; a copy that was cut off is made again."""
    if not root.is_dir():
        beside = root.with_name(f"{root.name}.part")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(base.root, beside)
        told = Layout(beside).settings_file
        text = told.read_text(encoding="utf-8")
        assert 'world = "both"' in text
        told.write_text(text.replace('world = "both"', f'world = "{world}"'), encoding="utf-8")
        beside.rename(root)
    return Layout(root)


def analyse(layout: Layout, *, subjects: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Run every step; give each claim's verdict and what was found."""
    request = Request(layout=layout, settings=load_settings(layout.root), subjects=subjects)
    for name in ("simulate", "glm", "rsa", "encode", "report"):
        begun = time.process_time()
        run_step(name, request)
        print(f"{layout.root.name}: {name}, {time.process_time() - begun:.0f} CPU s", flush=True)
    rows = json.loads((layout.report.parent / "scorecard.json").read_text(encoding="utf-8"))
    return {row["id"]: (row["verdict"], row["here"]) for row in rows if row["id"] in CLAIMS}


def table(found: dict[str, dict[str, tuple[str, str]]]) -> str:
    """Set verdicts against what is true: a capital letter where they differ."""
    lines = ["world      " + "".join(f"{claim:>4}" for claim in CLAIMS)
             + "   y holds, n does not; capital: not as it is"]
    for world, verdicts in found.items():
        letters = []
        for claim, true in zip(CLAIMS, EXPECTED[world], strict=True):
            said = VERDICTS.get(verdicts[claim][0], "?") if claim in verdicts else "?"
            letters.append(said if true in ("-", said) else said.upper())
        lines.append(f"{world:<11}" + "".join(f"{one:>4}" for one in letters))
    for world, verdicts in found.items():
        lines += [f"{world} {claim}: {verdicts[claim][1]}" for claim in CLAIMS if claim in verdicts]
    return "\n".join(lines)


def main() -> None:
    """Make the base, then go through the worlds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--subjects", type=int, default=3)
    parser.add_argument("--worlds", nargs="*", choices=WORLDS, default=WORLDS)
    given = parser.parse_args()
    base = make_base(given.study / "base", subjects=given.subjects)
    whom = tuple(f"{k:02d}" for k in range(1, given.subjects + 1))
    found = {}
    for world in given.worlds:
        found[world] = analyse(enter(base, given.study / world, world=world), subjects=whom)
        print(table({world: found[world]}), flush=True)
    print(table(found))


if __name__ == "__main__":
    main()
