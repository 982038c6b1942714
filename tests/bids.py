"""The official BIDS validator, asked about a study."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def bids_report(root: Path) -> dict[str, Any]:
    """Run the validator; skip where it is not installed."""
    tool = Path(sys.executable).parent / "bids-validator-deno"
    if not tool.exists():
        pytest.skip("bids-validator-deno is not installed beside this Python")
    env = {**os.environ, "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([str(tool), str(root), "--format", "json"], capture_output=True, text=True, check=False,
                          env=env)
    return dict(json.loads(done.stdout))


def bids_errors(root: Path) -> list[dict[str, Any]]:
    """List what the validator calls errors."""
    return [one for one in bids_report(root)["issues"]["issues"] if one["severity"] == "error"]
