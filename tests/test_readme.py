"""README's commands, all of them, in its order, in a folder that holds nothing but the program."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stimuli.feature_store import open_store
from stimuli.manifest import read_manifest
from subjects.layout import Layout
from subjects.store import read_table
from tests.network_files import undecided_blobs, write_photographs
from tests.stimuli.weight_files import write_caffemodel

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ("subjects", "stimuli", "paradigms", "analysis", "run_session.py")
SMALL = """
[study]
name = "alexnet"
seed = 20210

[stimuli]
per_class = 2
an_min_contrast = 2.0
an_contrast_tolerance = 50.0
class_lists = "wide"
re_p = 1e-12
an_p = 0.9
ai_p = 0.9
an_ceiling_p = 0.9999

[rsa]
n_permutations = 50
n_bootstraps = 50
"""


def commands(readme: str) -> list[str]:
    """Collect the lines of README's ``sh`` blocks, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, flags=re.M | re.S)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


LINES = commands((ROOT / "README.md").read_text(encoding="utf-8"))
ALEXNET = [line for line in LINES if "alexnet-study" in line]
DEMO = [line for line in LINES if "alexnet-study" not in line]


def _folder(path: Path) -> Path:
    path.mkdir()
    for name in PROGRAM:
        (path / name).symlink_to(ROOT / name)
    return path


def _play(line: str, folder: Path) -> str:
    words = line.split()
    assert words[0] == "python"
    environment = {**os.environ, "PYTHONPATH": "", "COLUMNS": "80"}
    done = subprocess.run([sys.executable, *words[1:]], cwd=folder, env=environment, capture_output=True, text=True,
                          check=False, timeout=900)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


def test_the_commands_are_found() -> None:
    assert len(DEMO) >= 16
    assert len(ALEXNET) >= 5
    assert all(line.startswith("python ") for line in LINES)


def test_a_command_is_read_without_its_comment() -> None:
    assert commands("x\n```sh\npython -m a --b c   # why\n\n```\n```console\nmake demo\n```\n") == ["python -m a --b c"]


def test_every_page_that_readme_names_is_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(named) >= 12
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_readme_is_read_in_two_minutes() -> None:
    words = re.findall(r"\w+", re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S))
    assert len(words) < 550


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_demo_study_from_images_to_report(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "empty")
    for line in DEMO:
        _play(line, folder)
    layout = Layout(folder / "my-study")
    assert len(read_manifest(layout.manifest)) == 120
    assert len(layout.find_runs("01", "main")) == 10
    assert layout.report.stat().st_size > 100_000
    claims = json.loads(layout.report.with_name("scorecard.json").read_text(encoding="utf-8"))
    assert {"N1", "N2", "N3", "B1", "E1"} <= {claim["id"] for claim in claims}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_set_made_with_alexnet_keeps_alexnet(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "empty")
    write_caffemodel(folder / "bvlc_alexnet.caffemodel", undecided_blobs())
    write_photographs(folder / "photographs")
    for line in ALEXNET:
        _play(line, folder)
        if " init " in line:
            (folder / "alexnet-study" / "study.toml").write_text(SMALL, encoding="utf-8")
    layout = Layout(folder / "alexnet-study")
    manifest = read_manifest(layout.manifest)
    assert {one.network for one in manifest.stimuli} == {"alexnet-caffe"}
    store = open_store(layout.features("alexnet-caffe"))
    assert set(store.image_ids) == {one.image_id for one in manifest.stimuli}
    (table,) = layout.derivatives("rsa").glob("network-alexnetcaffe_rsa.tsv")
    assert set(read_table(table)["place"]) >= {f"layer{k}" for k in range(1, 9)}
