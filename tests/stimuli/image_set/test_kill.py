"""kill -9 at random moments of a build: what it leaves is completed to the same bytes."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from stimuli.image_set.build import build
from stimuli.networks.registry import TorchNetwork
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from tests.stimuli.folders import class_folders, photo_study
from tests.stimuli.tiny import make_study

ROOT = Path(__file__).resolve().parents[3]
SERVER = """
import os, sys
from pathlib import Path
from stimuli.networks import registry as networks
from stimuli.image_set.build import build
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from tests.stimuli.tiny import fit_tiny
network = fit_tiny()
networks.NETWORKS = {**networks.NETWORKS, "tiny": lambda **_: network}
print("ready", flush=True)
for line in sys.stdin:
    root = Path(line.strip())
    pid = os.fork()
    if not pid:
        build(Layout(root), load_settings(root))
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""
MOMENTS = 10

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")]


class Builders:
    """Builds in processes of their own, which can be killed; forked from one that has torch loaded."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server
        assert self._hear() == "ready"

    def _hear(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()

    def build(self, root: Path, *, kill_at: int | None = None, then_s: float = 0.0) -> bool:
        """Build, killed so many seconds after so many files were there; give whether it came to its end."""
        assert self._server.stdin is not None
        self._server.stdin.write(f"{root}\n")
        self._server.stdin.flush()
        pid = int(self._hear())
        if kill_at is not None:
            with suppress(ProcessLookupError):  # it came to its end
                while _count(root) < kill_at:
                    os.kill(pid, 0)
                    time.sleep(0.001)
            time.sleep(then_s)
            with suppress(ProcessLookupError):  # it came to its end
                os.kill(pid, signal.SIGKILL)
        status = int(self._hear())
        assert status in (0, signal.SIGKILL)
        return status == 0


def _count(root: Path) -> int:
    """Count the files under the study's stimuli, while they come and go."""
    with suppress(FileNotFoundError):
        return sum(not path.is_dir() for path in (root / "stimuli").rglob("*"))
    return 0


@pytest.fixture(scope="module")
def builders() -> Iterator[Builders]:
    with subprocess.Popen([sys.executable, "-c", SERVER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}) as server:
        yield Builders(server)
        assert server.stdin is not None
        server.stdin.close()


def _bytes(layout: Layout) -> dict[str, str]:
    return {path.relative_to(layout.stimuli).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(layout.stimuli.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("source", ["drawings", "photographs"])
def test_a_killed_build_is_completed_to_the_same_bytes(builders: Builders, tiny: TorchNetwork, tmp_path: Path,
                                                       source: str) -> None:
    folder = class_folders(tmp_path / "photographs")

    def study(name: str) -> Layout:
        if source == "drawings":
            return make_study(tmp_path / name).layout
        return photo_study(tmp_path / name, folder, mean_image="folder").layout

    whole = study("whole")
    before = _count(whole.root)
    assert builders.build(whole.root)
    wanted = _bytes(whole)
    assert len(wanted) >= 20
    rng, left = np.random.default_rng(19), []
    for k in range(5 * MOMENTS):
        layout = study(f"killed-{k}")
        if builders.build(layout.root, kill_at=int(rng.integers(before, len(wanted) + 1)),
                          then_s=float(rng.uniform(0, 0.03))):
            continue
        left.append(len(_bytes(layout)))
        build(layout, load_settings(layout.root))
        assert _bytes(layout) == wanted
        if len(left) == MOMENTS:
            break
    assert len(left) == MOMENTS
    assert len(set(left)) >= 3, "the moments fell into too few phases"
