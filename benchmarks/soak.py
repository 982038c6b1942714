"""Ten minutes of a run in a window while 120 keys a second come: what is lost, and how memory grows.

PYTHONPATH=. .venv/bin/python benchmarks/soak.py [--seconds 600] [--rate 120]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from benchmarks.paradigm_windows import opened_with
from paradigms.emulation.fake_keys import KeySender, Tap
from paradigms.playing.play_run import play_run
from paradigms.playing.run_devices import Devices
from paradigms.runlog import of_kind, read_journal
from subjects.run_key import RunKey
from subjects.settings.loading import load_settings
from tests.paradigms.conftest import make_console_study

KEYS = ("5", "3", "5", "4")
HOLD_S = 0.002
GUARD_S = 6.0


def main() -> None:
    """Play, press, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=120.0)
    options = parser.parse_args()
    logging.getLogger("paradigms").setLevel(logging.CRITICAL)  # sixty pulses a second are off the grid, by intent
    sent: Counter[str] = Counter()
    memory: list[tuple[float, float]] = []
    scanners: list[Tap] = []

    @contextmanager
    def with_load(devices: Devices) -> Iterator[Devices]:
        threading.Timer(GUARD_S, press, (options.seconds - 2 * GUARD_S,), {"rate": options.rate, "sent": sent}).start()
        threading.Thread(target=watch_memory, args=(memory,), daemon=True).start()
        yield devices
        scanners.extend(tap for tap in devices.display.emulated.sent if tap.key == "5")  # type: ignore[attr-defined]

    changes = {"main": {"lead_out_s": max(20.0, options.seconds - 536.0)}, "display": {"refresh_hz": 60.0},
               "emulated_scanner": {"stop_after": 1}}  # two presses of one key at a time would be one press
    with tempfile.TemporaryDirectory() as folder, opened_with(with_load):
        layout = make_console_study(Path(folder) / "study", side=227, **changes)
        outcome = play_run(layout, load_settings(layout.root), key=RunKey("01", "01", "main", 1),
                           scanner="emulated", display="xvfb", fullscreen=False, until_s=options.seconds)
        path = next((layout.root / "sourcedata" / "excerpts").glob("*_journal.jsonl"))
        records, size = read_journal(path), path.stat().st_size
    heard = Counter(one["key"] for one in of_kind(records, "press"))
    triggers, presses = sent["5"] + len(scanners), sent["3"] + sent["4"]
    lost_triggers = triggers - len(of_kind(records, "pulse")) - len(of_kind(records, "stray"))
    lost_presses = presses - heard["3"] - heard["4"]
    grown, at_s = np.array(memory)[:, 1], np.array(memory)[:, 0]
    settled = at_s > 0.2 * at_s[-1]
    slope = float(np.polyfit(at_s[settled], grown[settled], 1)[0]) * 60.0
    print(f"{options.seconds:.0f} s in a window; keys of {1e3 * HOLD_S:g} ms, "
          f"{sum(sent.values()) / (options.seconds - 2 * GUARD_S):.0f} a second: lost {lost_triggers} of {triggers} "
          f"triggers, {lost_presses} of {presses} presses")
    print(f"memory {grown[settled][0]:.0f} MiB after a fifth of it, {grown[-1]:.0f} MiB at the end, {slope:+.2f} MiB a "
          f"minute; journal {len(records)} lines, {size / 2 ** 20:.1f} MiB")
    errors = np.abs(outcome.onset_errors_s)
    print(f"images on time meanwhile: median {1e3 * np.median(errors):.2f} ms, worst {1e3 * errors.max():.2f} ms")
    sys.exit(0 if outcome.complete and not lost_triggers and not lost_presses else 1)


def press(seconds: float, *, rate: float, sent: Counter[str]) -> None:
    """Press keys in turn, on a grid of times; count each."""
    sender, start = KeySender(os.environ["DISPLAY"]), time.monotonic()
    for k in range(round(seconds * rate)):
        time.sleep(max(0.0, start + k / rate - time.monotonic()))
        key = KEYS[k % len(KEYS)]
        sender.tap(key, hold_s=HOLD_S)
        sent[key] += 1
    sender.close()


def watch_memory(memory: list[tuple[float, float]]) -> None:
    """Note this process's resident memory every two seconds."""
    start, process = time.monotonic(), psutil.Process()
    while True:
        memory.append((time.monotonic() - start, process.memory_info().rss / 2 ** 20))
        time.sleep(2.0)


if __name__ == "__main__":
    main()
