"""How long a run takes from its command to SAFE, and what it costs while it waits: processor and memory.

Each round starts `run_session.py run` on a study with 227 px images in a window on a virtual X server, waits for the
journal's line "safe", and then looks at the process for some seconds: first while it is safe, then (after a press of
the arm key) while it waits for a trigger that does not come. Medians over the rounds are judged: at most 8 s, and 5 %
of a core.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paradigms.emulation.fake_keys import KeySender
from stimuli.textures.render import render
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from tests.paradigms.conftest import make_console_study

ROOT = Path(__file__).resolve().parents[1]
TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
MOST_S, MOST_SHARE = 8.0, 0.05


def main() -> None:
    """Print a line a round and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long to look at a state")
    parser.add_argument("--tasks", nargs="+", default=["main", "retinotopy"])
    parser.add_argument("--study", type=Path, help="a study to use; default: one is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.study is None:
            layout = make_console_study(Path(folder) / "study", side=227, display={"refresh_hz": 60.0})
            render(layout, load_settings(layout.root))
        else:
            layout = Layout(options.study)
        good = [judge(layout, task, options) for task in options.tasks].count(False) == 0
    sys.exit(0 if good else 1)


def judge(layout: Layout, task: str, options: argparse.Namespace) -> bool:
    """Measure a paradigm's start in some rounds."""
    rounds = []
    for k in range(options.rounds):
        rounds.append(measure(layout, task, seconds=options.seconds))
        print(f"{task} {k + 1}: " + ", ".join(f"{name} {value:.3g}" for name, value in rounds[-1].items()), flush=True)
    median = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    good = median["to SAFE, s"] <= MOST_S and max(median["safe, share"], median["waiting, share"]) <= MOST_SHARE
    said = ", ".join(f"{name} {value:.3g}" for name, value in median.items())
    print(f"{task} median of {options.rounds}: {said}: {'holds' if good else 'FAILED'}", flush=True)
    return good


def measure(layout: Layout, task: str, *, seconds: float) -> dict[str, float]:
    """Start one run, look at it in both states, end it."""
    journals = set(layout.root.rglob("*_journal.jsonl"))
    began = time.monotonic()
    run = subprocess.Popen(
        [sys.executable, "run_session.py", "run", "--study", str(layout.root), "--sub", "01", "--ses", "01", "--task",
         task, "--run", "1", "--scanner", "keyboard", "--display", "xvfb", "--windowed", "--repeat"],
        cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        journal, records = None, []
        while not any(one["kind"] == "safe" for one in records):
            time.sleep(0.02)
            if run.poll() is not None:
                raise SystemExit(f"the run ended with {run.returncode}")
            journal = journal or next(iter(set(layout.root.rglob("*_journal.jsonl")) - journals), None)
            records = _records(journal)
        found = {"to SAFE, s": next(one for one in records if one["kind"] == "safe")["t"] - began}
        found["processor to SAFE, s"] = _ticks(run.pid) * TICK_S
        found["safe, share"] = _share(run.pid, seconds)
        where = next(one for one in records if one["kind"] == "devices")["where"]
        sender = KeySender(where.split()[2])
        sender.tap("space")
        sender.close()
        time.sleep(0.5)
        assert any(one["kind"] == "armed" for one in _records(journal)), "it was not armed"
        found["waiting, share"] = _share(run.pid, seconds)
        status = Path(f"/proc/{run.pid}/status").read_text()
        found["memory, MB"] = int(status.split("VmRSS:")[1].split()[0]) / 1024
        return found
    finally:
        os.killpg(run.pid, signal.SIGTERM)
        run.wait()


def _records(journal: Path | None) -> list[dict[str, object]]:
    if journal is None:
        return []
    return [json.loads(line) for line in journal.read_bytes().split(b"\n")[:-1]]


def _share(pid: int, seconds: float) -> float:
    """Give the share of a core that a process uses, all its threads together."""
    before, start = _ticks(pid), time.monotonic()
    time.sleep(seconds)
    return (_ticks(pid) - before) * TICK_S / (time.monotonic() - start)


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    main()
