"""A tracker that a study's own settings name runs only with consent on this computer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from subjects.layout import Layout
from tests.paradigms.conftest import MAIN_ALONE, make_console_study

ROOT = Path(__file__).resolve().parents[3]
TRACKER = "own_tracker:make"
MODULE = """\
from pathlib import Path
from paradigms.devices.tracker import RecordingTracker

Path(__file__).with_name("ran").touch()
make = RecordingTracker
"""


@pytest.fixture
def tracked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Give a study that names a tracker, whose module leaves a mark when it is imported; nobody trusted it here."""
    monkeypatch.setenv("ADVERSARIAL_FMRI_HOME", str(tmp_path / "home"))
    (tmp_path / "own_tracker.py").write_text(MODULE, encoding="utf-8")
    return make_console_study(tmp_path / "study", stimuli={"per_class": 2}, main={"runs": 2, "lead_in_s": 6.0},
                              hooks={"tracker": TRACKER}, **MAIN_ALONE)


def _command(layout: Layout, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    more = {"run": ("--run", "1"), "session": ("--yes",)}.get(verb, ())
    return subprocess.run(
        [sys.executable, "-m", "run_session", verb, "--study", str(layout.root), "--sub", "01", "--ses", "01",
         "--scanner", "emulated", "--display", "virtual", *more, *words], cwd=ROOT, check=False, text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{layout.root.parent}"})


def _files(layout: Layout) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(layout.root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("verb", [
    "run", *(pytest.param(verb, marks=pytest.mark.slow) for verb in ("preflight", "session"))])
def test_a_tracker_of_the_study_is_refused_until_it_is_trusted_here(tracked: Layout, verb: str) -> None:
    mark = tracked.root.parent / "ran"
    before = _files(tracked)
    refused = _command(tracked, verb)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert all(word in refused.stderr for word in ("hooks.tracker", repr(TRACKER), "--trust"))
    assert not mark.exists()
    assert _files(tracked) == before
    trusted = _command(tracked, verb, "--trust")
    assert (trusted.returncode, mark.exists()) == (0, True), trusted.stderr
    mark.unlink()
    again = _command(tracked, "preflight")
    assert (again.returncode in (0, 1), mark.exists()) == (True, True), again.stderr


def test_a_tracker_that_the_site_names_needs_no_more_consent(tracked: Layout) -> None:
    site = tracked.root.parent / "site.toml"
    site.write_text('[hooks]\ntracker = "another_tracker:make"\n', encoding="utf-8")
    assert _command(tracked, "preflight", "--site", str(site)).returncode == 2
    site.write_text(f'[hooks]\ntracker = "{TRACKER}"\n', encoding="utf-8")
    assert _command(tracked, "preflight", "--site", str(site)).returncode == 0
    assert _command(tracked, "preflight").returncode == 2  # without the site's file the study asks alone
