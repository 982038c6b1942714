"""Ten trials at real pace in a real window (Xvfb without a display): onsets, pulses and presses.

PYTHONPATH=. .venv/bin/python benchmarks/window_timing.py [--trials 10]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from paradigms.playing.excerpt import play_excerpt
from paradigms.runlog import of_kind, read_journal
from subjects.settings.loading import load_settings
from tests.paradigms.conftest import make_console_study


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        layout = make_console_study(Path(folder) / "study", side=227)
        report = play_excerpt(layout, load_settings(layout.root), sub="01", n_trials=options.trials)
        flips = [flip for flip in of_kind(read_journal(report.journal), "flip") if flip["what"] in ("on", "off")]
        errors = 1e3 * np.array([flip["t"] - flip["planned"] for flip in flips])
        slope = np.polyfit([flip["planned"] for flip in flips], errors, 1)[0]
        print(report.summary())
        print(f"all changes: {len(errors)}, error median {np.median(errors):.2f} ms, "
              f"worst {np.abs(errors).max():.2f} ms, within one 60 Hz frame "
              f"{100 * np.mean(np.abs(errors) < 1000 / 60):.0f} %, drift {slope:.4f} ms/s")


if __name__ == "__main__":
    main()
