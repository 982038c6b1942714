"""A whole study in miniature: 10 base images, 2 sessions x 2 runs, one virtual subject, no window."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from analysis.statistics.readings import split_readings
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.run_key import RunKey
from subjects.store import read_table
from tests.bids import bids_errors

ROOT = Path(__file__).resolve().parents[1]
SMALL = {
    "stimuli": {"per_class": 2},
    "main": {"runs": 2},
    "prf": {"vertices": "regions", "max_vertices": 60},
    "roi": {"vertices_per_hemisphere": 40},
    "simulate": {"subdivisions": 1},
    "rsa": {"n_permutations": 100, "n_bootstraps": 100},
    "encoding": {"candidates": [1, 2], "folds": 5, "n_permutations": 50, "n_subsamples": 50},
}
N_IMAGES = 30


def _session(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "run_session.py", *arguments], cwd=ROOT, capture_output=True, text=True,
                          check=False)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, str]:
    layout = init_study(Layout(tmp_path_factory.mktemp("rehearsal") / "study"), name="mini", seed=3, changes=SMALL)
    done = _session("rehearse", "--study", str(layout.root), "--subjects", "1", "--no-window")
    assert done.returncode == 0, done.stderr
    return layout, done.stdout


def test_the_last_line_names_the_report(rehearsed: tuple[Layout, str]) -> None:
    layout, said = rehearsed
    assert said.strip().splitlines()[-1] == f"report: {layout.report}"
    assert layout.report.stat().st_size > 100_000


def test_identities_run_from_pixels_to_betas(rehearsed: tuple[Layout, str]) -> None:
    from analysis.glm.betas import load_betas
    from stimuli.feature_store import open_store
    from stimuli.manifest import image_id_of, read_manifest, read_pixels

    layout, _ = rehearsed
    manifest = read_manifest(layout.manifest)
    ids = {one.image_id for one in manifest.stimuli}
    assert len(ids) == N_IMAGES
    assert {image_id_of(read_pixels(layout.stimuli, one)) for one in manifest.stimuli} == ids
    assert set(open_store(layout.features("demo")).image_ids) == ids
    shown = pd.concat([read_table(path) for path in layout.root.glob("sub-01/ses-*/func/*_task-main_*_events.tsv")])
    assert set(shown["image_id"].dropna()) == ids
    for hemi in ("L", "R"):
        betas = load_betas(layout.derivative("glm", sub="01", hemi=hemi, suffix="betas.h5"))
        assert set(betas.conditions["image_id"]) - {""} == ids


def test_every_run_is_whole(rehearsed: tuple[Layout, str]) -> None:
    layout, _ = rehearsed
    runs = layout.find_runs("01", "main")
    assert runs == tuple(RunKey("01", ses, "main", run) for ses in ("01", "02") for run in (1, 2))
    seen: list[str] = []
    for key in runs:
        events = read_table(layout.events(key))
        images = events[events["trial_type"] != "blank"]
        assert (events["trial_type"] == "blank").sum() == 9
        assert set(images["image_id"].value_counts()) == {2}
        assert len(images) == N_IMAGES
        seen.append(" ".join(images["image_id"]))
    assert len(set(seen)) == len(runs)


def test_the_tables_hold_every_place(rehearsed: tuple[Layout, str]) -> None:
    layout, _ = rehearsed
    brain = read_table(layout.derivative("rsa", sub="01", suffix="rsa.tsv"))
    assert set(brain["place"]) == {"V1", "V2", "V3", "V4", "LO"}
    assert set(brain["comparison"]) == {"RE-AN", "RE-AI", "RE-AI minus RE-AN"}
    encoding = read_table(layout.derivative("encoding", sub="01", suffix="encoding.tsv"))
    readings = split_readings(encoding, column="layer")
    assert list(readings) == ["softmax", "logits"]
    for table in readings.values():
        assert len(table[table["type"] == "AI"]) == len(table[table["type"] == "RE"]) == 40
    assert encoding["p"].between(0, 1).all()


def test_a_second_rehearsal_reuses_what_is_there(rehearsed: tuple[Layout, str]) -> None:
    layout, _ = rehearsed
    kept = {path: path.stat().st_mtime_ns for path in layout.root.rglob("*")
            if path.is_file() and "report" not in path.parts}
    done = _session("rehearse", "--study", str(layout.root), "--subjects", "1", "--no-window")
    assert done.returncode == 0, done.stderr
    for step in ("stimulus set", "features", "scans", "virtual BOLD", "GLM", "pRF", "RSA", "encoding"):
        assert re.search(rf"{step} .*reused", done.stdout), step
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_the_study_is_valid_bids(rehearsed: tuple[Layout, str]) -> None:
    layout, _ = rehearsed
    assert bids_errors(layout.root) == []


def test_another_seed_is_refused(rehearsed: tuple[Layout, str]) -> None:
    layout, _ = rehearsed
    done = _session("rehearse", "--study", str(layout.root), "--seed", "4", "--no-window")
    assert done.returncode == 2
    assert "a study of seed 3; expected seed 4" in done.stderr


def test_a_run_that_exists_is_refused(rehearsed: tuple[Layout, str]) -> None:
    layout, _ = rehearsed
    before = sorted(path.name for path in layout.root.rglob("*"))
    done = _session("run", "--study", str(layout.root), "--sub", "01", "--ses", "01", "--run", "1",
                    "--scanner", "emulated", "--display", "virtual")
    assert done.returncode == 2
    assert "--repeat" in done.stderr
    assert sorted(path.name for path in layout.root.rglob("*")) == before


def test_a_changed_pixel_stops_the_console(rehearsed: tuple[Layout, str], tmp_path: Path) -> None:
    from PIL import Image

    layout, _ = rehearsed
    copy = tmp_path / "study"
    shutil.copytree(layout.root, copy, ignore=shutil.ignore_patterns("derivatives", "*journal*", "func"))
    path = sorted((copy / "stimuli").rglob("*_AN.png"))[0]
    image = Image.open(path).convert("RGB")
    pixel = image.getpixel((5, 5))
    image.putpixel((5, 5), ((pixel[0] + 1) % 256, pixel[1], pixel[2]))
    image.save(path)
    for session in ("01", "02"):
        before = sorted(copy.glob("sub-*/**/*_events.tsv"))
        done = subprocess.run([sys.executable, "run_session.py", "run", "--sub", "01", "--ses", session, "--run", "1",
                               "--scanner", "emulated", "--display", "virtual", "--study", str(copy)], cwd=ROOT,
                              capture_output=True, text=True, check=False)
        if done.returncode == 2:
            assert path.name in done.stderr
            assert sorted(copy.glob("sub-*/**/*_events.tsv")) == before
            return
    pytest.fail("neither session noticed the changed pixel")


def _snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


COMMANDS = {
    "run": ["run_session.py", "run", "--sub", "01", "--ses", "01", "--run", "1", "--scanner", "emulated", "--display",
            "virtual", "--repeat"],
    "rehearse": ["run_session.py", "rehearse", "--no-window", "--subjects", "1"],
    "add": ["-m", "subjects", "add", "--sub", "07"],
    "build": ["-m", "stimuli", "build", "--network", "demo"],
    "glm": ["-m", "analysis", "glm", "--sub", "01"],
    "report": ["-m", "analysis", "report"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_setting_stops_every_command(study: Layout, name: str) -> None:
    text = study.settings_file.read_text(encoding="utf-8")
    study.settings_file.write_text(text.replace("[rsa]\n", "[rsa]\nn_permutation = 10\n", 1), encoding="utf-8")
    before = _snapshot(study.root)
    done = subprocess.run([sys.executable, *COMMANDS[name], "--study", str(study.root)], cwd=ROOT, check=False,
                          capture_output=True, text=True)
    assert done.returncode == 2
    assert "rsa.n_permutation" in done.stderr
    assert "rsa.n_permutations" in done.stderr
    assert _snapshot(study.root) == before


@pytest.mark.parametrize("name", ["run", "rehearse", "add"])
def test_a_study_without_permission_is_left_as_it_was(rehearsed: tuple[Layout, str], tmp_path: Path, name: str) -> None:
    """Root may write anywhere unless its process gives that right away."""
    powerless = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root without setpriv cannot give away its right to write anywhere")
        powerless = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    copy = tmp_path / "study"
    shutil.copytree(rehearsed[0].root, copy, ignore=shutil.ignore_patterns("derivatives"))
    folders = [copy, *(path for path in copy.rglob("*") if path.is_dir())]
    before = _snapshot(copy)
    for folder in folders:
        folder.chmod(0o555)
    try:
        done = subprocess.run([*powerless, sys.executable, *COMMANDS[name], "--study", str(copy)], cwd=ROOT,
                              capture_output=True, text=True, check=False)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert len(re.findall("Permission denied|without permission", done.stderr)) == 1
    assert _snapshot(copy) == before


@pytest.mark.parametrize(("display", "said"), [
    ("window", "window: no X display (DISPLAY is not set); expected the X server of the subject's screen."),
    ("xvfb", "display: no Xvfb; expected the program Xvfb on the PATH."),
])
def test_without_a_display_nothing_is_started_in_its_place_and_nothing_written(
        rehearsed: tuple[Layout, str], tmp_path: Path, display: str, said: str) -> None:
    layout, _ = rehearsed
    before = _snapshot(layout.root)
    named = ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION")
    env = {key: value for key, value in os.environ.items() if key not in named}
    done = subprocess.run([sys.executable, "run_session.py", "run", "--study", str(layout.root), "--sub", "01", "--ses",
                           "01", "--run", "1", "--scanner", "emulated", "--display", display, "--repeat"], cwd=ROOT,
                          capture_output=True, text=True, check=False, env={**env, "PATH": str(tmp_path)})
    assert done.returncode == 2
    assert said in done.stderr
    assert _snapshot(layout.root) == before


@pytest.mark.parametrize(("flag", "value"), [("--scanner", "siemens"), ("--display", "projector")])
def test_a_wrong_device_name_is_an_error(study: Layout, flag: str, value: str) -> None:
    chosen = {"--scanner": "emulated", "--display": "virtual", flag: value}
    pairs = [part for pair in chosen.items() for part in pair]
    done = _session("run", "--study", str(study.root), "--sub", "01", "--ses", "01", "--run", "1", *pairs)
    assert done.returncode == 2
    assert value in done.stderr
