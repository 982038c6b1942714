"""The robustness report: which sets are compared, what comes of the claims, and that no work is done twice."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.report.figures.robustness import draw_robustness
from analysis.report.of_set import set_files
from analysis.report.robustness.claims import CLAIMS, choose_levels, say_conclusions, score_choices
from analysis.rsa.choices import COLUMNS
from analysis.running import run_step
from analysis.statistics.results import read_results
from analysis.steps import SET_REPORT, Request
from stimuli.image_set.exports.feature_writer import write_store
from stimuli.manifest import read_manifest
from subjects.errors import AnalysisError
from subjects.layout import Layout, network_label
from subjects.settings.images import RobustnessSettings, StimuliSettings
from subjects.settings.loading import load_settings
from subjects.settings.study import Settings
from subjects.store import read_json, read_table
from tests.analysis.finished_study import finish_study
from tests.analysis.paper_tables import LAYERS, RE_AI, RE_AN, network_table
from tests.analysis.report.test_report import Page
from tests.analysis.report.test_set_report import Commands
from tests.analysis.running_steps import run

OVERRIDES: Mapping[str, Any] = {"rsa.n_permutations": 60, "rsa.n_bootstraps": 60, "robustness.contrasts": [0.0, 12.0],
                                "robustness.target_seeds": 1, "robustness.target_rules": ["nearest"]}


class Vary:
    """Stands for the process of ``stimuli vary``: responses of its own for every variant, the RE the same at a tap."""

    def __init__(self, layout: Layout, *, cut_after: int | None = None, missed: int = 0) -> None:
        self.layout, self.cut_after, self.missed = layout, cut_after, missed
        self.asked: list[list[str]] = []

    def __call__(self, words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if len(self.asked) == self.cut_after:
            raise KeyboardInterrupt
        self.asked.append(words[3:])
        kind, folder = words[words.index("--type") + 1], Path(words[words.index("--out") + 1])
        manifest = read_manifest(self.layout.manifest)
        rows = [{"base_image": name, "image_id": f"px-{folder.name}-{name}", "target_index": k, "p": 0.9921,
                 "contrast": 12.3, "iterations": 9, "reached": k >= self.missed}
                for k, name in enumerate(reversed(manifest.base_images))]
        ids = [one.image_id for one in manifest.stimuli] if kind == "own" else [row["image_id"] for row in rows]
        taps = [words[k + 1] for k, word in enumerate(words) if word == "--tap"]
        features = [str(self._responses(folder, tap, ids, seed=k + 10 * len(self.asked)))
                    for k, tap in enumerate(taps)]
        said = {"features": features, "images": [] if kind == "own" else rows}
        return subprocess.CompletedProcess(words, 0, json.dumps(said), None)

    def _responses(self, folder: Path, tap: str, ids: list[str], *, seed: int) -> Path:
        rng = np.random.default_rng(seed)
        path = folder / f"features_tap-{network_label(tap)}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = (*LAYERS, "logits")
        return write_store(path, {name: rng.normal(size=(len(ids), 6)) for name in names}, network="demo",
                           network_digest="0" * 16, tap=tap, layers=LAYERS, readings=["logits"], image_ids=ids)


@pytest.fixture
def study(tmp_path: Path) -> Layout:
    return finish_study(tmp_path / "study", subjects=())


def _settings(layout: Layout, **more: Any) -> Settings:
    return load_settings(layout.root, overrides={**OVERRIDES, **more})


def _make(layout: Layout, monkeypatch: pytest.MonkeyPatch, **how: Any) -> tuple[Vary, Page]:
    commands = Vary(layout, **how)
    monkeypatch.setattr(set_files.subprocess, "run", commands)
    done = run("robustness", layout, _settings(layout))
    return commands, Page(done.works[-1].outputs[0].read_text(encoding="utf-8"))


def test_every_choice_is_made_once_and_every_combination_is_scored(study: Layout,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    commands, page = _make(study, monkeypatch)
    asked = [words[words.index("--type") + 1:words.index("--tap")] for words in commands.asked]
    assert asked[:2] == [["own"], ["AN", "--contrast", "0"]]
    assert [words[:2] for words in asked[2:]] == [["AI", "--target-seed"], ["AI", "--target"]]
    table = read_table(study.derivative("robustness", suffix="robustness.tsv"), text_columns=COLUMNS[:6])
    assert {name: len(set(table[name])) for name in COLUMNS[:4]} == {"contrast": 2, "targets": 3, "tap": 2,
                                                                     "reading": 2}
    assert len(table) == 24 * (8 * 3 + 2)
    assert len(read_table(study.derivative("robustness", suffix="claims.tsv"))) == 24
    assert page.open == []
    assert [image["alt"] for image in page.images] == ["N1 to N3 under other choices"]
    assert {"N1", "N2", "N3"} <= {row[0] for row in page.rows if row}
    assert any(row[0] == "AN, first hit" and row[1] == "10 of 10" for row in page.rows if row)
    assert not list(study.derivatives("robustness").rglob("features_*")), "responses are dropped"


def test_the_sets_own_choices_have_the_numbers_of_rsa(study: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same responses given to the step `rsa`: effect and p of every layer, trend and reading are its."""
    _make(study, monkeypatch)
    rng = np.random.default_rng(10)
    manifest = read_manifest(study.manifest)
    ids = [one.image_id for one in manifest.stimuli]
    write_store(study.features("demo"), {name: rng.normal(size=(len(ids), 6)) for name in (*LAYERS, "logits")},
                network="demo", network_digest="0123456789abcdef", tap="none", layers=LAYERS, readings=["logits"],
                image_ids=ids)
    done = run_step("rsa", Request(layout=study, settings=_settings(study), subjects=()))
    own = read_results(next(work for work in done.works if work.sub is None).outputs[0])
    table = read_table(study.derivative("robustness", suffix="robustness.tsv"), text_columns=COLUMNS[:6])
    mine = table[(table["contrast"] == "12") & table["targets"].str.endswith("own") & (table["tap"] == table["tap"][0])]
    for reading, suffix in (("softmax", ""), ("logits", " by logits")):
        for row in mine[mine["reading"] == reading].itertuples():
            place = row.place + (suffix if row.place in ("layer8", "layers") else "")
            other = own[(own["place"] == place) & (own["comparison"] == row.comparison)].iloc[0]
            assert (row.effect, row.p) == pytest.approx((other["effect"], other["p"])), (place, row.comparison)


def test_a_run_that_was_killed_goes_on_where_it_was(study: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        _make(study, monkeypatch, cut_after=2)
    assert not study.derivative("robustness", suffix="robustness.tsv").exists()
    commands, _ = _make(study, monkeypatch)
    assert [words[words.index("--type") + 1] for words in commands.asked] == ["AI", "AI"]
    commands, _ = _make(study, monkeypatch)
    assert commands.asked == []


def test_images_that_are_not_as_the_rules_ask_are_named(study: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    _, page = _make(study, monkeypatch, missed=3)
    assert "AN, first hit: 3 of 10 images are not as the rules ask and are compared as they ended." in page.text
    assert "every image once" not in page.text


def test_a_variant_that_cannot_be_made_is_an_error(study: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_files.subprocess, "run",
                        lambda words, **_: subprocess.CompletedProcess(words, 2, "", None))
    with pytest.raises(AnalysisError, match=r"stimuli vary .* ended with 2: its error is above"):
        run("robustness", study, _settings(study))


def _scored(*, ai: tuple[float, ...] = RE_AI, an: tuple[float, ...] = RE_AN, p_an: float = 0.3,
            **levels: str) -> pd.DataFrame:
    names = {"contrast": "12", "targets": "own", "tap": "after", "reading": "softmax", **levels}
    table = network_table()[["place", "comparison", "effect", "p"]]
    for name, values in (("RE-AI", ai), ("RE-AN", an)):
        table.loc[table["comparison"] == name, "effect"] = values
    first = (table["comparison"] == "RE-AN") & (table["place"] == "layer1")
    return table.assign(**names).assign(p=table["p"].where(~first, p_an))[list(COLUMNS)]


def test_verdicts_are_those_of_the_scorecard() -> None:
    """The paper's numbers hold; RE-AN above null in layer 1 breaks N2 and nothing else."""
    scored = score_choices(pd.concat([_scored(), _scored(contrast="24", p_an=0.001)]))
    assert scored[list(CLAIMS)].to_numpy(dtype=bool).tolist() == [[True, True, True], [True, False, True]]
    assert scored["last RE-AN"].tolist() == [RE_AN[-1], RE_AN[-1]]
    assert say_conclusions(scored) == [
        "N1 holds in all of the 2 combinations: no choice decides it.",
        "N2 holds in 1 of 2 combinations. It hangs on contrast of AN (1 of 1).",
        "N3 holds in all of the 2 combinations: no choice decides it."]


def test_a_network_without_eight_layers_is_not_tested_and_says_so() -> None:
    scored = score_choices(_scored()[lambda table: table["place"] != "layer8"])
    assert scored["N1"].isna().all()
    assert say_conclusions(scored)[0] == "N1 is not tested: it speaks of eight layers."


@pytest.mark.parametrize(("stimuli", "names", "n_made"), [
    ({}, ["each category once, own", "each category once, draw 2", "class to class", "nearest wrong"], 6),
    ({"ai_draw": "class_to_class"}, ["class to class, own", "class to class, draw 2", "nearest wrong"], 5),
    ({"ai_target": "nearest"}, ["nearest wrong, own", "class to class"], 4),
    ({"an_min_contrast": 8.0}, ["each category once, own", "each category once, draw 2", "class to class",
                                "nearest wrong"], 7),
])
def test_the_sets_own_choice_is_among_the_levels_and_never_made_again(stimuli: dict[str, Any], names: list[str],
                                                                     n_made: int) -> None:
    found = choose_levels(RobustnessSettings(target_seeds=1), stimuli=StimuliSettings(**stimuli), seed=1, tap="mine")
    assert [one.name for one in found.of("targets")] == names
    assert len(found.made) == n_made
    assert len({one.label for one in found.variants if one.label != "own"}) == n_made
    assert found.taps[0] == "mine"
    assert found.own["contrast"] == f"{stimuli.get('an_min_contrast', 12.0):g}"


def test_sidecars_say_how_each_variant_was_made(study: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    _make(study, monkeypatch)
    beside = read_json(study.derivative("robustness", suffix="rdms.json", variant="an0"))
    assert beside["parameters"]["options"] == ["--contrast", "0"]
    assert len(beside["Images"]) == 10


def test_the_report_of_the_set_shows_what_is_current_and_names_the_command_otherwise(
        study: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(study)
    monkeypatch.setattr(set_files.subprocess, "run", commands)
    (before,) = run(SET_REPORT.name, study, _settings(study)).works
    assert "python -m analysis robustness" in " ".join(Page(before.outputs[0].read_text("utf-8")).text.split())
    _make(study, monkeypatch)
    monkeypatch.setattr(set_files.subprocess, "run", commands)
    for settings, shown in ((_settings(study), True), (_settings(study, **{"rsa.n_permutations": 61}), False)):
        page = Page(run(SET_REPORT.name, study, settings).works[0].outputs[0].read_text("utf-8"))
        assert ("N1 to N3 under other choices" in [image["alt"] for image in page.images]) == shown
        assert ("N1 holds in" in page.text) == shown


def test_the_figure_shows_the_table_and_counts_what_holds() -> None:
    tables = [_scored(contrast=contrast, p_an=0.001 if contrast == "24" else 0.3, reading=reading)
              for contrast in ("12", "24") for reading in ("softmax", "logits")]
    table = pd.concat(tables, ignore_index=True)
    levels = {"contrast": ["12", "24"], "targets": ["own"], "tap": ["after"], "reading": ["softmax", "logits"]}
    figure = draw_robustness(table, score_choices(table), levels=levels,
                             own={"contrast": "12", "targets": "own", "tap": "after", "reading": "softmax"})
    noise, interference, cells = figure.axes
    drawn = {line.get_label(): line.get_ydata().tolist() for line in noise.lines if line.get_label() in ("12", "24")}
    assert drawn == {"12": list(RE_AN), "24": list(RE_AN)}
    diamonds = [line for line in interference.lines if line.get_marker() == "D"]
    assert {line.get_ydata()[0] for line in diamonds} == {RE_AI[-1], RE_AN[-1]}
    said = [text.get_text() for text in cells.texts]
    assert said[said.index("12") + 1:said.index("24")] == ["2/2", "2/2", "2/2"]
    assert said[said.index("24") + 1:said.index("24") + 4] == ["2/2", "0/2", "2/2"]
