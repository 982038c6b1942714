"""kill -9 at random moments of a windowed run: nothing that was journalled is lost, recovery gives valid tables.

PYTHONPATH=. .venv/bin/python benchmarks/kill_windowed.py [--kills 20]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from paradigms.record.recovery import recover
from paradigms.runlog import read_events, read_journal
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from tests.paradigms.conftest import make_console_study

ROOT = Path(__file__).resolve().parents[1]
SHORT = {"stimuli": {"per_class": 2}, "main": {"runs": 5, "lead_in_s": 2.0, "lead_out_s": 2.0, "blank_s": 0.5,
         "image_s": 0.5}, "display": {"width_px": 640, "height_px": 480}}
STALE_S = 2.2


def main() -> None:
    """Kill and judge, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        layout = make_console_study(Path(folder) / "study", **SHORT)
        for k in range(options.kills):
            said, good = kill_once(layout, moment_s=float(rng.uniform(0.0, 12.0)))
            failures += not good
            print(f"{k + 1:2d}: {said}", flush=True)
        errors = bids_errors(layout.root)
    print(f"{options.kills - failures} of {options.kills} kills lost nothing; BIDS errors in the study: {errors}")
    sys.exit(1 if failures or errors else 0)


def kill_once(layout: Layout, *, moment_s: float) -> tuple[str, bool]:
    """Start a run, kill it `moment_s` after its journal began, recover, and judge."""
    before = {path: path.read_bytes() for path in layout.root.rglob("*") if path.is_file()}
    journals = set(layout.root.rglob("*_journal.jsonl"))
    run = subprocess.Popen(
        [sys.executable, "run_session.py", "run", "--study", str(layout.root), "--sub", "01", "--ses", "01",
         "--run", "1", "--scanner", "emulated", "--display", "xvfb", "--windowed"], cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "DISPLAY"})
    while not (fresh := set(layout.root.rglob("*_journal.jsonl")) - journals):
        time.sleep(0.02)
        if run.poll() is not None:
            return f"the run ended by itself with {run.returncode}", False
    time.sleep(moment_s)
    raw_before = fresh.copy().pop().read_bytes()
    os.kill(run.pid, signal.SIGKILL)
    killed = time.time()
    run.wait()
    return judge(layout, fresh.pop(), raw_before=raw_before, before=before, killed=killed)


def judge(layout: Layout, journal: Path, *, raw_before: bytes, before: dict[Path, bytes],
          killed: float) -> tuple[str, bool]:
    """Check the journal, the recovered table, and that nothing older changed."""
    raw = journal.read_bytes()
    records = read_journal(journal)
    pulses = [record["n"] for record in records if record["kind"] == "pulse"]
    recovered = recover(layout)
    tables = [read_events(one.events) for one in recovered]
    moved = {path for path, content in before.items() if not path.exists() or path.read_bytes() != content}
    checks = {
        "what was there before the kill is there": raw.startswith(raw_before),
        "every whole line is readable": len(records) == raw.count(b"\n"),
        "no pulse missing": pulses == list(range(1, len(pulses) + 1)),
        "record reaches the kill": not pulses or killed - records[-1]["wall"] < STALE_S,
        "tables are marked incomplete": not any(table.attrs["complete"] for table in tables),
        "a table if a pulse came": bool(recovered) == bool(pulses),
        "nothing older changed": not moved,
        "settings still load": bool(load_settings(layout.root)),
    }
    failed = [name for name, holds in checks.items() if not holds]
    rows = sum(len(table) for table in tables)
    said = f"{len(records)} lines, {len(pulses)} pulses, {rows} events recovered"
    return said + (f"; FAILED: {', '.join(failed)}" if failed else ""), not failed


def bids_errors(root: Path) -> int:
    """Count the official validator's errors in the study."""
    tool = Path(sys.executable).parent / "bids-validator-deno"
    path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([str(tool), str(root), "--format", "json"], capture_output=True, text=True, check=False,
                          env={**os.environ, "PATH": path})
    issues = json.loads(done.stdout)["issues"]["issues"]
    return sum(one["severity"] == "error" for one in issues)


if __name__ == "__main__":
    main()
