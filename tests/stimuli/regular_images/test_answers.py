"""Top-1 and top-5 beside what is published: counted as by hand, warned by the binomial, shown by a real network."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from stimuli.networks.published import Published, find_published
from stimuli.networks.registry import TorchNetwork, load_network
from stimuli.regular_images.answers import FAR, Answers, count_answers
from stimuli.regular_images.candidate_report import report_path
from stimuli.regular_images.candidates import Candidate
from stimuli.regular_images.screening import Screened
from subjects.dataset import init_study
from subjects.layout import Layout
from subjects.provenance import sidecar_path
from subjects.store import read_json
from tests.stimuli.folders import class_folders, photo_study

Command = Callable[..., tuple[int, str, str]]
HALF = Published(0.5, 0.75, "a test")


def _row(rank: int | None) -> Screened:
    return Screened(Candidate("a.jpg", "", "beagle", "dogs", 0), rank=rank, rule="" if rank else "size")


def test_answers_are_counted_over_those_that_were_asked() -> None:
    found = count_answers([_row(rank) for rank in (1, 1, 2, 5, 6, None, 900)], published=HALF)
    assert (found.n, found.n_top1, found.n_top5) == (6, 2, 4)
    assert (found.top1, found.top5) == (pytest.approx(2 / 6), pytest.approx(4 / 6))


def _tail(k: int, n: int, p: float) -> float:
    """P(X <= k), summed term by term."""
    return sum(math.comb(n, i) * p**i * (1 - p)**(n - i) for i in range(k + 1))


@pytest.mark.parametrize("n", [5, 20, 123])
def test_far_below_is_what_a_network_not_so_bad_would_hardly_do(n: int) -> None:
    for k in range(n + 1):
        assert Answers(n, k, n, HALF).far_below == (_tail(k, n, 0.5 - FAR) < 0.01)
    assert not Answers(n, n // 2, n, HALF).far_below


def test_without_a_published_figure_or_without_answers_nothing_is_far() -> None:
    assert not Answers(100, 0, 0).far_below
    assert not Answers(0, 0, 0, HALF).far_below
    assert Answers(0, 0, 0, HALF).record()["top1"] is None
    assert "nothing is published" in Answers(10, 1, 1).line()


def test_published_figures_have_their_source() -> None:
    known = {name: find_published(SimpleNamespace(name=name))  # type: ignore[arg-type]
             for name in ("alexnet-caffe", "alexnet-torchvision", "resnet50", "own", "demo")}
    figures = {name: None if one is None else (one.top1, one.top5) for name, one in known.items()}
    assert figures["alexnet-caffe"] == (0.571, 0.802)
    assert figures["alexnet-torchvision"] == (0.56522, 0.79066)
    assert figures["own"] is None
    assert figures["demo"] is not None
    assert figures["demo"][0] > 0.9
    assert "IMAGENET1K_V2 weights of resnet50" in known["resnet50"].source  # type: ignore[union-attr]


def test_a_study_says_what_the_network_takes_its_photographs_for(tiny: TorchNetwork, tmp_path: Path, command: Command,
                                                                 monkeypatch: pytest.MonkeyPatch,
                                                                 caplog: pytest.LogCaptureFixture) -> None:
    study = photo_study(tmp_path / "study", class_folders(tmp_path / "photographs"))
    status, said, _ = command("candidates", "--study", study.layout.root, "--json")
    answers = json.loads(said)["answers"]
    table = pd.read_csv(report_path(study.layout), sep="\t", na_values=["n/a"], keep_default_na=False)
    asked = table[table["P"].notna()]
    assert answers["n_asked"] == len(asked) > 0
    assert answers["top1"] == pytest.approx((asked["top"] == asked["category"]).mean())
    assert answers["published"] is None
    assert read_json(sidecar_path(report_path(study.layout)))["answers"] == answers
    monkeypatch.setattr("stimuli.regular_images.candidate_report.find_published", lambda _: Published(1.0, 1.0, "x"))
    monkeypatch.setattr("stimuli.regular_images.answers.FAR", 0.0)
    assert not caplog.records
    status, said, _ = command("candidates", "--study", study.layout.root)
    assert "published 100.0 and 100.0 % (x)" in " ".join(said.split())
    assert "is the preprocessing that of the weights" in caplog.text
    assert status == 0


def _photographs(folder: Path, shared_data: Path, *, n: int) -> Path:
    """A table of every so many of the sample's photographs."""
    rows = pd.read_csv(shared_data / "imagenet-sample" / "labels.tsv", sep="\t")
    table = folder / "labels.tsv"
    rows.iloc[::max(1, len(rows) // n)].to_csv(table, sep="\t", index=False)
    return table


@pytest.mark.slow
@pytest.mark.parametrize(("preprocessing", "far"), [("caffe-227", False), ("torchvision", True)])
def test_squeezenet_under_the_wrong_preprocessing_is_noticed(preprocessing: str, far: bool, shared_data: Path,
                                                             tmp_path: Path, command: Command,
                                                             caplog: pytest.LogCaptureFixture) -> None:
    layout = init_study(Layout(tmp_path / "study"), name="real", seed=1)
    status, said, _ = command(
        "candidates", "--study", layout.root, "--images", shared_data / "imagenet-sample", "--json",
        "--labels", _photographs(tmp_path, shared_data, n=40), "--network", "squeezenet1_0",
        "--weights", shared_data / "squeezenet1_0_imagenet.safetensors", "--preprocessing", preprocessing)
    answers = json.loads(said)["answers"]
    assert status == 1
    assert answers["published"]["top1"] == 0.58092
    assert answers["far_below"] == far
    assert (answers["top1"] < 0.1) == far
    assert ("is the preprocessing that of the weights" in caplog.text) == far


def test_the_demo_networks_own_drawings_are_not_far() -> None:
    published = find_published(load_network("demo"))
    assert published is not None
    assert not Answers(40, 39, 40, published).far_below
