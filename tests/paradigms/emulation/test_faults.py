"""The campaign of faults, in small: every kind in virtual time, and the lost display in a window."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="the campaign kills processes and mounts as Linux does")
@pytest.mark.parametrize("words", [
    ("--trials", "39", "--windowed", "0", "--in-turn"),
    pytest.param(("--trials", "0", "--windowed", "1", "--only", "display gone"), marks=pytest.mark.window)])
def test_no_fault_loses_a_record_and_each_is_named(words: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "benchmarks/faults.py", *words], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
