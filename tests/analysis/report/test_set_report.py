"""The report of a set alone: no subject, what is missing made by the commands that make it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from analysis.__main__ import cli
from analysis.report.of_set import set_files
from analysis.steps import SET_REPORT
from stimuli.feature_store import open_store
from stimuli.image_set.exports.feature_writer import write_store
from stimuli.manifest import TYPES, read_manifest
from subjects.errors import AnalysisError
from subjects.layout import Layout
from subjects.settings.loading import load_settings
from tests.analysis.finished_study import add_second_network, finish_study
from tests.analysis.paper_tables import LAYERS
from tests.analysis.report.test_report import Page
from tests.analysis.running_steps import run


@pytest.fixture
def study(tmp_path: Path) -> Layout:
    """A study with a set and its features, in which nobody was scanned."""
    layout = finish_study(tmp_path / "study", subjects=())
    shutil.rmtree(layout.derivatives("rsa"))
    return layout


def verdict(layout: Layout, *, failures: tuple[str, ...] = (), also: tuple[str, ...] = ()) -> dict[str, Any]:
    """What ``check --json`` says."""
    images = [{"file": one.file, "type": one.type, "p": one.p_after, "contrast": one.contrast_rms, "failures": []}
              for one in read_manifest(layout.manifest).stimuli]
    rows = [{"type": kind, "n": 9, "n_incomparable": 1, "top1_intended": 0.5, "p_intended": 0.25, "p_original": 0.125}
            for kind in TYPES]
    return {"ok": not failures, "images": images, "set_failures": list(failures),
            "transfers": [{"network": name, "rows": rows} for name in also]}


class Commands:
    """Stands for the processes of ``stimuli``; says which were asked for."""

    def __init__(self, layout: Layout, *, failures: tuple[str, ...] = (), refuse: str = "") -> None:
        self.layout, self.failures, self.refuse, self.asked = layout, failures, refuse, list[list[str]]()

    def __call__(self, words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.asked.append(words[3:])
        if self.refuse and self.refuse in words:
            return subprocess.CompletedProcess(words, 2, "", "error: no weights of it")
        if words[3] == "sheet":
            Image.new("RGB", (40, 20)).save(words[words.index("--out") + 1])
        if words[3] == "features":
            name, own = words[words.index("--network") + 1], open_store(self.layout.features("demo"))
            write_store(self.layout.features(name), {layer: own.read(layer) for layer in own.layers}, network=name,
                        network_digest="f" * 16, tap="none", layers=own.layers, image_ids=list(own.image_ids))
        also = tuple(words[k + 1] for k, word in enumerate(words) if word == "--also")
        said = json.dumps(verdict(self.layout, failures=self.failures, also=also)) if words[3] == "check" else ""
        return subprocess.CompletedProcess(words, int(bool(said and self.failures)), said, "")


def make(layout: Layout, monkeypatch: pytest.MonkeyPatch, *, others: tuple[str, ...] = (),
         hardware: tuple[str, ...] = (), **how: Any) -> tuple[Page, Commands]:
    commands = Commands(layout, **how)
    monkeypatch.setattr(set_files.subprocess, "run", commands)
    done = run(SET_REPORT.name, layout, load_settings(layout.root), others=others, hardware=hardware)
    return Page(done.works[0].outputs[0].read_text(encoding="utf-8")), commands


def test_a_set_has_a_report_before_anyone_is_scanned(study: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    page, commands = make(study, monkeypatch)
    assert [words[0] for words in commands.asked] == ["check", "sheet"]
    assert page.open == []
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert {row[0]: row[3] for row in page.rows if row and row[0] in ("N1", "N2", "N3")} == \
        dict.fromkeys(("N1", "N2", "N3"), "demo")
    for name in ("RE", "AN", "AI"):
        assert any(row[:2] == [name, "10 of 10"] for row in page.rows)
    assert {"pixels", "Gabor"} <= {row[0] for row in page.rows}
    assert [image["alt"] for image in page.images] == [
        "RE-AI and RE-AN similarities in the network “demo”", "Low-level properties by type",
        "Regular and adversarial images", "Contact sheet"]
    assert not study.report.exists(), "the full report has its own place"


def test_a_set_of_two_networks_is_about_both(study: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims, figures and pixels of each; the second is no other network that is asked about the images."""
    layout = add_second_network(study)
    ids, rng = [one.image_id for one in read_manifest(layout.manifest).stimuli], np.random.default_rng(0)
    write_store(layout.features("demo"), {name: rng.normal(size=(len(ids), 4)) for name in LAYERS}, network="demo",
                network_digest="0123456789abcdef", tap="none", layers=LAYERS, image_ids=ids)
    page, commands = make(layout, monkeypatch, others=("other",))
    assert [words[0] for words in commands.asked] == ["features", "check", "sheet"]
    assert commands.asked[0][-2:] == ["--network", "other"]
    assert "--also" not in commands.asked[1]
    assert "made with networks “demo” and “other”" in " ".join(page.text.split())
    for name in ("N1", "N2", "N3"):
        assert [row[3] for row in page.rows if row and row[0] == name] == ["demo", "other"]
    assert [row[0] for row in page.rows if row and row[0].startswith(("pixels", "Gabor"))] == [
        "pixels, demo", "Gabor, demo", "pixels, other", "Gabor, other"]
    assert [image["alt"] for image in page.images[:2]] == [
        f"RE-AI and RE-AN similarities in the network “{name}”" for name in ("demo", "other")]
    assert "10 RE, and 20 AN and 20 AI of demo and other together" in " ".join(page.text.split())


def test_other_networks_are_compared_on_the_same_set(study: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    page, commands = make(study, monkeypatch, others=("other", "demo", "other"))
    assert [words[0] for words in commands.asked] == ["features", "check", "sheet"]
    assert commands.asked[0][-2:] == ["--network", "other"]
    assert [row[3] for row in page.rows if row and row[0] == "N1"] == ["demo", "other"]
    assert any(row[:4] == ["other", "AN", "9 of 10", "50 %"] for row in page.rows)
    kept = json.loads((study.derivatives("report") / "set" / "scorecard.json").read_text(encoding="utf-8"))
    assert {name: [line["id"] for line in lines] for name, lines in kept.items()} == \
        {"demo": ["N1", "N2", "N3"], "other": ["N1", "N2", "N3"]}


def test_the_device_is_handed_to_every_command_that_asks_a_network(study: Layout,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    _, commands = make(study, monkeypatch, others=("other",), hardware=("--device", "cuda", "--threads", "2"))
    assert {words[0]: "--device cuda --threads 2" in " ".join(words) for words in commands.asked} == \
        {"features": True, "check": True, "sheet": False}


def test_a_network_that_cannot_be_asked_is_named_on_the_page(study: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    make(study, monkeypatch, others=("other",))
    page, _ = make(study, monkeypatch, others=("other",), refuse="--also")
    assert "Other networks were not asked about the images: it ended with 2: error: no weights of it" in page.text


def test_a_set_that_fails_its_check_says_so_first(study: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    page, _ = make(study, monkeypatch, failures=("two images are near duplicates",))
    assert "The set does not pass its check: two images are near duplicates" in page.text
    assert page.text.index("does not pass") < page.text.index("Claims about")


def test_a_command_that_fails_is_named_with_what_it_said(study: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnalysisError, match=r"stimuli check .* it ended with 2: error: no weights of it"):
        make(study, monkeypatch, refuse="check")
    assert not (study.derivatives("report") / "set" / "report.html").exists()


@pytest.mark.parametrize(("words", "said"), [
    (["--network-only", "--sub", "01"], "--network-only is about no subject"),
    (["--network", "a", "--network", "b"], "several networks are compared with --network-only"),
    (["--device", "cuda"], "--device belongs to --network-only"),
])
def test_options_that_do_not_go_together_are_refused(study: Layout, words: list[str], said: str) -> None:
    done = CliRunner().invoke(cli, ["report", "--study", str(study.root), *words])
    assert done.exit_code == 2
    assert said in done.output
